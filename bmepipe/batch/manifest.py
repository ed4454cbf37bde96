"""A table that names the cases: CSV or Parquet."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmepipe.batch.case import Case
from bmepipe.batch.names import clean_name
from bmepipe.errors import BadSettings

OURS = ("name", "source", "known_as", "uid")  # fields of a case that are no columns


def read_manifest(path: Path) -> Iterator[Case]:
    """Yield the cases of a CSV or Parquet table; paths are relative to its folder.

    Columns: ``case``, ``path``, ``site``, ``t1``, ``t2fs``, ``bones``, ``study``, ``side``; all
    but ``case`` may be missing or empty, but a row needs a path or a t2fs file.

    Raises
    ------
    BadSettings
        If it cannot be read, or names a case twice: results would change places with the rows.
    """
    seen: Counter[str] = Counter()
    for number, row in enumerate(_rows(path), start=1):
        values = {key: str(value).strip() for key, value in row.items() if value not in (None, "")}
        known = {"case", *(field.name for field in fields(Case) if field.name not in OURS)}
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
        told = values.pop("case")
        seen[told] += 1
        source = values.get("path") or values["t2fs"]
        for key in ("path", "t1", "t2fs", "bones"):
            if key in values and (path.parent / values[key]).exists():
                values[key] = str((path.parent / values[key]).resolve())
        yield Case(clean_name(told), source=source, known_as=told, **values)
    if twice := [f"{told} {count} times" for told, count in seen.items() if count > 1]:
        raise BadSettings(
            "each case of a manifest once", ", ".join(twice), f"give each row of {path.name} a name"
        )


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
