from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.filled_bones import bone_signals, relative_quotients
from bmepipe.analysis.marrow import fills_its_slice, joint_labels, normal_marrow
from bmepipe.analysis.reference import present_labels
from bmepipe.analysis.shading import lower_spread, robust_centre
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume


def test_depth_counts_millimetres_along_each_axis():
    mask = np.zeros((5, 5, 5), bool)
    mask[1:4, 1:4, 1:4] = True
    depth = depth_mm(mask, (1.0, 2.0, 5.0))
    assert depth[2, 2, 2] == pytest.approx(2.0)  # two steps of 1 mm to the nearest outside
    assert depth[1, 2, 2] == pytest.approx(1.0)
    assert depth[0, 0, 0] == 0


def test_depth_does_not_count_the_border_of_the_volume():
    mask = np.ones((4, 3, 3), bool)
    mask[0] = False
    assert depth_mm(mask, (2.0, 1.0, 1.0))[3, 0, 0] == pytest.approx(6.0)


def test_centre_and_spread_ignore_a_third_of_edema():
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(100, 10, 20000), rng.normal(300, 60, 10000)]
    centre = robust_centre(values)
    assert centre == pytest.approx(100, abs=3)
    assert lower_spread(values, centre) == pytest.approx(10, abs=1.5)


def test_reference_is_that_of_normal_marrow(scene, knee):
    made = scene()
    marrow = normal_marrow(made.pair, made.bones, knee)
    bone = made.bones.data > 0
    assert np.nanmedian(marrow.t2fs.centre[bone]) == pytest.approx(100, rel=0.04)
    assert np.nanmedian(marrow.t1.centre[bone]) == pytest.approx(500, rel=0.04)
    assert np.median(marrow.t2fs.ratio[made.edema & marrow.interior]) == pytest.approx(3.6, rel=0.1)
    assert np.isnan(marrow.t2fs.centre[~bone]).all()


def test_reference_holds_with_a_third_of_the_bone_edematous(scene, knee):
    made = scene(lesions=(((14, 28, 7), 12.0),))
    share = made.edema[made.bones.data == 1].mean()
    assert 0.3 < share < 0.45
    marrow = normal_marrow(made.pair, made.bones, knee)
    assert np.nanmedian(marrow.t2fs.centre[made.bones.data == 1]) == pytest.approx(100, rel=0.08)


@pytest.mark.parametrize("with_t1", [True, False])
def test_shading_is_followed(scene, knee, with_t1):
    made = scene(shading=0.5, with_t1=with_t1, noise=4)
    marrow = normal_marrow(made.pair, made.bones, knee)
    normal = marrow.interior & ~made.edema
    assert np.std(marrow.t2fs.ratio[normal]) < 0.12  # uncorrected 0.25


def test_margin_is_in_millimetres(scene, knee):
    made = scene(lesions=())
    interior = normal_marrow(made.pair, made.bones, knee).interior
    rim = made.bones.data.copy()
    depth = depth_mm(rim == 1, made.bones.grid.spacing_mm)
    assert not interior[(rim == 1) & (depth <= knee.marrow_margin_mm)].any()


def test_small_bone_borrows_and_lonely_small_bone_is_not_judged(scene, knee):
    made = scene(lesions=())
    labels = np.array(made.bones.data)
    labels[50:52, 28:30, 7] = 3
    marrow = normal_marrow(made.pair, Volume(labels, made.bones.grid), knee)
    assert marrow.borrowed == (3,)
    assert np.isfinite(marrow.t2fs.centre[labels == 3]).all()
    alone = np.where(labels == 3, 3, 0).astype(np.uint8)
    marrow = normal_marrow(made.pair, Volume(alone, made.bones.grid), knee)
    assert marrow.unjudged == (3,)
    assert np.isnan(marrow.t2fs.centre).all()


def test_a_bone_far_brighter_than_its_neighbours_is_judged_by_them(scene, knee):
    made = scene(lesions=())
    labels, signal = np.array(made.bones.data), np.array(made.pair.t2fs.data)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 28)] = 3
    t1 = np.array(made.pair.t1.data)
    signal[labels == 2] *= 2
    t1[labels == 2] *= 0.7  # water in the place of fat
    pair = type(made.pair)(
        made.pair.t2fs.with_data(signal), made.pair.t1.with_data(t1), made.pair.sequence_class
    )
    marrow = normal_marrow(pair, Volume(labels, made.bones.grid), knee)
    assert marrow.borrowed == (2,)
    assert marrow.bright == ()
    assert np.nanmedian(marrow.t2fs.ratio[labels == 2]) == pytest.approx(2, rel=0.15)


