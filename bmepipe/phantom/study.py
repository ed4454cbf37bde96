"""The whole phantom: from a site and a seed to two series and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.errors import BadSettings
from bmepipe.phantom.anatomy import Anatomy, make_anatomy, site_plan
from bmepipe.phantom.exam import other_series, t1_faults
from bmepipe.phantom.lesions import (
    PARTIAL_VOLUME,
    REGIONAL,
    Blemish,
    check_confounders,
)
from bmepipe.phantom.placing import Ground, place_edema, place_look_alikes
from bmepipe.phantom.protocol import Protocol, site_protocol
from bmepipe.phantom.sampling import look_through
from bmepipe.phantom.scanner import Content, Faults, fill_voxels, make_image
from bmepipe.phantom.shapes import Floats, f32, rotation
from bmepipe.phantom.tissue import Sequence as Contrast
from bmepipe.phantom.tissue import Technique
from bmepipe.phantom.truth import (
    LesionTruth,
    bone_rows,
    edema_points,
    lesion_ml,
    lesion_rows,
    paint_bones,
)
from bmepipe.result import BoneMeasurement
from bmepipe.site import load_site
from bmepipe.volume import Grid, Volume

_ROUGH_MM = 0.7
_FIRST_ML, _LEAST_ML = 0.53, 0.010  # a diseased phantom has at least half a millilitre


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic study and its truth; the truth lies on the grid of the fat-suppressed series.

    Parameters
    ----------
    site, side : str
        Side "R", "L" or empty.
    seed : int
    protocol : Protocol
    t1, t2fs : Volume of float32
        Each on its own grid; edema is drawn on that of `t2fs`.
    bones : Volume of uint8
        Labels of the site's bones.
    edema : Volume of bool
        Voxels at least half filled by edema.
    confounders : Volume of uint8
        Labels of `lesions.LOOK_ALIKES` and `lesions.REGIONAL`, and `lesions.PARTIAL_VOLUME`.
    not_assessable : Volume of bool
        Marrow where the fat suppression failed.
    measurements : tuple of BoneMeasurement
        A row per bone; volumes in mL from the supersampled shape.
    lesions : tuple of LesionTruth
        A row per edema lesion.
    motion : ndarray, shape (4, 4)
        Rigid RAS motion of the person before T1, which its header does not tell.
    anatomy : Anatomy
        For whoever wants to evaluate the truth at other points.
    others : tuple of (Sequence, Volume)
        Further series of the exam: the fat-suppressed one in other planes, and those of
        `exam.other_series` that must not be chosen.
    """

    site: str
    side: str
    seed: int
    protocol: Protocol
    t1: Volume
    t2fs: Volume
    bones: Volume
    edema: Volume
    confounders: Volume
    not_assessable: Volume
    measurements: tuple[BoneMeasurement, ...]
    lesions: tuple[LesionTruth, ...]
    motion: NDArray[np.float64]
    anatomy: Anatomy
    others: tuple[tuple[Contrast, Volume], ...] = ()


def make_phantom(
    site: str,
    seed: int,
    *,
    healthy: bool = False,
    confounders: Sequence[str] = (),
    protocol: Protocol | None = None,
    motion_mm: float = 0.4,
    extra_planes: Sequence[str] = (),
) -> Phantom:
    """Return the phantom of a site and a seed; the same arguments give the same bytes.

    Parameters
    ----------
    site : str
        One of `anatomy.phantom_sites()`.
    seed : int
        Each is another person; 0 or more.
    healthy : bool
        Without edema.
    confounders : sequence of str
        Look-alikes and faults to add, of `lesions.confounder_names()`, or "all".
    protocol : Protocol, optional
        Default: the site's own.
    motion_mm : float
        Spread of the shift between the T1 and the fat-suppressed series, with as many half degrees.
    extra_planes : sequence of str
        Planes in which to add the fat-suppressed series once more, as real exams have; each costs
        as much as the first.

    Raises
    ------
    UnknownChoice
        For an unknown site or confounder, listing the known ones.
    BadSettings
        For a seed below 0.
    """
    if seed < 0:
        raise BadSettings("a seed of 0 or more", str(seed), "give another seed")
    scan = protocol or site_protocol(site)
    names = check_confounders(
        confounders,
        growing=site_plan(site).GROWING,
        red=site_plan(site).RED,
        fat_saturated=scan.t2fs.technique is Technique.FAT_SAT,
    )
    anatomy = diseased_anatomy(site, seed, healthy=healthy, confounders=names)
    scan = scan.for_side(anatomy.person.side)
    rng = np.random.default_rng([seed, 14])
    faults = _faults(anatomy, scan, names, rng)
    grid = scan.grid(anatomy.centre_mm)
    content = fill_voxels(anatomy, look_through(anatomy, grid), scan.t2fs, scan.thickness_mm)
    t2fs = make_image(content, grid, scan.t2fs, faults, scan.shift_px, rng)
    motion = _motion(motion_mm, anatomy.centre_mm, rng)
    cut = scan.for_t1()
    t1_grid = cut.grid(anatomy.centre_mm)
    planes = look_through(anatomy, Grid(t1_grid.shape, motion @ t1_grid.affine))
    plain = fill_voxels(anatomy, planes, scan.t1, cut.thickness_mm, count_bones=False)
    image = make_image(plain, t1_grid, scan.t1, t1_faults(faults), scan.shift_px, rng)
    t1 = _volume(image, t1_grid)
    made = _with_truth(anatomy, seed, scan, (t1, _volume(t2fs, grid)), content, faults, motion)
    others = other_series(anatomy, scan, content, faults, extra_planes, rng)
    return replace(made, others=others)


