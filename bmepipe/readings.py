"""Which files are compared: the masks of results, and the readings of the same cases."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from bmepipe.errors import StudyNotFound

MASK = "edema_mask.nii.gz"
# Where a result's mask lies in its folder, by either layout of `writers.layout`.
_MASKS = (MASK, "anat/*_desc-edema_mask.nii.gz", "sub-*/anat/*_desc-edema_mask.nii.gz")
_NO_READINGS = ("edema_probability", "edema_disagreement")  # what a result holds besides


def predicted_masks(path: Path) -> list[tuple[str, Path]]:
    """Return the name and mask of each predicted case, sorted by name.

    Parameters
    ----------
    path : Path
        A mask; a result; or a folder of results or masks, as a batch in either layout.

    Raises
    ------
    StudyNotFound
        If there is none.
    """
    if path.is_file():
        return [(_stem(path), path)]
    if alone := _mask_in(path):
        return [(path.resolve().name, alone)]
    masks = {folder.name: _mask_in(folder) for folder in path.glob("*") if folder.is_dir()}
    found = {name: mask for name, mask in masks.items() if mask is not None}
    found |= {_stem(file): file for file in path.glob("*.nii*")}
    if not found:
        raise StudyNotFound(
            f"predicted masks (CASE/{MASK}, CASE.nii.gz or BIDS derivatives)",
            f"none in {path}",
            "check the folder",
        )
    return sorted(found.items())


def readings_of(case: str, truth: Sequence[Path], *, alone: bool = True) -> list[Path]:
    """Return the files of the readings of a case in the given files and folders.

    Parameters
    ----------
    case : str
    truth : sequence of Path
    alone : bool
        No other case is compared, so that what is not named by the case is its truth too.
    """
    files: list[Path] = []
    for path in truth:
        if path.is_file():
            files += [path] if alone or _stem(path) == case else []
            continue
        whole = sorted(path.glob(f"{glob.escape(case)}.nii*"))
        files += whole or _readings_in(path, case, alone=alone)
    return files


def _readings_in(path: Path, case: str, *, alone: bool) -> list[Path]:
    for place in (path / case / "truth", path / case, *((path / "truth", path) if alone else ())):
        readings = [f for f in sorted(place.glob("edema*.nii*")) if _stem(f) not in _NO_READINGS]
        if readings:
            return readings
        if mask := _mask_in(place):
            return [mask]
    return []


def _mask_in(folder: Path) -> Path | None:
    """Return the mask of the one result in a folder; None if it holds none or several."""
    for pattern in _MASKS:
        found = list(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
    return None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
