"""Conditions, intervals and verdicts, and the ledger's script."""

import importlib.util
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interneuron import claims, io
from interneuron.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


# conditions


@pytest.mark.parametrize(
    ("text", "statistic", "operator", "bounds"),
    [
        ("median == 3", "median", "==", (3.0,)),
        ("mean>=-1.5e-3", "mean", ">=", (-0.0015,)),
        ("share  <  .5", "share", "<", (0.5,)),
        ("min != +2.", "min", "!=", (2.0,)),
        (" max <= 10 ", "max", "<=", (10.0,)),
        ("median in [4, 21]", "median", "in", (4.0, 21.0)),
        ("mean in [ -0.45,-0.35 ]", "mean", "in", (-0.45, -0.35)),
    ],
)
def test_parse(text, statistic, operator, bounds):
    assert claims.parse(text) == claims.Condition(statistic, operator, bounds)


@pytest.mark.parametrize(
    "text",
    ["", "3", "median", "median = 3", "mode == 3", "median == x", "median == 3 or 1", "median in [1]", "median == nan",
     "median in (1, 2)", "median == 1_0", "median => 3", "__import__('os')", "median == 3; mean == 2", "median == 3\n4",
     None],
)  # fmt: skip
def test_what_is_no_condition_is_refused_with_what_it_takes(text):
    with pytest.raises(InputError, match="STAT OP NUMBER"):
        claims.parse(text)


def test_an_empty_range_is_refused():
    with pytest.raises(InputError, match="smaller number first"):
        claims.parse("median in [3, 2]")


@pytest.mark.parametrize(
    ("text", "true"),
    [("min == 2", [2]), ("min != 2", [1, 3]), ("min < 2", [1]), ("min <= 2", [1, 2]), ("min > 2", [3]),
     ("min >= 2", [2, 3]), ("min in [1, 2]", [1, 2]), ("min in [2, 2]", [2])],
)  # fmt: skip
def test_operators(text, true):
    assert [x for x in (1, 2, 3) if claims.parse(text).true_for(x)] == true


# intervals


@pytest.mark.parametrize(("n", "j"), [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (25, 8), (50, 18)])
def test_median_interval_takes_the_order_statistics_of_the_tables(n, j):
    values = np.random.default_rng(n).permutation(np.arange(1, n + 1))
    assert claims.median_interval(values) == (j, n + 1 - j)


@pytest.mark.parametrize("n", [6, 7, 12, 31])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_median_interval_covers_at_least_what_it_says_and_no_narrower_one_does(n, confidence):
    from scipy.stats import binom

    low, _ = claims.median_interval(np.arange(1, n + 1), confidence)
    j = int(low)
    assert 1 - 2 * binom.cdf(j - 1, n, 0.5) >= confidence
    assert 1 - 2 * binom.cdf(j, n, 0.5) < confidence


def test_median_interval_coverage_by_enumeration():
    """Each of 6 values lies below the median or above it: count the patterns in which the interval holds it."""
    patterns = list(itertools.product([-1, 1], repeat=6))
    covered = sum(low < 0 < high for low, high in map(claims.median_interval, patterns))
    assert covered / len(patterns) == 1 - 2 / 64


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [], [[1.0] * 6], [1, 2, 3, 4, 5, np.nan]])
def test_median_interval_refuses_too_few_or_no_numbers(values):
    with pytest.raises(InputError, match="median_interval"):
        claims.median_interval(values)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_is_that_of_scipy(case):
    from scipy.stats import binomtest

    k, n = case
    oracle = binomtest(k, n).proportion_ci(0.95, "exact")
    assert claims.clopper_pearson(k, n) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@pytest.mark.parametrize("case", [(1, 0), (3, 2), (-1, 2)])
def test_clopper_pearson_refuses_impossible_counts(case):
    with pytest.raises(InputError, match="clopper_pearson"):
        claims.clopper_pearson(*case)


# verdicts


