"""What of the bones can be judged: plausible images, fat suppression, voids, the field's edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.coverage import not_covered
from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.parts import large_parts
from bmepipe.analysis.reference import present_labels
from bmepipe.analysis.shading import robust_centre
from bmepipe.analysis.tissue import is_tissue
from bmepipe.errors import ImplausibleImage
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

FAT_NEIGHBOURHOOD_MM = 8.0  # fat suppression fails over regions, not in single voxels
# Times the usual signal of fat on the fat-suppressed series.
FAILED_RESIDUAL, WEAK_RESIDUAL, FAILED_STIR = 2.2, 1.5, 2.5
MOST_OUTSIDE = 2.0  # residual of fat outside the bones against marrow's; 0.75 to 1.97 was seen
LEAST_FAILED_ML = 0.3
PLAIN_RADIUS_MM = 3.0
PLAIN_T1, PLAIN_EXCESS = 0.85, 1.5  # of the fat nearby; of what weak suppression explains
PLAIN_RESIDUAL = 1.6  # above, too little tells water from fat
VOID_T1_RATIO = 0.12  # of marrow; cortex and sclerosis inside marrow keep 0.2 and more
LEAST_VOID_ML = 0.3
VOID_RADIUS_MM = 2.5  # half of a cortex is thinner
SWAPPED_SKEWNESS = 0.4
FATTY_RANK = 0.2


def assess(pair: Pair, bones: Volume, site: Site) -> tuple[Volume, tuple[str, ...]]:
    """Say where the bones can be judged, and what forbids it elsewhere.

    Parameters
    ----------
    pair : Pair
    bones : Volume of uint8
    site : Site

    Returns
    -------
    Volume of bool
        Bone in which edema can be told; where suppression failed or signal is lost it is False.
    tuple of str
        One line for each thing that was found.

    Raises
    ------
    ImplausibleImage
        If an image is constant or not finite, or if the two look swapped.
    """
    require_plausible(pair.t2fs, bones, "fat-suppressed series")
    assessable = bones.data > 0
    notes = []
    if pair.t1 is not None:
        require_plausible(pair.t1, bones, "T1")
        refuse_swapped(pair, bones)
        failed = suppression_failure(pair, bones)
        if failed.any():
            notes.append(left_out("fat suppression failed", failed, bones, site))
        uncovered = not_covered(pair.t1, pair.t2fs)
        if (uncovered & assessable).any():
            notes.append(left_out("the T1 does not cover it", uncovered, bones, site))
        void = signal_void(pair.t1, bones) & ~uncovered
        if void.any():
            notes.append(left_out("signal is lost (metal, air or flow)", void, bones, site))
        assessable = assessable & ~failed & ~void & ~uncovered
    else:
        notes.append("Without a T1, failed fat suppression is told from edema by its shape alone.")
    notes.extend(cut_bones(bones, site))
    return Volume(np.asfortranarray(assessable), bones.grid), tuple(notes)


def require_plausible(volume: Volume, bones: Volume, name: str) -> None:
    """Refuse an image that is not finite, or constant as a whole or within the bones."""
    if not np.isfinite(volume.data).all():
        count = int(np.count_nonzero(~np.isfinite(volume.data)))
        raise ImplausibleImage(
            f"a {name} with finite values", f"{count} that are not", "check the image file"
        )
    for part, where in ((volume.data, ""), (volume.data[bones.data > 0], " within the bones")):
        if part.size and float(part.max()) == float(part.min()):
            raise ImplausibleImage(
                f"a {name} with contrast",
                f"the constant {float(part.max()):g}{where}",
                "check the image file",
            )


def refuse_swapped(pair: Pair, bones: Volume) -> None:
    """Refuse a pair whose tissue tells that the two were exchanged.

    With fat suppressed most tissue is dark and a little fluid is bright, so that the signal of
    tissue is skewed to the right; on T1 it is far less so. In five real pairs the skewness of the
    fat-suppressed series was larger by 0.6 to 3.8. Marrow that is clearly brighter on the T1,
    against other tissue, speaks for the right order all the same.

    Raises
    ------
    ImplausibleImage
    """
    assert pair.t1 is not None
    on_t1, on_t2fs = (tissue_skewness(volume, bones) for volume in (pair.t1, pair.t2fs))
    fatty = marrow_rank(pair.t1, bones) > marrow_rank(pair.t2fs, bones) + FATTY_RANK
    if on_t1 > on_t2fs + SWAPPED_SKEWNESS and not fatty:
        raise ImplausibleImage(
            "a fat-suppressed series whose tissue is dark but for fluid, more than the T1's",
            f"skewness {on_t2fs:.1f} of its signal, {on_t1:.1f} of the T1's",
            "the two seem swapped: exchange --t1 and --t2fs",
        )


def tissue_skewness(volume: Volume, bones: Volume) -> float:
    """Return the skewness of the signal outside the bones; 0 where there is too little of it.

    Examples
    --------
    >>> grid = Grid((1, 1, 6), np.eye(4))
    >>> bones = Volume(np.array([[[0, 0, 0, 0, 1, 1]]], np.uint8), grid)
    >>> round(tissue_skewness(Volume(np.array([[[2.0, 2, 2, 10, 5, 5]]]), grid), bones), 2)
    1.15
    """
    values = tissue(volume, bones).astype(np.float64)
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def marrow_rank(volume: Volume, bones: Volume) -> float:
    """Return the part of the other tissue, 0 to 1, that is darker than typical marrow."""
    values = tissue(volume, bones)
    return float((values < np.median(volume.data[bones.data > 0])).mean()) if len(values) else 0.5


def tissue(volume: Volume, bones: Volume) -> NDArray:
    """Return the signal outside the bones above a tenth of the image's 99th percentile."""
    return volume.data[(bones.data == 0) & is_tissue(volume.data)]


