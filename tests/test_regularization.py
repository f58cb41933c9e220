"""The penalty against its written-out formulas and autograd, and its attachment to the layers of networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch import nn

from interneuron import lattices
from interneuron.errors import InputError
from interneuron.regularization import FORMS, Operator, operator, penalty, regularised

GRAPHS = [lattices.grid(3, 4), lattices.rings(3, 4), lattices.star(12), lattices.tree(12), lattices.complete(12)]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=stream(seed))


def written_out(z, laplacian, form):
    """The mean over the rows of z [rows, nodes], one row at a time."""
    total = 0
    for row in z:
        value = row @ laplacian @ row
        total = total + (value if form == "quadratic" else value / (row @ row + 1e-12))
    return total / len(z)


def with_gradient(function, z):
    z = z.clone().requires_grad_()
    value = function(z)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def agree(mine, theirs, z):
    (value, gradient), (expected, its) = with_gradient(mine, z), with_gradient(theirs, z)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, its)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", lattices.LAPLACIANS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_value_and_gradient_are_those_of_the_formula(graph, kind, form):
    laplacian = lattices.laplacian(graph, kind)
    dense = torch.from_numpy(laplacian.toarray())
    for one in (laplacian, dense, dense.numpy()):
        prepared = operator(one, torch.float64)
        agree(lambda z, o=prepared: penalty(z, o, form), lambda z: written_out(z, dense, form), randn(5, 12))


@pytest.mark.parametrize("nodes", [1, 5, 16, 37, 64])
@pytest.mark.parametrize("shape", [(1,), (16,), (23,), (3, 7), (2, 33)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stacked", [False, True])
def test_compiled_penalties_are_those_by_products(nodes, shape, form, dtype, stacked):
    seeds = shape[0] if stacked and len(shape) > 1 else None
    matrices = [sparse.random_array((nodes, nodes), density=0.2, rng=seed) for seed in range(seeds or 1)]
    own = operator(matrices if seeds else matrices[0], dtype)
    assert own.arrays is not None
    z, weights = randn(*shape, nodes).to(dtype), randn(*shape[:-1]).to(dtype)
    dense = torch.stack([torch.from_numpy((one + one.T).toarray() / 2).to(dtype) for one in matrices])
    found = [
        with_gradient(lambda z, one=one: penalty(z, one, form, 0.5) * weights, z)
        for one in (own, replace(own, arrays=None), Operator(dense if seeds else dense[0], nodes, seeds))
    ]
    for value, gradient in found[1:]:
        torch.testing.assert_close(value, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(5,), (3, 5), (5, 2, 2)])
@pytest.mark.parametrize("sparse_one", [False, True])
def test_a_weight_within_is_one_without(form, shape, sparse_one):
    laplacian = lattices.laplacian(lattices.tree(12))
    prepared = operator(laplacian if sparse_one else laplacian.toarray(), torch.float64)
    z = randn(*shape[:-2], 12, *shape[-2:]) if len(shape) == 3 else randn(*shape, 12)
    agree(lambda z: penalty(z, prepared, form, 0.25), lambda z: 0.25 * penalty(z, prepared, form), z)


@pytest.mark.parametrize("sparse_one", [False, True])
def test_a_graph_that_is_retained_gives_its_gradient_again(sparse_one):
    laplacian = lattices.laplacian(lattices.tree(12))
    prepared = operator(laplacian if sparse_one else laplacian.toarray(), torch.float64)
    z = randn(5, 12).requires_grad_()
    doubled = 2 * z
    loss = penalty(doubled, prepared, weight=0.25) + (doubled**2).sum()
    first, second = (torch.autograd.grad(loss, z, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    loss.backward(retain_graph=True)
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * first, rtol=0, atol=0)


def test_the_quadratic_form_is_the_sum_over_edges():
    graph = lattices.grid(4, 5)
    z = randn(7, 20)
    i, j = np.nonzero(sparse.triu(graph).toarray())
    expected = ((z[:, i] - z[:, j]) ** 2).sum() / 7
    torch.testing.assert_close(penalty(z, operator(lattices.laplacian(graph), torch.float64)), expected)


def test_the_gradient_is_two_products_by_the_laplacian_over_the_batch():
    laplacian = lattices.laplacian(lattices.torus(3, 4))
    z = randn(5, 12)
    _, gradient = with_gradient(lambda z: penalty(z, operator(laplacian, torch.float64)), z)
    np.testing.assert_allclose(gradient, 2 * (laplacian @ z.numpy().T).T / 5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(3, 5, 12), (3, 5, 12, 2, 4), (3, 1, 12)])
@pytest.mark.parametrize("stacking", ["shared", "sparse", "dense"])
def test_seeds_are_those_of_one_seed_at_a_time(stacking, shape, form):
    laplacians = [lattices.laplacian(graph, "symmetric") for graph in GRAPHS[:3]]
    if stacking == "shared":
        laplacians = laplacians[:1] * 3
    stacked = {"shared": laplacians[0], "sparse": laplacians, "dense": np.stack([one.toarray() for one in laplacians])}
    together = operator(stacked[stacking], torch.float64)
    alone = [operator(one, torch.float64) for one in laplacians]

    def one_by_one(z):
        return torch.stack([penalty(part, one, form) for part, one in zip(z, alone, strict=True)])

    agree(lambda z: penalty(z, together, form), one_by_one, randn(*shape))


def test_channels_are_nodes_and_positions_are_samples():
    laplacian = lattices.laplacian(lattices.star(6))
    z = randn(4, 6, 3, 5)
    rows = z.permute(0, 2, 3, 1).reshape(-1, 6)
    dense = torch.from_numpy(laplacian.toarray())
    for form in FORMS:
        torch.testing.assert_close(penalty(z, operator(laplacian, torch.float64), form), written_out(rows, dense, form))


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 3), st.integers(1, 4), st.sampled_from(FORMS), st.sampled_from(lattices.LAPLACIANS), st.booleans()
)
def test_gradients_are_finite_differences(seeds, batch, form, kind, transposed):
    prepared = operator(lattices.laplacian(lattices.tree(5), kind), torch.float64)
    shape = (batch, 5) if not seeds else (seeds, batch, 5)
    z = randn(*shape)
    if transposed:
        z = z.mT.contiguous().mT
    weights = randn(*shape[:-2], seed=1)
    assert torch.autograd.gradcheck(lambda z: (weights * penalty(z, prepared, form)).sum(), z.requires_grad_())


def test_the_rayleigh_form_has_no_scale_and_stands_silence():
    prepared = operator(lattices.laplacian(lattices.grid(3, 3)), torch.float64)
    z = randn(4, 9)
    torch.testing.assert_close(penalty(z, prepared, "rayleigh"), penalty(-7 * z, prepared, "rayleigh"))
    value, gradient = with_gradient(lambda z: penalty(z, prepared, "rayleigh"), torch.zeros(4, 9, dtype=torch.float64))
    assert value == 0
    assert not gradient.any()


def test_eigenvectors_have_their_eigenvalues_as_rayleigh_quotients():
    laplacian = lattices.laplacian(lattices.grid(3, 3), "symmetric")
    eigenvalues, vectors = np.linalg.eigh(laplacian.toarray())
    for eigenvalue, vector in zip(eigenvalues, vectors.T, strict=True):
        z = torch.from_numpy(vector)[None]
        value = penalty(z, operator(laplacian, torch.float64), "rayleigh")
        assert value.item() == pytest.approx(eigenvalue, abs=1e-9)


def test_the_random_walk_penalty_can_be_negative_on_an_irregular_graph_only():
    for graph, negative in ((lattices.star(9), True), (lattices.torus(3, 3), False), (lattices.rings(2, 4), False)):
        walk = operator(lattices.laplacian(graph, "random-walk"), torch.float64).matrix.to_dense()
        assert (torch.linalg.eigvalsh(walk)[0].item() < -1e-3) is negative
        for kind in ("unnormalised", "symmetric"):
            matrix = operator(lattices.laplacian(graph, kind), torch.float64).matrix.to_dense()
            assert torch.linalg.eigvalsh(matrix)[0] > -1e-9


def test_float32_is_close_to_float64():
    laplacian = lattices.laplacian(lattices.grid(16, 32))
    z = torch.randn(256, 512, generator=stream())
    for form in FORMS:
        exact, its = with_gradient(lambda z, f=form: penalty(z, operator(laplacian, torch.float64), f), z.double())
        value, gradient = with_gradient(lambda z, f=form: penalty(z, operator(laplacian), f), z)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)
        torch.testing.assert_close(gradient.double(), its, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_forward_and_backward_take_one_product(form, monkeypatch):
    prepared = replace(operator(lattices.laplacian(lattices.star(9))), arrays=None)
    seen = []
    product = Operator.product
    monkeypatch.setattr(Operator, "product", lambda self, z: seen.append(z.shape) or product(self, z))
    z = torch.randn(4, 9, generator=stream(), requires_grad=True)
    penalty(z, prepared, form).backward()
    assert seen == [(9, 4)]
    assert z.grad is not None


class Network(nn.Module):
    """A convolution and linear layers, one ReLU that runs twice, dropout, and an in-place ReLU."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 6, 3), nn.ReLU()
        self.first, self.second, self.third = nn.Linear(24, 12), nn.Linear(12, 9), nn.Linear(9, 3)
        self.dropout, self.inplace = nn.Dropout(0.4), nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.relu(self.first(self.relu(self.conv(x)).flatten(1)))
        return self.third(self.inplace(self.second(self.dropout(h))))


