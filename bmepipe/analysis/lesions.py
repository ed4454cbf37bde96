"""From a probability to lesions: hysteresis, look-alikes rejected with a reason, rims regrown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.border import (
    completed,
    cut_at,
    pieces_by_bone,
    regrow_rim,
    widened,
    without_fringes,
    without_specks,
    without_splinters,
)
from bmepipe.analysis.contrast import GROW_PROBABILITY, rule_of
from bmepipe.analysis.depth import near
from bmepipe.analysis.doubt import (
    EDGE,
    VETO,
    is_believed,
    is_seen,
    painted,
    without_doubted_parts,
    without_unsupported,
)
from bmepipe.analysis.faint import bright_candidates, without_faint_specks
from bmepipe.analysis.judge import Judge, Plain, judge_of, plain_of
from bmepipe.analysis.lesion_rows import lesion_row
from bmepipe.analysis.look_alikes import DOT_MM2, FAINT
from bmepipe.analysis.marrow import Marrow, normal_marrow
from bmepipe.analysis.parts import Rejected, parts_touching, pieces_of, sift
from bmepipe.analysis.place import Place, place_of
from bmepipe.analysis.plates import beside_plates, sifted
from bmepipe.analysis.region import Box
from bmepipe.analysis.subchondral import faint_at_joint
from bmepipe.analysis.untold import is_saturated, untold_parts, without_untold
from bmepipe.result import Lesion
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

# Of the step from marrow to core: the smallest, the best and the largest drawing of a lesion. The
# best is a little above the half because a Gaussian mean stays below the core.
STEP_SHARES = (0.7, 0.55, 0.4)
UNSURE_MM = 1.0  # by which the largest drawing of faint edema is wider
FADED = "faint: nothing is left within its border"


@dataclass(frozen=True, eq=False)
class Found:
    """Lesions and rejected candidates.

    Parameters
    ----------
    edema : Volume of bool
    lesion_map : Volume of uint16
        Numbers of the lesions, 1 the largest.
    lesions, rejected : tuple of Lesion
    marrow : Marrow
        The reference they were judged by.
    low, high : ndarray of bool, optional
        The smallest and the largest drawing of the lesions that are plausible.
    vetoed : ndarray of bool, optional
        What the rule alone would have called edema.
    untold : ndarray of bool, optional
        Bone of which nothing can be said without a T1.
    searched : ndarray of bool, optional
        Where a lesion can begin; None: anywhere in what can be judged.
    """

    edema: Volume
    lesion_map: Volume
    lesions: tuple[Lesion, ...]
    rejected: tuple[Lesion, ...]
    marrow: Marrow
    low: NDArray[np.bool_] | None = None
    high: NDArray[np.bool_] | None = None
    vetoed: NDArray[np.bool_] | None = None
    untold: NDArray[np.bool_] | None = None
    searched: NDArray[np.bool_] | None = None


def find_lesions(
    probability: Volume,
    pair: Pair,
    bones: Volume,
    assessable: Volume,
    site: Site,
    second: Volume | None = None,
    marrow: Marrow | None = None,
    place: Place | None = None,
) -> Found:
    """Turn the rule's probability of edema into numbered lesions and rejected candidates.

    Parameters
    ----------
    probability : Volume of float32
        Of the contrast rule; 0.5 is its edge and 0.8 its certainty.
    pair : Pair
    bones : Volume of uint8
    assessable : Volume of bool
        Marrow that can be judged; nothing is reported outside it.
    site : Site
    second : Volume of float32, optional
        A network's probability: what it does not take for edema is rejected.
    marrow : Marrow, optional
        Where it is known already.
    place : Place, optional
        Where it is known already.
    """
    marrow = marrow or normal_marrow(pair, bones, site)
    place = place or place_of(pair, bones, marrow, site)
    rule = rule_of(pair, site)
    bright = (probability.data >= GROW_PROBABILITY) & marrow.interior & assessable.data
    depth, joint_mm = place.depth_mm, place.joint_mm

    judge = judge_of(pair, bones, site, second, marrow, place)
    candidates = bright_candidates(probability, second, bright, pair, assessable, marrow)
    kept, rejected = sifted(candidates, partial(judge, core=False), bones.grid)
    least_mm2 = DOT_MM2 if joint_mm is None else 0.0
    low, edema, high = _drawings(
        kept, rule.min_lesion_mm3, least_mm2, probability, bones, assessable, marrow, depth, site
    )
    edema = without_faint_specks(edema, probability.data, bones.grid)
    # The cut parts what ran together, and a faint skirt no longer hides what a core looks like.
    edema, more = sifted(pieces_of(edema), partial(judge, core=True), bones.grid)
    if second is not None:
        plain = plain_of(pair, bones, site, marrow, place)
        edema, more = left_by_network(edema, more, second, pair, bones.grid, judge, plain)
        # The lesion may be only what both see of it, or all that either sees there.
        likely = (second.data >= EDGE) & (bones.data > 0) & assessable.data
        low, high = low & likely, high | parts_touching(likely | edema, edema)
        edema = without_specks(edema, rule.min_lesion_mm3, least_mm2, bones.grid)
    edema = without_splinters(edema, kept, bones.grid)
    rejected += more
    faint, wide = _faint_at_joint(
        probability, edema, rejected, pair, bones, marrow, place, assessable, judge
    )
    edema, low, high = edema | faint, low | (faint & bright), high | wide
    rejected = [row for row in rejected if row[2] != FAINT or not faint[row[1]][row[0]].any()]
    edema, beside = beside_plates(edema, rejected, bones.grid)
    rejected += beside
    edema, untold = without_untold(edema, pair, bones, marrow, depth)
    rejected += untold
    # What is faint beside a joint has its border already.
    others = painted(rejected, edema.shape) | faint
    edema = edema | completed(edema & ~faint, others, assessable, marrow, STEP_SHARES[1])
    high = high | edema
    rejected += _faded(kept, edema, rejected)
    rows = tuple(
        lesion_row(0, mask, box, probability, bones, marrow, depth, reason, site)
        for mask, box, reason in rejected
    )
    found = number_lesions(
        edema, rule.min_lesion_mm3, rows, probability, bones, marrow, depth, site
    )
    edema = found.edema.data
    return replace(
        found,
        low=low & edema,
        high=parts_touching(high, edema),
        vetoed=painted(rejected, edema.shape, VETO),
        untold=untold_parts(rejected, pair, bones, marrow),
        searched=marrow.interior & assessable.data,
    )


def _faint_at_joint(
    probability: Volume,
    edema: NDArray[np.bool_],
    rejected: list[Rejected],
    pair: Pair,
    bones: Volume,
    marrow: Marrow,
    place: Place,
    assessable: Volume,
    judge: Judge,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the faint edema beside a joint line that no other candidate holds, and it widened."""
    others = painted([row for row in rejected if row[2] != FAINT], edema.shape) | edema
    candidates = faint_at_joint(probability.data, others, pair, bones, marrow, place, assessable)
    faint, _ = sift(*candidates, partial(judge, core=False))
    wide = near(faint, UNSURE_MM, bones.grid.spacing_mm) & (bones.data > 0) & assessable.data
    return faint, wide


