"""Mild edema around a brighter core: drawn whole where the network sees it and T1 agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.contrast import GROW_PROBABILITY, detect
from bmepipe.analysis.faint import LEAST_ALONE, seen_faintly, without_faint_specks
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.marrow import normal_marrow
from bmepipe.study import SequenceClass
from bmepipe.volume import Grid, Volume

CORE_MM, WHOLE_MM = 3.0, 7.0
CENTRE = (20, 28, 7)
MILD, CORE = 140.0, 200.0  # marrow has 100
MILD_T1 = 430.0  # and 500


def skirted(scene, t1_level=MILD_T1):
    """A scene whose lesion is bright in its core alone."""
    made = scene(lesions=((CENTRE, WHOLE_MM),), level=MILD, t1_level=t1_level, noise=3)
    core = scene(lesions=((CENTRE, CORE_MM),)).edema
    data = np.where(core, CORE, made.pair.t2fs.data).astype(np.float32)
    return replace(made, pair=replace(made.pair, t2fs=made.pair.t2fs.with_data(data)))


def network_of(made, likely=0.9):
    sure = np.where(made.edema, likely, 0.0).astype(np.float32)
    return Volume(np.asfortranarray(sure), made.bones.grid)


def found_ml(made, knee, second):
    everything = Volume(made.bones.data > 0, made.bones.grid)
    probability = detect(made.pair, made.bones, knee)
    found = find_lesions(probability, made.pair, made.bones, everything, knee, second)
    return sum(lesion.lesion_ml for lesion in found.lesions)


def test_a_mild_skirt_belongs_to_the_lesion_where_the_network_sees_it(scene, knee) -> None:
    made = skirted(scene)
    truth_ml = made.edema.sum() * made.bones.grid.voxel_ml
    assert 0 < found_ml(made, knee, None) < 0.35 * truth_ml
    assert found_ml(made, knee, network_of(made)) == pytest.approx(truth_ml, rel=0.2)
    assert found_ml(made, knee, network_of(made, 0.4)) < 0.35 * truth_ml


def test_where_t1_speaks_against_water_nothing_is_added(scene, knee) -> None:
    for t1_level, added in ((MILD_T1, 1.0), (500.0, 0.0)):
        made = skirted(scene, t1_level)
        marrow = normal_marrow(made.pair, made.bones, knee)
        rule = np.full(made.edema.shape, GROW_PROBABILITY - 0.1, np.float32)
        seen = seen_faintly(rule, network_of(made).data, marrow, SequenceClass.T2_FS)
        inside = made.edema & marrow.interior
        assert seen[inside].mean() == pytest.approx(added, abs=0.05)
        assert not seen[~inside].any()


def test_without_a_t1_inversion_alone_is_trusted(scene, knee) -> None:
    made = skirted(scene)
    marrow = normal_marrow(replace(made.pair, t1=None), made.bones, knee)
    network = network_of(made).data
    for level, added in ((GROW_PROBABILITY - 0.1, True), (LEAST_ALONE - 0.05, False)):
        rule = np.full(made.edema.shape, level, np.float32)
        assert seen_faintly(rule, network, marrow, SequenceClass.STIR).any() == added
        assert not seen_faintly(rule, network, marrow, SequenceClass.T2_FS).any()


def test_of_small_parts_that_are_mostly_faint_nothing_is_believed(grid: Grid) -> None:
    edema, rule = np.zeros(grid.shape, bool), np.full(grid.shape, 0.3, np.float32)
    edema[2:5, 2:5, 2] = edema[20:23, 2:5, 2] = True  # 15 mm3 each
    edema[40:50, 20:30, 2:4] = True  # 340 mm3
    rule[20:23, 2:5, 2] = 0.9
    kept = without_faint_specks(edema, rule, grid)
    assert not kept[2:5].any()
    np.testing.assert_array_equal(kept[20:], edema[20:])
