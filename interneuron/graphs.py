"""Graphs on samples: nearest neighbours, given links, and the normalisations that make a graph shift of a graph.

A graph on n nodes is its weights W [n, n], a `scipy.sparse.csr_array` with sorted indices, whose stored entries are the
links: W[i, j] > 0 is the weight of the link from i to j. Both directions of an undirected link are stored. A node
without links is isolated; a link from a node to itself is a self-loop, stored once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from interneuron.checks import numbers, whole
from interneuron.errors import InputError
from interneuron.seeds import generator

METRICS = ("euclidean", "cosine")
LINKS = ("directed", "mutual", "union")
WEIGHTS = ("binary", "gaussian")
NORMALISATIONS = ("symmetric", "random-walk")

# Up to this many samples all pairs are compared; above, inverted lists.
_EXACT = 20_000
# Candidates beyond the neighbours asked for: what rounding may have put in the wrong order is put right among them.
_SPARE = 8
# Queries whose true neighbours choose the number of lists, and as many others that measure the recall.
_SAMPLE = 500
# Share of the true neighbours that the lists must hold: above the 0.99 promised by more than a sample's error.
_RECALL, _PROMISED = 0.995, 0.99
# Numbers in a block of products.
_BLOCK = 2**22

Floats = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Neighbours:
    """The nearest other samples of each of n samples, nearest first; of equally near ones the first comes first.

    `index` int32 [n, k]; `distance` float32 [n, k] (Euclidean, or 1 - cosine); `recall`: the share of the true
    neighbours that were found, 1 for an exact search, measured on a sample for one by lists.
    """

    index: Int32
    distance: Float32
    recall: float


def neighbours(x: npt.ArrayLike, k: int, metric: str = "euclidean", search: str = "auto", seed: int = 0) -> Neighbours:
    """The k nearest other samples of every sample of x [n, d]. No sample is its own neighbour.

    metric: `euclidean`, or `cosine` (1 - cosine of the angle). Duplicates are neighbours at distance 0. The first k of
    a search for more are the search for k, so one search serves a sweep over k. Digits are kept that float32 lacks,
    however far from 0 the samples lie.

    search: `exact` compares all pairs (scikit-learn) and breaks ties by the order of the samples; `lists` compares each
    sample with those of the clusters whose centres are nearest to it (the inverted lists of Jégou, Douze and Schmid,
    IEEE TPAMI 33, 2011), as many clusters as find 0.995 of the true neighbours of 500 samples, and measures the recall
    on 500 others: where that is below 0.99, the search is exact after all; `auto` is exact up to 20,000 samples. `seed`
    draws the lists and the samples. Distances of what is found are differences, not products, so that they are
    symmetric bit for bit, and 0 between duplicates.

    Raises InputError for k outside of 1 to n - 1, x that is no finite [n, d], samples further apart than float32 has
    numbers (3e38), and zero vectors under `cosine`.
    """
    _one_of("metric", metric, METRICS)
    values, power = _features(x) if metric == "euclidean" else (_directions(x), 0)
    n = len(values)
    if not 1 <= k < n:
        raise InputError(f"k is {k} for {n} samples; nearest neighbours take 1 to {n - 1}")
    if search not in ("auto", "exact", "lists"):
        raise InputError(f"search is {search!r}; nearest neighbours take 'auto', 'exact' or 'lists'")
    if search == "exact" or (search == "auto" and n <= _EXACT):
        everyone = np.arange(n, dtype=np.int32)
        index, squares = _exact(values, values, everyone, k)
        recall = 1.0
    else:
        index, squares, recall = _by_lists(values, k, seed)
    if metric == "euclidean":
        return Neighbours(index, _roots(squares, power), recall)
    # On unit vectors |a - b|^2 = 2 (1 - cosine).
    return Neighbours(index, np.float32(0.5) * squares.astype(np.float32), recall)


def nearest(x: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The sample of x [n, d] that is nearest to each of others [m, d], by Euclidean distance: int64 [m].

    Of equally near ones the first. Exact, by differences, as `neighbours`. Raises InputError for arrays that are no
    finite [n, d] and [m, d] of one d, with one sample or more.
    """
    a = numbers("samples", x, "samples", "features", least=1)
    b = numbers("other samples", others, "samples", a.shape[1], least=1)
    values, _ = _features(np.concatenate([a, b]))
    n, nobody = len(a), np.full(len(b), -1, np.int32)
    return _exact(values[:n], values[n:], nobody, 1)[0][:, 0].astype(np.int64)


