"""The courses of tendons, ligaments, vessels and nerves past the ankle.

In the frame of `ankle`, mm, drawn after anatomy and not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from bmepipe.phantom.shapes import FAR_MM, Floats

_NEAR_MM = 3.5
Line = tuple[tuple[float, float, float], ...]
# Course and radius of what runs past the joint, in mm.
TENDONS: tuple[tuple[Line, float], ...] = (
    (((-20, -15, 90), (-23, -13, 30), (-25, -8, 4), (-27, 22, -7), (-26, 38, -9)), 2.6),  # tib. p.
    (((-14, -18, 90), (-19, -19, 26), (-21, -11, 0), (-18, 8, -21), (-4, 70, -38)), 1.9),  # digits
    (((5, -25, 34), (-4, -27, 2), (-10, -16, -12), (-12, 6, -26), (-16, 100, -44)), 2.2),  # hallux
    (((27, -19, 40), (27, -18, 4), (28, -4, -20), (29, 24, -28), (31, 60, -28)), 2.0),  # per. br.
    (
        ((30, -20, 40), (29, -22, 0), (30, -8, -26), (27, 34, -37), (-10, 74, -34)),
        2.1,
    ),  # per. long.
    (((-7, 23, 90), (-12, 27, 30), (-20, 46, 16), (-30, 62, -2)), 2.6),  # tibialis anterior
    (((2, 24, 60), (-2, 28, 26), (-8, 46, 20), (-19, 110, -6)), 1.7),  # extensor of the hallux
    (((9, 24, 60), (9, 28, 24), (10, 48, 16), (12, 110, -12)), 1.9),  # extensor of the digits
)
LIGAMENTS: tuple[tuple[Line, float], ...] = (
    (((21, 3, 2), (13, 16, -1)), 1.2),  # anterior talofibular
    (((24, -8, -6), (20, -18, -20)), 1.3),  # calcaneofibular
    (((19, -11, 0), (2, -20, -3)), 1.4),  # posterior talofibular
    (((-22, 6, 7), (-17, 6, -12)), 1.8),  # deltoid
    (((-20, -3, 8), (-14, -10, -4)), 2.0),
    (((9, 9, -4), (12, 11, -15)), 1.3),  # of the tarsal sinus
    (((3, 6, -6), (7, 7, -14)), 1.3),
    (((12, 17, 28), (21, 2, 20)), 1.3),  # syndesmosis
    (((12, -19, 28), (20, -12, 16)), 1.5),
    (((-14, 8, -19), (-18, 34, -14)), 1.7),  # spring ligament
    (((10, -20, -40), (16, 42, -38)), 1.7),  # long plantar
    (((14, 24, -11), (8, 36, -9)), 1.1),  # bifurcate
)
VEINS: tuple[tuple[Line, float], ...] = (
    (((-15, -25, 90), (-19, -24, 20), (-19, -15, -6), (-16, 6, -30)), 1.5),
    (((-11, -26, 90), (-15, -26, 18), (-16, -20, -8), (-10, 2, -33)), 1.3),
    (((-28, 14, 90), (-27, 18, 22), (-24, 36, 14), (-18, 80, 8)), 1.5),  # great saphenous
    (((14, -44, 90), (25, -32, 18), (31, -12, -12), (34, 30, -24)), 1.3),  # small saphenous
    (((4, 24, 70), (3, 31, 22), (0, 50, 17)), 1.0),
    (((8, 8, -8), (16, 12, -11)), 0.8),
)
ARTERIES: tuple[tuple[Line, float], ...] = (
    (((-13, -25, 90), (-17, -25, 20), (-18, -17, -6), (-13, 4, -31)), 1.2),
    (((2, 25, 70), (1, 30, 22), (-3, 50, 17)), 1.0),
)
NERVES: tuple[tuple[Line, float], ...] = (
    (((-8, -28, 90), (-13, -29, 20), (-14, -23, -6), (-8, 0, -36)), 2.0),
    (((17, -42, 90), (27, -28, 10), (33, 0, -20)), 1.1),
)


def ropes(points: Floats, lines: Sequence[tuple[Line, float]]) -> Floats:
    """Return the distance to the nearest of some ropes, each a course and a radius."""
    flat = points.reshape(-1, 3)
    found = np.full(len(flat), FAR_MM, np.float32)
    for line, radius in lines:
        # Farther away than the bound only that it is far matters.
        away, _ = _curve(line).query(flat, distance_upper_bound=radius + _NEAR_MM)
        found = np.minimum(found, np.minimum(away - radius, _NEAR_MM).astype(np.float32))
    return found.reshape(points.shape[:-1])


@cache
def _curve(line: Line) -> cKDTree:
    # A smooth course through the stations, as points close enough to stand for a curve.
    stations = np.array(line)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(stations, axis=0), axis=1))])
    fine = np.linspace(0, along[-1], int(2 * along[-1]) + 2)
    return cKDTree(PchipInterpolator(along, stations)(fine))
