"""Humerus, scapula and clavicle as signed distances.

The frame of the scapula, for a right shoulder: origin in the centre of the humeral head, +x from
the scapula to the glenoid (lateral), +y out of its ventral surface (anterior), +z superior, in mm.
The scapula is laid out in it, the humerus turns in it about its own length.

The sizes are those of adults (mean and SD):

- scapula 155 (16) mm long, glenoid 29 (3) x 36 (4) mm and facing backwards by 8 (4) degrees, its
  head 22 (4) mm thick 1 cm from the face, acromion 48 (5) x 22 (4) x 9 (1) mm, 16 (2) mm above the
  glenoid, spine 18 mm and at its lateral edge 46 (6) mm from front to back, coracoid 11 (1) mm
  thick: von Schroeder et al. 2001 (10.1097/00003086-200102000-00015);
- humeral head of 23 (17 to 28) mm radius, its centre 7 mm medially and 2 mm behind the axis of the
  shaft: Robertson et al. 2000 (J Bone Joint Surg Am 82:1594);
- retroversion 21.4 degrees: Roberts et al. 1991 (10.1302/0301-620X.73B4.2071652).

The clavicle is drawn after anatomy: 145 mm long, 22 x 11 mm at its flat lateral end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from bmepipe.phantom.person import Person
from bmepipe.phantom.points import dot, length
from bmepipe.phantom.shapes import (
    FAR_MM,
    Floats,
    capsule,
    ellipsoid,
    f32,
    rotation,
    smooth_max,
    smooth_min,
    smooth_step,
    turn,
)

BONES = ("humerus", "scapula", "clavicle")
HEAD_RADIUS_MM = 23.0
PLANE_DEG = 35.0  # mean turn of the scapula out of the coronal plane, its glenoid forward
Station = tuple[float, float, float, float]  # a point and the radius there

_GROOVE: tuple[Station, ...] = (
    (18.5, 19.5, 14, 4.6),
    (19.5, 18.5, 0, 4.4),
    (18.0, 16.0, -18, 4.0),
    (14.0, 12.5, -52, 3.4),
)
_CREST: tuple[Station, ...] = (
    (-132, -11, 3, 4.0),
    (-92, -26, 13, 4.6),
    (-60, -37, 20, 5.2),
    (-40, -42, 24, 5.6),
    (-18, -36, 28, 6.0),
)
_CORACOID: tuple[Station, ...] = (
    (-40, 2, 9, 9.0),
    (-39, 11, 16.5, 7.4),
    (-32, 23, 18.5, 6.2),
    (-18, 35, 12, 5.4),
)
# Outline of the blade as half planes: a point on each edge and its outward normal, in x and z.
_EDGES = (
    ((-40, 15), (0.10, 0.99)),
    ((-62, 14), (0.38, 0.925)),
    ((-132, 5), (-0.98, 0.2)),
    ((-128, -30), (-0.97, -0.22)),
    ((-38, -18), (0.83, -0.56)),
)
_CLAVICLE: tuple[Station, ...] = (
    (-19, 5, 38.5, 5.2),
    (-28, 13, 41.5, 5.6),
    (-42, 25, 44, 5.4),
    (-51, 37, 44, 5.6),
    (-60, 52, 42, 5.8),
    (-70, 68, 38, 6.2),
    (-82, 85, 33, 6.4),
    (-95, 102, 29, 7.2),
    (-108, 120, 26, 9.0),
)


def scapular_frame(points_mm: Floats, person: Person) -> Floats:
    """Return canonical points in the frame of the scapula; shape (..., 3)."""
    return turn(points_mm, rotation(2, -person.traits["plane_deg"]), (0, 0, 0))


def arm_frame(scapular_mm: Floats, person: Person) -> Floats:
    """Return points of the scapula's frame in that of the humerus: turned, held off the body."""
    traits = person.traits
    matrix = rotation(1, traits["abduct_deg"]) @ rotation(2, -traits["rotation_deg"])
    return turn(scapular_mm, matrix.T @ np.eye(3, dtype=np.float32), (0, 0, 0))


