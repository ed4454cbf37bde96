"""Rule, network or both: what each may add or take away, and where they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.analysis.contrast import detect
from bmepipe.analysis.decide import Decision, decide, differences, find_drawn, mean_probability
from bmepipe.analysis.doubt import VETO, is_doubted, without_doubted_parts
from bmepipe.analysis.lesions import left_by_network
from bmepipe.analysis.region import Box
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

Maker = Callable[..., object]


def everywhere(bones: Volume) -> Volume:
    return Volume(np.asfortranarray(bones.data > 0), bones.grid)


def opinion(made, inside: NDArray[np.bool_], likely: float = 0.95) -> Volume:
    """A network that calls `inside` edema and nothing else."""
    data = np.where(inside, likely, 0.005).astype(np.float32)
    data[made.bones.data == 0] = 0
    return Volume(np.asfortranarray(data), made.bones.grid)


def both(made, knee: Site, model: Volume | None, rule: bool = True) -> Decision:
    probability = detect(made.pair, made.bones, knee) if rule else None
    return decide(probability, model, made.pair, made.bones, everywhere(made.bones), knee)


def test_without_any_detector_nothing_is_decided(scene, knee: Site) -> None:
    with pytest.raises(ValueError, match="rule"):
        both(scene(), knee, None, rule=False)


def test_one_detector_has_no_disagreement(scene, knee: Site) -> None:
    made = scene()
    assert both(made, knee, None).disagreement is None
    assert both(made, knee, opinion(made, made.edema), rule=False).disagreement is None


def test_a_network_draws_its_own_border_with_a_band(scene, knee: Site) -> None:
    made = scene()
    found = both(made, knee, opinion(made, made.edema), rule=False).found
    np.testing.assert_array_equal(found.edema.data, made.edema & (made.bones.data > 0))
    assert found.low is not None
    assert found.high is not None
    assert not (found.low & ~found.edema.data).any()
    assert not (found.edema.data & ~found.high).any()


def test_a_faint_opinion_is_no_lesion(scene, knee: Site) -> None:
    made = scene()
    assert not both(made, knee, opinion(made, made.edema, 0.6), rule=False).found.edema.data.any()


def test_specks_of_a_network_are_rejected_with_the_reason(scene, knee: Site) -> None:
    made = scene()
    speck = np.zeros(made.edema.shape, bool)
    speck[22, 28, 7] = True
    found = both(made, knee, opinion(made, speck), rule=False).found
    assert not found.edema.data.any()
    assert [row.rejected_as for row in found.rejected] == ["speck"]


def test_what_the_network_does_not_believe_is_rejected_and_mapped(scene, knee: Site) -> None:
    made = scene(t1_level=440.0)  # hardly dark on T1
    alone = both(made, knee, None).found
    assert alone.edema.data.any()
    decision = both(made, knee, opinion(made, np.zeros(made.edema.shape, bool)))
    assert not decision.found.edema.data.any()
    assert VETO in [row.rejected_as for row in decision.found.rejected]
    assert decision.disagreement is not None
    assert decision.disagreement.data[made.edema].mean() > 0.5
    assert "by the rule alone" in decision.notes[0]


def test_where_both_agree_the_rules_border_stays_and_nothing_differs(scene, knee: Site) -> None:
    made = scene()
    decision = both(made, knee, opinion(made, made.edema))
    alone = both(made, knee, None).found
    np.testing.assert_array_equal(decision.found.edema.data, alone.edema.data)
    assert decision.disagreement is not None
    assert not decision.disagreement.data.any()
    assert decision.notes == ()


def test_doubt_looks_at_the_core_and_not_at_the_border() -> None:
    grid = Grid((4, 4, 4), np.diag([3.0, 3.0, 3.0, 1.0]))
    likely, unlikely = (np.full(10, 0.001, np.float32) for _ in range(2))
    likely[:4], unlikely[:2] = 0.9, 0.9
    assert not is_doubted(likely, grid)
    assert is_doubted(unlikely, grid)
    faint = np.full(10, 0.2, np.float32)
    assert is_doubted(faint, grid)
    assert not is_doubted(faint, grid, at_joint=True)  # the place speaks for it
    assert is_doubted(faint / 4, grid, at_joint=True)


def test_what_is_too_small_for_the_network_is_doubted_only_as_no_other_marrow_is() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    assert is_doubted(np.full(99, 0.01, np.float32), grid)
    assert not is_doubted(np.full(99, 0.05, np.float32), grid)
    assert not is_doubted(np.full(99, 0.01, np.float32), grid, at_joint=True)
    assert is_doubted(np.full(100, 0.05, np.float32), grid)


def test_a_large_lesion_that_the_network_half_believes_is_not_cut_into() -> None:
    """As the inflammation of a whole joint, larger than what the network has learned from."""
    grid = Grid((40, 40, 40), np.eye(4))
    edema = np.zeros(grid.shape, bool)
    edema[5:35, 5:35, 5:35] = True
    data = np.full(grid.shape, 0.001, np.float32)
    data[5:15] = 0.7
    assert not is_doubted(np.full(9000, 0.01, np.float32), grid)  # it may not know so large a one
    assert is_doubted(np.full(8000, 0.01, np.float32), grid)
    assert is_doubted(np.full(9000, 0.001, np.float32), grid)
    second = Volume(np.asfortranarray(data), grid)
    assert not is_doubted(data[edema], grid)
    kept, parts = without_doubted_parts(edema, second, grid, SequenceClass.STIR)
    assert (kept == edema).all()
    assert parts == []


def test_what_runs_into_a_lesion_is_cut_off_and_its_border_stays() -> None:
    grid = Grid((20, 60, 6), np.diag([1.0, 1.0, 3.0, 1.0]))
    edema = np.zeros(grid.shape, bool)
    edema[5:15, 5:55, 2:4] = True
    data = np.full(grid.shape, 0.001, np.float32)
    data[7:13, 7:20, 2:4] = 0.9
    second = Volume(np.asfortranarray(data), grid)
    kept, parts = without_doubted_parts(edema, second, grid, SequenceClass.STIR)
    assert kept[5:15, 5:24, 2:4].all()
    assert not kept[:, 26:].any()
    nearer, _ = without_doubted_parts(edema, second, grid, SequenceClass.PD_FS)
    assert kept[:, :25].sum() > nearer[:, :25].sum()
    assert nearer[5:15, 5:22, 2:4].all()
    assert [reason for _, _, reason in parts] == [VETO]
    assert sum(mask.sum() for mask, _, _ in parts) + kept.sum() == edema.sum()


def test_what_a_cut_parts_from_a_lesion_is_asked_for_itself() -> None:
    grid = Grid((20, 90, 6), np.diag([1.0, 1.0, 3.0, 1.0]))
    edema = np.zeros(grid.shape, bool)
    edema[5:15, 5:85, 2:4] = True
    data = np.full(grid.shape, 0.001, np.float32)
    data[7:13, 7:20, 2:4], data[5:15, 70:85, 2:4] = 0.9, 0.05
    second = Volume(np.asfortranarray(data), grid)
    image = second.with_data(np.ones(grid.shape, np.float32))
    pair = Pair(image, image, SequenceClass.STIR)
    asked = []

    def judge(mask: np.ndarray, box: Box, core: bool, *, cut_off: bool) -> str:
        assert cut_off
        asked.append(box[1].start)
        return VETO

    kept, rows = left_by_network(edema, [], second, pair, grid, judge, lambda mask, box: False)
    assert kept[5:15, 5:24, 2:4].all()  # believed in: not asked again
    assert not kept[:, 30:].any()
    assert asked == [65]
    assert sum(mask.sum() for mask, _, _ in rows) + kept.sum() == edema.sum()
    kept, rows = left_by_network(edema, [], second, pair, grid, judge, lambda mask, box: True)
    np.testing.assert_array_equal(kept, edema)  # plain edema is not cut
    assert rows == []


def test_two_borders_of_one_lesion_are_no_difference(scene) -> None:
    made = scene()
    grid = made.bones.grid
    larger = made.edema.copy()
    larger[1:] |= made.edema[:-1]
    assert not differences(made.edema, larger, grid).any()
    assert differences(made.edema, np.zeros_like(made.edema), grid).any()


def test_the_mean_is_that_of_log_odds(scene) -> None:
    made = scene()
    one = opinion(made, made.edema, 0.9)
    other = opinion(made, made.edema, 0.5)
    seen = mean_probability(one, other).data[made.edema & (made.bones.data > 0)]
    np.testing.assert_allclose(seen, 0.75, atol=1e-3)


def test_a_drawn_lesion_in_the_first_slice_alone_is_rejected(scene, knee: Site) -> None:
    made = scene()
    bones = made.bones.data.copy()
    bones[..., :2] = bones[..., 6:8]
    first = np.zeros(bones.shape, bool)
    first[16:26, 22:34, 0] = True
    labels = made.bones.with_data(np.asfortranarray(bones))
    probability = np.where(first & (bones > 0), 0.95, 0).astype(np.float32)
    found = find_drawn(
        labels.with_data(np.asfortranarray(probability)), made.pair, labels,
        everywhere(labels), knee,
    )  # fmt: skip
    assert not found.edema.data.any()
    assert [row.rejected_as for row in found.rejected] == ["in the outermost slice only"]


def test_a_lesion_that_meets_a_growth_plate_is_not_rejected_with_it(scene, knee: Site) -> None:
    made = scene(lesions=(((14, 20, 7), 4.5),))
    plate = np.zeros(made.edema.shape, bool)
    plate[:, 24:30] = True
    plate &= made.bones.data == 1
    t2fs, t1 = np.array(made.pair.t2fs.data), np.array(made.pair.t1.data)
    t2fs[plate], t1[plate] = 330.0, 350.0
    pair = replace(made.pair, t2fs=made.pair.t2fs.with_data(t2fs), t1=made.pair.t1.with_data(t1))
    joined = replace(made, pair=pair)
    alone = both(joined, knee, None).found
    assert alone.edema.data[plate].mean() > 0.5  # the rule takes both for one lesion
    found = both(joined, knee, opinion(made, made.edema & ~plate)).found
    assert found.edema.data[made.edema & ~plate].mean() > 0.7
    assert found.edema.data[plate].mean() < 0.35
    assert VETO in {row.rejected_as for row in found.rejected}


@pytest.mark.parametrize(
    ("sequence_class", "kept"), [(SequenceClass.PD_FS, False), (SequenceClass.STIR, True)]
)
def test_without_a_t1_saturation_needs_the_network_too(
    scene, knee: Site, sequence_class: SequenceClass, kept: bool
) -> None:
    made = scene(with_t1=False)
    made = replace(made, pair=replace(made.pair, sequence_class=sequence_class))
    half_sure = opinion(made, made.edema, 0.6)  # enough for the rule's lesion, too little to draw
    assert both(made, knee, half_sure).found.edema.data.any() == kept
    assert both(made, knee, opinion(made, made.edema)).found.edema.data.any()
