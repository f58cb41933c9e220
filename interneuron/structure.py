"""Numbers for structure: does a layer's activity follow its graph, more than with the same nodes in another order?

Each statistic takes a batch of rearranged nodes, so that `permutation_test` can set it against a null; the other half
are orders: along a graph, around a ring, and through a graph of cells by diffusion pseudotime. Tong et al.
(arXiv:1810.00424) show such structure in pictures only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

from interneuron import checks, lattices
from interneuron.errors import InputError
from interneuron.seeds import generator

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Rearranged values that a permutation test holds at once.
_VALUES = 2**22
# Sums in another order differ by rounding: how much closer to the observed value counts as equal to it.
_EQUAL = 1e-9


@dataclass(frozen=True)
class PermutationTest:
    """A statistic beside its null under random orders of the nodes; every field has the statistic's own shape.

    `observed`; `mean` and `sd` of the null (n - 1 in the denominator); `p`: (1 + orders at least as extreme) / (1 +
    orders), the observed order among them (Phipson and Smyth 2010), so that it is never 0.
    """

    observed: Float64
    mean: Float64
    sd: Float64
    p: Float64


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of two orders, Spearman's and Kendall's (tau-b), with SciPy's two-sided p of each."""

    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float


def class_maps(z: npt.ArrayLike, classes: npt.ArrayLike, count: int) -> Float64:
    """Mean activation of the nodes for each class: [count, nodes], from z [samples, nodes] and classes int [samples].

    Source: Tong et al., class-average maps. Raises InputError for shapes that do not fit and classes without samples.
    """
    values, y = _numbers("activations", z), checks.whole("classes", classes)
    if values.ndim != 2 or y.shape != values.shape[:1]:
        raise InputError(
            f"activations {list(values.shape)} and classes {list(y.shape)} do not fit: they take [samples, nodes] and "
            "[samples]"
        )
    if y.min(initial=0) < 0:
        raise InputError(f"classes go down to {y.min()}, and take 0 to {count - 1}")
    sizes = np.bincount(y, minlength=count)
    if len(sizes) > count or not sizes.all():
        raise InputError(f"classes have {sizes.tolist()} samples, and each of {count} classes takes one or more")
    onehot = sparse.csr_array((np.ones(len(y)), (y, np.arange(len(y)))), shape=(count, len(y)))
    found: Float64 = (onehot @ values) / sizes[:, None]
    return found


def segment(maps: npt.ArrayLike) -> Int64:
    """Class of every node, int64 [..., nodes], from the class maps [..., classes, nodes]: the class whose map, divided
    by its L1 norm, is largest there; -1 where no map is above 0.

    Source: Tong et al., segmentation. The released code divides along one axis of the grid only, which looks
    unintended. Raises InputError for fewer than two axes, no class, and NaN.
    """
    values = _numbers("class maps", maps)
    if values.ndim < 2 or not values.shape[-2]:
        raise InputError(f"class maps have the shape {list(values.shape)}, and take [..., classes, nodes]")
    norms = abs(values).sum(-1, keepdims=True)
    shares = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return np.where(shares.max(-2) > 0, shares.argmax(-2), -1)


def rayleigh(maps: npt.ArrayLike, laplacian: Any) -> Float64:
    """Rayleigh quotient z' L z / z' z of maps [..., nodes], less their mean over the nodes: [...].

    0 is as smooth as can be; it lies between the least and the largest eigenvalue of L (of its symmetric part). A map
    that is the same everywhere has the quotient 0. laplacian: sparse or dense [nodes, nodes]. Raises InputError for
    shapes that do not fit, and NaN.
    """
    return _quotient(maps, _matrix("a Laplacian", laplacian))


def moran(maps: npt.ArrayLike, weights: Any) -> Float64:
    """Moran's I of maps [..., nodes] on a graph of adjacency W: [...].

        I = (nodes / sum_ij W_ij) sum_ij W_ij (z_i - mean z) (z_j - mean z) / sum_i (z_i - mean z)^2

    Neighbours that are alike give values up to about 1, unlike ones negative values; with no structure the mean is
    -1 / (nodes - 1). A map that is the same everywhere has I = 0. Source: Moran 1950. Raises InputError for a graph
    without edges and as `lattices.adjacency` does.
    """
    w = _with_edges(weights)
    return w.shape[0] / w.sum() * _quotient(maps, w)


