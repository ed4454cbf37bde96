"""Where the slices of one stack lie, and whether together they are one regular grid.

A stack becomes a grid only if the four corners of every slice, computed from that slice's own
header, lie on it. That one check covers uneven spacing, missing slices, shear and turned slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.io.frames import Frame
from bmepipe.volume import Grid

# Corners may be off by this much without a word, and by _NOTED_MM with a note: scanners round
# positions to 0.01 mm, and one vendor to 0.1 mm. A tenth of the slice spacing bounds both.
_SILENT_MM, _NOTED_MM, _NOTED_PART = 0.05, 0.3, 0.1
# Cosines nearer than this are one orientation: some headers keep only three decimals.
SAME_COSINE = 1e-3
_UNIT_ERROR = 5e-3


@dataclass(frozen=True, eq=False)
class Geometry:
    """Result of placing a stack: the slices in order along k, and a grid or the reason for none."""

    order: tuple[int, ...]
    grid: Grid | None
    refusal: str = ""
    notes: tuple[str, ...] = ()
    repeated: bool = False


def axes_of(orientation: Sequence[float]) -> NDArray[np.float64] | None:
    """Return unit vectors along a row, along a column and across, shape (3, 3) as rows, LPS.

    None if the six cosines are not two unit vectors at right angles.
    """
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    errors = row @ row - 1, column @ column - 1, row @ column
    if max(abs(float(e)) for e in errors) > _UNIT_ERROR:
        return None
    across = np.cross(row, column)
    across /= np.linalg.norm(across)
    row = row / np.linalg.norm(row)
    return np.stack([row, np.cross(across, row), across])


def place(frames: Sequence[Frame]) -> Geometry:
    """Put the frames of one stack on a grid.

    Parameters
    ----------
    frames : sequence of Frame
        Of one matrix size and about one orientation, in any order.

    Returns
    -------
    Geometry
        With slices ordered along the cross product of row and column direction.
    """
    unsorted = tuple(range(len(frames)))
    if missing := _missing(frames):
        return Geometry(unsorted, None, missing)
    cosines = np.array([f.orientation for f in frames])
    axes = axes_of(cosines.mean(axis=0))
    if axes is None or any(axes_of(c) is None for c in cosines):
        return Geometry(unsorted, None, "ImageOrientationPatient is not two perpendicular units")
    positions = np.array([f.position for f in frames])
    along = positions @ axes[2]
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    if len(steps) and steps.min() < 1e-3:
        return Geometry(tuple(order.tolist()), None, _repeats(along), repeated=True)
    return _fit(frames, positions[order], axes, order)


def _missing(frames: Sequence[Frame]) -> str:
    for name, field in (
        ("ImagePositionPatient", "position"),
        ("ImageOrientationPatient", "orientation"),
        ("PixelSpacing", "spacing"),
    ):
        without = sum(getattr(frame, field) is None for frame in frames)
        if without:
            return f"{name} is missing or unreadable in {without} of {len(frames)} slices"
    if any(frame.slope == 0 for frame in frames):
        return "RescaleSlope is 0"
    spacing = np.array([frame.spacing for frame in frames], float)
    if spacing.min() < 1e-3 or spacing.max() > 1e3:
        return f"PixelSpacing of {spacing.min():g} to {spacing.max():g} mm"
    if np.abs(np.array([frame.position for frame in frames], float)).max() > 1e5:
        return "ImagePositionPatient is farther than 100 m away"
    return ""


def _repeats(along: NDArray[np.float64]) -> str:
    places = len(np.unique(np.round(along, 2)))
    return (
        f"{len(along)} images lie at {places} positions, and no header says which belong together"
    )


def _fit(
    frames: Sequence[Frame],
    positions: NDArray[np.float64],
    axes: NDArray[np.float64],
    order: NDArray[np.intp],
) -> Geometry:
    """Return the grid through sorted slice positions, shape (n, 3), or why there is none."""
    ordered = [frames[n] for n in order]
    first, last, count = positions[0], positions[-1], len(positions)
    step = (last - first) / (count - 1) if count > 1 else axes[2] * _thickness(ordered[0])
    row_mm, column_mm = np.mean([f.spacing for f in ordered], axis=0)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = axes[0] * column_mm, axes[1] * row_mm, step
    affine[:3, 3] = first
    indices = tuple(order.tolist())
    shape = (ordered[0].file.columns, ordered[0].file.rows, count)
    spacing = float(np.linalg.norm(step))
    gaps = np.diff(positions @ axes[2])
    off = _corner_errors(ordered, positions, affine)
    limit = min(_NOTED_MM, _NOTED_PART * spacing)
    if off.max() > max(limit, _SILENT_MM):
        return Geometry(indices, None, _irregular(gaps, positions, axes, off))
    lean = float(np.linalg.norm((last - first) - axes[2] * ((last - first) @ axes[2])))
    if lean > max(_SILENT_MM, 0.1 * min(row_mm, column_mm)) and count > 1:
        reason = f"the slices are sheared: each is shifted in its plane, {lean:.1f} mm in all"
        return Geometry(indices, None, reason)
    notes = [f"slices lie up to {off.max():.2f} mm off the grid"] if off.max() > _SILENT_MM else []
    thickness = ordered[0].thickness_mm or 0.0
    if count > 1 and thickness and spacing > 3 * thickness:
        notes.append(f"slices of {thickness:g} mm are {spacing:.1f} mm apart")
    return Geometry(indices, Grid.from_lps(shape, affine), notes=tuple(notes))


def _thickness(frame: Frame) -> float:
    """Slice distance in mm of a lone slice, of which no position can tell."""
    for said in (frame.gap_mm, frame.thickness_mm):
        if said and 0 < abs(said) < 1e3:
            return abs(said)
    return 1.0


def _corner_errors(
    frames: Sequence[Frame], positions: NDArray[np.float64], affine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Farthest that each slice's own corners lie from the grid's, in mm, shape (n,)."""
    cosines = np.array([f.orientation for f in frames])
    spacing = np.array([f.spacing for f in frames])
    extent_i = (frames[0].file.columns - 1) * spacing[:, 1:]
    extent_j = (frames[0].file.rows - 1) * spacing[:, :1]
    grid_i = (frames[0].file.columns - 1) * affine[:3, 0]
    grid_j = (frames[0].file.rows - 1) * affine[:3, 1]
    start = positions - (affine[:3, 3] + np.arange(len(frames))[:, None] * affine[:3, 2])
    side_i = cosines[:, :3] * extent_i - grid_i
    side_j = cosines[:, 3:] * extent_j - grid_j
    corners = np.stack([start, start + side_i, start + side_j, start + side_i + side_j])
    return np.linalg.norm(corners, axis=2).max(axis=0)


def _irregular(
    gaps: NDArray[np.float64],
    positions: NDArray[np.float64],
    axes: NDArray[np.float64],
    off: NDArray[np.float64],
) -> str:
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    if not len(gaps) or np.ptp(gaps) <= 0.1 * usual:
        return f"the slices do not lie on one straight grid: corners up to {off.max():.1f} mm off"
    wide = int(np.argmax(gaps))
    missing = gaps[wide] / usual
    text = f"slices are unevenly spaced: {gaps.min():.2f} to {gaps.max():.2f} mm"
    if missing > 1.5 and abs(missing - round(missing)) < 0.1:
        count = round(missing) - 1
        text = (
            f"{count} slice{'s are' if count > 1 else ' is'} missing after slice {wide + 1}: "
            f"a gap of {gaps[wide]:.1f} mm among {usual:.1f} mm"
        )
    return text
