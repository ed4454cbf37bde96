"""What the edema network is shown: signals in units of normal marrow, and where bone is.

Everything is relative to the bone's own normal marrow, as the contrast rule computes it, so that
scanner, coil and gain drop out, and resampled within the slice to one pixel size, so that a lesion
of some millimetres is as many pixels on every scan. Slices stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.marrow import Marrow, normal_marrow
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

PIXEL_MM = 1.2  # about what a slice of 3 mm blurs an edge to; half the pixel costs four times
CONTEXT_MM = 8.0  # what lies farther outside the bones is not shown
DEPTH_MM = 10.0  # deeper than this is all the same
COARSE_PIXELS = 8  # the reference outside the bones is that of the nearest blocks of bone
CLASS_CODES = {SequenceClass.STIR: -1.0, SequenceClass.T2_FS: 0.0, SequenceClass.PD_FS: 1.0}
Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Scene:
    """A pair as the network sees it, slice first.

    Parameters
    ----------
    t2fs : ndarray of float32, shape (slices, rows, columns)
        Logarithm of the signal's ratio to normal marrow.
    t1 : ndarray of float32, same shape, optional
        Ratio to normal marrow less one.
    bones : ndarray of bool, same shape
    code : float
        Class of the sequence, as of `CLASS_CODES`.
    """

    t2fs: NDArray[np.float32]
    t1: NDArray[np.float32] | None
    bones: NDArray[np.bool_]
    code: float


@dataclass(frozen=True, eq=False)
class Frame:
    """How a scene lies in the volume it was cut from.

    Parameters
    ----------
    grid : Grid
    window : (slice, slice)
        Of the two axes within the slice.
    shape : (int, int)
        Rows and columns of the scene.
    swapped : bool
        Whether the two axes within the slice change places.
    flipped : tuple of int
        Axes of the scene that run backwards.
    """

    grid: Grid
    window: Window
    shape: tuple[int, int]
    swapped: bool = False
    flipped: tuple[int, ...] = ()

    def cut(self, data: NDArray) -> NDArray:
        """Return the volume's window, turned as the scene is."""
        part = np.moveaxis(data, self.grid.slice_axis, 0)[(slice(None), *self.window)]
        return np.flip(part.swapaxes(1, 2) if self.swapped else part, self.flipped)

    def back(self, scene: NDArray) -> NDArray:
        """Return what `cut` gave, turned back."""
        part = np.flip(scene, self.flipped)
        return part.swapaxes(1, 2) if self.swapped else part


def frame_of(bones: Volume) -> Frame:
    """Return the window that holds all bones and their context, at `PIXEL_MM`."""
    grid = bones.grid
    steps_mm = np.delete(np.array(grid.spacing_mm), grid.slice_axis)
    flat = bones.data.max(axis=grid.slice_axis) > 0
    window, shape = [], []
    for axis, step_mm in enumerate(steps_mm):
        used = np.flatnonzero(flat.max(axis=1 - axis))
        low, high = (used[0], used[-1] + 1) if len(used) else (0, flat.shape[axis])
        reach = int(np.ceil(CONTEXT_MM / step_mm))
        part = slice(max(int(low) - reach, 0), min(int(high) + reach, flat.shape[axis]))
        window.append(part)
        shape.append(max(1, round((part.stop - part.start) * step_mm / PIXEL_MM)))
    frame = Frame(grid, (window[0], window[1]), (shape[0], shape[1]))
    swapped, flipped = turned_by_bones(frame.cut(bones.data > 0), (steps_mm[0], steps_mm[1]))
    return replace(
        frame,
        shape=(shape[1], shape[0]) if swapped else frame.shape,
        swapped=swapped,
        flipped=flipped,
    )


def turned_by_bones(
    bones: NDArray[np.bool_], steps_mm: tuple[float, float]
) -> tuple[bool, tuple[int, ...]]:
    """Return whether to swap rows and columns, and which axes to flip then.

    A network does not see the same in a turned image. How files are stored and how the patient lay
    must not matter, so that the bones themselves turn the scene: the longer way down the rows, the
    heavier tail at the end of every axis.
    """
    moments = []
    for axis, step_mm in enumerate((1.0, *steps_mm)):
        others = tuple(n for n in range(3) if n != axis)
        share = bones.sum(axis=others) / max(1, bones.sum())
        away = (np.arange(len(share)) - (share * np.arange(len(share))).sum()) * step_mm
        moments.append([float((share * away**power).sum()) for power in (2, 3)])
    swapped = moments[2][0] > moments[1][0]
    ordered = [moments[0], moments[2], moments[1]] if swapped else moments
    return swapped, tuple(axis for axis in range(3) if ordered[axis][1] < 0)