def purity(labels: npt.ArrayLike, weights: Any) -> Float64:
    """Share of the edges' weight that joins nodes of the same class: [...], from labels int [..., nodes].

    Nodes of label -1 have no class, and their edges do not count. 0 where no edge counts. Raises InputError for a graph
    without edges and as `lattices.adjacency` does.
    """
    values, left, right, weight = _edges(labels, weights)
    both = (values[..., left] >= 0) & (values[..., right] >= 0)
    same = both & (values[..., left] == values[..., right])
    total = both @ weight
    return np.divide(same @ weight, total, out=np.zeros_like(total), where=total > 0)


def compactness(labels: npt.ArrayLike, weights: Any) -> Float64:
    """Share of the nodes that lie in the largest connected piece of their class: [...], from labels int [..., nodes].

    1 where each class is one patch of the graph. Nodes of label -1 have no class and do not count; 0 where no node has
    one. Raises InputError for a graph without edges and as `lattices.adjacency` does.
    """
    values, left, right, _ = _edges(labels, weights)
    stack = values.reshape(-1, values.shape[-1])
    batch, nodes = stack.shape
    which, edge = np.nonzero(stack[:, left] == stack[:, right])
    pairs = (which * nodes + left[edge], which * nodes + right[edge])
    graph = sparse.coo_array((np.ones(len(edge)), pairs), shape=(batch * nodes, batch * nodes))
    count, piece = connected_components(graph, directed=False)
    flat = stack.ravel()
    sizes = np.bincount(piece, weights=flat >= 0, minlength=count)
    classes = int(max(flat.max(), 0)) + 1
    largest = np.zeros((batch, classes))
    labelled = flat >= 0
    np.maximum.at(largest, (np.repeat(np.arange(batch), nodes)[labelled], flat[labelled]), sizes[piece[labelled]])
    total = (stack >= 0).sum(-1).astype(np.float64)
    found = np.divide(largest.sum(-1), total, out=np.zeros(batch), where=total > 0)
    return found.reshape(values.shape[:-1])


def ring_angles(z: npt.ArrayLike) -> Float64:
    """Angle on the ring that the activity of z [..., samples, nodes] points at, in radians (-pi, pi]: [..., samples].

    The phase of sum_n (z_n - mean of node n over the samples) exp(2 pi i n / nodes), nodes in the ring's order. Raises
    InputError for fewer than two axes or one sample and node, and NaN.
    """
    values = _numbers("activations", z)
    if values.ndim < 2 or not values.shape[-1] or not values.shape[-2]:
        raise InputError(f"activations have the shape {list(values.shape)}, and a ring takes [..., samples, nodes]")
    circle = np.exp(2j * np.pi * np.arange(values.shape[-1]) / values.shape[-1])
    found: Float64 = np.angle((values - values.mean(-2, keepdims=True)) @ circle)
    return found


def circular_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> Float64:
    """Fisher and Lee's correlation of two series of angles in radians, [..., samples] each: [...], from -1 to 1.

        rho = sum_{i<j} sin(a_i - a_j) sin(b_i - b_j) / sqrt(sum_{i<j} sin^2(a_i - a_j) sum_{i<j} sin^2(b_i - b_j))

    It is 1 where b is a turned by any angle, -1 where it is turned and mirrored, and needs no mean direction, which
    views taken evenly around an object do not have. 0 where a or b does not vary. Source: Fisher and Lee, "A
    correlation coefficient for circular data", Biometrika 70, 1983. Raises InputError for series of different lengths,
    and NaN.
    """
    one, other = _numbers("angles", a), _numbers("angles", b)
    if not one.ndim or not other.ndim or one.shape[-1] != other.shape[-1] or not one.shape[-1]:
        raise InputError(
            f"angles have the shapes {list(one.shape)} and {list(other.shape)}, and take [..., samples], as many each"
        )
    try:
        np.broadcast_shapes(one.shape, other.shape)
    except ValueError as error:
        raise InputError(
            f"angles have the shapes {list(one.shape)} and {list(other.shape)}, whose leading axes do not fit"
        ) from error
    n = one.shape[-1]
    cross = (np.cos(one) * np.cos(other)).sum(-1) * (np.sin(one) * np.sin(other)).sum(-1)
    cross = cross - (np.cos(one) * np.sin(other)).sum(-1) * (np.sin(one) * np.cos(other)).sum(-1)
    spreads = [n**2 - np.cos(2 * x).sum(-1) ** 2 - np.sin(2 * x).sum(-1) ** 2 for x in (one, other)]
    scale = np.sqrt(np.maximum(spreads[0], 0) * np.maximum(spreads[1], 0))
    cross, scale = np.broadcast_arrays(4 * cross, scale)
    found: Float64 = np.divide(cross, scale, out=np.zeros(cross.shape), where=scale > 1e-9 * n**2)
    return found


