from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.candidates import (
    Candidate,
    axes_mm,
    in_end_slice,
    in_plane_radius_mm,
)
from bmepipe.analysis.contrast import detect
from bmepipe.analysis.enclosure import OPEN
from bmepipe.analysis.judge import not_asked
from bmepipe.analysis.lesions import FADED, find_lesions
from bmepipe.analysis.look_alikes import (
    FAINT,
    HAEMANGIOMA,
    PLATE,
    RIM,
    core_looks_like,
    is_plain,
    looks_like,
)
from bmepipe.analysis.parts import hysteresis, thick_parts
from bmepipe.analysis.region import around
from bmepipe.site import load_site
from bmepipe.study import SequenceClass
from bmepipe.volume import Grid, Volume

EDEMA = Candidate(
    volume_mm3=500,
    slice_area_mm2=150.0,
    mean_ratio=3.0,
    peak_ratio=4.0,
    mean_t1_ratio=0.7,
    least_depth=1.1,
    median_depth=4.0,
    greatest_depth=8.0,
    radius=4.0,
    length=14.0,
    width=10.0,
    thickness=8.0,
    outside_ratio=0.6,
)


def found_in(made, knee, assessable=None):
    probability = detect(made.pair, made.bones, knee)
    if assessable is None:
        assessable = Volume(made.bones.data > 0, made.bones.grid)
    return find_lesions(probability, made.pair, made.bones, assessable, knee)


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_a_ball_of_edema_is_one_lesion_of_its_volume(scene, knee):
    made = scene()
    found = found_in(made, knee)
    assert len(found.lesions) == 1
    lesion = found.lesions[0]
    truth_ml = made.edema.sum() * made.bones.grid.voxel_ml
    assert dice(found.edema.data, made.edema) > 0.9
    assert lesion.lesion_ml == pytest.approx(truth_ml, rel=0.1)
    assert lesion.bone == "femur"
    assert lesion.slice_index == 7
    assert lesion.centre_mm == pytest.approx(made.bones.grid.to_world([[20, 28, 7]])[0], abs=0.5)
    assert lesion.t2fs_ratio == pytest.approx(3.6, rel=0.1)
    assert lesion.t1_ratio == pytest.approx(0.7, rel=0.1)
    assert not lesion.touches_edge


@pytest.mark.parametrize(
    ("plain", "but"),
    [
        (True, {}),
        (True, {"mean_t1_ratio": 0.81, "mean_ratio": 2.2}),  # mild
        (False, {"mean_t1_ratio": 0.81, "mean_ratio": 5.0}),  # fat and fluid
        (False, {"mean_t1_ratio": 0.95}),  # marrow
        (False, {"mean_t1_ratio": 0.3}),  # fluid
        (False, {"mean_t1_ratio": None}),
        (False, {"mean_ratio": 1.5}),
        (False, {"radius": 2.0}),  # a growth plate or a vessel
        (False, {"length": 50.0}),
        (False, {"volume_mm3": 300.0}),  # a bent plate
        (False, {"outside_ratio": 1.1, "median_depth": 3.0}),  # fluid beside the outline
        (True, {"outside_ratio": 1.1, "median_depth": 4.0}),  # deeper than an outline errs
        (True, {"outside_ratio": None}),
    ],
)
def test_what_both_series_show_as_water_in_marrow_is_plain(plain, but):
    candidate, rule = replace(EDEMA, **but), load_site("knee").rules["PD-FS"]
    assert is_plain(candidate, rule, SequenceClass.PD_FS, radius_mm=2.4) == plain


@pytest.mark.parametrize(
    ("volume_mm3", "t1_ratio", "radius_mm", "reason"),
    [
        (320.0, 0.95, 2.2, FAINT),  # 0.42 of its ellipsoid: noise
        (700.0, 0.95, 2.2, ""),
        (320.0, 0.85, 2.2, ""),
        (320.0, 0.95, 3.6, ""),  # along an endplate
    ],
)
def test_faint_thin_ragged_spots_not_dark_on_t1_are_noise(volume_mm3, t1_ratio, radius_mm, reason):
    spot = replace(
        EDEMA, volume_mm3=volume_mm3, mean_t1_ratio=t1_ratio, mean_ratio=1.56, peak_ratio=2.2,
        length=23.0, width=9.0, thickness=7.0, radius=radius_mm,
    )  # fmt: skip
    assert looks_like(spot, 20.0) == reason


