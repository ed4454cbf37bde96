from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bmepipe.analysis.agreement import (
    consensus,
    lesion_agreement,
    readers_among_themselves,
    surface_distances_mm,
    volume_agreement,
    voxel_agreement,
)
from bmepipe.errors import GridMismatch, ImplausibleImage, StudyNotFound
from bmepipe.evaluate import evaluate_case, evaluate_files
from bmepipe.readings import predicted_masks, readings_of
from bmepipe.volume import Grid, Volume

AFFINE = np.array([[0, 0, 3.0, 5], [-0.5, 0, 0, 7], [0, 2.0, 0, -4], [0, 0, 0, 1]])


def grid_of(shape) -> Grid:
    return Grid(shape, AFFINE)


def block(shape, *boxes) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[tuple(slice(*pair) for pair in box)] = True
    return mask


def save(mask: np.ndarray, file: Path, affine=AFFINE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), file)


def test_overlap_worked_by_hand():
    shape = (10, 4, 3)
    truth = block(shape, ((0, 4), (0, 4), (0, 1)))  # 16 voxels
    drawn = block(shape, ((2, 6), (0, 4), (0, 1)))  # 16 voxels, 8 shared
    found = voxel_agreement(drawn, truth, grid_of(shape))
    assert (found.dice, found.precision, found.recall) == (0.5, 0.5, 0.5)
    assert found.truth_ml == pytest.approx(16 * 0.5 * 2 * 3 / 1000)


def test_surface_distances_are_millimetres_along_each_axis():
    shape = (9, 9, 9)
    one, other = (block(shape, ((4, 5), (4, 5), (k, k + 1))) for k in (2, 4))
    assert surface_distances_mm(one, other, grid_of(shape)).tolist() == [6.0, 6.0]
    nothing = np.zeros(shape, bool)
    assert len(surface_distances_mm(one, nothing, grid_of(shape))) == 0


def test_empty_masks_have_no_dice():
    nothing = np.zeros((3, 3, 3), bool)
    found = voxel_agreement(nothing, nothing, grid_of((3, 3, 3)))
    assert (found.dice, found.precision, found.recall, found.surface_mean_mm) == (None,) * 4
    assert found.truth_ml == 0


def test_lesions_are_counted_one_by_one_and_by_size():
    shape = (40, 20, 8)  # a voxel is 3 mm3
    truth = block(
        shape, ((0, 5), (0, 2), (0, 1)), ((10, 30), (0, 10), (0, 2)), ((38, 39), (0, 2), (7, 8))
    )
    drawn = block(shape, ((4, 6), (0, 5), (0, 1)), ((0, 10), (15, 18), (5, 6)))
    found = lesion_agreement(drawn, truth, grid_of(shape))
    assert (found.truth, found.found, found.predicted, found.false) == (2, 1, 2, 1)
    assert found.by_size == {"20-100 mm3": (1, 1), "100-1000 mm3": (0, 0), "over 1000 mm3": (0, 1)}


def test_one_large_case_does_not_carry_the_concordance():
    truth = [0.1, 0.5, 1.0, 100.0]
    drawn = [1.0, 0.05, 0.1, 101.0]
    found = volume_agreement(drawn, truth)
    assert np.corrcoef(drawn, truth)[0, 1] > 0.99
    assert found.log_ccc < 0.9
    gap = np.subtract(drawn, truth)
    assert found.bias_ml == pytest.approx(gap.mean(), abs=1e-5)
    assert found.high_ml - found.bias_ml == pytest.approx(1.96 * gap.std(ddof=1), abs=1e-5)


def test_consensus_needs_more_than_half():
    readings = [np.array(v, bool) for v in ([1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0])]
    assert consensus(readings).tolist() == [True, False, False]
    assert readers_among_themselves(readings[2:]) == 1.0
    assert readers_among_themselves(readings[:1]) is None


def test_a_reading_stored_with_turned_axes_is_compared_in_place():
    mask = block((6, 5, 4), ((1, 4), (2, 4), (0, 2)))
    turned = AFFINE.copy()
    turned[:, 3] += AFFINE[:, 0] * 5
    turned[:, 0] *= -1
    flipped = Volume(mask[::-1], Grid((6, 5, 4), turned))
    case = evaluate_case("a", Volume(mask, grid_of((6, 5, 4))), [flipped])
    assert case.voxels.dice == 1.0


def test_another_grid_is_refused():
    mask = block((6, 5, 4), ((1, 4), (2, 4), (0, 2)))
    other = Volume(mask, Grid((6, 5, 4), np.diag([1.0, 1, 1, 1])))
    with pytest.raises(GridMismatch, match="truth"):
        evaluate_case("a", Volume(mask, grid_of((6, 5, 4))), [other])


