"""Print how well bones are found, on phantoms of unseen seeds and on real scans where they are.

    python scripts/bones_table.py [--shared ../shared] [--seeds 1-3] [--sites knee,lumbar]
                                  [--matrix N] [--no-real]

Phantoms: Dice and 95th percentile of the surface distance per bone, from each contrast alone and
from both. Real scans: agreement of planes and contrasts with each other (knee_dicom, spine_dicom),
with labelled bodies (lumbar_nifti) and with regions drawn by hand (sij_nifti).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from phantom_table import CLASSES, numbers

from bmepipe.analysis.agreement import dice, surface_distances_mm
from bmepipe.analysis.align import align, resample
from bmepipe.analysis.vertebra import is_vertebra
from bmepipe.bones import bone_model
from bmepipe.errors import BmepipeError
from bmepipe.io.nifti import load, load_labels
from bmepipe.io.studies import load as load_series
from bmepipe.io.studies import open_study
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import make_phantom
from bmepipe.phantom.tissue_map import tissue_map
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Pair, Role, SequenceClass
from bmepipe.training.arches import canal_front
from bmepipe.volume import Volume

SPINES = ("lumbar", "sacroiliac")  # of vertebrae their bodies are judged, without arches
CANAL = ("csf", "cord")
MAP_MM, MAP_FIELD_MM = 1.0, 250.0


def found(volume: Volume, site: Site, t1: Volume | None = None) -> Volume | None:
    """Return the bones of one series, or of two; None and a line if refused."""
    try:
        return bone_model(Pair(volume, t1, CLASSES.get(site.name, SequenceClass.STIR)), site)
    except BmepipeError as refusal:
        print(f"    refused: {refusal}")
        return None


def line(one: Volume, other: Volume, site: Site, where: np.ndarray | None = None) -> str:
    """Return Dice per bone of two label maps on one grid, within `where`."""
    cells = []
    for bone in site.bones:
        first, second = (v.data == bone.label for v in (one, other))
        if where is not None:
            first, second = first & where, second & where
        value = dice(first, second)
        if value is not None:
            cells.append(f"{bone.name} {value:.3f}")
    return ", ".join(cells)


def bodies(bones: Volume, site: str, seed: int) -> Volume:
    """Return a phantom's bones, of vertebrae the bodies alone: what lies before the spinal canal.

    The networks were trained with this border between body and arch.
    """
    tissues, affine, names = tissue_map(site, seed, MAP_MM, MAP_FIELD_MM)
    front = canal_front(np.isin(tissues, [n for n, name in names.items() if name in CANAL]))
    index = np.indices(bones.grid.shape).reshape(3, -1)
    _, y_mm, z_mm = bones.grid.affine[:3, :3] @ index + bones.grid.affine[:3, 3:]
    height = (z_mm - affine[2, 3]) / MAP_MM
    front_mm = affine[1, 3] + MAP_MM * np.interp(height, np.arange(len(front)), front)
    behind = (y_mm < front_mm).reshape(bones.grid.shape)
    kinds = [b.label for b in load_site(site).bones if is_vertebra(b.name)]
    out = np.where(behind & np.isin(bones.data, kinds), 0, bones.data)
    return bones.with_data(out.astype(bones.data.dtype))


def surface_p95_mm(one: np.ndarray, other: np.ndarray, volume: Volume) -> float:
    """Return the 95th percentile of the distances between two surfaces, both ways."""
    return float(np.percentile(surface_distances_mm(one, other, volume.grid), 95))


def phantoms(site: Site, seeds: list[int], matrix: int | None) -> None:
    """Print a line per phantom and contrast, and the means per contrast."""
    protocol = site_protocol(site.name)
    if matrix is not None:
        protocol = coarse(protocol, max(1, round(protocol.matrix / matrix)))
    scores: dict[str, list[float]] = {}
    for seed in seeds:
        phantom = make_phantom(site.name, seed, protocol=protocol)
        t1, _ = align(phantom.t1, phantom.t2fs, same_frame=True)
        truth = phantom.bones
        if site.name in SPINES:
            truth = bodies(truth, site.name, seed)
        for name, series in (("T1", (t1,)), ("FS", (phantom.t2fs,)), ("both", (phantom.t2fs, t1))):
            bones = found(series[0], site, *series[1:])
            cells = []
            for bone in site.bones:
                there = truth.data == bone.label
                if np.count_nonzero(there) * truth.grid.voxel_ml < 0.3:
                    continue
                own = np.zeros_like(there) if bones is None else bones.data == bone.label
                value = dice(own, there) or 0.0
                far = surface_p95_mm(own, there, truth) if own.any() else float("nan")
                cells.append(f"{bone.name} {value:.3f}/{far:.1f}")
                scores.setdefault(name, []).append(value)
            print(f"  phantom {seed} {name}: {', '.join(cells)}", flush=True)
    for name, values in scores.items():
        print(f"  {site.name} {name}: mean Dice {np.mean(values):.3f} of {len(values)} bones")


def knee(folder: Path) -> None:
    """Print how the four series of the real knee agree in space, each on its own."""
    site = load_site("knee")
    study = open_study(folder)
    series = {s.description or s.uid: s for s in study.series if not s.refusal}
    bones: dict[str, Volume] = {}
    for name, one in series.items():
        if one.role in (Role.T1, Role.T2FS):
            labels = found(load_series(one), site)
            if labels is not None:
                bones[f"{one.number} {name}"] = labels
    names = list(bones)
    for n, first in enumerate(names):
        for second in names[n + 1 :]:
            moved = resample(bones[second], bones[first].grid)
            ones = bones[second].with_data(np.ones(bones[second].grid.shape, np.uint8))
            where = resample(ones, bones[first].grid).data > 0
            print(f"  knee {first} / {second}: {line(bones[first], moved, site, where)}")


def spine(folder: Path) -> None:
    """Print how T1 and STIR of the real spine agree."""
    site = load_site("lumbar")
    study = open_study(folder)
    volumes = {s.role: load_series(s) for s in study.series
               if s.role in (Role.T1, Role.T2FS) and len(s.files) > 8}  # fmt: skip
    one, other = (found(volumes[role], site) for role in (Role.T2FS, Role.T1))
    if one and other:
        print(f"  spine_dicom STIR against T1: {line(one, other, site)}", flush=True)


def labelled_bodies(folder: Path) -> None:
    """Print Dice of labelled vertebral bodies, each against the bone that holds most of it.

    And in the sagittal slices of its middle half, without the sides, where the labels and what can
    be seen in slices of 4 mm part. A labelled S1 is part of our sacrum: how much of it that holds.
    """
    site = load_site("lumbar")
    for name in ("pair_t1", "pair_stir", "t2_02", "dixon_water_01", "dixon_water_02"):
        bones = found(load(folder / f"{name}.nii.gz"), site)
        if bones:
            truth = load_labels(folder / f"{name}_vertebrae.nii.gz").data
            across = next(a for a in range(3) if bones.grid.orientation[a] in "LR")
            cells = []
            for label in np.unique(truth[truth > 0]):
                body = truth == label
                best = int(np.bincount(bones.data[body & (bones.data > 0)], minlength=1).argmax())
                bone = "nothing" if best == 0 else site.bone(best).name
                if bone == "sacrum":
                    held = np.count_nonzero(body & (bones.data == best)) / np.count_nonzero(body)
                    cells.append(f"sacrum holds {held:.0%} of S1")
                    continue
                both = bones.data == best, body
                middle = (np.take(one, middle_half(body, across), across) for one in both)
                cells.append(f"{bone} {dice(*both):.3f} ({dice(*middle):.3f})")
            print(f"  {name}: {', '.join(cells)}", flush=True)


def middle_half(body: np.ndarray, axis: int) -> np.ndarray:
    """Return the indices along an axis of the middle half of where a body is."""
    there = np.flatnonzero(body.any(tuple(a for a in range(3) if a != axis)))
    return there[len(there) // 4 : len(there) - len(there) // 4]


def joints(folder: Path) -> None:
    """Print Dice of the bones of sacroiliac joints against the regions drawn by hand."""
    site = load_site("sacroiliac")
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        bones = found(load(case / "stir.nii.gz"), site, load(case / "t1.nii.gz"))
        if bones:
            region = load_labels(case / "bone_region.nii.gz").data > 0
            own = bones.data > 0
            inside = np.count_nonzero(own & region) / np.count_nonzero(region)
            right = np.count_nonzero(own & region) / np.count_nonzero(own)
            print(f"  sij {case.name}: Dice {dice(own, region):.3f}, {inside:.0%} of the region "
                  f"found, {right:.0%} of what was found inside it", flush=True)  # fmt: skip


def real(shared: Path) -> None:
    """Print every line on the real scans that are there and have a model."""
    parts = (
        ("knee", "knee_dicom", knee),
        ("lumbar", "spine_dicom", spine),
        ("lumbar", "lumbar_nifti", labelled_bodies),
        ("sacroiliac", "sij_nifti", joints),
    )
    for site, folder, show in parts:
        if load_site(site).model and (shared / "real" / folder).is_dir():
            show(shared / "real" / folder)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--sites", default=",".join(n for n in site_names() if load_site(n).model))
    parser.add_argument("--matrix", type=int)
    parser.add_argument("--no-real", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.sites.split(","):
        if name:
            print(name)
            phantoms(load_site(name), numbers(arguments.seeds), arguments.matrix)
    if not arguments.no_real:
        print("real scans")
        real(arguments.shared)


if __name__ == "__main__":
    main()
