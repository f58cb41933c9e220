"""Saliency on networks small enough to know the answer, and against captum; what it refuses."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, LayerGradCam, Occlusion
from skimage.filters import gaussian
from torch import nn

from interneuron import saliency
from interneuron.errors import InputError
from interneuron.influence import influence
from interneuron.saliency import Superpixels, superpixels

rng = np.random.default_rng(0)


def photo(h=40, w=30):
    """A smooth random image in [0, 1]: [h, w, 3]."""
    image = gaussian(rng.normal(size=(h, w, 3)), 3, channel_axis=-1)
    return (image - image.min()) / (image.max() - image.min())


def tensor(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(54, 5),
        nn.Softmax(1),
    ).requires_grad_(False)


class Weighted(nn.Module):
    """Two scores of an image: the sum of its pixels by weights [h, w], and 0."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.from_numpy(weights).float()

    def forward(self, x):
        score = (x.sum(1) * self.weights).sum((1, 2))
        return torch.stack([score, torch.zeros_like(score)], 1)


def halves(h=4, w=6):
    """A segmentation into left and right, and one into three rows of unlike heights."""
    columns = np.repeat([[0] * (w // 2) + [1] * (w - w // 2)], h, axis=0)
    rows = np.repeat([2, 3, 4, 4], w).reshape(4, w)
    labels = np.stack([columns, rows])
    return Superpixels(labels, np.bincount(labels.ravel()), np.array([0, 0, 1, 1, 1]))


# superpixels


def test_superpixels_cover_every_pixel_once_a_segmentation():
    parts = superpixels(photo(), [5, 12, 30])
    assert parts.labels.shape == (3, 40, 30)
    assert np.unique(parts.labels).tolist() == list(range(len(parts.sizes)))
    np.testing.assert_array_equal(np.bincount(parts.labels.ravel()), parts.sizes)
    for number in range(3):
        assert set(np.flatnonzero(parts.segmentation == number)) == set(np.unique(parts.labels[number]))
        assert parts.sizes[parts.segmentation == number].sum() == 1200
    counts = np.bincount(parts.segmentation)
    assert (np.abs(counts - [5, 12, 30]) <= [3, 6, 12]).all()


def test_superpixels_follow_an_edge():
    image = np.zeros((20, 20, 3))
    image[:, 7:] = 1
    (labels,) = superpixels(image, [4]).labels
    assert not set(labels[:, :7].ravel()) & set(labels[:, 7:].ravel())
    (grey,) = superpixels(image[..., 0], [4]).labels
    assert not set(grey[:, :7].ravel()) & set(grey[:, 7:].ravel())
    np.testing.assert_array_equal(superpixels((255 * image).astype(np.uint8), [4]).labels[0], labels)


def test_texture_asks_for_compactness_not_for_a_larger_image():
    noise = np.random.default_rng(0).random((64, 64, 3))
    with pytest.raises(InputError, match=r"at compactness 10 colour outweighs nearness.*takes a larger compactness"):
        superpixels(noise, [20])
    assert len(superpixels(noise, [20], 100.0).sizes) > 10
    with pytest.raises(InputError, match="compactness is 0, and takes a number above 0"):
        superpixels(noise, [20], 0.0)


def test_spread_counts_small_superpixels_more():
    parts = halves()
    values = np.array([1.0, 2, 3, 4, 5])
    want = np.empty((4, 6))
    for u in np.ndindex(4, 6):
        around = [parts.labels[s][u] for s in range(2)]
        weights = 1 / parts.sizes[around]
        want[u] = (weights * values[around]).sum() / weights.sum()
    np.testing.assert_allclose(parts.spread(values), want)
    np.testing.assert_allclose(parts.spread(np.full(5, 2.5)), 2.5)
    with pytest.raises(InputError, match=r"values have the shape \[4\], and take \[5\]"):
        parts.spread(values[:4])


@pytest.mark.parametrize(
    ("image", "counts", "words"),
    [
        (np.zeros((5, 5, 4)), [4], r"shape \[5, 5, 4\]; superpixels take \[h, w\] or \[h, w, 3\]"),
        (np.full((5, 5), 2.0), [4], "the image is float64 of 2 to 2; superpixels take uint8, or floats of 0 to 1"),
        (np.full((5, 5), np.nan), [4], "pixels hold NaN"),
        (np.zeros((5, 5), int), [4], "the image is int64"),
        (np.zeros((5, 5)), [4, 26], r"\[4, 26\] superpixels asked of an image of 5 x 5 pixels; it takes 2 to 25"),
        (np.zeros((5, 5)), [], "superpixels asked of an image"),
        (np.zeros((3, 3)), [2], "3 x 3 pixels is too small for 2 superpixels: SLIC finds one"),
    ],
)
def test_images_that_are_too_small_or_no_images(image, counts, words):
    with pytest.raises(InputError, match=words):
        superpixels(image, counts)


# masking


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("fill", [0.0, 0.4])
def test_masking_is_captums_feature_ablation(batch, fill):
    image, net = photo(), network()
    parts, x = superpixels(image, [6, 15]), tensor(image)
    effects = saliency.masking_effect(net, x, parts, fill, target=2, batch=batch)
    for labels in parts.labels:
        attributed = FeatureAblation(net).attribute(
            x[None], baselines=fill, target=2, feature_mask=torch.from_numpy(labels)[None, None]
        )
        np.testing.assert_allclose(effects[labels], attributed[0, 0].abs().numpy(), atol=1e-6)


def test_masking_of_a_known_network():
    weights = rng.normal(size=(4, 6))
    x, parts = torch.rand(3, 4, 6), halves()
    means = x.mean((1, 2), keepdim=True)
    effects = saliency.masking_effect(Weighted(weights), x, parts, means, target=0)
    change = (weights * (x - means).sum(0).numpy())[None] * np.ones((2, 1, 1))
    want = np.abs([change[parts.segmentation[m]][parts.labels[parts.segmentation[m]] == m].sum() for m in range(5)])
    np.testing.assert_allclose(effects, want, rtol=1e-4, atol=1e-6)


def test_margin_saliency_is_effect_times_influence():
    image = photo()
    parts = superpixels(image, [10, 20])
    effects = rng.random(len(parts.sizes))
    found = saliency.margin_saliency(effects, parts, k=5)
    m = len(effects)
    near = np.argsort(np.abs(effects[:, None] - effects) + 9 * np.eye(m), axis=1)[:, :5]
    w = np.zeros((m, m))
    w[np.arange(m)[:, None], near] = 1
    score = influence(np.maximum(w, w.T), parts.sizes / parts.sizes.max())
    np.testing.assert_allclose(found.influence, parts.spread(score), rtol=1e-5)
    np.testing.assert_allclose(found.effect, parts.spread(effects))
    np.testing.assert_allclose(found.saliency, found.effect * found.influence)
    with pytest.raises(InputError, match=f"k is {m} for {m} samples"):
        saliency.margin_saliency(effects, parts, k=m)


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (5, 3), (30, 30), (7, 1)])
def test_occlusion_is_captums(window, stride):
    net, x = network(), tensor(photo(32, 30))
    got = saliency.occlusion(net, x, window, stride, fill=0.2, target=1, batch=13)
    want = Occlusion(net).attribute(x[None], (3, window, window), (3, stride, stride), baselines=0.2, target=1)
    np.testing.assert_allclose(got, want[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (31, 1), (4, 5), (4, 0)])
def test_windows_that_occlusion_refuses(window, stride):
    with pytest.raises(InputError, match=f"window {window} and stride {stride} on 32 x 30 pixels"):
        saliency.occlusion(network(), tensor(photo(32, 30)), window, stride)


# gradients


@pytest.mark.parametrize("layer", ["0", "2", "3"])
def test_grad_cam_is_captums(layer):
    net, x = network(), tensor(photo())
    plain = network()
    for module in plain:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    largest = 0.0
    for target in range(5):
        got = saliency.grad_cam(net, x, layer, target)
        inputs = x[None].clone().requires_grad_(True)
        want = LayerGradCam(plain, plain[int(layer)]).attribute(inputs, target=target, relu_attributions=True)
        want = LayerGradCam.interpolate(want, (40, 30), "bilinear").detach()[0, 0].numpy()
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-9)
        largest = max(largest, want.max())
    assert largest > 1e-6
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_grad_cam_takes_the_best_class_and_a_layer_with_maps():
    net, x = network(), tensor(photo())
    best = int(net(x[None])[0].argmax())
    np.testing.assert_array_equal(saliency.grad_cam(net, x, "2"), saliency.grad_cam(net, x, "2", best))
    with pytest.raises(InputError, match=r"layer '6' has activations \[5\]; Grad-CAM takes \[maps, height, width\]"):
        saliency.grad_cam(net, x, "6")
    with pytest.raises(InputError, match="no layer 'conv'"):
        saliency.grad_cam(net, x, "conv")