def test_folders_are_matched_by_name_and_reported(tmp_path):
    shape = (20, 10, 6)
    truth = block(shape, ((2, 12), (1, 8), (1, 4)))
    for case in ("one", "two"):
        save(truth, tmp_path / "out" / case / "edema_mask.nii.gz")
        for reader in (1, 2, 3):
            save(truth, tmp_path / "truth" / case / f"edema_reader{reader}.nii.gz")
    save(np.zeros(shape), tmp_path / "out" / "two" / "edema_mask.nii.gz")
    text = evaluate_files(tmp_path / "out", [tmp_path / "truth"], tmp_path / "report")
    assert "mean Dice 0.50, readers 1.00" in text
    report = json.loads((tmp_path / "report" / "agreement.json").read_text())
    assert report["mean_dice"] == 0.5
    assert [case["readings"] for case in report["cases"]] == [3, 3]
    assert report["lesions_found"]["100-1000 mm3"]["found"] == 1
    with (tmp_path / "report" / "agreement.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["found"]) for row in rows] == [("one", "1"), ("two", "0")]
    assert (tmp_path / "report" / "agreement.png").stat().st_size > 1000


def test_one_mask_against_a_phantom_s_truth_folder(tmp_path):
    mask = block((6, 5, 4), ((1, 4), (2, 4), (0, 2)))
    save(mask, tmp_path / "run" / "edema_mask.nii.gz")
    save(mask, tmp_path / "phantom" / "truth" / "edema_mask.nii.gz")
    assert "1.00" in evaluate_files(tmp_path / "run", [tmp_path / "phantom"])


def test_missing_predictions_and_truth_are_refused_by_name(tmp_path):
    with pytest.raises(StudyNotFound, match="predicted masks"):
        evaluate_files(tmp_path, [tmp_path])
    save(np.ones((3, 3, 3)), tmp_path / "x.nii.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyNotFound, match="truth of x"):
        evaluate_files(tmp_path / "x.nii.gz", [tmp_path / "empty"])


BOX = block((6, 5, 4), ((1, 4), (2, 4), (0, 2)))


def test_a_batch_in_bids_derivatives_is_read(tmp_path):
    for case in ("p_1", "p_2"):
        subject = f"sub-{case.replace('_', '')}"
        anat = tmp_path / "out" / case / subject / "anat"
        save(BOX, anat / f"{subject}_desc-edema_mask.nii.gz")
        save(np.ones(BOX.shape), anat / f"{subject}_desc-disagreement_mask.nii.gz")
        save(BOX, tmp_path / "truth" / f"{case}.nii.gz")
    (tmp_path / "out" / "records").mkdir()
    text = evaluate_files(tmp_path / "out", [tmp_path / "truth"])
    assert [line.split()[:2] for line in text.splitlines()[1:3]] == [
        ["p_1", "1.00"],
        ["p_2", "1.00"],
    ]
    again = evaluate_files(tmp_path / "out", [tmp_path / "out"])  # another batch as the truth
    assert "mean Dice 1.00" in again
    one = evaluate_files(tmp_path / "out" / "p_1", [tmp_path / "truth"])
    assert one.splitlines()[1].split()[0] == "p_1"


def test_a_merged_data_set_of_derivatives_is_read_by_subject(tmp_path):
    for subject in ("sub-1", "sub-2"):
        save(BOX, tmp_path / "out" / subject / "anat" / f"{subject}_desc-edema_mask.nii.gz")
    assert [name for name, _ in predicted_masks(tmp_path / "out")] == ["sub-1", "sub-2"]


def test_cases_without_a_truth_are_left_out_and_listed(tmp_path):
    for case in ("a", "b", "c"):
        save(BOX, tmp_path / "out" / case / "edema_mask.nii.gz")
    save(BOX, tmp_path / "truth" / "b.nii.gz")
    save(BOX, tmp_path / "truth" / "edema_other.nii.gz")  # of no case: not of every case
    text = evaluate_files(tmp_path / "out", [tmp_path / "truth"], tmp_path / "report")
    assert text.splitlines()[-1] == "without a truth, left out: a, c"
    report = json.loads((tmp_path / "report" / "agreement.json").read_text())
    assert report["without_truth"] == ["a", "c"]
    assert [case["case"] for case in report["cases"]] == ["b"]
    with pytest.raises(StudyNotFound, match="truth of a, b, c"):
        evaluate_files(tmp_path / "out", [tmp_path / "truth" / "edema_other.nii.gz"])


def test_a_result_as_the_truth_is_one_reading(tmp_path):
    for name in ("edema_mask", "edema_disagreement", "edema_probability"):
        save(BOX, tmp_path / "out" / "a" / f"{name}.nii.gz")
    assert readings_of("a", [tmp_path / "out"]) == [tmp_path / "out" / "a" / "edema_mask.nii.gz"]


def test_a_refusal_names_the_case(tmp_path):
    for case in ("a", "b"):
        save(BOX, tmp_path / "out" / case / "edema_mask.nii.gz")
        save(BOX, tmp_path / "truth" / f"{case}.nii.gz")
    save(BOX, tmp_path / "truth" / "b.nii.gz", np.diag([1.0, 1, 1, 1]))
    with pytest.raises(GridMismatch, match="got of the case b, truth"):
        evaluate_files(tmp_path / "out", [tmp_path / "truth"])
    bones = BOX * np.arange(6)[:, None, None]
    save(bones, tmp_path / "truth" / "b.nii.gz")
    with pytest.raises(ImplausibleImage, match=r"case b, b\.nii\.gz with the values 1, 2, 3"):
        evaluate_files(tmp_path / "out", [tmp_path / "truth"])
