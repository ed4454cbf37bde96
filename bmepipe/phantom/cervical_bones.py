"""The bones of the neck as signed distances.

Every bone is a smooth union of simple solids, trimmed where a neighbour comes closer than a joint
is wide, so that none overlap, whatever the curve. Frames and sizes are those of `cervical_levels`.
"""

from __future__ import annotations

import numpy as np

from bmepipe.phantom.cervical_levels import JOINT_MM, Level, boxed, mirrored, tilted
from bmepipe.phantom.cervical_others import atlas, ribs, skull_base
from bmepipe.phantom.shapes import (
    FAR_MM,
    Floats,
    capsule,
    ellipsoid,
    f32,
    smooth_max,
    smooth_min,
    smooth_step,
)

BONES = ("C2", "C3", "C4", "C5", "C6", "C7", "T1")


def bone_distances(points_mm: Floats, spine: tuple[Level, ...]) -> dict[str, Floats]:
    """Return the distance to every vertebra C2 to T1, and to "others": C1, T2, T3, the skull."""
    found: dict[str, Floats] = {}
    upper: Floats = np.full(points_mm.shape[:-1], FAR_MM, np.float32)
    for level in spine:
        upper = np.maximum(
            boxed(points_mm, level, _axis if level.name == "C2" else _vertebra), JOINT_MM - upper
        )
        found[level.name] = upper
    below = np.minimum(found.pop("T2"), found.pop("T3"))
    below = np.minimum(below, ribs(points_mm, spine[6:8]))
    skull = skull_base(points_mm, spine[0])
    ring = np.maximum(boxed(points_mm, spine[0], atlas), JOINT_MM - found["C2"])
    ring = np.maximum(ring, JOINT_MM - skull)
    found["others"] = np.minimum(np.minimum(below, ring), skull)
    return found


def body_distance(local: Floats, level: Level) -> Floats:
    """Return the distance to a vertebral body; points in its own frame, shape (..., 3)."""
    x, y, z = np.abs(local[..., 0]), local[..., 1], local[..., 2]
    wide, deep, high = level.wide_mm, level.deep_mm, level.high_mm
    waist = 1 - 0.07 * np.clip(1 - (z / high) ** 2, 0, 1)
    flat = y * (1 + 0.10 * (y < 0))  # the rear is flat
    flare = wide * (waist + 0.13 * smooth_step(z, 0, high + 3))  # towards the uncinate processes
    radial = ((x / flare) ** 2.6 + (np.abs(flat) / (deep * waist)) ** 2.6) ** (1 / 2.6)
    side = (radial - 1) * deep
    ahead = y / deep
    # A saddle: the upper face dips from side to side between the uncinate processes and slopes
    # forward, the lower face is hollow from front to back and has a lip in front.
    lip = 4.2 * smooth_step(x, wide - 4.4, wide - 0.6) * smooth_step(y, deep, 0)
    top = high - 0.7 * np.clip(1 - (x / wide) ** 2, 0, 1) - 0.9 * np.clip(ahead, 0, 1.1) ** 2 + lip
    hollow = 1.5 * np.clip(1 - ahead**2, 0, 1) + 1.8 * smooth_step(x, wide - 4.0, wide + 0.4)
    bottom = -high - 0.5 * np.clip(ahead, 0, 1) + hollow
    return smooth_max(f32(side), f32(np.maximum(z - top, bottom - z)), 0.6)


def _vertebra(local: Floats, level: Level) -> Floats:
    half = mirrored(local)
    arch = smooth_max(_arch(half, local, level), -_canal(local, level), 0.8)
    whole = smooth_min(body_distance(local, level), arch, 1.0)
    if level.name in ("C3", "C4", "C5", "C6"):
        hole = capsule(half, (*artery_place(level), -30), (*artery_place(level), 30), 3.0)
        whole = smooth_max(whole, -hole, 0.5)
    return whole


def artery_place(level: Level) -> tuple[float, float]:
    """Return where the vertebral artery passes a vertebra, x and y of its own frame."""
    return level.wide_mm + 5.8, 3.5 - level.deep_mm


def _canal(local: Floats, level: Level) -> Floats:
    # A rounded triangle, wider than deep.
    y = -level.deep_mm - 8.0
    narrow = local * f32([0.68, 1, 1])
    return capsule(narrow, (0, y, -60), (0, y, 60), 7.8)


