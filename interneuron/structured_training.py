"""Training of autoencoders with a penalty on their embedding, all trials of an experiment in one batched pass."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from interneuron import coactivation, lattices, tensor_checks
from interneuron.errors import InputError
from interneuron.nets import initialise
from interneuron.regularization import FORMS, Operator, operator, penalty
from interneuron.seeds import torch_generator
from interneuron.training import _keep_freed_memory, _Means, _not_finite, _StackedLinear

PENALTIES = ("gsr", "l1", "l2", "kl")

# The released code's cut through a kernel, above which an edge counts.
_EDGE = 0.1


@dataclass(frozen=True)
class Learned:
    """A graph on the embedding that is learned while training: Algorithm 1 of Tong et al., and their released script.

    `kind`, `k`: of `interneuron.coactivation.learned`. `pretrain`: iterations before the first graph. `rebuild`:
    iterations from one graph to the next. `buffer`: samples whose current embeddings a graph is built from, drawn anew
    each time (the script takes its current batch of 32). `stop`: the script's stop rule: a graph with more than one
    eigenvalue of the symmetric Laplacian below 0.001 is not installed, and that seed's training ends `grace` iterations
    later, under the graph it had.
    """

    kind: str = "adaptive"
    k: int = 1
    pretrain: int = 5000
    rebuild: int = 100
    buffer: int = 1000
    stop: bool = False
    grace: int = 200


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    `weights`: float32 [seeds, ...] by name. `rows`: of its table (`seed`, `iteration`, `split`, `metric`, `value`).
    `graphs`: adjacencies of a learned graph that each seed had at its end, [seeds, nodes, nodes], zeros where it had
    none; None without a learned graph. `iterations`: that each seed was trained for.
    """

    weights: dict[str, Tensor]
    rows: list[dict[str, Any]]
    graphs: Tensor | None
    iterations: list[int]


class DivergedError(InputError):
    """The loss is no longer finite. `trained` holds the last weights whose loss was seen to be finite, those after the
    iteration `good_at`."""

    def __init__(self, message: str, trained: Trained, good_at: int) -> None:
        super().__init__(f"{message}; the weights after {good_at:,} iterations are kept")
        self.trained = trained


