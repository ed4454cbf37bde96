"""What each vertebra is called, counted from the sacrum or the axis, or from the top.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.column import LUMBAR, Column, heights_mm, least_step_mm, sizes_of

LEAST_STEPS = 3  # that tell what is usual


def is_anchored(
    bodies: NDArray[np.int32],
    anchor: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> bool:
    """Say whether enough of the anchor is in view to count from it.

    Of a sacrum that the field of view cuts off, the upper end of L5 was once called the rest: all
    levels were wrong by one. In full views it has 1.8 to 4.4 times a vertebral body's volume.
    """
    volume_ml = np.count_nonzero(anchor) * spacing_mm**3 / 1000
    least = column.least_anchor_share * _usual(sizes_of(bodies))
    return bool(volume_ml >= column.least_anchor_ml and np.count_nonzero(anchor) >= least)


def is_whole(anchor: int, bodies: Sequence[int] | NDArray[np.intp], column: Column) -> bool:
    """Say whether an anchor is as large beside the bodies, in voxels, as one that is not cut."""
    return bool(anchor >= column.whole_anchor_share * _usual(bodies))


def name_levels(
    bodies: NDArray[np.int32],
    anchor: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> dict[int, str]:
    """Return the names of the vertebrae, counted from the anchor; none if it is not in view.

    Without it the level is unknown, and a wrong name is worse than none. Counting stops where a
    step is so long that a vertebra must be missing.
    """
    if not is_anchored(bodies, anchor, spacing_mm, column):
        return {}
    heights, sign = heights_mm(bodies, spacing_mm), 1 if column.upwards else -1
    ends = sign * np.nonzero(anchor)[2]
    floor, top = (float(np.percentile(ends, part)) * spacing_mm for part in (60, 98))
    order = sorted(
        (n for n in heights if sign * heights[n] > floor), key=lambda n: sign * heights[n]
    )
    named: dict[int, str] = {}
    sizes = np.bincount(bodies.ravel())
    most_mm = _most_step(order, heights, sizes, spacing_mm, column)
    below, last = None, top
    for n in order:
        step_mm = sign * heights[n] - last
        if below is not None and step_mm < _least_step(n, below, sizes, spacing_mm, column):
            named[n] = named[below]  # a second piece of the same vertebra
            if sizes[n] > sizes[below]:
                below, last = n, sign * heights[n]
            continue
        count = len(set(named.values()))
        most = column.most_step_mm if below is None else most_mm
        if step_mm > most or count == len(column.names):
            break
        named[n] = column.names[count]
        below, last = n, sign * heights[n]
    return named


def number_from_top(
    bodies: NDArray[np.int32], spacing_mm: float, column: Column = LUMBAR
) -> dict[int, str]:
    """Return "vertebra_1", "vertebra_2", ... from the top, for a column of unknown levels."""
    heights = heights_mm(bodies, spacing_mm)
    named: dict[int, str] = {}
    sizes = np.bincount(bodies.ravel())
    count, above = 0, None
    for n in sorted(heights, key=lambda n: -heights[n]):
        if above is None or heights[above] - heights[n] >= _least_step(
            n, above, sizes, spacing_mm, column
        ):
            count, above = count + 1, n
        named[n] = f"vertebra_{count}"
    return named


def _least_step(
    one: int, other: int, sizes: NDArray[np.intp], spacing_mm: float, column: Column
) -> float:
    """Return how far apart two bodies lie at least: what is nearer are pieces of one."""
    return least_step_mm(int(max(sizes[one], sizes[other])), spacing_mm, column)


def _most_step(
    order: Sequence[int],
    heights: Mapping[int, float],
    sizes: NDArray[np.intp],
    spacing_mm: float,
    column: Column,
) -> float:
    """Return how far apart two neighbours lie at most: farther, and a vertebra was not found.

    Small necks have steps of 14 mm: two of them are no longer than one of a tall neck.
    """
    steps_mm = [
        step
        for one, next_one in itertools.pairwise(order)
        if (step := abs(heights[next_one] - heights[one]))
        >= _least_step(one, next_one, sizes, spacing_mm, column)
    ]
    if len(steps_mm) < LEAST_STEPS:
        return column.most_step_mm
    return min(column.most_step_mm, column.most_step_share * float(np.median(steps_mm)))


def numbered_beyond(
    bodies: NDArray[np.int32],
    named: Mapping[int, str],
    anchor: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> dict[int, str]:
    """Return "vertebra_1", ... from the top for the bodies where the count stopped.

    Those farther from the anchor than any that has a name: their level is unknown, since a
    vertebra between was not found, but they are in view.
    """
    heights, sign = heights_mm(bodies, spacing_mm), 1 if column.upwards else -1
    end = float((sign * np.nonzero(anchor)[2]).max()) * spacing_mm
    last = max((sign * heights[n] for n in named), default=end)
    beyond = [n for n, height in heights.items() if sign * height > last and n not in named]
    return number_from_top(np.where(np.isin(bodies, beyond), bodies, 0), spacing_mm, column)


def _usual(sizes: Sequence[int] | NDArray[np.intp]) -> float:
    return float(np.median(sizes)) if len(sizes) else 0.0
