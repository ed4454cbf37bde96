from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.contrast import contrast_evidence, detect, rule_of
from bmepipe.analysis.marrow import Marrow, bone_depth, normal_marrow
from bmepipe.analysis.reference import Reference
from bmepipe.errors import BadSettings
from bmepipe.site import ContrastRule
from bmepipe.study import SequenceClass

RULE = ContrastRule(4.0, 2.0, 2.0, 1.5, 10.0, "for the test")


def uniform(ratio: float, spread: float = 0.1, t1_ratio: float | None = None) -> Marrow:
    """Marrow of one voxel with a given contrast."""
    one = np.ones((1, 1, 1), np.float32)
    t1 = None if t1_ratio is None else Reference(t1_ratio * one, one, 0.1 * one)
    return Marrow(one > 0, Reference(ratio * one, one, spread * one), t1)


def evidence(*args, **kwargs) -> float:
    return float(contrast_evidence(uniform(*args, **kwargs), RULE)[0, 0, 0])


def test_evidence_is_zero_at_grow_and_one_at_seed():
    assert evidence(1.5) == pytest.approx(0, abs=1e-5)
    assert evidence(2.0) == pytest.approx(1, abs=1e-5)


def test_the_lesser_of_ratio_and_deviation_decides():
    assert evidence(2.0, spread=0.5) == pytest.approx(0, abs=1e-5)  # only two spreads above
    assert evidence(2.0, spread=0.25) == pytest.approx(1, abs=1e-5)


def test_t1_shifts_and_never_closes():
    assert evidence(2.0, t1_ratio=0.6) > evidence(2.0) > evidence(2.0, t1_ratio=1.2)
    assert evidence(3.0, t1_ratio=1.3) > 1
    assert evidence(2.0, t1_ratio=0.0) == evidence(2.0)  # not imaged: no evidence


def test_quiet_marrow_asks_for_less_contrast_if_a_t1_is_there():
    quiet = replace(RULE, quiet_share=0.35)

    def of(*args, **kwargs):
        return float(contrast_evidence(uniform(*args, **kwargs), quiet)[0, 0, 0])

    assert of(1.5, spread=0.1, t1_ratio=1.0) == pytest.approx(1, abs=1e-5)  # half of the contrast
    assert of(1.5, spread=0.2, t1_ratio=1.0) == pytest.approx(0, abs=1e-5)
    assert of(1.1, spread=0.01, t1_ratio=1.0) < 0 < of(1.2, spread=0.01, t1_ratio=1.0)
    assert of(1.5, spread=0.1) == evidence(1.5, spread=0.1)


def test_probability_is_high_in_edema_and_zero_outside(scene, knee):
    made = scene()
    probability = detect(made.pair, made.bones, knee)
    assert probability.data.dtype == np.float32
    assert (probability.data[made.bones.data == 0] == 0).all()
    core = made.edema & (probability.data > 0)
    assert np.median(probability.data[core]) > 0.8
    normal = normal_marrow(made.pair, made.bones, knee).interior & ~made.edema
    normal &= bone_depth(made.bones) > 3.5  # the muscle around is as bright as edema
    assert np.percentile(probability.data[normal], 95) < 0.5


def test_a_class_without_a_rule_is_refused(scene, knee):
    pair = replace(scene().pair, sequence_class=SequenceClass.STIR)
    bare = replace(knee, rules={"PD-FS": knee.rules["PD-FS"]})
    with pytest.raises(BadSettings, match="rule for STIR"):
        rule_of(pair, bare)
