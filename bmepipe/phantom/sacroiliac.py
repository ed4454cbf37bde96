"""The sacroiliac joints: sacrum, both iliac wings, L5 and what lies around.

The sacrum and the ilium in ``data/pelvis.json`` are ellipsoids fitted to a public pelvis (its
source is named in the file); the left ilium is the right one mirrored and made a little different.
Canonical frame: origin near the middle of the sacrum, +x to the right, +y anterior, +z superior.
"""

from __future__ import annotations

import numpy as np

from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.lumbar_bones import Level, vertebra, vertebral_body
from bmepipe.phantom.person import Person
from bmepipe.phantom.points import pack, split
from bmepipe.phantom.sacrum import (
    sacral_canal,
    sacral_discs,
    sacral_foramina,
    sacral_roots,
    sacrum_distance,
)
from bmepipe.phantom.shapes import (
    Floats,
    capsule,
    ellipsoid,
    f32,
    load_solids,
    smooth_step,
)

BONES = ("sacrum", "ilium_left", "ilium_right", "L5")
TRAITS = {
    "fat_mm": (8.0, 32.0),
    "joint_mm": (2.2, 3.6),
    "red_marrow": (0.2, 0.6),
    "unlike": (-0.03, 0.03),
    "dry": (0.0, 1.0),
}
SIDED = False
CENTRE_MM = (0.0, -5.0, 0.0)
GROWING = False  # has growth plates
RED = True  # the marrow is largely red
REACH_MM = 84.0
PLACES = ("ahead",)  # fields that are no distances
PATTERNS = (
    Pattern("sacroiliitis, right", (Spot("ilium_right", (58, 2, -8)), Spot("sacrum", (42, 4, -8)))),
    Pattern("sacroiliitis, left", (Spot("ilium_left", (-58, 2, -8)), Spot("sacrum", (-42, 4, -8)))),
    Pattern("iliac, right", (Spot("ilium_right", (60, 8, 6)),), 0.6),
    Pattern("iliac, left", (Spot("ilium_left", (-60, 8, 6)),), 0.6),
    Pattern("sacral ala", (Spot("sacrum", (34, 12, 18)),), 0.3),
)
_L5 = Level("L5", (0.0, 47.0, 53.0), 24.0, 26.0, 17.4, 13.4)
_DISC = Level("", (0.0, 42.0, 42.0), 27.0, 25.0, 16.5, 8.0)


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the pelvis at canonical points, shape (..., 3)."""
    gap = np.float32(person.traits["joint_mm"])
    found: Fields = skeleton(points_mm, person)
    sacrum = found["bone.sacrum"]
    wings = np.minimum(found["bone.ilium_left"], found["bone.ilium_right"])
    # Cartilage fills the joint; behind it lie ligaments in fat.
    found["joint"] = np.maximum(sacrum, wings) - (gap * 0.9)
    found["disc"] = vertebral_body(_DISC.local(points_mm), _DISC, -0.4)
    found["nucleus"] = ellipsoid(_DISC.local(points_mm), (0, 0, 0), (15.5, 9.5, 5.0))
    canal = sacral_canal(points_mm) + np.float32(0.6)
    found["canal"] = np.minimum(capsule(points_mm, (0, 20, 70), (0, 6, 42), 8.0), canal)
    found["remnant"] = sacral_discs(points_mm)
    found["foramen"], found["root"] = sacral_foramina(points_mm), sacral_roots(points_mm)
    found["rectum"] = _rectum(points_mm)
    found["muscle"] = _muscles(points_mm, wings, sacrum)
    found["vessel"] = _vessels(points_mm)
    found["ahead"] = points_mm[..., 1].copy()
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    found["fibre"] = person.noise("mid", _along_fibres(points_mm))
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    gap, unlike = np.float32(person.traits["joint_mm"]), person.traits["unlike"]
    solids = load_solids("pelvis")
    sacrum = sacrum_distance(points_mm)
    right = np.maximum(solids["ilium_right"].distance(points_mm, reach_mm=45), gap - sacrum)
    mirrored = points_mm * f32([-1 - unlike, 1 + unlike, 1])
    left = np.maximum(solids["ilium_right"].distance(mirrored, reach_mm=45), gap - sacrum)
    lowest = np.maximum(vertebra(points_mm, _L5), 1.6 - sacrum)
    found: Fields = {
        "bone.sacrum": sacrum,
        "bone.ilium_left": left,
        "bone.ilium_right": right,
        "bone.L5": np.maximum(lowest, 2.0 - np.minimum(left, right)),
    }
    for name in BONES:
        thick = 1.1 if name.startswith("ilium") else 0.7
        found[f"cortex.{name}"] = np.full(points_mm.shape[:-1], thick, np.float32)
    return found


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points."""
    fat = person.traits["fat_mm"]
    back = -74.0 - fat
    deep, wide = (130.0 - back) / 2, 165.0 + fat
    x, y = points_mm[..., 0] / wide, (points_mm[..., 1] - (130.0 + back) / 2) / deep
    groove = 9.0 * np.exp(-((points_mm[..., 0] / 12.0) ** 2)) * smooth_step(-y, 0.3, 0.8)
    return f32(((np.abs(x) ** 2.6 + np.abs(y) ** 2.6) ** (1 / 2.6) - 1) * deep + groove)


