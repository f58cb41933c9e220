"""Classifiers with a penalty on a layer against plain loops; capsules; and the penalty on any architecture's layer."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from interneuron import lattices, shaped_training, structured_classifiers
from interneuron.errors import InputError
from interneuron.nets import initialise, load
from interneuron.seeds import torch_generator
from interneuron.shaped_training import LayerPenalty, train_shaped
from interneuron.structured_classifiers import accuracy, build, restored, train_classifiers
from interneuron.structured_training import DivergedError
from interneuron.training import train
from interneuron.training import train_classifiers as train_plainly
from interneuron.wavelets import filters

RNG = np.random.default_rng(0)
Y = torch.from_numpy(RNG.integers(3, size=60))
X = torch.from_numpy(RNG.integers(0, 80, (60, 8, 8)).astype(np.uint8))
for sample, label in enumerate(Y.tolist()):  # something to learn
    X[sample, 2 * label : 2 * label + 2] = 255
MAP = {"height": 8, "width": 8, "classes": 3, "channels": [3], "kernel": 3, "nodes": 6, "dropout": 0.0}
WAVELETS = {
    "height": 8, "width": 8, "classes": 3, "channels": [3], "kernel": 3, "dropout": 0.0,
    "graph": {"kind": "grid", "sizes": {"height": 2, "width": 3}}, "atoms": {"kernel": "meyer", "scales": 2},
}  # fmt: skip
PERCEPTRON = {"height": 8, "width": 8, "classes": 3, "hidden": [6, 4]}
GRID = lattices.grid(2, 3)


def run(architecture="map-classifier", arguments=MAP, seeds=(0, 1), **changes):
    settings = {"layer": "code", "weights": {}, "epochs": 2, "learning_rate": 1e-2, "batch": 16, "report_every": 3}
    return train_classifiers(architecture, arguments, X, Y, X[:20], Y[:20], seeds, **{**settings, **changes})


def values(rows, metric, split="train"):
    return [row["value"] for row in rows if row["metric"] == metric and row["split"] == split]


def test_convolutions_see_the_map_as_an_image():
    """Against the functions, with the weights of a trained network; and its penalty makes the map smoother."""
    sizes = MAP | {"nodes": 24, "rows": 4, "convolutions": 3}
    graph = lattices.grid(4, 6)
    found, rates = {}, {}
    for weight in (0.0, 1.0):
        weights, rows = run("convolved-map", sizes, weights={"gsr": weight}, graph=graph, epochs=4)
        found[weight], rates[weight] = weights, values(rows, "rayleigh")[-1]
    assert rates[1.0] < rates[0.0]
    network = restored(found[0.0], 1, "convolved-map", sizes)
    own = {name: value[1] for name, value in found[0.0].items()}
    x = X[:5].float().unsqueeze(1) / 255
    h = functional.leaky_relu(functional.linear(network.features(x).flatten(1), *pair(own, "embedding")), 0.2)
    h = h.view(-1, 1, 4, 6)
    for i in (1, 2, 3):
        h = functional.leaky_relu(functional.conv2d(h, *pair(own, f"output.conv{i}"), padding=1), 0.2)
        h = functional.max_pool2d(h, 2) if i < 3 else h
    logits = functional.linear(h.flatten(1), *pair(own, "output.classes"))
    torch.testing.assert_close(network(x), logits)


def pair(weights, layer):
    return weights[f"{layer}.weight"], weights[f"{layer}.bias"]


def plain(seed):
    """Network and optimiser of a plain loop, and the samples of its batches: two epochs of three."""
    network = build("map-classifier", MAP)
    initialise(network, torch_generator(seed, "initialisation"))
    order = torch_generator(seed, "order")
    parts = [part for _ in range(2) for part in torch.randperm(60, generator=order).split(16)[:3]]
    return network, torch.optim.Adam(network.parameters(), lr=1e-2), parts


@pytest.mark.parametrize("device", ["tpu", *([] if torch.cuda.is_available() else ["cuda"])])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match=f"device is '{device}', it takes one of cpu, cuda"):
        run(device=device)


@pytest.mark.parametrize(("layer", "graph"), [("code", GRID), ("features.leaky1", lattices.paths(1, 3))])
def test_penalised_training_is_that_of_a_plain_loop(layer, graph):
    """On a convolution the nodes are its three channels, and each position counts as a sample."""
    weights, rows = run(layer=layer, weights={"gsr": 0.05, "l1": 0.01, "l2": 0.02}, graph=graph)
    laplacian = torch.from_numpy(lattices.laplacian(graph).toarray()).float()
    for s in range(2):
        network, steps, parts = plain(s)
        for part in parts:
            x = X[part].float().unsqueeze(1) / 255
            h = functional.leaky_relu(network.features.conv1(x), 0.2)  # before the maximum: the order changes nothing
            h = functional.max_pool2d(h, 2)
            z = functional.leaky_relu(network.embedding(h.flatten(1)), 0.2)
            loss = functional.cross_entropy(network.output(z), Y[part])
            penalised = z if layer == "code" else h
            nodes = z if layer == "code" else h.movedim(1, -1).flatten(0, 2)
            smooth = torch.einsum("bi,ij,bj->b", nodes, laplacian, nodes).mean()
            sizes = penalised.flatten(1)
            loss = loss + 0.05 * smooth + 0.01 * sizes.abs().sum(1).mean() + 0.02 * (sizes**2).sum(1).mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(weights[name][s], parameter.detach(), rtol=1e-3, atol=1e-4)
        found = restored(weights, s, "map-classifier", MAP)
        assert accuracy(found, X[:20], Y[:20], 255.0) == values(rows, "accuracy", "test")[s]
    assert len(values(rows, "gsr")) == 4


def test_a_map_of_atoms_trains_as_a_plain_loop_and_comes_back_from_its_parameters():
    weights, rows = run("wavelet-classifier", WAVELETS, weights={"gsr": 0.05}, graph=GRID)
    assert set(weights) == set(run(seeds=[0])[0])  # the atoms are not among them
    columns = np.concatenate([k.T for k in filters(GRID, "meyer", 2)], axis=1)
    atoms, inverse = (torch.from_numpy(matrix).float() for matrix in (columns, np.linalg.pinv(columns)))
    laplacian = torch.from_numpy(lattices.laplacian(GRID).toarray()).float()

    def forward(network, x):
        z = torch.softmax(network.embedding(network.features(x).flatten(1)) @ inverse.T, 1) @ atoms.T
        return z, network.output(z)

    for s in range(2):
        network, steps, parts = plain(s)
        for part in parts:
            z, logits = forward(network, X[part].float().unsqueeze(1) / 255)
            smooth = torch.einsum("bi,ij,bj->b", z, laplacian, z).mean()
            steps.zero_grad()
            (functional.cross_entropy(logits, Y[part]) + 0.05 * smooth).backward()
            steps.step()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(weights[name][s], parameter.detach(), rtol=1e-3, atol=1e-4)
        found, x = restored(weights, s, "wavelet-classifier", WAVELETS), X[:20].float().unsqueeze(1) / 255
        torch.testing.assert_close(found(x), forward(network, x)[1].detach(), rtol=1e-3, atol=1e-3)
        assert accuracy(found, X[:20], Y[:20], 255.0) == values(rows, "accuracy", "test")[s]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"atoms": {"kernel": "haar"}}, "no kernel 'haar'"),
        ({"atoms": {"kernel": "heat", "width": 2}}, "wavelet-classifier: .*width"),
        ({"graph": {"kind": "paths", "sizes": {"count": 3, "length": 1}}}, "has no edges"),
        ({"nodes": 6}, "wavelet-classifier: .*nodes"),
    ],
)
def test_atoms_that_there_are_none_of_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        build("wavelet-classifier", WAVELETS | change)


def test_a_seed_does_not_depend_on_its_company_and_the_global_generator_is_left_alone():
    arguments = MAP | {"dropout": 0.4}
    before = torch.get_rng_state()
    together, _ = run(arguments=arguments, seeds=(3, 4))
    alone, _ = run(arguments=arguments, seeds=(4,))
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1:], value, rtol=0, atol=0)
    plain, _ = run(seeds=(4,))
    assert not torch.equal(plain["embedding.weight"], alone["embedding.weight"])  # dropout took part
    assert torch.equal(before, torch.get_rng_state())


def test_the_penalty_smooths_the_layer_it_is_on():
    options = {"arguments": PERCEPTRON, "layer": "relu1", "graph": GRID, "epochs": 20}
    _, rough = run("map-perceptron", **options)
    _, smooth = run("map-perceptron", weights={"gsr": 1.0}, **options)
    assert values(smooth, "rayleigh")[-1] < 0.7 * values(rough, "rayleigh")[-1]
    assert values(rough, "accuracy")[-1] > 0.6


def test_capsules_are_shorter_than_one_and_reconstruct_from_the_true_class_only():
    arguments = {"height": 17, "width": 18, "classes": 3, "channels": 4, "primary": 2, "dimensions": 5, "decoder": [7]}
    network = build("capsule-net", arguments)
    initialise(network, torch_generator(0, "initialisation"))
    x = torch.rand(4, 1, 17, 18, generator=torch_generator(0, "x"))
    capsules = network.capsules(x)
    assert capsules.shape == (4, 3, 5)
    lengths = torch.linalg.vector_norm(capsules, dim=-1)
    assert ((lengths >= 0) & (lengths < 1)).all()
    torch.testing.assert_close(network(x), lengths)
    y = torch.tensor([0, 1, 2, 0])
    images = network.reconstruct(capsules, y)
    changed = capsules.clone()
    changed[torch.arange(4), (y + 1) % 3] += 1
    torch.testing.assert_close(network.reconstruct(changed, y), images)
    assert images.shape == (4, 17 * 18)


def test_routing_with_one_round_is_an_even_mixture():
    routing = structured_classifiers.Routing(4, 3, 2, 5, 1)
    torch.nn.init.normal_(routing.transform, generator=torch_generator(0, "t"))
    u = torch.rand(6, 4, 3, generator=torch_generator(0, "u"))
    votes = torch.stack([u[:, i] @ routing.transform[i] for i in range(4)], 1).view(6, 4, 2, 5)
    s = votes.sum(1) / 2
    squares = (s**2).sum(-1, keepdim=True)
    torch.testing.assert_close(routing(u), s * squares.sqrt() / (1 + squares), rtol=1e-4, atol=1e-5)


def test_a_capsule_network_trains_with_its_capsules_joined():
    arguments = {"height": 17, "width": 17, "classes": 3, "channels": 4, "primary": 2, "dimensions": 2, "decoder": [7]}
    x = torch.from_numpy(RNG.integers(0, 255, (30, 17, 17)).astype(np.uint8))
    weights, rows = train_classifiers(
        "capsule-net", arguments, x, Y[:30], x, Y[:30], [0], layer="digits", weights={"gsr": 0.1},
        graph=lattices.capsules(3, 2), epochs=1, learning_rate=1e-3, batch=10,
    )  # fmt: skip
    z = restored(weights, 0, "capsule-net", arguments).capsules(x[:1].unsqueeze(1) / 255)
    assert z.shape == (1, 3, 2)
    assert values(rows, "gsr")[-1] > 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layer": "nowhere"}, "no layer 'nowhere' in the network, which has .*code"),
        ({"weights": {"gsr": 1.0}}, "a gsr weight and no graph"),
        ({"weights": {"kl": 1.0}}, "the penalty kl of weight 1.0; it takes gsr, l1, l2"),
        ({"graph": lattices.star(5)}, "the layer 'code' has 6 units and the graph 5 nodes"),
        ({"graph": lattices.star(5), "layer": "features.leaky1"}, "has 48 units in 3 channels and the graph 5 nodes"),
        ({"form": "cubic"}, "no form 'cubic'"),
        ({"batch": 61}, "60 images in batches of 61"),
        ({"arguments": MAP | {"dropout": 1.0}}, "a share below 1"),
        ({"arguments": MAP | {"wide": 3}}, "map-classifier: .*wide"),
        ({"architecture": "convolved-map", "arguments": MAP | {"rows": 4}}, "6 units in 4 rows"),
        ({"architecture": "convolved-map", "arguments": MAP | {"rows": 2, "wide": 3}}, "wide"),
        ({"architecture": "resnet"}, "no classifier 'resnet'; there are map-classifier"),
        ({"learning_rate": 1e30, "epochs": 3}, r"no longer finite in iteration \d \(seed 0\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run(**changes)


def test_the_good_weights_are_those_of_a_report(monkeypatch):
    reached, _ = run(seeds=(1,), epochs=1)
    measure, calls = structured_classifiers._Run.measure, []

    def broken(*arguments):
        calls.append(1)
        loss, metrics = measure(*arguments)
        return (loss * torch.nan if len(calls) == 11 else loss), metrics

    monkeypatch.setattr(structured_classifiers._Run, "measure", broken)
    with pytest.raises(DivergedError, match=r"in iteration 5 \(seed 1\).*the weights after 3 iterations") as caught:
        run(epochs=2)
    assert caught.value.trained.iterations == [3]
    for name, value in reached.items():
        torch.testing.assert_close(caught.value.trained.weights[name], value, rtol=0, atol=0)


def test_weights_that_do_not_fit_are_refused():
    weights, _ = run(epochs=1)
    with pytest.raises(InputError, match=r"embedding.weight is \[6, 48\] a seed, it takes \[7, 48\]"):
        restored(weights, 0, "map-classifier", MAP | {"nodes": 7})
    with pytest.raises(InputError, match="no seed at position 2"):
        restored(weights, 2, "map-classifier", MAP)


# any architecture


JUDGE = {"height": 8, "width": 8, "classes": 3, "channels": [6], "strides": [2], "kernel": 3, "hidden": 5}
VAE = {"pixels": 64, "classes": 3, "latents": 2, "hidden": [6, 4]}
MLP = {"inputs": 64, "classes": 3, "hidden": [6, 4]}


def shaped(architecture, arguments, iterations=12, **regularization):
    return train_shaped(
        architecture, arguments, X, Y, X, Y, [0, 1], iterations=iterations, learning_rate=1e-2, batch=16,
        report_every=6, regularization=regularization,
    )  # fmt: skip


@pytest.mark.parametrize(("architecture", "arguments", "layer"), [("judge", JUDGE, "features.relu1"), ("conditional-vae", VAE, "decoder.relu2")])  # fmt: skip  # noqa: E501
def test_a_weight_of_nothing_trains_as_without(architecture, arguments, layer):
    weights, _ = shaped(architecture, arguments, layer=layer, kind="gsr", weight=0.0, graph=GRID)
    loss = "cross-entropy" if architecture == "judge" else "conditional-beta-vae"
    expected, _ = train(architecture, arguments, X, Y, X, Y, [0, 1], loss=loss, iterations=12, learning_rate=1e-2, batch=16)  # fmt: skip  # noqa: E501
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)


STRIDED = {"height": 8, "width": 8, "classes": 3, "channels": [6, 4], "kernels": [3, 3], "strides": [2, 1], "hidden": 6}


def test_a_strided_classifier_descends_with_dropout_as_without_a_penalty():
    options = {"epochs": 3, "learning_rate": 0.05, "momentum": 0.8, "halvings": 2.0, "batch": 16, "scale": 255.0}
    rows = len(X) // 16 * 16
    expected, _ = train_plainly("strided", STRIDED, X[:rows], Y[:rows], X, Y, [0, 1], **options)
    del options["epochs"]
    regularization = {"layer": "classifier.relu1", "kind": "l1", "weight": 0.0}
    found, _ = train_shaped(
        "strided", STRIDED, X[:rows], Y[:rows], X, Y, [0, 1], iterations=3 * rows // 16,
        initialisation="glorot-uniform", regularization=regularization, **options,
    )  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


MEYER = {"kernel": "meyer", "scales": 3}
KINDS = [("gsr", GRID, None), ("l1", None, None), ("l2", None, None), ("response", GRID, MEYER)]


@pytest.mark.parametrize(("kind", "graph", "filter"), KINDS)
@pytest.mark.parametrize(
    ("architecture", "arguments", "layer"),
    [
        ("judge", JUDGE, "features.relu1"),
        ("conditional-vae", VAE, "decoder.relu2"),
        ("mlp", MLP, "relu1"),
        ("strided", STRIDED, "features.relu1"),
    ],
)
def test_the_penalty_falls_on_any_layer_of_any_network(architecture, arguments, layer, kind, graph, filter):
    """On a convolution with six channels the graph's nodes are these."""
    rows = {
        weight: shaped(architecture, arguments, layer=layer, kind=kind, weight=weight, graph=graph, filter=filter)[1]
        for weight in (0.0, 100.0)
    }
    without, with_it = (values(rows[weight], "penalty")[-2:] for weight in (0.0, 100.0))
    assert np.mean(with_it) < 0.8 * np.mean(without)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 6, 4, 3), (2, 5, 1, 2, 3)])