# how good a map is


def test_curves_of_a_known_network():
    weights = np.arange(1.0, 13).reshape(3, 4)
    net, x = Weighted(weights / weights.sum()), torch.full((1, 3, 4), 1.0)
    down = saliency.pixel_curve(net, x, torch.zeros_like(x), weights, 0, steps=12, batch=5)
    np.testing.assert_allclose(down, 1 - np.append(0, np.cumsum(np.sort(weights.ravel())[::-1])) / 78, atol=1e-6)
    assert saliency.deletion_auc(net, x, weights, steps=12, target=0) == pytest.approx(
        np.trapezoid(down) / 12, abs=1e-6
    )
    up = saliency.insertion_auc(net, x, weights, steps=12, target=0)
    assert up == pytest.approx(1 - np.trapezoid(down) / 12, abs=1e-6)
    for worse in (-weights, rng.random((3, 4)), np.ones((3, 4))):
        assert saliency.deletion_auc(net, x, worse, steps=12) > np.trapezoid(down) / 12
        assert saliency.insertion_auc(net, x, worse, steps=12) < up
    half = saliency.insertion_auc(net, x, weights, start=torch.full((1, 3, 4), 0.5), steps=12, target=0)
    assert half == pytest.approx((1 + up) / 2, abs=1e-6)


