"""Exact affine maps of piecewise-affine networks: the identity on every sample, autograd, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from networks import NAMED, TOLERANCE, Concatenation, Functional, drawn_networks, inputs, perceptron, randomised, resnet
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional

from interneuron import regions
from interneuron.errors import InputError


class Around(nn.Module):
    """A network with a step before its own that is affine, and no step of a perceptron."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.unsqueeze(1).squeeze(1))


class Then(nn.Module):
    """A linear layer and then any function."""

    def __init__(self, then):
        super().__init__()
        self.linear, self.then = nn.Linear(4, 4), then

    def forward(self, x):
        return self.then(self.linear(x))


def outputs_of(network, x):
    """What the network itself says, [n, outputs]."""
    with torch.no_grad():
        y = network(x.clone())
    return y.flatten(1) if y.ndim > 1 else y[:, None]


def jacobian(network, x):
    """Autograd's derivatives [n, outputs, d], forwards, which in-place operations do not disturb."""
    n, d = len(x), x[0].numel()
    directions = torch.eye(d, dtype=x.dtype).repeat(n, 1).view(n * d, *x.shape[1:])
    with forward_ad.dual_level():
        y = network(forward_ad.make_dual(x.repeat_interleave(d, 0), directions).clone())
        tangents = forward_ad.unpack_dual(y).tangent
    return tangents.detach().view(n, d, -1).transpose(1, 2)


def assert_exact(network, x):
    omega, b = regions.affine_maps(network, x)
    y = outputs_of(network, x)
    assert omega.shape == (len(x), y.shape[1], x[0].numel())
    assert b.shape == y.shape
    assert omega.dtype == b.dtype == x.dtype
    u, weights, offset, value = x.flatten(1).double(), omega.double(), b.double(), y.double()
    error = (torch.einsum("nkd,nd->nk", weights, u) + offset - value).abs()
    scale = torch.maximum(value.abs(), (weights * u[:, None]).abs().sum(2) + offset.abs())
    # Where units are at their bounds, b is a sum of constants, which may cancel to something small.
    bound = TOLERANCE[x.dtype] * torch.maximum(scale, 0.02 * value.abs().max())
    assert (error <= bound).all(), (error - bound).max()
    scaled = torch.where(scale > 0, error / scale, 0)
    torch.testing.assert_close(regions.identity_error(omega, b, x, y), scaled, rtol=1e-6, atol=1e-15)
    return omega


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMED)
def test_the_identity_holds_on_every_sample(name, dtype):
    make, shape = NAMED[name]
    network, x = randomised(make(), 1, dtype), 2 * inputs(50, shape, 2, dtype)
    omega = assert_exact(network, x)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(omega, jacobian(network, x), rtol=tolerance, atol=tolerance)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(drawn_networks())
