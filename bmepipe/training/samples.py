"""An endless stream of synthetic batches, made in worker processes."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from bmepipe.errors import BadSettings
from bmepipe.training.chance import integer
from bmepipe.training.geometry import View
from bmepipe.training.sources import load_source
from bmepipe.training.synthesis import Packed, Sample, pack, synthesise
from bmepipe.training.tissues import label_table

Batch = tuple[Tensor, Tensor, Tensor]  # image (n, 1, x, y, z), bones and inside (n, x, y, z)


@dataclass(frozen=True)
class SourceGroup:
    """Files of shape sources, and how often one of them is drawn against other groups.

    A group that is not `labelled` shows what the network must leave alone: another site's bones, of
    which nothing is to be found. `shapes`, where given, replace those of the training; the other
    settings are those of `geometry.View`.
    """

    pattern: str
    weight: float = 1.0
    labelled: bool = True
    shapes: tuple[tuple[int, int, int], ...] = ()
    shift_mm: float = 14.0
    tilt_rad: float = 0.0
    bend_mm: float = 12.0
    planes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    coil: float = 0.0

    @property
    def view(self) -> View:
        """How widely the scans differ in where and how they lie."""
        return View(self.shift_mm, self.tilt_rad, self.bend_mm, self.planes, self.coil)


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
    targets : tuple of str
        What the network's labels are, as of `tissues.label_table`.
    """

    def __init__(
        self,
        groups: tuple[SourceGroup, ...],
        shapes: tuple[tuple[int, int, int], ...],
        batch: int,
        seed: int,
        start: int = 0,
        targets: tuple[str, ...] = (),
    ) -> None:
        self.targets = targets
        self.groups, self.shapes, self.batch = groups, shapes, batch
        self.seed, self.start = seed, start

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        worker = get_worker_info()
        torch.set_num_threads(1)  # the other core belongs to the training step
        rng = torch.Generator()
        rng.manual_seed(1_000_003 * self.seed + 101 * self.start + (worker.id if worker else 0))
        loaded = load_groups(self.groups, self.targets)
        waiting: Batch | None = None
        while True:
            group = draw(loaded, rng)
            shapes = group.shapes or self.shapes
            shape = shapes[integer(rng, 0, len(shapes) - 1)]
            batch = stack([sample(group, shape, rng) for _ in range(self.batch)])
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
    shapes: tuple[tuple[int, int, int], ...] = ()
    view: View = field(default_factory=View)
    table: Tensor | None = None


def load_groups(groups: tuple[SourceGroup, ...], targets: tuple[str, ...] = ()) -> list[Group]:
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
            table = torch.tensor(label_table(targets))
            loaded.append(
                Group(group.weight, group.labelled, packed, group.shapes, group.view, table)
            )
    if not loaded:
        raise BadSettings(
            "at least one shape source",
            "no file at " + ", ".join(group.pattern for group in groups),
            "run scripts/prepare_shapes.py",
        )
    return loaded


def draw(groups: list[Group], rng: torch.Generator) -> Group:
    """Return a random group, by their weights."""
    weights = torch.tensor([group.weight for group in groups])
    return groups[int(torch.multinomial(weights, 1, generator=rng))]


def sample(group: Group, shape: tuple[int, int, int], rng: torch.Generator) -> Sample:
    """Return a sample of any of a group's sources."""
    source = group.sources[integer(rng, 0, len(group.sources) - 1)]
    made = synthesise(source, shape, rng, view=group.view, table=group.table)
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
    groups: tuple[SourceGroup, ...],
    shape: tuple[int, int, int],
    count: int,
    targets: tuple[str, ...] = (),
) -> list[Batch]:
    """Return fixed samples that no training draws, of every group in turn: each a batch of one."""
    rng = torch.Generator()
    rng.manual_seed(987_654_321)
    loaded = load_groups(tuple(group for group in groups if group.labelled), targets)
    turns = [loaded[n % len(loaded)] for n in range(count)]
    return [stack([sample(g, (*g.shapes, shape)[0], rng)]) for g in turns]
