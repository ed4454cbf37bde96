"""The knee: femur, tibia, patella, fibula and what surrounds them.

The solids in ``data/knee.json`` are ellipsoids fitted to a public atlas of a knee (its source is
named in the file). Canonical frame: origin between the tibial spines, right knee, +x lateral.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.person import Person
from bmepipe.phantom.shapes import (
    FAR_MM,
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

BONES = ("femur", "tibia", "patella", "fibula")
TRAITS = {
    "flexion_deg": (-7.0, 11.0),
    "fat_mm": (2.0, 9.0),
    "cartilage_mm": (1.7, 2.7),
    "fluid_mm": (0.1, 0.6),
    "pouch_mm": (0.5, 1.8),
    "red_marrow": (0.0, 0.35),
    "scar": (0.15, 0.5),
}
SIDED = True
CENTRE_MM = (0.0, -4.0, 8.0)
GROWING = True  # has growth plates
RED = False  # the marrow is largely red
REACH_MM = 57.0
PLACES = ("height", "femur_height")  # fields that are no distances
PATTERNS = (
    Pattern("medial osteoarthritis", (Spot("femur", (-25, 2, 4)), Spot("tibia", (-24, -2, -10)))),
    Pattern("pivot shift", (Spot("femur", (26, 8, 8)), Spot("tibia", (24, -22, -8)))),
    Pattern("patellar dislocation", (Spot("patella", (-10, 40, 36)), Spot("femur", (32, 10, 18)))),
    Pattern("tibial spine", (Spot("tibia", (0, 0, -6)),), 0.5),
    Pattern("anterior tibia", (Spot("tibia", (2, 22, -14)), Spot("femur", (-22, 20, 14))), 0.7),
)
_HINGE_MM = (0.0, -6.0, 20.0)
_ENDS_MM = (-42.0, 70.0)  # the atlas ends here; shafts and muscles go on unchanged
# The hull of the deep tissue: height, then its least and greatest x and y there, in mm.
_HULL = (
    (-90, -43, -15, 5, 25, 45, 71, 110),
    (-40, -42, -50, -57, -62, -66, -64, -68),
    (46, 50, 46, 42, 40, 38, 40, 46),
    (-54, -57, -55, -50, -45, -44, -44, -48),
    (18, 22, 32, 44, 52, 55, 52, 54),
)
_MUSCLES = (
    "vastus_lateralis",
    "vastus_medialis",
    "biceps",
    "semimembranosus",
    "gracilis",
    "sartorius",
    "gastrocnemius_medial",
    "gastrocnemius_lateral",
    "popliteus",
    "soleus",
    "tibialis_anterior",
    "extensor",
    "peroneus",
)
_TENDONS = ("lcl", "mcl", "popliteus_tendon")
_GAP_MM = {"tibia": 2.4, "patella": 2.4}


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the knee at canonical points, shape (..., 3)."""
    solids, traits = load_solids("knee"), person.traits
    flexion = traits["flexion_deg"]
    thigh, kneecap = _moved(points_mm, flexion)
    bent = _held(_bend(points_mm, flexion))
    found: Fields = _bones(points_mm, thigh, kneecap)
    found["cartilage"] = _cartilage(points_mm, thigh, kneecap, found, traits["cartilage_mm"])
    for name in ("meniscus_medial", "meniscus_lateral", "acl", "pcl"):
        found[name] = solids[name].distance(points_mm, reach_mm=6)
    found["meniscus"] = np.minimum(found.pop("meniscus_medial"), found.pop("meniscus_lateral"))
    found["hoffa"] = solids["hoffa"].distance(points_mm, reach_mm=6)
    for name in ("vein", "artery", "nerve", "saphenous"):
        found[name] = solids[name].distance(bent, reach_mm=4)
    found["vein"] = np.minimum(found["vein"], found.pop("saphenous"))
    found["muscle"], found["seam"] = _muscles(bent)
    found["tendon"] = np.minimum.reduce(
        [solids[name].distance(points_mm, reach_mm=5) for name in _TENDONS]
        + [_quadriceps_tendon(kneecap), _patellar_tendon(points_mm, kneecap)]
    )
    found["pouch"] = ellipsoid(kneecap, (6, 27, 62), (15, traits["pouch_mm"], 13))
    found["height"] = points_mm[..., 2].copy()
    found["femur_height"] = thigh[..., 2].copy()
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    if "growth_plate" in traits:
        found |= _growth_plate(found)
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    return _bones(points_mm, *_moved(points_mm, person.traits["flexion_deg"]))


def _moved(points_mm: Floats, flexion_deg: float) -> tuple[Floats, Floats]:
    # Where the thigh and the kneecap, which follows it half-way, would be in a straight knee.
    thigh = turn(points_mm, rotation(0, flexion_deg), _HINGE_MM)
    return thigh, turn(points_mm, rotation(0, 0.55 * flexion_deg), _HINGE_MM)


