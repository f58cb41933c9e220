"""Training: against plain torch, alone and in company, and what stops it."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from interneuron import io
from interneuron.errors import InputError
from interneuron.nets import build, initialise, load
from interneuron.seeds import torch_generator
from interneuron.training import train, train_classifiers, train_perceptrons

VAE = {"pixels": 20, "classes": 3, "latents": 2, "hidden": [8, 6]}
JUDGE = {"height": 5, "width": 4, "classes": 3, "channels": [3, 4], "strides": [2, 1], "kernel": 3, "hidden": 7}
LOSSES = {"conditional-vae": "conditional-beta-vae", "judge": "cross-entropy"}
ARGUMENTS = {"conditional-vae": VAE, "judge": JUDGE}


def script(name):
    path = Path(__file__).resolve().parent.parent / f"scripts/{name}.py"
    spec = spec_from_file_location(f"script_{name}", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images(n, stream):
    """Noisy images in which one bright row tells the class."""
    generator = torch_generator(0, stream)
    y = torch.randint(3, (n,), generator=generator)
    x = torch.randint(100, (n, 5, 4), generator=generator)
    x[torch.arange(n), y + 1] += 150
    return x.to(torch.uint8), y


DATA = (*images(50, "train"), *images(23, "test"))


def run(architecture, seeds, data=DATA, **changes):
    settings = {"iterations": 30, "learning_rate": 1e-3, "batch": 16, "report_every": 10} | changes
    arguments = settings.pop("arguments", ARGUMENTS[architecture])
    return train(architecture, arguments, *data, seeds, **{"loss": LOSSES[architecture]} | settings)


def values(rows, split, metric, seed):
    return [row["value"] for row in rows if (row["split"], row["metric"], row["seed"]) == (split, metric, seed)]


@pytest.mark.parametrize("architecture", ["conditional-vae", "judge"])
def test_training_is_plain_adam_on_the_loss_of_the_paper(architecture):
    """The oracle: an ordinary module, torch's own losses and distributions, autograd and unfused Adam."""
    seed, iterations, batch = 4, 7, 16  # 3 batches an epoch: two epochs and one batch
    network = build(architecture, ARGUMENTS[architecture])
    initialise(network, torch_generator(seed, "initialisation"))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01, foreach=False)
    order, noise = torch_generator(seed, "order"), torch_generator(seed, "noise")
    epsilon = torch.empty(64, batch, 2).normal_(generator=noise)
    x, y = DATA[0].flatten(1) / 255, DATA[1]
    losses = []
    for i in range(iterations):
        if i % 3 == 0:
            permutation = torch.randperm(50, generator=order)
        rows = permutation[i % 3 * batch :][:batch]
        if architecture == "judge":
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
        else:
            onehot = torch.eye(3)[y[rows]]
            mean, log_variance = network.encode(x[rows], onehot)
            q = Normal(mean, torch.exp(log_variance / 2))
            z = q.mean + q.stddev * epsilon[i]
            logits = network.decode(z, onehot)
            reconstruction = nn.functional.binary_cross_entropy_with_logits(logits, x[rows], reduction="sum") / batch
            kl = kl_divergence(q, Normal(0.0, 1.0)).sum() / batch
            loss = 10 * (reconstruction + 10 * kl) + nn.functional.cross_entropy(network.classify(z, onehot), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    tensors, rows = run(architecture, [seed], iterations=iterations, learning_rate=0.01, batch=batch, report_every=1)
    assert values(rows, "train", "loss", seed) == pytest.approx(losses, rel=1e-4)
    assert losses[-1] < losses[0]
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(tensors[name][0], parameter.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("architecture", "shift"), [("conditional-vae", 0), ("judge", 0), ("judge", 1)])
def test_company_changes_a_seed_by_rounding_at_most(architecture, shift):
    together, rows = run(architecture, [3, 0, 9], shift=shift)
    for i, seed in enumerate((3, 0, 9)):
        alone, its_rows = run(architecture, [seed], shift=shift)
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name][i], tensor[0], rtol=1e-3, atol=1e-4)
        company = [row["value"] for row in rows if row["seed"] == seed]
        assert company == pytest.approx([row["value"] for row in its_rows], rel=1e-3, abs=1e-4)
    first = next(iter(together.values()))
    assert (first[0] - first[1]).abs().max() > 0.01
    assert (first[1] - first[2]).abs().max() > 0.01


