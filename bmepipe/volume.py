"""An image and where it lies: `Grid`, `Volume`, `require_same_grid`.

World coordinates are RAS+ millimetres everywhere in the package: +x to the patient's right, +y
anterior, +z superior. DICOM's LPS exists only in `Grid.from_lps` and `Grid.lps_affine`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmepipe.errors import GridMismatch, ImplausibleImage

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
CLEARLY_WIDER = 1.5
_AXIS_NAMES = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels and its place in the patient.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels (i, j, k). For a stack of slices k counts slices.
    affine : array_like, shape (4, 4)
        Voxel index (i, j, k, 1) of a voxel's centre to RAS+ millimetres: +x right, +y anterior,
        +z superior. Checked, copied, float64, read-only.

    Raises
    ------
    ImplausibleImage
        If the shape has an empty axis or the affine is not finite or not invertible.

    Examples
    --------
    >>> grid = Grid((4, 5, 6), np.diag([0.5, 0.5, 3.0, 1.0]))
    >>> grid.spacing_mm
    (0.5, 0.5, 3.0)
    >>> grid.orientation
    'RAS'
    >>> round(grid.voxel_ml, 6)
    0.00075
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ImplausibleImage(
                "a grid of three axes with at least one voxel each",
                f"shape {shape}",
                "check the image file",
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ImplausibleImage(
                "a finite 4 x 4 affine", f"{affine.tolist()}", "check the image's geometry"
            )
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9 or not np.allclose(affine[3], [0, 0, 0, 1]):
            raise ImplausibleImage(
                "an invertible affine", f"{affine.tolist()}", "check the image's geometry"
            )
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_lps(cls, shape: tuple[int, int, int], affine_lps: ArrayLike) -> Grid:
        """Return the grid whose affine is given in DICOM's and ITK's LPS+ millimetres."""
        return cls(shape, _LPS_TO_RAS @ np.asarray(affine_lps, dtype=np.float64))

    @property
    def lps_affine(self) -> NDArray[np.float64]:
        """Voxel index to LPS+ millimetres, shape (4, 4), for DICOM and ITK."""
        return _LPS_TO_RAS @ self.affine

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j, k, in millimetres."""
        i, j, k = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return (i, j, k)

    @cached_property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres (from the determinant, so right when sheared)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors of the axes i, j, k as columns, shape (3, 3), RAS."""
        return self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)

    @cached_property
    def orientation(self) -> str:
        """Three letters: to which side of the patient i, j, k run mostly, as 'LPS' or 'PIR'."""
        remaining = np.abs(self.directions).copy()
        letters = ["", "", ""]
        for _ in range(3):  # greedy from the surest axis, so that oblique grids never repeat one
            world, axis = np.unravel_index(int(np.argmax(remaining)), (3, 3))
            letters[axis] = _AXIS_NAMES[world][int(self.directions[world, axis] > 0)]
            remaining[world, :] = -1
            remaining[:, axis] = -1
        return "".join(letters)

    @cached_property
    def slice_axis(self) -> int:
        """Index of the axis across the slices: k, unless another spacing is clearly wider.

        Of a series of slices it is k, also where these are thinner than their pixels; a NIfTI file
        that was turned may have it elsewhere.
        """
        widest = int(np.argmax(self.spacing_mm))
        return widest if self.spacing_mm[widest] > CLEARLY_WIDER * self.spacing_mm[2] else 2

    @cached_property
    def is_isotropic(self) -> bool:
        """Whether no spacing is clearly wider than another: as good in any plane."""
        return max(self.spacing_mm) <= CLEARLY_WIDER * min(self.spacing_mm)

    @cached_property
    def flat_spacing_mm(self) -> tuple[float, float, float]:
        """The spacing with slices out of each other's reach: distances stay within a slice."""
        x, y, z = (
            1e6 if axis == self.slice_axis else step for axis, step in enumerate(self.spacing_mm)
        )
        return (x, y, z)

    @cached_property
    def plane(self) -> str:
        """'sagittal', 'coronal' or 'axial': the anatomical plane nearest to the slices."""
        letter = self.orientation[self.slice_axis]
        return {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal"}.get(
            letter, "axial"
        )

    @cached_property
    def corners_mm(self) -> NDArray[np.float64]:
        """Centres of the eight corner voxels, shape (8, 3), RAS millimetres."""
        return self.to_world(list(product(*[(0, n - 1) for n in self.shape])))

    def to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """Return RAS millimetres, shape (n, 3), of voxel indices, shape (n, 3)."""
        index = np.atleast_2d(np.asarray(index, dtype=np.float64))
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Return fractional voxel indices, shape (n, 3), of RAS points in mm, shape (n, 3)."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        return (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def matches(self, other: Grid, tolerance_mm: float = 0.1) -> bool:
        """Say whether both grids have one shape and no corner farther than `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        away = np.linalg.norm(self.corners_mm - other.corners_mm, axis=1)
        return bool(away.max() <= tolerance_mm)


@dataclass(frozen=True)
class SliceSource:
    """The DICOM instance, and the frame in it (from 1), that a slice was read from."""

    sop_class_uid: str
    sop_instance_uid: str
    frame: int = 1


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values on a grid; read-only.

    The dtype is the meaning: float is signal (resampled linearly), bool a mask and unsigned
    integers are labels (resampled by nearest neighbour).

    Parameters
    ----------
    data : ndarray, shape ``grid.shape``
        Indexed [i, j, k]. Readers make it Fortran-ordered, so that ``data.T`` is C-contiguous
        [k, j, i] as SimpleITK wants it, without a copy.
    grid : Grid
    slices : tuple of SliceSource, optional
        For a volume read from DICOM, the source of each slice k; else empty.

    Raises
    ------
    GridMismatch
        If the data's shape is not the grid's, or the number of slices is wrong.
    """

    data: NDArray
    grid: Grid
    slices: tuple[SliceSource, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.shape != self.grid.shape:
            raise GridMismatch(
                f"voxels of shape {self.grid.shape}", f"shape {data.shape}", "check the image file"
            )
        if self.slices and len(self.slices) != self.grid.shape[2]:
            raise GridMismatch(
                f"{self.grid.shape[2]} slice sources", f"{len(self.slices)}", "check the series"
            )
        if data.dtype.kind not in "fbu":
            raise TypeError(f"a volume holds float, bool or unsigned integers, not {data.dtype}")
        view = data.view()
        view.setflags(write=False)
        object.__setattr__(self, "data", view)

    def with_data(self, data: NDArray) -> Volume:
        """Return a volume of `data` on this grid, with the same slice sources."""
        return Volume(data, self.grid, self.slices)


def require_same_grid(first: Volume, second: Volume, names: tuple[str, str]) -> None:
    """Refuse two volumes that do not share a grid.

    Parameters
    ----------
    first, second : Volume
    names : tuple of str
        What the two are, for the message.

    Raises
    ------
    GridMismatch
        Naming both shapes and the largest distance of corners in mm.
    """
    if first.grid.matches(second.grid):
        return
    came = f"{names[1]} {second.grid.shape}, {names[0]} {first.grid.shape}"
    if first.grid.shape == second.grid.shape:
        away = np.linalg.norm(first.grid.corners_mm - second.grid.corners_mm, axis=1).max()
        came += f", corners up to {away:.1f} mm apart"
    raise GridMismatch(
        f"the {names[1]} on the grid of the {names[0]}", came, f"resample the {names[1]} first"
    )


def overlap(of: Grid, by: Grid) -> float:
    """Return which part of one grid's box another grid's box covers, 0 to 1."""
    steps = [np.linspace(-0.5, n - 0.5, 12, endpoint=False) + n / 24 for n in of.shape]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    index = by.to_index(of.to_world(points))
    inside = ((index >= -0.5) & (index <= np.array(by.shape) - 0.5)).all(axis=1)
    return float(inside.mean())
