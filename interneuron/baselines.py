"""What MARGIN is compared with: MMD-critic, label-error scores, influence functions, centralities, random choice.

Label-error scores are numbers a sample, high where its label is likely wrong.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import logsumexp

from interneuron import checks, graphs
from interneuron.checks import numbers
from interneuron.errors import InputError
from interneuron.influence import high_pass
from interneuron.kernels import Kernel

# Numbers in a block of gradients.
_BLOCK = 2**22

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


# prototypes and criticisms


@dataclass(frozen=True)
class Critic:
    """Prototypes and criticisms, in the order in which they were chosen, int64, and the witness function w [n]."""

    prototypes: Int64
    criticisms: Int64
    witness: Float64


def mmd_critic(
    x: npt.ArrayLike, prototypes: int, criticisms: int, gamma: float, labels: npt.ArrayLike | None = None
) -> Critic:
    """Prototypes and criticisms by MMD-critic (Kim, Khanna and Koyejo, NIPS 2016), greedily, of x [n, d].

    Prototypes S maximise J(S) = 2/(n |S|) sum_{i in [n], j in S} k(x_i, x_j) - 1/|S|^2 sum_{i, j in S} k(x_i, x_j),
    which is a constant less the squared discrepancy of S and x. With the witness w(x) = 1/n sum_i k(x, x_i) - 1/|S|
    sum_{j in S} k(x, x_j), criticisms C among the others maximise sum_{l in C} |w(x_l)| + log det K_CC: each adds its
    |w| and the logarithm of its kernel's variance given those before it. k is the Gaussian kernel of gamma; with labels
    [n], 0 between unlike ones (the local variant). Ties go to the first sample.

    Time: half of the products of all pairs, then one kernel row a choice; memory: x, and 4 n bytes a criticism.
    Raises InputError as `interneuron.kernels.Kernel` does, and for numbers of prototypes and criticisms that are not 1
    or more, 0 or more, and together at most n.
    """
    kernel = Kernel(x, gamma, labels)
    n = len(kernel)
    if prototypes < 1 or criticisms < 0 or prototypes + criticisms > n:
        raise InputError(
            f"{prototypes} prototypes and {criticisms} criticisms asked of {n} samples; it takes 1 or more of the one, "
            "0 or more of the other, and no more than there are"
        )
    mean = kernel.sums() / n
    free = np.ones(n, bool)
    near = np.zeros(n)
    chosen = []
    for step in range(prototypes):
        gain = 2 * mean - (2 * near + 1) / (step + 1)
        chosen.append(int(np.argmax(np.where(free, gain, -np.inf))))
        free[chosen[-1]] = False
        near += kernel.block(chosen[-1:])[0]
    witness = mean - near / prototypes
    return Critic(np.array(chosen, np.int64), _criticisms(kernel, np.abs(witness), free, criticisms), witness)


def criticism_objective(
    x: npt.ArrayLike,
    prototypes: npt.ArrayLike,
    criticisms: npt.ArrayLike,
    gamma: float,
    labels: npt.ArrayLike | None = None,
) -> float:
    """What MMD-critic's criticisms maximise, sum_{l in C} |w(x_l)| + log det K_CC, with given prototypes.

    Prototypes and criticisms: numbers of samples. Raises InputError as `interneuron.kernels.Kernel` does, for numbers
    of no sample, and without prototypes.
    """
    kernel = Kernel(x, gamma, labels)
    chosen = checks.index("prototypes", prototypes, len(kernel), least=1)
    others = checks.index("criticisms", criticisms, len(kernel))
    witness = kernel.block(others).mean(axis=1, dtype=np.float64) - kernel.block(others, chosen).mean(axis=1)
    sign, volume = np.linalg.slogdet(kernel.block(others, others).astype(np.float64))
    # Rounding may bring the determinant of duplicates below 0.
    return float(np.abs(witness).sum() + (volume if sign > 0 else -np.inf))


def nearest_neighbour_error(
    x: npt.ArrayLike, labels: npt.ArrayLike, test_x: npt.ArrayLike, test_labels: npt.ArrayLike
) -> float:
    """Share of test samples [m, d] whose nearest sample of x [n, d] has another label; of equally near, the first
    counts.

    Raises InputError as `interneuron.graphs.nearest` does, and for labels that are not [n] and [m], or not alike.
    """
    nearest = graphs.nearest(x, test_x)
    known, wanted = checks.same_classes("labels", labels, np.shape(x)[0], "test labels", test_labels, len(nearest))
    return float(np.mean(known[nearest] != wanted))


def nearest_neighbour_errors(
    near: npt.NDArray[np.floating],
    labels: npt.ArrayLike,
    test_labels: npt.ArrayLike,
    chosen: npt.ArrayLike,
    counts: Sequence[int],
) -> Float64:
    """`nearest_neighbour_error` with the first `counts` of some samples for training, one error a count: float64.

    near [m, n]: distances of m test samples from n samples, or anything in their order; labels [n], test_labels [m];
    chosen: samples in the order of their choice. Raises InputError for counts that are not rising, or above the choice,
    for shapes that don't fit, NaN, and labels that are not alike.
    """
    if type(near) is not np.ndarray or near.ndim != 2:
        near = numbers("distances", near, "test samples", "samples")
    known, wanted = checks.same_classes("labels", labels, near.shape[1], "test labels", test_labels, len(near))
    picked = checks.index("chosen samples", chosen, near.shape[1])
    if list(counts) != sorted(set(counts)) or not counts or not 1 <= counts[0] <= counts[-1] <= len(picked):
        raise InputError(f"counts are {list(counts)} of {len(picked)} samples; they rise, from 1 to what there is")
    known = known[picked]
    # Of those alone that are looked at: choices are many, and distances the same.
    own = numbers("distances", near[:, picked])
    best, place = np.full(len(own), np.inf), np.zeros(len(own), np.int64)
    errors = []
    for start, stop in zip([0, *counts[:-1]], counts, strict=True):
        at = start + own[:, start:stop].argmin(axis=1)
        found = own[np.arange(len(own)), at]
        place = np.where(found < best, at, place)
        best = np.minimum(found, best)
        errors.append(np.mean(known[place] != wanted))
    return np.array(errors)


def squared_distances(a: npt.ArrayLike, b: npt.ArrayLike) -> Float64:
    """Squared distances |a - b|^2 of every a [m, d] and b [n, d]: float64 [m, n].

    By products of samples less their mean, right to about 1e-15 of the largest distance. Raises InputError for arrays
    that are no finite [m, d] and [n, d] of one d, and for samples whose squares are beyond the numbers of float64.
    """
    x = numbers("samples", a, "samples", "features")
    y = numbers("other samples", b, "samples", x.shape[1], least=1)
    mean = y.mean(axis=0, dtype=np.float64)
    x, y = np.subtract(x, mean, dtype=np.float64), np.subtract(y, mean, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        far = np.einsum("ij,ij->i", x, x)[:, None], np.einsum("ij,ij->i", y, y)
        if not all(np.isfinite(4 * of.max(initial=0)) for of in far):
            raise InputError("samples lie so far apart that squares are beyond 1e308: divide them by a number")
    near: Float64 = x @ y.T
    near *= -2
    for of in far:
        near += of
    return np.maximum(near, 0, out=near)


# wrong labels


def knn_loss(w: sparse.csr_array, labels: npt.ArrayLike) -> Float64:
    """Cross-entropy of each label under its neighbours' votes: -log((v_y + 1) / (sum_c v_c + C)), float64 [n].

    v_c = sum of the weights w_ij of the neighbours j of class c, i left out; C classes. Raises as
    `interneuron.signals.distrust` does.
    """
    graph = graphs.checked(w)
    y = checks.classes("labels", labels, graph.shape[0])
    source = np.repeat(np.arange(len(y)), np.diff(graph.indptr))
    weights = np.where(source == graph.indices, 0, graph.data)
    like = np.bincount(source, weights * (y[source] == y[graph.indices]), minlength=len(y))
    return -np.log((like + 1) / (np.bincount(source, weights, minlength=len(y)) + len(np.unique(y))))


@dataclass(frozen=True)
class Logistic:
    """Logistic regression: classes [C], sorted, and weights [1, d] of the second of two classes or [C, d]."""

    classes: npt.NDArray
    weights: Float64

    def probabilities(self, x: npt.ArrayLike) -> Float64:
        """Probabilities [n, C] of x [n, d]. Raises InputError for x of another d, that is not finite, or that large
        that logits are not."""
        values = numbers("features", x, "samples", self.weights.shape[1]).astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            logits = _logits(values, self.weights)
        if not np.isfinite(logits).all():
            raise InputError("features times weights are beyond 1e308: divide the features by a number")
        return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))


def logistic_regression(x: npt.ArrayLike, labels: npt.ArrayLike, decay: float = 1e-4) -> Logistic:
    """Logistic regression without intercept, to rounding: the least mean cross-entropy + decay/2 |weights|^2.

    x [n, d] (a column of ones makes an intercept), labels [n]; the logistic model for two classes, softmax for more. By
    Newton's method; time n (C d)^2 a step. Raises InputError for x that is no finite [n, d], as
    `interneuron.checks.classes` does, for a decay that is not above 0, or too small for features of that size.
    """
    values = _design(x)
    y = checks.classes("labels", labels, len(values))
    if not 0 < decay < np.inf:
        raise InputError(f"decay is {decay:g}; logistic regression takes a number above 0")
    classes, index = np.unique(y, return_inverse=True)
    weights = np.zeros((len(classes) if len(classes) > 2 else 1, values.shape[1]))
    objective = _objective(values, index, weights, decay)
    for _ in range(100):
        residual, p = _residual(values, index, weights)
        slope = (residual.T @ values / len(values) + decay * weights).ravel()
        step = cho_solve(_factor(cho_factor, values, p, decay), slope)
        if slope @ step < 1e-12:
            # Newton's method squares the error: nothing is left of it but rounding.
            weights = weights - step.reshape(weights.shape)
            break
        size = 1.0
        while size > 1e-10:
            trial = weights - size * step.reshape(weights.shape)
            value = _objective(values, index, trial, decay)
            if value <= objective - 1e-4 * size * (slope @ step):
                break
            size /= 2
        else:
            break
        weights, objective = trial, value
    return Logistic(classes, weights)


def self_influence(x: npt.ArrayLike, labels: npt.ArrayLike, decay: float = 1e-4) -> Float64:
    """By how much a sample's own loss would grow if logistic regression were trained without it, to first order: [n].

        (1/n) g_i^T H^-1 g_i,  g_i the gradient of sample i's loss, H the Hessian of the whole objective,

    solved exactly, at the weights of `logistic_regression` with this decay. The samples that matter most to their own
    prediction are inspected first. Source: Koh and Liang, ICML 2017, equation 1 and section 5.4. Raises InputError as
    `logistic_regression` does.
    """
    model = logistic_regression(x, labels, decay)
    values = _design(x)
    residual, p = _residual(values, np.searchsorted(model.classes, np.asarray(labels)), model.weights)
    lower = _factor(np.linalg.cholesky, values, p, decay)
    scores = np.empty(len(values))
    step = max(1, _BLOCK // model.weights.size)
    for start in range(0, len(values), step):
        part = slice(start, start + step)
        gradients = (residual[part, :, None] * values[part, None, :]).reshape(-1, model.weights.size)
        scores[part] = (solve_triangular(lower, gradients.T, lower=True) ** 2).sum(axis=0) / len(values)
    return scores


def cross_validated_probabilities(
    x: npt.ArrayLike, labels: npt.ArrayLike, stream: np.random.Generator, folds: int = 5, decay: float = 1e-4
) -> Float64:
    """Probabilities [n, classes] of each sample by logistic regression on the folds that it is not in.

    Folds are stratified: each class's samples, in random order, are dealt to them in turn. Raises InputError as
    `logistic_regression` does, and for fewer than two folds, or a class with fewer than two samples.
    """
    values = _design(x)
    y = checks.classes("labels", labels, len(values))
    classes, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    if folds < 2 or counts.min() < 2:
        raise InputError(
            f"{folds} folds of classes with {counts.min()} samples and more; cross-validation takes at least 2 of both"
        )
    fold = np.empty(len(values), np.int64)
    for label in range(len(classes)):
        members = stream.permutation(np.flatnonzero(index == label))
        fold[members] = np.arange(len(members)) % folds
    probabilities = np.empty((len(values), len(classes)))
    for number in np.unique(fold):
        held = fold == number
        probabilities[held] = logistic_regression(values[~held], index[~held], decay).probabilities(values[held])
    return probabilities


def label_loss(probabilities: npt.ArrayLike, labels: npt.ArrayLike, classes: npt.ArrayLike | None = None) -> Float64:
    """Cross-entropy -log p_y of each label y under probabilities p [n, classes]: float64 [n].

    labels [n]: numbers of columns, from 0, not all of which need occur; or those that `classes` [classes] gives the
    columns; or text that names as many classes as there are columns, which are sorted.

    Raises InputError for what are no probabilities (logits, for example), and labels of no column.
    """
    p, index = _predicted(probabilities, labels, classes)
    return -np.log(np.maximum(p[np.arange(len(p)), index], np.finfo(np.float64).tiny))


def confident_learning(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, classes: npt.ArrayLike | None = None
) -> Float64:
    """cleanlab's label-error score: 1 - p_y, and 1 more for the samples that confident learning takes for errors: [n].

    So ranked: cleanlab's issues first, by their label's probability (`find_label_issues`, ranked by self-confidence),
    then the others. Probabilities p out of sample, labels and classes as in `label_loss`. Source: Northcutt, Jiang and
    Chuang, JAIR 70, 2021. Raises InputError as `label_loss` does, and for labels of one class.
    """
    from cleanlab.filter import find_label_issues

    p, index = _predicted(probabilities, labels, classes, 2)
    with warnings.catch_warnings():
        # Of classes with few labels or none.
        warnings.filterwarnings("ignore", message="May not flag all label issues", category=UserWarning)
        issues = find_label_issues(index, p, n_jobs=1)
    return issues + 1 - p[np.arange(len(p)), index]


# centralities and random choice


def pagerank(w: sparse.csr_array, damping: float = 0.85) -> Float64:
    """PageRank r [n] of the weighted graph w [n, n], along its links: r = (1 - damping) / n + damping A^T r, sum 1.

    A: the rows of w divided by their sums; a node without links to others leads everywhere alike. Iterated to 1e-12
    (Page, Brin, Motwani and Winograd 1999). Raises InputError as `interneuron.graphs.checked` does, and for a damping
    outside of 0 to 1.
    """
    graph = graphs.checked(w)
    if not 0 <= damping < 1:
        raise InputError(f"damping is {damping:g}; PageRank takes 0 or more and less than 1")
    # SciPy adds float32 up in float32, whatever the sum's type: ranks would never come to rest.
    graph = graph.astype(np.float64, copy=False)
    n, degree = graph.shape[0], graphs.degrees(graph)
    back = graph.T.tocsr()
    ends = degree == 0
    rank = np.full(n, 1 / n)
    # Each round leaves at most `damping` of the error.
    while True:
        share = rank / np.where(ends, 1, degree)
        new = (1 - damping) / n + damping * (back @ share + rank[ends].sum() / n)
        change, rank = np.abs(new - rank).sum(), new / new.sum()
        if change <= 1e-12:
            return rank


def resampling_probabilities(w: sparse.csr_array, x: npt.ArrayLike) -> Float64:
    """Probabilities [n] that are proportional to |((I - D^-1 W) X)_i|, the high frequencies of attributes X [n, d].

    The random sampling that MARGIN's active learning is compared with. Source: Chen et al., "Contour-enhanced
    resampling of 3D point clouds via graphs", ICASSP 2017. Raises InputError as `interneuron.influence.influence` does,
    and where nothing has high frequencies.
    """
    high = high_pass(graphs.normalise(w, "random-walk"), x).astype(np.float64)
    if not high.sum() > 0:
        raise InputError("every node's attributes are its neighbours' mean; resampling takes some that are not")
    return high / high.sum()


def weighted_order(weights: npt.ArrayLike, stream: np.random.Generator) -> Int64:
    """All samples in the order of a random draw without replacement, with chances that are proportional to weights [n].

    Each next sample is drawn from those that are left, so the first k are a draw of k. Those of weight 0 come last, in
    any order. Source: Efraimidis and Spirakis, Information Processing Letters 97, 2006. Raises InputError for weights
    that are negative or not finite.
    """
    w = numbers("weights", weights, "samples", least=1).astype(np.float64, copy=False)
    if w.min() < 0:
        raise InputError(f"weights go down to {w.min():g}, and take 0 or more")
    with np.errstate(divide="ignore"):
        return np.argsort(stream.exponential(size=len(w)) / w, kind="stable")


def random_by_class(labels: npt.ArrayLike, count: int, stream: np.random.Generator) -> Int64:
    """`count` samples at random, of every class as many (where that does not divide, of some classes one more): int64.

    Raises InputError for a count that is not between the number of classes and what the smallest classes allow.
    """
    y = checks.classes("labels", labels, None, 1)
    classes, index, sizes = np.unique(y, return_inverse=True, return_counts=True)
    each = np.full(len(classes), count // len(classes))
    each[stream.permutation(len(classes))[: count % len(classes)]] += 1
    if count < len(classes) or (each > sizes).any():
        raise InputError(
            f"{count} samples asked of {len(classes)} classes, the smallest with {sizes.min()}; a choice by class "
            "takes one of each or more, and no more than there are"
        )
    chosen = [stream.permutation(np.flatnonzero(index == label))[: each[label]] for label in range(len(classes))]
    return np.sort(np.concatenate(chosen))


def _criticisms(kernel: Kernel, gain: Float64, free: npt.NDArray[np.bool_], count: int) -> Int64:
    """Greedy maximisers of the sum of `gain` and log det K over free samples: a pivoted Cholesky factorisation."""
    n = len(kernel)
    factor = np.empty((count, n), np.float32)
    variance = np.ones(n)
    free = free.copy()
    chosen: list[int] = []
    for step in range(count):
        # Rounding of float32 hides a smaller variance.
        score = gain + np.log(np.maximum(variance, 1e-6))
        j = int(np.argmax(np.where(free, score, -np.inf)))
        column = kernel.block([j])[0] - factor[:step, j] @ factor[:step]
        factor[step] = column / np.sqrt(max(variance[j], 1e-6))
        variance -= np.square(factor[step], dtype=np.float64)
        free[j] = False
        chosen.append(j)
    return np.array(chosen, np.int64)


def _design(x: npt.ArrayLike) -> Float64:
    return numbers("features", x, "samples", "features", least=1).astype(np.float64, copy=False)


def _logits(x: Float64, weights: Float64) -> Float64:
    """Logits [n, C]; of two classes the first has 0."""
    scores = x @ weights.T
    return scores if scores.shape[1] > 1 else np.hstack([np.zeros_like(scores), scores])


def _objective(x: Float64, index: Int64, weights: Float64, decay: float) -> float:
    logits = _logits(x, weights)
    loss = logsumexp(logits, axis=1) - logits[np.arange(len(x)), index]
    return float(loss.mean() + 0.5 * decay * (weights**2).sum())


def _residual(x: Float64, index: Int64, weights: Float64) -> tuple[Float64, Float64]:
    """Derivatives of each sample's loss by the scores that have weights, and probabilities of these, both [n, K]."""
    logits = _logits(x, weights)
    p = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    residual = p.copy()
    residual[np.arange(len(x)), index] -= 1
    return residual[:, -len(weights) :], p[:, -len(weights) :]


