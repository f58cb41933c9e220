"""Training of all seeds of a block in one batched pass."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interneuron.errors import InputError
from interneuron.nets import MLP, ConditionalVAE, build, initialise
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
    initialisation: str = "kaiming-normal",
    optimiser: str = "adam",
    epsilon: float = 1e-8,
    schedule: str = "constant",
    batch: int = 64,
    drop_last: bool = True,
    shift: int = 0,
    scale: float = 255.0,
    report_every: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Networks of one architecture, one a seed, trained side by side.

    Every seed has its own initialisation (random weights, zero biases), its own order of the samples (each epoch a new
    shuffle, without replacement) and its own noise, all from generators derived from the seed's number alone: company
    in the block changes a seed's numbers by rounding at most.

    Losses:
      `conditional-beta-vae`: reconstruction_weight (reconstruction + beta KL) + class_weight CE, where reconstruction
        is the binary cross-entropy of the pixels given z ~ q(z | x, c), summed over the pixels, KL that of q(z | x, c)
        from N(0, I), and CE the cross-entropy of the linear classifier on [z, c]; each in nats, averaged over the
        batch. Chattopadhyay et al. 2019, code (solver_mod.py); Hui 2022, equation 2.
      `cross-entropy`: that of the logits.
      `penalised-cross-entropy`: cross-entropy (binary with two classes) + activity sum_j |a_j| + kernel sum W^2, where
        a are the activations of the first hidden layer and W its weights; the first two averaged over the batch, as
        Keras does. Picchiotti and Gori 2021, section 4, and their code.

    Args:
        architecture, arguments: of `interneuron.nets.build`.
        x, y: training images, uint8 [n, height, width], or a table, float32 [n, features]; classes, int64 [n]. The
            network sees x / scale, which lies in [0, 1] for images.
        x_test, y_test: the same of the test split.
        seeds: numbers of the seeds.
        loss: `conditional-beta-vae`, `cross-entropy` or `penalised-cross-entropy`.
        iterations: batches in all, a seed.
        loss_arguments: `beta`, `reconstruction_weight` and `class_weight` (10, 10 and 1 by default); `activity` and
            `kernel` (0).
        initialisation: of the weights, a scheme of `interneuron.nets.initialise`.
        optimiser: `adam` (betas 0.9 and 0.999).
        epsilon: what Adam adds to the root of the second moment.
        schedule: of the learning rate; `constant`, or `cosine`: learning_rate (1 + cos(pi i / iterations)) / 2 in
            iteration i.
        batch: samples a seed and iteration.
        drop_last: whether an epoch's incomplete last batch is dropped.
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
    network = _stacked(architecture, arguments, seeds, initialisation)
    _check_classes(_classes(network), y, y_test)
    steps = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=epsilon, fused=True)
    # Stacked linear layers overwrite their gradients; those of the others would add up.
    added = [parameter for parameter in network.parameters() if parameter.grad is None]
    sampler = _Sampler(network, x, y, seeds, batch, drop_last, shift, scale)
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


def _penalised(
    network: Any, x: Tensor, onehot: Tensor, noise: Tensor, activity: float = 0.0, kernel: float = 0.0
) -> Losses:
    first, relu, *rest = network
    hidden = logits = relu(first(x))
    for layer in rest:
        logits = layer(logits)
    if logits.shape[-1] == 1:
        logits, truth = logits[..., 0], onehot[..., 1]
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(-1)
        right = (logits > 0) == (truth > 0)
    else:
        cross_entropy = _cross_entropy(logits, onehot)
        right = logits.argmax(-1) == onehot.argmax(-1)
    loss, metrics = cross_entropy, {"cross_entropy": cross_entropy, "accuracy": right.float().mean(-1)}
    if activity:
        metrics["activity"] = hidden.sum(-1).mean(-1)  # after a ReLU nothing is below 0
        loss = loss + activity * metrics["activity"]
    if kernel:
        loss = loss + kernel * first.weight.square().sum((-2, -1))
    return loss, metrics


def _cross_entropy(logits: Tensor, onehot: Tensor) -> Tensor:
    return -(functional.log_softmax(logits, -1) * onehot).sum(-1).mean(-1)


_LOSSES: Registry[tuple[str, Callable[..., Losses]]] = Registry(
    "loss",
    {
        "conditional-beta-vae": ("conditional-vae", _conditional_beta_vae),
        "cross-entropy": ("judge", _classification),
        "penalised-cross-entropy": ("mlp", _penalised),
    },
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


class _SmallStackedLinear(nn.Module):
    """The same with autograd's own gradients: quicker where layers are small, and a weight may be penalised too."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, x.transpose(1, 2)).transpose(1, 2)


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


