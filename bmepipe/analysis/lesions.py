"""From a probability to lesions: hysteresis, look-alikes rejected with a reason, rims regrown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.contrast import GROW_PROBABILITY, SEED_PROBABILITY, rule_of
from bmepipe.analysis.joint import joint_line
from bmepipe.analysis.marrow import Marrow, Reference, depth_mm, normal_marrow
from bmepipe.result import Lesion
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

FRINGE_RADIUS_MM, FRINGE_DEPTH_MM = 1.5, 3.0
LEVEL_REACH_MM = 4.0  # Gaussian within which a lesion's own level is averaged
# Of the step from marrow to core: the smallest, the best and the largest drawing of a lesion. The
# best is a little above the half because a Gaussian mean stays below the core.
STEP_SHARES = (0.7, 0.55, 0.4)
RIM_REACH_MM = 2.0  # how far outside the bone the surroundings of a candidate are looked at
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Found:
    """Lesions and rejected candidates.

    Parameters
    ----------
    edema : Volume of bool
    lesion_map : Volume of uint16
        Numbers of the lesions, 1 the largest.
    lesions, rejected : tuple of Lesion
    marrow : Marrow
        The reference they were judged by.
    low, high : ndarray of bool, optional
        The smallest and the largest drawing of the lesions that are plausible.
    """

    edema: Volume
    lesion_map: Volume
    lesions: tuple[Lesion, ...]
    rejected: tuple[Lesion, ...]
    marrow: Marrow
    low: NDArray[np.bool_] | None = None
    high: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Candidate:
    """Facts of one connected candidate, from which look-alikes are told.

    Lengths in mm, `volume_mm3` in cubic mm. `depth` is the distance from the bone's surface,
    `radius` that of the largest circle inside it within a slice; `length`, `width` and `thickness`
    are the full axes of the ellipsoid with the same moments; `outside_ratio` is the upper decile of
    the signal just outside the bone beside it, over the candidate's own mean; `joint_distance` from
    the joint to its nearest voxel, None where the site names no joint or none was found.
    """

    volume_mm3: float
    mean_ratio: float
    peak_ratio: float
    mean_t1_ratio: float | None
    least_depth: float
    median_depth: float
    greatest_depth: float
    radius: float
    length: float
    width: float
    thickness: float
    outside_ratio: float | None
    joint_distance: float | None = None


Look = Callable[[Candidate], bool]


def find_lesions(
    probability: Volume, pair: Pair, bones: Volume, assessable: Volume, site: Site
) -> Found:
    """Turn a probability of edema into numbered lesions and rejected candidates.

    Parameters
    ----------
    probability : Volume of float32
        From any detector; 0.5 is its edge and 0.8 its certainty.
    pair : Pair
    bones : Volume of uint8
    assessable : Volume of bool
        Marrow that can be judged; nothing is reported outside it.
    site : Site
    """
    marrow = normal_marrow(pair, bones, site)
    rule = rule_of(pair, site)
    bright = (probability.data >= GROW_PROBABILITY) & marrow.interior & assessable.data
    depth = bone_depth(bones)
    joint_mm = joint_distance_mm(pair, bones, marrow, site)
    labels, boxes = hysteresis(bright, bright & (probability.data >= SEED_PROBABILITY))
    kept = np.zeros(bones.grid.shape, np.uint16)
    rejected = []
    for number, box in enumerate(boxes, start=1):
        mask = labels[box] == number
        facts = describe(mask, box, pair, bones, marrow, depth)
        if joint_mm is not None:
            facts = replace(facts, joint_distance=float(joint_mm[box][mask].min()))
        reason = looks_like(facts, rule.min_lesion_mm3, site.joint_reach_mm)
        if reason:
            rejected.append(_row(0, mask, box, probability, bones, marrow, depth, reason, site))
        else:
            kept[box][mask] = 1
    bright = regrow_rim(kept > 0, probability, bones, assessable, marrow, site)
    bright = without_fringes(bright, depth, bones.grid)
    low, edema, high = (
        without_specks(cut_at(share, bright, marrow, bones.grid), rule.min_lesion_mm3, bones.grid)
        for share in STEP_SHARES
    )
    found = _number(edema, tuple(rejected), probability, bones, marrow, depth, site)
    return replace(found, low=low, high=high)


def hysteresis(bright: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> tuple[NDArray, list[Box]]:
    """Return labels of the components of `bright` that hold a seed, and their boxes.

    Neighbours share a face, so that two structures touching at a corner stay two.

    Examples
    --------
    >>> bright = np.array([[[1, 1, 0, 1, 0]]], bool)
    >>> labels, boxes = hysteresis(bright, np.array([[[0, 1, 0, 0, 0]]], bool))
    >>> labels.tolist(), len(boxes)
    ([[[1, 1, 0, 0, 0]]], 1)
    """
    labels, count = ndimage.label(bright)
    seeded = np.unique(labels[seeds])
    table = np.zeros(count + 1, np.int32)
    table[seeded[seeded > 0]] = np.arange(1, np.count_nonzero(seeded) + 1)
    labels = table[labels]
    return labels, [box for box in ndimage.find_objects(labels) if box is not None]


def bone_depth(bones: Volume) -> NDArray[np.float32]:
    """Return each bone voxel's distance in mm from its bone's surface; 0 outside."""
    depth = np.zeros(bones.grid.shape, np.float32)
    for label, box in enumerate(ndimage.find_objects(bones.data), start=1):
        if box is not None:
            wide = widen(box, (1, 1, 1), bones.grid.shape)
            depth[wide] += depth_mm(bones.data[wide] == label, bones.grid.spacing_mm)
    return depth


def widen(box: Box, voxels: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """Return `box` enlarged by `voxels` on every side, as far as the grid goes."""
    i, j, k = (
        slice(max(s.start - n, 0), min(s.stop + n, size))
        for s, n, size in zip(box, voxels, shape, strict=True)
    )
    return (i, j, k)


def describe(
    mask: NDArray[np.bool_],
    box: Box,
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray[np.float32],
) -> Candidate:
    """Return the facts of the candidate `mask` in `box`."""
    grid = bones.grid
    ratio = marrow.t2fs.ratio[box][mask]
    t1_ratio = None
    if marrow.t1 is not None:
        t1_ratio = float(np.nanmean(marrow.t1.ratio[box][mask]))
    thickness, width, length = axes_mm(np.argwhere(mask), grid.spacing_mm)
    return Candidate(
        volume_mm3=float(mask.sum() * grid.voxel_ml * 1000),
        mean_ratio=float(np.nanmean(ratio)),
        peak_ratio=float(np.nanmax(ratio)),
        mean_t1_ratio=t1_ratio,
        least_depth=float(depth[box][mask].min()),
        median_depth=float(np.median(depth[box][mask])),
        greatest_depth=float(depth[box][mask].max()),
        radius=in_plane_radius_mm(mask, grid.spacing_mm, grid.slice_axis),
        length=length,
        width=width,
        thickness=thickness,
        outside_ratio=outside_ratio(mask, box, pair, bones),
    )


def axes_mm(index: NDArray, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the three axes, shortest first, of the ellipsoid with the moments of these voxels.

    A solid ellipsoid's variance along an axis of full length L is L^2 / 20; a voxel's own extent
    is counted in.

    Examples
    --------
    >>> axes_mm(np.array([[0, 0, k] for k in range(40)]), (1.0, 1.0, 1.0))[2] > 40
    True
    """
    points = (index - index.mean(axis=0)) * np.asarray(spacing_mm)
    covariance = points.T @ points / len(points) + np.diag(np.square(spacing_mm) / 12)
    a, b, c = np.sqrt(20 * np.maximum(np.linalg.eigvalsh(covariance), 0))
    return float(a), float(b), float(c)


