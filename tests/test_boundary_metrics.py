"""Metrics of boundaries and attacks: against scikit-learn, by hand, and on samples whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from interneuron.boundary_metrics import attacks, auroc, boundaries, from_main_k, overlap, separations
from interneuron.errors import InputError

NUMBERS = st.lists(st.integers(-5, 5), min_size=4, max_size=60)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_the_area_is_that_of_scikit_learn(values, random):
    marked = np.array([random.random() < 0.4 for _ in values])
    marked[:2] = [True, False]
    assert auroc(values, marked) == pytest.approx(roc_auc_score(marked, values))
    assert auroc(values, ~marked) == pytest.approx(1 - auroc(values, marked))


def test_one_kind_of_sample_has_no_area():
    assert np.isnan(auroc([1, 2, 3], [True, True, True]))
    with pytest.raises(InputError, match=r"scores are \[3\] and marks \[2\]"):
        auroc([1, 2, 3], [True, False])


@given(NUMBERS, NUMBERS, st.integers(2, 30))
def test_overlap_is_a_share_that_no_monotone_scale_changes(a, b, bins):
    shared = overlap(a, b, bins)
    assert 0 <= shared <= 1 + 1e-12
    assert overlap(b, a, bins) == pytest.approx(shared)
    assert overlap(np.exp(a), np.exp(b), bins) == pytest.approx(shared)
    assert overlap(a, a, bins) == pytest.approx(1)


def test_overlap_of_samples_apart_and_half_apart():
    a = np.arange(100.0)
    assert overlap(a, a + 100) == 0
    assert overlap(a, a + 50) == pytest.approx(0.5)
    # However many there are of each.
    assert overlap(a, np.repeat(a + 50, 7)) == pytest.approx(0.5)
    random = np.random.default_rng(0)
    # Of two normal distributions a distance d apart: 2 Phi(-d / 2), here 0.317.
    assert overlap(random.normal(size=20000), random.normal(2, 1, 20000)) == pytest.approx(0.317, abs=0.02)
    with pytest.raises(InputError, match="samples of 0 and 3 in 20 bins"):
        overlap([], [1, 2, 3])


def readings(**values):
    """Rows of influence.parquet of one seed: of f alone, and of other readings at k = 2."""
    parts = []
    for number, (name, column) in enumerate(values.items()):
        variant, p = ("f-alone", 0) if name == "f" else ("symmetric", number)
        keys = {"seed": 0, "function": "distrust", "variant": variant, "k": 2, "p": p}
        parts.append(pd.DataFrame({"sample_id": np.arange(len(column)), "influence": column}).assign(**keys))
    return pd.concat(parts, ignore_index=True)


def test_samples_of_highest_score_by_hand():
    y, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 1])
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.55, 0.45], [0, 1]])
    f, good = [0, 1, 1, 0, 0], [0, 0.5, 0, 1, 0]
    table = boundaries(readings(f=f, good=good), y, predicted, scores, top=0.2).set_index(["variant", "method"])
    margins = [0.8, 0.2, 0.4, 0.1, 1.0]
    alone, best = table.loc["f-alone"].iloc[0], table.loc["symmetric"].iloc[0]
    by = table.reset_index().set_index("method")
    assert (alone["errors"], best["errors"]) == (0.5, 1)  # a tie of one error and one that is none
    assert (alone["found"], best["found"]) == (0.25, 0.5)
    assert alone["margin"] == pytest.approx((0.2 + 0.4) / 2)
    assert best["margin_ratio"] == pytest.approx(0.1 / np.mean(margins))
    assert best["auroc"] == 1
    assert (by.loc["margin", "errors"], by.loc["random", "errors"]) == (1, pytest.approx(0.4))
    assert by.loc["random", "margin_ratio"] == pytest.approx(1)
    assert (best["over_f"], best["over_margin"], best["over_random"]) == (0.5, 0, pytest.approx(0.6))
    assert np.isnan(by.loc["margin", "over_f"])
    assert (table["wrong"] == 0.4).all()
    assert (table["samples"] == 5).all()


def test_a_classifier_without_errors_has_none_to_find():
    y = np.array([0, 1, 0, 1])
    table = boundaries(readings(f=[1, 2, 3, 4]), y, y, np.eye(2)[y], top=0.5)
    assert (table["errors"] == 0).all()
    assert table[["found", "auroc"]].isna().all(axis=None)


def test_lengths_that_do_not_fit_are_refused():
    y = np.array([0, 1, 0])
    with pytest.raises(InputError, match="of 3, 2 and 3 samples"):
        boundaries(readings(f=[1, 2, 3]), y, y[:2], np.eye(2)[y], top=0.5)
    with pytest.raises(InputError, match="has 4 samples, the classifier 3"):
        boundaries(readings(f=[1, 2, 3, 4]), y, y, np.eye(2)[y], top=0.5)
    with pytest.raises(InputError, match="has 3 samples, the attack 4"):
        separations(readings(f=[1, 2, 3]), [0, 1, 1, 0], 5)


def test_separations_take_either_side_and_compare_with_f_alone():
    attacked = np.repeat([0, 1], 50)
    low, mixed = np.concatenate([np.arange(50) + 60, np.arange(50)]), np.tile(np.arange(50), 2)
    table = separations(readings(f=mixed, graph=low), attacked, 10).set_index("variant")
    assert table.loc["symmetric", ["auroc", "separation", "overlap"]].tolist() == [0, 1, 0]
    assert table.loc["f-alone", ["auroc", "separation", "overlap"]].tolist() == [0.5, 0.5, 1]
    assert table.loc["symmetric", ["over_f", "overlap_over_f"]].tolist() == [0.5, -1]
    assert table.loc["f-alone", ["over_f", "overlap_over_f"]].tolist() == [0, 0]


def test_how_far_a_result_is_from_that_of_the_main_k():
    rows = [(0, "symmetric", 20, 1, 0.7), (0, "symmetric", 30, 1, 0.9), (0, "symmetric", 30, 2, 0.4)]
    rows += [(0, "f-alone", 20, 0, 0.5), (0, "f-alone", 30, 0, 0.5), (1, "symmetric", 20, 1, 0.8)]
    rows += [(0, np.nan, np.nan, np.nan, 0.1)]
    table = pd.DataFrame(rows, columns=["seed", "variant", "k", "p", "errors"]).assign(function="distrust")
    found = from_main_k(table, ["errors"], 30)["errors_from_main_k"]
    np.testing.assert_allclose(found, [0.2, 0, 0, 0, 0, np.nan, np.nan])


def test_attacks_are_counted_by_their_successes():
    found = attacks([0, 1, 0, 1, 1], [True, False, True], [2.0, 0.0, 1.0])
    assert found == {
        "nodes": 4,
        "attacked": 2,
        "success": pytest.approx(2 / 3),
        "distortion": 1.5,
        "distortion_median": 1.5,
    }
    none = attacks([0, 1], [False], [0.0])
    assert (none["nodes"], none["success"]) == (1, 0)
    assert np.isnan(none["distortion"])
