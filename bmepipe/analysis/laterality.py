"""Which side a series shows, where one study holds both knees, hips, ankles or shoulders.

Cohorts scan both knees in one visit, a series for each. One would be chosen and the other left
without a word; so both sides are refused until the user names one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from bmepipe.errors import NoUsablePair, unknown_choice
from bmepipe.site import Site
from bmepipe.study import Role, Series, Study, label
from bmepipe.volume import overlap

LATERALITY = {"left": "L", "right": "R"}
# English, German, French, Spanish, Portuguese and Italian; a lone letter as in "KNEE_L".
_WORDS = {
    "L": ("left", "lt", "l", "links", "gauche", "izquierda", "izquierdo", "izq", "esquerda",
          "esquerdo", "sinistra", "sinistro"),
    "R": ("right", "rt", "r", "rechts", "droit", "droite", "derecha", "derecho", "direita",
          "direito", "destra", "destro"),
}  # fmt: skip
APART_MM = 60.0  # between the middles of two series, along left and right: of two legs
SHOWS = 0.3  # part of a series of one side that another covers, which then shows that side


def side_in_name(name: str) -> str:
    """Return "L" or "R" if a series' name holds words of that side alone, else nothing.

    Examples
    --------
    >>> side_in_name("SAG_IW_TSE_RIGHT"), side_in_name("KNEE L PD"), side_in_name("ax R>>L t1")
    ('R', 'L', '')
    >>> side_in_name("upright rl L5")
    ''
    """
    tokens = set(re.split(r"[^a-z0-9]+", name.lower()))
    said = [side for side, words in _WORDS.items() if tokens & set(words)]
    return said[0] if len(said) == 1 else ""


def sides_of(series: Sequence[Series]) -> dict[str, str]:
    """Return "L", "R" or nothing for each series, by key: as it says itself, else by its place.

    What covers series of one side alone shows that side. Where no series says its own, two in
    one frame of reference that lie beside each other are of two sides.
    """
    sides = {s.key: s.laterality for s in series}
    if not any(sides.values()):
        for one in series:
            for other in series:
                if _lies_right_of(one, other):
                    sides[one.key], sides[other.key] = "R", "L"
        return sides
    told = [s for s in series if s.laterality]
    for one in series:
        shown = {s.laterality for s in told if not one.laterality and _covers(one, s)}
        if len(shown) == 1:
            (sides[one.key],) = shown
    return sides


def of_one_side(candidates: Sequence[Series], site: Site | None, side: str | None) -> list[Series]:
    """Return the candidates that may show the side asked for; without one, those of no single side.

    Parameters
    ----------
    candidates : sequence of Series
        Fat-suppressed, with a grid.
    site : Site, optional
        Only one that the body has twice can be split; None is not asked.
    side : str, optional
        "left" or "right".

    Raises
    ------
    UnknownChoice
        If `side` is another word.
    NoUsablePair
        If the candidates show both sides and none was asked for, or none shows that one.
    """
    if side is not None and side not in LATERALITY:
        raise unknown_choice("side", side, LATERALITY)
    if not candidates:
        return []
    sides = sides_of(candidates)
    told = "; ".join(
        f"{name}: {', '.join(label(s) for s in candidates if sides[s.key] == letter)}"
        for name, letter in LATERALITY.items()
        if letter in sides.values()
    )
    if side is not None:
        kept = [s for s in candidates if sides[s.key] in ("", LATERALITY[side])]
        if not kept:
            raise NoUsablePair(
                f"a fat-suppressed series of the {side} side", told, "give the other --side"
            )
        return kept
    if site is None or not site.paired or not {"L", "R"} <= set(sides.values()):
        return list(candidates)
    neither = [s for s in candidates if not sides[s.key]]  # one scan of both, for instance
    if not neither:
        raise NoUsablePair(
            "fat-suppressed series of one side",
            f"series of both ({told})",
            "say which with --side left or --side right, one run for each",
        )
    return neither


def chosen_side_note(study: Study, side: str) -> tuple[str, ...]:
    """Return a note on the side asked for where a study shows both; nothing where it shows one."""
    shown = sides_of(
        [s for s in study.series if s.role is Role.T2FS and s.grid is not None and not s.refusal]
    )
    both = {"L", "R"} <= set(shown.values())
    return (f"Of a study of both sides: the {side} one, as asked for.",) if both else ()


def _lies_right_of(one: Series, other: Series) -> bool:
    """Say whether a series lies far to the right of another in its frame of reference."""
    if not _same_frame(one, other) or _covers(one, other):
        return False
    assert one.grid is not None
    assert other.grid is not None
    apart = _middle(one) - _middle(other)
    return bool(apart[0] > APART_MM and np.abs(apart).argmax() == 0)


def _covers(one: Series, other: Series) -> bool:
    """Say whether a series covers a fair part of another in its frame of reference."""
    if not _same_frame(one, other):
        return False
    assert one.grid is not None
    assert other.grid is not None
    return overlap(other.grid, one.grid) > SHOWS


def _same_frame(one: Series, other: Series) -> bool:
    named = one.frame_of_reference_uid == other.frame_of_reference_uid != ""
    return named and one.grid is not None and other.grid is not None


def _middle(series: Series) -> np.ndarray:
    assert series.grid is not None
    return series.grid.to_world([[(n - 1) / 2 for n in series.grid.shape]])[0]
