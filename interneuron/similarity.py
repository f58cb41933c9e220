"""Spearman's rank correlation of all pairs of neurons, and the vectors of effects whose ranks are correlated."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from numba import njit

from interneuron.checks import numbers, whole
from interneuron.errors import InputError

# Values ranked at a time: 8 bytes of sorting keys each.
_BLOCK = 2**20
# Sums of some hundred products are right to that many steps of their largest term.
_ROUNDING = 100

Float32 = npt.NDArray[np.float32]


def constant(x: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which neurons of `x` [neurons, samples] have one value throughout, so that they have no rank correlation.

    Returns bool [neurons]. The comparison is exact. Raises InputError for NaN.
    """
    values = _checked(x)
    low, high = values.min(axis=1), values.max(axis=1)
    result: npt.NDArray[np.bool_] = low == high
    return result


def ranks(x: npt.ArrayLike, threads: int = 1) -> Float32:
    """Ranks 1..m of every row of `x` [neurons, samples], equal values sharing the mean of their ranks.

    Returns float32 [neurons, samples], exact (halves are) up to 2^23 samples. Infinities have ranks, too, and whole
    numbers of 64 bits are told apart. Raises InputError for NaN.
    """
    values = _checked(x)
    if values.dtype != np.float32:
        from scipy.stats import rankdata

        return rankdata(values, axis=1).astype(np.float32)
    values = np.ascontiguousarray(values)
    result = np.empty(values.shape, np.float32)
    rows = max(1, _BLOCK // values.shape[1])

    def rank(start: int) -> None:
        part = slice(start, start + rows)
        keys = np.empty(values[part].shape, np.uint64)
        # -0.0 + 0.0 is 0.0: both zeros get one key.
        _keys((values[part] + np.float32(0)).view(np.uint32), keys)
        keys.sort(axis=1)
        _average(keys, result[part])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank, range(0, len(values), rows)))
    return result


def spearman(x: npt.ArrayLike, threads: int = 1) -> Float32:
    """Spearman's rank correlation rho of all pairs of rows of `x` [neurons, samples].

        rho(a, b) = sum_s R_a(s) R_b(s) / sqrt(sum_s R_a(s)^2 sum_s R_b(s)^2),

    with R the average ranks less their mean (m + 1) / 2: Pearson's correlation of the ranks, which is right with ties.
    Returns float32 [neurons, neurons], symmetric, ones on the diagonal; exact to rounding up to 368 samples, within
    2e-5 for thousands. Memory: 4 neurons (samples + neurons) bytes.

    Ranks do not change when a neuron's values are shifted: subtracting a baseline that does not vary over the samples
    leaves rho as it was. So clustering activations, and clustering effects against such a baseline, is one clustering.

    Raises InputError for NaN and for constant rows, which have no rank correlation (`constant` finds them).
    """
    from scipy.linalg.blas import ssyrk

    values = _checked(x)
    if not len(values):
        return np.zeros((0, 0), np.float32)
    still = constant(values)
    if still.any():
        raise InputError(
            f"{int(still.sum())} of {len(still)} neurons are constant (the first is row {int(np.argmax(still))}) and "
            "have no rank correlation; set them apart with constant(x)"
        )
    centred = ranks(values, threads)
    # Twice the centred ranks are whole numbers, and products of these are exact in float32 as long as they fit.
    centred *= 2
    centred -= values.shape[1] + 1
    scale = 1 / np.sqrt(np.einsum("ij,ij->i", centred, centred, dtype=np.float64))
    # BLAS sees the transpose, column by column: its upper triangle is the lower one here.
    product = ssyrk(1.0, centred.T, trans=1).T
    _correlation(product, scale)
    return product


def individual_effects(y: npt.ArrayLike) -> Float32:
    """Effects of each draw against that draw's own mean: y_s(alpha) - mean over alpha' of y_s(alpha').

    `y` [alphas, draws, neurons] under do(z = alpha), the draws shared by the alphas; returns float32 of that shape.
    Sums are made in float64, so that a neuron which does not depend on alpha comes out as exactly 0. A neuron on which
    the latent acts linearly (a unit of the first layer that no draw switches off) has one effect for all draws but for
    the rounding of y: where effects at an alpha differ by less than 100 roundings of the neuron's largest activation
    (1e-5 of it in float32), they are set to their mean, so that no ranks are made of rounding.

    Raises InputError for y that is not finite, and effects beyond float32. Source: thesis, section 2.3, per draw
    (reading A).
    """
    values = _activations(y)
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    least = _ROUNDING * np.finfo(kind).eps * np.abs(values).max((0, 1))
    if values.dtype == np.float64:
        # Sums of float64 round: differences do not, where there is none.
        values = values - values[:1]
    effects = _effects(values)
    for own in effects:
        rounding = np.ptp(own, axis=0) < least
        own[:, rounding] = own[:, rounding].mean(axis=0, dtype=np.float64)
    return effects


