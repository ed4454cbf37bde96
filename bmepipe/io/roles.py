"""What a series is good for, from its header: weighting, fat suppression, role, and why.

Headers come first and are compared as exact tokens; names (free text) fill in what headers leave
out. A contradiction lowers the confidence and is noted, so that pixels can settle it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bmepipe.io import words
from bmepipe.study import FatSuppression, Role, Weighting


@dataclass(frozen=True)
class HeaderFacts:
    """What the rules look at. Times in ms, field in tesla; tokens in upper case.

    `planes` is the number of anatomical planes that the DICOM series covers; `slices` counts those
    of this stack. `dixon` comes from `bmepipe.io.dixon.dixon_image`.
    """

    manufacturer: str = ""
    description: str = ""
    protocol: str = ""
    image_type: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    sequence_name: str = ""
    te_ms: float | None = None
    tr_ms: float | None = None
    ti_ms: float | None = None
    field_strength_t: float | None = None
    component: str = ""
    dixon: str = ""
    suppression: str = ""
    inversion_recovery: str = ""
    contrast_agent: str = ""
    planes: int = 1
    slices: int = 20
    thickness_mm: float | None = None


@dataclass(frozen=True)
class Judgement:
    """Role of a series with the confidence in it (0 to 1), the evidence and the doubts.

    `doubtful_fat` asks for a look at the pixels: the header does not settle fat suppression.
    """

    role: Role
    weighting: Weighting
    fat_suppression: FatSuppression
    confidence: float
    evidence: tuple[str, ...]
    notes: tuple[str, ...] = ()
    doubtful_fat: bool = False


_SPECTRAL = FatSuppression.SPECTRAL


def judge(facts: HeaderFacts) -> Judgement:
    """Return role, weighting and fat suppression of a series with their evidence."""
    name = words.words_of(facts.description) or words.words_of(facts.protocol)
    fat = _fat_suppression(facts, name)
    weighting = _weighting(facts, name, fat.kind)
    evidence = (weighting.why, fat.why)
    notes = tuple(note for note in (weighting.doubt, fat.doubt) if note)
    sure = min(weighting.sure, fat.sure)
    if excluded := _excluded(facts, name, weighting.kind):
        role, reason = excluded
        return Judgement(role, weighting.kind, fat.kind, 0.9, (reason, *evidence), notes)
    role, rule = _role(weighting.kind, fat.kind, facts.dixon)
    doubtful = fat.sure < 0.7 and weighting.kind in (Weighting.T1, Weighting.T2, Weighting.PD)
    told = (*evidence, rule) if rule else evidence
    return Judgement(role, weighting.kind, fat.kind, round(sure, 2), told, notes, doubtful)


@dataclass(frozen=True)
class _Fat:
    kind: FatSuppression
    sure: float
    why: str
    doubt: str = ""


@dataclass(frozen=True)
class _Contrast:
    kind: Weighting
    sure: float
    why: str
    doubt: str = ""


def _role(weighting: Weighting, fat: FatSuppression, dixon: str) -> tuple[Role, str]:
    suppressed = fat not in (FatSuppression.NONE, FatSuppression.UNKNOWN)
    if weighting is Weighting.T1:
        if suppressed:
            return Role.OTHER, "a fat-suppressed T1 is neither the T1 nor the edema series"
        if dixon in ("fat", "opposed-phase", "fraction"):
            return Role.OTHER, f"the {dixon} image of a Dixon series cannot serve as T1"
        return Role.T1, ""
    if weighting in (Weighting.PD, Weighting.T2):
        if fat is FatSuppression.UNKNOWN:
            return Role.OTHER, "fluid-sensitive, but nothing says whether fat is suppressed"
        if suppressed:
            return Role.T2FS, ""
        return Role.OTHER, "fluid-sensitive without fat suppression"
    return Role.OTHER, "neither T1 nor fluid-sensitive spin echo"


def _fat_suppression(facts: HeaderFacts, name: str) -> _Fat:
    if facts.dixon:
        kind = FatSuppression.DIXON_WATER if facts.dixon == "water" else FatSuppression.NONE
        return _Fat(kind, 0.95, f"Dixon {facts.dixon} image")
    denied = words.NOT_FS.search(name)
    named = None if denied else words.FS_NAMES.search(name)
    if stir := _stir(facts, name):
        return stir
    header = _header_fat(facts)
    if header and denied:
        return _Fat(_SPECTRAL, 0.5, header, f"header says {header}, the name '{denied.group()}'")
    if header:
        return _Fat(_SPECTRAL, 0.95 if named else 0.9, header)
    if facts.suppression.startswith(("WATER", "SILICON")):
        return _Fat(FatSuppression.NONE, 0.8, f"SpectrallySelectedSuppression {facts.suppression}")
    if named:
        silent = "the header does not confirm it" if _tokens_tell(facts) else ""
        kind = FatSuppression.STIR if words.STIR_NAMES.search(name) else _SPECTRAL
        return _Fat(kind, 0.65 if silent else 0.75, f"name says '{named.group()}'", silent)
    if denied:
        return _Fat(FatSuppression.NONE, 0.9, f"name says '{denied.group()}'")
    if _tokens_tell(facts):
        return _Fat(FatSuppression.NONE, 0.85, "no fat suppression in the header or the name")
    if name:
        return _Fat(
            FatSuppression.NONE, 0.6, "no fat suppression in the name; the header is silent"
        )
    return _Fat(FatSuppression.UNKNOWN, 0.2, "neither header nor name speak of fat suppression")


def _header_fat(facts: HeaderFacts) -> str:
    """Return the header's word for spectral fat suppression, or nothing.

    GE's FSA_GEMS, FSP_GEMS and their like give the readout direction and SAT_GEMS a spatial band;
    ImageType FS is a Siemens image filter: none of them is fat suppression.
    """
    for token in facts.scan_options:
        if token in words.FS_TOKENS:
            return f"ScanOptions {token}"
    if facts.suppression.startswith("FAT"):
        return f"SpectrallySelectedSuppression {facts.suppression}"
    return ""


def _tokens_tell(facts: HeaderFacts) -> bool:
    """Say whether the absence of a fat-suppression token from this header means something."""
    vendor = facts.manufacturer.lower()
    return bool(facts.scanning_sequence or facts.scan_options) and any(
        known in vendor
        for known in ("siemens", "ge med", "ge health", "hitachi", "canon", "united")
    )


def _stir(facts: HeaderFacts, name: str) -> _Fat | None:
    """Return STIR if the header or name says so: inversion at the null of fat, which rises with B0.

    Inversion times of 60 to 300 ms null fat between 0.2 and 3 T; those of fluid or grey matter are
    longer. TI 0 means no inversion (Hitachi, GE and Philips write it).
    """
    inverted = (
        "IR" in facts.scanning_sequence
        or "IR" in facts.scan_options
        or facts.inversion_recovery == "YES"
        or re.search(r"(?<![a-z])(tir|fir|irtse|stir)", facts.sequence_name.lower())
    )
    named, time = words.STIR_NAMES.search(name), facts.ti_ms or None
    if words.FLAIR.search(name) or (time and time > 300) or "GR" in facts.scanning_sequence:
        return None
    short_tr = facts.tr_ms is not None and facts.tr_ms < 1000
    if inverted and time and 60 <= time <= 300 and not short_tr:
        return _Fat(FatSuppression.STIR, 0.95, f"inversion recovery with TI {time:g} ms")
    if inverted and named and time is None:
        return _Fat(FatSuppression.STIR, 0.9, f"inversion recovery, name says '{named.group()}'")
    if named and not short_tr:
        return _Fat(FatSuppression.STIR, 0.75, f"name says '{named.group()}'")
    return None


def _weighting(facts: HeaderFacts, name: str, fat: FatSuppression) -> _Contrast:
    te, tr, ti = facts.te_ms, facts.tr_ms, facts.ti_ms or 0.0
    named = _named_weighting(name)
    gradient = "GR" in facts.scanning_sequence and "SE" not in facts.scanning_sequence
    if "EP" in facts.scanning_sequence or (words.DIFFUSION.search(name) and not named):
        return _Contrast(Weighting.OTHER, 0.9, "echo planar or diffusion")
    if ti > 300:
        return _inversion(te, ti)
    if fat is FatSuppression.STIR:
        return _Contrast(Weighting.T2, 0.95, "STIR")
    if gradient:
        return _gradient_echo(te, tr, named)
    if te is None or tr is None or te <= 0 or tr <= 0:
        kind = named or Weighting.UNKNOWN
        sure = 0.6 if named else 0.1
        return _Contrast(kind, sure, f"name says {kind}" if named else "TR or TE is missing")
    kind = _spin_echo(te, tr, named)
    why = f"TR {tr:g} TE {te:g} ms"
    if named and kind is not named and {kind, named} != {Weighting.PD, Weighting.T2}:
        return _Contrast(kind, 0.6, why, f"the name says {named}, TR and TE say {kind}")
    # Between 1000 and 1400 ms a T1 at 3 T and a short PD overlap.
    return _Contrast(kind, 0.95 if named is kind or named else 0.85, why)


def _spin_echo(te: float, tr: float, named: Weighting | None) -> Weighting:
    if tr < 1000 and te < 35:
        return Weighting.T1
    if named is Weighting.T1 and tr < 1400 and te < 25:
        return Weighting.T1
    if te >= 60:
        return Weighting.T2
    return Weighting.PD if tr >= 1000 else Weighting.UNKNOWN


def _inversion(te: float | None, ti: float) -> _Contrast:
    """Inversion behind the null of fat: fluid-attenuated T2, or a T1 FLAIR as used for spines."""
    if ti < 1300 and te is not None and te < 40:
        return _Contrast(Weighting.T1, 0.8, f"T1 inversion recovery, TI {ti:g} TE {te:g} ms")
    return _Contrast(Weighting.OTHER, 0.9, f"inversion recovery with TI {ti:g} ms")


def _gradient_echo(te: float | None, tr: float | None, named: Weighting | None) -> _Contrast:
    why = f"gradient echo TR {tr or 0:g} TE {te or 0:g} ms"
    if te is not None and te > 12:
        return _Contrast(Weighting.T2_STAR, 0.85, why)
    if named is Weighting.T1:
        return _Contrast(Weighting.T1, 0.6, why + ", name says T1")
    return _Contrast(Weighting.OTHER, 0.8, why)


def _named_weighting(name: str) -> Weighting | None:
    found = [
        kind
        for kind, pattern in (
            (Weighting.T1, words.T1_NAMES),
            (Weighting.PD, words.PD_NAMES),
            (Weighting.T2, words.T2_NAMES),
        )
        if pattern.search(name)
    ]
    return found[0] if len(found) == 1 else None


def _excluded(facts: HeaderFacts, name: str, weighting: Weighting) -> tuple[Role, str] | None:
    """Return the role of a series that cannot be used whatever its contrast, and why."""
    if facts.component in ("P", "R", "I"):
        kind = {"P": "phase", "R": "real", "I": "imaginary"}[facts.component]
        return Role.DERIVED, f"{kind} image"
    if found := words.DERIVED_TOKENS.intersection(facts.image_type[2:]):
        return Role.DERIVED, f"ImageType {min(found)}"
    if named := words.LOCALIZER.search(name):
        return Role.LOCALIZER, f"name says '{named.group()}'"
    if facts.planes > 1:
        return Role.LOCALIZER, f"one series in {facts.planes} planes"
    fast = "GR" in facts.scanning_sequence and facts.tr_ms is not None and facts.tr_ms < 20
    if fast and facts.slices <= 15 and (facts.thickness_mm or 0) >= 5:
        return (
            Role.LOCALIZER,
            f"{facts.slices} thick slices, gradient echo of TR {facts.tr_ms:g} ms",
        )
    if named := words.DERIVED_NAMES.search(name):
        return Role.DERIVED, f"name says '{named.group()}'"
    if facts.contrast_agent.strip().upper() not in words.NO_AGENT:
        return Role.CONTRAST_ENHANCED, "ContrastBolusAgent is given: neither T1 nor edema series"
    named = words.CONTRAST.search(name)
    if named and not words.NO_CONTRAST.search(name):
        return Role.CONTRAST_ENHANCED, f"name says '{named.group()}': neither T1 nor edema series"
    return None