@pytest.fixture
def network():
    network = Network().double()
    for i, parameter in enumerate(network.parameters()):
        parameter.data = randn(*parameter.shape, seed=i) / 3
    return network


X = randn(5, 1, 4, 4, seed=9)


def hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_a_named_layer_leaves_its_penalty_with_every_forward_pass(network):
    network.eval()
    grid, star = lattices.grid(3, 3), lattices.star(12)
    with regularised(network, X, {"second": grid, "relu#1": star}, "symmetric") as penalties:
        assert penalties == {}
        plain = network(X)
        once = dict(penalties)
        network(2 * X)
        twice = dict(penalties)
    assert hooks(network) == 0
    assert torch.equal(network(X), plain)
    for x, found in ((X, once), (2 * X, twice)):
        h = network.first(network.conv(x).relu().flatten(1)).relu()
        for name, graph, z in (("relu#1", star, h), ("second", grid, network.second(h))):
            laplacian = torch.from_numpy(lattices.laplacian(graph, "symmetric").toarray())
            torch.testing.assert_close(found[name], written_out(z, laplacian, "quadratic"))


def test_gradients_reach_the_weights_despite_an_in_place_operation_behind(network):
    network.eval()
    grid = lattices.grid(3, 3)
    with regularised(network, X, {"second": grid}) as penalties:
        (network(X).sum() + 0.1 * penalties["second"]).backward()
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    h = network.second(network.first(network.conv(X).relu().flatten(1)).relu())
    laplacian = torch.from_numpy(lattices.laplacian(grid).toarray())
    (network.third(h.relu()).sum() + 0.1 * written_out(h, laplacian, "quadratic")).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def test_a_convolution_takes_a_graph_on_its_channels_or_on_its_units(network):
    network.eval()
    channels, units = lattices.star(6), lattices.capsules(6, 4)
    z = network.conv(X)
    for graph, rows in ((channels, z.permute(0, 2, 3, 1).reshape(-1, 6)), (units, z.flatten(1))):
        with regularised(network, X, {"conv": graph}, form="rayleigh") as penalties:
            network(X)
        laplacian = torch.from_numpy(lattices.laplacian(graph).toarray())
        torch.testing.assert_close(penalties["conv"], written_out(rows, laplacian, "rayleigh"))


