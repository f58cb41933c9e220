"""Graphs, influence, prototypes and wrong labels, one step after another, on a few digits: files, metrics, figures."""

import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, kneighbors_graph
from synthetic import Inputs, script

from interneuron import data, io, margin_metrics, signals
from interneuron.baselines import mmd_critic
from interneuron.errors import InputError
from interneuron.influence import influence
from interneuron.seeds import generator
from interneuron.workflow import config
from interneuron.workflow.config.kinds import KINDS
from interneuron.workflow.nodes import Graphs, Nodes

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = {"split": "train", "redrawn": False, "classes": None, "count": None}
GRAPH = {"samples": SAMPLES, "components": None, "metric": "euclidean", "k": [3, 6], "links": "union"}
GRAPH |= {"weights": "binary"}
FILTERS = [
    {"variant": "symmetric", "p": [1, 2]},
    {"variant": "as-published", "p": [1]},
    {"variant": "f-alone", "p": [1]},
]
MAIN = {"variant": "symmetric", "k": 6, "p": 1}
DISTRUST = {"functions": [{"function": "distrust", "labels": "y"}], "filters": FILTERS, "flip": 0.1}
KINDS_OF_MMD = ("global", "local", "squared-global", "squared-local")
MMD = {"functions": [{"function": f"mmd-{kind}", "gamma": 0.5} for kind in KINDS_OF_MMD]}
MMD |= {"filters": FILTERS, "flip": 0.0}
CHOOSE = {"counts": [5, 12], "gamma": 0.5, "thresholds": [0.5], "quotas": ["none", "class"], "draws": 3}
AUDIT = {"flip": 0.1, "shares": [0.1, 0.3, 1.0], "decay": 1e-2, "folds": 3, "suspects": 8}


def run(step, inputs, output, settings, **wildcards):
    class Output(list):
        audited, suspects = output, Path(output).with_name("suspects.tsv")

    job = SimpleNamespace(
        input=Inputs(**{"features": []} | inputs),
        output=Output([output]),
        params=SimpleNamespace(settings=settings | {"code": "x"}),
        wildcards=SimpleNamespace(**wildcards),
        threads=1,
    )
    script(step).main(job)
    return output


def prepared(path):
    digits = load_digits()
    few = np.flatnonzero(digits.target < 3)[:160]
    # Whole numbers have ties, of which scikit-learn's graph takes others.
    x = digits.images[few] + np.random.default_rng(0).random((len(few), 8, 8)) / 10
    tensors = {"x": x.astype(np.float32), "y": digits.target[few].astype(np.int64)}
    tensors["split"] = (np.arange(len(few)) % 4 == 0).astype(np.uint8)
    io.save_tensors(path, tensors, {"classes": 3, "scale": 16})
    return path


def study(folder, file, graph, functions, block="000-001", features=()):
    inputs = {"data": file, "features": list(features)[:1] and str(features[0])}
    inputs["graph"] = run("graph", inputs, folder / "graph.npz", graph, block=block)
    inputs["influence"] = run("influence", inputs, folder / "influence.parquet", functions, block=block)
    return inputs


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    inputs = study(folder, prepared(folder / "data.safetensors"), GRAPH, DISTRUST)
    inputs["audited"] = run("audit", inputs, folder / "audited.parquet", AUDIT, block="000-001")
    evaluate = {"kind": "labels", "main": MAIN, "top": 0.1}
    inputs["metrics"] = run("evaluate", inputs, folder / "metrics.parquet", evaluate)
    return SimpleNamespace(**inputs)


@pytest.fixture(scope="module")
def prototypes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prototypes")
    redrawn = GRAPH | {"samples": SAMPLES | {"redrawn": True}}
    inputs = study(folder, prepared(folder / "data.safetensors"), redrawn, MMD)
    inputs["chosen"] = run("choose", inputs, folder / "chosen.parquet", CHOOSE, block="000-001")
    evaluate = {"kind": "prototypes", "main": MAIN, "top": 0.1, "counts": CHOOSE["counts"]}
    inputs["metrics"] = run("evaluate", inputs, folder / "metrics.parquet", evaluate)
    return SimpleNamespace(**inputs)


# nodes and graphs


