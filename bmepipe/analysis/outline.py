"""A bone's outline in one slice, moved onto its cortex: a dark line between brighter tissues.

On every contrast cortex is dark. On T1 the marrow within is brighter, with fat suppressed the
muscle, cartilage or fluid without; so the outline is sought along its normals where the signal
falls from either side to a dark shell, each contrast telling what it can. All points of an outline
are decided together, neighbours close to each other, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from bmepipe.analysis.region import around

STEP_MM = 0.25
REACH_MM = 3.5  # how far an outline is moved at most
POINT_MM = 0.7  # between the points of an outline
CORTEX_MM = (0.5, 3.0)
USUAL_CORTEX_MM = 1.0
OUTER_WEIGHT = 0.7  # the outer edge is blurred more often, by tendons and ligaments
CORTEX_PENALTY = 0.12  # per square millimetre from the usual thickness
MOVE_PENALTY = 0.11  # per square millimetre of movement
BEND_PENALTY = 0.15  # per step between neighbouring points
LEAST_OUTLINE_MM = 20.0  # shorter ones are left as they are
_PAD = 16  # pixels, so that a bone that is cut by the field of view stays open there
_OFFSETS = np.arange(-REACH_MM, REACH_MM + STEP_MM / 2, STEP_MM)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of a bone in one slice, and where their points might go.

    Parameters
    ----------
    box : tuple of slice
        Around the bone; the outlines lie in it, `_PAD` pixels wider on every side.
    shape : tuple of int
        Of that wider box.
    points, outward : list of ndarray, each of shape (n, 2)
        Points of every outline in mm, and their outward normals.
    scores : list of ndarray, each of shape (n, offsets)
        How well each offset fits the cortex; of 0 points where an outline is too short to move.
    """

    box: tuple[slice, ...]
    shape: tuple[int, ...]
    points: list[NDArray[np.float64]]
    outward: list[NDArray[np.float64]]
    scores: list[NDArray[np.float64]]


def snap_slices(
    masks: Sequence[NDArray[np.bool_]],
    images: Sequence[Sequence[NDArray]],
    spacing_mm: tuple[float, float],
) -> list[NDArray[np.bool_]]:
    """Return masks with their outlines moved onto the outer edge of the cortex.

    Parameters
    ----------
    masks : sequence of ndarray, each of shape (i, j)
        A bone in some slices, within a few millimetres of the truth.
    images : sequence of sequences of ndarray, same shape
        Of each slice: signal divided by that of the bone's marrow, one or more contrasts.
    spacing_mm : tuple of float

    Returns
    -------
    list of ndarray, same shape
    """
    traced = [trace(m, i, spacing_mm) for m, i in zip(masks, images, strict=True)]
    paths = iter(closed_paths([score for one in traced if one for score in one.scores]))
    return [
        mask if one is None else redraw(mask, one, [next(paths) for _ in one.scores], spacing_mm)
        for mask, one in zip(masks, traced, strict=True)
    ]


def trace(
    mask: NDArray[np.bool_], images: Sequence[NDArray], spacing_mm: tuple[float, float]
) -> Outlines | None:
    """Return the outlines of one slice; None if there is nothing inside them to go by."""
    box = around(mask, [int(np.ceil(2 * REACH_MM / step)) for step in spacing_mm])
    inside = np.pad(mask[box], _PAD, mode="edge")
    parts = [np.pad(image[box], _PAD, mode="edge") for image in images]
    distance = signed_distance_mm(inside, spacing_mm)
    band = (distance < 0) & (distance > -5)
    if not band.any():
        return None
    # The brighter of marrow and surroundings is 1: an edge then counts the same on any contrast.
    parts = [part / max(1.0, float(np.percentile(part[band], 90))) for part in parts]
    found = Outlines(box, inside.shape, [], [], [])
    for contour in find_contours(np.pad(distance, 1, constant_values=-9.0), 0.0):
        points, outward = resample((contour - 1) * spacing_mm, distance, spacing_mm)
        score = np.zeros((0, len(_OFFSETS)))
        if len(points) * POINT_MM >= LEAST_OUTLINE_MM:
            places = points[:, None] + _OFFSETS[None, :, None] * outward[:, None]
            index = (places / spacing_mm).reshape(-1, 2).T
            score = outer_edge_score(
                [
                    ndimage.map_coordinates(part, index, order=1, mode="nearest").reshape(
                        len(points), -1
                    )
                    for part in parts
                ]
            )
        found.points.append(points)
        found.outward.append(outward)
        found.scores.append(score)
    return found


