"""Weights of networks that exist: files of OpenVINO and of torch, and what is none of them."""

import argparse
import collections
import gzip
import io
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from synthetic import script
from torch import nn

from interneuron import io as files
from interneuron import nets
from interneuron.errors import InputError
from interneuron.io import checkpoints

SMALL = {"height": 9, "width": 9, "classes": 3, "channels": [2, 3], "kernels": [3, 3], "strides": [1, 2], "hidden": 4}


class Network:
    """An OpenVINO network of convolutions, each with its bias in an Add; constants may go through a Convert.

    A kernel of five axes makes a grouped convolution. `swapped`: the bias comes into the first port.
    """

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

    def convolution(self, before, kernel, bias, converted=True, swapped=False):
        name = "GroupConvolution" if kernel.ndim == 5 else "Convolution"
        kernel, bias = self.constant(kernel, converted), self.constant(bias.reshape(1, -1, 1, 1), converted)
        convolution, total = self.layer(name, f"conv{before}"), self.layer("Add")
        for source, target, port in (
            (before, convolution, 0),
            (kernel, convolution, 1),
            (convolution, total, int(swapped)),
            (bias, total, 1 - int(swapped)),
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


@pytest.mark.parametrize("swapped", [False, True])
def test_a_grouped_convolution_has_the_kernel_that_torch_takes(tmp_path, swapped):
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(2, 3, 2, 3, 3)).astype(np.float32), random.normal(size=6).astype(np.float32)
    network = Network()
    network.convolution(network.layer("Parameter"), kernel, bias, swapped=swapped)
    tensors = checkpoints.read_openvino(*network.write(tmp_path))
    grouped = nn.Conv2d(4, 6, 3, groups=2)
    grouped.load_state_dict(nets.named(grouped, tensors))
    x = torch.from_numpy(random.normal(size=(1, 4, 5, 5)).astype(np.float32))
    # Each group convolves channels of its own.
    parts = [nn.functional.conv2d(x[:, 2 * g : 2 * g + 2], torch.from_numpy(kernel[g])) for g in (0, 1)]
    torch.testing.assert_close(grouped(x), torch.cat(parts, 1) + torch.from_numpy(bias)[:, None, None])


def cut(network):
    network.raw = network.raw[:-1]


def far_edge(network):
    network.edge(4, 98, 0)


def edges_from_nowhere(network):
    network.edge(98, 4, 3)


def two_edges(network):
    network.edge(0, 10, 1)


def circle(network):
    number = network.layer("Convert")
    network.edges = [
        edge.replace('from-layer="2" from-port="0" to-layer="5"', f'from-layer="{number}" from-port="0" to-layer="5"')
        for edge in network.edges
    ]
    network.edge(number, number, 0)


def multiplied(network, converted=True):
    factor = network.constant(np.ones((1, 2, 1, 1), np.float32), converted)
    network.edge(factor, network.layer("Multiply", "scale"), 1)


def dense(network):
    network.edge(network.constant(np.ones((4, 3), np.float32), False), network.layer("MatMul", "classes"), 1)