def _growth_plate(f: Fields) -> Fields:
    # Where the scar would lie: a wavy plate across femur and tibia, 2.4 mm thick.
    femur = np.abs(f["femur_height"] - 38 + 2.0 * f["broad"]) - np.float32(1.2)
    tibia = np.abs(f["height"] + 24 + 2.0 * f["broad"]) - np.float32(1.2)
    border = np.where(f["bone.femur"] < f["bone.tibia"], femur, tibia)
    border = np.where(np.minimum(f["bone.patella"], f["bone.fibula"]) < 1, FAR_MM, border)
    return {"border.growth_plate": f32(border), "amount.growth_plate": cover(f32(border), 1.0)}


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points; fine on a grid of 4 mm."""
    bent = _bend(points_mm, person.traits["flexion_deg"])
    low_x, high_x, low_y, high_y = (
        np.interp(bent[..., 2], _HULL[0], row).astype(np.float32) for row in _HULL[1:]
    )
    wide, deep = (high_x - low_x) / 2, (high_y - low_y) / 2
    x = np.abs(bent[..., 0] - (low_x + high_x) / 2) / wide
    y = np.abs(bent[..., 1] - (low_y + high_y) / 2) / deep
    hull = ((x**2.5 + y**2.5) ** 0.4 - 1) * np.minimum(wide, deep)
    front = smooth_step(bent[..., 1], 15, 45)
    medial = smooth_step(bent[..., 0], 0, -45)
    fat = np.float32(person.traits["fat_mm"]) * (1 - 0.5 * front) * (1 + 0.35 * medial)
    return f32(hull - fat - np.float32(1.5))


def _held(points_mm: Floats) -> Floats:
    held = points_mm.copy()
    np.clip(held[..., 2], *_ENDS_MM, out=held[..., 2])
    return held


def _bend(points_mm: Floats, degrees: float) -> Floats:
    # Soft tissue follows the femur above the joint and the tibia below it.
    share = smooth_step(points_mm[..., 2], -15, 45)
    angle = np.float32(np.deg2rad(degrees)) * share
    y, z = points_mm[..., 1] - _HINGE_MM[1], points_mm[..., 2] - _HINGE_MM[2]
    bent = points_mm.copy()
    bent[..., 1] = np.cos(angle) * y - np.sin(angle) * z + np.float32(_HINGE_MM[1])
    bent[..., 2] = np.sin(angle) * y + np.cos(angle) * z + np.float32(_HINGE_MM[2])
    return bent


def _bones(points: Floats, thigh: Floats, kneecap: Floats) -> Fields:
    solids = load_solids("knee")
    femur = solids["femur"].distance(_held(thigh))
    tibia = np.maximum(solids["tibia"].distance(_held(points)), _GAP_MM["tibia"] - femur)
    patella = np.maximum(solids["patella"].distance(kneecap), _GAP_MM["patella"] - femur)
    patella = np.maximum(patella, 1.0 - tibia)
    fibula = np.maximum(solids["fibula"].distance(_held(points)), 1.2 - tibia)
    fibula = np.maximum(fibula, 2.0 - femur)
    found: Fields = {
        "bone.femur": femur,
        "bone.tibia": tibia,
        "bone.patella": patella,
        "bone.fibula": fibula,
    }
    # Thick tubes at the shafts, a thin plate under cartilage.
    found["cortex.femur"] = 0.7 + 2.6 * smooth_step(thigh[..., 2], 52, 95)
    found["cortex.tibia"] = 0.8 + 2.6 * smooth_step(points[..., 2], -32, -80)
    found["cortex.patella"] = np.full(points.shape[:-1], 0.8, np.float32)
    found["cortex.fibula"] = 0.8 + 1.4 * smooth_step(points[..., 2], -25, -60)
    return found


def _cartilage(
    points: Floats, thigh: Floats, kneecap: Floats, bones: Fields, thickness_mm: float
) -> Floats:
    solids = load_solids("knee")
    zones = {
        "femur": solids["zone_femur"].distance(thigh, reach_mm=4),
        "patella": solids["zone_patella"].distance(kneecap, reach_mm=4),
        "tibia": np.minimum(
            solids["zone_tibia_lateral"].distance(points, reach_mm=4),
            solids["zone_tibia_medial"].distance(points, reach_mm=4),
        ),
    }
    factor = {"femur": 1.0, "tibia": 1.0, "patella": 1.35}
    parts = []
    for name, zone in zones.items():
        # The zone is the cartilage grown by 2.6 mm, so -2.6 lies near its middle.
        depth = np.clip(-zone / np.float32(1.6), -1, 1) * np.float32(thickness_mm * factor[name])
        parts.append(bones[f"bone.{name}"] - depth)
    return np.minimum.reduce(parts)


def _muscles(bent: Floats) -> tuple[Floats, Floats]:
    # The nearest compartment, and how near the second is: the seam of fat lies between the two.
    first = np.full(bent.shape[:-1], FAR_MM, dtype=np.float32)
    second = first.copy()
    for name in _MUSCLES:
        distance = load_solids("knee")[name].distance(bent, reach_mm=6)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return first, second - first


def _band(
    points: Floats, start: Sequence[float], end: Sequence[float], radius_mm: float, narrow: float
) -> Floats:
    """Return the distance to a band `1 / narrow` times as wide (along x) as thick."""
    squeeze = f32([narrow, 1, 1])
    return capsule(points * squeeze, f32(start) * squeeze, f32(end) * squeeze, radius_mm)


def _quadriceps_tendon(kneecap: Floats) -> Floats:
    return _band(kneecap, (5, 42, 54), (3, 36, 115), 2.9, 0.3)


def _patellar_tendon(points: Floats, kneecap: Floats) -> Floats:
    # From the front of the kneecap, which moves with the femur, to the tibial tuberosity.
    along = smooth_step(points[..., 2], -30, 25)[..., None]
    between = points + along * (kneecap - points)
    over = _band(between, (5, 53, 46), (8, 46.5, 24), 1.1, 0.15)
    return smooth_min(over, _band(between, (9, 45, 24), (20, 22, -40), 2.3, 0.22), 1.0)


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin, traits = f["body"], person.traits
    small = _small_vessels(f)
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", cover(skin + 1.6, step_mm)),
        Layer("septum", sheet(f["mid"], 0.08) * cover(skin + 2.0, step_mm) * 0.45),
        Layer("vein", small * cover(skin + 4.0, step_mm)),
        Layer("fascia", film(f["muscle"] - 0.2, 0.3, step_mm) * 0.5),
        Layer("muscle", cover(f["muscle"], step_mm)),
        Layer("fat", sheet(f["seam"], 0.8) * cover(f["muscle"], step_mm) * 0.7),
        Layer("fat", _streaks(f) * cover(f["muscle"] + 1.5, step_mm)),
        Layer("vein", small * cover(f["muscle"] + 2.5, step_mm) * 0.7),
        Layer("fat", cover(f["hoffa"], step_mm)),
        Layer("septum", sheet(f["mid"], 0.16) * cover(f["hoffa"], step_mm) * 0.6),
        # Flowing blood is uneven and darker than it would be at rest.
        Layer("vein", f32(cover(f["vein"], step_mm) * np.clip(0.5 + 0.25 * f["mid"], 0.1, 0.9))),
        Layer("artery", cover(f["artery"], step_mm)),
        Layer("nerve", cover(f["nerve"], step_mm)),
        Layer("fluid", cover(f["pouch"], step_mm)),
        Layer("fluid", cover(f["cartilage"] - traits["fluid_mm"], step_mm) * _near_joint(f)),
        Layer("ligament", cover(np.minimum(f["acl"], f["pcl"]), step_mm)),
        Layer("tendon", cover(f["tendon"], step_mm)),
        Layer("meniscus", cover(f["meniscus"], step_mm)),
        Layer("cartilage", cover(f["cartilage"], step_mm)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: red marrow, physeal scar, vessels."""
    height = {"femur": f["femur_height"] - 38, "tibia": f["height"] + 24}.get(bone)
    specks = np.clip((f["fine"] - 2.9) * 0.8, 0, 0.35)
    paint = [Layer("vein", f32(specks))]
    if height is None:
        return paint
    wavy = height + np.float32(2.0) * f["broad"]
    scar = np.clip(1 - np.abs(wavy) / 0.9, 0, 1) * np.float32(person.traits["scar"])
    away = smooth_step(height if bone == "femur" else -height, -2, 18)
    red = np.clip(f["broad"] * 0.35 + f["mid"] * 0.15 + 0.25, 0, 1) * away
    return [
        Layer("red_marrow", f32(red * person.traits["red_marrow"])),
        Layer("sclerosis", f32(scar * np.clip(0.6 + 0.5 * f["mid"], 0, 1))),
        *paint,
    ]


def _small_vessels(f: Fields) -> Floats:
    # Two random walls meet in a line: a vessel of about 1 mm.
    return f32(sheet(f["mid"], 0.3) * sheet(f["broad"], 0.09) * 0.9)


def _near_joint(f: Fields) -> Floats:
    return smooth_step(np.abs(f["height"] - 12), 62, 40)


def _streaks(f: Fields) -> Floats:
    return np.clip(sheet(f["mid"], 0.05) * (f["broad"] > 0.3) * 0.5, 0, 1)
