"""The one look at a network: what it costs, what it leaves, and what it says of networks that are refused."""

import random
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from interneuron import capture, causal, lattices, lesion, regularization, saliency
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


def test_samples_that_only_a_larger_batch_sorts_are_noticed(x):
    """Two samples that happen to be in order show nothing of it."""
    x = x[x[:, 0].argsort(descending=True)][[1, 3, 0, 5, 2, 4]]

    def sorted_(m, x):
        order = x[:, 0].argsort(descending=True)
        return m.l(x[order])[order.argsort()]

    net = Net(sorted_, l=nn.Linear(4, 3))
    assert "l" in capture.sites(net, x)
    with pytest.raises(InputError, match=r"'l' gives sample \d other numbers among 6 samples than among two: it mixes"):
        capture.activations(net, x, ["l"])


def test_what_cancels_to_nearly_nothing_is_no_difference(x):
    """Sums in another order, as batches of other sizes have them, differ by more than a share of what is left."""
    order = torch.randperm(4, generator=torch.Generator().manual_seed(2))
    ones = torch.ones(4)

    def cancelled(m, x):
        whole = x @ ones if len(x) != 1 else x[:, order] @ ones[order]
        return m.i((whole - x.sum(1))[:, None])

    assert "i" in capture.sites(Net(cancelled, i=nn.Identity()), x)


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


def test_samples_that_are_alike_hide_nothing(x):
    mixing = Net(lambda m, x: m.l(x - x.mean(0)), l=nn.Linear(4, 3))
    for alike in (torch.cat([x[:1], x]), torch.ones(1, 4), torch.zeros(3, 4)):
        with pytest.raises(InputError, match="differs from batch to batch"):
            lesion.lesion(mixing, alike, {"l": torch.zeros(1, 3, dtype=torch.bool)})


@pytest.mark.parametrize("kind", ["like steps", "silent layer", "like tokens"])
def test_steps_as_rows_are_told_from_samples_where_some_are_alike(kind):
    values = torch.rand(5, 3, 2, generator=torch.Generator().manual_seed(1)) + 0.1

    def step_by_step(m, x):
        return m.r(m.l(x.transpose(0, 1).flatten(0, 1))).unflatten(0, (x.shape[1], -1)).mean(0)

    net = Net(step_by_step, l=nn.Linear(2, 5), r=nn.ReLU())
    if kind == "like steps":
        values[0] = 0
        values[1] = 1
        values[:2, 0] = 0.5
    elif kind == "silent layer":
        nn.init.uniform_(net.l.weight)
        nn.init.zeros_(net.l.bias)
        values[:2] *= -1
    else:
        net.l, values = nn.Embedding(9, 5), torch.tensor([[3, 7], [7, 2], [1, 4]])
    with torch.no_grad():
        right = net.r(net.l(values)).flatten(1)
        torch.testing.assert_close(capture.activations(net, values, ["r"])["r"], right)


def test_a_layer_whose_rows_do_not_show_whose_they_are_is_refused(x):
    net = Net(lambda m, x: x + m.c(x.reshape(-1, 2)).sum(), c=Net(lambda m, x: torch.zeros(len(x), 5)))
    assert list(capture.sites(net, x)) == ["input", "output"]
    with pytest.raises(InputError, match="its 2 rows a sample are alike in all samples"):
        capture.activations(net, x, ["c"])


def test_numbers_of_masks_hide_no_difference(x):
    net = Net(lambda m, x: nn.functional.pad(m.l(x - x.mean(0)), (0, 1), value=-1e9), l=nn.Linear(4, 3))
    with pytest.raises(InputError, match="differs from batch to batch"):
        lesion.lesion(net, x, {"input": torch.zeros(1, 4, dtype=torch.bool)})
    masked = Net(lambda m, x: nn.functional.pad(m.l(x), (0, 1), value=-1e9), l=nn.Linear(4, 3))
    assert list(capture.sites(masked, x)) == ["input", "l", "output"]


def test_random_numbers_of_numpy_and_python_are_seen_and_kept(x):
    for draw in (random.random, np.random.rand):
        net = Net(lambda m, x, draw=draw: m.l(x) if draw() < 2 else x, l=nn.Linear(4, 3))
        before = random.getstate(), np.random.get_state()[1:3]  # noqa: NPY002
        with pytest.raises(InputError, match="draws random numbers"):
            lesion.lesion(net, x, {"l": torch.zeros(1, 3, dtype=torch.bool)})
        after = random.getstate(), np.random.get_state()[1:3]  # noqa: NPY002
        assert before[0] == after[0]
        assert before[1][1] == after[1][1]
        np.testing.assert_array_equal(before[1][0], after[1][0])


