"""Metrics of regions: hand-made cases, independent oracles and refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interneuron import evaluate, region_metrics
from interneuron.errors import InputError

NAMES = ["v1", "v2", "v3"]
CUBE = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], np.float32)
TERMS = [{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]
TRUTH = ((CUBE[:, 0] == 1) & (CUBE[:, 2] == 1)) | ((CUBE[:, 1] == 1) & (CUBE[:, 2] == 0))


def regions_of(rows):
    """regions.parquet of one seed: (pattern, samples, taken for 1, of class 1, right)."""
    table = []
    for number, (pattern, samples, taken, truth, right) in enumerate(rows):
        bits = pattern.replace("|", "")
        table.append(
            {
                "seed": 0,
                "region": number,
                "pattern": pattern,
                "active": bits.count("1"),
                "first_active": pattern.split("|")[0].count("1"),
                "samples": samples,
                "support": samples / sum(row[1] for row in rows),
                "right": right,
                "classes": 1 + (0 < taken < samples),
                "predicted": int(2 * taken > samples),
                "positives": taken / samples,
                "truth": truth / samples,
                "border": 0.5,
            }
        )
    return pd.DataFrame(table)


def training(accuracy=0.9, seed=0):
    rows = [
        (seed, 10, "train", "accuracy", 0.5),
        (seed, 10, "test", "loss", 0.1),
        (seed, 10, "test", "accuracy", accuracy),
    ]
    return pd.DataFrame(rows, columns=["seed", "iteration", "split", "metric", "value"])


# who is in them


def test_matching_and_sets_of_terms():
    assert region_metrics.matching(CUBE, NAMES, {"v1": 1, "v3": 0}).tolist() == [i in (4, 6) for i in range(8)]
    labels, count = region_metrics.sets(CUBE, NAMES, terms=TERMS)
    assert count == 3
    np.testing.assert_array_equal(labels < 2, TRUTH)
    assert (labels == 0).sum() == (labels == 1).sum() == 2
    # of two terms that both fit, the first counts
    labels, _ = region_metrics.sets(CUBE, NAMES, terms=[{"v1": 1}, {"v2": 1}])
    assert labels.tolist() == [2, 2, 1, 1, 0, 0, 0, 0]


def test_sets_of_features_are_the_combinations_that_there_are():
    labels, count = region_metrics.sets(CUBE, NAMES, features=["v3", "v1"])
    assert count == 4
    assert labels.tolist() == [int(2 * v3 + v1) for v1, _, v3 in CUBE]
    labels, count = region_metrics.sets(CUBE[[0, 7, 7]], NAMES, features=NAMES)
    assert (labels.tolist(), count) == ([0, 1, 1], 2)


@pytest.mark.parametrize("arguments", [{"features": ["v1", "x"]}, {"terms": [{"x": 1}]}])
def test_features_that_there_are_not_are_refused(arguments):
    with pytest.raises(InputError, match="no feature 'x' in the data, which have v1, v2, v3"):
        region_metrics.sets(CUBE, NAMES, **arguments)
    with pytest.raises(InputError, match="no named features"):
        region_metrics.matching(CUBE, [], {"x": 1})


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_regions_are_described_sample_by_sample(rows):
    found, y, predicted = np.array(rows).T
    there, labels = np.unique(found, return_inverse=True)
    bits = np.array([[number >> 1 & 1, number & 1, 1] for number in there], bool)
    table = region_metrics.describe(labels, bits, [2, 1], y, predicted)
    assert table["samples"].sum() == len(rows)
    assert table["support"].sum() == pytest.approx(1)
    for number, row in enumerate(table.itertuples()):
        own = [(t, p) for label, t, p in zip(labels, y, predicted, strict=True) if label == number]
        assert row.pattern == f"{there[number] >> 1 & 1}{there[number] & 1}|1"
        assert (row.active, row.first_active) == (row.pattern.count("1"), row.pattern[:2].count("1"))
        assert (row.samples, row.right) == (len(own), sum(t == p for t, p in own))
        assert row.truth == pytest.approx(np.mean([t for t, _ in own]))
        assert row.positives == pytest.approx(np.mean([p for _, p in own]))
        assert row.classes == len({p for _, p in own})
        assert [p for _, p in own].count(row.predicted) * 2 >= len(own)


def test_with_more_classes_nothing_is_said_of_class_1():
    table = region_metrics.describe(
        np.array([0, 0, 1]), np.eye(2, dtype=bool), [2], np.array([0, 2, 1]), np.array([2, 2, 1])
    )
    assert table["positives"].isna().all()
    assert table["truth"].isna().all()
    assert table["predicted"].tolist() == [2, 1]
    assert table["right"].tolist() == [1, 1]
    with pytest.raises(InputError, match=r"describe: .*do not fit each other"):
        region_metrics.describe(np.array([0, 2]), np.eye(2, dtype=bool), [2], np.zeros(2, int), np.zeros(2, int))


# networks


def test_networks_count_their_regions_by_kind():
    table = regions_of(
        [("110|11", 50, 20, 19, 47), ("000|11", 30, 0, 0, 30), ("101|10", 15, 15, 15, 15), ("001|10", 5, 5, 4, 4)]
    )
    row = region_metrics.networks(table, training(0.8), support_above=0.05).iloc[0]
    assert (row["accuracy"], row["test_accuracy"]) == (0.96, 0.8)
    assert (row["solved"], row["collapsed"]) == (0, 0)
    assert row["base_rate"] == pytest.approx(0.38)
    assert row["above_majority"] == pytest.approx(0.96 - 0.62)
    assert (row["regions"], row["supported_regions"], row["largest_support"]) == (4, 3, 0.5)
    share = np.array([0.5, 0.3, 0.15, 0.05])
    assert row["entropy"] == pytest.approx(-(share * np.log2(share)).sum())
    assert [row[f"{kind}_regions"] for kind in ("mixed", "positive", "negative")] == [1, 2, 1]
    assert [row[f"{kind}_support"] for kind in ("mixed", "positive", "negative")] == [0.5, 0.15, 0.3]
    assert (row["mixed_truth"], row["mixed_taken"]) == (pytest.approx(0.38), pytest.approx(0.4))
    assert (row["silent_first"], row["silent"]) == (1, 0)


def test_a_network_that_takes_all_for_one_class_has_collapsed():
    table = regions_of([("00|0", 60, 0, 20, 40), ("01|0", 40, 0, 0, 40)])
    row = region_metrics.networks(table, training()).iloc[0]
    assert (row["collapsed"], row["solved"], row["mixed_regions"], row["silent"]) == (1, 0, 0, 1)
    assert np.isnan(row["mixed_truth"])
    assert np.isnan(row["mixed_taken"])
    solved = region_metrics.networks(regions_of([("01|1", 7, 7, 7, 7), ("00|1", 3, 0, 0, 3)]), training()).iloc[0]
    assert (solved["solved"], solved["collapsed"]) == (1, 0)
    # a silent region whose samples are taken for class 1 is not the paper's
    other = region_metrics.networks(regions_of([("01|1", 7, 0, 0, 7), ("00|0", 3, 3, 3, 3)]), training()).iloc[0]
    assert (other["silent_first"], other["silent"]) == (0, 0)
    with pytest.raises(InputError, match="no test accuracy of seed 0"):
        region_metrics.networks(table, training(seed=1))


# importance


def test_importances_are_rank_correlations_of_sizes():
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    measures = {name: random.normal(size=8) for name in ("omega", "spread", "gradients")}
    found = region_metrics.importances(measures)
    assert list(found) == ["rank_omega_spread", "rank_omega_gradients", "rank_spread_gradients"]
    expected = spearmanr(abs(measures["omega"]), abs(measures["gradients"])).statistic
    assert found["rank_omega_gradients"] == pytest.approx(expected)
    # what is next to nothing is in no order
    noisy = region_metrics.importances({"a": [5, -3, 0.01, 0, 0.02], "b": [2, 1, 0.001, -0.004, 0.0]})
    assert noisy["rank_a_b"] == pytest.approx(1)
    assert np.isnan(region_metrics.importances({"a": np.ones(3), "b": np.arange(3)})["rank_a_b"])
    with pytest.raises(InputError, match=r"importances: got a \(3,\), b \(2,\)"):
        region_metrics.importances({"a": np.ones(3), "b": np.ones(2)})


def test_features_are_placed_by_their_weight_in_the_largest_mixed_region():
    table = regions_of([("1|1", 40, 40, 40, 40), ("0|1", 35, 20, 19, 30), ("1|0", 25, 5, 5, 25)])
    omega = np.array([[1, -2, 0.5, 0], [3, 3, -4, 0], [9, 9, 9, 9]])
    spread = np.array([1, 0.1, 0.1, 1])
    correlations = np.eye(4)
    correlations[0, 1] = correlations[1, 0] = -0.6
    correlations[3] = correlations[:, 3] = np.nan  # a feature that does not vary
    found = region_metrics.features(table, omega, spread, correlations, ["a", "b", "c", "d"], 0.5).set_index("feature")
    assert found["mixed_weight"].tolist() == [3, 3, -4, 0]
    assert found["positive_weight"].tolist() == [1, -2, 0.5, 0]
    assert found["mixed_rank"].tolist() == [2.5, 2.5, 1, 4]
    assert found["mixed_spread_rank"].tolist() == [1, 3, 2, 4]
    np.testing.assert_array_equal(found["opposite"], [0, 1, 1, np.nan])
    np.testing.assert_array_equal(found["correlation"], [0.6, 0.6, 0, np.nan])
    np.testing.assert_array_equal(found["correlated"], [1, 1, 0, np.nan])
    pure = regions_of([("1|1", 40, 40, 40, 40)])
    nothing = region_metrics.features(pure, omega[:1], spread, correlations, ["a", "b", "c", "d"], 0.5)
    assert nothing[["mixed_weight", "mixed_rank", "mixed_spread_rank", "opposite"]].isna().all(axis=None)
    with pytest.raises(InputError, match="do not fit 3 features"):
        region_metrics.features(table, omega, spread, correlations, ["a", "b", "c"], 0.5)


# labellings


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=50))
def test_agreement_is_that_of_scikit_learn(rows):
    from sklearn.metrics import adjusted_rand_score

    a, b = np.array(rows).T
    counts = np.zeros((5, 4), int)
    np.add.at(counts, (a, b), 1)
    assert evaluate.agreement(counts) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
    assert region_metrics.identical(counts) == (adjusted_rand_score(a, b) == 1 and len(set(a)) == len(set(b)))


@pytest.mark.parametrize("counts", [np.zeros((2, 2), int), np.eye(2) / 2, -np.eye(2, dtype=int), np.ones(3, int)])
def test_counts_are_whole_numbers(counts):
    for function in (evaluate.agreement, region_metrics.identical):
        with pytest.raises(InputError, match=r"takes? whole numbers"):
            function(counts)


def path_of(merges, fidelity, chosen):
    """merging.parquet of one seed."""
    into, gone = zip((-1, -1), *merges, strict=True)
    sizes = np.arange(len(into), 0, -1)
    return pd.DataFrame({"regions": sizes, "into": into, "gone": gone, "fidelity": fidelity, "chosen": sizes == chosen})


def test_a_labelling_is_found_on_the_way():
    counts = np.array([[10, 0, 0], [0, 6, 0], [4, 0, 0], [0, 0, 8], [0, 3, 0]])
    path = path_of([(0, 2), (1, 4), (0, 1), (0, 3)], [1, 1, 0.99, 0.9, 0.5], 3)
    found = region_metrics.found(counts, path)
    assert (found["merged_identical"], found["chosen_identical"]) == (1, 1)
    assert (found["merged_agreement"], found["best_agreement"], found["chosen_agreement"]) == (1, 1, 1)
    before = region_metrics.labelling(counts)
    assert 0 < before["agreement"] < 1
    assert (before["identical"], before["refines"]) == (0, 1)
    wrong = path_of([(0, 1), (2, 4), (0, 2), (0, 3)], [1, 1, 1, 1, 1], 4)
    found = region_metrics.found(counts, wrong)
    assert (found["merged_identical"], found["chosen_identical"]) == (0, 0)
    assert found["best_agreement"] == before["agreement"] > found["chosen_agreement"] > found["merged_agreement"]
    few = np.array([[14, 0, 8], [0, 9, 0]])
    found = region_metrics.found(few, path_of([(0, 1)], [1, 0.5], 2))
    assert found["merged_identical"] == 0
    assert np.isnan(found["merged_agreement"])
    assert region_metrics.labelling(few)["refines"] == 0
    with pytest.raises(InputError, match="the path does not begin with the 3 regions"):
        region_metrics.found(np.eye(3, dtype=int), path_of([(0, 1)], [1, 0.5], 2))


def test_how_few_regions_keep_how_much():
    path = path_of([(0, 2), (1, 4), (0, 1), (0, 3)], [1, 0.995, 0.97, 0.98, 0.5], 3)
    assert region_metrics.chosen(path) == {"chosen_regions": 3, "chosen_fidelity": 0.97}
    table = region_metrics.merged(path, [0.4, 0.95, 0.99, 1], 10).set_index("kept")
    assert table["merged_regions"].tolist() == [1, 2, 4, 5]
    assert table["merged_share"].tolist() == [0.1, 0.2, 0.4, 0.5]
    assert region_metrics.merged(path.assign(fidelity=0.1), [0.5], 5)["merged_regions"].isna().all()
    with pytest.raises(InputError, match="0 rows of the path are chosen"):
        region_metrics.chosen(path.assign(chosen=False))


OMEGA = np.array([[0, 0, 0, 0], [100, -0.5, 80, 0.1], [0.2, 90, -150, 0.0]])
COUNTS = np.array([[0, 0, 4], [2, 0, 0], [0, 2, 0]])
VALUES = [{0: 1, 2: 1}, {1: 1, 2: 0}]


def test_the_papers_boolean_network_in_all_its_parts():
    found = region_metrics.terms(COUNTS, OMEGA, ["0000|11", "0100|11", "0001|11"], VALUES)
    assert found == {"signs_right": 1, "noise": 0.5 / 80, "one_unit_each": 1, "last_on": 1}


@pytest.mark.parametrize(
    ("changes", "metric", "value"),
    [
        ({"omega": OMEGA * [1, 1, -1, 1]}, "signs_right", 0),
        ({"omega": OMEGA * [1, 1, 0, 1]}, "signs_right", 0),
        ({"omega": OMEGA * [1, 1, 0, 1]}, "noise", np.inf),
        ({"patterns": ["0000|11", "0100|11", "0100|10"]}, "one_unit_each", 0),
        ({"patterns": ["0000|11", "0110|11", "0001|11"]}, "one_unit_each", 0),
        ({"patterns": ["0000|11", "0100|11", "0001|01"]}, "last_on", 0),
        ({"counts": [[0, 0, 4], [2, 1, 0], [0, 1, 0]]}, "signs_right", np.nan),
        ({"counts": [[0, 0, 4], [1, 0, 0], [1, 0, 0], [0, 2, 0]]}, "noise", np.nan),
        ({"omega": OMEGA[:2]}, "last_on", np.nan),
    ],
)
def test_what_differs_from_the_papers_network_shows(changes, metric, value):
    inputs = {"counts": COUNTS, "omega": OMEGA, "patterns": ["0000|11", "0100|11", "0001|11"], "values": VALUES}
    np.testing.assert_equal(region_metrics.terms(**inputs | changes)[metric], value)


def test_profiles():
    table = regions_of([("1|1", 40, 40, 30, 30), ("0|1", 35, 20, 19, 30), ("1|0", 15, 0, 5, 10), ("0|0", 10, 0, 0, 10)])
    found = region_metrics.profile(table, [0, 10, 15, 10])
    assert found == {
        "kind_support": 0.35,
        "inside_support": 0.15,
        "inside_negative": 1,
        "inside_positive": 0,
        "mostly_negative": 1,
        "mostly_negative_support": 0.15,
        "mostly_positive": 0,
        "mostly_positive_support": 0,
    }
    assert region_metrics.profile(table, [40, 0, 15, 0])["inside_positive"] == 1
    mixed = region_metrics.profile(table, [0, 35, 15, 0])
    assert (mixed["inside_support"], mixed["inside_negative"], mixed["inside_positive"]) == (0.35, 0, 0)
    none = region_metrics.profile(table, [1, 2, 3, 4])
    assert (none["inside_support"], none["inside_negative"], none["inside_positive"]) == (0, 0, 0)
    # More than half of a region, which takes all of its samples for one class.
    most = region_metrics.profile(table, [21, 35, 7, 6])
    assert (most["mostly_positive"], most["mostly_positive_support"]) == (1, 0.4)
    assert (most["mostly_negative"], most["mostly_negative_support"]) == (1, 0.1)
    half = region_metrics.profile(table, [20, 35, 7, 5])
    assert (half["mostly_positive"], half["mostly_negative"]) == (0, 0)
    for counts in ([1, 2, 3], [41, 0, 0, 0]):
        with pytest.raises(InputError, match="profile: "):
            region_metrics.profile(table, counts)


# the table


def test_assemble_puts_what_claims_ask_among_into_every_row():
    networks = pd.DataFrame(
        {"seed": [0, 1], "solved": [1.0, 0.0], "collapsed": [0.0, 1.0], "regions": [3.0, 1.0], "accuracy": [1, 0.5]}
    )
    parts = [
        ("labelling", pd.DataFrame({"seed": [1, 0], "labelling": "terms", "identical": [0.0, 1.0]})),
        ("merged", pd.DataFrame({"seed": [0, 1], "kept": 0.99, "merged_regions": [2.0, np.inf]})),
        ("profile", pd.DataFrame()),
    ]
    table = region_metrics.assemble(networks, parts)
    keys = len(region_metrics.KEYS)
    assert list(table.columns[:keys]) == list(region_metrics.KEYS)
    assert (table.groupby("seed")["regions"].nunique() == 1).all()
    assert table["solved"].notna().all()
    assert table[table["level"] == "labelling"]["labelling"].tolist() == ["terms", "terms"]
    assert (table[table["level"] != "labelling"]["labelling"] == "").all()
    assert table["merged_regions"].dropna().tolist() == [2]  # infinity is no number
    assert all(table[name].dtype == np.float64 for name in table.columns[keys - 1 :])
    pd.testing.assert_frame_equal(table, region_metrics.assemble(networks[::-1], parts[::-1]))
