"""Predictions against truth: ``bmepipe evaluate``, its files and its report.

No maintained metrics library fits: panoptica holds numpy below 2.3, and MetricsReloaded is not
published as a package; the measures are in `analysis.agreement`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.agreement import (
    LEAST_LESION_MM3,
    SIZES_MM3,
    LesionAgreement,
    VolumeAgreement,
    VoxelAgreement,
    consensus,
    dice,
    lesion_agreement,
    readers_among_themselves,
    volume_agreement,
    voxel_agreement,
    wilson_interval,
)
from bmepipe.analysis.labels import reorder
from bmepipe.errors import BmepipeError, ImplausibleImage, StudyNotFound
from bmepipe.folder import whole_or_not_at_all
from bmepipe.io.nifti import load_labels
from bmepipe.readings import predicted_masks, readings_of
from bmepipe.volume import Volume, require_same_grid


@dataclass(frozen=True)
class CaseAgreement:
    """One case: against the consensus of the readings, each reading, and these among themselves."""

    case: str
    readings: int
    voxels: VoxelAgreement
    lesions: LesionAgreement
    dice_per_reading: tuple[float | None, ...]
    readers_dice: float | None


@dataclass(frozen=True)
class Evaluation:
    """All cases and what they say together."""

    cases: tuple[CaseAgreement, ...]
    volumes: VolumeAgreement
    skipped: tuple[str, ...] = ()  # predicted, without a truth

    @property
    def mean_dice(self) -> float | None:
        """Mean Dice over the cases in which it is defined."""
        return _mean([case.voxels.dice for case in self.cases])

    @property
    def readers_dice(self) -> float | None:
        """Mean over the cases of the Dice of the readings among themselves."""
        return _mean([case.readers_dice for case in self.cases])


def evaluate_case(case: str, prediction: Volume, readings: Sequence[Volume]) -> CaseAgreement:
    """Compare one predicted mask with one or more readings of the same image.

    Parameters
    ----------
    case : str
    prediction : Volume of bool or labels
        Anything above 0 is edema.
    readings : sequence of Volume
        On the grid of the prediction, in whatever order and direction their axes are stored.

    Raises
    ------
    GridMismatch
        If a reading is on another grid.
    """
    drawn = prediction.data > 0
    masks: list[NDArray[np.bool_]] = []
    for reading in readings:
        turned = reorder(reading, prediction.grid)
        require_same_grid(prediction, turned, ("prediction", "truth"))
        masks.append(turned.data > 0)
    truth = consensus(masks)
    return CaseAgreement(
        case=case,
        readings=len(masks),
        voxels=voxel_agreement(drawn, truth, prediction.grid),
        lesions=lesion_agreement(drawn, truth, prediction.grid),
        dice_per_reading=tuple(dice(drawn, mask) for mask in masks),
        readers_dice=readers_among_themselves(masks),
    )


def evaluate_cases(cases: Sequence[CaseAgreement]) -> Evaluation:
    """Return the cases with the agreement of their volumes."""
    drawn = [case.voxels.prediction_ml for case in cases]
    real = [case.voxels.truth_ml for case in cases]
    return Evaluation(tuple(cases), volume_agreement(drawn, real))


def evaluate_files(predictions: Path, truth: Sequence[Path], out: Path | None = None) -> str:
    """Compare files, write ``agreement.json``, ``.csv`` and ``.png`` to `out`, return a summary.

    Parameters
    ----------
    predictions : Path
        A mask; a result folder; or a folder of result folders or masks, one per case.
    truth : sequence of Path
        A mask or folder for each reader. A folder may hold the cases by name, and several readings
        as ``edema*.nii.gz`` in one case's folder. A case without any is left out and listed.
    out : Path, optional

    Raises
    ------
    StudyNotFound
        If there is no prediction, or no truth of any.
    GridMismatch, ImplausibleImage
        If a reading lies on another grid, or a file is no mask; the case is named.
    OutputExists
        If `out` holds something else than an earlier report or cannot be written.
    """
    with nullcontext() if out is None else whole_or_not_at_all(out) as folder:
        masks = predicted_masks(predictions)
        readings = {name: readings_of(name, truth, alone=len(masks) == 1) for name, _ in masks}
        if not any(readings.values()):
            named = ", ".join(str(path) for path in truth)
            raise StudyNotFound(
                f"truth of {_listed(list(readings))} (CASE.nii.gz, or edema*.nii.gz in CASE)",
                f"none in {named}",
                "check the names",
            )
        cases = [_compared(name, mask, readings[name]) for name, mask in masks if readings[name]]
        skipped = [name for name, files in readings.items() if not files]
        evaluation = replace(evaluate_cases(cases), skipped=tuple(skipped))
        if folder is not None:
            write_report(evaluation, folder)
    return summary(evaluation)


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _compared(case: str, mask: Path, readings: Sequence[Path]) -> CaseAgreement:
    """Compare the files of one case; what is refused says of which case."""
    try:
        drawn, *read = [_edema(file) for file in (mask, *readings)]
        return evaluate_case(case, drawn, read)
    except BmepipeError as refusal:
        came = f"of the case {case}, {refusal.came}"
        raise type(refusal)(refusal.expected, came, refusal.remedy) from refusal


def _edema(file: Path) -> Volume:
    """Return a mask of edema; a map of bones, all of which would be edema, is none."""
    mask = load_labels(file)
    values = [value for value in np.unique(mask.data).tolist() if value > 0]
    if len(values) > 1:
        told = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        raise ImplausibleImage(
            "a mask of edema, one value besides 0",
            f"{file.name} with the values {told}",
            "give the mask and not the bones; give numbered lesions one value",
        )
    return mask


def summary(evaluation: Evaluation) -> str:
    """Return the agreement as a table for a terminal."""
    lines = [
        f"{'case':<20} {'Dice':>5} {'readers':>7} {'found':>7} {'false':>5} {'mL':>8} {'true':>8}"
    ]
    for case in evaluation.cases:
        lesions = case.lesions
        lines.append(
            f"{case.case:<20} {_show(case.voxels.dice):>5} {_show(case.readers_dice):>7} "
            f"{f'{lesions.found}/{lesions.truth}':>7} {lesions.false:>5} "
            f"{case.voxels.prediction_ml:>8.2f} {case.voxels.truth_ml:>8.2f}"
        )
    volumes = evaluation.volumes
    lines.append(
        f"mean Dice {_show(evaluation.mean_dice)}, readers {_show(evaluation.readers_dice)}; "
        f"lesions from {LEAST_LESION_MM3:g} mm3; volume bias {_show(volumes.bias_ml)} mL "
        f"(limits {_show(volumes.low_ml)} to {_show(volumes.high_ml)}), "
        f"log-volume concordance {_show(volumes.log_ccc)}"
    )
    if evaluation.skipped:
        lines.append(f"without a truth, left out: {_listed(evaluation.skipped)}")
    return "\n".join(lines)


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the evaluation as JSON, a CSV with a row per case, and a figure."""
    together: dict[str, Any] = {
        "mean_dice": evaluation.mean_dice,
        "readers_dice": evaluation.readers_dice,
        "volumes": asdict(evaluation.volumes),
        "lesions_found": _found_by_size(evaluation),
        "false_per_case": _mean([float(case.lesions.false) for case in evaluation.cases]),
        "without_truth": list(evaluation.skipped),
        "cases": [asdict(case) for case in evaluation.cases],
    }
    report, table = folder / "agreement.json", folder / "agreement.csv"
    report.write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")
    rows = [
        {"case": case.case, "readings": case.readings, "readers_dice": case.readers_dice}
        | asdict(case.voxels)
        | {name: getattr(case.lesions, name) for name in ("truth", "found", "predicted", "false")}
        for case in evaluation.cases
    ]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [report, table, draw_figure(evaluation, folder / "agreement.png")]


