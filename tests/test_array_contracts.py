"""One contract for all public functions of arrays: what is no array of the right kind is refused, and the same numbers
have the same answer whatever holds them.

Each function of `ROOMS` has a row in `CASES`, with arguments that it takes, or a reason in `EXEMPT`. Of every array
among the arguments the tests make what users bring by mistake (NaN, text, missing values, another shape), which raises
InputError and nothing else, and what other libraries hold the same numbers in. `also` names what an argument takes all
the same, `apart` the containers that it refuses.
"""

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from networks import perceptron
from scipy import sparse

from interneuron import (
    chain,
    claims,
    data,
    graph_networks,
    gsr_metrics,
    lattices,
    lesion,
    region_metrics,
    structure,
    structured_classifiers,
    structured_training,
    training,
)
from interneuron.errors import InputError
from interneuron.shaped_training import train_shaped
from interneuron.structured_training import Autoencoder

ROOMS = (
    "attacks",
    "boundary_metrics",
    "causal",
    "chain",
    "citations",
    "claims",
    "coactivation",
    "comparisons",
    "data",
    "evaluate",
    "graph_networks",
    "gsr_metrics",
    "images",
    "lattices",
    "lesion",
    "margin_metrics",
    "region_metrics",
    "regions",
    "shaped_training",
    "simulate",
    "structure",
    "structured_classifiers",
    "structured_training",
    "training",
    "wavelets",
)

NETWORKS = "takes its arrays with a network, and its own tests hold what it refuses"
TABLES = "takes tables of a study's files, in which NaN says that a metric does not apply"
SCALARS = "takes no arrays"
FILES = "reads a file"
EXEMPT = {
    "wavelets.responses": "is `wavelets.response` while a network is trained, whose loss says what is no longer finite",
    **dict.fromkeys(
        [
            "causal.sampled_effects",
            "causal.class_effects",
            "causal.published_effects",
            "causal.published_class_effects",
            "causal.taylor_effects",
            "causal.taylor_expectations",
            "lesion.lesion",
        ],
        NETWORKS,
    ),
    **dict.fromkeys(
        [
            "boundary_metrics.from_main_k",
            "claims.group_verdict",
            "claims.judged",
            "claims.readings_verdict",
            "claims.select",
            "claims.row",
            "claims.table",
            "comparisons.difference",
            "comparisons.largest_fall",
            "comparisons.spread",
            "evaluate.divergences",
            "evaluate.model",
            "evaluate.roles",
            "evaluate.clusterings",
            "evaluate.null_fails",
            "evaluate.cluster_lesions",
            "evaluate.pairs",
            "evaluate.critical_lesions",
            "evaluate.intact",
            "evaluate.summary",
            "evaluate.assemble",
            "gsr_metrics.metrics",
            "gsr_metrics.curves",
            "gsr_metrics.equally_far",
            "margin_metrics.agreement",
            "margin_metrics.wrong_labels",
            "margin_metrics.selections",
            "margin_metrics.sweeps",
            "margin_metrics.assemble",
            "region_metrics.networks",
            "region_metrics.chosen",
            "region_metrics.merged",
            "region_metrics.assemble",
        ],
        TABLES,
    ),
    **dict.fromkeys(
        [
            "causal.draws",
            "claims.parse",
            "claims.clopper_pearson",
            "citations.karate_club",
            "data.vocabulary",
            "data.word_counts",
            "data.prefix_classes",
            "data.random_split",
            "data.boolean_table",
            "lattices.grid",
            "lattices.torus",
            "lattices.rings",
            "lattices.paths",
            "lattices.star",
            "lattices.tree",
            "lattices.complete",
            "lattices.capsules",
            "lattices.build",
            "simulate.binary_modules",
            "simulate.nested_clusters",
            "structured_classifiers.build",
        ],
        SCALARS,
    ),
    **dict.fromkeys(
        [
            "citations.read_planetoid",
            "citations.csr_parts",
            "citations.csr_from_parts",
            "data.read_idx_images",
            "data.read_idx_labels",
            "data.read_digits",
            "data.read_usps",
            "data.read_enron",
            "data.read_photo",
            "data.read_photos",
            "data.read_titanic",
        ],
        FILES,
    ),
}


