"""Architectures: the conditional VAE whose decoder is opened, the judge that looks at its images, the perceptron."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
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
    "architecture", {"conditional-vae": ConditionalVAE, "judge": Judge, "mlp": MLP}
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
    """A network by the name of its architecture: `conditional-vae`, `judge` or `mlp`; its parameters are not yet set.

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
