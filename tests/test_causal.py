import runpy
import warnings
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from interneuron import capture, causal, io, nets, seeds
from interneuron.errors import InputError

ALPHAS = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
ROOT = Path(__file__).parents[1]


def decoder(sizes=(7, 6, 8, 5), seed=0, dtype=torch.float32) -> nn.Sequential:
    stream = torch.Generator().manual_seed(seed)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        linear = nn.Linear(inputs, outputs, dtype=dtype)
        for parameter in linear.parameters():
            nn.init.normal_(parameter, std=0.7, generator=stream)
        modules[f"linear{i}"] = linear
        modules["sigmoid" if i == len(sizes) - 1 else f"relu{i}"] = nn.Sigmoid() if i == len(sizes) - 1 else nn.ReLU()
    return nn.Sequential(modules)


LAYERS = ["relu1", "relu2", "sigmoid"]


def normal(replicates, n, inputs, seed=0, sampling="sobol"):
    return np.stack([causal.draws(n, inputs, seed, "test", sampling, r) for r in range(replicates)])


def linear(inputs=4, outputs=3, seed=0) -> nn.Sequential:
    return nn.Sequential(OrderedDict(out=decoder((inputs, outputs), seed)[0].double()))


# Draws


@pytest.mark.parametrize("sampling", ["sobol", "independent"])
def test_draws_are_standard_normal_finite_and_deterministic(sampling):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = causal.draws(1000, 10, 3, "ace", sampling)
    assert x.shape == (1000, 10)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert np.array_equal(x, causal.draws(1000, 10, 3, "ace", sampling))
    others = [
        causal.draws(1000, 10, 4, "ace", sampling),
        causal.draws(1000, 10, 3, "other", sampling),
        causal.draws(1000, 10, 3, "ace", sampling, replicate=1),
    ]
    for other in others:
        assert not np.isin(other, x).all()
    for column in x.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    assert np.abs(np.corrcoef(x.T) - np.eye(10)).max() < 0.15


def test_sobol_points_are_balanced_and_a_prefix():
    x = causal.draws(1024, 5, 0, "ace")
    counts = [np.bincount((stats.norm.cdf(column) * 1024).astype(int).clip(0, 1023), minlength=1024) for column in x.T]
    # One point a cell; float32 may push one over a cell's edge.
    assert (np.array(counts) == 1).mean() > 0.99
    assert np.array_equal(causal.draws(700, 5, 0, "ace"), x[:700])


def test_sobol_mean_error_is_far_below_that_of_independent_draws():
    sobol, independent = (
        np.sqrt(np.mean([causal.draws(256, 4, s, "ace", sampling).mean(0) ** 2 for s in range(20)]))
        for sampling in ("sobol", "independent")
    )
    assert sobol < independent / 5


@pytest.mark.parametrize("bad", [{"n": 0}, {"dimensions": 0}, {"sampling": "halton"}, {"dimensions": 21202}])
def test_draws_refuses(bad):
    arguments = {"n": 4, "dimensions": 2, "seed": 0, "purpose": "ace", **bad}
    with pytest.raises(InputError, match=r"sampling|draw"):
        causal.draws(**arguments)


# Interventions


def test_interventions_share_the_other_inputs():
    z = causal.draws(5, 3, 0, "test")
    x = causal.interventions(z, [0, 1], 1, ALPHAS)
    assert x.shape == (7, 5, 5)
    assert x.dtype == torch.float32
    for a, alpha in enumerate(ALPHAS):
        assert torch.all(x[a, :, 1] == alpha)
        assert np.array_equal(x[a, :, [0, 2]], z[:, [0, 2]])
        assert torch.equal(x[a, :, 3:], torch.tensor([[0.0, 1.0]]).expand(5, 2))


# Sampled effects


