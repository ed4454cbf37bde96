"""The page on refusals names every kind of them, and no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from bmepipe import errors

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"


def test_every_kind_of_refusal_is_explained() -> None:
    kinds = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.BmepipeError) and kind is not errors.BmepipeError
    }
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    told = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row)}
    assert told == kinds


def test_every_kind_of_refusal_is_raised_somewhere() -> None:
    package = Path(inspect.getfile(errors)).parent
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
        if path.name != "errors.py"
    )
    explained = set(re.findall(r"`([A-Z]\w+)` \|", PAGE.read_text(encoding="utf-8")))
    unused = {name for name in explained - {"UnknownChoice"} if f"{name}(" not in source}
    assert unused == set()
