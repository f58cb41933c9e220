"""Training of dense classifiers with penalties on one layer, all seeds at once, watched on both splits as it goes.

Source: Tong et al., "Graph Spectral Regularization for Neural Network Interpretability" (arXiv:1810.00424).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interneuron.errors import InputError
from interneuron.nets import initialise
from interneuron.seeds import torch_generator
from interneuron.shaped_training import LayerPenalty
from interneuron.structured_classifiers import build
from interneuron.structured_training import DivergedError, Trained, _stacked
from interneuron.training import (
    _check_images,
    _classification,
    _keep_freed_memory,
    _Means,
    _not_finite,
    _Sampler,
)


def train_dense(
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
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Classifiers of linear layers only, one a seed, trained side by side as
    `interneuron.structured_classifiers.train_classifiers` trains them one after the other.

    Args:
        architecture, arguments: of `interneuron.structured_classifiers.build`.
        The others: as in `train_classifiers`, on the CPU.

    Returns: the parameters, float32 [seeds, ...] by name, and rows: of training, `loss`, `cross_entropy` and the
        penalties without their weights over `report_every` iterations; at the end of every epoch the `accuracy` on the
        whole of both splits, so that trainings can be compared where they have come equally far.

    Raises: InputError for data and settings that do not fit, and as `interneuron.shaped_training.LayerPenalty` does.
        DivergedError, naming iteration and seeds, where the loss is no longer finite; it holds the weights of the last
        report, or the initial ones.
    """
    seeds = [int(seed) for seed in seeds]
    _check_images(x, y, x_test, y_test)
    if not seeds or len(set(seeds)) < len(seeds) or not 1 <= batch <= len(x) or epochs < 1 or report_every < 1:
        raise InputError(
            f"training: seeds {seeds}, {epochs} epochs in batches of {batch} of {len(x)} images, reports every "
            f"{report_every}: it takes each seed once, 1 or more, and at most a batch of all images"
        )
    _keep_freed_memory()
    networks = [build(architecture, arguments) for _ in seeds]
    for seed, network in zip(seeds, networks, strict=True):
        initialise(network, torch_generator(seed, "initialisation"))
    network: nn.Module = _stacked(networks)  # type: ignore[no-redef]
    shapes = {"laplacian": laplacian, "form": form}
    penalties = {
        name: LayerPenalty(network, layer, name, weight, graph if name == "gsr" else None, **shapes)  # type: ignore[arg-type]
        for name, weight in weights.items()
        if weight
    }
    steps = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    sampler, means = _Sampler(network, x, y, seeds, batch, 0, scale), _Means(seeds)
    total = epochs * sampler.batches
    good, good_at = _copied(network), 0
    for i in range(total):
        images, onehot, noise = sampler.draw()
        loss, metrics = _classification(network, images, onehot, noise)
        metrics.pop("accuracy")
        for name, added in penalties.items():
            metrics[name] = added.take()
            loss = loss + weights[name] * metrics[name]
        everything = loss.sum()
        if not math.isfinite(everything.item()):
            sentence = _not_finite(loss, seeds, f"in iteration {i + 1:,}", learning_rate)
            raise DivergedError(sentence, Trained(good, means.rows, None, [good_at] * len(seeds)), good_at)
        if i % report_every == 0:
            good, good_at = _copied(network), i
        everything.backward()
        steps.step()
        means.add({"loss": loss, **metrics}, 1)
        if (i + 1) % report_every == 0 or i + 1 == total:
            means.report(i + 1, "train")
        if (i + 1) % sampler.batches == 0:
            for split, own, classes in (("train", x, y), ("test", x_test, y_test)):
                found = _accuracies(network, own, classes, scale, len(seeds))
                for added in penalties.values():
                    added.runs.clear()
                row = {"iteration": i + 1, "split": split, "metric": "accuracy"}
                means.rows += [{"seed": s, **row, "value": v} for s, v in zip(seeds, found.tolist(), strict=True)]
        if progress is not None:
            progress(i + 1, total)
    for added in penalties.values():
        added.remove()
    return _copied(network), means.rows


@torch.no_grad()
def _accuracies(network: nn.Module, x: Tensor, y: Tensor, scale: float, seeds: int, size: int = 1000) -> Tensor:
    """Share of the images x [n, height, width] that each seed's network takes for their class: [seeds]."""
    right = torch.zeros(seeds, dtype=torch.int64)
    for images, classes in zip(x.split(size), y.split(size), strict=True):
        logits = network((images.flatten(1) / scale).expand(seeds, -1, -1))
        right += (logits.argmax(-1) == classes).sum(-1)
    return right / len(x)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    """The parameters as they are."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
