"""How probable each bone is: of several contrasts together, and of more than one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

LEAST_SHARE = 0.05  # of a bone's voxels: what is less is a stray kind, not a part of it


def joined(probability: torch.Tensor) -> torch.Tensor:
    """Return one probability of each label from those of several contrasts.

    Bone is as probable as half the mean and half the surest contrast say: edema can hide a bone on
    the fat-suppressed series, seldom on T1.

    Parameters
    ----------
    probability : Tensor, shape (contrasts, labels + 1, x, y, z)
        0 is background.

    Returns
    -------
    Tensor, shape (labels + 1, x, y, z)
    """
    import torch

    mean = probability.mean(0)
    found, surest = 1 - mean[0], 1 - probability[:, 0].amin(0)
    bone = (found + surest) / 2
    kinds = mean[1:] * (bone / found.clamp(min=1e-6))
    return torch.cat([1 - kinds.sum(0, keepdim=True), kinds])


def probability_of(
    bone: NDArray[np.bool_], kinds: NDArray[np.uint8], probability: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probability of one bone: in its own voxels and the background, 0 in other bones.

    A bone may be of two kinds: the upper end of a sacrum that was half taken for a vertebra is as
    certainly bone as both together.

    Parameters
    ----------
    bone : ndarray of bool, shape (x, y, z)
    kinds : ndarray of uint8, same shape
        The most probable kind, 0 where it is background.
    probability : ndarray of float32, shape (kinds, x, y, z)
    """
    counts = np.bincount(kinds[bone], minlength=len(probability))
    signal = probability[counts > LEAST_SHARE * counts.sum()].sum(0)
    return np.ascontiguousarray(np.where(bone | (kinds == 0), signal, 0), np.float32)