def test_a_bright_bone_that_is_not_dark_on_t1_is_judged_by_itself(scene, knee):
    # As a patella under weak suppression: all of it bright, none of it edema.
    made = scene(lesions=())
    labels, signal = np.array(made.bones.data), np.array(made.pair.t2fs.data)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 28)] = 3
    signal[labels == 2] *= 2
    pair = type(made.pair)(made.pair.t2fs.with_data(signal), made.pair.t1, made.pair.sequence_class)
    marrow = normal_marrow(pair, Volume(labels, made.bones.grid), knee)
    assert marrow.borrowed == ()
    assert marrow.bright == (2,)
    own = marrow.t2fs.centre[labels == 2] / np.nanmedian(marrow.t2fs.centre[labels == 1])
    assert np.nanmedian(own) == pytest.approx(2, rel=0.1)


def test_a_voxel_partly_filled_in_a_thick_slice_is_no_interior():
    data = np.ones((30, 2, 5), np.uint8)
    data[1, :, :2] = 0  # the bone begins at the third slice there
    data[2, :, 4] = 2  # and another bone follows here
    thick = fills_its_slice(Volume(data, Grid((30, 2, 5), np.diag([0.5, 0.7, 3.0, 1]))))
    assert thick[0, 0].tolist() == [True] * 5  # the volume's ends are not the bone's
    assert thick[1, 0].tolist() == [False, False, False, True, True]
    assert thick[2, 1].tolist() == [True, True, True, False, False]
    thin = fills_its_slice(Volume(data, Grid((30, 2, 5), np.diag([0.5, 0.7, 1.0, 1]))))
    assert thin.tolist() == (data > 0).tolist()


def test_present_labels_leaves_out_background(scene):
    assert present_labels(scene().bones) == (1, 2)


@pytest.mark.parametrize(("gain", "bright", "borrowed"), [(1.4, (2,), ()), (2.0, (), (2,))])
def test_without_a_t1_only_a_far_brighter_bone_is_judged_by_the_others(
    scene, knee, gain, bright, borrowed
):
    made = scene(lesions=())
    labels, signal = np.array(made.bones.data), np.array(made.pair.t2fs.data)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 28)] = 3
    signal[labels == 2] *= gain
    pair = type(made.pair)(made.pair.t2fs.with_data(signal), None, made.pair.sequence_class)
    marrow = normal_marrow(pair, Volume(labels, made.bones.grid), knee)
    assert (marrow.bright, marrow.borrowed) == (bright, borrowed)


def test_a_bone_that_closes_in_the_last_slice_does_not_fill_it():
    data = np.zeros((20, 20, 6), np.uint8)
    data[4:16, 4:16] = 1
    data[2:6, 17:19] = 2
    data[4:16, 12:16, 5] = 0  # the section of the first shrinks to two thirds, at one end only
    full = fills_its_slice(Volume(data, Grid(data.shape, np.diag([0.5, 0.7, 4.0, 1]))))
    assert not full[..., 5][data[..., 5] == 1].any()
    assert full[..., 0][data[..., 0] == 1].all()
    assert full[..., 5][data[..., 5] == 2].all()


def test_at_a_joint_the_least_bright_bone_is_the_measure(scene, knee):
    # Inflammation of most of a bone, as bright on T1 as the rest: at another site it stands alone.
    made = scene(lesions=())
    signal = np.array(made.pair.t2fs.data)
    signal[made.bones.data == 2] *= 1.5
    pair = type(made.pair)(made.pair.t2fs.with_data(signal), made.pair.t1, made.pair.sequence_class)
    marrow = normal_marrow(pair, made.bones, replace(knee, joint_reach_mm=8.0))
    assert marrow.borrowed == (2,)
    assert np.nanmedian(marrow.t2fs.ratio[made.bones.data == 2]) == pytest.approx(1.5, rel=0.1)
    assert normal_marrow(pair, made.bones, knee).borrowed == ()


