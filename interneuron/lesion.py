"""Lesions: any set of neurons of any layers, silenced while the network runs."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from interneuron import checks
from interneuron.capture import Action, activations, hooked
from interneuron.errors import InputError
from interneuron.images import ssim
from interneuron.inspection import Inspection, Layout, inputs, inspect, without_gradients
from interneuron.seeds import generator

# Lesions whose images are kept at once.
_TOGETHER = 8


def lesion(
    module: nn.Module | Inspection,
    x: ArrayLike | Tensor,
    masks: Mapping[str, ArrayLike | Tensor],
    values: Mapping[str, ArrayLike | Tensor] | None = None,
    rows: int = 1400,
) -> Tensor:
    """Outputs [L, n, ...] of `module` for n inputs x [n, ...] under each of L lesions, all in one batched pass.

    A lesioned neuron's activation h becomes 0 (zero ablation; as (1 - mask) * h, so that NaN and infinities survive) or
    its value in `values` (mean ablation: its mean over inputs of the intact network), wherever its layer's output goes.
    Each lesion's outputs have the network's own axes, also where the samples are not on the first.

    module: or what a look at one found (`interneuron.inspection.inspect`), which is not repeated. masks: by layer name
    (see `interneuron.capture`; `input` too), bool [L, units], True where lesioned. values: by the
    same names, [units]. rows: lesions x inputs that pass the network together; it bounds the memory, and a few thousand
    keep the activations in the processor's cache.

    Raises InputError for masks or values that don't fit, a network whose output is no single tensor, or in which a
    sample's numbers depend on others or on chance, and as `interneuron.capture.activations` does.
    """
    if rows < 1:
        raise InputError(f"rows is {rows}, and takes at least 1")
    x = inputs(x)
    hidden = {name: _like(x, f"mask of layer {name!r}", mask) for name, mask in masks.items()}
    become = None if values is None else {name: _like(x, f"values of layer {name!r}", v) for name, v in values.items()}
    at_once = max(1, min(len(x), rows))
    most = rows // at_once
    part = slice(0, 0)

    def silence(name: str) -> Action:
        def action(y: Tensor) -> Tensor:
            together = part.stop - part.start
            h = y.reshape(together, len(y) // together, run.sizes[name])
            if become is None:
                return (h * keep[name][part, None].to(y.dtype)).view(y.shape)
            given = become[name]
            value = given.to(y.dtype)
            if not torch.can_cast(given.dtype, y.dtype) and not torch.equal(value.to(given.dtype), given):
                raise InputError(f"values of layer {name!r} hold numbers that its {y.dtype} cannot")
            return torch.where(hidden[name][part, None], value, h).view(y.shape)

        return action

    out = None
    with without_gradients(), hooked(module, x, {name: silence(name) for name in masks}) as run:
        layout = run.inspection.output().layout
        lesions = _check(run.sizes, hidden, become)
        keep = {name: (~mask).to(x.dtype) for name, mask in hidden.items()} if become is None else {}
        for first in range(0, lesions, most):
            part = slice(first, min(first + most, lesions))
            count = part.stop - part.start
            for start in range(0, len(x), at_once):
                some = x[start : start + at_once]
                y = run.output(some.expand(count, *some.shape).flatten(0, 1)).unflatten(0, (count, -1))
                if out is None:
                    if count == lesions and len(some) == len(x):
                        out = y
                        break
                    out = torch.empty((lesions, len(x), *y.shape[2:]), dtype=y.dtype, device=y.device)
                out[part, start : start + at_once] = y
    assert out is not None
    return out if layout == Layout() else torch.stack([layout.back(one) for one in out])


def random_sets(
    counts: Mapping[str, int], eligible: Mapping[str, ArrayLike], samples: int, stream: np.random.Generator
) -> dict[str, Tensor]:
    """Random sets with counts[layer] neurons of each layer: by layer, bool [samples, units].

    Every subset with that many of a layer's neurons for which eligible[layer] [units] is true is equally likely. Raises
    InputError for a layer that `eligible` lacks, for more neurons than are eligible, and for marks that are none.
    """
    for name in counts:
        if name not in eligible:
            raise InputError(f"no layer {name!r} among {', '.join(eligible)}")
    able = {name: checks.marks(f"eligible neurons of layer {name!r}", eligible[name], "units") for name in counts}
    for name, count in counts.items():
        if not 0 <= count <= able[name].sum():
            raise InputError(f"{count} neurons of layer {name!r} asked for, of which {able[name].sum()} are eligible")
    if samples < 1:
        raise InputError(f"samples is {samples}, and takes at least 1")
    sets = {}
    for name, count in counts.items():
        candidates = np.flatnonzero(able[name])
        chosen = np.zeros((samples, len(candidates)), bool)
        chosen[:, :count] = True
        mask = np.zeros((samples, len(able[name])), bool)
        mask[:, candidates] = stream.permuted(chosen, axis=1)
        sets[name] = torch.from_numpy(mask)
    return sets


def compare(accuracy: float, null: ArrayLike) -> tuple[float, float, float, float]:
    """An observed accuracy against those of random sets [samples]: mean and standard deviation of these, z, p.

    z = (accuracy - mean) / standard deviation (n - 1 in the denominator); where all random sets agree it is 0 for an
    accuracy like theirs and infinite for another. p = (1 + #{null <= accuracy}) / (1 + samples), the share of sets that
    do at least as much harm, the observed one among them (Phipson and Smyth 2010). Raises InputError for fewer than two
    samples, and for accuracies that are NaN or infinite.
    """
    found = checks.numbers("accuracies of random sets", null).astype(np.float64, copy=False)
    observed = checks.numbers("observed accuracies", accuracy).astype(np.float64, copy=False)
    if observed.ndim:
        raise InputError(f"the observed accuracy has shape {list(observed.shape)}, and takes one number")
    if found.ndim != 1 or len(found) < 2:
        raise InputError(f"the null has shape {list(found.shape)}, and takes at least two random sets on one axis")
    mean, sd = float(found.mean()), float(found.std(ddof=1))
    difference = float(observed) - mean
    z = difference / sd if sd > 0 else float(np.copysign(np.inf, difference)) if abs(difference) > 1e-12 else 0.0
    return mean, sd, z, float((1 + (found <= float(observed) + 1e-12).sum()) / (1 + len(found)))


def _check(sizes: Mapping[str, int], masks: Mapping[str, Tensor], values: Mapping[str, Tensor] | None) -> int:
    """Number of lesions, after a look at masks and values."""
    if not masks:
        raise InputError("no masks: a lesion takes at least one layer")
    first = next(iter(masks.values()))
    lesions = len(first) if first.ndim else 0
    for name, mask in masks.items():
        if mask.dtype != torch.bool or mask.shape != (lesions, sizes[name]) or not lesions:
            raise InputError(
                f"mask of layer {name!r} is {mask.dtype} {list(mask.shape)}, and takes torch.bool "
                f"[{lesions or 'lesions'}, {sizes[name]}]"
            )
        if values is not None and (name not in values or values[name].shape != (sizes[name],)):
            got = list(values[name].shape) if name in values else "missing"
            raise InputError(f"values of layer {name!r} are {got}, and take one number for each of {sizes[name]} units")
    return lesions


def _like(x: Tensor, what: str, values: ArrayLike | Tensor) -> Tensor:
    """`values` as a tensor where x is."""
    try:
        return torch.as_tensor(values, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} cannot be read as a tensor: {str(error).splitlines()[0]}") from error


class _Twice(nn.Module):
    """The judge's logits [n, 2, classes] of images as they are, and of what a lesion of `pixels` leaves of them."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge, self.pixels = judge, nn.Identity()

    def forward(self, y: Tensor) -> Tensor:
        return torch.stack([self.judge(y), self.judge(self.pixels(y))], 1)


class Bench:
    """A decoder's images of one digit under lesions, judged by a classifier. Equal lesions are computed once.

    decoder: a `torch.nn.Sequential` on [n, inputs] whose last layer are pixels in [0, 1]; judge: pixels [n, pixels] to
    logits [n, classes]; layers: (name, size) of the layers that lesions may touch, inputs first and pixels last;
    x [images, inputs] and null_x [null images, inputs]: inputs that should be taken for `digit`, for the lesions and
    for their comparison with random sets; image: (height, width); key: (seed, purpose, numbers...) of the random sets.
    Masks are bool arrays [neurons], the layers' units one after another.
    """

    def __init__(
        self,
        decoder: nn.Sequential,
        judge: nn.Module,
        layers: Sequence[tuple[str, int]],
        x: Tensor,
        null_x: Tensor,
        digit: int,
        image: tuple[int, int],
        key: tuple,
    ) -> None:
        self.decoder, self.judge, self.x, self.null_x, self.digit, self.image = decoder, judge, x, null_x, digit, image
        self.sizes = {str(name): int(size) for name, size in layers}
        self.key = key
        self.images = len(x)
        judged = OrderedDict[str, nn.Module]([*decoder.named_children(), ("judge", judge)])
        twice = OrderedDict[str, nn.Module]([*decoder.named_children(), ("both", _Twice(judge))])
        self._decoder, self._judged = inspect(decoder, x), inspect(nn.Sequential(judged), null_x)
        self._judged_twice = inspect(nn.Sequential(twice), null_x)
        self._ends = np.cumsum([0, *self.sizes.values()])
        if self.sizes[list(self.sizes)[-1]] != image[0] * image[1]:
            raise InputError(
                f"the decoder's images have {self.sizes[list(self.sizes)[-1]]} pixels, the judge's {image}"
            )
        self.nothing = np.zeros(self._ends[-1], bool)
        self.hidden = self.nothing.copy()
        self.hidden[self._ends[1] : self._ends[-2]] = True
        y = activations(decoder, x, self.sizes)
        self._means = {name: y[name].mean(0) for name in self.sizes}
        self._intact = y[list(self.sizes)[-1]]
        self._outcomes: dict[tuple[bytes, str], dict[str, float]] = {}
        self._nulls: dict[tuple[tuple[int, ...], bytes, int], NDArray[np.float64]] = {}

    def kinds(self, mask: NDArray[np.bool_]) -> dict[str, int]:
        """How many neurons are in a set: `neurons`, of them `hidden`, `inputs` and `pixels`."""
        counts = self._counts(mask)
        return {
            "neurons": sum(counts),
            "hidden": sum(counts[1:-1]),
            "inputs": counts[0],
            "pixels": counts[-1],
        }

    def outcomes(self, masks: Sequence[NDArray[np.bool_]], ablation: str) -> list[dict[str, float]]:
        """What each lesion does, by `ablation` `zero` or `mean`; an empty one leaves the intact decoder.

        `accuracy`: share of the images that the judge takes for the digit; `taken_for`: the class most often seen among
        the others, -1 without any; `mse`, `ssim`: against the intact decoder's images, mean over images.
        """
        if ablation not in ("zero", "mean"):
            raise InputError(f"ablation is {ablation!r}, and takes 'zero' or 'mean'")
        new = {mask.tobytes(): mask for mask in masks if (mask.tobytes(), ablation) not in self._outcomes}
        values = self._means if ablation == "mean" else None
        for start in range(0, len(new), _TOGETHER):
            some = list(new.values())[start : start + _TOGETHER]
            y = lesion(self._decoder, self.x, self._split(np.stack(some)), values)
            for mask, outcome in zip(some, self._look(y), strict=True):
                self._outcomes[mask.tobytes(), ablation] = outcome
        return [self._outcomes[mask.tobytes(), ablation] for mask in masks]

    def worst(self, masks: Sequence[NDArray[np.bool_]]) -> int:
        """Number of the lesion (zero) with the lowest accuracy; ties go to the larger mse, then to the first."""
        outcomes = self.outcomes(masks, "zero")
        return min(range(len(masks)), key=lambda i: (outcomes[i]["accuracy"], -outcomes[i]["mse"], i))

    def null_accuracy(self, mask: NDArray[np.bool_]) -> float:
        """Accuracy under a lesion (zero ablation), on the images that the random sets are judged on."""
        return float(self._accuracies(self._judged, self._split(mask[None]))[0])

    def null(self, mask: NDArray[np.bool_], eligible: NDArray[np.bool_], samples: int) -> NDArray[np.float64]:
        """Accuracies [samples] under random sets (zero ablation) of the same size and layer mix as a lesion.

        They are drawn from the `eligible` neurons: a set that can hold no constant neuron is compared with sets that
        can hold none. The random neurons of a layer depend on the layer, their number and the eligible ones alone.
        """
        counts, population = tuple(self._counts(mask)), eligible.tobytes()
        if (counts, population, samples) not in self._nulls:
            within = {name: eligible[a:b] for name, (a, b) in zip(self.sizes, pairwise(self._ends), strict=True)}
            masks: dict[str, Tensor] = {}
            for layer, (name, count) in enumerate(zip(self.sizes, counts, strict=True)):
                if count or not layer:
                    stream = generator(*self.key, layer, count)
                    masks |= random_sets({name: count}, within, samples, stream)
            if counts[0] or not counts[-1]:
                self._nulls[counts, population, samples] = self._accuracies(self._judged, masks)
            else:
                # Without inputs, the images of the set's hidden neurons serve the whole set too.
                masks["both.pixels"] = masks.pop(list(self.sizes)[-1])
                both = self._accuracies(self._judged_twice, masks)
                self._nulls[(*counts[:-1], 0), population, samples] = both[:, 0]
                self._nulls[counts, population, samples] = both[:, 1]
        return self._nulls[counts, population, samples]

    def pictures(self, masks: Sequence[NDArray[np.bool_]], x: Tensor) -> NDArray[np.uint8]:
        """Images of x [n, inputs] as bytes, [1 + masks, n, pixels]: intact, then under each lesion (zero ablation)."""
        y = lesion(self._decoder, x, self._split(np.stack([self.nothing, *masks])))
        return (255 * y).round().clamp(0, 255).byte().numpy()

    def _look(self, y: Tensor) -> list[dict[str, float]]:
        """Outcomes of the images y [L, images, pixels]."""
        with torch.no_grad():
            seen = torch.cat([self.judge(some).argmax(-1) for some in y.flatten(0, 1).split(700)]).view(y.shape[:2])
        similar = ssim(self._intact.view(-1, *self.image).numpy(), y.view(*y.shape[:2], *self.image).numpy())
        found = []
        for lesioned, classes, similarity in zip(y, seen, similar, strict=True):
            wrong = torch.bincount(classes[classes != self.digit])
            found.append(
                {
                    "accuracy": float((classes == self.digit).double().mean()),
                    "taken_for": int(wrong.argmax()) if len(wrong) else -1,
                    "mse": float((lesioned - self._intact).square().mean(dtype=torch.float64)),
                    "ssim": float(similarity.mean(dtype=np.float64)),
                }
            )
        return found

    def _accuracies(self, network: Inspection, masks: Mapping[str, Tensor]) -> NDArray[np.float64]:
        """Share of the null images taken for the digit, [L] or, with two judgements an image, [L, 2]."""
        seen = lesion(network, self.null_x, masks).argmax(-1)
        return (seen == self.digit).double().mean(1).numpy()

    def _counts(self, mask: NDArray[np.bool_]) -> list[int]:
        return [int(mask[a:b].sum()) for a, b in pairwise(self._ends)]

    def _split(self, masks: NDArray[np.bool_]) -> dict[str, Tensor]:
        """Masks [L, neurons] by layer; layers without a lesion are left out, but for the input."""
        parts = {name: masks[:, a:b] for name, (a, b) in zip(self.sizes, pairwise(self._ends), strict=True)}
        first = next(iter(parts))
        return {name: torch.from_numpy(part) for name, part in parts.items() if name == first or part.any()}
