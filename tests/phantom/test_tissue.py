"""The signals: ratios to yellow marrow as in the literature's table, and impossible sequences."""

from __future__ import annotations

import pytest

from bmepipe.errors import BadSettings
from bmepipe.phantom.tissue import (
    EDEMA_GRADES,
    Sequence,
    Technique,
    fat_weight,
    image_signal,
    signals,
)

T1 = Sequence(Technique.SPIN_ECHO, 600, 12)
STIR_1_5 = Sequence(Technique.INVERSION, 4000, 45, 160)
STIR_3 = Sequence(Technique.INVERSION, 4000, 45, 225, field_t=3.0)
PD_FS = Sequence(Technique.FAT_SAT, 3200, 30)
T2_FS = Sequence(Technique.FAT_SAT, 4000, 65)

# Ratio to yellow marrow: T1, STIR at 1.5 T, STIR at 3 T, PD-FS, T2-FS, T2-FS with failed fat-sat.
RATIOS = {
    "red_marrow": (0.62, 0.91, 0.92, 1.75, 0.9, 0.5),
    "muscle": (0.34, 1.5, 2.0, 3.3, 2.1, 0.36),
    "cartilage": (0.33, 1.6, 2.1, 3.5, 2.5, 0.4),
    "fluid": (0.25, 5.7, 7.7, 6.5, 12, 2.0),
    "vein": (0.4, 4.9, 6.4, 7, 10, 1.6),
    "disc": (0.4, 3.3, 4.7, 5.9, 7.4, 1.2),
    "disc_dry": (0.4, 1.0, 1.1, 3.0, 2.7, 0.45),
    "sclerosis": (0.21, 0.26, 0.31, 0.64, 0.27, 0.15),
    "edema": (0.58, 3.2, 4.5, 5.4, 6.3, 1.2),
}
GRADES = {
    "mild": (0.83, 1.4, 1.7, 2.3, 2.0, 0.9),
    "moderate": (0.70, 2.1, 2.7, 3.6, 3.6, 0.97),
    "intense": (0.58, 3.2, 4.5, 5.4, 6.3, 1.2),
}


def _column(name: str) -> list[float]:
    plain = [image_signal(name, s) for s in (T1, STIR_1_5, STIR_3, PD_FS, T2_FS)]
    return [*plain, image_signal(name, T2_FS, residual_fat=0.6)]


@pytest.mark.parametrize("name", RATIOS)
def test_ratio_to_yellow_marrow(name: str) -> None:
    marrow = _column("yellow_marrow")
    found = [a / b for a, b in zip(_column(name), marrow, strict=True)]
    assert found == pytest.approx(RATIOS[name], rel=0.15)


@pytest.mark.parametrize("grade", GRADES)
def test_edema_grades(grade: str) -> None:
    pairs = zip(_column(EDEMA_GRADES[grade]), _column("yellow_marrow"), strict=True)
    assert [a / b for a, b in pairs] == pytest.approx(GRADES[grade], rel=0.15)


def test_failed_fat_suppression_is_five_to_six_times_brighter() -> None:
    failed = image_signal("yellow_marrow", T2_FS, residual_fat=0.6)
    assert 5 <= failed / image_signal("yellow_marrow", T2_FS) <= 6


def test_fat_is_nulled_before_water_recovers() -> None:
    water, fat = signals("fat", STIR_1_5)
    assert water < 0
    assert abs(fat) < 0.2
    assert fat_weight(STIR_1_5) == 1.0


def test_low_field_stir_shows_edema() -> None:
    low = Sequence(Technique.INVERSION, 2500, 30, 110, field_t=0.3)
    assert image_signal("edema", low) > 1.5 * image_signal("yellow_marrow", low)


def test_dixon_water_and_fat_share_the_signal() -> None:
    water = Sequence(Technique.DIXON_WATER, 3200, 30, residual_fat=0.0)
    fat = Sequence(Technique.DIXON_FAT, 3200, 30, residual_fat=0.0)
    both = Sequence(Technique.IN_PHASE, 3200, 30)
    total = image_signal("red_marrow", both)
    parts = image_signal("red_marrow", water) + image_signal("red_marrow", fat)
    assert parts == pytest.approx(total)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"tr_ms": 0}, "tr_ms"),
        ({"te_ms": -12}, "te_ms"),
        ({"te_ms": 700}, "te_ms shorter"),
        ({"ti_ms": 160}, "ti_ms 0 without"),
        ({"technique": Technique.INVERSION}, "ti_ms between"),
        ({"technique": Technique.INVERSION, "ti_ms": 900}, "ti_ms between"),
        ({"residual_fat": 1.2}, "residual_fat"),
        ({"field_t": 7}, "field_t among 0.3, 1.5, 3"),
    ],
)
def test_impossible_sequences_are_refused_by_name(values: dict, named: str) -> None:
    row = {"technique": Technique.SPIN_ECHO, "tr_ms": 600, "te_ms": 12, **values}
    with pytest.raises(BadSettings, match=named):
        Sequence(**row)
