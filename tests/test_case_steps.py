"""The steps of studies of active learning and of saliency, one after another, and what they refuse."""

import io as bytesio
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import sparse
from synthetic import run, script

from interneuron import baselines, graphs, io, margin_plots, nets, saliency
from interneuron.errors import InputError
from interneuron.influence import influence
from interneuron.seeds import generator
from interneuron.workflow import config

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = ("000-001", "002-002")
KARATE = {"reader": "karate", "test_share": 0.34, "validation_share": 0.25, "split_seed": 0, "classes": 2}
EMBED = {"hidden": 4, "latents": 3, "epochs": 20, "learning_rate": 0.01}
ACTIVE = {
    "labels": [2, 4, 6],
    "filters": [{"variant": "symmetric", "p": [1, 2]}, {"variant": "f-alone", "p": [1]}],
    "baselines": ["random", "resampling", "degree", "pagerank", "all"],
    "classifier": {
        "hidden": [8],
        "epochs": 30,
        "learning_rate": 0.05,
        "dropout": 0.5,
        "decay": 5e-4,
        "window": 10,
    },
}
SALIENCY = {
    "split": "test",
    "superpixels": [4, 8],
    "compactness": 1.0,
    "fill": 0.0,
    "readings": [
        {"variant": "symmetric", "k": 3, "p": 1},
        {"variant": "symmetric", "k": 2, "p": 1},
        {"variant": "symmetric", "k": 3, "p": 2},
    ],
    "baselines": ["grad-cam", "occlusion", "random"],
    "grad_cam": "features.relu2",
    "occlusion": {"window": 3, "stride": 2},
    "blur": 1.5,
    "steps": 8,
    "keep": 0.5,
    "batch": 16,
    "shown": [0, 2],
}


def of(blocks, name):
    return pd.concat([io.load_table(getattr(block, name)) for block in blocks], ignore_index=True)


# active learning


def learn(folder, data, block, **changes):
    """The steps of one block."""
    files = SimpleNamespace(
        embedding=folder / "embedding.safetensors", active=folder / "active.parquet", metrics=folder / "metrics.parquet"
    )
    run("embed", {"data": data}, [files.embedding], EMBED, block=block)
    run("active", {"data": data, "embedding": files.embedding}, [files.active], ACTIVE | changes, block=block)
    run("evaluate", {"active": files.active}, [files.metrics], {"kind": "active"})
    return files


@pytest.fixture(scope="module")
def club(tmp_path_factory):
    folder = tmp_path_factory.mktemp("active")
    data = run("link", {"files": []}, [folder / "karate.safetensors"], KARATE)[0]
    return SimpleNamespace(data=data, blocks=[learn(folder / block, data, block) for block in BLOCKS], folder=folder)


def test_a_graph_is_prepared_with_its_split(club):
    tensors, about = io.load_tensors(club.data), io.metadata(club.data)
    assert about == {"classes": 2, "features": 34}
    assert [np.bincount(tensors["y"][tensors["split"] == part]).tolist() for part in range(3)] == [
        [8, 8],
        [6, 6],
        [3, 3],
    ]
    x = sparse.csr_array((tensors["x.data"], tensors["x.indices"], tensors["x.indptr"]), (34, 34))
    np.testing.assert_array_equal(x.toarray(), np.eye(34))
    assert tensors["links"].shape == (78, 2)


def test_every_way_of_choosing_has_a_row_a_number_of_labels(club):
    table = of(club.blocks, "active")
    counts = table.groupby(["seed", "method", "p"]).size().unstack("seed")
    assert counts.columns.tolist() == [0, 1, 2]
    assert (counts.loc["all"] == 1).all(axis=None)
    assert (counts.drop("all") == 3).all(axis=None)
    assert len(counts) == 8
    whole = table[table["method"] == "all"]
    assert (whole["labels"] == 16).all()
    assert whole["accuracy"].median() > 0.8
    balanced = table[table["method"] == "random"]
    assert (balanced["classes"] == 2).all()


