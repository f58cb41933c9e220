"""Architectures: shapes, names, cost, and weights that do not fit."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from interneuron.errors import InputError
from interneuron.nets import (
    ConditionalVAE,
    Judge,
    PhotoNetwork,
    Strided,
    build,
    decoder_network,
    fit_arguments,
    initialise,
    load,
)
from interneuron.seeds import torch_generator

SMALL = {"pixels": 6, "classes": 3, "latents": 2, "hidden": [5, 4]}


def weights(architecture="conditional-vae", arguments=SMALL, seeds=(3, 7)):
    networks = [build(architecture, arguments) for _ in seeds]
    for seed, network in zip(seeds, networks, strict=True):
        initialise(network, torch_generator(seed, "test"))
    names = networks[0].state_dict()
    tensors = {name: np.stack([network.state_dict()[name].numpy() for network in networks]) for name in names}
    return tensors, {"architecture": architecture, "arguments": arguments, "seeds": list(seeds)}, networks


def test_the_vae_of_the_paper_has_its_layers():
    vae = ConditionalVAE(784, 10, 10, (512, 256, 128))
    sizes = {name: tuple(layer.weight.shape) for name, layer in vae.named_modules() if isinstance(layer, nn.Linear)}
    assert sizes == {
        "encoder.linear1": (512, 794),
        "encoder.linear2": (256, 512),
        "encoder.linear3": (128, 256),
        "encoder.linear4": (20, 128),
        "decoder.linear1": (128, 20),
        "decoder.linear2": (256, 128),
        "decoder.linear3": (512, 256),
        "decoder.linear4": (784, 512),
        "classifier": (10, 20),
    }
    assert 128 + 256 + 512 == sum(sizes[f"decoder.linear{i}"][0] for i in (1, 2, 3)) == 896


def test_the_decoder_network_is_the_decoder_with_a_sigmoid():
    _, _, (vae, _) = weights()
    network = decoder_network(vae)
    assert [name for name, _ in network.named_children()] == [
        "linear1",
        "relu1",
        "linear2",
        "relu2",
        "linear3",
        "sigmoid",
    ]
    z, onehot = torch.randn(4, 2), torch.eye(3)[[0, 1, 2, 1]]
    torch.testing.assert_close(network(torch.cat([z, onehot], 1)), torch.sigmoid(vae.decode(z, onehot)))
    assert network.linear1.weight is vae.decoder.linear1.weight


def test_encode_splits_mean_and_log_variance_by_hand():
    _, _, (vae, _) = weights()
    x, onehot = torch.rand(4, 6), torch.eye(3)[[0, 1, 2, 1]]
    out = torch.cat([x, onehot], 1)
    for i, layer in enumerate(("linear1", "linear2", "linear3")):
        out = out @ vae.encoder.get_submodule(layer).weight.T
        out = out.clamp(min=0) if i < 2 else out
    mean, log_variance = vae.encode(x, onehot)
    torch.testing.assert_close(mean, out[:, :2])
    torch.testing.assert_close(log_variance, out[:, 2:])


def test_initialise_is_kaiming_normal_and_repeatable():
    vae = build("conditional-vae", {"pixels": 400, "classes": 10, "latents": 5, "hidden": [300]})
    initialise(vae, torch_generator(0, "test"))
    weight = vae.encoder.linear1.weight.detach().clone()
    assert weight.std().item() == pytest.approx((2 / 410) ** 0.5, rel=0.02)
    assert weight.mean().abs() < 1e-3
    assert all((value == 0).all() for name, value in vae.named_parameters() if name.endswith("bias"))
    initialise(vae, torch_generator(0, "test"))
    assert torch.equal(weight, vae.encoder.linear1.weight)


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build("judge", {"height": 8, "width": 8, "classes": 10})
    assert torch.equal(before, torch.get_rng_state())


def test_the_judge_takes_flat_images_and_images_with_a_channel():
    judge = Judge(9, 7, 4, channels=(3, 5, 2), strides=(2, 1, 2), kernel=3, hidden=6)
    x = torch.rand(5, 63)
    assert judge(x).shape == (5, 4)
    torch.testing.assert_close(judge(x), judge(x.reshape(5, 1, 9, 7)))
    torch.testing.assert_close(judge(x.expand(2, 5, 63)[0]), judge(x))
    with pytest.raises(InputError, match=r"images of shape \(5, 62\), it takes"):
        judge(x[:, :62])


def test_the_judge_needs_less_than_a_million_multiply_adds_an_image():
    judge = Judge(28, 28, 10).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        judge(torch.zeros(1, 784))
    multiply_adds = counter.get_total_flops() / 2
    by_hand = 14 * 14 * 25 * 8 + 7 * 7 * 25 * 8 * 16 + 7 * 7 * 16 * 64 + 64 * 10
    assert multiply_adds == by_hand <= 1_000_000


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [("conditional-vae", SMALL), ("judge", {"height": 5, "width": 4, "classes": 3, "hidden": 7})],
)
def test_load_gives_each_seed_its_own_network(architecture, arguments):
    tensors, metadata, networks = weights(architecture, arguments)
    for seed, network in zip((3, 7), networks, strict=True):
        loaded = load(tensors, metadata, seed)
        assert not loaded.training
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        for (name, got), (same, expected) in zip(loaded.named_parameters(), network.named_parameters(), strict=True):
            assert name == same
            assert torch.equal(got, expected)


def change(tensors, metadata, what):
    if what == "missing":
        del tensors["decoder.linear2.bias"]
    elif what == "unexpected":
        tensors["decoder.linear9.bias"] = np.zeros((2, 1), np.float32)
    elif what == "shape":
        tensors["classifier.weight"] = tensors["classifier.weight"][:, :, :4]
    elif what == "seeds":
        metadata["seeds"] = [3, 7, 8]
    elif what == "architecture":
        metadata["architecture"] = "transformer"
    elif what == "argument":
        metadata["arguments"] = {**SMALL, "depth": 3}
    elif what == "metadata":
        del metadata["seeds"]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("missing", r"architecture conditional-vae: decoder\.linear2\.bias missing"),
        ("unexpected", r"architecture conditional-vae: decoder\.linear9\.bias unexpected"),
        ("shape", r"classifier\.weight has shape \(2, 3, 4\), expected \(2, 3, 5\)"),
        ("seeds", r"encoder\.linear1\.weight has shape \(2, 5, 9\), expected \(3, 5, 9\)"),
        ("architecture", r"no architecture 'transformer'; there are conditional-vae, judge"),
        ("argument", r"architecture conditional-vae: .*'depth'"),
        ("metadata", r"metadata lack seeds"),
    ],
)
def test_weights_that_do_not_fit_are_refused(what, sentence):
    tensors, metadata, _ = weights()
    change(tensors, metadata, what)
    with pytest.raises(InputError, match=sentence):
        load(tensors, metadata, 3)


def test_a_seed_that_the_file_lacks_is_refused():
    tensors, metadata, _ = weights()
    with pytest.raises(InputError, match="no seed 5; the file has 3, 7"):
        load(tensors, metadata, 5)


@pytest.mark.parametrize(
    ("architecture", "arguments", "sentence"),
    [
        ("conditional-vae", {**SMALL, "latents": 0}, "latents: got 0, it takes a whole number of at least 1"),
        ("conditional-vae", {**SMALL, "hidden": [5, 2.5]}, r"hidden: got \[5, 2.5\], it takes whole numbers"),
        ("judge", {"height": 8, "width": 8, "classes": 10, "kernel": 4}, "kernel is 4, it takes an odd number"),
        ("judge", {"height": 8, "width": 8, "classes": 10, "channels": [8]}, "1 channels but 2 strides"),
        ("judge", {"height": 8, "width": 8}, "architecture judge: .*classes"),
    ],
)
def test_arguments_that_make_no_network_are_refused(architecture, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        build(architecture, arguments)


def test_fit_arguments_adds_what_the_data_decide():
    assert fit_arguments("conditional-vae", {"latents": 2, "hidden": [5]}, 3, 2, 4) == {
        "latents": 2,
        "hidden": [5],
        "pixels": 6,
        "classes": 4,
    }
    assert fit_arguments("judge", {}, 3, 2, 4) == {"height": 3, "width": 2, "classes": 4}
    with pytest.raises(InputError, match="no architecture 'unet'"):
        fit_arguments("unet", {}, 3, 2, 4)


def test_a_perceptron_has_one_logit_for_two_classes_and_one_a_class_for_more():
    for classes, logits in ((2, 1), (3, 3)):
        mlp = build("mlp", {"inputs": 6, "classes": classes, "hidden": [5, 4]})
        initialise(mlp, torch_generator(0, "test"))
        assert [name for name, _ in mlp.named_children()] == ["linear1", "relu1", "linear2", "relu2", "linear3"]
        x = torch.randn(7, 6, generator=torch_generator(0, "x"))
        hidden = (x @ mlp.linear1.weight.T).clamp(0) @ mlp.linear2.weight.T
        torch.testing.assert_close(mlp(x), hidden.clamp(0) @ mlp.linear3.weight.T)
        assert mlp(x).shape == (7, logits)
    with pytest.raises(InputError, match="at least one hidden layer"):
        build("mlp", {"inputs": 6, "classes": 2, "hidden": []})
    with pytest.raises(InputError, match=r"hidden: got \[3, 0\], it takes whole numbers of at least 1"):
        build("mlp", {"inputs": 6, "classes": 2, "hidden": [3, 0]})


def test_the_strided_network_is_that_of_carlini_and_wagner():
    network = Strided(28, 28, 10).eval()
    x = torch.rand(3, 1, 28, 28)
    shapes = {name: tuple(layer.weight.shape) for name, layer in network.named_modules() if hasattr(layer, "weight")}
    assert shapes == {
        "features.conv1": (64, 1, 5, 5),
        "features.conv2": (64, 64, 3, 3),
        "features.conv3": (64, 64, 3, 3),
        "classifier.linear1": (32, 1024),
        "classifier.linear2": (10, 32),
    }
    assert network.features[:2](x).shape == (3, 64, 14, 14)
    assert network.features[:4](x).shape == (3, 64, 6, 6)
    torch.testing.assert_close(network(x.flatten(1)), network(x))
    with FlopCounterMode(display=False) as counter:
        network(x[:1])
    assert 2.2e6 < counter.get_total_flops() / 2 < 2.3e6


@pytest.mark.parametrize("dropout", [0.0, 0.25, 0.5])
def test_dropout_silences_its_share_and_keeps_the_mean(dropout):
    network = Strided(9, 9, 3, [2, 3], [3, 3], [1, 2], 400, dropout)
    nn.init.eye_(network.classifier.linear2.weight[:, :3])
    noise = torch.randn(500, 400, generator=torch_generator(0, "test"))
    x = torch.rand(1, 1, 9, 9).expand(500, -1, -1, -1)
    hidden = network.classifier.relu1(network.classifier.linear1(network.features(x).flatten(1)))
    by_hand = torch.where(noise < torch.distributions.Normal(0, 1).icdf(torch.tensor(dropout)), 0, hidden)
    expected = network.classifier.linear2(by_hand / (1 - dropout))
    torch.testing.assert_close(network(x, noise), expected)
    assert abs(float((by_hand[:, hidden[0] > 0] == 0).float().mean()) - dropout) < 0.01
    torch.testing.assert_close(network(x, noise).mean(0), network(x)[0], rtol=0.2, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"strides": [1]}, "2 channels, 2 kernels and 1 strides"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"kernels": [3, 12]}, "images of 9 x 9 are too small for 2 convolutions"),
        ({"hidden": 0}, "hidden: got 0"),
    ],
)
def test_strided_networks_that_cannot_be_are_refused(arguments, sentence):
    known = {"height": 9, "width": 9, "classes": 3, "channels": [2, 3], "kernels": [3, 3], "strides": [1, 2]}
    with pytest.raises(InputError, match=sentence):
        build("strided", known | arguments)
    with pytest.raises(InputError, match="got images of shape"):
        Strided(**known)(torch.zeros(2, 80))


def test_photo_networks_see_the_colours_that_they_were_trained_on():
    x = torch.rand(2, 3, 64, 64, generator=torch_generator(0, "photos"))
    for colours, prepared in (
        ("imagenet", (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / IMAGENET_DEVIATION),
        ("caffe", 255 * x.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]),
    ):
        network = build("photo-network", {"factory": "squeezenet1_1", "colours": colours, "classes": 5})
        initialise(network, torch_generator(0, "test"))
        network.eval()
        assert network(x).shape == (2, 5)
        torch.testing.assert_close(network(x), network.network(prepared), rtol=1e-5, atol=1e-5)


IMAGENET_DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def test_photo_networks_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="torchvision has no classifier 'alexnot'"):
        PhotoNetwork("alexnot")
    with pytest.raises(InputError, match="colours is 'grey', it takes imagenet, caffe"):
        PhotoNetwork("alexnet", colours="grey")
    with torch.device("meta"):
        network = PhotoNetwork("squeezenet1_1")
    with pytest.raises(InputError, match=r"got photos of shape \(2, 1, 64, 64\)"):
        network(torch.zeros(2, 1, 64, 64))
