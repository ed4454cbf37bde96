"""A patch of three slices, and random fields over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Patch:
    """Three slices of a patch: signals, outline and, of the middle one, the truth.

    Parameters
    ----------
    t2fs, t1 : ndarray of float32, shape (slices, rows, columns)
    bones : ndarray of bool, same shape
    edema, weight : ndarray of float32, shape (rows, columns)
    """

    t2fs: Floats
    t1: Floats
    bones: NDArray[np.bool_]
    edema: Floats
    weight: Floats


def smooth_noise(shape: tuple[int, ...], scale_pixels: float, rng: np.random.Generator) -> Floats:
    """Return a random field of unit spread that varies over `scale_pixels`."""
    knots = tuple(max(2, int(np.ceil(n / scale_pixels)) + 1) for n in shape)
    values = torch.from_numpy(rng.standard_normal((1, 1, *knots)).astype(np.float32))
    field = functional.interpolate(values, tuple(shape), mode="bicubic", align_corners=True)
    return field[0, 0].numpy()
