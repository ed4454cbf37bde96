"""What a network has to say against edema that the contrast rule has found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.depth import near
from bmepipe.analysis.parts import Rejected, parts_touching, pieces_of
from bmepipe.study import SequenceClass
from bmepipe.volume import Grid, Volume

VETO = "unlike edema to the network"
SEEN_MM3 = 100.0
# Up to which size (mm3) which upper quartile of the network's probability is too low. On phantoms
# it was at most 0.15 where the rule was wrong; where it was right at least 0.5, and 0.25 in a large
# lesion with a faint skirt. Where readers agreed it was mostly 0.45 and more below 1 mL, 0.25 and
# more above. The network has learned from no lesion as large as the inflammation of a whole iliac
# bone: there it must be surer than of any marrow. It gave 0.02 to one of 54 mL that readers had
# drawn, and 0.001 to one of 23 mL that was none.
LARGE_MM3 = 8_000.0
DOUBT = ((1_000.0, 0.35), (LARGE_MM3, 0.15), (math.inf, 0.005))
BELIEVED = DOUBT[0][1]
# Of what is below `SEEN_MM3`, where true ones may look like marrow to it: in phantoms 13 of 16
# false ones had at most 0.03, six true ones 0.03 to 0.5.
SMALL_DOUBT = 0.04
# What is no rim, plate or haemangioma in any class: haemangiomas of 96 phantoms had at most 0.66,
# what is a rim 0.83.
SURE = 0.85
# At a joint line that was found the place itself speaks for edema, so that less from the network
# is enough: readers had drawn a lesion of 0.7 mL there to which it gave 0.14, and 0.06 when the
# field of view was cut by a tenth.
AT_JOINT = 0.15
# A part of a lesion is cut off only where the network is surer: there its border counts, and it is
# blurred. The largest look-alikes that run into a lesion, growth plates, are below `LARGE_MM3`.
PART_DOUBT = 0.02
# Inversion removes fat evenly: what the rule draws there is trusted farther from what the network
# believes than where saturation may fail and fluid shines into a bone's rim.
BELIEVED_MM = {SequenceClass.STIR: 5.0, SequenceClass.T2_FS: 3.0, SequenceClass.PD_FS: 3.0}
# Where a network's lesion ends. Its probabilities are calibrated, but blurred, so that half of them
# is inside the border: at 0.2 volumes of held-out phantoms are right.
EDGE = 0.2
CERTAIN = 0.7  # what the core of a network's lesion must reach


def is_doubted(probability: NDArray[np.float32], grid: Grid, *, at_joint: bool = False) -> bool:
    """Say whether a network's probabilities within a candidate speak against edema.

    By their upper quartile: the border of a true lesion is doubtful, its core is not. What is
    smaller than `SEEN_MM3` is asked by `SMALL_DOUBT`, but not at a joint line, where small foci are
    expected.
    """
    if not is_seen(len(probability), grid):
        return not at_joint and upper_quartile(probability) < SMALL_DOUBT
    size_mm3 = len(probability) * grid.voxel_ml * 1000
    least = next(share for most_mm3, share in DOUBT if size_mm3 <= most_mm3)
    return upper_quartile(probability) < least * (AT_JOINT if at_joint else 1.0)


def is_believed(probability: NDArray[np.float32], grid: Grid) -> bool:
    """Say whether a network's probabilities within a candidate speak for edema.

    By their upper quartile, against the limit of small lesions whatever the size: in real knees and
    spines it was at most 0.15 in rims of fluid and cartilage, and in lesions of phantoms that had
    been taken for rims 0.37 and more.
    """
    return is_seen(len(probability), grid) and upper_quartile(probability) >= BELIEVED


def is_sure(probability: NDArray[np.float32], grid: Grid) -> bool:
    """Say whether a network's probabilities within a candidate leave no doubt, as `is_believed`."""
    return is_seen(len(probability), grid) and upper_quartile(probability) >= SURE


def upper_quartile(probability: NDArray[np.float32]) -> float:
    """Return what a quarter of a candidate's probabilities exceed: its core's, not its border's."""
    return float(np.percentile(probability, 75))


def is_seen(voxels: int, grid: Grid) -> bool:
    """Say whether the network can tell a candidate of so many voxels from marrow."""
    return voxels * grid.voxel_ml * 1000 >= SEEN_MM3


def without_doubted_parts(
    edema: NDArray[np.bool_], second: Volume, grid: Grid, sequence_class: SequenceClass
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return edema without what runs into a lesion and is none to the network, and those parts.

    As a growth plate that meets a lesion. What lies within `BELIEVED_MM` of what the network
    believes stays: there the rule draws the better border. A part is between `SEEN_MM3` and
    `LARGE_MM3`.
    """
    likely = edema & (second.data >= PART_DOUBT)
    doubted = edema & ~near(likely, BELIEVED_MM[sequence_class], grid.spacing_mm)
    labels, boxes = pieces_of(doubted)
    sizes_mm3 = np.bincount(labels.ravel()) * grid.voxel_ml * 1000
    large = (sizes_mm3 >= SEEN_MM3) & (sizes_mm3 <= LARGE_MM3)
    parts = [
        (labels[box] == number, box, VETO)
        for number, box in enumerate(boxes, start=1)
        if large[number]
    ]
    return edema & ~painted(parts, edema.shape), parts


def without_unsupported(
    edema: NDArray[np.bool_], second: Volume, grid: Grid, sequence_class: SequenceClass
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return edema near what the network itself would draw, and the parts that are not.

    Without a T1 saturation that failed is not told from edema by contrast: there the network must
    have found a lesion too.
    """
    drawn = parts_touching(second.data >= EDGE, second.data >= CERTAIN)
    alone = edema & ~near(drawn, BELIEVED_MM[sequence_class], grid.spacing_mm)
    labels, boxes = pieces_of(alone)
    parts = [(labels[box] == n, box, VETO) for n, box in enumerate(boxes, start=1)]
    return edema & ~alone, parts


def painted(
    rejected: Sequence[Rejected], shape: tuple[int, ...], *reasons: str
) -> NDArray[np.bool_]:
    """Return where the candidates lie that were rejected for one of these reasons, or for any."""
    where = np.zeros(shape, bool)
    for mask, box, why in rejected:
        if why in reasons or not reasons:
            where[box] |= mask
    return where
