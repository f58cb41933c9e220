"""Interneuron: find the neurons, samples and features that matter in a trained network, and prove it by lesions.

The rooms (`interneuron.clustering`, `interneuron.causal`, ...) are imported when they are first used: none of them is
paid for by a program that does not need it.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_ROOMS = (
    "attacks",
    "baselines",
    "boundary_metrics",
    "capture",
    "causal",
    "citations",
    "claims",
    "clustering",
    "comparisons",
    "data",
    "evaluate",
    "graph_networks",
    "graphs",
    "images",
    "influence",
    "io",
    "kernels",
    "lesion",
    "margin_metrics",
    "nets",
    "plots",
    "region_metrics",
    "regions",
    "saliency",
    "signals",
    "similarity",
    "training",
)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"interneuron.{name}")
    raise AttributeError(f"module 'interneuron' has no attribute {name!r}; its rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return [*_ROOMS, "__version__"]
