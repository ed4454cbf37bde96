"""Facts of a candidate: its size, shape, signal and place."""

from __future__ import annotations

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
