"""A worker process seen from outside: hand it a case, wait, lose patience, kill it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
_CHILDREN = threading.local()
_ALL: set[Child] = set()


def run_isolated(task: dict[str, Any]) -> dict[str, Any]:
    """Run one case in this thread's worker process and return what came of it.

    A thread keeps its worker from case to case; one that died or was killed is replaced. Threads of
    this process, or of a Dask worker, therefore are the unit of parallel work.

    Parameters
    ----------
    task : dict
        As of `worker.run_case`, and ``timeout_s`` (or None) and ``threads`` for torch and numpy.
    """
    start = time.monotonic()
    try:
        child = getattr(_CHILDREN, "child", None)
        if child is None or not child.alive():
            child = _CHILDREN.child = Child(task["threads"])
        return child.run(task, task["timeout_s"])
    except ChildLost as lost:
        _CHILDREN.child = None
        sweep(Path(task["out"]), task["case"]["name"])
        seconds = round(time.monotonic() - start, 2)
        return {"case": task["case"]["name"], "status": "failed", "reason": str(lost),
                "seconds": seconds}  # fmt: skip


def kill_all() -> None:
    """Kill the workers of every thread of this process."""
    for child in list(_ALL):
        child.kill()


def sweep(out: Path, name: str = "*") -> None:
    """Remove what a killed worker has left half-written, of one case or of all."""
    for ending in ("partial", "old"):
        for left in out.glob(f".{name}.????????.{ending}"):
            shutil.rmtree(left, ignore_errors=True)


class ChildLost(Exception):
    """The worker died or took too long."""


class Child:
    """A worker process.

    Parameters
    ----------
    threads : int
        That torch and numpy may use in it.
    """

    def __init__(self, threads: int) -> None:
        self.scratch = tempfile.mkdtemp(prefix="bmepipe-worker-")
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                 "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bmepipe.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # each case has its own log
            env={**os.environ, **dict.fromkeys(names, str(threads)), "TMPDIR": self.scratch},
            start_new_session=True,  # Ctrl-C is for the batch to handle
        )
        _ALL.add(self)
        self.rest = b""
        self._answer(START_SECONDS, "to start")

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self.process.poll() is None

    def run(self, task: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
        """Return what came of a case.

        Raises
        ------
        ChildLost
            If the process died, or did not answer in time; it is gone then.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ChildLost(self._died()) from None
        return self._answer(timeout_s, "and was stopped (--case-timeout)")

    def _answer(self, timeout_s: float | None, what: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        stream = self.process.stdout.fileno()
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            left = None if end is None else end - time.monotonic()
            if (left is not None and left <= 0) or not select.select([stream], [], [], left)[0]:
                self.kill()
                raise ChildLost(f"the worker took longer than {timeout_s:g} s {what}")
            part = os.read(stream, 1 << 16)
            if not part:
                raise ChildLost(self._died())
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> str:
        code = self.process.wait()
        self.kill()
        if code == -9:
            return "the worker was killed (signal 9), perhaps for want of memory"
        return f"the worker died (signal {-code})" if code < 0 else f"the worker ended ({code})"

    def kill(self) -> None:
        """End the process at once and remove its temporary files."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)
        _ALL.discard(self)
