"""Which sites have a phantom, and one person's anatomy with its lesions as fields over points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bmepipe.errors import unknown_choice
from bmepipe.phantom import ankle, cervical, hip, knee, lumbar, sacroiliac, shoulder
from bmepipe.phantom.layers import Fields, Layer
from bmepipe.phantom.lesions import Blemish, Pattern, blemish_fields
from bmepipe.phantom.person import Person, make_person
from bmepipe.phantom.shapes import Floats, f32


class SitePlan(Protocol):
    """What a site's module offers.

    `CENTRE_MM` is the middle of the field of view, canonical; lesions lie within `REACH_MM` of it.
    `PLACES` names the fields that tell a place and not a distance, so that they matter everywhere.
    """

    BONES: tuple[str, ...]
    TRAITS: dict[str, tuple[float, float]]
    SIDED: bool
    CENTRE_MM: tuple[float, float, float]
    GROWING: bool
    RED: bool
    REACH_MM: float
    PLACES: tuple[str, ...]
    PATTERNS: tuple[Pattern, ...]

    def fields(self, points_mm: Floats, person: Person) -> Fields:
        """Return distances and other fields at canonical points, shape (..., 3)."""

    def skeleton(self, points_mm: Floats, person: Person) -> Fields:
        """Return ``bone.NAME`` and ``cortex.NAME`` alone at canonical points."""

    def body(self, points_mm: Floats, person: Person) -> Floats:
        """Return the distance to the skin at canonical points."""

    def layers(self, f: Fields, person: Person, step_mm: float) -> list[Layer]:
        """Return the soft tissues to paint, in order."""

    def marrow(self, f: Fields, person: Person, bone: str) -> list[Layer]:
        """Return what to paint inside the marrow of a bone."""


PLANS: Mapping[str, SitePlan] = MappingProxyType(
    {
        "knee": cast(SitePlan, knee),
        "hip": cast(SitePlan, hip),
        "ankle": cast(SitePlan, ankle),
        "cervical": cast(SitePlan, cervical),
        "lumbar": cast(SitePlan, lumbar),
        "sacroiliac": cast(SitePlan, sacroiliac),
        "shoulder": cast(SitePlan, shoulder),
    }
)


def phantom_sites() -> list[str]:
    """Return the sites that have a phantom, sorted."""
    return sorted(PLANS)


def site_plan(site: str) -> SitePlan:
    """Return the plan of a site; UnknownChoice, listing the known ones, if it has none."""
    if site not in PLANS:
        raise unknown_choice("phantom site", site, phantom_sites())
    return PLANS[site]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One person's joint.

    Parameters
    ----------
    site : str
    plan : SitePlan
    person : Person
    blemishes : sequence of Blemish
        Edema and look-alikes inside the bones.
    """

    site: str
    plan: SitePlan
    person: Person
    blemishes: Sequence[Blemish] = ()

    def fields(self, points_mm: NDArray) -> Fields:
        """Return all fields but the skin's at RAS points in mm, shape (..., 3)."""
        points = np.asarray(points_mm, dtype=np.float32)
        canonical = self.person.to_canonical(points)
        found = self.plan.fields(canonical, self.person)
        rough = found["mid"]
        found.update(blemish_fields(points, rough, found, self.blemishes))
        return {key: np.asarray(value, dtype=np.float32) for key, value in found.items()}

    def bones(self, points_mm: NDArray) -> Fields:
        """Return the distance to every bone's surface at RAS points in mm, by name."""
        found = self.plan.skeleton(self.person.to_canonical(points_mm), self.person)
        return {name: found[f"bone.{name}"] for name in self.plan.BONES}

    def marrow(self, points_mm: NDArray, bone: str) -> Floats:
        """Return the distance to the inner face of a bone's cortex at RAS points in mm."""
        found = self.plan.skeleton(self.person.to_canonical(points_mm), self.person)
        return found[f"bone.{bone}"] + found[f"cortex.{bone}"]

    def body(self, points_mm: NDArray) -> Floats:
        """Return the distance to the skin at RAS points in mm, shape (..., 3)."""
        return self.plan.body(self.person.to_canonical(points_mm), self.person)

    @property
    def centre_mm(self) -> Floats:
        """RAS position of the middle of the field of view that suits the site, shape (3,)."""
        person = self.person
        centre = f32(self.plan.CENTRE_MM) * person.scale
        return person.to_patient_direction(centre) + person.offset_mm


def make_anatomy(site: str, seed: int) -> Anatomy:
    """Return the healthy anatomy of a seed."""
    plan = site_plan(site)
    return Anatomy(site, plan, make_person(seed, plan.TRAITS, sided=plan.SIDED))
