"""Influence against eigenvectors, plain loops and the published listing, and what it refuses."""

import runpy
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import spearmanr

from interneuron import graphs
from interneuron.errors import InputError
from interneuron.influence import VARIANTS, as_published, criticisms, high_pass, influence, prototypes

ROOT = Path(__file__).resolve().parent.parent
listing = runpy.run_path(str(ROOT / "benchmarks/margin_listing.py"))["listing"]
rng = np.random.default_rng(0)


def knn(n=60, k=6, weights="binary", links="union"):
    return graphs.knn_graph(graphs.neighbours(rng.normal(size=(n, 3)), k), links=links, weights=weights)


@pytest.mark.parametrize("kind", graphs.NORMALISATIONS)
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("weights", graphs.WEIGHTS)
def test_high_pass_in_the_graph_fourier_basis(kind, p, weights):
    w, f = knn(weights=weights).astype(np.float64), rng.normal(size=60)
    shift = graphs.normalise(w, kind)
    values, vectors = np.linalg.eig(shift.toarray())
    want = np.abs(vectors @ ((1 - values**p) * np.linalg.solve(vectors, f)))
    np.testing.assert_allclose(high_pass(shift, f, p), want, atol=1e-9)
    np.testing.assert_allclose(influence(w, f, kind, p), want / want.max(), atol=1e-9)


def test_high_pass_worked_out_by_hand():
    # A path 0 - 1 - 2 and an isolated node.
    w = graphs.from_links([[0, 1], [1, 2]], 4)
    f = np.array([1.0, 2, 4, 9])
    np.testing.assert_allclose(high_pass(graphs.normalise(w, "random-walk"), f), [1, 0.5, 2, 0])
    r = np.sqrt(0.5)
    want = [abs(1 - 2 * r), abs(2 - 5 * r), abs(4 - 2 * r), 0]
    np.testing.assert_allclose(high_pass(graphs.normalise(w), f), want, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 15), st.integers(1, 3))
def test_what_is_smooth_has_no_influence(seed, n, p):
    graph = nx.gnp_random_graph(n, 0.3, seed=seed)
    w = nx.to_scipy_sparse_array(graph, dtype=np.float64, weight=None)
    np.testing.assert_allclose(high_pass(graphs.normalise(w, "random-walk"), np.full(n, 3.0), p), 0, atol=1e-12)
    smooth = np.sqrt(graphs.degrees(w))
    np.testing.assert_allclose(high_pass(graphs.normalise(w), smooth, p), 0, atol=1e-12)
    f = np.random.default_rng(seed).normal(size=n)
    shift = graphs.normalise(w)
    np.testing.assert_allclose(high_pass(shift, -2 * f, p), 2 * high_pass(shift, f, p), atol=1e-12)
    # No eigenvalue is below -1.
    assert np.linalg.norm(high_pass(shift, f, p)) <= 2 * np.linalg.norm(f) + 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_columns_are_filtered_each_and_their_norm_taken(variant):
    w, f = knn().astype(np.float64), rng.normal(size=(60, 5))
    if variant == "f-alone":
        want = np.linalg.norm(f, axis=1)
    elif variant == "as-published":
        # Differences of one column of known scale: columns with a common largest value.
        dense = w.toarray()
        count = dense.sum(axis=1)
        step = dense / np.sqrt(np.outer(count, count)) / count[:, None]
        want = np.linalg.norm((np.eye(60) - step) @ step @ f, axis=1)
    else:
        shift = graphs.normalise(w, variant)
        want = np.sqrt(sum(high_pass(shift, column) ** 2 for column in f.T))
    np.testing.assert_allclose(influence(w, f, variant), want / want.max(), atol=1e-12)
    one = influence(w, f[:, :1], variant)
    np.testing.assert_allclose(one, np.abs(influence(w, f[:, 0], variant)), atol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("weights", graphs.WEIGHTS)
@pytest.mark.parametrize("links", ["union", "directed"])
def test_as_published_is_the_listing(p, weights, links):
    w, f = knn(200, 8, weights, links), rng.normal(size=200)
    want = listing(sparse.csr_matrix(w.astype(np.float64)), f, p)
    np.testing.assert_allclose(as_published(w, f, p), want, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(influence(w, f, "as-published", p), want, rtol=1e-6, atol=1e-9)


def test_as_published_is_the_listing_with_self_loops():
    links = [[0, 1], [1, 2], [2, 2], [2, 3], [3, 0], [0, 0]]
    w, f = graphs.from_links(links, 4, loops=True), rng.normal(size=4)
    for p in (1, 2):
        np.testing.assert_allclose(as_published(w, f, p), listing(sparse.csr_matrix(w), f, p), rtol=1e-6)


def test_the_listing_is_not_the_high_pass_of_the_text():
    """Where labels are flipped, the text's filter finds them; the listing ranks like a mean over neighbours."""
    x = np.repeat([[0.0, 0], [6, 0]], 150, axis=0) + rng.normal(size=(300, 2))
    true = np.repeat([0, 1], 150)
    flipped = rng.permutation(300) < 30
    labels = np.where(flipped, 1 - true, true)
    w = graphs.knn_graph(graphs.neighbours(x, 10))
    rows, columns = w.nonzero()
    differ = np.bincount(rows, labels[rows] != labels[columns]) / np.diff(w.indptr)

    def found(score):
        return flipped[np.argsort(-score)[:30]].mean()

    assert found(influence(w, differ, "symmetric")) > 0.9
    assert found(influence(w, differ, "random-walk")) > 0.9
    assert found(influence(w, differ, "f-alone")) > 0.9
    published = influence(w, differ, "as-published")
    assert found(published) < 0.4
    degree = np.diff(w.indptr)
    mean = (w @ (differ / np.sqrt(degree))) / degree**1.5
    assert spearmanr(published, mean).statistic > 0.98


def test_f_alone_keeps_its_order_and_sign():
    w, f = knn(), rng.normal(size=60)
    np.testing.assert_allclose(influence(w, f, "f-alone"), f / np.abs(f).max(), rtol=1e-6)


def test_input_is_left_as_it_was():
    w, f = knn(), rng.normal(size=60).astype(np.float32)
    before, signal = w.copy(), f.copy()
    for variant in VARIANTS:
        scores = influence(w, f, variant)
        assert scores.shape == (60,)
        assert np.abs(scores).max() == pytest.approx(1)
        assert not influence(w, np.zeros(60), variant).any()
    np.testing.assert_array_equal(f, signal)
    assert (w != before).nnz == 0
    assert high_pass(graphs.normalise(w), f).dtype == np.float32


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("f", "p", "words"),
    [
        (np.zeros(59), 1, r"f has the shape \[59\]; a graph of 60 nodes takes \[60\] or \[60, columns\]"),
        (np.zeros((60, 2, 2)), 1, r"f has the shape \[60, 2, 2\]"),
        (np.where(np.arange(60) == 7, np.nan, 0), 1, r"values of f hold NaN .*first at \[7\]"),
        (
            np.where(np.arange(120) == 15, np.inf, 0).reshape(60, 2),
            1,
            r"values of f hold NaN .*first at \[7, 1\]",
        ),
        (np.zeros(60), 0, "p is 0; influence takes 1 hop or more"),
    ],
)
def test_what_influence_refuses(variant, f, p, words):
    with pytest.raises(InputError, match=words):
        influence(knn(), f, variant, p)


def test_graphs_that_influence_refuses():
    directed = graphs.from_links([[0, 1], [1, 2], [2, 0]], 3, directed=True)
    with pytest.raises(InputError, match="not symmetric"):
        influence(directed, np.zeros(3))
    assert influence(directed, [0, 0, 1], "random-walk").tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="negative"):
        influence(sparse.csr_array(np.array([[0.0, -1], [-1, 0]])), [0, 1], "f-alone")
    with pytest.raises(InputError, match="node 2 has no neighbour 1 hops away"):
        as_published(graphs.from_links([[0, 1]], 3), [1, 2, 3])
    with pytest.raises(InputError, match="variant is 'low-pass'; influence takes 'symmetric', 'random-walk', 'as-pub"):
        influence(directed, np.zeros(3), "low-pass")


