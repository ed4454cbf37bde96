"""Output folders that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bmepipe.errors import OutputExists, WriterFailed

# A folder that holds this file is an earlier result and may be replaced by a new one.
MARK = ".bmepipe"


@contextmanager
def whole_or_not_at_all(out: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `out` when the block ends, and vanishes if it fails.

    After `WriterFailed` the outputs that could be written are kept.

    Raises
    ------
    OutputExists
        If `out` exists and is neither empty nor an earlier result, or cannot be written: before
        the block, so that no work is lost.
    """
    _sweep(out.resolve())
    require_replaceable(out)
    with made_whole(out) as new:
        with _refused(out):
            (new / MARK).write_text("made by bmepipe; a new run may replace this folder\n")
        yield new


@contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `out`, whatever that holds.

    It is made beside `out`, so that the last step is one rename; within it, where only `out` can be
    written, as where a container mounts it.

    Raises
    ------
    OutputExists
        If `out` cannot be written.
    """
    out = out.resolve()  # what a link leads to is replaced, not the link
    new = _new_folder(out)
    with ExitStack() as stack:
        with suppress(OSError, ImportError):  # a file system or a system without locks
            stack.enter_context(_owned(new))
        try:
            new.chmod(0o755)
            yield new
        except WriterFailed:
            _put_in_place(new, out)
            raise
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _put_in_place(new, out)


def holds_result(out: Path) -> bool:
    """Say whether a folder is an earlier result."""
    return os.path.isfile(out / MARK)  # False where it may not be looked at


def require_replaceable(out: Path) -> None:
    """Refuse an output folder that holds something else than an earlier result."""
    with _refused(out):
        if not out.exists():
            return
        if out.is_dir() and (holds_result(out) or not any(out.iterdir())):
            return
    came = f"{out}, which is a file" if out.is_file() else f"{out}, which holds other files"
    raise OutputExists(
        "an output folder that is new, empty or an earlier result",
        came,
        "give another folder with -o, or move its content away",
    )


def require_new(out: Path) -> None:
    """Refuse an output folder that holds something or cannot be written."""
    _sweep(out.resolve())
    with _refused(out):
        free = not any(out.iterdir()) if out.is_dir() else not out.exists()
    if not free:
        raise OutputExists("a new or empty folder", str(out), "give another folder with -o")
    _new_folder(out).rmdir()


def _new_folder(out: Path) -> Path:
    with _refused(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        if not out.exists():
            return _hidden(out, out.parent)
        within = _hidden(out, out)  # first, as a folder mounted read-only has a writable parent
        try:
            beside = _hidden(out, out.parent)
        except OSError:
            return within
        within.rmdir()
        return beside


def _hidden(out: Path, place: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=place))


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: it ends with this process, however it ends, on any machine.

    Raises
    ------
    OSError
        If another process holds it, or there are no locks here.
    """
    import fcntl  # not on Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _sweep(out: Path) -> None:
    """Remove what runs into `out` that were killed have left half-written."""
    for place in (out.parent, out):
        for left in place.glob(f".{glob.escape(out.name)}.????????.partial"):
            with suppress(OSError, ImportError), _owned(left):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _refused(
    out: Path, remedy: str = "give another folder with -o, or the rights"
) -> Iterator[None]:
    """Turn an error of the file system within the block into a refusal."""
    try:
        yield
    except OSError as error:
        file = next((parent for parent in out.parents if parent.is_file()), None)
        came = f"{out}: {_reason(error)}" if file is None else f"{out}, where {file} is a file"
        raise OutputExists("an output folder that can be written", came, remedy) from error


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # of a tree: a list of (from, to, reason)
        return str(error.args[0][0][-1])
    return str(error.strerror)


def _put_in_place(new: Path, out: Path) -> None:
    old = new.with_suffix(".old")
    with _refused(out, f"the finished files lie in {new}: move them"):
        if new.parent == out:
            _move_into(new, out)
            return
        if out.exists():
            try:
                out.rename(old)
            except OSError:  # a mount point, a folder of an image's lower layer or of another user
                _move_into(new, out)
                return
        new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _move_into(new: Path, out: Path) -> None:
    """Replace what `out` holds by what `new` holds; all is copied before anything is removed."""
    within = new
    if new.parent != out:
        within = _hidden(out, out)
        try:
            shutil.copytree(new, within, dirs_exist_ok=True)
        except BaseException:
            shutil.rmtree(within, ignore_errors=True)
            raise
    if (within / MARK).is_file():  # first: what is cut short from here on may be replaced
        shutil.copyfile(within / MARK, out / MARK)
    for path in out.iterdir():
        if path not in (within, out / MARK):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in within.iterdir():
        path.rename(out / path.name)
    within.rmdir()
    shutil.rmtree(new, ignore_errors=True)