def _faded(
    kept: NDArray[np.bool_], edema: NDArray[np.bool_], rejected: list[Rejected]
) -> list[Rejected]:
    """Return the candidates of which nothing was left when their border was drawn."""
    lost = kept & ~parts_touching(kept, edema | painted(rejected, edema.shape))
    labels, boxes = pieces_of(lost)
    return [(labels[box] == number, box, FADED) for number, box in enumerate(boxes, start=1)]


def left_by_network(
    edema: NDArray[np.bool_],
    rejected: list[Rejected],
    second: Volume,
    pair: Pair,
    grid: Grid,
    judge: Judge,
    plain: Plain,
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return what the network leaves of the rule's lesions, and all that is rejected by now.

    What it says no to as a whole is cut first, and the parts are asked for themselves: a growth
    plate does not take the lesion that it meets with it.
    """
    cut = partial(
        without_doubted_parts, second=second, grid=grid, sequence_class=pair.sequence_class
    )

    def left_over(mask: NDArray[np.bool_], box: Box) -> str:
        return judge(mask, box, True, cut_off=True) if is_seen(mask.sum(), grid) else VETO

    rest, plates = cut(painted(rejected, edema.shape, VETO))
    saved, doubted = sift(*pieces_of(rest), left_over)
    whole, _ = sift(*pieces_of(edema | saved), lambda mask, box: "" if plain(mask, box) else VETO)
    edema, carved = cut((edema | saved) & ~whole)
    edema |= whole
    # A cut parts what is believed from the rest, which passed for edema only beside it.
    away = painted(carved, edema.shape)
    beside = parts_touching(edema | away, away) & edema
    left, cut_off = sift(
        *pieces_of(beside),
        lambda mask, box: "" if is_believed(second.data[box][mask], grid) else left_over(mask, box),
    )
    edema = (edema & ~beside) | left
    rows = [row for row in rejected if row[2] != VETO] + plates + doubted + carved + cut_off
    if is_saturated(pair):
        edema, alone = without_unsupported(edema, second, grid, pair.sequence_class)
        rows += alone
    return edema, rows


def _drawings(
    kept: NDArray[np.bool_],
    min_lesion_mm3: float,
    least_mm2: float,
    probability: Volume,
    bones: Volume,
    assessable: Volume,
    marrow: Marrow,
    depth: NDArray,
    site: Site,
) -> tuple[NDArray[np.bool_], ...]:
    """Return the smallest, the best and the largest drawing of the lesions that were kept."""
    bright = regrow_rim(kept, probability, bones, assessable, marrow, site)
    bright = without_fringes(bright, depth, bones.grid)
    faint = without_fringes(
        widened(bright, probability, bones, assessable, marrow), depth, bones.grid
    )
    return tuple(
        without_specks(
            cut_at(share, region, marrow, bones.grid), min_lesion_mm3, least_mm2, bones.grid
        )
        for share, region in zip(STEP_SHARES, (bright, bright, faint), strict=True)
    )


def number_lesions(
    edema: NDArray[np.bool_],
    min_lesion_mm3: float,
    rejected: tuple[Lesion, ...],
    probability: Volume,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray,
    site: Site,
) -> Found:
    """Return the lesions numbered by size, each within one bone, and described."""
    labels = pieces_by_bone(edema, bones, min_lesion_mm3)
    sizes = np.bincount(labels.ravel())
    order = [n for n in np.argsort(-sizes, kind="stable") if n > 0 and sizes[n] > 0]
    table = np.zeros(len(sizes), np.uint16)
    table[order] = np.arange(1, len(order) + 1)
    lesion_map = table[labels]
    rows = tuple(
        lesion_row(n, lesion_map[box] == n, box, probability, bones, marrow, depth, "", site)
        for n, box in enumerate(ndimage.find_objects(lesion_map), start=1)
    )
    grid = bones.grid
    return Found(
        Volume(np.asfortranarray(labels > 0), grid),
        Volume(np.asfortranarray(lesion_map), grid),
        rows,
        rejected,
        marrow,
    )
