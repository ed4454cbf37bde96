from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.bodies import (
    between_s1_and_s2,
    half_taken,
    left_over_of_s1,
    split_vertebrae,
    without_next,
)
from bmepipe.analysis.boundary import refine_bones
from bmepipe.analysis.column import CERVICAL, LUMBAR, column_of
from bmepipe.analysis.hip_bone import (
    as_one_bone,
    femoral_heads,
    hip_bone_parts,
    parted_again,
)
from bmepipe.analysis.level_names import name_levels
from bmepipe.analysis.levels import level_notes, right_of_middle, site_bones
from bmepipe.site import load_site
from bmepipe.volume import Grid, Volume

NAMES = {5: "vertebra", 6: "sacrum", 7: "hip_bone"}
STEP_MM = 2.0


def column(count: int = 6, with_sacrum: bool = True) -> np.ndarray:
    """Bodies of 40 x 30 x 24 mm, 34 mm apart, with arches that touch; a sacrum, hip bones aside."""
    kinds = np.zeros((60, 50, 140), np.uint8)
    for n in range(count):
        z = 25 + 17 * n
        kinds[20:40, 25 + n : 40 + n, z : z + 12] = 5
    kinds[28:32, 8 : 25 + count, 25 : 25 + 17 * count] = 5  # 8 mm thin: the arches' row
    if with_sacrum:
        kinds[20:40, 10:30, 4:23] = 6
    kinds[2:12, 10:30, 2:20] = 7
    kinds[46:58, 10:30, 2:20] = 7
    return kinds


def test_levels_are_counted_up_from_the_sacrum() -> None:
    kinds, site = column(), load_site("lumbar")
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    for n, name in enumerate(("L5", "L4", "L3", "L2", "L1", "T12")):
        body = labels[30, 32 + n, 25 + 17 * n + 6]
        assert body == numbers[name], name
    assert labels[30, 20, 10] == numbers["sacrum"]
    assert not labels[kinds == 7].any()  # the lumbar site has no hip bone


def test_levels_are_not_counted_from_a_sacrum_that_may_be_the_end_of_a_vertebra() -> None:
    kinds, site = column(), load_site("lumbar")
    kinds[:, :, :18][kinds[:, :, :18] == 6] = 0  # 10 mm of it are left: a third of a body
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    for n in range(6):
        body = labels[30, 32 + n, 25 + 17 * n + 6]
        assert body == numbers[f"vertebra_{6 - n}"], n
    assert labels[30, 20, 20] == numbers["sacrum"]


def test_every_voxel_of_a_vertebra_goes_to_one_of_them() -> None:
    vertebrae = column() == 5
    bodies = split_vertebrae(vertebrae, STEP_MM)
    assert len(np.unique(bodies)) == 7
    assert (bodies[vertebrae] > 0).all()
    assert not bodies[~vertebrae].any()


def test_a_sliver_of_the_next_vertebra_does_not_hang_on_the_last() -> None:
    bodies = np.zeros((40, 30, 60), np.int32)
    bodies[10:30, 5:20, 8:20] = 1
    bodies[10:30, 5:20, 28:40] = 2
    bodies[26:30, 5:20, 40:45] = 2  # the side of a disc, taken for bone
    bodies[12:30, 5:20, 45:48] = 2  # and what the field shows of the next
    kept = without_next(bodies)
    assert not kept[:, :, 45:].any()
    assert (kept[:, :, :40] == bodies[:, :, :40]).all()
    down = without_next(bodies[:, :, ::-1], CERVICAL)  # the neck's last is its lowest
    assert (down[:, :, ::-1] == kept).all()
    assert (without_next(bodies[:, :, :40]) == bodies[:, :, :40]).all()
    waisted = bodies[:, :, :40].copy()
    waisted[10:12, :, 32:36] = 0  # as bodies are
    assert (without_next(waisted) == waisted).all()
    assert not without_next(np.zeros((4, 4, 4), np.int32)).any()


