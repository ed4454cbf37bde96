"""Faint edema along a joint: where inflammation is expected, less contrast is enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.contrast import GROW_PROBABILITY
from bmepipe.analysis.faint import FAINT_T1_RATIO
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.parts import hysteresis, large_parts, parts_touching
from bmepipe.analysis.place import Place
from bmepipe.analysis.region import Box
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume

REACH_MM = 6.0  # of what readers marked faintly in three patients nearly all lies within
LEAST_OF_RULE = 0.35  # probability; 0.5 is the rule's own edge
JOINT_SPACE_MM = 1.5  # half of it: cartilage and fluid of a joint whose bones are not told apart
LEAST_MM3 = 40.0  # twice what noise draws there


def faint_at_joint(
    rule: NDArray[np.float32],
    judged: NDArray[np.bool_],
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    place: Place,
    assessable: Volume,
) -> tuple[NDArray, list[Box]]:
    """Return labels and boxes of faint candidates beside the joint line, apart from `judged`.

    Readers mark subchondral marrow that is 1.2 to 1.4 times as bright as normal, on which the
    threshold for a whole bone would drown in red marrow and noise. What lies beside the joint, is
    darker than marrow on T1, passes the rule's edge somewhere and holds together over `LEAST_MM3`
    is a candidate. On STIR alone, which removes fat evenly, and not without a T1.

    Parameters
    ----------
    rule : ndarray of float32
        The contrast rule's probability.
    judged : ndarray of bool
        What has been found already, or rejected as something else.
    pair : Pair
    bones : Volume of uint8
    marrow : Marrow
    place : Place
    assessable : Volume of bool
    """
    nothing = np.zeros(rule.shape, bool)
    if marrow.t1 is None or place.joint_mm is None or pair.sequence_class is not SequenceClass.STIR:
        return hysteresis(nothing, nothing)
    with np.errstate(invalid="ignore"):
        dark = marrow.t1.ratio < FAINT_T1_RATIO
    least_mm = 0.0 if len(place.joint_bones) > 1 else JOINT_SPACE_MM
    near = (place.joint_mm >= least_mm) & (place.joint_mm <= REACH_MM)
    near &= marrow.interior & assessable.data & dark
    faint = near & (rule >= LEAST_OF_RULE)
    apart = faint & ~parts_touching(faint | judged, judged)
    large = large_parts(apart, bones.grid, LEAST_MM3 / 1000)
    return hysteresis(large, large & (rule >= GROW_PROBABILITY))
