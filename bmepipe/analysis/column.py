"""A column of vertebrae: which voxel belongs to which, and what each is called.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from bmepipe.site import Site

CERTAINTIES = (0.7, 0.8, 0.9, 0.95, 0.98)
# A neck has less than this share of the widest section, and what follows is wider by this.
NECK, WIDER = 0.6, 1.3
# The lowest body is a piece of S1 if much smaller than the next one, and both reach the sacrum.
S1_PART, S1_REACH_MM, L5_REACH_MM = 0.6, 16.0, 26.0
# Between S1 and S2 a remnant of the disc is left; what is smaller is noise.
REMNANT_MM, LEAST_PIECE_MM3 = 5.0, 1000.0


@dataclass(frozen=True)
class Column:
    """What is known of a part of the spine.

    Parameters
    ----------
    names : tuple of str
        Of its vertebrae, counted from the anchor.
    anchor, anchor_bone : str
        The kind of bone that the count begins at, and its name: without it in view the levels are
        unknown.
    upwards : bool
        Whether the count goes up from it.
    least_anchor_ml : float
    least_anchor_share, whole_anchor_share : float
        Of the median body's volume: what is smaller may be the end of the next vertebra, or is cut
        by the field of view.
    core_depth_mm : float
        Arches and processes are thinner than twice this, bodies are not.
    least_core_ml, least_part_ml : float
        What is smaller is no body's core, or no part that a narrow disc parts from another.
    least_step_mm, most_step_mm : float
        Between the middles of neighbouring bodies: a smaller step is within one, a larger one means
        that a vertebra was overlooked.
    """

    names: tuple[str, ...]
    anchor: str
    anchor_bone: str
    upwards: bool
    least_anchor_ml: float
    least_anchor_share: float
    whole_anchor_share: float
    core_depth_mm: float
    least_core_ml: float
    least_part_ml: float
    least_step_mm: float
    most_step_mm: float


# Steps: the smallest adult's lumbar bodies are 25 mm apart, the tallest's 42; cervical ones 14 to
# 25.
LUMBAR = Column(
    names=("L5", "L4", "L3", "L2", "L1", "T12"),
    anchor="sacrum",
    anchor_bone="sacrum",
    upwards=True,
    least_anchor_ml=5.0,
    least_anchor_share=0.6,
    whole_anchor_share=1.5,
    core_depth_mm=5.0,
    least_core_ml=0.8,
    least_part_ml=2.0,
    least_step_mm=23.0,
    most_step_mm=48.0,
)
CERVICAL = Column(
    names=("C3", "C4", "C5", "C6", "C7", "T1"),
    anchor="axis",
    anchor_bone="C2",
    upwards=False,
    least_anchor_ml=1.0,
    least_anchor_share=0.0,
    whole_anchor_share=0.0,
    core_depth_mm=3.5,
    least_core_ml=0.1,
    least_part_ml=0.5,
    least_step_mm=12.0,
    most_step_mm=28.0,
)


def column_of(site: Site) -> Column | None:
    """Return the part of the spine that a site shows, if it shows one."""
    names = {bone.name for bone in site.bones}
    return next((column for column in (LUMBAR, CERVICAL) if names & set(column.names)), None)


def split_vertebrae(
    vertebrae: NDArray[np.bool_],
    spacing_mm: float,
    certainty: NDArray[np.float32] | None = None,
    column: Column = LUMBAR,
) -> NDArray[np.int32]:
    """Return each vertebra of a column with a number of its own, from 1; 0 outside.

    Bodies are what is left when the mask is eroded by `core_depth_mm`. Two that a narrow disc joins
    come apart at a higher certainty: a core is split where two parts of `least_part_ml` lie
    `least_step_mm` apart. Every voxel then goes to the body that floods it first.
    """
    depth = _depth_mm(vertebrae, spacing_mm)
    voxel_ml = spacing_mm**3 / 1000
    cores = _parts(depth > column.core_depth_mm, column.least_core_ml / voxel_ml)
    if certainty is not None:
        for limit in CERTAINTIES:
            cores = _split(cores, certainty > limit, column, spacing_mm)
    if not cores.any():
        return np.zeros(vertebrae.shape, np.int32)
    height = -depth if certainty is None else -certainty * np.minimum(depth, column.core_depth_mm)
    return watershed(height, cores, mask=vertebrae).astype(np.int32)


def _depth_mm(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float64]:
    """Return the depth below the mask's surface; the field's ends are none."""
    padded = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))
    return np.asarray(padded[1:-1, 1:-1, 1:-1] * spacing_mm)


def _parts(mask: NDArray[np.bool_], least: float) -> NDArray[np.int32]:
    """Return the connected parts of at least so many voxels, numbered from 1."""
    labels, count = ndimage.label(mask)
    keep = np.flatnonzero(np.bincount(labels.ravel(), minlength=count + 1) >= least)
    table = np.zeros(count + 1, np.int32)
    table[keep[keep > 0]] = np.arange(1, np.count_nonzero(keep) + 1)
    return table[labels]


def _split(
    cores: NDArray[np.int32], certain: NDArray[np.bool_], column: Column, spacing_mm: float
) -> NDArray[np.int32]:
    """Return the cores, those replaced by their certain parts that have two of them apart."""
    new = cores.copy()
    least = column.least_part_ml * 1000 / spacing_mm**3
    for core, box in enumerate(ndimage.find_objects(cores), start=1):
        own = cores[box] == core
        parts = _parts(own & certain[box], least)
        count = int(parts.max())
        if count < 2:
            continue
        centres = ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))
        heights = np.sort([centre[2] for centre in centres]) * spacing_mm
        if np.diff(heights).max() < column.least_step_mm:
            continue
        highest = new.max()
        new[box][own] = 0
        new[box][parts > 0] = parts[parts > 0] + highest
    return _renumbered(new)


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    taken = np.bincount(labels.ravel()) > 0
    taken[0] = False
    return np.cumsum(taken).astype(np.int32)[labels]


def without_next(bodies: NDArray[np.int32], column: Column = LUMBAR) -> NDArray[np.int32]:
    """Return the bodies, the last one without what a neck parts from it.

    The field's end leaves a sliver of the next vertebra, too thin for a core of its own; where the
    disc is taken for bone in part, it hangs on the last body. Last is the one furthest from the
    anchor.
    """
    sign = 1 if column.upwards else -1
    heights = _heights(bodies, 1.0)
    if not heights:
        return bodies
    last = max(heights, key=lambda n: sign * heights[n])
    areas = np.count_nonzero(bodies == last, axis=(0, 1))[::sign]  # the field's end comes last
    widest = int(areas.argmax())
    neck = widest
    for place in range(widest, len(areas)):
        if areas[place] <= areas[neck]:
            neck = place
        elif areas[neck] < NECK * areas[widest] and areas[place] > WIDER * areas[neck]:
            beyond = np.arange(len(areas)) >= neck
            return np.where((bodies == last) & beyond[::sign], 0, bodies)
    return bodies


def half_taken(
    vertebrae: NDArray[np.bool_],
    sacrum: NDArray[np.bool_],
    spacing_mm: float,
    column: Column = LUMBAR,
) -> NDArray[np.bool_]:
    """Return the sacrum's voxels in parts of the column that are vertebrae for the most part.

    A disc parts L5 from the sacrum, so that a body is one or the other as a whole.
    """
    both = vertebrae | sacrum
    depth_mm = _depth_mm(both, spacing_mm)
    cores = _parts(depth_mm > column.core_depth_mm, 1)
    parts = watershed(-depth_mm, cores, mask=both)
    sizes = np.bincount(parts.ravel())
    doubtful = np.bincount(parts[sacrum], minlength=len(sizes)) < 0.5 * sizes
    doubtful[0] = False
    return doubtful[parts] & sacrum


def piece_of_s1(
    bodies: NDArray[np.int32], sacrum: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return where the lowest body is none, but a piece of S1 that was taken for a vertebra."""
    nothing = np.zeros(bodies.shape, bool)
    numbers = [int(n) for n in np.unique(bodies) if n]
    if len(numbers) < 2 or not sacrum.any():
        return nothing
    centres = {n: ndimage.center_of_mass(bodies == n) for n in numbers}
    lowest, above = sorted(numbers, key=lambda n: centres[n][2])[:2]
    points = np.argwhere(sacrum) * spacing_mm

    def reach(n: int) -> float:
        away = points - np.array(centres[n]) * spacing_mm
        return float(np.sqrt((away**2).sum(axis=1).min()))

    sizes = np.bincount(bodies.ravel())
    small = sizes[lowest] < S1_PART * sizes[above]
    if small and reach(lowest) < S1_REACH_MM and reach(above) < L5_REACH_MM:
        return bodies == lowest
    return nothing


