"""From a network's coarse probabilities to bones drawn at the scan's own resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.outline import snap_slices
from bmepipe.analysis.region import Box
from bmepipe.analysis.walker import settle_borders


def refine_bones(
    coarse: NDArray[np.uint8],
    images: Sequence[NDArray],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """Return bone labels whose outlines lie on the outer edge of the cortex.

    Parameters
    ----------
    coarse : ndarray of uint8, shape (i, j, k)
        Bones within a few millimetres of the truth.
    images : sequence of ndarray, same shape
        Of any contrast.
    spacing_mm : tuple of float

    Returns
    -------
    ndarray of uint8, same shape
        Borders are first settled in space (`walker.settle_borders`); then in each slice, across the
        coarsest axis, outlines are moved by a few millimetres (`outline.snap_slices`). Where two
        bones meet, each keeps what was its own.
    """
    coarse = settle_borders(coarse, images, spacing_mm)
    axis = int(np.argmax(spacing_mm))
    slices = np.moveaxis(coarse, axis, 0)
    stacks = [np.moveaxis(image, axis, 0) for image in images]
    steps = tuple(s for n, s in enumerate(spacing_mm) if n != axis)
    levels = {
        label: [float(np.median(image[coarse == label])) for image in images]
        for label in np.unique(coarse[coarse > 0])
    }
    drawn = np.zeros_like(slices)
    for label, level in levels.items():
        shown = [n for n, before in enumerate(slices) if (before == label).any()]
        own = [slices[n] == label for n in shown]
        scaled = [
            [stack[n] / max(value, 1e-6) for stack, value in zip(stacks, level, strict=True)]
            for n in shown
        ]
        snapped = snap_slices(own, scaled, (steps[0], steps[1]))
        for n, before, after in zip(shown, own, snapped, strict=True):
            free = (drawn[n] == 0) & ((slices[n] == 0) | before)
            drawn[n][after & free] = label
    return np.ascontiguousarray(np.moveaxis(drawn, 0, axis))


def most_probable(
    probability: Mapping[int, tuple[Box, NDArray[np.float32]]],
    shape: tuple[int, ...],
    least: float = 0.5,
) -> NDArray[np.uint8]:
    """Return the label of the highest probability above `least`, else 0.

    Parameters
    ----------
    probability : mapping of int to (tuple of slice, ndarray of float32)
        By label: the box outside which it is 0, and its values there.
    shape : tuple of int
        Of the whole grid.
    least : float

    Examples
    --------
    >>> box = (slice(0, 1), slice(0, 1), slice(1, 4))
    >>> probability = {3: (box, np.array([[[0.6, 0.7, 0.2]]], np.float32))}
    >>> most_probable(probability, (1, 1, 4)).tolist()
    [[[0, 3, 3, 0]]]
    >>> most_probable(probability, (1, 1, 4), 0.65).tolist()
    [[[0, 0, 3, 0]]]
    """
    best = np.full(shape, least, np.float32)
    labels = np.zeros(shape, np.uint8)
    for label, (box, p) in probability.items():
        won = p > best[box]
        labels[box][won] = label
        best[box][won] = p[won]
    return labels
