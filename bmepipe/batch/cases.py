"""From a data set to its cases: a tree of studies, or a manifest that names them."""

from __future__ import annotations

from pathlib import Path

from bmepipe.batch.case import Case
from bmepipe.batch.manifest import read_manifest
from bmepipe.batch.names import named
from bmepipe.batch.tree import OnUnits, cases_below
from bmepipe.errors import StudyNotFound


def find_cases(dataset: Path, on_units: OnUnits = lambda done, of: None) -> list[Case]:
    """Return the cases of a data set, by name.

    Parameters
    ----------
    dataset : Path
        A CSV or Parquet manifest, or a folder, as `tree.cases_below` reads it.
    on_units : callable, optional

    Raises
    ------
    StudyNotFound
        If there is nothing, or no case in it.
    BadSettings
        If a manifest cannot be used.
    """
    if dataset.is_file() and dataset.suffix.lower() in (".csv", ".parquet", ".pq"):
        cases = list(read_manifest(dataset))
    elif dataset.is_dir():
        cases = list(cases_below(dataset, on_units))
    else:
        raise StudyNotFound(
            "a folder of studies, or a CSV or Parquet manifest", f"{dataset}", "correct the path"
        )
    if not cases:
        raise StudyNotFound("at least one study", f"none in {dataset}", "give another folder")
    return named(cases)