class Autoencoder(nn.Module):
    """features-hidden-nodes-hidden-features, on inputs [..., features].

    Linear layers, a leaky ReLU (slope 0.2) behind each but the embedding and the output. The embedding is the module
    `code`: linear, or, `rectified`, a ReLU. `variational`: it is the mean of a normal distribution whose log variance
    (`spread`) is another linear map of the last hidden layer. Source: Tong et al., appendix.
    """

    def __init__(
        self, features: int, hidden: Sequence[int], nodes: int, rectified: bool = False, variational: bool = False
    ) -> None:
        super().__init__()
        down, up = [features, *hidden], [nodes, *reversed(hidden)]
        self.nodes = nodes
        self.encoder = nn.Sequential(_layers(down))
        self.embedding = nn.Linear(down[-1], nodes)
        self.code = nn.ReLU() if rectified else nn.Identity()
        self.spread = nn.Linear(down[-1], nodes) if variational else None
        self.decoder = nn.Sequential(_layers(up))
        self.output = nn.Linear(up[-1], features)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings [..., nodes], and where variational their log variances."""
        h = self.encoder(x)
        return self.code(self.embedding(h)), None if self.spread is None else self.spread(h)

    def decode(self, z: Tensor) -> Tensor:
        """Reconstructions [..., features] of embeddings [..., nodes]."""
        return self.output(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x)[0])


def restored(weights: Mapping[str, Any], which: int | None = None, **arguments: Any) -> Autoencoder:
    """The network of the seed at position `which` of the weights [seeds, ...]; None: all of them as one network, which
    takes and gives [seeds, batch, ...].

    arguments: of `Autoencoder`. Raises InputError for arguments, weights or a position that do not fit, and for weights
    that are NaN or infinite.
    """
    weights = {name: tensor_checks.numbers(f"weights {name}", value, least=1) for name, value in weights.items()}
    one = _built(arguments)
    own = {name: list(parameter.shape) for name, parameter in one.named_parameters()}
    given = {name: list(value.shape[1:]) for name, value in weights.items()}
    for name in {**own, **given}:
        if own.get(name) != given.get(name):
            raise InputError(
                f"weights: {name} is {given.get(name, 'missing')} a seed, the network takes {own.get(name, 'none')}"
            )
    seeds = len(next(iter(weights.values())))
    if which is not None and not 0 <= which < seeds:
        raise InputError(f"weights: no seed at position {which}, there are {seeds}")
    networks = [_built(arguments) for _ in range(seeds)] if which is None else [one]
    for s, network in enumerate(networks):
        values = {name: torch.as_tensor(value[s if which is None else which]) for name, value in weights.items()}
        network.load_state_dict(values)
    return one if which is not None else _stacked(networks)


def embed(network: Autoencoder, x: Tensor, size: int = 1000) -> Tensor:
    """Embeddings [samples, nodes] of x [samples, features], `size` samples at a time; of a network of several seeds,
    each of which may have its own x [seeds, samples, features], [seeds, samples, nodes]. Raises InputError for samples
    that do not fit, and NaN."""
    with torch.no_grad():
        return torch.cat([network.encode(part)[0] for part in _parts(network, x, size)], -2)


def reconstruction_error(network: Autoencoder, x: Tensor, size: int = 1000) -> Tensor:
    """Mean squared error of the reconstructions of x (as for `embed`) over samples and features: scalar or [seeds].

    Raises InputError as `embed` does."""
    with torch.no_grad():
        sums = [((network(part) - part) ** 2).double().sum((-2, -1)) for part in _parts(network, x, size)]
    return torch.stack(sums).sum(0) / (x.shape[-2] * x.shape[-1])


def train_autoencoders(
    x: Tensor,
    seeds: Sequence[int],
    *,
    hidden: Sequence[int],
    nodes: int,
    iterations: int,
    weights: Mapping[str, float | Sequence[float]],
    graph: Any = None,
    laplacian: str | None = None,
    form: str = "quadratic",
    rectified: bool = False,
    noise: float = 0.0,
    learning_rate: float = 1e-3,
    batch: int = 32,
    report_every: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Autoencoders of one architecture, one a seed, trained side by side with Adam (betas 0.9 and 0.999) on

        MSE + weights[gsr] P(z) + weights[l1] sum |z| + weights[l2] sum z^2 + weights[kl] KL,

    each averaged over the batch: the mean squared error over the features too, P the graph's penalty on the embedding z
    (`interneuron.regularization.penalty`), the sums over its nodes. With a `kl` weight the network is variational: z is
    the mean, a draw is decoded, and KL is that of the draws' distribution from N(0, I) in nats, summed over the nodes
    (a beta-VAE); log variances begin at 0. Every seed has its own initialisation, order of the samples (an epoch's
    incomplete last batch is dropped), noise and buffers, from generators derived from its number alone: company changes
    its numbers by rounding at most. Source: Tong et al., Algorithm 1 and appendix; code, `main.py`.

    Args:
        x: samples, float32 [samples, features], or [seeds, samples, features] where each seed has its own.
        seeds: numbers of the seeds.
        hidden, nodes, rectified: of `Autoencoder`.
        weights: of the penalties `gsr`, `l1`, `l2` and `kl`, one number or one a seed; absent: 0.
        graph: adjacency of a fixed graph on the nodes, or `Learned`; needed where there is a gsr weight.
        laplacian: its kind; None: unnormalised for a fixed graph, symmetric for a learned one, as in the code.
        form: of the penalty.
        noise: standard deviation of normal noise on the embedding, between penalty and decoder (the code: 0.5).
        batch: samples a seed and iteration.
        report_every: iterations that one row of means covers; the last good weights are kept that often.
        progress: called with (iterations done, iterations).

    Returns: the weights, and rows of `loss`, `mse` and the penalties without their weights; with a graph, `rayleigh`:
        z' L z / z' z of the report's last batch, less each sample's mean; with a learned one, whenever it is built, its
        `components` (edges above 0.1, silent neurons left out), `silent` neurons and `spectral_components`.

    Raises: InputError for data or settings that do not fit. DivergedError, naming the iteration and the seeds, when the
        loss is no longer finite; it holds the weights of the last report at which it was, or the initial ones.
    """
    seeds = [int(seed) for seed in seeds]
    _check(x, seeds, hidden, nodes, iterations, noise, learning_rate, batch, report_every, form)
    factors = _factors(weights, seeds)
    learned = graph if isinstance(graph, Learned) else None
    kind = laplacian or ("unnormalised" if learned is None else "symmetric")
    fixed = None
    if learned is not None:
        _check_learned(learned, nodes, kind)
    elif graph is not None:
        fixed = _fixed(graph, nodes, kind)
    elif "gsr" in factors:
        raise InputError("training: there is a gsr weight and no graph, it takes one")

    _keep_freed_memory()
    arguments = {"features": x.shape[-1], "hidden": hidden, "nodes": nodes, "rectified": rectified}
    networks = [_built({**arguments, "variational": "kl" in factors}) for _ in seeds]
    for seed, one in zip(seeds, networks, strict=True):
        initialise(one, torch_generator(seed, "initialisation"))
        if one.spread is not None:
            # exp of a random log variance of large inputs would overflow.
            nn.init.zeros_(one.spread.weight)
    run = _Run(_stacked(networks), seeds, fixed)
    steps = torch.optim.Adam(run.network.parameters(), lr=learning_rate, fused=True)
    sampler = _Sampler(x, seeds, batch, nodes)
    for i in range(iterations):
        if learned is not None and i >= learned.pretrain and (i - learned.pretrain) % learned.rebuild == 0:
            run.rebuild(learned, kind, sampler.buffer(learned.buffer), i)
        run.end(i)
        if not run.live.any():
            break
        total, metrics, z = _losses(run, sampler, factors, form, noise)
        everything = torch.where(run.live, total, 0).sum()
        if not math.isfinite(everything.item()):
            raise run.diverged(total, f"in iteration {i + 1:,}", learning_rate)
        reporting = (i + 1) % report_every == 0 or i + 1 == iterations
        if reporting:
            run.keep(i)
        everything.backward()
        steps.step()
        run.means.add({"loss": total, **metrics}, 1)
        if reporting:
            run.report(i + 1, z)
        if progress is not None:
            progress(i + 1, iterations)
    return run.result(iterations, learning_rate)


