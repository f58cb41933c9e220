"""Fewer regions: merged step by step, each merged region with one affine map, and what that costs in fidelity.

Picchiotti & Gori (2021, section 5) leave open how to keep the number of regions small, and name two principles: minimum
entropy of the partition, and orthogonality of the hyperplanes. `merge_path` follows either from all regions to one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from interneuron import checks, tensor_checks
from interneuron.errors import InputError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Relative to the inputs' spread: what keeps least squares solvable in a region whose samples lie in a plane.
_RIDGE = 1e-8
# Relative: scores that differ by less are equal, and rounding does not choose between them.
_TIE = 1e-9
# Samples whose outputs are computed at once.
_ROWS = 8192


@dataclass(frozen=True)
class Frame:
    """Leading principal axes of inputs: u = mean + axes diag(scale) z + rest, with z uncorrelated and of unit variance.

    `mean` [d], `axes` [d, q], `scale` [q], float64; `share`: share of the inputs' variance that the axes hold.
    """

    mean: Float64
    axes: Float64
    scale: Float64
    share: float

    def inputs(self, x: ArrayLike | Tensor) -> Float64:
        """z and a constant 1 of every sample of x [n, ...]: [n, q + 1]."""
        values, turn = _inputs(x), self.axes / self.scale
        z = np.ones((len(values), len(self.scale) + 1))
        for start in range(0, len(values), _ROWS):
            z[start : start + _ROWS, :-1] = (values[start : start + _ROWS] - self.mean) @ turn
        return z

    def coordinates(self, omega: ArrayLike | Tensor, b: ArrayLike | Tensor) -> Float64:
        """Maps omega [m, outputs, d], b [m, outputs] as functions of z: [m, outputs, q + 1].

        With all axes the squared distance of two maps' coordinates is the mean squared difference of their outputs over
        the inputs, and the scalar product of two is the mean product of their outputs.
        """
        weights, offset = _plain("omega", omega), _plain("b", b)
        return np.concatenate([weights @ (self.axes * self.scale), (weights @ self.mean + offset)[..., None]], axis=2)


class Fidelity(NamedTuple):
    """How well affine maps stand for a network: share of samples with its predicted class, `agreement`; mean squared
    deviation of the outputs, over samples and outputs, `deviation`; 1 less its ratio to their variance, `explained`."""

    agreement: float
    deviation: float
    explained: float


class Groups(NamedTuple):
    """Groups of regions: `labels` int64 [regions], by falling support; `centres` [groups, ...]: their mean coordinates;
    `nearest` int64 [groups]: the region whose map is nearest to the mean."""

    labels: Int64
    centres: Float64
    nearest: Int64


@dataclass(frozen=True)
class MergePath:
    """Merged regions at every size from all regions to one: entry i of the arrays is that of `sizes[i]`.

    `sizes` int64 [R]: R, R - 1, ..., 1; `agreement`, `deviation`, `explained` float64 [R]: as in `Fidelity`, over the
    samples that the path was made with; `entropy`: entropy of the partition, -sum_r p_r log p_r, nats; `overlap`: mean
    |cos| of the angles between the regions' hyperplanes (0 is orthogonal), NaN at one region; `merges` int64 [R - 1,
    2]: what each step joins, each merged region under the number of its first; `counts` int64 [R]: samples of each
    region; `first`, `joined`: omega and b of the R regions, and of what each step makes (`maps` takes those of a size).
    """

    sizes: Int64
    agreement: Float64
    deviation: Float64
    explained: Float64
    entropy: Float64
    overlap: Float64
    merges: Int64
    counts: Int64
    first: tuple[Float64, Float64]
    joined: tuple[Float64, Float64]

    def labels(self, size: int) -> Int64:
        """Merged region of each region at `size`: int64 [R], merged regions by falling support."""
        return self._partition(size)[0]

    def maps(self, size: int) -> tuple[Float64, Float64]:
        """The merged regions' maps at `size`: omega [size, outputs, d] and b [size, outputs], in `labels`' order."""
        _, numbers = self._partition(size)
        latest = {int(first): step for step, (first, _) in enumerate(self.merges[: len(self.sizes) - size])}
        omega = np.stack([self.joined[0][latest[k]] if k in latest else self.first[0][k] for k in numbers.tolist()])
        b = np.stack([self.joined[1][latest[k]] if k in latest else self.first[1][k] for k in numbers.tolist()])
        return omega, b

    def choose(self, agreement: float = 0.99, explained: float = 0.0) -> int | None:
        """The smallest size that keeps these shares of the predictions and of the outputs' variance; None: no size."""
        good = (self.agreement >= agreement) & (self.explained >= explained)
        return int(self.sizes[good].min()) if good.any() else None

    def _partition(self, size: int) -> tuple[Int64, Int64]:
        if not 1 <= size <= len(self.sizes):
            raise InputError(f"size is {size}, and takes 1 to {len(self.sizes)}")
        of = np.arange(len(self.sizes))
        for first, second in self.merges[: len(self.sizes) - size]:
            of[of == second] = first
        numbers = np.unique(of)
        support = np.bincount(of, weights=self.counts, minlength=len(of))[numbers]
        numbers = numbers[np.argsort(-support, kind="stable")]
        rank = np.empty(len(of), np.int64)
        rank[numbers] = np.arange(len(numbers))
        return rank[of], numbers


