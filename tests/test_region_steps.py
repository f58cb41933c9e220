"""The steps of a study of regions, one after another, on a small table: files, metrics, claims and figures."""

import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from synthetic import run

from interneuron import claims, evaluate, io, nets, region_metrics, region_plots
from interneuron.errors import InputError
from interneuron.workflow import config
from interneuron.workflow.config.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = ("000-001", "002-003")
TABLE = {
    "reader": "boolean",
    "samples": 800,
    "features": 5,
    "terms": [{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}],
    "test_share": 0.2,
    "seed": 0,
    "classes": 2,
}
MODEL = {
    "architecture": "mlp",
    "arguments": {"hidden": [6, 3]},
    "initialisation": "glorot-uniform",
    "penalties": {"activity": 0.01, "kernel": 0.0},
    "learning_rate": 0.03,
    "epsilon": 1e-7,
    "batch": 32,
    "epochs": 40,
    "report_every": 100,
}
REGIONS = {
    "samples": "train",
    "labellings": [
        {"name": "combinations", "features": ["v1", "v2", "v3"], "terms": None},
        {"name": "positive-terms", "features": None, "terms": TABLE["terms"]},
    ],
    "profiles": {"ones": {"v1": 1, "v3": 1}},
    "maps": 64,
    "explained": 100,
    "permutations": 2,
    "merge": {
        "principles": ["entropy", "orthogonality"],
        "maps": "member",
        "keep": 0.99,
        "samples": 300,
        "groups": 200,
        "components": 50,
    },
}
EVALUATE = {"kind": "regions", "support_above": 0.001, "correlated_above": 0.5, "kept": [0.95, 0.99]}


def fit(folder, data, block, **changes):
    output = SimpleNamespace(weights=folder / "weights.safetensors", training=folder / "training.parquet")
    return run("fit", {"data": data}, output, MODEL | changes, model="m", block=block)


def measure(folder, data, made, **changes):
    """The steps `regions` and `evaluate` of one block."""
    files = SimpleNamespace(
        regions=folder / "regions.parquet", maps=folder / "maps.safetensors", merging=folder / "merging.parquet"
    )
    run("regions", {"weights": made.weights, "data": data}, files, REGIONS | changes)
    inputs = {"training": made.training, **vars(files)}
    files.metrics = run("evaluate", inputs, [folder / "metrics.parquet"], EVALUATE)[0]
    return files


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    data = run("tabulate", {"files": []}, [folder / "data.safetensors"], TABLE, dataset="d")[0]
    blocks = []
    for block in BLOCKS:
        made = fit(folder / block, data, block)
        blocks.append(SimpleNamespace(weights=made.weights, training=made.training))
        vars(blocks[-1]).update(vars(measure(folder / block, data, made)))
    return SimpleNamespace(folder=folder, data=data, blocks=blocks)


def of(study, name):
    return pd.concat([io.load_table(getattr(block, name)) for block in study.blocks], ignore_index=True)


def samples(study):
    data = io.load_tensors(study.data)
    train = data["split"] == 0
    return data["x"][train], data["y"][train]


# what the files say


def test_some_seeds_learn_the_function_and_some_may_not(study):
    metrics = of(study, "metrics")
    networks = metrics[metrics["level"] == "network"]
    assert networks["seed"].tolist() == [0, 1, 2, 3]
    assert networks["solved"].sum() >= 2, "or the other tests of this file say little"