def _arch(half: Floats, local: Floats, level: Level) -> Floats:
    back, thoracic = -level.deep_mm, level.name[0] == "T"
    parts = [
        capsule(half, (level.wide_mm - 2, back + 2, 1.0), (16.5, back - 5, 0.5), 3.1),
        _pillar(half, level),
        capsule(half * f32([1, 1, 0.5]), (15, back - 12, -0.5), (2, back - 18.5, -2), 2.6),
        _spinous(half, level),
    ]
    if level.name == "C7" or thoracic:
        out = 30.0 if level.name == "C7" else 34.0
        parts.append(capsule(half, (15, back - 4, 1), (out, back - 7, 3.0), 4.0))
    else:
        x, y = artery_place(level)
        parts += [
            capsule(half, (level.wide_mm - 1, y + 3.5, -1.5), (x + 5.5, y + 4.5, -3), 2.2),
            capsule(half, (17, back - 4, -0.5), (x + 6.5, y + 0.5, -4), 2.3),
            capsule(half, (x + 5.5, y + 4.5, -3), (x + 6.5, y - 0.5, -4), 2.0),
        ]
    total = parts[0]
    for part in parts[1:]:
        total = smooth_min(total, part, 1.2)
    return total


def _pillar(half: Floats, level: Level) -> Floats:
    # A slanting prism: the facets face up and back, and down and forward, like shingles.
    x, y, z = half[..., 0], half[..., 1] + level.deep_mm + 7.0, half[..., 2]
    steep = np.deg2rad({"C7": 52.0, "T1": 60.0}.get(level.name, 45.0))
    across = np.abs(z * np.cos(steep) - y * np.sin(steep))
    pitch = 2 * level.high_mm + level.gap_mm
    thick = (pitch * np.cos(steep) - JOINT_MM) / 2
    box = smooth_max(f32(across - thick), f32(np.abs(y) - 6.0), 0.7)
    return smooth_max(box, f32(np.abs(x - 18.0) - 5.8), 1.0)


def _spinous(half: Floats, level: Level) -> Floats:
    root, tip = -level.deep_mm - 18.0, -level.deep_mm - 18.0 - level.spine_mm
    if level.name in ("C7", "T1", "T2", "T3"):
        blade = capsule(half * f32([1.5, 1, 1]), (0, root, -2), (0, tip, -level.drop_mm), 4.4)
        knob = ellipsoid(half, (0, tip, -level.drop_mm), (4.2, 4.5, 4.6))
        return smooth_min(blade * 0.9, knob, 1.0)
    middle = (0.0, root + 0.4 * (tip - root), -2 - 0.4 * (level.drop_mm - 2))
    thick = 4.6 if level.name == "C2" else 3.3
    blade = capsule(half, (0, root, -2), middle, thick)
    fork = capsule(half, middle, (4.0, tip, -level.drop_mm), 0.85 * thick)
    return smooth_min(blade, fork, 1.0)


def _axis(local: Floats, level: Level) -> Floats:
    # C2: dens, sloping shoulders that carry the atlas, a strong forked spinous process.
    half = mirrored(local)
    x, y, z = half[..., 0], local[..., 1], local[..., 2]
    back, high = -level.deep_mm, level.high_mm
    narrow = f32(level.wide_mm * (1 - 0.10 * smooth_step(z, -8, 6)))
    radial = ((x / narrow) ** 2.4 + (np.abs(y) / level.deep_mm) ** 2.4) ** (1 / 2.4)
    hollow = 1.5 * np.clip(1 - (y / level.deep_mm) ** 2, 0, 1)
    bottom = -high - 0.9 * np.clip(y / level.deep_mm, 0, 1) + hollow
    ends = np.maximum(z - high, bottom - z)
    trunk = smooth_max(f32((radial - 1) * level.deep_mm), f32(ends), 1.0)
    parts = [
        dens(local, level),
        tilted(half, (13.0, -2.0, 6.5), (8.4, 8.6, 5.4), 22),
        capsule(half, (13, -3, 3), (16.5, back - 7, -7), 4.6),
        ellipsoid(half, (17.5, back - 8.5, -9), (5.6, 5.8, 6.2)),
        capsule(half, (16, -2, 1), (24, -4, -3), 2.6),
        capsule(half * f32([1, 1, 0.55]), (15, back - 10, -2), (2, back - 17.5, -1.5), 3.0),
        _spinous(half, level),
    ]
    total = trunk
    for part in parts:
        total = smooth_min(total, part, 1.3)
    hole = capsule(half, (16.5, 1.0, -14), (18.5, -1.5, 6), 3.0)
    total = smooth_max(total, -_canal(local, level), 0.8)
    return smooth_max(total, -hole, 0.5)


def dens(local: Floats, level: Level) -> Floats:
    """Return the distance to the dens, 10 mm wide and tipped back; points in the frame of C2."""
    top = level.high_mm
    shaft = capsule(local, (0, 0.5, top - 4), (0, -1.6, top + 9.5), 4.7)
    head = ellipsoid(local, (0, -1.6, top + 8.0), (5.4, 5.6, 7.6))
    return smooth_min(shaft, head, 1.0)
