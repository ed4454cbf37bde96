"""The floors of the package: imports point down only; heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "bmepipe"

# The table of CONTRIBUTING.md. A module may import from lower floors and from its own package.
FLOORS = {
    "cli": 11,
    "commands": 10,
    "terminal": 9,
    "batch": 8,
    "settings": 8,
    "evaluate": 8,
    "training": 8,
    "pipeline": 7,
    "intake": 6,
    "bones": 6,
    "provenance": 4,
    "io": 5,
    "models": 5,
    "writers": 5,
    "analysis": 4,
    "phantom": 4,
    "result": 3,
    "study": 2,
    "site": 2,
    "volume": 1,
    "folder": 1,
    "readings": 1,
    "termination": 1,
    "errors": 0,
}
ARRAYS = {"numpy", "scipy", "skimage", "SimpleITK"}
OUTSIDE = {
    "cli": set(),
    "commands": {"rich"},
    "terminal": {"rich"},
    "batch": {"rich", "distributed", "PIL", "pyarrow"},
    "evaluate": ARRAYS | {"nibabel", "matplotlib", "monai", "torch"},
    "training": ARRAYS | {"torch", "monai", "nibabel", "matplotlib", "nrrd"},
    "settings": set(),
    "pipeline": set(),
    "intake": set(),
    "bones": set(),
    "provenance": set(),
    "io": ARRAYS | {"pydicom", "nibabel", "rich"},
    "models": ARRAYS | {"torch", "monai"},
    "writers": ARRAYS | {"nibabel", "pydicom", "highdicom", "PIL"},
    "analysis": ARRAYS,
    "phantom": ARRAYS,
    "result": {"numpy"},
    "study": {"numpy"},
    "site": {"numpy"},
    "volume": {"numpy"},
    "folder": set(),
    "readings": set(),
    "termination": set(),
    "errors": set(),
}


def floor_name(path: Path) -> str:
    """The first name below the package: 'io' for bmepipe/io/dicom.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> list[str]:
    """Every module imported anywhere in a file, functions included."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module]
            if node.module == "bmepipe":
                names += [f"bmepipe.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += ["relative import"]
    return names


def offences(path: Path) -> list[str]:
    """What a file imports that its floor may not."""
    here = floor_name(path)
    wrong = []
    for name in imported_modules(path):
        top, *rest = name.split(".")
        if name == "relative import":
            wrong.append("relative import")
        elif top == "bmepipe" and rest and rest[0] in FLOORS and rest[0] != here:
            if FLOORS[rest[0]] >= FLOORS[here]:
                wrong.append(name)
        elif top not in sys.stdlib_module_names | {"bmepipe"} | OUTSIDE[here]:
            wrong.append(name)
    return wrong


SOURCES = sorted(
    p for p in PACKAGE.rglob("*.py") if p.name != "__main__.py" and p != PACKAGE / "__init__.py"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert offences(path) == []


def test_the_guard_fires(tmp_path, monkeypatch):
    bad = PACKAGE / "volume.py"
    monkeypatch.setattr(
        Path, "read_text", lambda self, encoding: "import torch\nfrom bmepipe.cli import main\n"
    )
    assert offences(bad) == ["torch", "bmepipe.cli"]


@pytest.mark.parametrize(
    "statement",
    [
        "import bmepipe",
        "import bmepipe.cli",
        "import bmepipe.pipeline",
        "import bmepipe.bones",
        "import bmepipe.models.bundle",
    ],
)
def test_imports_stay_light(statement):
    code = f"{statement}; import sys; print({{'torch', 'monai', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
