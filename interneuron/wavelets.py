"""Filters on a graph of neurons: low-pass and wavelet-like, localised ones, as a penalty or as the layer's own atoms.

Source: the first version of Tong et al. (arXiv:1810.00424v1, "Graph Spectral Regularization for Neural Network
Interpretability") and its released code (`autoencoder.py`, `ising.py`); the wavelets themselves are PyGSP's (Hammond,
Vandergheynst and Gribonval, "Wavelets on graphs via spectral graph theory", 2011).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from interneuron import checks, lattices, tensor_checks
from interneuron.errors import InputError

KERNELS = ("heat", "mexican-hat", "meyer", "abspline")


def filters(weights: Any, kernel: str, scales: int = 4) -> npt.NDArray[np.float64]:
    """Filters K_s = U g_s(Lambda) U' of the graph's symmetric Laplacian U Lambda U': float64 [scales, nodes, nodes].

    Row i of K_s is the filter localised at node i. Kernels: `heat`, g_s(lambda) = exp(-2^s lambda) for s = 0, 1, ...
    (low-pass; with one scale it is the released code's, whose U lacks its transposition); and PyGSP's `mexican-hat`,
    `meyer` and `abspline`, whose first filter is low-pass and the others are wavelets from coarse to fine.

    weights: the adjacency, of a graph with an edge at least. Raises InputError for another kernel, too few scales (2,
    of the heat kernel 1), and as `lattices.adjacency` does.
    """
    if kernel not in KERNELS:
        raise InputError(f"no kernel {kernel!r} of graph filters; there are {', '.join(KERNELS)}")
    least = 1 if kernel == "heat" else 2
    if scales < least:
        raise InputError(f"scales is {scales}, and the kernel {kernel} takes {least} or more")
    w = lattices.adjacency(weights)
    if not w.nnz:
        raise InputError("the graph has no edges, and graph filters take one or more")
    from pygsp import filters as banks
    from pygsp import graphs

    graph = graphs.Graph(w, lap_type="normalized")
    graph.compute_fourier_basis()
    if kernel == "heat":
        bank = banks.Heat(graph, scale=graph.lmax * 2.0 ** np.arange(scales))
    else:
        bank = {"mexican-hat": banks.MexicanHat, "meyer": banks.Meyer, "abspline": banks.Abspline}[kernel](
            graph, scales
        )
    frame: npt.NDArray[np.float64] = bank.compute_frame(method="exact").reshape(scales, *w.shape)
    return frame


def response(z: Tensor, bank: Tensor) -> Tensor:
    """Mean over the batch of sum_s sum_i |(K_s z)_i|, the L1 norm of the filters' responses (the code's "heat loss").

    z: activations [..., batch, nodes]; bank: [scales, nodes, nodes] or one filter [nodes, nodes]. Gives [...]. (The
    code sums over the batch.) Raises InputError where these do not fit, and for NaN.
    """
    z = tensor_checks.numbers("activations", z)
    return responses(z, tensor_checks.numbers("filters", bank).to(z))


def responses(z: Tensor, bank: Tensor) -> Tensor:
    """`response` while a network is trained, whose activations may no longer be finite: the loss says so."""
    if z.ndim < 2 or bank.ndim not in (2, 3) or bank.shape[-2:] != (z.shape[-1], z.shape[-1]):
        raise InputError(
            f"activations {list(z.shape)} and filters {list(bank.shape)} do not fit: they take [..., batch, nodes] and "
            "[scales, nodes, nodes]"
        )
    return (z @ bank.reshape(-1, z.shape[-1]).T).abs().sum(-1).mean(-1)


class SoftmaxEmbedding(nn.Module):
    """A layer without parameters whose activations are mixtures of localised atoms on its graph.

        z = A softmax(A+ s)

    for pre-activations s [..., nodes], atoms A [nodes, atoms] (columns; rows of a filter, for example) and its
    pseudo-inverse A+: z is a convex combination of atoms. They are buffers, and no part of the state that is saved.
    Source: code, `autoencoder.py` ("softmax embedding"). Raises InputError for atoms of another shape, and infinite or
    NaN ones.
    """

    atoms: Tensor
    inverse: Tensor

    def __init__(self, atoms: npt.ArrayLike) -> None:
        super().__init__()
        forward = torch.from_numpy(np.array(checks.numbers("atoms", atoms), np.float64))
        if forward.ndim != 2 or not forward.numel():
            raise InputError(f"atoms have the shape {list(forward.shape)}, and take finite numbers [nodes, atoms]")
        self.register_buffer("atoms", forward.float(), persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(forward).float(), persistent=False)

    def forward(self, s: Tensor) -> Tensor:
        return torch.softmax(s @ self.inverse.T, -1) @ self.atoms.T
