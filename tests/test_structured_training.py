"""Batched autoencoders against a plain loop of one network, their learned graphs, stop rule and divergence."""

import numpy as np
import pytest
import torch

from interneuron import coactivation, lattices, structured_training
from interneuron.capture import activations, sites
from interneuron.errors import InputError
from interneuron.nets import initialise
from interneuron.regularization import operator, penalty
from interneuron.seeds import torch_generator
from interneuron.simulate import binary_modules
from interneuron.structured_training import (
    Autoencoder,
    DivergedError,
    Learned,
    embed,
    reconstruction_error,
    restored,
    train_autoencoders,
)

X = torch.from_numpy(binary_modules(2, 0, repeats=3, samples=20, scale=1.0)[0])
SIZES = {"hidden": [7, 6], "nodes": 5}
NETWORK = {"features": 6, **SIZES}
PATH = lattices.paths(1, 5)


def run(seeds=(0, 1), x=X, **changes):
    settings = {**SIZES, "iterations": 20, "weights": {}, "batch": 16, "report_every": 10}
    return train_autoencoders(x, seeds, **{**settings, **changes})


def values(trained, metric, seed=None):
    return [r["value"] for r in trained.rows if r["metric"] == metric and seed in (None, r["seed"])]


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **tolerance)


def initial(seed, **arguments):
    network = Autoencoder(**NETWORK, **arguments)
    initialise(network, torch_generator(seed, "initialisation"))
    if network.spread is not None:
        torch.nn.init.zeros_(network.spread.weight)
    return network


def plain(seed, iterations, measure, **arguments):
    """One network, trained in a plain loop on measure(network, rows, noise)."""
    network = initial(seed, **arguments)
    steps = torch.optim.Adam(network.parameters(), lr=1e-3)
    order, noise = torch_generator(seed, "order"), torch_generator(seed, "noise")
    for i in range(iterations):
        if i % 5 == 0:
            rows = torch.randperm(80, generator=order)
        steps.zero_grad()
        part = rows[16 * (i % 5) :][:16]
        measure(network, X[part], lambda: torch.empty(16, 5).normal_(generator=noise)).backward()
        steps.step()
    return dict(network.named_parameters())


def smoothness(z):
    return ((z[:, 1:] - z[:, :-1]) ** 2).sum(-1).mean()


def test_penalised_training_is_that_of_a_plain_loop():
    def measure(network, x, noise):
        z = network.code(network.embedding(network.encoder(x)))
        mse = ((network.output(network.decoder(z + 0.3 * noise())) - x) ** 2).mean()
        return mse + 0.5 * smoothness(z) + 0.1 * z.abs().sum(-1).mean() + 0.2 * (z**2).sum(-1).mean()

    trained = run(weights={"gsr": 0.5, "l1": 0.1, "l2": 0.2}, graph=PATH, noise=0.3, rectified=True)
    for s in range(2):
        expected = {name: p.detach() for name, p in plain(s, 20, measure, rectified=True).items()}
        same({name: value[s] for name, value in trained.weights.items()}, expected, rtol=1e-3, atol=1e-5)
    assert trained.iterations == [20, 20]
    assert trained.graphs is None


def test_a_beta_vae_is_that_of_a_plain_loop():
    def measure(network, x, noise):
        h = network.encoder(x)
        mean, spread = network.embedding(h), network.spread(h)
        decoded = network.output(network.decoder(mean + (spread / 2).exp() * noise()))
        q = torch.distributions.Normal(mean, (spread / 2).exp())
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(-1).mean()
        return ((decoded - x) ** 2).mean() + 0.3 * kl

    trained = run(weights={"kl": 0.3})
    for s in range(2):
        expected = {name: p.detach() for name, p in plain(s, 20, measure, variational=True).items()}
        same({name: value[s] for name, value in trained.weights.items()}, expected, rtol=1e-3, atol=1e-5)
    assert len(values(trained, "kl")) == 4


