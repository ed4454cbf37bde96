"""Where a voxel lies: how deep in its bone, and how far from the joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.joint import joint_between, joint_line
from bmepipe.analysis.marrow import Marrow, bone_depth, joint_labels
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Volume


@dataclass(frozen=True, eq=False)
class Place:
    """Distances in mm, each an ndarray of float32 of the grid's shape.

    Parameters
    ----------
    depth_mm : ndarray
        Of `marrow.bone_depth`.
    joint_mm : ndarray, optional
        Distance to the joint line; None where the site names no joint or none is seen.
    joint_bones : tuple of int
        Of `marrow.joint_labels`.
    """

    depth_mm: NDArray[np.float32]
    joint_mm: NDArray[np.float32] | None
    joint_bones: tuple[int, ...]


def place_of(pair: Pair, bones: Volume, marrow: Marrow, site: Site) -> Place:
    """Return where the voxels of a pair lie in their bones and from the joint."""
    joint_mm = joint_distance_mm(pair, bones, marrow, site)
    return Place(bone_depth(bones), joint_mm, joint_labels(site, bones))


def joint_distance_mm(
    pair: Pair, bones: Volume, marrow: Marrow, site: Site
) -> NDArray[np.float32] | None:
    """Return the distance in mm to the joint line; None where the site has none or none is seen."""
    if site.joint_reach_mm is None:
        return None
    sides = [[bone.label for bone in site.bones if bone.name in names]
             for names in site.joint_between]  # fmt: skip
    line = joint_between(bones, *sides) if sides else np.zeros(bones.grid.shape, bool)
    if not line.any():  # a region without its bones told apart
        line = joint_line(pair, bones, marrow)
    return depth_mm(~line, bones.grid.spacing_mm) if line.any() else None
