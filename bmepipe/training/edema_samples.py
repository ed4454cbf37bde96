"""Patches of cached phantoms for the edema network, made hard: gain, coil, noise, wrong outlines.

Phantoms are cleaner than patients, and at run time the bones come from a network or a coarse
drawing. What is varied here is what must not matter; what is left is what tells edema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from bmepipe.errors import BadSettings
from bmepipe.models.edema_input import PIXEL_MM, in_plane_depth_mm
from bmepipe.models.edema_network import SLICES, stack_channels
from bmepipe.training.edema_painting import paint
from bmepipe.training.edema_patch import Floats, Patch, smooth_noise
from bmepipe.training.edema_phantoms import Example, load_example

PATCH = 64
PAINTED = 0.6  # share of the patches into which more is painted than the phantom holds
USES = 4  # of a batch
RIM_MM = 1.5  # so far outside the outline the network is still taught, at little weight


@dataclass(frozen=True, eq=False)
class Loaded:
    """An example in memory at half precision, and places of interest in it."""

    t2fs: NDArray[np.float16]
    t2fs_alone: NDArray[np.float16]
    t1: NDArray[np.float16]
    bones: NDArray[np.bool_]
    edema: NDArray[np.float16]
    failed: NDArray[np.bool_]
    code: float
    places: tuple[NDArray[np.int64], ...]


def load_examples(paths: Sequence[Path], seed: int = 0) -> list[Loaded]:
    """Load cached examples.

    Raises
    ------
    BadSettings
        If there are none.
    """
    if not paths:
        raise BadSettings(
            "cached phantoms", "no file of the pattern", "run scripts/prepare_edema.py"
        )
    rng = np.random.default_rng(seed)
    return [_loaded(load_example(path), rng) for path in paths]


def _loaded(example: Example, rng: np.random.Generator) -> Loaded:
    scene = example.scene
    assert scene.t1 is not None
    kinds = (example.edema > 0.4, example.look_alikes > 0, scene.bones)
    return Loaded(
        scene.t2fs.astype(np.float16),
        example.t2fs_alone.astype(np.float16),
        scene.t1.astype(np.float16),
        scene.bones,
        example.edema.astype(np.float16),
        example.failed,
        scene.code,
        tuple(_some(np.argwhere(kind), rng) for kind in kinds),
    )


def _some(index: NDArray[np.int64], rng: np.random.Generator, most: int = 4000) -> NDArray:
    return index if len(index) <= most else index[rng.choice(len(index), most, replace=False)]


def batches(
    examples: Sequence[Loaded], batch: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield input (n, channels, rows, columns), edema and weight (n, rows, columns) for ever.

    Every batch comes `USES` times, turned by quarters or mirrored: making one costs as much as two
    steps that learn from it.
    """
    waiting: list[tuple[Tensor, Tensor, Tensor]] = []
    while True:
        drawn = [sample(examples[int(rng.integers(len(examples)))], rng) for _ in range(batch)]
        image, edema, weight = (torch.stack(part) for part in zip(*drawn, strict=True))
        yield image, edema, weight
        for turns in range(1, USES):
            image, edema, weight = (part.rot90(1, (-2, -1)) for part in (image, edema, weight))
            if turns == USES // 2:
                image, edema, weight = (part.flip(-1) for part in (image, edema, weight))
            waiting.append((image, edema, weight))
        # Not at once after its twins.
        for _ in range(USES - 1 if len(waiting) >= 4 * USES else 0):
            yield waiting.pop(int(rng.integers(len(waiting))))


