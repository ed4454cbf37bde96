"""Outlines find the cortex from a wrong start, on any contrast, and stay where nothing is seen."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from bmepipe.analysis.boundary import refine_bones
from bmepipe.analysis.outline import closed_paths, filled, snap_slices

SPACING_MM = (0.5, 0.8)
CONTRASTS = {  # marrow, cortex, tissue around
    "t1": (1.0, 0.1, 0.4),
    "fat_suppressed": (0.3, 0.1, 1.0),
    "fat around": (1.0, 0.1, 1.0),
}


def radius_mm(shape: tuple[int, int] = (150, 100)) -> np.ndarray:
    i, j = np.indices(shape)
    return np.hypot((i - 80) * SPACING_MM[0], 0.8 * (j - 45) * SPACING_MM[1])  # an ellipse


def image(contrast: str, seed: int = 0) -> np.ndarray:
    marrow, cortex, around = CONTRASTS[contrast]
    r = radius_mm()
    signal = np.where(r < 18.8, marrow, np.where(r < 20, cortex, around))
    return signal / marrow + np.random.default_rng(seed).normal(0, 0.03, r.shape)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("start_mm", [18.2, 21.5])
def test_outline_moves_onto_the_outer_edge_of_the_cortex(contrast: str, start_mm: float) -> None:
    r = radius_mm()
    after = snap_slices([r < start_mm], [[image(contrast)]], SPACING_MM)[0]
    assert dice(r < start_mm, r < 20) < 0.94
    assert dice(after, r < 20) > 0.975


def test_outline_stays_where_nothing_is_seen() -> None:
    r = radius_mm()
    after = snap_slices([r < 20], [[np.ones(r.shape)]], SPACING_MM)[0]
    assert dice(after, r < 20) > 0.975


def test_a_bone_cut_by_the_field_of_view_stays_cut_there() -> None:
    r = radius_mm()[:80]
    signal = image("t1")[:80]
    after = snap_slices([r < 19], [[signal]], SPACING_MM)[0]
    assert after[-1].sum() == pytest.approx((r < 20)[-1].sum(), abs=3)
    assert dice(after, r < 20) > 0.97


def test_adjoining_bones_keep_what_was_their_own_and_slices_lie_across_the_coarse_axis() -> None:
    r = radius_mm()
    side = np.indices(r.shape)[1] < 45
    coarse = np.where(r < 19, np.where(side, 3, 5), 0).astype(np.uint8)
    coarse = np.repeat(coarse[:, None], 2, axis=1)
    signal = np.repeat(image("t1")[:, None], 2, axis=1)
    labels = refine_bones(coarse, [signal], (SPACING_MM[0], 4.0, SPACING_MM[1]))
    assert set(np.unique(labels)) == {0, 3, 5}
    assert not ((labels == 3) & (coarse == 5)).any()
    assert not ((labels == 5) & (coarse == 3)).any()


def test_polygons_one_in_the_other_are_filled_between_them_as_a_general_test_fills_them() -> None:
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    ring = [
        np.stack([30.3 + r * np.cos(turn), 22.7 + 0.8 * r * np.sin(turn)], axis=1) for r in (25, 9)
    ]
    expected = np.logical_xor(*(polygon2mask((60, 41), polygon) for polygon in ring))
    assert (filled(ring, (60, 41)) == expected).all()  # the outer one leaves the field on one side
    assert not filled([], (3, 4)).any()


def test_outlines_of_unequal_length_are_walked_together_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    scores = [rng.normal(size=(count, 7)) for count in (31, 0, 12, 57)]
    together = closed_paths(scores)
    for score, path in zip(scores, together, strict=True):
        assert path.tolist() == closed_paths([score])[0].tolist()
        assert (np.abs(np.diff(path)) <= 1).all()
