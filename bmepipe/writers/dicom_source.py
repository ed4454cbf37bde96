"""What the DICOM writers share: source headers, segments, codes and reproducible UIDs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmepipe.result import EdemaResult
from bmepipe.site import Bone

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "bmepipe"
MODEL_NAME = "bmepipe (research use only, not a medical device)"
SERIES_DESCRIPTION = "Bone marrow edema (research use only)"

# Attributes that must be present, though they may be empty; de-identified files often lack them.
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Values that these attributes may have; whatever else a scanner or de-identifier wrote is left out.
_ENUMERATED = {
    "PatientSex": ("M", "F", "O", ""),
    "PatientSexNeutered": ("ALTERED", "UNALTERED", ""),
    "SmokingStatus": ("YES", "NO", "UNKNOWN"),
    "PregnancyStatus": (1, 2, 3, 4),
}
_SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
_LATERALITY = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class Segment:
    """One segment of the DICOM Segmentation: a bone, or the edema in it.

    `tracking_id` names the finding for follow-up, `tracking_uid` makes it unique.
    """

    number: int
    label: str
    bone: Bone
    is_edema: bool
    tracking_id: str
    tracking_uid: str


def source_headers(result: EdemaResult) -> list[Dataset]:
    """Return the headers of the fat-suppressed instances, each once, in the order of the slices.

    Pixels are not read, so compressed files need no decoder. Empty for a study that was not DICOM,
    or whose slices have no source of their own.

    Raises
    ------
    LookupError
        If the file of a slice is not among the files of the series.
    """
    from pydicom import dcmread

    series, slices = result.pair.t2fs_series, result.pair.t2fs.slices
    if series is None or not slices:
        return []
    found: dict[str, Dataset] = {}
    for path in series.files:
        header = dcmread(path, stop_before_pixels=True, force=True)
        found.setdefault(header.get("SOPInstanceUID"), header)
    wanted = dict.fromkeys(source.sop_instance_uid for source in slices)
    missing = [uid for uid in wanted if uid not in found]
    if missing:
        raise LookupError(f"no file of the series holds the instance {missing[0]}")
    return [_completed(found[uid], series.uid) for uid in wanted]


def _completed(header: Dataset, series_uid: str) -> Dataset:
    for keyword, known in _ENUMERATED.items():
        if keyword in header and header.get(keyword) not in known:
            delattr(header, keyword)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = _uid_of(series_uid, "frame of reference")
    return header


@contextmanager
def names_untold() -> Iterator[None]:
    """Silence highdicom's warning about names of one component, since it quotes the name."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The string .* is unlikely to represent the intended person"
        )
        yield


def segments(result: EdemaResult) -> tuple[Segment, ...]:
    """Return a segment for each bone that was found and for the edema measured in it.

    Edema that was measured as none has a segment without a voxel; edema that was not measurable
    has none.
    """
    present = set(np.unique(result.bones.data)) - {0}
    found = [bone for bone in result.site.bones if bone.label in present]
    measured = {row.bone for row in result.measurements if row.edema_ml is not None}
    planned = [(bone, False) for bone in found]
    planned += [(bone, True) for bone in found if bone.name in measured]
    return tuple(
        _segment(result, number, bone, is_edema)
        for number, (bone, is_edema) in enumerate(planned, start=1)
    )


def _segment(result: EdemaResult, number: int, bone: Bone, is_edema: bool) -> Segment:
    name = bone.name.replace("_", " ")
    label = f"{name}, edema" if is_edema else name
    uid = derived_uid(result, f"tracking {label}")
    return Segment(number, label, bone, is_edema, f"{result.site.name}: {label}", uid)


def derived_uid(result: EdemaResult, purpose: str) -> str:
    """Return a UID that is the same for the same input, version and outcome.

    It is ``2.25.`` and 128 bits of SHA-256 (DICOM PS3.5 B.2) over the version, the source
    instances, the voxels, the measurements and the notes, so that two different results never
    share one.
    """
    pair = result.pair
    facts = [
        result.provenance.version,
        *(f"{s.sop_instance_uid} {s.frame}" for s in pair.t2fs.slices),
        pair.t1_series.key if pair.t1_series is not None else "",
        _digest(result.bones.data),
        _digest(result.edema.data),
        repr(result.measurements),
        repr(result.notes),
    ]
    return _uid_of("\n".join(facts), purpose)


def _digest(voxels: np.ndarray) -> str:
    return hashlib.sha256(np.asfortranarray(voxels, dtype=np.uint8).tobytes("F")).hexdigest()


def _uid_of(facts: str, purpose: str) -> str:
    digest = hashlib.sha256(f"{purpose}\n{facts}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def side(result: EdemaResult, bone: Bone) -> tuple[str, str] | None:
    """Return SNOMED CT value and meaning of a bone's side, from its name or the series' header."""
    series = result.pair.t2fs_series
    told = series.laterality if series is not None and result.site.paired else ""
    from_header = _LATERALITY.get(told)
    words = bone.name.split("_")
    named = next((word for word in words if word in _SIDES), from_header)
    return _SIDES[named] if named else None


def settle_uids(dataset: Dataset, seed: str) -> None:
    """Replace the random UIDs that highdicom made by ones derived from `seed`, alike for alike."""
    from highdicom import UID

    prefix = UID().rsplit(".", 1)[0]
    known: dict[str, str] = {}
    for element in dataset.iterall():
        if element.VR == "UI" and str(element.value).startswith(prefix):
            number = len(known)
            element.value = known.setdefault(element.value, _uid_of(seed, f"internal {number}"))