def test_the_graph_is_scikit_learns(labels):
    tensors = io.load_tensors(labels.data)
    rows = np.flatnonzero(tensors["split"] == 0)
    x = tensors["x"][rows].reshape(len(rows), -1) / 16
    graphs = Graphs(labels.graph)
    assert graphs.alike
    assert graphs.ks == [3, 6]
    np.testing.assert_array_equal(graphs.rows(1), rows)
    for k in graphs.ks:
        own = graphs.graph(1, k)
        theirs = kneighbors_graph(x, k)
        assert (own != theirs.maximum(theirs.T)).nnz == 0
    stored = sparse.load_npz(labels.graph)
    assert stored.shape == (len(rows), len(rows))
    assert (np.diff(stored.indptr) == 6).all()
    assert (np.diff(stored.data.reshape(-1, 6), axis=1) >= 0).all(), "nearest first"


def test_seeds_with_other_splits_have_graphs_of_their_own(prototypes):
    tensors = io.load_tensors(prototypes.data)
    graphs = Graphs(prototypes.graph)
    assert not graphs.alike
    splits = [data.redraw_split(tensors["split"], tensors["y"], generator(seed, "split")) for seed in (0, 1)]
    assert (splits[0] != splits[1]).any()
    for seed in (0, 1):
        rows = graphs.rows(seed)
        np.testing.assert_array_equal(rows, np.flatnonzero(splits[seed] == 0))
        for label in range(3):
            assert (tensors["y"][rows] == label).sum() == ((tensors["split"] == 0) & (tensors["y"] == label)).sum()
        x = tensors["x"][rows].reshape(len(rows), -1) / 16
        theirs = kneighbors_graph(x, 6)
        assert (graphs.graph(seed, 6) != theirs.maximum(theirs.T)).nnz == 0


