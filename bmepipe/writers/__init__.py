"""EdemaResult to files; writers compute nothing.

A writer is a function ``(result, folder) -> list of paths``. `WRITERS` is the one table of them;
each is imported when it is used.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from bmepipe.errors import WriterFailed, unknown_choice
from bmepipe.result import EdemaResult
from bmepipe.writers.layout import choose_layout

log = logging.getLogger(__name__)

Writer = Callable[[EdemaResult, Path], list[Path]]

WRITERS = {
    "masks": "masks",
    "tables": "table",
    "overlay": "overlay",
    "report": "report",
    "seg": "dicom_seg",
    "sr": "dicom_sr",
    "json": "document",
}


def choose_writer(name: str) -> Writer:
    """Return the write function called `name`.

    Raises
    ------
    UnknownChoice
        Listing the known writers.
    """
    if name not in WRITERS:
        raise unknown_choice("writer", name, WRITERS)
    return import_module(f"bmepipe.writers.{WRITERS[name]}").write


def write_all(
    result: EdemaResult, folder: Path, names: Iterable[str], layout: str = "plain"
) -> list[Path]:
    """Write with every writer in `names`; one that fails does not stop the others.

    Parameters
    ----------
    result : EdemaResult
    folder : Path
        Existing output folder. A writer's files appear all or not at all.
    names : iterable of str
        Keys of `WRITERS`.
    layout : str
        "plain" or "bids": how the files are named.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UnknownChoice
        If a writer or the layout is not known; nothing is written then.
    WriterFailed
        Naming the writers that failed and why, after the others have written.
    """
    place = choose_layout(layout)
    writers = {name: choose_writer(name) for name in names}
    written: list[Path] = []
    failures: dict[str, Exception] = {}
    for name, write in writers.items():
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
        try:
            written += place(result, scratch, write(result, scratch), folder)
        except Exception as error:  # one writer's bug must not cost the others' files
            log.info("the writer %s failed", name, exc_info=True)
            failures[name] = error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if failures:
        raise _failed(failures, tuple(writers)) from ExceptionGroup(
            "writers failed", list(failures.values())
        )
    return written


def _failed(failures: dict[str, Exception], names: tuple[str, ...]) -> WriterFailed:
    told = "; ".join(
        f"{name} failed ({type(error).__name__}: {error})" for name, error in failures.items()
    )
    others = ", ".join(name for name in names if name not in failures)
    return WriterFailed(
        f"outputs of {', '.join(names)}",
        told,
        f"the outputs of {others} are there" if others else "no other output was asked for",
    )