@dataclass(frozen=True)
class Case:
    """A function, good arguments, and of which kind the arrays among them are.

    Kinds: `numbers`, `whole`, `marks` (true or false), `labels` (text, too), `graph` and `matrix` (sparse, too),
    `floats` (tensors of torch functions), `uint8`, `bytes` (uint8 tensors) and `classes` (int64 tensors).
    """

    name: str
    arguments: dict[str, Any]
    arrays: dict[str, str]
    also: dict[str, str] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)
    call: Callable[..., Any] | None = None

    def __call__(self, arguments: dict[str, Any]) -> Any:
        room, name = self.name.split(".")
        function = self.call or getattr(importlib.import_module(f"interneuron.{room}"), name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            warnings.simplefilter("error", RuntimeWarning)
            found = function(**arguments)
        return list(found) if inspect.isgenerator(found) else found


def stream() -> np.random.Generator:
    return np.random.default_rng(1)


R = np.random.default_rng(0)
Z = R.normal(size=(12, 6))
Y = np.arange(12) % 3
TAKEN = np.where(np.arange(12) % 4 == 0, (Y + 1) % 3, Y)
MAPS = np.abs(R.normal(size=(3, 6)))
GRID = lattices.grid(2, 3)
EDGES = GRID.toarray()
ORDER = R.permutation(6).astype(float)
IMAGES = R.random((12, 4, 4))
PROBABILITIES = R.dirichlet(np.ones(3), 12)
COUNTS = np.array([[3, 0], [0, 4], [2, 0]])
BITS = R.random((3, 5)) < 0.5
INFLUENCE = pd.DataFrame(
    {"function": "distrust", "variant": ["f-alone"] * 12 + ["symmetric"] * 12, "k": 2, "p": [0] * 12 + [1] * 12}
).assign(seed=0, sample_id=[*range(12)] * 2, influence=R.normal(size=24))
REGIONS = pd.DataFrame(
    {"samples": [5, 4, 2], "classes": [2, 1, 1], "predicted": [0, 1, 0], "pattern": ["10", "01", "11"]}
)
PATH = pd.DataFrame({"regions": [3, 2, 1], "into": [0, 0, 0], "gone": [-1, 2, 1], "chosen": [False, True, False]})
NET = perceptron(4, 5, 3, seed=2)
X = torch.from_numpy(R.normal(size=(6, 4)).astype(np.float32))
OMEGA, B = R.normal(size=(3, 2, 4)), R.normal(size=(3, 2))
INPUTS, OUTPUTS, OF = R.normal(size=(12, 4)), R.normal(size=(12, 2)), np.arange(12) % 3
ACTS = torch.from_numpy(R.normal(size=(9, 5)).astype(np.float32))
KERNEL = torch.from_numpy(np.abs(R.normal(size=(5, 5))).astype(np.float32))
KERNEL = (KERNEL + KERNEL.T) * (1 - torch.eye(5))
BYTES = torch.from_numpy(R.integers(0, 256, (8, 8, 8)).astype(np.uint8))
CLASSES = torch.arange(8) % 3
FEATURES = R.random((6, 4))
SPLIT = {"x": BYTES, "y": CLASSES, "x_test": BYTES, "y_test": CLASSES}
OF_SPLIT = {"x": "bytes", "y": "classes", "x_test": "bytes", "y_test": "classes"}
ANY = "more fewer"
AUTOENCODER = Autoencoder(6, [4], 3).requires_grad_(False)
JUDGE = {"height": 8, "width": 8, "classes": 3, "channels": [2], "strides": [2], "kernel": 3, "hidden": 4}
MAP = {"height": 8, "width": 8, "classes": 3, "channels": [2], "kernel": 3, "nodes": 4}
CLASSIFIER = structured_classifiers.build("map-classifier", MAP)
for parameter in CLASSIFIER.parameters():
    torch.nn.init.constant_(parameter, 0.1)


def trained(train: Callable[..., Any], *first: Any, **settings: Any) -> Callable[..., Any]:
    return lambda **data: train(*first, **data, seeds=[0], **settings)[1]


CASES = [
    # images, lesions, causal effects
    Case(
        "images.ssim",
        {"reference": IMAGES, "image": IMAGES[::-1].copy()},
        {"reference": "numbers", "image": "numbers"},
        {"reference": ANY + " empty", "image": ANY + " empty"},
    ),
    Case("lesion.compare", {"accuracy": 0.5, "null": R.random(9)}, {"null": "numbers"}, {"null": "short"}),
    Case("lesion.compare", {"accuracy": np.float64(0.5), "null": R.random(9)}, {"accuracy": "numbers"}),
    Case(
        "lesion.random_sets",
        {"able": Z[:, 0] > 0},
        {"able": "marks"},
        {"able": "short"},
        call=lambda able: lesion.random_sets({"a": 2}, {"a": able}, 5, stream()),
    ),
    Case(
        "causal.interventions",
        {"samples": Z, "context": ORDER, "treated": 1, "alphas": np.array([0.0, 1.0])},
        {"samples": "numbers", "context": "numbers", "alphas": "numbers"},
        {"samples": "short empty", "context": "short empty", "alphas": "short"},
    ),
    # structure
    Case("structure.class_maps", {"z": Z, "classes": Y, "count": 3}, {"z": "numbers", "classes": "whole"}),
    Case("structure.segment", {"maps": MAPS}, {"maps": "numbers"}, {"maps": "more short"}),
    Case(
        "structure.rayleigh",
        {"maps": MAPS, "laplacian": lattices.laplacian(EDGES)},
        {"maps": "numbers", "laplacian": "matrix"},
        {"maps": ANY + " short empty"},
    ),
    Case(
        "structure.moran",
        {"maps": MAPS, "weights": EDGES},
        {"maps": "numbers", "weights": "graph"},
        {"maps": ANY + " short empty"},
    ),
    Case(
        "structure.purity",
        {"labels": Y[:6], "weights": EDGES},
        {"labels": "whole", "weights": "graph"},
        {"labels": "more"},
    ),
    Case(
        "structure.compactness",
        {"labels": Y[:6], "weights": EDGES},
        {"labels": "whole", "weights": "graph"},
        {"labels": "more"},
    ),
    Case("structure.ring_angles", {"z": Z}, {"z": "numbers"}, {"z": "more short"}),
    Case(
        "structure.circular_correlation",
        {"a": Z[:, 0], "b": Z[:, 1]},
        {"a": "numbers", "b": "numbers"},
        {"a": "more", "b": "more"},
    ),
    Case(
        "structure.permutation_test",
        {"values": MAPS},
        {"values": "numbers"},
        {"values": ANY + " short"},
        call=lambda values: structure.permutation_test(
            lambda x: x[..., 0].reshape(len(x), -1).sum(1), values, 9, stream(), larger=True
        ),
    ),
    Case(
        "structure.quotient_test",
        {"maps": MAPS, "matrix": EDGES},
        {"maps": "numbers", "matrix": "matrix"},
        {"maps": "fewer short"},
        call=lambda **arrays: structure.quotient_test(**arrays, orders=9, stream=stream(), larger=True),
    ),
    Case("structure.order_along", {"weights": EDGES}, {"weights": "graph"}),
    Case("structure.effective_rank", {"z": Z}, {"z": "numbers"}, {"z": "short"}),
    Case("structure.large_directions", {"z": Z}, {"z": "numbers"}, {"z": "short"}),
    Case("structure.preferred", {"z": Z, "times": Z[:, 0]}, {"z": "numbers", "times": "numbers"}),
    Case("structure.agreement", {"order": Z[:, 0], "reference": Z[:, 1]}, {"order": "numbers", "reference": "numbers"}),
    Case("structure.diffusion_pseudotime", {"weights": EDGES, "root": 0}, {"weights": "graph"}),
    Case("lattices.adjacency", {"weights": EDGES}, {"weights": "graph"}),
    Case("lattices.laplacian", {"weights": EDGES}, {"weights": "graph"}),
    Case("lattices.components", {"weights": EDGES}, {"weights": "graph"}),
    Case("lattices.check_connected", {"weights": EDGES}, {"weights": "graph"}),
    Case("wavelets.filters", {"weights": EDGES, "kernel": "heat"}, {"weights": "graph"}),
    Case(
        "wavelets.response",
        {"z": ACTS, "bank": KERNEL},
        {"z": "floats", "bank": "floats"},
        {"z": "more short empty", "bank": "more"},
    ),
    # activations
    *[
        Case(f"coactivation.{name}", {"z": ACTS, **more}, {"z": "floats"}, {"z": "more short"})
        for name, more in {
            "squared_distances": {},
            "adaptive_kernel": {},
            "nearest_neighbours": {"k": 2},
            "learned": {"kind": "knn", "k": 2},
            "silent": {},
        }.items()
    ],
    *[
        Case(f"coactivation.{name}", {"weights": KERNEL}, {"weights": "floats"}, {"weights": "more"})
        for name in ("laplacians", "components", "spectral_components")
    ],
    Case(
        "coactivation.components",
        {"weights": KERNEL, "among": np.arange(5) > 0},
        {"among": "marks"},
        {"among": "nothing"},
    ),
    # evaluations
    Case("evaluate.moments", {"images": IMAGES}, {"images": "numbers"}, {"images": "short"}),
    Case("evaluate.rank_correlation", {"x": Z[:, 0], "y": Z[:, 1]}, {"x": "numbers", "y": "numbers"}),
    Case(
        "evaluate.latents",
        {
            "effect": Z.reshape(2, 3, 12),
            "error": abs(Z).reshape(2, 3, 12),
            "published": Z.reshape(2, 3, 12) / 2,
            "baseline": 5 + Z[:4].reshape(2, 12),
            "alphas": np.array([-1.0, 0, 1]),
            "height": 3,
            "width": 4,
        },
        dict.fromkeys(["effect", "error", "published", "baseline", "alphas"], "numbers"),
    ),
    Case("evaluate.sharpness", {"images": IMAGES}, {"images": "numbers"}, {"images": "short"}),
    Case("evaluate.class_means", {"x": IMAGES, "y": Y, "classes": 3}, {"x": "numbers", "y": "whole"}),
    Case(
        "evaluate.classes",
        {"effect": MAPS, "error": MAPS / 9, "published": MAPS, "means": MAPS**2},
        dict.fromkeys(["effect", "error", "published", "means"], "numbers"),
    ),
    Case(
        "evaluate.centred_ranks_equal",
        {"activations": IMAGES},
        {"activations": "numbers"},
        {"activations": "short infinite"},
    ),
    Case("evaluate.adjusted_rand", {"a": Y, "b": TAKEN}, {"a": "labels", "b": "labels"}),
    Case("evaluate.agreement", {"counts": COUNTS}, {"counts": "whole"}, {"counts": "short"}),
    Case("claims.median_interval", {"values": Z[:, 0]}, {"values": "numbers"}, {"values": "short"}),
    Case(
        "claims.judge",
        {"condition": claims.parse("median > 0"), "values": Z[:, 0]},
        {"values": "numbers"},
        {"values": "short"},
    ),
    Case("claims.judge_number", {"reported": 0.5, "values": Z[:, 0]}, {"values": "numbers"}, {"values": "short"}),
    # spectral regularization
    Case(
        "gsr_metrics.patches",
        {"z": Z, "y": Y, "classes": 3, "graph": EDGES, "permutations": 9},
        {"z": "numbers", "y": "whole", "graph": "graph"},
        call=lambda **arrays: gsr_metrics.patches(**arrays, stream=stream()),
    ),
    Case(
        "gsr_metrics.misread",
        {"z": Z, "y": Y, "taken": TAKEN, "segments": Y[:6]},
        {"z": "numbers", "y": "whole", "taken": "whole", "segments": "whole"},
    ),
    Case(
        "gsr_metrics.components",
        {"graph": KERNEL, "z": ACTS, "above": 0.1, "below": 0.01},
        {"graph": "floats", "z": "floats"},
        {"z": "short"},
    ),
    Case(
        "gsr_metrics.supernodes",
        {"z": Z, "y": Y, "classes": 3, "size": 2, "graph": EDGES},
        {"z": "numbers", "y": "whole", "graph": "graph"},
        call=lambda **arrays: gsr_metrics.supernodes(**arrays, stream=stream()),
    ),
    Case(
        "gsr_metrics.ring",
        {"z": Z, "angles": Z[:, 0], "permutations": 9},
        {"z": "numbers", "angles": "numbers"},
        call=lambda **arrays: gsr_metrics.ring(**arrays, stream=stream()),
    ),
    Case("gsr_metrics.cell_graph", {"x": Z, "neighbours": 2}, {"x": "numbers"}, {"x": "short"}),
    Case(
        "gsr_metrics.along",
        {"z": ACTS.numpy(), "times": Z[:9, 0], "graph": KERNEL.numpy(), "above": 0.5},
        {"z": "numbers", "times": "numbers", "graph": "numbers"},
        {"times": "infinite"},
        call=lambda **arrays: gsr_metrics.along(**arrays, stream=stream()),
    ),
    Case(
        "gsr_metrics.mixture",
        {"z": Z, "y": Y, "of": 0, "between": [1, 2], "orders": 9},
        {"z": "numbers", "y": "whole"},
        call=lambda **arrays: gsr_metrics.mixture(**arrays, stream=stream()),
    ),
    Case(
        "gsr_metrics.alignment",
        {"slopes": MAPS, "permutations": 9},
        {"slopes": "numbers"},
        {"slopes": "short"},
        call=lambda **arrays: gsr_metrics.alignment(**arrays, stream=stream()),
    ),
    Case(
        "gsr_metrics.slopes",
        {"images": IMAGES, "steps": np.arange(4.0)},
        {"images": "numbers", "steps": "numbers"},
        {"images": ANY + " short empty"},
    ),
    # regions
    Case(
        "region_metrics.matching",
        {"x": Z, "names": list("abcdef"), "values": {"b": 1}},
        {"x": "numbers"},
        {"x": "short empty"},
    ),
    Case(
        "region_metrics.sets",
        {"x": Y[:, None] * [1, 1, 0], "names": list("abc"), "features": ["a", "c"]},
        {"x": "whole"},
        {"x": "short empty fractions"},
    ),
    Case(
        "region_metrics.describe",
        {"labels": OF, "bits": BITS, "units": [3, 2], "y": (Y > 0).astype(int), "predicted": (TAKEN > 0).astype(int)},
        {"labels": "whole", "bits": "marks", "y": "whole", "predicted": "whole"},
    ),
    Case(
        "region_metrics.importances",
        {"a": Z[:, 0], "b": Z[:, 1]},
        {"a": "numbers", "b": "numbers"},
        call=lambda a, b: region_metrics.importances({"a": a, "b": b}),
    ),
    Case(
        "region_metrics.features",
        {
            "regions": REGIONS,
            "omega": MAPS,
            "spread": MAPS[0],
            "correlations": np.eye(6),
            "names": list("abcdef"),
            "correlated_above": 0.5,
        },
        {"omega": "numbers", "spread": "numbers", "correlations": "numbers"},
        {"omega": "short empty", "correlations": "NaN"},
    ),
    Case("region_metrics.identical", {"counts": COUNTS}, {"counts": "whole"}, {"counts": "short"}),
    Case("region_metrics.labelling", {"counts": COUNTS}, {"counts": "whole"}, {"counts": "short"}),
    Case("region_metrics.found", {"counts": COUNTS, "path": PATH}, {"counts": "whole"}),
    Case(
        "region_metrics.terms",
        {
            "counts": np.eye(3, dtype=int),
            "omega": MAPS,
            "patterns": ["10|1", "01|1", "00|1"],
            "values": [{0: 1}, {1: 0}],
        },
        {"counts": "whole", "omega": "numbers"},
        {"counts": "short", "omega": "short empty"},
    ),
    Case("region_metrics.profile", {"regions": REGIONS, "counts": np.array([0, 4, 1])}, {"counts": "whole"}),
    *[
        Case(f"regions.{name}", {"network": NET, "x": X}, {"x": "floats"}, {"x": "short more"}, {"x": "float64"})
        for name in (
            "sites",
            "activation_patterns",
            "affine_maps",
            "affine_blocks",
            "border_distances",
            "network_outputs",
            "permutation_importance",
            "integrated_gradients",
        )
    ],
    Case(
        "regions.permutation_importance",
        {"network": NET, "x": X, "classes": Y[:6]},
        {"classes": "whole"},
        {"classes": "nothing"},
    ),
    Case(
        "regions.integrated_gradients",
        {"network": NET, "x": X, "baseline": X.flip(0)},
        {"baseline": "floats"},
        {"baseline": "fewer nothing"},
    ),
    Case(
        "regions.unpack_patterns",
        {"packed": np.packbits(BITS, 1), "bits": 5},
        {"packed": "uint8"},
        {"packed": "short empty"},
    ),
    Case("regions.unique_patterns", {"packed": np.packbits(BITS, 1)}, {"packed": "uint8"}, {"packed": "short"}),
    Case(
        "regions.identity_error",
        {
            "omega": torch.tensor(OMEGA),
            "b": torch.tensor(B),
            "x": torch.tensor(INPUTS[:3]),
            "y": torch.tensor(OUTPUTS[:3]),
        },
        dict.fromkeys(["omega", "b", "x", "y"], "floats"),
        {"x": "more"},
    ),
    *[
        Case(f"regions.{name}", {"y": torch.tensor(OUTPUTS)}, {"y": "floats"}, {"y": "short empty"})
        for name in ("predicted_outputs", "predicted_classes")
    ],
    Case(
        "regions.importance",
        {"omega": OMEGA, "x": INPUTS, "labels": OF},
        {"omega": "numbers", "x": "numbers", "labels": "whole"},
        {"omega": "fewer"},
    ),
    Case("regions.correlations", {"x": INPUTS}, {"x": "numbers"}, {"x": "more short"}),
    Case("regions.correlated_features", {"x": INPUTS, "threshold": 0.1}, {"x": "numbers"}, {"x": "more short"}),
    Case("regions.principal_frame", {"x": INPUTS}, {"x": "numbers"}, {"x": "more short"}),
    Case(
        "regions.fidelity",
        {"x": INPUTS, "y": OUTPUTS, "labels": OF, "omega": OMEGA, "b": B},
        {"x": "numbers", "y": "numbers", "labels": "whole", "omega": "numbers", "b": "numbers"},
    ),
    Case(
        "regions.merge_path",
        {"x": INPUTS, "y": OUTPUTS, "labels": OF, "omega": OMEGA, "b": B},
        {"x": "numbers", "y": "numbers", "labels": "whole", "omega": "numbers", "b": "numbers"},
    ),
    Case(
        "regions.group_regions",
        {"coordinates": Z, "counts": 1 + Y, "groups": 3},
        {"coordinates": "numbers", "counts": "whole"},
        {"coordinates": "more", "counts": "fractions"},
    ),
    Case(
        "regions.nearest_groups",
        {"coordinates": Z, "centres": MAPS},
        {"coordinates": "numbers", "centres": "numbers"},
        {"coordinates": "short empty", "centres": "short"},
    ),
    Case("regions.partition_agreement", {"labels": Y, "truth": TAKEN}, {"labels": "labels", "truth": "labels"}),
    Case("regions.attainable_agreement", {"labels": Y, "truth": TAKEN}, {"labels": "labels", "truth": "labels"}),
    # MARGIN
    Case("margin_metrics.expected_overlap", {"a": Z[:, 0], "b": Z[:, 1], "count": 3}, {"a": "numbers", "b": "numbers"}),
    Case("margin_metrics.inspected", {"scores": Z[:, 0], "count": 3}, {"scores": "numbers"}, {"scores": "short"}),
    Case(
        "margin_metrics.recall",
        {"scores": Z[:, 0], "wrong": Y == 1, "depth": Z[:, 1], "shares": [0.25, 0.5]},
        {"scores": "numbers", "wrong": "marks", "depth": "numbers"},
    ),
    Case("boundary_metrics.auroc", {"scores": Z[:, 0], "positive": Y == 1}, {"scores": "numbers", "positive": "marks"}),
    Case(
        "boundary_metrics.overlap",
        {"a": Z[:, 0], "b": Z[:5, 1]},
        {"a": "numbers", "b": "numbers"},
        {"a": "short", "b": "short"},
    ),
    Case(
        "boundary_metrics.boundaries",
        {"influence": INFLUENCE, "y": Y, "predicted": TAKEN, "scores": PROBABILITIES, "top": 0.5},
        {"y": "labels", "predicted": "labels"},
    ),
    Case(
        "boundary_metrics.separations", {"influence": INFLUENCE, "attacked": Y == 1, "bins": 3}, {"attacked": "marks"}
    ),
    Case(
        "boundary_metrics.attacks",
        {"attacked": Y, "success": Y > 0, "distortion": abs(Z[:, 0])},
        {"attacked": "whole", "success": "marks", "distortion": "numbers"},
        {"attacked": "short empty"},
    ),
    *[
        Case(
            f"attacks.{name}",
            {"network": NET, "x": X.sigmoid(), "labels": Y[:6], **more},
            {"x": "floats", "labels": "whole"},
            {},
            {"x": "float64 list"},
        )
        for name, more in {"fast_gradient_sign": {"epsilon": 0.1}, "carlini_wagner": {"iterations": 3}}.items()
    ],
    Case(
        "attacks.carlini_wagner",
        {"network": NET, "x": X.sigmoid(), "labels": Y[:6], "targets": (Y[:6] + 1) % 3, "iterations": 3},
        {"targets": "whole"},
        {"targets": "nothing"},
    ),
    # graphs of nodes
    Case("graph_networks.renormalised", {"w": sparse.csr_array(EDGES)}, {}),
    Case(
        "graph_networks.autoencode",
        {"w": sparse.csr_array(EDGES), "x": FEATURES, "seed": 0, "epochs": 2},
        {"x": "matrix"},
    ),
    Case("graph_networks.reconstruction_loss", {"w": sparse.csr_array(EDGES), "z": FEATURES}, {"z": "numbers"}),
    Case(
        "graph_networks.classify",
        {
            "w": sparse.csr_array(EDGES),
            "x": FEATURES,
            "y": Y[:6],
            "labelled": np.array([0, 1, 2]),
            "validation": np.array([3, 4]),
            "seed": 0,
            "epochs": 2,
        },
        {"x": "matrix", "y": "whole", "labelled": "whole", "validation": "whole"},
        {"labelled": "short", "validation": "short"},
        call=lambda labelled, **arrays: graph_networks.classify(labelled=[labelled], **arrays),
    ),
    # data
    Case("data.check_classes", {"x": IMAGES, "y": Y, "classes": 3, "where": "data"}, {"y": "whole"}),
    Case(
        "data.stratified_split",
        {"y": Y, "test_share": 0.5},
        {"y": "labels"},
        {"y": "short"},
        call=lambda **arrays: data.stratified_split(**arrays, generator=stream()),
    ),
    Case(
        "data.redraw_split",
        {"split": Y % 2, "y": Y},
        {"split": "labels", "y": "labels"},
        call=lambda **arrays: np.asarray(data.redraw_split(**arrays, generator=stream())),
    ),
    Case(
        "data.weighted_counts",
        {"counts": Y[:, None] + np.arange(4), "weighting": "tf-idf", "unit": True, "among": Y > 0},
        {"counts": "numbers", "among": "marks"},
        {"among": "nothing"},
    ),
    Case(
        "data.flip_labels",
        {"y": Y, "share": 0.5},
        {"y": "labels"},
        {"y": "short"},
        call=lambda **arrays: data.flip_labels(**arrays, generator=stream()),
    ),
    Case(
        "data.fill_ages",
        {"age": Z[:, 0] * 9 + 40, "sex": Y % 2, "pclass": Y},
        {"age": "numbers", "sex": "whole", "pclass": "whole"},
        {"age": "NaN", "sex": "fractions", "pclass": "fractions"},
    ),
    # the methods of the other papers on one network
    Case(
        "chain.neuron_clusters",
        {"z": Z},
        {"z": "numbers"},
        {"z": "short"},
        call=lambda z: chain.neuron_clusters(z, stream()),
    ),
    Case(
        "chain.grown_patches",
        {"maps": MAPS, "graph": EDGES, "size": 2},
        {"maps": "numbers", "graph": "graph"},
        {"maps": "short"},
    ),
    Case(
        "chain.patch_lesions",
        {"x": X, "y": Y[:6], "patches": np.eye(3, 5) > 0},
        {"x": "floats", "y": "whole", "patches": "marks"},
        {},
        {"x": "float64 list"},
        call=lambda x, y, patches: chain.patch_lesions(NET, "1", x, y, patches, 3, stream()),
    ),
    Case(
        "chain.region_counts",
        {"network": NET, "x": X},
        {"x": "floats"},
        {"x": "short more"},
        {"x": "float64 list"},
        call=lambda **arrays: chain.region_counts(**arrays, stream=stream()),
    ),
    Case(
        "chain.misread_influence",
        {"z": Z, "predicted": TAKEN, "y": Y},
        {"z": "numbers", "predicted": "whole", "y": "whole"},
    ),
    # training
    Case(
        "training.train",
        SPLIT,
        OF_SPLIT,
        {"x_test": "", "y_test": ""},
        call=trained(training.train, "judge", JUDGE, loss="cross-entropy", iterations=2, learning_rate=0.01, batch=4),
    ),
    Case(
        "training.train_perceptrons",
        SPLIT,
        OF_SPLIT,
        call=trained(
            training.train_perceptrons, {"inputs": 64, "classes": 3, "hidden": [4]}, epochs=1, learning_rate=0.01
        ),
    ),
    Case(
        "training.train_classifiers",
        SPLIT,
        OF_SPLIT,
        call=trained(
            training.train_classifiers,
            "strided",
            {"height": 8, "width": 8, "classes": 3, "channels": [2], "kernels": [3], "strides": [2], "hidden": 4},
            epochs=1,
            learning_rate=0.01,
        ),
    ),
    Case(
        "shaped_training.train_shaped",
        SPLIT,
        OF_SPLIT,
        call=trained(
            train_shaped,
            "judge",
            JUDGE,
            iterations=2,
            learning_rate=0.01,
            batch=4,
            regularization={"layer": "features.relu1", "kind": "l1", "weight": 0.1},
        ),
    ),
    Case(
        "structured_classifiers.train_classifiers",
        SPLIT,
        OF_SPLIT,
        call=trained(
            structured_classifiers.train_classifiers,
            "map-classifier",
            MAP,
            epochs=1,
            learning_rate=0.01,
            batch=4,
            layer="code",
            weights={"l1": 0.1},
        ),
    ),
    Case(
        "structured_classifiers.restored",
        {"weights": torch.ones(2, 3, 4)},
        {"weights": "floats"},
        {"weights": "short"},
        call=lambda weights: restored_classifier(weights),
    ),
    Case(
        "structured_classifiers.accuracy",
        {"network": CLASSIFIER, "x": BYTES, "y": CLASSES, "scale": 255.0},
        {"x": "bytes", "y": "classes"},
    ),
    Case("structured_classifiers.images", {"x": BYTES, "scale": 255.0}, {"x": "bytes"}, {"x": "short empty floats"}),
    Case(
        "structured_training.train_autoencoders",
        {"x": torch.from_numpy(Z.astype(np.float32))},
        {"x": "floats"},
        {"x": "short more"},
        {"x": "float32 float64 list numpy pandas readonly"},
        call=lambda x: structured_training.train_autoencoders(
            x, [0], hidden=[4], nodes=3, iterations=2, weights={}, batch=4
        ),
    ),
    Case(
        "structured_training.restored",
        {"weights": torch.ones(2, 4, 6)},
        {"weights": "floats"},
        {"weights": "short"},
        call=lambda weights: restored_autoencoder(weights),
    ),
    *[
        Case(
            f"structured_training.{name}",
            {"network": AUTOENCODER, "x": torch.from_numpy(Z.astype(np.float32))},
            {"x": "floats"},
            {"x": "short"},
            {"x": "float64 list"},
        )
        for name in ("embed", "reconstruction_error")
    ],
]


def restored_autoencoder(weights: Any) -> Any:
    others = {name: value.detach()[None] for name, value in AUTOENCODER.named_parameters()}
    others = {name: value.expand(2, *value.shape[1:]) for name, value in others.items()} | {
        "encoder.linear1.weight": weights
    }
    return [*structured_training.restored(others, 0, features=6, hidden=[4], nodes=3).parameters()]


def restored_classifier(weights: Any) -> Any:
    others = {name: value.detach().expand(2, *value.shape) for name, value in CLASSIFIER.named_parameters()}
    restored = structured_classifiers.restored(others | {"output.weight": weights}, 0, "map-classifier", MAP)
    return [*restored.parameters()]


def dense(value: Any) -> np.ndarray:
    return value.toarray() if sparse.issparse(value) else np.asarray(value)


def as_given(value: Any, found: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(found)) if isinstance(value, torch.Tensor) else found


def mistakes(value: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """What is brought by mistake for a good value, by its name."""
    plain = dense(value)
    floats = plain.astype(np.float32 if plain.dtype == np.float32 else np.float64)
    for name, number in (("NaN", np.nan), ("infinite", np.inf)):
        odd = np.array(floats)
        odd[(0,) * odd.ndim] = number
        yield name, as_given(value, odd)
    yield "nothing", None
    yield "complex", as_given(value, plain + 1j)
    if kind != "labels":
        yield "text", np.full(plain.shape, "a")
    yield "objects", np.full(plain.shape, None, object)
    yield "a missing one", np.ma.masked_array(plain, np.arange(plain.size).reshape(plain.shape) == 0)
    yield "ragged", [[1.0, 2.0], [3.0]]
    yield "more", value[None] if not sparse.issparse(value) else plain[None]
    if plain.ndim:
        yield "fewer", value[0] if not sparse.issparse(value) else plain[0]
        yield "empty", as_given(value, plain[:0])
        yield "short", as_given(value, plain[:-1])
    if plain.ndim == 2 and kind not in ("graph", "matrix"):
        yield "sparse", sparse.csr_array(floats)
    if kind in ("whole", "marks", "labels", "uint8", "classes"):
        yield "fractions", as_given(value, floats + 0.5)
    if kind == "floats":
        yield "whole numbers", torch.ones(plain.shape, dtype=torch.int64)
    if kind in ("bytes", "classes"):
        yield "floats", torch.from_numpy(floats)
        yield "an array", plain
        yield "a list", plain.tolist()
    if kind == "classes":
        yield "below 0", value - 1
        yield "too large", value + 1


def containers(value: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """The same numbers as other libraries hold them."""
    if kind in ("bytes", "classes", "uint8"):
        yield (
            "strided",
            value.repeat_interleave(2, 0)[::2] if isinstance(value, torch.Tensor) else np.repeat(value, 2, 0)[::2],
        )
        return
    plain = dense(value)
    if plain.dtype == bool:
        yield "ones", plain.astype(int)
    elif kind in ("whole", "labels"):
        yield from (("int32", plain.astype(np.int32)), ("uint8", plain.astype(np.uint8)))
        yield from (("float32", plain.astype(np.float32)), ("float64", plain.astype(float)))
    else:
        yield from (("float32", plain.astype(np.float32)), ("float64", plain.astype(float)))
    if plain.ndim:
        yield "list", plain.tolist()
        yield "numpy", plain.copy()
        yield "strided", as_given(value, np.repeat(plain, 2, 0))[::2]
        tensor = isinstance(value, torch.Tensor)
        yield "columns", value.T.contiguous().T if tensor else np.asfortranarray(plain)
        yield "tensor", torch.from_numpy(np.array(plain))
        locked = plain.copy()
        locked.flags.writeable = False
        yield "readonly", locked
    if plain.ndim in (1, 2):
        yield "pandas", (pd.Series if plain.ndim == 1 else pd.DataFrame)(plain)
    if kind in ("graph", "matrix"):
        yield from (("csr", sparse.csr_array(plain)), ("coo", sparse.coo_matrix(plain)))
    if kind == "floats":
        yield "with gradients", value.clone().requires_grad_()


def numbers_in(found: Any) -> list[Any]:
    """All arrays, numbers and text in a result, in order."""
    if isinstance(found, np.random.Generator) or found is None:
        return []
    if sparse.issparse(found):
        return [found.toarray()]
    if isinstance(found, torch.Tensor):
        return [found.detach().numpy()]
    if isinstance(found, pd.DataFrame):
        return [found[column].to_numpy() for column in found]
    if is_dataclass(found):
        return [part for each in fields(found) for part in numbers_in(getattr(found, each.name))]
    if isinstance(found, dict):
        return [part for value in found.values() for part in numbers_in(value)]
    if isinstance(found, list | tuple):
        return [part for value in found for part in numbers_in(value)]
    return [np.asarray(found)]


def assert_same(found: Any, wanted: Any, exact: bool = False) -> None:
    ours, theirs = numbers_in(found), numbers_in(wanted)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
            # Results of float32 are as near as float32 is.
            np.testing.assert_allclose(one, other, *((0, 0) if exact else (1e-3, 1e-4)))
        else:
            assert [str(each) for each in one.flat] == [str(each) for each in other.flat]


def each_array() -> list[Any]:
    return [
        pytest.param(case, name, kind, id=f"{case.name}-{name}") for case in CASES for name, kind in case.arrays.items()
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_good_arguments_have_an_answer_that_is_the_same_again_and_stay_as_they_are(case: Case) -> None:
    given = deepcopy(case.arguments)
    found = case(given)
    assert_same(case(deepcopy(case.arguments)), found, exact=True)
    assert_same(
        {name: given[name] for name in case.arrays}, {name: case.arguments[name] for name in case.arrays}, exact=True
    )


@pytest.mark.parametrize(("case", "name", "kind"), each_array())
def test_what_is_brought_by_mistake_is_refused(case: Case, name: str, kind: str) -> None:
    taken = case.also.get(name, "").split()
    wrong = []
    for mistake, value in mistakes(case.arguments[name], kind):
        arguments = deepcopy(case.arguments) | {name: value}
        try:
            case(arguments)
        except InputError:
            continue
        except Exception as error:
            wrong.append(f"{mistake}: {type(error).__name__}: {error}")
        else:
            if mistake not in taken:
                wrong.append(f"{mistake}: taken")
    assert not wrong


@pytest.mark.parametrize(("case", "name", "kind"), each_array())
def test_the_same_numbers_have_the_same_answer_whatever_holds_them(case: Case, name: str, kind: str) -> None:
    wanted, refused = case(deepcopy(case.arguments)), case.apart.get(name, "").split()
    wrong = []
    for container, value in containers(case.arguments[name], kind):
        arguments = deepcopy(case.arguments) | {name: value}
        before = deepcopy(value)
        try:
            found = case(arguments)
        except InputError as error:
            if container not in refused:
                wrong.append(f"{container}: {error}")
            continue
        except Exception as error:
            wrong.append(f"{container}: {type(error).__name__}: {error}")
            continue
        if container in refused:
            wrong.append(f"{container}: taken")
        try:
            assert_same(found, wanted)
            assert_same(value, before, exact=True)
        except AssertionError as error:
            wrong.append(f"{container}: {' '.join(str(error).split())[:200]}")
    assert not wrong


def test_labels_may_be_text() -> None:
    for case in CASES:
        for name in (name for name, kind in case.arrays.items() if kind == "labels"):
            arguments = deepcopy(case.arguments)
            plain = case(arguments)
            labels = np.array([f"class {label}" for label in case.arguments[name]])
            for text in (labels, labels.astype(object), labels.tolist(), pd.Series(labels)):
                if case.name in ("data.flip_labels", "data.redraw_split") and name != "split":
                    assert len(case(arguments | {name: text})) == len(labels)
                elif case.name != "boundary_metrics.boundaries" and name != "split":
                    assert_same(case(arguments | {name: text}), plain)


def test_every_public_function_of_arrays_is_held_to_it() -> None:
    public = set()
    for room in ROOMS:
        module = importlib.import_module(f"interneuron.{room}")
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        public |= {
            f"{room}.{name}"
            for name in names
            if inspect.isfunction(getattr(module, name))
            and getattr(module, name).__module__.startswith(module.__name__)
        }
    cases = {case.name for case in CASES}
    assert not cases & set(EXEMPT)
    assert public == cases | set(EXEMPT)
