"""Training of all seeds of a block in one batched pass."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interneuron.errors import InputError
from interneuron.nets import ConditionalVAE, build, initialise
from interneuron.registry import Registry
from interneuron.seeds import torch_generator

Losses = tuple[Tensor, dict[str, Tensor]]


def train(
    architecture: str,
    arguments: Mapping[str, Any],
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    *,
    loss: str,
    iterations: int,
    learning_rate: float,
    loss_arguments: Mapping[str, float] | None = None,
    optimiser: str = "adam",
    schedule: str = "constant",
    batch: int = 64,
    shift: int = 0,
    scale: float = 255.0,
    report_every: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Networks of one architecture, one a seed, trained side by side.

    Every seed has its own initialisation (Kaiming normal weights, zero biases), its own order of the samples (each
    epoch a new shuffle, without replacement, an incomplete last batch dropped) and its own noise, all from generators
    derived from the seed's number alone: company in the block changes a seed's numbers by rounding at most.

    Losses:
      `conditional-beta-vae`: reconstruction_weight (reconstruction + beta KL) + class_weight CE, where reconstruction
        is the binary cross-entropy of the pixels given z ~ q(z | x, c), summed over the pixels, KL that of q(z | x, c)
        from N(0, I), and CE the cross-entropy of the linear classifier on [z, c]; each in nats, averaged over the
        batch. Chattopadhyay et al. 2019, code (solver_mod.py); Hui 2022, equation 2.
      `cross-entropy`: that of the logits.

    Args:
        architecture, arguments: of `interneuron.nets.build`.
        x, y: training images, uint8 [n, height, width], and classes, int64 [n]. x / scale lies in [0, 1].
        x_test, y_test: the same of the test split.
        seeds: numbers of the seeds.
        loss: `conditional-beta-vae` or `cross-entropy`.
        loss_arguments: `beta`, `reconstruction_weight` and `class_weight` (10, 10 and 1 by default).
        optimiser: `adam` (betas 0.9 and 0.999).
        schedule: of the learning rate; `constant`, or `cosine`: learning_rate (1 + cos(pi i / iterations)) / 2 in
            iteration i.
        batch: samples a seed and iteration.
        shift: each training image is moved by up to so many pixels in both directions, at random (0: not at all).
        report_every: iterations that one row of training means covers.
        progress: called with (iterations done, iterations).

    Returns: the parameters, float32 [seeds, ...] by name, and the rows of training.parquet (`seed`, `iteration`,
        `split`, `metric`, `value`): means over every `report_every` iterations, then the test split's.

    Raises: InputError for data or settings that do not fit, and, naming the iteration and the seeds, when the loss is
        no longer finite.
    """
    loss_arguments = dict(loss_arguments or {})
    _check(x, y, x_test, y_test, seeds, iterations, learning_rate, batch, shift, scale, report_every)
    _check_name("optimiser", optimiser, ("adam",))
    _check_name("schedule", schedule, ("constant", "cosine"))
    needed, measure = _LOSSES[loss]
    if architecture != needed:
        raise InputError(f"loss {loss} is for the architecture {needed}, got {architecture}")
    seeds = [int(seed) for seed in seeds]

    _keep_freed_memory()
    network = _stacked(architecture, arguments, seeds)
    _check_classes(_classes(network), y, y_test)
    steps = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    # Stacked linear layers overwrite their gradients; those of the others would add up.
    added = [parameter for parameter in network.parameters() if parameter.grad is None]
    sampler = _Sampler(network, x, y, seeds, batch, shift, scale)
    means = _Means(seeds)
    for i in range(iterations):
        if schedule == "cosine":
            steps.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * i / iterations)) / 2
        total, metrics = measure(network, *sampler.draw(), **loss_arguments)
        everything = total.sum()
        if not math.isfinite(everything.item()):
            raise InputError(_not_finite(total, seeds, f"in iteration {i + 1:,}", learning_rate))
        for parameter in added:
            parameter.grad = None
        everything.backward()
        steps.step()
        means.add({"loss": total, **metrics}, 1)
        if (i + 1) % report_every == 0 or i + 1 == iterations:
            means.report(i + 1, "train")
        if progress is not None:
            progress(i + 1, iterations)

    for values, size in _test(network, measure, x_test, y_test, seeds, scale, loss_arguments):
        if not values["loss"].isfinite().all():
            raise InputError(_not_finite(values["loss"], seeds, "on the test split", learning_rate))
        means.add(values, size)
    means.report(iterations, "test")
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}, means.rows


