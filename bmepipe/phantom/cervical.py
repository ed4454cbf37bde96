"""The neck: what surrounds the vertebrae of `cervical_bones`, and where edema lies.

Canonical frame: origin in the middle of the body of C5, +x to the right, +y anterior, +z superior.
C1, T2, T3 and the base of the skull have no label at this site: they are painted as bones but
counted as none.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bmepipe.phantom import cervical_soft as soft
from bmepipe.phantom.cervical_bones import BONES as BONES
from bmepipe.phantom.cervical_bones import bone_distances
from bmepipe.phantom.cervical_levels import Level, levels
from bmepipe.phantom.cervical_others import head_frame
from bmepipe.phantom.layers import Fields, Layer, cover, film, sheet
from bmepipe.phantom.lesions import Pattern, Spot
from bmepipe.phantom.person import Person
from bmepipe.phantom.points import down, triple
from bmepipe.phantom.shapes import Floats, capsule, f32, smooth_step

TRAITS = {
    # The angle between C2 and C7, supine; necks vary far more, but the lesions' places are those of
    # the middle of the range.
    "lordosis_deg": (8.0, 32.0),
    "slope_deg": (-2.0, 9.0),
    "fat_mm": (3.0, 20.0),
    "red_marrow": (0.25, 0.8),
    "dry": (0.0, 1.0),
    "disc_loss": (0.0, 0.4),
    "canal_mm": (5.4, 6.8),
}
SIDED = False
CENTRE_MM = (0.0, -14.0, 6.0)
GROWING = False  # has growth plates
RED = True  # the marrow is largely red
REACH_MM = 78.0
PLACES = ("ahead", "height", "folia")  # fields that are no distances


def _spine(person: Person) -> tuple[Level, ...]:
    traits = person.traits
    return levels(*(round(traits[key], 3) for key in ("lordosis_deg", "slope_deg", "disc_loss")))


def fields(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and other fields of the neck at canonical points, shape (..., 3)."""
    spine = _spine(person)
    distances = bone_distances(points_mm, spine)
    found: Fields = {f"bone.{name}": distances[name] for name in BONES}
    found["others"] = distances["others"]
    found["joint"] = _joints(distances)
    straight, head = soft.straightened(points_mm, spine), head_frame(points_mm, spine[0])
    found["ahead"], found["height"] = straight[..., 1].copy(), points_mm[..., 2].copy()
    found |= _cortices(found["ahead"])
    found |= soft.discs(points_mm, spine)
    found |= soft.canal(points_mm, spine, person.traits["canal_mm"])
    found["nerve"], found["foramen"] = soft.nerves(points_mm, spine)
    found["artery"], found["jugular"] = soft.vessels(points_mm, straight, spine)
    found["muscle"], found["seam"] = soft.muscles(straight)
    found |= soft.throat(straight, head)
    found |= soft.face(head)
    found |= soft.brain(head)
    found["ligament"] = soft.ligaments(points_mm, straight, spine)
    found["basivertebral"] = np.minimum.reduce([_vein(points_mm, level) for level in spine[1:7]])
    for kind in ("fine", "mid", "broad"):
        found[kind] = person.noise(kind, points_mm)
    return found


def skeleton(points_mm: Floats, person: Person) -> Fields:
    """Return the distances and the cortex of the bones alone at canonical points."""
    spine = _spine(person)
    distances = bone_distances(points_mm, spine)
    found: Fields = {f"bone.{name}": distances[name] for name in BONES}
    return found | _cortices(soft.straightened(points_mm, spine)[..., 1])


def _cortices(ahead: Floats) -> Fields:
    # The arches have a thicker cortex than the bodies (0.4 to 0.9 mm at the endplates: Panjabi et
    # al. 2001, 10.1097/00007632-200111150-00016).
    thick = f32(0.6 + 0.3 * smooth_step(ahead, -8, -13))
    return {f"cortex.{name}": thick for name in BONES}


def body(points_mm: Floats, person: Person) -> Floats:
    """Return the distance to the skin at canonical points."""
    return soft.skin(points_mm, _spine(person), person.traits["fat_mm"])


def _joints(distances: dict[str, Floats]) -> Floats:
    # Facet joints lie where two neighbours are near; the discs are painted over what is before.
    names = ("others", *BONES)
    pairs = [distances[a] + distances[b] for a, b in pairwise(names)]
    return np.minimum.reduce(pairs) - np.float32(2.2)


def _vein(points: Floats, level: Level) -> Floats:
    local = level.local(points) * f32([0.5, 1, 1])
    return capsule(local, (0, -level.deep_mm, 0), (0, 2 - level.deep_mm / 2, 0), 0.8)


