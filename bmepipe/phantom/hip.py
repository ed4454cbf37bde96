"""One hip: proximal femur, the hip bone in its three parts, and what lies around.

The hip bone and the femur in ``data/pelvis.json`` are ellipsoids fitted to a public pelvis (its
source is named in the file). Ilium, ischium and pubis are grown together: planes through the
centre of the socket part them, without cortex between. Canonical frame: origin in the centre of
the femoral head, right hip, +x lateral, +y anterior, +z superior.
"""

from __future__ import annotations

import numpy as np

from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.person import Person
from bmepipe.phantom.points import length
from bmepipe.phantom.shapes import (
    Floats,
    capsule,
    ellipsoid,
    f32,
    load_solids,
    rotation,
    smooth_min,
    smooth_step,
    turn,
)

BONES = ("femur", "ilium", "ischium", "pubis")
TRAITS = {
    "fat_mm": (6.0, 35.0),
    "joint_mm": (2.6, 4.0),
    "red_marrow": (0.1, 0.5),
    "turn_deg": (-7.0, 7.0),
    "spread_deg": (-4.0, 6.0),
}
SIDED = True
CENTRE_MM = (-2.0, 0.0, -18.0)
GROWING = False  # has growth plates
RED = False  # the marrow is largely red
REACH_MM = 72.0
PLACES = ("height", "head")  # fields that are no distances
PATTERNS = (
    Pattern("transient osteoporosis", (Spot("femur", (6, 0, 2), 12.0),), 1.0, (15000, 40000)),
    Pattern("subchondral head", (Spot("femur", (2, 6, 16), 9.0),)),
    Pattern("acetabular roof", (Spot("ilium", (8, 4, 30), 10.0), Spot("femur", (4, 4, 17), 9.0))),
    Pattern("greater trochanter", (Spot("femur", (50, -14, -12), 12.0),), 0.5),
    Pattern("femoral neck, stress", (Spot("femur", (22, -4, -24), 9.0),), 0.5),
)
_HEAD_MM = (96.3, 46.6, -82.6)  # in the frame of the solids
_HEAD_RADIUS_MM = 23.1
_SHAFT_END_MM = -140.0


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the hip at canonical points, shape (..., 3)."""
    gap = np.float32(person.traits["joint_mm"])
    thigh = _thigh(points_mm, person)
    head = length(points_mm) - np.float32(_HEAD_RADIUS_MM)
    found, pelvis = _bones(points_mm, thigh, head, gap)
    femur = found["bone.femur"]
    socket = smooth_step(np.abs(head), 8, 5)
    found["gap"] = f32(np.maximum(femur - gap, pelvis - gap) + 20 * (1 - socket))
    found["middle"] = femur - pelvis
    found["labrum"] = _labrum(points_mm, pelvis, head)
    found["capsule"] = smooth_min(head, _neck(thigh), 6.0) - np.float32(4.0)
    found["muscle"] = _muscles(points_mm, pelvis)
    found["vessel"] = capsule(points_mm, (-14, 48, 40), (0, 38, -120), 4.5)
    found["bladder"] = ellipsoid(points_mm, (-92, 30, -8), (42, 34, 30))
    found["height"] = thigh[..., 2].copy()
    # Inside the pelvis there is no muscle but that of its wall.
    found["within"] = f32(np.maximum(points_mm[..., 0] + 50, -48 - points_mm[..., 2]))
    found["head"] = head
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    head = length(points_mm) - np.float32(_HEAD_RADIUS_MM)
    gap = np.float32(person.traits["joint_mm"])
    return _bones(points_mm, _thigh(points_mm, person), head, gap)[0]


def _thigh(points: Floats, person: Person) -> Floats:
    traits = person.traits
    swing = rotation(1, traits["spread_deg"]) @ rotation(2, traits["turn_deg"])
    thigh = turn(points, swing, (0, 0, 0))
    np.maximum(thigh[..., 2], _SHAFT_END_MM, out=thigh[..., 2])
    return thigh


def _bones(
    points: Floats, thigh: Floats, head: Floats, gap_mm: np.float32
) -> tuple[Fields, Floats]:
    # The labelled bones, and the hip bone as a whole.
    solids = load_solids("pelvis")
    femur = solids["femur"].distance(thigh + f32(_HEAD_MM), reach_mm=25)
    femur = smooth_min(femur, head, 1.0)
    pelvis = solids["ilium_right"].distance(points + f32(_HEAD_MM), reach_mm=25)
    pelvis = np.maximum(pelvis, gap_mm - femur)
    found: Fields = {"bone.femur": femur}
    found["cortex.femur"] = 0.9 + 3.0 * smooth_step(thigh[..., 2], -45, -110)
    for name, border in _parts(points).items():
        found[f"bone.{name}"] = np.maximum(pelvis, border)
        inner = np.maximum(pelvis + 1.0, border)  # no cortex where the parts meet
        found[f"cortex.{name}"] = inner - found[f"bone.{name}"]
    return found, pelvis


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points."""
    fat = person.traits["fat_mm"]
    wide, deep = 168.0 + fat, 98.0 + 0.6 * fat
    x, y = (points_mm[..., 0] + 96.0) / wide, (points_mm[..., 1] + 12.0) / deep
    return f32(((np.abs(x) ** 2.4 + np.abs(y) ** 2.4) ** (1 / 2.4) - 1) * deep)


