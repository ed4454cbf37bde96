"""Muscle that a bone's outline took in, told by the cortex that parts it from the bone.

A wing of bone between two muscles of its own shape is easily drawn too thick. Within a slice the
cortex then runs through the outline as a dark line, and what lies beyond it goes on outside: bone
is closed outwards and open inwards, muscle the other way round. What is as bright on T1 as the
marrow of the bone stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import graph
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from bmepipe.analysis.region import around, largest_piece

Floats = NDArray[np.float32]

SMOOTH_MM = 0.5
LINE_MM = 3.0  # half the greatest thickness of a dark line
LINE = 0.25  # by how much it is darker than what lies to its sides
NEAR_MM = 2.0  # how far from the outline a line still closes it
PARTED_BY_MM = 0.7  # a neck so much narrower than what it joins begins another part
# Of a part's outline. In three patients' ilia bone had 0.0 to 0.2, iliacus 0.2 to 0.9.
OPEN_SHARE = 0.25
# Than the closed parts of the bone near it: muscle is, marrow is not.
DARKER_ON_T1 = 0.75
NEAR_SLICES = 1.0
FACING_MM = 6.0  # towards another bone lies a joint, no outline
LEAST_MM2, LEAST_OUTLINE_MM = 30.0, 10.0


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a bone's section in one slice.

    Parameters
    ----------
    number : int
        Of the slice.
    box : tuple of slice
        Around the section.
    mask : ndarray of bool, shape of the box
    open_share : float
        Of its outline: where no dark line lies.
    t1 : float
        Upper quartile of its signal, which edema in less than three quarters of it leaves alone.
    """

    number: int
    box: tuple[slice, ...]
    mask: NDArray[np.bool_]
    open_share: float
    t1: float


def without_muscle(
    labels: NDArray[np.uint8],
    images: Sequence[NDArray],
    spacing_mm: tuple[float, float, float],
    which: Collection[int],
) -> NDArray[np.uint8]:
    """Return the labels without what lies beyond the cortex of some bones and is open outwards.

    Parameters
    ----------
    labels : ndarray of uint8, shape (i, j, k)
    images : sequence of ndarray, same shape
        The fat-suppressed series and the T1. On one alone bone beside fat may look open, and
        nothing is done.
    spacing_mm : tuple of float
        Slices lie across the coarsest axis.
    which : collection of int
        Labels of bones with muscle on both sides.

    Returns
    -------
    ndarray of uint8, same shape
        Each of these bones is the largest piece of what is left.
    """
    if len(images) < 2:
        return labels
    axis = int(np.argmax(spacing_mm))
    step_mm = float(np.mean([s for n, s in enumerate(spacing_mm) if n != axis]))
    kept = np.moveaxis(labels, axis, 0).copy()
    stacks = [np.moveaxis(image, axis, 0) for image in images]
    for label in which:
        parts = _parts_of(kept, label, stacks, step_mm)
        closed = [part for part in parts if part.open_share < OPEN_SHARE]
        if not closed:
            continue
        for part in parts:
            fatty = part.t1 >= DARKER_ON_T1 * _marrow_near(part, closed)
            if part.open_share >= OPEN_SHARE and not fatty:
                kept[part.number][part.box][part.mask] = 0
        left = kept == label
        kept[left & ~largest_piece(left)] = 0
    return np.ascontiguousarray(np.moveaxis(kept, 0, axis))


def _parts_of(
    slices: NDArray[np.uint8], label: int, stacks: Sequence[NDArray], step_mm: float
) -> list[Part]:
    own = slices == label
    if not own.any():
        return []
    levels = [max(float(np.median(stack[own])), 1e-6) for stack in stacks]
    parts = []
    for number, section in enumerate(own):
        if np.count_nonzero(section) * step_mm**2 < LEAST_MM2:
            continue
        box = around(section, [int(np.ceil(2 * FACING_MM / step_mm))] * 2)
        shown = [stack[number][box] / level for stack, level in zip(stacks, levels, strict=True)]
        for mask, share in open_shares(slices[number][box], label, shown, step_mm):
            t1 = float(np.percentile(shown[-1][mask], 75))
            parts.append(Part(number, box, mask, share, t1))
    return parts


