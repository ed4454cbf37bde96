"""Fat suppression that the headers leave open, settled by a look at the pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from bmepipe.analysis.fat import BRIGHT, DARK, fat_brightness
from bmepipe.analysis.pairing import MIN_SLICES
from bmepipe.errors import BmepipeError
from bmepipe.study import FatSuppression, Role, Series, Study, Weighting
from bmepipe.volume import Volume, overlap

log = logging.getLogger(__name__)

Load = Callable[[Series], Volume]
_MIN_OVERLAP = 0.3


def settle(study: Study, load: Load) -> Study:
    """Return the study with open questions of fat suppression answered where pixels answer them.

    Only fluid-sensitive series whose headers are silent or contradict themselves are looked at, and
    only where the study holds a T1 of the same place. What stays unclear stays as it was, with a
    note.

    Parameters
    ----------
    study : Study
    load : callable
        Series to Volume.
    """
    return replace(study, series=tuple(_settled(series, study, load) for series in study.series))


def _settled(series: Series, study: Study, load: Load) -> Series:
    fluid = series.weighting in (Weighting.T2, Weighting.PD)
    asked = series.doubtful_fat and fluid and series.role in (Role.T2FS, Role.OTHER)
    if not asked or not _readable(series):
        return series
    t1 = next((s for s in study.series if _shows_the_same(s, series)), None)
    if t1 is None:
        return replace(series, notes=(*series.notes, "no T1 to tell fat suppression by"))
    try:
        found = fat_brightness(load(series), load(t1))
    except BmepipeError as error:
        log.warning("pixels of series %s not looked at: %s", series.number, error)
        return series
    if found is None or DARK < found < BRIGHT:
        return replace(series, notes=(*series.notes, "the pixels do not settle fat suppression"))
    dark = found <= DARK
    kind = FatSuppression.SPECTRAL if dark else FatSuppression.NONE
    if dark and series.fat_suppression in (FatSuppression.STIR, FatSuppression.DIXON_WATER):
        kind = series.fat_suppression
    told = f"pixels: fat is {'dark' if dark else 'bright'} where the T1 has it ({found:.2f} of T1)"
    return replace(
        series,
        role=Role.T2FS if dark else Role.OTHER,
        fat_suppression=kind,
        confidence=0.75,
        evidence=(series.evidence[0], told),
        doubtful_fat=False,
    )


def _readable(series: Series) -> bool:
    grid = series.grid
    return not series.refusal and grid is not None and grid.shape[2] >= MIN_SLICES


def _shows_the_same(t1: Series, series: Series) -> bool:
    """Say whether a T1 covers enough of a series, in one frame of reference, to judge it by."""
    if t1.role is not Role.T1 or not _readable(t1) or t1.grid is None or series.grid is None:
        return False
    if t1.grid.matches(series.grid):
        return True
    one_frame = t1.frame_of_reference_uid == series.frame_of_reference_uid
    dicom = bool(t1.slices and series.slices)
    return dicom and one_frame and overlap(series.grid, t1.grid) >= _MIN_OVERLAP
