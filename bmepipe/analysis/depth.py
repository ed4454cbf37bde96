"""How far a voxel lies from the outside of a mask, and what of a mask is thick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
    import SimpleITK as sitk

    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    image = sitk.GetImageFromArray(mask.T.astype(np.uint8))
    image.SetSpacing([float(v) for v in spacing_mm])
    distance = sitk.SignedMaurerDistanceMap(
        image == 0, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    away = sitk.GetArrayFromImage(distance).T
    return np.where(mask, np.maximum(away, 0), 0).astype(np.float32)


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
    return mask & (depth_mm(~core, spacing_mm) <= radius_mm) if core.any() else core
