"""The mean of what is known near each voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def local_mean(
    values: NDArray, known: NDArray[np.bool_], sigma: Sequence[float], truncate: float = 4.0
) -> NDArray[np.float32]:
    """Return the mean of the known values near each voxel, weighted by a Gaussian.

    Parameters
    ----------
    values : ndarray
    known : ndarray of bool, same shape
        Elsewhere values do not count, whatever they are.
    sigma : sequence of float
        In voxels, along each axis.
    truncate : float
        Standard deviations after which the Gaussian ends.

    Examples
    --------
    >>> values = np.array([[[3.0, np.nan, 3.0, 100.0]]])
    >>> local_mean(values, values < 10, (0, 0, 1), truncate=1).round(3).tolist()
    [[[3.0, 3.0, 3.0, 3.0]]]
    """
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, truncate=truncate)
    inside = np.where(known, values, 0).astype(np.float32)
    mean = ndimage.gaussian_filter(inside, sigma, truncate=truncate)
    return mean / np.maximum(weight, 1e-3)