def _losses(
    run: "_Run", sampler: "_Sampler", factors: Mapping[str, Tensor], form: str, noise: float
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Loss of every seed, its parts, and the embedding."""
    x = sampler.draw()
    z, log_variance = run.network.encode(x)
    decoded = z
    metrics: dict[str, Tensor] = {}
    if log_variance is not None:
        decoded = z + torch.exp(log_variance / 2) * sampler.noise()
        metrics["kl"] = (z**2 + log_variance.exp() - 1 - log_variance).sum(-1).mean(-1) / 2
    if noise:
        decoded = decoded + noise * sampler.noise()
    mse = ((run.network.decode(decoded) - x) ** 2).mean((-2, -1))
    if "gsr" in factors:
        metrics["gsr"] = torch.zeros_like(mse) if run.graph is None else penalty(z, run.graph, form)
    if "l1" in factors:
        metrics["l1"] = z.abs().sum(-1).mean(-1)
    if "l2" in factors:
        metrics["l2"] = (z**2).sum(-1).mean(-1)
    total = mse
    for name, factor in factors.items():
        total = total + factor * metrics[name]
    return total, {"mse": mse, **metrics}, z.detach()


class _Sampler:
    """Batches, noise and buffers of all seeds."""

    def __init__(self, x: Tensor, seeds: Sequence[int], batch: int, nodes: int) -> None:
        self.x, self.samples, self.batch, self.shape = x, x.shape[-2], batch, (len(seeds), batch, nodes)
        self.orders, self.noises, self.buffers = (
            [torch_generator(seed, purpose) for seed in seeds] for purpose in ("order", "noise", "buffer")
        )
        self.drawn = 0

    def draw(self) -> Tensor:
        part = self.drawn % (self.samples // self.batch)
        if part == 0:
            self.order = torch.stack([torch.randperm(self.samples, generator=order) for order in self.orders])
        self.drawn += 1
        return self._rows(self.order[:, part * self.batch : (part + 1) * self.batch])

    def noise(self) -> Tensor:
        found = torch.empty(self.shape)
        for row, generator in zip(found, self.noises, strict=True):
            row.normal_(generator=generator)
        return found

    def buffer(self, size: int) -> Tensor:
        return self._rows(
            torch.stack([torch.randperm(self.samples, generator=buffer)[:size] for buffer in self.buffers])
        )

    def _rows(self, rows: Tensor) -> Tensor:
        return self.x[rows] if self.x.ndim == 2 else self.x[torch.arange(len(rows))[:, None], rows]


class _Run:
    """Where the seeds stand: network, graph, rows, last good weights, and which seeds are still trained."""

    def __init__(self, network: Autoencoder, seeds: Sequence[int], graph: Operator | None) -> None:
        self.network, self.seeds, self.graph = network, seeds, graph
        self.graphs: Tensor | None = None
        self.means, self.rows = _Means(seeds), list[dict[str, Any]]()
        self.live = torch.ones(len(seeds), dtype=torch.bool)
        self.ends: dict[int, int] = {}  # iteration at which a seed ends, by its position
        self.ended: dict[int, dict[str, Tensor]] = {}
        self.keep(0)

    def keep(self, iteration: int) -> None:
        """Keep the weights as they are: the last good ones."""
        self.good, self.good_at = self._weights(), iteration

    def rebuild(self, learned: Learned, kind: str, samples: Tensor, iteration: int) -> None:
        """Learn every seed's graph from its embeddings of `samples`, and install it unless the stop rule holds."""
        z = embed(self.network, samples)
        z[~self.live] = torch.arange(z.shape[-1], dtype=z.dtype)
        if not torch.isfinite(z).all():
            return  # the loss that follows is not finite either, and says so
        graphs = coactivation.learned(z, learned.kind, learned.k)
        silent = coactivation.silent(z)
        spectral = coactivation.spectral_components(graphs)
        counts = {
            "components": coactivation.components(graphs, _EDGE, ~silent),
            "silent": silent.sum(-1).numpy(),
            "spectral_components": spectral,
        }
        if self.graphs is None:
            self.graphs = torch.zeros_like(graphs)
        for s, seed in enumerate(self.seeds):
            if s in self.ends:
                continue
            self._rows(iteration, {metric: values[s] for metric, values in counts.items()}, seed)
            if learned.stop and spectral[s] > 1:
                self.ends[s] = iteration + learned.grace
            else:
                self.graphs[s] = graphs[s]
        self.graph = operator(coactivation.laplacians(self.graphs, kind))

    def end(self, iteration: int) -> None:
        """Set the seeds that end here apart."""
        for s, end in self.ends.items():
            if end == iteration:
                self.ended[s] = {name: value[s] for name, value in self._weights().items()}
                self.live[s] = False

    def report(self, iteration: int, z: Tensor) -> None:
        self.means.report(iteration, "train")
        rows, self.means.rows = self.means.rows, []
        position = {seed: s for s, seed in enumerate(self.seeds)}
        self.rows += [row for row in rows if self.live[position[row["seed"]]]]
        if self.graph is not None:
            quotients = penalty(z - z.mean(-1, keepdim=True), self.graph, "rayleigh")
            for s, seed in enumerate(self.seeds):
                if self.live[s]:
                    self._rows(iteration, {"rayleigh": quotients[s]}, seed)

    def diverged(self, total: Tensor, where: str, learning_rate: float) -> DivergedError:
        sentence = _not_finite(torch.where(self.live, total, 0), self.seeds, where, learning_rate)
        return DivergedError(sentence, self._trained(self.good, self.good_at), self.good_at)

    def result(self, iterations: int, learning_rate: float) -> Trained:
        weights = self._weights()
        sums = torch.stack([value.flatten(1).sum(1) for value in weights.values()]).sum(0)
        if not torch.isfinite(torch.where(self.live, sums, 0)).all():
            raise self.diverged(sums, "after the last iteration", learning_rate)
        return self._trained(weights, iterations)

    def _trained(self, weights: dict[str, Tensor], iterations: int) -> Trained:
        for s, values in self.ended.items():
            for name, value in values.items():
                weights[name][s] = value
        done = [self.ends[s] if s in self.ended else iterations for s in range(len(self.seeds))]
        return Trained(weights, self.rows, self.graphs, done)

    def _weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.network.named_parameters()}

    def _rows(self, iteration: int, metrics: Mapping[str, Any], seed: int) -> None:
        for metric, value in metrics.items():
            row = {"seed": seed, "iteration": iteration, "split": "train", "metric": metric}
            self.rows.append({**row, "value": float(value)})