def make_scene(
    pair: Pair, bones: Volume, site: Site, marrow: Marrow | None = None
) -> tuple[Scene, Frame]:
    """Return what the network is shown of a pair, and where it lies."""
    marrow = marrow or normal_marrow(pair, bones, site)
    frame = frame_of(bones)
    inside = to_scene(frame.cut(bones.data > 0).astype(np.float32), frame) >= 0.5
    return Scene(
        t2fs=to_scene(log_ratio(pair.t2fs.data, marrow.t2fs.centre, frame), frame),
        t1=_t1(pair, marrow, frame),
        bones=inside,
        code=CLASS_CODES[pair.sequence_class],
    ), frame


def _t1(pair: Pair, marrow: Marrow, frame: Frame) -> NDArray[np.float32] | None:
    if pair.t1 is None or marrow.t1 is None:
        return None
    return to_scene(np.exp(log_ratio(pair.t1.data, marrow.t1.centre, frame)) - 1, frame)


def log_ratio(
    signal: NDArray[np.float32], centre: NDArray[np.float32], frame: Frame
) -> NDArray[np.float32]:
    """Return the log of signal over normal marrow in the frame's window, -2 to 3.

    Outside the bones the reference is that of the nearest bone; 0 everywhere where no bone could be
    judged.
    """
    level = frame.cut(centre)
    known = np.isfinite(level) & (level > 0)
    if not known.any():
        return np.zeros(level.shape, np.float32)
    reference = np.where(known, level, spread_out(level, known))
    ratio = np.maximum(frame.cut(signal), 0) / reference
    return np.log(np.clip(ratio, np.exp(-2.0), np.exp(3.0))).astype(np.float32)


def spread_out(level: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the known levels carried to where none is known, from the nearest block of pixels.

    Examples
    --------
    >>> level = np.zeros((1, 8, 16), np.float32)
    >>> level[:, :, :8] = 5
    >>> float(spread_out(level, level > 0)[0, 0, 15])
    5.0
    """
    blocks = [range(0, n, COARSE_PIXELS) for n in level.shape[1:]]
    total = np.where(known, level, 0)
    for axis, starts in enumerate(blocks, start=1):
        total = np.add.reduceat(total, starts, axis=axis)
    count = known.astype(np.float32)
    for axis, starts in enumerate(blocks, start=1):
        count = np.add.reduceat(count, starts, axis=axis)
    mean = total / np.maximum(count, 1)
    nearest = ndimage.distance_transform_edt(
        count == 0, sampling=(4, 1, 1), return_distances=False, return_indices=True
    )
    filled = mean[tuple(nearest)]
    _, rows, columns = level.shape
    fine = filled.repeat(COARSE_PIXELS, axis=1).repeat(COARSE_PIXELS, axis=2)
    return fine[:, :rows, :columns].astype(np.float32)


def to_scene(window: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Return a window of the volume at the scene's pixels, without aliasing."""
    return resized(window, frame.shape)


def from_scene(scene: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Return a scene on the whole grid; 0 outside its window."""
    rows, columns = (part.stop - part.start for part in frame.window)
    grid = frame.grid
    whole = np.zeros(grid.shape, np.float32, order="F")
    fine = resized(scene, (columns, rows) if frame.swapped else (rows, columns))
    np.moveaxis(whole, grid.slice_axis, 0)[(slice(None), *frame.window)] = frame.back(fine)
    return whole


def resized(stack: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return slices at another number of rows and columns, without aliasing."""
    import torch
    import torch.nn.functional as functional

    if stack.shape[1:] == shape:
        return np.ascontiguousarray(stack, np.float32)
    image = torch.from_numpy(np.ascontiguousarray(stack, np.float32))[None]
    resized = functional.interpolate(
        image, shape, mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0].numpy()


def in_plane_depth_mm(bones: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance in mm to the bones' outline within each slice, negative outside.

    Parameters
    ----------
    bones : ndarray of bool, shape (slices, rows, columns)
        At `PIXEL_MM`. In a slice without bone everything is far outside.

    Examples
    --------
    >>> bones = np.zeros((1, 1, 5), bool)
    >>> bones[..., 3:] = True
    >>> (10 * in_plane_depth_mm(bones)[0, 0]).round().astype(int).tolist()
    [-30, -18, -6, 6, 18]
    """
    depth = np.full(bones.shape, -DEPTH_MM, np.float32)
    for number, slice_ in enumerate(bones):
        if slice_.all():
            depth[number] = DEPTH_MM
        elif slice_.any():
            inner = ndimage.distance_transform_edt(slice_)
            outer = ndimage.distance_transform_edt(~slice_)
            depth[number] = np.where(slice_, inner - 0.5, 0.5 - outer) * PIXEL_MM
    return np.clip(depth, -DEPTH_MM, DEPTH_MM)
