"""MARGIN's influence of the nodes of a graph: how far a function on the nodes differs from what its neighbours say.

Anirudh, Thiagarajan, Sridhar and Bremer, "MARGIN: Uncovering deep neural networks using graph signal analysis"
(Frontiers in Big Data 4, 2021). The text defines influence as the magnitude of a graph high-pass filter's output; the
Python that the paper prints computes something else, a low-pass followed by a high-pass, here `as_published`.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from interneuron import checks, graphs
from interneuron.checks import numbers
from interneuron.errors import InputError

ORDERS = ("influence", "f-least", "f-most")
VARIANTS = ("symmetric", "random-walk", "as-published", "f-alone")


def influence(
    w: sparse.csr_array, f: npt.ArrayLike, variant: str = "symmetric", p: int = 1
) -> npt.NDArray[np.floating]:
    """Influence of every node of the graph w [n, n] under the explanation function f [n] or [n, columns], by variant.

    `symmetric`, `random-walk`: |f - A^p f|, see `high_pass`, with the shift A of `interneuron.graphs.normalise`.
    `as-published`: the printed listing, see `as_published`.
    `f-alone`: f itself without a graph (its rows' Euclidean norms, if it has columns), the control.

    Returns [n], divided by its largest magnitude (0 everywhere stays so). Raises InputError for another variant, as
    `interneuron.graphs.checked` does, and for f of another length, with NaN or infinite values.
    """
    if variant not in VARIANTS:
        raise InputError(f"variant is {variant!r}; influence takes {', '.join(map(repr, VARIANTS))}")
    _hops(p)
    if variant == "as-published":
        return as_published(w, f, p)
    if variant == "f-alone":
        signal, _ = _signal(f, graphs.checked(w))
        return _scaled(signal if signal.ndim == 1 else _magnitude(signal))
    return _scaled(high_pass(graphs.normalise(w, variant), f, p))


def high_pass(shift: sparse.csr_array, f: npt.ArrayLike, p: int = 1) -> npt.NDArray[np.floating]:
    """Magnitude of the graph high-pass filter I - A^p on f: |f - A^p f| [n], or for columns its rows' Euclidean norms.

    shift: A [n, n], of `interneuron.graphs.normalise`; f [n] or [n, columns]; p hops. In A's precision, or f's where it
    differs in late digits only; p products of A and f, no power of A is formed. Source: the paper, section
    "Definitions": the filter, and its magnitude as the influence (Dong, Thanou et al., IEEE Signal Processing Magazine
    37, 2020).

    Raises InputError for p below 1, and f of another length, with NaN or infinite values.
    """
    _hops(p)
    shift = shift if sparse.issparse(shift) else sparse.csr_array(numbers("shifts", shift, "nodes", "nodes"))
    signal, power = _signal(f, shift, walk=True)
    smooth = signal
    for _ in range(p):
        smooth = shift @ smooth
    # The product's array is new, and the last need of it.
    found = _magnitude(np.subtract(signal, smooth, out=smooth))
    # float32 ends at 2^128.
    return np.ldexp(found if abs(power) < 100 else found.astype(np.float64), power)


def as_published(w: sparse.csr_array, f: npt.ArrayLike, p: int = 1) -> npt.NDArray[np.floating]:
    """The listing printed in the paper, as it runs on a sparse `adj`: influence [n] of f [n] or [n, columns].

        A = D^(-1/2) W D^(-1/2),  P = A^p,  M_i = number of positive entries in row i of P,
        g = (I - M^-1 P) M^-1 P f,  influence |g| / max |g|,

    where D counts the links of each node, whatever their weights: those of the undirected graph that networkx makes of
    w, a self-loop twice. It is a mean over neighbours more than a high-pass filter: M divides once more what D divided.
    The magnitude of columns is the Euclidean norm (the listing returns the columns). P is formed: for p above 1 it
    holds all p-hop neighbourhoods. In float64.

    Raises InputError as `interneuron.graphs.checked` does, for p below 1, for f of another length, with NaN or infinite
    values, and for an isolated node, at which the listing divides by 0 and loses every score.
    """
    graph = graphs.checked(w).astype(np.float64, copy=False)
    signal, _ = _signal(f, graph)
    _hops(p)
    scale = 1 / np.sqrt(np.maximum(graphs.link_counts(graph), 1))
    data = graph.data * np.repeat(scale, np.diff(graph.indptr)) * scale[graph.indices]
    step = power = sparse.csr_array((data, graph.indices, graph.indptr), graph.shape)
    for _ in range(p - 1):
        power = power @ step
    # Every stored entry is a sum of products of positive weights.
    positive = np.diff(power.indptr)
    if not positive.all():
        raise InputError(
            f"node {int(np.argmin(positive))} has no neighbour {p} hops away, where the published listing divides by 0;"
            " it takes a graph without isolated nodes"
        )
    each = 1 / (positive if signal.ndim == 1 else positive[:, None])
    low = each * (power @ signal)
    return _scaled(_magnitude(low - each * (power @ low)))


def prototypes(
    influence: npt.ArrayLike,
    f: npt.ArrayLike,
    count: int,
    order: str = "influence",
    threshold: float = 1.0,
    classes: npt.ArrayLike | None = None,
) -> npt.NDArray[np.int64]:
    """The `count` samples of n that MARGIN takes for prototypes, first to last: int64.

    Of the share `threshold` of the samples that have least influence [n], by `order`: `influence`, least first, or by f
    [n], `f-least` or `f-most` first. With classes [n] every class gives its first, then its second, ...; else as
    ordered. Ties go to the first sample. Source: the paper's case I says "below a threshold" and "ranked by f"; neither
    threshold nor direction is given. Raises InputError for arrays of other lengths, another order, a threshold outside
    of 0 to 1, and more samples asked for than are left.
    """
    low = numbers("influences", influence, "samples").astype(np.float64, copy=False)
    f = numbers("values of f", f, len(low))
    if order not in ORDERS or not 0 < threshold <= 1:
        raise InputError(
            f"order is {order!r} and threshold {threshold:g}; prototypes take {', '.join(ORDERS)} and a share above 0"
        )
    key = {"influence": low, "f-least": f, "f-most": -f}[order]
    candidates = np.sort(np.argsort(low, kind="stable")[: round(threshold * len(low))])
    return _first(candidates[np.argsort(key[candidates], kind="stable")], count, classes, len(low))


def criticisms(influence: npt.ArrayLike, count: int, classes: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
    """The `count` samples of most influence [n], first to last: int64; with classes [n] as for `prototypes`.

    Source: the paper's case I. Raises InputError for more samples than there are.
    """
    values = numbers("influences", influence, "samples")
    return _first(np.argsort(-values, kind="stable"), count, classes, len(values))


def _first(ordered: npt.NDArray[np.int64], count: int, classes: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64]:
    """The first `count` of samples in order, or of every class of all n in turn."""
    if not 0 <= count <= len(ordered):
        raise InputError(f"{count} samples asked of {len(ordered)}; a selection takes no more than there are")
    if classes is not None:
        own = checks.classes("classes", classes, n, 1)[ordered]
        turn = np.empty(len(own), np.int64)
        for label in np.unique(own):
            turn[own == label] = np.arange((own == label).sum())
        ordered = ordered[np.argsort(turn, kind="stable")]
    return ordered[:count]


def _hops(p: int) -> None:
    if p < 1:
        raise InputError(f"p is {p}; influence takes 1 hop or more")


def _signal(f: npt.ArrayLike, graph: sparse.csr_array, walk: bool = False) -> tuple[npt.NDArray[np.floating], int]:
    """f divided by 2^power, in the graph's precision unless it differs in digits that this lacks, and the power.

    walk: take away the constant that a graph whose rows are means says nothing of.
    """
    signal = numbers("values of f", f)
    n = graph.shape[0]
    if signal.ndim not in (1, 2) or len(signal) != n or not signal.size:
        raise InputError(f"f has the shape {list(signal.shape)}; a graph of {n:,} nodes takes [{n}] or [{n}, columns]")
    kind = graph.dtype
    low, high = (np.asarray(of(axis=0), np.float64) / 2 for of in (signal.min, signal.max))
    far = np.maximum(np.abs(low), np.abs(high)) > 500 * (high - low)
    if far.any():
        if walk and np.allclose(graph.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=16 * np.finfo(kind).eps):
            signal = signal - np.where(far, low + high, 0)
        else:
            kind = np.promote_types(kind, signal.dtype)
    # So that squares are within bounds: a power of two changes no digit.
    power = int(np.frexp(np.abs(signal).max())[1])
    return np.ldexp(signal, -power).astype(kind, copy=False), power


def _magnitude(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """|f| of one column, Euclidean norm of the rows of several."""
    if signal.ndim == 1:
        return np.abs(signal, out=signal)
    return np.sqrt(np.einsum("ij,ij->i", signal, signal))


def _scaled(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    largest = np.abs(values).max()
    return values / largest if largest > 0 else values
