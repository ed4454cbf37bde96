"""Muscle beyond a bone's cortex leaves the outline; marrow, edema and joints stay."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.leak import without_muscle

SPACING_MM = (0.7, 4.0, 0.7)  # slices lie across the second axis
BONE, SACRUM = 3, 2
SHAPE = (110, 3, 96)


def wing(muscle_t1: float = 0.65, edema: bool = False) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return labels and the two series: a wing whose outline runs on into the muscle beside it."""
    x, z = np.indices((SHAPE[0], SHAPE[2])) * 0.7
    within = (np.abs(x - 30) < 8) & (z > 6) & (z < 60)  # the bone, its cortex 1.4 mm thick
    marrow = (np.abs(x - 30) < 6.6) & (z > 7.4) & (z < 58.6)
    taken_in = (x >= 38) & (x < 52) & (z > 10) & (z < 40)
    t1 = np.where(within, 0.1, np.where(x > 38, muscle_t1, 0.5))
    t2fs = np.where(within, 0.1, 0.9)
    t1[marrow], t2fs[marrow] = 1.0, 1.0
    if edema:
        low = marrow & (z < 36)
        t1[low], t2fs[low] = 0.6, 2.5
    labels = np.where(within | taken_in, BONE, 0)
    rng = np.random.default_rng(4)
    series = []
    for image in (t2fs, t1):
        stack = np.repeat(image[:, None], SHAPE[1], axis=1)
        stack = stack * np.array([0.85, 1.0, 1.15])[:, None]  # the coil
        series.append((200 * stack + rng.normal(0, 4, stack.shape)).astype(np.float32))
    return np.repeat(labels[:, None], SHAPE[1], axis=1).astype(np.uint8), series


def sizes(labels: np.ndarray) -> tuple[int, int]:
    """Return the voxels left of the bone, and of the muscle."""
    bone = np.indices(labels.shape)[0] * 0.7 < 38
    return np.count_nonzero(labels[bone] == BONE), np.count_nonzero(labels[~bone] == BONE)


@pytest.mark.parametrize("edema", [False, True])
def test_muscle_beyond_the_cortex_goes_and_the_bone_stays(edema: bool) -> None:
    labels, series = wing(edema=edema)
    bone, muscle = sizes(labels)
    left = sizes(without_muscle(labels, series, SPACING_MM, [BONE]))
    assert left[0] > 0.97 * bone
    assert left[1] < 0.06 * muscle


def test_what_is_as_bright_as_marrow_on_t1_stays() -> None:
    labels, series = wing(muscle_t1=1.0)
    assert (without_muscle(labels, series, SPACING_MM, [BONE]) == labels).all()


def test_a_bone_that_is_not_asked_about_and_a_lone_series_are_left_as_they_are() -> None:
    labels, series = wing()
    assert (without_muscle(labels, series, SPACING_MM, []) == labels).all()
    assert (without_muscle(labels, series[:1], SPACING_MM, [BONE]) == labels).all()


def test_a_part_towards_another_bone_is_not_open_there() -> None:
    labels, series = wing()
    x = np.indices(labels.shape)[0] * 0.7
    labels[(labels == BONE) & (x > 44)] = 0
    labels[(labels == 0) & (x > 46)] = SACRUM  # a joint's width away
    after = without_muscle(labels, series, SPACING_MM, [BONE])
    assert sizes(after)[1] > 0.9 * sizes(labels)[1]


def test_nothing_certain_nothing_removed() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:60, :, 20:60] = BONE
    even = np.full(SHAPE, 100.0, np.float32)
    assert (without_muscle(labels, [even, even], SPACING_MM, [BONE]) == labels).all()
