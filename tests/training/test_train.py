"""Training: it learns, it resumes, it starts from another's weights, its model loads back."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bmepipe.errors import BadSettings
from bmepipe.models.bundle import load_bundle
from bmepipe.models.network import build_network
from bmepipe.models.seen import predict
from bmepipe.training.export import Card, export_bundle
from bmepipe.training.recipe import read_recipe, train_from_file
from bmepipe.training.samples import SourceGroup, validation_set
from bmepipe.training.state import fresh, learning_rate, step, take_over
from bmepipe.training.train import (
    TrainConfig,
    dice_and_cross_entropy,
    train,
    validate,
)

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
CARD = Card(
    name="bones_box",
    labels=(("femur", "71341001", "Femur"), ("tibia", "12611008", "Tibia")),
    trained_on=("Boxes.",),
    smallest_ml=(1.0, 2.0),
)


def stored(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def test_the_right_answer_has_the_least_loss() -> None:
    bones = torch.zeros(1, 6, 6, 6, dtype=torch.uint8)
    bones[:, 2:5, 2:5, 2:5] = 1
    inside = torch.ones(1, 6, 6, 6, dtype=torch.bool)
    right = 20.0 * torch.nn.functional.one_hot(bones.long(), 3).movedim(-1, 1).float()
    best = dice_and_cross_entropy(right, bones, inside)
    assert float(best) < 1e-3
    assert float(dice_and_cross_entropy(right.roll(1, 2), bones, inside)) > 0.5
    # What lies outside the field of view does not count.
    inside[:, 3:] = False
    right[:, :, 3:] = 0
    assert float(dice_and_cross_entropy(right, bones, inside)) < 1e-3


def test_the_learning_rate_warms_up_and_falls_to_nothing(config: TrainConfig) -> None:
    rates = [learning_rate(config, n, 0.0) for n in range(6)]
    assert rates[:4] == sorted(rates[:4])
    assert rates[4] == rates[5] == pytest.approx(config.learning_rate, rel=1e-2)
    assert learning_rate(config, 10**6, 60 * config.minutes) < 1e-5


def test_a_loss_that_is_no_number_leaves_the_weights_as_they_are(config: TrainConfig) -> None:
    state = fresh(lambda: build_network(config.network), 0.0)
    before = {name: value.clone() for name, value in state.net.state_dict().items()}
    loss = step(state, config, lambda net: sum(p.sum() for p in net.parameters()) * torch.nan)
    assert loss != loss
    assert state.iteration == 1
    for own in (state.net, state.ema):
        assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


def test_a_resumed_training_goes_on(config: TrainConfig, tmp_path: Path) -> None:
    checkpoint = train(config, tmp_path, minutes=0.0)
    first = stored(checkpoint)
    assert first["iteration"] == 1
    train(config, tmp_path, minutes=0.0)
    again = stored(checkpoint)
    assert again["iteration"] == 2
    assert again["trained_s"] > first["trained_s"]
    assert any(not torch.equal(first["net"][key], again["net"][key]) for key in first["net"])
    with (tmp_path / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["1", "2"]
    assert {"loss", "dice_1", "dice_2"} <= set(rows[0])
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert not list(tmp_path.glob("*.part"))


def test_sources_added_since_are_picked_up(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path, minutes=0.0)
    more = replace(config, sources=(*config.sources, replace(config.sources[0], labelled=False)))
    train(more, tmp_path, minutes=0.0)
    assert stored(tmp_path / "checkpoint.pt")["iteration"] == 2


def test_a_training_ends_at_its_planned_length(config: TrainConfig, tmp_path: Path) -> None:
    train(replace(config, minutes=1e-6), tmp_path)
    assert stored(tmp_path / "checkpoint.pt")["iteration"] == 1


def test_the_loss_can_be_learnt_from(config: TrainConfig) -> None:
    """A dozen steps on one image lower it."""
    torch.manual_seed(0)
    net = build_network(replace(config, channels=(4, 8)).network)
    image, bones, inside = validation_set(config.sources, (16, 24, 20), 1)[0]
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-2)
    losses = []
    for _ in range(12):
        loss = dice_and_cross_entropy(net(image), bones, inside)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_held_out_samples_stay_the_same(config: TrainConfig) -> None:
    first, again = (validation_set(config.sources, (16, 16, 16), 2) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a[0], b[0])
    dice = validate(build_network(config.network), first, "cpu")
    assert len(dice) == 2
    assert all(0 <= value <= 1 for value in dice if value == value)


def test_weights_are_taken_over_as_far_as_shapes_agree(config: TrainConfig, tmp_path: Path) -> None:
    checkpoint = train(config, tmp_path, minutes=0.0)
    old = stored(checkpoint)["ema"]
    larger = build_network(replace(config, channels=(3, 4), out_channels=5).network)
    fresh = {key: value.clone() for key, value in larger.state_dict().items()}
    take_over(larger, checkpoint)
    changed = 0
    for key, value in larger.state_dict().items():
        both = tuple(slice(0, min(a, b)) for a, b in zip(value.shape, old[key].shape, strict=True))
        assert torch.equal(value[both], old[key][both]), key
        kept = torch.ones(value.shape, dtype=torch.bool)
        kept[both] = False
        assert torch.equal(value[kept], fresh[key][kept]), key
        changed += int(not torch.equal(value, fresh[key]))
    assert changed > 5


def test_a_training_starts_from_anothers_weights(config: TrainConfig, tmp_path: Path) -> None:
    first = train(config, tmp_path / "first", minutes=0.0)
    still = replace(config, start_from=str(first), learning_rate=0.0, weight_decay=0.0)
    second = train(still, tmp_path / "second", minutes=0.0)
    before, after = stored(first)["ema"], stored(second)["net"]
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=1e-3, rtol=0)


def test_the_model_that_is_exported_loads_back(config: TrainConfig, tmp_path: Path) -> None:
    checkpoint = train(config, tmp_path, minutes=0.0)
    folder = export_bundle(checkpoint, CARD, tmp_path / "models")
    bundle = load_bundle(folder)
    assert bundle.labels == {1: "femur", 2: "tibia"}
    assert bundle.smallest_ml == {1: 1.0, 2: 2.0}
    assert bundle.multiple == 2
    assert bundle.spacing_mm == 2.0
    mean = stored(checkpoint)["ema"]
    for key, value in bundle.network.state_dict().items():
        torch.testing.assert_close(value, mean[key].half().float())
    card = (folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "1 iterations" in card
    assert "- Boxes." in card
    assert "femur" in card


def test_a_card_of_another_network_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    checkpoint = train(config, tmp_path, minutes=0.0)
    with pytest.raises(BadSettings, match="2 labels"):
        export_bundle(checkpoint, replace(CARD, labels=CARD.labels[:1]), tmp_path)
    assert not (tmp_path / CARD.name).exists()


def test_what_is_told_from_bone_by_name_is_background(config: TrainConfig, tmp_path: Path) -> None:
    card = replace(CARD, labels=CARD.labels[:1], smallest_ml=(1.0,), beside=("disc",))
    bundle = load_bundle(export_bundle(train(config, tmp_path, minutes=0.0), card, tmp_path))
    signal = torch.rand((16, 24, 20), generator=torch.Generator().manual_seed(1)).numpy()
    inside = np.ones(signal.shape, bool)
    inside[:3] = False
    seen = predict(bundle, [signal], inside)
    assert seen.shape == (1, 2, 16, 24, 20)
    torch.testing.assert_close(seen.sum(1), torch.ones(1, 16, 24, 20))
    assert not seen[:, 1, :3].any()
    # The same weights with the disc as a bone: what is new is background.
    both = predict(replace(bundle, labels={1: "femur", 2: "disc"}), [signal], inside)
    torch.testing.assert_close(seen[:, 1], both[:, 1])
    torch.testing.assert_close(seen[:, 0], both[:, 0] + both[:, 2])


RECIPE = """
shapes = [[16, 24, 20]]
out_channels = 3
channels = [2, 4]
strides = [2]
batch = 1
workers = 0
validation_samples = 1
[[sources]]
pattern = "{pattern}"
[card]
name = "bones_box"
labels = [["femur", "71341001", "Femur"], ["tibia", "12611008", "Tibia"]]
smallest_ml = [1.0, 2.0]
trained_on = ["Boxes."]
"""


def test_a_settings_file_leads_to_a_model(joint_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    path.write_text(RECIPE.format(pattern=joint_file.as_posix()), encoding="utf-8")
    folder = train_from_file(path, tmp_path / "out", minutes=0.0)
    assert load_bundle(folder).name == "bones_box"
    config, card = read_recipe(path)
    assert config.sources == (SourceGroup(joint_file.as_posix()),)
    assert config.shapes == ((16, 24, 20),)
    assert card.labels[1] == ("tibia", "12611008", "Tibia")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("batch = 1", "batches = 1"), "batches"),
        (("pattern =", "patern ="), "patern"),
        (("smallest_ml", "smallest_l"), "smallest_l"),
        (("channels = [2, 4]\n", ""), "channels"),
        (("batch = 1", "batch = "), "TOML"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace(*change, 1), encoding="utf-8")
    with pytest.raises(BadSettings, match=named):
        read_recipe(path)


def test_a_missing_settings_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"gone\.toml"):
        read_recipe(tmp_path / "gone.toml")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("bones_*.toml")), ids=lambda path: path.stem)
def test_the_shipped_settings_can_be_read(path: Path) -> None:
    config, card = read_recipe(path)
    channels = config.out_channels - 1 - len(card.beside)
    assert channels == len(card.labels) == len(card.smallest_ml)
    stride = 1
    for each in config.strides:
        stride *= each
    assert all(side % stride == 0 for shape in config.shapes for side in shape)
    weights = sum(value.numel() for value in build_network(config.network).state_dict().values())
    assert weights * 2 < 11e6  # half precision


def test_a_training_starts_from_a_shipped_model(config: TrainConfig, tmp_path: Path) -> None:
    folder = export_bundle(train(config, tmp_path, minutes=0.0), CARD, tmp_path)
    net = build_network(config.network)
    take_over(net, folder / "models" / "model.pt")
    shipped = stored(folder / "models" / "model.pt")
    assert all(torch.equal(v, shipped[k].float()) for k, v in net.state_dict().items())
