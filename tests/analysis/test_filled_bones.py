"""Which bones edema fills, by the signals of bones that may be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bmepipe.analysis.filled_bones import (
    COMPARED_MM,
    BoneSignal,
    bone_signals,
    filled_bones,
    is_watery,
)
from bmepipe.study import SequenceClass
from bmepipe.volume import Grid, Volume

NORMAL = BoneSignal(100, 60, 400, 0.25, (0.0, 0.0, 0.0))
FULL = BoneSignal(210, 60, 280, 0.75, (0.0, 0.0, 60.0))


def test_a_bone_is_compared_with_those_nearby_alone() -> None:
    """Two coils see two series differently; a sound sacrum looked full beside T11."""
    assert is_watery(FULL, NORMAL, 1.7)
    far = replace(FULL, middle_mm=(0.0, 0.0, COMPARED_MM + 1))
    assert not is_watery(far, NORMAL, 1.7)
    between = replace(NORMAL, middle_mm=(0.0, 0.0, 40.0))
    assert filled_bones({1: NORMAL, 2: far}, SequenceClass.STIR) == ()
    assert filled_bones({1: NORMAL, 2: far, 3: between}, SequenceClass.STIR) == (2,)


def test_the_middle_of_a_bone_is_in_world_coordinates_on_a_turned_grid() -> None:
    affine = np.array([[0, 0, -3.0, 12], [-0.7, 0, 0, 5], [0, 0.8, 0, -9], [0, 0, 0, 1.0]])
    grid = Grid((20, 16, 8), affine)
    bones = np.zeros(grid.shape, np.uint8)
    bones[2:7, 3:8, 1:4] = 1
    signal = np.full(grid.shape, 50, np.float32)
    signals = bone_signals(signal, None, Volume(bones, grid), bones > 0, {1: 50.0}, None)
    np.testing.assert_allclose(signals[1].middle_mm, grid.to_world([[4, 5, 2]])[0])
