"""Cases to an executor, records back, tables at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmepipe import __version__
from bmepipe.batch import records
from bmepipe.batch.case import Case, fingerprint
from bmepipe.batch.child import kill_all, run_isolated, sweep
from bmepipe.batch.cohort import write_tables
from bmepipe.batch.gallery import write_gallery
from bmepipe.errors import BadSettings
from bmepipe.models.stored import stored_sha256
from bmepipe.pipeline import RunSettings
from bmepipe.site import load_site, site_names
from bmepipe.termination import sigterm_raises

OnCase = Callable[[dict[str, Any], int, int], None]  # its record, finished, in all


class Interrupted(Exception):
    """The user or the system asked the batch to stop."""


def run_batch(
    cases: Sequence[Case],
    out: Path,
    settings: RunSettings,
    executor: Executor,
    *,
    resume: bool = False,
    threads: int = 1,
    case_timeout_s: float | None = None,
    on_case: OnCase = lambda record, done, of: None,
) -> list[dict[str, Any]]:
    """Run every case and write the tables; return the records by case name.

    Parameters
    ----------
    cases : sequence of Case
    out : Path
    settings : RunSettings
        For all cases; what a case names itself goes first.
    executor : concurrent.futures.Executor
        Of threads here or on a Dask cluster: each thread keeps one worker process.
    resume : bool
        Go on with an earlier batch in `out`: only what is missing, has failed or has changed.
    threads : int
        For numpy and torch in each worker.
    case_timeout_s : float, optional
    on_case : callable, optional
        Called with each record as it comes, also with those taken over.

    Raises
    ------
    OutputExists
        If `out` cannot be used or written.
    Interrupted
        After the tables of what was finished have been written.
    """
    out = out.resolve()
    records.prepare(out, resume)
    with records.locked(out):
        sweep(out)
        cases = records.name_cases(out, cases)
        paths = {case.name: case.source for case in cases}
        made_of = asdict(settings) | {"bones": settings.bones and str(settings.bones)}
        common = f"{sorted(made_of.items())} {software_key()}"
        keys = {case.name: f"{fingerprint(case)} {common}" for case in cases}
        found = {name: records.still_valid(out, name, key) for name, key in keys.items()}
        finished = {name: record | {"path": paths[name]}
                    for name, record in found.items() if record is not None}  # fmt: skip
        for number, record in enumerate(finished.values(), start=1):
            on_case(record, number, len(cases))
        rest: dict[str, Any] = {"out": str(out), "settings": made_of, "timeout_s": case_timeout_s,
                "threads": threads}  # fmt: skip
        tasks = [{"case": case.as_dict()} | rest for case in cases if case.name not in finished]
        stopped = False
        try:
            with sigterm_raises(KeyboardInterrupt):
                for record in _as_they_come(executor, tasks, out):
                    record |= {"key": keys[record["case"]], "path": paths[record["case"]]}
                    _keep(out, record)
                    finished[record["case"]] = record
                    on_case(record, len(finished), len(cases))
        except KeyboardInterrupt:
            stopped = True
            kill_all()
            sweep(out)
        ordered = [finished[name] for name in sorted(finished)]
        _tabulate(out, ordered)
    if stopped:
        raise Interrupted(f"{len(finished)} of {len(cases)} cases are finished")
    return ordered


def _as_they_come(
    executor: Executor, tasks: Sequence[dict[str, Any]], out: Path
) -> Iterator[dict[str, Any]]:
    """Yield the record of each task when it is there; on an interrupt give the others back."""
    futures: dict[Future[dict[str, Any]], str] = {}
    try:
        for task in tasks:
            name = task["case"]["name"]
            records.forget_result(out, name)
            futures[executor.submit(run_isolated, task)] = name
        for future in as_completed(futures):
            yield _result(future, futures[future])
    finally:
        for future in futures:
            future.cancel()


def _tabulate(out: Path, ordered: Sequence[dict[str, Any]]) -> None:
    with records.writing(out, records.AGAIN):
        write_tables(out, ordered)
        write_gallery(out, ordered)


def software_key() -> str:
    """Return what results depend on besides input and settings: the version and the models."""
    names = sorted({load_site(name).model for name in site_names()} - {""})
    return f"{__version__} {[(name, stored_sha256(name)) for name in names]}"


def _result(future: Future[dict[str, Any]], name: str) -> dict[str, Any]:
    try:
        return future.result()
    except Exception as error:  # of the engine itself: a Dask worker that died too often, say
        reason = f"{type(error).__name__}: {error}"
        return {"case": name, "status": "failed", "reason": reason}


def _keep(out: Path, record: dict[str, Any]) -> None:
    """Write a record; on a full disk the case counts as failed and is run again on resuming."""
    try:
        records.write_record(out, record)
    except OSError as error:
        record |= {"status": "failed", "reason": f"its record was not written: {error.strerror}"}


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local_executor(workers: int) -> Iterator[tuple[Executor, int]]:
    """Yield an executor of `workers` worker processes, and the threads that each may use."""
    if workers < 1:
        raise BadSettings("at least one worker", str(workers), "correct --workers")
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        yield pool, max(1, cores() // workers)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        kill_all()


@contextmanager
def dask_executor(address: str, wait_s: float = 20.0) -> Iterator[tuple[Executor, int]]:
    """Yield the executor of a running Dask cluster; one thread for each of its cases.

    The cluster must see the same files under the same paths.

    Raises
    ------
    BadSettings
        If Dask is not installed, or nothing answers at `address`.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise BadSettings("dask.distributed", "none", "install bmepipe[batch]") from error
    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, timeout=wait_s))
        except (OSError, ValueError) as error:
            raise BadSettings(
                "a Dask scheduler, as tcp://host:8786", f"none at {address}", "correct --dask"
            ) from error
        yield client.get_executor(pure=False), 1
