"""How slices are shown: radiological orientation, true proportions, one window per series.

Sagittal: anterior at the left, head up. Coronal: the patient's right at the left, head up. Axial:
the patient's right at the left, anterior up. The letters at the edges come from the affine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.result import EdemaResult
from bmepipe.volume import Grid, Volume

# RAS directions that point right and down on the screen.
_SCREEN = {
    "sagittal": ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "axial": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
}
_LETTERS = (("L", "R"), ("P", "A"), ("F", "H"))
# Fat is the brightest tissue of a T1. Fluid would leave marrow and its edema in the dark on a
# fat-suppressed image, so that its brightest part is white, as readers set it.
WHITE_T1, WHITE_FS = 99.7, 99.4
# Much fluid (spine, bladder) or fat beside the coil would leave marrow black: white is then set so
# that normal marrow has this share of the grey scale, but never below the percentile.
_MARROW_T1, _MARROW_FS, _LEAST_WHITE = 0.42, 1 / 6, 96.0
_OBLIQUE = 0.34  # a second letter from about 20 degrees on


@dataclass(frozen=True)
class View:
    """How the slices of a grid lie on the screen.

    Parameters
    ----------
    slice_axis, row_axis, column_axis : int
        The grid's axes across the slices, down the screen and to the right of it.
    flip_rows, flip_columns : bool
        True where the axis runs upwards, or to the left.
    pixel_mm : tuple of float
        Height and width of a voxel on the screen.
    letters : tuple of str
        At the left, right, top and bottom edge: L R P A F H, two where the slice is oblique.
    """

    slice_axis: int
    row_axis: int
    column_axis: int
    flip_rows: bool
    flip_columns: bool
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]

    @classmethod
    def of(cls, grid: Grid) -> View:
        """Return the view in which a radiologist expects the slices of this grid."""
        across = grid.slice_axis
        first, second = (axis for axis in range(3) if axis != across)
        right, down = (np.array(v) for v in _SCREEN[grid.plane])
        along = grid.directions
        straight = abs(along[:, first] @ right) + abs(along[:, second] @ down)
        crossed = abs(along[:, second] @ right) + abs(along[:, first] @ down)
        column, row = (first, second) if straight >= crossed else (second, first)
        flip_columns = bool(along[:, column] @ right < 0)
        flip_rows = bool(along[:, row] @ down < 0)
        to_right = along[:, column] * (-1 if flip_columns else 1)
        to_bottom = along[:, row] * (-1 if flip_rows else 1)
        return cls(
            across,
            row,
            column,
            flip_rows,
            flip_columns,
            (grid.spacing_mm[row], grid.spacing_mm[column]),
            (
                direction_letters(-to_right),
                direction_letters(to_right),
                direction_letters(-to_bottom),
                direction_letters(to_bottom),
            ),
        )

    def slices(self, data: NDArray) -> NDArray:
        """Return a view of `data`, shape [i, j, k], as [slice, row, column] of the screen."""
        turned = np.transpose(data, (self.slice_axis, self.row_axis, self.column_axis))
        rows = slice(None, None, -1 if self.flip_rows else 1)
        columns = slice(None, None, -1 if self.flip_columns else 1)
        return turned[:, rows, columns]


def direction_letters(direction: NDArray[np.float64]) -> str:
    """Return the patient's side to which a RAS unit vector points; two letters if oblique.

    >>> direction_letters(np.array([0.0, 0.0, 1.0]))
    'H'
    >>> direction_letters(np.array([-0.8, 0.6, 0.0]))
    'LA'
    """
    order = np.argsort(-np.abs(direction))[:2]
    letters = [_LETTERS[axis][int(direction[axis] > 0)] for axis in order]
    return "".join(letters if abs(direction[order[1]]) > _OBLIQUE else letters[:1])


@dataclass(frozen=True, eq=False)
class Layers:
    """The result's volumes as the screen shows them, each of shape [slice, row, column].

    `t1`, `t2fs`, `probability` are 8-bit (the series windowed, the probability times 255); the
    others are masks, `bones` labels.
    """

    view: View
    t1: NDArray[np.uint8] | None
    t2fs: NDArray[np.uint8]
    bones: NDArray
    edema: NDArray
    excluded: NDArray

    @classmethod
    def of(cls, result: EdemaResult) -> Layers:
        """Return the layers of a result."""
        view = View.of(result.pair.grid)
        bones = view.slices(result.bones.data)
        t1 = result.pair.t1
        return cls(
            view,
            None if t1 is None else view.slices(windowed(t1, t1_window(result))),
            view.slices(windowed(result.pair.t2fs, fat_suppressed_window(result))),
            bones,
            view.slices(result.edema.data) > 0,
            (bones > 0) & (view.slices(result.assessable.data) == 0),
        )


def window(volume: Volume, white: float) -> tuple[float, float]:
    """Return the signal shown as black and as white: one pair for the whole series.

    `white` is the percentile of the signal from which all is white.
    """
    sample = volume.data[::2, ::2, :]
    low, high = np.percentile(sample[np.isfinite(sample)], [1.0, white])
    return float(low), float(max(high, low + 1e-6))


def t1_window(result: EdemaResult) -> tuple[float, float]:
    """Return the window of the T1, in which normal marrow is a middle grey."""
    assert result.pair.t1 is not None
    return _marrow_window(result, result.pair.t1, WHITE_T1, _MARROW_T1)


def fat_suppressed_window(result: EdemaResult) -> tuple[float, float]:
    """Return the window of the fat-suppressed series, in which normal marrow is dark but seen."""
    return _marrow_window(result, result.pair.t2fs, WHITE_FS, _MARROW_FS)


def _marrow_window(
    result: EdemaResult, volume: Volume, white: float, share: float
) -> tuple[float, float]:
    low, high = window(volume, white)
    marrow = volume.data[(result.bones.data > 0) & ~result.edema.data]
    marrow = marrow[np.isfinite(marrow)]
    if marrow.size == 0:
        return low, high
    wanted = low + (float(np.median(marrow)) - low) / share
    least = window(volume, _LEAST_WHITE)[1]
    return low, max(min(high, wanted), least, low + 1e-6)


def windowed(volume: Volume, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return the signal as 8-bit grey values from black to white, shape ``grid.shape``."""
    low, high = limits
    scaled = (np.nan_to_num(volume.data) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(scaled + 0.5, 0, 255).astype(np.uint8)


def crop_box(mask: NDArray, margin: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of the box around `mask`, shape [slice, row, column].

    The box is widened by `margin` rows and columns and kept inside; all, if the mask is empty.
    """
    height, width = mask.shape[1:]
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    if rows.size == 0:
        return 0, height, 0, width
    return (
        max(int(rows[0]) - margin[0], 0),
        min(int(rows[-1]) + 1 + margin[0], height),
        max(int(columns[0]) - margin[1], 0),
        min(int(columns[-1]) + 1 + margin[1], width),
    )
