"""Who says what a candidate is: the look-alikes, the cortex, and a network's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.candidates import bone_of, describe
from bmepipe.analysis.contrast import rule_of
from bmepipe.analysis.doubt import VETO, is_believed, is_doubted, is_sure
from bmepipe.analysis.enclosure import OPEN, is_open
from bmepipe.analysis.look_alikes import (
    FAINT,
    HAEMANGIOMA,
    PLAIN_RADIUS_MM,
    PLATE,
    RIM,
    core_looks_like,
    is_at_joint,
    is_plain,
    looks_like,
)
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.place import Place
from bmepipe.analysis.region import Box
from bmepipe.analysis.vertebra import is_any_vertebra, is_basivertebral
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume

# Of a mask within its box, whether it is the core that is left, and whether it was cut off what a
# network doubts: a piece of a growth plate is as compact as a lesion.
Judge = Callable[..., str]
SMALL_RADIUS_MM = 2.4
ROOTS = ("sacrum", "pelvic_bones")  # hold nerve roots and veins, compact, bright and dark on T1
Plain = Callable[[NDArray[np.bool_], Box], bool]


def judge_of(
    pair: Pair, bones: Volume, site: Site, second: Volume | None, marrow: Marrow, place: Place
) -> Judge:
    """Return who says what a candidate, or the core that is left of it, is if it is no edema."""
    rule = rule_of(pair, site)

    def judge(mask: NDArray[np.bool_], box: Box, core: bool, *, cut_off: bool = False) -> str:
        facts = describe(mask, box, pair, bones, marrow, place)
        facts = replace(facts, fluid_ratio=rule.fluid_ratio)
        told = not_asked(second, mask, box, pair, at_joint=is_at_joint(facts))
        if core:
            reason = core_looks_like(facts, site.joint_reach_mm, but=told)
        else:
            reason = looks_like(facts, rule.min_lesion_mm3, site.joint_reach_mm, but=told)
        reason = reason or _vein_of_a_vertebra(mask, box, bones, site)
        believed = facts.mean_ratio if told else None
        if core and not reason and is_open(mask, box, pair, bones, believed=believed):
            return OPEN
        if reason or second is None or not core:  # a faint skirt is unlike edema, its core is not
            return reason
        radius_mm = _plain_radius_mm(mask, box, bones, site)
        if not cut_off and is_plain(facts, rule, pair.sequence_class, radius_mm):
            return ""
        likely = second.data[box][mask]
        doubted = is_doubted(likely, bones.grid, at_joint=is_at_joint(facts))
        return VETO if doubted else ""

    return judge


def plain_of(pair: Pair, bones: Volume, site: Site, marrow: Marrow, place: Place) -> Plain:
    """Return who says whether a lesion is plain edema, whatever a network says."""
    rule = rule_of(pair, site)

    def plain(mask: NDArray[np.bool_], box: Box) -> bool:
        facts = describe(mask, box, pair, bones, marrow, place)
        radius_mm = _plain_radius_mm(mask, box, bones, site)
        return is_plain(facts, rule, pair.sequence_class, radius_mm)

    return plain


def _plain_radius_mm(mask: NDArray[np.bool_], box: Box, bones: Volume, site: Site) -> float:
    name = site.bone(bone_of(mask, box, bones)).name
    return PLAIN_RADIUS_MM if name in ROOTS else SMALL_RADIUS_MM


def not_asked(
    second: Volume | None,
    mask: NDArray[np.bool_],
    box: Box,
    pair: Pair,
    *,
    at_joint: bool = False,
) -> tuple[str, ...]:
    """Return the look-alikes that a candidate is none of, for a network believes in the lesion.

    A lesion under the surface and what shines into the marrow from outside have the same place. On
    STIR it need only believe: where fat is saturated it believes in marrow whose saturation failed,
    and must be sure. At a joint line that was found edema may be faint, as `subchondral` says, and
    mixes with fat, so that a believed one is no haemangioma there.
    """
    if second is None:
        return ()
    likely = second.data[box][mask]
    faint = (FAINT,) if at_joint else ()
    if is_sure(likely, second.grid):
        return (RIM, PLATE, HAEMANGIOMA, *faint)
    if pair.sequence_class is SequenceClass.STIR and is_believed(likely, second.grid):
        return (RIM, PLATE, *((HAEMANGIOMA, *faint) if at_joint else ()))
    return ()


def _vein_of_a_vertebra(mask: NDArray[np.bool_], box: Box, bones: Volume, site: Site) -> str:
    label = bone_of(mask, box, bones)
    if not is_any_vertebra(site.bone(label).name):
        return ""
    index = np.argwhere(mask) + [part.start for part in box]
    return "basivertebral vein" if is_basivertebral(index, bones, label) else ""
