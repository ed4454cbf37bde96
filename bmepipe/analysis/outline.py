"""A bone's outline in one slice, moved onto its cortex: a dark line between brighter tissues.

On every contrast cortex is dark. On T1 the marrow within is brighter, with fat suppressed the
muscle, cartilage or fluid without; so the outline is sought along its normals where the signal
falls from either side to a dark shell, each contrast telling what it can. All points of an outline
are decided together, neighbours close to each other, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import find_contours

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


def snap_slice(
    mask: NDArray[np.bool_], images: Sequence[NDArray], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return the mask with its outlines moved onto the outer edge of the cortex.

    Parameters
    ----------
    mask : ndarray of bool, shape (i, j)
        A bone in one slice, within a few millimetres of the truth.
    images : sequence of ndarray, same shape
        Signal divided by that of the bone's marrow.
    spacing_mm : tuple of float

    Returns
    -------
    ndarray of bool, same shape
    """
    box = _around(mask, spacing_mm)
    inside = np.pad(mask[box], _PAD, mode="edge")
    parts = [np.pad(image[box], _PAD, mode="edge") for image in images]
    distance = signed_distance_mm(inside, spacing_mm)
    band = (distance < 0) & (distance > -5)
    if not band.any():
        return mask
    # The brighter of marrow and surroundings is 1: an edge then counts the same on any contrast.
    parts = [part / max(1.0, float(np.percentile(part[band], 90))) for part in parts]
    drawn = np.zeros(inside.shape, bool)
    for contour in find_contours(np.pad(distance, 1, constant_values=-9.0), 0.0):
        points, outward = resample((contour - 1) * spacing_mm, distance, spacing_mm)
        if len(points) * POINT_MM >= LEAST_OUTLINE_MM:
            places = points[:, None] + _OFFSETS[None, :, None] * outward[:, None]
            index = (places / spacing_mm).reshape(-1, 2).T
            profiles = [
                ndimage.map_coordinates(part, index, order=1, mode="nearest").reshape(
                    len(points), -1
                )
                for part in parts
            ]
            moved = _OFFSETS[closed_path(outer_edge_score(profiles))]
            moved = ndimage.gaussian_filter1d(moved, 1.0, mode="wrap")
            points = points + moved[:, None] * outward
        drawn ^= polygon2mask(inside.shape, points / spacing_mm)
    after = mask.copy()
    after[box] = drawn[_PAD:-_PAD, _PAD:-_PAD]
    return after


def _around(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[slice, ...]:
    wide = [int(np.ceil(2 * REACH_MM / step)) for step in spacing_mm]
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - w, 0), s.stop + w) for s, w in zip(found, wide, strict=True))


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


def closed_path(score: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the offset of each point of a closed outline with the highest sum of scores.

    Neighbours differ by one step at most, at `BEND_PENALTY` each. The outline is laid out twice and
    the middle taken, so that its end meets its beginning.

    Examples
    --------
    >>> score = np.zeros((6, 5))
    >>> score[:, 3] = 1
    >>> score[2] = [4, 0, 0, 0, 0]  # an outlier that no smooth outline reaches
    >>> closed_path(score).tolist()
    [3, 3, 3, 3, 3, 3]
    """
    count, offsets = score.shape
    half = count // 2
    laid = np.concatenate([score[count - half :], score, score[:half]])
    best = laid[0]
    came = np.zeros(laid.shape, np.int8)
    options = np.full((3, offsets), -np.inf)
    for row in range(1, len(laid)):
        options[0] = best
        options[1, 1:] = best[:-1] - BEND_PENALTY
        options[2, :-1] = best[1:] - BEND_PENALTY
        choice = options.argmax(axis=0)
        came[row] = np.array([0, -1, 1], np.int8)[choice]
        best = options.max(axis=0) + laid[row]
    path = np.zeros(len(laid), np.intp)
    path[-1] = best.argmax()
    for row in range(len(laid) - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return path[half : half + count]
