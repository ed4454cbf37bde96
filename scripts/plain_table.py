"""Print what is found in plain shapes: ellipsoids of marrow with balls of edema, or full of it.

    python scripts/plain_table.py [--site knee] [--classes STIR,T2-FS,PD-FS]

No anatomy and no look-alikes, as a phantom from elsewhere may be: two ellipsoids in muscle, the
second cut in two bones, with a cortex; signals by the table of docs/method.md, section 4, for mild,
moderate and intense edema. Each cell is the Dice with a T1 and without, or the mL found where there
is no edema; "said" where nothing was found and a line or a row's note tells why. Some 3 minutes a
class.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import ndimage

from bmepipe.analysis.agreement import dice
from bmepipe.bones import given_bones
from bmepipe.pipeline import analyse
from bmepipe.result import EdemaResult
from bmepipe.site import Site, load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

LEVELS = ("mild", "moderate", "intense")
EDEMA_T1 = (0.83, 0.70, 0.58)
EDEMA = {"STIR": (1.5, 2.1, 3.2), "T2-FS": (2.0, 3.6, 6.3), "PD-FS": (2.3, 3.6, 5.4)}
MUSCLE_T1 = 0.34
MUSCLE = {"STIR": 1.5, "T2-FS": 2.1, "PD-FS": 3.3}
CORTEX, NOISE, BLUR_MM = 0.05, 0.06, 0.5
SPACING_MM, SLICES, FIELD_MM = (0.6, 0.6, 3.3), 22, 140.0


def scene() -> tuple[Grid, np.ndarray, np.ndarray, np.ndarray]:
    """Return a coronal grid, its points in mm, the bones and what of them is marrow."""
    shape = (round(FIELD_MM / SPACING_MM[0]), round(FIELD_MM / SPACING_MM[1]), SLICES)
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = *SPACING_MM, 1
    x, y, z = ((np.indices(shape).T - np.array(shape) / 2) * SPACING_MM).T
    bones = np.zeros(shape, np.uint8)
    for label, middle in ((1, 26), (2, -26)):
        bones[(x / 28) ** 2 + ((y - middle) / 20) ** 2 + (z / 30) ** 2 < 1] = label
    inner = ndimage.binary_erosion(bones > 0, np.ones((3, 3, 1)), iterations=2)
    bones[(bones == 2) & (x > 8)] = 3
    return Grid(shape, affine), np.stack([x, y, z]), bones, inner


def shapes(points: np.ndarray) -> dict[str, np.ndarray]:
    """Return where edema lies, by name; only what is marrow of the first bone counts."""
    y = points[1]

    def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
        return sum((p - c) ** 2 for p, c in zip(points, centre, strict=True)) < radius_mm**2

    return {
        "none": np.zeros(y.shape, bool),
        "ball of 6 mm": ball((6, 26, 2), 3),
        "ball of 14 mm": ball((6, 26, 2), 7),
        "at the surface, 1.2 mL": ball((4, 8, 2), 9),
        "a quarter": y < 20,
        "half": y < 26,
        "three quarters": y < 31,
        "whole bone": np.ones(y.shape, bool),
    }


def image(
    bones: np.ndarray, marrow: np.ndarray, edema: np.ndarray, level: float, muscle: float, seed: int
) -> np.ndarray:
    """Return an image of marrow at 100, edema at `level` of it, with cortex, blur and noise."""
    clean = np.where(bones > 0, CORTEX, muscle)
    clean[marrow] = 1.0
    clean[edema] = level
    blurred = ndimage.gaussian_filter(clean, [BLUR_MM / SPACING_MM[0]] * 2 + [0])
    noise = NOISE * np.random.default_rng(seed).standard_normal((2, *clean.shape))
    return (100 * np.hypot(blurred + noise[0], noise[1])).astype(np.float32)


def cell(found: EdemaResult, truth: np.ndarray) -> str:
    """Return the Dice, or the mL found; "said" where a zero is explained."""
    edema = found.edema.data
    if not truth.any():
        return f"{np.count_nonzero(edema) * found.bones.grid.voxel_ml:.2f} mL"
    told = any(row.rejected_as for row in found.rejected)
    told |= any("left out" in note.lower() for note in found.notes)
    told |= any(row.note for row in found.measurements if not row.edema_ml)
    return f"{dice(edema, truth):.2f}{' said' if told and not edema.any() else ''}"


def rows(site: Site, sequence_class: SequenceClass) -> None:
    """Print a line per shape."""
    grid, points, bones, inner = scene()
    name = sequence_class.value
    for shape, where in shapes(points).items():
        truth = where & inner & (bones == 1)
        cells = []
        for level, t1_level in zip(EDEMA[name], EDEMA_T1, strict=True):
            t2fs, t1 = (
                Volume(np.asfortranarray(image(bones, inner, truth, *signals)), grid)
                for signals in ((level, MUSCLE[name], 1), (t1_level, MUSCLE_T1, 2))
            )
            finder = given_bones(Volume(np.asfortranarray(bones), grid))
            both, alone = (
                analyse(Pair(t2fs, guide, sequence_class), site, segment_bones=finder)
                for guide in (t1, None)
            )
            cells.append(f"{cell(both, truth)} / {cell(alone, truth)}")
        print(f"| {name} | {shape} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", default="knee")
    parser.add_argument("--classes", default=",".join(EDEMA))
    arguments = parser.parse_args()
    print(f"| class | edema | {' | '.join(LEVELS)} |\n|---|---|---|---|---|")
    for name in arguments.classes.split(","):
        rows(load_site(arguments.site), SequenceClass(name))


if __name__ == "__main__":
    main()
