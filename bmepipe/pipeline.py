"""The whole way: choose, load, align, find bones, find edema, measure, write.

`analyse` is pure: a pair and functions in, a result out. `run_study` is the rim: a study folder in,
an output folder out, whole or not at all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bmepipe import __version__
from bmepipe.analysis.decide import decide
from bmepipe.analysis.labels import missing_note
from bmepipe.analysis.laterality import chosen_side_note
from bmepipe.analysis.levels import bodies_note, level_notes, small_notes
from bmepipe.analysis.marrow import normal_marrow
from bmepipe.analysis.measurable import unmeasurable, without_unmeasurable
from bmepipe.analysis.measure import measure
from bmepipe.analysis.pairing import Choice, choose_pair
from bmepipe.analysis.quality import assess
from bmepipe.analysis.sides import sides_note, site_shown
from bmepipe.analysis.untold import untold_note, without_parts
from bmepipe.bones import (
    BoneFinder,
    bone_model,
    given_bones,
    named_bones,
    read_labels,
)
from bmepipe.errors import BadSettings, unknown_choice
from bmepipe.folder import whole_or_not_at_all
from bmepipe.intake import find_study, load_pair, recognise
from bmepipe.models.detectors import DETECTORS, Detectors, choose_detectors
from bmepipe.provenance import OnFiles, OnStage, Stopwatch, peak_memory_mb, provenance
from bmepipe.result import EdemaResult, Provenance
from bmepipe.site import Site, load_site
from bmepipe.study import Pair, Study


@dataclass(frozen=True)
class RunSettings:
    """The choices of one run; `cli` fills it from a settings file and flags.

    Parameters
    ----------
    site : str, optional
        None: recognised from the headers, or refused.
    study : str, optional
        StudyInstanceUID or number where a folder holds several studies.
    t1, t2fs : str, optional
        SeriesInstanceUID or number, or a NIfTI file.
    side : str, optional
        "left" or "right", where a study holds series of both.
    bones : Path, optional
        A label map that replaces the bone model.
    bone_names : str, optional
        What its numbers mean, where they are not the site's own: a CSV of label,name or a
        TotalSegmentator task. Names stored in the file itself are read without this.
    detector : str
        Key of `DETECTORS`.
    writers : tuple of str
    layout : str
        "plain" or "bids": how output files are named.
    """

    site: str | None = None
    study: str | None = None
    t1: str | None = None
    t2fs: str | None = None
    side: str | None = None
    bones: Path | None = None
    bone_names: str | None = None
    detector: str = "both"
    writers: tuple[str, ...] = ("masks", "tables", "json", "overlay", "report", "seg", "sr")
    layout: str = "plain"


def require_writers(names: tuple[str, ...]) -> None:
    """Refuse unknown writers before any work is done."""
    from bmepipe.writers import WRITERS

    for name in names:
        if name not in WRITERS:
            raise unknown_choice("writer", name, WRITERS)


def require_bones_for_names(settings: RunSettings) -> None:
    """Refuse names of labels without a label map that they belong to."""
    if settings.bone_names is not None and settings.bones is None:
        raise BadSettings(
            "--bones with a label map beside --bone-names",
            f"--bone-names {settings.bone_names} alone",
            "give the label map, or leave the names away",
        )


def used_models(site: Site, detectors: Detectors, *, bones_given: bool) -> dict[str, str]:
    """Return the names and the sha256 of the models that a run uses."""
    from bmepipe.models.stored import stored_sha256

    names = [*([] if bones_given else [site.model]), *detectors.models]
    return {name: stored_sha256(name) for name in names}


def analyse(
    pair: Pair,
    site: Site,
    *,
    case: str = "case",
    segment_bones: BoneFinder = bone_model,
    detectors: Detectors = DETECTORS["both"],
    on_stage: OnStage = lambda stage: None,
) -> EdemaResult:
    """Find bones and edema in a pair and measure them; reads and writes no files.

    Parameters
    ----------
    pair : Pair
    site : Site
    case : str
        Name of the case in the tables.
    segment_bones : callable (pair, site) -> Volume of uint8
    detectors : Detectors
    on_stage : callable (name)
        Called at the beginning of each stage.

    Raises
    ------
    BmepipeError
        If an image is implausible or no bone is found.
    """
    watch = Stopwatch(on_stage)
    with watch.stage("bones"):
        bones = segment_bones(pair, site)
    both = sides_note(site, bones)
    site = site_shown(site, bones)
    with watch.stage("quality"):
        assessable, quality_notes = assess(pair, bones, site)
    with watch.stage("edema"):
        marrow = normal_marrow(pair, bones, site)
        rule, model = (
            None if detect is None else detect(pair, bones, site, marrow)
            for detect in (detectors.rule, detectors.model)
        )
    with watch.stage("lesions"):
        decision = decide(rule, model, pair, bones, assessable, site, marrow)
    found, probability = decision.found, decision.probability
    if found.untold is not None and found.untold.any():
        assessable = without_parts(assessable, found.untold)
        quality_notes = (
            *quality_notes,
            untold_note(found.untold, bones, site, with_t1=pair.t1 is not None),
        )
    with watch.stage("measure"):
        reasons = unmeasurable(pair, bones, assessable, found)
        found = without_unmeasurable(found, reasons, bones, site)
        rows = measure(case, pair, bones, assessable, found, site, reasons)
    return EdemaResult(
        case=case,
        site=site,
        pair=pair,
        bones=bones,
        probability=probability,
        edema=found.edema,
        lesion_map=found.lesion_map,
        assessable=assessable,
        measurements=rows,
        lesions=found.lesions,
        rejected=found.rejected,
        disagreement=decision.disagreement,
        provenance=Provenance(__version__, detectors.name, stage_seconds=watch.seconds),
        notes=(
            *pair.notes,
            *both,
            *missing_note(bones, site),
            *quality_notes,
            *level_notes(bones, site),
            *small_notes(bones, site),
            *decision.notes,
        ),
    )


def run_study(
    path: Path | None,
    out: Path,
    settings: RunSettings,
    on_stage: OnStage = lambda stage: None,
    on_files: OnFiles | None = None,
) -> EdemaResult:
    """Analyse the study at `path` and write the result to the folder `out`.

    Parameters
    ----------
    path : Path, optional
        Folder, zip or DICOMDIR; None where both series are given as NIfTI files.
    out : Path
        Made whole or not at all; an earlier result is replaced, anything else refused.
    settings : RunSettings
    on_stage : callable (name)
    on_files : callable (files read, files in all), optional
        Called now and then while headers are read.

    Raises
    ------
    BmepipeError
        Any refusal. After `WriterFailed` the outputs that could be written are there.
    """
    detectors = choose_detectors(settings.detector)
    require_writers(settings.writers)
    require_bones_for_names(settings)
    given = None if settings.bones is None else read_labels(settings.bones)
    with whole_or_not_at_all(out) as folder:
        watch = Stopwatch(on_stage)
        study, site, choice = choose(path, settings, watch, on_files)
        pair = load_pair(choice, watch)
        lines: tuple[str, ...] = ()
        if given is not None:
            assert settings.bones is not None
            given, lines = named_bones(given, settings.bones, settings.bone_names, site)
        find_bones = bone_model if given is None else given_bones(given)
        result = analyse(
            pair,
            site,
            case=out.name,
            segment_bones=find_bones,
            detectors=detectors,
            on_stage=on_stage,
        )
        watch.seconds.update(result.provenance.stage_seconds)
        models = used_models(site, detectors, bones_given=given is not None)
        origin = replace(
            provenance(asdict(settings), site, models), stage_seconds=dict(watch.seconds)
        )
        result = replace(result, study=study, reasons=choice.reasons, provenance=origin)
        if given is None:
            lines = bodies_note(result.bones, site)
        if settings.side is not None and settings.t2fs is None and study is not None:
            lines = (*lines, *chosen_side_note(study, settings.side))
        result = replace(result, notes=(*result.notes, *lines))
        return write(result, folder, settings, watch)


def choose(
    path: Path | None, settings: RunSettings, watch: Stopwatch, on_files: OnFiles | None = None
) -> tuple[Study | None, Site, Choice]:
    """Return the study, its site and the chosen series."""
    with watch.stage("scan"):
        named = {"t1": settings.t1, "t2fs": settings.t2fs}
        study, names = find_study(path, settings.study, named, on_files)
    reasons: tuple[str, ...] = ()
    if settings.site is None:
        site, why = recognise(study, names, settings.side)
        reasons = (why,)
    else:
        site = load_site(settings.site)
    choice = choose_pair(study, site, t1=names["t1"], t2fs=names["t2fs"], side=settings.side)
    return study, site, replace(choice, reasons=(*reasons, *choice.reasons))


def write(
    result: EdemaResult, folder: Path, settings: RunSettings, watch: Stopwatch
) -> EdemaResult:
    """Write every output; `result.json` last, so that it holds the time of writing too.

    Raises
    ------
    WriterFailed
        Naming the writers that failed, after the others have written.
    """
    from bmepipe.writers import write_each

    with watch.stage("write"):
        others = [name for name in settings.writers if name != "json"]
        outcome = write_each(result, folder, others, settings.layout)
    measured = replace(
        result.provenance, stage_seconds=dict(watch.seconds), peak_memory_mb=peak_memory_mb()
    )
    result = replace(result, provenance=measured)
    if "json" in settings.writers:
        outcome += write_each(result, folder, ["json"], settings.layout)
    outcome.paths()
    return result
