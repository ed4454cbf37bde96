"""The edema network: what it is shown, how it comes back to the grid, and damaged folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bmepipe.errors import ModelDamaged
from bmepipe.models.detectors import DETECTORS, EDEMA_MODEL
from bmepipe.models.edema import channels_at, detect_with, load_edema_model
from bmepipe.models.edema_input import (
    CONTEXT_MM,
    DEPTH_MM,
    PIXEL_MM,
    Frame,
    Scene,
    frame_of,
    from_scene,
    in_plane_depth_mm,
    log_ratio,
    make_scene,
    to_scene,
    turned_by_bones,
)
from bmepipe.models.edema_network import CHANNELS, build_edema_network, stack_channels
from bmepipe.models.stored import model_folder, stored_sha256
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the model, to be spoilt."""
    return Path(shutil.copytree(model_folder(EDEMA_MODEL), tmp_path / EDEMA_MODEL))


def lopsided() -> tuple[Pair, Volume]:
    """A box of marrow with a ball of edema in one corner; slices along the first axis."""
    affine = np.diag([3.5, 0.5, 0.7, 1.0])
    affine[:3, 3] = (11, -7, 5)
    grid = Grid((9, 90, 70), affine)
    bones = np.zeros(grid.shape, np.uint8)
    bones[1:8, 15:75, 12:52] = 1
    bones[1:3, 15:30, 12:20] = 0
    rng = np.random.default_rng(3)
    t2fs = np.where(bones > 0, 100.0, 200.0) + rng.normal(0, 6, grid.shape)
    t1 = np.where(bones > 0, 500.0, 170.0) + rng.normal(0, 10, grid.shape)
    i, j, k = np.indices(grid.shape)
    lesion = ((i - 4) * 3.5) ** 2 + ((j - 32) * 0.5) ** 2 + ((k - 25) * 0.7) ** 2 < 49
    t2fs[lesion], t1[lesion] = 330.0, 330.0
    volumes = (Volume(np.asfortranarray(v.astype(np.float32)), grid) for v in (t2fs, t1))
    pair = Pair(*volumes, SequenceClass.STIR)
    return pair, Volume(np.asfortranarray(bones), grid)


def test_the_scene_has_the_slice_first_and_one_pixel_size() -> None:
    pair, bones = lopsided()
    scene, frame = make_scene(pair, bones, load_site("knee"))
    assert scene.bones.shape[0] == 9
    sizes = [
        (part.stop - part.start) * step for part, step in zip(frame.window, (0.5, 0.7), strict=True)
    ]
    np.testing.assert_allclose(scene.bones.shape[1:], np.array(sizes) / PIXEL_MM, atol=0.5)


def test_normal_marrow_is_zero_and_edema_is_its_ratio() -> None:
    scene, _ = make_scene(*lopsided(), load_site("knee"))
    depth = in_plane_depth_mm(scene.bones)
    assert scene.t1 is not None
    assert abs(np.median(scene.t2fs[scene.bones & (depth > 2)])) < 0.05
    assert abs(np.median(scene.t1[scene.bones & (depth > 2)])) < 0.05
    assert scene.t2fs.max() == pytest.approx(np.log(3.3), abs=0.2)


def test_gain_of_the_scanner_does_not_matter() -> None:
    pair, bones = lopsided()
    twice = Pair(pair.t2fs.with_data(2 * pair.t2fs.data), pair.t1, pair.sequence_class)
    first, second = (make_scene(p, bones, load_site("knee"))[0] for p in (pair, twice))
    np.testing.assert_allclose(first.t2fs, second.t2fs, atol=1e-4)


def test_a_scene_comes_back_to_where_it_was() -> None:
    _, bones = lopsided()
    frame = frame_of(bones)
    there = to_scene(frame.cut(bones.data > 0).astype(np.float32), frame)
    back = from_scene(there, frame) >= 0.5
    assert np.mean(back != (bones.data > 0)) < 0.01
    assert back.shape == bones.grid.shape


