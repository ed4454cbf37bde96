from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.contrast import detect
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.measurable import unmeasurable
from bmepipe.analysis.measure import measure
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume


def rows_of(made, knee, assessable=None):
    if assessable is None:
        assessable = Volume(made.bones.data > 0, made.bones.grid)
    probability = detect(made.pair, made.bones, knee)
    found = find_lesions(probability, made.pair, made.bones, assessable, knee)
    reasons = unmeasurable(made.pair, made.bones, assessable, found)
    return measure("one", made.pair, made.bones, assessable, found, knee, reasons)


def test_a_row_per_bone_with_volumes_in_ml(scene, knee):
    made = scene()
    femur, tibia = rows_of(made, knee)
    voxel_ml = 0.8 * 0.7 * 3.0 / 1000
    assert (femur.bone, tibia.bone) == ("femur", "tibia")
    assert femur.bone_ml == pytest.approx((made.bones.data == 1).sum() * voxel_ml)
    assert femur.edema_ml == pytest.approx(made.edema.sum() * voxel_ml, rel=0.1)
    assert femur.edema_percent == pytest.approx(100 * femur.edema_ml / femur.bone_ml)
    assert femur.edema_ml_low <= femur.edema_ml <= femur.edema_ml_high
    assert femur.lesion_count == 1
    assert femur.largest_lesion_ml == pytest.approx(femur.edema_ml)
    assert femur.assessable_percent == 100
    assert (tibia.edema_ml, tibia.lesion_count, tibia.t2fs_ratio) == (0, 0, None)


def test_percent_refers_to_what_could_be_judged(scene, knee):
    made = scene()
    half = (made.bones.data > 0) & (np.indices(made.edema.shape)[1] > 22)
    femur = rows_of(made, knee, Volume(half, made.bones.grid))[0]
    assert femur.assessable_percent < 85
    judged_ml = femur.bone_ml * femur.assessable_percent / 100
    assert femur.edema_percent == pytest.approx(100 * femur.edema_ml / judged_ml)


def test_not_measurable_is_none_with_a_note_and_never_zero(scene, knee):
    made = scene()
    blind = Volume(made.bones.data == 2, made.bones.grid)
    femur = rows_of(made, knee, blind)[0]
    assert femur.edema_ml is None
    assert femur.edema_percent is None
    assert "nothing of the bone can be judged" in femur.note
    assert femur.bone_ml > 0


def test_too_little_marrow_is_not_measured(scene, knee):
    made = scene(lesions=())
    labels = np.array(made.bones.data)
    labels[50:52, 28:30, 7] = 3
    made = type(made)(made.pair, Volume(labels, made.bones.grid), made.edema)
    patella = rows_of(made, knee)[2]
    assert patella.bone == "patella"
    assert patella.edema_ml is None
    assert "too little marrow" in patella.note


def test_a_bone_that_red_marrow_or_edema_may_fill_is_no_silent_zero(scene, knee):
    made = scene(lesions=())
    femur = made.bones.data == 1
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    t2fs[femur] *= 2.3
    t1[femur] *= 0.8
    pair = Pair(made.pair.t2fs.with_data(t2fs), made.pair.t1.with_data(t1), SequenceClass.PD_FS)
    row = rows_of(type(made)(pair, made.bones, made.edema), knee)[0]
    assert row.edema_ml == 0
    assert "PD-FS does not tell" in row.note