@pytest.mark.parametrize("graph", [PATH, Learned("adaptive", 1, 4, 5, 30), Learned("knn", 2, 0, 7, 8)])
def test_a_seed_does_not_depend_on_its_company(graph):
    options = {"weights": {"gsr": 0.1}, "graph": graph}
    together, alone = run([3, 4, 5], **options), run([4], **options)
    same({name: value[1:2] for name, value in together.weights.items()}, alone.weights, rtol=1e-3, atol=1e-5)
    for metric in ("loss", "mse", "gsr", "rayleigh"):
        assert values(together, metric, 4) == pytest.approx(values(alone, metric), rel=1e-3, abs=1e-6)
    assert not torch.equal(together.weights["output.weight"][0], together.weights["output.weight"][1])


def test_same_seeds_give_the_same_bytes_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    options = {"weights": {"gsr": 0.1}, "graph": Learned(pretrain=4, rebuild=5, buffer=30), "noise": 0.5}
    one, other = run(**options), run(**options)
    same(one.weights, other.weights, rtol=0, atol=0)
    assert one.rows == other.rows
    assert torch.equal(before, torch.get_rng_state())


def test_weights_of_penalties_may_differ_by_seed():
    many = run([0, 1], weights={"l2": [0.0, 3.0], "gsr": [0.2, 0.0]}, graph=PATH)
    first = run([0], weights={"gsr": 0.2}, graph=PATH)
    second = run([1], weights={"l2": 3.0})
    for s, alone in enumerate((first, second)):
        same({name: value[s : s + 1] for name, value in many.weights.items()}, alone.weights, rtol=1e-3, atol=1e-5)


def test_seeds_may_have_samples_of_their_own():
    shared, own = run(), run(x=torch.stack([X, X]))
    same(shared.weights, own.weights)
    turned = run(x=torch.stack([X, X.flip(0)]))
    same({n: v[:1] for n, v in turned.weights.items()}, {n: v[:1] for n, v in shared.weights.items()})
    assert not torch.allclose(turned.weights["output.weight"][1], shared.weights["output.weight"][1])


def test_training_learns_and_the_penalty_smooths():
    options = {"iterations": 400, "graph": PATH, "report_every": 50}
    plainly, smoothly = run(weights={}, **options), run(weights={"gsr": 1.0}, **options)
    for trained in (plainly, smoothly):
        errors = values(trained, "mse", 0)
        assert errors[-1] < 0.5 * errors[0]
    rough, smooth = (
        penalty(embed(restored(trained.weights, **NETWORK), X), operator(lattices.laplacian(PATH)))
        for trained in (plainly, smoothly)
    )
    assert (smooth < 0.2 * rough).all()
    assert values(plainly, "gsr") == []


@pytest.mark.parametrize(("kind", "k"), [("adaptive", 2), ("knn", 1)])
def test_the_learned_graph_is_that_of_the_current_embeddings(kind, k):
    pretrained = run(iterations=6)
    trained = run(iterations=7, weights={"gsr": 0.5}, graph=Learned(kind, k, pretrain=6, rebuild=100, buffer=30))
    for s in range(2):
        rows = torch.randperm(80, generator=torch_generator(s, "buffer"))[:30]
        z = embed(restored(pretrained.weights, s, **NETWORK), X[rows])
        torch.testing.assert_close(trained.graphs[s], coactivation.learned(z, kind, k), rtol=1e-3, atol=1e-4)
        counts = (
            values(trained, "components", s),
            values(trained, "spectral_components", s),
            values(trained, "silent", s),
        )
        expected = coactivation.components(trained.graphs[s], 0.1), coactivation.spectral_components(trained.graphs[s])
        assert counts == ([expected[0]], [expected[1]], [0])
    built = [row["iteration"] for row in trained.rows if row["metric"] == "components"]
    assert built == [6, 6]


def test_graphs_are_rebuilt_at_their_interval():
    trained = run(iterations=20, graph=Learned(pretrain=3, rebuild=8, buffer=200), weights={"gsr": 0.1})
    assert [r["iteration"] for r in trained.rows if r["metric"] == "components" and r["seed"] == 0] == [3, 11, 19]


