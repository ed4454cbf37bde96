"""Seeded random numbers and smooth random fields."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    """Return one number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(rng: torch.Generator, probability: float) -> bool:
    """Say yes with this probability."""
    return float(torch.rand((), generator=rng)) < probability


def integer(rng: torch.Generator, low: int, high: int) -> int:
    """Return a whole number from `low` up to and including `high`."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def normal(rng: torch.Generator, sd: float, device: str, count: int | None = None) -> Tensor:
    """Return one number, or `count` of them, with mean 0 and this standard deviation."""
    size = () if count is None else (count,)
    return (torch.randn(size, generator=rng) * sd).to(device)


def noise(shape: tuple[int, ...], rng: torch.Generator, device: str) -> Tensor:
    """Return white noise of unit spread.

    Large fields are drawn on the device itself, which is much faster; the same state of `rng` gives
    the same noise there, but not the same on another kind of device.
    """
    if device == "cpu":
        return torch.randn(shape, generator=rng)
    own = torch.Generator(device)
    own.manual_seed(integer(rng, 0, 2**31 - 1))
    return torch.randn(shape, generator=own, device=device)


def smooth_field(
    shape: tuple[int, int, int],
    knots: int,
    rng: torch.Generator,
    device: str,
    channels: int = 1,
) -> Tensor:
    """Return smooth noise of about unit spread, shape (channels, *shape).

    Parameters
    ----------
    knots : int
        Random values along each axis; fewer make a smoother field.
    """
    values = torch.randn((1, channels, knots, knots, knots), generator=rng).to(device)
    # Interpolation between knots averages: the factor brings the spread back to about one.
    return 1.4 * functional.interpolate(values, shape, mode="trilinear", align_corners=True)[0]
