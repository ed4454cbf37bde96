"""The DICOM elements that bmepipe reads, and the VR by which each is decoded where none is given.

Names are those of the standard (PS3.6); three are private and say so.
"""

from __future__ import annotations

_TABLE: dict[str, tuple[int, str]] = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "ContentTime": (0x00080033, "TM"),
    "AcquisitionTime": (0x00080032, "TM"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "StudyDescription": (0x00081030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "FrameType": (0x00089007, "CS"),
    "ComplexImageComponent": (0x00089208, "CS"),
    "AcquisitionContrast": (0x00089209, "CS"),
    "PatientID": (0x00100020, "LO"),
    "ContrastBolusAgent": (0x00180010, "LO"),
    "BodyPartExamined": (0x00180015, "CS"),
    "ScanningSequence": (0x00180020, "CS"),
    "SequenceVariant": (0x00180021, "CS"),
    "ScanOptions": (0x00180022, "CS"),
    "MRAcquisitionType": (0x00180023, "CS"),
    "SequenceName": (0x00180024, "SH"),
    "SliceThickness": (0x00180050, "DS"),
    "RepetitionTime": (0x00180080, "DS"),
    "EchoTime": (0x00180081, "DS"),
    "InversionTime": (0x00180082, "DS"),
    "EchoNumbers": (0x00180086, "IS"),
    "MagneticFieldStrength": (0x00180087, "DS"),
    "SpacingBetweenSlices": (0x00180088, "DS"),
    "EchoTrainLength": (0x00180091, "IS"),
    "ProtocolName": (0x00181030, "LO"),
    "TriggerTime": (0x00181060, "DS"),
    "FlipAngle": (0x00181314, "DS"),
    "PulseSequenceName": (0x00189005, "SH"),
    "EchoPulseSequence": (0x00189008, "CS"),
    "InversionRecovery": (0x00189009, "CS"),
    "EchoPlanarPulseSequence": (0x00189018, "CS"),
    "SpectrallySelectedSuppression": (0x00189025, "CS"),
    "SpectrallySelectedExcitation": (0x00189026, "CS"),
    "InversionTimes": (0x00189079, "FD"),
    "EffectiveEchoTime": (0x00189082, "FD"),
    "DiffusionBValue": (0x00189087, "FD"),
    "DiffusionGradientOrientation": (0x00189089, "FD"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "Laterality": (0x00200060, "CS"),
    "ImageLaterality": (0x00200062, "CS"),
    "TemporalPositionIdentifier": (0x00200100, "IS"),
    "StackID": (0x00209056, "SH"),
    "FrameLaterality": (0x00209072, "CS"),
    "TemporalPositionIndex": (0x00209128, "UL"),
    "FrameAcquisitionNumber": (0x00209156, "US"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "OverlayBitPosition": (0x60000102, "US"),
    # GE private: 0 magnitude, 1 phase, 2 real, 3 imaginary.
    "GERawDataType": (0x0043102F, "SS"),
    # UIH private: number of slices that a grid image holds.
    "UihSlicesInGrid": (0x00651050, "DS"),
    # Siemens XA private: the name of the sequence, per frame.
    "SiemensSequenceName": (0x00211177, "SH"),
    "SharedFunctionalGroups": (0x52009229, "SQ"),
    "PerFrameFunctionalGroups": (0x52009230, "SQ"),
}

TAG = {name: tag for name, (tag, _) in _TABLE.items()}
VR = {tag: vr.encode() for tag, vr in _TABLE.values()}

# Sequences that are entered: the functional groups of multi-frame images.
DESCENDED = frozenset(
    {
        TAG["SharedFunctionalGroups"],
        TAG["PerFrameFunctionalGroups"],
        0x00189112,  # MR Timing and Related Parameters
        0x00189114,  # MR Echo
        0x00189115,  # MR Modifier
        0x00189117,  # MR Diffusion
        0x00189076,  # Diffusion Gradient Direction
        0x00189226,  # MR Image Frame Type
        0x00209071,  # Frame Anatomy
        0x00209111,  # Frame Content
        0x00209170,  # Unassigned Shared Converted Attributes
        0x00209171,  # Unassigned Per-Frame Converted Attributes
        0x00209113,  # Plane Position
        0x00209116,  # Plane Orientation
        0x00289110,  # Pixel Measures
        0x00289145,  # Pixel Value Transformation
        0x002111FE,  # Siemens XA private, per frame
    }
)
WANTED = frozenset(VR) | DESCENDED
