"""Simulated data have the structure that they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interneuron.errors import InputError
from interneuron.simulate import binary_modules, nested_clusters


@settings(max_examples=20, deadline=None)
@given(modules=st.integers(1, 4), extra=st.integers(0, 2), repeats=st.integers(1, 4), samples=st.integers(1, 5))
def test_without_noise_the_modules_are_the_bits(modules, extra, repeats, samples):
    x, codes = binary_modules(
        modules, 0, bits=modules + extra, repeats=repeats, samples=samples, noise=1e-9, scale=10.0
    )
    assert x.shape == (2**modules * samples, (modules + extra) * repeats)
    assert x.dtype == np.float32
    assert codes.tolist() == [code for code in range(2**modules) for _ in range(samples)]
    for row, code in zip(x, codes, strict=True):
        bits = [int(bit) for bit in f"{code:0{modules + extra}b}"[::-1]]
        np.testing.assert_allclose(row, np.repeat(bits, repeats) * 10.0, atol=1e-6)


def test_noise_is_added_before_the_scale():
    x, codes = binary_modules(3, 7)
    assert x.shape == (8_000, 150)
    rest = x - 10 * np.repeat(codes[:, None] >> np.arange(3) & 1, 50, axis=1)
    assert rest.std() == pytest.approx(1.0, rel=0.01)
    assert abs(rest.mean()) < 0.01
    correlation = np.corrcoef(x.T)
    within = correlation[:50, :50][np.triu_indices(50, 1)]
    assert within.min() > 0.95
    assert abs(correlation[:50, 50:]).max() < 0.05


def test_clusters_lie_where_they_should():
    x, y = nested_clusters(60_000, 3)
    assert x.shape == (60_000, 15)
    assert x.dtype == np.float32
    np.testing.assert_allclose(np.bincount(y) / len(y), 1 / 6, atol=0.01)
    noise = x.copy()
    for label in range(6):
        centre = np.zeros((3, 5))
        centre[label // 2] += 10
        centre[label // 2, -1] += 10 * (label % 2)
        np.testing.assert_allclose(x[y == label].mean(0), centre.ravel(), atol=0.06)
        noise[y == label] -= centre.ravel()
    expected = np.kron(np.eye(3), np.full((5, 5), 0.6)) + 0.4 * np.eye(15)
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.03)


@pytest.mark.parametrize("make", [lambda s: binary_modules(2, s, samples=50), lambda s: nested_clusters(200, s)])
def test_a_seed_gives_its_bytes(make):
    (x, y), (same, _), (other, _) = make(1), make(1), make(2)
    np.testing.assert_array_equal(x, same)
    assert (x != other).mean() > 0.9
    assert len(x) == len(y)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: binary_modules(0, 0), "binary_modules: modules is 0, it takes a whole number of 1 or more"),
        (lambda: binary_modules(2.0, 0), r"modules is 2\.0"),
        (lambda: binary_modules(3, 0, bits=2), "bits is 2, it takes a whole number of 3 or more"),
        (lambda: binary_modules(2, 0, noise=0.0), r"noise is 0\.0, it takes a positive number"),
        (lambda: binary_modules(2, 0, scale=np.nan), "scale is nan"),
        (lambda: binary_modules(20, 0), r"1,048,576,000 x 1,000 values are asked for, it makes up to 2\^31"),
        (lambda: nested_clusters(0, 0), "nested_clusters: samples is 0"),
        (lambda: nested_clusters(5, 0, correlation=1.0), r"correlation is 1\.0, it takes 0 or more and less than 1"),
        (lambda: nested_clusters(5, 0, jump=-1.0), r"jump is -1\.0"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
