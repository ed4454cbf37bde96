"""One knee phantom through `bmepipe run`, from a cold start to the last file: wall time, memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(*command: str) -> tuple[float, float]:
    """Run a command; return wall seconds and the largest memory of any child so far, in MB."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bmepipe", *command], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        phantom, out = Path(folder) / "phantom", Path(folder) / "out"
        made_s, made_mb = timed("phantom", "-o", str(phantom), "--site", "knee", "--seed", "7")
        run_s, run_mb = timed("run", str(phantom / "study"), "-o", str(out))
        stages = json.loads((out / "result.json").read_text())["provenance"]["stage_seconds"]
    print(f"machine: {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"| {'step':<28} | seconds | share of run | peak MB so far |")
    print(f"|{'-' * 30}|---------|--------------|----------------|")
    print(f"| {'bmepipe phantom':<28} | {made_s:7.1f} | {'':12} | {made_mb:14.0f} |")
    print(f"| {'bmepipe run, cold start':<28} | {run_s:7.1f} | {1:12.0%} | {run_mb:14.0f} |")
    for name, seconds in stages.items():
        print(f"| {'  ' + name:<28} | {seconds:7.1f} | {seconds / run_s:12.0%} | {'':14} |")
    rest = run_s - sum(stages.values())
    print(f"| {'  start and imports':<28} | {rest:7.1f} | {rest / run_s:12.0%} | {'':14} |")


if __name__ == "__main__":
    main()
