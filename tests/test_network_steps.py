"""The steps around networks, run as their scripts: training, conversion, attacks and features, and what they refuse."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interneuron import io
from interneuron.baselines import cross_validated_probabilities
from interneuron.errors import InputError
from interneuron.nets import PhotoNetwork, initialise, load
from interneuron.seeds import generator, torch_generator

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = {"split": "test", "redrawn": False, "classes": None, "count": None}
FEATURES = {
    "layer": "classifier.relu1",
    "pool": None,
    "samples": SAMPLES,
    "head": None,
    "reference": False,
    "batch": 32,
    "tested": False,
}
ATTACK = {
    "samples": SAMPLES,
    "attacked": 20,
    "fast_gradient_sign": None,
    "carlini_wagner": {
        "confidence": 0.0,
        "learning_rate": 0.1,
        "iterations": 30,
        "search_steps": 2,
        "constant": 1.0,
        "batch": 16,
    },
}


def run(name, out, settings, block="000-001", **inputs):
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Output(list):
        weights, training = str(out), str(Path(out).with_name("training.parquet"))

    module.main(
        SimpleNamespace(
            params=SimpleNamespace(settings=settings),
            input=SimpleNamespace(**inputs),
            output=Output([str(out)]),
            wildcards=SimpleNamespace(block=block),
            threads=1,
        )
    )
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Grey images in which one bright row tells the class: 120 for training, 60 for the test."""
    random = np.random.default_rng(0)
    y = np.tile(np.arange(3), 60)
    x = random.integers(0, 60, (180, 6, 6))
    x[np.arange(180), y + 1] += 100
    x[:12, 2:4] += 90  # some lie between the classes
    path = tmp_path_factory.mktemp("data") / "rows.safetensors"
    split = (np.arange(180) >= 120).astype(np.uint8)
    io.save_tensors(path, {"x": x.astype(np.uint8), "y": y, "split": split}, {"classes": 3, "scale": 255})
    return path


@pytest.fixture(scope="module")
def trained(digits):
    settings = {
        "architecture": "strided",
        "arguments": {"channels": [6], "kernels": [3], "strides": [1], "hidden": 8, "dropout": 0.2},
        "initialisation": "glorot-uniform",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "halvings": 1.0,
        "batch": 16,
        "epochs": 15,
        "report_every": 20,
    }
    return run("classifier", digits.with_name("weights.safetensors"), settings, data=str(digits))


@pytest.fixture(scope="module")
def attacked(digits, trained):
    return run("attack", digits.with_name("attacks.safetensors"), ATTACK, data=str(digits), weights=str(trained))


def of(path, seed, *names):
    return io.load_tensors(path, [f"seed{seed}.{name}" for name in names]).values()


def test_a_classifier_learns_and_its_weights_load(digits, trained):
    training = io.load_table(trained.with_name("training.parquet"))
    accuracy = training[(training["split"] == "test") & (training["metric"] == "accuracy")]
    assert accuracy["seed"].tolist() == [0, 1]
    data, about = io.load_tensors(digits), io.metadata(trained)
    test = data["split"] == 1
    for seed, value in zip(accuracy["seed"], accuracy["value"], strict=True):
        logits = load(io.load_tensors(trained), about, seed)(
            torch.from_numpy(data["x"][test] / np.float32(255))[:, None]
        )
        assert (logits.argmax(1).numpy() == data["y"][test]).mean() == pytest.approx(value)
        assert value > 0.8


def test_features_are_a_layer_of_the_seeds_own_network(digits, trained):
    out = run(
        "features",
        digits.with_name("f.safetensors"),
        FEATURES | {"reference": True},
        data=str(digits),
        weights=str(trained),
        attacks=[],
    )
    data = io.load_tensors(digits)
    for seed in (0, 1):
        network = load(io.load_tensors(trained), io.metadata(trained), seed)
        for split, names in ((1, ("x", "sample_id")), (0, ("train.x", "train.y"))):
            x, known = of(out, seed, *names)
            rows = np.flatnonzero(data["split"] == split)
            images = torch.from_numpy(data["x"][rows] / np.float32(255))[:, None]
            hidden = network.classifier[:2](network.features(images).flatten(1))
            np.testing.assert_allclose(x, hidden.numpy(), rtol=1e-5, atol=1e-6)
            assert known.tolist() == (rows if split else data["y"][rows]).tolist()
        scores, predicted, rows = of(out, seed, "scores", "predicted", "sample_id")
        images = torch.from_numpy(data["x"][rows] / np.float32(255))[:, None]
        np.testing.assert_allclose(scores, network(images).softmax(1).numpy(), rtol=1e-4, atol=1e-6)
        assert (predicted == scores.argmax(1)).all()
    assert io.metadata(out) == {"layer": "classifier.relu1", "seeds": [0, 1]}


