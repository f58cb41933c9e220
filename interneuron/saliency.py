"""Saliency of an image's parts for a network: by masking superpixels or windows, by gradients, and how good a map is.

A network is any callable from images [b, channels, h, w] to scores [b, classes]: a module, or a function that adds the
softmax that turns logits into probabilities. Images are torch tensors as the network takes them; maps are NumPy [h, w].
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from interneuron import graphs
from interneuron.capture import Action, hooked
from interneuron.checks import numbers
from interneuron.errors import InputError
from interneuron.influence import influence
from interneuron.inspection import inputs, inspect, without_gradients
from interneuron.signals import size_ratio

Network = Callable[[Tensor], Tensor]
Map = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Superpixels:
    """The superpixels of several segmentations of one image, numbered 0 to m - 1 through all of them.

    `labels` int64 [segmentations, h, w]: the superpixel that each pixel is in; `sizes` int64 [m], in pixels;
    `segmentation` int64 [m]: which of the segmentations each superpixel is of.
    """

    labels: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    segmentation: npt.NDArray[np.int64]

    def spread(self, values: npt.ArrayLike) -> Map:
        """Map [h, w] of values [m] on superpixels, small ones counting more: sum v(m) / |m| over sum 1 / |m|, m at u.

        Source: Anirudh et al., "MARGIN" (2021), case II. Raises InputError for another number of values, NaN and
        infinity.
        """
        v = numbers("values", values, len(self.sizes)).astype(np.float64, copy=False)
        return (v / self.sizes)[self.labels].sum(axis=0) / (1 / self.sizes)[self.labels].sum(axis=0)


def superpixels(image: npt.ArrayLike, counts: Sequence[int], compactness: float = 10.0) -> Superpixels:
    """Superpixels by SLIC (Achanta et al., IEEE TPAMI 34, 2012; scikit-image), once for each of `counts`, about so
    many.

    image: [h, w], or [h, w, 3] in RGB; uint8, or floats in [0, 1]. compactness: scikit-image's, how much nearness
    counts against colour: texture takes more of it, and gives fewer superpixels where it is short. Raises InputError
    for another shape or range, NaN, counts below 2, and an image with fewer pixels than superpixels, or in which SLIC
    finds but one.
    """
    from skimage.segmentation import slic

    checked = numbers("pixels", image)
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or pixels.size == 0:
        raise InputError(f"the image has the shape {list(pixels.shape)}; superpixels take [h, w] or [h, w, 3]")
    if pixels.dtype != np.uint8 and not (pixels.dtype.kind == "f" and pixels.min() >= 0 and pixels.max() <= 1):
        raise InputError(
            f"the image is {pixels.dtype} of {checked.min():g} to {checked.max():g}; superpixels take uint8, or floats "
            "of 0 to 1"
        )
    h, w = pixels.shape[:2]
    if not len(counts) or not all(2 <= count <= h * w for count in counts):
        raise InputError(f"{list(counts)} superpixels asked of an image of {h} x {w} pixels; it takes 2 to {h * w}")
    if not 0 < compactness < np.inf:
        raise InputError(f"compactness is {compactness:g}, and takes a number above 0")
    # Grey as colour, so that it is compared on the same scale.
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    labels, sizes, segmentation = [], [], []
    first = 0
    for number, count in enumerate(counts):
        found = slic(colour, count, compactness, start_label=0, channel_axis=-1)
        _, index, size = np.unique(found, return_inverse=True, return_counts=True)
        if len(size) < 2:
            # Nearness alone makes superpixels of any image that has room for them.
            room = len(np.unique(slic(colour, count, 1e6, start_label=0, channel_axis=-1))) > 1
            raise InputError(
                f"SLIC finds one superpixel, not {count}: at compactness {compactness:g} colour outweighs nearness in "
                "this image (texture, noise), and it takes a larger compactness"
                if room
                else f"an image of {h} x {w} pixels is too small for {count} superpixels: SLIC finds one"
            )
        labels.append(index.reshape(h, w) + first)
        sizes.append(size)
        segmentation.append(np.full(len(size), number))
        first += len(size)
    return Superpixels(np.stack(labels), np.concatenate(sizes), np.concatenate(segmentation))


def masking_effect(
    network: Network,
    x: Tensor,
    parts: Superpixels,
    fill: float | Tensor = 0.0,
    target: int | None = None,
    batch: int = 16,
) -> npt.NDArray[np.float64]:
    """How much masking each superpixel changes the target's score: s(m) = |p_c(x) - p_c(x without m)|, float64 [m].

    x: one image [channels, h, w]; fill: what masked pixels become, a number or a tensor that broadcasts to x; target: a
    class, the one with the highest score if None; batch: masked images that pass the network together, without
    gradients. Source: Anirudh et al., "MARGIN" (2021), case II. Raises InputError for parts of another image, a target
    that the network lacks, and dropout or batch normalisation in training mode.
    """
    x, scores = _looked(network, x, batch)
    if parts.labels.shape[1:] != x.shape[1:]:
        raise InputError(f"superpixels of {list(parts.labels.shape[1:])} pixels do not fit an image {list(x.shape)}")
    target, score = _target(scores, x, target)
    labels = torch.from_numpy(parts.labels).to(x.device)
    number = torch.arange(len(parts.sizes), device=x.device)
    segmentation = torch.from_numpy(parts.segmentation).to(x.device)

    def masks() -> Iterator[Tensor]:
        for start in range(0, len(number), batch):
            some = slice(start, start + batch)
            yield labels[segmentation[some]] == number[some, None, None]

    return np.abs(score - _masked_scores(scores, x, masks(), fill, target))


@dataclass(frozen=True)
class MarginSaliency:
    """Maps [h, w]: of the score's change under masking, of MARGIN's influence, and their product, the saliency."""

    effect: Map
    influence: Map
    saliency: Map


def margin_saliency(
    effects: npt.ArrayLike, parts: Superpixels, k: int = 30, variant: str = "symmetric", p: int = 1
) -> MarginSaliency:
    """Saliency by MARGIN from the effects [m] of masking superpixels.

    Superpixels are linked to the k whose effects are nearest; the explanation function is their size over the largest
    size (sparsity); its influence by `variant` and `p` hops (see `interneuron.influence`), and the effects, are spread
    over the pixels, and multiplied. Source: Anirudh et al., "MARGIN" (2021), case II. Raises InputError for k at or
    above the number of superpixels, and as `interneuron.influence.influence` does.
    """
    s = numbers("effects", effects, len(parts.sizes)).astype(np.float64, copy=False)
    effect = parts.spread(s)
    w = graphs.knn_graph(graphs.neighbours(s[:, None], k))
    influences = parts.spread(influence(w, size_ratio(parts.sizes), variant, p))
    return MarginSaliency(effect, influences, effect * influences)


def occlusion(
    network: Network,
    x: Tensor,
    window: int,
    stride: int,
    fill: float | Tensor = 0.0,
    target: int | None = None,
    batch: int = 16,
) -> Map:
    """Drop of the target's score when a square window is filled, averaged over the windows that a pixel is in: [h, w].

    Windows of `window` pixels start every `stride` pixels, and are cut off at the border. Other arguments as in
    `masking_effect`. Source: Zeiler and Fergus, ECCV 2014. Raises InputError for a window larger than the image, a
    stride that is not between 1 and the window, and as `masking_effect` does.
    """
    x, scores = _looked(network, x, batch)
    h, w = x.shape[-2:]
    if not 1 <= stride <= window <= min(h, w):
        raise InputError(
            f"window {window} and stride {stride} on {h} x {w} pixels; it takes 1 <= stride <= window <= {min(h, w)}"
        )
    target, score = _target(scores, x, target)
    corners = [
        (top, left)
        for top in range(0, stride * -(-(h - window) // stride) + 1, stride)
        for left in range(0, stride * -(-(w - window) // stride) + 1, stride)
    ]

    def masks() -> Iterator[Tensor]:
        for start in range(0, len(corners), batch):
            some = corners[start : start + batch]
            mask = torch.zeros(len(some), h, w, dtype=torch.bool, device=x.device)
            for number, (top, left) in enumerate(some):
                mask[number, top : top + window, left : left + window] = True
            yield mask

    drops = score - _masked_scores(scores, x, masks(), fill, target)
    total, count = np.zeros((h, w)), np.zeros((h, w))
    for (top, left), drop in zip(corners, drops, strict=True):
        total[top : top + window, left : left + window] += drop
        count[top : top + window, left : left + window] += 1
    return total / count


def grad_cam(module: nn.Module, x: Tensor, layer: str, target: int | None = None) -> Map:
    """Grad-CAM [h, w] of one image x [channels, h, w]: relu(sum_k a_k A_k), a_k the mean of dy_c/dA_k over space.

    A: the activations of `layer` (see `interneuron.capture`) [maps, h', w'], brought to the image's size bilinearly;
    y_c: the module's output for the target (None: the class with the highest). Source: Selvaraju et al., ICCV 2017,
    equations 1 and 2. Raises InputError for a layer without maps, and as `interneuron.capture.activations` and
    `masking_effect` do.
    """
    x, scores = _looked(module, x)
    target, _ = _target(scores, x, target)
    kept: list[Tensor] = []

    def keep(y: Tensor) -> Tensor:
        # What is before the layer may have no gradients: of whole numbers, of weights that are frozen.
        if torch.is_grad_enabled() and not y.requires_grad and y.is_floating_point():
            y = y.detach().requires_grad_()
        # A copy goes on, so that a ReLU that works in place leaves this one alone.
        kept.append(y)
        return y.clone()

    actions: dict[str, Action] = {layer: keep}
    with torch.inference_mode(False), torch.enable_grad(), hooked(module, x[None], actions) as run:
        if len(shape := run.inspection.find(layer).shape) != 3:
            raise InputError(f"layer {layer!r} has activations {list(shape)}; Grad-CAM takes [maps, height, width]")
        score = run.output(x[None].clone().requires_grad_(x.is_floating_point()))[0, target]
        maps = kept[0]
        if not (maps.requires_grad and score.requires_grad):
            raise InputError(
                f"layer {layer!r} runs without gradients, under torch.no_grad or reentrant gradient checkpointing, and "
                "Grad-CAM takes the score's gradient"
            )
        (slope,) = torch.autograd.grad(score, maps, allow_unused=True)
    if slope is None:
        raise InputError(
            f"the score of class {target} does not depend on layer {layer!r}, and Grad-CAM takes one it does"
        )
    cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    cam = nn.functional.interpolate(cam, x.shape[-2:], mode="bilinear", align_corners=False)
    return cam[0, 0].detach().double().cpu().numpy()


def pixel_curve(
    network: Network,
    start: Tensor,
    end: Tensor,
    saliency: npt.ArrayLike,
    target: int,
    steps: int = 100,
    batch: int = 16,
) -> npt.NDArray[np.float64]:
    """The target's scores [steps + 1] while pixels of one image give way to another's, most salient first.

    start, end: images [channels, h, w]; saliency [h, w], equal ones in row-major order. After step i the first
    round(i h w / steps) pixels are those of `end`. Raises InputError for a map or images of unlike sizes, steps that
    are not between 1 and h w, and as `masking_effect` does.
    """
    start, scores = _looked(network, start, batch)
    target, _ = _target(scores, start, target)
    return _curve(scores, start, end, saliency, target, steps, batch)


def deletion_auc(
    network: Network,
    x: Tensor,
    saliency: npt.ArrayLike,
    fill: float | Tensor = 0.0,
    target: int | None = None,
    steps: int = 100,
    batch: int = 16,
) -> float:
    """Area under the target's score while the most salient pixels are filled first; lower is better.

    Over the share of pixels, by trapezoids: with probabilities it lies in [0, 1]. Arguments as in `masking_effect` and
    `pixel_curve`. Source: Petsiuk, Das and Saenko, BMVC 2018 (RISE).
    """
    x, scores = _looked(network, x, batch)
    target, _ = _target(scores, x, target)
    return area(_curve(scores, x, _filled(fill, x), saliency, target, steps, batch))


def insertion_auc(
    network: Network,
    x: Tensor,
    saliency: npt.ArrayLike,
    start: float | Tensor = 0.0,
    target: int | None = None,
    steps: int = 100,
    batch: int = 16,
) -> float:
    """Area under the target's score while the most salient pixels come first into `start`; higher is better.

    start: a number, or an image (Petsiuk et al. take the blurred x). The target is a class of x. As `deletion_auc`.
    """
    x, scores = _looked(network, x, batch)
    target, _ = _target(scores, x, target)
    return area(_curve(scores, _filled(start, x), x, saliency, target, steps, batch))


def area(curve: npt.ArrayLike) -> float:
    """Area under scores [steps + 1] over the share of pixels, by trapezoids. Raises InputError for fewer than 2."""
    values = numbers("scores", curve, "steps", least=2).astype(np.float64, copy=False)
    return float(np.trapezoid(values) / (len(values) - 1))


def share_needed(curve: npt.ArrayLike, part: float) -> float:
    """Share of the pixels with which an insertion first comes to `part` of the whole image's score.

    curve: `pixel_curve` from some start to the image, whose score is the last; its steps are the share's resolution.
    Raises InputError for fewer than 2 scores, a whole image's below 0, and a part that is not above 0 and at most 1.
    """
    values = numbers("scores", curve, "steps", least=2).astype(np.float64, copy=False)
    if not 0 < part <= 1:
        raise InputError(f"part is {part:g}, and takes a number above 0 and at most 1")
    if values[-1] < 0:
        raise InputError(f"the whole image's score is {values[-1]:g}, and a part of it takes one of 0 or more")
    return float(np.argmax(values >= part * values[-1]) / (len(values) - 1))


def gini(saliency: npt.ArrayLike) -> float:
    """Sparsity of a map: the Gini index of its magnitudes c, sorted: 1 - 2 sum_k c_(k) / |c|_1 (N - k + 1/2) / N.

    0 where all are equal (or 0), near 1 where one pixel has all. Source: Hurley and Rickard, IEEE Trans. Information
    Theory 55, 2009. Raises InputError for a map without pixels, with NaN or infinity.
    """
    c = np.sort(np.abs(numbers("values of the map", saliency).astype(np.float64, copy=False)).ravel())
    if not c.size:
        raise InputError("the map has no pixels, and the Gini index takes one or more")
    if c[-1] == 0:
        return 0.0
    # A power of two changes no digit, and keeps the sum within bounds.
    c = np.ldexp(c, -np.frexp(c[-1])[1])
    return float(1 - 2 * (c / c.sum() * (c.size - np.arange(c.size) - 0.5)).sum() / c.size)


def _looked(network: Network, x: Tensor, batch: int = 1) -> tuple[Tensor, Network]:
    """One image, and the network's scores [b, classes] of any, as a function that leaves these alone."""
    if batch < 1:
        raise InputError(f"batch is {batch}, and takes at least 1")
    image = inputs(x[None] if hasattr(x, "ndim") else [x])[0]
    if image.ndim != 3:
        raise InputError(f"the image has the shape {list(image.shape)}; saliency takes one, [channels, h, w]")
    inspection = inspect(network, image[None])
    output = inspection.output()
    if len(output.shape) != 1:
        raise InputError(f"the network gives {[1, *output.shape]} for one image; saliency takes scores [1, classes]")

    def scores(images: Tensor) -> Tensor:
        with without_gradients():
            found = output.layout.front(inspection.run(images))[: len(images)]
        if found.isnan().any():
            raise InputError("the network gives scores that are NaN, and saliency takes numbers")
        return found

    return image, scores


