"""Which bones cannot be measured, and why: their row says None, and nothing is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.lesions import Found
from bmepipe.analysis.reference import MIN_MARROW_ML, present_labels
from bmepipe.analysis.untold import WHOLE_BONE, untold_bones
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Volume

LEAST_ASSESSABLE_PERCENT = 10.0
# Of a bone, in which a lesion can begin: within its margin, and not in slices that it fills in
# part. Sound bones of scans and phantoms had 0.35 and more; one that only two thick slices show has
# nothing, and its 0 mL would be false.
LEAST_SEARCHED_PERCENT = 10.0


def unmeasurable(pair: Pair, bones: Volume, assessable: Volume, found: Found) -> dict[int, str]:
    """Return why bones cannot be measured, by label; those that can are not in it.

    Parameters
    ----------
    pair : Pair
    bones : Volume of uint8
    assessable : Volume of bool
    found : Found
    """
    whole = _ml(bones, None)
    judged = _ml(bones, assessable.data)
    searched = judged if found.searched is None else _ml(bones, assessable.data & found.searched)
    bright = untold_bones(pair, found.marrow)
    reasons = {
        label: WHOLE_BONE
        if label in bright
        else _why_not(
            whole[label], judged[label], searched[label], label not in found.marrow.unjudged
        )
        for label in present_labels(bones)
    }
    return {label: reason for label, reason in reasons.items() if reason}


def _ml(bones: Volume, where: NDArray[np.bool_] | None) -> NDArray[np.floating]:
    """Return the volume of each label within `where`, or of all of it."""
    labels = bones.data.ravel() if where is None else bones.data[where]
    return np.bincount(labels, minlength=256) * bones.grid.voxel_ml


def _why_not(bone_ml: float, judged_ml: float, searched_ml: float, has_reference: bool) -> str:
    """Return why a bone cannot be measured; an empty string if it can.

    Examples
    --------
    >>> _why_not(20.0, 0.0, 0.0, True)
    'nothing of the bone can be judged'
    >>> _why_not(2.0, 2.0, 0.0, True)
    'the bone is too thin here to be judged: hardly any slice is filled by it'
    """
    if judged_ml == 0:
        return "nothing of the bone can be judged"
    if 100 * (judged_ml / bone_ml) < LEAST_ASSESSABLE_PERCENT:
        return f"only {100 * judged_ml / bone_ml:.0f} % of the bone can be judged"
    if not has_reference or bone_ml < MIN_MARROW_ML:
        return f"too little marrow to judge ({bone_ml:.1f} mL of bone)"
    if 100 * (searched_ml / judged_ml) < LEAST_SEARCHED_PERCENT:
        return "the bone is too thin here to be judged: hardly any slice is filled by it"
    return ""


def without_unmeasurable(
    found: Found, reasons: Mapping[int, str], bones: Volume, site: Site
) -> Found:
    """Return what was found without the lesions of bones that cannot be measured.

    They become rejected candidates: a mask or a list must not show what the bone's row denies.
    """
    there = np.isin(bones.data, list(reasons))
    names = {site.bone(label).name: reason for label, reason in reasons.items()}
    kept = [lesion for lesion in found.lesions if lesion.bone not in names]
    if len(kept) == len(found.lesions):
        return found
    numbers = np.zeros(len(found.lesions) + 1, found.lesion_map.data.dtype)
    for number, lesion in enumerate(kept, start=1):
        numbers[lesion.number] = number
    dropped = tuple(
        replace(lesion, number=0, rejected_as=f"its bone is not measured: {names[lesion.bone]}")
        for lesion in found.lesions
        if lesion.bone in names
    )
    low, high = (None if part is None else part & ~there for part in (found.low, found.high))
    lesion_map = np.where(there, 0, numbers[found.lesion_map.data])
    return replace(
        found,
        edema=found.edema.with_data(np.asfortranarray(found.edema.data & ~there)),
        lesion_map=found.lesion_map.with_data(np.asfortranarray(lesion_map)),
        lesions=tuple(replace(one, number=n) for n, one in enumerate(kept, start=1)),
        rejected=(*found.rejected, *dropped),
        low=low,
        high=high,
    )
