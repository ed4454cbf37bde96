"""Where edema and its look-alikes are put, by chance, inside the bones of a phantom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import special_ortho_group

from bmepipe.phantom.lesions import EDEMA, LOOK_ALIKES, Blemish, Pattern, Spot
from bmepipe.phantom.shapes import Floats, f32
from bmepipe.phantom.tissue import EDEMA_GRADES


@dataclass(frozen=True, eq=False)
class Ground:
    """Points inside the bones among which lesions are placed.

    Parameters
    ----------
    points_mm : ndarray, shape (n, 3)
        RAS.
    canonical_mm : ndarray, shape (n, 3)
    depth_mm : dict of str to ndarray, shape (n,)
        Depth below the surface of each bone; negative outside it.
    """

    points_mm: Floats
    canonical_mm: Floats
    depth_mm: Mapping[str, Floats]


def place_edema(
    ground: Ground, patterns: Sequence[Pattern], rng: np.random.Generator
) -> list[Blemish]:
    """Return one to five edema lesions, the first of at least about 0.5 mL."""
    wanted = 1 + min(int(rng.poisson(1.4)), 4)
    weights = np.array([p.weight for p in patterns])
    found: list[Blemish] = []
    while len(found) < wanted:
        pattern = patterns[int(rng.choice(len(patterns), p=weights / weights.sum()))]
        for spot in pattern.spots[: wanted - len(found)]:
            volume = _edema_mm3(rng, pattern.volume_mm3, large=not found)
            found.append(_edema(ground, spot, pattern.name, volume, rng))
    return found


def _edema_mm3(rng: np.random.Generator, span: tuple[float, float] | None, *, large: bool) -> float:
    if span is not None:
        return float(np.exp(rng.uniform(*np.log(span))))
    if large:
        return float(np.clip(rng.lognormal(7.5, 0.7), 1100, 9000))
    small = rng.random() < 0.5
    return float(np.clip(rng.lognormal(3.9, 1.2) if small else rng.lognormal(7.2, 0.9), 25, 9000))


def _edema(
    ground: Ground, spot: Spot, pattern: str, volume_mm3: float, rng: np.random.Generator
) -> Blemish:
    # Part of the ellipsoid falls outside the marrow, so that it is drawn larger than the lesion.
    mean_radius = (volume_mm3 * 1.5 / (4 / 3 * np.pi)) ** (1 / 3)
    stretch = np.sqrt(np.clip(rng.normal(2.1, 0.5), 1.2, 4.0))
    radii = mean_radius * np.array([stretch, 1.0, 1 / stretch])
    if spot.normal is not None:
        radii = mean_radius * np.array([1.5, 1.25, 0.53])
    touching = rng.random() < 0.87
    deep = (0.15, 0.6) if touching else (1.2, 2.0)
    depth = float(np.clip(rng.uniform(*deep) * radii[1], 1.5, spot.deepest_mm))
    centre = _pick(ground, spot, depth, rng)
    grade = ("mild", "moderate", "intense")[int(rng.choice(3, p=(0.25, 0.45, 0.30)))]
    return Blemish(
        EDEMA,
        EDEMA_GRADES[grade],
        spot.bone,
        pattern,
        centre,
        f32(radii),
        _turned(rng) if spot.normal is None else _across(spot.normal),
        float(rng.uniform(0.75, 1.0)),
        float(rng.uniform(0.5, 1.3)),
        float(min(0.9, 0.12 * mean_radius)),
        float(rng.uniform(0.12, 0.3)),
    )


def _pick(ground: Ground, spot: Spot, depth_mm: float, rng: np.random.Generator) -> Floats:
    depth = ground.depth_mm[spot.bone]
    away = np.linalg.norm(ground.canonical_mm - f32(spot.centre_mm), axis=1)
    for slack in (1.0, 2.0, 4.0):
        near = (away < spot.spread_mm * np.sqrt(slack)) & (np.abs(depth - depth_mm) < slack)
        near &= depth > 1
        if near.any():
            return ground.points_mm[rng.choice(np.flatnonzero(near))]
    # A bone too thin for that depth: the best place that it has, never one outside it.
    unlike = away / spot.spread_mm + np.abs(depth - depth_mm) / 2
    return ground.points_mm[int(np.argmin(unlike + 1000 * (depth < 1)))]


def _turned(rng: np.random.Generator) -> Floats:
    return f32(special_ortho_group.rvs(3, random_state=rng))


def _across(normal: tuple[float, float, float]) -> Floats:
    """Return axes whose last is the normal, shape (3, 3)."""
    third = np.array(normal) / np.linalg.norm(normal)
    first = np.cross([0.0, 1.0, 0.0] if abs(third[1]) < 0.9 else [1.0, 0.0, 0.0], third)
    first /= np.linalg.norm(first)
    return f32(np.stack([first, np.cross(third, first), third], axis=1))


def place_look_alikes(
    ground: Ground, names: Sequence[str], bones: Sequence[str], rng: np.random.Generator
) -> list[Blemish]:
    """Return one to three of each named look-alike that lies in the marrow."""
    sizes = np.array([(ground.depth_mm[bone] > 0).sum() for bone in bones], dtype=float)
    found = []
    for name in (n for n in names if n in LOOK_ALIKES):
        for _ in range(int(rng.integers(1, 4))):
            bone = bones[int(rng.choice(len(bones), p=sizes / sizes.sum()))]
            found.append(_look_alike(ground, name, bone, rng))
    return found


def _look_alike(ground: Ground, name: str, bone: str, rng: np.random.Generator) -> Blemish:
    kind = LOOK_ALIKES[name]
    radius, stretch = rng.uniform(*kind.radius_mm), rng.uniform(*kind.elongation)
    inside = np.flatnonzero(ground.depth_mm[bone] > 2)
    anchor = ground.canonical_mm[rng.choice(inside)]
    spot = Spot(bone, tuple(float(v) for v in anchor), 25.0)  # type: ignore[arg-type]
    centre = _pick(ground, spot, float(rng.uniform(*kind.surface_mm)), rng)
    return Blemish(
        name,
        kind.tissue,
        bone,
        name,
        centre,
        f32([radius * stretch, radius, radius]),
        _turned(rng),
        float(rng.uniform(*kind.amount)),
        kind.edge_mm,
        0.0 if name in ("cyst", "vessel") else 0.15 * radius,
        0.1,
    )
