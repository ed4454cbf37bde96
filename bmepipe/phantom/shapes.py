"""Solids as signed distances: smooth unions of ellipsoids, less some ellipsoids.

A distance is in millimetres, negative inside. It is exact on the surface of a single ellipsoid and
a close estimate near it, which is all that is needed: surfaces lie at zero, shells are thin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from bmepipe.phantom.points import Floats, dot, split, times

FAR_MM = 60.0
_CHUNK = 1 << 16


def f32(values: ArrayLike) -> Floats:
    """Return the values as an array of float32, which keeps the fields small."""
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Ellipsoids:
    """Several ellipsoids.

    Parameters
    ----------
    centres_mm : ndarray, shape (n, 3)
    radii_mm : ndarray, shape (n, 3)
    axes : ndarray, shape (n, 3, 3)
        The unit vectors of the radii as columns.
    """

    centres_mm: Floats
    radii_mm: Floats
    axes: Floats

    @classmethod
    def from_rows(cls, rows: ArrayLike) -> Ellipsoids:
        """Return the ellipsoids of rows (centre, radii, unit quaternion w x y z), shape (n, 10)."""
        table = np.asarray(rows, dtype=np.float64).reshape(-1, 10)
        w, x, y, z = (table[:, 6:] / np.linalg.norm(table[:, 6:], axis=1, keepdims=True)).T
        axes = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        ).transpose(2, 1, 0)  # the rotation's rows are the axes of the radii
        return cls(f32(table[:, :3]), f32(table[:, 3:6]), f32(axes))

    @property
    def box_mm(self) -> Floats:
        """Lower and upper corner of the box around all, shape (2, 3)."""
        half = np.sqrt(np.einsum("nij,nj->ni", self.axes**2, self.radii_mm**2))
        return np.stack([(self.centres_mm - half).min(0), (self.centres_mm + half).max(0)])

    def smooth_union(self, points_mm: Floats, blend_mm: float) -> Floats:
        """Return the distance to the union, rounded over `blend_mm`, of points of shape (n, 3)."""
        total = np.full(len(points_mm), 1e-30, dtype=np.float32)
        columns = split(points_mm)
        for centre, radii, axes in zip(self.centres_mm, self.radii_mm, self.axes, strict=True):
            part = _one(columns, centre, radii, axes)
            part *= np.float32(-1 / blend_mm)
            total += np.exp(part, out=part)
        return np.float32(-blend_mm) * np.log(total)


def _one(columns: Sequence[Floats], centre: Floats, radii: Floats, axes: Floats) -> Floats:
    # Distance estimate of I. Quilez, "ellipsoid - distance bound", from the two scaled norms.
    x, y, z = columns
    first, second = np.zeros_like(x), np.full_like(x, 1e-12)
    for axis, radius in zip((axes / radii).T, radii, strict=True):
        along = x * axis[0]
        along += y * axis[1]
        along += z * axis[2]
        along -= centre @ axis
        along *= along
        first += along
        along *= 1 / (radius * radius)
        second += along
    np.sqrt(first, out=first)
    np.sqrt(second, out=second)
    found = first - 1
    found *= first
    found /= second
    return np.clip(found, -40, 60, out=found)


@dataclass(frozen=True, eq=False)
class Solid:
    """A smooth union of ellipsoids from which others are hollowed out."""

    name: str
    solids: Ellipsoids
    hollows: Ellipsoids | None
    blend_mm: float

    def distance(self, points_mm: Floats, *, reach_mm: float = 12.0) -> Floats:
        """Return the signed distance in mm of points in the solid's own frame.

        Parameters
        ----------
        points_mm : ndarray, shape (..., 3)
        reach_mm : float
            Farther from the solid's box than this only the distance to the box is computed.

        Returns
        -------
        ndarray of float32, shape (...)
        """
        points = f32(points_mm).reshape(-1, 3)
        if not len(points):
            return np.empty(np.shape(points_mm)[:-1], dtype=np.float32)
        low, high = self.solids.box_mm
        gap = max(
            max(low[a] - points[:, a].max(), points[:, a].min() - high[a], 0.0) for a in range(3)
        )
        if gap >= reach_mm:
            return np.full(np.shape(points_mm)[:-1], min(gap, FAR_MM), dtype=np.float32)
        result = np.empty(len(points), dtype=np.float32)
        for start in range(0, len(points), _CHUNK):
            block = points[start : start + _CHUNK]
            value = _outside_box(block, low, high)
            near = np.flatnonzero(value < reach_mm)
            if len(near):
                value[near] = self._distance(block[near])
            result[start : start + _CHUNK] = np.minimum(value, FAR_MM)
        return result.reshape(np.shape(points_mm)[:-1])

    def _distance(self, points: Floats) -> Floats:
        inside = self.solids.smooth_union(points, self.blend_mm)
        if self.hollows is None:
            return inside
        hollow = -self.hollows.smooth_union(points, self.blend_mm)
        return smooth_max(inside, hollow, self.blend_mm)


def _outside_box(points_mm: Floats, low: Floats, high: Floats) -> Floats:
    away = np.zeros(len(points_mm), dtype=np.float32)
    for axis in range(3):
        column = points_mm[:, axis]
        np.maximum(away, low[axis] - column, out=away)
        np.maximum(away, column - high[axis], out=away)
    return away


def smooth_max(first: Floats, second: Floats, blend_mm: float) -> Floats:
    """Return the larger distance (an intersection), rounded over `blend_mm`."""
    blend = np.float32(blend_mm)
    return blend * np.logaddexp(first / blend, second / blend)


def smooth_min(first: Floats, second: Floats, blend_mm: float) -> Floats:
    """Return the smaller distance (a union), rounded over `blend_mm`."""
    return -smooth_max(-first, -second, blend_mm)


def smooth_step(value: Floats, low: float, high: float) -> Floats:
    """Return 0 below `low`, 1 above `high` and a smooth rise between; `low` > `high` falls.

    >>> smooth_step(np.float32([0, 5, 10]), 0, 10).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def within_box(
    points_mm: Floats, low_mm: Floats, high_mm: Floats, shape: Callable[[Floats], Floats]
) -> Floats:
    """Return the distance to a shape, shape (...); outside a box around it, to that box.

    Parameters
    ----------
    points_mm : ndarray, shape (..., 3)
    low_mm, high_mm : ndarray, shape (3,)
        Corners of the box.
    shape : callable (points, shape (n, 3)) -> distances, shape (n,)
    """
    points = points_mm.reshape(-1, 3)
    away = np.zeros(len(points), np.float32)
    for axis in range(3):
        np.maximum(away, low_mm[axis] - points[:, axis], out=away)
        np.maximum(away, points[:, axis] - high_mm[axis], out=away)
    found = np.minimum(away + 4, FAR_MM)
    near = np.flatnonzero(away == 0)
    if len(near):
        found[near] = shape(points[near])
    return found.reshape(points_mm.shape[:-1])


