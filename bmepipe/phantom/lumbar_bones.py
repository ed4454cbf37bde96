"""The vertebrae T12 to L5: their places on a lordotic curve, their sizes and their shapes.

L5, 34.8 mm deep and 26.8 mm high, lies within one standard deviation of 196 people on CT: 35.7 SD
3.5 mm deep, 30.3 SD 1.9 mm high in front and 26.3 SD 1.9 mm behind (Cook and Baker 2021, Int J
Spine Surg 15:1072). How sizes grow from T12 to L5 follows Panjabi et al. 1992
(10.1097/00007632-199203000-00009) and Zhou et al. 2000 (10.1007/s005860050235), from memory, not
checked against the originals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from bmepipe.phantom.points import down, times, triple
from bmepipe.phantom.shapes import (
    Floats,
    capsule,
    ellipsoid,
    f32,
    rotation,
    smooth_max,
    smooth_min,
    within_box,
)


@dataclass(frozen=True)
class Level:
    """One vertebra: where its body is, how it leans and how large it is (half sizes in mm)."""

    name: str
    centre_mm: tuple[float, float, float]
    lean_deg: float  # of the upper endplate, forward positive
    wide_mm: float
    deep_mm: float
    high_mm: float

    def local(self, points_mm: Floats) -> Floats:
        """Return points in the vertebra's own frame, z along its axis; shape (..., 3)."""
        return times(points_mm - f32(self.centre_mm), rotation(0, self.lean_deg).T)


# Name, half width, half depth, half height, disc below (mm), and lean (degrees, forward positive).
_SPINE = (
    ("T12", 21.0, 15.0, 12.0, 6.5, -6.0),
    ("L1", 22.0, 15.8, 12.8, 8.0, -10.0),
    ("L2", 23.0, 16.4, 13.4, 9.5, -8.0),
    ("L3", 24.0, 16.8, 13.6, 10.5, 0.0),
    ("L4", 25.0, 17.2, 13.6, 11.0, 9.0),
    ("L5", 26.0, 17.4, 13.4, 10.0, 24.0),
)


@cache
def levels(lordosis: float) -> tuple[Level, ...]:
    """Return T12 to L5, the middle of L3 at the origin."""
    place = np.zeros(3)
    places, leans = [], []
    for number, (_, _, _, high, gap, lean) in enumerate(_SPINE):
        leans.append(lean * lordosis)
        places.append(place.copy())
        if number + 1 < len(_SPINE):
            below = _SPINE[number + 1]
            place = place + down(leans[-1]) * (high + gap / 2)
            place = place + down(below[5] * lordosis) * (gap / 2 + below[3])
    middle = places[3].copy()
    return tuple(
        Level(row[0], triple(at - middle), lean, row[1], row[2], row[3])
        for row, at, lean in zip(_SPINE, places, leans, strict=True)
    )


def vertebral_body(local: Floats, level: Level, grow_mm: float = 0.0) -> Floats:
    """Return the distance to a waisted drum with concave ends; points in its own frame."""
    x, y, z = local[..., 0], local[..., 1], local[..., 2]
    rise = z / level.high_mm
    waist = 1 - 0.09 * (1 - np.clip(rise**2, 0, 1.2))
    wide, deep = level.wide_mm * waist, level.deep_mm * waist
    flat = y + 0.10 * level.deep_mm * np.exp(-((x / 9) ** 2)) * (y < 0)  # the canal's hollow
    radial = ((np.abs(x) / wide) ** 2.5 + (np.abs(flat) / deep) ** 2.5) ** 0.4
    side = (radial - 1) * level.deep_mm
    dish = 1.6 * np.clip(1 - (x / level.wide_mm) ** 2 - (y / level.deep_mm) ** 2, 0, 1)
    ends = np.abs(z) - (level.high_mm - dish)
    return f32(smooth_max(f32(side), f32(ends), 0.9) - np.float32(grow_mm))


def _posterior(local: Floats, level: Level) -> Floats:
    # Mirrored halves: pedicle, lamina, articular and transverse processes; one spinous process.
    half = local.copy()
    half[..., 0] = np.abs(half[..., 0])
    deep, high = level.deep_mm, level.high_mm
    back = -deep
    arch = 16.0 + 0.25 * (level.wide_mm - 21)
    parts = [
        capsule(half, (12.5, back + 4, high * 0.45), (13.5, back - 9, high * 0.4), 5.0),
        capsule(half, (13.0, back - 12, 2.0), (3.0, back - arch - 6, -5.0), 3.6),
        ellipsoid(half, (15.5, back - 14, high * 0.95), (4.8, 4.8, 8.5)),
        ellipsoid(half, (13.0, back - 18, -high * 0.95), (4.5, 4.5, 9.0)),
        capsule(half, (15.0, back - 9, high * 0.35), (38.0, back - 13, high * 0.5), 3.0),
    ]
    flat = local * f32([1.9, 1, 1])
    start, end = (0.0, back - arch - 8, -5.0), (0.0, back - arch - 32, -10.0)
    parts.append(capsule(flat, start, end, 7.0) * 0.8)
    total = parts[0]
    for part in parts[1:]:
        total = smooth_min(total, part, 1.6)
    return total


def vertebra(points: Floats, level: Level) -> Floats:
    """Return the distance to a vertebra; far from it, the distance to a box around it."""
    low = f32([-46, -level.deep_mm - 62, -level.high_mm - 22])
    high = f32([46, level.deep_mm + 4, level.high_mm + 14])
    return within_box(level.local(points), low, high, lambda local: _whole(local, level))


def _whole(local: Floats, level: Level) -> Floats:
    canal = capsule(local, (0, -level.deep_mm - 8, -40), (0, -level.deep_mm - 8, 40), 8.5)
    arch = smooth_max(_posterior(local, level), -canal, 0.8)
    return smooth_min(vertebral_body(local, level), arch, 1.5)
