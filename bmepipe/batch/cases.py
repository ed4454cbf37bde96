"""From a data set to its cases: a tree of studies, or a manifest that names them."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bmepipe.errors import BadSettings, BmepipeError, StudyNotFound
from bmepipe.io.archive import unpacked
from bmepipe.io.nifti import find_nifti
from bmepipe.io.scan import find_files, study_folders

OnUnits = Callable[[int, int], None]  # looked into, in all


@dataclass(frozen=True)
class Case:
    """One study to be run; paths and names only, so that it travels to any machine.

    Parameters
    ----------
    name : str
        Of its output folder: letters, digits, ``.``, ``_`` and ``-``.
    path : str, optional
        Folder, zip or DICOMDIR; None where the manifest names both series as NIfTI files.
    study : str, optional
        StudyInstanceUID, where the folder holds several.
    site, t1, t2fs, bones : str, optional
        As of ``bmepipe run``.
    """

    name: str
    path: str | None = None
    study: str | None = None
    site: str | None = None
    t1: str | None = None
    t2fs: str | None = None
    bones: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def find_cases(dataset: Path, on_units: OnUnits = lambda done, of: None) -> list[Case]:
    """Return the cases of a data set, by name.

    Parameters
    ----------
    dataset : Path
        A CSV or Parquet manifest, or a folder. Every DICOM study in a folder is a case, wherever
        its files lie; so is every zip, and every folder of NIfTI files. A folder or file directly
        below in which no study is found is a case too: running it says why.
    on_units : callable, optional

    Raises
    ------
    StudyNotFound
        If there is nothing, or no case in it.
    BadSettings
        If a manifest cannot be used.
    """
    if dataset.is_file() and dataset.suffix.lower() in (".csv", ".parquet", ".pq"):
        cases = list(read_manifest(dataset))
    elif dataset.is_dir():
        cases = list(cases_below(dataset, on_units))
    else:
        raise StudyNotFound(
            "a folder of studies, or a CSV or Parquet manifest", f"{dataset}", "correct the path"
        )
    if not cases:
        raise StudyNotFound("at least one study", f"none in {dataset}", "give another folder")
    return unique(cases)


def cases_below(dataset: Path, on_units: OnUnits) -> Iterator[Case]:
    """Yield the cases of a folder: of each folder and zip in it, and of its loose files."""
    units = sorted(p for p in dataset.iterdir() if not p.name.startswith("."))
    folders = [p for p in units if p.is_dir() or p.suffix.lower() == ".zip"]
    for number, unit in enumerate(folders):
        on_units(number, len(folders))
        yield from cases_of_unit(unit, dataset)
    loose = [p for p in units if p.is_file() and p not in folders]
    found = [] if any(map(_is_description, loose)) else list(study_folders(loose))
    for folder, uid in found:
        yield Case(dataset.name, str(folder), uid)


def _is_description(path: Path) -> bool:
    return path.name == "dataset_description.json"


def cases_of_unit(unit: Path, dataset: Path) -> Iterator[Case]:
    """Yield the studies in one folder or zip; itself, if none is found in it."""
    try:
        root = unpacked(unit) if unit.is_file() else unit
        studies = list(study_folders(find_files(root)))
    except (BmepipeError, OSError):
        studies = []
    inside = [(unit if unit.is_file() else folder, uid) for folder, uid in studies]
    if inside:
        folders = [folder for folder, _ in inside]
        for folder, uid in inside:
            alone = not any(folder == f or f in folder.parents or folder in f.parents
                            for f in _without(folders, folder))  # fmt: skip
            yield Case(case_name(folder, dataset), str(folder), None if alone else uid)
        return
    images = {path.parent for path in find_nifti(unit)} if unit.is_dir() else set()
    for folder in sorted(images) or [unit]:
        yield Case(case_name(folder, dataset), str(folder))


def _without(folders: list[Path], one: Path) -> list[Path]:
    rest = list(folders)
    rest.remove(one)
    return rest


def case_name(path: Path, dataset: Path) -> str:
    """Return a name for the output folder from where a study lies.

    >>> case_name(Path("data/site 1/p 02/anat"), Path("data"))
    'site_1-p_02-anat'
    """
    parts = path.relative_to(dataset).parts if path != dataset else (dataset.name,)
    if parts[-1].lower().endswith(".zip"):
        parts = (*parts[:-1], parts[-1][:-4])
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part).strip("._") or "case" for part in parts)


def unique(cases: Iterable[Case]) -> list[Case]:
    """Return the cases by name, a number added where names are the same."""
    seen: dict[str, int] = {}
    named = []
    for case in sorted(cases, key=lambda c: (c.name, c.path or "", c.study or "")):
        count = seen[case.name.lower()] = seen.get(case.name.lower(), 0) + 1
        named.append(case if count == 1 else replace(case, name=f"{case.name}-{count}"))
    return named


def read_manifest(path: Path) -> Iterator[Case]:
    """Yield the cases of a CSV or Parquet table; paths are relative to its folder.

    Columns: ``case``, ``path``, ``site``, ``t1``, ``t2fs``, ``bones``, ``study``; all but ``case``
    may be missing or empty, but a row needs a path or a t2fs file.
    """
    for number, row in enumerate(_rows(path), start=1):
        values = {key: str(value).strip() for key, value in row.items() if value not in (None, "")}
        known = {"case", *(field.name for field in fields(Case) if field.name != "name")}
        if unknown := set(values) - known:
            raise BadSettings(
                f"columns among {', '.join(sorted(known))}",
                ", ".join(sorted(map(str, unknown))),
                f"correct {path.name}",
            )
        if not values.get("case") or not (values.get("path") or values.get("t2fs")):
            raise BadSettings(
                "a case and a path or t2fs in every row", f"row {number} without",
                f"complete {path.name}",
            )  # fmt: skip
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", values.pop("case")).strip("._") or "case"
        for key in ("path", "t1", "t2fs", "bones"):
            if key in values and (path.parent / values[key]).exists():
                values[key] = str((path.parent / values[key]).resolve())
        yield Case(name, **values)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        from pyarrow.parquet import read_table

        return read_table(path).to_pylist()
    except ImportError as error:
        raise BadSettings(
            "pyarrow for a Parquet manifest", "none", "install bmepipe[batch] or give a CSV"
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise BadSettings(
            "a CSV or Parquet manifest", f"{path.name}: {error}", "correct it"
        ) from error


def fingerprint(case: Case) -> str:
    """Return a hash of what a case is made of: its names, and the sizes and times of its files."""
    digest = hashlib.sha256(repr(sorted(case.as_dict().items())).encode())
    for text in (case.path, case.t1, case.t2fs, case.bones):
        path = Path(text) if text else None
        if path is not None and path.exists():
            for file in [path] if path.is_file() else find_files(path):
                about = os.stat(file)
                digest.update(f"{file}|{about.st_size}|{about.st_mtime_ns}".encode())
    return digest.hexdigest()