def redraw(
    mask: NDArray[np.bool_],
    outlines: Outlines,
    paths: Sequence[NDArray[np.intp]],
    spacing_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """Return the mask as its outlines draw it once each point has gone to its offset."""
    moved = []
    for points, outward, path in zip(outlines.points, outlines.outward, paths, strict=True):
        if len(path):
            way = ndimage.gaussian_filter1d(_OFFSETS[path], 1.0, mode="wrap")
            points = points + way[:, None] * outward
        moved.append(points / spacing_mm)
    after = mask.copy()
    after[outlines.box] = filled(moved, outlines.shape)[_PAD:-_PAD, _PAD:-_PAD]
    return after


def filled(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels whose middles lie within an odd number of closed polygons.

    Every edge turns over what lies beyond it in the rows that it crosses; a general polygon test
    asks every pixel about every edge, which took a third of the time of a bone's borders.

    Examples
    --------
    >>> square = np.array([[0.5, 0.5], [0.5, 3.5], [2.5, 3.5], [2.5, 0.5]])
    >>> filled([square], (4, 5)).astype(int).tolist()
    [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    turned = np.zeros((shape[0], shape[1] + 1), np.intp)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        first = np.ceil(np.minimum(start[:, 0], end[:, 0])).clip(0, shape[0]).astype(int)
        last = np.ceil(np.maximum(start[:, 0], end[:, 0])).clip(0, shape[0]).astype(int)
        edge = np.repeat(np.arange(len(polygon)), last - first)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
        rise = (end[edge] - start[edge]).T
        column = start[edge, 1] + (row - start[edge, 0]) * rise[1] / rise[0]
        np.add.at(turned, (row, np.ceil(column).clip(0, shape[1]).astype(int)), 1)
    return np.cumsum(turned, axis=1)[:, :-1] % 2 == 1


def signed_distance_mm(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the distance to the mask's edge, positive within, lightly smoothed."""
    within = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    without = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    half = min(spacing_mm) / 2  # the edge lies between two voxels
    distance = np.where(mask, within - half, half - without)
    return ndimage.gaussian_filter(distance, [0.7 / step for step in spacing_mm])


def resample(
    contour_mm: NDArray[np.float64], distance: NDArray[np.float64], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return evenly spaced points of a closed contour and their outward normals, (n, 2) each."""
    closed = np.vstack([contour_mm, contour_mm[:1]])
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T))]
    count = max(4, int(along[-1] / POINT_MM))
    at = np.linspace(0, along[-1], count, endpoint=False)
    points = np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)
    index = (points / spacing_mm).T
    slope = np.stack(
        [
            ndimage.map_coordinates(g, index, order=1, mode="nearest")
            for g in np.gradient(distance, *spacing_mm)
        ],
        axis=1,
    )
    return points, -slope / np.maximum(np.hypot(*slope.T), 1e-6)[:, None]


def outer_edge_score(profiles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return how well each offset fits the outer edge of the cortex, shape (points, offsets).

    Parameters
    ----------
    profiles : sequence of ndarray, shape (points, offsets)
        Signal along the normals, outwards.
    """
    inner = np.max([_mean(p, -1.25, -0.25) - _mean(p, 0.0, 0.5) for p in profiles], axis=0)
    outer = np.max([_mean(p, 0.25, 1.0) - _mean(p, -0.5, -0.25) for p in profiles], axis=0)
    inner, outer = np.clip(inner, -0.5, 1.0), np.clip(outer, -0.2, 0.7)
    best = np.full(inner.shape, -9.0)
    for thickness in np.arange(CORTEX_MM[0], CORTEX_MM[1] + STEP_MM / 2, STEP_MM):
        steps = round(thickness / STEP_MM)
        fit = inner[:, :-steps] + OUTER_WEIGHT * outer[:, steps:]
        fit -= CORTEX_PENALTY * (thickness - USUAL_CORTEX_MM) ** 2
        np.maximum(best[:, steps:], fit, out=best[:, steps:])
    return best - MOVE_PENALTY * _OFFSETS**2


def _mean(profile: NDArray[np.float64], low_mm: float, high_mm: float) -> NDArray[np.float64]:
    """Return the mean of the profile from `low_mm` to `high_mm` beyond each offset."""
    count = profile.shape[1]
    sums = np.concatenate([np.zeros((len(profile), 1)), np.cumsum(profile, axis=1)], axis=1)
    at = np.arange(count)
    first = np.clip(at + round(low_mm / STEP_MM), 0, count - 1)
    last = np.clip(at + round(high_mm / STEP_MM), 0, count - 1)
    return (sums[:, last + 1] - sums[:, first]) / (last + 1 - first)


def closed_paths(scores: Sequence[NDArray[np.float64]]) -> list[NDArray[np.intp]]:
    """Return the offset of each point of closed outlines with the highest sum of scores.

    Neighbours differ by one step at most, at `BEND_PENALTY` each. An outline is laid out twice and
    the middle taken, so that its end meets its beginning. All outlines are walked along together.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (points, offsets)

    Returns
    -------
    list of ndarray, each of shape (points,)

    Examples
    --------
    >>> score = np.zeros((6, 5))
    >>> score[:, 3] = 1
    >>> score[2] = [4, 0, 0, 0, 0]  # an outlier that no smooth outline reaches
    >>> [path.tolist() for path in closed_paths([score, score[:0]])]
    [[3, 3, 3, 3, 3, 3], []]
    """
    order = sorted(range(len(scores)), key=lambda n: -len(scores[n]))
    order = [n for n in order if len(scores[n])]  # the longest first, so that the last drop out
    paths = [np.zeros(0, np.intp) for _ in scores]
    if not order:
        return paths
    halves = [len(scores[n]) // 2 for n in order]
    lengths = np.array([len(scores[n]) + 2 * h for n, h in zip(order, halves, strict=True)])
    laid = np.zeros((lengths[0], len(order), scores[order[0]].shape[1]))
    for place, (n, half) in enumerate(zip(order, halves, strict=True)):
        score = scores[n]
        laid[: lengths[place], place] = np.concatenate(
            [score[len(score) - half :], score, score[:half]]
        )
    best = laid[0].copy()
    came = np.zeros(laid.shape, np.int8)
    steps = np.array([0, -1, 1], np.int8)
    for row in range(1, len(laid)):
        count = np.count_nonzero(lengths > row)
        options = np.full((3, *best[:count].shape), -np.inf)
        options[0] = best[:count]
        options[1, :, 1:] = best[:count, :-1] - BEND_PENALTY
        options[2, :, :-1] = best[:count, 1:] - BEND_PENALTY
        came[row, :count] = steps[options.argmax(axis=0)]
        best[:count] = options.max(axis=0) + laid[row, :count]
    at = best.argmax(axis=1)
    walked = np.zeros(laid.shape[:2], np.intp)
    for row in range(len(laid) - 1, -1, -1):
        count = np.count_nonzero(lengths > row)
        walked[row, :count] = at[:count]
        at[:count] += came[row, np.arange(count), at[:count]]
    for place, (n, half) in enumerate(zip(order, halves, strict=True)):
        paths[n] = walked[half : half + len(scores[n]), place]
    return paths
