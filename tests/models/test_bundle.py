"""Model folders: what is refused, what the network is shown, and bones that it must not believe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from bmepipe.analysis.align import align
from bmepipe.errors import ModelDamaged, NoBonesFound, UnknownChoice
from bmepipe.models.network import build_network
from bmepipe.models.probability import joined, probability_of
from bmepipe.models.regrid import from_network, place, to_network
from bmepipe.models.segment import bone_finder
from bmepipe.models.stored import model_folder
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

NAME = "bones_knee"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the model, to be spoilt."""
    return Path(shutil.copytree(model_folder(NAME), tmp_path / NAME))


@pytest.fixture(scope="module")
def knee() -> Phantom:
    return make_phantom("knee", 12, protocol=coarse(site_protocol("knee"), 3))


def test_unknown_models_list_the_known_ones() -> None:
    with pytest.raises(UnknownChoice, match=NAME):
        model_folder("bones_elbow")


def test_unknown_network_settings_are_refused() -> None:
    with pytest.raises(ModelDamaged, match="dropout"):
        build_network({"in_channels": 1, "dropout": 0.5})


def test_every_label_carries_its_name_and_code() -> None:
    metadata = json.loads((model_folder(NAME) / "configs" / "metadata.json").read_text())
    site = load_site("knee")
    assert [(r["label"], r["name"], r["snomed_code"]) for r in metadata["labels"]] == [
        (b.label, b.name, b.snomed_code) for b in site.bones
    ]
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["1"] == "femur"


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum())


def test_bones_of_an_unseen_phantom_on_each_contrast_alone(knee: Phantom) -> None:
    find = bone_finder(load_site("knee"))
    for image in (knee.t2fs, knee.t1):
        found = find(Pair(image, None, SequenceClass.PD_FS), load_site("knee"))
        assert found.data.dtype == np.uint8
        scores = [dice(found.data == k, knee.bones.data == k) for k in (1, 2)]
        assert min(scores) > 0.88, scores


def test_the_surer_contrast_counts_half() -> None:
    # One voxel that T1 calls femur and the fat-suppressed series, for its edema, nothing.
    unsure = torch.tensor([0.8, 0.15, 0.05]).reshape(3, 1, 1, 1)
    sure = torch.tensor([0.2, 0.75, 0.05]).reshape(3, 1, 1, 1)
    both = joined(torch.stack([unsure, sure])).flatten().tolist()
    assert both == pytest.approx([0.35, 0.65 * 0.9, 0.65 * 0.1])
    assert joined(sure[None]).flatten().tolist() == pytest.approx([0.2, 0.75, 0.05])


def test_a_bone_of_two_kinds_is_as_probable_as_both() -> None:
    # A column of L5 (0.9 vertebra), S1 (half vertebra, half sacrum), S2 (0.9 sacrum) and muscle.
    vertebra, sacrum = np.array([0.9, 0.5, 0.1, 0.1]), np.array([0.0, 0.4, 0.8, 0.2])
    probability = np.stack([1 - vertebra - sacrum, vertebra, sacrum]).astype(np.float32)
    probability = np.repeat(probability.reshape(3, 1, 1, 4), 3, axis=1)
    kinds = probability.argmax(0).astype(np.uint8)
    bone = np.zeros(kinds.shape, bool)
    bone[:, :, 1:3] = True  # S1, although called vertebra, and S2
    found = probability_of(bone, kinds, probability)
    np.testing.assert_allclose(found[0, 0], [0.0, 0.9, 0.9, 0.3], atol=1e-6)
    np.testing.assert_allclose(probability_of(kinds == 2, kinds, probability)[0, 0, 3], 0.2)


def test_noise_has_no_bones(knee: Phantom) -> None:
    noise = np.random.default_rng(3).normal(100, 20, knee.t2fs.grid.shape).astype(np.float32)
    pair = Pair(knee.t2fs.with_data(np.asfortranarray(noise)), None, SequenceClass.PD_FS)
    with pytest.raises(NoBonesFound, match="confidence"):
        bone_finder(load_site("knee"))(pair, load_site("knee"))


def test_to_the_network_and_back_keeps_the_place(turned_grid: Grid) -> None:
    # One bright voxel, off the centre on every axis of a turned, left-handed grid.
    data = np.zeros(turned_grid.shape, np.float32)
    data[14, 5, 6] = 1.0
    placement = place(turned_grid, 2.0, 8)
    coarse_signal, inside = to_network(data, placement)
    assert all(n % 8 == 0 for n in coarse_signal.shape)
    assert not coarse_signal[~inside].any()
    back = np.zeros(turned_grid.shape, np.float32)
    box, values = from_network(coarse_signal, placement)
    back[box] = values
    part, high = from_network(coarse_signal, placement, above=0.3 * float(back.max()))
    assert high.size < back.size / 10
    np.testing.assert_allclose(high, back[part], atol=1e-6)
    back_high = back.copy()
    back_high[part] = 0
    assert back_high.max() <= 0.3001 * back.max()
    assert np.unravel_index(back.argmax(), back.shape)[2] == 6
    weight = back / back.sum()
    centre = [float((weight.sum(tuple(b for b in range(3) if b != a)) * np.arange(n)).sum())
              for a, n in enumerate(back.shape)]  # fmt: skip
    spacing = np.array(turned_grid.spacing_mm)
    assert np.abs((np.array(centre) - (14, 5, 6)) * spacing).max() < 0.5


