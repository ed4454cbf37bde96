"""One case of a batch: what travels to a worker, what it is called, what it is made of."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bmepipe.io.scan import find_files

# What a batch itself puts beside the cases' folders.
RESERVED = {"logs", "records", "thumbnails", "cases.csv", "cohort.csv", "cohort.parquet",
            "index.html"}  # fmt: skip
LONGEST = 120  # with room for the marks of a folder that is being written


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
    site, t1, t2fs, bones, side : str, optional
        As of ``bmepipe run``.
    """

    name: str
    path: str | None = None
    study: str | None = None
    site: str | None = None
    t1: str | None = None
    t2fs: str | None = None
    bones: str | None = None
    side: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def clean_name(text: str) -> str:
    """Return a name for a case's folder: letters, digits, ``.``, ``_`` and ``-``, not too long.

    >>> clean_name("p 02 / knee"), clean_name("..")
    ('p_02_knee', 'case')
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "case"
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def unique(cases: Iterable[Case]) -> list[Case]:
    """Return the cases by name, a number added where a name is in use already.

    >>> [case.name for case in unique([Case("a"), Case("A"), Case("a-2"), Case("logs")])]
    ['A', 'a-2', 'a-2-2', 'logs-2']
    """
    used = set(RESERVED)
    named = []
    for case in sorted(cases, key=lambda c: (c.name, c.path or "", c.study or "")):
        name, number = case.name, 1
        while name.lower() in used:
            number += 1
            name = f"{case.name}-{number}"
        used.add(name.lower())
        named.append(replace(case, name=name))
    return named


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