def principal_frame(x: ArrayLike | Tensor, components: int = 50) -> Frame:
    """The leading principal axes of x [n, ...]: all that vary if there are no more than `components`.

    Raises InputError for less than one component, and for inputs that do not vary or are not finite.
    """
    values = _inputs(x)
    if components < 1:
        raise InputError(f"components is {components}, and takes at least 1")
    mean = values.mean(0, dtype=np.float64)
    covariance = np.zeros((values.shape[1], values.shape[1]))
    for start in range(0, len(values), _ROWS):
        centred = values[start : start + _ROWS] - mean
        covariance += centred.T @ centred
    variances, axes = np.linalg.eigh(covariance / len(values))
    variances, axes = variances[::-1], axes[:, ::-1]
    kept = min(components, int((variances > 1e-10 * variances[0]).sum())) if variances[0] > 0 else 0
    if not kept:
        raise InputError("inputs are all the same, and have no principal axes")
    # The sign of an axis is free, and the solver's choice of it is not always the same.
    axes = axes[:, :kept] * np.where(axes[np.abs(axes[:, :kept]).argmax(0), np.arange(kept)] < 0, -1.0, 1.0)
    return Frame(mean, axes, np.sqrt(variances[:kept]), float(variances[:kept].sum() / variances[variances > 0].sum()))


