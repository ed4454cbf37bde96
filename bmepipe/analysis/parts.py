"""Connected parts of a mask: seeded, touching another, judged one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.depth import opened
from bmepipe.analysis.region import Box, around, within
from bmepipe.volume import Grid

CORNERS = np.ones((3, 3, 3), bool)  # neighbours that share a corner are one part
THICK_MM = 2.5  # radius; half of a growth plate is thinner
Rejected = tuple[NDArray[np.bool_], Box, str]  # within its box, and the reason


def labelled(
    mask: NDArray[np.bool_], structure: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int32], int]:
    """Return the numbers of the components of `mask` and how many they are, as `ndimage.label`.

    Only the box around what is marked is looked through: lesions fill little of a scan.
    """
    labels = np.zeros(mask.shape, np.int32, order="F")
    if not mask.any():
        return labels, 0
    box = around(mask, (0,) * mask.ndim)
    labels[box], count = ndimage.label(mask[box], structure)
    return labels, count


def boxes_of(labels: NDArray[np.int32]) -> list[Box | None]:
    """Return the box of each number, None of one that is not there, as `ndimage.find_objects`."""
    if not labels.any():
        return []
    i, j, k = around(labels > 0, (0, 0, 0))
    whole = (i, j, k)
    return [
        None if box is None else within(box, whole) for box in ndimage.find_objects(labels[whole])
    ]


def hysteresis(bright: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> tuple[NDArray, list[Box]]:
    """Return labels of the components of `bright` that hold a seed, and their boxes.

    Neighbours share a face, so that two structures touching at a corner stay two.

    Examples
    --------
    >>> bright = np.array([[[1, 1, 0, 1, 0]]], bool)
    >>> labels, boxes = hysteresis(bright, np.array([[[0, 1, 0, 0, 0]]], bool))
    >>> labels.tolist(), len(boxes)
    ([[[1, 1, 0, 0, 0]]], 1)
    """
    labels, count = labelled(bright)
    seeded = np.unique(labels[seeds])
    table = np.zeros(count + 1, np.int32)
    table[seeded[seeded > 0]] = np.arange(1, np.count_nonzero(seeded) + 1)
    labels = table[labels]
    return labels, [box for box in boxes_of(labels) if box is not None]


def pieces_of(mask: NDArray[np.bool_]) -> tuple[NDArray, list[Box]]:
    """Return labels of the components of `mask`, joined at corners too, and their boxes."""
    labels, _ = labelled(mask, CORNERS)
    return labels, [box for box in boxes_of(labels) if box is not None]


def thick_parts(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return the parts of `mask` that a circle of `THICK_MM` fits into within the slice."""
    thick = opened(np.pad(mask, 1), THICK_MM, grid.flat_spacing_mm)
    return thick[1:-1, 1:-1, 1:-1]


def large_parts(mask: NDArray[np.bool_], grid: Grid, least_ml: float) -> NDArray[np.bool_]:
    """Return the connected parts of `mask` of at least `least_ml`."""
    labels, _ = labelled(mask)
    keep = np.bincount(labels.ravel()) * grid.voxel_ml >= least_ml
    keep[0] = False
    return keep[labels]


def parts_touching(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the components of `mask` that share a voxel with `other`.

    >>> parts_touching(np.array([[[1, 0, 1]]], bool), np.array([[[0, 0, 1]]], bool)).tolist()
    [[[False, False, True]]]
    """
    labels, count = labelled(mask, CORNERS)
    keep = np.zeros(count + 1, bool)
    keep[labels[other]] = True
    keep[0] = False
    return keep[labels]


def sift(
    labels: NDArray, boxes: Sequence[Box], judge: Callable[[NDArray[np.bool_], Box], str]
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return the components that `judge` has no reason against, and the others with theirs."""
    kept = np.zeros(labels.shape, bool)
    rejected = []
    for number, box in enumerate(boxes, start=1):
        mask = labels[box] == number
        reason = judge(mask, box)
        if reason:
            rejected.append((mask, box, reason))
        else:
            kept[box] |= mask
    return kept, rejected
