"""What a run would choose in a study, as far as headers tell."""

from __future__ import annotations

from dataclasses import replace

from bmepipe.analysis.pairing import Choice, choose_pair
from bmepipe.analysis.recognise import recognise_site
from bmepipe.errors import UnknownChoice
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Study


def foretell(study: Study, site_name: str | None = None, side: str | None = None) -> Choice:
    """Return the pair that a run would take; the first reason says by which site.

    Where headers name no site a run looks for bones in the images. That takes a network and many
    seconds, so it is said and not done here.

    Raises
    ------
    UnknownChoice
        If no site or side is called so.
    BmepipeError
        As `choose_pair`.
    """
    site: Site | None = None
    if site_name is not None:
        site = load_site(site_name)
        why = f"site {site.name}: as named"
    else:
        try:
            site, why = recognise_site(study, [load_site(name) for name in site_names()])
        except UnknownChoice as unknown:
            why = f"{unknown.came}: a run tells the site from the images, which were not read here"
    choice = choose_pair(study, site, side=side)
    return replace(choice, reasons=(why, *choice.reasons))
