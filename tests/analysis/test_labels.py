"""A user's label map: turned without resampling, or refused by name."""

import numpy as np
import pytest

from bmepipe.analysis.labels import check_bones, missing_note, reorder, require_overlap
from bmepipe.errors import GridMismatch, NoBonesFound, UnknownLabels
from bmepipe.site import both_sides, load_site
from bmepipe.volume import Grid, Volume


def stored_differently(volume: Volume, axes: list[int], flips: list[int]) -> Volume:
    """The same voxels in the same places, stored in another order."""
    data = np.flip(np.transpose(volume.data, axes), flips)
    affine = volume.grid.affine[:, [*axes, 3]].copy()
    for axis in flips:
        affine[:, 3] += affine[:, axis] * (data.shape[axis] - 1)
        affine[:, axis] *= -1
    return Volume(np.ascontiguousarray(data), Grid(data.shape, affine))


@pytest.fixture
def labels(turned_grid):
    data = np.zeros(turned_grid.shape, np.uint8)
    data[2:9, 3:5, 1:7] = 1
    data[12:15, 8:16, 2:4] = 3
    return Volume(data, turned_grid)


@pytest.mark.parametrize("axes", [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
@pytest.mark.parametrize("flips", [[], [0], [1, 2], [0, 1, 2]])
def test_axes_stored_in_another_order_are_turned_back_exactly(labels, axes, flips):
    other = stored_differently(labels, axes, flips)
    assert np.array_equal(check_bones(other, labels.grid, load_site("knee")).data, labels.data)


def test_another_grid_is_refused_with_both_shapes(labels):
    moved = labels.grid.affine.copy()
    moved[0, 3] += 1.0
    other = Volume(labels.data, Grid(labels.grid.shape, moved))
    assert reorder(other, labels.grid) is other
    with pytest.raises(GridMismatch, match=r"corners up to 1\.0 mm apart"):
        check_bones(other, labels.grid, load_site("knee"))


def test_unknown_labels_are_named(labels):
    data = labels.data.copy()
    data[0, 0, 0], data[1, 0, 0] = 9, 77
    with pytest.raises(UnknownLabels, match=r"unknown labels 9, 77"):
        check_bones(Volume(data, labels.grid), labels.grid, load_site("knee"))


def test_labels_are_those_of_one_side_or_of_both(labels):
    both = np.where(labels.data == 1, 11, np.where(labels.data == 3, 23, 0)).astype(np.uint8)
    checked = check_bones(Volume(both, labels.grid), labels.grid, load_site("knee"))
    assert np.array_equal(checked.data, both)
    mixed = np.where(labels.data == 1, 1, both).astype(np.uint8)
    with pytest.raises(UnknownLabels, match=r"11 femur_right.*unknown labels 1;"):
        check_bones(Volume(mixed, labels.grid), labels.grid, load_site("knee"))
    with pytest.raises(UnknownLabels, match="unknown labels 11, 23"):
        check_bones(Volume(both, labels.grid), labels.grid, load_site("sacroiliac"))


def test_an_empty_map_is_no_result(labels):
    with pytest.raises(NoBonesFound):
        check_bones(Volume(labels.data * 0, labels.grid), labels.grid, load_site("knee"))


def test_overlap_is_the_part_of_the_fixed_grid_inside_the_moving():
    fixed = Grid((10, 10, 10), np.eye(4))
    half = np.eye(4)
    half[0, 3] = 5.0
    assert require_overlap(Grid((10, 10, 10), half), fixed, ("T1", "PD-FS")) == pytest.approx(
        0.5, abs=0.1
    )
    half[0, 3] = 100.0
    with pytest.raises(GridMismatch, match="no overlap"):
        require_overlap(Grid((10, 10, 10), half), fixed, ("T1", "PD-FS"))


@pytest.mark.parametrize(
    ("site", "labels", "missing"),
    [
        ("knee", [1, 2, 3, 4], ""),
        ("knee", [1, 2], "patella, fibula"),
        ("sacroiliac", [2, 3, 4], ""),  # no L5: often out of view
        ("sacroiliac", [2, 3], "ilium_right"),
        ("sacroiliac", [1], ""),  # pelvic bones that are not told apart
        ("lumbar", [4, 5, 6], ""),
        ("lumbar", [1, 4, 5, 6], "L3, L2"),
        ("lumbar", [21, 22], ""),
        ("cervical", [1, 2, 5], "C4, C5"),
    ],
)
def test_a_bone_that_is_not_there_is_named(site, labels, missing):
    volume = Volume(np.array([[labels]], np.uint8), Grid((1, 1, len(labels)), np.eye(4)))
    notes = missing_note(volume, load_site(site))
    assert [note.split(": ")[1] for note in notes] == ([f"{missing}."] if missing else [])


def test_of_both_sides_either_is_named():
    volume = Volume(np.array([[[11, 12, 13, 21, 22]]], np.uint8), Grid((1, 1, 5), np.eye(4)))
    assert "clavicle_left." in missing_note(volume, both_sides(load_site("shoulder")))[0]
