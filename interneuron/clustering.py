"""Affinity propagation in float32, its sweep over preferences, and the plateau rule that chooses one of them.

The method is Frey & Dueck, "Clustering by passing messages between data points" (Science 315, 2007), with the damping,
the test of convergence and the final assignment of scikit-learn's `AffinityPropagation`, whose labels it gives.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from interneuron import checks
from interneuron.checks import numbers, whole
from interneuron.errors import InputError
from interneuron.seeds import generator

_F = np.float32
_ZERO = _F(0)
_ONE = _F(1)
# Messages die out geometrically; below this they would become denormal numbers, on which processors are slow.
_TINY = _F(1e-30)
_LOWEST = np.finfo(np.float32).min
_LANES = 64
# Preferences that are as many times as far from the similarities as these are apart forbid or force an exemplar;
# further away they would do no more, but leave float32 no digits for the similarities.
_REACH = 2.0**16
# Similarities that far from 0, against what they differ by, are told apart by late digits only.
_FAR = 256
# Rows are summed in this many groups whatever the number of threads, so that the sums do not depend on it.
_GROUPS = 16

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clustering:
    """One run of affinity propagation.

    `labels` int64 [n]: cluster of each point, clusters numbered by falling size (of equal ones, the smaller exemplar
    first), -1 everywhere if there is no exemplar; `exemplars` int64 [clusters]: the point that stands for each cluster;
    `converged`: the set of exemplars stood still; `iterations`: passes made. Labels of a run that has not converged are
    a snapshot of messages in motion: do not use them without saying so.
    """

    labels: Int64
    exemplars: Int64
    converged: bool
    iterations: int

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.exemplars)


@dataclass(frozen=True)
class Sweep:
    """Runs of affinity propagation at several preferences: `runs[i]` is the run at `preferences[i]`."""

    preferences: npt.NDArray[np.float64]
    runs: tuple[Clustering, ...]

    @property
    def counts(self) -> Int64:
        """Number of clusters of each run, int64 [preferences]."""
        return np.array([run.count for run in self.runs], np.int64)

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Which runs converged, bool [preferences]."""
        return np.array([run.converged for run in self.runs], bool)

    @property
    def iterations(self) -> Int64:
        """Passes made by each run, int64 [preferences]."""
        return np.array([run.iterations for run in self.runs], np.int64)

    @property
    def labels(self) -> Int64:
        """Labels of each run, int64 [preferences, n]."""
        return np.stack([run.labels for run in self.runs])


@dataclass(frozen=True)
class Plateau:
    """The interval `start:stop` of a sweep over which the number of clusters stays constant, and its middle, `chosen`.

    `length` is the interval's length in natural logarithms of the distance to the first preference, or on a linear grid
    in preference; 0 (and an empty interval) if no two neighbours agree, when `chosen` falls back as `plateau` says.
    """

    chosen: int
    start: int
    stop: int
    length: float


def affinity_propagation(
    similarity: npt.ArrayLike,
    preference: float | npt.ArrayLike,
    damping: float = 0.9,
    max_iterations: int = 1000,
    convergence: int = 15,
    seed: int = 0,
    tie_noise: float = 1e-6,
    threads: int = 1,
    memory_limit: int | None = None,
) -> Clustering:
    """Clusters and exemplars by affinity propagation.

    With similarities s(i, k), s(k, k) = preference of k, and messages r = a = 0 at first, each pass makes

        r(i, k) <- d r(i, k) + (1 - d) [s(i, k) - max_{k' != k} (a(i, k') + s(i, k'))]
        a(i, k) <- d a(i, k) + (1 - d) min(0, r(k, k) + sum_{i' not in {i, k}} max(0, r(i', k))),  i != k
        a(k, k) <- d a(k, k) + (1 - d) sum_{i' != k} max(0, r(i', k))

    with damping d; the exemplars are the k with a(k, k) + r(k, k) > 0. It has converged when there is at least one and
    none has changed for `convergence` passes. Each point then joins the exemplar most similar to it, each cluster takes
    the member with the largest sum of similarities as its exemplar, and the points join once more.

    It seeks the greatest net similarity, of the points with their exemplars and of these with themselves, the
    preferences; where these are above all similarities, or n times as far below as they are apart, that is known
    without messages. Neither a number added to similarities and preferences nor one that they are multiplied by changes
    it, but for which of two solutions of nearly the same net similarity is found: such is done, in float64, where
    float32 would not tell similarities apart or hold them.

    `similarity` [n, n], finite, not necessarily symmetric, its diagonal is not used; `preference`: one for all or [n].
    Memory: 12 n^2 bytes beside the input; over `memory_limit` bytes it is refused before anything is allocated. The
    result does not depend on `threads`.

    Ties are broken by normal noise of the relative size `tie_noise`, drawn from `seed`. The default, a few steps of
    float32, settles accidental ties, as scikit-learn's does. Exact duplicates (neurons ranked over three draws) move in
    step for hundreds of passes under it, and such a symmetric state passes for converged, each duplicate its own
    exemplar: against that take a `tie_noise` of 1e-3, and a `convergence` of several times 1 / (1 - damping).

    Raises InputError for similarities that are not a finite square matrix and for settings out of range. Source: Frey &
    Dueck, Science 315, 2007, equations 1 to 3.
    """
    values = _checked(similarity, memory_limit)
    preferences = numbers("preferences", preference).astype(np.float64, copy=False)
    if preferences.shape not in ((), (len(values),)):
        raise InputError(
            f"preference has the shape {list(preferences.shape)}; it takes one number or {len(values)}, one a point"
        )
    return _runs(values, [preferences], damping, max_iterations, convergence, seed, tie_noise, threads, None)[0]


