"""Numbers for structure against brute force, networkx and dense matrices, and their permutation null."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from interneuron import lattices, structure
from interneuron.errors import InputError
from interneuron.seeds import generator

GRID = lattices.grid(6, 6)


def weighted(n, seed, share=0.3):
    """A connected graph of random weights."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(0.1, 2, (n, n)) * (rng.random((n, n)) < share), 1)
    upper[np.arange(n - 1), np.arange(1, n)] += 0.5
    return upper + upper.T


def bumps(rows, columns, seed=0):
    """Smooth maps on a grid: one hill each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    centres = rng.uniform(0, [rows, columns], (4, 2))
    return np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 4).ravel() for a, b in centres])


def test_class_maps_are_means():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(50, 7)), rng.integers(3, size=50)
    np.testing.assert_allclose(structure.class_maps(z, y, 3), [z[y == c].mean(0) for c in range(3)])


def test_segments_are_the_largest_shares():
    maps = [[4.0, 1.0, -1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
    assert structure.segment(maps).tolist() == [0, 1, -1, -1]
    assert structure.segment([maps, maps[::-1]]).tolist() == [[0, 1, -1, -1], [1, 0, -1, -1]]


@pytest.mark.parametrize("kind", lattices.LAPLACIANS)
def test_rayleigh_is_the_quotient_of_the_centred_map(kind):
    laplacian = lattices.laplacian(weighted(9, 1), kind)
    maps = np.random.default_rng(2).normal(size=(2, 3, 9)) + 5
    found = structure.rayleigh(maps, laplacian)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            z = maps[i, j] - maps[i, j].mean()
            assert found[i, j] == pytest.approx(z @ laplacian.toarray() @ z / (z @ z))
    np.testing.assert_allclose(structure.rayleigh(maps, laplacian.toarray()), found)


def test_rayleigh_of_eigenvectors_and_constants():
    laplacian = lattices.laplacian(GRID)
    eigenvalues, vectors = np.linalg.eigh(laplacian.toarray())
    np.testing.assert_allclose(structure.rayleigh(3 * vectors.T[1:] + 2, laplacian), eigenvalues[1:])
    assert structure.rayleigh(np.full(36, 0.1), laplacian) == 0
    assert structure.moran(np.full(36, 0.1), GRID) == 0


def test_moran_is_the_double_sum_and_its_mean_over_all_orders_is_exact():
    w = weighted(5, 3)
    z = np.random.default_rng(4).normal(size=5)
    c = z - z.mean()
    expected = 5 / w.sum() * sum(w[i, j] * c[i] * c[j] for i in range(5) for j in range(5)) / (c @ c)
    assert structure.moran(z, w) == pytest.approx(expected)
    everything = z[np.array([*permutations(range(5))])]
    assert structure.moran(everything, w).mean() == pytest.approx(-1 / 4)


def test_moran_of_a_checkerboard():
    board = np.indices((6, 6)).sum(0).ravel() % 2
    assert structure.moran(board, GRID) == pytest.approx(-1)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10_000), st.integers(1, 3))
def test_patches_are_those_of_networkx(nodes, seed, classes):
    w = weighted(nodes, seed)
    labels = np.random.default_rng(seed + 1).integers(-1, classes, size=(4, 2, nodes))
    purity, compactness = structure.purity(labels, w), structure.compactness(labels, w)
    assert purity.shape == compactness.shape == (4, 2)
    graph = nx.from_numpy_array(w)
    for i, j in np.ndindex(4, 2):
        label = labels[i, j]
        edges = [(a, b) for a, b in graph.edges if min(label[a], label[b]) >= 0]
        total = sum(w[a, b] for a, b in edges)
        same = sum(w[a, b] for a, b in edges if label[a] == label[b])
        assert purity[i, j] == pytest.approx(same / total if total else 0)
        largest = 0
        for c in range(classes):
            parts = nx.connected_components(graph.subgraph(np.flatnonzero(label == c).tolist()))
            largest += max(map(len, parts), default=0)
        named = (label >= 0).sum()
        assert compactness[i, j] == pytest.approx(largest / named if named else 0)


def test_ring_angles_point_at_the_bump():
    nodes = 24
    place = np.arange(nodes)
    away = (place[:, None] - place + nodes // 2) % nodes - nodes // 2
    z = np.exp(-(away**2) / 8.0) + np.random.default_rng(0).normal(size=nodes)
    expected = np.angle(np.exp(2j * np.pi * place / nodes))
    np.testing.assert_allclose(structure.ring_angles(z), expected, atol=1e-6)
    np.testing.assert_allclose(structure.ring_angles(np.stack([z, z[::-1]]))[1], expected[::-1], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_circular_correlation_is_the_double_sum(samples, seed):
    a, b = np.random.default_rng(seed).uniform(-7, 7, (2, 3, samples))
    found = structure.circular_correlation(a, b)
    for k in range(3):
        i, j = np.triu_indices(samples, 1)
        one, other = np.sin(a[k, i] - a[k, j]), np.sin(b[k, i] - b[k, j])
        assert found[k] == pytest.approx((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()), abs=1e-6)


def test_circular_correlation_of_turned_mirrored_and_unrelated_angles():
    views = np.deg2rad(5 * np.arange(72))
    assert structure.circular_correlation(views, views + 2) == pytest.approx(1)
    assert structure.circular_correlation(views, 1 - views) == pytest.approx(-1)
    assert abs(structure.circular_correlation(views, 3 * views)) < 1e-9
    assert structure.circular_correlation(views, np.full(72, 0.3)) == 0


def test_a_permutation_test_counts_its_null():
    maps = bumps(6, 6)
    seen = []

    def statistic(values):
        result = structure.moran(values, GRID).mean(-1)
        if len(values) > 1:
            seen.append(result)
        return result

    found = structure.permutation_test(statistic, maps, 99, generator(0, "null"), larger=True)
    null = np.concatenate(seen)
    assert len(null) == 99
    assert found.observed == pytest.approx(structure.moran(maps, GRID).mean())
    assert (found.mean, found.sd) == (pytest.approx(null.mean()), pytest.approx(null.std(ddof=1)))
    assert found.p == (1 + (null >= found.observed).sum()) / 100 == 0.01
    assert found.mean == pytest.approx(-1 / 35, abs=0.02)
    smaller = structure.permutation_test(statistic, maps, 99, generator(0, "null"), larger=False)
    assert smaller.p == 1


@pytest.mark.parametrize("larger", [True, False])
def test_a_test_of_quotients_is_the_permutation_test_of_their_mean(larger):
    """Three hills, noise, and a map that is the same everywhere."""
    noise = np.random.default_rng(3).normal(size=(2, 36))
    maps = np.concatenate([bumps(6, 6)[:3], noise, np.ones((1, 36))])
    laplacian, graph = lattices.laplacian(GRID), weighted(36, 1)
    for matrix, statistic in (
        (laplacian, lambda v: structure.rayleigh(v, laplacian).mean(-1)),
        (sparse.csr_array(graph) * (36 / graph.sum()), lambda v: structure.moran(v, graph).mean(-1)),
    ):
        found = structure.quotient_test(maps, matrix, 99, generator(0, "null"), larger=larger)
        expected = structure.permutation_test(statistic, maps, 99, generator(0, "null"), larger=larger)
        for name in ("observed", "mean", "sd", "p"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)


@pytest.mark.parametrize(
    ("maps", "matrix", "orders"),
    [
        (np.ones((2, 35)), GRID, 9),
        (np.ones((1, 2, 36)), GRID, 9),
        (np.ones((2, 36)), GRID, 1),
        (np.ones((2, 36)), GRID * 0, 9),
    ],
)
def test_quotients_that_do_not_fit_are_refused(maps, matrix, orders):
    with pytest.raises(InputError, match="a test of quotients takes"):
        structure.quotient_test(maps, matrix, orders, generator(0, "null"), larger=True)


def test_the_null_moves_nodes_and_keeps_maps_together(monkeypatch):
    values = np.arange(3 * 8).reshape(3, 8)
    blocks = []

    def statistic(rearranged):
        blocks.append(rearranged)
        return rearranged[..., 0].astype(float)

    found = structure.permutation_test(statistic, values, 40, generator(1, "null"), larger=True)
    orders = blocks[1][:, 0]
    assert blocks[1].shape == (40, 3, 8)
    assert (np.sort(orders) == np.arange(8)).all()
    assert len({tuple(order) for order in orders}) > 35
    np.testing.assert_array_equal(blocks[1], values[:, orders].transpose(1, 0, 2))
    assert found.observed.shape == found.p.shape == (3,)
    monkeypatch.setattr(structure, "_VALUES", 7 * 24)
    pieces = structure.permutation_test(statistic, values, 40, generator(1, "null"), larger=True)
    np.testing.assert_array_equal(pieces.p, found.p)
    assert max(map(len, blocks[2:])) == 7


def test_structure_is_found_where_it_is_and_not_where_it_is_not():
    smooth, rng = bumps(6, 6), np.random.default_rng(5)
    rough = smooth[:, rng.permutation(36)]
    laplacian = lattices.laplacian(GRID)
    tests = {
        "rayleigh": (lambda maps: structure.rayleigh(maps, laplacian).mean(-1), False),
        "moran": (lambda maps: structure.moran(maps, GRID).mean(-1), True),
        "purity": (lambda maps: structure.purity(structure.segment(maps), GRID), True),
        "compactness": (lambda maps: structure.compactness(structure.segment(maps), GRID), True),
    }
    for name, (statistic, larger) in tests.items():
        for maps, structured in ((smooth, True), (rough, False)):
            p = structure.permutation_test(statistic, maps, 199, generator(2, name), larger=larger).p
            assert p <= 0.01 if structured else p > 0.05, (name, structured, p)


def test_a_map_without_variation_is_no_evidence():
    flat = np.full((2, 36), 0.3)
    found = structure.permutation_test(
        lambda m: structure.moran(m, GRID).mean(-1), flat, 50, generator(0, "a"), larger=True
    )
    assert found.p == 1


def test_p_is_uniform_without_structure():
    rng = np.random.default_rng(6)
    p = [
        structure.permutation_test(
            lambda m: structure.moran(m, GRID), rng.normal(size=36), 39, generator(i, "null"), larger=True
        ).p.item()
        for i in range(200)
    ]
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_the_order_along_a_path_is_its_order():
    order = np.random.default_rng(7).permutation(15)
    path = lattices.paths(1, 15).toarray()[np.ix_(order, order)]
    found = structure.order_along(path)
    assert abs(structure.agreement(found, order).spearman) == pytest.approx(1)
    assert found[abs(found).argmax()] > 0
    vector = nx.fiedler_vector(nx.from_numpy_array(weighted(9, 8)), seed=0)
    mine = structure.order_along(weighted(9, 8))
    assert abs(mine @ vector) == pytest.approx(np.linalg.norm(vector), rel=1e-5)


def test_the_effective_rank_is_that_of_roy_and_vetterli():
    rng = np.random.default_rng(7)
    turn = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    for n in (1, 3, 5):
        even = np.kron(np.eye(n), [[1.0], [-1.0]])  # n directions, evenly: two samples at the ends of each
        z = 4 + np.pad(even, ((0, 0), (0, 9 - n))) @ turn
        assert structure.effective_rank(z) == pytest.approx(n)
        assert structure.effective_rank(z, 2) == pytest.approx(n)
        assert structure.large_directions(z) == n
    z = rng.normal(size=(40, 9)) * np.geomspace(1, 1e-3, 9) + 5
    # The singular values, by another road: roots of the eigenvalues of the centred product.
    roots = np.sqrt(np.linalg.eigvalsh(np.cov(z.T) * 39))
    p = roots / roots.sum()
    assert structure.effective_rank(z) == pytest.approx(np.prod(p**-p))
    q = roots**2 / (roots**2).sum()
    assert structure.effective_rank(z, 2) == pytest.approx(np.prod(q**-q))
    assert structure.large_directions(z, 0.01) == (roots > 0.01 * roots.max()).sum()
    assert structure.effective_rank(np.full((6, 3), 0.1)) == structure.large_directions(np.full((6, 3), 0.1)) == 0


def test_preferred_times_are_weighted_means():
    rng = np.random.default_rng(8)
    z, t = rng.normal(size=(30, 4)), rng.normal(size=30)
    expected = [np.average(t, weights=column - column.min()) for column in z.T]
    np.testing.assert_allclose(structure.preferred(z, t), expected)


def test_agreement_of_orders():
    one = np.arange(20.0)
    up, down = structure.agreement(one, np.exp(one)), structure.agreement(one, -one)
    assert (up.spearman, up.kendall) == (pytest.approx(1), pytest.approx(1))
    assert (down.spearman, down.kendall) == (pytest.approx(-1), pytest.approx(-1))
    assert up.spearman_p < 1e-10 > up.kendall_p
    other = np.random.default_rng(0).permutation(20)
    concordant = sum(np.sign((one[i] - one[j]) * (other[i] - other[j])) for i in range(20) for j in range(i))
    assert structure.agreement(one, other).kendall == pytest.approx(concordant / 190)


def pseudotime_by_inversion(w, root):
    """Distances of rows of the summed powers of the transition matrix, without its stationary part."""
    d = w.sum(1)
    kernel = w / np.outer(d, d)
    mass = kernel.sum(1)
    transitions = kernel / np.sqrt(np.outer(mass, mass))
    first = np.sqrt(mass / mass.sum())
    np.testing.assert_allclose(transitions @ first, first)
    summed = np.linalg.inv(np.eye(len(w)) - transitions + np.outer(first, first)) - np.eye(len(w))
    return np.linalg.norm(summed - summed[root], axis=1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pseudotime_is_the_distance_of_summed_walks(seed):
    w = weighted(30, seed, share=0.1)
    expected = pseudotime_by_inversion(w, 4)
    np.testing.assert_allclose(structure.diffusion_pseudotime(w, 4, None), expected, atol=1e-8)
    np.testing.assert_allclose(structure.diffusion_pseudotime(sparse.csr_array(w), 4, 40), expected, atol=1e-8)
    few = structure.diffusion_pseudotime(w, 4, 12)
    assert structure.agreement(few, expected).spearman > 0.95


def test_the_leading_eigenvectors_are_those_of_the_dense_matrix():
    w = weighted(60, 5, share=0.05)
    kernel = w / np.outer(w.sum(1), w.sum(1))
    eigenvalues, vectors = np.linalg.eigh(kernel / np.sqrt(np.outer(kernel.sum(1), kernel.sum(1))))
    eigenvalues, vectors = eigenvalues[-11:-1], vectors[:, -11:-1]
    leading = vectors * (eigenvalues / (1 - eigenvalues))
    expected = np.linalg.norm(leading - leading[0], axis=1)
    for seed in (0, 1):
        np.testing.assert_allclose(structure.diffusion_pseudotime(w, 0, 10, seed), expected, atol=1e-6)
    np.testing.assert_array_equal(*(structure.diffusion_pseudotime(w, 0, 10, 3) for _ in range(2)))


def test_pseudotime_along_a_line_and_across_a_gap():
    place = np.arange(12)
    line = np.exp(-((place[:, None] - place) ** 2) / 8.0) - np.eye(12)
    w = sparse.block_diag([line, lattices.grid(2, 2), lattices.paths(1, 1)])
    found = structure.diffusion_pseudotime(w, 0, None)
    assert found[0] == 0
    # The ends have fewer neighbours, and their neighbours trade places: order holds but there.
    assert (np.diff(found[2:11]) > 0).all()
    assert structure.agreement(found[:12], place).spearman > 0.97
    assert np.isinf(found[12:]).all()
    alone = structure.diffusion_pseudotime(w, 16)
    assert alone[16] == 0
    assert np.isinf(alone[:16]).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: structure.effective_rank(np.zeros(4)),
            r"activations have the shape \[4\], and take \[samples, nodes\]",
        ),
        (lambda: structure.effective_rank(np.zeros((4, 2)), 3), "the power is 3, and takes 1 or 2"),
        (lambda: structure.large_directions(np.zeros((4, 2)), 1), "the share is 1, and takes 0 up to below 1"),
        (lambda: structure.class_maps(np.zeros((4, 2)), [0, 1], 2), r"\[4, 2\] and classes \[2\] do not fit"),
        (lambda: structure.class_maps(np.zeros((2, 2)), [0, 0], 2), r"classes have \[2, 0\] samples"),
        (lambda: structure.class_maps(np.zeros((2, 2)), [0, 2], 2), r"classes have \[1, 0, 1\] samples, and each of 2"),
        (lambda: structure.rayleigh(np.zeros(5), lattices.laplacian(GRID)), r"shape \[5\], and a graph of 36 nodes"),
        (lambda: structure.moran(np.zeros(3), np.zeros((3, 3))), "the graph has no edges"),
        (lambda: structure.purity(np.zeros(5, int), GRID), r"labels have the shape \[5\], and a graph of 36"),
        (lambda: null(np.zeros((2, 0)), 9), r"shape \[2, 0\] and 9 orders"),
        (lambda: null(np.zeros(3), 1), "1 orders are asked for"),
        (lambda: null(np.full(3, np.nan), 9), "values hold NaN or infinite numbers"),
        (lambda: structure.order_along(lattices.rings(2, 4)), "falls into 2 components"),
        (lambda: structure.order_along(lattices.star(1)), "the graph has one node"),
        (lambda: structure.preferred(np.zeros((4, 2)), np.zeros(3)), r"\[4, 2\] and times \[3\] do not fit"),
        (lambda: structure.preferred(np.zeros((4, 2)), np.full(4, np.inf)), "times hold NaN or infinite numbers"),
        (lambda: structure.preferred([[0.0, 1], [1, 1]], [0, 1]), "node 1 has one activation throughout"),
        (lambda: structure.agreement([1, 2], [1, 2]), "n of 3 up"),
        (lambda: structure.agreement([1, 2, 3], [1, 1, 1]), "an order is the same everywhere"),
        (lambda: structure.diffusion_pseudotime(GRID, 36), "the root is cell 36, and takes 0 to 35"),
        (lambda: structure.diffusion_pseudotime(GRID, 0, 0), "components is 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


def null(values, orders):
    return structure.permutation_test(lambda v: v.sum(-1), values, orders, generator(0, "a"), larger=True)
