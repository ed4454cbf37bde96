"""A phantom as the files of a study, and its truth beside them.

``FOLDER/study`` is the input of a run, ``FOLDER/truth`` the answer. Every UID is a hash of what it
names, so that the same phantom gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import MappingProxyType

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from bmepipe.errors import OutputExists, unknown_choice
from bmepipe.phantom.study import Phantom
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.volume import Grid, Volume

_BODY_PARTS = {
    "knee": "KNEE",
    "hip": "HIP",
    "ankle": "ANKLE",
    "shoulder": "SHOULDER",
    "lumbar": "LSPINE",
    "cervical": "CSPINE",
    "sacroiliac": "PELVIS",
}
_LOCALIZER_MM = 6.0
_SHORT = {"sagittal": "SAG", "coronal": "COR", "axial": "AX"}


@dataclass(frozen=True)
class Storage:
    """How the same image is laid out in its file: nothing of it may change a result.

    Parameters
    ----------
    transpose : bool
        Rows and columns swapped.
    reverse : bool
        Slices counted from the other end.
    """

    transpose: bool = False
    reverse: bool = False

    def apply(self, volume: Volume) -> Volume:
        """Return the volume in this layout; every voxel keeps its place in the patient."""
        data, affine = volume.data, volume.grid.affine.copy()
        if self.reverse:
            data = data[:, :, ::-1]
            affine[:3, 3] += affine[:3, 2] * (data.shape[2] - 1)
            affine[:3, 2] *= -1
        if self.transpose:
            data = data.transpose(1, 0, 2)
            affine = affine[:, [1, 0, 2, 3]]
        i, j, k = data.shape
        return Volume(np.asfortranarray(data), Grid((i, j, k), affine))


@dataclass(frozen=True, eq=False)
class _SeriesFiles:
    number: int
    description: str
    sequence: Sequence
    volume: Volume
    thickness_mm: float
    localizer: bool = False


def write_phantom(
    phantom: Phantom,
    folder: Path,
    *,
    format: str = "dicom",
    storage: Storage | None = None,
) -> list[Path]:
    """Write a phantom's study and truth.

    Parameters
    ----------
    phantom : Phantom
    folder : Path
        Made; must not exist or be empty. Appears whole or not at all.
    format : str
        "dicom" or "nifti".
    storage : Storage, optional
        Layout of the images in `study`; the truth keeps its own.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UnknownChoice
        For an unknown format.
    OutputExists
        If the folder holds something.
    """
    if format not in FORMATS:
        raise unknown_choice("format", format, FORMATS)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExists("a new or empty folder", str(folder), "name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (made / "study").mkdir()
        (made / "truth").mkdir()
        FORMATS[format](phantom, made / "study", storage or Storage())
        _write_truth(phantom, made / "truth")
        if folder.exists():
            folder.rmdir()
        os.replace(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    folder.chmod(0o755)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_nifti(phantom: Phantom, folder: Path, storage: Storage) -> None:
    for name, volume in (("t1", phantom.t1), ("t2fs", phantom.t2fs)):
        _save_nifti(storage.apply(volume), folder / f"{name}.nii.gz")


def _save_nifti(volume: Volume, path: Path) -> None:
    data = volume.data.astype(np.uint8) if volume.data.dtype == bool else volume.data
    image = nibabel.Nifti1Image(np.ascontiguousarray(data), volume.grid.affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def _write_truth(phantom: Phantom, folder: Path) -> None:
    for name, volume in (
        ("edema_mask", phantom.edema),
        ("bones", phantom.bones),
        ("confounders", phantom.confounders),
        ("not_assessable", phantom.not_assessable),
    ):
        _save_nifti(volume, folder / f"{name}.nii.gz")
    _write_rows(folder / "measurements.csv", phantom.measurements)
    _write_rows(folder / "lesions.csv", phantom.lesions)
    about = {
        "site": phantom.site,
        "seed": phantom.seed,
        "side": phantom.side,
        "protocol": phantom.protocol.name,
        "t1_motion": np.round(phantom.motion, 5).tolist(),
    }
    (folder / "phantom.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: tuple) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        if rows:
            table.writerow([column.name for column in fields(rows[0])])
        for row in rows:
            table.writerow([_cell(value) for value in astuple(row)])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, tuple):
        return " ".join(f"{v:.2f}" for v in value)
    return "" if value is None else value


def _write_dicom(phantom: Phantom, folder: Path, storage: Storage) -> None:
    scan = phantom.protocol
    exam = [
        (scan.t2fs, phantom.t2fs, scan.thickness_mm),
        (scan.t1, phantom.t1, scan.for_t1().thickness_mm),
        *((sequence, volume, scan.thickness_mm) for sequence, volume in phantom.others),
    ]
    for number, (sequence, volume, thick) in enumerate(exam, start=2):
        name = f"{_SHORT[volume.grid.plane]} {series_name(sequence)}"
        files = _SeriesFiles(number, name, sequence, volume, thick)
        _write_series(phantom, files, storage.apply(volume), folder)
    for volume in _localizer(phantom.t1):
        cut = _SeriesFiles(1, "LOCALIZER", scan.t1, volume, _LOCALIZER_MM, True)
        _write_series(phantom, cut, volume, folder)


def series_name(sequence: Sequence) -> str:
    """Return what a site would call a series of this contrast, as "PD FS"."""
    if sequence.technique is Technique.INVERSION:
        return "STIR"
    weighting = "T1" if sequence.tr_ms < 1000 else "PD" if sequence.te_ms < 60 else "T2"
    extra = {
        Technique.FAT_SAT: " FS",
        Technique.DIXON_WATER: " DIXON W",
        Technique.DIXON_FAT: " DIXON F",
        Technique.IN_PHASE: " DIXON IP",
    }
    return weighting + extra.get(sequence.technique, "")


def _localizer(volume: Volume) -> list[Volume]:
    # Three coarse cuts through the middle of T1: one along each pair of its axes.
    step = max(1, volume.grid.shape[0] // 128)
    middle = [n // 2 for n in volume.grid.shape]
    cuts: list[tuple[slice, ...]] = [
        (slice(None, None, step), slice(None, None, step), slice(middle[2], middle[2] + 1)),
        (slice(None, None, step), slice(middle[1], middle[1] + 1), slice(None)),
        (slice(middle[0], middle[0] + 1), slice(None, None, step), slice(None)),
    ]
    return [_cut(volume, cut, thin) for cut, thin in zip(cuts, (2, 1, 0), strict=True)]


def _cut(volume: Volume, cut: tuple[slice, ...], thin: int) -> Volume:
    data = volume.data[cut]
    affine = volume.grid.affine.copy()
    steps = [part.step or 1 for part in cut]
    affine[:3, 3] += sum(affine[:3, a] * (part.start or 0) for a, part in enumerate(cut))
    affine[:3, :3] *= steps
    order = [a for a in range(3) if a != thin] + [thin]
    turned = affine[:, [*order, 3]]
    turned[:3, 2] *= _LOCALIZER_MM / np.linalg.norm(turned[:3, 2])
    data = data.transpose(order)
    i, j, k = data.shape
    return Volume(np.asfortranarray(data), Grid((i, j, k), turned))


def phantom_uid(*parts: object) -> str:
    """Return the UID, ``2.25.`` and a 128-bit number, that stands for these parts.

    >>> phantom_uid("a", 1) == phantom_uid("a", 1) != phantom_uid("a", 2)
    True
    """
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _write_series(phantom: Phantom, files: _SeriesFiles, volume: Volume, folder: Path) -> None:
    # The number counts on over the localizer's three stacks, which share one series.
    first = len(list(folder.glob(f"{files.number:02d}_*.dcm")))
    affine = volume.grid.lps_affine
    key = ("bmepipe phantom", phantom.site, phantom.seed, content_hash(phantom))
    for k in range(volume.grid.shape[2]):
        number = first + k + 1
        dataset = _header(phantom, files, number, key)
        _set_place(dataset, volume, affine, k, files.thickness_mm)
        _set_pixels(dataset, volume.data[:, :, k].T)
        path = folder / f"{files.number:02d}_{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)


def _header(phantom: Phantom, files: _SeriesFiles, number: int, key: tuple[object, ...]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = phantom_uid(*key, "series", files.number, number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = phantom_uid(*key)
    dataset.SeriesInstanceUID = phantom_uid(*key, "series", files.number)
    dataset.FrameOfReferenceUID = phantom_uid(*key, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.PatientName = f"PHANTOM^{phantom.site.upper()}"
    dataset.PatientID = f"PHANTOM-{phantom.site}-{phantom.seed}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.PatientAge = f"{phantom.anatomy.person.age_years:03d}Y"
    dataset.StudyDescription = f"PHANTOM {phantom.site}, synthetic, seed {phantom.seed}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.StudyID, dataset.AccessionNumber = "1", ""
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "bmepipe", "phantom"
    dataset.SoftwareVersions = "bmepipe phantom"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "MR", files.number, number
    dataset.SeriesDescription = files.description
    dataset.ProtocolName = files.description
    dataset.BodyPartExamined = _BODY_PARTS[phantom.site]
    if phantom.side:
        dataset.Laterality = phantom.side
    dataset.PatientPosition = "FFS" if phantom.site in ("knee", "ankle") else "HFS"
    _set_sequence(dataset, files)
    return dataset


def content_hash(phantom: Phantom) -> str:
    """Return a short hash of what sets phantoms of one site and seed apart."""
    parts = [repr(phantom.protocol), repr(phantom.measurements)]
    marks = hashlib.sha256(np.ascontiguousarray(phantom.confounders.data).tobytes())
    return hashlib.sha256(("".join(parts) + marks.hexdigest()).encode()).hexdigest()[:16]


def _set_sequence(dataset: Dataset, files: _SeriesFiles) -> None:
    sequence = files.sequence
    inversion = sequence.technique is Technique.INVERSION
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", *_image_type(sequence)]
    dataset.ScanningSequence = ["SE", "IR"] if inversion else "SE"
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = "FS" if sequence.technique is Technique.FAT_SAT else ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime, dataset.EchoTime = f"{sequence.tr_ms:g}", f"{sequence.te_ms:g}"
    dataset.EchoTrainLength, dataset.NumberOfAverages = 7, 1
    if inversion:
        dataset.InversionTime = f"{sequence.ti_ms:g}"
    if files.localizer:
        dataset.ScanningSequence, dataset.SequenceVariant = "GR", "SP"
        dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "8", "3.5", 1
        dataset.ScanOptions = ""
    dataset.MagneticFieldStrength = f"{sequence.field_t:g}"
    dataset.ImagingFrequency = f"{42.577 * sequence.field_t:.3f}"
    dataset.ImagedNucleus, dataset.FlipAngle = "1H", "150"


def _image_type(sequence: Sequence) -> list[str]:
    return {
        Technique.DIXON_WATER: ["WATER"],
        Technique.DIXON_FAT: ["FAT"],
        Technique.IN_PHASE: ["IN_PHASE"],
    }.get(sequence.technique, [])


def _set_place(
    dataset: Dataset, volume: Volume, affine: NDArray[np.float64], k: int, thickness_mm: float
) -> None:
    across = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    down = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    place = affine[:3, 3] + k * affine[:3, 2]
    spacing = volume.grid.spacing_mm
    dataset.ImageOrientationPatient = [_number(v) for v in (*across, *down)]
    dataset.ImagePositionPatient = [_number(v) for v in place]
    dataset.PixelSpacing = [_number(spacing[1]), _number(spacing[0])]
    dataset.SliceThickness = _number(min(thickness_mm, spacing[2]))
    dataset.SpacingBetweenSlices = _number(spacing[2])
    dataset.SliceLocation = _number(float(np.dot(place, np.cross(across, down))))


def _number(value: float) -> str:
    """Return a decimal string of at most 16 characters."""
    return f"{value + 0.0:.9f}"[:16] if abs(value) < 1e5 else f"{value:.8g}"


def _set_pixels(dataset: Dataset, image: NDArray[np.floating]) -> None:
    pixels = np.clip(np.rint(image), 0, 4095).astype("<u2")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    top = float(max(np.percentile(pixels, 99.5), 2))
    dataset.WindowCenter, dataset.WindowWidth = f"{top / 2:.0f}", f"{top:.0f}"
    dataset.PixelData = pixels.tobytes()


FORMATS: Mapping[str, Callable[[Phantom, Path, Storage], None]] = MappingProxyType(
    {"dicom": _write_dicom, "nifti": _write_nifti}
)