@pytest.mark.parametrize("sampling", ["sobol", "independent"])
def test_linear_network_has_the_closed_form(sampling):
    network = linear()
    weight = network[0].weight.detach().numpy()
    got = causal.sampled_effects(network, ["out"], normal(4, 33, 3), [1.0], ALPHAS, sampling=sampling)
    want = weight[:, :3].T[:, None] * np.array(ALPHAS)[:, None]
    assert np.allclose(got.effect, want, atol=1e-12)
    # Common random numbers: the other inputs cancel, and nothing is left of the noise.
    assert np.allclose(got.error, 0, atol=1e-7)
    bias = network[0].bias.detach().numpy() + weight[:, 3]
    spread = normal(4, 33, 3).reshape(-1, 3).astype(float).mean(0)
    for i in range(3):
        others = [j for j in range(3) if j != i]
        assert np.allclose(got.baseline[i], bias + weight[:, others] @ spread[others], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(2, 4),
    st.integers(1, 9),
    st.lists(st.floats(-4, 4), min_size=1, max_size=5),
    st.integers(1, 60),
    st.sampled_from(["sobol", "independent"]),
    st.integers(0, 3),
)
def test_effects_are_those_of_brute_force(latents, replicates, n, alphas, rows, sampling, seed):
    network = decoder((latents + 2, 5, 3), seed, torch.float64)
    z = normal(replicates, n, latents, seed, sampling)
    got = causal.sampled_effects(network, ["relu1", "sigmoid"], z, [1, 0], alphas, sampling=sampling, rows=rows)
    for i in range(latents):
        y = np.empty((len(alphas), replicates, n, 8))
        for a, alpha in enumerate(alphas):
            x = np.concatenate([z, np.broadcast_to([1.0, 0.0], (replicates, n, 2))], axis=-1)
            x[..., i] = alpha
            found = capture.activations(network, torch.tensor(x.reshape(-1, latents + 2)), ["relu1", "sigmoid"])
            y[a] = torch.cat(list(found.values()), 1).numpy().reshape(replicates, n, 8)
        difference = y - y.mean(axis=0)
        if sampling == "sobol":
            error = difference.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(replicates)
        else:
            error = difference.reshape(len(alphas), -1, 8).std(axis=1, ddof=1) / np.sqrt(replicates * n)
        assert np.allclose(got.effect[i], difference.mean(axis=(1, 2)), atol=1e-12)
        assert np.allclose(got.error[i], error, atol=1e-7)
        assert np.allclose(got.baseline[i], y.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(got.effect.mean(axis=1), 0, atol=1e-12)


def test_blocks_and_treated_inputs_do_not_matter():
    network, z = decoder(), normal(3, 50, 5)
    whole = causal.sampled_effects(network, LAYERS, z, [0, 1], ALPHAS)
    for rows in (1, 100, 10**6):
        part = causal.sampled_effects(network, LAYERS, z, [0, 1], ALPHAS, treated=[3, 1], rows=rows)
        for name in ("effect", "error", "baseline"):
            assert np.allclose(getattr(part, name), getattr(whole, name)[[3, 1]], atol=1e-6)


def test_an_input_without_influence_has_no_effect_and_no_error():
    network = decoder()
    with torch.no_grad():
        network.linear1.weight[:, 2] = 0
    got = causal.sampled_effects(network, LAYERS, normal(3, 50, 5), [0, 1], ALPHAS)
    assert np.abs(got.effect[2]).max() < 1e-6
    assert np.abs(got.error[2]).max() < 1e-6
    assert np.abs(got.effect[0]).max() > 0.01
    published = causal.published_effects(network, LAYERS, np.random.default_rng(0), 5, [0, 1], ALPHAS)
    assert np.abs(published[2]).max() > 0.01


@pytest.mark.parametrize("sampling", ["sobol", "independent"])
def test_unbiased_with_covering_errors(sampling):
    network, layers = decoder((4, 6, 3)), ["relu1", "sigmoid"]
    # Sobol's replicates are few: their error has Student's distribution.
    z = 2.0 if sampling == "independent" else stats.t.ppf(0.97725, 7)
    truth = causal.sampled_effects(network, layers, normal(2, 2**15, 3, 999), [1], [-2.0, 0.0, 2.0]).effect
    runs = [
        causal.sampled_effects(network, layers, normal(8, 64, 3, s, sampling), [1], [-2.0, 0.0, 2.0], sampling=sampling)
        for s in range(60)
    ]
    effects, errors = np.stack([r.effect for r in runs]), np.stack([r.error for r in runs])
    moving = errors.max(axis=0) > 1e-5
    assert moving.mean() > 0.5
    standardised = (effects.mean(0) - truth)[moving] / (effects.std(0, ddof=1)[moving] / np.sqrt(60))
    assert np.abs(standardised).max() < 5
    covered = (np.abs(effects - truth) < z * errors)[:, moving].mean()
    assert 0.92 < covered < 0.98


def test_constant_neurons_have_exactly_no_effect():
    network = decoder()
    with torch.no_grad():
        network.linear1.weight[1] = 0
        network.linear1.bias[1] = 0.1
        network.linear1.bias[2] = -1e6
    found = [
        causal.sampled_effects(network, ["relu1"], normal(3, 50, 5), [0, 1], ALPHAS).effect,
        causal.class_effects(network, ["relu1"], normal(3, 50, 4), [1, 2, 3]).effect,
        causal.published_effects(network, ["relu1"], np.random.default_rng(0), 5, [0, 1], ALPHAS),
        causal.taylor_effects(network, ["relu1"], np.zeros(7), np.eye(7), ALPHAS),
    ]
    for effect in found:
        assert np.all(effect[..., 1:3] == 0)
        assert np.abs(effect[..., 0]).max() > 0.01


def test_in_place_pass_equals_the_hooked_one(monkeypatch):
    relu, chain = nn.ReLU(), decoder((7, 6, 6, 5))
    shared = nn.Sequential(
        OrderedDict(a=nn.Sequential(chain[0], relu), b=chain[2], c=relu, d=nn.Linear(6, 2, bias=False))
    )
    layers = {decoder(): ["input", "linear1", *LAYERS], shared: ["a.1#0", "b", "a.1#1", "d"]}
    for network, names in layers.items():
        before = {name: value.clone() for name, value in network.state_dict().items()}
        fast = causal.sampled_effects(network, names, normal(3, 50, 5), [0, 1], ALPHAS, rows=100)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        with monkeypatch.context() as patch:
            patch.setattr(causal, "_IN_PLACE", {})
            patch.delattr(causal, "_in_place")
            slow = causal.sampled_effects(network, names, normal(3, 50, 5), [0, 1], ALPHAS, rows=100)
        for name in ("effect", "error", "baseline"):
            assert np.allclose(getattr(fast, name), getattr(slow, name), atol=1e-6)


def test_hooks_of_the_user_are_kept():
    network = decoder()
    handle = network.relu1.register_forward_hook(lambda module, inputs, output: 0 * output)
    got = causal.sampled_effects(network, ["relu2"], normal(2, 8, 5), [0, 1], ALPHAS)
    handle.remove()
    assert np.all(got.effect == 0)
    assert np.abs(causal.sampled_effects(network, ["relu2"], normal(2, 8, 5), [0, 1], ALPHAS).effect).max() > 0.1


def test_progress_and_layers_in_order():
    seen = []
    network = decoder()
    causal.sampled_effects(network, LAYERS, normal(2, 4, 5), [0, 1], ALPHAS, progress=lambda *a: seen.append(a))
    assert seen == [(i, 5) for i in range(1, 6)]
    turned = causal.sampled_effects(network, LAYERS[::-1], normal(2, 4, 5), [0, 1], ALPHAS).effect
    straight = causal.sampled_effects(network, LAYERS, normal(2, 4, 5), [0, 1], ALPHAS).effect
    assert np.array_equal(straight, np.concatenate([turned[..., 13:], turned[..., 5:13], turned[..., :5]], -1))


def test_any_module_with_a_shared_relu():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.relu = linear(3, 3)[0].float(), nn.ReLU()

        def forward(self, x):
            return self.relu(self.linear(self.relu(self.linear(x))))

    got = causal.sampled_effects(Twice(), ["relu#0", "relu#1", "input"], normal(2, 8, 3), [], ALPHAS)
    assert got.effect.shape == (3, 7, 9)
    assert np.allclose(got.effect[0, :, 6], ALPHAS, atol=1e-6)


# Classes


def test_class_effects_against_brute_force():
    network, p = decoder(dtype=torch.float64), np.array([0.2, 0.5, 0.3])
    for sampling in ("sobol", "independent"):
        z = normal(3, 20, 4, 0, sampling)
        got = causal.class_effects(network, LAYERS, z, 100 * p, sampling=sampling, rows=17)
        y = np.empty((3, 3, 20, 19))
        for k in range(3):
            x = np.concatenate([z, np.broadcast_to(np.eye(3)[k], (3, 20, 3))], axis=-1).reshape(-1, 7)
            y[k] = torch.cat(list(capture.activations(network, torch.tensor(x), LAYERS).values()), 1).reshape(3, 20, 19)
        for k in range(3):
            others = [j for j in range(3) if j != k]
            baseline = np.tensordot(p[others] / p[others].sum(), y[others], 1)
            difference = y[k] - baseline
            assert np.allclose(got.effect[k], difference.mean((0, 1)), atol=1e-12)
            assert np.allclose(got.baseline[k], baseline.mean((0, 1)), atol=1e-12)
            if sampling == "sobol":
                error = difference.mean(1).std(0, ddof=1) / np.sqrt(3)
            else:
                error = difference.reshape(60, -1).std(0, ddof=1) / np.sqrt(60)
            assert np.allclose(got.error[k], error, atol=1e-7)


def test_two_classes_are_mirror_images():
    got = causal.class_effects(decoder(), LAYERS, normal(2, 16, 5), [1, 3])
    assert np.allclose(got.effect[0], -got.effect[1], atol=1e-6)
    assert np.abs(got.effect).max() > 0.01


# As published


def test_published_effects_tend_to_the_sampled_ones():
    network = decoder()
    sampled = causal.sampled_effects(network, LAYERS, normal(4, 1024, 5), [0, 1], ALPHAS)
    got = causal.published_effects(network, LAYERS, np.random.default_rng(1), 5, [0, 1], ALPHAS, draws=20000)
    assert got.shape == (5, 7, 19)
    assert np.allclose(got.mean(axis=1), 0, atol=1e-12)
    assert np.allclose(got, sampled.effect, atol=0.1)
    few = causal.published_effects(network, LAYERS, np.random.default_rng(1), 5, [0, 1], ALPHAS, draws=3)
    assert np.abs(few - sampled.effect).max() > 0.3
    classes = causal.class_effects(network, LAYERS, normal(4, 1024, 4), [0.2, 0.5, 0.3])
    got = causal.published_class_effects(network, LAYERS, np.random.default_rng(2), 4, [0.2, 0.5, 0.3], draws=20000)
    assert np.allclose(got, classes.effect, atol=0.1)


def test_published_is_deterministic_by_its_stream():
    first, again, other = (
        (
            causal.published_effects(decoder(), LAYERS, np.random.default_rng(s), 5, [0, 1], ALPHAS),
            causal.published_class_effects(decoder(), LAYERS, np.random.default_rng(s), 4, [1, 2, 3]),
        )
        for s in (0, 0, 1)
    )
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


# Taylor


def oracle(network, layers, point, covariance):
    """f + 1/2 trace(H Sigma) with torch.func.hessian of the network up to each layer."""
    parts = []
    for layer in layers:
        end = [name for name, _ in network.named_modules() if name].index(layer)
        head = nn.Sequential(*list(network)[: end + 1])
        f = lambda x, head=head: head(x[None])[0]  # noqa: E731
        hessian = torch.func.hessian(f)(point)
        parts.append(f(point) + 0.5 * torch.einsum("uij,ij->u", hessian, covariance))
    return torch.cat(parts).detach().numpy()


def mixed(dtype) -> nn.Sequential:
    chain = decoder((4, 6, 5, 6, 5, 3), 3, dtype)
    linears = [m for m in chain if isinstance(m, nn.Linear)]
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(), linear1=linears[0], tanh=nn.Tanh(), linear2=linears[1], leaky=nn.LeakyReLU(0.2),
            drop=nn.Dropout(0.5), linear3=linears[2], sigmoid=nn.Sigmoid(), same=nn.Identity(), linear4=linears[3],
            relu=nn.ReLU(), linear5=linears[4], softmax=nn.Softmax(dim=1),
        )
    ).eval()  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_taylor_is_the_hessian_of_every_unit(dtype, tolerance):
    network = mixed(dtype)
    layers = ["linear1", "tanh", "leaky", "drop", "sigmoid", "same", "relu", "linear5", "softmax"]
    stream = np.random.default_rng(0)
    root = stream.normal(size=(4, 4))
    covariance, mean = root @ root.T / 4, stream.normal(size=4)
    alphas = [-1.0, 0.5, 2.0]
    got = causal.taylor_effects(network, layers, mean, covariance, alphas, rows=5)
    for i in range(4):
        do = covariance.copy()
        do[i], do[:, i] = 0, 0
        want = []
        for alpha in alphas:
            point = mean.copy()
            point[i] = alpha
            want.append(oracle(network, layers, torch.tensor(point, dtype=dtype), torch.tensor(do, dtype=dtype)))
        want = np.array(want) - np.mean(want, axis=0)
        assert np.abs(got[i] - want).max() < tolerance
    # The correction is there: the effect is not the plain difference of f.
    plain = causal.taylor_effects(network, layers, mean, np.zeros((4, 4)), alphas)
    assert np.abs(plain - got)[..., -3:].max() > 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([nn.Tanh(), nn.Sigmoid(), nn.Softmax(-1)]))
