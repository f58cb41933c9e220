"""Sparse Laplacians with few diagonals, as those of grids, tori, rings and paths: their forms z' L z in compiled loops.

A row of activations stays in the processor's nearest cache while each diagonal passes over it; the product of any other
sparse matrix needs the activations transposed, and back.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

# Besides the main one; a torus has 8.
_MOST = 8

Array = npt.NDArray[Any]


def split(starts: Array, columns: Array, values: Array) -> tuple[npt.NDArray[np.int64], Array] | None:
    """The diagonals of a square CSR matrix: their offsets (column less row) [diagonals], of the main one, 0, first; and
    their entries by row, 0 where a diagonal has none, [diagonals, nodes]. None where there are more than 8 besides the
    main one."""
    nodes = len(starts) - 1
    rows = np.repeat(np.arange(nodes), np.diff(starts))
    offsets = np.unique(columns.astype(np.int64) - rows)
    offsets = np.concatenate([np.zeros(1, np.int64), offsets[offsets != 0]])
    if len(offsets) > _MOST + 1:
        return None
    entries = np.zeros((len(offsets), nodes), values.dtype)
    for own, offset in zip(entries, offsets, strict=True):
        on = columns - rows == offset
        own[rows[on]] = values[on]
    return offsets, entries


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def forms(
    offsets: npt.NDArray[np.int64],
    entries: Array,
    rayleigh: bool,
    silent: float,
    z: Array,
    values: Array,
    gradient: Array,
) -> None:
    """Set `values` [seeds] to the means over the rows of z [seeds, rows, nodes] of z' L z, or of z' L z / (z' z +
    silent), and `gradient`, of z's shape, to their gradient for a symmetric L. All are contiguous and of one type."""
    seeds, rows, nodes = z.shape
    factor = z.dtype.type(2 / rows)
    for s in range(seeds):
        total = 0.0
        for r in range(rows):
            x, product, main = z[s, r], gradient[s, r], entries[0]
            for i in range(nodes):
                product[i] = main[i] * x[i]
            for k in range(1, len(offsets)):
                first, last = max(-offsets[k], 0), nodes - max(offsets[k], 0)
                found, weights, across = product[first:last], entries[k, first:last], x[first + offsets[k] :]
                for i in range(len(found)):
                    found[i] += weights[i] * across[i]
            form, norm = z.dtype.type(0), z.dtype.type(silent)
            for i in range(nodes):
                form += product[i] * x[i]
            if rayleigh:
                for i in range(nodes):
                    norm += x[i] * x[i]
                form /= norm
                scale = factor / norm
                for i in range(nodes):
                    product[i] = scale * (product[i] - form * x[i])
            else:
                for i in range(nodes):
                    product[i] *= factor
            total += form
        values[s] = total / rows