def test_a_seeds_rows_do_not_depend_on_its_block(prototypes, tmp_path):
    redrawn = GRAPH | {"samples": SAMPLES | {"redrawn": True}}
    alone = study(tmp_path, prototypes.data, redrawn, MMD, block="001-001")
    both = io.load_table(prototypes.influence)
    own = both[both["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(io.load_table(alone["influence"]), own)


def test_the_same_run_gives_the_same_bytes(prototypes, tmp_path):
    redrawn = GRAPH | {"samples": SAMPLES | {"redrawn": True}}
    again = study(tmp_path, prototypes.data, redrawn, MMD)
    for name in ("graph", "influence"):
        assert again[name].read_bytes() == getattr(prototypes, name).read_bytes()


@pytest.mark.parametrize(("links", "weights"), [("directed", "binary"), ("mutual", "gaussian")])
def test_links_and_weights_are_those_asked_for(labels, tmp_path, links, weights):
    settings = GRAPH | {"links": links, "weights": weights}
    graph = run("graph", vars(labels), tmp_path / "graph.npz", settings, block="000-000")
    own = Graphs(graph).graph(0, 3)
    assert (links == "directed") == bool((own != own.T).nnz)
    assert (weights == "binary") == (set(own.data) == {1.0})


def test_components_are_scikit_learns(labels, tmp_path):
    graph = run("graph", vars(labels), tmp_path / "graph.npz", GRAPH | {"components": 4}, block="000-000")
    nodes = Nodes(labels.data)
    x = PCA(4).fit_transform(nodes.x(Graphs(graph).rows(0), 0))
    theirs = kneighbors_graph(x, 6)
    assert (Graphs(graph).graph(0, 6) != theirs.maximum(theirs.T)).nnz == 0


def test_samples_are_drawn_by_class_and_count(labels):
    nodes = Nodes(labels.data)
    tensors = io.load_tensors(labels.data)
    few = SAMPLES | {"split": "all", "classes": [0, 2], "count": 30}
    draws = [nodes.rows(few, seed) for seed in (0, 1)]
    assert not np.array_equal(*draws)
    for rows in draws:
        assert len(np.unique(rows)) == 30
        assert set(tensors["y"][rows]) == {0, 2}
    assert set(tensors["split"][nodes.rows(SAMPLES | {"split": "test"}, 0)]) == {1}


def test_features_take_the_place_of_the_data(labels, tmp_path):
    random = np.random.default_rng(0)
    tensors = {"sample_id": np.arange(40, dtype=np.int64), "hidden": random.random((40, 2)).astype(np.float32)}
    tensors |= {f"seed{seed}.x": random.random((40, 5)).astype(np.float32) for seed in (0, 1)}
    tensors["scores"] = random.random((40, 3)).astype(np.float32)
    tensors["predicted"] = tensors["scores"].argmax(1)
    tensors |= {"train.x": random.random((60, 5)).astype(np.float32), "train.y": np.arange(60) % 3}
    file = tmp_path / "features.safetensors"
    io.save_tensors(file, tensors, {})
    functions = [
        {"function": "kde", "bandwidth": 1.0, "log": False, "name": "kde"},
        {"function": "kde", "bandwidth": 0.5, "log": True, "name": "log-kde"},
        {"function": "margin"},
        {"function": "column", "column": "hidden"},
        {"function": "distrust", "labels": "predicted"},
    ]
    settings = {"functions": functions, "filters": FILTERS, "flip": 0.0}
    made = study(tmp_path, labels.data, GRAPH, settings, features=[file])
    table, graphs = io.load_table(made["influence"]), Graphs(made["graph"])
    for seed in (0, 1):
        x, graph = tensors[f"seed{seed}.x"], graphs.graph(seed, 3)
        trained = (x, tensors["predicted"], tensors["train.x"], tensors["train.y"])
        expected = {
            "kde": signals.kernel_density(*trained, 1.0),
            "log-kde": signals.kernel_density(*trained, 0.5, log=True),
            "margin": signals.prediction_margin(tensors["scores"]),
            "hidden": tensors["hidden"],
            "distrust-predicted": signals.distrust(graph, tensors["predicted"]),
        }
        for name, f in expected.items():
            own = table[(table["seed"] == seed) & (table["function"] == name) & (table["k"] == 3)]
            for variant, p in (("symmetric", 2), ("f-alone", 0)):
                found = own[(own["variant"] == variant) & (own["p"] == p)]["influence"]
                np.testing.assert_allclose(found, influence(graph, f, variant, max(p, 1)), rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match=r"the features have no 'y2' of seed 0; there are hidden, predicted"):
        Nodes(labels.data, str(file)).tensor("y2", 0)


# influence


def test_influence_is_the_librarys_on_flipped_labels(labels):
    table, graphs = io.load_table(labels.influence), Graphs(labels.graph)
    y = io.load_tensors(labels.data)["y"][graphs.rows(0)]
    assert len(table) == 2 * 2 * 4 * len(y)
    for seed in (0, 1):
        flipped = data.flip_labels(y, 0.1, generator(seed, "flips"))
        assert 0.05 < (flipped != y).mean() < 0.15
        for k in (3, 6):
            f = signals.distrust(graphs.graph(seed, k), flipped)
            own = table[(table["seed"] == seed) & (table["k"] == k)]
            for variant, p in (("symmetric", 1), ("symmetric", 2), ("as-published", 1), ("f-alone", 0)):
                rows = own[(own["variant"] == variant) & (own["p"] == p)]
                found = influence(graphs.graph(seed, k), f, variant, max(p, 1))
                np.testing.assert_allclose(rows["influence"], found, rtol=1e-6)
                np.testing.assert_allclose(rows["f"], f, rtol=1e-6)


# prototypes and criticisms


def test_selections_are_those_of_the_library(prototypes):
    chosen, nodes, graphs = io.load_table(prototypes.chosen), Nodes(prototypes.data), Graphs(prototypes.graph)
    table = io.load_table(prototypes.influence)
    keys = ["seed", "method", "function", "variant", "k", "p", "role", "quota", "order", "threshold", "draw"]
    for _, part in chosen.groupby(keys):
        assert part["rank"].tolist() == list(range(12))
        assert part["sample_id"].is_unique
    for seed in (0, 1):
        rows = graphs.rows(seed)
        own = chosen[chosen["seed"] == seed]
        critic = mmd_critic(nodes.x(rows, seed), 12, 12, 0.5, nodes.y(rows, seed))
        local = own[(own["method"] == "mmd-critic") & (own["function"] == "mmd-local")]
        assert local[local["role"] == "prototypes"]["sample_id"].tolist() == rows[critic.prototypes].tolist()
        assert local[local["role"] == "criticisms"]["sample_id"].tolist() == rows[critic.criticisms].tolist()
        main = (table["seed"] == seed) & (table["function"] == "mmd-global") & (table["k"] == 6)
        reading = table[main & (table["variant"] == "symmetric") & (table["p"] == 1)]
        mine = own[(own["function"] == "mmd-global") & (own["variant"] == "symmetric")]
        mine = mine[(mine["k"] == 6) & (mine["p"] == 1)]
        least = reading.sort_values("influence", kind="stable")["sample_id"].tolist()[:12]
        assert mine[(mine["order"] == "influence") & (mine["quota"] == "none")]["sample_id"].tolist() == least
        low = reading.sort_values("influence", kind="stable")[: round(len(reading) / 2)]
        most = low.sort_values("f", ascending=False, kind="stable")["sample_id"].tolist()[:12]
        assert set(mine[(mine["order"] == "f-most") & (mine["quota"] == "none")]["sample_id"]) == set(most)
        turns = mine[(mine["order"] == "influence") & (mine["quota"] == "class")]["sample_id"]
        y = io.load_tensors(prototypes.data)["y"][turns]
        assert all(set(y[start : start + 3]) == {0, 1, 2} for start in range(0, 12, 3))


def test_errors_are_scikit_learns(prototypes):
    chosen, metrics = io.load_table(prototypes.chosen), io.load_table(prototypes.metrics)
    nodes = Nodes(prototypes.data)
    metrics = metrics[metrics["level"] == "selection"]
    keys = ["seed", *margin_metrics.SELECTION]
    for seed in (0, 1):
        test = np.flatnonzero(nodes.split(SAMPLES | {"redrawn": True}, seed) == 1)
        own = chosen[(chosen["seed"] == seed) & (chosen["method"] == "mmd-critic")]
        for key, part in own.groupby(keys):
            for count in (5, 12):
                rows = part[part["rank"] < count]["sample_id"].to_numpy()
                model = KNeighborsClassifier(1).fit(nodes.x(rows, seed), nodes.y(rows, seed))
                error = 1 - model.score(nodes.x(test, seed), nodes.y(test, seed))
                found = metrics[(metrics[keys] == list(key)).all(axis=1) & (metrics["count"] == count)]["error"]
                assert found.tolist() == pytest.approx([error])


# wrong labels


def test_recall_is_that_of_the_flips(labels):
    table, graphs = io.load_table(labels.audited), Graphs(labels.graph)
    scores = io.load_table(labels.influence)
    y = io.load_tensors(labels.data)["y"][graphs.rows(0)]
    for seed in (0, 1):
        wrong = data.flip_labels(y, 0.1, generator(seed, "flips")) != y
        own = table[table["seed"] == seed]
        assert own[(own["share"] == 1)]["recall"].tolist() == pytest.approx([1] * 16)
        oracle = own[own["method"] == "oracle"].set_index("share")["recall"]
        assert oracle[0.3] == 1
        part = scores[(scores["seed"] == seed) & (scores["variant"] == "symmetric") & (scores["k"] == 6)]
        part = part[part["p"] == 1]["influence"].to_numpy()
        count = round(0.3 * len(y))
        first = np.argsort(-part)[:count]
        if part[np.argsort(-part)[count]] < part[first].min():
            mine = own[(own["variant"] == "symmetric") & (own["k"] == 6) & (own["p"] == 1) & (own["share"] == 0.3)]
            assert mine["recall"].tolist() == pytest.approx([wrong[first].sum() / wrong.sum()])


def test_a_graph_filter_and_f_find_flips_and_random_inspection_does_not(labels):
    table = io.load_table(labels.audited)
    found = table[table["share"] == 0.3].groupby(["method", "variant"])["recall"].mean()
    assert found["margin", "symmetric"] > 0.9
    assert found["margin", "f-alone"] > 0.9
    assert found["cleanlab", ""] > 0.9
    assert found["random", ""] < 0.6


# the case studies once more, from the paper's words alone: dense matrices, sorting, loops


def squares(a, b):
    return ((a.astype(np.float64)[:, None] - b.astype(np.float64)) ** 2).sum(-1)


def linked(x, k):
    """Which samples are linked: either is among the k nearest of the other."""
    far = squares(x, x)
    np.fill_diagonal(far, np.inf)
    links = np.zeros(far.shape, bool)
    np.put_along_axis(links, far.argsort(axis=1)[:, :k], True, axis=1)
    return links | links.T


def filtered(links, f, p):
    """|f - A^p f| in the eigenvectors of A = D^-1/2 W D^-1/2, over its largest."""
    degree = links.sum(axis=0)
    values, vectors = np.linalg.eigh(links / np.sqrt(np.outer(degree, degree)))
    high = np.abs(vectors @ ((1 - values**p) * (vectors.T @ f)))
    return high / high.max()


def without(kernel, links):
    """Squared MMD of all samples and those without a node and its neighbours, of every node."""
    found = []
    for node, near in enumerate(links):
        rest = ~near & (np.arange(len(links)) != node)
        found.append(kernel.mean() - 2 * kernel[:, rest].mean() + kernel[np.ix_(rest, rest)].mean())
    return np.array(found)


def least_discrepant(kernel, count):
    """The samples that one after another bring the MMD of those chosen and all to its least."""
    chosen = []
    for _ in range(count):
        rivals = {}
        for one in set(range(len(kernel))) - set(chosen):
            own = [*chosen, one]
            rivals[one] = kernel[np.ix_(own, own)].mean() - 2 * kernel[own].mean()
        chosen.append(min(rivals, key=rivals.get))
    return chosen


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("kind", KINDS_OF_MMD)
def test_prototypes_once_more_from_the_paper(prototypes, kind, p):
    nodes, graphs, metrics = Nodes(prototypes.data), Graphs(prototypes.graph), io.load_table(prototypes.metrics)
    rows, test = graphs.rows(1), nodes.tested(graphs.about["samples"], 1)[0]
    x, y, test_x, test_y = nodes.x(rows, 1), nodes.y(rows, 1), nodes.x(test, 1), nodes.y(test, 1)
    kernel, links, far = np.exp(-0.5 * squares(x, x)), linked(x, 6), squares(test_x, x)
    if "local" in kind:
        kernel *= y[:, None] == y
    f = without(kernel, links) if "squared" in kind else np.sqrt(without(kernel, links))
    first = filtered(links, f, p).argsort()
    rival = least_discrepant(kernel, 12)

    def error(chosen):
        return np.mean(y[chosen][far[:, chosen].argmin(axis=1)] != test_y)

    own = metrics[(metrics["seed"] == 1) & (metrics["function"] == f"mmd-{kind}") & (metrics["role"] == "prototypes")]
    mine = own[(own["variant"] == "symmetric") & (own["k"] == 6) & (own["p"] == p)]
    mine = mine[(mine["order"] == "influence") & (mine["quota"] == "none")]
    selection = mine[mine["level"] == "selection"].sort_values("count")
    assert selection["count"].tolist() == [5, 12]
    assert selection["error"].tolist() == pytest.approx([error(first[:5]), error(first[:12])])
    gains = [error(rival[:count]) - error(first[:count]) for count in (5, 12)]
    assert mine[mine["level"] == "curve"]["gain_over_mmd_critic"].tolist() == pytest.approx([np.mean(gains)])


@pytest.mark.parametrize("p", [1, 2])
def test_wrong_labels_once_more_from_the_paper(labels, p):
    nodes, graphs, audited = Nodes(labels.data), Graphs(labels.graph), io.load_table(labels.audited)
    for seed in (0, 1):
        rows = graphs.rows(seed)
        given, links = nodes.y(rows, seed, 0.1), linked(nodes.x(rows, seed), 6)
        wrong = given != nodes.y(rows, seed)
        assert [np.sum(wrong & (nodes.y(rows, seed) == one)) for one in range(3)] == [4, 4, 4]
        f = np.array([np.mean(given[near] != one) for near, one in zip(links, given, strict=True)])
        for variant, scores in (("symmetric", filtered(links, f, p)), ("f-alone", f)):
            own = audited[(audited["seed"] == seed) & (audited["variant"] == variant) & (audited["k"] == 6)]
            own = own[(own["p"] == (p if variant == "symmetric" else 0)) & (own["share"] == 0.3)]
            count = round(0.3 * len(rows))
            # The mean over orders of ties: those at the border are as many draws of a bag.
            border = np.sort(scores)[-count]
            above, at = scores > border + 1e-9, np.abs(scores - border) <= 1e-9
            found = wrong[above].sum() + wrong[at].mean() * (count - above.sum())
            assert own["recall"].tolist() == pytest.approx([found / wrong.sum()])


# pages and figures


def documented():
    """Metrics of influence on the page of files, each with its levels."""
    page = (ROOT / "docs/files.md").read_text().split("### In a study of influence")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]*) \|", page.split("The metrics of influence;")[1], re.MULTILINE)
    return {name: levels.strip().split(", ") for names, levels in rows for name in re.findall(r"`([^`]+)`", names)}


