"""The command line: typed arguments in, one call each, refusals as one line and an exit code.

Exit codes: 0 done, 1 a refusal, 2 usage, 143 ended by SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmepipe import RESEARCH_ONLY, __version__, commands
from bmepipe.errors import BmepipeError, WriterFailed
from bmepipe.termination import sigterm_raises


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=getattr(logging, arguments.log.upper()), format="%(levelname)s %(message)s"
    )
    try:
        with sigterm_raises(_Terminated):
            return int(arguments.call(arguments) or 0)
    except BmepipeError as refusal:
        from bmepipe.terminal import one_line

        print(f"bmepipe: {one_line(str(refusal))}", file=sys.stderr)
        if not isinstance(refusal, WriterFailed):  # after that OUT holds what could be written
            tell_earlier(arguments)
        return 1
    except BrokenPipeError:  # the reader of our output, as in "bmepipe sites | head", has left
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (the interpreter flushes it at exit)
        return 0
    except KeyboardInterrupt:
        print("bmepipe: interrupted; nothing was written", file=sys.stderr)
        tell_earlier(arguments)
        return 1
    except _Terminated:
        print("bmepipe: terminated; nothing was written", file=sys.stderr)
        tell_earlier(arguments)
        return 128 + signal.SIGTERM


class _Terminated(SystemExit):
    """The system asked the program to end."""


def tell_earlier(arguments: argparse.Namespace) -> None:
    """Say on standard error that the output folder still holds an earlier result, where it does.

    It is not removed, and must not be taken for the result of the study that was refused.
    """
    from bmepipe.folder import holds_result

    out = getattr(arguments, "out", None)
    if out is not None and holds_result(out):
        print(f"bmepipe: {out} still holds an earlier result, not of this run", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="bmepipe",
        description="Bone marrow edema from MRI: bones, edema masks, volumes per bone, reports.",
        epilog=RESEARCH_ONLY,
    )
    top.add_argument("--version", action="version", version=f"bmepipe {__version__}")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        add_run,
        add_batch,
        add_series,
        add_phantom,
        add_sites,
        add_evaluate,
        add_train,
    ):
        command = add(subparsers)
        command.add_argument(
            "--log",
            choices=["debug", "info", "warning", "error"],
            default="warning",
            help="how much to tell on standard error (default: warning)",
        )
    return top


def add_run(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe run``."""
    command = subparsers.add_parser(
        "run",
        help="analyse one study",
        description="Find the bones and their edema in one study and write masks, tables, overlays"
        " and reports. The series are chosen from the headers unless you name them.",
        epilog=RESEARCH_ONLY,
    )
    command.add_argument(
        "study", nargs="?", type=Path, help="folder, zip or DICOMDIR; may be left out with NIfTI"
    )
    command.add_argument("-o", "--out", type=Path, required=True, help="output folder")
    command.add_argument("--site", help="body site; 'bmepipe sites' lists them")
    command.add_argument("--t1", help="T1 series: its UID or number, or a NIfTI file")
    command.add_argument("--t2fs", help="fat-suppressed series: UID, number or NIfTI file")
    command.add_argument("--side", help="left or right, where the study holds series of both")
    command.add_argument(
        "--bones", type=Path, help="label map (NIfTI) on the grid of the fat-suppressed series"
    )
    command.add_argument(
        "--bone-names",
        help="what the label map's numbers mean: a CSV of label,name or a TotalSegmentator task"
        " (total_mr, vertebrae_mr, appendicular_bones_mr)",
    )
    command.add_argument("--study", dest="study_uid", help="which study, where there are several")
    command.add_argument("--detector", help="contrast, model or both (default: both)")
    command.add_argument("--layout", choices=["plain", "bids"], help="names of the output files")
    command.add_argument("--config", type=Path, help="settings file (TOML); flags override it")
    command.set_defaults(call=commands.run)
    return command


