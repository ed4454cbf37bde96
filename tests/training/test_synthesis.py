"""Synthetic images: the same seed gives the same, bones stay where they are, nothing outside."""

from __future__ import annotations

import math

import pytest
import torch

from bmepipe.training.acquisition import acquire, gaussian_rows, slice_rows
from bmepipe.training.appearance import (
    CONTRASTS,
    add_cortex,
    banded,
    cluttered,
    dress,
    flooded,
    paint,
)
from bmepipe.training.chance import noise, smooth_field
from bmepipe.training.geometry import (
    View,
    bend_aside,
    doubled,
    flex,
    random_affine,
    random_points,
)
from bmepipe.training.samples import SourceGroup, altered, load_groups, mirrored, samples, stack
from bmepipe.training.sources import Source
from bmepipe.training.synthesis import Sample, look_up, pack, synthesise, synthesise_several
from bmepipe.training.tissues import LAST_BONE, TISSUES

SHAPE = (16, 24, 20)


def generator(seed: int) -> torch.Generator:
    rng = torch.Generator()
    rng.manual_seed(seed)
    return rng


def made(joint: Source, seed: int) -> Sample:
    return synthesise(pack(joint, "cpu"), SHAPE, generator(seed))


def test_the_same_seed_gives_the_same_sample(joint: Source) -> None:
    first, again, other = made(joint, 3), made(joint, 3), made(joint, 4)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.bones, again.bones)
    assert torch.equal(first.inside, again.inside)
    assert not torch.equal(first.image, other.image)


def test_images_are_what_the_network_is_shown(joint: Source) -> None:
    for seed in range(8):
        one = made(joint, seed)
        assert one.image.shape == one.bones.shape == one.inside.shape == SHAPE
        assert one.image.isfinite().all()
        assert float(one.image.min()) >= 0
        assert float(one.image.max()) <= 2
        assert set(one.bones.unique().tolist()) <= {0, TISSUES["femur"], TISSUES["tibia"]}
        assert (one.bones > 0).any()


def test_outside_the_field_of_view_there_is_nothing(joint: Source) -> None:
    cut = [one for one in (made(joint, seed) for seed in range(8)) if not one.inside.all()]
    assert cut
    for one in cut:
        assert one.inside.any()
        assert not one.image[~one.inside].any()


def test_points_are_looked_up_where_they_lie(joint: Source) -> None:
    packed = pack(joint, "cpu")
    points = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 20, -20, 500]])[:, :, None, None]
    found = look_up(packed, points, packed.centres[0]).labels.flatten().tolist()
    assert found == [TISSUES[name] for name in ("cartilage", "femur", "tibia", "femur")]


def test_bones_stay_inside_their_tissue(joint: Source) -> None:
    """Whatever is made up around them, a bone's voxel becomes at most its cortex."""
    packed = pack(joint, "cpu")
    points = torch.stack(torch.meshgrid(*[torch.arange(-30.0, 30, 2)] * 3, indexing="ij"))
    tissues = look_up(packed, points, packed.centres[0])
    bone = (tissues.labels > 0) & (tissues.labels <= LAST_BONE)
    for seed in range(6):
        rng = generator(seed)
        dressed = dress(tissues, False, rng, "cpu")
        assert torch.equal(dressed[bone], tissues.labels[bone])
        assert not ((dressed > 0) & (dressed <= LAST_BONE) & ~bone).any()
        shelled = add_cortex(dressed, tissues.bone_depth, points[2], rng, "cpu")
        assert torch.equal(shelled[~bone], dressed[~bone])
        assert set(shelled[bone].tolist()) <= {1, 2, TISSUES["cortex"]}


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_contrast_can_be_painted(joint: Source, contrast: str) -> None:
    packed = pack(joint, "cpu")
    points = torch.stack(torch.meshgrid(*[torch.arange(-16.0, 16, 1)] * 3, indexing="ij"))
    labels = look_up(packed, points, packed.centres[0]).labels
    signal = paint(labels, (labels > 0) & (labels <= LAST_BONE), contrast, generator(1), "cpu")
    assert signal.shape == labels.shape
    assert signal.isfinite().all()
    assert not signal[labels == 0].any()  # air


def test_blurring_keeps_the_mean_and_halves_the_grid() -> None:
    rows = gaussian_rows(40, 1.5)
    assert rows.shape == (20, 40)
    torch.testing.assert_close(rows.sum(1), torch.ones(20))
    ramp = rows @ torch.arange(40.0)
    torch.testing.assert_close(ramp[5:15].diff(), torch.full((9,), 2.0), atol=1e-3, rtol=0)


