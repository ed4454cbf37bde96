"""DICOM series to volumes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmepipe.errors import BmepipeError, IrregularSeries, NoMrSeries, UnreadablePixels
from bmepipe.io.archive import unpacked
from bmepipe.io.describe import source_of
from bmepipe.io.frames import Frame
from bmepipe.io.geometry import place
from bmepipe.io.pixels import read_frames
from bmepipe.io.scan import find_files, read_all, stacks_of
from bmepipe.study import Series
from bmepipe.volume import Grid, SliceSource, Volume

log = logging.getLogger(__name__)

_SAME_MM = 0.5


def load(series: Series) -> Volume:
    """Return the volume of one stack of a DICOM series.

    Parameters
    ----------
    series : Series
        From `bmepipe.io.scan.scan`.

    Returns
    -------
    Volume
        float32 signal after rescale, Fortran-ordered, axes i along a row (columns), j along a
        column (rows), k across the slices; every slice with its SliceSource.

    Raises
    ------
    IrregularSeries
        If the stack is not one regular volume, or its files changed since they were scanned.
    UnreadablePixels, UntrustedFile
        If its pixels cannot be decoded or contradict their header.
    """
    if series.refusal:
        raise IrregularSeries(
            "a regular stack of slices",
            f"series {series.number} '{series.description}': {series.refusal}",
            "choose another series or export it again",
        )
    frames, _ = read_all(series.files)
    ordered = _in_order(frames, series)
    geometry = place(ordered) if ordered else None
    same = geometry and geometry.grid and series.grid and geometry.grid.matches(series.grid)
    if len(ordered) < len(series.slices) or not same or series.grid is None:
        raise IrregularSeries(
            "the files as they were scanned",
            f"series {series.number}: {len(ordered)} of {len(series.slices)} slices, "
            "or other positions",
            "do not change a study while it is read",
        )
    return volume_of(ordered, series.grid)


def _in_order(frames: Sequence[Frame], series: Series) -> list[Frame]:
    """Return the frames of the series' slices, by instance and, as UIDs may be blank, by place."""
    found: dict[SliceSource, list[Frame]] = {}
    for frame in frames:
        found.setdefault(source_of(frame), []).append(frame)
    if series.grid is None:
        return []
    index = [[0, 0, k] for k in range(len(series.slices))]
    places = series.grid.to_world(index) * (-1, -1, 1)
    ordered = []
    for source, place_mm in zip(series.slices, places, strict=True):
        near = [f for f in found.get(source, []) if f.position and _apart(f, place_mm) < _SAME_MM]
        ordered += near[:1]
    return ordered


def _apart(frame: Frame, place_mm: NDArray[np.float64]) -> float:
    return float(np.abs(np.array(frame.position) - place_mm).max())


def volume_of(frames: Sequence[Frame], grid: Grid) -> Volume:
    """Return the volume of frames, in the order of k, whose grid is known.

    Raises
    ------
    UnreadablePixels
        If pixels cannot be decoded or are not finite.
    """
    data = read_frames(frames)
    if not np.isfinite(data).all():
        raise UnreadablePixels(
            "finite pixel values", frames[0].file.path.name, "export the series again"
        )
    return Volume(data.T, grid, tuple(source_of(frame) for frame in frames))


def load_folder(folder: str | Path) -> list[tuple[str, NDArray[np.float32], NDArray[np.float64]]]:
    """Return every volume below a folder as (SeriesInstanceUID, array [i, j, k], RAS affine in mm).

    Stacks that make no regular volume, or whose pixels cannot be read, are left out, each with a
    logged reason.
    """
    files = find_files(unpacked(Path(folder)))
    frames, passed = read_all(files)
    for reason in passed.damaged:
        log.warning("damaged, passed over: %s", reason)
    if not frames:
        raise NoMrSeries(
            "at least one MR image in DICOM", f"{len(files)} files without one", "check the folder"
        )
    found = []
    for stack in stacks_of(frames):
        uid = stack.frames[0].file.series_uid
        if stack.geometry.grid is None:
            log.warning("series %s left out: %s", uid, stack.refusal)
            continue
        try:
            volume = volume_of(stack.frames, stack.geometry.grid)
        except BmepipeError as error:
            log.warning("series %s left out: %s", uid, error)
            continue
        found.append((uid, volume.data, volume.grid.affine))
    return found
