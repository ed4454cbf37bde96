"""Borders settled by random walks: a wrong outline, shading, edema at the border, a neighbour."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bmepipe.analysis.agreement import dice
from bmepipe.analysis.walker import block_mean, settle_borders, signed_depth_mm

SPACING_MM = (0.7, 0.9, 3.0)
SHAPE = (90, 80, 14)


def scene(moved_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a lopsided bone with a dark cortex amid muscle: truth, T1 and a wrong outline."""
    x, y, z = np.meshgrid(
        *[(np.arange(n) - 0.46 * n) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)],
        indexing="ij",
    )
    depth = 1 - np.sqrt((x / 21) ** 2 + ((y + 0.2 * x) / 24) ** 2 + (z / 15) ** 2)
    depth_mm = 18 * depth
    image = np.where(depth_mm > 1.2, 1.0, np.where(depth_mm > 0, 0.15, 0.5))
    image = ndimage.gaussian_filter(image, 0.5 / np.array(SPACING_MM))
    noise = np.random.default_rng(3).normal(0, 0.03, SHAPE)
    return depth_mm > 0, image + noise, depth_mm > -moved_mm


@pytest.mark.parametrize("moved_mm", [-2.0, 2.5])
def test_an_outline_that_lies_some_millimetres_off_is_brought_back(moved_mm: float) -> None:
    truth, image, coarse = scene(moved_mm)
    settled = settle_borders(coarse.astype(np.uint8), [image], SPACING_MM) > 0
    assert dice(coarse, truth) < 0.9
    assert dice(settled, truth) > dice(coarse, truth) + 0.03


def test_coil_shading_across_the_bone_makes_no_difference() -> None:
    truth, image, coarse = scene(2.0)
    shading = np.exp(np.linspace(-0.8, 0.8, SHAPE[0]))[:, None, None]
    plain, shaded = (
        settle_borders(coarse.astype(np.uint8), [one], SPACING_MM) > 0
        for one in (image, 300 * image * shading)
    )
    assert dice(plain, shaded) > 0.97
    assert dice(shaded, truth) > dice(coarse, truth) + 0.02


def test_edema_at_the_border_stays_in_the_bone() -> None:
    truth, image, coarse = scene(1.0)
    place = np.indices(SHAPE)[0] * SPACING_MM[0]
    marrow = ndimage.binary_erosion(truth, iterations=2)
    edema = marrow & (place > 36)  # a cap of one end, as wide as the bone
    bright = np.where(edema, 3.0, image)
    settled = settle_borders(coarse.astype(np.uint8), [bright], SPACING_MM) > 0
    assert settled[edema].mean() > 0.97


def test_a_neighbour_across_a_joint_keeps_its_voxels() -> None:
    _, image, coarse = scene(1.5)
    labels = coarse.astype(np.uint8)
    labels[52:][labels[52:] > 0] = 2
    settled = settle_borders(labels, [image], SPACING_MM)
    assert not ((labels == 1) & (settled == 2)).any()
    assert not ((labels == 2) & (settled == 1)).any()
    assert set(np.unique(settled)) == {0, 1, 2}


def test_a_thin_second_piece_is_drawn_from_a_core_of_its_own() -> None:
    """An acromion apart from its scapula: all its depth is less than the core of the other."""
    truth, image, coarse = scene(1.0)
    x, y, z = np.indices(SHAPE) * np.array(SPACING_MM)[:, None, None, None]
    plate = (np.abs(x - 58) < 3.2) & (np.abs(y - 36) < 22) & (np.abs(z - 20) < 12)
    image = np.where(plate & ~ndimage.binary_erosion(plate), 0.15, np.where(plate, 3.0, image))
    settled = settle_borders((coarse | plate).astype(np.uint8), [image], SPACING_MM) > 0
    assert settled[plate].mean() > 0.85
    assert dice(settled & ~plate, truth & ~plate) > 0.95


def test_crumbs_beside_a_bone_are_dropped() -> None:
    _, image, coarse = scene()
    crumb = np.zeros(SHAPE, bool)
    crumb[2:6, 2:6, 6] = True
    settled = settle_borders((coarse | crumb).astype(np.uint8), [image], SPACING_MM) > 0
    assert not settled[crumb].any()


def test_a_bone_without_a_certain_core_stays_as_it_is() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[40:42, 30:42, 6] = 1
    image = np.random.default_rng(1).random(SHAPE)
    assert np.array_equal(settle_borders(labels, [image], SPACING_MM), labels)


def test_a_bone_at_the_edge_of_the_scan_is_settled_there_too() -> None:
    truth, image, coarse = scene(2.0)
    cut = slice(38, None)
    settled = settle_borders(coarse[cut].astype(np.uint8), [image[cut]], SPACING_MM) > 0
    assert dice(settled, truth[cut]) > dice(coarse[cut], truth[cut])
    assert settled[0].any()


def test_depth_is_positive_within() -> None:
    mask = np.zeros((1, 1, 6), bool)
    mask[..., 2:] = True
    depth = signed_depth_mm(mask, np.array([1.0, 1.0, 2.0]))
    assert depth.ravel().tolist() == [-4, -2, 2, 4, 6, 8]


def test_blocks_at_the_end_are_filled_up() -> None:
    assert block_mean(np.eye(3)[..., None], (2, 2, 1)).shape == (2, 2, 1)
