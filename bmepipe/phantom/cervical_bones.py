"""The bones of the neck as signed distances: C1 to T3 and the base of the skull.

Every vertebra has a frame of its own: origin in the middle of its body, +x to the right, +y
anterior, +z along its axis; they are set on a lordotic curve, the body of C5 at the canonical
origin. A bone is trimmed where its neighbour comes closer than a joint is wide, so that none
overlap, whatever the curve.

Sizes are those of adults:

- C3 to C6: 10.9 (SD 1.4) mm high, 23.2 (2.2) x 14.8 (2.0) mm above with the uncinate processes,
  19.9 (2.4) x 15.6 (2.0) mm below, spinous process 15 (4) mm: "Anatomical dimensions of the typical
  cervical vertebrae", Eur J Anat 2020, 24:9-15; wider and deeper from C3 to C7: Kim et al. 2007
  (10.1097/BRS.0b013e318067e384);
- dens 14.9 (1.5) mm high and 9.3 mm wide, body of C2 14.8 (1.7) mm deep: Gosavi and Swamy 2012 (Eur
  J Anat 16:98); C2 38 mm high in all: Yousuf et al. (Int J Res Med Sci, "Morphometric study of
  dens and its clinical importance");
- what each level has of these, and the canal: in proportion to Panjabi et al. 1991
  (10.1097/00007632-199108000-00001), from memory, not checked against the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

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
)

BONES = ("C2", "C3", "C4", "C5", "C6", "C7", "T1")
JOINT_MM = 1.6
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Level:
    """One vertebra: where its body is, how it leans, its half sizes, its spinous process (mm)."""

    name: str
    centre_mm: Point
    lean_deg: float  # of the upper endplate, forward positive
    wide_mm: float
    deep_mm: float
    high_mm: float
    gap_mm: float = 5.0  # the disc below
    spine_mm: float = 12.0  # length of the spinous process behind the laminae
    drop_mm: float = 8.0  # how far its tip lies below

    def local(self, points_mm: Floats) -> Floats:
        """Return points in the vertebra's own frame, shape (..., 3)."""
        return f32((points_mm - f32(self.centre_mm)) @ rotation(0, self.lean_deg).T)

    def place(self, x: float, y: float, z: float) -> Point:
        """Return the canonical place of a point of the vertebra's own frame."""
        turned = np.array([x, y, z]) @ rotation(0, self.lean_deg) + np.array(self.centre_mm)
        return triple(turned)


# Name, half width, half depth, half height, disc below, share of the lordosis in the lean, spinous
# process and its drop.
_SPINE = (
    ("C2", 8.4, 7.5, 10.6, 5.0, -0.52, 15.0, 7.0),
    ("C3", 9.5, 7.6, 6.2, 5.2, -0.36, 10.0, 7.0),
    ("C4", 9.8, 7.9, 6.1, 5.4, -0.18, 11.0, 7.5),
    ("C5", 10.2, 8.2, 6.0, 5.6, 0.02, 13.0, 8.0),
    ("C6", 11.0, 8.6, 6.1, 5.8, 0.26, 18.0, 8.0),
    ("C7", 12.2, 8.8, 6.9, 5.2, 0.48, 27.0, 10.0),
    ("T1", 13.6, 8.7, 7.8, 4.6, 0.56, 28.0, 13.0),
    ("T2", 13.0, 9.2, 8.5, 4.4, 0.54, 27.0, 18.0),
    ("T3", 12.6, 9.8, 8.8, 4.4, 0.46, 26.0, 22.0),
)
_WORN = ("C5", "C6")  # the discs below these wear first


