"""Tissues and what each sequence makes of them: water and fat in two pools.

Every tissue is a proton density, a fat fraction and the relaxation times of its two pools. The
values follow Gold et al. 2004 (10.2214/ajr.183.2.1830343), de Bazelaire et al. 2004
(10.1148/radiol.2303021331) and, for edema, where no consensus table exists, a choice made so that
the ratios to yellow marrow agree with those measured on patients. Figures of the first two papers
are quoted from memory of the literature and were not checked against the originals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from bmepipe.errors import BadSettings
from bmepipe.phantom.values import require_number


@dataclass(frozen=True)
class Tissue:
    """A tissue at 1.5 T.

    Parameters
    ----------
    density : float
        Proton density, 0 to 1, pure fluid being 1.
    fat : float
        Share of the density that is fat, 0 to 1.
    t1_ms, t2_ms : float
        Relaxation times of the water pool at 1.5 T.
    t1_growth, t2_growth : float
        Factors on these at 3 T.
    """

    density: float
    fat: float
    t1_ms: float
    t2_ms: float
    t1_growth: float = 1.25
    t2_growth: float = 0.93


FAT_T1_MS = {1.5: 288.0, 3.0: 371.0, 0.3: 210.0}
FAT_T2_MS = {1.5: 165.0, 3.0: 133.0, 0.3: 170.0}
_LOW_FIELD_T1 = 0.6  # T1 of water at 0.3 T as a share of that at 1.5 T; modelling choice

TISSUES: Mapping[str, Tissue] = MappingProxyType(
    {
        "air": Tissue(0.0, 0.0, 1000, 10),
        "skin": Tissue(0.55, 0.05, 900, 28),
        "fat": Tissue(0.95, 0.95, 900, 40),
        "septum": Tissue(0.45, 0.35, 900, 25),
        "muscle": Tissue(0.83, 0.02, 1260, 34, 1.27, 0.93),
        "fascia": Tissue(0.25, 0.1, 800, 12),
        "tendon": Tissue(0.16, 0.02, 700, 9),
        "ligament": Tissue(0.35, 0.05, 800, 20),
        "meniscus": Tissue(0.30, 0.0, 900, 13),
        "cartilage": Tissue(0.77, 0.0, 1175, 39, 1.21, 0.91),
        "fluid": Tissue(1.0, 0.0, 3200, 1050, 1.22, 0.70),
        "synovium": Tissue(0.85, 0.15, 1200, 60),
        "cyst": Tissue(1.0, 0.0, 2700, 900, 1.27, 0.63),
        "vein": Tissue(0.99, 0.0, 1690, 134, 1.14, 0.77),
        "artery": Tissue(0.30, 0.0, 1400, 60),
        "nerve": Tissue(0.8, 0.3, 1100, 60),
        "cortex": Tissue(0.05, 0.1, 500, 3),
        "yellow_marrow": Tissue(0.90, 0.88, 900, 32, 1.20, 0.93),
        "red_marrow": Tissue(0.91, 0.375, 1160, 23, 1.20, 0.87),
        "edema_mild": Tissue(0.89, 0.597, 914, 45.4, 1.27, 0.94),
        "edema_moderate": Tissue(0.88, 0.395, 1037, 62.5, 1.27, 0.94),
        "edema": Tissue(0.92, 0.17, 1175, 85, 1.27, 0.94),
        "sclerosis": Tissue(0.32, 0.30, 835, 21, 1.27, 0.95),
        "haemangioma": Tissue(1.0, 0.62, 1150, 105),
        "disc": Tissue(0.75, 0.0, 1144, 113, 1.0, 0.99),
        "disc_dry": Tissue(0.50, 0.02, 542, 55, 1.18, 0.80),
        "annulus": Tissue(0.45, 0.02, 800, 24),
        "csf": Tissue(1.0, 0.0, 3400, 1500, 1.25, 1.0),
        "cord": Tissue(0.70, 0.0, 780, 95),
        "labrum": Tissue(0.30, 0.02, 900, 14),
        "growth_plate": Tissue(0.85, 0.05, 1060, 48),
    }
)


# Edema by grade: the fat fraction falls from 0.60 over 0.40 to 0.17, the T2 of water rises.
EDEMA_GRADES: Mapping[str, str] = MappingProxyType(
    {"mild": "edema_mild", "moderate": "edema_moderate", "intense": "edema"}
)


class Technique(StrEnum):
    """How a sequence deals with fat."""

    SPIN_ECHO = "spin echo"
    FAT_SAT = "fat-saturated spin echo"
    INVERSION = "inversion recovery"
    DIXON_WATER = "Dixon water"
    DIXON_FAT = "Dixon fat"
    IN_PHASE = "Dixon in phase"


@dataclass(frozen=True)
class Sequence:
    """A sequence's contrast.

    Parameters
    ----------
    technique : Technique
    tr_ms, te_ms : float
    ti_ms : float
        Inversion time; 0 unless `technique` is INVERSION.
    residual_fat : float
        Share of the fat signal that a fat saturation or Dixon water image leaves, 0 to 1.
    field_t : float
        0.3, 1.5 or 3.

    Raises
    ------
    BadSettings
        Naming the value that cannot be: negative or zero times, an echo or inversion time beyond
        the repetition time, an inversion time missing or not wanted, a field without a table.
    """

    technique: Technique
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    residual_fat: float = 0.08
    field_t: float = 1.5

    def __post_init__(self) -> None:
        inversion = self.technique is Technique.INVERSION
        for name in ("tr_ms", "te_ms", "ti_ms", "residual_fat", "field_t"):
            require_number(name, getattr(self, name))
        _must(self.tr_ms > 0, "a repetition time tr_ms above 0", f"{self.tr_ms:g}")
        _must(self.te_ms > 0, "an echo time te_ms above 0", f"{self.te_ms:g}")
        _must(self.te_ms < self.tr_ms, "te_ms shorter than tr_ms", f"{self.te_ms:g}")
        _must(
            0 < self.ti_ms < self.tr_ms if inversion else self.ti_ms == 0,
            "ti_ms between 0 and tr_ms" if inversion else "ti_ms 0 without an inversion",
            f"{self.ti_ms:g} with tr_ms {self.tr_ms:g}",
        )
        _must(0 <= self.residual_fat <= 1, "residual_fat of 0 to 1", f"{self.residual_fat:g}")
        _must(
            self.field_t in FAT_T1_MS,
            f"field_t among {', '.join(f'{t:g}' for t in sorted(FAT_T1_MS))}",
            f"{self.field_t:g}",
        )


def _must(holds: bool, expected: str, came: str) -> None:
    if not holds:
        raise BadSettings(expected, came, "correct the protocol")


def pool_signal(sequence: Sequence, t1_ms: float, t2_ms: float) -> float:
    """Return the signal of one pool at unit density: spin echo, or inversion recovery (signed).

    A spin echo gives ``(1 - exp(-TR/T1)) exp(-TE/T2)``; an inversion before it
    ``(1 - 2 exp(-TI/T1) + exp(-TR/T1)) exp(-TE/T2)``, which is negative before the null.
    """
    recovered = 1 - np.exp(-sequence.tr_ms / t1_ms)
    if sequence.technique is Technique.INVERSION:
        recovered += 2 * (np.exp(-sequence.tr_ms / t1_ms) - np.exp(-sequence.ti_ms / t1_ms))
    return float(recovered * np.exp(-sequence.te_ms / t2_ms))


def signals(name: str, sequence: Sequence) -> tuple[float, float]:
    """Return the water and the fat signal of a tissue, before any fat is suppressed.

    Examples
    --------
    >>> t1 = Sequence(Technique.SPIN_ECHO, 600, 12)
    >>> water, fat = signals("muscle", t1)
    >>> round((water + fat) / sum(signals("yellow_marrow", t1)), 1)
    0.3
    """
    tissue, field = TISSUES[name], sequence.field_t
    t1 = tissue.t1_ms * {0.3: _LOW_FIELD_T1, 1.5: 1.0, 3.0: tissue.t1_growth}[field]
    t2 = tissue.t2_ms * {0.3: 1.0, 1.5: 1.0, 3.0: tissue.t2_growth}[field]
    water = tissue.density * (1 - tissue.fat) * pool_signal(sequence, t1, t2)
    fat = tissue.density * tissue.fat * pool_signal(sequence, FAT_T1_MS[field], FAT_T2_MS[field])
    return water, fat


def fat_weight(sequence: Sequence) -> float:
    """Return the share of the fat signal that reaches the image where all went well."""
    if sequence.technique in (Technique.FAT_SAT, Technique.DIXON_WATER):
        return sequence.residual_fat
    return 1.0


def image_signal(name: str, sequence: Sequence, *, residual_fat: float | None = None) -> float:
    """Return a tissue's magnitude in the image.

    `residual_fat` replaces the sequence's own where the suppression failed.
    """
    water, fat = signals(name, sequence)
    if sequence.technique is Technique.DIXON_FAT:
        return abs(fat) + sequence.residual_fat * abs(water)
    return abs(water + fat * (fat_weight(sequence) if residual_fat is None else residual_fat))
