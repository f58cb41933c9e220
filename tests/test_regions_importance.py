"""What features weigh, against loops, fine sums along the path, and features that are known not to matter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from networks import NAMED, drawn_networks, inputs, perceptron, randomised
from torch import nn

from interneuron import regions
from interneuron.errors import InputError


def summed(network, u, v, steps=1500):
    """Integrated gradients of one sample by the midpoint rule, with autograd's derivatives: [outputs, d]."""
    t = (torch.arange(steps, dtype=u.dtype) + 0.5) / steps
    points = (v + t.view(-1, *[1] * u.ndim) * (u - v)).requires_grad_()
    y = network(points)
    y = y.flatten(1) if y.ndim > 1 else y[:, None]
    means = [torch.autograd.grad(y[:, k].sum(), points, retain_graph=True)[0].mean(0) for k in range(y.shape[1])]
    return torch.stack([(mean * (u - v)).flatten() for mean in means])


def values_of(network, x):
    with torch.no_grad():
        y = network(x.clone())
    return y.flatten(1) if y.ndim > 1 else y[:, None]


def test_importance_is_omega_and_omega_times_the_spread():
    stream = np.random.default_rng(0)
    x, labels = stream.normal(size=(60, 2, 2)), stream.integers(0, 3, 60)
    omega = stream.normal(size=(4, 3, 4))
    found = regions.importance(omega, torch.from_numpy(x), labels)
    assert found.support.tolist() == [int((labels == r).sum()) for r in range(4)]
    assert found.support[3] == 0
    for r in range(4):
        for k in range(3):
            for i in range(4):
                column = x.reshape(60, 4)[:, i]
                assert found.omega[r, k, i] == omega[r, k, i]
                assert found.spread[r, k, i] == pytest.approx(omega[r, k, i] * np.std(column))
                if r < 3:
                    assert found.within[r, k, i] == pytest.approx(omega[r, k, i] * np.std(column[labels == r]))
                else:
                    assert np.isnan(found.within[r, k, i])
    one = regions.importance(torch.from_numpy(omega[:, 0]), x, labels)
    assert np.array_equal(one.spread, found.spread[:, :1])


