"""One DICOM file as frames: the header facts by which images are grouped, placed and decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bmepipe.io.elements import EXPLICIT_BIG, Elements, RawHeader
from bmepipe.io.tags import TAG
from bmepipe.io.values import Values

MR_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
    "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color Image
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
}
_MAX_FRAMES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is said once per file. Texts are cleaned; nothing here names the patient.

    `sign` is PixelRepresentation, -1 if it is missing; missing bit depths are 0.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    patient: str
    acquired: str
    study_description: str
    series_number: int | None
    series_description: str
    protocol: str
    modality: str
    manufacturer: str
    body_part: str
    laterality: str
    frame_of_reference_uid: str
    field_strength_t: float | None
    scanning_sequence: tuple[str, ...]
    sequence_variant: tuple[str, ...]
    scan_options: tuple[str, ...]
    sequence_name: str
    acquisition_type: str
    echo_train_length: float | None
    contrast_agent: str
    suppression: str
    excitation: str
    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    sign: int
    overlay_bit: int
    frame_count: int
    transfer_syntax: str
    pixel_tag: int
    pixel_offset: int
    pixel_length: int
    mosaic: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane: its place in LPS millimetres, its times in ms, and what tells it apart.

    `number` counts from 1 in its file. `position`, `orientation` (row cosines, then column cosines)
    and `spacing` (between rows, between columns) are None where the header does not say.
    """

    file: FileFacts
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness_mm: float | None
    gap_mm: float | None
    slope: float
    intercept: float
    te_ms: float | None
    tr_ms: float | None
    ti_ms: float | None
    flip_deg: float | None
    image_type: tuple[str, ...]
    component: str
    inversion_recovery: str
    echo_number: float | None
    acquisition: float | None
    temporal: float | None
    stack: str
    instance: float | None
    b_value: float | None
    b_direction: tuple[float, ...]
    trigger_ms: float | None
    acquisition_time: str
    content_time: str


def frames_of(path: Path, header: RawHeader) -> list[Frame]:
    """Return the frames of a file from its header, in the file's order.

    Raises
    ------
    DamagedHeader
        If a number on which pixel values depend is there and cannot be read.

    Notes
    -----
    A multi-frame file whose functional groups are fewer than its frames gives frames without a
    place, which are refused later with that reason.
    """
    big = header.transfer_syntax == EXPLICIT_BIG
    top = header.elements
    charset = top.get(TAG["SpecificCharacterSet"], (b"", b""))[1]
    encoding = charset.decode("latin-1") if isinstance(charset, bytes) else ""
    shared = _flatten(_items(top, "SharedFunctionalGroups")[:1])
    per_frame = _items(top, "PerFrameFunctionalGroups")
    plain = Values(top, shared, big=big, charset=encoding)
    facts = _file_facts(path, header, plain)
    if not per_frame and facts.frame_count == 1:
        return [_frame(facts, 1, plain)]
    if len(per_frame) != facts.frame_count:
        return [_nowhere(_frame(facts, 1, plain))]
    return [
        _frame(facts, n, Values(_flatten([group]), shared, top, big=big, charset=encoding))
        for n, group in enumerate(per_frame, 1)
    ]


def is_mr_image(facts: FileFacts) -> bool:
    """Say whether a file holds magnetic resonance images."""
    known = facts.sop_class_uid in MR_CLASSES or facts.modality == "MR"
    return known and facts.rows > 0 and facts.columns > 0 and facts.pixel_offset >= 0


def _file_facts(path: Path, header: RawHeader, v: Values) -> FileFacts:
    date = v.text("StudyDate").replace(".", "").replace("-", "")
    patient = v.raw("PatientID")[1].strip(b"\0 ")
    return FileFacts(
        path=path,
        sop_class_uid=v.text("SOPClassUID"),
        sop_instance_uid=v.text("SOPInstanceUID"),
        study_uid=v.text("StudyInstanceUID"),
        series_uid=v.text("SeriesInstanceUID"),
        patient=hashlib.sha256(patient).hexdigest()[:8] if patient else "",
        acquired=f"{date[:4]}-{date[4:6]}-{date[6:]}" if date.isdigit() and len(date) == 8 else "",
        study_description=v.text("StudyDescription"),
        series_number=None if v.number("SeriesNumber") is None else v.integer("SeriesNumber"),
        series_description=v.text("SeriesDescription"),
        protocol=v.text("ProtocolName"),
        modality=v.text("Modality").upper(),
        manufacturer=v.text("Manufacturer"),
        body_part=v.text("BodyPartExamined"),
        laterality=_laterality(v),
        frame_of_reference_uid=v.text("FrameOfReferenceUID"),
        field_strength_t=v.number("MagneticFieldStrength"),
        scanning_sequence=_scanning_sequence(v),
        sequence_variant=v.texts("SequenceVariant"),
        scan_options=v.texts("ScanOptions"),
        sequence_name=v.text("SequenceName")
        or v.text("PulseSequenceName")
        or v.text("SiemensSequenceName"),
        acquisition_type=v.text("MRAcquisitionType").upper(),
        echo_train_length=v.number("EchoTrainLength"),
        contrast_agent=v.text("ContrastBolusAgent"),
        suppression=v.text("SpectrallySelectedSuppression").upper(),
        excitation=v.text("SpectrallySelectedExcitation").upper(),
        rows=v.integer("Rows"),
        columns=v.integer("Columns"),
        samples=int(v.sure("SamplesPerPixel", 1)),
        photometric=v.text("PhotometricInterpretation").upper(),
        bits_allocated=int(v.sure("BitsAllocated", 0)),
        bits_stored=int(v.sure("BitsStored", 0)),
        sign=int(v.sure("PixelRepresentation", -1)),
        overlay_bit=v.integer("OverlayBitPosition"),
        frame_count=min(max(int(v.sure("NumberOfFrames", 1)), 1), _MAX_FRAMES),
        transfer_syntax=header.transfer_syntax,
        pixel_tag=header.pixel_tag,
        pixel_offset=header.pixel_offset,
        pixel_length=header.pixel_length,
        mosaic=_is_mosaic(v),
    )


