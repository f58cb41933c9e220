"""Graphs on the neurons of a layer learned from their activations, for all seeds of a block at once.

Two neurons are near when they respond alike: a neuron is the vector of its activations over the samples of a buffer,
and distances are Euclidean. Source: Tong et al., "Graph Spectral Regularization for Neural Network Interpretability"
(arXiv:1810.00424): the adaptive kernel is the text's, nearest neighbours are the released code's (`main.py`).
"""

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from interneuron import tensor_checks
from interneuron.errors import InputError
from interneuron.lattices import LAPLACIANS

KINDS = ("adaptive", "knn")

# Squared distances below this share of the squared norms are rounding: 32 of float32's epsilon where float32 is used.
_ROUNDING = 32


def squared_distances(z: Tensor) -> Tensor:
    """Squared Euclidean distances between the neurons of z [..., samples, neurons]: [..., neurons, neurons].

    They come from one matrix product, after each sample's mean over the neurons is taken away, which leaves distances
    as they are. What lies within its rounding (32 machine epsilons of the summed squared norms) is 0, so that neurons
    with equal activations have distance 0. Raises InputError for fewer than one sample and two neurons, numbers that
    are no floats, and activations that are infinite or NaN.
    """
    z = tensor_checks.numbers("activations", z)
    if z.ndim < 2 or z.shape[-2] < 1 or z.shape[-1] < 2:
        raise InputError(
            f"activations are {z.dtype} {list(z.shape)}, and distances take floats [..., samples, neurons], one sample "
            "and two neurons or more"
        )
    z = z.detach()
    centred = z - z.mean(-1, keepdim=True)
    gram = centred.mT @ centred
    norms = gram.diagonal(dim1=-2, dim2=-1)
    if not torch.isfinite(norms).all():
        raise InputError("activations are so large that their squares are infinite, and distances take smaller ones")
    sums = norms.unsqueeze(-1) + norms.unsqueeze(-2)
    found = sums - (gram + gram.mT)
    found[found <= _ROUNDING * torch.finfo(z.dtype).eps * sums] = 0
    found.diagonal(dim1=-2, dim2=-1).zero_()
    return found


def adaptive_kernel(z: Tensor, k: int = 1) -> Tensor:
    """Adjacency of the adaptive Gaussian kernel on the neurons of z [..., samples, neurons]: [..., neurons, neurons].

        W_ij = exp(-|z_i - z_j|^2 / s_i^2) / 2 + exp(-|z_i - z_j|^2 / s_j^2) / 2,    W_ii = 0,

    with the bandwidth s_i the distance from neuron i to its k-th nearest other neuron. Where s_i is 0 (k or more
    neurons with the same activations, dead ones for example) its half is 1 at distance 0 and 0 elsewhere, the limit.
    The graph is dense; `components` cuts it. (The released code's option asks for 3 neighbours and counts the neuron
    itself: k = 2 here.) Source: Tong et al., section on learned graphs. Raises as `nearest_neighbours` does.
    """
    z = tensor_checks.numbers("activations", z)
    squares = _checked(z, k)
    bandwidths = _others(squares).kthvalue(k, dim=-1, keepdim=True).values
    half = torch.exp(-squares / bandwidths.clamp(min=torch.finfo(z.dtype).tiny)) / 2
    found = half + half.mT
    found.diagonal(dim1=-2, dim2=-1).zero_()
    return found


def nearest_neighbours(z: Tensor, k: int = 5) -> Tensor:
    """Adjacency (A + A') / 2 of the k nearest other neurons of each: A_ij = 1 where j is among those of i, else 0.

    z: [..., samples, neurons]; returns [..., neurons, neurons], of 0, 1/2 and 1. Equal distances go to the lower
    number. Raises InputError for a k outside of 1 to neurons - 1, and as `squared_distances` does.
    """
    z = tensor_checks.numbers("activations", z)
    order = _others(_checked(z, k)).sort(dim=-1, stable=True).indices
    directed = torch.zeros(order.shape, dtype=z.dtype, device=z.device).scatter_(-1, order[..., :k], 1.0)
    return (directed + directed.mT) / 2


