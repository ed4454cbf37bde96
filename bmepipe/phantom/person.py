"""One person: everything about a phantom that the seed decides, and where the person lies.

A site's shapes are given in its canonical frame: a right-sided joint, +x lateral (to the patient's
right), +y anterior, +z superior, in mm. `Person.to_canonical` leads there from the patient's RAS
coordinates: undo the position and turn in the scanner, mirror a left side, undo the size, bend.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from bmepipe.phantom.points import dot, times
from bmepipe.phantom.shapes import Floats, f32, rotation

_LATTICE, _LATTICE_MM = 96, 1.5
_NOISES = {"fine": 0.7, "mid": 2.2, "broad": 7.0}  # smoothing in lattice steps


@dataclass(frozen=True, eq=False)
class Person:
    """A person.

    Parameters
    ----------
    seed : int
    side : str
        "R" or "L"; empty where a site has no side.
    age_years : int
    scale : ndarray, shape (3,)
        Size relative to the canonical shapes along x, y, z.
    turn : ndarray, shape (3, 3)
        Position in the scanner: canonical directions to RAS.
    offset_mm : ndarray, shape (3,)
        Where the canonical origin lies in the scanner, RAS.
    waves : ndarray, shape (n, 7)
        The bending: wave vector (3, rad/mm), phase, displacement (3, mm).
    traits : dict of str to float
        What the site's anatomy makes of it: angles in degrees, thicknesses in mm, shares 0 to 1.
    noises : dict of str to ndarray
        Periodic random fields of unit variance over the canonical frame, for texture.
    """

    seed: int
    side: str
    age_years: int
    scale: Floats
    turn: Floats
    offset_mm: Floats
    waves: Floats
    traits: dict[str, float] = field(default_factory=dict)
    noises: dict[str, Floats] = field(default_factory=dict, repr=False)

    def to_canonical(self, points_mm: NDArray) -> Floats:
        """Return canonical coordinates, shape (..., 3), of RAS points in mm, shape (..., 3)."""
        points = times(f32(points_mm) - self.offset_mm, self.turn)
        if self.side == "L":
            points = points * f32([-1, 1, 1])
        points = f32(points / self.scale)
        bent = points.copy()
        for wave in self.waves:
            swing = np.sin(dot(points, wave[:3]) + wave[3])
            for axis in range(3):
                bent[..., axis] += swing * wave[4 + axis]
        return bent

    def to_patient_direction(self, vector: NDArray) -> Floats:
        """Return the RAS direction, shape (3,), of a canonical direction."""
        mirrored = f32(vector) * f32([-1 if self.side == "L" else 1, 1, 1])
        return f32(self.turn @ mirrored)

    def noise(self, kind: str, canonical_mm: Floats) -> Floats:
        """Return a random field ("fine", "mid" or "broad") at canonical points, shape (..., 3)."""
        lattice = self.noises[kind]
        index = np.moveaxis(canonical_mm, -1, 0) / np.float32(_LATTICE_MM) + 0.37 * _LATTICE
        flat = index.reshape(3, -1)
        found = ndimage.map_coordinates(lattice, flat, order=1, mode="grid-wrap")
        return found.reshape(canonical_mm.shape[:-1]).astype(np.float32)


def make_person(
    seed: int,
    traits: dict[str, tuple[float, float]],
    *,
    sided: bool = True,
    size_sd: float = 0.055,
    bend_mm: float = 1.2,
    tilt_deg: float = 4.0,
) -> Person:
    """Return the person of a seed.

    Parameters
    ----------
    seed : int
    traits : dict of str to (float, float)
        Range of each trait; drawn evenly.
    sided : bool
        Whether the site is one of a left and a right one.
    size_sd : float
        Spread of the size. Adult stature varies by about 4 % within and 7 % across the sexes, and
        joint sizes follow it.
    bend_mm : float
        Amplitude of the smooth bending that makes shapes personal.
    tilt_deg : float
        Spread of the turn in the scanner about each axis.
    """
    rng = np.random.default_rng([seed, 11])
    size = np.clip(rng.normal(1.0, size_sd), 0.86, 1.14)
    scale = size * np.clip(rng.normal(1.0, 0.025, 3), 0.94, 1.06)
    tilts = np.clip(rng.normal(0, tilt_deg, 3), -2 * tilt_deg, 2 * tilt_deg)
    turn = rotation(2, tilts[2]) @ rotation(1, tilts[1] * 0.6) @ rotation(0, tilts[0])
    side = ("R", "L")[int(rng.integers(2))] if sided else ""
    offset = rng.uniform([-12, -15, -12], [12, 15, 12])
    if sided:
        offset[0] += {"R": 85.0, "L": -85.0}[side]
    return Person(
        seed,
        side,
        int(rng.integers(19, 76)),
        f32(scale),
        f32(turn),
        f32(offset),
        _waves(rng, bend_mm),
        {name: float(rng.uniform(*span)) for name, span in traits.items()},
        _noises(seed),
    )


def _waves(rng: np.random.Generator, amplitude_mm: float, count: int = 6) -> Floats:
    lengths = rng.uniform(60, 160, count)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moves = rng.normal(0, amplitude_mm / np.sqrt(count), (count, 3)) * (lengths / 100)[:, None]
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    return f32(np.hstack([directions * (2 * np.pi / lengths)[:, None], phases, moves]))


def _noises(seed: int) -> dict[str, Floats]:
    rng = np.random.default_rng([seed, 12])
    waves = fft.rfftn(rng.standard_normal((_LATTICE,) * 3, dtype=np.float32))
    along = [fft.fftfreq(_LATTICE), fft.fftfreq(_LATTICE), fft.rfftfreq(_LATTICE)]
    square = sum(np.square(f) for f in np.meshgrid(*along, indexing="ij", sparse=True))
    fields = {}
    for number, (name, width) in enumerate(_NOISES.items()):
        kept = waves * np.exp(f32(-2 * np.pi**2 * width**2 * square))
        smooth = fft.irfftn(kept, s=(_LATTICE,) * 3)
        fields[name] = np.roll(f32(smooth / smooth.std()), 31 * number, axis=number)
    return fields
