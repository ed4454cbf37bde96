"""What normal marrow looks like, bone by bone: its signal's centre, spread and slow variation.

Everything that follows is judged against this reference, so it must not be moved by the edema
itself: the centre is that of the densest half of a bone's marrow, the spread is taken from the dark
side only, where edema is never found, and the shading of the coil is fitted with weights that
ignore what is brighter than its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

MIN_MARROW_ML = 0.5  # less marrow than this gives no reference of its own
CORTEX_T1_RATIO = 0.55  # of T1-bright marrow; cortex, joint space and sclerosis lie below (0.2-0.4)
THIN_SLICE_MM = 2.0  # thinner than this, the margin in mm takes care of partial volume
SMOOTHING_MM = 0.6  # in-plane; about one voxel, so that noise does not set the spread
OUTLYING = 1.25  # a bone so much brighter than its neighbours is judged by theirs,
DARK_T1 = 0.85  # if its T1 level against theirs is below this, as water in place of fat makes it
LEAST_NEIGHBOURS = 3
MORE_EVEN = 0.9  # how much smaller the spread must be for a shading that may have followed edema
_FIT_VOXELS = 30_000
_FIT_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Reference:
    """Normal marrow of one image, voxel by voxel.

    Parameters
    ----------
    signal : ndarray of float32, shape of the grid
        The image, lightly smoothed in the slice's plane.
    centre, spread : ndarray of float32, shape of the grid
        Expected signal of normal marrow at each voxel of a bone and its robust standard deviation,
        in the units of the image; NaN outside the bones and in bones that cannot be judged.
    levels : mapping of int to float
        The centre of each bone's own marrow, free of shading, by label.
    """

    signal: NDArray[np.float32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    levels: Mapping[int, float] = field(default_factory=dict)

    @property
    def ratio(self) -> NDArray[np.float32]:
        """Signal over centre; NaN where there is no reference."""
        return self.signal / self.centre

    @property
    def deviations(self) -> NDArray[np.float32]:
        """Signal above the centre in robust standard deviations; NaN without reference."""
        return (self.signal - self.centre) / self.spread


@dataclass(frozen=True, eq=False)
class Marrow:
    """Normal marrow of a pair.

    Parameters
    ----------
    interior : ndarray of bool
        Where edema may be found: bones without their margin, without voxels that they fill in part
        of a thick slice only and, where there is a T1, without what is dark there.
    t2fs : Reference
    t1 : Reference, optional
    borrowed, unjudged : tuple of int
        Labels of bones judged by their neighbours' reference, and by none at all.
    bright : tuple of int
        Labels of bones brighter than their neighbours but not dark on T1: judged by themselves.
    """

    interior: NDArray[np.bool_]
    t2fs: Reference
    t1: Reference | None
    borrowed: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    bright: tuple[int, ...] = ()


def depth_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray:
    """Return the distance of each voxel of `mask` to the nearest voxel outside it.

    Parameters
    ----------
    mask : ndarray of bool
    spacing_mm : tuple of float

    Returns
    -------
    ndarray of float32
        Millimetres; 0 outside. The volume's own border is not a surface: a bone that leaves the
        field goes on there.

    Examples
    --------
    >>> depth_mm(np.array([[[0, 1, 1, 1]]], bool), (1.0, 1.0, 3.0)).tolist()
    [[[0.0, 3.0, 6.0, 9.0]]]
    """
    import SimpleITK as sitk

    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    image = sitk.GetImageFromArray(mask.T.astype(np.uint8))
    image.SetSpacing([float(v) for v in spacing_mm])
    distance = sitk.SignedMaurerDistanceMap(
        image == 0, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    away = sitk.GetArrayFromImage(distance).T
    return np.where(mask, np.maximum(away, 0), 0).astype(np.float32)


def smooth_in_plane(data: NDArray, grid: Grid, sigma_mm: float) -> NDArray[np.float32]:
    """Return `data` blurred by a Gaussian of `sigma_mm` within each slice, as float32."""
    sigma = [
        0.0 if axis == grid.slice_axis else sigma_mm / step
        for axis, step in enumerate(grid.spacing_mm)
    ]
    return ndimage.gaussian_filter(data.astype(np.float32), sigma, truncate=3.0)


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


def normal_marrow(pair: Pair, bones: Volume, site: Site) -> Marrow:
    """Find the normal marrow of each bone in both images.

    Parameters
    ----------
    pair : Pair
    bones : Volume of uint8
        Labels of the site's bones.
    site : Site
        Gives the margin in mm.
    """
    depth = np.zeros(bones.grid.shape, np.float32)
    for label in present_labels(bones):
        box = _box(bones.data == label)
        depth[box] += depth_mm(bones.data[box] == label, bones.grid.spacing_mm)
    interior = depth > site.marrow_margin_mm
    t1 = None
    if pair.t1 is not None:
        t1 = reference(pair.t1, bones, interior)[0]
        with np.errstate(invalid="ignore"):
            interior &= ~(t1.ratio < CORTEX_T1_RATIO)
        t1 = reference(pair.t1, bones, interior)[0]
    t2fs, borrowed, unjudged = reference(pair.t2fs, bones, interior, guide=pair.t1)
    bright = tuple(v for v in borrowed if t1 is not None and is_fatty(v, t1.levels, t2fs.levels))
    if bright:
        own = tuple(v for v in borrowed if v not in bright)
        t2fs, borrowed, unjudged = reference(pair.t2fs, bones, interior, pair.t1, keep=bright)
        assert borrowed == own
    return Marrow(interior & fills_its_slice(bones), t2fs, t1, borrowed, unjudged, bright)


def is_fatty(label: int, t1_levels: Mapping[int, float], t2fs_levels: Mapping[int, float]) -> bool:
    """Say whether a bone with marrow of its own has as much T1 signal as the others.

    Where a whole bone is bright on the fat-suppressed series, water in the place of fat makes it
    dark on T1 as well; suppression that is weaker there, as in front of the knee, does not.

    Examples
    --------
    >>> is_fatty(3, {1: 100.0, 2: 104.0, 3: 96.0}, {1: 10.0, 2: 9.0, 3: 21.0})
    True
    >>> is_fatty(3, {1: 100.0, 2: 104.0, 3: 70.0}, {1: 10.0, 2: 9.0, 3: 21.0})
    False
    """
    if label not in t1_levels or label not in t2fs_levels:
        return False
    return t1_levels[label] >= DARK_T1 * float(np.median(list(t1_levels.values())))


def fills_its_slice(bones: Volume) -> NDArray[np.bool_]:
    """Return the bone voxels whose neighbours in both next slices belong to the same bone.

    In a thick slice the surface of a bone that runs along the slice leaves voxels part bone, part
    fat, fluid or ligament: as far from the surface in mm as any, yet no marrow. Slices thinner than
    `THIN_SLICE_MM` have the margin in mm for that. The volume's first and last slice count as
    continued.
    """
    grid = bones.grid
    if grid.spacing_mm[grid.slice_axis] < THIN_SLICE_MM:
        return bones.data > 0
    along = np.moveaxis(bones.data, grid.slice_axis, 0)
    same = np.ones(along.shape, bool)
    same[1:] &= along[1:] == along[:-1]
    same[:-1] &= along[:-1] == along[1:]
    return np.moveaxis(same, 0, grid.slice_axis) & (bones.data > 0)


def present_labels(bones: Volume) -> tuple[int, ...]:
    """Return the labels that occur, in order, without 0."""
    return tuple(int(v) for v in np.flatnonzero(np.bincount(bones.data.ravel())) if v)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the slices around `mask`, one voxel wider where the grid allows."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, mask.shape, strict=True)
    )


def reference(
    volume: Volume,
    bones: Volume,
    interior: NDArray[np.bool_],
    guide: Volume | None = None,
    keep: tuple[int, ...] = (),
) -> tuple[Reference, tuple[int, ...], tuple[int, ...]]:
    """Return the reference of one image, the labels that borrowed it, and those without any.

    `guide` is the image whose marrow shows the shading of the coil: the T1 of the same study where
    there is one, since edema hardly moves it; a large edema would draw the fit to itself.

    A bone with less than `MIN_MARROW_ML` of marrow, and one whose marrow is far brighter than that
    of its neighbours, takes the median reference of the judged bones, unless its label is in
    `keep`; with none it is not judged.
    """
    signal = smooth_in_plane(volume.data, volume.grid, SMOOTHING_MM)
    usable = interior & np.isfinite(signal) & (signal > 0)
    labels = present_labels(bones)
    voxels = np.bincount(bones.data[usable], minlength=max(labels, default=0) + 1)
    judged = [v for v in labels if voxels[v] * volume.grid.voxel_ml >= MIN_MARROW_ML]
    centre = np.full(signal.shape, np.nan, np.float32)
    spread = np.full(signal.shape, np.nan, np.float32)
    borrowed = set(labels) - set(judged)
    levels: dict[int, float] = {}
    if judged:
        shading = _best_shading(signal, bones, usable & np.isin(bones.data, judged), guide)
        inside = bones.data > 0
        factor = shading(np.argwhere(inside))
        own = {v: _levels(signal, shading, usable & (bones.data == v)) for v in judged}
        shared = tuple(float(np.median([level[n] for level in own.values()])) for n in (0, 1))
        levels = {v: level[0] for v, level in own.items()}
        if len(judged) >= LEAST_NEIGHBOURS:
            borrowed |= {v for v in judged if levels[v] > OUTLYING * shared[0]} - set(keep)
        table = np.array(
            [shared if v in borrowed else own.get(v, shared) for v in range(max(labels) + 1)]
        )
        centre[inside] = table[bones.data[inside], 0] * factor
        spread[inside] = table[bones.data[inside], 1] * factor
    others = tuple(sorted(borrowed))
    found = Reference(signal, centre, spread, levels)
    return (found, others, ()) if judged else (found, (), others)


def _best_shading(
    signal: NDArray, bones: Volume, fitted: NDArray[np.bool_], guide: Volume | None
) -> Shading:
    """Return the shading seen in the guide, unless the image's own makes marrow clearly more even.

    The two series may have been taken with different coils; a fit to the image itself, on the other
    hand, follows a large edema.
    """
    own = fit_shading(signal, bones, fitted)
    if guide is None:
        return own
    seen = smooth_in_plane(guide.data, guide.grid, SMOOTHING_MM)
    guided = fit_shading(seen, bones, fitted & (seen > 0))
    own_spread, guided_spread = (_evenness(signal, bones, fitted, s) for s in (own, guided))
    return own if own_spread < MORE_EVEN * guided_spread else guided


def _evenness(signal: NDArray, bones: Volume, fitted: NDArray[np.bool_], shading: Shading) -> float:
    """Return the median over the bones of spread to centre under a shading."""
    levels = [
        _levels(signal, shading, fitted & (bones.data == v)) for v in np.unique(bones.data[fitted])
    ]
    return float(np.median([spread / centre for centre, spread in levels]))


def _levels(signal: NDArray, shading: Shading, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return centre and spread of the unshaded signal in `mask`."""
    index = _sample(np.argwhere(mask))
    values = signal[tuple(index.T)] / shading(index)
    centre = robust_centre(values)
    return centre, max(lower_spread(values, centre), 0.02 * centre)


def _sample(index: NDArray) -> NDArray:
    """Return at most `_FIT_VOXELS` rows, evenly spread: repeatable, unlike a random draw."""
    return index[:: max(1, len(index) // _FIT_VOXELS)]


@dataclass(frozen=True, eq=False)
class Shading:
    """A smooth factor over space: exp of a polynomial of degree 2 in millimetres."""

    grid: Grid
    origin_mm: NDArray[np.float64]
    scale_mm: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def __call__(self, index: NDArray) -> NDArray[np.float32]:
        """Return the factor at voxel indices, shape (n, 3)."""
        terms = _terms((self.grid.to_world(index) - self.origin_mm) / self.scale_mm)
        return np.exp(terms @ self.coefficients).astype(np.float32)


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
    index = _sample(np.argwhere(usable))
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
