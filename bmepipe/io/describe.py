"""The stacks of one DICOM series as `Series`: header facts, role and geometry, no pixels."""

from __future__ import annotations

from collections.abc import Sequence

from bmepipe.analysis.laterality import side_in_name
from bmepipe.io.dixon import dixon_image
from bmepipe.io.frames import Frame
from bmepipe.io.geometry import axes_of
from bmepipe.io.roles import HeaderFacts, judge
from bmepipe.io.stacks import Stack
from bmepipe.study import Series
from bmepipe.volume import SliceSource


def series_of(stacks: Sequence[Stack]) -> list[Series]:
    """Return a `Series` for each stack of one DICOM series."""
    planes = len({_plane(stack.frames[0]) for stack in stacks} - {None})
    return [_series(stack, n, len(stacks), planes) for n, stack in enumerate(stacks, 1)]


def _series(stack: Stack, part: int, parts: int, planes: int) -> Series:
    frame = stack.frames[0]
    file = frame.file
    judged = judge(header_facts(frame, planes, len(stack.frames)))
    grid = stack.geometry.grid
    return Series(
        uid=file.series_uid or f"{file.path.parent.name}/{file.series_number}",
        files=tuple(dict.fromkeys(f.file.path for f in stack.frames)),
        number=file.series_number,
        part=part,
        parts=parts,
        description=file.series_description or file.protocol,
        weighting=judged.weighting,
        fat_suppression=judged.fat_suppression,
        role=judged.role,
        confidence=judged.confidence,
        evidence=judged.evidence,
        notes=tuple(dict.fromkeys((*judged.notes, *stack.notes))),
        refusal=stack.refusal,
        grid=grid,
        frame_of_reference_uid=file.frame_of_reference_uid,
        te_ms=frame.te_ms,
        tr_ms=frame.tr_ms,
        ti_ms=frame.ti_ms or None,
        field_strength_t=file.field_strength_t,
        manufacturer=file.manufacturer,
        laterality=file.laterality or side_in_name(file.series_description or file.protocol),
        body_part=file.body_part,
        slices=tuple(source_of(f) for f in stack.frames),
        doubtful_fat=judged.doubtful_fat,
    )


def source_of(frame: Frame) -> SliceSource:
    """Return the DICOM instance and frame number of a frame."""
    return SliceSource(frame.file.sop_class_uid, frame.file.sop_instance_uid, frame.number)


def header_facts(frame: Frame, planes: int, slices: int) -> HeaderFacts:
    """Return what the rules for roles look at."""
    file = frame.file
    return HeaderFacts(
        manufacturer=file.manufacturer,
        description=file.series_description,
        protocol=file.protocol,
        image_type=frame.image_type,
        scanning_sequence=file.scanning_sequence,
        scan_options=file.scan_options,
        sequence_name=file.sequence_name,
        te_ms=frame.te_ms,
        tr_ms=frame.tr_ms,
        ti_ms=frame.ti_ms,
        field_strength_t=file.field_strength_t,
        component=frame.component,
        dixon=dixon_image(frame.image_type, file.series_description),
        suppression=file.suppression,
        inversion_recovery=frame.inversion_recovery,
        contrast_agent=file.contrast_agent,
        planes=planes,
        slices=slices,
        thickness_mm=frame.thickness_mm,
    )


def _plane(frame: Frame) -> int | None:
    """Return the patient axis (0 sagittal, 1 coronal, 2 axial) that the slices' normal is near."""
    axes = axes_of(frame.orientation) if frame.orientation else None
    return None if axes is None else int(abs(axes[2]).argmax())
