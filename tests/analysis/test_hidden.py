"""A lesion at the surface of a bone is not taken for what lies beyond it."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.hidden import believed_by_half, may_be_edema
from bmepipe.analysis.likeness import sharpened

SHAPE = (40, 36, 28)


def scan() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """A bone of 20 x 18 x 14 voxels in muscle, edema in its last four voxels to the right.

    The network gives the bone 0.95 and the edema 0.6.
    """
    bone = np.zeros(SHAPE, bool)
    bone[8:28, 8:26, 6:20] = True
    lesion = bone & (np.arange(SHAPE[0]) >= 24)[:, None, None]
    t2fs = np.where(lesion, 220.0, np.where(bone, 100.0, 130.0))
    t1 = np.where(lesion, 300.0, np.where(bone, 400.0, 140.0))
    noise = np.random.default_rng(5).normal(0, 4, (2, *SHAPE))
    found = np.where(lesion, 0.6, np.where(bone, 0.95, 0.02))
    images = [(image + n).astype(np.float32) for image, n in zip((t2fs, t1), noise, strict=True)]
    return lesion, images, np.stack([1 - found, found]).astype(np.float32)


def test_edema_is_told_from_muscle_fluid_and_cortex() -> None:
    lesion, images, probability = scan()
    images[0][0:2], images[1][0:2] = 500.0, 100.0  # fluid
    images[0][2:4], images[1][2:4] = 20.0, 40.0  # cortex
    assert (may_be_edema(probability[1], images) == lesion).mean() > 0.999


def test_one_series_alone_tells_nothing() -> None:
    _, images, probability = scan()
    assert not may_be_edema(probability[1], images[:1]).any()


def test_too_little_bone_tells_nothing() -> None:
    _, images, probability = scan()
    assert not may_be_edema(probability[1] * 0.5, images).any()


def test_what_does_not_look_like_marrow_stays_where_it_may_be_edema() -> None:
    lesion, images, probability = scan()
    inside = np.ones(SHAPE, bool)
    outermost = lesion & (np.arange(SHAPE[0]) >= 27)[:, None, None]
    taken = sharpened(probability, images, inside, 2.5)[1]
    kept = sharpened(probability, images, inside, 2.5, may_be_edema(probability[1], images))[1]
    assert np.mean(taken[outermost] > 0.5) < 0.5
    assert np.mean(kept[outermost] > 0.5) > 0.95
    assert np.abs(kept - taken)[~lesion].max() < 0.2


def test_half_is_enough_for_a_border_there_and_only_there() -> None:
    probability = np.array([0.45, 0.45, 0.6, 0.1]).reshape(4, 1, 1)
    two = np.stack([probability, 0.75 * (1 - probability), 0.25 * (1 - probability)])
    where = np.array([True, False, True, True]).reshape(4, 1, 1)
    new = believed_by_half(two.astype(np.float32), where, 0.65)
    bone = 1 - new[0].ravel()
    assert bone[0] > 0.65
    np.testing.assert_allclose(bone[1:3], [0.55, 0.4], atol=1e-6)
    assert bone[3] > 0.9
    np.testing.assert_allclose(new[1] / new[2], 3, rtol=1e-5)
    np.testing.assert_allclose(new.sum(0), 1, atol=1e-6)