@pytest.mark.parametrize("name", ["labels", "prototypes"])
def test_every_metric_is_on_the_page_of_files_at_its_level(name, request):
    metrics, page = io.load_table(request.getfixturevalue(name).metrics), documented()
    keys = len(margin_metrics.TEXT) + len(margin_metrics.NUMBERS) + 1
    for column in metrics.columns[keys:]:
        levels = set(metrics.loc[metrics[column].notna(), "level"])
        assert levels <= set(page[column]), column


@pytest.mark.parametrize(("kind", "name"), [("labels", "influence"), ("labels", "audited"), ("prototypes", "chosen")])
def test_tables_are_as_documented(kind, name, request):
    sections = re.split(r"^## ", (ROOT / "docs/files.md").read_text(), flags=re.M)
    (section,) = [part for part in sections if f"{name}.parquet" in part.splitlines()[0]]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    columns = [column for row in rows for column in re.findall(r"`([^`]+)`", row)]
    assert list(io.load_table(getattr(request.getfixturevalue(kind), name)).columns) == columns


def test_every_claim_names_a_metric_at_a_level_that_has_it():
    studies, page = config.load_all(ROOT).studies, documented()
    asked = 0
    for study in studies.values():
        if study.kind not in ("influence", "labels", "prototypes"):
            continue
        for claim in study.claims:
            asked += 1
            assert claim.where["level"] in page[claim.metric], claim.id
            assert set(claim.where) <= {*margin_metrics.TEXT, *margin_metrics.NUMBERS}, claim.id
            if "k" in claim.where and claim.where["k"] != study.evaluate.main.k:
                assert claim.where["k"] in study.graph.k, claim.id
    assert asked > 60


