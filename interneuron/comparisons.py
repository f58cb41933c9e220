"""Methods against each other, seed by seed: differences from a baseline, falls along a curve, ranges over a setting."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interneuron.errors import InputError


def difference(
    table: pd.DataFrame, measure: str, method: str, baseline: str, same: Sequence[str], less: bool = False
) -> pd.Series:
    """By how much each row of a table is better in `measure` than the baseline's row: [rows], NaN where that has none.

    method: the column that names methods; baseline: one of them; same: columns in which the two rows agree (seed,
    number of labels). Better is larger, or smaller if `less`. Raises InputError where the baseline has two such rows.
    """
    own = table[table[method] == baseline].set_index(list(same))[measure]
    if own.index.has_duplicates:
        raise InputError(f"{baseline} has two rows with the same {', '.join(same)}; a comparison takes one")
    there = own.reindex(pd.MultiIndex.from_frame(table[list(same)]) if len(same) > 1 else table[same[0]]).to_numpy()
    found = table[measure].to_numpy(np.float64)
    return pd.Series(there - found if less else found - there, table.index)


def largest_fall(table: pd.DataFrame, measure: str, along: str, same: Sequence[str]) -> pd.Series:
    """The largest fall of `measure` from one value of `along` to the next, in each row of those that share `same`.

    Of a curve that never falls it is 0 or below: its least rise. NaN of one value alone.
    """
    ordered = table.sort_values(along, kind="stable")
    falls = -ordered.groupby(list(same), sort=False)[measure].diff()
    return falls.groupby([ordered[key] for key in same]).transform("max").reindex(table.index)


def spread(table: pd.DataFrame, measure: str, same: Sequence[str]) -> pd.Series:
    """Greatest less least `measure` over the rows that share `same`, in each of them: sensitivity to all else."""
    groups = table.groupby(list(same))[measure]
    return groups.transform("max") - groups.transform("min")