def test_taylor_property(seed, directions, activation):
    stream = np.random.default_rng(seed)
    network = nn.Sequential(decoder((3, 5), seed % 97, torch.float64)[0], activation)
    point, factor = stream.normal(size=3), stream.normal(size=(directions, 3))
    got = causal.taylor_expectations(network, ["1"], point[None], factor[None])[0]
    assert np.allclose(got, oracle(network, ["1"], torch.tensor(point), torch.tensor(factor.T @ factor)), atol=1e-10)


def test_taylor_of_a_quadratic_curve_matches_the_gaussian_expectation():
    # A narrow Gaussian: the second-order expectation is exact to the fourth order of its width.
    network, width = nn.Sequential(decoder((2, 3), 0, torch.float64)[0], nn.Tanh()), 0.05
    got = causal.taylor_expectations(network, ["1"], [[0.2, -0.1]], width * np.eye(2)[None])[0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2) * width + [0.2, -0.1]
    product = np.outer(weights, weights).ravel() / weights.sum() ** 2
    want = product @ network(torch.tensor(grid)).detach().numpy()
    plain = network(torch.tensor([[0.2, -0.1]], dtype=torch.float64)).detach().numpy()[0]
    assert np.abs(got - want).max() < 1e-4 * 0.5
    assert np.abs(got - want).max() < np.abs(plain - want).max() / 20


