"""EdemaResult to files; writers compute nothing.

A writer is a function ``(result, folder) -> list of paths``. `WRITERS` is the one table of them;
each is imported when it is used.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Outcome:
    """What each writer wrote, by name, and why those that failed did."""

    written: Mapping[str, tuple[Path, ...]]
    failures: Mapping[str, Exception]

    def __add__(self, later: Outcome) -> Outcome:
        return Outcome({**self.written, **later.written}, {**self.failures, **later.failures})

    def paths(self) -> list[Path]:
        """Return the files written.

        Raises
        ------
        WriterFailed
            Naming the writers that failed and why, and those whose files are there.
        """
        if self.failures:
            raise self._refusal() from ExceptionGroup(
                "writers failed", list(self.failures.values())
            )
        return [path for paths in self.written.values() for path in paths]

    def _refusal(self) -> WriterFailed:
        told = "; ".join(
            f"{name} failed ({type(error).__name__}: {error})"
            for name, error in self.failures.items()
        )
        # Some writers have nothing to write, as those of DICOM objects for other input.
        there = ", ".join(name for name, paths in self.written.items() if paths)
        return WriterFailed(
            f"outputs of {', '.join((*self.written, *self.failures))}",
            told,
            f"the outputs of {there} are there" if there else "no other output was written",
        )


def write_all(
    result: EdemaResult, folder: Path, names: Iterable[str], layout: str = "plain"
) -> list[Path]:
    """Write with every writer in `names` and return the files written.

    Raises
    ------
    UnknownChoice
        As `write_each`.
    WriterFailed
        Naming the writers that failed and why, after the others have written.
    """
    return write_each(result, folder, names, layout).paths()


def write_each(
    result: EdemaResult, folder: Path, names: Iterable[str], layout: str = "plain"
) -> Outcome:
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

    Raises
    ------
    UnknownChoice
        If a writer or the layout is not known; nothing is written then.
    """
    place = choose_layout(layout)
    writers = {name: choose_writer(name) for name in names}
    written: dict[str, tuple[Path, ...]] = {}
    failures: dict[str, Exception] = {}
    for name, write in writers.items():
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
        try:
            written[name] = tuple(place(result, scratch, write(result, scratch), folder))
        except Exception as error:  # one writer's bug must not cost the others' files
            log.info("the writer %s failed", name, exc_info=True)
            failures[name] = error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Outcome(written, failures)
