"""The site told by the bones that the networks see, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bmepipe.errors import NoBonesFound, UnknownChoice
from bmepipe.models.recognise import (
    BESIDE_LEAD,
    LEAST_LEAD,
    LEAST_SCORE,
    recognise_by_bones,
    require_site,
    site_score,
)
from bmepipe.phantom.protocol import coarse, site_protocol
from bmepipe.phantom.study import make_phantom
from bmepipe.site import load_site, site_names
from bmepipe.volume import Grid, Volume

SITES = [load_site(name) for name in site_names()]


@pytest.fixture(scope="module")
def knee() -> Volume:
    return make_phantom("knee", 12, protocol=coarse(site_protocol("knee"), 3)).t2fs


def test_a_knee_is_told_from_its_image_alone(knee: Volume) -> None:
    site, why = recognise_by_bones(knee, SITES)
    assert site.name == "knee"
    assert "femur" in why
    assert "hip" in why  # the others' scores are told too


def test_noise_is_no_site() -> None:
    rng = np.random.default_rng(4)
    grid = Grid((64, 60, 20), np.diag([0.9, 0.9, 3.5, 1.0]))
    noise = Volume(rng.rayleigh(20, grid.shape).astype(np.float32), grid)
    with pytest.raises(UnknownChoice, match="--site"):
        recognise_by_bones(noise, SITES)


@pytest.mark.parametrize("asked", [site.name for site in SITES if site.name != "knee"])
def test_a_wrong_site_is_noticed(knee: Volume, asked: str) -> None:
    with pytest.raises(NoBonesFound, match="--site knee"):
        require_site(knee, load_site(asked), SITES)


def test_a_wrong_site_that_fits_nearly_as_well_is_noticed(knee: Volume) -> None:
    """A scan of sacroiliac joints fitted the shoulder with 0.83 and its own site with 0.89."""
    hip, nearly = load_site("hip"), LEAST_SCORE - 0.001
    lead = site_score(knee, load_site("knee")).score - nearly
    assert LEAST_LEAD < lead < BESIDE_LEAD
    with pytest.raises(NoBonesFound, match="--site knee"):
        require_site(knee, hip, SITES, nearly)
    require_site(knee, replace(hip, beside=("knee",)), SITES, nearly)


def test_the_right_site_is_not_refused(knee: Volume) -> None:
    require_site(knee, load_site("knee"), SITES)


def test_a_bone_that_is_not_seen_counts_nothing(knee: Volume) -> None:
    whole = site_score(knee, load_site("knee"))
    below = knee.data.copy()
    below[:, : below.shape[1] // 2] = 0
    assert site_score(knee.with_data(below), load_site("knee")).score < whole.score
