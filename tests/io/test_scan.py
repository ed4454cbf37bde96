"""Folders, archives and DICOMDIRs to a study; what is unsafe is refused."""

from __future__ import annotations

import os
import stat
import zipfile

import pytest

from bmepipe.errors import NoMrSeries, SeveralStudies, StudyNotFound, UntrustedFile
from bmepipe.io.archive import unpacked
from bmepipe.io.dicom import load
from bmepipe.io.scan import find_files, scan


def test_disorder_is_no_matter(series):
    a = series("study/x/y", SeriesNumber=6)
    series("study/x", SeriesNumber=3, SeriesDescription="PD FS", ScanOptions="FS")
    (a.folder / "Thumbs.db").write_bytes(b"no image")
    (a.folder / "report.pdf").write_bytes(b"%PDF")
    (a.folder / "empty").touch()
    study = scan(a.folder.parents[1])
    assert [s.number for s in study.series] == [3, 6]
    assert study.skipped_files == 3
    assert study.acquired == "2020-01-02"
    assert len(study.patient_id) == 8


def test_progress_reaches_the_end(series):
    calls = []
    scan(
        series(shape=(13, 17, 70)).folder, progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (70, 70)
    assert len(calls) > 1


def test_files_without_preamble_or_meta(series, same):
    made = series()
    for file in made.files:
        data = file.read_bytes()
        start = data.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in data else None
        start = start or data.index(b"\x08\x00\x08\x00CS")
        file.write_bytes(data[start:])
    [found] = scan(made.folder).series
    volume = load(found)
    same(volume.data, volume.grid.affine, made)


def test_several_studies_are_listed_and_chosen(series):
    a = series("both/a", study_uid="1.2.3")
    series("both/b", study_uid="1.2.4", PatientID="p2")
    with pytest.raises(
        SeveralStudies, match=r"2 studies \(1: 1\.2\.3 of 2020-01-02, 1 series; 2: "
    ):
        scan(a.folder.parent)
    assert scan(a.folder.parent, study="1.2.4").uid == "1.2.4"
    assert scan(a.folder.parent, study="1").uid == "1.2.3"
    with pytest.raises(SeveralStudies, match="none called '7'"):
        scan(a.folder.parent, study="7")


def test_two_patients_under_one_uid_are_told_apart_by_number(series):
    a = series("both/a", study_uid="1.2.3", PatientID="ID-secret", SeriesNumber=4)
    series("both/b", study_uid="1.2.3", PatientID="p2", SeriesNumber=5)
    folder = a.folder.parent
    with pytest.raises(SeveralStudies) as refusal:
        scan(folder)
    told = str(refusal.value)
    assert "1: 1.2.3, patient 1 of 2 of 2020-01-02, 1 series" in told
    assert "2: 1.2.3, patient 2 of 2 of 2020-01-02" in told
    assert "secret" not in told
    with pytest.raises(SeveralStudies, match=r"1\.2\.3, which 2 patients share, among 2 studies"):
        scan(folder, study="1.2.3")
    numbers = {scan(folder, study=number).series[0].number for number in ("1", "2")}
    assert numbers == {4, 5}


def test_refusals_never_name_the_patient(series):
    a = series("both/a", study_uid="1.2.3", PatientName="Secret^Name", PatientID="ID-secret")
    series("both/b", study_uid="1.2.4")
    with pytest.raises(SeveralStudies) as refusal:
        scan(a.folder.parent)
    assert "ecret" not in str(refusal.value)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(StudyNotFound, match="nothing at"):
        scan(tmp_path / "nowhere")
    with pytest.raises(StudyNotFound, match="without any file"):
        scan(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(NoMrSeries, match="1 files and no MR image"):
        scan(tmp_path)


def test_another_modality_is_passed_over(series):
    def ct(ds, k):
        ds.Modality, ds.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"

    with pytest.raises(NoMrSeries):
        scan(series(edit=ct).folder)


def test_a_dicomdir_stands_for_its_folder(series):
    made = series()
    (made.folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert len(scan(made.folder / "DICOMDIR").series) == 1


def test_links_that_loop_are_not_followed(series):
    made = series()
    (made.folder / "loop").symlink_to(made.folder, target_is_directory=True)
    (made.folder / "self").symlink_to(made.folder / "self")
    assert len(find_files(made.folder)) == 7


def test_a_pipe_does_not_hang(series):
    made = series()
    os.mkfifo(made.folder / "pipe")
    assert len(scan(made.folder).series) == 1


def zipped(made, path, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in made.files:
            archive.write(file, f"study/{file.name}")
        for name, content in extra:
            archive.writestr(name, content)
    return path


def test_a_zip_is_read_like_a_folder(series, same, tmp_path):
    made = series()
    [found] = scan(zipped(made, tmp_path / "s.zip")).series
    volume = load(found)
    same(volume.data, volume.grid.affine, made)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:/evil"])
def test_zip_entries_that_lead_outside_are_refused(series, tmp_path, name):
    with pytest.raises(UntrustedFile, match="leads outside"):
        scan(zipped(series(), tmp_path / "s.zip", [(name, b"x")]))


def test_a_zip_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * (40 << 20))
    with pytest.raises(UntrustedFile, match="far more than its size"):
        unpacked(tmp_path / "bomb.zip")


def test_links_in_a_zip_are_refused(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(UntrustedFile, match="a link"):
        scan(tmp_path / "s.zip")


def test_a_broken_zip_is_refused(tmp_path):
    (tmp_path / "s.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UntrustedFile, match=r"s\.zip"):
        scan(tmp_path / "s.zip")


def test_damaged_files_are_counted_and_the_rest_is_judged(series):
    made = series()
    made.files[3].write_bytes(made.files[3].read_bytes()[:500])
    study = scan(made.folder)
    assert study.notes == ("1 damaged files passed over",)
    assert "1 slice is missing" in study.series[0].refusal
