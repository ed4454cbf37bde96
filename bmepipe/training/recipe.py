"""A training's settings file, and the whole way from it to a model folder."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from bmepipe.errors import BadSettings
from bmepipe.training.edema_export import EdemaCard, export_edema
from bmepipe.training.edema_train import EdemaConfig, train_edema
from bmepipe.training.export import Card, export_bundle
from bmepipe.training.samples import SourceGroup
from bmepipe.training.train import TrainConfig, train


def train_from_file(
    path: Path, out: Path, device: str = "cpu", minutes: float | None = None
) -> Path:
    """Train, or go on training, by a settings file; return the model folder written.

    The model folder is written after every call, so that a training that was cut short can be
    tried out.

    Parameters
    ----------
    path : Path
        TOML; `configs/train` has the shipped models' own. Patterns of sources are relative to the
        working folder.
    out : Path
        Checkpoints, curves and the model folder.
    device : str
        "cpu" or "cuda".
    minutes : float, optional
        Stop after this long; by default at the planned end.

    Raises
    ------
    BadSettings
        If the file cannot be read, or a setting is missing or unknown.
    """
    tables = _read(path)
    if tables.pop("model", "bones") == "edema":
        settings, words = _edema_recipe(tables, path)
        return export_edema(train_edema(settings, out, minutes, device), settings, words, out)
    config, card = _bones_recipe(tables, path)
    return export_bundle(train(config, out, minutes, device), card, out)


def read_recipe(path: Path) -> tuple[TrainConfig, Card]:
    """Return the settings of a bone training, and what its model card says, from a TOML file."""
    return _bones_recipe(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings("a TOML training file", f"{path}: {error}", "correct it") from error


def _edema_recipe(tables: dict[str, Any], path: Path) -> tuple[EdemaConfig, EdemaCard]:
    card = tables.pop("card", {})
    return _made(EdemaConfig, tables, path), _made(EdemaCard, card, path)


def _bones_recipe(tables: dict[str, Any], path: Path) -> tuple[TrainConfig, Card]:
    card = tables.pop("card", {})
    sources = tables.pop("sources", [])
    tables["sources"] = tuple(_made(SourceGroup, row, path) for row in sources)
    return _made(TrainConfig, tables, path), _made(Card, card, path)


def _made(kind: type, values: dict[str, Any], path: Path) -> Any:
    """Return the dataclass with these settings, lists made tuples; refuse unknown ones."""
    known = {field.name for field in fields(kind)}
    if unknown := set(values) - known:
        raise BadSettings(
            f"settings among {', '.join(sorted(known))}",
            ", ".join(sorted(unknown)),
            f"correct {path}",
        )
    values = {key: _tuples(v) for key, v in values.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise BadSettings(
            f"all settings of {kind.__name__}", str(error).partition(") ")[2], f"complete {path}"
        ) from error


def _tuples(value: Any) -> Any:
    """Return lists, and lists in lists, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
