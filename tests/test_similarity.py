"""Ranks and Spearman correlations against scipy, and the vectors of effects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from interneuron.errors import InputError
from interneuron.similarity import constant, individual_effects, ranks, repeated_effects, spearman

rng = np.random.default_rng(0)
numbers = st.floats(-4, 4, width=32) | st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf])
tables = st.tuples(st.integers(1, 5), st.integers(2, 12)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=numbers)
)


def relu(neurons, samples):
    """Activations after a ReLU, most of them 0, none constant."""
    drive = rng.normal(size=(neurons, 6)) @ rng.normal(size=(6, samples)) - 1
    x = np.maximum(drive, 0).astype(np.float32)
    x[:, 0], x[:, 1] = 0, 1
    return x


@given(tables)
@settings(max_examples=200, deadline=None)
def test_ranks_are_scipys(x):
    np.testing.assert_array_equal(ranks(x), rankdata(x, axis=1))


def test_ranks_of_float64_are_not_rounded_first():
    x = np.array([[1.0, 1.0 + 1e-12, 0.5]])
    np.testing.assert_array_equal(ranks(x), [[2, 3, 1]])


def test_ranks_over_several_blocks_and_threads():
    x = relu(7, 400_000)
    expected = rankdata(x, axis=1)
    np.testing.assert_array_equal(ranks(x), expected)
    np.testing.assert_array_equal(ranks(x, threads=3), expected)


@pytest.mark.parametrize("samples", [3, 10, 368, 369, 3000])
def test_spearman_is_scipys(samples):
    x = relu(40, samples)
    rho = spearman(x)
    assert rho.dtype == np.float32
    np.testing.assert_allclose(rho, spearmanr(x.T).statistic, atol=2e-5)
    np.testing.assert_array_equal(rho, rho.T)
    np.testing.assert_array_equal(np.diagonal(rho), 1)


def test_spearman_of_equal_and_opposite_ranks_is_exact():
    x = rng.normal(size=(1, 300)).astype(np.float32)
    rho = spearman(np.concatenate([x, np.exp(x), -(x**3)]))
    np.testing.assert_array_equal(rho, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_baseline_that_does_not_vary_leaves_ranks_and_correlations():
    # Sixteenths: the shift is exact, and brings no ties of its own.
    x = rng.integers(-64, 64, (30, 50)).astype(np.float32) / 16
    shifted = x - rng.integers(-640, 640, (30, 1)).astype(np.float32) / 16
    np.testing.assert_array_equal(ranks(x), ranks(shifted))
    np.testing.assert_array_equal(spearman(x), spearman(shifted))
    centred = x.astype(np.float64) - x.mean(axis=1, keepdims=True, dtype=np.float64)
    np.testing.assert_array_equal(spearman(x), spearman(centred))


def test_constant_is_exact():
    x = np.array([[1, 1, 1], [1, 1, 1 + 1e-7], [0.0, -0.0, 0]], np.float32)
    assert constant(x).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((2, 3)), "2 of 2 neurons are constant"),
        (np.array([[1, 2, 3], [1, np.nan, 3]]), "NaN .first in row 1"),
        (np.zeros(3), r"shape \[3\]"),
        (np.zeros((3, 1)), "2 samples or more"),
    ],
)
def test_what_spearman_refuses(x, words):
    with pytest.raises(InputError, match=words):
        spearman(x)


def test_individual_effects():
    y = rng.normal(size=(7, 20, 5)).astype(np.float32)
    y[:, :, 2] = y[0, :, 2]
    effects = individual_effects(y)
    np.testing.assert_allclose(effects, y - y.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(effects.sum(axis=0), 0, atol=1e-5)
    # Not a rounding error but 0: ranks would make a signal of it.
    np.testing.assert_array_equal(effects[:, :, 2], 0)
    with pytest.raises(InputError, match="alphas, draws, neurons"):
        individual_effects(y[0])


def test_effects_that_differ_by_rounding_only_are_one_effect():
    """A linear unit: the latent adds the same to every draw, and float32 rounds each sum otherwise."""
    z = rng.normal(size=(40, 9)).astype(np.float32)
    alphas = np.array([-3, -1, 0, 2], np.float32)
    weights = rng.normal(size=9).astype(np.float32)
    unit = np.stack([z @ weights + np.float32(0.7) * alpha for alpha in alphas])
    y = np.stack([unit, np.maximum(unit, 0)], axis=-1)
    assert (np.ptp(unit - unit.mean(axis=0), axis=1) > 0).any()
    effects = individual_effects(y)
    assert constant(effects[2].T).tolist() == [True, False]
    np.testing.assert_allclose(effects[..., 0], (0.7 * (alphas - alphas.mean()))[:, None] * np.ones(40), atol=1e-5)


def test_repeated_effects_average_their_own_draws():
    y = rng.normal(size=(3, 11, 4)).astype(np.float32)
    orders = np.stack([rng.permutation(11) for _ in range(3)])
    effects = repeated_effects(y, 5, orders)
    assert effects.shape == (3, 2, 4)
    means = np.stack([[y[a, orders[a, r * 5 : r * 5 + 5]].mean(axis=0) for r in range(2)] for a in range(3)])
    np.testing.assert_allclose(effects, means - means.mean(axis=0), atol=1e-6)
    with pytest.raises(InputError, match="1 groups of 6"):
        repeated_effects(y, 6, orders)
    with pytest.raises(InputError, match="0 groups of 0"):
        repeated_effects(y, 0, orders)
    with pytest.raises(InputError, match=r"orders have the shape \[2, 11\], and take \[3, 11\]"):
        repeated_effects(y, 5, orders[:2])
    with pytest.raises(InputError, match="the numbers 0 to 10 of the draws, each once"):
        repeated_effects(y, 5, orders + 1)


def test_effects_of_float64_are_0_where_nothing_depends_on_alpha():
    """(0.1 + 0.1 + 0.1) / 3 is not 0.1, and ranks would make a signal of that."""
    y = np.broadcast_to(rng.random((1, 8, 5)), (3, 8, 5))
    assert not individual_effects(y).any()
    assert not repeated_effects(np.full((3, 9, 4), 0.1), 3, np.tile(np.arange(9), (3, 1))).any()
    with pytest.raises(InputError, match="effects are beyond the numbers of float32"):
        individual_effects(rng.random((2, 2, 2)) * 1e200)


def test_whole_numbers_that_float64_cannot_tell_apart_have_ranks():
    x = np.array([[2**53, 2**53 + 1, 2**53 + 2]])
    np.testing.assert_array_equal(ranks(x), [[1, 2, 3]])
    assert not constant(x + 1).any()