def _frame(facts: FileFacts, number: int, v: Values) -> Frame:
    te, ti = v.number("EffectiveEchoTime"), v.number("InversionTimes")
    return Frame(
        file=facts,
        number=number,
        position=_exactly(v.numbers("ImagePositionPatient"), 3),
        orientation=_exactly(v.numbers("ImageOrientationPatient"), 6),
        spacing=_exactly(v.numbers("PixelSpacing"), 2),
        thickness_mm=v.number("SliceThickness"),
        gap_mm=v.number("SpacingBetweenSlices"),
        slope=v.sure("RescaleSlope", 1.0),
        intercept=v.sure("RescaleIntercept", 0.0),
        te_ms=v.number("EchoTime") if te is None else te,
        tr_ms=v.number("RepetitionTime"),
        ti_ms=v.number("InversionTime") if ti is None else ti,
        flip_deg=v.number("FlipAngle"),
        image_type=v.texts("FrameType") or v.texts("ImageType"),
        component=_component(v),
        inversion_recovery=v.text("InversionRecovery").upper(),
        echo_number=v.number("EchoNumbers"),
        acquisition=v.number("FrameAcquisitionNumber") or v.number("AcquisitionNumber"),
        temporal=v.number("TemporalPositionIndex") or v.number("TemporalPositionIdentifier"),
        stack=v.text("StackID"),
        instance=v.number("InstanceNumber"),
        b_value=v.number("DiffusionBValue"),
        b_direction=v.numbers("DiffusionGradientOrientation"),
        trigger_ms=v.number("TriggerTime"),
        acquisition_time=v.text("AcquisitionTime"),
        content_time=v.text("ContentTime"),
    )


def _nowhere(frame: Frame) -> Frame:
    return replace(frame, position=None, orientation=None)


def _component(v: Values) -> str:
    """Return M, P, R or I for magnitude, phase, real, imaginary; empty if the header is silent."""
    said = v.text("ComplexImageComponent").upper()
    if said in ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY"):
        return said[0]
    ge = v.raw("GERawDataType")[1]
    if (
        v.text("Manufacturer").upper().startswith("GE")
        and len(ge) == 2
        and max(ge) in (1, 2, 3)
        and min(ge) == 0
    ):
        return " PRI"[max(ge)]
    for token in (v.texts("FrameType") or v.texts("ImageType"))[2:]:
        if token in ("P", "PHASE", "PHASE MAP"):
            return "P"
        if token in ("R", "REAL", "I", "IMAGINARY"):
            return token[0]
    for token in (v.texts("FrameType") or v.texts("ImageType"))[2:]:
        if token in ("M", "MAGNITUDE") or token.startswith("M_"):
            return "M"
    return ""


def _scanning_sequence(v: Values) -> tuple[str, ...]:
    """Return the tokens of ScanningSequence, which enhanced images say in other words."""
    if found := v.texts("ScanningSequence"):
        return found
    said = v.text("EchoPulseSequence").upper()
    kinds = {"GRADIENT": ("GR",), "SPIN": ("SE",), "BOTH": ("SE", "GR")}.get(said, ())
    planar = v.text("EchoPlanarPulseSequence").upper() == "YES"
    inverted = v.text("InversionRecovery").upper() == "YES"
    return kinds + ("EP",) * planar + ("IR",) * inverted


def _is_mosaic(v: Values) -> bool:
    """Say whether one image holds many slices: Siemens' mosaic or UIH's grid."""
    grid = v.integer("UihSlicesInGrid") if "UIH" in v.text("Manufacturer").upper() else 0
    return "MOSAIC" in v.texts("ImageType") or grid > 1


def _laterality(v: Values) -> str:
    for name in ("ImageLaterality", "FrameLaterality", "Laterality"):
        if (said := v.text(name).upper()) in ("L", "R"):
            return said
    return ""


def _exactly(numbers: tuple[float, ...], count: int) -> tuple[float, ...] | None:
    return numbers if len(numbers) == count else None


def _items(
    elements: Mapping[int, tuple[bytes, bytes | list[Elements]]], name: str
) -> list[Elements]:
    found = elements.get(TAG[name], (b"", b""))[1]
    return found if isinstance(found, list) else []


def _flatten(items: list[Elements]) -> Elements:
    """Merge functional groups, each a sequence of one item, into one set of elements."""
    merged: Elements = {}
    for item in items:
        for tag, (vr, value) in item.items():
            if isinstance(value, list):
                merged.update(_flatten(value[:1]))
            else:
                merged[tag] = (vr, value)
    return merged
