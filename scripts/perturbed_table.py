"""Print how much agreement with readers changes when the same real scans are changed a little.

    python scripts/perturbed_table.py [FOLDER] [--bones network,region] [--ways mirrored,noisy]

A scan that is mirrored, cut, noisier or shaded shows the same patient: what is found there must be
the same. A limit that a case happens to pass shows up as one that it fails here. FOLDER as in
`sij_table.py`; without it the script says so and stops. Some 20 s a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage
from sij_table import FOLDER, case_folders, read_case

from bmepipe.bones import bone_model, given_bones
from bmepipe.evaluate import CaseAgreement, evaluate_case
from bmepipe.pipeline import analyse
from bmepipe.site import Site, load_site
from bmepipe.study import Pair
from bmepipe.volume import Grid, Volume

Change = Callable[[Volume, int], Volume]  # of the image with this number: 0 STIR, 1 T1, 2... labels


def drawn(values: Callable[[np.ndarray, int], np.ndarray]) -> Change:
    """Return a change of the images' values; labels stay."""
    return lambda volume, number: (
        volume.with_data(values(volume.data.astype(np.float32), number).astype(np.float32))
        if number < 2
        else volume
    )


def mirrored(volume: Volume, _: int) -> Volume:
    axis = next(a for a in range(3) if volume.grid.orientation[a] in "LR")
    return volume.with_data(np.flip(volume.data, axis).copy(order="F"))


def scaled(factor: float) -> Change:
    """Return a change that makes the patient larger by a factor."""
    return lambda volume, _: Volume(
        volume.data,
        Grid(volume.grid.shape, np.vstack([volume.grid.affine[:3] * factor, [0, 0, 0, 1]])),
    )


def cut(in_plane: float, slices: int) -> Change:
    """Return a change that cuts a share of every side of the slices, and slices at both ends."""

    def change(volume: Volume, _: int) -> Volume:
        first = [int(in_plane * n) for n in volume.grid.shape]
        first[volume.grid.slice_axis] = slices
        part = tuple(slice(f, n - f) for f, n in zip(first, volume.grid.shape, strict=True))
        affine = volume.grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ first
        data = volume.data[part].copy(order="F")
        return Volume(data, Grid(data.shape, affine))

    return change


def noise(data: np.ndarray, number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    sd = 0.04 * np.percentile(data, 95)
    return np.hypot(
        data + sd * rng.standard_normal(data.shape), sd * rng.standard_normal(data.shape)
    )


def shading(size: float, seed: int, *, alike: bool) -> Change:
    """Return a change by a smooth shading: alike in both series as one coil makes it, or not."""

    def change(data: np.ndarray, number: int) -> np.ndarray:
        rng = np.random.default_rng(seed if alike else seed + number)
        field = ndimage.zoom(rng.standard_normal((3, 3, 3)), [n / 3 for n in data.shape], order=3)
        return data * np.exp(size * field / field.std())

    return drawn(change)


def bent(exponent: float) -> Change:
    def change(data: np.ndarray, _: int) -> np.ndarray:
        top = np.percentile(data, 99)
        return top * (np.clip(data, 0, None) / top) ** exponent

    return drawn(change)


WAYS: dict[str, Change] = {
    "as it is": lambda volume, _: volume,
    "mirrored": mirrored,
    "noisy": drawn(noise),
    "each shaded by 12 %": shading(0.12, 1, alike=False),
    "both shaded by 25 %": shading(0.25, 7, alike=True),
    "contrast up": bent(1.15),
    "contrast down": bent(0.87),
    "larger by 10 %": scaled(1.1),
    "smaller by 10 %": scaled(0.9),
    "field cut by 10 %": cut(0.1, 0),
    "two slices less at each end": cut(0.0, 2),
    "softer": drawn(lambda data, _: ndimage.gaussian_filter(data, (0.7, 0.7, 0))),
    "T1 a pixel off": drawn(lambda data, number: np.roll(data, number, 0)),
}


def agreement(folder: Path, change: Change, whose: str, site: Site) -> CaseAgreement:
    """Return the agreement with readers on a changed case."""
    pair, region, readings = read_case(folder, site)
    images = [pair.t2fs, pair.t1, region, *readings]
    t2fs, t1, region, *readings = (change(v, n) for n, v in enumerate(images) if v is not None)
    pair = Pair(t2fs, t1, pair.sequence_class)
    finder = given_bones(region) if whose == "region" else bone_model
    found = analyse(pair, site, segment_bones=finder)
    return evaluate_case(folder.name, found.edema, readings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--bones", default="network,region")
    parser.add_argument("--ways", default=",".join(WAYS))
    arguments = parser.parse_args()
    folders = case_folders(arguments.folder)
    if not folders:
        return
    site = load_site("sacroiliac")
    for whose in arguments.bones.split(","):
        print(f"\nbones: {whose}\n| scan | mean Dice | per patient | false lesions |")
        print("|---|---|---|---|")
        for name in arguments.ways.split(","):
            cases = [agreement(folder, WAYS[name], whose, site) for folder in folders]
            dices = [case.voxels.dice or 0 for case in cases]
            each = " ".join(f"{value:.2f}" for value in dices)
            false = " ".join(str(case.lesions.false) for case in cases)
            print(f"| {name} | {np.mean(dices):.2f} | {each} | {false} |", flush=True)


if __name__ == "__main__":
    main()
