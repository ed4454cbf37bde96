"""Where a lesion ends: its rim, its fringes, and its edge at a share of the step to its core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.analysis.candidates import slice_area_mm2
from bmepipe.analysis.contrast import GROW_PROBABILITY
from bmepipe.analysis.depth import near, opened
from bmepipe.analysis.local_mean import local_mean
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.parts import pieces_of
from bmepipe.analysis.region import around
from bmepipe.site import Site
from bmepipe.volume import Grid, Volume

FRINGE_RADIUS_MM, FRINGE_DEPTH_MM = 1.5, 3.0
FAINT_PROBABILITY, FAINT_MM = 0.35, 2.0
SPLINTER_MM3, SPLINTER_SHARE = 100.0, 0.05
LEVEL_REACH_MM = 4.0  # Gaussian within which a lesion's own level is averaged
# Gaussian of the average in which a lesion is completed, and how far. T1 ratios of readers' lesions
# reach 1.04; what is no more than `LEAST_RATIO` may be noise of normal marrow.
AVERAGED_MM, COMPLETED_MM, LEAST_RATIO, MOST_T1_RATIO = 1.2, 3.0, 1.15, 1.05


def regrow_rim(
    edema: NDArray[np.bool_],
    probability: Volume,
    bones: Volume,
    assessable: Volume,
    marrow: Marrow,
    site: Site,
) -> NDArray[np.bool_]:
    """Grow edema back through the margin that detection left out.

    Only into bright, assessable bone outside the interior, and no farther than the margin and one
    voxel of the slice.
    """
    spacing = bones.grid.spacing_mm
    steps = int(np.ceil(site.marrow_margin_mm / min(spacing)))
    rim = (probability.data >= GROW_PROBABILITY) & (bones.data > 0) & assessable.data
    rim &= ~marrow.interior
    if marrow.dark is not None:
        rim &= ~marrow.dark
    structure = ndimage.generate_binary_structure(3, 1)
    return (
        ndimage.binary_dilation(edema, structure, steps, mask=rim | edema) if edema.any() else edema
    )


def widened(
    edema: NDArray[np.bool_],
    probability: Volume,
    bones: Volume,
    assessable: Volume,
    marrow: Marrow,
) -> NDArray[np.bool_]:
    """Return edema with the fainter marrow around it that may belong to it, within `FAINT_MM`.

    The threshold cuts off the border of a lesion that hardly passes it.
    """
    if not edema.any():
        return edema
    faint = (probability.data >= FAINT_PROBABILITY) & (bones.data > 0) & assessable.data
    if marrow.dark is not None:
        faint &= ~marrow.dark
    return edema | (faint & near(edema, FAINT_MM, bones.grid.spacing_mm))


def without_fringes(
    bright: NDArray[np.bool_], depth: NDArray[np.float32], grid: Grid
) -> NDArray[np.bool_]:
    """Return `bright` without thin bands along the bone's surface.

    Cartilage and fluid shine into the outermost marrow of thick slices; where such a band touches a
    lesion it is no part of it. A band is what no circle of `FRINGE_RADIUS_MM` within a slice fits
    into, nearer to the surface than `FRINGE_DEPTH_MM`.
    """
    thick = opened(bright, FRINGE_RADIUS_MM, grid.flat_spacing_mm)
    return bright & (thick | (depth > FRINGE_DEPTH_MM))


def cut_at(
    share: float, bright: NDArray[np.bool_], marrow: Marrow, grid: Grid
) -> NDArray[np.bool_]:
    """Return the part of `bright` above a share of the step from marrow to the lesion's core.

    A blurred edge lies where the signal has risen half way; a fixed threshold lies outside it, the
    more so the brighter the lesion. Readers draw at 40 to 60 % of the step. The level of the core
    is the mean weighted by the signal's square within `LEVEL_REACH_MM`, so that it follows the
    lesion from place to place and a weak part beside a bright one stays.

    Parameters
    ----------
    share : float
        0 to 1.
    bright : ndarray of bool
        Lesions as the thresholds of the rule draw them.
    marrow : Marrow
    grid : Grid
    """
    if not bright.any():
        return bright
    wide = around(bright, level_reach(grid))
    ratio = marrow.t2fs.ratio[wide]
    level = core_level(ratio, bright[wide], grid)
    cut = np.zeros_like(bright)
    with np.errstate(invalid="ignore"):
        cut[wide] = bright[wide] & (ratio >= 1 + share * (level - 1))
    return cut


def level_reach(grid: Grid) -> tuple[int, ...]:
    """Return as how many voxels along each axis a lesion's own level reaches."""
    return tuple(int(3 * LEVEL_REACH_MM / step) + 1 for step in grid.spacing_mm)


