"""Print how much the bones found in real scans change when the scans are changed a little.

    python scripts/perturbed_bones.py [--shared ../shared] [--cases knee,spine,pair_stir]
                                      [--ways mirrored,noisy]

A scan that is mirrored, cut, scaled, thinned out or shaded shows the same bones: Dice against those
of the scan as it is, moved along, for every series alone. Bones of less than 1 mL in both are left
out. Changes are those of `perturbed_table.py` and some that are larger.
Local data, never part of the project; without it the script says so and stops. Some 2 s a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from perturbed_table import WAYS, Change, cut, scaled, shading

from bmepipe.analysis.agreement import dice
from bmepipe.bones import bone_model
from bmepipe.errors import BmepipeError
from bmepipe.io.nifti import load
from bmepipe.io.studies import load as load_series
from bmepipe.io.studies import open_study
from bmepipe.site import Site, load_site
from bmepipe.study import Pair, Role, SequenceClass
from bmepipe.volume import Grid, Volume

LEAST_ML, LEAST_SLICES = 1.0, 8


def thinned(factor: int, *, slices: bool) -> Change:
    """Return a change that takes every nth slice, or averages blocks of pixels within slices."""

    def change(volume: Volume, number: int) -> Volume:
        axes = [a for a in range(3) if (a == volume.grid.slice_axis) == slices]
        steps = [factor if axis in axes else 1 for axis in range(3)]
        whole = tuple(
            slice(0, n // step * step) for n, step in zip(volume.data.shape, steps, strict=True)
        )
        data, affine = volume.data[whole], volume.grid.affine.copy()
        affine[:3, :3] *= steps
        if slices or number >= 2:  # labels have no mean
            data = data[tuple(slice(None, None, step) for step in steps)]
        else:
            blocks = [part for n, s in zip(data.shape, steps, strict=True) for part in (n // s, s)]
            data = data.reshape(blocks).mean((1, 3, 5)).astype(np.float32)
        return Volume(np.asfortranarray(data), Grid(data.shape, affine))

    return change


MORE: dict[str, Change] = {
    "larger by 20 %": scaled(1.2),
    "smaller by 20 %": scaled(0.8),
    "field cut by 20 %": cut(0.2, 0),
    "every second slice": thinned(2, slices=True),
    "half the pixels": thinned(2, slices=False),
    "shaded by 40 %": shading(0.4, 3, alike=True),
}
OF_PAIRS = ("as it is", "each shaded by 12 %", "T1 a pixel off")
CHANGES = {name: way for name, way in {**WAYS, **MORE}.items() if name not in OF_PAIRS}


def series_of(folder: Path, site: str) -> Iterator[tuple[str, Volume, Site]]:
    for one in open_study(folder).series:
        if one.role in (Role.T1, Role.T2FS) and not one.refusal and len(one.files) > LEAST_SLICES:
            name = f"{folder.name.split('_')[0]} {one.number} {one.description}"
            yield name, load_series(one), load_site(site)


def scans(real: Path) -> Iterator[tuple[str, Volume, Site]]:
    """Yield each series' name, image and site."""
    yield from series_of(real / "knee_dicom", "knee")
    yield from series_of(real / "spine_dicom", "lumbar")
    for path in sorted((real / "lumbar_nifti").glob("*.nii.gz")):
        if "vertebrae" not in path.name:
            yield path.name.split(".")[0], load(path), load_site("lumbar")
    for case in sorted((real / "sij_nifti").iterdir()):
        for name in ("stir", "t1"):
            yield f"{case.name} {name}", load(case / f"{name}.nii.gz"), load_site("sacroiliac")


def bones_of(volume: Volume, site: Site) -> Volume:
    return bone_model(Pair(volume, None, SequenceClass.STIR), site)


def line(volume: Volume, bones: Volume, change: Change, site: Site) -> str:
    """Return the mean Dice and that of the worst bone, or the refusal."""
    try:
        found = bones_of(change(volume, 0), site)
    except BmepipeError as refusal:
        return f"refused: {refusal}"
    known = change(bones, 2)
    scores = {}
    for bone in site.bones:
        one, other = found.data == bone.label, known.data == bone.label
        if max(one.sum(), other.sum()) * known.grid.voxel_ml > LEAST_ML:
            scores[bone.name] = dice(one, other) or 0.0
    worst = min(scores, key=lambda name: scores[name])
    return f"{np.mean(list(scores.values())):.2f} | {worst} {scores[worst]:.2f}"


def arguments_of(doc: str | None, ways: Iterable[str]) -> argparse.Namespace | None:
    """Return the arguments of a script on changed scans; None and a line where there are none."""
    parser = argparse.ArgumentParser(description=doc)
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--cases", default="", help="beginnings of names; all where empty")
    parser.add_argument("--ways", default=",".join(ways))
    arguments = parser.parse_args()
    if not (arguments.shared / "real").is_dir():
        print(f"no scans at {arguments.shared / 'real'}: nothing to do")
        return None
    return arguments


def main() -> None:
    arguments = arguments_of(__doc__, CHANGES)
    if arguments is None:
        return
    wanted = tuple(arguments.cases.split(","))
    print("| scan | change | mean Dice | worst bone |\n|---|---|---|---|")
    for name, volume, site in scans(arguments.shared / "real"):
        if not name.startswith(wanted):
            continue
        bones = bones_of(volume, site)
        for way in arguments.ways.split(","):
            print(f"| {name} | {way} | {line(volume, bones, CHANGES[way], site)} |", flush=True)


if __name__ == "__main__":
    main()
