"""Networks with random weights: piecewise-affine ones, named or made by hypothesis, and a zoo of what users bring.

Each network of `ZOO` stands beside what is to come of it: which of its layers every method takes, and which it refuses.
"""

import threading
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from interneuron._torchvision import import_torchvision

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return x + self.body(x)


class Concatenation(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Clamp(nn.Module):
    def forward(self, x):
        return x.clamp(-0.4, 0.9) - 0.5 * torch.clamp_max(x, 0.3)


class Functional(nn.Module):
    """Everything by functions and operators, one ReLU module used twice, an in-place sum, outputs of shape [n]."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(16, 1)
        self.act = nn.ReLU()

    def forward(self, x):
        h = self.act(self.first(x))
        skip = functional.leaky_relu(-h * 2 + 0.3, 0.2)
        h = self.second(h) / 3
        h += skip
        h = self.act(h)
        h = torch.cat((h[:, 4:], h[:, :4], torch.relu(h - 1)), dim=-1).clone()
        return self.third(h.relu_().reshape(len(x), -1)).squeeze(1)


def randomised(network: nn.Module, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network in eval mode, all its numbers random, of a scale that keeps what runs through it near 1."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if not value.is_floating_point():
                continue
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=stream)
            elif value.ndim > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=stream)
            else:
                value.normal_(0, 0.3, generator=stream)
    return network.eval().to(dtype)


def inputs(n: int, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def perceptron(*sizes: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    modules: list[nn.Module] = []
    for a, b in pairwise(sizes):
        modules += [nn.Linear(a, b), nn.ReLU()]
    network = randomised(nn.Sequential(*modules[:-1]), seed, dtype)
    assert isinstance(network, nn.Sequential)
    return network


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
        Residual(nn.Conv2d(4, 4, 3, padding=1), nn.PReLU(4), nn.Dropout2d(0.5)),
        nn.AvgPool2d(2, ceil_mode=True),
        Concatenation(nn.Conv2d(4, 3, 1), nn.Hardtanh(-0.5, 0.5)),
        nn.Flatten(),
        nn.Linear(28, 5),
        nn.ReLU6(),
        nn.Linear(5, 3),
    )


def resnet() -> nn.Module:
    return import_torchvision().models.resnet18(num_classes=4)


# Name: what makes the network, and the shape of a sample.
NAMED = {
    "perceptron": (lambda: perceptron(5, 7, 6, 3), (5,)),
    "leaky": (
        lambda: nn.Sequential(nn.Linear(5, 7), nn.LeakyReLU(0.1), nn.Linear(7, 6), nn.PReLU(6), nn.Linear(6, 3)),
        (5,),
    ),
    "clipped": (lambda: nn.Sequential(nn.Linear(5, 7), nn.Hardtanh(-0.5, 0.7), nn.Linear(7, 6), nn.ReLU6()), (5,)),
    "clamped": (lambda: nn.Sequential(nn.Linear(5, 7), Clamp(), nn.Linear(7, 2)), (5,)),
    "linear": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3, bias=False)), (5,)),
    "flattened": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)), (3, 4)),
    "sequences": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.MaxPool1d(2, 1, dilation=2), nn.Flatten(1)),
        (2, 9),
    ),
    "convolutional": (convolutional, (2, 6, 6)),
    "functional": (Functional, (6,)),
}

SLOPES = st.sampled_from([0.01, 0.3, -0.5, 1.5])


@st.composite
def _elementwise(draw, channels, axes, inplace=True):
    norm, drop = [
        (nn.BatchNorm1d, nn.Dropout),
        (nn.BatchNorm1d, nn.Dropout1d),
        (nn.BatchNorm2d, nn.Dropout2d),
    ][axes]
    return draw(
        st.sampled_from(
            [
                nn.ReLU(),
                nn.ReLU(inplace),
                nn.LeakyReLU(draw(SLOPES)),
                nn.LeakyReLU(0.2, inplace),
                nn.PReLU(),
                nn.PReLU(channels),
                nn.Hardtanh(-0.5, 0.7),
                nn.ReLU6(),
                Clamp(),
                norm(channels),
                drop(0.4),
            ]
        )
    )


@st.composite
def _layer(draw, shape, depth=0):
    """A layer for samples of this shape: [features], [channels, length] or [channels, height, width]."""
    channels, axes = shape[0], len(shape) - 1
    conv, maximum, average = {
        0: (None, None, None),
        1: (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d),
        2: (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d),
    }[axes]
    kinds = ["mixing", "elementwise", "elementwise"]
    if depth == 0:
        kinds += ["residual", "concatenation"]
    if axes:
        kinds += ["maximum", "average"]
    kind = draw(st.sampled_from(kinds))
    if kind == "elementwise":
        return draw(_elementwise(channels, axes))
    if kind in ("residual", "concatenation"):
        mixing = nn.Linear(channels, channels) if axes == 0 else conv(channels, channels, 3, padding=1)
        body = [mixing, draw(_elementwise(channels, axes)), draw(_elementwise(channels, axes))]
        if kind == "residual":
            return Residual(*body[draw(st.integers(0, 1)) :])
        return Concatenation(nn.Sequential(*body), draw(_elementwise(channels, axes, inplace=False)))
    out, bias = draw(st.integers(1, 6)), draw(st.booleans())
    if axes == 0:
        return nn.Linear(channels, out, bias=bias)
    kernel, room = draw(st.integers(1, 3)), min(shape[1:])
    if kind == "mixing":
        dilation = draw(st.integers(1, 2))
        padding = max(draw(st.integers(0, 1)), dilation * (kernel - 1) + 1 - room)
        stride = draw(st.integers(1, 2))
        return conv(channels, out, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias)
    kernel = min(kernel + (kind == "maximum"), room)
    padding, ceil = draw(st.integers(0, kernel // 2)), draw(st.booleans())
    stride = draw(st.integers(1, 2))
    if kind == "maximum":
        dilation = 2 if 2 * (kernel - 1) + 1 <= room else 1
        return maximum(kernel, stride, padding, dilation=dilation, ceil_mode=ceil)
    return average(kernel, stride, padding, ceil_mode=ceil, count_include_pad=draw(st.booleans()))


@st.composite
def drawn_networks(draw, dtypes=(torch.float32, torch.float64)):
    """A network in eval mode and inputs [n, ...] for it."""
    dtype = draw(st.sampled_from(dtypes))
    axes = draw(st.integers(0, 2))
    sample = (draw(st.integers(3, 6)),) if axes == 0 else (draw(st.integers(1, 3)), *[draw(st.integers(4, 6))] * axes)
    layers: list[nn.Module] = []
    shape = sample
    for _ in range(draw(st.integers(1, 4))):
        layers.append(draw(_layer(shape)))
        shape = tuple(nn.Sequential(*layers).eval()(torch.zeros(1, *sample)).shape[1:])
    if axes:
        layers.append(nn.Flatten())
    features = nn.Sequential(*layers).eval()(torch.zeros(1, *sample)).shape[1]
    for _ in range(draw(st.integers(0, 2))):
        layers.append(draw(_layer((features,))))
        features = nn.Sequential(*layers).eval()(torch.zeros(1, *sample)).shape[1]
    if draw(st.booleans()):
        layers.append(nn.Linear(features, draw(st.integers(1, 4))))
    seed = draw(st.integers(0, 2**16))
    network = randomised(nn.Sequential(*layers), seed, dtype)
    return network, inputs(draw(st.integers(1, 12)), sample, seed + 1, dtype)


class Net(nn.Module):
    """A network that is written as what its `forward` does with the modules and the input: Net(run, layer=module)."""

    def __init__(self, run, **modules):
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.run(self, x)


ALL = frozenset({"*"})


@dataclass(frozen=True)
class Specimen:
    """A network of the zoo, and what is to come of it.

    `make` gives it, as a user would have built it; `evaluated`: in eval mode. `sample`: the shape of a sample;
    `integers`: samples are whole numbers below this. `dtype`: of weights and samples. `wrap`: what the user then puts
    around it, or does to it; the network without it is the one to compare with.

    Every method has to work, and to be right, on every layer that the network calls and that gives a tensor. But for

    - `refused`: layers, each with a pattern of the sentence that refuses it;
    - `either`: layers of which both will do, the right numbers or a sentence that refuses (ALL: of all of them);
    - `output`: a pattern of the sentence of all methods that need the network's output, which is none they can take;
    - `closed`: a pattern of the sentence of all methods that look inside; those that only call the network may do so;
    - `never`: a pattern of the sentence of all methods that need the output, and of those that look at layers unless
      what they give is right; penalties, which are of a batch as it passes, may work.

    Layers that give something else than a tensor, and modules that are never called, are refused by name everywhere;
    the tensors in a tuple, list, dict, named tuple or data class are layers of their own: `lstm[0]`, `output[logits]`.

    `layers`: those that tests look at where all of them would take too long. `tolerance`: of one sample alone against
    the batch, relative to the largest number. `unfused`: by how much a hook may change a result, since it makes torch
    leave a fused path; elsewhere not by one bit.
    """

    make: Callable[[], nn.Module]
    sample: tuple[int, ...] = (4,)
    integers: int = 0
    dtype: torch.dtype = torch.float32
    evaluated: bool = True
    wrap: Callable[[nn.Module], nn.Module] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    either: Collection[str] = frozenset()
    output: str = ""
    closed: str = ""
    never: str = ""
    layers: Collection[str] = ()
    tolerance: float = 1e-5
    unfused: float = 0.0

    def plain(self) -> nn.Module:
        """The network with nothing around it: the same numbers each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            network = self.make()
            for name, value in network.named_buffers():
                # As new, batch normalisation would change nothing.
                if name.endswith("running_mean"):
                    value.normal_(0, 0.3)
                elif name.endswith("running_var"):
                    value.uniform_(0.5, 2)
        return network.train(not self.evaluated).to(self.dtype)

    def network(self) -> nn.Module:
        """The network as the user has it."""
        plain = self.plain()
        return plain if self.wrap is None else self.wrap(plain)

    def inputs(self, n: int = 3) -> Tensor:
        stream = torch.Generator().manual_seed(2)
        if self.integers:
            return torch.randint(0, self.integers, (n, *self.sample), generator=stream)
        return torch.randn(n, *self.sample, generator=stream).to(self.dtype)


def _layers(**more):
    """Two linear layers on samples of 4 numbers, `l` to 5 and `o` to 3, and others."""
    return {"l": nn.Linear(4, 5), "o": nn.Linear(5, 3), **more}


def _flat(run, **more):
    return lambda: Net(run, **_layers(**more))


def _small(*more):
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), *more, nn.Linear(5, 3))


