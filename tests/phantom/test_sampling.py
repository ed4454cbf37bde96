"""Fields between the nodes: right where they matter, and left out only where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.phantom import sampling
from bmepipe.phantom.anatomy import phantom_sites
from bmepipe.phantom.points import dot, length, pack, split, times
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.sampling import Axis, look_through
from bmepipe.phantom.scanner import Content, fill_voxels
from bmepipe.phantom.study import diseased_anatomy


def _content(site: str) -> Content:
    scan = replace(coarse(site_protocol(site), 4), slices=2)
    anatomy = diseased_anatomy(site, 3)
    grid = scan.grid(anatomy.centre_mm)
    return fill_voxels(anatomy, look_through(anatomy, grid), scan.t2fs, scan.thickness_mm)


@pytest.mark.parametrize("site", phantom_sites())
def test_leaving_out_far_fields_changes_nothing(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = _content(site)
    monkeypatch.setattr(sampling, "_FAR_OFF_MM", 1e6)
    whole = _content(site)
    assert np.abs(quick.water - whole.water).max() < 1e-5
    assert np.abs(quick.fat - whole.fat).max() < 1e-5
    assert np.array_equal(quick.bones, whole.bones)
    assert np.array_equal(quick.edema, whole.edema)


def test_fields_at_the_pixels_are_those_of_the_anatomy() -> None:
    scan = replace(coarse(site_protocol("knee"), 3), slices=1, tilt_deg=(11.0, -7.0))
    anatomy = diseased_anatomy("knee", 3)
    grid = scan.grid(anatomy.centre_mm)
    planes = look_through(anatomy, grid)
    offset = planes.offsets_mm[0] / grid.spacing_mm[2]
    for tile in planes.tiles:
        columns, rows = tile.window
        index = np.mgrid[columns, rows, 0:1].reshape(3, -1).T + np.array([0, 0, offset])
        exact = anatomy.bones(grid.to_world(index))["femur"]
        told = planes.in_tile(0, tile)["bone.femur"][0].ravel()
        near = np.abs(exact) < 5
        assert not near.any() or np.abs(told - exact)[near].max() < 0.25


def test_linear_fields_are_kept_exactly() -> None:
    axis = Axis.over(np.array([0.0, 0.4, 1.0, 2.9]), np.array([0.0, 1.0, 2.0, 3.0]))
    values = np.float32([[5, 7, 9, 11], [1, 2, 3, 4]])
    np.testing.assert_allclose(axis.fine(values, 1), [[5, 5.8, 7, 10.8], [1, 1.4, 2, 3.9]], 1e-6)
    span, part = axis.part(2, 4)
    np.testing.assert_allclose(part.fine(values[:, span], 1), [[7, 10.8], [2, 3.9]], 1e-6)


def test_points_kept_by_coordinate() -> None:
    points = pack(*np.random.default_rng(0).normal(size=(3, 4, 5)))
    matrix = np.random.default_rng(1).normal(size=(3, 3))
    assert points.shape == (4, 5, 3)
    assert all(np.shares_memory(column, points) for column in split(points))
    np.testing.assert_allclose(times(points, matrix), points @ matrix, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dot(points, matrix[0]), points @ matrix[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(length(points), np.linalg.norm(points, axis=-1), rtol=1e-5)