def test_relu_units_have_no_second_order_term():
    network, latents = decoder(), 4
    points = np.hstack([normal(1, 6, latents)[0], np.tile([0, 1, 0], (6, 1))])
    factor = np.broadcast_to(np.eye(7)[:latents], (6, latents, 7))
    got = causal.taylor_expectations(network, LAYERS, points, factor)
    plain = capture.activations(network, torch.tensor(points, dtype=torch.float32), LAYERS)
    hidden = torch.cat([plain["relu1"], plain["relu2"]], 1).numpy()
    assert np.array_equal(got[:, :14], causal.taylor_expectations(network, LAYERS, points, 0 * factor)[:, :14])
    assert np.allclose(got[:, :14], hidden, atol=1e-6)
    assert np.abs(got[:, 14:] - plain["sigmoid"].numpy()).max() > 1e-3


def test_taylor_of_a_linear_network_is_the_sampled_effect():
    network = linear()
    taylor = causal.taylor_effects(network, ["out"], [0, 0, 0, 1], np.diag([1, 1, 1, 0]), ALPHAS, range(3))
    sampled = causal.sampled_effects(network, ["out"], normal(2, 8, 3), [1.0], ALPHAS)
    assert np.allclose(taylor, sampled.effect, atol=1e-10)


def test_taylor_names_layers_as_capture_does():
    relu, chain = nn.ReLU(), decoder((3, 4, 4, 2))
    network = nn.Sequential(
        OrderedDict(inner=nn.Sequential(chain[0], relu), again=nn.Sequential(chain[2], relu), out=chain[4])
    )
    point = np.array([[0.3, -0.2, 0.1]])
    layers = ["input", "inner.1#0", "inner.1#1", "again.0", "out"]
    found = capture.activations(network, torch.tensor(point, dtype=torch.float32), layers)
    got = causal.taylor_expectations(network, layers, point, np.zeros((1, 1, 3)))
    assert np.allclose(got, torch.cat(list(found.values()), 1).numpy(), atol=1e-6)


