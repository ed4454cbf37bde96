"""From kinds of bone to a site's own bones: vertebrae counted from the sacrum, left from right.

A network tells vertebra, sacrum and hip bone; which vertebra and which side follows from where they
lie. Arrays here are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from bmepipe.site import Site

UPWARDS = ("L5", "L4", "L3", "L2", "L1", "T12")  # counted up from the sacrum
CORE_DEPTH_MM = 5.0  # arches and processes are thinner than twice this, bodies are not
LEAST_CORE_ML = 0.8
LEAST_STEP_MM = 14.0  # between the middles of neighbouring bodies; the smallest adult's is 25
MOST_STEP_MM = 48.0  # and the tallest's is 42: beyond it a vertebra was overlooked
LEAST_SACRUM_ML = 5.0


def site_bones(
    kinds: NDArray[np.uint8], names: Mapping[int, str], site: Site, spacing_mm: float
) -> NDArray[np.uint8]:
    """Return the site's labels for a label map of kinds of bone.

    Parameters
    ----------
    kinds : ndarray of uint8, shape (x, y, z)
        Indexed along right, front and up.
    names : mapping of int to str
        What the labels of `kinds` mean.
    site : Site
    spacing_mm : float
        Isotropic.

    Returns
    -------
    ndarray of uint8, same shape
        Kinds that the site does not have are left out.
    """
    numbers = {bone.name: bone.label for bone in site.bones}
    kind_of = {name: label for label, name in names.items()}
    found = np.zeros(kinds.shape, np.uint8)
    for name, label in kind_of.items():
        if name in numbers:
            found[kinds == label] = numbers[name]
    sacrum = kinds == kind_of.get("sacrum", 0)
    sacrum &= kinds > 0
    if "vertebra" in kind_of and numbers.keys() & set(UPWARDS):
        bodies = split_vertebrae(kinds == kind_of["vertebra"], spacing_mm)
        for body, name in name_levels(bodies, sacrum, spacing_mm).items():
            if name in numbers:
                found[bodies == body] = numbers[name]
    if "hip_bone" in kind_of and {"ilium_left", "ilium_right"} <= numbers.keys():
        right = right_of_middle(kinds > 0, sacrum)
        for side, where in (("ilium_right", right), ("ilium_left", ~right)):
            found[(kinds == kind_of["hip_bone"]) & where] = numbers[side]
    return found


def split_vertebrae(vertebrae: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.int32]:
    """Return each vertebra of a column with a number of its own, from 1; 0 outside.

    Bodies are what is left when the mask is eroded by `CORE_DEPTH_MM`; every voxel then goes to the
    body that floods it first, so that arches go with their bodies though facets touch.
    """
    depth = ndimage.distance_transform_edt(np.pad(vertebrae, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    depth = depth * spacing_mm
    cores, count = ndimage.label(depth > CORE_DEPTH_MM)
    if not count:
        return np.zeros(vertebrae.shape, np.int32)
    large = np.bincount(cores.ravel()) * spacing_mm**3 / 1000 >= LEAST_CORE_ML
    large[0] = False
    return watershed(-depth, np.where(large[cores], cores, 0), mask=vertebrae).astype(np.int32)


def name_levels(
    bodies: NDArray[np.int32], sacrum: NDArray[np.bool_], spacing_mm: float
) -> dict[int, str]:
    """Return the names of the vertebrae, counted up from the sacrum; none if no sacrum is seen.

    Without a sacrum the level is unknown, and a wrong name is worse than none. Counting stops where
    a step up is so long that a vertebra must be missing.
    """
    if np.count_nonzero(sacrum) * spacing_mm**3 / 1000 < LEAST_SACRUM_ML:
        return {}
    numbers = [int(n) for n in np.unique(bodies) if n]
    centres = ndimage.center_of_mass(bodies > 0, bodies, numbers)
    heights = {n: c[2] * spacing_mm for n, c in zip(numbers, centres, strict=True)}
    floor = float(np.percentile(np.nonzero(sacrum)[2], 60)) * spacing_mm
    top = float(np.percentile(np.nonzero(sacrum)[2], 98)) * spacing_mm
    order = sorted((n for n in numbers if heights[n] > floor), key=lambda n: heights[n])
    named: dict[int, str] = {}
    below, last = None, top
    for n in order:
        if below is not None and heights[n] - last < LEAST_STEP_MM:
            named[n] = named[below]  # a second piece of the same vertebra
            continue
        if heights[n] - last > MOST_STEP_MM or len(set(named.values())) == len(UPWARDS):
            break
        named[n] = UPWARDS[len(set(named.values()))]
        below, last = n, heights[n]
    return named


def right_of_middle(bones: NDArray[np.bool_], sacrum: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which voxels lie to the right of the middle of the sacrum, or of all bones."""
    marks = sacrum if sacrum.any() else bones
    middle = np.median(np.nonzero(marks)[0]) if marks.any() else bones.shape[0] / 2
    right = np.arange(bones.shape[0])[:, None, None] > middle
    return np.broadcast_to(right, bones.shape)
