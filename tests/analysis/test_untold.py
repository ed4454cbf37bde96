"""Without a T1: what rises gradually, lies at the field's end or is a whole bone is not counted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.reference import Reference
from bmepipe.analysis.region import around
from bmepipe.analysis.untold import (
    AT_FIELD_END,
    GRADUAL,
    NOT_DARK,
    WHOLE_BONE,
    border_width_mm,
    untold_parts,
    without_untold,
)
from bmepipe.bones import given_bones
from bmepipe.models.detectors import DETECTORS
from bmepipe.pipeline import analyse
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

SHAPE = (70, 60, 8)
GRID = Grid(SHAPE, np.diag([-0.8, 0.7, 3.0, 1.0]))
MIDDLE, RADIUS_MM, STEP = (35, 30), 12.0, 1.5
WHOLE = np.ones(SHAPE, bool)
DEEP = np.full(SHAPE, 20.0, np.float32)


def ratio_of(edge_mm: float, middle=MIDDLE) -> np.ndarray:
    """Marrow at 1 and a bright column across the slices, its border a Gaussian step."""
    x, y, _ = np.indices(SHAPE)
    away = np.hypot((x - middle[0]) * 0.8, (y - middle[1]) * 0.7) - RADIUS_MM
    return (1 + STEP * (1 - erf(away / edge_mm / np.sqrt(2))) / 2).astype(np.float32)


def judged(
    ratio: np.ndarray,
    *,
    sequence_class=SequenceClass.T2_FS,
    with_t1: bool = False,
    borrowed: tuple[int, ...] = (),
    t1_ratio: float = 1.0,
):
    """What is left of what is brighter than half the step, and the reasons against the rest."""
    ones = np.ones(SHAPE, np.float32)
    signal = Reference(ratio, ones, ones, {1: 2.0, 2: 1.0})
    marrow = Marrow(
        WHOLE, signal, Reference(t1_ratio * ones, ones, ones) if with_t1 else None, borrowed
    )
    image, bones = Volume(ratio, GRID), Volume(ones.astype(np.uint8), GRID)
    pair = Pair(image, image if with_t1 else None, sequence_class)
    edema = ratio > 1 + STEP / 2
    told, rows = without_untold(edema, pair, bones, marrow, DEEP)
    assert not (told & ~edema).any()
    return told, [row[2] for row in rows], untold_parts(rows, pair, bones, marrow)


@pytest.mark.parametrize("edge_mm", [1.0, 2.5, 5.0])
def test_the_width_of_a_blurred_border(edge_mm: float) -> None:
    ratio = ratio_of(edge_mm)
    mask = ratio > 1 + STEP / 2
    box = around(mask, (0, 0, 0))
    width = border_width_mm(mask[box], box, ratio, DEEP, GRID)
    blurred = np.hypot(edge_mm, 1.0)  # by the smoothing as well
    assert width == pytest.approx(1.5 * blurred, rel=0.25)


def test_a_border_at_the_bones_own_surface_has_no_width() -> None:
    ratio = ratio_of(1.0)
    mask = ratio > 1 + STEP / 2
    box = around(mask, (0, 0, 0))
    shallow = depth_mm(mask, GRID.spacing_mm)
    assert border_width_mm(mask[box], box, ratio, shallow, GRID) is None


def test_edema_has_a_border_and_weak_suppression_has_none() -> None:
    told, reasons, untold = judged(ratio_of(2.0))
    assert told.any()
    assert reasons == []
    assert not untold.any()
    told, reasons, untold = judged(ratio_of(7.0))
    assert not told.any()
    assert reasons == [GRADUAL]
    assert untold[35, 30, 4]
    assert not untold[0, 0].any()


def test_what_runs_out_of_the_field_is_not_judged() -> None:
    told, reasons, _ = judged(ratio_of(2.0, (5, 30)))
    assert not told.any()
    assert reasons == [AT_FIELD_END]


def test_a_bone_that_is_brighter_as_a_whole_is_not_judged_even_where_nothing_was_found() -> None:
    _, reasons, untold = judged(ratio_of(2.0), borrowed=(1,))
    assert reasons == [WHOLE_BONE]
    assert untold.all()
    assert judged(np.ones(SHAPE, np.float32), borrowed=(1,))[2].all()
    assert not judged(np.ones(SHAPE, np.float32), borrowed=(3,))[2].any()  # too little marrow


def test_with_a_t1_what_runs_out_of_the_field_must_be_as_dark_there_as_water() -> None:
    """Shafts of a real knee, 3.5 and 6.1 times marrow, had 0.94 and 0.74 on T1."""
    leaving = ratio_of(2.0, (5, 30))
    for ratio, t1_ratio in ((leaving, 0.86), (1 + 6 * (leaving - 1), 0.74)):
        told, reasons, untold = judged(ratio, with_t1=True, t1_ratio=t1_ratio)
        assert not told.any()
        assert reasons == [NOT_DARK]
        assert untold[5, 30, 4]
    told, reasons, _ = judged(leaving, with_t1=True, t1_ratio=0.75)
    assert told.any()
    assert reasons == []


@pytest.mark.parametrize(
    "how",
    [{"with_t1": True, "t1_ratio": 0.75}, {"sequence_class": SequenceClass.STIR}],
    ids=["T1", "STIR"],
)
def test_a_t1_or_inversion_leaves_all_to_the_rules(how) -> None:
    for ratio in (ratio_of(7.0), ratio_of(2.0, (5, 30))):
        told, reasons, untold = judged(ratio, borrowed=(1,), **how)
        np.testing.assert_array_equal(told, ratio > 1 + STEP / 2)
        assert reasons == []
        assert not untold.any()


def test_a_run_leaves_it_out_and_says_so(knee) -> None:
    """A bone 60 mm long that brightens over centimetres, and the same with a sharp lesion."""
    grid = Grid((100, 60, 8), np.diag([-0.8, 0.7, 3.0, 1.0]))
    x, y, _ = np.indices(grid.shape)
    inside = (abs(x - 50) < 38) & (abs(y - 30) < 22)
    bones = Volume(np.asfortranarray(inside.astype(np.uint8)), grid)
    away = np.hypot((x - 65) * 0.8, (y - 30) * 0.7)
    rng = np.random.default_rng(5)
    results = []
    for excess in (2.0 * np.exp(-0.5 * (away / 9.0) ** 2), 2.0 * (away < 7.0)):
        signal = np.where(inside, 100 * (1 + excess), 20.0) + rng.normal(0, 6, grid.shape)
        pair = Pair(Volume(signal.astype(np.float32), grid), None, SequenceClass.T2_FS)
        finder, rule = given_bones(bones), DETECTORS["contrast"]
        results.append(analyse(pair, knee, segment_bones=finder, detectors=rule))
    fading, lesion = results
    truth_ml = np.count_nonzero(away < 7.0) * grid.voxel_ml
    assert lesion.measurements[0].edema_ml == pytest.approx(truth_ml, rel=0.2)
    assert lesion.measurements[0].assessable_percent == 100
    assert fading.measurements[0].edema_ml == 0
    assert fading.measurements[0].assessable_percent < 95
    assert any("without a T1: femur" in note for note in fading.notes)
    assert GRADUAL in {row.rejected_as for row in fading.rejected}


def test_a_bone_that_is_bright_as_a_whole_has_no_volume_and_the_reason_in_its_row(knee) -> None:
    """Three bones beside each other, the last twice as bright."""
    grid = Grid((90, 60, 8), np.diag([-0.8, 0.7, 3.0, 1.0]))
    x, y, _ = np.indices(grid.shape)
    inside = (x % 30 > 3) & (x % 30 < 27) & (abs(y - 30) < 22)
    bones = Volume(np.asfortranarray(np.where(inside, x // 30 + 1, 0).astype(np.uint8)), grid)
    signal = np.where(inside, np.array([100.0, 110.0, 220.0])[x // 30], 20.0)
    signal += np.random.default_rng(5).normal(0, 6, grid.shape)
    for kind, measured in ((SequenceClass.PD_FS, False), (SequenceClass.STIR, True)):
        pair = Pair(Volume(signal.astype(np.float32), grid), None, kind)
        finder, rule = given_bones(bones), DETECTORS["contrast"]
        *others, patella = analyse(pair, knee, segment_bones=finder, detectors=rule).measurements
        assert all(row.edema_ml == 0 for row in others)
        assert (patella.edema_ml is not None) == measured
        assert (patella.note == WHOLE_BONE) != measured
