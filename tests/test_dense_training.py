"""Dense classifiers with a map: their training against a plain loop, a shuffled graph, and bad input."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from interneuron import lattices, structured_classifiers
from interneuron.dense_training import train_dense
from interneuron.errors import InputError
from interneuron.nets import initialise
from interneuron.seeds import torch_generator
from interneuron.structured_classifiers import accuracy, build, restored
from interneuron.structured_training import DivergedError

RNG = np.random.default_rng(0)
Y = torch.from_numpy(RNG.integers(3, size=60))
X = torch.from_numpy(RNG.integers(0, 80, (60, 8, 8)).astype(np.uint8))
for sample, label in enumerate(Y.tolist()):  # something to learn
    X[sample, 2 * label : 2 * label + 2] = 255
NETWORK = {"height": 8, "width": 8, "classes": 3, "hidden": [5], "nodes": 6}
GRID = lattices.grid(2, 3)


def run(seeds=(0, 1), **changes):
    settings = {"layer": "code", "weights": {}, "epochs": 2, "learning_rate": 1e-2, "batch": 16, "report_every": 3}
    return train_dense("dense-classifier", NETWORK, X, Y, X[:20], Y[:20], seeds, **{**settings, **changes})


def values(rows, metric, split="train", seed=0):
    return [r["value"] for r in rows if (r["metric"], r["split"], r["seed"]) == (metric, split, seed)]


def plain(seed, laplacian, weights, epochs=2, change=lambda network: None):
    """Parameters of one network of a loop over batches, written from the paper: cross-entropy and z' L z."""
    network = build("dense-classifier", NETWORK)
    initialise(network, torch_generator(seed, "initialisation"))
    change(network)
    order, steps = torch_generator(seed, "order"), torch.optim.Adam(network.parameters(), lr=1e-2)
    w = dict(network.named_parameters())
    for _ in range(epochs):
        for part in torch.randperm(60, generator=order).split(16)[:3]:
            h = X[part].flatten(1).float() / 255
            h = functional.leaky_relu(h @ w["features.linear1.weight"].T + w["features.linear1.bias"], 0.2)
            z = functional.leaky_relu(h @ w["embedding.weight"].T + w["embedding.bias"], 0.2)
            loss = functional.cross_entropy(z @ w["output.weight"].T + w["output.bias"], Y[part])
            for one in z:
                loss = loss + weights.get("gsr", 0) * (one @ laplacian @ one) / 16
                loss = loss + (weights.get("l1", 0) * one.abs().sum() + weights.get("l2", 0) * (one**2).sum()) / 16
            steps.zero_grad()
            loss.backward()
            steps.step()
    return {name: value.detach() for name, value in w.items()}


@pytest.mark.parametrize("weights", [{}, {"gsr": 0.3}, {"gsr": 0.05, "l1": 0.01, "l2": 0.02}])
def test_training_is_that_of_a_plain_loop_on_every_seed(weights):
    found, rows = run(weights=weights, graph=GRID)
    laplacian = torch.from_numpy(lattices.laplacian(GRID).toarray()).float()
    for s in range(2):
        for name, expected in plain(s, laplacian, weights).items():
            torch.testing.assert_close(found[name][s], expected, rtol=1e-3, atol=1e-4)
        network = restored(found, s, "dense-classifier", NETWORK)
        assert values(rows, "accuracy", "test", s)[-1] == pytest.approx(accuracy(network, X[:20], Y[:20], 255.0))
        assert values(rows, "accuracy", "train", s)[-1] == pytest.approx(accuracy(network, X, Y, 255.0))
    assert len(values(rows, "accuracy", "test")) == 2  # one an epoch
    assert all(len(values(rows, name)) == 2 for name in weights)


def test_accuracies_are_those_of_shorter_trainings():
    """What is watched at the end of an epoch is what training to there ends with, and watching changes nothing."""
    _, rows = run(weights={"gsr": 0.1}, graph=GRID, epochs=3)
    for epochs in (1, 2):
        _, shorter = run(weights={"gsr": 0.1}, graph=GRID, epochs=epochs)
        for split in ("train", "test"):
            assert values(rows, "accuracy", split)[:epochs] == values(shorter, "accuracy", split)


def test_a_shuffled_graph_is_the_graph_with_its_units_renamed():
    """So shuffling a dense layer's grid is no other training: only the units' names tell the two apart."""
    order = torch.from_numpy(np.random.default_rng(3).permutation(6))
    laplacian = torch.from_numpy(lattices.laplacian(GRID).toarray()).float()

    def renamed(network):
        with torch.no_grad():
            network.embedding.weight.copy_(network.embedding.weight[order])
            network.output.weight.copy_(network.output.weight[:, order])

    grid = plain(0, laplacian, {"gsr": 0.3})
    shuffled = plain(0, laplacian[order][:, order], {"gsr": 0.3}, change=renamed)
    torch.testing.assert_close(shuffled["embedding.weight"], grid["embedding.weight"][order], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(shuffled["output.bias"], grid["output.bias"], rtol=1e-3, atol=1e-4)


def test_a_seed_does_not_depend_on_its_company():
    both, alone = run(weights={"gsr": 0.1}, graph=GRID)[0], run([1], weights={"gsr": 0.1}, graph=GRID)[0]
    for name, value in alone.items():
        torch.testing.assert_close(both[name][1], value[0], rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights():
    with pytest.raises(DivergedError, match=r"no longer finite in iteration \d+ \(seed 0, 1\)") as caught:
        run(learning_rate=1e30)
    assert all(torch.isfinite(value).all() for value in caught.value.trained.weights.values())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": [0, 0]}, "it takes each seed once"),
        ({"batch": 61}, "batches of 61 of 60 images"),
        ({"layer": "relu"}, "no layer 'relu' in the network, which has features.linear1"),
        ({"weights": {"gsr": 0.1}}, "there is no graph, and the penalty gsr takes one"),
        (
            {"weights": {"gsr": 0.1}, "graph": lattices.grid(2, 2)},
            "layer 'code' .* its graph 4|graph of 4 nodes|6 units",
        ),
        ({"weights": {"ridge": 0.1}}, "the penalty is 'ridge'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run(**({"weights": {"l1": 0.1}} | changes))


def test_a_layer_without_units_is_refused():
    with pytest.raises(InputError, match="a layer of 0 units"):
        structured_classifiers.DenseClassifier(8, 8, 3, hidden=[0])
