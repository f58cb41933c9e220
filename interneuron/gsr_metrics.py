"""What structure there is in a regularised layer: numbers against permutation nulls, and the metrics of a study.

Every analysis gives rows with the keys `metric`, `value`, and, where there is a null, its mean and standard deviation
`null` and `sd`, and `p`. The statistics are `interneuron.structure`'s; Tong et al. (arXiv:1810.00424) show pictures.
"""

from collections.abc import Callable, Sequence
from itertools import permutations as orders_of
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from interneuron import checks, lattices, structure
from interneuron.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Float64 = npt.NDArray[np.float64]
Row = dict[str, Any]

KEYS = ("level", "seed", "part", "variant", "weight")
_SAMPLES = 200  # whose single Rayleigh quotients are averaged
_ENUMERATED = 6  # nodes of which all orders are tried


def patches(
    z: npt.ArrayLike, y: npt.ArrayLike, classes: int, graph: Any, permutations: int, stream: np.random.Generator
) -> tuple[list[Row], Float64, npt.NDArray[np.int64]]:
    """Rows on whether class maps follow a fixed graph; the maps [classes, nodes]; the class of each node [nodes].

    Against random orders of the nodes: `map_rayleigh` (mean over the classes of the quotient z' L z / z' z of the
    centred map, L = D - W; small is smooth), `moran` (mean Moran's I), `purity` and `compactness` of the segmentation,
    `sample_rayleigh` (mean over up to 200 samples). Without a null: `penalty`, the mean of z' L z, `power`, that of
    z' z, and `classes_shown`, the share of the classes that own a node. z [samples, nodes], y int [samples]. Raises as
    `structure.class_maps`.
    """
    values = _numbers("activations", z)
    maps = structure.class_maps(values, y, classes)
    laplacian = lattices.laplacian(graph)
    some = values[np.sort(stream.permutation(len(values))[:_SAMPLES])]
    w = lattices.adjacency(graph)
    quotients = {
        "map_rayleigh": (maps, laplacian, False),
        "moran": (maps, w * (w.shape[0] / w.sum()), True),
        "sample_rayleigh": (some, laplacian, False),
    }
    segments = structure.segment(maps)
    shares: dict[str, Callable[[Any], Float64]] = {
        "purity": lambda labels: structure.purity(labels, graph),
        "compactness": lambda labels: structure.compactness(labels, graph),
    }
    rows = [
        _row(name, structure.quotient_test(of, matrix, permutations, stream, larger=larger))
        for name, (of, matrix, larger) in quotients.items()
    ]
    rows += [
        _row(name, structure.permutation_test(share, segments, permutations, stream, larger=True))
        for name, share in shares.items()
    ]
    products = (laplacian @ values.T).T
    rows += [
        {"metric": "penalty", "value": float((products * values).sum(1).mean())},
        {"metric": "power", "value": float((values**2).sum(1).mean())},
        {"metric": "classes_shown", "value": len(set(segments[segments >= 0].tolist())) / classes},
    ]
    return rows, maps, segments


def misread(z: npt.ArrayLike, y: npt.ArrayLike, taken: npt.ArrayLike, segments: npt.ArrayLike) -> Row:
    """Row `misread`: of the samples taken for another class, the share whose mean activity is larger on the nodes of
    the class they are taken for than on those of their own. NaN where there are none; samples either of whose classes
    owns no node do not count.

    z [samples, nodes]; y, taken int [samples]; segments int [nodes]: the class of each node, -1: none. Source: Tong et
    al., figure 3.1, a 9 that is taken for a 7. Raises InputError for shapes that do not fit, classes below 0, and NaN.
    """
    values = _numbers("activations", z, "samples", "nodes", least=1)
    true, other = (checks.whole("classes", part, len(values)) for part in (y, taken))
    own = checks.whole("segments", segments, values.shape[1])
    if min(true.min(), other.min()) < 0:
        raise InputError(f"classes go down to {min(true.min(), other.min())}, and take 0 up")
    owned = np.arange(max(true.max(), other.max(), own.max()) + 1)[:, None] == own
    sizes = owned.sum(1)
    here = np.flatnonzero((true != other) & (sizes[true] > 0) & (sizes[other] > 0))
    activity = values[here] @ (owned / np.maximum(sizes, 1)[:, None]).T
    at = np.arange(len(here))
    larger = activity[at, other[here]] > activity[at, true[here]]
    return {"metric": "misread", "value": float(larger.mean()) if len(here) else np.nan}


