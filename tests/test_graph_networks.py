"""Graph networks against dense formulas and autograd, on planted communities, and what they refuse."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.nn import functional

from interneuron import graphs
from interneuron.errors import InputError
from interneuron.graph_networks import autoencode, classify, reconstruction_loss, renormalised
from interneuron.seeds import torch_generator

CLASSES = 3


def communities(seed=0, size=20, words=30):
    """Three communities that mostly cite themselves, each with words of its own."""
    rng = np.random.default_rng(seed)
    graph = nx.random_partition_graph([size] * CLASSES, 0.3, 0.02, seed=seed)
    w = graphs.from_links(np.array(graph.edges), CLASSES * size)
    y = np.repeat(np.arange(CLASSES), size)
    chances = np.where(np.arange(words) % CLASSES == y[:, None], 0.4, 0.1)
    return w, sparse.csr_array((rng.random((len(y), words)) < chances).astype(np.float32)), y


def dense_shift(w):
    loops = w.toarray().astype(np.float64) + np.eye(w.shape[0])
    d = loops.sum(1)
    return torch.tensor(loops / np.sqrt(d[:, None] * d))


def glorot(sizes, seed, purpose):
    draws = torch_generator(seed, purpose)
    return [
        ((2 * torch.rand((a, b), generator=draws) - 1) * (6 / (a + b)) ** 0.5).double().requires_grad_()
        for a, b in pairwise(sizes)
    ]


def test_the_shift_is_that_of_the_graph_with_self_loops():
    w, _, _ = communities()
    np.testing.assert_allclose(renormalised(w).toarray(), dense_shift(w).numpy(), rtol=1e-6)
    lonely = graphs.from_links([[0, 1]], 3)
    np.testing.assert_allclose(renormalised(lonely).toarray(), [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(3, 25), st.integers(1, 5))
def test_reconstruction_loss_is_the_weighted_cross_entropy_of_all_pairs(seed, n, latents):
    graph = nx.gnp_random_graph(n, 0.4, seed=seed)
    graph.add_edge(0, 1)
    w = nx.to_scipy_sparse_array(graph, dtype=np.float32)
    z = np.random.default_rng(seed).normal(size=(n, latents)).astype(np.float32)
    links = w.nnz
    dense = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    want = functional.binary_cross_entropy_with_logits(
        dense @ dense.T,
        torch.tensor(w.toarray() + np.eye(n)),
        pos_weight=torch.tensor((n**2 - links) / links),
    ) * (n**2 / (2 * (n**2 - links)))
    want.backward()
    loss, slope = reconstruction_loss(w, z)
    assert loss == pytest.approx(want.item(), rel=1e-5)
    np.testing.assert_allclose(slope, dense.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_reconstruction_loss_block_by_block(monkeypatch):
    w, _, _ = communities()
    z = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    whole = reconstruction_loss(w, z)
    monkeypatch.setattr("interneuron.graph_networks._PAIRS", 7 * 60)
    loss, slope = reconstruction_loss(w, z)
    assert loss == pytest.approx(whole[0], rel=1e-6)
    np.testing.assert_allclose(slope, whole[1], rtol=1e-4, atol=1e-7)


def test_autoencoder_is_the_dense_one_under_autograd():
    w, x, _ = communities()
    n, links = 60, w.nnz
    shift, features = dense_shift(w), torch.tensor(x.toarray(), dtype=torch.float64)
    weights = glorot((30, 8, 4), 5, "graph autoencoder weights")
    steps = torch.optim.Adam(weights, lr=0.01)

    def encode():
        return shift @ (shift @ features @ weights[0]).relu() @ weights[1]

    losses = []
    for _ in range(12):
        z = encode()
        loss = functional.binary_cross_entropy_with_logits(
            z @ z.T, torch.tensor(w.toarray() + np.eye(n)), pos_weight=torch.tensor((n**2 - links) / links)
        ) * (n**2 / (2 * (n**2 - links)))
        losses.append(loss.item())
        steps.zero_grad()
        loss.backward()
        steps.step()
    found = autoencode(w, x, 5, hidden=8, latents=4, epochs=12)
    np.testing.assert_allclose(found.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(found.latent, encode().detach().numpy(), rtol=1e-3, atol=1e-4)
    assert found.latent.dtype == np.float32


def test_autoencoder_learns_the_links_and_is_its_seeds_alone():
    w, x, _ = communities()
    found = autoencode(w, x, 0)
    assert found.loss[-1] < 0.8 * found.loss[0]
    scores, links = found.latent @ found.latent.T, w.toarray() > 0
    others = ~links & ~np.eye(60, dtype=bool)
    assert np.median(scores[links]) > np.quantile(scores[others], 0.8)
    np.testing.assert_array_equal(autoencode(w, x, 0).latent, found.latent)
    assert not np.array_equal(autoencode(w, x, 1, epochs=1).latent, autoencode(w, x, 0, epochs=1).latent)


def dense_classifier(w, x, y, nodes, validation, seed, hidden, epochs, window=10, decay=5e-4):
    """Kipf and Welling's training without dropout, densely, in float64: predictions and number of epochs."""
    shift, rows = dense_shift(w), x.toarray().astype(np.float64)
    features = torch.tensor(rows / np.maximum(rows.sum(1, keepdims=True), 1))
    target = torch.tensor(y)
    weights = glorot((x.shape[1], *hidden, CLASSES), seed, "graph network weights")
    steps = torch.optim.Adam(weights, lr=0.01)

    def logits():
        h = features
        for weight in weights[:-1]:
            h = (shift @ h @ weight).relu()
        return shift @ h @ weights[-1]

    def loss(some):
        return functional.cross_entropy(logits()[some], target[some]) + decay / 2 * weights[0].square().sum()

    held = []
    for epoch in range(epochs):
        steps.zero_grad()
        loss(nodes).backward()
        steps.step()
        held.append(loss(validation).item())
        if epoch > window and held[-1] > np.mean(held[-window - 1 : -1]):
            break
    return logits().argmax(1).numpy(), len(held)


