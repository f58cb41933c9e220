"""Classifiers with a penalty on one of their layers: convolutional and dense ones with a map of neurons, and capsules.

Source: Tong et al., "Graph Spectral Regularization for Neural Network Interpretability" (arXiv:1810.00424).
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interneuron import lattices, tensor_checks
from interneuron.capture import activations
from interneuron.errors import InputError
from interneuron.nets import MLP, initialise
from interneuron.registry import Registry
from interneuron.regularization import FORMS, operator, penalty
from interneuron.seeds import torch_generator
from interneuron.structured_training import DivergedError, Trained
from interneuron.training import _check_classes, _check_images, _keep_freed_memory

PENALTIES = ("gsr", "l1", "l2")
DEVICES = ("cpu", "cuda")


class MapClassifier(nn.Module):
    """Convolutional classifier whose hidden layer `code` is a map of neurons.

    Convolutions with `channels` outputs, `kernel` x `kernel`, padded to keep the size, each followed by a 2 x 2 maximum
    and a leaky ReLU (slope 0.2; the order of these two changes nothing, since it rises); a linear layer and a leaky
    ReLU give `code`, of `nodes` units; behind it `dropout` in training, and the linear `output`.

    Shapes: x [n, 1, height, width] -> logits [n, classes]. Source: Tong et al., appendix, table (a); code. Raises
    InputError for sizes that leave nothing after the maxima, and a share of dropout outside of 0 to 1.
    """

    def __init__(
        self,
        height: int,
        width: int,
        classes: int,
        channels: Sequence[int] = (32, 64),
        kernel: int = 5,
        nodes: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = 1
        for i, outputs in enumerate(channels, 1):
            layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            layers[f"pool{i}"] = nn.MaxPool2d(2)
            layers[f"leaky{i}"] = nn.LeakyReLU(0.2)
            inputs, height, width = outputs, height // 2, width // 2
        if not height * width or kernel % 2 == 0 or not 0 <= dropout < 1:
            raise InputError(
                f"map classifier: {len(channels)} maxima leave {height} x {width} pixels, the kernel is {kernel} and "
                f"dropout {dropout}: it takes one pixel or more, an odd kernel, and a share below 1"
            )
        self.features = nn.Sequential(layers)
        self.embedding = nn.Linear(inputs * height * width, nodes)
        self.code = nn.LeakyReLU(0.2)
        self.dropout = _Dropout(dropout)
        self.output: nn.Module = nn.Linear(nodes, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.code(self.embedding(self.features(x).flatten(1)))))

    def loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the class that each sample is taken for."""
        logits = self(x)
        return functional.cross_entropy(logits, y), logits.argmax(1)


