"""Shape sources: a label map at about 1 mm with the distances that synthesis needs, as .npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from bmepipe.training.tissues import LAST_BONE, ONE_BONE, TISSUES

_STEPS_PER_MM = 10.0  # distances are kept in tenths of a millimetre in one byte


@dataclass(frozen=True, eq=False)
class Source:
    """One joint's tissues.

    Parameters
    ----------
    labels : ndarray of uint8, shape (x, y, z)
        Tissue numbers; x to the right, y to the front, z up.
    bone_depth : ndarray of uint8, same shape
        Depth inside a bone below its own surface, in 0.1 mm; 0 outside.
    joint_distance : ndarray of uint8, same shape
        Distance to cartilage, in 0.1 mm.
    body_distance : ndarray of uint8, same shape
        Distance outside the closed hull of the labelled tissue, in 0.1 mm.
    spacing_mm : float
    complete : bool
        True if the labels already hold skin, fat and air (a phantom's anatomy), so that no outline
        is made up around them.
    """

    labels: NDArray[np.uint8]
    bone_depth: NDArray[np.uint8]
    joint_distance: NDArray[np.uint8]
    body_distance: NDArray[np.uint8]
    spacing_mm: float
    complete: bool = False


def make_source(
    labels: NDArray[np.uint8],
    spacing_mm: float,
    *,
    complete: bool = False,
    pad_mm: float = 35.0,
    column: bool = False,
) -> Source:
    """Return the source of a label map, with its margins and distances.

    Along z the end slices are repeated, so that shafts go on; across, tissue ends in air, or goes
    on where the source is complete.

    Parameters
    ----------
    labels : ndarray of uint8, shape (x, y, z)
    spacing_mm : float
        Isotropic.
    complete : bool
    pad_mm : float
        How far the volume is padded on every side.
    column : bool
        True for a spine: above, it goes on as its own mirror image, vertebra after vertebra.
    """
    pad = round(pad_mm / spacing_mm)
    across = ((pad, pad), (pad, pad), (0, 0))
    labels = np.pad(labels, across, mode="edge" if complete else "constant")
    labels = np.pad(labels, ((0, 0), (0, 0), (pad, 0)), mode="edge")
    above = ((0, 0), (0, 0), (0, 2 * pad if column else pad))
    labels = np.pad(labels, above, mode="reflect" if column else "edge")
    depth = np.zeros(labels.shape, np.float32)
    for numbers in bone_numbers():
        mask = np.isin(labels, numbers)
        if mask.any():
            inside = -_signed_distance_mm(mask, spacing_mm)
            depth = np.maximum(depth, np.clip(inside, 0, None))
    joint = _signed_distance_mm(labels == TISSUES["cartilage"], spacing_mm)
    body = _signed_distance_mm(_hull(labels > 0, spacing_mm), spacing_mm)
    return Source(
        labels=labels,
        bone_depth=_as_byte(depth),
        joint_distance=_as_byte(joint),
        body_distance=_as_byte(body),
        spacing_mm=float(spacing_mm),
        complete=complete,
    )


def bone_numbers() -> list[list[int]]:
    """Return the tissue numbers of each bone: one, or those of its parts."""
    joined = [[TISSUES[name] for name in names] for names in ONE_BONE]
    taken = {number for numbers in joined for number in numbers}
    return [*joined, *([n] for n in range(1, LAST_BONE + 1) if n not in taken)]


def save_source(path: Path, source: Source) -> None:
    """Write a source to `path`, whole or not at all."""
    temporary = path.with_suffix(".part.npz")
    np.savez_compressed(
        temporary,
        labels=source.labels,
        bone_depth=source.bone_depth,
        joint_distance=source.joint_distance,
        body_distance=source.body_distance,
        spacing_mm=source.spacing_mm,
        complete=source.complete,
    )
    temporary.replace(path)


def load_source(path: Path) -> Source:
    """Read a source that `save_source` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Source(
            labels=stored["labels"],
            bone_depth=stored["bone_depth"],
            joint_distance=stored["joint_distance"],
            body_distance=stored["body_distance"],
            spacing_mm=float(stored["spacing_mm"]),
            complete=bool(stored["complete"]),
        )


def _signed_distance_mm(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float32]:
    if not mask.any():
        return np.full(mask.shape, 25.5, np.float32)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=False)
    # Distance to the border between voxels, not to the centre of the nearest outer voxel.
    array = sitk.GetArrayFromImage(distance) * spacing_mm
    return (array - spacing_mm / 2).astype(np.float32)


def _hull(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.bool_]:
    """Close gaps up to about 40 mm between labelled tissues, at a quarter of the resolution."""
    coarse = mask[::4, ::4, ::4]
    reach = 20.0 / (4 * spacing_mm)
    margin = int(np.ceil(reach)) + 1
    padded = np.pad(coarse, margin, mode="edge")
    padded[[0, -1], :, :] = False
    grown = _signed_distance_mm(padded, 1.0) <= reach
    closed = _signed_distance_mm(~grown, 1.0) > reach
    inner = closed[margin:-margin, margin:-margin, margin:-margin]
    fine = inner.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    return fine[: mask.shape[0], : mask.shape[1], : mask.shape[2]] | mask


def _as_byte(distance_mm: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(distance_mm * _STEPS_PER_MM), 0, 255).astype(np.uint8)
