"""The shoulder: what surrounds the bones of `shoulder_bones`, and where edema lies.

Canonical frame: origin in the centre of the humeral head, right shoulder, the arm beside the body,
+x lateral, +y anterior, +z superior. All but chest and skin is laid out in the frame of the
scapula, whose glenoid looks 35 degrees forward. Courses and thicknesses of soft tissues are drawn
after anatomy, not measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bmepipe.phantom.ankle_courses import ropes
from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.person import Person
from bmepipe.phantom.points import dot, length
from bmepipe.phantom.shapes import (
    FAR_MM,
    Floats,
    ellipsoid,
    f32,
    rotation,
    smooth_max,
    smooth_min,
    smooth_step,
)
from bmepipe.phantom.shoulder_bones import BONES as BONES
from bmepipe.phantom.shoulder_bones import (
    HEAD_RADIUS_MM,
    PLANE_DEG,
    arm_frame,
    bone_distances,
    glenoid_radius,
    scapular_frame,
    tube,
)
from bmepipe.phantom.shoulder_courses import (
    ARTERIES,
    BICEPS,
    CORDS,
    LIGAMENTS,
    MUSCLES,
    NERVES,
    VEINS,
)
from bmepipe.phantom.shoulder_mantle import flesh, mantle

TRAITS = {
    "plane_deg": (30.0, 40.0),
    "rotation_deg": (-10.0, 22.0),  # of the arm, outwards
    "abduct_deg": (0.0, 9.0),
    "version_deg": (-12.0, 1.0),
    "acromion_deg": (-7.0, 7.0),
    "hook_mm": (-0.5, 4.0),
    "joint_mm": (3.2, 4.4),
    "ac_mm": (1.8, 3.6),
    "fat_mm": (3.0, 22.0),
    "fluid_mm": (0.1, 0.45),
    "bursa_mm": (0.1, 0.55),
    "recess_mm": (0.8, 3.0),
    "cuff_mm": (3.6, 5.4),
    "red_marrow": (0.05, 0.45),
    "scar": (0.1, 0.4),
}
SIDED = True
CENTRE_MM = (-14.0, -8.0, -8.0)
GROWING = True  # has growth plates
RED = False  # the marrow is largely red
REACH_MM = 66.0
PLACES = ("height", "lateral")  # fields that are no distances


def _spot(bone: str, x: float, y: float, z: float, spread_mm: float = 9.0) -> Spot:
    # Given in the frame of the scapula, of which the mean turn is known.
    place = f32([x, y, z]) @ rotation(2, -PLANE_DEG)
    return Spot(bone, (float(place[0]), float(place[1]), float(place[2])), spread_mm)


PATTERNS = (
    Pattern("Hill-Sachs", (_spot("humerus", 7, -17, 12), _spot("scapula", -30, 10, -11))),
    Pattern(
        "reverse Hill-Sachs", (_spot("humerus", -5, 19, 7), _spot("scapula", -30, -9, -6)), 0.4
    ),
    Pattern("greater tuberosity", (_spot("humerus", 21, 3, 9),)),
    Pattern("cuff insertion", (_spot("humerus", 19, -7, 8),), 0.7),
    Pattern("lesser tuberosity", (_spot("humerus", 8, 20, 0),), 0.4),
    Pattern(
        "acromioclavicular joint", (_spot("clavicle", -28, 12, 40), _spot("scapula", -13, 8, 37))
    ),
    Pattern("distal clavicle", (_spot("clavicle", -30, 14, 41),), 0.5),
    Pattern("glenohumeral", (_spot("humerus", -15, 0, 12), _spot("scapula", -31, 0, -2)), 0.8),
    Pattern("surgical neck", (Spot("humerus", (6, 2, -26), 9.0, (0.2, 0, 1)),), 0.5),
    Pattern("acromion", (_spot("scapula", -4, -10, 37),), 0.4),
)


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the shoulder at canonical points, (..., 3)."""
    traits = person.traits
    points = scapular_frame(points_mm, person)
    arm = arm_frame(points, person)
    distances = bone_distances(points, person)
    found: Fields = {f"bone.{name}": distances[name] for name in BONES}
    found |= _cortices(arm, points)
    head = length(points) - np.float32(HEAD_RADIUS_MM)
    scapula, humerus = distances["scapula"], distances["humerus"]
    found["gap"] = np.maximum(humerus, scapula) - np.float32(traits["joint_mm"])
    found["middle"] = humerus - scapula
    found["head_cartilage"] = _head_cartilage(head, arm)
    found["acromioclavicular"] = np.maximum(scapula, distances["clavicle"]) - np.float32(
        traits["ac_mm"]
    )
    found["labrum"] = _labrum(points, head, person)
    found["cuff"] = _cuff(arm, points, head, traits["cuff_mm"])
    found["roof"] = np.minimum(head - np.float32(3.4 + traits["cuff_mm"]), humerus - 2.6)
    found["bursa"] = _bursa(points, found["roof"])
    found["recess"], found["pouch"] = _recess(points, head, traits["recess_mm"])
    found["tendon"] = ropes(_led(points, arm), BICEPS)
    found["ligament"] = ropes(points, LIGAMENTS)
    for name, lines in (("vein", VEINS), ("artery", ARTERIES), ("nerve", NERVES)):
        found[name] = ropes(points, lines)
    found["cord"] = ropes(points, CORDS)
    bellies = mantle(points, flesh(points_mm, points), found["roof"])
    found["muscle"], found["seam"] = _muscles(points, *bellies)
    found["chest"] = _chest(points_mm)
    found["rib"] = _ribs(points_mm, found["chest"])
    found["height"] = arm[..., 2].copy()
    found["lateral"] = points[..., 0].copy()
    found["scar"] = _tent(arm)
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    if "growth_plate" in traits:
        found |= _growth_plate(found)
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    points = scapular_frame(points_mm, person)
    distances = bone_distances(points, person)
    found: Fields = {f"bone.{name}": distances[name] for name in BONES}
    return found | _cortices(arm_frame(points, person), points)


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points; fine on a grid of 4 mm."""
    surface = flesh(points_mm, scapular_frame(points_mm, person))
    return f32(surface - np.float32(person.traits["fat_mm"] + 1.5))


def _cortices(arm: Floats, points: Floats) -> Fields:
    # A thin plate around the head, thick tubes at the shafts of humerus and clavicle.
    return {
        "cortex.humerus": f32(0.9 + 2.4 * smooth_step(arm[..., 2], -28, -72)),
        "cortex.scapula": np.full(points.shape[:-1], 1.0, np.float32),
        "cortex.clavicle": f32(1.1 + 0.9 * smooth_step(points[..., 1], 24, 60)),
    }


def _led(points: Floats, arm: Floats) -> Floats:
    # What lies at the humerus turns with it; what lies at the scapula stays.
    share = smooth_step(points[..., 0] - 0.35 * points[..., 2], -24, 10)[..., None]
    return f32(points + share * (arm - points))


def _head_cartilage(head: Floats, arm: Floats) -> Floats:
    # On the part of the head that looks to the glenoid; its axis leans 45 degrees upwards.
    facing = dot(arm, (-0.70, -0.12, 0.70)) / np.maximum(head + HEAD_RADIUS_MM, 1.0)
    return f32(head - 1.7 * smooth_step(facing, 0.12, 0.3) + 0.4)


def _labrum(points: Floats, head: Floats, person: Person) -> Floats:
    rim = (glenoid_radius(points, person) - 1.0) * np.float32(14.0)
    ring = np.hypot(rim - 0.6, head - np.float32(person.traits["joint_mm"] - 0.4)) - 2.4
    return f32(np.maximum(ring, points[..., 0] + 10.0))


def _cuff(arm: Floats, points: Floats, head: Floats, thick_mm: float) -> Floats:
    # A hood of tendon over the head, open at the rotator interval and below.
    around = np.rad2deg(np.arctan2(arm[..., 1], arm[..., 2]))
    shell = np.abs(head - np.float32(2.2 + thick_mm / 2)) - np.float32(thick_mm / 2)
    interval = (9.0 - np.abs(around - 37.0)) * 0.45
    below = (np.abs(around - 6.0) - 112.0) * 0.45
    end = 0.86 * arm[..., 0] - 0.5 * arm[..., 2] - 15.0
    start = -14.0 - points[..., 0]
    ends = f32(np.maximum.reduce([f32(interval), f32(below), f32(end), start]))
    return smooth_max(f32(shell), ends, 0.9)


def _bursa(points: Floats, roof: Floats) -> Floats:
    """Return the distance to the sheet between cuff and deltoid, under the acromion."""
    where = np.maximum(-points[..., 2] - 20.0, -points[..., 0] - 16.0)
    return f32(np.abs(roof) + np.maximum(where, 0))


def _recess(points: Floats, head: Floats, thick_mm: float) -> tuple[Floats, Floats]:
    """Return the distances to fluid in the recesses and to the fold of capsule below the head."""
    high = 1.2 + thick_mm
    pouch = ellipsoid(points, (-13, 0, -23.5), (9.5, 13, high))
    # Fluid also gathers below the coracoid.
    subcoracoid = ellipsoid(points, (-22, 21, 11), (5, 0.7 * thick_mm, 4))
    return np.minimum(pouch, subcoracoid), f32(np.maximum(pouch - 1.5, points[..., 2] + 17.0))


def _muscles(points: Floats, *outer: Floats) -> tuple[Floats, Floats]:
    # The nearest belly, and how near the second is: the seam of fat lies between the two.
    first = np.full(points.shape[:-1], FAR_MM, np.float32)
    second = first.copy()
    for belly in (*outer, *_bellies(points)):
        second = np.minimum(second, np.maximum(first, belly))
        first = np.minimum(first, belly)
    return first, second - first


def _bellies(points: Floats) -> Iterator[Floats]:
    for parts in MUSCLES.values():
        belly = tube(points, parts[0])
        for part in parts[1:]:
            belly = smooth_min(belly, tube(points, part), 2.5)
        yield belly


def _chest(points_mm: Floats) -> Floats:
    return ellipsoid(points_mm, (-172, -26, -112), (100, 78, 172))


def _ribs(points_mm: Floats, chest: Floats) -> Floats:
    # Slanting bars in the wall of the chest.
    level = points_mm[..., 2] + 0.35 * points_mm[..., 1] + 0.1 * points_mm[..., 0]
    between = np.mod(level, 27.0) - 13.5
    return f32(np.hypot(chest + 6.5, between * 0.75) - 4.8)


def _growth_plate(f: Fields) -> Fields:
    # Tent-shaped, 2.4 mm thick, where the scar of the humerus would lie.
    wavy = 1.3 * f["broad"]
    border = np.where(f["bone.humerus"] < 1, np.abs(f["scar"] + wavy) - 1.2, FAR_MM)
    return {"border.growth_plate": f32(border), "amount.growth_plate": cover(f32(border), 1.0)}


def _tent(arm: Floats) -> Floats:
    # Highest in the middle; parallel to the anatomical neck medially.
    away = np.abs(arm[..., 0] - 4.0)
    return f32(arm[..., 2] + 1.0 + 0.45 * away + 0.15 * np.abs(arm[..., 1]))


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin, traits = f["body"], person.traits
    beneath = cover(skin + np.float32(0.7 * traits["fat_mm"] + 1.5), step_mm)
    belly = f32(cover(f["muscle"], step_mm) * beneath)
    wall = cover(f["chest"] - 7.0, step_mm)
    fluid = traits["fluid_mm"]
    # The hood is muscle where it starts and tendon at the tuberosities.
    fleshy = smooth_step(f["lateral"], -6, -16)
    hood = cover(f["cuff"], step_mm)
    moist = np.clip(0.3 + 0.35 * f["broad"], 0, 0.8)
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", cover(skin + 1.8, step_mm)),
        Layer("septum", f32(sheet(f["mid"], 0.07) * cover(skin + 2.0, step_mm) * 0.3)),
        Layer("muscle", wall),
        Layer("fat", f32(film(f["chest"] - 7.0, 0.5, step_mm) * 0.8)),
        Layer("fat", f32(film(f["chest"], 0.6, step_mm) * 0.6)),
        Layer("tendon", cover(f["rib"], step_mm)),
        Layer("fat", cover(f["rib"] + 1.0, step_mm)),
        Layer("air", cover(f["chest"] + 12.5, step_mm)),
        Layer("fascia", f32(film(f["muscle"] - 0.2, 0.3, step_mm) * beneath * 0.4)),
        Layer("muscle", belly),
        Layer("fat", f32(sheet(f["seam"], 0.8) * belly * 0.7)),
        Layer("fat", f32(sheet(f["mid"], 0.07) * belly * 0.35)),
        Layer("tendon", f32(cover(f["cord"], step_mm) * 0.8)),
        Layer("ligament", cover(f["pouch"], step_mm)),
        # Folds of synovium in the fluid.
        Layer("fluid", f32(cover(f["recess"], step_mm) * np.clip(0.65 + 0.3 * f["mid"], 0, 1))),
        Layer("vein", cover(f["vein"], step_mm)),
        Layer("artery", cover(f["artery"], step_mm)),
        Layer("nerve", cover(f["nerve"], step_mm)),
        Layer("fat", cover(f["bursa"] - 1.1, step_mm)),
        Layer("tendon", hood),
        Layer("muscle", f32(hood * fleshy)),
        Layer("fluid", f32(cover(f["bursa"] - np.float32(traits["bursa_mm"]), step_mm) * moist)),
        Layer("ligament", cover(f["ligament"], step_mm)),
        Layer("cartilage", cover(f["head_cartilage"], step_mm)),
        Layer("cartilage", cover(f["gap"], step_mm)),
        Layer("fluid", f32(film(f["middle"], fluid, step_mm) * cover(f["gap"], step_mm))),
        Layer("labrum", cover(f["labrum"], step_mm)),
        Layer("fluid", f32(cover(f["tendon"] - np.float32(0.7 * fluid), step_mm) * 0.4)),
        Layer("tendon", cover(f["tendon"], step_mm)),
        Layer("ligament", cover(f["acromioclavicular"] - 1.5, step_mm)),
        Layer("cartilage", cover(f["acromioclavicular"], step_mm)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: plates, scars, red marrow, vessels."""
    specks = np.clip((f["fine"] - 2.9) * 0.8, 0, 0.35)
    dense = 0.16 * smooth_step(f["gap"], 4.5, 0.5)
    share = person.traits["red_marrow"] + 0.10 * f["broad"] + 0.05 * f["mid"]
    if bone == "humerus":
        # Red marrow stays longest, in patches, in the metaphysis: not in the head, less in the
        # shaft.
        place = smooth_step(f["height"], 4, -16) * (1 - 0.7 * smooth_step(f["height"], -32, -74))
        share = share * place * np.clip(0.75 + 0.35 * f["broad"], 0.2, 1.2)
        wavy = np.clip(1 - np.abs(f["scar"] + 1.3 * f["broad"]) / 0.9, 0, 1)
        uneven = np.clip(0.6 + 0.5 * f["mid"], 0, 1) * np.float32(person.traits["scar"])
        dense = np.maximum(dense, wavy * uneven)
    return [
        Layer("red_marrow", f32(np.clip(share, 0.0, 0.9))),
        Layer("sclerosis", f32(dense)),
        Layer("vein", f32(specks)),
    ]
