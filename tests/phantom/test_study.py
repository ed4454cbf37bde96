"""Whole phantoms, on coarse matrices: same bytes, true volumes, sound label maps, refusals."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from bmepipe.errors import BadSettings, UnknownChoice
from bmepipe.phantom.anatomy import make_anatomy, phantom_sites
from bmepipe.phantom.lesions import (
    LOOK_ALIKES,
    PARTIAL_VOLUME,
    REGIONAL,
    check_confounders,
    confounder_names,
)
from bmepipe.phantom.protocol import Protocol, coarse, parse_protocol, site_protocol
from bmepipe.phantom.study import Phantom, diseased_anatomy, make_phantom
from bmepipe.phantom.tissue_map import tissue_map
from bmepipe.phantom.truth import lesion_ml
from bmepipe.site import load_site

QUICK = coarse(site_protocol("knee"), 6)


def _quick(site: str) -> Protocol:
    return coarse(site_protocol(site), 6)


@pytest.fixture(scope="module")
def knee() -> Phantom:
    return make_phantom("knee", 3, protocol=QUICK, confounders=["cyst", "fat_sat_failure"])


@pytest.mark.parametrize("site", phantom_sites())
def test_same_seed_same_bytes_and_another_seed_another_person(site: str) -> None:
    thin = replace(_quick(site), slices=2)
    first, again, other = (make_phantom(site, seed, protocol=thin) for seed in (5, 5, 6))
    assert first.t1.data.tobytes() == again.t1.data.tobytes()
    assert first.t2fs.data.tobytes() == again.t2fs.data.tobytes()
    assert first.edema.data.tobytes() == again.edema.data.tobytes()
    assert first.measurements == again.measurements
    assert first.t1.data.tobytes() != other.t1.data.tobytes()


def test_rows_agree_with_the_mask_and_the_lesions(knee: Phantom) -> None:
    voxel = knee.edema.grid.voxel_ml
    total = sum(row.edema_ml or 0 for row in knee.measurements)
    assert total >= 0.5
    assert knee.edema.data.sum() * voxel == pytest.approx(total, rel=0.15)
    assert sum(lesion.lesion_ml for lesion in knee.lesions) == pytest.approx(total, rel=0.05)
    for row in knee.measurements:
        assert row.lesion_count == sum(lesion.bone == row.bone for lesion in knee.lesions)


def test_edema_does_not_cross_the_joint() -> None:
    anatomy = diseased_anatomy("knee", 7)  # a large lesion of the femur, right above the tibia
    large = max(anatomy.blemishes, key=lambda blemish: blemish.radii_mm.max())
    alone = replace(anatomy, blemishes=(large,))
    rng = np.random.default_rng(1)
    points = large.centre_mm + rng.uniform(-25, 25, (200_000, 3))
    f = alone.fields(points)
    held = f["border.edema"] < 0
    assert held.any()
    assert f[f"bone.{large.bone}"][held].max() <= 0


def test_bones_are_whole_and_in_the_image(knee: Phantom) -> None:
    assert set(np.unique(knee.bones.data)) == {0, 1, 2, 3, 4}
    sizes = {row.bone: row.bone_ml for row in knee.measurements}
    assert 80 < sizes["femur"] < 330
    assert 60 < sizes["tibia"] < 260
    assert 8 < sizes["patella"] < 35


def test_edema_is_brighter_and_darker_as_it_must_be(knee: Phantom) -> None:
    sound = (knee.bones.data > 0) & (knee.confounders.data == 0) & ~knee.edema.data
    sick = knee.edema.data & ~knee.not_assessable.data
    assert np.median(knee.t2fs.data[sick]) > 1.4 * np.median(knee.t2fs.data[sound])
    # Most voxels of so coarse a matrix hold some cortex, which is dark: the upper ones are marrow.
    assert np.median(knee.t1.data[sick]) < 0.92 * np.percentile(knee.t1.data[sound], 90)


def test_look_alikes_and_failed_fat_saturation_are_labelled(knee: Phantom) -> None:
    labels = set(np.unique(knee.confounders.data)) - {0}
    assert labels == {LOOK_ALIKES["cyst"].label, REGIONAL["fat_sat_failure"], PARTIAL_VOLUME}
    failed = knee.not_assessable.data
    marrow = (knee.bones.data > 0) & ~knee.edema.data & (knee.confounders.data != 3)
    assert np.median(knee.t2fs.data[failed & marrow]) > 1.5 * np.median(
        knee.t2fs.data[marrow & ~failed]
    )


def test_bone_that_shares_its_voxels_with_the_joint_is_labelled(knee: Phantom) -> None:
    shared = knee.confounders.data == PARTIAL_VOLUME
    bone = knee.bones.data > 0
    assert bone[shared].all()
    assert 0.002 < shared.sum() / bone.sum() < 0.1
    rim = bone & ~ndimage.binary_erosion(bone)
    assert rim[shared].mean() > 0.9
    # Fluid and cartilage are bright, the cortex that the other voxels of the rim hold is not.
    cortical = rim & ~shared & ~knee.edema.data & (knee.confounders.data == 0)
    assert np.median(knee.t2fs.data[shared]) > 1.3 * np.median(knee.t2fs.data[cortical])


def test_growth_plates_are_bright_lines_with_their_own_label() -> None:
    thin = replace(QUICK, slices=6)
    found = make_phantom("knee", 8, healthy=True, confounders=["growth_plate"], protocol=thin)
    plate = found.confounders.data == REGIONAL["growth_plate"]
    assert set(np.unique(found.bones.data[plate])) <= {1, 2}
    plain = (found.bones.data > 0) & ~plate
    assert np.median(found.t2fs.data[plate]) > 1.2 * np.median(found.t2fs.data[plain])
    assert found.anatomy.person.age_years < 16


@pytest.mark.parametrize("name", ["growth_plate", "fat_sat_failure"])
def test_what_a_stir_of_a_grown_spine_cannot_show_is_refused(name: str) -> None:
    with pytest.raises(UnknownChoice, match="haemangioma"):
        make_phantom("lumbar", 1, confounders=[name])


def test_fatty_marrow_is_bright_on_t1_and_dark_on_stir() -> None:
    scan = replace(coarse(site_protocol("lumbar"), 4), slices=13)
    found = make_phantom("lumbar", 3, healthy=True, confounders=["fatty_marrow"], protocol=scan)
    fatty = found.confounders.data == LOOK_ALIKES["fatty_marrow"].label
    plain = (found.bones.data > 0) & ~fatty
    # It lies at the surface, so that half of its voxels hold cortex.
    assert np.percentile(found.t1.data[fatty], 75) > 1.05 * np.median(found.t1.data[plain])
    assert np.median(found.t2fs.data[fatty]) < 1.35 * np.median(found.t2fs.data[plain])
    with pytest.raises(UnknownChoice, match="cyst"):
        make_phantom("knee", 1, confounders=["fatty_marrow"])


def test_other_series_of_the_exam_have_bright_fat(knee: Phantom) -> None:
    (contrast, volume), *rest = knee.others
    assert rest == []
    marrow = (knee.bones.data > 0) & ~knee.edema.data & ~knee.not_assessable.data
    ratio = np.median(volume.data[marrow]) / volume.data.max()
    assert ratio > 2 * np.median(knee.t2fs.data[marrow]) / knee.t2fs.data.max()
    assert contrast.te_ms == knee.protocol.t2fs.te_ms


def test_an_exam_can_hold_other_planes() -> None:
    scan = replace(QUICK, slices=3)
    found = make_phantom("knee", 9, healthy=True, protocol=scan, extra_planes=["coronal"])
    assert [volume.grid.plane for _, volume in found.others] == ["coronal", "sagittal"]


def test_healthy_has_no_edema() -> None:
    found = make_phantom("knee", 101, healthy=True, protocol=replace(QUICK, slices=5))
    assert not found.edema.data.any()
    assert found.lesions == ()
    assert all(row.edema_ml == 0 for row in found.measurements)


@pytest.mark.parametrize("site", ["knee", "ankle", "cervical", "shoulder"])
def test_volume_agrees_with_an_independent_finer_count(site: str) -> None:
    anatomy = diseased_anatomy(site, 2)
    for blemish in anatomy.blemishes:
        rng = np.random.default_rng(0)
        reach = blemish.reach_mm
        points = blemish.centre_mm + rng.uniform(-reach, reach, (1_000_000, 3))
        canonical = anatomy.person.to_canonical(points)
        rough = anatomy.person.noise("mid", canonical)
        inside = points[blemish.distance(points.astype(np.float32), rough) < 0]
        f = anatomy.fields(inside)
        held = (f[f"bone.{blemish.bone}"] + f[f"cortex.{blemish.bone}"] < 0).sum()
        share = held / len(points)
        counted = share * (2 * reach) ** 3 / 1000
        doubt = 3 * np.sqrt((1 - share) / held)
        assert lesion_ml(anatomy, blemish) == pytest.approx(counted, rel=max(0.01, doubt))


@pytest.mark.parametrize("site", phantom_sites())
def test_bones_never_overlap_and_none_is_empty(site: str) -> None:
    for seed in range(3):
        anatomy = make_anatomy(site, seed)
        reach = anatomy.plan.REACH_MM
        half = np.arange(-reach, reach + 1, reach / 18)
        box = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
        inside = np.array([d < 0 for d in anatomy.bones(box + anatomy.centre_mm).values()])
        assert inside.sum(0).max() == 1
        assert inside.any(1).all()


@pytest.mark.parametrize("site", phantom_sites())
def test_every_site_has_bones_edema_and_its_labels(site: str) -> None:
    factor = 4 if site == "cervical" else 8  # the arches of the neck are thin
    scan = replace(coarse(site_protocol(site), factor), slices=site_protocol(site).slices)
    found = make_phantom(site, 2, protocol=scan)
    known = {bone.name: bone.label for bone in load_site(site).bones}
    assert set(np.unique(found.bones.data)) - {0} == {known[row.bone] for row in found.measurements}
    assert sum(row.edema_ml or 0 for row in found.measurements) >= 0.4
    for row in found.measurements:
        counted = (found.bones.data == known[row.bone]).sum() * found.bones.grid.voxel_ml
        assert counted == pytest.approx(row.bone_ml, rel=0.2)


@pytest.mark.parametrize("site", phantom_sites())
def test_configs_hold_the_protocols(site: str) -> None:
    path = Path(__file__).parents[2] / "configs" / "phantom" / f"{site}.toml"
    assert parse_protocol(tomllib.loads(path.read_text())) == site_protocol(site)


@pytest.mark.parametrize("site", phantom_sites())
def test_tissue_map_names_every_label(site: str) -> None:
    labels, affine, names = tissue_map(site, 1, spacing_mm=6.0)
    assert set(np.unique(labels)) <= set(names)
    assert affine[0, 0] == 6.0
    marrow = {label for label, name in names.items() if name.startswith("marrow.")}
    assert len(marrow & set(np.unique(labels))) >= len(marrow) - 1


def test_planes_and_obliques_see_the_same_edema() -> None:
    volumes = []
    for plane, tilt in (("sagittal", (0, 0)), ("coronal", (0, 0)), ("axial", (12, 9))):
        scan = replace(QUICK, plane=plane, tilt_deg=tilt, slices=40)
        rows = make_phantom("knee", 4, protocol=scan).measurements
        volumes.append(sum(row.edema_ml or 0 for row in rows))
    assert volumes == pytest.approx([volumes[0]] * 3, rel=0.02)


def test_right_and_left_knees_are_mirror_images_in_the_patient() -> None:
    sides = {}
    for seed in range(4):
        anatomy = make_anatomy("knee", seed)
        half = np.arange(-60.0, 61.0, 5.0)
        box = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
        points = box + anatomy.centre_mm
        found = anatomy.bones(points)
        lateral = points[found["fibula"] < 0, 0].mean() - points[found["tibia"] < 0, 0].mean()
        ahead = points[found["patella"] < 0, 1].mean() - points[found["femur"] < 0, 1].mean()
        sides[anatomy.person.side] = lateral
        assert ahead > 15
    assert sides["R"] > 10
    assert sides["L"] < -10


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda: make_phantom("elbow", 1), "knee"),
        (lambda: make_phantom("knee", 1, confounders=["gout"]), "haemangioma"),
        (lambda: site_protocol("elbow"), "knee"),
        (lambda: parse_protocol({"colour": 1}), "matrix"),
        (lambda: parse_protocol({"t1": {"technique": "magic"}}), "spin_echo"),
        (lambda: replace(QUICK, plane="upside down"), "sagittal"),
    ],
)
def test_unknown_names_list_the_known_ones(call, known: str) -> None:
    with pytest.raises(UnknownChoice, match=known):
        call()


@pytest.mark.parametrize(
    "change",
    [
        {"pixel_mm": 0},
        {"matrix": 0},
        {"slices": -1},
        {"thickness_mm": 0},
        {"gap_mm": -0.3},
        {"snr": (0, 3)},
    ],
)
def test_impossible_protocols_are_refused_by_name(change: dict) -> None:
    with pytest.raises(BadSettings, match=next(iter(change))):
        replace(QUICK, **change)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(BadSettings, match="a seed of 0 or more; got -1"):
        make_phantom("knee", -1, protocol=QUICK)


def test_a_protocol_with_a_missing_key_is_refused() -> None:
    echo = {"technique": "spin_echo", "tr_ms": 600, "te_ms": 12}
    with pytest.raises(BadSettings, match="matrix"):
        parse_protocol({"name": "x", "site": "knee", "plane": "axial", "t1": echo, "t2fs": echo})


def test_all_means_all() -> None:
    assert confounder_names() == sorted([*LOOK_ALIKES, *REGIONAL])
    assert check_confounders(["all"]) == tuple(confounder_names())
    assert "growth_plate" not in check_confounders(["all"], growing=False)