def core_level(
    ratio: NDArray[np.float32], lesions: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    """Return the level of the lesions' cores, voxel by voxel, as `cut_at` describes it."""
    inside = np.where(lesions, np.nan_to_num(ratio), 0).astype(np.float32)
    sigma = [LEVEL_REACH_MM / step for step in grid.spacing_mm]
    cubes, squares = (ndimage.gaussian_filter(inside**p, sigma, truncate=3) for p in (3, 2))
    return cubes / np.maximum(squares, 1e-3)


def completed(
    edema: NDArray[np.bool_],
    others: NDArray[np.bool_],
    assessable: Volume,
    marrow: Marrow,
    share: float,
) -> NDArray[np.bool_]:
    """Return edema with the marrow around it and in its holes that noise had left out.

    Of a mild lesion half lies below any threshold that keeps normal marrow out, voxel by voxel, and
    noise makes the rest ragged; readers draw a smooth border. Here the same share of the step is
    asked of signal averaged within the slice. In lesions painted into real scans this raised the
    Dice of mild ones from 0.60 to 0.72 (knee) and 0.69 to 0.77 (spine); what is plainly bright
    grows by a few percent.

    Parameters
    ----------
    edema : ndarray of bool
    others : ndarray of bool, same shape
        What it does not run into: rejected candidates, and edema whose border is drawn already.
    assessable : Volume of bool
    marrow : Marrow
    share : float
        Of the step from marrow to the lesion's core.
    """
    if not edema.any():
        return edema
    grid = assessable.grid
    wide = around(edema, level_reach(grid))
    open_to = marrow.interior[wide] & assessable.data[wide] & ~others[wide]
    ratio = marrow.t2fs.ratio[wide]
    level = core_level(ratio, edema[wide], grid)
    even = _averaged(ratio, open_to, grid)
    bright = even >= np.maximum(1 + share * (level - 1), LEAST_RATIO)
    if marrow.t1 is not None:
        bright &= _averaged(marrow.t1.ratio[wide], open_to, grid) < MOST_T1_RATIO
    bright &= open_to & near(edema[wide], COMPLETED_MM, grid.spacing_mm)
    whole = edema.copy()
    whole[wide] |= ndimage.binary_propagation(edema[wide], mask=edema[wide] | bright)
    return whole


def _averaged(
    ratio: NDArray[np.float32], where: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    """Return the mean of `ratio` within each slice, of what lies in `where` alone."""
    sigma = [AVERAGED_MM / step for step in grid.flat_spacing_mm]
    return local_mean(ratio, where & np.isfinite(ratio), sigma, truncate=3)


def without_specks(
    edema: NDArray[np.bool_], min_lesion_mm3: float, least_area_mm2: float, grid: Grid
) -> NDArray[np.bool_]:
    """Return edema without what the cut may have left behind: parts too small, and dots.

    A part is dropped below `min_lesion_mm3`, and if no slice shows `least_area_mm2` of it.
    """
    labels, boxes = pieces_of(edema)
    large = np.bincount(labels.ravel()) * grid.voxel_ml * 1000 >= min_lesion_mm3
    large[0] = False
    for number, box in enumerate(boxes, start=1):
        if large[number]:
            large[number] = slice_area_mm2(labels[box] == number, grid) >= least_area_mm2
    return large[labels]


def without_splinters(
    edema: NDArray[np.bool_], candidates: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """Return edema without small parts that the cut has split off a much larger one.

    What was one candidate and is now a lesion and a crumb beside it is one lesion, drawn a little
    too small; as a lesion of its own the crumb would be false. Parts are kept from `SPLINTER_MM3`
    or `SPLINTER_SHARE` of the candidate's largest part on.

    Parameters
    ----------
    edema : ndarray of bool
    candidates : ndarray of bool, same shape
        Before anything was cut.
    grid : Grid
    """
    parts, _ = pieces_of(edema)
    parents, _ = pieces_of(candidates | edema)
    sizes, largest = _sizes(parts, parents)
    kept = sizes * grid.voxel_ml * 1000 >= SPLINTER_MM3
    kept |= sizes >= SPLINTER_SHARE * largest
    kept[0] = False
    return kept[parts]


def pieces_by_bone(
    edema: NDArray[np.bool_], bones: Volume, min_lesion_mm3: float
) -> NDArray[np.int32]:
    """Return the pieces of edema, each within one bone, with a number of its own from 1.

    Without what an outline splits off a lesion, its specks in a neighbouring bone. The largest
    piece of a lesion stays, however small it is.
    """
    whole, _ = pieces_of(edema)
    pieces = np.zeros(edema.shape, np.int32)
    for label in np.unique(bones.data[edema]):
        part, _ = pieces_of(edema & (bones.data == label))
        pieces[part > 0] = part[part > 0] + pieces.max()
    sizes, largest = _sizes(pieces, whole)
    kept = (sizes * bones.grid.voxel_ml * 1000 >= min_lesion_mm3) | (sizes == largest)
    return np.where(kept[pieces], pieces, 0)


def _sizes(parts: NDArray, wholes: NDArray) -> tuple[NDArray, NDArray]:
    """Return the voxels of each part, by its number, and of the largest part of the same whole."""
    sizes = np.bincount(parts.ravel())
    whole_of = np.zeros(len(sizes), int)
    whole_of[parts[parts > 0]] = wholes[parts > 0]
    largest = np.zeros(wholes.max() + 1, int)
    np.maximum.at(largest, whole_of[1:], sizes[1:])
    return sizes, largest[whole_of]