@pytest.mark.parametrize("thick_mm", [1.0, 3.3, 5.2])
def test_slices_are_cut_and_spread_in_place(thick_mm: float) -> None:
    cut, spread = slice_rows(60, 1.0, thick_mm, thick_mm * 1.2, 0.4)
    torch.testing.assert_close(cut.sum(1), torch.ones(len(cut)))
    torch.testing.assert_close(spread.sum(1), torch.ones(30))
    ramp = spread @ (cut @ (torch.arange(60.0) + 0.5))
    middle = slice(6, 24)  # the ends repeat the first and last slice
    expected = (torch.arange(30.0) + 0.5) * 2
    torch.testing.assert_close(ramp[middle], expected[middle], atol=0.6, rtol=0)


def test_an_image_is_half_as_fine_as_its_tissue() -> None:
    for seed in range(6):
        image, inside, lit = acquire(torch.rand(24, 40, 32), generator(seed), "cpu", View())
        assert image.shape == inside.shape == lit.shape == (12, 20, 16)
        assert not image[~inside].any()


def test_noise_follows_the_seed() -> None:
    first, second = (noise((4, 5, 6), torch.Generator().manual_seed(8), "cpu") for _ in range(2))
    assert torch.equal(first, second)
    assert abs(float(noise((40, 40, 40), torch.Generator().manual_seed(8), "cpu").std()) - 1) < 0.02


def test_smooth_fields_have_unit_spread() -> None:
    fields = smooth_field((20, 24, 16), 4, generator(5), "cpu", channels=40)
    assert 0.7 < float(fields.std()) < 1.3
    assert doubled(fields).shape == (40, 40, 48, 32)


def test_affine_maps_keep_a_knee_a_knee() -> None:
    """No sample is squeezed or blown up beyond what people differ by."""
    sizes = [float(random_affine(generator(n), "cpu").det().abs()) for n in range(50)]
    assert min(sizes) > 0.2
    assert max(sizes) < 4.0
    signs = {float(random_affine(generator(n), "cpu").det().sign()) for n in range(20)}
    assert signs == {-1.0, 1.0}  # left and right knees


def test_flexing_turns_what_lies_below_the_joint_only() -> None:
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [100.0, -100.0]])
    bent = flex(points, 0.5)
    torch.testing.assert_close(bent[:, 0], points[:, 0], atol=1e-3, rtol=0)
    assert float(bent[1, 1]) == pytest.approx(100 * math.sin(0.5), abs=0.1)
    torch.testing.assert_close(bent.norm(dim=0), points.norm(dim=0))


def test_a_bend_to_the_side_turns_what_lies_below_and_twists_the_bend() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 10.0], [150.0, -100.0, 20.0]])
    bent = bend_aside(points, 0.3, 20.0, 25.0)
    torch.testing.assert_close(bent[:, 0], points[:, 0], atol=1e-3, rtol=0)
    # 120 mm below the bend.
    assert bent[:, 1].tolist() == pytest.approx(
        [120 * math.sin(0.3), 0.0, 20 - 120 * math.cos(0.3)], abs=0.1
    )
    # In the bend itself nothing but the twist, about the spine's own axis.
    assert bent[:, 2].tolist() == pytest.approx(
        [-10 * math.sin(0.15), 10 * math.cos(0.15), 20.0], abs=0.1
    )


