"""Zip archives of studies, unpacked without trusting a name, a size or a link in them."""

from __future__ import annotations

import atexit
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from bmepipe.errors import StudyNotFound, UntrustedFile

# DICOM with blank borders deflates well, but not three hundredfold.
_MAX_RATIO, _ALWAYS_ALLOWED = 300, 1 << 24
_MAX_BYTES = 1 << 37
_MAX_ENTRIES = 1_000_000
_BLOCK = 1 << 20


def unpacked(path: Path) -> Path:
    """Return the folder or file to read: `path` itself or, of a zip, a temporary folder.

    The folder is removed when the process ends.

    Raises
    ------
    StudyNotFound
        If nothing is at `path`.
    UntrustedFile
        If the archive is damaged, leads outside or holds far more than it should.
    """
    if not path.exists():
        raise StudyNotFound(
            "a folder of DICOM files, a zip or a DICOMDIR", f"nothing at {path}", "check the path"
        )
    if path.is_dir() or path.suffix.lower() != ".zip":
        return path
    folder = Path(tempfile.mkdtemp(prefix="bmepipe-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            _extract(archive, folder, path.stat().st_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UntrustedFile(
            "a zip archive that can be unpacked", f"{path.name}: {error}", "unpack it yourself"
        ) from error
    return folder


def _extract(archive: zipfile.ZipFile, folder: Path, size: int) -> None:
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise _unsafe(f"{len(entries)} entries")
    budget = min(max(size * _MAX_RATIO, _ALWAYS_ALLOWED), _MAX_BYTES)
    for number, entry in enumerate(entries):
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _unsafe(f"a link called {entry.filename[:80]!r}")
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        if ".." in parts or (parts and (parts[0] == "/" or ":" in parts[0])):
            raise _unsafe(f"an entry that leads outside: {entry.filename[:80]!r}")
        if entry.is_dir():
            continue
        # Names inside an archive may clash or be too long: the content is what matters here, but
        # the folder tells series apart where their UIDs are blank.
        target = folder / f"{abs(hash(parts[:-1])) % 10**8:08d}" / f"{number:07d}"
        target.parent.mkdir(exist_ok=True)
        budget -= _copy(archive, entry, target, budget)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, budget: int) -> int:
    """Unpack one entry and return its real size, which the directory of a bomb understates."""
    written = 0
    with archive.open(entry) as source, open(target, "wb") as out:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > budget:
                raise _unsafe("an archive that unpacks to far more than its size")
            out.write(block)
    return written


def _unsafe(came: str) -> UntrustedFile:
    return UntrustedFile(
        "a zip archive of a study", came, "unpack it yourself if you trust it, and give the folder"
    )
