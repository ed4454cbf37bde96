"""The tables of a batch: a row per case, and a row per case and bone."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bmepipe.result import BoneMeasurement, column_names
from bmepipe.writers.table import cell

CASE_COLUMNS = ("case", "status", "reason", "site", "t1", "t2fs", "edema_ml", "not_measured",
                "seconds", "notes", "path")  # fmt: skip
TEXT = ("case", "site", "bone", "note")
COUNTS = ("lesion_count",)


def case_row(record: dict[str, Any]) -> list[str]:
    """Return a case's cells, in the order of `CASE_COLUMNS`."""
    values = dict(record)
    values["edema_ml"] = total_ml(record)
    values["not_measured"] = " | ".join(not_measured(record))
    values["notes"] = " | ".join(record.get("notes", ()))
    return [cell(values.get(name), 3 if name == "edema_ml" else None) for name in CASE_COLUMNS]


def total_ml(record: dict[str, Any]) -> float | None:
    """Return the edema of all measured bones; None if a case has none that was measured."""
    at = column_names(BoneMeasurement).index("edema_ml")
    measured = [float(row[at]) for row in record.get("rows", ()) if row[at] != ""]
    return sum(measured) if measured else None


def not_measured(record: dict[str, Any]) -> list[str]:
    """Return the bones that were found but not measured: their edema is not in the total."""
    columns = column_names(BoneMeasurement)
    bone, at = columns.index("bone"), columns.index("edema_ml")
    return [row[bone] for row in record.get("rows", ()) if row[at] == ""]


def write_tables(out: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write ``cases.csv``, ``cohort.csv`` and, where pyarrow is installed, ``cohort.parquet``.

    Only finished cases are in the cohort; the order is that of the case names, whatever finished
    first.
    """
    ordered = sorted(records, key=lambda record: record["case"])
    _csv(out / "cases.csv", CASE_COLUMNS, map(case_row, ordered))
    columns = column_names(BoneMeasurement)
    rows = [row for record in ordered for row in record.get("rows", ())]
    _csv(out / "cohort.csv", columns, rows)
    _parquet(out / "cohort.parquet", columns, rows)


def _csv(path: Path, header: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    new = path.with_suffix(".part")
    # A path may hold bytes that are no text.
    with new.open("w", encoding="utf-8", errors="replace", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(new, path)


def _parquet(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    try:
        import pyarrow
        from pyarrow.parquet import write_table
    except ImportError:
        return
    arrays = {}
    for n, name in enumerate(columns):
        texts = [row[n] for row in rows]
        if name in TEXT:
            arrays[name] = pyarrow.array(texts, pyarrow.string())
        else:
            kind, make = (pyarrow.int64(), int) if name in COUNTS else (pyarrow.float64(), float)
            arrays[name] = pyarrow.array([make(t) if t else None for t in texts], kind)
    new = path.with_suffix(".part")
    write_table(pyarrow.table(arrays), new)
    os.replace(new, path)