def across_the_width(network):
    network.layers = [layer.replace('shape="1, 4, 1, 1"', 'shape="1, 1, 1, 4"') for layer in network.layers]


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
        (far_edge, "net.xml has an edge to or from layer 98, which is not among its 13 layers"),
        (edges_from_nowhere, "net.xml has an edge to or from layer 98"),
        (two_edges, "net.xml has two layers of one number, or two edges into one port"),
        (circle, "net.xml: convolution conv0 lacks a kernel"),
        (multiplied, "net.xml: layer scale (Multiply) takes numbers of its own (f32); only those of convolutions"),
        (lambda network: multiplied(network, False), "net.xml: layer scale (Multiply) takes numbers of its own"),
        (dense, "net.xml: layer classes (MatMul) takes numbers of its own"),
        (across_the_width, "convolution conv7 lacks a kernel or a bias of its size"),
        (lambda network: network.layers.clear() or network.edges.clear(), "net.xml has no convolutions"),
        (lambda network: network.layers.append("<layer>"), "net.xml is no network of OpenVINO's"),
    ],
)
def test_broken_networks_of_openvino_are_refused(tmp_path, change, sentence):
    _, paths = made(tmp_path, change)
    with pytest.raises(InputError) as refused:
        checkpoints.read_openvino(*paths)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<!DOCTYPE html><html><p>404</html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1", "is a pointer of git-lfs"),
        ('<?xml version="1.0"?><net', "is no network of OpenVINO's"),
        ('<?xml version="1.0"?><Error/>', "is <Error> of version 10; it takes a <net> of version 10 or later"),
        ('<net version="6"><layers/></net>', "is <net> of version 6; it takes a <net> of version 10 or later"),
    ],
)
def test_what_is_no_network_of_openvino(tmp_path, text, sentence):
    _, (xml, weights) = made(tmp_path)
    xml.write_text(text)
    with pytest.raises(InputError, match=sentence):
        checkpoints.read_openvino(xml, weights)


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
    torch.save({"weight": _Harmful()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name, sentence in (
        ("bad.pth", "is a pickle that torch.save did not write, and could run code"),
        ("worse.pth", r"holds print, which is none of the tensors and plain containers"),
        ("old.pth", r"holds print, which is none of the tensors and plain containers"),
    ):
        with pytest.raises(InputError, match=f"{name} {sentence}"):
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


WEIGHTS = {"0.weight": torch.arange(6.0).reshape(3, 2), "0.bias": torch.arange(3.0)}
OPTIMISER = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(3, 2)}}, "param_groups": [{"lr": 0.1}]}


def same(found, expected):
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_checkpoint_takes_the_key_that_is_named(tmp_path, zipped):
    path = tmp_path / "c.pth"

    def save(content):
        torch.save(content, path, _use_new_zipfile_serialization=zipped)

    save({"epoch": 3, "state_dict": WEIGHTS, "optimizer": OPTIMISER})
    with pytest.raises(InputError) as refused:
        checkpoints.read_state_dict(path)
    assert str(refused.value) == (
        f"{path} is no state dict, but holds epoch, optimizer, state_dict: its tensors by name take key='state_dict'"
    )
    assert same(checkpoints.read_state_dict(path, "state_dict"), WEIGHTS)
    save({"model": WEIGHTS, "ema": {"decay": 0.9, "model": WEIGHTS}, "a.b": WEIGHTS})
    with pytest.raises(InputError, match=r"take key='model' or key='ema\.model' or key='a\.b'$"):
        checkpoints.read_state_dict(path)
    for key in ("model", "ema.model", "a.b"):
        assert same(checkpoints.read_state_dict(path, key), WEIGHTS)
    for key, sentence in (
        ("state_dict", "has no key 'state_dict'; it has a.b, ema, model"),
        ("ema.net", "has no key 'net'; it has decay, model"),
        ("ema.decay", "under 'ema.decay' holds float; it takes a state dict"),
        ("ema.decay.x", "has no key 'x'; it has a float"),
        ("ema", "under 'ema' is no state dict, but holds decay, model: its tensors by name take key='model'"),
    ):
        with pytest.raises(InputError, match=sentence):
            checkpoints.read_state_dict(path, key)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "net.model.module."])
