"""What public functions of samples owe their input: moved, scaled, in another order, of another kind, or none."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from interneuron import (
    baselines,
    clustering,
    coactivation,
    graphs,
    influence,
    kernels,
    lattices,
    saliency,
    signals,
    similarity,
    structure,
)
from interneuron.errors import InputError
from interneuron.regions import parsimony
from interneuron.seeds import generator

N, D = 24, 4
OFFSETS = [-3.0, 1e4, -1e7, 1e8]
FACTORS = [3.0, 1e-20, 1e20]


@dataclass(frozen=True)
class Data:
    """Samples and what belongs to them: all rows go together, `others` are samples of their own."""

    x: np.ndarray
    others: np.ndarray
    f: np.ndarray
    y: np.ndarray
    s: np.ndarray
    w: np.ndarray
    unit: float = 1.0

    def moved(self, by: float) -> "Data":
        return replace(self, x=self.x + by, others=self.others + by, f=self.f + by, s=self.s + by)

    def scaled(self, by: float) -> "Data":
        scaled = {name: by * getattr(self, name) for name in ("x", "others", "f", "s", "w")}
        return replace(self, **scaled, unit=by)

    def ordered(self, order: np.ndarray) -> "Data":
        rows = {name: getattr(self, name)[order] for name in ("x", "f", "y")}
        return replace(self, **rows, s=self.s[order][:, order], w=self.w[order][:, order])


def data(seed: int) -> Data:
    rng = np.random.default_rng(seed)
    # In steps of 2^-24, so that they move without rounding.
    x, others, f = (np.rint(rng.normal(size=shape) * 2**24) / 2**24 for shape in ((N, D), (9, D), N))
    y = rng.permutation(np.arange(N) % 3)
    s = np.rint(-((x[:, None] - x) ** 2).sum(-1) * 2**24) / 2**24
    w = np.triu(rng.uniform(0.5, 2, (N, N)) * (rng.random((N, N)) < 0.3), 1)
    w[np.arange(N - 1), np.arange(1, N)] = rng.uniform(0.5, 2, N - 1)
    return Data(x, others, f, y, s, w + w.T)


def image(d: Data) -> saliency.Superpixels:
    labels = np.stack([np.arange(N).reshape(4, 6) // 2, N // 2 + np.arange(N).reshape(4, 6) // 2])
    return saliency.Superpixels(labels, np.bincount(labels.ravel()), np.repeat([0, 1], N // 2))


def together(labels: np.ndarray) -> np.ndarray:
    return labels[:, None] == labels


def softmax(x: np.ndarray) -> np.ndarray:
    p = np.exp(x - x.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def gamma(d: Data) -> float:
    return 0.3 / d.unit**2


def probabilities(d: Data) -> np.ndarray:
    return softmax(d.x[:, :3] / d.unit)


def neighbours(x: Any, k: int = 5, **more: Any) -> tuple:
    found = graphs.neighbours(x, k, **more)
    return found.index, found.distance


def critic(x: Any, d: Data, labels: Any = None) -> tuple:
    found = baselines.mmd_critic(x, 4, 3, gamma(d), labels)
    return found.prototypes, found.criticisms, found.witness


def grid(s: Any, d: Data) -> np.ndarray:
    return clustering.preference_grid(s, np.median(d.s) - 9 * d.unit, 6, 0.1 * d.unit)


def plateau(p: Any, d: Data) -> tuple:
    count = len(np.unique(d.f))
    found = clustering.plateau(p, 9 - np.arange(count) // 6, np.ones(count, bool))
    return found.chosen, found.length


def margin(f: Any, d: Data) -> tuple:
    found = saliency.margin_saliency(f, image(d), 4)
    return found.effect, found.influence, found.saliency


class Row(NamedTuple):
    """A function and what becomes of its results when its input is moved, multiplied by c, and put in another order.

    call: of the input and the rest. shift: they stay the `same` or `move`. scale: they grow by this power of c. order:
    `rows` follow, rows and columns of a `matrix`, `columns`; `index`: they are numbers of samples; the `same`. None: it
    is another question then. Several results have one of each. rtol: of the largest of them.
    """

    name: str
    input: Callable[[Data], Any]
    call: Callable[[Any, Data], Any]
    shift: Any
    scale: Any
    order: Any
    rtol: float = 1e-5


X, F, S, W = map(attrgetter, "xfsw")


def activations(d: Data) -> np.ndarray:
    """Of neurons, which the samples are here: [alphas, draws, neurons]."""
    return d.x.T.reshape(2, 2, N)


def tensor(d: Data) -> torch.Tensor:
    """Of neurons, which the samples are here: [samples, neurons]."""
    return torch.from_numpy(np.ascontiguousarray(d.x.T))


def first(d: Data) -> np.ndarray:
    """Samples in an order that belongs to them."""
    return np.argsort(d.f)


IN_ROWS = ("index rows", "rows")
# fmt: off
TABLE = [
    Row("kernels.Kernel", X, lambda x, d: len(kernels.Kernel(x, gamma(d))), "same", 0, "same"),
    Row("kernels.Kernel.block", X, lambda x, d: kernels.Kernel(x, gamma(d)).block(range(N)), "same", 0, "matrix"),
    Row("kernels.Kernel.sums", X, lambda x, d: kernels.Kernel(x, gamma(d), d.y).sums(), "same", 0, "rows"),
    Row("graphs.neighbours", X, lambda x, d: neighbours(x), ("same", "same"), (0, 1), IN_ROWS),
    Row("graphs.neighbours", X, lambda x, d: neighbours(x, metric="cosine"), None, (0, 0), IN_ROWS),
    Row("graphs.nearest", X, lambda x, d: graphs.nearest(x, d.others), "same", 0, "index"),
    Row("graphs.principal_components", X, lambda x, d: abs(graphs.principal_components(x, 2)), "same", 1, "rows"),
    Row("graphs.bandwidth", X, lambda x, d: graphs.bandwidth(graphs.neighbours(x, 4)), "same", 1, "same"),
    Row("graphs.knn_graph", X, lambda x, d: graphs.knn_graph(graphs.neighbours(x, 4), weights="gaussian"),
        "same", 0, "matrix"),
    Row("graphs.from_links", W, lambda w, d: graphs.from_links(np.argwhere(d.w), N, d.w[d.w > 0]), None, 1, "matrix"),
    Row("graphs.checked", W, lambda w, d: graphs.checked(w), None, 1, "matrix"),
    Row("graphs.symmetrise", W, lambda w, d: graphs.symmetrise(w, "mean"), None, 1, "matrix"),
    Row("graphs.degrees", W, lambda w, d: graphs.degrees(w), None, 1, "rows"),
    Row("graphs.link_counts", W, lambda w, d: graphs.link_counts(graphs.checked(w)), None, 0, "rows"),
    Row("graphs.normalise", W, lambda w, d: graphs.normalise(w), None, 0, "matrix"),
    Row("signals.mmd", X, lambda x, d: signals.mmd(x, d.w, gamma(d)), "same", 0, "rows"),
    Row("signals.mmd", X, lambda x, d: signals.mmd(x, d.w, gamma(d), d.y), "same", 0, "rows"),
    Row("signals.distrust", W, lambda w, d: signals.distrust(w, d.y), None, 0, "rows"),
    Row("signals.kernel_density", X, lambda x, d: signals.kernel_density(
        x, d.y, d.others, np.arange(9) % 3, d.unit, True), "same", 0, "rows"),
    Row("signals.size_ratio", lambda d: abs(d.f) + d.unit, lambda f, d: signals.size_ratio(f), None, 0, "rows"),
    Row("signals.prediction_margin", X, lambda x, d: signals.prediction_margin(x), "same", 1, "rows"),
    Row("baselines.mmd_critic", X, critic, ("same",) * 3, (0,) * 3, ("index", "index", "rows")),
    Row("baselines.mmd_critic", X, lambda x, d: critic(x, d, d.y), ("same",) * 3, (0,) * 3, ("index", "index", "rows")),
    Row("baselines.criticism_objective", X, lambda x, d: baselines.criticism_objective(
        x, first(d)[:5], first(d)[5:8], gamma(d)), "same", 0, "same"),
    Row("baselines.nearest_neighbour_error", X, lambda x, d: baselines.nearest_neighbour_error(
        x, d.y, d.others, np.arange(9) % 3), "same", 0, "same"),
    Row("baselines.nearest_neighbour_errors", lambda d: baselines.squared_distances(d.others, d.x),
        lambda near, d: baselines.nearest_neighbour_errors(near, d.y, np.arange(9) % 3, first(d), [1, 5, 24]),
        "same", 0, "same"),
    Row("baselines.squared_distances", X, lambda x, d: baselines.squared_distances(d.others, x), "same", 2, "columns"),
    Row("baselines.knn_loss", W, lambda w, d: baselines.knn_loss(w, d.y), None, None, "rows"),
    Row("baselines.logistic_regression", X, lambda x, d: baselines.logistic_regression(x, d.y, 0.1 * d.unit**2).weights,
        None, -1, "same"),
    Row("baselines.Logistic", X, lambda x, d: baselines.logistic_regression(x, d.y, 0.1 * d.unit**2).classes,
        None, 0, "same"),
    Row("baselines.Logistic.probabilities", X, lambda x, d: baselines.Logistic(
        np.arange(3), np.eye(3, D) / d.unit).probabilities(x), None, 0, "rows"),
    Row("baselines.self_influence", X, lambda x, d: baselines.self_influence(x, d.y, 0.1 * d.unit**2), None, 0, "rows"),
    Row("baselines.cross_validated_probabilities", X, lambda x, d: baselines.cross_validated_probabilities(
        x, d.y, generator(0, "folds"), 3, 0.1 * d.unit**2), None, 0, None),
    Row("baselines.label_loss", probabilities, lambda p, d: baselines.label_loss(p, d.y), None, 0, "rows"),
    Row("baselines.confident_learning", probabilities, lambda p, d: baselines.confident_learning(p, d.y),
        None, 0, "rows"),
    Row("baselines.pagerank", W, lambda w, d: baselines.pagerank(w), None, 0, "rows"),
    Row("baselines.resampling_probabilities", X, lambda x, d: baselines.resampling_probabilities(d.w, x),
        "same", 0, "rows"),
    Row("baselines.weighted_order", lambda d: abs(d.f), lambda f, d: baselines.weighted_order(f, generator(0, "order")),
        None, 0, None),
    Row("influence.influence", F, lambda f, d: influence.influence(d.w, f, "random-walk"), "same", 0, "rows"),
    Row("influence.influence", F, lambda f, d: influence.influence(
        sparse.csr_array(d.w / d.unit).astype(np.float32), f, "random-walk", 2), "same", 0, "rows"),
    Row("influence.influence", X, lambda x, d: influence.influence(
        sparse.csr_array(d.w / d.unit).astype(np.float32), x), None, 0, "rows"),
    Row("influence.influence", F, lambda f, d: influence.influence(d.w, f, "f-alone"), None, 0, "rows"),
    Row("influence.high_pass", F, lambda f, d: influence.high_pass(graphs.normalise(d.w, "random-walk"), f),
        "same", 1, "rows"),
    Row("influence.as_published", F, lambda f, d: influence.as_published(d.w / d.unit, f), None, 0, "rows"),
    Row("influence.prototypes", F, lambda f, d: influence.prototypes(f, d.x[:, 0], 6, "f-most", 0.5),
        "same", 0, "index"),
    Row("influence.criticisms", F, lambda f, d: influence.criticisms(f, 6, d.y), "same", 0, "index"),
    Row("clustering.affinity_propagation", S, lambda s, d: together(clustering.affinity_propagation(
        s, np.median(d.s) - 10 * d.unit).labels), "same", 0, "matrix"),
    Row("clustering.affinity_propagation", S, lambda s, d: clustering.affinity_propagation(
        s, np.median(d.s) - 10 * d.unit).exemplars, "same", 0, None),
    Row("clustering.sweep", S, lambda s, d: clustering.sweep(s, grid(s, d)).counts, "same", 0, "same"),
    Row("clustering.preference_grid", S, grid, "moves", 1, "same"),
    Row("clustering.plateau", lambda d: np.unique(d.f)[::-1], plateau, ("same",) * 2, (0, 0), ("same",) * 2),
    Row("clustering.in_step", S, lambda s, d: clustering.in_step(s, np.arange(N)), "same", 0, "same"),
    Row("clustering.silhouette", S, lambda s, d: clustering.silhouette(s, d.y), None, None, "same"),
    Row("similarity.constant", X, lambda x, d: similarity.constant(x), "same", 0, "rows"),
    Row("similarity.ranks", X, lambda x, d: similarity.ranks(x), "same", 0, "rows"),
    Row("similarity.spearman", X, lambda x, d: similarity.spearman(x), "same", 0, "matrix"),
    Row("similarity.spearman", lambda d: d.x.T, lambda x, d: similarity.spearman(x), "same", 0, "same"),
    Row("similarity.individual_effects", activations, lambda y, d: similarity.individual_effects(y).reshape(4, N),
        "same", 1, "columns"),
    Row("similarity.repeated_effects", activations, lambda y, d: similarity.repeated_effects(
        y, 1, [[0, 1], [1, 0]]).reshape(4, N), "same", 1, "columns"),
    Row("saliency.superpixels", lambda d: 0.5 + np.tanh(d.x.reshape(8, 12) / d.unit) / 2,
        lambda x, d: saliency.superpixels(x, [4], 100.0).labels, None, 0, None),
    Row("saliency.Superpixels.spread", F, lambda f, d: image(d).spread(f), "moves", 1, None),
    Row("saliency.margin_saliency", F, margin, ("moves", "same", None), (1, 0, 1), None),
    Row("saliency.area", F, lambda f, d: saliency.area(f), "moves", 1, None),
    Row("saliency.share_needed", lambda d: abs(d.f), lambda f, d: saliency.share_needed(f, 0.5), None, 0, None),
    Row("saliency.gini", F, lambda f, d: saliency.gini(f), None, 0, "same"),
    Row("structure.class_maps", X, lambda x, d: structure.class_maps(x, d.y, 3), "moves", 1, "same"),
    Row("structure.segment", lambda d: abs(d.x.T), lambda x, d: structure.segment(x), None, 0, "rows"),
    Row("structure.rayleigh", lambda d: d.x.T, lambda x, d: structure.rayleigh(x, lattices.laplacian(d.w / d.unit)),
        "same", 0, "same"),
    Row("structure.moran", lambda d: d.x.T, lambda x, d: structure.moran(x, d.w), "same", 0, "same"),
    Row("structure.ring_angles", X, lambda x, d: np.exp(1j * structure.ring_angles(x)), "same", 0, "rows"),
    Row("structure.circular_correlation", F, lambda f, d: structure.circular_correlation(f, d.x[:, 0]),
        "same", None, "same"),
    Row("structure.quotient_test", lambda d: d.x.T, lambda x, d: structure.quotient_test(
        x, d.w / d.unit, 9, generator(0, "orders"), larger=True).observed, "same", 0, "same"),
    Row("structure.preferred", X, lambda x, d: structure.preferred(x, np.arange(N)), "same", 0, None),
    Row("structure.agreement", F, lambda f, d: structure.agreement(f, d.x[:, 0]).kendall, "same", 0, "same"),
    Row("coactivation.squared_distances", tensor, lambda z, d: coactivation.squared_distances(z), "same", 2, "matrix"),
    Row("coactivation.adaptive_kernel", tensor, lambda z, d: coactivation.adaptive_kernel(z), "same", 0, "matrix"),
    Row("coactivation.nearest_neighbours", tensor, lambda z, d: coactivation.nearest_neighbours(z),
        "same", 0, "matrix"),
    Row("coactivation.silent", tensor, lambda z, d: coactivation.silent(z), "same", 0, "rows"),
    Row("parsimony.principal_frame", X, lambda x, d: (lambda one: (one.mean, one.scale, one.share))(
        parsimony.principal_frame(x)), ("moves", "same", "same"), (1, 1, 0), ("same",) * 3),
    Row("parsimony.nearest_groups", X, lambda x, d: parsimony.nearest_groups(x, d.others), "same", 0, "rows"),
]
# fmt: on
# Public, but not of samples.
NOT_OF_SAMPLES = {
    "kernels.placed": "what kernels and densities make of samples, by which they are held",
    "graphs.Neighbours": "a result",
    "baselines.Critic": "a result",
    "baselines.random_by_class": "a draw by labels",
    "clustering.Clustering": "a result",
    "clustering.Sweep": "a result",
    "clustering.Plateau": "a result",
    "saliency.Superpixels": "a result",
}
ROOMS = ["kernels", "graphs", "signals", "baselines", "influence", "clustering", "similarity"]
STRICT = [row for row in TABLE if row.name.split(".")[0] in [*ROOMS, "saliency"]]


def rows(table: list[Row], *has: str) -> pytest.MarkDecorator:
    """A test of each row that says what is asked."""
    chosen = [row for row in table if all(getattr(row, column) is not None for column in has)]
    numbers = [f"{row.name}-{at}" for at, row in enumerate(chosen)]
    return pytest.mark.parametrize("row", chosen, ids=numbers)


def results(row: Row, d: Data, given: Any = None) -> list[Any]:
    found = row.call(row.input(d) if given is None else given, d)
    several = isinstance(found, tuple)
    return [one.toarray() if sparse.issparse(one) else np.asarray(one) for one in (found if several else [found])]


def each(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def assert_close(found: np.ndarray, want: np.ndarray, row: Row, size: float | None = None) -> None:
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, want)
        return
    largest = np.abs(want).max() if size is None else size
    np.testing.assert_allclose(found, want, rtol=row.rtol, atol=row.rtol * largest)


@rows(TABLE, "shift")
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6), by=st.sampled_from(OFFSETS))
def test_moved(row: Row, seed: int, by: float) -> None:
    d = data(seed)
    for what, before, after in zip(each(row.shift), results(row, d), results(row, d.moved(by)), strict=True):
        if what == "moves":
            # Of what they move by, digits are left in float64 only.
            np.testing.assert_allclose(after, before + by, rtol=1e-12, atol=1e-6)
        elif what:
            assert_close(after, before, row)


@rows(TABLE, "scale")
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6), by=st.sampled_from(FACTORS))
def test_scaled(row: Row, seed: int, by: float) -> None:
    d = data(seed)
    for power, before, after in zip(each(row.scale), results(row, d), results(row, d.scaled(by)), strict=True):
        assert_close(after * by**-power if power else after, before, row)


@rows(TABLE, "order")
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_in_another_order(row: Row, seed: int) -> None:
    d = data(seed)
    order = np.random.default_rng(seed + 1).permutation(N)
    for kind, before, after in zip(each(row.order), results(row, d), results(row, d.ordered(order)), strict=True):
        if "index" in kind:
            after = order[after]
        want = {"matrix": lambda one: one[order][:, order], "columns": lambda one: one[:, order]}.get(
            kind, lambda one, kind=kind: one[order] if "rows" in kind else one
        )
        assert_close(after, want(before), row)


def test_every_public_function_of_samples_is_in_the_table() -> None:
    said = {row.name for row in TABLE} | set(NOT_OF_SAMPLES)
    for room in ROOMS:
        module = importlib.import_module(f"interneuron.{room}")
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__ or not callable(thing):
                continue
            assert f"{room}.{name}" in said, f"{room}.{name} has no row in the table"
            for method in vars(thing) if inspect.isclass(thing) else ():
                if not method.startswith("_") and inspect.isfunction(vars(thing)[method]):
                    assert f"{room}.{name}.{method}" in said, f"{room}.{name}.{method} has no row in the table"


# what they take


def whole_numbers() -> Data:
    """Samples of whole numbers, which every type holds, and which no rounding tells apart."""
    d = data(3)
    x, others, f = (np.rint(8 * of) + np.arange(of.size).reshape(of.shape) % 2 for of in (d.x, d.others, d.f))
    return replace(d, x=x, others=others, f=f, s=np.rint(8 * d.s) - np.arange(N), w=np.rint(4 * d.w), unit=8.0)


KINDS = {
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "int64": lambda x: x.astype(np.int64),
    "int16": lambda x: x.astype(np.int16),
    "list": lambda x: x.tolist(),
    "torch": torch.from_numpy,
    "pandas": lambda x: pd.DataFrame(x) if x.ndim == 2 else pd.Series(x) if x.ndim == 1 else x,
    "not contiguous": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "Fortran": np.asfortranarray,
    "read only": lambda x: np.broadcast_to(x[None], (1, *x.shape))[0],
    "the other order of bytes": lambda x: x.astype(">f8"),
}


@rows(STRICT)
def test_arrays_of_every_kind(row: Row) -> None:
    d = whole_numbers()
    given = np.ascontiguousarray(row.input(d))
    want = results(row, d, given)
    for kind, make in KINDS.items():
        # Probabilities and pixels are no whole numbers, and large ones no halves.
        if kind.startswith(("int", "float16")) and (given != given.astype(kind)).any():
            continue
        for found, one in zip(results(row, d, make(given)), want, strict=True):
            assert_close(found, one, row)


@rows(STRICT)
def test_the_callers_arrays_stay_as_they_are(row: Row) -> None:
    d = data(5)
    for kind in (np.float64, np.float32):
        given = row.input(d).astype(kind)
        own = {name: value.copy() for name, value in vars(d).items() if name != "unit"}
        before = given.tobytes()
        row.call(given, d)
        assert given.tobytes() == before
        for name, value in own.items():
            assert getattr(d, name).tobytes() == value.tobytes()


# Infinities have ranks.
RANKED = ("similarity.constant", "similarity.ranks", "similarity.spearman")


@rows(STRICT)
def test_what_is_no_number_is_refused(row: Row) -> None:
    if row.name == "graphs.from_links":
        return
    d = data(7)
    given = np.array(row.input(d))
    nan, infinite, nothing = given.copy(), given.copy(), given.astype(object)
    nan[(1,) * given.ndim] = np.nan
    infinite[(1,) * given.ndim] = -np.inf
    nothing[(1,) * given.ndim] = None
    wrong = [nan, nan.tolist(), nothing, given.astype(str), given.astype(complex), given.astype("datetime64[s]")]
    wrong += [] if row.name in RANKED else [infinite, infinite.astype(np.float32)]
    wrong += [np.ma.masked_equal(given, given.max()), torch.from_numpy(given).requires_grad_(), "text", None, {}]
    wrong += [[[1.0, 2.0], [3.0]], given[0].ravel()[:0]]
    for values in wrong:
        with pytest.raises(InputError):
            row.call(values, d)


@rows(STRICT)
def test_other_shapes_are_refused(row: Row) -> None:
    if row.name in ("graphs.from_links", "saliency.gini"):
        return
    d = data(7)
    given = np.array(row.input(d))
    for values in (given[None, None], given.ravel()[0]):
        with pytest.raises(InputError):
            row.call(values, d)
    try:
        found = row.call(given[:0], d)
    except InputError:
        return
    # Of no samples there are no results.
    assert np.size(found) == 0


LABELS = {
    "Kernel": lambda y, d: kernels.Kernel(d.x, 1.0, y).sums(),
    "mmd": lambda y, d: signals.mmd(d.x, d.w, 1.0, y),
    "distrust": lambda y, d: signals.distrust(d.w, y),
    "kernel_density": lambda y, d: signals.kernel_density(d.x, y, d.x, y, 1.0),
    "mmd_critic": lambda y, d: baselines.mmd_critic(d.x, 3, 2, 1.0, y).prototypes,
    "criticism_objective": lambda y, d: baselines.criticism_objective(d.x, [1], [2], 1.0, y),
    "nearest_neighbour_error": lambda y, d: baselines.nearest_neighbour_error(d.x, y, d.x + 0.3, y),
    "nearest_neighbour_errors": lambda y, d: baselines.nearest_neighbour_errors(-d.s, y, y, [3, 1, 2], [1, 3]),
    "knn_loss": lambda y, d: baselines.knn_loss(d.w, y),
    "logistic_regression": lambda y, d: baselines.logistic_regression(d.x, y, 0.1).weights,
    "self_influence": lambda y, d: baselines.self_influence(d.x, y, 0.1),
    "cross_validated_probabilities": lambda y, d: baselines.cross_validated_probabilities(
        d.x, y, generator(0, "folds"), 2, 0.1
    ),
    "label_loss": lambda y, d: baselines.label_loss(probabilities(d), y),
    "confident_learning": lambda y, d: baselines.confident_learning(probabilities(d), y),
    "random_by_class": lambda y, d: baselines.random_by_class(y, 6, generator(0, "draw")),
    "prototypes": lambda y, d: influence.prototypes(d.f, d.f, 5, classes=y),
    "criticisms": lambda y, d: influence.criticisms(d.f, 5, y),
    "silhouette": lambda y, d: clustering.silhouette(d.s, y),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind(name: str) -> None:
    d, call = data(11), LABELS[name]
    want = call(d.y, d)
    text = np.array(["ape", "bee", "cat"])[d.y]
    kinds = [d.y.tolist(), d.y.astype(np.uint8), d.y.astype(float), torch.from_numpy(d.y), pd.Series(d.y)]
    for labels in (*kinds, text, text.tolist(), pd.Series(text), pd.Categorical(text)):
        np.testing.assert_allclose(call(labels, d), want, rtol=1e-6)


@pytest.mark.parametrize("name", LABELS)
def test_what_is_no_label_is_refused(name: str) -> None:
    d, call = data(11), LABELS[name]
    fraction, nan = d.y.astype(float), d.y.astype(float)
    fraction[3], nan[3] = 0.5, np.nan
    missing = pd.Series(["a", "b", None] * (N // 3))
    for labels in (fraction, nan, missing, d.y[:, None], d.y.astype(complex), [[1, 2], [3]], 3, None, d.y[:0]):
        if labels is None and name not in ("distrust", "knn_loss"):
            # No labels at all, which some take.
            continue
        with pytest.raises(InputError):
            call(labels, d)
    if name not in ("random_by_class", "nearest_neighbour_errors"):
        with pytest.raises(InputError):
            call(d.y[:-1], d)
