"""What normal marrow looks like, bone by bone: its signal's centre, spread and slow variation.

Everything that follows is judged against this reference, so it must not be moved by the edema
itself: the centre is that of the densest half of a bone's marrow, the spread is taken from the dark
side only, where edema is never found, and the shading of the coil is fitted with weights that
ignore what is brighter than its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.column import column_of
from bmepipe.analysis.depth import depth_mm, opened
from bmepipe.analysis.filled_bones import (
    BoneSignal,
    bone_signals,
    filled_bones,
    is_fatty,
    red_or_filled_bones,
    relative_quotients,
    stands_out,
)
from bmepipe.analysis.parts import large_parts
from bmepipe.analysis.reference import (
    Reference,
    judged_by_others,
    judged_by_sound,
    present_labels,
    reference,
)
from bmepipe.analysis.region import around
from bmepipe.analysis.shading import Shading, best_shading, fit_shading, shading_of_others
from bmepipe.analysis.vertebral_arches import ARCH, arches_apart
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

CORTEX_T1_RATIO = 0.55  # of T1-bright marrow; cortex, joint space and sclerosis lie below (0.2-0.4)
# Intense edema has 0.54 to 0.6 of yellow marrow there: what is below that limit, though not as dark
# as cartilage and muscle (a third) or fluid (a quarter), is edema where it is bright on the
# fat-suppressed series and thicker than the blurred border of a cortex.
WATER_T1_RATIO, WATER_RATIO, WATER_RADIUS_MM, LEAST_WATER_ML = 0.42, 1.8, 1.5, 0.1
WATER_DEPTH_MM = 2.5  # nearer to the surface cortex and the cartilage beyond it mix to the same
# What is brighter may be edema: halfway to mild edema (docs/method.md, section 4), nearer on PD-FS.
SOUND = MappingProxyType(
    {SequenceClass.STIR: 1.2, SequenceClass.T2_FS: 1.5, SequenceClass.PD_FS: 1.6}
)
CLOSING = 0.9  # a bone's section that shrinks more than this is its end
THIN_SLICE_MM = 2.0  # thinner than this, the margin in mm takes care of partial volume
SMOOTHING_MM = 0.6  # in-plane; about one voxel, so that noise does not set the spread


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
    red_or_filled : tuple of int
        Labels of bones judged by themselves that red marrow may fill, or edema.
    arches : ndarray of bool, optional
        Of vertebrae, where they are judged: by a reference of their own.
    """

    interior: NDArray[np.bool_]
    t2fs: Reference
    t1: Reference | None
    borrowed: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    bright: tuple[int, ...] = ()
    dark: NDArray[np.bool_] | None = None
    arches: NDArray[np.bool_] | None = None
    red_or_filled: tuple[int, ...] = ()


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
    parts = arches_apart(bones, site)
    arches = parts.data >= ARCH
    bodies = bones.with_data(np.where(arches, 0, bones.data).astype(np.uint8))
    depth = bone_depth(bones)
    interior = depth > site.marrow_margin_mm
    signal = smooth_in_plane(pair.t2fs.data, pair.grid, SMOOTHING_MM)
    t1, t1_shading = None, None
    if pair.t1 is not None:
        t1, t1_shading, interior = _without_cortex(pair.t1, bodies, parts, interior)
    guide = None if t1 is None else t1.signal
    shading = best_shading(signal, guide, bodies, interior & (signal > 0))
    t2fs, borrowed, unjudged = reference(
        signal, parts, interior, shading, joint=joint, t1_levels=t1.levels if t1 else None
    )
    bright: tuple[int, ...] = ()
    red: tuple[int, ...] = ()
    if not joint:
        levels = t1.levels if t1 else None
        signals = bone_signals(signal, guide, parts, interior, t2fs.levels, levels)
        # A coil brightens vertebrae of a column one by one: without a T1 none is told as full.
        known = t1 is not None or column_of(site) is None
        filled = filled_bones(signals, pair.sequence_class) if known else ()
        if filled and t1 is not None and t1_shading is not None:
            t1 = reference(t1.signal, parts, interior, t1_shading, unsound=filled)[0]
        elif filled:
            shading = shading_of_others(signal, bodies, interior & (signal > 0), filled)
        if filled:
            t2fs, borrowed, unjudged = reference(signal, parts, interior, shading, unsound=filled)
        bright = _bright(borrowed, filled, site, pair.sequence_class, signals)
        if bright:
            t2fs, borrowed, unjudged = reference(
                signal, parts, interior, shading, bright, unsound=filled
            )
        red = red_or_filled_bones(signals, pair.sequence_class)
        if t1 is not None and t1_shading is not None:
            with np.errstate(invalid="ignore"):
                sound = interior & ~(t2fs.ratio > SOUND[pair.sequence_class])
            t1 = judged_by_others(judged_by_sound(t1, parts, sound, t1_shading), parts, borrowed)
    dark = np.zeros(interior.shape, bool)
    if t1 is not None:
        water = watery(t1, t2fs, depth, bones.grid)
        with np.errstate(invalid="ignore"):
            dark = (t1.ratio < CORTEX_T1_RATIO) & ~water
        interior |= water
    interior &= fills_its_slice(bones)
    red = tuple(v for v in red if v not in borrowed)
    borrowed, unjudged, bright, red = (
        tuple(v for v in some if v < ARCH) for some in (borrowed, unjudged, bright, red)
    )
    return Marrow(interior, t2fs, t1, borrowed, unjudged, bright, dark, arches, red)


def _without_cortex(
    image: Volume, bodies: Volume, parts: Volume, interior: NDArray[np.bool_]
) -> tuple[Reference, Shading, NDArray[np.bool_]]:
    """Return the reference and the shading of the T1, and the interior without what is dark on it.

    The second time around without the cortex that the first has found.
    """
    signal = smooth_in_plane(image.data, image.grid, SMOOTHING_MM)
    for _ in range(2):
        shading = fit_shading(signal, bodies, interior & (signal > 0))
        t1 = reference(signal, parts, interior, shading)[0]
        with np.errstate(invalid="ignore"):
            interior = interior & ~(t1.ratio < CORTEX_T1_RATIO)
    return t1, shading, interior


def _bright(
    borrowed: tuple[int, ...],
    filled: tuple[int, ...],
    site: Site,
    sequence_class: SequenceClass,
    signals: Mapping[int, BoneSignal],
) -> tuple[int, ...]:
    """Return which of the bones that others would judge are bright, but not full of edema."""
    sound = {v: s for v, s in signals.items() if v not in filled}
    quotients = relative_quotients(signals, filled)

    def is_edematous(v: int) -> bool:
        return (
            v in filled
            or stands_out(v, site, signals, sequence_class)
            or not is_fatty(v, signals, sound, quotients.get(v, np.inf))
        )

    return tuple(v for v in borrowed if not is_edematous(v))


def watery(
    t1: Reference, t2fs: Reference, depth: NDArray[np.float32], grid: Grid
) -> NDArray[np.bool_]:
    """Return what is dark on T1 but not as dark as cortex, and bright on the other series: edema.

    Only where it is thick within the slice, since the border between marrow and fluid passes
    through the same signals, and as large as a network can judge. `depth` is that of `bone_depth`.
    """
    with np.errstate(invalid="ignore"):
        water = (t1.ratio > WATER_T1_RATIO) & (t2fs.ratio > WATER_RATIO)
    water &= depth > WATER_DEPTH_MM
    return large_parts(opened(water, WATER_RADIUS_MM, grid.flat_spacing_mm), grid, LEAST_WATER_ML)


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
