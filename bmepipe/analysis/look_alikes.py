"""The look-alikes of edema, told by the facts of a candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import numpy as np

from bmepipe.analysis.candidates import Candidate
from bmepipe.site import ContrastRule
from bmepipe.study import SequenceClass

DOT_MM2 = 12.0  # a circle of 4 mm
CYST_MM, VESSEL_MM, INNER_MM = 12.0, 1.75, 8.0
SHEET_MM, SHEET_WIDTH_MM = 3.0, 15.0
STREAK_RATIO, STREAK_T1_RATIO = 1.7, 0.9  # of faint streaks, fat as much as marrow on T1
FLUID_T1_RATIO = 0.42  # halfway between fluid and intense edema
FAINT_RATIO = 1.15  # medians of the lesions of eight patients were 1.19 to 2.44
PLAIN_MM3, PLAIN_T1_RATIO = 500.0, 0.8  # what is edema wherever it lies
# Plates and vessels of phantoms reach 2.8 mm; what runs into one of them was 2.6 times as long as
# thick. A haemangioma in fatty marrow had 0.83 on T1.
WATER_T1_RATIO, PLAIN_RADIUS_MM, COMPACT = 0.82, 3.0, 2.0
OUTSIDE = 0.9  # of its own signal; beside fluid in the outlines of a real knee it was 1.06 and 1.28
# No outline errs so far: fluid that one took in, as bright outside, had a median depth of 3.1 mm.
DEEP_MM = 3.5
# Of the ellipsoid with the same moments: a bent plate had 0.47, noise of a spine at 0.3 T 0.41 to
# 0.56, a lesion 0.83.
SOLID = 0.6
RAGGED_MM = 2.8  # that noise reached 2.5; endplate edema as ragged, 3.6
# Mild, moderate and intense edema over yellow marrow (docs/method.md, section 4), and how much
# brighter on T1 it may be: against red marrow it is by 0.11.
EDEMA_RATIOS = MappingProxyType(
    {
        SequenceClass.STIR: (1.4, 2.1, 3.2),
        SequenceClass.T2_FS: (2.0, 3.6, 6.3),
        SequenceClass.PD_FS: (2.3, 3.6, 5.4),
    }
)
EDEMA_T1_RATIOS, OFF_T1 = (0.83, 0.70, 0.58), 0.12
AWAY, PLATE, FAINT = "away from the joint", "growth plate", "faint"
HAEMANGIOMA = "round and bright on T1: haemangioma"
RIM = "rim: joint fluid, cartilage or vessel outside the bone"
HAEMANGIOMA_MM3 = 20_000.0  # most of a vertebral body; no larger one is round
LARGE_MM3, AT_JOINT_MM = 2_000.0, 3.0
# Of red marrow, fat has some 1.8 of its signal on T1 and edema 0.8: halfway between an even mixture
# of the two and fat alone is 1.5. Readers had drawn what reached 1.19 in the scan as it is, and up
# to 1.38 when its brightness was bent or shaded anew.
MIXED_T1_RATIO, FAT_T1_RATIO = 1.45, 1.2

Look = Callable[[Candidate], bool]


def is_plain(
    c: Candidate, rule: ContrastRule, sequence_class: SequenceClass, radius_mm: float
) -> bool:
    """Say whether both series show water in marrow, in a compact body: edema wherever it lies.

    Bright, and as dark on T1 as that much water is by the signal equations; thicker than a growth
    plate or a vessel, no longer than a lesion, and filling its own ellipsoid as a bent plate does
    not. A network that has learned from phantoms, whose edema lies at surfaces and at joints, gives
    little to what lies in the middle of a bone. Where an outline takes in fat and fluid their
    mixture is brighter than its T1 tells, or what lies outside is as bright.
    """
    if c.mean_t1_ratio is None or c.mean_ratio < rule.seed_ratio:
        return False
    dark = is_as_dark_as_water(c.mean_ratio, c.mean_t1_ratio, sequence_class)
    water = dark and FLUID_T1_RATIO < c.mean_t1_ratio < WATER_T1_RATIO
    compact = c.length < COMPACT * c.thickness and c.radius >= radius_mm
    inner = c.outside_ratio is None or c.outside_ratio < OUTSIDE or c.median_depth > DEEP_MM
    return water and compact and is_solid(c) and inner


def is_solid(c: Candidate) -> bool:
    """Say whether it fills the ellipsoid with its moments, as neither a bent plate nor noise do."""
    return c.volume_mm3 > SOLID * math.pi / 6 * c.length * c.width * c.thickness


def is_as_dark_as_water(ratio: float, t1_ratio: float, sequence_class: SequenceClass) -> bool:
    """Say whether T1 is as dark as the water in marrow that the fat-suppressed series shows.

    Examples
    --------
    >>> is_as_dark_as_water(3.6, 0.75, SequenceClass.PD_FS)
    True
    >>> is_as_dark_as_water(3.6, 0.94, SequenceClass.PD_FS)  # weak suppression
    False
    """
    expected = float(np.interp(ratio, EDEMA_RATIOS[sequence_class], EDEMA_T1_RATIOS))
    return t1_ratio < expected + OFF_T1


def is_bright_on_t1(c: Candidate) -> bool:
    """Say whether it is far brighter than marrow on T1, as unsuppressed fat: edema never is.

    At a joint line that was found it must be much brighter: inflammation and the fat that replaces
    marrow lie side by side there and mix (`MIXED_T1_RATIO`). None is as large as the inflammation
    of a whole joint, whose T1 also is hard to judge: it lies beside fatty change, and little normal
    marrow is left to compare it with.
    """
    if c.mean_t1_ratio is None or is_large_at_joint(c):
        return False
    return c.mean_t1_ratio > (MIXED_T1_RATIO if is_at_joint(c) else FAT_T1_RATIO)


def is_haemangioma(c: Candidate) -> bool:
    """Say whether it is round, plainly bright on the fat-suppressed series and not darker on T1.

    Away from the surface and from any joint hardly darker is enough. None is as large as
    `HAEMANGIOMA_MM3`, nor as the inflammation of a whole joint. In an arch, which is as thin as a
    candidate, any is round, and the fat around it shines in on T1.
    """
    if c.mean_t1_ratio is None or c.in_arch or is_large_at_joint(c):
        return False
    ball = c.length < COMPACT * c.thickness and c.mean_ratio > 1.6
    inner = c.outside_ratio is None and (c.joint_distance is None or c.joint_distance > INNER_MM)
    bright = c.mean_t1_ratio > (0.93 if inner else 1.02)
    return ball and bright and c.volume_mm3 < HAEMANGIOMA_MM3


def is_at_joint(c: Candidate) -> bool:
    """Say whether it reaches a joint line that was found."""
    return c.joint_distance is not None and c.joint_distance < AT_JOINT_MM


def is_large_at_joint(c: Candidate) -> bool:
    """Say whether it is plainly bright, large, and lies at a joint line that was found."""
    return is_at_joint(c) and c.mean_ratio > 1.6 and c.volume_mm3 > LARGE_MM3


def is_rim(c: Candidate) -> bool:
    """Say whether it is a shallow band whose brightest part lies outside: fluid or cartilage.

    Without a T1 the cortex is not seen, and a bone drawn too large reaches deeper into the fluid.
    """
    deepest, median, brighter = (4.0, 2.6, 1.0) if c.mean_t1_ratio is not None else (7.0, 4.0, 1.1)
    shallow = c.greatest_depth < deepest and c.median_depth < median
    return shallow and c.outside_ratio is not None and c.outside_ratio > brighter


def is_vessel(c: Candidate) -> bool:
    """Say whether it is a tube: thin, and much longer than wide.

    Half a pixel of the circle is the grid's, and blur widens a vein of 2 mm. Edema of the marrow's
    middle is no thin streak, so that away from the surface less length is enough.
    """
    longer = 3.5 if c.outside_ratio is not None else 2.3
    return c.radius - c.pixel_mm / 2 < VESSEL_MM and c.length > longer * c.width


def is_sheet(c: Candidate) -> bool:
    """Say whether it is thin and wide both ways, as a growth plate.

    By its thickness on average: where a plate meets another bright spot it is thicker.
    """
    mean_mm = c.volume_mm3 / (math.pi / 4 * c.length * c.width)
    return mean_mm < SHEET_MM and c.width > SHEET_WIDTH_MM and c.thickness < 0.4 * c.width


def is_dot(c: Candidate) -> bool:
    """Say whether no slice shows more of it than a dot: a vessel cut across, or noise.

    Veins of the marrow that run through the slices are dots of 2 to 3 mm in one slice or several.
    Beside a joint line that was found, small foci are expected and the place speaks for edema.
    """
    return c.joint_distance is None and c.slice_area_mm2 < DOT_MM2


def is_cyst(c: Candidate) -> bool:
    """Say whether it is round, fluid-bright and dark on T1.

    In thick slices a small cyst is mixed with marrow; its core still is brighter than edema can be.
    A larger one is not: it is as dark on T1 as fluid (0.25 of marrow; intense edema 0.58).
    """
    round_ = c.length < 1.8 * c.thickness
    small = c.length < CYST_MM and c.length < 2.5 * c.thickness
    # Without a T1 large intense edema may be as bright, round, and hold a cyst.
    t1_ratio = math.inf if c.mean_t1_ratio is None else c.mean_t1_ratio
    dark = t1_ratio < (0.6 if small else FLUID_T1_RATIO)
    fluid = c.fluid_ratio is not None and c.peak_ratio > c.fluid_ratio
    return (round_ and dark and c.mean_ratio > 4.5) or (small and fluid)


def is_fluid(c: Candidate) -> bool:
    """Say whether it is on average as bright as only fluid is: CSF, a vein, a cyst."""
    return c.fluid_ratio is not None and c.mean_ratio > c.fluid_ratio


def is_faint(c: Candidate) -> bool:
    """Say whether it is fainter than what readers marked, or faint without a sign on T1.

    The larger it is, the less it can be noise, and the thicker: noise makes thin streaks, and
    ragged ones as thick as a plate at most.
    """
    thin = c.radius < (VESSEL_MM if is_solid(c) else RAGGED_MM)
    streak = thin and c.mean_ratio < STREAK_RATIO and not is_at_joint(c)
    if streak and (c.mean_t1_ratio or 0) > STREAK_T1_RATIO:
        return True
    if c.mean_t1_ratio is None or c.mean_t1_ratio <= 0.985:
        return c.mean_ratio < FAINT_RATIO
    return c.mean_ratio < (1.4 if c.volume_mm3 < 1000 else 1.25)


LOOK_ALIKES: Mapping[str, Look] = {
    "bright on T1: fat or haemangioma": is_bright_on_t1,
    HAEMANGIOMA: is_haemangioma,
    RIM: is_rim,
    "vessel": is_vessel,
    PLATE: is_sheet,
    "dot: vessel across the slices, or noise": is_dot,
    "cyst": is_cyst,
    "fluid: CSF, vein or cyst": is_fluid,
    FAINT: is_faint,
    "in the outermost slice only": lambda c: c.in_end_slice,
}
CORES = LOOK_ALIKES.keys() - {
    RIM,
    "dot: vessel across the slices, or noise",
}


def is_away(c: Candidate, reach_mm: float | None) -> bool:
    """Say whether it lies away from the joint, if the site is one, and is not large and dark on T1.

    Inflammation lies beside the joint; what is faint elsewhere is mostly red marrow or the coil's
    shading. A fracture of the sacral ala or a tumour is large and dark on T1; so is a disc that the
    outline of a vertebra beside the joint takes in; so only the joint's own bones are excepted.
    """
    if reach_mm is None:
        return False
    plain = c.of_joint and c.volume_mm3 >= PLAIN_MM3 and (c.mean_t1_ratio or 1.0) < PLAIN_T1_RATIO
    return (c.joint_distance or 0) > reach_mm and not plain


def looks_like(
    candidate: Candidate,
    min_lesion_mm3: float,
    joint_reach_mm: float | None = None,
    *,
    but: Collection[str] = (),
) -> str:
    """Return what a candidate is if it is no edema; an empty string if it is.

    What is named in `but` is not asked.
    """
    if candidate.volume_mm3 < min_lesion_mm3:
        return "speck"
    if is_away(candidate, joint_reach_mm):
        return AWAY
    for name, look in LOOK_ALIKES.items():
        if name not in but and look(candidate):
            return name
    return ""


def core_looks_like(
    candidate: Candidate, joint_reach_mm: float | None = None, *, but: Collection[str] = ()
) -> str:
    """Return what a lesion is if its core is round or long as no edema is; an empty string if not.

    The core is what is left without the faint skirt, which alone may have reached the joint; rims
    and dots are no question any more, nor is what is named in `but`.
    """
    if is_away(candidate, joint_reach_mm):
        return AWAY
    asked = CORES - set(but)
    names = (n for n, look in LOOK_ALIKES.items() if n in asked and look(candidate))
    return next(names, "")