def test_buffers_that_a_pass_replaces_are_put_back(x):
    def counted(m, x):
        m.calls = m.calls + 1
        return m.l(x) * m.calls

    net = Net(counted, l=nn.Linear(4, 3))
    net.register_buffer("calls", torch.zeros(1))
    calls = net.calls
    found = capture.activations(net, x, ["output"], batch=4)["output"]
    assert net.calls is calls
    with torch.no_grad():
        torch.testing.assert_close(found, net.l(x))


def test_power_iterations_of_training_mode_start_from_the_same_in_each_pass(x):
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 3)).train()
    before = net[0].weight_u.clone()
    got = lesion.lesion(net, x, {"1": torch.zeros(1, 5, dtype=torch.bool)})[0]
    assert torch.equal(net[0].weight_u, before)
    with torch.no_grad():
        torch.testing.assert_close(got, net(x))


def test_inference_mode_changes_nothing(x):
    net = Net(
        lambda m, x: (lambda h: h + m.o(m.r(h)))(m.l(x)),
        l=nn.Linear(4, 4),
        r=nn.ReLU(inplace=True),
        o=nn.Linear(4, 4),
    )
    image, masks = torch.rand(3, 6, 6), {"r": torch.ones(1, 4, dtype=torch.bool)}
    convolution = Net(lambda m, x: m.o(m.c(x).relu().mean((2, 3))), c=nn.Conv2d(3, 4, 3), o=nn.Linear(4, 3))
    right, cam = lesion.lesion(net, x, masks), saliency.grad_cam(convolution, image, "c", 1)
    with torch.inference_mode():
        got, other = lesion.lesion(net, x, masks), saliency.grad_cam(convolution, image, "c", 1)
    assert torch.equal(got, right)
    np.testing.assert_array_equal(other, cam)


def test_a_network_that_calls_itself_is_one_pass(x):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(4, 3)

        def forward(self, x, both=True):
            return self(x, False) + self(-x, False) if both else self.l(x)

    net = Twice()
    found = capture.activations(net, x, ["l#0", "l#1"])
    masks = {"l#0": torch.ones(1, 3, dtype=torch.bool)}
    with torch.no_grad():
        torch.testing.assert_close(found["l#0"], net.l(x))
        torch.testing.assert_close(found["l#1"], net.l(-x))
        torch.testing.assert_close(lesion.lesion(net, x, masks)[0], net.l(-x))


def test_a_pass_that_fails_leaves_the_next_one_whole(x):
    net = Net(lambda m, x: m.l(x), l=nn.Linear(4, 3))
    with torch.no_grad(), capture.hooked(net, x, {"l": torch.zeros_like}):
        with pytest.raises(RuntimeError):
            net(x[:, :2])
        assert not net(x).any()


def test_a_penalty_under_checkpoints_may_go_backward_after_the_context(x):
    net = Net(lambda m, x: checkpoint(lambda h: m.l(h).relu(), x, use_reentrant=False), l=nn.Linear(4, 5))
    with regularization.regularised(net, x, {"l": lattices.paths(1, 5)}) as penalties:
        loss = net(x).sum() + penalties["l"]
    loss.backward()
    z = net.l(x)
    right = z.relu().sum() + (z[:, 1:] - z[:, :-1]).square().sum(1).mean()
    torch.testing.assert_close(net.l.weight.grad, torch.autograd.grad(right, net.l.weight)[0])


def test_a_penalty_on_the_input_of_a_network_that_is_called_by_keyword(x):
    net = Net(lambda m, x: m.l(x), l=nn.Linear(4, 3))
    with regularization.regularised(net, x, {"input": lattices.paths(1, 4)}) as penalties:
        net(x=x)
    torch.testing.assert_close(penalties["input"], (x[:, 1:] - x[:, :-1]).square().sum(1).mean())