def _image(run, **more):
    """`c`, a convolution of [3, 6, 6] to 4 channels of 4 x 4, and `o`, from 4 numbers to 3 classes."""
    return lambda: Net(run, c=nn.Conv2d(3, 4, 3), o=nn.Linear(4, 3), **more)


def _convolutions(*norm):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        *norm,
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(36, 3),
    )


def _tokens(run, **more):
    """`o`, from 8 numbers to 3, behind layers that keep the width of 8."""
    return lambda: Net(run, o=nn.Linear(8, 3), **more)


def _twice(m, x):
    return m.o(m.act(m.l(x)))


def _count(m, x):
    m.calls = getattr(m, "calls", 0) + 1
    return m.o(m.l(x).relu())


def _count_in_a_buffer(m, x):
    m.n.num_batches_tracked.add_(1)
    return m.o(m.l(x).relu())


def _drift(m, x):
    m.calls = getattr(m, "calls", 0) + 1
    return m.o(m.l(x).relu()) * m.calls


def _add_in_place(m, x):
    h = m.l(x)
    y = m.k(h.tanh())
    y += h
    y.relu_()
    return m.o(y)


def _overwritten(m, x):
    h = m.l(x)
    part = m.view(h)
    y = m.o(part.clone())
    h.zero_()
    return y


