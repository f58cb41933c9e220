"""What public functions ask of the arrays that they are given."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from interneuron import checks, tensor_checks
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


def test_marks_are_true_and_false_or_one_and_zero() -> None:
    for values in ([True, False], [1, 0], [1.0, 0.0], torch.tensor([True, False]), pd.Series([1, 0])):
        got = checks.marks("marks", values, "samples")
        assert got.dtype == bool
        assert got.tolist() == [True, False]
    for values, says in (([1, 2], "marks run from 1 to 2"), ([-1, 0], "run from -1"), ([0.5], "take whole numbers")):
        with pytest.raises(InputError, match=says):
            checks.marks("marks", values)


def test_labels_are_whole_numbers_or_text_and_none_is_missing() -> None:
    for values in ([3, 5], [3.0, 5.0], np.array([3, 5], np.uint8), pd.Series([3, 5])):
        assert checks.labels("labels", values, "samples").tolist() == [3, 5]
    for text in (["b", "a"], np.array(["b", "a"], object), pd.Series(["b", "a"])):
        assert checks.labels("labels", text, 2).tolist() == ["b", "a"]
    for values in ([0.5], [1, np.nan], ["a", None], ["a", np.nan], [1, None], [[1], [2, 3]], [b"a"]):
        with pytest.raises(InputError, match="labels"):
            checks.labels("labels", np.array(values, object) if None in values or "a" in values else values)
    with pytest.raises(InputError, match=r"labels have the shape \[2\], and take \[3\]"):
        checks.labels("labels", ["a", "b"], 3)


def test_gaps_stay_and_the_others_are_finite() -> None:
    got = checks.gapped("ages", np.array([1, np.nan], np.float32), np.nan, "n")
    assert got.dtype == np.float64
    assert np.array_equal(got, [1, np.nan], equal_nan=True)
    assert checks.gapped("times", [0, np.inf], np.inf).tolist() == [0, np.inf]
    for values, gap in (([1, np.inf], np.nan), ([1, np.nan], np.inf), ([-np.inf], np.inf)):
        with pytest.raises(InputError, match="hold NaN or infinite numbers"):
            checks.gapped("times", values, gap)


def test_tensors_stay_as_they_are_and_arrays_become_some() -> None:
    z = torch.eye(2, dtype=torch.bfloat16, requires_grad=True)
    assert tensor_checks.numbers("z", z, 2, 2) is z
    assert tensor_checks.numbers("z", np.eye(2, dtype=np.float32)).dtype == torch.float32
    assert tensor_checks.numbers("z", [[1, 2]]).dtype == torch.float64
    assert tensor_checks.whole("y", torch.tensor([1.0, 2.0])).dtype == torch.int64
    assert tensor_checks.marks("marks", [1, 0]).tolist() == [True, False]
    assert tensor_checks.array("z", z).tolist() == [[1, 0], [0, 1]]
    # What is made of an array is the caller's no more.
    given = np.ones(2)
    tensor_checks.numbers("z", given).zero_()
    assert given.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (torch.ones(2, dtype=torch.int64), "z are torch.int64, and take floats"),
        (torch.ones(2, dtype=torch.complex64), "z are torch.complex64, and take floats"),
        (torch.eye(2).to_sparse(), "z are a sparse or quantised tensor"),
        (torch.tensor([1, torch.nan]), r"z hold NaN or infinite numbers \(first at \[1\]\)"),
        (torch.tensor([1, torch.inf], dtype=torch.bfloat16), "z hold NaN or infinite numbers"),
        (torch.ones(2, 2), r"z have the shape \[2, 2\], and take \[n\]"),
        ("text", "z are <U4, and take real numbers"),
    ],
)
def test_what_is_no_tensor_of_numbers_is_refused(values: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        tensor_checks.numbers("z", values, "n")
