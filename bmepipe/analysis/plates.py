"""Growth plates and the lesions that they run into, told apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.doubt import is_seen, painted
from bmepipe.analysis.look_alikes import PLATE
from bmepipe.analysis.parts import Rejected, pieces_of, sift, thick_parts
from bmepipe.analysis.region import Box, within
from bmepipe.volume import Grid


def sifted(
    candidates: tuple[NDArray, list[Box]],
    judge: Callable[[NDArray[np.bool_], Box], str],
    grid: Grid,
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return what `judge` has no reason against; of a growth plate its thick parts are asked anew.

    A plate, or marrow whose texture looks like one, does not take the lesion that it meets with it.
    """
    kept, rejected = sift(*candidates, judge)
    rows = []
    for mask, box, reason in rejected:
        if reason == PLATE:
            saved, _ = sift(*pieces_of(thick_parts(mask, grid)), _moved(judge, box))
            kept[box] |= saved
            mask = mask & ~saved
        rows.append((mask, box, reason))
    return kept, rows


def _moved(
    judge: Callable[[NDArray[np.bool_], Box], str], box: Box
) -> Callable[[NDArray[np.bool_], Box], str]:
    """Return a judge of candidates whose boxes are given within `box`."""
    return lambda mask, inner: judge(mask, within(inner, box))


def beside_plates(
    edema: NDArray[np.bool_], rejected: list[Rejected], grid: Grid
) -> tuple[NDArray[np.bool_], list[Rejected]]:
    """Return edema without specks at growth plates, too small for the network to be asked."""
    plates = painted(rejected, edema.shape, PLATE)
    if not plates.any():
        return edema, []
    near = ndimage.binary_dilation(plates, np.ones((3, 3, 3)))

    def judge(mask: NDArray[np.bool_], box: Box) -> str:
        return PLATE if not is_seen(mask.sum(), grid) and (near[box] & mask).any() else ""

    return sift(*pieces_of(edema), judge)
