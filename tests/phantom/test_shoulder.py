"""The phantom of the shoulder: its bones' places and sizes, slices along the scapula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import Anatomy, make_anatomy
from bmepipe.phantom.lesions import REGIONAL
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.shapes import rotation
from bmepipe.phantom.shoulder import PATTERNS
from bmepipe.phantom.shoulder_bones import BONES, PLANE_DEG, bone_distances
from bmepipe.phantom.study import make_phantom
from bmepipe.site import load_site

SEEDS = range(6)
STEP_MM = 3.0


def _bones(anatomy: Anatomy) -> tuple[NDArray, dict[str, NDArray]]:
    half = np.arange(-75.0, 76.0, STEP_MM)
    box = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
    points = box + anatomy.centre_mm
    return points, {name: d < 0 for name, d in anatomy.bones(points).items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_bones_lie_as_in_a_shoulder(seed: int) -> None:
    anatomy = make_anatomy("shoulder", seed)
    points, inside = _bones(anatomy)
    middle = {name: points[held].mean(0) for name, held in inside.items()}
    out = 1 if anatomy.person.side == "R" else -1
    assert out * (middle["humerus"] - middle["scapula"])[0] > 20
    assert out * (middle["humerus"] - middle["clavicle"])[0] > 20
    assert (middle["humerus"] - middle["scapula"])[1] > 10
    assert (middle["clavicle"] - middle["humerus"])[2] > 40
    assert (middle["clavicle"] - middle["scapula"])[1] > 20
    # The acromion roofs the head.
    top = points[inside["humerus"]][:, 2].max()
    assert points[inside["scapula"]][:, 2].max() > top + 8


@pytest.mark.parametrize("seed", SEEDS)
def test_bones_are_of_a_size_and_beneath_the_skin(seed: int) -> None:
    anatomy = make_anatomy("shoulder", seed)
    points, inside = _bones(anatomy)
    volume = {name: held.sum() * STEP_MM**3 / 1000 for name, held in inside.items()}
    assert 60 < volume["humerus"] < 170
    assert 35 < volume["scapula"] < 120
    assert 4 < volume["clavicle"] < 30
    skin = anatomy.body(points)
    assert max(skin[held].max() for held in inside.values()) < -1.5


def test_sizes_of_the_mean_scapula_are_the_published_ones() -> None:
    even = {"plane_deg": 35.0, "rotation_deg": 0.0, "abduct_deg": 4.0, "version_deg": -5.0}
    roof = {"acromion_deg": 0.0, "hook_mm": 1.0, "joint_mm": 3.8, "ac_mm": 2.6}
    person = replace(make_anatomy("shoulder", 0).person, traits=even | roof)
    x, y, z = np.arange(-60, 30, 0.8), np.arange(-50, 45, 0.8), np.arange(-60, 50, 0.8)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).astype(np.float32)
    distances = bone_distances(points, person)
    scapula = points[distances["scapula"] < 0]
    # Lateral to where the spine runs into it.
    acromion = scapula[(scapula[:, 2] > 26) & (scapula[:, 0] > -10)]
    across = scapula[(scapula[:, 2] > 33) & (scapula[:, 0] > -19)]
    face = scapula[(np.abs(scapula[:, 0] + 27) < 4) & (scapula[:, 2] < 18) & (scapula[:, 1] < 18)]
    # Acromion 48 mm long, 22 mm wide; glenoid 29 x 36 mm: von Schroeder et al. 2001.
    assert np.ptp(acromion[:, 1]) == pytest.approx(48, abs=6)
    assert np.ptp(across[:, 0]) == pytest.approx(22, abs=5)
    assert np.ptp(face[:, 1]) == pytest.approx(29, abs=4)
    assert np.ptp(face[:, 2]) == pytest.approx(36, abs=4)


def test_slices_follow_the_scapula_on_either_side() -> None:
    scan = site_protocol("shoulder")
    for side, sign in (("R", 1), ("L", -1)):
        along = scan.for_side(side).directions()[:, 0]
        assert along @ (rotation(2, sign * PLANE_DEG) @ np.float32([-1, 0, 0])) > 0.999
    upright = site_protocol("knee")
    assert upright.for_side("L") == upright


def test_every_pattern_starts_in_its_bone() -> None:
    anatomy = make_anatomy("shoulder", 1)
    inner = dict.fromkeys(BONES, 0)
    person = replace(
        anatomy.person, scale=np.ones(3, np.float32), waves=np.zeros((0, 7), np.float32)
    )
    person.traits.update(plane_deg=PLANE_DEG, rotation_deg=5.0)
    for pattern in PATTERNS:
        for spot in pattern.spots:
            place = np.float32(spot.centre_mm)[None]
            found = anatomy.plan.fields(place, person)
            assert found[f"bone.{spot.bone}"][0] < 4, (pattern.name, spot)
            inner[spot.bone] += 1
    assert min(inner.values()) > 0


def test_growth_plate_of_the_humerus() -> None:
    scan = coarse(site_protocol("shoulder"), 4)
    found = make_phantom("shoulder", 8, healthy=True, confounders=["growth_plate"], protocol=scan)
    plate = found.confounders.data == REGIONAL["growth_plate"]
    label = {bone.name: bone.label for bone in load_site("shoulder").bones}
    assert set(np.unique(found.bones.data[plate])) - {0} == {label["humerus"]}


def test_the_site_lists_the_same_bones() -> None:
    assert tuple(bone.name for bone in load_site("shoulder").bones) == BONES
