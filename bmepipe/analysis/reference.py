"""The signal of normal marrow in one image, and by which bones a bone is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.shading import Shading, level_of
from bmepipe.volume import Volume

MIN_MARROW_ML = 0.5  # less marrow than this gives no reference of its own
OUTLYING = 1.25  # a bone so much brighter than its neighbours is judged by theirs
LEAST_NEIGHBOURS = 3
# At a joint inflammation may fill most of several bones: what is so much brighter than the least
# bright one of a fair size is judged by that, the more so the brighter it is, so that a slightly
# other outline does not change the whole bone's measure. Not so on T1: there an ilium is fattier
# than a sacrum, and edema is dark against its own bone.
JOINT_OUTLYING, JOINT_SURELY, JOINT_LEAST_ML = 1.15, 1.3, 10.0
# On T1 normal marrow is 1.2 times mild edema and 1.7 times intense one. Of a bone's volume; less is
# the blurred rim of a bone that is full.
BRIGHTER_T1, LEAST_SOUND = 1.15, 0.15


@dataclass(frozen=True, eq=False)
class Reference:
    """Normal marrow of one image, voxel by voxel.

    Parameters
    ----------
    signal : ndarray of float32, shape of the grid
        The image, lightly smoothed in the slice's plane.
    centre, spread : ndarray of float32, shape of the grid
        Expected signal of normal marrow at each voxel of a bone and its robust standard deviation,
        in the units of the image; NaN outside the bones and in bones that cannot be judged.
    levels : mapping of int to float
        The centre of each bone's own marrow, free of shading, by label.
    """

    signal: NDArray[np.float32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    levels: Mapping[int, float] = field(default_factory=dict)

    @cached_property
    def ratio(self) -> NDArray[np.float32]:
        """Signal over centre; NaN where there is no reference."""
        return self.signal / self.centre

    @property
    def deviations(self) -> NDArray[np.float32]:
        """Signal above the centre in robust standard deviations; NaN without reference."""
        return (self.signal - self.centre) / self.spread


def present_labels(bones: Volume) -> tuple[int, ...]:
    """Return the labels that occur, in order, without 0."""
    return tuple(int(v) for v in np.flatnonzero(np.bincount(bones.data.ravel())) if v)


def reference(
    signal: NDArray[np.float32],
    bones: Volume,
    interior: NDArray[np.bool_],
    shading: Shading,
    keep: tuple[int, ...] = (),
    *,
    joint: tuple[int, ...] = (),
    t1_levels: Mapping[int, float] | None = None,
    unsound: tuple[int, ...] = (),
) -> tuple[Reference, tuple[int, ...], tuple[int, ...]]:
    """Return the reference of one image, the labels that borrowed it, and those without any.

    A bone with less than `MIN_MARROW_ML` of marrow, and one whose marrow is far brighter than that
    of its neighbours, takes the median reference of the judged bones, unless its label is in
    `keep`; with none it is not judged. Of the bones of a `joint`, by label, the least bright
    one is the measure of all; by how much another is brighter counts only as far as it is not so
    on T1 too (`t1_levels`), as shading and fat make it. Bones that are `unsound`, by label, are no
    measure of the others, however large they are.
    """
    usable = interior & np.isfinite(signal) & (signal > 0)
    labels = present_labels(bones)
    voxels = np.bincount(bones.data[usable], minlength=max(labels, default=0) + 1)
    judged = [v for v in labels if voxels[v] * bones.grid.voxel_ml >= MIN_MARROW_ML]
    centre = np.full(signal.shape, np.nan, np.float32)
    spread = np.full(signal.shape, np.nan, np.float32)
    borrowed = set(labels) - set(judged)
    levels: dict[int, float] = {}
    if judged:
        inside = bones.data > 0
        factor = shading(np.argwhere(inside))
        own = {v: level_of(signal, shading, usable & (bones.data == v)) for v in judged}
        levels_of, spreads_of = zip(*own.values(), strict=True)
        weights = voxels[judged] * ~np.isin(judged, unsound)
        shared = (
            weighted_median(np.array(levels_of), weights),
            weighted_median(np.array(spreads_of), weights),
        )
        levels = {v: level[0] for v, level in own.items()}
        known = len(judged) >= LEAST_NEIGHBOURS or bool(unsound)
        outlying = surely = OUTLYING if known else np.inf
        measured = [v for v in judged if v in joint]
        excess = {v: level / shared[0] for v, level in levels.items()}
        if measured:
            large = [v for v in measured if voxels[v] * bones.grid.voxel_ml >= JOINT_LEAST_ML]
            least = min(large or measured, key=lambda v: levels[v])
            shared, outlying, surely = own[least], JOINT_OUTLYING, JOINT_SURELY
            excess = {
                v: level / shared[0] / _brighter_on_t1(v, least, t1_levels)
                for v, level in levels.items()
            }
        borrowed |= {v for v in judged if excess[v] > outlying} - set(keep)
        table = np.array(
            [
                _judged_by(own[v], shared, float(np.interp(excess[v], (outlying, surely), (0, 1))))
                if v in own and v in borrowed
                else own.get(v, shared)
                for v in range(max(labels) + 1)
            ]
        )
        centre[inside] = table[bones.data[inside], 0] * factor
        spread[inside] = table[bones.data[inside], 1] * factor
    others = tuple(sorted(borrowed))
    found = Reference(signal, centre, spread, levels)
    return (found, others, ()) if judged else (found, (), others)


def weighted_median(values: NDArray, weights: NDArray) -> float:
    """Return the value at half of the weight; between two that share it their mean.

    By volume, small bones do not outvote large ones: a fibula full of edema and a patella under
    weak suppression are no measure of a tibia.

    Examples
    --------
    >>> weighted_median(np.array([90.0, 110.0, 190.0, 200.0]), np.array([80, 90, 10, 12]))
    110.0
    >>> weighted_median(np.array([1.0, 3.0]), np.array([5, 5]))
    2.0
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    first, last = (
        int(np.searchsorted(reached, reached[-1] / 2, side)) for side in ("left", "right")
    )
    return float(values[order[[first, min(last, len(values) - 1)]]].mean())


