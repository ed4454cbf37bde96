"""The line of a joint between two bones: from their labels, or where these do not give it.

At the sacroiliac joint the bones are often drawn as one region around the joint; what edema means
there depends on how near the joint it lies (ASAS: subchondral or periarticular).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.marrow import Marrow, smooth_in_plane
from bmepipe.study import Pair
from bmepipe.volume import Volume

DARK_T1_RATIO = 0.6  # joint space with its two subchondral plates, against normal marrow
BRIGHT_T1_RATIO = 0.75
FLANK_MM = 10.0  # marrow lies within this on both sides of a joint, and not of an outer cortex
MIDLINE_MM = 20.0  # nearer to the midline are discs, facets and foramina
LEAST_LENGTH_MM = 25.0  # a sacroiliac joint is some 40 x 70 mm; foramina and sutures are shorter
GAP_MM = 6.0  # the widest joint space, with its two subchondral plates, between labelled bones


def joint_between(bones: Volume, first: Sequence[int], second: Sequence[int]) -> NDArray[np.bool_]:
    """Return where two bones, or groups of bones, face each other across no more than `GAP_MM`.

    Parameters
    ----------
    bones : Volume of uint8
    first, second : sequence of int
        Labels on either side.

    Returns
    -------
    ndarray of bool, shape of the grid
        The gap and the bones' surfaces along it; empty where one of them is missing.
    """
    sides = [np.isin(bones.data, labels) for labels in (first, second)]
    if not all(side.any() for side in sides):
        return np.zeros(bones.grid.shape, bool)
    away_mm = [depth_mm(~side, bones.grid.spacing_mm) for side in sides]
    return away_mm[0] + away_mm[1] <= GAP_MM


def joint_line(pair: Pair, bones: Volume, marrow: Marrow) -> NDArray[np.bool_]:
    """Find the joints that run up and down on either side of the midline.

    A joint is dark on T1, has marrow to its left and to its right, lies away from the midline of
    the bones and is long.

    Parameters
    ----------
    pair : Pair
        With a T1.
    bones : Volume of uint8
    marrow : Marrow

    Returns
    -------
    ndarray of bool, shape of the grid
        Empty where no T1 is there or nothing looks like a joint.
    """
    empty = np.zeros(bones.grid.shape, bool)
    if pair.t1 is None or marrow.t1 is None:
        return empty
    centre = np.where(
        np.isfinite(marrow.t1.centre), marrow.t1.centre, np.nanmedian(marrow.t1.centre)
    )
    ratio = smooth_in_plane(pair.t1.data, pair.grid, 0.6) / centre
    bright = marrow.interior & (ratio > BRIGHT_T1_RATIO)
    flanked = marrow_on_both_sides(bright, pair)
    dark = flanked & (ratio < DARK_T1_RATIO) & away_from_midline(bones)
    labels, _ = ndimage.label(dark, np.ones((3, 3, 3)))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[box] == number
        spans = [
            (s.stop - s.start) * step for s, step in zip(box, pair.grid.spacing_mm, strict=True)
        ]
        if np.linalg.norm(spans) > LEAST_LENGTH_MM and mask.sum() * pair.grid.voxel_ml > 0.1:
            empty[box] |= mask
    return empty


def marrow_on_both_sides(bright: NDArray[np.bool_], pair: Pair) -> NDArray[np.bool_]:
    """Return where `bright` occurs within `FLANK_MM` both to the left and to the right."""
    axis = int(np.argmax(np.abs(pair.grid.directions[0])))
    reach = max(1, round(FLANK_MM / pair.grid.spacing_mm[axis]))
    solid = ndimage.binary_opening(bright, in_plane_square(pair.grid.slice_axis))
    before, after = (
        ndimage.maximum_filter1d(
            solid.astype(np.uint8), reach, axis=axis, origin=origin, mode="constant"
        )
        for origin in ((reach - 1) // 2, -(reach // 2))
    )
    return (before > 0) & (after > 0)


def in_plane_square(slice_axis: int) -> NDArray[np.bool_]:
    """Return a structure of three by three voxels within a slice."""
    shape = [3, 3, 3]
    shape[slice_axis] = 1
    return np.ones(shape, bool)


def away_from_midline(bones: Volume) -> NDArray[np.bool_]:
    """Return the voxels more than `MIDLINE_MM` left or right of the bones' middle."""
    grid = bones.grid
    i, j, k = (np.arange(n, dtype=np.float64) for n in grid.shape)
    a, b, c, d = grid.affine[0]
    right = (a * i)[:, None, None] + (b * j)[None, :, None] + (c * k)[None, None, :] + d
    return np.abs(right - np.median(right[bones.data > 0])) > MIDLINE_MM
