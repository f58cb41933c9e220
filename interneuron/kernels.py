"""The Gaussian kernel on samples, in blocks: nothing here holds a matrix of all pairs."""

import numpy as np
import numpy.typing as npt

from interneuron.errors import InputError

# Side of the blocks that sums are made in: their numbers stay in a core's cache.
_SIDE = 512

Float32 = npt.NDArray[np.float32]


class Kernel:
    """k(a, b) = exp(-gamma |a - b|^2) between the samples of x [n, d]; with labels [n], 0 between unlike labels.

    Kept in float32, centred: values are right to about 1e-7 (1 + gamma |a|^2) of themselves, |a| from the mean of x.
    Memory: a copy of x. Raises InputError for a gamma that is not above 0, for x that is not finite, and labels of
    another length.
    """

    def __init__(self, x: npt.ArrayLike, gamma: float, labels: npt.ArrayLike | None = None) -> None:
        values = np.asarray(x)
        if values.ndim != 2 or values.size == 0:
            raise InputError(f"samples have the shape {list(values.shape)}; a kernel takes [n, d]")
        if not 0 < gamma < np.inf:
            raise InputError(f"gamma is {gamma:g}; a Gaussian kernel takes a number above 0")
        mean = values.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise InputError("samples contain NaN or infinite values; a kernel takes finite ones")
        # With u = sqrt(2 gamma) x, -gamma |a - b|^2 is u_a u_b - |u_a|^2 / 2 - |u_b|^2 / 2.
        self._u = np.subtract(values, mean, dtype=np.float32, casting="same_kind")
        self._u *= np.float32(np.sqrt(2 * gamma))
        self._half = 0.5 * np.einsum("ij,ij->i", self._u, self._u)
        self._labels = (
            None if labels is None else np.unique(checked_labels(labels, len(values)), return_inverse=True)[1]
        )

    def __len__(self) -> int:
        return len(self._u)

    def block(self, rows: npt.ArrayLike, columns: npt.ArrayLike | None = None) -> Float32:
        """Kernel [rows, columns] between some samples and others (all, if None), by their numbers."""
        a = np.asarray(rows)
        b: slice | npt.NDArray = slice(None) if columns is None else np.asarray(columns)
        k = _gaussian(self._u[a], self._u[b], self._half[a], self._half[b])
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
                k = _gaussian(u[a], u[b], half[a], half[b])
                sums[a] += k.sum(axis=1, dtype=np.float64)
                if other > start:
                    sums[b] += k.sum(axis=0, dtype=np.float64)
        total[members] = sums


def checked_labels(labels: npt.ArrayLike, n: int) -> npt.NDArray:
    """Labels [n] as an array. Raises InputError for another shape, or fewer than two classes."""
    values = np.asarray(labels)
    if values.shape != (n,):
        raise InputError(f"labels have the shape {list(values.shape)}; {n:,} samples take [{n}]")
    if len(np.unique(values)) < 2:
        raise InputError(f"all labels are {values[0]}; this takes two classes or more")
    return values


def _gaussian(a: Float32, b: Float32, half_a: Float32, half_b: Float32) -> Float32:
    k = a @ b.T
    k -= half_a[:, None]
    k -= half_b
    # Rounding may bring duplicates above their distance of 0.
    np.minimum(k, 0, out=k)
    return np.exp(k, out=k)
