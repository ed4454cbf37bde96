"""Which image of a Dixon acquisition a frame is."""

from __future__ import annotations

import re

# Siemens and Philips write W, F, IP, OP; enhanced images write the longer tokens (FrameType).
_TOKENS = {
    "W": "water",
    "WATER": "water",
    "F": "fat",
    "FAT": "fat",
    "IP": "in-phase",
    "IN_PHASE": "in-phase",
    "IN PHASE": "in-phase",
    "OP": "opposed-phase",
    "OPP_PHASE": "opposed-phase",
    "OUT_PHASE": "opposed-phase",
    "OUT PHASE": "opposed-phase",
    "FAT_FRACTION": "fraction",
    "FF": "fraction",
    "WATER_FRACTION": "fraction",
    "WF": "fraction",
}
_PREFIXES = {
    "water": "water",
    "fat": "fat",
    "inphase": "in-phase",
    "in phase": "in-phase",
    "outphase": "opposed-phase",
    "out phase": "opposed-phase",
    "oppphase": "opposed-phase",
    "fatfrac": "fraction",
    "fat frac": "fraction",
}


def dixon_image(image_type: tuple[str, ...], description: str = "") -> str:
    """Return 'water', 'fat', 'in-phase', 'opposed-phase', 'fraction' or '' if it is none of them.

    The first two values of ImageType say whether pixels are derived and are not looked at. GE
    writes ``Water: name`` into the description.

    >>> dixon_image(("DERIVED", "PRIMARY", "DIXON", "WATER"))
    'water'
    >>> dixon_image(("DERIVED", "PRIMARY", "OTHER"), "InPhase: SAG T1 FLEX")
    'in-phase'
    >>> dixon_image(("DERIVED", "SECONDARY", "M", "NORM", "DIS2D", "FS", "FIL"))
    ''
    """
    for token in image_type[2:]:
        if token in _TOKENS:
            return _TOKENS[token]
    prefix = re.match(r"\s*([a-z ]+?)\s*:", description.lower())
    return _PREFIXES.get(prefix.group(1), "") if prefix else ""