def test_the_identity_holds_on_networks_of_any_make(case):
    network, x = case
    omega = assert_exact(network, x)
    tolerance = 1e-4 if x.dtype == torch.float32 else 1e-11
    torch.testing.assert_close(omega, jacobian(network, x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_holds_on_a_residual_network_of_torchvision(dtype):
    network = randomised(resnet(), 3, dtype)
    x = inputs(3, (3, 40, 40), 4, dtype)
    omega = assert_exact(network, x)
    names = [site.name for site in regions.sites(network, x)]
    assert names[:4] == ["relu", "maxpool", "layer1.0.relu#0", "layer1.0.relu#1"]
    assert len(names) == 18
    own = regions.affine_maps(network, x, "predicted")
    best = outputs_of(network, x).argmax(1)
    torch.testing.assert_close(own.omega[:, 0], omega[torch.arange(3), best])


def test_one_map_holds_on_the_whole_region():
    network = perceptron(2, 5, 4, 2, dtype=torch.float64)
    x = inputs(400, (2,), dtype=torch.float64)
    found = regions.unique_patterns(regions.activation_patterns(network, x))
    omega, b = regions.affine_maps(network, x[found.first])
    y, of = outputs_of(network, x), torch.from_numpy(found.labels)
    torch.testing.assert_close(torch.einsum("nkd,nd->nk", omega[of], x) + b[of], y, rtol=1e-11, atol=1e-12)
    # Regions are convex, so a point between two of a region's samples has their map.
    assert 5 < found.count < 60
    for region in np.flatnonzero(found.counts > 3):
        own = x[found.labels == region]
        between = (own[1:] + own[:-1]) / 2
        expected = between @ omega[region].T + b[region]
        torch.testing.assert_close(outputs_of(network, between), expected, rtol=1e-11, atol=1e-12)


def test_maps_are_the_products_of_the_paper():
    network = perceptron(3, 4, 2, 1, dtype=torch.float64)
    weights = [network[i].weight.detach() for i in (0, 2, 4)]
    biases = [network[i].bias.detach() for i in (0, 2, 4)]
    x = inputs(20, (3,), dtype=torch.float64)
    omega, b = regions.affine_maps(network, x)
    for i, u in enumerate(x):
        first = weights[0] @ u + biases[0]
        d1 = torch.diag((first > 0).double())
        d2 = torch.diag((weights[1] @ d1 @ first + biases[1] > 0).double())
        torch.testing.assert_close(omega[i], weights[2] @ d2 @ weights[1] @ d1 @ weights[0])
        constant = weights[2] @ d2 @ weights[1] @ d1 @ biases[0] + weights[2] @ d2 @ biases[1] + biases[2]
        torch.testing.assert_close(b[i], constant)


@pytest.mark.parametrize("name", ["perceptron", "leaky", "clamped", "convolutional"])
def test_outputs_batches_and_blocks_give_the_same_maps(name):
    make, shape = NAMED[name]
    network, x = randomised(make(), 5, torch.float64), inputs(23, shape, 6, torch.float64)
    whole, y = regions.affine_maps(network, x), outputs_of(network, x)
    close = {"rtol": 1e-12, "atol": 1e-13}
    torch.testing.assert_close(regions.network_outputs(network, x, batch=7), y, **close)

    last = y.shape[1] - 1
    some = regions.affine_maps(network, x, [last, 0], batch=5)
    torch.testing.assert_close(some, regions.AffineMaps(whole.omega[:, [last, 0]], whole.b[:, [last, 0]]), **close)

    best = regions.predicted_outputs(y)
    assert len(best.unique()) > 1 or name == "leaky"
    rows = torch.arange(len(x))
    for batch in (None, 1, 6):
        own = regions.affine_maps(network, x, "predicted", batch)
        torch.testing.assert_close(own.omega[:, 0], whole.omega[rows, best], **close)
        torch.testing.assert_close(own.b[:, 0], whole.b[rows, best], **close)

    blocks = list(regions.affine_blocks(network, x, batch=6))
    assert [(block.start, block.stop) for block in blocks] == [(0, 6), (6, 12), (12, 18), (18, 23)]
    for field, expected in (("omega", whole.omega), ("b", whole.b), ("y", y)):
        torch.testing.assert_close(torch.cat([getattr(block, field) for block in blocks]), expected, **close)

    out = torch.full_like(whole.omega, torch.nan), torch.full_like(whole.b, torch.nan)
    returned = regions.affine_maps(network, x, out=out)
    assert returned.omega is out[0]
    assert returned.b is out[1]
    torch.testing.assert_close(out, tuple(whole), **close)


def test_few_regions_of_many_samples_have_the_same_maps_as_one_by_one():
    for network in (perceptron(10, 4, 2, 1), perceptron(10, 4, 2, 3)):
        x = (inputs(3000, (10,)) > 0).float()
        assert regions.unique_patterns(regions.activation_patterns(network, x)).count < 64
        for outputs in (None, "predicted", [0]):
            together = regions.affine_maps(network, x, outputs)
            parts = [regions.affine_maps(network, x[i : i + 1], outputs) for i in range(0, 3000, 100)]
            torch.testing.assert_close(together.omega[::100], torch.cat([part.omega for part in parts]))
            torch.testing.assert_close(together.b[::100], torch.cat([part.b for part in parts]))


@pytest.mark.parametrize("name", ["perceptron", "leaky", "clipped", "linear"])
def test_plain_products_and_backward_passes_give_the_same_maps(name):
    make, shape = NAMED[name]
    network, x = randomised(make(), 7, torch.float64), 2 * inputs(30, shape, 8, torch.float64)
    products, passes = regions.affine_maps(network, x), regions.affine_maps(Around(network), x)
    torch.testing.assert_close(products, passes, rtol=1e-12, atol=1e-13)


def test_blocks_are_bounded_and_come_one_at_a_time():
    network, x = perceptron(300, 20, 100), inputs(1500, (300,))
    blocks = regions.affine_blocks(network, x)
    first = next(blocks)
    assert first.stop - first.start == 2**20 // (300 * 100)
    assert sum(block.stop - block.start for block in blocks) == 1500 - first.stop


@pytest.mark.parametrize(
    ("end", "inverse"),
    [(nn.Sigmoid(), torch.logit), (nn.LogSigmoid(), lambda y: torch.logit(y.exp()))],
)
def test_logits_leave_off_an_end(end, inverse):
    network, x = perceptron(4, 6, 2, dtype=torch.float64), inputs(9, (4,), dtype=torch.float64)
    whole = nn.Sequential(*network, end)
    y = regions.network_outputs(whole, x, logits=True)
    torch.testing.assert_close(y, inverse(whole(x)).detach())
    torch.testing.assert_close(regions.affine_maps(whole, x, logits=True), regions.affine_maps(network, x))
    patterns = regions.activation_patterns(network, x)
    assert np.array_equal(regions.activation_patterns(whole, x, logits=True), patterns)


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.LogSoftmax(1), Then(torch.Tensor.sigmoid_)])
def test_logits_leave_off_ends_that_norm_or_overwrite(end):
    network, x = perceptron(4, 6, 4, dtype=torch.float64), inputs(9, (4,), dtype=torch.float64)
    whole = nn.Sequential(*network, end.double())
    plain = nn.Sequential(*network, end.linear) if isinstance(end, Then) else network
    y = regions.network_outputs(whole, x, logits=True)
    torch.testing.assert_close(y, outputs_of(plain, x))
    assert np.array_equal(y.argmax(1), outputs_of(whole, x).argmax(1))
    torch.testing.assert_close(regions.affine_maps(whole, x, logits=True), regions.affine_maps(plain, x))