def draw(study, output, claims=()):
    inputs = {"data": study.data, "metrics": [study.metrics]}
    inputs["chosen"] = [getattr(study, "chosen", None)]
    inputs["suspects"] = [Path(study.metrics).with_name("suspects.tsv")]
    settings = {"figure": output.stem, "main": MAIN, "claims": list(claims)}
    return run("figures", inputs, output, settings, study="s", figure=output.name)


@pytest.mark.parametrize("name", [*KINDS["labels"].figures, *KINDS["prototypes"].figures])
def test_every_figure(name, request, tmp_path):
    study = request.getfixturevalue("labels" if name in KINDS["labels"].figures else "prototypes")
    keys = {"method": "margin", "function": "mmd-global", "role": "prototypes"}
    reported = [{"metric": "error", "where": keys | {"count": count}, "reported": "0.2"} for count in (5, 12)]
    first = draw(study, tmp_path / "a" / name, reported)
    with Image.open(first) as picture:
        assert 400 <= picture.width <= 900
        assert np.asarray(picture.convert("L")).std() > 5
        assert not {"Software", "Creation Time"} & set(picture.info)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": "figure"}):
        assert draw(study, tmp_path / "b" / name, reported).read_bytes() == first.read_bytes()


# what cannot be used


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"k": [3, 200]}, "k is 200 for 120 samples; nearest neighbours take 1 to 119"),
        ({"samples": SAMPLES | {"count": 500}}, "500 samples asked of 120; it takes no more than there are"),
        ({"components": 65}, "65 components asked of 64 features"),
    ],
)
def test_graphs_refuse(labels, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        run("graph", vars(labels), tmp_path / "graph.npz", GRAPH | changes, block="000-000")


def test_labels_of_one_class_are_refused(labels, tmp_path):
    tensors = io.load_tensors(labels.data)
    io.save_tensors(tmp_path / "data.safetensors", tensors | {"y": tensors["y"] * 0}, {"classes": 3, "scale": 16})
    with pytest.raises(InputError, match="two classes"):
        study(tmp_path, tmp_path / "data.safetensors", GRAPH, DISTRUST)


def test_the_listing_refuses_isolated_nodes(labels, tmp_path):
    graph = run("graph", vars(labels), tmp_path / "graph.npz", GRAPH | {"links": "mutual", "k": [1]}, block="000-000")
    with pytest.raises(InputError, match="it takes a graph without isolated nodes"):
        run("influence", vars(labels) | {"graph": graph}, tmp_path / "i.parquet", DISTRUST, block="000-000")


def test_more_prototypes_than_samples_are_refused(prototypes, tmp_path):
    with pytest.raises(InputError, match="a selection takes no more than there are"):
        run("choose", vars(prototypes), tmp_path / "c.parquet", CHOOSE | {"counts": [5, 500]}, block="000-000")


def test_a_file_that_is_no_graph_is_refused(labels, tmp_path):
    file = tmp_path / "graph.npz"
    with pytest.raises(InputError, match="there is no file"):
        Graphs(file)
    file.write_bytes(labels.graph.read_bytes()[:200])
    with pytest.raises(InputError, match="is not a whole graph of this workflow"):
        Graphs(file)
    sparse.save_npz(file, sparse.eye_array(3).tocsr())
    with pytest.raises(InputError, match="is not a whole graph of this workflow"):
        Graphs(file)
