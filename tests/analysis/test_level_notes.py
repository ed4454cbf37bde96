"""Vertebrae that could only be numbered are said to be so."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.levels import bodies_note, level_notes, small_notes
from bmepipe.site import load_site
from bmepipe.volume import Grid, Volume


def labelled(site: str, name: str) -> Volume:
    grid = Grid((4, 5, 3), np.diag([1.0, 0.8, 3.0, 1.0]))
    data = np.zeros(grid.shape, np.uint8)
    data[1:3, 2:4, 1] = next(b.label for b in load_site(site).bones if b.name == name)
    return Volume(data, grid)


@pytest.mark.parametrize(("site", "start"), [("lumbar", "sacrum"), ("cervical", "C2")])
def test_numbered_vertebrae_are_said_to_be_so(site: str, start: str) -> None:
    (note,) = level_notes(labelled(site, "vertebra_2"), load_site(site))
    assert f"no {start} in view" in note


@pytest.mark.parametrize(
    ("site", "bone"), [("lumbar", "L4"), ("cervical", "C5"), ("knee", "tibia")]
)
def test_named_bones_need_no_note(site: str, bone: str) -> None:
    assert level_notes(labelled(site, bone), load_site(site)) == ()


@pytest.mark.parametrize(
    ("site", "bone", "said"),
    [
        ("lumbar", "L4", 1),
        ("lumbar", "vertebra_1", 1),
        ("cervical", "vertebra_1", 0),
        ("lumbar", "sacrum", 0),
        ("hip", "ilium", 0),
    ],
)
def test_arches_are_said_not_to_be_judged(site: str, bone: str, said: int) -> None:
    assert len(bodies_note(labelled(site, bone), load_site(site))) == said


def spine(voxels_of: dict[str, int]) -> Volume:
    """Return a lumbar label map whose bones, from below, have so many voxels."""
    data = np.zeros((10, 10, 30), np.uint8)
    numbers = {bone.name: bone.label for bone in load_site("lumbar").bones}
    for z, (name, voxels) in enumerate(voxels_of.items()):
        data[:, :, 3 * z].flat[:voxels] = numbers[name]
    return Volume(data, Grid(data.shape, np.diag([1.0, 0.8, 3.0, 1.0])))


def test_levels_counted_from_a_sacrum_that_is_cut_are_to_be_checked() -> None:
    lumbar = load_site("lumbar")
    bodies = {"L5": 40, "L4": 50, "L3": 60}
    (note,) = level_notes(spine({"sacrum": 60, **bodies}), lumbar)
    assert "to be checked" in note
    assert level_notes(spine({"sacrum": 90, **bodies}), lumbar) == ()
    assert level_notes(spine(bodies), lumbar) == ()  # a user's label map may have no sacrum


def test_too_little_of_a_sacrum_is_said_to_be_so() -> None:
    (note,) = level_notes(spine({"sacrum": 10, "vertebra_1": 50}), load_site("lumbar"))
    assert "too little of the sacrum" in note


def test_a_body_far_smaller_than_its_neighbours_is_named() -> None:
    lumbar = load_site("lumbar")
    bodies = {"L5": 40, "L4": 22, "L3": 36, "L2": 30, "L1": 30}
    (line,) = small_notes(spine(bodies), lumbar)
    assert line.startswith("L4 has ")
    assert "collapsed, or found in part" in line
    assert small_notes(spine(bodies | {"L4": 33}), lumbar) == ()
    assert small_notes(spine({"L5": 40, "L4": 10}), lumbar) == ()  # the field may end there
    numbered = spine({"vertebra_3": 40, "vertebra_2": 22, "vertebra_1": 36})
    assert small_notes(numbered, lumbar)[0].startswith("vertebra_2 has ")
    assert small_notes(labelled("knee", "tibia"), load_site("knee")) == ()
