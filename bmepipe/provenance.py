"""How a result came about: times, memory, versions and settings."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from bmepipe import __version__
from bmepipe.result import Provenance
from bmepipe.site import Site

log = logging.getLogger(__name__)

OnStage = Callable[[str], None]
OnFiles = Callable[[int, int], None]  # files read, files in all
STAGES = ("scan", "read", "align", "bones", "quality", "edema", "lesions", "measure", "write")
SOFTWARE = ("numpy", "scipy", "scikit-image", "SimpleITK", "pydicom", "nibabel", "torch", "monai")


@dataclass
class Stopwatch:
    """Wall time of each stage in seconds, announced as it begins."""

    on_stage: OnStage
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block under `name`."""
        self.on_stage(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
        log.info("%s: %.1f s", name, self.seconds[name])


def provenance(settings: Mapping[str, Any], site: Site, models: Mapping[str, str]) -> Provenance:
    """Return how this result came about, without times."""
    rules = {name: asdict(rule) for name, rule in site.rules.items()}
    software = {name: importlib.metadata.version(name) for name in SOFTWARE}
    software["python"] = platform.python_version()
    run = {key: _plain(value) for key, value in settings.items() if value is not None}
    return Provenance(
        version=__version__,
        detector=str(settings["detector"]),
        models=models,
        settings={**run, "rules": rules, "marrow_margin_mm": site.marrow_margin_mm},
        software=software,
    )


def _plain(value: Any) -> str | list[str]:
    return [str(part) for part in value] if isinstance(value, tuple) else str(value)


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held, in MB; None where nothing tells it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
