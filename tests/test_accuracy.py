"""Known edema, DICOM in, volumes out: a small form of scripts/phantom_table.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmepipe.analysis.agreement import dice
from bmepipe.analysis.labels import reorder
from bmepipe.io.phantom_files import write_phantom
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.pipeline import RunSettings, run_study
from bmepipe.result import EdemaResult


def measured(phantom: Phantom, folder: Path) -> EdemaResult:
    write_phantom(phantom, folder / "phantom")
    return run_study(folder / "phantom" / "study", folder / "out", RunSettings(writers=("tables",)))


@pytest.mark.parametrize("seed", [13, 17])
def test_edema_of_known_volume_is_found_and_measured(seed: int, tmp_path: Path) -> None:
    phantom = make_phantom("knee", seed)
    result = measured(phantom, tmp_path)
    overlap = dice(reorder(result.edema, phantom.edema.grid).data, phantom.edema.data)
    assert overlap is not None
    assert overlap > 0.85
    found = {row.bone: row for row in result.measurements}
    for truth in phantom.measurements:
        if truth.edema_ml and truth.edema_ml > 0.5:
            row = found[truth.bone]
            assert row.edema_ml == pytest.approx(truth.edema_ml, rel=0.1)
            assert row.edema_ml_low < truth.edema_ml < row.edema_ml_high


def test_a_healthy_knee_has_none(tmp_path: Path) -> None:
    result = measured(make_phantom("knee", 107, healthy=True), tmp_path)
    assert [row.bone for row in result.measurements] == ["femur", "tibia", "patella", "fibula"]
    assert sum(row.edema_ml or 0.0 for row in result.measurements) <= 0.05
    assert all(row.edema_ml is not None for row in result.measurements)
