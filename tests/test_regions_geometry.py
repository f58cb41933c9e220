"""Distances to borders: by hand, by autograd, and by walking there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from networks import NAMED, drawn_networks, inputs, perceptron, randomised, resnet
from torch import nn

from interneuron import regions
from interneuron.errors import InputError


class Unchained(nn.Module):
    """A perceptron with a step that keeps it from being run as plain products."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.unsqueeze(1).squeeze(1))


def by_autograd(network, x, kind):
    """|z| / ||grad z|| of every input z of the modules of a kind, [n, units]."""
    leaf, found = x.clone().requires_grad_(), []
    modules = [module for module in network.modules() if isinstance(module, kind)]
    handles = [m.register_forward_pre_hook(lambda _, args: found.append(args[0].flatten(1))) for m in modules]
    network(leaf)
    for handle in handles:
        handle.remove()
    units = torch.cat(found, dim=1)
    gradients = [torch.autograd.grad(z.sum(), leaf, retain_graph=True)[0].flatten(1) for z in units.unbind(1)]
    return units.detach().abs() / torch.stack(gradients, dim=1).norm(dim=2)


@pytest.mark.parametrize("make", [lambda network: network, Unchained])
@pytest.mark.parametrize("name", ["perceptron", "leaky"])
def test_distances_are_those_of_autograd(name, make):
    network, x = randomised(NAMED[name][0](), 3, torch.float64), inputs(12, (5,), 4, torch.float64)
    found = regions.border_distances(make(network), x)
    expected = by_autograd(network, x, nn.ReLU | nn.LeakyReLU | nn.PReLU)
    assert found.distances.shape == (12, 13)
    torch.testing.assert_close(found.distances, expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(found.nearest, found.distances.amin(1))
    assert torch.equal(found.distances.gather(1, found.unit[:, None])[:, 0], found.nearest)
    for batch in (1, 5):
        torch.testing.assert_close(regions.border_distances(make(network), x, batch), found, rtol=1e-10, atol=1e-12)


def test_distances_in_convolutions_are_those_of_autograd():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 5), nn.ReLU())
    network, x = randomised(network, 5, torch.float64), inputs(4, (2, 6, 6), 6, torch.float64)
    found = regions.border_distances(network, x)
    torch.testing.assert_close(found.distances, by_autograd(network, x, nn.ReLU), rtol=1e-10, atol=1e-12)


def test_distances_by_hand():
    relu = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    relu[0].weight.data, relu[0].bias.data = torch.tensor([[3.0, 4.0]]), torch.tensor([-5.0])
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.5]])
    torch.testing.assert_close(regions.border_distances(relu, x).nearest, torch.tensor([4.0, 1.0, 0.0]))

    x = torch.tensor([[-3.0], [0.25], [5.0]])
    assert regions.border_distances(nn.Hardtanh(-1, 2), x).distances.tolist() == [[2.0], [1.25], [3.0]]
    assert regions.border_distances(nn.ReLU6(), x).distances.tolist() == [[3.0], [0.25], [1.0]]

    x = torch.tensor([[[3.0, 1.0, 0.0, 7.0]]])
    found = regions.border_distances(nn.MaxPool1d(2), x).distances
    torch.testing.assert_close(found, torch.tensor([[2 / 2**0.5, 7 / 2**0.5]]))


def test_a_unit_that_nothing_can_change_is_infinitely_far():
    network = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU())
    for parameter in network.parameters():
        parameter.data.fill_(1)
    found = regions.border_distances(network, torch.tensor([[-3.0], [2.0]]))
    assert found.distances.tolist() == [[2.0, torch.inf], [3.0, 4.0]]
    assert found.unit.tolist() == [0, 0]


@settings(max_examples=15, deadline=None)
@given(drawn_networks(dtypes=(torch.float64,)))
def test_no_pattern_changes_within_the_nearest_distance(case):
    network, x = case
    if not regions.sites(network, x):
        return
    found = regions.border_distances(network, x)
    here = regions.activation_patterns(network, x)
    assert (found.nearest >= 0).all()
    stream = torch.Generator().manual_seed(0)
    for _ in range(5):
        step = torch.randn(x.shape, generator=stream, dtype=x.dtype)
        reach = found.nearest.clamp(max=1e3) * 0.999 - 1e-9
        step *= (reach / step.flatten(1).norm(dim=1)).view(-1, *[1] * (x.ndim - 1))
        inside = regions.activation_patterns(network, x + step)
        assert ((here == inside).all(1) | (reach <= 0).numpy()).all()


def test_the_pattern_changes_in_the_nearest_unit_just_beyond_its_distance():
    network, x = perceptron(6, 10, 8, 2, dtype=torch.float64), inputs(200, (6,), dtype=torch.float64)
    found = regions.border_distances(network, x)
    before = regions.unpack_patterns(regions.activation_patterns(network, x), 18)
    # Each unit's own gradient is the map of the network that ends in it.
    ends = [nn.Sequential(*network[:1]), nn.Sequential(*network[:3])]
    gradients = torch.cat([regions.affine_maps(end, x).omega for end in ends], dim=1)
    normal = nn.functional.normalize(gradients[torch.arange(200), found.unit], dim=1)
    sign = torch.from_numpy(np.where(before[np.arange(200), found.unit], -1.0, 1.0))
    for reach, changed in ((0.999, False), (1.001, True)):
        there = x + (sign * found.nearest * reach)[:, None] * normal
        after = regions.unpack_patterns(regions.activation_patterns(network, there), 18)
        assert (after != before).any(1).tolist() == [changed] * 200
        if changed:
            assert (after != before)[np.arange(200), found.unit].all()


def test_a_residual_network_of_torchvision():
    network, x = randomised(resnet(), 1), inputs(1, (3, 4, 4), 2)
    found = regions.border_distances(network, x)
    assert found.distances.shape == (1, sum(site.units for site in regions.sites(network, x)))
    here = regions.activation_patterns(network, x)
    step = inputs(20, (3, 4, 4), 3)
    step *= 0.5 * found.nearest / step.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert (regions.activation_patterns(network, x + step) == here).all()


def test_a_network_without_borders_is_refused():
    with pytest.raises(InputError, match="no branching units, so its one region has no border"):
        regions.border_distances(nn.Linear(4, 2), inputs(3, (4,)))
    with pytest.raises(InputError, match="batch is -1"):
        regions.border_distances(perceptron(4, 3, 2), inputs(3, (4,)), batch=-1)
