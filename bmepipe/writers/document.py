"""`result.json`: everything that was found, and how, for programs to read.

Its form is published as a JSON Schema, ``result.schema.json`` in this package.
"""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

from bmepipe.result import RESEARCH_ONLY, EdemaResult
from bmepipe.study import Series, Study
from bmepipe.volume import Grid

SCHEMA_VERSION = "1.0"


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``result.json`` (UTF-8; a number that was not measured is null)."""
    path = folder / "result.json"
    text = json.dumps(document(result), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return [path]


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `result.json`."""
    file = resources.files("bmepipe.writers") / "result.schema.json"
    return json.loads(file.read_text(encoding="utf-8"))


def document(result: EdemaResult) -> dict[str, Any]:
    """Return the whole result as JSON values; volumes in mL, lengths in mm, coordinates RAS+."""
    pair = result.pair
    return {
        "schema_version": SCHEMA_VERSION,
        "warning": RESEARCH_ONLY,
        "case": result.case,
        "site": {
            "name": result.site.name,
            "title": result.site.title,
            "bones": [_row(bone) for bone in result.site.bones],
        },
        "study": None if result.study is None else _study(result.study),
        "series": {
            "t2fs": None if pair.t2fs_series is None else _series(pair.t2fs_series),
            "t1": None if pair.t1_series is None else _series(pair.t1_series),
            "sequence_class": str(pair.sequence_class),
            "has_t1": pair.t1 is not None,
            "reasons": list(result.reasons),
        },
        "grid": _grid(pair.grid),
        "measurements": [_row(row) for row in result.measurements],
        "lesions": [_row(lesion) for lesion in result.lesions],
        "rejected": [_row(lesion) for lesion in result.rejected],
        "notes": list(result.notes),
        "provenance": _row(result.provenance),
    }


def _row(row: Any) -> dict[str, Any]:
    return {column.name: _plain(getattr(row, column.name)) for column in fields(row)}


def _study(study: Study) -> dict[str, Any]:
    return {
        "uid": study.uid,
        "patient_hash": study.patient_id,
        "acquired": study.acquired,
        "description": study.description,
        "skipped_files": study.skipped_files,
        "notes": list(study.notes),
        "series": [_series(series) for series in study.series],
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "key": series.key,
        "number": series.number,
        "description": series.description,
        "role": str(series.role),
        "weighting": str(series.weighting),
        "fat_suppression": str(series.fat_suppression),
        "confidence": series.confidence,
        "evidence": list(series.evidence),
        "notes": list(series.notes),
        "refusal": series.refusal,
        "files": len(series.files),
        "te_ms": series.te_ms,
        "tr_ms": series.tr_ms,
        "ti_ms": series.ti_ms,
        "field_strength_t": series.field_strength_t,
    }


def _grid(grid: Grid) -> dict[str, Any]:
    return {
        "shape": list(grid.shape),
        "affine_ras_mm": grid.affine.tolist(),
        "spacing_mm": list(grid.spacing_mm),
        "orientation": grid.orientation,
        "plane": grid.plane,
    }


def _plain(value: Any) -> Any:
    """Return mappings as dicts, sequences as lists, paths and enums as text, throughout."""
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy number
        return value.item()
    return value if value is None or isinstance(value, bool | int | float) else str(value)
