"""Bone where there is no T1: found on the fat-suppressed series alone, the rest on both.

A T1 of one slice less than the other series is common. Both series together draw bones better than
one of two, so the T1 is not left out for all bone because of some that it does not cover.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.coverage import not_covered
from bmepipe.models.regrid import to_network
from bmepipe.models.seen import Seen
from bmepipe.volume import Grid, Volume

MISSED_BONE = 0.02  # of the bone that the fat-suppressed series shows
REACH_MM = 6.0  # beside the end of a T1 the network, and the walks, still see that it ends
OTHER_NAMES = 0.05  # of the bone found both times; more are vertebrae counted otherwise


def bone_beyond(t1: Volume, t2fs: Volume, seen: Seen) -> NDArray[np.bool_] | None:
    """Return where bones are to be sought without the T1; None if it misses hardly any.

    Parameters
    ----------
    t1, t2fs : Volume of float32
        On one grid.
    seen : Seen
        What the network sees in both, the fat-suppressed series first.
    """
    outside = not_covered(t1, t2fs)
    if not outside.any():
        return None
    bone = seen.probabilities[0].argmax(0).numpy() > 0
    without = to_network(outside.astype(np.float32), seen.placement)[0] > 0.5
    if np.count_nonzero(bone & without) <= MISSED_BONE * np.count_nonzero(bone):
        return None
    return _reached(outside, t2fs.grid)


def _reached(outside: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    size = [2 * max(1, round(REACH_MM / step)) + 1 for step in grid.spacing_mm]
    return np.asarray(ndimage.maximum_filter(outside, size, mode="nearest"))


def put_together(
    both: NDArray[np.uint8], alone: NDArray[np.uint8], beyond: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return labels found on both series, and beyond the T1 those of one alone.

    Those of one alone everywhere, where the two do not name the same bones the same.

    Parameters
    ----------
    both, alone : ndarray of uint8, shape (x, y, z)
    beyond : ndarray of bool, same shape

    Examples
    --------
    >>> both, alone = np.array([1, 1, 2, 2, 0, 0], np.uint8), np.array([1, 0, 0, 2, 2, 2], np.uint8)
    >>> beyond = np.array([0, 0, 0, 0, 1, 1], bool)
    >>> put_together(both, alone, beyond).tolist()
    [1, 1, 2, 2, 2, 2]
    >>> put_together(both, alone[::-1], beyond).tolist()
    [2, 2, 2, 0, 0, 1]
    """
    twice = (both > 0) & (alone > 0)
    if np.count_nonzero(both[twice] != alone[twice]) > OTHER_NAMES * np.count_nonzero(twice):
        return alone
    return np.where(beyond, alone, both)
