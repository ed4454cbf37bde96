"""From a folder or files to the pair of series: find the study, its site, read and align."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bmepipe.analysis.align import NOT_BELIEVED, align
from bmepipe.analysis.coverage import MOST_UNCOVERED, uncovered_share
from bmepipe.analysis.labels import require_overlap
from bmepipe.analysis.pairing import Choice, choose_pair, require_two_images, unknown_roles
from bmepipe.analysis.recognise import recognise_site
from bmepipe.errors import StudyNotFound, UnknownChoice
from bmepipe.provenance import OnFiles, Stopwatch
from bmepipe.site import Site, load_site, site_names
from bmepipe.study import Pair, SequenceClass, Series, Study


def find_study(
    path: Path | None,
    chosen: str | None,
    names: Mapping[str, str | None],
    on_files: OnFiles | None = None,
) -> tuple[Study, dict[str, str | None]]:
    """Return the study and the names of the series that the user chose in it.

    A NIfTI file named by the user joins the study under its own name; without a study's path the
    named files are the study.

    Parameters
    ----------
    path : Path, optional
    chosen : str, optional
        Which study, where there are several.
    names : mapping of "t1" and "t2fs" to what the user named them by
    on_files : callable (files read, files in all), optional

    Raises
    ------
    StudyNotFound
        If there is neither a path nor a fat-suppressed file.
    """
    from bmepipe.io.studies import named_file, open_study

    files = {role: named_file(name, role) for role, name in names.items()}
    given = {role: series for role, series in files.items() if series is not None}
    uids = dict(names) | {role: series.uid for role, series in given.items()}
    if path is None and "t2fs" not in given:
        came = " and ".join(f"--{role} {name}" for role, name in names.items() if name is not None)
        raise StudyNotFound(
            "a study, or --t2fs with a NIfTI file",
            f"{came} alone" if came else "neither",
            "give the study's folder, or the fat-suppressed file with --t2fs",
        )
    study = Study("", ()) if path is None else open_study(path, chosen, on_files)
    return replace(study, series=(*study.series, *given.values())), uids


def recognise(
    study: Study, names: dict[str, str | None], side: str | None = None
) -> tuple[Site, str]:
    """Return the site that the headers name, else the one whose bones the images show.

    Raises
    ------
    UnknownChoice
        If neither tells; nothing is guessed.
    """
    from bmepipe.io.studies import load
    from bmepipe.models.recognise import recognise_by_bones

    sites = [load_site(name) for name in site_names()]
    try:
        return recognise_site(study, sites)
    except UnknownChoice:
        choice = choose_pair(study, None, t1=names["t1"], t2fs=names["t2fs"], side=side)
        return recognise_by_bones(load(choice.t2fs), sites)


def load_pair(choice: Choice, watch: Stopwatch) -> Pair:
    """Read the chosen series and bring the T1 onto the grid of the fat-suppressed one."""
    from bmepipe.io.studies import load

    with watch.stage("read"):
        t2fs = load(choice.t2fs)
        t1 = load(choice.t1) if choice.t1 else None
    if t1 is not None:
        require_two_images(t1, t2fs)
    notes: list[str] = [] if choice.t1 else ["no T1 series: the T1 evidence is missing"]
    notes += unknown_roles(choice.t2fs, choice.t1)
    sequence_class = choice.t2fs.sequence_class
    if sequence_class is None:
        sequence_class = SequenceClass.T2_FS
        notes.append("the headers do not tell PD-FS, T2-FS or STIR: thresholds of T2-FS used")
    with watch.stage("align"):
        if t1 is not None and choice.t1 is not None:
            require_overlap(t1.grid, t2fs.grid, ("the T1", "the fat-suppressed series"))
            t1, how = align(t1, t2fs, same_frame=same_frame(choice.t1, choice.t2fs))
            notes += how
            if not choice.t1.slices and any(NOT_BELIEVED in line for line in how):
                # Nothing but the place says that two NIfTI files show one person.
                t1 = None
                notes.append("the two files do not fit: the T1 is left out, its evidence missing")
        if t1 is not None and (missing := uncovered_share(t1, t2fs)) > 0:
            told = f"the T1 covers {100 * (1 - missing):.0f} % of the fat-suppressed series"
            if missing > MOST_UNCOVERED:
                t1, told = None, f"{told}: it is left out, its evidence missing"
            notes.append(told)
    t1_series = None if t1 is None else choice.t1
    return Pair(t2fs, t1, sequence_class, choice.t2fs, t1_series, tuple(notes))


def same_frame(first: Series, second: Series) -> bool:
    """Say whether two series declare one frame of reference, or none as NIfTI files do."""
    uid = first.frame_of_reference_uid
    return uid == second.frame_of_reference_uid