@cache
def levels(lordosis_deg: float, slope_deg: float, loss: float) -> tuple[Level, ...]:
    """Return C2 to T3, the middle of C5 at the origin.

    Parameters
    ----------
    lordosis_deg : float
        Angle between C2 and C7.
    slope_deg : float
        Lean of C5, forward positive: how the neck lies as a whole.
    loss : float
        Share of the height that the discs C5/C6 and C6/C7 have lost.
    """
    place = np.zeros(3)
    rows = []
    for name, wide, deep, high, disc, share, spine, drop in _SPINE:
        lean = slope_deg + share * lordosis_deg
        gap = disc * (1 - loss * (name in _WORN))
        if rows:
            above = rows[-1]
            place = place + down(above.lean_deg) * (above.high_mm + above.gap_mm / 2)
            place = place + down(lean) * (above.gap_mm / 2 + high)
        rows.append(Level(name, triple(place), lean, wide, deep, high, gap, spine, drop))
    middle = np.array(rows[3].centre_mm)
    return tuple(
        Level(
            row.name,
            triple(np.array(row.centre_mm) - middle),
            row.lean_deg,
            row.wide_mm,
            row.deep_mm,
            row.high_mm,
            row.gap_mm,
            row.spine_mm,
            row.drop_mm,
        )
        for row in rows
    )


def down(lean_deg: float) -> np.ndarray:
    """Return the direction along the spine towards the feet."""
    angle = np.deg2rad(lean_deg)
    return np.array([0.0, -np.sin(angle), -np.cos(angle)])


def triple(values: np.ndarray) -> Point:
    """Return three numbers as a tuple."""
    x, y, z = (float(v) for v in values)
    return x, y, z


def bone_distances(points_mm: Floats, spine: tuple[Level, ...]) -> dict[str, Floats]:
    """Return the distance to every vertebra C2 to T1, and to "others": C1, T2, T3, the skull."""
    found: dict[str, Floats] = {}
    upper: Floats = np.full(points_mm.shape[:-1], FAR_MM, np.float32)
    for level in spine:
        upper = np.maximum(_boxed(points_mm, level), JOINT_MM - upper)
        found[level.name] = upper
    below = np.minimum(found.pop("T2"), found.pop("T3"))
    skull = _skull(points_mm, spine[0])
    atlas = np.maximum(_boxed(points_mm, spine[0], atlas=True), JOINT_MM - found["C2"])
    atlas = np.maximum(atlas, JOINT_MM - skull)
    found["others"] = np.minimum(np.minimum(below, atlas), skull)
    return found


def _boxed(points: Floats, level: Level, *, atlas: bool = False) -> Floats:
    # Far from a vertebra only the distance to a box around it is computed.
    local = level.local(points).reshape(-1, 3)
    low = f32([-44, -level.deep_mm - 22 - level.spine_mm, -level.high_mm - 14 - level.drop_mm])
    high = f32([44, level.deep_mm + 9, level.high_mm + 24])
    away = np.zeros(len(local), np.float32)
    for axis in range(3):
        np.maximum(away, low[axis] - local[:, axis], out=away)
        np.maximum(away, local[:, axis] - high[axis], out=away)
    found = np.minimum(away + 4, FAR_MM)
    near = np.flatnonzero(away == 0)
    if len(near):
        shape = _atlas if atlas else _axis if level.name == "C2" else _vertebra
        found[near] = shape(local[near], level)
    return found.reshape(points.shape[:-1])


def body_distance(local: Floats, level: Level) -> Floats:
    """Return the distance to a vertebral body; points in its own frame, shape (..., 3)."""
    x, y, z = np.abs(local[..., 0]), local[..., 1], local[..., 2]
    wide, deep, high = level.wide_mm, level.deep_mm, level.high_mm
    waist = 1 - 0.07 * np.clip(1 - (z / high) ** 2, 0, 1)
    flat = y * (1 + 0.10 * (y < 0))  # the rear is flat
    radial = ((x / (wide * waist)) ** 2.6 + (np.abs(flat) / (deep * waist)) ** 2.6) ** (1 / 2.6)
    side = (radial - 1) * deep
    ahead = y / deep
    # A saddle: the upper face dips from side to side between the uncinate processes and slopes
    # forward, the lower face is hollow from front to back and has a lip in front.
    lip = 4.2 * smooth_step(x, wide - 4.4, wide - 0.6) * smooth_step(y, deep, 0)
    top = high - 0.7 * np.clip(1 - (x / wide) ** 2, 0, 1) - 0.9 * np.clip(ahead, 0, 1.1) ** 2 + lip
    hollow = 1.5 * np.clip(1 - ahead**2, 0, 1) + 2.6 * smooth_step(x, wide - 4.4, wide)
    bottom = -high - 0.5 * np.clip(ahead, 0, 1) + hollow
    return smooth_max(f32(side), f32(np.maximum(z - top, bottom - z)), 0.6)


