"""Which series' shading is believed, and that the choice is no sudden one."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.shading import best_shading


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
