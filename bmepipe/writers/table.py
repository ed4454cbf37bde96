"""The two tables: a row per bone, and a row per lesion or rejected candidate."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmepipe.result import BoneMeasurement, EdemaResult, Lesion, column_names

_CENTRE = ("centre_r_mm", "centre_a_mm", "centre_s_mm")
LESION_COLUMNS = (
    "case",
    "site",
    *(name for name in column_names(Lesion) if name not in ("centre_mm", "rejected_as")),
    *_CENTRE,
    "rejected_as",
)


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``measurements.csv`` and ``lesions.csv`` (UTF-8, RFC 4180); None is an empty cell."""
    bones = folder / "measurements.csv"
    _write_csv(bones, column_names(BoneMeasurement), map(bone_cells, result.measurements))
    candidates = (*result.lesions, *result.rejected)
    lesions = folder / "lesions.csv"
    _write_csv(lesions, LESION_COLUMNS, (lesion_cells(result, lesion) for lesion in candidates))
    return [bones, lesions]


def bone_cells(row: BoneMeasurement) -> list[str]:
    """Return the cells of one bone's row."""
    return [cell(getattr(row, column.name), column.metadata["digits"]) for column in fields(row)]


def lesion_cells(result: EdemaResult, lesion: Lesion) -> list[str]:
    """Return the cells of one candidate's row, in the order of `LESION_COLUMNS`."""
    digits = {column.name: column.metadata["digits"] for column in fields(lesion)}
    values: dict[str, Any] = {
        column.name: getattr(lesion, column.name) for column in fields(lesion)
    }
    values |= dict(zip(_CENTRE, lesion.centre_mm, strict=True))
    values |= {"case": result.case, "site": result.site.name}
    digits |= dict.fromkeys(_CENTRE, digits["centre_mm"])
    return [cell(values[name], digits.get(name)) for name in LESION_COLUMNS]


def cell(value: object, digits: int | None = None) -> str:
    """Return one cell's text: fixed digits, None empty, text that no spreadsheet runs as a formula.

    >>> cell(1.23456, 3), cell(None, 3), cell(True), cell(7)
    ('1.235', '', 'true', '7')
    >>> cell("=1+1"), cell("two" + chr(10) + "lines")
    ("'=1+1", 'two lines')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if digits is None else f"{value:.{digits}f}"
    text = " ".join(str(value).split())
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