def in_plane_radius_mm(mask: NDArray, spacing_mm: tuple[float, ...], slice_axis: int) -> float:
    """Return the radius in mm of the largest circle inside `mask` within one slice."""
    flat = tuple(1e6 if axis == slice_axis else s for axis, s in enumerate(spacing_mm))
    return float(depth_mm(np.pad(mask, 1), (flat[0], flat[1], flat[2])).max())


def outside_ratio(mask: NDArray, box: Box, pair: Pair, bones: Volume) -> float | None:
    """Return the signal outside the bone beside a candidate, over the candidate's mean.

    The upper decile within `RIM_REACH_MM`; None if no such voxel exists.
    """
    spacing = pair.grid.spacing_mm
    reach = tuple(max(1, round(RIM_REACH_MM / step)) for step in spacing)
    wide = widen(box, reach, pair.grid.shape)
    inner = np.zeros(bones.data[wide].shape, bool)
    within = [slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True)]
    inner[tuple(within)] = mask
    away = depth_mm(~inner, spacing)
    near = (away <= RIM_REACH_MM + min(spacing)) & (bones.data[wide] == 0)
    if not near.any():
        return None
    signal = pair.t2fs.data[wide]
    own = float(signal[inner].mean())
    return float(np.percentile(signal[near], 90)) / own if own > 0 else None


