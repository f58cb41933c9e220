"""Fixed graphs on the neurons of a layer, Laplacians of any graph, and whether a graph is connected.

A graph is its adjacency W: a `scipy.sparse.csr_array`, float64 [nodes, nodes], symmetric, of weights 0 or more, without
self-loops. In the fixed graphs every edge has weight 1, and nodes are numbered row by row. Source: Tong et al., "Graph
Spectral Regularization for Neural Network Interpretability" (arXiv:1810.00424), whose released code has all but the
complete graphs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from interneuron import checks
from interneuron.errors import InputError

LAPLACIANS = ("unnormalised", "symmetric", "random-walk")

# Adjacencies come out of float32 sums too: how far they may be from symmetry, relative to the largest weight.
_SYMMETRY = 1e-6


def grid(height: int, width: int) -> sparse.csr_array:
    """Lattice of height x width nodes, each joined to its neighbours above, below, left and right."""
    _take("grid", height=(height, 1), width=(width, 1))
    return _product(_path(height), _path(width))


def torus(height: int, width: int) -> sparse.csr_array:
    """Lattice of height x width nodes whose opposite sides are joined; sides have 3 nodes or more."""
    _take("torus", height=(height, 3), width=(width, 3))
    return _product(_cycle(height), _cycle(width))


def rings(count: int, length: int) -> sparse.csr_array:
    """`count` separate cycles of `length` nodes, 3 or more; node j of ring i is number i length + j."""
    _take("rings", count=(count, 1), length=(length, 3))
    return _csr(sparse.kron(sparse.eye_array(count), _cycle(length)))


def paths(count: int, length: int) -> sparse.csr_array:
    """`count` separate paths of `length` nodes; node j of path i is number i length + j."""
    _take("paths", count=(count, 1), length=(length, 1))
    return _csr(sparse.kron(sparse.eye_array(count), _path(length)))


def star(nodes: int) -> sparse.csr_array:
    """Node 0 joined to each of the others."""
    _take("star", nodes=(nodes, 1))
    leaves = np.arange(1, nodes)
    return _joined(nodes, np.zeros_like(leaves), leaves)


def tree(nodes: int) -> sparse.csr_array:
    """Complete binary tree: node i is joined to its children 2i + 1 and 2i + 2, as far as there are nodes."""
    _take("tree", nodes=(nodes, 1))
    children = np.arange(1, nodes)
    return _joined(nodes, (children - 1) // 2, children)


def complete(nodes: int) -> sparse.csr_array:
    """Each node joined to each other."""
    _take("complete", nodes=(nodes, 1))
    return _csr(np.ones((nodes, nodes)) - np.eye(nodes))


def capsules(count: int, dimensions: int) -> sparse.csr_array:
    """A complete graph over the `count` capsules for each of their dimensions; dimension d of capsule c is number
    c dimensions + d.

    With it z' L z = sum_d sum_{c < c'} (v_cd - v_c'd)^2 of the capsules' matrix v, flattened row by row.
    """
    _take("capsules", count=(count, 1), dimensions=(dimensions, 1))
    return _csr(sparse.kron(complete(count), sparse.eye_array(dimensions)))


_KINDS: dict[str, Callable[..., sparse.csr_array]] = {
    "grid": grid,
    "torus": torus,
    "rings": rings,
    "paths": paths,
    "star": star,
    "tree": tree,
    "complete": complete,
    "capsules": capsules,
}


def build(kind: str, arguments: Mapping[str, Any]) -> sparse.csr_array:
    """The fixed graph by its name: grid, torus, rings, paths, star, tree, complete or capsules.

    Raises InputError for an unknown name, and for arguments that the graph does not take.
    """
    if kind not in _KINDS:
        raise InputError(f"no graph {kind!r}; there are {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](**arguments)
    except TypeError as error:
        raise InputError(f"graph {kind}: {error}") from error


def adjacency(weights: Any) -> sparse.csr_array:
    """The checked adjacency of a graph, from a sparse or dense array [nodes, nodes].

    Raises InputError for another shape, no nodes, weights that are negative, infinite or NaN, self-loops, and weights
    that are not symmetric.
    """
    given = weights if sparse.issparse(weights) else checks.numbers("weights of a graph", weights)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.shape[0]:
        shape = list(given.shape)
        raise InputError(f"an adjacency has the shape {shape}, and takes [nodes, nodes], one node or more")
    if sparse.issparse(weights):
        checks.numbers("weights of a graph", weights.tocoo().data)
    found = _csr(given)
    if (found.data < 0).any():
        raise InputError("an adjacency has a weight that is negative, and takes numbers of 0 or more")
    loops = np.flatnonzero(found.diagonal())
    if loops.size:
        raise InputError(f"an adjacency joins node {loops[0]} to itself, and takes a diagonal of zeros")
    if found.nnz and abs(found - found.T).max() > _SYMMETRY * found.data.max():
        raise InputError("an adjacency is not symmetric, and takes the same weight from i to j as from j to i")
    return found


def laplacian(weights: Any, kind: str = "unnormalised") -> sparse.csr_array:
    """Laplacian of a graph of adjacency W and degrees D = diag(W 1), float64 [nodes, nodes].

        unnormalised: L = D - W            symmetric: D^-1/2 L D^-1/2            random-walk: D^-1 L

    A node without edges has a row and a column of zeros in all three (1/0 counts as 0): it is a component of its own,
    so that the dimension of the null space is the number of components. The null space is spanned by the indicators of
    the components (symmetric: by D^1/2 times them). Raises InputError for another kind and as `adjacency` does.
    """
    if kind not in LAPLACIANS:
        raise InputError(f"no Laplacian {kind!r}; there are {', '.join(LAPLACIANS)}")
    w = adjacency(weights)
    degrees = w.sum(axis=1)
    plain = sparse.diags_array(degrees) - w
    if kind == "unnormalised":
        return _csr(plain)
    inverse = np.divide(1.0, degrees, out=np.zeros_like(degrees), where=degrees > 0)
    if kind == "random-walk":
        return _csr(sparse.diags_array(inverse) @ plain)
    root = sparse.diags_array(np.sqrt(inverse))
    return _csr(root @ plain @ root)


def components(weights: Any) -> npt.NDArray[np.int64]:
    """Component of every node, int64 [nodes], numbered from 0 by the first node of each. Raises as `adjacency` does."""
    _, labels = connected_components(adjacency(weights), directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def check_connected(weights: Any) -> None:
    """Raise InputError if the graph has more than one component, with their number and sizes."""
    sizes = np.sort(np.bincount(components(weights)))[::-1]
    if len(sizes) > 1:
        shown = ", ".join(map(str, sizes[:5])) + (", ..." if len(sizes) > 5 else "")
        raise InputError(f"the graph falls into {len(sizes)} components (of {shown} nodes), and it takes one")


def _take(kind: str, **sizes: tuple[Any, int]) -> None:
    for name, (size, least) in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < least:
            raise InputError(f"graph {kind}: {name} is {size!r}, and takes a whole number of {least} or more")


def _path(nodes: int) -> sparse.csr_array:
    return _joined(nodes, np.arange(nodes - 1), np.arange(1, nodes))


def _cycle(nodes: int) -> sparse.csr_array:
    return _joined(nodes, np.arange(nodes), np.roll(np.arange(nodes), -1))


def _joined(nodes: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> sparse.csr_array:
    """The graph in which left[e] and right[e] are joined, each pair once."""
    half = sparse.coo_array((np.ones(len(left)), (left, right)), shape=(nodes, nodes))
    return _csr(half + half.T)


def _product(rows: sparse.csr_array, columns: sparse.csr_array) -> sparse.csr_array:
    """Cartesian product of two graphs."""
    down = sparse.kron(rows, sparse.eye_array(columns.shape[0]))
    return _csr(down + sparse.kron(sparse.eye_array(rows.shape[0]), columns))


def _csr(matrix: Any) -> sparse.csr_array:
    """In canonical form: float64, sorted, no duplicates, no stored zeros."""
    found = sparse.csr_array(matrix, dtype=np.float64)
    found.sum_duplicates()
    found.eliminate_zeros()
    return found