def test_a_network_has_no_say_about_plain_edema(scene, knee):
    """It has learned from edema at surfaces and joints, and doubts what lies in the middle."""
    made = scene()
    doubt = Volume(np.full(made.bones.grid.shape, 0.005, np.float32), made.bones.grid)
    assessable = Volume(made.bones.data > 0, made.bones.grid)

    def edema_of(made):
        probability = detect(made.pair, made.bones, knee)
        found = find_lesions(probability, made.pair, made.bones, assessable, knee, doubt)
        return found.edema.data

    assert dice(edema_of(made), made.edema) > 0.9
    assert not edema_of(scene(t1_level=440.0)).any()  # of marrow's 500


def test_what_runs_on_into_muscle_without_cortex_is_rejected(scene, knee):
    for cortex, reasons in ((False, [OPEN]), (True, [])):
        made = scene(lesions=(((8, 28, 7), 6.0),), cortex=cortex)
        stir = replace(made.pair, sequence_class=SequenceClass.STIR)
        found = found_in(replace(made, pair=stir), knee)
        assert [one.rejected_as for one in found.rejected] == reasons
        assert len(found.lesions) == cortex


def test_lesions_are_numbered_by_size_within_bones(scene, knee):
    made = scene(lesions=(((20, 28, 7), 3.5), ((48, 28, 7), 5.0)))
    found = found_in(made, knee)
    assert [lesion.bone for lesion in found.lesions] == ["tibia", "femur"]
    assert [lesion.number for lesion in found.lesions] == [1, 2]
    assert found.lesion_map.data.dtype == np.uint16
    assert set(np.unique(found.lesion_map.data)) == {0, 1, 2}


def test_subchondral_edema_touching_the_surface_survives_with_its_rim(scene, knee):
    made = scene(lesions=(((8, 28, 7), 6.0),))
    found = found_in(made, knee)
    assert len(found.lesions) == 1
    truth_ml = made.edema.sum() * made.bones.grid.voxel_ml
    assert found.lesions[0].lesion_ml == pytest.approx(truth_ml, rel=0.15)


def test_healthy_bones_have_none(scene, knee):
    assert not found_in(scene(lesions=()), knee).edema.data.any()


def test_nothing_is_reported_where_it_cannot_be_judged(scene, knee):
    made = scene()
    blind = Volume((made.bones.data > 0) & ~made.edema, made.bones.grid)
    assert not (found_in(made, knee, blind).edema.data & made.edema).any()


def test_fat_that_shines_on_both_is_rejected_with_its_reason(scene, knee):
    found = found_in(scene(t1_level=800.0), knee)
    assert not found.lesions
    assert any(row.rejected_as.startswith("bright on T1") for row in found.rejected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"volume_mm3": 9.0}, "speck"),
        ({"mean_t1_ratio": 1.4}, "bright on T1: fat or haemangioma"),
        (
            {"greatest_depth": 2.4, "median_depth": 1.6, "outside_ratio": 1.6},
            "rim: joint fluid, cartilage or vessel outside the bone",
        ),
        ({"radius": 1.0, "length": 30.0, "width": 4.0, "thickness": 3.0}, "vessel"),
        ({"mean_ratio": 7.0, "mean_t1_ratio": 0.3, "thickness": 13.0}, "cyst"),
        ({"mean_ratio": 5.2, "mean_t1_ratio": 0.57, "thickness": 13.0}, ""),  # intense on PD-FS
        ({"mean_ratio": 1.6, "mean_t1_ratio": 0.95, "radius": 1.5}, "faint"),
        ({"mean_ratio": 1.6, "mean_t1_ratio": 0.95, "radius": 1.5, "joint_distance": 1.0}, ""),
        ({"mean_ratio": 1.6, "mean_t1_ratio": 0.95}, ""),
        ({"mean_ratio": 1.6, "mean_t1_ratio": 0.85, "radius": 1.5}, ""),
    ],
)
def test_each_look_alike_is_called_by_its_name(change, reason):
    assert looks_like(replace(EDEMA, **change), 10.0) == reason