def diseased_anatomy(
    site: str, seed: int, *, healthy: bool = False, confounders: Sequence[str] = ()
) -> Anatomy:
    """Return the anatomy of a seed with its edema and the look-alikes that lie in the marrow."""
    anatomy = make_anatomy(site, seed)
    if "growth_plate" in confounders:
        young = {**anatomy.person.traits, "growth_plate": 1.0}
        anatomy = replace(anatomy, person=replace(anatomy.person, traits=young, age_years=13))
    ground = _ground(anatomy)
    blemishes: list[Blemish] = []
    if not healthy:
        placed = place_edema(ground, anatomy.plan.PATTERNS, np.random.default_rng([seed, 13]))
        blemishes += _sizeable(anatomy, placed)
    rng = np.random.default_rng([seed, 15])
    blemishes += place_look_alikes(ground, confounders, anatomy.plan.BONES, rng)
    return replace(anatomy, blemishes=tuple(blemishes))


def _sizeable(anatomy: Anatomy, edema: Sequence[Blemish]) -> list[Blemish]:
    """Grow one lesion until 0.5 mL of it lies in marrow; leave out mere traces."""
    found = list(edema)
    for number, blemish in enumerate(found):
        grown = _grown(anatomy, blemish)
        if grown is not None:
            found[number] = grown
            break
    return [b for b in found if lesion_ml(anatomy, b, _ROUGH_MM) >= _LEAST_ML]


def _grown(anatomy: Anatomy, blemish: Blemish) -> Blemish | None:
    for _ in range(14):
        if lesion_ml(anatomy, blemish, _ROUGH_MM) >= _FIRST_ML:
            return blemish
        blemish = replace(blemish, radii_mm=f32(blemish.radii_mm * 1.2))
    return None


def _ground(anatomy: Anatomy) -> Ground:
    reach = anatomy.plan.REACH_MM
    half = np.arange(-reach, reach + 1, max(3.0, reach / 26))
    box = np.stack(np.meshgrid(half, half, half, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (box + anatomy.centre_mm).astype(np.float32)
    depths = {name: -distance for name, distance in anatomy.bones(points).items()}
    inside = np.max(list(depths.values()), axis=0) > 1
    canonical = anatomy.person.to_canonical(points[inside])
    return Ground(points[inside], canonical, {n: d[inside] for n, d in depths.items()})


def _faults(
    anatomy: Anatomy, scan: Protocol, names: Sequence[str], rng: np.random.Generator
) -> Faults:
    snr, coil = float(rng.uniform(*scan.snr)), float(rng.uniform(0.1, 0.3))
    failure = None
    away = rng.normal(size=3)
    if "fat_sat_failure" in names:
        centre = anatomy.centre_mm + 45 * away / np.linalg.norm(away)
        failure = (*(float(v) for v in centre), 38.0, float(rng.uniform(0.4, 0.9)))
    return Faults(snr, coil, failure, 0.04 if "ghosts" in names else 0.0)  # type: ignore[arg-type]


def _motion(spread_mm: float, centre_mm: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    angles = np.clip(rng.normal(0, spread_mm / 2, 3), -spread_mm, spread_mm)
    turn = (rotation(0, angles[0]) @ rotation(1, angles[1]) @ rotation(2, angles[2])).astype(float)
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = centre_mm - turn @ centre_mm + np.clip(rng.normal(0, spread_mm, 3), -3, 3)
    return motion


def _with_truth(
    anatomy: Anatomy,
    seed: int,
    scan: Protocol,
    images: tuple[Volume, Volume],
    content: Content,
    faults: Faults,
    motion: NDArray[np.float64],
) -> Phantom:
    site, grid = load_site(anatomy.site), images[1].grid
    bones = paint_bones(content, anatomy.plan.BONES, site)
    edema = content.edema.sum(0) >= 0.5
    failed = _failed(grid, faults) & (content.marrow.sum(0) > 0.5)
    labels = content.look_alikes.copy()
    if failed.any():
        free = (labels == 0) | (labels == PARTIAL_VOLUME)
        labels[failed & free] = REGIONAL["fat_sat_failure"]
    held = edema_points(anatomy)
    lesions = lesion_rows(anatomy, held)
    case = f"phantom-{anatomy.site}-{seed}"
    return Phantom(
        anatomy.site,
        anatomy.person.side,
        seed,
        scan,
        *images,
        _volume(bones, grid),
        _volume(edema, grid),
        _volume(labels, grid),
        _volume(failed, grid),
        bone_rows(case, anatomy, site, content, grid, failed, lesions, held),
        lesions,
        motion,
        anatomy,
    )


def _volume(data: NDArray, grid: Grid) -> Volume:
    return Volume(np.asfortranarray(data), grid)


def _failed(grid: Grid, faults: Faults) -> NDArray[np.bool_]:
    if faults.fat_failure is None:
        return np.zeros(grid.shape, bool)
    *centre, radius, _ = faults.fat_failure
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    away = np.linalg.norm(grid.to_world(index.reshape(-1, 3)) - centre, axis=1)
    return (away < radius).reshape(grid.shape)
