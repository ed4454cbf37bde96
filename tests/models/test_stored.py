"""Stored models of either kind: changed, missing or harmful weights are refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bmepipe.errors import ModelDamaged
from bmepipe.models.bundle import Bundle, load_bundle
from bmepipe.models.edema import EdemaModel, load_edema_model
from bmepipe.models.stored import model_folder, stored_sha256

Load = Callable[[Path], Bundle | EdemaModel]
KINDS = [("bones_knee", load_bundle), ("edema", load_edema_model)]

pytestmark = pytest.mark.parametrize(("name", "load"), KINDS)


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    """A copy of the model, to be spoilt."""
    return Path(shutil.copytree(model_folder(name), tmp_path / name))


def test_the_stored_hash_is_that_of_the_weights(name: str, load: Load) -> None:
    assert load(model_folder(name)).sha256 == stored_sha256(name)


def test_changed_weights_are_refused(folder: Path, load: Load) -> None:
    weights = folder / "models" / "model.pt"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelDamaged, match="sha256"):
        load(folder)


def test_weights_that_would_run_code_are_refused(folder: Path, load: Load) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return (Path.touch, (folder / "harm",))

    data = pickle.dumps({"model": Harm()})
    (folder / "models" / "model.pt").write_bytes(data)
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text()) | {"weights_sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(metadata))
    with pytest.raises(ModelDamaged):
        load(folder)
    assert not (folder / "harm").exists()


@pytest.mark.parametrize("missing", ["models/model.pt", "configs/metadata.json"])
def test_missing_files_are_named(folder: Path, load: Load, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelDamaged, match=Path(missing).name):
        load(folder)
