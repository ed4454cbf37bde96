"""One case of a batch: what travels to a worker, what it is called, what it is made of."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bmepipe.io.scan import find_files


@dataclass(frozen=True)
class Case:
    """One study to be run; paths and names only, so that it travels to any machine.

    Parameters
    ----------
    name : str
        Of its output folder, as `names.clean_name` makes it.
    path : str, optional
        Folder, zip or DICOMDIR; None where the manifest names both series as NIfTI files.
    study : str, optional
        StudyInstanceUID, where the folder holds several.
    site, t1, t2fs, bones, side : str, optional
        As of ``bmepipe run``.
    source : str
        The study's path as the data set has it, relative to it, for the table.
    known_as : str
        What its name is kept by: its path in the data set or its id in the manifest.
    uid : str
        StudyInstanceUID; empty where it is not known before the case runs.
    """

    name: str
    path: str | None = None
    study: str | None = None
    site: str | None = None
    t1: str | None = None
    t2fs: str | None = None
    bones: str | None = None
    side: str | None = None
    source: str = ""
    known_as: str = ""
    uid: str = ""

    @property
    def identity(self) -> str:
        """What the case is known by; its name, where nothing else was told."""
        return self.known_as or self.name

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


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
