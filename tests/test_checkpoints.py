"""Weights of networks that exist: files of OpenVINO and of torch, and what is none of them."""

import pickle

import numpy as np
import pytest
import torch

from interneuron import nets
from interneuron.errors import InputError
from interneuron.io import checkpoints

SMALL = {"height": 9, "width": 9, "classes": 3, "channels": [2, 3], "kernels": [3, 3], "strides": [1, 2], "hidden": 4}


class Network:
    """An OpenVINO network of convolutions, each with its bias in an Add; constants may go through a Convert."""

    def __init__(self):
        self.layers, self.edges, self.raw = [], [], b""

    def layer(self, kind, name="", **data):
        pairs = " ".join(f'{key}="{value}"' for key, value in data.items())
        self.layers.append(f'<layer id="{len(self.layers)}" name="{name}" type="{kind}"><data {pairs}/></layer>')
        return len(self.layers) - 1

    def edge(self, source, target, port):
        self.edges.append(f'<edge from-layer="{source}" from-port="0" to-layer="{target}" to-port="{port}"/>')

    def constant(self, values, converted):
        raw = values.tobytes()
        kind = {"float16": "f16", "float32": "f32", "int64": "i64"}[values.dtype.name]
        shape = ", ".join(map(str, values.shape))
        number = self.layer("Const", "weights", element_type=kind, shape=shape, offset=len(self.raw), size=len(raw))
        self.raw += raw
        if not converted:
            return number
        convert = self.layer("Convert")
        self.edge(number, convert, 0)
        return convert

    def convolution(self, before, kernel, bias, converted=True):
        kernel, bias = self.constant(kernel, converted), self.constant(bias.reshape(1, -1, 1, 1), converted)
        convolution, total = self.layer("Convolution", f"conv{before}"), self.layer("Add")
        for source, target, port in (
            (before, convolution, 0),
            (kernel, convolution, 1),
            (convolution, total, 0),
            (bias, total, 1),
        ):
            self.edge(source, target, port)
        return self.layer("ReLU")

    def write(self, folder):
        text = f"<net><layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges></net>"
        (folder / "net.xml").write_text(text)
        (folder / "net.bin").write_bytes(self.raw)
        return folder / "net.xml", folder / "net.bin"


def made(folder, change=lambda network: None, first=np.float16):
    random = np.random.default_rng(0)
    values = [random.normal(size=shape).astype(kind) for kind, shape in ((first, (2, 3, 3, 3)), (first, 2))]
    values += [random.normal(size=shape).astype(np.float32) for shape in ((4, 2, 1, 1), (4,))]
    network = Network()
    before = network.layer("Parameter")
    before = network.convolution(before, *values[:2])
    network.convolution(before, *values[2:], converted=False)
    change(network)
    return values, network.write(folder)


def test_convolutions_of_openvino_come_in_order_as_float32(tmp_path):
    values, (xml, weights) = made(tmp_path)
    tensors = checkpoints.read_openvino(xml, weights)
    assert all(tensor.dtype == torch.float32 for tensor in tensors)
    for tensor, value in zip(tensors, values, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), value.astype(np.float32))


def cut(network):
    network.raw = network.raw[:-1]


def no_bias(network):
    network.edges = [edge for edge in network.edges if 'to-layer="6" to-port="1"' not in edge]


def no_shape(network):
    network.layers = [layer.replace('shape="4, 2, 1, 1"', "") for layer in network.layers]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (cut, "net.xml: the constant weights is not whole in "),
        (no_bias, "net.xml: convolution conv0 lacks a kernel or a bias of its size"),
        (no_shape, "net.xml: the constant weights lacks shape, offset or size"),
        (lambda network: network.layers.clear() or network.edges.clear(), "net.xml has no convolutions"),
        (lambda network: network.layers.append("<layer>"), "net.xml is no network of OpenVINO's"),
    ],
)
def test_broken_networks_of_openvino_are_refused(tmp_path, change, sentence):
    _, paths = made(tmp_path, change)
    with pytest.raises(InputError) as refused:
        checkpoints.read_openvino(*paths)
    assert sentence in str(refused.value)


def test_other_types_and_missing_files_are_refused(tmp_path):
    _, (xml, weights) = made(tmp_path, first=np.int64)
    with pytest.raises(InputError, match="the constant weights is i64; a network takes f16 or f32"):
        checkpoints.read_openvino(xml, weights)
    with pytest.raises(InputError, match="there is no file"):
        checkpoints.read_openvino(xml, tmp_path / "none.bin")


def test_a_state_dict_gives_the_network_back(tmp_path):
    network = nets.Strided(**SMALL)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    found = nets.named(network, checkpoints.read_state_dict(tmp_path / "net.pth"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(found[name], tensor)
    again = nets.named(network, list(found.values()))
    assert list(again) == list(network.state_dict())


class _Harmful:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_code_in_a_checkpoint_runs(tmp_path, capsys):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(_Harmful()))
    torch.save({"weight": _Harmful()}, tmp_path / "worse.pth")
    for name in ("bad.pth", "worse.pth"):
        with pytest.raises(InputError, match=f"{name} is not a whole file of tensors"):
            checkpoints.read_state_dict(tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


def test_files_that_hold_something_else_are_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "list.pth").read_bytes()[:200])
    with pytest.raises(InputError, match="holds list; it takes a state dict"):
        checkpoints.read_state_dict(tmp_path / "list.pth")
    with pytest.raises(InputError, match="is not a whole file of tensors"):
        checkpoints.read_state_dict(tmp_path / "half.pth")
    with pytest.raises(InputError, match="there is no file"):
        checkpoints.read_state_dict(tmp_path / "none.pth")


def test_checkpoints_that_do_not_fit_are_refused():
    network = nets.Strided(**SMALL)
    tensors = dict(network.state_dict())
    with pytest.raises(InputError, match="the checkpoint has 3 tensors, the network takes 8"):
        nets.named(network, list(tensors.values())[:3])
    for change, sentence in (
        ({"extra": torch.zeros(1)}, "extra is not in the network"),
        ({"classifier.linear1.bias": torch.zeros(5)}, r"classifier.linear1.bias is \[5\], it takes \[4\]"),
    ):
        with pytest.raises(InputError, match=sentence):
            nets.named(network, tensors | change)
    del tensors["features.conv1.weight"]
    with pytest.raises(InputError, match=r"features.conv1.weight is missing in the checkpoint"):
        nets.named(network, tensors)