def _muscles(points: Floats, wings: Floats, sacrum: Floats) -> Floats:
    # Sheets on both faces of the wings: iliacus inside, the gluteal muscles outside and behind.
    half = points.copy()
    half[..., 0] = np.abs(half[..., 0])
    outer = smooth_step(half[..., 0], 88, 118)
    behind = smooth_step(points[..., 1], -5, -40) * smooth_step(half[..., 0], 35, 60)
    sheet_mm = 15 + 26 * np.maximum(outer, behind)
    parts = [
        np.maximum(wings - sheet_mm, 9.0 - sacrum),
        ellipsoid(half, (20, -46, 45), (18, 15, 70)),  # multifidus
        ellipsoid(half, (72, -60, -60), (58, 22, 75)),  # gluteus maximus
        ellipsoid(half, (52, 48, 20), (18, 19, 95)),  # psoas
        capsule(half, (24, -14, -46), (95, -30, -72), 12.0),  # piriformis
        ellipsoid(half, (62, 10, -100), (26, 28, 40)),  # obturator
    ]
    return f32(np.minimum.reduce(parts))


def _along_fibres(points: Floats) -> Floats:
    # The gluteal muscles run outwards and down; noise is drawn out that way.
    x, y, z = split(points)
    x = np.abs(x)
    return pack(1.0 * (x + z), 1.4 * y, 0.18 * (x - z))


def _rectum(points: Floats) -> Floats:
    low = capsule(points, (3, -34, -95), (-5, -8, -62), 13.0)
    return np.minimum(low, capsule(points, (-5, -8, -62), (9, 34, -36), 14.0))


def _vessels(points: Floats) -> Floats:
    half = points.copy()
    half[..., 0] = np.abs(half[..., 0])
    outer = capsule(half, (20, 62, 60), (60, 55, -40), 4.5)
    return np.minimum(outer, capsule(half, (30, 52, 30), (45, 8, -50), 3.5))


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin, dry = f["body"], person.traits["dry"]
    inside = cover(skin + 2.0, step_mm)
    front = smooth_step(f["ahead"] + 9 * f["broad"], 50, 64)
    bowel = smooth_step(f["broad"] + 0.5 * f["mid"], -0.1, 0.3) * front * inside
    behind = smooth_step(f["ahead"], -6, -18) * cover(f["joint"] - 3.0, step_mm)
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", inside),
        Layer("septum", sheet(f["mid"], 0.08) * inside * 0.3),
        Layer("muscle", f32(bowel * 0.9)),
        Layer("fluid", f32(bowel * np.clip(f["broad"] - 1.0, 0, 1) * 0.3)),
        Layer("fascia", film(f["muscle"] - 0.3, 0.4, step_mm) * 0.6),
        Layer("muscle", cover(f["muscle"], step_mm)),
        Layer("fat", f32(sheet(f["fibre"], 0.16) * cover(f["muscle"] + 1.5, step_mm) * 0.6)),
        Layer("muscle", cover(f["rectum"], step_mm)),
        Layer("fat", f32(cover(f["rectum"] + 3.5, 3.0) * np.clip(0.45 + 0.3 * f["broad"], 0, 1))),
        Layer("vein", cover(f["vessel"], step_mm)),
        Layer("cartilage", cover(f["joint"], step_mm)),
        Layer("ligament", f32(behind * np.clip(0.5 + 0.5 * f["mid"], 0, 1))),
        Layer("fat", cover(f["canal"] - 1.5, step_mm)),
        Layer("csf", cover(f["canal"], step_mm)),
        Layer("annulus", cover(f["remnant"], step_mm)),
        Layer("fat", cover(f["foramen"], step_mm)),
        Layer("nerve", cover(f["root"], step_mm)),
        Layer("annulus", cover(f["disc"], step_mm)),
        Layer("disc_dry", f32(cover(f["nucleus"] - 3.5, 2.0) * cover(f["disc"], step_mm) * 0.7)),
        Layer("disc", f32(cover(f["nucleus"], 2.5) * cover(f["disc"], step_mm))),
        Layer("disc_dry", f32(cover(f["nucleus"], 2.5) * cover(f["disc"], step_mm) * dry)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: red marrow in patches, small vessels."""
    share = person.traits["red_marrow"] + 0.10 * f["broad"] + 0.06 * f["mid"]
    return [
        Layer("red_marrow", f32(np.clip(share, 0.05, 0.9))),
        Layer("vein", f32(np.clip((f["fine"] - 2.9) * 0.8, 0, 0.35))),
    ]
