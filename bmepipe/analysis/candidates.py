"""Facts of a candidate, and the look-alikes of edema that they tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.marrow import THIN_SLICE_MM, Marrow
from bmepipe.analysis.place import Place
from bmepipe.analysis.region import Box, padded, widen
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

RIM_REACH_MM = 2.0  # how far outside the bone the surroundings of a candidate are looked at
DOT_MM2 = 12.0  # a circle of 4 mm
CYST_MM, VESSEL_MM, INNER_MM = 12.0, 1.75, 8.0
SHEET_MM, SHEET_WIDTH_MM = 3.0, 15.0
STREAK_RATIO, STREAK_T1_RATIO = 1.7, 0.9  # of faint streaks, fat as much as marrow on T1
FLUID_T1_RATIO = 0.42  # halfway between fluid and intense edema
FAINT_RATIO = 1.15  # medians of the lesions of eight patients were 1.19 to 2.44
PLAIN_MM3, PLAIN_T1_RATIO = 500.0, 0.8  # what is edema wherever it lies
AWAY, PLATE, FAINT = "away from the joint", "growth plate", "faint"
HAEMANGIOMA = "round and bright on T1: haemangioma"
RIM = "rim: joint fluid, cartilage or vessel outside the bone"


@dataclass(frozen=True)
class Candidate:
    """Facts of one connected candidate, from which look-alikes are told.

    Lengths in mm, `volume_mm3` in cubic mm, `slice_area_mm2` the largest in any slice. `depth` is
    the distance from the bone's surface, `radius` that of the largest circle inside it within a
    slice; `length`, `width` and `thickness` are the full axes of the ellipsoid with the same
    moments; `outside_ratio` is the upper decile of the signal just outside the bone beside it, over
    the candidate's own mean; `joint_distance` from the joint to its nearest voxel, None where the
    site names no joint or none was found; `of_joint` whether its bone is one of the joint's;
    `fluid_ratio` the signal over marrow's that fluid reaches and edema does not, None where they
    are too near each other; `pixel_mm` the spacing within a slice; `in_end_slice` whether it lies
    in the volume's first or last thick slice alone; `in_arch` whether in a vertebra's arch.
    """

    volume_mm3: float
    slice_area_mm2: float
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
    of_joint: bool = True
    fluid_ratio: float | None = None
    pixel_mm: float = 0.0
    in_end_slice: bool = False
    in_arch: bool = False


HAEMANGIOMA_MM3 = 20_000.0  # most of a vertebral body; no larger one is round
LARGE_MM3, AT_JOINT_MM = 2_000.0, 3.0
# Of red marrow, fat has some 1.8 of its signal on T1 and edema 0.8: halfway between an even mixture
# of the two and fat alone is 1.5. Readers had drawn what reached 1.19 in the scan as it is, and up
# to 1.38 when its brightness was bent or shaded anew.
MIXED_T1_RATIO, FAT_T1_RATIO = 1.45, 1.2

Look = Callable[[Candidate], bool]


def describe(
    mask: NDArray[np.bool_],
    box: Box,
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    place: Place,
) -> Candidate:
    """Return the facts of the candidate `mask` in `box`, but for the rule's `fluid_ratio`."""
    grid = bones.grid
    depth = place.depth_mm[box][mask]
    joint_mm = None if place.joint_mm is None else float(place.joint_mm[box][mask].min())
    ratio = marrow.t2fs.ratio[box][mask]
    t1_ratio = None
    if marrow.t1 is not None:
        t1_ratio = float(np.nanmean(marrow.t1.ratio[box][mask]))
    thickness, width, length = axes_mm(np.argwhere(mask), grid.spacing_mm)
    return Candidate(
        volume_mm3=float(mask.sum() * grid.voxel_ml * 1000),
        slice_area_mm2=slice_area_mm2(mask, grid),
        mean_ratio=float(np.nanmean(ratio)),
        peak_ratio=float(np.nanmax(ratio)),
        mean_t1_ratio=t1_ratio,
        least_depth=float(depth.min()),
        median_depth=float(np.median(depth)),
        greatest_depth=float(depth.max()),
        radius=in_plane_radius_mm(mask, grid),
        length=length,
        width=width,
        thickness=thickness,
        outside_ratio=outside_ratio(mask, box, pair, bones),
        joint_distance=joint_mm,
        of_joint=bone_of(mask, box, bones) in place.joint_bones,
        in_end_slice=in_end_slice(box, grid),
        in_arch=marrow.arches is not None and bool(marrow.arches[box][mask].mean() > 0.5),
        pixel_mm=max(s for axis, s in enumerate(grid.spacing_mm) if axis != grid.slice_axis),
    )


def bone_of(mask: NDArray[np.bool_], box: Box, bones: Volume) -> int:
    """Return the label of the bone that most of a candidate lies in."""
    return int(np.bincount(bones.data[box][mask]).argmax())


