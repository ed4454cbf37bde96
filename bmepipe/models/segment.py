"""The bone finder: from what a network sees to a site's labels on the scan's own grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.boundary import most_probable, refine_bones
from bmepipe.analysis.column import column_of
from bmepipe.analysis.hidden import believed_by_half, may_be_edema
from bmepipe.analysis.hip_bone import PARTS, as_one_bone, parted_again
from bmepipe.analysis.leak import without_muscle
from bmepipe.analysis.levels import site_bones
from bmepipe.analysis.likeness import sharpened
from bmepipe.analysis.region import Box, large_pieces, largest_piece
from bmepipe.analysis.sides import middle_of_two
from bmepipe.analysis.vertebral_arches import arches_of
from bmepipe.errors import NoBonesFound
from bmepipe.models.beyond_t1 import bone_beyond, put_together
from bmepipe.models.bundle import Bundle, bundle_of
from bmepipe.models.network import flattened
from bmepipe.models.probability import joined, probability_of
from bmepipe.models.regrid import from_network
from bmepipe.models.second_look import look_again
from bmepipe.models.seen import Seen, first_of, look, seen_within, volumes_of
from bmepipe.site import SIDES, Site
from bmepipe.study import Pair
from bmepipe.volume import Volume

WINGS = "ilium"  # thin bones between two muscles, by the beginning of their names
# Bones whose processes hang on by bone thinner than a slice: they may come in several pieces.
IN_PIECES = ("scapula",)


def bone_finder(site: Site, folder: Path | None = None) -> Callable[[Pair, Site], Volume]:
    """Return the function (pair, site) -> bone labels of a site's model.

    Parameters
    ----------
    site : Site
    folder : Path, optional
        A model folder other than the one that comes with the package.

    Raises
    ------
    UnknownChoice
        If the site has no model yet.
    ModelDamaged
    """
    bundle = bundle_of(site, folder)
    return lambda pair, site: segment_bones(pair, site, bundle)


def segment_bones(pair: Pair, site: Site, bundle: Bundle, seen: Seen | None = None) -> Volume:
    """Find the bones of a pair.

    Both contrasts are shown to the network; their probabilities are averaged, brought to the native
    grid and the bones' borders drawn there from the image. Where the T1 ends before the
    fat-suppressed series the latter alone shows them.

    Parameters
    ----------
    pair : Pair
    site : Site
    bundle : Bundle
    seen : Seen, optional
        What `look` returned for the pair, where it is known already.

    Returns
    -------
    Volume of uint8
        The site's labels on the pair's grid, or those of `both_sides` of it.

    Raises
    ------
    NoBonesFound
        If no bone of a plausible volume was found; never an empty label map.
    """
    seen = seen or look(volumes_of(pair), bundle)
    labels = _labels(pair, site, bundle, seen)
    beyond = None if pair.t1 is None else bone_beyond(pair.t1, pair.t2fs, seen)
    if beyond is not None:
        alone = _labels(replace(pair, t1=None), site, bundle, first_of(seen))
        labels = put_together(labels, alone, beyond)
    return pair.t2fs.with_data(labels)


def _labels(pair: Pair, site: Site, bundle: Bundle, seen: Seen) -> NDArray[np.uint8]:
    """Return the site's labels of the bones that are seen, of both sides where both are in view."""
    seen = look_again(seen, bundle, column_of(site))
    middle = _middle(seen, site, bundle)
    if middle is None:
        return _one_side(pair, site, bundle, seen)
    right = np.zeros(seen.inside.shape, bool)
    right[middle:] = True
    labels = np.zeros(pair.grid.shape, np.uint8)
    refused: NoBonesFound | None = None
    for side, where in (("right", right), ("left", ~right)):
        try:
            own = _one_side(pair, site, bundle, seen_within(seen, where))
        except NoBonesFound as why:  # the other side is there; the notes name what this one lacks
            refused = why
            continue
        free = (own > 0) & (labels == 0)
        labels[free] = own[free] + SIDES[side]
    if refused is not None and not labels.any():
        raise refused
    return labels


def _middle(seen: Seen, site: Site, bundle: Bundle) -> int | None:
    """Return where the right side begins on the network's grid; None if one side is in view."""
    if not site.paired:
        return None
    kinds = seen.probabilities.mean(0).argmax(0).numpy().astype(np.uint8)
    kind_of = {name: kind for kind, name in bundle.labels.items()}
    shown_ml = {kind_of[name]: ml for name, ml in site.shown_ml.items() if name in kind_of}
    return middle_of_two(kinds, shown_ml, bundle.spacing_mm)


def _one_side(pair: Pair, site: Site, bundle: Bundle, seen: Seen) -> NDArray[np.uint8]:
    """Return the site's labels of the bones that are seen, one bone of each name."""
    probability = joined(seen.probabilities).numpy()
    shown = even(seen.signals, seen.inside)
    edema = may_be_edema(1 - probability[0], shown)
    if bundle.likeness:
        probability = sharpened(probability, shown, seen.inside, bundle.spacing_mm, edema)
    probability = believed_by_half(probability, edema, bundle.border_probability)
    kinds = probability.argmax(0).astype(np.uint8)
    certainty = probability.max(0)
    coarse = site_bones(kinds, bundle.labels, site, bundle.spacing_mm, certainty)
    coarse = _believable(coarse, kinds, certainty, probability, bundle, site)
    native = _native(coarse, kinds, probability, seen, bundle)
    images = [volume.data for volume in volumes_of(pair)[: len(seen.signals)]]
    drawn = most_probable(native, pair.grid.shape, bundle.border_probability)
    parts = [bone.label for bone in site.bones if bone.name in PARTS]
    labels = refine_bones(as_one_bone(drawn, parts), images, pair.grid.spacing_mm)
    labels = parted_again(labels, drawn, parts, pair.grid.spacing_mm)
    wings = [bone.label for bone in site.bones if bone.name.startswith(WINGS)]
    labels = without_muscle(labels, images, pair.grid.spacing_mm, wings)
    hung_on = _arches(coarse, seen, bundle, site)
    arches = most_probable(hung_on, pair.grid.shape, bundle.border_probability)
    labels = np.where(labels > 0, labels, arches).astype(np.uint8)
    if not labels.any():
        raise NoBonesFound(_expected(site), "bones thinner than a voxel", _remedy(site))
    return labels