@pytest.mark.parametrize(("t1_gain", "t2fs_ratio"), [(1.1, 1.5), (1.6, 1.0)])
def test_at_a_joint_only_what_is_not_bright_on_t1_too_is_water(scene, knee, t1_gain, t2fs_ratio):
    made = scene()
    second = made.bones.data == 2
    pair = replace(
        made.pair,
        t2fs=made.pair.t2fs.with_data(np.where(second, 1.5, 1.0) * made.pair.t2fs.data),
        t1=made.pair.t1.with_data(np.where(second, t1_gain, 1.0) * made.pair.t1.data),
    )
    marrow = normal_marrow(pair, made.bones, replace(knee, joint_reach_mm=8.0))
    for label in (1, 2):  # on T1 each bone is its own measure
        quiet = marrow.interior & (made.bones.data == label) & ~made.edema
        assert np.median(marrow.t1.ratio[quiet]) == pytest.approx(1.0, abs=0.05)
    quiet = marrow.interior & second & ~made.edema
    assert np.median(marrow.t2fs.ratio[quiet]) == pytest.approx(t2fs_ratio, abs=0.1)


def test_a_brighter_bone_of_a_joint_passes_to_the_least_bright_one_by_degrees(scene, knee):
    made = scene(lesions=())
    site = replace(knee, joint_reach_mm=8.0)
    levels = []
    for gain in (1.1, 1.2, 1.26, 1.5):
        signal = np.array(made.pair.t2fs.data)
        signal[made.bones.data == 2] *= gain
        pair = replace(made.pair, t2fs=made.pair.t2fs.with_data(signal))
        marrow = normal_marrow(pair, made.bones, site)
        levels.append(float(np.nanmedian(marrow.t2fs.centre[made.bones.data == 2])))
    assert levels[0] == pytest.approx(110, rel=0.03)  # its own
    assert 1.2 * levels[3] > levels[1] > levels[2] > levels[3]
    assert levels[3] == pytest.approx(100, rel=0.03)  # the other's


def test_a_vertebra_beside_a_joint_is_no_measure_of_its_marrow(scene):
    made = scene(lesions=())
    site = load_site("sacroiliac")
    labels = np.array(made.bones.data)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 28)] = 3
    labels[labels == 1] = 2
    labels[made.bones.data == 2] = 5  # L5, darker than sacrum and ilium
    bones = made.bones.with_data(labels)
    assert joint_labels(site, bones) == (2, 3)
    signal = np.array(made.pair.t2fs.data)
    signal[labels == 5] *= 0.6
    marrow = normal_marrow(replace(made.pair, t2fs=made.pair.t2fs.with_data(signal)), bones, site)
    assert marrow.borrowed == ()
    assert np.nanmedian(marrow.t2fs.ratio[labels == 2]) == pytest.approx(1, rel=0.05)


def test_a_region_whose_bones_are_not_told_apart_is_its_own_measure(scene):
    labels = (scene().bones.data > 0).astype(np.uint8)
    assert joint_labels(load_site("sacroiliac"), scene().bones.with_data(labels)) == (1,)
    assert joint_labels(load_site("knee"), scene().bones) == ()


def test_intense_edema_is_marrow_though_it_is_as_dark_on_t1_as_thin_cortex(scene, knee):
    made = scene()
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    t2fs[made.edema] *= 1.4
    t1[made.edema] *= 0.5 / 0.7
    line = np.zeros(t1.shape, bool)
    line[10:12, 18:38, 7] = True  # 1.6 mm: a physis or a border that fluid shines into
    t2fs[line], t1[line] = 330, 120
    pair = type(made.pair)(
        made.pair.t2fs.with_data(t2fs), made.pair.t1.with_data(t1), made.pair.sequence_class
    )
    marrow = normal_marrow(pair, made.bones, knee)
    deep = depth_mm(made.bones.data > 0, made.bones.grid.spacing_mm) > 2.5
    assert marrow.interior[made.edema & deep].mean() > 0.9
    assert marrow.dark[line & ~made.edema].mean() > 0.8
    fluid = np.where(made.edema, 120, t1).astype(np.float32)
    pair = replace(pair, t1=made.pair.t1.with_data(fluid))
    assert normal_marrow(pair, made.bones, knee).interior[made.edema & deep].mean() < 0.05


