"""Check many people of every site: bones apart and whole, lesions there, volumes as counted anew.

    python scripts/check_phantoms.py [--sites knee,hip] [--seeds 1-50]

The volume of every lesion is compared with a count at random points, one in each cell of a box,
which shares nothing with the grid of the truth; they must agree within 1 %, or within three times
the standard error that points without cells would have, where that is larger. A line per site; the
exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from phantom_table import numbers

from bmepipe.phantom.anatomy import Anatomy, phantom_sites
from bmepipe.phantom.lesions import EDEMA, Blemish
from bmepipe.phantom.study import diseased_anatomy
from bmepipe.phantom.truth import lesion_ml

STEP_MM = 3.0
CELLS = 48  # along each side of a box
TOLERANCE = 0.01
LEAST_EDEMA_ML = 0.3


def faults_of_bones(anatomy: Anatomy) -> tuple[list[str], dict[str, float]]:
    """Return what is wrong with the bones, and their volumes in mL within the plan's reach."""
    reach = anatomy.plan.REACH_MM
    half = np.arange(-reach, reach + 1, STEP_MM, dtype=np.float32)
    found: list[str] = []
    counts = dict.fromkeys(anatomy.plan.BONES, 0)
    for x in half:  # a sheet at a time, for the memory
        sheet = np.stack(np.meshgrid([x], half, half, indexing="ij"), -1).reshape(-1, 3)
        distances = anatomy.bones(sheet + anatomy.centre_mm)
        inside = np.array([distance < 0 for distance in distances.values()])
        if inside.sum(0).max() > 1:
            found.append(f"two bones on one place at x = {x:.0f} mm")
        for name, mask in zip(distances, inside, strict=True):
            counts[name] += int(mask.sum())
    found += [f"{name} is empty" for name, count in counts.items() if not count]
    return found, {name: n * STEP_MM**3 / 1000 for name, n in counts.items()}


def held(anatomy: Anatomy, blemish: Blemish, points: np.ndarray) -> np.ndarray:
    """Return those of the points that lie in a lesion and in its bone's marrow."""
    rough = anatomy.person.noise("mid", anatomy.person.to_canonical(points))
    points = points[blemish.distance(points.astype(np.float32), rough) < 0]
    return points[anatomy.marrow(points, blemish.bone) < 0]


def scattered(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return points of a box, shape (n, 3), one at random in each of its cells."""
    cells = np.indices((CELLS,) * 3).reshape(3, -1).T
    return low + (cells + rng.random(cells.shape)) / CELLS * (high - low)


def counted_ml(anatomy: Anatomy, blemish: Blemish) -> tuple[float, float]:
    """Return a lesion's volume in mL counted at random points, and its relative standard error.

    A first count finds the box in which the lesion lies, a second one counts there: a lesion at a
    bone's corner may be a small part of its ellipsoid.
    """
    rng = np.random.default_rng(0)
    low, high = blemish.centre_mm - blemish.reach_mm, blemish.centre_mm + blemish.reach_mm
    first = held(anatomy, blemish, scattered(rng, low, high))
    if not len(first):
        return 0.0, 0.0
    slack = np.maximum(2.0, (high - low) / 30)
    low = np.maximum(low, first.min(0) - slack)
    high = np.minimum(high, first.max(0) + slack)
    count = len(held(anatomy, blemish, scattered(rng, low, high)))
    share = count / CELLS**3
    return share * float(np.prod(high - low)) / 1000, float(np.sqrt((1 - share) / max(count, 1)))


def check(site: str, seed: int) -> tuple[list[str], dict[str, float], float]:
    """Return a person's faults, bone volumes in mL and edema in mL."""
    anatomy = diseased_anatomy(site, seed)
    faults, volumes = faults_of_bones(anatomy)
    total = 0.0
    for blemish in (b for b in anatomy.blemishes if b.kind == EDEMA):
        told = lesion_ml(anatomy, blemish)
        counted, error = counted_ml(anatomy, blemish)
        total += told
        if abs(told - counted) > max(TOLERANCE, 3 * error) * counted + 1e-3:
            faults.append(f"lesion of {told:.3f} mL, counted {counted:.3f} in {blemish.bone}")
    if total < LEAST_EDEMA_ML:
        faults.append(f"only {total:.2f} mL of edema")
    return faults, volumes, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", default=",".join(phantom_sites()))
    parser.add_argument("--seeds", default="1-50")
    arguments = parser.parse_args()
    wrong = 0
    for site in arguments.sites.split(","):
        faults, edema, bones = [], [], []
        for seed in numbers(arguments.seeds):
            found, volumes, total = check(site, seed)
            faults += [f"  {site} {seed}: {fault}" for fault in found]
            edema.append(total)
            bones.append(volumes)
        sizes = ", ".join(
            f"{name} {np.mean([b[name] for b in bones]):.0f}±{np.std([b[name] for b in bones]):.0f}"
            for name in bones[0]
        )
        print(
            f"{site}: {len(edema)} people, {len(faults)} faults; edema {min(edema):.2f} to "
            f"{max(edema):.1f} mL, median {np.median(edema):.1f}; bones in mL: {sizes}",
            flush=True,
        )
        print("\n".join(faults), end="\n" if faults else "")
        wrong += len(faults)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