def principal_components(x: npt.ArrayLike, count: int) -> Float32:
    """Coordinates of samples x [n, d] along the `count` directions of largest variance, largest first: float32.

    Centred; signs are arbitrary but fixed. Raises InputError for x that is no finite [n, d], samples further apart than
    float32 has numbers, and a count outside of 1 to d.
    """
    values, power = _features(x)
    if not 1 <= count <= values.shape[1]:
        raise InputError(f"{count} components asked of {values.shape[1]} features; it takes 1 to as many as there are")
    centred = values - values.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.ldexp((centred @ directions[:, : -count - 1 : -1]).astype(np.float32), power)


def bandwidth(found: Neighbours, k: int | None = None) -> float:
    """Default width of Gaussian weights: the median distance to the k-th neighbour (all found, if k is None)."""
    return float(np.median(found.distance[:, _count(found, k) - 1]))


def knn_graph(
    found: Neighbours,
    k: int | None = None,
    links: str = "union",
    weights: str = "binary",
    bandwidth: float | None = None,
) -> sparse.csr_array:
    """Graph of the k nearest neighbours found (all, if k is None): float32 weights [n, n], without self-loops.

    links: `directed`, from each sample to its neighbours; `mutual`, where each is a neighbour of the other (nodes may
    be isolated); `union`, where either is. The last two are symmetric.
    weights: `binary`, 1; `gaussian`, exp(-distance^2 / (2 bandwidth^2)), with `interneuron.graphs.bandwidth` of the k
    neighbours if none is given, and never below the smallest normal number, so that no link vanishes.

    Raises InputError for another name, a k that was not searched for, and a bandwidth that is not above 0.
    """
    count = _count(found, k)
    _one_of("links", links, LINKS)
    _one_of("weights", weights, WEIGHTS)
    n = len(found.index)
    index, distance = found.index[:, :count], found.distance[:, :count]
    if weights == "binary":
        values = np.ones(index.size, np.float32)
    else:
        width = float(np.median(distance[:, -1])) if bandwidth is None else bandwidth
        if not 0 < width < np.inf:
            raise InputError(f"the bandwidth is {width:g}; Gaussian weights take a number above 0")
        values = np.exp(-0.5 * (distance.astype(np.float64).ravel() / width) ** 2).astype(np.float32)
        np.maximum(values, np.finfo(np.float32).tiny, out=values)
    ends = np.arange(0, index.size + 1, count, dtype=np.int32 if index.size < 2**31 else np.int64)
    graph = sparse.csr_array((values, index.ravel().astype(ends.dtype), ends), (n, n))
    graph.sort_indices()
    if links == "directed":
        return graph
    return symmetrise(graph, "maximum" if links == "union" else "minimum")


def from_links(
    links: npt.ArrayLike,
    n: int,
    weights: npt.ArrayLike | None = None,
    directed: bool = False,
    loops: bool = False,
) -> sparse.csr_array:
    """Graph on n nodes from a list of links [links, 2], as a citation graph is given; weights [links] or all 1.

    A link that is repeated (for an undirected graph: in either direction) counts once, with its largest weight. Nodes
    that no link names are isolated. Self-loops are left out, unless `loops`. Returns float32 [n, n].

    Raises InputError for nodes outside of 0 to n - 1, and weights that are not one finite positive number a link.
    """
    pairs = whole("links", np.zeros((0, 2)) if np.size(links) == 0 else links, "links", 2)
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < n):
        wrong = pairs.min() if pairs.min() < 0 else pairs.max()
        raise InputError(f"a link names node {wrong}; a graph on {n} nodes takes 0 to {n - 1}")
    values = np.ones(len(pairs), np.float32)
    if weights is not None:
        given = numbers("weights of links", weights, len(pairs))
        with np.errstate(over="ignore"):
            values = given.astype(np.float32)
        if not (np.isfinite(values) & (values > 0)).all():
            raise InputError(
                f"weights of links run from {given.min():g} to {given.max():g}, and take float32 numbers above 0"
            )
    keep = slice(None) if loops else pairs[:, 0] != pairs[:, 1]
    source, target, values = pairs[keep, 0], pairs[keep, 1], values[keep]
    # The largest weight of a repeated link is the last of its run.
    order = np.lexsort((values, target, source))
    source, target, values = source[order], target[order], values[order]
    last = np.append((source[1:] != source[:-1]) | (target[1:] != target[:-1]), True)[: len(source)]
    graph = sparse.csr_array((values[last], (source[last], target[last])), (n, n))
    return graph if directed else symmetrise(graph, "maximum")


