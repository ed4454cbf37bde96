"""Count: one row per bone, with a low and a high value for every volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.lesions import Found
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.reference import Reference, present_labels
from bmepipe.result import BoneMeasurement
from bmepipe.site import Bone, Site
from bmepipe.study import Pair
from bmepipe.volume import Volume


def measure(
    case: str,
    pair: Pair,
    bones: Volume,
    assessable: Volume,
    found: Found,
    site: Site,
    reasons: Mapping[int, str],
) -> tuple[BoneMeasurement, ...]:
    """Return one row for each bone of the site that occurs in the label map, by label.

    Parameters
    ----------
    case : str
    pair : Pair
    bones : Volume of uint8
    assessable : Volume of bool
    found : Found
    site : Site
    reasons : mapping of int to str
        Why bones cannot be measured, by label, as `measurable.unmeasurable` tells.
    """
    rows = []
    for label in present_labels(bones):
        bone = site.bone(label)
        mask = bones.data == label
        bone_ml = float(np.count_nonzero(mask) * bones.grid.voxel_ml)
        judged_ml = float(np.count_nonzero(mask & assessable.data) * bones.grid.voxel_ml)
        if label in reasons:
            rows.append(_empty_row(case, site, bone, bone_ml, judged_ml, reasons[label]))
        else:
            rows.append(_row(case, site, bone, mask, judged_ml, pair, found))
    return tuple(rows)


def _row(
    case: str,
    site: Site,
    bone: Bone,
    mask: NDArray[np.bool_],
    judged_ml: float,
    pair: Pair,
    found: Found,
) -> BoneMeasurement:
    voxel_ml = pair.grid.voxel_ml
    edema = found.edema.data & mask
    low, high = (edema if part is None else part & mask for part in (found.low, found.high))
    edema_ml, low_ml, high_ml = (
        float(np.count_nonzero(part) * voxel_ml) for part in (edema, low, high)
    )
    bone_ml = float(np.count_nonzero(mask) * voxel_ml)
    sizes = [lesion.lesion_ml for lesion in found.lesions if lesion.bone == bone.name]
    return BoneMeasurement(
        case=case,
        site=site.name,
        bone=bone.name,
        bone_ml=bone_ml,
        edema_ml=edema_ml,
        edema_ml_low=low_ml,
        edema_ml_high=high_ml,
        edema_percent=100 * edema_ml / judged_ml,
        assessable_percent=100 * (judged_ml / bone_ml),
        lesion_count=len(sizes),
        largest_lesion_ml=max(sizes, default=0.0),
        t1_ratio=None if found.marrow.t1 is None else _median_ratio(found.marrow.t1, edema),
        t2fs_ratio=_median_ratio(found.marrow.t2fs, edema),
        note=_note(bone.label, found.marrow),
    )


def _note(label: int, marrow: Marrow) -> str:
    if label in marrow.borrowed:
        return "judged by the neighbouring bones' normal marrow"
    if label in marrow.red_or_filled:
        return (
            "filled by red marrow or by mild edema: PD-FS does not tell; judged by its own marrow"
        )
    if label in marrow.bright:
        told = "without a T1" if marrow.t1 is None else "not darker on T1"
        return f"brighter than the other bones, {told}: judged by its own marrow"
    return ""


def _empty_row(
    case: str, site: Site, bone: Bone, bone_ml: float, judged_ml: float, why_not: str
) -> BoneMeasurement:
    return BoneMeasurement(
        case=case,
        site=site.name,
        bone=bone.name,
        bone_ml=bone_ml,
        edema_ml=None,
        edema_ml_low=None,
        edema_ml_high=None,
        edema_percent=None,
        assessable_percent=100 * (judged_ml / bone_ml),
        lesion_count=None,
        largest_lesion_ml=None,
        t1_ratio=None,
        t2fs_ratio=None,
        note=why_not,
    )


def _median_ratio(reference: Reference, mask: NDArray[np.bool_]) -> float | None:
    values = reference.ratio[mask]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