def _marrow_near(part: Part, closed: Sequence[Part]) -> float:
    """Return the T1 signal of the closed parts, the nearest slices' first: coils shade across."""
    near = [np.exp(-0.5 * ((c.number - part.number) / NEAR_SLICES) ** 2) for c in closed]
    weights = [n * np.count_nonzero(c.mask) for n, c in zip(near, closed, strict=True)]
    return float(np.average([c.t1 for c in closed], weights=weights))


def open_shares(
    labels: NDArray[np.uint8], label: int, images: Sequence[NDArray], step_mm: float
) -> list[tuple[NDArray[np.bool_], float]]:
    """Return the parts of a bone's section, and the share of each one's outline without a line.

    Parameters
    ----------
    labels : ndarray of uint8, shape (i, j)
    label : int
    images : sequence of ndarray, same shape
        Signal divided by that of the bone.
    step_mm : float
    """
    own, other = labels == label, (labels > 0) & (labels != label)
    line = dark_line(images, step_mm)
    outline = own & ~ndimage.binary_erosion(own, border_value=1)
    if other.any():
        outline &= ndimage.distance_transform_edt(~other, sampling=step_mm) > FACING_MM
    near = ndimage.maximum_filter(line, footprint=_disk(NEAR_MM / step_mm))
    parts = parted(own, line, step_mm)
    shares = []
    for number in range(1, int(parts.max()) + 1):
        part = parts == number
        edge = part & outline
        if np.count_nonzero(edge) * step_mm >= LEAST_OUTLINE_MM:
            shares.append((part, float(np.mean(near[edge] < LINE))))
    return shares


def dark_line(images: Sequence[NDArray], step_mm: float) -> Floats:
    """Return by how much each pixel is darker than what lies to its sides: 0 even, 1 black.

    Dark on every image: cortex is, edema is bright on one.
    """
    signal = np.max([ndimage.gaussian_filter(i, SMOOTH_MM / step_mm) for i in images], axis=0)
    sides = ndimage.grey_closing(signal, footprint=_disk(LINE_MM / step_mm))
    return (1 - signal / np.maximum(sides, 1e-6)).astype(np.float32)


def parted(own: NDArray[np.bool_], line: Floats, step_mm: float) -> NDArray[np.intp]:
    """Return the parts of a section, numbered from 1, that dark lines part on the whole.

    It is first split at every neck of what is not dark; two parts are one again where the border
    between them is not dark on average, so that a gap in a line does not join what it parts.
    """
    depth = ndimage.distance_transform_edt(own & (line < LINE), sampling=step_mm)
    seeds, count = ndimage.label(h_maxima(depth, PARTED_BY_MM) & (depth > PARTED_BY_MM))
    if not count:
        return own.astype(np.intp)
    parts = watershed(line, seeds, mask=own)
    if count > 1:
        network = graph.rag_boundary(parts, ndimage.maximum_filter(line, 3))
        if 0 in network:
            network.remove_node(0)
        parts = graph.merge_hierarchical(
            parts, network, LINE, False, True, lambda *_: None, _border_of_both
        )
        parts = np.where(own, parts + 1, 0)
    return parts


def _border_of_both(network: graph.RAG, one: int, other: int, neighbour: int) -> dict[str, float]:
    """Return the border of two merged parts with a third: the mean by length."""
    borders = [network[n].get(neighbour) for n in (one, other)]
    known = [b for b in borders if b is not None]
    count = sum(b["count"] for b in known)
    return {"count": count, "weight": sum(b["count"] * b["weight"] for b in known) / count}


def _disk(radius: float) -> NDArray[np.bool_]:
    reach = int(np.ceil(radius))
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.hypot(i, j) <= radius
