"""What changes while a network trains: stored, restored, stepped, and written as a curve."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

CHECKPOINT = "checkpoint.pt"


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
    def checkpoint_minutes(self) -> float:
        """Between two checkpoints."""

    @property
    def validate_minutes(self) -> float:
        """Between two validations."""

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
    """Take one step of training and return its loss; a loss that is no number changes nothing.

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
    state.iteration += 1
    if not torch.isfinite(loss):  # one such step would spoil every weight for good
        return math.nan
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 5.0)
    state.optimiser.step()
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


def run(
    state: State,
    schedule: Schedule,
    folder: Path,
    batches: Iterable[Sequence[Tensor]],
    loss_of: Callable[[Sequence[Tensor], torch.nn.Module], Tensor],
    scores_of: Callable[[torch.nn.Module], dict[str, float]],
    stored: dict[str, Any],
    minutes: float | None = None,
    device: str = "cpu",
) -> Path:
    """Train until the planned end, or for `minutes`; return the checkpoint's path.

    Parameters
    ----------
    state : State
    schedule : Schedule
    folder : Path
        Of the checkpoint and the curve.
    batches : iterable of sequence of Tensor
    loss_of : callable (batch, network) -> Tensor
    scores_of : callable (network) -> dict of str to float
        Validates the running mean.
    stored : dict
        Settings that the checkpoint keeps.
    minutes : float, optional
    device : str
    """
    checkpoint = folder / CHECKPOINT
    budget_s = math.inf if minutes is None else 60 * minutes
    started = before = saved = validated = time.monotonic()
    losses: list[float] = []
    for batch in batches:
        placed = [part.to(device) for part in batch]
        losses.append(step(state, schedule, partial(loss_of, placed)))
        now = time.monotonic()
        state.trained_s += now - before
        before = now
        done = now - started > budget_s or state.trained_s > 60 * schedule.minutes
        if done or now - validated > 60 * schedule.validate_minutes:
            record(folder, state, losses, scores_of(state.ema))
            losses, validated, before = [], time.monotonic(), time.monotonic()
        if done or now - saved > 60 * schedule.checkpoint_minutes:
            save(state, checkpoint, stored)
            saved = time.monotonic()
        if done:
            break
    draw_curve(folder)
    return checkpoint


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


def begin(state: State, checkpoint: Path, start_from: str, device: str) -> None:
    """Go on from a checkpoint; without one begin from other weights, if any are named."""
    if checkpoint.exists():
        restore(state, checkpoint, device)
    elif start_from:
        take_over(state.net, Path(start_from))
        state.ema.load_state_dict(state.net.state_dict())


def loader_of(stream: IterableDataset, workers: int) -> DataLoader:
    """Return a loader of a stream of whole batches, made by so many processes; 0: by this one."""
    return DataLoader(
        stream, batch_size=None, num_workers=workers, prefetch_factor=3 if workers else None
    )


def iterations_done(checkpoint: Path) -> int:
    """Return how many steps a checkpoint's training has taken; 0 without a checkpoint."""
    if not checkpoint.exists():
        return 0
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["iteration"])


@torch.no_grad()
def take_over(net: torch.nn.Module, checkpoint: Path) -> None:
    """Copy the weights of a checkpoint or a shipped model into `net`, where both have channels."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    stored = stored.get("ema", stored)  # a shipped model holds its weights alone
    for name, own in net.state_dict().items():
        if name in stored and stored[name].dim() == own.dim():
            both = tuple(
                slice(0, min(a, b)) for a, b in zip(own.shape, stored[name].shape, strict=True)
            )
            own[both] = stored[name][both].to(own.device)


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


def draw_curve(folder: Path) -> None:
    """Draw ``curve.csv`` as ``curve.png``."""
    import matplotlib.pyplot as plt

    with (folder / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure, axis = plt.subplots(figsize=(6, 4))
    for key in [k for k in rows[0] if k not in ("iteration", "minutes")]:
        axis.plot([float(r["minutes"]) for r in rows], [float(r[key]) for r in rows], label=key)
    axis.set_xlabel("minutes")
    axis.legend()
    figure.savefig(folder / "curve.png", dpi=80)
    plt.close(figure)
