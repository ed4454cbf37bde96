"""How much of the fat-suppressed series the T1 covers: fewer slices, a smaller or a turned field.

Where there is no T1 its voxels are 0. A bone network saw nothing there and lost the bone, and a
lesion with it; what was left counted as lost signal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.tissue import is_tissue
from bmepipe.volume import Grid, Volume

MOST_UNCOVERED = 0.25  # of the tissue: with more the T1 is no second witness, and is left out
LEAST_UNCOVERED = 0.01  # less are stray rows at the field's ends
RIM_MM = 5.0  # within a slice; a patient who moved leaves a rim where a scanner writes 0 for air


def not_covered(t1: Volume, t2fs: Volume) -> NDArray[np.bool_]:
    """Return the voxels that the T1 does not cover, none if there is hardly tissue in them.

    A field is convex, however it is turned: what lies between two voxels that are not exactly 0,
    along a row, a column or through the slices, is in it. A box around them would hold the wedges
    that a turned field leaves at its ends.

    Parameters
    ----------
    t1, t2fs : Volume of float32
        On one grid.

    Examples
    --------
    A field turned within the slice, 0 at two voxels of its own:

    >>> from bmepipe.volume import Grid
    >>> rows = ["11111", "01110", "11000", "10000"]
    >>> t1 = np.array([list(row) for row in rows], float)[..., None]
    >>> grid = Grid(t1.shape, np.diag([8.0, 8, 4, 1]))
    >>> not_covered(Volume(t1, grid), Volume(np.full_like(t1, 9), grid))[..., 0].astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 0, 0, 0, 1],
           [0, 0, 1, 1, 1],
           [0, 1, 1, 1, 1]])
    """
    signal = t1.data != 0
    outside = ~signal
    if not outside.any():  # the usual case, asked more than once in a run
        return outside
    for axis in range(3):
        outside &= ~_between(signal, axis)
    if outside.any():
        outside = _without_rims(outside, t2fs.grid)
    return outside if _share(outside, t2fs) > LEAST_UNCOVERED else np.zeros_like(outside)


def _between(signal: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return what lies between the first and the last signal of each line along an axis."""
    size = signal.shape[axis]
    first = np.expand_dims(signal.argmax(axis), axis)
    last = size - 1 - np.expand_dims(np.flip(signal, axis).argmax(axis), axis)
    at = np.arange(size).reshape([size if a == axis else 1 for a in range(3)])
    return (at >= first) & (at <= last) & signal.any(axis, keepdims=True)


def _without_rims(outside: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return a mask without what is thinner than `RIM_MM` within a slice."""
    size = [
        1 if axis == grid.slice_axis else 2 * round(RIM_MM / (2 * step)) + 1
        for axis, step in enumerate(grid.spacing_mm)
    ]
    thick = ndimage.minimum_filter(outside, size, mode="nearest")
    return np.asarray(ndimage.maximum_filter(thick, size, mode="nearest"))


def uncovered_share(t1: Volume, t2fs: Volume) -> float:
    """Return the part of the tissue of the fat-suppressed series that the T1 does not cover.

    Examples
    --------
    >>> from bmepipe.volume import Grid
    >>> grid = Grid((1, 2, 4), np.eye(4))
    >>> t2fs = Volume(np.array([[[9.0, 8, 7, 9], [8, 9, 0, 8]]]), grid)
    >>> t1 = Volume(np.array([[[0.0, 5, 5, 6], [0, 6, 5, 5]]]), grid)
    >>> round(uncovered_share(t1, t2fs), 2)  # 2 of 7 voxels with signal
    0.29
    """
    return _share(not_covered(t1, t2fs), t2fs)


def _share(outside: NDArray[np.bool_], t2fs: Volume) -> float:
    if not outside.any():
        return 0.0
    tissue = is_tissue(t2fs.data)
    voxels = int(np.count_nonzero(tissue))
    return int(np.count_nonzero(tissue & outside)) / voxels if voxels else 0.0