def test_responses_to_filters_are_those_of_a_plain_loop(shape):
    """Of units in row-major order, or of six channels, each of whose positions counts as a sample."""
    z = torch.from_numpy(RNG.normal(size=shape)).float()
    network = torch.nn.ModuleDict({"code": torch.nn.Identity()})
    added = LayerPenalty(network, "code", "response", 1.0, graph=GRID, filter=MEYER)
    network["code"](z)
    found = added.take()
    for s, values_of in enumerate(z.double().numpy()):
        rows = values_of.reshape(5, 6) if values_of[0].size == 6 else np.moveaxis(values_of, 1, -1).reshape(-1, 6)
        expected = np.mean([sum(abs(k @ row).sum() for k in filters(GRID, **MEYER)) for row in rows])
        np.testing.assert_allclose(found[s], expected, rtol=1e-5)


@pytest.mark.parametrize("inplace", [True, False])
def test_a_penalty_is_of_the_layers_own_activations_where_the_next_one_writes_over_them(inplace):
    network = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity(), torch.nn.ReLU(inplace))
    added = LayerPenalty(network, "1", "l1", 1.0)
    network(torch.tensor([[[1.0, -2.0, 3.0]]]))
    assert added.take().tolist() == [6]


def test_a_shaped_network_that_diverges_keeps_the_weights_of_a_report(monkeypatch):
    reached, _ = shaped("mlp", MLP, layer="relu1", kind="l1", weight=0.1)
    measure, calls = shaped_training._perceptron, []

    def broken(*arguments):
        calls.append(1)
        loss, metrics = measure(*arguments)
        return (loss * torch.tensor([torch.nan, 1.0]) if len(calls) == 15 else loss), metrics

    monkeypatch.setattr(shaped_training, "_MEASURES", {"mlp": broken})
    with pytest.raises(DivergedError, match=r"in iteration 15 \(seed 0\).*the weights after 12 iterations") as caught:
        shaped("mlp", MLP, 20, layer="relu1", kind="l1", weight=0.1)
    assert caught.value.trained.iterations == [12, 12]
    for name, value in reached.items():
        torch.testing.assert_close(caught.value.trained.weights[name], value, rtol=0, atol=0)


