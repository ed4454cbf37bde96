"""NIfTI files to volumes, and a folder of them to a `Study`: plain names or BIDS."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bmepipe.analysis.laterality import side_in_name
from bmepipe.errors import (
    BmepipeError,
    ImplausibleImage,
    IrregularSeries,
    StudyNotFound,
    UnknownOrientation,
    UnreadablePixels,
    UntrustedFile,
)
from bmepipe.io.nifti_names import header_facts, judge_name, stem_of
from bmepipe.study import Series, Study
from bmepipe.volume import Grid, Volume

# Corners of the two orientations that a file may give must not lie farther apart than this.
FRAME = "nifti"  # one frame of reference: nothing in NIfTI says otherwise
_AGREE_MM = 0.5
_SHEARED = 1e-3
_MAX_RATIO, _ALWAYS_ALLOWED = 1000, 1 << 28


def is_nifti(path: Path) -> bool:
    """Say by its name whether a path is a NIfTI file; whether it is there is not asked.

    >>> is_nifti(Path("a/T1.nii.gz")), is_nifti(Path("IM00001"))
    (True, False)
    """
    return path.name.lower().endswith((".nii", ".nii.gz"))


def load(path: str | Path) -> Volume:
    """Return the signal of a NIfTI file on its grid.

    Parameters
    ----------
    path : Path
        A .nii or .nii.gz of three axes (a fourth of length one is dropped).

    Returns
    -------
    Volume
        float32, Fortran-ordered, after the header's scaling.

    Raises
    ------
    StudyNotFound, UnreadablePixels, UntrustedFile
        If the file is missing, damaged, or asks for far more memory than it has bytes.
    UnknownOrientation
        If it does not say how it lies in the patient, or says two different things.
    IrregularSeries
        If it has several volumes or is sheared.
    ImplausibleImage
        If it holds a constant or values that are not finite.
    """
    path = Path(path)
    image = _open(path)
    grid, _ = _grid(image, path)
    data = _values(image, path).astype(np.float32, copy=False)
    if not np.isfinite(data).all():
        raise ImplausibleImage("finite values", f"{path.name} with NaN or infinity", "repair it")
    if data.size and data.min() == data.max():
        raise ImplausibleImage(
            "an image with contrast", f"{path.name}, {data.min():g} everywhere", "check the export"
        )
    return Volume(np.asfortranarray(data.reshape(grid.shape)), grid)


def load_labels(path: str | Path) -> Volume:
    """Return a label map or mask of a NIfTI file: uint8, uint16 or uint32.

    Raises
    ------
    ImplausibleImage
        If a value is negative or not an integer; otherwise as `load`.
    """
    path = Path(path)
    image = _open(path)
    grid, _ = _grid(image, path)
    data = _values(image, path)
    if not np.isfinite(data).all() or data.min() < 0 or (data != np.round(data)).any():
        raise ImplausibleImage(
            "a label map of whole numbers from 0",
            f"{path.name} with other values",
            "give the label map, not an image or a probability",
        )
    highest = int(data.max())
    kind = np.uint8 if highest < 256 else np.uint16 if highest < 65536 else np.uint32
    return Volume(np.asfortranarray(data.astype(kind).reshape(grid.shape)), grid)


def series_of(path: Path) -> Series:
    """Return a NIfTI file as a `Series`: its geometry and, from its name and sidecar, its role.

    A file that cannot be used is a series with a refusal, as in DICOM.
    """
    path = Path(path)
    facts = header_facts(path)
    judged = judge_name(path, facts)
    grid, refusal, notes = None, "", judged.notes
    try:
        grid, more = _grid(_open(path), path)
        notes += more
    except BmepipeError as error:
        refusal = error.came
    return Series(
        uid=path.name,
        files=(path,),
        description=stem_of(path),
        weighting=judged.weighting,
        fat_suppression=judged.fat_suppression,
        role=judged.role,
        confidence=judged.confidence,
        evidence=judged.evidence,
        notes=notes,
        laterality=side_in_name(stem_of(path)),
        refusal=refusal,
        grid=grid,
        te_ms=facts.te_ms,
        tr_ms=facts.tr_ms,
        ti_ms=facts.ti_ms,
        field_strength_t=facts.field_strength_t,
        manufacturer=facts.manufacturer,
        doubtful_fat=judged.doubtful_fat,
    )


def scan_nifti(folder: str | Path) -> Study:
    """Return a folder of NIfTI files as a study.

    Names are read as in DICOM descriptions (``t1``, ``stir``, ``pd_fs``) or as BIDS
    (``sub-01_acq-fs_PDw``), with the sidecar JSON where there is one. Masks, label maps and other
    derivatives are listed as such and not taken for signal.

    Raises
    ------
    StudyNotFound
        If the folder holds no NIfTI file.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else find_nifti(folder)
    if not files:
        raise StudyNotFound(
            "a folder of NIfTI files", f"{folder.name} without any", "check the path"
        )
    series = tuple(
        replace(series_of(path), number=number, frame_of_reference_uid=FRAME)
        for number, path in enumerate(files, 1)
    )
    return Study(
        uid=folder.name,
        series=series,
        description=folder.name,
    )