HAEMANGIOMA_FACTS = {"mean_ratio": 2.0, "length": 11.0, "width": 10.0, "thickness": 9.0}
SMALL = {"length": 9.0, "width": 8.0, "thickness": 6.0, "radius": 2.0, "fluid_ratio": 4.2}
TUBE = {"length": 18.0, "width": 6.0, "thickness": 4.0, "radius": 1.7}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.05}, "round and bright on T1: haemangioma"),
        # A cut takes a part of a ball: twice as long as thick is one still.
        (
            {**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.05, "length": 17.0},
            "round and bright on T1: haemangioma",
        ),
        ({**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.05, "length": 19.0}, ""),
        ({**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.05, "in_arch": True}, ""),
        ({**HAEMANGIOMA_FACTS, "mean_t1_ratio": 0.98}, ""),
        (
            {**HAEMANGIOMA_FACTS, "mean_t1_ratio": 0.98, "outside_ratio": None},
            "round and bright on T1: haemangioma",
        ),
        (
            {**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.15, "length": 25.0},
            "",
        ),  # inflammation beside fat
        ({**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.1, "volume_mm3": 80_000.0}, ""),  # a whole joint
        (
            {"mean_ratio": 2.3, "mean_t1_ratio": 1.3, "volume_mm3": 9000.0},
            "bright on T1: fat or haemangioma",
        ),
        (
            {"mean_ratio": 2.3, "mean_t1_ratio": 1.3, "volume_mm3": 9000.0, "joint_distance": 1.0},
            "",
        ),
        # At a joint edema and fat mix; what is mostly fat, or a ball, is none.
        ({"mean_ratio": 1.9, "mean_t1_ratio": 1.3, "length": 25.0, "joint_distance": 1.0}, ""),
        (
            {"mean_ratio": 1.9, "mean_t1_ratio": 1.3, "length": 25.0, "joint_distance": 6.0},
            "bright on T1: fat or haemangioma",
        ),
        (
            {"mean_ratio": 1.9, "mean_t1_ratio": 1.5, "length": 25.0, "joint_distance": 1.0},
            "bright on T1: fat or haemangioma",
        ),
        (
            {**HAEMANGIOMA_FACTS, "mean_t1_ratio": 1.1, "joint_distance": 1.0},
            "round and bright on T1: haemangioma",
        ),
        ({**SMALL, "peak_ratio": 4.5}, "cyst"),
        ({**SMALL, "peak_ratio": 3.8}, ""),
        ({**SMALL, "peak_ratio": 4.5, "fluid_ratio": None}, ""),
        ({**SMALL, "peak_ratio": 4.5, "length": 30.0}, ""),
        (TUBE, ""),  # at the surface
        ({**TUBE, "outside_ratio": None}, "vessel"),
        ({**TUBE, "outside_ratio": None, "radius": 2.4}, ""),
        ({**TUBE, "outside_ratio": None, "radius": 2.4, "pixel_mm": 1.5}, "vessel"),
        ({"mean_ratio": 1.1}, "faint"),
        ({"mean_ratio": 1.3}, ""),
        ({"mean_ratio": 1.3, "mean_t1_ratio": 1.0}, "faint"),
        ({"mean_ratio": 1.3, "mean_t1_ratio": 1.0, "volume_mm3": 2000.0}, ""),
        (
            {"volume_mm3": 5000.0, "length": 70.0, "width": 40.0, "thickness": 6.0},
            "growth plate",
        ),
        ({"volume_mm3": 12000.0, "length": 70.0, "width": 40.0, "thickness": 10.0}, ""),
        ({"mean_ratio": 1.3, "mean_t1_ratio": None}, ""),
        ({"in_end_slice": True}, "in the outermost slice only"),
    ],
)
def test_what_is_told_by_signal_shape_and_place(change, reason):
    assert looks_like(replace(EDEMA, **change), 10.0) == reason
    assert core_looks_like(replace(EDEMA, **change)) == reason


def test_a_core_is_not_asked_for_rims_and_dots():
    assert looks_like(replace(EDEMA, slice_area_mm2=8.0), 10.0).startswith("dot")
    assert core_looks_like(replace(EDEMA, slice_area_mm2=8.0)) == ""


def test_a_core_away_from_the_joint_is_none_even_where_its_skirt_reached_it() -> None:
    far = replace(EDEMA, joint_distance=20.0, mean_t1_ratio=0.95)
    assert core_looks_like(far) == ""
    assert core_looks_like(far, 8.0) == "away from the joint"
    assert core_looks_like(replace(far, joint_distance=2.0), 8.0) == ""


