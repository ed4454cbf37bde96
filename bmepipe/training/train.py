"""Train a bone finder on synthetic images; it can be stopped and resumed at any time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bmepipe.models.network import build_network
from bmepipe.training.samples import SampleStream, SourceGroup, validation_set
from bmepipe.training.state import CHECKPOINT, begin, fresh, loader_of, run


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; `configs/train` holds those of the shipped models.

    Parameters
    ----------
    sources : tuple of SourceGroup
        Where the anatomy comes from.
    shapes : tuple of (int, int, int)
        Volumes drawn from, in voxels; each side a multiple of the network's total stride.
    minutes : float
        Planned length over all resumptions: the learning rate follows a cosine down to zero there.
    ema_decay : float
        Of the running mean of the weights, which is what is validated and shipped.
    targets : tuple of str
        What the network's labels are, as of `tissues.label_table`; without any, the bones' numbers.
    start_from : str
        Checkpoint of another training, or weights of a shipped model, that begin this one as far as
        the shapes agree.
    spacing_mm : float
        Of the network's isotropic grid.
    flatten : bool
        Whether the image is divided by its surroundings' mean first; `models.network.normalise`.
    threads : int
        Of the training step; 0 leaves it to torch. Two trainings side by side on two cores, one
        thread each, are faster than one after the other.
    """

    sources: tuple[SourceGroup, ...]
    shapes: tuple[tuple[int, int, int], ...]
    out_channels: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    num_res_units: int = 1
    seed: int = 0
    minutes: float = 60.0
    batch: int = 2
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_iterations: int = 150
    ema_decay: float = 0.998
    workers: int = 2
    checkpoint_minutes: float = 3.0
    validate_minutes: float = 8.0
    validation_samples: int = 12
    start_from: str = ""
    targets: tuple[str, ...] = ()
    spacing_mm: float = 2.0
    flatten: bool = False
    threads: int = 0

    @property
    def network(self) -> dict[str, Any]:
        """The part of the settings that builds the network."""
        return {
            "in_channels": 1,
            "out_channels": self.out_channels,
            "channels": list(self.channels),
            "strides": list(self.strides),
            "num_res_units": self.num_res_units,
        }

    @property
    def stored(self) -> dict[str, Any]:
        """The part of the settings that a checkpoint keeps."""
        return {"network": self.network, "spacing_mm": self.spacing_mm, "flatten": self.flatten}


def train(
    config: TrainConfig, folder: Path, minutes: float | None = None, device: str = "cpu"
) -> Path:
    """Train, or go on training, in `folder`; return the checkpoint's path.

    Parameters
    ----------
    config : TrainConfig
    folder : Path
        Holds ``checkpoint.pt``, ``curve.csv`` and ``curve.png``. An existing checkpoint is resumed;
        sources added since are picked up.
    minutes : float, optional
        Stop after this long in this call; without it, at the planned end.
    device : str
        "cpu" or "cuda".
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    state = fresh(
        lambda: build_network(config.network).to(device, memory_format=torch.channels_last_3d),  # type: ignore[call-overload]
        config.weight_decay,
    )
    checkpoint = folder / CHECKPOINT
    begin(state, checkpoint, config.start_from, device)
    held_out = validation_set(
        config.sources, config.shapes[0], config.validation_samples, config.targets,
        config.spacing_mm, config.flatten,
    )  # fmt: skip
    stream = SampleStream(
        config.sources, config.shapes, config.batch, config.seed, state.iteration, config.targets,
        config.spacing_mm, config.flatten, device,
    )  # fmt: skip
    # An accelerator makes its own samples; a processor's are made beside the training step.
    workers = config.workers if device == "cpu" else 0
    loader = loader_of(stream, workers)
    return run(
        state, config, folder, loader, _loss,
        lambda net: _named(validate(net, held_out, device)), config.stored, minutes, device,
    )  # fmt: skip


def dice_and_cross_entropy(logits: Tensor, bones: Tensor, inside: Tensor) -> Tensor:
    """Return the mean of soft Dice loss and cross-entropy inside the field of view.

    Parameters
    ----------
    logits : Tensor, shape (batch, classes, x, y, z)
    bones : Tensor of int, shape (batch, x, y, z)
    inside : Tensor of bool, shape (batch, x, y, z)
    """
    target = bones.long()
    weight = inside.float()
    log = logits.log_softmax(1)
    # Only the true label's probability is needed in most places: no one-hot volumes.
    log_true = log.gather(1, target[:, None])[:, 0]
    entropy = -(log_true * weight).sum() / weight.sum().clamp(min=1)
    zeros = torch.zeros(logits.shape[1], device=logits.device)
    # Over the batch as well: a bone may be missing from one volume.
    shared = zeros.index_add(0, target.flatten(), (log_true.exp() * weight).flatten())
    total = (log.exp() * weight[:, None]).sum((0, 2, 3, 4))
    total = total + zeros.index_add(0, target.flatten(), weight.flatten())
    dice = (2 * shared + 20) / (total + 20)
    return entropy + 1 - dice.mean()


@torch.no_grad()
def validate(
    net: torch.nn.Module, held_out: Sequence[tuple[Tensor, ...]], device: str
) -> list[float]:
    """Return the mean Dice of each bone over the held-out samples that show it."""
    net.eval()
    scores: list[list[float]] = []
    for image, bones, inside in held_out:
        logits = net(image.to(device))
        found = logits.argmax(1).cpu() * inside
        truth = bones * inside
        scores.append([_dice(found == k, truth == k) for k in range(1, logits.shape[1])])
    return [_mean_known(column) for column in zip(*scores, strict=True)]


def _named(dice: Sequence[float]) -> dict[str, float]:
    return {f"dice_{number}": value for number, value in enumerate(dice, start=1)}


def _loss(batch: Sequence[Tensor], net: torch.nn.Module) -> Tensor:
    image, bones, inside = batch
    # On processors half precision is no faster, for the reordering between layers.
    with torch.autocast(image.device.type, torch.bfloat16, enabled=image.is_cuda):
        logits = net(image)
    return dice_and_cross_entropy(logits.float(), bones, inside)


def _dice(found: Tensor, truth: Tensor) -> float:
    # Slivers at the edge of the field of view would swing the mean.
    if truth.sum() < 30:
        return math.nan
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def _mean_known(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