def test_names_with_something_before_them_are_read_without_it(tmp_path, prefix):
    path, network = tmp_path / "c.pth", nn.Sequential(nn.Linear(2, 3))
    torch.save({prefix + name: value for name, value in WEIGHTS.items()} | {"criterion.weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match=f"its names begin with '{prefix}'.* read it with prefix='{prefix}'"):
        nets.named(network, checkpoints.read_state_dict(path))
    assert same(nets.named(network, checkpoints.read_state_dict(path, prefix=prefix)), WEIGHTS)
    with pytest.raises(InputError, match=r"has no names that begin with 'other\.'; it has"):
        checkpoints.read_state_dict(path, prefix="other.")
    torch.save({prefix + name: value for name, value in WEIGHTS.items()}, path)
    with pytest.raises(InputError, match=f"has names that begin with '{prefix}': the point is part of the prefix"):
        checkpoints.read_state_dict(path, prefix=prefix[:-1])
    wrapped = nn.Sequential(collections.OrderedDict(module=network))
    with pytest.raises(
        InputError, match=r"the network's names begin with 'module\.', its do not; take the network inside"
    ):
        nets.named(wrapped, WEIGHTS)


def test_a_network_with_an_extra_name_has_no_prefix():
    with pytest.raises(InputError, match=r"a\.0\.weight is not in the network"):
        nets.named(
            nn.Sequential(nn.Linear(2, 3, bias=False)),
            dict.fromkeys(("0.weight", "a.0.weight"), WEIGHTS["0.weight"]),
        )


def test_old_checkpoints_without_counts_of_batches_are_taken_as_torch_does():
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    old = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    network[1].num_batches_tracked += 5
    found = nets.named(network, old)
    assert (list(found), int(found["1.num_batches_tracked"])) == (list(network.state_dict()), 0)
    with pytest.raises(InputError, match=r"begin with 'module\.'"):
        nets.named(network, {f"module.{name}": value for name, value in old.items()})
    del old["1.running_mean"]
    with pytest.raises(InputError, match=r"1\.running_mean is missing in the checkpoint"):
        nets.named(network, old)


def test_halves_and_doubles_become_the_networks_own_type():
    network = nn.Sequential(nn.Linear(2, 3))
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        found = nets.named(network, {name: value.to(kind) for name, value in WEIGHTS.items()})
        assert found["0.weight"].dtype == torch.float32
        assert same(found, WEIGHTS)
    for kind in (torch.int8, torch.complex64):
        with pytest.raises(InputError, match=r"0\.weight is torch\.(int8|complex64), it takes torch\.float32"):
            nets.named(network, {name: value.to(kind) for name, value in WEIGHTS.items()})


def test_safetensors_are_read_as_well(tmp_path):
    path = tmp_path / "c.pth"
    safetensors.torch.save_file(WEIGHTS, path)
    assert same(checkpoints.read_state_dict(path), dict(sorted(WEIGHTS.items())))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        checkpoints.read_state_dict(path)


@pytest.mark.parametrize(("key", "prefix"), [(None, None), ("state_dict", None), ("state_dict", "module.")])
def test_a_published_checkpoint_becomes_weights(tmp_path, key, prefix):
    network = nets.build("photo-network", {"factory": "squeezenet1_1", "classes": 3})
    nets.initialise(network, torch.Generator().manual_seed(0))
    state = {f"{prefix or ''}{name}": value.half() for name, value in network.network.state_dict().items()}
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "net.pth")
    arguments = {"factory": "squeezenet1_1", "classes": 3, "colours": "imagenet"}
    settings = {"architecture": "photo-network", "arguments": arguments}
    settings["checkpoint"] = {"format": "state-dict", "file": "net.pth", "key": key, "prefix": prefix}
    task = SimpleNamespace(
        input=SimpleNamespace(files=[str(tmp_path / "net.pth")]),
        output=[str(tmp_path / "weights.safetensors")],
        params=SimpleNamespace(settings=settings),
    )
    script("convert").main(task)
    again = nets.load(files.load_tensors(task.output[0]), files.metadata(task.output[0]), 0)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())


def _saved(content, **more):
    file = io.BytesIO()
    torch.save(content, file, **more)
    return file.getvalue()


def _scripted():
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 3), torch.zeros(1, 2)), file)
    return file.getvalue()


