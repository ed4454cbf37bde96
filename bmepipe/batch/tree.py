"""The studies in a folder tree, wherever they lie, and the folders that should hold one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bmepipe.batch.case import Case
from bmepipe.batch.names import clean_name
from bmepipe.errors import BmepipeError
from bmepipe.io.archive import unpacked
from bmepipe.io.nifti import find_nifti
from bmepipe.io.scan import StudyPart, find_files, study_parts

OnUnits = Callable[[int, int], None]  # looked into, in all


def cases_below(dataset: Path, on_units: OnUnits) -> Iterator[Case]:
    """Yield the cases of a folder: DICOM studies, zips, folders of NIfTI files, and the bad ones.

    A folder directly below in which nothing is found is a case, so that its refusal is told. So is
    a deeper one that is empty or holds DICOM files, unless it lies within a study's own folder.
    In a BIDS data set, the ``anat`` folders of the subjects are the cases.
    """
    units = sorted(p for p in dataset.iterdir() if not p.name.startswith("."))
    bids = (dataset / "dataset_description.json").is_file()
    if bids:
        units = [p for p in units if p.is_dir() and p.name.startswith("sub-")]
    loose = [p for p in units if p.is_file()]
    parts: list[StudyPart] = list(study_parts([p for p in loose if not _is_zip(p)]))
    images: set[Path] = set()
    zips = [p for p in loose if _is_zip(p)]
    folders = [p for p in units if p.is_dir()]
    for number, unit in enumerate(folders):
        on_units(number, len(folders))
        files = find_files(unit)
        zips += filter(_is_zip, files)
        parts += study_parts([p for p in files if not _is_zip(p)])
        images |= {p.parent for p in find_nifti(unit) if not bids or p.parent.name == "anat"}
    studies = list(study_places(parts))
    homes = {folder for folder, _, _ in studies}
    images = {p for p in images if p not in homes and homes.isdisjoint(p.parents)}
    for folder, uid, alone in studies:
        yield case_at(folder, dataset, uid, alone=alone)
    for folder in images:
        yield case_at(folder, dataset)
    for path in zips:
        yield from cases_of_zip(path, dataset)
    if homes != {dataset}:
        for folder in without_any(folders, homes | images | set(zips)):
            yield case_at(folder, dataset)


def case_at(path: Path, dataset: Path, uid: str = "", *, alone: bool = True) -> Case:
    """Return the case of the study at a path, which is chosen by its UID where others lie there."""
    source = path.relative_to(dataset).as_posix()
    study = None if alone else uid
    name = case_name(path, dataset)
    return Case(name, str(path), study, source=source, known_as=source, uid=uid)


def study_places(parts: Iterable[StudyPart]) -> Iterator[tuple[Path, str, bool]]:
    """Yield the folder of each study, its UID, and whether no other study lies in that folder."""
    studies: dict[tuple[str, str], list[StudyPart]] = {}
    for part in parts:
        studies.setdefault((part.uid, part.patient), []).append(part)
    places = [(folder, uid) for (uid, _), all_of_it in studies.items()
              for folder in copies(all_of_it)]  # fmt: skip
    shared = {folder for folder, _ in places}
    above = {parent for folder in shared for parent in folder.parents}
    seen: dict[Path, int] = {}
    for folder, _ in places:
        seen[folder] = seen.get(folder, 0) + 1
    for folder, uid in places:
        yield folder, uid, seen[folder] == 1 and folder not in above


def copies(parts: list[StudyPart]) -> list[Path]:
    """Return the folder of a study; of each copy, where one of several folders holds all of it.

    >>> one, two = frozenset([1]), frozenset([2])
    >>> at = lambda path, images: StudyPart(Path(path), "uid", "patient", images)
    >>> [str(p) for p in copies([at("d/a/t1", one), at("d/a/t2", two)])]
    ['d/a']
    >>> [str(p) for p in copies([at("d/a", one), at("d/b", one)])]
    ['d/a', 'd/b']
    >>> [str(p) for p in copies([at("d/a", one | two), at("d/cut", one)])]
    ['d/a', 'd/cut']
    """
    top = Path(os.path.commonpath([part.folder for part in parts]))
    below: dict[tuple[str, ...], list[StudyPart]] = {}
    for part in parts:
        below.setdefault(part.folder.relative_to(top).parts[:1], []).append(part)
    whole = _images(parts)
    if len(below) == 1 or all(_images(group) != whole for group in below.values()):
        return [top]
    return [folder for group in below.values() for folder in copies(group)]


def _images(parts: Iterable[StudyPart]) -> frozenset[int]:
    return frozenset().union(*(part.images for part in parts))


def cases_of_zip(path: Path, dataset: Path) -> Iterator[Case]:
    """Yield the studies in a zip; itself, if there is one or none that can be read."""
    uids: list[str] = []
    try:
        root = unpacked(path)
        try:
            uids = sorted({part.uid for part in study_parts(find_files(root))})
        finally:
            shutil.rmtree(root, ignore_errors=True)
    except (BmepipeError, OSError):
        pass  # running it says what is wrong with it
    for uid in uids or [""]:
        yield case_at(path, dataset, uid, alone=len(uids) < 2)


def without_any(folders: Iterable[Path], found: set[Path], deep: bool = False) -> Iterator[Path]:
    """Yield the folders in which nothing was found and something should be."""
    above = {parent for path in found for parent in path.parents}
    for folder in sorted(folders):
        if folder in found or folder.name.startswith("."):
            continue
        if folder in above:
            below = [p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()]
            yield from without_any(below, {p for p in found if folder in p.parents}, deep=True)
        elif not deep or _should_hold_a_study(folder):
            yield folder


def _should_hold_a_study(folder: Path) -> bool:
    """Say whether a folder is empty or holds DICOM; a viewer or documents are no study."""
    files = find_files(folder)
    return not files or any(map(_is_dicom, files))


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def case_name(path: Path, dataset: Path) -> str:
    """Return a name for the output folder from where a study lies.

    >>> case_name(Path("data/site 1/p 02/anat"), Path("data"))
    'site_1-p_02-anat'
    """
    parts = path.relative_to(dataset).parts or (dataset.resolve().name,)
    if _is_zip(path):
        parts = (*parts[:-1], path.stem)
    return clean_name("-".join(clean_name(part) for part in parts))
