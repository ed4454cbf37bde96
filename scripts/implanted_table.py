"""Print how edema that was painted into real scans is found: the way's sensitivity on real images.

    python scripts/implanted_table.py [--shared ../shared] [--cases knee,spine] [--seeds 1-5]
                                      [--strengths mild,moderate,intense] [--size small]

Real scans whose edema is known are few. Here lesions of known place, size and contrast are painted
into scans without any, at the surfaces of their bones or, at a sacroiliac joint, beside it; bones
are found anew on the painted images, so that what a lesion does to them counts too. What is found
in the scan as it is, is left out of both drawings. Ratios to yellow marrow follow docs/method.md,
section 4; those to the red marrow of a spine or pelvis are lower. Two lesions of 4 to 11 mm in
radius, or six small ones of 1.8 to 4.2 mm, as most that readers mark are.
Local data, never part of the project; without it the script says so and stops. Some 15 s a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantom_table import numbers
from scipy import ndimage

from bmepipe.analysis.agreement import dice, lesion_agreement
from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.marrow import Marrow, normal_marrow
from bmepipe.analysis.place import place_of
from bmepipe.analysis.reference import present_labels
from bmepipe.intake import load_pair
from bmepipe.pipeline import RunSettings, analyse, choose
from bmepipe.provenance import Stopwatch
from bmepipe.result import EdemaResult
from bmepipe.site import Site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid

STRETCH = (1.0, 1.6)  # of the axes along the surface against the depth
AT_JOINT_MM = 6.0
BESIDE_MM = 6.0  # of what was found before
LEAST_ASSESSABLE = 50.0  # percent of a bone
BELOW_FLUID = 0.8  # of the brightest signal, mostly fluid: no edema is as bright
Ranges = Mapping[str, tuple[float, float]]
# Signal over that of normal marrow, by the two-pool table of docs/method.md; red marrow holds water
# itself, so that edema stands out less on both series.
T2FS_RATIOS: Mapping[str, Ranges] = {
    "yellow": {"mild": (1.9, 2.6), "moderate": (2.6, 4.0), "intense": (4.0, 5.5)},
    "red": {"mild": (1.5, 1.8), "moderate": (1.8, 2.4), "intense": (2.4, 3.2)},
}
T1_RATIOS: Mapping[str, Ranges] = {
    "yellow": {"mild": (0.75, 0.88), "moderate": (0.64, 0.78), "intense": (0.54, 0.66)},
    "red": {"mild": (0.82, 0.98), "moderate": (0.72, 0.92), "intense": (0.6, 0.82)},
}


@dataclass(frozen=True)
class Size:
    """How many lesions a scan gets, how large they are and how soft their edges."""

    lesions: int
    radius_mm: tuple[float, float]
    edge_mm: tuple[float, float]


SIZES = {"usual": Size(2, (4.0, 11.0), (0.5, 2.0)), "small": Size(6, (1.8, 4.2), (0.5, 1.2))}


@dataclass(frozen=True)
class Score:
    """How the lesions of one painted scan were found; the error of the volume in percent."""

    dice: float
    found: int
    lesions: int
    false: int
    error: float


def of_folder(folder: Path) -> tuple[Pair, Site]:
    """Return the pair that a run would choose."""
    watch = Stopwatch(lambda stage: None)
    _, site, choice = choose(folder, RunSettings(), watch)
    return load_pair(choice, watch), site


def of_files(
    t2fs: Path, t1: Path | None, site: str, kind: SequenceClass
) -> Callable[[], tuple[Pair, Site]]:
    def read() -> tuple[Pair, Site]:
        watch = Stopwatch(lambda stage: None)
        settings = RunSettings(site=site, t2fs=str(t2fs), t1=str(t1) if t1 else None)
        _, found, choice = choose(None, settings, watch)
        return replace(load_pair(choice, watch), sequence_class=kind), found

    return read


def cases(shared: Path) -> dict[str, Callable[[], tuple[Pair, Site]]]:
    """Return how each case is read."""
    real = shared / "real"
    lumbar = real / "lumbar_nifti"
    stir, t2 = SequenceClass.STIR, SequenceClass.T2_FS
    return {
        "knee": lambda: of_folder(real / "knee_dicom"),
        "spine": lambda: of_folder(real / "spine_dicom"),
        "dixon_01": of_files(lumbar / "dixon_water_01.nii.gz", None, "lumbar", t2),
        "dixon_02": of_files(lumbar / "dixon_water_02.nii.gz", None, "lumbar", t2),
        "pair": of_files(lumbar / "pair_stir.nii.gz", lumbar / "pair_t1.nii.gz", "lumbar", stir),
        **{
            joint.name: of_files(joint / "stir.nii.gz", joint / "t1.nii.gz", "sacroiliac", stir)
            for joint in sorted((real / "sij_nifti").glob("*"))
        },
    }


def share(
    centre: NDArray[np.int64], grid: Grid, size: Size, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the share of each voxel that a lesion around a voxel fills: an uneven ellipsoid."""
    radius = rng.uniform(*size.radius_mm)
    axes = radius * rng.uniform(*STRETCH, size=3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    index = np.indices(grid.shape).reshape(3, -1).T - centre
    points = (index * np.asarray(grid.spacing_mm)) @ turn
    away = (np.sqrt(((points / axes) ** 2).sum(1)) - 1).reshape(grid.shape) * radius
    noise = ndimage.gaussian_filter(
        rng.standard_normal(grid.shape), [radius / 2 / step for step in grid.spacing_mm]
    )
    away += 0.25 * radius * noise / max(float(noise.std()), 1e-9)
    edge = rng.uniform(*size.edge_mm)
    return (1 / (1 + np.exp(np.clip(2 * away / edge, -30, 30)))).astype(np.float32)


def centres(
    result: EdemaResult, marrow: Marrow, size: Size, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return where lesions are painted: under the surface of bones that were judged, apart."""
    bones, site = result.bones, result.site
    judged = {
        row.bone
        for row in result.measurements
        if row.edema_ml is not None and (row.assessable_percent or 0) >= LEAST_ASSESSABLE
    }
    labels = [v for v in present_labels(bones) if site.bone(v).name in judged]
    place = place_of(result.pair, bones, marrow, site)
    fit = marrow.interior & result.assessable.data & (place.depth_mm < 5)
    if place.joint_mm is not None:
        fit &= place.joint_mm < AT_JOINT_MM
    if result.edema.data.any():
        fit &= depth_mm(~result.edema.data, bones.grid.spacing_mm) > 2 * size.radius_mm[1]
    fit &= np.isin(bones.data, labels)
    where = np.argwhere(fit)
    chosen: list[NDArray[np.int64]] = []
    spacing = np.asarray(bones.grid.spacing_mm)
    for _ in range(200 if len(where) else 0):
        point = where[int(rng.integers(len(where)))]
        if all(np.linalg.norm((point - c) * spacing) > 4 * size.radius_mm[1] for c in chosen):
            chosen.append(point)
        if len(chosen) == size.lesions:
            break
    return chosen


def painted(
    result: EdemaResult, marrow: Marrow, strength: str, seed: int, size: Size = SIZES["usual"]
) -> tuple[Pair, NDArray[np.bool_]]:
    """Return the pair with lesions, and where they are: at least half of the voxel, of marrow."""
    rng = np.random.default_rng(seed)
    pair, bones = result.pair, result.bones
    kind = "yellow" if pair.sequence_class is SequenceClass.PD_FS else "red"
    fs, t1 = pair.t2fs.data.copy(), None if pair.t1 is None else pair.t1.data.copy()
    truth = np.zeros(bones.grid.shape, bool)
    for centre in centres(result, marrow, size, rng):
        label = int(bones.data[tuple(centre)])
        amount = share(centre, bones.grid, size, rng) * (bones.data == label)
        ratio, t1_ratio = (
            rng.uniform(*ranges[kind][strength]) for ranges in (T2FS_RATIOS, T1_RATIOS)
        )
        normal = np.nan_to_num(marrow.t2fs.centre)
        # Water is added; the cortex, dark on T1, holds no marrow that could take it up.
        if t1 is not None and marrow.t1 is not None:
            amount = amount * np.clip(np.nan_to_num(marrow.t1.ratio) / 0.8, 0, 1)
            t1 = t1 * (1 - amount * (1 - t1_ratio))
        truth |= amount >= 0.5
        lesion = np.minimum(ratio * normal, BELOW_FLUID * np.percentile(fs, 99.5))
        fs = fs + amount * np.maximum(lesion - normal, 0)
    changed = replace(
        pair,
        t2fs=pair.t2fs.with_data(np.asfortranarray(fs.astype(np.float32))),
        t1=None if t1 is None else pair.t2fs.with_data(np.asfortranarray(t1.astype(np.float32))),
    )
    return changed, truth


def found_in(before: EdemaResult, changed: Pair, truth: NDArray[np.bool_]) -> Score:
    """Return how the painted lesions of a pair are found; what was found before is left out."""
    grid = changed.grid
    known = before.edema.data & ~truth
    beside = depth_mm(~known, grid.spacing_mm) < BESIDE_MM if known.any() else known
    drawn = analyse(changed, before.site).edema.data & ~beside
    lesions = lesion_agreement(drawn, truth, grid)
    error = 100 * (np.count_nonzero(drawn) / np.count_nonzero(truth) - 1)
    overlap = dice(drawn, truth) or 0.0
    return Score(overlap, lesions.found, lesions.truth, lesions.false, float(error))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--cases", default="knee,spine,dixon_01,dixon_02,pair,1003")
    parser.add_argument("--seeds", default="1-5")
    parser.add_argument("--strengths", default=",".join(T1_RATIOS["red"]))
    parser.add_argument("--size", choices=tuple(SIZES), default="usual")
    arguments = parser.parse_args()
    if not (arguments.shared / "real").is_dir():
        print(f"no real scans at {arguments.shared / 'real'}: nothing to measure")
        return
    print("| scan | lesions | Dice | found | false a case | volume error |")
    print("|---|---|---|---|---|---|")
    readers = cases(arguments.shared)
    for name in arguments.cases.split(","):
        pair, site = readers[name]()
        before = analyse(pair, site)
        marrow = normal_marrow(pair, before.bones, site)
        for strength in arguments.strengths.split(","):
            scores = []
            for seed in numbers(arguments.seeds):
                changed, truth = painted(before, marrow, strength, seed, SIZES[arguments.size])
                if truth.any():
                    scores.append(found_in(before, changed, truth))
            dices, found, real, false, errors = zip(*map(astuple, scores), strict=True)
            print(
                f"| {name} | {strength} | {np.mean(dices):.2f} | {sum(found)} of {sum(real)} | "
                f"{np.mean(false):.1f} | {np.mean(errors):+.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
