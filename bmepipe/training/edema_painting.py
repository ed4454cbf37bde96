"""Edema and look-alikes painted into patches, so that a few phantoms show many.

Ratios to yellow marrow follow the two-pool spin-echo table of docs/method.md, each widened to the
sides; shapes are ellipsoids with a noisy border. A lesion raises the truth, a look-alike lowers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bmepipe.models.edema_input import PIXEL_MM
from bmepipe.training.edema_patch import Floats, Patch, smooth_noise

SLICE_MM = 3.5  # of the phantoms, on average


@dataclass(frozen=True)
class Paint:
    """What a painted structure looks like: ranges of ratio to normal marrow, and of size.

    `radius_mm` of the smallest axis, `stretch` of the longest against it, `edge_mm` of the border,
    `noisy` how far noise moves the border against the radius.
    """

    t2fs: tuple[float, float]
    t1: tuple[float, float]
    radius_mm: tuple[float, float]
    stretch: tuple[float, float]
    edge_mm: tuple[float, float]
    noisy: float = 0.3
    is_edema: bool = False
    weight: float = 1.0


PAINTS: Mapping[str, Paint] = MappingProxyType(
    {
        "edema": Paint(
            (1.35, 5.0), (0.5, 1.0), (2.0, 12.0), (1.0, 3.0), (0.5, 2.0), is_edema=True, weight=4.0
        ),
        "small edema": Paint(
            (1.5, 4.0), (0.5, 1.0), (1.2, 3.0), (1.0, 2.5), (0.4, 1.0), is_edema=True, weight=2.0
        ),
        "vessel": Paint((1.8, 7.0), (0.3, 0.9), (0.5, 1.3), (6.0, 16.0), (0.3, 0.6), 0.0),
        "cyst": Paint((4.0, 12.0), (0.25, 0.5), (1.2, 4.0), (1.0, 1.3), (0.2, 0.4), 0.0),
        "haemangioma": Paint((1.5, 4.0), (1.05, 1.4), (2.0, 6.0), (1.0, 1.5), (0.4, 0.8)),
        "red marrow": Paint((0.9, 1.35), (0.6, 0.85), (2.5, 8.0), (1.0, 2.5), (0.8, 2.0)),
        "fat": Paint((0.7, 1.0), (1.05, 1.3), (2.5, 8.0), (1.0, 2.0), (0.5, 1.5)),
        "sclerosis": Paint((0.2, 0.7), (0.15, 0.5), (1.5, 5.0), (1.5, 3.0), (0.4, 1.0)),
        "streak": Paint((1.1, 1.7), (0.65, 0.95), (0.7, 1.4), (8.0, 14.0), (0.4, 0.8)),
        "growth plate": Paint((1.8, 5.0), (0.3, 0.6), (0.5, 1.2), (20.0, 30.0), (0.3, 0.6), 0.5),
    }
)


def paint(patch: Patch, rng: np.random.Generator) -> Patch:
    """Return the patch with up to three painted structures within its bones."""
    for _ in range(int(rng.integers(0, 4))):
        names = list(PAINTS)
        weights = np.array([PAINTS[name].weight for name in names])
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        patch = painted(patch, PAINTS[name], rng)
    return patch


def painted(patch: Patch, kind: Paint, rng: np.random.Generator) -> Patch:
    """Return the patch with one structure of a kind; as it is where there is no bone."""
    places = np.argwhere(patch.bones[len(patch.bones) // 2])
    if not len(places):
        return patch
    centre = places[int(rng.integers(len(places)))]
    amount = shape(centre, kind, patch.bones.shape, rng) * rng.uniform(0.75, 1.0)
    amount *= np.clip(1 + rng.uniform(0, 0.3) * smooth_noise(amount.shape[1:], 3, rng), 0.3, 1.3)
    # Within the marrow: cortex and what else is dark on T1 is not replaced.
    amount = np.clip(amount, 0, 1) * (patch.bones & (patch.t1 > -0.5))
    t2fs_ratio, t1_ratio = np.exp(rng.uniform(*np.log(kind.t2fs))), rng.uniform(*kind.t1)
    fs = np.exp(patch.t2fs)
    mixed = fs + amount * (np.maximum(t2fs_ratio, fs if kind.is_edema else 0) - fs)
    middle = amount[len(amount) // 2]
    edema = np.maximum(patch.edema, middle) if kind.is_edema else patch.edema * (1 - middle)
    return replace(
        patch,
        t2fs=np.log(np.maximum(mixed, 0.05)).astype(np.float32),
        t1=(patch.t1 + amount * (t1_ratio - 1 - patch.t1)).astype(np.float32),
        edema=edema.astype(np.float32),
    )


def shape(
    centre: NDArray[np.int64], kind: Paint, size: tuple[int, ...], rng: np.random.Generator
) -> Floats:
    """Return the share of each voxel of (slices, rows, columns) that a structure fills."""
    radius = np.exp(rng.uniform(*np.log(kind.radius_mm)))
    longest = radius * rng.uniform(*kind.stretch)
    # A sheet is long twice, a tube once; in between for the rest.
    second = longest if kind is PAINTS["growth plate"] else min(longest, radius * 1.3)
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    k, i, j = np.meshgrid(*[np.arange(n) for n in size], indexing="ij", sparse=True)
    points = np.stack(
        np.broadcast_arrays(
            (k - size[0] // 2 + rng.uniform(-0.5, 0.5)) * SLICE_MM,
            (i - centre[0]) * PIXEL_MM,
            (j - centre[1]) * PIXEL_MM,
        ),
        -1,
    )
    scaled = np.sqrt((((points @ axes) / [longest, second, radius]) ** 2).sum(-1))
    away_mm = (scaled - 1) * radius
    away_mm += kind.noisy * radius * smooth_noise(size[1:], max(2.0, radius / PIXEL_MM), rng)
    # A thick slice smears a border that crosses it: half a millimetre more of edge.
    edge_mm = rng.uniform(*kind.edge_mm) + 0.3
    return (1 / (1 + np.exp(np.clip(1.7 * away_mm / edge_mm, -30, 30)))).astype(np.float32)
