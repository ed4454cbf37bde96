"""NIfTI files to volumes and folders to studies; orientation that is missing or contradictory."""

from __future__ import annotations

import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from bmepipe.analysis.pairing import choose_pair
from bmepipe.errors import (
    ImplausibleImage,
    IrregularSeries,
    StudyNotFound,
    UnknownOrientation,
    UnreadablePixels,
    UntrustedFile,
)
from bmepipe.io.nifti import load, load_labels, scan_nifti
from bmepipe.study import FatSuppression, Role, SequenceClass

SHAPE = (11, 13, 5)


@pytest.fixture
def put(tmp_path, turned_grid):
    """Return a writer of NIfTI files on a turned grid."""

    def write(name, data=None, sform=True, qform=True, affine=None):
        values = np.random.default_rng(1).normal(100, 9, SHAPE) if data is None else data
        image = nib.Nifti1Image(values.astype(np.float32), None)
        place = turned_grid.affine if affine is None else affine
        image.header.set_xyzt_units("mm")
        for form, setter in ((sform, image.set_sform), (qform, image.set_qform)):
            setter(form if isinstance(form, np.ndarray) else place, int(form is not False))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return path

    return write


def test_signal_and_grid(put, turned_grid):
    volume = load(put("t1.nii.gz"))
    assert volume.data.dtype == np.float32
    assert volume.data.flags.f_contiguous
    np.testing.assert_allclose(volume.grid.affine, turned_grid.affine, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_scaling_is_applied(put, tmp_path, scale):
    path = put("t1.nii")
    image = nib.load(path)
    header = image.header.copy()
    header.set_data_dtype(np.int16)
    header.set_slope_inter(scale, -3)
    values = np.round(image.get_fdata()) * scale - 3
    nib.save(nib.Nifti1Image(values, image.affine, header), path)
    np.testing.assert_allclose(load(path).data, values, atol=0.51 * scale)


def test_labels_are_whole_numbers(put):
    labels = np.random.default_rng(0).integers(0, 5, SHAPE)
    assert load_labels(put("bones.nii.gz", labels)).data.dtype == np.uint8
    assert load_labels(put("many.nii.gz", labels * 300)).data.dtype == np.uint16
    for wrong in (labels + 0.5, labels - 1):
        with pytest.raises(ImplausibleImage, match="whole numbers"):
            load_labels(put("wrong.nii.gz", wrong))


def test_missing_orientation_is_refused(put):
    with pytest.raises(UnknownOrientation, match="with neither"):
        load(put("t1.nii.gz", sform=False, qform=False))


def test_contradictory_orientation_is_refused(put, turned_grid):
    other = turned_grid.affine.copy()
    other[0, 3] += 3
    with pytest.raises(UnknownOrientation, match=r"3\.0 mm apart"):
        load(put("t1.nii.gz", qform=other))


def test_one_orientation_is_noted(put, tmp_path):
    put("t1.nii.gz", qform=False)
    [found] = scan_nifti(tmp_path).series
    assert "orientation from the sform alone" in found.notes


def test_sheared_axes_are_refused(put, turned_grid):
    sheared = turned_grid.affine.copy()
    sheared[:3, 2] += 0.2 * sheared[:3, 0]
    with pytest.raises(IrregularSeries, match="sheared"):
        load(put("t1.nii.gz", sform=sheared, qform=False))


def test_several_volumes_are_refused(put):
    with pytest.raises(IrregularSeries, match="one volume"):
        load(put("t1.nii.gz", np.zeros((*SHAPE, 3))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(put, value):
    data = np.zeros(SHAPE)
    data[1, 2, 3] = value
    with pytest.raises(ImplausibleImage, match="NaN"):
        load(put("t1.nii.gz", data))


def test_a_constant_image_is_refused(put):
    with pytest.raises(ImplausibleImage, match="7 everywhere"):
        load(put("t1.nii.gz", np.full(SHAPE, 7)))


def test_damaged_and_forged_files_are_refused(put, tmp_path):
    path = put("t1.nii.gz")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UnreadablePixels):
        load(path)
    path.write_bytes(b"no nifti at all")
    with pytest.raises(UnreadablePixels):
        load(path)
    plain = bytearray(put("t2.nii").read_bytes())
    plain[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    (tmp_path / "forged.nii.gz").write_bytes(gzip.compress(bytes(plain)))
    with pytest.raises(UntrustedFile, match="claims"):
        load(tmp_path / "forged.nii.gz")
    with pytest.raises(StudyNotFound):
        load(tmp_path / "nowhere.nii.gz")


def test_a_folder_of_plain_names(put, tmp_path):
    for name in ("t1", "stir", "edema_mask", "bones", "stir_seg"):
        put(f"{name}.nii.gz")
    study = scan_nifti(tmp_path)
    roles = {s.description: s.role for s in study.series}
    assert roles.pop("t1") is Role.T1
    assert roles.pop("stir") is Role.T2FS
    assert set(roles.values()) == {Role.DERIVED}
    choice = choose_pair(study, None)
    assert (choice.t2fs.description, choice.t1.description) == ("stir", "t1")


def test_pd_fs_by_name(put, tmp_path):
    put("pd_fs.nii.gz")
    [found] = scan_nifti(tmp_path).series
    assert found.sequence_class is SequenceClass.PD_FS


def test_a_bids_folder_with_sidecars(put, tmp_path):
    def sidecar(path, **content):
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))

    folder = "sub-01/anat/"
    sidecar(put(folder + "sub-01_T1w.nii.gz"), RepetitionTime=0.6, EchoTime=0.012)
    fs = put(folder + "sub-01_acq-fs_PDw.nii.gz")
    sidecar(fs, RepetitionTime=3.2, EchoTime=0.03, ScanOptions="FS", Manufacturer="Siemens")
    stir = put(folder + "sub-01_acq-stir_T2w.nii.gz")
    sidecar(stir, RepetitionTime=4, EchoTime=0.045, InversionTime=0.16, ScanningSequence="SE_IR")
    put(folder + "sub-01_T2w.nii.gz")
    found = {s.description: s for s in scan_nifti(tmp_path).series}
    assert found["sub-01_T1w"].role is Role.T1
    assert found["sub-01_T1w"].tr_ms == 600
    assert found["sub-01_acq-fs_PDw"].sequence_class is SequenceClass.PD_FS
    assert found["sub-01_acq-stir_T2w"].fat_suppression is FatSuppression.STIR
    assert found["sub-01_T2w"].role is Role.OTHER


def test_a_broken_sidecar_is_passed_over(put, tmp_path):
    put("t1.nii.gz")
    (tmp_path / "t1.json").write_text("[" * 100000)
    assert scan_nifti(tmp_path).series[0].role is Role.T1


def test_an_empty_folder(tmp_path):
    with pytest.raises(StudyNotFound):
        scan_nifti(tmp_path)


def test_files_that_cannot_be_used_are_listed_with_the_reason(put, tmp_path):
    put("t1.nii.gz", sform=False, qform=False)
    [found] = scan_nifti(tmp_path).series
    assert found.refusal == "t1.nii.gz with neither"
