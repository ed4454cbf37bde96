"""The three parts of a hip bone, which has no borders between them after adolescence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Planes through the middle of the femoral head part the bone, as the cartilage of childhood did:
# the ilium above, the pubis in front of and the ischium behind what is left.
_HEAD_NEAR_MM = 40.0  # of the hip bone: the head's middle lies within its radius and the cartilage
_LEAST_HEAD_MM = 12.0  # radius; the smallest adult's is 19


def hip_bone_parts(
    hip_bone: NDArray[np.bool_], femur: NDArray[np.bool_], spacing_mm: float
) -> dict[str, NDArray[np.bool_]]:
    """Return ilium, ischium and pubis of one hip bone or of both.

    Each voxel is parted by the femoral head nearest to it. Without a femoral head in view the
    borders are unknown and everything is ilium, which is what such a scan shows.

    Parameters
    ----------
    hip_bone, femur : ndarray of bool, shape (x, y, z)
        Indexed along right, front and up.
    spacing_mm : float
        Isotropic.
    """
    heads = femoral_heads(hip_bone, femur, spacing_mm)
    points = np.argwhere(hip_bone)
    parts = {name: np.zeros(hip_bone.shape, bool) for name in ("ilium", "ischium", "pubis")}
    if not heads:
        parts["ilium"] |= hip_bone
        return parts
    centres = np.array([centre for centre, _ in heads])
    away = np.linalg.norm(points[:, None] - centres[None], axis=2)
    nearest = away.argmin(axis=1)
    lateral = np.array([side for _, side in heads])[nearest]
    x, y, z = ((points - centres[nearest]) * spacing_mm).T
    above = z + 0.15 * y > 6.0
    front = 0.8 * x * lateral - y + 4.0 < 0
    for name, chosen in (("ilium", above), ("ischium", ~above & ~front), ("pubis", ~above & front)):
        parts[name][tuple(points[chosen].T)] = True
    return parts


def femoral_heads(
    hip_bone: NDArray[np.bool_], femur: NDArray[np.bool_], spacing_mm: float
) -> list[tuple[tuple[float, ...], int]]:
    """Return the middle of each femoral head in voxels, and +1 if its shaft lies to the right.

    A head is where the largest ball fits into a femur beside the hip bone.
    """
    near = ndimage.distance_transform_edt(~hip_bone, sampling=spacing_mm) < _HEAD_NEAR_MM
    depth = ndimage.distance_transform_edt(np.pad(femur, 1))[1:-1, 1:-1, 1:-1] * spacing_mm
    parts, count = ndimage.label(femur)
    heads = []
    for number in range(1, count + 1):
        own = parts == number
        inside = np.where(own & near, depth, 0)
        if inside.max(initial=0) < _LEAST_HEAD_MM:
            continue
        # The middle of the plateau: voxels are coarse beside the ball's middle.
        centre = np.argwhere(inside > inside.max() - spacing_mm).mean(axis=0)
        side = 1 if np.nonzero(own)[0].mean() > centre[0] else -1
        heads.append((tuple(float(v) for v in centre), side))
    return heads