def _layers(sizes: Sequence[int]) -> "OrderedDict[str, nn.Module]":
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        layers[f"linear{i}"] = nn.Linear(inputs, outputs)
        layers[f"leaky{i}"] = nn.LeakyReLU(0.2)
    return layers


def _built(arguments: Mapping[str, Any]) -> Autoencoder:
    """The network; its parameters are not yet set."""
    try:
        # Parameters on the meta device draw nothing from the global generator.
        with torch.device("meta"):
            network = Autoencoder(**arguments)
    except TypeError as error:
        raise InputError(f"autoencoder: {str(error).split('__init__() ')[-1]}") from error
    return network.to_empty(device="cpu")


def _stacked(networks: Sequence[Autoencoder]) -> Autoencoder:
    """One network of all seeds, on [seeds, batch, ...]."""
    first = networks[0]
    for name, layer in list(first.named_modules()):
        if isinstance(layer, nn.Linear):
            layers = [network.get_submodule(name) for network in networks]
            first.set_submodule(name, _StackedLinear(layers))  # type: ignore[arg-type]
    return first


def _parts(network: Autoencoder, x: Tensor, size: int) -> list[Tensor]:
    """Pieces of x of `size` samples, one copy a seed where the network is of several."""
    weight = network.output.weight
    x = tensor_checks.numbers("samples", x)
    several = weight.ndim == 3
    if x.ndim not in (2, 2 + several) or (x.ndim == 3 and len(x) != len(weight)) or x.shape[-1] != weight.shape[-2]:
        takes = f"[samples, {weight.shape[-2]}]" + (f", or [{len(weight)}, samples, {weight.shape[-2]}]" * several)
        raise InputError(f"samples have the shape {list(x.shape)}, and the network takes {takes}")
    if x.dtype != weight.dtype or not x.shape[-2]:
        raise InputError(f"samples are {x.dtype} {list(x.shape)}, and the network takes {weight.dtype}, one or more")
    parts = x.split(size, -2)
    if weight.ndim == 2 or x.ndim == 3:
        return list(parts)
    return [part.expand(len(weight), -1, -1) for part in parts]


