"""From kinds of bone to a site's own bones: vertebrae by their level, left from right.

A network tells vertebra, sacrum and hip bone; which vertebra, which side and which part of the hip
bone follows from where they lie. Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.bodies import (
    between_s1_and_s2,
    half_taken,
    left_over_of_s1,
    piece_of_s1,
    split_vertebrae,
    without_next,
)
from bmepipe.analysis.column import Column, column_of, sizes_of
from bmepipe.analysis.hip_bone import hip_bone_parts
from bmepipe.analysis.level_names import (
    is_anchored,
    is_whole,
    name_levels,
    number_from_top,
    numbered_beyond,
)
from bmepipe.analysis.region import around
from bmepipe.analysis.vertebra import is_any_vertebra
from bmepipe.site import Site
from bmepipe.volume import Volume

Kinds = NDArray[np.uint8]
# Of the mean of its neighbours; in four spines bodies had 0.83 and more. A collapsed one has less,
# or one whose edema was taken for no bone.
SMALL_BODY = 0.75
MARGIN_MM = 12.0  # around all bones; farther from them nothing is asked


def site_bones(
    kinds: Kinds,
    names: Mapping[int, str],
    site: Site,
    spacing_mm: float,
    certainty: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Return the site's labels for a label map of kinds of bone.

    Parameters
    ----------
    kinds : ndarray of uint8, shape (x, y, z)
        Indexed along right, front and up.
    names : mapping of int to str
        What the labels of `kinds` mean.
    site : Site
    spacing_mm : float
        Isotropic.
    certainty : ndarray of float32, same shape, optional
        The network's probability of each voxel's kind; it is lower in a narrow disc that was taken
        for bone.

    Returns
    -------
    ndarray of uint8, same shape
        Kinds that the site does not have are left out. Vertebrae are "vertebra_1" and so on from
        the top where the bone that the count begins at is not in view.
    """
    whole = np.zeros(kinds.shape, np.uint8)
    if kinds.any():  # the rest of the grid is empty, and most of it
        box = around(kinds > 0, [round(MARGIN_MM / spacing_mm)] * 3)
        part = None if certainty is None else certainty[box]
        whole[box] = _site_bones(kinds[box], names, site, spacing_mm, part)
    return whole


def _site_bones(
    kinds: Kinds,
    names: Mapping[int, str],
    site: Site,
    spacing_mm: float,
    certainty: NDArray[np.float32] | None,
) -> NDArray[np.uint8]:
    numbers = {bone.name: bone.label for bone in site.bones}
    kind_of = {name: label for label, name in names.items()}
    found = np.zeros(kinds.shape, np.uint8)
    for name, label in kind_of.items():
        if name in numbers:
            found[kinds == label] = numbers[name]
    column = column_of(site)
    if column is not None and column.anchor in kind_of and column.anchor_bone in numbers:
        found[kinds == kind_of[column.anchor]] = numbers[column.anchor_bone]
    if "vertebra" in kind_of and column is not None:
        _name_vertebrae(found, kinds, kind_of, numbers, column, spacing_mm, certainty)
    if "hip_bone" in kind_of and {"ilium_left", "ilium_right"} <= numbers.keys():
        right = right_of_middle(kinds > 0, (kinds == kind_of.get("sacrum", 0)) & (kinds > 0))
        for side, where in (("ilium_right", right), ("ilium_left", ~right)):
            found[(kinds == kind_of["hip_bone"]) & where] = numbers[side]
    if {"hip_bone", "femur"} <= kind_of.keys() and {"ilium", "ischium", "pubis"} <= numbers.keys():
        hip, femur = (kinds == kind_of[name] for name in ("hip_bone", "femur"))
        for part, where in hip_bone_parts(hip, femur, spacing_mm).items():
            found[where] = numbers[part]
    return found


def _name_vertebrae(
    found: NDArray[np.uint8],
    kinds: Kinds,
    kind_of: Mapping[str, int],
    numbers: Mapping[str, int],
    column: Column,
    spacing_mm: float,
    certainty: NDArray[np.float32] | None,
) -> None:
    """Write the vertebrae's labels into `found`."""
    anchor = (kinds == kind_of.get(column.anchor, 0)) & (kinds > 0)
    vertebrae = kinds == kind_of["vertebra"]
    bodies = split_vertebrae(vertebrae, spacing_mm, certainty, column)
    if column.anchor == "sacrum":
        taken = half_taken(vertebrae, anchor, spacing_mm, column)
        # What is left must still be a sacrum: else it was S1 that is half called a vertebra.
        left = int(np.count_nonzero(anchor & ~taken))
        if taken.any() and is_whole(left, sizes_of(bodies), column):
            vertebrae, anchor = vertebrae | taken, anchor & ~taken
            found[taken] = 0
            bodies = split_vertebrae(vertebrae, spacing_mm, certainty, column)
    bodies = without_next(bodies, column)
    if column.anchor == "sacrum":
        first = piece_of_s1(bodies, anchor, spacing_mm)
        first |= left_over_of_s1(vertebrae & (bodies == 0), anchor, spacing_mm)
        anchor |= first
        bodies[first] = 0
        anchor |= between_s1_and_s2(anchor, kinds == 0, spacing_mm)
        found[anchor] = numbers.get("sacrum", 0)
    if is_anchored(bodies, anchor, spacing_mm, column):
        levels = name_levels(bodies, anchor, spacing_mm, column)
        levels |= numbered_beyond(bodies, levels, anchor, spacing_mm, column)
    else:
        levels = number_from_top(bodies, spacing_mm, column)
    for body, name in levels.items():
        if name in numbers:
            found[bodies == body] = numbers[name]


