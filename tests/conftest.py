"""Fixtures that all tests share: lopsided, anisotropic, turned grids and the real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bmepipe.volume import Grid

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scans beside the repository; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real scans are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def turned_grid() -> Grid:
    """A double-oblique, anisotropic, left-handed grid of unequal sides."""
    a, b = np.deg2rad(23.0), np.deg2rad(-11.0)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    rz = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rz @ rx @ np.diag([-0.6, 0.45, 3.3])
    affine[:3, 3] = (12.0, -34.0, 56.0)
    return Grid((20, 17, 9), affine)


@pytest.fixture(scope="session")
def small_knee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`study` and `truth` of a knee phantom at half of the clinical resolution, as DICOM."""
    from bmepipe.io.phantom_files import write_phantom
    from bmepipe.phantom.protocol import coarse, site_protocol
    from bmepipe.phantom.study import make_phantom

    folder = tmp_path_factory.mktemp("knee") / "phantom"
    write_phantom(make_phantom("knee", 7, protocol=coarse(site_protocol("knee"), 2)), folder)
    return folder


@pytest.fixture(scope="session")
def knee_run(small_knee: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Path]:
    """The result of a whole run on the small knee, and its output folder with every writer's files.

    With the bones of the truth, so that it does not depend on the network.
    """
    from bmepipe.pipeline import RunSettings, run_study

    out = tmp_path_factory.mktemp("run") / "case 1"
    bones = small_knee / "truth" / "bones.nii.gz"
    return run_study(small_knee / "study", out, RunSettings(bones=bones)), out
