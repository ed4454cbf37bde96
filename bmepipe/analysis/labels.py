"""A user's own bone labels: on this grid, with these labels, or refused."""

from __future__ import annotations

import numpy as np

from bmepipe.analysis.column import column_of
from bmepipe.analysis.reference import present_labels
from bmepipe.errors import GridMismatch, NoBonesFound, UnknownLabels
from bmepipe.site import Site, both_sides
from bmepipe.volume import Grid, Volume, require_same_grid


def check_bones(labels: Volume, grid: Grid, site: Site) -> Volume:
    """Return a user's label map as uint8 labels of the site's bones on `grid`.

    Of a paired site, labels of one side or of both (`site.both_sides`).

    A map whose axes are stored in another order or direction, as converters do, is turned without
    resampling; its voxels must coincide with those of `grid`.

    Parameters
    ----------
    labels : Volume of unsigned integers or bool
    grid : Grid
        Of the fat-suppressed series.
    site : Site

    Raises
    ------
    GridMismatch
        If the voxels do not coincide.
    UnknownLabels
        Naming the labels that the site does not have.
    NoBonesFound
        If nothing is labelled.
    """
    turned = reorder(labels, grid)
    require_same_grid(Volume(np.zeros(grid.shape, bool), grid), turned, ("image", "bone labels"))
    found = [int(label) for label in np.unique(turned.data) if label != 0]
    own = both_sides(site) if any(label in both_sides(site).labels for label in found) else site
    unknown = [label for label in found if label not in own.labels]
    if unknown:
        known = ", ".join(f"{bone.label} {bone.name}" for bone in own.bones)
        raise UnknownLabels(
            f"labels of the site {site.name} ({known})",
            f"unknown labels {', '.join(map(str, unknown))}",
            "renumber the label map or choose another --site",
        )
    if not found:
        raise NoBonesFound("at least one labelled bone", "an empty label map", "check --bones")
    return Volume(np.asfortranarray(turned.data.astype(np.uint8)), grid)


def missing_note(bones: Volume, site: Site) -> tuple[str, ...]:
    """Return a line that names the bones of a site that are not among those found or given.

    How much of a spine is in view differs from scan to scan; of it those between others are named.

    Examples
    --------
    >>> from bmepipe.site import load_site
    >>> grid = Grid((1, 1, 3), np.eye(4))
    >>> missing_note(Volume(np.array([[[1, 2, 4]]], np.uint8), grid), load_site("knee"))
    ('Not found in view, so that nothing is said of it: patella.',)
    """
    names = [bone.name for bone in site.bones]
    present = {site.bone(label).name for label in present_labels(bones)}
    column = column_of(site)
    if column is not None:
        names = [name for side in site.joint_between for name in side]
        order = (column.anchor_bone, *column.names)
        seen = [n for n, name in enumerate(order) if name in present]
        names += order[min(seen, default=0) : max(seen, default=0)]
    missing = [name for name in names if name not in present]
    # Pelvic bones that are not told apart are there all the same.
    if not missing or not present & set(names):
        return ()
    return (f"Not found in view, so that nothing is said of it: {', '.join(missing)}.",)


def reorder(volume: Volume, grid: Grid, tolerance_mm: float = 0.1) -> Volume:
    """Return `volume` with its axes permuted and flipped to run as those of `grid`.

    Nothing is resampled. Where no permutation and flips make the corners agree within
    `tolerance_mm`, the volume is returned as it is, for the caller to refuse.

    Examples
    --------
    >>> grid = Grid((2, 3, 4), np.diag([1.0, 2.0, 3.0, 1.0]))
    >>> flipped = Grid((2, 3, 4), np.array(
    ...     [[1.0, 0, 0, 0], [0, -2, 0, 4], [0, 0, 3, 0], [0, 0, 0, 1]]))
    >>> data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    >>> bool((reorder(Volume(data, flipped), grid).data == data[:, ::-1]).all())
    True
    """
    cosines = grid.directions.T @ volume.grid.directions
    axes = [int(np.argmax(np.abs(row))) for row in cosines]
    if sorted(axes) != [0, 1, 2]:
        return volume
    data = np.transpose(volume.data, axes)
    flips = [axis for axis in range(3) if cosines[axis, axes[axis]] < 0]
    affine = volume.grid.affine[:, [*axes, 3]].copy()
    for axis in flips:
        affine[:, 3] += affine[:, axis] * (data.shape[axis] - 1)
        affine[:, axis] *= -1
    candidate = Grid(data.shape, affine)
    if not candidate.matches(grid, tolerance_mm):
        return volume
    return Volume(np.asfortranarray(np.flip(data, tuple(flips))), grid)


def require_overlap(moving: Grid, fixed: Grid, names: tuple[str, str]) -> float:
    """Return the part of `fixed` inside `moving`, 0 to 1; refuse if there is none.

    Raises
    ------
    GridMismatch
        If no voxel centre of `fixed` lies inside `moving`.
    """
    axes = [np.linspace(0, n - 1, min(n, 9)) for n in fixed.shape]
    points = fixed.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3))
    index = moving.to_index(points)
    inside = ((index >= -0.5) & (index <= np.array(moving.shape) - 0.5)).all(axis=1).mean()
    if inside == 0:
        raise GridMismatch(
            f"{names[0]} and {names[1]} over the same part of the body",
            "no overlap in space",
            "choose series of one position with --t1 and --t2fs",
        )
    return float(inside)
