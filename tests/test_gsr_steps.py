"""The steps of a study of graph spectral regularization, one after another, on small data: files, metrics, figures."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic import run, script

from interneuron import gsr_plots, io, lattices, nets, simulate, structure
from interneuron.errors import InputError
from interneuron.seeds import generator
from interneuron.structured_classifiers import restored, train_classifiers
from interneuron.wavelets import KERNELS
from interneuron.workflow import config
from interneuron.workflow.config.kinds import KINDS
from interneuron.workflow.config.models import StridedModel
from interneuron.workflow.config.structured import (
    PIECES,
    SIZES,
    AutoencoderModel,
    CapsuleModel,
    DenseModel,
    Filter,
    FixedGraph,
    Kernel,
    MapModel,
    MapPerceptronModel,
    Regularization,
    Structure,
    WaveletModel,
)

ROOT = Path(__file__).resolve().parent.parent
COMMON = {"title": "t", "dataset": "d", "seeds": 2, "block": 2, "report_every": 5}


def study(folder, data, model, structure, reference=None, choice=()):
    """The steps from training to metrics; their files."""
    settings = model.settings()
    files = SimpleNamespace(
        weights=folder / "runs.safetensors",
        training=folder / "runs.parquet",
        structure=folder / "structure.parquet",
        layers=folder / "layers.safetensors",
    )
    run("regularise", {"data": data, "choice": choice}, files, settings, model="m", block="000-001")
    parts = [part.model_dump(mode="json") for part in getattr(model, "parts", [])]
    looked = Structure.model_validate(structure).model_dump(mode="json") | {"parts": parts}
    run("structure", {"weights": files.weights, "data": data}, files, looked)
    inputs = {"training": files.training, "structure": files.structure}
    files.metrics = run("evaluate", inputs, [folder / "metrics.parquet"], {"kind": "gsr", "reference": reference})[0]
    return files


def drawn(files, figure):
    inputs = SimpleNamespace(training=[files.training], layers=[files.layers], metrics=[files.metrics])
    return script("figures").FIGURES[figure](script("figures").Study(inputs, {"figure": figure}))


def table(x, y, folder, **about):
    split = (np.arange(len(y)) // (y.max() + 1) % 4 == 0).astype(np.uint8)
    path = folder / "data.safetensors"
    io.save_tensors(path, {"x": x, "y": y, "split": split}, {"classes": int(y.max()) + 1, **about})
    return path


def images(folder, count=80, side=8):
    rng = np.random.default_rng(0)
    y = np.arange(count) % 4
    x = rng.integers(0, 60, (count, side, side)).astype(np.uint8)
    for sample, label in enumerate(y):
        x[sample, 2 * label : 2 * label + 2] = 255
    return table(x, y, folder, scale=255)


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nested")
    data = table(*simulate.nested_clusters(240, 0), folder, features=[f"f{i}" for i in range(15)])
    model = AutoencoderModel.model_validate(
        COMMON
        | {
            "architecture": "autoencoder",
            "arguments": {"hidden": [8], "nodes": 6, "rectified": True},
            "graph": {"kind": "paths", "sizes": {"count": 3, "length": 2}},
            "variants": [{"name": "none"}, {"name": "vae", "kl": 0.1}, {"name": "gsr", "gsr": [0.01, 0.1, 1.0]}],
            "parts": [{"name": "all", "classes": [0, 5]}, {"name": "one", "classes": [0, 1], "features": 5}],
            "iterations": 20,
            "batch": 30,
        }
    )
    structure = {"patches": {"permutations": 19}, "supernodes": {}}
    return study(folder, data, model, structure, "none")


def test_every_run_has_its_row_and_its_numbers(nested):
    metrics = io.load_table(nested.metrics)
    assert metrics["level"].value_counts().to_dict() == {"run": 20, "mean": 10, "curve": 2}
    runs = metrics[metrics["level"] == "run"]
    for column in ("test_reconstruction", "moran", "moran_p", "supernodes", "both"):
        assert runs[column].notna().all(), column
    assert (runs[runs["variant"] == "none"]["test_reconstruction_gain"] == 0).all()
    about = io.metadata(nested.weights)
    assert [run["variant"] for run in about["runs"][:5]] == ["none", "vae", "gsr", "gsr", "gsr"]
    assert about["runs"][-1]["arguments"]["features"] == 5
    assert io.load_tensors(nested.weights, ["run0.embedding.weight"])["run0.embedding.weight"].shape == (2, 6, 8)


@pytest.mark.parametrize("figure", ["supernodes.png", "variants.png", "class-maps.png", "reconstruction.png"])
def test_pictures_of_a_fixed_graph(nested, figure):
    drawn(nested, figure).draw_without_rendering()


@pytest.mark.parametrize(
    ("kind", "sizes", "shape"),
    [
        ("grid", {"height": 2, "width": 3}, (2, 3)),
        ("paths", {"count": 3, "length": 2}, (3, 2)),
        ("capsules", {"count": 2, "dimensions": 3}, (2, 3)),
        ("star", {"nodes": 6}, (1, 6)),
    ],
)
def test_maps_are_drawn_on_every_fixed_graph(kind, sizes, shape):
    maps = np.arange(12.0).reshape(2, 6)
    tensors = {"run0.maps": maps, "run0.segments": structure.segment(maps)}
    about = {
        "graph": {"kind": kind, "sizes": sizes},
        "seed": 0,
        "runs": [{"variant": "a", "weight": 0.0, "part": "all"}],
    }
    figure = gsr_plots.class_maps(tensors, about)
    assert figure.axes[0].get_images()[0].get_array().shape == shape


def test_logarithmic_axes_are_written_in_plain_numbers(nested):
    figure = drawn(nested, "reconstruction.png")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ticks = [*axes.xaxis.get_ticklabels(which="both"), *axes.yaxis.get_ticklabels(which="both")]
    labels = [tick.get_text() for tick in ticks if tick.get_text()]
    assert [float(label) for label in labels]
    assert {"0.01", "0.1", "1"} <= set(labels)


def test_the_maps_are_headed_by_their_classes(nested):
    titles = [axes.get_title() for axes in drawn(nested, "class-maps.png").axes[:8]]
    assert titles == ["0", "1", "2", "3", "4", "5", "patches", ""]


def test_a_picture_without_its_numbers_is_refused(nested):
    with pytest.raises(InputError, match="no ring, which the figure takes"):
        gsr_plots.ring(io.load_tensors(nested.layers), io.metadata(nested.layers), io.load_table(nested.metrics).assign(ring_correlation=0.0))  # fmt: skip  # noqa: E501


def test_learned_graphs_cells_and_modules(tmp_path):
    x = np.abs(np.random.default_rng(0).normal(size=(160, 4))).astype(np.float32)
    data = table(x, np.arange(160) % 4, tmp_path, features=["CD4", "CD8", "a", "b"])
    model = AutoencoderModel.model_validate(
        COMMON
        | {
            "architecture": "autoencoder",
            "arguments": {"hidden": [6], "nodes": 5},
            "graph": {"kind": "knn", "k": 2, "pretrain": 4, "rebuild": 5, "buffer": 50},
            "variants": [{"name": "gsr", "gsr": 0.01}],
            "iterations": 12,
            "batch": 30,
        }
    )
    cells = {"root_below": {"CD4": 0.5, "CD8": 0.5}, "neighbours": 6, "components": 5, "cells": 90}
    looked = {"samples": "all", "components": {}, "pseudotime": cells}
    files = study(tmp_path, data, model, looked)
    metrics = io.load_table(files.metrics)
    for column in ("components", "connected", "order_correlation", "order_nodes"):
        assert metrics[column].notna().all(), column
    graphs = io.load_tensors(files.weights, ["run0.graphs"])["run0.graphs"]
    assert graphs.shape == (2, 5, 5)
    # The graph that is looked at is that of training.
    np.testing.assert_array_equal(io.load_tensors(files.layers)["run0.graph"], graphs[0])
    assert (metrics["installed"] == 1).all()
    for figure in ("components.png", "pseudotime.png"):
        drawn(files, figure).draw_without_rendering()
    numbered = metrics.assign(part="3")
    gsr_plots.modules(pd.concat([numbered, numbered.assign(part="4")])).draw_without_rendering()
    cells["root_below"] = {"CD9": 1.0}
    with pytest.raises(InputError, match="no feature 'CD9' in the data, which have CD4, CD8, a, b"):
        study(tmp_path, data, model, looked)
    cells["root_below"] = {"CD4": -1.0}
    with pytest.raises(InputError, match="no cell is below"):
        study(tmp_path, data, model, looked)


def test_a_graph_that_the_stop_rule_keeps_out_is_learned_afterwards(tmp_path):
    stream = np.random.default_rng(0)
    data = table(stream.normal(size=(120, 4)).astype(np.float32), np.arange(120) % 4, tmp_path)
    graph = {"kind": "knn", "k": 1, "pretrain": 4, "rebuild": 5, "buffer": 50, "stop": True}
    model = AutoencoderModel.model_validate(
        COMMON
        | {
            "architecture": "autoencoder",
            "arguments": {"hidden": [6], "nodes": 12},
            "graph": graph,
            "variants": [{"name": "gsr", "gsr": 0.01}],
            "iterations": 12,
            "batch": 30,
        }
    )
    files = study(tmp_path, data, model, {"samples": "all", "most": 100, "components": {}})
    metrics = io.load_table(files.metrics).query("level == 'run'")
    assert not io.load_tensors(files.weights, ["run0.graphs"])["run0.graphs"].any()  # one neighbour joins no 12 nodes
    assert metrics["installed"].tolist() == [0, 0]
    assert metrics["components"].between(2, 11).all()
    assert io.load_tensors(files.layers)["run0.graph"].any()


def test_samples_are_drawn_within_each_part(tmp_path):
    x = np.arange(200, dtype=np.float32)[:, None].repeat(4, 1)
    data = table(x, np.repeat([0, 1], [20, 180]), tmp_path)
    model = AutoencoderModel.model_validate(
        COMMON
        | {
            "architecture": "autoencoder",
            "arguments": {"hidden": [8], "nodes": 5},
            "graph": {"kind": "rings", "sizes": {"count": 1, "length": 5}},
            "variants": [{"name": "none"}],
            "parts": [{"name": "1", "classes": [0, 0]}, {"name": "2", "classes": [1, 1]}],
            "iterations": 2,
            "batch": 2,
        }
    )
    files = study(tmp_path, data, model, {"samples": "all", "most": 15, "ring": {"permutations": 2}})
    views = io.load_tensors(files.layers)
    assert [len(views[f"run{number}.ring"]) for number in range(2)] == [15, 15]


def test_a_ring_of_views(tmp_path):
    angles = 2 * np.pi * np.arange(72) / 72
    x = np.stack([np.cos(angles - k) for k in range(6)], 1).astype(np.float32)
    data = table(np.tile(x, (2, 1)), np.repeat([0, 1], 72), tmp_path)
    model = AutoencoderModel.model_validate(
        COMMON
        | {
            "architecture": "autoencoder",
            "arguments": {"hidden": [8], "nodes": 5},
            "graph": {"kind": "rings", "sizes": {"count": 1, "length": 5}},
            "variants": [{"name": "none"}, {"name": "gsr", "gsr": 0.01}],
            "parts": [{"name": "1", "classes": [0, 0]}, {"name": "2", "classes": [1, 1]}],
            "iterations": 20,
            "batch": 20,
        }
    )
    files = study(tmp_path, data, model, {"samples": "all", "ring": {"permutations": 19}}, "none")
    metrics = io.load_table(files.metrics)
    assert metrics[metrics["level"] == "mean"]["runs"].unique().tolist() == [2]
    assert metrics["ring_correlation"].between(0, 1).all()
    for part, words in (("2", "as object 2 turns"), ("all", "as the object turns")):
        layers = io.metadata(files.layers)
        about = layers | {"runs": [run | {"part": part} for run in layers["runs"]]}
        figure = gsr_plots.ring(io.load_tensors(files.layers), about, metrics.assign(part=part))
        figure.draw_without_rendering()
        assert words in figure.get_suptitle()
    drawn(files, "ring.png").draw_without_rendering()


CLASSIFIER = {"layer": "code", "epochs": 2, "batch": 20, "variants": [{"name": "none"}, {"name": "gsr", "gsr": [0.01, 1.0]}]}  # fmt: skip  # noqa: E501


CHOOSING = COMMON | CLASSIFIER | {
    "architecture": "map-classifier",
    "arguments": {"channels": [2], "kernel": 3, "nodes": 4, "dropout": 0.0},
    "graph": {"kind": "grid", "sizes": {"height": 2, "width": 2}},
    "hold_out": 20,
}  # fmt: skip


def test_weights_are_chosen_on_samples_held_out(tmp_path):
    data = images(tmp_path)
    model = MapModel.model_validate(CHOOSING)
    path = run("weigh", {"data": data}, [tmp_path / "choice.parquet"], model.settings("weigh"), model="m")[0]
    choice = io.load_table(path)
    assert choice["run"].tolist() == [0, 1, 2]
    assert choice["accuracy"].notna().tolist() == [False, True, True]
    assert choice.groupby("variant")["chosen"].sum().to_dict() == {"gsr": 1, "none": 1}
    best = choice[choice["variant"] == "gsr"].set_index("chosen")["accuracy"]
    assert best[True] == best.max()
    files = study(tmp_path, data, model, {"patches": {"permutations": 19}}, "none", choice=path)
    metrics = io.load_table(files.metrics)
    assert set(metrics["weight"]) == {0.0, choice[choice["chosen"]]["weight"].max()}
    assert metrics["test_accuracy_gain"].notna().all()
    drawn(files, "class-maps.png").draw_without_rendering()


def test_a_map_of_wavelets(tmp_path):
    """From a choice of weights to figures; the layer's activities are mixtures of the atoms on the entry's graph."""
    data = images(tmp_path)
    model = WaveletModel.model_validate(
        COMMON
        | CLASSIFIER
        | {
            "architecture": "wavelet-classifier",
            "arguments": {"channels": [2], "kernel": 3, "atoms": {"kernel": "mexican-hat", "scales": 2}},
            "graph": {"kind": "grid", "sizes": {"height": 2, "width": 2}},
            "hold_out": 20,
        }
    )
    path = run("weigh", {"data": data}, [tmp_path / "choice.parquet"], model.settings("weigh"), model="m")[0]
    files = study(tmp_path, data, model, {"samples": "all", "patches": {"permutations": 19}}, "none", choice=path)
    metrics = io.load_table(files.metrics)
    for column in ("test_accuracy_gain", "moran_p", "compactness_p"):
        assert metrics[column].notna().all(), column
    arguments = io.metadata(files.weights)["runs"][0]["arguments"]
    own = {name.removeprefix("run0."): value for name, value in io.load_tensors(files.weights).items() if name.startswith("run0.")}  # fmt: skip  # noqa: E501
    network, given = restored(own, 0, "wavelet-classifier", arguments), io.load_tensors(data)
    z = network.code(network.embedding(network.features(torch.from_numpy(given["x"]).unsqueeze(1) / 255).flatten(1)))
    expected = [z[given["y"] == label].mean(0) for label in range(4)]
    np.testing.assert_allclose(io.load_tensors(files.layers)["run0.maps"], torch.stack(expected), rtol=1e-4, atol=1e-6)
    drawn(files, "class-maps.png").draw_without_rendering()
    drawn(files, "variants.png").draw_without_rendering()


def test_folds_are_held_out_in_turn(tmp_path):
    data = images(tmp_path)
    model = MapModel.model_validate(CHOOSING | {"folds": 2})
    settings = model.settings("weigh")
    path = run("weigh", {"data": data}, [tmp_path / "choice.parquet"], settings, model="m")[0]
    given, about = io.load_tensors(data), io.metadata(data)
    order = generator(0, "held out").permutation(np.flatnonzero(given["split"] == 0))
    rates = []
    for start in (0, 20):
        away = order[start : start + 20]
        rest = np.array([row for row in order if row not in away])
        rows = train_classifiers(
            "map-classifier",
            settings["arguments"] | {"classes": about["classes"], "height": 8, "width": 8},
            *(torch.from_numpy(given[name][part]) for part in (rest, away) for name in ("x", "y")),
            [0],
            layer="code",
            weights={"gsr": 1.0},
            graph=lattices.grid(2, 2),
            epochs=1,
            batch=20,
            scale=about["scale"],
            learning_rate=settings["learning_rate"],
        )[1]
        rates.append(rows[-1]["value"])
    choice = io.load_table(path).set_index("weight")
    assert choice.loc[1.0, "accuracy"] == np.mean(rates)
    with pytest.raises(InputError, match="20 folds of 20 of the"):
        run("weigh", {"data": data}, [tmp_path / "no.parquet"], settings | {"folds": 20}, model="m")


def test_a_map_of_channels_is_of_their_means(tmp_path):
    data = images(tmp_path)
    model = MapModel.model_validate(
        COMMON
        | CLASSIFIER
        | {
            "architecture": "map-classifier",
            "arguments": {"channels": [3], "kernel": 3, "nodes": 4},
            "layer": "features.leaky1",
            "graph": {"kind": "paths", "sizes": {"count": 1, "length": 3}},
        }
    )
    files = study(tmp_path, data, model, {"samples": "all", "patches": {"permutations": 19}}, "none")
    about, kernels = io.metadata(files.weights), io.load_tensors(files.weights)
    own = {name.removeprefix("run0."): value for name, value in kernels.items() if name.startswith("run0.")}
    network = restored(own, 0, "map-classifier", about["runs"][0]["arguments"])
    given = io.load_tensors(data)
    z = network.features(torch.from_numpy(given["x"]).unsqueeze(1) / 255).mean((2, 3)).numpy()
    expected = [z[given["y"] == label].mean(0) for label in range(4)]
    np.testing.assert_allclose(io.load_tensors(files.layers)["run0.maps"], expected, rtol=1e-4)
    drawn(files, "class-maps.png").draw_without_rendering()


def test_the_chain_of_methods(tmp_path):
    data = images(tmp_path)
    model = MapPerceptronModel.model_validate(
        COMMON
        | CLASSIFIER
        | {
            "architecture": "map-perceptron",
            "arguments": {"hidden": [6, 4]},
            "layer": "relu1",
            "graph": {"kind": "grid", "sizes": {"height": 2, "width": 3}},
        }
    )
    looked = {"samples": "all", "patches": {"permutations": 9}, "chain": {"samples": 60, "permutations": 5}}
    files = study(tmp_path, data, model, looked, "none")
    metrics = io.load_table(files.metrics)
    for column in ("regions", "region_entropy", "regions_gain"):
        assert metrics[column].notna().all(), column
    assert {"clusters", "stability", "sharpness", "own_loss", "misread_auroc"} <= set(metrics)
    drawn(files, "variants.png").draw_without_rendering()


def test_a_dense_classifier_is_watched_on_both_splits(tmp_path):
    data = images(tmp_path)
    own = {"architecture": "dense-classifier", "arguments": {"hidden": [6], "nodes": 6}, "layer": "code"}
    own["graph"] = {"kind": "grid", "sizes": {"height": 2, "width": 3}}
    model = DenseModel.model_validate(COMMON | CLASSIFIER | own)
    files = study(tmp_path, data, model, {"samples": "all", "patches": {"permutations": 9}}, "none")
    training = io.load_table(files.training).query("metric == 'accuracy'")
    assert training.groupby(["seed", "variant", "weight", "split"]).size().eq(model.epochs).all()
    runs = io.load_table(files.metrics).query("level == 'run'")
    assert runs[["train_accuracy", "test_accuracy", "moran_p", "matched", "matched_gain"]].notna().all(axis=None)
    assert (runs[runs["variant"] == "none"]["matched_gain"] == 0).all()
    about, given = io.metadata(files.weights), io.load_tensors(data)
    own = {n.removeprefix("run0."): v for n, v in io.load_tensors(files.weights).items() if n.startswith("run0.")}
    network = restored(own, 0, "dense-classifier", about["runs"][0]["arguments"])
    taken = network(torch.from_numpy(given["x"]).unsqueeze(1) / 255).argmax(1).numpy() == given["y"]
    row = runs[(runs["variant"] == "none") & (runs["seed"] == 0)].iloc[0]
    assert row["train_accuracy"] == pytest.approx(taken[given["split"] == 0].mean())
    assert row["test_accuracy"] == pytest.approx(taken[given["split"] == 1].mean())


def test_a_dense_classifier_is_trained_on_the_cpu_only():
    own = COMMON | CLASSIFIER | {"architecture": "dense-classifier", "layer": "code", "device": "cuda", "graph": None}
    with pytest.raises(ValueError, match=r"device.*cpu, where all seeds of dense classifiers are trained at once"):
        DenseModel.model_validate(own | {"variants": [{"name": "none"}]})


def test_alignment_of_capsules(tmp_path):
    data = images(tmp_path, 40, 17)
    model = CapsuleModel.model_validate(
        COMMON
        | CLASSIFIER
        | {
            "architecture": "capsule-net",
            "arguments": {"channels": 2, "primary": 1, "dimensions": 3, "decoder": [5]},
            "layer": "digits",
            "graph": {"kind": "capsules", "sizes": {"count": 4, "dimensions": 3}},
            "epochs": 1,
            "batch": 10,
        }
    )
    looked = {"samples": "all", "alignment": {"images": 3, "permutations": 19, "steps": [-0.1, 0.0, 0.1]}}
    files = study(tmp_path, data, model, looked, "none")
    metrics = io.load_table(files.metrics)
    assert metrics["aligned"].between(0, 1).all()
    assert io.load_tensors(files.layers, ["run0.slopes"])["run0.slopes"].shape == (4, 3)
    drawn(files, "alignment.png").draw_without_rendering()


@pytest.mark.parametrize(
    "penalty", [{"penalty": "gsr"}, {"penalty": "response", "filter": {"kernel": "abspline", "scales": 2}}]
)
def test_a_perceptron_with_a_shaped_layer(tmp_path, penalty):
    x = np.random.default_rng(0).integers(0, 2, (100, 5)).astype(np.float32)
    data = table(x, x[:, 0].astype(np.int64), tmp_path)
    settings = {
        "architecture": "mlp", "arguments": {"hidden": [4]}, "initialisation": "glorot-uniform", "epsilon": 1e-7,
        "learning_rate": 0.05, "batch": 25, "epochs": 15, "report_every": 10,
    }  # fmt: skip
    graph = {"kind": "rings", "sizes": {"count": 1, "length": 4}}
    shape = Regularization.model_validate({"layer": "relu1", "weight": 0.01, "graph": graph} | penalty)
    settings["regularization"] = shape.model_dump(mode="json")
    files = SimpleNamespace(weights=tmp_path / "weights.safetensors", training=tmp_path / "training.parquet")
    run("shape", {"data": data}, files, settings, model="m", block="000-001")
    training = io.load_table(files.training)
    assert (training[(training["split"] == "test") & (training["metric"] == "accuracy")]["value"] > 0.8).all()
    assert io.metadata(files.weights)["architecture"] == "mlp"


def test_a_convolution_of_margins_classifier_with_a_shape(tmp_path):
    data = images(tmp_path)
    entry = {
        "title": "t", "dataset": "d", "seeds": 2, "block": 2, "architecture": "strided",
        "arguments": {"channels": [6, 4], "kernels": [3, 3], "strides": [2, 1], "hidden": 8}, "learning_rate": 0.05,
        "batch": 20, "epochs": 3,
        "regularization": {
            "layer": "features.relu1", "weight": 0.1, "graph": {"kind": "rings", "sizes": {"count": 1, "length": 6}},
        },
    }  # fmt: skip
    model = StridedModel.model_validate(entry)
    assert model.step == "shape"
    assert StridedModel.model_validate({**entry, "regularization": None}).step == "classifier"
    files = SimpleNamespace(weights=tmp_path / "weights.safetensors", training=tmp_path / "training.parquet")
    run("shape", {"data": data}, files, model.settings(), model="m", block="000-001")
    penalties = io.load_table(files.training).query("metric == 'penalty'")["value"]
    assert (penalties > 0).all()
    network = nets.load(io.load_tensors(files.weights), io.metadata(files.weights), 1)
    assert network.features.conv1.out_channels == 6


def test_a_training_that_diverges_leaves_its_last_good_weights(tmp_path):
    data = images(tmp_path)
    rate = {"learning_rate": 1e30, "epochs": 4}
    architecture = {"architecture": "map-perceptron", "arguments": {"hidden": [4]}, "layer": "relu1"}
    model = MapPerceptronModel.model_validate(
        COMMON | CLASSIFIER | architecture | {"variants": [{"name": "none"}]} | rate
    )
    files = SimpleNamespace(weights=tmp_path / "runs.safetensors", training=tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"no longer finite in iteration .* are kept in .*log\.safetensors"):
        run("regularise", {"data": data}, files, model.settings(), model="m", block="000-001")
    kept = io.load_tensors(tmp_path / "log.safetensors")
    assert kept["linear1.weight"].shape == (1, 4, 64)
    assert all(np.isfinite(value).all() for value in kept.values())
    settings = {
        "architecture": "mlp", "arguments": {"hidden": [4]}, "learning_rate": 1e30, "batch": 20, "epochs": 3,
        "report_every": 10, "regularization": {"layer": "relu1", "penalty": "l1", "weight": 0.01, "graph": None},
    }  # fmt: skip
    (tmp_path / "log.safetensors").unlink()
    with pytest.raises(InputError, match=r"no longer finite in iteration .* are kept in .*log\.safetensors"):
        run("shape", {"data": data}, files, settings, model="m", block="000-001")
    assert io.load_tensors(tmp_path / "log.safetensors")["linear1.weight"].shape[0] == 2


# the config


def test_every_figure_of_the_kind_is_drawn_by_something():
    for figure in KINDS["gsr"].figures:
        assert callable(script("figures").FIGURES[figure])


def entry(tmp_path, **changes):
    """A study of nested clusters, changed; its project."""
    import shutil

    import yaml

    for kind in ("datasets", "models", "studies"):
        (tmp_path / "config" / kind).mkdir(parents=True, exist_ok=True)
    for name in ("datasets/nested-clusters-test", "models/autoencoder-test", "studies/gsr-test"):
        shutil.copy(ROOT / f"config/{name}.yaml", tmp_path / f"config/{name}.yaml")
    for name, change in changes.items():
        path = tmp_path / "config" / {"model": "models/autoencoder-test.yaml", "study": "studies/gsr-test.yaml"}[name]
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    return config.project({"studies": ["gsr-test"]}, tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("model", {"graph": {"kind": "grid", "sizes": {"height": 2}}}, "graph.sizes.*height of 1 or more and width of"),
        ("model", {"graph": {"kind": "rings", "sizes": {"count": 3, "length": 2}}}, "length of 3 or more"),
        (
            "model",
            {"graph": {"kind": "paths", "sizes": {"count": 3, "length": 2}, "connected": True}},
            "graph.connected is true, but takes false, since the graph falls into 3 components",
        ),
        ("model", {"graph": {"kind": "star", "sizes": {"nodes": 5}}}, "a graph of arguments.nodes, 6, nodes"),
        ("model", {"graph": None}, "a graph, since the variant gsr has a gsr weight"),
        ("model", {"variants": [{"name": "a"}, {"name": "a"}]}, "variants.1.name.*a name that no other variant has"),
        ("model", {"variants": [{"name": "a", "l1": [1.0, 2.0], "l2": [1.0, 2.0]}]}, "one weight, since l1 has a list"),
        ("model", {"parts": [{"name": "a", "classes": [3, 1]}]}, "the smaller class first"),
        ("model", {"parts": [{"name": "a", "classes": [0, 9]}]}, "classes 0 to 5, not parts.0.classes"),
        ("model", {"seeds": 3}, "a multiple of block, which is 2"),
        ("study", {"structure": {"components": {}}}, "structure.components.*a model with a learned graph"),
        ("study", {"structure": {"ring": {}}}, "a model whose graph is rings"),
        ("study", {"structure": {"alignment": {}}}, "a model of architecture capsule-net"),
        ("study", {"structure": {"patches": {}, "chain": {}}}, "a model of architecture map-perceptron"),
        ("study", {"evaluate": {"reference": "nobody"}}, "a variant of the model, none, beta-vae and gsr"),
        ("study", {"figures": ["kl.png"]}, "a figure of a study of gsr"),
        ("study", {"figures": ["ring.png"]}, "figures.0 is .*ring.png.*a section structure.ring, which it shows"),
        (
            "study",
            {"structure": {"components": {}}, "figures": ["modules.png"]},
            "a model with a learned graph",
        ),
        ("model", {"variants": [{"name": "none", "l2": [0.1, 0.2]}, {"name": "gsr"}]}, "a variant.*with one weight"),
        ("model", {"variants": [{"name": "a", "gsr": 0.1, "l1": [1.0, 2.0]}]}, "one weight, since gsr has one"),
        ("study", {"model": None}, "a model of architecture autoencoder"),
    ],
)
def test_entries_that_do_not_fit_are_refused(tmp_path, name, change, sentence):
    with pytest.raises(InputError, match=sentence):
        entry(tmp_path, **{name: change})


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        (
            MapModel,
            {"architecture": "map-classifier", "layer": "code"},
            "a graph of 64 nodes, one a unit of the layer code",
        ),
        (
            DenseModel,
            {"architecture": "dense-classifier", "layer": "code", "arguments": {"nodes": 12}},
            "a graph of 12 nodes, one a unit of the layer code",
        ),
        (
            MapPerceptronModel,
            {"architecture": "map-perceptron", "layer": "relu2", "arguments": {"hidden": [8, 7]}},
            "a graph of 7 nodes, one a unit of the layer relu2",
        ),
    ],
)
def test_a_graph_of_another_size_is_refused_before_anything_runs(kind, change, sentence):
    graph = {"kind": "star", "sizes": {"nodes": 8}}
    own = {"title": "a", "dataset": "d", "seeds": 1, "block": 1, "variants": [{"name": "a"}], "epochs": 1} | change
    with pytest.raises(ValueError, match=sentence):
        kind.model_validate(own | {"graph": graph})
    nodes = int(re.search(r"of (\d+) nodes", sentence)[1])
    assert kind.model_validate(own | {"graph": {"kind": "star", "sizes": {"nodes": nodes}}}).graph.nodes() == nodes


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"penalty": "response"}, "filter.*a filter, since the penalty response has one"),
        ({"filter": {"kernel": "heat"}}, "filter.*nothing, since the penalty gsr has none"),
        (
            {"penalty": "response", "filter": {"kernel": "heat"}, "graph": None},
            "a graph, since the penalty response has",
        ),
        ({"penalty": "response", "filter": {"kernel": "meyer", "scales": 1}}, "2 or more of the kernel meyer"),
    ],
)
def test_filters_that_do_not_fit_are_refused(change, sentence):
    fitting = {"layer": "relu1", "weight": 1.0, "graph": {"kind": "star", "sizes": {"nodes": 4}}}
    assert Regularization.model_validate(fitting).filter is None
    with pytest.raises(ValueError, match=sentence):
        Regularization.model_validate(fitting | change)


def test_the_config_knows_the_kernels_of_the_library():
    assert get_args(Kernel) == KERNELS
    assert Filter(kernel="heat", scales=1).scales == 1


@pytest.mark.parametrize("kind", SIZES)
def test_the_config_knows_the_sizes_of_every_graph(kind):
    """Those of the library: nodes, pieces, and the least sizes that it takes."""
    sizes = {name: least + 1 for name, least in SIZES[kind].items()}
    graph = lattices.build(kind, sizes)
    assert FixedGraph(kind=kind, sizes=sizes).nodes() == graph.shape[0]
    pieces = len(np.unique(lattices.components(graph)))
    assert pieces == sizes.get(PIECES.get(kind), 1)
    for name, least in SIZES[kind].items():
        lattices.build(kind, sizes | {name: least})
        with pytest.raises(InputError, match=f"{name} is {least - 1}"):
            lattices.build(kind, sizes | {name: least - 1})


def test_the_entries_of_the_repository_fit():
    assert {"gsr-map-mnist", "gsr-modules", "gsr-nested", "gsr-wishbone", "gsr-coil20"} <= set(
        config.load_all(ROOT).studies
    )