def _without_gradient(m, x):
    with torch.no_grad():
        h = m.l(x)
    return m.o(h.relu())


def _mixed(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        return m.o(m.l(x).relu())


def _side(m, x):
    m.side(x)
    return m.o(m.l(x).relu())


def _steps_of_shape(m, x):
    h = x.new_zeros(len(x), 5)
    for step in range(x.shape[1]):
        h = torch.tanh(m.l(x[:, step]) + m.k(h))
    return m.o(h)


def _early_exit(m, x):
    h = m.l(x)
    for _ in range(1 + int((x[:, 2] > 1).any())):  # Only the third sample takes two steps.
        h = m.k(h).tanh()
    return m.o(h)


def _cells(m, x):
    h = x.new_zeros(len(x), 5)
    for step in x.unbind(1):
        h = m.cell(step, h)
    return m.o(h)


def _packed(m, x):
    lengths = 1 + (x[:, 0, 0] > 0).long()
    rows = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    steps = nn.utils.rnn.PackedSequence(m.l(rows.data), *rows[1:])
    return m.o(nn.utils.rnn.pad_packed_sequence(steps, batch_first=True, total_length=x.shape[1])[0].sum(1))


def _sorted(m, x):
    order = x[:, 0].argsort(descending=True)  # Of the first two samples, the second comes first.
    return m.o(m.l(x[order])[order.argsort()].relu())


def _one_by_one(m, x):
    return m.o(torch.stack([m.l(sample) for sample in x]).relu())


def _experts(m, x):
    h = torch.zeros(len(x), 5)
    first = x[:, 0] < 0.5  # Of the first two samples, one.
    for chosen, expert in ((first, m.a), (~first, m.b)):
        h[chosen] = expert(x[chosen])
    return m.o(h * m.gate(x).sigmoid())


def _checkpointed(reentrant):
    def run(m, x):
        def body(x):
            return m.act(m.l(x))

        # Reentrant checkpoints have gradients only where their input has one.
        x = x.clone().requires_grad_() if torch.is_grad_enabled() and not x.requires_grad else x
        return m.o(checkpoint(body, x, use_reentrant=reentrant))

    return run


def _time_first(m, x):
    return m.o(m.act(m.l(x.transpose(0, 1))).mean(0))


def _times_steps(m, x):
    n, steps, width = x.shape
    return m.o(m.act(m.l(x.reshape(n * steps, width))).view(n, steps, -1).mean(1))


def _steps_times(m, x):
    n, steps, width = x.shape
    return m.o(m.act(m.l(x.transpose(0, 1).reshape(steps * n, width))).view(steps, n, -1).mean(0))


def _masked(end):
    """A transformer that is told which tokens are padding: anywhere, or at the end, where torch nests tensors."""

    def run(m, x):
        if end:
            padding = torch.arange(x.shape[1]) >= 2 + 2 * (x[:, :1, 0] > 0)
        else:
            padding = x[..., 0] > 0.5
            padding[:, 0] = False
        h = m.e(x, src_key_padding_mask=padding).masked_fill(padding[..., None], 0)
        return m.o(h.sum(1) / (~padding).sum(1, keepdim=True))

    return run


def _encoder_layer(**options):
    return nn.TransformerEncoderLayer(8, 2, 16, **options)


def _encoder(nested=True, **options):
    nested = nested and options.get("batch_first", False) and not options.get("norm_first")
    return nn.TransformerEncoder(_encoder_layer(**options), 2, enable_nested_tensor=nested)


class FusedAttention(nn.Module):
    """Attention as timm has it; `called`: whether its projection is, or its weight alone is used."""

    def __init__(self, called=True):
        super().__init__()
        self.qkv, self.proj, self.called = nn.Linear(8, 24), nn.Linear(8, 8), called

    def forward(self, x):
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        return self.proj(h) if self.called else functional.linear(h, self.proj.weight, self.proj.bias)


class Positions(nn.Module):
    """Numbers that are the same for all samples, [tokens, width]."""

    def __init__(self, tokens):
        super().__init__()
        self.table = nn.Parameter(torch.randn(tokens, 8))

    def forward(self, x):
        return self.table * 1


class Two(NamedTuple):
    logits: Tensor
    hidden: Tensor


@dataclass
class Result:
    logits: Tensor
    hidden: Tensor


class OnKeywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 3)

    def forward(self, *, x):
        return self.l(x)


class OnTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.l, self.k = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x, z):
        return self.l(x) + self.k(z)


class Locked(nn.Module):
    """A network that can't be copied."""

    def __init__(self):
        super().__init__()
        self.l, self.lock = nn.Linear(4, 3), threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.l(x)


class MyDropout(nn.Module):
    """Dropout as users write it, by functions."""

    def forward(self, x):
        return functional.dropout(x, 0.5, self.training)


def _cold(network):
    torch._dynamo.reset()
    return torch.compile(network, backend="eager")


def _warm(network):
    compiled = _cold(network)
    with torch.no_grad():
        compiled(torch.ones(4, 4))
        compiled(torch.ones(2, 4))
    return compiled


def _compiled_inside(network):
    torch._dynamo.reset()
    network.compile(backend="eager")
    with torch.no_grad():
        network(torch.ones(4, 4))
        network(torch.ones(2, 4))
    return network


def _compiled_part(network):
    network[0] = _warm(network[0])
    return network


def _scripted_part(network):
    network[0] = torch.jit.script(network[0])
    return network


def _hooked(network):
    """With a hook of the user's own, that changes what goes on."""
    network[0].register_forward_hook(lambda module, args, output: 2 * output)
    return network


def _pruned():
    network = _small()
    prune.l1_unstructured(network[0], "weight", 0.5)
    return network


def _tied():
    network = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3))
    network[2].weight = network[0].weight
    return network


def _torchvision(name, **options):
    def make():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(import_torchvision().models, name)(num_classes=3, **options)

    return make


def _resnet():
    models = import_torchvision().models
    return models.ResNet(models.resnet.Bottleneck, [2, 1, 1, 1], num_classes=3, width_per_group=8)


def _efficientnet():
    models = import_torchvision().models
    blocks = [models.efficientnet.MBConvConfig(*numbers) for numbers in ((1, 3, 1, 8, 8, 2), (4, 3, 2, 8, 16, 2))]
    return models.EfficientNet(blocks, 0.2, stochastic_depth_prob=0.5, num_classes=3)


