"""Attacks where the nearest adversarial input is known, on a small trained classifier, and what they refuse."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from interneuron.attacks import carlini_wagner, fast_gradient_sign
from interneuron.errors import InputError


def linear():
    """A linear classifier of two classes on [4]: the lead of class 1 is w x + b."""
    net = nn.Linear(4, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0, 0, 0, 0], [1, -2, 0.5, 0]]))
        net.bias.copy_(torch.tensor([0.1, 0]))
    return net


@pytest.fixture(scope="module")
def digits():
    """A small convolutional network on scikit-learn's digits, and images that it has right."""
    data = load_digits()
    x = torch.from_numpy(data.images).float()[:, None] / 16
    y = torch.from_numpy(data.target).long()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(150):
        rows = torch.arange(100 * step, 100 * step + 100) % 1500
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
    net.requires_grad_(False)
    right = net(x[1500:]).argmax(1) == y[1500:]
    assert right.float().mean() > 0.9
    return net, x[1500:][right][:40], y[1500:][right][:40]


def test_fast_gradient_sign_of_a_linear_classifier():
    net, x = linear(), torch.tensor([[0.5, 0.3, 0.5, 0.5], [0.9, 0.2, 0.9, 0.0]])
    labels = net(x).argmax(1)
    assert labels.tolist() == [1, 1]
    lead = net(x)[:, 1] - net(x)[:, 0]
    step = torch.tensor([-1.0, 1, -1, 0])
    # The lead falls by epsilon |w|_1.
    for epsilon in (0.02, 0.04, 0.1):
        found = fast_gradient_sign(net, x, labels, epsilon)
        torch.testing.assert_close(found.success, lead < 3.5 * epsilon)
        want = torch.where(found.success[:, None], x + epsilon * step, x)
        torch.testing.assert_close(found.x, want)
        torch.testing.assert_close(found.distortion, found.success * epsilon * 3**0.5)
    clipped = fast_gradient_sign(net, x, labels, 0.7)
    assert clipped.success.all()
    torch.testing.assert_close(clipped.x, (x + 0.7 * step).clamp(0, 1))
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("targeted", [False, True])
def test_carlini_wagner_finds_the_nearest_point_across_a_linear_boundary(targeted):
    net, x = linear(), torch.tensor([[0.5, 0.3, 0.5, 0.5], [0.4, 0.5, 0.6, 0.3], [0.6, 0.45, 0.5, 0.9]])
    labels = net(x).argmax(1)
    lead = (net(x)[:, 1] - net(x)[:, 0]).abs()
    normal = net.weight[1].detach()
    found = carlini_wagner(
        net, x, labels, targets=1 - labels if targeted else None, iterations=300, search_steps=8, constant=0.1
    )
    assert found.success.all()
    nearest = lead / normal.norm()
    assert (found.distortion >= nearest - 1e-5).all()
    torch.testing.assert_close(found.distortion, nearest, rtol=0.05, atol=0.01)
    direction = (found.x - x) / found.distortion[:, None]
    assert ((direction @ normal).abs() / normal.norm() > 0.98).all()