def _found_by_size(evaluation: Evaluation) -> dict[str, Any]:
    """Return found, all, and the interval of the share for each class of size."""
    classes = {}
    for name in SIZES_MM3:
        found = sum(case.lesions.by_size[name][0] for case in evaluation.cases)
        total = sum(case.lesions.by_size[name][1] for case in evaluation.cases)
        classes[name] = {"found": found, "of": total, "share_95": wilson_interval(found, total)}
    return classes


def draw_figure(evaluation: Evaluation, file: Path) -> Path:
    """Draw Dice per case beside the readers', and Bland and Altman's plot of the volumes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [case.case for case in evaluation.cases]
    for marker, label, values in (
        ("o", "against the consensus", [case.voxels.dice for case in evaluation.cases]),
        ("_", "readers among themselves", [case.readers_dice for case in evaluation.cases]),
    ):
        known = [
            (name, value) for name, value in zip(names, values, strict=True) if value is not None
        ]
        left.plot([n for n, _ in known], [v for _, v in known], marker, ms=9, label=label)
    left.set(ylim=(0, 1), ylabel="Dice", title="Overlap")
    left.tick_params(axis="x", rotation=60, labelsize=7)
    left.legend(fontsize=8)
    drawn = np.array([case.voxels.prediction_ml for case in evaluation.cases])
    real = np.array([case.voxels.truth_ml for case in evaluation.cases])
    right.plot((drawn + real) / 2, drawn - real, "o")
    volumes = evaluation.volumes
    for level in (volumes.bias_ml, volumes.low_ml, volumes.high_ml):
        if level is not None:
            right.axhline(level, color="grey", lw=0.8, ls="--")
    right.set_xscale("symlog", linthresh=0.1)
    right.set(xlabel="mean volume, mL", ylabel="predicted minus true, mL", title="Volume")
    figure.savefig(file, dpi=110)
    return file


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