def learned(z: Tensor, kind: str, k: int) -> Tensor:
    """Adjacency of the neurons of z by the kind's name: `adaptive` (`adaptive_kernel`) or `knn` (`nearest_neighbours`).

    Raises InputError for another kind, and as these do.
    """
    if kind not in KINDS:
        raise InputError(f"no learned graph {kind!r}; there are {', '.join(KINDS)}")
    return adaptive_kernel(z, k) if kind == "adaptive" else nearest_neighbours(z, k)


def laplacians(weights: Tensor, kind: str = "symmetric") -> Tensor:
    """Dense Laplacians of adjacencies [..., nodes, nodes]; kinds and isolated nodes as in `lattices.laplacian`.

    Raises InputError for another kind, another shape, and weights that are negative, infinite or NaN."""
    weights = _graphs(weights)
    if kind not in LAPLACIANS:
        raise InputError(f"no Laplacian {kind!r}; there are {', '.join(LAPLACIANS)}")
    degrees = weights.sum(-1)
    plain = torch.diag_embed(degrees) - weights
    if kind == "unnormalised":
        return plain
    inverse = torch.where(degrees > 0, 1 / degrees, 0)
    if kind == "random-walk":
        return inverse.unsqueeze(-1) * plain
    return inverse.sqrt().unsqueeze(-1) * plain * inverse.sqrt().unsqueeze(-2)


def silent(z: Tensor) -> Tensor:
    """Which neurons of z [..., samples, neurons] have one value throughout (dead ones): bool [..., neurons].

    Raises InputError for fewer than one sample, and NaN."""
    z = tensor_checks.numbers("activations", z)
    if z.ndim < 2 or not z.shape[-2]:
        raise InputError(f"activations have the shape {list(z.shape)}, and take [..., samples, neurons]")
    return z.amax(-2) == z.amin(-2)


def components(weights: Tensor, above: float = 0.0, among: Tensor | None = None) -> npt.NDArray[np.int64]:
    """Number of connected components of the graphs [..., nodes, nodes], over the edges heavier than `above`: [...].

    A kernel joins all neurons, however weakly, so `above` has to cut it (the released code cuts its kernel at 0.1).
    among: bool [..., nodes], the nodes that count (not silent ones, for example); the others are left out. Raises
    InputError as `laplacians` does, and for marks of other nodes.
    """
    weights = _graphs(weights)
    if among is not None:
        among = tensor_checks.marks("the nodes that count", among, *weights.shape[:-1])
    graphs = (weights > above).reshape(-1, *weights.shape[-2:]).cpu().numpy()
    kept = np.ones(graphs.shape[:2], bool) if among is None else among.reshape(graphs.shape[:2]).cpu().numpy()
    counts = [
        connected_components(graph[np.ix_(nodes, nodes)], directed=False)[0] if nodes.any() else 0
        for graph, nodes in zip(graphs, kept, strict=True)
    ]
    return np.array(counts, np.int64).reshape(weights.shape[:-2])


def spectral_components(weights: Tensor, below: float = 1e-3) -> npt.NDArray[np.int64]:
    """Number of eigenvalues below `below` of the symmetric Laplacian of the graphs [..., nodes, nodes]: [...].

    The released code takes a graph with more than one for disconnected. It is at least the number of components, and
    larger where parts hang together by a thread. Raises InputError as `laplacians` does.
    """
    weights = _graphs(weights)
    eigenvalues = torch.linalg.eigvalsh(laplacians(weights.double(), "symmetric"))
    found: npt.NDArray[np.int64] = (eigenvalues < below).sum(-1).cpu().numpy()
    return found


def _graphs(weights: Tensor) -> Tensor:
    found = tensor_checks.numbers("weights of a graph", weights)
    if found.ndim < 2 or found.shape[-2] != found.shape[-1] or not found.shape[-1]:
        raise InputError(f"weights of a graph have the shape {list(found.shape)}, and take [..., nodes, nodes]")
    if (found < 0).any():
        raise InputError("a graph has a weight that is negative, and takes numbers of 0 or more")
    return found


def _checked(z: Tensor, k: int) -> Tensor:
    squares = squared_distances(z)
    if not 1 <= k < z.shape[-1]:
        raise InputError(f"k is {k}, and takes 1 to {z.shape[-1] - 1}, the other neurons")
    return squares


def _others(squares: Tensor) -> Tensor:
    """Squared distances to the other neurons: that to itself is infinite."""
    found = squares.clone()
    found.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
    return found
