"""Tables, JSON, layouts and the sheet: what they say, and that one failing writer stays alone."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from bmepipe.errors import UnknownChoice, WriterFailed
from bmepipe.pipeline import RunSettings, write
from bmepipe.provenance import Stopwatch
from bmepipe.result import EdemaResult
from bmepipe.volume import Grid
from bmepipe.writers import WRITERS, document, overlay, report, summary, table, write_all
from bmepipe.writers.display import View, fat_suppressed_window

Run = tuple[EdemaResult, Path]


def without_edema(result: EdemaResult) -> EdemaResult:
    nothing = np.zeros(result.edema.grid.shape, bool)
    rows = tuple(replace(row, edema_ml=0.0, lesion_count=0) for row in result.measurements)
    return replace(
        result, edema=result.edema.with_data(nothing), lesions=(), measurements=rows, rejected=()
    )


def unmeasured(result: EdemaResult) -> EdemaResult:
    """The first bone could not be judged."""
    first, *others = result.measurements
    unknown = dict.fromkeys(
        ("edema_ml", "edema_ml_low", "edema_ml_high", "edema_percent", "lesion_count")
    )
    row = replace(first, **unknown, note="nothing of the bone can be judged")
    return replace(result, measurements=(row, *others))


def test_result_json_keeps_its_published_form(knee_run: Run) -> None:
    checker = jsonschema.Draft202012Validator(document.schema())
    jsonschema.Draft202012Validator.check_schema(document.schema())
    checker.validate(json.loads((knee_run[1] / "result.json").read_text(encoding="utf-8")))
    checker.validate(document.document(unmeasured(knee_run[0])))
    broken = document.document(knee_run[0])
    broken["measurements"][0]["edema_ml"] = "much"
    assert not checker.is_valid(broken)


def test_what_was_not_measured_is_an_empty_cell_and_null(knee_run: Run, tmp_path: Path) -> None:
    result = unmeasured(knee_run[0])
    table.write(result, tmp_path)
    with (tmp_path / "measurements.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert row["edema_ml"] == row["lesion_count"] == ""
    assert row["note"] == "nothing of the bone can be judged"
    assert document.document(result)["measurements"][0]["edema_ml"] is None
    assert "not measured in femur" in summary.verdict(result)


def test_tables_agree_with_the_masks(knee_run: Run) -> None:
    result, out = knee_run
    edema = np.asarray(nib.load(out / "edema_mask.nii.gz").dataobj)
    bones = np.asarray(nib.load(out / "bones.nii.gz").dataobj)
    lesions = np.asarray(nib.load(out / "lesions.nii.gz").dataobj)
    voxel_ml = result.edema.grid.voxel_ml
    with (out / "measurements.csv").open(encoding="utf-8") as file:
        for row, bone in zip(csv.DictReader(file), result.site.bones, strict=True):
            inside = (edema > 0) & (bones == bone.label)
            assert float(row["edema_ml"]) == pytest.approx(inside.sum() * voxel_ml, abs=1e-3)
    with (out / "lesions.csv").open(encoding="utf-8") as file:
        kept = [row for row in csv.DictReader(file) if not row["rejected_as"]]
    assert [int(row["number"]) for row in kept] == list(range(1, lesions.max() + 1))
    for row in kept:
        count = (lesions == int(row["number"])).sum()
        assert float(row["lesion_ml"]) == pytest.approx(count * voxel_ml, abs=1e-3)


def test_the_picture_of_a_lesions_slice_counts_one_higher(knee_run: Run) -> None:
    result, out = knee_run
    with (out / "lesions.csv").open(encoding="utf-8") as file:
        kept = [row for row in csv.DictReader(file) if not row["rejected_as"]]
    assert kept
    axis = result.pair.grid.slice_axis
    for row in kept:
        index = int(row["slice_index"])
        assert (out / "overlays" / f"slice_{index + 1:03d}.png").is_file()
        shown = np.take(result.lesion_map.data, index, axis)
        assert (shown == int(row["number"])).any()


def test_the_report_says_how_long_each_stage_took_or_nothing(knee_run: Run) -> None:
    result, out = knee_run
    page = (out / "report.html").read_text(encoding="utf-8")
    times = page.partition("<summary>Times</summary><p>")[2].partition("</p>")[0]
    for stage in ("scan", "bones", "measure"):
        assert f"{stage} {result.provenance.stage_seconds[stage]:.1f} s" in times
    untimed = replace(result, provenance=replace(result.provenance, stage_seconds={}))
    assert "Times" not in report.origin(untimed)


@pytest.mark.parametrize("name", ["overlay.png", "overlays"])
def test_pictures_are_there_and_are_not_blank(knee_run: Run, name: str) -> None:
    path = knee_run[1] / name
    pictures = sorted(path.iterdir()) if path.is_dir() else [path]
    with_edema = knee_run[0].edema.data.any(axis=(0, 1)).sum()
    assert len(pictures) == (with_edema if path.is_dir() else 1)
    for picture in pictures:
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert pixels.std() > 10


def test_a_healthy_sheet_says_so_and_shows_slices(knee_run: Run, tmp_path: Path) -> None:
    healthy = without_edema(knee_run[0])
    assert summary.verdict(healthy) == "No edema found"
    paths = overlay.write(healthy, tmp_path)
    assert [path.name for path in paths] == ["overlay.png"]
    assert np.asarray(Image.open(paths[0]).convert("L")).std() > 10


@pytest.mark.parametrize(
    ("columns", "rows", "letters"),
    [
        # DICOM's directions in RAS: along a row, along a column; letters left, right, top, bottom.
        ((0, -1, 0), (0, 0, -1), ("A", "P", "H", "F")),  # sagittal
        ((-1, 0, 0), (0, 0, -1), ("R", "L", "H", "F")),  # coronal
        ((-1, 0, 0), (0, -1, 0), ("R", "L", "A", "P")),  # axial
    ],
)
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_the_screen_is_radiological_however_voxels_are_stored(
    columns: tuple, rows: tuple, letters: tuple, flip: tuple
) -> None:
    affine = np.eye(4)
    across = np.cross(columns, rows)
    for axis, direction in enumerate((columns, rows, across)):
        affine[:3, axis] = np.array(direction) * (0.5, 0.7, 3.3)[axis] * flip[axis]
    grid = Grid((9, 7, 5), affine)
    view = View.of(grid)
    assert view.letters == letters
    # What lies farthest towards the letter on the left is drawn in the first column.
    world = {"A": (1, 1), "R": (0, 1)}[letters[0]]
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    along = grid.to_world(index)[:, world[0]].reshape(grid.shape)
    screen = view.slices(along)
    assert screen[:, :, 0].mean() == pytest.approx(along.max())


@pytest.mark.parametrize("turn_deg", [0, 15, 30, 60])
def test_letters_of_oblique_slices_follow_the_affine(turn_deg: float) -> None:
    # A coronal stack leaned forward about the left-right axis, as along the sacrum.
    angle = np.deg2rad(turn_deg)
    down = np.array([0.0, np.sin(angle), -np.cos(angle)])
    across = np.cross((-1.0, 0.0, 0.0), down)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([(-0.6, 0.0, 0.0), 0.6 * down, 3.3 * across], axis=1)
    view = View.of(Grid((9, 7, 5), affine))
    wanted = {0: "HF", 15: "HF", 30: ("HP", "FA"), 60: ("AF", "PH")}[turn_deg]
    assert view.letters[:2] == ("R", "L")
    assert view.letters[2:] == tuple(wanted)


def test_white_leaves_normal_marrow_to_be_seen(knee_run: Run) -> None:
    result = knee_run[0]
    t2fs = result.pair.t2fs
    data = t2fs.data.copy()
    data[:2] = data.max() * 40  # fluid that would leave all else black
    drowned = replace(result, pair=replace(result.pair, t2fs=t2fs.with_data(data)))
    marrow = data[(result.bones.data > 0) & ~result.edema.data]
    low, high = fat_suppressed_window(drowned)
    assert high < np.percentile(data, 99.4)
    assert (np.median(marrow) - low) / (high - low) > 0.1


def test_a_sheet_of_one_slice_shows_its_neighbours(knee_run: Run) -> None:
    assert overlay.with_neighbours([4], 3, 9) == [3, 4, 5]
    assert overlay.with_neighbours([8, 2], 2, 9) == [2, 8]


def test_a_disagreement_is_in_the_viewer_and_its_absence_is_told(knee_run: Run) -> None:
    alone = replace(knee_run[0], disagreement=None)
    assert '<input id="disagreement" type="checkbox" disabled>' in report.page(alone)
    assert "(one detector only)" in report.page(alone)
    both = replace(alone, disagreement=alone.edema)
    page = report.page(both)
    assert '<input id="disagreement" type="checkbox">' in page
    assert "(one detector only)" not in page


def test_whose_bones_they_are_is_told_beside_the_edema_model(knee_run: Run) -> None:
    given = knee_run[0]
    assert "no bone model: the bones were given" in report.page(given)
    assert summary.origin_lines(given)[1].endswith("; bones as given")
    models = {"bones_knee": "0" * 64, **given.provenance.models}
    found = replace(given, provenance=replace(given.provenance, models=models))
    assert "the bones were given" not in report.page(found)
    assert summary.origin_lines(found)[1].startswith("models bones_knee 000000000000, edema ")


def test_text_of_a_file_is_shown_as_text(knee_run: Run) -> None:
    result = knee_run[0]
    assert result.pair.t2fs_series is not None
    harm = replace(result.pair.t2fs_series, description="<script>alert(1)</script>")
    harmed = replace(result, pair=replace(result.pair, t2fs_series=harm), notes=("<img src=x>",))
    page = report.page(harmed)
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<img src=x>" not in page


def test_bids_names(knee_run: Run, tmp_path: Path) -> None:
    write_all(knee_run[0], tmp_path, ["masks", "tables"], "bids")
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert "sub-case1/anat/sub-case1_desc-edema_mask.nii.gz" in names
    assert "dataset_description.json" in names
    lines = (tmp_path / "sub-case1/anat/sub-case1_desc-bones_measurements.tsv").read_text()
    assert lines.splitlines()[0].split("\t")[:3] == ["case", "site", "bone"]


def test_a_failing_writer_names_itself_and_the_others_write(
    knee_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "measurements.csv").mkdir()  # nothing can be moved onto a folder
    (tmp_path / "measurements.csv" / "x").write_text("")
    with pytest.raises(WriterFailed, match="tables failed"):
        write_all(knee_run[0], tmp_path, ["tables", "json"])
    assert (tmp_path / "result.json").is_file()
    assert not list(tmp_path.glob(".tables*"))


def test_of_a_failure_the_outputs_that_exist_are_told(knee_run: Run, tmp_path: Path) -> None:
    result = replace(knee_run[0], pair=replace(knee_run[0].pair, t2fs_series=None))
    settings = RunSettings(writers=("tables", "masks", "sr", "json"))
    for name in ("lesions.csv", "measurements.csv"):
        (tmp_path / name / "x").mkdir(parents=True)
    with pytest.raises(WriterFailed) as failure:
        write(result, tmp_path, settings, Stopwatch(lambda stage: None))
    told = str(failure.value)
    assert told.startswith("expected outputs of masks, sr, json, tables; got tables failed")
    assert told.endswith("; the outputs of masks, json are there")  # of sr only for DICOM
    (tmp_path / "result.json").unlink()
    (tmp_path / "result.json" / "x").mkdir(parents=True)
    settings = RunSettings(writers=("tables", "sr", "json"))
    with pytest.raises(
        WriterFailed, match=r"tables failed .*; json failed .*; no other output was"
    ):
        write(result, tmp_path, settings, Stopwatch(lambda stage: None))


def test_unknown_writers_and_layouts_list_the_known_ones(knee_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UnknownChoice, match="overlay"):
        write_all(knee_run[0], tmp_path, ["fax"])
    with pytest.raises(UnknownChoice, match="bids"):
        write_all(knee_run[0], tmp_path, ["json"], "tree")
    assert set(WRITERS) == {"masks", "tables", "overlay", "report", "seg", "sr", "json"}