def test_curves_of_few_steps_end_where_they_should():
    net, x, end = network(), tensor(photo()), torch.rand(3, 40, 30)
    curve = saliency.pixel_curve(net, x, end, rng.random((40, 30)), 2, steps=7)
    assert len(curve) == 8
    np.testing.assert_allclose(curve[[0, -1]], [net(x[None])[0, 2], net(end[None])[0, 2]], atol=1e-6)
    with pytest.raises(InputError, match=r"a map \[40, 29\] and images \[3, 40, 30\] and \[3, 40, 30\] do not fit"):
        saliency.pixel_curve(net, x, end, np.zeros((40, 29)), 2)
    with pytest.raises(InputError, match="steps is 1201 for 1200 pixels"):
        saliency.pixel_curve(net, x, end, np.zeros((40, 30)), 2, steps=1201)


def test_share_needed_is_where_the_curve_first_comes_there():
    assert saliency.share_needed([0.1, 0.3, 0.9, 0.2, 1.0], 0.5) == 0.5
    assert saliency.share_needed([0.1, 0.3, 0.9, 0.2, 1.0], 1) == 1
    assert saliency.share_needed([0.1, 0.3], 0.2) == 0
    for curve, part in (([0.3], 0.5), ([0.1, 0.3], 0), ([0.1, 0.3], 1.1)):
        with pytest.raises(InputError, match=r"take at least 2 on the first axis|part is .*, and takes"):
            saliency.share_needed(curve, part)
    with pytest.raises(InputError, match="the whole image's score is -1, and a part of it takes one of 0 or more"):
        saliency.share_needed([-3.0, -2, -1], 0.5)


def test_gini():
    assert saliency.gini(np.full((5, 5), 3.0)) == pytest.approx(0)
    assert saliency.gini(np.eye(100)[0]) == pytest.approx(0.99)
    c = rng.random(40)
    want = np.abs(c[:, None] - c).sum() / (2 * 40 * c.sum())
    assert saliency.gini(-c.reshape(5, 8)) == pytest.approx(want)
    assert saliency.gini(np.zeros(4)) == 0
    for wrong in ([], [1.0, np.nan]):
        with pytest.raises(InputError, match=r"the map has no pixels|values of the map hold NaN"):
            saliency.gini(wrong)


def test_what_saliency_refuses_of_networks_and_images():
    net, x = network(), tensor(photo())
    parts = superpixels(photo(), [4])
    with pytest.raises(InputError, match=r"superpixels of \[4, 6\] pixels do not fit an image \[3, 40, 30\]"):
        saliency.masking_effect(net, x, halves())
    with pytest.raises(InputError, match="target is 5; the network has classes 0 to 4"):
        saliency.masking_effect(net, x, parts, target=5)
    with pytest.raises(InputError, match=r"the network gives \[1, 4, 19, 14\] for one image"):
        saliency.masking_effect(net[:1], x, parts)
    with pytest.raises(InputError, match=r"the image has the shape \[1, 3, 40, 30\]; saliency takes one"):
        saliency.grad_cam(net, x[None], "2")
    with pytest.raises(InputError, match="in training mode"):
        saliency.deletion_auc(nn.Sequential(nn.Dropout(), net), x, np.zeros((40, 30)))
