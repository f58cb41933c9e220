"""Explanation functions: hypotheses about samples as numbers on the nodes of a graph.

Source: Anirudh et al., "MARGIN" (Frontiers in Big Data 4, 2021), case studies I to V; formulas that are lost from the
published text follow its words.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial.distance import cdist

from interneuron import checks, graphs
from interneuron.checks import numbers
from interneuron.errors import InputError
from interneuron.kernels import Kernel, placed

# Distances held at once.
_BLOCK = 2**22

Float64 = npt.NDArray[np.float64]


def mmd(
    x: npt.ArrayLike, w: sparse.csr_array, gamma: float, labels: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Maximum mean discrepancy between all samples and those without a node and its neighbours: f [n].

    With the Gaussian kernel k of gamma, S_i = {i} and the neighbours of i in w, s = |S_i|, and r_j = sum_l k(x_j, x_l),

        f(i)^2 = T / n^2 - 2 (T - a) / (n (n - s)) + (T - 2 a + b) / (n - s)^2,
        T = sum_j r_j,  a = sum_{j in S_i} r_j,  b = sum_{j, l in S_i} k(x_j, x_l),

    computed as its equal (s / (n - s))^2 (b / s^2 - 2 a / (n s) + T / n^2): the distance of the mean of S_i from that
    of all in the kernel's space. x [n, d], w [n, n]: of its rows, a stored entry is a neighbour.
    Without labels f is the global one; with labels [n] the local one: k is 0 between unlike labels (Kim, Khanna and
    Koyejo, NIPS 2016). Time: n^2 d / 2 for r, the squares of the neighbourhoods for b; memory: a copy of x.

    Raises InputError as `interneuron.kernels.Kernel` and `interneuron.graphs.checked` do, for a graph of another size,
    and for a node whose neighbourhood is everything, so that nothing is left.
    """
    graph = graphs.checked(w)
    kernel = Kernel(x, gamma, labels)
    n = len(kernel)
    if graph.shape[0] != n:
        raise InputError(f"the graph has {graph.shape[0]:,} nodes for {n:,} samples; the discrepancy takes as many")
    sums = kernel.sums()
    total = sums.sum()
    f = np.empty(n)
    for i in range(n):
        around = np.union1d(graph.indices[graph.indptr[i] : graph.indptr[i + 1]], i)
        s = len(around)
        if s == n:
            raise InputError(f"node {i} and its neighbours are all {n} samples; the discrepancy takes some beside them")
        a = sums[around].sum()
        b = kernel.block(around, around).sum(dtype=np.float64)
        f[i] = (s / (n - s)) ** 2 * (b / s**2 - 2 * a / (n * s) + total / n**2)
    return np.sqrt(np.maximum(f, 0))


def distrust(w: sparse.csr_array, labels: npt.ArrayLike) -> Float64:
    """Share of a node's neighbours with another label: f(i) = 1 - (1/|N_i|) sum_{j in N_i} [y_i = y_j], float64 [n].

    N_i: the stored entries of row i of w [n, n], without i; an isolated node has 0. Source: the paper's case III (and
    case IV, with predicted labels). Raises InputError as `interneuron.graphs.checked` does, and for labels of another
    length or of one class only.
    """
    graph = graphs.checked(w)
    y = checks.classes("labels", labels, graph.shape[0])
    source = np.repeat(np.arange(len(y)), np.diff(graph.indptr))
    other = source != graph.indices
    unlike = np.bincount(source[y[source] != y[graph.indices]], minlength=len(y))
    return unlike / np.maximum(np.bincount(source[other], minlength=len(y)), 1)


def kernel_density(
    x: npt.ArrayLike,
    predicted: npt.ArrayLike,
    train_x: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    bandwidth: float,
    log: bool = False,
) -> Float64:
    """Density of each sample among the training samples of the class predicted for it: f [n], or its logarithm.

        f(i) = (1 / |X_t|) sum_{s in X_t} exp(-|phi(x_i) - phi(s)|^2 / bandwidth^2),  t the class predicted for x_i.

    x [n, d] and train_x [m, d] are the features phi (a network's last hidden layer), predicted [n], train_labels [m].
    The logarithm is taken before anything underflows; digits are kept as by `interneuron.kernels.placed`. Source:
    Feinman et al., arXiv:1703.00410, as in the paper's case V; bandwidth^2 = 20 in Carlini and Wagner (AISec 2017).

    Raises InputError for shapes that don't fit, values that are not finite, a bandwidth that is not above 0, and a
    predicted class without training samples.
    """
    a = numbers("features", x, "samples", "features")
    b = numbers("features of training samples", train_x, "samples", a.shape[1], least=1)
    classes, known = checks.same_classes(
        "predicted classes", predicted, len(a), "labels of training samples", train_labels, len(b)
    )
    if not 0 < bandwidth < np.inf:
        raise InputError(f"the bandwidth is {bandwidth:g}; the density takes a number above 0")
    missing = np.setdiff1d(classes, known)
    if missing.size:
        raise InputError(f"class {missing[0]} is predicted, but no training sample has it; the density takes some")
    (b, a), (half_b, half_a), rest = placed([b, a], np.divide, bandwidth)
    f = np.empty(len(a))
    for label in np.unique(classes):
        rows, members = np.flatnonzero(classes == label), known == label
        base, half = b[members], half_b[members]
        step = max(1, _BLOCK // len(base))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            # |phi - s|^2 = |phi|^2 - 2 (phi s - |s|^2 / 2); the nearest is taken out of the sum.
            near = a[part] @ base.T - half if rest is None else -0.5 * rest * cdist(a[part], base, "sqeuclidean")
            # Beyond 1e308 a square is infinite, and the density 0.
            most = np.maximum(near.max(axis=1, keepdims=True), np.finfo(near.dtype).min)
            with np.errstate(divide="ignore", over="ignore"):
                square = (2 * half_a[part] if rest is None else 0) - 2 * most[:, 0]
                f[part] = np.log(np.exp(2 * (near - most)).mean(axis=1, dtype=np.float64)) - np.maximum(square, 0)
    if log and not np.isfinite(f).all():
        raise InputError(
            f"sample {int(np.argmin(f))} is so far from the training samples that the logarithm of its density is "
            "beyond 1e308: take the density"
        )
    return f if log else np.exp(f)


def size_ratio(sizes: npt.ArrayLike) -> Float64:
    """Sparsity of superpixels: f(m) = |m| / max_m' |m'|, of their sizes in pixels [superpixels]. Source: case II.

    Raises InputError for no sizes, and for any that is not above 0.
    """
    values = numbers("sizes", sizes, "superpixels", least=1).astype(np.float64, copy=False)
    if not values.min() > 0:
        raise InputError(f"sizes go down to {values.min():g}, and take numbers above 0")
    return values / values.max()


def prediction_margin(scores: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """By how much the best class is ahead of the second: f(i) = p_(1)(i) - p_(2)(i), of scores [n, classes].

    Small near a decision boundary. Raises InputError for fewer than two classes, NaN and infinity.
    """
    values = numbers("scores", scores, "samples", "classes")
    if values.shape[1] < 2:
        raise InputError(f"scores have the shape {list(values.shape)}, and take 2 classes or more")
    best = np.partition(values, -2, axis=1)
    return best[:, -1] - best[:, -2]
