"""The basivertebral vein: bright, in every vertebra, and no edema.

It leaves the body through the middle of its back wall and reaches forwards to about its centre; on
fat-suppressed images it is a wedge of 5 by 10 mm in one or two sagittal slices near the midline.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bmepipe.volume import Volume

MOST_MM3 = 400.0
MOST_HEIGHT_MM = 8.0
MIDDLE = (0.28, 0.72)  # of the body's height; edema at an endplate or corner lies beyond
MOST_REACH = 0.7  # of the body's depth, from its back wall
BACK_WALL_MM = 4.0
_WIDTH_MM = 4.0  # of the section of the body that is looked at
_CONTIGUOUS_MM = 1.5  # or a little more than the slices' distance, where that is larger


def is_vertebra(name: str) -> bool:
    """Say whether a bone is a vertebra with a body, by its name.

    >>> is_vertebra("L4"), is_vertebra("sacrum"), is_vertebra("C2")
    (True, False, True)
    """
    return re.fullmatch(r"[CTL]\d{1,2}", name) is not None


def is_any_vertebra(name: str) -> bool:
    """Say whether a bone is a vertebra with a body, of a known level or numbered from the top.

    >>> is_any_vertebra("L4"), is_any_vertebra("vertebra_2"), is_any_vertebra("sacrum")
    (True, True, False)
    """
    return is_vertebra(name) or name.startswith("vertebra_")


def is_basivertebral(index: NDArray[np.intp], bones: Volume, label: int) -> bool:
    """Say whether a candidate lies where the basivertebral vein does, and is as small.

    Parameters
    ----------
    index : ndarray, shape (n, 3)
        Voxels of the candidate.
    bones : Volume of uint8
    label : int
        Of the vertebra.
    """
    grid = bones.grid
    if len(index) * grid.voxel_ml * 1000 > MOST_MM3:
        return False
    points = grid.to_world(index)
    if np.ptp(points[:, 2]) > MOST_HEIGHT_MM:
        return False
    middle = points.mean(axis=0)
    body = grid.to_world(np.argwhere(bones.data == label))
    half = max(_WIDTH_MM, grid.spacing_mm[grid.slice_axis]) / 2
    body = body[np.abs(body[:, 0] - middle[0]) <= half]
    gap_mm = max(_CONTIGUOUS_MM, 1.1 * max(grid.spacing_mm))
    heights = _run(body[np.abs(body[:, 1] - middle[1]) <= half][:, 2], middle[2], gap_mm)
    depths = _run(body[np.abs(body[:, 2] - middle[2]) <= half][:, 1], middle[1], gap_mm)
    if heights is None or depths is None:
        return False
    height = (middle[2] - heights[0]) / (heights[1] - heights[0])
    reach = (points[:, 1].max() - depths[0]) / (depths[1] - depths[0])
    at_the_back = points[:, 1].min() - depths[0] <= BACK_WALL_MM
    return bool(MIDDLE[0] < height < MIDDLE[1] and reach < MOST_REACH and at_the_back)


def _run(places: NDArray[np.float64], at: float, gap_mm: float) -> tuple[float, float] | None:
    """Return the ends of the unbroken run of `places` that holds `at`; None if it has no length."""
    ordered = np.unique(np.round(places, 2))
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > gap_mm) + 1)
    for group in groups:
        if len(group) > 1 and group[0] - gap_mm <= at <= group[-1] + gap_mm:
            return float(group[0]), float(group[-1])
    return None
