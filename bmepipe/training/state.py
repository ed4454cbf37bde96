"""What changes while a network trains: stored, restored, stepped, and written as a curve."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor


class Schedule(Protocol):
    """The settings of a training that its steps need."""

    @property
    def minutes(self) -> float:
        """Planned length over all resumptions."""

    @property
    def learning_rate(self) -> float:
        """The highest."""

    @property
    def warmup_iterations(self) -> int:
        """How long the rate rises."""

    @property
    def ema_decay(self) -> float:
        """Of the running mean of the weights."""


@dataclass(eq=False)
class State:
    """What changes while training, and is stored in the checkpoint."""

    net: torch.nn.Module
    ema: torch.nn.Module
    optimiser: torch.optim.Optimizer
    iteration: int = 0
    trained_s: float = 0.0


def fresh(build: Callable[[], torch.nn.Module], weight_decay: float) -> State:
    """Return the state of a training that has not begun, its running mean at the first weights."""
    net, ema = build(), build()
    ema.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=weight_decay, fused=True)
    return State(net.train(), ema.eval(), optimiser)


def learning_rate(schedule: Schedule, iteration: int, trained_s: float) -> float:
    """Return the learning rate: a warm-up over iterations, then a cosine over the minutes."""
    warm = min(1.0, (iteration + 1) / max(1, schedule.warmup_iterations))
    fraction = min(1.0, trained_s / (60 * schedule.minutes))
    return schedule.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * fraction)) + 1e-6


def step(state: State, schedule: Schedule, loss_of: Callable[[torch.nn.Module], Tensor]) -> float:
    """Take one step of training and return its loss.

    Parameters
    ----------
    state : State
    schedule : Schedule
    loss_of : callable (network) -> Tensor
        The loss on a batch.
    """
    rate = learning_rate(schedule, state.iteration, state.trained_s)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.net.train()
    loss = loss_of(state.net)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 5.0)
    state.optimiser.step()
    state.iteration += 1
    # Early on the mean must be short, or it would remember the untrained network.
    decay = min(schedule.ema_decay, (1 + state.iteration) / (10 + state.iteration))
    _follow(state.ema, state.net, decay)
    return float(loss.detach())


@torch.no_grad()
def _follow(ema: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move the running mean towards the weights; counters are copied."""
    for mean, value in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def save(state: State, path: Path, settings: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all, with the settings that exporting needs."""
    temporary = path.with_suffix(".part")
    stored = {
        "net": state.net.state_dict(),
        "ema": state.ema.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "iteration": state.iteration,
        "trained_s": state.trained_s,
    }
    torch.save(stored | settings, temporary)
    temporary.replace(path)


def restore(state: State, path: Path, device: str) -> None:
    """Read a checkpoint that `save` wrote into `state`."""
    stored = torch.load(path, map_location=device, weights_only=True)
    state.net.load_state_dict(stored["net"])
    state.ema.load_state_dict(stored["ema"])
    state.optimiser.load_state_dict(stored["optimiser"])
    state.iteration, state.trained_s = stored["iteration"], stored["trained_s"]


def record(folder: Path, state: State, losses: Sequence[float], scores: dict[str, float]) -> None:
    """Add a row to ``curve.csv``: iteration, minutes, mean loss, and the named scores."""
    path = folder / "curve.csv"
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["iteration", "minutes", "loss", *scores])
        loss = sum(losses) / max(1, len(losses))
        row = [state.iteration, f"{state.trained_s / 60:.1f}", f"{loss:.4f}"]
        writer.writerow([*row, *(f"{value:.4f}" for value in scores.values())])
