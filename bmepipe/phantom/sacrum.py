"""The sacrum: a fitted solid with its canal, foramina and the remnants of its discs.

In the frame of ``data/pelvis.json``: +x to the right, +y anterior, +z superior, in mm; the endplate
has its middle at y 38, z 36 and leans by 28 degrees. Courses of canal and foramina are drawn after
anatomy, not measured.
"""

from __future__ import annotations

import numpy as np

from bmepipe.phantom.points import Floats, pack, split, times
from bmepipe.phantom.shapes import (
    capsule,
    ellipsoid,
    f32,
    load_solids,
    rotation,
    smooth_max,
    smooth_min,
)

# Height of the foramina below S1, S2 and S3 as y and z on the front of the bone, and their size.
_FORAMINA = ((26.0, 12.0, 1.0), (8.0, -8.0, 0.85), (-8.0, -26.0, 0.7))
_FORWARD = (0.74, -0.67)  # y and z of the direction in which they open


def sacrum_distance(points: Floats) -> Floats:
    """Return the distance to the bone, without what is hollow in it."""
    whole = load_solids("pelvis")["sacrum"].distance(points, reach_mm=10)
    whole = smooth_max(whole, -sacral_canal(points), 1.0)
    holes = np.minimum(sacral_discs(points), sacral_foramina(points))
    return smooth_max(whole, -holes, 0.5)


def sacral_canal(points: Floats) -> Floats:
    """Return the distance to the canal, from that of L5 to the hiatus."""
    upper = capsule(points, (0, 16, 50), (0, -18, 14), 7.5)
    return smooth_min(upper, capsule(points, (0, -18, 14), (0, -40, -22), 4.0), 2.0)


def sacral_discs(points: Floats) -> Floats:
    """Return the distance to the remnants of the discs S1/S2 and S2/S3: slits from the front."""
    slits = [
        ellipsoid(times(points - f32(at), rotation(0, 42).T), (0, 0, 0), (10.0, 8.0, 1.0))
        for at in ((0, 26, 12), (0, 8, -8))
    ]
    return np.minimum(*slits)


def sacral_foramina(points: Floats) -> Floats:
    """Return the distance to the holes in which the roots leave the canal, wide in front."""
    x, y, z = split(points)
    half, parts = pack(np.abs(x), y, z), []
    for height in _FORAMINA:
        front, middle, back = _course(height)
        parts.append(capsule(half, front, middle, 4.6 * height[2]))
        parts.append(capsule(half, middle, back, 2.5 * height[2]))
    return np.minimum.reduce(parts)


def sacral_roots(points: Floats) -> Floats:
    """Return the distance to the nerve roots within the foramina."""
    x, y, z = split(points)
    half = pack(np.abs(x), y, z)
    roots = []
    for height in _FORAMINA:
        front, middle, _ = _course(height)
        roots.append(capsule(half, front, middle, 2.3 * height[2]))
    return np.minimum.reduce(roots)


def _course(height: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    y, z, size = height
    across = ((21.0, 6.0), (15.0, -17.0), (15.0, -38.0))  # aside, and ahead of the front
    return [
        (aside * (0.6 + 0.4 * size), y + _FORWARD[0] * ahead, z + _FORWARD[1] * ahead)
        for aside, ahead in across
    ]
