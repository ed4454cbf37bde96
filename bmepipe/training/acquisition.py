"""Random image formation: slices, blur, coil shading, ghosts, noise, cut fields of view."""

from __future__ import annotations

import torch
from torch import Tensor

from bmepipe.training.chance import chance, integer, noise, normal, smooth_field, uniform
from bmepipe.training.geometry import View

# Smoothing before images are sampled at the network's spacing, as in models.regrid.
PREFILTER_SD_PER_SPACING = 0.4


def acquire(
    signal: Tensor, rng: torch.Generator, device: str, view: View
) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image of a signal at half its spacing, and where it was inside the field and lit.

    Parameters
    ----------
    signal : Tensor, shape (2x, 2y, 2z)

    Returns
    -------
    image : Tensor, shape (x, y, z)
    inside : Tensor of bool, shape (x, y, z)
    lit : Tensor of bool, shape (x, y, z)
        Not in a dark band at the field's end, beyond the coil's or the gradients' reach.
    """
    axis = int(torch.multinomial(torch.tensor(view.planes), 1, generator=rng))
    image = signal.movedim(axis, 0)
    thick_mm = uniform(rng, 2.0, 5.2) if chance(rng, 0.88) else uniform(rng, 0.8, 2.0)
    spacing_mm = thick_mm * uniform(rng, 1.0, 1.25)
    fine_mm = view.spacing_mm / 2
    cut, spread = slice_rows(image.shape[0], fine_mm, thick_mm, spacing_mm, uniform(rng, 0, 1))
    image = torch.tensordot(cut.to(device), image, dims=1)  # first: it leaves the least to blur
    width_mm = uniform(rng, 0.5, 2.2)  # in-plane resolution, full width at half maximum
    sd_mm = ((PREFILTER_SD_PER_SPACING * view.spacing_mm) ** 2 + (width_mm / 2.355) ** 2) ** 0.5
    for k in (1, 2):
        matrix = gaussian_rows(image.shape[k], sd_mm / fine_mm).to(device)
        image = torch.tensordot(image, matrix, dims=([k], [1])).movedim(-1, k)
    light = _dark_ends(image.shape[1], image.shape[2], rng, device)
    places = _places(image.shape, axis, (spacing_mm, view.spacing_mm), device)
    image = _disturb(image, light, _coil(places, view, rng), rng, device)
    image = torch.tensordot(spread.to(device), image, dims=1).movedim(0, axis)
    lit = (light > 0.1).expand(spread.shape[0], -1, -1).movedim(0, axis)
    inside = _field_of_view(image.shape, rng, device)
    return image.contiguous() * inside, inside, lit


def gaussian_rows(count: int, sd: float) -> Tensor:
    """Return the matrix, shape (count // 2, count), that blurs and halves a fine axis.

    `sd` is in fine voxels.
    """
    fine = torch.arange(count) - (count - 1) / 2
    coarse = (torch.arange(count // 2) - (count // 2 - 1) / 2) * 2
    weight = torch.exp(-0.5 * ((coarse[:, None] - fine[None]) / sd) ** 2)
    return weight / weight.sum(1, keepdim=True)


def slice_rows(
    count: int, fine_mm: float, thick_mm: float, spacing_mm: float, offset: float
) -> tuple[Tensor, Tensor]:
    """Return the matrices that cut a fine axis into slices and interpolate between them.

    Parameters
    ----------
    count : int
        Fine voxels along the axis.
    fine_mm : float
        Their spacing.
    thick_mm, spacing_mm : float
        Of the slices.
    offset : float
        Position of the first slice, 0 to 1 of a spacing.

    Returns
    -------
    cut : Tensor, shape (slices, count)
    spread : Tensor, shape (count // 2, slices)
    """
    fine = (torch.arange(count) + 0.5) * fine_mm
    centres = torch.arange(offset * spacing_mm, count * fine_mm, spacing_mm)
    # A box with soft shoulders, as slice profiles are.
    cut = torch.sigmoid((thick_mm / 2 - (fine[None] - centres[:, None]).abs()) / (0.1 * thick_mm))
    cut = cut / cut.sum(1, keepdim=True)
    coarse = (torch.arange(count // 2) + 0.5) * 2 * fine_mm
    place = ((coarse - centres[0]) / spacing_mm).clamp(0, len(centres) - 1)
    spread = (1 - (place[:, None] - torch.arange(len(centres))[None]).abs()).clamp(min=0)
    return cut, spread


def _disturb(
    image: Tensor, light: Tensor, coil: Tensor, rng: torch.Generator, device: str
) -> Tensor:
    """Return slices, shape (slices, y, z), with shading, ghosts and noise; about 0 to 1."""
    shading = light * torch.exp((_shading(image.shape, rng, device) + coil).clamp(-3, 3))
    image = image * shading
    image = image / _level(image, 0.98)
    if chance(rng, 0.3):
        each = normal(rng, uniform(rng, 0, 0.08), device, image.shape[0])
        image = image * torch.exp(each)[:, None, None]
    if chance(rng, 0.2):
        axis = integer(rng, 1, 2)
        ghost = image.roll(image.shape[axis] // integer(rng, 2, 4), axis)
        image = image + uniform(rng, 0.02, 0.15) * ghost
    noise_sd = uniform(rng, 0, 0.09) ** 1.0 * uniform(rng, 0.1, 1)
    first, second = (noise(tuple(image.shape), rng, device) for _ in range(2))
    image = ((image + noise_sd * first) ** 2 + (noise_sd * second) ** 2).sqrt()
    return (image + 1e-4) ** float(torch.exp(normal(rng, 0.18, "cpu")))


def _shading(shape: torch.Size, rng: torch.Generator, device: str) -> Tensor:
    whole = (shape[0], shape[1], shape[2])
    size = uniform(rng, 0, 0.35)
    return size * smooth_field(whole, integer(rng, 2, 4), rng, device)[0]


def _places(shape: torch.Size, axis: int, spacings_mm: tuple[float, float], device: str) -> Tensor:
    """Return where the voxels of slices along `axis` are, along x, y and z, shape (3, *shape)."""
    steps = (spacings_mm[0], spacings_mm[1], spacings_mm[1])
    along = [
        (torch.arange(n, device=device) - (n - 1) / 2) * step
        for n, step in zip(shape, steps, strict=True)
    ]
    order = [axis, *(k for k in range(3) if k != axis)]
    return torch.stack(torch.meshgrid(*along, indexing="ij"))[[order.index(k) for k in range(3)]]


def _coil(places_mm: Tensor, view: View, rng: torch.Generator) -> Tensor:
    """Return the logarithm of a surface coil's shading, 0 where there is none."""
    device = str(places_mm.device)
    if chance(rng, view.coil):
        middle = torch.tensor([0.0, -uniform(rng, 40, 120), 0.0], device=device)
        middle = middle + normal(rng, 35.0, device, 3)
    elif chance(rng, 0.3):
        middle = normal(rng, 60.0, device, 3)
    else:
        return torch.zeros(places_mm.shape[1:], device=device)
    away = (places_mm - middle[:, None, None, None]).square().sum(0).sqrt()
    log = -away / uniform(rng, 45, 150)
    return log - log.mean()


def _dark_ends(rows: int, columns: int, rng: torch.Generator, device: str) -> Tensor:
    """Return the light that is left in a slice with dark ends, shape (rows, columns), 0 to 1."""
    light = torch.ones((rows, columns), device=device)
    for axis, count in enumerate((rows, columns)):
        for end in (False, True):
            if chance(rng, 0.15):
                depth = uniform(rng, 0.03, 0.3) * count
                at = torch.arange(count, device=device).float()
                fade = torch.sigmoid((at - depth) / uniform(rng, 0.5, 3.0))
                fade = fade.flip(0) if end else fade
                light = light * (fade[:, None] if axis == 0 else fade[None])
    return light * uniform(rng, 0.97, 1.0) + uniform(rng, 0.0, 0.03) * (light < 1)


def _field_of_view(shape: torch.Size, rng: torch.Generator, device: str) -> Tensor:
    inside = torch.zeros(shape, dtype=torch.bool, device=device)
    window = []
    for n in shape:
        low = high = 0
        if chance(rng, 0.35):
            low = integer(rng, 0, n // 5)
        if chance(rng, 0.35):
            high = integer(rng, 0, n // 5)
        window.append(slice(low, n - high))
    inside[tuple(window)] = True
    return inside


def _level(image: Tensor, fraction: float) -> Tensor:
    values = image.flatten()[::7]
    return values.kthvalue(max(1, int(fraction * len(values)))).values.clamp(min=1e-6)