def components(graph: "Tensor", z: "Tensor", above: float, below: float) -> list[Row]:
    """Rows on a learned graph, [nodes, nodes], and the activations z [samples, nodes] of its nodes.

    `components`: over edges heavier than `above`, without silent nodes; `spectral_components`: eigenvalues of the
    symmetric Laplacian smaller than `below`; `connected`: 1 if the latter is 1; `silent`: nodes with one value. Of the
    activations alone, whatever the graph: `effective_rank` (Roy and Vetterli's), `effective_dimensions` (the same of
    the shares of variance) and `directions` (singular values above a tenth of the largest). Raises InputError as
    `coactivation.components` and `structure.effective_rank` do.
    """
    # It takes torch, which the metrics do without.
    from interneuron import coactivation, tensor_checks

    silent = coactivation.silent(z)
    values = tensor_checks.numbers("activations", z).detach().cpu()
    found = {
        "components": int(coactivation.components(graph, above, ~silent)),
        "spectral_components": (spectral := int(coactivation.spectral_components(graph, below))),
        "connected": float(spectral == 1),
        "silent": int(silent.sum()),
        "effective_rank": structure.effective_rank(values),
        "effective_dimensions": structure.effective_rank(values, 2),
        "directions": structure.large_directions(values),
    }
    return [{"metric": name, "value": float(value)} for name, value in found.items()]