def _arches(
    coarse: NDArray[np.uint8], seen: Seen, bundle: Bundle, site: Site
) -> dict[int, tuple[Box, NDArray[np.float32]]]:
    """Return each vertebra's arch as `boundary.most_probable` takes it, where the site judges it.

    As the network draws them: laminae are too thin for the walks that settle a body's border. Both
    contrasts count the same, for the surer one alone closes the facet joints.
    """
    column = column_of(site)
    kind_of = {name: kind for kind, name in bundle.labels.items()}
    if column is None or not column.arches or "arch" not in kind_of:
        return {}
    probability = seen.probabilities.mean(0).numpy()
    kinds, certainty = probability.argmax(0).astype(np.uint8), probability.max(0)
    arches = (kinds == kind_of["arch"]) & (coarse == 0)
    unnamed = (kinds > 0) & ~arches & (coarse == 0)
    owners = arches_of(coarse, unnamed, arches, certainty, bundle.spacing_mm)
    return _native(owners, kinds, probability, seen, bundle)


def _native(
    coarse: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    probability: NDArray[np.float32],
    seen: Seen,
    bundle: Bundle,
) -> dict[int, tuple[Box, NDArray[np.float32]]]:
    """Return each label's probability on the scan's grid, as `boundary.most_probable` takes it."""
    return {
        int(label): from_network(
            probability_of(coarse == label, kinds, probability),
            seen.placement,
            bundle.border_probability,
        )
        for label in np.unique(coarse[coarse > 0])
    }


def even(
    signals: list[NDArray[np.float32]], inside: NDArray[np.bool_]
) -> list[NDArray[np.float32]]:
    """Return signals without their coil shading."""
    import torch

    mask = torch.from_numpy(inside)
    return [flattened(torch.from_numpy(s).clamp(min=0), mask).numpy() for s in signals]


def _believable(
    labels: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    certainty: NDArray[np.float32],
    probability: NDArray[np.float32],
    bundle: Bundle,
    site: Site,
) -> NDArray[np.uint8]:
    """Return the largest part of each bone whose size and certainty can be believed.

    Of a scapula the others too: an edematous acromion was lost, since no slice showed the spine
    that it hangs on by.

    Raises
    ------
    NoBonesFound
        If none can; it tells what kinds of bone were seen instead.
    """
    believed = np.zeros_like(labels)
    doubtful = []
    for bone in site.bones:
        for piece in _pieces(labels == bone.label, bone.name):
            kind = int(np.bincount(kinds[piece]).argmax())
            volume_ml = float(piece.sum() * bundle.spacing_mm**3 / 1000)
            confidence = float(certainty[piece].mean())
            least_ml = bundle.smallest_ml.get(kind, 0.0)
            if volume_ml < least_ml or confidence < bundle.least_confidence:
                doubtful.append(f"{bone.name} {volume_ml:.0f} mL at confidence {confidence:.2f}")
            else:
                believed[piece] = bone.label
    if not believed.any():
        seen = [*doubtful, *_other_kinds(kinds, bundle, site)]
        got = "; ".join(seen) or f"no bone at all, {_surest(probability, bundle)}"
        raise NoBonesFound(_expected(site), got, _remedy(site))
    return believed


def _pieces(bone: NDArray[np.bool_], name: str) -> list[NDArray[np.bool_]]:
    """Return the largest piece of a bone, of one of `IN_PIECES` the others too; none of nothing."""
    if name in IN_PIECES:
        return large_pieces(bone)
    return [largest_piece(bone)] if bone.any() else []


def _surest(probability: NDArray[np.float32], bundle: Bundle) -> str:
    """Return which kind of bone is most probable anywhere, though not enough to be seen."""
    highest = probability[1:].reshape(len(probability) - 1, -1).max(1)
    kind = int(highest.argmax())
    return f"nowhere more than {bundle.labels[kind + 1]} at confidence {highest[kind]:.2f}"


def _other_kinds(kinds: NDArray[np.uint8], bundle: Bundle, site: Site) -> list[str]:
    """Return what else was seen, as the wrong site or a missing sacrum would show it."""
    names = {bone.name for bone in site.bones}
    volumes = np.bincount(kinds.ravel()) * bundle.spacing_mm**3 / 1000
    return [
        f"{name} {volumes[kind]:.0f} mL"
        for kind, name in bundle.labels.items()
        if name not in names and kind < len(volumes) and volumes[kind] > 5
    ]


def _expected(site: Site) -> str:
    return f"{' or '.join(bone.name for bone in site.bones)} on the images"


def _remedy(site: Site) -> str:
    return f"check that this is a {site.name} study, or give a label map with --bones"
