"""A person's bones laid into a phantom: where they come to lie, and what is between them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bmepipe.training.tissues import TISSUES

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def skeleton(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, beside which its neighbours lie."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("prepare_skeleton")
    monkeypatch.delitem(sys.modules, "prepare_skeleton")
    return module


def test_a_turned_and_shrunk_bone_is_laid_on_its_like(skeleton: ModuleType) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(3000, 3))
    points = 30 * points / np.linalg.norm(points, axis=1)[:, None] * [1.0, 0.6, 0.3]
    points[:, 0] += 0.01 * points[:, 1] ** 2  # lopsided
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    bone = 0.95 * points @ turn.T + [40, 10, -20]
    linear, shift, far = skeleton.placed(points, bone, 0)
    assert np.abs(points @ linear.T + shift - bone).max() < 3.0
    assert far < 1.0


def test_an_open_mesh_is_filled_all_the_same(skeleton: ModuleType) -> None:
    corners = np.array(np.meshgrid([0, 20], [0, 14], [0, 17], indexing="ij")).reshape(3, -1).T
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7),
    ]  # fmt: skip
    volume = skeleton.filled(corners.astype(float), np.array(faces)).sum()  # a triangle is missing
    assert volume == pytest.approx(20 * 14 * 17, rel=0.1)


def test_bones_are_exchanged_and_kept_apart(skeleton: ModuleType) -> None:
    labels = np.full((24, 20, 20), TISSUES["fat"], np.uint8)
    labels[4:10] = TISSUES["talus"]
    x = np.indices(labels.shape)[0].astype(np.float32)
    distances = {"talus": np.abs(x - 6) - 5.0, "calcaneus": np.abs(x - 15) - 4.0}
    made = skeleton.with_bones(labels, distances)
    column = made[:, 10, 10]
    assert set(column) == {TISSUES[n] for n in ("fat", "talus", "calcaneus", "cartilage")}
    assert (column[3:9] == TISSUES["talus"]).all()
    assert (column[14:18] == TISSUES["calcaneus"]).all()
    between = column[9:14]
    assert TISSUES["cartilage"] in between
    assert not ((column[:-1] == TISSUES["talus"]) & (column[1:] == TISSUES["calcaneus"])).any()
