"""The process that runs cases: a line of JSON in, a line of JSON out, until its input ends.

``python -m bmepipe.batch.worker``. Whatever a case prints goes to its log; standard output is kept
for the answers. When the process that started this one is gone, so is this one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bmepipe.errors import BmepipeError, WriterFailed

if TYPE_CHECKING:
    from bmepipe.study import Series

THUMBNAIL_PIXELS = 480


def main() -> None:
    """Serve cases until the input ends."""
    _first_to_go()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    _tell(answers, {"ready": os.getpid()})
    while True:
        _tell(answers, run_case(tasks.get()))
        _empty(Path(tempfile.gettempdir()))


def _first_to_go() -> None:
    """Have Linux, when memory runs out, end this process and not the one that keeps records."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _empty(folder: Path) -> None:
    """Remove a case's temporary files, an unpacked zip say; the folder is this process's own."""
    if folder.name.startswith("bmepipe-worker-"):
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)


def _read(tasks: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)  # nobody waits for an answer any more; half-written folders are swept up later


def _tell(answers: TextIO, record: dict[str, Any]) -> None:
    answers.write(json.dumps(record) + "\n")
    answers.flush()


def run_case(task: dict[str, Any]) -> dict[str, Any]:
    """Run one case and return what came of it: status, reason, rows of the cohort's table.

    Parameters
    ----------
    task : dict
        ``case``: fields of a `cases.Case`; ``out``: the batch's folder; ``settings``: fields of
        `RunSettings`.
    """
    case, out = task["case"], Path(task["out"])
    start = time.perf_counter()
    record: dict[str, Any] = {"case": case["name"], "status": "failed", "reason": ""}
    try:
        with _log_of(out / "logs" / f"{case['name']}.log"):
            try:
                record |= _run(case, out, task["settings"])
            except BmepipeError as refusal:
                record |= {"status": "refused", "reason": str(refusal)}
                if isinstance(refusal, WriterFailed):
                    record["status"] = "failed"
                logging.getLogger(__name__).info("%s", refusal)
            except Exception as error:  # a bug, or no memory, or a full disk: recorded, not hidden
                traceback.print_exc()
                record["reason"] = f"{type(error).__name__}: {error}"
    except OSError as error:
        record |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return record | {"seconds": round(time.perf_counter() - start, 2)}


def _run(case: dict[str, Any], out: Path, values: dict[str, Any]) -> dict[str, Any]:
    from bmepipe.pipeline import RunSettings, run_study
    from bmepipe.writers.table import bone_cells

    settings = replace(RunSettings(**values), writers=tuple(values["writers"]))
    for key in ("site", "study", "t1", "t2fs", "side"):
        if case[key]:
            settings = replace(settings, **{key: case[key]})
    if case["bones"]:
        settings = replace(settings, bones=Path(case["bones"]))
    path = Path(case["path"]) if case["path"] else None
    result = run_study(path, out / case["name"], settings)
    thumbnail(out / case["name"], out / "thumbnails" / f"{case['name']}.jpg")
    pair = result.pair
    return {
        "status": "done",
        "site": result.site.name,
        "t1": _label(pair.t1_series),
        "t2fs": _label(pair.t2fs_series),
        "rows": [bone_cells(row) for row in result.measurements],
        "notes": list(result.notes),
    }


def _label(series: Series | None) -> str:
    return "" if series is None else f"{series.number or series.uid} {series.description}".strip()


def thumbnail(folder: Path, target: Path) -> None:
    """Write a small picture of a case's overlay sheet, where it has one."""
    from PIL import Image

    sheets = sorted(folder.rglob("*overlay.png"))
    if sheets:
        target.parent.mkdir(exist_ok=True)
        with Image.open(sheets[0]) as sheet:
            small = sheet.convert("RGB")
            small.thumbnail((THUMBNAIL_PIXELS, 4 * THUMBNAIL_PIXELS))
            small.save(target, quality=80)


class _log_of:
    """Everything that is printed or logged within goes to a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", encoding="utf-8", buffering=1)
        self.handler = logging.StreamHandler(self.file)
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def __enter__(self) -> None:
        self.saved = os.dup(1), os.dup(2)
        os.dup2(self.file.fileno(), 1)
        os.dup2(self.file.fileno(), 2)
        logging.getLogger().addHandler(self.handler)
        logging.getLogger("bmepipe").setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self.handler)
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in enumerate(self.saved, start=1):
            os.dup2(before, number)
            os.close(before)
        self.file.close()


if __name__ == "__main__":
    main()