def in_end_slice(box: Box, grid: Grid) -> bool:
    """Say whether a box lies in the first or the last slice alone, of slices that are thick."""
    start, stop = box[grid.slice_axis].start, box[grid.slice_axis].stop
    end = stop == 1 or start == grid.shape[grid.slice_axis] - 1
    return end and grid.spacing_mm[grid.slice_axis] >= THIN_SLICE_MM


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


def slice_area_mm2(mask: NDArray[np.bool_], grid: Grid) -> float:
    """Return the largest area of `mask` in one slice."""
    others = tuple(axis for axis in range(3) if axis != grid.slice_axis)
    pixel_mm2 = np.prod([grid.spacing_mm[axis] for axis in others])
    return float(mask.sum(axis=others).max() * pixel_mm2)


def in_plane_radius_mm(mask: NDArray, grid: Grid) -> float:
    """Return the radius in mm of the largest circle inside `mask` within one slice."""
    return float(depth_mm(np.pad(mask, 1), grid.flat_spacing_mm).max())


def outside_ratio(mask: NDArray, box: Box, pair: Pair, bones: Volume) -> float | None:
    """Return the signal outside the bone beside a candidate, over the candidate's mean.

    The upper decile within `RIM_REACH_MM`; None if no such voxel exists.
    """
    spacing = pair.grid.spacing_mm
    reach = tuple(max(1, round(RIM_REACH_MM / step)) for step in spacing)
    wide = widen(box, reach, pair.grid.shape)
    inner = padded(mask, box, wide)
    away = depth_mm(~inner, spacing)
    near = (away <= RIM_REACH_MM + min(spacing)) & (bones.data[wide] == 0)
    if not near.any():
        return None
    signal = pair.t2fs.data[wide]
    own = float(signal[inner].mean())
    return float(np.percentile(signal[near], 90)) / own if own > 0 else None


def is_bright_on_t1(c: Candidate) -> bool:
    """Say whether it is far brighter than marrow on T1, as unsuppressed fat: edema never is.

    At a joint line that was found it must be much brighter: inflammation and the fat that replaces
    marrow lie side by side there and mix (`MIXED_T1_RATIO`). None is as large as the inflammation
    of a whole joint, whose T1 also is hard to judge: it lies beside fatty change, and little normal
    marrow is left to compare it with.
    """
    if c.mean_t1_ratio is None or is_large_at_joint(c):
        return False
    return c.mean_t1_ratio > (MIXED_T1_RATIO if is_at_joint(c) else FAT_T1_RATIO)


def is_haemangioma(c: Candidate) -> bool:
    """Say whether it is round, plainly bright on the fat-suppressed series and not darker on T1.

    Away from the surface and from any joint hardly darker is enough. None is as large as
    `HAEMANGIOMA_MM3`, nor as the inflammation of a whole joint. In an arch, which is as thin as a
    candidate, any is round, and the fat around it shines in on T1.
    """
    if c.mean_t1_ratio is None or c.in_arch or is_large_at_joint(c):
        return False
    ball = c.length < 1.8 * c.thickness and c.mean_ratio > 1.6
    inner = c.outside_ratio is None and (c.joint_distance is None or c.joint_distance > INNER_MM)
    bright = c.mean_t1_ratio > (0.93 if inner else 1.02)
    return ball and bright and c.volume_mm3 < HAEMANGIOMA_MM3


def is_at_joint(c: Candidate) -> bool:
    """Say whether it reaches a joint line that was found."""
    return c.joint_distance is not None and c.joint_distance < AT_JOINT_MM


def is_large_at_joint(c: Candidate) -> bool:
    """Say whether it is plainly bright, large, and lies at a joint line that was found."""
    return is_at_joint(c) and c.mean_ratio > 1.6 and c.volume_mm3 > LARGE_MM3


def is_rim(c: Candidate) -> bool:
    """Say whether it is a shallow band whose brightest part lies outside: fluid or cartilage.

    Without a T1 the cortex is not seen, and a bone drawn too large reaches deeper into the fluid.
    """
    deepest, median, brighter = (4.0, 2.6, 1.0) if c.mean_t1_ratio is not None else (7.0, 4.0, 1.1)
    shallow = c.greatest_depth < deepest and c.median_depth < median
    return shallow and c.outside_ratio is not None and c.outside_ratio > brighter


def is_vessel(c: Candidate) -> bool:
    """Say whether it is a tube: thin, and much longer than wide.

    Half a pixel of the circle is the grid's, and blur widens a vein of 2 mm. Edema of the marrow's
    middle is no thin streak, so that away from the surface less length is enough.
    """
    longer = 3.5 if c.outside_ratio is not None else 2.3
    return c.radius - c.pixel_mm / 2 < VESSEL_MM and c.length > longer * c.width


