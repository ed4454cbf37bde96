"""A T1 of fewer slices or a smaller field: what it does not cover is told, and no bone is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

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
from bmepipe.volume import Volume


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
