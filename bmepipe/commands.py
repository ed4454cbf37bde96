"""What each command of the command line does with its arguments.

Everything is imported within the functions that need it, so that ``bmepipe --help`` is quick.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bmepipe.errors import BadSettings, BmepipeError

if TYPE_CHECKING:
    from bmepipe.pipeline import RunSettings


def run(arguments: argparse.Namespace) -> None:
    """``bmepipe run``."""
    from bmepipe.pipeline import run_study
    from bmepipe.terminal import print_result, progress

    settings = run_settings(arguments)
    with progress() as (on_stage, on_files):
        result = run_study(arguments.study, arguments.out, settings, on_stage, on_files)
    print_result(result, arguments.out)


def batch(arguments: argparse.Namespace) -> int:
    """``bmepipe batch``."""
    from bmepipe.batch.cases import find_cases
    from bmepipe.batch.engine import Interrupted, dask_executor, local_executor, run_batch
    from bmepipe.terminal import batch_progress

    settings = run_settings(arguments)
    if arguments.case_timeout is not None and arguments.case_timeout <= 0:
        raise BadSettings(
            "seconds above 0", f"{arguments.case_timeout:g}", "correct --case-timeout"
        )
    executor = (
        dask_executor(arguments.dask) if arguments.dask else local_executor(arguments.workers)
    )
    try:
        with batch_progress() as (on_units, on_case):
            cases = find_cases(arguments.dataset, on_units)
            with executor as (pool, threads):
                found = run_batch(
                    cases,
                    arguments.out,
                    settings,
                    pool,
                    resume=arguments.resume,
                    threads=threads,
                    case_timeout_s=arguments.case_timeout,
                    on_case=on_case,
                )
    except Interrupted as stopped:
        print(f"bmepipe: interrupted; {stopped}; go on with --resume", file=sys.stderr)
        return 1
    done = sum(record["status"] == "done" for record in found)
    print(f"{done} of {len(found)} cases done; tables and index.html in {arguments.out}")
    return 0 if done == len(found) else 1


def run_settings(arguments: argparse.Namespace) -> RunSettings:
    """Return the settings of a run: defaults, then the settings file, then flags."""
    from bmepipe.pipeline import RunSettings
    from bmepipe.settings import read_config

    settings = RunSettings()
    if arguments.config is not None:
        settings = replace(settings, **read_config(arguments.config))
    flags = {
        "site": arguments.site,
        "study": arguments.study_uid,
        "t1": arguments.t1,
        "t2fs": arguments.t2fs,
        "side": arguments.side,
        "bones": arguments.bones,
        "bone_names": arguments.bone_names,
        "detector": arguments.detector,
        "layout": arguments.layout,
    }
    return replace(settings, **{key: value for key, value in flags.items() if value is not None})


def series(arguments: argparse.Namespace) -> int:
    """``bmepipe series``; exit code 1 where the answer is a refusal."""
    from rich.console import Console

    from bmepipe.analysis.foretell import foretell
    from bmepipe.io.listing import series_rows, series_table
    from bmepipe.io.studies import open_study
    from bmepipe.site import load_site
    from bmepipe.terminal import progress

    if arguments.site is not None:
        load_site(arguments.site)  # a name that is none is refused before anything is read
    with progress() as (_, on_files):
        study = open_study(arguments.study, arguments.study_uid, on_files)
    choice: Any
    try:
        choice = foretell(study, arguments.site, arguments.side)
    except BmepipeError as refusal:
        choice = refusal
    if arguments.json:
        print(json.dumps(series_rows(study, choice), indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
        console.print(series_table(study, choice, console.width))
    return int(isinstance(choice, BmepipeError))


def phantom(arguments: argparse.Namespace) -> None:
    """``bmepipe phantom``."""
    from bmepipe.folder import require_new
    from bmepipe.io.phantom_files import write_phantom
    from bmepipe.phantom.study import make_phantom

    require_new(arguments.out)
    wanted = tuple(name.strip() for name in arguments.confounders.split(",") if name.strip())
    made = make_phantom(
        arguments.site, arguments.seed, healthy=arguments.healthy, confounders=wanted
    )
    write_phantom(made, arguments.out, format=arguments.format)
    print(f"study: {arguments.out / 'study'}\ntruth: {arguments.out / 'truth'}")


def sites(arguments: argparse.Namespace) -> None:
    """``bmepipe sites``."""
    from bmepipe.site import SIDES, load_site, site_names

    known = [load_site(name) for name in site_names()]
    for site in known:
        bones = ", ".join(f"{bone.label} {bone.name}" for bone in site.bones)
        source = f"bone model {site.model}" if site.model else "needs --bones"
        print(f"{site.name:<11} {source:<22} {bones}")
    sides = ", ".join(f"{side} +{added}" for side, added in SIDES.items())
    paired = ", ".join(site.name for site in known if site.paired)
    print(f"both sides in one scan ({paired}): {sides}")


def evaluate(arguments: argparse.Namespace) -> None:
    """``bmepipe evaluate``."""
    from bmepipe.evaluate import evaluate_files

    print(evaluate_files(arguments.predictions, arguments.truth, arguments.out))


def train(arguments: argparse.Namespace) -> None:
    """``bmepipe train``."""
    from bmepipe.training.recipe import train_from_file

    train_from_file(arguments.config, arguments.out, arguments.device, arguments.minutes)