def test_what_is_as_bright_as_fluid_on_average_is_fluid() -> None:
    bright = replace(EDEMA, mean_ratio=4.4, fluid_ratio=4.2, mean_t1_ratio=0.9)
    assert core_looks_like(bright) == "fluid: CSF, vein or cyst"
    assert core_looks_like(replace(bright, mean_ratio=4.0)) == ""
    assert core_looks_like(replace(bright, fluid_ratio=None)) == ""


def test_end_slices_are_those_of_thick_slices():
    thick = Grid((9, 9, 6), np.diag([0.5, 0.7, 4.0, 1]))
    thin = Grid((9, 9, 6), np.diag([0.5, 0.7, 1.0, 1]))
    plane = slice(2, 5), slice(3, 6)
    assert in_end_slice((*plane, slice(5, 6)), thick)
    assert in_end_slice((*plane, slice(0, 1)), thick)
    assert not in_end_slice((*plane, slice(4, 6)), thick)
    assert not in_end_slice((*plane, slice(5, 6)), thin)


def test_candidates_far_from_the_joint_are_rejected_where_the_site_says_so():
    away = replace(EDEMA, joint_distance=20.0, volume_mm3=100.0)
    assert looks_like(away, 10.0, joint_reach_mm=8.0) == "away from the joint"
    assert looks_like(away, 10.0) == ""
    faint = replace(away, volume_mm3=800.0, mean_t1_ratio=1.0)
    assert looks_like(faint, 10.0, joint_reach_mm=8.0) == "away from the joint"
    root = replace(away, volume_mm3=1090.0, mean_t1_ratio=0.85)  # with the fat of its foramen
    assert looks_like(root, 10.0, joint_reach_mm=8.0) == "away from the joint"
    fracture = replace(away, volume_mm3=800.0, mean_t1_ratio=0.7)  # large and dark on T1
    assert looks_like(fracture, 10.0, joint_reach_mm=8.0) == ""
    disc = replace(fracture, of_joint=False)  # in the outline of a vertebra beside the joint
    assert looks_like(disc, 10.0, joint_reach_mm=8.0) == "away from the joint"
    assert looks_like(replace(EDEMA, joint_distance=7.0), 10.0, joint_reach_mm=8.0) == ""


def test_hysteresis_keeps_only_parts_with_a_seed():
    bright = np.zeros((7, 3, 3), bool)
    bright[:2], bright[4:] = True, True
    seeds = np.zeros_like(bright)
    seeds[5, 1, 1] = True
    labels, boxes = hysteresis(bright, seeds)
    assert len(boxes) == 1
    assert (labels > 0).sum() == bright[4:].sum()


def test_axes_of_a_known_ellipsoid():
    i, j, k = np.indices((41, 41, 41)) - 20
    inside = (i / 18) ** 2 + (j / 9) ** 2 + (k * 2 / 12) ** 2 <= 1
    assert axes_mm(np.argwhere(inside), (1.0, 1.0, 2.0)) == pytest.approx((18, 24, 36), rel=0.06)


def test_radius_within_a_slice_ignores_the_slices_beside_it():
    mask = np.zeros((21, 21, 3), bool)
    mask[6:15, 3:18, 1] = True
    grid = Grid(mask.shape, np.diag([0.5, 0.5, 3.0, 1.0]))
    assert in_plane_radius_mm(mask, grid) == pytest.approx(2.5)


def test_dots_in_every_slice_are_vessels_cut_across():
    assert looks_like(replace(EDEMA, slice_area_mm2=8.0), 20).startswith("dot")
    assert looks_like(replace(EDEMA, slice_area_mm2=13.0), 20) == ""


def plate_scene(scene, lesions):
    """A bright plate of 1.6 mm through the femur, with or without a ball of edema on it."""
    made = scene(lesions=lesions)
    plate = np.zeros(made.edema.shape, bool)
    plate[20:22] = True
    plate &= (made.bones.data == 1) & ~made.edema
    data = np.array(made.pair.t2fs.data)
    data[plate] *= 3.6
    return replace(made, pair=replace(made.pair, t2fs=made.pair.t2fs.with_data(data))), plate


