"""The bones of the ankle and hindfoot as signed distances.

Canonical frame, for a right foot at a right angle to the leg: origin in the middle of the axis of
the talar dome, +x lateral, +y anterior, +z superior, in mm. Every bone is a smooth union of simple
solids, trimmed where a neighbour comes closer than the joint space, so that joint surfaces fit
each other and no two bones overlap, whatever the pose.

The sizes are those of adults:

- talus 61 x 43 x 34 mm in men, 54 x 40 x 30 mm in women, SD 1.2 to 2.8 mm: Liu et al. 2020
  (10.13481/j.1671-587x.20200118);
- talar dome 30 mm wide in front, 28 in the middle, 25 behind, SD 3, its radius 20.7 (2.6) mm: Hayes
  et al. 2006 (Iowa Orthop J 26:1, PMC1888582);
- calcaneus: laid out after the lengths, heights and angles named by Qiang et al. 2014
  (10.1186/1757-1146-7-19); here 78 mm long, with a Boehler angle of about 30 degrees.

The other bones are drawn after anatomy, in proportion to these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from bmepipe.phantom.person import Person
from bmepipe.phantom.shapes import (
    Ellipsoids,
    Floats,
    Solid,
    capsule,
    f32,
    rotation,
    smooth_max,
    smooth_min,
    smooth_step,
    turn,
)

BONES = ("tibia", "fibula", "talus", "calcaneus", "navicular", "cuboid")
DOME_RADIUS_MM = 20.7
_HEEL_PIVOT_MM = (5.0, 0.0, -9.0)  # the subtalar joint
_ARCH_PIVOT_MM = (2.0, 36.0, -12.0)  # the transverse joint of the tarsus

# Centre, radii, turns in degrees about x, y and z (a positive one about x lifts the front).
_BLOBS: dict[str, tuple[tuple[float, ...], ...]] = {
    "talus": (
        (-8.5, 25.5, 0.5, 14.0, 11.5, 11.5, 0, 0, 18),  # head
        (-4.0, 14.0, 1.5, 11.5, 14.0, 8.0, -4, 0, 14),  # neck
        (15.0, 1.0, -4.0, 7.5, 9.5, 7.0, 0, 25, 0),  # lateral process
        (-3.0, -17.0, -3.0, 9.5, 6.5, 5.0, 12, 0, 0),  # posterior process
    ),
    "calcaneus": (
        (5.5, -38.0, -30.0, 14.5, 13.5, 18.5, -14, 0, 0),  # tuberosity
        (1.5, -39.0, -42.5, 10.5, 10.0, 7.0, 0, 12, 0),  # its plantar processes
        (7.0, -17.0, -25.5, 13.5, 28.0, 15.5, 0, 0, -6),  # body
        (7.5, -28.0, -28.5, 12.5, 15.0, 15.5, 0, 0, 0),  # between the two
        (8.5, -9.5, -18.0, 11.5, 15.5, 12.0, -32, 0, -6),  # under the posterior facet
        (13.0, 13.0, -25.5, 11.5, 16.5, 12.0, 0, 0, -8),  # anterior process
        (12.0, 21.0, -18.5, 8.0, 7.5, 5.5, 0, 0, 0),  # its upper tip
        (-6.0, 3.0, -18.5, 13.0, 11.5, 6.5, 0, -8, 14),  # sustentaculum
    ),
    "navicular": (
        (-11.0, 43.5, -1.0, 15.5, 9.5, 13.5, 0, 22, 16),
        (-24.5, 38.5, -8.0, 8.0, 7.5, 8.0, 0, 0, 25),  # tuberosity
    ),
    "cuboid": (
        (18.5, 44.0, -22.5, 13.0, 16.0, 12.0, 0, 14, -8),
        (13.0, 38.0, -20.0, 9.0, 11.5, 9.5, 0, 10, 0),
        (20.0, 50.0, -28.0, 9.5, 9.0, 8.5, 0, 0, 0),
    ),
    "cuneiform_medial": ((-23.0, 62.0, -9.0, 7.5, 13.5, 15.5, 0, -12, 6),),
    "cuneiform_middle": ((-8.5, 59.5, 2.0, 8.0, 9.5, 11.5, 0, 0, 4),),
    "cuneiform_lateral": ((5.5, 60.0, -6.0, 8.0, 13.0, 13.0, 0, 14, 0),),
}
# Metatarsals: base, head and radius of each.
_RAYS = (
    ((-23, 84, -14), (-23, 132, -34), 8.0),
    ((-8, 77, 0), (-6, 140, -32), 6.2),
    ((6, 81, -6), (9, 136, -34), 5.8),
    ((18, 69, -17), (23, 130, -36), 5.8),
    ((31, 62, -29), (37, 122, -40), 5.6),
)


def foot_frame(points_mm: Floats, person: Person) -> Floats:
    """Return points in the frame of the foot, which is turned about the dome against the leg."""
    return turn(points_mm, rotation(0, person.traits["plantar_deg"]), (0, 0, 0))


def arch_frame(foot_mm: Floats, person: Person) -> Floats:
    """Return points of the foot's frame in that of the midfoot: flat feet, high arches."""
    return turn(foot_mm, rotation(0, person.traits["arch_deg"]), _ARCH_PIVOT_MM)


