"""What the terminal shows: progress by stage, the table of a result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bmepipe import RESEARCH_ONLY
from bmepipe.provenance import OnFiles, OnStage
from bmepipe.result import EdemaResult

OnCase = Callable[[Mapping[str, Any], int, int], None]  # a case's record, finished, in all


def one_line(text: str) -> str:
    """Return `text` in one line without control characters, as file content is untrusted.

    >>> one_line("a" + chr(10) + "b" + chr(27) + "[31m")
    'a b [31m'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@contextmanager
def progress() -> Iterator[tuple[OnStage, OnFiles]]:
    """Yield what to call at each stage, and with (headers read, files) while a study is scanned.

    A bar on a terminal; otherwise a plain line per stage, and nothing per file.
    """
    from bmepipe.provenance import STAGES

    if not sys.stderr.isatty():
        yield (
            lambda stage: print(f"{stage} ...", file=sys.stderr, flush=True),
            lambda done, of: None,
        )
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("start", total=len(STAGES))

        def on_stage(stage: str) -> None:
            done = STAGES.index(stage)
            bar.update(task, description=f"{stage:<24}", completed=done, total=len(STAGES))

        def on_files(done: int, files: int) -> None:
            text = f"headers {done} of {files}"
            bar.update(task, description=f"{text:<24}", completed=done, total=files)

        yield on_stage, on_files


@contextmanager
def batch_progress() -> Iterator[tuple[OnFiles, OnCase]]:
    """Yield what to call while studies are searched, and with each case's record.

    A bar with rate and time left on a terminal; otherwise a plain line per case.
    """
    if not sys.stderr.isatty():
        yield lambda done, of: None, _print_case
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("looking for studies", total=None, rate="")

        def on_units(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        def on_case(record: Mapping[str, Any], done: int, of: int) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{60 * speed:.1f}/min" if speed else ""
            bar.update(task, description="cases", completed=done, total=of, rate=rate)
            if record["status"] != "done":
                told = one_line(record["reason"])
                console.print(escape(f"{record['case']}: {record['status']}: {told}"))

        yield on_units, on_case


def _print_case(record: Mapping[str, Any], done: int, of: int) -> None:
    told = one_line(record.get("reason", "")) or f"{record.get('seconds', 0):.0f} s"
    print(
        f"[{done}/{of}] {record['case']}: {record['status']}: {told}", file=sys.stderr, flush=True
    )


def print_result(result: EdemaResult, out: Path) -> None:
    """Print the chosen series, a row per bone, the notes and where the files lie."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    for reason in result.reasons:
        console.print(escape(one_line(reason)))
    table = Table(title=f"{result.site.title}: edema per bone")
    for heading in ("bone", "bone mL", "edema mL", "low - high", "% of marrow", "lesions", "note"):
        table.add_column(heading, justify="left" if heading in ("bone", "note") else "right")
    for row in result.measurements:
        table.add_row(
            row.bone,
            figure(row.bone_ml, 1),
            figure(row.edema_ml, 2),
            span(row.edema_ml_low, row.edema_ml_high),
            figure(row.edema_percent, 1),
            figure(row.lesion_count, 0),
            escape(one_line(row.note)),
        )
    console.print(table)
    for note in result.notes:
        console.print(f"note: {escape(one_line(note))}")
    console.print(f"{RESEARCH_ONLY} Output: {escape(str(out))}")


def figure(value: float | None, digits: int) -> str:
    """Return a number for a table; a dash where it was not measured.

    >>> figure(1.256, 2), figure(None, 2)
    ('1.26', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def span(low: float | None, high: float | None) -> str:
    """Return an interval for a table; a dash where it was not measured.

    >>> span(1.0, 2.5), span(None, None)
    ('1.00 - 2.50', '-')
    """
    return "-" if low is None or high is None else f"{low:.2f} - {high:.2f}"
