"""From a probability to lesions: hysteresis, look-alikes rejected with a reason, rims regrown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.border import (
    cut_at,
    pieces_by_bone,
    regrow_rim,
    widened,
    without_fringes,
    without_specks,
)
from bmepipe.analysis.candidates import (
    DOT_MM2,
    PLATE,
    bone_of,
    core_looks_like,
    describe,
    is_at_joint,
    looks_like,
)
from bmepipe.analysis.contrast import GROW_PROBABILITY, SEED_PROBABILITY, rule_of
from bmepipe.analysis.doubt import (
    CERTAIN,
    EDGE,
    VETO,
    is_doubted,
    is_seen,
    painted,
    without_doubted_parts,
    without_unsupported,
)
from bmepipe.analysis.enclosure import OPEN, is_open
from bmepipe.analysis.marrow import Marrow, Reference, normal_marrow
from bmepipe.analysis.parts import (
    Rejected,
    hysteresis,
    parts_touching,
    pieces_of,
    sift,
    thick_parts,
)
from bmepipe.analysis.place import Place, place_of
from bmepipe.analysis.region import Box, within
from bmepipe.analysis.vertebra import is_basivertebral, is_vertebra
from bmepipe.result import Lesion
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

# Of the step from marrow to core: the smallest, the best and the largest drawing of a lesion. The
# best is a little above the half because a Gaussian mean stays below the core.
STEP_SHARES = (0.7, 0.55, 0.4)
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
    """

    edema: Volume
    lesion_map: Volume
    lesions: tuple[Lesion, ...]
    rejected: tuple[Lesion, ...]
    marrow: Marrow
    low: NDArray[np.bool_] | None = None
    high: NDArray[np.bool_] | None = None
    vetoed: NDArray[np.bool_] | None = None


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

    def judge(mask: NDArray[np.bool_], box: Box, core: bool) -> str:
        facts = describe(mask, box, pair, bones, marrow, place)
        facts = replace(facts, fluid_ratio=rule.fluid_ratio)
        if core:
            reason = core_looks_like(facts, site.joint_reach_mm)
        else:
            reason = looks_like(facts, rule.min_lesion_mm3, site.joint_reach_mm)
        reason = reason or _vein_of_a_vertebra(mask, box, bones, site)
        if core and not reason and is_open(mask, box, pair, bones):
            return OPEN
        if reason or second is None or not core:  # a faint skirt is unlike edema, its core is not
            return reason
        likely = second.data[box][mask]
        doubted = is_doubted(likely, bones.grid, at_joint=is_at_joint(facts))
        return VETO if doubted else ""

    sure = probability.data >= SEED_PROBABILITY
    if second is not None:  # mild edema that only the network is sure of
        sure |= second.data >= CERTAIN
    candidates = hysteresis(bright, bright & sure)
    kept, rejected = _sifted(candidates, lambda mask, box: judge(mask, box, False), bones.grid)
    least_mm2 = DOT_MM2 if joint_mm is None else 0.0
    low, edema, high = _drawings(
        kept, rule.min_lesion_mm3, least_mm2, probability, bones, assessable, marrow, depth, site
    )
    # The cut parts what ran together, and a faint skirt no longer hides what a core looks like.
    edema, more = _sifted(pieces_of(edema), lambda mask, box: judge(mask, box, True), bones.grid)
    if second is not None:
        edema, more = _left_by_network(edema, more, second, pair, bones.grid, judge)
        # The lesion may be only what both see of it, or all that either sees there.
        likely = (second.data >= EDGE) & (bones.data > 0) & assessable.data
        low, high = low & likely, high | parts_touching(likely | edema, edema)
        edema = without_specks(edema, rule.min_lesion_mm3, least_mm2, bones.grid)
    edema, beside = _beside_plates(edema, [*rejected, *more], bones.grid)
    more += beside
    more += _faded(kept, edema, more)
    rows = tuple(
        lesion_row(0, mask, box, probability, bones, marrow, depth, reason, site)
        for mask, box, reason in (*rejected, *more)
    )
    found = number_lesions(
        edema, rule.min_lesion_mm3, rows, probability, bones, marrow, depth, site
    )
    edema = found.edema.data
    return replace(
        found,
        low=low & edema,
        high=parts_touching(high, edema),
        vetoed=painted((*rejected, *more), VETO, edema.shape),
    )