def test_nothing_comes_back_from_nothing(turned_grid: Grid) -> None:
    placement = place(turned_grid, 2.0, 8)
    assert from_network(np.zeros(placement.shape, np.float32), placement)[1].size == 0


def test_what_lies_between_two_slices_does_not_come_back() -> None:
    placement = place(Grid((20, 20, 8), np.diag([1.0, 1.0, 4.4, 1.0])), 1.5, 8)
    for index in range(placement.shape[2]):
        values = np.zeros(placement.shape, np.float32)
        values[8:10, 8:10, index] = 1
        box, part = from_network(values, placement)
        assert part.shape == tuple(s.stop - (s.start or 0) for s in box)


def test_the_network_grid_runs_right_front_up(turned_grid: Grid) -> None:
    ramps = turned_grid.to_world(
        np.stack(np.meshgrid(*map(np.arange, turned_grid.shape), indexing="ij"), -1).reshape(-1, 3)
    ).reshape(*turned_grid.shape, 3)
    placement = place(turned_grid, 1.0, 4)
    for axis in range(3):
        volume = Volume(
            np.ascontiguousarray(ramps[..., axis] - ramps[..., axis].min()), turned_grid
        )
        signal, inside = to_network(volume.data, placement)
        index = np.argwhere(inside)
        slope = np.polyfit(index[:, axis], signal[inside], 1)[0]
        assert slope > 0.5  # mm per mm, along the same axis and in the same direction


@pytest.mark.parametrize("lean_deg", [0.0, 30.0, 44.0, 50.0, 60.0])
def test_slices_along_a_sacrum_are_shown_as_coronal_whatever_their_lean(lean_deg: float) -> None:
    c, s = np.cos(np.radians(lean_deg)), np.sin(np.radians(lean_deg))
    # Columns: to the left, up along the slice and to the front, across the slices to the back.
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-0.6, 0, 0], [0, 0.7 * s, -3.3 * c], [0, 0.7 * c, 3.3 * s]])
    grid = Grid((40, 50, 12), affine)
    placement = place(grid, 2.5, 16, coronal_within_deg=65.0)
    assert placement.axes == (0, 2, 1)
    assert placement.flipped == (True, True, False)
    usual = place(grid, 2.5, 16)
    assert (usual.axes == (0, 2, 1)) == (lean_deg < 45)


def test_an_edematous_acromion_apart_from_its_scapula_is_kept() -> None:
    """Between the slices its spine is not seen, so that the scapula comes in two pieces."""
    phantom = make_phantom("shoulder", 26, protocol=coarse(site_protocol("shoulder"), 2))
    site, grid = load_site("shoulder"), phantom.bones.grid
    t1, _ = align(phantom.t1, phantom.t2fs, same_frame=True)
    bones = bone_finder(site)(Pair(phantom.t2fs, t1, SequenceClass.T2_FS), site)
    numbers = {bone.name: bone.label for bone in site.bones}
    height = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)[:, 2].reshape(grid.shape)
    top = height[phantom.bones.data == numbers["humerus"]].max()
    acromion = (phantom.bones.data == numbers["scapula"]) & (height > top + 3)
    assert (bones.data[acromion] == numbers["scapula"]).mean() > 0.8


def test_the_arches_of_a_neck_are_found_with_their_vertebrae() -> None:
    phantom = make_phantom("cervical", 24, protocol=coarse(site_protocol("cervical"), 2))
    site, truth = load_site("cervical"), phantom.bones.data
    t1, _ = align(phantom.t1, phantom.t2fs, same_frame=True)
    bones = bone_finder(site)(Pair(phantom.t2fs, t1, SequenceClass.STIR), site).data
    named = [bone.label for bone in site.bones if (truth == bone.label).any()]
    scores = [dice(bones == label, truth == label) for label in named]
    assert np.mean(scores) > 0.65
    away_mm = ndimage.distance_transform_edt(truth == 0, sampling=phantom.bones.grid.spacing_mm)
    # No piece far away that hangs on nothing; T2 is bone that the phantom does not label.
    assert away_mm[np.isin(bones, named)].max() < 12
    # Two facet joints are inflamed.
    assert (bones[phantom.edema.data] > 0).mean() > 0.8
