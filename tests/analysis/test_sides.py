"""One side or two: twins of a bone to the right and left of each other, whole or cut."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.analysis.sides import middle_of_two, sides_note, site_shown
from bmepipe.site import both_sides, load_site
from bmepipe.volume import Grid, Volume

SPACING_MM = 2.0
SHOWN_ML = {1: 40.0, 2: 40.0}


def legs() -> NDArray[np.uint8]:
    """Two thighs (1) 120 mm apart, the left one larger, with a hip bone (2) across both."""
    kinds = np.zeros((110, 40, 50), np.uint8)
    kinds[5:25, 8:28, 2:22] = 1
    kinds[80:98, 10:28, 2:22] = 1
    kinds[10:92, 12:22, 26:40] = 2
    return kinds


def test_the_middle_lies_between_the_inner_edges_of_twins() -> None:
    assert middle_of_two(legs(), SHOWN_ML, SPACING_MM) in (52, 53)


def test_the_field_may_cut_a_twin_s_outer_part() -> None:
    assert middle_of_two(legs()[:92], SHOWN_ML, SPACING_MM) in (52, 53)


@pytest.mark.parametrize(
    ("what", "cut"),
    [
        ("one side", np.s_[:60]),
        ("a twin of which next to nothing is in view", np.s_[:83]),
    ],
)
def test_one_side_is_one(what: str, cut: slice) -> None:
    assert middle_of_two(legs()[cut], SHOWN_ML, SPACING_MM) is None, what


def test_pieces_of_one_bone_are_no_twins() -> None:
    above = np.zeros((50, 50, 90), np.uint8)
    above[5:45, 5:45, 2:30], above[5:45, 5:45, 60:88] = 1, 1  # a shaft cut in two
    assert middle_of_two(above, {1: 40.0}, SPACING_MM) is None
    beside = np.zeros((50, 50, 90), np.uint8)
    beside[2:20, 5:45, 2:30], beside[22:40, 5:45, 2:30] = 1, 1  # too near to be twins
    assert middle_of_two(beside, {1: 40.0}, SPACING_MM) is None


def test_a_false_twin_without_the_other_bones_is_none() -> None:
    kinds = legs()
    kinds[30:, :, 26:40] = 0
    assert middle_of_two(kinds, SHOWN_ML, SPACING_MM) is None


def test_labels_say_which_sides_are_shown() -> None:
    knee = load_site("knee")
    grid = Grid((1, 1, 3), np.diag([1.0, 2.0, 3.0, 1.0]))
    one = Volume(np.array([[[0, 1, 3]]], np.uint8), grid)
    two = Volume(np.array([[[11, 0, 21]]], np.uint8), grid)
    assert site_shown(knee, one) is knee
    assert sides_note(knee, one) == ()
    assert site_shown(knee, two) == both_sides(knee)
    assert "right or left" in sides_note(knee, two)[0]
    assert site_shown(knee, two).bone(21).name == "femur_left"
    assert site_shown(knee, two).bone(21).snomed_code == knee.bone(1).snomed_code


def test_a_site_that_has_no_twin_stays_as_it_is() -> None:
    for name in ("lumbar", "cervical", "sacroiliac"):
        assert both_sides(load_site(name)) == load_site(name)
