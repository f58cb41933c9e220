"""Training of any of the architectures in `interneuron.nets` with a penalty on one of their layers, all seeds at once.

It is `interneuron.training`'s, with a penalty beside the loss: generators, batches, losses and tables are the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interneuron import lattices
from interneuron.errors import InputError
from interneuron.nets import Strided
from interneuron.registry import Registry
from interneuron.regularization import FORMS, operator, penalty
from interneuron.seeds import torch_generator
from interneuron.structured_training import DivergedError, Trained
from interneuron.training import (
    _INITIALISATIONS,
    Losses,
    _check_samples,
    _classes,
    _classification,
    _conditional_beta_vae,
    _keep_freed_memory,
    _Means,
    _not_finite,
    _Sampler,
    _stacked,
    _StackedLinear,
    _test,
)
from interneuron.wavelets import filters, responses

PENALTIES = ("gsr", "l1", "l2", "response")


class LayerPenalty:
    """The penalty of one layer of a network of several seeds, whose activations are [seeds, batch, ...].

    `gsr`: mean over the batch of z' L z (`interneuron.regularization.penalty`), on the layer's units in row-major order
    or, where the graph has as many nodes as a convolution has channels, on these, each position a sample; `response`:
    on the same, of the L1 norm of the responses to filters on the graph (`interneuron.wavelets.response`), whose
    `filter` says `kernel` and `scales` (`interneuron.wavelets.filters`; `laplacian` and `form` are not for it); `l1`,
    `l2`: of sum |z|, sum z^2.

    Raises InputError for a layer that the network lacks, another penalty or form, a negative weight, no graph for
    `gsr` or `response`, a filter for any but `response` or none for it, and as `interneuron.lattices.laplacian` and
    `interneuron.wavelets.filters` do; when it is taken, for a layer that did not run or ran more than once, and for a
    graph of another size.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        kind: str,
        weight: float,
        graph: Any = None,
        laplacian: str = "unnormalised",
        form: str = "quadratic",
        filter: Mapping[str, Any] | None = None,
    ) -> None:
        modules = {name: module for name, module in network.named_modules() if name and not list(module.children())}
        if layer not in modules:
            raise InputError(f"no layer {layer!r} in the network, which has {', '.join(modules)}")
        if kind not in PENALTIES or form not in FORMS or not 0 <= weight < math.inf:
            raise InputError(
                f"layer {layer!r}: the penalty is {kind!r} of form {form!r} and weight {weight}; it takes one of "
                f"{', '.join(PENALTIES)}, one of {', '.join(FORMS)}, and 0 or more"
            )
        if kind in ("gsr", "response") and graph is None:
            raise InputError(f"layer {layer!r}: there is no graph, and the penalty {kind} takes one")
        if (filter is None) == (kind == "response"):
            raise InputError(
                f"layer {layer!r}: the penalty is {kind} and filter is {filter}; `response` takes one, the others none"
            )
        self.layer, self.kind, self.weight, self.form = layer, kind, weight, form
        self.operator = None if graph is None else operator(lattices.laplacian(graph, laplacian))
        self.bank = None if filter is None else torch.from_numpy(filters(graph, **filter)).float()
        self.runs: list[Tensor] = []
        # What runs next may write over z.
        self._handle = modules[layer].register_forward_hook(lambda module, inputs, z: self.runs.append(z.clone()))

    def remove(self) -> None:
        """Leave the network as it was."""
        self._handle.remove()

    def take(self) -> Tensor:
        """The penalty of the activations since it was last taken: [seeds], without its weight."""
        runs, self.runs = self.runs, []
        if len(runs) != 1:
            raise InputError(f"layer {self.layer!r} runs {len(runs)} times an iteration, and a penalty takes one run")
        z = runs[0]
        if self.kind in ("l1", "l2"):
            return (z.abs() if self.kind == "l1" else z**2).flatten(2).sum(-1).mean(-1)
        assert self.operator is not None
        nodes, units = self.operator.nodes, z[0, 0].numel()
        if nodes == units:
            z = z.flatten(2)
        elif z.ndim != 5 or z.shape[2] != nodes:
            channels = f" in {z.shape[2]} channels" if z.ndim == 5 else ""
            raise InputError(f"layer {self.layer!r} has {units} units{channels}, and its graph {nodes} nodes")
        if self.bank is not None:
            return responses(z if z.ndim == 3 else z.movedim(2, -1).flatten(1, 3), self.bank)
        return penalty(z, self.operator, self.form)


