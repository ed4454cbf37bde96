"""A path to a `Study` and a `Series` to a `Volume`, be it DICOM or NIfTI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bmepipe.errors import NoMrSeries
from bmepipe.io import dicom, nifti
from bmepipe.io.scan import scan
from bmepipe.io.settle import settle
from bmepipe.study import Series, Study
from bmepipe.volume import Volume


def open_study(
    path: Path, study: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Study:
    """Return the study at `path`: DICOM where there is any, else a folder of NIfTI files.

    Pixels are read only of series whose headers leave open whether fat is suppressed.

    Parameters
    ----------
    path : Path
        A folder, a zip, a DICOMDIR or a NIfTI file.
    study : str, optional
        StudyInstanceUID or number, where there are several.
    progress : callable, optional
        Called with (files read, files in all) now and then.

    Raises
    ------
    BmepipeError
        As `scan.scan` and `nifti.scan_nifti`.
    """
    if nifti.is_nifti(path):
        return settle(nifti.scan_nifti(path), load)
    try:
        return settle(scan(path, study=study, progress=progress), load)
    except NoMrSeries:
        if not path.is_dir() or not nifti.find_nifti(path):
            raise
    return settle(nifti.scan_nifti(path), load)


def named_file(name: str | None, role: str) -> Series | None:
    """Return the NIfTI file that a user named for a role as a series; None if it is no such file.

    Its uid says the role too, so that two files of one name stay two series.
    """
    if name is None or not nifti.is_nifti(Path(name)):
        return None
    series = nifti.series_of(Path(name))
    return replace(series, uid=f"{role}:{series.uid}", frame_of_reference_uid=nifti.FRAME)


def load(series: Series) -> Volume:
    """Return the signal of a series as float32 on its own grid."""
    if nifti.is_nifti(series.files[0]):
        return nifti.load(series.files[0])
    return dicom.load(series)
