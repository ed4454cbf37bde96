"""Vertebral bodies cut apart, and parted from the sacrum.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from bmepipe.analysis.column import LUMBAR, Column, heights_mm

CERTAINTIES = (0.7, 0.8, 0.9, 0.95, 0.98)
# A neck has less than this share of the widest section, and what follows is wider by this.
NECK, WIDER = 0.6, 1.3
# The lowest body is a piece of S1 if much smaller than the next one, and both reach the sacrum.
S1_PART, S1_REACH_MM, L5_REACH_MM = 0.6, 16.0, 26.0
# Between S1 and S2 a remnant of the disc is left; what is smaller is noise.
REMNANT_MM, LEAST_PIECE_MM3 = 5.0, 1000.0


def split_vertebrae(
    vertebrae: NDArray[np.bool_],
    spacing_mm: float,
    certainty: NDArray[np.float32] | None = None,
    column: Column = LUMBAR,
) -> NDArray[np.int32]:
    """Return each vertebra of a column with a number of its own, from 1; 0 outside.

    Bodies are what is left when the mask is eroded by `core_depth_mm`. Two that a narrow disc joins
    come apart at a higher certainty: a core is split where two parts of `least_part_ml` lie
    `least_step_mm` apart. Every voxel then goes to the body that floods it first.
    """
    depth = _depth_mm(vertebrae, spacing_mm)
    voxel_ml = spacing_mm**3 / 1000
    cores = _parts(depth > column.core_depth_mm, column.least_core_ml / voxel_ml)
    if certainty is not None:
        for limit in CERTAINTIES:
            cores = _split(cores, certainty > limit, column, spacing_mm)
    if not cores.any():
        return np.zeros(vertebrae.shape, np.int32)
    height = -depth if certainty is None else -certainty * np.minimum(depth, column.core_depth_mm)
    return watershed(height, cores, mask=vertebrae).astype(np.int32)


def _depth_mm(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float64]:
    """Return the depth below the mask's surface; the field's ends are none."""
    padded = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))
    return np.asarray(padded[1:-1, 1:-1, 1:-1] * spacing_mm)


def _parts(mask: NDArray[np.bool_], least: float) -> NDArray[np.int32]:
    """Return the connected parts of at least so many voxels, numbered from 1."""
    labels, count = ndimage.label(mask)
    keep = np.flatnonzero(np.bincount(labels.ravel(), minlength=count + 1) >= least)
    table = np.zeros(count + 1, np.int32)
    table[keep[keep > 0]] = np.arange(1, np.count_nonzero(keep) + 1)
    return table[labels]


def _split(
    cores: NDArray[np.int32], certain: NDArray[np.bool_], column: Column, spacing_mm: float
) -> NDArray[np.int32]:
    """Return the cores, those replaced by their certain parts that have two of them apart."""
    new = cores.copy()
    least = column.least_part_ml * 1000 / spacing_mm**3
    for core, box in enumerate(ndimage.find_objects(cores), start=1):
        own = cores[box] == core
        parts = _parts(own & certain[box], least)
        count = int(parts.max())
        if count < 2:
            continue
        centres = ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))
        heights = np.sort([centre[2] for centre in centres]) * spacing_mm
        if np.diff(heights).max() < column.least_step_mm:
            continue
        highest = new.max()
        new[box][own] = 0
        new[box][parts > 0] = parts[parts > 0] + highest
    return _renumbered(new)


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    taken = np.bincount(labels.ravel()) > 0
    taken[0] = False
    return np.cumsum(taken).astype(np.int32)[labels]


def without_next(bodies: NDArray[np.int32], column: Column = LUMBAR) -> NDArray[np.int32]:
    """Return the bodies, the last one without what a neck parts from it.

    The field's end leaves a sliver of the next vertebra, too thin for a core of its own; where the
    disc is taken for bone in part, it hangs on the last body. Last is the one furthest from the
    anchor.
    """
    sign = 1 if column.upwards else -1
    heights = heights_mm(bodies, 1.0)
    if not heights:
        return bodies
    last = max(heights, key=lambda n: sign * heights[n])
    areas = np.count_nonzero(bodies == last, axis=(0, 1))[::sign]  # the field's end comes last
    widest = int(areas.argmax())
    neck = widest
    for place in range(widest, len(areas)):
        if areas[place] <= areas[neck]:
            neck = place
        elif areas[neck] < NECK * areas[widest] and areas[place] > WIDER * areas[neck]:
            beyond = np.arange(len(areas)) >= neck
            return np.where((bodies == last) & beyond[::sign], 0, bodies)
    return bodies


def half_taken(
    vertebrae: NDArray[np.bool_],
    sacrum: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> NDArray[np.bool_]:
    """Return the sacrum's voxels in parts of the column that are vertebrae for the most part.

    A disc parts L5 from the sacrum, so that a body is one or the other as a whole.
    """
    both = vertebrae | sacrum
    depth_mm = _depth_mm(both, spacing_mm)
    cores = _parts(depth_mm > column.core_depth_mm, 1)
    parts = watershed(-depth_mm, cores, mask=both)
    sizes = np.bincount(parts.ravel())
    doubtful = np.bincount(parts[sacrum], minlength=len(sizes)) < 0.5 * sizes
    doubtful[0] = False
    return doubtful[parts] & sacrum


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


def left_over_of_s1(
    left_over: NDArray[np.bool_], sacrum: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return the vertebra's voxels beside the sacrum that belong to no body: they are S1's."""
    if not sacrum.any() or not left_over.any():
        return np.zeros(left_over.shape, bool)
    away_mm = ndimage.distance_transform_edt(~sacrum, sampling=spacing_mm)
    parts = _parts(left_over, LEAST_PIECE_MM3 / spacing_mm**3)
    kept = ndimage.minimum(away_mm, parts, range(int(parts.max()) + 1)) <= REMNANT_MM
    kept[0] = False
    return kept[parts]


def between_s1_and_s2(
    sacrum: NDArray[np.bool_], free: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return the remnant of the disc between two pieces of the sacrum, where nothing else lies."""
    parts = _parts(sacrum, LEAST_PIECE_MM3 / spacing_mm**3)
    count = int(parts.max())
    if count < 2:
        return np.zeros(sacrum.shape, bool)
    away_mm = np.sort(
        [
            ndimage.distance_transform_edt(parts != n, sampling=spacing_mm)
            for n in range(1, count + 1)
        ],
        axis=0,
    )
    return free & (away_mm[0] + away_mm[1] <= REMNANT_MM + 2 * spacing_mm)
