"""What a scanner makes of an anatomy: partial volume, contrast, coil, faults and noise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from bmepipe.phantom.anatomy import Anatomy
from bmepipe.phantom.layers import Fields, Layer, cover
from bmepipe.phantom.lesions import EDEMA, LOOK_ALIKES, PARTIAL_VOLUME, REGIONAL
from bmepipe.phantom.sampling import Planes
from bmepipe.phantom.shapes import Floats, f32
from bmepipe.phantom.tissue import TISSUES, Sequence, Technique, fat_weight, image_signal, signals
from bmepipe.volume import Grid

_THREADS = 2
_TEXTURE = 0.05  # coefficient of variation of the trabecular texture
_WATERY = ("cartilage", "fluid", "synovium", "disc", "csf")  # neighbours brighter than marrow
_WATERY_SHARE = 0.2  # of a voxel of bone: enough to make it as bright as edema


# Of each tissue: the signal of its water and of its fat, and 1 where it is watery.
Palette = dict[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Content:
    """What fills each voxel, before any scanner fault.

    Parameters
    ----------
    water, fat : ndarray, shape (i, j, k)
        Signals of the two pools, weighted by the slice profile.
    bones : ndarray of float32, shape (b, i, j, k)
        Share of each voxel within each bone, over the slice and its gap.
    edema, marrow : ndarray of float32, shape (b, i, j, k)
        Likewise of edema and of the space inside the cortex, per bone.
    look_alikes : ndarray of uint8, shape (i, j, k)
        Labels.
    """

    water: Floats
    fat: Floats
    bones: Floats
    edema: Floats
    marrow: Floats
    look_alikes: NDArray[np.uint8]


def fill_voxels(
    anatomy: Anatomy,
    planes: Planes,
    sequence: Sequence,
    thickness_mm: float,
    *,
    count_bones: bool = True,
) -> Content:
    """Return the content of every voxel of the slices, from several planes in each.

    Without `count_bones` only the signals; the arrays of the bones then have no bones.
    """
    shape, bones = planes.grid.shape, anatomy.plan.BONES
    pools = np.zeros((2, *shape), np.float32)
    shares = np.zeros((3, len(bones) if count_bones else 0, *shape), np.float32)
    content = Content(
        pools[0], pools[1], shares[0], shares[1], shares[2], np.zeros(shape, np.uint8)
    )
    palette: Palette = {name: signals(name, sequence) for name in TISSUES}
    if count_bones:
        palette = {name: (*pair, float(name in _WATERY)) for name, pair in palette.items()}
    profile = _profile(planes.offsets_mm, thickness_mm)

    def one(k: int) -> None:
        _fill_slice(anatomy, planes, k, palette, profile, content)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, range(shape[2])))
    return content


def _profile(offsets_mm: NDArray[np.float64], thickness_mm: float) -> Floats:
    # A selective pulse excites a trapezoid: flat within, falling over a fifth at either side.
    away = np.abs(offsets_mm) / thickness_mm
    weights = np.clip((0.6 - away) / 0.2, 0, 1)
    return f32(weights / weights.sum())


def _fill_slice(
    anatomy: Anatomy,
    planes: Planes,
    k: int,
    palette: Palette,
    profile: Floats,
    content: Content,
) -> None:
    # As wide as what lies between two planes, so that slanting surfaces show no terraces.
    step = max(planes.grid.spacing_mm[0], 0.8 * planes.grid.spacing_mm[2] / len(profile))
    for tile in planes.tiles:
        f = planes.in_tile(k, tile)
        picture = _Picture(f["body"].shape, palette)
        picture.paint(anatomy.plan.layers(f, anatomy.person, step))
        for number, bone in enumerate(anatomy.plan.BONES):
            box = _box(f[f"bone.{bone}"].min(0) < step)
            if box is None:
                continue
            part = {key: value[:, box[0], box[1]] for key, value in f.items()}
            _paint_bone(anatomy, bone, part, step, picture.cut(box))
            if len(content.bones):
                place = (*_shifted(box, tile.window), k)
                _count(content, number, place, part, bone, step)
        texture = profile[:, None, None] * (1 + np.float32(_TEXTURE) * f["fine"])
        place = (*tile.window, k)
        content.water[place] = (picture.pools[0] * texture).sum(0)
        content.fat[place] = (picture.pools[1] * texture).sum(0)
        if len(content.bones) and picture.wet:
            bone = content.bones[(slice(None), *place)].max(0) >= 0.5
            watery = picture.pools[2].mean(0) >= _WATERY_SHARE
            labels = content.look_alikes[place]
            labels[bone & watery & (labels == 0)] = PARTIAL_VOLUME


def _box(inside: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    columns, rows = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(columns):
        return None
    return slice(columns[0], columns[-1] + 1), slice(rows[0], rows[-1] + 1)


def _shifted(box: tuple[slice, slice], window: tuple[slice, slice]) -> tuple[slice, slice]:
    first, second = (
        slice(b.start + w.start, b.stop + w.start) for b, w in zip(box, window, strict=True)
    )
    return first, second


def _paint_bone(anatomy: Anatomy, bone: str, f: Fields, step: float, picture: _Picture) -> None:
    inner = cover(f[f"bone.{bone}"] + f[f"cortex.{bone}"], step)
    whole = cover(f[f"bone.{bone}"], step)
    picture.paint([Layer("cortex", whole), Layer("yellow_marrow", inner)])
    picture.paint(anatomy.plan.marrow(f, anatomy.person, bone), within=inner)
    picture.paint(_blemishes(f), within=inner)


def _count(
    content: Content,
    number: int,
    place: tuple[slice, slice, int],
    f: Fields,
    bone: str,
    step: float,
) -> None:
    depth = f[f"bone.{bone}"] + f[f"cortex.{bone}"]
    inner = cover(depth, step)
    content.bones[number][place] = cover(f[f"bone.{bone}"], step).mean(0)
    content.marrow[number][place] = inner.mean(0)
    if f"border.{EDEMA}" in f:
        held = cover(np.maximum(depth, f[f"border.{EDEMA}"]), step)
        content.edema[number][place] = held.mean(0)
    _label(f, inner, content.look_alikes[place])


class _Picture:
    """Images on which tissues are laid over one another: water, fat, the share of the watery."""

    def __init__(self, shape: tuple[int, ...], palette: Palette) -> None:
        count = len(next(iter(palette.values())))
        self.pools = np.zeros((count, *shape), np.float32)
        self.wet = False  # nothing watery yet: a third of the work can wait
        self._palette = palette

    def cut(self, box: tuple[slice, slice]) -> _Picture:
        """Return a part of it; painting there paints here."""
        part = _Picture((0,), self._palette)
        part.pools, part.wet = self.pools[:, :, box[0], box[1]], self.wet
        return part

    def paint(self, layers: list[Layer], *, within: Floats | None = None) -> None:
        for layer in layers:
            if layer.opacity.max() <= 0:
                continue
            opacity = layer.opacity if within is None else layer.opacity * within
            values = self._palette[layer.tissue]
            self.wet = self.wet or any(values[2:])
            for pool, value in zip(self.pools, values if self.wet else values[:2], strict=False):
                pool += opacity * (np.float32(value) - pool)


def _blemishes(f: Fields) -> list[Layer]:
    tissues = [key.removeprefix("amount.") for key in f if key.startswith("amount.")]
    tissues.sort(key=lambda tissue: tissue.startswith("edema"))
    return [Layer(tissue, f[f"amount.{tissue}"]) for tissue in tissues]


def _label(f: Fields, inner: Floats, labels: NDArray[np.uint8]) -> None:
    known = {name: kind.label for name, kind in LOOK_ALIKES.items()} | dict(REGIONAL)
    for name, label in known.items():
        if f"border.{name}" in f:
            labels[((f[f"border.{name}"] < 0) & (inner > 0.5)).any(0)] = label


@dataclass(frozen=True)
class Faults:
    """Scanner faults of one series.

    Parameters
    ----------
    snr : float
        Of fat-suppressed yellow marrow, or five times less than that of T1 marrow.
    coil : float
        Depth of the coil's shading over the field, 0 to 1.
    fat_failure : tuple of float, optional
        RAS centre (3), radius in mm and residual fat in a ball where the suppression failed.
    ghost : float
        Amplitude of the ghosts along the rows' direction.
    """

    snr: float = 12.0
    coil: float = 0.25
    fat_failure: tuple[float, float, float, float, float] | None = None
    ghost: float = 0.0


def make_image(
    content: Content,
    grid: Grid,
    sequence: Sequence,
    faults: Faults,
    shift_px: float,
    rng: np.random.Generator,
) -> Floats:
    """Return the magnitude image, shape ``grid.shape``; yellow marrow at T1 is about 500."""
    water, fat = content.water, _shift_columns(content.fat, shift_px)
    left = residual_fat(grid, sequence, faults)
    if sequence.technique is Technique.DIXON_FAT:
        image = fat + sequence.residual_fat * water
    else:
        image = water + left * fat
    image = np.abs(_resolve(np.abs(image)))
    if faults.ghost:
        image = image + faults.ghost * np.roll(image, grid.shape[1] // 3, axis=1)
    image *= coil_shading(grid, faults.coil, rng)
    marrow = image_signal("yellow_marrow", sequence)
    sigma = np.float32(marrow / faults.snr)
    noise = rng.standard_normal((2, *grid.shape), dtype=np.float32) * sigma
    brightest = 500.0 if sequence.technique is Technique.SPIN_ECHO else 110.0
    return np.hypot(image + noise[0], noise[1]) * np.float32(brightest / marrow)


def residual_fat(grid: Grid, sequence: Sequence, faults: Faults) -> Floats | float:
    """Return the share of fat signal that is left: a number, or a map where saturation failed."""
    base = fat_weight(sequence)
    if faults.fat_failure is None or sequence.technique is not Technique.FAT_SAT:
        return base
    *centre, radius, worst = faults.fat_failure
    axes = [np.arange(n, dtype=np.float32) for n in grid.shape]
    index = np.meshgrid(*axes, indexing="ij", sparse=True)
    place = [
        sum(np.float32(grid.affine[a, b]) * index[b] for b in range(3))
        + np.float32(grid.affine[a, 3] - centre[a])
        for a in range(3)
    ]
    away = np.sqrt(place[0] ** 2 + place[1] ** 2 + place[2] ** 2) / np.float32(radius)
    return f32(base + (worst - base) * np.clip(1.3 - away, 0, 1) ** 2)


def _shift_columns(image: Floats, pixels: float) -> Floats:
    whole, share = int(np.floor(pixels)), np.float32(pixels - np.floor(pixels))
    first = np.roll(image, whole, axis=0) if whole else image
    return first * (1 - share) + np.roll(image, whole + 1, axis=0) * share


def _resolve(image: Floats) -> Floats:
    """Return the image at the resolution of an ordinary acquisition, with its faint ringing.

    K-space is filled to 95 % along the rows' direction and 80 % across, and tapered at its rim.
    """
    windows = []
    for n, filled in zip(image.shape[:2], (0.95, 0.8), strict=True):
        frequency = np.abs(np.fft.fftfreq(n)) * 2 / filled
        taper = 0.6 + 0.4 * np.cos(np.pi * frequency / 1.2)
        windows.append(f32(np.where(frequency > 1, 0, taper)))
    half = windows[0][:, None, None] * windows[1][: image.shape[1] // 2 + 1, None]
    spectrum = fft.rfft2(image, axes=(0, 1), workers=_THREADS)
    spectrum *= half
    return f32(fft.irfft2(spectrum, s=image.shape[:2], axes=(0, 1), workers=_THREADS))


def coil_shading(grid: Grid, depth: float, rng: np.random.Generator) -> Floats:
    """Return a smooth shading of mean about 1, as of a surface coil and a dielectric wave."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    a = f32(rng.uniform(-1, 1, 6))
    slope = a[0] * x + a[1] * y + np.float32(0.5) * a[2] * z
    bend = a[3] * x * y + a[4] * np.cos(np.float32(2.2) * x) + a[5] * np.cos(np.float32(2.2) * y)
    return np.exp(np.float32(depth) * (np.float32(0.5) * slope + np.float32(0.35) * bend))
