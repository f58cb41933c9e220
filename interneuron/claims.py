"""Claims judged over seeds: statements about a method, numbers read off one run, and several readings of one source.

A *statement about a method* has a condition (`holds_if`): it holds if the condition is true of the statistic and of
both ends of its interval. A *number read off one run* has none: what is asked is whether it lies within the range of
our seeds, since a run that is not our median refutes nothing. Who speaks (`says`) is told apart: `paper`, or one of our
own, `control` and `question`. Rows of the same `statement` of a source with different `reading`s are one statement
under different choices of what the source leaves open.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

HOLDS, IN_PART, FAILS, NOT_COMPARABLE = "holds", "holds in part", "fails", "not comparable"
WITHIN, BEYOND = "within", "beyond"  # of numbers read off one run
SOME_READINGS = "in some readings"  # of a statement, under several readings

PAPER, CONTROL, QUESTION = "paper", "control", "question"

# What an entry says of a claim; `values` and what follows it is measured, the rest between them is judged from these.
WORDS = ("says", "statement", "reading", "group", "source", "states", "reported", "holds_if", "why")
JUDGED = ("measured", "low", "high", "interval", "n", "share", "verdict", "note")
COLUMNS = ("study", "claim", *WORDS, *JUDGED, "values", "seeds", "of", "code")

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STATISTIC = r"(?P<statistic>median|mean|share|min|max)"
_COMPARISON = re.compile(rf"\s*{_STATISTIC}\s*(?P<operator>==|!=|<=|>=|<|>)\s*(?P<number>{_NUMBER})\s*")
_RANGE = re.compile(rf"\s*{_STATISTIC}\s+in\s*\[\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*\]\s*")


@dataclass(frozen=True)
class Condition:
    """`statistic operator bounds`, as in `median >= 3` or `mean in [4, 21]` (both ends belong to the range)."""

    statistic: str
    operator: str
    bounds: tuple[float, ...]

    def true_for(self, value: ArrayLike) -> NDArray[np.bool_]:
        """Whether the condition is true of each value."""
        x = np.asarray(value, float)
        if self.operator == "in":
            return (x >= self.bounds[0]) & (x <= self.bounds[1])
        compare = {
            "==": np.equal,
            "!=": np.not_equal,
            "<": np.less,
            "<=": np.less_equal,
            ">": np.greater,
            ">=": np.greater_equal,
        }[self.operator]
        return np.asarray(compare(x, self.bounds[0]))


@dataclass(frozen=True)
class Judgement:
    """What a claim came to: the statistic, its interval, the share of seeds in which it holds, the verdict."""

    measured: float
    low: float
    high: float
    interval: str
    n: int
    share: float
    verdict: str
    note: str = ""


def parse(holds_if: str) -> Condition:
    """Read a condition: `STAT OP NUMBER` or `STAT in [a, b]`.

    STAT is median, mean, share, min or max; OP is ==, !=, <, <=, > or >=. Nothing is evaluated. Raises InputError for
    anything else, and for a range whose ends are in the wrong order.
    """
    if match := _COMPARISON.fullmatch(str(holds_if)):
        return Condition(match["statistic"], match["operator"], (float(match["number"]),))
    if match := _RANGE.fullmatch(str(holds_if)):
        low, high = float(match["low"]), float(match["high"])
        if low > high:
            raise InputError(f"holds_if: the range in {holds_if!r} is empty; it takes the smaller number first")
        return Condition(match["statistic"], "in", (low, high))
    raise InputError(
        f"holds_if: {str(holds_if)!r} is no condition; it takes 'STAT OP NUMBER' or 'STAT in [a, b]' with STAT one of "
        "median, mean, share, min, max and OP one of ==, !=, <, <=, >, >="
    )


def median_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Distribution-free interval of the median from order statistics.

    `[x_(j), x_(n+1-j)]` with the largest j whose exact coverage `1 - 2 P(Bin(n, 1/2) < j)` is at least `confidence`
    (David and Nagaraja 2003, Order Statistics, section 7.1). At 95 % this takes 6 values; raises InputError with fewer
    than the confidence asks for.
    """
    x = np.sort(_vector(values, "median_interval"))
    n, below, j = len(x), 0, 0
    while j < n / 2 and 1 - 2 * (below + comb(n, j)) / 2**n >= confidence:
        below += comb(n, j)
        j += 1
    if j == 0:
        raise InputError(f"median_interval: {n} values are too few for {confidence:.0%} confidence")
    return float(x[j - 1]), float(x[n - j])


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion from the quantiles of beta distributions (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    if not 0 <= successes <= n or n == 0:
        raise InputError(f"clopper_pearson: {successes} successes of {n}; it takes 0 <= successes <= n, n > 0")
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high


def judge(condition: Condition, values: ArrayLike) -> Judgement:
    """Judge a condition over one value a seed.

    median: *holds* if true for the median and both ends of its interval (`median_interval`; least and greatest with
    fewer than 6 values, marked `n<6`), *holds in part* if true for the median only. share: the same with the share of
    ones and its Clopper-Pearson interval, whatever n is. mean, min, max: *holds* if true for the statistic; the
    interval shown is the median's. *Fails* otherwise. `share` of the result is the share of values for which the
    condition is true by themselves.

    Raises InputError for no values, values that are not finite, and a share of values that are not 0 or 1.
    """
    x = _vector(values, "judge")
    n = len(x)
    each = float(condition.true_for(x).mean())
    if condition.statistic == "share":
        if not np.isin(x, (0, 1)).all():
            raise InputError(f"judge: a share takes values of 0 and 1 only, got {x[~np.isin(x, (0, 1))][0]:g}")
        measured, (low, high), interval = float(x.mean()), clopper_pearson(int(x.sum()), n), "95%"
    else:
        measured = float(getattr(np, condition.statistic)(x))
        low, high = median_interval(x) if n >= 6 else (float(x.min()), float(x.max()))
        interval = "95%" if n >= 6 else "n<6"
    if not condition.true_for(measured):
        verdict = FAILS
    elif condition.statistic in ("mean", "min", "max") or condition.true_for([low, high]).all():
        verdict = HOLDS
    else:
        verdict = IN_PART
    return Judgement(measured, low, high, interval, n, each, verdict)


def judge_number(reported: float, values: ArrayLike) -> Judgement:
    """Judge whether a number read off one run is a plausible draw of ours, one value a seed.

    *Within*: it lies in the range of the values, least to greatest. Such a range of n independent runs holds the next
    run with probability (n - 1) / (n + 1) (Wilks 1941, Annals of Mathematical Statistics 12, 91-96), which `interval`
    states. *Beyond*: it does not, and the note says by how much, in interquartile ranges of the values. *Not
    comparable*: one value has no range. `measured` is the median; `share` is not a number.

    Raises InputError for no values, and values or a reported number that are not finite.
    """
    x = _vector(values, "judge_number")
    if not np.isfinite(reported):
        raise InputError(f"judge_number: reported is {reported}; it takes a finite number")
    n, low, high = len(x), float(x.min()), float(x.max())
    verdict, note = WITHIN, ""
    if n == 1:
        verdict, note = NOT_COMPARABLE, "one seed has no range"
    elif not low <= reported <= high:
        away = max(low - reported, reported - high)
        quartiles = float(np.subtract(*np.percentile(x, [75, 25])))
        verdict = BEYOND
        note = (
            f"beyond by {away / quartiles:.2g} interquartile ranges"
            if quartiles
            else f"beyond by {away:.3g}, the quartiles being equal"
        )
    interval = f"range, {(n - 1) / (n + 1):.0%}" if n > 1 else ""
    return Judgement(float(np.median(x)), low, high, interval, n, float("nan"), verdict, note)


def group_verdict(verdicts: Iterable[str]) -> str:
    """Verdict of claims that are one statement together: what all comparable ones agree on, else *holds in part*.

    Numbers of single runs refute nothing: beside statements they do not count; among themselves they are *within*, or
    *beyond* where some are.
    """
    comparable = set(verdicts) - {NOT_COMPARABLE}
    if not comparable:
        return NOT_COMPARABLE
    statements = comparable - {WITHIN, BEYOND}
    if not statements:
        return BEYOND if BEYOND in comparable else WITHIN
    return statements.pop() if len(statements) == 1 else IN_PART


def readings_verdict(verdicts: Iterable[str]) -> str:
    """Verdict of a statement over its readings: what all comparable ones agree on, else *in some readings*."""
    comparable = set(verdicts) - {NOT_COMPARABLE}
    if not comparable:
        return NOT_COMPARABLE
    return comparable.pop() if len(comparable) == 1 else SOME_READINGS


def select(claim: Mapping[str, Any], metrics: "pd.DataFrame") -> "pd.Series":
    """The claim's values, indexed by seed: column `metric`, rows that match `where`, and `among` if it is given.

    Rows in which the metric is NaN (it does not apply) don't count. Raises InputError for a metric or column that is
    not there, for a `where` that leaves no row, and when more than one row a seed is left.
    """
    name, metric, where, among = claim["id"], claim["metric"], claim.get("where") or {}, claim.get("among")
    for column in (metric, *where, *([among] if among else [])):
        if column not in metrics:
            raise InputError(f"claim {name}: no column {column!r} in the metrics; there are {_list(metrics.columns)}")
    rows = metrics
    for column, value in where.items():
        kept = rows[(rows[column] == value).fillna(False).to_numpy(bool)]
        if kept.empty:
            there = rows[column].dropna().unique().tolist()
            raise InputError(
                f"claim {name}: where {column} = {value!r} leaves no row of the metrics; "
                f"{column} takes {_list(there) or 'no value in the rows left'}"
            )
        rows = kept
    if among:
        rows = rows[(rows[among].fillna(0) != 0).to_numpy(bool)]
    rows = rows[rows[metric].notna()]
    if rows["seed"].duplicated().any():
        twice = rows[rows["seed"] == rows["seed"][rows["seed"].duplicated()].iloc[0]]
        differ = [column for column in twice if column != metric and twice[column].nunique(dropna=False) > 1]
        raise InputError(
            f"claim {name}: {len(twice)} rows of the metrics are left for seed {twice['seed'].iloc[0]}, it takes one; "
            f"say in where which {_list(differ) if differ else 'row (they are alike)'}"
        )
    return rows.set_index("seed")[metric].astype(float).sort_index()


def row(study: str, claim: Mapping[str, Any], metrics: "pd.DataFrame", code: str) -> dict[str, Any]:
    """The ledger's row of one claim, the columns `COLUMNS`: its values in the metrics, and the verdict on them.

    Values are kept to six significant digits, in the order of the seeds, so that a verdict can be given again from the
    row alone (`judged`); `of` is the number of seeds that there are.
    """
    values, of = "", metrics["seed"].nunique()
    seeds: Iterable[int] = ()
    if not claim.get("not_comparable"):
        found = select(claim, metrics)
        values, seeds = " ".join(f"{value:.6g}" for value in found), found.index
    measured = {"values": values, "seeds": _ranges(seeds), "of": str(of), "code": code}
    return {"study": study, "claim": claim["id"]} | judged(claim, values, of) | measured


def judged(claim: Mapping[str, Any], values: str, of: int) -> dict[str, Any]:
    """The columns `WORDS` and `JUDGED` of a row: what the claim says, and its verdict on values as rows keep them.

    A claim with a reason under `not_comparable` gets that verdict, and the reason as its note; so does one that has a
    value in none of the seeds, `of`.
    """
    result: dict[str, Any] = {}
    for key in WORDS:
        value = claim.get(key)
        result[key] = "" if value is None else " ".join(str(value).split())
    result |= dict(zip(JUDGED, (np.nan, np.nan, np.nan, "", 0, np.nan, NOT_COMPARABLE, ""), strict=True))
    if claim.get("not_comparable"):
        result["note"] = " ".join(str(claim["not_comparable"]).split())
        return result
    numbers = [float(value) for value in values.split()]
    if numbers and claim.get("holds_if"):
        result |= vars(judge(parse(claim["holds_if"]), numbers))
    elif numbers:
        result |= vars(judge_number(float(claim["reported"]), numbers))
    if len(numbers) < of:
        few = f"{len(numbers) or 'none'} of {of} seeds {'has' if len(numbers) < 2 else 'have'} a value"
        result["note"] = "; ".join(filter(None, (few, result["note"])))
    return result


def table(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Rows of the ledger as a table with the columns `COLUMNS`."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype({"n": "int64"})


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    x = checks.numbers(f"{name}: values", values).astype(np.float64, copy=False)
    if x.ndim != 1 or not len(x):
        raise InputError(f"{name}: got values of shape {x.shape}; it takes one finite number a seed, at least one")
    return x


def _list(names: Iterable[Any]) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")


def _ranges(seeds: Iterable[int]) -> str:
    """0, 1, 2, 5 as `0-2,5`."""
    parts: list[list[int]] = []
    for seed in sorted(int(s) for s in seeds):
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