def test_what_is_labelled_has_the_largest_influence(club):
    active, at = script("active"), club.blocks[0]
    graph = active.Graph(club.data)
    w = graphs.from_links(io.load_tensors(club.data)["links"], 34)
    latent = io.load_tensors(at.embedding)["seed1.latent"]
    found = {(name, p, len(nodes)): nodes for name, p, nodes in active.choices(graph, latent, ACTIVE, 1)}
    for name, p, scores in (
        ("symmetric", 2, influence(w, latent, "symmetric", 2)),
        ("f-alone", 0, np.linalg.norm(latent, axis=1)),
        ("degree", 0, graphs.degrees(w)),
        ("pagerank", 0, baselines.pagerank(w)),
    ):
        nodes = found[name, p, 4]
        others = np.setdiff1d(graph.pool, nodes)
        assert scores[nodes].min() >= scores[others].max()
        assert set(found[name, p, 2]) < set(nodes)
    for nodes in found.values():
        assert set(nodes) <= set(graph.pool)
    assert len({tuple(next(iter(active.by_class(graph, [4], seed)))) for seed in range(9)}) > 4
    assert len({tuple(next(iter(active.resampled(graph, [4], seed)))) for seed in range(9)}) > 4


def test_metrics_compare_with_the_same_number_of_labels(club):
    metrics = of(club.blocks, "metrics").set_index(["seed", "method", "p", "labels"]).sort_index()
    accuracy = metrics["accuracy"]
    for labels in ACTIVE["labels"]:
        for baseline, column in (("random", "over_random"), ("f-alone", "over_f_alone")):
            got = metrics.loc[(1, "symmetric", 1, labels), column]
            assert got == pytest.approx(accuracy[1, "symmetric", 1, labels] - accuracy[1, baseline, 0, labels])
        both = [accuracy[2, "symmetric", p, labels] for p in (1, 2)]
        assert metrics.loc[(2, "symmetric", 2, labels), "spread_over_p"] == pytest.approx(np.ptp(both))
    lead = metrics.loc[(2, "symmetric", 1), "over_random"]
    assert metrics.loc[(2, "symmetric", 1, 2), "mean_over_random"] == pytest.approx(lead.mean())
    falls = {name: -np.diff(accuracy[0, name, 0].to_numpy()).min() for name in ("resampling", "random")}
    row = metrics.loc[(0, "random", 0, 2)]
    assert row["largest_fall"] == pytest.approx(falls["random"])
    assert row["steadier_than_resampling"] == pytest.approx(falls["resampling"] - falls["random"])
    assert np.isnan(metrics.loc[(0, "all", 0, 16), "over_random"])


