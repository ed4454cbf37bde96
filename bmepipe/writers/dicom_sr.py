"""`report_sr.dcm`: the measurements as a TID 1500 report that refers to the Segmentation.

What was not measured is there with its reason, and bones without edema are said to have none: a
reader of this file alone must not take a missing or zero volume for a finding.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmepipe.result import BoneMeasurement, EdemaResult
from bmepipe.writers.dicom_source import (
    MANUFACTURER,
    MODEL_NAME,
    SERIES_DESCRIPTION,
    Segment,
    derived_uid,
    names_untold,
    segments,
    settle_uids,
    side,
    source_headers,
)
from bmepipe.writers.summary import notes

if TYPE_CHECKING:
    from highdicom.sr import Measurement, MeasurementReport, QualitativeEvaluation
    from pydicom import Dataset
    from pydicom.sr.coding import Code

SERIES_NUMBER = 7102
PRIVATE_SCHEME = "99BMEPIPE"

# Concepts for which no standard code is known here: column of BoneMeasurement to value, meaning.
PRIVATE_CODES = {
    "edema_percent": ("EDEMA_PERCENT", "Edema as percentage of assessable bone"),
    "assessable_percent": ("ASSESSED_PERCENT", "Percentage of the marrow that could be assessed"),
    "lesion_count": ("LESION_COUNT", "Number of edema lesions"),
    "t1_ratio": ("T1_RATIO", "T1 signal of edema to normal marrow"),
    "t2fs_ratio": ("FS_RATIO", "Fat-suppressed signal of edema to normal marrow"),
    # A finding rather than a column: viewers head the group of measurements with it.
    "no_edema": ("NO_EDEMA", "No edema found"),
}


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``report_sr.dcm`` for DICOM input; nothing for other input or where no bone was found.

    It refers to the Segmentation that the writer ``seg`` makes of the same result.
    """
    from highdicom.sr import ComprehensiveSR

    sources = source_headers(result)
    planned = segments(result)
    if not sources or not planned:
        return []
    uid = derived_uid(result, "report")
    with names_untold():
        made = ComprehensiveSR(
            evidence=[*sources, segmentation_reference(result, sources[0])],
            content=report(result, planned, sources)[0],
            series_instance_uid=derived_uid(result, "report series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            series_description=SERIES_DESCRIPTION,
        )
    made.ManufacturerModelName = MODEL_NAME
    made.SoftwareVersions = result.provenance.version
    declare_private_scheme(made)
    settle_uids(made, uid)
    path = folder / "report_sr.dcm"
    made.save_as(path)
    return [path]


def segmentation_reference(result: EdemaResult, source: Dataset) -> Dataset:
    """Return the few attributes by which a report refers to the Segmentation."""
    from pydicom import Dataset
    from pydicom.uid import SegmentationStorage

    reference = Dataset()
    reference.StudyInstanceUID = source.StudyInstanceUID
    reference.SeriesInstanceUID = derived_uid(result, "segmentation series")
    reference.SOPInstanceUID = derived_uid(result, "segmentation")
    reference.SOPClassUID = SegmentationStorage
    return reference


def report(
    result: EdemaResult, planned: tuple[Segment, ...], sources: list[Dataset]
) -> MeasurementReport:
    """Return the content of the report: one group of measurements per segment, then the notes."""
    from highdicom.sr import MeasurementReport
    from pydicom.sr.coding import Code

    rows = {row.bone: row for row in result.measurements}
    made = MeasurementReport(
        observation_context=observer(result),
        procedure_reported=Code("113091000", "SCT", "Magnetic resonance imaging"),
        imaging_measurements=[
            group(result, segment, rows[segment.bone.name], str(sources[0].SeriesInstanceUID))
            for segment in planned
            if segment.bone.name in rows
        ],
    )
    if result.notes:
        made[0].ContentSequence.append(study_notes(result))
    return made


def study_notes(result: EdemaResult) -> Any:
    """Return the notes on the study: the container of TID 1500 for what belongs to no group."""
    from highdicom.sr import ContainerContentItem, RelationshipTypeValues
    from highdicom.sr.value_types import ContentSequence
    from pydicom.sr.coding import Code

    name = Code("C0034375", "UMLS", "Qualitative Evaluations")
    container = ContainerContentItem(name, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence([comment(text) for text in notes(result)])
    return container


def comment(text: str) -> Any:
    """Return a text item."""
    from highdicom.sr import RelationshipTypeValues, TextContentItem
    from pydicom.sr.codedict import codes

    return TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)


def observer(result: EdemaResult) -> Any:
    """Return who observed: this program, as a device."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid(result, "device"),
        name="bmepipe",
        manufacturer_name=MANUFACTURER,
        model_name=MODEL_NAME,
    )
    return ObservationContext(
        observer_device_context=ObserverContext(codes.DCM.Device, device),
    )


def group(result: EdemaResult, segment: Segment, row: BoneMeasurement, series_uid: str) -> Any:
    """Return the measurements of one segment (TID 1411), with the bone's note where it applies."""
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        FindingSite,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom.sr.coding import Code
    from pydicom.uid import SegmentationStorage

    bone = Code(segment.bone.snomed_code, "SCT", segment.bone.snomed_meaning)
    known = side(result, segment.bone)
    laterality = CodedConcept(known[0], "SCT", known[1]) if known else None
    # The bone's own group speaks of edema only where there is no group of its edema.
    speaks_of_edema = segment.is_edema or row.edema_ml is None
    made = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=ReferencedSegment(
            sop_class_uid=SegmentationStorage,
            sop_instance_uid=derived_uid(result, "segmentation"),
            segment_number=segment.number,
            source_series=SourceSeriesForSegmentation(series_uid),
        ),
        finding_type=edema_finding(row) if segment.is_edema else bone,
        finding_sites=[FindingSite(bone, laterality)],
        algorithm_id=AlgorithmIdentification("bmepipe", result.provenance.version),
        measurements=edema_measurements(row) if segment.is_edema else bone_measurements(row),
        qualitative_evaluations=[presence(row)] if speaks_of_edema else None,
    )
    if speaks_of_edema and row.note:
        made[0].ContentSequence.append(comment(row.note))
    return made


