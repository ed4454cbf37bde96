"""The names of a batch's cases: safe in any file system, each once, and kept once given."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from bmepipe.batch.case import Case

# What a batch itself puts beside the cases' folders.
RESERVED = {"logs", "records", "thumbnails", "cases.csv", "cohort.csv", "cohort.parquet",
            "index.html"}  # fmt: skip
LONGEST_BYTES = 120  # of the 255 of most file systems, with room for a number and for marks


@dataclass(frozen=True)
class Given:
    """A name that an earlier run of the same output has given, and to what.

    Parameters
    ----------
    case : str
    known_as, uid : str
        `Case.identity` and `Case.uid`.
    """

    case: str
    known_as: str
    uid: str


def clean_name(text: str) -> str:
    """Return a name for a case's folder: letters and digits of any script, ``.``, ``_`` and ``-``.

    >>> clean_name("p 02 / knee"), clean_name("Patiënt Müller 1"), clean_name("..")
    ('p_02_knee', 'Patiënt_Müller_1', 'case')
    """
    whole = unicodedata.normalize("NFC", text)  # as one letter, however the file system stores it
    marked = "".join(c if _is_safe(c) else "\0" for c in whole)
    name = re.sub("\0+", "_", marked).strip("._") or "case"
    if len(name.encode()) <= LONGEST_BYTES:
        return name
    start = name.encode()[: LONGEST_BYTES - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(os.fsencode(text)).hexdigest()[:8]}"


def _is_safe(character: str) -> bool:
    # Letters, marks (vowels of Hindi and Thai, say) and numbers.
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def named(cases: Iterable[Case], given: Sequence[Given] = ()) -> list[Case]:
    """Return the cases by name, a number added where a name is in use already.

    A case that an earlier run has named keeps its name, and no other case gets it, even where the
    first one is gone.

    >>> [case.name for case in named([Case("a"), Case("A"), Case("a-2"), Case("logs")])]
    ['A', 'a-2', 'a-2-2', 'logs-2']
    >>> [case.name for case in named([Case("a", known_as="new"), Case("a", known_as="old")],
    ...                              [Given("a", "old", "")])]
    ['a', 'a-2']
    """
    ordered = sorted(cases, key=lambda c: (c.name, c.path or "", c.study or ""))
    kept = _kept(ordered, given)
    used = RESERVED | {before.case.casefold() for before in given}
    for place, case in enumerate(ordered):
        name, number = case.name, 1
        while place not in kept and name.casefold() in used:
            number += 1
            name = f"{case.name}-{number}"
        name = kept.get(place, name)
        used.add(name.casefold())
        ordered[place] = replace(case, name=name)
    return sorted(ordered, key=lambda case: case.name)


def _kept(cases: Sequence[Case], given: Sequence[Given]) -> dict[int, str]:
    """Return the names that cases have already, by the cases' indices.

    A case is known by its place and study; one that is alone in its place by that, so that a study
    that is exported again after a refusal is still the same case.
    """
    kept: dict[int, str] = {}
    studies: dict[tuple[str, str], list[str]] = {}
    for before in given:
        studies.setdefault((before.known_as, before.uid), []).append(before.case)
    for index, case in enumerate(cases):
        names = studies.get((case.identity, case.uid), [])
        if names:
            kept[index] = names.pop(0)
    places: dict[str, list[str]] = {}
    for (known_as, _), left in studies.items():
        places.setdefault(known_as, []).extend(left)
    for index, case in enumerate(cases):
        names = places.get(case.identity, [])
        if index not in kept and case.study is None and len(names) == 1:
            kept[index] = names.pop()
    return kept


def named_as_before(cases: Sequence[Case], file: Path) -> list[Case]:
    """Return the cases named as in `file`, by earlier runs; the new ones are added to it."""
    given = _read(file)
    found = named(cases, given)
    now = {case.name: Given(case.name, case.identity, case.uid) for case in found}
    rows = {before.case: before for before in given} | now
    new = file.with_suffix(".part")
    with new.open("w", encoding="utf-8", errors="surrogateescape", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(field.name for field in fields(Given))
        writer.writerows(astuple(row) for row in rows.values())
    os.replace(new, file)
    return found


def _read(file: Path) -> list[Given]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as source:
        return [Given(**row) for row in csv.DictReader(source)]
