"""What normal marrow looks like, bone by bone: its signal's centre, spread and slow variation.

Everything that follows is judged against this reference, so it must not be moved by the edema
itself: the centre is that of the densest half of a bone's marrow, the spread is taken from the dark
side only, where edema is never found, and the shading of the coil is fitted with weights that
ignore what is brighter than its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.region import around
from bmepipe.analysis.shading import Shading, best_shading, fit_shading, level_of
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

MIN_MARROW_ML = 0.5  # less marrow than this gives no reference of its own
CORTEX_T1_RATIO = 0.55  # of T1-bright marrow; cortex, joint space and sclerosis lie below (0.2-0.4)
# Intense edema has 0.54 to 0.6 of yellow marrow there: what is below that limit, though not as dark
# as cartilage and muscle (a third) or fluid (a quarter), is edema where it is bright on the
# fat-suppressed series and thicker than the blurred border of a cortex.
WATER_T1_RATIO, WATER_RATIO, WATER_RADIUS_MM, LEAST_WATER_ML = 0.42, 1.8, 1.5, 0.1
WATER_DEPTH_MM = 2.5  # nearer to the surface cortex and the cartilage beyond it mix to the same
CLOSING = 0.9  # a bone's section that shrinks more than this is its end
THIN_SLICE_MM = 2.0  # thinner than this, the margin in mm takes care of partial volume
SMOOTHING_MM = 0.6  # in-plane; about one voxel, so that noise does not set the spread
OUTLYING = 1.25  # a bone so much brighter than its neighbours is judged by theirs,
OUTLYING_ALONE = 1.5  # or by this much without a T1: coils and suppression alone make up to a half
DARK_T1 = 0.85  # if its T1 level against theirs is below this, as water in place of fat makes it
LEAST_NEIGHBOURS = 3
# At a joint inflammation may fill most of several bones: what is so much brighter than the least
# bright one of a fair size is judged by that, the more so the brighter it is, so that a slightly
# other outline does not change the whole bone's measure. Not so on T1: there an ilium is fattier
# than a sacrum, and edema is dark against its own bone.
JOINT_OUTLYING, JOINT_SURELY, JOINT_LEAST_ML = 1.15, 1.3, 10.0


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
        Labels of bones brighter than their neighbours but not known to be dark on T1: judged by
        themselves.
    dark : ndarray of bool, optional
        Cortex, joint space and sclerosis: dark on T1 and no edema.
    """

    interior: NDArray[np.bool_]
    t2fs: Reference
    t1: Reference | None
    borrowed: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    bright: tuple[int, ...] = ()
    dark: NDArray[np.bool_] | None = None


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
    joint = joint_labels(site, bones)
    interior = bone_depth(bones) > site.marrow_margin_mm
    signal = smooth_in_plane(pair.t2fs.data, pair.grid, SMOOTHING_MM)
    guide, t1 = None, None
    if pair.t1 is not None:
        guide = smooth_in_plane(pair.t1.data, pair.grid, SMOOTHING_MM)
        for _ in range(2):  # the second time without cortex
            shading = fit_shading(guide, bones, interior & (guide > 0))
            t1 = reference(guide, bones, interior, shading)[0]
            with np.errstate(invalid="ignore"):
                interior &= ~(t1.ratio < CORTEX_T1_RATIO)
    shading = best_shading(signal, guide, bones, interior & (signal > 0))
    t1_levels = t1.levels if t1 else None
    t2fs, borrowed, unjudged = reference(
        signal, bones, interior, shading, joint=joint, t1_levels=t1_levels
    )
    fatty = (v for v in borrowed if is_fatty(v, t1_levels, t2fs.levels))
    bright = () if joint else tuple(fatty)
    if bright:
        t2fs, borrowed, unjudged = reference(signal, bones, interior, shading, bright)
    dark = np.zeros(interior.shape, bool)
    if t1 is not None and guide is not None:
        if not joint:
            t1 = judged_by_others(t1, bones, borrowed)
        water = watery(t1, t2fs, bones)
        with np.errstate(invalid="ignore"):
            dark = (t1.ratio < CORTEX_T1_RATIO) & ~water
        interior |= water
    interior &= fills_its_slice(bones)
    return Marrow(interior, t2fs, t1, borrowed, unjudged, bright, dark)


