"""Fat bright or dark, on made images with shading and on the real pairs."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.analysis.fat import BRIGHT, DARK, fat_brightness
from bmepipe.volume import Grid, Volume


def image(fat, muscle, noise=0.05, seed=0):
    """A disc of muscle with lumps of fat, under a coil's shading of three to one."""
    grid = Grid((96, 96, 8), np.diag([2.0, 2.0, 4.0, 1.0]))
    x, y, _ = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    lumps = ((x // 9 + y // 7) % 4) == 0
    body = (x - 48) ** 2 + (y - 48) ** 2 < 42**2
    signal = np.where(lumps, fat, muscle) * (0.5 + x / 96)
    signal = signal * (1 + noise * np.random.default_rng(seed).standard_normal(grid.shape))
    return Volume(np.where(body, signal, 0.01).astype(np.float32), grid)


@pytest.mark.parametrize(("fat", "suppressed"), [(30, True), (60, True), (250, False)])
def test_made_images(fat, suppressed):
    found = fat_brightness(image(fat, 100, seed=1), image(300, 100))
    assert found is not None
    assert found <= DARK if suppressed else found >= BRIGHT


def test_a_t1_without_contrast_settles_nothing():
    assert fat_brightness(image(50, 100), image(100, 100, noise=0.02)) is None


def test_images_that_share_no_place_settle_nothing():
    t1 = image(300, 100)
    away = t1.grid.affine.copy()
    away[:3, 3] += 900
    assert fat_brightness(image(50, 100), Volume(t1.data, Grid(t1.data.shape, away))) is None


REAL = [
    ("knee_dicom", 3, 6, True),
    ("knee_dicom", 4, 6, True),
    ("knee_dicom", 5, 6, True),
    ("spine_dicom", 12, 7, True),
    ("spine_dicom", 6, 7, False),
]


@pytest.mark.parametrize(("name", "number", "t1", "suppressed"), REAL)
def test_real_series(shared, name, number, t1, suppressed):
    from bmepipe.analysis.pairing import find_series
    from bmepipe.io.dicom import load
    from bmepipe.io.scan import scan

    folder = shared / "real" / name
    if not folder.is_dir():
        pytest.skip("this study is not on this machine")
    study = scan(folder)
    pair = [load(find_series(study, str(n))) for n in (number, t1)]
    found = fat_brightness(*pair)
    assert found is not None
    assert found <= DARK if suppressed else found >= BRIGHT