# Bad input


def sampled(**changes):
    samples = normal(2, 4, 5)
    arguments = {"network": decoder(), "layers": LAYERS, "samples": samples, "context": [0, 1], "alphas": ALPHAS}
    return causal.sampled_effects(**{**arguments, **changes})


def taylor(**changes):
    gaussian = {"mean": np.zeros(7), "covariance": np.eye(7)}
    arguments = {"network": decoder(), "layers": LAYERS, "alphas": ALPHAS, **gaussian}
    return causal.taylor_effects(**{**arguments, **changes})


def broken() -> nn.Sequential:
    network = decoder()
    with torch.no_grad():
        network.linear2.weight[0, 0] = torch.nan
    return network


@pytest.mark.parametrize("effects", [sampled, taylor])
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"treated": [7]}, "input 7 cannot be treated"),
        ({"treated": [-1]}, "input -1 cannot be treated"),
        ({"treated": []}, "treated inputs is empty"),
        ({"alphas": []}, "alphas is empty"),
        ({"alphas": [np.nan]}, "alphas hold NaN"),
        ({"layers": ["relu9"]}, "relu9.*relu1"),
        ({"network": broken()}, "'relu2' gives NaN"),
        ({"rows": 0}, "rows is 0"),
    ],
)
def test_effects_refuse(effects, changes, match):
    with pytest.raises(InputError, match=match):
        effects(**changes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"samples": normal(1, 4, 5)}, "1 replicate"),
        ({"samples": normal(1, 1, 5), "sampling": "independent"}, "1 sample"),
        ({"samples": np.zeros((4, 5))}, "samples has shape"),
        ({"samples": np.full((2, 4, 5), np.inf)}, "samples hold NaN"),
        ({"context": [[0, 1]]}, "context has shape"),
        ({"sampling": "halton"}, "sampling is 'halton'"),
        ({"layers": []}, "layers is 0"),
        ({"context": [0, 1, 0]}, "'linear1' takes 7 inputs, and the points have 8"),
    ],
)
def test_sampled_effects_refuse(changes, match):
    with pytest.raises(InputError, match=match):
        sampled(**changes)


