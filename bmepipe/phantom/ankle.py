"""The ankle and hindfoot: what surrounds the bones of `ankle_bones`, and where edema lies.

Canonical frame: origin in the middle of the axis of the talar dome, right foot at a right angle to
the leg, +x lateral, +y anterior, +z superior. Soft tissues are laid out in that pose and bent with
the foot. Courses and thicknesses are drawn after anatomy, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bmepipe.phantom.ankle_bones import BONES as BONES
from bmepipe.phantom.ankle_bones import bone_distances, foot_frame, heel_frame
from bmepipe.phantom.ankle_courses import ARTERIES, LIGAMENTS, NERVES, TENDONS, VEINS, ropes
from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.person import Person
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

TRAITS = {
    "plantar_deg": (-4.0, 24.0),  # the foot lies relaxed, toes down
    "heel_deg": (-5.0, 4.0),
    "arch_deg": (-4.0, 5.0),
    "fat_mm": (1.0, 8.0),
    "joint_mm": (2.1, 3.1),
    "fluid_mm": (0.1, 0.45),
    "recess_mm": (0.6, 2.6),
    "red_marrow": (0.0, 0.25),
    "scar": (0.15, 0.5),
}
SIDED = True
CENTRE_MM = (1.0, 8.0, -4.0)
GROWING = True  # has growth plates
RED = False  # the marrow is largely red
REACH_MM = 64.0
PLACES = ("height", "behind", "sole", "side")  # fields that are no distances
PATTERNS = (
    Pattern("osteochondral, medial dome", (Spot("talus", (-11, -5, 17)),)),
    Pattern("osteochondral, lateral dome", (Spot("talus", (11, 7, 16)), Spot("tibia", (9, 6, 26)))),
    Pattern("sprain", (Spot("talus", (-13, 3, 5)), Spot("tibia", (-20, 4, 14)))),
    Pattern("lateral malleolus", (Spot("fibula", (22, -5, 4)),), 0.5),
    Pattern("Achilles insertion", (Spot("calcaneus", (4, -48, -22)),), 0.8),
    Pattern("plantar fasciitis", (Spot("calcaneus", (1, -40, -45)),), 0.8),
    Pattern("calcaneal stress", (Spot("calcaneus", (5, -27, -24), 9.0, (0, 0.85, -0.5)),), 0.7),
    Pattern("posterior impingement", (Spot("talus", (-3, -18, -3)),), 0.5),
    Pattern("tarsal sinus", (Spot("calcaneus", (9, 6, -17)), Spot("talus", (5, 6, -3))), 0.6),
    Pattern("navicular stress", (Spot("navicular", (-10, 44, 4), 6.0, (1, 0.2, 0)),), 0.6),
    Pattern("talonavicular", (Spot("navicular", (-12, 40, 4)), Spot("talus", (-8, 32, 4))), 0.6),
    Pattern("nutcracker", (Spot("cuboid", (18, 34, -22)), Spot("calcaneus", (14, 25, -22))), 0.6),
)
_ACHILLES_MM = ((3.0, -48.5, -8.0), (3.0, -46.0, 110.0))
# Centre and radii of the muscles, in mm.
_MUSCLES = (
    ((5, -27, 66), (14, 10, 52)),  # flexor of the hallux
    ((-10, -21, 100), (11, 9, 52)),  # tibialis posterior, flexor of the digits
    ((3, -40, 104), (26, 11, 56)),  # soleus
    ((26, -17, 76), (8, 9, 62)),  # peronei
    ((5, 22, 86), (13, 9, 52)),  # extensors
    ((-9, 21, 112), (10, 9, 50)),  # tibialis anterior
    ((-23, 14, -38), (8, 44, 9)),  # abductor of the hallux
    ((2, 18, -47), (12, 52, 7)),  # short flexor of the digits
    ((25, 14, -45), (8, 52, 8)),  # abductor of the fifth toe
    ((-4, 6, -37), (9, 36, 7)),  # quadratus plantae
    ((20, 32, -5), (10, 20, 5)),  # short extensor of the digits
    ((5, 46, -41), (15, 38, 8)),  # adductor of the hallux, lumbricals
    ((-4, 84, -35), (30, 30, 11)),  # of the forefoot
)
# The hull of the deep tissue: of the leg by height, of the foot from heel to toes, in mm.
_LEG = (
    (-30, 10, 30, 50, 90, 130),
    (-26, -31, -31, -32, -40, -48),
    (28, 33, 32, 32, 39, 46),
    (-50, -50, -51, -52, -60, -68),
    (30, 30, 31, 31, 33, 36),
)
_FOOT = (
    (-60, -30, 0, 30, 60, 95, 140),
    (-19, -24, -33, -38, -39, -40, -38),
    (28, 31, 36, 38, 42, 47, 48),
    (-66, -67, -66, -61, -60, -62, -60),
    (-8, 2, 24, 25, 22, 10, -14),
)


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the ankle at canonical points, shape (..., 3)."""
    traits, bent = person.traits, _bend(points_mm, person)
    distances = bone_distances(points_mm, person)
    found: Fields = {f"bone.{name}": distances[name] for name in BONES}
    found |= _cortices(points_mm)
    found["forefoot"] = distances["forefoot"]
    near, second = _two_nearest(distances)
    found["joint"] = second - np.float32(0.95 * traits["joint_mm"])
    found["middle"] = second - near
    found["tendon"] = np.minimum(ropes(bent, TENDONS), _achilles(points_mm, person))
    found["ligament"] = ropes(bent, LIGAMENTS)
    found["membrane"] = _membrane(points_mm)
    found["aponeurosis"] = _band(bent, (0, -38, -52), (0, 130, -50), 1.7, 0.16)
    for name, lines in (("vein", VEINS), ("artery", ARTERIES), ("nerve", NERVES)):
        found[name] = ropes(bent, lines)
    found["muscle"], found["seam"] = _muscles(bent)
    found["recess"] = _recesses(bent, traits["recess_mm"])
    found["height"] = points_mm[..., 2].copy()
    found["behind"] = heel_frame(foot_frame(points_mm, person), person)[..., 1].copy()
    found["sole"] = bent[..., 2].copy()
    found["side"] = np.abs(points_mm[..., 0] + 0.5)
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    if "growth_plate" in traits:
        found |= _growth_plate(found)
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    distances = bone_distances(points_mm, person)
    return {f"bone.{name}": distances[name] for name in BONES} | _cortices(points_mm)


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points; fine on a grid of 4 mm."""
    bent = _bend(points_mm, person)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    leg = smooth_max(_section(z, x, y, _LEG), -10.0 - z, 4.0)
    foot = smooth_max(_section(y, x, z, _FOOT), -60.0 - y, 9.0)
    fat = np.float32(person.traits["fat_mm"]) * (0.3 + 0.7 * smooth_step(z, 5, 70))
    # The tendon tents the skin behind it.
    behind = capsule(points_mm, *_cord(person), 6.5)
    return f32(smooth_min(smooth_min(leg, foot, 5.0), behind, 4.0) - fat - np.float32(1.0))


def _section(along: Floats, u: Floats, v: Floats, table: Sequence[Sequence[float]]) -> Floats:
    # Distance to a rod of changing, rounded-off rectangular section.
    low_u, high_u, low_v, high_v = (
        np.interp(along, table[0], row).astype(np.float32) for row in table[1:]
    )
    wide, deep = (high_u - low_u) / 2, (high_v - low_v) / 2
    first = np.abs(u - (low_u + high_u) / 2) / wide
    second = np.abs(v - (low_v + high_v) / 2) / deep
    return f32(((first**2.6 + second**2.6) ** (1 / 2.6) - 1) * np.minimum(wide, deep))


def _bend(points_mm: Floats, person: Person) -> Floats:
    # Soft tissue follows the leg above the joint and the foot below and in front of it.
    height = points_mm[..., 2] - 0.35 * np.maximum(points_mm[..., 1], 0)
    share = smooth_step(f32(height), 56, -4)
    angle = np.float32(np.deg2rad(person.traits["plantar_deg"])) * share
    y, z = points_mm[..., 1], points_mm[..., 2]
    bent = points_mm.copy()
    bent[..., 1] = np.cos(angle) * y - np.sin(angle) * z
    bent[..., 2] = np.sin(angle) * y + np.cos(angle) * z
    return bent


def _cortices(points: Floats) -> Fields:
    # Thick tubes at the shafts, a thin plate under cartilage and around the tarsal bones.
    found: Fields = {
        f"cortex.{name}": np.full(points.shape[:-1], 0.8, np.float32) for name in BONES
    }
    found["cortex.tibia"] = 0.8 + 2.8 * smooth_step(points[..., 2], 36, 80)
    found["cortex.fibula"] = 0.8 + 1.5 * smooth_step(points[..., 2], 20, 60)
    return found


def _two_nearest(distances: Fields) -> tuple[Floats, Floats]:
    # Tibia and fibula count as one: between them lie ligaments, not a joint.
    parts = [np.minimum(distances["tibia"], distances["fibula"])]
    parts += [distances[name] for name in (*BONES[2:], "forefoot")]
    near = np.full(parts[0].shape, FAR_MM, np.float32)
    second = near.copy()
    for part in parts:
        second = np.minimum(second, np.maximum(near, part))
        near = np.minimum(near, part)
    return near, second


def _band(points: Floats, start: ArrayLike, end: ArrayLike, r: float, n: float) -> Floats:
    """Return the distance to a band of half thickness `r`, `1 / n` times as wide (along x)."""
    squeeze = f32([n, 1, 1])
    return capsule(points * squeeze, f32(start) * squeeze, f32(end) * squeeze, r)


def _achilles(points: Floats, person: Person) -> Floats:
    # Straight from the heel, which moves with the foot, to the calf.
    foot = foot_frame(points, person)
    low = _band(foot, (4, -50.5, -28), _ACHILLES_MM[0], 2.5, 0.33)
    return smooth_min(low, _band(points, *_cord(person), 2.6, 0.36), 0.6)


def _cord(person: Person) -> tuple[Floats, Floats]:
    """Return the ends of the free part of the Achilles tendon, canonical, each of shape (3,)."""
    heel = f32(_ACHILLES_MM[0]) @ rotation(0, person.traits["plantar_deg"])
    return f32(heel), f32(_ACHILLES_MM[1])


def _membrane(points: Floats) -> Floats:
    # Between the shafts of tibia and fibula, down to the syndesmosis.
    return np.maximum(
        _band(points, (12, -8, 34), (14, -9, 130), 0.7, 0.12), np.abs(points[..., 0] - 13) - 8.0
    )


def _muscles(bent: Floats) -> tuple[Floats, Floats]:
    # The nearest belly, and how near the second is: the seam of fat lies between the two.
    first = np.full(bent.shape[:-1], FAR_MM, np.float32)
    second = first.copy()
    for centre, radii in _MUSCLES:
        distance = ellipsoid(bent, centre, radii)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return first, second - first


def _recesses(bent: Floats, thick_mm: float) -> Floats:
    # Fluid in front of and behind the ankle, in the sheath of the hallux, before the Achilles.
    return np.minimum.reduce(
        [
            ellipsoid(bent, (-1, 19.5, 15.5), (11, thick_mm, 5.5)),
            ellipsoid(bent, (0, -21.5, 9), (9, thick_mm, 5.5)),
            ellipsoid(bent, (-1, -24.5, -6), (5, 0.8 * thick_mm, 4)),
            ellipsoid(bent, (4, -47, -13), (5, 0.45 * thick_mm, 4)),
        ]
    )


def _growth_plate(f: Fields) -> Fields:
    # Wavy plates, 2.4 mm thick: where the scars of tibia and fibula would lie, and at the heel.
    wavy = 1.5 * f["broad"]
    places = {"tibia": f["height"] - 34, "fibula": f["height"] - 22, "calcaneus": f["behind"] + 44}
    border = np.full(wavy.shape, FAR_MM, np.float32)
    for name, place in places.items():
        border = np.where(f[f"bone.{name}"] < 1, np.abs(place + wavy) - 1.2, border)
    return {"border.growth_plate": f32(border), "amount.growth_plate": cover(f32(border), 1.0)}


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    skin, fluid = f["body"], person.traits["fluid_mm"]
    crural = np.float32(3.0 + 0.7 * person.traits["fat_mm"])
    deep = cover(skin + 2.5, step_mm)
    sole = smooth_step(f["sole"], -44, -53)
    heel = sole * cover(skin + 2.0, step_mm)
    belly = cover(f["muscle"], step_mm) * deep
    # Beside the talus the joint is narrow and holds little.
    wet = cover(f["joint"] - 0.6, step_mm) * (1 - 0.75 * smooth_step(f["side"], 12.5, 15))
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", cover(f32(skin + 1.6 + 0.8 * sole), step_mm)),
        Layer("septum", sheet(f["mid"], 0.07) * cover(skin + 2.0, step_mm) * 0.3),
        # The pad under the heel is fat in chambers.
        Layer("septum", f32(sheet(f["mid"], 0.14) * heel * 0.8)),
        Layer(
            "fascia", f32(film(skin + crural, 0.3, step_mm) * smooth_step(f["sole"], 0, 30) * 0.5)
        ),
        Layer("vein", _small_vessels(f) * cover(skin + 4.0, step_mm)),
        Layer("fascia", f32(film(f["muscle"] - 0.2, 0.3, step_mm) * deep * 0.5)),
        Layer("muscle", belly),
        Layer("fat", f32(sheet(f["seam"], 0.7) * belly * 0.6)),
        Layer("fat", f32(sheet(f["mid"], 0.06) * cover(f["muscle"] + 1.2, step_mm) * 0.5)),
        Layer("ligament", cover(f["membrane"], step_mm)),
        Layer("fluid", cover(f["recess"], step_mm)),
        Layer("vein", cover(f["vein"], step_mm)),
        Layer("artery", cover(f["artery"], step_mm)),
        Layer("nerve", cover(f["nerve"], step_mm)),
        Layer("ligament", cover(f["ligament"], step_mm)),
        Layer("tendon", cover(np.minimum(f["tendon"], f["aponeurosis"]), step_mm)),
        Layer("cartilage", cover(f["joint"], step_mm)),
        Layer("fluid", f32(film(f["middle"], fluid, step_mm) * wet)),
        # The forefoot's bones have no label here: dark rims around fat, as bones are.
        Layer("tendon", cover(f["forefoot"], step_mm)),
        Layer("fat", cover(f["forefoot"] + 0.8, step_mm)),
    ]


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: plates, scars, red marrow, vessels."""
    specks = np.clip((f["fine"] - 2.9) * 0.8, 0, 0.35)
    dense = 0.16 * smooth_step(f["joint"], 4.5, 0.5)
    paint = [Layer("sclerosis", f32(dense)), Layer("vein", f32(specks))]
    above = {"tibia": f["height"] - 34, "fibula": f["height"] - 22}.get(bone)
    if above is None:
        return paint
    wavy = above + np.float32(1.5) * f["broad"]
    scar = np.clip(1 - np.abs(wavy) / 0.9, 0, 1) * np.float32(person.traits["scar"])
    red = np.clip(f["broad"] * 0.35 + f["mid"] * 0.15 + 0.25, 0, 1) * smooth_step(above, 0, 30)
    return [
        Layer("red_marrow", f32(red * person.traits["red_marrow"])),
        Layer("sclerosis", f32(scar * np.clip(0.6 + 0.5 * f["mid"], 0, 1))),
        *paint,
    ]


def _small_vessels(f: Fields) -> Floats:
    # Two random walls meet in a line: a vessel of about 1 mm.
    return f32(sheet(f["mid"], 0.25) * sheet(f["broad"], 0.06) * 0.8)
