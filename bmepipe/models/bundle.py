"""A bone model's folder, loaded and checked.

torch and MONAI are imported when a model is loaded, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bmepipe.models.network import build_network
from bmepipe.models.stored import complete_settings, model_folder, read_model
from bmepipe.site import Site

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model.

    Parameters
    ----------
    name : str
    network : torch.nn.Module
        In evaluation mode.
    labels : dict of int to str
        Output channel to the kind of bone: a bone's own name, or "vertebra" and "hip_bone", which
        `analysis.levels` tells apart.
    spacing_mm : float
        Of the isotropic grid it works on.
    multiple : int
        Each side of that grid is a multiple of this.
    smallest_ml : dict of int to float
        By kind: a bone found smaller than this is taken for a false one.
    least_confidence : float
        Mean probability inside the bones below which nothing is believed.
    sha256 : str
        Of the weights.
    coronal_within_deg : float
        Of `regrid.place`.
    flatten : bool
        Of `network.normalise`.
    likeness : bool
        Whether the network's doubt is settled by `analysis.likeness.sharpened`.
    border_probability : float
        Where a bone's coarse border lies: above one half for a network that draws bones too large.
    """

    name: str
    network: torch.nn.Module
    labels: dict[int, str]
    spacing_mm: float
    multiple: int
    smallest_ml: dict[int, float]
    least_confidence: float
    sha256: str
    coronal_within_deg: float = 45.0
    flatten: bool = False
    likeness: bool = False
    border_probability: float = 0.5


def load_bundle(folder: Path) -> Bundle:
    """Load a model folder, checking its weights against the stored sha256.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    ModelDamaged
        If a file or setting is missing or the weights are not the ones described.
    """
    stored = read_model(folder)
    settings = stored.settings
    with complete_settings(folder):
        network = build_network(settings["network"])
        network.load_state_dict(stored.weights)
        labels = {int(row["label"]): str(row["name"]) for row in stored.metadata["labels"]}
        return Bundle(
            name=folder.name,
            network=network.eval(),
            labels=labels,
            spacing_mm=float(settings["spacing_mm"]),
            multiple=int(settings["multiple"]),
            smallest_ml={int(k): float(v) for k, v in settings["smallest_ml"].items()},
            least_confidence=float(settings["least_confidence"]),
            sha256=stored.sha256,
            coronal_within_deg=float(settings.get("coronal_within_deg", 45.0)),
            flatten=bool(settings.get("flatten", False)),
            likeness=bool(settings.get("likeness", False)),
            border_probability=float(settings.get("border_probability", 0.5)),
        )


def bundle_of(site: Site, folder: Path | None = None) -> Bundle:
    """Return the site's loaded model, or that of `folder`."""
    return _cached(folder or model_folder(site.model))


@lru_cache(maxsize=8)
def _cached(folder: Path) -> Bundle:
    return load_bundle(folder)
