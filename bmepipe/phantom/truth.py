"""The truth of a phantom in millilitres, from the shapes themselves and not from the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmepipe.phantom.anatomy import Anatomy
from bmepipe.phantom.lesions import EDEMA, Blemish
from bmepipe.phantom.scanner import Content
from bmepipe.phantom.shapes import Floats
from bmepipe.result import BoneMeasurement
from bmepipe.site import Site
from bmepipe.volume import Grid

FINE_MM = 0.4
_MOST_POINTS = 1_000_000  # at a time, for the memory


@dataclass(frozen=True)
class LesionTruth:
    """One edema lesion: its bone, what put it there and its volume inside the marrow."""

    number: int
    bone: str
    pattern: str
    lesion_ml: float
    amount: float
    centre_mm: tuple[float, float, float]


def lesion_rows(
    anatomy: Anatomy, held: Sequence[Floats], step_mm: float = FINE_MM
) -> tuple[LesionTruth, ...]:
    """Return a row per edema lesion; where two overlap, each counts its own whole.

    `held` holds the points of every lesion, as `edema_points` returns them.
    """
    rows = []
    for number, (blemish, points) in enumerate(zip(_edema(anatomy), held, strict=True), start=1):
        x, y, z = (float(v) for v in blemish.centre_mm)
        volume = len(points) * step_mm**3 / 1000
        rows.append(
            LesionTruth(number, blemish.bone, blemish.pattern, volume, blemish.amount, (x, y, z))
        )
    return tuple(rows)


def _edema(anatomy: Anatomy) -> list[Blemish]:
    return [blemish for blemish in anatomy.blemishes if blemish.kind == EDEMA]


def lesion_ml(anatomy: Anatomy, blemish: Blemish, step_mm: float = FINE_MM) -> float:
    """Return the volume in mL of a lesion within its bone's marrow, counted on a fine grid."""
    return len(held_points(anatomy, blemish, step_mm)) * step_mm**3 / 1000


def edema_points(anatomy: Anatomy, step_mm: float = FINE_MM) -> list[Floats]:
    """Return, for every edema lesion, the points of a fine grid that it holds, shape (n, 3)."""
    return [held_points(anatomy, blemish, step_mm) for blemish in _edema(anatomy)]


def edema_ml(
    anatomy: Anatomy, held: Sequence[Floats], bone: str, grid: Grid, step_mm: float = FINE_MM
) -> float:
    """Return the volume in mL of all edema of a bone within a field of view, overlaps once."""
    pairs = zip(_edema(anatomy), held, strict=True)
    own = [(blemish, points) for blemish, points in pairs if blemish.bone == bone]
    count = 0
    for number, (_, points) in enumerate(own):
        index = grid.to_index(points)
        inside = ((index >= -0.5) & (index < np.array(grid.shape) - 0.5)).all(1)
        for earlier, _ in own[:number]:
            inside &= earlier.distance(points, _rough(anatomy, points)) >= 0
        count += int(inside.sum())
    return count * step_mm**3 / 1000


def _rough(anatomy: Anatomy, points: Floats) -> Floats:
    return anatomy.person.noise("mid", anatomy.person.to_canonical(points))


def held_points(anatomy: Anatomy, blemish: Blemish, step_mm: float = FINE_MM) -> Floats:
    """Return the points, shape (n, 3), of a fine grid within the lesion and its bone's marrow."""
    wide = 1.05 * blemish.radii_mm + 3 * blemish.roughness_mm + step_mm
    reach = np.sqrt((blemish.axes**2) @ wide**2)  # of the box around the ellipsoid
    x, y, z = (np.arange(-r, r + step_mm, step_mm, dtype=np.float32) for r in reach)
    slab = max(1, _MOST_POINTS // (len(y) * len(z)))
    found = []
    for start in range(0, len(x), slab):
        box = np.stack(np.meshgrid(x[start : start + slab], y, z, indexing="ij"), -1)
        points = box.reshape(-1, 3) + blemish.centre_mm
        near = blemish.distance(points, np.float32(0)) < 3 * blemish.roughness_mm + 0.1
        points = points[near]
        points = points[blemish.distance(points, _rough(anatomy, points)) < 0]
        found.append(points[anatomy.marrow(points, blemish.bone) < 0])
    return np.concatenate(found)


def paint_bones(content: Content, names: Sequence[str], site: Site) -> NDArray[np.uint8]:
    """Return the label map: a voxel is the bone that fills most of it, if at least half."""
    label = {bone.name: bone.label for bone in site.bones}
    labels = np.zeros(content.bones.shape[1:], np.uint8)
    best = np.full(labels.shape, 0.5, np.float32)
    for share, name in zip(content.bones, names, strict=True):
        chosen = share >= best
        labels[chosen], best[chosen] = label[name], share[chosen]
    return labels


def bone_rows(
    case: str,
    anatomy: Anatomy,
    site: Site,
    content: Content,
    grid: Grid,
    failed: NDArray[np.bool_],
    lesions: Sequence[LesionTruth],
    held: Sequence[Floats],
) -> tuple[BoneMeasurement, ...]:
    """Return a row per bone of the site that the phantom holds."""
    rows = []
    for number, name in enumerate(anatomy.plan.BONES):
        marrow = float(content.marrow[number].sum())
        edema = edema_ml(anatomy, held, name, grid)
        own = [lesion.lesion_ml for lesion in lesions if lesion.bone == name]
        bad = float(content.marrow[number][failed].sum())
        rows.append(
            BoneMeasurement(
                case=case,
                site=site.name,
                bone=name,
                bone_ml=float(content.bones[number].sum()) * grid.voxel_ml,
                edema_ml=edema,
                edema_ml_low=edema,
                edema_ml_high=edema,
                edema_percent=100 * edema / (marrow * grid.voxel_ml) if marrow else None,
                assessable_percent=100 * (1 - bad / marrow) if marrow else None,
                lesion_count=len(own),
                largest_lesion_ml=max(own, default=0.0),
                t1_ratio=None,
                t2fs_ratio=None,
                note="truth from the supersampled shape",
            )
        )
    return tuple(rows)