@pytest.mark.parametrize(
    ("holds_if", "values", "verdict"),
    [
        ("median == 3", [3] * 6, "holds"),
        ("median == 3", [3] * 5 + [4], "holds in part"),
        ("median == 3", [3, 3, 3, 3, 3, 3, 3, 3, 3, 4], "holds"),
        ("median == 3", [3, 4, 4, 4, 4, 4], "fails"),
        ("median in [5, 11]", [5, 6, 7, 8, 9, 11], "holds"),
        ("median in [5, 11]", [4, 6, 7, 8, 9, 11], "holds in part"),
        ("median == 3", [3, 3, 3], "holds"),
        ("median == 3", [3, 3, 4], "holds in part"),
        ("median > 0", [1], "holds"),
        ("share >= 0.5", [1] * 10, "holds"),
        ("share >= 0.5", [1] * 6 + [0] * 4, "holds in part"),
        ("share >= 0.5", [1, 0, 0], "fails"),
        ("mean >= 2", [0, 4, 2, 2, 2, 2], "holds"),
        ("min >= 1", [1, 9, 9, 9, 9, 9], "holds"),
        ("min >= 1", [0, 9, 9, 9, 9, 9], "fails"),
        ("max <= 8", [0, 9, 9, 9, 9, 9], "fails"),
    ],
)
def test_verdicts(holds_if, values, verdict):
    assert claims.judge(claims.parse(holds_if), values).verdict == verdict


def test_a_judgement_tells_the_statistic_its_interval_and_the_seeds_in_which_it_holds():
    found = claims.judge(claims.parse("median >= 3"), [1, 2, 3, 4, 5, 6])
    assert (found.measured, found.low, found.high, found.interval, found.n) == (3.5, 1, 6, "95%", 6)
    assert found.share == pytest.approx(4 / 6)
    few = claims.judge(claims.parse("median >= 3"), [2, 4])
    assert (few.low, few.high, few.interval) == (2, 4, "n<6")
    share = claims.judge(claims.parse("share >= 0.9"), [1, 1, 1, 0])
    assert share.measured == share.share == 0.75
    assert (share.low, share.high) == claims.clopper_pearson(3, 4)
    mean = claims.judge(claims.parse("mean >= 3"), [1, 2, 3, 4, 5, 30])
    assert (mean.measured, mean.low, mean.high) == (7.5, 1, 30)


@pytest.mark.parametrize("values", [[], [1, np.nan], [1, np.inf], [[1], [2]]])
def test_judge_refuses_what_is_not_one_finite_number_a_seed(values):
    with pytest.raises(InputError, match=r"one finite number a seed|hold NaN or infinite numbers"):
        claims.judge(claims.parse("median > 0"), values)


def test_a_share_takes_yes_and_no_only():
    with pytest.raises(InputError, match=r"0 and 1 only, got 0\.5"):
        claims.judge(claims.parse("share > 0"), [1, 0.5, 0])


@pytest.mark.parametrize(
    ("reported", "values", "verdict", "note"),
    [
        (8, [5, 7, 9], "within", ""),
        (9, [5, 7, 9], "within", ""),
        (12, [5, 7, 9], "beyond", "beyond by 1.5 interquartile ranges"),
        (1, [5, 7, 9], "beyond", "beyond by 2 interquartile ranges"),
        (4, [3, 3, 3, 3], "beyond", "beyond by 1, the quartiles being equal"),
        (3, [3, 3], "within", ""),
        (3, [3], "not comparable", "one seed has no range"),
    ],
)
def test_a_number_of_one_run_is_held_against_the_range_of_the_seeds(reported, values, verdict, note):
    found = claims.judge_number(reported, values)
    assert (found.verdict, found.note, found.measured) == (verdict, note, np.median(values))
    assert (found.low, found.high) == (min(values), max(values))


