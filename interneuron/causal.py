"""Average causal effects of a network's inputs on every neuron: by interventional sampling and by Taylor expansion.

A network is read as a structural causal model whose inputs do not cause each other. Setting input i to a, written
do(x_i = a), leaves the other inputs as they are distributed. With the interventional expectation E[y | do(x_i = a)],

    ACE(do(x_i = a)) = E[y | do(x_i = a)] - baseline_i,    baseline_i = mean over a of E[y | do(x_i = a)],

for every neuron y (Chattopadhyay et al., "Neural network attributions: a causal perspective", ICML 2019).

Neurons are those of `layers`, named as in `interneuron.capture`, in that order along the last axis. Networks are used
as they are: put them in `eval` mode first.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from interneuron import capture, checks
from interneuron.errors import InputError
from interneuron.inspection import module_of, without_gradients
from interneuron.seeds import generator

_SOBOL_BITS = 30
_SOBOL_DIMENSIONS = 21201
_SAMPLINGS = ("sobol", "independent")


def draws(
    n: int, dimensions: int, seed: int, purpose: str, sampling: str = "sobol", replicate: int = 0
) -> NDArray[np.float32]:
    """Standard normal draws, float32 [n, dimensions].

    `sobol`: the first n points of a scrambled Sobol sequence (Owen 1998; `scipy.stats.qmc.Sobol`) through the inverse
    normal distribution function, n best a power of two; `independent`: pseudo-random. Different `replicate` numbers are
    independent randomisations; the same arguments always give the same draws.

    Raises InputError for less than one draw or dimension, and for an unknown sampling.
    """
    if n < 1 or dimensions < 1:
        raise InputError(f"draws takes at least one draw and one dimension, not {n} and {dimensions}")
    _check_sampling(sampling)
    stream = generator(seed, purpose, replicate)
    if sampling == "independent":
        return stream.standard_normal((n, dimensions), dtype=np.float32)
    if dimensions > _SOBOL_DIMENSIONS:
        raise InputError(f"Sobol draws have at most {_SOBOL_DIMENSIONS} dimensions, not {dimensions}")
    # scipy.stats is slow to import, and only this needs it.
    from scipy.special import ndtri
    from scipy.stats import qmc

    sobol = qmc.Sobol(dimensions, scramble=True, bits=_SOBOL_BITS, rng=stream)
    # Half a cell of the grid up: no point is 0, whose quantile is infinite.
    points = sobol.random_base2((n - 1).bit_length())[:n] + 0.5 ** (_SOBOL_BITS + 1)
    return ndtri(points).astype(np.float32)


@dataclass(frozen=True)
class Effects:
    """Average causal effects with their standard errors and baselines, float64.

    Of inputs set to several values: `effect` and `error` [treated, alphas, neurons], `baseline` [treated, neurons]. Of
    classes: all three [classes, neurons].
    """

    effect: NDArray[np.float64]
    error: NDArray[np.float64]
    baseline: NDArray[np.float64]


def interventions(samples: ArrayLike, context: ArrayLike, treated: int, alphas: Sequence[float]) -> Tensor:
    """Inputs under do(x_treated = alpha), float32 [alphas, draws, inputs + context].

    `samples` [draws, inputs] are draws of the inputs and `context` [context] holds inputs that stay as they are (a
    one-hot class). Row s of every alpha is sample s with input `treated` set to alpha: common random numbers.

    Raises InputError for an empty list of alphas, an input that does not exist, and numbers that are not finite.
    """
    z = _finite("samples", samples, 2)
    fixed = _finite("context", context, 1)
    values = _alphas(alphas)
    _check_treated([treated], z.shape[1])
    return _interventions(_tensor(z), _tensor(fixed), treated, _tensor(values))


def sampled_effects(
    network: nn.Module,
    layers: Sequence[str],
    samples: ArrayLike,
    context: ArrayLike,
    alphas: Sequence[float],
    treated: Sequence[int] | None = None,
    sampling: str = "sobol",
    rows: int = 2000,
    progress: Callable[[int, int], None] | None = None,
) -> Effects:
    """Average causal effects of do(x_i = alpha) on every neuron, by sampling with common random numbers.

        E[y | do(x_i = a)] ~ mean over samples s of y(x_s with x_i = a),    ACE(a) = E[y | do(x_i = a)] - mean over a

    `samples` [replicates, draws, inputs] are draws of the network's inputs (`draws`, or data), `context` [context]
    inputs that are appended to them unchanged; every alpha and every treated input (all of them by default) sees the
    same samples. The standard error is, for `sampling` "sobol", that of the mean over the replicates (independent
    scramblings); for "independent" that of the paired difference y_s(a) - mean over a of y_s(a), over all samples.

    The network sees about `rows` inputs at a time. Raises InputError for input that does not fit, for fewer than two
    replicates (sobol) or samples (independent), and for a layer that gives NaN or infinity.
    Source: Chattopadhyay et al. 2019; thesis of Hui 2022, eq. 4.
    """
    z = _samples(samples, sampling)
    fixed, values = _finite("context", context, 1), _alphas(alphas)
    chosen = list(range(z.shape[2])) if treated is None else list(treated)
    _check_treated(chosen, z.shape[2])
    z_tensor, fixed_tensor, value_tensor = (_like(network, array) for array in (z, fixed, values))
    weights = _uniform(len(values))
    found = []
    for done, i in enumerate(chosen):
        settings = partial(_interventions, fixed=fixed_tensor, treated=i, alphas=value_tensor)
        found.append(_contrast(network, layers, z_tensor, settings, weights, sampling, rows))
        if progress is not None:
            progress(done + 1, len(chosen))
    effect, error, baseline = (np.stack(arrays) for arrays in zip(*found, strict=True))
    return Effects(effect, error, baseline[:, 0])


def class_effects(
    network: nn.Module,
    layers: Sequence[str],
    samples: ArrayLike,
    frequencies: ArrayLike,
    sampling: str = "sobol",
    rows: int = 2000,
) -> Effects:
    """Average causal effects of do(c_k = 1) on every neuron, for a network fed by [z, onehot(c)].

        ACE(k) = E[y | do(c_k = 1)] - E[y | do(c_k = 0)]
        E[y | do(c_k = 0)] = sum over j != k of p_j E[y | c_j] / (1 - p_k)

    with the class `frequencies` p [classes] of the training set; the sum over classes is exact, only z is sampled:
    `samples` [replicates, draws, latents], shared by all classes. Standard errors and errors raised as in
    `sampled_effects`; also InputError for negative frequencies and where one class has them all.
    Source: Chattopadhyay et al. 2019 (code); thesis of Hui 2022, eq. 3.
    """
    z = _samples(samples, sampling)
    others = _other_classes(frequencies)
    z_tensor, classes = _like(network, z), _like(network, np.eye(len(others)))
    return Effects(
        *_contrast(network, layers, z_tensor, partial(_with_classes, classes=classes), others, sampling, rows)
    )


def published_effects(
    network: nn.Module,
    layers: Sequence[str],
    stream: np.random.Generator,
    latents: int,
    context: ArrayLike,
    alphas: Sequence[float],
    draws: int = 3,
    rows: int = 2000,
) -> NDArray[np.float64]:
    """Effects [latents, alphas, neurons] of every latent as the published notebook estimates them.

    Each alpha of each latent has `draws` standard normal vectors of its own, independent of all others: the differences
    between alphas hold the noise of the other latents too, so that a latent without influence seems to have some.
    Source: Chattopadhyay et al. 2019 (code, MNIST.ipynb, with 2 to 3 draws).
    """
    fixed, values = _finite("context", context, 1), _alphas(alphas)
    _check_counts(latents=latents, draws=draws)
    x = np.empty((latents, len(values), draws, latents + len(fixed)))
    x[..., :latents] = stream.standard_normal((latents, len(values), draws, latents))
    x[..., latents:] = fixed
    for i in range(latents):
        x[i, :, :, i] = values[:, None]
    means = _means(network, layers, x.reshape(-1, draws, x.shape[-1]), rows).reshape(latents, len(values), -1)
    return _less(means.swapaxes(0, 1), _uniform(len(values))).swapaxes(0, 1)


def published_class_effects(
    network: nn.Module,
    layers: Sequence[str],
    stream: np.random.Generator,
    latents: int,
    frequencies: ArrayLike,
    draws: int = 3,
    rows: int = 2000,
) -> NDArray[np.float64]:
    """Effects [classes, neurons] of every class as the published notebook estimates them.

    For each class k: `draws` standard normal vectors z of its own give E[y | do(c_k = 1)]; the baseline is the mean
    over the same vectors and `draws` classes drawn with the training frequencies without k.
    Source: Chattopadhyay et al. 2019 (code, MNIST.ipynb, with 3 draws).
    """
    others = _other_classes(frequencies)
    _check_counts(latents=latents, draws=draws)
    onehot = np.eye(len(others))
    effects = []
    for k, weights in enumerate(others):
        z = stream.standard_normal((draws, latents))
        drawn = stream.multinomial(draws, weights)
        # Each drawn class meets every z: classes drawn several times are run once and weighted.
        classes = [k, *np.flatnonzero(drawn).tolist()]
        x = np.stack([np.hstack([z, np.tile(onehot[c], (draws, 1))]) for c in classes])
        means = _means(network, layers, x, rows)
        effects.append(means[0] - drawn[classes[1:]] @ means[1:] / draws)
    return np.stack(effects)


def taylor_effects(
    network: nn.Sequential,
    layers: Sequence[str],
    mean: ArrayLike,
    covariance: ArrayLike,
    alphas: Sequence[float],
    treated: Sequence[int] | None = None,
    rows: int = 2000,
) -> NDArray[np.float64]:
    """Average causal effects [treated, alphas, neurons] by second-order Taylor expansion, all neurons in one pass.

        E[y | do(x_i = a)] ~ f(mu) + 1/2 trace(H_f(mu) Sigma_do),    ACE(a) = E[y | do(x_i = a)] - mean over a

    mu is `mean` [inputs] with entry i set to a; Sigma_do is `covariance` [inputs, inputs] with row and column i set to
    zero (a fixed input has zeros there from the start). Every input is treated by default.

    The expansion says nothing about kinks: where a network is piecewise linear its Hessian is zero, so the second-order
    term of every hidden ReLU unit is exactly 0 and its effect is that of f at the mean input; only units behind a
    sigmoid, tanh or softmax get a correction, which need not be a better estimate. For expectations of ReLU units use
    `sampled_effects`.

    Raises InputError as `taylor_expectations` does, and for a covariance that is not symmetric positive semi-definite.
    Source: Chattopadhyay et al. 2019 (Taylor expansion of the interventional expectation).
    """
    centre, spread, values = _finite("mean", mean, 1), _finite("covariance", covariance, 2), _alphas(alphas)
    inputs = len(centre)
    if spread.shape != (inputs, inputs) or not np.allclose(spread, spread.T):
        raise InputError(f"covariance must be a symmetric [{inputs}, {inputs}] matrix, and is {list(spread.shape)}")
    chosen = list(range(inputs)) if treated is None else list(treated)
    _check_treated(chosen, inputs)
    variances = np.repeat(spread[None], len(chosen), axis=0)
    variances[np.arange(len(chosen)), chosen] = 0
    variances[np.arange(len(chosen)), :, chosen] = 0
    points = np.broadcast_to(centre, (len(chosen), len(values), inputs)).copy()
    for row, i in zip(points, chosen, strict=True):
        row[:, i] = values
    factor = np.repeat(_factor(variances), len(values), axis=0)
    expectation = taylor_expectations(network, layers, points.reshape(-1, inputs), factor, rows)
    expectation = expectation.reshape(len(chosen), len(values), -1)
    return _less(expectation.swapaxes(0, 1), _uniform(len(values))).swapaxes(0, 1)


def taylor_expectations(
    network: nn.Sequential, layers: Sequence[str], points: ArrayLike, factor: ArrayLike, rows: int = 2000
) -> NDArray[np.float64]:
    """Second-order expectations [points, neurons] of every neuron around each point.

        f(mu) + 1/2 sum_q D^2 f(mu)[v_q, v_q] = f(mu) + 1/2 trace(H_f(mu) Sigma),    Sigma = sum_q v_q v_q'

    `points` [points, inputs] holds the mu, `factor` [points, directions, inputs] the v_q of each. One pass carries the
    values, the first directional derivatives and the sum of the second ones through the layers (Taylor mode); about
    `rows` points times directions at a time. The network is an nn.Sequential (nested ones are fine) of Linear, ReLU,
    LeakyReLU, Sigmoid, Tanh, Softmax, Identity, Flatten, and Dropout in eval mode, on inputs [points, inputs].

    Raises InputError for any other module (by name), a missing layer, shapes that do not fit, and a layer that gives
    NaN or infinity.
    """
    mu, v = _finite("points", points, 2), _finite("factor", factor, 3)
    if v.shape[0] != mu.shape[0] or v.shape[2] != mu.shape[1]:
        raise InputError(
            f"factor has shape {list(v.shape)}, and takes [{mu.shape[0]}, directions, {mu.shape[1]}] for points of"
            f" shape {list(mu.shape)}"
        )
    _check_counts(points=len(mu), rows=rows)
    modules = _sequence(network)
    _check_linear(modules, mu.shape[1])
    names = [name for name, _ in modules]
    for layer in layers:
        if layer != "input" and layer not in names:
            raise InputError(f"the network has no layer {layer!r}; it has input, {', '.join(names)}")
    block = max(1, rows // max(1, v.shape[1]))
    parts = [
        _taylor(modules, layers, _like(network, mu[start : start + block]), _like(network, v[start : start + block]))
        for start in range(0, len(mu), block)
    ]
    return np.concatenate(parts)


def _check_sampling(sampling: str) -> None:
    if sampling not in _SAMPLINGS:
        raise InputError(f"sampling is {sampling!r}, and takes {' or '.join(map(repr, _SAMPLINGS))}")


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}, and takes a whole number from 1")


def _check_treated(treated: Sequence[int], inputs: int) -> None:
    if not treated:
        raise InputError("the list of treated inputs is empty, and takes at least one")
    for i in treated:
        if not 0 <= i < inputs:
            raise InputError(f"input {i} cannot be treated: there are {inputs} inputs, 0 to {inputs - 1}")


def _finite(name: str, values: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    array = checks.numbers(name, values).astype(np.float64, copy=False)
    if array.ndim != dimensions:
        raise InputError(f"{name} has shape {list(array.shape)}, and takes {dimensions} dimension(s)")
    return array


def _alphas(alphas: Sequence[float]) -> NDArray[np.float64]:
    values = _finite("alphas", alphas, 1)
    if not len(values):
        raise InputError("alphas is empty, and takes at least one value to set an input to")
    return values


def _samples(samples: ArrayLike, sampling: str) -> NDArray[np.float64]:
    _check_sampling(sampling)
    z = _finite("samples", samples, 3)
    _check_counts(replicates=z.shape[0], draws=z.shape[1], inputs=z.shape[2])
    if sampling == "sobol" and z.shape[0] < 2:
        raise InputError("Sobol samples have 1 replicate, and a standard error takes at least 2")
    if z.shape[0] * z.shape[1] < 2:
        raise InputError("there is 1 sample, and a standard error takes at least 2")
    return z


def _other_classes(frequencies: ArrayLike) -> NDArray[np.float64]:
    """Row k: the class distribution without class k."""
    p = _finite("frequencies", frequencies, 1)
    if (p < 0).any() or np.count_nonzero(p) < 2:
        raise InputError(
            f"frequencies are {p.tolist()}, and take non-negative numbers of which at least two are positive"
        )
    others = np.repeat(p[None], len(p), axis=0)
    np.fill_diagonal(others, 0)
    return others / others.sum(axis=1, keepdims=True)


def _tensor(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(array).to(torch.float32)


def _like(network: nn.Module, array: NDArray[np.float64]) -> Tensor:
    """`array` in the network's own precision and on its device."""
    parameter = next((p for p in module_of(network).parameters() if p.is_floating_point()), torch.empty(0))
    return torch.from_numpy(np.ascontiguousarray(array)).to(parameter)


