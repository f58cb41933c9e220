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
_RECALL = 0.995
# Numbers in a block of products.
_BLOCK = 2**22

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
    """The k nearest other samples of every sample of x [n, d], taken in float32. No sample is its own neighbour.

    metric: `euclidean`, or `cosine` (1 - cosine of the angle). Duplicates are neighbours at distance 0. The first k of
    a search for more are the search for k, so one search serves a sweep over k.

    search: `exact` compares all pairs (scikit-learn) and breaks ties by the order of the samples; `lists` compares each
    sample with those of the clusters whose centres are nearest to it (the inverted lists of Jégou, Douze and Schmid,
    IEEE TPAMI 33, 2011), as many clusters as find 0.995 of the true neighbours of 500 samples, and measures the recall
    on 500 others; `auto` is exact up to 20,000 samples. `seed` draws the lists and the samples. Distances of what is
    found are differences, not products, so that they are symmetric bit for bit, and 0 between duplicates.

    Raises InputError for k outside of 1 to n - 1, values that are not finite, and zero vectors under `cosine`.
    """
    values = _features(x, metric)
    n = len(values)
    if not 1 <= k < n:
        raise InputError(f"k is {k} for {n} samples; nearest neighbours take 1 to {n - 1}")
    if search not in ("auto", "exact", "lists"):
        raise InputError(f"search is {search!r}; nearest neighbours take 'auto', 'exact' or 'lists'")
    if search == "exact" or (search == "auto" and n <= _EXACT):
        index, squares = _exact(values, np.arange(n, dtype=np.int32), k)
        recall = 1.0
    else:
        index, squares, recall = _by_lists(values, k, seed)
    # On unit vectors |a - b|^2 = 2 (1 - cosine).
    distance: Float32 = np.sqrt(squares) if metric == "euclidean" else np.float32(0.5) * squares
    return Neighbours(index, distance, recall)


