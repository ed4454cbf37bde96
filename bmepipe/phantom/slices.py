"""Where slices lie: plane, matrix, thickness and gap, and the grid that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bmepipe.errors import unknown_choice
from bmepipe.phantom.shapes import Floats, f32, rotation
from bmepipe.phantom.values import bad_value, require_number
from bmepipe.volume import Grid

# RAS directions of increasing column, row and slice index; in DICOM's usual display a sagittal
# image has anterior on its left, the others the patient's right.
PLANES: Mapping[str, tuple[tuple[float, ...], ...]] = MappingProxyType(
    {
        "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
        "coronal": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
        "axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    }
)


@dataclass(frozen=True)
class Slices:
    """How one series is cut.

    Parameters
    ----------
    plane : str
        "sagittal", "coronal" or "axial".
    matrix : int
        Columns and rows.
    pixel_mm : float
    slices : int
    thickness_mm, gap_mm : float
    tilt_deg : (float, float)
        Oblique turn of the slices about the patient's long axis and about the left-right axis,
        as for a right side.

    Raises
    ------
    BadSettings
        Naming the value that cannot be.
    UnknownChoice
        For an unknown plane, listing the known ones.
    """

    plane: str
    matrix: int
    pixel_mm: float
    slices: int
    thickness_mm: float
    gap_mm: float
    tilt_deg: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            raise unknown_choice("plane", self.plane, PLANES)
        for name in ("matrix", "slices"):
            whole = require_number(name, getattr(self, name)) % 1 == 0
            if not whole or getattr(self, name) <= 0:
                raise bad_value(f"{name} as a whole number above 0", getattr(self, name))
        for name in ("pixel_mm", "thickness_mm"):
            if not require_number(name, getattr(self, name)) > 0:
                raise bad_value(f"{name} above 0", getattr(self, name))
        if require_number("gap_mm", self.gap_mm) < 0:
            raise bad_value("gap_mm of 0 or more", self.gap_mm)
        if len(self.tilt_deg) != 2:
            raise bad_value("tilt_deg as two angles", self.tilt_deg)
        for angle in self.tilt_deg:
            require_number("tilt_deg", angle)

    @property
    def step_mm(self) -> float:
        """Distance between the middles of neighbouring slices."""
        return self.thickness_mm + self.gap_mm

    def directions(self) -> Floats:
        """Return the RAS directions of columns, rows and slices as columns, shape (3, 3)."""
        upright = f32(PLANES[self.plane]).T
        return f32(rotation(2, self.tilt_deg[0]) @ rotation(0, self.tilt_deg[1]) @ upright)

    def grid(self, centre_mm: Floats) -> Grid:
        """Return the grid of the slices, centred on a RAS point."""
        spacing = np.array([self.pixel_mm, self.pixel_mm, self.step_mm])
        shape = (self.matrix, self.matrix, self.slices)
        affine = np.eye(4)
        affine[:3, :3] = self.directions() * spacing
        affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        return Grid(shape, affine)
