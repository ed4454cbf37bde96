"""Sharpen a network's probability of bone by what bone looks like in this very scan.

A network that has learned from every contrast at once leaves a margin of doubt around a bone. The
scan itself tells what lies there: signals that are common in the certain bone and rare around it
make a voxel likelier to be bone, and the other way round. Fat looks like marrow and stays in doubt;
muscle, fluid, vessels and cortex do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEVELS = 24  # of each image's signal, equally filled
CORE, AROUND = 0.6, 0.4  # probability above which a voxel teaches bone, below which what is not
NEAR_MM = 20.0  # how far around the bones the surroundings are learned
MOST_LOG_ODDS = 2.0  # that a signal may add or take away: anatomy outweighs it
ROUNDS = 3
SMOOTHING_SD = 0.6  # voxels
LEAST_CORE_VOXELS = 200
KEEP_MM = 4.0  # so far inside its bone nothing is taken away: edema is no likeness of marrow


def sharpened(
    probability: NDArray[np.float32],
    images: Sequence[NDArray[np.float32]],
    inside: NDArray[np.bool_],
    spacing_mm: float,
    spare: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return the probabilities after the signal of bone and surroundings was learned from the scan.

    Parameters
    ----------
    probability : ndarray of float32, shape (kinds + 1, x, y, z)
        0 is background.
    images : sequence of ndarray, shape (x, y, z)
        One or two contrasts without coil shading; two are looked at together.
    inside : ndarray of bool, shape (x, y, z)
        The field of view.
    spacing_mm : float
        Isotropic.
    spare : ndarray of bool, optional
        Where nothing is taken away: edema is no likeness of marrow, as of `hidden.may_be_edema`.

    Returns
    -------
    ndarray of float32, shape (kinds + 1, x, y, z)
        The kinds of bone keep their shares of each voxel.
    """
    bone = 1 - probability[0]
    if np.count_nonzero(bone > CORE) < LEAST_CORE_VOXELS or not images:
        return probability
    levels = _levels(images, inside)
    clipped = np.clip(bone, 1e-3, 1 - 1e-3)
    prior = np.log(clipped / (1 - clipped))
    now = bone
    for _ in range(ROUNDS):
        evidence = ndimage.gaussian_filter(
            _log_odds(levels, now, inside, spacing_mm, len(images)), SMOOTHING_SD
        )
        now = ndimage.gaussian_filter(inside / (1 + np.exp(-(prior + evidence))), SMOOTHING_SD)
    depth = ndimage.distance_transform_edt(bone > 0.5, sampling=spacing_mm)
    kept = depth > KEEP_MM
    if spare is not None:
        kept |= spare
    now = np.where(kept, np.maximum(now, bone), now)
    new = probability * (now / np.maximum(bone, 1e-6))[None]
    new[0] = 1 - new[1:].sum(0)
    return np.ascontiguousarray(new, np.float32)


def _levels(images: Sequence[NDArray[np.float32]], inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the joint level of each voxel's signals, from 0 to LEVELS to the number of images."""
    joint = np.zeros(inside.shape, np.intp)
    for image in images:
        borders = np.quantile(image[inside], np.linspace(0, 1, LEVELS + 1)[1:-1])
        joint = joint * LEVELS + np.digitize(image, borders)
    return joint


def _log_odds(
    levels: NDArray[np.intp],
    bone: NDArray[np.float32],
    inside: NDArray[np.bool_],
    spacing_mm: float,
    count: int,
) -> NDArray[np.float64]:
    """Return how much likelier bone has each voxel's signals than its surroundings have them."""
    reach = max(1, round(NEAR_MM / spacing_mm))
    near = ndimage.binary_dilation(bone > 0.5, iterations=reach) & inside
    taught = (np.where(bone > CORE, bone, 0) * near, np.where(bone < AROUND, 1 - bone, 0) * near)
    shape, size = (LEVELS,) * count, LEVELS**count
    shares = []
    for weight in taught:
        filled = np.bincount(levels.ravel(), weights=weight.ravel(), minlength=size)
        smooth = ndimage.gaussian_filter(filled.reshape(shape), 1.0)
        shares.append(smooth / max(float(smooth.sum()), 1e-9) + 2e-4 / (count * LEVELS))
    odds = np.log(shares[0] / shares[1]).clip(-MOST_LOG_ODDS, MOST_LOG_ODDS)
    return odds.ravel()[levels]