def heel_frame(foot_mm: Floats, person: Person) -> Floats:
    """Return points of the foot's frame in that of the calcaneus: varus and valgus."""
    return turn(foot_mm, rotation(1, person.traits["heel_deg"]), _HEEL_PIVOT_MM)


def bone_distances(points_mm: Floats, person: Person) -> dict[str, Floats]:
    """Return the distance to every bone of the site at canonical points, and to the "forefoot".

    The forefoot (cuneiforms and metatarsals) has no label of its own at this site.
    """
    gap = person.traits["joint_mm"]
    foot = foot_frame(points_mm, person)
    arch = arch_frame(foot, person)
    calcaneus = _solid("calcaneus").distance(heel_frame(foot, person), reach_mm=25)
    talus = smooth_max(_talus(foot), np.float32(gap) - calcaneus, 0.4)
    navicular = _trim(_solid("navicular").distance(arch, reach_mm=20), gap, talus, calcaneus)
    cuboid = _trim(_solid("cuboid").distance(arch, reach_mm=20), gap, calcaneus)
    cuboid = _trim(cuboid, 1.8, navicular, talus)
    fibula = _trim(_fibula(points_mm), gap, talus, calcaneus)
    tibia = _trim(_tibia(points_mm), gap, talus, calcaneus)
    return {
        "tibia": _trim(tibia, 2.6, fibula),
        "fibula": fibula,
        "talus": talus,
        "calcaneus": calcaneus,
        "navicular": navicular,
        "cuboid": cuboid,
        "forefoot": _forefoot(arch, navicular, cuboid),
    }


def _trim(bone: Floats, gap_mm: float, *neighbours: Floats) -> Floats:
    for neighbour in neighbours:
        bone = np.maximum(bone, np.float32(gap_mm) - neighbour)
    return bone


@cache
def _solid(name: str) -> Solid:
    rows = np.array(_BLOBS[name], dtype=float)
    axes = [rotation(0, x) @ rotation(1, y) @ rotation(2, z) for x, y, z in rows[:, 6:]]
    return Solid(name, Ellipsoids(f32(rows[:, :3]), f32(rows[:, 3:6]), np.stack(axes)), None, 1.4)


def _talus(foot: Floats) -> Floats:
    x, y, z = foot[..., 0], foot[..., 1], foot[..., 2]
    # The dome: a drum with a shallow groove, wider in front.
    drum = np.hypot(y, z) - np.float32(DOME_RADIUS_MM) + 0.9 * np.exp(-((x / 6.0) ** 2))
    dome = smooth_max(f32(drum), f32(np.abs(x + 0.5) - 14.0 - 0.1 * y), 1.6)
    # Beneath lies the posterior facet and, in front of it, the roof of the tarsal sinus.
    dome = smooth_max(dome, f32(5.0 * smooth_step(y, -2, 9) - 9.0 - z), 2.0)
    return smooth_min(dome, _solid("talus").distance(foot, reach_mm=25), 1.4)


def _tibia(points: Floats) -> Floats:
    x, y, z = points[..., 0] + 4.0, points[..., 1] + 1.0, points[..., 2]
    wide = 12.0 + 9.5 * smooth_step(z, 72, 24)
    deep = 12.5 + 8.0 * smooth_step(z, 66, 24)
    around = ((np.abs(x) / wide) ** 2.6 + (np.abs(y) / deep) ** 2.6) ** (1 / 2.6) - 1
    shaft = smooth_max(f32(around * wide), f32(16.5 - z), 1.5)
    return smooth_min(shaft, _blob(points, (-20.5, 4.0, 19.0), (7.5, 12.5, 14.5)), 2.5)


def _fibula(points: Floats) -> Floats:
    shaft = capsule(points, (21.5, -10, 120), (21.5, -8, 26), 6.6)
    tip = _blob(points, (22.5, -5.5, 11.0), (6.8, 10.0, 20.0))
    return smooth_min(shaft, tip, 2.0)


def _blob(points: Floats, centre: Sequence[float], radii: Sequence[float]) -> Floats:
    one = Ellipsoids(f32([centre]), f32([radii]), f32(np.eye(3)[None]))
    return Solid("", one, None, 1.0).distance(points, reach_mm=25)


def _forefoot(arch: Floats, navicular: Floats, cuboid: Floats) -> Floats:
    names = ("cuneiform_middle", "cuneiform_lateral", "cuneiform_medial")
    solids = [_solid(name).distance(arch, reach_mm=12) for name in names]
    solids += [_ray(arch, *ray) for ray in _RAYS]
    whole = np.maximum(solids[0], 2.0 - np.minimum(navicular, cuboid))
    for solid in solids[1:]:
        trimmed = _trim(solid, 2.0, navicular, cuboid)
        whole = np.minimum(whole, _trim(trimmed, 1.8, whole))
    return whole


def _ray(arch: Floats, base: Sequence[float], head: Sequence[float], radius: float) -> Floats:
    # Wider at its base than in its shaft.
    flare = 3.0 * smooth_step(arch[..., 1], base[1] + 16, base[1] - 4)
    return capsule(arch, base, head, radius) - flare
