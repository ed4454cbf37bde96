"""The tissues of a phantom as one label map, from which a network's training images are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import make_anatomy
from bmepipe.phantom.shapes import f32
from bmepipe.phantom.tissue import TISSUES


def tissue_map(
    site: str, seed: int, spacing_mm: float = 1.5, field_mm: float = 160.0
) -> tuple[NDArray[np.uint8], NDArray[np.float64], dict[int, str]]:
    """Return one healthy person's tissues on an isotropic grid along the patient's axes.

    Parameters
    ----------
    site : str
        One of `anatomy.phantom_sites()`.
    seed : int
    spacing_mm : float
    field_mm : float
        Side of the cube, centred where the site's field of view is.

    Returns
    -------
    labels : ndarray of uint8, shape (n, n, n)
        Indexed along RAS. 0 is air.
    affine : ndarray, shape (4, 4)
        Voxel index to RAS millimetres.
    names : dict of int to str
        What the labels mean: "marrow.BONE" and "cortex.BONE" per bone of the site (labels from 1,
        two per bone in the order of the site's phantom), then the other tissues by name.

    Raises
    ------
    UnknownChoice
        For an unknown site, listing the known ones.
    """
    anatomy = make_anatomy(site, seed)
    count = max(2, round(field_mm / spacing_mm))
    along = (np.arange(count) - (count - 1) / 2) * spacing_mm
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = anatomy.centre_mm + along[0]
    names = _names(anatomy.plan.BONES)
    value = {name: label for label, name in names.items()}
    labels = np.zeros((count, count, count), np.uint8)
    grid = np.stack(np.meshgrid(along, along, [0.0], indexing="ij"), axis=-1)[:, :, 0]
    slab = max(1, 200_000 // count**2)
    for start in range(0, count, slab):
        offsets = along[start : start + slab, None, None, None] * np.array([0.0, 0.0, 1.0])
        points = f32(grid + offsets + anatomy.centre_mm)
        f = anatomy.fields(points)
        f["body"] = anatomy.body(points)
        part = np.zeros(points.shape[:-1], np.uint8)
        for layer in anatomy.plan.layers(f, anatomy.person, spacing_mm):
            part[layer.opacity > 0.5] = value[layer.tissue]
        for bone in anatomy.plan.BONES:
            part[f[f"bone.{bone}"] < 0] = value[f"cortex.{bone}"]
            part[f[f"bone.{bone}"] + f[f"cortex.{bone}"] < 0] = value[f"marrow.{bone}"]
        labels[:, :, start : start + slab] = np.moveaxis(part, 0, 2)
    return labels, affine, names


def _names(bones: tuple[str, ...]) -> dict[int, str]:
    solid = [f"{part}.{bone}" for bone in bones for part in ("marrow", "cortex")]
    soft = [name for name in TISSUES if name not in ("air", "cortex", "yellow_marrow")]
    return {0: "air", **dict(enumerate([*solid, *soft], start=1))}