def _brighter_on_t1(label: int, least: int, t1_levels: Mapping[int, float] | None) -> float:
    """Return how many times brighter than `least` a bone is on T1; 1 if darker or not known."""
    if not t1_levels or label not in t1_levels or least not in t1_levels:
        return 1.0
    return max(1.0, t1_levels[label] / t1_levels[least])


def _judged_by(
    own: tuple[float, float], shared: tuple[float, float], share: float
) -> tuple[float, float]:
    """Return level and spread that judge a bright bone: its own, or in part the shared ones."""
    first, second = ((1 - share) * o + share * s for o, s in zip(own, shared, strict=True))
    return first, second


def judged_by_sound(
    t1: Reference, bones: Volume, sound: NDArray[np.bool_], shading: Shading
) -> Reference:
    """Return the T1 reference with the level of the sound marrow in bones that edema half fills.

    Where edema is the densest half of a bone's marrow, its T1 is the usual one: the rest, `sound`
    on the fat-suppressed series, is far brighter there. A bone with little sound marrow stays.
    """
    centre, levels = t1.centre.copy(), dict(t1.levels)
    for label, level in t1.levels.items():
        own = bones.data == label
        rest = own & sound & (t1.signal > 0)
        ml = np.count_nonzero(rest) * bones.grid.voxel_ml
        if ml < MIN_MARROW_ML or ml < LEAST_SOUND * np.count_nonzero(own) * bones.grid.voxel_ml:
            continue
        brighter = level_of(t1.signal, shading, rest)[0] / level
        if brighter > BRIGHTER_T1:
            centre[own] *= brighter
            levels[label] *= brighter
    return replace(t1, centre=centre, levels=levels)


def judged_by_others(own: Reference, bones: Volume, borrowed: tuple[int, ...]) -> Reference:
    """Return the T1 reference with the others' level for bones that the others judge.

    What fills most of a bone is dark on T1 against other bones only.
    """
    darker = [v for v in borrowed if v in own.levels]
    others = [level for v, level in own.levels.items() if v not in borrowed]
    if not darker or not others:
        return own
    centre = own.centre.copy()
    usual = float(np.median(others))
    for label in darker:
        centre[bones.data == label] *= max(1.0, usual / own.levels[label])
    return replace(own, centre=centre)