def test_a_growth_plate_does_not_take_the_lesion_that_it_meets_with_it(scene, knee):
    made, plate = plate_scene(scene, (((25, 28, 7), 5.0),))
    found = found_in(made, knee)
    assert [row.rejected_as for row in found.rejected] == ["growth plate"]
    assert dice(found.edema.data, made.edema) > 0.8
    assert (found.edema.data & plate).sum() < 0.1 * plate.sum()


def test_a_growth_plate_alone_is_none(scene, knee):
    found = found_in(plate_scene(scene, ())[0], knee)
    assert not found.edema.data.any()
    assert {row.rejected_as for row in found.rejected} == {"growth plate"}


def test_thick_parts_of_a_plate_with_a_knob():
    mask = np.zeros((40, 30, 3), bool)
    mask[20:22, 2:28] = True
    mask[15:27, 10:22] = True
    thick = thick_parts(mask, Grid((40, 30, 3), np.diag([1.0, 1.0, 4.0, 1.0])))
    assert thick[17:25, 12:20].all()
    assert not thick[:, :6].any()


def test_a_candidate_of_which_nothing_is_left_has_a_row(scene, knee, monkeypatch):
    from bmepipe.analysis import lesions

    monkeypatch.setattr(lesions, "without_fringes", lambda bright, *_: np.zeros_like(bright))
    found = found_in(scene(), knee)
    assert not found.lesions
    assert [row.rejected_as for row in found.rejected] == [FADED]


def test_mild_edema_that_the_network_is_sure_of_is_a_lesion(scene, knee):
    made = scene(level=175.0, t1_level=420.0, noise=4)
    bones = made.bones
    everything = Volume(bones.data > 0, bones.grid)
    probability = detect(made.pair, bones, knee)
    alone = find_lesions(probability, made.pair, bones, everything, knee)
    assert not alone.lesions
    sure = np.where(made.edema, 0.9, 0.0).astype(np.float32)
    both = find_lesions(
        probability, made.pair, bones, everything, knee, Volume(np.asfortranarray(sure), bones.grid)
    )
    assert len(both.lesions) == 1
    assert dice(both.edema.data, made.edema) > 0.8


def test_where_a_network_believes_in_it_place_and_shape_are_no_reason(scene) -> None:
    made = scene()
    box = around(made.edema, (0, 0, 0))
    mask = made.edema[box]
    for likely, kind, told in (
        (0.6, SequenceClass.STIR, (RIM, PLATE)),
        (0.2, SequenceClass.STIR, ()),
        (0.6, SequenceClass.T2_FS, ()),
        (0.9, SequenceClass.T2_FS, (RIM, PLATE, HAEMANGIOMA)),
    ):
        network = made.bones.with_data(np.where(made.edema, likely, 0.0).astype(np.float32))
        pair = replace(made.pair, sequence_class=kind)
        assert not_asked(network, mask, box, pair) == told
        beside = not_asked(network, mask, box, pair, at_joint=True)
        assert (FAINT in beside) == (HAEMANGIOMA in beside) == bool(told)
    assert not_asked(None, mask, box, made.pair) == ()


def test_a_look_alike_that_is_not_asked_is_no_reason() -> None:
    rim = replace(EDEMA, greatest_depth=2.0, median_depth=1.0, outside_ratio=2.0)
    assert looks_like(rim, 20.0) == RIM
    assert looks_like(rim, 20.0, but=(RIM,)) == ""
    ball = replace(EDEMA, **HAEMANGIOMA_FACTS, mean_t1_ratio=1.05)
    assert core_looks_like(ball) == HAEMANGIOMA
    assert core_looks_like(ball, but=(HAEMANGIOMA,)) == ""
    assert core_looks_like(replace(ball, mean_t1_ratio=1.3), but=(HAEMANGIOMA,)) != ""


def test_without_a_t1_only_what_fluid_alone_reaches_is_a_cyst() -> None:
    bright = replace(EDEMA, mean_t1_ratio=None, mean_ratio=5.2, peak_ratio=6.0, thickness=10.0)
    small = replace(bright, length=11.0, width=10.0)
    assert looks_like(replace(small, fluid_ratio=8.0), 20.0) == ""
    assert looks_like(replace(small, fluid_ratio=5.5), 20.0) == "cyst"
    assert looks_like(replace(bright, fluid_ratio=5.5), 20.0) == ""  # it holds one
