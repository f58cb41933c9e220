"""What public functions ask of the arrays that they are given."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from interneuron import checks
from interneuron.errors import InputError


@pytest.mark.parametrize(
    "values",
    [np.eye(2), np.eye(2, dtype=int), np.eye(2, dtype=bool), [[1, 0], [0, 1]], torch.eye(2), pd.DataFrame(np.eye(2))],
)
def test_numbers_of_any_kind_are_taken(values) -> None:
    got = checks.numbers("features", values, "samples", "features")
    assert np.array_equal(got, np.eye(2))
    assert got.dtype in (np.float32, np.float64)


def test_float32_stays_and_all_else_is_float64() -> None:
    assert checks.numbers("x", np.ones(2, np.float32)).dtype == np.float32
    assert checks.numbers("x", np.ones(2, np.float16)).dtype == np.float64
    assert checks.numbers("x", np.ones(2, np.uint8)).dtype == np.float64


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([["a", "b"]], "features are <U1, and take real numbers"),
        ([[1j, 2]], "complex128"),
        ([[1, None]], "object"),
        ([[1, 2], [3]], "cannot be read as an array of numbers"),
        (torch.ones(1, 2, requires_grad=True), "cannot be read as an array of numbers"),
        (sparse.eye_array(2).tocsr(), "sparse matrix"),
        (np.ma.masked_equal([[1, 2]], 2), "masked"),
        ([1, 2], r"have the shape \[2\], and take \[samples, features\]"),
        ([[1, np.nan]], r"hold NaN or infinite numbers \(first at \[0, 1\]\)"),
        ([[-np.inf, 0]], r"first at \[0, 0\]"),
        (np.ones((0, 2)), "at least 1 on the first axis"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(values, says: str) -> None:
    with pytest.raises(InputError, match=says):
        checks.numbers("features", values, "samples", "features", least=1)


def test_lengths_are_held() -> None:
    assert checks.numbers("values", [1.0, 2.0], 2).tolist() == [1, 2]
    with pytest.raises(InputError, match=r"values have the shape \[2\], and take \[3\]"):
        checks.numbers("values", [1.0, 2.0], 3)


def test_whole_numbers() -> None:
    assert checks.whole("labels", [1.0, 2.0], "samples").tolist() == [1, 2]
    assert checks.whole("labels", [True, False]).dtype == np.int64
    with pytest.raises(InputError, match=r"labels hold 0\.5, and take whole numbers"):
        checks.whole("labels", [0.5, 1])
    with pytest.raises(InputError, match="NaN"):
        checks.whole("labels", [np.nan, 1])
    with pytest.raises(InputError, match="take real numbers"):
        checks.whole("labels", ["a"])


def test_probabilities() -> None:
    p = np.array([[0.25, 0.75], [1, 0]])
    assert checks.probabilities("probabilities", p, "samples", "classes") is p
    assert len(checks.probabilities("probabilities", np.float16([[1 / 3] * 3]), "samples", "classes")) == 1
    with pytest.raises(InputError, match=r"run from -1 to 2.*logits"):
        checks.probabilities("probabilities", [[-1, 2]])
    with pytest.raises(InputError, match=r"sum to 0\.9 \(first at \[1\]\)"):
        checks.probabilities("probabilities", [[0.5, 0.5], [0.4, 0.5]])
