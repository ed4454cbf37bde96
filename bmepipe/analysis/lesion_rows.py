"""The table row of a lesion or of a rejected candidate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.candidates import bone_of
from bmepipe.analysis.marrow import Marrow
from bmepipe.analysis.reference import Reference
from bmepipe.analysis.region import Box
from bmepipe.result import Lesion
from bmepipe.site import Site
from bmepipe.volume import Volume


def lesion_row(
    number: int,
    mask: NDArray[np.bool_],
    box: Box,
    probability: Volume,
    bones: Volume,
    marrow: Marrow,
    depth: NDArray,
    rejected_as: str,
    site: Site,
) -> Lesion:
    """Return the table row of one lesion or rejected candidate."""
    grid = bones.grid
    index = np.argwhere(mask)
    label = bone_of(mask, box, bones)
    along = index[:, grid.slice_axis]
    start = np.array([s.start for s in box])
    extents = [(s.stop - s.start) * step for s, step in zip(box, grid.spacing_mm, strict=True)]
    x, y, z = (float(v) for v in grid.to_world(index.mean(axis=0) + start)[0])
    edges = [s.start == 0 or s.stop == n for s, n in zip(box, grid.shape, strict=True)]
    return Lesion(
        number=number,
        bone=site.bone(label).name,
        lesion_ml=float(len(index) * grid.voxel_ml),
        extent_mm=float(max(extents)),
        depth_mm=float(depth[box][mask].max()),
        t1_ratio=None if marrow.t1 is None else median_ratio(marrow.t1, box, mask),
        t2fs_ratio=median_ratio(marrow.t2fs, box, mask),
        confidence=float(probability.data[box][mask].mean()),
        touches_edge=any(edges),
        slice_index=int(np.bincount(along).argmax() + start[grid.slice_axis]),
        centre_mm=(x, y, z),
        rejected_as=rejected_as,
    )


def median_ratio(reference: Reference, box: Box, mask: NDArray[np.bool_]) -> float | None:
    """Return the median ratio to normal marrow inside `mask`; None without reference."""
    values = reference.ratio[box][mask]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