def watery(t1: Reference, t2fs: Reference, bones: Volume) -> NDArray[np.bool_]:
    """Return what is dark on T1 but not as dark as cortex, and bright on the other series: edema.

    Only where it is thick within the slice, since the border between marrow and fluid passes
    through the same signals, and as large as a network can judge.
    """
    with np.errstate(invalid="ignore"):
        water = (t1.ratio > WATER_T1_RATIO) & (t2fs.ratio > WATER_RATIO)
    water &= bone_depth(bones) > WATER_DEPTH_MM
    flat = bones.grid.flat_spacing_mm
    core = depth_mm(water, flat) > WATER_RADIUS_MM
    if not core.any():
        return core
    parts, _ = ndimage.label(water & (depth_mm(~core, flat) <= WATER_RADIUS_MM))
    large = np.bincount(parts.ravel()) * bones.grid.voxel_ml >= LEAST_WATER_ML
    large[0] = False
    return large[parts]


def judged_by_others(own: Reference, bones: Volume, borrowed: tuple[int, ...]) -> Reference:
    """Return the T1 reference with the others' level for bones that the others judge.

    What fills most of a bone is dark on T1 against other bones only.
    """
    darker = [v for v in borrowed if v in own.levels]
    others = [level for v, level in own.levels.items() if v not in borrowed]
    if not darker or not others:
        return own
    centre = own.centre.copy()
    usual = float(np.median(others))
    for label in darker:
        centre[bones.data == label] *= max(1.0, usual / own.levels[label])
    return replace(own, centre=centre)


def joint_labels(site: Site, bones: Volume) -> tuple[int, ...]:
    """Return the labels of the bones of the site's joint, all where they are not told apart.

    A vertebra that the scan shows beside a sacroiliac joint is no measure of its marrow.
    """
    if site.joint_reach_mm is None:
        return ()
    names = {name for side in site.joint_between for name in side}
    present = present_labels(bones)
    return tuple(v for v in present if site.bone(v).name in names) or present


def bone_depth(bones: Volume) -> NDArray[np.float32]:
    """Return each bone voxel's distance in mm from its bone's surface; 0 outside."""
    depth = np.zeros(bones.grid.shape, np.float32)
    for label in present_labels(bones):
        box = around(bones.data == label, (1, 1, 1))
        depth[box] += depth_mm(bones.data[box] == label, bones.grid.spacing_mm)
    return depth


def is_fatty(
    label: int, t1_levels: Mapping[int, float] | None, t2fs_levels: Mapping[int, float]
) -> bool:
    """Say whether a bright bone with marrow of its own has as much T1 signal as the others.

    Where a whole bone is bright on the fat-suppressed series, water in the place of fat makes it
    dark on T1 as well; suppression that is weaker there, as in front of the knee, does not. Without
    a T1 it is taken for fatty up to `OUTLYING_ALONE` times its neighbours' level.

    Examples
    --------
    >>> is_fatty(3, {1: 100.0, 2: 104.0, 3: 96.0}, {1: 10.0, 2: 9.0, 3: 21.0})
    True
    >>> is_fatty(3, {1: 100.0, 2: 104.0, 3: 70.0}, {1: 10.0, 2: 9.0, 3: 21.0})
    False
    >>> is_fatty(3, None, {1: 10.0, 2: 9.0, 3: 13.0})
    True
    """
    if label not in t2fs_levels:
        return False
    if t1_levels is None:
        usual = float(np.median(list(t2fs_levels.values())))
        return t2fs_levels[label] < OUTLYING_ALONE * usual
    if label not in t1_levels:
        return False
    return t1_levels[label] >= DARK_T1 * float(np.median(list(t1_levels.values())))


def fills_its_slice(bones: Volume) -> NDArray[np.bool_]:
    """Return the bone voxels whose neighbours in both next slices belong to the same bone.

    In a thick slice the surface of a bone that runs along the slice leaves voxels part bone, part
    fat, fluid or ligament: as far from the surface in mm as any, yet no marrow. Slices thinner than
    `THIN_SLICE_MM` have the margin in mm for that. In the volume's first and last slice a bone
    counts as continued, unless its section there is under `CLOSING` of that in the slice before.
    """
    grid = bones.grid
    if grid.spacing_mm[grid.slice_axis] < THIN_SLICE_MM:
        return bones.data > 0
    along = np.moveaxis(bones.data, grid.slice_axis, 0)
    same = np.ones(along.shape, bool)
    same[1:] &= along[1:] == along[:-1]
    same[:-1] &= along[:-1] == along[1:]
    for end, before in ((0, 1), (-1, -2)) if len(along) > 1 else ():
        area, area_before = (np.bincount(along[n].ravel(), minlength=256) for n in (end, before))
        same[end] &= ~(area < CLOSING * area_before)[along[end]]
    return np.moveaxis(same, 0, grid.slice_axis) & (bones.data > 0)


