"""Graph spectral regularization: the penalty z' L z on the activations of a layer, at the cost of one sparse product.

Source: Tong et al., "Graph Spectral Regularization for Neural Network Interpretability" (arXiv:1810.00424): the loss is
that of the task plus alpha times the mean over the batch of z' L z, for activations z of one layer and the Laplacian L
of a graph on its neurons (`interneuron.lattices`, `interneuron.coactivation`).
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from interneuron import lattices
from interneuron.capture import Action, hooked
from interneuron.errors import InputError
from interneuron.inspection import inputs, module_of

FORMS = ("quadratic", "rayleigh")

_HALF = (torch.float16, torch.bfloat16)

# Added to z' z by the released code, so that a silent layer has a Rayleigh quotient.
_SILENT = 1e-12


@dataclass(frozen=True)
class Operator:
    """The symmetric part of one Laplacian, or of one a seed, in the form that products take.

    `matrix`: sparse CSR or dense [nodes, nodes]; for several seeds, block-diagonal CSR [seeds nodes, seeds nodes] or
    dense [seeds, nodes, nodes]. `seeds` is None where all seeds share the matrix. `arrays`: those of a CSR matrix of
    floats or doubles on the CPU, for compiled code; otherwise None.
    """

    matrix: Tensor
    nodes: int
    seeds: int | None
    arrays: tuple[Any, Any, Any] | None = None

    def product(self, z: Tensor) -> Tensor:
        """L z, each seed under its own L: by a dense L, of z [rows, nodes] or [seeds, rows, nodes]; by a sparse one, of
        contiguous columns, [nodes, rows] or [seeds, nodes, rows]."""
        if not self.matrix.is_sparse_csr:
            return z @ self.matrix
        if z.ndim == 2:
            return self._sums(z)
        if self.seeds is None:
            return torch.stack([self._sums(one) for one in z])
        return self._sums(z.flatten(0, 1)).view(z.shape)

    def _sums(self, z: Tensor) -> Tensor:
        """The product by the sparse matrix with torch's kernel for bags of embeddings, which takes all number types."""
        indices, starts, weights = self.matrix.col_indices(), self.matrix.crow_indices(), self.matrix.values()
        return torch.embedding_bag(z, indices, starts, False, 0, False, weights, True)[0]


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
    matrix = matrix.to(device)
    return Operator(matrix, nodes, seeds, _arrays(matrix))


def penalty(z: Tensor, laplacian: Operator, form: str = "quadratic", weight: float = 1.0) -> Tensor:
    """`weight` times the mean over the batch of z' L z (`quadratic`) or of z' L z / (z' z + 1e-12) (`rayleigh`, which
    has no scale).

    z: activations [batch, nodes], or [batch, channels, height, width] of a convolution, whose channels are the nodes:
    each position counts as a sample of its own, so that the weight means the same on images of any size. Gives a
    scalar. With seeds in front, [seeds, batch, nodes] or [seeds, batch, channels, height, width], it gives one penalty
    a seed, [seeds]; an operator with one Laplacian a seed takes only these. What is the same on all nodes has no share
    in z' L z but has in z' z, so a network can lower the Rayleigh form, as released, by a common offset alone.

    The gradient, 2 weight L z / batch for the symmetric part of L (`rayleigh`: 2 weight (L z - r z) / (z' z + 1e-12) /
    batch with the quotient r), is kept from the forward pass, so that forward and backward together take one product;
    with the weight given here, rather than multiplied afterwards, the backward pass has nothing left to do. There is no
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
    return _Penalty.apply(z, laplacian, form, float(weight))


@contextmanager
def regularised(
    module: nn.Module,
    x: Tensor,
    graphs: Mapping[str, Any],
    laplacian: str = "unnormalised",
    form: str = "quadratic",
    weight: float = 1.0,
    connected: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Within the context, each forward pass of `module` leaves the penalty of every named layer in the dict it yields:

        with regularised(network, x, {"relu2": lattices.grid(8, 8)}, weight=0.01) as penalties:
            loss = cross_entropy(network(x), y) + penalties["relu2"]

    x: inputs of the module, two samples of which are run, in eval mode, to learn the layers. graphs: by layer (as in
    `interneuron.capture`: a layer that runs more than once is named by its run, `relu#1`), the adjacency of a graph
    with as many nodes as the layer has units, in row-major order, or as its last axis is long where it gives steps of a
    sequence, or, of a convolution, channels: each step or position counts as a sample of its own. laplacian: its kind
    (`interneuron.lattices.laplacian`). form, weight: see `penalty`. connected: whether each graph has to be in one
    piece. The network is left as it was, in training mode too. What `torch.compile` made of it runs as it was written
    in the context; activations in half precision, as mixed precision gives them, are penalised in single.

    Raises InputError for a layer that the network lacks, or that runs more than once and is named without its run; a
    graph of another size; a graph in pieces where `connected`; a layer that runs without gradients in a pass with them,
    as reentrant gradient checkpointing (`use_reentrant=True`) runs it; and as `interneuron.capture.hooked`,
    `lattices.laplacian` and `penalty` do.
    """
    laplacians = {}
    operators = dict[tuple[str, torch.dtype, torch.device], Operator]()
    for name, graph in graphs.items():
        try:
            if connected:
                lattices.check_connected(graph)
            laplacians[name] = lattices.laplacian(graph, laplacian)
        except InputError as error:
            raise InputError(f"layer {name!r}: {error}") from error
    penalties: dict[str, Tensor] = {}
    network, graded = module_of(module), False

    def keep(name: str) -> Action:
        def action(y: Tensor) -> None:
            if not y.is_floating_point():
                raise InputError(f"layer {name!r} gives {y.dtype}, and a penalty takes floats")
            if torch.is_grad_enabled() != graded:
                raise InputError(
                    f"layer {name!r} runs without gradients, under torch.no_grad or in gradient checkpointing with "
                    "use_reentrant=True, so that its penalty would change nothing: it takes use_reentrant=False"
                )
            # What it keeps for its gradient is no part of a checkpoint around it, which may be run again without it.
            with torch.autocast(y.device.type, enabled=False), saved_tensors_hooks(_same, _same):
                penalties[name] = measured(name, y.float() if y.dtype in _HALF else y)

        return action

    def measured(name: str, y: Tensor) -> Tensor:
        nodes, units = laplacians[name].shape[0], y[0].numel()
        if nodes == units:
            y = y.flatten(1)
        elif y.ndim == 3 and y.shape[2] == nodes:
            y = y.flatten(0, 1)
        elif y.ndim != 4 or y.shape[1] != nodes:
            channels = f" in {y.shape[1]} channels" if y.ndim == 4 else ""
            raise InputError(
                f"layer {name!r} has {units} units{channels}, and its graph {nodes} nodes: it takes one a unit"
                f"{' or one a channel' if channels else ''}"
            )
        key = name, y.dtype, y.device
        if key not in operators:
            operators[key] = operator(laplacians[name], y.dtype, y.device)
        return penalty(y, operators[key], form, weight)

    def start(*_: Any) -> None:
        nonlocal graded
        graded = torch.is_grad_enabled()

    with ExitStack() as stack:
        with _evaluating(network), torch.no_grad():
            run = stack.enter_context(hooked(network, x, {name: keep(name) for name in graphs}, independent=False))
            stack.callback(network.register_forward_pre_hook(start, prepend=True).remove)
            run(inputs(x)[:1])
        penalties.clear()
        yield penalties


