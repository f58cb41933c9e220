"""Adversarial attacks on image classifiers, batched: fast gradient sign, and Carlini and Wagner's L2 attack.

A network is any callable from inputs [b, ...] to logits [b, classes] that treats its samples one by one: what comes out
for a sample does not depend on the batch it is in, beyond rounding. Parameters get no gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interneuron import tensor_checks
from interneuron.errors import InputError
from interneuron.inspection import Layout, inspect

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attack:
    """Attacked inputs.

    `x` [n, ...]: the adversarial inputs, the original ones where the attack failed; `success` bool [n]: whether the
    network takes them for another class than the label (for the target, in a targeted attack); `distortion` [n]: the
    Euclidean distance from the original.
    """

    x: Tensor
    success: Tensor
    distortion: Tensor


def fast_gradient_sign(
    network: Network,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    bounds: tuple[float, float] = (0.0, 1.0),
    batch: int = 256,
) -> Attack:
    """The fast gradient sign method: x + epsilon sign(d loss / d x), clipped to `bounds`; loss is the cross-entropy.

    x [n, ...] within bounds, labels int64 [n]. Source: Goodfellow, Shlens and Szegedy, ICLR 2015. Raises InputError for
    an epsilon that is not above 0, x outside of the bounds, labels that are not one class an input, and a network that
    gives an input other logits in another batch or call, also where a function hides its training mode.
    """
    if not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}; the fast gradient sign takes a number above 0")
    x, (labels,) = _checked(network, x, bounds, batch, labels=labels)
    moved = torch.empty_like(x)
    for part in _parts(len(x), batch):
        inputs = x[part].detach().clone().requires_grad_(True)
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(network(inputs.clone()), labels[part], reduction="sum")
        (slope,) = torch.autograd.grad(loss, inputs)
        moved[part] = (x[part] + epsilon * slope.sign()).clamp(*bounds)
    return _result(network, x, moved, labels, batch)


def carlini_wagner(
    network: Network,
    x: Tensor,
    labels: Tensor,
    bounds: tuple[float, float] = (0.0, 1.0),
    targets: Tensor | None = None,
    confidence: float = 0.0,
    learning_rate: float = 0.01,
    iterations: int = 1000,
    search_steps: int = 9,
    constant: float = 1e-3,
    batch: int = 100,
) -> Attack:
    """Carlini and Wagner's L2 attack: the nearest input that is misclassified, by gradient descent from each x.

    With x' = mid + half tanh(v), which keeps it within `bounds`, Adam minimises |x' - x|^2 + c g(x'),

        g(x') = max(Z_y - max_{i != y} Z_i, -confidence),  or for a target t  max(max_{i != t} Z_i - Z_t, -confidence),

    Z the logits. c is searched by bisection for each input, from `constant`, times 10 as long as it fails. The nearest
    success of all iterations is kept. x [n, ...] within bounds, labels int64 [n]; targets int64 [n] or None
    (untargeted). Unlike the authors' code no batch is given up early, so that an input's result does not depend on the
    others.

    Source: Carlini and Wagner, IEEE S&P 2017, section VI, with the defaults of their code. Raises InputError for
    settings outside of their range, as `fast_gradient_sign` does, and for targets that are the labels.
    """
    for name, least, value in (
        ("confidence", 0, confidence),
        ("iterations", 1, iterations),
        ("search_steps", 1, search_steps),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; the attack takes {least} or more")
    for name, number in (("learning_rate", learning_rate), ("constant", constant)):
        if not number > 0:
            raise InputError(f"{name} is {number}; the attack takes a number above 0")
    x, (labels, *aims) = _checked(
        network, x, bounds, batch, labels=labels, **({} if targets is None else {"targets": targets})
    )
    if targets is not None:
        targets = aims[0]
        if (targets == labels).any():
            raise InputError("some targets are the labels; a targeted attack takes other classes")
    nearest = x.clone()
    for part in _parts(len(x), batch):
        goal = labels[part] if targets is None else targets[part]
        nearest[part] = _descend(
            network,
            x[part],
            goal,
            targets is not None,
            bounds,
            confidence,
            learning_rate,
            iterations,
            search_steps,
            constant,
        )
    return _result(network, x, nearest, labels, batch, targets)


def _descend(
    network: Network,
    x: Tensor,
    goal: Tensor,
    targeted: bool,
    bounds: tuple[float, float],
    confidence: float,
    learning_rate: float,
    iterations: int,
    search_steps: int,
    constant: float,
) -> Tensor:
    """The nearest successes of one batch, x itself where there is none."""
    n, rows = len(x), (-1, *[1] * (x.ndim - 1))
    middle, half = (bounds[1] + bounds[0]) / 2, (bounds[1] - bounds[0]) / 2
    # Just inside, so that the bounds themselves have a finite v.
    start = torch.atanh((x.detach() - middle) / half * 0.999999)
    c = torch.full((n,), constant, dtype=x.dtype, device=x.device)
    lower, upper = torch.zeros_like(c), torch.full_like(c, torch.inf)
    nearest, least = x.detach().clone(), torch.full_like(c, torch.inf)
    for _ in range(search_steps):
        v = start.clone().requires_grad_(True)
        optimiser = torch.optim.Adam([v], learning_rate)
        succeeded = torch.zeros(n, dtype=torch.bool, device=x.device)
        for _ in range(iterations):
            with torch.enable_grad():
                moved = middle + half * v.tanh()
                square = (moved - x).flatten(1).square().sum(1)
                ahead = _lead(network(moved.clone()), goal) * (-1 if targeted else 1)
                loss = (square + c * ahead.clamp(min=-confidence)).sum()
            (v.grad,) = torch.autograd.grad(loss, v)
            done = (ahead < 0) & (ahead <= -confidence)
            better = done & (square < least)
            succeeded |= done
            least = torch.where(better, square.detach(), least)
            nearest = torch.where(better.view(rows), moved.detach(), nearest)
            optimiser.step()
        upper = torch.where(succeeded, torch.minimum(upper, c), upper)
        lower = torch.where(succeeded, lower, torch.maximum(lower, c))
        c = torch.where(upper.isfinite(), (lower + upper) / 2, 10 * c)
    return nearest


def _lead(logits: Tensor, goal: Tensor) -> Tensor:
    """By how much the goal's logit is ahead of the largest other."""
    own = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, goal[:, None], True)
    return logits[own] - logits.masked_fill(own, -torch.inf).amax(1)


def _parts(n: int, batch: int) -> list[slice]:
    return [slice(start, start + batch) for start in range(0, n, batch)]


def _result(
    network: Network, x: Tensor, moved: Tensor, labels: Tensor, batch: int, targets: Tensor | None = None
) -> Attack:
    with torch.no_grad():
        classes = torch.cat([network(moved[part].clone()).argmax(1) for part in _parts(len(x), batch)])
    success = classes != labels if targets is None else classes == targets
    kept = torch.where(success.view(-1, *[1] * (x.ndim - 1)), moved, x)
    return Attack(kept, success, (kept - x).flatten(1).norm(dim=1))


def _checked(
    network: Network, x: Tensor, bounds: tuple[float, float], batch: int, **classes: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Inputs, and classes of them by what they are, as tensors. The network never sees the caller's own."""
    if not bounds[0] < bounds[1]:
        raise InputError(f"bounds are {bounds}; an attack takes two numbers, the lower first")
    if batch < 1:
        raise InputError(f"batch is {batch}; an attack takes 1 or more")
    x = tensor_checks.numbers("inputs", x)
    if x.ndim < 2 or not x.numel() or not (x.min() >= bounds[0] and x.max() <= bounds[1]):
        raise InputError(f"inputs {list(x.shape)} are not all within {bounds}; an attack takes [n, ...] that are")
    count = _outputs(network, x)
    found = []
    for what, values in classes.items():
        # Floats that happen to be whole are no classes.
        if isinstance(values, Tensor) and values.dtype != torch.int64:
            raise InputError(f"{what} are {values.dtype} {list(values.shape)}; an attack takes int64 [{len(x)}]")
        labels = tensor_checks.whole(what, values)
        if labels.shape != x.shape[:1] or not 0 <= labels.min() <= labels.max() < count:
            raise InputError(
                f"{what} are {labels.dtype} {list(labels.shape)}; {len(x)} inputs take one of 0 to {count - 1} each, "
                "int64"
            )
        found.append(labels.to(x.device))
    return x, found


def _outputs(network: Network, x: Tensor) -> int:
    """How many classes the network tells apart. Raises InputError as `inspection.inspect`, and for no gradient."""
    found = inspect(network, x)
    output = found.output()
    if len(output.shape) != 1 or output.shape[0] < 2 or output.layout != Layout() or not found.alone:
        raise InputError(f"the network gives {list(output.shape)} for one input; an attack takes logits [classes]")
    with torch.enable_grad():
        leaf = x[:1].detach().clone().requires_grad_()
        logits = network(leaf.clone())
        try:
            slope = torch.autograd.grad(logits.sum(), leaf, allow_unused=True)[0] if logits.requires_grad else None
        except RuntimeError as error:
            raise InputError(
                f"the network's logits have no gradient that can be had: {str(error).splitlines()[0]}"
            ) from error
        if slope is None:
            raise InputError("the network's logits have no gradient in its inputs; an attack takes some that have")
    return output.shape[0]
