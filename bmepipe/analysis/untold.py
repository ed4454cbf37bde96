"""What cannot be told from weak fat suppression: left out and said, never counted.

Saturation of fat weakens over centimetres, at the ends of the field above all. With a T1 the
residual of fat shows it, in bones and beside them, and at the field's ends the T1 itself; without
one the shape has to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.candidates import bone_of
from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.doubt import painted
from bmepipe.analysis.local_mean import local_mean
from bmepipe.analysis.look_alikes import is_as_dark_as_water
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.parts import Rejected, pieces_of
from bmepipe.analysis.quality import left_out
from bmepipe.analysis.reference import JOINT_SURELY
from bmepipe.analysis.region import Box, padded, widen
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

GRADUAL = "rises gradually, as where fat suppression weakens: not judged without a T1"
AT_FIELD_END = "at the end of the field, where fat suppression weakens: not judged without a T1"
WHOLE_BONE = "brighter as a whole, as where fat suppression is weak: not judged without a T1"
NOT_DARK = (
    "at the end of the field, where fat suppression weakens, and not as dark on T1 as edema: "
    "not judged"
)
REASONS = (GRADUAL, AT_FIELD_END, WHOLE_BONE, NOT_DARK)
# On phantoms without T1, 13 lesions had borders 2.7 to 5.9 mm wide; where suppression faded it was
# 6.4 to 14 mm.
GRADUAL_MM = 6.0
DARK_AT_END = 0.8  # on T1; shafts where suppression weakened had 0.83 to 0.96, or were far brighter
END_MM = 2.0  # of the field: the last pixels may be blank, or beyond the T1
SMOOTH_MM = 1.0
MARROW_MM = 3.0  # from the surface on, where the bone's own edge is no border
LEAST_VOXELS = 20


def is_saturated(pair: Pair) -> bool:
    """Say whether fat was suppressed in a way that may fail, with no T1 to show where."""
    return pair.t1 is None and pair.sequence_class is not SequenceClass.STIR


def without_untold(
    edema: NDArray[np.bool_],
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return edema that can be told from weak suppression, and the parts that cannot, and why.

    All of it where inversion suppressed the fat. With a T1 only what reaches the field's end and is
    not as dark there as so much water: the shafts of a real knee, coronal beside a sagittal T1.

    Parameters
    ----------
    edema : ndarray of bool
    pair : Pair
    bones : Volume of uint8
    marrow : Marrow
    depth : ndarray of float32
        From the bone's surface, in mm.
    """
    if pair.sequence_class is SequenceClass.STIR:
        return edema, []
    told, rows = edema.copy(), []
    labels, boxes = pieces_of(edema)
    for number, box in enumerate(boxes, start=1):
        mask = labels[box] == number
        reason = why_untold(mask, box, pair, bones, marrow, depth)
        if reason:
            told[box] &= ~mask
            rows.append((mask, box, reason))
    return told, rows


def untold_bones(pair: Pair, marrow: Marrow) -> tuple[int, ...]:
    """Return the labels of bones that are far brighter than the others as a whole, for any reason.

    They have marrow enough to be judged by themselves, but were judged by the others'; at a joint
    not only in part.
    """
    if not is_saturated(pair):
        return ()
    levels = marrow.t2fs.levels
    least = min((levels[v] for v in levels if v not in marrow.borrowed), default=0.0)
    return tuple(v for v in marrow.borrowed if levels.get(v, 0.0) > JOINT_SURELY * least)


def untold_parts(
    rejected: Sequence[Rejected], pair: Pair, bones: Volume, marrow: Marrow
) -> NDArray[np.bool_]:
    """Return where nothing can be said: candidates that cannot be told, and bones as a whole."""
    whole = np.isin(bones.data, untold_bones(pair, marrow))
    return whole | painted(rejected, bones.grid.shape, *REASONS)


def without_parts(assessable: Volume, untold: NDArray[np.bool_] | None) -> Volume:
    """Return what can be judged, less the parts of which nothing can be said."""
    return assessable if untold is None else assessable.with_data(assessable.data & ~untold)


def untold_note(untold: NDArray[np.bool_], bones: Volume, site: Site, *, with_t1: bool) -> str:
    """Return the line that says how much is left out."""
    why = "at the field's end" if with_t1 else "without a T1"
    told = f"bright regions cannot be told from weak fat suppression {why}"
    return left_out(told, untold, bones, site)


def why_untold(
    mask: NDArray[np.bool_],
    box: Box,
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray[np.float32],
) -> str:
    """Return why a candidate cannot be told from weak suppression; an empty string if it can."""
    if bone_of(mask, box, bones) in untold_bones(pair, marrow):
        return WHOLE_BONE
    grid = bones.grid
    ends = [
        min(box[axis].start, grid.shape[axis] - box[axis].stop) * grid.spacing_mm[axis] < END_MM
        for axis in range(3)
        if axis != grid.slice_axis
    ]
    if marrow.t1 is not None:
        return NOT_DARK if any(ends) and not _is_dark(mask, box, pair, marrow) else ""
    if any(ends):
        return AT_FIELD_END
    width = border_width_mm(mask, box, marrow.t2fs.ratio, depth, grid)
    return GRADUAL if width is not None and width > GRADUAL_MM else ""


def _is_dark(mask: NDArray[np.bool_], box: Box, pair: Pair, marrow: Marrow) -> bool:
    assert marrow.t1 is not None
    ratio, t1_ratio = (float(np.nanmean(i.ratio[box][mask])) for i in (marrow.t2fs, marrow.t1))
    return t1_ratio < DARK_AT_END and is_as_dark_as_water(ratio, t1_ratio, pair.sequence_class)


def border_width_mm(
    mask: NDArray[np.bool_],
    box: Box,
    ratio: NDArray[np.float32],
    depth: NDArray[np.float32],
    grid: Grid,
) -> float | None:
    """Return over how many mm the signal rises from marrow to a candidate, within the slices.

    The middle 60 % of the step from 1 to the candidate's upper decile, by the median slope along
    its border inside the bone; None where hardly any of it lies there. Of a step blurred by a
    Gaussian 1.5 times its standard deviation.

    Parameters
    ----------
    mask : ndarray of bool
        The candidate within `box`.
    box : tuple of slice
    ratio : ndarray of float32
        Signal over normal marrow's; NaN outside the bones.
    depth : ndarray of float32
        From the bone's surface, in mm.
    grid : Grid
    """
    reach = tuple(
        0 if axis == grid.slice_axis else int(4 * SMOOTH_MM / step) + 2
        for axis, step in enumerate(grid.spacing_mm)
    )
    wide = widen(box, reach, grid.shape)
    inner = padded(mask, box, wide)
    flat = grid.flat_spacing_mm
    pixel_mm = max(np.delete(grid.spacing_mm, grid.slice_axis))
    edge = inner & (depth[wide] > MARROW_MM) & (depth_mm(inner, flat) < 1.01 * pixel_mm)
    if np.count_nonzero(edge) < LEAST_VOXELS:
        return None
    sigma = [SMOOTH_MM / step for step in flat]
    smooth = local_mean(ratio[wide], np.isfinite(ratio[wide]), sigma)
    slopes = [
        np.gradient(smooth, step, axis=axis)
        for axis, step in enumerate(grid.spacing_mm)
        if axis != grid.slice_axis and smooth.shape[axis] > 1
    ]
    slope = float(np.median(np.sqrt(sum(np.square(s) for s in slopes))[edge]))
    step = float(np.percentile(ratio[wide][inner], 90)) - 1
    return 0.6 * step / max(slope, 1e-6)
