"""What surrounds the bones of the neck: discs, canal, nerves, vessels, airway, muscles, the head.

Courses and sizes are drawn after anatomy, not measured, but for the cord: 13 mm wide and 7 mm deep,
as commonly given. The frames are those of `cervical_levels`; muscles are laid out along a straight
spine and follow its curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bmepipe.phantom.cervical_bones import artery_place
from bmepipe.phantom.cervical_levels import Level, Point, mirrored
from bmepipe.phantom.cervical_others import fossa, head_frame
from bmepipe.phantom.layers import Fields
from bmepipe.phantom.points import down, triple
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

# Centre and radii of the muscles of one side, mm; y from the middle of the vertebral bodies.
_MUSCLES: tuple[tuple[Point, Point], ...] = (
    ((7.5, 11.0, 8), (7.5, 3.8, 95)),  # longus of neck and head
    ((31, 0, -28), (11, 14, 66)),  # scalenes
    ((37, -19, 5), (10, 11, 88)),  # levator of the scapula
    ((11, -34, -18), (10.5, 10, 82)),  # multifidus, semispinalis of the neck
    ((16, -47, 22), (16, 8, 92)),  # semispinalis of the head
    ((30, -50, 10), (20, 7, 88)),  # splenius
    ((30, -33, -12), (10, 12, 88)),  # longissimus
    ((26, -59, -52), (34, 5.5, 112)),  # trapezius
    ((16, -47, -112), (15, 15, 62)),  # erector of the back
    ((78, -46, -98), (66, 18, 36)),  # trapezius and supraspinatus at the shoulder
    ((9.5, -31, 68), (8.8, 7, 14)),  # rectus, under the occiput
    ((23, -27, 66), (10.5, 7, 12)),  # obliques
    ((10, 41, -32), (9, 3.4, 46)),  # strap muscles
    ((38, 28, -118), (34, 10, 26)),  # pectoral
    ((32, 26, 40), (14, 12, 9)),  # digastric, stylohyoid
)


def straightened(points: Floats, spine: Sequence[Level]) -> Floats:
    """Return points with y counted from the curve through the vertebral bodies."""
    centres = np.array([level.centre_mm for level in spine])[::-1]
    straight = points.copy()
    straight[..., 1] -= np.interp(points[..., 2], centres[:, 2], centres[:, 1])
    return straight


def tube(points: Floats, path: Sequence[Sequence[float]], radius_mm: float) -> Floats:
    """Return the distance to a tube along a path of points."""
    return np.minimum.reduce([capsule(points, a, b, radius_mm) for a, b in pairwise(path)])


def _oval(points: Floats, path: Sequence[Sequence[float]], radius_mm: float, x: float) -> Floats:
    # A tube `1 / x` times as wide as deep.
    squeeze = f32([x, 1, 1])
    return tube(points * squeeze, [triple(f32(at) * squeeze) for at in path], radius_mm)


def discs(points: Floats, spine: Sequence[Level]) -> Fields:
    """Return the distances to the "disc"s, to the "nucleus" of each and to the "worn" ones."""
    disc = np.full(points.shape[:-1], FAR_MM, np.float32)
    nucleus, worn = disc.copy(), disc.copy()
    for above, below in pairwise(spine):
        level, gap = between(above, below), above.gap_mm
        local = level.local(points)
        x, y, z = local[..., 0], local[..., 1], local[..., 2]
        wide, deep = level.wide_mm, level.deep_mm + above.bulge_mm
        radial = (np.abs(x / wide) ** 2.5 + np.abs(y / deep) ** 2.5) ** 0.4
        drum = np.maximum((radial - 1) * deep, np.abs(z) - gap / 2 - 2.6)
        disc = np.minimum(disc, drum.astype(np.float32))
        nucleus = np.minimum(
            nucleus, ellipsoid(local, (0, -0.5, 0.3), (0.8 * wide, 0.74 * deep, 0.62 * gap))
        )
        if above.name in ("C5", "C6"):
            worn = np.minimum(worn, drum.astype(np.float32))
    return {"disc": disc, "nucleus": nucleus, "worn": worn}


def between(above: Level, below: Level) -> Level:
    """Return a level in the middle of a disc."""
    low = np.array(above.centre_mm) + down(above.lean_deg) * above.high_mm
    high = np.array(below.centre_mm) - down(below.lean_deg) * below.high_mm
    lean = (above.lean_deg + below.lean_deg) / 2
    return Level("", triple((low + high) / 2), lean, below.wide_mm, below.deep_mm, 2.5)


def canal(points: Floats, spine: Sequence[Level], radius_mm: float) -> Fields:
    """Return the distances to the "canal" (the dural sac) and the "cord"."""
    sac = [level.place(0, -level.deep_mm - 2.2 - radius_mm, 0) for level in spine]
    sac.insert(0, spine[0].place(0, -17.0, 22.0))
    sac.append(triple(np.array(sac[-1]) + np.array([0, -4.0, -30.0])))
    cord = [level.place(0, -level.deep_mm - 1.6 - radius_mm, 0) for level in spine]
    cord.insert(0, spine[0].place(0, -16.5, 24.0))
    cord.append(sac[-1])
    return {
        "canal": _oval(points, sac, radius_mm, 0.68),
        "cord": _oval(points, cord, 3.6, 0.58),
    }


def nerves(points: Floats, spine: Sequence[Level]) -> tuple[Floats, Floats]:
    """Return the distances to the nerve roots and to the fat of the foramina around them."""
    nerve = np.full(points.shape[:-1], FAR_MM, np.float32)
    fat = nerve.copy()
    for above, below in pairwise(spine):
        level = between(above, below)
        local = mirrored(level.local(points))
        back = -level.deep_mm
        path = ((7, back - 5, 2), (13, back - 1, 0), (26, back + 7, -6), (38, back + 8, -24))
        nerve = np.minimum(nerve, tube(local, path, 1.7))
        fat = np.minimum(fat, capsule(local, path[0], (18, back + 3, -2), 3.8))
    return nerve, fat


def vessels(points: Floats, straight: Floats, spine: Sequence[Level]) -> tuple[Floats, Floats]:
    """Return the distances to the arteries (vertebral, carotid) and to the jugular veins."""
    axis = spine[0]
    path = [spine[5].place(17.0, 4.0, -8.0)]
    path += [level.place(*artery_place(level), 0) for level in reversed(spine[1:5])]
    path += [axis.place(16.5, 1.0, -12), axis.place(18.5, -1.5, 5), axis.place(24.5, -4, 15)]
    path += [axis.place(20, -16, 20.5), axis.place(12, -18, 24), axis.place(4, -5.5, 38)]
    artery = tube(mirrored(points), path, 2.0)
    half = mirrored(straight)
    carotid = ((14, 24, -100), (22, 17, -45), (24, 14, 25), (26, 10, 80))
    jugular = ((18, 30, -100), (31, 16, -45), (33, 8, 25), (29, 2, 82))
    return np.minimum(artery, tube(half, carotid, 3.3)), tube(half, jugular, 5.2)


def muscles(straight: Floats) -> tuple[Floats, Floats]:
    """Return the distance to the nearest muscle and how much farther the second one is."""
    half = mirrored(straight)
    first = np.full(half.shape[:-1], FAR_MM, np.float32)
    second = first.copy()
    solids = [ellipsoid(half, centre, radii) for centre, radii in _MUSCLES]
    # Sternomastoid: a flat strap from behind the ear to the breastbone.
    solids.append(_oval(half, ((50, -16, 80), (39, 11, 10), (16, 41, -78)), 8.0, 0.62))
    for distance in solids:
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return first, second - first


def throat(straight: Floats, head: Floats) -> Fields:
    """Return the distances to "air", the "throat"'s walls, "larynx", "gullet" and "thyroid"."""
    upper = _oval(head, ((0, 23, 6), (0, 20.5, -16), (0, 19.0, -44)), 4.2, 0.42)
    lower = _oval(straight, ((0, 20.5, 38), (0, 20, 20), (0, 26, 2)), 3.2, 0.5)
    windpipe = tube(straight, ((0, 28, -6), (0, 27, -24), (0, 30, -70), (0, 31, -130)), 7.4)
    folds = _oval(straight, ((0, 26, 4), (0, 28, -8)), 2.6, 1.3)
    tract = smooth_min(smooth_min(upper, lower, 1.5), smooth_min(windpipe, folds, 1.5), 1.0)
    # Between the root of the tongue and the epiglottis.
    tract = smooth_min(tract, ellipsoid(straight, (0, 27.5, 31), (11, 4.5, 6)), 1.0)
    leaf = _oval(straight, ((0, 31, 15), (0, 26.5, 26), (0, 24.5, 38)), 1.3, 0.2)
    nose = smooth_max(
        ellipsoid(head, (0, 58, 33), (14, 30, 14)), f32(2.2 - np.abs(head[..., 0])), 1.0
    )
    lung = ellipsoid(mirrored(straight), (46, 4, -142), (34, 44, 56))
    shell = np.abs(ellipsoid(straight, (0, 27, 0), (17, 15, 17))) - np.float32(1.1)
    plate = smooth_max(f32(shell), f32(24.0 - straight[..., 1]), 1.0)
    ring = ellipsoid(straight, (0, 19.0, -9), (9, 3.0, 10))  # the cricoid's plate
    return {
        "air": np.maximum(np.minimum(np.minimum(tract, nose), lung), -leaf),
        "throat": np.minimum(tract - np.float32(2.2), leaf),
        "larynx": ellipsoid(straight, (0, 29, 2), (17, 14, 24)),
        "plate": f32(np.minimum(plate, ring)),
        "gullet": _oval(straight, ((0, 13.0, -14), (-1, 13.5, -50), (-3, 15, -130)), 4.2, 0.55),
        "thyroid": ellipsoid(mirrored(straight), (16, 26, -30), (8, 10, 23)),
    }


