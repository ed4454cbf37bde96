"""The phantom of the neck: where its bones lie, how large they are, what bends them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import Anatomy, make_anatomy
from bmepipe.phantom.cervical import PATTERNS
from bmepipe.phantom.cervical_bones import BONES, body_distance, bone_distances
from bmepipe.phantom.cervical_levels import levels
from bmepipe.site import load_site

SEEDS = range(5)
STEP_MM = 2.5


def _bones(anatomy: Anatomy) -> tuple[NDArray, dict[str, NDArray]]:
    half = np.arange(-95.0, 96.0, STEP_MM)
    box = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
    points = box[np.abs(box[:, 0]) < 50] + anatomy.centre_mm
    return points, {name: d < 0 for name, d in anatomy.bones(points).items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_vertebrae_lie_one_below_the_other_and_beneath_the_skin(seed: int) -> None:
    anatomy = make_anatomy("cervical", seed)
    points, inside = _bones(anatomy)
    middle = np.array([points[inside[name]].mean(0) for name in BONES])
    assert (np.diff(middle[:, 2]) < -11).all()
    assert np.ptp(middle[:, 0]) < 18
    volume = {name: held.sum() * STEP_MM**3 / 1000 for name, held in inside.items()}
    assert 9 < volume["C2"] < 24
    for name in ("C3", "C4", "C5", "C6"):
        assert 5 < volume[name] < 15
    assert volume["C5"] < volume["C7"] < volume["C5"] * 1.7
    skin = anatomy.body(points)
    assert max(skin[held].max() for held in inside.values()) < -3


def test_sizes_of_the_mean_vertebrae_are_the_published_ones() -> None:
    level = levels(20.0, 3.5, 0.0)[3]
    along = np.arange(-14.0, 14.0, 0.4, dtype=np.float32)
    local = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1)
    body = local[body_distance(local, level) < 0]
    middle = body[np.abs(body[:, 0]) < 3]
    # Eur J Anat 2020, 24:9-15: 10.9 (1.4) high, 14.8 to 15.6 (2.0) deep, 19.9 (2.4) wide below,
    # 23.2 (2.2) wide above.
    assert np.ptp(middle[:, 2]) == pytest.approx(11.5, abs=1.4)
    assert np.ptp(middle[:, 1]) == pytest.approx(15.2, abs=1.5)
    assert np.ptp(body[body[:, 2] < -1, 0]) == pytest.approx(19.9, abs=1.5)
    assert np.ptp(body[body[:, 2] > 5, 0]) == pytest.approx(23.2, abs=1.5)


def test_the_neck_bends_as_it_is_told() -> None:
    bent, straight = (levels(lordosis, 3.5, 0.2) for lordosis in (30.0, 5.0))
    for spine, angle in ((bent, 30.0), (straight, 5.0)):
        assert spine[5].lean_deg - spine[0].lean_deg == pytest.approx(angle)
    assert bent[6].centre_mm[1] < straight[6].centre_mm[1] - 4
    worn = levels(20.0, 3.5, 0.4)
    assert worn[4].centre_mm[2] > levels(20.0, 3.5, 0.0)[4].centre_mm[2] + 1.5


def test_every_spot_lies_in_its_bone() -> None:
    spine = levels(20.0, 3.5, 0.2)
    for pattern in PATTERNS:
        for spot in pattern.spots:
            found = bone_distances(np.float32([spot.centre_mm]), spine)[spot.bone]
            assert found[0] < -0.4, (pattern.name, spot)


def test_the_site_lists_the_same_bones() -> None:
    named = [bone.name for bone in load_site("cervical").bones]
    # T2 and below are for scans that reach so far, those numbered from the top for scans that do
    # not show where to count from.
    assert tuple(named[: len(BONES)]) == BONES
    assert named[len(BONES) :][:5] == ["T2", "T3", "T4", "T5", "T6"]
