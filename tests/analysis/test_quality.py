from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.quality import assess, left_out, suppression_failure, tissue_skewness
from bmepipe.errors import ImplausibleImage
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume


def with_signal(pair: Pair, t2fs=None, t1=None) -> Pair:
    t1_volume = pair.t1 if t1 is None else pair.t1.with_data(np.asarray(t1, np.float32))
    t2fs_volume = pair.t2fs if t2fs is None else pair.t2fs.with_data(np.asarray(t2fs, np.float32))
    return replace(pair, t1=t1_volume, t2fs=t2fs_volume)


def test_a_good_pair_is_all_assessable(scene, knee):
    made = scene()
    assessable, notes = assess(made.pair, made.bones, knee)
    assert (assessable.data == (made.bones.data > 0)).all()
    assert notes == ()


def test_constant_and_not_finite_images_are_refused(scene, knee):
    made = scene()
    with pytest.raises(ImplausibleImage, match="constant 7"):
        assess(with_signal(made.pair, t2fs=np.full(made.edema.shape, 7)), made.bones, knee)
    holed = np.array(made.pair.t1.data)
    holed[3, 3, 3] = np.nan
    with pytest.raises(ImplausibleImage, match="1 that are not"):
        assess(with_signal(made.pair, t1=holed), made.bones, knee)
    flat = np.where(made.bones.data > 0, 5, made.pair.t2fs.data)
    with pytest.raises(ImplausibleImage, match="within the bones"):
        assess(with_signal(made.pair, t2fs=flat), made.bones, knee)


def test_swapped_series_are_refused(scene, knee):
    made = scene()
    t1, t2fs = np.array(made.pair.t1.data), np.array(made.pair.t2fs.data)
    t2fs[40:60, 5:12, 2:5] = 2500.0  # a little fluid, as every joint has
    t1[40:60, 5:12, 2:5] = 120.0
    pair = with_signal(made.pair, t2fs=t2fs, t1=t1)
    assert tissue_skewness(pair.t2fs, made.bones) > tissue_skewness(pair.t1, made.bones)
    assess(pair, made.bones, knee)
    with pytest.raises(ImplausibleImage, match="swapped"):
        assess(with_signal(made.pair, t2fs=t1, t1=t2fs), made.bones, knee)


def test_failed_suppression_is_left_out_and_said(scene, knee):
    made = scene(lesions=())
    fat = np.indices(made.edema.shape)[0] < 8
    fat |= np.indices(made.edema.shape)[1] > 50
    t1 = np.where(fat & (made.bones.data == 0), 520.0, made.pair.t1.data)
    t2fs = np.where(fat & (made.bones.data == 0), 100.0, made.pair.t2fs.data)
    _, notes = assess(with_signal(made.pair, t2fs=t2fs, t1=t1), made.bones, knee)
    assert notes == ()
    failed = (np.indices(made.edema.shape)[0] < 18) & (t1 > 400)
    _, notes = assess(
        with_signal(made.pair, t2fs=np.where(failed, 5 * t2fs, t2fs), t1=t1), made.bones, knee
    )
    assert "fat suppression failed: femur" in notes[0]


def weakly_suppressed(lesion_at_mm: float) -> tuple[Pair, Volume, np.ndarray]:
    """A shaft in fat, suppression failing towards its left end, and a ball of edema somewhere."""
    grid = Grid((120, 50, 16), np.diag([1.0, 1.1, 3.0, 1.0]))
    x, y, z = np.moveaxis(np.indices(grid.shape).T * grid.spacing_mm, -1, 0).transpose(0, 3, 2, 1)
    bones = ((y - 27) ** 2 + (z - 23) ** 2 < 15**2).astype(np.uint8)
    edema = (x - lesion_at_mm) ** 2 + (y - 27) ** 2 + (z - 23) ** 2 < 8**2
    residual = 1 + 3 / (1 + np.exp((x - 30) / 5))
    t1 = np.where(edema, 300.0, 500.0)
    t2fs = np.where(edema, 420.0, 100.0 * residual)
    noise = np.random.default_rng(5).normal(0, 6, (2, *grid.shape))
    pair = Pair(
        Volume(np.asfortranarray(t2fs + noise[0], np.float32), grid),
        Volume(np.asfortranarray(t1 + noise[1], np.float32), grid),
        SequenceClass.PD_FS,
    )
    return pair, Volume(np.asfortranarray(bones), grid), edema


def test_plain_edema_beside_failed_suppression_can_be_judged():
    pair, bones, edema = weakly_suppressed(lesion_at_mm=44.0)
    failed = suppression_failure(pair, bones)
    bone = bones.data > 0
    assert failed[:22][bone[:22]].mean() > 0.95
    assert not failed[70:].any()
    assert failed[edema].mean() < 0.15
    beside = np.zeros(bone.shape, bool)
    beside[edema.any((1, 2))] = True
    assert failed[beside & bone & ~edema].mean() > 2 * failed[edema].mean()


def test_what_shines_where_suppression_failed_is_not_judged():
    pair, bones, edema = weakly_suppressed(lesion_at_mm=16.0)
    failed = suppression_failure(pair, bones)
    assert failed[edema].mean() > 0.95


def test_a_void_is_left_out_and_said(scene, knee):
    made = scene(lesions=())
    t1 = np.array(made.pair.t1.data)
    t1[16:28, 22:34, 6:9] = 5.0
    assessable, notes = assess(with_signal(made.pair, t1=t1), made.bones, knee)
    assert not assessable.data[20:24, 26:30, 7].any()
    assert "signal is lost" in notes[0]


def test_a_bone_cut_by_the_field_is_named(scene, knee):
    made = scene(lesions=())
    labels = np.array(made.bones.data)
    labels[40:50, 20:30, :] = 2
    _, notes = assess(made.pair, Volume(labels, made.bones.grid), knee)
    assert "Cut by the field of view: tibia" in notes[-1]


def test_without_t1_the_missing_check_is_said(scene, knee):
    made = scene(with_t1=False)
    _, notes = assess(made.pair, made.bones, knee)
    assert "Without a T1" in notes[0]


def test_a_little_that_is_left_out_is_not_called_nothing(knee):
    data = np.zeros((30, 30, 10), np.uint8)
    data[2:28, 2:28, 1:9] = 1
    data[2:28, 28:30, 1:9] = 2
    bones = Volume(data, Grid(data.shape, np.diag([0.8, 0.7, 3.0, 1.0])))
    mask = np.zeros(data.shape, bool)
    mask[4:6, 4:6, 2] = True
    mask[2:15, 28:30, 1:9] = True
    told = left_out("signal is lost", mask, bones, knee)
    assert told == "Left out because signal is lost: femur under 1%, tibia 50%."
