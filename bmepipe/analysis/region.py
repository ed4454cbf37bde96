"""Boxes around what a mask marks, and the largest piece of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]

LEAST_PIECE = 0.05  # of a bone: an acromion is a tenth of its scapula, what is smaller is a crumb


def around(mask: NDArray[np.bool_], voxels: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices around a mask that is not empty, wider by `voxels` along each axis.

    As far as the grid goes.

    Examples
    --------
    >>> around(np.array([[0, 0, 0], [0, 0, 1]], bool), (1, 1))
    (slice(0, 2, None), slice(1, 3, None))
    """
    others = [tuple(a for a in range(mask.ndim) if a != axis) for axis in range(mask.ndim)]
    found = [np.flatnonzero(mask.any(axis=axes)) for axes in others]
    return tuple(
        slice(max(int(on[0]) - n, 0), min(int(on[-1]) + 1 + n, size))
        for on, n, size in zip(found, voxels, mask.shape, strict=True)
    )


def widen(box: Box, voxels: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """Return `box` enlarged by `voxels` on every side, as far as the grid goes."""
    i, j, k = (
        slice(max(s.start - n, 0), min(s.stop + n, size))
        for s, n, size in zip(box, voxels, shape, strict=True)
    )
    return (i, j, k)


def padded(mask: NDArray[np.bool_], box: Box, wide: Box) -> NDArray[np.bool_]:
    """Return what `mask` marks in `box` as a mask of the wider box around it.

    Examples
    --------
    >>> box, wide = (slice(1, 2), slice(0, 1), slice(3, 5)), (slice(0, 2), slice(0, 1), slice(2, 5))
    >>> padded(np.ones((1, 1, 2), bool), box, wide).astype(int).tolist()
    [[[0, 0, 0]], [[0, 1, 1]]]
    """
    return np.pad(
        mask, [(b.start - w.start, w.stop - b.stop) for b, w in zip(box, wide, strict=True)]
    )


def within(inner: Box, outer: Box) -> Box:
    """Return a box given within another one on the whole grid.

    Examples
    --------
    >>> within((slice(1, 2), slice(0, 3), slice(0, 1)), (slice(4, 9), slice(0, 5), slice(2, 4)))
    (slice(5, 6, None), slice(0, 3, None), slice(2, 3, None))
    """
    i, j, k = (
        slice(b.start + a.start, b.start + a.stop) for a, b in zip(inner, outer, strict=True)
    )
    return (i, j, k)


def large_pieces(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected pieces of a mask but for crumbs (`LEAST_PIECE`), the largest first.

    Examples
    --------
    >>> [piece.tolist() for piece in large_pieces(np.array([1, 0, 1, 1], bool))]
    [[False, False, True, True], [True, False, False, False]]
    """
    numbered, count = ndimage.label(mask)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    return [numbered == n + 1 for n in order if sizes[n] >= LEAST_PIECE * sizes.sum()]


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected piece of a mask; an empty one as it is.

    Examples
    --------
    >>> largest_piece(np.array([1, 0, 1, 1, 0], bool)).tolist()
    [False, False, True, True, False]
    """
    pieces, count = ndimage.label(mask)
    return pieces == np.bincount(pieces.ravel())[1:].argmax() + 1 if count else mask
