"""Bone's own signal decides in doubt, and anatomy where the signal is no bone's alone."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.likeness import sharpened


def scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A bone of 24 x 20 x 16 voxels at 100, muscle at 40 to its right, fat as bright elsewhere."""
    truth = np.zeros((48, 44, 36), bool)
    truth[12:36, 12:32, 10:26] = True
    signal = np.where(truth, 100.0, 100.0)
    signal[36:] = 40.0
    noise = np.random.default_rng(seed).normal(0, 5, truth.shape)
    found = np.zeros(truth.shape)
    found[14:36, 12:32, 10:26] = 0.9  # two voxels too few on the left, four too many on the right
    found[36:40, 12:32, 10:26] = 0.7
    found[12:14, 12:32, 10:26] = 0.45
    probability = np.stack([1 - found, found]).astype(np.float32)
    return truth, (signal + noise).astype(np.float32), probability, np.ones(truth.shape, bool)


def test_what_does_not_look_like_bone_is_given_back() -> None:
    truth, image, probability, inside = scan()
    new = sharpened(probability, [image], inside, 1.0)
    row = new[1][:, 22, 18]
    assert (row[15:34] > 0.5).all()
    assert (row[38:] < 0.5).all()
    assert abs(np.count_nonzero(new[1] > 0.5) - truth.sum()) < abs(
        np.count_nonzero(probability[1] > 0.5) - truth.sum()
    )


def test_probabilities_stay_probabilities_and_kinds_keep_their_shares() -> None:
    _, image, probability, inside = scan(1)
    three = np.stack([probability[0], probability[1] * 0.75, probability[1] * 0.25])
    new = sharpened(three, [image, image], inside, 2.5)
    assert new.min() >= 0
    np.testing.assert_allclose(new.sum(0), 1, atol=1e-5)
    seen = new[1] > 0.1
    np.testing.assert_allclose(new[2][seen] / new[1][seen], 1 / 3, rtol=1e-4)


def test_edema_deep_in_a_bone_is_not_given_back() -> None:
    _, image, probability, inside = scan(4)
    image[20:27, 19:26, 15:22] = 40.0  # as bright as muscle
    probability[1, 20:27, 19:26, 15:22] = 0.6
    probability[0] = 1 - probability[1]
    new = sharpened(probability, [image], inside, 2.5)
    assert (new[1][20:27, 19:26, 15:22] > 0.5).all()


def test_too_little_bone_teaches_nothing() -> None:
    _, image, probability, inside = scan(2)
    probability[1] *= 0.5
    probability[0] = 1 - probability[1]
    assert sharpened(probability, [image], inside, 2.5) is probability


def test_outside_the_field_of_view_there_is_no_bone() -> None:
    _, image, probability, inside = scan(3)
    inside[:, :16] = False
    probability[1, :, :16] = 0
    probability[0] = 1 - probability[1]
    assert (sharpened(probability, [image], inside, 2.5)[1][:, :14] < 0.05).all()