def layers(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    """Return what to paint, in order, from the fields at the points of one plane."""
    return [*_flesh(f, step_mm), *_throat(f, step_mm), *_spinal(f, person, step_mm)]


def _flesh(f: Fields, step_mm: float) -> list[Layer]:
    skin = f["body"]
    deep = cover(skin + 3.5, step_mm)
    belly = cover(f["muscle"], step_mm) * deep
    return [
        Layer("skin", cover(skin, step_mm)),
        Layer("fat", cover(skin + 2.0, step_mm)),
        Layer("septum", sheet(f["mid"], 0.08) * cover(skin + 2.0, step_mm) * 0.3),
        Layer("fascia", film(f["muscle"] - 0.3, 0.3, step_mm) * deep * 0.5),
        Layer("muscle", belly),
        Layer("fat", f32(sheet(f["seam"], 0.8) * belly * 0.7)),
        Layer("fat", f32(sheet(f["mid"], 0.10) * cover(f["muscle"] + 1.2, step_mm) * 0.4)),
        Layer("muscle", cover(f["tongue"], step_mm) * deep),
        Layer("fat", f32(sheet(f["mid"], 0.3) * cover(f["tongue"] + 1.5, step_mm) * 0.3)),
    ]


def _throat(f: Fields, step_mm: float) -> list[Layer]:
    rings = soft.windpipe_rings(f["height"]) * cover(f["throat"], step_mm)
    return [
        Layer("muscle", cover(f["larynx"], step_mm) * 0.8),
        Layer("muscle", cover(f["throat"], step_mm)),
        Layer("ligament", f32(rings)),
        Layer("ligament", cover(f["plate"], step_mm)),
        Layer("muscle", cover(f["gullet"], step_mm)),
        Layer("synovium", cover(np.minimum(f["thyroid"], f["glands"]), step_mm) * 0.6),
        Layer("tendon", cover(f["teeth"], step_mm)),
        Layer("tendon", cover(f["jaw"], step_mm)),
        Layer("fat", cover(f["jaw"] + 1.8, step_mm)),
        Layer("air", cover(f["air"], step_mm)),
        Layer("vein", f32(cover(f["jugular"], step_mm) * 0.5)),
    ]


def _spinal(f: Fields, person: Person, step_mm: float) -> list[Layer]:
    dry, disc = person.traits["dry"], cover(f["disc"], step_mm)
    nucleus = cover(f["nucleus"], 2.5) * disc
    others = cover(f["others"] + 0.9, step_mm)
    return [
        Layer("fat", cover(f["foramen"], step_mm)),
        Layer("nerve", cover(f["nerve"], step_mm)),
        Layer("cartilage", cover(f["joint"], step_mm)),
        Layer("ligament", cover(f["ligament"], step_mm)),
        Layer("fat", cover(f["canal"] - 1.2, step_mm) * 0.7),
        Layer("ligament", film(f["canal"], 0.3, step_mm)),
        Layer("csf", cover(np.minimum(f["canal"], f["fossa"]), step_mm)),
        Layer("cord", cover(np.minimum(f["cord"], f["brain"]), step_mm)),
        Layer(
            "csf", f32(sheet(f["folia"] + 0.3 * f["mid"], 0.7) * cover(f["brain"], step_mm) * 0.3)
        ),
        Layer("artery", cover(f["artery"], step_mm)),
        Layer("annulus", disc),
        Layer("disc", f32(nucleus * 0.6)),
        Layer("disc_dry", f32(nucleus * dry)),
        Layer("disc_dry", f32(cover(f["worn"], step_mm) * person.traits["disc_loss"])),
        # C1, the upper thorax and the skull: dark rims around marrow, without a label.
        Layer("tendon", cover(f["others"], step_mm)),
        Layer("fat", others),
        Layer("red_marrow", f32(others * _red_share(f, person))),
    ]


def _red_share(f: Fields, person: Person) -> Floats:
    share = person.traits["red_marrow"] + 0.10 * f["broad"] + 0.05 * f["mid"]
    return f32(np.clip(share, 0.05, 0.95))


def marrow(f: Fields, person: Person, bone: str) -> list[Layer]:
    """Return what to paint inside the marrow of a bone: red marrow in patches, the vein."""
    return [
        Layer("red_marrow", _red_share(f, person)),
        Layer("vein", f32(cover(f["basivertebral"], 0.8) * 0.5)),
    ]


def _patterns() -> tuple[Pattern, ...]:
    at = {level.name: level for level in levels(20.0, 3.5, 0.2)}
    small, wide = (250.0, 900.0), (300.0, 1600.0)

    def endplate(name: str, upper: bool, ahead: float = 0.0) -> Spot:
        level = at[name]
        side = 1 if upper else -1
        place = level.place(0, ahead * level.deep_mm, side * (level.high_mm - 2.5))
        return Spot(name, place, 6.0, triple(-side * down(level.lean_deg)), 4.0)

    def spot(name: str, x: float, y: float, z: float) -> Spot:
        return Spot(name, at[name].place(x, y, z), 6.0, deepest_mm=2.5)

    def pair(upper: str, lower: str, ahead: float = 0.2) -> tuple[Spot, Spot]:
        return endplate(upper, False, ahead), endplate(lower, True, ahead)

    dens = Spot("C2", at["C2"].place(0, 0, 10.0), 5.0, triple(-down(at["C2"].lean_deg)), 3.0)
    return (
        Pattern("Modic I, C5/C6", pair("C5", "C6"), 1.0, wide),
        Pattern("Modic I, C6/C7", pair("C6", "C7"), 0.8, wide),
        Pattern("Modic I, C4/C5", pair("C4", "C5"), 0.5, wide),
        Pattern("corner", pair("C3", "C4", 0.75), 0.4, small),
        Pattern("facet joint", (spot("C3", 18, -18, -4), spot("C4", 18, -13, 4)), 0.6, small),
        Pattern(
            "facet joint, left", (spot("C2", -17, -16, -9), spot("C3", -18, -13, 4)), 0.4, small
        ),
        Pattern("fracture of the dens", (dens,), 0.5, wide),
        Pattern("dens and atlas", (spot("C2", 0, 3.0, 17.0),), 0.4, small),
        Pattern("fracture", (endplate("C7", True),), 0.4, wide),
        Pattern("fracture, T1", (endplate("T1", True),), 0.3, wide),
        Pattern("spinous process", (spot("C7", 0, -44, -8), spot("T1", 0, -44, -9)), 0.3, small),
    )


PATTERNS = _patterns()
