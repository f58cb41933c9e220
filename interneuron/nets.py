"""Architectures: the conditional VAE whose decoder is opened, the judge that looks at its images, the perceptron."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interneuron.errors import InputError
from interneuron.registry import Registry


class ConditionalVAE(nn.Module):
    """Variational autoencoder of images x given their class c (one-hot).

    The encoder takes [x, c] to mean and log variance of q(z | x, c) = N(mean, exp(log variance)); the decoder takes
    [z, c] to the logits of the pixels; a linear classifier takes [z, c] to the logits of the classes and serves the
    training loss only. `hidden` are the encoder's hidden sizes from pixels to latents; the decoder mirrors them. With
    784 pixels, 10 classes, 10 latents and hidden (512, 256, 128): encoder 794-512-256-128-20, decoder
    20-128-256-512-784.

    Shapes: x [..., pixels] in [0, 1], onehot [..., classes], z [..., latents].

    Raises: InputError where a size is not a whole number of at least 1.

    Source: Chattopadhyay et al. 2019, code (model.py); Hui 2022, section 2.1.
    """

    def __init__(self, pixels: int, classes: int, latents: int = 10, hidden: Sequence[int] = (512, 256, 128)) -> None:
        super().__init__()
        _check_sizes(pixels=pixels, classes=classes, latents=latents, hidden=hidden)
        self.pixels, self.classes, self.latents = pixels, classes, latents
        self.encoder = _perceptron(pixels + classes, *hidden, 2 * latents)
        self.decoder = _perceptron(latents + classes, *reversed(hidden), pixels)
        self.classifier = nn.Linear(latents + classes, classes)

    def encode(self, x: Tensor, onehot: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, c), both [..., latents]."""
        mean, log_variance = self.encoder(torch.cat([x, onehot], -1)).chunk(2, -1)
        return mean, log_variance

    def decode(self, z: Tensor, onehot: Tensor) -> Tensor:
        """Logits of the pixels given z and c, [..., pixels]."""
        return self.decoder(torch.cat([z, onehot], -1))

    def classify(self, z: Tensor, onehot: Tensor) -> Tensor:
        """Logits of the classes given z and c, [..., classes]."""
        return self.classifier(torch.cat([z, onehot], -1))


def decoder_network(vae: ConditionalVAE) -> nn.Sequential:
    """The decoder as one network on [z, onehot(c)], [n, latents + classes], whose last layer are pixels in (0, 1).

    Modules: linear1, relu1, linear2, relu2, ..., linearK, sigmoid; they are the VAE's own, not copies.
    """
    return nn.Sequential(OrderedDict([*vae.decoder.named_children(), ("sigmoid", nn.Sigmoid())]))