def checked(w: sparse.sparray | sparse.spmatrix | npt.ArrayLike, symmetric: bool = False) -> sparse.csr_array:
    """A given graph, sparse or dense [n, n], as this room's: CSR, sorted, one entry a link, float32 or float64.

    What is in that form already is handed on, not copied; entries that are 0 are no links. symmetric: weights must be
    so, within 1e-5 of each. Raises InputError for a matrix that is not square, for weights that are negative, infinite
    or NaN, and for asymmetric ones where `symmetric`.
    """
    if not sparse.issparse(w):
        w = numbers("weights", w, "nodes", "nodes")
    graph = w if isinstance(w, sparse.csr_array) else sparse.csr_array(w)
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1] or not graph.shape[0]:
        raise InputError(f"weights have the shape {list(graph.shape)}; a graph takes a square matrix")
    if graph.dtype.kind not in "biuf":
        raise InputError(f"weights are {graph.dtype}, and take real numbers")
    if graph.dtype not in (np.float32, np.float64):
        graph = graph.astype(np.float64)
    if not graph.has_canonical_format:
        graph = graph.copy()
        graph.sum_duplicates()
    if graph.nnz:
        # NaN fails both comparisons.
        least, most = graph.data.min(), graph.data.max()
        if not (least >= 0 and most < np.inf):
            kind = "negative" if least < 0 else "infinite or NaN"
            raise InputError(f"weights are {kind} somewhere; a graph takes finite numbers, 0 or more")
        if least == 0:
            graph = graph.copy()
            graph.eliminate_zeros()
    if symmetric and not _symmetric(graph.indptr, graph.indices, graph.data):
        raise InputError(
            "weights are not symmetric, and this needs a symmetric graph: make it one with graphs.symmetrise"
        )
    return graph


def symmetrise(w: sparse.sparray | npt.ArrayLike, how: str = "maximum") -> sparse.csr_array:
    """Symmetric weights, from w(i, j) and w(j, i) the `maximum`, the `mean` or the `minimum`. Raises as `checked`."""
    graph = checked(w)
    other = graph.T.tocsr()
    if how == "maximum":
        return sparse.csr_array(graph.maximum(other))
    if how == "mean":
        return sparse.csr_array((graph + other) * graph.dtype.type(0.5))
    if how == "minimum":
        return checked(sparse.csr_array(graph.minimum(other)))
    raise InputError(f"how is {how!r}; weights are made symmetric by 'maximum', 'mean' or 'minimum'")


def degrees(w: sparse.csr_array) -> Float64:
    """Weighted degrees d [n]: d_i = sum_j W_ij, a self-loop counted once.

    Raises InputError as `checked` does, and for weights that add up to more than float64 has numbers.
    """
    graph = checked(w)
    with np.errstate(over="ignore"):
        degree = np.asarray(graph.sum(axis=1, dtype=np.float64))
    if not np.isfinite(degree).all():
        raise InputError(f"weights of node {int(np.argmax(degree))} add up to more than 1e308: divide them by a number")
    return degree


def link_counts(w: sparse.csr_array) -> npt.NDArray[np.int64]:
    """Number of links of each node, whatever their weights and directions, a self-loop counted twice: int64 [n].

    A link that goes both ways counts once: the degrees of networkx's `Graph`.
    """
    graph = checked(w)
    return _link_counts(graph.indptr, graph.indices)


