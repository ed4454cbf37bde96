"""Who says how likely edema is: the contrast rule, the network, or both. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bmepipe.analysis.contrast import detect as detect_by_contrast
from bmepipe.analysis.marrow import Marrow
from bmepipe.errors import unknown_choice
from bmepipe.site import Site
from bmepipe.study import Pair
from bmepipe.volume import Volume

Detector = Callable[[Pair, Volume, Site, Marrow | None], Volume]
EDEMA_MODEL = "edema"


def detect_by_model(pair: Pair, bones: Volume, site: Site, marrow: Marrow | None = None) -> Volume:
    """Return the edema network's probability; imports torch when called."""
    from bmepipe.models.edema import detect

    return detect(pair, bones, site, marrow)


@dataclass(frozen=True)
class Detectors:
    """The detectors of a run, either or both.

    Parameters
    ----------
    name : str
    rule, model : callable (pair, bones, site, marrow or None) -> Volume of float32, optional
    models : tuple of str
        Names of the model folders that they use.
    """

    name: str
    rule: Detector | None = None
    model: Detector | None = None
    models: tuple[str, ...] = ()


DETECTORS: Mapping[str, Detectors] = {
    made.name: made
    for made in (
        Detectors("contrast", rule=detect_by_contrast),
        Detectors("model", model=detect_by_model, models=(EDEMA_MODEL,)),
        Detectors("both", rule=detect_by_contrast, model=detect_by_model, models=(EDEMA_MODEL,)),
    )
}


def choose_detectors(name: str) -> Detectors:
    """Return the detectors called `name`; UnknownChoice lists the known ones."""
    if name not in DETECTORS:
        raise unknown_choice("detector", name, DETECTORS)
    return DETECTORS[name]
