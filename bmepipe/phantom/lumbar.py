"""The lumbar spine: T12 to L5 and the sacrum, discs, canal, muscles and what lies around.

Each vertebra is a waisted body with concave endplates, pedicles, laminae, articular, transverse and
spinous processes (`lumbar_bones`). Canonical frame: origin in the middle of the L3 body, +x to the
right, +y anterior, +z superior.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.lumbar_bones import Level, levels, vertebra, vertebral_body
from bmepipe.phantom.person import Person
from bmepipe.phantom.points import down, times, triple
from bmepipe.phantom.sacrum import (
    sacral_canal,
    sacral_discs,
    sacral_foramina,
    sacral_roots,
    sacrum_distance,
)
from bmepipe.phantom.shapes import (
    FAR_MM,
    Floats,
    capsule,
    ellipsoid,
    f32,
    rotation,
    smooth_step,
)

BONES = ("L1", "L2", "L3", "L4", "L5", "sacrum", "T12")
TRAITS = {
    "lordosis": (0.75, 1.2),
    "fat_mm": (8.0, 30.0),
    "red_marrow": (0.25, 0.75),
    "dry": (0.0, 1.0),
    "disc_loss": (0.0, 0.35),
    "canal_mm": (7.0, 9.0),
    "lean_deg": (-4.0, 4.0),
}
SIDED = False
CENTRE_MM = (0.0, -18.0, -12.0)
GROWING = False  # has growth plates
RED = True  # the marrow is largely red
REACH_MM = 122.0
PLACES = ("ahead",)  # fields that are no distances


def _sacral_frame(points: Floats, top: Level) -> Floats:
    # The fitted sacrum, its endplate (middle at 38, 36; leaning 28 degrees) turned to meet L5.
    lean = top.lean_deg + 1.0
    plate = np.array(top.centre_mm) + down(top.lean_deg + 4.0) * (top.high_mm + 9.0)
    return times(points - f32(plate), rotation(0, lean - 28.0).T) + f32([0, 38, 36])


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the spine at canonical points, shape (..., 3)."""
    traits = person.traits
    spine = levels(round(traits["lordosis"], 3))
    found: Fields = skeleton(points_mm, person)
    found["disc"], found["core"], found["nucleus"] = _discs(points_mm, spine)
    found["canal"], found["cord"] = _canal(points_mm, spine, traits["canal_mm"])
    sacral = _sacral_frame(points_mm, spine[-1])
    found["canal"] = np.minimum(found["canal"], sacral_canal(sacral) + np.float32(0.6))
    found["remnant"] = sacral_discs(sacral)
    found["foramen"], found["root"] = sacral_foramina(sacral), sacral_roots(sacral)
    found["basivertebral"] = np.minimum.reduce([_vein(points_mm, level) for level in spine])
    found["muscle"] = _muscles(points_mm)
    found["aorta"], found["cava"] = _great_vessels(points_mm)
    found["ligament"] = _ligaments(points_mm, spine)
    found["ahead"] = points_mm[..., 1].copy()
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    # Fat between the fibres of muscle, which run along the spine.
    found["fibre"] = person.noise("mid", points_mm * f32([1.4, 1.4, 0.25]))
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    spine = levels(round(person.traits["lordosis"], 3))
    found: Fields = {}
    upper: Floats = np.full(points_mm.shape[:-1], FAR_MM, np.float32)
    for level in spine:
        # Never closer to its upper neighbour than the facet joint is wide.
        upper = np.maximum(vertebra(points_mm, level), 1.6 - upper)
        found[f"bone.{level.name}"] = upper
    found["bone.sacrum"] = np.maximum(
        sacrum_distance(_sacral_frame(points_mm, spine[-1])), 1.6 - upper
    )
    for name in BONES:
        found[f"cortex.{name}"] = np.full(points_mm.shape[:-1], 0.7, np.float32)
    return found


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points."""
    fat = person.traits["fat_mm"]
    seat = smooth_step(points_mm[..., 2], -60, -140) + 0.5 * smooth_step(points_mm[..., 2], 20, 110)
    back = -84.0 - fat - 20.0 * seat
    deep, wide = (125.0 - back) / 2, 150.0 + fat
    x, y = points_mm[..., 0] / wide, (points_mm[..., 1] - (125.0 + back) / 2) / deep
    groove = 6.0 * np.exp(-((points_mm[..., 0] / 14.0) ** 2)) * (y < 0)
    return f32(((np.abs(x) ** 2.6 + np.abs(y) ** 2.6) ** (1 / 2.6) - 1) * deep + groove)


def _discs(points: Floats, spine: tuple[Level, ...]) -> tuple[Floats, Floats, Floats]:
    disc = np.full(points.shape[:-1], FAR_MM, np.float32)
    core, nucleus = disc.copy(), disc.copy()
    pairs = list(pairwise(spine))
    last = spine[-1]
    at = np.array(last.centre_mm) + down(last.lean_deg) * (last.high_mm + 4.5)
    between = [
        Level("", triple(_middle(a, b)), (a.lean_deg + b.lean_deg) / 2, b.wide_mm, b.deep_mm, 8.5)
        for a, b in pairs
    ]
    between.append(Level("", triple(at), last.lean_deg + 5, 25.0, 16.5, 8.5))
    for level in between:
        local = level.local(points)
        disc = np.minimum(disc, vertebral_body(local, level, -0.4))
        # The outer annulus is dark, the inner one is not.
        wide, deep = level.wide_mm - 4.5, level.deep_mm - 3.5
        core = np.minimum(core, ellipsoid(local, (0, 0.5, 0), (wide, deep, 24.0)))
        inner = ellipsoid(local - f32([0, -1, 0]), (0, 0, 0), (15.5, 9.5, 5.2))
        nucleus = np.minimum(nucleus, inner)
    return disc, core, nucleus


def _middle(a: Level, b: Level) -> np.ndarray:
    low = np.array(a.centre_mm) + down(a.lean_deg) * a.high_mm
    high = np.array(b.centre_mm) - down(b.lean_deg) * b.high_mm
    return (low + high) / 2


def _behind(level: Level, depth_mm: float) -> np.ndarray:
    angle = np.deg2rad(level.lean_deg)
    ahead = np.array([0.0, np.cos(angle), -np.sin(angle)])
    return np.array(level.centre_mm) - ahead * (level.deep_mm + depth_mm)


def _tube(points: Floats, path: list[np.ndarray], radius_mm: float) -> Floats:
    parts = [capsule(points, a, b, radius_mm) for a, b in pairwise(path)]
    return np.minimum.reduce(parts)


def _canal(points: Floats, spine: tuple[Level, ...], radius: float) -> tuple[Floats, Floats]:
    path = [_behind(level, radius + 1.0) for level in spine]
    path.insert(0, path[0] + np.array([0, -6.0, 60.0]))
    path.append(path[-1] + np.array([0, -20.0, -38.0]))
    cord = _tube(points, [path[0], path[1], path[2]], 3.9)
    return _tube(points, path, radius), cord


def _vein(points: Floats, level: Level) -> Floats:
    local = level.local(points)
    return capsule(
        local * f32([0.5, 1, 1]), (0, -level.deep_mm, 0), (0, -level.deep_mm + 9, 0), 1.3
    )


def _muscles(points: Floats) -> Floats:
    half = points.copy()
    half[..., 0] = np.abs(half[..., 0])
    parts = [
        ellipsoid(half, (20, -58, -10), (19.5, 17, 230)),
        ellipsoid(half, (48, -55, 20), (20, 15, 200)),
        ellipsoid(half, (41, -8, -40), (17, 20, 95)),
        ellipsoid(half, (72, -25, 0), (14, 11, 90)),
    ]
    return np.minimum.reduce(parts)


def _great_vessels(points: Floats) -> tuple[Floats, Floats]:
    # The artery lies left of the midline, the vein right: x is positive to the right.
    aorta = [np.array(p) for p in ((-8.0, 22, 110), (-9.0, 31, 30), (-9.0, 33, -30))]
    aorta_left = [aorta[-1], np.array((-34.0, 18, -90))]
    aorta_right = [aorta[-1], np.array((26.0, 20, -90))]
    artery = np.minimum(_tube(points, aorta, 8.5), _tube(points, aorta_left, 5.0))
    artery = np.minimum(artery, _tube(points, aorta_right, 5.0))
    cava = [np.array(p) for p in ((16.0, 26, 110), (16.0, 29, 0), (12.0, 28, -38), (34.0, 10, -95))]
    return artery, _tube(points, cava, 9.0)


def _ligaments(points: Floats, spine: tuple[Level, ...]) -> Floats:
    front = [_behind(level, -2 * level.deep_mm - 0.6) for level in spine]
    rear = [_behind(level, 44.0) + np.array([0, 0, -8.0]) for level in spine]
    flat = points * f32([0.3, 1, 1])
    return np.minimum(_tube(flat, front, 0.9), _tube(flat, rear, 1.6))


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin, dry = f["body"], person.traits["dry"]
    inside = cover(skin + 2.0, step_mm)
    front = smooth_step(f["ahead"] + 9 * f["broad"], 44, 58)
    bowel = smooth_step(f["broad"] + 0.5 * f["mid"], -0.1, 0.3) * front * inside
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", inside),
        Layer("septum", sheet(f["mid"], 0.08) * inside * 0.3),
        Layer("muscle", f32(bowel * 0.9)),
        Layer("fluid", f32(bowel * np.clip(f["broad"] - 1.0, 0, 1) * 0.3)),
        Layer("fascia", film(f["muscle"] - 0.3, 0.4, step_mm) * 0.6),
        Layer("muscle", cover(f["muscle"], step_mm)),
        Layer("fat", f32(sheet(f["fibre"], 0.16) * cover(f["muscle"] + 1.5, step_mm) * 0.5)),
        Layer("artery", cover(f["aorta"], step_mm)),
        Layer("vein", f32(cover(f["cava"], step_mm) * 0.5)),
        Layer("ligament", cover(f["ligament"], step_mm)),
        Layer("fat", cover(f["canal"] - 2.2, step_mm)),
        Layer("ligament", film(f["canal"], 0.35, step_mm)),
        Layer("csf", cover(f["canal"], step_mm)),
        Layer("nerve", f32(sheet(f["fine"], 0.5) * cover(f["canal"] + 1.5, step_mm) * 0.45)),
        Layer("cord", cover(f["cord"], step_mm)),
        Layer("annulus", cover(f["remnant"], step_mm)),
        Layer("fat", cover(f["foramen"], step_mm)),
        Layer("nerve", cover(f["root"], step_mm)),
        Layer("annulus", cover(f["disc"], step_mm)),
        Layer("disc_dry", f32(cover(f["core"], 2.0) * cover(f["disc"], step_mm) * 0.7)),
        Layer("disc", f32(cover(f["nucleus"], 2.5) * cover(f["disc"], step_mm))),
        Layer("disc_dry", f32(cover(f["nucleus"], 2.5) * cover(f["disc"], step_mm) * dry)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: red marrow in patches, the vein."""
    share = person.traits["red_marrow"] + 0.10 * f["broad"] + 0.05 * f["mid"]
    return [
        Layer("red_marrow", f32(np.clip(share, 0.05, 0.95))),
        Layer("vein", f32(cover(f["basivertebral"], 0.8) * 0.6)),
    ]


def _patterns() -> tuple[Pattern, ...]:
    at = {level.name: level for level in levels(1.0)}

    def endplate(name: str, upper: bool, ahead: float = 0.0) -> Spot:
        level = at[name]
        up = -down(level.lean_deg) * (1 if upper else -1)
        forward = _behind(level, 0.0) * -1 + np.array(level.centre_mm)
        place = np.array(level.centre_mm) + up * (level.high_mm - 4) + forward * ahead
        return Spot(name, triple(place), 8.0, triple(up), 8.0)

    return (
        Pattern("Modic I, L4/L5", (endplate("L4", False, 0.3), endplate("L5", True, 0.3))),
        Pattern("Modic I, L3/L4", (endplate("L3", False), endplate("L4", True)), 0.6),
        Pattern("Modic I, L5/S1", (endplate("L5", False, 0.3),), 0.6),
        Pattern("corner", (endplate("L2", False, 0.9), endplate("L3", True, 0.9)), 0.6),
        Pattern("fracture", (endplate("L1", True),), 0.6),
        Pattern("fracture, T12", (endplate("T12", True),), 0.3),
    )


PATTERNS = _patterns()
