"""Shipped weights stay small enough to be fetched with the package."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2] / "models"
MOST_MB, MOST_MB_IN_ALL = 10.0, 60.0


def test_weights_fit_into_ten_megabytes_each_and_sixty_in_all() -> None:
    sizes = {p.parents[1].name: p.stat().st_size / 1e6 for p in ROOT.glob("*/models/model.pt")}
    assert len(sizes) >= 7
    assert max(sizes.values()) <= MOST_MB, sizes
    assert sum(sizes.values()) <= MOST_MB_IN_ALL, sizes