def test_predictions():
    y = torch.tensor([[0.2, 0.5, 0.5], [3.0, -1.0, 2.0]])
    assert regions.predicted_outputs(y).tolist() == regions.predicted_classes(y).tolist() == [1, 0]
    one = torch.tensor([[-0.1], [0.0], [0.3]])
    assert regions.predicted_outputs(one).tolist() == [0, 0, 0]
    assert regions.predicted_classes(one).tolist() == [0, 0, 1]


def test_sites_are_named_by_module_call_and_function():
    names = {site.name: (site.units, site.bits) for site in regions.sites(Functional(), inputs(2, (6,)))}
    assert names == {
        "act#0": (8, 1),
        "leaky_relu": (8, 1),
        "act#1": (8, 1),
        "relu#0": (8, 1),
        "relu#1": (16, 1),
    }
    make, shape = NAMED["convolutional"]
    found = [(s.name, s.units, s.bits) for s in regions.sites(make().eval(), inputs(2, shape))]
    assert found == [("2", 144, 1), ("3", 36, 4), ("4.body.1", 36, 1), ("6.branches.1", 16, 2), ("9", 5, 2)]


def test_nothing_is_changed():
    network = randomised(NAMED["convolutional"][0]())
    network[0].requires_grad_(False)
    x = inputs(5, (2, 6, 6)).requires_grad_()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    grads = [parameter.requires_grad for parameter in network.parameters()]
    before, stream = x.detach().clone(), torch.get_rng_state()
    with torch.no_grad():
        regions.affine_maps(network, x)
        assert not torch.is_grad_enabled()
    regions.border_distances(network, x)
    assert torch.equal(before, x)
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert grads == [parameter.requires_grad for parameter in network.parameters()]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_tied_and_reparametrised_weights_are_taken():
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    assert_exact(randomised(tied), inputs(8, (4,)))
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 2))
    assert_exact(normed.eval(), inputs(8, (4,)))