def face(head: Floats) -> Fields:
    """Return the distances to the "tongue" and other muscles, the "glands", "jaw" and "teeth"."""
    half = mirrored(head)
    parts = [
        ellipsoid(half, (0, 50, -12), (23, 28, 22)),  # tongue
        ellipsoid(half, (6, 48, -37), (12, 28, 7)),  # floor of the mouth
        capsule(head * f32([0.4, 1, 1]), (0, 37, 14), (0, 29, -9), 3.6),  # soft palate
        ellipsoid(half, (0, 88, -4), (24, 7, 17)),  # lips
        ellipsoid(half, (50, 14, -4), (8, 16, 30)),  # masseter
        ellipsoid(half, (33, 18, 2), (9, 15, 24)),  # pterygoid
        ellipsoid(half, (0, 20, 16), (17, 7, 9)),  # roof of the throat
    ]
    jaw = _oval(half, ((0, 76, -36), (0, 79, -22)), 5.4, 0.5)
    jaw = np.minimum(jaw, tube(half, ((7, 77, -30), (34, 40, -28), (42, 14, -24)), 6.0))
    jaw = np.minimum(jaw, tube(half, ((42, 14, -24), (47, 4, 14)), 6.5))
    roof = capsule(head * f32([0.3, 1, 1]), (0, 38, 18), (0, 80, 16), 2.4)
    hyoid = tube(half, ((0, 39, -50), (14, 34, -50), (22, 22, -48)), 2.9)
    glands = ellipsoid(half, (27, 38, -38), (9, 14, 11))
    return {
        "tongue": np.minimum.reduce(parts),
        "glands": np.minimum(glands, ellipsoid(half, (50, -2, -8), (10, 11, 24))),
        "jaw": np.minimum(np.minimum(jaw, roof), hyoid),
        "teeth": ellipsoid(half, (0, 80, -2), (22, 3.6, 17)),
    }


