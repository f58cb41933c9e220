import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from interneuron.capture import activations, hooked, neuron_names, sites
from interneuron.errors import InputError


class Shared(nn.Module):
    """One ReLU, used twice, and an in-place one behind a linear layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(3, 2)
        self.relu, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.inplace(self.third(self.relu(self.second(self.relu(self.first(x)))))) + 1


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Shared().eval()


@pytest.fixture
def x():
    return torch.randn(7, 4, generator=torch.Generator().manual_seed(1))


def hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_sites_name_every_call_in_order(network, x):
    assert sites(network, x) == {
        "input": (4,),
        "first": (5,),
        "relu#0": (5,),
        "second": (3,),
        "relu#1": (3,),
        "third": (2,),
        "inplace": (2,),
        "output": (2,),
    }
    assert hooks(network) == 0


def test_activations_are_those_of_the_network_written_out(network, x):
    layers = ["relu#1", "input", "first", "relu#0", "third", "inplace", "output"]
    with torch.no_grad():
        first = network.first(x)
        second = network.second(first.relu())
        third = network.third(second.relu())
    found = activations(network, x, layers)
    assert list(found) == layers
    expected = {
        "input": x,
        "first": first,
        "relu#0": first.relu(),
        "relu#1": second.relu(),
        "third": third,
        "inplace": third.relu(),
        "output": third.relu() + 1,
    }
    assert (third < 0).any()
    for name in layers:
        assert torch.equal(found[name], expected[name]), name
        assert not found[name].requires_grad


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 9), samples=st.integers(1, 8))
def test_batches_change_nothing_but_rounding(batch, samples):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x = torch.randn(samples, 1, 4, 4)
    found = activations(network, x, ["0", "3"], batch=batch)
    with torch.no_grad():
        torch.testing.assert_close(found["0"], network[0](x).flatten(1))
        torch.testing.assert_close(found["3"], network(x))


def test_the_hooked_forward_is_the_plain_one_bit_for_bit(network, x):
    with torch.no_grad():
        plain = network(x)
        layers = [name for name in sites(network, x) if name != "input"]
        with hooked(network, x, {name: lambda y: None for name in layers}):
            assert torch.equal(network(x), plain)
        assert torch.equal(activations(network, x, ["output"])["output"], plain)
        assert torch.equal(network(x), plain)
    assert hooks(network) == 0


def test_an_action_replaces_one_call_only(network, x):
    with torch.no_grad(), hooked(network, x, {"relu#1": torch.zeros_like}) as run:
        assert run.sizes == {"relu#1": 3}
        for _ in range(2):
            expected = network.third.bias.relu() + 1
            torch.testing.assert_close(network(x), expected.expand(7, 2))
    with torch.no_grad(), hooked(network, x, {"input": lambda y: 2 * y, "output": lambda y: -y}):
        doubled = network(x)
    with torch.no_grad():
        assert torch.equal(doubled, -network(2 * x))


def test_hooks_go_when_the_forward_fails(network, x):
    def fail(y):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), hooked(network, x, {"second": fail}):
        network(x)
    assert hooks(network) == 0
    network.second = nn.Linear(6, 3)
    with pytest.raises(InputError, match=r"inputs of shape \[7, 4\] \(float32\) do not pass the network.*shapes"):
        activations(network, x, ["first"])
    assert hooks(network) == 0


def test_a_hook_of_the_users_stays(network, x):
    seen = []
    network.first.register_forward_hook(lambda *_: seen.append(1))
    activations(network, x, ["first"])
    assert hooks(network) == 1
    assert seen


def test_modules_named_like_the_ends_and_outputs_that_are_no_tensor():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.input, self.lstm = nn.Linear(3, 2), nn.LSTM(2, 4, batch_first=True)

        def forward(self, x):
            return self.lstm(self.input(x))[0]

    odd, x = Odd(), torch.randn(5, 6, 3)
    assert sites(odd, x) == {
        "input": (6, 3),
        "input#0": (6, 2),
        "lstm[0]": (6, 4),
        "lstm[1][0]": (1, 4),
        "lstm[1][1]": (1, 4),
        "output": (6, 4),
    }
    found = activations(odd, x, ["input", "input#0"])
    assert torch.equal(found["input"], x.flatten(1))
    with torch.no_grad():
        assert torch.equal(found["input#0"], odd.input(x).flatten(1))


def test_one_call_may_be_numbered(network, x):
    assert torch.equal(activations(network, x, ["first#0"])["first#0"], activations(network, x, ["first"])["first"])


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("relu", r"'relu' runs 2 times: name one run of relu#0, relu#1"),
        (
            "relu9",
            r"no layer 'relu9' in the network, which has input, first, relu#0, second, relu#1, third, inplace, output",
        ),
        ("relu#2", r"no layer 'relu#2'"),
    ],
)
def test_layers_that_are_not_there(network, x, layer, sentence):
    with pytest.raises(InputError, match=sentence):
        activations(network, x, [layer])


def test_bad_input(network, x):
    with pytest.raises(InputError, match="at least one sample"):
        activations(network, x[:0], ["first"])
    with pytest.raises(InputError, match="batch is 0"):
        activations(network, x, ["first"], batch=0)
    with pytest.raises(InputError, match="'first#0' is asked for twice"):
        activations(network, x, ["first", "first#0"])
    with pytest.raises(InputError, match=r"'1' \(Dropout\) is in training mode"):
        activations(nn.Sequential(nn.Linear(4, 2), nn.Dropout()).train(), x, ["0"])


def test_neuron_names():
    assert neuron_names([["input", 1], ("relu1", 2)]) == ["input:0", "relu1:0", "relu1:1"]