# Weights' initialisations; biases begin at 0.
_INITIALISATIONS: Registry[Callable[..., Tensor]] = Registry(
    "initialisation", {"glorot-uniform": nn.init.xavier_uniform_, "kaiming-normal": nn.init.kaiming_normal_}
)


def train_perceptrons(
    arguments: Mapping[str, Any],
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    *,
    epochs: int,
    learning_rate: float,
    batch: int = 32,
    activity: float = 0.0,
    kernel: float = 0.0,
    initialisation: str = "glorot-uniform",
    epsilon: float = 1e-7,
    scale: float = 1.0,
    report_every: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Multilayer perceptrons, one a seed, trained side by side, in the way of Keras.

        loss = cross-entropy + activity mean_n sum_j |a_nj| + kernel sum_ij W_ij^2

    with the binary cross-entropy of one logit where there are two classes, a [n, units] the activations of the first
    hidden layer (after its ReLU) and W its weights; cross-entropy and activations are averaged over the batch. Adam
    with betas 0.9 and 0.999. Every seed has its own initialisation (random weights, zero biases) and its own order of
    the samples (each epoch a new shuffle; its last batch may be smaller), both from generators derived from the seed's
    number alone: company in the block changes a seed's numbers by rounding at most.

    Args:
        arguments: of `interneuron.nets.MLP`.
        x, y: training samples, a table, float32 [n, features], or images, uint8 [n, height, width]; classes, int64 [n].
            The networks see x / scale, flat.
        x_test, y_test: the same of the test split.
        seeds: numbers of the seeds.
        epochs: passes over all training samples.
        batch: samples a seed and iteration.
        activity, kernel: weights of the penalties.
        initialisation: `glorot-uniform`, Keras's default (uniform within sqrt(6 / (inputs + outputs)); Glorot and
            Bengio 2010, equation 16), or `kaiming-normal` (standard deviation sqrt(2 / inputs); He et al. 2015).
        epsilon: what Adam adds to the root of the second moment, after the correction of its bias.
        report_every: iterations that one row of training means covers.
        progress: called with (iterations done, iterations).

    Returns: the parameters, float32 [seeds, ...] by name, and the rows of training.parquet, as `train`. `activity` is
        the mean over the batch of the first hidden layer's summed activations.

    Raises: InputError for data or settings that do not fit, and, naming the iteration and the seeds, when the loss is
        no longer finite.

    Source: Picchiotti and Gori 2021, section 4, and their code.
    """
    seeds = [int(seed) for seed in seeds]
    _check_samples(x, y, x_test, y_test, seeds)
    counts = {"epochs": epochs, "batch": batch, "report_every": report_every}
    positive = {"learning_rate": learning_rate, "scale": scale, "epsilon": epsilon}
    _check_numbers(counts, positive, {"activity": activity, "kernel": kernel})
    draw = _INITIALISATIONS[initialisation]
    networks = [build("mlp", arguments) for _ in seeds]
    _check_classes(_classes(networks[0]), y, y_test)
    for seed, network in zip(seeds, networks, strict=True):
        generator = torch_generator(seed, "initialisation")
        for name, parameter in network.named_parameters():
            with torch.no_grad():
                parameter.zero_() if name.endswith("bias") else draw(parameter, generator=generator)
    stacked = {
        name: nn.Parameter(torch.stack([network.get_parameter(name).detach() for network in networks]))
        for name, _ in networks[0].named_parameters()
    }
    parameters = list(stacked.values())
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    if layers[0][0].shape[2] != x[0].numel():
        raise InputError(f"training: samples have {x[0].numel()} numbers, the network takes {layers[0][0].shape[2]}")

    measure = partial(_penalised, layers, scale=scale, activity=activity, kernel=kernel)
    steps = torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon, fused=True)
    orders = [torch_generator(seed, "order") for seed in seeds]
    means = _Means(seeds)
    batches = -(-len(x) // batch)
    for i in range(epochs * batches):
        at = i % batches
        if at == 0:
            order = torch.stack([torch.randperm(len(x), generator=generator) for generator in orders])
        rows = order[:, at * batch : (at + 1) * batch]
        total, metrics = measure(*(of.index_select(0, rows.flatten()).unflatten(0, rows.shape) for of in (x, y)))
        everything = total.sum()
        if not math.isfinite(everything.item()):
            raise InputError(_not_finite(total, seeds, f"in iteration {i + 1:,}", learning_rate))
        steps.zero_grad()
        everything.backward()
        steps.step()
        means.add({"loss": total, **metrics}, 1)
        if (i + 1) % report_every == 0 or i + 1 == epochs * batches:
            means.report(i + 1, "train")
        if progress is not None:
            progress(i + 1, epochs * batches)

    with torch.no_grad():
        for start in range(0, len(x_test), 1000):
            part = [of[start : start + 1000].expand(len(seeds), -1, *of.shape[1:]) for of in (x_test, y_test)]
            total, metrics = measure(*part)
            if not total.isfinite().all():
                raise InputError(_not_finite(total, seeds, "on the test split", learning_rate))
            means.add({"loss": total, **metrics}, part[0].shape[1])
    means.report(epochs * batches, "test")
    return {name: parameter.detach().clone() for name, parameter in stacked.items()}, means.rows


def _penalised(
    layers: Sequence[tuple[Tensor, Tensor]],
    samples: Tensor,
    classes: Tensor,
    scale: float,
    activity: float,
    kernel: float,
) -> Losses:
    """Loss and metrics, each [seeds], of samples [seeds, n, ...] and classes [seeds, n]."""
    values = samples.flatten(2).to(torch.float32)
    if scale != 1:
        values = values / scale
    # [seeds, units, n]: small products are quickest with the samples last.
    outputs = [values.transpose(1, 2)]
    for number, (weight, bias) in enumerate(layers):
        inputs = outputs[-1].relu() if number else outputs[-1]
        outputs.append(torch.baddbmm(bias.unsqueeze(2), weight, inputs))
    logits = outputs[-1]
    if logits.shape[1] == 1:
        logits, truth = logits[:, 0], classes.to(torch.float32)
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        right = (logits > 0) == (classes > 0)
    else:
        each = functional.cross_entropy(logits, classes, reduction="none")
        right = logits.argmax(1) == classes
    loss = each.mean(1)
    metrics = {"cross_entropy": loss, "accuracy": right.float().mean(1)}
    if activity:
        metrics["activity"] = outputs[1].relu().sum(1).mean(1)
        loss = loss + activity * metrics["activity"]
    if kernel:
        loss = loss + kernel * layers[0][0].square().sum((1, 2))
    return loss, metrics


def train_classifiers(
    architecture: str,
    arguments: Mapping[str, Any],
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    *,
    epochs: int,
    learning_rate: float,
    momentum: float = 0.9,
    halvings: float = 0.0,
    batch: int = 128,
    initialisation: str = "glorot-uniform",
    scale: float = 255.0,
    report_every: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Convolutional classifiers, one a seed, trained one after another by gradient descent with momentum.

    The loss is the cross-entropy; in epoch e the learning rate is learning_rate 2^(-halvings e / epochs). Every seed
    has its own initialisation, order of the samples (each epoch a new shuffle; its last batch may be smaller) and
    dropout, from generators derived from the seed's number alone, and its numbers do not depend on other seeds.

    Args:
        architecture, arguments: of `interneuron.nets.build`, a network that takes dropout's noise: `strided`.
        x, y: training images, uint8 [n, height, width], and classes, int64 [n]. x / scale lies in [0, 1].
        x_test, y_test: the same of the test split.
        seeds: numbers of the seeds.
        epochs: passes over all training samples.
        momentum: share of the last step that is taken again; at least 0 and below 1.
        halvings: how often the learning rate is halved in all.
        batch: samples in an iteration.
        initialisation: of the weights, as in `train_perceptrons`; biases begin at 0.
        report_every: iterations that one row of training means covers.
        progress: called with (iterations done, iterations) of all seeds.

    Returns: the parameters, float32 [seeds, ...] by name, and the rows of training.parquet, as `train`.

    Raises: InputError for data or settings that do not fit, and, naming the iteration and the seed, when the loss is no
        longer finite.

    Source: Carlini and Wagner 2017, code (setup_mnist.py).
    """
    seeds = [int(seed) for seed in seeds]
    _check_samples(x, y, x_test, y_test, seeds)
    counts = {"epochs": epochs, "batch": batch, "report_every": report_every}
    _check_numbers(counts, {"learning_rate": learning_rate, "scale": scale}, {"halvings": halvings})
    if not 0 <= momentum < 1:
        raise InputError(f"training: momentum is {momentum}, it takes a share of at least 0 and below 1")
    draw = _INITIALISATIONS[initialisation]
    batches = -(-len(x) // batch)
    weights: list[dict[str, Tensor]] = []
    rows: list[dict[str, Any]] = []
    for number, seed in enumerate(seeds):
        network: Any = build(architecture, arguments)
        _check_classes(_classes(network), y, y_test)
        generator = torch_generator(seed, "initialisation")
        for name, parameter in network.named_parameters():
            with torch.no_grad():
                parameter.zero_() if name.endswith("bias") else draw(parameter, generator=generator)
        # Kernels with their channels last are convolved faster.
        network.to(memory_format=torch.channels_last)
        steps = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum)
        order, noise = torch_generator(seed, "order"), torch_generator(seed, "noise")
        means = _Means([seed])
        for i in range(epochs * batches):
            epoch, at = divmod(i, batches)
            if at == 0:
                shuffled = torch.randperm(len(x), generator=order)
                steps.param_groups[0]["lr"] = learning_rate * 2 ** (-halvings * epoch / epochs)
            part = shuffled[at * batch : (at + 1) * batch]
            silence = torch.randn(len(part), network.hidden, generator=noise)
            loss, metrics = _classified(network(x[part].unsqueeze(1) / scale, silence), y[part])
            if not math.isfinite(loss.item()):
                raise InputError(_not_finite(loss[None], [seed], f"in iteration {i + 1:,}", learning_rate))
            steps.zero_grad()
            loss.backward()
            steps.step()
            means.add({name: value[None] for name, value in {"loss": loss, **metrics}.items()}, len(part))
            if (i + 1) % report_every == 0 or i + 1 == epochs * batches:
                means.report(i + 1, "train")
            if progress is not None:
                progress(number * epochs * batches + i + 1, len(seeds) * epochs * batches)
        with torch.no_grad():
            for start in range(0, len(x_test), 1000):
                images, classes = x_test[start : start + 1000], y_test[start : start + 1000]
                loss, metrics = _classified(network(images.unsqueeze(1) / scale), classes)
                if not math.isfinite(loss.item()):
                    raise InputError(_not_finite(loss[None], [seed], "on the test split", learning_rate))
                means.add({name: value[None] for name, value in {"loss": loss, **metrics}.items()}, len(images))
        means.report(epochs * batches, "test")
        rows += means.rows
        weights.append({name: parameter.detach().contiguous() for name, parameter in network.named_parameters()})
    return {name: torch.stack([own[name] for own in weights]) for name in weights[0]}, rows


