"""Studies as a user varies them: what is chosen is tested in the same space on other samples, and whatever the config
takes runs to the report or is refused, in one sentence, before the first job."""

import io as bytesio
import shutil
import tarfile
from pathlib import Path
from typing import Any

import inline
import numpy as np
import pytest
import yaml
from inline import ROOT, Rules
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from variants import changed, variants

from interneuron import io, margin_metrics
from interneuron.errors import InputError
from interneuron.workflow import config
from interneuron.workflow.config.fit import check_fit
from interneuron.workflow.config.kinds import KINDS
from interneuron.workflow.nodes import Nodes
from interneuron.workflow.refusals import RefusedError

ALL = config.load_all(ROOT)
GRAPHS = [name for name, study in ALL.studies.items() if study.samples is not None]


class Folder:
    """A copy of the config in a folder of its own, in which studies are varied and run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "config", root / "config")

    def write(self, name: str, entry: dict[str, Any]) -> None:
        """An entry, by its path below `config/`."""
        (self.root / f"config/{name}.yaml").write_text(yaml.safe_dump(entry))

    def load(self, study: str) -> config.Project:
        return config.project({"studies": [study]}, self.root)

    def run(self, entry: dict[str, Any], name: str = "varied") -> Path:
        """Run a study to the report; the folder of its first block."""
        self.write(f"studies/{name}", entry)
        project = self.load(name)
        inline.run(project)
        assert Path("results/report.html").is_file()
        return next(Path(f"results/studies/{name}").glob("000-*"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


# one space, other samples


@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_of_a_study_has_the_same_space(name: str) -> None:
    """What the graph, influence, choice or audit, metrics and pictures are made from, and what the report says."""
    study = ALL.studies[name]
    rules = Rules(inline.plan_of(ALL))
    jobs = {
        rule: job for rule, job in rules.jobs() if job.get("study") == name and job.get("block", "").startswith("0")
    }
    assert {"graph", "influence", "evaluate"} <= set(jobs)
    spaces = set()
    for rule in {"graph", "influence", "choose", "audit", "evaluate"} & set(jobs):
        read = rules.inputs(rule, jobs[rule])
        if rule != "evaluate" or study.kind == "prototypes":  # others are evaluated without looking at samples again
            spaces.add((read["data"], str(read.get("features") or "")))
    assert len(spaces) == 1
    assert bool(spaces.pop()[1]) == (study.features is not None)
    said = ALL.parameters(name)
    samples = [said[step]["samples"] for step in ("attack", "features", "graph") if step in said]
    samples += [rules.settings("graph", jobs["graph"])["samples"]]
    assert all(own == samples[0] for own in samples)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_study_is_tested_on_what_it_chooses_or_learns_from(name: str, tmp_path: Path) -> None:
    study = ALL.studies[name]
    assert study.samples is not None
    labels = ALL.datasets[ALL.dataset_of(name)].prepare.labels()
    y = np.tile(labels, 3000 // len(labels))
    x = np.arange(2.0 * len(y), dtype=np.float32).reshape(-1, 2)
    split = (np.random.default_rng(0).random(len(y)) < 0.5).astype(np.uint8)
    io.save_tensors(tmp_path / "data.safetensors", {"x": x, "y": y, "split": split}, {"classes": len(labels)})
    nodes, samples = Nodes(str(tmp_path / "data.safetensors")), study.samples.model_dump() | {"count": 50}
    for seed in (0, 1):
        rows = nodes.rows(samples, seed)
        if study.choose is not None:
            tested, other = nodes.tested(samples, seed)
            assert not set(rows) & set(tested)
            assert set(y[tested]) == set(y[rows])
            np.testing.assert_array_equal(other, x[tested])
        if study.features is not None and study.features.reference:
            assert not set(rows) & set(np.flatnonzero(nodes.split(samples, seed) == 0))
    model = None if study.model is None else ALL.models[study.model]
    if model is not None and model.dataset == ALL.dataset_of(name):
        assert not study.samples.redrawn, "the network has seen the other samples"


FEATURES = {
    "based_on": "margin-prototypes-test",
    "dataset": None,
    "seeds": None,
    "block": None,
    "model": "cnn-test",
    "features": {"layer": "classifier.relu1", "samples": {"classes": [1, 3, 8]}},
    "graph": {"samples": None, "k": [5, 10]},
    "choose": {"counts": [10, 20], "draws": 2, "quotas": ["none"]},
    "claims": [],
    "figures": ["errors.png", "prototypes.png"],
}


def test_prototypes_in_features_are_tested_in_features(folder: Folder) -> None:
    made = folder.run(FEATURES)
    found = io.load_tensors(made / "features.safetensors")
    y = io.load_tensors("data/prepared/digits.safetensors")["y"]
    chosen, metrics = io.load_table(made / "chosen.parquet"), io.load_table(made / "metrics.parquet")
    metrics = metrics[metrics["level"] == "selection"]
    keys = ["seed", *margin_metrics.SELECTION]
    assert set(y[found["seed0.test.sample_id"]]) == {1, 3, 8}
    assert not set(found["seed0.test.sample_id"]) & set(found["seed0.sample_id"])
    for seed in (0, 1):
        x, test = found[f"seed{seed}.x"], found[f"seed{seed}.test.x"]
        place = {row: number for number, row in enumerate(found[f"seed{seed}.sample_id"])}
        of_critic = chosen[(chosen["seed"] == seed) & (chosen["method"] == "mmd-critic")]
        for key, part in of_critic.groupby(keys):
            rows = part[part["rank"] < 20]["sample_id"]
            model = KNeighborsClassifier(1).fit(x[[place[row] for row in rows]], y[rows])
            error = 1 - model.score(test, y[found[f"seed{seed}.test.sample_id"]])
            own = metrics[(metrics[keys] == list(key)).all(axis=1) & (metrics["count"] == 20)]["error"]
            assert own.tolist() == pytest.approx([error])


# what is left out, and defaults


def test_without_flips_suspects_are_reported(folder: Folder) -> None:
    """Labels that are wrong by themselves: nobody knows which, but who is suspected is on the page."""
    entry = {"based_on": "margin-labels-test", "influence": {"flip": 0.0}, "figures": ["suspects.png"], "claims": []}
    made = folder.run(entry | {"audit": {"suspects": 7}})
    table = io.load_table(made / "suspects.tsv")
    keys = ["seed", "method", "function", "variant", "k", "p"]
    assert {"margin", "knn-loss", "influence-function", "loss", "cross-validated-loss", "cleanlab"} == set(
        table["method"]
    )
    y = io.load_tensors("data/prepared/digits.safetensors")["y"]
    assert (table["given"] == y[table["sample_id"]]).all()
    assert set(table["predicted"]) <= {3, 8}
    assert not table["flipped"].any()
    for _, part in table.groupby(keys):
        assert part["rank"].tolist() == list(range(1, 8))
        assert (np.diff(part["score"]) <= 0).all()
    influence = io.load_table(made / "influence.parquet")
    main = {"seed": 0, "variant": "symmetric", "k": 10, "p": 1}
    own, listed = (t[(t[list(main)] == list(main.values())).all(axis=1)] for t in (influence, table))
    assert listed["score"].to_numpy() == pytest.approx(np.sort(own["influence"])[::-1][:7])
    metrics = io.load_table(made / "metrics.parquet")
    assert metrics["recall"].isna().all()
    assert metrics["rank_correlation"].notna().any()
    assert "suspects.png" in Path("results/report.html").read_text()


def test_a_study_without_metrics_is_on_the_page(folder: Folder) -> None:
    made = folder.run({"based_on": "margin-labels-test", "evaluate": None, "claims": [], "figures": []})
    assert (made / "audited.parquet").is_file()
    assert not (made / "metrics.parquet").exists()
    assert "The smallest study of wrong labels" in Path("results/report.html").read_text()


@pytest.mark.parametrize("main", [{"variant": "f-alone", "k": 5}, {"variant": "random-walk", "k": 5}])
@pytest.mark.parametrize("kind", ["labels", "prototypes", "boundaries"])
def test_any_reading_may_be_the_main_one_and_the_only_one(folder: Folder, kind: str, main: dict[str, Any]) -> None:
    changes = {"influence": {"filters": [{"variant": main["variant"]}]}, "evaluate": {"main": main}, "claims": []}
    changes |= {"figures": list(KINDS[kind].figures)}
    if kind != "boundaries":
        changes |= {"seeds": 1, "block": 1, "graph": {"samples": {"count": 60}}}
    folder.run({"based_on": f"margin-{kind}-test"} | changes)


def photos(path: Path) -> str:
    """A tar of thirty reddish and bluish photos, ten of them below a folder `test`; its SHA-256."""
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for number in range(30):
            pixels = random.integers(0, 120, (12, 12, 3))
            pixels[:, :, 2 * (number % 2)] += 100
            file = bytesio.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
            part = "test" if number < 10 else "train"
            info = tarfile.TarInfo(f"{part}/{('blue', 'red')[number % 2]}/{number}.png")
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)
    return io.sha256(path)


def test_prototypes_of_colour_photos_are_drawn_in_colour(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNEURON_MIRROR", str(folder.root / "mirror"))
    sha = photos(folder.root / "mirror/photos/photos.tar")
    reader = {"reader": "photos", "file": "photos.tar", "side": 10, "crop": 8, "classes": 2, "test": "test"}
    dataset = {
        "title": "Photos",
        "mirror": "photos",
        "files": [{"path": "photos.tar", "sha256": sha}],
        "prepare": reader,
    }
    folder.write("datasets/photos", dataset)
    entry = {"based_on": "margin-prototypes-test", "dataset": "photos", "seeds": 1, "block": 1, "claims": []}
    entry |= {"graph": {"samples": {"redrawn": False, "count": None}, "k": [3, 5]}, "evaluate": {"main": {"k": 5}}}
    folder.run(entry | {"choose": {"counts": [2, 4]}, "figures": ["prototypes.png", "criticisms.png"]})
    picture = np.asarray(Image.open("results/studies/varied/figures/prototypes.png").convert("RGB")).astype(int)
    assert (picture[..., 0] - picture[..., 2] > 60).any()
    assert (picture[..., 2] - picture[..., 0] > 60).any()
    # What the entry tells without any file.
    folder.write("datasets/photos", dataset | {"prepare": {k: v for k, v in reader.items() if k != "test"}})
    with pytest.raises(
        InputError, match=r"dataset is 'photos', but takes a dataset with a test split, which photos lacks"
    ):
        folder.load("varied")


# refused before the first job

PROTOTYPES, LABELS, BOUNDARIES, ATTACKS, SALIENCY, ACTIVE = (
    f"margin-{kind}-test" for kind in ("prototypes", "labels", "boundaries", "attacks", "saliency", "active")
)


@pytest.mark.parametrize(
    ("base", "changes", "sentence"),
    [
        (LABELS, {"evaluate": {"main": {"k": 30}}}, "evaluate.main.k is 30, but takes one of graph.k, 5 or 10"),
        (LABELS, {"evaluate": {"main": None}, "graph": {"k": [5]}}, "evaluate.main"),
        (LABELS, {"evaluate": {"main": {"variant": "random-walk"}}}, "main.variant is 'random-walk', but takes one of"),
        (LABELS, {"evaluate": {"main": {"p": 3}}}, "evaluate.main.p is 3, but takes one of the p of .*, 1 or 2"),
        (LABELS, {"graph": {"k": [5, 100]}}, "graph.k.1 is 100, but takes less than the number of samples, 100"),
        (LABELS, {"graph": {"components": 65}}, "graph.components is 65, but takes at most 64, the numbers of a sampl"),
        (LABELS, {"graph": {"links": "directed"}}, "graph.links is 'directed', but takes mutual or union"),
        (LABELS, {"influence": {"flip": 0.0}, "claims": []}, "figures.0 is 'recall.png', but takes suspects.png, sinc"),
        (LABELS, {"influence": {"flip": 0.0}, "figures": []}, "claims.0.metric is 'recall', but takes a metric that c"),
        (LABELS, {"choose": {"counts": [2], "gamma": 1.0}}, "audit is 'given', but takes no section in a study of pro"),
        (LABELS, {"structure": {}}, "structure is 'given', but takes no section in a study of labels, which has featu"),
        (PROTOTYPES, {"graph": {"samples": {"split": "all"}}}, "graph.samples.split is 'all', but takes train: what i"),
        (PROTOTYPES, {"influence": {"flip": 0.1}}, "influence.flip is 0.1, but takes 0 in a study of prototypes"),
        (PROTOTYPES, {"choose": {"counts": [10, 61]}}, "choose.counts.1 is 61, but takes at most 60, half of the 120"),
        (PROTOTYPES, {"choose": {"thresholds": [0.1]}}, "choose.thresholds.0 is 0.1, but takes shares that leave choo"),
        (PROTOTYPES, {"choose": {"thresholds": [0.0]}}, "choose.thresholds.0 is 0.0, but takes a number above 0"),
        (PROTOTYPES, {"dataset": "boolean-test"}, "figures.1 is 'prototypes.png', but takes a figure of a table"),
        (PROTOTYPES, {"dataset": "boolean-test", "graph": {"k": [800], "samples": {"count": None}}}, "graph.k.0 is 80"),
        (PROTOTYPES, {"dataset": "boolean-test", "graph": {"samples": {"count": 900}}}, "count is 900, but takes at m"),
        (PROTOTYPES, {"dataset": "imagenet-samples"}, "graph.samples.split is 'train', but takes test or all: dataset"),
        (BOUNDARIES, {"features": {"samples": {"redrawn": True}}}, "features.samples.redrawn is true, but takes false"),
        (BOUNDARIES, {"graph": {"samples": {"split": "all"}}}, "graph.samples is .*, but takes nothing, which means t"),
        (BOUNDARIES, {"model": "vae-test"}, "model is 'vae-test', but takes a model of architecture strided or photo-"),
        (BOUNDARIES, {"influence": {"functions": [{"function": "kde", "bandwidth": 1.0}]}}, "features.reference is fa"),
        (BOUNDARIES, {"influence": {"functions": [{"function": "column", "column": "score"}]}}, "column is 'score', b"),
        (BOUNDARIES, {"dataset": "usps"}, "dataset is 'usps', but takes a dataset of the shape that model cnn-test wa"),
        (ATTACKS, {"attack": {"samples": {"split": "train"}}}, "attack.samples.split is 'train', but takes test, sinc"),
        (SALIENCY, {"saliency": {"shown": [0, 4]}}, "saliency.shown.1 is 4, but takes seeds of the study, 0 to 3"),
        (SALIENCY, {"saliency": {"shown": []}}, "saliency.shown is \\[\\], but takes one seed at least, since overlay"),
        (SALIENCY, {"saliency": {"occlusion": {"window": 9}}}, "saliency.occlusion.window is 9, but takes at most 8,"),
        (ACTIVE, {"active": {"labels": [1, 2]}}, "active.labels.0 is 1, but takes 2 or more, one of each class, since"),
        (ACTIVE, {"active": {"filters": [{"variant": "f-alone", "p": [1, 2]}]}}, "p is \\[1, 2\\], but takes nothing"),
        ("relu-test", {"dataset": "digits"}, "dataset is 'digits', but takes a dataset of the shape that model mlp-te"),
        ("thesis-test", {"structure": {}}, "structure is 'given', but takes no section in a study of neurons"),
    ],
)  # fmt: skip
def test_what_the_entries_tell_is_refused(folder: Folder, base: str, changes: dict[str, Any], sentence: str) -> None:
    folder.write("studies/varied", {"based_on": base} | changes)
    with pytest.raises(InputError, match=rf"^config/[\w/.-]+( \(on which [\w/.-]+ is based\))?: .*{sentence}") as error:
        folder.load("varied")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in ALL.studies if name.endswith("-test")])
def test_every_variant_is_planned_to_the_report_or_refused_in_one_sentence(name: str) -> None:
    """Of the study, its model and its dataset: each key left out, each default, each choice, each limit."""
    taken = 0
    known = {"model": ALL.models, "judge": ALL.models, "dataset": ALL.datasets}
    for kind, entry in (("studies", name), ("models", ALL.studies[name].model), ("datasets", ALL.dataset_of(name))):
        if entry is None:
            continue
        whole, layers = _whole(kind, entry)
        for path, value in variants(type(getattr(ALL, kind)[entry]), whole):
            data = changed(whole, path, value)
            if isinstance(value, str) and value not in known.get(str(path[-1]), [value]):
                continue  # an example of an entry that is not here
            if path[0] != "evaluate":  # claims are about the study as it is
                data |= {"claims": []} if kind == "studies" else {}
            try:
                checked = config._checked(config.KINDS[kind], data, [(layers, data)])
                project = _with(kind, entry, checked, name)
                check_fit(project.studies[name], project.models, project.datasets)
            except (InputError, RefusedError) as error:
                said = str(error)
            else:
                said = ""
            assert "\n" not in said, path
            if not said:
                _plan(project)
                taken += 1
    assert taken > 10


def _whole(kind: str, name: str) -> tuple[dict[str, Any], str]:
    """An entry with all that it is based on, and its file."""
    _, layers = config._entry(ROOT, kind, name, "")
    whole: dict[str, Any] = {}
    for _, layer in reversed(layers):
        whole = config._merged(whole, layer)
    whole.pop("based_on", None)
    return whole, layers[0][0]


def _with(kind: str, name: str, entry: Any, study: str) -> config.Project:
    """The project of one study, with another entry in the place of one of its own."""
    parts = {part: dict(getattr(ALL, part)) for part in ("datasets", "models", "studies")}
    parts[kind][name] = entry
    own = parts["studies"][study]
    models = {model: parts["models"][model] for model in own.models()}
    names = {own.dataset, *(model.dataset for model in models.values())} - {None}
    datasets = {dataset: parts["datasets"][dataset] for dataset in names}
    return config.Project(ROOT, config.Config(studies=[study]), datasets, models, {study: own})


def _plan(project: config.Project) -> None:
    """All jobs have what they read, and are told what they are told, up to the report."""
    rules = Rules(inline.plan_of(project))
    jobs = list(rules.jobs())
    made = {path for job in jobs for path in rules.outputs(*job).values()}
    assert "results/report.html" in made
    for job in jobs:
        rules.settings(*job)
        for value in rules.inputs(*job).values():
            assert {value} if isinstance(value, str) else set(value) <= made, job


def test_a_network_needs_no_head_for_the_classes_that_it_was_trained_on(folder: Folder) -> None:
    base = {"based_on": "margin-boundaries-pets", "claims": [], "features": {"head": None}}
    folder.write("studies/varied", base)
    with pytest.raises(
        InputError, match=r"features\.head is missing, but takes a section, since model squeezenet was not"
    ):
        folder.load("varied")
    # Neither where nothing but the metrics needs what the network takes samples for.
    folder.write("studies/varied", base | {"influence": {"functions": [{"function": "distrust", "labels": "y"}]}})
    with pytest.raises(InputError, match=r"features\.head is missing"):
        folder.load("varied")
    own: dict[str, Any] = {
        "layer": "network.features.12",
        "pool": "average",
        "samples": {"split": "test"},
        "head": None,
    }
    folder.write("studies/varied", base | {"dataset": "imagenet-samples", "features": own})
    assert folder.load("varied").studies["varied"].features.head is None
    folder.write(
        "studies/varied",
        base | {"dataset": "imagenet-samples", "features": own | {"samples": {"split": "test", "classes": [0, 281]}}},
    )
    with pytest.raises(
        InputError, match=r"features\.samples\.classes\.0 is 0, but takes classes that dataset imagenet-samp"
    ):
        folder.load("varied")


def test_flips_that_mislabel_nothing_are_refused_by_the_first_job_that_can_know(folder: Folder) -> None:
    entry = {"based_on": "margin-labels-test", "influence": {"flip": 1e-6}, "figures": [], "claims": []}
    with pytest.raises(InputError, match=r"influence\.flip is 1e-06, which mislabels none of 100 samples"):
        folder.run(entry)
    assert not list(Path("results").rglob("audited.parquet"))
