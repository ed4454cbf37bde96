"""A phantom as the files of a study, and its truth beside them.

``FOLDER/study`` is the input of a run, ``FOLDER/truth`` the answer. Every UID is a hash of what it
names, so that the same phantom gives the same bytes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import MappingProxyType

import nibabel
import numpy as np

from bmepipe.errors import unknown_choice
from bmepipe.folder import made_whole, require_new
from bmepipe.io.phantom_dicom import image_type, series_name, write_dicom
from bmepipe.phantom.study import Phantom
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.volume import Grid, Volume


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
        If the folder holds something or cannot be written.
    """
    if format not in FORMATS:
        raise unknown_choice("format", format, FORMATS)
    folder = Path(folder)
    require_new(folder)
    with made_whole(folder) as made:
        (made / "study").mkdir()
        (made / "truth").mkdir()
        FORMATS[format](phantom, made / "study", storage or Storage())
        _write_truth(phantom, made / "truth")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_nifti(phantom: Phantom, folder: Path, storage: Storage) -> None:
    scan = phantom.protocol
    for name, sequence, volume in (
        ("t1", scan.t1, phantom.t1),
        ("t2fs", scan.t2fs, phantom.t2fs),
    ):
        _save_nifti(storage.apply(volume), folder / f"{name}.nii.gz")
        text = json.dumps(sidecar(sequence), indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def sidecar(sequence: Sequence) -> dict[str, object]:
    """Return what a BIDS sidecar says of a contrast, without which all would be T2-FS.

    Times are in seconds, the field in tesla.
    """
    inversion = sequence.technique is Technique.INVERSION
    facts: dict[str, object] = {
        "Modality": "MR",
        "Manufacturer": "bmepipe",
        "SeriesDescription": series_name(sequence),
        "ImageType": ["ORIGINAL", "PRIMARY", "M", *image_type(sequence)],
        "ScanningSequence": "SE_IR" if inversion else "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "FS" if sequence.technique is Technique.FAT_SAT else "",
        "MagneticFieldStrength": sequence.field_t,
        "RepetitionTime": sequence.tr_ms / 1000,
        "EchoTime": sequence.te_ms / 1000,
    }
    return facts | ({"InversionTime": sequence.ti_ms / 1000} if inversion else {})


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
    write_dicom(phantom, folder, storage.apply)


FORMATS: Mapping[str, Callable[[Phantom, Path, Storage], None]] = MappingProxyType(
    {"dicom": _write_dicom, "nifti": _write_nifti}
)