class PatchStream(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """`batches` for the workers of a data loader, each with its own random numbers.

    Parameters
    ----------
    examples : sequence of Loaded
    batch : int
    seed : sequence of int
    """

    def __init__(self, examples: Sequence[Loaded], batch: int, seed: Sequence[int]) -> None:
        self.examples, self.batch, self.seed = examples, batch, tuple(seed)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield batches for ever."""
        worker = get_worker_info()
        if worker:
            torch.set_num_threads(1)
        number = [worker.id] if worker else []
        return batches(self.examples, self.batch, np.random.default_rng([*self.seed, *number]))


def sample(example: Loaded, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return one augmented patch: the network's input, the share of edema and the loss's weight."""
    with_t1 = rng.random() > 0.3
    patch = cut_patch(example, with_t1, rng)
    if rng.random() < PAINTED:
        patch = paint(patch, rng)
    bones = wrong_outline(patch.bones, rng)
    depth = np.stack([in_plane_depth_mm(part[None])[0] for part in bones])
    t2fs, t1 = vary_signals(patch, with_t1, rng)
    code = example.code if rng.random() > 0.1 else float(rng.integers(-1, 2))
    image = stack_channels(t2fs, t1 if with_t1 else None, depth, code)
    middle = depth[SLICES // 2]
    taught = np.where(middle > 0, 1.0, np.where(middle > -RIM_MM, 0.1, 0.0)).astype(np.float32)
    return image, torch.from_numpy(patch.edema), torch.from_numpy(taught * patch.weight)


def cut_patch(example: Loaded, with_t1: bool, rng: np.random.Generator) -> Patch:
    """Return three slices around a place of interest, turned, mirrored and scaled in plane."""
    kind = int(rng.choice(3, p=(0.45, 0.25, 0.3)))
    places = example.places[kind] if len(example.places[kind]) else example.places[2]
    k, row, column = places[int(rng.integers(len(places)))]
    numbers = [k + n - SLICES // 2 for n in range(SLICES)]
    there = np.array([0 <= n < len(example.bones) for n in numbers])
    numbers = np.clip(numbers, 0, len(example.bones) - 1)
    flat = _affine((row, column), example.bones.shape[1:], rng)
    fs = (example.t2fs if with_t1 else example.t2fs_alone)[numbers]
    signals = np.concatenate([fs, example.t1[numbers], example.edema[k][None]])
    masks = np.concatenate([example.bones[numbers], example.failed[k][None]])
    smooth = _sampled(signals.astype(np.float32), flat, "bilinear")
    hard = _sampled(masks.astype(np.float32), flat, "nearest") > 0.5
    t2fs, t1, edema = smooth[:SLICES], smooth[SLICES:-1], smooth[-1]
    gone = ~there[:, None, None]
    return Patch(np.where(gone, 0, t2fs), np.where(gone, 0, t1), hard[:-1] & ~gone, edema, hard[-1])


def _affine(centre: tuple[int, int], shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Return a sampling grid of (1, PATCH, PATCH, 2) around a place that is jittered."""
    angle, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.25, 0.25))
    mirror = rng.choice([-1.0, 1.0])
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= mirror
    steps = np.arange(PATCH) - (PATCH - 1) / 2
    points = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1) @ turn.T
    points += np.array(centre) + rng.normal(0, 16, 2) / PIXEL_MM
    size = np.maximum(np.array(shape) - 1, 1)
    unit = (2 * points / size - 1)[..., ::-1].astype(np.float32)  # grid_sample wants x first
    return torch.from_numpy(np.ascontiguousarray(unit))[None]


def _sampled(stack: Floats, flat: Tensor, mode: str) -> Floats:
    image = torch.from_numpy(np.ascontiguousarray(stack))[None]
    return functional.grid_sample(image, flat, mode=mode, align_corners=True)[0].numpy()


def wrong_outline(bones: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the bones as a network or a quick hand outlines them.

    Kept as they are, or with their outline moved by about a millimetre, here more and there less;
    or drawn as one region that takes in joint spaces and notches.

    Parameters
    ----------
    bones : ndarray of bool, shape (slices, rows, columns)
    """
    kind = rng.choice(["true", "moved", "leaking", "region"], p=(0.25, 0.4, 0.15, 0.2))
    if kind == "true":
        return bones
    depth = in_plane_depth_mm(bones)
    if kind == "region":
        reach = rng.uniform(2.0, 5.0)
        depth = in_plane_depth_mm(depth > -reach) - reach
    spread = 2.0 if kind == "leaking" else 0.7
    field = spread * smooth_noise(bones.shape[1:], rng.uniform(5, 14) / PIXEL_MM, rng)
    moved = depth + np.float32(rng.normal(0, 0.8)) + field > 0
    shift = np.round(rng.normal(0, 0.6, 2) / PIXEL_MM).astype(int)
    return np.roll(moved, tuple(shift), axis=(1, 2))


def vary_signals(patch: Patch, with_t1: bool, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return both signals with other gain, shading, texture, lesion contrast, blur and noise."""
    shape = patch.edema.shape
    shading = rng.uniform(0, 0.12) * smooth_noise(shape, 40, rng)
    texture = rng.uniform(0, 0.20) * smooth_noise(shape, rng.uniform(1.0, 8), rng)
    # Patients' marrow is patchier than phantoms': more fat is brighter on T1 and darker suppressed.
    patches = rng.uniform(0, 0.20) * smooth_noise(shape, rng.uniform(1.0, 8), rng)
    texture = texture - np.float32(rng.uniform(-0.3, 1.0)) * patches
    fs = patch.t2fs * (1 + np.float32(rng.uniform(-0.35, 0.3)) * patch.edema)
    fs = fs * np.float32(rng.uniform(0.85, 1.15)) + np.float32(rng.normal(0, 0.08))
    ratio = np.exp(fs + shading + texture)
    # Edema is often as bright on T1 as the patchy marrow around it (ratios of 0.5 to 1.04).
    fading = np.float32(1.0 if rng.random() < 0.25 else rng.uniform(0, 0.9))
    t1 = (1 + patch.t1 * (1 - fading * patch.edema)) * np.exp(
        np.float32(rng.normal(0, 0.05)) - 0.5 * shading + patches
    )
    if rng.random() < 0.4:
        sigma = (0, *[rng.uniform(0.2, 0.7)] * 2)
        ratio, t1 = (ndimage.gaussian_filter(part, sigma) for part in (ratio, t1))
    noise = rng.standard_normal((3, *ratio.shape)).astype(np.float32)
    sd = rng.uniform(0, 0.15)
    ratio = np.hypot(ratio + sd * noise[0], sd * noise[1])
    t1 = t1 + rng.uniform(0, 0.05) * noise[2]
    if rng.random() < 0.4:
        t1 = np.roll(t1, tuple(rng.integers(-1, 2, 2)), axis=(1, 2))
    fs = np.log(np.clip(ratio, np.exp(-2.0), np.exp(3.0)))
    return fs.astype(np.float32), (t1 - 1).astype(np.float32)