def _parts(points: Floats) -> dict[str, Floats]:
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    above = f32(6.0 - z - 0.15 * y)  # negative above the socket's middle
    before = f32(0.8 * x - y + 4.0) * np.float32(0.78)  # negative in front of it
    return {
        "ilium": above,
        "ischium": np.maximum(-above, -before),
        "pubis": np.maximum(-above, before),
    }


def _neck(thigh: Floats) -> Floats:
    return capsule(thigh, (0, 0, 0), (30, -10, -28), 14.0)


def _labrum(points: Floats, pelvis: Floats, head: Floats) -> Floats:
    # A rim of the socket: near the bone, just off the head, outside the joint space.
    lateral = smooth_step(points[..., 0] + 0.5 * points[..., 2], 18, 24)
    return f32(np.maximum(pelvis - 3.0, np.abs(head - 4.5) - 2.0) + 10 * (1 - lateral))


def _muscles(points: Floats, pelvis: Floats) -> Floats:
    parts = [
        ellipsoid(points, (34, -12, 62), (26, 42, 62)),  # gluteus medius and minimus
        ellipsoid(points, (6, -62, -20), (62, 22, 85)),  # gluteus maximus
        capsule(points, (-22, 40, 90), (6, 33, -10), 17.0),  # iliopsoas
        capsule(points, (6, 33, -10), (22, 2, -62), 12.0),
        ellipsoid(points, (36, 46, -10), (15, 13, 85)),  # tensor fasciae latae, rectus
        ellipsoid(points, (-46, 8, -95), (32, 26, 62)),  # adductors
        np.maximum(pelvis - 10.0, np.abs(points[..., 2] + 35) - 22),  # the obturators
        capsule(points, (-62, -10, -30), (34, -22, -34), 9.0),  # obturator internus, quadratus
    ]
    return f32(np.minimum.reduce(parts))


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin = f["body"]
    inside = cover(skin + 2.0, step_mm)
    # Muscle fills what lies beneath the subcutaneous fat, parted by planes of fat.
    beneath = skin + np.float32(0.8 * person.traits["fat_mm"] + 5.0)
    deep = cover(beneath, step_mm) * cover(-f["within"], 6.0) * cover(1.5 - f["capsule"], 2.0)
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", inside),
        Layer("septum", sheet(f["mid"], 0.08) * inside * 0.3),
        Layer("muscle", deep),
        Layer("fat", f32(sheet(f["broad"], 0.16) * deep)),
        Layer("fascia", film(f["muscle"] - 0.3, 0.4, step_mm) * 0.6),
        Layer("muscle", cover(f["muscle"], step_mm)),
        Layer("fat", f32(sheet(f["mid"], 0.16) * cover(f["muscle"] + 1.5, step_mm) * 0.6)),
        Layer("muscle", f32(film(f["bladder"], 2.0, step_mm))),
        Layer("fluid", cover(f["bladder"] + 2.0, step_mm)),
        Layer("vein", cover(f["vessel"], step_mm)),
        Layer("fat", cover(f["capsule"], step_mm)),
        Layer("ligament", film(f["capsule"], 1.1, step_mm)),
        Layer("cartilage", cover(f["gap"], step_mm)),
        Layer("fluid", f32(film(f["middle"], 0.3, step_mm) * cover(f["gap"], step_mm))),
        Layer("labrum", cover(f["labrum"], step_mm)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: red marrow spares head and trochanter."""
    share = person.traits["red_marrow"] + 0.08 * f["broad"] + 0.05 * f["mid"]
    if bone == "femur":
        spared = smooth_step(f["head"], -2, 12) * smooth_step(f["height"], 2, -20)
        share = share * (0.15 + 0.85 * spared)
    return [
        Layer("red_marrow", f32(np.clip(share, 0.0, 0.9))),
        Layer("vein", f32(np.clip((f["fine"] - 2.9) * 0.8, 0, 0.35))),
    ]
