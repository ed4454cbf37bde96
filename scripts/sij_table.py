"""Print how the pure analysis agrees with readers on real sacroiliac scans, where these are there.

    python scripts/sij_table.py [FOLDER] [--ablation] [--bones region|network]

The contrast rule, in the region drawn by hand or in the bones that the network finds. FOLDER holds
a folder per case with t1, stir, bone_region and edema_reader*_trial* as NIfTI files.
It is local data, never part of the project; without it the script says so and stops.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from bmepipe.analysis import contrast, look_alikes, marrow
from bmepipe.analysis.contrast import detect
from bmepipe.analysis.labels import check_bones
from bmepipe.analysis.lesions import find_lesions
from bmepipe.analysis.quality import assess
from bmepipe.analysis.shading import Shading
from bmepipe.bones import bone_model
from bmepipe.evaluate import CaseAgreement, evaluate_case, evaluate_cases, summary
from bmepipe.io.nifti import load, load_labels
from bmepipe.site import Site, load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Volume

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "real" / "sij_nifti"


def case_folders(folder: Path) -> list[Path]:
    """Return the folders of the cases; none, and a line that says so, where there is no data."""
    if not folder.is_dir():
        print(f"no real scans at {folder}: nothing to measure")
    return sorted(file.parent for file in folder.glob("*/stir.nii.gz"))


def read_case(folder: Path, site: Site) -> tuple[Pair, Volume, list[Volume]]:
    t2fs, t1 = load(folder / "stir.nii.gz"), load(folder / "t1.nii.gz")
    pair = Pair(t2fs, t1, SequenceClass.STIR)
    bones = check_bones(load_labels(folder / "bone_region.nii.gz"), pair.grid, site)
    readings = [load_labels(file) for file in sorted(folder.glob("edema_reader*.nii.gz"))]
    return pair, bones, readings


def predict(pair: Pair, bones: Volume, site: Site) -> Volume:
    assessable, _ = assess(pair, bones, site)
    return find_lesions(detect(pair, bones, site), pair, bones, assessable, site).edema


def table(cases: list[tuple[str, Pair, Volume, list[Volume]]], site: Site) -> list[CaseAgreement]:
    return [
        evaluate_case(name, predict(pair, bones, site), readings)
        for name, pair, bones, readings in cases
    ]


def without_t1(cases: list, site: Site) -> list[CaseAgreement]:
    return table([(n, replace(pair, t1=None), bones, r) for n, pair, bones, r in cases], site)


def without_look_alikes(cases: list, site: Site) -> list[CaseAgreement]:
    kept, look_alikes.LOOK_ALIKES = look_alikes.LOOK_ALIKES, {}
    rows = table(cases, replace(site, joint_reach_mm=None))
    look_alikes.LOOK_ALIKES = kept
    return rows


def without_joint(cases: list, site: Site) -> list[CaseAgreement]:
    return table(cases, replace(site, joint_reach_mm=None))


def without_t1_evidence(cases: list, site: Site) -> list[CaseAgreement]:
    kept, contrast.T1_WEIGHT = contrast.T1_WEIGHT, 0.0
    rows = table(cases, site)
    contrast.T1_WEIGHT = kept
    return rows


def without_shading(cases: list, site: Site) -> list[CaseAgreement]:
    kept = marrow.fit_shading
    marrow.fit_shading = lambda signal, bones, usable: Shading(
        bones.grid, np.zeros(3), np.ones(3), np.zeros(9)
    )
    rows = table(cases, site)
    marrow.fit_shading = kept
    return rows


ABLATIONS = {
    "all": table,
    "no T1 at all": without_t1,
    "no T1 in the evidence": without_t1_evidence,
    "no joint rule": without_joint,
    "no look-alike removed": without_look_alikes,
    "no shading correction": without_shading,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--bones", choices=["region", "network"], default="region")
    arguments = parser.parse_args()
    folders = case_folders(arguments.folder)
    if not folders:
        return
    site = load_site("sacroiliac")
    cases = [(folder.name, *read_case(folder, site)) for folder in folders]
    if arguments.bones == "network":
        cases = [(name, pair, bone_model(pair, site), read) for name, pair, _, read in cases]
    for name, run in ABLATIONS.items() if arguments.ablation else [("all", table)]:
        start = time.perf_counter()
        evaluation = evaluate_cases(run(cases, site))
        print(f"\n{name} ({(time.perf_counter() - start) / len(cases):.1f} s a case)")
        print(summary(evaluation))


if __name__ == "__main__":
    main()