class _Penalty(torch.autograd.Function):
    """The penalty; its forward pass keeps its gradient."""

    @staticmethod
    def forward(context: Any, z: Tensor, laplacian: Operator, form: str, weight: float) -> Tensor:
        rows = z.detach()
        if z.ndim > 3:
            rows = rows.movedim(-3, -1)
            channels_last = rows.shape
            rows = rows.flatten(-4, -2)
        measure = _by_product if laplacian.arrays is None else _compiled
        values, gradient, context.scale = measure(rows, laplacian, form, weight)
        if z.ndim > 3:
            gradient = gradient.reshape(channels_last).movedim(-1, -3)
        context.save_for_backward(gradient)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, weights: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = context.saved_tensors
        if context.scale == 1 and not weights.ndim and weights.item() == 1:
            return gradient, None, None, None
        factors = weights if context.scale == 1 else context.scale * weights
        if weights.ndim:
            factors = factors.view(-1, *[1] * (gradient.ndim - 1))
        if gradient.ndim > 3 or gradient.is_contiguous():
            return gradient * factors, None, None, None
        # Columns become rows, as those of the layer's other gradients, to which this one is added.
        return torch.mul(gradient, factors, out=gradient.new_empty(gradient.shape)), None, None, None


def _by_product(rows: Tensor, laplacian: Operator, form: str, weight: float) -> tuple[Tensor, Tensor, float]:
    """Weighted penalties, a scalar or [seeds], of rows [rows, nodes] or [seeds, rows, nodes]; a tensor of the rows'
    shape; and its factor, which makes it their gradient."""
    # A sparse product takes and gives columns.
    turned = laplacian.matrix.is_sparse_csr
    axis, z = (-2, rows.mT.contiguous()) if turned else (-1, rows)
    gradient = laplacian.product(z)
    if form == "rayleigh":
        norms = torch.linalg.vecdot(z, z, dim=axis) + _SILENT
        quotients = torch.linalg.vecdot(gradient, z, dim=axis) / norms
        values = quotients.mean(-1)
        gradient.addcmul_(quotients.unsqueeze(axis), z, value=-1).div_(norms.unsqueeze(axis))
    else:
        # `dot` is one pass; `vecdot` is two, and writes the products.
        sums = [torch.dot(one.flatten(), other.flatten()) for one, other in _seeds(gradient, z)]
        values = (torch.stack(sums) if rows.ndim == 3 else sums[0]) / rows.shape[-2]
    return weight * values, gradient.mT if turned else gradient, 2 * weight / rows.shape[-2]


def _compiled(rows: Tensor, laplacian: Operator, form: str, weight: float) -> tuple[Tensor, Tensor, float]:
    """As `_by_product`, of a Laplacian with arrays."""
    # Its compiler is slow to import, and only sparse Laplacians need it.
    from interneuron._tiles import forms

    assert laplacian.arrays is not None
    rows = rows.contiguous()
    values, gradient = rows.new_empty(rows.shape[:-2]), torch.empty_like(rows)
    shape = values.numel(), *rows.shape[-2:]
    arrays = rows.numpy().reshape(shape), values.numpy().reshape(-1), gradient.numpy().reshape(shape)
    forms(*laplacian.arrays, form == "rayleigh", _SILENT, weight, *arrays)
    return values, gradient, 1.0


def _seeds(*tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """The tensors of each seed, of tensors [rows, nodes], which are those of one, or [seeds, rows, nodes]."""
    return zip(*tensors, strict=True) if tensors[0].ndim == 3 else [tensors]


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


def _arrays(matrix: Tensor) -> tuple[Any, Any, Any] | None:
    """As in `Operator`."""
    if not matrix.is_sparse_csr or matrix.device.type != "cpu" or matrix.dtype not in (torch.float32, torch.float64):
        return None
    return matrix.crow_indices().numpy(), matrix.col_indices().numpy(), matrix.values().numpy()


def _same(y: Tensor) -> Tensor:
    return y


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
