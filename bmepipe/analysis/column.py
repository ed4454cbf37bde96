"""What is known of a part of the spine, and of the bodies in it.

Arrays are indexed along the patient's axes: right, front, up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bmepipe.site import Site


@dataclass(frozen=True)
class Column:
    """What is known of a part of the spine.

    Parameters
    ----------
    names : tuple of str
        Of its vertebrae, counted from the anchor.
    anchor, anchor_bone : str
        The kind of bone that the count begins at, and its name: without it in view the levels are
        unknown.
    upwards : bool
        Whether the count goes up from it.
    least_anchor_ml : float
    least_anchor_share, whole_anchor_share : float
        Of the median body's volume: what is smaller may be the end of the next vertebra, or is cut
        by the field of view.
    core_depth_mm : float
        Arches and processes are thinner than twice this, bodies are not.
    least_core_ml, least_part_ml : float
        What is smaller is no body's core, or no part that a narrow disc parts from another.
    least_step_mm, most_step_mm : float
        Between the middles of neighbouring bodies: a smaller step is within one, a larger one means
        that a vertebra was overlooked.
    most_step_share : float
        Nor is a step longer than this of the usual one in the same column.
    least_step_share : float
        The least step is no more than this of the edge of a cube as large as the body: small
        bodies are closer together.
    arches : bool
        Whether the arches are found well enough to count as parts of their vertebrae.
    """

    names: tuple[str, ...]
    anchor: str
    anchor_bone: str
    upwards: bool
    least_anchor_ml: float
    least_anchor_share: float
    whole_anchor_share: float
    core_depth_mm: float
    least_core_ml: float
    least_part_ml: float
    least_step_mm: float
    most_step_mm: float
    most_step_share: float = 1.35
    least_step_share: float = np.inf
    arches: bool = False


# Steps: the smallest adult's lumbar bodies are 25 mm apart, the tallest's 42; cervical ones 14 to
# 25. Of lumbar and lower thoracic bodies in six scans a step is 0.9 to 1.1 of the edge of a cube as
# large as the body, whose halves lie half of that apart. In five scans and 16 phantoms a step is
# 0.74 to 1.23 of the column's median; over a vertebra that was not found, 1.42 and 1.68.
LUMBAR = Column(
    names=("L5", "L4", "L3", "L2", "L1", *(f"T{n}" for n in range(12, 0, -1))),
    anchor="sacrum",
    anchor_bone="sacrum",
    upwards=True,
    least_anchor_ml=5.0,
    least_anchor_share=0.6,
    whole_anchor_share=1.5,
    core_depth_mm=5.0,
    least_core_ml=0.8,
    least_part_ml=2.0,
    least_step_mm=23.0,
    most_step_mm=48.0,
    least_step_share=0.68,
)
CERVICAL = Column(
    names=("C3", "C4", "C5", "C6", "C7", *(f"T{n}" for n in range(1, 7))),
    anchor="axis",
    anchor_bone="C2",
    upwards=False,
    least_anchor_ml=1.0,
    least_anchor_share=0.0,
    whole_anchor_share=0.0,
    core_depth_mm=3.5,
    least_core_ml=0.1,
    least_part_ml=0.5,
    least_step_mm=12.0,
    most_step_mm=28.0,
    arches=True,
)


def column_of(site: Site) -> Column | None:
    """Return the part of the spine that a site shows, if it shows one."""
    names = {bone.name for bone in site.bones}
    return next((column for column in (LUMBAR, CERVICAL) if column.names[0] in names), None)


def sizes_of(bodies: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the voxels of each body."""
    sizes = np.bincount(bodies.ravel())[1:]
    return sizes[sizes > 0]


def heights_mm(bodies: NDArray[np.int32], spacing_mm: float) -> dict[int, float]:
    """Return how high the middle of each body lies in the array, in mm."""
    numbers = [int(n) for n in np.unique(bodies) if n]
    centres = ndimage.center_of_mass(bodies > 0, bodies, numbers)
    return {n: float(c[2]) * spacing_mm for n, c in zip(numbers, centres, strict=True)}


def least_step_mm(voxels: int, spacing_mm: float, column: Column) -> float:
    """Return how far the next body lies at least from one of so many voxels.

    Examples
    --------
    >>> round(least_step_mm(5000, 2.0, LUMBAR), 1), round(least_step_mm(1500, 2.0, LUMBAR), 1)
    (23.0, 15.6)
    """
    edge_mm = float(np.cbrt(voxels)) * spacing_mm
    return min(column.least_step_mm, column.least_step_share * edge_mm)