class Judge(nn.Module):
    """Small convolutional classifier of images: strided convolutions and ReLUs, then two linear layers.

    `channels` and `strides` have one entry a convolution, all of them `kernel` x `kernel`, padded with kernel // 2
    zeros; `hidden` is the size of the linear layer before the classes.

    Shapes: x [..., 1, height, width] or [..., height * width] in [0, 1] -> logits [..., classes].

    Raises: InputError where a size is not a whole number of at least 1, the kernel is even, or `channels` and
    `strides` differ in length.
    """

    def __init__(
        self,
        height: int,
        width: int,
        classes: int,
        channels: Sequence[int] = (8, 16),
        strides: Sequence[int] = (2, 2),
        kernel: int = 5,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        _check_sizes(
            height=height,
            width=width,
            classes=classes,
            channels=channels,
            strides=strides,
            kernel=kernel,
            hidden=hidden,
        )
        if len(channels) != len(strides):
            raise InputError(
                f"judge: {len(channels)} channels but {len(strides)} strides; it takes one stride a channel"
            )
        if kernel % 2 == 0:
            raise InputError(f"judge: kernel is {kernel}, it takes an odd number")
        self.height, self.width, self.classes = height, width, classes
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = 1
        for i, (outputs, stride) in enumerate(zip(channels, strides, strict=True), 1):
            layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
            layers[f"relu{i}"] = nn.ReLU()
            inputs, height, width = outputs, -(-height // stride), -(-width // stride)
        self.features = nn.Sequential(layers)
        self.classifier = _perceptron(inputs * height * width, hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, [..., classes]."""
        if x.shape[-3:] != (1, self.height, self.width):
            if x.shape[-1] != self.height * self.width:
                raise InputError(
                    f"judge: got images of shape {tuple(x.shape)}, it takes [..., 1, {self.height}, {self.width}] or "
                    f"[..., {self.height * self.width}]"
                )
            x = x.unflatten(-1, (1, self.height, self.width))
        return self.classifier(self.features(x).flatten(-3))


class Strided(nn.Module):
    """Convolutional classifier without pooling: strided convolutions, a small dense layer, dropout, the classes.

    `channels`, `kernels` and `strides` have one entry a convolution; the first is padded with kernel // 2 zeros, the
    others are not. With 28 x 28 pixels, 10 classes and the defaults it is the network of Carlini and Wagner 2017, "Ten
    detection methods" (code, setup_mnist.py), but for the first convolution's padding, which TensorFlow has one pixel
    lower and further right.

    Modules: features.conv1, features.relu1, ..., classifier.linear1, classifier.relu1, classifier.linear2. In training
    each hidden unit is silent with probability `dropout`, where the standard normal `noise` is below that quantile, and
    the others are divided by 1 - dropout.

    Shapes: x [..., 1, height, width] or [..., height * width] in [0, 1], noise [..., hidden] -> logits [..., classes].

    Raises: InputError where a size is not a whole number of at least 1, the lists differ in length, the images are too
    small for the convolutions, or the dropout is not in 0 to 1.
    """

    def __init__(
        self,
        height: int,
        width: int,
        classes: int,
        channels: Sequence[int] = (64, 64, 64),
        kernels: Sequence[int] = (5, 3, 3),
        strides: Sequence[int] = (2, 2, 1),
        hidden: int = 32,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        _check_sizes(height=height, width=width, classes=classes, channels=channels, kernels=kernels)
        _check_sizes(strides=strides, hidden=hidden)
        if not len(channels) == len(kernels) == len(strides):
            raise InputError(
                f"strided: {len(channels)} channels, {len(kernels)} kernels and {len(strides)} strides; it takes one "
                "of each a convolution"
            )
        if not 0 <= dropout < 1:
            raise InputError(f"strided: dropout is {dropout}, it takes a share of at least 0 and below 1")
        self.height, self.width, self.classes = height, width, classes
        self.hidden, self.dropout = hidden, dropout
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = 1
        for i, (outputs, kernel, stride) in enumerate(zip(channels, kernels, strides, strict=True), 1):
            padding = kernel // 2 if i == 1 else 0
            layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, kernel, stride, padding)
            layers[f"relu{i}"] = nn.ReLU()
            inputs = outputs
            height, width = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
            if min(height, width) < 1:
                raise InputError(f"strided: images of {self.height} x {self.width} are too small for {i} convolutions")
        self.features = nn.Sequential(layers)
        self.classifier = _perceptron(inputs * height * width, hidden, classes)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits of the classes, [..., classes]."""
        if x.shape[-3:] != (1, self.height, self.width):
            if x.shape[-1] != self.height * self.width:
                raise InputError(
                    f"strided: got images of shape {tuple(x.shape)}, it takes [..., 1, {self.height}, {self.width}] or "
                    f"[..., {self.height * self.width}]"
                )
            x = x.unflatten(-1, (1, self.height, self.width))
        hidden = self.features(x).flatten(-3)
        if noise is None:
            return self.classifier(hidden)
        hidden = self.classifier[:2](hidden)
        if self.dropout:
            silent = noise < NormalDist().inv_cdf(self.dropout)
            hidden = (hidden / (1 - self.dropout)).masked_fill(silent, 0)
        return self.classifier[2](hidden)


# What networks of photos expect of colours in [0, 1]: order of the channels, means, and divisors.
_COLOURS = {
    "imagenet": ((0, 1, 2), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": ((2, 1, 0), (104 / 255, 117 / 255, 123 / 255), (1 / 255, 1 / 255, 1 / 255)),
}


class PhotoNetwork(nn.Module):
    """A network of torchvision, by the name of its factory, that takes photos as they are.

    `colours` says how it was trained: `imagenet`, torchvision's weights (RGB, each channel less its mean over its
    standard deviation on ImageNet), or `caffe` (BGR, 0 to 255, less the means 104, 117 and 123). `network` is
    torchvision's own module, under its own names: `network.features.12`.

    Shapes: x [n, 3, height, width], RGB in [0, 1] -> logits [n, classes].

    Raises: InputError for a name that torchvision has no classifier of, and other colours.
    """

    def __init__(self, factory: str, classes: int = 1000, colours: str = "imagenet") -> None:
        super().__init__()
        if colours not in _COLOURS:
            raise InputError(f"colours is {colours!r}, it takes {', '.join(_COLOURS)}")
        from interneuron._torchvision import import_torchvision

        models = import_torchvision().models
        if factory not in models.list_models(module=models):
            raise InputError(f"torchvision has no classifier {factory!r}, it takes a name such as alexnet")
        self.classes, self.colours = classes, colours
        self.network = models.get_model(factory, weights=None, num_classes=classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, [n, classes]."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise InputError(f"got photos of shape {tuple(x.shape)}, it takes [n, 3, height, width]")
        order, mean, divisor = _COLOURS[self.colours]
        centre, scale = (x.new_tensor(values)[:, None, None] for values in (mean, divisor))
        return self.network((x[:, list(order)] - centre) / scale)


class MLP(nn.Sequential):
    """Multilayer perceptron for classification: linear1, relu1, linear2, relu2, ..., linearK.

    Of two classes there is one logit, that of class 1 (a sample is taken for class 1 where it is above 0); of more, one
    a class. `hidden` are the sizes of the hidden layers, in order.

    Shapes: x [..., inputs] -> logits [..., 1] or [..., classes].

    Raises: InputError where a size is not a whole number of at least 1, and without a hidden layer.

    Source: Picchiotti and Gori 2021, section 2.
    """

    def __init__(self, inputs: int, classes: int, hidden: Sequence[int]) -> None:
        _check_sizes(inputs=inputs, classes=classes, hidden=hidden)
        if not hidden:
            raise InputError("hidden: got no sizes, it takes at least one hidden layer")
        super().__init__(OrderedDict(_perceptron(inputs, *hidden, 1 if classes == 2 else classes).named_children()))
        self.inputs, self.classes = inputs, classes


_ARCHITECTURES: Registry[type[nn.Module]] = Registry(
    "architecture",
    {"conditional-vae": ConditionalVAE, "judge": Judge, "mlp": MLP, "photo-network": PhotoNetwork, "strided": Strided},
)


def fit_arguments(
    architecture: str, arguments: Mapping[str, Any], height: int, width: int, classes: int
) -> dict[str, Any]:
    """All of an architecture's arguments: the configured ones, and the sizes that the data decide.

    Raises: InputError for an unknown architecture.
    """
    kind = _ARCHITECTURES[architecture]
    sizes = {"pixels": height * width} if issubclass(kind, ConditionalVAE) else {"height": height, "width": width}
    return {**arguments, **sizes, "classes": classes}


def build(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network by the name of its architecture; its parameters are not yet set.

    Raises: InputError for an unknown architecture, or arguments that it does not take.
    """
    kind = _ARCHITECTURES[architecture]
    try:
        # Parameters on the meta device draw nothing from the global generator.
        with torch.device("meta"):
            network = kind(**arguments)
    except TypeError as error:
        raise InputError(f"architecture {architecture}: {str(error).split('__init__() ')[-1]}") from error
    return network.to_empty(device="cpu")


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Kaiming normal weights (standard deviation sqrt(2 / inputs of a unit)) and zero biases, in place.

    Source: He et al. 2015; Chattopadhyay et al. 2019, code (model.py).
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                nn.init.kaiming_normal_(parameter, generator=generator)


def load(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], seed: int) -> nn.Module:
    """The network of one seed of a weights file, in eval mode, without gradients of its parameters.

    tensors: one array a parameter, [seeds, ...]; metadata: `architecture`, `arguments` and `seeds` of the file.

    Raises: InputError where the seed is not among the file's, or the tensors do not fit the architecture.
    """
    missing = [key for key in ("architecture", "arguments", "seeds") if key not in metadata]
    if missing:
        raise InputError(f"weights: metadata lack {', '.join(missing)}")
    seeds = list(metadata["seeds"])
    if seed not in seeds:
        raise InputError(f"weights: no seed {seed}; the file has {', '.join(map(str, seeds))}")
    network = build(metadata["architecture"], metadata["arguments"])
    expected = network.state_dict()
    misfit = f"weights don't fit architecture {metadata['architecture']}"
    if missing := sorted(expected.keys() - tensors.keys()):
        raise InputError(f"{misfit}: {', '.join(missing)} missing")
    if unexpected := sorted(tensors.keys() - expected.keys()):
        raise InputError(f"{misfit}: {', '.join(unexpected)} unexpected")
    for name, parameter in expected.items():
        shape = (len(seeds), *parameter.shape)
        if tensors[name].shape != shape:
            raise InputError(f"{misfit}: {name} has shape {tuple(tensors[name].shape)}, expected {shape}")
    row = seeds.index(seed)
    network.load_state_dict({name: torch.tensor(tensors[name][row]) for name in expected})
    return network.eval().requires_grad_(False)


def named(network: nn.Module, tensors: Mapping[str, Tensor] | Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that the network's state dict has: by name, or a sequence in the state dict's order.

    Floats come in the network's own type. As torch does, counts of batches that old checkpoints lack are taken as 0. Of
    a tensor that the network has under several names, one is enough: safetensors keeps no more.

    Raises InputError where names, number or shapes are not the network's; of names that all begin with a word more,
    such as `module.`, the word.
    """
    own = {name: value for name, value in network.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    expected = {name: tuple(value.shape) for name, value in own.items()}
    if not isinstance(tensors, Mapping):
        if len(tensors) != len(expected):
            raise InputError(f"the checkpoint has {len(tensors)} tensors, the network takes {len(expected)}")
        tensors = dict(zip(expected, tensors, strict=True))
    counts = {name: torch.zeros_like(own[name]) for name in expected if name.split(".")[-1] == "num_batches_tracked"}
    if not counts.keys() & tensors.keys():
        tensors = counts | dict(tensors)
    given = {id(own[name]): tensors[name] for name in expected if name in tensors}
    tensors = {name: given[id(own[name])] for name in expected if id(own[name]) in given} | dict(tensors)
    misfit = "the checkpoint does not fit the network"
    if unlike := sorted(expected.keys() ^ tensors.keys()):
        names, wanted = tensors.keys() - counts.keys(), expected.keys() - counts.keys()
        if not wanted <= names and (more := _beginnings(names, wanted)):
            raise InputError(
                f"{misfit}: its names begin with {' or '.join(map(repr, more))}, the network's do not; read it with "
                + " or ".join(f"prefix={each!r}" for each in more)
            )
        if not names <= wanted and (more := _beginnings(wanted, names)):
            raise InputError(
                f"{misfit}: the network's names begin with {' or '.join(map(repr, more))}, its do not; take the "
                "network inside"
            )
        where = "missing in the checkpoint" if unlike[0] in expected else "not in the network"
        raise InputError(f"{misfit}: {unlike[0]} is {where}")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            got = list(tensors[name].shape)
            raise InputError(f"{misfit}: {name} is {got}, it takes {list(shape)}")
        types = tensors[name].dtype, own[name].dtype
        if types[0].is_floating_point != types[1].is_floating_point or types[0].is_complex:
            raise InputError(f"{misfit}: {name} is {types[0]}, it takes {types[1]}")
    return {name: tensors[name].to(own[name].dtype) for name in expected}


def _beginnings(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """What all `wanted` names have before them among `names`: words that end in a point, if anything."""
    names, wanted = set(names), sorted(wanted)
    first = wanted[0] if wanted else ""
    found = sorted(name.removesuffix(first) for name in names if name.endswith(f".{first}"))
    return [more for more in found if all(more + name in names for name in wanted)]


def _perceptron(*sizes: int) -> nn.Sequential:
    """Linear layers linear1, linear2, ... with ReLUs relu1, relu2, ... between them."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        layers[f"linear{i}"] = nn.Linear(inputs, outputs)
        if i < len(sizes) - 1:
            layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(layers)


def _check_sizes(**sizes: int | Sequence[int]) -> None:
    for name, size in sizes.items():
        many = isinstance(size, Sequence)
        for number in size if isinstance(size, Sequence) else [size]:
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise InputError(
                    f"{name}: got {size!r}, it takes whole numbers of at least 1"
                    if many
                    else f"{name}: got {size!r}, it takes a whole number of at least 1"
                )
