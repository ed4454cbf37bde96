"""What a study is made of: `Series`, `Study` and the `Pair` that is analysed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bmepipe.volume import Grid, SliceSource, Volume, require_same_grid


class Weighting(StrEnum):
    """What makes the contrast of a series, fat suppression aside."""

    T1 = "T1"
    PD = "PD"
    T2 = "T2"
    T2_STAR = "T2*"
    OTHER = "other"
    UNKNOWN = "unknown"


class FatSuppression(StrEnum):
    """How, if at all, the signal of fat is removed."""

    NONE = "none"
    SPECTRAL = "spectral"  # fat saturation, SPIR, SPAIR, water excitation
    STIR = "STIR"
    DIXON_WATER = "Dixon water"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a series is good for here."""

    T1 = "T1"
    T2FS = "T2FS"  # any fat-suppressed fluid-sensitive series: PD-FS, T2-FS, STIR, Dixon water
    LOCALIZER = "localizer"
    CONTRAST_ENHANCED = "contrast-enhanced"
    DERIVED = "derived"
    OTHER = "other"


class SequenceClass(StrEnum):
    """Fat-suppressed contrasts between which the thresholds of edema differ."""

    PD_FS = "PD-FS"
    T2_FS = "T2-FS"
    STIR = "STIR"


@dataclass(frozen=True, eq=False)
class Series:
    """One stack of slices that can become one volume: header facts, no pixels.

    A DICOM series with several stacks (orientations, echoes, Dixon images) makes several of these
    with one `uid` and the parts 1, 2, ...; `key` tells them apart.

    Parameters
    ----------
    uid : str
        SeriesInstanceUID; for NIfTI the file's name.
    files : tuple of Path
        The files of this stack, in no particular order.
    grid : Grid, optional
        Geometry from the headers; None where it is irregular (`refusal` says why).
    weighting, fat_suppression, role : enums
    confidence : float
        Of the role, 0 to 1.
    evidence : tuple of str
        Which header facts or names gave the role.
    refusal : str
        Why this stack cannot be read as one volume; empty if it can.
    slices : tuple of SliceSource
        Of a DICOM stack: the instance and frame of each slice, in the order of k.
    doubtful_fat : bool
        The headers do not settle whether fat is suppressed: a look at the pixels is due.
    """

    uid: str
    files: tuple[Path, ...]
    number: int | None = None
    part: int = 1
    parts: int = 1
    description: str = ""
    weighting: Weighting = Weighting.UNKNOWN
    fat_suppression: FatSuppression = FatSuppression.UNKNOWN
    role: Role = Role.OTHER
    confidence: float = 0.0
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    grid: Grid | None = None
    frame_of_reference_uid: str = ""
    te_ms: float | None = None
    tr_ms: float | None = None
    ti_ms: float | None = None
    field_strength_t: float | None = None
    manufacturer: str = ""
    laterality: str = ""  # "L", "R" or unknown
    body_part: str = ""
    slices: tuple[SliceSource, ...] = field(default=(), repr=False)
    doubtful_fat: bool = False

    @property
    def key(self) -> str:
        """The series' uid, with ``#part`` where it holds more than one stack."""
        return self.uid if self.parts == 1 else f"{self.uid}#{self.part}"

    @property
    def sequence_class(self) -> SequenceClass | None:
        """The contrast class of a fat-suppressed series; None if it is not one.

        Intermediate weighting counts as PD-FS up to an echo time of 50 ms: there muscle is still as
        bright as moderate edema.
        """
        if self.fat_suppression is FatSuppression.STIR:
            return SequenceClass.STIR
        if self.fat_suppression not in (FatSuppression.SPECTRAL, FatSuppression.DIXON_WATER):
            return None
        if self.te_ms is not None and self.weighting in (Weighting.PD, Weighting.T2):
            return SequenceClass.PD_FS if self.te_ms < 50 else SequenceClass.T2_FS
        return SequenceClass.PD_FS if self.weighting is Weighting.PD else SequenceClass.T2_FS


@dataclass(frozen=True, eq=False)
class Study:
    """One examination of one patient: its series and nothing that names a person.

    `patient_id` is a short hash of the identifier, good for telling patients apart in
    one run, never printed; `acquired` is the date as YYYY-MM-DD or empty.
    """

    uid: str
    series: tuple[Series, ...]
    patient_id: str = ""
    acquired: str = ""
    description: str = ""
    skipped_files: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pair:
    """The fat-suppressed volume that is analysed and, where there is one, the T1 on its grid.

    Parameters
    ----------
    t2fs : Volume
        Float signal on its own native grid.
    t1 : Volume, optional
        Float signal on the same grid; None if the study has none.
    sequence_class : SequenceClass
        Contrast class of `t2fs`; it chooses the thresholds.
    t2fs_series, t1_series : Series, optional
        Where they came from.
    notes : tuple of str
        Doubts that do not forbid a result (how they were aligned, what was regridded).

    Raises
    ------
    GridMismatch
        If the two do not share a grid: such a pair cannot exist.
    """

    t2fs: Volume
    t1: Volume | None = None
    sequence_class: SequenceClass = SequenceClass.T2_FS
    t2fs_series: Series | None = field(default=None, repr=False)
    t1_series: Series | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for volume in (self.t2fs, self.t1):
            if volume is not None and volume.data.dtype.kind != "f":
                raise TypeError(f"a pair holds float signal, not {volume.data.dtype}")
        if self.t1 is not None:
            require_same_grid(self.t2fs, self.t1, ("fat-suppressed series", "T1"))

    @property
    def grid(self) -> Grid:
        """The grid of the fat-suppressed series, on which everything is computed."""
        return self.t2fs.grid


def label(series: Series) -> str:
    """Return how a series is called in messages: its number, part and description.

    >>> label(Series("1.2", (), number=3, description="SAG T1"))
    "3 'SAG T1'"
    """
    part = f"#{series.part}" if series.parts > 1 else ""
    number = series.uid if series.number is None else series.number
    return f"{number}{part} '{series.description[:60]}'"
