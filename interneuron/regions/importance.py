"""What the features of a region's affine map weigh, and the other measures of importance to hold it against."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from interneuron import checks, tensor_checks
from interneuron.errors import InputError
from interneuron.regions.affine import Outputs, chosen_outputs, maps_at, predicted_classes
from interneuron.regions.patterns import Packed, block_size, packed_bits
from interneuron.regions.piecewise import PiecewiseAffine, piecewise_affine
from interneuron.seeds import generator

Float64 = NDArray[np.float64]

# Halvings of a path: intervals of 2^-24 of it are beyond float32.
_HALVINGS = 24


@dataclass(frozen=True)
class Importance:
    """Importance of d features in R regions, for each output: float64 [R, outputs, d], but for `support`.

    `omega`: the map's weights; `spread`: omega times the feature's standard deviation over all samples; `within`: omega
    times its standard deviation over the region's own. `support` int64 [R]: the region's samples.
    """

    omega: Float64
    spread: Float64
    within: Float64
    support: NDArray[np.int64]


class Correlated(NamedTuple):
    """Two features and Pearson's correlation of them."""

    first: int
    second: int
    correlation: float


def importance(omega: ArrayLike | Tensor, x: ArrayLike | Tensor, labels: ArrayLike) -> Importance:
    """The weights of each region's map, as they are and on the scale of the features' spread.

        importance of feature i in region r = omega_ri,    omega_ri std(x_i),    omega_ri std(x_i | r)

    omega [R, outputs, d] or [R, d]: the regions' maps; x [n, ...], d numbers a sample; labels [n]: region of each
    sample, 0 to R - 1. Standard deviations divide by the number of samples; those of a region without samples are
    NaN. The weights alone depend on the features' units; weights of features that vary little, or together with others
    (`correlated_features`), do not say what the network goes by.

    Raises InputError where the shapes or labels do not fit, and for NaN. Source of the first: Picchiotti & Gori 2021,
    section 3.
    """
    weights, values, of = _array("omega", omega), _rows(x), checks.whole("labels", labels)
    if weights.ndim == 2:
        weights = weights[:, None]
    if weights.ndim != 3 or weights.shape[2] != values.shape[1]:
        raise InputError(f"omega has shape {list(weights.shape)}, and takes [regions, outputs, {values.shape[1]}]")
    _check_labels(of, len(values), len(weights))
    support = np.bincount(of, minlength=len(weights))
    overall = values.std(0)
    within = np.full((len(weights), values.shape[1]), np.nan)
    for region in np.flatnonzero(support):
        within[region] = values[of == region].std(0)
    return Importance(weights, weights * overall, weights * within[:, None], support)


def correlations(x: ArrayLike | Tensor) -> Float64:
    """Pearson's correlation of every two features of x [n, ...], float64 [d, d]; NaN for one that does not vary.

    Raises InputError for inputs that are not finite, and fewer than two samples.
    """
    values = _rows(x)
    if len(values) < 2:
        raise InputError("inputs have one sample, and a correlation takes two or more")
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Float64 = np.atleast_2d(np.corrcoef(values.T))
    constant = ~_varying(values - values.mean(0), values)
    found[constant] = found[:, constant] = np.nan
    return found


def correlated_features(x: ArrayLike | Tensor, threshold: float = 0.8) -> list[Correlated]:
    """Pairs of features with a Pearson correlation of at least `threshold` in absolute value, strongest first.

    x [n, ...]; features that do not vary have none. The weights of such a pair are not importances: the network could
    have used the other. Raises InputError for a threshold outside of (0, 1]. Source of the warning: Picchiotti & Gori
    2021, section 5.
    """
    values = _rows(x)
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}, and takes more than 0 and at most 1")
    centred = values - values.mean(0)
    norm, varies = np.sqrt((centred**2).sum(0)), _varying(centred, values)
    scaled = centred[:, varies] / norm[varies]
    r = np.clip(scaled.T @ scaled, -1, 1)
    names = np.flatnonzero(varies)
    first, second = np.nonzero(np.triu(np.abs(r) >= threshold - 1e-12, 1))
    pairs = [Correlated(int(names[i]), int(names[j]), float(r[i, j])) for i, j in zip(first, second, strict=True)]
    return sorted(pairs, key=lambda pair: (-abs(pair.correlation), pair.first, pair.second))


def permutation_importance(
    network: nn.Module,
    x: ArrayLike | Tensor,
    classes: ArrayLike | Tensor | None = None,
    repeats: int = 5,
    seed: int = 0,
    batch: int | None = None,
    logits: bool = False,
) -> Float64:
    """Share of right predictions lost when a feature's values are shuffled over the samples: [repeats, d].

    classes [n]: what is right; None: the network's own predictions on x, so that the loss is that of fidelity. Each
    repeat and feature has a permutation of its own, drawn from `seed`. Raises InputError as the package says, and where
    classes do not fit. Source: Breiman 2001; Fisher, Rudin & Dominici 2019.
    """
    program, values = piecewise_affine(network, x, logits)
    if repeats < 1:
        raise InputError(f"repeats is {repeats}, and takes at least 1")
    size = block_size(batch, 65536)
    flat = values.flatten(1)

    def predict(rows: Tensor) -> Tensor:
        parts = [rows[start : start + size].view(-1, *values.shape[1:]) for start in range(0, len(rows), size)]
        return torch.cat([predicted_classes(program.run(part)[0]) for part in parts])

    with torch.no_grad():
        own = predict(flat)
        right = own if classes is None else tensor_checks.whole("classes", classes).to(own)
        if right.shape != own.shape:
            raise InputError(f"classes have shape {list(right.shape)}, and take [{len(own)}]")
        base = (own == right).double().mean()
        lost = np.empty((repeats, flat.shape[1]))
        changed = flat.clone()
        for repeat in range(repeats):
            for feature in range(flat.shape[1]):
                order = generator(seed, "permutation importance", repeat, feature).permutation(len(flat))
                changed[:, feature] = flat[torch.from_numpy(order).to(flat.device), feature]
                lost[repeat, feature] = base - (predict(changed) == right).double().mean()
                changed[:, feature] = flat[:, feature]
    return lost


