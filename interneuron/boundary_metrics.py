"""What scores of samples tell of a classifier: its errors and its boundary, and which samples were attacked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError
from interneuron.margin_metrics import inspected
from interneuron.signals import prediction_margin

READING = ["function", "variant", "k", "p"]
CONTROL = "f-alone"


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: the probability that a positive sample scores higher than another, ties counted half.

    scores [n], positive bool [n]. NaN where all samples are of one kind. Raises InputError for shapes that don't fit,
    and for NaN and infinite scores, which have no rank.
    """
    values, marked = checks.numbers("scores", scores), checks.marks("marks", positive)
    if values.ndim != 1 or values.shape != marked.shape:
        raise InputError(f"scores are {list(values.shape)} and marks {list(marked.shape)}; both take [n]")
    count = int(marked.sum())
    if not 0 < count < len(values):
        return float("nan")
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    return float((ranks[marked].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


def overlap(a: ArrayLike, b: ArrayLike, bins: int = 20) -> float:
    """Overlap coefficient of two samples, sum_i min(p_i, q_i) of their shares of `bins` bins: 0 apart, 1 alike.

    The bins hold equal shares of the two samples, each weighed alike, so that no monotone scale changes anything; equal
    values are in one bin. Raises InputError for an empty sample, fewer than two bins, and NaN.
    """
    first, second = (
        np.sort(checks.numbers("samples", part, "n").astype(np.float64, copy=False), axis=0) for part in (a, b)
    )
    if bins < 2 or not len(first) or not len(second):
        raise InputError(f"samples of {len(first)} and {len(second)} in {bins} bins; it takes 1 or more, in 2 or more")
    both = np.concatenate([first, second])
    order = np.argsort(both, kind="stable")
    weights = np.repeat([0.5 / len(first), 0.5 / len(second)], [len(first), len(second)])[order]
    borders = np.searchsorted(np.cumsum(weights), np.arange(1, bins) / bins - 1e-12)
    edges = np.unique(both[order][np.minimum(borders, len(both) - 1)])
    shares = [np.diff(np.searchsorted(part, edges, "right"), prepend=0, append=len(part)) for part in (first, second)]
    return float(np.minimum(shares[0] / len(first), shares[1] / len(second)).sum())


def boundaries(
    influence: pd.DataFrame, y: ArrayLike, predicted: ArrayLike, scores: ArrayLike, top: float
) -> pd.DataFrame:
    """How much the samples of highest score tell of a classifier, a row a score of one seed.

    influence: rows of influence.parquet of the seed; y, predicted [n], scores [n, classes] of its samples, in its
    order. The scores are the influences, each a `function`, `variant`, `k` and `p` (`method` is empty); and, as a
    `method`, the prediction margin (`margin`, small first) and `random` order, in expectation. Of the share `top` with
    the highest scores, ties drawn at random: `errors` (share that is misclassified), `found` (share of all errors that
    is among them), `margin` (their mean prediction margin) and `margin_ratio` (over that of all samples). `auroc`: of
    the errors. `over_margin`, `over_random`, `over_f`: errors less those of `margin`, of `random`, and of the same
    function and k without a graph.

    Raises InputError for lengths that don't fit, and NaN.
    """
    if not 0 < top <= 1:
        raise InputError(f"top is {top}, and takes a share above 0 and up to 1")
    known, taken = checks.labels("labels", y, "n", least=1), checks.labels("predictions", predicted, "n")
    margins = np.asarray(prediction_margin(scores), np.float64)
    n = len(known)
    if not taken.shape == margins.shape == known.shape == (n,):
        raise InputError(f"labels, predictions and scores are of {n}, {len(taken)} and {len(margins)} samples")
    wrong, count = taken != known, max(1, round(top * n))

    def row(values: NDArray[Any], **names: Any) -> dict[str, Any]:
        if len(values) != n:
            raise InputError(f"{names} has {len(values)} samples, the classifier {n}")
        chosen = inspected(values, count)
        errors, margin = chosen @ wrong / count, chosen @ margins / count
        found = {"errors": errors, "found": errors * count / wrong.sum() if wrong.any() else np.nan}
        found |= {"margin": margin, "margin_ratio": margin / margins.mean(), "auroc": auroc(values, wrong)}
        return names | found

    rows = [
        row(part["influence"].to_numpy(), **dict(zip(READING, names, strict=True)))
        for names, part in influence.groupby(READING, sort=True)
    ]
    rows += [row(-margins, method="margin"), row(np.zeros(n), method="random")]
    table = pd.DataFrame(rows)
    for method in ("margin", "random"):
        table[f"over_{method}"] = table["errors"] - float(table.loc[table["method"] == method, "errors"].iloc[0])
    return _over_control(table, "errors", "over_f").assign(samples=n, wrong=wrong.mean())


def separations(influence: pd.DataFrame, attacked: ArrayLike, bins: int) -> pd.DataFrame:
    """How far attacked and other samples are apart, a row a reading of one seed.

    influence: rows of influence.parquet of the seed; attacked [n], in its order. `auroc`: probability that an attacked
    sample has more of it than another; `separation`: max(auroc, 1 - auroc), which does not ask on which side they are;
    `overlap`: coefficient of the two distributions in `bins` bins; `over_f`, `overlap_over_f`: separation and overlap
    less those of the same function and k without a graph. Raises InputError for another length, NaN, and where none or
    all are attacked.
    """
    marked = checks.marks("marks", attacked, "n")
    if not 0 < marked.sum() < len(marked):
        raise InputError(f"{marked.sum()} of {len(marked)} samples are attacked; a separation takes some, and others")
    rows = []
    for names, part in influence.groupby(READING, sort=True):
        values = part["influence"].to_numpy()
        if len(values) != len(marked):
            raise InputError(f"{names} has {len(values)} samples, the attack {len(marked)}")
        area = auroc(values, marked)
        apart = {"auroc": area, "separation": max(area, 1 - area)}
        apart["overlap"] = overlap(values[marked], values[~marked], bins)
        rows.append(dict(zip(READING, names, strict=True)) | apart)
    table = _over_control(pd.DataFrame(rows), "separation", "over_f")
    return _over_control(table, "overlap", "overlap_over_f")


def from_main_k(table: pd.DataFrame, metrics: Sequence[str], k: int) -> pd.DataFrame:
    """The table with a column `<metric>_from_main_k` for each of the metrics: how far a row's is, sign left out, from
    that of the same seed, function, variant and p with the main k, so how much it depends on the number of neighbours.

    NaN in rows without a reading, and where there is no such row.
    """
    same = ["seed", "function", "variant", "p"]
    main = table[table["k"] == k].set_index(same)
    own = pd.MultiIndex.from_frame(table[same])
    far = {f"{name}_from_main_k": np.abs(table[name].to_numpy() - main[name].reindex(own)) for name in metrics}
    return table.assign(**{name: values.to_numpy() for name, values in far.items()})


def attacks(attacked: ArrayLike, success: ArrayLike, distortion: ArrayLike) -> Mapping[str, float]:
    """An attack on one seed: its successes, and how far these were moved.

    attacked [n]: which samples were; success and distortion [attacked]. `success`: share; `distortion`: mean, and
    `distortion_median`, of the successes; `nodes`: samples that are left, the others and the successes.
    Raises InputError for lengths that don't fit, no attacked sample, and NaN.
    """
    done = checks.marks("successes", success, "attacked", least=1)
    moved = checks.numbers("distortions", distortion, len(done)).astype(np.float64, copy=False)
    others = int((checks.whole("marks", attacked, "n") == 0).sum())
    return {
        "nodes": others + int(done.sum()),
        "attacked": int(done.sum()),
        "success": float(done.mean()),
        "distortion": float(moved[done].mean()) if done.any() else float("nan"),
        "distortion_median": float(np.median(moved[done])) if done.any() else float("nan"),
    }


def _over_control(table: pd.DataFrame, metric: str, name: str) -> pd.DataFrame:
    """The metric less that of the same function and k without a graph, as a column; NaN where there is none."""
    control = table[table["variant"] == CONTROL].set_index(["function", "k"])[metric]
    own = pd.MultiIndex.from_frame(table[["function", "k"]])
    return table.assign(**{name: table[metric].to_numpy() - control.reindex(own).to_numpy()})
