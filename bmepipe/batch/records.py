"""What came of each case, a small file each, so that a run can be resumed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bmepipe.batch.case import Case
from bmepipe.batch.names import named_as_before
from bmepipe.errors import OutputExists
from bmepipe.folder import MARK

FOLDER = "records"
AGAIN = "make room or give rights, then add --resume"
FINAL = ("done", "refused")  # a failure may have been the machine's and is tried again


def prepare(out: Path, resume: bool) -> None:
    """Make the batch's folder, or refuse one that holds something else.

    Raises
    ------
    OutputExists
        If `out` is an earlier batch and `resume` is not set, or holds other files.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists("a folder", f"the file {out}", "give another folder with -o")
    if out.is_dir() and any(out.iterdir()):
        if not (out / FOLDER).is_dir():
            raise OutputExists(
                "an output folder that is new, empty or an earlier batch",
                f"{out}, which holds other files",
                "give another folder with -o",
            )
        if not resume:
            raise OutputExists(
                "a new output folder", f"{out}, an earlier batch", "add --resume to go on with it"
            )
    with writing(out, "give another"):
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        (out / "logs").mkdir(exist_ok=True)


@contextmanager
def writing(out: Path, remedy: str) -> Iterator[None]:
    """Turn an error of the file system within the block into a refusal of `out`."""
    try:
        yield
    except OSError as error:
        raise OutputExists(
            "an output folder that can be written", f"{out}: {error.strerror}", remedy
        ) from error


def name_cases(out: Path, cases: Sequence[Case]) -> list[Case]:
    """Return the cases as earlier runs into `out` have named them, the others with new names."""
    with writing(out, AGAIN):
        return named_as_before(cases, out / FOLDER / "names.csv")


def write_record(out: Path, record: dict[str, Any]) -> None:
    """Write a case's record, whole or not at all."""
    target = out / FOLDER / f"{record['case']}.json"
    new = target.with_suffix(".part")
    try:
        new.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(new, target)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read_record(out: Path, name: str) -> dict[str, Any] | None:
    """Return a case's record; None if there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads((out / FOLDER / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record


def still_valid(out: Path, name: str, key: str) -> dict[str, Any] | None:
    """Return the record of a case that need not be run again: final, unchanged, output in place."""
    record = read_record(out, name)
    if record is None or record.get("key") != key or record.get("status") not in FINAL:
        return None
    if record["status"] == "done" and not (out / name / MARK).is_file():
        return None
    return record


def forget_result(out: Path, name: str) -> None:
    """Remove what a case that is run again has left: an outdated result must not be taken for new.

    A folder that is not of `bmepipe run` stays, and the case is refused because of it.
    """
    if (out / name / MARK).is_file():
        shutil.rmtree(out / name)
    (out / "thumbnails" / f"{name}.jpg").unlink(missing_ok=True)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other batches out of the folder; the lock ends with this process, however it ends.

    Raises
    ------
    OutputExists
        If another batch is at work there.
    """
    with (out / FOLDER / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputExists(
                "an output folder that no other batch is writing to", f"{out}, where one is",
                "wait for it to end, or give another folder with -o",
            ) from error  # fmt: skip
        except OSError:  # a file system without locks
            pass
        yield
