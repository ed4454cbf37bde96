"""Every case ends as a result or a stated reason, whatever happens to it, its worker or the run."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmepipe.batch.cases import find_cases
from bmepipe.batch.child import _ALL
from bmepipe.batch.engine import dask_executor, local_executor, run_batch
from bmepipe.batch.records import locked, prepare
from bmepipe.cli import main
from bmepipe.errors import BadSettings, OutputExists
from bmepipe.pipeline import RunSettings

SETTINGS = RunSettings(writers=("tables",))


@pytest.fixture(scope="module")
def dataset(small_knee: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of four cases; one has no series, one a label map that does not fit."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "empty").mkdir()
    study, bones = small_knee / "study", small_knee / "truth" / "bones.nii.gz"
    rows = [("good", study, bones), ("again", study, bones), ("none", folder / "empty", ""),
            ("unfit", study, small_knee / "truth" / "none.nii.gz")]  # fmt: skip
    lines = [f"{name},{path},{labels}" for name, path, labels in rows]
    (folder / "m.csv").write_text("\n".join(["case,path,bones", *lines]) + "\n")
    return folder / "m.csv"


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(dataset, out)
    return out


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    assert not _ALL


def run(dataset: Path, out: Path, workers: int = 2, **options: object) -> dict[str, dict]:
    with local_executor(workers) as (pool, threads):
        records = run_batch(
            find_cases(dataset),
            out,
            SETTINGS,
            pool,
            threads=threads,
            **options,  # type: ignore[arg-type]
        )
    return {record["case"]: record for record in records}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_case_is_a_result_or_a_reason(undisturbed: Path, dataset: Path) -> None:
    cases = {row["case"]: row for row in table(undisturbed / "cases.csv")}
    assert [row["case"] for row in table(undisturbed / "cases.csv")] == sorted(cases)
    assert {name: row["status"] for name, row in cases.items()} == {
        "good": "done", "again": "done", "none": "refused", "unfit": "refused",
    }  # fmt: skip
    assert "without any file" in cases["none"]["reason"]
    rows = table(undisturbed / "cohort.csv")
    assert [row["case"] for row in rows] == ["again"] * 4 + ["good"] * 4
    assert rows[4:] == table(undisturbed / "good" / "measurements.csv")
    assert float(cases["good"]["edema_ml"]) == pytest.approx(
        sum(float(row["edema_ml"]) for row in rows[4:]), abs=0.01
    )
    assert not list(undisturbed.glob(".*"))


def test_parquet_holds_numbers(undisturbed: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    rows = read_table(undisturbed / "cohort.parquet").to_pylist()
    written = table(undisturbed / "cohort.csv")
    assert [row["edema_ml"] for row in rows] == [float(row["edema_ml"]) for row in written]
    assert isinstance(rows[0]["lesion_count"], int)


def test_resume_runs_only_what_changed(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    made = run(dataset, tmp_path / "out")
    stamp = (tmp_path / "out" / "good" / "measurements.csv").stat().st_mtime_ns
    with pytest.raises(OutputExists, match="--resume"):
        run(dataset, tmp_path / "out")
    assert run(dataset, tmp_path / "out", resume=True) == made
    assert (tmp_path / "out" / "good" / "measurements.csv").stat().st_mtime_ns == stamp
    (tmp_path / "out" / "again" / ".bmepipe").unlink()
    for file in (tmp_path / "out" / "again").iterdir():
        file.unlink()
    run(dataset, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "good" / "measurements.csv").stat().st_mtime_ns == stamp
    assert same_cohort(tmp_path / "out", undisturbed)


def same_cohort(one: Path, other: Path) -> bool:
    return (one / "cohort.csv").read_bytes() == (other / "cohort.csv").read_bytes()


def test_a_killed_worker_costs_one_case_only(
    dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killer = threading.Thread(target=kill_a_worker_that_works, args=(out,))
    killer.start()
    records = run(dataset, out, workers=1)
    killer.join()
    failed = [r for r in records.values() if r["status"] == "failed"]
    assert len(failed) == 1
    assert "signal 9" in failed[0]["reason"]
    assert not list(out.glob(".*"))
    run(dataset, out, resume=True)
    assert same_cohort(out, undisturbed)


def kill_a_worker_that_works(out: Path) -> None:
    while not list(out.glob(".*.partial")):
        time.sleep(0.002)
    next(iter(_ALL)).process.kill()


def test_a_worker_without_memory_costs_one_case_only(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    starver = threading.Thread(target=starve_a_worker_that_works, args=(out,))
    starver.start()
    records = run(dataset, out, workers=1)
    starver.join()
    assert records["again"]["status"] == "failed"
    assert records["again"]["reason"]
    assert records["none"]["status"] == "refused"
    assert not list(out.glob(".*"))


def starve_a_worker_that_works(out: Path) -> None:
    resource = pytest.importorskip("resource")
    while not list(out.glob(".*.partial")):
        time.sleep(0.002)
    worker = next(iter(_ALL)).process.pid
    resource.prlimit(worker, resource.RLIMIT_AS, (1 << 20, 1 << 20))


def test_a_case_that_takes_too_long_is_stopped(
    dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    records = run(dataset, tmp_path / "out", case_timeout_s=0.4)
    assert records["good"]["status"] == "failed"
    assert "longer than 0.4 s" in records["good"]["reason"]
    run(dataset, tmp_path / "out", resume=True)
    assert same_cohort(tmp_path / "out", undisturbed)


def test_an_outdated_result_does_not_outlive_a_refusal(
    small_knee: Path, dataset: Path, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(small_knee / "study", data)
    bones = small_knee / "truth" / "bones.nii.gz"
    (tmp_path / "m.csv").write_text(f"case,path,bones\na,data,{bones}\n")
    assert run(tmp_path / "m.csv", out)["a"]["status"] == "done"
    shutil.rmtree(data)
    data.mkdir()
    assert run(tmp_path / "m.csv", out, resume=True)["a"]["status"] == "refused"
    assert not (out / "a").exists()
    assert table(out / "cohort.csv") == []


def test_a_case_that_is_added_takes_no_result_from_another(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "Müller 1").mkdir(parents=True)
    assert run(data, out).keys() == {"Müller_1"}
    (data / "Müller #1").mkdir()
    (data / "日本").mkdir()
    run(data, out, resume=True)
    paths = {row["case"]: row["path"] for row in table(out / "cases.csv")}
    assert paths == {"Müller_1": "Müller 1", "Müller_1-2": "Müller #1", "日本": "日本"}
    assert (out / "logs" / "日本.log").is_file()
    assert 'href="logs/%E6%97%A5%E6%9C%AC.log"' in (out / "index.html").read_text("utf-8")


def test_two_batches_do_not_write_to_one_folder(dataset: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "out", resume=False)
    with locked(tmp_path / "out"), pytest.raises(OutputExists, match="no other batch"):
        run(dataset, tmp_path / "out", resume=True)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_is_resumed(
    sign: signal.Signals, dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, config = tmp_path / "out", tmp_path / "c.toml"
    config.write_text('[output]\nwriters = ["tables"]\n')
    command = [sys.executable, "-m", "bmepipe", "batch", str(dataset), "-o", str(out)]
    started = subprocess.Popen([*command, "--config", str(config)], stderr=subprocess.PIPE)
    while not list(out.glob(".*.partial")):
        assert started.poll() is None
        time.sleep(0.002)
    started.send_signal(sign)
    _, told = started.communicate(timeout=60)
    assert started.returncode == (1 if sign == signal.SIGTERM else -9)
    assert (b"--resume" in told) == (sign == signal.SIGTERM)
    assert not (out / "again").exists()
    run(dataset, out, resume=True)
    assert same_cohort(out, undisturbed)
    assert not list(out.glob(".*"))


def test_dask_gives_the_same_cohort(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        dask_executor(cluster.scheduler_address) as (pool, threads),
    ):
        run_batch(find_cases(dataset), tmp_path / "out", SETTINGS, pool, threads=threads)
    assert same_cohort(tmp_path / "out", undisturbed)


def test_no_scheduler_is_refused() -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(BadSettings, match="Dask scheduler"),
        dask_executor("tcp://127.0.0.1:1", wait_s=0.5),
    ):
        pass


def test_a_full_disk_is_told_and_nothing_is_half_written(
    dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(small, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        with pytest.raises(OutputExists, match="No space left"):
            run(dataset, disk / "out")
        assert not list((disk / "out").glob(".*.partial"))
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        run(dataset, disk / "out", resume=True)
        assert same_cohort(disk / "out", undisturbed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_output_that_cannot_be_made_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExists, match="the file"):
        run(dataset, tmp_path / "file")
    with pytest.raises(OutputExists, match="can be written"):
        run(dataset, Path("/proc/bmepipe"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("x")
    with pytest.raises(OutputExists, match="other files"):
        run(dataset, tmp_path / "other", resume=True)


def test_the_command_says_how_many_and_exits_1_if_any_is_not_done(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text(f"case,path\n<b>x,{dataset.parent / 'empty'}\n")
    assert main(["batch", str(tmp_path / "m.csv"), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "0 of 1 cases done" in printed.out
    assert "[1/1] b_x: refused: expected" in printed.err
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1 cases: 0 done, 1 refused, 0 failed" in page