def group_regions(coordinates: ArrayLike, counts: ArrayLike, groups: int, seed: int = 0) -> Groups:
    """Regions with like maps, put together where there are too many to merge pair by pair: k-means of coordinates.

    Networks of some size have a region for nearly each sample, and merging pairs takes time quadratic in the regions.
    coordinates [regions, ...] of their maps (`Frame.coordinates`), so that the distance of two is the root mean squared
    difference of their outputs; counts [regions]: their samples, as weights. Groups are at most as many as asked for.

    Raises InputError where shapes don't fit.
    """
    from sklearn.cluster import KMeans

    points, weights = tensor_checks.array("coordinates", coordinates), tensor_checks.array("counts", counts)
    points = points.reshape(len(points), -1) if points.ndim > 1 and points.size else points
    if points.ndim != 2 or weights.shape != (len(points),) or (weights <= 0).any():
        raise InputError(
            f"coordinates {list(points.shape)} and counts {list(weights.shape)} do not fit: they take [regions, ...] "
            "and numbers above 0, [regions]"
        )
    if not 1 <= groups <= len(points):
        raise InputError(f"groups is {groups}, and takes 1 to {len(points)}, the number of regions")
    fit = KMeans(groups, n_init=1, random_state=seed, max_iter=30).fit(points, sample_weight=weights)
    found, labels = np.unique(fit.labels_, return_inverse=True)
    support = np.bincount(labels, weights=weights)
    order = np.argsort(-support, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    centres = fit.cluster_centers_[found[order]].astype(np.float64)
    labels = rank[labels]
    away = ((points - centres[labels]) ** 2).sum(1)
    by_distance = np.lexsort((away, labels))
    nearest = by_distance[np.searchsorted(labels[by_distance], np.arange(len(order)))]
    return Groups(labels, centres.reshape(len(order), *np.shape(coordinates)[1:]), nearest)


def nearest_groups(coordinates: ArrayLike, centres: ArrayLike) -> Int64:
    """The group [n] to whose mean each map is nearest, of coordinates [n, ...] and centres [groups, ...].

    It gives new samples, in regions that were not seen, a group by their map alone. Raises InputError where shapes
    don't fit, and for NaN.
    """
    points, means = tensor_checks.array("coordinates", coordinates), tensor_checks.array("centres", centres)
    if points.ndim < 2 or points.shape[1:] != means.shape[1:] or not len(means):
        raise InputError(f"coordinates {list(points.shape)} and centres {list(means.shape)} do not fit")
    width = prod(points.shape[1:])
    points, means = points.reshape(len(points), width), means.reshape(len(means), width)
    # Products of centred maps lose fewer digits.
    middle = means.mean(0, dtype=np.float64)
    means = means - middle
    result = np.empty(len(points), np.int64)
    for start in range(0, len(points), _ROWS):
        some = points[start : start + _ROWS] - middle
        result[start : start + _ROWS] = ((means**2).sum(1) - 2 * some @ means.T).argmin(1)
    return result


def merge_path(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    labels: ArrayLike,
    omega: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    principle: Literal["entropy", "orthogonality"] = "entropy",
    maps: Literal["refit", "member"] = "refit",
    components: int = 50,
    progress: Callable[[int, int], None] | None = None,
) -> MergePath:
    """Merge regions two by two, from all R of them to one.

    With D the mean squared deviation of the outputs, and H = -sum_r p_r log p_r over the shares p_r of samples, each
    step joins the pair that, by the principle

        entropy         has the least rise of D per nat of H removed: the partition of least entropy for its deviation.
                        (The entropy alone would join the two largest regions, whatever they say.)
        orthogonality   has the most parallel hyperplanes: the largest cosine of f_r and f_s under the scalar product
                        E[f_r f_s] over all samples, which is that of the hyperplanes' normals, offset included, on the
                        scale of the inputs' spread. With several outputs their mean is taken off, which changes no
                        prediction. What is left is the more orthogonal.

    Ties fall to the pair that removes more entropy. A merged region has one affine map, by `maps`:

        refit           the support-weighted mean of its regions' maps, corrected by least squares on the network's
                        outputs along the inputs' leading principal axes, `components` of them; where these are all, its
                        outputs are those of plain least squares.
        member          the map of that one of its regions which deviates least on all of its samples: always an exact
                        map of the network.

    Refitting keeps more predictions at a size; a member's map remains the network's own explanation somewhere. With
    more inputs than `components` the pairs' D, for refit, and the hyperplanes are those along the axes.

    x [n, ...], y [n, outputs] the network's outputs there, labels [n] the region of each sample, omega [R, outputs, d]
    and b [R, outputs] the regions' maps. Time: about R^2 (components + 1)^3 / 3 for refit, R n outputs d for member.

    Raises InputError where shapes don't fit, for NaN, for a region without samples, and for unknown principles and
    maps. Source of the principles: Picchiotti & Gori 2021, section 5; of the ratio: Chou, Lookabaugh & Gray 1989, on
    entropy-constrained quantisation.
    """
    values, outputs = _inputs(x), _outputs(y)
    weights, offsets, of = _plain("omega", omega), _plain("b", b), checks.whole("labels", labels)
    if principle not in ("entropy", "orthogonality"):
        raise InputError(f"principle is {principle!r}, and takes 'entropy' or 'orthogonality'")
    if maps not in ("refit", "member"):
        raise InputError(f"maps is {maps!r}, and takes 'refit' or 'member'")
    _check(values, outputs, of, weights, offsets)
    counts = np.bincount(of, minlength=len(weights))
    if not counts.all():
        raise InputError(f"region {int(counts.argmin())} has no samples, and merging takes regions that have some")
    data, frame = _Samples(values, outputs, of, counts), principal_frame(values, components)
    state = _Refit(data, frame, weights, offsets) if maps == "refit" else _Member(data, weights, offsets)
    return _path(data, frame, state, principle, progress)


def fidelity(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    labels: ArrayLike,
    omega: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
) -> Fidelity:
    """How well the maps omega [R, outputs, d], b [R, outputs] stand for the outputs y [n, outputs] at x [n, ...].

    labels [n]: whose map each sample gets. Raises InputError where shapes don't fit.
    """
    values, outputs = _inputs(x), _outputs(y)
    weights, offsets, of = _plain("omega", omega), _plain("b", b), checks.whole("labels", labels)
    _check(values, outputs, of, weights, offsets)
    data = _Samples(values, outputs, of, np.bincount(of, minlength=len(weights)))
    squares = hits = 0.0
    for region in range(len(weights)):
        for part in data.parts([region]):
            more, right = _scores(data.x[part], data.y[part], weights[[region]], offsets[[region]])
            squares, hits = squares + more[0], hits + right[0]
    return _fidelity(squares, hits, outputs)


def partition_agreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """Adjusted Rand index of two labellings [n]: 1 for the same partition, about 0 for unrelated ones.

    Raises InputError for different lengths, none, and NaN, which is no label. Source: Hubert & Arabie 1985
    (`sklearn.metrics.adjusted_rand_score`).
    """
    from sklearn.metrics import adjusted_rand_score

    first, second = checks.labels("labels", labels), checks.labels("labels", truth)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(f"labels have shapes {list(first.shape)} and {list(second.shape)}, and take [n] twice")
    return float(adjusted_rand_score(second, first))


def attainable_agreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """The agreement with `truth` [n] where each region of `labels` [n] joins the class of most of its samples.

    1 exactly where the regions are a refinement of `truth`: merging can only join regions, so below 1 no order of
    merges finds it. Raises as `partition_agreement` does.
    """
    first, second = checks.labels("labels", labels), checks.labels("labels", truth)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(f"labels have shapes {list(first.shape)} and {list(second.shape)}, and take [n] twice")
    regions, of = np.unique(first, return_inverse=True)
    classes, which = np.unique(second, return_inverse=True)
    table = np.bincount(of * len(classes) + which, minlength=len(regions) * len(classes))
    return partition_agreement(table.reshape(len(regions), -1).argmax(1)[of], second)


class _Samples:
    """Inputs and outputs, put in the order of their regions."""

    def __init__(self, x: NDArray[np.floating], y: Float64, labels: NDArray[np.integer], counts: Int64) -> None:
        order = np.argsort(labels, kind="stable")
        self.x, self.y, self.counts = x[order], y[order], counts
        self._ends = np.cumsum(counts)

    def parts(self, regions: list[int], rows: int = _ROWS) -> Iterator[slice]:
        """The samples of some regions, `rows` at a time."""
        for region in regions:
            stop = int(self._ends[region])
            for start in range(stop - int(self.counts[region]), stop, rows):
                yield slice(start, min(start + rows, stop))


class _Member:
    """Maps of members: sums over regions of what every map does to every region's samples."""

    def __init__(self, data: _Samples, omega: Float64, b: Float64) -> None:
        self.omega, self.b = omega.copy(), b.copy()
        self._omega, self._b = omega, b
        regions = len(omega)
        self.members = [[region] for region in range(regions)]
        # Of each region's map (row) on the samples of each merged region (column).
        self._squares, self._hits = np.zeros((regions, regions)), np.zeros((regions, regions))
        for column in range(regions):
            for part in data.parts([column], max(1, _ROWS * 64 // b.size)):
                squares, hits = _scores(data.x[part], data.y[part], omega, b)
                self._squares[:, column] += squares
                self._hits[:, column] += hits
        self.squares, self.hits = self._squares.diagonal().copy(), self._hits.diagonal().copy()

    def rise(self, i: int, others: Int64) -> Float64:
        """How much the squared deviation grows when i joins each of the others."""
        own = self._squares[self.members[i]]
        of_i = (own[:, [i]] + own[:, others]).min(0)
        of_others = [(self._squares[self.members[k], i] + self._squares[self.members[k], k]).min() for k in others]
        return np.minimum(of_i, of_others) - self.squares[i] - self.squares[others]

    def join(self, i: int, j: int) -> None:
        members = self.members[i] + self.members[j]
        self._squares[:, i] += self._squares[:, j]
        self._hits[:, i] += self._hits[:, j]
        best = members[int(self._squares[members, i].argmin())]
        self.members[i] = members
        self.omega[i], self.b[i] = self._omega[best], self._b[best]
        self.squares[i], self.hits[i] = self._squares[best, i], self._hits[best, i]


class _Refit:
    """Maps refitted by least squares, whose moments along the principal axes add up over regions."""

    def __init__(self, data: _Samples, frame: Frame, omega: Float64, b: Float64) -> None:
        self._data, self._frame, self._mean = data, frame, (omega.copy(), b.copy())
        regions, outputs, _ = omega.shape
        self.members = [[region] for region in range(regions)]
        self._z = frame.inputs(data.x)
        width = self._z.shape[1]
        self._gram, self._cross = np.zeros((regions, width, width)), np.zeros((regions, width, outputs))
        self._total = np.zeros(regions)
        self._support = data.counts.astype(np.float64)
        self.omega, self.b = omega.copy(), b.copy()
        self.squares, self.hits = np.zeros(regions), np.zeros(regions)
        for region in range(regions):
            for part in data.parts([region]):
                z, y = self._z[part], data.y[part]
                self._gram[region] += z.T @ z
                self._cross[region] += z.T @ y
                self._total[region] += (y**2).sum()
            self._fit(region)
        self._least = self._residual(self._gram, self._cross, self._total)

    def rise(self, i: int, others: Int64) -> Float64:
        joint = self._residual(
            self._gram[i] + self._gram[others],
            self._cross[i] + self._cross[others],
            self._total[i] + self._total[others],
        )
        return joint - self._least[i] - self._least[others]

    def join(self, i: int, j: int) -> None:
        self.members[i] = self.members[i] + self.members[j]
        share = self._support[j] / (self._support[i] + self._support[j])
        for mean in self._mean:
            mean[i] += share * (mean[j] - mean[i])
        for moment in (self._gram, self._cross, self._total, self._support):
            moment[i] += moment[j]
        self._least[i] = self._residual(self._gram[[i]], self._cross[[i]], self._total[[i]])[0]
        self._fit(i)

    def _fit(self, i: int) -> None:
        data, frame = self._data, self._frame
        omega, b = self._mean[0][i], self._mean[1][i]
        rest = np.zeros_like(self._cross[i])
        for part in data.parts(self.members[i]):
            rest += self._z[part].T @ (data.y[part] - _apply(data.x[part], omega, b))
        change = _solve(self._gram[[i]], rest[None])[0]
        weights = (frame.axes / frame.scale) @ change[:-1]
        self.omega[i] = omega + weights.T
        self.b[i] = b + change[-1] - frame.mean @ weights
        squares, hits = 0.0, 0.0
        for part in data.parts(self.members[i]):
            more, right = _scores(data.x[part], data.y[part], self.omega[[i]], self.b[[i]])
            squares, hits = squares + more[0], hits + right[0]
        self.squares[i], self.hits[i] = squares, hits

    @staticmethod
    def _residual(gram: Float64, cross: Float64, total: Float64) -> Float64:
        """Squared deviation that least squares leave: total - tr(C^T G^-1 C)."""
        return np.maximum(total - (cross * _solve(gram, cross)).sum((1, 2)), 0)


def _path(
    data: _Samples,
    frame: Frame,
    state: _Member | _Refit,
    principle: str,
    progress: Callable[[int, int], None] | None,
) -> MergePath:
    regions = len(state.members)
    shares = data.counts / data.counts.sum()
    spread = float(((data.y - data.y.mean(0)) ** 2).sum())
    cosines = _Cosines(frame, state)
    active = np.arange(regions)
    score = np.full((regions, regions), np.inf)
    gain = np.zeros((regions, regions))

    def update(i: int, others: Int64) -> None:
        gain[i, others] = gain[others, i] = (
            _plogp(shares[i] + shares[others]) - _plogp(shares[i]) - _plogp(shares[others])
        )
        if principle == "entropy":
            rise = state.rise(i, others)
            found = np.where(rise > _TIE * spread, rise / gain[i, others], 0.0)
        else:
            found = np.round(-cosines.values[i, others], 9)
        score[i, others] = score[others, i] = found

    rows = []
    merges = np.empty((regions - 1, 2), np.int64)
    made = np.empty((regions - 1, *state.omega.shape[1:])), np.empty((regions - 1, *state.b.shape[1:]))
    first = state.omega.copy(), state.b.copy()
    for i in range(regions - 1):
        update(i, active[i + 1 :])
    for step in range(regions):
        kept = _fidelity(state.squares[active].sum(), state.hits[active].sum(), data.y)
        rows.append((len(active), *kept, -_plogp(shares[active]).sum(), cosines.overlap(active)))
        if progress is not None:
            progress(step + 1, regions)
        if len(active) == 1:
            break
        least = score == score.min()
        i, j = sorted(divmod(int(np.where(least, gain, -np.inf).argmax()), regions))
        state.join(i, j)
        merges[step] = i, j
        made[0][step], made[1][step] = state.omega[i], state.b[i]
        shares[i] += shares[j]
        active = active[active != j]
        score[j], score[:, j] = np.inf, np.inf
        others = active[active != i]
        cosines.update(i)
        if len(others):
            update(i, others)
    sizes, agreement, deviation, explained, entropy, overlap = (np.array(column) for column in zip(*rows, strict=True))
    return MergePath(
        sizes.astype(np.int64), agreement, deviation, explained, entropy, overlap, merges, data.counts, first, made
    )


class _Cosines:
    """Cosines of the hyperplanes of all pairs."""

    def __init__(self, frame: Frame, state: _Member | _Refit) -> None:
        self._frame, self._state = frame, state
        self._normals = self._unit(state.omega, state.b)
        self.values = self._normals @ self._normals.T

    def update(self, i: int) -> None:
        self._normals[i] = self._unit(self._state.omega[[i]], self._state.b[[i]])[0]
        self.values[i] = self.values[:, i] = self._normals @ self._normals[i]

    def overlap(self, active: Int64) -> float:
        if len(active) == 1:
            return float("nan")
        pairs = np.abs(self.values[np.ix_(active, active)])
        return float((pairs.sum() - pairs.trace()) / (len(active) * (len(active) - 1)))

    def _unit(self, omega: Float64, b: Float64) -> Float64:
        normals = self._frame.coordinates(omega, b)
        if normals.shape[1] > 1:
            normals = normals - normals.mean(1, keepdims=True)
        normals = normals.reshape(len(normals), -1)
        norm = np.linalg.norm(normals, axis=1, keepdims=True)
        return normals / np.where(norm > 0, norm, 1)


def _solve(gram: Float64, cross: Float64) -> Float64:
    width = gram.shape[1]
    # The last diagonal element is the number of samples, and the axes have unit variance over all of them.
    ridge = _RIDGE * gram[:, -1, -1, None, None] * np.eye(width)
    return np.asarray(np.linalg.solve(gram + ridge, cross), np.float64)


def _plogp(p: Float64) -> Float64:
    result: Float64 = p * np.log(p)
    return result


def _apply(x: NDArray[np.floating], omega: Float64, b: Float64) -> Float64:
    found: Float64 = x @ omega.T.astype(x.dtype) + b
    return found


def _scores(x: NDArray[np.floating], y: Float64, omega: Float64, b: Float64) -> tuple[Float64, Float64]:
    """Squared deviation from y, and number of the same predicted classes, of each of some maps [maps, ...]."""
    maps, outputs, inputs = omega.shape
    found = _apply(x, omega.reshape(-1, inputs), b.reshape(-1)).reshape(len(x), maps, outputs)
    right = (_classes(found) == _classes(y[:, None])).sum(0).astype(np.float64)
    found -= y[:, None]
    return np.einsum("nmk,nmk->m", found, found), right


def _classes(y: Float64) -> Int64:
    return y.argmax(-1) if y.shape[-1] > 1 else (y[..., 0] > 0).astype(np.int64)


def _fidelity(squares: float, hits: float, y: Float64) -> Fidelity:
    spread = float(((y - y.mean(0)) ** 2).sum())
    explained = 1 - squares / spread if spread > 0 else float(squares == 0)
    return Fidelity(float(hits / len(y)), float(squares / y.size), float(explained))


def _plain(what: str, values: ArrayLike | Tensor) -> Float64:
    return tensor_checks.array(what, values).astype(np.float64, copy=False)


def _inputs(x: ArrayLike | Tensor) -> NDArray[np.floating]:
    values = tensor_checks.array("inputs", x)
    if values.ndim < 2 or not values.size:
        raise InputError(f"inputs have shape {list(values.shape)}, and take [samples, ...] with at least one sample")
    return values.reshape(len(values), -1)


def _outputs(y: ArrayLike | Tensor) -> Float64:
    values = _plain("outputs", y)
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"outputs have shape {list(values.shape)}, and take finite numbers, [samples, outputs]")
    return values


def _check(x: NDArray[np.floating], y: Float64, labels: NDArray[np.integer], omega: Float64, b: Float64) -> None:
    regions = len(omega)
    if omega.shape != (regions, y.shape[1], x.shape[1]) or b.shape != (regions, y.shape[1]) or len(x) != len(y):
        raise InputError(
            f"maps {list(omega.shape)}, {list(b.shape)} do not fit inputs {list(x.shape)} and outputs {list(y.shape)}"
        )
    if labels.shape != (len(x),):
        raise InputError(f"labels are {labels.dtype} of shape {list(labels.shape)}, and take whole numbers, [{len(x)}]")
    if labels.min() < 0 or labels.max() >= regions:
        raise InputError(f"labels go from {labels.min()} to {labels.max()}, of {regions} regions counted from 0")
