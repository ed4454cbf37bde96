"""What is edema, where the contrast rule, a network or both say how likely it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.candidates import describe
from bmepipe.analysis.contrast import rule_of
from bmepipe.analysis.depth import opened
from bmepipe.analysis.doubt import CERTAIN, EDGE
from bmepipe.analysis.enclosure import OPEN, is_open
from bmepipe.analysis.lesion_rows import lesion_row
from bmepipe.analysis.lesions import Found, find_lesions, number_lesions
from bmepipe.analysis.look_alikes import AWAY, is_away
from bmepipe.analysis.marrow import Marrow, normal_marrow
from bmepipe.analysis.parts import hysteresis, parts_touching, sift
from bmepipe.analysis.place import Place, place_of
from bmepipe.analysis.region import Box
from bmepipe.analysis.untold import untold_parts, without_untold
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

BAND = (0.5, 0.05)  # the smallest and the largest drawing
DIFFERENCE_MM = 1.5  # thinner differences are two drawings of one border


@dataclass(frozen=True, eq=False)
class Decision:
    """What was found, how likely it is everywhere, and where two detectors differ.

    Parameters
    ----------
    found : Found
    probability : Volume of float32
    disagreement : Volume of bool, optional
        None of a single detector.
    notes : tuple of str
    """

    found: Found
    probability: Volume
    disagreement: Volume | None = None
    notes: tuple[str, ...] = ()


def decide(
    rule: Volume | None,
    model: Volume | None,
    pair: Pair,
    bones: Volume,
    assessable: Volume,
    site: Site,
    marrow: Marrow | None = None,
) -> Decision:
    """Return what is edema by the rule's probability, the network's, or both.

    Parameters
    ----------
    rule, model : Volume of float32, optional
        At least one.
    pair : Pair
    bones : Volume of uint8
    assessable : Volume of bool
    site : Site
    marrow : Marrow, optional
        Where it is known already.
    """
    marrow = marrow or normal_marrow(pair, bones, site)
    if model is None:
        if rule is None:
            raise ValueError("a rule, a model or both must have judged")
        return Decision(find_lesions(rule, pair, bones, assessable, site, None, marrow), rule)
    place = place_of(pair, bones, marrow, site)
    drawn = find_drawn(model, pair, bones, assessable, site, marrow, place)
    if rule is None:
        return Decision(drawn, model)
    found = find_lesions(rule, pair, bones, assessable, site, model, marrow, place)
    return _of_both(found, drawn, rule, model, bones.grid)


def _of_both(found: Found, drawn: Found, rule: Volume, model: Volume, grid: Grid) -> Decision:
    alone = found.edema.data if found.vetoed is None else found.edema.data | found.vetoed
    differing = differences(alone, drawn.edema.data, grid)
    if found.untold is not None:
        differing &= ~found.untold
    edema = found.edema.data
    by_rule, rule_only, model_only = (
        float(np.count_nonzero(differing & part) * grid.voxel_ml)
        for part in (edema & ~drawn.edema.data, alone & ~edema, drawn.edema.data & ~edema)
    )
    note = (
        f"rule and network differ: {by_rule:.2f} mL of the edema are so by the rule alone; left "
        f"out are {rule_only:.2f} mL by the rule alone and {model_only:.2f} mL by the network alone"
    )
    both = mean_probability(rule, model)
    return Decision(
        found, both, Volume(np.asfortranarray(differing), grid), (note,) if differing.any() else ()
    )


def mean_probability(rule: Volume, model: Volume) -> Volume:
    """Return the two probabilities' mean in log odds; 0 where the network says 0."""
    odds = [np.log(np.clip(p.data, 1e-4, 1 - 1e-4)) - np.log1p(-np.clip(p.data, 1e-4, 1 - 1e-4))
            for p in (rule, model)]  # fmt: skip
    mean = 1 / (1 + np.exp(-(odds[0] + odds[1]) / 2))
    return model.with_data(np.where(model.data > 0, mean, 0).astype(np.float32))


def differences(
    first: NDArray[np.bool_], second: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """Return where two drawings differ by more than the border of the same lesion.

    Thinner than twice `DIFFERENCE_MM` within the slice, a difference is left out.
    """
    return opened(first ^ second, DIFFERENCE_MM, grid.flat_spacing_mm)


def find_drawn(
    probability: Volume,
    pair: Pair,
    bones: Volume,
    assessable: Volume,
    site: Site,
    marrow: Marrow | None = None,
    place: Place | None = None,
) -> Found:
    """Return the lesions as a network draws them.

    The network has learned what looks alike; of the rule's questions only those of size and of
    place, which it cannot know, are asked.
    """
    marrow = marrow or normal_marrow(pair, bones, site)
    place = place or place_of(pair, bones, marrow, site)
    rule = rule_of(pair, site)
    depth = place.depth_mm

    def judge(mask: NDArray[np.bool_], box: Box) -> str:
        if mask.sum() * bones.grid.voxel_ml * 1000 < rule.min_lesion_mm3:
            return "speck"
        facts = describe(mask, box, pair, bones, marrow, place)
        if facts.in_end_slice:
            return "in the outermost slice only"
        if is_away(facts, site.joint_reach_mm):
            return AWAY
        stir = pair.sequence_class is SequenceClass.STIR  # as of `judge.not_asked`
        believed = facts.mean_ratio if stir else None
        return OPEN if is_open(mask, box, pair, bones, believed=believed) else ""

    inside = (bones.data > 0) & assessable.data
    edge = (probability.data >= EDGE) & inside
    candidates = hysteresis(edge, edge & (probability.data >= CERTAIN))
    edema, rejected = sift(*candidates, judge)
    edema, untold = without_untold(edema, pair, bones, marrow, depth)
    rejected += untold
    rows = tuple(
        lesion_row(0, mask, box, probability, bones, marrow, depth, reason, site)
        for mask, box, reason in rejected
    )
    found = number_lesions(
        edema, rule.min_lesion_mm3, rows, probability, bones, marrow, depth, site
    )
    edema = found.edema.data
    low, high = ((probability.data >= level) & inside for level in BAND)
    return replace(
        found,
        low=low & edema,
        high=parts_touching(high, edema) | edema,
        untold=untold_parts(rejected, pair, bones, marrow),
    )