def _zipped(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "content")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            lambda: _saved(nn.Sequential(nn.Linear(2, 3))),
            r"holds torch\.nn\.modules\.container\.Sequential, which is none",
        ),
        (
            lambda: _saved(nn.Linear(2, 3), _use_new_zipfile_serialization=False),
            r"holds torch\.nn\.modules\.linear\.Linear",
        ),
        (lambda: _saved({"model": WEIGHTS, "args": argparse.Namespace(a=1)}), r"holds argparse\.Namespace"),
        (lambda: _saved({"w": np.zeros(3)}), r"holds numpy\._core\.multiarray\._reconstruct"),
        (lambda: _saved({"model": WEIGHTS, "best": np.float64(3)}), r"holds numpy\._core\.multiarray\.scalar"),
        (_scripted, "is a TorchScript archive, which holds code"),
        (lambda: _saved({}), "holds an empty dict; it takes a state dict"),
        (lambda: _saved(WEIGHTS | {"epoch": 3}), "holds 'epoch', a int; it takes a state dict"),
        (
            lambda: _saved({"0.weight": torch.eye(3).to_sparse()}),
            "holds '0.weight', sparse, quantised or without values",
        ),
        (lambda: _saved(WEIGHTS)[:900], r"not a whole file of tensors \(the archive breaks off\); fetch it again"),
        (lambda: _saved(WEIGHTS, _use_new_zipfile_serialization=False)[:-9], "is not a whole file of tensors"),
        (lambda: _saved(WEIGHTS, _use_new_zipfile_serialization=False)[:10], "is not a whole file of tensors"),
        (lambda: _saved({0: torch.zeros(1)}), "holds 0, a Tensor; it takes a state dict, tensors by name"),
        (lambda: gzip.compress(_saved(WEIGHTS)), "is compressed by gzip: unpack it first"),
        (lambda: b"", "is empty: fetch it again"),
        (lambda: b"weights", "is not a whole file of tensors"),
        (lambda: b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (
            lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "is a pointer of git-lfs.* `git lfs pull`",
        ),
        (lambda: b'{"metadata": {}, "weight_map": {}}', "is a JSON document"),
        (lambda: b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (lambda: _zipped("weight.npy"), "is a zip archive, but none of torch.save; it holds weight.npy"),
        (lambda: pickle.dumps({"a": 1}), "is a pickle that torch.save did not write"),
        (lambda: bytes(257) + b"ustar" + bytes(300), "is a tar archive, as torch wrote before version 0.2"),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:.torch.jit:DeprecationWarning")
def test_what_lies_where_a_state_dict_is_expected_is_named(tmp_path, content, sentence):
    path = tmp_path / "c.pth"
    path.write_bytes(content())
    with pytest.raises(InputError, match=f"c.pth {sentence}|c.pth is {sentence}") as refused:
        checkpoints.read_state_dict(path)
    said = str(refused.value)
    assert "\n" not in said
    assert not any(
        advice in said for advice in ("\x1b", "weights_only", "safe_globals", "two options", "file an issue")
    )


def test_weights_that_were_altered_are_refused(tmp_path):
    path = tmp_path / "c.pth"
    content = bytearray(_saved({"weight": torch.ones(100)}))
    content[content.find(torch.ones(100).numpy().tobytes()) + 42] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"c\.pth is not as torch\.save wrote it: .*data/0 has another checksum; fetch"
    ):
        checkpoints.read_state_dict(path)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(checkpoints.read_state_dict(path), WEIGHTS)


def test_a_dict_that_holds_itself_has_an_end(tmp_path):
    content = {"epoch": 1, "model": WEIGHTS}
    content["self"] = content
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"take key='model'$"):
        checkpoints.read_state_dict(tmp_path / "c.pth")


def test_of_two_beginnings_both_are_named():
    both = {more + name: value for more in ("teacher.", "student.") for name, value in WEIGHTS.items()}
    with pytest.raises(
        InputError, match=r"begin with 'student\.' or 'teacher\.', .*prefix='student\.' or prefix='teach"
    ):
        nets.named(nn.Sequential(nn.Linear(2, 3)), both)


def test_of_tied_weights_one_name_is_enough():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    network[1].weight = network[0].weight
    own = network.state_dict()
    found = nets.named(network, {"0.weight": own["0.weight"] + 1, "0.bias": own["0.bias"]})
    assert same(found, {"0.weight": own["0.weight"] + 1, "0.bias": own["0.bias"], "1.weight": own["0.weight"] + 1})
    with pytest.raises(InputError, match=r"0\.bias is missing in the checkpoint"):
        nets.named(network, {"1.weight": own["0.weight"]})


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
