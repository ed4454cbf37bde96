"""The slow variation of signal that the coil makes, and the centre and spread of normal marrow.

Both are seen in the marrow itself and must not be moved by edema: weights ignore what is brighter
than its surroundings, the centre is that of the densest half, the spread is that of the dark side.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.volume import Grid, Volume

# How much smaller the spread of the marrow's dark side must be for a shading that may have followed
# edema; or that of all marrow, which a gradient that the other series does not have makes a third
# smaller. So does a shading that follows a large edema, but then the dark side's is larger. In
# between it counts in part, so that a slightly other outline does not change all bones' shading.
MORE_EVEN, AS_EVEN, LESS_EVEN = 0.9, 1.0, 1.1
MORE_EVEN_ALL, AS_EVEN_ALL = 0.65, 0.8
# How much more the bones' own levels may differ under a shading that is right: one that followed
# failing fat suppression in a humerus made the clavicle beside it three times as bright as normal.
AS_ALIKE, LESS_ALIKE, ALIKE = 2.5, 4.0, 0.03
_FIT_VOXELS = 30_000
_FIT_ROUNDS = 8


def robust_centre(values: NDArray) -> float:
    """Return the median of the densest half of the values (the shorth).

    It stands where most values are, as long as fewer than half belong to something else.

    Examples
    --------
    >>> robust_centre(np.array([1.0, 9, 10, 10, 11, 30, 40]))
    10.0
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    half = len(ordered) // 2 + 1
    start = int(np.argmin(ordered[half - 1 :] - ordered[: len(ordered) - half + 1]))
    return float(np.median(ordered[start : start + half]))


def lower_spread(values: NDArray, centre: float) -> float:
    """Return the robust standard deviation of the values below `centre`.

    1.4826 times their median distance to it: edema is bright and does not touch it.

    Examples
    --------
    >>> round(lower_spread(np.array([8.0, 9.0, 10.0, 11.0, 50.0]), 10.0), 3)
    1.483
    """
    below = centre - values[values <= centre]
    return 1.4826 * float(np.median(below)) if len(below) else 0.0


def best_shading(
    signal: NDArray, guide: NDArray | None, bones: Volume, fitted: NDArray[np.bool_]
) -> Shading:
    """Return the shading seen in the guide, unless the image's own makes marrow clearly more even.

    Where the image's own makes it a little more even, it is one in between. The two series may have
    been taken with different coils; a fit to the image itself, on the other hand, follows a large
    edema.

    Parameters
    ----------
    signal : ndarray
        The fat-suppressed image, lightly smoothed.
    guide : ndarray, optional
        The T1, smoothed as well.
    bones : Volume of uint8
    fitted : ndarray of bool
        Marrow.
    """
    if guide is None:
        return fit_shading(signal, bones, fitted)
    fitted = fitted & (guide > 0)
    if not fitted.any():
        return fit_shading(guide, bones, fitted)
    own, guided = (fit_shading(image, bones, fitted) for image in (signal, guide))
    dark, whole, unlike = _evenness(signal, bones, fitted, own) / _evenness(
        signal, bones, fitted, guided
    )
    share = max(
        np.interp(dark, (MORE_EVEN, AS_EVEN), (1.0, 0.0)),
        np.interp(whole, (MORE_EVEN_ALL, AS_EVEN_ALL), (1.0, 0.0))
        * np.interp(dark, (AS_EVEN, LESS_EVEN), (1.0, 0.0)),
    )
    share *= np.interp(unlike, (AS_ALIKE, LESS_ALIKE), (1.0, 0.0))
    between = (1 - share) * guided.coefficients + share * own.coefficients
    return replace(guided, coefficients=between)  # both were fitted to the same voxels


def _evenness(
    signal: NDArray, bones: Volume, fitted: NDArray[np.bool_], shading: Shading
) -> NDArray[np.float64]:
    """Return the spread of marrow under a shading: its dark side's, that of all, and between bones.

    The first, to the centre, is the median over the bones. The second is their mean by volume: a
    gradient shows in the largest bones, a sacrum under a surface coil before all. The third is that
    of the bones' centres, by volume, at least `ALIKE`.
    """
    counts = np.bincount(bones.data[fitted])
    labels = np.flatnonzero(counts)
    spreads = []
    for label in labels:
        values = _unshaded(signal, shading, fitted & (bones.data == label))
        centre, spread = _level(values)
        log = np.log(np.maximum(values, 1e-6 * centre))
        mad = 1.4826 * float(np.median(np.abs(log - np.median(log))))
        spreads.append((spread / centre, max(mad, 0.02), np.log(centre)))
    dark, whole, level = np.transpose(spreads)
    weights = counts[labels]
    between = np.sqrt(
        np.average((level - np.average(level, weights=weights)) ** 2, weights=weights)
    )
    return np.array([np.median(dark), np.average(whole, weights=weights), max(between, ALIKE)])


