"""Print how well bones are found, on phantoms of unseen seeds and on real scans where they are.

    python scripts/bones_table.py [--shared ../shared] [--seeds 1-3] [--sites knee,lumbar]

Phantoms: Dice per bone from each contrast alone. Real scans: agreement of contrasts with each other
(spine_dicom), with labelled bodies (lumbar_nifti) and with regions drawn by hand (sij_nifti).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from phantom_table import CLASSES, numbers

from bmepipe.analysis.agreement import dice
from bmepipe.analysis.align import align
from bmepipe.errors import BmepipeError
from bmepipe.io.nifti import load, load_labels
from bmepipe.phantom.study import make_phantom
from bmepipe.pipeline import RunSettings, Stopwatch, bone_model, choose, load_pair
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume


def found(volume: Volume, site: Site, t1: Volume | None = None) -> Volume | None:
    """Return the bones of one series, or of two; None and a line if refused."""
    try:
        return bone_model(Pair(volume, t1, CLASSES.get(site.name, SequenceClass.STIR)), site)
    except BmepipeError as refusal:
        print(f"    refused: {refusal}")
        return None


def line(one: Volume, other: Volume, site: Site) -> str:
    """Return Dice per bone of two label maps on one grid."""
    cells = []
    for bone in site.bones:
        value = dice(one.data == bone.label, other.data == bone.label)
        if value is not None:
            cells.append(f"{bone.name} {value:.3f}")
    return ", ".join(cells)


def phantoms(site: Site, seeds: list[int]) -> None:
    for seed in seeds:
        phantom = make_phantom(site.name, seed)
        t1, _ = align(phantom.t1, phantom.t2fs, same_frame=True)
        for name, series in (("T1", (t1,)), ("FS", (phantom.t2fs,)), ("both", (phantom.t2fs, t1))):
            bones = found(series[0], site, *series[1:])
            if bones is not None:
                print(f"  phantom {seed} {name}: {line(bones, phantom.bones, site)}", flush=True)


def real(shared: Path) -> None:
    lumbar, joints = load_site("lumbar"), load_site("sacroiliac")
    folder = shared / "real" / "spine_dicom"
    if lumbar.model and folder.is_dir():
        _, _, choice = choose(folder, RunSettings(site="lumbar"), Stopwatch(lambda stage: None))
        pair = load_pair(choice, Stopwatch(lambda stage: None))
        assert pair.t1 is not None
        one, other = found(pair.t2fs, lumbar), found(pair.t1, lumbar)
        if one and other:
            print(f"  spine_dicom STIR against T1: {line(one, other, lumbar)}", flush=True)
    folder = shared / "real" / "lumbar_nifti"
    for name in ("pair_t1", "pair_stir", "t2_02", "dixon_water_01", "dixon_water_02"):
        if lumbar.model and (folder / f"{name}.nii.gz").is_file():
            bones = found(load(folder / f"{name}.nii.gz"), lumbar)
            if bones:
                truth = load_labels(folder / f"{name}_vertebrae.nii.gz").data
                names = {bone.label: bone.name for bone in lumbar.bones if bone.name != "sacrum"}
                cells = []
                for label in np.unique(truth[truth > 0]):
                    best = max(names, key=lambda v: dice(bones.data == v, truth == label) or 0)
                    cells.append(f"{names[best]} {dice(bones.data == best, truth == label):.3f}")
                print(f"  {name}: {', '.join(cells)}", flush=True)
    for case in ("1003", "1013", "1234"):
        folder = shared / "real" / "sij_nifti" / case
        if joints.model and folder.is_dir():
            bones = found(load(folder / "stir.nii.gz"), joints, load(folder / "t1.nii.gz"))
            if bones:
                region = load_labels(folder / "bone_region.nii.gz").data > 0
                inside = np.count_nonzero((bones.data > 0) & region) / np.count_nonzero(region)
                print(f"  sij {case}: Dice {dice(bones.data > 0, region):.3f}, "
                      f"{inside:.0%} of the region found", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--sites", default=",".join(n for n in site_names() if load_site(n).model))
    arguments = parser.parse_args()
    for name in arguments.sites.split(","):
        if name:
            print(name)
            phantoms(load_site(name), numbers(arguments.seeds))
    print("real scans")
    real(arguments.shared)


if __name__ == "__main__":
    main()