def brain(head: Floats) -> Fields:
    """Return the distances to the posterior "fossa", filled with fluid, and to the "brain"."""
    half, inner = mirrored(head), fossa(head)
    stem = smooth_min(
        capsule(head * f32([0.8, 1, 1]), (0, -11, -6), (0, -1, 20), 5.8),
        ellipsoid(head, (0, 10, 37), (16, 12, 15)),
        3.0,
    )
    # The cerebellum fills the rest but for the great cistern and the fourth ventricle.
    cistern = smooth_min(
        ellipsoid(head, (0, -26, 0), (16, 14, 6)), ellipsoid(half, (0, -26, 6), (2.5, 9, 9)), 2.0
    )
    ventricle = ellipsoid(head, (0, -8.5, 33), (6, 3.5, 10))
    lobes = np.maximum.reduce(
        [inner + 2.0, -cistern, head[..., 1] + 8.0 - 0.6 * half[..., 0], 3.0 - stem]
    )
    return {
        "fossa": inner,
        "brain": f32(np.maximum(np.minimum(lobes, stem), -ventricle)),
        "folia": f32(np.abs(np.mod(inner, 3.4) - 1.7) + 9.0 * (inner > -2) + 9.0 * (stem < 3)),
    }


def ligaments(points: Floats, straight: Floats, spine: Sequence[Level]) -> Floats:
    """Return the distance to the longitudinal, flaval, nuchal and transverse ligaments."""
    top = spine[0]
    front = [level.place(0, level.deep_mm + 0.5, 0) for level in spine]
    rear = [level.place(0, -level.deep_mm - 0.5, 0) for level in spine]
    rear.insert(0, top.place(0, -7.0, top.high_mm + 8))
    rear.insert(0, top.place(0, 3.0, top.high_mm + 26))
    yellow = np.full(points.shape[:-1], FAR_MM, np.float32)
    for above, below in pairwise(spine):
        start = above.place(0, -above.deep_mm - 16.2, -4)
        end = below.place(0, -below.deep_mm - 17.0, 4)
        yellow = np.minimum(yellow, capsule(points * f32([0.2, 1, 1]), start, end, 1.3))
    long = np.minimum(_oval(points, front, 0.8, 0.3), _oval(points, rear, 0.7, 0.3))
    x, y, z = np.abs(straight[..., 0]), straight[..., 1], straight[..., 2]
    thin = 1.1 * smooth_step(z, -70, 10) - 0.4
    nape = np.maximum.reduce([x - thin, y + 38.0, -60.0 - y])
    return np.minimum.reduce([long, yellow, f32(nape)])


