"""What the regions of a network amount to: metrics, as tables with a row a seed and thing measured."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from interneuron import checks
from interneuron.errors import InputError
from interneuron.evaluate import agreement, rank_correlation

KEYS = ("level", "seed", "labelling", "profile", "feature", "principle", "kept")
_TEXT = ("level", "labelling", "profile", "feature", "principle")
_COMMON = ("solved", "collapsed", "regions")

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]


def matching(x: ArrayLike, names: Sequence[str], values: Mapping[str, float]) -> NDArray[np.bool_]:
    """Which samples have all these values of features, bool [n]; x [n, d] with the features `names` [d].

    Raises InputError for a feature that is not among them, names that are not as many as the features, and NaN.
    """
    missing = [name for name in values if name not in names]
    if missing:
        raise InputError(f"no feature {missing[0]!r} in the data, which have {', '.join(names) or 'no named features'}")
    x = _features(x, names)
    here = np.ones(len(x), bool)
    for name, value in values.items():
        here &= x[:, names.index(name)] == value
    return here


def sets(
    x: ArrayLike,
    names: Sequence[str],
    features: Sequence[str] | None = None,
    terms: Sequence[Mapping[str, float]] | None = None,
) -> tuple[Integers, int]:
    """A labelling of samples [n] by their features, and its number of sets.

    With `features` every combination of their values that occurs is a set, in rising order; with `terms` every term is,
    of the samples that have its values (and none of an earlier one's), and what fits none is the last. Raises
    InputError for a feature that is not among `names`, names that are not as many as the features, and NaN.
    """
    if features is not None:
        matching(x, names, dict.fromkeys(features, 0))
        x = _features(x, names)
        there, labels = np.unique(x[:, [names.index(name) for name in features]], axis=0, return_inverse=True)
        return labels.reshape(-1).astype(np.int64), len(there)
    terms, x = terms or (), _features(x, names)
    labels = np.full(len(x), len(terms), np.int64)
    for number in reversed(range(len(terms))):
        labels[matching(x, names, terms[number])] = number
    return labels, len(terms) + 1


def describe(
    labels: ArrayLike, bits: ArrayLike, units: Sequence[int], y: ArrayLike, predicted: ArrayLike
) -> pd.DataFrame:
    """The regions of one network, a row each: the columns of regions.parquet.

    labels [n]: region of each sample, 0 to R - 1; bits [R, units]: activation pattern of each region; units: hidden
    units of each layer; y, predicted [n]: class of each sample, and the class that the network takes it for.

    `pattern` has a digit a unit, layers apart by `|`; `active`, `first_active`: active units, of all layers and of the
    first; `samples`, `support`: number and share; `right`: samples classified right; `classes`: how many classes they
    are taken for; `predicted`: the commonest of them; `positives`, `truth`: share of samples that are taken for, and
    are of, class 1 (NaN with more than two classes). Raises InputError where the shapes do not fit, and for NaN.
    """
    labels, y, predicted = (
        checks.whole(f"describe: {name}", values, "n", least=1)
        for name, values in (("labels", labels), ("classes", y), ("predicted classes", predicted))
    )
    bits = checks.marks("describe: patterns", bits, "regions", "units")
    if min(labels.min(), y.min(), predicted.min()) < 0:
        raise InputError("describe: a label or class is below 0, and takes 0 up")
    n, count = len(labels), len(bits)
    if y.shape != (n,) or predicted.shape != (n,) or bits.shape[1] != sum(units) or labels.max(initial=-1) >= count:
        raise InputError(
            f"describe: {n} labels up to {labels.max(initial=-1)}, classes {y.shape} and {predicted.shape} and "
            f"patterns {bits.shape} of layers of {list(units)} units do not fit each other"
        )
    samples = np.bincount(labels, minlength=count)
    classes = max(int(y.max()), int(predicted.max())) + 1
    taken = np.zeros((count, classes), np.int64)
    np.add.at(taken, (labels, predicted), 1)
    layers = np.split(bits, np.cumsum(units)[:-1], axis=1)
    text = ["|".join("".join("01"[int(bit)] for bit in row) for row in rows) for rows in zip(*layers, strict=True)]
    binary = classes <= 2

    def share(of: NDArray[np.bool_]) -> Floats:
        return np.bincount(labels, of, minlength=count) / samples if binary else np.full(count, np.nan)

    return pd.DataFrame(
        {
            "region": np.arange(count),
            "pattern": text,
            "active": bits.sum(1),
            "first_active": layers[0].sum(1),
            "samples": samples,
            "support": samples / n,
            "right": np.bincount(labels, predicted == y, minlength=count).astype(np.int64),
            "classes": (taken > 0).sum(1),
            "predicted": taken.argmax(1),
            "positives": share(predicted == 1),
            "truth": share(y == 1),
        }
    )


def networks(regions: pd.DataFrame, training: pd.DataFrame, support_above: float = 0.0) -> pd.DataFrame:
    """Metrics of each seed's regions as a whole, a row a seed.

    `accuracy` on the samples that make the regions, `test_accuracy` on the test split; `solved`: 1 if every one of
    these samples is classified right; `collapsed`: 1 if all are taken for one class; `majority`: share of the larger
    class, `above_majority`: accuracy minus it; `base_rate`: share of class 1. `regions`; `supported_regions`: those
    with a support above `support_above`; `entropy`: of the partition, -sum_r p_r log2 p_r, in bits. A region is mixed
    where the network takes its samples for more than one class, else positive (class 1) or negative (class 0):
    `mixed_regions`, `positive_regions`, `negative_regions`, and the shares of all samples in the largest of each kind,
    `mixed_support`, `positive_support`, `negative_support` (0 without any). Of the largest mixed region also
    `mixed_truth` and `mixed_taken`, the shares of its samples that are of, and are taken for, class 1. `silent_first`:
    1 if in some region no unit of the first hidden layer is active, and all its samples are taken for class 0;
    `silent`: 1 if no unit of any layer is.

    With more than two classes what speaks of class 1 is NaN. `regions` has the columns of regions.parquet, `training`
    those of training.parquet. Raises InputError for a seed without a test accuracy.
    """
    tested = training[(training["split"] == "test") & (training["metric"] == "accuracy")].set_index("seed")["value"]
    rows = []
    for seed, table in regions.groupby("seed", sort=True):
        if seed not in tested.index:
            raise InputError(f"networks: the training table has no test accuracy of seed {seed}")
        samples = table["samples"].to_numpy(float)
        share = samples / samples.sum()
        binary = bool(table["truth"].notna().all())
        base = float((table["truth"] * share).sum()) if binary else np.nan
        accuracy = float(table["right"].sum()) / samples.sum()
        mixed = (table["classes"] > 1).to_numpy()
        taken = table["predicted"].to_numpy()
        silent_first = (table["first_active"] == 0).to_numpy() & ~mixed & (taken == 0)
        row: dict[str, Any] = {
            "seed": seed,
            "accuracy": accuracy,
            "test_accuracy": float(tested[seed]),
            "solved": float(accuracy == 1),
            "collapsed": float(not mixed.any() and len(set(taken)) == 1),
            "base_rate": base,
            "majority": max(base, 1 - base),
            "above_majority": accuracy - max(base, 1 - base),
            "regions": float(len(table)),
            "supported_regions": float((share > support_above).sum()),
            "largest_support": float(share.max()),
            "entropy": float(-(share * np.log2(share)).sum()),
            "silent_first": float(silent_first.any()) if binary else np.nan,
            "silent": float((silent_first & (table["active"] == 0)).any()) if binary else np.nan,
        }
        kinds = {"mixed": mixed, "positive": ~mixed & (taken == 1), "negative": ~mixed & (taken == 0)}
        for kind, of in kinds.items():
            row[f"{kind}_regions"] = float(of.sum()) if binary else np.nan
            row[f"{kind}_support"] = float(share[of].max(initial=0)) if binary else np.nan
        for name, column in (("mixed_truth", "truth"), ("mixed_taken", "positives")):
            row[name] = float(table[column].to_numpy()[mixed][share[mixed].argmax()]) if mixed.any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def importances(measures: Mapping[str, ArrayLike], none_below: float = 0.01) -> dict[str, float]:
    """Spearman's rank correlation over the features, of every two measures of importance: `rank_<first>_<second>`.

    `measures` are vectors [d] by their names, signs left out. What is less than `none_below` times a measure's largest
    value counts as 0, so that features without importance are in no order. NaN where a measure is constant. Raises
    InputError for vectors of different lengths, and NaN.
    """
    vectors = {
        name: np.abs(checks.numbers(f"importances: values of {name}", values).astype(np.float64, copy=False))
        for name, values in measures.items()
    }
    if len({vector.shape for vector in vectors.values()}) > 1 or any(vector.ndim != 1 for vector in vectors.values()):
        shapes = ", ".join(f"{name} {vector.shape}" for name, vector in vectors.items())
        raise InputError(f"importances: got {shapes}; it takes vectors of one length")
    vectors = {name: np.where(x < none_below * x.max(initial=0), 0, x) for name, x in vectors.items()}
    return {f"rank_{a}_{b}": rank_correlation(vectors[a], vectors[b]) for a, b in combinations(vectors, 2)}


def features(
    regions: pd.DataFrame,
    omega: ArrayLike,
    spread: ArrayLike,
    correlations: ArrayLike,
    names: Sequence[str],
    correlated_above: float,
) -> pd.DataFrame:
    """Metrics of each feature in one seed's regions, a row a feature.

    `mixed_weight`, `positive_weight`: its weight in the largest mixed and in the largest positive region (NaN without
    one); `mixed_rank`, `mixed_spread_rank`: its place in the largest mixed region by |weight| and by |weight| times the
    standard deviation of the feature, 1 for the most important (of equal ones the mean place); `opposite`: 1 if the two
    weights have opposite signs, 0 if equal ones, NaN if one is 0 or missing; `correlation`: the largest, sign left out,
    with another feature; `correlated`: 1 if it is above `correlated_above`: then the weight is no importance.

    `regions`: one seed's rows of regions.parquet, in order; omega [regions, d] of the first ones (the single output);
    spread [d], correlations [d, d], NaN where a feature does not vary. Raises InputError where the shapes do not fit,
    for weights and deviations that are NaN, and for correlations that are infinite.
    """
    d = len(names)
    omega, spread = checks.numbers("features: weights", omega), checks.numbers("features: deviations", spread)
    correlations = checks.gapped("features: correlations", correlations, np.nan)
    if omega.ndim != 2 or omega.shape[1] != d or spread.shape != (d,) or correlations.shape != (d, d):
        raise InputError(
            f"features: omega {omega.shape}, spread {spread.shape} and correlations {correlations.shape} do not fit "
            f"{d} features"
        )
    kept = regions.iloc[: len(omega)]
    mixed = _largest(kept, kept["classes"] > 1)
    positive = _largest(kept, (kept["classes"] == 1) & (kept["predicted"] == 1))
    nothing = np.full(d, np.nan)
    weights = [nothing if at is None else np.asarray(omega[at], float) for at in (mixed, positive)]
    product = weights[0] * weights[1]
    others = np.abs(np.where(np.eye(d, dtype=bool), np.nan, correlations))
    known = ~np.isnan(others).all(1)
    correlation = np.full(d, np.nan)
    correlation[known] = np.nanmax(others[known], axis=1)
    return pd.DataFrame(
        {
            "feature": list(names),
            "mixed_weight": weights[0],
            "positive_weight": weights[1],
            "mixed_rank": _places(weights[0]),
            "mixed_spread_rank": _places(weights[0] * spread),
            "opposite": np.where(product == 0, np.nan, np.where(np.isnan(product), np.nan, product < 0)),
            "correlation": correlation,
            "correlated": np.where(known, correlation > correlated_above, np.nan),
        }
    )


def identical(counts: ArrayLike) -> bool:
    """Whether two partitions with this table of counts [a, b] are the same.

    Raises InputError for anything but a table of whole numbers of at least 0 with a sample in it.
    """
    table = _counts("identical", counts)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    return bool(((table > 0).sum(0) == 1).all() and ((table > 0).sum(1) == 1).all())


def chosen(path: pd.DataFrame) -> dict[str, float]:
    """The merged regions that were chosen: `chosen_regions`, their number, and `chosen_fidelity`.

    `path`: the rows of merging.parquet of one seed and principle. Raises InputError unless one of them is chosen.
    """
    rows = path[path["chosen"].astype(bool)]
    if len(rows) != 1:
        raise InputError(f"chosen: {len(rows)} rows of the path are chosen, it takes one")
    return {"chosen_regions": float(rows["regions"].iloc[0]), "chosen_fidelity": float(rows["fidelity"].iloc[0])}


def merged(path: pd.DataFrame, kept: Sequence[float], regions: int) -> pd.DataFrame:
    """How few regions keep so many of the network's predictions, a row a share in `kept`.

    `merged_regions`: the least number of regions on the path with a fidelity of at least `kept` (NaN without any);
    `merged_share`: that over `regions`, their number before any merging. `path`: the rows of merging.parquet of one
    seed and principle.
    """
    least = [path[path["fidelity"] >= share]["regions"].min() for share in kept]
    result = pd.DataFrame({"kept": list(kept), "merged_regions": np.array(least, float)})
    return result.assign(merged_share=result["merged_regions"] / regions)


def labelling(counts: ArrayLike) -> dict[str, float]:
    """How like a labelling the regions are: `agreement`, the adjusted Rand index of regions and sets; `identical`: 1 if
    they are the same partition; `refines`: 1 if every region lies within one set, so that merging could find it.

    counts [regions, sets]: samples of each region in each set. Raises InputError for counts that are none.
    """
    table = _counts("labelling", counts)
    refines = bool(((table > 0).sum(1) <= 1).all())
    return {"agreement": agreement(table), "identical": float(identical(table)), "refines": float(refines)}


def found(counts: ArrayLike, path: pd.DataFrame) -> dict[str, float]:
    """How like a labelling the merged regions are.

    `best_agreement`: the largest adjusted Rand index on the path; `merged_agreement`, `merged_identical`: index, and 1
    if they are the same partition, where there are as many regions as sets (NaN and 0 if there never are);
    `chosen_agreement`, `chosen_identical`: at the chosen number.

    counts [regions, sets]: samples of each region in each set; `path`: the rows of merging.parquet of one seed and
    principle, by falling number of regions. Raises InputError for counts that are none, and for a path that does not
    begin with as many regions.
    """
    table = _counts("found", counts)
    sets = int((table.sum(0) > 0).sum())
    if path.empty or path["regions"].iloc[0] != len(table):
        raise InputError(f"found: the path does not begin with the {len(table)} regions of the counts")
    result = {"best_agreement": -1.0, "merged_agreement": np.nan, "merged_identical": 0.0}
    for into, gone, size, choice in zip(path["into"], path["gone"], path["regions"], path["chosen"], strict=True):
        if gone >= 0:
            table[into] += table[gone]
            table[gone] = 0
        here = {"agreement": agreement(table), "identical": float(identical(table))}
        result["best_agreement"] = max(result["best_agreement"], here["agreement"])
        result |= {f"merged_{name}": value for name, value in here.items() if size == sets}
        result |= {f"chosen_{name}": value for name, value in here.items() if choice}
    return result


def terms(
    counts: ArrayLike, omega: ArrayLike, patterns: Sequence[str], values: Sequence[Mapping[int, float]]
) -> dict[str, float]:
    """What the affine maps say of terms where each of them is a region: `identical` partitions.

    `signs_right`: 1 if in each term's region the weight of each of its features is above 0 where the term's value is 1,
    and below 0 where it is 0; `noise`: the largest |weight| of a feature that is not in the region's term over the
    smallest of one that is, the largest over the terms; `one_unit_each`: 1 if in each term's region exactly one unit of
    the first hidden layer is active, each time another; `last_on`: 1 if all units of the last hidden layer are, in
    every term's region. All NaN if some term is no region, or one whose map was not kept.

    counts [regions, terms + 1]: samples, the last column those that fit no term; omega [kept, d] of the first regions;
    patterns: of all regions, `0` and `1` by unit, layers apart by `|`; values: by term, the value of each of its
    features, by their indices.
    """
    table, omega = _counts("terms", counts), checks.numbers("terms: weights", omega, "regions", "features")
    result = dict.fromkeys(("signs_right", "noise", "one_unit_each", "last_on"), np.nan)
    found = [_region_of(table, term) for term in range(len(values))]
    at = [region for region in found if region is not None and region < len(omega)]
    if len(at) < len(values):
        return result
    signs, noise, units = [], [], []
    for region, term in zip(at, values, strict=True):
        weights = np.asarray(omega[region], float)
        wanted = np.array([1.0 if value else -1.0 for value in term.values()])
        own = weights[list(term)]
        others = np.delete(np.abs(weights), list(term))
        signs.append(bool((own * wanted > 0).all()))
        least = np.abs(own).min()
        noise.append(float(others.max(initial=0) / least) if least > 0 else np.inf)
        units.append(patterns[region].split("|"))
    first = [layers[0] for layers in units]
    result["signs_right"] = float(all(signs))
    result["noise"] = max(noise)
    result["one_unit_each"] = float(all(layer.count("1") == 1 for layer in first) and len(set(first)) == len(first))
    result["last_on"] = float(all("0" not in layers[-1] for layers in units))
    return result


def profile(regions: pd.DataFrame, counts: ArrayLike) -> dict[str, float]:
    """Whether a kind of samples has a region of its own.

    `kind_support`: share of all samples that are of the kind. Of the largest region all of whose samples are:
    `inside_support`, its share of all samples (0 if there is none), and 1 or 0 (also if there is none):
    `inside_negative`, `inside_positive`, whether all of them are taken for class 0, class 1. `mostly_negative`,
    `mostly_positive`: 1 if there is a region of which more than half are of the kind, and all are taken for class 0,
    class 1; `mostly_negative_support`, `mostly_positive_support`: share of all samples in the largest of them (0
    without one). The paper's code describes a region by its mean sample, which tells what most of them are.

    `regions`: one seed's rows of regions.parquet; counts [regions]: how many of each one's samples are of the kind.
    Raises InputError where they do not fit.
    """
    of_kind, samples = checks.whole("profile: counts", counts), regions["samples"].to_numpy()
    if of_kind.shape != samples.shape or (of_kind > samples).any() or (of_kind < 0).any():
        raise InputError(f"profile: {of_kind.shape} counts do not fit {len(regions)} regions of the samples counted")
    result = {"kind_support": float(of_kind.sum() / samples.sum()), "inside_support": 0.0}
    result |= {"inside_negative": 0.0, "inside_positive": 0.0}
    at = _largest(regions, of_kind == samples)
    if at is not None:
        result["inside_support"] = float(samples[at] / samples.sum())
        pure = regions["classes"].iloc[at] == 1
        result["inside_negative"] = float(pure and regions["predicted"].iloc[at] == 0)
        result["inside_positive"] = float(pure and regions["predicted"].iloc[at] == 1)
    mostly = (2 * of_kind > samples) & (regions["classes"] == 1).to_numpy()
    for kind, taken in (("negative", 0), ("positive", 1)):
        most = _largest(regions, mostly & (regions["predicted"] == taken).to_numpy())
        result[f"mostly_{kind}"] = float(most is not None)
        result[f"mostly_{kind}_support"] = 0.0 if most is None else float(samples[most] / samples.sum())
    return result


def assemble(networks: pd.DataFrame, parts: Iterable[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """The metrics file: the networks' rows (level `network`) and those of (level, table) pairs, by the keys.

    Keys come first; those that do not apply are empty text, or NaN (`kept`). Metrics are float64. What claims ask
    among (`solved`, `collapsed` and `regions`) stands in a seed's rows of every level.
    """
    common = networks[["seed", *_COMMON]]
    there = [("network", networks), *((level, part.merge(common, on="seed")) for level, part in parts if len(part))]
    table = pd.concat([part.assign(level=level) for level, part in there], ignore_index=True)
    for key in KEYS:
        if key not in table:
            table[key] = np.nan
    for key in _TEXT:
        table[key] = table[key].astype(object).where(table[key].notna(), "").astype("str")
    table["seed"] = table["seed"].astype("int64")
    metrics = sorted(str(column) for column in table if column not in KEYS)
    numbers = ["kept", *metrics]
    table[numbers] = table[numbers].astype("float64").replace([np.inf, -np.inf], np.nan)
    return table[[*KEYS, *metrics]].sort_values(list(KEYS), ignore_index=True)


def _counts(what: str, counts: ArrayLike) -> NDArray[np.int64]:
    table = checks.whole(f"{what}: counts", counts)
    if table.ndim != 2 or (table < 0).any() or not table.sum():
        raise InputError(
            f"{what}: counts have the shape {list(table.shape)}; it takes whole numbers of 0 up, [a, b], some above 0"
        )
    return table


def _features(x: ArrayLike, names: Sequence[str]) -> Floats:
    return checks.numbers("features", x, "samples", len(names) or "features")


def _largest(regions: pd.DataFrame, of: Any) -> int | None:
    """Place of the region of most samples among some of them."""
    return int(np.where(of, regions["samples"], -1).argmax()) if of.any() else None


def _region_of(table: NDArray[np.int64], column: int) -> int | None:
    """The row that a column's samples make up, all of it and nothing else."""
    rows = np.flatnonzero(table[:, column])
    if len(rows) != 1 or (table[rows[0]] > 0).sum() != 1:
        return None
    return int(rows[0])


def _places(values: Floats) -> Floats:
    """Places by falling size, sign left out, 1 for the largest; equal ones share their mean place; NaN stays."""
    return pd.Series(np.abs(values)).rank(ascending=False).to_numpy()
