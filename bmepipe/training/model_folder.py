"""Write a model folder in MONAI bundle shape: weights in half precision, settings, card."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bmepipe import RESEARCH_ONLY

_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)


def half_precision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as they are shipped; counters stay whole numbers."""
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}


def write_model(
    folder: Path,
    weights: dict[str, Tensor],
    metadata: dict[str, Any],
    inference: dict[str, Any],
    card: str,
) -> None:
    """Write a model folder; its name and the weights' sha256 join the metadata.

    Parameters
    ----------
    folder : Path
    weights : dict of str to Tensor
        As `half_precision` returns them.
    metadata, inference : dict
        What is particular to this model.
    card : str
        Markdown.
    """
    for part in ("configs", "docs", "models"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    path = folder / "models" / "model.pt"
    torch.save(weights, path)
    pack(path)
    common = {
        "schema": _SCHEMA,
        "name": folder.name,
        "version": "1",
        "intended_use": RESEARCH_ONLY,
        "license": "Apache-2.0",
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    _write_json(folder / "configs" / "metadata.json", common | metadata)
    _write_json(folder / "configs" / "inference.json", inference)
    (folder / "docs" / "README.md").write_text(card, encoding="utf-8")


def pack(path: Path) -> None:
    """Compress the weights' file, which is a zip, in place: torch reads it as before."""
    with zipfile.ZipFile(path) as plain:
        parts = {part.filename: plain.read(part) for part in plain.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)  # of a fixed date: the same weights, the same sha256
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content)


def last_scores(folder: Path) -> dict[str, float]:
    """Return the last row of a training's ``curve.csv``; empty without one."""
    path = folder / "curve.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:
        return {key: float(value) for key, value in list(csv.DictReader(file))[-1].items()}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
