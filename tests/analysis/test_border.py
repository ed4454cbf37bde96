from __future__ import annotations

import numpy as np

from bmepipe.analysis.border import (
    FAINT_MM,
    FAINT_PROBABILITY,
    SPLINTER_MM3,
    completed,
    pieces_by_bone,
    widened,
    without_splinters,
)
from bmepipe.analysis.contrast import detect
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.reference import Reference
from bmepipe.volume import Grid, Volume

GRID = Grid((40, 12, 5), np.diag([0.5, 0.8, 3.0, 1.0]))


def test_faint_marrow_joins_within_its_reach_in_mm_and_never_outside_the_bone() -> None:
    bones = np.zeros(GRID.shape, np.uint8)
    bones[:30] = 1
    edema = np.zeros(GRID.shape, bool)
    edema[18:22, 5, 2] = True
    probability = np.full(GRID.shape, FAINT_PROBABILITY + 0.01, np.float32)
    probability[:14] = 0
    ones = np.ones(GRID.shape, np.float32)
    t1 = np.ones(GRID.shape, np.float32)
    t1[24] = 0.3  # cortex
    marrow = Marrow(
        bones > 0, Reference(ones, ones, ones), Reference(t1, ones, ones), dark=t1 < 0.5
    )
    volumes = (Volume(a, GRID) for a in (probability, bones, bones > 0))
    wide = widened(edema, *volumes, marrow)
    assert wide[14:24, 5, 2].all()
    assert not wide[:14].any()
    assert not wide[24].any()
    assert not wide[22 + round(FAINT_MM / 0.5) :].any()
    assert not wide[:, :, [1, 3]].any()  # the next slices are 3 mm away


def noisy_lesion(t1_ratio: float = 0.85) -> tuple[Marrow, Volume, np.ndarray]:
    """A mild lesion of 1.4 times marrow in noise of 0.12: the marrow, all bone, the lesion."""
    lesion = np.zeros(GRID.shape, bool)
    lesion[10:26, 2:10, 1:4] = True
    rng = np.random.default_rng(5)
    ratio = (np.where(lesion, 1.4, 1.0) + rng.normal(0, 0.12, lesion.shape)).astype(np.float32)
    t1 = np.where(lesion, t1_ratio, 1.0).astype(np.float32)
    ones = np.ones(GRID.shape, np.float32)
    marrow = Marrow(lesion | True, Reference(ratio, ones, ones), Reference(t1, ones, ones))
    return marrow, Volume(lesion | True, GRID), lesion


def test_what_noise_leaves_out_of_a_mild_lesion_is_completed() -> None:
    marrow, bone, lesion = noisy_lesion()
    ragged = lesion & (marrow.t2fs.ratio > 1.4)
    nothing = np.zeros(GRID.shape, bool)
    whole = completed(ragged, nothing, bone, marrow, 0.55)
    assert ragged[lesion].mean() < 0.6
    assert whole[lesion].mean() > 0.8
    assert whole[~lesion].mean() < 0.05
    assert not completed(nothing, nothing, bone, marrow, 0.55).any()


def test_a_lesion_is_completed_in_marrow_that_t1_and_other_candidates_leave_to_it() -> None:
    marrow, bone, lesion = noisy_lesion()
    ragged = lesion & (marrow.t2fs.ratio > 1.4)
    half = np.indices(GRID.shape)[0] < 18
    judged = Volume(~half, GRID)
    fatty, _, _ = noisy_lesion(t1_ratio=1.2)
    for whole in (
        completed(ragged, half, bone, marrow, 0.55),
        completed(ragged, half & False, judged, marrow, 0.55),
    ):
        assert (whole & half).sum() == (ragged & half).sum()
        assert (whole & ~half).sum() > (ragged & ~half).sum()
    assert (completed(ragged, half & False, bone, fatty, 0.55) == ragged)[8:28, 3:9].mean() > 0.95


def test_a_lesion_is_completed_within_its_reach_in_mm_alone() -> None:
    marrow, bone, lesion = noisy_lesion()
    seed = lesion & (np.indices(GRID.shape)[0] < 14)
    whole = completed(seed, lesion & False, bone, marrow, 0.55)
    assert whole[14:19, 4:8, 1:4].mean() > 0.9  # up to 3 mm in voxels of 0.5 mm
    assert not whole[20:].any()


def test_a_crumb_that_was_cut_off_a_lesion_is_none_of_its_own() -> None:
    grid = Grid((40, 40, 8), np.diag([0.5, 0.8, 3.0, 1.0]))  # 1.2 mm3 a voxel
    edema = np.zeros(grid.shape, bool)
    edema[2:22, 2:22, 2:6] = True  # 1920 mm3
    edema[24:28, 2:7, 2] = True  # 24 mm3, of the same candidate
    edema[24:28, 10:20, 2:5] = True  # 144 mm3, of the same candidate: a lesion beside it
    edema[34:37, 30:36, 3] = True  # 22 mm3, alone
    candidates = edema.copy()
    candidates[2:28, 2:22, 2:6] = True
    kept = without_splinters(edema, candidates, grid)
    crumb = np.zeros(grid.shape, bool)
    crumb[24:28, 2:7, 2] = True
    assert crumb.sum() * 1.2 < SPLINTER_MM3
    np.testing.assert_array_equal(kept, edema & ~crumb)
    # Beside a lesion hardly larger than itself, a small one is no crumb.
    small = np.zeros(grid.shape, bool)
    small[2:6, 2:6, 2], small[8:12, 2:6, 2] = True, True
    assert (without_splinters(small, np.ones(grid.shape, bool), grid) == small).all()
    assert not without_splinters(small & False, candidates, grid).any()


def test_low_best_and_high_drawings_hold_each_other(scene, knee):
    made = scene()
    sure = Volume(made.bones.data > 0, made.bones.grid)
    found = find_lesions(detect(made.pair, made.bones, knee), made.pair, made.bones, sure, knee)
    low, high = found.low, found.high
    assert (low <= found.edema.data).all()
    assert (found.edema.data <= high).all()
    assert 0 < low.sum() < made.edema.sum() < high.sum()


def test_what_an_outline_splits_off_a_lesion_is_left_out() -> None:
    bones = np.zeros((12, 10, 4), np.uint8)
    bones[:6], bones[6:] = 1, 2
    edema = np.zeros(bones.shape, bool)
    edema[2:6, 2:6, 1:3] = True  # 32 mm3 in the first bone,
    edema[6, 2, 1] = True  # and one voxel of it in the second
    edema[9, 8, 3] = True  # a lesion of its own, however small
    volume = Volume(np.asfortranarray(bones), Grid(bones.shape, np.eye(4)))
    kept = pieces_by_bone(edema, volume, 10.0) > 0
    assert not kept[6, 2, 1]
    assert kept[9, 8, 3]
    assert kept.sum() == edema.sum() - 1
    assert not pieces_by_bone(np.zeros_like(edema), volume, 10.0).any()