def test_the_spread_takes_the_units_out():
    x, units = inputs(80, (4,), dtype=torch.float64), torch.tensor([1.0, 1000.0, 0.01, 5.0], dtype=torch.float64)
    network = perceptron(4, 6, 1, dtype=torch.float64)
    other = perceptron(4, 6, 1, dtype=torch.float64)
    other[0].weight.data /= units
    labels = regions.unique_patterns(regions.activation_patterns(network, x)).labels
    first = np.unique(labels, return_index=True)[1]
    plain = regions.importance(regions.affine_maps(network, x[first]).omega, x, labels)
    scaled = regions.importance(regions.affine_maps(other, (x * units)[first]).omega, x * units, labels)
    np.testing.assert_allclose(plain.spread, scaled.spread, rtol=1e-9)
    np.testing.assert_allclose(plain.within, scaled.within, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(plain.omega, scaled.omega * units.numpy(), rtol=1e-9)


def test_a_feature_that_does_not_vary_has_no_correlation():
    x = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_array_equal(regions.correlations(x), np.corrcoef(x.T))
    # NumPy correlates what rounding leaves of 0.1 - mean.
    x[:, 1], x[:, 2] = 0.1, 0.7
    found = regions.correlations(x)
    assert np.isnan(found[1:3]).all()
    assert np.isnan(found[:, 1:3]).all()
    np.testing.assert_allclose(found[[0, 0, 3], [0, 3, 3]], np.corrcoef(x[:, [0, 3]].T)[[0, 0, 1], [0, 1, 1]])
    assert regions.correlations(x[:, :1]).tolist() == [[1]]


def test_correlated_features_are_those_of_numpy():
    stream = np.random.default_rng(1)
    base = stream.normal(size=(200, 3))
    x = np.column_stack([base, base[:, 0] + 0.3 * stream.normal(size=200), -base[:, 1], np.full(200, 0.1)])
    found = regions.correlated_features(x, 0.05)
    r = np.corrcoef(x[:, :5].T)
    expected = {(i, j): r[i, j] for i in range(5) for j in range(i + 1, 5) if abs(r[i, j]) >= 0.05}
    assert {(p.first, p.second) for p in found} == set(expected)
    assert all(p.correlation == pytest.approx(expected[p.first, p.second]) for p in found)
    assert [abs(p.correlation) for p in found] == sorted((abs(p.correlation) for p in found), reverse=True)
    assert [(p.first, p.second) for p in regions.correlated_features(x)] == [(1, 4), (0, 3)]
    assert [(p.first, p.second) for p in regions.correlated_features(x, 1.0)] == [(1, 4)]
    assert regions.correlated_features(x[:1]) == []


def rule(*weights):
    """A network that goes by the sign of a weighted sum."""
    network = nn.Sequential(nn.Linear(len(weights), 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    network[0].weight.data = torch.tensor([weights, [-w for w in weights]], dtype=torch.float32)
    network[0].bias.data.zero_()
    network[2].weight.data = torch.tensor([[1.0, -1.0]])
    return network


def test_permuting_counts_what_is_lost():
    network, x = rule(1.0, 0.0, 0.0), inputs(4000, (3,))
    lost = regions.permutation_importance(network, x, repeats=3, seed=5)
    assert lost.shape == (3, 3)
    # A shuffled sign is right as often as wrong; features without a weight change nothing.
    assert np.abs(lost[:, 0] - 0.5).max() < 0.04
    assert (lost[:, 1:] == 0).all()
    assert len(np.unique(lost[:, 0])) == 3
    assert np.array_equal(lost, regions.permutation_importance(network, x, repeats=3, seed=5, batch=999))
    assert np.array_equal(lost[:1], regions.permutation_importance(network, x, repeats=1, seed=5))
    assert not np.array_equal(lost, regions.permutation_importance(network, x, repeats=3, seed=6))


def test_permuting_by_hand_with_classes():
    network, x = rule(1.0, -2.0), torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [-1.0, 0.5]])
    classes = [1, 0, 1, 1]
    predictions = (network(x)[:, 0] > 0).long()
    assert predictions.tolist() == [1, 0, 1, 0]
    lost = regions.permutation_importance(network, x, classes, repeats=200, seed=0)
    for feature in range(2):
        possible = set()
        for order in np.array(np.meshgrid(*[range(4)] * 4)).T.reshape(-1, 4):
            if len(set(order.tolist())) == 4:
                changed = x.clone()
                changed[:, feature] = x[torch.from_numpy(order), feature]
                own = (network(changed)[:, 0] > 0).long().numpy()
                possible.add(0.75 - float((own == classes).mean()))
        assert set(lost[:, feature].tolist()) == possible


def test_permuting_images_keeps_their_shape():
    network, x = randomised(NAMED["convolutional"][0](), 2), inputs(20, (2, 6, 6))
    lost = regions.permutation_importance(network, x, repeats=1)
    assert lost.shape == (1, 72)
    assert (lost >= 0).all()
    assert lost.max() > 0


def test_integrated_gradients_by_hand():
    network = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    network[0].weight.data, network[0].bias.data = torch.tensor([[2.0]]), torch.tensor([-1.0])
    x = torch.tensor([[3.0], [0.25], [-2.0]])
    torch.testing.assert_close(regions.integrated_gradients(network, x)[:, 0, 0], torch.tensor([5.0, 0.0, 0.0]))
    from_one = regions.integrated_gradients(network, x, torch.tensor([1.0]))[:, 0, 0]
    torch.testing.assert_close(from_one, torch.tensor([4.0, -1.0, -1.0]))
    line = nn.Linear(3, 2)
    u, v = inputs(5, (3,)), inputs(5, (3,), 1)
    torch.testing.assert_close(regions.integrated_gradients(line, u, v), line.weight.detach() * (u - v)[:, None])


@pytest.mark.parametrize("name", ["perceptron", "leaky", "clamped", "convolutional", "sequences"])
def test_integrated_gradients_are_the_limit_of_sums_along_the_path(name):
    make, shape = NAMED[name]
    network, x = randomised(make(), 3, torch.float64), inputs(4, shape, 4, torch.float64)
    # Sums along the path want numbers that no in-place operation overwrote.
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    base = 0.3 * inputs(1, shape, 5, torch.float64)[0]
    for v in (None, base):
        start = torch.zeros_like(x[0]) if v is None else v
        found = regions.integrated_gradients(network, x, v)
        expected = torch.stack([summed(network, u, start) for u in x])
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-3 * expected.abs().max().item())


