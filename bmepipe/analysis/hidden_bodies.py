"""Vertebral bodies that only a second look shows, between two that are seen at the first.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.column import LUMBAR, Column, heights_mm, least_step_mm

LEAST_BRIGHT = 0.05  # of a body: less is no reason why it was not seen
SIZES = (0.6, 1.5)  # of the median body's
SAME = 0.5  # Dice of one body at two looks


def hidden_bodies(
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    bright: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> NDArray[np.bool_]:
    """Return the bodies of a second look that the first does not show, between two that it does.

    Of a body that edema hides in part the rest may be too thin for one of its own, or hang on the
    next: the body was lost, and those beyond it got a wrong name or none.

    Parameters
    ----------
    first, second : ndarray of int, shape (x, y, z)
        Bodies as of `bodies.split_vertebrae`, each look's with numbers of its own.
    bright : ndarray of bool, same shape
        What was dimmed for the second look.
    spacing_mm : float
        Isotropic.
    column : Column

    Returns
    -------
    ndarray of bool, shape (x, y, z)
    """
    found = np.zeros(first.shape, bool)
    heights = heights_mm(second, spacing_mm)
    order = sorted(heights, key=lambda n: heights[n])
    sizes = np.bincount(second.ravel())
    if len(order) < 3:
        return found
    median = float(np.median([sizes[n] for n in order]))
    seen = {n: _seen(second == n, first) for n in order}
    for below, n, above in zip(order, order[1:], order[2:], strict=False):
        least_mm = least_step_mm(int(sizes[n]), spacing_mm, column)
        steps = [heights[b] - heights[a] for a, b in itertools.pairwise((below, n, above))]
        own = second == n
        if (
            seen[below]
            and seen[above]
            and not seen[n]
            and SIZES[0] * median <= sizes[n] <= SIZES[1] * median
            and min(steps) >= least_mm
            and bright[own].mean() >= LEAST_BRIGHT
        ):
            found |= own
    return found


def _seen(body: NDArray[np.bool_], bodies: NDArray[np.int32]) -> bool:
    """Say whether one of the bodies is this one."""
    shared = np.bincount(bodies[body], minlength=2)
    shared[0] = 0
    most = int(shared.argmax())
    both = np.count_nonzero(body) + np.count_nonzero(bodies == most)
    return bool(2 * shared[most] >= SAME * both)
