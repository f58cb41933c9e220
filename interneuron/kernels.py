"""The Gaussian kernel on samples, in blocks: nothing here holds a matrix of all pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from interneuron import checks
from interneuron.checks import numbers
from interneuron.errors import InputError

# Side of the blocks that sums are made in: their numbers stay in a core's cache.
_SIDE = 512
# How much of itself a kernel's value may lose to rounding.
_LOSS = 1e-5

Floats = npt.NDArray[np.floating]


class Kernel:
    """k(a, b) = exp(-gamma |a - b|^2) between the samples of x [n, d]; with labels [n], 0 between unlike labels.

    Products of centred samples give it in float32 where that loses no more than 1e-5 of a value, that is where gamma
    |a|^2 stays below 80, |a| from the mean of x; in float64 up to 4e10, and beyond that differences, which take about
    30 times as long. Memory: a copy of x. Raises InputError for a gamma that is not above 0, for x that is no finite
    [n, d], and as `interneuron.checks.classes` does.
    """

    def __init__(self, x: npt.ArrayLike, gamma: float, labels: npt.ArrayLike | None = None) -> None:
        values = numbers("samples", x, "samples", "features", least=1)
        if not 0 < gamma < np.inf:
            raise InputError(f"gamma is {gamma:g}; a Gaussian kernel takes a number above 0")
        # With u = sqrt(2 gamma) x, -gamma |a - b|^2 is u_a u_b - |u_a|^2 / 2 - |u_b|^2 / 2.
        (self._u,), (self._half,), self._rest = placed([values], np.multiply, np.sqrt(2 * gamma))
        self._labels = (
            None if labels is None else np.unique(checks.classes("labels", labels, len(values)), return_inverse=True)[1]
        )

    def __len__(self) -> int:
        return len(self._u)

    def block(self, rows: npt.ArrayLike, columns: npt.ArrayLike | None = None) -> Floats:
        """Kernel [rows, columns] between some samples and others (all, if None), by their numbers, from 0.

        float32, or float64 where float32 would lose digits. Raises InputError for numbers of no sample.
        """
        a = checks.index("rows", rows, len(self))
        b = slice(None) if columns is None else checks.index("columns", columns, len(self))
        k = self._gaussian(self._u[a], self._u[b], self._half[a], self._half[b])
        if self._labels is not None:
            k *= self._labels[a][:, None] == self._labels[b]
        return k

    def sums(self) -> npt.NDArray[np.float64]:
        """Row sums r_j = sum_l k(x_j, x_l), float64 [n], the kernel being made in blocks, each once."""
        total = np.zeros(len(self))
        if self._labels is None:
            self._add_sums(slice(None), total)
        else:
            for label in range(self._labels.max() + 1):
                self._add_sums(np.flatnonzero(self._labels == label), total)
        return total

    def _add_sums(self, members: slice | npt.NDArray[np.int64], total: npt.NDArray[np.float64]) -> None:
        u, half = self._u[members], self._half[members]
        sums = np.zeros(len(u))
        for start in range(0, len(u), _SIDE):
            a = slice(start, start + _SIDE)
            for other in range(start, len(u), _SIDE):
                b = slice(other, other + _SIDE)
                k = self._gaussian(u[a], u[b], half[a], half[b])
                sums[a] += k.sum(axis=1, dtype=np.float64)
                if other > start:
                    sums[b] += k.sum(axis=0, dtype=np.float64)
        total[members] = sums

    def _gaussian(self, a: Floats, b: Floats, half_a: Floats, half_b: Floats) -> Floats:
        if self._rest is None:
            k = a @ b.T
            k -= half_a[:, None]
            k -= half_b
            # Rounding may bring duplicates above their distance of 0.
            np.minimum(k, 0, out=k)
        else:
            k = cdist(a, b, "sqeuclidean")
            k *= -0.5 * self._rest
        return np.exp(k, out=k)


def placed(samples: Sequence[Floats], scale: np.ufunc, by: float) -> tuple[list[Floats], list[Floats], float | None]:
    """Samples [., d] scaled and moved alike, in the least precision in which products tell their squared distances.

    scale: `np.multiply` or `np.divide`, `by` a number. They are moved to the mean of the first, in their own precision,
    before any is cast: distances do not depend on where samples lie, and float32 has no digits to say where that is.
    float32 if that tells |u|^2 / 2 to 1e-5, else float64. Gives the samples, their |u|^2 / 2, and None; or, so far
    apart that only differences tell distances, what the squares of these are yet to be multiplied by. Raises InputError
    where samples are beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = samples[0].mean(axis=0, dtype=np.float64)
        for kind in (np.float32, np.float64):
            found = []
            for x in samples:
                own: Any = np.promote_types(x.dtype, kind)
                u = np.subtract(x, mean.astype(own), dtype=own)
                found.append(scale(u, own.type(by), out=u).astype(kind, copy=False))
            half = [0.5 * np.einsum("ij,ij->i", u, u) for u in found]
            # NaN fails it, too.
            if all(h.max() * np.finfo(kind).eps <= _LOSS for h in half):
                return found, half, None
        # Scaled by a power of two, they keep their digits.
        power = int(np.frexp(by)[1]) * (1 if scale is np.multiply else -1)
        rest = float(np.ldexp(scale(1.0, by), -power))
        found = [np.ldexp(x.astype(np.float64), power) for x in samples]
    if not all(np.isfinite(u).all() for u in found):
        raise InputError("samples times the kernel's scale are beyond 1e308: divide the samples by a number")
    return found, half, rest**2