def test_regions_and_maps_are_those_of_a_plain_forward_pass(study):
    """The oracle: patterns sample by sample, and gradients by autograd."""
    x, y = samples(study)
    for block in study.blocks:
        weights, about = io.load_tensors(block.weights), io.metadata(block.weights)
        table, maps = io.load_table(block.regions), io.load_tensors(block.maps)
        for seed in about["seeds"]:
            network = nets.load(weights, about, seed)
            inputs = torch.from_numpy(x).requires_grad_()
            first = network.relu1(network.linear1(inputs))
            second = network.relu2(network.linear2(first))
            logits = network.linear3(second)[:, 0]
            gradient = torch.autograd.grad(logits.sum(), inputs)[0].numpy()
            bits = [(layer > 0).int().numpy() for layer in (first, second)]
            names = np.array(["|".join("".join(map(str, row)) for row in rows) for rows in zip(*bits, strict=True)])
            own = table[table["seed"] == seed]
            assert own["samples"].tolist() == sorted(pd.Series(names).value_counts(), reverse=True)
            taken = (logits > 0).numpy()
            for row in own.itertuples():
                here = names == row.pattern
                assert here.sum() == row.samples
                assert row.positives == pytest.approx(taken[here].mean())
                assert row.truth == pytest.approx(y[here].mean())
                assert row.right == (taken[here] == (y[here] == 1)).sum()
                omega, b = maps[f"seed{seed}.omega"][row.region, 0], maps[f"seed{seed}.bias"][row.region, 0]
                np.testing.assert_allclose(
                    np.broadcast_to(omega, (row.samples, 5)), gradient[here], rtol=1e-4, atol=1e-5
                )
                np.testing.assert_allclose(x[here] @ omega + b, logits.detach().numpy()[here], rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(maps[f"seed{seed}.mean"][row.region], x[here].mean(0), atol=1e-6)
                np.testing.assert_allclose(maps[f"seed{seed}.within"][row.region], x[here].std(0), atol=1e-6)
                ones = (x[here, 0] == 1) & (x[here, 2] == 1)
                assert maps[f"seed{seed}.profile.ones"][row.region] == ones.sum()
                counts = maps[f"seed{seed}.sets.positive-terms"][row.region]
                assert counts.tolist() == [
                    ones.sum(),
                    (x[here][:, 1] * (1 - x[here][:, 2])).sum(),
                    row.samples - sum(counts[:2]),
                ]
    np.testing.assert_allclose(maps["spread"], x.std(0), rtol=1e-5)
    np.testing.assert_allclose(maps["correlations"], np.corrcoef(x.T), atol=1e-6)


def test_noise_features_weigh_nothing_by_any_measure(study):
    metrics = of(study, "metrics")
    for block in study.blocks:
        maps = io.load_tensors(block.maps)
        for seed in io.metadata(block.weights)["seeds"]:
            if metrics[(metrics["seed"] == seed) & (metrics["level"] == "network")]["solved"].iloc[0]:
                for name in ("permutation", "gradients"):
                    values = maps[f"seed{seed}.{name}"]
                    assert values[:3].min() > 5 * values[3:].max()
                assert maps[f"seed{seed}.permutation"][:3].min() > 0.1
            quantiles = maps[f"seed{seed}.borders"]
            assert len(quantiles) == 101
            assert (np.diff(quantiles) >= 0).all()


def test_merging_goes_from_all_regions_to_one(study):
    table, regions = of(study, "merging"), of(study, "regions")
    for (seed, _), path in table.groupby(["seed", "principle"]):
        count = (regions["seed"] == seed).sum()
        assert path["regions"].tolist() == list(range(count, 0, -1))
        assert path["fidelity"].iloc[0] == 1
        assert path["entropy"].iloc[-1] == pytest.approx(0)
        assert (np.diff(path["entropy"]) < 0).all()
        assert (path["into"].iloc[0], path["gone"].iloc[0]) == (-1, -1)
        gone = path["gone"].iloc[1:]
        assert gone.is_unique
        assert set(gone) < set(range(count)) or count == 1
        chosen = path[path["chosen"]]
        assert len(chosen) == 1
        assert chosen["fidelity"].iloc[0] >= 0.99
        assert (path[path["regions"] < chosen["regions"].iloc[0]]["fidelity"] < 0.99).all()


def test_too_many_regions_are_put_together_first(study, tmp_path):
    block = study.blocks[0]
    merge = REGIONS["merge"] | {"groups": 2, "maps": "refit", "principles": ["entropy"]}
    files = measure(tmp_path, study.data, block, merge=merge)
    path, regions = io.load_table(files.merging), io.load_table(block.regions)
    for seed, own in path.groupby("seed"):
        assert own["regions"].iloc[0] == min(2, (regions["seed"] == seed).sum())
    metrics = io.load_table(files.metrics)
    # Groups are no regions, so no labelling is looked for among them.
    grouped = regions.groupby("seed").size()[lambda n: n > 2].index
    assert len(grouped)
    found = metrics[(metrics["level"] == "path") & (metrics["labelling"] != "")]
    assert not set(found["seed"]) & set(grouped)
    pd.testing.assert_frame_equal(io.load_table(files.regions), regions)


def test_the_same_bytes_again_and_in_other_blocks(study, tmp_path):
    block = study.blocks[0]
    again = measure(tmp_path / "again", study.data, block)
    for name in ("regions", "maps", "merging", "metrics"):
        assert getattr(again, name).read_bytes() == getattr(block, name).read_bytes()
    other = fit(tmp_path / "other", study.data, "001-001")
    files = measure(tmp_path / "other", study.data, other)
    mine = of(study, "metrics")
    for level in ("network", "labelling", "merged"):
        both = [
            metrics[(metrics["seed"] == 1) & (metrics["level"] == level)][["accuracy", "regions", "identical", "kept"]]
            for metrics in (io.load_table(files.metrics), mine)
        ]
        pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in both))


