"""Graph convolutional networks: an autoencoder that embeds the nodes of a graph, and classifiers of nodes.

Both stand on the shift A^ = D~^(-1/2) (W + I) D~^(-1/2), D~ the degrees of W + I (Kipf and Welling, "Semi-supervised
classification with graph convolutional networks", ICLR 2017; "Variational graph auto-encoders", 2016, its
non-probabilistic variant). Weights start uniform in +-sqrt(6 / (inputs + outputs)), and there are no biases, as in the
authors' code. All in float32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from interneuron import checks, graphs
from interneuron.errors import InputError
from interneuron.seeds import torch_generator

# Numbers in a dense matrix that passes a sparse one, so that it stays in the cache.
_NUMBERS = 2**19
# Pairs of nodes in a block of the decoder.
_PAIRS = 2**20

Progress = Callable[[int, int], None]


def renormalised(w: sparse.csr_array) -> sparse.csr_array:
    """The shift A^ = D~^(-1/2) (W + I) D~^(-1/2), float32 [n, n]; D~: degrees of W + I, a self-loop of W counted once.

    Source: Kipf and Welling, ICLR 2017, equation 2 ("renormalization trick"). Raises InputError as
    `interneuron.graphs.checked` does, with symmetry.
    """
    graph = graphs.checked(w, symmetric=True).astype(np.float32)
    loops = sparse.csr_array(graph + sparse.eye_array(graph.shape[0], dtype=np.float32))
    return graphs.normalise(loops)


@dataclass(frozen=True)
class Embedding:
    """`latent` float32 [n, latents]: a vector a node; `loss` float64 [epochs]: before each step of the training."""

    latent: npt.NDArray[np.float32]
    loss: npt.NDArray[np.float64]


def autoencode(
    w: sparse.csr_array,
    x: sparse.csr_array,
    seed: int,
    *,
    hidden: int = 32,
    latents: int = 16,
    epochs: int = 200,
    learning_rate: float = 0.01,
    progress: Progress | None = None,
) -> Embedding:
    """Latent vectors Z = A^ relu(A^ X V_1) V_2 of a graph autoencoder trained on the graph w [n, n] and features x.

    The decoder gives nodes i and j a link with the probability sigmoid(z_i z_j); `reconstruction_loss` is minimised by
    Adam. x: sparse [n, features]; pass the identity for a graph without features. Memory: no n x n matrix.

    Source: Kipf and Welling 2016, and its code (32 hidden, 16 latents, 200 epochs, learning rate 0.01). Raises
    InputError as `renormalised` does, for a graph without links, features that do not fit or are not finite, and sizes
    below 1.
    """
    shift = renormalised(w)
    features = _features(x, shift.shape[0])
    _positive(hidden=hidden, latents=latents, epochs=epochs, learning_rate=learning_rate)
    graph = _links(w)
    first = torch_generator(seed, "graph autoencoder weights")
    weights = [_glorot(size, first).requires_grad_() for size in ((features.shape[1], hidden), (hidden, latents))]
    steps = torch.optim.Adam(weights, lr=learning_rate)

    def encode() -> Tensor:
        inner = _product(shift, _product(features, weights[0])).relu()
        return _product(shift, inner @ weights[1])

    losses = np.empty(epochs)
    for epoch in range(epochs):
        z = encode()
        losses[epoch], slope = _reconstruction(graph, z.detach())
        steps.zero_grad()
        z.backward(slope)
        steps.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    with torch.no_grad():
        latent = encode()
    if not (np.isfinite(losses).all() and latent.isfinite().all()):
        raise InputError(
            f"the graph autoencoder of seed {seed} is no longer finite; a smaller learning rate than {learning_rate:g} "
            "may help"
        )
    return Embedding(latent.numpy(), losses)


def reconstruction_loss(w: sparse.csr_array, z: npt.ArrayLike) -> tuple[float, npt.NDArray[np.float32]]:
    """Loss of the inner-product decoder for latent vectors z [n, latents], and its gradient in z.

    The weighted cross-entropy over all pairs, with s_ij = z_i z_j, a = 1 for links (whatever their weights) and for
    i = j, and E the number of entries of w off the diagonal:

        norm / n^2 sum_ij (a_ij pos log(1 + e^(-s_ij)) + (1 - a_ij) log(1 + e^(s_ij))),
        pos = (n^2 - E) / E,  norm = n^2 / (2 (n^2 - E)).

    Source: the code of Kipf and Welling 2016. Raises InputError as `autoencode` does.
    """
    graph = _links(w)
    latent = torch.from_numpy(np.array(checks.numbers("latent vectors", z), np.float32))
    if latent.ndim != 2 or len(latent) != graph.shape[0]:
        raise InputError(f"z has the shape {list(latent.shape)}; a graph of {graph.shape[0]} nodes takes one row each")
    loss, slope = _reconstruction(graph, latent)
    return loss, slope.numpy()


@dataclass(frozen=True)
class Classified:
    """`predicted` int64 [runs, n]: the class of each node; `epochs` int64 [runs]: how long each run was trained."""

    predicted: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int64]


def classify(
    w: sparse.csr_array,
    x: sparse.csr_array,
    y: npt.ArrayLike,
    labelled: Sequence[npt.ArrayLike],
    validation: npt.ArrayLike,
    seed: int,
    *,
    hidden: Sequence[int] = (16, 16),
    epochs: int = 200,
    learning_rate: float = 0.01,
    dropout: float = 0.5,
    decay: float = 5e-4,
    window: int = 10,
    progress: Progress | None = None,
) -> Classified:
    """Classes of all nodes by graph convolutional networks, one for each set of labelled nodes, trained side by side.

    H_0 = X, its rows divided by their sums; H_l = relu(A^ drop(H_(l-1)) V_l) for the `hidden` layers, and without relu
    for the classes. Minimised by Adam: the cross-entropy, averaged over the labelled nodes, plus decay / 2 |V_1|^2. A
    run ends when, from epoch `window` + 2 on, its loss on the validation nodes (without dropout, with decay) is above
    the mean of the last `window`, or after `epochs`; its prediction is that of its last weights.

    w: [n, n]; x: sparse [n, features]; y: classes 0, 1, ... of the nodes [n], -1 where not known; labelled: a run's
    nodes, each; validation: nodes. All runs of a seed share their first weights and the draws of the dropout, so that
    what differs between them is what is labelled. No run's result depends on the other runs but for rounding.

    Source: Kipf and Welling, ICLR 2017, and its code; with two hidden layers of 16 that of Anirudh et al., "MARGIN"
    (2021), case VI. Raises InputError as `renormalised` does, for features or classes that do not fit, sets of nodes
    that are empty, repeat a node, or have one without a class, and settings out of range.
    """
    shift = renormalised(w)
    n = shift.shape[0]
    features = _features(x, n)
    _positive(epochs=epochs, learning_rate=learning_rate, window=window, hidden=min(hidden, default=0))
    if not 0 <= dropout < 1 or not 0 <= decay < math.inf:
        raise InputError(f"dropout is {dropout:g} and decay {decay:g}; they take 0 to below 1, and 0 or more")
    classes = checks.whole("classes", y)
    if classes.shape != (n,) or classes.min() < -1:
        raise InputError(f"classes are {classes.dtype} {list(classes.shape)}; {n} nodes take 0, 1, ..., or -1, each")
    if not len(labelled):
        raise InputError("no set of labelled nodes is given; a run takes one")
    sets = [_nodes(nodes, classes, f"labelled nodes of run {run}") for run, nodes in enumerate(labelled)]
    held = _nodes(validation, classes, "validation nodes")
    sums = features.sum(axis=1)
    features = sparse.csr_array(sparse.diags_array(np.float32(1) / np.where(sums == 0, np.float32(1), sums)) @ features)
    runs = _Runs(shift, features, torch.from_numpy(classes.astype(np.int64)), sets, held, dropout, decay)
    return runs.train([int(size) for size in hidden], seed, epochs, learning_rate, window, progress)


class _Runs:
    """Runs of one seed. Weights are [runs, inputs, outputs], what passes the graph is [n, runs, outputs]."""

    def __init__(
        self,
        shift: sparse.csr_array,
        features: sparse.csr_array,
        y: Tensor,
        labelled: list[Tensor],
        validation: Tensor,
        dropout: float,
        decay: float,
    ) -> None:
        self.shift, self.features, self.y = shift, features, y
        self.labelled, self.validation = labelled, validation
        self.dropout, self.decay = dropout, decay

    def train(
        self, hidden: list[int], seed: int, epochs: int, learning_rate: float, window: int, progress: Progress | None
    ) -> Classified:
        runs, n = len(self.labelled), len(self.y)
        sizes = [self.features.shape[1], *hidden, int(self.y.max()) + 1]
        first = torch_generator(seed, "graph network weights")
        draws = torch_generator(seed, "graph network dropout")
        weights = [_glorot(size, first).repeat(runs, 1, 1).requires_grad_() for size in pairwise(sizes)]
        slopes = [torch.zeros_like(weight) for weight in weights]
        for weight, slope in zip(weights, slopes, strict=True):
            weight.grad = slope
        steps = torch.optim.Adam(weights, lr=learning_rate, fused=True)
        at_once = max(1, _NUMBERS // (n * max(sizes[1:])))
        predicted, ended = np.empty((runs, n), np.int64), np.zeros(runs, np.int64)
        losses = torch.empty(epochs, runs)
        going = torch.arange(runs)
        for epoch in range(epochs):
            features, masks = self._dropped(hidden, draws)
            for part in going.split(at_once):
                some = [weight.detach()[part].requires_grad_() for weight in weights]
                loss = self._loss(self._logits(features, some, masks), [self.labelled[run] for run in part], some[0])
                for slope, found in zip(slopes, torch.autograd.grad(loss.sum(), some), strict=True):
                    slope[part] = found
            steps.step()
            left = []
            for part in going.split(at_once):
                some = [weight.detach()[part] for weight in weights]
                logits = self._logits(self.features, some, [None] * len(masks))
                losses[epoch, part] = self._loss(logits, [self.validation] * len(part), some[0])
                done = torch.full(part.shape, epoch + 1 == epochs)
                if epoch > window:
                    done |= losses[epoch, part] > losses[epoch - window : epoch, part].mean(0)
                predicted[part[done]] = logits[:, done].argmax(2).T
                ended[part[done]] = epoch + 1
                left.append(part[~done])
            if not losses[epoch, going].isfinite().all():
                raise InputError(
                    f"the loss of a graph network of seed {seed} is no longer finite in epoch {epoch + 1}; a smaller "
                    f"learning rate than {learning_rate:g} may help"
                )
            going = torch.cat(left)
            if progress is not None:
                progress(epoch + 1, epochs)
            if not len(going):
                break
        return Classified(predicted, ended)

    def _dropped(self, hidden: list[int], draws: torch.Generator) -> tuple[sparse.csr_array, list[Tensor | None]]:
        """The features after dropout, and what each hidden layer's outputs [n, size] are multiplied with."""
        if self.dropout == 0:
            return self.features, [None] * len(hidden)
        kept = 1 - self.dropout
        keep = (torch.rand(self.features.nnz, generator=draws) < kept).numpy()
        ends = np.concatenate([[0], np.cumsum(keep)])[self.features.indptr].astype(self.features.indptr.dtype)
        values = self.features.data[keep] / np.float32(kept)
        features = sparse.csr_array((values, self.features.indices[keep], ends), self.features.shape)
        masks: list[Tensor | None] = [
            (torch.rand(len(self.y), 1, size, generator=draws) < kept) / kept for size in hidden
        ]
        return features, masks

    def _logits(self, features: sparse.csr_array, weights: list[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        """Logits [n, runs, classes] for weights [runs, ...]."""
        runs, n = len(weights[0]), len(self.y)
        h = _product(features, weights[0].permute(1, 0, 2).reshape(features.shape[1], -1))
        for weight, mask in zip(weights[1:], masks, strict=True):
            h = _product(self.shift, h).relu().view(n, runs, -1)
            h = torch.einsum("nri,rij->nrj", h if mask is None else h * mask, weight).reshape(n, -1)
        return _product(self.shift, h).view(n, runs, -1)

    def _loss(self, logits: Tensor, nodes: list[Tensor], first: Tensor) -> Tensor:
        """Loss [runs] over each run's nodes."""
        run = torch.repeat_interleave(torch.tensor([len(one) for one in nodes]))
        node = torch.cat(nodes)
        each = functional.cross_entropy(logits[node, run], self.y[node], reduction="none")
        weight = torch.tensor([1 / len(one) for one in nodes])[run]
        entropy = torch.zeros(len(nodes)).index_add(0, run, each * weight)
        return entropy + self.decay / 2 * first.square().sum((1, 2))


class _Product(torch.autograd.Function):
    """Product of a constant sparse matrix and a dense one."""

    @staticmethod
    def forward(ctx: Any, matrix: sparse.csr_array, h: Tensor) -> Tensor:
        ctx.matrix = matrix
        return torch.from_numpy(matrix @ h.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, Tensor]:
        return None, torch.from_numpy(ctx.matrix.T @ slopes[0].contiguous().numpy())


def _product(matrix: sparse.csr_array, h: Tensor) -> Tensor:
    return _Product.apply(matrix, h)


def _glorot(size: tuple[int, int], draws: torch.Generator) -> Tensor:
    return (2 * torch.rand(size, generator=draws) - 1) * math.sqrt(6 / sum(size))


def _links(w: sparse.csr_array) -> sparse.csr_array:
    """Links off the diagonal, each 1."""
    graph = graphs.checked(w, symmetric=True).tocoo()
    off = graph.row != graph.col
    if not off.any():
        raise InputError("the graph has no links between nodes; an autoencoder takes some")
    values = np.ones(int(off.sum()), np.float32)
    return sparse.csr_array((values, (graph.row[off], graph.col[off])), graph.shape)


def _reconstruction(graph: sparse.csr_array, z: Tensor) -> tuple[float, Tensor]:
    n, links = len(z), graph.nnz
    pos = (n**2 - links) / links
    # As if there were no link at all, block by block above the diagonal.
    total, slope = 0.0, torch.zeros_like(z)
    step = max(1, _PAIRS // n)
    for start in range(0, n, step):
        rows, right = z[start : start + step], z[start:]
        scores = rows @ right.T
        b = len(rows)
        losses = functional.softplus(scores)
        total += 2 * float(losses.sum(dtype=torch.float64)) - float(losses[:, :b].sum(dtype=torch.float64))
        chances = scores.sigmoid_()
        slope[start : start + b] += chances @ right
        slope[start + b :] += chances[:, b:].T @ rows
    # Then what the links, and each node's pair with itself, change.
    ends = sparse.coo_array(graph + sparse.eye_array(n, dtype=np.float32))
    i, j = (torch.from_numpy(part.astype(np.int64)) for part in (ends.row, ends.col))
    scores = (z[i] * z[j]).sum(1)
    total += float((pos * functional.softplus(-scores) - functional.softplus(scores)).sum(dtype=torch.float64))
    change = -pos * torch.sigmoid(-scores) - torch.sigmoid(scores)
    slope.index_add_(0, i, change[:, None] * z[j])
    # norm / n^2; every pair is there twice.
    scale = 1 / (2 * (n**2 - links))
    return scale * total, 2 * scale * slope


def _features(x: sparse.csr_array, n: int) -> sparse.csr_array:
    given = x if sparse.issparse(x) else checks.numbers("features", x)
    if sparse.issparse(x):
        checks.numbers("features", x.tocoo().data)
    if given.ndim != 2:
        raise InputError(f"features have the shape {list(given.shape)}; a graph of {n} nodes takes [{n}, features]")
    features = sparse.csr_array(given, dtype=np.float32)
    if features.shape[0] != n or not features.shape[1]:
        raise InputError(f"features have the shape {list(features.shape)}; a graph of {n} nodes takes [{n}, features]")
    return features


def _nodes(nodes: npt.ArrayLike, y: np.ndarray, what: str) -> Tensor:
    chosen = checks.whole(what, nodes)
    if chosen.ndim != 1 or not chosen.size:
        raise InputError(f"{what} are {chosen.dtype} {list(chosen.shape)}; they take numbers of one node or more")
    if chosen.min() < 0 or chosen.max() >= len(y) or len(np.unique(chosen)) != len(chosen):
        raise InputError(f"{what} repeat a node, or name one that is not 0 to {len(y) - 1}")
    if (y[chosen] < 0).any():
        raise InputError(f"{what} include node {chosen[np.argmax(y[chosen] < 0)]}, whose class is not known")
    return torch.from_numpy(chosen.astype(np.int64))


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise InputError(f"{name} is {number:g}; it takes a number above 0")
