"""Mild edema: what the contrast rule alone is not sure of and a network sees as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.contrast import GROW_PROBABILITY, SEED_PROBABILITY
from bmepipe.analysis.doubt import CERTAIN, SEEN_MM3
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.parts import hysteresis, pieces_of
from bmepipe.analysis.region import Box
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

LEAST_OF_NETWORK, LEAST_OF_RULE = 0.5, 0.2  # probabilities of edema
LEAST_ALONE = 0.35  # of the rule without a T1
FAINT_T1_RATIO = 0.95  # red marrow and noise are as bright there as marrow, water is not
BRIGHT_SHARE = 0.5  # of a small lesion that the rule must call bright


def bright_candidates(
    rule: Volume,
    network: Volume | None,
    bright: NDArray[np.bool_],
    pair: Pair,
    assessable: Volume,
    marrow: Marrow,
) -> tuple[NDArray, list[Box]]:
    """Return labels and boxes of what is `bright` by the rule and somewhere surely so.

    With a network also of mild edema that only it is sure of, and of the faint border that it sees.
    """
    sure = rule.data >= SEED_PROBABILITY
    if network is None:
        return hysteresis(bright, bright & sure)
    sure |= network.data >= CERTAIN
    faint = seen_faintly(rule.data, network.data, marrow, pair.sequence_class) & assessable.data
    return hysteresis(bright | faint, bright & sure)


def seen_faintly(
    rule: NDArray[np.float32],
    network: NDArray[np.float32],
    marrow: Marrow,
    sequence_class: SequenceClass,
) -> NDArray[np.bool_]:
    """Return marrow that a network calls edema and that the rule's threshold just leaves out.

    The border of a mild lesion, half way up its step, lies below any threshold that keeps normal
    marrow out. T1 must speak for water there, since the contrast hardly does. Without a T1 the rule
    must be surer, and only on STIR is anything added: where fat is saturated, fat whose saturation
    failed would be.

    Parameters
    ----------
    rule, network : ndarray of float32, shape of the grid
        Probabilities of edema.
    marrow : Marrow
    sequence_class : SequenceClass
    """
    seen = (network >= LEAST_OF_NETWORK) & marrow.interior
    if marrow.t1 is not None:
        with np.errstate(invalid="ignore"):
            return seen & (rule >= LEAST_OF_RULE) & (marrow.t1.ratio < FAINT_T1_RATIO)
    return seen & (rule >= LEAST_ALONE) & (sequence_class is SequenceClass.STIR)


def without_faint_specks(
    edema: NDArray[np.bool_], rule: NDArray[np.float32], grid: Grid
) -> NDArray[np.bool_]:
    """Return edema without small parts that are mostly faint: of these a network says nothing.

    Examples
    --------
    >>> edema = np.array([[[1, 1, 0, 1, 1]]], bool)
    >>> rule = np.array([[[0.9, 0.3, 0.0, 0.3, 0.3]]], np.float32)
    >>> grid = Grid((1, 1, 5), np.eye(4))
    >>> without_faint_specks(edema, rule, grid).tolist()
    [[[True, True, False, False, False]]]
    """
    labels, _ = pieces_of(edema)
    sizes = np.bincount(labels.ravel())
    bright = np.bincount(labels[edema & (rule >= GROW_PROBABILITY)], minlength=len(sizes))
    seen = sizes * grid.voxel_ml * 1000 >= SEEN_MM3
    keep = seen | (bright >= BRIGHT_SHARE * sizes)
    keep[0] = False
    return keep[labels]
