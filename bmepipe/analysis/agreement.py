"""How two drawings of the same edema agree: voxels, surfaces, lesions, volumes.

A measure that is not defined (the Dice of two empty masks, the distance to nothing) is None and
never 0 or 1. Correlation alone is never reported: one large patient makes it near 1 for any method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.depth import depth_mm
from bmepipe.volume import Grid

SIZES_MM3: Mapping[str, tuple[float, float]] = {
    "20-100 mm3": (20.0, 100.0),
    "100-1000 mm3": (100.0, 1000.0),
    "over 1000 mm3": (1000.0, np.inf),
}
LEAST_LESION_MM3 = 20.0
LEAST_VOLUME_ML = 0.01  # added to both volumes before the logarithm, so that 0 has one

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VoxelAgreement:
    """Overlap and surfaces of a prediction and a truth.

    `dice`, `precision` and `recall` are parts of 1; the distances between the two surfaces are in
    mm (mean of both directions, and the 95th percentile of them together); volumes in mL.
    """

    dice: float | None
    precision: float | None
    recall: float | None
    surface_mean_mm: float | None
    surface_95_mm: float | None
    prediction_ml: float
    truth_ml: float


@dataclass(frozen=True)
class LesionAgreement:
    """Lesions of at least `LEAST_LESION_MM3`, counted one by one.

    `found` of `truth` lesions share a voxel with the prediction; `false` predicted ones share none
    with the truth. `by_size` gives (found, truth) for the classes of `SIZES_MM3`.
    """

    truth: int
    found: int
    predicted: int
    false: int
    by_size: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class VolumeAgreement:
    """Volumes over several cases, in mL.

    `bias_ml` with `low_ml` and `high_ml`, the limits of agreement of Bland and Altman (1986,
    10.1016/S0140-6736(86)90837-8); `log_ccc` is the concordance correlation of Lin (1989,
    10.2307/2532051) of log(volume + 0.01 mL), which a single large case cannot carry.
    """

    cases: int
    bias_ml: float | None
    low_ml: float | None
    high_ml: float | None
    log_ccc: float | None


def voxel_agreement(prediction: Mask, truth: Mask, grid: Grid) -> VoxelAgreement:
    """Return overlap, surface distances and volumes of two masks on one grid.

    Examples
    --------
    >>> grid = Grid((4, 1, 1), np.diag([2.0, 1.0, 1.0, 1.0]))
    >>> a, b = (np.array(v, bool).reshape(4, 1, 1) for v in ([1, 1, 0, 0], [0, 1, 1, 1]))
    >>> round(voxel_agreement(a, b, grid).dice, 2)
    0.4
    """
    both = int(np.count_nonzero(prediction & truth))
    drawn, real = int(np.count_nonzero(prediction)), int(np.count_nonzero(truth))
    away = surface_distances_mm(prediction, truth, grid)
    return VoxelAgreement(
        dice=2 * both / (drawn + real) if drawn + real else None,
        precision=both / drawn if drawn else None,
        recall=both / real if real else None,
        surface_mean_mm=float(away.mean()) if len(away) else None,
        surface_95_mm=float(np.percentile(away, 95)) if len(away) else None,
        prediction_ml=drawn * grid.voxel_ml,
        truth_ml=real * grid.voxel_ml,
    )


def surface_distances_mm(first: Mask, second: Mask, grid: Grid) -> NDArray[np.float64]:
    """Return the distances of the surface voxels of each mask to the other's, both directions.

    Empty where one of the masks is. A surface voxel has a face neighbour outside its mask.
    """
    if not (first.any() and second.any()):
        return np.empty(0)
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    parts = [
        depth_mm(~edges[other], grid.spacing_mm)[edges[one]] for one, other in ((0, 1), (1, 0))
    ]
    return np.concatenate(parts).astype(np.float64)


def lesion_agreement(prediction: Mask, truth: Mask, grid: Grid) -> LesionAgreement:
    """Return how many lesions were found, missed or invented, by size.

    A lesion is a component of voxels that touch by a face, edge or corner.
    """
    real = _touched(truth, prediction, grid)
    drawn = _touched(prediction, truth, grid)
    by_size = {
        name: (
            sum(hit for size, hit in real if low <= size < high),
            sum(low <= size < high for size, _ in real),
        )
        for name, (low, high) in SIZES_MM3.items()
    }
    found, false = sum(hit for _, hit in real), sum(not hit for _, hit in drawn)
    return LesionAgreement(len(real), found, len(drawn), false, by_size)


def _touched(mask: Mask, other: Mask, grid: Grid) -> list[tuple[float, bool]]:
    """Return the size in mm3 of each lesion of `mask` and whether it shares a voxel with `other`.

    Lesions below `LEAST_LESION_MM3` are left out.
    """
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel()) * grid.voxel_ml * 1000
    hit = set(np.unique(labels[other]).tolist())
    return [
        (float(size), number in hit)
        for number, size in enumerate(sizes)
        if number > 0 and size >= LEAST_LESION_MM3
    ]


def volume_agreement(prediction_ml: Sequence[float], truth_ml: Sequence[float]) -> VolumeAgreement:
    """Return bias, limits of agreement and the concordance of log volumes over cases.

    Examples
    --------
    >>> volume_agreement([1.1, 2.1, 4.1], [1.0, 2.0, 4.0]).bias_ml
    0.1
    """
    drawn, real = np.asarray(prediction_ml, float), np.asarray(truth_ml, float)
    if len(drawn) < 2:
        bias = float((drawn - real).mean()) if len(drawn) else None
        return VolumeAgreement(len(drawn), bias, None, None, None)
    gap = drawn - real
    bias, reach = float(gap.mean()), 1.96 * float(gap.std(ddof=1))
    logs = [np.log(v + LEAST_VOLUME_ML) for v in (drawn, real)]
    return VolumeAgreement(
        len(drawn), round(bias, 6), bias - reach, bias + reach, concordance(logs[0], logs[1])
    )


def concordance(first: NDArray, second: NDArray) -> float | None:
    """Return Lin's concordance correlation; None where both are constant.

    Examples
    --------
    >>> concordance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    >>> concordance(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
    -1.0
    """
    shared = float(((first - first.mean()) * (second - second.mean())).mean())
    spread = float(first.var() + second.var() + (first.mean() - second.mean()) ** 2)
    return 2 * shared / spread if spread > 0 else None


def consensus(readings: Sequence[Mask]) -> Mask:
    """Return the voxels that more than half of the readings mark.

    Examples
    --------
    >>> one, two, three = (np.array(v, bool) for v in ([1, 1, 0], [1, 0, 0], [1, 1, 1]))
    >>> consensus([one, two, three]).tolist()
    [True, True, False]
    """
    votes = np.sum([np.asarray(reading, np.uint8) for reading in readings], axis=0)
    return np.asarray(2 * votes > len(readings))


def dice(first: Mask, second: Mask) -> float | None:
    """Return the Dice overlap of two masks; None if both are empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else None


def readers_among_themselves(readings: Sequence[Mask]) -> float | None:
    """Return the mean Dice over all pairs of readings; None with fewer than two."""
    pairs = [dice(a, b) for a, b in combinations(readings, 2)]
    known = [value for value in pairs if value is not None]
    return float(np.mean(known)) if known else None


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float] | None:
    """Return the Wilson interval of a share, 0 to 1; None of nothing.

    Examples
    --------
    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 2), round(high, 2)
    (0.6, 0.98)
    """
    if total == 0:
        return None
    share, n = hits / total, total
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - reach, middle + reach