def test_the_range_of_n_runs_holds_the_next_one_as_often_as_is_said():
    """By exchangeability the next of n + 1 runs is neither the least nor the greatest with (n - 1) / (n + 1)."""
    for n in (2, 3, 4, 5):
        orders = list(itertools.permutations(range(n + 1)))
        inside = sum(min(order[:n]) < order[n] < max(order[:n]) for order in orders)
        assert claims.judge_number(0, list(range(n))).interval == f"range, {inside / len(orders):.0%}"


@pytest.mark.parametrize(("reported", "values"), [(np.nan, [1, 2]), (1, []), (1, [1, np.inf])])
def test_a_number_of_one_run_is_a_number(reported, values):
    with pytest.raises(InputError, match="judge_number"):
        claims.judge_number(reported, values)


@pytest.mark.parametrize(
    ("verdicts", "group"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "fails"], "holds in part"),
        (["fails", "fails"], "fails"),
        (["holds", "holds in part"], "holds in part"),
        (["fails", "holds in part"], "holds in part"),
        (["holds", "not comparable"], "holds"),
        (["not comparable"], "not comparable"),
        (["within", "within"], "within"),
        (["within", "beyond"], "beyond"),
        (["holds", "beyond"], "holds"),
        (["fails", "within", "not comparable"], "fails"),
    ],
)
def test_group_verdict(verdicts, group):
    assert claims.group_verdict(verdicts) == group


@pytest.mark.parametrize(
    ("verdicts", "over_all"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "fails"], "in some readings"),
        (["holds in part", "fails"], "in some readings"),
        (["fails", "not comparable"], "fails"),
        (["within", "beyond"], "in some readings"),
        (["not comparable", "not comparable"], "not comparable"),
    ],
)
def test_verdict_over_readings(verdicts, over_all):
    assert claims.readings_verdict(verdicts) == over_all


# rows


@pytest.fixture
def metrics():
    rows = [
        {"level": "clustering", "seed": seed, "alpha": alpha, "reading": reading, "clusters": 5.0 + alpha + (seed == 2)}
        for seed in range(7)
        for alpha in (0.0, 1.0)
        for reading in ("activation", "A")
    ]
    rows += [{"level": "model", "seed": seed, "solved": float(seed > 0), "active": 2.0} for seed in range(7)]
    table = pd.DataFrame(rows)
    table["rank"] = pd.array([0 if r["level"] == "clustering" else None for r in rows], dtype="Int64")
    table["reading"] = table["reading"].fillna("")
    return table


def claim(**changes):
    common = {"id": "c", "source": "paper, table 1", "states": "five\n  clusters", "reported": "5"}
    return common | {"metric": "clusters", "holds_if": "median == 5", "where": {"alpha": 0, "reading": "A"}} | changes


def test_select_keeps_one_row_a_seed(metrics):
    found = claims.select(claim(where={"alpha": 0, "reading": "A", "rank": 0}), metrics)
    assert found.to_dict() == {0: 5, 1: 5, 2: 6, 3: 5, 4: 5, 5: 5, 6: 5}
    assert claims.select(claim(metric="active", where={}), metrics).tolist() == [2] * 7
    assert claims.select(claim(metric="active", where={}, among="solved"), metrics).index.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "clusterz"}, "claim c: no column 'clusterz' in the metrics; there are level, seed"),
        ({"where": {"alfa": 0}}, "no column 'alfa'"),
        ({"among": "solvd"}, "no column 'solvd'"),
        ({"where": {"alpha": 2}}, "where alpha = 2 leaves no row of the metrics; alpha takes 0.0, 1.0"),
        (
            {"where": {"alpha": 0}},
            "2 rows of the metrics are left for seed 0, it takes one; say in where which reading",
        ),
        ({"where": {}}, "4 rows of the metrics are left for seed 0"),
    ],
)
def test_select_says_what_is_there(metrics, changes, words):
    with pytest.raises(InputError, match=words):
        claims.select(claim(**changes), metrics)