def _target(scores: Network, x: Tensor, target: int | None) -> tuple[int, float]:
    """The target (the best class, if None) and its score for one image."""
    found = scores(x[None])[0]
    if target is None:
        target = int(found.argmax())
    elif target not in range(len(found)):
        raise InputError(f"target is {target}; the network has classes 0 to {len(found) - 1}")
    target = int(target)
    return target, float(_finite(found[target]))


def _finite(scores: Tensor) -> Tensor:
    if not torch.isfinite(scores).all():
        raise InputError("the network gives the target a score that is infinite, and saliency takes finite ones")
    return scores


def _curve(
    scores: Network, start: Tensor, end: Tensor, saliency: npt.ArrayLike, target: int, steps: int, batch: int
) -> npt.NDArray[np.float64]:
    """As `pixel_curve`."""
    values = numbers("saliencies", saliency)
    h, w = start.shape[-2:]
    if values.shape != (h, w) or end.shape != start.shape:
        raise InputError(
            f"a map {list(values.shape)} and images {list(start.shape)} and {list(end.shape)} do not fit together"
        )
    if not 1 <= steps <= h * w:
        raise InputError(f"steps is {steps} for {h * w} pixels; a curve takes 1 to as many")
    place = np.empty(h * w, np.int64)
    place[np.argsort(-values.ravel(), kind="stable")] = np.arange(h * w)
    order = torch.from_numpy(place.reshape(h, w)).to(start.device)
    gone = torch.from_numpy(np.rint(np.arange(steps + 1) * (h * w / steps)).astype(np.int64)).to(start.device)
    masks = (order < gone[i : i + batch, None, None] for i in range(0, steps + 1, batch))
    return _masked_scores(scores, start, masks, end, target)


