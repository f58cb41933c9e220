"""Distances to borders: by hand, by autograd, and by walking there."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from networks import NAMED, drawn_networks, inputs, perceptron, randomised, resnet
from torch import nn
from torch.nn import functional

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


def test_an_activation_in_place_has_the_distances_of_one_out_of_place():
    x = torch.tensor([[1.0, -2.0, 3.0, -4.0]])
    for act in (nn.ReLU(inplace=True), nn.ReLU()):
        network = nn.Sequential(nn.BatchNorm1d(4, eps=0), act, nn.Linear(4, 1)).eval()
        assert regions.border_distances(network, x).distances.tolist() == [[1.0, 2.0, 3.0, 4.0]]


def _distances(network, x):
    return regions.border_distances(network, x) if regions.sites(network, x) else ()


@settings(max_examples=25, deadline=None)
@given(drawn_networks(dtypes=(torch.float64,)))
def test_networks_in_place_are_their_twins_out_of_place(case):
    network, x = case
    twin = deepcopy(network)
    for module in twin.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            module.inplace = False
    with torch.no_grad():
        # One that is first in a residual block overwrites what the block adds.
        assume(torch.equal(network(x.clone()), twin(x.clone())))
    before = x.clone()
    for function in (regions.network_outputs, regions.affine_maps, _distances):
        torch.testing.assert_close(function(network, x), function(twin, x), rtol=1e-9, atol=1e-12)
    assert torch.equal(x, before)


class Written(nn.Module):
    """Two linear layers, and between them what a function makes of the first one's output and the input."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second, self.between = nn.Linear(5, 6), nn.Linear(6, 3), between
        self.register_buffer("calls", torch.zeros(6, dtype=torch.float64))

    def forward(self, x):
        return self.second(self.between(self, x))


def input_moved(net, x):
    x.sub_(1)
    x *= 2
    return net.first(x).relu()


def input_cut(net, x):
    x.relu_()
    return net.first(x).relu()


def part_cut(net, x):
    h = net.first(x)
    h[:, :2].relu_()
    return functional.leaky_relu_(h, 0.2)


def view_cut(net, x):
    h = net.first(x)
    h.view(-1, 2, 3).relu_()
    return h


def summed(net, x):
    h = net.first(x)
    r = torch.relu(h)
    h += r
    h += 1
    return functional.relu_(h)


IN_PLACE = {
    "input": (input_moved, lambda net, x: net.first((x - 1) * 2).relu()),
    "input through relu": (input_cut, lambda net, x: net.first(x.relu()).relu()),
    "a part": (part_cut, lambda net, x: leaky(torch.cat([net.first(x)[:, :2].relu(), net.first(x)[:, 2:]], 1))),
    "a view": (view_cut, lambda net, x: net.first(x).relu()),
    "sums": (summed, lambda net, x: (net.first(x) + net.first(x).relu() + 1).relu()),
    "clamp": (lambda net, x: net.first(x).clamp_(-0.4, 0.5), lambda net, x: net.first(x).clamp(-0.4, 0.5)),
    "hardtanh": (lambda net, x: functional.hardtanh_(net.first(x)), lambda net, x: functional.hardtanh(net.first(x))),
}


def leaky(h):
    return functional.leaky_relu(h, 0.2)


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_writes_over_its_input_is_right_everywhere_and_leaves_the_callers(name):
    within, without = (randomised(Written(between), 3, torch.float64) for between in IN_PLACE[name])
    x = inputs(9, (5,), 4, torch.float64)
    before = x.clone()
    for function in (regions.affine_maps, regions.network_outputs, regions.integrated_gradients):
        torch.testing.assert_close(function(within, x), function(without, x), rtol=1e-10, atol=1e-12)
    units = {name: [site.units for site in regions.sites(net, x)] for name, net in (("in", within), ("out", without))}
    if units["in"] == units["out"]:
        found, wanted = regions.border_distances(within, x), regions.border_distances(without, x)
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    else:
        # The twin of a part runs its first layer twice.
        assert torch.isfinite(regions.border_distances(within, x).nearest).all()
    assert torch.equal(x, before)


def counting(net, x):
    net.calls += 1
    return net.first(x + net.calls[:5])


def split(net, x):
    h = net.first(x)
    h.chunk(2, 1)[0].relu_()
    return h


def masked(net, x):
    h = net.first(x)
    h[h < 0] = 0
    return h


def into(net, x):
    h = net.first(x)
    found = torch.zeros(len(h), 6, dtype=h.dtype)
    torch.clamp(h, 0, 1, out=found)
    return h + found


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (counting, "gives the same inputs other numbers in a second call"),
        (lambda net, x: net.first(x) * torch.rand(6, dtype=x.dtype), "other numbers in a second call"),
        (split, "overwrites numbers in place that its own gradient is made of"),
        (masked, "lt in the forward of the network .* is not piecewise affine"),
        (into, "clamp in the forward of the network .* writes into out="),
        (lambda net, x: net.first(x).clamp(min=torch.zeros(len(x), 6)), "clamp .* bounds of its own for each sample"),
        (
            lambda net, x: net.first(x).t().relu().t(),
            r"relu .* runs on \[6, 2\], whose first axis is not that of the 2",
        ),
        (lambda net, x: net.first(x) + len(x), "gives a sample other numbers alone than beside another"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_nothing_of_the_network_is_changed(between, reason):
    network, x = randomised(Written(between), 3, torch.float64), inputs(9, (5,), 4, torch.float64)
    before = deepcopy(network.state_dict())
    for function in (regions.border_distances, regions.affine_maps, regions.activation_patterns):
        with pytest.raises(InputError, match=reason):
            function(network, x)
    torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


def test_a_network_without_borders_is_refused():
    with pytest.raises(InputError, match="no branching units, so its one region has no border"):
        regions.border_distances(nn.Linear(4, 2), inputs(3, (4,)))
    with pytest.raises(InputError, match="batch is -1"):
        regions.border_distances(perceptron(4, 3, 2), inputs(3, (4,)), batch=-1)
    with pytest.raises(InputError, match=r"the network is a function, and a map takes a torch.nn.Module"):
        regions.border_distances(lambda x: perceptron(4, 3, 2)(x), inputs(3, (4,)))