@pytest.mark.parametrize("change", ["forward", "root", "global hook"])
def test_effects_are_those_of_what_runs(change):
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU()).eval()
    weight, plain, handle = net[0].weight.detach().numpy(), net[0].forward, None
    if change == "forward":
        net[0].forward = lambda x: 10 * plain(x)
    elif change == "root":
        net.forward = lambda x: net[1](net[0](10 * x))
    else:
        handle = nn.modules.module.register_module_forward_hook(
            lambda m, given, y: 10 * y if isinstance(m, nn.Linear) else None
        )
    try:
        found = causal.sampled_effects(net, ["0"], np.ones((2, 4, 4)), [], [0.0, 1.0], treated=[0])
        with pytest.raises(InputError, match="which the Taylor expansion cannot see"):
            causal.taylor_effects(net, ["0"], np.zeros(4), np.eye(4), [0.0, 1.0])
    finally:
        if handle is not None:
            handle.remove()
    np.testing.assert_allclose(found.effect[0, 1], 5 * weight[:, 0], rtol=1e-5, atol=1e-7)


def test_grad_cam_takes_frozen_weights_and_whole_numbers():
    net = Net(lambda m, x: m.o(m.c(x / 255).relu().mean((2, 3))), c=nn.Conv2d(3, 4, 3), o=nn.Linear(4, 3))
    image = torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8)
    right = saliency.grad_cam(net, image, "c", 1)
    np.testing.assert_array_equal(saliency.grad_cam(net.requires_grad_(False), image, "c", 1), right)


def test_numbers_that_images_or_layers_cannot_hold_are_refused():
    net = Net(lambda m, x: m.o(m.c(x / 255).relu().mean((2, 3))), c=nn.Conv2d(3, 4, 3), o=nn.Linear(4, 3))
    image = torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8)
    for fill in (127.5, -1, 300):
        with pytest.raises(InputError, match="numbers that images of uint8 cannot"):
            saliency.occlusion(net, image, 2, 2, fill)
    assert saliency.occlusion(net, image, 2, 2, 127.0).shape == (6, 6)
    tokens = torch.tensor([[1, 2], [3, 4]])
    with pytest.raises(InputError, match=r"hold numbers that its torch.int64 cannot"):
        lesion.lesion(nn.Embedding(9, 4), tokens, {"input": [[True, True]]}, {"input": [2.5, 3.5]})


def test_a_score_that_is_infinite_is_refused():
    def scores(images):
        return torch.stack([images.mean((1, 2, 3)), torch.full((len(images),), -torch.inf)], 1)

    image = torch.rand(3, 4, 4)
    assert np.isfinite(saliency.occlusion(scores, image, 2, 2, target=0)).all()
    with pytest.raises(InputError, match="gives the target a score that is infinite"):
        saliency.occlusion(scores, image, 2, 2, target=1)


def test_arrays_as_they_lie_around_are_taken(x):
    net, values = nn.Linear(4, 3), x.numpy()
    right = capture.activations(net, x, ["output"])["output"]
    for given in (values[::-1][::-1], values[:, ::-1].copy()[:, ::-1], values.astype(">f4"), pd.DataFrame(values)):
        assert torch.equal(capture.activations(net, given, ["output"])["output"], right)


def test_what_no_network_takes_is_refused_in_a_sentence(x):
    def five(m, x):
        assert x.shape[1] == 5, "five numbers a sample"
        return x

    net, masks = nn.Linear(4, 3), {"input": torch.zeros(1, 4, dtype=torch.bool)}
    with pytest.raises(InputError, match=r"do not pass the network.*five numbers a sample"):
        capture.sites(Net(five), x)
    with pytest.raises(InputError, match="do not pass the network: index out of range"):
        capture.activations(nn.Embedding(9, 4), torch.tensor([[1], [3], [99]]), ["output"])
    with pytest.raises(InputError, match="sparse or nested"):
        capture.sites(net, x.to_sparse())
    with pytest.raises(InputError, match="has no weights yet"):
        capture.sites(nn.Sequential(net, nn.LazyBatchNorm1d(affine=False)).eval(), x)
    for run in (
        lambda f: lesion.lesion(f, x, masks),
        lambda f: causal.sampled_effects(f, ["output"], np.zeros((2, 4, 4)), [], [0.0, 1.0]),
        lambda f: regularization.regularised(f, x, {"output": lattices.paths(1, 3)}).__enter__(),
    ):
        with pytest.raises(InputError, match="the network is a function, and what looks inside takes"):
            run(lambda b: net(b))
    for mask in (True, "abc", [[True] * 4, [True]]):
        with pytest.raises(InputError, match="mask of layer 'input'"):
            lesion.lesion(net, x, {"input": mask})


def test_parts_of_a_compiled_part_have_the_names_that_they_had(x):
    net = nn.Sequential(torch.compile(nn.Sequential(nn.Linear(4, 3)), backend="eager"), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        torch.testing.assert_close(capture.activations(net, x, ["0.0"])["0.0"], net[0](x))
