"""The edema network's training: what is painted and varied; it resumes; its calibration."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bmepipe.errors import BadSettings
from bmepipe.models.edema import load_edema_model
from bmepipe.models.edema_input import Scene
from bmepipe.models.edema_network import CHANNELS, SLICES
from bmepipe.phantom.tissue import Technique
from bmepipe.study import SequenceClass
from bmepipe.training.edema_export import EdemaCard, calibrate, export_edema
from bmepipe.training.edema_painting import PAINTS, paint, painted
from bmepipe.training.edema_patch import Patch, smooth_noise
from bmepipe.training.edema_phantoms import (
    Example,
    fat_suppressed,
    load_example,
    make_cache,
    make_examples,
    save_example,
)
from bmepipe.training.edema_samples import (
    PATCH,
    USES,
    PatchStream,
    batches,
    load_examples,
    vary_signals,
    wrong_outline,
)
from bmepipe.training.edema_train import (
    EdemaConfig,
    edema_loss,
    files_of,
    train_edema,
    validate,
)
from bmepipe.training.recipe import train_from_file

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def example(seed: int = 0) -> Example:
    """A box of bone with a ball of edema."""
    rng = np.random.default_rng(seed)
    k, i, j = np.indices((6, 60, 50))
    bones = (i > 8) & (i < 52) & (j > 6) & (j < 44)
    edema = ((k - 3) * 4) ** 2 + (i - 25) ** 2 + (j - 22) ** 2 < 64
    t2fs = np.where(edema, 1.0, np.where(bones, 0.0, 0.7)) + rng.normal(0, 0.1, k.shape)
    t1 = np.where(edema, -0.3, np.where(bones, 0.0, -0.6))
    signals = t2fs.astype(np.float32), t1.astype(np.float32)
    scene = Scene(*signals, bones, -1.0)
    nothing = np.zeros(k.shape, np.uint8)
    return Example(scene, signals[0], edema.astype(np.float32), nothing, nothing > 0)


@pytest.fixture
def config(tmp_path: Path) -> EdemaConfig:
    """Settings of a training of seconds, and its files."""
    for part, seeds in (("train", (2000, 2001)), ("held_out", (2900,))):
        (tmp_path / part).mkdir()
        for seed in seeds:
            save_example(tmp_path / part / f"knee_{seed}_stir.npz", example(seed))
    return EdemaConfig(
        pattern=str(tmp_path / "train" / "*.npz"),
        held_out=str(tmp_path / "held_out" / "*.npz"),
        filters=(4, 8, 8),
        batch=2,
        minutes=0.05,
        warmup_iterations=1,
    )


def test_an_example_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = example()
    save_example(tmp_path / "e.npz", made)
    read = load_example(tmp_path / "e.npz")
    np.testing.assert_allclose(read.scene.t2fs, made.scene.t2fs, atol=2e-3)
    np.testing.assert_array_equal(read.edema, made.edema)
    assert read.scene.code == -1


def test_seeds_of_tests_and_tables_are_never_trained_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="999"):
        make_cache(tmp_path, ["knee"], [2000, 999])
    assert not list(tmp_path.iterdir())


def test_a_phantom_becomes_two_examples_of_different_classes() -> None:
    made = make_examples("sacroiliac", 2000)
    assert len({name for name, _ in made}) == 2
    for _, one in made:
        scene = one.scene
        inside = scene.bones & (one.edema == 0) & (one.look_alikes == 0) & ~one.failed
        assert abs(np.median(scene.t2fs[inside])) < 0.25
        assert one.edema.max() <= 1


@pytest.mark.parametrize("kind", list(SequenceClass))
def test_each_class_has_its_technique(kind: SequenceClass) -> None:
    made = fat_suppressed(kind, 3.0, np.random.default_rng(1))
    stir = kind is SequenceClass.STIR
    assert (made.technique is Technique.INVERSION) == stir
    assert (made.ti_ms > 0) == stir
    assert (made.te_ms < 50) or kind is not SequenceClass.PD_FS


def test_batches_have_the_networks_shape_and_come_back_turned(config: EdemaConfig) -> None:
    rng = np.random.default_rng(0)
    stream = batches(load_examples(files_of(config.pattern)), 2, rng)
    drawn = [next(stream) for _ in range(4 * USES)]
    assert drawn[0][0].shape == (2, CHANNELS, PATCH, PATCH)
    assert drawn[0][1].shape == drawn[0][2].shape == (2, PATCH, PATCH)
    # A turned batch holds as much bone, edema and signal as its first form, in other places.
    sums = {tuple(round(float(part.sum()), 1) for part in batch) for batch in drawn}
    assert len(drawn) // USES <= len(sums) < len(drawn)


def test_every_worker_makes_patches_of_its_own(config: EdemaConfig) -> None:
    stream = PatchStream(load_examples(files_of(config.pattern)), 2, (3, 0))
    loader = DataLoader(stream, batch_size=None, num_workers=2)
    drawn = iter(loader)
    first, second = next(drawn), next(drawn)
    assert first[0].shape == second[0].shape == (2, CHANNELS, PATCH, PATCH)
    assert not torch.equal(first[0], second[0])


def test_no_files_are_refused() -> None:
    with pytest.raises(BadSettings, match="prepare_edema"):
        load_examples([])


def patch() -> Patch:
    """Normal marrow everywhere but on a rim."""
    bones = np.zeros((SLICES, 64, 64), bool)
    bones[:, 6:58, 6:58] = True
    flat = np.zeros(bones.shape, np.float32)
    return Patch(flat, flat, bones, flat[0], flat[0] > 1)


def test_painted_edema_is_in_the_truth_and_painted_look_alikes_are_not() -> None:
    rng = np.random.default_rng(2)
    made = painted(patch(), PAINTS["edema"], rng)
    assert made.edema.max() > 0.6
    seen = made.edema > 0.5
    assert made.t2fs[1][seen].min() > 0.05
    assert made.t1[1][seen].max() < 0.05
    assert not made.edema[~made.bones[1]].any()
    for name, kind in PAINTS.items():
        if not kind.is_edema:
            assert not painted(patch(), kind, rng).edema.any(), name


def test_a_look_alike_painted_over_edema_takes_its_place() -> None:
    full = replace(patch(), edema=np.ones((64, 64), np.float32))
    made = painted(full, PAINTS["cyst"], np.random.default_rng(3))
    assert made.edema.min() < 0.5


def test_edema_painted_where_suppression_failed_is_not_taught() -> None:
    """It cannot be seen there; the network had learned to call failed suppression edema."""
    failed = np.zeros((64, 64), bool)
    failed[:, :40] = True
    made = painted(replace(patch(), failed=failed), PAINTS["edema"], np.random.default_rng(2))
    seen = made.edema > 0.1
    assert (seen & failed).any()
    assert not made.weight[seen & failed].any()
    assert np.unique(made.weight[~seen & failed]).tolist() == [0.5]
    assert np.unique(made.weight[~failed]).tolist() == [1]


def test_nothing_is_painted_without_bone() -> None:
    empty = replace(patch(), bones=np.zeros((SLICES, 64, 64), bool))
    made = paint(empty, np.random.default_rng(0))
    assert not made.t2fs.any()


def test_outlines_are_wrong_by_about_a_millimetre() -> None:
    rng = np.random.default_rng(4)
    bones = patch().bones
    shares = [np.mean(wrong_outline(bones, rng) != bones) for _ in range(20)]
    assert min(shares) == 0
    assert 0.02 < max(shares) < 0.4


def test_varied_signals_keep_edema_brighter_than_marrow() -> None:
    rng = np.random.default_rng(5)
    edema = np.zeros((64, 64), np.float32)
    edema[20:40, 20:40] = 1
    seen = replace(patch(), edema=edema, t2fs=np.broadcast_to(edema, (SLICES, 64, 64)).copy())
    for _ in range(10):
        t2fs, _ = vary_signals(seen, True, rng)
        assert np.median(t2fs[1][edema > 0]) > np.median(t2fs[1][edema == 0]) + 0.2


def test_noise_fields_have_unit_spread() -> None:
    field = smooth_noise((200, 200), 6.0, np.random.default_rng(0))
    assert 0.4 < field.std() < 1.2


def test_the_right_answer_has_the_least_loss_and_unweighted_voxels_do_not_count() -> None:
    edema = torch.zeros(1, 8, 8)
    edema[:, 2:5, 2:5] = 1
    weight = torch.ones_like(edema)
    right = 20 * (2 * edema - 1)
    assert float(edema_loss(right, edema, weight, 0.5)) < 1e-3
    assert float(edema_loss(-right, edema, weight, 0.5)) > 5
    weight[:, :, 4:] = 0
    right[:, :, 4:] *= -1
    assert float(edema_loss(right, edema, weight, 0.5)) < 1e-3


def test_training_writes_its_curve_resumes_and_loads_back(
    config: EdemaConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    checkpoint = train_edema(config, folder, minutes=0.0)
    first = torch.load(checkpoint, weights_only=True)["iteration"]
    train_edema(config, folder, minutes=0.0)
    assert torch.load(checkpoint, weights_only=True)["iteration"] > first
    with (folder / "curve.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert (folder / "curve.png").is_file()
    made = export_edema(checkpoint, config, EdemaCard(("Boxes.",)), folder)
    model = load_edema_model(made)
    assert model.multiple == 4
    card = (made / "docs" / "README.md").read_text()
    assert "| predicted | edema | voxels |" in card
    assert "Boxes." in card
    dice, _ = validate(model.network, [example(7)], model.multiple)
    assert 0 <= dice <= 1


def test_without_held_out_phantoms_nothing_is_calibrated(
    config: EdemaConfig, tmp_path: Path
) -> None:
    checkpoint = train_edema(config, tmp_path / "run", minutes=0.0)
    with pytest.raises(BadSettings, match="held-out"):
        export_edema(checkpoint, replace(config, held_out="none/*"), EdemaCard(), tmp_path)


def test_a_calibration_makes_predicted_and_seen_shares_agree() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000).astype(np.float32)
    shares = (rng.random(20_000) < 1 / (1 + np.exp(1 - 0.5 * logits))).astype(np.float32)
    for predicted, seen, count in calibrate(logits, shares).reliability:
        assert abs(predicted - seen) < 0.02 + 2 / np.sqrt(count)


def test_the_shipped_settings_train(config: EdemaConfig, tmp_path: Path) -> None:
    text = (CONFIGS / "edema.toml").read_text()
    for part in ("train", "held_out"):
        text = text.replace(f"edema/{part}/*.npz", str(tmp_path / part / "*.npz"))
    text = text.replace("filters = [16, 32, 48, 96, 128]", "filters = [4, 8, 8]")
    (tmp_path / "edema.toml").write_text(text.replace("batch = 12", "batch = 2"))
    made = train_from_file(tmp_path / "edema.toml", tmp_path / "out", minutes=0.0)
    assert load_edema_model(made).multiple == 4
    shutil.rmtree(tmp_path / "out")


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "edema.toml").write_text('model = "edema"\npattern = ""\nheld_out = ""\nspeed = 1')
    with pytest.raises(BadSettings, match="speed"):
        train_from_file(tmp_path / "edema.toml", tmp_path / "out")