def add_batch(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe batch``."""
    command = subparsers.add_parser(
        "batch",
        help="analyse many studies, each on its own",
        description="Find the studies of a data set and run each in a process of its own. A case"
        " that is refused, crashes or hangs is recorded with its reason; the others go on.",
        epilog=RESEARCH_ONLY,
    )
    command.add_argument(
        "dataset", type=Path, help="folder of studies, zips or NIfTI, or a CSV or Parquet manifest"
    )
    command.add_argument("-o", "--out", type=Path, required=True, help="output folder")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")
    where.add_argument("--dask", metavar="ADDRESS", help="scheduler of a running Dask cluster")
    command.add_argument(
        "--resume", action="store_true", help="go on: only what is missing, failed or has changed"
    )
    command.add_argument(
        "--case-timeout", type=float, metavar="S", help="stop a case after this many seconds"
    )
    command.add_argument("--site", help="body site of every study")
    command.add_argument("--side", help="left or right, where studies hold series of both")
    command.add_argument("--detector", help="contrast, model or both (default: both)")
    command.add_argument("--layout", choices=["plain", "bids"], help="names of the output files")
    command.add_argument("--config", type=Path, help="settings file (TOML); flags override it")
    command.set_defaults(
        call=commands.batch, study_uid=None, t1=None, t2fs=None, bones=None, bone_names=None
    )
    return command


def add_series(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe series``."""
    command = subparsers.add_parser(
        "series",
        help="list the series of a study and which two would be used",
        description="Every series: its role, why, and which two would be analysed. Reads headers;"
        " exit code 1 where a run would be refused.",
        epilog=RESEARCH_ONLY,
    )
    command.add_argument("study", type=Path, help="folder, zip or DICOMDIR")
    command.add_argument("--site", help="body site; its preferred plane decides between equals")
    command.add_argument("--side", help="left or right, where the study holds series of both")
    command.add_argument("--study", dest="study_uid", help="which study, where there are several")
    command.add_argument("--json", action="store_true", help="machine-readable, on standard output")
    command.set_defaults(call=commands.series)
    return command


def add_phantom(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe phantom``."""
    command = subparsers.add_parser(
        "phantom",
        help="make a synthetic study whose edema is known in mL",
        description="Write DIR/study (the input of 'bmepipe run') and DIR/truth.",
        epilog=RESEARCH_ONLY,
    )
    command.add_argument("-o", "--out", type=Path, required=True, help="new folder")
    command.add_argument("--site", default="knee", help="body site (default: knee)")
    command.add_argument("--seed", type=int, default=7, help="another seed is another person")
    command.add_argument("--healthy", action="store_true", help="no edema")
    command.add_argument("--confounders", default="", help="look-alikes: a,b or all")
    command.add_argument("--format", choices=["dicom", "nifti"], default="dicom")
    command.set_defaults(call=commands.phantom)
    return command


def add_sites(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe sites``."""
    command = subparsers.add_parser("sites", help="list the known sites and their bones")
    command.set_defaults(call=commands.sites)
    return command


def add_evaluate(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe evaluate``."""
    command = subparsers.add_parser(
        "evaluate",
        help="compare predictions with truth: voxels, lesions, volumes",
        description="Compare the edema masks of results with those that readers drew: overlap and"
        " distances, lesions found one by one, volumes. Of several readings of a case, the truth is"
        " what more than half of them mark. Cases are matched by name; docs/evaluate.md tells how.",
        epilog=RESEARCH_ONLY,
    )
    command.add_argument(
        "predictions", type=Path, help="a mask, a result, a batch's output or a folder of masks"
    )
    command.add_argument(
        "truth",
        type=Path,
        nargs="+",
        help="a mask, or a folder with CASE.nii.gz or CASE/edema*.nii.gz; one for each reader",
    )
    command.add_argument("-o", "--out", type=Path, help="folder for agreement.json, .csv and .png")
    command.set_defaults(call=commands.evaluate)
    return command


def add_train(subparsers: Any) -> argparse.ArgumentParser:
    """Declare ``bmepipe train``."""
    command = subparsers.add_parser(
        "train", help="train a network from a settings file", epilog=RESEARCH_ONLY
    )
    command.add_argument("config", type=Path, help="training settings (TOML)")
    command.add_argument("-o", "--out", type=Path, required=True, help="folder of checkpoints")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_argument("--minutes", type=float, help="stop, to be resumed, after this time")
    command.set_defaults(call=commands.train)
    return command


if __name__ == "__main__":
    sys.exit(main())
