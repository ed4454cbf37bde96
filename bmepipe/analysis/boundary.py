"""From a network's coarse probabilities to bones drawn at the scan's own resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.outline import snap_slice
from bmepipe.analysis.walker import settle_borders


def refine_bones(
    probability: Mapping[int, NDArray[np.float32]],
    images: Sequence[NDArray],
    spacing_mm: tuple[float, float, float],
    least: float = 0.5,
) -> NDArray[np.uint8]:
    """Return bone labels whose outlines lie on the outer edge of the cortex.

    Parameters
    ----------
    probability : mapping of int to ndarray, shape (i, j, k)
        By label, on the scan's grid.
    images : sequence of ndarray, same shape
        Of any contrast.
    spacing_mm : tuple of float
    least : float
        Probability at which a coarse border lies.

    Returns
    -------
    ndarray of uint8, same shape
        Borders are first settled in space (`walker.settle_borders`); then in each slice, across the
        coarsest axis, outlines are moved by a few millimetres (`outline.snap_slice`). Where two
        bones meet, each keeps what was its own.
    """
    coarse = settle_borders(most_probable(probability, least), images, spacing_mm)
    axis = int(np.argmax(spacing_mm))
    slices = np.moveaxis(coarse, axis, 0)
    stacks = [np.moveaxis(image, axis, 0) for image in images]
    steps = tuple(s for n, s in enumerate(spacing_mm) if n != axis)
    levels = {
        label: [float(np.median(image[coarse == label])) for image in images]
        for label in np.unique(coarse[coarse > 0])
    }
    drawn = np.zeros_like(slices)
    for number, before in enumerate(slices):
        for label, level in levels.items():
            own = before == label
            if not own.any():
                continue
            scaled = [
                stack[number] / max(value, 1e-6) for stack, value in zip(stacks, level, strict=True)
            ]
            after = snap_slice(own, scaled, (steps[0], steps[1]))
            free = (drawn[number] == 0) & ((before == 0) | own)
            drawn[number][after & free] = label
    return np.ascontiguousarray(np.moveaxis(drawn, 0, axis))


def most_probable(
    probability: Mapping[int, NDArray[np.float32]], least: float = 0.5
) -> NDArray[np.uint8]:
    """Return the label of the highest probability above `least`, else 0.

    Examples
    --------
    >>> probability = {3: np.array([[[0.6, 0.7, 0.2]]], np.float32)}
    >>> most_probable(probability).tolist(), most_probable(probability, 0.65).tolist()
    ([[[3, 3, 0]]], [[[0, 3, 0]]])
    """
    first = next(iter(probability.values()))
    best = np.full(first.shape, least, np.float32)
    labels = np.zeros(first.shape, np.uint8)
    for label, p in probability.items():
        won = p > best
        labels[won] = label
        best[won] = p[won]
    return labels
