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
LEAST_PART_ML = 2.0
CERTAINTIES = (0.7, 0.8, 0.9, 0.95, 0.98)
LEAST_STEP_MM = 23.0  # between the middles of neighbouring bodies; the smallest adult's is 25
MOST_STEP_MM = 48.0  # and the tallest's is 42: beyond it a vertebra was overlooked
LEAST_SACRUM_ML = 5.0
# The lowest body is a piece of S1 if much smaller than the next one, and both reach the sacrum.
S1_PART, S1_REACH_MM, L5_REACH_MM = 0.6, 16.0, 26.0


def site_bones(
    kinds: NDArray[np.uint8],
    names: Mapping[int, str],
    site: Site,
    spacing_mm: float,
    certainty: NDArray[np.float32] | None = None,
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
    certainty : ndarray of float32, same shape, optional
        The network's probability of each voxel's kind; it is lower in a narrow disc that was taken
        for bone.

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
        bodies = split_vertebrae(kinds == kind_of["vertebra"], spacing_mm, certainty)
        first = piece_of_s1(bodies, sacrum, spacing_mm)
        sacrum |= first
        found[first] = numbers.get("sacrum", 0)
        bodies[first] = 0
        for body, name in name_levels(bodies, sacrum, spacing_mm).items():
            if name in numbers:
                found[bodies == body] = numbers[name]
    if "hip_bone" in kind_of and {"ilium_left", "ilium_right"} <= numbers.keys():
        right = right_of_middle(kinds > 0, sacrum)
        for side, where in (("ilium_right", right), ("ilium_left", ~right)):
            found[(kinds == kind_of["hip_bone"]) & where] = numbers[side]
    return found


def split_vertebrae(
    vertebrae: NDArray[np.bool_],
    spacing_mm: float,
    certainty: NDArray[np.float32] | None = None,
) -> NDArray[np.int32]:
    """Return each vertebra of a column with a number of its own, from 1; 0 outside.

    Bodies are what is left when the mask is eroded by `CORE_DEPTH_MM`. Two that a narrow disc joins
    come apart at a higher certainty: a core is split where two parts of `LEAST_PART_ML` lie
    `LEAST_STEP_MM` apart. Every voxel then goes to the body that floods it first.
    """
    depth = ndimage.distance_transform_edt(np.pad(vertebrae, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    depth = depth * spacing_mm
    voxel_ml = spacing_mm**3 / 1000
    cores = _parts(depth > CORE_DEPTH_MM, LEAST_CORE_ML / voxel_ml)
    if certainty is not None:
        for limit in CERTAINTIES:
            cores = _split(cores, certainty > limit, LEAST_PART_ML / voxel_ml, spacing_mm)
    if not cores.any():
        return np.zeros(vertebrae.shape, np.int32)
    height = -depth if certainty is None else -certainty * np.minimum(depth, CORE_DEPTH_MM)
    return watershed(height, cores, mask=vertebrae).astype(np.int32)


def _parts(mask: NDArray[np.bool_], least: float) -> NDArray[np.int32]:
    """Return the connected parts of at least so many voxels, numbered from 1."""
    labels, count = ndimage.label(mask)
    keep = np.flatnonzero(np.bincount(labels.ravel(), minlength=count + 1) >= least)
    table = np.zeros(count + 1, np.int32)
    table[keep[keep > 0]] = np.arange(1, np.count_nonzero(keep) + 1)
    return table[labels]


def _split(
    cores: NDArray[np.int32], certain: NDArray[np.bool_], least: float, spacing_mm: float
) -> NDArray[np.int32]:
    """Return the cores, those replaced by their certain parts that have two of them apart."""
    new = cores.copy()
    for core in range(1, int(cores.max()) + 1):
        parts = _parts((cores == core) & certain, least)
        count = int(parts.max())
        if count < 2:
            continue
        centres = ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))
        heights = np.sort([centre[2] for centre in centres]) * spacing_mm
        if np.diff(heights).max() < LEAST_STEP_MM:
            continue
        new[cores == core] = 0
        new[parts > 0] = parts[parts > 0] + new.max()
    return _renumbered(new)


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def piece_of_s1(
    bodies: NDArray[np.int32], sacrum: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return where the lowest body is none, but a piece of S1 that was taken for a vertebra."""
    nothing = np.zeros(bodies.shape, bool)
    numbers = [int(n) for n in np.unique(bodies) if n]
    if len(numbers) < 2 or not sacrum.any():
        return nothing
    centres = {n: ndimage.center_of_mass(bodies == n) for n in numbers}
    lowest, above = sorted(numbers, key=lambda n: centres[n][2])[:2]
    points = np.argwhere(sacrum) * spacing_mm

    def reach(n: int) -> float:
        away = points - np.array(centres[n]) * spacing_mm
        return float(np.sqrt((away**2).sum(axis=1).min()))

    sizes = np.bincount(bodies.ravel())
    small = sizes[lowest] < S1_PART * sizes[above]
    if small and reach(lowest) < S1_REACH_MM and reach(above) < L5_REACH_MM:
        return bodies == lowest
    return nothing


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
    sizes = np.bincount(bodies.ravel())
    below, last = None, top
    for n in order:
        if below is not None and heights[n] - last < LEAST_STEP_MM:
            named[n] = named[below]  # a second piece of the same vertebra
            if sizes[n] > sizes[below]:
                below, last = n, heights[n]
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
