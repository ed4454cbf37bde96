"""The exam of a phantom: every contrast, T1 in slices of its own, movement, further series."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from bmepipe.errors import BadSettings, UnknownChoice
from bmepipe.io.phantom_files import write_phantom
from bmepipe.phantom.protocol import Protocol, coarse, parse_protocol, site_protocol
from bmepipe.phantom.slices import Slices
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.phantom.tissue import Sequence, Technique

QUICK = replace(coarse(site_protocol("knee"), 6), slices=6)
CONTRASTS = {
    "STIR, 0.3 T": Sequence(Technique.INVERSION, 2500, 30, 100, field_t=0.3),
    "STIR, 1.5 T": Sequence(Technique.INVERSION, 4000, 45, 160),
    "STIR, 3 T": Sequence(Technique.INVERSION, 4500, 45, 225, field_t=3.0),
    "Dixon water, 3 T": Sequence(Technique.DIXON_WATER, 3500, 45, residual_fat=0.03, field_t=3.0),
    "PD with fat saturation, 3 T": Sequence(Technique.FAT_SAT, 3500, 36, field_t=3.0),
}
FURTHER = {
    Technique.INVERSION: ["spin echo"],
    Technique.DIXON_WATER: ["Dixon fat", "Dixon in phase"],
    Technique.FAT_SAT: ["spin echo"],
}


@pytest.mark.parametrize("name", CONTRASTS)
def test_edema_is_bright_in_every_fat_suppressed_contrast(name: str) -> None:
    contrast = CONTRASTS[name]
    found = make_phantom("knee", 4, protocol=replace(QUICK, t2fs=contrast))
    sick = found.edema.data
    sound = (found.bones.data > 0) & ~sick
    assert sick.sum() > 5
    assert np.median(found.t2fs.data[sick]) > 1.3 * np.median(found.t2fs.data[sound])
    told = [str(sequence.technique) for sequence, _ in found.others]
    assert told == FURTHER[contrast.technique]
    for _, volume in found.others:  # none of them is fat-suppressed
        i, j, k = np.rint(volume.grid.to_index(found.bones.grid.to_world(np.argwhere(sound)))).T
        fits = (np.array([i, j, k]) < np.array(volume.grid.shape)[:, None]).all(0)
        marrow = volume.data[tuple(np.int64([i[fits], j[fits], k[fits]]))]
        assert np.percentile(marrow, 75) > 0.35 * np.percentile(volume.data, 99)


@pytest.fixture(scope="module")
def moved() -> Phantom:
    other = Slices("coronal", 72, 2.2, 9, 4.0, 1.0)
    return make_phantom("knee", 4, protocol=replace(QUICK, t1_slices=other), motion_mm=3.0)


def test_t1_has_slices_of_its_own(moved: Phantom) -> None:
    assert (moved.t1.grid.plane, moved.t2fs.grid.plane) == ("coronal", "sagittal")
    assert moved.t1.grid.shape == (72, 72, 9)
    assert moved.t1.grid.spacing_mm == pytest.approx((2.2, 2.2, 5.0))
    assert moved.edema.grid is moved.t2fs.grid


def test_the_movement_before_t1_is_the_one_told(moved: Phantom) -> None:
    assert np.linalg.norm(moved.motion[:3, 3]) > 0.5
    np.testing.assert_allclose(moved.motion[:3, :3] @ moved.motion[:3, :3].T, np.eye(3), atol=1e-5)
    places = moved.t1.grid.to_world(np.argwhere(np.ones(moved.t1.grid.shape)))
    there = places @ moved.motion[:3, :3].T + moved.motion[:3, 3]
    image = moved.t1.data.ravel()
    agree = {}
    for name, points in (("told", there), ("unmoved", places)):
        depth = np.abs(np.min(list(moved.anatomy.bones(points).values()), axis=0))
        near = depth < 6  # the cortex is dark, what lies to either side of it less so
        agree[name] = np.corrcoef(image[near], depth[near])[0, 1]
    assert agree["told"] > agree["unmoved"] + 0.15


def test_the_exam_as_files(moved: Phantom, tmp_path: Path) -> None:
    write_phantom(moved, tmp_path / "exam")
    series = {}
    for path in (tmp_path / "exam" / "study").iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        series[int(header.SeriesNumber)] = (header.SeriesDescription, header.SliceThickness)
    assert series == {
        1: ("LOCALIZER", 6.0),
        2: ("SAG PD FS", 3.0),
        3: ("COR T1", 4.0),
        4: ("SAG PD", 3.0),
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"matrix": 100.5}, "matrix as a whole number"),
        ({"slices": "many"}, "slices as a number; got 'many'"),
        ({"pixel_mm": float("nan")}, "pixel_mm as a number"),
        ({"thickness_mm": float("inf")}, "thickness_mm as a number"),
        ({"tilt_deg": (1.0, 2.0, 3.0)}, "tilt_deg as two angles"),
        ({"snr": (9.0, 7.0)}, "snr as"),
        ({"shift_px": None}, "shift_px as a number"),
    ],
)
def test_impossible_values_are_refused_by_name(change: dict, named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        replace(QUICK, **change)


def _table(**change: object) -> dict:
    echo = {"technique": "spin_echo", "tr_ms": 600, "te_ms": 12}
    stir = {"technique": "inversion", "tr_ms": 4000, "te_ms": 45, "ti_ms": 160}
    cut = {"plane": "sagittal", "matrix": 64, "pixel_mm": 2.0, "slices": 4}
    thin = {"thickness_mm": 3.0, "gap_mm": 0.3}
    return {"name": "x", "site": "knee", "t1": echo, "t2fs": stir, **cut, **thin, **change}


def test_a_table_may_cut_t1_otherwise() -> None:
    own = {"plane": "axial", "matrix": 32, "pixel_mm": 4.0, "slices": 5}
    found = parse_protocol(_table(t1_slices={**own, "thickness_mm": 5.0, "gap_mm": 1.0}))
    assert isinstance(found, Protocol)
    assert found.for_t1() == Slices("axial", 32, 4.0, 5, 5.0, 1.0)
    assert parse_protocol(_table()).for_t1().plane == "sagittal"


def test_every_protocol_to_copy_can_be_read() -> None:
    paths = sorted((Path(__file__).parents[2] / "configs" / "phantom").glob("*.toml"))
    found = {path.stem: parse_protocol(tomllib.loads(path.read_text())) for path in paths}
    assert all(scan.name == name for name, scan in found.items())
    assert found["knee_dixon_3t"].for_t1().plane == "coronal"
    assert found["lumbar_low_field"].t2fs.field_t == 0.3


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"t1": 5}, BadSettings, "a table with technique"),
        ({"snr": 7.0}, BadSettings, "snr as two numbers"),
        ({"t1_slices": {"plane": "axial", "mould": 1}}, UnknownChoice, "matrix"),
        ({"t1_slices": {"plane": "axial"}}, BadSettings, "matrix"),
        (
            {"t1": {"technique": "spin_echo", "tr_ms": "600", "te_ms": 12}},
            BadSettings,
            "tr_ms as a number",
        ),
        ({"t1": {"technique": "spin_echo", "tr_ms": 600, "te_ms": -12}}, BadSettings, "te_ms"),
        (
            {"t2fs": {"technique": "inversion", "tr_ms": 400, "te_ms": 9, "ti_ms": 500}},
            BadSettings,
            "ti_ms between",
        ),
        ({"pixel_mm": 0}, BadSettings, "pixel_mm above 0"),
    ],
)
def test_impossible_tables_are_refused_by_name(
    change: dict, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        parse_protocol(_table(**change))
