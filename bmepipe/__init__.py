"""bmepipe: bone marrow edema from MRI. Research use only, not a medical device.

The public names are imported when first used, so that ``import bmepipe`` stays light.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
RESEARCH_ONLY = "Research use only, not a medical device."

_PUBLIC = {
    "Grid": "volume",
    "Volume": "volume",
    "Series": "study",
    "Study": "study",
    "Pair": "study",
    "Site": "site",
    "Bone": "site",
    "load_site": "site",
    "site_names": "site",
    "BoneMeasurement": "result",
    "Lesion": "result",
    "EdemaResult": "result",
    "RunSettings": "pipeline",
    "analyse": "pipeline",
    "run_study": "pipeline",
    "BmepipeError": "errors",
}

__all__ = ["RESEARCH_ONLY", "__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bmepipe' has no attribute {name!r}")
    return getattr(import_module(f"bmepipe.{_PUBLIC[name]}"), name)