@pytest.mark.parametrize("frequencies", [[1, 0, 0], [-1, 1, 1], [[1, 2, 3]], [np.nan, 1, 1]])
def test_class_effects_refuse(frequencies):
    with pytest.raises(InputError, match="frequencies"):
        causal.class_effects(decoder(), LAYERS, normal(2, 4, 4), frequencies)
    with pytest.raises(InputError, match="frequencies"):
        causal.published_class_effects(decoder(), LAYERS, np.random.default_rng(0), 4, frequencies)


def test_interventions_and_published_refuse():
    with pytest.raises(InputError, match="input 3 cannot be treated"):
        causal.interventions(np.zeros((2, 3)), [], 3, ALPHAS)
    with pytest.raises(InputError, match="alphas is empty"):
        causal.published_effects(decoder(), LAYERS, np.random.default_rng(0), 5, [0, 1], [])
    with pytest.raises(InputError, match="draws is 0"):
        causal.published_effects(decoder(), LAYERS, np.random.default_rng(0), 5, [0, 1], ALPHAS, draws=0)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"covariance": np.diag([-1.0, 1, 1, 1, 1, 1, 1])}, "negative eigenvalue"),
        ({"covariance": np.triu(np.ones((7, 7)))}, "symmetric"),
        ({"covariance": np.eye(6)}, "symmetric"),
        ({"network": nn.Sequential(OrderedDict(gelu=nn.GELU()))}, "'gelu' is a GELU"),
        ({"network": nn.Linear(7, 2)}, "no layer 'relu1'"),
        ({"network": nn.Bilinear(7, 2, 2)}, "Bilinear"),
        ({"network": nn.Sequential(nn.Linear(7, 2), nn.Dropout())}, "'1' .* training mode"),
        ({"network": nn.Sequential(nn.Softmax(0))}, "axis 0"),
        ({"network": nn.Sequential(nn.Flatten(0))}, "Flatten from axis 0"),
        ({"network": decoder((6, 4, 2))}, "takes 6 inputs, and the points have 7"),
    ],
)
def test_taylor_refuses(changes, match):
    with pytest.raises(InputError, match=match):
        taylor(**changes)


def test_taylor_expectations_refuse_a_factor_that_does_not_fit():
    with pytest.raises(InputError, match="factor has shape"):
        causal.taylor_expectations(decoder(), LAYERS, np.zeros((2, 7)), np.zeros((3, 2, 7)))


# scripts/ace.py


def chain_files(folder: Path, seed_count=2, classes=3, latents=4):
    arguments = {"pixels": 6, "classes": classes, "latents": latents, "hidden": [7, 5]}
    found = []
    for seed in range(seed_count):
        network = nets.build("conditional-vae", arguments)
        nets.initialise(network, seeds.torch_generator(seed, "test"))
        found.append(network.state_dict())
    stacked = {name: torch.stack([state[name] for state in found]).numpy() for name in found[0]}
    about = {"architecture": "conditional-vae", "arguments": arguments, "seeds": list(range(seed_count))}
    io.save_tensors(folder / "weights.safetensors", stacked, about)
    y = np.repeat(np.arange(classes), [10, 20, 30])
    data = {"x": np.zeros((60, 2, 3), np.uint8), "y": y, "split": np.zeros(60, np.uint8)}
    io.save_tensors(folder / "data.safetensors", data, {"classes": classes, "scale": 255})


