from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.contrast import above_muscle, detect, muscle_ratio
from bmepipe.analysis.joint import joint_between, joint_line
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.marrow import normal_marrow
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

# Coronal slices stored as left, superior, posterior: 1.2 x 1.2 x 3.3 mm.
GRID = Grid((110, 50, 10), np.array(
    [[-1.2, 0, 0, 66], [0, 0, -3.3, 4], [0, 1.2, 0, -30], [0, 0, 0, 1.0]]))  # fmt: skip
JOINT, RIM = 91, 104  # columns: some 45 and 60 mm left of the middle


def pelvis(lesions=()) -> tuple[Pair, Volume]:
    """One region of bone with a joint on the left, and lesions as (column, row, slice)."""
    rng = np.random.default_rng(1)
    bones = np.zeros(GRID.shape, np.uint8)
    bones[4:106, 4:46, :] = 1
    t1 = np.where(bones > 0, 500.0, 150.0)
    t2fs = np.where(bones > 0, 100.0, 110.0)
    t1[JOINT : JOINT + 2, 6:44, 1:9] = 120
    t1[54:57, 10:40, 2:8] = 120  # a disc remnant in the midline
    for i, j, k in lesions:
        t2fs[i - 4 : i + 4, j - 4 : j + 4, k - 1 : k + 2] = 330
    images = [np.asfortranarray(x + rng.normal(0, 6, x.shape), np.float32) for x in (t2fs, t1)]
    pair = Pair(Volume(images[0], GRID), Volume(images[1], GRID), SequenceClass.STIR)
    return pair, Volume(np.asfortranarray(bones), GRID)


def test_the_line_lies_on_the_joint_and_not_in_the_midline():
    pair, bones = pelvis()
    line = joint_line(pair, bones, normal_marrow(pair, bones, load_site("sacroiliac")))
    assert line[JOINT, 10:40, 3:7].mean() > 0.9
    assert not line[:85].any()
    assert not line[97:].any()


def test_without_t1_there_is_no_line():
    pair, bones = pelvis()
    bare = replace(pair, t1=None)
    site = load_site("sacroiliac")
    assert not joint_line(bare, bones, normal_marrow(bare, bones, site)).any()


def test_edema_beside_the_joint_is_kept_and_edema_elsewhere_rejected_with_its_reason():
    pair, bones = pelvis(lesions=((84, 24, 5), (30, 24, 5)))
    site = load_site("sacroiliac")
    assessable = Volume(bones.data > 0, GRID)
    found = find_lesions(detect(pair, bones, site), pair, bones, assessable, site)
    assert len(found.lesions) == 1
    assert GRID.to_index([found.lesions[0].centre_mm])[0][0] == pytest.approx(83.5, abs=1.5)
    assert [row.rejected_as for row in found.rejected] == ["away from the joint"]


def test_muscle_is_measured_and_raises_the_thresholds_where_marrow_is_black():
    pair, bones = pelvis()
    site = load_site("sacroiliac")
    muscle = muscle_ratio(pair, bones, normal_marrow(pair, bones, site))
    assert muscle == pytest.approx(1.1, rel=0.05)
    rule = site.rules["STIR"]
    assert above_muscle(rule, muscle) == rule
    assert above_muscle(rule, 6.0).seed_ratio == pytest.approx(3.6)
    assert above_muscle(rule, None) == rule


def told_apart(bones: Volume) -> Volume:
    """The region as the network labels it: sacrum in the middle, an ilium on the left."""
    data = bones.data.copy()
    data[data > 0] = 2
    data[JOINT + 2 :][data[JOINT + 2 :] > 0] = 3
    data[JOINT : JOINT + 2] = 0
    return bones.with_data(data)


def test_between_labelled_bones_the_joint_is_where_they_face_each_other():
    _, bones = pelvis()
    line = joint_between(told_apart(bones), [2], [3, 4])
    assert line[JOINT : JOINT + 2, 6:44, 2:8].all()
    assert not line[: JOINT - 5].any()
    assert not line[JOINT + 7 :].any()
    assert not joint_between(bones, [2], [3]).any()


def test_roots_in_the_sacrum_are_away_from_a_joint_between_labelled_bones():
    pair, bones = pelvis(lesions=((84, 24, 5), (66, 24, 5)))
    # Dark on T1 and between marrow, as a root in its foramen: by its look alone a joint line.
    t1 = pair.t1.data.copy()
    t1[70:72, 8:42, 2:8] = 120
    pair = replace(pair, t1=pair.t1.with_data(t1))
    site = load_site("sacroiliac")
    assessable = Volume(bones.data > 0, GRID)
    labelled = told_apart(bones)
    found = find_lesions(detect(pair, labelled, site), pair, labelled, assessable, site)
    assert len(found.lesions) == 1
    assert GRID.to_index([found.lesions[0].centre_mm])[0][0] == pytest.approx(83.5, abs=1.5)
