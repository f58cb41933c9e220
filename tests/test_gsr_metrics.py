"""Numbers for structure in networks, and the metrics made of them: against brute force and planted structure."""

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.cluster import AffinityPropagation
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from interneuron import chain, coactivation, gsr_metrics, lattices, regions, structure
from interneuron.errors import InputError
from interneuron.nets import MLP
from interneuron.seeds import generator, torch_generator

GRID = lattices.grid(4, 4)
PAIRS = lattices.paths(3, 2)


def by_name(rows):
    return {row["metric"]: row for row in rows}


def planted():
    """Activities of a grid of 4 x 4 nodes, each of four classes in a corner."""
    y = np.arange(80) % 4
    z = np.random.default_rng(0).normal(size=(80, 16)) * 0.1
    corners = np.arange(16).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    for label in range(4):
        z[np.ix_(y == label, corners[label])] += 1
    return z, y


def test_patches_find_what_was_planted_and_nothing_in_another_order():
    z, y = planted()
    rows, maps, segments = gsr_metrics.patches(z, y, 4, GRID, 199, generator(0, "a"))
    found = by_name(rows)
    np.testing.assert_allclose(maps, structure.class_maps(z, y, 4))
    np.testing.assert_array_equal(segments, structure.segment(maps))
    assert found["compactness"]["value"] == found["classes_shown"]["value"] == 1
    for name in ("map_rayleigh", "moran", "purity", "compactness", "sample_rayleigh"):
        assert found[name]["p"] <= 0.01, name
    laplacian = lattices.laplacian(GRID).toarray()
    assert found["penalty"]["value"] == pytest.approx(np.mean([row @ laplacian @ row for row in z]))
    assert found["power"]["value"] == pytest.approx((z**2).sum(1).mean())
    order = np.random.default_rng(3).permutation(16)
    mixed = by_name(gsr_metrics.patches(z[:, order], y, 4, GRID, 199, generator(0, "a"))[0])
    assert mixed["moran"]["p"] > 0.05


def test_components_of_planted_blocks():
    base = np.random.default_rng(1).normal(size=(50, 3)).repeat(4, 1)
    z = torch.from_numpy(base + np.random.default_rng(2).normal(size=base.shape) * 0.01).float()
    graph = coactivation.learned(z, "knn", 2)
    found = by_name(gsr_metrics.components(graph, z, 0.1, 1e-3))
    assert found["components"]["value"] == found["spectral_components"]["value"] == 3
    assert (found["connected"]["value"], found["silent"]["value"]) == (0, 0)
    z[:, 4] = 1  # a silent neuron is no component
    assert by_name(gsr_metrics.components(graph, z, 0.1, 1e-3))["silent"]["value"] == 1


def test_supernodes_want_pairs_that_code_one_cluster_each():
    y = np.arange(60) % 6
    exact = np.eye(6)[y]

    def supernodes(z, graph=PAIRS):
        return by_name(gsr_metrics.supernodes(z, y, 6, 2, graph, generator(0, "s"))[0])

    found = supernodes(exact)
    assert {row["value"] for row in found.values()} == {1}
    assert list(found) == ["supernodes", "nodes_apart", "both", "pairs_apart", "parts_apart", "both_by_pairs"]
    assert found["supernodes"]["p"] == pytest.approx(1 / 15)  # of the 15 ways to pair six nodes up, this one
    across = supernodes(exact[:, [0, 2, 4, 1, 3, 5]])
    assert (across["supernodes"]["value"], across["both"]["value"]) == (0, 0)
    shared = supernodes(exact[:, [0, 1, 0, 1, 4, 5]])
    assert shared["supernodes"]["value"] == pytest.approx(1 / 3)  # two pairs code the same cluster
    silent = supernodes(np.zeros((60, 6)))
    assert not any(row["value"] for row in silent.values())
    half = exact.copy()
    half[:, :2] = 0.5  # a pair of silent nodes codes nothing
    found = supernodes(half)
    assert found["supernodes"]["value"] == pytest.approx(2 / 3)
    assert found["nodes_apart"]["value"] == pytest.approx(4 / 6)
    many = supernodes(np.hstack([exact, exact[:, :2]]), lattices.paths(4, 2))
    assert 0 < many["supernodes"]["p"] <= 1