def ace_job(folder: Path, name="ace.safetensors", **changes) -> SimpleNamespace:
    wanted = {
        "alphas": [-1.0, 0.0, 1.0],
        "digits": [1, 2],
        "draws": 32,
        "replicates": 4,
        "published_draws": 3,
        "published_class_draws": 3,
    }
    return SimpleNamespace(
        input=SimpleNamespace(weights=folder / "weights.safetensors", data=folder / "data.safetensors"),
        output=[folder / name],
        params=SimpleNamespace(settings={**wanted, **changes}),
        wildcards=SimpleNamespace(study="test", block="000-001"),
        threads=1,
        log=[str(folder / "log")],
        rule="ace",
    )


main = runpy.run_path(str(ROOT / "scripts/ace.py"))["main"]


def test_script_writes_what_the_contract_says(tmp_path):
    chain_files(tmp_path)
    main(ace_job(tmp_path))
    got, about = io.load_tensors(tmp_path / "ace.safetensors"), io.metadata(tmp_path / "ace.safetensors")
    neurons, shapes = 5 + 7 + 6, {}
    for seed in (0, 1):
        for digit in (1, 2):
            for name in ("effect", "error", "taylor", "published"):
                shapes[f"seed{seed}.digit{digit}.{name}"] = (4, 3, neurons)
            shapes[f"seed{seed}.digit{digit}.baseline"] = (4, neurons)
            shapes[f"seed{seed}.digit{digit}.traversal"] = (4, 3, 6)
        for name in ("effect", "error", "baseline", "published"):
            shapes[f"seed{seed}.class.{name}"] = (3, neurons)
    assert {name: tensor.shape for name, tensor in got.items()} == shapes
    assert {tensor.dtype for tensor in got.values()} == {np.dtype(np.float32)}
    assert about == {
        "layers": [["relu1", 5], ["relu2", 7], ["sigmoid", 6]], "alphas": [-1.0, 0.0, 1.0], "digits": [1, 2],
        "seeds": [0, 1], "draws": 32, "replicates": 4, "published_draws": 3, "published_class_draws": 3,
    }  # fmt: skip
    for name, tensor in got.items():
        if name.endswith("class.effect"):
            assert np.abs(np.array([10, 20, 30]) @ (tensor + got[name.replace("effect", "baseline")])).max() > 0
        if name.endswith(("digit1.effect", "digit1.taylor", "digit1.published")):
            assert np.abs(tensor.mean(axis=1)).max() < 1e-6
            assert np.abs(tensor).max() > 0.01
    # At alpha = x, every latent's traversal shows one image: the shared draw with one entry changed.
    vae = nets.load(io.load_tensors(tmp_path / "weights.safetensors"), io.metadata(tmp_path / "weights.safetensors"), 1)
    z = causal.draws(1, 4, 1, "traversal", "independent")[0]
    for latent in range(4):
        moved = z.copy()
        moved[latent] = 1.0
        want = nets.decoder_network(vae)(torch.tensor([*moved, 0.0, 1.0, 0.0]))
        assert np.allclose(got["seed1.digit1.traversal"][latent, 2], want, atol=1e-6)


def test_script_is_deterministic_and_a_seed_stands_alone(tmp_path):
    chain_files(tmp_path)
    main(ace_job(tmp_path))
    main(ace_job(tmp_path, "again.safetensors"))
    first, again = (tmp_path / "ace.safetensors").read_bytes(), (tmp_path / "again.safetensors").read_bytes()
    assert first == again
    got = io.load_tensors(tmp_path / "ace.safetensors")
    chain_files(tmp_path, seed_count=1)
    main(ace_job(tmp_path, digits=[2]))
    for name, tensor in io.load_tensors(tmp_path / "ace.safetensors").items():
        assert np.array_equal(tensor, got[name])


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"digits": [3]}, "digits are .3."), ({"alphas": []}, "alphas"), ({"replicates": 1}, "1 rep")],
)
def test_script_refuses_and_leaves_nothing(tmp_path, changes, match):
    chain_files(tmp_path)
    with pytest.raises(InputError, match=match):
        main(ace_job(tmp_path, **changes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.safetensors", "weights.safetensors"]