def test_a_flat_piece_of_s1_taken_for_a_vertebra_joins_the_sacrum() -> None:
    kinds, site = column(), load_site("lumbar")
    numbers = {bone.name: bone.label for bone in site.bones}
    kinds[20:40, 10:30, 17:23] = 0
    kinds[20:40, 10:30, 17:19] = 5  # too flat for a core; a remnant of the disc below it
    kinds[20:40, 10:30, 16:17] = 0
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    assert (labels[21:39, 11:29, 16:19] == numbers["sacrum"]).all()
    assert labels[30, 32, 31] == numbers["L5"]


def test_what_is_far_from_the_sacrum_or_small_is_not_s1s() -> None:
    sacrum, left_over = (np.zeros((30, 30, 40), bool) for _ in range(2))
    sacrum[5:25, 5:25, :10] = True
    left_over[5:25, 5:25, 11:13] = True
    left_over[10:12, 10:12, 15:16] = True
    left_over[5:25, 5:25, 25:28] = True
    found = left_over_of_s1(left_over, sacrum, STEP_MM)
    assert found[:, :, :13].sum() == 800
    assert not found[:, :, 13:].any()
    assert not left_over_of_s1(left_over, np.zeros_like(sacrum), STEP_MM).any()
    free = ~(sacrum | found)
    free[:, :, 10:11][:10] = False  # another bone lies in a part of the gap
    between = between_s1_and_s2(sacrum | found, free, STEP_MM)
    assert between[12:24, 6:24, 10].all()
    assert not between[:10, :, 10].any()
    assert not between[:, :, 14:].any()
    assert not between_s1_and_s2(sacrum, ~sacrum, STEP_MM).any()


def test_without_a_sacrum_no_level_is_guessed() -> None:
    bodies = split_vertebrae(column() == 5, STEP_MM)
    assert name_levels(bodies, np.zeros(bodies.shape, bool), STEP_MM) == {}


def test_a_missing_vertebra_stops_the_names_but_loses_none() -> None:
    """Those beyond one that was not found were left out without a word."""
    kinds, site = column(), load_site("lumbar")
    numbers = {bone.name: bone.label for bone in site.bones}
    kinds[:, :, 57:74] = 0  # the third body from below was not found
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    names = ["L5", "L4", None, "vertebra_3", "vertebra_2", "vertebra_1"]
    for n, name in enumerate(names):
        assert labels[30, 32 + n, 25 + 17 * n + 6] == (numbers[name] if name else 0)
    (note,) = level_notes(Volume(labels, Grid(labels.shape, np.diag([2.0, 2, 2, 1]))), site)
    assert note.startswith("levels unknown above L4: the next vertebra was not found")


def test_the_first_vertebra_above_a_gap_is_not_the_first() -> None:
    kinds, site = column(), load_site("lumbar")
    numbers = {bone.name: bone.label for bone in site.bones}
    kinds[:, :, 24:74] = 0  # what is next above the sacrum is not L5
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbered = {numbers[f"vertebra_{n}"] for n in (1, 2, 3)}
    assert set(np.unique(labels)) == {0, numbers["sacrum"]} | numbered


