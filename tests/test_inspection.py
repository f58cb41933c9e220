"""The one look at a network: what it costs, what it leaves, and what it says of networks that are refused."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from interneuron import capture, lattices, lesion, regularization, saliency
from interneuron.errors import InputError
from interneuron.inspection import Layout, inspect


class Net(nn.Module):
    """`forward` is a function of the module and x."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.does = forward
        for name, module in modules.items():
            self.add_module(name, module)
        self.eval()

    def forward(self, x):
        return self.does(self, x)


@pytest.fixture
def x():
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_two_passes_of_two_samples_at_most(x):
    batches = []
    net = Net(lambda m, x: batches.append(len(x)) or m.l(x).relu(), l=nn.Linear(4, 3))
    inspect(net, x)
    assert batches == [2, 1]
    batches.clear()
    capture.activations(net, x, ["l"])
    assert batches == [2, 1, 6]


def test_a_squeezed_axis_is_found_by_a_third_pass_and_a_sample_alone_is_run_twice(x):
    def squeezed(m, x):
        return m.o(m.l(x).unsqueeze(-1).squeeze())

    net = Net(squeezed, l=nn.Linear(4, 3), o=nn.Linear(3, 2))
    assert not inspect(net, x).alone
    found = capture.activations(net, x, ["o"], batch=1)["o"]
    with torch.no_grad():
        torch.testing.assert_close(found, net(x))
    masks = torch.tensor([[False] * 3, [True] * 3])
    got = lesion.lesion(net, x[:1], {"l": masks}, rows=1)
    assert got.shape == (2, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(got[0], net(x)[:1])
        torch.testing.assert_close(got[1, 0], net.o.bias)


def test_the_look_leaves_network_inputs_and_random_numbers_as_they_were(x):
    net = Net(lambda m, x: m.n(m.l(x.mul_(2))) + torch.randn(1), l=nn.Linear(4, 3), n=nn.BatchNorm1d(3, momentum=0.5))
    net.n.forward = lambda h: nn.functional.batch_norm(h, net.n.running_mean, net.n.running_var, training=True)
    before, state, buffers = x.clone(), torch.get_rng_state(), [b.clone() for b in net.buffers()]
    found = inspect(net, x)
    assert list(found.layers) == ["input", "l"]
    capture.activations(net, x, ["l"])
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), buffers, strict=True))


@pytest.mark.parametrize(
    ("forward", "module", "layer", "says"),
    [
        (lambda m, x: m.a(x), nn.BatchNorm1d(4, track_running_stats=False), "a", r"'a' \(BatchNorm1d\) normalises"),
        (lambda m, x: m.a(x - x.mean(0)), nn.Linear(4, 3), "a", r"forward of the network \(Net\).*differs"),
        (lambda m, x: m.a(x - x[0]), nn.Linear(4, 3), "a", r"forward of the network \(Net\).*differs"),
        (lambda m, x: m.a(x), nn.Softmax(0), "a", r"module 'a' \(Softmax\) gives one sample differs"),
        (lambda m, x: m.a(x + 1e-6 * torch.randn(4)), nn.Linear(4, 3), "a", r"network \(Net\) draws random numbers"),
        (lambda m, x: m.a(nn.functional.dropout(x)), nn.Linear(4, 3), "output", "draws random numbers"),
        (lambda m, x: m.a.train()(x), nn.RReLU(), "a", r"module 'a' \(RReLU\) draws random numbers"),
        (lambda m, x: nn.functional.linear(x, m.a.weight), nn.Linear(4, 3), "a", "'a' is never called"),
        (lambda m, x: x + m.a(torch.ones(1, 4)), nn.Linear(4, 4), "a", r"gives \[1, 4\] for a batch of any size"),
        (lambda m, x: m.a(x[:, None])[0][:, 0], nn.GRU(4, 3, batch_first=True), "a", r"one part of a\[0\], a\[1\]"),
        (lambda m, x: (m.a(x), {"b": x}), nn.Linear(4, 3), "output", r"one part of output\[0\], output\[1\]\[b\]"),
        (lambda m, x: m.a(x), nn.Linear(4, 3), "a#2", "no layer 'a#2' in the network, which has input, a, output"),
    ],
)
def test_what_cannot_be_watched_is_named_with_the_reason(x, forward, module, layer, says):
    net = Net(forward, a=module)
    assert layer not in capture.sites(net, x)
    with pytest.raises(InputError, match=says):
        capture.activations(net, x, [layer])


