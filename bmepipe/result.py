"""What an analysis found: everything that a writer needs, and nothing it must compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bmepipe import RESEARCH_ONLY as RESEARCH_ONLY
from bmepipe.site import Site
from bmepipe.study import Pair, Study
from bmepipe.volume import Volume

ML = ("mL", "milliliter")  # UCUM code and meaning
MM = ("mm", "millimeter")
PERCENT = ("%", "percent")
RATIO = ("{ratio}", "ratio")
COUNT = ("{count}", "count")


def _column(heading: str, digits: int | None = None, unit: tuple[str, str] | None = None) -> Any:
    """Return a dataclass field whose metadata is the one definition that all writers read."""
    return field(metadata={"heading": heading, "digits": digits, "unit": unit})


@dataclass(frozen=True)
class BoneMeasurement:
    """One row per bone. Not measurable is None, and `note` says why; it is never 0.

    `bone_ml` is the bone within the field of view; `edema_percent` refers to its assessable part;
    `edema_ml_low` and `edema_ml_high` bound the volume; the ratios are the edema's median signal to
    the normal marrow's centre of the same bone.
    """

    case: str = _column("Case")
    site: str = _column("Site")
    bone: str = _column("Bone")
    bone_ml: float | None = _column("Bone", 1, ML)
    edema_ml: float | None = _column("Edema", 3, ML)
    edema_ml_low: float | None = _column("Edema, low", 3, ML)
    edema_ml_high: float | None = _column("Edema, high", 3, ML)
    edema_percent: float | None = _column("Edema of judged bone", 2, PERCENT)
    assessable_percent: float | None = _column("Assessable", 1, PERCENT)
    lesion_count: int | None = _column("Lesions", 0, COUNT)
    largest_lesion_ml: float | None = _column("Largest lesion", 3, ML)
    t1_ratio: float | None = _column("T1 ratio", 2, RATIO)
    t2fs_ratio: float | None = _column("Fat-suppressed ratio", 2, RATIO)
    note: str = _column("Note")


@dataclass(frozen=True)
class Lesion:
    """A connected candidate, kept (`rejected_as` empty) or rejected with the reason.

    `number` is its value in `EdemaResult.lesion_map` (0 for rejected candidates); `extent_mm` is
    the longest diameter of its box along the grid's axes; `depth_mm` is the farthest distance of
    its voxels from the bone's surface; `centre_mm` is RAS; `slice_index` (from 0 along the slice
    axis) shows most of it; `confidence` is its mean probability.
    """

    number: int = _column("Number")
    bone: str = _column("Bone")
    lesion_ml: float = _column("Volume", 3, ML)
    extent_mm: float = _column("Extent", 1, MM)
    depth_mm: float | None = _column("Depth", 1, MM)
    t1_ratio: float | None = _column("T1 ratio", 2, RATIO)
    t2fs_ratio: float | None = _column("Fat-suppressed ratio", 2, RATIO)
    confidence: float | None = _column("Confidence", 2, RATIO)
    touches_edge: bool = _column("Touches the field's edge")
    slice_index: int = _column("Slice (from 0)")
    centre_mm: tuple[float, float, float] = _column("Centre (RAS)", 1, MM)
    rejected_as: str = _column("Rejected as")


@dataclass(frozen=True)
class Provenance:
    """How a result came about, enough to repeat it."""

    version: str
    detector: str
    models: Mapping[str, str] = field(default_factory=dict)  # name to sha256 of the weights
    settings: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None


@dataclass(frozen=True, eq=False)
class EdemaResult:
    """The whole result of one case; all volumes are on the grid of the fat-suppressed series.

    Parameters
    ----------
    case : str
    site : Site
    pair : Pair
    bones : Volume of uint8
        Labels of `site.bones`.
    probability : Volume of float32
        Of edema, 0 to 1; 0 outside the marrow.
    edema : Volume of bool
    lesion_map : Volume of uint16
        Numbers of the kept lesions.
    assessable : Volume of bool
        True in the marrow that could be judged; a bone's marrow outside it was excluded.
    measurements, lesions, rejected : tuples
    disagreement : Volume of bool, optional
        Where two detectors differ.
    study : Study, optional
        None where the pair came as two plain files.
    reasons : tuple of str
        Why these series were chosen and others not.
    notes : tuple of str
        Doubts that do not forbid the result; printed in every report.
    """

    case: str
    site: Site
    pair: Pair
    bones: Volume
    probability: Volume
    edema: Volume
    lesion_map: Volume
    assessable: Volume
    measurements: tuple[BoneMeasurement, ...]
    lesions: tuple[Lesion, ...]
    rejected: tuple[Lesion, ...]
    provenance: Provenance
    disagreement: Volume | None = None
    study: Study | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def column_names(row_type: type) -> list[str]:
    """Return the column names of a row dataclass, in order.

    >>> column_names(BoneMeasurement)[:5]
    ['case', 'site', 'bone', 'bone_ml', 'edema_ml']
    """
    return [column.name for column in fields(row_type)]
