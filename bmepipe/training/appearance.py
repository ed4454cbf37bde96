"""Random tissues and greys: from a warped label map to signal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from bmepipe.training.chance import chance, integer, noise, normal, smooth_field, uniform
from bmepipe.training.geometry import doubled
from bmepipe.training.tissues import (
    GREYS,
    LAST_BONE,
    LIKE,
    MUSCLES,
    SHAFTS,
    SOFT,
    TISSUE_COUNT,
    TISSUES,
)

CONTRASTS = ("t1", "fat_suppressed", "plain_t2", "free")


@dataclass(frozen=True, eq=False)
class Tissues:
    """Tissue numbers and distances in 0.1 mm at the fine voxels, each of one shape, int16."""

    labels: Tensor
    bone_depth: Tensor
    joint_distance: Tensor
    body_distance: Tensor


def dress(tissues: Tissues, complete: bool, rng: torch.Generator, device: str) -> Tensor:
    """Return the labels with what anatomy leaves open filled at random.

    An outline with subcutaneous fat and skin where the source has none, muscle bellies in
    unlabelled space, joint fluid, and now and then a tissue that is missing.
    """
    labels = tissues.labels
    coarse = _half(labels.shape)
    if not complete:
        labels = _add_outline(labels, tissues.body_distance, rng, device)
        if chance(rng, 0.6):
            bellies = doubled(smooth_field(coarse, integer(rng, 4, 9), rng, device))[0]
            where = (labels == TISSUES["fat"]) & (tissues.body_distance == 0)
            muscle = TISSUES[MUSCLES[integer(rng, 0, 3)]]
            labels = torch.where(where & (bellies > uniform(rng, 0.0, 1.2)), muscle, labels)
    if chance(rng, 0.6):
        reach = doubled(smooth_field(coarse, 6, rng, device))[0] * 30 + uniform(rng, -20, 50)
        soft = (labels == TISSUES["fat"]) | (labels == TISSUES["fat_pad"])
        labels = torch.where(soft & (tissues.joint_distance < reach), TISSUES["fluid"], labels)
    for name in ("cartilage", "meniscus", "fat_pad", "artery", "vein", "tendon"):
        if chance(rng, 0.06):
            other = TISSUES[("fat", "fluid", "muscle_a")[integer(rng, 0, 2)]]
            labels = torch.where(labels == TISSUES[name], other, labels)
    return labels


def _add_outline(
    labels: Tensor, body_distance: Tensor, rng: torch.Generator, device: str
) -> Tensor:
    field = doubled(smooth_field(_half(labels.shape), 4, rng, device))[0]
    limit = uniform(rng, 15, 160) * torch.exp(0.3 * field)  # of the fat ring, in 0.1 mm
    skin = uniform(rng, 8, 20)
    empty = labels == TISSUES["air"]
    labels = torch.where(empty & (body_distance < limit), TISSUES["fat"], labels)
    rim = empty & (body_distance >= limit) & (body_distance < limit + skin)
    return torch.where(rim, TISSUES["skin"], labels)


def add_cortex(
    labels: Tensor, bone_depth: Tensor, from_joint_mm: Tensor, rng: torch.Generator, device: str
) -> Tensor:
    """Return the labels with a dark shell in the bones, thicker along the shafts.

    Parameters
    ----------
    from_joint_mm : Tensor, same shape
        Height above or below the joint.
    """
    if chance(rng, 0.08):
        return labels
    field = doubled(smooth_field(_half(labels.shape), 7, rng, device))[0]
    thickness = uniform(rng, 4, 16) * torch.exp(0.35 * field)
    shaft = ((from_joint_mm.abs() - 30) / 30).clamp(0, 1.2)
    shaft = shaft * torch.isin(labels, torch.tensor([TISSUES[name] for name in SHAFTS]).to(labels))
    thickness = thickness * (1 + uniform(rng, 0, 2.5) * shaft)
    bone = (labels > 0) & (labels <= LAST_BONE)
    return torch.where(bone & (bone_depth < thickness), TISSUES["cortex"], labels)


def random_greys(contrast: str, rng: torch.Generator) -> dict[str, float]:
    """Return a signal for every kind of tissue of `GREYS`; fat and marrow are about 1.

    In the free contrast any tissue may have any grey, but fat mostly still shares the marrow's.
    """
    if contrast == "free":
        greys = {name: uniform(rng, 0, 1) for name in GREYS["t1"]}
        if chance(rng, 0.5):
            greys["fat"] = greys["marrow"] + uniform(rng, -0.05, 0.05)
        if chance(rng, 0.7):
            greys["cortex"] = uniform(rng, 0, 0.3) * greys["marrow"]
        return greys
    greys = {name: uniform(rng, *limits) for name, limits in GREYS[contrast].items()}
    if chance(rng, 0.55):
        greys["fat"] = greys["marrow"] * uniform(rng, 0.92, 1.12)
    elif chance(rng, 0.7):  # red marrow, or fat that is suppressed better than marrow's water
        if contrast == "fat_suppressed":
            greys["fat"] = greys["marrow"] * uniform(rng, 0.05, 1.0)
        else:
            greys["marrow"] = greys["fat"] * uniform(rng, 0.4, 0.95)
    return greys


def grey_table(greys: dict[str, float], rng: torch.Generator, device: str) -> Tensor:
    """Return the signal of each tissue number, shape (TISSUE_COUNT,)."""
    table = torch.zeros(TISSUE_COUNT)
    spread = uniform(rng, 0.0, 0.06)
    table[1 : LAST_BONE + 1] = greys["marrow"] * (1 + spread * torch.randn(15, generator=rng))
    for name, number in TISSUES.items():
        if number > LAST_BONE:
            kind = "muscle" if name in MUSCLES else name
            kind = LIKE.get(name, kind)
            kind = "organ" if name.startswith("organ") else kind
            table[number] = greys[kind] * (1 + 0.04 * float(torch.randn((), generator=rng)))
    return table.clamp(min=0).to(device)


def paint(
    labels: Tensor, bones: Tensor, contrast: str, rng: torch.Generator, device: str
) -> Tensor:
    """Return the signal of the tissues, float32, same shape as `labels`.

    Parameters
    ----------
    labels : Tensor
        Tissue numbers with cortex.
    bones : Tensor of bool
        Marrow, where red patches, edema and vessels may lie.
    """
    greys = random_greys(contrast, rng)
    signal = grey_table(greys, rng, device)[labels.long()]
    coarse = _half(labels.shape)
    marrow = _marrow_changes(coarse, greys["marrow"], contrast, rng, device)
    if chance(rng, 0.35):
        marrow = banded(marrow, labels[::2, ::2, ::2], greys["marrow"], contrast, rng, device)
    if chance(rng, 0.15):
        marrow = flooded(marrow, greys["marrow"], contrast, rng, device)
    signal = torch.where(bones, signal + doubled(marrow)[0], signal)
    if chance(rng, 0.5):  # discs age one by one
        age = torch.exp(uniform(rng, 0.0, 0.6) * smooth_field(coarse, 5, rng, device))
        signal = torch.where(labels == TISSUES["disc"], signal * doubled(age)[0], signal)
    if chance(rng, 0.35):
        signal = cluttered(signal, labels, greys["marrow"], contrast, rng, device)
    grain = _grain(coarse, rng, device)
    strength = torch.full((TISSUE_COUNT,), uniform(rng, 0.0, 0.12))
    for name in MUSCLES:
        strength[TISSUES[name]] = uniform(rng, 0.02, 0.25)
    signal = signal * (1 + strength.to(device)[labels.long()] * doubled(grain)[0]).clamp(0.1, 3)
    if contrast == "fat_suppressed" and chance(rng, 0.25):
        fatty = bones | (labels == TISSUES["fat"]) | (labels == TISSUES["fat_pad"])
        failure = smooth_field(coarse, 3, rng, device) * 2 - uniform(rng, 0.5, 2.0)
        signal = torch.where(fatty, signal * (1 + doubled(failure)[0].clamp(0, 5)), signal)
    return signal


def _grain(shape: tuple[int, int, int], rng: torch.Generator, device: str) -> Tensor:
    fine = noise((1, *shape), rng, device)
    fine = torch.nn.functional.avg_pool3d(fine, 3, 1, 1) * 4
    return 0.7 * fine + 0.7 * smooth_field(shape, 14, rng, device)


def _marrow_changes(
    shape: tuple[int, int, int], marrow: float, contrast: str, rng: torch.Generator, device: str
) -> Tensor:
    """Return what red marrow, edema, cysts and vessels add to the marrow, shape (1, *shape)."""
    ranges = {
        "t1": ((0.5, 0.95), (0.25, 0.85)), "fat_suppressed": ((0.9, 1.9), (1.3, 6.0)),
        "plain_t2": ((0.6, 1.0), (0.7, 1.6)), "free": ((0.5, 1.6), (0.0, 3.0)),
    }  # fmt: skip
    red, edema = (marrow * uniform(rng, *limits) for limits in ranges[contrast])
    change = torch.zeros((1, *shape), device=device)
    if chance(rng, 0.6):
        patches = smooth_field(shape, integer(rng, 4, 10), rng, device)
        change = (red - marrow) * torch.sigmoid(4 * (patches - uniform(rng, -0.8, 1.2)))
    if chance(rng, 0.6):
        spots = smooth_field(shape, integer(rng, 5, 9), rng, device)
        blend = torch.sigmoid(uniform(rng, 3, 9) * (spots - uniform(rng, 0.6, 2.0)))
        change = change * (1 - blend) + (edema - marrow) * blend
    if chance(rng, 0.4):
        dots = smooth_field(shape, 24, rng, device)
        blend = (dots > uniform(rng, 2.0, 2.8)).float()
        change = change * (1 - blend) + (edema * uniform(rng, 0.7, 2) - marrow) * blend
    if chance(rng, 0.3):  # signal that drifts from bone to bone, as across a growth plate
        change = change + marrow * float(normal(rng, 0.15, "cpu")) * smooth_field(
            shape, 3, rng, device
        )
    return change.clamp(min=-marrow)


def banded(
    change: Tensor,
    labels: Tensor,
    marrow: float,
    contrast: str,
    rng: torch.Generator,
    device: str,
) -> Tensor:
    """Return marrow changes with bands of disease along discs and cartilage, shape as `change`.

    Edema, sclerosis or fat on both sides of a joint, as of a narrow disc (Modic) or an inflamed
    sacroiliac joint; the bone's border is hardest to find there and matters most.
    """
    ranges = {
        "t1": ((0.3, 0.85), (0.1, 0.5), (1.0, 1.3)),
        "fat_suppressed": ((1.3, 6.0), (0.2, 0.8), (0.5, 0.95)),
        "plain_t2": ((0.7, 1.7), (0.1, 0.5), (1.0, 1.4)), "free": ((0.0, 3.0),) * 3,
    }  # fmt: skip
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    kind = integer(rng, 0, 2)
    value = marrow * uniform(rng, *ranges[contrast][kind])
    joint = (labels == TISSUES["disc"]) | (labels == TISSUES["cartilage"])
    reach = integer(rng, 1, 7)  # voxels of the network's grid
    near = functional.max_pool3d(joint[None].float(), 2 * reach + 1, 1, reach)
    patches = smooth_field(shape, integer(rng, 5, 9), rng, device)
    blend = near * torch.sigmoid(5 * (patches - uniform(rng, -0.3, 1.2)))
    blend = functional.avg_pool3d(blend, 3, 1, 1)
    return change * (1 - blend) + (value - marrow) * blend


def flooded(
    change: Tensor, marrow: float, contrast: str, rng: torch.Generator, device: str
) -> Tensor:
    """Return marrow changes with a whole region's marrow replaced, shape as `change`.

    A femoral head in a transient syndrome, a navicular or an acromion are edematous as a whole: a
    network that knows lesions in bones only does not see a bone there.
    """
    values = {
        "t1": (0.25, 0.9), "fat_suppressed": (1.3, 6.0), "plain_t2": (0.7, 1.7), "free": (0.0, 3.0)
    }  # fmt: skip
    shape = (change.shape[1], change.shape[2], change.shape[3])
    value = marrow * uniform(rng, *values[contrast])
    region = smooth_field(shape, integer(rng, 3, 5), rng, device)
    blend = torch.sigmoid(uniform(rng, 4, 15) * (region - uniform(rng, -0.5, 1.0)))
    return change * (1 - blend) + (value - marrow) * blend


def cluttered(
    signal: Tensor,
    labels: Tensor,
    marrow: float,
    contrast: str,
    rng: torch.Generator,
    device: str,
) -> Tensor:
    """Return the signal with patches of any grey in fat, muscle and organs.

    Bowel and its contents, fibroids, vessels, haematoma, scars: no source holds them, and a network
    that has not seen them takes some for bone.
    """
    coarse = _half(labels.shape)
    soft = torch.zeros(TISSUE_COUNT, dtype=torch.bool)
    soft[[TISSUES[name] for name in SOFT]] = True
    patches = doubled(smooth_field(coarse, integer(rng, 6, 16), rng, device))[0]
    where = soft.to(device)[labels.long()] & (patches > uniform(rng, 0.8, 1.8))
    brightest = 5.0 if contrast == "fat_suppressed" else 1.5
    greys = smooth_field(coarse, integer(rng, 3, 8), rng, device)
    grey = marrow * uniform(rng, 0.0, brightest) * torch.exp(0.3 * doubled(greys)[0])
    return torch.where(where, grey, signal)


def _half(shape: torch.Size) -> tuple[int, int, int]:
    x, y, z = (n // 2 for n in shape)
    return (x, y, z)