class ConvolvedMapClassifier(MapClassifier):
    """`MapClassifier` with convolutions on its map, which a map of neurons that are alike where they are near permits.

    The units of `code`, behind their dropout, are an image of `rows` rows: 3 x 3 convolutions of 16 channels, each with
    a leaky ReLU, and a 2 x 2 maximum between two; the linear `output`.

    Source: Tong et al., figure 3.1 (three convolutions, an 8 x 8 map). Raises InputError as `MapClassifier`, and for a
    map that has no whole rows or leaves nothing after the maxima.
    """

    def __init__(self, height: int, width: int, classes: int, rows: int = 8, convolutions: int = 3, **own: Any) -> None:
        super().__init__(height, width, classes, **own)
        nodes = self.embedding.out_features
        shape = rows >> (convolutions - 1), nodes // rows >> (convolutions - 1)
        if nodes % rows or not all(shape):
            raise InputError(
                f"map classifier: {nodes} units in {rows} rows, {convolutions} convolutions with maxima between them: "
                "it takes whole rows, and one unit or more in the end"
            )
        layers: OrderedDict[str, nn.Module] = OrderedDict(image=nn.Unflatten(1, (1, rows, nodes // rows)))
        for i in range(1, convolutions + 1):
            layers[f"conv{i}"] = nn.Conv2d(1 if i == 1 else 16, 16, 3, padding=1)
            layers[f"leaky{i}"] = nn.LeakyReLU(0.2)
            if i < convolutions:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
        layers["flat"] = nn.Flatten()
        layers["classes"] = nn.Linear(16 * shape[0] * shape[1], classes)
        self.output = nn.Sequential(layers)


class MapPerceptron(MLP):
    """Perceptron of ReLUs (`interneuron.nets.MLP`) on images: linear1, relu1, ...; any relu can be a map of neurons.

    Shapes: x [n, 1, height, width] or [n, height width] -> logits [n, classes], of three classes or more.
    """

    def __init__(self, height: int, width: int, classes: int, hidden: Sequence[int]) -> None:
        if classes < 3:
            raise InputError(f"map perceptron: {classes} classes, it takes three or more")
        super().__init__(height * width, classes, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))

    def loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the class that each sample is taken for."""
        logits = self(x)
        return functional.cross_entropy(logits, y), logits.argmax(1)


class DenseClassifier(nn.Module):
    """Classifier of images with dense layers only, whose last hidden layer `code` is a map of neurons.

    Layers of `hidden` units, linear with a leaky ReLU (slope 0.2) behind each; a linear layer and a leaky ReLU give
    `code`, of `nodes` units; and the linear `output`.

    Shapes: x [n, 1, height, width] or [..., height width] -> logits [..., classes]. Source: Tong et al., section 3.4.1
    ("a layer of a dense MNIST classifier"); the slope is the appendix's, the other layers are not said. Raises
    InputError for a size that is not a whole number of at least 1.
    """

    def __init__(self, height: int, width: int, classes: int, hidden: Sequence[int] = (128,), nodes: int = 64) -> None:
        super().__init__()
        sizes = [height * width, *hidden]
        for size in (*sizes, nodes, classes):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InputError(f"dense classifier: a layer of {size!r} units, it takes a whole number of 1 or more")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (inputs, outputs) in enumerate(pairwise(sizes), 1):
            layers[f"linear{i}"] = nn.Linear(inputs, outputs)
            layers[f"leaky{i}"] = nn.LeakyReLU(0.2)
        self.classes = classes
        self.features = nn.Sequential(layers)
        self.embedding = nn.Linear(sizes[-1], nodes)
        self.code = nn.LeakyReLU(0.2)
        self.output = nn.Linear(nodes, classes)

    def forward(self, x: Tensor) -> Tensor:
        vectors = x.flatten(1) if x.ndim == 4 else x
        return self.output(self.code(self.embedding(self.features(vectors))))

    def loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the class that each sample is taken for."""
        logits = self(x)
        return functional.cross_entropy(logits, y), logits.argmax(1)


class WaveletClassifier(MapClassifier):
    """Map classifier whose map `code` mixes localised atoms on a graph: z = A softmax(A+ s) of the pre-activations s
    (`interneuron.wavelets.SoftmaxEmbedding`), where a map classifier has a leaky ReLU.

    graph: `kind` and `sizes` (`interneuron.lattices.build`); the map has a unit a node. atoms: `kernel` and `scales`
    (`interneuron.wavelets.filters`); the filters of all scales at all nodes are the columns of A [nodes, scales nodes].
    The others, shapes and errors: as of `MapClassifier`, `lattices.build` and `wavelets.filters`. Source: Tong et al.,
    first version; code, `autoencoder.py` ("softmax embedding").
    """

    def __init__(
        self,
        height: int,
        width: int,
        classes: int,
        graph: Mapping[str, Any],
        atoms: Mapping[str, Any],
        channels: Sequence[int] = (32, 64),
        kernel: int = 5,
        dropout: float = 0.4,
    ) -> None:
        from interneuron import wavelets

        bank = wavelets.filters(lattices.build(graph["kind"], graph["sizes"]), **atoms)
        nodes = bank.shape[-1]
        super().__init__(height, width, classes, channels, kernel, nodes, dropout)
        with torch.device("cpu"):
            self.add_module("code", wavelets.SoftmaxEmbedding(bank.reshape(-1, nodes).T))

    def to_empty(self, *, device: Any, recurse: bool = True) -> "WaveletClassifier":
        """As torch's, but for the atoms: they are no parameters that would be set afterwards, and stay."""
        code = deepcopy(self.code)
        super().to_empty(device=device, recurse=recurse)
        self.add_module("code", code.to(device))
        return self


class CapsuleNet(nn.Module):
    """Capsule network: a capsule of `dimensions` numbers a class, whose length says how likely the class is.

    conv 9 x 9 (`channels`), ReLU; conv 9 x 9 with stride 2 to `primary` capsules of 8 a position; `routings` rounds of
    routing by agreement to the class capsules, the layer `digits` [n, classes, dimensions]; a decoder of `decoder`
    hidden units reconstructs the image from the capsule of the true class, the others set to 0.

    Shapes: x [n, 1, height, width] -> lengths [n, classes]. Source: Sabour, Frosst and Hinton, "Dynamic routing between
    capsules", 2017 (256 channels, 32 primary capsules a position, decoder 512 and 1024).
    """

    def __init__(
        self,
        height: int,
        width: int,
        classes: int,
        channels: int = 256,
        primary: int = 32,
        dimensions: int = 16,
        routings: int = 3,
        decoder: Sequence[int] = (512, 1024),
    ) -> None:
        super().__init__()
        rows, columns = ((side - 8 - 9) // 2 + 1 for side in (height, width))
        if rows < 1 or columns < 1:
            raise InputError(f"capsule network: images are {height} x {width}, it takes 17 x 17 or more")
        self.classes, self.dimensions = classes, dimensions
        self.conv = nn.Conv2d(1, channels, 9)
        self.primary = nn.Conv2d(channels, primary * 8, 9, stride=2)
        self.digits = Routing(primary * rows * columns, 8, classes, dimensions, routings)
        sizes = [classes * dimensions, *decoder]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.Linear(sizes[-1], height * width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(self.capsules(x), dim=-1)

    def capsules(self, x: Tensor) -> Tensor:
        """Class capsules of images: [n, classes, dimensions]."""
        found = self.primary(torch.relu(self.conv(x)))
        n, _, height, width = found.shape
        found = found.view(n, -1, 8, height, width).permute(0, 1, 3, 4, 2).reshape(n, -1, 8)
        return self.digits(_squash(found))

    def reconstruct(self, capsules: Tensor, y: Tensor) -> Tensor:
        """Images [n, height width] from capsules [n, classes, dimensions], all but those of the classes y set to 0."""
        kept = functional.one_hot(y, self.classes).to(capsules.dtype).unsqueeze(-1)
        return self.decoder((capsules * kept).flatten(1))

    def loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Margin loss plus 0.0005 times the squared error of the reconstruction, and the class taken for."""
        capsules = self.capsules(x)
        lengths = torch.linalg.vector_norm(capsules, dim=-1)
        truth = functional.one_hot(y, self.classes).to(lengths.dtype)
        margins = truth * functional.relu(0.9 - lengths) ** 2 + 0.5 * (1 - truth) * functional.relu(lengths - 0.1) ** 2
        error = ((self.reconstruct(capsules, y) - x.flatten(1)) ** 2).sum(1)
        return margins.sum(1).mean() + 0.0005 * error.mean(), lengths.argmax(1)


class Routing(nn.Module):
    """Routing by agreement, from capsules [n, inputs, size] to capsules [n, outputs, dimensions]."""

    def __init__(self, inputs: int, size: int, outputs: int, dimensions: int, routings: int) -> None:
        super().__init__()
        self.routings, self.shape = routings, (outputs, dimensions)
        self.transform = nn.Parameter(torch.empty(inputs, size, outputs * dimensions))

    def forward(self, u: Tensor) -> Tensor:
        votes = torch.einsum("nis,iso->nio", u, self.transform).unflatten(-1, self.shape)
        # Only the last round carries a gradient, as in the authors' code.
        fixed = votes.detach()
        logits = torch.zeros(fixed.shape[:-1], dtype=u.dtype, device=u.device)
        for _ in range(self.routings - 1):
            outputs = _squash(torch.einsum("nio,niod->nod", logits.softmax(-1), fixed))
            logits = logits + torch.einsum("niod,nod->nio", fixed, outputs)
        return _squash(torch.einsum("nio,niod->nod", logits.softmax(-1), votes))


class _Dropout(nn.Module):
    """Dropout from a generator of its own (`generator`), in training only."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, z: Tensor) -> Tensor:
        if not self.training or not self.share or self.generator is None:
            return z
        # Drawn on the CPU, so that every device drops the same units.
        kept = torch.empty(z.shape).bernoulli_(1 - self.share, generator=self.generator)
        return z * kept.to(z.device) / (1 - self.share)


CLASSIFIERS: Registry[type[nn.Module]] = Registry(
    "classifier",
    {
        "map-classifier": MapClassifier,
        "convolved-map": ConvolvedMapClassifier,
        "map-perceptron": MapPerceptron,
        "dense-classifier": DenseClassifier,
        "capsule-net": CapsuleNet,
        "wavelet-classifier": WaveletClassifier,
    },
)


def build(architecture: str, arguments: Mapping[str, Any]) -> Any:
    """A classifier by its name (`CLASSIFIERS`); its parameters are not yet set.
    Raises InputError for an unknown name, and arguments that it does not take."""
    kind = CLASSIFIERS[architecture]
    try:
        with torch.device("meta"):
            network = kind(**arguments)
    except TypeError as error:
        raise InputError(f"{architecture}: {str(error).split('__init__() ')[-1]}") from error
    return network.to_empty(device="cpu")


def restored(weights: Mapping[str, Any], which: int, architecture: str, arguments: Mapping[str, Any]) -> Any:
    """The classifier of the seed at position `which` of the weights [seeds, ...], in evaluation mode, without
    gradients. Raises InputError where these do not fit, and for weights that are NaN or infinite."""
    weights = {name: tensor_checks.numbers(f"weights {name}", value, least=1) for name, value in weights.items()}
    network = build(architecture, arguments)
    own = {name: list(value.shape) for name, value in network.state_dict().items()}
    given = {name: list(value.shape[1:]) for name, value in weights.items()}
    if own != given:
        wrong = next(name for name in {**own, **given} if own.get(name) != given.get(name))
        raise InputError(f"weights: {wrong} is {given.get(wrong, 'missing')} a seed, it takes {own.get(wrong, 'none')}")
    if not 0 <= which < len(next(iter(weights.values()))):
        raise InputError(f"weights: no seed at position {which}")
    network.load_state_dict({name: torch.as_tensor(value[which]) for name, value in weights.items()})
    return network.eval().requires_grad_(False)


def train_classifiers(
    architecture: str,
    arguments: Mapping[str, Any],
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    *,
    layer: str,
    weights: Mapping[str, float],
    epochs: int,
    learning_rate: float,
    graph: Any = None,
    laplacian: str = "unnormalised",
    form: str = "quadratic",
    batch: int = 256,
    scale: float = 255.0,
    report_every: int = 100,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Classifiers of one architecture, one a seed and one after the other, trained with Adam (betas 0.9 and 0.999) on

        loss + weights[gsr] P(z) + weights[l1] sum |z| + weights[l2] sum z^2

    for the activations z of the layer, each averaged over the batch; P is the graph's penalty
    (`interneuron.regularization.penalty`). Initialisation (Kaiming normal, zero biases), order of the samples (each
    epoch a new shuffle; an incomplete last batch is dropped) and dropout come from generators derived from the seed's
    number alone.

    Args:
        x, y: training images, uint8 [n, height, width], and classes, int64 [n]; x_test, y_test: of the test split.
        layer: its name, as in `interneuron.capture`.
        weights: of `gsr`, `l1` and `l2`; absent: 0.
        graph: adjacency on the layer's units, or on the channels of a convolution, of which each position counts as a
            sample; needed where there is a gsr weight.
        device: `cpu` or `cuda`; what is drawn at random is the same on both, and sums round in other orders.

    Returns: the parameters on the CPU, float32 [seeds, ...] by name, and rows of `loss`, `accuracy` and the penalties
        without their weights over `report_every` iterations, with a graph `rayleigh`: z' L z / z' z of the report's
        last batch, less each sample's mean; and the test split's `accuracy`.

    Raises: InputError for data and settings that do not fit; for a layer that is missing, or runs more than once and is
        named without its run; and for a graph of another size. DivergedError, naming iteration and seed, where the loss
        is no longer finite; it holds the seed's weights at the last report, or its initial ones.
    """
    _check_images(x, y, x_test, y_test)
    for name, weight in weights.items():
        if name not in PENALTIES or not 0 <= weight < math.inf:
            raise InputError(f"training: the penalty {name} of weight {weight}; it takes {', '.join(PENALTIES)}, 0 up")
    if form not in FORMS:
        raise InputError(f"training: no form {form!r} of the penalty; there are {', '.join(FORMS)}")
    if len(x) < batch or batch < 1 or epochs < 1 or report_every < 1 or not seeds:
        raise InputError(
            f"training: {len(x)} images in batches of {batch}, {epochs} epochs, reports every {report_every} and "
            f"{len(seeds)} seeds: it takes a batch or more, and 1 or more of each"
        )
    factors = {name: float(weight) for name, weight in weights.items() if weight}
    if "gsr" in factors and graph is None:
        raise InputError("training: there is a gsr weight and no graph, it takes one")
    if device not in DEVICES or (device == "cuda" and not torch.cuda.is_available()):
        raise InputError(
            f"training: device is {device!r}, it takes one of {', '.join(DEVICES)} that this machine's torch has"
        )
    prepared = None if graph is None else operator(lattices.laplacian(graph, laplacian), device=device)
    x, y, x_test, y_test = (part.to(device) for part in (x, y, x_test, y_test))
    batches = len(x) // batch
    total = batches * epochs * len(seeds)
    _keep_freed_memory()
    parameters: list[dict[str, Tensor]] = []
    rows: list[dict[str, Any]] = []
    for position, seed in enumerate(seeds):
        network = build(architecture, arguments)
        _check_classes(int(arguments["classes"]), y, y_test)
        initialise(network, torch_generator(seed, "initialisation"))
        if isinstance(network, CapsuleNet):
            with torch.no_grad():
                network.digits.transform.normal_(0, 0.1, generator=torch_generator(seed, "transform"))
        for module in network.modules():
            if isinstance(module, _Dropout):
                module.generator = torch_generator(seed, "dropout")
        network.to(device, memory_format=torch.channels_last)
        run = _Run(network, layer, prepared, form, factors, images(x[:1], scale))
        steps = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
        generator = torch_generator(seed, "order")
        good, good_at = _copied(network), 0
        with run.watching():
            for i in range(epochs * batches):
                if i % batches == 0:
                    order = torch.randperm(len(x), generator=generator)
                part = order[i % batches * batch :][:batch].to(device)
                loss, metrics = run.measure(images(x[part], scale), y[part])
                if not math.isfinite(loss.item()):
                    raise DivergedError(
                        f"training: the loss is no longer finite in iteration {i + 1:,} (seed {seed}); it takes a "
                        f"learning rate smaller than {learning_rate:g}, or smaller weights",
                        Trained({name: value[None] for name, value in good.items()}, rows, None, [good_at]),
                        good_at,
                    )
                if i % report_every == 0:
                    good, good_at = _copied(network), i
                steps.zero_grad()
                loss.backward()
                steps.step()
                run.add(metrics)
                if (i + 1) % report_every == 0 or i + 1 == epochs * batches:
                    rows += run.report(seed, i + 1)
                if progress is not None:
                    progress(position * epochs * batches + i + 1, total)
        found = accuracy(network, x_test, y_test, scale)
        row = {"seed": seed, "iteration": epochs * batches, "split": "test", "metric": "accuracy", "value": found}
        rows.append(row)
        parameters.append(_copied(network))
    return {name: torch.stack([one[name] for one in parameters]) for name in parameters[0]}, rows


def _copied(network: nn.Module) -> dict[str, Tensor]:
    """The parameters as they are, on the CPU."""
    layout = torch.contiguous_format
    return {name: value.detach().cpu().clone(memory_format=layout) for name, value in network.named_parameters()}


def accuracy(network: Any, x: Tensor, y: Tensor, scale: float, size: int = 1000) -> float:
    """Share of the images x uint8 [n, height, width] that are taken for their class, y int64 [n].

    Raises InputError for other types, shapes and classes, and no image."""
    _check_images(x, y, x, y)
    training = network.training
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(images(part, scale)) for part in x.split(size)])
    network.train(training)
    _check_classes(logits.shape[1], y, y)
    return float((logits.argmax(1) == y).sum().item() / len(x))


class _Run:
    """One network's training: its losses with the penalties of the watched layer, and the rows that they become."""

    def __init__(self, network: Any, layer: str, prepared: Any, form: str, factors: Any, sample: Tensor) -> None:
        self.network, self.layer, self.prepared, self.form = network, layer, prepared, form
        self.factors, self.sample = factors, sample
        self.z: Tensor | None = None
        self.sums: dict[str, float] = {}
        self.count = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the context, every forward pass leaves the layer's activations. Raises as `capture.activations`."""
        self.network.eval()
        units = activations(self.network, self.sample, [self.layer])[self.layer].shape[1]
        if "#" in self.layer:
            raise InputError(
                f"training: the layer {self.layer!r} names one of several runs, it takes one that runs once"
            )
        handle = self.network.get_submodule(self.layer).register_forward_hook(self._keep)
        try:
            with torch.no_grad():
                self.network(self.sample)
            self._check_nodes(units)
            self.network.train()
            yield
        finally:
            handle.remove()

    def _check_nodes(self, units: int) -> None:
        """The graph's nodes are the layer's units, or the channels of a convolution."""
        assert self.z is not None
        channels = self.z.shape[1] if self.z.ndim == 4 else None
        if self.prepared is not None and self.prepared.nodes not in (units, channels):
            of = "" if channels is None else f" in {channels} channels"
            raise InputError(
                f"training: the layer {self.layer!r} has {units} units{of} and the graph {self.prepared.nodes} nodes, "
                f"it takes one a unit{'' if channels is None else ', or one a channel'}"
            )

    def _keep(self, module: nn.Module, arguments: Any, z: Tensor) -> None:
        # What runs next may write over z.
        self.z = z.clone()

    def measure(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, taken = self.network.loss(x, y)
        assert self.z is not None  # the layer was found in a trial pass
        z = self.z.flatten(1)
        metrics = {"accuracy": (taken == y).float().mean()}
        if self.prepared is not None:
            nodes = self._nodes()
            if weight := self.factors.get("gsr"):
                weighted = penalty(nodes, self.prepared, self.form, weight)
                loss, metrics["gsr"] = loss + weighted, weighted.detach() / weight
            else:
                metrics["gsr"] = penalty(nodes.detach(), self.prepared, self.form)
        for name in ("l1", "l2"):
            if weight := self.factors.get(name):
                metrics[name] = (z.abs() if name == "l1" else z**2).sum(1).mean()
                loss = loss + weight * metrics[name]
        return loss, {"loss": loss, **metrics}

    def _nodes(self) -> Tensor:
        """The activations, of the graph's nodes along their second axis."""
        assert self.z is not None
        units = self.z.flatten(1)
        return units if units.shape[1] == self.prepared.nodes else self.z

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item()
        self.count += 1

    def report(self, seed: int, iteration: int) -> list[dict[str, Any]]:
        row = {"seed": seed, "iteration": iteration, "split": "train"}
        found = [{**row, "metric": name, "value": value / self.count} for name, value in self.sums.items()]
        if self.prepared is not None:
            z = self._nodes().detach()
            quotient = penalty(z - z.mean(1, keepdim=True), self.prepared, "rayleigh")
            found.append({**row, "metric": "rayleigh", "value": quotient.item()})
        self.sums, self.count = {}, 0
        return found


def _squash(capsules: Tensor) -> Tensor:
    """Capsules shortened to lengths below 1: |s|^2 / (1 + |s|^2) s / |s|."""
    squares = (capsules**2).sum(-1, keepdim=True)
    # The root of 0 has no gradient.
    return capsules * torch.sqrt(squares + 1e-9) / (1 + squares)


def images(x: Tensor, scale: float) -> Tensor:
    """Images [n, 1, height, width] in [0, 1], channels last, as convolutions run fastest, of x [n, height, width].

    Raises InputError for another shape, and a scale that is not above 0."""
    if not isinstance(x, Tensor) or x.ndim != 3 or not 0 < scale < math.inf:
        got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"images are {got} over {scale}, and take a tensor [n, height, width] over a number above 0")
    if x.dtype != torch.uint8:
        x = tensor_checks.numbers("images", x)
    return (x / scale).unsqueeze(1).to(memory_format=torch.channels_last)