def integrated_gradients(
    network: nn.Module,
    x: ArrayLike | Tensor,
    baseline: ArrayLike | Tensor | None = None,
    outputs: Outputs = None,
    batch: int | None = None,
    logits: bool = False,
) -> Tensor:
    """Integrated gradients from the baseline v to each sample u, without steps: [n, outputs, d].

        IG_i = (u_i - v_i) int_0^1 df/du_i(v + t (u - v)) dt = (u_i - v_i) sum_s (t_{s+1} - t_s) Omega_i(s)

    over the regions s that the straight line passes. Regions are convex, so one that holds both ends of a piece of the
    line holds all of it: pieces whose ends differ are halved, to 2^-24 of the line, where less is left than float32
    tells apart. Over the features they sum to f(u) - f(v).

    x [n, ...]; baseline of one sample's shape or [n, ...], 0 by default; outputs as in `affine_maps` ("predicted": at
    u). Raises InputError as the package says, and for a baseline that does not fit. Source: Sundararajan, Taly & Yan
    2017, equation 1.
    """
    program, values = piecewise_affine(network, x, logits)
    start = (
        torch.zeros_like(values[:1]) if baseline is None else tensor_checks.numbers("baselines", baseline).to(values)
    )
    if start.ndim < values.ndim:
        start = start[None]
    if start.shape[1:] != values.shape[1:] or len(start) not in (1, len(values)):
        raise InputError(
            f"baseline has shape {list(start.shape)}, and takes that of a sample, {list(values.shape[1:])}"
        )
    size = block_size(batch, 256)
    parts = []
    for first in range(0, len(values), size):
        u = values[first : first + size]
        v = start.expand_as(values)[first : first + size]
        with torch.no_grad():
            chosen = chosen_outputs(outputs, program, u)
        parts.append(_along(program, u, v, chosen))
    return torch.cat(parts)


def _along(program: PiecewiseAffine, u: Tensor, v: Tensor, chosen: Tensor) -> Tensor:
    """Integrated gradients of a few samples: pieces of the line are halved until both ends lie in one region."""

    def at(sample: Tensor, t: Tensor) -> Tensor:
        weight = t.to(u.dtype).view(-1, *[1] * (u.ndim - 1))
        return torch.lerp(v[sample], u[sample], weight)

    def patterns(sample: Tensor, t: Tensor) -> Packed:
        if not program.sites:
            return np.empty((len(sample), 0), np.uint8)
        return packed_bits(program, program.run(at(sample, t))[1])

    total = u.new_zeros((len(u), chosen.shape[1], program.inputs))
    sample = torch.arange(len(u), device=u.device)
    low, high = (torch.full((len(u),), end, dtype=torch.float64, device=u.device) for end in (0.0, 1.0))
    with torch.no_grad():
        before, after = patterns(sample, low), patterns(sample, high)
    for halving in range(_HALVINGS + 1):
        done = torch.from_numpy((before == after).all(1)).to(u.device)
        if halving == _HALVINGS:
            done[:] = True
        whole = sample[done]
        if len(whole):
            index = chosen if len(chosen) == 1 else chosen[whole]
            omega = maps_at(program, at(whole, (low + high)[done] / 2), index).omega
            total.index_add_(0, whole, omega * (high - low)[done].to(u.dtype)[:, None, None])
        if done.all():
            break
        open_ = (~done).cpu().numpy()
        sample, low, high, before, after = sample[~done], low[~done], high[~done], before[open_], after[open_]
        middle = (low + high) / 2
        with torch.no_grad():
            between = patterns(sample, middle)
        sample = sample.repeat(2)
        low, high = torch.cat([low, middle]), torch.cat([middle, high])
        before, after = np.concatenate([before, between]), np.concatenate([between, after])
    return total * (u - v).flatten(1)[:, None]


def _array(what: str, values: ArrayLike | Tensor) -> Float64:
    return tensor_checks.array(what, values).astype(np.float64, copy=False)


def _rows(x: ArrayLike | Tensor) -> Float64:
    values = _array("inputs", x)
    if values.ndim < 2 or not values.size:
        raise InputError(f"inputs have shape {list(values.shape)}, and take [samples, ...] with at least one sample")
    return values.reshape(len(values), -1)


def _varying(centred: Float64, values: Float64) -> NDArray[np.bool_]:
    """Which features vary: what is left of a constant by rounding is no spread."""
    norm = np.sqrt((centred**2).sum(0))
    result: NDArray[np.bool_] = norm > 1e-12 * np.maximum(np.abs(values).max(0), 1e-300) * np.sqrt(len(values))
    return result


def _check_labels(labels: NDArray[np.integer], samples: int, regions: int) -> None:
    if labels.shape != (samples,):
        raise InputError(
            f"labels are {labels.dtype} of shape {list(labels.shape)}, and take whole numbers, [{samples}]"
        )
    if labels.min() < 0 or labels.max() >= regions:
        raise InputError(f"labels go from {labels.min()} to {labels.max()}, of {regions} regions counted from 0")
