"""An endless stream of synthetic batches, made in worker processes."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from bmepipe.errors import BadSettings
from bmepipe.training.chance import integer, noise, normal, uniform
from bmepipe.training.geometry import View
from bmepipe.training.sources import load_source
from bmepipe.training.synthesis import Packed, Sample, pack, synthesise_several
from bmepipe.training.tissues import label_table

USES = 6  # of every batch
WAITING = 24  # batches that are kept to come again
PAINTINGS = 2  # of one position: finding the tissues costs as much as one image of them
Batch = tuple[Tensor, Tensor, Tensor]  # image (n, 1, x, y, z), bones and inside (n, x, y, z)


@dataclass(frozen=True)
class SourceGroup:
    """Files of shape sources, and how often one of them is drawn against other groups.

    A group that is not `labelled` shows what the network must leave alone: another site's bones, of
    which nothing is to be found. `shapes`, where given, replace those of the training; `centre` is
    a tissue in whose middle the fields of view lie; the others are those of `geometry.View`.
    """

    pattern: str
    weight: float = 1.0
    labelled: bool = True
    shapes: tuple[tuple[int, int, int], ...] = ()
    centre: str = ""
    shift_mm: float = 14.0
    tilt_rad: float = 0.0
    tilt_mean_rad: float = 0.0
    bend_mm: float = 12.0
    planes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    coil: float = 0.0
    free: float = 0.4
    turn_rad: float = 0.17
    side_bend_deg: float = 0.0
    warp_mm: float = 5.0

    @property
    def view(self) -> View:
        """How widely the scans differ in where and how they lie."""
        names = [field.name for field in fields(View) if hasattr(self, field.name)]
        return View(**{name: getattr(self, name) for name in names})


class SampleStream(IterableDataset[Batch]):
    """Batches without end; every batch comes `USES` times, every second time mirrored.

    Making a sample costs about as much as a step of training on it, and a mirrored knee is the
    other knee: with another brightness and noise it is nearly as good as a new sample.

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
    spacing_mm : float
        Of the network's grid.
    flatten : bool
        Of `models.network.normalise`.
    device : str
        Where samples are made. On an accelerator that is faster than a step of training, so that
        a batch comes only twice there: as it is, and mirrored.
    """

    def __init__(
        self,
        groups: tuple[SourceGroup, ...],
        shapes: tuple[tuple[int, int, int], ...],
        batch: int,
        seed: int,
        start: int = 0,
        targets: tuple[str, ...] = (),
        spacing_mm: float = 2.0,
        flatten: bool = False,
        device: str = "cpu",
    ) -> None:
        self.targets, self.spacing_mm, self.flatten = targets, spacing_mm, flatten
        self.device, self.uses = device, USES if device == "cpu" else 2
        self.groups, self.shapes, self.batch = groups, shapes, batch
        self.seed, self.start = seed, start

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        worker = get_worker_info()
        torch.set_num_threads(1)  # the other core belongs to the training step
        rng = torch.Generator()
        rng.manual_seed(1_000_003 * self.seed + 101 * self.start + (worker.id if worker else 0))
        loaded = load_groups(self.groups, self.targets, self.spacing_mm, self.flatten, self.device)
        waiting: list[tuple[Batch, int]] = []  # batches and how often each is to come again
        while True:
            group = draw(loaded, rng)
            shapes = group.shapes or self.shapes
            shape = shapes[integer(rng, 0, len(shapes) - 1)]
            made = samples(group, shape, rng, max(PAINTINGS, self.batch), self.device)
            for first in range(0, len(made), self.batch):
                batch = stack(made[first : first + self.batch])
                yield batch
                waiting.append((mirrored(batch), self.uses - 1))
            again_too = (self.uses - 1) * (len(made) // self.batch) * (len(waiting) >= WAITING)
            for _ in range(again_too):
                again, left = waiting.pop(integer(rng, 0, len(waiting) - 1))
                yield altered(again, rng)
                if left > 1:
                    waiting.append((mirrored(again), left - 1))


@dataclass(frozen=True, eq=False)
class Group:
    """The sources of a group, loaded."""

    weight: float
    labelled: bool
    sources: tuple[Packed, ...]
    shapes: tuple[tuple[int, int, int], ...] = ()
    view: View = field(default_factory=View)
    table: Tensor | None = None


def load_groups(
    groups: tuple[SourceGroup, ...],
    targets: tuple[str, ...] = (),
    spacing_mm: float = 2.0,
    flatten: bool = False,
    device: str = "cpu",
) -> list[Group]:
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
            packed = tuple(pack(load_source(Path(p)), device, group.centre) for p in paths)
            table = torch.tensor(label_table(targets))
            view = replace(group.view, spacing_mm=spacing_mm, flatten=flatten)
            loaded.append(Group(group.weight, group.labelled, packed, group.shapes, view, table))
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


def samples(
    group: Group,
    shape: tuple[int, int, int],
    rng: torch.Generator,
    count: int,
    device: str = "cpu",
) -> list[Sample]:
    """Return samples of any one of a group's sources, all in one position."""
    source = group.sources[integer(rng, 0, len(group.sources) - 1)]
    made = synthesise_several(source, shape, rng, count, device, view=group.view, table=group.table)
    if group.labelled:
        return made
    return [replace(one, bones=torch.zeros_like(one.bones)) for one in made]


def altered(batch: Batch, rng: torch.Generator) -> Batch:
    """Return the batch with another brightness curve and more noise."""
    image, bones, inside = batch
    curve = float(torch.exp(normal(rng, 0.2, "cpu")))
    grain = uniform(rng, 0.0, 0.05) * noise(tuple(image.shape), rng, image.device.type)
    return (image.clamp(min=0) ** curve + grain).clamp(0, 2) * inside[:, None], bones, inside


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
    spacing_mm: float = 2.0,
    flatten: bool = False,
) -> list[Batch]:
    """Return fixed samples that no training draws, of every group in turn: each a batch of one."""
    if not count:
        return []
    rng = torch.Generator()
    rng.manual_seed(987_654_321)
    labelled = tuple(group for group in groups if group.labelled)
    loaded = load_groups(labelled, targets, spacing_mm, flatten)
    turns = [loaded[n % len(loaded)] for n in range(count)]
    return [stack(samples(g, (*g.shapes, shape)[0], rng, 1)) for g in turns]
