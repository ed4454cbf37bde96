"""Output folders: whole or not at all, and never over something else."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmepipe.errors import OutputExists, WriterFailed
from bmepipe.folder import require_new, whole_or_not_at_all


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_result_appears_when_the_block_ends(tmp_path):
    out = tmp_path / "deep" / "out"
    with whole_or_not_at_all(out) as folder:
        (folder / "a.txt").write_text("1")
        assert not out.exists()
    assert names(out) == [".bmepipe", "a.txt"]
    assert names(out.parent) == ["out"]


def test_an_earlier_result_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    for name in ("old.txt", "new.txt"):
        with whole_or_not_at_all(out) as folder:
            (folder / name).write_text("1")
    assert names(out) == [".bmepipe", "new.txt"]
    assert names(tmp_path) == ["out"]


def test_nothing_is_left_after_a_failure_and_the_old_result_stays(tmp_path):
    out = tmp_path / "out"
    with whole_or_not_at_all(out) as folder:
        (folder / "old.txt").write_text("1")
    with pytest.raises(KeyboardInterrupt), whole_or_not_at_all(out) as folder:
        (folder / "half.txt").write_text("1")
        raise KeyboardInterrupt
    assert names(out) == [".bmepipe", "old.txt"]
    assert names(tmp_path) == ["out"]


def test_a_failed_writer_keeps_what_the_others_wrote(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(WriterFailed), whole_or_not_at_all(out) as folder:
        (folder / "good.txt").write_text("1")
        raise WriterFailed("all outputs", "no sr", "see above")
    assert names(out) == [".bmepipe", "good.txt"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_is_never_overwritten(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("thesis")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("thesis")
    with pytest.raises(OutputExists, match="give another folder"), whole_or_not_at_all(out):
        pass
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_may_be_used(tmp_path):
    with whole_or_not_at_all(tmp_path / "out"):
        pass
    (tmp_path / "empty").mkdir()
    with whole_or_not_at_all(tmp_path / "empty") as folder:
        (folder / "a").write_text("1")
    assert names(tmp_path / "empty") == [".bmepipe", "a"]


def write_twice(out):
    for name in ("old.txt", "new.txt"):
        with whole_or_not_at_all(out) as folder:
            (folder / name).write_text(name)
            (folder / "deep").mkdir()
            (folder / "deep" / name).write_text(name)


@pytest.fixture
def mounted(tmp_path) -> Iterator[Path]:
    """A mount point, which cannot be renamed and lies on another file system."""
    out = tmp_path / "mounted"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield out
    subprocess.run(["umount", str(out)], check=True)


def test_a_mount_point_takes_the_files(mounted):
    write_twice(mounted)
    assert names(mounted) == [".bmepipe", "deep", "new.txt"]
    assert names(mounted / "deep") == ["new.txt"]
    assert names(mounted.parent) == ["mounted"]


def test_a_result_too_large_for_its_mount_is_not_lost(mounted):
    write_twice(mounted)
    with (
        pytest.raises(OutputExists, match=r"No space left.*the finished files lie in") as refusal,
        whole_or_not_at_all(mounted) as folder,
    ):
        (folder / "large").write_bytes(b"1" * 100_000)
    assert (folder / "large").stat().st_size == 100_000
    assert str(folder) in str(refusal.value)
    assert names(mounted) == [".bmepipe", "deep", "new.txt"]


def test_a_folder_mounted_read_only_is_refused_before_any_work(mounted):
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(OutputExists, match="Read-only"), whole_or_not_at_all(mounted):
        pytest.fail("the work was begun")


def test_only_the_output_can_be_written(mounted):
    out = mounted / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        write_twice(out)
        assert names(out) == [".bmepipe", "deep", "new.txt"]
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_a_folder_beside_which_nothing_can_be_made_takes_the_files(tmp_path, monkeypatch):
    out, make = tmp_path / "out", tempfile.mkdtemp
    out.mkdir()

    def full(*, dir, **names):  # as of a quota: the folder itself could still be renamed
        if dir == tmp_path:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return make(dir=dir, **names)

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    write_twice(out)
    assert names(out) == [".bmepipe", "deep", "new.txt"]
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_renamed_takes_the_files(tmp_path, monkeypatch):
    out, rename = tmp_path / "out", Path.rename

    def busy(path, target):  # as of a mount point, where a test may not mount
        if path == out:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", busy)
    write_twice(out)
    assert names(out) == [".bmepipe", "deep", "new.txt"]
    assert names(out / "deep") == ["new.txt"]
    assert names(tmp_path) == ["out"]


def test_where_a_link_leads_is_replaced_and_not_the_link(tmp_path):
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "out")
    write_twice(tmp_path / "link")
    assert names(tmp_path / "disk" / "out") == [".bmepipe", "deep", "new.txt"]
    assert names(tmp_path) == ["disk", "link"]
    assert names(tmp_path / "disk") == ["out"]


@pytest.mark.parametrize("check", [require_new, lambda out: whole_or_not_at_all(out).__enter__()])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path, check):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExists, match=r"can be written; got .*x, where .*file is a file"):
        check(tmp_path / "file" / "x")
    with pytest.raises(OutputExists, match="can be written; got /proc/bmepipe: "):
        check(Path("/proc/bmepipe"))
    assert names(tmp_path) == ["file"]


@pytest.fixture
def another_run(tmp_path) -> Iterator[subprocess.Popen]:
    """A run of another process into tmp_path/out, at work until it is killed."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from bmepipe.folder import whole_or_not_at_all\n"
        "with whole_or_not_at_all(Path(sys.argv[1])) as folder:\n"
        "    print(folder, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_makes_is_not(
    tmp_path, another_run
):
    half = Path(another_run.stdout.readline().strip())
    (tmp_path / ".other.12345678.partial").mkdir()
    with whole_or_not_at_all(tmp_path / "out"):
        pass
    assert half.is_dir()
    another_run.kill()
    another_run.wait()
    with whole_or_not_at_all(tmp_path / "out"):
        pass
    assert names(tmp_path) == [".other.12345678.partial", "out"]


def test_a_killed_run_within_a_mount_does_not_make_it_another_s(tmp_path):
    half = tmp_path / "out" / ".out.12345678.partial"
    half.mkdir(parents=True)
    with whole_or_not_at_all(tmp_path / "out"):
        pass
    assert names(tmp_path / "out") == [".bmepipe"]