@pytest.mark.parametrize("hidden", [(16, 16), (6,)])
def test_classifiers_without_dropout_are_the_dense_ones(hidden):
    w, x, y = communities()
    validation = np.arange(0, 60, 4)
    labelled = [np.array([1, 22, 41]), np.array([2, 3, 25, 26, 47]), np.array([5, 6, 7])]
    found = classify(w, x, y, labelled, validation, 3, hidden=hidden, dropout=0, epochs=120, window=5)
    for run, nodes in enumerate(labelled):
        predicted, epochs = dense_classifier(w, x, y, nodes, validation, 3, hidden, 120, 5)
        np.testing.assert_array_equal(found.predicted[run], predicted)
        assert found.epochs[run] == epochs
    assert len(set(found.epochs)) > 1


def test_classifiers_find_the_communities():
    w, x, y = communities()
    nodes, validation = np.array([1, 2, 22, 23, 41, 42]), np.arange(0, 60, 4)
    predicted = classify(w, x, y, [nodes], validation, 0, learning_rate=0.05).predicted[0]
    assert (predicted == y).mean() > 0.9
    # What is not labelled, and not a validation node, is never looked at.
    hidden = y.copy()
    hidden[np.setdiff1d(np.arange(60), np.append(nodes, validation))] = -1
    again = classify(w, x, hidden, [nodes], validation, 0, learning_rate=0.05).predicted[0]
    np.testing.assert_array_equal(again, predicted)


def test_a_run_does_not_depend_on_its_company(monkeypatch):
    # Four runs at once.
    monkeypatch.setattr("interneuron.graph_networks._NUMBERS", 60 * 16 * 4)
    w, x, y = communities()
    labelled = [np.array([run, 20 + run, 40 + run]) for run in range(1, 14)]
    many = classify(w, x, y, labelled, np.arange(0, 60, 4), 2)
    for run in (0, 5, 12):
        alone = classify(w, x, y, [labelled[run]], np.arange(0, 60, 4), 2)
        np.testing.assert_array_equal(alone.predicted[0], many.predicted[run])
        assert alone.epochs[0] == many.epochs[run]
    other = classify(w, x, y, labelled, np.arange(0, 60, 4), 4)
    assert not np.array_equal(other.epochs, many.epochs)


def test_dropout_keeps_the_features_on_average():
    from interneuron.graph_networks import _Runs

    _, x, y = communities()
    runs = _Runs(x, x, torch.tensor(y), [], torch.tensor([0]), 0.25, 0.0)
    draws = torch_generator(0, "test")
    total, masks = np.zeros(x.shape), []
    for _ in range(400):
        dropped, (mask,) = runs._dropped([16], draws)
        assert set(np.unique(dropped.data)) == {np.float32(1 / 0.75)}
        total += dropped.toarray()
        masks.append(mask.mean())
    np.testing.assert_allclose(total / 400, x.toarray(), atol=0.15)
    assert np.mean(masks) == pytest.approx(1, abs=0.01)


def test_refusals():
    w, x, y = communities()
    one = [np.array([0, 20, 40])]
    with pytest.raises(InputError, match="not symmetric"):
        autoencode(sparse.csr_array(np.triu(w.toarray())), x, 0)
    with pytest.raises(InputError, match="no links between nodes"):
        autoencode(sparse.csr_array((60, 60), dtype=np.float32), x, 0)
    with pytest.raises(InputError, match=r"features have the shape \[59, 30\]; a graph of 60 nodes"):
        autoencode(w, x[:59], 0)
    with pytest.raises(InputError, match="features hold NaN"):
        classify(w, x * np.float32(np.nan), y, one, [1], 0)
    with pytest.raises(InputError, match="latents is 0; it takes a number above 0"):
        autoencode(w, x, 0, latents=0)
    with pytest.raises(InputError, match="no longer finite"):
        autoencode(w, x, 0, learning_rate=1e30, epochs=5)
    with pytest.raises(InputError, match="no longer finite in epoch"):
        classify(w, x, y, one, [1], 0, learning_rate=1e30)
    with pytest.raises(InputError, match="z has the shape"):
        reconstruction_loss(w, np.zeros((59, 2)))
    with pytest.raises(InputError, match="dropout is 1 and decay"):
        classify(w, x, y, one, [1], 0, dropout=1)
    with pytest.raises(InputError, match=r"classes are int64 \[59\]; 60 nodes"):
        classify(w, x, y[:59], one, [1], 0)
    with pytest.raises(InputError, match="no set of labelled nodes"):
        classify(w, x, y, [], [1], 0)
    with pytest.raises(InputError, match=r"labelled nodes of run 1 are .* they take numbers of one node or more"):
        classify(w, x, y, [*one, []], [1], 0)
    with pytest.raises(InputError, match="labelled nodes of run 0 repeat a node"):
        classify(w, x, y, [[0, 0]], [1], 0)
    with pytest.raises(InputError, match="validation nodes repeat a node, or name one that is not 0 to 59"):
        classify(w, x, y, one, [60], 0)
    with pytest.raises(InputError, match="run 0 include node 20, whose class is not known"):
        classify(w, x, np.where(np.arange(60) == 20, -1, y), one, [1], 0)