def test_a_spine_that_bends_and_warps_differs_from_one_that_does_not() -> None:
    plain = random_points(SHAPE, generator(4), "cpu", View())
    bent = random_points(SHAPE, generator(4), "cpu", View(side_bend_deg=10.0))
    warped = random_points(SHAPE, generator(4), "cpu", View(warp_mm=10.0))
    assert float((bent - plain).norm(dim=0).max()) > 2
    assert float((warped - plain).norm(dim=0).max()) > 1


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_bands_of_disease_lie_along_cartilage_only(contrast: str) -> None:
    labels = torch.full((12, 12, 40), TISSUES["femur"], dtype=torch.int16)
    labels[:, :, 4] = TISSUES["cartilage"]
    seen = 0.0
    for seed in range(12):
        change = torch.zeros((1, 12, 12, 40))
        made = banded(change, labels, 0.8, contrast, generator(seed), "cpu")
        assert not made[..., 13:].any()  # 14 mm and one voxel of softening
        assert float((0.8 + made).min()) >= -1e-6
        seen = max(seen, float(made.abs().max()))
    assert seen > 0.05


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_flooded_region_is_large_and_of_one_grey(contrast: str) -> None:
    most = 0.0
    for seed in range(12):
        made = flooded(torch.zeros((1, 24, 20, 28)), 0.8, contrast, generator(seed), "cpu")
        assert float((0.8 + made).min()) >= -1e-6
        changed = made.abs() > 0.5 * made.abs().max()
        most = max(most, float(changed.float().mean()))
    assert most > 0.3


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_clutter_leaves_bones_and_joints_alone(contrast: str) -> None:
    labels = torch.full((24, 24, 24), TISSUES["fat"], dtype=torch.int16)
    labels[:12], labels[12:14] = TISSUES["femur"], TISSUES["cortex"]
    labels[14:16] = TISSUES["cartilage"]
    signal = torch.rand(labels.shape, generator=generator(0))
    changed = 0
    for seed in range(6):
        made = cluttered(signal, labels, 0.8, contrast, generator(seed), "cpu")
        assert torch.equal(made[:16], signal[:16])
        changed += int(not torch.equal(made, signal))
    assert changed


def test_one_position_is_painted_in_several_contrasts(joint: Source) -> None:
    first, second = synthesise_several(pack(joint, "cpu"), SHAPE, generator(6), 2)
    assert not torch.equal(first.image, second.image)
    shared = (first.bones > 0) & (second.bones > 0)
    assert shared.any()
    assert torch.equal(first.bones[shared], second.bones[shared])


def test_an_altered_batch_keeps_its_bones(joint: Source) -> None:
    batch = stack([made(joint, 1)])
    image, bones, inside = altered(batch, generator(2))
    assert not torch.equal(image, batch[0])
    assert torch.equal(bones, batch[1])
    assert torch.equal(inside, batch[2])
    assert not image[:, 0][~inside].any()
    assert float(image.min()) >= 0
    assert float(image.max()) <= 2


def test_oblique_coronal_scans_lean_to_the_front() -> None:
    """With a mean tilt of -40 degrees the scan's upper end is in front of its lower end."""
    view = View(shift_mm=0.0, tilt_mean_rad=-0.7, turn_rad=0.0)
    steps = []
    for seed in range(10):
        points = random_points((4, 4, 40), generator(seed), "cpu", view)
        steps.append((points[:, 2, 2, -1] - points[:, 2, 2, 0])[1:])
    ahead, up = torch.stack(steps).median(0).values.tolist()
    assert math.atan2(ahead, up) == pytest.approx(0.7, abs=0.3)


def test_mirrored_batches_are_mirrored_together(joint: Source) -> None:
    image, bones, inside = batch = stack([made(joint, 1), made(joint, 2)])
    assert image.shape == (2, 1, *SHAPE)
    turned = mirrored(batch)
    assert torch.equal(turned[0][:, :, 0], image[:, :, -1])
    assert torch.equal(turned[1][:, 0], bones[:, -1])
    assert torch.equal(turned[2][:, 0], inside[:, -1])


def test_a_group_that_is_not_labelled_shows_no_bone(joint_file: object) -> None:
    (group,) = load_groups((SourceGroup(str(joint_file), labelled=False),))
    assert not samples(group, SHAPE, generator(0), 1)[0].bones.any()


def test_targets_name_the_labels_and_leave_out_the_other_bones(joint_file: object) -> None:
    (group,) = load_groups((SourceGroup(str(joint_file)),), ("patella", "tibia+fibula"))
    every = load_groups((SourceGroup(str(joint_file)),))[0]
    plain = samples(every, SHAPE, generator(1), 1)[0].bones
    made = samples(group, SHAPE, generator(1), 1)[0].bones
    assert plain.any()
    assert torch.equal(made == 1, plain == TISSUES["patella"])
    assert torch.equal(made == 2, (plain == TISSUES["tibia"]) | (plain == TISSUES["fibula"]))
    assert not made[plain == TISSUES["femur"]].any()


def test_slices_are_stacked_along_the_planes_of_the_view() -> None:
    striped = torch.zeros(40, 40, 40)
    striped[::8] = 1.0  # only thick slices along x blur these stripes
    thick = [
        float(acquire(striped, generator(n), "cpu", View(planes=planes))[0].std(0).mean())
        for n in range(8)
        for planes in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    ]
    assert sum(thick[::2]) < sum(thick[1::2])
