"""What influence amounts to in MARGIN's case studies: metrics, as tables with a row a seed and thing measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interneuron.errors import InputError
from interneuron.evaluate import rank_correlation

TEXT = ("level", "function", "variant", "method")
NUMBERS = ("k", "p")

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


def expected_overlap(a: Floats, b: Floats, count: int) -> float:
    """Share of the `count` highest of a [n] that are among the `count` highest of b [n], ties drawn at random.

    The expectation over independent draws: the sum over samples of the products of their probabilities, by `count`.
    """
    return float(inspected(a, count) @ inspected(b, count)) / count


def inspected(scores: Floats, count: int) -> Floats:
    """Probability of each of n samples to be among the `count` with the highest scores, ties drawn at random: [n]."""
    if not 1 <= count <= len(scores):
        raise InputError(f"{count} samples asked of {len(scores)}; it takes 1 to as many as there are")
    border = np.partition(scores, -count)[-count]
    above, at = scores > border, scores == border
    return above + at * ((count - above.sum()) / at.sum())


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
