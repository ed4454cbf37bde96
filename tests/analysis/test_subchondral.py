"""Faint edema along a joint line: a candidate there and nowhere else, with T1 as its witness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.place import Place
from bmepipe.analysis.reference import Reference
from bmepipe.analysis.subchondral import LEAST_OF_RULE, REACH_MM, faint_at_joint
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

SHAPE = (30, 24, 6)
GRID = Grid(SHAPE, np.diag([-0.8, 0.6, 3.0, 1.0]))  # 1.44 mm3 a voxel
SPOT = (slice(4, 9), slice(5, 9), slice(2, 4))  # 58 mm3
WATER_T1, FAT_T1 = 0.8, 1.1


def faint(
    spot=SPOT,
    *,
    core=0.6,
    skirt=LEAST_OF_RULE + 0.05,
    t1_ratio=WATER_T1,
    joint_mm=2.0,
    told_apart=True,
    sequence_class=SequenceClass.STIR,
    judged=None,
):
    """The candidates where the rule says `skirt` in a spot and `core` in its first voxel."""
    rule = np.full(SHAPE, 0.1, np.float32)
    rule[spot] = skirt
    rule[tuple(s.start for s in spot)] = core
    ones = np.ones(SHAPE, np.float32)
    t1 = None if t1_ratio is None else Reference(ones * t1_ratio, ones, ones)
    marrow = Marrow(ones > 0, Reference(ones, ones, ones), t1)
    place = Place(
        10 * ones, None if joint_mm is None else joint_mm * ones, (2, 3) if told_apart else (1,)
    )
    image = Volume(ones, GRID)
    labels, boxes = faint_at_joint(
        rule,
        np.zeros(SHAPE, bool) if judged is None else judged,
        Pair(image, None if t1 is None else image, sequence_class),
        Volume(np.full(SHAPE, 2, np.uint8), GRID),
        marrow,
        place,
        Volume(ones > 0, GRID),
    )
    assert labels.max() == len(boxes)
    return labels > 0


def test_a_faint_spot_beside_the_joint_is_a_candidate() -> None:
    expected = np.zeros(SHAPE, bool)
    expected[SPOT] = True
    np.testing.assert_array_equal(faint(), expected)


@pytest.mark.parametrize(
    "why",
    [
        {"joint_mm": REACH_MM + 1},
        {"joint_mm": None},
        {"t1_ratio": FAT_T1},
        {"t1_ratio": None},
        {"core": LEAST_OF_RULE + 0.05},
        {"skirt": LEAST_OF_RULE - 0.05},
        {"sequence_class": SequenceClass.PD_FS},
        {"spot": (slice(4, 8), slice(5, 8), slice(2, 4))},  # 35 mm3
    ],
)
def test_what_speaks_against_it(why) -> None:
    assert not faint(**why).any()


def test_the_joint_itself_is_left_out_of_a_region_whose_bones_are_not_told_apart() -> None:
    assert faint(joint_mm=0.5).any()
    assert not faint(joint_mm=0.5, told_apart=False).any()
    assert faint(joint_mm=2.0, told_apart=False).any()


def test_what_was_judged_already_is_not_asked_again() -> None:
    judged = np.zeros(SHAPE, bool)
    judged[8, 8, 3] = True
    assert not faint(judged=judged).any()


def test_lesions_hold_it_at_the_joint_alone(scene) -> None:
    """Two bones that face each other, a faint spot beside their joint and one far from it."""
    at_joint, far = (38, 28, 7), (12, 28, 7)
    made = scene(lesions=((at_joint, 4.0), (far, 4.0)), level=130.0, t1_level=400.0, noise=3)
    bones = made.bones.with_data(np.array([0, 2, 3], np.uint8)[made.bones.data])
    pair = replace(made.pair, sequence_class=SequenceClass.STIR)
    rule = np.where(made.edema, LEAST_OF_RULE + 0.05, 0.1).astype(np.float32)
    for centre in (at_joint, far):
        rule[centre] = 0.6
    everything = Volume(bones.data > 0, bones.grid)
    found = find_lesions(Volume(rule, bones.grid), pair, bones, everything, load_site("sacroiliac"))
    assert {lesion.bone for lesion in found.lesions} == {"ilium_left"}
    assert found.edema.data[at_joint]
    assert not found.edema.data[far]
    assert not (found.edema.data & ~made.edema).any()
    assert not (found.low & ~found.edema.data).any()
    assert found.high[found.edema.data].all()


def test_what_is_faint_beside_a_joint_keeps_the_border_it_has(scene) -> None:
    """Its step is hardly larger than noise: averaged, it would run on into marrow."""
    at_joint = (38, 28, 7)
    made, drawn = (
        scene(lesions=((at_joint, radius_mm),), level=130.0, t1_level=400.0, noise=3)
        for radius_mm in (6.0, 4.0)
    )
    bones = made.bones.with_data(np.array([0, 2, 3], np.uint8)[made.bones.data])
    pair = replace(made.pair, sequence_class=SequenceClass.STIR)
    rule = np.where(drawn.edema, LEAST_OF_RULE + 0.05, 0.1).astype(np.float32)
    rule[at_joint] = 0.6
    everything = Volume(bones.data > 0, bones.grid)
    found = find_lesions(Volume(rule, bones.grid), pair, bones, everything, load_site("sacroiliac"))
    assert found.edema.data[at_joint]
    assert not (found.edema.data & ~drawn.edema).any()