def test_attacks_are_on_samples_that_are_classified_right(digits, trained, attacked):
    data = io.load_tensors(digits)
    for seed in (0, 1):
        rows, was, x, success, distortion = of(attacked, seed, "sample_id", "attacked", "x", "success", "distortion")
        assert rows.tolist() == np.flatnonzero(data["split"] == 1).tolist()
        assert was.sum() == len(x) == len(success) == 20
        chosen = rows[was == 1]
        before = data["x"][chosen] / np.float32(255)
        network = load(io.load_tensors(trained), io.metadata(trained), seed)
        assert (network(torch.from_numpy(before)[:, None]).argmax(1).numpy() == data["y"][chosen]).all()
        taken = network(torch.from_numpy(x)[:, None]).argmax(1).numpy()
        assert ((taken != data["y"][chosen]) == success).all()
        np.testing.assert_allclose(np.linalg.norm((x - before).reshape(20, -1), axis=1), distortion, atol=1e-5)
        assert success.mean() > 0.9


def test_features_after_an_attack_are_of_the_others_and_the_successes(digits, trained, attacked, tmp_path):
    out = run(
        "features", tmp_path / "f.safetensors", FEATURES, data=str(digits), weights=str(trained), attacks=str(attacked)
    )
    y = io.load_tensors(digits, ["y"])["y"]
    for seed in (0, 1):
        rows, was, success, distance = of(attacked, seed, "sample_id", "attacked", "success", "distortion")
        found, marked, moved, predicted = of(out, seed, "sample_id", "attacked", "distortion", "predicted")
        clean = rows[was == 0]
        assert found.tolist() == [*clean, *rows[was == 1][success]]
        assert marked.tolist() == [0] * len(clean) + [1] * int(success.sum())
        np.testing.assert_array_equal(moved[marked == 1], distance[success])
        assert (moved[marked == 0] == 0).all()
        assert (predicted[marked == 1] != y[found[marked == 1]]).all()


def test_the_fast_gradient_sign_moves_every_pixel_alike(digits, trained, tmp_path):
    settings = ATTACK | {"carlini_wagner": None, "fast_gradient_sign": {"epsilon": 0.3, "batch": 8}}
    out = run("attack", tmp_path / "a.safetensors", settings, data=str(digits), weights=str(trained))
    rows, was, x, success = of(out, 0, "sample_id", "attacked", "x", "success")
    before = io.load_tensors(digits, ["x"])["x"][rows[was == 1]] / np.float32(255)
    assert success.any()
    assert np.abs(x - before).max() <= 0.3 + 1e-6
    assert (x[~success] == before[~success]).all()


@pytest.mark.parametrize(
    ("step", "changes", "sentence"),
    [
        ("attack", {"attacked": 61}, "seed 0: 61 attacks asked of "),
        ("attack", {"samples": SAMPLES | {"count": 99}}, "99 samples asked of 60"),
        (
            "attack",
            {"samples": SAMPLES | {"count": 3}, "attacked": 3},
            "attack.attacked is 3 of 3 samples; it takes few",
        ),
        ("attack", {"carlini_wagner": None, "fast_gradient_sign": {"epsilon": 1e-7, "batch": 8}}, "none of 20 attacks"),
        ("features", {"samples": SAMPLES | {"classes": [0, 3]}}, "no samples of class 3 in the split test"),
        ("features", {"layer": "classifier.relu9"}, "no layer 'classifier.relu9' in the network"),
        ("features", {"pool": "average"}, r"layer classifier.relu1 has the shape \[8\]; an average takes"),
    ],
)
def test_what_the_samples_or_the_network_lack_is_refused(digits, trained, tmp_path, step, changes, sentence):
    settings = (ATTACK if step == "attack" else FEATURES) | changes
    with pytest.raises(InputError, match=sentence):
        run(step, tmp_path / "out.safetensors", settings, data=str(digits), weights=str(trained), attacks=[])


def test_tables_have_no_features(trained, tmp_path):
    path = tmp_path / "table.safetensors"
    tensors = {"x": np.zeros((6, 36), np.float32), "y": np.arange(6) % 2, "split": np.ones(6, np.uint8)}
    io.save_tensors(path, tensors, {"classes": 2, "scale": 1})
    with pytest.raises(InputError, match=r"x has the shape \[6, 36\]; a network takes images"):
        run("features", tmp_path / "f.safetensors", FEATURES, data=str(path), weights=str(trained), attacks=[])