def _masked_scores(
    scores: Network, x: Tensor, masks: Iterator[Tensor], fill: float | Tensor, target: int
) -> npt.NDArray[np.float64]:
    """The target's scores for x with `fill` where each mask [b, h, w] is true."""
    value = _filled(fill, x)
    found = [_finite(scores(torch.where(mask[:, None], value, x))[:, target]) for mask in masks]
    return torch.cat(found).double().cpu().numpy()


def _filled(fill: float | Tensor, x: Tensor) -> Tensor:
    """A number, or a tensor that broadcasts to x, as an image."""
    try:
        # Whole numbers would be cut off, and run over, without a word.
        exact = torch.as_tensor(fill, dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the fill cannot be read as a tensor: {str(error).splitlines()[0]}") from error
    value = exact.to(x.dtype)
    if not x.is_floating_point() and not torch.equal(value.double(), exact):
        kind = str(x.dtype).removeprefix("torch.")
        raise InputError(f"the fill holds numbers that images of {kind} cannot, and takes those: fill float images")
    try:
        image = value.expand_as(x)
    except RuntimeError as error:
        raise InputError(f"a fill {list(value.shape)} does not fit an image {list(x.shape)}") from error
    if image.is_floating_point() and not torch.isfinite(value).all():
        raise InputError("the fill is NaN or infinite, and takes finite numbers")
    return image
