"""Train the edema network on cached phantoms; it can be stopped and resumed at any time."""

from __future__ import annotations

import copy
import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from bmepipe.models.edema import logits_of
from bmepipe.models.edema_network import build_edema_network
from bmepipe.training.edema_phantoms import Example, load_example
from bmepipe.training.edema_samples import PatchStream, load_examples
from bmepipe.training.state import CHECKPOINT, begin, fresh, iterations_done, loader_of, run


@dataclass(frozen=True)
class EdemaConfig:
    """Settings of a training; `configs/train/edema.toml` holds those of the shipped model.

    Parameters
    ----------
    pattern : str
        Of the cached phantoms, as `scripts/prepare_edema.py` names them.
    filters : tuple of int
        Of the network, one per level.
    minutes : float
        Planned length over all resumptions: the learning rate follows a cosine down to zero there.
    ema_decay : float
        Of the running mean of the weights, which is what is validated and shipped.
    held_out : str
        Pattern of other cached phantoms, never trained on: they validate and calibrate.
    threads : int
        Of the processor.
    workers : int
        Processes that make patches; 0 makes them between the steps of training.
    start_from : str
        Checkpoint of another training, or weights of a shipped model, that begin this one.
    """

    pattern: str
    held_out: str
    filters: tuple[int, ...] = (16, 32, 48, 96, 128)
    seed: int = 0
    minutes: float = 40.0
    batch: int = 12
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    warmup_iterations: int = 50
    ema_decay: float = 0.995
    dice_weight: float = 0.5
    checkpoint_minutes: float = 2.0
    validate_minutes: float = 8.0
    threads: int = 1
    workers: int = 0
    start_from: str = ""

    @property
    def network(self) -> dict[str, Any]:
        """The part of the settings that builds the network."""
        return {"filters": list(self.filters)}

    @property
    def multiple(self) -> int:
        """What the sides of the network's input must be multiples of."""
        return int(2 ** (len(self.filters) - 1))


def files_of(pattern: str) -> list[Path]:
    """Return the files of a pattern, sorted."""
    return sorted(Path(path) for path in glob.glob(pattern))


def train_edema(
    config: EdemaConfig, folder: Path, minutes: float | None = None, device: str = "cpu"
) -> Path:
    """Train, or go on training, in `folder`; return the checkpoint's path.

    Parameters
    ----------
    config : EdemaConfig
    folder : Path
        Holds ``checkpoint.pt``, ``curve.csv`` and ``curve.png``. An existing checkpoint is resumed.
    minutes : float, optional
        Stop after this long in this call; without it, at the planned end.
    device : str
        "cpu" or "cuda".
    """
    torch.set_num_threads(config.threads)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    checkpoint = folder / CHECKPOINT
    # Workers are forked, which must come before an accelerator is in use.
    examples = load_examples(files_of(config.pattern))
    seed = (config.seed, iterations_done(checkpoint))
    stream = iter(loader_of(PatchStream(examples, config.batch, seed), config.workers))
    state = fresh(lambda: build_edema_network(config.network).to(device), config.weight_decay)
    begin(state, checkpoint, config.start_from, device)
    held_out = [load_example(path) for path in files_of(config.held_out)]
    return run(
        state, config, folder, stream, partial(_loss, config),
        lambda net: _named(*validate(net, held_out, config.multiple)),
        {"network": config.network}, minutes, device,
    )  # fmt: skip


def _named(dice: float, false: float) -> dict[str, float]:
    return {"dice": dice, "false_voxels": false}


def edema_loss(logits: Tensor, edema: Tensor, weight: Tensor, dice_weight: float) -> Tensor:
    """Return the weighted cross-entropy, which calibrates, and a share of soft Dice loss.

    Parameters
    ----------
    logits, edema, weight : Tensor, shape (n, rows, columns)
        `edema` is the share of the voxel, 0 to 1.
    dice_weight : float
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, edema, reduction="none")
    entropy = (entropy * weight).sum() / weight.sum().clamp(min=1)
    probability = logits.sigmoid() * weight
    shared = (probability * edema).sum()
    dice = (2 * shared + 20) / (probability.sum() + (edema * weight).sum() + 20)
    return entropy + dice_weight * (1 - dice)


def validate(
    net: torch.nn.Module, held_out: Sequence[Example], multiple: int
) -> tuple[float, float]:
    """Return the mean Dice over the examples with edema, and the mean false mL in the healthy.

    At the probability of one half, with the true outline; voxels of failed suppression aside.
    """
    net = copy.deepcopy(net).cpu().eval()  # the few slices that validate are soon done there
    scores, false = [], []
    for example in held_out:
        found = logits_of(net, example.scene, multiple) > 0
        judged = example.scene.bones & ~example.failed
        found, truth = found & judged, (example.edema >= 0.5) & judged
        if truth.sum() >= 30:
            scores.append(2 * np.sum(found & truth) / (found.sum() + truth.sum()))
        elif not truth.any():
            false.append(float(found.sum()))
    return _mean(scores), _mean(false)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _loss(config: EdemaConfig, batch: Sequence[Tensor], net: torch.nn.Module) -> Tensor:
    image, edema, weight = batch
    logits = net(image.contiguous(memory_format=torch.channels_last))[:, 0]
    return edema_loss(logits, edema, weight, config.dice_weight)
