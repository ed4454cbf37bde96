"""Each vertebra's own arch: pedicles, pillars, laminae and processes behind its body.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.segmentation import watershed

from bmepipe.analysis.column import Column, column_of
from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.region import around, largest_piece
from bmepipe.analysis.vertebra import is_any_vertebra
from bmepipe.site import Site
from bmepipe.volume import Volume

MOST_WAY_MM = 60.0  # from the body through the bone: the tip of a neck's longest spinous process
ARCH = 128  # is added to a vertebra's label
BEYOND_MM = 8.0  # farther than this from a body's core lie arches, but no corners of bodies
DOUBT = 4.0  # power of the certainty by which a way through doubtful bone is longer


def arches_of(
    vertebrae: NDArray[np.uint8],
    others: NDArray[np.bool_],
    arches: NDArray[np.bool_],
    certainty: NDArray[np.float32],
    spacing_mm: float,
) -> NDArray[np.uint8]:
    """Return the arches under the labels of the vertebral bodies that they hang on.

    The arches overlap like shingles, and where a facet joint is too narrow to be seen they touch. A
    voxel belongs to the body to which the way through the bone is shortest; through doubtful bone,
    as at a facet joint, it is longer.

    Parameters
    ----------
    vertebrae : ndarray of uint8, shape (x, y, z)
        Labels of the bodies that have a name.
    others : ndarray of bool, same shape
        Bodies without one, whose arches are not to be given to their neighbours.
    arches : ndarray of bool, same shape
    certainty : ndarray of float32, same shape
        The network's probability of each voxel's kind.
    spacing_mm : float
        Isotropic.
    """
    given = np.zeros_like(vertebrae)
    if not vertebrae.any() or not arches.any():
        return given
    box = around((vertebrae > 0) | others | arches, (0, 0, 0))
    given[box] = _nearest_body(vertebrae[box], others[box], arches[box], certainty[box], spacing_mm)
    return given


def _nearest_body(
    vertebrae: NDArray[np.uint8],
    others: NDArray[np.bool_],
    arches: NDArray[np.bool_],
    certainty: NDArray[np.float32],
    spacing_mm: float,
) -> NDArray[np.uint8]:
    """Return `arches_of` within the box of the bones; the rest of the grid is empty."""
    bodies = (vertebrae > 0) | others
    cost = spacing_mm / np.maximum(certainty, 0.1).astype(float) ** DOUBT
    way = MCP_Geometric(np.where(arches | bodies, cost, -1))
    length_mm, _ = way.find_costs(np.argwhere(bodies))
    reached = arches & (length_mm <= MOST_WAY_MM)
    unnamed = int(vertebrae.max()) + 1
    markers = np.where(others & (vertebrae == 0), unnamed, vertebrae).astype(np.int32)
    length_mm[~np.isfinite(length_mm)] = 2 * MOST_WAY_MM
    owner = watershed(length_mm, markers, mask=reached | bodies)
    return np.where(reached & (owner != unnamed), owner, 0).astype(np.uint8)


def arches_apart(bones: Volume, site: Site) -> Volume:
    """Return bones whose vertebrae's arches have a label of their own, larger by `ARCH`.

    Their marrow is not that of the bodies: in a neck it holds more fat. A body is the largest part
    thicker than twice the `core_depth_mm` of `Column`, and what hangs on it. Sites whose arches are
    not judged come back as they are.
    """
    column = column_of(site)
    if column is None or not column.arches:
        return bones
    labels = bones.data.copy()
    for bone in site.bones:
        own = bones.data == bone.label
        if is_any_vertebra(bone.name) and own.any():
            box = around(own, (1, 1, 1))
            arch = _behind_body(own[box], bones.grid.spacing_mm, column)
            labels[box][arch] = bone.label + ARCH
    return bones.with_data(labels)


def _behind_body(
    vertebra: NDArray[np.bool_], spacing_mm: tuple[float, float, float], column: Column
) -> NDArray[np.bool_]:
    """Return what belongs to no ball of the largest core, nor to the parts near it."""
    depth = depth_mm(vertebra, spacing_mm)
    cores, _ = ndimage.label(depth > column.core_depth_mm)
    body = largest_piece(cores > 0)
    if not body.any():
        return np.zeros(vertebra.shape, bool)
    owner = watershed(-depth, cores, mask=vertebra)
    away_mm = depth_mm(~body, spacing_mm)
    near = (away_mm <= column.core_depth_mm) | (owner == cores[body][0])
    rest, count = ndimage.label(vertebra & ~near)
    far = ndimage.maximum(away_mm, rest, range(count + 1)) > column.core_depth_mm + BEYOND_MM
    far[0] = False
    return far[rest]
