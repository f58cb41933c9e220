"""Fixed graphs and Laplacians, against networkx and SciPy."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import csgraph

from interneuron import lattices
from interneuron.errors import InputError


def same(found, graph):
    np.testing.assert_array_equal(found.toarray(), nx.to_numpy_array(graph, nodelist=sorted(graph)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (4, 1), (2, 2), (3, 4), (8, 8)])
def test_grid_is_networkx(height, width):
    same(lattices.grid(height, width), nx.grid_2d_graph(height, width))


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 8), (5, 3)])
def test_torus_is_networkx(height, width):
    same(lattices.torus(height, width), nx.grid_2d_graph(height, width, periodic=True))


@pytest.mark.parametrize(("count", "length"), [(1, 3), (1, 20), (4, 5)])
def test_rings_and_paths_are_networkx(count, length):
    rings = nx.disjoint_union_all([nx.cycle_graph(length)] * count)
    same(lattices.rings(count, length), rings)
    same(lattices.paths(count, length), nx.disjoint_union_all([nx.path_graph(length)] * count))
    assert lattices.components(lattices.rings(count, length)).tolist() == sorted([*range(count)] * length)


@pytest.mark.parametrize("nodes", [1, 2, 3, 10, 15])
def test_star_tree_and_complete_are_networkx(nodes):
    same(lattices.star(nodes), nx.star_graph(nodes - 1))
    same(lattices.tree(nodes), nx.full_rary_tree(2, nodes))
    same(lattices.complete(nodes), nx.complete_graph(nodes))


def test_capsules_join_the_same_dimension_of_all_capsules():
    rng = np.random.default_rng(0)
    v = rng.normal(size=(10, 16))
    laplacian = lattices.laplacian(lattices.capsules(10, 16))
    expected = sum(((v[c] - v[other]) ** 2).sum() for c in range(10) for other in range(c))
    assert v.ravel() @ (laplacian @ v.ravel()) == pytest.approx(expected)
    labels = lattices.components(lattices.capsules(10, 16))
    assert labels.reshape(10, 16).tolist() == [[*range(16)]] * 10


@pytest.mark.parametrize(
    ("kind", "arguments", "nodes"),
    [
        ("grid", {"height": 2, "width": 3}, 6),
        ("torus", {"height": 3, "width": 4}, 12),
        ("rings", {"count": 2, "length": 3}, 6),
        ("paths", {"count": 3, "length": 2}, 6),
        ("star", {"nodes": 5}, 5),
        ("tree", {"nodes": 7}, 7),
        ("complete", {"nodes": 4}, 4),
        ("capsules", {"count": 10, "dimensions": 16}, 160),
    ],
)
def test_graphs_by_name(kind, arguments, nodes):
    found = lattices.build(kind, arguments)
    direct = getattr(lattices, kind)(**arguments)
    assert found.shape == (nodes, nodes)
    assert found.dtype == np.float64
    assert set(found.data) == {1.0}
    assert found.has_canonical_format
    assert (found != direct).nnz == 0
    assert lattices.adjacency(found).nnz == found.nnz


@st.composite
def graphs(draw):
    """Weighted graphs, some nodes of which have no edge."""
    n = draw(st.integers(1, 9))
    weights = draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 3.0]), min_size=n * n, max_size=n * n))
    upper = np.triu(np.reshape(weights, (n, n)), 1)
    return upper + upper.T


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_laplacians_are_those_of_networkx_and_scipy(w):
    graph = nx.from_numpy_array(w)
    plain = lattices.laplacian(w).toarray()
    symmetric = lattices.laplacian(w, "symmetric").toarray()
    walk = lattices.laplacian(w, "random-walk").toarray()
    np.testing.assert_allclose(plain, nx.laplacian_matrix(graph).toarray())
    np.testing.assert_allclose(plain, csgraph.laplacian(w))
    np.testing.assert_allclose(symmetric, nx.normalized_laplacian_matrix(graph).toarray(), atol=1e-15)
    np.testing.assert_allclose(symmetric, csgraph.laplacian(w, normed=True), atol=1e-15)
    degrees = w.sum(1)
    for i, degree in enumerate(degrees):
        np.testing.assert_allclose(walk[i], plain[i] / degree if degree else 0 * plain[i], atol=1e-15)
    for found in (plain, symmetric, walk):
        assert not found[degrees == 0].any()
        assert not found[:, degrees == 0].any()


@settings(max_examples=60, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_null_space_and_the_sum_over_edges(w, random):
    n = len(w)
    labels = lattices.components(w)
    parts = list(nx.connected_components(nx.from_numpy_array(w)))
    assert len(set(labels)) == len(parts)
    assert all(len({labels[node] for node in part}) == 1 for part in parts)
    assert list(dict.fromkeys(labels)) == [*range(len(parts))]
    indicators = (labels[:, None] == np.arange(len(parts))).astype(float)
    np.testing.assert_allclose(lattices.laplacian(w) @ indicators, 0, atol=1e-12)
    np.testing.assert_allclose(lattices.laplacian(w, "random-walk") @ indicators, 0, atol=1e-12)
    root = np.sqrt(w.sum(1))[:, None]
    np.testing.assert_allclose(lattices.laplacian(w, "symmetric") @ (root * indicators), 0, atol=1e-12)
    for kind in lattices.LAPLACIANS:
        eigenvalues = np.linalg.eigvals(lattices.laplacian(w, kind).toarray())
        assert (abs(eigenvalues) < 1e-9).sum() == len(parts)
    z = np.array([random.uniform(-1, 1) for _ in range(n)])
    edges = sum(w[i, j] * (z[i] - z[j]) ** 2 for i in range(n) for j in range(i))
    assert z @ (lattices.laplacian(w) @ z) == pytest.approx(edges, abs=1e-12)


def test_a_graph_in_pieces_is_refused_where_one_is_asked_for():
    lattices.check_connected(lattices.grid(3, 3))
    with pytest.raises(InputError, match=r"falls into 7 components \(of 3, 3, 3, 3, 3, ... nodes\), and it takes one"):
        lattices.check_connected(lattices.rings(7, 3))
    with pytest.raises(InputError, match=r"2 components \(of 3, 1 nodes\)"):
        lattices.check_connected(sparse.block_diag([lattices.paths(1, 1), lattices.star(3)]))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: lattices.grid(0, 3), "graph grid: height is 0, and takes a whole number of 1 or more"),
        (lambda: lattices.grid(3, 2.0), r"graph grid: width is 2\.0"),
        (lambda: lattices.torus(3, 2), "graph torus: width is 2, and takes a whole number of 3 or more"),
        (lambda: lattices.rings(1, 2), "graph rings: length is 2"),
        (lambda: lattices.tree(True), "graph tree: nodes is True"),
        (lambda: lattices.build("cube", {}), "no graph 'cube'; there are grid, torus"),
        (lambda: lattices.build("star", {"width": 3}), "graph star: .*width"),
        (lambda: lattices.laplacian(np.zeros((2, 2)), "normalised"), "no Laplacian 'normalised'; there are unnorm"),
        (lambda: lattices.adjacency(np.zeros((2, 3))), r"shape \[2, 3\], and takes \[nodes, nodes\]"),
        (lambda: lattices.adjacency(np.zeros(4)), r"shape \[4\]"),
        (lambda: lattices.adjacency(np.zeros((0, 0))), "one node or more"),
        (lambda: lattices.adjacency(np.array([[0, -1], [-1, 0]])), "a weight that is negative"),
        (lambda: lattices.adjacency(np.array([[0, np.nan], [np.nan, 0]])), "weights of a graph hold NaN or infinite"),
        (lambda: lattices.adjacency(np.array([[0, 1], [1, 2]])), "joins node 1 to itself"),
        (lambda: lattices.adjacency(np.array([[0, 1], [0, 0]])), "is not symmetric"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