def bone_distances(scapular_mm: Floats, person: Person) -> dict[str, Floats]:
    """Return the distance to every bone of the site at points of the scapula's frame."""
    gap = np.float32(person.traits["joint_mm"])
    humerus = humerus_distance(arm_frame(scapular_mm, person))
    scapula = np.maximum(_scapula(scapular_mm, person), gap - humerus)
    clavicle = np.maximum(_clavicle(scapular_mm), np.float32(person.traits["ac_mm"]) - scapula)
    return {"humerus": humerus, "scapula": scapula, "clavicle": clavicle}


def humerus_distance(arm_mm: Floats) -> Floats:
    """Return the distance to the humerus at points of its own frame."""
    x, y, z = arm_mm[..., 0], arm_mm[..., 1], arm_mm[..., 2]
    head = length(arm_mm) - np.float32(HEAD_RADIUS_MM)
    wide = 11.4 + 10.0 * smooth_step(z, -54, 0)
    shaft = f32(np.hypot(x - 7.0 + 2.0 * smooth_step(z, -40, 0), y - 2.0) - wide)
    whole = smooth_min(head, smooth_max(shaft, z - 3.0, 4.0), 1.5)
    for tuberosity in (
        ellipsoid(arm_mm, (18.5, 5.0, 4.0), (9.8, 12.5, 12.5)),  # upper facet
        ellipsoid(arm_mm, (17.5, -7.0, 1.0), (10.0, 12.0, 13.0)),  # middle facet
        ellipsoid(arm_mm, (13.5, -15.0, -8.0), (9.0, 9.5, 13.0)),  # lower facet
        ellipsoid(arm_mm, (7.5, 19.0, -2.0), (8.5, 7.5, 13.0)),  # lesser tuberosity
    ):
        whole = smooth_min(whole, tuberosity, 1.6)
    return smooth_max(whole, -tube(arm_mm, _GROOVE), 1.2)


def glenoid_radius(scapular_mm: Floats, person: Person) -> Floats:
    """Return how far out from the middle of the glenoid a point lies; 1 on its pear-shaped rim."""
    y, z = scapular_mm[..., 1], scapular_mm[..., 2] + 1.0
    version = np.float32(np.tan(np.deg2rad(person.traits["version_deg"])))
    wide = 13.1 - 3.6 * smooth_step(z, 0, 17)
    return f32(np.hypot((y - version * (scapular_mm[..., 0] + 27.0)) / wide, z / 18.0))


def _scapula(points: Floats, person: Person) -> Floats:
    x = points[..., 0]
    rim = glenoid_radius(points, person)
    # The head of the scapula tapers to its neck.
    taper = 0.2 + 0.8 * np.clip((x + 62.0) / 36.0, 0, 1)
    head = smooth_max(f32((rim - taper) * 13.5), f32(np.abs(x + 40.0) - 21.0), 1.2)
    whole = smooth_min(head, _blade(points), 3.0)
    border = tube(points, ((-37, -2, -16, 6.5), (-66, -7, -62, 5.4), (-100, -5, -114, 6.0)))
    neck = tube(points, ((-46, -3, -6, 8.0), (-62, -7, -26, 4.5), (-74, -9, -52, 3.0)))
    whole = smooth_min(smooth_min(whole, border, 2.0), neck, 3.0)
    whole = smooth_min(whole, tube(points, _fine(_CORACOID)), 2.5)
    spine = smooth_min(_shelf(points), tube(points, _fine(_CREST)), 1.5)
    return smooth_min(smooth_min(whole, spine, 1.5), _acromion(points, person), 2.5)


def _blade(points: Floats) -> Floats:
    x, z = points[..., 0], points[..., 2]
    outline = np.full(x.shape, -FAR_MM, np.float32)
    for (ex, ez), (nx, nz) in _EDGES:
        outline = np.maximum(outline, f32((x - ex) * nx + (z - ez) * nz))
    plate = f32(np.abs(points[..., 1] - blade_height(x)) - 1.9)
    return smooth_max(plate, outline, 1.0)


