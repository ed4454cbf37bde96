"""Where edema hides a bone from its network, and what is believed there all the same.

Edema at the surface of a bone is as bright as the fluid, cartilage or disc beyond it. The network
doubts it, and every later step that asks what bone looks like takes it away: half of such lesions
were lost with the bone around them. Where the signal may be edema the network's own word counts;
where a fat-suppressed series is all there is, its word at a second look (`models/second_look.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.region import widen

CORE = 0.8  # probability above which a voxel tells how bright bone is
LEAST_CORE_VOXELS = 200
# Signal over the bone's. Muscle has 0.55 of red marrow on T1 and 1.65 of it on STIR, 0.34 of yellow
# marrow on T1, and fluid and cartilage less: with 1.4 and 0.45 more of the muscle beside an
# inflamed ilium was bone, and a shaded scan of that patient fell from a Dice of 0.82 to 0.61.
WATER_T2FS, WATER_T1 = 1.6, (0.6, 1.0)
HALF = 0.5
# What is taken from a second look: pieces that it is so sure of, bright for the most part, with so
# much of their surface against bone of their own kind. In 52 phantoms and 10 scans the layers of
# fluid, discs and muscle that came with them had 0.57 and less, or were too small to matter.
SURE, LEAST_BRIGHT, LEAST_ENCLOSED = 0.9, 0.6, 0.58


def may_be_edema(
    bone: NDArray[np.float32], shown: Sequence[NDArray[np.float32]]
) -> NDArray[np.bool_]:
    """Return where the signal is edema's: bright where fat is suppressed, between on T1.

    Parameters
    ----------
    bone : ndarray of float32, shape (x, y, z)
        Probability of any bone.
    shown : sequence of ndarray, same shape
        Fat-suppressed series and T1 without coil shading. With one of them alone nothing is told:
        whatever is bright on it may be fluid.

    Examples
    --------
    >>> bone = np.ones((10, 10, 4), np.float32)
    >>> t2fs, t1 = np.full(bone.shape, 10.0), np.full(bone.shape, 100.0)
    >>> t2fs[0, 0, :2], t1[0, 0, 0], t1[0, 0, 1] = 25, 70, 30
    >>> np.argwhere(may_be_edema(bone, [t2fs, t1])).tolist()
    [[0, 0, 0]]
    """
    core = bone > CORE
    if len(shown) < 2 or np.count_nonzero(core) < LEAST_CORE_VOXELS:
        return np.zeros(bone.shape, bool)
    t2fs, t1 = (image / max(float(np.median(image[core])), 1e-6) for image in shown)
    return (t2fs > WATER_T2FS) & (t1 > WATER_T1[0]) & (t1 < WATER_T1[1])


def believed_by_half(
    probability: NDArray[np.float32], where: NDArray[np.bool_], border: float
) -> NDArray[np.float32]:
    """Return probabilities raised so that in some places one half already passes a border.

    Parameters
    ----------
    probability : ndarray of float32, shape (kinds + 1, x, y, z)
        0 is background; the kinds of bone keep their shares of each voxel.
    where : ndarray of bool, shape (x, y, z)
    border : float
        Where a bone's border lies elsewhere, at least one half.
    """
    bone = 1 - probability[0]
    raised = border + (bone - HALF) / (1 - HALF) * (1 - border)
    now = np.where(where & (bone > HALF), np.maximum(raised, bone), bone)
    new = probability * (now / np.maximum(bone, 1e-6))[None]
    new[0] = 1 - new[1:].sum(0)
    return np.ascontiguousarray(new, np.float32)


def hidden_bone(
    first: NDArray[np.float32], second: NDArray[np.float32], bright: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return where a second look, at an image whose bright parts are dimmed, is to be believed.

    Dimmed fluid, discs and muscle look like marrow too; they lie between two bones or along one,
    where edema lies within one.

    Parameters
    ----------
    first, second : ndarray of float32, shape (kinds + 1, x, y, z)
        Probability of each kind, as the image is and dimmed; 0 is background.
    bright : ndarray of bool, shape (x, y, z)
        What was dimmed.

    Returns
    -------
    ndarray of bool, shape (x, y, z)

    Examples
    --------
    >>> bone = np.zeros((9, 9, 9), np.float32)
    >>> bone[1:8, 1:8, 1:8] = 0.95
    >>> seen, bright = bone.copy(), np.zeros(bone.shape, bool)
    >>> seen[3:8, 2:7, 2:7], bright[3:8, 2:7, 2:7] = 0.1, True
    >>> hidden = hidden_bone(np.stack([1 - seen, seen]), np.stack([1 - bone, bone]), bright)
    >>> bool(hidden[bright].all()), int(np.count_nonzero(hidden & ~bright))
    (True, 0)
    """
    found, found_dimmed = 1 - first[0], 1 - second[0]
    kind, kind_dimmed = (1 + probability[1:].argmax(0) for probability in (first, second))
    kind[found <= HALF] = 0
    more = (found_dimmed > HALF) & (kind == 0)
    surer = (found_dimmed > SURE) & (found_dimmed > found)
    new = _enclosed(surer & more, kind, kind_dimmed, bright)
    new = ndimage.binary_dilation(new) & more
    return new | _enclosed(surer & bright & ~more, kind, kind_dimmed, bright)


def _enclosed(
    mask: NDArray[np.bool_],
    kind: NDArray[np.intp],
    own_kind: NDArray[np.intp],
    bright: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return the pieces of a mask that are bright and lie within bone of their own kind.

    Parameters
    ----------
    kind : ndarray of int
        Of the bone around; 0 is none.
    own_kind : ndarray of int
        Of the pieces.
    """
    pieces, count = ndimage.label(mask)
    kept = ndimage.mean(bright, pieces, range(count + 1)) >= LEAST_BRIGHT
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        wide = widen(box, (1, 1, 1), mask.shape)
        own = pieces[wide] == piece
        ring = ndimage.binary_dilation(own) & ~own
        most = np.bincount(own_kind[wide][own]).argmax()
        kept[piece] &= np.mean(kind[wide][ring] == most) >= LEAST_ENCLOSED
    kept[0] = False
    return np.asarray(kept[pieces])
