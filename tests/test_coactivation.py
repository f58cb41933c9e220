"""Learned graphs against written-out formulas, scikit-learn and networkx."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import kneighbors_graph

from interneuron import coactivation, lattices
from interneuron.errors import InputError


def activations(*shape, seed=0, dtype=torch.float32):
    """Activations after a ReLU, of neurons in a few groups of unlike scale and offset."""
    rng = np.random.default_rng(seed)
    *stack, samples, neurons = shape
    drive = rng.normal(size=(*stack, samples, 3)) @ rng.normal(size=(3, neurons))
    noise = rng.normal(size=shape) * rng.uniform(0.1, 1, neurons)
    return torch.from_numpy(np.maximum(drive + noise + rng.normal(size=neurons), 0)).to(dtype)


@pytest.mark.parametrize(("shape", "dtype"), [((40, 12), torch.float32), ((3, 1, 5), torch.float64)])
def test_distances_are_scipys(shape, dtype):
    z = activations(*shape, dtype=dtype) + 100
    found = coactivation.squared_distances(z)
    for mine, one in zip(found.reshape(-1, *found.shape[-2:]), z.reshape(-1, *shape[-2:]), strict=True):
        expected = cdist(one.T, one.T, "sqeuclidean")
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-4 * expected.max())
    assert torch.equal(found, found.mT)


def test_equal_neurons_have_distance_zero():
    z = activations(5_000, 60) * 50 + 3
    z[:, 30:] = z[:, :30]
    found = coactivation.squared_distances(z)
    pairs = torch.arange(30)
    assert not found[pairs, pairs + 30].any()
    assert (found[:30, :30] > 0).sum() == 30 * 29


def test_the_adaptive_kernel_is_the_formula():
    z = activations(200, 9, dtype=torch.float64)
    for k in (1, 2, 5):
        found = coactivation.adaptive_kernel(z, k)
        distances = cdist(z.T, z.T)
        bandwidth = [sorted(np.delete(row, i))[k - 1] for i, row in enumerate(distances)]
        for i in range(9):
            assert found[i, i] == 0
            for j in range(i):
                square = distances[i, j] ** 2
                expected = np.exp(-square / bandwidth[i] ** 2) / 2 + np.exp(-square / bandwidth[j] ** 2) / 2
                assert found[i, j].item() == pytest.approx(expected)
                assert found[i, j] == found[j, i]


def test_dead_neurons_are_a_component_of_their_own_unless_left_out():
    rng = np.random.default_rng(0)
    z = np.zeros((300, 11))
    z[:, :4] = rng.normal(size=(300, 1)) + 0.1 * rng.normal(size=(300, 4))
    z[:, 4:8] = rng.normal(size=(300, 1)) + 0.1 * rng.normal(size=(300, 4))
    z = torch.from_numpy(z)
    assert coactivation.silent(z).tolist() == [False] * 8 + [True] * 3
    kernel = coactivation.adaptive_kernel(z, 2)
    assert kernel[8:, 8:].sum() == 6
    assert not kernel[8:, :8].gt(0.1).any()
    assert coactivation.components(kernel, above=0.1) == 3
    assert coactivation.components(kernel, above=0.1, among=~coactivation.silent(z)) == 2
    assert coactivation.components(kernel, among=torch.zeros(11, dtype=torch.bool)) == 0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_nearest_neighbours_are_scikit_learns(k):
    z = activations(100, 20, dtype=torch.float64)
    directed = kneighbors_graph(z.T.numpy(), k, include_self=False).toarray()
    np.testing.assert_array_equal(coactivation.nearest_neighbours(z, k), (directed + directed.T) / 2)


def test_ties_go_to_the_lower_number():
    z = torch.eye(8, dtype=torch.float64)
    found = coactivation.nearest_neighbours(z, 2)
    directed = np.zeros((8, 8))
    for i in range(8):
        directed[i, [j for j in range(8) if j != i][:2]] = 1
    np.testing.assert_array_equal(found, (directed + directed.T) / 2)


@pytest.mark.parametrize("kind", coactivation.KINDS)
def test_a_block_of_seeds_is_its_seeds(kind):
    z = activations(2, 3, 50, 8, dtype=torch.float64)
    found = coactivation.learned(z, kind, 2)
    assert found.shape == (2, 3, 8, 8)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(found[i, j], coactivation.learned(z[i, j], kind, 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10), st.integers(1, 9), st.integers(0, 10_000), st.sampled_from(coactivation.KINDS))
def test_graphs_are_symmetric_without_loops_and_move_with_their_neurons(neurons, k, seed, kind):
    k = min(k, neurons - 1)
    z = torch.from_numpy(np.random.default_rng(seed).normal(size=(30, neurons)))
    found = coactivation.learned(z, kind, k)
    lattices.adjacency(found.numpy())
    assert found.max() <= 1
    assert (found.sum(-1) > 0.18).all()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(neurons))
    torch.testing.assert_close(coactivation.learned(z[:, order], kind, k), found[order][:, order])


@pytest.mark.parametrize("kind", lattices.LAPLACIANS)
def test_laplacians_are_those_of_lattices(kind):
    z = activations(4, 40, 10, dtype=torch.float64)
    weights = coactivation.nearest_neighbours(z, 2)
    weights[0, 3], weights[0, :, 3] = 0, 0
    found = coactivation.laplacians(weights, kind)
    for mine, graph in zip(found, weights, strict=True):
        np.testing.assert_allclose(mine, lattices.laplacian(graph.numpy(), kind).toarray(), atol=1e-15)


def test_components_are_networkxs_and_the_spectrum_counts_at_least_these():
    z = activations(6, 25, 14, dtype=torch.float64)
    weights = coactivation.nearest_neighbours(z, 1)
    counts = coactivation.components(weights)
    assert counts.tolist() == [nx.number_connected_components(nx.from_numpy_array(one.numpy())) for one in weights]
    assert len(set(counts.tolist())) > 1
    np.testing.assert_array_equal(coactivation.spectral_components(weights), counts)
    thread = torch.zeros(1, 8, 8)
    thread[0, :4, :4] = thread[0, 4:, 4:] = 1 - torch.eye(4)
    thread[0, 0, 7] = thread[0, 7, 0] = 1e-5
    assert coactivation.components(thread).tolist() == [1]
    assert coactivation.components(thread, above=0.1).tolist() == [2]
    assert coactivation.spectral_components(thread).tolist() == [2]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda z: coactivation.learned(z, "gaussian", 1), "no learned graph 'gaussian'; there are adaptive, knn"),
        (lambda z: coactivation.adaptive_kernel(z, 0), "k is 0, and takes 1 to 4, the other neurons"),
        (lambda z: coactivation.nearest_neighbours(z, 5), "k is 5, and takes 1 to 4"),
        (lambda z: coactivation.squared_distances(z[:, :1]), r"float32 \[6, 1\], and distances take floats"),
        (lambda z: coactivation.squared_distances(z[:0]), r"\[0, 5\]"),
        (lambda z: coactivation.squared_distances(z.long()), "torch.int64"),
        (lambda z: coactivation.squared_distances(z * torch.inf), "activations hold NaN or infinite numbers"),
        (lambda z: coactivation.laplacians(torch.eye(3), "normal"), "no Laplacian 'normal'"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(activations(6, 5) + 1)
