"""SIGTERM as an exception, so that what is half-written is removed before the program ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_raises(kind: type[BaseException]) -> Iterator[None]:
    """Make SIGTERM end the block by an exception of a kind; only where signals can be handled."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut that short
        raise kind

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
