"""One knee phantom through `bmepipe run` and through a chain made by hand, both from a cold start.

    scripts/bench_run.py [--seed 7] [--repeat 1]

The phantom has clinical resolution. Prints wall seconds, processor seconds, the largest memory, the
share of each stage, and how well both outcomes agree with the truth; of several runs, taken in
turns, the fastest. `scripts/hand_chain.py` is the chain.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bmepipe.evaluate import evaluate_case
from bmepipe.io.nifti import load_labels

CHAIN = str(Path(__file__).with_name("hand_chain.py"))


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall_s:7.1f} | {self.cpu_s:7.1f} | {self.peak_mb:7.0f}"


def timed(*command: str) -> Cost:
    """Run Python with these arguments."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen([sys.executable, *command], stdout=told, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{told.read()}")
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def stages(seconds: dict[str, float], whole_s: float) -> None:
    """Print a row per stage and one for the rest."""
    for name, value in {**seconds, "start, imports": whole_s - sum(seconds.values())}.items():
        print(f"| - {name:<22} | {value:7.1f} | {'':7} | {'':7} | {value / whole_s:6.0%} |")


def agreement(name: str, out: Path, truth: Path) -> None:
    """Print how a mask agrees with the truth."""
    case = evaluate_case(name, load_labels(out / "edema_mask.nii.gz"), [load_labels(truth)])
    dice = "-" if case.voxels.dice is None else f"{case.voxels.dice:.3f}"
    print(
        f"{name}: Dice {dice}, {case.voxels.prediction_ml:.2f} mL of {case.voxels.truth_ml:.2f} mL,"
        f" lesions {case.lesions.found} of {case.lesions.truth}, false {case.lesions.false}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start,")
    print(f"Python {platform.python_version()}, knee phantom {arguments.seed}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = folder / "phantom"
        made = timed("-m", "bmepipe", "phantom", "-o", str(phantom), "--seed", str(arguments.seed))
        runs, chains = {}, {}
        for turn in range(arguments.repeat):
            study, run, chain = phantom / "study", folder / f"run{turn}", folder / f"chain{turn}"
            runs[run] = timed("-m", "bmepipe", "run", str(study), "-o", str(run))
            chains[chain] = timed(CHAIN, str(study), str(chain))
        run = min(runs, key=lambda path: runs[path].wall_s)
        chain = min(chains, key=lambda path: chains[path].wall_s)
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        print(f"| {'step':<24} |  wall s |   CPU s | peak MB |  share |")
        print(f"|{'-' * 26}|---------|---------|---------|--------|")
        print(f"| {'bmepipe phantom':<24} | {made} |        |")
        print(f"| {'bmepipe run, cold start':<24} | {runs[run]} |        |")
        stages(result["provenance"]["stage_seconds"], runs[run].wall_s)
        print(f"| {'chain, cold start':<24} | {chains[chain]} |        |")
        stages(json.loads((chain / "seconds.json").read_text()), chains[chain].wall_s)
        print(
            f"\nchain / run: {chains[chain].wall_s / runs[run].wall_s:.1f} in wall time,"
            f" {chains[chain].cpu_s / runs[run].cpu_s:.1f} in processor time"
        )
        truth = phantom / "truth" / "edema_mask.nii.gz"
        agreement("run", run, truth)
        agreement("chain", chain, truth)


if __name__ == "__main__":
    main()
