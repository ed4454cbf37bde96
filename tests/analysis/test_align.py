from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.align import align, antialias_sigma_mm, corner_motion_mm, register, resample
from bmepipe.volume import Grid, Volume

NEAR = np.diag([1.5, 1.5, 4.0, 1.0])


def textured(grid: Grid, invert: bool = False) -> Volume:
    """A smooth pattern fixed in the world, the same for every grid."""
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    x, y, z = (points - [30, 30, 30]).T
    body = 1 / (1 + np.exp((np.sqrt((x / 1.2) ** 2 + y**2 + (z / 1.1) ** 2) - 22) / 2))
    spots = np.exp(-((x - 9) ** 2 + (y + 5) ** 2 + (z - 6) ** 2) / 60)
    spots += 0.7 * np.exp(-((x + 10) ** 2 + (y - 8) ** 2 + (z + 9) ** 2) / 40)
    value = body * (100 + 150 * spots) if not invert else body * (250 - 150 * spots)
    return Volume(np.asfortranarray(value.reshape(grid.shape), np.float32), grid)


def moved(grid: Grid, shift_mm: tuple[float, float, float]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += shift_mm
    return Grid(grid.shape, affine)


def test_resampling_a_turned_grid_finds_the_same_world(grid):
    source = Grid((60, 60, 60), np.diag([1.0, 1.0, 1.0, 1.0]))
    target = Grid(
        (20, 24, 10),
        np.array([[0, 1.2, 0, 15], [-1.5, 0, 0, 45], [0, 0, 2.0, 20], [0, 0, 0, 1]], float),
    )
    found = resample(textured(source), target)
    assert found.data.flags.f_contiguous
    np.testing.assert_allclose(found.data, textured(target).data, atol=6)


def test_dtype_picks_the_interpolation():
    grid = Grid((3, 1, 1), np.eye(4))
    half = Grid((2, 1, 1), np.array([[1, 0, 0, 0.4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    labels = Volume(np.array([1, 5, 2], np.uint8).reshape(3, 1, 1), grid)
    assert resample(labels, half).data.ravel().tolist() == [1, 5]
    mask = Volume(np.array([1, 0, 1], bool).reshape(3, 1, 1), grid)
    assert resample(mask, half).data.dtype == bool
    signal = Volume(np.array([1, 5, 2], np.float32).reshape(3, 1, 1), grid)
    assert resample(signal, half).data.ravel().tolist() == pytest.approx([2.6, 3.8])


def test_outside_is_zero():
    grid = Grid((2, 2, 2), np.eye(4))
    far = moved(grid, (50, 0, 0))
    assert not resample(Volume(np.ones((2, 2, 2), np.float32), grid), far).data.any()


def test_fine_detail_does_not_alias():
    fine = Grid((64, 8, 8), np.diag([0.5, 2.0, 2.0, 1.0]))
    stripes = np.zeros(fine.shape, np.float32)
    stripes[::2] = 100
    coarse = resample(Volume(stripes, fine), Grid((14, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0])))
    assert np.ptp(coarse.data[2:-2]) < 15
    assert antialias_sigma_mm(fine, fine) == (0, 0, 0)


def test_same_frame_and_grid_is_left_alone():
    volume = textured(Grid((20, 20, 10), NEAR))
    same, notes = align(volume, volume, same_frame=True)
    assert same is volume
    assert notes == ()


def test_motion_is_found_and_said():
    fixed = textured(Grid((40, 40, 15), NEAR))
    # The same body seen 4 mm further along x, and with other contrast.
    shifted = textured(Grid((40, 40, 15), NEAR), invert=True)
    shifted = Volume(shifted.data, moved(shifted.grid, (4.0, 0.0, 0.0)))
    found, notes = align(shifted, fixed, same_frame=False)
    truth = textured(fixed.grid, invert=True)
    inside = truth.data > 50
    before = np.abs(resample(shifted, fixed.grid).data - truth.data)[inside].mean()
    after = np.abs(found.data - truth.data)[inside].mean()
    assert after < 0.4 * before
    assert "registered" in notes[0]


def test_motion_over_the_cap_is_not_believed():
    fixed = textured(Grid((40, 40, 15), NEAR))
    shifted = textured(Grid((40, 40, 15), NEAR), invert=True)
    shifted = Volume(shifted.data, moved(shifted.grid, (5.0, 0.0, 0.0)))
    transform, why = register(shifted, fixed, cap_mm=2.0)
    assert "not believed" in why
    assert corner_motion_mm(transform, fixed.grid) == 0


def test_nothing_gained_keeps_the_headers():
    fixed = textured(Grid((40, 40, 15), NEAR))
    transform, why = register(textured(fixed.grid), fixed, cap_mm=15.0)
    assert corner_motion_mm(transform, fixed.grid) < 0.5
    assert "headers kept" in why or "0." in why
