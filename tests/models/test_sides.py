"""Both knees in one scan: neither is lost, each under its own side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.bones import bone_model
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.pipeline import analyse
from bmepipe.result import EdemaResult
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

AIR_SLICES = 4  # between the legs


@pytest.fixture(scope="module")
def sick() -> Phantom:
    return make_phantom("knee", 5, protocol=coarse(site_protocol("knee"), 2))


@pytest.fixture(scope="module")
def healthy() -> Phantom:
    return make_phantom("knee", 6, healthy=True, protocol=coarse(site_protocol("knee"), 2))


def side_by_side(right: Phantom, left: Phantom) -> tuple[Pair, NDArray[np.uint8]]:
    """Return both sagittal knees as one stack from left to right, and their bones."""

    def stacked(name: str) -> NDArray:
        parts = [getattr(one, name).data for one in (left, right)]
        wanted = ("L", "R")
        towards_right = [p.t2fs.grid.directions[0, 2] > 0 for p in (left, right)]
        turned = [
            part[..., :: 1 if (run == (phantom.side == want)) else -1]
            for part, run, phantom, want in zip(
                parts, towards_right, (left, right), wanted, strict=True
            )
        ]
        air = np.zeros((*turned[0].shape[:2], AIR_SLICES), turned[0].dtype)
        return np.concatenate([turned[0], air, turned[1]], axis=2)

    affine = left.t2fs.grid.affine.copy()
    affine[0, 2] = abs(affine[0, 2])
    t1, t2fs, bones = (stacked(name) for name in ("t1", "t2fs", "bones"))
    grid = Grid(t1.shape, affine)
    images = [Volume(np.asfortranarray(image), grid) for image in (t2fs, t1)]
    return Pair(images[0], images[1], SequenceClass.PD_FS), bones


def volumes(result: EdemaResult) -> dict[str, float | None]:
    return {row.bone: row.edema_ml for row in result.measurements}


@pytest.mark.parametrize("side", ["right", "left"])
def test_edema_of_either_knee_is_measured_on_its_side(
    sick: Phantom, healthy: Phantom, side: str
) -> None:
    pair, truth = side_by_side(*((sick, healthy) if side == "right" else (healthy, sick)))
    result = analyse(pair, load_site("knee"), segment_bones=bone_model)
    other = "left" if side == "right" else "right"
    found = volumes(result)
    assert result.bones.data.max() > 20
    for row in sick.measurements:
        assert found[f"{row.bone}_{other}"] == pytest.approx(0, abs=0.05)
        assert found[f"{row.bone}_{side}"] == pytest.approx(row.edema_ml, rel=0.4, abs=0.1)
    half = truth.shape[2] // 2
    for label, at in ((21, np.s_[..., :half]), (11, np.s_[..., half:])):
        own, real = result.bones.data[at] == label, truth[at] == 1
        assert 2 * np.count_nonzero(own & real) / (own.sum() + real.sum()) > 0.9
    assert any("Both sides are in view" in note for note in result.notes)
