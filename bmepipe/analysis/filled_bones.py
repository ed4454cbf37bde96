"""Bones that edema fills as a whole: they are no measure of normal marrow, of others or their own.

A bone is bright as a whole where water has taken the place of fat, where fat suppression is weaker
and where a coil is near. What tells them apart is the T1, on which water is dark; without one it
must be far brighter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.reference import MIN_MARROW_ML, OUTLYING, weighted_median
from bmepipe.analysis.shading import robust_centre
from bmepipe.analysis.vertebra import is_any_vertebra
from bmepipe.site import Site
from bmepipe.study import SequenceClass
from bmepipe.volume import Volume

DARK_T1 = 0.85  # of another bone's T1 level: what is below it holds water in the place of fat
OUTLYING_ALONE = 1.5  # without a T1: coils and suppression alone make up to a half
# A bone's quotient of both series against another's, from which on it is edema that fills it. By
# the signal equations red marrow against yellow has 1.45 on T2-FS and STIR, mild edema 1.7 to 2.0
# on STIR and 2.4 on T2-FS; on PD-FS red marrow has 2.8 and mild edema as much, moderate edema 5.1.
# Sound bones of phantoms reach 1.3 on STIR and 1.6 on T2-FS, where suppression varies.
WATERY = MappingProxyType(
    {SequenceClass.STIR: 1.7, SequenceClass.T2_FS: 2.0, SequenceClass.PD_FS: 4.0}
)
RED_OR_MILD = 2.0  # on PD-FS, up to what is `WATERY`
LEAST_SHARE = 0.05  # of a bone's marrow; what has less of it is no measure of that bone
# Between the middles of two bones. What two coils do to two series differs the more the farther
# apart bones are: in a spine under surface coils the quotient of a sound sacrum was 2.1 times that
# of a vertebra 170 mm above it, and 1.6 times that of the one next to it.
COMPARED_MM = 120.0
FATTIER = 1.15  # than a neighbour on T1: a vertebra full of fat or haemangioma
# By how much a vertebra full of edema is brighter than both its neighbours, and the first or last
# one than its only one. Saturation of fat weakens towards the ends of a spine, inversion does not.
ABOVE_NEIGHBOURS = MappingProxyType(
    {SequenceClass.STIR: (1.25, 1.4), SequenceClass.T2_FS: (1.6, np.inf)}
)


@dataclass(frozen=True)
class BoneSignal:
    """A bone's usual marrow, edematous or not.

    Parameters
    ----------
    t2fs : float
        Free of the fitted shading.
    marrow_ml : float
    t1 : float, optional
        As `t2fs`.
    quotient : float, optional
        Of both series, voxel by voxel: what a coil does to both cancels.
    middle_mm : tuple of float, optional
        World coordinates of the middle of its marrow.
    """

    t2fs: float
    marrow_ml: float
    t1: float | None = None
    quotient: float | None = None
    middle_mm: tuple[float, ...] | None = None


def bone_signals(
    signal: NDArray[np.float32],
    t1: NDArray[np.float32] | None,
    bones: Volume,
    interior: NDArray[np.bool_],
    t2fs_levels: Mapping[int, float],
    t1_levels: Mapping[int, float] | None,
) -> dict[int, BoneSignal]:
    """Return the usual signals of each bone that has a level on every series, by label."""
    usable = interior & (signal > 0)
    if t1 is not None:
        usable &= t1 > 0
    found = {}
    for label, level in t2fs_levels.items():
        own = usable & (bones.data == label)
        if not own.any():
            continue
        ml = float(np.count_nonzero(own) * bones.grid.voxel_ml)
        middle = tuple(float(v) for v in bones.grid.to_world(np.argwhere(own).mean(0)[None])[0])
        if t1 is None or t1_levels is None:
            found[label] = BoneSignal(level, ml, middle_mm=middle)
        elif label in t1_levels:
            quotient = robust_centre(signal[own] / t1[own])
            found[label] = BoneSignal(level, ml, t1_levels[label], quotient, middle)
    return found


def is_watery(one: BoneSignal, other: BoneSignal, least_quotient: float) -> bool:
    """Say whether a bone is full of edema against another one.

    It is brighter on the fat-suppressed series, darker on T1, and by more than red marrow is
    against yellow. Without a T1 it is brighter than a coil and weak suppression make a bone.
    Bones more than `COMPARED_MM` apart are not compared.

    Examples
    --------
    >>> normal, red = BoneSignal(100, 60, 400, 0.25), BoneSignal(91, 60, 250, 0.36)
    >>> full = BoneSignal(210, 90, 280, 0.75)
    >>> [is_watery(bone, normal, least_quotient=1.7) for bone in (full, red)]
    [True, False]
    >>> is_watery(BoneSignal(210, 90), BoneSignal(100, 60), least_quotient=1.7)
    True
    """
    if other.marrow_ml < max(MIN_MARROW_ML, LEAST_SHARE * one.marrow_ml):
        return False
    if (
        one.middle_mm
        and other.middle_mm
        and math.dist(one.middle_mm, other.middle_mm) > COMPARED_MM
    ):
        return False
    if one.t1 is None or one.quotient is None or other.t1 is None or other.quotient is None:
        return one.t2fs >= OUTLYING_ALONE * other.t2fs
    return (
        one.t2fs > OUTLYING * other.t2fs
        and one.t1 < DARK_T1 * other.t1
        and one.quotient > least_quotient * other.quotient
    )


def filled_bones(
    signals: Mapping[int, BoneSignal], sequence_class: SequenceClass
) -> tuple[int, ...]:
    """Return the labels of the bones that are full of edema against any other.

    The largest bone may be: of two bones, one of which is full, the median is that one's. Without a
    T1 only that is asked: what is brighter than the median is told from that.
    """
    filled = _watery_bones(signals, WATERY[sequence_class])
    most = sum(signal.marrow_ml for signal in signals.values()) / 2
    return tuple(v for v in filled if signals[v].t1 is not None or signals[v].marrow_ml > most)


def red_or_filled_bones(
    signals: Mapping[int, BoneSignal], sequence_class: SequenceClass
) -> tuple[int, ...]:
    """Return the labels of bones full of red marrow or mild edema, which PD-FS does not tell."""
    if sequence_class is not SequenceClass.PD_FS:
        return ()
    filled = _watery_bones(signals, WATERY[sequence_class])
    return tuple(v for v in _watery_bones(signals, RED_OR_MILD) if v not in filled)


def _watery_bones(signals: Mapping[int, BoneSignal], least_quotient: float) -> tuple[int, ...]:
    others = signals.values()
    return tuple(
        label
        for label, one in sorted(signals.items())
        if any(is_watery(one, other, least_quotient) for other in others)
    )


def relative_quotients(
    signals: Mapping[int, BoneSignal], unsound: Collection[int] = ()
) -> dict[int, float]:
    """Return each bone's quotient against that of all sound bones by volume.

    What the coil does to both series cancels, where a fitted shading is a guess: it was off by a
    third in the clavicles of two shoulder phantoms, whose outer end lies beyond all other bones.
    """
    known = {label: s for label, s in signals.items() if s.quotient is not None}
    sound = [s for label, s in known.items() if label not in unsound]
    if not sound:
        return {}
    usual = weighted_median(
        np.array([s.quotient for s in sound]), np.array([s.marrow_ml for s in sound])
    )
    return {label: (s.quotient or 0.0) / usual for label, s in known.items()}


def is_fatty(
    label: int,
    signals: Mapping[int, BoneSignal],
    sound: Mapping[int, BoneSignal],
    quotient: float = np.inf,
) -> bool:
    """Say whether a bright bone with marrow of its own has as much T1 signal as the sound ones.

    Where a whole bone is bright on the fat-suppressed series, water in the place of fat makes it
    dark on T1 as well; suppression that is weaker there, as in front of the knee, does not. Without
    a T1 it is taken for fatty up to `OUTLYING_ALONE` times its neighbours' level. `quotient` is
    that of `relative_quotients`: where it is not as high as both levels together, their shading is
    wrong.

    Examples
    --------
    >>> others = {1: BoneSignal(10, 60, 100, 0.1), 2: BoneSignal(9, 60, 104, 0.09)}
    >>> fatty, watery = BoneSignal(21, 30, 96, 0.22), BoneSignal(21, 30, 70, 0.3)
    >>> [is_fatty(3, {**others, 3: bone}, others) for bone in (fatty, watery)]
    [True, False]
    >>> is_fatty(3, {**others, 3: watery}, others, quotient=1.2)
    True
    >>> alone = {1: BoneSignal(10, 60), 2: BoneSignal(9, 60), 3: BoneSignal(13, 30)}
    >>> is_fatty(3, alone, alone)
    True
    """
    if label not in signals:
        return False
    own = signals[label]
    if own.t1 is None:
        return own.t2fs < OUTLYING_ALONE * float(np.median([s.t2fs for s in signals.values()]))
    if quotient < OUTLYING / DARK_T1:
        return True
    return own.t1 >= DARK_T1 * float(np.median([s.t1 for s in sound.values() if s.t1 is not None]))


def stands_out(
    label: int,
    site: Site,
    signals: Mapping[int, BoneSignal],
    sequence_class: SequenceClass,
) -> bool:
    """Say whether a vertebra is brighter than its neighbours, and not fattier than they are.

    A vertebra's red marrow is dark on T1 already, so that edema may leave its T1 as it is. Neither
    a coil nor weak suppression makes a vertebra brighter than both its neighbours, and a coil does
    not move the quotient of both series. Of 13 vertebrae of two real spines none has more than 1.03
    times its brighter neighbour's signal, the last ones 1.15 times their only one's; of phantoms'
    without edema none more than 1.12.
    """
    if sequence_class not in ABOVE_NEIGHBOURS or label not in signals:
        return False
    beside = _neighbours(label, site, signals)
    least, least_at_end = ABOVE_NEIGHBOURS[sequence_class]
    least = least if len(beside) > 1 else least_at_end
    own = signals[label]
    return bool(beside) and all(
        own.t2fs > least * other.t2fs
        and (own.quotient or 0.0) > OUTLYING * (other.quotient or np.inf)
        and (own.t1 or np.inf) < FATTIER * (other.t1 or 0.0)
        for other in beside
    )


def _neighbours(label: int, site: Site, signals: Mapping[int, BoneSignal]) -> list[BoneSignal]:
    """Return the signals of the vertebrae above and below one, where they are in view."""
    vertebrae = {bone.label for bone in site.bones if is_any_vertebra(bone.name)}
    column = sorted(
        (signal.middle_mm[2], v)
        for v, signal in signals.items()
        if v in vertebrae and signal.middle_mm
    )
    places = [v for _, v in column]
    if label not in places:
        return []
    place = places.index(label)
    return [signals[v] for v in places[max(place - 1, 0) : place + 2] if v != label]
