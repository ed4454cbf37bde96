"""A bone's border found by a random walk between its certain core and what is certainly outside.

A walker that starts in the doubtful zone between the two goes where the signal is even and seldom
across an edge; a voxel belongs to the bone if a walker from there mostly reaches the core first
(Grady 2006, doi:10.1109/TPAMI.2006.233). The network's own border is only a faint pull: on scans
unlike those it learned from it lies some millimetres off, though the bone is found.

What is brighter than marrow counts like marrow, so that the edge of edema is no edge here; cortex,
which is dark on every contrast, is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from bmepipe.analysis.region import large_pieces

Floats = NDArray[np.float32]

STEP_MM = 1.0  # of the grid that is walked on, or the scan's own where that is coarser
CORE_MM = 4.0  # deeper in the coarse bone than this, or than half its greatest depth, is certain
OUTSIDE_MM = 4.0  # farther from the coarse bone than this is certain too
PULL = 0.1  # of the coarse border, against 1 of an even neighbour
PULL_MM = 3.0  # over which the pull turns from one side to the other
BRIGHTEST = 1.2  # times the marrow's signal
SMOOTHING_MM = 0.5
LEAST_EDGE = 0.03  # of the marrow's signal per mm; noise hides smaller ones
NOISE_FACTOR = 2.0  # times the robust spread of steps within the core
SEEPAGE = 1e-4  # across the sharpest edge
LEAST_CORE_VOXELS = 30
MOST_SLOPE = 0.7  # of the logarithm of the marrow's shading


def settle_borders(
    labels: NDArray[np.uint8], images: Sequence[NDArray], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Return the labels with each bone's border settled by random walks.

    Parameters
    ----------
    labels : ndarray of uint8, shape (i, j, k)
        Bones within a few millimetres of the truth.
    images : sequence of ndarray, same shape
        Of any contrast; an edge on one of them is an edge.
    spacing_mm : tuple of float

    Returns
    -------
    ndarray of uint8, same shape
        Each piece of a bone is one without holes; none takes voxels that were another bone's.
    """
    settled = np.zeros_like(labels)
    wide = OUTSIDE_MM + 3 * STEP_MM
    for label, found in enumerate(ndimage.find_objects(labels), start=1):
        if found is None:
            continue
        box = tuple(
            slice(max(part.start - int(np.ceil(wide / step)), 0), part.stop + int(wide / step) + 1)
            for part, step in zip(found, spacing_mm, strict=True)
        )
        bone = labels[box] == label
        other = (labels[box] > 0) & ~bone
        shown = [image[box] for image in images]
        for own in _drawn_apart(bone):  # each has a core of its own
            piece = settle_border(own, other, shown, spacing_mm)
            settled[box][piece & ~other] = label
    return settled