def _fixed(graph: Any, nodes: int, kind: str) -> Operator:
    prepared = operator(lattices.laplacian(graph, kind))
    if prepared.nodes != nodes:
        raise InputError(f"training: the graph has {prepared.nodes} nodes, the embedding takes one of {nodes}")
    return prepared


def _factors(weights: Mapping[str, float | Sequence[float]], seeds: Sequence[int]) -> dict[str, Tensor]:
    """Weights of the penalties that are not 0 for all seeds: [seeds] by name."""
    factors = {}
    for name, value in weights.items():
        if name not in PENALTIES:
            raise InputError(f"training: no penalty {name!r}; there are {', '.join(PENALTIES)}")
        factor = torch.as_tensor(value, dtype=torch.float32)
        if factor.ndim > 1 or (factor.ndim == 1 and len(factor) != len(seeds)):
            raise InputError(f"training: {len(factor)} {name} weights, it takes one, or one for each of {len(seeds)}")
        if not torch.isfinite(factor).all() or (factor < 0).any():
            raise InputError(f"training: the {name} weight is {value}, it takes 0 or more")
        if name == "kl" and factor.any() and not factor.all():
            raise InputError(
                "training: some kl weights are 0 and others not, it takes variational networks or plain ones"
            )
        if factor.any():
            factors[name] = factor.expand(len(seeds))
    return factors


def _check_learned(learned: Learned, nodes: int, kind: str) -> None:
    for name, least in (("k", 1), ("pretrain", 0), ("rebuild", 1), ("buffer", 1), ("grace", 0)):
        if getattr(learned, name) < least:
            raise InputError(f"training: {name} of the learned graph is {getattr(learned, name)}, it takes {least} up")
    # The refusals of graphs and Laplacians, before an hour of training rather than after it.
    coactivation.laplacians(coactivation.learned(torch.eye(nodes), learned.kind, learned.k), kind)


def _check(
    x: Tensor,
    seeds: Sequence[int],
    hidden: Sequence[int],
    nodes: int,
    iterations: int,
    noise: float,
    learning_rate: float,
    batch: int,
    report_every: int,
    form: str,
) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"training: seeds are {list(seeds)}, it takes at least one, each once")
    if not isinstance(x, Tensor):
        raise InputError(f"training: samples are a {type(x).__name__}, it takes a torch tensor")
    if x.dtype != torch.float32 or x.ndim not in (2, 3) or not x.numel() or (x.ndim == 3 and len(x) != len(seeds)):
        raise InputError(
            f"training: samples are {x.dtype} {list(x.shape)}, it takes torch.float32 [samples, features] or "
            f"[{len(seeds)}, samples, features]"
        )
    if not torch.isfinite(x).all():
        raise InputError("training: samples are infinite or NaN, it takes numbers")
    sizes = [("nodes", nodes), *(("hidden", size) for size in hidden)]
    for name, number in (*sizes, ("iterations", iterations), ("batch", batch), ("report_every", report_every)):
        if number < 1:
            raise InputError(f"training: {name} is {number}, it takes at least 1")
    if batch > x.shape[-2]:
        raise InputError(f"training: batch is {batch}, it takes at most the {x.shape[-2]} samples")
    if not 0 < learning_rate < math.inf:
        raise InputError(f"training: learning_rate is {learning_rate}, it takes a positive number")
    if not 0 <= noise < math.inf:
        raise InputError(f"training: noise is {noise}, it takes 0 or more")
    if form not in FORMS:
        raise InputError(f"training: no form {form!r} of the penalty; there are {', '.join(FORMS)}")