def is_sheet(c: Candidate) -> bool:
    """Say whether it is thin and wide both ways, as a growth plate.

    By its thickness on average: where a plate meets another bright spot it is thicker.
    """
    mean_mm = c.volume_mm3 / (np.pi / 4 * c.length * c.width)
    return mean_mm < SHEET_MM and c.width > SHEET_WIDTH_MM and c.thickness < 0.4 * c.width


def is_dot(c: Candidate) -> bool:
    """Say whether no slice shows more of it than a dot: a vessel cut across, or noise.

    Veins of the marrow that run through the slices are dots of 2 to 3 mm in one slice or several.
    Beside a joint line that was found, small foci are expected and the place speaks for edema.
    """
    return c.joint_distance is None and c.slice_area_mm2 < DOT_MM2


def is_cyst(c: Candidate) -> bool:
    """Say whether it is round, fluid-bright and dark on T1.

    In thick slices a small cyst is mixed with marrow; its core still is brighter than edema can be.
    A larger one is not: it is as dark on T1 as fluid (0.25 of marrow; intense edema 0.58).
    """
    round_ = c.length < 1.8 * c.thickness
    small = c.length < CYST_MM and c.length < 2.5 * c.thickness
    # Without a T1 large intense edema may be as bright, round, and hold a cyst.
    t1_ratio = np.inf if c.mean_t1_ratio is None else c.mean_t1_ratio
    dark = t1_ratio < (0.6 if small else FLUID_T1_RATIO)
    fluid = c.fluid_ratio is not None and c.peak_ratio > c.fluid_ratio
    return (round_ and dark and c.mean_ratio > 4.5) or (small and fluid)


def is_fluid(c: Candidate) -> bool:
    """Say whether it is on average as bright as only fluid is: CSF, a vein, a cyst."""
    return c.fluid_ratio is not None and c.mean_ratio > c.fluid_ratio


def is_faint(c: Candidate) -> bool:
    """Say whether it is fainter than what readers marked, or faint without a sign on T1.

    The larger it is, the less it can be noise, and the thicker: noise makes thin streaks.
    """
    streak = c.radius < VESSEL_MM and c.mean_ratio < STREAK_RATIO and not is_at_joint(c)
    if streak and (c.mean_t1_ratio or 0) > STREAK_T1_RATIO:
        return True
    if c.mean_t1_ratio is None or c.mean_t1_ratio <= 0.985:
        return c.mean_ratio < FAINT_RATIO
    return c.mean_ratio < (1.4 if c.volume_mm3 < 1000 else 1.25)


LOOK_ALIKES: Mapping[str, Look] = {
    "bright on T1: fat or haemangioma": is_bright_on_t1,
    HAEMANGIOMA: is_haemangioma,
    RIM: is_rim,
    "vessel": is_vessel,
    PLATE: is_sheet,
    "dot: vessel across the slices, or noise": is_dot,
    "cyst": is_cyst,
    "fluid: CSF, vein or cyst": is_fluid,
    FAINT: is_faint,
    "in the outermost slice only": lambda c: c.in_end_slice,
}
CORES = LOOK_ALIKES.keys() - {
    RIM,
    "dot: vessel across the slices, or noise",
}


def is_away(c: Candidate, reach_mm: float | None) -> bool:
    """Say whether it lies away from the joint, if the site is one, and is not large and dark on T1.

    Inflammation lies beside the joint; what is faint elsewhere is mostly red marrow or the coil's
    shading. A fracture of the sacral ala or a tumour is large and dark on T1; so is a disc that the
    outline of a vertebra beside the joint takes in; so only the joint's own bones are excepted.
    """
    if reach_mm is None:
        return False
    plain = c.of_joint and c.volume_mm3 >= PLAIN_MM3 and (c.mean_t1_ratio or 1.0) < PLAIN_T1_RATIO
    return (c.joint_distance or 0) > reach_mm and not plain


def looks_like(
    candidate: Candidate,
    min_lesion_mm3: float,
    joint_reach_mm: float | None = None,
    *,
    but: Collection[str] = (),
) -> str:
    """Return what a candidate is if it is no edema; an empty string if it is.

    What is named in `but` is not asked.
    """
    if candidate.volume_mm3 < min_lesion_mm3:
        return "speck"
    if is_away(candidate, joint_reach_mm):
        return AWAY
    for name, look in LOOK_ALIKES.items():
        if name not in but and look(candidate):
            return name
    return ""


def core_looks_like(
    candidate: Candidate, joint_reach_mm: float | None = None, *, but: Collection[str] = ()
) -> str:
    """Return what a lesion is if its core is round or long as no edema is; an empty string if not.

    The core is what is left without the faint skirt, which alone may have reached the joint; rims
    and dots are no question any more, nor is what is named in `but`.
    """
    if is_away(candidate, joint_reach_mm):
        return AWAY
    asked = CORES - set(but)
    names = (n for n, look in LOOK_ALIKES.items() if n in asked and look(candidate))
    return next(names, "")
