"""The files of a phantom: valid, in place whatever their layout, and the same bytes twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from bmepipe.errors import OutputExists, UnknownChoice
from bmepipe.io.nifti import scan_nifti
from bmepipe.io.phantom_files import Storage, write_phantom
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.phantom.tissue import Technique
from bmepipe.study import FatSuppression, Role


@pytest.fixture(scope="module")
def knee() -> Phantom:
    scan = replace(coarse(site_protocol("knee"), 6), slices=8, tilt_deg=(9.0, -6.0))
    return make_phantom("knee", 7, protocol=scan)


@pytest.fixture(scope="module")
def folder(knee: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "knee"
    write_phantom(knee, folder)
    return folder


def _read(folder: Path, number: int) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    names = sorted((folder / "study").glob(f"{number:02d}_*.dcm"))
    place = {n: np.array(pydicom.dcmread(n).ImagePositionPatient, float) for n in names}
    first = pydicom.dcmread(names[0]).ImageOrientationPatient
    normal = np.cross(first[:3], first[3:])
    reader.SetFileNames([str(n) for n in sorted(names, key=lambda n: place[n] @ normal)])
    return reader.Execute()


@pytest.mark.parametrize("storage", [Storage(), Storage(True), Storage(False, True)])
def test_voxels_keep_their_place(knee: Phantom, tmp_path: Path, storage: Storage) -> None:
    write_phantom(knee, tmp_path / "x", storage=storage)
    image = _read(tmp_path / "x", 2)
    rng = np.random.default_rng(1)
    index = rng.integers(0, knee.t2fs.grid.shape, (50, 3))
    for i, point in zip(index, knee.t2fs.grid.to_world(index), strict=True):
        lps = (float(-point[0]), float(-point[1]), float(point[2]))
        there = image.TransformPhysicalPointToContinuousIndex(lps)
        nearest = tuple(round(v) for v in there)
        assert np.abs(np.array(there) - nearest).max() < 0.01
        assert image[nearest] == round(min(float(knee.t2fs.data[tuple(i)]), 4095))


def test_headers_say_phantom_and_how_it_was_scanned(folder: Path) -> None:
    files = [pydicom.dcmread(path) for path in sorted((folder / "study").iterdir())]
    assert {str(f.PatientName) for f in files} == {"PHANTOM^KNEE"}
    assert all("PHANTOM" in f.StudyDescription for f in files)
    assert len({f.StudyInstanceUID for f in files}) == 1
    assert len({f.SOPInstanceUID for f in files}) == len(files)
    series = {f.SeriesNumber: f for f in files}
    assert series[2].ScanOptions == "FS"
    assert series[2].SeriesDescription == "SAG PD FS"
    assert series[3].SeriesDescription == "SAG T1"
    assert not series[3].ScanOptions
    assert series[1].SeriesDescription == "LOCALIZER"
    assert series[4].SeriesDescription == "SAG PD"


def test_truth_lies_on_the_fat_suppressed_grid(knee: Phantom, folder: Path) -> None:
    mask = nibabel.load(folder / "truth" / "edema_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, knee.t2fs.grid.affine, atol=1e-4)
    assert (np.asarray(mask.dataobj) > 0).sum() == knee.edema.data.sum()
    rows = (folder / "truth" / "measurements.csv").read_text().splitlines()
    assert rows[0].startswith("case,site,bone,bone_ml,edema_ml,")
    assert len(rows) == 5
    assert json.loads((folder / "truth" / "phantom.json").read_text())["seed"] == 7


def test_nifti_holds_the_same_pair(knee: Phantom, tmp_path: Path) -> None:
    write_phantom(knee, tmp_path / "n", format="nifti", storage=Storage(True, True))
    image = nibabel.load(tmp_path / "n" / "study" / "t1.nii.gz")
    index = np.array([[20, 30, 3]])
    there = np.linalg.inv(image.affine) @ np.append(knee.t1.grid.to_world(index)[0], 1)
    value = np.asarray(image.dataobj)[tuple(np.rint(there[:3]).astype(int))]
    assert value == pytest.approx(knee.t1.data[20, 30, 3])


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("hip", "STIR"), ("lumbar", "STIR"), ("knee", "PD-FS"), ("ankle", "T2-FS")],
)
def test_nifti_says_how_it_was_scanned(
    knee: Phantom, tmp_path: Path, protocol: str, kind: str
) -> None:
    # The images stay the knee's: only the contrast that the files tell is looked at.
    scan = site_protocol(protocol)
    write_phantom(replace(knee, protocol=scan), tmp_path / "n", format="nifti")
    t1, t2fs = scan_nifti(tmp_path / "n" / "study").series
    assert (t1.role, t2fs.role) == (Role.T1, Role.T2FS)
    assert t2fs.sequence_class == kind
    assert t2fs.confidence > 0.8
    assert (t2fs.te_ms, t2fs.tr_ms) == pytest.approx((scan.t2fs.te_ms, scan.t2fs.tr_ms))
    assert t2fs.ti_ms == (scan.t2fs.ti_ms if kind == "STIR" else None)
    assert (t1.te_ms, t1.field_strength_t) == pytest.approx((scan.t1.te_ms, scan.t1.field_t))


def test_nifti_of_a_dixon_series_says_which_image_it_is(knee: Phantom, tmp_path: Path) -> None:
    water = replace(knee.protocol.t2fs, technique=Technique.DIXON_WATER)
    made = replace(knee, protocol=replace(knee.protocol, t2fs=water))
    write_phantom(made, tmp_path / "n", format="nifti")
    _, t2fs = scan_nifti(tmp_path / "n" / "study").series
    assert t2fs.role is Role.T2FS
    assert t2fs.fat_suppression is not FatSuppression.NONE
    sidecar = json.loads((tmp_path / "n" / "study" / "t2fs.json").read_text())
    assert "WATER" in sidecar["ImageType"]


def _digest(folder: Path) -> str:
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.read_bytes() for p in paths)).hexdigest()


def test_same_phantom_same_bytes(knee: Phantom, folder: Path, tmp_path: Path) -> None:
    write_phantom(knee, tmp_path / "again")
    assert _digest(tmp_path / "again") == _digest(folder)


def test_refusals(knee: Phantom, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownChoice, match="dicom, nifti"):
        write_phantom(knee, tmp_path / "y", format="minc")
    with pytest.raises(OutputExists, match="new or empty"):
        write_phantom(knee, folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_dciodvfy_finds_no_error(folder: Path) -> None:
    for name in ("01_001.dcm", "02_003.dcm", "03_003.dcm"):
        command = ["dciodvfy", "-new", str(folder / "study" / name)]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr + said.stdout


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_dcm2niix_reads_the_same_geometry(knee: Phantom, folder: Path, tmp_path: Path) -> None:
    command = ["dcm2niix", "-z", "n", "-f", "%s", "-o", str(tmp_path), str(folder / "study")]
    subprocess.run(command, capture_output=True, check=True)
    image = nibabel.load(tmp_path / "2.nii")
    index = np.random.default_rng(2).integers(0, knee.t2fs.grid.shape, (50, 3))
    world = np.c_[knee.t2fs.grid.to_world(index), np.ones(50)]
    there = (world @ np.linalg.inv(image.affine).T)[:, :3]
    nearest = np.rint(there).astype(int)
    assert np.abs(there - nearest).max() < 0.01
    read = np.asarray(image.dataobj)[tuple(nearest.T)]
    assert (read == np.rint(knee.t2fs.data[tuple(index.T)])).all()