def left_over_of_s1(
    left_over: NDArray[np.bool_], sacrum: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return the vertebra's voxels beside the sacrum that belong to no body: they are S1's."""
    if not sacrum.any() or not left_over.any():
        return np.zeros(left_over.shape, bool)
    away_mm = ndimage.distance_transform_edt(~sacrum, sampling=spacing_mm)
    parts = _parts(left_over, LEAST_PIECE_MM3 / spacing_mm**3)
    kept = ndimage.minimum(away_mm, parts, range(int(parts.max()) + 1)) <= REMNANT_MM
    kept[0] = False
    return kept[parts]


def between_s1_and_s2(
    sacrum: NDArray[np.bool_], free: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.bool_]:
    """Return the remnant of the disc between two pieces of the sacrum, where nothing else lies."""
    parts = _parts(sacrum, LEAST_PIECE_MM3 / spacing_mm**3)
    count = int(parts.max())
    if count < 2:
        return np.zeros(sacrum.shape, bool)
    away_mm = np.sort(
        [
            ndimage.distance_transform_edt(parts != n, sampling=spacing_mm)
            for n in range(1, count + 1)
        ],
        axis=0,
    )
    return free & (away_mm[0] + away_mm[1] <= REMNANT_MM + 2 * spacing_mm)


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


def sizes_of(bodies: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the voxels of each body."""
    sizes = np.bincount(bodies.ravel())[1:]
    return sizes[sizes > 0]


def _usual(sizes: Sequence[int] | NDArray[np.intp]) -> float:
    return float(np.median(sizes)) if len(sizes) else 0.0


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
    heights, sign = _heights(bodies, spacing_mm), 1 if column.upwards else -1
    ends = sign * np.nonzero(anchor)[2]
    floor, top = (float(np.percentile(ends, part)) * spacing_mm for part in (60, 98))
    order = sorted(
        (n for n in heights if sign * heights[n] > floor), key=lambda n: sign * heights[n]
    )
    named: dict[int, str] = {}
    sizes = np.bincount(bodies.ravel())
    below, last = None, top
    for n in order:
        if below is not None and sign * heights[n] - last < column.least_step_mm:
            named[n] = named[below]  # a second piece of the same vertebra
            if sizes[n] > sizes[below]:
                below, last = n, sign * heights[n]
            continue
        count = len(set(named.values()))
        if sign * heights[n] - last > column.most_step_mm or count == len(column.names):
            break
        named[n] = column.names[count]
        below, last = n, sign * heights[n]
    return named


def number_from_top(
    bodies: NDArray[np.int32], spacing_mm: float, column: Column = LUMBAR
) -> dict[int, str]:
    """Return "vertebra_1", "vertebra_2", ... from the top, for a column of unknown levels."""
    heights = _heights(bodies, spacing_mm)
    named: dict[int, str] = {}
    count, last = 0, np.inf
    for n in sorted(heights, key=lambda n: -heights[n]):
        if last - heights[n] >= column.least_step_mm:
            count, last = count + 1, heights[n]
        named[n] = f"vertebra_{count}"
    return named


def _heights(bodies: NDArray[np.int32], spacing_mm: float) -> dict[int, float]:
    numbers = [int(n) for n in np.unique(bodies) if n]
    centres = ndimage.center_of_mass(bodies > 0, bodies, numbers)
    return {n: float(c[2]) * spacing_mm for n, c in zip(numbers, centres, strict=True)}