def test_bounds_of_each_feature_and_crossed_bounds_are_as_in_torch():
    bounds = torch.tensor([-0.3, 0.0, 0.2, -2.0]), torch.tensor([0.4, 0.1, 0.9, 2.0])
    assert_exact(randomised(Then(lambda h: h.clamp(*bounds))), inputs(40, (4,)))
    assert_exact(randomised(Then(lambda h: h.clamp(1.0, 0.0))), inputs(40, (4,)))
    assert_exact(randomised(Then(lambda h: h.clamp(bounds[1], bounds[0]))), inputs(40, (4,)))
    assert_exact(randomised(Then(lambda h: functional.hardtanh(h, min_val=-0.1))), inputs(40, (4,)))


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        (torch.sigmoid, r"sigmoid in the forward of the network \(Then\) is not piecewise affine; logits=True leaves"),
        (torch.tanh, "tanh in the forward"),
        (torch.abs, "abs in the forward"),
        (lambda h: h**2, "pow in the forward"),
        (lambda h: h * h, "mul in the forward .* multiplies numbers that depend on the input"),
        (lambda h: h @ h.T, "matmul in the forward .* multiplies numbers"),
        (lambda h: 1 / h, "rdiv in the forward"),
        (lambda h: h / h.sum(1, keepdim=True), "div in the forward .* divides by numbers that depend on the input"),
        (lambda h: torch.div(h, 2, rounding_mode="trunc"), "div in the forward .* rounds"),
        (lambda h: torch.div(h, 2, rounding_mode="floor"), "div in the forward .* rounds"),
        (lambda h: h if h.sum() > 0 else -h, "gt in the forward"),
        (lambda h: h * h[0, 0].item(), "item in the forward"),
        (lambda h: h.clamp(h - 1, h + 1), "clamp in the forward .* depend on the input"),
        (lambda h: torch.dropout(h, 0.5, train=True), "dropout in the forward .* runs in training mode"),
        (functional.dropout, "dropout in the forward .* runs in training mode"),
        (lambda h: h.detach(), "detach in the forward"),
        (torch.no_grad()(lambda h: h * 2), "mul in the forward .* switches gradients off"),
        (lambda h: h - h.mean(0), "the network mixes its samples"),
        (lambda h: h.flip(0), "the network mixes its samples"),
        (lambda h: h * torch.nan, "the network's outputs are NaN or infinite"),
        (lambda h: h / 0.0, "the network's outputs are NaN or infinite"),
        (lambda h: (h, h), "no tensor with one row a sample"),
        (lambda h: torch.ones(3, 2), "no tensor with one row a sample"),
        (lambda h: torch.ones(2, 2), "does not depend on its input"),
    ],
)
def test_functions_that_are_not_piecewise_affine_are_refused(then, sentence):
    with pytest.raises(InputError, match=sentence):
        regions.affine_maps(Then(then), inputs(3, (4,)))


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.attention = nn.Linear(4, 8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        h = self.embed(x)
        return self.attention(h, h, h, need_weights=False)[0].mean(1)


@pytest.mark.parametrize(
    ("network", "shape", "sentence"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Sigmoid())), (4,), r"sigmoid in module '1\.0' \(Sigmoid\)"),
        (Attentive(), (5, 4), r"multi_head_attention_forward in module 'attention' \(MultiheadAttention\)"),
        (nn.TransformerEncoderLayer(4, 2, batch_first=True), (5, 4), "in module 'self_attn'"),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), (4,), r"layer_norm in module '1' \(LayerNorm\)"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), (4,), r"gelu in module '1' \(GELU\)"),
        (nn.Sequential(nn.LSTM(4, 3)), (5, 4), r"lstm in module '0' \(LSTM\)"),
        (nn.Sequential(nn.MaxPool3d(2)), (1, 4, 4, 4), "max_pool3d in module '0'"),
        (nn.Sequential(nn.AdaptiveMaxPool2d(2)), (1, 4, 4), "adaptive_max_pool2d in module '0'"),
        (nn.Sequential(nn.MaxPool1d(2, return_indices=True)), (2, 4), "'0' .* returns indices"),
        (nn.Sequential(nn.MaxPool2d(2)), (4, 4), "'0' .* without axes for samples and channels"),
        (
            nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)),
            (4,),
            "batch_norm in module '0' .* training",
        ),
        (Concatenation(nn.Conv1d(2, 2, 1), nn.ReLU(True)), (2, 4), "overwrites .* in place"),
        (torch.jit.script(nn.Linear(4, 2)), (4,), "is TorchScript"),
    ],
)
def test_modules_that_are_not_piecewise_affine_are_refused_by_name(network, shape, sentence):
    with pytest.raises(InputError, match=sentence):
        regions.affine_maps(network.eval(), inputs(3, shape))


