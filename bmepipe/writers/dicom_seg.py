"""`edema_seg.dcm`: DICOM Segmentation (BINARY), a segment per bone and per bone's edema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmepipe.result import RESEARCH_ONLY, EdemaResult
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
from bmepipe.writers.summary import bones_given

if TYPE_CHECKING:
    from highdicom import Volume as DicomVolume
    from highdicom.seg import SegmentDescription

SERIES_NUMBER = 7101  # far from the scanner's own numbers
_COLOURS = {True: (255, 176, 0), False: (86, 180, 233)}


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``edema_seg.dcm`` for DICOM input; nothing for other input or where no bone was found.

    Patient and study are those of the fat-suppressed series; every frame, empty ones included,
    is written, so that reading back gives the grid of the source.
    """
    from highdicom.seg import Segmentation

    sources = source_headers(result)
    planned = segments(result)
    if not sources or not planned:
        return []
    uid = derived_uid(result, "segmentation")
    with names_untold():
        made = Segmentation(
            source_images=sources,
            pixel_array=dicom_volume(result, planned, str(sources[0].FrameOfReferenceUID)),
            segmentation_type="BINARY",
            segment_descriptions=[describe(result, segment) for segment in planned],
            series_instance_uid=derived_uid(result, "segmentation series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL_NAME,
            software_versions=result.provenance.version,
            device_serial_number="1",
            omit_empty_frames=False,
            content_label="EDEMA",
            content_description=RESEARCH_ONLY,
            series_description=SERIES_DESCRIPTION,
        )
    settle_uids(made, uid)
    path = folder / "edema_seg.dcm"
    made.save_as(path)
    return [path]


def dicom_volume(result: EdemaResult, planned: tuple[Segment, ...], frame_uid: str) -> DicomVolume:
    """Return the segments as highdicom's volume, [slice, row, column, segment], in LPS mm.

    Its geometry is the grid's own; frames are matched to source frames by position.
    """
    from highdicom import ChannelDescriptor, Volume

    affine = result.pair.grid.lps_affine[:, [2, 1, 0, 3]]
    return Volume(
        array=segment_array(result, planned),
        affine=affine,
        coordinate_system="PATIENT",
        frame_of_reference_uid=frame_uid,
        channels={ChannelDescriptor("SegmentNumber"): [s.number for s in planned]},
    )


def segment_array(result: EdemaResult, planned: tuple[Segment, ...]) -> NDArray[np.uint8]:
    """Return 0 or 1 for each voxel and segment, shape [slice, row, column, segment]."""
    bones, edema = result.bones.data.T, result.edema.data.T
    layers = []
    for segment in planned:
        inside = bones == segment.bone.label
        layers.append(inside & edema if segment.is_edema else inside)
    return np.stack(layers, axis=-1).astype(np.uint8)


def describe(result: EdemaResult, segment: Segment) -> SegmentDescription:
    """Return what a segment is, in SNOMED CT, where it lies and who made it."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    bone = Code(segment.bone.snomed_code, "SCT", segment.bone.snomed_meaning)
    given = not segment.is_edema and bones_given(result)
    described = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=codes.CID7150.MorphologicallyAbnormalStructure
        if segment.is_edema
        else codes.CID7150.AnatomicalStructure,
        segmented_property_type=codes.SCT.Edema if segment.is_edema else bone,
        algorithm_type="SEMIAUTOMATIC" if given else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name="bmepipe: bones given by the user" if given else "bmepipe",
            version=result.provenance.version,
            family=codes.DCM.ArtificialIntelligence
            if result.provenance.models and not given
            else codes.CID7162.HistogramAnalysis,
        ),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        anatomic_regions=[bone],
        display_color=CIELabColor.from_rgb(*_COLOURS[segment.is_edema]),
    )
    add_side(result, segment, described)
    return described


def add_side(result: EdemaResult, segment: Segment, described: SegmentDescription) -> None:
    """Add left or right to the region, and to the bone itself, where the side is known."""
    from highdicom.sr import CodedConcept

    known = side(result, segment.bone)
    if known is None:
        return
    modifier = CodedConcept(known[0], "SCT", known[1])
    described.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [modifier]
    if not segment.is_edema:
        bone_type = described.SegmentedPropertyTypeCodeSequence[0]
        bone_type.SegmentedPropertyTypeModifierCodeSequence = [modifier]