def blade_height(x: Floats) -> Floats:
    """Return the y of the blade's middle surface, hollow in front."""
    return f32(-9.0 + 8.0 * np.clip((x + 85.0) / 45.0, -1.1, 1.1) ** 2)


def _shelf(points: Floats) -> Floats:
    """Return the distance to the plate of the spine, from the blade up to the crest."""
    x = np.clip(points[..., 0], -132, -30)
    crest = np.array(_fine(_CREST)).T
    root_y, root_z = blade_height(x), f32(4.0 + 6.0 * smooth_step(x, -120, -55))
    tip_y = np.interp(x, crest[0], crest[1]).astype(np.float32)
    tip_z = np.interp(x, crest[0], crest[2]).astype(np.float32)
    along_y, along_z = tip_y - root_y, tip_z - root_z
    y, z = points[..., 1] - root_y, points[..., 2] - root_z
    share = np.clip((y * along_y + z * along_z) / (along_y**2 + along_z**2), 0, 1)
    flat = np.hypot(y - share * along_y, z - share * along_z) - 2.0
    # The notch between spine and glenoid: the free edge runs outwards as it rises.
    edge = points[..., 0] + 52.0 - 14.0 * share**2
    return smooth_max(f32(flat), f32(np.maximum(edge, -132 - points[..., 0])), 1.5)


def _acromion(points: Floats, person: Person) -> Floats:
    # A plate bent over the head: polar coordinates about it, in the sagittal plane.
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    slope = np.float32(np.deg2rad(person.traits["acromion_deg"]))
    angle = np.arctan2(y + 4.0, z + 14.0) - slope
    radius = np.hypot(y + 4.0, z + 14.0) - 51.0
    tip = smooth_step(angle, 0.12, 0.48)
    hook = np.float32(person.traits["hook_mm"]) * tip
    across = np.abs(x + 6.5 + 3.0 * tip + 10.0 * np.minimum(angle, 0)) - 5.6 + 2.6 * tip
    along = np.abs(angle + 0.07) * 48.0 - 19.8
    thick = np.abs(radius + hook + 0.06 * np.maximum(x + 5, 0) ** 1.3) - 0.5
    outer = np.maximum(np.maximum(across, along), thick)
    inside = np.minimum(outer, 0)
    square = np.maximum(across, 0) ** 2 + np.maximum(along, 0) ** 2 + np.maximum(thick, 0) ** 2
    return f32(np.sqrt(square) + inside - 4.0)


def _clavicle(points: Floats) -> Floats:
    # Flat at its lateral end: squeezed from front to back there.
    flat = 1.0 - 0.42 * smooth_step(points[..., 1], 50, 16)
    lateral = points.copy()
    course = np.array(_fine(_CLAVICLE)).T
    middle_x = np.interp(points[..., 1], course[1], course[0]).astype(np.float32)
    lateral[..., 0] = (points[..., 0] - middle_x) * flat + middle_x
    # Its end faces the acromion and does not lie on it.
    return smooth_max(tube(lateral, _fine(_CLAVICLE)), f32(points[..., 0] + 18.5), 1.0)


@cache
def _fine(stations: tuple[Station, ...], pieces: int = 3) -> tuple[Station, ...]:
    """Return a smooth course through stations as more of them."""
    table = np.array(stations)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(table[:, :3], axis=0), axis=1))])
    middle = [np.linspace(a, b, pieces, endpoint=False) for a, b in pairwise(along)]
    found = PchipInterpolator(along, table)(np.concatenate([*middle, along[-1:]]))
    return tuple((float(x), float(y), float(z), float(r)) for x, y, z, r in found)


def tube(points: Floats, stations: Sequence[Station]) -> Floats:
    """Return the distance to a rod through stations, its radius changing between them."""
    parts = []
    for (*start, first), (*end, last) in pairwise(stations):
        rod = capsule(points, start, end, 0.0)
        along = f32(end) - f32(start)
        share = np.clip(dot(points - f32(start), along / (along @ along)), 0, 1)
        parts.append(rod - f32(first + (last - first) * share))
    return f32(np.minimum.reduce(parts))