def test_the_learned_graph_smooths_under_the_symmetric_laplacian():
    """Its penalty is that of the dense formula, which the first iteration after the pretraining shows."""
    trained = run(iterations=4, graph=Learned(pretrain=3, rebuild=9, buffer=50), weights={"gsr": 0.7}, report_every=1)
    pretrained = run(iterations=3)
    for s in range(2):
        rows = torch.randperm(80, generator=torch_generator(s, "order"))[48:64]
        z = embed(restored(pretrained.weights, s, **NETWORK), X[rows])
        laplacian = lattices.laplacian(trained.graphs[s].numpy(), "symmetric").toarray()
        expected = np.mean([row @ laplacian @ row for row in z.double().numpy()])
        assert values(trained, "gsr", s) == [0, 0, 0, pytest.approx(expected, rel=1e-4)]
        centred = (z - z.mean(-1, keepdim=True)).double().numpy()
        quotient = np.mean([row @ laplacian @ row / (row @ row) for row in centred])
        assert values(trained, "rayleigh", s) == [pytest.approx(quotient, rel=1e-3)]


def test_the_stop_rule_ends_a_seed_under_its_previous_graph(monkeypatch):
    graph = Learned("knn", 4, pretrain=2, rebuild=4, buffer=20, stop=True, grace=3)
    counts = iter([[1, 1], [2, 1]])
    monkeypatch.setattr(coactivation, "spectral_components", lambda _: np.array(next(counts, [1, 1])))
    trained = run(graph=graph, weights={"gsr": 0.5}, report_every=1)
    assert trained.iterations == [9, 20]
    whole = run(graph=graph, weights={"gsr": 0.5})
    # Seed 0 went on under its first graph, as if it were never rebuilt.
    once = run(iterations=9, graph=Learned("knn", 4, pretrain=2, rebuild=100, buffer=20), weights={"gsr": 0.5})
    for s, other in enumerate((once, whole)):
        same({n: v[s] for n, v in trained.weights.items()}, {n: v[s] for n, v in other.weights.items()})
    torch.testing.assert_close(trained.graphs[0], once.graphs[0])
    torch.testing.assert_close(trained.graphs[1], whole.graphs[1])
    assert len(values(trained, "loss", 0)) == 9
    assert len(values(trained, "loss", 1)) == 20


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_the_stop_rule_is_the_one_that_a_search_through_the_graph_gives(k):
    """The rule from the released code's words: a graph in pieces is never installed, and training ends a little later.

    Pieces are found by walking from neuron to neuron, without a Laplacian; distances by plain sums.
    """
    graph = Learned("knn", k, pretrain=6, rebuild=100, buffer=40, stop=True, grace=3)
    trained = run(nodes=12, weights={"gsr": 0.5}, graph=graph)
    pretrained = run(nodes=12, iterations=6)
    for s in range(2):
        rows = torch.randperm(80, generator=torch_generator(s, "buffer"))[:40]
        z = embed(restored(pretrained.weights, s, **{**NETWORK, "nodes": 12}), X[rows]).double().numpy()
        near = {i: sorted(set(range(12)) - {i}, key=lambda j: sum((z[:, i] - z[:, j]) ** 2))[:k] for i in range(12)}
        pieces, left = 0, set(range(12))
        while left:
            pieces, front = pieces + 1, [left.pop()]
            while front:
                i = front.pop()
                found = {j for j in left if j in near[i] or i in near[j]}
                left -= found
                front += found
        assert trained.iterations[s] == (20 if pieces == 1 else 9)
        assert trained.graphs[s].any() == (pieces == 1)
        assert values(trained, "spectral_components", s) == [pieces]


def test_training_ends_when_all_seeds_have_stopped():
    graph = Learned("knn", 1, pretrain=4, rebuild=2, buffer=20, stop=True, grace=5)
    trained = run(graph=graph, nodes=12, weights={"gsr": 0.5}, iterations=10_000)
    assert all(count > 1 for count in values(trained, "spectral_components"))
    assert trained.iterations == [9, 9]
    assert not trained.graphs.any()
    same(trained.weights, run(nodes=12, iterations=9).weights, rtol=0, atol=0)


def test_divergence_stops_with_iteration_and_seeds_and_keeps_the_last_good_weights():
    sentence = r"no longer finite in iteration 2 \(seed 0, 1\).*smaller than 1e\+18; the weights after 0 iterations are"
    with pytest.raises(DivergedError, match=sentence) as caught:
        run(learning_rate=1e18)
    for s in range(2):
        expected = {name: p.detach() for name, p in initial(s).named_parameters()}
        same({n: v[s] for n, v in caught.value.trained.weights.items()}, expected, rtol=0, atol=0)
    assert caught.value.trained.iterations == [0, 0]
    with pytest.raises(DivergedError, match="no longer finite after the last iteration"):
        run(learning_rate=1e38, iterations=1)