def test_thoracic_vertebrae_in_view_are_named_too() -> None:
    """T11 and T10 are in most scans of a lumbar spine; they were left out without a word."""
    names = ["L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10"]
    kinds, site = np.zeros((60, 70, 190), np.uint8), load_site("lumbar")
    kinds[20:40, 10:30, 4:23] = 6
    numbers = {bone.name: bone.label for bone in site.bones}
    z, heights = 25, []
    for n in range(8):  # from 40 x 30 x 24 mm, 34 mm apart, to 24 x 22 x 14 mm, 20 mm apart
        wide, deep, high, step = (20, 15, 12, 17) if n < 6 else (12, 11, 7, 10)
        kinds[30 - wide // 2 : 30 + wide // 2, 30 : 30 + deep, z : z + high] = 5
        heights.append(z + high // 2)
        z += step if n != 5 else 15
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    assert [labels[30, 35, height] for height in heights] == [numbers[name] for name in names]


def test_above_the_last_name_nothing_is_named() -> None:
    bodies = split_vertebrae(column(count=6) == 5, STEP_MM)
    lower = np.zeros(bodies.shape, bool)
    lower[20:40, 10:30, 4:23] = True
    short = replace(LUMBAR, names=("L5", "L4", "L3"))
    assert sorted(name_levels(bodies, lower, STEP_MM, short).values()) == ["L3", "L4", "L5"]
    assert sorted(set(name_levels(bodies, lower, STEP_MM).values())) == [
        "L1", "L2", "L3", "L4", "L5", "T12",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("site", "first"), [("lumbar", "L5"), ("cervical", "C3"), ("sacroiliac", "L5")]
)
def test_a_site_shows_its_own_part_of_the_spine(site: str, first: str) -> None:
    shown = column_of(load_site(site))
    assert shown is not None
    assert shown.names[0] == first


def test_right_is_right() -> None:
    kinds, site = column(), load_site("sacroiliac")
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    assert labels[50, 20, 10] == numbers["ilium_right"]  # x runs to the right
    assert labels[5, 20, 10] == numbers["ilium_left"]
    assert labels[30, 32, 31] == numbers["L5"]


def test_without_a_sacrum_the_middle_is_that_of_all_bones() -> None:
    bones = np.zeros((10, 3, 3), bool)
    bones[[1, 8]] = True
    right = right_of_middle(bones, np.zeros_like(bones))
    assert right[8].all()
    assert not right[1].any()


def test_bodies_that_a_narrow_disc_joins_come_apart_where_the_network_is_less_certain() -> None:
    kinds, site = column(), load_site("lumbar")
    certainty = np.full(kinds.shape, 0.99, np.float32)
    kinds[20:40, 27:40, 37:42] = 5  # the disc between L5 and L4 was taken for bone
    certainty[20:40, 27:40, 37:42] = 0.9
    numbers = {bone.name: bone.label for bone in site.bones}
    labels = site_bones(kinds, NAMES, site, STEP_MM, certainty)
    for n, name in enumerate(("L5", "L4", "L3", "L2", "L1", "T12")):
        assert labels[30, 32 + n, 25 + 17 * n + 6] == numbers[name], name
    joined = site_bones(kinds, NAMES, site, STEP_MM)
    assert numbers["T12"] not in joined


def test_two_pieces_of_one_vertebra_share_its_name() -> None:
    kinds, site = column(), load_site("lumbar")
    kinds[20:40, 25:40, 30:32] = 0  # a cleft in the lowest body
    labels = site_bones(kinds, NAMES, site, STEP_MM, np.ones(kinds.shape, np.float32))
    numbers = {bone.name: bone.label for bone in site.bones}
    assert labels[30, 33, 27] == labels[30, 33, 35] == numbers["L5"]
    assert labels[30, 33, 48] == numbers["L4"]


def test_a_piece_of_s1_taken_for_a_vertebra_joins_the_sacrum() -> None:
    kinds, site = column(), load_site("lumbar")
    numbers = {bone.name: bone.label for bone in site.bones}
    kinds[20:40, 10:30, 4:23] = 0
    kinds[20:40, 8:27, 2:21] = 6  # the sacrum without the front of S1
    kinds[24:36, 27:37, 10:21] = 5
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    assert labels[30, 33, 15] == numbers["sacrum"]
    assert labels[30, 32, 31] == numbers["L5"]
    assert labels[30, 33, 48] == numbers["L4"]


def test_a_vertebra_is_not_half_a_sacrum() -> None:
    kinds, site = column(), load_site("lumbar")
    kinds[20:40, 25:32, 25:37] = 6  # the back of L5
    kinds[14:46, 8:30, 4:23] = 6  # a sacrum in full view
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    assert (labels[21:39, 26:39, 26:36] == numbers["L5"]).all()
    assert labels[30, 20, 10] == numbers["sacrum"]


def test_where_little_of_a_sacrum_is_in_view_a_half_is_left_to_it() -> None:
    kinds, site = column(), load_site("lumbar")
    kinds[:, :, :14][kinds[:, :, :14] == 6] = 0  # a body's volume is left: no whole sacrum
    kinds[20:40, 25:32, 25:37] = 6  # so that this body may be S1
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    sacrum = next(bone.label for bone in site.bones if bone.name == "sacrum")
    assert (labels[21:39, 26:31, 26:36] == sacrum).all()


def test_a_sacrum_keeps_what_is_more_than_half_its_own() -> None:
    kinds = column()
    kinds[20:40, 10:16, 4:23] = 5  # a third of the sacrum that was taken for a vertebra
    assert not half_taken(kinds == 5, kinds == 6, STEP_MM).any()
    assert not half_taken(kinds == 5, np.zeros(kinds.shape, bool), STEP_MM).any()


def test_without_a_sacrum_vertebrae_are_numbered_from_the_top() -> None:
    kinds, site = column(count=3, with_sacrum=False), load_site("lumbar")
    labels = site_bones(kinds, NAMES, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    for n, name in enumerate(("vertebra_3", "vertebra_2", "vertebra_1")):
        assert labels[30, 32 + n, 25 + 17 * n + 6] == numbers[name], name
    assert not {numbers["L5"], numbers["L4"], numbers["L3"]} & set(np.unique(labels))


def neck(with_axis: bool = True) -> np.ndarray:
    """C2 with its dens on top, then six bodies of 18 x 16 x 14 mm, 18 mm apart, downwards."""
    kinds = np.zeros((30, 30, 90), np.uint8)
    if with_axis:
        kinds[10:20, 12:20, 70:82] = 9
    for n in range(6):
        z = 60 - 9 * n
        kinds[10:19, 12:20, z : z + 7] = 5
    return kinds


def test_cervical_levels_are_counted_down_from_the_axis() -> None:
    site = load_site("cervical")
    labels = site_bones(neck(), NAMES | {9: "axis"}, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    assert labels[15, 15, 76] == numbers["C2"]
    for n, name in enumerate(("C3", "C4", "C5", "C6", "C7", "T1")):
        assert labels[14, 15, 60 - 9 * n + 3] == numbers[name], name


def test_in_a_small_neck_a_missing_vertebra_is_noticed() -> None:
    """Two of its steps are as long as one of a tall neck: C6 was called C5 without a word."""
    site = load_site("cervical")
    kinds = np.zeros((30, 30, 90), np.uint8)
    kinds[10:20, 12:20, 70:82] = 9
    for n in (0, 1, 3, 4, 5, 6):  # 13 mm apart at a spacing of 2 mm; C5 was not found
        z = 62 - 13 * n // 2
        kinds[10:19, 12:20, z : z + 4] = 5
    labels = site_bones(kinds, NAMES | {9: "axis"}, site, STEP_MM)
    names = {bone.label: bone.name for bone in site.bones}
    found = [names[labels[14, 15, 62 - 13 * n // 2 + 2]] for n in (0, 1, 3, 4, 5, 6)]
    assert found == ["C3", "C4", "vertebra_1", "vertebra_2", "vertebra_3", "vertebra_4"]


def test_without_the_axis_cervical_levels_are_unknown() -> None:
    site = load_site("cervical")
    labels = site_bones(neck(with_axis=False), NAMES | {9: "axis"}, site, STEP_MM)
    numbers = {bone.name: bone.label for bone in site.bones}
    assert labels[14, 15, 63] == numbers["vertebra_1"]
    assert labels[14, 15, 18] == numbers["vertebra_6"]
    bodies = split_vertebrae(neck() == 5, STEP_MM, None, CERVICAL)
    assert name_levels(bodies, np.zeros(bodies.shape, bool), STEP_MM, CERVICAL) == {}


def pelvis(side: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int]]:
    """A head of 24 mm radius with a shaft to one side, in a plate with a notch for it."""
    x, y, z = np.meshgrid(*(np.arange(n) * 2.0 for n in (90, 60, 80)), indexing="ij")
    centre = (90, 60, 90)
    head = (x - 90) ** 2 + (y - 60) ** 2 + (z - 90) ** 2 < 24**2
    shaft = (np.abs(x - 90 - side * 40) < 14) & (np.abs(y - 60) < 14) & (z < 80)
    neck = (np.abs(z - 80 + 0.5 * side * (x - 90)) < 10) & (np.abs(y - 60) < 10)
    neck &= (side * (x - 90) > 0) & (side * (x - 90) < 40)
    ball = (x - 90) ** 2 + (y - 60) ** 2 + (z - 90) ** 2 < 29**2
    plate = (side * (x - 90) < 10) & (side * (x - 90) > -30) & ~ball
    return plate, head | shaft | neck, centre


def test_a_hip_bone_has_three_parts_around_the_head() -> None:
    for side in (1, -1):
        plate, femur, centre = pelvis(side)
        ((middle, shaft_side),) = femoral_heads(plate, femur, 2.0)
        assert np.abs(np.array(middle) * 2 - centre).max() < 3
        assert shaft_side == side
        parts = hip_bone_parts(plate, femur, 2.0)
        assert (sum(part.astype(int) for part in parts.values()) == plate).all()
        assert parts["ilium"][45 - 5 * side, 30, 75]
        assert parts["pubis"][45 - 10 * side, 55, 20]
        assert parts["ischium"][45 - 5 * side, 5, 20]


def test_a_hip_bone_ends_at_the_middle_of_the_body() -> None:
    """The other side's pubis hung on by the symphysis: 58 to 120 mL of pubis instead of 41."""
    for side in (1, -1):
        plate, femur, centre = pelvis(side)
        plate, femur = (np.pad(one, ((60, 60), (0, 0), (0, 0))) for one in (plate, femur))
        x = 60 + round(centre[0] / 2)
        beyond = slice(x - 60, x - 53) if side > 0 else slice(x + 54, x + 61)
        across = np.zeros_like(plate)
        across[min(x, x - 60 * side) : max(x, x - 60 * side), 50:56, 18:22] = True
        parts = hip_bone_parts(plate | across, femur, 2.0)
        found = np.any(list(parts.values()), axis=0)
        assert (across & found)[..., 20].any()
        assert not found[beyond].any()


def test_without_a_head_in_view_all_is_ilium() -> None:
    plate, femur, _ = pelvis(1)
    parts = hip_bone_parts(plate, np.zeros_like(femur), 2.0)
    assert (parts["ilium"] == plate).all()


def test_parts_of_a_hip_bone_are_drawn_as_one_and_meet() -> None:
    """Each drawn for itself they lost a strip along borders that no image shows."""
    rng = np.random.default_rng(5)
    shape, spacing_mm = (60, 50, 12), (0.8, 0.7, 3.5)
    bone = np.zeros(shape, np.uint8)
    bone[8:52, 6:44, 2:10] = 2
    bone[30:52, 6:44, 2:10], bone[30:52, 24:44, 2:10] = 3, 4
    bone[2:6, 6:44, 2:10] = 1  # a femur beside it
    image = np.where(bone > 0, 1.0, 0.3) + rng.normal(0, 0.02, shape)
    apart = refine_bones(bone, [image], spacing_mm)
    one = refine_bones(as_one_bone(bone, (2, 3, 4)), [image], spacing_mm)
    again = parted_again(one, bone, (2, 3, 4), spacing_mm)
    inner = (slice(12, 48), slice(10, 40), slice(3, 9))
    assert (apart[inner] == 0).any()
    assert np.array_equal(again[inner], bone[inner])
    assert set(np.unique(again)) == {0, 1, 2, 3, 4}
    assert parted_again(np.zeros_like(bone), np.zeros_like(bone), (2, 3), spacing_mm).max() == 0