def _classified(logits: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    loss = functional.cross_entropy(logits, classes)
    return loss, {"cross_entropy": loss.detach(), "accuracy": (logits.argmax(1) == classes).float().mean()}


def _conditional_beta_vae(
    network: Any,
    x: Tensor,
    onehot: Tensor,
    noise: Tensor,
    beta: float = 10.0,
    reconstruction_weight: float = 10.0,
    class_weight: float = 1.0,
) -> Losses:
    mean, log_variance = network.encode(x, onehot)
    z = mean + torch.exp(log_variance / 2) * noise
    logits = network.decode(z, onehot)
    pixels = functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    reconstruction = pixels.sum((-2, -1)) / x.shape[-2]
    by_latent = (mean**2 + log_variance.exp() - 1 - log_variance).mean(-2) / 2
    kl = by_latent.sum(-1)
    cross_entropy = _cross_entropy(network.classify(z, onehot), onehot)
    loss = reconstruction_weight * (reconstruction + beta * kl) + class_weight * cross_entropy
    return loss, {"reconstruction": reconstruction, "kl": kl, "kl:": by_latent, "cross_entropy": cross_entropy}


def _classification(network: Any, x: Tensor, onehot: Tensor, noise: Tensor) -> Losses:
    logits = network(x)
    loss = _cross_entropy(logits, onehot)
    accuracy = (logits.argmax(-1) == onehot.argmax(-1)).float().mean(-1)
    return loss, {"cross_entropy": loss, "accuracy": accuracy}


def _cross_entropy(logits: Tensor, onehot: Tensor) -> Tensor:
    return -(functional.log_softmax(logits, -1) * onehot).sum(-1).mean(-1)


_LOSSES: Registry[tuple[str, Callable[..., Losses]]] = Registry(
    "loss",
    {"conditional-beta-vae": ("conditional-vae", _conditional_beta_vae), "cross-entropy": ("judge", _classification)},
)


class _StackedProduct(torch.autograd.Function):
    """x W^T + b for every seed; the parameters' gradients are written where they are kept, not added to new memory.

    So a layer may run only once an iteration.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, weight_gradient: Tensor, bias_gradient: Tensor
    ) -> Tensor:
        context.save_for_backward(x, weight)
        context.gradients = weight_gradient, bias_gradient
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        x, weight = context.saved_tensors
        weight_gradient, bias_gradient = context.gradients
        torch.bmm(gradient.transpose(1, 2), x, out=weight_gradient)
        torch.sum(gradient, 1, out=bias_gradient)
        return torch.bmm(gradient, weight) if context.needs_input_grad[0] else None, None, None, None, None


class _StackedLinear(nn.Module):
    """Linear layers of all seeds: [seeds, batch, inputs] -> [seeds, batch, outputs]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
        self.weight.grad, self.bias.grad = torch.zeros_like(self.weight), torch.zeros_like(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return _StackedProduct.apply(x, self.weight, self.bias, self.weight.grad, self.bias.grad)


class _StackedConv2d(nn.Module):
    """Convolutions of all seeds as one grouped convolution, [seeds, batch, channels, height, width]."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers if layer.bias is not None]))
        self.stride, self.padding = layers[0].stride, layers[0].padding

    def forward(self, x: Tensor) -> Tensor:
        seeds = len(x)
        y = functional.conv2d(
            x.transpose(0, 1).flatten(1, 2),
            self.weight.flatten(0, 1),
            self.bias.flatten(),
            self.stride,
            self.padding,
            groups=seeds,
        )
        return y.unflatten(1, (seeds, -1)).transpose(0, 1)


def _stacked(architecture: str, arguments: Mapping[str, Any], seeds: Sequence[int]) -> nn.Module:
    """The architecture, each layer with parameters replaced by that layer of all seeds, under the same name."""
    networks = [build(architecture, arguments) for _ in seeds]
    for seed, network in zip(seeds, networks, strict=True):
        initialise(network, torch_generator(seed, "initialisation"))
    stacks = {nn.Linear: _StackedLinear, nn.Conv2d: _StackedConv2d}
    for name, layer in list(networks[0].named_modules()):
        if type(layer) in stacks:
            networks[0].set_submodule(name, stacks[type(layer)]([network.get_submodule(name) for network in networks]))
    return networks[0]


class _Sampler:
    """Batches of all seeds: images [seeds, batch, pixels], one-hot classes, and noise for the latents."""

    _NOISE = 64  # iterations whose noise is drawn at once

    def __init__(
        self, network: nn.Module, x: Tensor, y: Tensor, seeds: Sequence[int], batch: int, shift: int, scale: float
    ) -> None:
        self.seeds, self.batch, self.shift, self.scale = seeds, batch, shift, scale
        self.orders = [torch_generator(seed, "order") for seed in seeds]
        self.noises = [torch_generator(seed, "noise") for seed in seeds]
        self.shifts = [torch_generator(seed, "shift") for seed in seeds]
        self.onehot = functional.one_hot(y, _classes(network)).float()
        self.x = x
        if shift:
            # Every shift of every image, as a view of the padded images: [n, 2 shift + 1, 2 shift + 1, height, width].
            self.x = functional.pad(x, [shift] * 4).unfold(1, x.shape[1], 1).unfold(2, x.shape[2], 1)
        self.latents = network.latents if isinstance(network, ConditionalVAE) else 0
        self.noise = torch.empty(len(seeds), self._NOISE, batch, self.latents)
        self.batches = len(x) // batch
        self.drawn = 0

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        epoch, noise = self.drawn % self.batches, self.drawn % self._NOISE
        if epoch == 0:
            self.order = torch.stack([torch.randperm(len(self.x), generator=order) for order in self.orders])
        if noise == 0 and self.latents:
            for row, generator in zip(self.noise, self.noises, strict=True):
                row.normal_(generator=generator)
        self.drawn += 1
        rows = self.order[:, epoch * self.batch : (epoch + 1) * self.batch].flatten()
        if self.shift:
            moves = [torch.randint(2 * self.shift + 1, (2, self.batch), generator=shift) for shift in self.shifts]
            down, right = torch.cat(moves, 1)
            images = self.x[rows, down, right]
        else:
            images = self.x[rows]
        shape = (len(self.seeds), self.batch, -1)
        return images.reshape(shape) / self.scale, self.onehot[rows].reshape(shape), self.noise[:, noise]


class _Means:
    """Means of the metrics of every seed, and the rows that they become."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds, self.rows = seeds, list[dict[str, Any]]()
        self.values: dict[str, list[Tensor]] = {}
        self.weights: list[int] = []

    def add(self, metrics: Mapping[str, Tensor], weight: int) -> None:
        """Metrics are [seeds]; one whose name ends in a colon is [seeds, numbers] and becomes one metric a number."""
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value.detach())
        self.weights.append(weight)

    def report(self, iteration: int, split: str) -> None:
        weights = torch.tensor(self.weights, dtype=torch.float64)
        columns: dict[str, Tensor] = {}
        for name, values in self.values.items():
            mean = torch.tensordot(weights / weights.sum(), torch.stack(values).double(), 1)
            columns |= {name: mean} if mean.ndim == 1 else {f"{name}{j}": column for j, column in enumerate(mean.T)}
        for s, seed in enumerate(self.seeds):
            for metric, mean in columns.items():
                row = {"seed": seed, "iteration": iteration, "split": split, "metric": metric}
                self.rows.append({**row, "value": mean[s].item()})
        self.values, self.weights = {}, []


@torch.no_grad()
def _test(
    network: nn.Module,
    measure: Callable[..., Losses],
    x: Tensor,
    y: Tensor,
    seeds: Sequence[int],
    scale: float,
    loss_arguments: Mapping[str, float],
    size: int = 1000,
) -> Any:
    """Metrics of the test split in pieces, with the number of samples in each."""
    latents = network.latents if isinstance(network, ConditionalVAE) else 0
    noises = [torch_generator(seed, "test-noise") for seed in seeds]
    for start in range(0, len(x), size):
        images = x[start : start + size].flatten(1) / scale
        onehot = functional.one_hot(y[start : start + size], _classes(network)).float()
        noise = torch.stack([torch.randn(len(images), latents, generator=generator) for generator in noises])
        every = (len(seeds), -1, -1)
        total, metrics = measure(network, images.expand(every), onehot.expand(every), noise, **loss_arguments)
        yield {"loss": total, **metrics}, len(images)


def _classes(network: Any) -> int:
    return network.classes


def _keep_freed_memory() -> None:
    """Make freed gradients and activations stay with the process.

    glibc gives large freed blocks back to the kernel, which has to clear them when they are next asked for: a quarter
    of an iteration's time. It stops doing so up to the size of the largest block that was ever freed.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def _not_finite(losses: Tensor, seeds: Sequence[int], where: str, learning_rate: float) -> str:
    bad = [str(seed) for seed, value in zip(seeds, losses.tolist(), strict=True) if not math.isfinite(value)]
    return (
        f"training: the loss is no longer finite {where} (seed {', '.join(bad)}); it takes a learning rate "
        f"smaller than {learning_rate:g}"
    )


def _check(
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    iterations: int,
    learning_rate: float,
    batch: int,
    shift: int,
    scale: float,
    report_every: int,
) -> None:
    _check_images(x, y, x_test, y_test)
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"training: seeds are {list(seeds)}, it takes at least one, each once")
    for name, number in (("iterations", iterations), ("batch", batch), ("report_every", report_every)):
        if number < 1:
            raise InputError(f"training: {name} is {number}, it takes at least 1")
    if not 0 <= shift < min(x.shape[1:]):
        raise InputError(f"training: shift is {shift}, it takes 0 to {min(x.shape[1:]) - 1} pixels")
    for name, value in (("learning_rate", learning_rate), ("scale", scale)):
        if not 0 < value < math.inf:
            raise InputError(f"training: {name} is {value}, it takes a positive number")
    if batch > len(x):
        raise InputError(f"training: batch is {batch}, it takes at most the {len(x)} training images")


def _check_images(x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor) -> None:
    _check_tensors(x, y, x_test, y_test)
    for split, images, classes in (("train", x, y), ("test", x_test, y_test)):
        if images.ndim != 3 or images.dtype != torch.uint8:
            raise InputError(
                f"training: {split} images are {images.dtype} of shape {tuple(images.shape)}, it takes uint8 "
                "[samples, height, width]"
            )
        if classes.shape != images.shape[:1] or classes.dtype != torch.int64:
            raise InputError(
                f"training: {split} classes are {classes.dtype} of shape {tuple(classes.shape)}, it takes int64 "
                f"[{len(images)}], one an image"
            )
        if not len(images):
            raise InputError(f"training: the {split} split is empty, it takes at least one image")
    if x.shape[1:] != x_test.shape[1:]:
        sizes = [f"{height} x {width}" for height, width in (x.shape[1:], x_test.shape[1:])]
        raise InputError(f"training: images of {' and of '.join(sizes)} pixels, it takes one size in both splits")


def _check_tensors(*data: Any) -> None:
    for values in data:
        if not isinstance(values, Tensor):
            raise InputError(f"training: samples or classes are a {type(values).__name__}, it takes torch tensors")


def _check_samples(x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, seeds: Sequence[int]) -> None:
    _check_tensors(x, y, x_test, y_test)
    for split, samples, classes in (("train", x, y), ("test", x_test, y_test)):
        if (samples.ndim, samples.dtype) not in ((2, torch.float32), (3, torch.uint8)) or not samples.numel():
            raise InputError(
                f"training: {split} samples are {samples.dtype} of shape {tuple(samples.shape)}, it takes float32 "
                "[samples, features] or uint8 [samples, height, width], at least one"
            )
        if not samples.isfinite().all():
            raise InputError(f"training: {split} samples hold NaN or infinite numbers, it takes finite ones")
        if classes.shape != samples.shape[:1] or classes.dtype != torch.int64:
            raise InputError(
                f"training: {split} classes are {classes.dtype} of shape {tuple(classes.shape)}, it takes int64 "
                f"[{len(samples)}], one a sample"
            )
    if x.shape[1:] != x_test.shape[1:]:
        raise InputError(f"training: test samples have shape {tuple(x_test.shape[1:])}, it takes {tuple(x.shape[1:])}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"training: seeds are {list(seeds)}, it takes at least one, each once")


def _check_numbers(counts: Mapping[str, int], positive: Mapping[str, float], not_negative: Mapping[str, float]) -> None:
    for name, number in counts.items():
        if number < 1:
            raise InputError(f"training: {name} is {number}, it takes at least 1")
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise InputError(f"training: {name} is {value}, it takes a positive number")
    for name, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise InputError(f"training: {name} is {value}, it takes a number of at least 0")


def _check_classes(classes: int, y: Tensor, y_test: Tensor) -> None:
    for split, numbers in (("train", y), ("test", y_test)):
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high >= classes:
            raise InputError(f"training: {split} classes go from {low} to {high}, it takes 0 to {classes - 1}")


def _check_name(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"training: no {what} {name!r}; there are {', '.join(known)}")
