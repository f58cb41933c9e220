"""Methods against each other, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from interneuron.comparisons import difference, largest_fall, spread
from interneuron.errors import InputError

TABLE = pd.DataFrame(
    [
        (0, "a", 10, 0.5),
        (0, "a", 20, 0.9),
        (0, "a", 30, 0.7),
        (0, "b", 20, 0.4),
        (0, "b", 10, 0.2),
        (1, "a", 10, 0.6),
        (1, "b", 10, 0.8),
    ],
    columns=["seed", "method", "labels", "accuracy"],
    index=[5, 6, 7, 8, 9, 10, 11],
)


def test_differences_from_a_baseline():
    found = difference(TABLE, "accuracy", "method", "b", ["seed", "labels"])
    np.testing.assert_allclose(found, [0.3, 0.5, np.nan, 0, 0, -0.2, 0])
    assert found.index.equals(TABLE.index)
    less = difference(TABLE, "accuracy", "method", "b", ["seed", "labels"], less=True)
    np.testing.assert_allclose(less, -found)


def test_differences_where_one_column_agrees():
    ten = TABLE[TABLE["labels"] == 10]
    np.testing.assert_allclose(difference(ten, "accuracy", "method", "b", ["seed"]), [0.3, 0, -0.2, 0])


def test_a_baseline_with_two_rows_is_refused():
    with pytest.raises(InputError, match="b has two rows with the same seed; a comparison takes one"):
        difference(TABLE, "accuracy", "method", "b", ["seed"])


def test_falls_follow_the_curve_not_the_rows():
    found = largest_fall(TABLE, "accuracy", "labels", ["seed", "method"])
    np.testing.assert_allclose(found, [0.2, 0.2, 0.2, -0.2, -0.2, np.nan, np.nan])
    assert found.index.equals(TABLE.index)


def test_spread_over_all_else():
    np.testing.assert_allclose(spread(TABLE, "accuracy", ["seed", "labels"]), [0.3, 0.5, 0, 0.5, 0.3, 0.2, 0.2])
