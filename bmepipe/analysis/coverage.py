"""How much of the fat-suppressed series the T1 covers: fewer slices, or a smaller field of view.

Where there is no T1 its voxels are 0. A bone network saw nothing there and lost the bone, and a
lesion with it; what was left counted as lost signal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.region import around
from bmepipe.analysis.tissue import is_tissue
from bmepipe.volume import Volume

MOST_UNCOVERED = 0.25  # of the tissue: with more the T1 is no second witness, and is left out
LEAST_UNCOVERED = 0.01  # less are stray rows at the field's ends


def not_covered(t1: Volume, t2fs: Volume) -> NDArray[np.bool_]:
    """Return the voxels that the T1 does not cover, none if there is hardly tissue in them.

    Outside the box around everything that is not exactly 0: no image of tissue holds whole planes
    of zeros.

    Parameters
    ----------
    t1, t2fs : Volume of float32
        On one grid.
    """
    outside = np.ones(t1.data.shape, bool)
    if t1.data.any():
        outside[around(t1.data != 0, (0, 0, 0))] = False
    return outside if _share(outside, t2fs) > LEAST_UNCOVERED else np.zeros_like(outside)


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
    if not outside.any():  # the usual case, asked more than once in a run
        return 0.0
    tissue = is_tissue(t2fs.data)
    voxels = int(np.count_nonzero(tissue))
    return int(np.count_nonzero(tissue & outside)) / voxels if voxels else 0.0
