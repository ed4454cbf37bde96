"""Where bones come from: vertebrae that could only be numbered are said to be so."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.bones import level_notes
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