def principal_components(x: npt.ArrayLike, count: int) -> Float32:
    """Coordinates of samples x [n, d] along the `count` directions of largest variance, largest first: float32.

    Centred; signs are arbitrary but fixed. Raises InputError for x that is not finite, and a count outside of 1 to d.
    """
    values = _features(x, "euclidean")
    if not 1 <= count <= values.shape[1]:
        raise InputError(f"{count} components asked of {values.shape[1]} features; it takes 1 to as many as there are")
    centred = values - values.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return (centred @ directions[:, : -count - 1 : -1]).astype(np.float32)


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
    pairs = np.asarray(links)
    if pairs.size == 0:
        pairs = pairs.reshape(-1, 2).astype(np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise InputError(f"links are {pairs.dtype} {list(pairs.shape)}; a graph takes whole numbers [links, 2]")
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < n):
        wrong = pairs.min() if pairs.min() < 0 else pairs.max()
        raise InputError(f"a link names node {wrong}; a graph on {n} nodes takes 0 to {n - 1}")
    values = np.ones(len(pairs), np.float32) if weights is None else np.asarray(weights, np.float32)
    if values.shape != (len(pairs),) or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"weights {list(values.shape)} of {len(pairs)} links; each takes one finite number above 0")
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
    graph = w if isinstance(w, sparse.csr_array) else sparse.csr_array(w)
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1] or not graph.shape[0]:
        raise InputError(f"weights have the shape {list(graph.shape)}; a graph takes a square matrix")
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
    """Weighted degrees d [n]: d_i = sum_j W_ij, a self-loop counted once."""
    graph = checked(w)
    return np.asarray(graph.sum(axis=1, dtype=np.float64))


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
    is 0 there). Indices are shared with w where none is isolated. Raises InputError as `checked` does.
    """
    _one_of("kind", kind, NORMALISATIONS)
    graph = checked(w, symmetric=kind == "symmetric")
    degree = degrees(graph)
    alone = degree == 0
    scale = 1 / np.where(alone, 1, degree)
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


def _features(x: npt.ArrayLike, metric: str) -> Float32:
    _one_of("metric", metric, METRICS)
    values = np.ascontiguousarray(x, np.float32)
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"samples have the shape {list(values.shape)}; nearest neighbours take [n, d]")
    # A sum is finite only if every term is, and needs no matrix of its own.
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise InputError("samples contain NaN or infinite values; nearest neighbours take finite ones")
    if metric == "euclidean":
        return values
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    if not length.all():
        raise InputError(f"sample {int(np.argmin(length))} is 0 throughout; the cosine takes vectors with a direction")
    return values / length[:, None].astype(np.float32)


def _exact(x: Float32, rows: Int32, k: int) -> tuple[Int32, Float32]:
    """Neighbours [rows, k] of some rows of x among all of it, and squared distances."""
    from sklearn.neighbors import NearestNeighbors

    n = len(x)
    index, squares = np.empty((len(rows), k), np.int32), np.empty((len(rows), k))
    engine = NearestNeighbors(algorithm="brute").fit(x)
    # scikit-learn's products are made in float64.
    error = 1e-12 * float(np.einsum("ij,ij->i", x, x, dtype=np.float64).max())
    left, count = np.arange(len(rows)), min(k + 1 + _SPARE, n)
    while len(left):
        done = np.ones(len(left), bool)
        step = max(1, _BLOCK // count)
        for start in range(0, len(left), step):
            part = left[start : start + step]
            candidates = engine.kneighbors(x[rows[part]], count, return_distance=False).astype(np.int32)
            index[part], squares[part], furthest = _nearest(x, rows[part], candidates, k)
            # What is no candidate is as far as the furthest of them, but for rounding: only where the k-th is clearly
            # nearer can no other sample tie with it.
            if count < n:
                done[start : start + step] = squares[part, -1] < furthest * (1 - 1e-6) - error
        left, count = left[~done], min(4 * count, n)
    return index, squares.astype(np.float32)


def _by_lists(x: Float32, k: int, seed: int) -> tuple[Int32, Float32, float]:
    """Neighbours [n, k] by inverted lists, squared distances, and the recall."""
    n = len(x)
    stream = generator(seed, "nearest neighbours")
    # Products of centred samples lose fewer digits.
    centred = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    centres = _centres(centred, round(np.sqrt(n)), stream)
    home = _lists(centred, centres, 1)[:, 0]
    sample = np.sort(stream.choice(n, min(2 * _SAMPLE, n), replace=False)).astype(np.int32)
    true = _exact(x, sample, k)[0]
    chosen, judged = slice(0, None, 2), slice(1, None, 2)
    # How many lists a query goes through until it has come to that of each of its true neighbours.
    place = np.argsort(np.argsort(_far(centred[sample[chosen]], centres), axis=1, kind="stable"), axis=1)
    needed = np.sort(np.take_along_axis(place, home[true[chosen]].astype(np.int64), axis=1).ravel())
    lists = _lists(centred, centres, 1 + int(needed[int(np.ceil(_RECALL * len(needed))) - 1]))
    candidates = _candidates(centred, home, lists, min(k + 1 + _SPARE, n))
    index, squares, _ = _nearest(x, np.arange(n, dtype=np.int32), candidates, k)
    short = np.flatnonzero((candidates >= 0).sum(axis=1) < k + 1).astype(np.int32)
    if len(short):
        index[short], squares[short] = _exact(x, short, k)
    found = [len(np.intersect1d(a, b)) for a, b in zip(index[sample[judged]], true[judged], strict=True)]
    return index, squares.astype(np.float32), float(np.mean(found)) / k


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
def _nearest(x: Float32, rows: Int32, candidates: Int32, k: int) -> tuple[Int32, Float64, Float64]:
    """The k nearest of each row's candidates (but itself and -1), by distance, then index; squares; the furthest's."""
    index = np.full((len(rows), k), -1, np.int32)
    squares = np.full((len(rows), k), np.inf)
    furthest = np.zeros(len(rows))
    for i in range(len(rows)):
        for name in candidates[i]:
            if name < 0 or name == rows[i]:
                continue
            square = _square(x[rows[i]], x[name])
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
def _square(a: Float32, b: Float32) -> float:
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