def is_bright_on_t1(c: Candidate) -> bool:
    """Say whether it is bright on T1, as a haemangioma or unsuppressed fat: edema never is."""
    return c.mean_t1_ratio is not None and c.mean_t1_ratio > 1.2


def is_rim(c: Candidate) -> bool:
    """Say whether it is a shallow band whose brightest part lies outside: fluid or cartilage.

    Without a T1 the cortex is not seen, and a bone drawn too large reaches deeper into the fluid.
    """
    deepest, median, brighter = (4.0, 2.6, 1.0) if c.mean_t1_ratio is not None else (7.0, 4.0, 1.1)
    shallow = c.greatest_depth < deepest and c.median_depth < median
    return shallow and c.outside_ratio is not None and c.outside_ratio > brighter


def is_vessel(c: Candidate) -> bool:
    """Say whether it is a tube: thin, and much longer than wide."""
    return c.radius < 1.5 and c.length > 3.5 * c.width


def is_cyst(c: Candidate) -> bool:
    """Say whether it is round, fluid-bright and dark on T1."""
    round_ = c.length < 1.8 * c.thickness
    dark = c.mean_t1_ratio is None or c.mean_t1_ratio < 0.6
    return round_ and dark and c.mean_ratio > 4.5


LOOK_ALIKES: Mapping[str, Look] = {
    "bright on T1: fat or haemangioma": is_bright_on_t1,
    "rim: joint fluid, cartilage or vessel outside the bone": is_rim,
    "vessel": is_vessel,
    "cyst": is_cyst,
}


def looks_like(
    candidate: Candidate, min_lesion_mm3: float, joint_reach_mm: float | None = None
) -> str:
    """Return what a candidate is if it is no edema; an empty string if it is."""
    if candidate.volume_mm3 < min_lesion_mm3:
        return "speck"
    if joint_reach_mm is not None and (candidate.joint_distance or 0) > joint_reach_mm:
        return "away from the joint"
    for name, look in LOOK_ALIKES.items():
        if look(candidate):
            return name
    return ""


def joint_distance_mm(
    pair: Pair, bones: Volume, marrow: Marrow, site: Site
) -> NDArray[np.float32] | None:
    """Return the distance in mm to the joint line; None where the site has none or none is seen."""
    if site.joint_reach_mm is None:
        return None
    line = joint_line(pair, bones, marrow)
    return depth_mm(~line, bones.grid.spacing_mm) if line.any() else None


def regrow_rim(
    edema: NDArray[np.bool_],
    probability: Volume,
    bones: Volume,
    assessable: Volume,
    marrow: Marrow,
    site: Site,
) -> NDArray[np.bool_]:
    """Grow edema back through the margin that detection left out.

    Only into bright, assessable bone outside the interior, and no farther than the margin and one
    voxel of the slice.
    """
    spacing = bones.grid.spacing_mm
    steps = int(np.ceil(site.marrow_margin_mm / min(spacing)))
    rim = (probability.data >= GROW_PROBABILITY) & (bones.data > 0) & assessable.data
    rim &= ~marrow.interior
    if marrow.t1 is not None:
        rim &= ~(marrow.t1.ratio < 0.55)
    structure = ndimage.generate_binary_structure(3, 1)
    return (
        ndimage.binary_dilation(edema, structure, steps, mask=rim | edema) if edema.any() else edema
    )


def without_fringes(
    bright: NDArray[np.bool_], depth: NDArray[np.float32], grid: Grid
) -> NDArray[np.bool_]:
    """Return `bright` without thin bands along the bone's surface.

    Cartilage and fluid shine into the outermost marrow of thick slices; where such a band touches a
    lesion it is no part of it. A band is what no circle of `FRINGE_RADIUS_MM` within a slice fits
    into, nearer to the surface than `FRINGE_DEPTH_MM`.
    """
    flat = [1e6 if axis == grid.slice_axis else s for axis, s in enumerate(grid.spacing_mm)]
    spacing_mm = (flat[0], flat[1], flat[2])
    core = depth_mm(bright, spacing_mm) > FRINGE_RADIUS_MM
    opened = bright & (depth_mm(~core, spacing_mm) <= FRINGE_RADIUS_MM)
    return bright & (opened | (depth > FRINGE_DEPTH_MM))


