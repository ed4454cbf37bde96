"""What lies right under the fat of a shoulder: deltoid, trapezius, pectoralis; their surface."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from bmepipe.phantom.shapes import Floats, capsule, ellipsoid, f32, smooth_min, smooth_step
from bmepipe.phantom.shoulder_bones import tube

# The hull of the deltoid by height: its middle and half widths in x and y, in mm.
_CAP = (
    (-150, -100, -60, -30, 0, 16, 26, 34),
    (6, 7, 6, 4, 0, -4, -8, -11),
    (0, -1, -1, -1, -2, -3, -4, -4),
    (24, 28, 35, 42, 46.5, 43, 35, 25),
    (26, 30, 37, 43, 46, 44, 40, 32),
)


def flesh(points_mm: Floats, points: Floats) -> Floats:
    """Return the distance to the surface beneath the subcutaneous fat."""
    arm = capsule(points, (4, 0, -70), (6, 0, -220), 43.0)
    top = capsule(points, (-9, -6, 6), (-110, -10, 25), 39.0)
    whole = smooth_min(smooth_min(_hull(points), arm, 6.0), top, 8.0)
    trunk = ellipsoid(points_mm, (-172, -14, -130), (158, 112, 200))
    whole = smooth_min(whole, trunk, 12.0)
    front = tube(points, ((-30, 34, 0, 24), (-90, 74, 6, 34)))
    return smooth_min(whole, front, 10.0)


def mantle(points: Floats, surface: Floats, roof: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the distances to deltoid, trapezius, pectoralis: what lies right under the fat.

    `roof` is the distance to the surface that the deltoid glides on.
    """
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    # The first two start at clavicle, acromion and spine: one below that line, one above it.
    line = f32(37.0 - 12.0 * smooth_step(y, -18, -44) + 3.0 * smooth_step(y, 0, 14))
    edge = f32(x + 40.0 + 0.30 * z - 0.45 * np.maximum(y, 0) + 0.25 * np.maximum(-y - 20, 0))
    # Down to the shaft of the humerus; thin towards the chest.
    thick = 18.0 - 5.0 * smooth_step(z, 0, 30) + 9.0 * smooth_step(z, -14, -56)
    thick = (thick - 13.0 * smooth_step(z, -80, -125)) * np.sqrt(smooth_step(edge, 0, 34))
    top = f32(z - line + 0.5 * np.maximum(x - 6.0, 0))
    deltoid = [surface + 0.8, -surface - thick, -edge, top, 0.9 - roof]
    thin = 3.0 + 7.0 * smooth_step(x, -26, -70)
    trapezius = [surface + 0.8, -surface - thin, x + 22.0, line + 2.0 - z]
    broad = 13.0 * np.sqrt(smooth_step(z, 37, 10))  # from the clavicle downwards
    pectoralis = [surface + 0.8, -surface - broad, edge - 6.0, 14.0 - 0.5 * x - y]
    return (
        f32(np.maximum.reduce(deltoid)),
        f32(np.maximum.reduce(trapezius)),
        f32(np.maximum.reduce(pectoralis)),
    )


@cache
def _cap() -> tuple[Floats, ...]:
    # A smooth curve through the table, finely enough to be read off linearly.
    height = np.linspace(_CAP[0][0], _CAP[0][-1], 120)
    return f32(height), *(f32(PchipInterpolator(_CAP[0], row)(height)) for row in _CAP[1:])


def _hull(points: Floats) -> Floats:
    # Distance to a rod of changing, rounded section, closed at its top.
    height, *rows = _cap()
    along = points[..., 2]
    mid_x, mid_y, wide, deep = (np.interp(along, height, row).astype(np.float32) for row in rows)
    around = np.hypot((points[..., 0] - mid_x) / wide, (points[..., 1] - mid_y) / deep) - 1
    side, top = f32(around * np.minimum(wide, deep)) + 20.0, along - height[-1] + 16.0
    corner = np.hypot(np.maximum(side, 0), np.maximum(top, 0))  # its edge is rounded by 20 mm
    return f32(np.minimum(np.maximum(side, top), 0) + corner - 20.0)