def test_seeds_do_not_depend_on_their_block(club, tmp_path):
    alone = learn(tmp_path, club.data, "001-001")
    mine = of(club.blocks, "metrics")
    mine = mine[mine["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(io.load_table(alone.metrics), mine)
    again = learn(tmp_path / "again", club.data, BLOCKS[0])
    for name in ("embedding", "active", "metrics"):
        assert getattr(again, name).read_bytes() == getattr(club.blocks[0], name).read_bytes()


def test_more_labels_than_nodes_are_refused(club, tmp_path):
    with pytest.raises(InputError, match="17 labels asked of 16 nodes that may be labelled"):
        learn(tmp_path, club.data, "000-000", labels=[2, 17])
    with pytest.raises(InputError, match="1 samples asked of 2 classes"):
        learn(tmp_path, club.data, "000-000", labels=[1])


# saliency


def look(folder, weights, data, block, **changes):
    files = SimpleNamespace(saliency=folder / "saliency.parquet", overlays=folder / "overlays.safetensors")
    run("saliency", {"weights": weights, "data": data}, files, SALIENCY | changes, block=block)
    files.metrics = run("evaluate", {"saliency": files.saliency}, [folder / "s.parquet"], {"kind": "saliency"})[0]
    return files


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    """A judge that sees how bright an image's top is: class 1 where it is."""
    folder = tmp_path_factory.mktemp("saliency")
    about = {
        "architecture": "judge",
        "arguments": {
            "height": 8,
            "width": 8,
            "classes": 2,
            "channels": [2, 2],
            "strides": [1, 1],
            "kernel": 1,
            "hidden": 2,
        },
        "seeds": [0],
    }
    network = nets.build(about["architecture"], about["arguments"])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.features.conv1.weight[0] = 1
        network.features.conv2.weight[0, 0] = 1
        network.classifier.linear1.weight[0, :32] = 0.2
        network.classifier.linear2.weight[1, 0] = 1
        network.classifier.linear2.bias[0] = 1.5
    tensors = {name: value[None].numpy() for name, value in network.state_dict().items()}
    io.save_tensors(folder / "weights.safetensors", tensors, about)
    x = np.broadcast_to(np.arange(8) // 2, (6, 8, 8)).astype(np.uint8)
    x[:, :4, 2:6] = np.array([16, 15, 14, 13, 12, 11])[:, None, None]
    data = {"x": x, "y": np.array([1, 0, 1, 1, 1, 1]), "split": np.array([0, 1, 1, 1, 1, 0], np.uint8)}
    io.save_tensors(folder / "data.safetensors", data, {"classes": 2, "scale": 16})
    paths = folder / "weights.safetensors", folder / "data.safetensors"
    return SimpleNamespace(paths=paths, x=x, blocks=[look(folder / block, *paths, block) for block in BLOCKS])


def test_a_seed_is_an_image_of_the_split(bright):
    table = of(bright.blocks, "saliency")
    images = table.groupby("seed")[["sample_id", "target", "right"]].first()
    assert images["sample_id"].tolist() == [1, 2, 3]
    assert images["target"].tolist() == [1, 1, 1]
    assert images["right"].tolist() == [False, True, True]
    assert (table.groupby("seed").size() == 1 + 3 + 3).all()
    shown = [set(io.tensor_names(block.overlays)) for block in bright.blocks]
    assert {name.split(".")[0] for names in shown for name in names} == {"seed0", "seed2"}
    np.testing.assert_array_equal(
        io.load_tensors(bright.blocks[0].overlays)["seed0.photo"], np.rint(bright.x[1] / 16 * 255)
    )


def test_maps_are_high_where_the_network_looks(bright):
    maps = io.load_tensors(bright.blocks[0].overlays)
    seen = np.zeros((8, 8), bool)
    seen[:4, 2:6] = True
    for name in ("masking", "symmetric", "occlusion"):
        own = maps[f"seed0.{name}"]
        assert own[seen].mean() > 2 * own[~seen].mean()
    np.testing.assert_allclose(maps["seed0.masking"] * maps["seed0.influence"], maps["seed0.symmetric"], rtol=1e-5)
    table = of(bright.blocks, "saliency").set_index(["seed", "method", "k", "p"])
    for seed in range(3):
        chance = table.loc[(seed, "random", 0, 0)]
        for method, k, p in (("masking", 0, 0), ("symmetric", 3, 1), ("occlusion", 0, 0)):
            row = table.loc[(seed, method, k, p)]
            assert row["deletion"] < chance["deletion"]
            assert row["insertion"] > chance["insertion"]
            assert row["gini"] > chance["gini"]


def test_measures_are_the_librarys(bright):
    weights, about = io.load_tensors(bright.paths[0]), io.metadata(bright.paths[0])
    network = nets.load(weights, about, 0)
    x = torch.from_numpy(bright.x[1] / np.float32(16))[None]
    own = io.load_tensors(bright.blocks[0].overlays)["seed0.random"]
    random = generator(0, "random saliency").random((8, 8))
    np.testing.assert_allclose(own, random, rtol=1e-6)

    def scores(images):
        return network(images).softmax(1)

    table = of(bright.blocks, "saliency").set_index(["seed", "method", "k", "p"])
    row = table.loc[(0, "random", 0, 0)]
    assert row["deletion"] == pytest.approx(saliency.deletion_auc(scores, x, random, 0.0, steps=8), rel=1e-5)
    assert row["gini"] == pytest.approx(saliency.gini(random), rel=1e-5)
    assert row["probability"] == pytest.approx(float(scores(x[None]).max()), rel=1e-5)


def test_metrics_say_how_much_better_a_map_is(bright):
    metrics = of(bright.blocks, "metrics").set_index(["seed", "method", "k", "p"]).sort_index()
    own = metrics.loc[(2, "symmetric", 3, 1)]
    for name, baseline in (("masking", "masking"), ("grad_cam", "grad-cam"), ("occlusion", "occlusion")):
        other = metrics.loc[(2, baseline, 0, 0)]
        assert own[f"deletion_below_{name}"] == pytest.approx(other["deletion"] - own["deletion"])
        assert own[f"insertion_above_{name}"] == pytest.approx(own["insertion"] - other["insertion"])
        assert own[f"gini_above_{name}"] == pytest.approx(own["gini"] - other["gini"])
        assert own[f"pixels_needed_below_{name}"] == pytest.approx(other["pixels_needed"] - own["pixels_needed"])
    for setting, other in (("k", (2, "symmetric", 2, 1)), ("p", (2, "symmetric", 3, 2))):
        want = abs(own["deletion"] - metrics.loc[other, "deletion"])
        assert own[f"deletion_over_{setting}"] == pytest.approx(want)
    assert np.isnan(metrics.loc[(2, "masking", 0, 0), "deletion_over_k"])


def test_the_same_bytes_again_and_the_same_image_in_other_blocks(bright, tmp_path):
    again = look(tmp_path / "again", *bright.paths, BLOCKS[0])
    for name in ("saliency", "overlays", "metrics"):
        assert getattr(again, name).read_bytes() == getattr(bright.blocks[0], name).read_bytes()
    alone = io.load_table(look(tmp_path, *bright.paths, "001-001").saliency)
    mine = of(bright.blocks, "saliency")
    pd.testing.assert_frame_equal(alone, mine[mine["seed"] == 1].reset_index(drop=True))


@pytest.mark.parametrize(
    ("changes", "block", "sentence"),
    [
        ({}, "004-004", "photo 4 is asked of 4 in the split test; a seed is a photo"),
        ({"superpixels": [100]}, "000-000", r"\[100\] superpixels asked of an image of 8 x 8 pixels; it takes 2 to 64"),
        ({"readings": [{"variant": "symmetric", "k": 99, "p": 1}]}, "000-000", "k is 99 for"),
        ({"occlusion": {"window": 9, "stride": 2}}, "000-000", "window 9 and stride 2 on 8 x 8 pixels"),
        ({"grad_cam": "features.conv9"}, "000-000", "features.conv9"),
    ],
)
def test_what_saliency_refuses(bright, tmp_path, changes, block, sentence):
    with pytest.raises(InputError, match=sentence):
        look(tmp_path, *bright.paths, block, **changes)


def test_photos_are_prepared_by_the_ids_in_their_names(tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for name, grey in (("n02_b.JPEG", 200), ("n01_a.JPEG", 10)):
            file = bytesio.BytesIO()
            Image.new("RGB", (20, 12), (grey,) * 3).save(file, "JPEG")
            info = tarfile.TarInfo(name)
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)
    settings = {"reader": "imagenet", "file": "photos.tar", "side": 10, "crop": 8, "classes": 9}
    out = [tmp_path / "photos.safetensors"]
    run("prepare", {"files": [tmp_path / "photos.tar"]}, out, settings | {"ids": {"n01": 7, "n02": 3}}, dataset="d")
    data = io.load_tensors(out[0])
    assert (data["x"].shape, data["y"].tolist(), data["split"].tolist()) == ((2, 8, 8, 3), [7, 3], [1, 1])
    with pytest.raises(InputError, match="a photo is of n02, which is none of the 1 ids"):
        run("prepare", {"files": [tmp_path / "photos.tar"]}, out, settings | {"ids": {"n01": 7}}, dataset="d")


# figures, and the page of files


@pytest.mark.parametrize("name", ["labels.png", "judged.png", "overlays.png"])
def test_figures(club, bright, tmp_path, name):
    study = club if name == "labels.png" else bright
    inputs = {
        key: [getattr(block, key) for block in study.blocks]
        for key in ("metrics", "overlays")
        if key == "metrics" or study is bright
    }
    for path in (tmp_path / "a" / name, tmp_path / "b" / name):
        run("figures", inputs, [path], {}, figure=name)
    picture = Image.open(tmp_path / "a" / name)
    assert 300 < picture.width <= 880
    assert len(set(np.asarray(picture.convert("L")).ravel())) > 20
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_figures_refuse_what_does_not_fit():
    table = pd.DataFrame({"seed": [0], "method": ["random"], "p": [0], "labels": [2], "accuracy": [0.5]})
    with pytest.raises(InputError, match="no rows of a reading of influence"):
        margin_plots.labels(table)
    with pytest.raises(InputError, match="accuracy"):
        margin_plots.labels(table.drop(columns="accuracy"))
    with pytest.raises(InputError, match="deletion"):
        margin_plots.judged(table.assign(k=0), {"deletion": "deletion"})
    photo = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="got 1 photos, 0 sets of maps"):
        margin_plots.overlays([photo], [], ["a"])
    with pytest.raises(InputError, match=r"map random is \[3, 4\], photo \[4, 4\]"):
        margin_plots.overlays([photo], [{"random": np.zeros((3, 4))}], ["a"])


def documented(heading):
    section = (ROOT / "docs/files.md").read_text().split(heading)[1]
    section = re.split(r"^###? ", section, maxsplit=1, flags=re.M)[0]
    return [name for row in re.findall(r"^\| (`[^|]+`) \|", section, re.M) for name in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize(("table", "heading"), [("active", "active learning"), ("saliency", "saliency")])
def test_tables_are_as_documented(club, bright, table, heading):
    blocks = club.blocks if table == "active" else bright.blocks
    own = documented(f"## results/studies/{{study}}/{{block}}/{table}.parquet\n")
    assert list(of(blocks, table).columns) == own
    assert set(of(blocks, "metrics").columns) == {"level", *own, *documented(f"### In a study of {heading}\n")}


ENTRIES = sorted(
    path.stem for kind in ("active", "saliency") for path in (ROOT / "config/studies").glob(f"margin-{kind}*.yaml")
)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_claim_asks_for_one_row_a_seed(club, bright, name):
    """Its metric is there, and it names a method that the study has."""
    study = config.load_all(ROOT).studies[name]
    columns = set(of(club.blocks if study.kind == "active" else bright.blocks, "metrics").columns)
    for claim in study.claims:
        if claim.not_comparable:
            continue
        assert {claim.metric, *claim.where} <= columns, claim.id
        where = claim.where
        if study.kind == "active":
            assert where["method"] == "all" or where["labels"] in study.active.labels, claim.id
            assert where["method"] in ["all", *(entry.variant for entry in study.active.filters)], claim.id
        else:
            readings = [(entry.variant, entry.k, entry.p) for entry in study.saliency.readings]
            assert (where["method"], where["k"], where["p"]) in readings, claim.id


# refusals of the config


@pytest.mark.parametrize(
    ("entry", "old", "new", "sentence"),
    [
        (
            "margin-active-test",
            "dataset: karate",
            "dataset: digits",
            "dataset is 'digits', .*a dataset that is a graph",
        ),
        ("margin-saliency-test", "seeds: 4\nblock: 2\n", "", "seeds is missing.*a seed of the study is a sample"),
        ("margin-active-test", "embed: {hidden: 4, latents: 2, epochs: 5}\n", "", "embed is missing.*active reads it"),
        ("margin-saliency-test", "stride: 2", "stride: 4", "occlusion.stride is 4.*at most the window, 3"),
        ("margin-saliency-test", "    - {k: 2}\n", "    - {k: 3}\n", "each value once"),
        ("margin-saliency-test", "figures: [overlays.png", "figures: [labels.png", "a figure of a study of saliency"),
        ("margin-active-test", "labels: [2, 3]", "labels: [3, 2]", "rising order"),
    ],
)
def test_entries_that_are_refused(tmp_path, entry, old, new, sentence):
    for path in (ROOT / "config").rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    path = tmp_path / f"config/studies/{entry}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=sentence):
        config.project({"studies": [entry]}, tmp_path)
