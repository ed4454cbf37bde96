"""What a NIfTI file's name and its BIDS sidecar say: the facts from which its role follows."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np

from bmepipe.io.roles import HeaderFacts, Judgement, judge
from bmepipe.io.words import words_of
from bmepipe.study import FatSuppression, Role, Weighting

log = logging.getLogger(__name__)

_MAX_SIDECAR = 1 << 22
_NOT_SIGNAL = re.compile(
    r"\b(seg\w*|mask\w*|labels?|dseg|probseg|roi|bones?|edema|oedema|lesions?|reader\d*|trial\d*|"
    r"region|marrow|vertebrae|annotations?|truth|prob\w*)\b"
)


def header_facts(path: Path) -> HeaderFacts:
    """Return what a file's name and its sidecar say, in the terms of DICOM headers."""
    sidecar = _sidecar(path)
    name = re.sub(r"(?:^|_)(?:sub|ses|run|rec)-[A-Za-z0-9]+", "", stem_of(path))
    description = str(sidecar.get("SeriesDescription", ""))[:200]
    return HeaderFacts(
        manufacturer=str(sidecar.get("Manufacturer", ""))[:64],
        description=f"{name} {description}",
        scanning_sequence=_tokens(sidecar.get("ScanningSequence")),
        scan_options=_tokens(sidecar.get("ScanOptions")),
        image_type=_tokens(sidecar.get("ImageType")),
        te_ms=_number(sidecar.get("EchoTime"), 1000.0),  # BIDS has seconds
        tr_ms=_number(sidecar.get("RepetitionTime"), 1000.0),
        ti_ms=_number(sidecar.get("InversionTime"), 1000.0),
        field_strength_t=_number(sidecar.get("MagneticFieldStrength"), 1.0),
        contrast_agent=str(sidecar.get("ContrastBolusIngredient", ""))[:64],
    )


def judge_name(path: Path, facts: HeaderFacts) -> Judgement:
    """Return the role of a file; masks and label maps, known by their names, are derived."""
    words = words_of(stem_of(path))
    masked = _NOT_SIGNAL.search(words)
    if masked:
        why = f"name says '{masked.group()}': a mask or label map"
        return Judgement(Role.DERIVED, Weighting.OTHER, FatSuppression.UNKNOWN, 0.9, (why,))
    return judge(facts)


def _sidecar(path: Path) -> dict[str, Any]:
    sidecar = path.with_name(stem_of(path) + ".json")
    try:
        if not sidecar.is_file() or sidecar.stat().st_size > _MAX_SIDECAR:
            return {}
        found = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s passed over: %s", sidecar.name, error)
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object, scale: float) -> float | None:
    usable = isinstance(value, int | float) and np.isfinite(float(value))
    return float(value) * scale if usable else None  # type: ignore[arg-type]


def _tokens(value: object) -> tuple[str, ...]:
    """Return DICOM tokens from a sidecar: a list, or one text with separators."""
    if isinstance(value, list):
        return tuple(str(part).upper() for part in value[:64])
    return tuple(re.split(r"[_\\ ]", str(value)[:200].upper())) if value else ()


def stem_of(path: Path) -> str:
    """Return a file's name without .nii or .nii.gz."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