# networks that exist


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PHOTO = {"factory": "squeezenet1_1", "colours": "imagenet", "classes": 5}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty reddish and bluish photos, and a network of photos as torchvision would publish it."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(1)
    y = np.arange(30) % 2
    x = random.integers(0, 120, (30, 40, 40, 3))
    x[np.arange(30), :, :, 2 * y] += 80
    split = np.zeros(30, np.uint8)
    tensors = {"x": x.astype(np.uint8), "y": y, "split": split}
    io.save_tensors(folder / "photos.safetensors", tensors, {"classes": 2, "scale": 255})
    network = PhotoNetwork(**PHOTO)
    initialise(network, torch_generator(0, "test"))
    torch.save(network.network.state_dict(), folder / "net.pth")
    settings = {
        "architecture": "photo-network",
        "arguments": PHOTO,
        "checkpoint": {"format": "state-dict", "file": "net.pth", "key": None, "prefix": None},
    }
    run("convert", folder / "weights.safetensors", settings, files=[str(folder / "net.pth")])
    return folder, network.eval()


def test_a_published_network_is_converted_as_it_is(photos):
    folder, network = photos
    again = load(io.load_tensors(folder / "weights.safetensors"), io.metadata(folder / "weights.safetensors"), 0)
    x = torch.rand(2, 3, 40, 40)
    torch.testing.assert_close(again(x), network(x))
    settings = {
        "architecture": "photo-network",
        "arguments": PHOTO | {"classes": 6},
        "checkpoint": {"format": "state-dict", "file": "net.pth", "key": None, "prefix": None},
    }
    with pytest.raises(InputError, match=r"the checkpoint does not fit the network: classifier\.1\.weight"):
        run("convert", folder / "w.safetensors", settings, files=[str(folder / "net.pth")])


def test_a_published_network_with_nan_is_refused(photos):
    folder, network = photos
    weights = network.network.state_dict()
    weights["features.0.bias"] = torch.full_like(weights["features.0.bias"], torch.nan)
    torch.save(weights, folder / "nan.pth")
    settings = {
        "architecture": "photo-network",
        "arguments": PHOTO,
        "checkpoint": {"format": "state-dict", "file": "nan.pth", "key": None, "prefix": None},
    }
    with pytest.raises(InputError, match=r"features\.0\.bias of nan\.pth has NaN or infinite values"):
        run("convert", folder / "w.safetensors", settings, files=[str(folder / "nan.pth")])
    assert not (folder / "w.safetensors").exists()


def test_a_network_that_exists_is_one_for_all_seeds_with_a_head_of_each(photos):
    folder, network = photos
    settings = FEATURES | {
        "layer": "network.features.12",
        "pool": "average",
        "samples": SAMPLES | {"split": "all"},
        "head": {"folds": 3, "decay": 0.1},
        "batch": 7,
    }
    inputs = {"data": str(folder / "photos.safetensors"), "weights": str(folder / "weights.safetensors"), "attacks": []}
    out = run("features", folder / "f.safetensors", settings, "000-002", **inputs)
    data, x = io.load_tensors(inputs["data"]), io.load_tensors(out)["x"]
    images = torch.from_numpy(data["x"]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        mean, deviation = (torch.tensor(values)[:, None, None] for values in IMAGENET)
        centred = (images - mean) / deviation
        expected = network.network.features(centred).mean((2, 3)).numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-3, atol=1e-4)
    assert io.load_tensors(out)["sample_id"].tolist() == list(range(30))
    spread = x.std(0)
    design = np.column_stack([(x - x.mean(0)) / np.where(spread > 0, spread, 1), np.ones(30, np.float32)])
    folds = []
    for seed in range(3):
        scores, predicted = of(out, seed, "scores", "predicted")
        own = cross_validated_probabilities(design, data["y"], generator(seed, "folds"), 3, 0.1)
        np.testing.assert_allclose(scores, own, rtol=1e-4, atol=1e-5)
        assert (predicted == data["y"]).mean() > 0.9
        folds.append(scores)
    assert not np.array_equal(folds[0], folds[1])
    names = set(io.tensor_names(out))
    assert names == {"x", "sample_id", *(f"seed{seed}.{name}" for seed in range(3) for name in ("scores", "predicted"))}
