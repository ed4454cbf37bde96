"""How output files are named: plain names in one folder, or as BIDS derivatives.

BIDS names follow the Brain Imaging Data Structure 1.10, "Derived data: imaging data types"
(``_mask``, ``_dseg``, ``_probseg``); tables become tab-separated with ``n/a`` for what was not
measured.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from bmepipe import __version__
from bmepipe.errors import unknown_choice
from bmepipe.result import EdemaResult

Layout = Callable[[EdemaResult, Path, list[Path], Path], list[Path]]

BIDS_VERSION = "1.10.0"
_BIDS_ENDINGS = {
    "edema_mask.nii.gz": "desc-edema_mask.nii.gz",
    "edema_probability.nii.gz": "desc-edema_probseg.nii.gz",
    "edema_disagreement.nii.gz": "desc-disagreement_mask.nii.gz",
    "lesions.nii.gz": "desc-lesions_dseg.nii.gz",
    "bones.nii.gz": "desc-bones_dseg.nii.gz",
    "measurements.csv": "desc-bones_measurements.tsv",
    "lesions.csv": "desc-lesions_measurements.tsv",
    "overlay.png": "desc-edema_overlay.png",
    "result.json": "desc-edema_result.json",
    "edema_seg.dcm": "desc-edema_seg.dcm",
    "report_sr.dcm": "desc-edema_sr.dcm",
}


def choose_layout(name: str) -> Layout:
    """Return the layout called `name`; UnknownChoice lists the known ones."""
    if name not in LAYOUTS:
        raise unknown_choice("layout", name, LAYOUTS)
    return LAYOUTS[name]


def plain(result: EdemaResult, scratch: Path, paths: list[Path], folder: Path) -> list[Path]:
    """Move a writer's files from `scratch` to the same place under `folder`."""
    return [_move(path, folder / path.relative_to(scratch)) for path in paths]


def bids(result: EdemaResult, scratch: Path, paths: list[Path], folder: Path) -> list[Path]:
    """Move a writer's files to BIDS-derivative names under ``sub-CASE/``.

    The dataset's description and, beside the label maps, the tables of their values are added.
    """
    subject = bids_subject(result.case)
    home = folder / subject
    placed = [_write_json(folder / "dataset_description.json", _description())]
    for path in paths:
        name = path.relative_to(scratch).as_posix()
        if name.startswith("overlays/"):
            placed.append(_move(path, home / "figures" / f"{subject}_{_entity(path.stem)}.png"))
        elif name == "report.html":
            placed.append(_move(path, folder / f"{subject}.html"))
        elif name.endswith(".csv"):
            placed.append(_as_tsv(path, home / "anat" / f"{subject}_{_BIDS_ENDINGS[name]}"))
        else:
            placed.append(_move(path, home / "anat" / f"{subject}_{_BIDS_ENDINGS[name]}"))
        if name == "bones.nii.gz":
            placed.append(_bone_table(result, home / "anat" / f"{subject}_desc-bones_dseg.tsv"))
    return placed


LAYOUTS: dict[str, Layout] = {"plain": plain, "bids": bids}


def bids_subject(case: str) -> str:
    """Return the BIDS subject of a case: ``sub-`` and its letters and digits.

    >>> bids_subject("knee 007_b")
    'sub-knee007b'
    """
    return "sub-" + ("".join(c for c in case if c.isascii() and c.isalnum()) or "case")


def _entity(stem: str) -> str:
    return f"desc-{''.join(c for c in stem if c.isalnum())}_overlay"


def _move(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return path.replace(target)


def _as_tsv(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with path.open(encoding="utf-8", newline="") as source:
        rows = [[cell or "n/a" for cell in row] for row in csv.reader(source)]
    target.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return target


def _bone_table(result: EdemaResult, target: Path) -> Path:
    rows = ["index\tname\n", *(f"{bone.label}\t{bone.name}\n" for bone in result.site.bones)]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(rows), encoding="utf-8")
    return target


def _description() -> dict[str, object]:
    return {
        "Name": "bmepipe: bone marrow edema",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "bmepipe", "Version": __version__}],
    }


def _write_json(path: Path, content: dict[str, object]) -> Path:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