def cut_at(
    share: float, bright: NDArray[np.bool_], marrow: Marrow, grid: Grid
) -> NDArray[np.bool_]:
    """Return the part of `bright` above a share of the step from marrow to the lesion's core.

    A blurred edge lies where the signal has risen half way; a fixed threshold lies outside it, the
    more so the brighter the lesion. Readers draw at 40 to 60 % of the step. The level of the core
    is the mean weighted by the signal's square within `LEVEL_REACH_MM`, so that it follows the
    lesion from place to place and a weak part beside a bright one stays.

    Parameters
    ----------
    share : float
        0 to 1.
    bright : ndarray of bool
        Lesions as the thresholds of the rule draw them.
    marrow : Marrow
    grid : Grid
    """
    if not bright.any():
        return bright
    reach = tuple(int(3 * LEVEL_REACH_MM / step) + 1 for step in grid.spacing_mm)
    wide = widen(ndimage.find_objects(bright.astype(np.uint8))[0], reach, grid.shape)
    ratio = np.where(bright[wide], marrow.t2fs.ratio[wide], 0).astype(np.float32)
    sigma = [LEVEL_REACH_MM / step for step in grid.spacing_mm]
    cubes, squares = (ndimage.gaussian_filter(ratio**power, sigma, truncate=3) for power in (3, 2))
    level = cubes / np.maximum(squares, 1e-3)
    cut = np.zeros_like(bright)
    cut[wide] = bright[wide] & (ratio >= 1 + share * (level - 1))
    return cut


def without_specks(
    edema: NDArray[np.bool_], min_lesion_mm3: float, grid: Grid
) -> NDArray[np.bool_]:
    """Return edema without parts below `min_lesion_mm3`, which the cut may have left behind."""
    labels, _ = ndimage.label(edema, np.ones((3, 3, 3)))
    large = np.bincount(labels.ravel()) * grid.voxel_ml * 1000 >= min_lesion_mm3
    large[0] = False
    return large[labels]


def _number(
    edema: NDArray[np.bool_],
    rejected: tuple[Lesion, ...],
    probability: Volume,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray,
    site: Site,
) -> Found:
    """Return the lesions numbered by size, each within one bone, and described."""
    labels = np.zeros(edema.shape, np.int32)
    for label in np.unique(bones.data[edema]):
        part, _ = ndimage.label(edema & (bones.data == label), np.ones((3, 3, 3)))
        labels[part > 0] = part[part > 0] + labels.max()
    sizes = np.bincount(labels.ravel())
    order = [n for n in np.argsort(-sizes, kind="stable") if n > 0 and sizes[n] > 0]
    table = np.zeros(len(sizes), np.uint16)
    table[order] = np.arange(1, len(order) + 1)
    lesion_map = table[labels]
    rows = tuple(
        _row(n, lesion_map[box] == n, box, probability, bones, marrow, depth, "", site)
        for n, box in enumerate(ndimage.find_objects(lesion_map), start=1)
    )
    grid = bones.grid
    return Found(
        Volume(np.asfortranarray(edema), grid),
        Volume(np.asfortranarray(lesion_map), grid),
        rows,
        rejected,
        marrow,
    )


def _row(
    number: int,
    mask: NDArray[np.bool_],
    box: Box,
    probability: Volume,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray,
    rejected_as: str,
    site: Site,
) -> Lesion:
    """Return the table row of one lesion or rejected candidate."""
    grid = bones.grid
    index = np.argwhere(mask)
    label = int(np.bincount(bones.data[box][mask]).argmax())
    along = index[:, grid.slice_axis]
    start = np.array([s.start for s in box])
    extents = [(s.stop - s.start) * step for s, step in zip(box, grid.spacing_mm, strict=True)]
    x, y, z = (float(v) for v in grid.to_world(index.mean(axis=0) + start)[0])
    edges = [s.start == 0 or s.stop == n for s, n in zip(box, grid.shape, strict=True)]
    return Lesion(
        number=number,
        bone=site.bone(label).name,
        lesion_ml=float(len(index) * grid.voxel_ml),
        extent_mm=float(max(extents)),
        depth_mm=float(depth[box][mask].max()),
        t1_ratio=None if marrow.t1 is None else median_ratio(marrow.t1, box, mask),
        t2fs_ratio=median_ratio(marrow.t2fs, box, mask),
        confidence=float(probability.data[box][mask].mean()),
        touches_edge=any(edges),
        slice_index=int(np.bincount(along).argmax() + start[grid.slice_axis]),
        centre_mm=(x, y, z),
        rejected_as=rejected_as,
    )


def median_ratio(reference: Reference, box: Box, mask: NDArray[np.bool_]) -> float | None:
    """Return the median ratio to normal marrow inside `mask`; None without reference."""
    values = reference.ratio[box][mask]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
