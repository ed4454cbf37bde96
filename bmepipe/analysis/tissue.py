"""Which voxels of an image are tissue, not air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def is_tissue(values: NDArray) -> NDArray[np.bool_]:
    """Return the voxels above a tenth of the bright signal, the 99th percentile.

    Examples
    --------
    >>> is_tissue(np.array([0.0, 3, 40, 100, 100])).tolist()
    [False, False, True, True, True]
    """
    return np.asarray(values > 0.1 * np.percentile(values, 99))