def _stacked(architecture: str, arguments: Mapping[str, Any], seeds: Sequence[int], initialisation: str) -> nn.Module:
    """The architecture, each layer with parameters replaced by that layer of all seeds, under the same name."""
    networks = [build(architecture, arguments) for _ in seeds]
    for seed, network in zip(seeds, networks, strict=True):
        initialise(network, torch_generator(seed, "initialisation"), initialisation)
    stacks: dict[type[nn.Module], Any] = {nn.Linear: _StackedLinear, nn.Conv2d: _StackedConv2d}
    if isinstance(networks[0], MLP):
        stacks[nn.Linear] = _SmallStackedLinear
    for name, layer in list(networks[0].named_modules()):
        if type(layer) in stacks:
            networks[0].set_submodule(name, stacks[type(layer)]([network.get_submodule(name) for network in networks]))
    return networks[0]


class _Sampler:
    """Batches of all seeds: samples [seeds, batch, inputs], one-hot classes, and noise for the latents."""

    _NOISE = 64  # iterations whose noise is drawn at once

    def __init__(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        seeds: Sequence[int],
        batch: int,
        drop_last: bool,
        shift: int,
        scale: float,
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
        self.batches = len(x) // batch if drop_last else -(-len(x) // batch)
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
            images = self.x.index_select(0, rows)
        shape = (len(self.seeds), len(rows) // len(self.seeds), -1)
        onehot = self.onehot.index_select(0, rows)
        return images.reshape(shape) / self.scale, onehot.reshape(shape), self.noise[:, noise]


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
    for split, images, classes in (("train", x, y), ("test", x_test, y_test)):
        if (images.ndim, images.dtype) not in ((3, torch.uint8), (2, torch.float32)):
            raise InputError(
                f"training: {split} images are {images.dtype} of shape {tuple(images.shape)}, it takes uint8 "
                "[samples, height, width], or a table, float32 [samples, features]"
            )
        if images.is_floating_point() and not images.isfinite().all():
            raise InputError(f"training: the {split} table has values that are not finite, it takes none")
        if classes.shape != images.shape[:1] or classes.dtype != torch.int64:
            raise InputError(
                f"training: {split} classes are {classes.dtype} of shape {tuple(classes.shape)}, it takes int64 "
                f"[{len(images)}], one an image"
            )
        if not len(images):
            raise InputError(f"training: the {split} split is empty, it takes at least one image")
    if x.shape[1:] != x_test.shape[1:]:
        sizes = [" x ".join(map(str, shape)) for shape in (x.shape[1:], x_test.shape[1:])]
        raise InputError(f"training: images of {' and of '.join(sizes)} pixels, it takes one size in both splits")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"training: seeds are {list(seeds)}, it takes at least one, each once")
    for name, number in (("iterations", iterations), ("batch", batch), ("report_every", report_every)):
        if number < 1:
            raise InputError(f"training: {name} is {number}, it takes at least 1")
    if shift < 0 or (shift and x.ndim == 2):
        raise InputError(f"training: shift is {shift}, it takes 0 or more pixels, and 0 of a table")
    for name, value in (("learning_rate", learning_rate), ("scale", scale)):
        if not 0 < value < math.inf:
            raise InputError(f"training: {name} is {value}, it takes a positive number")
    if batch > len(x):
        raise InputError(f"training: batch is {batch}, it takes at most the {len(x)} training images")


def _check_classes(classes: int, y: Tensor, y_test: Tensor) -> None:
    for split, numbers in (("train", y), ("test", y_test)):
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high >= classes:
            raise InputError(f"training: {split} classes go from {low} to {high}, it takes 0 to {classes - 1}")


def _check_name(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"training: no {what} {name!r}; there are {', '.join(known)}")