# prototypes and criticisms


def test_prototypes_and_criticisms_by_hand() -> None:
    influence, f = np.array([0.1, 0.9, 0.3, 0.2, 0.5, 0.2]), np.array([3.0, 9, 1, 2, 8, 5])
    classes = np.array([0, 0, 0, 1, 1, 0])
    assert prototypes(influence, f, 4).tolist() == [0, 3, 5, 2]
    assert prototypes(influence, f, 3, "f-least", 2 / 3).tolist() == [2, 3, 0]
    assert prototypes(influence, f, 3, "f-most", 2 / 3).tolist() == [5, 0, 3]
    assert prototypes(influence, f, 4, classes=classes).tolist() == [0, 3, 5, 4]
    assert criticisms(influence, 3).tolist() == [1, 4, 2]
    assert criticisms(influence, 4, classes).tolist() == [1, 4, 2, 3]


@given(st.integers(0, 1000), st.integers(1, 20))
def test_the_first_of_more_are_the_fewer(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    influence, f, classes = random.random(20), random.random(20), random.integers(0, 3, 20)
    for of in (None, classes):
        whole = prototypes(influence, f, 20, "f-most", 1.0, of)
        assert sorted(whole) == list(range(20))
        assert prototypes(influence, f, count, "f-most", 1.0, of).tolist() == whole[:count].tolist()
        assert criticisms(influence, count, of).tolist() == criticisms(influence, 20, of)[:count].tolist()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.ones(3), np.ones(3), 1, "least"), "order is 'least' and threshold 1; prototypes take influence, f-least"),
        ((np.ones(3), np.ones(3), 1, "f-most", 0.0), "order is 'f-most' and threshold 0; prototypes take"),
        ((np.ones(3), np.ones(2), 1), r"values of f have the shape \[2\], and take \[3\]"),
        ((np.ones(4), np.ones(4), 3, "f-least", 0.5), "3 samples asked of 2; a selection takes no more than there are"),
    ],
)
def test_prototypes_refuse(arguments: tuple, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        prototypes(*arguments)
