"""What a run would choose, told from headers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.foretell import foretell
from bmepipe.errors import NoUsablePair, UnknownChoice
from bmepipe.study import FatSuppression, Role, Series, Study, Weighting
from bmepipe.volume import Grid

# Index axes of a slice and of the stack in RAS mm.
AXES = {
    "sagittal": [[0, 0, 4.0], [0.5, 0, 0], [0, -0.5, 0]],
    "coronal": [[0.5, 0, 0], [0, 0, 4.0], [0, -0.5, 0]],
}


def stir(number: int, plane: str, body_part: str = "") -> Series:
    affine = np.eye(4)
    affine[:3, :3] = AXES[plane]
    return Series(
        f"9.{number}",
        (),
        number=number,
        role=Role.T2FS,
        weighting=Weighting.T2,
        fat_suppression=FatSuppression.STIR,
        confidence=0.9,
        body_part=body_part,
        grid=Grid((200, 200, 20), affine),
    )


def test_the_site_that_headers_name_decides_the_plane() -> None:
    study = Study("1", (stir(1, "sagittal", "SI JOINT"), stir(2, "coronal", "SI JOINT")))
    choice = foretell(study)
    assert choice.t2fs.number == 2
    assert choice.reasons[0] == "site sacroiliac: the headers say 'SI JOINT'"
    assert "coronal is preferred for the sacroiliac" in choice.reasons[1]
    assert foretell(study, "knee").t2fs.number == 1


def test_where_headers_name_none_it_is_said() -> None:
    choice = foretell(Study("1", (stir(1, "sagittal"), stir(2, "coronal"))))
    assert choice.reasons[0] == (
        "headers that name no known site: a run tells the site from the images, which were not"
        " read here"
    )


def test_what_a_run_refuses_is_refused() -> None:
    left = replace(stir(1, "sagittal", "KNEE"), laterality="L")
    right = replace(stir(2, "sagittal", "KNEE"), laterality="R")
    with pytest.raises(NoUsablePair, match="--side left or --side right"):
        foretell(Study("1", (left, right)))
    assert foretell(Study("1", (left, right)), side="right").t2fs.number == 2
    with pytest.raises(UnknownChoice, match="sacroiliac"):
        foretell(Study("1", (left,)), "elbow")