def test_a_ring_that_turns_with_the_object():
    angles = 2 * np.pi * np.arange(72) / 72
    nodes = 2 * np.pi * np.arange(20) / 20
    z = np.cos(angles[:, None] - nodes)
    found = gsr_metrics.ring(z, angles, 99, generator(0, "r"))[0]
    assert found["value"] == pytest.approx(1)
    assert found["p"] == 0.01
    assert gsr_metrics.ring(z[:, ::-1], angles, 99, generator(0, "r"))[0]["value"] == pytest.approx(1)


def test_the_graph_of_cells_is_that_of_brute_force():
    x = np.random.default_rng(4).normal(size=(25, 3))
    x[7] = x[3]  # two cells at one place
    found = gsr_metrics.cell_graph(x, 4).toarray()
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, 1)[:, :4]
    scale = np.sort(distances, 1)[:, 3]
    expected = np.zeros((25, 25))
    for i in range(25):
        for j in order[i]:
            expected[i, j] = expected[j, i] = np.exp(-(distances[i, j] ** 2) / (scale[i] * scale[j]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    heap = np.vstack([np.zeros((6, 3)), x[:4]])  # more cells at one place than neighbours
    with np.errstate(invalid="raise"):
        alike = gsr_metrics.cell_graph(heap, 4).toarray()
    assert np.isfinite(alike).all()
    assert alike[0, 1:5].max() == 1
    with pytest.raises(InputError, match="25 neighbours, it takes 1 to 24"):
        gsr_metrics.cell_graph(x, 25)


def test_neurons_that_follow_the_time():
    times = np.linspace(0, 1, 200)
    centres = np.linspace(0, 1, 12)
    z = torch.from_numpy(np.exp(-((times[:, None] - centres) ** 2) / 0.02)).float()
    times[0] = np.inf  # a cell that is not reached
    path = torch.from_numpy(lattices.paths(1, 12).toarray())
    rows, place, time = gsr_metrics.along(z, times, path, 0.1, generator(0, "t"))
    found = by_name(rows)
    assert found["order_correlation"]["value"] > 0.99
    assert found["order_correlation"]["p"] <= 0.01
    assert found["order_nodes"]["value"] == 1
    assert abs(np.corrcoef(place, time)[0, 1]) > 0.9
    rows, place, _ = gsr_metrics.along(z, times, torch.zeros(12, 12), 0.1, generator(0, "t"))
    assert np.isnan(by_name(rows)["order_correlation"]["value"])
    assert np.isnan(place).all()


def test_dimensions_that_do_the_same_are_aligned():
    same = np.outer([1, 2, 3], [1.0, -1, 0.1, 0.2, 0.3])
    found = gsr_metrics.alignment(same, 199, generator(0, "c"))[0]
    assert found["value"] == pytest.approx(1)
    assert found["p"] < 0.05
    opposed = np.array([[1.0, -1], [-1, 1]])
    assert gsr_metrics.alignment(opposed, 19, generator(0, "c"))[0]["value"] == 0
    # Its null is that of all ways to match the dimensions of three classes, and p the share of them as well aligned.
    s = np.array([[3.0, -1, 0.5], [2, -2, 0.1], [1, -1, 1]])
    scaled = s / np.abs(s).max(1, keepdims=True)

    def by_hand(rows):
        return sum(abs(sum(row[d] for row in rows)) for d in range(3)) / np.abs(scaled).sum()

    every = [
        by_hand([scaled[0], scaled[1][list(a)], scaled[2][list(b)]])
        for a in permutations(range(3))
        for b in permutations(range(3))
    ]
    found = gsr_metrics.alignment(s, 4000, generator(0, "c"))[0]
    assert found["value"] == pytest.approx(by_hand(scaled))
    assert found["null"] == pytest.approx(np.mean(every), abs=0.02)
    assert found["p"] == pytest.approx(np.mean([one >= by_hand(scaled) - 1e-9 for one in every]), abs=0.02)


def test_slopes_are_those_of_a_line():
    steps = [-1.0, 0.0, 2.0]
    images = np.array([[[3 * s + 1, 5 * s] for s in steps]])
    np.testing.assert_allclose(gsr_metrics.slopes(images, steps), [4])


def tables():
    rows, training = [], []
    for seed in (0, 1):
        for part in ("a", "b"):
            for variant, weight in (("none", 0.0), ("gsr", 0.1), ("gsr", 1.0), ("gsr", 10.0), ("l2", 1.0)):
                keys = {"seed": seed, "part": part, "variant": variant, "weight": weight}
                rows.append({**keys, "metric": "moran", "value": weight + seed, "null": 0.5, "sd": 0.25, "p": 0.01})
                rows.append({**keys, "metric": "power", "value": 2.0, "null": np.nan, "sd": np.nan, "p": np.nan})
                for iteration, value in ((10, 9.0), (20, weight)):
                    training.append(
                        {**keys, "iteration": iteration, "split": "test", "metric": "reconstruction", "value": value}
                    )
    return pd.DataFrame(rows), pd.DataFrame(training)


def test_metrics_have_a_row_a_run_a_mean_over_parts_and_a_curve():
    table = gsr_metrics.metrics(*tables(), "none")
    assert table["level"].value_counts().to_dict() == {"run": 20, "mean": 10, "curve": 2}
    run = table[(table["level"] == "run") & (table["part"] == "a") & (table["seed"] == 1)].set_index(
        ["variant", "weight"]
    )
    assert run.loc[("gsr", 1.0), "moran"] == 2
    assert run.loc[("gsr", 1.0), "moran_z"] == (2 - 0.5) / 0.25
    assert run.loc[("gsr", 1.0), "moran_p"] == 0.01
    assert run.loc[("gsr", 1.0), "moran_gain"] == 1
    assert run.loc[("gsr", 1.0), "test_reconstruction"] == 1  # the last one
    assert run.loc[("gsr", 10.0), "rank"] == 2
    assert "power_p" not in table
    mean = table[(table["level"] == "mean") & (table["seed"] == 1)].set_index(["variant", "weight"])
    assert (mean["runs"] == 2).all()
    assert mean.loc[("l2", 1.0), "moran"] == 2
    curve = table[table["level"] == "curve"].iloc[0]
    assert (curve["variant"], curve["rises"]) == ("gsr", 1)
    assert curve["midway"] == pytest.approx(0 + (5.05 - 1) / 9)
    with pytest.raises(InputError, match="the reference gsr has more than one weight"):
        gsr_metrics.metrics(*tables(), "gsr")


def watched(**curves):
    """Training tables of one seed: training and test accuracies of each variant at iterations 10, 20, ..."""
    return pd.DataFrame(
        {
            "seed": 0, "part": "all", "variant": variant, "weight": weight, "iteration": 10 * (i + 1),
            "split": split, "metric": "accuracy", "value": value,
        }
        for (variant, weight), of in zip((("none", 0.0), ("gsr", 0.1)), curves.values(), strict=True)
        for split, values in zip(("train", "test"), of, strict=True)
        for i, value in enumerate(values)
    )  # fmt: skip


def test_accuracies_are_compared_where_trainings_have_come_equally_far():
    slow, fast = ([0.5, 0.7, 0.8], [0.4, 0.6, 0.65]), ([0.6, 0.9, 0.95], [0.5, 0.8, 0.82])
    table = gsr_metrics.equally_far(watched(slow=slow, fast=fast), "none").set_index("variant")
    # Both come to 0.8: the slow one in the end, the fast one two thirds of the way to its second point.
    assert table.loc["gsr", "matched"] == pytest.approx(0.5 + 0.3 * 2 / 3)
    assert table.loc["gsr", "matched_gain"] == pytest.approx(0.7 - 0.65)
    assert table.loc["none", "matched_gain"] == 0
    # The same curve, run through twice as fast, is no gain.
    twice = ([0.7, 0.8, 0.9], [0.6, 0.65, 0.7])
    assert gsr_metrics.equally_far(watched(slow=slow, fast=twice), "none")["matched_gain"].tolist() == [0, 0]
    once = watched(slow=([0.5], [0.4]), fast=([0.6], [0.5]))
    assert not len(gsr_metrics.equally_far(once, "none"))
    found = gsr_metrics.metrics(pd.DataFrame(), watched(slow=slow, fast=fast), "none")
    gains = found[found["level"] == "run"].set_index("variant")["matched_gain"]
    assert gains["gsr"] == pytest.approx(0.05)


@pytest.mark.parametrize("seed", range(6))
def test_pairs_of_nodes_are_those_of_a_count_by_hand(seed):
    """Super nodes, from the paper's words alone: a pair for each big cluster, a node in it for each of its parts."""
    y = np.arange(60) % 6
    z = np.random.default_rng(seed).random((6, 6))[y]
    if seed > 2:
        z += np.kron(np.eye(3), np.ones((2, 2)))[y]  # every pair has its cluster
    found = by_name(gsr_metrics.supernodes(z, y, 6, 2, PAIRS, generator(0, "s"))[0])
    mean = {(c, n): z[y == c, n].mean() for c in range(6) for n in range(6)}
    least, largest = z.min(0), z.max(0)
    mean = {(c, n): (value - least[n]) / (largest[n] - least[n]) for (c, n), value in mean.items()}
    own, parts = [], []
    for a, b in ((0, 1), (2, 3), (4, 5)):
        sums = [sum(mean[c, n] for c in (2 * k, 2 * k + 1) for n in (a, b)) for k in range(3)]
        own.append(sums.index(max(sums)))
        first, second = (mean[2 * own[-1], n] > mean[2 * own[-1] + 1, n] for n in (a, b))
        parts.append(first != second)
    alone = [own.count(cluster) == 1 for cluster in own]
    assert found["pairs_apart"]["value"] == pytest.approx(sum(alone) / 3)
    assert found["parts_apart"]["value"] == pytest.approx(sum(parts) / 3)
    assert found["both_by_pairs"]["value"] == (all(alone) and all(parts))
    if seed > 2:
        assert all(alone)


# the chain


def test_clusters_are_scikit_learns_and_their_stability_is_that_of_two_halves():
    base = np.random.default_rng(5).normal(size=(120, 4)).repeat(5, 1)
    z = (base + np.random.default_rng(6).normal(size=base.shape)).astype(np.float32)

    def labels(part):
        s = spearmanr(part).statistic
        median = np.median(s[~np.eye(len(s), dtype=bool)])
        own = AffinityPropagation(affinity="precomputed", damping=0.9, max_iter=1000, preference=median, random_state=0)
        return own.fit(s).labels_

    found = by_name(chain.neuron_clusters(np.hstack([z, np.zeros((120, 1))]), generator(0, "k")))
    order = generator(0, "k").permutation(120)
    assert found["clusters"]["value"] == len(set(labels(z)))
    expected = adjusted_rand_score(labels(z[order[:60]]), labels(z[order[60:]]))
    assert found["stability"]["value"] == pytest.approx(expected)
    assert np.isnan(by_name(chain.neuron_clusters(z[:, :1], generator(0, "k")))["clusters"]["value"])


def test_a_patch_grows_from_the_peak_along_the_best_neighbours():
    maps = np.array([[6.0, 2, 1, 1, 0, 0], [0, 0, 1, 3, 1, 5], [0, 0, 0, 0, 0, 0]])
    found = chain.grown_patches(maps, lattices.paths(1, 6), 3)
    assert [np.flatnonzero(row).tolist() for row in found] == [[0, 1, 2], [3, 4, 5], []]
    pieces = sparse.block_diag([lattices.paths(1, 2), lattices.paths(1, 4)])
    assert chain.grown_patches(maps, pieces, 3).sum(1).tolist() == [2, 3, 0]  # no neighbour is left
    planted_maps = structure.class_maps(*planted(), 4)
    corners = chain.grown_patches(planted_maps, GRID, 4)
    np.testing.assert_array_equal(corners, np.eye(4, dtype=bool)[structure.segment(planted_maps)].T)
    with pytest.raises(InputError, match="patches of 7 nodes are asked for, they take 1 to 6"):
        chain.grown_patches(maps, lattices.paths(1, 6), 7)
    with pytest.raises(InputError, match="patches take \\[2 or more, 6\\]"):
        chain.grown_patches(maps[:, :5], lattices.paths(1, 6), 2)


def selective():
    """A perceptron whose hidden units 2c and 2c + 1 alone speak for class c."""
    network = MLP(3, 3, [6])
    with torch.no_grad():
        network.linear1.weight.copy_(torch.eye(3).repeat_interleave(2, 0))
        network.linear1.bias.zero_()
        network.linear2.weight.copy_(torch.eye(3).repeat_interleave(2, 1))
        network.linear2.bias.copy_(torch.tensor([0.3, 0.2, 0.1]))
    y = np.arange(30) % 3
    return network, torch.eye(3)[torch.from_numpy(y)], y


def test_lesions_of_selective_patches_are_sharp():
    network, x, y = selective()
    patches = np.eye(3, dtype=bool).repeat(2, 1)
    found = by_name(chain.patch_lesions(network, "relu1", x, y, patches, 99, generator(0, "l")))
    # Silencing class 0 leaves its samples with the largest bias, which is its own.
    assert found["own_loss"]["value"] == pytest.approx(2 / 3)
    assert found["other_loss"]["value"] == 0
    assert found["sharpness"]["value"] == pytest.approx(2 / 3)
    assert found["sharpness"]["p"] < 0.2
    assert (network(x).argmax(1).numpy() == y).all()  # nothing stays silent
    none = by_name(chain.patch_lesions(network, "relu1", x, y, np.zeros((3, 6), bool), 9, generator(0, "l")))
    assert np.isnan(none["sharpness"]["value"])


def test_regions_on_a_line_are_one_more_than_its_borders():
    """Units that switch at 1, 2, ..., 9, and samples on a line: as many borders as thresholds between two samples."""
    network = MLP(1, 3, [9])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.linear1.weight.fill_(1.0)
        network.linear1.bias.copy_(-torch.arange(1.0, 10.0))
    x = torch.tensor([[0.5], [9.5]])
    found = by_name(chain.region_counts(network, x, np.random.default_rng(0)))
    assert found["line_regions"]["value"] == 10
    assert found["regions"]["value"] == 2
    assert by_name(chain.region_counts(network, x[[0, 0]], np.random.default_rng(0)))["line_regions"]["value"] == 1


def test_influence_finds_samples_that_lie_among_those_of_another_class():
    """Two clouds, each its class; one sample a cloud is taken for the other class, and so is misread."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    z = rng.normal(size=(200, 3)) + 10 * y[:, None]
    predicted = y.copy()
    predicted[[5, 150]] = 1 - y[[5, 150]]
    (row,) = chain.misread_influence(z, predicted, y)
    assert row["metric"] == "misread_auroc"
    assert row["value"] == 1
    index = cKDTree(z).query(z, 31)[1][:, 1:]
    graph = np.zeros((200, 200))
    graph[np.arange(200)[:, None], index] = 1
    graph = np.maximum(graph, graph.T)
    predicted = np.where(rng.random(200) < 0.2, 1 - y, y)
    f = (graph * (predicted[:, None] != predicted)).sum(1) / graph.sum(1)
    scale = 1 / np.sqrt(graph.sum(1))
    influence = abs(f - (scale[:, None] * graph * scale) @ f)
    (row,) = chain.misread_influence(z, predicted, y)
    assert row["value"] == pytest.approx(roc_auc_score(predicted != y, influence), abs=1e-3)
    for taken in (y, np.zeros(200, int)):
        assert np.isnan(chain.misread_influence(z, taken, y)[0]["value"])


def test_regions_are_counted_by_their_patterns():
    network = MLP(4, 3, [5, 4])
    generator_ = torch_generator(0, "w")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator_)
    x = torch.randn(200, 4, generator=generator_)
    found = by_name(chain.region_counts(network, x, np.random.default_rng(0)))
    first = network.linear1(x)
    second = network.linear2(first.relu())
    patterns = torch.cat([first > 0, second > 0], 1).numpy()
    _, counts = np.unique(patterns, axis=0, return_counts=True)
    assert found["regions"]["value"] == len(counts)
    shares = counts / 200
    assert found["region_entropy"]["value"] == pytest.approx(-(shares * np.log2(shares)).sum())
    assert regions.activation_patterns(network, x).shape[0] == 200
    assert all(a <= b for a, b in pairwise(sorted(counts)))


def test_a_mixture_of_two_classes_is_found():
    """By hand: the third class lies a quarter of the way, and a part of its offset across."""
    a, b = np.zeros(6), np.array([2.0, 0, 0, 0, 0, 0])
    across = np.array([0, 0.5, 0, 0, 0, 0])
    y = np.repeat([0, 1, 2], 4)
    z = np.stack([a, a + 0.25 * (b - a) + across, b])[y] + np.tile([[1.0], [-1.0]], (6, 6))
    rows = {row["metric"]: row for row in gsr_metrics.mixture(z, y, 1, (0, 2), 99, np.random.default_rng(0))}
    assert rows["mixed"]["value"] == pytest.approx(0.25 / (0.25 + 0.25))
    assert rows["mixed_share"]["value"] == pytest.approx(0.25)
    assert 0.01 <= rows["mixed"]["p"] <= 1
    missing = gsr_metrics.mixture(z[y != 2], y[y != 2], 1, (0, 2), 9, np.random.default_rng(0))
    assert all(np.isnan(row["value"]) for row in missing)


def test_classes_that_have_nothing_to_do_with_one_another_are_no_mixture():
    """m - a and b - a share a, which random orders of m keep: p is as often small as it says."""
    y, ps, values = np.arange(3), [], []
    for seed in range(200):
        stream = np.random.default_rng(seed)
        row = by_name(gsr_metrics.mixture(stream.normal(size=(3, 100)), y, 1, (0, 2), 99, stream))["mixed"]
        ps.append(row["p"])
        values.append(row["value"])
    assert np.mean(values) == pytest.approx(0.25, abs=0.02)
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_a_mixture_is_the_projection_of_least_squares():
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(60, 5)), np.arange(60) % 3
    m = [z[y == c].mean(0) for c in range(3)]
    line = (m[0] - m[1])[:, None]
    share, residual, _, _ = np.linalg.lstsq(line, m[2] - m[1], rcond=None)
    rows = {row["metric"]: row["value"] for row in gsr_metrics.mixture(z, y, 2, (1, 0), 9, rng)}
    assert rows["mixed_share"] == pytest.approx(share[0])
    assert rows["mixed"] == pytest.approx(1 - residual[0] / ((m[2] - m[1]) ** 2).sum())


def test_a_misread_sample_lights_the_patch_that_it_is_taken_for():
    """Nodes 0 and 1 are of class 0, node 2 of class 1, node 3 of none, and class 2 owns no node."""
    segments = [0, 0, 1, -1]
    z = np.array([[0.0, 1, 3, 9], [1, 5, 2, 9], [1, 0, 9, 9], [9, 9, 0, 0], [0, 0, 9, 0]])
    y, taken = np.array([0, 0, 1, 1, 2]), np.array([1, 1, 1, 0, 1])
    # The means on classes 0 and 1: (0.5, 3), (3, 2), right, (9, 0), and no patch of its own.
    assert gsr_metrics.misread(z, y, taken, segments)["value"] == pytest.approx(2 / 3)
    assert np.isnan(gsr_metrics.misread(z, y, y, segments)["value"])
