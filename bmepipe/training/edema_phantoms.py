"""Phantoms as the edema network is shown them, with their truth, cached as one file each.

One person is rendered with two fat-suppressed sequences, so that the costly part, the anatomy, is
paid once. What the phantoms' own study adds, truth in mL from fine grids and motion between the
series, is left out: the network needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmepipe.models.edema_input import Frame, Scene, make_scene, to_scene
from bmepipe.phantom.anatomy import Anatomy, site_plan
from bmepipe.phantom.exam import t1_faults
from bmepipe.phantom.lesions import check_confounders
from bmepipe.phantom.protocol import Protocol, site_protocol
from bmepipe.phantom.sampling import look_through
from bmepipe.phantom.scanner import Content, Faults, fill_voxels, make_image, residual_fat
from bmepipe.phantom.study import diseased_anatomy
from bmepipe.phantom.tissue import Sequence, Technique
from bmepipe.phantom.truth import paint_bones
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

SITES = ("sacroiliac", "knee", "hip", "ankle", "shoulder", "lumbar", "cervical")
FINE_MM = 0.8  # the phantoms' pixels; what the network sees is made of them
FAILED_FACTOR = 2.5  # residual fat above this many times the usual: nothing can be said there


@dataclass(frozen=True, eq=False)
class Example:
    """A scene with its truth, all of shape (slices, rows, columns).

    Parameters
    ----------
    scene : Scene
    t2fs_alone : ndarray of float32
        The fat-suppressed signal as it is normalised where there is no T1.
    edema : ndarray of float32
        Share of each voxel that is edema, 0 to 1.
    look_alikes : ndarray of uint8
        Labels of `phantom.lesions`.
    failed : ndarray of bool
        Where the fat suppression failed.
    """

    scene: Scene
    t2fs_alone: NDArray[np.float32]
    edema: NDArray[np.float32]
    look_alikes: NDArray[np.uint8]
    failed: NDArray[np.bool_]


def make_cache(folder: Path, sites: Several[str], seeds: Several[int]) -> list[Path]:
    """Make the examples of some seeds that `folder` lacks; return the new files.

    Parameters
    ----------
    folder : Path
        Outside the repository: the files are large.
    sites : sequence of str
        Seeds are dealt out to them in turn.
    seeds : sequence of int
        1000 and above: those below belong to tests and tables.
    """
    if min(seeds) < 1000:
        raise ValueError(f"seeds below 1000 are for tests and tables, not training: {min(seeds)}")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, seed in enumerate(seeds):
        site = sites[number % len(sites)]
        if any(folder.glob(f"{site}_{seed}_*.npz")):
            continue
        for name, example in make_examples(site, seed):
            path = folder / f"{site}_{seed}_{name}.npz"
            save_example(path, example)
            made.append(path)
    return made


def make_examples(site: str, seed: int) -> list[tuple[str, Example]]:
    """Return a person in two fat-suppressed classes, each with the name of its class."""
    rng = np.random.default_rng([seed, 77])
    classes = list(SequenceClass)
    chosen = [classes[n] for n in rng.permutation(len(classes))[:2]]
    fat_saturated = SequenceClass.STIR not in chosen or rng.random() < 0.5
    names = _some_look_alikes(site, fat_saturated, rng)
    anatomy = diseased_anatomy(site, seed, healthy=rng.random() < 0.2, confounders=names)
    scan = _varied(site_protocol(site).for_side(anatomy.person.side), rng)
    grid = scan.grid(anatomy.centre_mm)
    planes = look_through(anatomy, grid)
    found = []
    t1_content = fill_voxels(anatomy, planes, scan.t1, scan.thickness_mm)
    for kind in chosen:
        sequence = fat_suppressed(kind, scan.t1.field_t, rng)
        faults = _faults(anatomy, names, rng)
        content = fill_voxels(anatomy, planes, sequence, scan.thickness_mm)
        images = (
            make_image(t1_content, grid, scan.t1, t1_faults(faults), scan.shift_px, rng),
            make_image(content, grid, sequence, faults, scan.shift_px, rng),
        )
        failed = failed_suppression(grid, sequence, faults)
        found.append((kind.name.lower(), _example(anatomy, images, content, grid, kind, failed)))
    return found


def failed_suppression(grid: Grid, sequence: Sequence, faults: Faults) -> NDArray[np.bool_]:
    """Return where so much fat is left that its marrow cannot be judged."""
    left = np.broadcast_to(residual_fat(grid, sequence, faults), grid.shape)
    return left > FAILED_FACTOR * residual_fat(grid, sequence, replace(faults, fat_failure=None))


def fat_suppressed(kind: SequenceClass, field_t: float, rng: np.random.Generator) -> Sequence:
    """Return any usual sequence of a class at a field strength."""
    tr_ms = float(rng.uniform(3000, 5000))
    if kind is SequenceClass.STIR:
        ti_ms = float(rng.uniform(150, 175) if field_t < 2 else rng.uniform(200, 230))
        te_ms = float(rng.uniform(30, 65))
        return Sequence(Technique.INVERSION, tr_ms, te_ms, ti_ms, 1.0, field_t)
    span = (28, 44) if kind is SequenceClass.PD_FS else (50, 80)
    residual = float(rng.uniform(0.03, 0.12))
    return Sequence(Technique.FAT_SAT, tr_ms, float(rng.uniform(*span)), 0.0, residual, field_t)


def _varied(scan: Protocol, rng: np.random.Generator) -> Protocol:
    """Return the protocol at `FINE_MM`, with another T1, field, plane and thickness."""
    field_t = float(rng.choice([1.5, 3.0]))
    t1 = replace(
        scan.t1,
        tr_ms=float(rng.uniform(480, 720)),
        te_ms=float(rng.uniform(9, 15)),
        field_t=field_t,
    )
    plane, tilt = scan.plane, scan.tilt_deg
    if rng.random() < 0.3:
        plane, tilt = str(rng.choice(["sagittal", "coronal", "axial"])), (0.0, 0.0)
    return replace(
        scan,
        t1=t1,
        plane=plane,
        tilt_deg=tilt,
        matrix=round(min(scan.matrix * scan.pixel_mm, 230) / FINE_MM),
        pixel_mm=FINE_MM,
        slices=min(scan.slices, 22),
        thickness_mm=float(rng.uniform(2.6, 4.2)),
        gap_mm=float(rng.uniform(0.1, 0.5)),
        shift_px=float(rng.uniform(0, 1.0)),
    )


def _some_look_alikes(site: str, fat_saturated: bool, rng: np.random.Generator) -> tuple[str, ...]:
    plan = site_plan(site)
    known = check_confounders(
        ["all"], growing=plan.GROWING, red=plan.RED, fat_saturated=fat_saturated
    )
    share = float(rng.choice([0.0, 0.5, 1.0], p=(0.15, 0.5, 0.35)))
    return tuple(name for name in known if rng.random() < share)


def _faults(anatomy: Anatomy, names: Several[str], rng: np.random.Generator) -> Faults:
    failure = None
    if "fat_sat_failure" in names and rng.random() < 0.6:
        away = rng.normal(size=3)
        centre = anatomy.centre_mm + 45 * away / np.linalg.norm(away)
        worst = float(rng.uniform(0.3, 0.9))
        failure = (float(centre[0]), float(centre[1]), float(centre[2]), 38.0, worst)
    ghost = float(rng.uniform(0.01, 0.05)) if "ghosts" in names else 0.0
    return Faults(float(rng.uniform(6, 20)), float(rng.uniform(0.1, 0.5)), failure, ghost)


def _example(
    anatomy: Anatomy,
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    content: Content,
    grid: Grid,
    kind: SequenceClass,
    failed: NDArray[np.bool_],
) -> Example:
    site = load_site(anatomy.site)
    t1, t2fs = (Volume(np.asfortranarray(image), grid) for image in images)
    painted = paint_bones(content, anatomy.plan.BONES, site)
    bones = Volume(np.asfortranarray(painted), grid)
    scene, frame = make_scene(Pair(t2fs, t1, kind), bones, site)
    alone, _ = make_scene(Pair(t2fs, None, kind), bones, site)
    truth = np.clip(content.edema.sum(0), 0, 1)
    return Example(
        scene,
        alone.t2fs,
        to_scene(frame.cut(truth), frame),
        _nearest(content.look_alikes, frame),
        _nearest(failed.astype(np.uint8), frame) > 0,
    )


def _nearest(labels: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    cut = frame.cut(labels)
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * old / n, old - 1).astype(int)
        for n, old in zip(frame.shape, cut.shape[1:], strict=True)
    )
    return cut[:, rows[:, None], columns]


def save_example(path: Path, example: Example) -> None:
    """Write an example, whole or not at all, as half-precision signals."""
    scene = example.scene
    assert scene.t1 is not None
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(
            file,
            t2fs=scene.t2fs.astype(np.float16),
            t2fs_alone=example.t2fs_alone.astype(np.float16),
            t1=scene.t1.astype(np.float16),
            bones=scene.bones,
            edema=np.round(255 * example.edema).astype(np.uint8),
            look_alikes=example.look_alikes,
            failed=example.failed,
            code=np.float32(scene.code),
        )
    temporary.replace(path)


def load_example(path: Path) -> Example:
    """Read what `save_example` wrote."""
    with np.load(path) as stored:
        scene = Scene(
            stored["t2fs"].astype(np.float32),
            stored["t1"].astype(np.float32),
            stored["bones"],
            float(stored["code"]),
        )
        return Example(
            scene,
            stored["t2fs_alone"].astype(np.float32),
            stored["edema"].astype(np.float32) / 255,
            stored["look_alikes"],
            stored["failed"],
        )
