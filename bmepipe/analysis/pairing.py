"""Which two series of a study are the fat-suppressed one and its T1, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bmepipe.analysis.laterality import of_one_side
from bmepipe.analysis.recognise import named_elsewhere
from bmepipe.errors import (
    GridMismatch,
    IrregularSeries,
    NoUsablePair,
    SeriesNotFound,
    TooFewSlices,
)
from bmepipe.site import Site
from bmepipe.study import (
    FatSuppression,
    Role,
    SequenceClass,
    Series,
    Study,
    Weighting,
    label,
)
from bmepipe.volume import Volume, overlap

MIN_SLICES = 3
_USUAL_PLANES = ("sagittal", "coronal", "axial")
# Slices of two series are one plane if their normals are nearer than this.
_SAME_PLANE_DEG = 30.0
# Part of the fat-suppressed slab that a T1 must cover to be paired without being asked for.
_MIN_OVERLAP, _FULL_OVERLAP = 0.5, 0.9
_NOT_T1 = "not used as T1: "


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen series and a line for every decision: first those taken, then those not."""

    t2fs: Series
    t1: Series | None
    reasons: tuple[str, ...]


def choose_pair(
    study: Study,
    site: Site | None,
    t1: str | None = None,
    t2fs: str | None = None,
    side: str | None = None,
) -> Choice:
    """Choose the fat-suppressed series to analyse and its T1.

    Parameters
    ----------
    study : Study
    site : Site or None
        Its planes say which is preferred; None prefers the plane with the most pairs.
    t1, t2fs : str, optional
        Series that the user names, by SeriesInstanceUID, ``uid#part`` or number.
    side : str, optional
        "left" or "right", where the study holds series of both.

    Raises
    ------
    SeriesNotFound
        If a named series is not in the study, or its number stands for several.
    IrregularSeries, TooFewSlices
        If a named series is no regular volume.
    NoUsablePair
        Listing every series and why it was not taken; if the named one keeps its fat; or if there
        are series of both sides and none is asked for.
    GridMismatch
        If the two do not overlap in space.
    """
    named_t1 = None if t1 is None else _usable(find_series(study, t1))
    planes: tuple[str, ...] = ()
    if t2fs is not None:
        chosen = _fat_suppressed(_usable(find_series(study, t2fs)))
        why = "named by the user"
    else:
        candidates = of_one_side(_candidates(study, Role.T2FS), site, side)
        if not candidates:
            raise _nothing(study)
        planes, why = _planes(study, site, candidates)
        places = named_elsewhere(candidates, site)
        chosen = min(candidates, key=lambda s: (places[s.key], _preference(s, study, planes)))
    if named_t1 is chosen:
        raise _same_twice(label(chosen))
    partner = named_t1 or _best_t1(chosen, study)
    reasons = [_taken("fat-suppressed", chosen, why), *_partner_reasons(chosen, partner)]
    reasons += unknown_roles(chosen, partner)
    rest = [s for s in study.series if s is not chosen and s is not partner]
    reasons += [f"not taken: {label(s)}: {why_not(s, chosen, partner, planes)}" for s in rest]
    return Choice(chosen, partner, tuple(reasons))


