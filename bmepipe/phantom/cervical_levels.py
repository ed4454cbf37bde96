"""Where the vertebrae of the neck lie and how large they are.

Every vertebra has a frame of its own: origin in the middle of its body, +x to the right, +y
anterior, +z along its axis; they are set on a lordotic curve, the body of C5 at the canonical
origin. A bone is trimmed where its neighbour comes closer than a joint is wide, so that none
overlap, whatever the curve.

Sizes are those of adults:

- C3 to C6: 10.9 (SD 1.4) mm high, 23.2 (2.2) x 14.8 (2.0) mm above with the uncinate processes,
  19.9 (2.4) x 15.6 (2.0) mm below, spinous process 15 (4) mm: "Anatomical dimensions of the typical
  cervical vertebrae", Eur J Anat 2020, 24:9-15; wider and deeper from C3 to C7: Kim et al. 2007
  (10.1097/BRS.0b013e318067e384);
- dens 14.9 (1.5) mm high and 9.3 mm wide, body of C2 14.8 (1.7) mm deep: Gosavi and Swamy 2012 (Eur
  J Anat 16:98); C2 38 mm high in all: Yousuf et al. (Int J Res Med Sci, "Morphometric study of
  dens and its clinical importance");
- what each level has of these, and the canal: in proportion to Panjabi et al. 1991
  (10.1097/00007632-199108000-00001), from memory, not checked against the original.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from bmepipe.phantom.points import down, times, triple
from bmepipe.phantom.shapes import Floats, ellipsoid, f32, rotation, within_box

JOINT_MM = 1.6
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Level:
    """One vertebra: where its body is, how it leans, its half sizes, its spinous process (mm)."""

    name: str
    centre_mm: Point
    lean_deg: float  # of the upper endplate, forward positive
    wide_mm: float
    deep_mm: float
    high_mm: float
    gap_mm: float = 5.0  # the disc below
    spine_mm: float = 12.0  # length of the spinous process behind the laminae
    drop_mm: float = 8.0  # how far its tip lies below
    bulge_mm: float = 0.6  # how far the disc below stands out

    def local(self, points_mm: Floats) -> Floats:
        """Return points in the vertebra's own frame, shape (..., 3)."""
        return times(points_mm - f32(self.centre_mm), rotation(0, self.lean_deg).T)

    def place(self, x: float, y: float, z: float) -> Point:
        """Return the canonical place of a point of the vertebra's own frame."""
        turned = np.array([x, y, z]) @ rotation(0, self.lean_deg) + np.array(self.centre_mm)
        return triple(turned)


# Name, half width, half depth, half height, disc below, share of the lordosis in the lean, spinous
# process and its drop.
_SPINE = (
    ("C2", 8.4, 7.5, 10.6, 5.0, -0.52, 15.0, 7.0),
    ("C3", 9.9, 7.6, 6.2, 5.2, -0.36, 10.0, 7.0),
    ("C4", 10.2, 7.9, 6.1, 5.4, -0.18, 11.0, 7.5),
    ("C5", 10.6, 8.2, 6.0, 5.6, 0.02, 13.0, 8.0),
    ("C6", 11.4, 8.6, 6.1, 5.8, 0.26, 18.0, 8.0),
    ("C7", 12.2, 8.8, 6.9, 5.2, 0.48, 27.0, 10.0),
    ("T1", 13.6, 8.7, 7.8, 4.6, 0.56, 28.0, 13.0),
    ("T2", 13.0, 9.2, 8.5, 4.4, 0.54, 27.0, 18.0),
    ("T3", 12.6, 9.8, 8.8, 4.4, 0.46, 26.0, 22.0),
)
_WORN = ("C5", "C6")  # the discs below these wear first


@cache
def levels(lordosis_deg: float, slope_deg: float, loss: float) -> tuple[Level, ...]:
    """Return C2 to T3, the middle of C5 at the origin.

    Parameters
    ----------
    lordosis_deg : float
        Angle between C2 and C7.
    slope_deg : float
        Lean of C5, forward positive: how the neck lies as a whole.
    loss : float
        Share of the height that the discs C5/C6 and C6/C7 have lost.
    """
    place = np.zeros(3)
    rows: list[Level] = []
    for name, wide, deep, high, disc, share, spine, drop in _SPINE:
        lean = slope_deg + share * lordosis_deg
        lost = loss * (name in _WORN)
        gap, bulge = disc * (1 - lost), 0.6 + 4.0 * lost
        if rows:
            above = rows[-1]
            place = place + down(above.lean_deg) * (above.high_mm + above.gap_mm / 2)
            place = place + down(lean) * (above.gap_mm / 2 + high)
        rows.append(Level(name, triple(place), lean, wide, deep, high, gap, spine, drop, bulge))
    middle = np.array(rows[3].centre_mm)
    return tuple(replace(row, centre_mm=triple(np.array(row.centre_mm) - middle)) for row in rows)


def boxed(points: Floats, level: Level, shape: Callable[[Floats, Level], Floats]) -> Floats:
    """Return the distance to a shape in a vertebra's frame; far from it, to a box around it."""
    low = f32([-44, -level.deep_mm - 22 - level.spine_mm, -level.high_mm - 14 - level.drop_mm])
    high = f32([44, level.deep_mm + 9, level.high_mm + 24])
    return within_box(level.local(points), low, high, lambda local: shape(local, level))


def mirrored(points: Floats) -> Floats:
    """Return points with those of the left side moved to the right."""
    half = points.copy()
    half[..., 0] = np.abs(half[..., 0])
    return half


def tilted(half: Floats, centre: Point, radii: Point, degrees: float) -> Floats:
    """Return the distance to an ellipsoid turned about y, its outer end down for positive ones."""
    return ellipsoid(times(half - f32(centre), rotation(1, -degrees)), (0, 0, 0), radii)
