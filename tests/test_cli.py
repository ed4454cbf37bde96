"""The command line on real files: a whole study, and every refusal in one line with exit code 1."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

from bmepipe.cli import main
from bmepipe.folder import holds_result, whole_or_not_at_all
from bmepipe.pipeline import require_writers
from bmepipe.settings import read_config

FIXED_NAMES = {
    "edema_mask.nii.gz",
    "edema_probability.nii.gz",
    "edema_disagreement.nii.gz",
    "lesions.nii.gz",
    "bones.nii.gz",
    "measurements.csv",
    "lesions.csv",
    "result.json",
    "overlay.png",
    "overlays",
    "report.html",
    "edema_seg.dcm",
    "report_sr.dcm",
}
COLUMNS = (
    "case,site,bone,bone_ml,edema_ml,edema_ml_low,edema_ml_high,edema_percent,"
    "assessable_percent,lesion_count,largest_lesion_ml,t1_ratio,t2fs_ratio,note"
)


@pytest.fixture(scope="module")
def done(small_knee: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a run on a small knee phantom with nothing but the study and -o."""
    out = tmp_path_factory.mktemp("cli") / "case1"
    assert main(["run", str(small_knee / "study"), "-o", str(out)]) == 0
    return out


@pytest.fixture
def study(small_knee: Path, tmp_path: Path) -> Path:
    """A copy of the small study's files, to be spoilt."""
    return Path(shutil.copytree(small_knee / "study", tmp_path / "study"))


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must be refused; return its line, after checking what all of them owe."""

    def run(*arguments: object, out: Path | None = None) -> str:
        target = out or tmp_path / "out"
        before = sorted(target.rglob("*")) if target.exists() else None
        capsys.readouterr()
        assert main(["run", *map(str, arguments), "-o", str(target)]) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if "..." not in line]
        if holds_result(target):
            assert "still holds an earlier result" in lines.pop()
        assert len(lines) == 1, lines
        assert lines[0].startswith("bmepipe: expected")
        assert (sorted(target.rglob("*")) if target.exists() else None) == before
        assert not list(target.parent.glob(f".{target.name}.*"))  # nothing half-written
        return lines[0]

    return run


def keep(study: Path, *descriptions: str) -> None:
    """Delete the files of all other series."""
    for path in study.iterdir():
        if dcmread(path, stop_before_pixels=True).SeriesDescription not in descriptions:
            path.unlink()


def edit(study: Path, description: str, change: Callable[[object], None]) -> None:
    for path in study.iterdir():
        ds = dcmread(path)
        if ds.SeriesDescription == description:
            change(ds)
            ds.save_as(path)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "measurements.csv").open(encoding="utf-8") as file:
        return {row["bone"]: row for row in csv.DictReader(file)}


def test_out_has_the_names_that_other_tools_rely_on(done: Path) -> None:
    assert {path.name for path in done.iterdir()} == FIXED_NAMES | {".bmepipe"}
    assert (done / "measurements.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS


def test_volumes_are_those_of_the_phantom(done: Path, small_knee: Path) -> None:
    found, truth = rows(done), rows(small_knee / "truth")
    assert list(found) == ["femur", "tibia", "patella", "fibula"]
    for bone in ("femur", "tibia"):
        # Half of the clinical resolution, so wider than what scripts/phantom_table.py asks for.
        assert float(found[bone]["bone_ml"]) == pytest.approx(
            float(truth[bone]["bone_ml"]), rel=0.15
        )
    assert float(found["femur"]["edema_ml"]) == pytest.approx(
        float(truth["femur"]["edema_ml"]), rel=0.15
    )


def test_masks_lie_on_the_fat_suppressed_series(done: Path, small_knee: Path) -> None:
    truth = nib.load(small_knee / "truth" / "bones.nii.gz")
    for name in ("edema_mask", "edema_probability", "lesions", "bones"):
        image = nib.load(done / f"{name}.nii.gz")
        assert image.shape == truth.shape
        corners = np.array(np.meshgrid(*[[0, n - 1] for n in image.shape])).reshape(3, -1)
        there, here = (
            sorted((i.affine[:3, :3] @ corners + i.affine[:3, 3:]).T.round(2).tolist())
            for i in (truth, image)
        )
        np.testing.assert_allclose(here, there, atol=0.02)


def test_result_json_says_which_series_why_and_how_long(done: Path) -> None:
    result = json.loads((done / "result.json").read_text(encoding="utf-8"))
    text = json.dumps(result)
    assert "SAG PD FS" in text
    assert "sagittal is preferred" in text
    origin = result["provenance"]
    assert set(origin["stage_seconds"]) >= {"scan", "read", "bones", "edema", "measure", "write"}
    assert origin["peak_memory_mb"] > 0
    assert len(origin["models"]["bones_knee"]) == 64


def test_a_second_run_replaces_an_earlier_result(done: Path, small_knee: Path) -> None:
    (done / "measurements.csv").write_text("old")
    bones = small_knee / "truth" / "bones.nii.gz"
    arguments = ["run", str(small_knee / "study"), "-o", str(done), "--bones", str(bones)]
    config = done.parent / "quick.toml"
    config.write_text('[output]\nwriters = ["tables"]\n')
    assert main([*arguments, "--config", str(config)]) == 0
    assert {path.name for path in done.iterdir()} == {".bmepipe", "measurements.csv", "lesions.csv"}
    assert float(rows(done)["femur"]["bone_ml"]) > 0


def test_without_a_t1_it_runs_and_says_what_is_missing(
    study: Path, small_knee: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(study, "SAG PD FS")
    out, bones = tmp_path / "out", small_knee / "truth" / "bones.nii.gz"
    assert main(["run", str(study), "-o", str(out), "--bones", str(bones)]) == 0
    assert "no T1 series: the T1 evidence is missing" in capsys.readouterr().out
    assert all(row["t1_ratio"] == "" for row in rows(out).values())


def test_a_refusal_says_that_an_earlier_result_is_still_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with whole_or_not_at_all(out) as folder:
        (folder / "measurements.csv").write_text("another patient's")
    for refused in (["run", "missing"], ["run", "missing", "--detector", "oracle"]):
        assert main([*refused, "-o", str(out)]) == 1
        first, last = capsys.readouterr().err.splitlines()[-2:]
        assert first.startswith("bmepipe: expected")
        assert last == f"bmepipe: {out} still holds an earlier result, not of this run"
    assert (out / "measurements.csv").read_text() == "another patient's"


def test_a_run_that_is_terminated_leaves_nothing(small_knee: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bmepipe", "run", str(small_knee / "study")]
    started = subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
    )
    assert started.stderr is not None
    while "bones" not in started.stderr.readline():
        assert started.poll() is None
    assert list(tmp_path.iterdir())
    started.terminate()
    told = started.communicate(timeout=60)[1]
    assert started.returncode == 128 + signal.SIGTERM
    assert told.splitlines()[-1] == "bmepipe: terminated; nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_nothing_there(tmp_path: Path, refusal: Callable[..., str]) -> None:
    assert "missing" in refusal(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "without any file" in refusal(tmp_path / "empty")


def test_a_t1_alone_is_said(refusal: Callable[..., str]) -> None:
    assert "got --t1 some/t1.nii.gz alone;" in refusal("--t1", "some/t1.nii.gz")
    assert "got --t1 3 and --t2fs 2 alone;" in refusal("--t1", "3", "--t2fs", "2")
    assert "got neither;" in refusal()


def test_no_mr_series(study: Path, refusal: Callable[..., str]) -> None:
    ct = "1.2.840.10008.5.1.4.1.1.2"
    for path in study.iterdir():
        ds = dcmread(path)
        ds.Modality, ds.SOPClassUID, ds.file_meta.MediaStorageSOPClassUID = "CT", ct, ct
        ds.save_as(path)
    assert "no MR image among them" in refusal(study)


def test_none_is_fat_suppressed(study: Path, refusal: Callable[..., str]) -> None:
    keep(study, "SAG T1", "LOCALIZER")
    line = refusal(study)
    assert "fat-suppressed" in line
    assert "SAG T1" in line  # what was found,
    assert "localizer" in line.lower()  # and why each was not taken


def test_one_slice_is_no_volume(study: Path, refusal: Callable[..., str]) -> None:
    keep(study, "SAG PD FS")
    for path in sorted(study.iterdir())[1:]:
        path.unlink()
    assert "slice" in refusal(study)


def test_series_of_two_places(study: Path, refusal: Callable[..., str]) -> None:
    def elsewhere(ds: object) -> None:
        ds.ImagePositionPatient = [ds.ImagePositionPatient[0], 900.0, 900.0]  # type: ignore[attr-defined]

    edit(study, "SAG T1", elsewhere)
    assert "overlap" in refusal(study, "--t1", "3", "--t2fs", "2")


def test_series_of_two_patients(study: Path, refusal: Callable[..., str]) -> None:
    def another(ds: object) -> None:
        ds.PatientID, ds.StudyInstanceUID = "someone else", "1.2.9"  # type: ignore[attr-defined]
        ds.FrameOfReferenceUID = "1.2.8"  # type: ignore[attr-defined]

    edit(study, "SAG T1", another)
    assert "--study" in refusal(study)


def test_labels_of_another_grid(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    image = nib.load(small_knee / "truth" / "bones.nii.gz")
    shifted = image.affine.copy()
    shifted[:3, 3] += (0, 5.0, 0)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), tmp_path / "moved.nii.gz")
    line = refusal(small_knee / "study", "--bones", tmp_path / "moved.nii.gz")
    assert "grid" in line
    assert "bone labels" in line


def test_unknown_labels_are_named(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    image = nib.load(small_knee / "truth" / "bones.nii.gz")
    data = np.asarray(image.dataobj).copy()
    data[data == 4] = 77
    nib.save(nib.Nifti1Image(data, image.affine), tmp_path / "labels.nii.gz")
    assert "77" in refusal(small_knee / "study", "--bones", tmp_path / "labels.nii.gz")


def test_a_folder_that_holds_something_else(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter1.txt").write_text("years of work")
    assert "holds other files" in refusal(small_knee / "study", out=other)
    assert (other / "chapter1.txt").read_text() == "years of work"


def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    small_knee: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    mask = str(small_knee / "truth" / "edema_mask.nii.gz")
    for command in (
        ["run", str(tmp_path / "missing")],  # a study would be refused only after this
        ["phantom", "--site", "nowhere"],
        ["evaluate", str(tmp_path / "missing.nii.gz"), mask],
    ):
        assert main([*command, "-o", str(tmp_path / "file" / "out")]) == 1
        assert "an output folder that can be written" in capsys.readouterr().err


def test_unknown_names_list_the_known_ones(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    assert "sacroiliac" in refusal(small_knee / "study", "--site", "elbow")
    assert "contrast" in refusal(small_knee / "study", "--detector", "oracle")
    config = tmp_path / "c.toml"
    config.write_text("[run]\nspeed = 3\n")
    assert "detector" in refusal(small_knee / "study", "--config", config)
    assert "bmepipe series" in refusal(small_knee / "study", "--t2fs", "55")


def test_a_wrong_site_is_noticed(small_knee: Path, refusal: Callable[..., str]) -> None:
    assert "--site knee" in refusal(small_knee / "study", "--site", "hip")


def test_names_of_a_label_map_are_read_and_reported(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    bones = small_knee / "truth" / "bones.nii.gz"
    image = nib.load(bones)
    other = np.asanyarray(image.dataobj).copy()
    other[other == 1] = 36  # as TotalSegmentator numbers the left femur
    other[other == 2] = 20  # a disc: no bone of a knee
    other[(other != 36) & (other != 20)] = 0
    nib.save(nib.Nifti1Image(other, image.affine), tmp_path / "labels.nii.gz")
    labels = ["--bones", str(tmp_path / "labels.nii.gz")]
    out = tmp_path / "out"
    study = str(small_knee / "study")
    named = [*labels, "--bone-names", "total_mr"]
    assert main(["run", study, "-o", str(out), *named]) == 0
    notes = json.loads((out / "result.json").read_text())["notes"]
    assert "label map given: femur from femur_left" in notes
    assert "label map given: without tibia, patella, fibula" in notes
    assert "given label 20 'intervertebral_discs' is no bone of this site, left out" in notes
    assert "36" in refusal(small_knee / "study", *labels)
    assert "vertebrae_mr" in refusal(small_knee / "study", *labels, "--bone-names", "total")


def test_names_without_a_name_or_without_a_label_map_are_refused(
    small_knee: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    study, names = small_knee / "study", tmp_path / "names.csv"
    names.write_text("label,name\n")
    bones = ["--bones", small_knee / "truth" / "bones.nii.gz"]
    assert "lines of label,name" in refusal(study, *bones, "--bone-names", names)
    assert "--bone-names total_mr alone" in refusal(study, "--bone-names", "total_mr")


def test_wrong_usage_is_exit_code_2() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run"])


def test_series_lists_the_study_and_the_choice(
    small_knee: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["series", str(small_knee / "study")]) == 0
    table = capsys.readouterr().out
    for word in ("LOCALIZER", "SAG PD FS", "SAG T1"):
        assert word in table
    # As a run chooses, not by the most pairs.
    assert "site knee: the headers say" in table
    assert "sagittal is preferred for the knee" in table
    assert "site unknown" not in table
    assert main(["series", str(small_knee / "study"), "--json"]) == 0
    assert "SAG PD FS" in json.dumps(json.loads(capsys.readouterr().out))


def test_series_that_a_run_would_refuse_are_exit_code_1(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(study, "SAG T1", "LOCALIZER")
    assert main(["series", str(study)]) == 1
    assert "expected a fat-suppressed" in capsys.readouterr().out
    assert main(["series", str(study), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["refusal"].startswith("expected a fat-suppressed")


def test_sites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sites"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("knee") and "1 femur" in line for line in lines)
    assert len(lines) >= 7
    assert lines[-1] == "both sides in one scan (ankle, hip, knee, shoulder): right +10, left +20"


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from bmepipe.cli import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'monai', 'SimpleITK', 'pydicom'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_no_patient_name_is_written_or_told(
    study: Path, small_knee: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for description in ("SAG PD FS", "SAG T1"):
        edit(study, description, lambda ds: setattr(ds, "PatientName", "Zebrowsky^Quentin"))
    out, bones = tmp_path / "out", small_knee / "truth" / "bones.nii.gz"
    assert main(["run", str(study), "-o", str(out), "--bones", str(bones), "--log", "debug"]) == 0
    told = capfd.readouterr()
    assert "Zebrowsky" not in told.out + told.err
    for path in out.rglob("*"):
        # DICOM objects belong to the patient's record and must carry the name.
        if path.is_file() and path.suffix != ".dcm":
            assert b"Zebrowsky" not in path.read_bytes(), path.name


@pytest.mark.parametrize("name", ["clinic", "research"])
def test_the_settings_files_to_copy_are_understood(name: str) -> None:
    values = read_config(Path(__file__).parents[1] / "configs" / f"{name}.toml")
    assert values["detector"] == "both"
    require_writers(values["writers"])