def capsule(points_mm: Floats, start_mm: ArrayLike, end_mm: ArrayLike, radius_mm: float) -> Floats:
    """Return the distance to a rounded rod between two points; points have shape (..., 3)."""
    start, end = f32(start_mm), f32(end_mm)
    along = end - start
    t = dot(points_mm, along / (along @ along))
    t -= start @ along / (along @ along)
    np.clip(t, 0, 1, out=t)
    square = np.zeros_like(t)
    for column, origin, step in zip(split(points_mm), start, along, strict=True):
        away = column - t * step
        away -= origin
        away *= away
        square += away
    np.sqrt(square, out=square)
    square -= np.float32(radius_mm)
    return square


def ellipsoid(points_mm: Floats, centre_mm: ArrayLike, radii_mm: ArrayLike) -> Floats:
    """Return the distance to an upright ellipsoid; points have shape (..., 3)."""
    columns = split(points_mm)
    return _one(columns, f32(centre_mm), f32(radii_mm), np.eye(3, dtype=np.float32))


def rotation(axis: int, degrees: float) -> Floats:
    """Return the matrix that turns column vectors about a coordinate axis, shape (3, 3).

    >>> (rotation(2, 90) @ np.float32([1, 0, 0])).round().tolist()
    [0.0, 1.0, 0.0]
    """
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix: Floats = np.eye(3, dtype=np.float32)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


def turn(points_mm: Floats, matrix: Floats, pivot_mm: ArrayLike) -> Floats:
    """Return points turned by `matrix` about `pivot_mm`; shape (..., 3)."""
    pivot = f32(pivot_mm)
    return times(points_mm - pivot, matrix.T) + pivot


@cache
def load_solids(name: str) -> Mapping[str, Solid]:
    """Return the solids of ``data/NAME.json`` by name.

    The file's own `source` names the public shapes that the ellipsoids were fitted to.
    """
    text = (resources.files("bmepipe.phantom") / "data" / f"{name}.json").read_text("utf-8")
    table = json.loads(text)["solids"]
    return MappingProxyType(
        {
            key: Solid(
                key,
                Ellipsoids.from_rows(row["solids"]),
                Ellipsoids.from_rows(row["hollows"]) if row["hollows"] else None,
                row["blend_mm"],
            )
            for key, row in table.items()
        }
    )