def supernodes(
    z: npt.ArrayLike, y: npt.ArrayLike, classes: int, size: int, graph: Any, stream: np.random.Generator
) -> tuple[list[Row], Float64]:
    """Rows on clusters within clusters, and the class maps [classes, nodes] of activities scaled to [0, 1] by node.

    A node prefers the class of its largest mean activity, and none where it is silent; classes i size to
    (i + 1) size - 1 are cluster i. `supernodes`: share of the graph's components all of whose nodes prefer classes of
    one cluster that no other component's nodes do; `nodes_apart`: share of the classes that some node prefers; `both`:
    1 if both are 1. `p` of `supernodes` is the share of all orders of the nodes with at least as large a one, or, of
    more than six nodes, (1 + such orders) / (1 + 999) of 999 at random.

    A looser count, by components: `pairs_apart`: share of the components whose mean activity is largest in a cluster
    that is no other component's; `parts_apart`: share of the components that have, for each part of that cluster, a
    node most active there among its parts; `both_by_pairs`: 1 if both are 1. Raises as `structure.class_maps`, and for
    a graph of other nodes and a size below 1.
    """
    if size < 1:
        raise InputError(f"size is {size}, and a cluster takes 1 class or more")
    values = _numbers("activations", z, "samples", "nodes", least=1)
    span = np.ptp(values, 0)
    scaled = np.divide(values - values.min(0), span, out=np.zeros_like(values), where=span > 0)
    maps = structure.class_maps(scaled, y, classes)
    preferred = np.where(span > 0, maps.argmax(0), -1)
    clusters = np.where(preferred < 0, -1, preferred // size)
    labels = lattices.components(graph)
    if len(labels) != values.shape[1]:
        raise InputError(f"the graph has {len(labels)} nodes, and the activations are of {values.shape[1]}")

    def share(order: npt.NDArray[np.integer]) -> float:
        parts = [set(clusters[order][labels == part].tolist()) for part in range(labels.max() + 1)]
        alone = [len(own) == 1 and -1 not in own and sum(own <= other for other in parts) == 1 for own in parts]
        return float(np.mean(alone))

    nodes = np.arange(len(labels))
    every = len(nodes) <= _ENUMERATED
    orders = orders_of(nodes) if every else (stream.permutation(nodes) for _ in range(999))
    null = np.array([share(np.asarray(order)) for order in orders])
    observed, apart = share(nodes), len(set(preferred.tolist()) - {-1}) / classes
    extreme = (null >= observed - 1e-9).sum()
    p = extreme / len(null) if every else (1 + extreme) / (1 + len(null))
    rows = [
        {"metric": "supernodes", "value": observed, "null": null.mean(), "sd": null.std(ddof=1), "p": p},
        {"metric": "nodes_apart", "value": apart},
        {"metric": "both", "value": float(observed == 1 and apart == 1)},
        *_by_pairs(np.where(span > 0, maps, -1.0), labels, size),
    ]
    return rows, maps


def _by_pairs(maps: Float64, labels: npt.NDArray[np.int64], size: int) -> list[Row]:
    """The looser count of `supernodes`; maps [classes, nodes], -1 of silent nodes."""
    clusters = [maps[first : first + size] for first in range(0, len(maps), size)]
    of_parts = [np.flatnonzero(labels == part) for part in range(labels.max() + 1)]
    own = np.array([np.argmax([cluster[:, nodes].mean() for cluster in clusters]) for nodes in of_parts])
    pairs = np.mean([(own == cluster).sum() == 1 for cluster in own])
    parts = []
    for nodes, cluster in zip(of_parts, own, strict=True):
        activity = clusters[cluster][:, nodes]
        parts.append(len(set(activity[:, (activity >= 0).all(0)].argmax(0).tolist())) == len(activity))
    found = {"pairs_apart": pairs, "parts_apart": np.mean(parts), "both_by_pairs": pairs == 1 and all(parts)}
    return [{"metric": name, "value": float(value)} for name, value in found.items()]


def ring(z: npt.ArrayLike, angles: npt.ArrayLike, permutations: int, stream: np.random.Generator) -> list[Row]:
    """Rows on a ring of nodes and an object that turns: `ring_correlation`, the size of Fisher and Lee's correlation
    of the angle that the activity z [views, nodes] points at with the object's, `angles` [views] in radians, against
    random orders of the nodes. Raises InputError for shapes that do not fit, and NaN."""
    activity = _numbers("activations", z, "views", "nodes")
    truth = _numbers("angles", angles, len(activity))

    def statistic(values: Float64) -> Float64:
        return np.abs(structure.circular_correlation(structure.ring_angles(values), truth))

    found = structure.permutation_test(statistic, activity, permutations, stream, larger=True)
    return [_row("ring_correlation", found)]


def cell_graph(x: npt.ArrayLike, neighbours: int) -> sparse.csr_array:
    """Graph of cells: W_ij = exp(-|x_i - x_j|^2 / (s_i s_j)) where j is among the nearest `neighbours` of i or i of j,
    with s_i the distance from i to the farthest of its own. x [cells, features]. Raises InputError for too few cells.

    Source: the locally scaled kernel of Haghverdi et al. 2016, on nearest neighbours.
    """
    cells = _numbers("cells", x, "cells", "features")
    n = len(cells)
    if not 1 <= neighbours < n:
        raise InputError(f"a graph of {n} cells is asked for {neighbours} neighbours, it takes 1 to {n - 1}")
    distances, near = cKDTree(cells).query(cells, neighbours + 1)
    # Cells at one place need not come first among their own neighbours.
    away = near != np.arange(n)[:, None]
    away[away.all(1), -1] = False
    columns, lengths = near[away].reshape(n, neighbours), distances[away].reshape(n, neighbours)
    scale = np.maximum(lengths[:, -1], np.finfo(np.float64).tiny)
    rows = np.repeat(np.arange(n), neighbours)
    with np.errstate(over="ignore"):  # a cell with as many at its own place is infinitely far from any other
        values = np.exp(-(lengths.ravel() / scale[rows]) * (lengths.ravel() / scale[columns.ravel()]))
    half = sparse.csr_array((values, (rows, columns.ravel())), shape=(n, n))
    return sparse.csr_array(half.maximum(half.T))


def along(
    z: "Tensor", times: npt.ArrayLike, graph: "Tensor", above: float, stream: np.random.Generator
) -> tuple[list[Row], Float64, Float64]:
    """Rows on the order of neurons along their learned graph and the cells' times; place and preferred time [nodes].

    Over the largest component of the graph (edges heavier than `above`): `order_correlation`, the size of Spearman's
    correlation of the nodes' place (`structure.order_along`) and the mean time of their activity
    (`structure.preferred`), against 999 random orders; `order_nodes`, the share of the nodes in it. Place and time are
    NaN elsewhere. z [cells, nodes]; times [cells], infinite where a cell is not reached, which leaves it out. Raises
    InputError for shapes that do not fit, and NaN.

    Neighbours in a learned graph respond alike by construction, so a graph of any network's activity beats random
    orders: what a penalty does shows only against the same number of a network without it.
    """
    activity = checks.numbers("activations", z, "cells", "nodes", least=1)
    t = checks.gapped("times", times, np.inf, len(activity))
    reached = np.isfinite(t)
    edges = checks.numbers("weights of a graph", graph, activity.shape[1], activity.shape[1])
    w = np.where(edges > above, edges, 0).astype(np.float64)
    labels = lattices.components(w)
    nodes = np.flatnonzero(labels == np.bincount(labels).argmax())
    values = activity[reached][:, nodes].astype(np.float64)
    place, preferred = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    rows: list[Row] = [{"metric": "order_nodes", "value": len(nodes) / len(labels)}]
    if len(nodes) < 3 or not reached.any() or not (np.ptp(values, 0) > 0).all():
        return [*rows, {"metric": "order_correlation", "value": np.nan}], place, preferred
    place[nodes] = structure.order_along(w[np.ix_(nodes, nodes)])
    preferred[nodes] = structure.preferred(values, t[reached])
    ranks = np.argsort(np.argsort(place[nodes])).astype(np.float64)

    def statistic(of: Float64) -> Float64:
        order = np.argsort(np.argsort(of, -1), -1).astype(np.float64)
        centred, against = order - order.mean(-1, keepdims=True), ranks - ranks.mean()
        return np.abs(centred @ against / (np.linalg.norm(centred, axis=-1) * np.linalg.norm(against)))

    found = structure.permutation_test(statistic, preferred[nodes], 999, stream, larger=True)
    return [*rows, _row("order_correlation", found)], place, preferred


def mixture(
    z: npt.ArrayLike, y: npt.ArrayLike, of: int, between: Sequence[int], orders: int, stream: np.random.Generator
) -> list[Row]:
    """Rows on whether the mean activity m of class `of` lies between those of two other classes, a and b:

        m - a = share (b - a) + rest,    mixed = 1 - |rest|^2 / |m - a|^2

    by least squares over the nodes: `mixed` is 1 where m is on the line through a and b, and about 1/4 where the three
    have nothing to do with one another; `mixed_share` says where: between them from 0 to 1. The null of `mixed` has the
    nodes of m in random order. NaN where a class has no sample, or two classes have one mean. z [samples, nodes], y int
    [samples]. Raises InputError for shapes that do not fit, and NaN.
    """
    values = _numbers("activations", z, "samples", "nodes")
    classes = checks.whole("classes", y, len(values))
    parts = [values[classes == label] for label in (of, *between)]
    nothing = [{"metric": name, "value": np.nan} for name in ("mixed", "mixed_share")]
    if not all(len(part) for part in parts):
        return nothing
    m, a, b = (part.mean(0) for part in parts)
    line, offset = b - a, m - a
    length = (line**2).sum()
    if not length or not offset.any():
        return nothing

    def statistic(means: Float64) -> Float64:
        offsets = means - a
        sizes = (offsets**2).sum(-1)
        return np.divide((offsets @ line) ** 2, length * sizes, out=np.zeros_like(sizes), where=sizes > 0)

    test = structure.permutation_test(statistic, m, orders, stream, larger=True)
    return [_row("mixed", test), {"metric": "mixed_share", "value": float(offset @ line / length)}]


def alignment(slopes: npt.ArrayLike, permutations: int, stream: np.random.Generator) -> list[Row]:
    """Rows on what the dimensions of capsules do: `aligned`, how much they do the same in every class.

    slopes [classes, dimensions]: how much a property of the image (its ink) rises with the dimension.

        aligned = sum_d |sum_c s_cd| / sum_d sum_c |s_cd|

    with every class's slopes divided by their largest size: 1 where every dimension pulls in one direction in all
    classes. The null has the dimensions of each class in random order. Raises InputError for another shape, NaN, and
    fewer than two orders.
    """
    s = _numbers("slopes", slopes, "classes", "dimensions", least=1)
    if not s.shape[1] or permutations < 2:
        raise InputError(f"slopes of {s.shape[1]} dimensions in {permutations} orders: it takes 1 and 2, or more")
    largest = np.abs(s).max(1, keepdims=True)
    s = np.divide(s, largest, out=np.zeros_like(s), where=largest > 0)

    def statistic(of: Float64) -> Float64:
        total = np.abs(of).sum((-2, -1))
        return np.divide(np.abs(of.sum(-2)).sum(-1), total, out=np.zeros_like(total), where=total > 0)

    observed = statistic(s[None])[0]
    null = statistic(np.stack([stream.permuted(s, axis=1) for _ in range(permutations)]))
    p = (1 + (null >= observed - 1e-9).sum()) / (1 + permutations)
    return [{"metric": "aligned", "value": observed, "null": null.mean(), "sd": null.std(ddof=1), "p": p}]


def metrics(found: pd.DataFrame, training: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """The study's metrics: a row a seed, part, variant and weight (`level` run), their means over the parts (`mean`),
    and a row a seed and variant with three weights or more (`curve`, see `curves`).

    found: the rows of structure.parquet; every metric there becomes a column, with `_z`, (value - null) / sd, and `_p`
    behind it where it has a null. training: of training.parquet; the last training means are `train_accuracy`,
    `train_mse`, ..., the test split's `test_accuracy`, `test_reconstruction`. With a reference, a variant,
    `{metric}_gain` is the metric (not those of training) minus that of the same seed and part under it, and where the
    accuracy was watched over the training there is `matched_gain` (see `equally_far`). `runs`: the
    runs behind the row; `rank`: the place of the run's weight among those of its variant, from 0. Raises InputError
    where the reference has more than one weight.
    """
    keys = ["seed", "part", "variant", "weight"]
    last = training[training["iteration"] == training.groupby([*keys, "split", "metric"])["iteration"].transform("max")]
    last = last.assign(metric=last["split"] + "_" + last["metric"])
    parts = [last.pivot_table(index=keys, columns="metric", values="value", sort=True)]
    if len(found):
        parts.append(found.pivot_table(index=keys, columns="metric", values="value", sort=True, dropna=False))
        tested = found[found["p"].notna()]
        if len(tested):
            z = np.where(tested["sd"] > 0, (tested["value"] - tested["null"]) / tested["sd"].where(tested["sd"] > 0), 0)
            for suffix, column in (("_z", "z"), ("_p", "p")):
                wide = tested.assign(z=z).pivot_table(index=keys, columns="metric", values=column, sort=True)
                parts.append(wide.add_suffix(suffix))
    table = pd.concat(parts, axis=1).dropna(how="all").reset_index()
    measured = [column for column in map(str, table) if column not in keys and not column.endswith(("_z", "_p"))]
    if reference is not None:
        base = table[table["variant"] == reference]
        if base.duplicated(["seed", "part"]).any():
            raise InputError(f"metrics: the reference {reference} has more than one weight, it takes one")
        against = table[["seed", "part"]].merge(base[["seed", "part", *measured]], on=["seed", "part"], how="left")
        compared = [column for column in measured if not column.startswith("train_")]
        gains = (table[compared] - against[compared]).add_suffix("_gain")
        table = pd.concat([table, gains], axis=1)
        if len(far := equally_far(training, reference)):
            table = table.merge(far, on=keys, how="left")
    numbers = [column for column in map(str, table) if column not in keys]
    table["rank"] = table.groupby(["seed", "part", "variant"])["weight"].rank(method="dense") - 1
    mean = table.groupby(["seed", "variant", "weight"], sort=True)[[*numbers, "rank"]].mean().reset_index()
    counts = table.groupby(["seed", "variant", "weight"], sort=True).size().to_numpy()
    mean = mean.assign(level="mean", part="all", runs=counts)
    curve = curves(mean).assign(level="curve", part="all")
    numbers += [column for column in ("rises", "midway", "midway_apart") if column in curve]
    both = pd.concat([table.assign(level="run", runs=1), mean, curve], ignore_index=True)
    both = both[[*KEYS, "rank", "runs", *sorted(numbers)]]
    both = both.sort_values(["level", "part", "variant", "weight", "seed"], kind="stable", ignore_index=True)
    types = dict.fromkeys(("level", "part", "variant"), "str") | dict.fromkeys(("weight", "runs", *numbers), "float64")
    return both.astype(types | {"seed": "int64"})


def equally_far(training: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Test accuracies where two trainings have come equally far: a row a seed, part, variant and weight.

    `matched`: the test split's accuracy when the training split's first reaches T, the lesser of the largest that the
    run and the reference of the same seed and part come to (linear between the times at which both were measured);
    `matched_gain`: that minus the reference's at T. A penalty that only makes training faster gains nothing here.
    training: of training.parquet. Runs with both accuracies at fewer than two times have no row.
    """
    keys = ["seed", "part", "variant", "weight"]
    accuracy = training[training["metric"] == "accuracy"]
    wide = accuracy.pivot_table(index=[*keys, "iteration"], columns="split", values="value")
    found = pd.DataFrame(columns=[*keys, "matched", "matched_gain"])
    if not {"train", "test"} <= set(wide):
        return found
    wide = wide.dropna(subset=["train", "test"])
    runs = {key: of[["train", "test"]].to_numpy() for key, of in wide.groupby(keys, sort=True) if len(of) > 1}
    bases = {key[:2]: of for key, of in runs.items() if key[2] == reference}
    rows = []
    for key, of in runs.items():
        if (base := bases.get(key[:2])) is not None:
            level = min(of[:, 0].max(), base[:, 0].max())
            own, other = (_when_at(level, *curve.T) for curve in (of, base))
            rows.append((*key, own, own - other))
    return pd.DataFrame(rows, columns=list(found)) if rows else found


def _when_at(level: float, rising: Float64, other: Float64) -> float:
    """`other` where `rising` first reaches the level, linear between the two points around it."""
    at = int(np.argmax(rising >= level))
    if at == 0:
        return float(other[0])
    share = (level - rising[at - 1]) / (rising[at] - rising[at - 1])
    return float(other[at - 1] + share * (other[at] - other[at - 1]))


def curves(mean: pd.DataFrame, against: str = "l2") -> pd.DataFrame:
    """How the reconstruction suffers from a penalty's weight: a row a seed and variant with three weights or more.

    `rises`: Spearman's correlation of the weight and `test_reconstruction`; `midway`: decimal logarithm of the weight
    at which the error passes midway between its least and its largest (interpolated); `midway_apart`: that minus the
    variant `against`'s. mean: the metrics' rows of level `mean`. Without the column or such variants: no rows.
    """
    rows = []
    if "test_reconstruction" in mean:
        for (seed, variant), of in mean.groupby(["seed", "variant"], sort=True):
            of = of[of["weight"] > 0].sort_values("weight")
            if len(of) < 3 or of["test_reconstruction"].isna().any():
                continue
            weights, errors = np.log10(of["weight"].to_numpy()), of["test_reconstruction"].to_numpy()
            half = (errors.min() + errors.max()) / 2
            at = int(np.argmax(errors >= half))
            midway = weights[at]
            if at:
                midway -= (errors[at] - half) / (errors[at] - errors[at - 1]) * (weights[at] - weights[at - 1])
            rises = structure.agreement(weights, errors).spearman if np.ptp(errors) else np.nan
            rows.append({"seed": seed, "variant": variant, "rises": rises, "midway": midway})
    table = pd.DataFrame(rows, columns=["seed", "variant", "rises", "midway"])
    base = table[table["variant"] == against].set_index("seed")["midway"]
    return table.assign(midway_apart=table["midway"] - table["seed"].map(base)) if len(table) else table


def slopes(images: npt.ArrayLike, steps: Sequence[float]) -> Float64:
    """Slope of the images' ink, their mean pixel, over the steps: [...], from images [..., steps, pixels].

    Raises InputError for shapes that do not fit, fewer than two different steps, and NaN."""
    values, at = _numbers("images", images), _numbers("steps", steps, "steps", least=1)
    if values.ndim < 2 or values.shape[-2] != len(at) or not values.shape[-1] or np.ptp(at) == 0:
        raise InputError(
            f"images {list(values.shape)} do not fit the steps {at.tolist()}: they take [..., steps, pixels], and two "
            "different steps or more"
        )
    ink = values.mean(-1)
    centred = at - np.mean(at)
    found: Float64 = (ink @ centred) / (centred @ centred)
    return found


def _numbers(what: str, values: npt.ArrayLike, *axes: str | int, least: int = 0) -> Float64:
    return checks.numbers(what, values, *axes, least=least).astype(np.float64, copy=False)


def _row(name: str, test: structure.PermutationTest) -> Row:
    values = {"value": test.observed, "null": test.mean, "sd": test.sd, "p": test.p}
    return {"metric": name} | {key: float(value) for key, value in values.items()}
