"""What is painted where: tissues laid over one another, each with an opacity.

Painting with opacities between 0 and 1 along an edge gives the partial volume of a pixel without
finer sampling in the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bmepipe.phantom.shapes import Floats

Fields = dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Layer:
    """A tissue laid over what is there already; `opacity` of 0 to 1 per point."""

    tissue: str
    opacity: Floats


def cover(distance_mm: Floats, step_mm: float) -> Floats:
    """Return the share of a pixel of `step_mm` that lies inside a surface.

    >>> cover(np.float32([-1.0, 0.0, 1.0]), 0.5).tolist()
    [1.0, 0.5, 0.0]
    """
    share = distance_mm * np.float32(-1 / step_mm)
    share += np.float32(0.5)
    return np.clip(share, 0, 1, out=share)


def film(distance_mm: Floats, half_width_mm: float, step_mm: float) -> Floats:
    """Return the share of a pixel that lies in a film of `2 * half_width_mm` on a surface."""
    outer = cover(distance_mm - np.float32(half_width_mm), step_mm)
    return outer - cover(distance_mm + np.float32(half_width_mm), step_mm)


def sheet(value: Floats, half_width: float) -> Floats:
    """Return an opacity that is 1 where `value` is 0 and falls to 0 at `half_width`.

    The zero set of a random field is a tangle of thin walls: the septa of fat.
    """
    return np.clip(1 - np.abs(value) / np.float32(half_width), 0, 1)