@pytest.mark.parametrize(
    "call",
    [
        regions.affine_maps,
        regions.activation_patterns,
        regions.border_distances,
        regions.integrated_gradients,
        regions.permutation_importance,
        regions.network_outputs,
        regions.sites,
        lambda network, x: next(regions.affine_blocks(network, x)),
    ],
)
def test_bad_networks_and_inputs_are_refused_by_every_function(call):
    last = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout())
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), last).eval()
    call(network, inputs(3, (4,)))
    for module, name in zip(last, ("BatchNorm1d", "Dropout"), strict=True):
        module.train()
        with pytest.raises(InputError, match=rf"module '2\.\d' \({name}\) is in training mode: call eval\(\) first"):
            call(network, inputs(3, (4,)))
        module.eval()
    bad = inputs(3, (4,))
    for value in (torch.nan, torch.inf, -torch.inf):
        bad[1, 2] = value
        with pytest.raises(InputError, match=r"inputs hold NaN or infinite numbers \(first in sample 1\)"):
            call(network, bad)
    for values, sentence in (
        (torch.zeros(0, 4), r"inputs have shape \[0, 4\], .* at least one sample"),
        (torch.zeros(4), r"inputs have shape \[4\]"),
        (torch.zeros(3, 0), r"inputs have shape \[3, 0\]"),
        (torch.zeros(3, 5), r"inputs of shape \[3, 5\] do not pass the network"),
        (torch.zeros(3, 4, dtype=torch.int64), "inputs are int64, and this network takes float32"),
        (np.zeros((3, 4)), "inputs are float64, and this network takes float32"),
    ):
        with pytest.raises(InputError, match=sentence):
            call(network, values)
    with pytest.raises(InputError, match=r"sigmoid in module '1' \(Sigmoid\)"):
        call(nn.Sequential(network, nn.Sigmoid()), inputs(3, (4,)))


def test_low_precision_is_refused():
    with pytest.raises(InputError, match="less than single precision"):
        regions.affine_maps(perceptron(4, 30, 30, 2, dtype=torch.bfloat16), inputs(3, (4,), dtype=torch.bfloat16))


def test_what_follows_the_end_is_refused():
    network = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"linear in module '2' .* follows the network's last function"):
        regions.affine_maps(network, inputs(3, (4,)), logits=True)


def test_outputs_batch_and_out_are_checked():
    network, x = perceptron(4, 3, 2), inputs(5, (4,))
    for outputs, sentence in (
        ("all", "takes None"),
        ([], "takes None"),
        ([0.5], "takes None"),
        ([2], r"outputs \[2\] asked for, of a network with 2"),
        ([-1], r"outputs \[-1\] asked for"),
    ):
        with pytest.raises(InputError, match=sentence):
            regions.affine_maps(network, x, outputs)
    with pytest.raises(InputError, match="batch is 0"):
        regions.affine_maps(network, x, batch=0)
    with pytest.raises(InputError, match=r"out has shapes \[5, 2, 3\] and \[5, 2\]"):
        regions.affine_maps(network, x, out=(torch.empty(5, 2, 3), torch.empty(5, 2)))
    with pytest.raises(InputError, match="contiguous"):
        regions.affine_maps(network, x, out=(torch.empty(5, 4, 2).transpose(1, 2), torch.empty(5, 2)))


def test_the_identity_error_of_a_wrong_map_by_hand():
    omega, b = torch.tensor([[[2.0, -1.0]], [[0.0, 0.0]]]), torch.tensor([[0.5], [0.0]])
    x, y = torch.tensor([[1.0, 3.0], [1.0, 1.0]]), torch.tensor([[-1.5], [0.0]])
    # Omega u + b = -0.5, and the scale is 2 + 3 + 0.5.
    assert regions.identity_error(omega, b, x, y).tolist() == [[1 / 5.5], [0.0]]
    with pytest.raises(InputError, match=r"maps \[2, 1, 2\], \[2, 1\] do not fit inputs \[2, 2\] and outputs \[1, 1\]"):
        regions.identity_error(omega, b, x, y[:1])


def test_every_layer_of_a_deep_perceptron_counts():
    sizes = (6, 9, 8, 7, 5, 3)
    network, x = perceptron(*sizes, dtype=torch.float64), inputs(40, (6,), dtype=torch.float64)
    weights = [layer.weight for layer in network if isinstance(layer, nn.Linear)]
    assert [tuple(weight.shape) for weight in weights] == [(b, a) for a, b in pairwise(sizes)]
    omega = assert_exact(network, x)
    for weight in weights:
        weight.data *= 2
        changed = assert_exact(network, x)
        torch.testing.assert_close(jacobian(network, x), changed)
        assert not torch.allclose(omega, changed)
        weight.data /= 2


def test_compiled_networks_are_read_as_they_were_written():
    network = perceptron(5, 7, 3)
    x = inputs(6, (5,))
    right = regions.affine_maps(network, x)
    for compiled in (
        torch.compile(network, backend="eager"),
        nn.Sequential(torch.compile(network, backend="eager"), nn.Identity()),
    ):
        with torch.no_grad():
            compiled(x)
        found = regions.affine_maps(compiled, x)
        assert torch.equal(found.omega, right.omega)
        assert torch.equal(found.b, right.b)
