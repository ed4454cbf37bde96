"""The signal-contrast rule: bright on the fat-suppressed series against the bone's own marrow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.marrow import Marrow, normal_marrow
from bmepipe.errors import BadSettings
from bmepipe.site import ContrastRule, Site
from bmepipe.study import Pair
from bmepipe.volume import Volume

SEED_OF_MUSCLE, GROW_OF_MUSCLE = 0.6, 0.4
LEAST_MUSCLE_ML = 5.0
USUAL_SPREAD = 0.2  # of marrow's signal; 0.10 to 0.24 on eight real scans
GROW_PROBABILITY = 0.5  # at the rule's grow thresholds
SEED_PROBABILITY = 0.8  # at its seed thresholds
T1_WEIGHT = 0.4  # power of the T1 ratio; measured on real scans, see docs/method.md


def detect(pair: Pair, bones: Volume, site: Site, marrow: Marrow | None = None) -> Volume:
    """Return the probability of edema, 0 to 1, float32; 0 outside the bones.

    Evidence is 0 at the rule's grow thresholds and 1 at its seed thresholds, the lesser of the
    deviation in spreads and the ratio, with soft support from T1. The logistic of it gives 0.5 at 0
    and 0.8 at 1.

    Parameters
    ----------
    pair : Pair
    bones : Volume of uint8
    site : Site
    marrow : Marrow, optional
        Where it is known already: finding it costs as much as the rest.

    Raises
    ------
    BadSettings
        If the site has no rule for this class of sequence.
    """
    marrow = marrow or normal_marrow(pair, bones, site)
    rule = above_muscle(rule_of(pair, site), muscle_ratio(pair, bones, marrow))
    evidence = contrast_evidence(marrow, rule)
    with np.errstate(invalid="ignore", over="ignore"):
        probability = 1 / (1 + 4.0**-evidence)
    probability = np.where(np.isfinite(evidence), probability, 0).astype(np.float32)
    return Volume(probability, bones.grid)


def rule_of(pair: Pair, site: Site) -> ContrastRule:
    """Return the site's rule for the pair's class of fat-suppressed sequence."""
    if pair.sequence_class.value not in site.rules:
        raise BadSettings(
            f"{site.name}: a rule for {pair.sequence_class.value}",
            f"rules for {', '.join(sorted(site.rules))}",
            "complete the site file",
        )
    return site.rules[pair.sequence_class.value]


def muscle_ratio(pair: Pair, bones: Volume, marrow: Marrow) -> float | None:
    """Return the signal of muscle to that of normal marrow on the fat-suppressed series.

    Muscle is taken as the tissue outside the bones with 0.2 to 0.45 of the marrow's T1 signal (0.34
    by the signal equations); None without a T1 or with less than 5 mL of it.
    """
    if pair.t1 is None or marrow.t1 is None or not marrow.t2fs.levels:
        return None
    t1_level, t2fs_level = (
        float(np.median(list(image.levels.values()))) for image in (marrow.t1, marrow.t2fs)
    )
    ratio = pair.t1.data / t1_level
    muscle = pair.t2fs.data[(bones.data == 0) & (ratio > 0.2) & (ratio < 0.45)]
    if len(muscle) * bones.grid.voxel_ml < LEAST_MUSCLE_ML:
        return None
    return float(np.median(muscle) / t2fs_level)


def above_muscle(rule: ContrastRule, muscle: float | None) -> ContrastRule:
    """Return the rule with thresholds no lower than a share of muscle.

    Where fat suppression is very good, marrow is next to black and twice of it is still noise or
    texture. By the signal equations mild edema has at least 0.7 of muscle's signal in every class
    of sequence.

    Examples
    --------
    >>> rule = ContrastRule(4.0, 2.5, 2.0, 1.5, 10.0, "")
    >>> raised = above_muscle(rule, 10.0)
    >>> raised.seed_ratio, raised.grow_ratio
    (6.0, 4.0)
    >>> above_muscle(rule, 3.3) == rule
    True
    """
    if muscle is None:
        return rule
    return replace(
        rule,
        seed_ratio=max(rule.seed_ratio, SEED_OF_MUSCLE * muscle),
        grow_ratio=max(rule.grow_ratio, GROW_OF_MUSCLE * muscle),
    )


def contrast_evidence(marrow: Marrow, rule: ContrastRule) -> NDArray[np.float32]:
    """Return the evidence of edema per voxel: 0 at grow, 1 at seed; NaN without reference.

    The ratio to normal marrow is first divided by the T1 ratio to the power of `T1_WEIGHT`: edema
    is dark on T1, while what brightens both images (coil shading, fat that was not suppressed)
    takes part of its effect back.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        support = t1_support(marrow)
        ratio = marrow.t2fs.ratio * support
        quiet = quietness(marrow, rule.quiet_share)
        seed, grow = (1 + (limit - 1) * quiet for limit in (rule.seed_ratio, rule.grow_ratio))
        by_ratio = np.log(np.maximum(ratio, 1e-3) / grow) / np.log(seed / grow)
        deviations = (ratio - 1) * marrow.t2fs.centre / marrow.t2fs.spread
        by_sd = (deviations - rule.grow_sd) / (rule.seed_sd - rule.grow_sd)
    return np.clip(np.minimum(by_sd, by_ratio), -6, 6)


def quietness(marrow: Marrow, least: float) -> NDArray[np.float32]:
    """Return the share of a rule's contrast that is asked for, from `least` to 1.

    The rules' ratios are for marrow that varies as on most real scans, by `USUAL_SPREAD` of its
    signal. Where it varies less, less contrast is as many spreads. Without a T1 all of the contrast
    is asked for: a faint change needs the second witness.
    """
    if marrow.t1 is None:
        return np.ones(marrow.interior.shape, np.float32)
    return np.clip(marrow.t2fs.spread / marrow.t2fs.centre / USUAL_SPREAD, least, 1)


def t1_support(marrow: Marrow) -> NDArray[np.float32]:
    """Return the factor by which T1 raises (dark) or lowers (bright) the contrast; 1 if unknown.

    Real lesions have T1 ratios of 0.5 to 1.04, so that T1 shifts the threshold by at most a third
    and never closes a gate.
    """
    if marrow.t1 is None:
        return np.ones(marrow.interior.shape, np.float32)
    with np.errstate(invalid="ignore"):
        ratio = np.clip(marrow.t1.ratio, 0.5, 2.0)
    known = np.isfinite(ratio) & (marrow.t1.signal > 0)
    return np.where(known, ratio**-T1_WEIGHT, 1).astype(np.float32)