def _vertebra(local: Floats, level: Level) -> Floats:
    half = _mirrored(local)
    arch = smooth_max(_arch(half, local, level), -_canal(local, level), 0.8)
    whole = smooth_min(body_distance(local, level), arch, 1.0)
    if level.name in ("C3", "C4", "C5", "C6"):
        hole = capsule(half, (*artery_place(level), -30), (*artery_place(level), 30), 3.0)
        whole = smooth_max(whole, -hole, 0.5)
    return whole


def artery_place(level: Level) -> tuple[float, float]:
    """Return where the vertebral artery passes a vertebra, x and y of its own frame."""
    return level.wide_mm + 5.8, 3.5 - level.deep_mm


def _mirrored(local: Floats) -> Floats:
    half = local.copy()
    half[..., 0] = np.abs(half[..., 0])
    return half


def _tilted(half: Floats, centre: Point, radii: Point, degrees: float) -> Floats:
    """Return the distance to an ellipsoid turned about y, its outer end down for positive ones."""
    return ellipsoid(f32((half - f32(centre)) @ rotation(1, -degrees)), (0, 0, 0), radii)


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
        blade = capsule(half * f32([1.5, 1, 1]), (0, root, -2), (0, tip, -level.drop_mm), 4.0)
        knob = ellipsoid(half, (0, tip, -level.drop_mm), (4.2, 4.5, 5.0))
        return smooth_min(blade * 0.9, knob, 1.0)
    middle = (0.0, root + 0.4 * (tip - root), -2 - 0.4 * (level.drop_mm - 2))
    thick = 3.8 if level.name == "C2" else 2.9
    blade = capsule(half, (0, root, -2), middle, thick)
    fork = capsule(half, middle, (4.0, tip, -level.drop_mm), thick - 0.4)
    return smooth_min(blade, fork, 1.0)


def _axis(local: Floats, level: Level) -> Floats:
    # C2: dens, sloping shoulders that carry the atlas, a strong forked spinous process.
    half = _mirrored(local)
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
        _tilted(half, (13.0, -2.0, 6.5), (8.4, 8.6, 5.4), 22),
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


def _atlas(local: Floats, level: Level) -> Floats:
    # C1, in the frame of C2: lateral masses, a front arch before the dens, a thin rear arch.
    half = _mirrored(local)
    z = level.high_mm + 5.5
    ring = [(5.0, 9.6, z), (12.5, 5.5, z - 0.5), (18.5, -3.0, z - 1), (16.0, -21.0, z - 2)]
    parts = [
        capsule(half * f32([1, 1, 0.62]), (0, 10.0, 0.62 * (z + 1)), (5, 9.2, 0.62 * z), 2.7),
        ellipsoid(half, (0, 11.8, z - 1), (3.5, 2.6, 3.4)),
        capsule(half, ring[0], ring[1], 3.0),
        _tilted(half, (15.6, -2.5, z - 0.5), (7.0, 9.0, 7.2), -8),
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


def head_frame(points: Floats, top: Level) -> Floats:
    """Return points in the frame of the head: origin at the tip of the dens, along C2's axes."""
    return f32(top.local(points) - f32([0, -1.6, top.high_mm + 15.6]))


def _skull(points: Floats, top: Level) -> Floats:
    # A shell of bone around the posterior fossa with its great hole; clivus and condyles.
    head = head_frame(points, top)
    half = _mirrored(head)
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
