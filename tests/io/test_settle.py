"""Silent headers, settled by pixels."""

from __future__ import annotations

import numpy as np
import pytest

from bmepipe.io.dicom import load
from bmepipe.io.scan import scan
from bmepipe.io.settle import settle
from bmepipe.study import FatSuppression, Role

SHAPE = (96, 96, 6)


def tissue(fat, seed):
    """Lumps of fat in a disc of muscle at 100, as stored values [i, j, k]."""
    x, y, _ = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    body = (x - 48) ** 2 + (y - 48) ** 2 < 42**2
    signal = np.where(((x // 9 + y // 7) % 4) == 0, fat, 100)
    noise = np.random.default_rng(seed).normal(0, 4, SHAPE)
    return np.where(body, signal + noise, 1).astype(np.int64).clip(0, 4095)


@pytest.mark.parametrize(
    ("fat", "role", "kind"),
    [(40, Role.T2FS, FatSuppression.SPECTRAL), (260, Role.OTHER, FatSuppression.NONE)],
)
def test_a_series_without_any_word_on_fat(series, fat, role, kind):
    silent = {"Manufacturer": "", "ScanOptions": "", "SeriesDescription": "", "spacing": (2.0, 2.0)}
    made = series("s/a", shape=SHAPE, data=tissue(300, 0), SeriesNumber=1, spacing=(2.0, 2.0))
    options = {"EchoTime": 60, "RepetitionTime": 3000, "SeriesNumber": 2, **silent}
    series("s/b", shape=SHAPE, data=tissue(fat, 1), **options)
    study = scan(made.folder.parent)
    assert study.series[1].doubtful_fat
    settled = settle(study, load).series[1]
    assert (settled.role, settled.fat_suppression) == (role, kind)
    assert not settled.doubtful_fat
    assert "pixels: fat is" in settled.evidence[1]


def test_without_a_t1_nothing_is_settled(series):
    made = series(
        Manufacturer="", ScanOptions="", SeriesDescription="", EchoTime=60, RepetitionTime=3000
    )
    [found] = settle(scan(made.folder), load).series
    assert found.doubtful_fat
    assert found.notes == ("no T1 to tell fat suppression by",)
