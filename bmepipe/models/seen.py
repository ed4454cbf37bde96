"""What a bone network sees in the series of a pair, before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmepipe.models.network import normalise
from bmepipe.models.regrid import Placement, place, to_network
from bmepipe.study import Pair
from bmepipe.volume import Volume

if TYPE_CHECKING:
    import torch

    from bmepipe.models.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network sees in a pair, on its own grid.

    Parameters
    ----------
    placement : Placement
    inside : ndarray of bool, shape (x, y, z)
        Which voxels the scan covers.
    signals : list of ndarray of float32, same shape
        Of the fat-suppressed series first.
    probabilities : Tensor, shape (contrasts, labels + 1, x, y, z)
        0 is background; outside the scan everything is background.
    """

    placement: Placement
    inside: NDArray[np.bool_]
    signals: list[NDArray[np.float32]]
    probabilities: torch.Tensor


def look(volumes: Sequence[Volume], bundle: Bundle) -> Seen:
    """Return what the network sees in each of some volumes on one grid.

    Parameters
    ----------
    volumes : sequence of Volume of float32
        The fat-suppressed series first, then the T1 if there is one.
    bundle : Bundle
    """
    grid = volumes[0].grid
    placement = place(grid, bundle.spacing_mm, bundle.multiple, bundle.coronal_within_deg)
    regridded = [to_network(volume.data, placement) for volume in volumes]
    signals, inside = [signal for signal, _ in regridded], regridded[0][1]
    return Seen(placement, inside, signals, predict(bundle, signals, inside))


def first_of(seen: Seen) -> Seen:
    """Return what is seen in the first volume alone."""
    return replace(seen, signals=seen.signals[:1], probabilities=seen.probabilities[:1])


def seen_within(seen: Seen, where: NDArray[np.bool_]) -> Seen:
    """Return what is seen as if the scan covered only `where`.

    Parameters
    ----------
    seen : Seen
    where : ndarray of bool, shape (x, y, z)
    """
    import torch

    mask = torch.from_numpy(where)
    probabilities = _background_outside(mask, seen.probabilities)
    return replace(seen, inside=seen.inside & where, probabilities=probabilities)


def _background_outside(mask: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Return the probabilities with nothing but background outside a mask."""
    kept = probabilities * mask
    kept[:, 0] += (~mask).float()
    return kept


def volumes_of(pair: Pair) -> list[Volume]:
    """Return the series of a pair, the fat-suppressed one first."""
    return [v for v in (pair.t2fs, pair.t1) if v is not None]


def predict(
    bundle: Bundle, signals: list[NDArray[np.float32]], inside: NDArray[np.bool_]
) -> torch.Tensor:
    """Return the probability of each label in each contrast.

    Parameters
    ----------
    bundle : Bundle
    signals : list of ndarray, each of the shape of the network's grid
    inside : ndarray of bool, same shape
        Which voxels the scan covers.

    Returns
    -------
    Tensor, shape (contrasts, labels + 1, x, y, z)
        0 is background; outside the scan everything is background. What the network tells from
        bone by name (discs) is background too.
    """
    import torch

    mask = torch.from_numpy(inside)
    batch = torch.stack(
        [normalise(torch.from_numpy(s).clamp(min=0), mask, flatten=bundle.flatten) for s in signals]
    )
    with torch.inference_mode():
        probabilities = _background_outside(mask, bundle.network(batch[:, None]).softmax(1))
        beside = probabilities[:, len(bundle.labels) + 1 :].sum(1)
        probabilities = probabilities[:, : len(bundle.labels) + 1].contiguous()
        probabilities[:, 0] += beside
    return probabilities