def _interventions(z: Tensor, fixed: Tensor, treated: int, alphas: Tensor) -> Tensor:
    """[alphas, ..., inputs + context] from z [..., inputs]."""
    inputs = z.shape[-1]
    x = z.new_empty(len(alphas), *z.shape[:-1], inputs + len(fixed))
    x[..., :inputs] = z
    x[..., inputs:] = fixed
    x[..., treated] = alphas.view(-1, *[1] * (z.ndim - 1))
    return x


def _with_classes(z: Tensor, classes: Tensor) -> Tensor:
    """[classes, ..., latents + classes] from z [..., latents] and rows of one-hot classes."""
    onehot = classes.view(len(classes), *[1] * (z.ndim - 1), -1).expand(-1, *z.shape[:-1], -1)
    return torch.cat([z.expand(len(classes), *z.shape), onehot], dim=-1)


def _contrast(
    network: nn.Module,
    layers: Sequence[str],
    z: Tensor,
    settings: Callable[[Tensor], Tensor],
    weights: NDArray[np.float64],
    sampling: str,
    rows: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, standard error and baseline [settings, neurons] of y(setting) - weights @ y(settings)."""
    paired = np.eye(len(weights)) - weights if sampling == "independent" else None
    mean, squares = _expectations(network, layers, z, settings, len(weights), rows, paired)
    baseline = np.tensordot(weights, mean, axes=1)
    effect = _less(mean, weights)
    if sampling == "sobol":
        variance = effect.var(axis=1, ddof=1) / z.shape[0]
    else:
        samples = z.shape[0] * z.shape[1]
        variance = (squares.mean(axis=1) - effect.mean(axis=1) ** 2).clip(min=0) / (samples - 1)
    return effect.mean(axis=1), np.sqrt(variance), baseline.mean(axis=1)


def _less(mean: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """mean - weights @ mean over the settings [settings, ...]: exactly 0 where all settings have the same mean."""
    shifted = mean - mean[:1]
    return shifted - np.tensordot(weights, shifted, axes=1)


def _uniform(n: int) -> NDArray[np.float64]:
    return np.full((n, n), 1 / n)


def _means(network: nn.Module, layers: Sequence[str], x: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Means [settings, neurons] over the draws of x [settings, draws, inputs]."""
    mean, _ = _expectations(network, layers, _like(network, x), lambda block: block[None], 1, rows, None)
    return mean[0]


def _expectations(
    network: nn.Module,
    layers: Sequence[str],
    z: Tensor,
    settings: Callable[[Tensor], Tensor],
    count: int,
    rows: int,
    paired: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of y and of (paired @ y)^2 (if given) over the draws, both [settings, replicates, neurons].

    `settings` turns samples [replicates, draws, inputs] into inputs [count, replicates, draws, ...]. Each layer is
    reduced as it is computed, while it is in the cache: no activations are kept.
    """
    _check_counts(rows=rows, layers=len(layers))
    replicates, n = z.shape[:2]
    at_once = max(1, rows // count)
    together = max(1, at_once // n)
    matrix = None if paired is None else torch.from_numpy(paired).to(z.device)
    shape = torch.Size()
    found: dict[str, Tensor] = {}

    def reduce(layer: str) -> capture.Action:
        def action(y: Tensor) -> None:
            # Sums of half precision, as mixed precision gives it, would hold hardly a digit.
            y = y.reshape(*shape, -1).to(y.dtype if y.dtype == torch.float64 else torch.float32)
            found[layer] = y.sum(dim=2)[None]  # a tensor of its own: y's memory is used again
            if matrix is not None:
                squares = torch.tensordot(matrix.to(y), y, dims=1).square_().sum(dim=2)
                found[layer] = torch.cat([found[layer], squares[None]])

        return action

    moments = []
    # Two inputs that differ in all that is not fixed.
    some = settings(z[:1, :2]).flatten(0, 2)[[0, -1]]
    with without_gradients(), _watched(network, some, {layer: reduce(layer) for layer in layers}) as run:
        for first in range(0, replicates, together):
            total: NDArray[np.float64] | float = 0.0
            for start in range(0, n, at_once):
                x = settings(z[first : first + together, start : start + at_once])
                shape = x.shape[:3]
                run(x.flatten(0, 2))
                total = total + torch.cat([found[layer] for layer in layers], dim=-1).cpu().numpy().astype(np.float64)
            moments.append(total)
    mean = np.concatenate(moments, axis=2) / n
    ends = np.cumsum([found[layer].shape[-1] for layer in layers])
    _check_layers(dict(zip(layers, np.split(mean, ends[:-1], axis=-1), strict=True)))
    return mean[0], mean[-1]


@contextmanager
def _watched(
    network: nn.Module, example: Tensor, actions: Mapping[str, capture.Action]
) -> Iterator[Callable[[Tensor], object]]:
    """A forward pass that hands each named layer's tensor to its action; inputs may be overwritten."""
    network = module_of(network)
    runs = _runs(network)
    known = {"input", *(name for name, _ in runs)} - {"output"}
    plain = all(type(module) is nn.Linear or type(module) in _IN_PLACE for _, module in runs)
    mixed = torch.is_autocast_enabled(example.device.type)
    if (
        plain
        and _unchanged(network) is None
        and not mixed
        and actions.keys() <= known
        and all(name != "input" for name, _ in runs)
    ):
        _check_linear(runs, example.shape[1])
        yield _in_place(runs, actions)
    else:
        with capture.hooked(network, example, actions) as run:
            yield run


def _in_place(
    runs: Sequence[tuple[str, nn.Module]], actions: Mapping[str, capture.Action]
) -> Callable[[Tensor], object]:
    """Fresh memory for every layer of every block costs a third of the matrix products: here it is used again."""
    memory: dict[int, Tensor] = {}

    def run(y: Tensor) -> None:
        if "input" in actions:
            actions["input"](y)
        for i, (name, module) in enumerate(runs):
            if isinstance(module, nn.Linear):
                if i not in memory or len(memory[i]) < len(y):
                    memory[i] = y.new_empty(len(y), module.out_features)
                out = memory[i][: len(y)]
                if module.bias is None:
                    torch.mm(y, module.weight.T, out=out)
                else:
                    torch.addmm(module.bias, y, module.weight.T, out=out)
                y = out
            else:
                _IN_PLACE[type(module)](y)
            if name in actions:
                actions[name](y)

    return run


_IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Sigmoid: torch.sigmoid_,
    nn.Tanh: torch.tanh_,
}


def _check_layers(values: Mapping[str, NDArray[np.float64]]) -> None:
    for layer, value in values.items():
        if not np.isfinite(value).all():
            raise InputError(f"layer {layer!r} gives NaN or infinity: look at the network's weights")


def _factor(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    """V [n, directions, inputs] with V'V = covariance, for covariances [n, inputs, inputs]."""
    values, vectors = np.linalg.eigh(covariances)
    tolerance = np.abs(values).max(initial=0) * values.shape[-1] * np.finfo(np.float64).eps
    if (values < -tolerance).any():
        raise InputError(
            f"covariance has the negative eigenvalue {values.min():.3g}, and must be positive semi-definite"
        )
    values[values <= tolerance] = 0
    kept = slice(values.shape[1] - int(np.count_nonzero(values, axis=1).max()), None)
    return np.sqrt(values[:, kept, None]) * vectors.transpose(0, 2, 1)[:, kept]


@dataclass(frozen=True)
class _Jet:
    """Value [points, units], first derivatives [points, directions, units], sum of the second ones [points, units]."""

    value: Tensor
    first: Tensor
    second: Tensor


def _taylor(
    modules: Sequence[tuple[str, nn.Module]], layers: Sequence[str], points: Tensor, factor: Tensor
) -> NDArray[np.float64]:
    jet = _Jet(points, factor, torch.zeros_like(points))
    found = {"input": points}
    with without_gradients():
        for name, module in modules:
            jet = _RULES[type(module)](module, jet)
            if name in layers:
                found[name] = jet.value + jet.second / 2
    kept = {layer: found[layer].double().cpu().numpy() for layer in layers}
    _check_layers(kept)
    return np.concatenate([kept[layer] for layer in layers], axis=1)


def _linear(module: nn.Linear, jet: _Jet) -> _Jet:
    return _Jet(module(jet.value), jet.first @ module.weight.T, jet.second @ module.weight.T)


def _same(module: nn.Module, jet: _Jet) -> _Jet:
    return jet


def _piecewise_linear(module: nn.ReLU | nn.LeakyReLU, jet: _Jet) -> _Jet:
    slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
    slopes = torch.where(jet.value > 0, torch.ones_like(jet.value), slope)
    return _Jet(jet.value * slopes, jet.first * slopes[:, None], jet.second * slopes)


def _sigmoid(module: nn.Sigmoid, jet: _Jet) -> _Jet:
    y = torch.sigmoid(jet.value)
    slope = y * (1 - y)
    return _curved(y, slope, slope * (1 - 2 * y), jet)


def _tanh(module: nn.Tanh, jet: _Jet) -> _Jet:
    y = torch.tanh(jet.value)
    slope = 1 - y * y
    return _curved(y, slope, -2 * y * slope, jet)


def _curved(y: Tensor, slope: Tensor, curvature: Tensor, jet: _Jet) -> _Jet:
    """g(f)' = g' f' and g(f)'' = g' f'' + g'' f'^2 for an elementwise g."""
    second = slope * jet.second + curvature * jet.first.square().sum(dim=1)
    return _Jet(y, slope[:, None] * jet.first, second)


def _softmax(module: nn.Softmax, jet: _Jet) -> _Jet:
    """With E over y = softmax(f): y' = y (f' - E f') and y'' = y (g - E g), where g = (f' - E f')^2 + f''."""
    y = torch.softmax(jet.value, dim=1)
    centred = jet.first - (y[:, None] * jet.first).sum(dim=2, keepdim=True)
    second = centred.square().sum(dim=1) + jet.second
    return _Jet(y, y[:, None] * centred, y * (second - (y * second).sum(dim=1, keepdim=True)))


_RULES: dict[type[nn.Module], Callable[[Any, _Jet], _Jet]] = {
    nn.Linear: _linear,
    nn.ReLU: _piecewise_linear,
    nn.LeakyReLU: _piecewise_linear,
    nn.Sigmoid: _sigmoid,
    nn.Tanh: _tanh,
    nn.Softmax: _softmax,
    nn.Identity: _same,
    nn.Dropout: _same,
    nn.Flatten: _same,
}


def _sequence(network: nn.Module) -> list[tuple[str, nn.Module]]:
    network = module_of(network)
    runs = _runs(network)
    for name, module in runs:
        _check_module(name, module)
    if (changed := _unchanged(network)) is not None:
        raise InputError(
            f"module {changed!r} has hooks or a forward of its own, which the Taylor expansion cannot see: remove them"
        )
    return runs


def _unchanged(network: nn.Module) -> str | None:
    """The first module, by path, that does more than its class says; None where there is none."""
    if torch.nn.modules.module._has_any_global_hook():
        return ""
    return next(
        (
            path
            for path, module in network.named_modules()
            if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        ),
        None,
    )


def _runs(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """A Sequential's modules in the order in which they run, with the names that `interneuron.capture` gives them."""
    runs = list(_walk(network, {module: path for path, module in network.named_modules()}))
    total, calls = Counter(path for path, _ in runs), Counter[str]()
    names = []
    for path, module in runs:
        names.append((path if total[path] == 1 else f"{path}#{calls[path]}", module))
        calls[path] += 1
    return names


def _walk(module: nn.Module, paths: dict[nn.Module, str]) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for child in module:
            yield from _walk(child, paths)
    else:
        yield paths[module], module


def _check_module(path: str, module: nn.Module) -> None:
    if type(module) not in _RULES:
        raise InputError(
            f"module {path!r} is a {type(module).__name__}, and the Taylor expansion takes a Sequential of"
            f" {', '.join(known.__name__ for known in _RULES)}"
        )
    if isinstance(module, nn.Dropout) and module.training:
        raise InputError(f"module {path!r} (Dropout) is in training mode: call eval() first")
    if isinstance(module, nn.Softmax) and module.dim not in (1, -1):
        raise InputError(
            f"module {path!r} is a Softmax over axis {module.dim}, and the Taylor expansion takes axis 1 or -1"
        )
    if isinstance(module, nn.Flatten) and module.start_dim not in (1, -1):
        raise InputError(
            f"module {path!r} is a Flatten from axis {module.start_dim}, and the Taylor expansion takes axis 1"
        )


def _check_linear(modules: Sequence[tuple[str, nn.Module]], inputs: int) -> None:
    first = next((item for item in modules if isinstance(item[1], nn.Linear)), None)
    if first is not None and isinstance(first[1], nn.Linear) and first[1].in_features != inputs:
        raise InputError(f"module {first[0]!r} takes {first[1].in_features} inputs, and the points have {inputs}")
