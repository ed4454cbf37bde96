"""The network itself and the scale of its input; shared by training and inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmepipe.errors import ModelDamaged

if TYPE_CHECKING:
    import torch

_KEYS = {"in_channels", "out_channels", "channels", "strides", "num_res_units"}
_OPTIONAL = {"fold"}


def build_network(settings: dict[str, Any]) -> torch.nn.Module:
    """Return an untrained MONAI UNet.

    Parameters
    ----------
    settings : dict
        ``in_channels``, ``out_channels``, ``channels``, ``strides``, ``num_res_units`` and, with
        `fold_voxels`, ``fold``: the features of the last layer between the folded network and its
        output.

    Raises
    ------
    ModelDamaged
        If a setting is missing or unknown.
    """
    from monai.networks.nets import UNet

    if set(settings) - _OPTIONAL != _KEYS:
        raise ModelDamaged(
            f"network settings {', '.join(sorted(_KEYS))}",
            ", ".join(sorted(settings)),
            "restore the model folder",
        )
    inputs, outputs = int(settings["in_channels"]), int(settings["out_channels"])
    features = int(settings.get("fold", 0))
    unet = UNet(
        spatial_dims=3,
        in_channels=8 * inputs if features else inputs,
        out_channels=features or outputs,
        channels=tuple(settings["channels"]),
        strides=tuple(settings["strides"]),
        num_res_units=int(settings["num_res_units"]),
        norm="INSTANCE",
    )
    return _folded(unet, features, outputs) if features else unet


def _folded(unet: torch.nn.Module, features: int, outputs: int) -> torch.nn.Module:
    """Return the network that works on blocks of 2 x 2 x 2 voxels as channels of one.

    Layers with few channels at full resolution cost most of a processor's time, for copying and not
    for arithmetic: folded, a step of training took 1.0 s instead of 2.6 s at more weights.
    """
    import torch

    class Folded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet
            self.head = torch.nn.Conv3d(features, 8 * outputs, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return unfold_voxels(self.head(self.unet(fold_voxels(image))))

    return Folded()


def fold_voxels(image: torch.Tensor) -> torch.Tensor:
    """Return blocks of 2 x 2 x 2 voxels as channels: (n, c, x, y, z) to (n, 8c, x/2, y/2, z/2)."""
    import torch

    n, c, x, y, z = image.shape
    blocks = image.reshape(n, c, x // 2, 2, y // 2, 2, z // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    folded = blocks.reshape(n, 8 * c, x // 2, y // 2, z // 2)
    return folded.contiguous(memory_format=torch.channels_last_3d)


def unfold_voxels(image: torch.Tensor) -> torch.Tensor:
    """Return what `fold_voxels` folded."""
    n, c, x, y, z = image.shape
    blocks = image.reshape(n, c // 8, 2, 2, 2, x, y, z).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(n, c // 8, 2 * x, 2 * y, 2 * z)


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
    for _ in range(3):
        both = functional.avg_pool3d(both, 5, 1, 2, count_include_pad=False)
    mean = both[0] / both[1].clamp(min=1e-6)
    wide = functional.interpolate(mean[None], image.shape, mode="trilinear")[0, 0]
    least = 0.15 * (image * weight).sum() / weight.sum().clamp(min=1)
    return image / (wide + least.clamp(min=1e-6))
