"""MARGIN's influence of the nodes of a graph: how far a function on the nodes differs from what its neighbours say.

Anirudh, Thiagarajan, Sridhar and Bremer, "MARGIN: Uncovering deep neural networks using graph signal analysis"
(Frontiers in Big Data 4, 2021). The text defines influence as the magnitude of a graph high-pass filter's output; the
Python that the paper prints computes something else, a low-pass followed by a high-pass, here `as_published`.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from interneuron import graphs
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
        signal = _signal(f, graphs.checked(w))
        return _scaled(signal if signal.ndim == 1 else _magnitude(signal))
    return _scaled(high_pass(graphs.normalise(w, variant), f, p))


def high_pass(shift: sparse.csr_array, f: npt.ArrayLike, p: int = 1) -> npt.NDArray[np.floating]:
    """Magnitude of the graph high-pass filter I - A^p on f: |f - A^p f| [n], or for columns its rows' Euclidean norms.

    shift: A [n, n], of `interneuron.graphs.normalise`; f [n] or [n, columns]; p hops. In A's precision; p products of A
    and f, no power of A is formed. Source: the paper, section "Definitions": the filter, and its magnitude as the
    influence (Dong, Thanou et al., IEEE Signal Processing Magazine 37, 2020).

    Raises InputError for p below 1, and f of another length, with NaN or infinite values.
    """
    signal = _signal(f, shift)
    _hops(p)
    smooth = signal
    for _ in range(p):
        smooth = shift @ smooth
    # The product's array is new, and the last need of it.
    return _magnitude(np.subtract(signal, smooth, out=smooth))


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
    signal = _signal(f, graph)
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
    low, f = np.asarray(influence, np.float64), np.asarray(f)
    if order not in ORDERS or not 0 < threshold <= 1:
        raise InputError(
            f"order is {order!r} and threshold {threshold:g}; prototypes take {', '.join(ORDERS)} and a share above 0"
        )
    if low.ndim != 1 or f.shape != low.shape:
        raise InputError(f"influence {list(low.shape)} and f {list(f.shape)} are not one number a sample each")
    key = {"influence": low, "f-least": f, "f-most": -f}[order]
    candidates = np.sort(np.argsort(low, kind="stable")[: round(threshold * len(low))])
    return _first(candidates[np.argsort(key[candidates], kind="stable")], count, classes)


def criticisms(influence: npt.ArrayLike, count: int, classes: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
    """The `count` samples of most influence [n], first to last: int64; with classes [n] as for `prototypes`.

    Source: the paper's case I. Raises InputError for more samples than there are.
    """
    return _first(np.argsort(-np.asarray(influence), kind="stable"), count, classes)


def _first(ordered: npt.NDArray[np.int64], count: int, classes: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    """The first `count` of samples in order, or of every class in turn."""
    if not 0 <= count <= len(ordered):
        raise InputError(f"{count} samples asked of {len(ordered)}; a selection takes no more than there are")
    if classes is not None:
        own = np.asarray(classes)[ordered]
        turn = np.empty(len(own), np.int64)
        for label in np.unique(own):
            turn[own == label] = np.arange((own == label).sum())
        ordered = ordered[np.argsort(turn, kind="stable")]
    return ordered[:count]


def _hops(p: int) -> None:
    if p < 1:
        raise InputError(f"p is {p}; influence takes 1 hop or more")


def _signal(f: npt.ArrayLike, graph: sparse.csr_array) -> npt.NDArray[np.floating]:
    signal = np.asarray(f, graph.dtype)
    n = graph.shape[0]
    if signal.ndim not in (1, 2) or len(signal) != n:
        raise InputError(f"f has the shape {list(signal.shape)}; a graph of {n:,} nodes takes [{n}] or [{n}, columns]")
    if not np.isfinite(signal).all():
        row = int(np.argmin(np.isfinite(signal).reshape(n, -1).all(axis=1)))
        raise InputError(f"f is NaN or infinite at node {row}; influence takes finite values")
    return signal


def _magnitude(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """|f| of one column, Euclidean norm of the rows of several."""
    if signal.ndim == 1:
        return np.abs(signal, out=signal)
    return np.sqrt(np.einsum("ij,ij->i", signal, signal))


def _scaled(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    largest = np.abs(values).max()
    return values / largest if largest > 0 else values