def test_what_fills_a_bone_is_dark_on_t1_against_the_others(scene, knee):
    made = scene(lesions=())
    labels = np.array(made.bones.data)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 28)] = 3
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    t2fs[labels == 2] *= 3
    t1[labels == 2] *= 0.7
    pair = type(made.pair)(
        made.pair.t2fs.with_data(t2fs), made.pair.t1.with_data(t1), made.pair.sequence_class
    )
    marrow = normal_marrow(pair, Volume(labels, made.bones.grid), knee)
    assert marrow.borrowed == (2,)
    assert np.nanmedian(marrow.t1.ratio[labels == 2]) == pytest.approx(0.7, rel=0.1)
    assert np.nanmedian(marrow.t1.ratio[labels == 1]) == pytest.approx(1.0, rel=0.05)


def test_edema_of_most_of_a_bone_is_dark_on_t1_against_the_rest_of_it(scene, knee):
    made = scene(lesions=(((47, 28, 7), 6.5),), t1_level=290)
    bone = made.bones.data == 2
    uneven = np.random.default_rng(1).uniform(0.6, 1.4, bone.shape)
    t2fs = np.where(made.edema, made.pair.t2fs.data * uneven, made.pair.t2fs.data)
    t1 = np.where(bone & ~made.edema, made.pair.t1.data * uneven, made.pair.t1.data)
    pair = Pair(
        made.pair.t2fs.with_data(t2fs.astype(np.float32)),
        made.pair.t1.with_data(t1.astype(np.float32)),
        SequenceClass.PD_FS,
    )
    marrow = normal_marrow(pair, made.bones, knee)
    assert 0.5 < made.edema[bone & marrow.interior].mean() < 0.75
    inside = made.edema & marrow.interior
    assert np.nanmedian(marrow.t2fs.ratio[inside]) == pytest.approx(3.6, rel=0.15)
    assert np.nanmedian(marrow.t1.ratio[inside]) == pytest.approx(0.58, rel=0.1)


def test_two_small_bright_bones_do_not_outvote_two_large_ones(scene, knee):
    made = scene(lesions=())
    labels = np.array(made.bones.data)
    half = np.indices(labels.shape)[1] > 28
    labels[(labels == 2) & half] = 4
    labels[(labels == 1) & half] = 3
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    for label, gain in ((2, 2.0), (4, 1.9)):
        t2fs[labels == label] *= gain
        t1[labels == label] *= 0.7
    pair = type(made.pair)(
        made.pair.t2fs.with_data(t2fs), made.pair.t1.with_data(t1), made.pair.sequence_class
    )
    marrow = normal_marrow(pair, Volume(labels, made.bones.grid), knee)
    assert marrow.borrowed == (2, 4)


def test_quotients_are_free_of_what_the_coil_does_to_both_series() -> None:
    grid = Grid((30, 8, 6), np.diag([1.0, 0.8, 3.0, 1.0]))
    bones = np.zeros(grid.shape, np.uint8)
    bones[:12], bones[14:22], bones[25:] = 1, 2, 3
    gain = np.linspace(1, 3, 30, dtype=np.float32)[:, None, None] ** 2
    watery = np.where(bones == 3, 2.0, 1.0).astype(np.float32)
    t1 = 400 * gain + np.zeros(grid.shape, np.float32)
    levels = dict.fromkeys((1, 2, 3), 1.0)
    signals = bone_signals(100 * gain * watery, t1, Volume(bones, grid), bones > 0, levels, levels)
    assert relative_quotients(signals) == pytest.approx({1: 1.0, 2: 1.0, 3: 2.0})


def two_bones(scene, sequence_class, t2fs_gain, t1_gain):
    """A ball cut in two bones, the larger one with other signals."""
    made = scene(lesions=())
    labels = np.where(made.bones.data == 1, 1, 0).astype(np.uint8)
    labels[(labels == 1) & (np.indices(labels.shape)[1] > 31)] = 3
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    t2fs[labels == 1] *= t2fs_gain
    t1[labels == 1] *= t1_gain
    pair = Pair(made.pair.t2fs.with_data(t2fs), made.pair.t1.with_data(t1), sequence_class)
    return pair, Volume(labels, made.bones.grid)


def test_the_larger_of_two_bones_may_be_full_of_edema(scene, knee):
    pair, bones = two_bones(scene, SequenceClass.STIR, 2.1, 0.7)
    marrow = normal_marrow(pair, bones, knee)
    assert marrow.borrowed == (1,)
    assert np.nanmedian(marrow.t2fs.ratio[bones.data == 1]) == pytest.approx(2.1, rel=0.1)
    assert np.nanmedian(marrow.t1.ratio[bones.data == 1]) == pytest.approx(0.7, rel=0.1)


