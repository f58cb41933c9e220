"""What influence amounts to in MARGIN's case studies: metrics, as tables with a row a seed and thing measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError
from interneuron.evaluate import rank_correlation

TEXT = ("level", "function", "variant", "method", "role", "quota", "order")
NUMBERS = ("k", "p", "threshold", "count", "share")
# What is compared with influence, and with what of it: recall of wrong labels, error of the nearest neighbour.
RIVALS = ("random", "influence-function", "loss", "cross-validated-loss", "cleanlab")
READING = ["function", "variant", "k", "p"]
SELECTION = [*READING, "method", "role", "quota", "order", "threshold"]

Floats = NDArray[np.floating]


def agreement(influence: pd.DataFrame, main: Mapping[str, Any], top: float) -> pd.DataFrame:
    """How far every reading of an explanation function agrees with the `main` one: a row a seed, function and reading.

    A reading is a variant, k and p; `main` has all three (the p of `f-alone` is 0). `rank_correlation`: Spearman's, of
    the influences of all nodes; `top_overlap`: share of the nodes of most influence, `top` of them, that are so in the
    main reading too, ties shared out (`expected_overlap`); `top_by_chance`: what random orders would give.
    `influence` has the columns of influence.parquet. Raises InputError where no row is of the main reading.
    """
    rows = []
    for (seed, function), own in influence.groupby(["seed", "function"], sort=True):
        readings: dict[Any, pd.DataFrame] = dict(iter(own.groupby(["variant", "k", "p"], sort=True)))
        wanted = (main["variant"], main["k"], 0 if main["variant"] == "f-alone" else main["p"])
        if wanted not in readings:
            raise InputError(f"no influence of {function} has variant, k and p {wanted}; there are {list(readings)}")
        ids, values = (readings[wanted][name].to_numpy() for name in ("sample_id", "influence"))
        count = max(1, round(top * len(values)))
        for (variant, k, p), part in readings.items():
            if not np.array_equal(part["sample_id"], ids):
                raise InputError(f"{function}, {variant}, k {k}, p {p} has other nodes than the main reading")
            other = part["influence"].to_numpy()
            rows.append(
                {
                    "seed": seed,
                    "function": function,
                    "variant": variant,
                    "k": k,
                    "p": p,
                    "rank_correlation": rank_correlation(values, other),
                    "top_overlap": expected_overlap(values, other, count),
                    "top_by_chance": count / len(values),
                }
            )
    return pd.DataFrame(rows)


def expected_overlap(a: ArrayLike, b: ArrayLike, count: int) -> float:
    """Share of the `count` highest of a [n] that are among the `count` highest of b [n], ties drawn at random.

    The expectation over independent draws: the sum over samples of the products of their probabilities, by `count`.
    Raises InputError as `inspected` does, and for different lengths.
    """
    first = inspected(a, count)
    return float(first @ inspected(checks.numbers("scores", b, len(first)), count)) / count


def inspected(scores: ArrayLike, count: int) -> Floats:
    """Probability of each of n samples to be among the `count` with the highest scores, ties drawn at random: [n].

    Raises InputError for a count outside of 1 to n, and for scores that are NaN or infinite, which have no rank."""
    scores = checks.numbers("scores", scores, "n")
    if not 1 <= count <= len(scores):
        raise InputError(f"{count} samples asked of {len(scores)}; it takes 1 to as many as there are")
    border = np.partition(scores, -count)[-count]
    above, at = scores > border, scores == border
    return above + at * ((count - above.sum()) / at.sum())


def recall(scores: ArrayLike, wrong: ArrayLike, depth: ArrayLike, shares: Sequence[float]) -> dict[str, Any]:
    """Share of the wrong labels found by inspecting samples in falling order of their scores: columns, a row a share.

    scores [n], wrong [n], depth [n] (any number that grows away from the decision boundary). `share` of the samples,
    `inspected` their number; `recall`: the expectation over random orders of ties, NaN where no label is wrong;
    `depth`: mean rank, 0 to 1, of the inspected samples' depth. Raises InputError for arrays that do not fit, shares
    outside of 0 to 1, and NaN.
    """
    scores, depth = checks.numbers("scores", scores, "n"), checks.numbers("depths", depth, "n")
    wrong = checks.marks("marks of wrong labels", wrong, "n")
    if not all(0 <= share <= 1 for share in shares):
        raise InputError(f"shares are {list(shares)}, and take 0 to 1 each")
    n = len(scores)
    if wrong.shape != (n,) or depth.shape != (n,):
        raise InputError(f"{n} scores, {len(wrong)} labels, {len(depth)} depths; recall takes as many of each")
    order = np.empty(n)
    order[np.argsort(depth, kind="stable")] = np.arange(1, n + 1) / n
    counts = [max(1, round(share * n)) for share in shares]
    seen = np.array([inspected(scores, count) for count in counts])
    found = seen @ wrong / wrong.sum() if wrong.any() else np.full(len(counts), np.nan)
    depths = seen @ order / counts
    return {"share": list(shares), "inspected": counts, "recall": found, "depth": depths}


def wrong_labels(audited: pd.DataFrame, main: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of audited.parquet, with what separates each from its rivals at the same seed and share.

    `gain_over_main`: its recall minus that of the main reading (of the same function, or of the only one);
    `gain_over_f_alone`: of the same function and k without a graph filter; `gain_over_random` and so on: of these
    methods; `depth_over_influence_function`: the same of depth. Raises InputError where the main reading is not there.
    """
    table = audited.drop(columns="inspected")
    at = ["seed", "share"]
    margin = table[table["method"] == "margin"]
    table = _gain(table, margin[_is(margin, main)], [*at, "function"], "main", "recall")
    alone = margin[margin["variant"] == "f-alone"]
    table = _gain(table, alone, [*at, "function", "k"], "f_alone", "recall")
    for rival in RIVALS:
        own = table[table["method"] == rival]
        table = _gain(table, own, at, rival.replace("-", "_"), "recall")
    theirs = audited[audited["method"] == "influence-function"].set_index(at)["depth"]
    there = theirs.reindex(pd.MultiIndex.from_frame(table[at])).to_numpy()
    table["depth_over_influence_function"] = table["depth"] - there
    return table


