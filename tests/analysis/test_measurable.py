"""A bone in which no lesion can begin is not measured; what it holds is no lesion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.decide import decide
from bmepipe.analysis.marrow import normal_marrow
from bmepipe.analysis.measurable import unmeasurable, without_unmeasurable
from bmepipe.analysis.measure import measure
from bmepipe.models.detectors import DETECTORS
from bmepipe.pipeline import analyse
from bmepipe.study import Pair
from bmepipe.volume import Volume


def in_slices(made, slices: slice):
    """The scene with its tibia, and the tibia's edema, in some slices only."""
    bones, t2fs = np.array(made.bones.data), np.array(made.pair.t2fs.data)
    gone = (bones == 2) & ~np.isin(np.arange(bones.shape[2]), np.arange(14)[slices])
    bones[gone], t2fs[gone] = 0, 330.0
    pair = replace(made.pair, t2fs=made.pair.t2fs.with_data(t2fs))
    return type(made)(pair, made.bones.with_data(bones), made.edema & (bones > 0))


@pytest.mark.parametrize("detector", ["contrast", "both"])
def test_a_bone_in_two_thick_slices_is_not_measured_as_free_of_edema(scene, knee, detector) -> None:
    made = in_slices(scene(lesions=(((48, 28, 7), 5.0),), cortex=True), slice(6, 8))
    result = analyse(
        made.pair, knee, segment_bones=lambda pair, site: made.bones, detectors=DETECTORS[detector]
    )
    femur, tibia = result.measurements
    assert femur.edema_ml == 0
    assert tibia.bone_ml > 1
    assert tibia.edema_ml is None
    assert "too thin" in tibia.note


def test_a_lesion_of_a_bone_that_is_not_measured_is_a_rejected_candidate(scene, knee) -> None:
    made = scene(lesions=(((20, 28, 7), 6.0), ((48, 28, 7), 6.0)))
    everywhere = Volume(made.bones.data > 0, made.bones.grid)
    marrow = normal_marrow(made.pair, made.bones, knee)
    rule = DETECTORS["contrast"].rule(made.pair, made.bones, knee, marrow)
    found = decide(rule, None, made.pair, made.bones, everywhere, knee, marrow).found
    assert [lesion.bone for lesion in found.lesions] == ["femur", "tibia"]
    found = replace(found, marrow=replace(found.marrow, unjudged=(1,)))

    reasons = unmeasurable(made.pair, made.bones, everywhere, found)
    assert list(reasons) == [1]
    left = without_unmeasurable(found, reasons, made.bones, knee)
    (lesion,) = left.lesions
    assert (lesion.bone, lesion.number) == ("tibia", 1)
    assert set(np.unique(left.lesion_map.data)) == {0, 1}
    assert set(np.unique(made.bones.data[left.edema.data])) == {2}
    assert left.rejected[-1].bone == "femur"
    assert "not measured: too little marrow" in left.rejected[-1].rejected_as
    rows = measure("one", made.pair, made.bones, everywhere, left, knee, reasons)
    assert rows[0].edema_ml is None
    assert rows[1].edema_ml == pytest.approx(lesion.lesion_ml)


def test_of_a_network_alone_the_rule_says_nothing_about_where_to_look(scene, knee) -> None:
    made = scene()
    pair = Pair(made.pair.t2fs, made.pair.t1, made.pair.sequence_class)
    marrow = normal_marrow(pair, made.bones, knee)
    seen = Volume(made.edema.astype(np.float32), made.bones.grid)
    everywhere = Volume(made.bones.data > 0, made.bones.grid)
    found = decide(None, seen, pair, made.bones, everywhere, knee, marrow).found
    assert found.searched is None
    assert unmeasurable(pair, made.bones, everywhere, found) == {}
