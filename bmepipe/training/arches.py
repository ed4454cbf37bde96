"""Where a vertebra's body ends and its arch begins: at the front of the spinal canal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.training.tissues import TISSUES

OPENING_VOXELS = 2  # roots of nerves leave the canal sideways, thinner than this
SMOOTHING_VOXELS = 15  # of the canal's front along the column


def with_arches(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return tissue numbers whose vertebrae behind the front of the canal are arches, axes RAS."""
    canal = np.isin(labels, (TISSUES["csf"], TISSUES["cord"]))
    if not canal.any():
        return labels
    behind = np.arange(labels.shape[1])[None, :, None] < canal_front(canal)
    bony = np.isin(labels, (TISSUES["vertebra"], TISSUES["axis"]))
    return np.where(bony & behind, TISSUES["arch"], labels).astype(labels.dtype)


def canal_front(canal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the foremost index along y of a spinal canal at every height, shape (z,).

    Parameters
    ----------
    canal : ndarray of bool, shape (x, y, z)
        Fluid and cord, axes RAS. Where a height shows none, its neighbours tell.

    Examples
    --------
    >>> canal = np.zeros((9, 12, 3), bool)
    >>> canal[2:7, 3:9] = True
    >>> canal_front(canal).tolist()
    [8.0, 8.0, 8.0]
    """
    depth = ndimage.distance_transform_edt(canal)
    if depth.max() > OPENING_VOXELS + 1:
        canal = ndimage.binary_opening(canal, iterations=OPENING_VOXELS)
    heights = np.flatnonzero(canal.any((0, 1)))
    front = [np.flatnonzero(canal[:, :, k].any(0))[-1] for k in heights]
    smooth = ndimage.median_filter(np.array(front, float), SMOOTHING_VOXELS, mode="nearest")
    return np.interp(np.arange(canal.shape[2]), heights, smooth)