def test_layers_before_what_mixes_samples_are_taken(x):
    net = Net(lambda m, x: m.n(m.l(x)), l=nn.Linear(4, 3), n=nn.BatchNorm1d(3, track_running_stats=False))
    with torch.no_grad():
        torch.testing.assert_close(capture.activations(net, x, ["l"])["l"], net.l(x))
    with pytest.raises(InputError, match=r"'output' can't be watched: module 'n' \(BatchNorm1d\)"):
        lesion.lesion(net, x, {"l": torch.zeros(1, 3, dtype=torch.bool)})


@dataclass
class Result:
    logits: Tensor
    hidden: Tensor


Pair = namedtuple("Pair", ["logits", "hidden"])


@pytest.mark.parametrize("kind", [Result, Pair, lambda a, b: {"logits": a, "hidden": b}])
def test_parts_are_named_by_their_keys_and_can_be_replaced(x, kind):
    net = Net(lambda m, x: kind(m.l(x), x), l=nn.Linear(4, 3))
    assert list(capture.sites(net, x)) == ["input", "l", "output[logits]", "output[hidden]"]
    with torch.no_grad():
        assert torch.equal(capture.activations(net, x, ["output[logits]"])["output[logits]"], net.l(x))
        with capture.hooked(net, x, {"output[logits]": torch.zeros_like}):
            given = net(x)
    values = given if isinstance(given, dict) else {name: getattr(given, name) for name in ("logits", "hidden")}
    assert not values["logits"].any()
    assert torch.equal(values["hidden"], x)
    with pytest.raises(InputError, match=r"of output\[logits\], output\[hidden\], and one tensor is taken"):
        lesion.lesion(net, x, {"l": torch.zeros(1, 3, dtype=torch.bool)})


def test_names_under_which_a_module_is_known_are_taken(x):
    inner = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    net = Net(lambda m, x: m.second(x), first=inner, second=inner)
    for wrapped in (net, nn.DataParallel(net), torch.compile(net, backend="eager")):
        found = capture.activations(wrapped, x, ["first.0", "second.1", "input"])
        with torch.no_grad():
            assert torch.equal(found["first.0"], inner[0](x))
            assert torch.equal(found["second.1"], inner(x))
    assert set(capture.activations(nn.DataParallel(net), x, ["module.first.0"])) == {"module.first.0"}


def test_a_lesion_behind_an_operation_in_place_reaches_all_that_shares_its_memory(x):
    def residual(m, x):
        h = m.l(x)
        return h + m.o(m.r(h))

    net = Net(residual, l=nn.Linear(4, 4), r=nn.ReLU(inplace=True), o=nn.Linear(4, 4))
    got = lesion.lesion(net, x, {"r": torch.ones(1, 4, dtype=torch.bool)})[0]
    torch.testing.assert_close(got, net.o.bias.detach().expand(6, 4))
    # What only passes its input on is another matter: only where its output goes.
    through = Net(residual, l=nn.Linear(4, 4), r=nn.Identity(), o=nn.Linear(4, 4))
    got = lesion.lesion(through, x, {"r": torch.ones(1, 4, dtype=torch.bool)})[0]
    with torch.no_grad():
        torch.testing.assert_close(got, through.l(x) + through.o.bias)


