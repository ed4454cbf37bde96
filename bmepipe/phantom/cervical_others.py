"""Bones of the neck that have no label at the site: C1, the first ribs, the base of the skull.

Drawn after anatomy, in proportion to the vertebrae of `cervical_levels`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmepipe.phantom.cervical_levels import Level, mirrored, tilted
from bmepipe.phantom.shapes import (
    Floats,
    capsule,
    ellipsoid,
    f32,
    smooth_max,
    smooth_min,
    smooth_step,
)


def atlas(local: Floats, level: Level) -> Floats:
    """Return the distance to C1, a ring around the dens; points in the frame of C2."""
    half = mirrored(local)
    z = level.high_mm + 5.5
    ring = [(5.0, 9.6, z), (12.5, 5.5, z - 0.5), (18.5, -3.0, z - 1), (16.0, -21.0, z - 2)]
    parts = [
        capsule(half * f32([1, 1, 0.62]), (0, 10.0, 0.62 * (z + 1)), (5, 9.2, 0.62 * z), 2.7),
        ellipsoid(half, (0, 11.8, z - 1), (3.5, 2.6, 3.4)),
        capsule(half, ring[0], ring[1], 3.0),
        tilted(half, (15.6, -2.5, z - 0.5), (7.0, 9.0, 7.2), -8),
        capsule(half, ring[2], (32.0, -5.0, z - 3), 3.4),
        capsule(half, ring[2], ring[3], 3.0),
        capsule(half, ring[3], (5.0, -32.5, z - 2), 3.0),
        capsule(half, (5.0, -32.5, z - 2), (0, -34.0, z - 2), 3.6),
    ]
    total = parts[0]
    for part in parts[1:]:
        total = smooth_min(total, part, 1.0)
    hole = capsule(half, (24.5, -4.0, 0), (24.5, -4.0, 40), 2.9)
    return smooth_max(total, -hole, 0.5)


def ribs(points: Floats, spine: Sequence[Level]) -> Floats:
    """Return the distance to the first two ribs, from the transverse processes forward."""
    half = mirrored(points)
    parts = []
    for level, wide in zip(spine, (56.0, 66.0), strict=True):
        x, y, z = level.centre_mm
        bows = ((x + 36, y - 17, z + 3), (wide, y - 2, z - 10), (wide - 2, y + 30, z - 24))
        ends = (bows[2], (x + 24, y + 56, z - 36))
        parts += [capsule(half, bows[0], bows[1], 4.2), capsule(half, bows[1], bows[2], 4.2)]
        parts.append(capsule(half, *ends, 4.2))
    return np.minimum.reduce(parts)


def head_frame(points: Floats, top: Level) -> Floats:
    """Return points in the frame of the head: origin at the tip of the dens, along C2's axes."""
    return f32(top.local(points) - f32([0, -1.6, top.high_mm + 15.6]))


def skull_base(points: Floats, top: Level) -> Floats:
    """Return the distance to the shell around the posterior fossa, clivus, condyles, mastoids."""
    head = head_frame(points, top)
    half = mirrored(head)
    shell = np.abs(fossa(head)) - np.float32(2.6) - 1.8 * smooth_step(head[..., 1], -40, -75)
    hole = capsule(head * f32([1.15, 1, 1]), (0, -13, -30), (0, -13, 30), 17.0)
    shell = smooth_max(f32(shell), -hole, 1.0)
    clivus = capsule(head * f32([0.5, 1, 1]), (0, 6.5, 8.5), (0, 31, 42), 4.6)
    condyle = ellipsoid(half, (16.5, -5.0, 3.0), (6.0, 10.5, 5.0))
    mastoid = ellipsoid(half, (52.0, -4.0, 8.0), (9.0, 12.0, 18.0))
    parts = [clivus, condyle, mastoid]
    total = f32(shell)
    for part in parts:
        total = smooth_min(total, part, 1.5)
    return total


def fossa(head: Floats) -> Floats:
    """Return the distance to the inner table of the posterior fossa, in the frame of the head."""
    low = ellipsoid(head, (0, -34.0, 44.0), (54.0, 56.0, 45.0))
    return smooth_max(low, f32(-2.6 - head[..., 2] - 0.05 * head[..., 1]), 4.0)
