"""A T1 of fewer slices, a smaller or a turned field: what it misses is told, no bone is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.analysis.align import resample
from bmepipe.analysis.coverage import MOST_UNCOVERED, not_covered, uncovered_share
from bmepipe.analysis.pairing import Choice
from bmepipe.analysis.quality import assess
from bmepipe.bones import bone_model
from bmepipe.intake import load_pair
from bmepipe.io.nifti import series_of
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.pipeline import analyse
from bmepipe.provenance import Stopwatch
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume


@pytest.fixture(scope="module")
def knee() -> Phantom:
    return make_phantom("knee", 5, protocol=coarse(site_protocol("knee"), 2))


def pair_of(phantom: Phantom, first_slices: int) -> Pair:
    """The phantom with a T1 of its first slices only, on its own grid."""
    t1 = phantom.t1.data.copy()
    t1[:, :, first_slices:] = 0
    return Pair(phantom.t2fs, phantom.t1.with_data(np.asfortranarray(t1)), SequenceClass.PD_FS)


def test_what_is_not_covered_is_outside_the_box_of_the_t1(knee: Phantom) -> None:
    pair = pair_of(knee, 27)
    assert pair.t1 is not None
    outside = not_covered(pair.t1, pair.t2fs)
    assert outside[:, :, 27:].all()
    assert not outside[:, :, :27].any()
    assert 0.05 < uncovered_share(pair.t1, pair.t2fs) < MOST_UNCOVERED
    assert uncovered_share(knee.t1, knee.t2fs) == 0
    nothing = Volume(np.zeros_like(knee.t1.data), knee.t1.grid)
    assert uncovered_share(nothing, knee.t2fs) == 1


def test_the_wedges_that_a_turned_t1_leaves_are_not_covered(knee: Phantom) -> None:
    """A box around the signal had held them; they counted as lost signal."""
    affine, shape = knee.t1.grid.affine, knee.t1.grid.shape
    centre = affine[:3, :3] @ (np.array(shape) - 1) / 2 + affine[:3, 3]
    cosine, sine = np.cos(0.25), np.sin(0.25)
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]  # 14 degrees about head to foot
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    grid = Grid(shape, turn @ affine)
    one = knee.t1.with_data(np.ones(shape, np.float32))
    t1, one = (resample(Volume(v.data, grid), knee.t2fs.grid) for v in (knee.t1, one))
    missed, told = one.data == 0, not_covered(t1, knee.t2fs)
    assert 0.05 < missed.mean() < 0.2
    assert not (told & ~missed).any()
    assert (told & missed).sum() > 0.95 * missed.sum()


def test_bones_that_the_t1_covers_are_drawn_with_it(knee: Phantom) -> None:
    """A T1 of a few slices less had been left out for all bones."""
    pair, site = pair_of(knee, 24), load_site("knee")
    assert pair.t1 is not None
    whole = bone_model(Pair(knee.t2fs, knee.t1, SequenceClass.PD_FS), site).data
    alone = bone_model(Pair(knee.t2fs, None, SequenceClass.PD_FS), site).data
    found = bone_model(pair, site).data
    assert np.array_equal(found[:, :, 27:], alone[:, :, 27:])
    middle = np.s_[:, :, :20]
    assert np.mean(found[middle] != whole[middle]) < 0.2 * np.mean(alone[middle] != whole[middle])


def test_bone_beyond_a_t1_is_found_and_said_not_to_be_judged(knee: Phantom) -> None:
    pair = pair_of(knee, 24)
    result = analyse(pair, load_site("knee"), segment_bones=bone_model)
    beyond = np.s_[:, :, 24:]
    own, real = result.bones.data[beyond] > 0, knee.bones.data[beyond] > 0
    assert 2 * np.count_nonzero(own & real) / (own.sum() + real.sum()) > 0.85
    assert not result.assessable.data[beyond].any()
    assert any(note.startswith("Left out because the T1 does not cover it: femur")
               for note in result.notes)  # fmt: skip
    assert not any("signal is lost" in note for note in result.notes)


def test_a_whole_t1_leaves_nothing_out(knee: Phantom) -> None:
    _, notes = assess(Pair(knee.t2fs, knee.t1, SequenceClass.PD_FS), knee.bones, load_site("knee"))
    assert not any("cover" in note for note in notes)


def test_a_t1_of_half_the_slices_is_left_out(knee: Phantom, tmp_path) -> None:
    """Edema beyond it, 3 mL, had been none at 65 % of the bone judged."""
    import nibabel as nib

    for name, data in (("t2fs", knee.t2fs.data), ("t1", knee.t1.data[:, :, :18])):
        nib.save(nib.Nifti1Image(data, knee.t2fs.grid.affine), tmp_path / f"{name}.nii.gz")
    t2fs, t1 = (series_of(tmp_path / f"{name}.nii.gz") for name in ("t2fs", "t1"))
    pair = load_pair(Choice(t2fs, t1, ()), Stopwatch(lambda stage: None))
    assert pair.t1 is None
    assert any("it is left out, its evidence missing" in note for note in pair.notes)
    result = analyse(replace(pair, sequence_class=SequenceClass.PD_FS), load_site("knee"))
    found = {row.bone: row.edema_ml for row in result.measurements}
    for row in knee.measurements:
        assert found[row.bone] == pytest.approx(row.edema_ml, rel=0.4, abs=0.1)