def present_labels(bones: Volume) -> tuple[int, ...]:
    """Return the labels that occur, in order, without 0."""
    return tuple(int(v) for v in np.flatnonzero(np.bincount(bones.data.ravel())) if v)


def reference(
    signal: NDArray[np.float32],
    bones: Volume,
    interior: NDArray[np.bool_],
    shading: Shading,
    keep: tuple[int, ...] = (),
    *,
    joint: tuple[int, ...] = (),
    t1_levels: Mapping[int, float] | None = None,
) -> tuple[Reference, tuple[int, ...], tuple[int, ...]]:
    """Return the reference of one image, the labels that borrowed it, and those without any.

    A bone with less than `MIN_MARROW_ML` of marrow, and one whose marrow is far brighter than that
    of its neighbours, takes the median reference of the judged bones, unless its label is in
    `keep`; with none it is not judged. Of the bones of a `joint`, by label, the least bright
    one is the measure of all; by how much another is brighter counts only as far as it is not so
    on T1 too (`t1_levels`), as shading and fat make it.
    """
    usable = interior & np.isfinite(signal) & (signal > 0)
    labels = present_labels(bones)
    voxels = np.bincount(bones.data[usable], minlength=max(labels, default=0) + 1)
    judged = [v for v in labels if voxels[v] * bones.grid.voxel_ml >= MIN_MARROW_ML]
    centre = np.full(signal.shape, np.nan, np.float32)
    spread = np.full(signal.shape, np.nan, np.float32)
    borrowed = set(labels) - set(judged)
    levels: dict[int, float] = {}
    if judged:
        inside = bones.data > 0
        factor = shading(np.argwhere(inside))
        own = {v: level_of(signal, shading, usable & (bones.data == v)) for v in judged}
        levels_of, spreads_of = zip(*own.values(), strict=True)
        shared = (
            weighted_median(np.array(levels_of), voxels[judged]),
            weighted_median(np.array(spreads_of), voxels[judged]),
        )
        levels = {v: level[0] for v, level in own.items()}
        outlying = surely = OUTLYING if len(judged) >= LEAST_NEIGHBOURS else np.inf
        measured = [v for v in judged if v in joint]
        excess = {v: level / shared[0] for v, level in levels.items()}
        if measured:
            large = [v for v in measured if voxels[v] * bones.grid.voxel_ml >= JOINT_LEAST_ML]
            least = min(large or measured, key=lambda v: levels[v])
            shared, outlying, surely = own[least], JOINT_OUTLYING, JOINT_SURELY
            excess = {
                v: level / shared[0] / _brighter_on_t1(v, least, t1_levels)
                for v, level in levels.items()
            }
        borrowed |= {v for v in judged if excess[v] > outlying} - set(keep)
        table = np.array(
            [
                _judged_by(own[v], shared, float(np.interp(excess[v], (outlying, surely), (0, 1))))
                if v in own and v in borrowed
                else own.get(v, shared)
                for v in range(max(labels) + 1)
            ]
        )
        centre[inside] = table[bones.data[inside], 0] * factor
        spread[inside] = table[bones.data[inside], 1] * factor
    others = tuple(sorted(borrowed))
    found = Reference(signal, centre, spread, levels)
    return (found, others, ()) if judged else (found, (), others)


def weighted_median(values: NDArray, weights: NDArray) -> float:
    """Return the value at half of the weight; between two that share it their mean.

    By volume, small bones do not outvote large ones: a fibula full of edema and a patella under
    weak suppression are no measure of a tibia.

    Examples
    --------
    >>> weighted_median(np.array([90.0, 110.0, 190.0, 200.0]), np.array([80, 90, 10, 12]))
    110.0
    >>> weighted_median(np.array([1.0, 3.0]), np.array([5, 5]))
    2.0
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    first, last = (
        int(np.searchsorted(reached, reached[-1] / 2, side)) for side in ("left", "right")
    )
    return float(values[order[[first, min(last, len(values) - 1)]]].mean())


def _brighter_on_t1(label: int, least: int, t1_levels: Mapping[int, float] | None) -> float:
    """Return how many times brighter than `least` a bone is on T1; 1 if darker or not known."""
    if not t1_levels or label not in t1_levels or least not in t1_levels:
        return 1.0
    return max(1.0, t1_levels[label] / t1_levels[least])


def _judged_by(
    own: tuple[float, float], shared: tuple[float, float], share: float
) -> tuple[float, float]:
    """Return level and spread that judge a bright bone: its own, or in part the shared ones."""
    first, second = ((1 - share) * o + share * s for o, s in zip(own, shared, strict=True))
    return first, second
