"""Whether cortex parts a bright candidate from what lies outside its bone.

Marrow is enclosed by a dark shell. Where the signal runs on past the outline undiminished, the
outline has leaked into muscle or fluid, or fat suppression failed on both sides: no edema.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.region import Box, padded, widen
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

OPEN = "no cortex between it and what is outside"
# Of the candidate's signal: cortex, blurred as it is, stays below. In the middle of the outline it
# was at most 0.81 of it in true lesions of 25 phantoms and three patients, and 0.92 and more in
# muscle that the outline had taken in and in a bone whose fat suppression had failed.
CORTEX_LEVEL, OPEN_SHARE = 0.87, 0.5
NEAR_MM = 2.5  # what reaches so near to the outline meets it: the marrow's margin is left out of it
AROUND_MM = 1.5  # so far around every point of the outline cortex is looked for,
INSIDE_MM = 1.0  # and so far within the bone
SMOOTH_MM = 0.5  # so that noise is no cortex
# Towards another bone lies a joint: its cartilage may be as bright as edema, its plate is thin.
FACING_MM = 6.0
LEAST_OUTLINE_MM = 4.0  # less of it says nothing
_MARGIN_MM = 8.0
# Muscle within an outline runs on outside it with the same signal: 0.74 to 0.89 of what lies there
# was within 0.15 of the candidate's, in the pubis of six hip phantoms. Beside edema on STIR that
# cortex did not seem to enclose it was 0.23 to 0.59.
LIKE, LIKE_SHARE = 0.15, 0.67
BEYOND_MM = (1.5, 4.0)  # outside the outline, past a cortex
# On STIR muscle has 1.5 of marrow's signal (1.52 to 1.57 in those phantoms). What is brighter and
# runs on outside is edema that the outline cuts, as in a sacrum that lost a third of one of 3 mL.
MUSCLE_AT_MOST = 2.0


def is_open(
    mask: NDArray[np.bool_], box: Box, pair: Pair, bones: Volume, *, believed: float | None = None
) -> bool:
    """Say whether most of the outline that a candidate meets is not closed by cortex.

    Never on PD-FS: cartilage and muscle are as bright as edema there, and the plate between bone
    and cartilage is thin, so that true edema at a joint looks open (a knee phantom's 3 mL did).

    Parameters
    ----------
    mask : ndarray of bool
        The candidate within `box`.
    box : tuple of slice
    pair : Pair
    bones : Volume of uint8
    believed : float, optional
        The candidate's signal over marrow's where a network believes in it, which knows no muscle
        within a bone: then it must be no brighter than muscle, which STIR alone tells, and run on
        outside as it is inside, too.
    """
    if pair.sequence_class is SequenceClass.PD_FS:
        return False
    stir = pair.sequence_class is SequenceClass.STIR
    if stir and believed is not None and believed > MUSCLE_AT_MOST:
        return False
    grid = bones.grid
    flat = grid.flat_spacing_mm
    wide = widen(box, tuple(int(_MARGIN_MM / step) for step in grid.spacing_mm), grid.shape)
    candidate = padded(mask, box, wide)
    labels = bones.data[wide]
    depth, outline = ndimage.distance_transform_edt(labels > 0, sampling=flat, return_indices=True)
    met = np.unique(outline[:, candidate & (depth <= NEAR_MM)], axis=1)
    edge = _not_facing(met, candidate, labels, grid)
    pixel_mm = float(np.mean(np.delete(grid.spacing_mm, grid.slice_axis)))
    if edge.shape[1] * pixel_mm < LEAST_OUTLINE_MM:
        return False
    signal = pair.t2fs.data[wide].astype(np.float32)
    smooth = ndimage.gaussian_filter(signal, [SMOOTH_MM / step for step in flat])
    shell = np.where(depth > INSIDE_MM, np.inf, smooth)
    size = [2 * round(AROUND_MM / step) + 1 for step in flat]
    darkest = ndimage.minimum_filter(shell, size, mode="nearest")[tuple(edge)]
    level = float(np.median(signal[candidate]))
    open_ = darkest > CORTEX_LEVEL * level
    if np.mean(open_) < OPEN_SHARE:
        return False
    return believed is None or _runs_on(edge[:, open_], labels > 0, smooth / level, flat)


def _not_facing(
    edge: NDArray, candidate: NDArray[np.bool_], labels: NDArray[np.uint8], grid: Grid
) -> NDArray:
    """Return the voxels of an outline, one a column, that do not face another bone."""
    other = (labels > 0) & (labels != np.bincount(labels[candidate]).argmax())
    if not other.any():
        return edge
    away = ndimage.distance_transform_edt(~other, sampling=grid.spacing_mm)
    return edge[:, away[tuple(edge)] > FACING_MM]


def _runs_on(
    edge: NDArray, bone: NDArray[np.bool_], ratio: NDArray[np.float32], flat: tuple[float, ...]
) -> bool:
    """Say whether most of what lies outside an outline has about the signal that is inside it.

    Parameters
    ----------
    edge : ndarray of int, shape (3, n)
        Voxels of the outline.
    bone : ndarray of bool
    ratio : ndarray of float32
        Signal over the candidate's.
    flat : tuple of float
        Spacing in mm, so that nothing is near in another slice.
    """
    along = np.zeros(bone.shape, bool)
    along[tuple(edge)] = True
    low, high = BEYOND_MM
    outside_mm = ndimage.distance_transform_edt(~bone, sampling=flat)
    near = ndimage.distance_transform_edt(~along, sampling=flat) < high
    beyond = (outside_mm > low) & (outside_mm < high) & near
    return bool(beyond.any() and np.mean(np.abs(ratio[beyond] - 1) < LIKE) >= LIKE_SHARE)
