"""A phantom's exam as DICOM: a localizer, the pair and the further series.

Every UID is a hash of what it names, so that the same phantom gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

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


@dataclass(frozen=True, eq=False)
class _SeriesFiles:
    number: int
    description: str
    sequence: Sequence
    volume: Volume
    thickness_mm: float
    localizer: bool = False


def write_dicom(phantom: Phantom, folder: Path, arrange: Callable[[Volume], Volume]) -> None:
    """Write a phantom's exam as one DICOM file per slice; `arrange` lays a volume out anew."""
    scan = phantom.protocol
    exam = [
        (scan.t2fs, phantom.t2fs, scan.thickness_mm),
        (scan.t1, phantom.t1, scan.for_t1().thickness_mm),
        *((sequence, volume, scan.thickness_mm) for sequence, volume in phantom.others),
    ]
    for number, (sequence, volume, thick) in enumerate(exam, start=2):
        name = f"{_SHORT[volume.grid.plane]} {series_name(sequence)}"
        files = _SeriesFiles(number, name, sequence, volume, thick)
        _write_series(phantom, files, arrange(volume), folder)
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
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", *image_type(sequence)]
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


def image_type(sequence: Sequence) -> list[str]:
    """Return what ImageType adds for an image of a Dixon series."""
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
