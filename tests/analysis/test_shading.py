"""Which series' shading is believed, and that the choice is no sudden one."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.shading import best_shading
from bmepipe.volume import Grid, Volume


def slope(shading, bones) -> float:
    """The logarithm of the shading between the ends of the bones along the first axis."""
    index = np.argwhere(bones.data > 0)
    factor = np.log(shading(index))
    first, last = (index[:, 0] == end for end in (index[:, 0].min(), index[:, 0].max()))
    return float(factor[last].mean() - factor[first].mean())


def seen(made, strength: float) -> tuple[float, float]:
    """What is found of a slope that the fat-suppressed image alone has, and its true size."""
    bones = made.bones
    along = np.linspace(-1, 1, bones.grid.shape[0])[:, None, None]
    signal = made.pair.t2fs.data * np.exp(strength * along)
    ends = along.ravel()[np.flatnonzero((bones.data > 0).any((1, 2)))[[0, -1]]]
    shading = best_shading(signal, made.pair.t1.data, bones, bones.data > 0)
    return slope(shading, bones), strength * float(ends[1] - ends[0])


def test_a_coil_of_its_own_is_followed(scene):
    found, true = seen(scene(lesions=()), 0.4)
    assert found == pytest.approx(true, rel=0.15)


def test_the_choice_is_no_sudden_one(scene):
    made = scene(lesions=())
    shares = [found / true for found, true in (seen(made, s) for s in np.linspace(0.02, 0.3, 15))]
    assert shares[-1] > 0.85
    assert np.abs(np.diff(shares)).max() < 0.5
    assert any(0.15 < share < 0.85 for share in shares)


def test_a_gradient_that_only_the_largest_bone_shows_is_followed():
    # A sacrum under a surface coil: the signal at its end is three times as high.
    rng = np.random.default_rng(2)
    grid = Grid((60, 24, 12), np.diag([2.0, 1.5, 3.0, 1.0]))
    labels = np.zeros(grid.shape, np.uint8)
    for number in range(4):
        labels[:6, 6 * number : 6 * number + 4] = number + 1
    labels[8:, 4:20] = 5
    along = np.clip((np.arange(60) - 15) / 40, 0, 1)[:, None, None]
    t1 = 100 + rng.normal(0, 10, grid.shape)
    t2fs = (20 + rng.normal(0, 3, grid.shape)) * np.exp(1.1 * along)
    bones = Volume(labels, grid)
    factor = best_shading(t2fs, t1, bones, labels > 0)(np.argwhere(labels == 5))
    signal = t2fs[labels == 5] / factor
    low, high = (along + 0 * t2fs)[labels == 5] == 0, (along + 0 * t2fs)[labels == 5] == 1
    assert np.median(signal[high]) / np.median(signal[low]) < 1.3


def test_a_shading_that_makes_bones_unlike_is_not_believed():
    # Fat suppression fails in the large bone towards a small one beside it, which is normal.
    rng = np.random.default_rng(3)
    grid = Grid((64, 24, 12), np.diag([2.0, 1.5, 3.0, 1.0]))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:44, 4:20] = 1
    labels[48:54, 4:20] = 2
    labels[56:62, 4:20] = 3
    failing = np.clip((np.arange(64) - 10) / 32, 0, 1)[:, None, None] * (labels == 1)
    t1 = 400 + rng.normal(0, 20, grid.shape)
    t2fs = (100 + rng.normal(0, 12, grid.shape)) * np.exp(1.2 * failing)
    factor = best_shading(t2fs, t1, Volume(labels, grid), labels > 0)
    signal = {n: t2fs[labels == n] / factor(np.argwhere(labels == n)) for n in (1, 2, 3)}
    normal = np.median(signal[1][failing[labels == 1] == 0])
    for small in (2, 3):
        assert np.median(signal[small]) / normal == pytest.approx(1.0, abs=0.15)