def _sifted(
    candidates: tuple[NDArray, list[Box]],
    judge: Callable[[NDArray[np.bool_], Box], str],
    grid: Grid,
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return what `judge` has no reason against; of a growth plate its thick parts are asked anew.

    A plate, or marrow whose texture looks like one, does not take the lesion that it meets with it.
    """
    kept, rejected = sift(*candidates, judge)
    rows = []
    for mask, box, reason in rejected:
        if reason == PLATE:
            saved, _ = sift(*pieces_of(thick_parts(mask, grid)), _moved(judge, box))
            kept[box] |= saved
            mask = mask & ~saved
        rows.append((mask, box, reason))
    return kept, rows


def _moved(
    judge: Callable[[NDArray[np.bool_], Box], str], box: Box
) -> Callable[[NDArray[np.bool_], Box], str]:
    """Return a judge of candidates whose boxes are given within `box`."""
    return lambda mask, inner: judge(mask, within(inner, box))


def _beside_plates(
    edema: NDArray[np.bool_], rejected: list[Rejected], grid: Grid
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return edema without specks at growth plates, too small for the network to be asked."""
    plates = painted(rejected, PLATE, edema.shape)
    if not plates.any():
        return edema, []
    near = ndimage.binary_dilation(plates, np.ones((3, 3, 3)))

    def judge(mask: NDArray[np.bool_], box: Box) -> str:
        return PLATE if not is_seen(mask.sum(), grid) and (near[box] & mask).any() else ""

    return sift(*pieces_of(edema), judge)


def _faded(
    kept: NDArray[np.bool_], edema: NDArray[np.bool_], rejected: list[Rejected]
) -> list[Rejected]:
    """Return the candidates of which nothing was left when their border was drawn."""
    known = edema.copy()
    for mask, box, _ in rejected:
        known[box] |= mask
    lost = kept & ~parts_touching(kept, known)
    labels, boxes = pieces_of(lost)
    return [(labels[box] == number, box, FADED) for number, box in enumerate(boxes, start=1)]


def _left_by_network(
    edema: NDArray[np.bool_],
    rejected: list[Rejected],
    second: Volume,
    pair: Pair,
    grid: Grid,
    judge: Callable[[NDArray[np.bool_], Box, bool], str],
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return what the network leaves of the rule's lesions, and all that is rejected by now.

    What it says no to as a whole is cut first, and the parts are asked for themselves: a growth
    plate does not take the lesion that it meets with it.
    """
    cut = partial(
        without_doubted_parts, second=second, grid=grid, sequence_class=pair.sequence_class
    )
    rest, plates = cut(painted(rejected, VETO, edema.shape))
    saved, doubted = sift(
        *pieces_of(rest),
        lambda mask, box: judge(mask, box, True) if is_seen(mask.sum(), grid) else VETO,
    )
    edema, carved = cut(edema | saved)
    rows = [row for row in rejected if row[2] != VETO] + plates + doubted + carved
    if pair.t1 is None and pair.sequence_class is not SequenceClass.STIR:
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


def _vein_of_a_vertebra(mask: NDArray[np.bool_], box: Box, bones: Volume, site: Site) -> str:
    label = bone_of(mask, box, bones)
    if not is_vertebra(site.bone(label).name):
        return ""
    index = np.argwhere(mask) + [part.start for part in box]
    return "basivertebral vein" if is_basivertebral(index, bones, label) else ""


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


def lesion_row(
    number: int,
    mask: NDArray[np.bool_],
    box: Box,
    probability: Volume,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray,
    rejected_as: str,
    site: Site,
) -> Lesion:
    """Return the table row of one lesion or rejected candidate."""
    grid = bones.grid
    index = np.argwhere(mask)
    label = bone_of(mask, box, bones)
    along = index[:, grid.slice_axis]
    start = np.array([s.start for s in box])
    extents = [(s.stop - s.start) * step for s, step in zip(box, grid.spacing_mm, strict=True)]
    x, y, z = (float(v) for v in grid.to_world(index.mean(axis=0) + start)[0])
    edges = [s.start == 0 or s.stop == n for s, n in zip(box, grid.shape, strict=True)]
    return Lesion(
        number=number,
        bone=site.bone(label).name,
        lesion_ml=float(len(index) * grid.voxel_ml),
        extent_mm=float(max(extents)),
        depth_mm=float(depth[box][mask].max()),
        t1_ratio=None if marrow.t1 is None else median_ratio(marrow.t1, box, mask),
        t2fs_ratio=median_ratio(marrow.t2fs, box, mask),
        confidence=float(probability.data[box][mask].mean()),
        touches_edge=any(edges),
        slice_index=int(np.bincount(along).argmax() + start[grid.slice_axis]),
        centre_mm=(x, y, z),
        rejected_as=rejected_as,
    )


def median_ratio(reference: Reference, box: Box, mask: NDArray[np.bool_]) -> float | None:
    """Return the median ratio to normal marrow inside `mask`; None without reference."""
    values = reference.ratio[box][mask]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