def normalise(w: sparse.csr_array, kind: str = "symmetric") -> sparse.csr_array:
    """Graph shift A of the weights W, with D the diagonal matrix of degrees.

    `symmetric`: A = D^(-1/2) W D^(-1/2), W symmetric; A D^(1/2) 1 = D^(1/2) 1, eigenvalues in [-1, 1].
    `random-walk`: A = D^-1 W, each row a mean over neighbours; A 1 = 1.
    An isolated node keeps its value: A_ii = 1 (so it has no high frequencies, as in the normalised Laplacian, whose row
    is 0 there). Indices are shared with w where none is isolated. Raises InputError as `checked` does, and for degrees
    that are beyond the numbers of float64, or whose inverse is.
    """
    _one_of("kind", kind, NORMALISATIONS)
    graph = checked(w, symmetric=kind == "symmetric")
    degree = degrees(graph)
    alone = degree == 0
    with np.errstate(over="ignore"):
        scale = 1 / np.where(alone, 1, degree)
    if not np.isfinite(scale).all():
        raise InputError(
            f"weights of node {int(np.argmax(scale))} add up to less than 1e-308: multiply them by a number"
        )
    if kind == "symmetric":
        np.sqrt(scale, out=scale)
    data = np.empty_like(graph.data)
    _scale(graph.indptr, graph.indices, graph.data, scale, kind == "symmetric", data)
    shift = sparse.csr_array((data, graph.indices, graph.indptr), graph.shape)
    return shift if not alone.any() else sparse.csr_array(shift + sparse.diags_array(alone.astype(data.dtype)))


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it takes {', '.join(map(repr, allowed))}")


def _count(found: Neighbours, k: int | None) -> int:
    most = found.index.shape[1]
    if k is None:
        return most
    if not 1 <= k <= most:
        raise InputError(f"k is {k}; {most} neighbours of each sample were found, so it takes 1 to {most}")
    return k


def _features(x: npt.ArrayLike) -> tuple[Floats, int]:
    """Samples divided by 2^power, and the power: 0, unless their squares would vanish.

    In float32 if that holds them exactly, as it does pixels and counts, else in float64.
    """
    values = numbers("samples", x, "samples", "features", least=1)
    if not values.shape[1]:
        raise InputError("samples have no features, and take 1 or more")
    with np.errstate(over="ignore"):
        extent = values.max(axis=0).astype(np.float64) - values.min(axis=0)
        spread = float(np.linalg.norm(extent))
        if not spread < np.finfo(np.float32).max:
            raise InputError(
                f"samples lie up to {extent.max():.3g} apart, and float32 holds distances up to 3e+38: divide them by "
                "a number"
            )
        if values.dtype == np.float64:
            single = values.astype(np.float32)
            if np.array_equal(single, values):
                values = single
    power = int(np.frexp(extent.max())[1]) if 0 < extent.max() < 1e-100 else 0
    # Compiled code takes arrays of one layout.
    return np.require(np.ldexp(values, -power) if power else values, requirements=["C", "W"]), power


def _directions(x: npt.ArrayLike) -> Float64:
    """Samples as vectors of length 1, float64: far from 0 they differ in late digits."""
    values = numbers("samples", x, "samples", "features", least=1).astype(np.float64, copy=False)
    # A power of two changes no digit, and keeps squares within bounds.
    _, powers = np.frexp(np.abs(values).max(axis=1, initial=0, keepdims=True))
    values = np.ldexp(values, -powers)
    length = np.sqrt(np.einsum("ij,ij->i", values, values))
    if not length.all():
        raise InputError(f"sample {int(np.argmin(length))} is 0 throughout; the cosine takes vectors with a direction")
    return values / length[:, None]


def _roots(squares: Float64, power: int) -> Float32:
    """Square roots times 2^power, float32: of squares, too, that float32 does not hold."""
    # By a power of two, which changes no digit.
    half = int(np.frexp(squares.max())[1]) // 2
    return np.ldexp(np.sqrt(np.ldexp(squares, -2 * half).astype(np.float32)), half + power)


