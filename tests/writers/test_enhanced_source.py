"""Results of enhanced multi-frame series refer to its frames."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from bmepipe.pipeline import RunSettings, run_study
from bmepipe.result import EdemaResult

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
         "RepetitionTime", "EchoTime", "SpacingBetweenSlices", "SliceLocation", "ScanningSequence",
         "SequenceVariant", "ScanOptions", "InversionTime")  # fmt: skip


def item(**tags: object) -> Dataset:
    ds = Dataset()
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def as_enhanced(files: list[Path], path: Path, number: int) -> None:
    """Write the slices of one classic series as one enhanced file, frames in a mixed order."""
    sources = [dcmread(file) for file in files]
    np.random.default_rng(number).shuffle(sources)
    first = sources[0]
    shared = item(
        PixelMeasuresSequence=Sequence(
            [item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)]
        ),
        PlaneOrientationSequence=Sequence(
            [item(ImageOrientationPatient=first.ImageOrientationPatient)]
        ),
        MRTimingAndRelatedParametersSequence=Sequence([item(RepetitionTime=first.RepetitionTime)]),
    )
    frames = [
        item(
            PlanePositionSequence=Sequence([item(ImagePositionPatient=ds.ImagePositionPatient)]),
            MREchoSequence=Sequence([item(EffectiveEchoTime=ds.EchoTime)]),
            PixelValueTransformationSequence=Sequence(
                [item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")]
            ),
        )
        for ds in sources
    ]
    made = dcmread(files[0])
    for name in MOVED:
        if name in made:
            delattr(made, name)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.SeriesNumber, made.NumberOfFrames = number, len(sources)
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    made.PixelData = b"".join(ds.PixelData for ds in sources)
    made.save_as(path)


@pytest.fixture(scope="module")
def enhanced_run(
    small_knee: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EdemaResult, Path]:
    folder = tmp_path_factory.mktemp("enhanced")
    (folder / "study").mkdir()
    series: dict[str, list[Path]] = {}
    for file in sorted((small_knee / "study").rglob("*")):
        if file.is_file():
            series.setdefault(str(dcmread(file).SeriesDescription), []).append(file)
    as_enhanced(series["SAG T1"], folder / "study" / "t1.dcm", 11)
    as_enhanced(series["SAG PD FS"], folder / "study" / "fs.dcm", 12)
    bones = small_knee / "truth" / "bones.nii.gz"
    settings = RunSettings(
        site="knee", t1="11", t2fs="12", bones=bones, writers=("tables", "seg", "sr")
    )
    return run_study(folder / "study", folder / "out", settings), folder / "out"


def test_volumes_are_those_of_the_classic_series(
    enhanced_run: tuple[EdemaResult, Path], knee_run: tuple[EdemaResult, Path]
) -> None:
    volumes, classic = ([row.edema_ml for row in run[0].measurements]
                        for run in (enhanced_run, knee_run))  # fmt: skip
    assert volumes == pytest.approx(classic, rel=0.03, abs=0.02)


def test_segments_refer_to_the_frame_they_lie_on(enhanced_run: tuple[EdemaResult, Path]) -> None:
    result, out = enhanced_run
    assert result.pair.t2fs_series is not None
    source = dcmread(result.pair.t2fs_series.files[0], stop_before_pixels=True)
    seg = dcmread(out / "edema_seg.dcm")
    numbers = set()
    for frame in seg.PerFrameFunctionalGroupsSequence:
        referred = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert referred.ReferencedSOPInstanceUID == source.SOPInstanceUID
        number = int(referred.ReferencedFrameNumber)
        groups = source.PerFrameFunctionalGroupsSequence[number - 1]
        np.testing.assert_allclose(
            frame.PlanePositionSequence[0].ImagePositionPatient,
            groups.PlanePositionSequence[0].ImagePositionPatient,
            atol=0.01,
        )
        numbers.add(number)
    assert len(numbers) > 5


@pytest.mark.parametrize("name", ["edema_seg.dcm", "report_sr.dcm"])
def test_an_independent_validator_finds_no_error(
    enhanced_run: tuple[EdemaResult, Path], name: str
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    done = subprocess.run(
        ["dciodvfy", enhanced_run[1] / name], capture_output=True, text=True, check=False
    )
    assert not [line for line in done.stderr.splitlines() if line.startswith("Error")]
