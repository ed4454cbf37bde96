"""Label maps of other tools: from their names of bones to a site's labels, told bone by bone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from bmepipe.errors import UnknownLabels, unknown_choice
from bmepipe.site import SIDES, Site, both_sides
from bmepipe.volume import Volume

_LEVELS = tuple(
    f"vertebrae_{name}"
    for name in ("L5", "L4", "L3", "L2", "L1", *(f"T{n}" for n in range(12, 0, -1)),
                 *(f"C{n}" for n in range(7, 0, -1)))
)  # fmt: skip
# TotalSegmentator's tasks for MR that hold bones, version 2.5 and later (Akinci D'Antonoli et al.
# 2025, 10.1148/radiol.241613). Earlier versions numbered total_mr otherwise, which is why names
# stored in the file itself, as its --ml option writes them, come first.
TASKS: Mapping[str, Mapping[int, str]] = {
    "total_mr": {
        18: "sacrum", 19: "vertebrae", 20: "intervertebral_discs",
        30: "humerus_left", 31: "humerus_right", 32: "scapula_left", 33: "scapula_right",
        34: "clavicula_left", 35: "clavicula_right", 36: "femur_left", 37: "femur_right",
        38: "hip_left", 39: "hip_right",
    },
    "vertebrae_mr": {1: "sacrum", **dict(enumerate(_LEVELS, start=2))},
    "appendicular_bones_mr": {
        1: "patella", 2: "tibia", 3: "fibula", 4: "tarsal", 5: "metatarsal",
        6: "phalanges_feet", 7: "ulna", 8: "radius",
    },
}  # fmt: skip
# Other tools' names -> ours, tried in this order; the first that the site has is taken.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "clavicula": ("clavicle",),
    "hip_left": ("ilium_left", "hip_bone"), "hip_right": ("ilium_right", "hip_bone"),
    "ilium_left": ("ilium_left", "ilium"), "ilium_right": ("ilium_right", "ilium"),
    "hip": ("hip_bone", "pelvic_bones"), "pelvis": ("pelvic_bones",),
}  # fmt: skip


def task_names(task: str) -> Mapping[int, str]:
    """Return the names of a TotalSegmentator task's labels.

    Raises
    ------
    UnknownChoice
        Listing the known tasks.
    """
    if task not in TASKS:
        raise unknown_choice("TotalSegmentator task", task, TASKS)
    return TASKS[task]


def own_name(name: str, site: Site) -> str | None:
    """Return the site's name of a bone that another tool calls `name`; None if it has none.

    A side may stand first, as reports show it, or last; it is dropped where the site has one such
    bone only. A whole hip bone is none of a site that parts it.

    Examples
    --------
    >>> from bmepipe.site import load_site
    >>> own_name("vertebrae_L5", load_site("lumbar")), own_name("Femur left", load_site("knee"))
    ('L5', 'femur')
    >>> own_name("hip_left", load_site("sacroiliac")), own_name("spleen", load_site("knee"))
    ('ilium_left', None)
    >>> own_name("Left Ilium", load_site("sacroiliac"))
    'ilium_left'
    """
    known = {bone.name.lower(): bone.name for bone in site.bones}
    plain = _side_last(name)
    if plain.startswith("hip_") and any(bone.startswith("ischium") for bone in known):
        return None
    plain = re.sub(r"^vertebrae?_(?=[ctls]\d)", "", plain)
    without = re.sub(r"_?(left|right)$", "", plain)
    for candidate in (plain, *_ALIASES.get(plain, ()), without, *_ALIASES.get(without, ())):
        if candidate in known:
            return known[candidate]
    return None


def _side_last(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return re.sub(r"^(left|right)_(.+)$", r"\2_\1", plain)


def rename_bones(
    labels: Volume, names: Mapping[int, str], site: Site
) -> tuple[Volume, tuple[str, ...]]:
    """Return a label map in the site's numbers, and what became of each bone and label.

    Where a paired site's bone occurs on the right and on the left, the numbers are those of both
    sides; a bone without a side is then left out.

    Parameters
    ----------
    labels : Volume of unsigned integers
    names : mapping of int to str
        What its labels mean.
    site : Site

    Returns
    -------
    bones : Volume of uint8
    report : tuple of str
        One line on the bones taken, one each on what is missing and on what was left out.

    Raises
    ------
    UnknownLabels
        If none of the labels that occur is a bone of the site.
    """
    present = [int(n) for n in np.unique(labels.data) if n]
    if _shows_both([names[n] for n in present if n in names], site):
        site = both_sides(site)
    numbers = {bone.name: bone.label for bone in site.bones}
    table = np.zeros(max(present, default=0) + 1, np.uint8)
    taken: dict[str, list[str]] = {}
    left: list[int] = []
    for number in present:
        bone = own_name(names[number], site) if number in names else None
        if bone is None:
            left.append(number)
        else:
            table[number] = numbers[bone]
            taken.setdefault(bone, []).append(names[number])
    unknown = _left_out(left, names)
    if not taken:
        raise UnknownLabels(
            f"bones of the site {site.name} ({', '.join(numbers)})",
            f"a label map without any: {'; '.join(unknown) or 'nothing'}",
            "give the label map of this site, or names that fit it with --bone-names",
        )
    report = (*_report(taken, tuple(numbers)), *unknown)
    return Volume(table[labels.data], labels.grid), report


def _shows_both(names: list[str], site: Site) -> bool:
    """Say whether the names hold one of a paired site's bones on the right and on the left."""
    both = both_sides(site)
    own = [{own_name(name, both) for name in names if _side_last(name).endswith(s)} for s in SIDES]
    right, left = ({str(bone).rsplit("_", 1)[0] for bone in found if bone} for found in own)
    return site.paired and bool(right & left)


def _report(taken: Mapping[str, list[str]], bones: tuple[str, ...]) -> tuple[str, ...]:
    pairs = [f"{bone} from {' and '.join(names)}" for bone, names in taken.items()]
    missing = [bone for bone in bones if bone not in taken]
    without = (f"label map given: without {', '.join(missing)}",) if missing else ()
    return (f"label map given: {', '.join(pairs)}", *without)


def _left_out(labels: list[int], names: Mapping[int, str]) -> tuple[str, ...]:
    """Return a line on the labels whose names are no bone, and one on those without a name."""
    named = [f"{label} {names[label]!r}" for label in labels if label in names]
    nameless = [str(label) for label in labels if label not in names]
    lines = []
    for found, one, several in (
        (named, "is no bone of this site", "are no bones of this site"),
        (nameless, "has no name", "have no name"),
    ):
        if len(found) == 1:
            lines.append(f"given label {found[0]} {one}, left out")
        elif found:
            lines.append(f"given labels {', '.join(found)} {several}, left out")
    return tuple(lines)
