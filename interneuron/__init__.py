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
    "canvas",
    "capture",
    "causal",
    "chain",
    "checks",
    "citations",
    "claims",
    "clustering",
    "coactivation",
    "comparisons",
    "data",
    "data_gsr",
    "dense_training",
    "evaluate",
    "graph_networks",
    "gsr_metrics",
    "gsr_plots",
    "graphs",
    "images",
    "influence",
    "inspection",
    "io",
    "lattices",
    "kernels",
    "lesion",
    "margin_metrics",
    "margin_plots",
    "nets",
    "region_plots",
    "regularization",
    "region_metrics",
    "regions",
    "saliency",
    "shaped_training",
    "signals",
    "similarity",
    "simulate",
    "structure",
    "structured_classifiers",
    "structured_training",
    "tensor_checks",
    "thesis_plots",
    "training",
    "wavelets",
)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"interneuron.{name}")
    raise AttributeError(f"module 'interneuron' has no attribute {name!r}; its rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return [*_ROOMS, "__version__"]