@settings(max_examples=12, deadline=None)
@given(drawn_networks(dtypes=(torch.float64,)))
def test_integrated_gradients_sum_to_the_rise_of_the_output(case):
    network, x = case
    v = inputs(1, x.shape[1:], 9, x.dtype)
    found = regions.integrated_gradients(network, x, v)
    y, start = values_of(network, x), values_of(network, v)
    torch.testing.assert_close(found.sum(2), y - start, rtol=0, atol=1e-5 * max(1, float(found.abs().sum(2).max())))


def test_baselines_outputs_and_batches():
    network, x = perceptron(5, 8, 6, 3, dtype=torch.float64), inputs(11, (5,), dtype=torch.float64)
    v = inputs(11, (5,), 1, torch.float64)
    whole = regions.integrated_gradients(network, x, v)
    for i in (0, 7):
        torch.testing.assert_close(regions.integrated_gradients(network, x[i : i + 1], v[i]), whole[i : i + 1])
    torch.testing.assert_close(regions.integrated_gradients(network, x, v, batch=4), whole)
    torch.testing.assert_close(regions.integrated_gradients(network, x, v, [2, 0]), whole[:, [2, 0]])
    best = values_of(network, x).argmax(1)
    assert len(best.unique()) > 1
    predicted = regions.integrated_gradients(network, x, v, "predicted")
    torch.testing.assert_close(predicted[:, 0], whole[torch.arange(11), best])
    torch.testing.assert_close(
        regions.integrated_gradients(nn.Sequential(*network, nn.Softmax(1)), x, v, logits=True), whole
    )


def test_what_does_not_fit_is_refused():
    network, x = perceptron(4, 3, 2), inputs(5, (4,))
    omega, labels = np.zeros((2, 1, 4)), np.array([0, 1, 0, 1, 1])
    for call, sentence in (
        (lambda: regions.importance(omega[:, :, :3], x, labels), r"omega has shape \[2, 1, 3\]"),
        (lambda: regions.importance(omega, x, labels[:4]), r"labels are int64 of shape \[4\]"),
        (lambda: regions.importance(omega, x, labels + 0.5), "labels hold 0.5, and take whole numbers"),
        (lambda: regions.importance(omega, x, labels + 1), "labels go from 1 to 2, of 2 regions"),
        (lambda: regions.importance(omega, x[:0], labels), "at least one sample"),
        (lambda: regions.importance(omega, x * torch.nan, labels), "NaN or infinite"),
        (lambda: regions.correlated_features(x, 0), "threshold is 0"),
        (lambda: regions.correlated_features(x, 1.1), r"threshold is 1\.1"),
        (lambda: regions.correlated_features(x * torch.inf), "NaN or infinite"),
        (lambda: regions.permutation_importance(network, x, repeats=0), "repeats is 0"),
        (lambda: regions.permutation_importance(network, x, [0, 1]), r"classes have shape \[2\], and take \[5\]"),
        (lambda: regions.integrated_gradients(network, x, x[:2]), r"baseline has shape \[2, 4\]"),
        (lambda: regions.integrated_gradients(network, x, x[0, :3]), r"baseline has shape \[1, 3\]"),
        (lambda: regions.integrated_gradients(network, x, x[0] * torch.nan), "baselines hold NaN"),
        (lambda: regions.integrated_gradients(network, x, outputs=[5]), r"outputs \[5\] asked for"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()
