"""SEG and SR: read back onto the source, valid for independent readers, reproducible."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from bmepipe.result import EdemaResult
from bmepipe.writers import dicom_seg, dicom_sr
from bmepipe.writers.dicom_source import segments

Run = tuple[EdemaResult, Path]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def validation_errors(path: Path) -> list[str]:
    command = [program("dciodvfy"), "-new", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]


def test_reading_the_segmentation_back_gives_the_masks_in_mm(knee_run: Run) -> None:
    import highdicom as hd

    result, out = knee_run
    volume = hd.seg.segread(out / "edema_seg.dcm").get_volume(combine_segments=False)
    lps = result.pair.grid.lps_affine
    planned = segments(result)
    assert volume.array.shape[-1] == len(planned) == 8
    index = np.argwhere(volume.array.any(axis=-1))
    there = (volume.affine[:3, :3] @ index.T + volume.affine[:3, 3:]).T
    back = np.rint((np.linalg.inv(lps) @ np.c_[there, np.ones(len(there))].T).T[:, :3]).astype(int)
    for segment in planned:
        mask = result.bones.data == segment.bone.label
        if segment.is_edema:
            mask = mask & result.edema.data
        found = np.zeros_like(mask)
        inside = volume.array[tuple(index.T)][:, segment.number - 1] > 0
        found[tuple(back[inside].T)] = True
        assert (found == mask).all(), segment.label


def test_every_frame_refers_to_its_source_slice(knee_run: Run) -> None:
    result, out = knee_run
    seg = dcmread(out / "edema_seg.dcm")
    wanted = {source.sop_instance_uid for source in result.pair.t2fs.slices}
    referred = {
        item.ReferencedSOPInstanceUID
        for series in seg.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    assert referred == wanted
    headers = {}
    assert result.pair.t2fs_series is not None
    for path in result.pair.t2fs_series.files:
        ds = dcmread(path, stop_before_pixels=True)
        headers[ds.SOPInstanceUID] = ds
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, headers[source].ImagePositionPatient, atol=0.01)


def test_patient_and_study_are_carried_over_in_new_series(knee_run: Run) -> None:
    result, out = knee_run
    assert result.pair.t2fs_series is not None
    source = dcmread(result.pair.t2fs_series.files[0], stop_before_pixels=True)
    for name in ("edema_seg.dcm", "report_sr.dcm"):
        made = dcmread(out / name)
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert made.get(keyword) == source.get(keyword)
        assert made.SeriesInstanceUID != source.SeriesInstanceUID


def test_segments_carry_codes_names_and_tracking(knee_run: Run) -> None:
    seg = dcmread(knee_run[1] / "edema_seg.dcm")
    rows = {item.SegmentLabel: item for item in seg.SegmentSequence}
    assert list(rows)[:4] == ["femur", "tibia", "patella", "fibula"]
    edema = rows["femur, edema"]
    assert edema.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Edema"
    assert edema.AnatomicRegionSequence[0].CodeValue == "71341001"
    assert len({item.TrackingUID for item in rows.values()}) == len(rows)


def test_bones_that_the_user_gave_are_said_to_be_so_beside_an_edema_model(knee_run: Run) -> None:
    assert list(knee_run[0].provenance.models) == ["edema"]
    seg = dcmread(knee_run[1] / "edema_seg.dcm")
    kinds = {item.SegmentLabel: item.SegmentAlgorithmType for item in seg.SegmentSequence}
    assert kinds["femur"] == "SEMIAUTOMATIC"
    assert kinds["femur, edema"] == "AUTOMATIC"


def test_the_report_holds_the_volumes_and_refers_to_the_segmentation(knee_run: Run) -> None:
    import highdicom as hd

    result, out = knee_run
    content = hd.sr.srread(out / "report_sr.dcm").content
    groups = content.get_volumetric_roi_measurement_groups()
    by_id = {group.tracking_identifier: group for group in groups}
    row = next(row for row in result.measurements if row.bone == "femur")
    volumes = {
        m.derivation.meaning if m.derivation else "": m.value
        for m in by_id["knee: femur, edema"].get_measurements()
        if m.name.meaning == "Volume"
    }
    assert volumes[""] == pytest.approx(row.edema_ml, abs=6e-4)
    assert volumes["Minimum"] <= volumes[""] <= volumes["Maximum"]
    seg = dcmread(out / "edema_seg.dcm")
    assert by_id["knee: femur"].referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID


def with_an_unmeasured_bone(result: EdemaResult) -> EdemaResult:
    """The result as if the tibia's fat suppression had failed and the fibula needed a remark."""
    why = "fat suppression failed in most of it"
    rows = [
        replace(row, edema_ml=None, edema_ml_low=None, edema_ml_high=None, edema_percent=None,
                lesion_count=None, t1_ratio=None, t2fs_ratio=None, note=why)
        if row.bone == "tibia"
        else replace(row, note="a remark") if row.bone == "fibula" else row
        for row in result.measurements
    ]  # fmt: skip
    return replace(result, measurements=tuple(rows), notes=("the T1 covers 80 %", "second"))


