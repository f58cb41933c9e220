"""Metrics of influence, wrong labels, and prototypes: against counting by hand, and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from interneuron import margin_metrics
from interneuron.errors import InputError

MAIN = {"variant": "symmetric", "k": 5, "p": 1}
READINGS = [("symmetric", 5, 1), ("symmetric", 5, 2), ("symmetric", 9, 1), ("as-published", 5, 1), ("f-alone", 5, 0)]


def influences(seed: int = 0, nodes: int = 50) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        pd.DataFrame(
            {
                "seed": number,
                "sample_id": np.arange(nodes),
                "function": "distrust",
                "variant": variant,
                "k": k,
                "p": p,
                "f": random.random(nodes),
                "influence": random.integers(0, 8, nodes) / 8,
            }
        )
        for number in (0, 1)
        for variant, k, p in READINGS
    ]
    return pd.concat(rows, ignore_index=True)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_ties_are_drawn_at_random(values: list[int], data: st.DataObject) -> None:
    """The oracle: the mean over all orders of the ties, here by many draws of their order."""
    scores = np.array(values, float)
    count = data.draw(st.integers(1, len(scores)))
    random, found = np.random.default_rng(0), np.zeros(len(scores))
    for _ in range(400):
        found[np.lexsort((random.random(len(scores)), -scores))[:count]] += 1 / 400
    chance = margin_metrics.inspected(scores, count)
    assert chance.sum() == pytest.approx(count)
    np.testing.assert_allclose(chance, found, atol=0.13)


def test_overlap_of_the_same_order_is_whole_and_of_the_opposite_none() -> None:
    scores = np.random.default_rng(0).permutation(20).astype(float)
    assert margin_metrics.expected_overlap(scores, scores, 5) == 1
    assert margin_metrics.expected_overlap(scores, -scores, 5) == 0
    assert margin_metrics.expected_overlap(scores, np.zeros(20), 5) == pytest.approx(5 / 20)


def test_agreement_is_that_of_each_reading_with_the_main_one() -> None:
    table = influences()
    found = margin_metrics.agreement(table, MAIN, 0.2)
    assert len(found) == 2 * len(READINGS)
    for row in found.itertuples():
        own = table[table["seed"] == row.seed]
        main = own[(own["variant"] == "symmetric") & (own["k"] == 5) & (own["p"] == 1)]["influence"]
        other = own[(own["variant"] == row.variant) & (own["k"] == row.k) & (own["p"] == row.p)]["influence"]
        assert row.rank_correlation == pytest.approx(spearmanr(main, other)[0])
        assert row.top_by_chance == 0.2
        if (row.variant, row.k, row.p) == ("symmetric", 5, 1):
            assert row.rank_correlation == pytest.approx(1)


def test_agreement_refuses_a_main_reading_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"no influence of distrust has variant, k and p \('symmetric', 7, 1\)"):
        margin_metrics.agreement(influences(), MAIN | {"k": 7}, 0.1)


def test_agreement_refuses_other_nodes() -> None:
    table = influences()
    table.loc[(table["variant"] == "f-alone") & (table["seed"] == 1), "sample_id"] += 1
    with pytest.raises(InputError, match="has other nodes than the main reading"):
        margin_metrics.agreement(table, MAIN, 0.1)


def test_recall_by_hand() -> None:
    scores, wrong = np.array([0.9, 0.1, 0.8, 0.8, 0.0]), np.array([True, False, True, False, True])
    found = margin_metrics.recall(scores, wrong, np.array([5, 4, 3, 2, 1.0]), [0.2, 0.4, 0.6, 1.0])
    assert found["inspected"] == [1, 2, 3, 5]
    np.testing.assert_allclose(found["recall"], [1 / 3, 1.5 / 3, 2 / 3, 1])
    np.testing.assert_allclose(found["depth"], [1, (1 + 0.5) / 2, (1 + 0.6 + 0.4) / 3, 0.6])


@given(st.integers(0, 1000))
def test_recall_rises_and_oracle_is_never_behind(seed: int) -> None:
    random = np.random.default_rng(seed)
    wrong = random.random(30) < 0.3
    wrong[0] = True
    shares = [0.1, 0.3, 0.5, 1.0]
    scores, depth = random.integers(0, 5, 30).astype(float), random.random(30)
    own = margin_metrics.recall(scores, wrong, depth, shares)["recall"]
    best = margin_metrics.recall(wrong.astype(float), wrong, depth, shares)["recall"]
    assert (np.diff(own) >= -1e-12).all()
    assert own[-1] == pytest.approx(1)
    assert (best >= own - 1e-12).all()


def test_recall_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="4 scores, 3 labels, 4 depths; recall takes as many of each"):
        margin_metrics.recall(np.ones(4), np.ones(3, bool), np.ones(4), [0.5])


def test_recall_of_no_wrong_label_is_not_a_number() -> None:
    found = margin_metrics.recall(np.arange(4.0), np.zeros(4, bool), np.arange(4.0), [0.5, 1.0])
    assert np.isnan(found["recall"]).all()
    np.testing.assert_allclose(found["depth"], [0.875, 0.625])


def audited() -> pd.DataFrame:
    methods = [("margin", "distrust", *reading) for reading in READINGS]
    methods += [(name, "", "", 0, 0) for name in ("random", "influence-function", "loss", "oracle")]
    random = np.random.default_rng(0)
    names = ["method", "function", "variant", "k", "p"]
    return pd.DataFrame(
        {"seed": seed, **dict(zip(names, method, strict=True)), "share": share, "inspected": 1}
        | {"recall": random.random(), "depth": random.random()}
        for seed in (0, 1)
        for method in methods
        for share in (0.1, 0.3)
    )


def test_gains_are_differences_at_the_same_seed_and_share() -> None:
    table = audited()
    found = margin_metrics.wrong_labels(table, MAIN)
    assert len(found) == len(table)
    for row in found.itertuples():
        same = table[(table["seed"] == row.seed) & (table["share"] == row.share)].set_index("method")
        assert row.gain_over_random == pytest.approx(row.recall - same.loc["random", "recall"])
        theirs = same.loc["influence-function"]
        assert row.gain_over_influence_function == pytest.approx(row.recall - theirs["recall"])
        assert row.depth_over_influence_function == pytest.approx(row.depth - theirs["depth"])
        assert np.isnan(row.gain_over_cleanlab)
        own = same.loc["margin"].set_index(["variant", "k", "p"])["recall"]
        if row.method == "margin":
            assert row.gain_over_main == pytest.approx(row.recall - own["symmetric", 5, 1])
            alone = row.recall - own["f-alone", 5, 0] if row.k == 5 else np.nan
            assert row.gain_over_f_alone == pytest.approx(alone, nan_ok=True)


def test_wrong_labels_refuse_a_main_reading_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no row is of the main reading: variant symmetric, k 6, p 1"):
        margin_metrics.wrong_labels(audited(), MAIN | {"k": 6})


def test_sweeps_are_ranges_over_k_and_over_p() -> None:
    table = audited()
    found = margin_metrics.sweeps(table[table["method"] == "margin"], "recall", MAIN, ["seed", "function", "share"])
    assert len(found) == 4
    for row in found.itertuples():
        own = table[(table["seed"] == row.seed) & (table["share"] == row.share) & (table["variant"] == "symmetric")]
        recall = own.set_index(["k", "p"])["recall"]
        assert row.k_range == pytest.approx(abs(recall[5, 1] - recall[9, 1]))
        assert row.p_range == pytest.approx(abs(recall[5, 1] - recall[5, 2]))


def test_selections_are_compared_with_their_rivals() -> None:
    random = np.random.default_rng(0)
    none = {"variant": "", "k": 0, "p": 0, "quota": "none", "order": "", "threshold": 1.0}
    kinds = [
        {"method": "margin", "function": "mmd-global", "role": "prototypes"} | {"variant": variant, "order": order}
        for variant in ("symmetric", "f-alone")
        for order in ("influence", "f-most")
    ]
    kinds += [
        {"method": "mmd-critic", "function": "mmd-global", "role": "prototypes"},
        {"method": "random", "function": "", "role": "random"},
        {"method": "random", "function": "", "role": "random"},
    ]
    rows = [
        {"seed": seed} | none | kind | {"count": count, "error": random.random()}
        for seed in (0, 1)
        for kind in kinds
        for count in (3, 6)
    ]
    table = pd.DataFrame(rows)
    errors, curves, best = margin_metrics.selections(table)
    assert len(errors) == 2 * 6 * 2
    for row in errors.itertuples():
        same = table[(table["seed"] == row.seed) & (table["count"] == row.count)].groupby("method")["error"].mean()
        assert row.gain_over_random == pytest.approx(same["random"] - row.error)
        gain = np.nan if row.method == "random" else same["mmd-critic"] - row.error
        assert row.gain_over_mmd_critic == pytest.approx(gain, nan_ok=True)
    assert len(curves) == 2 * 6
    for row in best.itertuples():
        own = table[(table["seed"] == row.seed)].groupby(["variant", "order"])["error"].mean()
        assert row.best_error == pytest.approx(own["symmetric"].min())
        assert row.best_f_alone == pytest.approx(own["f-alone"].min())
        critic = table[(table["seed"] == row.seed) & (table["method"] == "mmd-critic")]["error"].mean()
        assert row.best_gain_over_mmd_critic == pytest.approx(critic - row.best_error)


def test_assembled_rows_have_all_keys() -> None:
    parts = [("a", pd.DataFrame({"seed": [1, 0], "x": [1, 2]})), ("b", pd.DataFrame({"seed": [0], "k": [3], "y": [4]}))]
    found = margin_metrics.assemble([*parts, ("c", pd.DataFrame())])
    keys = ["level", "seed", *margin_metrics.TEXT[1:], *margin_metrics.NUMBERS]
    assert list(found) == [*keys, "x", "y"]
    assert found["level"].tolist() == ["a", "a", "b"]
    assert found["seed"].tolist() == [0, 1, 0]
    assert found["function"].tolist() == ["", "", ""]
    assert found["x"].dtype == "float64"