def edema_finding(row: BoneMeasurement) -> Code:
    """Return edema, or that there is none: a group of measurements is known by its finding."""
    from pydicom.sr.codedict import codes

    return codes.SCT.Edema if row.edema_ml else private_code("no_edema")


def presence(row: BoneMeasurement) -> QualitativeEvaluation:
    """Return whether the bone holds edema in standard codes: present, absent or not evaluated."""
    from highdicom.sr import QualitativeEvaluation
    from pydicom.sr.codedict import codes

    if row.edema_ml is None:
        return QualitativeEvaluation(codes.SCT.Edema, codes.SCT.NotEvaluated)
    return QualitativeEvaluation(
        codes.SCT.Edema, codes.SCT.Present if row.edema_ml else codes.SCT.Absent
    )


def bone_measurements(row: BoneMeasurement) -> list[Measurement]:
    """Return the bone's volume and how much of its marrow could be assessed."""
    from pydicom.sr.codedict import codes

    return _known(
        measurement(row, "bone_ml", codes.SCT.Volume),
        measurement(row, "assessable_percent", private_code("assessable_percent")),
    )


def edema_measurements(row: BoneMeasurement) -> list[Measurement]:
    """Return the edema's volume with its bounds, and what else was measured of it."""
    from pydicom.sr.codedict import codes

    columns = ("edema_percent", "lesion_count", "t1_ratio", "t2fs_ratio")
    return _known(
        measurement(row, "edema_ml", codes.SCT.Volume),
        measurement(row, "edema_ml_low", codes.SCT.Volume, codes.SCT.Minimum),
        measurement(row, "edema_ml_high", codes.SCT.Volume, codes.SCT.Maximum),
        *(measurement(row, column, private_code(column)) for column in columns),
    )


def _known(*measurements: Measurement | None) -> list[Measurement]:
    return [made for made in measurements if made is not None]


def measurement(
    row: BoneMeasurement, column: str, name: Code, derivation: Code | None = None
) -> Measurement | None:
    """Return one numeric item, rounded to its column's digits; None where it was not measured."""
    from highdicom.sr import Measurement
    from pydicom.sr.coding import Code

    value = getattr(row, column)
    if value is None:
        return None
    meta = next(field.metadata for field in fields(row) if field.name == column)
    unit = Code(meta["unit"][0], "UCUM", meta["unit"][1])
    return Measurement(name, round(float(value), meta["digits"]), unit, derivation=derivation)


def private_code(column: str) -> Code:
    """Return the private concept of a column or finding."""
    from pydicom.sr.coding import Code

    value, meaning = PRIVATE_CODES[column]
    return Code(value, PRIVATE_SCHEME, meaning)


def declare_private_scheme(report: Dataset) -> None:
    """Say in the object who is responsible for the private codes."""
    from pydicom import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "bmepipe measurements"
    scheme.CodingSchemeResponsibleOrganization = "bmepipe developers"
    report.CodingSchemeIdentificationSequence = [scheme]