def test_shaped_networks_come_back_from_their_weights():
    weights, _ = shaped("mlp", MLP, layer="relu1", kind="gsr", weight=0.1, graph=GRID)
    about = {"architecture": "mlp", "arguments": MLP, "seeds": [0, 1]}
    assert load({name: value.numpy() for name, value in weights.items()}, about, 1)(X[:2].flatten(1) / 255).shape == (2, 3)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("regularization", "sentence"),
    [
        ({"layer": "relu9", "kind": "l1", "weight": 1.0}, "no layer 'relu9' in the network, which has linear1, relu1"),
        ({"layer": "relu1", "kind": "gsr", "weight": 1.0}, "there is no graph"),
        ({"layer": "relu1", "kind": "l3", "weight": 1.0}, "the penalty is 'l3'"),
        ({"layer": "relu1", "kind": "response", "weight": 1.0, "filter": MEYER}, "the penalty response takes one"),
        (
            {"layer": "relu1", "kind": "response", "weight": 1.0, "graph": GRID},
            "the penalty is response and filter is None; `response` takes one, the others none",
        ),
        ({"layer": "relu1", "kind": "gsr", "weight": 1.0, "graph": GRID, "filter": MEYER}, "filter is {'kernel'"),
        (
            {"layer": "relu1", "kind": "response", "weight": 1.0, "graph": lattices.star(4), "filter": MEYER},
            "6 units, and its graph 4 nodes",
        ),
        ({"layer": "relu1", "kind": "l1", "weight": -1.0}, "0 or more"),
        ({"layer": "relu1", "kind": "gsr", "weight": 1.0, "graph": lattices.star(4)}, "6 units, and its graph 4 nodes"),
    ],
)
def test_penalties_that_do_not_fit_are_refused(regularization, sentence):
    with pytest.raises(InputError, match=sentence):
        shaped("mlp", MLP, **regularization)


def test_a_layer_that_is_reused_is_refused(monkeypatch):
    def twice(network, x, onehot, noise):
        network(x)
        return shaped_training._perceptron(network, x, onehot, noise)

    monkeypatch.setattr(shaped_training, "_MEASURES", {"mlp": twice})
    with pytest.raises(InputError, match="layer 'relu1' runs 2 times an iteration"):
        shaped("mlp", MLP, layer="relu1", kind="l1", weight=1.0)


def test_a_penalty_leaves_the_network_as_it_was():
    network = build("map-perceptron", PERCEPTRON)
    added = LayerPenalty(network, "relu1", "l1", 1.0)
    added.remove()
    network(torch.zeros(2, 64))
    assert added.runs == []
