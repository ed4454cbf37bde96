"""A model folder as it is stored: where it lies, its settings, and weights of a checked sha256.

    NAME/configs/metadata.json   what it is, and the sha256 of the weights
    NAME/configs/inference.json  the network's settings and those of inference
    NAME/docs/README.md          model card
    NAME/models/model.pt         weights, half precision

torch is imported when weights are read, not before.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmepipe.errors import ModelDamaged, unknown_choice

if TYPE_CHECKING:
    import torch

_PACKAGE = Path(__file__).parents[1]
_REMEDY = "reinstall bmepipe or restore the model folder"


@dataclass(frozen=True, eq=False)
class Stored:
    """What a model folder holds.

    Parameters
    ----------
    metadata, settings : dict
        Of `configs/metadata.json` and `configs/inference.json`.
    weights : dict of str to Tensor
        In full precision.
    sha256 : str
        Of the weights' file.
    """

    metadata: dict[str, Any]
    settings: dict[str, Any]
    weights: dict[str, torch.Tensor]
    sha256: str


def model_folder(name: str) -> Path:
    """Return the folder of a model: in the installed package, or beside a source checkout.

    Raises
    ------
    UnknownChoice
        Listing the models that are there.
    """
    roots = (_PACKAGE / "_models", _PACKAGE.parent / "models")
    for root in roots:
        if name and (root / name / "configs" / "metadata.json").is_file():
            return root / name
    known = {m.parents[1].name for root in roots for m in root.glob("*/configs/metadata.json")}
    raise unknown_choice("model", name, known)


def stored_sha256(name: str) -> str:
    """Return the sha256 of a model's weights as its metadata states it; needs no torch."""
    return str(_read(model_folder(name) / "configs" / "metadata.json")["weights_sha256"])


def read_model(folder: Path) -> Stored:
    """Read a model folder, checking its weights against the stored sha256.

    Raises
    ------
    ModelDamaged
        If a file is missing, or the weights are not the ones described or no plain tensors.
    """
    import torch

    metadata = _read(folder / "configs" / "metadata.json")
    settings = _read(folder / "configs" / "inference.json")
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        raise ModelDamaged(f"weights in {folder.name}/models/model.pt", "no such file", _REMEDY)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != metadata.get("weights_sha256"):
        raise ModelDamaged(
            f"weights of {folder.name} with sha256 {metadata.get('weights_sha256')}", found, _REMEDY
        )
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ModelDamaged(
            f"plain tensors in {folder.name}/models/model.pt", "something else", _REMEDY
        ) from error
    whole = {key: full_precision(value) for key, value in state.items()}
    return Stored(metadata, settings, whole, found)


@contextmanager
def complete_settings(folder: Path) -> Iterator[None]:
    """Refuse the folder if what is built within from its settings lacks one or does not fit."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        came = str(error).splitlines()[0]
        raise ModelDamaged(f"complete settings of {folder.name}", came, _REMEDY) from error


def full_precision(value: torch.Tensor) -> torch.Tensor:
    """Return stored weights as float32; counters stay whole numbers."""
    return value.float() if value.is_floating_point() else value


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        came = type(error).__name__
        raise ModelDamaged(f"a readable {path.parent.name}/{path.name}", came, _REMEDY) from error
    if not isinstance(content, dict):
        raise ModelDamaged(f"an object in {path.name}", type(content).__name__, _REMEDY)
    return content
