"""Where volumes lie: against dcm2niix, and every kind of stack that is no grid."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bmepipe.io.dicom import load_folder
from bmepipe.io.scan import scan

nib = pytest.importorskip("nibabel")
dcm2niix = pytest.importorskip("dcm2niix", reason="dcm2niix is a test dependency")

SAGITTAL, CORONAL, AXIAL = (
    (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
)


def turned(orientation, about_x_deg, about_z_deg):
    """Row and column direction after two rotations: double oblique."""
    a, b = np.radians(about_x_deg), np.radians(about_z_deg)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    matrix = z @ x
    return tuple(np.concatenate([matrix @ orientation[:3], matrix @ orientation[3:]]))


STUDIES = {
    "sagittal": (SAGITTAL, "HFS"),
    "coronal": (CORONAL, "HFS"),
    "axial": (AXIAL, "HFS"),
    "double oblique sagittal": (turned(SAGITTAL, 17, -23), "HFS"),
    "double oblique coronal": (turned(CORONAL, -31, 12), "HFS"),
    "double oblique axial": (turned(AXIAL, 28, 40), "HFS"),
    "feet first": (tuple(-np.array(SAGITTAL)), "FFS"),
    "feet first oblique": (turned(tuple(-np.array(AXIAL)), 12, 9), "FFS"),
    "decubitus right": ((0.0, 1.0, 0.0, 1.0, 0.0, 0.0), "HFDR"),
    "decubitus left": ((0.0, -1.0, 0.0, 1.0, 0.0, 0.0), "HFDL"),
    "prone": ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "HFP"),
}


def corners(affine, shape):
    index = np.array([[*c, 1] for c in itertools.product(*[(0, n - 1) for n in shape])])
    return (index @ affine.T)[:, :3]


def same_place(array, affine, other, other_affine):
    """Corner distance in mm and value difference once both run the same way along each axis."""
    ornt = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.io_orientation(other_affine)
    )
    moved = nib.orientations.apply_orientation(array, ornt)
    moved_affine = affine @ nib.orientations.inv_ornt_aff(ornt, array.shape)
    assert moved.shape == other.shape
    away = np.linalg.norm(
        corners(moved_affine, other.shape) - corners(other_affine, other.shape), axis=1
    )
    return away.max(), np.abs(moved - other).max()


def convert(folder: Path, out: Path):
    """Every volume that dcm2niix makes of a folder: (data, RAS affine)."""
    out.mkdir()
    subprocess.run(
        [dcm2niix.bin, "-b", "n", "-z", "n", "-m", "0", "-o", str(out), str(folder)],
        check=True,
        capture_output=True,
    )
    images = [nib.load(path) for path in sorted(out.glob("*.nii"))]
    return [(image.get_fdata(), image.affine) for image in images]


@pytest.mark.parametrize("step_mm", [3.3, -3.3], ids=["along", "against"])
@pytest.mark.parametrize(("orientation", "position"), STUDIES.values(), ids=STUDIES)
def test_agrees_with_dcm2niix(series, tmp_path, orientation, position, step_mm):
    made = series(
        orientation=orientation, step_mm=step_mm, spacing=(0.47, 0.83), PatientPosition=position
    )
    [(_, array, affine)] = load_folder(made.folder)
    [(other, other_affine)] = convert(made.folder, tmp_path / "out")
    away_mm, difference = same_place(array, affine, other, other_affine)
    assert away_mm < 0.05
    assert difference == 0


def refusal(made):
    found = [s for s in scan(made.folder).series if s.refusal]
    assert load_folder(made.folder) == [] or len(found) < len(scan(made.folder).series)
    return " ".join(s.refusal for s in found)


@pytest.mark.parametrize(
    ("skip", "text"),
    [((3,), "1 slice is missing after slice 3"), ((2, 3), "2 slices are missing after slice 2")],
)
def test_missing_slices_are_refused(series, skip, text):
    assert text in refusal(series(skip=skip))


def shift(k_from, mm, axis):
    def edit(ds, k):
        if k >= k_from:
            position = list(ds.ImagePositionPatient)
            position[axis] += mm * (k - k_from + 1)
            ds.ImagePositionPatient = position

    return edit


def test_uneven_spacing_is_refused(series):
    assert "unevenly spaced" in refusal(series(edit=shift(4, 0.9, 0)))


def test_sheared_stack_is_refused(series):
    assert "sheared" in refusal(series(edit=shift(0, 0.4, 2)))


def test_a_bent_stack_is_refused(series):
    assert "straight" in refusal(series(edit=shift(4, 0.9, 2)))


@pytest.mark.parametrize("mm", [0.004, 0.03])
def test_rounded_positions_are_no_gap(series, same, mm):
    def edit(ds, k):
        position = np.array(ds.ImagePositionPatient, float)
        ds.ImagePositionPatient = list(position + mm * np.random.default_rng(k).uniform(-1, 1, 3))

    made = series(edit=edit)
    [(_, array, affine)] = load_folder(made.folder)
    assert np.abs(corners(affine, array.shape) - corners(affine, array.shape)).max() < 0.05
    assert array.shape == made.data.shape


def test_rounded_cosines_are_one_stack(series):
    def edit(ds, k):
        ds.ImageOrientationPatient = [c + 1e-4 * (k % 2) for c in (0, 1, 0, 0, 0, -1)]

    [(_, array, _)] = load_folder(series(edit=edit).folder)
    assert array.shape == (13, 17, 7)


GAPS = {
    "no position": ("ImagePositionPatient", None, "ImagePositionPatient is missing"),
    "no orientation": ("ImageOrientationPatient", None, "ImageOrientationPatient is missing"),
    "no spacing": ("PixelSpacing", None, "PixelSpacing is missing"),
    "cosines not units": ("ImageOrientationPatient", [1, 1, 0, 0, 0, 1], "perpendicular"),
    "zero spacing": ("PixelSpacing", [0, 0.5], "PixelSpacing of 0"),
    "no sign": ("PixelRepresentation", None, "signed or unsigned"),
    "no depth": ("BitsAllocated", None, "BitsAllocated is missing"),
    "depth too deep": ("BitsStored", 17, "BitsStored"),
    "colour": ("PhotometricInterpretation", "RGB", "colour"),
    "mosaic": ("ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], "mosaic"),
}


@pytest.mark.parametrize(("name", "value", "text"), GAPS.values(), ids=GAPS)
def test_headers_that_cannot_be_placed_are_refused(series, name, value, text):
    def edit(ds, k):
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)

    assert text in refusal(series(edit=edit))


def test_one_slice_takes_its_spacing_from_the_header(series):
    made = series(shape=(13, 17, 1), SpacingBetweenSlices=4.4)
    [(_, _, affine)] = load_folder(made.folder)
    assert np.linalg.norm(affine[:3, 2]) == pytest.approx(4.4)


def test_feet_first_pixels_stay_where_the_header_says(series, same):
    made = series(orientation=STUDIES["decubitus left"][0], PatientPosition="FFDL")
    [(_, array, affine)] = load_folder(made.folder)
    same(array, affine, made)