def test_the_good_weights_are_those_of_a_report(monkeypatch):
    reached = run(iterations=9)
    losses, calls = structured_training._losses, []

    def broken(*arguments):
        calls.append(1)
        total, *rest = losses(*arguments)
        return (total * torch.tensor([1.0, torch.nan]) if len(calls) == 15 else total, *rest)

    monkeypatch.setattr(structured_training, "_losses", broken)
    with pytest.raises(DivergedError, match=r"in iteration 15 \(seed 1\).*the weights after 9 iterations") as caught:
        run(iterations=20)
    same(caught.value.trained.weights, reached.weights, rtol=0, atol=0)
    assert len(caught.value.trained.rows) > 0


def test_networks_come_back_from_their_weights():
    trained = run(rectified=True)
    everyone = restored(trained.weights, **NETWORK, rectified=True)
    z, error = embed(everyone, X, size=7), reconstruction_error(everyone, X, size=11)
    assert z.shape == (2, 80, 5)
    for s in range(2):
        one = restored(trained.weights, s, **NETWORK, rectified=True)
        torch.testing.assert_close(embed(one, X), z[s])
        expected = ((one(X) - X) ** 2).double().mean()
        torch.testing.assert_close(error[s], expected)
        torch.testing.assert_close(reconstruction_error(one, X), expected)
        assert sites(one, X)["code"] == (5,)
        torch.testing.assert_close(activations(one, X, ["code"])["code"], z[s])
        assert (z[s] >= 0).all()


def test_progress_counts_to_the_end():
    calls = []
    run(iterations=5, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": []}, r"seeds are \[\], it takes at least one, each once"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\]"),
        ({"x": X.double()}, "samples are torch.float64"),
        ({"x": X[None]}, r"\[1, 80, 6\], it takes torch.float32 \[samples, features\] or \[2, samples, features\]"),
        ({"x": X * torch.nan}, "samples are infinite or NaN"),
        ({"hidden": [3, 0]}, "hidden is 0, it takes at least 1"),
        ({"nodes": 0}, "nodes is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"batch": 81}, "batch is 81, it takes at most the 80 samples"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, it takes a positive number"),
        ({"noise": -1.0}, "noise is -1.0, it takes 0 or more"),
        ({"form": "cubic"}, "no form 'cubic'"),
        ({"weights": {"l3": 1.0}}, "no penalty 'l3'; there are gsr, l1, l2, kl"),
        ({"weights": {"l1": -1.0}}, "the l1 weight is -1.0, it takes 0 or more"),
        ({"weights": {"l1": [1.0, 2.0, 3.0]}}, "3 l1 weights, it takes one, or one for each of 2"),
        ({"weights": {"kl": [1.0, 0.0]}}, "some kl weights are 0 and others not"),
        ({"weights": {"gsr": 1.0}}, "there is a gsr weight and no graph, it takes one"),
        ({"graph": lattices.star(4)}, "the graph has 4 nodes, the embedding takes one of 5"),
        ({"graph": PATH, "laplacian": "normal"}, "no Laplacian 'normal'"),
        ({"graph": Learned("gaussian")}, "no learned graph 'gaussian'; there are adaptive, knn"),
        ({"graph": Learned(k=5)}, "k is 5, and takes 1 to 4, the other neurons"),
        ({"graph": Learned(rebuild=0)}, "rebuild of the learned graph is 0, it takes 1 up"),
        ({"graph": Learned(), "laplacian": "normal"}, "no Laplacian 'normal'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run(**changes)


def test_weights_that_do_not_fit_are_refused():
    weights = run(iterations=1).weights
    with pytest.raises(InputError, match=r"embedding.weight is \[5, 6\] a seed, the network takes \[4, 6\]"):
        restored(weights, 0, **NETWORK | {"nodes": 4})
    with pytest.raises(InputError, match=r"spread.weight is missing a seed"):
        restored(weights, 0, **NETWORK, variational=True)
    with pytest.raises(InputError, match="no seed at position 2, there are 2"):
        restored(weights, 2, **NETWORK)
    with pytest.raises(InputError, match=r"autoencoder: .*width"):
        restored(weights, 0, **NETWORK, width=3)