def train_shaped(
    architecture: str,
    arguments: Mapping[str, Any],
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    seeds: Sequence[int],
    *,
    regularization: Mapping[str, Any],
    iterations: int,
    learning_rate: float,
    loss_arguments: Mapping[str, float] | None = None,
    schedule: str = "constant",
    initialisation: str = "kaiming-normal",
    epsilon: float = 1e-8,
    momentum: float | None = None,
    halvings: float = 0.0,
    batch: int = 64,
    shift: int = 0,
    scale: float = 255.0,
    report_every: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Networks of one architecture, one a seed, trained side by side on the architecture's loss plus a penalty.

    The loss is `interneuron.training.train`'s for `conditional-vae` and `judge`, and the cross-entropy for `mlp` (of
    two classes, the binary one of its logit) and `strided`, whose dropout is that of
    `interneuron.training.train_classifiers`. An incomplete last batch is dropped.

    Args:
        regularization: arguments of `LayerPenalty` but the network; a weight of 0 trains without, on the same path.
        initialisation, epsilon: of weights, and Adam's.
        momentum: of gradient descent, which takes Adam's place where it is given.
        halvings: how often the learning rate is halved in all, a little after each pass over the samples.
        The others: as in `interneuron.training.train`.

    Returns: as `interneuron.training.train`; `penalty` is the penalty without its weight.

    Raises: InputError as `LayerPenalty`, for data that do not fit, and where the test split's loss is not finite.
        DivergedError, naming iteration and seeds, where the training loss is no longer finite; it holds the weights of
        the last report, or the initial ones.
    """
    seeds = [int(seed) for seed in seeds]
    measure = _MEASURES[architecture]
    _check_samples(x, y, x_test, y_test, seeds)
    if not seeds or len(set(seeds)) < len(seeds) or batch < 1 or batch > len(x) or iterations < 1 or report_every < 1:
        raise InputError(
            f"training: seeds {seeds}, {iterations} iterations of {batch} of {len(x)} samples, reports every "
            f"{report_every}: it takes each seed once, 1 or more, and at most a batch of all samples"
        )
    _keep_freed_memory()
    network = _stacked(architecture, arguments, seeds)
    draw = _INITIALISATIONS[initialisation]
    for position, seed in enumerate(seeds):
        generator = torch_generator(seed, "initialisation")
        for name, parameter in network.named_parameters():
            if not name.endswith("bias") and initialisation != "kaiming-normal":
                with torch.no_grad():
                    draw(parameter[position], generator=generator)
    for split, values in (("training", y), ("test", y_test)):
        if int(values.min()) < 0 or int(values.max()) >= _classes(network):
            raise InputError(f"training: a {split} class is outside of 0 to {_classes(network) - 1}")
    added = LayerPenalty(network, **regularization)
    steps: torch.optim.Optimizer
    if momentum is None:
        steps = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=epsilon, fused=True)
    else:
        steps = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum)
    # Stacked linear layers overwrite their gradients; those of the others would add up.
    overwritten = {id(p) for m in network.modules() if isinstance(m, _StackedLinear) for p in m.parameters()}
    others = [parameter for parameter in network.parameters() if id(parameter) not in overwritten]
    sampler = _Sampler(network, x, y, seeds, batch, shift, scale)
    means = _Means(seeds)
    options = dict(loss_arguments or {})
    good, good_at = _copied(network), 0
    for i in range(iterations):
        if schedule == "cosine":
            steps.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * i / iterations)) / 2
        elif halvings and i % sampler.batches == 0:
            steps.param_groups[0]["lr"] = learning_rate * 2 ** (-halvings * i / iterations)
        images, onehot, noise = sampler.draw()
        if isinstance(network, Strided):
            noise = torch.stack([torch.randn(batch, network.hidden, generator=one) for one in sampler.noises])
        total, metrics = measure(network, images, onehot, noise, **options)
        metrics = {**metrics, "penalty": added.take()}
        if added.weight:
            total = total + added.weight * metrics["penalty"]
        everything = total.sum()
        if not math.isfinite(everything.item()):
            sentence = _not_finite(total, seeds, f"in iteration {i + 1:,}", learning_rate)
            raise DivergedError(sentence, Trained(good, means.rows, None, [good_at] * len(seeds)), good_at)
        if i % report_every == 0:
            good, good_at = _copied(network), i
        for parameter in others:
            parameter.grad = None
        everything.backward()
        steps.step()
        means.add({"loss": total, **metrics}, 1)
        if (i + 1) % report_every == 0 or i + 1 == iterations:
            means.report(i + 1, "train")
        if progress is not None:
            progress(i + 1, iterations)
    added.remove()
    for values, size in _test(network, measure, x_test, y_test, seeds, scale, options):
        if not values["loss"].isfinite().all():
            raise InputError(_not_finite(values["loss"], seeds, "on the test split", learning_rate))
        means.add(values, size)
    means.report(iterations, "test")
    return _copied(network), means.rows


def _copied(network: nn.Module) -> dict[str, Tensor]:
    """The parameters as they are."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def _dropping(network: Any, x: Tensor, onehot: Tensor, noise: Tensor) -> Losses:
    """The test split's noise is empty, and nothing is dropped."""
    return _classification(lambda x: network(x, noise if noise.numel() else None), x, onehot, noise)


def _perceptron(network: Any, x: Tensor, onehot: Tensor, noise: Tensor) -> Losses:
    logits = network(x)
    if logits.shape[-1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], -1)
    loss = -(functional.log_softmax(logits, -1) * onehot).sum(-1).mean(-1)
    accuracy = (logits.argmax(-1) == onehot.argmax(-1)).float().mean(-1)
    return loss, {"cross_entropy": loss, "accuracy": accuracy}


_MEASURES: Registry[Callable[..., Losses]] = Registry(
    "architecture",
    {"conditional-vae": _conditional_beta_vae, "judge": _classification, "mlp": _perceptron, "strided": _dropping},
)
