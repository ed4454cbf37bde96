"""The choice of the pair on studies made of grids alone, and on the two real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.pairing import choose_pair, find_series
from bmepipe.errors import (
    GridMismatch,
    IrregularSeries,
    NoUsablePair,
    SeriesNotFound,
    TooFewSlices,
)
from bmepipe.io.scan import scan
from bmepipe.site import load_site
from bmepipe.study import FatSuppression, Role, Series, Study, Weighting
from bmepipe.volume import Grid, overlap

AXES = {
    "sagittal": np.array([[0, 0, 4], [0.5, 0, 0], [0, -0.5, 0]]),
    "coronal": np.array([[0.5, 0, 0], [0, 0, 4], [0, -0.5, 0]]),
    "axial": np.array([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 4]]),
}
PIXELS = 240


def grid(plane="sagittal", slices=20, shift_mm=(0, 0, 0)):
    shape = (PIXELS, PIXELS, slices)
    affine = np.eye(4)
    affine[:3, :3] = AXES[plane]
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = np.array(shift_mm) - centre
    return Grid(shape, affine)


def one(number, role, plane="sagittal", **changes):
    fs = role is Role.T2FS
    place = {key: changes.pop(key) for key in ("slices", "shift_mm") if key in changes}
    values = {
        "description": f"{plane} {role}",
        "weighting": Weighting.PD if fs else Weighting.T1,
        "fat_suppression": FatSuppression.SPECTRAL if fs else FatSuppression.NONE,
        "te_ms": 60.0 if fs else 12.0,
        "confidence": 0.9,
        "evidence": ("as made",),
        "frame_of_reference_uid": "1.2",
        "grid": grid(plane, **place),
        **changes,
    }
    return Series(f"9.{number}", (), number=number, role=role, **values)


def study(*series):
    return Study("1", tuple(series))


def taken(choice):
    return choice.t2fs.number, choice.t1.number if choice.t1 else None


FS, T1 = Role.T2FS, Role.T1


def test_of_a_whole_spine_the_series_of_the_site_is_taken():
    made = study(
        one(1, FS, description="STIR SAG HWS", body_part="SPINE"),
        one(2, FS, description="STIR SAG upper", shift_mm=(0, 0, -250)),
        one(3, FS, description="STIR SAG LWS", shift_mm=(0, 0, -500)),
        one(4, T1, description="T1 SAG LWS", shift_mm=(0, 0, -500)),
    )
    assert taken(choose_pair(made, load_site("lumbar"))) == (3, 4)
    assert taken(choose_pair(made, load_site("cervical"))) == (1, None)
    assert taken(choose_pair(study(*made.series[:2]), load_site("lumbar"))) == (2, None)


def test_of_two_knees_the_one_asked_for_is_taken_with_its_own_t1():
    made = study(
        one(1, FS, laterality="L", shift_mm=(-100, 0, 0)),
        one(2, T1, laterality="L", shift_mm=(-100, 0, 0)),
        one(3, FS, laterality="R", shift_mm=(100, 0, 0)),
        one(4, T1, laterality="R", shift_mm=(100, 0, 0)),
    )
    with pytest.raises(NoUsablePair, match="--side left or --side right"):
        choose_pair(made, load_site("knee"))
    choice = choose_pair(made, load_site("knee"), side="right")
    assert taken(choice) == (3, 4)
    assert any("fat-suppressed, of the other side (L)" in line for line in choice.reasons)
    assert taken(choose_pair(made, load_site("knee"), t2fs="1")) == (1, 2)  # named: no question


def test_the_preferred_plane_of_the_site():
    both = study(one(1, FS, "coronal"), one(2, FS), one(3, T1, "coronal"), one(4, T1))
    assert taken(choose_pair(both, load_site("knee"))) == (2, 4)
    assert taken(choose_pair(both, load_site("hip"))) == (1, 3)
    choice = choose_pair(both, None)
    assert taken(choice) == (2, 4)
    assert "site unknown" in choice.reasons[0]


def test_every_other_series_is_accounted_for():
    made = study(
        one(1, Role.LOCALIZER, evidence=("name says 'loc'",)),
        one(2, FS),
        one(3, T1),
        one(4, T1, "axial"),
        one(5, FS, "axial"),
        one(6, FS, refusal="1 slice is missing after slice 3", grid=None),
    )
    reasons = choose_pair(made, load_site("knee")).reasons
    rest = [line for line in reasons if line.startswith("not taken")]
    assert [line.split()[2] for line in rest] == ["1", "4", "5", "6"]
    assert "localizer: name says 'loc'" in rest[0]
    assert "axial, 90 degrees" in rest[1]
    assert "fat-suppressed axial (sagittal before" in rest[2]
    assert "1 slice is missing" in rest[3]


def test_a_plane_with_a_t1_goes_before_the_preferred_one_without():
    made = study(one(1, FS), one(2, FS, "coronal"), one(3, T1, "coronal"))
    assert taken(choose_pair(made, load_site("knee"))) == (2, 3)


def test_without_t1_the_reason_says_so():
    choice = choose_pair(study(one(1, FS)), load_site("knee"))
    assert taken(choice) == (1, None)
    assert any("evidence of T1 is missing" in line for line in choice.reasons)


def test_a_t1_elsewhere_or_of_the_other_side_is_not_taken():
    far = one(2, T1, shift_mm=(300, 0, 0))
    choice = choose_pair(study(one(1, FS), far), None)
    assert choice.t1 is None
    assert "covers 0%" in choice.reasons[-1]
    left = study(one(1, FS, laterality="L"), one(2, T1, laterality="R"))
    assert "other side (R)" in choose_pair(left, None).reasons[-1]


def test_the_same_grid_goes_before_another():
    made = study(one(1, FS), one(2, T1, shift_mm=(0, 0, 9)), one(3, T1))
    assert taken(choose_pair(made, None)) == (1, 3)


def test_another_frame_of_reference_is_a_note():
    choice = choose_pair(study(one(1, FS), one(2, T1, frame_of_reference_uid="7")), None)
    assert taken(choice) == (1, 2)
    assert any("different frames of reference" in line for line in choice.reasons)


def test_partial_cover_is_a_note():
    choice = choose_pair(study(one(1, FS), one(2, T1, shift_mm=(0, 0, 30))), None)
    assert any("the T1 covers 75%" in line for line in choice.reasons)


@pytest.mark.parametrize("name", ["3", "9.3", "9.3#1", "3#1", " 3 "])
def test_named_series_are_taken(name):
    made = study(one(1, FS), one(2, T1), one(3, FS, "axial"), one(4, T1, "axial"))
    choice = choose_pair(made, load_site("knee"), t2fs=name)
    assert taken(choice) == (3, 4)
    assert "named by the user" in choice.reasons[0]


def test_a_named_series_of_another_role_is_taken_and_said():
    silent = one(2, Role.OTHER, description="T2", fat_suppression=FatSuppression.UNKNOWN)
    choice = choose_pair(study(one(1, FS), silent, one(3, T1)), None, t2fs="2")
    assert taken(choice) == (2, 3)
    assert any("not known to be fat-suppressed" in line for line in choice.reasons)


@pytest.mark.parametrize(("role", "weighting"), [(Role.OTHER, Weighting.T2), (T1, Weighting.T1)])
def test_a_named_series_that_keeps_its_fat_is_refused(role, weighting):
    bright = one(2, role, weighting=weighting, fat_suppression=FatSuppression.NONE)
    with pytest.raises(NoUsablePair, match="without fat suppression"):
        choose_pair(study(one(1, FS), bright), None, t2fs="2")


def test_one_series_as_both_is_refused():
    with pytest.raises(NoUsablePair, match="for both"):
        choose_pair(study(one(1, FS), one(2, T1)), None, t2fs="1", t1="1")


@pytest.mark.parametrize("step_mm", [(0.8, 0.8, 0.8), (0.9, 0.9, 0.6)])
def test_a_fine_isotropic_series_goes_with_a_t1_of_any_plane(step_mm):
    affine = np.diag([*step_mm, 1.0])
    affine[:3, 3] = [-40, -50, -45]
    fine = Grid((100, 120, 140), affine)
    assert taken(choose_pair(study(one(1, FS, grid=fine), one(2, T1)), None)) == (1, 2)
    thick = one(1, FS, "axial")
    assert taken(choose_pair(study(thick, one(2, T1)), None)) == (1, None)


def test_named_series_without_overlap_are_refused():
    with pytest.raises(GridMismatch, match="share no point"):
        choose_pair(study(one(1, FS), one(2, T1, shift_mm=(300, 0, 0))), None, t1="2")


def test_unknown_and_ambiguous_names_are_refused():
    parts = [replace(one(1, FS), part=n, parts=2) for n in (1, 2)]
    with pytest.raises(SeriesNotFound, match=r"'1', which stands for 2 of them"):
        find_series(study(*parts), "1")
    assert find_series(study(*parts), "1#2").part == 2
    with pytest.raises(SeriesNotFound, match=r"among 1#1, 1#2 .*got 'x'"):
        find_series(study(*parts), "x")


def test_irregular_and_thin_series_are_refused():
    with pytest.raises(IrregularSeries, match="sheared"):
        choose_pair(study(one(1, FS, refusal="sheared", grid=None)), None, t2fs="1")
    with pytest.raises(TooFewSlices, match="1 'sagittal T2FS' with 1"):
        choose_pair(study(one(1, FS, slices=1), one(2, T1)), None)


def test_without_a_fat_suppressed_series_everything_is_listed():
    made = study(one(1, T1), one(2, Role.OTHER, evidence=("TR 3000", "without fat suppression")))
    with pytest.raises(NoUsablePair) as refusal:
        choose_pair(made, None)
    assert "2 series, none" in str(refusal.value)
    assert "1 'sagittal T1': T1 without a fat-suppressed series" in str(refusal.value)
    assert "2 'sagittal other': other: without fat suppression" in str(refusal.value)


def test_an_unsure_series_comes_last():
    made = study(one(1, FS, confidence=0.5), one(2, FS, "coronal"), one(3, T1))
    assert choose_pair(made, load_site("knee")).t2fs.number == 2


def test_overlap_is_a_part_of_the_first_grid():
    assert overlap(grid(), grid()) == 1
    assert overlap(grid(), grid(shift_mm=(0, 60, 0))) == pytest.approx(0.5, abs=0.01)
    assert overlap(grid(slices=10), grid(slices=20)) == 1


@pytest.mark.parametrize(
    ("name", "site", "pair"), [("knee_dicom", "knee", (3, 6)), ("spine_dicom", "lumbar", (12, 7))]
)
def test_real_studies(shared, name, site, pair):
    folder = shared / "real" / name
    if not folder.is_dir():
        pytest.skip("this study is not on this machine")
    found = scan(folder)
    assert taken(choose_pair(found, load_site(site))) == pair
    assert taken(choose_pair(found, None)) == pair