@pytest.mark.parametrize("architecture", ["conditional-vae", "judge"])
def test_same_seeds_give_the_same_bytes(architecture):
    (first, rows), (second, same) = (run(architecture, [1, 2], shift=1) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows == same


def test_rows_of_the_vae():
    _, rows = run("conditional-vae", [5, 6], iterations=25)
    metrics = {"loss", "reconstruction", "kl", "kl:0", "kl:1", "cross_entropy"}
    assert {(row["split"], row["iteration"]) for row in rows} == {
        ("train", 10),
        ("train", 20),
        ("train", 25),
        ("test", 25),
    }
    for split, times in (("train", 3), ("test", 1)):
        assert {row["metric"] for row in rows if row["split"] == split} == metrics
        for seed in (5, 6):
            got = {metric: np.array(values(rows, split, metric, seed)) for metric in metrics}
            assert all(len(value) == times for value in got.values())
            assert got["kl"] == pytest.approx(got["kl:0"] + got["kl:1"])
            whole = 10 * (got["reconstruction"] + 10 * got["kl"]) + got["cross_entropy"]
            assert got["loss"] == pytest.approx(whole, rel=1e-5)


def test_the_test_rows_are_of_the_trained_network():
    tensors, rows = run("judge", [5, 6], iterations=60, learning_rate=0.01)
    for seed in (5, 6):
        about = {"architecture": "judge", "arguments": JUDGE, "seeds": [5, 6]}
        judge = load({name: tensor.numpy() for name, tensor in tensors.items()}, about, seed)
        logits = judge(DATA[2][:, None] / 255)
        accuracy = (logits.argmax(1) == DATA[3]).float().mean().item()
        assert values(rows, "test", "accuracy", seed) == pytest.approx([accuracy])
        assert accuracy > 0.8
        expected = nn.functional.cross_entropy(logits, DATA[3]).item()
        assert values(rows, "test", "cross_entropy", seed) == pytest.approx([expected], rel=1e-4)


def test_loss_arguments_weigh_the_terms():
    weights = {"beta": 0.5, "reconstruction_weight": 2.0, "class_weight": 3.0}
    _, rows = run("conditional-vae", [0], iterations=1, loss_arguments=weights)
    got = {row["metric"]: row["value"] for row in rows if row["split"] == "train"}
    assert got["loss"] == pytest.approx(
        2 * (got["reconstruction"] + 0.5 * got["kl"]) + 3 * got["cross_entropy"], rel=1e-5
    )


def test_the_cosine_schedule_ends_at_a_small_step():
    constant, _ = run("judge", [0], iterations=10, schedule="constant")
    cosine, _ = run("judge", [0], iterations=10, schedule="cosine")
    start = build("judge", JUDGE)
    initialise(start, torch_generator(0, "initialisation"))
    name = "features.conv1.weight"
    moved = [(tensors[name][0] - start.features.conv1.weight).abs().mean() for tensors in (constant, cosine)]
    assert 0 < moved[1] < 0.8 * moved[0]


def test_shifts_move_images_without_changing_a_still_one():
    still = torch.zeros(50, 5, 4, dtype=torch.uint8)
    data = (still, *DATA[1:])
    (zero, _), (moved, _) = (run("judge", [0], data, shift=shift) for shift in (0, 2))
    assert all(torch.equal(zero[name], moved[name]) for name in zero)
    (zero, _), (moved, _) = (run("judge", [0], shift=shift) for shift in (0, 2))
    assert not torch.equal(zero["features.conv1.weight"], moved["features.conv1.weight"])


def test_training_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    run("judge", [0], iterations=2, shift=1)
    assert torch.equal(before, torch.get_rng_state())


def test_progress_counts_to_the_end():
    calls = []
    run("judge", [0], iterations=5, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 5) for i in range(1, 6)]


