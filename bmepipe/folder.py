"""Output folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bmepipe.errors import OutputExists, WriterFailed

# A folder that holds this file is an earlier result and may be replaced by a new one.
MARK = ".bmepipe"


@contextmanager
def whole_or_not_at_all(out: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `out` when the block ends, and vanishes if it fails.

    The folder is made beside `out`, so that the last step is one rename. After `WriterFailed` the
    outputs that could be written are kept.

    Raises
    ------
    OutputExists
        If `out` exists and is neither empty nor an earlier result.
    """
    require_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        new.chmod(0o755)
        (new / MARK).write_text("made by bmepipe; a new run may replace this folder\n")
        yield new
    except WriterFailed:
        _put_in_place(new, out)
        raise
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    _put_in_place(new, out)


def require_replaceable(out: Path) -> None:
    """Refuse an output folder that holds something else than an earlier result."""
    if not out.exists():
        return
    if out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir())):
        return
    came = f"{out}, which is a file" if out.is_file() else f"{out}, which holds other files"
    raise OutputExists(
        "an output folder that is new, empty or an earlier result",
        came,
        "give another folder with -o, or move its content away",
    )


def _put_in_place(new: Path, out: Path) -> None:
    old = new.with_suffix(".old")
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)