def right_of_middle(bones: NDArray[np.bool_], sacrum: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which voxels lie to the right of the middle of the sacrum, or of all bones."""
    marks = sacrum if sacrum.any() else bones
    middle = np.median(np.nonzero(marks)[0]) if marks.any() else bones.shape[0] / 2
    right = np.arange(bones.shape[0])[:, None, None] > middle
    return np.broadcast_to(right, bones.shape)


def bodies_note(bones: Volume, site: Site) -> tuple[str, ...]:
    """Return a line that says what of its vertebrae a network does not find, if there are any."""
    column = column_of(site)
    if column is not None and column.arches:
        return ()
    if any(is_any_vertebra(name) for name in _voxels(bones, site)):
        return ("Of vertebrae only the bodies are judged, not the arches and facet joints.",)
    return ()


def level_notes(bones: Volume, site: Site) -> tuple[str, ...]:
    """Return a line if vertebrae could only be numbered, or were named from a bone cut short."""
    column = column_of(site)
    if column is None:
        return ()
    voxels = _voxels(bones, site)
    anchor = voxels.get(column.anchor_bone, 0)
    numbered = [count for name, count in voxels.items() if name.startswith("vertebra_")]
    last = [name for name in (column.anchor_bone, *column.names) if name in voxels]
    if numbered and (last[1:] or anchor > column.least_anchor_share * np.median(numbered)):
        where = "above" if column.upwards else "below"
        return (
            f"levels unknown {where} {last[-1]}: the next vertebra was not found; those beyond are "
            "numbered from the top",
        )
    if numbered:
        much = "too little of the" if anchor else "no"
        return (
            f"levels unknown: {much} {column.anchor_bone} in view to count from; "
            "vertebrae are numbered from the top",
        )
    named = [count for name, count in voxels.items() if name in column.names]
    # One vertebra beside a joint is no measure; a user's label map may have no anchor at all.
    if len(named) > 1 and anchor and not is_whole(anchor, named, column):
        return (f"levels to be checked: the {column.anchor_bone} they are counted from is cut",)
    return ()


def small_notes(bones: Volume, site: Site) -> tuple[str, ...]:
    """Return a line for each vertebral body that is far smaller than both its neighbours.

    On a fat-suppressed series alone a network may take the edematous half of a body for no bone.
    """
    column = column_of(site)
    if column is None or column.arches:
        return ()
    ml = {name: count * bones.grid.voxel_ml for name, count in _voxels(bones, site).items()}
    heights = _heights_mm(bones, site)
    order = sorted((name for name in ml if is_any_vertebra(name)), key=lambda name: heights[name])
    lines = []
    for below, name, above in zip(order, order[1:], order[2:], strict=False):
        expected = (ml[below] + ml[above]) / 2
        if ml[name] < SMALL_BODY * expected:
            lines.append(
                f"{name} has {ml[name]:.0f} mL, by its neighbours {expected:.0f} are expected: "
                "collapsed, or found in part; what lies beyond its outline is not measured"
            )
    return tuple(lines)


def _heights_mm(bones: Volume, site: Site) -> dict[str, float]:
    """Return how high the middle of each bone that occurs lies, by name."""
    index = np.nonzero(bones.data)
    labels = bones.data[index]
    heights = sum(bones.grid.affine[2, axis] * index[axis] for axis in range(3))
    sizes, sums = np.bincount(labels, minlength=256), np.bincount(labels, heights, 256)
    return {b.name: float(sums[b.label] / sizes[b.label]) for b in site.bones if sizes[b.label]}


def _voxels(bones: Volume, site: Site) -> dict[str, int]:
    """Return how many voxels each bone that occurs has, by name."""
    sizes = np.bincount(bones.data.ravel(), minlength=256)
    return {bone.name: int(sizes[bone.label]) for bone in site.bones if sizes[bone.label]}