def sweep(
    similarity: npt.ArrayLike,
    preferences: Sequence[float] | npt.NDArray[np.floating],
    damping: float = 0.9,
    max_iterations: int = 1000,
    convergence: int = 15,
    seed: int = 0,
    tie_noise: float = 1e-6,
    threads: int = 1,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Affinity propagation at each of `preferences`.

    Every run starts cold, from zero messages, and equals `affinity_propagation` at its preference: messages carried
    over from a neighbouring preference change the answers. The copy of the similarities and the messages' memory are
    shared. Raises as `affinity_propagation` does.
    """
    values = _checked(similarity, memory_limit)
    grid = numbers("preferences", preferences, "runs", least=1).astype(np.float64, copy=False)
    runs = _runs(values, list(grid), damping, max_iterations, convergence, seed, tie_noise, threads, progress)
    return Sweep(grid, tuple(runs))


def preference_grid(
    similarity: npt.ArrayLike, low: float, count: int, near: float = 0.1, high: float | None = None
) -> npt.NDArray[np.float64]:
    """Preferences of a sweep, falling, the last one `low` itself.

    With `high`, `count` of them at equal distances from `high` on. Without it the median similarity, then `count - 1`
    below it on a log grid: median - d, with d in equal ratios from `near` to median - `low`. The median is that of all
    of `similarity` [n, n], scikit-learn's default preference. Raises InputError if `low` is not below `high`, or not
    more than `near` below the median, or `count` is under 2.
    """
    if count < 2:
        raise InputError(f"the grid has {count} preferences; it takes at least 2, the highest and the lowest")
    if high is not None:
        if not low < high:
            raise InputError(f"lowest preference {low:g} is not below the highest, {high:g}")
        return np.linspace(high, low, count)
    median = float(np.median(numbers("similarities", similarity, "points", "points", least=1)))
    if not 0 < near < median - low:
        raise InputError(
            f"lowest preference {low:g} and nearest distance {near:g} leave no grid below the median similarity "
            f"{median:g}; the lowest takes less than {median - near:g}, the distance more than 0"
        )
    grid = np.empty(count)
    grid[0] = median
    grid[1:] = median - np.geomspace(near, median - low, count - 1)
    grid[-1] = low
    return grid


def plateau(
    preferences: npt.ArrayLike, counts: npt.ArrayLike, converged: npt.ArrayLike, linear: bool = False
) -> Plateau:
    """The run of a sweep that the thesis's rule chooses: where the number of clusters is stable.

    `preferences` fall. On a log grid they do so from the median similarity m (index 0) on; the grid is the rest, at the
    distances d_i = m - preferences_i. On a `linear` grid, all of them are. An interval is a run of two or more
    neighbours on the grid that all converged, with one number of clusters K >= 2; its length is log(d_last / d_first),
    or on a linear grid the difference of its ends. The longest is taken, of equal ones that with the smallest K, then
    the one nearest the median (the first). `chosen` is its middle point, of two the one nearer the median. A run that
    has not converged ends an interval: nothing is known of K there.

    If there is no interval: the converged run, the median's included, with the smallest K >= 2, nearest the median if
    there are several; then any converged run nearest the median; and if nothing converged the first run, which is
    marked as not converged. All of these have length 0.

    Raises InputError if the lengths differ or the preferences do not fall. Source: thesis, section 2.4 and figure 3.5
    ("the minimum number of clusters over a stable range of preference", there by eye).
    """
    p = numbers("preferences", preferences, "runs", least=1).astype(np.float64, copy=False)
    k = whole("counts", counts, len(p))
    good = whole("flags of convergence", converged, len(p)) != 0
    if not (np.diff(p) < 0).all():
        raise InputError("the plateau rule takes preferences that fall from the median similarity on")
    first = 0 if linear else 1
    with np.errstate(divide="ignore"):
        along = -p if linear else np.log(p[0] - p)
    found: list[tuple[float, int, int, int]] = []
    start = first
    while start < len(p):
        stop = start + 1
        if good[start] and k[start] >= 2:
            while stop < len(p) and good[stop] and k[stop] == k[start]:
                stop += 1
            if stop - start >= 2:
                # Intervals of as many steps of the grid are equally long but for rounding.
                found.append((-round(float(along[stop - 1] - along[start]), 9), int(k[start]), start, stop))
        start = stop
    if found:
        length, _, start, stop = min(found)
        return Plateau((start + stop - 1) // 2, start, stop, -length)
    candidates = [i for i in range(len(p)) if good[i] and k[i] >= 2]
    chosen = min(candidates, key=lambda i: k[i]) if candidates else int(np.argmax(good))
    return Plateau(chosen, chosen, chosen, 0.0)


def in_step(similarity: npt.ArrayLike, exemplars: npt.ArrayLike) -> bool:
    """Whether two of the `exemplars` are duplicates, as similar to each other as to themselves (on the diagonal).

    Under preferences below that, one of them would gain by joining the other: the messages of the two still move in
    step, and what passed for converged is no clustering. `similarity` [n, n]; `exemplars` int [clusters].
    """
    chosen = whole("exemplars", exemplars, "clusters")
    between = numbers("similarities", similarity, "points", "points", least=1)[np.ix_(chosen, chosen)]
    alike = between >= np.diagonal(between)
    return bool(alike.sum() > len(chosen))


def silhouette(similarity: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean silhouette of `labels` [n] with the distance 1 - `similarity` [n, n].

    For point i, a is its mean distance to the others of its cluster and b the least mean distance to another cluster;
    s = (b - a) / max(a, b), and 0 in a cluster of one. NaN with fewer than two clusters or as many as points. Raises
    InputError for similarities that are no finite square matrix, or above 1. Source: Rousseeuw, J. Comput. Appl. Math.
    20, 1987.
    """
    values = numbers("similarities", similarity, "points", "points", least=1)
    names, index = np.unique(checks.classes("labels", labels, len(values), 1), return_inverse=True)
    if values.shape[1] != len(values):
        raise InputError(f"similarities have the shape {list(values.shape)}, and take a square matrix")
    if not 2 <= len(names) < len(index):
        return float("nan")
    member = np.zeros((len(index), len(names)), values.dtype)
    member[np.arange(len(index)), index] = 1
    sizes = np.bincount(index)
    total = sizes - (values @ member).astype(np.float64)
    own = total[np.arange(len(index)), index] - (1 - np.diagonal(values))
    a = own / np.maximum(sizes[index] - 1, 1)
    other = total / sizes
    other[np.arange(len(index)), index] = np.inf
    b = other.min(axis=1)
    # Rounding may bring duplicates below their distance of 0.
    if min(a.min(), b.min()) < -1e-3:
        raise InputError(f"similarities go up to {values.max():g}, and distances 1 - similarity take at most 1")
    scale = np.maximum(a, b)
    s = np.divide(b - a, scale, out=np.zeros_like(a), where=scale > 0)
    return float(np.where(sizes[index] > 1, s, 0.0).mean())


def _checked(similarity: npt.ArrayLike, memory_limit: int | None) -> npt.NDArray[np.floating]:
    given = similarity if hasattr(similarity, "shape") else numbers("similarities", similarity)
    n = given.shape[0] if len(given.shape) else 0
    if tuple(given.shape) != (n, n) or not n:
        raise InputError(f"similarities have the shape {list(given.shape)}; clustering takes a square matrix")
    need = 12 * n**2
    if memory_limit is not None and need > memory_limit:
        raise InputError(
            f"affinity propagation of {n:,} points needs {need:,} bytes (12 n^2), "
            f"more than the {memory_limit:,} allowed"
        )
    return numbers("similarities", given)


def _runs(
    values: npt.NDArray[np.floating],
    preferences: Sequence[npt.NDArray[np.float64] | float],
    damping: float,
    max_iterations: int,
    convergence: int,
    seed: int,
    tie_noise: float,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> list[Clustering]:
    if not 0.5 <= damping < 1:
        raise InputError(f"damping is {damping:g}; affinity propagation takes at least 0.5 and less than 1")
    for name, number in (("max_iterations", max_iterations), ("convergence", convergence), ("threads", threads)):
        if number < 1:
            raise InputError(f"{name} is {number}; affinity propagation takes at least 1")
    if not 0 <= tie_noise < 0.1:
        raise InputError(f"tie_noise is {tie_noise:g}; affinity propagation takes 0 or more and less than 0.1")
    n = len(values)
    low, high = _range(values)
    spread = high - low
    if not np.isfinite(n * spread):
        raise InputError(f"similarities from {low:g} to {high:g} add up beyond 1e308: divide them by a number")
    # What similarities and preferences have in common, and their size, which float32 need not hold.
    common = low if spread * _FAR < max(abs(low), abs(high)) else 0.0
    largest = max(abs(low - common), abs(high - common))
    power = 0 if 1e-12 < largest < 1e12 else int(np.frexp(largest)[1])
    s, r, a = (np.empty((n, n), np.float32) for _ in range(3))
    # The diagonal, which may overflow, is not used.
    with np.errstate(over="ignore"):
        if common or power:
            for i in range(n):
                s[i] = np.ldexp(values[i].astype(np.float64) - common, -power)
        else:
            np.copyto(s, values, casting="same_kind")
    # The availabilities' memory holds the noise first: no fourth matrix.
    generator(seed, "tie noise").standard_normal(out=a, dtype=np.float32)
    noise = 1 + tie_noise * np.diagonal(a).astype(np.float64)
    a *= _F(tie_noise)
    a += _ONE
    s *= a
    runs = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        for done, preference in enumerate(preferences):
            run = _settled(values, low, high, np.broadcast_to(preference, n))
            if run is None:
                reach = max(_REACH, 2 * n) * spread
                near = np.clip(preference, low - reach, high + reach)
                np.fill_diagonal(s, np.ldexp(near - common, -power) * noise)
                exemplars, converged, iterations = _propagate(
                    s, r, a, _F(damping), max_iterations, convergence, threads, pool
                )
                labels, centres = _assign(s, exemplars)
                run = Clustering(labels, centres, converged, iterations)
            runs.append(run)
            if progress is not None:
                progress(done + 1, len(preferences))
    return runs


def _range(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Least and largest of the similarities of two points; 0 of a single one."""
    others = ~np.eye(len(values), dtype=bool)
    if len(values) == 1:
        return 0.0, 0.0
    return float(values.min(where=others, initial=np.inf)), float(values.max(where=others, initial=-np.inf))


def _settled(
    values: npt.NDArray[np.floating], low: float, high: float, preference: npt.NDArray[np.float64]
) -> Clustering | None:
    """The greatest net similarity where preferences alone settle who is an exemplar; None where they don't.

    Who prefers itself to any other is one. Who would cost more than all could gain by it is none, unless nobody else
    is: then that one is which with its preference is most similar to all. So it is where all similarities are equal.
    """
    n = len(values)
    above = preference > high
    if n > 1 and not (above | (preference <= low - n * (high - low))).all():
        return None
    centres = np.flatnonzero(above)
    if not len(centres):
        total = values.sum(axis=0, dtype=np.float64, where=~np.eye(n, dtype=bool))
        # Of equal preferences nothing may be left but rounding.
        centres = np.array([int(np.argmax(total + (preference - preference.max())))])
    labels = _join(values, centres)
    return Clustering(*_numbered(labels, centres), True, 0)


def _propagate(
    s: Float32,
    r: Float32,
    a: Float32,
    damping: np.float32,
    max_iterations: int,
    convergence: int,
    threads: int,
    pool: ThreadPoolExecutor | None,
) -> tuple[npt.NDArray[np.bool_], bool, int]:
    """Which points are exemplars after the last pass, whether that has converged, and the number of passes."""
    n = len(s)
    r.fill(0)
    a.fill(0)
    columns, own_r, own_a = (np.zeros(n, np.float32) for _ in range(3))
    groups = np.empty((_GROUPS, n), np.float32)
    still = np.zeros(n, np.int64)
    exemplar = np.zeros(n, bool)
    for iteration in range(1, max_iterations + 1):
        if pool is None:
            _pass(s, r, a, columns, own_a, own_r, groups, damping, 0, 1)
        else:
            work = [
                pool.submit(_pass, s, r, a, columns, own_a, own_r, groups, damping, first, threads)
                for first in range(threads)
            ]
            for part in work:
                part.result()
        columns = groups.sum(axis=0)
        own_a = damping * own_a + (_ONE - damping) * (columns - own_r)
        before, exemplar = exemplar, own_a + own_r > 0
        still = np.where(exemplar == before, still + 1, 1)
        if iteration > convergence and exemplar.any() and still.min() >= convergence:
            return exemplar, True, iteration
    return exemplar, False, max_iterations


@njit(cache=True, nogil=True)
def _pass(
    s: Float32,
    r: Float32,
    a: Float32,
    columns: Float32,
    own_a: Float32,
    own_r: Float32,
    groups: Float32,
    damping: np.float32,
    first_group: int,
    step: int,
) -> None:
    """Every `step`-th group of rows: last pass's availabilities, then this pass's responsibilities and their sums.

    Availabilities need the columns' sums, responsibilities only their row: so a row's availability of the pass before
    and its responsibility of this pass are made while it is in the cache, and the matrices travel from memory once.
    """
    n = s.shape[0]
    rate = _ONE - damping
    # In blocks of lanes, padded with the lowest number: loops of fixed length over them become vector instructions.
    blocks = np.full(((n + _LANES - 1) // _LANES, _LANES), _LOWEST, np.float32)
    total = blocks.reshape(-1)
    largest = np.empty(_LANES, np.float32)
    second = np.empty(_LANES, np.float32)
    for group in range(first_group, _GROUPS, step):
        sums = groups[group]
        sums[:] = _ZERO
        for i in range(n * group // _GROUPS, n * (group + 1) // _GROUPS):
            s_i, r_i, a_i = s[i], r[i], a[i]
            for k in range(n):
                available = damping * a_i[k] + rate * min(columns[k] - max(r_i[k], _ZERO), _ZERO)
                available = available if available < -_TINY else _ZERO
                a_i[k] = available
                total[k] = available + s_i[k]
            total[i] = own_a[i] + s_i[i]
            for lane in range(_LANES):
                largest[lane] = _LOWEST
                second[lane] = _LOWEST
            for b in range(blocks.shape[0]):
                block = blocks[b]
                for lane in range(_LANES):
                    top = largest[lane]
                    second[lane] = max(second[lane], min(top, block[lane]))
                    largest[lane] = max(top, block[lane])
            best, runner_up = _LOWEST, _LOWEST
            for lane in range(_LANES):
                runner_up = max(runner_up, max(second[lane], min(best, largest[lane])))
                best = max(best, largest[lane])
            for k in range(n):
                # Where two totals tie for the largest, the second largest equals it, and either is right.
                rival = best if total[k] < best else runner_up
                responsible = damping * r_i[k] + rate * (s_i[k] - rival)
                responsible = responsible if abs(responsible) > _TINY else _ZERO
                r_i[k] = responsible
                sums[k] += max(responsible, _ZERO)
            # r(k, k) enters the sum with its sign.
            sums[i] += min(r_i[i], _ZERO)
            own_r[i] = r_i[i]


def _assign(s: Float32, exemplar: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Labels and exemplars, by falling size, from the points whose messages make them exemplars."""
    centres = np.flatnonzero(exemplar)
    if len(centres) == 0:
        return np.full(len(s), -1, np.int64), centres
    labels = _join(s, centres)
    for cluster in range(len(centres)):
        members = np.flatnonzero(labels == cluster)
        sums = s[np.ix_(members, members)].sum(axis=0, dtype=np.float64)
        centres[cluster] = members[np.argmax(sums)]
    return _numbered(_join(s, centres), centres)


def _numbered(labels: Int64, centres: Int64) -> tuple[Int64, Int64]:
    """Clusters by falling size, of equal ones the smaller exemplar first."""
    sizes = np.bincount(labels, minlength=len(centres))
    order = np.lexsort((centres, -sizes))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[labels], centres[order]


def _join(s: npt.NDArray[np.floating], centres: Int64) -> Int64:
    labels = np.argmax(s[:, centres], axis=1)
    labels[centres] = np.arange(len(centres))
    return labels
