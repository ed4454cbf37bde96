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
    edema : ndarray of float32, shape (rows, columns)
    failed : ndarray of bool, shape (rows, columns)
        Where fat suppression failed.
    """

    t2fs: Floats
    t1: Floats
    bones: NDArray[np.bool_]
    edema: Floats
    failed: NDArray[np.bool_]

    @property
    def weight(self) -> Floats:
        """How much each pixel of the middle slice is taught.

        Edema under failed suppression cannot be seen; normal marrow there must not be called edema.
        """
        unseen = np.where(self.edema > 0.1, 0, 0.5)
        return np.where(self.failed, unseen, 1).astype(np.float32)


def smooth_noise(shape: tuple[int, ...], scale_pixels: float, rng: np.random.Generator) -> Floats:
    """Return a random field of unit spread that varies over `scale_pixels`."""
    knots = tuple(max(2, int(np.ceil(n / scale_pixels)) + 1) for n in shape)
    values = torch.from_numpy(rng.standard_normal((1, 1, *knots)).astype(np.float32))
    field = functional.interpolate(values, tuple(shape), mode="bicubic", align_corners=True)
    return field[0, 0].numpy()
