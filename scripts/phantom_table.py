"""Print how the known edema of phantoms is found: Dice and volume by bone.

    python scripts/phantom_table.py [--site knee] [--seeds 1-20] [--healthy 101-110]
                                    [--bones network|true|grown|shrunk] [--matrix N]
                                    [--confounders all]

With the bones that the site's network finds, or with those of the truth, or these with their
surface moved by 1 mm. `--matrix` makes smaller images of the same field, which is faster.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.agreement import LesionAgreement, dice, lesion_agreement
from bmepipe.analysis.align import align
from bmepipe.analysis.contrast import detect
from bmepipe.analysis.depth import depth_mm
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.measurable import unmeasurable
from bmepipe.analysis.measure import measure
from bmepipe.analysis.quality import assess
from bmepipe.analysis.reference import present_labels
from bmepipe.bones import bone_model
from bmepipe.phantom.protocol import site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.result import BoneMeasurement
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume

SURFACE_ERROR_MM = 1.0
KINDS = ("network", "true", "grown", "shrunk")
LARGE = ("100-1000 mm3", "over 1000 mm3")
COUNTED_ML = 0.5  # relative volume errors are of bones with more edema than this
CLASSES = {
    "knee": SequenceClass.PD_FS,
    "ankle": SequenceClass.T2_FS,
    "shoulder": SequenceClass.T2_FS,
}


def numbers(text: str) -> list[int]:
    """Return the numbers of "1-3,7"; none of an empty text."""
    parts = [part.split("-") for part in text.split(",") if part]
    return [n for part in parts for n in range(int(part[0]), int(part[-1]) + 1)]


def moved_surface(bones: Volume, by_mm: float) -> Volume:
    """Return the bones grown (by_mm > 0) or shrunk by a distance, never into each other."""
    labels: NDArray[np.uint8] = np.zeros(bones.grid.shape, np.uint8)
    for label in present_labels(bones):
        bone = bones.data == label
        if by_mm > 0:
            moved = (bones.data == 0) & (depth_mm(~bone, bones.grid.spacing_mm) <= by_mm) | bone
        else:
            moved = depth_mm(bone, bones.grid.spacing_mm) > -by_mm
        labels[moved & (labels == 0)] = label
    return Volume(np.asfortranarray(labels), bones.grid)


def find_bones(phantom: Phantom, kind: str) -> Volume:
    """Return the phantom's bones as the network sees them, or those of the truth, moved."""
    if kind == "network":
        return bone_model(pair_of(phantom), load_site(phantom.site))
    move_mm = {"true": 0.0, "grown": SURFACE_ERROR_MM, "shrunk": -SURFACE_ERROR_MM}[kind]
    return moved_surface(phantom.bones, move_mm) if move_mm else phantom.bones


def pair_of(phantom: Phantom) -> Pair:
    """Return the two series on one grid, as a run would put them."""
    t1, _ = align(phantom.t1, phantom.t2fs, same_frame=True)
    return Pair(phantom.t2fs, t1, CLASSES.get(phantom.site, SequenceClass.STIR))


def analyse(phantom: Phantom, bones: Volume) -> tuple[Volume, tuple[BoneMeasurement, ...], float]:
    """Return the edema, the rows and the seconds that the analysis took."""
    site = load_site(phantom.site)
    pair = pair_of(phantom)
    start = time.perf_counter()
    assessable, _ = assess(pair, bones, site)
    probability = detect(pair, bones, site)
    found = find_lesions(probability, pair, bones, assessable, site)
    reasons = unmeasurable(pair, bones, assessable, found)
    rows = measure("phantom", pair, bones, assessable, found, site, reasons)
    return found.edema, rows, time.perf_counter() - start


@dataclass(frozen=True)
class Line:
    """What one phantom showed: volume errors in %, and hits of the interval, are per bone."""

    dice: float | None
    errors: list[float]
    edema_ml: float
    lesions: LesionAgreement
    inside: list[bool]


def line(phantom: Phantom, bones: Volume) -> Line:
    """Print one phantom's line and return it."""
    edema, rows, seconds = analyse(phantom, bones)
    truth = {row.bone: row.edema_ml or 0.0 for row in phantom.measurements}
    errors, inside = [], []
    for row in rows:
        real = truth.get(row.bone, 0.0)
        if real > COUNTED_ML and row.edema_ml is not None:
            errors.append(100 * (row.edema_ml - real) / real)
            inside.append((row.edema_ml_low or 0) <= real <= (row.edema_ml_high or 0))
    overlap = dice(edema.data, phantom.edema.data)
    lesions = lesion_agreement(edema.data, phantom.edema.data, phantom.edema.grid)
    total = sum(row.edema_ml or 0.0 for row in rows)
    print(
        f"{phantom.seed:>5} {'-' if overlap is None else f'{overlap:.3f}':>6} "
        f"{sum(truth.values()):>8.2f} {total:>8.2f} "
        f"{lesions.found:>3}/{lesions.truth:<3} {lesions.false:>5} {seconds:>6.1f}  "
        + " ".join(f"{error:+.1f} %" for error in errors),
        flush=True,
    )
    return Line(overlap, errors, total, lesions, inside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", default="knee")
    parser.add_argument("--seeds", default="1-20")
    parser.add_argument("--healthy", default="101-110")
    parser.add_argument("--bones", choices=KINDS, default="network")
    parser.add_argument("--matrix", type=int)
    parser.add_argument("--confounders", default="")
    arguments = parser.parse_args()
    protocol = site_protocol(arguments.site)
    if arguments.matrix:
        pixel_mm = protocol.pixel_mm * protocol.matrix / arguments.matrix
        protocol = replace(protocol, matrix=arguments.matrix, pixel_mm=pixel_mm)
    print(" seed   Dice  true mL       mL   found false      s  volume errors by bone")
    sick, healthy = numbers(arguments.seeds), numbers(arguments.healthy)
    rows = []
    for seed in sick + healthy:
        phantom = make_phantom(
            arguments.site,
            seed,
            healthy=seed in healthy,
            protocol=protocol,
            confounders=[name for name in arguments.confounders.split(",") if name],
        )
        rows.append(line(phantom, find_bones(phantom, arguments.bones)))
    seen = rows[: len(sick)]
    overlaps = [row.dice for row in seen if row.dice is not None]
    errors = np.abs([error for row in seen for error in row.errors])
    if overlaps:
        print(f"mean Dice {np.mean(overlaps):.3f} (target 0.85)")
    if len(errors):
        print(
            f"volume error mean {errors.mean():.1f} %, worst {errors.max():.1f} %, above 10 % in "
            f"{np.count_nonzero(errors > 10)} of {len(errors)} bones (target: none)"
        )
        inside = np.mean([hit for row in seen for hit in row.inside])
        print(f"truth between low and high in {inside:.0%} of these bones (target 85 to 95 %)")
        large = [row.lesions.by_size[size] for row in seen for size in LARGE]
        found, there = (sum(pair[n] for pair in large) for n in (0, 1))
        false = sum(row.lesions.false for row in seen)
        print(
            f"lesions of 100 mm3 and more found: {found} of {there} (target 95 %); "
            f"false lesions: {false / len(seen):.2f} a case (target 0.2)"
        )
    if healthy:
        most = max(row.edema_ml for row in rows[len(sick) :])
        print(f"healthy: at most {most:.3f} mL (target 0.05)")


if __name__ == "__main__":
    main()
