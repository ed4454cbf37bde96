"""Points in arrays of shape (..., 3) that are kept one coordinate after the other.

Most of a phantom's time goes into arithmetic on coordinates. It is fastest on each by itself, and
without the matrix products of a linear algebra library, whose own threads get in the way of ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


def split(points: NDArray) -> tuple[Floats, Floats, Floats]:
    """Return the coordinates, each contiguous; no copy of points that `pack` has made."""
    x, y, z = (np.ascontiguousarray(points[..., a], dtype=np.float32) for a in range(3))
    return x, y, z


def pack(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Floats:
    """Return points of shape (..., 3) from their coordinates.

    >>> pack([1, 2], [3, 4], [5, 6]).tolist()
    [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z))
    kept = np.empty((3, *shape), dtype=np.float32)
    kept[0], kept[1], kept[2] = x, y, z
    return np.moveaxis(kept, 0, -1)


def times(points: NDArray, matrix: ArrayLike) -> Floats:
    """Return ``points @ matrix`` for a matrix of shape (3, 3).

    >>> times(np.float32([[1, 2, 3]]), [[0, 1, 0], [0, 0, 1], [1, 0, 0]]).tolist()
    [[3.0, 1.0, 2.0]]
    """
    m = np.asarray(matrix, dtype=np.float32)
    return pack(*(dot(points, m[:, column]) for column in range(3)))


def dot(points: NDArray, vector: ArrayLike) -> Floats:
    """Return ``points @ vector`` for a vector of shape (3,); shape (...)."""
    a, b, c = np.asarray(vector, dtype=np.float32)
    x, y, z = split(points)
    found = x * a
    found += y * b
    found += z * c
    return found


def length(points: NDArray) -> Floats:
    """Return the distance of every point to the origin, shape (...)."""
    x, y, z = split(points)
    found = x * x
    found += y * y
    found += z * z
    return np.sqrt(found, out=found)


def down(lean_deg: float) -> NDArray:
    """Return the direction along a spine that leans forward, towards the feet, shape (3,)."""
    angle = np.deg2rad(lean_deg)
    return np.array([0.0, -np.sin(angle), -np.cos(angle)])


def triple(values: ArrayLike) -> tuple[float, float, float]:
    """Return three numbers as a tuple."""
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z
