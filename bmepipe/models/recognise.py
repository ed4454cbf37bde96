"""Which body site an image shows, by what the bone networks of all sites find in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmepipe.errors import NoBonesFound, UnknownChoice
from bmepipe.models.bundle import Bundle, bundle_of
from bmepipe.models.seen import Seen, look
from bmepipe.site import Site
from bmepipe.volume import Volume

# Of the score below, from 0 to 1: what must be reached, and by how much the next best be beaten.
# 17 real series fit their own site best, with 0.87 to 0.97 and a lead of 0.04 to 0.56; another site
# with up to 0.86, heads up to 0.79.
LEAST_SCORE, LEAST_LEAD = 0.87, 0.04
# By how much a site beside the one that was asked for must fit better before that is refused: one
# scan may show both. Any other is refused as soon as the images alone would name it.
BESIDE_LEAD = 0.1


@dataclass(frozen=True)
class SiteScore:
    """How well an image fits a site: its score from 0 to 1, and the bones seen."""

    site: Site
    score: float
    seen: str


def recognise_by_bones(volume: Volume, sites: Sequence[Site]) -> tuple[Site, str]:
    """Return the site whose bones an image shows, and the evidence.

    Parameters
    ----------
    volume : Volume of float32
        Any contrast.
    sites : sequence of Site
        Those with a bone model are tried.

    Raises
    ------
    UnknownChoice
        If no site fits well enough, or two fit about as well: nothing is guessed.
    """
    scores = sorted(
        (site_score(volume, site) for site in sites if site.model), key=lambda s: -s.score
    )
    best = scores[0]
    lead = best.score - (scores[1].score if len(scores) > 1 else 0.0)
    told = ", ".join(f"{s.site.name} {s.score:.2f}" for s in scores)
    if best.score < LEAST_SCORE or lead < LEAST_LEAD:
        names = ", ".join(sorted(site.name for site in sites))
        raise UnknownChoice(
            f"a site among {names}",
            f"headers that name none and images that fit {told}",
            "say which with --site",
        )
    return best.site, f"site {best.site.name}: the images show {best.seen} ({told})"


def require_site(
    volume: Volume, site: Site, sites: Sequence[Site], own: float | None = None
) -> None:
    """Refuse a site that was asked for if the images show another one.

    The other networks are asked only where the site's own is not sure: all take some ten seconds.

    Parameters
    ----------
    volume : Volume of float32
    site : Site
    sites : sequence of Site
    own : float, optional
        The score of `site`, where it is known already.

    Raises
    ------
    NoBonesFound
        Naming the site that fits.
    """
    own = site_score(volume, site).score if own is None else own
    if own >= LEAST_SCORE:
        return
    others = (site_score(volume, s) for s in sites if s.model and s.name != site.name)
    best = max(others, key=lambda s: s.score)
    lead = BESIDE_LEAD if best.site.name in site.beside else LEAST_LEAD
    if best.score >= LEAST_SCORE and best.score > own + lead:
        raise NoBonesFound(
            f"images of the site {site.name}",
            f"images that fit {best.site.name} ({best.score:.2f}, {site.name} {own:.2f}): "
            f"{best.seen}",
            f"run with --site {best.site.name}, or give a label map with --bones",
        )


def site_score(volume: Volume, site: Site) -> SiteScore:
    """Return how well an image fits a site."""
    bundle = bundle_of(site)
    return score_of(look([volume], bundle), site, bundle)


def score_of(seen: Seen, site: Site, bundle: Bundle) -> SiteScore:
    """Return how well what a site's network sees in the first of its volumes fits the site.

    The score is the mean, over the kinds of bone that every scan of the site shows, of the mean
    probability inside them; a kind of which too little is seen counts as 0.
    """
    probability = seen.probabilities[0].numpy()
    kinds, certainty = probability.argmax(0), probability.max(0)
    sure: dict[str, float] = {}
    for kind, name in bundle.labels.items():
        own = kinds == kind
        if own.sum() * bundle.spacing_mm**3 / 1000 >= site.shown_ml.get(name, np.inf):
            sure[name] = float(certainty[own].mean())
    score = sum(sure.values()) / len(site.shown_ml)
    told = ", ".join(f"{name} {value:.2f}" for name, value in sure.items())
    return SiteScore(site, score, told or "none of its bones")
