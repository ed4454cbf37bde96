"""Both sides of a paired joint in one scan: where the right one ends and the left one begins.

A pelvis is scanned with both hips, and some protocols hold both knees or both feet. Of each kind of
bone one would be kept else, and the other side, with its edema, lost without a word.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.reference import present_labels
from bmepipe.analysis.region import large_pieces
from bmepipe.site import Site, both_sides
from bmepipe.volume import Volume

APART_MM = 50.0  # between the middles of a bone and its twin; heels side by side are 70 mm apart
LEAST_SHOWN = 0.5  # of what every scan of the site shows of a kind of bone, on either side
# The field may cut a bone's outer part; by its inner edge the middle is found all the same. As a
# percentile, for stray voxels.
INNER_EDGE = 2.0


def middle_of_two(
    kinds: NDArray[np.uint8], shown_ml: Mapping[int, float], spacing_mm: float
) -> int | None:
    """Return where the right side begins in a scan of both; None in a scan of one.

    Two sides are seen where a kind of bone has a twin to the right or left of it, and half of
    what a scan of the site shows of every kind lies on either side.

    Parameters
    ----------
    kinds : ndarray of uint8, shape (x, y, z)
        Kinds of bone, indexed along right, front and up.
    shown_ml : mapping of int to float
        Of the kinds that every scan of the site shows: how much of each.
    spacing_mm : float
        Isotropic.

    Returns
    -------
    int or None
        Index along x of the first voxel of the right side.

    Examples
    --------
    >>> kinds = np.zeros((60, 4, 4), np.uint8)
    >>> kinds[5:15], kinds[46:56] = 1, 1
    >>> middle_of_two(kinds, {1: 1.0}, 2.0)
    30
    >>> middle_of_two(kinds[:40], {1: 1.0}, 2.0) is None
    True
    """
    voxel_ml = spacing_mm**3 / 1000
    least = {kind: LEAST_SHOWN * ml / voxel_ml for kind, ml in shown_ml.items()}
    for kind in shown_ml:
        twins = [np.argwhere(piece) for piece in large_pieces(kinds == kind)[:2]]
        if len(twins) < 2 or len(twins[1]) < least[kind]:
            continue
        left, right = sorted(twins, key=lambda points: float(points[:, 0].mean()))
        apart_mm = np.abs(right.mean(0) - left.mean(0)) * spacing_mm
        if apart_mm[0] < APART_MM or apart_mm.argmax() != 0:
            continue
        edges = np.percentile(left[:, 0], 100 - INNER_EDGE), np.percentile(right[:, 0], INNER_EDGE)
        middle = round(float(np.mean(edges)) + 0.5)
        sides = (kinds[:middle], kinds[middle:])
        if all(np.count_nonzero(side == k) >= n for side in sides for k, n in least.items()):
            return middle
    return None


def site_shown(site: Site, bones: Volume) -> Site:
    """Return the site as its labels show it: as it is, or both sides of it."""
    return site if set(present_labels(bones)) <= set(site.labels) else both_sides(site)


def sides_note(site: Site, bones: Volume) -> tuple[str, ...]:
    """Return a line if labels show both sides of a paired site.

    Parameters
    ----------
    site : Site
        As `load_site` returns it.
    bones : Volume of uint8
    """
    if site_shown(site, bones) == site:
        return ()
    return ("Both sides are in view: each bone is named by the patient's right or left.",)
