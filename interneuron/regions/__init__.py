"""Regions of piecewise-affine networks: activation patterns, the exact affine map of each, and what follows from them.

Inputs with one activation pattern make a region, on which the network is one affine map f(u) = Omega u + b (Picchiotti
& Gori, "Clustering-Based Interpretation of Deep ReLU Network", 2021). Networks are any `torch.nn.Module` in eval mode
that is made of affine operations and Linear, Conv, ReLU, LeakyReLU, PReLU, Hardtanh, ReLU6, MaxPool, AvgPool,
BatchNorm, Dropout, sums, concatenation and reshaping, in modules or functions, and that treats its samples one by one.

Functions that take a network and inputs x [n, ...] raise InputError for an operation that is not piecewise affine
(named, with the module in which it runs), a module in training mode, inputs that are not finite, of another dtype or of
a shape that does not pass the network, and for no samples. `logits=True` leaves off a Sigmoid, Softmax or LogSoftmax
that comes last, and speaks of its argument; without it such an end is refused like any other.
"""

from interneuron.regions.affine import (
    AffineMaps,
    Block,
    affine_blocks,
    affine_maps,
    identity_error,
    network_outputs,
    predicted_classes,
    predicted_outputs,
)
from interneuron.regions.geometry import Borders, border_distances
from interneuron.regions.importance import (
    Correlated,
    Importance,
    correlated_features,
    correlations,
    importance,
    integrated_gradients,
    permutation_importance,
)
from interneuron.regions.parsimony import (
    Fidelity,
    Frame,
    Groups,
    MergePath,
    attainable_agreement,
    fidelity,
    group_regions,
    merge_path,
    nearest_groups,
    partition_agreement,
    principal_frame,
)
from interneuron.regions.patterns import Regions, activation_patterns, sites, unique_patterns, unpack_patterns
from interneuron.regions.piecewise import Site

__all__ = [
    "AffineMaps",
    "Block",
    "Borders",
    "Correlated",
    "Fidelity",
    "Frame",
    "Groups",
    "Importance",
    "MergePath",
    "Regions",
    "Site",
    "activation_patterns",
    "affine_blocks",
    "affine_maps",
    "attainable_agreement",
    "border_distances",
    "correlated_features",
    "correlations",
    "fidelity",
    "group_regions",
    "identity_error",
    "importance",
    "integrated_gradients",
    "merge_path",
    "nearest_groups",
    "network_outputs",
    "partition_agreement",
    "permutation_importance",
    "predicted_classes",
    "predicted_outputs",
    "principal_frame",
    "sites",
    "unique_patterns",
    "unpack_patterns",
]
