"""A small writer of DICOM series, so that every test knows the grid and pixels it should get."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmwrite, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

MR, ENHANCED_MR = uid.MRImageStorage, uid.EnhancedMRImageStorage
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass
class Made:
    """What a reader should return for a written series: data [i, j, k] in the order of `ras`."""

    folder: Path
    data: np.ndarray
    lps: np.ndarray
    uid: str
    files: list[Path] = field(default_factory=list)

    @property
    def ras(self) -> np.ndarray:
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.lps


def pattern(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Values that differ along every axis and have no symmetry, int16, 0 to 4095."""
    i, j, k = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    noise = np.random.default_rng(seed).integers(0, 200, shape)
    return (37 * i + 101 * j * (i > 2) + 211 * k + noise).astype(np.int64) % 4096


def lps_affine(
    orientation: Sequence[float], spacing: Sequence[float], step_mm: float, origin: Sequence[float]
) -> np.ndarray:
    """Index (i, j, k) to LPS mm; `spacing` is (between rows, between columns) as in DICOM."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = np.cross(row, column) * step_mm
    affine[:3, 3] = origin
    return affine


def image(rows: int, columns: int, **tags: object) -> FileDataset:
    """A data set with the elements that every MR image has, and no pixels yet."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = MR, uid.generate_uid()
    ds.Modality, ds.Manufacturer = "MR", "SIEMENS"
    ds.PatientID, ds.PatientName, ds.StudyDate = "p1", "Nobody^Known", "20200102"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", ""
    ds.RepetitionTime, ds.EchoTime, ds.MagneticFieldStrength = 600, 12, 1.5
    ds.SliceThickness, ds.PatientPosition = 3, "HFS"
    ds.AcquisitionNumber = 1
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, columns, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def save(ds: FileDataset, path: Path, syntax: UID = uid.ExplicitVRLittleEndian) -> Path:
    """Write a data set, encoding its native pixels if the syntax asks for it."""
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    native = (
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if syntax == uid.ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
            ds["PixelData"].VR = "OW"
            ds.file_meta.TransferSyntaxUID = syntax
            dcmwrite(path, ds, little_endian=False, implicit_vr=False, force_encoding=True)
            return path
        if syntax in native:
            ds.file_meta.TransferSyntaxUID = syntax
        elif syntax in (uid.JPEGLosslessSV1, uid.JPEGLossless, uid.JPEGBaseline8Bit):
            ds.save_as(path)
            return recode(path, syntax)
        else:
            ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(path)
    return path


def recode(path: Path, syntax: UID) -> Path:
    """Encode a file's pixels with gdcm, which has the JPEG processes that pydicom cannot write."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    kinds = {
        uid.JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        uid.JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
        uid.JPEGBaseline8Bit: gdcm.TransferSyntax.JPEGBaselineProcess1,
    }
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


Edit = Callable[[FileDataset, int], object]


def write_series(
    folder: Path,
    *,
    shape: tuple[int, int, int] = (13, 17, 7),
    orientation: Sequence[float] = SAGITTAL,
    spacing: Sequence[float] = (0.5, 0.7),
    step_mm: float = 3.3,
    origin: Sequence[float] = (-31.0, -42.5, 77.0),
    syntax: UID = uid.ExplicitVRLittleEndian,
    edit: Edit | None = None,
    skip: Sequence[int] = (),
    seed: int = 0,
    data: np.ndarray | None = None,
    study_uid: str = "1.2.3",
    series_uid: str = "",
    **tags: object,
) -> Made:
    """Write a classic single-frame series; `edit(dataset, k)` changes slice k before it is saved.

    `shape` counts (columns, rows, slices). Slices are named so that their order says nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = pattern(shape, seed) if data is None else data
    lps = lps_affine(orientation, spacing, step_mm, origin)
    tags = {"SeriesNumber": 3, "SeriesDescription": "SAG T1", **tags}
    series_uid = series_uid or uid.generate_uid()
    made = Made(folder, data, lps, series_uid)
    for k in range(shape[2]):
        ds = image(shape[1], shape[0], **tags)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
        ds.FrameOfReferenceUID, ds.InstanceNumber = "1.2.3.4", k + 1
        ds.ImageOrientationPatient = [float(f"{c:.10g}") for c in orientation]
        ds.PixelSpacing = list(spacing)
        position = lps[:3, 3] + k * lps[:3, 2]
        ds.ImagePositionPatient = [float(f"{p:.10g}") for p in position]
        ds.set_pixel_data(data[:, :, k].T.astype(np.uint16), "MONOCHROME2", 12)
        ds.PixelRepresentation = tags.get("PixelRepresentation", 0)
        keep = edit is None or edit(ds, k) is not False
        if keep and k not in skip:
            name = f"{ds.SeriesNumber}_{(k * 7919) % 104729:06d}_{seed}"
            made.files.append(save(ds, folder / name, syntax))
    return made


def groups(**named: Dataset) -> Dataset:
    """A functional group item: each named sequence holding one item."""
    item = Dataset()
    for name, value in named.items():
        setattr(item, name, Items([value]))
    return item


def dataset(**tags: object) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def write_enhanced(
    path: Path,
    *,
    shape: tuple[int, int, int] = (13, 17, 7),
    orientation: Sequence[float] = SAGITTAL,
    spacing: Sequence[float] = (0.5, 0.7),
    step_mm: float = 3.3,
    echoes: Sequence[float] = (12.0,),
    frame_types: Sequence[str] = ("NONE",),
    slopes: Sequence[float] = (1.0,),
    shuffle: int = 5,
    edit: Callable[[FileDataset], object] | None = None,
    syntax: UID = uid.ExplicitVRLittleEndian,
) -> list[Made]:
    """Write one enhanced MR file with a volume per echo and frame type, frames in random order."""
    lps = lps_affine(orientation, spacing, step_mm, (-31.0, -42.5, 77.0))
    ds = image(shape[1], shape[0], SeriesNumber=5, SeriesDescription="enhanced")
    for name in ("ScanningSequence", "SequenceVariant", "ScanOptions", "EchoTime"):
        delattr(ds, name)
    ds.SOPClassUID, ds.ComplexImageComponent = ENHANCED_MR, "MAGNITUDE"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", uid.generate_uid()
    ds.FrameOfReferenceUID, ds.InstanceNumber = "1.2.3.4", 1
    volumes = [(e, t) for e in echoes for t in frame_types]
    data = [pattern(shape, seed) for seed in range(len(volumes))]
    frames = [(v, k) for v in range(len(volumes)) for k in range(shape[2])]
    np.random.default_rng(shuffle).shuffle(frames)
    pixels, items = [], []
    for v, k in frames:
        echo, kind = volumes[v]
        slope = slopes[v % len(slopes)]
        items.append(
            groups(
                MREchoSequence=dataset(EffectiveEchoTime=echo),
                MRImageFrameTypeSequence=dataset(
                    FrameType=["ORIGINAL", "PRIMARY", "DIXON" if kind != "NONE" else "M", kind],
                    ComplexImageComponent="MAGNITUDE",
                ),
                PlanePositionSequence=dataset(
                    ImagePositionPatient=list(lps[:3, 3] + k * lps[:3, 2])
                ),
                PixelValueTransformationSequence=dataset(
                    RescaleSlope=slope, RescaleIntercept=-5 * v, RescaleType="US"
                ),
            )
        )
        pixels.append(data[v][:, :, k].T)
    shared = groups(
        PixelMeasuresSequence=dataset(PixelSpacing=list(spacing), SliceThickness=3),
        PlaneOrientationSequence=dataset(ImageOrientationPatient=list(orientation)),
        MRTimingAndRelatedParametersSequence=dataset(RepetitionTime=600),
    )
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = (
        Items([shared]),
        Items(items),
    )
    ds.NumberOfFrames = len(frames)
    ds.set_pixel_data(np.stack(pixels).astype(np.uint16), "MONOCHROME2", 12)
    if edit:
        edit(ds)
    save(ds, path, syntax)
    made = []
    for v in range(len(volumes)):
        values = data[v] * slopes[v % len(slopes)] - 5 * v
        made.append(Made(path.parent, values, lps, ds.SeriesInstanceUID, [path]))
    return made


def assert_same(array: np.ndarray, affine: np.ndarray, made: Made, tolerance: float = 1e-3) -> None:
    """Check values and corners at the same places, whichever way the slices are counted."""
    assert array.shape == made.data.shape
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = array.shape[2] - 1
    for data, expected in ((made.data, made.ras), (made.data[:, :, ::-1], made.ras @ flip)):
        if np.abs(affine - expected).max() < 0.01:
            np.testing.assert_allclose(array, data, atol=tolerance)
            return
    raise AssertionError(f"no match for\n{affine}\nin\n{made.ras}")


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Made]:
    """Return a writer of one classic series below the test's folder."""

    def write(name: str = "s", **options: object) -> Made:
        return write_series(tmp_path / name, **options)  # type: ignore[arg-type]

    return write


@pytest.fixture
def enhanced(tmp_path: Path) -> Callable[..., list[Made]]:
    """Return a writer of one enhanced file below the test's folder."""

    def write(name: str = "enhanced.dcm", **options: object) -> list[Made]:
        return write_enhanced(tmp_path / name, **options)  # type: ignore[arg-type]

    return write


@pytest.fixture
def same() -> Callable[..., None]:
    """Return the check that a volume is what was written."""
    return assert_same