_VIT = {"image_size": 8, "patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16}
_SWIN = {"patch_size": [2, 2], "embed_dim": 8, "depths": [2, 1], "num_heads": [2, 2], "window_size": [2, 2]}

_ENCODER = ("input", "e.layers.0", "e.layers.0.self_attn", "e.layers.1.linear1", "e.layers.1.norm2", "e", "o", "output")

# What sentences say of networks whose samples are not alone, or not twice the same.
BATCH = r"batch|alone|one by one|other samples"
RANDOM = r"random|twice"

ZOO: dict[str, Specimen] = {
    # Plain ones, and modules that are called other than once.
    "perceptron": Specimen(_small),
    "one output": Specimen(lambda: Net(lambda m, x: m.o(m.l(x)).squeeze(1), l=nn.Linear(4, 5), o=nn.Linear(5, 1))),
    "float64": Specimen(_small, dtype=torch.float64),
    "bfloat16": Specimen(_small, dtype=torch.bfloat16, tolerance=3e-2),
    "float16": Specimen(_small, dtype=torch.float16, tolerance=3e-3),
    "shared ReLU": Specimen(_flat(lambda m, x: m.o(m.act(m.k(m.act(m.l(x))))), k=nn.Linear(5, 5), act=nn.ReLU())),
    "shared linear layer": Specimen(_flat(lambda m, x: m.o(m.k(m.k(m.l(x)).tanh())), k=nn.Linear(5, 5))),
    "tied weights": Specimen(_tied),
    "one module, two names": Specimen(
        lambda: (lambda k: Net(lambda m, x: m.o(m.b(m.a(m.l(x)).tanh())), **_layers(a=k, b=k)))(nn.Linear(5, 5))
    ),
    "module never called": Specimen(_flat(lambda m, x: m.o(m.l(x)), spare=nn.Linear(4, 5))),
    "layers named input and output": Specimen(
        lambda: Net(lambda m, x: m.output(m.input(x).relu()), input=nn.Linear(4, 5), output=nn.Linear(5, 3))
    ),
    "names in a ModuleDict": Specimen(
        lambda: Net(
            lambda m, x: m.d["output"](m.d["input"](x).relu()),
            d=nn.ModuleDict({"input": nn.Linear(4, 5), "output": nn.Linear(5, 3)}),
        )
    ),
    "layer beside the score": Specimen(_flat(_side, side=nn.Linear(4, 6))),
    "identities": Specimen(lambda: nn.Sequential(nn.Identity(), nn.Linear(4, 5), nn.Identity(), nn.Linear(5, 3))),
    "empty Sequential": Specimen(lambda: nn.Sequential(nn.Sequential(), nn.Linear(4, 3))),
    "layer without units": Specimen(lambda: nn.Sequential(nn.Linear(4, 0), nn.ReLU(), nn.Linear(0, 3))),
    "layer without gradients": Specimen(_flat(_without_gradient), either={"l"}),
    "steps by the input's length": Specimen(
        lambda: Net(_steps_of_shape, l=nn.Linear(3, 5), k=nn.Linear(5, 5), o=nn.Linear(5, 3)), (4, 3)
    ),
    "integer inputs": Specimen(
        lambda: Net(lambda m, x: m.o(m.e(x).mean(1)), e=nn.Embedding(9, 4), o=nn.Linear(4, 3)), (5,), integers=9
    ),
    "complex layer": Specimen(
        _flat(lambda m, x: m.o(m.f(m.l(x)).abs()), f=Net(lambda m, x: torch.fft.fft(x))), either={"f"}
    ),
    "integer layer": Specimen(
        _flat(lambda m, x: m.o(m.e(m.c(m.l(x)))), c=Net(lambda m, x: x.argmax(1)), e=nn.Embedding(5, 5)), either={"c"}
    ),
    "integer output": Specimen(_flat(lambda m, x: m.o(m.l(x).relu()).argmax(1)), either={"output"}),
    "DataParallel": Specimen(_small, wrap=nn.DataParallel),
    "user's own hook": Specimen(lambda: _hooked(_small())),
    "spectral norm": Specimen(
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Linear(5, 3)),
        refused=dict.fromkeys(("0.parametrizations.weight", "0.parametrizations.weight.0"), "parametrizations"),
    ),
    "weight norm": Specimen(
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 3)),
        refused=dict.fromkeys(("0.parametrizations.weight", "0.parametrizations.weight.0"), "parametrizations"),
    ),
    "old spectral norm": Specimen(lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.Linear(5, 3))),
    "pruned": Specimen(_pruned),
    "traced by torch.fx": Specimen(lambda: torch.fx.symbolic_trace(_small())),
    "old weight norm": Specimen(lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.Linear(5, 3))),
    "not to be copied": Specimen(Locked),
    "the identity": Specimen(nn.Identity),
    "nothing to learn": Specimen(lambda: nn.Sequential(nn.Tanh(), nn.Softmax(1))),
    "samples are numbers": Specimen(
        lambda: Net(lambda m, x: m.o(m.l(x[:, None]).relu()), l=nn.Linear(1, 5), o=nn.Linear(5, 3)), ()
    ),
    "layer called by keyword": Specimen(_flat(lambda m, x: m.o(input=m.l(input=x).relu()))),
    "expanded layer": Specimen(_flat(lambda m, x: m.o(m.e(m.l(x)).tanh()), e=Net(lambda m, x: x[:, :1].expand(-1, 5)))),
    # What is written over.
    "input normalised in place": Specimen(_flat(lambda m, x: m.o(m.l(x.sub_(1).div_(2)).relu()))),
    "identity, then in place": Specimen(_flat(lambda m, x: m.o(m.l(m.id(x).mul_(2)).relu()), id=nn.Identity())),
    "in-place ReLUs": Specimen(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(True), nn.Linear(5, 5), nn.ReLU(True), nn.Linear(5, 3))
    ),
    "in-place residual": Specimen(_flat(_add_in_place, k=nn.Linear(5, 5))),
    "view written over": Specimen(
        lambda: Net(_overwritten, l=nn.Linear(4, 5), view=Net(lambda m, x: x[:, 1:4]), o=nn.Linear(3, 3))
    ),
    # Where the samples are.
    "time first": Specimen(lambda: Net(_time_first, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (7, 3)),
    "time first, two steps": Specimen(
        lambda: Net(_time_first, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (2, 3)
    ),
    "time first, as many steps as samples": Specimen(
        lambda: Net(_time_first, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (3, 3)
    ),
    "time first, one step": Specimen(
        lambda: Net(_time_first, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (1, 3)
    ),
    "time first in the output": Specimen(
        lambda: Net(lambda m, x: m.o(m.l(x.transpose(0, 1)).relu()), l=nn.Linear(3, 5), o=nn.Linear(5, 3)),
        (7, 3),
        either=ALL,
    ),
    "samples x steps as rows": Specimen(
        lambda: Net(_times_steps, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (7, 3)
    ),
    "samples x steps as rows, two steps": Specimen(
        lambda: Net(_times_steps, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (2, 3)
    ),
    "steps x samples as rows": Specimen(
        lambda: Net(_steps_times, l=nn.Linear(3, 5), act=nn.ReLU(), o=nn.Linear(5, 3)), (7, 3), either={"l", "act"}
    ),
    "two views as rows": Specimen(
        _flat(lambda m, x: m.o(m.l(torch.cat([x, -x])).relu().unflatten(0, (2, -1)).mean(0))), either={"l"}
    ),
    "samples turned around": Specimen(_flat(lambda m, x: m.o(m.l(x.flip(0)).flip(0).relu())), refused={"l": r"\bl\b"}),
    "samples sorted": Specimen(_flat(_sorted), refused={"l": r"\bl\b"}),
    "one by one": Specimen(_flat(_one_by_one), refused={"l": r"\bl\b"}, either={"input", "o", "output"}),
    "experts": Specimen(
        lambda: Net(_experts, gate=nn.Linear(4, 1), a=nn.Linear(4, 5), b=nn.Linear(4, 5), o=nn.Linear(5, 3)),
        refused={"a": r"\ba\b", "b": r"\bb\b"},
        either={"input", "gate", "o", "output"},
    ),
    "squeeze": Specimen(
        _image(lambda m, x: m.o(m.pool(m.c(x)).squeeze()), pool=nn.AdaptiveAvgPool2d(1)), (3, 6, 6), either=ALL
    ),
    "positions": Specimen(
        _tokens(lambda m, x: m.o((x + m.p(x)).mean(1)), p=Positions(5)), (5, 8), refused={"p": r"\bp\b"}
    ),
    "as many positions as samples": Specimen(
        _tokens(lambda m, x: m.o((x + m.p(x)).mean(1)), p=Positions(3)), (3, 8), refused={"p": r"\bp\b"}
    ),
    "two positions": Specimen(
        _tokens(lambda m, x: m.o((x + m.p(x)).mean(1)), p=Positions(2)), (2, 8), refused={"p": r"\bp\b"}
    ),
    "packed sequences": Specimen(
        lambda: Net(_packed, l=nn.Linear(3, 5), o=nn.Linear(5, 3)),
        (4, 3),
        refused={"l": r"\bl\b"},
        either={"input", "o", "output"},
    ),
    "layer under vmap": Specimen(
        _flat(lambda m, x: m.o(torch.vmap(m.l)(x).relu())), refused={"l": r"\bl\b"}, either={"input", "o", "output"}
    ),
    # Recurrent networks and transformers.
    "GRU cells": Specimen(lambda: Net(_cells, cell=nn.GRUCell(3, 5), o=nn.Linear(5, 3)), (3, 3)),
    "LSTM": Specimen(
        lambda: Net(lambda m, x: m.o(m.r(x)[0][:, -1]), r=nn.LSTM(3, 5, batch_first=True), o=nn.Linear(5, 3)), (7, 3)
    ),
    "LSTM, time first": Specimen(
        lambda: Net(lambda m, x: m.o(m.r(x.transpose(0, 1))[0])[-1], r=nn.LSTM(3, 5), o=nn.Linear(5, 3)), (7, 3)
    ),
    "GRU, both ways": Specimen(
        lambda: Net(
            lambda m, x: m.o(m.r(x)[1].transpose(0, 1).flatten(1)),
            r=nn.GRU(3, 5, batch_first=True, bidirectional=True),
            o=nn.Linear(10, 3),
        ),
        (7, 3),
    ),
    "transformer layer": Specimen(
        _tokens(lambda m, x: m.o(m.e(x).mean(1)), e=_encoder_layer(batch_first=True)), (5, 8)
    ),
    "transformer layer, time first": Specimen(
        _tokens(lambda m, x: m.o(m.e(x.transpose(0, 1)).mean(0)), e=_encoder_layer()), (5, 8)
    ),
    "transformer": Specimen(
        _tokens(lambda m, x: m.o(m.e(x).mean(1)), e=_encoder(batch_first=True)), (5, 8), layers=_ENCODER
    ),
    "transformer, time first": Specimen(
        _tokens(lambda m, x: m.o(m.e(x.transpose(0, 1)).mean(0)), e=_encoder()), (5, 8), layers=_ENCODER
    ),
    "transformer, norms first": Specimen(
        _tokens(lambda m, x: m.o(m.e(x).mean(1)), e=_encoder(batch_first=True, norm_first=True)),
        (5, 8),
        layers=_ENCODER,
    ),
    "transformer with padding": Specimen(
        _tokens(_masked(False), e=_encoder(batch_first=True, nested=False)), (5, 8), unfused=1e-6, layers=_ENCODER
    ),
    "transformer with padding at the end": Specimen(
        _tokens(_masked(True), e=_encoder(batch_first=True)), (5, 8), unfused=1e-6, layers=_ENCODER
    ),
    "attention": Specimen(
        _tokens(lambda m, x: m.o(m.a(x, x, x)[0].mean(1)), a=nn.MultiheadAttention(8, 2, batch_first=True)), (5, 8)
    ),
    "fused attention": Specimen(_tokens(lambda m, x: m.o(m.a(x).mean(1)), a=FusedAttention()), (5, 8)),
    "fused attention, projection by its weight": Specimen(
        _tokens(lambda m, x: m.o(m.a(x).mean(1)), a=FusedAttention(called=False)), (5, 8)
    ),
    "layer by its weight": Specimen(_flat(lambda m, x: m.o(functional.linear(x, m.l.weight, m.l.bias)))),
    "layer by its forward": Specimen(_flat(lambda m, x: m.o(m.l.forward(x).relu()))),
    # Outputs and layers that are no tensors.
    "tuple": Specimen(
        _flat(lambda m, x: (m.o(m.l(x)), m.l.bias)), output="tuple", refused={"output[1]": r"output\[1\]"}
    ),
    "list": Specimen(_flat(lambda m, x: [m.o(m.l(x))]), output="list"),
    "dict": Specimen(_flat(lambda m, x: {"logits": m.o(m.l(x))}), output="dict"),
    "named tuple": Specimen(_flat(lambda m, x: Two(m.o(m.l(x)), x)), output="Two|tuple"),
    "data class": Specimen(_flat(lambda m, x: Result(m.o(m.l(x)), x)), output="Result"),
    "layer that gives a dict": Specimen(_flat(lambda m, x: m.o(m.d(m.l(x))["h"]), d=Net(lambda m, x: {"h": x.relu()}))),
    "layer that gives None": Specimen(_flat(lambda m, x: (m.n(x), m.o(m.l(x)))[1], n=Net(lambda m, x: None))),
    "image network that gives a tuple": Specimen(
        _image(lambda m, x: (m.o(m.c(x).mean((2, 3))), x)), (3, 6, 6), output="tuple"
    ),
    # Compiled, scripted, checkpointed, and of mixed precision.
    "compiled": Specimen(_small, wrap=_cold, layers=("1", "output")),
    "compiled and warm": Specimen(_small, wrap=_warm, layers=("input", "1", "output")),
    "compiled in place": Specimen(_small, wrap=_compiled_inside, layers=("1", "output")),
    "compiled in part": Specimen(lambda: nn.Sequential(_small(), nn.Linear(3, 3)), wrap=_compiled_part, either=ALL),
    "scripted": Specimen(_small, wrap=torch.jit.script, closed="TorchScript"),
    "traced": Specimen(_small, wrap=lambda net: torch.jit.trace(net, torch.ones(2, 4)), closed="TorchScript"),
    "scripted in part": Specimen(
        lambda: nn.Sequential(_small(), nn.Linear(3, 3)),
        wrap=_scripted_part,
        refused=dict.fromkeys(("0.0", "0.1", "0.2"), "TorchScript"),
        either=ALL,
    ),
    "checkpointed": Specimen(_flat(_checkpointed(False), act=nn.ReLU()), either={"l", "act"}),
    "checkpointed, reentrant": Specimen(_flat(_checkpointed(True), act=nn.ReLU()), either={"l", "act"}),
    "autocast inside": Specimen(_flat(_mixed), tolerance=3e-2),
    # Random ones.
    "dropout by its default": Specimen(_flat(lambda m, x: m.o(functional.dropout(m.l(x)))), never=RANDOM),
    "noise": Specimen(_flat(lambda m, x: m.o(m.l(x) + 0.1 * torch.randn_like(x[:, :1]))), never=RANDOM),
    "uniform noise": Specimen(_flat(lambda m, x: m.o(m.l(x)) + torch.rand(3)), never=RANDOM),
    "random gates": Specimen(
        _flat(lambda m, x: m.o(m.l(x) * torch.bernoulli(torch.full((len(x), 5), 0.5)))), never=RANDOM
    ),
    "random pooling": Specimen(
        _image(lambda m, x: m.o(m.p(m.c(x)).mean((2, 3))), p=nn.FractionalMaxPool2d(2, output_size=2)),
        (3, 6, 6),
        never=r"\bp\b",
    ),
    "noise in an image network": Specimen(
        _image(lambda m, x: m.o(functional.dropout(m.c(x)).mean((2, 3)))), (3, 6, 6), never=RANDOM
    ),
    "counted calls": Specimen(_flat(_count)),
    "counted calls, in a buffer": Specimen(_flat(_count_in_a_buffer, n=nn.BatchNorm1d(5))),
    "drift with calls": Specimen(_flat(_drift), never="twice|differ"),
    # In training mode.
    "dropout in training mode": Specimen(lambda: _small(nn.Dropout()), evaluated=False, never="'2' .*training"),
    "normalisation in training mode": Specimen(
        lambda: _small(nn.BatchNorm1d(5)), evaluated=False, never="'2' .*training"
    ),
    "own dropout in training mode": Specimen(lambda: _small(MyDropout()), evaluated=False, never="training|random"),
    "LSTM's dropout in training mode": Specimen(
        lambda: Net(
            lambda m, x: m.o(m.r(x)[0][:, -1]),
            r=nn.LSTM(3, 5, num_layers=2, dropout=0.5, batch_first=True),
            o=nn.Linear(5, 3),
        ),
        (7, 3),
        evaluated=False,
        never=r"\br\b",
    ),
    "transformer in training mode": Specimen(
        _tokens(lambda m, x: m.o(m.e(x).mean(1)), e=_encoder_layer(batch_first=True)),
        (5, 8),
        evaluated=False,
        never="training",
    ),
    "random slopes in training mode": Specimen(lambda: _small(nn.RReLU()), evaluated=False, never=r"'2'|\b2\b"),
    "training mode without consequence": Specimen(_small, evaluated=False),
    # Samples that are not alone.
    "normalised by the batch": Specimen(
        lambda: _small(nn.BatchNorm1d(5, track_running_stats=False)), never=r"'2'.*BatchNorm1d"
    ),
    "images normalised by the batch": Specimen(
        lambda: _convolutions(nn.BatchNorm2d(4, track_running_stats=False)), (3, 6, 6), never=r"1'.*BatchNorm2d"
    ),
    "normalised by a function": Specimen(
        _flat(lambda m, x: m.o(functional.batch_norm(m.l(x), None, None, training=True))), never=BATCH
    ),
    "running means updated": Specimen(
        _flat(
            lambda m, x: m.o(functional.batch_norm(m.l(x), m.n.running_mean, m.n.running_var, training=True)),
            n=nn.BatchNorm1d(5),
        ),
        never=BATCH,
    ),
    "normalised by hand": Specimen(_flat(lambda m, x: m.o(m.l((x - x.mean(0)) / x.std(0)))), never=BATCH),
    "images centred by the batch": Specimen(
        _image(lambda m, x: m.o(m.c(x - x.mean()).mean((2, 3)))), (3, 6, 6), never=BATCH
    ),
    "softmax over samples": Specimen(_flat(lambda m, x: m.o(m.l(x)).softmax(0)), never=BATCH),
    "sorted over samples": Specimen(_flat(lambda m, x: m.o(m.l(x)).sort(0).values), never=BATCH),
    "less the first sample": Specimen(_flat(lambda m, x: m.o(m.l(x - x[0]))), never=BATCH),
    "mean over samples": Specimen(_flat(lambda m, x: m.o(m.l(x)).mean(0)), never=BATCH),
    "a loss": Specimen(_flat(lambda m, x: m.o(m.l(x)).square().mean()), never=BATCH),
    "one more step for the third sample": Specimen(_flat(_early_exit, k=nn.Linear(5, 5)), never=BATCH + r"|\bk\b"),
    "fixed batch": Specimen(_flat(lambda m, x: m.o(m.l(x.view(3, 4)))), never="3|batch|shape"),
    "attention over samples": Specimen(
        _tokens(lambda m, x: m.o(m.e(x).mean(1)), e=_encoder_layer()), (5, 8), never=BATCH
    ),
    "recurrence over samples": Specimen(
        lambda: Net(lambda m, x: m.o(m.r(x)[0].mean(1)), r=nn.LSTM(3, 5), o=nn.Linear(5, 3)), (7, 3), never=BATCH
    ),
    # Inputs that are not one tensor, or that are not ready.
    "keywords only": Specimen(OnKeywords, never="input|argument|forward"),
    "two inputs": Specimen(OnTwo, never="input|argument|forward"),
    "lazy": Specimen(lambda: nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.Linear(5, 3)), never="[Ll]azy"),
    "other width": Specimen(lambda: nn.Sequential(nn.Linear(9, 3)), never=r"\[?4\]?"),
    # Networks on images.
    "CNN": Specimen(lambda: _convolutions(nn.BatchNorm2d(4)), (3, 6, 6)),
    "CNN, instance norm": Specimen(lambda: _convolutions(nn.InstanceNorm2d(4, affine=True)), (3, 6, 6)),
    "CNN, instance norm with running stats": Specimen(
        lambda: _convolutions(nn.InstanceNorm2d(4, track_running_stats=True)), (3, 6, 6)
    ),
    "CNN, group norm": Specimen(lambda: _convolutions(nn.GroupNorm(2, 4)), (3, 6, 6)),
    "CNN, layer norm": Specimen(lambda: _convolutions(nn.LayerNorm([4, 6, 6])), (3, 6, 6)),
    "image normalised in place": Specimen(
        _image(lambda m, x: m.o(m.c(x.sub_(0.5).div_(0.25)).relu().mean((2, 3)))), (3, 6, 6)
    ),
    "image layer beside the score": Specimen(
        _image(lambda m, x: (m.s(x), m.o(m.c(x).relu().mean((2, 3))))[1], s=nn.Conv2d(3, 2, 3)),
        (3, 6, 6),
        either={"s"},
    ),
    "image layer without gradients": Specimen(
        _image(lambda m, x: m.o(torch.no_grad()(m.c)(x).relu().mean((2, 3)))), (3, 6, 6), either={"input", "c"}
    ),
    "whole-numbered images": Specimen(
        _image(lambda m, x: m.o(m.c(x / 255).relu().mean((2, 3)))), (3, 6, 6), integers=256, either={"input"}
    ),
    "channels last": Specimen(lambda: _convolutions().to(memory_format=torch.channels_last), (3, 6, 6)),
    "scripted CNN": Specimen(
        lambda: _convolutions(nn.BatchNorm2d(4)), (3, 6, 6), wrap=torch.jit.script, closed="TorchScript"
    ),
    "compiled CNN": Specimen(lambda: _convolutions(nn.BatchNorm2d(4)), (3, 6, 6), wrap=_cold, layers=("2", "output")),
    "ResNet": Specimen(
        _resnet, (3, 16, 16), layers=("relu", "layer1.0.relu#0", "layer1.1.bn3", "layer2.0", "avgpool", "output")
    ),
    "DenseNet": Specimen(
        _torchvision("DenseNet", growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2),
        (3, 16, 16),
        layers=(
            "features.relu0",
            "features.denseblock1.denselayer1.norm1",
            "features.denseblock1.denselayer2.relu2",
            "features.transition1.pool",
            "features.norm5",
            "output",
        ),
    ),
    "checkpointed DenseNet": Specimen(
        _torchvision(
            "DenseNet", growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2, memory_efficient=True
        ),
        (3, 16, 16),
        either=ALL,
        layers=("features.relu0", "features.denseblock1.denselayer2.conv1", "features.norm5"),
    ),
    "MobileNet": Specimen(
        _torchvision("mobilenet_v3_small", width_mult=0.25),
        (3, 16, 16),
        layers=("features.0.2", "features.1.block.1.scale_activation", "classifier.1"),
    ),
    "EfficientNet": Specimen(_efficientnet, (3, 16, 16), layers=("features.1.1.stochastic_depth", "features.2.0")),
    "ViT": Specimen(
        _torchvision("VisionTransformer", **_VIT),
        (3, 8, 8),
        layers=(
            "input",
            "conv_proj",
            "encoder.layers.encoder_layer_0.ln_1",
            "encoder.layers.encoder_layer_0.self_attention",
            "encoder.layers.encoder_layer_1.mlp.1",
            "encoder.layers.encoder_layer_1",
            "heads.head",
            "output",
        ),
    ),
    "Swin": Specimen(
        _torchvision("SwinTransformer", **_SWIN),
        (3, 16, 16),
        layers=("features.1.1.norm1", "features.1.1.attn", "features.1.1.mlp.1", "features.2", "permute", "head"),
    ),
}
