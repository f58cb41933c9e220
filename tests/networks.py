"""Piecewise-affine networks with random weights: a few that are named, and those that hypothesis makes."""

from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

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
