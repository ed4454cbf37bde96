"""The notebooks run from the first cell to the last, and are stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHOWN = {  # what must be seen in the outputs
    "first_study": ("fat-suppressed: ", "femur ", "lesion 1 in ", "image/png"),
    "cohort": ("4 of 5 cases done", "refused", "limits", "mean Dice", "image/png"),
    "training": ("# my_knee", "fine-tuned  femur ", "image/png"),
}


def test_there_is_an_expectation_for_each():
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_cleared(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the notebooks make their folders
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = str([cell.get("outputs") for cell in notebook.cells])
    for text in SHOWN[path.stem]:
        assert text in outputs
    assert not list(ROOT.glob("notebooks/*/"))