def selections(errors: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Test errors of selected samples: by count, the mean over the counts, and the best readings.

    errors: a row a seed, selection and count, with `error`; the random selections' draws are averaged first.
    `gain_over_mmd_critic`: the error of MMD-critic with the same kernel, role and count, minus the selection's;
    `gain_over_random`. The second table has the means over the counts; the third, a row a seed, function and role, the
    least of these means over all readings of influence with a filter (`best_error`), over those of f alone
    (`best_f_alone`), and `best_gain_over_mmd_critic`.
    """
    keys = ["seed", *SELECTION, "count"]
    table = errors.groupby(keys, sort=True)["error"].mean().reset_index()
    critic, chance = (table[table["method"] == method] for method in ("mmd-critic", "random"))
    table = _gain(table, critic, ["seed", "function", "role", "count"], "mmd_critic", "error", -1)
    table = _gain(table, chance, ["seed", "count"], "random", "error", -1)
    gains = ["error", "gain_over_mmd_critic", "gain_over_random"]
    curves = table.groupby(["seed", *SELECTION], as_index=False, sort=True)[gains].mean()
    margin = curves[curves["method"] == "margin"]
    at = ["seed", "function", "role"]
    alone = margin["variant"] == "f-alone"
    best = (
        margin[~alone]
        .groupby(at, as_index=False, sort=True)
        .agg(best_error=("error", "min"), best_gain_over_mmd_critic=("gain_over_mmd_critic", "max"))
    )
    without = margin[alone].groupby(at, as_index=False, sort=True).agg(best_f_alone=("error", "min"))
    return table, curves, best.merge(without, on=at, how="left")


def sweeps(table: pd.DataFrame, value: str, main: Mapping[str, Any], by: Sequence[str]) -> pd.DataFrame:
    """How much a value depends on k and p: a row for each combination of the columns `by`.

    Of the main reading's variant, `k_range`: the value's range over the ks at the main p; `p_range`: over the ps at the
    main k.
    """
    own = table[table["variant"] == main["variant"]]
    parts = {}
    for name, fixed in (("k_range", "p"), ("p_range", "k")):
        groups = own[own[fixed] == main[fixed]].groupby(list(by), sort=True)[value]
        parts[name] = groups.max() - groups.min()
    return pd.DataFrame(parts).reset_index()


def _is(table: pd.DataFrame, main: Mapping[str, Any]) -> "pd.Series[bool]":
    """Which rows are of the main reading."""
    p = 0 if main["variant"] == "f-alone" else main["p"]
    here = (table["variant"] == main["variant"]) & (table["k"] == main["k"]) & (table["p"] == p)
    if not here.any():
        raise InputError(f"no row is of the main reading: variant {main['variant']}, k {main['k']}, p {p}")
    return here


def _gain(
    table: pd.DataFrame, rival: pd.DataFrame, on: Sequence[str], name: str, value: str, sign: int = 1
) -> pd.DataFrame:
    """The table with one more column: by how much its value is above (sign -1: below) that of the rival's like row."""
    other = rival[[*on, value]].rename(columns={value: "rival"})
    merged = table.merge(other, on=list(on), how="left", validate="many_to_one")
    merged[f"gain_over_{name}"] = sign * (merged[value] - merged["rival"])
    return merged.drop(columns="rival")


def assemble(
    parts: Iterable[tuple[str, pd.DataFrame]], text: Sequence[str] = TEXT, numbers: Sequence[str] = NUMBERS
) -> pd.DataFrame:
    """The metrics file: the rows of (level, table) pairs, one below the other, by the keys.

    The keys, `seed` and those of `text` and `numbers`, come first; those that do not apply are empty text, or NaN.
    Metrics are float64.
    """
    table = pd.concat([part.assign(level=level) for level, part in parts if len(part)], ignore_index=True)
    keys = [text[0], "seed", *text[1:], *numbers]
    for key in keys:
        if key not in table:
            table[key] = np.nan
    for key in text:
        table[key] = table[key].astype(object).where(table[key].notna(), "").astype("str")
    table["seed"] = table["seed"].astype("int64")
    metrics = sorted(str(column) for column in table if column not in keys)
    values = [*numbers, *metrics]
    table[values] = table[values].astype("float64").replace([np.inf, -np.inf], np.nan)
    return table[[*keys, *metrics]].sort_values(keys, ignore_index=True)