def comments(items: Iterable[Dataset]) -> list[str]:
    named = [(item.ConceptNameCodeSequence[0].CodeMeaning, item) for item in items]
    return [str(item.TextValue) for name, item in named if name == "Comment"]


def test_the_report_says_why_a_bone_was_not_measured(knee_run: Run, tmp_path: Path) -> None:
    import highdicom as hd

    result = with_an_unmeasured_bone(knee_run[0])
    (path,) = dicom_sr.write(result, tmp_path)
    content = hd.sr.srread(path).content
    groups = {g.tracking_identifier: g for g in content.get_volumetric_roi_measurement_groups()}
    assert "knee: tibia, edema" not in groups
    for name, value, told in (
        ("tibia", "Not Evaluated", ["fat suppression failed in most of it"]),
        ("fibula, edema", "Absent", ["a remark"]),
        ("femur, edema", "Present", []),
    ):
        group = groups[f"knee: {name}"]
        (evaluation,) = group.get_qualitative_evaluations()
        assert (evaluation.name.meaning, evaluation.value.meaning) == ("Edema", value)
        assert comments(group[0].ContentSequence) == told
    assert groups["knee: fibula"].get_qualitative_evaluations() == []
    assert validation_errors(path) == []


def test_the_report_holds_the_notes_on_the_study(knee_run: Run, tmp_path: Path) -> None:
    result = with_an_unmeasured_bone(knee_run[0])
    (path,) = dicom_sr.write(result, tmp_path)
    last = dcmread(path).ContentSequence[-1]
    assert last.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    assert comments(last.ContentSequence) == list(result.notes)
    assert dcmread(path).SOPInstanceUID != dcmread(knee_run[1] / "report_sr.dcm").SOPInstanceUID
    (path,) = dicom_sr.write(replace(result, notes=()), tmp_path)
    names = [i.ConceptNameCodeSequence[0].CodeMeaning for i in dcmread(path).ContentSequence]
    assert "Qualitative Evaluations" not in names


def test_no_edema_is_no_positive_finding(knee_run: Run) -> None:
    import highdicom as hd

    result, out = knee_run
    content = hd.sr.srread(out / "report_sr.dcm").content
    groups = {g.tracking_identifier: g for g in content.get_volumetric_roi_measurement_groups()}
    found = {
        row.bone: groups[f"knee: {row.bone}, edema"].finding_type.meaning
        for row in result.measurements
    }
    assert found == {
        row.bone: "Edema" if row.edema_ml else "No edema found" for row in result.measurements
    }
    assert set(found.values()) == {"Edema", "No edema found"}


def test_the_same_result_gives_the_same_uids_and_another_result_others(
    knee_run: Run, tmp_path: Path
) -> None:
    result, out = knee_run
    for writer, name in ((dicom_seg, "edema_seg.dcm"), (dicom_sr, "report_sr.dcm")):
        again = dcmread(writer.write(result, tmp_path)[0])
        assert again.SOPInstanceUID == dcmread(out / name).SOPInstanceUID
        edema = result.edema.data.copy()
        edema[tuple(np.argwhere(result.bones.data == 1)[0])] ^= True
        other = replace(result, edema=result.edema.with_data(edema))
        assert dcmread(writer.write(other, tmp_path)[0]).SOPInstanceUID != again.SOPInstanceUID


@pytest.mark.parametrize("name", ["edema_seg.dcm", "report_sr.dcm"])
def test_an_independent_validator_finds_no_error(knee_run: Run, name: str) -> None:
    assert validation_errors(knee_run[1] / name) == []


def test_an_independent_reader_renders_the_report(knee_run: Run, tmp_path: Path) -> None:
    page = tmp_path / "sr.html"
    command = [program("dsr2html"), "-Ei", str(knee_run[1] / "report_sr.dcm"), str(page)]
    subprocess.run(command, check=True, capture_output=True)
    text = page.read_text(encoding="utf-8", errors="replace")
    assert "Edema" in text
    assert "milliliter" in text or "mL" in text


def test_no_patient_name_is_told_while_writing(knee_run: Run, tmp_path: Path) -> None:
    # A name of one component makes the DICOM library warn, and quote it.
    series = knee_run[0].pair.t2fs_series
    assert series is not None
    files = []
    for path in series.files:
        ds = dcmread(path, stop_before_pixels=True)
        ds.PatientName = "Zebrowsky"
        files.append(tmp_path / path.name)
        ds.save_as(files[-1])
    renamed = replace(series, files=tuple(files))
    result = replace(knee_run[0], pair=replace(knee_run[0].pair, t2fs_series=renamed))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dicom_seg.write(result, tmp_path)
        dicom_sr.write(result, tmp_path)
    assert dcmread(tmp_path / "report_sr.dcm").PatientName == "Zebrowsky"
    assert [str(w.message) for w in told if "Zebrowsky" in str(w.message)] == []


def test_input_that_is_not_dicom_gets_none(knee_run: Run, tmp_path: Path) -> None:
    result = replace(knee_run[0], pair=replace(knee_run[0].pair, t2fs_series=None))
    assert dicom_seg.write(result, tmp_path) == dicom_sr.write(result, tmp_path) == []