def test_the_split_that_the_regions_are_of_is_chosen(study, tmp_path):
    block, data = study.blocks[0], io.load_tensors(study.data)
    for name, count in (("test", 160), ("all", 800)):
        files = measure(tmp_path / name, study.data, block, samples=name)
        table = io.load_table(files.regions)
        assert (table.groupby("seed")["samples"].sum() == count).all()
    only = tmp_path / "train.safetensors"
    io.save_tensors(only, data | {"split": np.zeros(800, np.uint8)}, io.metadata(study.data))
    with pytest.raises(InputError, match="has no samples of the split test"):
        measure(tmp_path, only, block, samples="test")
    with pytest.raises(InputError, match="no feature 'w' in the data, which have v1, v2, v3, v4, v5"):
        measure(tmp_path, study.data, block, profiles={"p": {"w": 1}})


def test_images_have_regions_but_no_named_features(tmp_path):
    random = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = random.integers(0, 100, (300, 4, 5)).astype(np.uint8)
    x[np.arange(300), y] += 120
    data = tmp_path / "images.safetensors"
    split = (np.arange(300) % 5 == 0).astype(np.uint8)
    io.save_tensors(data, {"x": x, "y": y.astype(np.int64), "split": split}, {"classes": 3, "scale": 255})
    made = fit(tmp_path, data, "000-000", arguments={"hidden": [12, 6]}, epochs=60)
    merge = REGIONS["merge"] | {"groups": 20, "maps": "refit", "components": 8}
    files = measure(tmp_path, data, made, labellings=[], profiles={}, maps=3, merge=merge)
    metrics = io.load_table(files.metrics)
    assert set(metrics["level"]) == {"network", "merged", "path"}
    network = metrics[metrics["level"] == "network"].iloc[0]
    assert network["accuracy"] > 0.9
    assert np.isnan(network["base_rate"])
    maps = io.load_tensors(files.maps)
    assert maps["seed0.omega"].shape == (3, 3, 20)
    weights = io.load_tensors(made.weights)
    network = nets.load(weights, io.metadata(made.weights), 0)
    here = np.flatnonzero(split == 0)
    logits = network(torch.from_numpy(x[here].reshape(-1, 20) / np.float32(255)))
    assert io.load_table(files.regions)["right"].sum() == (logits.argmax(1).numpy() == y[here]).sum()


# metrics and claims


def test_metrics_of_every_level(study):
    metrics = of(study, "metrics")
    assert list(metrics.columns[: len(region_metrics.KEYS)]) == list(region_metrics.KEYS)
    assert set(metrics["level"]) == {"network", "labelling", "profile", "feature", "merged", "path"}
    regions = of(study, "regions")
    x, _ = samples(study)
    for seed, own in regions.groupby("seed"):
        mine = metrics[metrics["seed"] == seed]
        network = mine[mine["level"] == "network"].iloc[0]
        assert network["regions"] == len(own)
        assert network["accuracy"] == own["right"].sum() / len(x)
        labels = np.repeat(own["region"], own["samples"])
        block = next(b for b in study.blocks if seed in io.metadata(b.weights)["seeds"])
        counts = io.load_tensors(block.maps, [f"seed{seed}.sets.combinations"])[f"seed{seed}.sets.combinations"]
        sets = np.concatenate([np.repeat(np.arange(counts.shape[1]), row) for row in counts])
        found = mine[(mine["level"] == "labelling") & (mine["labelling"] == "combinations")]["agreement"]
        assert found.tolist() == pytest.approx([evaluate.adjusted_rand(labels, sets)])
        assert mine[mine["level"] == "profile"]["kind_support"].tolist() == pytest.approx([(x[:, 0] * x[:, 2]).mean()])
        assert (mine["solved"] == network["solved"]).all()


