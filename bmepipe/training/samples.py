"""An endless stream of synthetic batches, made in worker processes."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from bmepipe.errors import BadSettings
from bmepipe.training.chance import integer
from bmepipe.training.sources import load_source
from bmepipe.training.synthesis import Packed, Sample, pack, synthesise

Batch = tuple[Tensor, Tensor, Tensor]  # image (n, 1, x, y, z), bones and inside (n, x, y, z)


@dataclass(frozen=True)
class SourceGroup:
    """Files of shape sources, and how often one of them is drawn against other groups.

    A group that is not `labelled` shows what the network must leave alone: another site's bones, of
    which nothing is to be found.
    """

    pattern: str
    weight: float = 1.0
    labelled: bool = True


class SampleStream(IterableDataset[Batch]):
    """Batches without end; every batch comes twice, the second time mirrored.

    Making a sample costs more than a step of training on it, and a mirrored knee is the other
    knee: the second use is nearly as good as a new sample.

    Parameters
    ----------
    groups : tuple of SourceGroup
    shapes : tuple of (int, int, int)
        One is drawn for each batch.
    batch, seed : int
    start : int
        Iterations already done, so that a resumed training sees new samples.
    """

    def __init__(
        self,
        groups: tuple[SourceGroup, ...],
        shapes: tuple[tuple[int, int, int], ...],
        batch: int,
        seed: int,
        start: int = 0,
    ) -> None:
        self.groups, self.shapes, self.batch = groups, shapes, batch
        self.seed, self.start = seed, start

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        worker = get_worker_info()
        torch.set_num_threads(1)  # the other core belongs to the training step
        rng = torch.Generator()
        rng.manual_seed(1_000_003 * self.seed + 101 * self.start + (worker.id if worker else 0))
        loaded = load_groups(self.groups)
        waiting: Batch | None = None
        while True:
            shape = self.shapes[integer(rng, 0, len(self.shapes) - 1)]
            batch = stack([sample(loaded, shape, rng) for _ in range(self.batch)])
            yield batch
            if waiting is not None:  # not at once after its twin
                yield mirrored(waiting)
            waiting = batch


@dataclass(frozen=True, eq=False)
class Group:
    """The sources of a group, loaded."""

    weight: float
    labelled: bool
    sources: tuple[Packed, ...]


def load_groups(groups: tuple[SourceGroup, ...]) -> list[Group]:
    """Load every source; a group without files is left out.

    Raises
    ------
    BadSettings
        If no group has a file.
    """
    loaded = []
    for group in groups:
        paths = sorted(glob.glob(group.pattern))
        if paths:
            packed = tuple(pack(load_source(Path(p)), "cpu") for p in paths)
            loaded.append(Group(group.weight, group.labelled, packed))
    if not loaded:
        raise BadSettings(
            "at least one shape source",
            "no file at " + ", ".join(group.pattern for group in groups),
            "run scripts/prepare_shapes.py",
        )
    return loaded


def sample(groups: list[Group], shape: tuple[int, int, int], rng: torch.Generator) -> Sample:
    """Return a sample of a random source: a group by its weight, then any of its files."""
    weights = torch.tensor([group.weight for group in groups])
    group = groups[int(torch.multinomial(weights, 1, generator=rng))]
    source = group.sources[integer(rng, 0, len(group.sources) - 1)]
    made = synthesise(source, shape, rng)
    return made if group.labelled else replace(made, bones=torch.zeros_like(made.bones))


def stack(samples: list[Sample]) -> Batch:
    """Return samples of one shape as a batch."""
    image = torch.stack([s.image for s in samples])[:, None]
    bones = torch.stack([s.bones for s in samples])
    return image, bones, torch.stack([s.inside for s in samples])


def mirrored(batch: Batch) -> Batch:
    """Return the batch with left and right exchanged."""
    image, bones, inside = batch
    return image.flip(2), bones.flip(1), inside.flip(1)


def validation_set(
    groups: tuple[SourceGroup, ...], shape: tuple[int, int, int], count: int
) -> list[Batch]:
    """Return fixed samples that no training draws: each a batch of one."""
    rng = torch.Generator()
    rng.manual_seed(987_654_321)
    loaded = load_groups(tuple(group for group in groups if group.labelled))
    return [stack([sample(loaded, shape, rng)]) for _ in range(count)]