def test_training_mode_is_left_as_it_was(network):
    network.train()
    network.conv.eval()
    with regularised(network, X, {"third": lattices.paths(1, 3)}) as penalties:
        assert [module.training for module in network.children()] == [False, True, True, True, True, True, True]
        network(X)
        assert penalties["third"] > 0
    assert not network.conv.training
    assert network.dropout.training
    with pytest.raises(InputError), regularised(network, X, {"third": lattices.star(4)}):
        pass
    assert network.dropout.training
    assert hooks(network) == 0


@pytest.mark.parametrize(
    ("graphs", "options", "sentence"),
    [
        ({"fourth": lattices.star(3)}, {}, "no layer 'fourth' in the network, which has input, conv, relu#0, first,"),
        ({"relu": lattices.star(12)}, {}, "layer 'relu' runs 2 times: name one run of relu#0, relu#1"),
        ({"first": lattices.star(11)}, {}, "layer 'first' has 12 units, and its graph 11 nodes: it takes one a unit$"),
        (
            {"conv": lattices.star(5)},
            {},
            "layer 'conv' has 24 units in 6 channels, and its graph 5 nodes: it takes one a unit or one a channel",
        ),
        ({"first": lattices.rings(3, 4)}, {"connected": True}, r"layer 'first': the graph falls into 3 components"),
        ({"first": np.ones((12, 12))}, {}, "layer 'first': an adjacency joins node 0 to itself"),
        ({"first": lattices.star(12)}, {"laplacian": "normal"}, "layer 'first': no Laplacian 'normal'"),
        ({"first": lattices.star(12)}, {"form": "cubic"}, "no form 'cubic' of the penalty; there are quadratic, rayl"),
    ],
)
def test_layers_and_graphs_that_do_not_fit_are_refused(network, graphs, options, sentence):
    with pytest.raises(InputError, match=sentence), regularised(network, X, graphs, **options):
        pass
    assert hooks(network) == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda o: penalty(randn(3, 4), o), r"shape \[3, 4\], and a graph of 9 nodes takes \[batch, 9\]"),
        (lambda o: penalty(randn(9), o), r"shape \[9\]"),
        (lambda o: penalty(randn(0, 9), o), r"shape \[0, 9\]"),
        (lambda o: penalty(randn(2, 9).float(), o), "are torch.float32 on cpu, and the Laplacian is torch.float64"),
        (lambda o: penalty(randn(2, 9).to("meta"), o), "on meta, and the Laplacian is torch.float64 on cpu"),
        (lambda o: penalty(randn(2, 9), o, "cubic"), "no form 'cubic'"),
        (lambda o: penalty(randn(5, 9), operator([LAPLACIAN] * 2, torch.float64)), "2 Laplacians, one a seed, take"),
        (lambda o: penalty(randn(3, 5, 9), operator([LAPLACIAN] * 2, torch.float64)), r"take \[2, batch, 9\]"),
        (lambda o: operator(np.zeros((2, 3))), r"shape \[2, 3\], and takes \[nodes, nodes\]"),
        (lambda o: operator(np.zeros((2, 2, 3))), r"shape \[2, 2, 3\]"),
        (lambda o: operator(sparse.csr_array((2, 3))), r"shape \[2, 3\]"),
        (lambda o: operator([LAPLACIAN, LAPLACIAN[:3, :3]]), r"shapes \(9, 9\) and \(3, 3\), and take one size"),
        (lambda o: operator(np.full((2, 2), np.nan)), "infinite or NaN"),
        (lambda o: operator(sparse.csr_array(np.full((2, 2), np.inf))), "infinite or NaN"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(operator(LAPLACIAN, torch.float64))


LAPLACIAN = lattices.laplacian(lattices.grid(3, 3))