def skin(points: Floats, spine: Sequence[Level], fat_mm: float) -> Floats:
    """Return the distance to the skin of neck, shoulders and head."""
    head = head_frame(points, spine[0])
    straight = straightened(points, spine)
    x, y, z = straight[..., 0], straight[..., 1], straight[..., 2]
    at = (-140, -100, -70, -40, -10, 25, 60, 95)
    rear = np.interp(z, at, (-76, -75, -75, -72, -66, -62, -66, -76)) - 0.8 * fat_mm
    front = np.interp(z, at, (72, 60, 52, 52, 52, 47, 42, 38)) + 0.3 * fat_mm
    wide = np.interp(z, at, (185, 160, 100, 66, 58, 57, 60, 62)) + 0.5 * fat_mm
    deep = (front - rear) / 2
    radial = (np.abs(x / wide) ** 2.3 + np.abs((y - (front + rear) / 2) / deep) ** 2.3) ** (1 / 2.3)
    neck = smooth_max(f32((radial - 1) * deep), f32(z - 85), 8.0)
    skull = ellipsoid(head, (0, -6, 50), (76, 101, 88))
    jaw = ellipsoid(head, (0, 36, -6), (58, 56, 45))
    chin = ellipsoid(head, (0, 74, -30), (30, 17, 20))
    nose = ellipsoid(head, (0, 92, 26), (15, 18, 20))
    top = smooth_min(smooth_min(skull, jaw, 5.0), smooth_min(chin, nose, 4.0), 4.0)
    return f32(smooth_min(neck, top, 6.0))


def windpipe_rings(height: Floats) -> Floats:
    """Return 0 to 1 where a ring of cartilage lies along the windpipe."""
    return f32(0.5 + 0.5 * np.cos(height * (2 * np.pi / 4.5))) * smooth_step(height, -16, -24)