def permutation_test(
    statistic: Callable[[Any], Float64],
    values: npt.ArrayLike,
    orders: int,
    stream: np.random.Generator,
    *,
    larger: bool,
) -> PermutationTest:
    """The statistic of `values` [..., nodes] against its null under `orders` random orders of the nodes.

    statistic: takes values [batch, ..., nodes], the nodes rearranged in each of the batch, and gives [batch] or [batch,
    ...]. larger: whether large values speak for structure (Moran's I, purity, compactness, the size of a circular
    correlation) or small ones (the Rayleigh quotient). Null values that differ from the observed one by rounding count
    as extreme. Example: `permutation_test(lambda maps: moran(maps, graph).mean(-1), maps, 999, stream, larger=True)`.

    Raises InputError for fewer than two orders, no nodes, values or a statistic that are no finite numbers.
    """
    # The statistic has the values in the type that they are of.
    checks.numbers("values", values)
    data = np.asarray(values)
    if orders < 2 or not data.ndim or not data.size:
        raise InputError(
            f"values have the shape {list(data.shape)} and {orders} orders are asked for: a permutation test takes "
            "[..., nodes] and 2 orders or more"
        )
    observed = statistic(data[None])[0]
    null = [
        statistic(np.moveaxis(data[..., order], -2, 0)) for order in _orders(data.shape[-1], orders, data.size, stream)
    ]
    return _against(observed, np.concatenate(null), larger)


def quotient_test(
    maps: npt.ArrayLike, matrix: Any, orders: int, stream: np.random.Generator, *, larger: bool
) -> PermutationTest:
    """The mean over maps [n, nodes] of z' M z / z' z, z less its mean, against its null under random orders.

    It is sum_ij M_ij C_ij for C = mean of z z' / z' z, and another order of the nodes only looks up other entries of C:
    `permutation_test` with `rayleigh` (M = L) or `moran` (M = W nodes / sum W) gives the same, and takes the maps'
    length times as long. matrix: sparse [nodes, nodes], one entry or more. Raises InputError as these do.
    """
    values = np.atleast_2d(_numbers("maps", maps))
    found = sparse.coo_array(_matrix("a matrix", matrix))
    found.eliminate_zeros()
    if orders < 2 or values.ndim != 2 or not values.size or found.shape != values.shape[1:] * 2 or not found.nnz:
        raise InputError(
            f"maps have the shape {list(values.shape)}, the matrix {list(found.shape)}, and {orders} orders are asked "
            "for: a test of quotients takes [n, nodes], [nodes, nodes] with an entry, and 2 orders or more"
        )
    centred = values - values.mean(-1, keepdims=True)
    norms = np.sqrt((centred**2).sum(-1, keepdims=True))
    above = norms > np.sqrt(values.shape[-1]) * 1e-12 * abs(values).max(-1, keepdims=True)
    units = np.divide(centred, norms, out=np.zeros_like(centred), where=above)
    products = units.T @ units / len(units)
    row, column = found.coords

    def statistic(order: npt.NDArray[np.integer]) -> Float64:
        return products[order[..., row], order[..., column]] @ found.data

    nodes = values.shape[-1]
    null = [statistic(order) for order in _orders(nodes, orders, found.nnz, stream)]
    return _against(statistic(np.arange(nodes)), np.concatenate(null), larger)


