"""The phantom of the ankle: where its bones lie, how large they are, what growing ones show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import Anatomy, make_anatomy
from bmepipe.phantom.ankle_bones import BONES, bone_distances
from bmepipe.phantom.lesions import REGIONAL
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import make_phantom
from bmepipe.site import load_site

SEEDS = range(6)
STEP_MM = 3.0


def _bones(anatomy: Anatomy) -> tuple[NDArray, dict[str, NDArray]]:
    half = np.arange(-75.0, 76.0, STEP_MM)
    box = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
    points = box[np.abs(box[:, 0]) < 50] + anatomy.centre_mm
    return points, {name: d < 0 for name, d in anatomy.bones(points).items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_bones_lie_as_in_a_foot(seed: int) -> None:
    anatomy = make_anatomy("ankle", seed)
    points, inside = _bones(anatomy)
    middle = {name: points[held].mean(0) for name, held in inside.items()}
    out = 1 if anatomy.person.side == "R" else -1
    assert out * (middle["fibula"] - middle["tibia"])[0] > 12
    assert out * (middle["cuboid"] - middle["navicular"])[0] > 12
    assert (middle["tibia"] - middle["talus"])[2] > 25
    assert (middle["talus"] - middle["calcaneus"])[2] > 10
    assert (middle["navicular"] - middle["talus"])[1] > 20
    assert (middle["talus"] - middle["calcaneus"])[1] > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_bones_are_of_a_size_and_beneath_the_skin(seed: int) -> None:
    anatomy = make_anatomy("ankle", seed)
    points, inside = _bones(anatomy)
    volume = {name: held.sum() * STEP_MM**3 / 1000 for name, held in inside.items()}
    assert 20 < volume["talus"] < 55
    assert 30 < volume["calcaneus"] < 90
    assert 5 < volume["navicular"] < 17
    assert 7 < volume["cuboid"] < 22
    skin = anatomy.body(points)
    assert max(skin[held].max() for held in inside.values()) < -1.5


def test_sizes_of_the_mean_talus_are_the_published_ones() -> None:
    person = replace(
        make_anatomy("ankle", 0).person,
        traits={"plantar_deg": 0.0, "heel_deg": 0.0, "arch_deg": 0.0, "joint_mm": 2.6},
    )
    along = np.arange(-60.0, 60.0, 0.8, dtype=np.float32)
    points = np.stack(np.meshgrid(along, along, along[40:110], indexing="ij"), -1)
    talus = points[bone_distances(points, person)["talus"] < 0]
    # Liu et al. 2020: 57.7 x 41.4 x 31.8 mm, the mean of men and women.
    assert np.ptp(talus, axis=0) == pytest.approx([41.4, 57.7, 31.8], rel=0.1)


def test_growth_plates_of_tibia_fibula_and_heel() -> None:
    scan = coarse(site_protocol("ankle"), 4)
    found = make_phantom("ankle", 8, healthy=True, confounders=["growth_plate"], protocol=scan)
    plate = found.confounders.data == REGIONAL["growth_plate"]
    label = {bone.name: bone.label for bone in load_site("ankle").bones}
    assert set(np.unique(found.bones.data[plate])) - {0} == {
        label[name] for name in ("tibia", "fibula", "calcaneus")
    }


def test_the_site_lists_the_same_bones() -> None:
    assert tuple(bone.name for bone in load_site("ankle").bones) == BONES
