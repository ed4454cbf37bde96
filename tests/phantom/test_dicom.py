"""The DICOM files of every site's phantom, as other programs see them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from bmepipe.io.phantom_files import write_phantom
from bmepipe.phantom.anatomy import phantom_sites
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.volume import Volume

Exam = tuple[Phantom, Path]


@pytest.fixture(scope="module", params=phantom_sites())
def exam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exam:
    scan = replace(coarse(site_protocol(request.param), 6), slices=4)
    made = make_phantom(request.param, 7, protocol=scan)
    folder = tmp_path_factory.mktemp("dicom") / request.param
    write_phantom(made, folder)
    return made, folder / "study"


def _volumes(made: Phantom) -> dict[int, Volume]:
    volumes = (made.t2fs, made.t1, *(volume for _, volume in made.others))
    return dict(enumerate(volumes, start=2))


def _corners(volume: Volume) -> np.ndarray:
    return volume.grid.corners_mm


def test_dciodvfy_finds_no_error(exam: Exam) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    for path in sorted(exam[1].glob("*_001.dcm")):
        command = ["dciodvfy", "-new", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr + said.stdout, path.name


def test_dcm2niix_places_every_series_alike(exam: Exam, tmp_path: Path) -> None:
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed")
    command = ["dcm2niix", "-z", "n", "-b", "n", "-f", "%s", "-o", str(tmp_path), str(exam[1])]
    subprocess.run(command, capture_output=True, check=True)
    for number, volume in _volumes(exam[0]).items():
        image = nibabel.load(tmp_path / f"{number}.nii")
        last = np.array(image.shape) - 1
        index = np.stack(np.meshgrid(*[(0, n) for n in last], indexing="ij"), -1).reshape(-1, 3)
        theirs = index @ image.affine[:3, :3].T + image.affine[:3, 3]
        for corner in _corners(volume):
            assert np.linalg.norm(theirs - corner, axis=1).min() < 0.01


def test_simpleitk_places_every_series_alike(exam: Exam) -> None:
    for number, volume in _volumes(exam[0]).items():
        names = sorted(exam[1].glob(f"{number:02d}_*.dcm"))
        headers = [pydicom.dcmread(name, stop_before_pixels=True) for name in names]
        across = np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3)
        along = [np.array(h.ImagePositionPatient, float) @ np.cross(*across) for h in headers]
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(names[i]) for i in np.argsort(along)])
        image = reader.Execute()
        for corner in _corners(volume):
            lps = (float(-corner[0]), float(-corner[1]), float(corner[2]))
            there = np.array(image.TransformPhysicalPointToContinuousIndex(lps))
            ends = np.array(image.GetSize()) - 1
            assert (np.minimum(np.abs(there), np.abs(there - ends)) < 0.01).all()


def test_an_exam_has_a_localizer_a_pair_and_a_distractor(exam: Exam) -> None:
    made, folder = exam
    told = {}
    for path in sorted(folder.glob("*_001.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        told[int(header.SeriesNumber)] = str(header.SeriesDescription)
        assert "PHANTOM" in header.StudyDescription
        assert str(header.PatientName) == f"PHANTOM^{made.site.upper()}"
    assert told[1] == "LOCALIZER"
    assert told[2].endswith(("FS", "STIR"))
    assert told[3].endswith("T1")
    assert told[4].endswith(("PD", "T2"))