@pytest.mark.parametrize(
    ("sequence_class", "t2fs_gain", "t1_gain"),
    [
        (SequenceClass.STIR, 2.1, 1.0),  # weaker suppression
        (SequenceClass.STIR, 0.91, 0.62),  # red marrow
        (SequenceClass.PD_FS, 1.75, 0.62),  # red marrow, which is bright there
    ],
)
def test_a_bone_of_other_marrow_is_not_full_of_edema(
    scene, knee, sequence_class, t2fs_gain, t1_gain
):
    pair, bones = two_bones(scene, sequence_class, t2fs_gain, t1_gain)
    marrow = normal_marrow(pair, bones, knee)
    assert marrow.borrowed == ()
    told = sequence_class is not SequenceClass.PD_FS  # there it may be mild edema as well
    assert marrow.red_or_filled == (() if told else (1,))


@pytest.mark.parametrize(("gain", "borrowed"), [(2.0, (1,)), (1.4, ())])
def test_without_a_t1_the_larger_of_two_bones_must_be_far_brighter(scene, knee, gain, borrowed):
    pair, bones = two_bones(scene, SequenceClass.STIR, gain, 1.0)
    marrow = normal_marrow(replace(pair, t1=None), bones, knee)
    assert marrow.borrowed == borrowed
    expected = gain if borrowed else 1.0
    assert np.nanmedian(marrow.t2fs.ratio[bones.data == 1]) == pytest.approx(expected, rel=0.1)


def test_the_shading_does_not_follow_a_bone_that_edema_fills_in_part(scene, knee):
    pair, bones = two_bones(scene, SequenceClass.STIR, 3.0, 1.0)
    t2fs = np.array(pair.t2fs.data)
    rest = (bones.data == 1) & (np.indices(t2fs.shape)[0] > 30)
    t2fs[rest] /= 3.0
    alone = Pair(pair.t2fs.with_data(t2fs), None, SequenceClass.STIR)
    ratio = normal_marrow(alone, bones, knee).t2fs.ratio
    assert np.nanmedian(ratio[(bones.data == 1) & ~rest]) == pytest.approx(3.0, rel=0.15)
    assert np.nanmedian(ratio[rest]) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize(
    ("sequence_class", "edematous", "gain", "t1_gain", "judged_by_others"),
    [
        (SequenceClass.STIR, "L4", 1.4, 1.0, True),  # red marrow is dark on T1 already
        (SequenceClass.STIR, "L4", 1.4, 1.25, False),  # fat, or a haemangioma
        (SequenceClass.STIR, "L4", 1.15, 1.0, False),
        (SequenceClass.STIR, "L3", 1.6, 1.0, True),  # the last one in view
        (SequenceClass.STIR, "L3", 1.3, 1.0, False),
        (SequenceClass.T2_FS, "L4", 2.0, 1.0, True),
        (SequenceClass.T2_FS, "L3", 2.0, 1.0, False),  # suppression weakens at the field's end
    ],
)
def test_a_vertebra_brighter_than_its_neighbours_is_judged_by_the_others(
    sequence_class, edematous, gain, t1_gain, judged_by_others
):
    lumbar = load_site("lumbar")
    names = {bone.name: bone.label for bone in lumbar.bones}
    grid = Grid((30, 12, 60), np.diag([1.0, 3.0, -1.0, 1.0]))
    bones = np.zeros(grid.shape, np.uint8)
    rng = np.random.default_rng(3)
    t2fs = 20 + rng.normal(0, 2, grid.shape)
    t1 = 20 + rng.normal(0, 2, grid.shape)
    for place, name in enumerate(("L3", "L4", "L5")):
        body = np.s_[4:26, 2:10, 3 + 19 * place : 18 + 19 * place]
        bones[body] = names[name]
        t2fs[body] += 80 * (gain if name == edematous else 1)
        t1[body] += 300 * (t1_gain if name == edematous else 1)
    volumes = [Volume(v.astype(np.float32), grid) for v in (t2fs, t1)]
    marrow = normal_marrow(Pair(*volumes, sequence_class), Volume(bones, grid), lumbar)
    assert marrow.borrowed == ((names[edematous],) if judged_by_others else ())
