"""Where a run's bones come from: the site's network, or a label map that the user gives.

Networks and files are imported inside the functions that need them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bmepipe.analysis.labels import check_bones
from bmepipe.errors import NoBonesFound
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Pair
from bmepipe.volume import Volume

BoneFinder = Callable[[Pair, Site], Volume]


def bone_model(pair: Pair, site: Site) -> Volume:
    """Find the bones with the site's network; imports torch when called.

    Raises
    ------
    NoBonesFound
        If the site has no network, the images fit another site, or the network finds no bone.
    """
    from bmepipe.models.bundle import bundle_of
    from bmepipe.models.recognise import require_site, score_of
    from bmepipe.models.seen import look, volumes_of
    from bmepipe.models.segment import segment_bones

    if not site.model:
        have = ", ".join(name for name in site_names() if load_site(name).model)
        raise NoBonesFound(
            f"bone labels for the site {site.name}",
            f"none: bone models exist for {have} only",
            "give a label map on the grid of the fat-suppressed series with --bones",
        )
    bundle = bundle_of(site)
    seen = look(volumes_of(pair), bundle)
    own = score_of(seen, site, bundle).score
    require_site(pair.t2fs, site, [load_site(name) for name in site_names()], own)
    return segment_bones(pair, site, bundle, seen)


def given_bones(labels: Volume) -> BoneFinder:
    """Return a bone finder that checks and gives back a user's own label map."""
    return lambda pair, site: check_bones(labels, pair.grid, site)


def read_labels(path: Path) -> Volume:
    """Read a user's label map."""
    from bmepipe.io.nifti import load_labels

    return load_labels(path)


def named_bones(
    labels: Volume, path: Path, given: str | None, site: Site
) -> tuple[Volume, tuple[str, ...]]:
    """Return a user's label map in the site's numbers, and what became of its bones.

    Parameters
    ----------
    labels : Volume
    path : Path
        The file that it was read from.
    given : str, optional
        A CSV of label,name or a TotalSegmentator task; without it, names in the file itself are
        used, and without those its numbers are taken as the site's own.
    site : Site
    """
    from bmepipe.analysis.bone_names import TASKS, rename_bones, task_names
    from bmepipe.io.label_names import names_of_csv, names_of_nifti

    if given is None:
        names = names_of_nifti(path)
    elif given in TASKS or not given.endswith(".csv"):
        names = dict(task_names(given))
    else:
        names = names_of_csv(Path(given))
    return rename_bones(labels, names, site) if names else (labels, ())
