"""Synthetic training images: a source of labels -> an image of any contrast and its bones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from bmepipe.models.network import normalise
from bmepipe.training.acquisition import acquire
from bmepipe.training.appearance import CONTRASTS, Tissues, add_cortex, dress, paint
from bmepipe.training.chance import chance, integer
from bmepipe.training.geometry import View, doubled, random_points
from bmepipe.training.sources import Source
from bmepipe.training.tissues import LAST_BONE, TISSUES, label_table


@dataclass(frozen=True, eq=False)
class Packed:
    """A source on a device: labels and three distances in the four bytes of one integer."""

    voxels: Tensor  # int32, flat
    shape: tuple[int, int, int]
    centres: tuple[tuple[float, ...], ...]  # of joint, discs or bones, in voxels; one is drawn
    spacing_mm: float
    complete: bool


@dataclass(frozen=True, eq=False)
class Sample:
    """An image, its bones and the part inside the field of view; all of one shape."""

    image: Tensor  # float32, normalised
    bones: Tensor  # uint8
    inside: Tensor  # bool


def pack(source: Source, device: str, centre: str = "") -> Packed:
    """Return the source as one tensor on `device`.

    Parameters
    ----------
    source : Source
    device : str
    centre : str
        Tissue in whose middle every field of view is centred; else see `_centres`.
    """
    layers = (source.labels, source.bone_depth, source.joint_distance, source.body_distance)
    voxels = torch.zeros(source.labels.shape, dtype=torch.int32)
    for byte, layer in enumerate(layers):
        voxels |= torch.from_numpy(layer.copy()).to(torch.int32) << (8 * byte)
    return Packed(
        voxels.flatten().to(device),
        tuple(source.labels.shape),
        _centres(source, centre),
        source.spacing_mm,
        source.complete,
    )


def _centres(source: Source, centre: str) -> tuple[tuple[float, ...], ...]:
    """Return where fields of view are centred.

    On the column of discs and on the bones if there are discs, else on the cartilage of the joint;
    in a whole pelvis also on the sacrum and on each hip joint.
    """
    labels = torch.from_numpy(source.labels)
    if centre and (only := labels == TISSUES[centre]).any():
        return (tuple(only.nonzero().float().mean(0).tolist()),)
    bones = (labels > 0) & (labels < TISSUES["other_bone"])
    discs, cartilage = (labels == TISSUES[name] for name in ("disc", "cartilage"))
    marks = [bones] if not cartilage.any() else [cartilage]
    if discs.any():
        marks = [discs, bones]
    hip = source.labels == TISSUES["hip_bone"]
    femur = source.labels == TISSUES["femur"]
    if hip.any() and (sacrum := labels == TISSUES["sacrum"]).any():
        marks.append(sacrum)
        near = ndimage.binary_dilation(hip, iterations=3) & femur
        parts, count = ndimage.label(ndimage.binary_dilation(near, iterations=3))
        sizes = ndimage.sum_labels(near, parts, range(1, count + 1))
        marks += [torch.from_numpy(parts == n + 1) for n in range(count) if sizes[n] > 500]
    return tuple(tuple(mark.nonzero().float().mean(0).tolist()) for mark in marks)


def look_up(packed: Packed, points_mm: Tensor, centre: tuple[float, ...]) -> Tissues:
    """Return tissues at points relative to a centre, shape (3, x, y, z): nearest voxel."""
    flat = torch.zeros(points_mm.shape[1:], dtype=torch.int64, device=points_mm.device)
    for axis, size in enumerate(packed.shape):
        index = points_mm[axis] / packed.spacing_mm + centre[axis]
        flat = flat * size + index.round().clamp(0, size - 1).long()
    voxels = packed.voxels[flat]
    labels, depth, joint, body = (((voxels >> (8 * n)) & 255).short() for n in range(4))
    return Tissues(labels, depth, joint, body)


@torch.no_grad()
def synthesise(
    packed: Packed,
    shape: tuple[int, int, int],
    rng: torch.Generator,
    device: str = "cpu",
    view: View | None = None,
    table: Tensor | None = None,
) -> Sample:
    """Return one random image of a joint; `synthesise_several` with one image."""
    return synthesise_several(packed, shape, rng, 1, device, view, table)[0]


@torch.no_grad()
def synthesise_several(
    packed: Packed,
    shape: tuple[int, int, int],
    rng: torch.Generator,
    count: int,
    device: str = "cpu",
    view: View | None = None,
    table: Tensor | None = None,
) -> list[Sample]:
    """Return random images of one position of a joint, each of another contrast and slicing.

    Parameters
    ----------
    packed : Packed
    shape : tuple of int
        Voxels of the network's grid: x to the right, y to the front, z up.
    rng : torch.Generator
        On the CPU; the same state gives the same samples.
    count : int
    view : View, optional
    table : Tensor, optional
        The label of each tissue number, as of `tissues.label_table`.
    """
    view = view or View()
    table = torch.tensor(label_table(())) if table is None else table
    points = random_points(shape, rng, device, view)
    centre = packed.centres[integer(rng, 0, len(packed.centres) - 1)]
    bones = table.to(device)[look_up(packed, points, centre).labels.long()]
    fine = doubled(points)
    tissues = look_up(packed, fine, centre)
    samples = []
    for _ in range(count):
        labels = dress(tissues, packed.complete, rng, device)
        labels = add_cortex(labels, tissues.bone_depth, fine[2], rng, device)
        marrow = (labels > 0) & (labels <= LAST_BONE)
        # A part of the samples keeps to physics; in the others any tissue has any grey.
        contrast = "free" if chance(rng, view.free) else CONTRASTS[integer(rng, 0, 2)]
        signal = paint(labels, marrow, contrast, rng, device)
        image, inside, lit = acquire(signal, rng, device, view)
        seen = torch.where(lit, bones, 0).to(torch.uint8)
        samples.append(Sample(normalise(image, inside, flatten=view.flatten), seen, inside))
    return samples
