"""How far a voxel lies from the outside of a mask, and what of a mask is thick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.region import around

SMALL = 50_000  # voxels; below, the start of ITK's threads takes longer than all the work


def depth_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray:
    """Return the distance of each voxel of `mask` to the nearest voxel outside it.

    Parameters
    ----------
    mask : ndarray of bool
    spacing_mm : tuple of float

    Returns
    -------
    ndarray of float32
        Millimetres; 0 outside. The volume's own border is not a surface: a bone that leaves the
        field goes on there.

    Examples
    --------
    >>> depth_mm(np.array([[[0, 1, 1, 1]]], bool), (1.0, 1.0, 3.0)).tolist()
    [[[0.0, 3.0, 6.0, 9.0]]]
    """
    depth = np.zeros(mask.shape, np.float32, order="F")
    if not mask.any():
        return depth
    # Whatever is nearest to a voxel of the mask lies no farther out than one voxel around its box.
    box = around(mask, (1,) * mask.ndim)
    mask = mask[box]
    if mask.size < SMALL and not mask.all():
        depth[box] = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
        return depth
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.T.astype(np.uint8))
    image.SetSpacing([float(v) for v in spacing_mm])
    distance = sitk.SignedMaurerDistanceMap(
        image == 0, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    away = sitk.GetArrayFromImage(distance).T
    depth[box] = np.where(mask, np.maximum(away, 0), 0)
    return depth


def near(
    mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Return what lies in `mask` or within a radius of it; nothing if it is empty.

    Examples
    --------
    >>> mask = np.array([0, 0, 0, 1, 0, 0], bool).reshape(1, 1, 6)
    >>> near(mask, 2.0, (1.0, 1.0, 1.5)).astype(int).tolist()
    [[[0, 0, 1, 1, 1, 0]]]
    """
    reached = np.zeros_like(mask)
    if mask.any():
        box = around(mask, [int(radius_mm / step) + 1 for step in spacing_mm])
        reached[box] = depth_mm(~mask[box], spacing_mm) <= radius_mm
    return reached


def opened(
    mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Return the parts of `mask` that a ball of a radius fits into.

    With `Grid.flat_spacing_mm` a circle within the slice.

    Examples
    --------
    >>> mask = np.array([0, 1, 0, 1, 1, 1, 1, 1, 0], bool).reshape(1, 1, 9)
    >>> opened(mask, 2.0, (9.0, 9.0, 1.0)).astype(int).tolist()
    [[[0, 0, 0, 1, 1, 1, 1, 1, 0]]]
    """
    core = depth_mm(mask, spacing_mm) > radius_mm
    return mask & near(core, radius_mm, spacing_mm)
