"""Graph spectral regularization: the penalty z' L z on the activations of a layer, at the cost of one sparse product.

Source: Tong et al., "Graph Spectral Regularization for Neural Network Interpretability" (arXiv:1810.00424): the loss is
that of the task plus alpha times the mean over the batch of z' L z, for activations z of one layer and the Laplacian L
of a graph on its neurons (`interneuron.lattices`, `interneuron.coactivation`).
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from interneuron import lattices
from interneuron.capture import Action, hooked
from interneuron.errors import InputError

FORMS = ("quadratic", "rayleigh")

# A sparse Laplacian with at most this many diagonals besides the main one, as those of grids, tori and rings, is kept
# by its diagonals: each takes one pass over the activations, and the other form two transpositions.
_DIAGONALS = 8

# Added to z' z by the released code, so that a silent layer has a Rayleigh quotient.
_SILENT = 1e-12


@dataclass(frozen=True)
class Operator:
    """The symmetric part of one Laplacian, or of one a seed, in the form that products take.

    `matrix`: sparse CSR or dense [nodes, nodes]; for several seeds, block-diagonal CSR [seeds nodes, seeds nodes] or
    dense [seeds, nodes, nodes]. `seeds` is None where all seeds share the matrix. `diagonals`: of a sparse matrix with
    few of them, each one's offset (column less row) and entries; the main one, offset 0, comes first. Otherwise empty.
    """

    matrix: Tensor
    nodes: int
    seeds: int | None
    diagonals: Sequence[tuple[int, Tensor]] = ()

    def product(self, z: Tensor) -> Tensor:
        """L z of the rows of z [seeds, rows, nodes], each seed under its own L; a contiguous tensor of that shape."""
        if not self.matrix.is_sparse_csr:
            return z @ self.matrix
        if self.diagonals:
            found = z * self.diagonals[0][1]
            for offset, entries in self.diagonals[1:]:
                row, column = max(-offset, 0), max(offset, 0)
                found[..., row : self.nodes - column].addcmul_(z[..., column : self.nodes - row], entries)
            return found
        columns = z.reshape(-1, self.nodes).t() if self.seeds is None else z.transpose(1, 2).flatten(0, 1)
        # The product by a sparse matrix with torch's kernel for bags of embeddings: half the time of its CSR product.
        found = functional.embedding_bag(
            self.matrix.col_indices(),
            columns.contiguous(),
            self.matrix.crow_indices(),
            mode="sum",
            per_sample_weights=self.matrix.values(),
            include_last_offset=True,
        )
        if self.seeds is None:
            return found.t().contiguous().view(z.shape)
        return found.view(self.seeds, self.nodes, -1).transpose(1, 2).contiguous()


def operator(laplacian: Any, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Operator:
    """The operator of a Laplacian (sparse or dense [nodes, nodes]), or of one a seed (dense [seeds, nodes, nodes], or a
    sequence of sparse arrays). Sparse ones stay sparse, dense ones dense.

    z' L z = z' (L + L') / 2 z for any L, so only the symmetric part is kept. Of the random-walk Laplacian that part has
    negative eigenvalues unless all nodes of a component have one degree: its penalty can be negative, and falls without
    end as activations grow along them. That of the others is never negative, and Rayleigh quotients are bounded.

    Raises InputError for other shapes and for numbers that are infinite or NaN.
    """
    if sparse.issparse(laplacian):
        matrix, nodes, seeds = _compressed(laplacian, dtype), laplacian.shape[0], None
    elif isinstance(laplacian, Sequence) and laplacian and all(sparse.issparse(one) for one in laplacian):
        nodes, seeds = laplacian[0].shape[0], len(laplacian)
        for one in laplacian:
            if one.shape != (nodes, nodes):
                raise InputError(f"Laplacians have shapes {(nodes, nodes)} and {one.shape}, and take one size")
        matrix = _compressed(sparse.block_diag(laplacian), dtype)
    else:
        dense = torch.as_tensor(laplacian, dtype=dtype)
        if dense.ndim not in (2, 3) or dense.shape[-1] != dense.shape[-2] or not dense.numel():
            raise InputError(
                f"a Laplacian has the shape {list(dense.shape)}, and takes [nodes, nodes] or [seeds, nodes, nodes]"
            )
        matrix, nodes, seeds = (dense + dense.mT) / 2, dense.shape[-1], len(dense) if dense.ndim == 3 else None
    if not torch.isfinite(matrix.values() if matrix.is_sparse_csr else matrix).all():
        raise InputError("a Laplacian has an entry that is infinite or NaN, and takes numbers")
    diagonals = _diagonals(matrix) if matrix.is_sparse_csr and seeds is None else []
    return Operator(matrix.to(device), nodes, seeds, [(offset, entries.to(device)) for offset, entries in diagonals])


def penalty(z: Tensor, laplacian: Operator, form: str = "quadratic") -> Tensor:
    """Mean over the batch of z' L z (`quadratic`) or of z' L z / (z' z + 1e-12) (`rayleigh`, which has no scale).

    z: activations [batch, nodes], or [batch, channels, height, width] of a convolution, whose channels are the nodes:
    each position counts as a sample of its own, so that the weight means the same on images of any size. Gives a
    scalar. With seeds in front, [seeds, batch, nodes] or [seeds, batch, channels, height, width], it gives one penalty
    a seed, [seeds]; an operator with one Laplacian a seed takes only these. What is the same on all nodes has no share
    in z' L z but has in z' z, so a network can lower the Rayleigh form, as released, by a common offset alone.

    The gradient, 2 L z / batch for the symmetric part of L (`rayleigh`: 2 (L z - r z) / (z' z + 1e-12) / batch with the
    quotient r), is kept from the forward pass, so that forward and backward together take one product. There is no
    second derivative. Source: Tong et al., equation 3.1 with the square that it lacks; code, `ising.py`.

    Raises InputError for another form, shape, number type or device, and an empty batch.
    """
    if form not in FORMS:
        raise InputError(f"no form {form!r} of the penalty; there are {', '.join(FORMS)}")
    stacked = z.ndim in (3, 5)
    axis = 2 if stacked else 1
    if z.ndim not in (2, 3, 4, 5) or z.shape[axis] != laplacian.nodes or not z.numel():
        raise InputError(
            f"activations have the shape {list(z.shape)}, and a graph of {laplacian.nodes} nodes takes [batch, "
            f"{laplacian.nodes}], [batch, {laplacian.nodes}, height, width], or either with seeds in front"
        )
    if laplacian.seeds is not None and (not stacked or len(z) != laplacian.seeds):
        raise InputError(
            f"activations have the shape {list(z.shape)}, and {laplacian.seeds} Laplacians, one a seed, take "
            f"[{laplacian.seeds}, batch, {laplacian.nodes}]"
        )
    if z.dtype != laplacian.matrix.dtype or z.device != laplacian.matrix.device:
        raise InputError(
            f"activations are {z.dtype} on {z.device}, and the Laplacian is {laplacian.matrix.dtype} on "
            f"{laplacian.matrix.device}: they take the same"
        )
    return _Penalty.apply(z, laplacian, form)


@contextmanager
def regularised(
    module: nn.Module,
    x: Tensor,
    graphs: Mapping[str, Any],
    laplacian: str = "unnormalised",
    form: str = "quadratic",
    connected: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Within the context, each forward pass of `module` leaves the penalty of every named layer in the dict it yields:

        with regularised(network, x, {"relu2": lattices.grid(8, 8)}) as penalties:
            loss = cross_entropy(network(x), y) + alpha * penalties["relu2"]

    x: an input of the module, one sample of which is run to learn the layers. graphs: by layer (as in
    `interneuron.capture`: a layer that runs more than once is named by its run, `relu#1`), the adjacency of a graph
    with as many nodes as the layer has units, in row-major order, or, of a convolution, channels. laplacian: its kind
    (`interneuron.lattices.laplacian`). form: see `penalty`. connected: whether each graph has to be in one piece. The
    network is left as it was, in training mode too.

    Raises InputError for a layer that the network lacks, or that runs more than once and is named without its run; a
    graph of another size; a graph in pieces where `connected`; and as `lattices.laplacian` and `penalty` do.
    """
    laplacians, operators = {}, dict[str, Operator]()
    for name, graph in graphs.items():
        try:
            if connected:
                lattices.check_connected(graph)
            laplacians[name] = lattices.laplacian(graph, laplacian)
        except InputError as error:
            raise InputError(f"layer {name!r}: {error}") from error
    penalties: dict[str, Tensor] = {}

    def keep(name: str) -> Action:
        def action(y: Tensor) -> None:
            nodes, units = laplacians[name].shape[0], y[0].numel()
            if nodes == units:
                y = y.flatten(1)
            elif y.ndim != 4 or y.shape[1] != nodes:
                channels = f" in {y.shape[1]} channels" if y.ndim == 4 else ""
                raise InputError(
                    f"layer {name!r} has {units} units{channels}, and its graph {nodes} nodes: it takes one a unit"
                    f"{' or one a channel' if channels else ''}"
                )
            if name not in operators:
                operators[name] = operator(laplacians[name], y.dtype, y.device)
            penalties[name] = penalty(y, operators[name], form)

        return action

    with ExitStack() as stack:
        with _evaluating(module):
            stack.enter_context(hooked(module, x, {name: keep(name) for name in graphs}))
            with torch.no_grad():
                module(x[:1])
        penalties.clear()
        yield penalties


class _Penalty(torch.autograd.Function):
    """The penalty; its forward pass keeps its gradient."""

    @staticmethod
    def forward(context: Any, z: Tensor, laplacian: Operator, form: str) -> Tensor:
        context.stacked = z.ndim in (3, 5)
        samples = z if context.stacked else z.unsqueeze(0)
        channels_last = samples.movedim(2, -1)
        rows = channels_last.reshape(len(samples), -1, laplacian.nodes)
        gradient = laplacian.product(rows)
        if form == "quadratic":
            # `dot` is one pass; `vecdot` is two, and writes the products.
            pairs = zip(gradient.flatten(1), rows.flatten(1), strict=True)
            values = torch.stack([torch.dot(one, other) for one, other in pairs]) / rows.shape[1]
        else:
            norms = torch.linalg.vecdot(rows, rows) + _SILENT
            quotients = torch.linalg.vecdot(gradient, rows) / norms
            values = quotients.mean(-1)
            gradient.addcmul_(quotients.unsqueeze(-1), rows, value=-1).div_(norms.unsqueeze(-1))
        context.scale = 2 / rows.shape[1]
        context.save_for_backward(gradient.view(channels_last.shape).movedim(-1, 2).view(z.shape))
        return values if context.stacked else values[0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, weights: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = context.saved_tensors
        factors = context.scale * weights
        return gradient * (factors.view(-1, *[1] * (gradient.ndim - 1)) if context.stacked else factors), None, None


def _compressed(matrix: Any, dtype: torch.dtype) -> Tensor:
    """The symmetric part as torch's CSR, with 32-bit indices, for which its products are fastest."""
    if matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise InputError(f"a Laplacian has the shape {list(matrix.shape)}, and takes [nodes, nodes]")
    found = sparse.csr_array((matrix + matrix.T) / 2, dtype=np.float64)
    found.sum_duplicates()
    with warnings.catch_warnings():
        # torch calls its CSR tensors a beta, once a process.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(found.indptr.astype(np.int32)),
            torch.from_numpy(found.indices.astype(np.int32)),
            torch.from_numpy(found.data).to(dtype),
            found.shape,
            check_invariants=True,
        )


def _diagonals(matrix: Tensor) -> list[tuple[int, Tensor]]:
    """The diagonals of a CSR matrix [nodes, nodes] as in `Operator`, or none where there are too many."""
    nodes = matrix.shape[0]
    columns = matrix.col_indices().long()
    rows = torch.repeat_interleave(torch.arange(nodes), matrix.crow_indices().diff())
    offsets = (columns - rows).unique()
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), offsets[offsets != 0]])
    if len(offsets) > _DIAGONALS + 1:
        return []
    found = []
    for offset in offsets.tolist():
        on = columns - rows == offset
        entries = torch.zeros(nodes - abs(offset), dtype=matrix.dtype)
        entries[torch.minimum(rows, columns)[on]] = matrix.values()[on]
        found.append((offset, entries))
    return found


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Within the context, all modules are in evaluation mode; afterwards each in its own."""
    modes = [(one, one.training) for one in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for one, mode in modes:
            one.training = mode