def find_nifti(folder: Path) -> list[Path]:
    """Return the NIfTI files at or below a folder, sorted."""
    found = [p for p in folder.rglob("*") if p.name.lower().endswith((".nii", ".nii.gz"))]
    return sorted(p for p in found if p.is_file() and not p.name.startswith("."))


def _open(path: Path) -> nib.Nifti1Image:
    if not path.is_file():
        raise StudyNotFound("a NIfTI file", f"nothing at {path}", "check the path")
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, OSError, ValueError, EOFError, zlib.error) as error:
        raise UnreadablePixels(
            "a NIfTI file", f"{path.name}: {str(error)[:120]}", "check the file"
        ) from None
    except nib.spatialimages.HeaderDataError as error:
        raise UnreadablePixels(
            "a NIfTI header", f"{path.name}: {str(error)[:120]}", "check the file"
        ) from None
    if not isinstance(image, nib.Nifti1Image):
        raise UnreadablePixels("a NIfTI file", path.name, "convert it to NIfTI")
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape, default=0) < 1:
        raise IrregularSeries(
            "one volume of three axes", f"{path.name} of shape {shape}", "split it into volumes"
        )
    need = int(np.prod([int(n) for n in shape], dtype=object)) * image.get_data_dtype().itemsize
    if need > max(path.stat().st_size * _MAX_RATIO, _ALWAYS_ALLOWED):
        raise UntrustedFile(
            "a file that holds its image",
            f"{path.name} of {path.stat().st_size} bytes claims {need}",
            "check the file",
        )
    return image


def _values(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    try:
        data = np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error, MemoryError) as error:
        raise UnreadablePixels(
            "a whole NIfTI file", f"{path.name}: {str(error)[:120]}", "copy it again"
        ) from None
    if data.dtype.kind not in "fiu":
        raise UnreadablePixels("real numbers", f"{path.name} of {data.dtype}", "convert it")
    return data


def _grid(image: nib.Nifti1Image, path: Path) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid that the header's orientation gives, and notes on it."""
    header = image.header
    sform, s_code = header.get_sform(coded=True)
    try:
        qform, q_code = header.get_qform(coded=True)
    except nib.spatialimages.HeaderDataError:
        qform, q_code = None, 0
    shape = (int(image.shape[0]), int(image.shape[1]), int(image.shape[2]))
    choices = [a for a, code in ((sform, s_code), (qform, q_code)) if code and a is not None]
    if not choices:
        raise UnknownOrientation(
            "a NIfTI file that says how it lies (sform or qform)",
            f"{path.name} with neither",
            "convert the DICOM files again with a tool that keeps the orientation",
        )
    grids = [Grid(shape, affine) for affine in choices]
    notes: tuple[str, ...] = ()
    if len(grids) == 2:
        apart = np.linalg.norm(grids[0].corners_mm - grids[1].corners_mm, axis=1).max()
        if apart > _AGREE_MM:
            raise UnknownOrientation(
                "sform and qform that agree",
                f"{path.name}: up to {apart:.1f} mm apart",
                "keep one of them (set the other's code to 0)",
            )
    else:
        notes = (f"orientation from the {'sform' if s_code else 'qform'} alone",)
    axes = grids[0].directions
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEARED:
        raise IrregularSeries(
            "axes at right angles", f"{path.name} with a sheared affine", "resample it first"
        )
    return grids[0], notes