def _drawn_apart(bone: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the pieces of a bone; with its crumbs, where it is one piece and crumbs."""
    large = large_pieces(bone)
    return large if len(large) > 1 else [bone]


def settle_border(
    own: NDArray[np.bool_],
    other: NDArray[np.bool_],
    images: Sequence[NDArray],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Return one bone with its border settled; as it is if too little of it is certain.

    Parameters
    ----------
    own, other : ndarray of bool, shape (i, j, k)
        The coarse bone, and other bones, in a box around it.
    images : sequence of ndarray, same shape
    spacing_mm : tuple of float
    """
    blocks = tuple(max(1, round(STEP_MM / step)) for step in spacing_mm)
    steps_mm = np.array(spacing_mm) * blocks
    mask = block_mean(own, blocks) > 0.5
    elsewhere = block_mean(other, blocks) > 0.5
    if not mask.any():
        return own
    depth = signed_depth_mm(mask, steps_mm)
    core = depth > min(CORE_MM, depth.max() / 2)
    if np.count_nonzero(core) < LEAST_CORE_VOXELS:
        return own
    outside = (depth < -OUTSIDE_MM) | (elsewhere & (depth < -STEP_MM))
    ratios = [marrow_ratio(block_mean(image, blocks), core, steps_mm) for image in images]
    share = walk(core, outside, depth, ratios, steps_mm)
    smooth = ndimage.gaussian_filter(share, SMOOTHING_MM / steps_mm)
    fine = ndimage.zoom(smooth, blocks, order=1, mode="nearest", grid_mode=True)
    bone = fine[tuple(slice(n) for n in own.shape)] > 0.5
    parts, _ = ndimage.label(bone)
    kept = parts[own & bone]
    if not len(kept):
        return own
    return ndimage.binary_fill_holes(parts == np.bincount(kept).argmax())


def block_mean(values: NDArray, blocks: tuple[int, ...]) -> Floats:
    """Return the means of blocks; the last ones are filled up with the values at the border.

    Examples
    --------
    >>> block_mean(np.arange(5.0).reshape(1, 1, 5), (1, 1, 2)).ravel().tolist()
    [0.5, 2.5, 4.0]
    """
    extra = [(0, -n % block) for n, block in zip(values.shape, blocks, strict=True)]
    padded = np.pad(values.astype(np.float32), extra, mode="edge")
    split = [part for n, b in zip(padded.shape, blocks, strict=True) for part in (n // b, b)]
    return padded.reshape(split).mean((1, 3, 5))


def signed_depth_mm(mask: NDArray[np.bool_], steps_mm: NDArray[np.float64]) -> Floats:
    """Return the depth below the mask's surface in mm, negative outside."""
    within = ndimage.distance_transform_edt(mask, sampling=steps_mm)
    without = ndimage.distance_transform_edt(~mask, sampling=steps_mm)
    return np.where(mask, within, -without).astype(np.float32)


def marrow_ratio(image: Floats, core: NDArray[np.bool_], steps_mm: NDArray[np.float64]) -> Floats:
    """Return the signal against that of the marrow, which may slope, up to `BRIGHTEST`.

    Parameters
    ----------
    image : ndarray of float32, shape (i, j, k)
    core : ndarray of bool, same shape
        Marrow.
    steps_mm : ndarray, shape (3,)
    """
    places = np.argwhere(core) * steps_mm
    middle = places.mean(0)
    floor = max(1e-6, 1e-3 * float(np.median(image[core])))
    signal = np.log(np.maximum(image[core], floor))
    terms = np.column_stack([np.ones(len(places)), places - middle])
    kept = np.ones(len(signal), bool)
    slope = np.zeros(4)
    for _ in range(3):
        slope = np.linalg.lstsq(terms[kept], signal[kept], rcond=None)[0]
        rest = np.abs(signal - terms @ slope)
        kept = rest <= 2.5 * 1.4826 * np.median(rest[kept]) + 1e-3
    axes = [
        np.arange(n) * step - m for n, step, m in zip(image.shape, steps_mm, middle, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    shading = np.clip(slope[1] * x + slope[2] * y + slope[3] * z, -MOST_SLOPE, MOST_SLOPE)
    ratio = np.minimum(image / np.exp(slope[0] + shading), BRIGHTEST)
    return ndimage.gaussian_filter(ratio.astype(np.float32), SMOOTHING_MM / steps_mm)


def walk(
    core: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    depth_mm: Floats,
    ratios: Sequence[Floats],
    steps_mm: NDArray[np.float64],
) -> Floats:
    """Return the chance that a walker reaches the core before the outside, 0 to 1.

    Parameters
    ----------
    core, outside : ndarray of bool, shape (i, j, k)
        Where walks end.
    depth_mm : ndarray of float32, same shape
        Below the coarse surface, for the pull.
    ratios : sequence of ndarray of float32, same shape
    steps_mm : ndarray, shape (3,)
    """
    free = ~core & ~outside
    count = np.count_nonzero(free)
    chance = core.astype(np.float32)
    if not count:
        return chance
    number = np.zeros(free.shape, np.intp)
    number[free] = np.arange(count)
    own = np.full(count, PULL)
    ends = PULL / (1 + np.exp(-depth_mm[free].astype(float) / PULL_MM))
    rows, columns, values = [], [], []
    for axis, step_mm in enumerate(steps_mm):
        first, second = _neighbours(free.ndim, axis)
        ease = _ease(ratios, core, first, second, step_mm)
        for here, there in ((first, second), (second, first)):
            open_here = free[here]
            np.add.at(own, number[here][open_here], ease[open_here])
            at_core = open_here & core[there]
            np.add.at(ends, number[here][at_core], ease[at_core])
            both = open_here & free[there]
            rows.append(number[here][both])
            columns.append(number[there][both])
            values.append(-ease[both])
    index = np.arange(count)
    system = sparse.csr_array(
        (
            np.concatenate([*values, own]),
            (np.concatenate([*rows, index]), np.concatenate([*columns, index])),
        ),
        shape=(count, count),
    )
    start = (depth_mm[free] > 0).astype(float)
    solved, _ = cg(system, ends, x0=start, rtol=1e-3, maxiter=150, M=sparse.diags_array(1 / own))
    chance[free] = solved
    return chance


def _neighbours(ndim: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    first, second = [slice(None)] * ndim, [slice(None)] * ndim
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    return tuple(first), tuple(second)


def _ease(
    ratios: Sequence[Floats],
    core: NDArray[np.bool_],
    first: tuple[slice, ...],
    second: tuple[slice, ...],
    step_mm: float,
) -> NDArray[np.float64]:
    """Return how easily a walker steps between neighbours, in units of an even millimetre."""
    within = core[first] & core[second]
    hardest = np.zeros(within.shape)
    for ratio in ratios:
        rise = ratio[second] - ratio[first]
        noise = 1.4826 * float(np.median(np.abs(rise[within]))) if within.any() else 0.0
        hardest = np.maximum(hardest, (rise / max(LEAST_EDGE * step_mm, NOISE_FACTOR * noise)) ** 2)
    return (np.exp(-hardest / 2) + SEEPAGE) / step_mm**2
