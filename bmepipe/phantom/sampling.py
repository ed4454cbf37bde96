"""An anatomy seen through the slices of a grid: fine planes from coarsely evaluated fields.

Signed distances vary slowly, so the implicit surfaces are evaluated on nodes 1.4 mm apart, aligned
with the slices, and interpolated linearly to every pixel and to several planes within each slice.
The error of a surface is about ``h**2 / (8 R)``: 0.01 mm for a radius R of 20 mm. Most tissues are
small, so that each field is interpolated only around what it bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import Anatomy
from bmepipe.phantom.layers import Fields
from bmepipe.phantom.points import pack
from bmepipe.phantom.shapes import FAR_MM, Floats
from bmepipe.volume import Grid

_NODE_MM = 1.4
_BODY_NODE_MM = 4.0
_PLANE_MM = 0.85
_FAR_OFF_MM = 10.0  # what is painted changes no more with a distance beyond this
_THREADS = 2
_SLAB = 6
_TILE = 128


@dataclass(frozen=True, eq=False)
class Axis:
    """Nodes along one axis of a grid and how values there become values at finer positions.

    Parameters
    ----------
    nodes : ndarray, shape (m,)
        Places of the nodes in voxel indices.
    left : ndarray of int, shape (n,)
        The node before each position, ascending.
    share : ndarray, shape (n,)
        How far, 0 to 1, the position lies towards the next node.
    """

    nodes: NDArray[np.float64]
    left: NDArray[np.intp]
    share: Floats

    @classmethod
    def over(cls, positions: NDArray[np.float64], nodes: NDArray[np.float64]) -> Axis:
        """Return how evenly spaced nodes serve positions."""
        place = (positions - nodes[0]) / (nodes[1] - nodes[0])
        left = np.clip(np.floor(place).astype(int), 0, len(nodes) - 2)
        return cls(nodes, left, np.clip(place - left, 0, 1).astype(np.float32))

    def part(self, start: int, stop: int) -> tuple[slice, Axis]:
        """Return the nodes that some of the positions need, and the axis from these alone."""
        left = self.left[start:stop]
        span = slice(int(left[0]), int(left[-1]) + 2)
        return span, Axis(self.nodes[span], left - span.start, self.share[start:stop])

    def fine(self, values: Floats, dimension: int) -> Floats:
        """Return values on the nodes along a dimension at the positions instead."""
        shape = [1] * values.ndim
        shape[dimension] = len(self.share)
        found = np.take(values, self.left, dimension)
        rise = np.take(np.diff(values, axis=dimension), self.left, dimension)
        rise *= self.share.reshape(shape)
        found += rise
        return found


def _nodes(positions: NDArray[np.float64], spacing_mm: float, node_mm: float) -> NDArray:
    step = node_mm / spacing_mm
    count = max(int(np.ceil((positions[-1] - positions[0]) / step)) + 1, 2)
    return positions[0] + step * np.arange(count)


@dataclass(frozen=True, eq=False)
class Tile:
    """A part of every plane, small enough for its fields to stay in a processor's cache.

    Parameters
    ----------
    window : (slice, slice)
        Its columns and rows in the grid.
    nodes : (slice, slice)
        The nodes around it.
    axes : (Axis, Axis)
        From these nodes to its columns and rows.
    near : dict of str to ndarray of bool, shape (slice nodes,)
        Which fields have something to say here, by slice node.
    far : dict of str to ndarray, shape (planes, columns, rows)
        What the others are taken for.
    """

    window: tuple[slice, slice]
    nodes: tuple[slice, slice]
    axes: tuple[Axis, Axis]
    near: Mapping[str, NDArray[np.bool_]]
    far: Mapping[str, Floats]


def _tile(
    window: tuple[slice, slice],
    axes: tuple[Axis, Axis],
    planes: int,
    stacks: Fields,
    places: Sequence[str],
) -> Tile:
    columns, rows = window
    i, first = axes[0].part(columns.start, columns.stop)
    j, second = axes[1].part(rows.start, rows.stop)
    shape = planes, len(first.left), len(second.left)
    near: dict[str, NDArray[np.bool_]] = {}
    far: dict[str, Floats] = {}
    for key in stacks:
        amount, bone = key.startswith("amount."), key.replace("cortex.", "bone.")
        part = stacks[bone][:, i, j]  # a cortex matters where its bone is
        told = (part > 0) if amount else (part < _FAR_OFF_MM)
        near[key] = np.asarray(told.any((1, 2)) | (key in places))
        far[key] = np.broadcast_to(np.float32(0 if amount else FAR_MM), shape)
    return Tile(window, (i, j), (first, second), near, far)


@dataclass(frozen=True, eq=False)
class Planes:
    """Fields of an anatomy on the planes of a grid's slices.

    Parameters
    ----------
    grid : Grid
    offsets_mm : ndarray, shape (s,)
        Places of the planes within a slice, from its middle; they tile the slice and its gap.
    tiles : tuple of Tile
        All that hold something of the body; outside is air.
    """

    grid: Grid
    offsets_mm: NDArray[np.float64]
    tiles: tuple[Tile, ...]
    _deep: Axis
    _stacks: Fields

    def in_tile(self, k: int, tile: Tile) -> Fields:
        """Return the fields of slice `k`, shape (planes, columns, rows of the tile)."""
        count = len(self.offsets_mm)
        own = slice(k * count, (k + 1) * count)
        nodes, deep = self._deep.part(own.start, own.stop)
        found = dict(tile.far)
        for key, near in tile.near.items():
            if near[nodes].any():
                values = self._stacks[key][(nodes, *tile.nodes)]
                for dimension, axis in enumerate((deep, *tile.axes)):
                    values = axis.fine(values, dimension)
                found[key] = values
        return found


def look_through(anatomy: Anatomy, grid: Grid) -> Planes:
    """Return the planes of an anatomy in the slices of a grid (k counts slices)."""
    spacing = grid.spacing_mm
    count = max(2, int(np.ceil(spacing[2] / _PLANE_MM)))
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * spacing[2]
    depth = (np.arange(grid.shape[2])[:, None] + offsets / spacing[2]).ravel()
    whole = [np.arange(grid.shape[0], dtype=float), np.arange(grid.shape[1], dtype=float), depth]
    wide = [_nodes(at, mm, _BODY_NODE_MM) for at, mm in zip(whole, spacing, strict=True)]
    skin = _evaluate(grid, wide, lambda points: {"body": anatomy.body(points)})["body"]
    window = _body_window(skin, wide, (grid.shape[0], grid.shape[1]))
    within = [whole[0][window[0]], whole[1][window[1]], depth]
    node = max(_NODE_MM, min(2 * spacing[0], 1.6), 0.8 * spacing[0])
    nodes = [_nodes(at, mm, node) for at, mm in zip(within, spacing, strict=True)]
    fields = _evaluate(grid, nodes, anatomy.fields)
    for axis, dimension in ((2, 0), (0, 1), (1, 2)):
        onto = Axis.over(nodes[axis], wide[axis])
        skin = onto.fine(skin, dimension)
    fields["body"] = skin
    across, along, deep = (Axis.over(at, n) for at, n in zip(whole, nodes, strict=True))
    tiles = [
        _tile(part, (across, along), count, fields, anatomy.plan.PLACES)
        for part in product(_pieces(window[0]), _pieces(window[1]))
    ]
    held = tuple(tile for tile in tiles if tile.near["body"].any())
    return Planes(grid, offsets, held, deep, fields)


def _pieces(span: slice) -> list[slice]:
    bounds = np.linspace(span.start, span.stop, max(2, round((span.stop - span.start) / _TILE) + 1))
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


def _evaluate(grid: Grid, nodes: Sequence[NDArray], function: Callable[[Floats], Fields]) -> Fields:
    """Return the fields on all nodes, each of shape (slice nodes, column nodes, row nodes)."""
    affine = grid.affine.astype(np.float64)
    i, j, k = nodes
    plane = [i[:, None] * row[0] + j * row[1] + row[3] for row in affine[:3]]

    def slab(start: int) -> Fields:
        along = k[start : start + _SLAB, None, None]
        return function(pack(*(plane[a] + along * affine[a, 2] for a in range(3))))

    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(slab, range(0, len(k), _SLAB)))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _body_window(
    skin: Floats, nodes: Sequence[NDArray], size: tuple[int, int]
) -> tuple[slice, slice]:
    inside = skin < _BODY_NODE_MM
    found = []
    for axis, others in ((0, (0, 2)), (1, (0, 1))):
        held = nodes[axis][inside.any(others)]
        last = size[axis]
        low, high = (held.min(), held.max()) if len(held) else (0, last)
        step = nodes[axis][1] - nodes[axis][0]
        found.append(slice(max(int(low - step), 0), min(int(high + step) + 1, last)))
    return found[0], found[1]