def _exact(x: Floats, queries: Floats, own: Int32, k: int) -> tuple[Int32, Float64]:
    """The k nearest of x to each query, but the sample `own` (-1: none): int32 [queries, k], and squared distances."""
    from sklearn.neighbors import NearestNeighbors

    n = len(x)
    index, squares = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
    # Products of centred samples lose fewer digits; less a sample first, what is constant is 0.
    base = np.subtract(x, x[0], dtype=np.float64)
    mean = base.mean(axis=0)
    base -= mean
    engine = NearestNeighbors(algorithm="brute").fit(base)
    error = 1e-12 * float(np.einsum("ij,ij->i", base, base).max())
    left, count = np.arange(len(queries)), min(k + 1 + _SPARE, n)
    while len(left):
        done = np.ones(len(left), bool)
        step = max(1, _BLOCK // max(count, x.shape[1]))
        for start in range(0, len(left), step):
            part = left[start : start + step]
            moved = np.subtract(queries[part], x[0], dtype=np.float64) - mean
            candidates = engine.kneighbors(moved, count, return_distance=False).astype(np.int32)
            index[part], squares[part], furthest = _nearest(x, queries[part], own[part], candidates, k)
            # What is no candidate is as far as the furthest of them, but for rounding: only where the k-th is clearly
            # nearer can no other sample tie with it.
            if count < n:
                done[start : start + step] = squares[part, -1] < furthest * (1 - 1e-6) - error
        left, count = left[~done], min(4 * count, n)
    return index, squares


def _by_lists(x: Floats, k: int, seed: int) -> tuple[Int32, Float64, float]:
    """Neighbours [n, k] by inverted lists, squared distances, and the recall."""
    n = len(x)
    stream = generator(seed, "nearest neighbours")
    # Products of centred samples lose fewer digits, and of samples of about 1 neither vanish nor overflow.
    centred = x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    centred = np.ldexp(centred, -np.frexp(np.abs(centred).max())[1]).astype(np.float32, copy=False)
    centres = _centres(centred, round(np.sqrt(n)), stream)
    home = _lists(centred, centres, 1)[:, 0]
    sample = np.sort(stream.choice(n, min(2 * _SAMPLE, n), replace=False)).astype(np.int32)
    true = _exact(x, x[sample], sample, k)[0]
    chosen, judged = slice(0, None, 2), slice(1, None, 2)
    # How many lists a query goes through until it has come to that of each of its true neighbours.
    place = np.argsort(np.argsort(_far(centred[sample[chosen]], centres), axis=1, kind="stable"), axis=1)
    needed = np.sort(np.take_along_axis(place, home[true[chosen]].astype(np.int64), axis=1).ravel())
    lists = _lists(centred, centres, 1 + int(needed[int(np.ceil(_RECALL * len(needed))) - 1]))
    candidates = _candidates(centred, home, lists, min(k + 1 + _SPARE, n))
    index, squares, _ = _nearest(x, x, np.arange(n, dtype=np.int32), candidates, k)
    short = np.flatnonzero((candidates >= 0).sum(axis=1) < k + 1).astype(np.int32)
    if len(short):
        index[short], squares[short] = _exact(x, x[short], short, k)
    found = [len(np.intersect1d(a, b)) for a, b in zip(index[sample[judged]], true[judged], strict=True)]
    recall = float(np.mean(found)) / k
    if recall < _PROMISED:
        # Candidates are told apart in float32, which clumps that lie far from each other leave no digits.
        return *_exact(x, x, np.arange(n, dtype=np.int32), k), 1.0
    return index, squares, recall


def _centres(x: Float32, count: int, stream: np.random.Generator) -> Float32:
    """Centres [count, d] of clusters: eight rounds of Lloyd's k-means on a few samples a centre."""
    some = x[np.sort(stream.choice(len(x), min(64 * count, len(x)), replace=False))]
    centres = some[np.sort(stream.choice(len(some), count, replace=False))]
    for _ in range(8):
        nearest = _lists(some, centres, 1)[:, 0]
        sizes = np.bincount(nearest, minlength=count)
        member = sparse.csr_array((np.ones(len(some), np.float32), (nearest, np.arange(len(some)))), (count, len(some)))
        filled = sizes > 0
        centres[filled] = (member @ some)[filled] / sizes[filled, None].astype(np.float32)
    return centres


def _far(x: Float32, centres: Float32) -> Float32:
    """What orders the centres by their distance from each x: (|c|^2 - 2 x c) / 2."""
    return 0.5 * np.einsum("ij,ij->i", centres, centres) - x @ centres.T


def _lists(x: Float32, centres: Float32, count: int) -> Int32:
    """The `count` centres nearest to each x, int32 [n, count], in no order."""
    result = np.empty((len(x), count), np.int32)
    step = max(1, _BLOCK // len(centres))
    for start in range(0, len(x), step):
        far = _far(x[start : start + step], centres)
        part = slice(start, start + len(far))
        result[part] = far.argmin(axis=1)[:, None] if count == 1 else np.argpartition(far, count - 1, axis=1)[:, :count]
    return result


def _candidates(x: Float32, home: Int32, lists: Int32, count: int) -> Int32:
    """The `count` members nearest to each x, of the lists that it goes through: int32 [n, count], -1 where fewer."""
    best = np.full((len(x), count), np.inf, np.float32)
    index = np.full((len(x), count), -1, np.int32)
    half = 0.5 * np.einsum("ij,ij->i", x, x)
    members = np.argsort(home, kind="stable").astype(np.int32)
    ends = np.searchsorted(home[members], np.arange(home.max() + 2))
    visits = np.argsort(lists.ravel(), kind="stable")
    starts = np.searchsorted(lists.ravel()[visits], np.arange(home.max() + 2))
    for number in range(home.max() + 1):
        inside = members[ends[number] : ends[number + 1]]
        if not len(inside):
            continue
        base, queries = x[inside], visits[starts[number] : starts[number + 1]] // lists.shape[1]
        step = max(1, _BLOCK // len(inside))
        for start in range(0, len(queries), step):
            rows = queries[start : start + step]
            _keep(x[rows] @ base.T, half[inside], rows, inside, best, index)
    return index


@njit(cache=True, nogil=True)
def _keep(
    products: Float32, half: Float32, rows: npt.NDArray[np.int64], inside: Int32, best: Float32, index: Int32
) -> None:
    """Put members of a list among the best so far of each query, a heap with the worst of them at the top."""
    count = best.shape[1]
    for i in range(len(rows)):
        heap, names = best[rows[i]], index[rows[i]]
        for j in range(len(inside)):
            far = half[j] - products[i, j]
            if far >= heap[0]:
                continue
            place = 0
            while True:
                child = 2 * place + 1
                if child >= count:
                    break
                if child + 1 < count and heap[child + 1] > heap[child]:
                    child += 1
                if heap[child] <= far:
                    break
                heap[place], names[place] = heap[child], names[child]
                place = child
            heap[place], names[place] = far, inside[j]


@njit(cache=True, nogil=True)
def _nearest(x: Floats, queries: Floats, own: Int32, candidates: Int32, k: int) -> tuple[Int32, Float64, Float64]:
    """The k nearest of each query's candidates (but `own` and -1), by distance, then index; squares; the furthest's."""
    index = np.full((len(queries), k), -1, np.int32)
    squares = np.full((len(queries), k), np.inf)
    furthest = np.zeros(len(queries))
    for i in range(len(queries)):
        for name in candidates[i]:
            if name < 0 or name == own[i]:
                continue
            square = _square(queries[i], x[name])
            furthest[i] = max(furthest[i], square)
            place = k
            while place > 0 and (
                squares[i, place - 1] > square or (squares[i, place - 1] == square and index[i, place - 1] > name)
            ):
                place -= 1
            if place < k:
                for m in range(k - 1, place, -1):
                    squares[i, m], index[i, m] = squares[i, m - 1], index[i, m - 1]
                squares[i, place], index[i, place] = square, name
    return index, squares, furthest


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _square(a: Floats, b: Floats) -> float:
    total = 0.0
    for j in range(len(a)):
        difference = np.float64(a[j]) - np.float64(b[j])
        total += difference * difference
    return total


@njit(cache=True, nogil=True)
def _scale(indptr: Int32, indices: Int32, weights: Float32, scale: Float64, both: bool, out: Float32) -> None:
    """out = weights, row i times scale[i], and if `both` column j times scale[j]."""
    for i in range(len(indptr) - 1):
        for entry in range(indptr[i], indptr[i + 1]):
            factor = scale[i] * scale[indices[entry]] if both else scale[i]
            out[entry] = weights[entry] * factor


@njit(cache=True, nogil=True)
def _symmetric(indptr: Int32, indices: Int32, weights: Float32) -> bool:
    """Whether every entry has its mirror image. Rows come in order, so each row's entries are called for in order."""
    place = indptr[:-1].copy()
    for i in range(len(place)):
        for entry in range(indptr[i], indptr[i + 1]):
            j = indices[entry]
            mirror = place[j]
            if mirror == indptr[j + 1] or indices[mirror] != i:
                return False
            if abs(weights[mirror] - weights[entry]) > 1e-5 * weights[entry]:
                return False
            place[j] += 1
    return True


@njit(cache=True, nogil=True)
def _link_counts(indptr: Int32, indices: Int32) -> npt.NDArray[np.int64]:
    place = indptr[:-1].copy()
    counts = np.zeros(len(place), np.int64)
    for i in range(len(place)):
        for entry in range(indptr[i], indptr[i + 1]):
            j = indices[entry]
            while place[j] < indptr[j + 1] and indices[place[j]] < i:
                place[j] += 1
            counts[i] += 1
            if i == j or place[j] == indptr[j + 1] or indices[place[j]] != i:
                counts[j] += 1
    return counts
