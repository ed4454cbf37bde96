"""The whole way on a small knee: storage and position must not matter; what is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

from bmepipe.analysis.align import align
from bmepipe.analysis.labels import reorder
from bmepipe.bones import given_bones
from bmepipe.errors import NoUsablePair, UnknownChoice
from bmepipe.io.phantom_files import Storage, write_phantom
from bmepipe.models.detectors import choose_detectors
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.pipeline import RunSettings, analyse, run_study, used_models
from bmepipe.result import EdemaResult
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

TABLES = RunSettings(writers=("tables",))


@pytest.fixture(scope="module")
def knee() -> Phantom:
    return make_phantom("knee", 11, protocol=coarse(site_protocol("knee"), 3))


@pytest.fixture(scope="module")
def plain(knee: Phantom, tmp_path_factory: pytest.TempPathFactory) -> EdemaResult:
    """The result of the study as phantoms are written by default."""
    return stored(knee, tmp_path_factory.mktemp("plain"), Storage())


def stored(phantom: Phantom, folder: Path, storage: Storage) -> EdemaResult:
    write_phantom(phantom, folder / "phantom", storage=storage)
    return run_study(folder / "phantom" / "study", folder / "out", TABLES)


def volumes(result: EdemaResult) -> list[float]:
    return [v for row in result.measurements for v in (row.bone_ml, row.edema_ml or 0.0)]


@pytest.mark.parametrize(
    "storage", [Storage(transpose=True), Storage(reverse=True), Storage(True, True)], ids=str
)
def test_layout_in_the_files_does_not_matter(
    knee: Phantom, plain: EdemaResult, storage: Storage, tmp_path: Path
) -> None:
    turned = stored(knee, tmp_path, storage)
    np.testing.assert_allclose(volumes(turned), volumes(plain), rtol=0.02, atol=0.005)


def turn(volume: Volume, by: np.ndarray) -> Volume:
    affine = by @ volume.grid.affine
    return Volume(volume.data, Grid(volume.grid.shape, affine))


def rotation(axis: int, degrees: float) -> np.ndarray:
    """A rigid motion about one axis, with a shift that differs along all of them."""
    a, b = [n for n in range(3) if n != axis]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(4)
    matrix[[a, a, b, b], [a, b, a, b]] = (c, -s, s, c)
    matrix[:3, 3] = (13.0, -41.0, 7.0)
    return matrix


@pytest.mark.parametrize(
    ("axis", "degrees"), [(2, 90.0), (0, 90.0), (1, 90.0), (2, 33.0), (0, -21.0)]
)
def test_position_of_the_patient_does_not_matter(knee: Phantom, axis: int, degrees: float) -> None:
    # The same slices become sagittal, coronal, axial or oblique ones.
    by = rotation(axis, degrees)
    rows = []
    for motion in (np.eye(4), by):
        t2fs, t1, bones = (turn(v, motion) for v in (knee.t2fs, knee.t1, knee.bones))
        pair = Pair(t2fs, align(t1, t2fs, same_frame=True)[0], SequenceClass.PD_FS)
        result = analyse(pair, load_site("knee"), segment_bones=given_bones(bones))
        rows.append(volumes(result))
    assert max(rows[0]) > 1
    np.testing.assert_allclose(rows[1], rows[0], rtol=0.02, atol=0.005)


def test_the_pure_part_gives_what_the_files_give(knee: Phantom, plain: EdemaResult) -> None:
    t1, _ = align(knee.t1, knee.t2fs, same_frame=True)
    result = analyse(Pair(knee.t2fs, t1, SequenceClass.PD_FS), load_site("knee"))
    # DICOM stores whole numbers, which moves a few voxels across a threshold.
    np.testing.assert_allclose(volumes(result), volumes(plain), rtol=0.03, atol=0.02)


def test_edema_lies_where_the_phantom_has_it(knee: Phantom, plain: EdemaResult) -> None:
    found = reorder(plain.edema, knee.edema.grid).data
    shared = np.count_nonzero(found & knee.edema.data)
    both = np.count_nonzero(found) + np.count_nonzero(knee.edema.data)
    assert 2 * shared / both > 0.8


def test_stages_and_settings_are_recorded(knee: Phantom, tmp_path: Path) -> None:
    seen: list[str] = []
    write_phantom(knee, tmp_path / "p")
    settings = replace(TABLES, writers=("json",))
    run_study(tmp_path / "p" / "study", tmp_path / "out", settings, seen.append)
    assert seen == [
        "scan", "read", "align", "bones", "quality", "edema", "lesions", "measure", "write",
    ]  # fmt: skip
    origin = json.loads((tmp_path / "out" / "result.json").read_text())["provenance"]
    assert set(origin["stage_seconds"]) == set(seen)
    assert origin["settings"]["writers"] == ["json"]


def test_an_unknown_detector_lists_the_known_ones() -> None:
    with pytest.raises(UnknownChoice, match="contrast"):
        choose_detectors("oracle")


@pytest.mark.parametrize("name", ["model", "both"])
def test_the_network_finds_edema_alone_and_beside_the_rule(knee: Phantom, name: str) -> None:
    t1, _ = align(knee.t1, knee.t2fs, same_frame=True)
    result = analyse(
        Pair(knee.t2fs, t1, SequenceClass.PD_FS),
        load_site("knee"),
        segment_bones=given_bones(knee.bones),
        detectors=choose_detectors(name),
    )
    found = result.edema.data
    shared = 2 * np.count_nonzero(found & knee.edema.data)
    assert shared / (np.count_nonzero(found) + np.count_nonzero(knee.edema.data)) > 0.6
    assert (result.disagreement is None) == (name == "model")
    assert result.provenance.detector == name
    assert result.probability.data.max() > 0.8


def test_a_run_records_the_models_it_used() -> None:
    site = load_site("knee")
    assert list(used_models(site, choose_detectors("contrast"), bones_given=True)) == []
    assert list(used_models(site, choose_detectors("both"), bones_given=True)) == ["edema"]
    assert list(used_models(site, choose_detectors("model"), bones_given=False)) == [
        site.model, "edema",
    ]  # fmt: skip


def test_an_unknown_writer_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UnknownChoice, match="report"):
        run_study(tmp_path / "missing", tmp_path / "out", RunSettings(writers=("fax",)))
    assert not (tmp_path / "out").exists()


def test_of_two_knees_in_one_study_the_side_asked_for_is_measured(
    knee: Phantom, tmp_path: Path
) -> None:
    other = "left" if knee.side == "R" else "right"
    own = "right" if knee.side == "R" else "left"
    write_phantom(knee, tmp_path / "phantom")
    settings = replace(TABLES, side=own)
    result = run_study(tmp_path / "phantom" / "study", tmp_path / "out", settings)
    assert not any("as asked for" in note for note in result.notes)  # it holds this side alone
    with pytest.raises(NoUsablePair, match=f"of the {other} side"):
        run_study(tmp_path / "phantom" / "study", tmp_path / "no", replace(TABLES, side=other))
    add_other_side(tmp_path / "phantom" / "study", knee.side)
    result = run_study(tmp_path / "phantom" / "study", tmp_path / "out", settings)
    assert f"Of a study of both sides: the {own} one, as asked for." in result.notes


def add_other_side(study: Path, side: str) -> None:
    """Add the fat-suppressed series once more, 220 mm beside, as that of the other knee."""
    for path in study.glob("02_*.dcm"):
        header = dcmread(path)
        header.SeriesInstanceUID += ".1"
        header.SOPInstanceUID += ".1"
        header.SeriesNumber = 12
        header.Laterality = "L" if side == "R" else "R"
        place = header.ImagePositionPatient
        place[0] += 220 if side == "R" else -220  # LPS: the left is at higher x
        header.save_as(path.with_name(f"12{path.name[2:]}"))


def test_one_image_under_two_names_is_refused(knee: Phantom, tmp_path: Path) -> None:
    for name in ("t1.nii.gz", "t2fs.nii.gz"):
        nib.save(nib.Nifti1Image(knee.t2fs.data, knee.t2fs.grid.affine), tmp_path / name)
    settings = RunSettings(
        "knee", t1=str(tmp_path / "t1.nii.gz"), t2fs=str(tmp_path / "t2fs.nii.gz")
    )
    with pytest.raises(NoUsablePair, match="for both"):
        run_study(None, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_what_only_the_user_says_to_be_fat_suppressed_is_a_note(
    knee: Phantom, tmp_path: Path
) -> None:
    nib.save(nib.Nifti1Image(knee.t2fs.data, knee.t2fs.grid.affine), tmp_path / "a.nii.gz")
    settings = RunSettings("knee", t2fs=str(tmp_path / "a.nii.gz"), writers=())
    notes = run_study(None, tmp_path / "out", settings).notes
    assert any("is not known to be fat-suppressed" in line for line in notes)
