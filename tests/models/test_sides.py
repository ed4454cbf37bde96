"""Both knees in one scan: neither is lost, each under its own side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bmepipe.analysis.labels import missing_note
from bmepipe.bones import bone_model
from bmepipe.errors import NoBonesFound
from bmepipe.models.bundle import bundle_of
from bmepipe.models.seen import Seen, look, volumes_of
from bmepipe.models.segment import segment_bones
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.pipeline import analyse
from bmepipe.result import EdemaResult
from bmepipe.site import both_sides, load_site
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


def doubted(seen: Seen, where: NDArray[np.bool_]) -> Seen:
    """The same, with no bone more probable than 0.55 in a part."""
    import torch

    probability = seen.probabilities.clone()
    mask = torch.from_numpy(where)
    share = torch.where(mask, 0.55 / probability[:, 1:].sum(1).clamp(min=0.55), 1.0)
    probability[:, 1:] *= share[:, None]
    probability[:, 0] = 1 - probability[:, 1:].sum(1)
    return replace(seen, probabilities=probability)


def test_a_side_without_bone_to_be_believed_does_not_cost_the_other(
    sick: Phantom, healthy: Phantom
) -> None:
    site = load_site("knee")
    pair, _ = side_by_side(sick, healthy)
    bundle = bundle_of(site)
    seen = look(volumes_of(pair), bundle)
    right = np.zeros(seen.inside.shape, bool)
    right[right.shape[0] // 2 :] = True
    bones = segment_bones(pair, site, bundle, doubted(seen, right))
    assert set(np.unique(bones.data)) == {0, 21, 22, 23, 24}
    (note,) = missing_note(bones, both_sides(site))
    assert "femur_right, tibia_right, patella_right" in note
    with pytest.raises(NoBonesFound, match=r"confidence 0\.5"):
        segment_bones(pair, site, bundle, doubted(seen, right | ~right))
