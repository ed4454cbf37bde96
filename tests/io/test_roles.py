"""Roles from headers as vendors write them: plain, Dixon, musculoskeletal and misleading ones."""

from __future__ import annotations

import pytest

from bmepipe.io.dixon import dixon_image
from bmepipe.io.roles import HeaderFacts, judge
from bmepipe.study import FatSuppression, Role, Weighting

SIEMENS, GE, PHILIPS = "SIEMENS", "GE MEDICAL SYSTEMS", "Philips Medical Systems"
CANON, UIH, HITACHI = "CANON_MEC", "UIH", "Hitachi Medical Corporation"
T1, FS = Role.T1, Role.T2FS


def facts(vendor, description, tr, te, sequence="SE", options=(), ti=None, kind=(), **more):
    image_type = ("ORIGINAL", "PRIMARY", *kind)
    return HeaderFacts(
        manufacturer=vendor,
        description=description,
        tr_ms=tr,
        te_ms=te,
        ti_ms=ti,
        scanning_sequence=tuple(sequence.split("\\")) if sequence else (),
        scan_options=tuple(options),
        image_type=image_type,
        dixon=dixon_image(image_type, description),
        **more,
    )


# (manufacturer, description, TR, TE, ScanningSequence, ScanOptions, TI, ImageType from the third)
TABLE = [
    (SIEMENS, "SAG T1", 656, 14, "SE", (), None, ("M", "NORM", "DIS2D", "FS", "FIL"), T1),
    (SIEMENS, "t1_tse_sag", 600, 11, "SE", (), None, ("M", "NORM"), T1),
    (SIEMENS, "t1_tse_sag_SAT", 600, 11, "SE", ("SAT1",), None, ("M",), T1),
    (SIEMENS, "pd_tse_fs_sag", 3200, 30, "SE", ("FS",), None, ("M",), FS),
    (SIEMENS, "SAG DP FS .", 3850, 17, "SE", ("PFP", "FS"), None, ("M", "SH"), FS),
    (SIEMENS, "t2_tirm_cor", 4000, 40, "SE\\IR", ("IR",), 160, ("M",), FS),
    (SIEMENS, "t2_tirm_cor_3T", 4500, 42, "IR\\SE", ("IR",), 220, ("M",), FS),
    (SIEMENS, "t2_tirm_tra_dark-fluid", 9000, 90, "SE\\IR", ("IR",), 2500, ("M",), Role.OTHER),
    (SIEMENS, "t2_tse_sag", 3500, 100, "SE", (), None, ("M",), Role.OTHER),
    (SIEMENS, "t1_tse_fs_sag", 650, 11, "SE", ("FS",), None, ("M",), Role.OTHER),
    (SIEMENS, "t1_tse_fs_sag_KM", 650, 11, "SE", ("FS",), None, ("M",), Role.CONTRAST_ENHANCED),
    (SIEMENS, "t2_tse_dixon_sag_W", 3800, 70, "SE", (), None, ("M", "W"), FS),
    (SIEMENS, "t2_tse_dixon_sag_F", 3800, 70, "SE", (), None, ("M", "F"), Role.OTHER),
    (SIEMENS, "t2_tse_dixon_sag_in", 3800, 70, "SE", (), None, ("M", "IN_PHASE"), Role.OTHER),
    (SIEMENS, "t1_tse_dixon_sag_in", 600, 11, "SE", (), None, ("M", "IN_PHASE"), T1),
    (SIEMENS, "t1_tse_dixon_sag_opp", 600, 11, "SE", (), None, ("M", "OPP_PHASE"), Role.OTHER),
    (SIEMENS, "t1_tse_dixon_sag_W", 600, 11, "SE", (), None, ("M", "W"), Role.OTHER),
    (SIEMENS, "localizer", 7.5, 3.3, "GR", (), None, ("M",), Role.LOCALIZER),
    (SIEMENS, "pd_tse_sag_MPR_cor", 1000, 33, "SE", ("FS",), None, ("M", "MPR"), Role.DERIVED),
    (SIEMENS, "ep2d_diff_b50_800", 5000, 60, "EP", ("FS",), None, ("M",), Role.OTHER),
    (SIEMENS, "t2_de3d_we_tra", 14.1, 5, "GR", ("WE",), None, ("M",), Role.OTHER),
    (GE, "SAG T1 FSE", 600, 12, "SE", ("FAST_GEMS", "FSA_GEMS", "SAT_GEMS"), None, (), T1),
    (GE, "SAG PD FS", 3000, 35, "SE", ("FAST_GEMS", "SAT_GEMS", "FS"), None, (), FS),
    (GE, "COR STIR", 4500, 45, "SE\\IR", ("FAST_GEMS",), 150, (), FS),
    (GE, "Water: SAG T2 FLEX", 3500, 68, "SE", ("FAST_GEMS",), None, (), FS),
    (GE, "InPhase: SAG T1 FLEX", 620, 9, "SE", ("FAST_GEMS",), None, (), T1),
    (GE, "Fat: SAG T2 FLEX", 3500, 68, "SE", ("FAST_GEMS",), None, (), Role.OTHER),
    (GE, "SAG T1 FLAIR", 2400, 22, "SE\\IR", ("FAST_GEMS",), 920, (), T1),
    (GE, "3-Plane Localizer", 1000, 81, "SE", ("FAST_GEMS", "SS_GEMS"), None, (), Role.LOCALIZER),
    (PHILIPS, "T1W_TSE_SAG", 550, 15, "SE", (), 0, ("M_SE", "M", "SE"), T1),
    (PHILIPS, "PDW_SPAIR_SAG", 3000, 30, "SE", ("FS",), 0, ("M_SE", "M", "SE"), FS),
    (PHILIPS, "T2W_SPIR_TRA", 3500, 60, "SE", (), 0, ("M_SE", "M", "SE"), FS),
    (PHILIPS, "STIR_longTE", 4000, 80, "IR", (), 140, ("M_IR", "M", "IR"), FS),
    (PHILIPS, "T2W_mDIXON_SAG", 3000, 100, "SE", (), 0, ("W", "W", "DERIVED"), FS),
    (PHILIPS, "T1W_mDIXON_SAG", 600, 12, "SE", (), 0, ("IP", "IP", "DERIVED"), T1),
    (PHILIPS, "T2W_TSE_SAG", 3500, 100, "SE", (), 0, ("M_SE", "M", "SE"), Role.OTHER),
    (PHILIPS, "Survey", 11, 4.6, "GR", (), 0, ("M_FFE", "M", "FFE"), Role.LOCALIZER),
    (PHILIPS, "B0 map", 700, 7, "GR", (), 0, ("PHASE MAP", "P", "FFE"), Role.DERIVED),
    (CANON, "SAG T1", 520, 10, "SE", (), None, (), T1),
    (CANON, "SAG PD FatSat", 2900, 30, "SE", ("FS",), None, (), FS),
    (CANON, "COR STIR", 4200, 48, "SE\\IR", (), 190, (), FS),
    (UIH, "t1_fse_sag", 610, 12, "SE", (), None, ("M",), T1),
    (UIH, "pd_fse_fs_sag", 2800, 36, "SE", ("FS",), None, ("M",), FS),
    (UIH, "t2_fse_wfi_sag_W", 3200, 80, "SE", (), None, ("M", "WATER"), FS),
    (HITACHI, "T1 SAG", 462, 25, "SE", ("SP",), 0, ("OTHER", "AI"), T1),
    (HITACHI, "T2 SAG", 3203, 110, "SE", ("SP", "FC"), 0, ("OTHER", "AI"), Role.OTHER),
    (HITACHI, "STIR SAG", 2000, 25, "IR", (), 110, ("OTHER", "AI"), FS),
    ("", "SAG T1", 600, 12, "", (), None, (), T1),
    ("", "SAG STIR", 4000, 45, "", (), None, (), FS),
    ("", "PD non fs", 3000, 30, "SE", (), None, (), Role.OTHER),
    ("", "post contrast T1 fs", 600, 12, "SE", ("FS",), None, (), Role.CONTRAST_ENHANCED),
    ("", "T1 SAG without contrast", 600, 12, "SE", (), None, (), T1),
    ("", "pre contrast T1", 600, 12, "SE", (), None, (), T1),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{r[0][:4]} {r[1]}" for r in TABLE])
def test_vendor_headers(row):
    vendor, description, tr, te, sequence, options, ti, kind, role = row
    judged = judge(facts(vendor, description, tr, te, sequence, options, ti, kind))
    assert judged.role is role, judged
    assert judged.evidence


def test_enhanced_headers_say_it_in_other_words():
    judged = judge(facts("Siemens", "pd", 3000, 30, suppression="FAT"))
    assert (judged.role, judged.fat_suppression) == (Role.T2FS, FatSuppression.SPECTRAL)
    judged = judge(facts(PHILIPS, "T2", 4000, 60, ti=150, inversion_recovery="YES"))
    assert judged.fat_suppression is FatSuppression.STIR
    judged = judge(facts(PHILIPS, "T1TFE", 600, 10, suppression="WATER"))
    assert judged.fat_suppression is FatSuppression.NONE


def test_inversion_times_of_low_field_are_stir_and_zero_is_none():
    assert judge(facts(HITACHI, "x", 2000, 25, "IR", ti=110)).role is Role.T2FS
    assert judge(facts(HITACHI, "T2", 3000, 100, "SE", ti=0)).role is Role.OTHER


def test_phase_images_and_three_planes_are_excluded():
    assert judge(facts(SIEMENS, "x", 600, 12, component="P")).role is Role.DERIVED
    assert judge(facts(SIEMENS, "x", 600, 12, planes=3)).role is Role.LOCALIZER


def test_contrast_agent_unless_it_is_switched_off():
    assert judge(facts(SIEMENS, "T1", 600, 12, contrast_agent="Dotarem")).role is (
        Role.CONTRAST_ENHANCED
    )
    assert judge(facts(HITACHI, "T1", 600, 12, contrast_agent="off")).role is Role.T1


def test_a_contradiction_lowers_the_confidence_and_is_noted():
    judged = judge(facts(SIEMENS, "t1_tse", 4000, 90))
    assert judged.weighting is Weighting.T2
    assert judged.confidence <= 0.6
    assert judged.notes == ("the name says T1, TR and TE say T2",)
    judged = judge(facts(SIEMENS, "pd_tse_non_fs", 3000, 30, options=("FS",)))
    assert judged.confidence == 0.5
    assert judged.doubtful_fat


def test_a_silent_header_and_name_settle_nothing():
    judged = judge(HeaderFacts(tr_ms=3000, te_ms=60))
    assert (judged.role, judged.doubtful_fat) == (Role.OTHER, True)
    assert judged.fat_suppression is FatSuppression.UNKNOWN


def test_dixon_tokens():
    assert dixon_image(("DERIVED", "PRIMARY", "DIXON", "OUT_PHASE")) == "opposed-phase"
    assert dixon_image(("F", "W")) == ""
    assert dixon_image((), "FatFrac: x") == "fraction"
    assert dixon_image((), "knee: water") == ""
