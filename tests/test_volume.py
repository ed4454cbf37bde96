"""Grids: known corners, orientations and refusals."""

import numpy as np
import pytest

from bmepipe.errors import GridMismatch, ImplausibleImage
from bmepipe.volume import Grid, SliceSource, Volume, require_same_grid


@pytest.mark.parametrize(
    ("columns", "orientation", "plane"),
    [
        (([0.5, 0, 0], [0, 0.6, 0], [0, 0, 3]), "RAS", "axial"),
        (([0, -0.5, 0], [0, 0, -0.6], [3, 0, 0]), "PIR", "sagittal"),
        (([-0.5, 0, 0], [0, 0, -0.6], [0, 3, 0]), "LIA", "coronal"),
        (([0.4, 0.3, 0], [-0.3, 0.4, 0.1], [0.1, 0, 3]), "RAS", "axial"),
        (
            ([0, -0.7, 0], [0, 0, -0.7], [0.5, 0, 0]),
            "PIR",
            "sagittal",
        ),  # slices thinner than pixels
        (([3, 0, 0], [0, 0.5, 0], [0, 0, 0.5]), "RAS", "sagittal"),  # a file that was turned
    ],
)
def test_orientation_and_plane_of_known_grids(columns, orientation, plane):
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    grid = Grid((5, 6, 7), affine)
    assert grid.orientation == orientation
    assert grid.plane == plane


def test_voxel_volume_counts_shear_and_spacing():
    affine = np.array([[2.0, 0, 1, 0], [0, 3, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    grid = Grid((2, 2, 2), affine)
    assert grid.voxel_ml == pytest.approx(0.024)  # 2 x 3 x 4 mm3: shear changes no volume
    assert grid.spacing_mm == pytest.approx((2.0, 3.0, np.sqrt(17.0)))


def test_lps_goes_there_and_back(turned_grid):
    again = Grid.from_lps(turned_grid.shape, turned_grid.lps_affine)
    assert again.matches(turned_grid, tolerance_mm=1e-9)
    assert turned_grid.lps_affine[0, 3] == -turned_grid.affine[0, 3]
    assert turned_grid.lps_affine[2, 3] == turned_grid.affine[2, 3]


def test_index_and_world_are_inverse(turned_grid):
    index = np.array([[0, 0, 0], [19, 3, 8], [2.5, 1.25, 7.75]])
    assert np.allclose(turned_grid.to_index(turned_grid.to_world(index)), index)


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((0, 2, 2), np.eye(4)),
        ((2, 2), np.eye(4)),
        ((2, 2, 2), np.eye(3)),
        ((2, 2, 2), np.full((4, 4), np.nan)),
        ((2, 2, 2), np.diag([1.0, 0, 1, 1])),
    ],
)
def test_a_grid_that_cannot_be_is_refused(shape, affine):
    with pytest.raises(ImplausibleImage):
        Grid(shape, affine)


def test_grids_match_by_corners_in_mm(turned_grid):
    moved = turned_grid.affine.copy()
    moved[1, 3] += 0.09
    assert turned_grid.matches(Grid(turned_grid.shape, moved))
    moved[1, 3] += 0.02
    assert not turned_grid.matches(Grid(turned_grid.shape, moved))
    assert not turned_grid.matches(Grid((20, 17, 8), turned_grid.affine))


def test_a_volume_is_read_only_and_checks_shape_and_sources(turned_grid):
    volume = Volume(np.zeros(turned_grid.shape, np.float32), turned_grid)
    with pytest.raises(ValueError, match="read-only"):
        volume.data[0, 0, 0] = 1.0
    with pytest.raises(GridMismatch, match=r"\(20, 17, 9\)"):
        Volume(np.zeros((2, 2, 2)), turned_grid)
    with pytest.raises(GridMismatch, match="9 slice sources"):
        Volume(volume.data, turned_grid, (SliceSource("1.2", "1.2.3"),))
    with pytest.raises(TypeError, match="unsigned"):
        Volume(np.zeros(turned_grid.shape, np.int16), turned_grid)


def test_two_grids_are_refused_with_the_distance(turned_grid):
    moved = turned_grid.affine.copy()
    moved[2, 3] += 2.0
    first = Volume(np.zeros(turned_grid.shape, bool), turned_grid)
    second = Volume(np.zeros(turned_grid.shape, bool), Grid(turned_grid.shape, moved))
    with pytest.raises(GridMismatch, match=r"the labels on the grid of the T1.*2\.0 mm apart"):
        require_same_grid(first, second, ("T1", "labels"))
