"""The three parts of a hip bone, which has no borders between them after adolescence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.region import around

PARTS = ("ilium", "ischium", "pubis")
# Planes through the middle of the femoral head part the bone, as the cartilage of childhood did:
# the ilium above, the pubis in front of and the ischium behind what is left.
_HEAD_NEAR_MM = 40.0  # of the hip bone: the head's middle lies within its radius and the cartilage
_LEAST_HEAD_MM = 12.0  # radius; the smallest adult's is 19
# From a femoral head to the middle of the body: 86 mm in an adult of usual width, 72 to 97 in the
# narrowest and widest (14 % of the pelvis's width inwards of its spine, Bell 1989,
# 10.1177/030936468901300104). Bone beyond is the other side's, to which the symphysis leads.
_MIDDLE_MM = 105.0


def hip_bone_parts(
    hip_bone: NDArray[np.bool_], femur: NDArray[np.bool_], spacing_mm: float
) -> dict[str, NDArray[np.bool_]]:
    """Return ilium, ischium and pubis of one hip bone or of both.

    Each voxel is parted by the femoral head nearest to it; what lies beyond the middle of the body
    from there is left out. Without a femoral head in view the
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
    parts = {name: np.zeros(hip_bone.shape, bool) for name in PARTS}
    if not heads:
        parts["ilium"] |= hip_bone
        return parts
    centres = np.array([centre for centre, _ in heads])
    away = np.linalg.norm(points[:, None] - centres[None], axis=2)
    nearest = away.argmin(axis=1)
    lateral = np.array([side for _, side in heads])[nearest]
    x, y, z = ((points - centres[nearest]) * spacing_mm).T
    own = x * lateral > -_MIDDLE_MM
    above = z + 0.15 * y > 6.0
    front = 0.8 * x * lateral - y + 4.0 < 0
    for name, chosen in zip(PARTS, (above, ~above & ~front, ~above & front), strict=True):
        parts[name][tuple(points[chosen & own].T)] = True
    return parts


def as_one_bone(labels: NDArray[np.uint8], parts: Sequence[int]) -> NDArray[np.uint8]:
    """Return labels with the parts of a hip bone under the first one's number.

    Between them is no border that an image shows: each drawn for itself, they came out 2 mm apart.

    Examples
    --------
    >>> as_one_bone(np.array([0, 1, 2, 3, 4], np.uint8), (2, 3, 4)).tolist()
    [0, 1, 2, 2, 2]
    """
    return np.where(np.isin(labels, parts), parts[0], labels).astype(np.uint8) if parts else labels


def parted_again(
    joined: NDArray[np.uint8],
    before: NDArray[np.uint8],
    parts: Sequence[int],
    spacing_mm: Sequence[float],
) -> NDArray[np.uint8]:
    """Return labels whose hip bone is parted as the nearest voxels of `before` are.

    Parameters
    ----------
    joined, before : ndarray of uint8, same shape
        Of `as_one_bone`, drawn anew; and the labels that went into it.
    parts : sequence of int
    spacing_mm : sequence of float
    """
    own = np.isin(before, parts)
    if not own.any():
        return joined
    drawn = joined == parts[0]
    box = around(own | drawn, (0, 0, 0))
    nearest = ndimage.distance_transform_edt(
        ~own[box], sampling=spacing_mm, return_distances=False, return_indices=True
    )
    parted = joined.copy()
    parted[box][drawn[box]] = before[box][tuple(nearest)][drawn[box]]
    return parted


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
