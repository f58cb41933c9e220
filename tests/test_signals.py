"""Explanation functions and the kernel against dense formulas and scikit-learn, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KernelDensity

from interneuron import graphs, kernels
from interneuron.errors import InputError
from interneuron.kernels import Kernel
from interneuron.signals import distrust, kernel_density, mmd, prediction_margin, size_ratio

rng = np.random.default_rng(0)


def dense(x, gamma, labels=None):
    k = rbf_kernel(np.asarray(x, np.float64), gamma=gamma)
    return k if labels is None else k * (np.asarray(labels)[:, None] == labels)


# the kernel


@pytest.mark.parametrize("labelled", [False, True])
def test_kernel_is_scikit_learns(monkeypatch, labelled):
    monkeypatch.setattr(kernels, "_SIDE", 7)
    x, labels = rng.normal(size=(45, 6)) + 30, rng.integers(3, size=45).astype(str) if labelled else None
    kernel, want = Kernel(x, 0.2, labels), dense(x, 0.2, labels)
    np.testing.assert_allclose(kernel.sums(), want.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(kernel.block([3, 4, 9]), want[[3, 4, 9]], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(kernel.block([3, 4], [5, 3, 3]), want[np.ix_([3, 4], [5, 3, 3])], rtol=1e-4, atol=1e-7)


def test_kernel_of_duplicates_is_not_above_1():
    x = np.repeat(rng.normal(size=(5, 20)) * 50, 3, axis=0)
    k = Kernel(x, 3.0).block(np.arange(15))
    assert k.max() <= 1
    np.testing.assert_allclose(k, dense(x, 3.0), atol=0.05)


# Samples that lie close together beside others that lie far away: products in float32 tell only the latter.
@pytest.mark.parametrize("away", [1e2, 1e4, 1e7, 1e15, 1e200])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_kernel_and_density_beside_far_samples(away, kind):
    x = rng.normal(size=(20, 3))
    x[10:15] += min(away, 1e15) * (kind == np.float64)
    x[15:, 0] = min(away, float(np.finfo(kind).max) / 10) * np.arange(1, 6)
    x = x.astype(kind)
    exact = x.astype(np.float64)
    with np.errstate(over="ignore"):
        squares = ((exact[:, None] - exact) ** 2).sum(-1)
    want = np.exp(-0.5 * squares)
    kernel = Kernel(x, 0.5)
    np.testing.assert_allclose(kernel.block(range(20)), want, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kernel.sums(), want.sum(axis=1), rtol=1e-5)
    zero = np.zeros(20, int)
    near = kernel_density(x, zero, x, zero, np.sqrt(2))
    np.testing.assert_allclose(near, want.mean(axis=1), rtol=1e-4)
    log = kernel_density(x[:15], zero[:15], x, zero, np.sqrt(2), log=True)
    np.testing.assert_allclose(log, np.log(want[:15].mean(axis=1)), rtol=1e-4)


def test_density_beyond_float64():
    with pytest.raises(InputError, match="sample 1 is so far from the training samples that the logarithm"):
        kernel_density([[0.0], [1e200]], [0, 0], [[0.0]], [0], 1.0, log=True)
    assert kernel_density([[0.0], [1e200]], [0, 0], [[0.0]], [0], 1.0).tolist() == [1, 0]
    with pytest.raises(InputError, match="beyond 1e308: divide the samples by a number"):
        Kernel([[0.0], [1e200]], 1e300)


@pytest.mark.parametrize(
    ("x", "gamma", "labels", "words"),
    [
        (np.zeros(3), 1.0, None, r"samples have the shape \[3\], and take \[samples, features\]"),
        (np.zeros((3, 2)), 0.0, None, "gamma is 0; a Gaussian kernel takes a number above 0"),
        (np.zeros((3, 2)), np.nan, None, "gamma is nan"),
        (np.array([[1.0], [np.nan]]), 1.0, None, "NaN or infinite"),
        (np.zeros((3, 2)), 1.0, [0, 1], r"labels have the shape \[2\], and take \[3\]"),
        (np.zeros((3, 2)), 1.0, [4, 4, 4], "all labels are 4; this takes two classes or more"),
    ],
)
def test_what_kernels_refuse(x, gamma, labels, words):
    with pytest.raises(InputError, match=words):
        Kernel(x, gamma, labels)


# the maximum mean discrepancy


@pytest.mark.parametrize("links", graphs.LINKS)
@pytest.mark.parametrize("labelled", [False, True])
def test_mmd_leaves_out_a_node_and_its_neighbours(links, labelled):
    x = rng.normal(size=(50, 4))
    labels = rng.integers(2, size=50) if labelled else None
    w = graphs.knn_graph(graphs.neighbours(x, 5), links=links)
    k = dense(x, 0.3, labels)
    want = []
    for i in range(50):
        rest = np.setdiff1d(np.arange(50), [i, *w[[i]].nonzero()[1]])
        want.append(np.sqrt(k.mean() - 2 * k[:, rest].mean() + k[np.ix_(rest, rest)].mean()))
    np.testing.assert_allclose(mmd(x, w, 0.3, labels), want, rtol=1e-4)


def test_mmd_of_identical_samples_is_0():
    w = graphs.from_links([[0, 1], [1, 2], [3, 4]], 6)
    np.testing.assert_allclose(mmd(np.ones((6, 2)), w, 1.0), 0, atol=1e-6)


def test_mmd_is_largest_at_what_stands_apart():
    x = np.concatenate([rng.normal(size=(80, 2)), 0.1 * rng.normal(size=(6, 2)) + 9])
    f = mmd(x, graphs.knn_graph(graphs.neighbours(x, 5), links="directed"), 0.5)
    assert f[80:].min() > f[:80].max()


def test_what_mmd_refuses():
    x = rng.normal(size=(4, 2))
    with pytest.raises(InputError, match="graph has 3 nodes for 4 samples"):
        mmd(x, graphs.from_links([[0, 1]], 3), 1.0)
    with pytest.raises(InputError, match="node 1 and its neighbours are all 4 samples"):
        mmd(x, graphs.from_links([[1, 0], [1, 2], [1, 3]], 4), 1.0)
    with pytest.raises(InputError, match="negative"):
        mmd(x, sparse.csr_array(-np.ones((4, 4))), 1.0)


# distrust


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_distrust_counts_unlike_neighbours(seed, n):
    stream = np.random.default_rng(seed)
    weights = stream.integers(0, 3, (n, n)) * (stream.random((n, n)) < 0.5)
    labels = np.append(stream.integers(0, 3, n - 2), [0, 1])
    want = []
    for i in range(n):
        others = [j for j in range(n) if j != i and weights[i, j] > 0]
        want.append(np.mean([labels[j] != labels[i] for j in others]) if others else 0)
    np.testing.assert_allclose(distrust(weights, labels), want)


def test_what_distrust_refuses():
    w = graphs.from_links([[0, 1]], 3)
    with pytest.raises(InputError, match=r"labels have the shape \[2\], and take \[3\]"):
        distrust(w, [0, 1])
    with pytest.raises(InputError, match="all labels are 2"):
        distrust(w, [2, 2, 2])


# density of the predicted class


@pytest.mark.parametrize("log", [False, True])
def test_density_is_scikit_learns(log):
    train, labels = rng.normal(size=(70, 3)) + 5, rng.integers(3, size=70)
    x, predicted = rng.normal(size=(20, 3)) + 5, rng.integers(3, size=20)
    want = np.empty(20)
    for c in range(3):
        # scikit-learn divides by 2 h^2, and normalises.
        model = KernelDensity(bandwidth=1.3 / np.sqrt(2)).fit(train[labels == c])
        want[predicted == c] = model.score_samples(x[predicted == c]) + 1.5 * np.log(np.pi * 1.3**2)
    got = kernel_density(x, predicted, train, labels, 1.3, log=log)
    np.testing.assert_allclose(got, want if log else np.exp(want), rtol=1e-4)


def test_log_density_does_not_underflow():
    far = kernel_density([[1000.0], [2000]], [0, 0], [[0.0], [1]], [0, 0], 1.0, log=True)
    np.testing.assert_allclose(far, [np.log(0.5) - 999**2, np.log(0.5) - 1999**2], rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "predicted", "bandwidth", "words"),
    [
        (
            np.zeros((2, 3)),
            [0, 0],
            1.0,
            r"of training samples have the shape \[4, 2\], and take \[samples, 3\]",
        ),
        (np.zeros((2, 2)), [0], 1.0, r"predicted classes have the shape \[1\], and take \[2\]"),
        (np.zeros((2, 2)), [0, 5], 1.0, "class 5 is predicted, but no training sample has it"),
        (np.zeros((2, 2)), [0, 0], 0.0, "bandwidth is 0"),
        (np.full((2, 2), np.nan), [0, 0], 1.0, "NaN or infinite"),
    ],
)
def test_what_density_refuses(x, predicted, bandwidth, words):
    with pytest.raises(InputError, match=words):
        kernel_density(x, predicted, np.zeros((4, 2)), [0, 0, 1, 1], bandwidth)


# the small ones


def test_size_ratio_and_margin():
    np.testing.assert_allclose(size_ratio([2, 8, 4]), [0.25, 1, 0.5])
    np.testing.assert_allclose(prediction_margin([[0.1, 0.7, 0.2], [3, -1, 3], [0, 1, 5]]), [0.5, 0, 4])
    for sizes in ([], [1, 0], [[1, 2]], [1, np.nan]):
        with pytest.raises(InputError, match=r"^sizes "):
            size_ratio(sizes)
    with pytest.raises(InputError, match=r"scores have the shape \[3, 1\], and take 2 classes or more"):
        prediction_margin(np.zeros((3, 1)))
    with pytest.raises(InputError, match="scores hold NaN"):
        prediction_margin([[0.0, np.nan]])
