"""Which cases a data set holds: studies wherever they lie, zips, NIfTI, manifests, and the bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bmepipe.batch.case import Case, fingerprint
from bmepipe.batch.cases import find_cases
from bmepipe.errors import BadSettings, StudyNotFound


@pytest.fixture
def study(small_knee: Path) -> Path:
    return small_knee / "study"


def test_every_study_folder_and_zip_is_a_case_and_so_is_what_holds_none(
    study: Path, tmp_path: Path
) -> None:
    shutil.copytree(study, tmp_path / "a b" / "deep" / "er")
    shutil.make_archive(str(tmp_path / "packed"), "zip", study)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    (tmp_path / "readme.txt").write_text("loose files are not a case")
    found = {case.name: case for case in find_cases(tmp_path)}
    assert set(found) == {"a_b-deep-er", "packed", "empty", "broken"}
    assert Path(found["a_b-deep-er"].path or "") == tmp_path / "a b" / "deep" / "er"
    assert found["a_b-deep-er"].study is None
    assert Path(found["packed"].path or "").name == "packed.zip"


def test_two_studies_in_one_folder_are_two_cases(study: Path, tmp_path: Path) -> None:
    from pydicom import dcmread

    for number in (1, 2):
        shutil.copytree(study, tmp_path / "mixed" / f"part{number}")
    for path in (tmp_path / "mixed" / "part2").rglob("*"):
        if path.is_file() and path.name.upper() != "DICOMDIR":
            image = dcmread(path)
            image.StudyInstanceUID += ".2"
            image.save_as(tmp_path / "mixed" / f"{path.parent.name}_{path.name}")
    shutil.rmtree(tmp_path / "mixed" / "part2")
    found = {Path(case.path or "").name: case.study for case in find_cases(tmp_path)}
    assert found == {"mixed": f"{image.StudyInstanceUID}", "part1": None}


def test_a_site_in_between_hides_nothing(study: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(study, site / "p1" / "DICOM")
    shutil.copytree(study, site / "p2")  # the same images again are another case
    shutil.make_archive(str(site / "p3"), "zip", study)
    (site / "p3.zip").rename(site / "p3.ZIP")
    (site / "p4").mkdir()  # empty
    cut = next(path for path in study.rglob("*") if path.is_file()).read_bytes()[:140]
    (site / "p5").mkdir()
    (site / "p5" / "1").write_bytes(cut)
    (site / "p1" / "VIEWER").mkdir()
    (site / "p1" / "VIEWER" / "viewer.exe").write_bytes(b"MZ")
    (tmp_path / "cut" / "p6").mkdir(parents=True)  # a part of the same study again
    shutil.copy(next(p for p in study.rglob("*") if p.is_file()), tmp_path / "cut" / "p6")
    names = {case.name for case in find_cases(tmp_path)}
    assert names == {"site-p1-DICOM", *(f"site-p{n}" for n in (2, 3, 4, 5)), "cut-p6"}


def test_a_study_with_a_folder_per_series_is_one_case(study: Path, tmp_path: Path) -> None:
    from pydicom import dcmread

    data = tmp_path / "data"
    for path in study.rglob("*"):
        if path.is_file() and path.name.upper() != "DICOMDIR":
            target = data / str(dcmread(path, stop_before_pixels=True).SeriesNumber)
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (case,) = find_cases(data)
    assert (case.name, case.path, case.study, case.source) == ("data", str(data), None, ".")


def test_names_do_not_clash_with_each_other_or_with_the_tables(tmp_path: Path) -> None:
    lines = ["logs,x", "a,x", "A,y", "a-2,z", "?,x", f"{'very' * 99},x"]
    (tmp_path / "m.csv").write_text("\n".join(["case,path", *lines]))
    names = [case.name for case in find_cases(tmp_path / "m.csv")]
    assert names[:5] == ["A", "a-2", "a-2-2", "case", "logs-2"]
    assert len(names[5]) == 120


def test_folders_of_nifti_are_cases(small_knee: Path, tmp_path: Path) -> None:
    for name in ("sub-01", "sub-02"):
        (tmp_path / name / "anat").mkdir(parents=True)
        shutil.copy(small_knee / "truth" / "bones.nii.gz", tmp_path / name / "anat" / "T1w.nii.gz")
    assert [case.name for case in find_cases(tmp_path)] == ["sub-01-anat", "sub-02-anat"]


def test_a_manifest_names_cases_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "m.csv").write_text("case,path,site,t2fs\nA 1,x,knee,\nA_1,x,,3\nB,,,b.nii.gz\n")
    first, second, third = find_cases(tmp_path / "m.csv")
    assert first == Case("A_1", str(tmp_path / "x"), site="knee", source="x", known_as="A 1")
    assert (second.name, second.t2fs) == ("A_1-2", "3")
    assert (third.name, third.path, third.t2fs) == ("B", None, "b.nii.gz")
    assert third.source == "b.nii.gz"


def test_a_parquet_manifest_holds_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = pyarrow.table({"case": ["a"], "path": ["p"], "site": [None]})
    write_table(table, tmp_path / "m.parquet")
    assert find_cases(tmp_path / "m.parquet") == [Case("a", "p", source="p", known_as="a")]


def test_manifests_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("case,path,age\nA,x,70\n")
    with pytest.raises(BadSettings, match="age"):
        find_cases(path)
    path.write_text("case,site\nA,knee\n")
    with pytest.raises(BadSettings, match="row 1 without"):
        find_cases(path)
    path.write_text("case,path\np1,x\np2,y\np3,z\np1,z\np3,x\n")
    with pytest.raises(BadSettings, match="once; got p1 2 times, p3 2 times"):
        find_cases(path)
    path.write_text("case,path\n")
    with pytest.raises(StudyNotFound, match="none in"):
        find_cases(path)
    with pytest.raises(StudyNotFound, match="manifest"):
        find_cases(tmp_path / "nothing")


def test_the_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    case = Case("x", str(tmp_path))
    before = fingerprint(case)
    assert fingerprint(case) == before
    (tmp_path / "a").write_text("22")
    assert fingerprint(case) != before
