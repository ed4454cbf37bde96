#!/usr/bin/env python
"""Damage DICOM files at random and check that reading them refuses or is right.

    scripts/fuzz_dicom.py [--cases 2600] [--seed 0] [--folder STUDY]

Every case copies a small series, damages one of its files and reads the folder. It passes if the
volumes that come back lie on the original's voxels with the original's values wherever the file
was not touched, or if the refusal is a BmepipeError; if it takes less than ten seconds; and if the
memory grows by at most ten times the folder's size (and 64 MiB for the libraries). The cases run in
child processes, so that a crash inside a decoder is a failure of its case and not of the run.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests" / "io"
BATCH = 50
LIMIT_S = 10
SPARE_MIB = 64


def load_module(name: str):
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", TESTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write_seeds(folder: Path) -> list[Path]:
    """Write one small series per transfer syntax, and enhanced files."""
    from pydicom import uid

    make = load_module("conftest")
    syntaxes = {
        "implicit": uid.ImplicitVRLittleEndian,
        "explicit": uid.ExplicitVRLittleEndian,
        "big": uid.ExplicitVRBigEndian,
        "deflated": uid.DeflatedExplicitVRLittleEndian,
        "rle": uid.RLELossless,
        "jpeg": uid.JPEGLosslessSV1,
        "jpegls": uid.JPEGLSLossless,
        "j2k": uid.JPEG2000Lossless,
    }
    for name, syntax in syntaxes.items():
        make.write_series(folder / name, syntax=syntax, shape=(40, 34, 5))
    (folder / "enhanced").mkdir()
    make.write_enhanced(folder / "enhanced" / "a.dcm", shape=(40, 34, 4), echoes=(12, 80))
    (folder / "enhanced_j2k").mkdir()
    make.write_enhanced(
        folder / "enhanced_j2k" / "a.dcm", shape=(40, 34, 4), syntax=uid.JPEG2000Lossless
    )
    return sorted(p for p in folder.iterdir() if p.is_dir())


def is_right(found: list, before: list, touched_at: np.ndarray | None) -> str:
    """Say what is wrong with the volumes read after the damage; empty if nothing."""
    for _, array, affine in found:
        if array.shape[2] < 3:
            continue  # a slice that its damaged header sets apart
        matches = [b for b in before if b[1].shape[:2] == array.shape[:2]]
        if not any(_on_voxels(array, affine, b, touched_at) for b in matches):
            return f"a volume of shape {array.shape} that the original does not hold"
    return ""


def _on_voxels(array, affine, original, touched_at) -> bool:
    _, data, grid = original
    index = np.linalg.solve(grid, affine)
    origin, step = index[:3, 3], index[:3, 2]
    if np.abs(index[:3, :2] - np.eye(3)[:, :2]).max() > 1e-3:
        return False
    if np.abs(origin - np.round(origin)).max() > 0.03 or abs(abs(step[2]) - 1) > 0.03:
        return False
    slices = np.round(origin[2] + step[2] * np.arange(array.shape[2])).astype(int)
    if slices.min() < 0 or slices.max() >= data.shape[2]:
        return False
    wrong = [k for n, k in enumerate(slices) if not np.array_equal(array[..., n], data[..., k])]
    return len(wrong) <= 1 if touched_at is None else True


def one_case(seed: int, seeds: list[Path], folder: Path, damages, report) -> str:
    """Run one case and return its outcome."""
    from bmepipe.errors import BmepipeError
    from bmepipe.io.dicom import load, load_folder
    from bmepipe.io.scan import scan

    rng = np.random.default_rng(seed)
    source = seeds[int(rng.integers(len(seeds)))]
    damage = damages[int(rng.integers(len(damages)))]
    report(seed, f"{damage.__name__} on {source.name}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    before = load_folder(folder)
    victim = sorted(folder.iterdir())[int(rng.integers(len(list(folder.iterdir()))))]
    victim.write_bytes(damage(victim.read_bytes(), rng))
    size = sum(f.stat().st_size for f in folder.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    signal.alarm(LIMIT_S)
    try:
        found = load_folder(folder)
        study = scan(folder)
        for series in study.series:
            if not series.refusal:
                load(series)
        alone = len(sorted(folder.iterdir())) == 1
        outcome = ("right" if found else "refused") if alone else ""
        outcome = outcome or is_right(found, before, None) or ("right" if found else "refused")
    except BmepipeError:
        outcome = "refused"
    except Exception:
        outcome = "EXCEPTION " + traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    if grown > SPARE_MIB + 10 * size / 2**20:
        return f"MEMORY {grown:.0f} MiB for {size / 2**20:.1f} MiB"
    if time.perf_counter() - start > LIMIT_S:
        return "SLOW"
    return outcome


def run_batch(first: int, count: int, seeds: list[Path], progress: Path, results: Path) -> None:
    """Run some cases in a child process, writing what was begun and how each ended."""
    logging.disable(logging.CRITICAL)
    damages = load_module("damage").DAMAGES
    with tempfile.TemporaryDirectory() as tmp, open(results, "w") as out:
        for seed in range(first, first + count):
            outcome = one_case(
                seed,
                seeds,
                Path(tmp, "case"),
                damages,
                lambda s, what: progress.write_text(f"{s} {what}"),
            )
            out.write(f"{progress.read_text()}\t{outcome!r}\n")
            out.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="damage this series instead of made ones")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp)
        (work / "seeds").mkdir()
        seeds = [options.folder] if options.folder else write_seeds(work / "seeds")
        first, end = options.seed, options.seed + options.cases
        while first < end:
            count = min(BATCH, end - first)
            progress, results = work / "progress", work / "results"
            results.unlink(missing_ok=True)
            child = multiprocessing.get_context("fork").Process(
                target=run_batch, args=(first, count, seeds, progress, results)
            )
            child.start()
            child.join(LIMIT_S * count)
            lines = results.read_text().splitlines() if results.exists() else []
            for line in lines:
                what, outcome = line.split("\t")
                kind = outcome.strip("'\"").split(" ")[0]
                counts[kind] += 1
                if kind not in ("right", "refused"):
                    print(what, outcome.replace("\\n", "\n"), flush=True)
            if child.exitcode != 0:
                counts["CRASH"] += 1
                print(f"CRASH (exit {child.exitcode}) in case {progress.read_text()}", flush=True)
                child.kill()
                first += len(lines) + 1
            else:
                first += count
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return int(set(counts) - {"right", "refused"} != set())


if __name__ == "__main__":
    sys.exit(main())
