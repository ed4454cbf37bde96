"""A lesion at the surface of a bone is not taken for what lies beyond it."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.hidden import believed_by_half, hidden_bone, may_be_edema
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


def two_bones() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two bones of different kinds with a joint of 4 voxels between; (background, kinds), bright.

    A lesion fills the right third of the first, up to its surface, and hides it.
    """
    first, second = np.zeros((2, 3, *SHAPE), np.float32)
    first[1, 4:16, 6:30, 4:24] = 0.97
    first[2, 20:36, 6:30, 4:24] = 0.97
    second[:] = first
    first[1, 12:16, 8:28, 6:22] = 0.05
    bright = first[1] == np.float32(0.05)
    for probability in (first, second):
        probability[0] = 1 - probability[1:].sum(0)
    return first, second, bright


def test_a_lesion_that_hides_its_bone_is_seen_where_it_is_dimmed() -> None:
    first, second, bright = two_bones()
    hidden = hidden_bone(first, second, bright)
    assert hidden[bright].all()
    assert not hidden[~bright].any()


def test_what_lies_between_two_bones_is_no_lesion() -> None:
    first, second, _ = two_bones()
    joint = np.zeros(SHAPE, bool)
    joint[16:20, 6:30, 4:24] = True
    second[1][joint], second[0][joint] = 0.95, 0.05
    hidden = hidden_bone(first, second, joint)
    assert not hidden.any()


def test_what_was_not_dimmed_is_no_lesion() -> None:
    first, second, bright = two_bones()
    assert not hidden_bone(first, second, np.zeros(SHAPE, bool)).any()
    third = bright & (np.arange(SHAPE[0]) < 14)[:, None, None]
    assert not hidden_bone(first, second, third).any()


def test_a_second_look_that_is_not_sure_tells_nothing() -> None:
    first, second, bright = two_bones()
    second[1][bright], second[0][bright] = 0.85, 0.15
    assert not hidden_bone(first, second, bright).any()


def test_bright_bone_of_which_the_network_was_half_sure_is_certain() -> None:
    first, second, bright = two_bones()
    first[1][bright], first[0][bright] = 0.55, 0.45
    assert hidden_bone(first, second, bright)[bright].all()
