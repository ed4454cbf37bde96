"""Which body site a study shows, from what its headers say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bmepipe.errors import UnknownChoice
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Series, Study

# The header that a technologist chooses from a list is surer than free text.
_BODY_PART_WEIGHT, _TEXT_WEIGHT = 3, 1


def recognise_site(study: Study, sites: Sequence[Site]) -> tuple[Site, str]:
    """Return the site that the study's headers name, and the evidence.

    Parameters
    ----------
    study : Study
        BodyPartExamined and the descriptions of the study and its series are read.
    sites : sequence of Site
        The known sites, each with the words that name it.

    Raises
    ------
    UnknownChoice
        If the headers name no known site, or several equally often: nothing is guessed.
    """
    votes: dict[str, int] = {}
    seen: dict[str, str] = {}
    for weight, text in _texts(study):
        for site in sites:
            if names_site(text, site):
                votes[site.name] = votes.get(site.name, 0) + weight
                seen.setdefault(site.name, text)
    names = ", ".join(sorted(site.name for site in sites))
    best = sorted(votes, key=lambda name: -votes[name])
    if not best or (len(best) > 1 and votes[best[0]] == votes[best[1]]):
        came = "headers that name no known site" if not best else f"headers that name {best}"
        raise UnknownChoice(f"a site among {names}", came, "say which with --site")
    site = next(site for site in sites if site.name == best[0])
    return site, f"site {site.name}: the headers say '{seen[site.name]}'"


def names_site(text: str, site: Site) -> bool:
    """Say whether a header text holds one of the site's words, whole and in any case.

    >>> from bmepipe.site import load_site
    >>> names_site("MEMBRE INF^GENOU", load_site("knee"))
    True
    >>> names_site("chip", load_site("hip"))
    False
    """
    words = "|".join(re.escape(word) for word in site.words)
    return bool(words) and bool(re.search(rf"(?<![a-z])({words})(?![a-z])", text.lower()))


def named_elsewhere(candidates: Sequence[Series], site: Site | None) -> dict[str, int]:
    """Return 2 for a series that names another site alone, 1 for one that names none, 0 else.

    By key. A study may hold a series for each part of the spine; where none names another site all
    are 0.
    """
    others = [load_site(name) for name in site_names() if site and name != site.name]
    places = {}
    for series in candidates:
        text = f"{series.body_part} {series.description}"
        own = site is not None and names_site(text, site)
        elsewhere = any(names_site(text, other) for other in others)
        places[series.key] = 0 if own else 2 if elsewhere else 1
    return places if 2 in places.values() else dict.fromkeys(places, 0)


def _texts(study: Study) -> list[tuple[int, str]]:
    parts = {series.body_part for series in study.series if series.body_part}
    descriptions = {series.description for series in study.series if series.description}
    texts = [(_BODY_PART_WEIGHT, text) for text in sorted(parts)]
    texts += [(_TEXT_WEIGHT, text) for text in sorted(descriptions)]
    return [*texts, (_TEXT_WEIGHT, study.description)] if study.description else texts
