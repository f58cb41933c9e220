"""Nearest neighbours against a brute search, graphs against networkx and scikit-learn, and what graphs refuse."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.neighbors import kneighbors_graph

from interneuron import graphs
from interneuron.errors import InputError

rng = np.random.default_rng(0)


def brute(x, k):
    """The k nearest others of each sample, ties to the first, in float64."""
    squares = ((x[:, None].astype(np.float64) - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    index = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return index, np.sqrt(np.take_along_axis(squares, index, axis=1))


def blobs(n=1500, d=5, count=20):
    return (rng.normal(size=(count, d))[rng.integers(count, size=n)] * 3 + rng.normal(size=(n, d))).astype(np.float32)


def square(weights):
    return sparse.csr_array(np.array(weights, np.float32))


TRIANGLE_AND_ONE = [[0, 1, 2, 0], [1, 0, 4, 0], [2, 4, 0, 0], [0, 0, 0, 0]]


# neighbours


def test_neighbours_are_those_of_a_brute_search():
    x = rng.normal(size=(300, 7)).astype(np.float32)
    found = graphs.neighbours(x, 12)
    index, distance = brute(x, 12)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)
    assert (found.index.dtype, found.distance.dtype, found.recall) == (np.int32, np.float32, 1.0)


# Whole numbers: many ties and duplicates, and distances without rounding.
@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(2, 40), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.integers(0, 2).map(float))
    ),
    st.data(),
)
def test_ties_and_duplicates_go_by_the_order_of_samples(x, data):
    k = data.draw(st.integers(1, len(x) - 1))
    found = graphs.neighbours(x, k)
    index, distance = brute(x, k)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)


def test_samples_that_are_all_one():
    found = graphs.neighbours(np.full((30, 4), 7), 5)
    np.testing.assert_array_equal(found.index[10], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(found.index[0], [1, 2, 3, 4, 5])
    assert not found.distance.any()


def test_far_from_the_origin_duplicates_are_still_at_0():
    x = np.repeat(rng.normal(size=(40, 5)) * 1e-2 + 1000, 3, axis=0).astype(np.float32)
    found = graphs.neighbours(x, 2)
    np.testing.assert_array_equal(found.index, brute(x, 2)[0])
    assert not found.distance[:, :2].any()


def test_whole_numbers_near_2_to_the_53_are_told_apart():
    x = rng.integers(0, 3, (60, 3))
    found = graphs.neighbours(x + 2**53 - 4, 5)
    np.testing.assert_array_equal(found.index, brute(x, 5)[0])
    np.testing.assert_allclose(found.distance, brute(x, 5)[1], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-20, 1e20, 1e37])
def test_neighbours_of_any_size(scale):
    x = rng.normal(size=(80, 4))
    want, distance = brute(x, 6)
    found = graphs.neighbours(scale * x, 6)
    np.testing.assert_array_equal(found.index, want)
    # Below 1e-38 float32 has few digits, and then none.
    np.testing.assert_allclose(found.distance, scale * distance, rtol=1e-6, atol=1e-44)
    np.testing.assert_array_equal(graphs.nearest(scale * x[40:], scale * x[:40]), brute_nearest(x[40:], x[:40]))
    by_angle = graphs.neighbours(scale * x, 6, "cosine")
    np.testing.assert_array_equal(by_angle.index, graphs.neighbours(x, 6, "cosine").index)


def brute_nearest(x, others):
    return ((others[:, None] - x) ** 2).sum(axis=2).argmin(axis=1)


def test_samples_that_one_far_away_outweighs():
    x = np.append(rng.normal(size=(80, 4)), [[1e30, 0, 0, 0]], axis=0)
    np.testing.assert_array_equal(graphs.neighbours(x, 6).index[:80], brute(x[:80], 6)[0])
    with pytest.raises(InputError, match=r"samples lie up to 1e.200 apart, and float32 holds distances up to"):
        graphs.neighbours(np.append(x, [[1e200, 0, 0, 0]], axis=0), 6)


def test_lists_of_samples_far_from_0():
    x = blobs().astype(np.float64)
    near, far = (graphs.neighbours(x + offset, 10, search="lists", seed=3) for offset in (0, 2.0**33))
    assert far.recall > 0.99
    np.testing.assert_allclose(far.distance, near.distance, rtol=1e-4)


def test_cosine_of_samples_far_from_0():
    x = rng.normal(size=(60, 3))
    unit = (x + 1e6) / np.linalg.norm(x + 1e6, axis=1, keepdims=True)
    found = graphs.neighbours(x + 1e6, 5, "cosine")
    np.testing.assert_array_equal(found.index, brute(unit, 5)[0])
    assert (found.distance > 0).all()


def test_nearest_takes_the_first_of_equally_near_ones():
    x = rng.integers(0, 3, (200, 2))
    np.testing.assert_array_equal(graphs.nearest(x, x + 0.25), brute_nearest(x, x + 0.25))
    with pytest.raises(InputError, match=r"other samples have the shape \[3, 1\], and take \[samples, 2\]"):
        graphs.nearest(x, np.ones((3, 1)))


def test_cosine():
    x = rng.normal(size=(80, 6)).astype(np.float32)
    found = graphs.neighbours(x * rng.uniform(0.1, 10, (80, 1)).astype(np.float32), 9, "cosine")
    cosine = x @ x.T / np.outer(*[np.linalg.norm(x, axis=1)] * 2)
    np.fill_diagonal(cosine, -2)
    np.testing.assert_array_equal(found.index, np.argsort(-cosine, axis=1)[:, :9])
    np.testing.assert_allclose(found.distance, 1 + np.sort(-cosine, axis=1)[:, :9], atol=1e-6)


def test_lists_of_clumps_that_lie_far_from_each_other():
    x = np.random.default_rng(0).normal(size=(1200, 4))
    x[::2] += 1e8
    found, exact = (graphs.neighbours(x, 5, search=search) for search in ("lists", "exact"))
    assert found.recall == 1
    np.testing.assert_array_equal(found.index, exact.index)
    np.testing.assert_array_equal(found.distance, exact.distance)


def test_lists_find_what_they_say():
    x = blobs()
    found = graphs.neighbours(x, 10, search="lists", seed=3)
    index, distance = brute(x, 10)
    hits = np.array([len(np.intersect1d(a, b)) for a, b in zip(found.index, index, strict=True)]) / 10
    assert hits.mean() > 0.99
    # The measured recall is that of a sample of 500.
    assert abs(found.recall - hits.mean()) < 5 * hits.std() / np.sqrt(500)
    right = hits == 1
    np.testing.assert_allclose(found.distance[right], distance[right], rtol=1e-6)
    assert (np.diff(found.distance, axis=1) >= 0).all()
    again = graphs.neighbours(x, 10, search="lists", seed=3)
    np.testing.assert_array_equal(found.index, again.index)
    assert found.recall == again.recall


def test_samples_whose_lists_are_too_short_are_searched_in_full(monkeypatch):
    monkeypatch.setattr(graphs, "_RECALL", 0.01)
    x = blobs(400, 3, 4)
    short = graphs.neighbours(x, 399, search="lists")
    np.testing.assert_array_equal(short.index, brute(x, 399)[0])
    assert short.recall == 1
    monkeypatch.setattr(graphs, "_PROMISED", 0)
    found = graphs.neighbours(x, 20, search="lists")
    assert 0.1 < found.recall < 0.99
    assert all(len(set(row)) == 20 and i not in row and min(row) >= 0 for i, row in enumerate(found.index.tolist()))


def test_lists_of_duplicates():
    found = graphs.neighbours(np.ones((100, 2)), 4, search="lists")
    assert not found.distance.any()
    assert all(i not in row for i, row in enumerate(found.index.tolist()))


@pytest.mark.parametrize(
    ("x", "k", "more", "words"),
    [
        (np.zeros((5, 2)), 5, {}, "k is 5 for 5 samples; nearest neighbours take 1 to 4"),
        (np.zeros((5, 2)), 0, {}, "k is 0"),
        (np.zeros(5), 1, {}, r"shape \[5\]"),
        (np.array([[0.0], [np.nan], [1]]), 1, {}, "NaN or infinite"),
        (np.array([[0.0], [np.inf], [1]]), 1, {}, "NaN or infinite"),
        (np.array([[1.0], [0], [1]]), 1, {"metric": "cosine"}, "sample 1 is 0 throughout"),
        (np.ones((3, 1)), 1, {"metric": "manhattan"}, "metric is 'manhattan'; it takes 'euclidean', 'cosine'"),
        (np.ones((3, 1)), 1, {"search": "quick"}, "search is 'quick'"),
    ],
)
def test_what_neighbours_refuse(x, k, more, words):
    with pytest.raises(InputError, match=words):
        graphs.neighbours(x, k, **more)


# graphs of neighbours


def test_graphs_are_scikit_learns():
    x = rng.normal(size=(90, 4))
    found = graphs.neighbours(x, 20)
    for k in (1, 7, 20):
        directed = graphs.knn_graph(found, k, links="directed")
        want = kneighbors_graph(x, k, include_self=False).toarray()
        np.testing.assert_array_equal(directed.toarray(), want)
        np.testing.assert_array_equal(graphs.knn_graph(found, k).toarray(), np.maximum(want, want.T))
        np.testing.assert_array_equal(graphs.knn_graph(found, k, links="mutual").toarray(), want * want.T)
    assert directed.dtype == np.float32
    assert directed.has_sorted_indices


def test_one_search_serves_every_k():
    x = rng.integers(0, 3, (200, 3))
    most = graphs.neighbours(x, 40)
    for k in (1, 10, 39):
        alone = graphs.knn_graph(graphs.neighbours(x, k), weights="gaussian", bandwidth=1.0)
        assert (alone != graphs.knn_graph(most, k, weights="gaussian", bandwidth=1.0)).nnz == 0


def test_mutual_links_may_leave_a_node_alone():
    graph = graphs.knn_graph(graphs.neighbours([[0.0], [1], [2], [10]], 1), links="mutual")
    np.testing.assert_array_equal(graph.toarray(), square(np.eye(4)[[1, 0, 3, 3]] * [[1], [1], [0], [0]]).toarray())
    np.testing.assert_array_equal(graphs.degrees(graph), [1, 1, 0, 0])


@pytest.mark.parametrize("links", graphs.LINKS)
def test_gaussian_weights(links):
    x = rng.normal(size=(60, 3)).astype(np.float32)
    found = graphs.neighbours(x, 8)
    width = graphs.bandwidth(found, 5)
    assert width == pytest.approx(np.median(brute(x, 5)[1][:, -1]))
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    want = np.exp(-squares / (2 * width**2)) * (graphs.knn_graph(found, 5, links).toarray() > 0)
    got = graphs.knn_graph(found, 5, links, "gaussian")
    np.testing.assert_allclose(got.toarray(), want, rtol=1e-5)
    if links != "directed":
        assert (got != got.T).nnz == 0


def test_no_gaussian_link_vanishes():
    graph = graphs.knn_graph(graphs.neighbours([[0.0], [1], [5000]], 1), weights="gaussian", bandwidth=1.0)
    assert graph.nnz == 4
    assert graph.data.min() > 0
    for kind in graphs.NORMALISATIONS:
        assert np.isfinite(graphs.normalise(graph, kind).data).all()


@pytest.mark.parametrize("weight", [1e308, 1e-310])
def test_what_has_no_degree_is_refused(weight):
    with pytest.raises(InputError, match=r"weights of node 0 add up to (more than 1e308|less than 1e-308)"):
        graphs.normalise(np.full((3, 3), weight))


def test_what_graphs_of_neighbours_refuse():
    found = graphs.neighbours(rng.normal(size=(9, 2)), 3)
    with pytest.raises(InputError, match="k is 4; 3 neighbours of each sample were found, so it takes 1 to 3"):
        graphs.knn_graph(found, 4)
    with pytest.raises(InputError, match="links is 'both'; it takes 'directed', 'mutual', 'union'"):
        graphs.knn_graph(found, links="both")
    with pytest.raises(InputError, match="weights is 'tricube'"):
        graphs.knn_graph(found, weights="tricube")
    with pytest.raises(InputError, match="bandwidth is 0; Gaussian weights take a number above 0"):
        graphs.knn_graph(graphs.neighbours(np.ones((9, 2)), 3), weights="gaussian")


# given graphs


def test_links_are_networkxs():
    links = rng.integers(0, 12, (40, 2))
    weights = rng.uniform(1, 2, 40)
    for directed in (False, True):
        graph = nx.DiGraph() if directed else nx.Graph()
        graph.add_nodes_from(range(15))
        for (a, b), weight in zip(links.tolist(), weights, strict=True):
            if a != b:
                old = graph.get_edge_data(a, b, {"weight": 0})["weight"]
                graph.add_edge(a, b, weight=max(old, weight))
        ours = graphs.from_links(links, 15, weights, directed=directed)
        np.testing.assert_allclose(ours.toarray(), nx.to_numpy_array(graph), rtol=1e-6)
        np.testing.assert_array_equal(graphs.from_links(links, 15, directed=directed).toarray(), ours.toarray() > 0)


def test_self_loops_and_nodes_without_links():
    links = [[0, 0], [0, 1], [1, 0], [3, 3]]
    np.testing.assert_array_equal(
        graphs.from_links(links, 5).toarray(),
        square(np.eye(5)[[1, 0, 4, 4, 4]]).toarray() * np.array([[1], [1], [0], [0], [0]]),
    )
    with_loops = graphs.from_links(links, 5, loops=True)
    np.testing.assert_array_equal(with_loops.diagonal(), [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(graphs.degrees(with_loops), [2, 1, 0, 1, 0])
    assert graphs.from_links([], 4).nnz == 0


@pytest.mark.parametrize(
    ("links", "weights", "words"),
    [
        ([[0, 4]], None, "a link names node 4; a graph on 4 nodes takes 0 to 3"),
        ([[-1, 2]], None, "names node -1"),
        ([[0.5, 2]], None, r"links hold 0\.5, and take whole numbers"),
        ([0, 2], None, r"links have the shape \[2\], and take \[links, 2\]"),
        ([[0, 1]], [-1.0], "weights of links run from -1 to -1, and take float32 numbers above 0"),
        ([[0, 1]], [1e200], "weights of links run from 1e.200 to 1e.200, and take float32"),
        ([[0, 1]], [1e-200], "take float32 numbers above 0"),
        ([[0, 1]], [np.nan], "weights of links hold NaN"),
        ([[0, 1]], [1, 2], r"weights of links have the shape \[2\], and take \[1\]"),
    ],
)
def test_what_lists_of_links_refuse(links, weights, words):
    with pytest.raises(InputError, match=words):
        graphs.from_links(links, 4, weights)


def test_checked_hands_on_what_is_right_and_puts_the_rest_in_form():
    graph = square(TRIANGLE_AND_ONE)
    assert graphs.checked(graph, symmetric=True) is graph
    for other in (np.array(TRIANGLE_AND_ONE), sparse.coo_matrix(graph), sparse.csc_array(graph)):
        np.testing.assert_array_equal(graphs.checked(other).toarray(), TRIANGLE_AND_ONE)
        assert graphs.checked(other).dtype in (np.float32, np.float64)
    untidy = sparse.csr_array((np.float32([1, 2, 0, 3]), [1, 1, 0, 0], [0, 3, 4]), (2, 2))
    tidy = graphs.checked(untidy)
    np.testing.assert_array_equal(tidy.toarray(), [[0, 3], [3, 0]])
    assert tidy.nnz == 2
    assert untidy.nnz == 4


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([[0, 1, 0], [1, 0, 1]], r"shape \[2, 3\]"),
        ([[0, -1], [-1, 0]], "negative somewhere"),
        ([[0, np.nan], [1, 0]], "infinite or NaN somewhere"),
        ([[0, np.inf], [1, 0]], "infinite or NaN somewhere"),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], "not symmetric.*graphs.symmetrise"),
        ([[0, 1], [1.001, 0]], "not symmetric"),
    ],
)
def test_what_given_graphs_refuse(weights, words):
    with pytest.raises(InputError, match=words):
        graphs.checked(square(weights), symmetric=True)


def test_symmetrise():
    weights = np.array([[0, 1, 3], [2, 0, 0], [0, 0, 5]], np.float32)
    for how, want in (
        ("maximum", np.maximum(weights, weights.T)),
        ("minimum", np.minimum(weights, weights.T)),
        ("mean", (weights + weights.T) / 2),
    ):
        got = graphs.symmetrise(square(weights), how)
        np.testing.assert_array_equal(got.toarray(), want)
        assert got.nnz == np.count_nonzero(want)
    with pytest.raises(InputError, match="how is 'sum'"):
        graphs.symmetrise(square(weights), "sum")


# graph shifts


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 9), st.booleans())
def test_counts_of_links_and_symmetry(seed, n, made_symmetric):
    stream = np.random.default_rng(seed)
    weights = stream.integers(1, 3, (n, n)) * (stream.random((n, n)) < 0.4)
    if made_symmetric:
        weights = np.maximum(weights, weights.T)
    graph = sparse.csr_array(weights.astype(np.float32))
    want = nx.from_scipy_sparse_array(graph).degree()
    assert graphs.link_counts(graph).tolist() == [count for _, count in sorted(want)]
    if (weights == weights.T).all():
        assert graphs.checked(graph, symmetric=True) is graph
    else:
        with pytest.raises(InputError, match="not symmetric"):
            graphs.checked(graph, symmetric=True)


def test_normalisations_are_networkxs():
    graph = nx.gnp_random_graph(40, 0.2, seed=1)
    for a, b in graph.edges:
        graph[a][b]["weight"] = 1 + (a * b) % 5
    weights = nx.to_scipy_sparse_array(graph, dtype=np.float64)
    assert graphs.degrees(weights).min() > 0
    want = np.eye(40) - nx.normalized_laplacian_matrix(graph).toarray()
    np.testing.assert_allclose(graphs.normalise(weights).toarray(), want, atol=1e-12)
    walk = weights.toarray() / weights.toarray().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(graphs.normalise(weights, "random-walk").toarray(), walk, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 12).flatmap(
        lambda n: arrays(np.float64, (n, n), elements=st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]))
    )
)
def test_shifts_keep_what_is_smooth(weights):
    weights = np.maximum(weights, weights.T)
    for graph in (sparse.csr_array(weights), sparse.csr_array(weights.astype(np.float32))):
        symmetric, walk = graphs.normalise(graph), graphs.normalise(graph, "random-walk")
        assert symmetric.dtype == walk.dtype == graph.dtype
        np.testing.assert_allclose(walk @ np.ones(len(weights)), 1, rtol=1e-6)
        smooth = np.sqrt(graphs.degrees(graph))
        np.testing.assert_allclose(symmetric @ smooth, smooth, rtol=1e-6)
        assert np.abs(np.linalg.eigvalsh(symmetric.toarray())).max() < 1 + 1e-6


def test_isolated_nodes_keep_their_values():
    graph = square(TRIANGLE_AND_ONE)
    before = graph.copy()
    for kind in graphs.NORMALISATIONS:
        shift = graphs.normalise(graph, kind)
        np.testing.assert_array_equal(shift.toarray()[3], [0, 0, 0, 1])
        np.testing.assert_array_equal(shift.toarray()[:, 3], [0, 0, 0, 1])
    assert (graph != before).nnz == 0


def test_directed_graphs_have_a_random_walk_only():
    graph = graphs.knn_graph(graphs.neighbours(rng.normal(size=(20, 2)), 3), links="directed")
    np.testing.assert_allclose(graphs.normalise(graph, "random-walk").toarray(), graph.toarray() / 3, rtol=1e-6)
    with pytest.raises(InputError, match="not symmetric"):
        graphs.normalise(graph)
    with pytest.raises(InputError, match="kind is 'row'; it takes 'symmetric', 'random-walk'"):
        graphs.normalise(graph, "row")


# principal components


def test_components_are_scikit_learns() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)) * [5, 1, 3, 0.1, 2, 4]
    found = graphs.principal_components(x, 3)
    theirs = PCA(3).fit_transform(x)
    np.testing.assert_allclose(np.abs(found), np.abs(theirs), atol=1e-4)
    whole = graphs.principal_components(x, 6)
    np.testing.assert_allclose(pdist(whole), pdist(x), rtol=1e-4)


@pytest.mark.parametrize("count", [0, 7])
def test_components_refuse(count: int) -> None:
    with pytest.raises(InputError, match=f"{count} components asked of 6 features; it takes 1 to as many as there are"):
        graphs.principal_components(np.ones((9, 6)), count)