def suppression_failure(pair: Pair, bones: Volume) -> NDArray[np.bool_]:
    """Return the bone in regions where fat shines on the fat-suppressed series.

    Fat is what is as bright on T1 as typical marrow. The ratio of both images, averaged over the
    fat of a neighbourhood, is the residual of fat; coil shading cancels in it. Suppression failed
    where it exceeds `FAILED_RESIDUAL` times its usual value, inside and outside the bones alike,
    and around there as far as it exceeds `WEAK_RESIDUAL`: it fails more and more over centimetres.
    """
    assert pair.t1 is not None
    t1, t2fs = (shrunk(volume) for volume in (pair.t1, pair.t2fs))
    bone = shrunk(Volume(bones.data > 0, bones.grid)).data > 0.5
    level = np.median(pair.t1.data[bones.data > 0])
    fat = t1.data > np.where(bone, 0.9, 0.8) * level
    if not (fat & bone).any() or not (fat & ~bone).any():
        return np.zeros(bones.grid.shape, bool)
    usual, usual_outside = (
        robust_centre(t2fs.data[where] / t1.data[where]) for where in (fat & bone, fat & ~bone)
    )
    if usual <= 0 or usual_outside <= 0:
        return np.zeros(bones.grid.shape, bool)
    least, weak_least = FAILED_RESIDUAL, WEAK_RESIDUAL
    if pair.sequence_class is SequenceClass.STIR:
        # Inversion seldom fails, and large inflammation with the tissue around it looks alike.
        usual_outside, least, weak_least = usual, FAILED_STIR, FAILED_STIR
    inside = local_residual(t1, t2fs, fat & bone) / usual
    # Most of the fat outside may lie where suppression failed: it is not usual then.
    outside = local_residual(t1, t2fs, fat & ~bone) / min(usual_outside, MOST_OUTSIDE * usual)
    both = np.minimum(inside, outside)
    with np.errstate(invalid="ignore"):
        weak, failed = (both > weak_least) & bone, both > least
    labels, _ = ndimage.label(weak)
    around = np.isin(labels, np.unique(labels[failed & weak]))
    if not around.any():
        return np.zeros(bones.grid.shape, bool)
    plain = plain_edema(t1, t2fs, bone, fat & bone, both * usual) & ~(both > PLAIN_RESIDUAL)
    return enlarged(around & ~plain, bones) & (bones.data > 0)