def _hessian(x: Float64, p: Float64, decay: float) -> Float64:
    """Hessian [K d, K d] of the objective: blocks X^T diag(p_a ([a = b] - p_b)) X / n, plus decay on the diagonal."""
    d, count = x.shape[1], p.shape[1]
    hessian = np.empty((count * d, count * d))
    for a in range(count):
        for b in range(a, count):
            curvature = p[:, a] * ((a == b) - p[:, b]) / len(x)
            block = x.T @ (curvature[:, None] * x)
            hessian[a * d : (a + 1) * d, b * d : (b + 1) * d] = block
            hessian[b * d : (b + 1) * d, a * d : (a + 1) * d] = block
    hessian[np.diag_indices_from(hessian)] += decay
    return hessian


def _predicted(
    given: npt.ArrayLike, labels: npt.ArrayLike, classes: npt.ArrayLike | None, least: int = 1
) -> tuple[Float64, Int64]:
    """Probabilities, and the column of each label."""
    p = checks.probabilities("probabilities", given, "samples", "classes", least=1).astype(np.float64, copy=False)
    n, count = p.shape
    y = checks.classes("labels", labels, n, least)
    if classes is not None:
        y, names = checks.same_classes("labels", y, n, "classes", classes, count)
    elif y.dtype.kind == "U":
        names = np.unique(y)
        if len(names) != count:
            raise InputError(f"labels name {len(names)} classes, and probabilities have {count}: give `classes`")
    else:
        names = np.arange(count)
    if len(np.unique(names)) < count:
        raise InputError(f"classes name {len(np.unique(names))} columns of {count}, and take a name each")
    order = np.argsort(names, kind="stable")
    place = np.minimum(np.searchsorted(names, y, sorter=order), count - 1)
    index = order[place]
    unknown = names[index] != y
    if unknown.any():
        raise InputError(f"labels hold {y[unknown][0]}, and take the columns' classes, {names[0]} to {names[-1]}")
    return p, index


def _factor(how: Callable[[Float64], Any], x: Float64, p: Float64, decay: float) -> Any:
    """A Cholesky factorisation of the Hessian."""
    with np.errstate(over="ignore", invalid="ignore"):
        hessian = _hessian(x, p, decay)
    try:
        if np.isfinite(hessian).all():
            return how(hessian)
    except np.linalg.LinAlgError:
        pass
    raise InputError(
        f"features of up to {np.abs(x).max():.3g} leave nothing of a decay of {decay:g} but rounding: divide the "
        "features by a number, or take a larger decay"
    )
