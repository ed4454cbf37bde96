"""The words and rows that the overlay sheet and the report share."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmepipe.result import ML, BoneMeasurement, EdemaResult, Lesion
from bmepipe.study import Series
from bmepipe.writers.display import Layers

NOT_MEASURED = "-"
_UNITS = {"{ratio}": "", "{count}": "", "mL": "mL", "mm": "mm", "%": "%"}


def verdict(result: EdemaResult) -> str:
    """Return one sentence: where edema was found, or that none was, and what was not measured."""
    with_edema = [row.bone for row in result.measurements if row.edema_ml]
    unknown = [row.bone for row in result.measurements if row.edema_ml is None]
    if with_edema:
        text = f"Edema found in {listed(with_edema)}"
    elif len(unknown) < len(result.measurements):
        text = "No edema found"
    else:
        return "Edema could not be measured"
    return f"{text}; not measured in {listed(unknown)}" if unknown else text


def listed(names: list[str]) -> str:
    """Return names as a reader expects them.

    >>> listed(["ilium_left"]), listed(["femur", "tibia", "patella"])
    ('left ilium', 'femur, tibia and patella')
    """
    shown = [spaced(name) for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def notes(result: EdemaResult) -> list[str]:
    """Return the notes with the names of bones as readers expect them."""
    names = [bone.name for bone in result.site.bones if "_" in bone.name]
    texts = []
    for text in result.notes:
        for name in names:
            text = re.sub(rf"\b{re.escape(name)}\b", spaced(name), text)
        texts.append(text)
    return texts


def spaced(name: str) -> str:
    """Return a bone's name for readers: 'ilium_left' as 'left ilium'."""
    *words, last = name.split("_")
    return " ".join([last, *words] if last in ("left", "right") else [*words, last])


def heading(row_type: type, column: str) -> str:
    """Return a column's heading with its unit.

    >>> heading(BoneMeasurement, "edema_ml")
    'Edema (mL)'
    """
    meta = next(c.metadata for c in fields(row_type) if c.name == column)
    unit = _UNITS[meta["unit"][0]] if meta["unit"] else ""
    return f"{meta['heading']} ({unit})" if unit else meta["heading"]


def shown(row: Any, column: str) -> str:
    """Return a value as text: volumes to three figures, others to their column's digits.

    A dash stands where it was not measured.
    """
    value = getattr(row, column)
    meta = next(c.metadata for c in fields(row) if c.name == column)
    if value is None:
        return NOT_MEASURED
    if meta["unit"] == ML:
        return volume_text(value)
    return str(value) if meta["digits"] is None else f"{value:.{meta['digits']}f}"


def volume_text(volume_ml: float) -> str:
    """Return a volume as a reader wants it: three figures, none below a microlitre; 0 is exact.

    >>> [volume_text(v) for v in (429.24, 11.833, 1.3449, 0.0424, 0.0004, 0.0)]
    ['429', '11.8', '1.34', '0.042', '<0.001', '0']
    """
    if volume_ml == 0:
        return "0"
    if volume_ml < 0.0005:
        return "<0.001"
    before_point = len(str(int(volume_ml))) if volume_ml >= 1 else 0
    return f"{volume_ml:.{max(3 - before_point, 0)}f}"


def interval(row: BoneMeasurement) -> str:
    """Return the low and the high edema volume in mL, or a dash."""
    if row.edema_ml_low is None or row.edema_ml_high is None:
        return NOT_MEASURED
    return f"{shown(row, 'edema_ml_low')} to {shown(row, 'edema_ml_high')}"


BONE_HEADINGS = (
    "Bone",
    heading(BoneMeasurement, "bone_ml"),
    heading(BoneMeasurement, "edema_ml"),
    "Low to high (mL)",
    "Of judged bone (%)",
    heading(BoneMeasurement, "assessable_percent"),
    "Lesions",
    "Largest (mL)",
    "T1 ratio",
    "FS ratio",
    "Note",
)


