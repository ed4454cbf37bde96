"""Between a scanner's grid and the network's: isotropic, axes in the order R, A, S.

The network's grid keeps the scanner's own axes, permuted and turned but not rotated, so both ways
are three small matrix products, one per axis, and slices stay slices as in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.volume import Grid

# Standard deviation of the smoothing before an axis is thinned out, in network voxels.
PREFILTER_SD_PER_SPACING = 0.4


@dataclass(frozen=True, eq=False)
class Placement:
    """How a scanner's grid lies in the network's.

    Parameters
    ----------
    axes : tuple of int
        The scanner's axis that runs along x, y and z of the network's grid.
    flipped : tuple of bool
        Whether that axis runs to the left, back or below.
    counts : tuple of int
        Voxels of the scanner's grid along x, y, z.
    steps_mm : tuple of float
        Their spacing.
    shape : tuple of int
        The network's grid, padded to what its strides need.
    spacing_mm : float
        Of the network's grid.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    counts: tuple[int, int, int]
    steps_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    spacing_mm: float

    def positions_mm(self, axis: int) -> NDArray[np.float64]:
        """Centres of the network's voxels along `axis`, from the middle of the scan."""
        n = self.shape[axis]
        return np.float64(self.spacing_mm) * (np.arange(n) - (n - 1) / 2)

    def scan_positions_mm(self, axis: int) -> NDArray[np.float64]:
        """Centres of the scanner's voxels along `axis`, from the middle of the scan."""
        n = self.counts[axis]
        return np.float64(self.steps_mm[axis]) * (np.arange(n) - (n - 1) / 2)


def place(
    grid: Grid, spacing_mm: float, multiple: int, coronal_within_deg: float = 45.0
) -> Placement:
    """Return the network's grid around a scanner's.

    Parameters
    ----------
    grid : Grid
    spacing_mm : float
    multiple : int
        Each side of the network's grid is a multiple of this.
    coronal_within_deg : float
        Slices that lean between coronal and axial count as coronal up to this angle. Those along a
        sacrum lean by 30 to 50 degrees, and a network should see them all the same way up.
    """
    axes = _axes(grid, coronal_within_deg)
    flipped = [bool(grid.directions[world, axis] < 0) for world, axis in enumerate(axes)]
    counts = tuple(grid.shape[a] for a in axes)
    steps = tuple(grid.spacing_mm[a] for a in axes)
    shape = tuple(
        max(1, int(np.ceil(n * step / spacing_mm / multiple))) * multiple
        for n, step in zip(counts, steps, strict=True)
    )
    return Placement(tuple(axes), tuple(flipped), counts, steps, shape, spacing_mm)  # type: ignore[arg-type]


def _axes(grid: Grid, coronal_within_deg: float) -> list[int]:
    """Return which of the scanner's axes runs along right, front and up."""
    across = int(np.argmax(grid.spacing_mm))
    right, front, _ = np.abs(grid.directions[:, across])
    if right < 0.5 and front > np.cos(np.radians(coronal_within_deg)):
        first, second = (a for a in range(3) if a != across)
        if abs(grid.directions[0, first]) < abs(grid.directions[0, second]):
            first, second = second, first
        return [first, across, second]
    pairs = ("RL", "AP", "SI")
    return [next(a for a in range(3) if grid.orientation[a] in pair) for pair in pairs]


def to_network(
    data: NDArray, placement: Placement
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the signal on the network's grid, and which of its voxels the scan covers.

    Parameters
    ----------
    data : ndarray, shape of the scanner's grid

    Returns
    -------
    signal : ndarray of float32, shape ``placement.shape``
    inside : ndarray of bool, same shape
    """
    array = data.transpose(placement.axes)
    array = array[tuple(slice(None, None, -1 if f else 1) for f in placement.flipped)]
    array = np.ascontiguousarray(array, dtype=np.float32)
    inside = np.ones(placement.shape, bool)
    for axis in sorted(range(3), key=lambda a: placement.shape[a] / placement.counts[a]):
        matrix = _down(placement, axis)
        array = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
        half = placement.counts[axis] * placement.steps_mm[axis] / 2
        covered = np.abs(placement.positions_mm(axis)) <= half
        inside &= covered.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.ascontiguousarray(array) * inside, inside


def from_network(
    values: NDArray[np.float32], placement: Placement, above: float = 0.0
) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """Return values of the network's grid on the scanner's, interpolated linearly.

    Parameters
    ----------
    values : ndarray of float32, shape ``placement.shape``
    above : float
        What is not above it need not come back.

    Returns
    -------
    box : tuple of slice
        The part of the scanner's grid outside which nothing is above `above`: a bone fills little
        of the grid.
    values : ndarray of float32, shape of the box
    """
    high = values > above
    if not high.any():
        return _nowhere()
    array = values
    extents: list[slice] = []
    matrices = []
    for axis in range(3):
        matrix = _linear(
            placement.positions_mm(axis), placement.scan_positions_mm(axis), placement.spacing_mm
        )
        inner = _extent(np.any(high, axis=tuple(a for a in range(3) if a != axis)))
        rows = np.any(matrix[:, inner], axis=1)
        if not rows.any():  # it lies between two slices of the scan
            return _nowhere()
        reached = _extent(rows)
        filled = slice(max(inner.start - 1, 0), inner.stop + 1)  # what is interpolated from
        array = array[tuple(filled if a == axis else slice(None) for a in range(3))]
        matrices.append(matrix[reached, filled])
        extents.append(reached)
    for axis in sorted(range(3), key=lambda a: matrices[a].shape[0] / matrices[a].shape[1]):
        array = np.moveaxis(np.tensordot(matrices[axis], array, axes=(1, axis)), 0, axis)
    array = array[tuple(slice(None, None, -1 if f else 1) for f in placement.flipped)]
    extents = [
        slice(n - part.stop, n - part.start) if flipped else part
        for part, flipped, n in zip(extents, placement.flipped, placement.counts, strict=True)
    ]
    order = np.argsort(placement.axes)
    i, j, k = (extents[a] for a in order)
    return (i, j, k), np.ascontiguousarray(array.transpose(order))


def _nowhere() -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    return (slice(0), slice(0), slice(0)), np.zeros((0, 0, 0), np.float32)


def _extent(flags: NDArray[np.bool_]) -> slice:
    """Return the slice from the first to the last that is set."""
    found = np.flatnonzero(flags)
    return slice(int(found[0]), int(found[-1]) + 1)


def _down(placement: Placement, axis: int) -> NDArray[np.float32]:
    there, step = placement.scan_positions_mm(axis), placement.steps_mm[axis]
    here = placement.positions_mm(axis)
    if step >= placement.spacing_mm:  # slices: nothing to thin out, so nothing to smooth
        return _linear(there, here, step)
    sd = PREFILTER_SD_PER_SPACING * placement.spacing_mm
    # Beyond the scan the last voxels are repeated; the caller blanks what lies outside.
    here = here.clip(there[0], there[-1])
    weight = np.exp(-0.5 * ((here[:, None] - there[None]) / sd) ** 2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def _linear(
    there: NDArray[np.float64], here: NDArray[np.float64], step: float
) -> NDArray[np.float32]:
    """Return the matrix that takes values at `there`, `step` apart, to points `here`."""
    index = ((here - there[0]) / step).clip(0, len(there) - 1)
    weight = 1 - np.abs(index[:, None] - np.arange(len(there))[None])
    return weight.clip(min=0).astype(np.float32)
