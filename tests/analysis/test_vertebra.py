"""The basivertebral vein is told by its place and size, in a vertebra that lies turned."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.vertebra import is_basivertebral
from bmepipe.volume import Grid, Volume


@pytest.fixture
def body() -> Volume:
    """A body 40 mm wide, 34 mm deep and 28 mm high; sagittal slices stored from left to right."""
    affine = np.array([[0, 0, -4.4, 60], [0, -0.7, 0, 70], [-0.7, 0, 0, 40], [0, 0, 0, 1.0]])
    grid = Grid((80, 90, 14), affine)
    world = grid.to_world(np.argwhere(np.ones(grid.shape, bool))).reshape(*grid.shape, 3)
    inside = (np.abs(world - (30, 40, 12)) < (20, 17, 14)).all(axis=-1)
    return Volume(inside.astype(np.uint8) * 4, grid)


def block(spacing_mm: tuple[float, float, float]) -> Volume:
    """The same body, its axes along the patient's."""
    shape = tuple(round(n / step) for n, step in zip((60, 90, 60), spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    grid = Grid(shape, affine)
    world = grid.to_world(np.argwhere(np.ones(shape, bool))).reshape(*shape, 3)
    inside = (np.abs(world - (30, 40, 28)) < (20, 17, 14)).all(axis=-1)
    return Volume(inside.astype(np.uint8) * 4, grid)


@pytest.mark.parametrize("spacing_mm", [(4.4, 0.7, 0.8), (0.8, 4.4, 0.7), (0.8, 0.7, 4.4)])
def test_the_vein_is_told_in_every_plane(spacing_mm) -> None:
    body = block(spacing_mm)
    assert is_basivertebral(candidate(body, (30, 29, 28), (5, 11, 5)), body, 4)
    assert not is_basivertebral(candidate(body, (30, 29, 39), (5, 11, 5)), body, 4)
    assert not is_basivertebral(candidate(body, (30, 52, 28), (5, 11, 5)), body, 4)


def candidate(body: Volume, centre: tuple[float, float, float], size: tuple[float, float, float]):
    world = body.grid.to_world(np.argwhere(body.data >= 0))
    near = (np.abs(world - centre) <= np.array(size) / 2).all(axis=1)
    return np.argwhere(body.data >= 0)[near & (body.data.ravel() > 0)]


def test_a_small_wedge_at_the_middle_of_the_back_wall_is_the_vein(body: Volume) -> None:
    assert is_basivertebral(candidate(body, (30, 29, 12), (5, 10, 4)), body, 4)


@pytest.mark.parametrize(
    ("centre", "size"),
    [
        ((30, 29, 23), (5, 10, 4)),  # at the upper endplate
        ((30, 29, 1), (5, 10, 4)),  # at the lower one
        ((30, 52, 12), (5, 10, 4)),  # at the front
        ((30, 40, 12), (5, 8, 4)),  # in the middle, away from the back wall
        ((30, 30, 12), (12, 14, 7)),  # large
        ((30, 29, 12), (5, 10, 14)),  # tall
    ],
)
def test_what_lies_elsewhere_or_is_larger_is_not(body: Volume, centre, size) -> None:
    index = candidate(body, centre, size)
    assert len(index)
    assert not is_basivertebral(index, body, 4)