def curved():
    """A perceptron of two inputs with a curved boundary, in float64, and inputs around the middle."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 3)).double().requires_grad_(False)
    net[0].weight.mul_(6)
    net[0].bias.uniform_(-3, 3)
    x = 0.2 + 0.6 * torch.rand(12, 2, dtype=torch.float64)
    net[2].bias.sub_(net(x).mean(0))
    return net, x, net(x).argmax(1)


def test_carlini_wagner_is_as_near_as_the_nearest_of_all_points():
    net, x, y = curved()
    axis = torch.linspace(0, 1, 501, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    classes = net(grid).argmax(1)
    assert len(classes.unique()) == 3
    found = carlini_wagner(net, x, y, iterations=400, search_steps=8, learning_rate=0.02, constant=0.1)
    assert found.success.all()
    nearest = torch.stack([(grid[classes != label] - u).norm(dim=1).min() for u, label in zip(x, y, strict=True)])
    assert (found.distortion > nearest - 0.003).all()
    # Descent may end at a boundary that is not the nearest one.
    assert (found.distortion < 1.05 * nearest + 0.003).float().mean() > 0.7


def test_the_fast_gradient_is_that_of_differences_of_the_loss():
    net, x, y = curved()
    found, step = fast_gradient_sign(net, x, y, 0.3), 1e-6
    for i in found.success.nonzero()[:, 0].tolist():
        slopes = []
        for axis in torch.eye(2, dtype=torch.float64):
            ends = [
                nn.functional.cross_entropy(net(x[i : i + 1] + sign * step * axis), y[i : i + 1]) for sign in (1, -1)
            ]
            slopes.append(ends[0] - ends[1])
        want = (x[i] + 0.3 * torch.stack(slopes).sign()).clamp(0, 1)
        torch.testing.assert_close(found.x[i], want)
    assert 3 < found.success.sum() < 12


def test_confidence_is_a_lead():
    net, x = linear(), torch.tensor([[0.5, 0.3, 0.5, 0.5]])
    found = carlini_wagner(net, x, torch.tensor([1]), confidence=0.3, iterations=200, search_steps=6, constant=0.1)
    lead = (net(found.x)[:, 0] - net(found.x)[:, 1]).item()
    assert 0.3 - 1e-5 <= lead < 0.34


def test_attacks_on_a_trained_network(digits):
    net, x, y = digits
    nearest = carlini_wagner(net, x, y, iterations=100, search_steps=4, learning_rate=0.05, constant=0.1)
    assert nearest.success.float().mean() > 0.97
    assert (net(nearest.x).argmax(1) != y)[nearest.success].all()
    rates = []
    for epsilon in (0.05, 0.15, 0.3):
        fast = fast_gradient_sign(net, x, y, epsilon)
        rates.append(fast.success.float().mean().item())
        both = fast.success & nearest.success
        assert ((fast.x - x).abs() <= epsilon + 1e-6).all()
        assert (nearest.distortion < fast.distortion)[both].float().mean() > 0.95
        assert (net(fast.x).argmax(1) != y).eq(fast.success).all()
    assert rates == sorted(rates)
    assert rates[-1] > 0.6
    for found in (nearest, fast):
        assert found.x.min() >= 0
        assert found.x.max() <= 1
        torch.testing.assert_close(found.x[~found.success], x[~found.success])
        torch.testing.assert_close(found.distortion, (found.x - x).flatten(1).norm(dim=1))


def test_targeted_attacks_reach_their_targets(digits):
    net, x, y = (part[:10] if isinstance(part, torch.Tensor) else part for part in digits)
    targets = (y + 1) % 10
    found = carlini_wagner(net, x, y, targets=targets, iterations=100, search_steps=4, learning_rate=0.05, constant=1)
    assert found.success.float().mean() > 0.8
    assert (net(found.x).argmax(1) == targets)[found.success].all()


def test_a_result_does_not_depend_on_the_batch(digits):
    net, x, y = digits
    settings = {"iterations": 20, "search_steps": 2, "learning_rate": 0.05, "constant": 1.0}
    together = carlini_wagner(net, x[:6], y[:6], batch=6, **settings)
    apart = carlini_wagner(net, x[:6], y[:6], batch=1, **settings)
    torch.testing.assert_close(together.x, apart.x, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        fast_gradient_sign(net, x, y, 0.1, batch=7).x, fast_gradient_sign(net, x, y, 0.1).x, atol=1e-6, rtol=0
    )


def test_other_bounds():
    net, x = linear(), torch.tensor([[0.0, -0.2, 0, 0]])
    found = carlini_wagner(net, x, torch.tensor([1]), (-0.5, 0.5), iterations=200, search_steps=6, constant=0.1)
    assert found.success.all()
    np.testing.assert_allclose(found.distortion, 0.3 / linear().weight[1].norm().item(), rtol=0.05)


LINEAR = linear()


def hidden(*modules):
    network = nn.Sequential(*modules).train()
    return lambda x: network(x).softmax(1)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": torch.full((2, 4), 1.5)}, r"inputs \[2, 4\] are not all within \(0.0, 1.0\)"),
        ({"x": torch.full((2, 4), torch.nan)}, "inputs hold NaN or infinite numbers"),
        ({"x": torch.full((2, 4), 0.5, dtype=torch.float64)}, r"inputs .*float64\) do not pass the network"),
        ({"labels": torch.tensor([0, 2])}, r"labels are torch.int64 \[2\]; 2 inputs take one of 0 to 1 each, int64"),
        ({"labels": torch.tensor([0])}, r"labels are torch.int64 \[1\]"),
        ({"labels": torch.tensor([0.0, 1])}, "labels are torch.float32"),
        ({"bounds": (1.0, 0.0)}, "the lower first"),
        ({"batch": 0}, "batch is 0"),
        ({"network": nn.Flatten(0)}, r"the network gives \[4\] for one input"),
        ({"network": lambda x: LINEAR(x).detach()}, "have no gradient in its inputs"),
        ({"network": lambda x: LINEAR(nn.functional.dropout(x))}, "the network draws random numbers"),
        ({"network": lambda x: LINEAR(x - x.mean(0))}, "gives one sample differs from batch to batch"),
        ({"network": nn.Sequential(nn.BatchNorm1d(4), linear())}, "is in training mode: call eval"),
        ({"network": hidden(nn.BatchNorm1d(4), linear())}, "gives one sample differs from batch to batch"),
        ({"network": hidden(nn.Dropout(), linear())}, "the network draws random numbers"),
    ],
)
def test_what_attacks_refuse(changed, words):
    x = torch.tensor([[0.5] * 4, [0.3] * 4])
    arguments = {"network": linear(), "x": x, "labels": torch.tensor([0, 1])} | changed
    with pytest.raises(InputError, match=words):
        carlini_wagner(**arguments, iterations=1)
    with pytest.raises(InputError, match=words):
        fast_gradient_sign(**arguments, epsilon=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"iterations": 0}, "iterations is 0; the attack takes 1 or more"),
        ({"search_steps": 0}, "search_steps is 0"),
        ({"confidence": -1.0}, "confidence is -1.0; the attack takes 0 or more"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; the attack takes a number above 0"),
        ({"constant": 0.0}, "constant is 0.0"),
        ({"targets": torch.tensor([0, 0])}, "some targets are the labels"),
        ({"targets": torch.tensor([5, 0])}, "targets are torch.int64"),
    ],
)
def test_settings_that_attacks_refuse(settings, words):
    x, labels = torch.full((2, 4), 0.5), torch.tensor([0, 1])
    with pytest.raises(InputError, match=words):
        carlini_wagner(linear(), x, labels, **settings)
    with pytest.raises(InputError, match="epsilon is 0"):
        fast_gradient_sign(linear(), x, labels, 0.0)


def test_a_network_that_writes_over_its_input_is_attacked_as_its_twin_and_leaves_the_callers() -> None:
    x, y = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1] * 3)
    net, before = linear(), x.clone()
    for attack, settings in ((fast_gradient_sign, {"epsilon": 0.2}), (carlini_wagner, {"iterations": 40})):
        found = attack(lambda x: net(x.sub_(0.1)), x, y, **settings)
        twin = attack(lambda x: net(x - 0.1), x, y, **settings)
        torch.testing.assert_close(vars(found), vars(twin), rtol=0, atol=0)
    assert torch.equal(x, before)
