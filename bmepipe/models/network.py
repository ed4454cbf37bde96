"""The network itself and the scale of its input; shared by training and inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmepipe.errors import ModelDamaged

if TYPE_CHECKING:
    import torch

_KEYS = {"in_channels", "out_channels", "channels", "strides", "num_res_units"}


def build_network(settings: dict[str, Any]) -> torch.nn.Module:
    """Return an untrained MONAI UNet.

    Parameters
    ----------
    settings : dict
        ``in_channels``, ``out_channels``, ``channels``, ``strides`` and ``num_res_units``.

    Raises
    ------
    ModelDamaged
        If a setting is missing or unknown.
    """
    from monai.networks.nets import UNet

    if set(settings) != _KEYS:
        raise ModelDamaged(
            f"network settings {', '.join(sorted(_KEYS))}",
            ", ".join(sorted(settings)),
            "restore the model folder",
        )
    return UNet(
        spatial_dims=3,
        in_channels=int(settings["in_channels"]),
        out_channels=int(settings["out_channels"]),
        channels=tuple(settings["channels"]),
        strides=tuple(settings["strides"]),
        num_res_units=int(settings["num_res_units"]),
        norm="INSTANCE",
    )


def normalise(image: torch.Tensor, inside: torch.Tensor, *, flatten: bool = False) -> torch.Tensor:
    """Return the image with its 99th percentile inside the field of view at 1, clipped at 2.

    Parameters
    ----------
    image : Tensor, shape (x, y, z)
        Not negative.
    inside : Tensor of bool, same shape
        Field of view; outside becomes 0.
    flatten : bool
        First divide by the mean of the surroundings (`flattened`).
    """
    if flatten:
        image = flattened(image, inside)
    values = image[inside]
    step = max(1, values.numel() // 50_000)
    values = values[::step]
    top = values.kthvalue(max(1, int(0.99 * values.numel()))).values.clamp(min=1e-6)
    return (image / top).clamp(0, 2) * inside


def flattened(image: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Return the image divided by the mean of its surroundings, some 10 voxels each way.

    A surface coil makes what lies near it many times brighter than the spine; a network that sees
    the shading must learn every tissue at every brightness.

    Parameters
    ----------
    image : Tensor, shape (x, y, z)
        Not negative.
    inside : Tensor of bool, same shape
    """
    import torch
    import torch.nn.functional as functional

    weight = inside.to(image.dtype)
    both = functional.avg_pool3d(torch.stack([image * weight, weight])[:, None], 4, ceil_mode=True)
    shape = both.shape[2:]
    missing = [max(0, 5 - n) for n in shape]  # a stack of few slices; of no weight
    both = functional.pad(both, [v for n in reversed(missing) for v in (0, n)])
    for _ in range(3):
        both = functional.avg_pool3d(both, 5, 1, 2, count_include_pad=False)
    both = both[:, :, : shape[0], : shape[1], : shape[2]]
    mean = both[0] / both[1].clamp(min=1e-6)
    wide = functional.interpolate(mean[None], image.shape, mode="trilinear")[0, 0]
    least = 0.15 * (image * weight).sum() / weight.sum().clamp(min=1)
    return image / (wide + least.clamp(min=1e-6))