def bone_row(row: BoneMeasurement) -> tuple[str, ...]:
    """Return the cells of a bone under `BONE_HEADINGS`."""
    numbers = ("edema_percent", "assessable_percent", "lesion_count", "largest_lesion_ml")
    return (
        spaced(row.bone),
        shown(row, "bone_ml"),
        shown(row, "edema_ml"),
        interval(row),
        *(shown(row, column) for column in (*numbers, "t1_ratio", "t2fs_ratio")),
        row.note,
    )


LESION_HEADINGS = (
    "No.",
    "Bone",
    "Slice",
    heading(Lesion, "lesion_ml"),
    heading(Lesion, "extent_mm"),
    heading(Lesion, "depth_mm"),
    "T1 ratio",
    "FS ratio",
    "Confidence",
    "At the field's edge",
)


def lesion_row(lesion: Lesion) -> tuple[str, ...]:
    """Return the cells of a candidate under `LESION_HEADINGS`; slices count from 1."""
    numbers = ("lesion_ml", "extent_mm", "depth_mm", "t1_ratio", "t2fs_ratio", "confidence")
    return (
        str(lesion.number or NOT_MEASURED),
        spaced(lesion.bone),
        str(lesion.slice_index + 1),
        *(shown(lesion, column) for column in numbers),
        "yes" if lesion.touches_edge else "no",
    )


def series_line(series: Series | None, kind: str) -> str:
    """Return one line naming a series, its number and its times."""
    if series is None:
        return f"{kind}: {NOT_MEASURED}"
    name = " ".join(series.description.split()) or "(no description)"
    number = f" {series.number}" if series.number is not None else ""
    times = [f"{label} {value:.0f}" for label, value in _times(series) if value]
    return f"{kind}: series{number} {name}" + (f" ({', '.join(times)} ms)" if times else "")


def _times(series: Series) -> list[tuple[str, float | None]]:
    return [("TR", series.tr_ms), ("TE", series.te_ms), ("TI", series.ti_ms)]


def origin_lines(result: EdemaResult) -> list[str]:
    """Return how the result came about: program, detector, models, grid."""
    origin = result.provenance
    models = [f"{name} {sha256[:12]}" for name, sha256 in origin.models.items()]
    made_by = f"models {', '.join(models)}" if models else "no model"
    spacing = " x ".join(f"{mm:.2f}" for mm in result.pair.grid.spacing_mm)
    return [
        f"bmepipe {origin.version}, detector {origin.detector}",
        f"{made_by}; bones as given" if bones_given(result) else made_by,
        f"{result.pair.grid.plane} slices, voxels {spacing} mm",
    ]


def bones_given(result: EdemaResult) -> bool:
    """Say whether the bones are the user's own, not of the site's model."""
    return result.site.model not in result.provenance.models


def telling_slices(layers: Layers, per_bone: int) -> list[int]:
    """Return the slices that show the edema of every bone best, in order.

    For each bone those with the largest area of edema in it, no two of them adjacent.
    """
    chosen: set[int] = set()
    inside = np.where(layers.edema, layers.bones, 0)
    for label in np.unique(inside[inside > 0]):
        area = (inside == label).sum(axis=(1, 2))
        best: list[int] = []
        for index in np.argsort(-area, kind="stable"):
            if area[index] and len(best) < per_bone and all(abs(index - b) > 1 for b in best):
                best.append(int(index))
        chosen |= set(best)
    return sorted(chosen)


def representative_slices(bones: NDArray, count: int) -> list[int]:
    """Return `count` slices spread over those that show bone (all slices if none does)."""
    with_bone = np.flatnonzero(bones.any(axis=(1, 2)))
    if with_bone.size == 0:
        with_bone = np.arange(bones.shape[0])
    places = (np.arange(count) + 0.5) * with_bone.size / count
    return sorted({int(with_bone[int(place)]) for place in places})
