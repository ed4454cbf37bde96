"""Edema and its look-alikes: where they lie, how large and how bright they are.

Sizes follow lesions measured on patients: log-normal volumes with one component of small
subchondral lesions (mu 3.5, sigma 1.3 of ln mm3) and one of contusions and inflammation (mu 7.5,
sigma 1.0), an elongation of about 2, and edges that fade over 0.5 to 1.5 mm. The border is where
the amount has fallen to half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.special import erfc

from bmepipe.errors import unknown_choice
from bmepipe.phantom.layers import Fields
from bmepipe.phantom.points import length, times
from bmepipe.phantom.shapes import FAR_MM, Floats

EDEMA = "edema"


@dataclass(frozen=True)
class Spot:
    """A place where a lesion may start: canonical mm, and how far from it, in mm.

    With a `normal`, as at an endplate, the lesion is a band across that direction. Its middle lies
    no deeper than `deepest_mm` below the surface, which small bones must set.
    """

    bone: str
    centre_mm: tuple[float, float, float]
    spread_mm: float = 9.0
    normal: tuple[float, float, float] | None = None
    deepest_mm: float = 14.0


@dataclass(frozen=True)
class Pattern:
    """Spots that are struck together, as in a kissing contusion.

    `weight` is how often; `volume_mm3`, least and most, where the usual sizes do not fit.
    """

    name: str
    spots: tuple[Spot, ...]
    weight: float = 1.0
    volume_mm3: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Blemish:
    """An edema or look-alike inside one bone.

    Parameters
    ----------
    kind : str
        "edema" or a key of `LOOK_ALIKES`.
    tissue : str
        What replaces the marrow, a key of `tissue.TISSUES`.
    bone : str
    pattern : str
        Name of the pattern that put it there.
    centre_mm : ndarray, shape (3,)
        RAS.
    radii_mm : ndarray, shape (3,)
    axes : ndarray, shape (3, 3)
        Directions of the radii as columns, RAS.
    amount : float
        Share of the marrow that is replaced in the core, 0 to 1.
    edge_mm : float
        Standard deviation of the error function along which the amount falls.
    roughness_mm : float
        How far noise moves the border.
    unevenness : float
        Coefficient of variation inside.
    """

    kind: str
    tissue: str
    bone: str
    pattern: str
    centre_mm: Floats
    radii_mm: Floats
    axes: Floats
    amount: float
    edge_mm: float
    roughness_mm: float
    unevenness: float

    def distance(self, points_mm: Floats, rough: Floats | np.float32) -> Floats:
        """Return the distance in mm to the border, negative inside, of points (n, 3)."""
        scaled = times(points_mm - self.centre_mm, self.axes / self.radii_mm)
        first, second = length(scaled), length(scaled / self.radii_mm)
        distance = first * (first - 1) / np.maximum(second, 1e-6)
        return distance + np.float32(self.roughness_mm) * rough

    @property
    def reach_mm(self) -> float:
        """Radius of the ball outside which nothing of it is left."""
        return float(self.radii_mm.max() + 4 * self.edge_mm + 3 * self.roughness_mm)


@dataclass(frozen=True)
class LookAlike:
    """A look-alike that lies in the marrow: its truth label, tissue and sizes."""

    label: int
    tissue: str
    radius_mm: tuple[float, float]
    elongation: tuple[float, float]
    amount: tuple[float, float]
    edge_mm: float
    surface_mm: tuple[float, float]  # depth of its centre below the surface


LOOK_ALIKES: Mapping[str, LookAlike] = MappingProxyType(
    {
        "red_marrow_island": LookAlike(
            1, "red_marrow", (3.0, 6.0), (1.0, 2.5), (0.6, 0.9), 1.2, (6, 30)
        ),
        "vessel": LookAlike(2, "vein", (0.7, 1.1), (8, 16), (0.7, 1.0), 0.3, (2, 14)),
        "cyst": LookAlike(3, "cyst", (1.5, 4.0), (1.0, 1.3), (1.0, 1.0), 0.2, (2, 5)),
        "haemangioma": LookAlike(
            4, "haemangioma", (3.0, 6.0), (1.0, 1.4), (0.8, 1.0), 0.5, (8, 30)
        ),
        "sclerosis": LookAlike(5, "sclerosis", (2.0, 5.0), (1.5, 3.0), (0.8, 1.0), 0.5, (1, 4)),
        # Fat in place of red marrow, as in Modic II and after inflammation of the sacroiliac joint;
        # "sclerosis" above is Modic III.
        "fatty_marrow": LookAlike(
            10, "yellow_marrow", (4.0, 8.0), (1.2, 2.0), (0.8, 1.0), 1.0, (1, 4)
        ),
        "streaks": LookAlike(7, "red_marrow", (0.9, 1.5), (8, 14), (0.4, 0.7), 0.5, (5, 25)),
    }
)
REGIONAL: Mapping[str, int] = MappingProxyType(
    {"growth_plate": 6, "fat_sat_failure": 8, "ghosts": 9}
)
# Bone whose voxel takes in joint fluid, cartilage or disc: every scanner makes it, unasked.
PARTIAL_VOLUME = 11


def confounder_names() -> list[str]:
    """Return the names of all look-alikes and faults that can be asked for, sorted."""
    return sorted([*LOOK_ALIKES, *REGIONAL])


def check_confounders(
    names: Sequence[str], *, growing: bool = True, red: bool = True, fat_saturated: bool = True
) -> tuple[str, ...]:
    """Return the names, "all" replaced by every one that suits the site and the sequence.

    Parameters
    ----------
    names : sequence of str
    growing : bool
        Whether the site's phantom has growth plates.
    red : bool
        Whether its marrow is red enough for fatty patches to show.
    fat_saturated : bool
        Whether fat is saturated chemically, which can fail in a region; an inversion cannot.

    Raises
    ------
    UnknownChoice
        For a name that is not known, or not possible here, listing those that are.
    """
    unfit = set() if growing else {"growth_plate"}
    unfit |= set() if red else {"fatty_marrow"}
    unfit |= set() if fat_saturated else {"fat_sat_failure"}
    known = [name for name in confounder_names() if name not in unfit]
    for name in names:
        if name != "all" and name not in known:
            raise unknown_choice("confounder", name, [*known, "all"])
    return tuple(known) if "all" in names else tuple(names)


def blemish_fields(
    points_mm: Floats, rough: Floats, bones: Fields, blemishes: Sequence[Blemish]
) -> Fields:
    """Return the fields ``amount.TISSUE`` (0 to 1) and ``border.KIND`` (mm) of all blemishes.

    A blemish stays in its own bone, also where the next one is only a joint space away.

    Parameters
    ----------
    points_mm : ndarray, shape (..., 3)
        RAS.
    rough : ndarray, shape (...)
        Random field of unit variance, for the border.
    bones : dict of str to ndarray, shape (...)
        ``bone.NAME`` distances, and a random field "fine" for the unevenness inside.
    """
    flat = points_mm.reshape(-1, 3)
    fine = bones.get("fine", rough).ravel()
    found: Fields = {}
    for blemish in blemishes:
        amount = found.setdefault(f"amount.{blemish.tissue}", np.zeros(len(flat), np.float32))
        border = found.setdefault(f"border.{blemish.kind}", np.full(len(flat), FAR_MM, np.float32))
        near = np.flatnonzero((np.abs(flat - blemish.centre_mm) < blemish.reach_mm).all(1))
        own = bones[f"bone.{blemish.bone}"].ravel()[near]
        distance = blemish.distance(flat[near], rough.ravel()[near])
        share = 0.5 * erfc(distance / (np.sqrt(2) * blemish.edge_mm)) * blemish.amount
        uneven = np.clip(1 + blemish.unevenness * fine[near], 0.3, 1.6)
        share = np.where(own < 1.0, np.clip(share * uneven, 0, 1), 0)
        amount[near] = np.maximum(amount[near], share)
        border[near] = np.minimum(border[near], np.maximum(distance, own))
    return {key: value.reshape(points_mm.shape[:-1]) for key, value in found.items()}
