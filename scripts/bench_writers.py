"""The writers on one knee phantom at clinical resolution: seconds, files and bytes of each."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bmepipe.io.phantom_files import write_phantom
from bmepipe.phantom.study import make_phantom
from bmepipe.pipeline import RunSettings, run_study
from bmepipe.writers import WRITERS, write_all

MOST_SECONDS, MOST_REPORT_MB = 6.0, 15.0


def main() -> None:
    """Print the table: wall and processor seconds, imports included, as in a run."""
    with tempfile.TemporaryDirectory() as folder:
        phantom, out = Path(folder) / "phantom", Path(folder) / "out"
        write_phantom(make_phantom("knee", 7), phantom)
        bones = phantom / "truth" / "bones.nii.gz"
        result = run_study(phantom / "study", out, RunSettings(bones=bones, writers=("tables",)))
        again = Path(folder) / "again"
        again.mkdir()
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("| writer   | wall s | CPU s | files |     MB |")
        print("|----------|--------|-------|-------|--------|")
        totals = [0.0, 0.0]
        for name in WRITERS:
            wall, busy = time.perf_counter(), time.process_time()
            paths = write_all(result, again, [name])
            wall, busy = time.perf_counter() - wall, time.process_time() - busy
            totals = [totals[0] + wall, totals[1] + busy]
            size_mb = sum(path.stat().st_size for path in paths) / 1e6
            print(f"| {name:<8} | {wall:6.2f} | {busy:5.2f} | {len(paths):5d} | {size_mb:6.2f} |")
        print(f"| all      | {totals[0]:6.2f} | {totals[1]:5.2f} |")
        report_mb = (again / "report.html").stat().st_size / 1e6
    print(f"report.html {report_mb:.1f} MB (at most {MOST_REPORT_MB:g});")
    print(f"all writers {totals[0]:.1f} s (at most {MOST_SECONDS:g} on two free cores)")


if __name__ == "__main__":
    main()