def test_a_layer_that_does_not_run_in_every_pass_is_noticed(x):
    net = Net(lambda m, x: m.l(x) if len(x) < 4 else x[:, :3], l=nn.Linear(4, 3))
    with pytest.raises(InputError, match="layer 'l' did not run in this pass, as it did for two samples"):
        capture.activations(net, x, ["l"])
    routed = Net(lambda m, x: torch.cat([m.l(x[:2]), x[2:, :3]]), l=nn.Linear(4, 3))
    with pytest.raises(InputError, match=r"layer 'l' gives \[2, 3\] for 6 samples"):
        capture.activations(routed, x, ["l"])


def test_a_penalty_under_checkpoints_of_a_module_that_runs_twice_is_refused(x):
    net = Net(
        lambda m, x: checkpoint(lambda h: m.r(m.l(m.r(h))), m.l(x), use_reentrant=False), l=nn.Linear(4, 4), r=nn.ReLU()
    )
    with (
        regularization.regularised(net, x, {"r#1": lattices.paths(1, 4)}) as penalties,
        pytest.raises(InputError, match="'r#1' is one of several runs of its module"),
    ):
        (net(x).sum() + penalties["r#1"]).backward()


def test_steps_of_a_sequence_count_as_samples_of_a_penalty(x):
    net = Net(lambda m, x: m.l(x.view(-1, 2, 2)).sum((1, 2)), l=nn.Linear(2, 5))
    with regularization.regularised(net, x, {"l": lattices.paths(1, 5)}) as penalties:
        net(x)
    z = net.l(x.view(-1, 2))
    torch.testing.assert_close(penalties["l"], (z[:, 1:] - z[:, :-1]).square().sum(1).mean())


def test_a_function_around_a_network_in_training_mode_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(48, 3)).train()
    image = torch.rand(3, 4, 4)
    with pytest.raises(InputError, match="draws random numbers"):
        saliency.occlusion(lambda b: net(b).softmax(1), image, 2, 2)
    normed = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 3)).train()
    with pytest.raises(InputError, match="differs from batch to batch"):
        saliency.occlusion(lambda b: normed(b).softmax(1), image, 2, 2)


def test_grad_cam_of_a_layer_that_the_score_does_not_depend_on_is_refused():
    net = Net(lambda m, x: (m.c(x), m.o(x.mean((2, 3))))[1], c=nn.Conv2d(3, 2, 1), o=nn.Linear(3, 2))
    with pytest.raises(InputError, match="score of class 1 does not depend on layer 'c'"):
        saliency.grad_cam(net, torch.rand(3, 4, 4), "c", 1)
    frozen = Net(lambda m, x: torch.no_grad()(m.c)(x).mean((2, 3)), c=nn.Conv2d(3, 2, 1))
    with pytest.raises(InputError, match="'c' runs without gradients"):
        saliency.grad_cam(frozen, torch.rand(3, 4, 4), "c", 1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([["a"]], "cannot be read as a tensor"),
        (torch.full((2, 4), torch.nan), r"NaN or infinite numbers \(first in sample 0\)"),
        (torch.zeros(2, 5), r"inputs of shape \[2, 5\] \(float32\) do not pass the network"),
        (torch.zeros(2, 4, dtype=torch.float64), r"\(float64\) do not pass the network"),
    ],
)
def test_inputs_that_are_none(given, says):
    with pytest.raises(InputError, match=says):
        inspect(nn.Linear(4, 3), given)


def test_a_network_without_weights_yet_is_refused(x):
    with pytest.raises(InputError, match=r"the network \(LazyLinear\) has no weights yet"):
        inspect(nn.LazyLinear(3), x)


@pytest.mark.parametrize("layout", [Layout(), Layout(2), Layout(0, 4), Layout(0, 4, together=False), Layout(1, 3)])
def test_layouts_bring_samples_to_the_front_and_back(layout):
    y = torch.arange(12 * 12 * 12).view(12, 12, 12)
    front = layout.front(y)
    assert len(front) == 12 // layout.steps
    assert torch.equal(layout.back(front), y)