def repeated_effects(y: npt.ArrayLike, draws: int, orders: npt.ArrayLike) -> Float32:
    """Average causal effects estimated again and again, each time from a few draws of its own.

    `y` [alphas, S, neurons]; `orders` int [alphas, S]: a permutation of the draws for each alpha, so that the alphas of
    one repetition do not share their draws. Repetition r takes for each alpha the mean over the r-th group of `draws`
    draws in its order, less the mean over the alphas. Returns float32 [alphas, S // draws, neurons]. Raises InputError
    as `individual_effects` does, for orders that are no permutations, and fewer than two groups. Source: the small
    samples of the published notebook (reading C).
    """
    values = _activations(y)
    order = whole("orders", orders, *values.shape[:2])
    if not np.array_equal(np.sort(order, axis=1), np.broadcast_to(np.arange(values.shape[1]), order.shape)):
        raise InputError(f"orders take, for each alpha, the numbers 0 to {values.shape[1] - 1} of the draws, each once")
    if values.dtype == np.float64:
        values = values - values[:1, :1]
    groups = values.shape[1] // draws if draws > 0 else 0
    if groups < 2:
        raise InputError(f"{values.shape[1]} draws make {groups} groups of {draws}; repeated effects take at least 2")
    means = [
        values[alpha, order[alpha, : groups * draws]].reshape(groups, draws, -1).mean(axis=1, dtype=np.float64)
        for alpha in range(len(values))
    ]
    return _effects(np.stack(means))


def _activations(y: npt.ArrayLike) -> npt.NDArray[np.floating]:
    values = numbers("activations", y, "alphas", "draws", "neurons", least=1)
    if not values.size:
        raise InputError(f"activations have the shape {list(values.shape)}, and take one draw and neuron or more")
    return values


def _effects(values: npt.NDArray[np.floating]) -> Float32:
    mean = values.sum(axis=0, dtype=np.float64) / len(values)
    with np.errstate(over="ignore"):
        found = np.stack([(part - mean).astype(np.float32) for part in values])
    if not np.isfinite(found).all():
        raise InputError("effects are beyond the numbers of float32 (3e+38): divide the activations by a number")
    return found


def _checked(x: npt.ArrayLike) -> npt.NDArray[np.number]:
    try:
        values = np.asarray(x)
    except (TypeError, ValueError, RuntimeError):
        # What is wrong with it, `numbers` says.
        values = numbers("values", x)
    if values.dtype.kind not in "iuf" or np.ma.is_masked(x):
        values = numbers("values", x)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(
            f"values have the shape {list(values.shape)}; ranks take [neurons, samples], 2 samples or more"
        )
    # min hands NaN on, and makes no second matrix.
    if len(values) and np.isnan(values.min(axis=1)).any():
        row = int(np.argmax(np.isnan(values.min(axis=1))))
        raise InputError(f"values contain NaN (first in row {row}); ranks take numbers")
    return values


@njit(cache=True, nogil=True)
def _keys(bits: npt.NDArray[np.uint32], keys: npt.NDArray[np.uint64]) -> None:
    """Sorting keys: a number's bits in an order that whole numbers share, then its position."""
    sign = np.uint32(0x80000000)
    for i in range(bits.shape[0]):
        row, out = bits[i], keys[i]
        for j in range(row.shape[0]):
            flip = ~row[j] if row[j] & sign else row[j] | sign
            out[j] = (np.uint64(flip & np.uint32(0xFFFFFFFF)) << np.uint64(32)) | np.uint64(j)


@njit(cache=True, nogil=True)
def _average(keys: npt.NDArray[np.uint64], out: Float32) -> None:
    """Average ranks from sorted keys."""
    shift, position = np.uint64(32), np.uint64(0xFFFFFFFF)
    for i in range(keys.shape[0]):
        row, rank = keys[i], out[i]
        m = row.shape[0]
        start = 0
        while start < m:
            stop = start + 1
            while stop < m and row[stop] >> shift == row[start] >> shift:
                stop += 1
            mean = np.float32((start + stop + 1) * 0.5)
            for j in range(start, stop):
                rank[row[j] & position] = mean
            start = stop


@njit(cache=True, nogil=True)
def _correlation(product: Float32, scale: npt.NDArray[np.float64]) -> None:
    """Scale the lower triangle of `product` to correlations, and mirror it."""
    n = len(scale)
    for i in range(n):
        for j in range(i):
            rho = np.float32(min(max(product[i, j] * scale[i] * scale[j], -1.0), 1.0))
            product[i, j] = rho
            product[j, i] = rho
        product[i, i] = np.float32(1)