def test_a_loss_that_is_no_longer_finite_stops_with_iteration_and_seeds():
    with pytest.raises(InputError, match=r"no longer finite in iteration \d+ \(seed [28, ]+\).*smaller than 1e\+08"):
        run("conditional-vae", [2, 8], iterations=50, learning_rate=1e8)
    with pytest.raises(InputError, match="no longer finite on the test split"):
        run("conditional-vae", [2, 8], iterations=1, learning_rate=1e30)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"loss": "mse"}, "no loss 'mse'; there are conditional-beta-vae, cross-entropy"),
        ({"loss": "conditional-beta-vae"}, "is for the architecture conditional-vae, got judge"),
        ({"optimiser": "sgd"}, "no optimiser 'sgd'; there are adam"),
        ({"schedule": "step"}, "no schedule 'step'; there are constant, cosine"),
        ({"batch": 51}, "batch is 51, it takes at most the 50 training images"),
        ({"batch": 0}, "batch is 0, it takes at least 1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"report_every": 0}, "report_every is 0"),
        ({"shift": -1}, "shift is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, it takes a positive number"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\], it takes at least one, each once"),
        ({"seeds": []}, r"seeds are \[\]"),
        ({"data": (DATA[0].float(), *DATA[1:])}, "train images are torch.float32"),
        ({"data": (*DATA[:3], DATA[3][:5])}, r"test classes are torch.int64 of shape \(5,\), it takes int64 \[23\]"),
        ({"data": (*DATA[:2], DATA[2][:0], DATA[3][:0])}, "the test split is empty"),
        ({"data": (*DATA[:3], DATA[3] + 1)}, "test classes go from 1 to 3, it takes 0 to 2"),
        ({"data": (DATA[0][:, :4], *DATA[1:])}, "images of 4 x 4 and of 5 x 4 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run("judge", **{"seeds": [0]} | changes)


def test_the_script_writes_weights_that_load(tmp_path):
    data = tmp_path / "prepared.safetensors"
    x, y = torch.cat([DATA[0], DATA[2]]).numpy(), torch.cat([DATA[1], DATA[3]]).numpy()
    split = np.repeat(np.array([0, 1], np.uint8), [50, 23])
    io.save_tensors(data, {"x": x, "y": y, "split": split}, {"classes": 3, "scale": 255})
    settings = {
        "architecture": "conditional-vae",
        "arguments": {"latents": 2, "hidden": [8, 6]},
        "loss": "conditional-beta-vae",
        "loss_arguments": {"beta": 1.0},
        "optimiser": "adam",
        "learning_rate": 1e-3,
        "batch": 16,
        "iterations": 20,
        "report_every": 10,
        "active_above": 0.1,
        "code": "unused",
    }
    output = SimpleNamespace(weights=tmp_path / "weights.safetensors", training=tmp_path / "training.parquet")
    job = SimpleNamespace(
        input=SimpleNamespace(data=data),
        output=output,
        params=SimpleNamespace(settings=settings),
        wildcards=SimpleNamespace(model="m", block="004-005"),
        threads=1,
    )
    script("train").main(job)
    tensors, about = io.load_tensors(output.weights), io.metadata(output.weights)
    assert about == {"architecture": "conditional-vae", "arguments": VAE, "seeds": [4, 5]}
    expected, rows = run("conditional-vae", [4, 5], iterations=20, loss_arguments={"beta": 1.0})
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy())
    load(tensors, about, 5)
    assert io.load_table(output.training).to_dict("records") == rows


# tables and multilayer perceptrons

MLP = {"inputs": 6, "classes": 2, "hidden": [5, 3]}


def table(n, stream, classes=2):
    """Gaussian features; the class is the sign of a product, or one of three ranges of a sum."""
    x = torch.randn(n, 6, generator=torch_generator(0, stream))
    y = (
        (x[:, 0] * x[:, 1] > 0).long()
        if classes == 2
        else torch.bucketize(x[:, 0] + x[:, 2], torch.tensor([-0.5, 0.5]))
    )
    return x, y


TABLE = (*table(50, "train"), *table(23, "test"))


def run_table(seeds, data=TABLE, arguments=MLP, **changes):
    settings = {"epochs": 8, "learning_rate": 1e-2, "batch": 16, "report_every": 10} | changes
    return train_perceptrons(arguments, *data, seeds, **settings)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalties", [{}, {"activity": 0.3}, {"kernel": 0.2}, {"activity": 0.3, "kernel": 0.2}])
def test_penalties_are_those_of_keras(penalties, classes):
    """The oracle: an ordinary module, autograd and unfused Adam.

    Keras divides an activity penalty by the samples in the batch, and adds a kernel penalty as it is.
    """
    seed, data, arguments = 4, (*table(50, "train", classes), *table(23, "test", classes)), MLP | {"classes": classes}
    network = build("mlp", arguments)
    generator = torch_generator(seed, "initialisation")
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter, generator=generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01, eps=1e-3, foreach=False)
    order = torch_generator(seed, "order")
    losses, sizes = [], []
    for i in range(12):  # 4 batches an epoch, the last one of 2 samples
        if i % 4 == 0:
            permutation = torch.randperm(50, generator=order)
        rows = permutation[i % 4 * 16 :][:16]
        x, y = data[0][rows], data[1][rows]
        hidden = network.relu1(network.linear1(x))
        logits = network.linear3(network.relu2(network.linear2(hidden)))
        if classes == 2:
            assert logits.shape == (len(rows), 1)
            loss = nn.functional.binary_cross_entropy(torch.sigmoid(logits[:, 0]), y.float())
        else:
            loss = nn.functional.cross_entropy(logits, y)
        loss = loss + penalties.get("activity", 0) * hidden.abs().sum() / len(rows)
        loss = loss + penalties.get("kernel", 0) * (network.linear1.weight**2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        sizes.append(len(rows))
    assert sizes == [16, 16, 16, 2] * 3
    tensors, rows = run_table([seed], data, arguments, epochs=3, epsilon=1e-3, report_every=1, **penalties)
    assert values(rows, "train", "loss", seed) == pytest.approx(losses, rel=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(tensors[name][0], parameter.detach(), rtol=1e-4, atol=1e-5)


def test_company_changes_a_seed_of_a_table_by_rounding_at_most():
    penalties = {"activity": 0.02, "kernel": 0.01}
    together, rows = run_table([3, 0, 9], **penalties)
    for i, seed in enumerate((3, 0, 9)):
        alone, its_rows = run_table([seed], **penalties)
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name][i], tensor[0], rtol=1e-4, atol=1e-5)
        company = [row["value"] for row in rows if row["seed"] == seed]
        assert company == pytest.approx([row["value"] for row in its_rows], rel=1e-4, abs=1e-5)
    first = together["linear1.weight"]
    assert (first[0] - first[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("scheme", "spread"), [("glorot-uniform", (2 / 500) ** 0.5), ("kaiming-normal", (2 / 300) ** 0.5)]
)
def test_initialisations(scheme, spread):
    x, y = torch.zeros(8, 300), torch.zeros(8, dtype=torch.int64)
    arguments = {"inputs": 300, "classes": 2, "hidden": [200]}
    # Without inputs the first layer's weights stay as they begin.
    tensors, _ = run_table([0], (x, y, x, y), arguments, epochs=1, initialisation=scheme)
    weight = tensors["linear1.weight"]
    assert weight.std().item() == pytest.approx(spread, rel=0.01)
    largest = weight.abs().max() / spread
    assert (1.7 < largest <= 3**0.5) if scheme == "glorot-uniform" else largest > 3


def test_the_test_rows_of_a_table_are_of_the_trained_network():
    tensors, rows = run_table([5, 6], epochs=80, activity=0.01)
    assert {row["metric"] for row in rows} == {"loss", "cross_entropy", "accuracy", "activity"}
    about = {"architecture": "mlp", "arguments": MLP, "seeds": [5, 6]}
    for seed in (5, 6):
        mlp = load({name: tensor.numpy() for name, tensor in tensors.items()}, about, seed)
        logits = mlp(TABLE[2])[:, 0]
        accuracy = ((logits > 0) == (TABLE[3] == 1)).float().mean().item()
        assert values(rows, "test", "accuracy", seed) == pytest.approx([accuracy])
        expected = nn.functional.binary_cross_entropy_with_logits(logits, TABLE[3].float()).item()
        assert values(rows, "test", "cross_entropy", seed) == pytest.approx([expected], rel=1e-4)
        assert values(rows, "train", "loss", seed)[-1] < values(rows, "train", "loss", seed)[0]


def test_images_train_a_perceptron_too():
    arguments = {"inputs": 20, "classes": 3, "hidden": [8]}
    _, rows = run_table([0], DATA, arguments, epochs=50, scale=255.0)
    assert values(rows, "test", "accuracy", 0)[0] > 0.8


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": (TABLE[0].double(), *TABLE[1:])}, "train samples are torch.float64 of shape .*it takes float32"),
        ({"data": (*TABLE[:2], TABLE[2][:0], TABLE[3][:0])}, "test samples are torch.float32 of shape .*at least one"),
        ({"data": (TABLE[0] / 0, *TABLE[1:])}, "train samples hold NaN or infinite numbers"),
        ({"data": (TABLE[0][:, :4], *TABLE[1:])}, r"test samples have shape \(6,\), it takes \(4,\)"),
        ({"data": (*TABLE[:3], TABLE[3][:5])}, r"test classes are torch.int64 of shape \(5,\), it takes int64 \[23\]"),
        ({"data": (*TABLE[:3], TABLE[3] + 1)}, "test classes go from 1 to 2, it takes 0 to 1"),
        ({"arguments": MLP | {"inputs": 5}}, "samples have 6 numbers, the network takes 5"),
        ({"seeds": []}, r"seeds are \[\]"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\], it takes at least one, each once"),
        ({"epochs": 0}, "epochs is 0, it takes at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, it takes a positive number"),
        ({"activity": -1.0}, "activity is -1.0, it takes a number of at least 0"),
        ({"kernel": float("inf")}, "kernel is inf"),
        ({"initialisation": "ones"}, "no initialisation 'ones'; there are glorot-uniform, kaiming-normal"),
    ],
)
def test_what_does_not_fit_a_table_is_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run_table(**{"seeds": [0]} | changes)