def plain_edema(
    t1: Volume,
    t2fs: Volume,
    bone: NDArray[np.bool_],
    fat: NDArray[np.bool_],
    residual: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return what weak suppression does not explain, and the blocks around it.

    Darker than the fat nearby on T1, and brighter on the fat-suppressed series than fat of that T1
    signal would be: water. Only where suppression is weak may it be told so; where it failed, the
    signal of fat hides all else.
    """
    weight, nearby = near_fat(1.0, fat, t1.grid), near_fat(t1.data, fat, t1.grid)
    with np.errstate(invalid="ignore"):
        dark = bone & (t1.data * weight < PLAIN_T1 * nearby)
        water = dark & (t2fs.data > PLAIN_EXCESS * residual * t1.data)
    core = depth_mm(water, t1.grid.spacing_mm) > PLAIN_RADIUS_MM
    return ndimage.binary_dilation(ndimage.binary_propagation(core, mask=water))


def local_residual(t1: Volume, t2fs: Volume, fat: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean ratio of fat-suppressed to T1 signal over the fat near each voxel.

    NaN where less than a hundredth of the neighbourhood is fat.
    """
    weight, suppressed, plain = (
        near_fat(values, fat, t1.grid) for values in (1.0, t2fs.data, t1.data)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0.01, suppressed / plain, np.nan)


def near_fat(values: NDArray | float, fat: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Return the sum of values over the fat near each voxel, weighted by nearness."""
    sigma = [FAT_NEIGHBOURHOOD_MM / step for step in grid.spacing_mm]
    return ndimage.gaussian_filter(np.where(fat, values, 0.0).astype(np.float64), sigma)


def shrunk(volume: Volume, spacing_mm: float = 2.0) -> Volume:
    """Return block means of a volume at about `spacing_mm`, as float."""
    from bmepipe.analysis.align import shrink

    return shrink(Volume(volume.data.astype(np.float32), volume.grid), spacing_mm)


def enlarged(mask: NDArray[np.bool_], bones: Volume) -> NDArray[np.bool_]:
    """Return a block mask of `shrunk` on the voxels of `bones`; parts too small are left out."""
    factors = [n // m for n, m in zip(bones.grid.shape, mask.shape, strict=True)]
    full = np.zeros(bones.grid.shape, bool)
    whole = mask
    for axis, factor in enumerate(factors):
        whole = np.repeat(whole, factor, axis)
    full[tuple(slice(0, n) for n in whole.shape)] = whole
    return large_parts(full & (bones.data > 0), bones.grid, LEAST_FAILED_ML)


def signal_void(t1: Volume, bones: Volume) -> NDArray[np.bool_]:
    """Return the parts of the bones without T1 signal that are thicker than any cortex."""
    level = np.median(t1.data[bones.data > 0])
    dark = (t1.data < VOID_T1_RATIO * level) & (bones.data > 0)
    thick = depth_mm(dark, t1.grid.spacing_mm) >= VOID_RADIUS_MM
    void = dark & (depth_mm(~thick, t1.grid.spacing_mm) <= VOID_RADIUS_MM)
    return large_parts(void, t1.grid, LEAST_VOID_ML)


def cut_bones(bones: Volume, site: Site) -> list[str]:
    """Return a note on the bones that the field of view cuts across its slices or in plane."""
    cut = []
    for label in present_labels(bones):
        faces = [np.take(bones.data, end, axis) == label for axis in range(3) for end in (0, -1)]
        if any(face.any() for face in faces):
            cut.append(site.bone(label).name)
    if not cut:
        return []
    return [f"Cut by the field of view: {', '.join(cut)}; volumes are of the part inside."]


def left_out(what: str, mask: NDArray[np.bool_], bones: Volume, site: Site) -> str:
    """Return a note: what happened, where, how much of each bone is left out."""
    parts = []
    for label in present_labels(bones):
        bone = bones.data == label
        share = np.count_nonzero(mask & bone) / np.count_nonzero(bone)
        if share > 0:
            told = f"{share:.0%}" if share >= 0.005 else "under 1%"
            parts.append(f"{site.bone(label).name} {told}")
    return f"Left out because {what}: {', '.join(parts)}."
