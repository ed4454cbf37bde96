"""The edema network and the channels it takes; shared by training and inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bmepipe.errors import ModelDamaged
from bmepipe.models.edema_input import CONTEXT_MM, DEPTH_MM

if TYPE_CHECKING:
    import torch

SLICES = 3  # the slice that is judged, between its neighbours
CHANNELS = 3 * SLICES + 1
_KEYS = {"filters"}


def build_edema_network(settings: dict[str, Any]) -> torch.nn.Module:
    """Return an untrained MONAI DynUNet in the plane.

    Batch norm, not instance norm: what is normal must stay at 0 whatever else a patch shows.

    Parameters
    ----------
    settings : dict
        ``filters``, one per level; each level after the first halves the resolution.

    Raises
    ------
    ModelDamaged
        If a setting is missing or unknown.
    """
    from monai.networks.nets import DynUNet

    if set(settings) != _KEYS:
        raise ModelDamaged(
            f"network settings {', '.join(sorted(_KEYS))}",
            ", ".join(sorted(settings)),
            "restore the model folder",
        )
    filters = [int(n) for n in settings["filters"]]
    below = len(filters) - 1
    return DynUNet(
        spatial_dims=2,
        in_channels=CHANNELS,
        out_channels=1,
        kernel_size=[3] * len(filters),
        strides=[1, *[2] * below],
        upsample_kernel_size=[2] * below,
        filters=filters,
        norm_name=("batch", {"affine": True}),
    )


def stack_channels(
    t2fs: NDArray[np.float32],
    t1: NDArray[np.float32] | None,
    depth_mm: NDArray[np.float32],
    code: float,
) -> torch.Tensor:
    """Return the network's input for the middle one of `SLICES` slices.

    Parameters
    ----------
    t2fs, t1, depth_mm : ndarray of float32, shape (SLICES, rows, columns)
        As of `edema_input.Scene`; without a T1 it is shown as normal everywhere.
    code : float

    Returns
    -------
    Tensor, shape (CHANNELS, rows, columns)
    """
    import torch

    shown = depth_mm > -CONTEXT_MM
    seen = np.where(shown, t2fs, 0)
    plain = np.zeros_like(seen) if t1 is None else np.where(shown, t1, 0)
    constant = np.full((1, *seen.shape[1:]), code, np.float32)
    channels = np.concatenate([seen, plain, depth_mm / DEPTH_MM, constant])
    return torch.from_numpy(channels.astype(np.float32))