def test_perceptrons_that_are_no_longer_finite_stop_with_iteration_and_seeds():
    with pytest.raises(InputError, match=r"no longer finite in iteration \d+ \(seed [28, ]+\).*smaller than 1e\+30"):
        run_table([2, 8], learning_rate=1e30)
    calls = []
    run_table([0], epochs=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


STRIDED = {"height": 5, "width": 4, "classes": 3, "channels": [4, 4], "kernels": [3, 2], "strides": [1, 1], "hidden": 8}


def classify(seeds, data=DATA, **changes):
    settings = {"epochs": 3, "learning_rate": 0.05, "batch": 16, "report_every": 5, "dropout": 0.5} | changes
    return train_classifiers("strided", STRIDED | {"dropout": settings.pop("dropout")}, *data, seeds, **settings)


def test_classifiers_descend_by_momentum_with_a_falling_rate():
    """The oracle: the update rule written out, with autograd's gradients."""
    x, y = DATA[:2]
    network = build("strided", STRIDED | {"dropout": 0.0})
    generator = torch_generator(3, "initialisation")
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                nn.init.xavier_uniform_(parameter, generator=generator)
    order, moved = torch_generator(3, "order"), [torch.zeros_like(value) for value in network.parameters()]
    for epoch in range(3):
        for rows in torch.randperm(len(x), generator=order).split(16):
            loss = nn.functional.cross_entropy(network(x[rows].flatten(1) / 255), y[rows])
            slopes = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for parameter, slope, before in zip(network.parameters(), slopes, moved, strict=True):
                    before.mul_(0.9).add_(slope)
                    parameter -= 0.05 * 0.5 ** (2 * epoch / 3) * before
    weights, _ = classify([3], halvings=2, dropout=0.0)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(weights[name][0], parameter.detach(), rtol=1e-3, atol=1e-5)


def test_classifiers_of_a_block_are_those_of_their_own():
    together, rows = classify([5, 2])
    for place, seed in enumerate((5, 2)):
        alone, own = classify([seed])
        assert all(torch.equal(together[name][place], alone[name][0]) for name in alone)
        assert [row for row in rows if row["seed"] == seed] == own
    assert [row["iteration"] for row in rows if row["metric"] == "accuracy" and row["seed"] == 2] == [5, 10, 12, 12]


def test_classifiers_learn_with_dropout_and_say_how_well():
    weights, rows = classify([0], epochs=60)
    (accuracy,) = values(rows, "test", "accuracy", 0)
    arguments = {"architecture": "strided", "arguments": STRIDED, "seeds": [0]}
    network = load({name: value.numpy() for name, value in weights.items()}, arguments, 0)
    right = (network(DATA[2].flatten(1) / 255).argmax(1) == DATA[3]).float().mean().item()
    assert accuracy == pytest.approx(right)
    assert accuracy > 0.9
    assert not torch.equal(weights["classifier.linear2.weight"], classify([0], epochs=60, dropout=0.0)[0][LAST])


LAST = "classifier.linear2.weight"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"momentum": 1.0}, "momentum is 1.0, it takes a share"),
        ({"halvings": -1.0}, "halvings is -1.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 1e30}, r"the loss is no longer finite in iteration .* \(seed 4\)"),
        ({"initialisation": "zero"}, "no initialisation 'zero'"),
    ],
)
def test_settings_that_classifiers_cannot_take_are_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        classify([4], **changes)
