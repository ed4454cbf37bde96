"""Bone that intense edema hides from a fat-suppressed series alone is found at a second look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.bones import bone_model
from bmepipe.models.bundle import bundle_of
from bmepipe.models.second_look import look_again, marrow_level
from bmepipe.models.seen import look, volumes_of
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import Phantom, make_phantom
from bmepipe.site import load_site
from bmepipe.study import Pair, SequenceClass


@pytest.fixture(scope="module")
def edematous() -> Phantom:
    """A lumbar spine with 9.7 mL of intense edema in half a body."""
    return make_phantom("lumbar", 6, protocol=coarse(site_protocol("lumbar"), 2))


def test_half_a_body_full_of_edema_is_bone(edematous: Phantom) -> None:
    """Of its edema 0.13 lay in the bones that were found, and nothing was said."""
    pair = Pair(edematous.t2fs, None, SequenceClass.STIR)
    bones = bone_model(pair, load_site("lumbar"))
    assert np.mean(bones.data[edematous.edema.data] > 0) > 0.97


def test_where_a_t1_is_seen_nothing_is_looked_at_again(edematous: Phantom) -> None:
    pair = Pair(edematous.t2fs, edematous.t1, SequenceClass.STIR)
    bundle = bundle_of(load_site("lumbar"))
    seen = look(volumes_of(pair), bundle)
    assert look_again(seen, bundle) is seen


def test_without_bone_nothing_is_looked_at_again(edematous: Phantom) -> None:
    bundle = bundle_of(load_site("lumbar"))
    seen = look([edematous.t2fs], bundle)
    nothing = seen.probabilities * 0
    nothing[:, 0] = 1
    blind = replace(seen, probabilities=nothing)
    assert look_again(blind, bundle) is blind


def test_the_level_of_marrow_follows_the_coil_and_not_the_edema() -> None:
    z = np.arange(60, dtype=np.float32)[None, None]
    shape = (24, 30, 60)
    coil = np.broadcast_to(np.exp(-z / 60), shape)
    probability = np.zeros((2, *shape), np.float32)
    for low in (4, 18, 32, 46):
        probability[1, 4:20, 6:24, low : low + 10] = 0.95
    probability[0] = 1 - probability[1]
    signal = (100 * coil * (1 + (probability[1] == 0))).astype(np.float32)
    signal[4:20, 6:24, 32:37] *= 4  # half of one
    level = marrow_level(signal, probability, 2.0)
    assert level is not None
    np.testing.assert_allclose(level[:, :, 5:55], 100 * coil[:, :, 5:55], rtol=0.1)


def test_a_neck_keeps_the_body_that_edema_hides() -> None:
    """C5 was lost with its edema, and C6 had its name."""
    protocol = replace(site_protocol("cervical"), matrix=256, pixel_mm=0.9)
    phantom = make_phantom("cervical", 6, protocol=protocol)
    site = load_site("cervical")
    bones = bone_model(Pair(phantom.t2fs, None, SequenceClass.STIR), site)
    lesion = phantom.edema.data
    (label,) = np.unique(phantom.bones.data[lesion & (phantom.bones.data > 0)])
    assert np.mean(bones.data[lesion] == label) > 0.9
