"""Random geometry: where in a source each voxel of a synthetic image is taken from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from bmepipe.training.chance import chance, normal, smooth_field, uniform


@dataclass(frozen=True)
class View:
    """How widely scans of one site differ in where and how they lie.

    Parameters
    ----------
    shift_mm : float
        Spread of the field's middle around the joint's.
    tilt_rad : float
        Spread of the turn about the left-right axis.
    tilt_mean_rad : float
        Its mean: oblique coronal scans along a sacrum lie by some 40 degrees between the body's
        axes (30, 40 and 49 in the three looked at), their upper end to the front.
    bend_mm : float
        Half the height over which a joint bends.
    planes : tuple of float
        How often slices are stacked along x, y and z.
    coil : float
        How often a surface coil lies behind the body.
    free : float
        Share of the samples in which any tissue has any grey, whatever physics says.
    turn_rad : float
        Spread of the turns about each axis.
    side_bend_deg : float
        Spread of two bends to the side, as in scoliosis, and of the twist that comes with them.
    warp_mm : float
        Largest size of the slow warp between one body and another.
    spacing_mm : float
        Of the network's grid; tissue is painted at half of it.
    flatten : bool
        Of `models.network.normalise`.
    """

    shift_mm: float = 14.0
    tilt_rad: float = 0.0
    tilt_mean_rad: float = 0.0
    bend_mm: float = 12.0
    planes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    coil: float = 0.0
    free: float = 0.4
    turn_rad: float = 0.17
    side_bend_deg: float = 0.0
    warp_mm: float = 5.0
    spacing_mm: float = 2.0
    flatten: bool = False


def lattice_mm(shape: tuple[int, int, int], spacing_mm: float, device: str) -> Tensor:
    """Return voxel centres of a grid around the origin in mm, shape (3, *shape)."""
    axes = [
        (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2) * spacing_mm
        for n in shape
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def random_affine(rng: torch.Generator, device: str, turn_rad: float = 0.17) -> Tensor:
    """Return a random linear map, shape (3, 3): scale, shear, rotation, and mirrored x or not."""
    scale = torch.diag(torch.exp(normal(rng, 0.10, device) + normal(rng, 0.06, device, 3)))
    shear = torch.eye(3, device=device) + normal(rng, 0.05, device, 9).reshape(3, 3)
    wide = chance(rng, 0.1)  # now and then a leg that lies across the scanner's axes
    angles = normal(rng, 0.45 if wide else turn_rad, device, 3)
    rotation = torch.eye(3, device=device)
    for axis, angle in enumerate(angles.tolist()):
        rotation = rotation @ _turn(axis, angle, device)
    mirror = torch.eye(3, device=device)
    if chance(rng, 0.5):
        mirror[0, 0] = -1.0
    return mirror @ rotation @ shear @ scale


def _turn(axis: int, angle: float, device: str) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    i, j = [(1, 2), (0, 2), (0, 1)][axis]
    turn = torch.eye(3, device=device)
    turn[i, i] = turn[j, j] = c
    turn[i, j], turn[j, i] = -s, s
    return turn


def flex(points_mm: Tensor, angle_rad: float, reach_mm: float = 12.0) -> Tensor:
    """Bend a joint about the left-right axis through the origin.

    Parameters
    ----------
    points_mm : Tensor, shape (3, ...)
        Relative to the joint; z up.
    angle_rad : float
        Turn of what lies below the joint against what lies above.
    reach_mm : float
        Half the height over which the turn fades in.
    """
    x, y, z = points_mm
    turn = angle_rad * torch.sigmoid(-z / (reach_mm / 2.5))
    c, s = torch.cos(turn), torch.sin(turn)
    return torch.stack([x, c * y - s * z, s * y + c * z])


def bend_aside(points_mm: Tensor, angle_rad: float, height_mm: float, reach_mm: float) -> Tensor:
    """Bend a spine to the side, and twist it, about a point of its axis.

    Parameters
    ----------
    points_mm : Tensor, shape (3, ...)
        Relative to the middle of the spine; z up.
    angle_rad : float
        Turn of what lies below against what lies above, about the front-back axis; the bend itself
        is twisted by half of it about the spine's own axis, as scoliotic spines are.
    height_mm : float
        Of the bend.
    reach_mm : float
        Half the height over which the turn fades in.
    """
    x, y, z = points_mm
    below = torch.sigmoid((height_mm - z) / (reach_mm / 2.5))
    z = z - height_mm
    c, s = torch.cos(angle_rad * below), torch.sin(angle_rad * below)
    x, z = c * x - s * z, s * x + c * z + height_mm
    # Greatest at the bend: the ends of a curve are not twisted.
    twist = 0.5 * angle_rad * 4 * below * (1 - below)
    c, s = torch.cos(twist), torch.sin(twist)
    return torch.stack([c * x - s * y, s * x + c * y, z])


def random_points(
    shape: tuple[int, int, int], rng: torch.Generator, device: str, view: View
) -> Tensor:
    """Return, for each voxel, a point of the source relative to its joint in mm, (3, *shape)."""
    points = lattice_mm(shape, view.spacing_mm, device)
    shift = normal(rng, view.shift_mm, device, 3)
    points = points + shift[:, None, None, None]
    linear = random_affine(rng, device, view.turn_rad)
    if view.tilt_rad or view.tilt_mean_rad:
        tilt = view.tilt_mean_rad + float(normal(rng, view.tilt_rad, "cpu"))
        linear = linear @ _turn(0, tilt, device)
    points = torch.einsum("ij,jxyz->ixyz", linear, points)
    for knots, size_mm in ((4, uniform(rng, 0.0, view.warp_mm)), (8, uniform(rng, 0.0, 1.8))):
        field = smooth_field(shape, knots, rng, device, channels=3)
        points = points + size_mm * field
    if view.side_bend_deg:
        for side in (1, -1):  # a curve and the one that balances it
            angle = side * abs(float(normal(rng, math.radians(view.side_bend_deg), "cpu")))
            height_mm = float(normal(rng, 50.0, "cpu"))
            points = bend_aside(points, angle, height_mm, uniform(rng, 25.0, 60.0))
    return flex(points, math.radians(float(normal(rng, 7.0, "cpu"))), view.bend_mm)


def doubled(field: Tensor) -> Tensor:
    """Return a field, shape (channels, x, y, z), on the grid of half the spacing."""
    return functional.interpolate(
        field[None], scale_factor=2, mode="trilinear", align_corners=False
    )[0]
