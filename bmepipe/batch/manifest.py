"""A table that names the cases: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmepipe.batch.case import Case, clean_name
from bmepipe.errors import BadSettings


def read_manifest(path: Path) -> Iterator[Case]:
    """Yield the cases of a CSV or Parquet table; paths are relative to its folder.

    Columns: ``case``, ``path``, ``site``, ``t1``, ``t2fs``, ``bones``, ``study``, ``side``; all
    but ``case`` may be missing or empty, but a row needs a path or a t2fs file.
    """
    for number, row in enumerate(_rows(path), start=1):
        values = {key: str(value).strip() for key, value in row.items() if value not in (None, "")}
        known = {"case", *(field.name for field in fields(Case) if field.name != "name")}
        if unknown := set(values) - known:
            raise BadSettings(
                f"columns among {', '.join(sorted(known))}",
                ", ".join(sorted(map(str, unknown))),
                f"correct {path.name}",
            )
        if not values.get("case") or not (values.get("path") or values.get("t2fs")):
            raise BadSettings(
                "a case and a path or t2fs in every row", f"row {number} without",
                f"complete {path.name}",
            )  # fmt: skip
        name = clean_name(values.pop("case"))
        for key in ("path", "t1", "t2fs", "bones"):
            if key in values and (path.parent / values[key]).exists():
                values[key] = str((path.parent / values[key]).resolve())
        yield Case(name, **values)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        from pyarrow.parquet import read_table

        return read_table(path).to_pylist()
    except ImportError as error:
        raise BadSettings(
            "pyarrow for a Parquet manifest", "none", "install bmepipe[batch] or give a CSV"
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise BadSettings(
            "a CSV or Parquet manifest", f"{path.name}: {error}", "correct it"
        ) from error