def find_series(study: Study, name: str) -> Series:
    """Return the series that a user names by UID, ``uid#part``, number or ``number#part``.

    Raises
    ------
    SeriesNotFound
        Listing the series, if none or several are called so.
    """
    name = name.strip()
    found = [
        s
        for s in study.series
        if name in (s.key, s.uid, str(s.number), f"{s.number}#{s.part}", f"{s.uid}#{s.part}")
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{s.number}{f'#{s.part}' if s.parts > 1 else ''}" for s in study.series)
    came = f"{name!r}, which stands for {len(found)} of them" if found else repr(name)
    raise SeriesNotFound(
        f"a series among {known} (or a SeriesInstanceUID)", came, "see `bmepipe series STUDY`"
    )


def why_not(
    series: Series, chosen: Series | None, partner: Series | None, planes: Sequence[str] = ()
) -> str:
    """Return why a series was not taken, in one phrase."""
    if series.refusal:
        return series.refusal
    if series.grid is not None and series.grid.shape[2] < MIN_SLICES:
        return f"only {series.grid.shape[2]} of at least {MIN_SLICES} slices"
    if series.role not in (Role.T1, Role.T2FS):
        return f"{series.role}: {_told(series)}"
    if chosen is None or series.grid is None or chosen.grid is None:
        return f"{series.role} without a fat-suppressed series to go with"
    if series.role is Role.T1:
        reason = _unfit(series, chosen)
        return reason or f"T1, but {label(partner) if partner else 'none'} suits better"
    if series.laterality and chosen.laterality and series.laterality != chosen.laterality:
        return f"fat-suppressed, of the other side ({series.laterality})"
    if series.grid.plane != chosen.grid.plane:
        rank = " before ".join(planes) or "the user's choice"
        return f"fat-suppressed {series.grid.plane} ({rank})"
    return f"fat-suppressed, but {label(chosen)} has a T1, the better contrast or the finer grid"


def _candidates(study: Study, role: Role) -> list[Series]:
    return [
        s
        for s in study.series
        if s.role is role and not s.refusal and s.grid and s.grid.shape[2] >= MIN_SLICES
    ]


def _planes(
    study: Study, site: Site | None, candidates: Iterable[Series]
) -> tuple[tuple[str, ...], str]:
    """Return the planes in order of preference, and a phrase that says where it comes from."""
    if site is not None and site.planes:
        return site.planes, f"{site.planes[0]} is preferred for the {site.name}"
    pairs = [s.grid.plane for s in candidates if s.grid and _best_t1(s, study) is not None]
    order = sorted(_USUAL_PLANES, key=lambda p: (-pairs.count(p), _USUAL_PLANES.index(p)))
    return tuple(order), f"site unknown: {order[0]} has the most pairs or comes first"


def _preference(series: Series, study: Study, planes: Sequence[str]) -> tuple[float, ...]:
    """Return what to sort candidates by, the best first."""
    assert series.grid is not None
    partner = _best_t1(series, study)
    plane = series.grid.plane
    rank = planes.index(plane) if plane in planes else len(planes)
    heavier = series.sequence_class is SequenceClass.PD_FS  # fluid and muscle stand out less
    in_plane = float(np.prod(np.delete(series.grid.spacing_mm, series.grid.slice_axis)))
    unsure = series.confidence < 0.7
    number = series.number if series.number is not None else 1 << 30
    return float(unsure), float(partner is None), rank, float(heavier), in_plane, number


def _best_t1(t2fs: Series, study: Study) -> Series | None:
    fit = [s for s in _candidates(study, Role.T1) if not _unfit(s, t2fs)]
    return min(fit, key=lambda s: _t1_preference(s, t2fs), default=None)


def _t1_preference(t1: Series, t2fs: Series) -> tuple[float, ...]:
    assert t1.grid is not None
    assert t2fs.grid is not None
    other_frame = t1.frame_of_reference_uid != t2fs.frame_of_reference_uid
    number = t1.number if t1.number is not None else 1 << 30
    return (
        float(not t1.grid.matches(t2fs.grid)),
        float(other_frame),
        float(t1.confidence < 0.7),
        -round(overlap(t2fs.grid, t1.grid), 1),
        -t1.confidence,
        number,
    )


def _unfit(t1: Series, t2fs: Series) -> str:
    """Return why a T1 cannot go with a fat-suppressed series; empty if it can."""
    assert t1.grid is not None
    assert t2fs.grid is not None
    if t1.laterality and t2fs.laterality and t1.laterality != t2fs.laterality:
        return f"{_NOT_T1}of the other side ({t1.laterality})"
    normals = [g.directions[:, g.slice_axis] for g in (t1.grid, t2fs.grid)]
    between = np.degrees(np.arccos(min(1.0, abs(float(normals[0] @ normals[1])))))
    flat = not (t1.grid.is_isotropic or t2fs.grid.is_isotropic)
    if flat and between > _SAME_PLANE_DEG:
        return f"{_NOT_T1}{t1.grid.plane}, {between:.0f} degrees from {label(t2fs)}"
    covered = overlap(t2fs.grid, t1.grid)
    if covered < _MIN_OVERLAP:
        return f"{_NOT_T1}covers {covered:.0%} of {label(t2fs)}"
    return ""


def _partner_reasons(chosen: Series, partner: Series | None) -> list[str]:
    """Return the lines about the T1: that there is none, or how it lies to the other series."""
    if partner is None:
        return ["T1: none fits, so the evidence of T1 is missing"]
    assert chosen.grid is not None
    assert partner.grid is not None
    covered = overlap(chosen.grid, partner.grid)
    if covered == 0:
        raise GridMismatch(
            "a T1 that overlaps the fat-suppressed series",
            f"{label(partner)} and {label(chosen)}, which share no point",
            "choose two series of one region with --t1 and --t2fs",
        )
    reasons = [_taken("T1", partner, "")]
    if partner.frame_of_reference_uid != chosen.frame_of_reference_uid:
        reasons.append("T1 and fat-suppressed series have different frames of reference")
    if covered < _FULL_OVERLAP:
        reasons.append(f"the T1 covers {covered:.0%} of the fat-suppressed series")
    return reasons


def unknown_roles(t2fs: Series, t1: Series | None) -> tuple[str, ...]:
    """Return a line for each series that only the user says to be what it is taken for."""
    lines = []
    if t2fs.role is not Role.T2FS:
        lines.append(f"series {label(t2fs)} is not known to be fat-suppressed: {_told(t2fs)}")
    if t1 is not None and t1.role is not Role.T1:
        lines.append(f"series {label(t1)} is not known to be a T1: {_told(t1)}")
    return tuple(lines)


def require_two_images(t1: Volume, t2fs: Volume) -> None:
    """Refuse two files of one image as both series."""
    if np.array_equal(t1.data, t2fs.data):
        raise _same_twice("two files of one image")


def _same_twice(name: str) -> NoUsablePair:
    """Return the refusal of one image as both series: against itself nothing is edema."""
    return NoUsablePair(
        "a T1 and another, fat-suppressed series",
        f"{name} for both",
        "name two series, or leave --t1 out",
    )


def _taken(role: str, series: Series, why: str) -> str:
    assert series.grid is not None
    kind = f", {series.sequence_class}" if series.sequence_class else ""
    told = "; ".join(part for part in (why, _told(series)) if part)
    return f"{role}: {label(series)} ({series.grid.plane}{kind}): {told}"


def _told(series: Series) -> str:
    """Return the evidence of a role in a phrase; for one that is not used, the decisive part."""
    if series.role in (Role.T1, Role.T2FS):
        return ", ".join((*series.evidence, *series.notes)) or "as named"
    decisive = series.evidence[:1] if series.role is not Role.OTHER else series.evidence[-1:]
    return ", ".join(decisive) or "no header fact says more"


def _usable(series: Series) -> Series:
    if series.refusal or series.grid is None:
        raise IrregularSeries(
            "a series that is one regular volume",
            f"{label(series)}: {series.refusal or 'no geometry'}",
            "name another series",
        )
    if series.grid.shape[2] < MIN_SLICES:
        raise _too_few([series])
    return series


def _fat_suppressed(series: Series) -> Series:
    """Refuse a named series that says it keeps its fat; one that says nothing may be right."""
    known = series.weighting in (Weighting.T1, Weighting.T2, Weighting.PD)
    fatty = known and series.fat_suppression is FatSuppression.NONE
    if fatty and series.role is not Role.T2FS:
        raise NoUsablePair(
            "a fat-suppressed series",
            f"{label(series)}, {series.weighting} without fat suppression: {_told(series)}",
            "name another; if its fat is dark after all, convert it to a NIfTI file whose "
            "name says so, as in t2_fs.nii.gz",
        )
    return series


def _too_few(series: Sequence[Series]) -> TooFewSlices:
    came = ", ".join(f"{label(s)} with {s.grid.shape[2] if s.grid else 0}" for s in series)
    return TooFewSlices(
        f"a series of at least {MIN_SLICES} slices", came, "export the whole series"
    )


def _nothing(study: Study) -> NoUsablePair | TooFewSlices:
    thin = [s for s in study.series if s.role is Role.T2FS and not s.refusal and s.grid]
    if thin:
        return _too_few(thin)
    found = "; ".join(f"{label(s)}: {why_not(s, None, None)}" for s in study.series)
    return NoUsablePair(
        "a fat-suppressed T2, PD, STIR or Dixon water series",
        f"{len(study.series)} series, none of which is one ({found})",
        "name the right one with --t2fs if there is one",
    )
