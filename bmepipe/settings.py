"""The settings of a run from a TOML file, as `configs` holds them to copy."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmepipe.errors import BadSettings
from bmepipe.pipeline import RunSettings


def read_config(path: Path) -> dict[str, Any]:
    """Return the run settings of a TOML file: tables ``[run]`` and ``[output]``.

    Raises
    ------
    BadSettings
        If the file is missing, no TOML, or holds a key that is not known.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings("a TOML settings file", f"{path}: {error}", "correct --config") from error
    known = {"run": {"site", "detector"}, "output": {"writers", "layout"}}
    assert set().union(*known.values()) <= {f.name for f in fields(RunSettings)}
    values: dict[str, Any] = {}
    for table, content in tables.items():
        unknown = {table} - set(known) or set(content) - known[table]
        if unknown:
            names = ", ".join(f"{t}.{k}" for t, keys in known.items() for k in sorted(keys))
            raise BadSettings(f"settings among {names}", f"{sorted(unknown)}", f"correct {path}")
        values |= content
    if "writers" in values:
        values["writers"] = tuple(values["writers"])
    return values