def _orders(nodes: int, count: int, size: int, stream: np.random.Generator) -> Iterator[npt.NDArray[np.integer]]:
    """`count` random orders of the nodes, int [some, nodes] at a time, `size` values an order."""
    step = max(1, _VALUES // size)
    for first in range(0, count, step):
        yield stream.permuted(np.tile(np.arange(nodes), (min(step, count - first), 1)), axis=1)


def _against(observed: Float64, null: Float64, larger: bool) -> PermutationTest:
    """Observed values [...] beside those of random orders [orders, ...]."""
    if not (np.isfinite(observed).all() and np.isfinite(null).all()):
        raise InputError("the statistic of a permutation test is infinite or NaN, and it takes numbers")
    sign = 1 if larger else -1
    slack = _EQUAL * np.maximum(abs(observed), abs(null).max(0))
    extreme = (sign * null >= sign * observed - slack).sum(0)
    return PermutationTest(observed, null.mean(0), null.std(0, ddof=1), (1 + extreme) / (1 + len(null)))


def order_along(weights: Any) -> Float64:
    """Place of every node along a connected graph: the eigenvector of the second smallest eigenvalue of L = D - W,
    [nodes], its largest entry positive (Fiedler's vector: of a path, the order of its nodes).

    Source: Fiedler 1975; Barnard, Pothen and Simon 1995 (spectral ordering). Raises InputError for one node and as
    `lattices.check_connected` does.
    """
    lattices.check_connected(weights)
    laplacian = lattices.laplacian(weights).toarray()
    if len(laplacian) < 2:
        raise InputError("the graph has one node, and an order takes two or more")
    vector = np.linalg.eigh(laplacian)[1][:, 1]
    found: Float64 = vector * np.sign(vector[abs(vector).argmax()])
    return found


def effective_rank(z: npt.ArrayLike, power: int = 1) -> float:
    """How many directions the activations z [samples, nodes] spread over: exp of the entropy of the singular values.

        exp(-sum_k p_k log p_k),    p_k = s_k^power / sum_k s_k^power,

    with s the singular values of z less its mean over the samples. It is n where z spreads evenly over n directions,
    less where unevenly, and 0 where z does not vary. power 1 is Roy and Vetterli's ("The effective rank", EUSIPCO
    2007), in which many small directions together weigh much; power 2 has the shares of the variance (n1 of Del
    Giudice, "Effective dimensionality: a tutorial", Multivariate Behavioral Research 56, 2021). Raises InputError for
    another shape, no sample or node, another power, and NaN.
    """
    if power not in (1, 2):
        raise InputError(f"the power is {power}, and takes 1 or 2")
    values = _spread(z) ** power
    shares = values[values > 0] / values.sum() if values.any() else values[:0]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def large_directions(z: npt.ArrayLike, share: float = 0.1) -> int:
    """Number of singular values of z [samples, nodes], less its mean over the samples, above `share` of the largest.

    Raises InputError as `effective_rank` does, and for a share outside of 0 to 1."""
    if not 0 <= share < 1:
        raise InputError(f"the share is {share}, and takes 0 up to below 1")
    values = _spread(z)
    return int((values > share * values.max(initial=0)).sum())


def _spread(z: npt.ArrayLike) -> Float64:
    """Singular values of activations less their mean; what rounding leaves of none is 0."""
    values = _numbers("activations", z)
    if values.ndim != 2 or not values.size:
        raise InputError(f"activations have the shape {list(values.shape)}, and take [samples, nodes], one or more")
    found: Float64 = np.linalg.svd(values - values.mean(0), compute_uv=False)
    floor = np.finfo(np.float64).eps * max(values.shape) * np.linalg.norm(values)
    return np.where(found > floor, found, 0.0)


def preferred(z: npt.ArrayLike, times: npt.ArrayLike) -> Float64:
    """Mean time of every node's activity, [nodes]: sum_s a_s t_s / sum_s a_s, with a its activation in z [samples,
    nodes] less its least, and t the times [samples] (pseudotimes, for example).

    Raises InputError for shapes that do not fit, infinite or NaN times, and nodes whose activation does not vary.
    """
    values, t = _numbers("activations", z), _numbers("times", times)
    if values.ndim != 2 or t.shape != values.shape[:1] or not len(t):
        raise InputError(
            f"activations {list(values.shape)} and times {list(t.shape)} do not fit: they take [samples, nodes] and "
            "numbers [samples]"
        )
    above = values - values.min(0)
    total = above.sum(0)
    if not (total > 0).all():
        raise InputError(f"node {int(np.argmin(total))} has one activation throughout, and a preferred time takes more")
    found: Float64 = t @ above / total
    return found


def agreement(order: npt.ArrayLike, reference: npt.ArrayLike) -> Agreement:
    """Rank correlations of an order with a reference, [n] each. Raises InputError where they do not fit, for fewer than
    three values, and where one of them does not vary."""
    from scipy.stats import kendalltau, spearmanr

    one, other = _numbers("orders", order), _numbers("orders", reference)
    if one.ndim != 1 or one.shape != other.shape or len(one) < 3:
        raise InputError(f"orders have shapes {list(one.shape)} and {list(other.shape)}, and take one, [n], n of 3 up")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        raise InputError("an order is the same everywhere, and takes values that vary")
    rho, tau = spearmanr(one, other), kendalltau(one, other)
    return Agreement(float(rho.statistic), float(rho.pvalue), float(tau.statistic), float(tau.pvalue))


def diffusion_pseudotime(weights: Any, root: int, components: int | None = 15, seed: int = 0) -> Float64:
    """Diffusion pseudotime of every cell from the cell `root` on a graph of cells: [cells]; infinite where there is no
    way to it.

        K_ij = W_ij / (d_i d_j),  d = W 1;     T = Z^-1/2 K Z^-1/2,  Z = diag(K 1)
        dpt(x)^2 = sum_{l >= 1} (lambda_l / (1 - lambda_l))^2 (psi_l(x) - psi_l(root))^2

    over the leading `components` eigenvectors psi of T after the first (None: all, by a dense decomposition): the
    distance between the two cells' rows of sum_{t >= 1} T^t without its stationary part. Only the root's component of
    the graph is walked. Source: Haghverdi et al., "Diffusion pseudotime robustly reconstructs lineage branching",
    Nature Methods 13, 2016; density and symmetric normalisation as in scanpy. seed: of the eigenvectors' first guess.

    Raises InputError for a root outside of the graph, fewer than one component, and as `lattices.adjacency` does.
    """
    w = lattices.adjacency(weights)
    if not 0 <= root < w.shape[0]:
        raise InputError(f"the root is cell {root}, and takes 0 to {w.shape[0] - 1}")
    if components is not None and components < 1:
        raise InputError(f"components is {components}, and takes 1 or more")
    labels = lattices.components(w)
    cells = np.flatnonzero(labels == labels[root])
    found = np.full(w.shape[0], np.inf)
    found[cells] = _pseudotime(w[cells][:, cells], int(np.searchsorted(cells, root)), components, seed)
    return found


def _pseudotime(w: Any, root: int, components: int | None, seed: int) -> Float64:
    n = w.shape[0]
    if n == 1:
        return np.zeros(1)
    density = sparse.diags_array(1 / w.sum(axis=1))
    kernel = density @ w @ density
    mass = sparse.diags_array(1 / np.sqrt(kernel.sum(axis=1)))
    transitions = mass @ kernel @ mass
    if components is None or components + 1 >= n:
        eigenvalues, vectors = np.linalg.eigh(transitions.toarray())
    else:
        guess = generator(seed, "pseudotime").normal(size=n)
        eigenvalues, vectors = eigsh(transitions, components + 1, which="LA", v0=guess)
        order = np.argsort(eigenvalues)
        eigenvalues, vectors = eigenvalues[order], vectors[:, order]
    eigenvalues, vectors = eigenvalues[:-1], vectors[:, :-1]
    differences = (vectors - vectors[root]) * (eigenvalues / (1 - eigenvalues))
    found: Float64 = np.sqrt((differences**2).sum(-1))
    return found


def _numbers(what: str, values: npt.ArrayLike) -> Float64:
    return checks.numbers(what, values).astype(np.float64, copy=False)


def _matrix(what: str, matrix: Any) -> Any:
    """A square matrix of finite numbers, dense or sparse as it is."""
    found = matrix if sparse.issparse(matrix) else checks.numbers(f"entries of {what}", matrix)
    if sparse.issparse(matrix):
        checks.numbers(f"entries of {what}", matrix.tocoo().data)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise InputError(f"{what} has the shape {list(found.shape)}, and takes [nodes, nodes]")
    return found


def _quotient(maps: npt.ArrayLike, matrix: Any) -> Float64:
    """z' M z / z' z of centred maps; 0 where a map is the same everywhere."""
    values = _numbers("maps", maps)
    if not values.ndim or values.shape[-1] != matrix.shape[0]:
        raise InputError(
            f"maps have the shape {list(values.shape)}, and a graph of {matrix.shape[0]} nodes takes [..., "
            f"{matrix.shape[0]}]"
        )
    centred = (values - values.mean(-1, keepdims=True)).reshape(-1, values.shape[-1])
    norms = (centred**2).sum(-1)
    above = norms > values.shape[-1] * (1e-12 * abs(values).max(-1).ravel()) ** 2
    products = ((matrix @ centred.T).T * centred).sum(-1)
    found: Float64 = np.divide(products, norms, out=np.zeros(len(norms)), where=above).reshape(values.shape[:-1])
    return found


def _edges(labels: npt.ArrayLike, weights: Any) -> tuple[Int64, Int64, Int64, Float64]:
    """Labels, and both ends and weight of every edge."""
    values = checks.whole("labels", labels)
    if values.min(initial=0) < -1:
        raise InputError(f"labels go down to {values.min()}, and take classes from 0, or -1 for none")
    w = _with_edges(weights)
    if not values.ndim or values.shape[-1] != w.shape[0]:
        raise InputError(
            f"labels have the shape {list(values.shape)}, and a graph of {w.shape[0]} nodes takes [..., {w.shape[0]}]"
        )
    half = sparse.triu(w, format="coo")
    return values, half.coords[0].astype(np.int64), half.coords[1].astype(np.int64), half.data


def _with_edges(weights: Any) -> sparse.csr_array:
    w = lattices.adjacency(weights)
    if not w.nnz:
        raise InputError("the graph has no edges, and structure on it takes one or more")
    return w
