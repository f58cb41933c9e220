"""One network under the methods of the other papers: clusters of its neurons, lesions, regions, influential samples.

Rows are those of `interneuron.gsr_metrics`, so that networks with and without a shaped layer can be compared. Sources:
Frey and Dueck 2007 (affinity propagation), Hui 2022 (lesions of clusters), Picchiotti and Gori 2021 (regions), Anirudh
et al. 2021 (influence).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from interneuron import checks, graphs, lattices, tensor_checks
from interneuron.boundary_metrics import auroc
from interneuron.capture import hooked
from interneuron.clustering import affinity_propagation
from interneuron.errors import InputError
from interneuron.evaluate import adjusted_rand
from interneuron.influence import influence
from interneuron.regions import activation_patterns, unique_patterns
from interneuron.signals import distrust
from interneuron.similarity import constant, spearman

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Row = dict[str, Any]

_NEIGHBOURS = 30
_PAIRS = 100
_STEPS = 200


def neuron_clusters(z: npt.ArrayLike, stream: np.random.Generator) -> list[Row]:
    """Rows on the clusters of neurons by affinity propagation of Spearman's similarities, preference their median.

    `clusters`: over all samples of z [samples, neurons]; `stability`: adjusted Rand index of the clusterings of two
    random halves of the samples, over the neurons that vary in both. Constant neurons are left out. NaN where fewer
    than three neurons vary or a run does not converge. Raises InputError for fewer than four samples, and NaN.
    """
    values = checks.numbers("activations", z).astype(np.float32, copy=False)
    if values.ndim != 2 or len(values) < 4 or not values.shape[1]:
        raise InputError(f"activations have the shape {list(values.shape)}, and clusters take [4 samples up, neurons]")
    order = stream.permutation(len(values))
    halves = [values[order[: len(order) // 2]], values[order[len(order) // 2 :]]]
    varying = ~np.any([constant(half.T) for half in halves], 0)
    found = [_clusters(part[:, varying].T) for part in (values, *halves)]
    everything, one, other = found
    count = np.nan if everything is None else float(len(np.unique(everything)))
    stable = np.nan if one is None or other is None else adjusted_rand(one, other)
    return [{"metric": "clusters", "value": count}, {"metric": "stability", "value": float(stable)}]


def grown_patches(maps: npt.ArrayLike, graph: Any, size: int) -> npt.NDArray[np.bool_]:
    """The connected patch of `size` nodes of each class, grown on the graph: bool [classes, nodes].

    A node's lead for a class is its share of the class's map (each divided by its L1 norm, as in `structure.segment`)
    less the largest share that another class has there. A patch begins at the class's largest lead and takes its
    neighbour with the largest lead until it is full, or has none. Patches of classes may overlap. As all are of one
    size, so are the lesions of all classes and networks. maps [classes, nodes], two classes or more; a class whose map
    is 0 has no patch. Raises InputError for a size outside 1 to nodes, and shapes that do not fit.
    """
    values = checks.numbers("maps", maps).astype(np.float64, copy=False)
    w = lattices.adjacency(graph)
    if values.ndim != 2 or len(values) < 2 or values.shape[1] != w.shape[0]:
        raise InputError(f"maps have the shape {list(values.shape)}, and patches take [2 or more, {w.shape[0]}]")
    if not 1 <= size <= w.shape[0]:
        raise InputError(f"patches of {size} nodes are asked for, they take 1 to {w.shape[0]}")
    norms = abs(values).sum(1, keepdims=True)
    shares = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    found = np.zeros(values.shape, bool)
    for label in np.flatnonzero(norms[:, 0]):
        lead = shares[label] - np.delete(shares, label, 0).max(0)
        found[label, lead.argmax()] = True
        for _ in range(size - 1):
            border = (w @ found[label] > 0) & ~found[label]
            if not border.any():
                break
            found[label, np.where(border, lead, -np.inf).argmax()] = True
    return found


def patch_lesions(
    network: nn.Module,
    layer: str,
    x: Tensor,
    y: npt.ArrayLike,
    patches: npt.ArrayLike,
    permutations: int,
    stream: np.random.Generator,
) -> list[Row]:
    """Rows on what is lost when the nodes of one class's patch in a layer are set to 0.

    With the loss of recall l_cd of class d without the patch of class c, `sharpness` is the mean over the classes with
    a patch of l_cc - mean over d != c of l_cd: 1 where each patch is one class's and all of it. The null has the nodes
    in random order: as many as a patch has, anywhere. `own_loss` and `other_loss` are the two parts. x: inputs of the
    network; y [n]: their classes; patches: bool [classes, nodes]. Raises InputError for shapes that do not fit, NaN,
    and fewer than two orders.
    """
    x = tensor_checks.numbers("inputs", x)
    parameter = next(network.parameters(), x)
    if x.dtype != parameter.dtype:
        raise InputError(f"inputs are {x.dtype}, and this network takes {parameter.dtype}")
    truth, masks = checks.whole("classes", y, len(x)), checks.marks("patches", patches, "classes", "nodes", least=2)
    classes = len(masks)
    if truth.min(initial=0) < 0 or truth.max(initial=0) >= classes or permutations < 2:
        raise InputError(
            f"classes go from {truth.min(initial=0)} to {truth.max(initial=0)}, with patches of {classes} in "
            f"{permutations} orders: it takes 0 to {classes - 1}, and 2 orders or more"
        )
    labelled = np.flatnonzero(masks.any(1))
    sizes = np.bincount(truth, minlength=classes)
    if not len(labelled) or not sizes.all():
        return [{"metric": name, "value": np.nan} for name in ("sharpness", "own_loss", "other_loss")]
    silent = torch.zeros(masks.shape[1])

    def silence(z: Tensor) -> Tensor:
        return (z.flatten(1) * (1 - silent.to(z.dtype))).view(z.shape)

    def recall() -> Float64:
        with torch.no_grad():
            right = network(x).argmax(1).numpy() == truth
        found: Float64 = np.bincount(truth, right, minlength=classes) / sizes
        return found

    def losses(order: Int64, intact: Float64) -> tuple[float, float]:
        own, others = [], []
        for label in labelled:
            silent.copy_(torch.from_numpy(masks[label][order].astype(np.float32)))
            lost = intact - recall()
            own.append(lost[label])
            others.append(np.delete(lost, label).mean())
        return float(np.mean(own)), float(np.mean(others))

    with hooked(network, x, {layer: silence}):
        intact = recall()
        nodes = np.arange(masks.shape[1])
        own, other = losses(nodes, intact)
        null = np.array([np.subtract(*losses(stream.permutation(nodes), intact)) for _ in range(permutations)])
    p = float((1 + (null >= own - other - 1e-12).sum()) / (1 + permutations))
    spread = {"null": float(null.mean()), "sd": float(null.std(ddof=1)), "p": p}
    return [
        {"metric": "sharpness", "value": own - other, **spread},
        {"metric": "own_loss", "value": own},
        {"metric": "other_loss", "value": other},
    ]


def region_counts(network: nn.Module, x: Tensor, stream: np.random.Generator) -> list[Row]:
    """Rows on the linear regions of a ReLU network around the samples x [n, ...], n of 2 or more.

    `regions`: how many the samples lie in, and `region_entropy`, that of their partition in bits; both are at their
    most where each sample has a region of its own. `line_regions` has no such ceiling: the number of regions that the
    straight line from one sample to another passes through, one more than the changes of the pattern over 200 steps,
    mean over 100 pairs at random. Source: Raghu et al., "On the expressive power of deep neural networks", 2017
    (transitions along a trajectory). Raises InputError for fewer than two samples, and as `interneuron.regions` does.
    """
    x = tensor_checks.numbers("samples", x, least=2)
    found = unique_patterns(activation_patterns(network, x))
    shares = np.bincount(found.labels) / len(found.labels)
    first = stream.integers(len(x), size=_PAIRS)
    second = (first + stream.integers(1, len(x), size=_PAIRS)) % len(x)
    along = torch.linspace(0, 1, _STEPS + 1).view(1, -1, *[1] * (x.ndim - 1))
    lines = torch.lerp(x[first].unsqueeze(1), x[second].unsqueeze(1), along)
    patterns = activation_patterns(network, lines.flatten(0, 1)).reshape(_PAIRS, _STEPS + 1, -1)
    changes = (patterns[:, 1:] != patterns[:, :-1]).any(-1).sum(1)
    return [
        {"metric": "regions", "value": float(found.count)},
        {"metric": "region_entropy", "value": float(-(shares * np.log2(shares)).sum())},
        {"metric": "line_regions", "value": float(1 + changes.mean())},
    ]


def misread_influence(z: npt.ArrayLike, predicted: npt.ArrayLike, y: npt.ArrayLike) -> list[Row]:
    """Row on whether MARGIN's influence finds the samples that a network misreads, on the graph of a layer's activity.

    `misread_auroc`: probability that a misread sample has more influence than another. The graph joins the 30 nearest
    neighbours by activities z [samples, neurons] (all, of fewer samples); the function on it is the share of a sample's
    neighbours that the network takes for another class, `predicted` [samples]; y: the classes. NaN where none or all
    are misread, or one class is all that is predicted. Source: Anirudh et al. 2021, case IV, k as in section 4. Raises
    InputError for shapes that do not fit, fewer than two samples, and NaN.
    """
    values = checks.numbers("activations", z, "samples", "neurons", least=2).astype(np.float32, copy=False)
    taken, true = (checks.whole("classes", of, len(values)) for of in (predicted, y))
    found = np.nan
    if len(np.unique(taken)) > 1:
        graph = graphs.knn_graph(graphs.neighbours(values, min(_NEIGHBOURS, len(values) - 1)))
        found = auroc(influence(graph, distrust(graph, taken)), taken != true)
    return [{"metric": "misread_auroc", "value": found}]


def _clusters(x: npt.NDArray[np.float32]) -> Int64 | None:
    """Labels of the rows of x; None where there are too few, or no convergence."""
    if len(x) < 3:
        return None
    similarity = spearman(x)
    median = float(np.median(similarity[~np.eye(len(similarity), dtype=bool)]))
    found = affinity_propagation(similarity, median)
    return found.labels if found.converged else None
