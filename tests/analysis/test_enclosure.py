"""What leaks out of a bone is told from what its cortex encloses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bmepipe.analysis.enclosure import is_open
from bmepipe.study import Pair, SequenceClass
from bmepipe.volume import Grid, Volume

GRID = Grid((70, 6, 60), np.diag([0.6, 3.0, 0.8, 1.0]))  # coronal slices
BOX = (slice(18, 40), slice(2, 4), slice(10, 30))


def scene(*, outside: float, cortex: float) -> tuple[Pair, Volume, np.ndarray]:
    """A bone of marrow 100 that holds edema of 250 at its lower x side."""
    bones = np.zeros(GRID.shape, np.uint8)
    bones[18:60, :, 8:50] = 1
    signal = np.full(GRID.shape, outside, np.float32)
    signal[bones > 0] = 100.0
    lesion = np.zeros(GRID.shape, bool)
    lesion[20:32, 2:4, 12:28] = True
    signal[18:32, 2:4, 12:28] = 250.0
    signal[16:18, :, 8:50] = cortex
    signal = ndimage.gaussian_filter(signal, (1.0, 0.0, 0.7))  # as an image is blurred
    rng = np.random.default_rng(4)
    signal += rng.normal(0, 8, signal.shape).astype(np.float32)
    return (
        Pair(Volume(np.asfortranarray(signal), GRID), None, SequenceClass.STIR),
        Volume(np.asfortranarray(bones), GRID),
        lesion,
    )


@pytest.mark.parametrize("outside", [40.0, 250.0, 600.0])  # fat, muscle, fluid
def test_cortex_encloses_edema_whatever_lies_outside(outside: float) -> None:
    pair, bones, lesion = scene(outside=outside, cortex=10.0)
    assert not is_open(lesion[BOX], BOX, pair, bones)


@pytest.mark.parametrize("outside", [250.0, 600.0])
def test_what_runs_on_past_the_outline_is_open(outside: float) -> None:
    pair, bones, lesion = scene(outside=outside, cortex=outside)
    assert is_open(lesion[BOX], BOX, pair, bones)


@pytest.mark.parametrize(("outside", "runs_on"), [(250.0, True), (600.0, False)])
def test_what_a_network_believes_in_is_open_only_if_its_signal_runs_on(
    outside: float, runs_on: bool
) -> None:
    pair, bones, lesion = scene(outside=outside, cortex=outside)
    assert is_open(lesion[BOX], BOX, pair, bones, believed=1.55) == runs_on


def test_on_stir_what_is_brighter_than_muscle_is_none() -> None:
    pair, bones, lesion = scene(outside=250.0, cortex=250.0)
    assert is_open(lesion[BOX], BOX, pair, bones, believed=1.55)
    assert not is_open(lesion[BOX], BOX, pair, bones, believed=2.5)
    saturated = replace(pair, sequence_class=SequenceClass.T2_FS)
    assert is_open(lesion[BOX], BOX, saturated, bones, believed=2.5)


def test_darker_tissue_right_at_the_outline_closes_it() -> None:
    pair, bones, lesion = scene(outside=60.0, cortex=60.0)
    assert not is_open(lesion[BOX], BOX, pair, bones)


def test_amid_the_marrow_nothing_is_open() -> None:
    pair, bones, _ = scene(outside=250.0, cortex=250.0)
    middle = np.zeros(GRID.shape, bool)
    middle[36:40, 2:4, 20:28] = True
    assert not is_open(middle[BOX], BOX, pair, bones)


def test_proton_density_is_not_asked() -> None:
    pair, bones, lesion = scene(outside=250.0, cortex=250.0)
    assert not is_open(lesion[BOX], BOX, replace(pair, sequence_class=SequenceClass.PD_FS), bones)
