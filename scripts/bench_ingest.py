#!/usr/bin/env python
"""Speed of reading, side by side on the same files: ratios, not seconds, are what counts.

    scripts/bench_ingest.py [STUDY] [--headers 5000] [--repeat 5]

STUDY is a folder of DICOM files; without it a series is made. The study is read to volumes by
bmepipe, by SimpleITK's series reader and by the dcm2niix process, and its headers, copied until
there are enough of them, by bmepipe and by a plain loop of pydicom's dcmread. Each is the best of
some repeats, taken in turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pydicom

from bmepipe.io.dicom import load_folder
from bmepipe.io.scan import find_files, scan

ROOT = Path(__file__).resolve().parents[1]


def best(repeat: int, **named: Callable[[], object]) -> dict[str, float]:
    """Return the shortest time in seconds of each function, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(repeat):
        for name, function in named.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(taken) for name, taken in times.items()}


def by_simpleitk(folder: Path) -> None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
        sitk.GetArrayFromImage(reader.Execute())


def by_dcm2niix(folder: Path) -> None:
    import dcm2niix

    with tempfile.TemporaryDirectory() as out:
        command = [dcm2niix.bin, "-b", "n", "-z", "n", "-o", out, str(folder)]
        subprocess.run(command, capture_output=True, check=False)


def plain_loop(files: list[Path]) -> None:
    for file in files:
        pydicom.dcmread(file, stop_before_pixels=True)


def made_study(folder: Path) -> Path:
    path = ROOT / "tests" / "io" / "conftest.py"
    spec = importlib.util.spec_from_file_location("bench_made", path)
    make = importlib.util.module_from_spec(spec)
    sys.modules["bench_made"] = make
    spec.loader.exec_module(make)
    for number in (3, 6):
        make.write_series(folder, shape=(384, 384, 24), SeriesNumber=number, seed=number)
    return folder


def compare(title: str, times: dict[str, float]) -> None:
    ours = times["bmepipe"]
    print(f"{title}: bmepipe {ours:.3f} s")
    for name, taken in times.items():
        if name != "bmepipe":
            print(f"  {name:<16} {taken:.3f} s   bmepipe takes {ours / taken:.2f} of it")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path)
    parser.add_argument("--headers", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as tmp:
        study = options.study or made_study(Path(tmp, "study"))
        many = Path(tmp, "many")
        many.mkdir()
        sources = find_files(study)
        for n in range(options.headers):
            shutil.copyfile(sources[n % len(sources)], many / f"{n:06d}")
        files = find_files(many)
        compare(
            f"{len(sources)} files to volumes",
            best(
                options.repeat,
                bmepipe=lambda: load_folder(study),
                SimpleITK=lambda: by_simpleitk(study),
                dcm2niix=lambda: by_dcm2niix(study),
            ),
        )
        compare(
            f"{len(files)} headers to a study",
            best(
                min(options.repeat, 3),
                bmepipe=lambda: scan(many),
                pydicom=lambda: plain_loop(files),
            ),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