def level_of(signal: NDArray, shading: Shading, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return centre and spread of the unshaded signal in `mask`."""
    return _level(_unshaded(signal, shading, mask))


def _unshaded(signal: NDArray, shading: Shading, mask: NDArray[np.bool_]) -> NDArray:
    """Return a sample of the signal in `mask` without the shading."""
    index = _sample(mask)
    return signal[tuple(index.T)] / shading(index)


def _level(values: NDArray) -> tuple[float, float]:
    centre = robust_centre(values)
    return centre, max(lower_spread(values, centre), 0.02 * centre)


def _sample(mask: NDArray[np.bool_]) -> NDArray:
    """Return the indices of at most `_FIT_VOXELS` voxels, evenly spread: repeatable."""
    flat = np.flatnonzero(mask)
    flat = flat[:: max(1, len(flat) // _FIT_VOXELS)]
    return np.stack(np.unravel_index(flat, mask.shape), axis=1)


@dataclass(frozen=True, eq=False)
class Shading:
    """A smooth factor over space: exp of a polynomial of degree 2 in millimetres.

    `bounds` of the logarithm, beyond which it is not carried on.
    """

    grid: Grid
    origin_mm: NDArray[np.float64]
    scale_mm: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def __call__(self, index: NDArray) -> NDArray[np.float32]:
        """Return the factor at voxel indices, shape (n, 3)."""
        terms = _terms((self.grid.to_world(index) - self.origin_mm) / self.scale_mm)
        return np.exp(np.clip(terms @ self.coefficients, *self.bounds)).astype(np.float32)


def shading_of_others(
    signal: NDArray, bones: Volume, usable: NDArray[np.bool_], filled: Collection[int]
) -> Shading:
    """Fit the shading to all bones but those full of edema, which it would follow.

    Over these it stays within what it is over the others: a polynomial runs away beyond them.
    """
    others = usable & ~np.isin(bones.data, list(filled))
    if not others.any():
        return fit_shading(signal, bones, usable)
    shading = fit_shading(signal, bones, others)
    factors = np.log(shading(_sample(others)))
    return replace(shading, bounds=(float(factors.min()), float(factors.max())))


def _terms(points: NDArray) -> NDArray:
    """Return the terms of degree 1 and 2 of points, shape (n, 9)."""
    x, y, z = points.T
    return np.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def fit_shading(signal: NDArray, bones: Volume, usable: NDArray[np.bool_]) -> Shading:
    """Fit one smooth shading to the marrow of all bones, each with its own level.

    Iteratively reweighted least squares on the logarithm: voxels brighter than the fit weigh less
    the more they exceed it, since edema is bright. A ridge keeps the curvature at rest where few
    voxels would decide it.
    """
    if not usable.any():
        return Shading(bones.grid, np.zeros(3), np.ones(3), np.zeros(9))
    index = _sample(usable)
    points = bones.grid.to_world(index)
    origin = points.mean(axis=0)
    scale = np.maximum(points.std(axis=0), 10.0)
    labels = bones.data[tuple(index.T)]
    levels = (labels[:, None] == np.unique(labels)).astype(np.float64)
    terms = np.hstack([_terms((points - origin) / scale), levels])
    target = np.log(np.maximum(signal[tuple(index.T)].astype(np.float64), 1e-6))
    ridge = np.diag([1e-3] * 3 + [1e-2] * 6 + [0.0] * levels.shape[1]) * len(target)
    weights = np.ones(len(target))
    for _ in range(_FIT_ROUNDS):
        weighted = terms * weights[:, None]
        solution = np.linalg.solve(terms.T @ weighted + ridge, weighted.T @ target)
        residual = target - terms @ solution
        centre = robust_centre(residual)
        width = max(lower_spread(residual, centre), 0.02)
        z = (residual - centre) / width
        weights = np.where(z > 0, 1 / (1 + (z / 1.5) ** 4), 1 / (1 + (z / 3) ** 4))
    return Shading(bones.grid, origin, scale, solution[:9])