def test_row_of_a_claim(metrics):
    found = claims.row("study", claim(group="g"), metrics, "abc")
    assert list(found) == list(claims.COLUMNS)
    assert found["verdict"] == "holds in part"
    assert (found["measured"], found["low"], found["high"], found["n"]) == (5, 5, 6, 7)
    assert found["share"] == pytest.approx(6 / 7)
    assert (found["study"], found["claim"], found["group"], found["code"]) == ("study", "c", "g", "abc")
    assert (found["states"], found["seeds"], found["note"]) == ("five clusters", "0-6", "")
    assert (found["values"], found["of"]) == ("5 5 6 5 5 5 5", "7")


def test_a_verdict_can_be_given_again_from_the_row_alone(metrics):
    for changes in ({}, {"holds_if": None}, {"metric": "active", "where": {}, "among": "solved"}):
        entry = claim(**changes)
        row = claims.row("study", entry, metrics, "abc")
        again = claims.judged(entry, row["values"], int(row["of"]))
        assert str(again) == str({key: row[key] for key in again})
        assert set(again) == {*claims.WORDS, *claims.JUDGED}
    assert claims.judged(claim(holds_if="median == 6"), "5 5 6", 3)["verdict"] == "fails"


def test_row_of_a_number_of_one_run(metrics):
    found = claims.row("study", claim(holds_if=None, reported="9"), metrics, "")
    assert (found["verdict"], found["interval"]) == ("beyond", "range, 75%")
    assert found["note"] == "beyond by 3, the quartiles being equal"
    some = metrics.copy()
    some.loc[some["seed"] == 2, "clusters"] = np.nan
    found = claims.row("study", claim(holds_if=None, reported="9"), some, "")
    assert found["note"] == "6 of 7 seeds have a value; beyond by 4, the quartiles being equal"


def test_row_notes_the_seeds_without_a_value(metrics):
    some = metrics.copy()
    some.loc[some["seed"].isin([1, 4]), "clusters"] = np.nan
    found = claims.row("study", claim(), some, "")
    assert (found["n"], found["interval"], found["seeds"]) == (5, "n<6", "0,2-3,5-6")
    assert found["note"] == "5 of 7 seeds have a value"
    none = claims.row("study", claim(metric="active", where={}, among="solved"), metrics[metrics["seed"] == 0], "")
    assert (none["verdict"], none["n"], none["note"]) == ("not comparable", 0, "none of 1 seeds has a value")


def test_row_of_what_is_not_comparable_gives_the_reason(metrics):
    found = claims.row("s", {**claim(metric=None, holds_if=None), "not_comparable": "by\n eye"}, metrics, "x")
    assert (found["verdict"], found["note"], found["n"], found["interval"]) == ("not comparable", "by eye", 0, "")
    assert np.isnan(found["measured"])


# the script


def test_the_script_writes_a_row_a_claim(metrics, tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    io.save_table(paths[0], metrics[metrics["seed"] < 4])
    io.save_table(paths[1], metrics[metrics["seed"] >= 4])
    entries = [
        claim(group="g"),
        claim(id="d", group="g", holds_if="median == 9"),
        claim(id="e", not_comparable="by eye"),
    ]
    study = {"metrics": [str(path) for path in paths], "claims": entries, "code": "f00"}
    spec = importlib.util.spec_from_file_location("script_claims", ROOT / "scripts/claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    output = tmp_path / "claims.tsv"
    job = SimpleNamespace(
        input=SimpleNamespace(metrics=paths),
        output=[output],
        params=SimpleNamespace(settings={"studies": {"one": study}}),
    )
    module.main(job)
    ledger = io.load_table(output)
    assert tuple(ledger.columns) == claims.COLUMNS
    assert ledger["claim"].tolist() == ["c", "d", "e"]
    assert ledger["verdict"].tolist() == ["holds in part", "fails", "not comparable"]
    assert ledger["n"].tolist() == [7, 7, 0]
    assert ledger["measured"][:2].tolist() == [5, 5]
    assert set(ledger["code"]) == {"f00"}
