"""Both knees in one study: which side a series shows, by its words or by its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.laterality import chosen_side_note, of_one_side, side_in_name, sides_of
from bmepipe.errors import NoUsablePair, UnknownChoice
from bmepipe.site import load_site
from bmepipe.study import Role, Series, Study
from bmepipe.volume import Grid

KNEE = load_site("knee")


def one(number: int, x_mm: float, side: str = "", frame: str = "1.2", wide: int = 40) -> Series:
    """A sagittal series 3 mm a slice, its middle at `x_mm` to the right."""
    affine = np.array([[0, 0, 3.0, x_mm - 1.5 * wide], [0.6, 0, 0, -60], [0, -0.6, 0, 70],
                       [0, 0, 0, 1]])  # fmt: skip
    grid = Grid((200, 220, wide), affine)
    return Series(f"9.{number}", (), number=number, role=Role.T2FS, laterality=side, grid=grid,
                  frame_of_reference_uid=frame)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("SAG_IW_TSE_LEFT", "L"), ("cor stir genou droit", "R"), ("Knie links pd fs", "L"),
        ("KNEE_R t2", "R"), ("T1 R>>L", ""), ("left and right", ""), ("bright fluid", ""),
        ("t2 L4 L5", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_side_in_a_name(name: str, side: str) -> None:
    assert side_in_name(name) == side


def test_series_of_both_sides_are_refused_until_one_is_asked_for() -> None:
    both = [one(2, 110, "R"), one(5, -110, "L"), one(6, -110, "L")]
    with pytest.raises(NoUsablePair, match=r"left: 5 .*, 6 .*; right: 2 .*--side left"):
        of_one_side(both, KNEE, None)
    assert [s.number for s in of_one_side(both, KNEE, "left")] == [5, 6]
    assert [s.number for s in of_one_side(both, KNEE, "right")] == [2]
    with pytest.raises(NoUsablePair, match="of the right side"):
        of_one_side(both[1:], KNEE, "right")
    with pytest.raises(UnknownChoice, match="left, right"):
        of_one_side(both, KNEE, "both")


def test_silent_series_beside_each_other_are_of_two_sides() -> None:
    apart = [one(2, -95), one(3, 95)]
    assert sides_of(apart) == {"9.2": "L", "9.3": "R"}
    with pytest.raises(NoUsablePair, match="series of both"):
        of_one_side(apart, KNEE, None)
    # In another frame of reference the place says nothing, nor where they overlap.
    assert set(sides_of([one(2, -95), one(3, 95, frame="1.3")]).values()) == {""}
    assert set(sides_of([one(2, -20), one(3, 20)]).values()) == {""}


def test_one_scan_of_both_sides_is_of_neither() -> None:
    series = [one(2, -95, "L"), one(3, 95, "R"), one(4, 0, wide=110), one(5, 92)]
    assert sides_of(series) == {"9.2": "L", "9.3": "R", "9.4": "", "9.5": "R"}
    assert [s.number for s in of_one_side(series, KNEE, None)] == [4]


def test_one_side_or_a_site_without_sides_is_left_alone() -> None:
    same = [one(2, 100, "R"), one(3, 95)]
    assert of_one_side(same, KNEE, None) == same
    both = [one(2, 110, "R"), one(5, -110, "L")]
    assert of_one_side(both, load_site("lumbar"), None) == both
    assert of_one_side(both, None, None) == both
    assert of_one_side([], KNEE, "left") == []


def test_the_side_asked_for_is_a_note_only_where_there_are_both() -> None:
    right, left = one(2, 110, "R"), one(5, -110, "L")
    note = ("Of a study of both sides: the left one, as asked for.",)
    assert chosen_side_note(Study("1", (left, right)), "left") == note
    assert chosen_side_note(Study("1", (left,)), "left") == ()
    other = replace(right, role=Role.OTHER)  # not one that could have been taken
    assert chosen_side_note(Study("1", (other, left)), "left") == ()
