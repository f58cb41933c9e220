"""Picchiotti and Gori's Boolean task from weights to metrics, against their section 2 written down again in NumPy."""

from itertools import chain, pairwise, product

import numpy as np
import pandas as pd
import pytest
import torch

from interneuron import region_metrics, regions
from interneuron.nets import build

TERMS = [{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]


def inputs_of(features):
    """All inputs, the truth of each, and which of the terms it fits (2: none)."""
    x = np.array(list(product([0, 1], repeat=features)), np.float32)
    terms = np.where((x[:, 0] == 1) & (x[:, 2] == 1), 0, np.where((x[:, 1] == 1) & (x[:, 2] == 0), 1, 2))
    return x, (terms < 2).astype(np.int64), terms


def loaded(weights, biases):
    sizes = [len(bias) for bias in biases]
    network = build("mlp", {"inputs": len(weights[0][0]), "classes": 2, "hidden": sizes[:-1]})
    given = chain.from_iterable(zip(weights, biases, strict=True))
    for target, source in zip(network.parameters(), given, strict=True):
        with torch.no_grad():
            target.copy_(torch.as_tensor(np.asarray(source), dtype=torch.float32))
    return network


def found_by_interneuron(network, x, y, terms):
    """What scripts/regions.py and scripts/evaluate.py make of one network."""
    names = [f"v{i + 1}" for i in range(x.shape[1])]
    points = torch.from_numpy(x)
    found = regions.unique_patterns(regions.activation_patterns(network, points))
    predicted = regions.predicted_classes(regions.network_outputs(network, points)).numpy()
    units = [site.units for site in regions.sites(network, points[:1])]
    table = region_metrics.describe(
        found.labels, regions.unpack_patterns(found.patterns, sum(units)), units, y, predicted
    )
    omega, b = (part.numpy() for part in regions.affine_maps(network, points[found.first]))
    labels, count = region_metrics.sets(x, names, terms=terms)
    counts = np.zeros((found.count, count), np.int64)
    np.add.at(counts, (found.labels, labels), 1)
    values = [{names.index(name): value for name, value in term.items()} for term in terms]
    row = region_metrics.labelling(counts)
    row |= region_metrics.terms(counts, omega[:, 0], list(table["pattern"]), values)
    return found.labels, table, omega[:, 0], b[:, 0], row


def by_the_paper(weights, biases, u):
    """Pattern of one input, and the affine map of its cluster: equations 2 and 3, with the rows of active units."""
    weights, biases = ([np.asarray(part, np.float64) for part in parts] for parts in (weights, biases))
    h, pattern, omega, b = u.astype(np.float64), [], np.eye(len(u)), np.zeros(len(u))
    for layer, (w, c) in enumerate(zip(weights, biases, strict=True)):
        z = w @ h + c
        on = np.ones(len(c)) if layer + 1 == len(weights) else (z > 0).astype(float)
        omega, b, h = on[:, None] * (w @ omega), on * (w @ b + c), on * z
        if layer + 1 < len(weights):
            pattern += [int(unit) for unit in on]
    return tuple(pattern), omega[0], b[0]


def test_the_network_that_the_paper_describes():
    # A unit for v1 and v3, one for v2 and not v3, two that are never on; both of the second layer wait for either.
    x, y, _ = inputs_of(10)
    first = np.zeros((4, 10))
    first[0, [0, 2]], first[1, [1, 2]] = 1, [1, -1]
    weights = [first, [[1, 1, 0, 0], [2, 2, 0, 0]], [[20, 20]]]
    biases = [[-1.5, -0.5, -1, -1], [-0.1, -0.1], [-4]]
    _, table, omega, _, row = found_by_interneuron(loaded(weights, biases), x, y, TERMS)
    assert sorted(table["pattern"]) == ["0000|00", "0100|11", "1000|11"]
    assert sorted(table["samples"]) == [256, 256, 512]
    assert (table["right"] == table["samples"]).all()
    assert row["identical"] == row["refines"] == row["signs_right"] == row["one_unit_each"] == row["last_on"] == 1
    assert row["noise"] == 0
    of_v1_and_v3 = omega[table["pattern"] == "1000|11"][0]
    np.testing.assert_allclose(of_v1_and_v3, [60, 0, 60, *[0] * 7])
    training = pd.DataFrame([{"seed": 0, "iteration": 1, "split": "test", "metric": "accuracy", "value": 1.0}])
    network = region_metrics.networks(table.assign(seed=0), training).iloc[0]
    assert (network["solved"], network["regions"], network["silent"], network["silent_first"]) == (1, 3, 1, 1)


@pytest.mark.parametrize("features", [3, 10])
@pytest.mark.parametrize("seed", range(6))
def test_clusters_and_maps_of_any_network_are_those_of_the_paper(features, seed):
    random = np.random.default_rng(seed)
    sizes = [features, 4, 2, 1]
    weights = [random.normal(size=(b, a)).astype(np.float32) for a, b in pairwise(sizes)]
    biases = [random.normal(scale=0.3, size=b).astype(np.float32) for b in sizes[1:]]
    x, y, terms = inputs_of(features)
    labels, table, omega, b, row = found_by_interneuron(loaded(weights, biases), x, y, TERMS)
    own = [by_the_paper(weights, biases, u) for u in x]
    clusters = {}
    for sample, (pattern, _, _) in enumerate(own):
        clusters.setdefault(pattern, []).append(sample)
    assert len(clusters) == len(table)
    for pattern, members in clusters.items():
        (region,) = set(labels[members].tolist())
        assert table["pattern"][region].replace("|", "") == "".join(map(str, pattern))
        assert table["samples"][region] == len(members)
        _, weight, offset = own[members[0]]
        np.testing.assert_allclose(omega[region], weight, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b[region], offset, rtol=1e-4, atol=1e-5)
        logits = x[members].astype(np.float64) @ weight + offset
        assert table["classes"][region] == len(set((logits > 0).tolist()))
    assert row["refines"] == all(len(set(terms[members].tolist())) == 1 for members in clusters.values())
    assert row["identical"] == (
        {tuple(members) for members in clusters.values()}
        == {tuple(np.flatnonzero(terms == term).tolist()) for term in range(3)}
    )