def documented():
    """Metrics of regions on the page of files, each with its levels."""
    section = re.split(r"\n##+ ", (ROOT / "docs/files.md").read_text().split("### In a study of regions")[1])[0]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]*) \|", section.split("The metrics of regions;")[1], re.MULTILINE)
    return {name: levels.strip().split(", ") for names, levels in rows for name in re.findall(r"`([^`]+)`", names)}


def test_every_metric_is_on_the_page_of_files_at_its_level(study):
    metrics = of(study, "metrics")
    page = documented()
    found = {name: set() for name in metrics.columns[len(region_metrics.KEYS) :]}
    for level, rows in metrics.groupby("level"):
        for name in found:
            if rows[name].notna().any():
                found[name].add(level)
    assert set(found) == set(page)
    for name, levels in found.items():
        assert levels <= set(page[name]), name


@pytest.mark.parametrize("name", ["regions", "merging"])
def test_tables_are_as_documented(study, name):
    sections = re.split(r"^## ", (ROOT / "docs/files.md").read_text(), flags=re.M)
    (section,) = [part for part in sections if f"{name}.parquet" in part.splitlines()[0]]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    columns = [column for row in rows for column in re.findall(r"`([^`]+)`", row)]
    assert list(of(study, name).columns) == columns


STUDIES = sorted(path.stem for path in (ROOT / "config/studies").glob("relu-*.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_claim_names_a_metric_at_a_level_that_has_it(name):
    study = config.load_all(ROOT).studies[name]
    page = documented()
    asked = 0
    for claim in study.claims:
        if claim.metric is None:
            continue
        asked += 1
        level = claim.where["level"]
        assert level in page[claim.metric], claim.id
        for key in claim.where:
            assert key in region_metrics.KEYS or level in page[key], claim.id
        if claim.among:
            assert level in page[claim.among], claim.id
        if "labelling" in claim.where:
            assert claim.where["labelling"] in [labelling.name for labelling in study.regions.labellings], claim.id
        if "profile" in claim.where:
            assert claim.where["profile"] in study.regions.profiles, claim.id
        if level in ("merged", "path"):
            assert claim.where["principle"] in study.regions.merge.principles, claim.id
        if level == "merged":
            assert claim.where["kept"] in study.evaluate.kept, claim.id
    assert asked >= 3


def test_claims_are_judged_on_these_metrics(study):
    metrics = of(study, "metrics")
    entry = yaml.safe_load((ROOT / "config/studies/relu-test.yaml").read_text())
    rows = [claims.row("relu-test", claim, metrics, "x") for claim in entry["claims"]]
    assert {row["verdict"] for row in rows} <= {"holds", "holds in part", "fails"}
    assert all(row["n"] for row in rows)


# figures


def draw(study, output, **settings):
    names = ("training", "regions", "maps", "merging", "metrics")
    statements = [
        {"id": "R2", "metric": "regions", "where": {"level": "network"}, "among": None, "holds_if": "median == 3"},
        {"id": "R1", "metric": "accuracy", "where": {"level": "network"}, "among": None, "holds_if": "median == 1"},
    ]
    reported = [claim | {"reported": text} for claim, text in zip(statements, ("3", "100 %"), strict=True)]
    inputs = {name: [getattr(block, name) for block in study.blocks] for name in names}
    return run(
        "figures",
        inputs,
        [output],
        {"figure": output.stem, "claims": reported} | settings,
        study="s",
        figure=output.name,
    )[0]


@pytest.mark.parametrize("name", KINDS["regions"].figures)
def test_every_figure(study, name, tmp_path):
    before = dict(mpl.rcParams)
    first = draw(study, tmp_path / "a" / name)
    assert dict(mpl.rcParams) == before
    with Image.open(first) as picture:
        assert 400 <= picture.width <= 900
        assert np.asarray(picture.convert("L")).std() > 5
        assert not {"Software", "Creation Time"} & set(picture.info)
    assert first.stat().st_size < 150_000
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": "figure"}):
        assert draw(study, tmp_path / "b" / name).read_bytes() == first.read_bytes()


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_the_seeds_that_are_shown_are_the_one_like_the_paper_and_the_one_in_the_middle(study, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(region_plots, "importance", lambda *parts: drawn.append(parts) or mpl.figure.Figure())
    draw(study, tmp_path / "importance.png")
    (rows, features, flagged) = drawn[0]
    metrics = of(study, "metrics")
    networks = metrics[metrics["level"] == "network"].set_index("seed")
    held = (networks["regions"] == 3).astype(int) + (networks["accuracy"] == 1)
    assert rows[0]["title"].startswith(f"Seed {held.idxmax()}, most like the paper: {held.max()} of 2 ")
    assert rows[1]["title"].startswith(f"Seed {held.sort_values(kind='stable').index[1]}, in the middle: ")
    assert features == ["v1", "v2", "v3", "v4", "v5"]
    assert flagged == [False] * 5
    assert len(rows[0]["regions"]) == min(4, networks["regions"][held.idxmax()])


def test_importance_draws_weights_and_flags():
    weights = np.array([3.0, -1.0, 0.0])
    regions = [
        {"title": "01|1", "weights": weights, "spread": weights / 2},
        {"title": "00|1", "weights": 0 * weights, "spread": 0 * weights},
    ]
    figure = region_plots.importance([{"title": "Seed 3", "regions": regions}], ["a", "b", "c"], [False, True, False])
    said = texts(figure)
    assert {"Seed 3", "01|1", "00|1", "a", "b*", "c", "all weights\nare 0", "* correlated with another"} <= set(said)
    bars = [
        patch.get_width()
        for patch in figure.findobj(mpl.patches.Rectangle)
        if patch.get_height() == pytest.approx(0.72)
    ]
    assert bars == [3, -1, 0, 0, 0, 0]
    many = np.arange(20.0)
    figure = region_plots.importance(
        [{"title": "", "regions": [{"title": "", "weights": many, "spread": many}]}], [f"f{i}" for i in range(20)]
    )
    named = dict.fromkeys(text for text in texts(figure) if re.fullmatch(r"f\d+", text))
    assert list(named) == [f"f{i}" for i in range(8, 20)]


def test_regions_counts_seeds_by_what_they_learned(study):
    metrics = of(study, "metrics")
    networks = metrics[metrics["level"] == "network"]
    figure = region_plots.regions(networks, {"regions": 3.0})
    left = figure.findobj(mpl.axes.Axes)[0]
    assert sum(patch.get_height() for patch in left.patches) == len(networks)
    assert "reported in the paper" in texts(figure)
    assert "reported in the paper" not in texts(region_plots.regions(networks))
    region_plots.regions(networks.assign(regions=[5, 800, 60000, 59000])).draw_without_rendering()


def test_bad_input_is_named_in_one_sentence(study):
    path, regions = of(study, "merging"), of(study, "regions")
    for call in (
        lambda: region_plots.regions(pd.DataFrame({"seed": [0]})),
        lambda: region_plots.merging(path.drop(columns="chosen"), path),
        lambda: region_plots.borders({0: np.ones(101)}, regions.drop(columns="border")),
    ):
        with pytest.raises(InputError, match="the table lacks"):
            call()
    with pytest.raises(InputError, match="got no distances"):
        region_plots.borders({}, regions)
    with pytest.raises(InputError, match="got no regions"):
        region_plots.importance([], ["a"])
    row = {"title": "", "regions": [{"title": "", "weights": [1, 2], "spread": [1, 2]}]}
    with pytest.raises(InputError, match="2 weights and 1 flags of 1 features"):
        region_plots.importance([row], ["a"])
    # A network without a border within reach has infinite distances.
    region_plots.borders({0: np.full(101, np.inf)}, regions.assign(border=np.inf)).draw_without_rendering()
