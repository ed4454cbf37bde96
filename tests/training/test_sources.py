"""Shape sources: margins, distances, and what is written is what is read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from bmepipe.errors import BadSettings
from bmepipe.training.arches import with_arches
from bmepipe.training.samples import USES, SampleStream, SourceGroup, load_groups
from bmepipe.training.sources import Source, load_source, make_source
from bmepipe.training.synthesis import pack
from bmepipe.training.tissues import GREYS, LAST_BONE, MUSCLES, TISSUE_COUNT, TISSUES


def test_what_is_written_is_what_is_read(joint: Source, joint_file: Path) -> None:
    stored = load_source(joint_file)
    for field in fields(Source):
        first, again = getattr(joint, field.name), getattr(stored, field.name)
        assert np.array_equal(first, again), field.name


def test_no_half_written_source_is_left(joint_file: Path) -> None:
    assert [path.name for path in joint_file.parent.iterdir()] == [joint_file.name]


def test_distances_are_in_tenths_of_a_millimetre(joint: Source) -> None:
    """Voxels of 2 mm: the first one below a surface has its middle 1 mm from it."""
    x, y, z = np.argwhere(joint.labels == TISSUES["tibia"]).min(0)
    assert joint.bone_depth[x, y + 8, z + 8] == 10
    assert joint.bone_depth[x + 3, y + 8, z + 8] == 70
    assert not joint.bone_depth[joint.labels > LAST_BONE].any()
    top = np.argwhere(joint.labels == TISSUES["cartilage"])[:, 2].max()
    assert joint.joint_distance[x + 8, y + 8, top + 1] == 10
    assert joint.joint_distance[x + 8, y + 8, top] == 0
    assert not joint.body_distance[joint.labels > 0].any()


def test_shafts_go_on_and_air_surrounds(joint: Source) -> None:
    assert joint.labels.shape == (52, 52, 68)
    assert not joint.labels[:6].any()
    assert np.array_equal(joint.labels[:, :, 0], joint.labels[:, :, 6])
    assert joint.labels[26, 26, -1] == TISSUES["femur"]


def test_a_complete_anatomy_goes_on_sideways() -> None:
    labels = np.full((8, 8, 8), TISSUES["muscle_a"], np.uint8)
    source = make_source(labels, 2.0, complete=True, pad_mm=4.0)
    assert (source.labels == TISSUES["muscle_a"]).all()
    assert source.complete


def test_tissues_have_numbers_and_greys_of_their_own() -> None:
    soft = [number for number in TISSUES.values() if number > LAST_BONE]
    assert len(set(soft)) == len(soft)
    # Bones of joints that are never scanned together share numbers; those of one joint never do.
    joints = (
        ("femur", "hip_bone", "sacrum", "vertebra", "arch", "axis"),
        ("tibia", "fibula", "talus", "calcaneus", "navicular", "cuboid"),
        ("humerus", "scapula", "clavicle"), ("femur", "tibia", "patella", "fibula"),
    )  # fmt: skip
    for joint in joints:
        assert len({TISSUES[name] for name in (*joint, "other_bone")}) == len(joint) + 1
    assert max(TISSUES.values()) < TISSUE_COUNT
    assert all(TISSUES[name] > LAST_BONE for name in MUSCLES)
    kinds = set(GREYS["t1"])
    for contrast, greys in GREYS.items():
        assert set(greys) == kinds, contrast
        assert all(0 <= low < high for low, high in greys.values()), contrast


def test_without_any_source_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="prepare_shapes"):
        load_groups((SourceGroup(str(tmp_path / "*.npz")),))


def test_a_stream_goes_on_elsewhere_after_a_resumption(joint_file: Path) -> None:
    groups = (SourceGroup(str(joint_file)),)
    first, again, later = (
        next(iter(SampleStream(groups, ((16, 16, 16),), 1, seed=1, start=start)))
        for start in (0, 0, 7)
    )
    assert bool((first[0] == again[0]).all())
    assert not bool((first[0] == later[0]).all())


def test_every_batch_comes_back_mirrored(joint_file: Path) -> None:
    stream = iter(SampleStream((SourceGroup(str(joint_file)),), ((16, 16, 16),), 1, seed=1))
    bones = [next(stream)[1] for _ in range(600)]
    first = bones[0]
    same, twins = (
        sum(bool((later == kind).all()) for later in bones) for kind in (first, first.flip(1))
    )
    # Where both paintings of a position are lit alike, each comes so often.
    assert same == twins
    assert same in (USES // 2, USES)


def test_a_source_may_be_centred_on_one_tissue(joint: Source) -> None:
    centre = np.argwhere(joint.labels == TISSUES["tibia"]).mean(0)
    assert pack(joint, "cpu", "tibia").centres == (pytest.approx(tuple(centre), abs=0.01),)
    # A tissue that is not there leaves the usual centres.
    assert pack(joint, "cpu", "talus").centres == pack(joint, "cpu").centres


def test_vertebrae_behind_the_front_of_the_canal_are_arches() -> None:
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[4:16, 4:26, 5:35] = TISSUES["vertebra"]
    labels[7:13, 8:14] = TISSUES["csf"]
    labels[4:16, 22:26, 30:] = TISSUES["hip_bone"]
    parted = with_arches(labels)
    assert (parted[4:16, 14:22, 5:30] == TISSUES["vertebra"]).all()
    assert (parted[4:16, 4:8, 5:30] == TISSUES["arch"]).all()
    assert (parted[4:7, 8:13, 5:30] == TISSUES["arch"]).all()  # the pedicles' sides
    others = labels != TISSUES["vertebra"]
    assert (parted[others] == labels[others]).all()
    without = np.where(labels == TISSUES["csf"], 0, labels)
    assert (with_arches(without) == without).all()  # no canal to tell by