def test_how_the_files_are_stored_does_not_matter() -> None:
    pair, bones = lopsided()
    model = load_edema_model(model_folder(EDEMA_MODEL))
    plain = detect_with(model, pair, bones, load_site("knee")).data

    def stored(volume: Volume) -> Volume:
        """The same volume with its axes in another order, one of them backwards."""
        affine = volume.grid.affine[:, [2, 0, 1, 3]].copy()
        affine[:3, 3] += affine[:3, 0] * (volume.data.shape[2] - 1)
        affine[:3, 0] *= -1
        turned = np.asfortranarray(volume.data.transpose(2, 0, 1)[::-1])
        return Volume(turned, Grid(turned.shape, affine))

    assert pair.t1 is not None
    other = Pair(stored(pair.t2fs), stored(pair.t1), pair.sequence_class)
    again = detect_with(model, other, stored(bones), load_site("knee")).data
    np.testing.assert_allclose(again[::-1].transpose(1, 2, 0), plain, atol=0.02)


def test_bones_turn_the_scene() -> None:
    bones = np.zeros((1, 4, 9), bool)
    bones[:, :, :6] = True
    bones[:, 0, 6:] = True
    assert turned_by_bones(bones, (1.0, 1.0)) == (True, ())
    assert turned_by_bones(bones[:, :, ::-1], (1.0, 1.0)) == (True, (1,))
    assert turned_by_bones(bones, (9.0, 1.0))[0] is False


def test_without_any_reference_nothing_is_bright() -> None:
    frame = Frame(Grid((4, 4, 2), np.eye(4)), (slice(0, 4), slice(0, 4)), (4, 4))
    signal = np.full((4, 4, 2), 7, np.float32)
    assert not log_ratio(signal, np.full_like(signal, np.nan), frame).any()


def test_what_is_far_from_bone_is_not_shown() -> None:
    depth = np.full((3, 2, 2), -CONTEXT_MM - 1, np.float32)
    depth[:, 0] = 1
    ones = np.ones((3, 2, 2), np.float32)
    channels = stack_channels(ones, ones, depth, 1.0).numpy()
    assert channels.shape == (CHANNELS, 2, 2)
    assert channels[:6, 0].all()
    assert not channels[:6, 1].any()


def test_beyond_the_first_slice_nothing_is_shown_and_a_missing_t1_is_normal() -> None:
    bones = np.ones((2, 4, 4), bool)
    scene = Scene(np.ones((2, 4, 4), np.float32), None, bones, -1.0)
    channels = channels_at(scene, in_plane_depth_mm(bones), 0).numpy()
    assert not channels[0].any()
    assert channels[1].all()
    assert not channels[3:6].any()
    assert (channels[6] == -1).all()
    assert (channels[7] == 1).all()
    assert (channels[-1] == -1).all()
    assert DEPTH_MM > 0


@pytest.mark.parametrize("with_t1", [True, False])
def test_the_shipped_model_finds_plain_edema_and_nothing_outside_bone(with_t1: bool) -> None:
    pair, bones = lopsided()
    seen = pair if with_t1 else Pair(pair.t2fs, None, pair.sequence_class)
    detect = DETECTORS["model"].model
    assert detect is not None
    probability = detect(seen, bones, load_site("knee"), None)
    assert probability.data.dtype == np.float32
    assert probability.data[4, 32, 25] > 0.8
    assert probability.data[4, 65, 45] < 0.2
    assert not probability.data[bones.data == 0].any()


def test_the_stored_hash_is_that_of_the_weights() -> None:
    model = load_edema_model(model_folder(EDEMA_MODEL))
    assert model.sha256 == stored_sha256(EDEMA_MODEL)
    assert not model.network.training


def test_offset_of_the_calibration_shifts_every_probability() -> None:
    from dataclasses import replace

    pair, bones = lopsided()
    model = load_edema_model(model_folder(EDEMA_MODEL))
    low = detect_with(replace(model, offset=-30.0), pair, bones, load_site("knee"))
    assert low.data.max() < 0.01


@pytest.mark.parametrize("content", ["[]", '{"network": {"filters": [8, 8]}}'])
def test_incomplete_settings_are_refused(folder: Path, content: str) -> None:
    (folder / "configs" / "inference.json").write_text(content)
    with pytest.raises(ModelDamaged):
        load_edema_model(folder)


def test_unknown_network_settings_are_refused() -> None:
    with pytest.raises(ModelDamaged, match="dropout"):
        build_edema_network({"filters": [8, 16], "dropout": 0.5})
