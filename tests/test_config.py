"""The config: what it takes, and one sentence for everything that it does not."""

import copy
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from snakemake.common.configfile import _load_configfile as load_configfile_text
from synthetic import script

from interneuron.errors import InputError
from interneuron.workflow import config, documentation
from interneuron.workflow.config import Project, yaml_text
from interneuron.workflow.config.kinds import KINDS, STEPS
from interneuron.workflow.config.studies import Figure
from interneuron.workflow.plan import Plan

ROOT = Path(__file__).resolve().parent.parent

ENTRIES: dict[str, Any] = {
    "config/config.yaml": {"title": "Small", "studies": ["small"]},
    "config/datasets/digits.yaml": {
        "title": "Digits",
        "files": [{"path": "digits.csv.gz", "sha256": "0" * 64, "urls": ["package:sklearn/digits.csv.gz"]}],
        "mirror": "digits",
        "prepare": {"reader": "digits", "file": "digits.csv.gz", "classes": 10},
    },
    "config/models/vae.yaml": {
        "title": "VAE",
        "dataset": "digits",
        "architecture": "conditional-vae",
        "arguments": {"latents": 4, "hidden": [16, 8]},
        "learning_rate": 1e-3,
        "batch": 64,
        "iterations": 10,
        "seeds": 4,
        "block": 2,
    },
    "config/models/judge.yaml": {
        "title": "Judge",
        "dataset": "digits",
        "architecture": "judge",
        "learning_rate": 0.001,
        "batch": 64,
        "iterations": 10,
        "seeds": 1,
        "block": 1,
    },
    "config/studies/base.yaml": {
        "title": "Base",
        "paper": "hui2022",
        "summary": "All of it.",
        "model": "vae",
        "judge": "judge",
        "activations": {"alphas": [-1, 0, 1], "digits": [5], "draws": 50},
        "ace": {"draws": 64, "replicates": 4},
        "cluster": {"readings": [{"reading": "A", "draws": 50}, {"reading": "B"}]},
        "lesion": {"fail_below": 0.4},
        "evaluate": {},
        "figures": ["kl.png"],
        "claims": [
            {"id": "T1", "source": "p. 1", "states": "one", "metric": "m", "reported": 3, "holds_if": "median == 3"},
            {"id": "T2", "source": "p. 2", "states": "two", "reported": "5 to 11", "not_comparable": "by eye"},
        ],
    },
    "config/studies/small.yaml": {"based_on": "base", "title": "Small", "activations": {"draws": 60}},
}

TABLES: dict[str, Any] = {
    "config/config.yaml": {"title": "Tables", "studies": ["regions"]},
    "config/datasets/boolean.yaml": {
        "title": "Boolean",
        "prepare": {"reader": "boolean", "samples": 50, "features": 3, "terms": [{"v1": 1, "v3": 1}]},
    },
    "config/models/mlp.yaml": {
        "title": "MLP",
        "dataset": "boolean",
        "architecture": "mlp",
        "arguments": {"hidden": [4, 2]},
        "penalties": {"activity": 0.02},
        "learning_rate": 0.01,
        "batch": 10,
        "epochs": 2,
        "seeds": 4,
        "block": 2,
    },
    "config/studies/regions.yaml": {
        "title": "Regions",
        "paper": "picchiotti2021",
        "summary": "Regions.",
        "model": "mlp",
        "regions": {
            "labellings": [{"name": "all", "features": ["v1", "v2"]}, {"name": "terms", "terms": [{"v1": 1, "v3": 0}]}],
            "profiles": {"ones": {"v1": 1}},
        },
        "evaluate": {"kept": [0.9]},
        "figures": ["regions.png"],
        "claims": [
            {"id": "R2", "source": "picchiotti2021, p. 1", "states": "three", "metric": "regions", "reported": 3,
             "where": {"level": "network"}, "holds_if": "median == 3"},
        ],
    },
}  # fmt: skip


class Folder:
    """A folder of entries, written as YAML."""

    def __init__(self, root: Path, entries: dict[str, Any] = ENTRIES) -> None:
        self.root, self.entries = root, copy.deepcopy(entries)

    def load(self) -> Project:
        for name, entry in self.entries.items():
            self.write(name, yaml.safe_dump(entry))
        return self.read()

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def read(self) -> Project:
        return config.load(self.root / "config/config.yaml", self.root)

    def set(self, file: str, key: str, value: Any) -> None:
        *path, last = key.split(".")
        entry = self.entries[file]
        for part in path:
            entry = entry[int(part)] if isinstance(entry, list) else entry.setdefault(part, {})
        if value is None:
            del entry[last]
        elif isinstance(entry, list):
            entry[int(last)] = value
        else:
            entry[last] = value


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_project_has_what_its_studies_need(folder: Folder) -> None:
    folder.entries["config/studies/other.yaml"] = {"title": 3}  # broken, but nobody asks for it
    project = folder.load()
    assert list(project.studies) == ["small"]
    assert set(project.models) == {"vae", "judge"}
    assert set(project.datasets) == {"digits"}
    assert project.config.title == "Small"
    with pytest.raises(InputError, match=r"^config/studies/other\.yaml: "):
        config.load_all(folder.root)


def test_a_study_lies_on_what_it_is_based_on(folder: Folder) -> None:
    study = folder.load().studies["small"]
    assert study.title == "Small"
    assert study.paper == "hui2022"
    assert study.settings("activations") == {
        "alphas": [-1.0, 0.0, 1.0],
        "latents": "active",
        "active_above": 0.1,
        "digits": [5],
        "draws": 60,
        "sampling": "sobol",
    }


def test_values_that_two_steps_share_are_said_once(folder: Folder) -> None:
    folder.set("config/studies/base.yaml", "activations.active_above", 0.3)
    study = folder.load().studies["small"]
    assert study.settings("ace")["alphas"] == [-1.0, 0.0, 1.0]
    assert study.settings("ace")["digits"] == [5]
    thresholds = {"active_above": 0.3, "fail_below": 0.4, "moves_above": 0.05}
    assert study.settings("evaluate") == {"kind": "neurons", **thresholds}


def test_effects_may_cover_more_digits(folder: Folder) -> None:
    folder.set("config/studies/base.yaml", "ace.digits", [3, 5])
    assert folder.load().studies["small"].settings("ace")["digits"] == [3, 5]


def test_settings_are_plain_json_of_their_own_section(folder: Folder) -> None:
    project = folder.load()
    train = project.models["vae"].settings()
    assert train["arguments"] == {"latents": 4, "hidden": [16, 8]}
    assert train["loss_arguments"] == {"beta": 10.0, "reconstruction_weight": 10.0, "class_weight": 1.0}
    assert not {"title", "dataset", "seeds", "block"} & set(train)
    download = project.datasets["digits"].download("digits.csv.gz")
    assert download == {
        "files": [{"path": "digits.csv.gz", "sha256": "0" * 64, "urls": ["package:sklearn/digits.csv.gz"]}],
        "mirror": "digits",
    }
    prepare = project.datasets["digits"].settings("prepare")
    assert prepare == {"reader": "digits", "file": "digits.csv.gz", "test_share": 0.2, "split_seed": 0, "classes": 10}
    steps = {step: project.studies["small"].settings(step) for step in project.studies["small"].steps()}
    assert list(steps) == [*KINDS["neurons"].steps(), "evaluate"]
    assert json.loads(json.dumps([train, download, prepare, steps])) == [train, download, prepare, steps]


def test_numbers_in_claims_are_kept_as_text(folder: Folder) -> None:
    first, second = folder.load().studies["small"].claims
    assert (first.reported, second.reported) == ("3", "5 to 11")
    assert second.holds_if is None


def test_exponents_need_no_point(folder: Folder) -> None:
    folder.load()
    text = (folder.root / "config/models/vae.yaml").read_text()
    for written in ("1e-4", "1E-4", "1.0e-4", "0.0001"):
        folder.write("config/models/vae.yaml", text.replace("learning_rate: 0.001", f"learning_rate: {written}"))
        assert folder.read().models["vae"].learning_rate == 1e-4


def test_all_readers_of_an_entry_read_the_same() -> None:
    """Snakemake reads with PyYAML (1.1), DVC with ruamel (1.2); entries are ours and DVC's, the config all three's."""
    parts = [
        *"0123456789_.:eEobx+-ynT~=",
        *("yes", "No", "on", "off", "true", "null", "inf", "nan", "2026-", "0x", "e-4"),
    ]
    random = np.random.default_rng(0)
    written = {"".join(random.choice(parts, n)) for n in random.integers(1, 6, 4000)}
    written |= {"2026-01-01", "2026-01-01 12:00:00", "1:30", "12:30:45.5", "1.5e-3", "0.90", "5 to 11", "FALSE", ".inf"}
    taken = 0
    for value in sorted(written):
        text = f"a: {value}\n"
        for exponents, loads in ((True, [dvc_yaml]), (False, [dvc_yaml, snakemake_yaml])):
            try:
                ours = yaml_text.parsed(text, exponents)
            except yaml.YAMLError:
                continue
            taken += 1
            assert [repr(load(text)) for load in loads] == [repr(ours)] * len(loads), value
    assert taken > 1000


def dvc_yaml(text: str) -> Any:
    return parse_yaml(text, "entry.yaml")


def snakemake_yaml(text: str) -> Any:
    return load_configfile_text(io.StringIO(text))


@pytest.mark.parametrize("value", ["012", "0o12", "yes", "1:30", "1e-4", "1_000", "08", "2026-01-01", "0.90"])
@pytest.mark.parametrize("key", ["learning_rate", "title"])
def test_what_dvc_sets_is_what_is_read(folder: Folder, key: str, value: str) -> None:
    """`dvc exp run -S` writes the entry anew: what it meant is read, or refused in one sentence."""
    folder.load()
    path = folder.root / "config/models/vae.yaml"
    apply_overrides(path, [f"{key}={value}"])
    set_to = dvc_yaml(path.read_text())[key]
    try:
        model = folder.read().models["vae"]
    except InputError as error:
        sentence = str(error)
    else:
        assert getattr(model, key) == set_to
        return
    assert re.match(rf"^config/models/vae\.yaml: (line \d+: )?{key} is ", sentence)


@pytest.fixture
def tables(tmp_path: Path) -> Folder:
    return Folder(tmp_path, TABLES)


def test_a_study_of_regions_has_steps_of_its_own(tables: Folder) -> None:
    project = tables.load()
    study = project.studies["regions"]
    assert (study.kind, study.steps()) == ("regions", ["regions", "evaluate"])
    assert project.path("regions") == ["download", "tabulate", "fit", "regions", "evaluate"]
    assert study.settings("evaluate") == {
        "kind": "regions", "support_above": 0.001, "correlated_above": 0.5, "kept": [0.9],
    }  # fmt: skip
    settings = study.settings("regions")
    assert settings["labellings"][0] == {"name": "all", "features": ["v1", "v2"], "terms": None}
    assert settings["profiles"] == {"ones": {"v1": 1}}
    fit = project.models["mlp"].settings()
    assert fit["penalties"] == {"activity": 0.02, "kernel": 0.0}
    assert not {"title", "dataset", "seeds", "block"} & set(fit)
    assert (project.datasets["boolean"].files, project.datasets["boolean"].mirror) == ([], None)
    assert json.loads(json.dumps([settings, fit])) == [settings, fit]
    assert {"mlp", "regions", "boolean", "glorot-uniform"} <= project.names("regions")


def test_the_plan_of_a_study_of_regions(tables: Folder) -> None:
    tables.load()
    top = TABLES["config/config.yaml"]
    plan = Plan.__new__(Plan)
    plan.project = config.project(top, tables.root)
    assert (plan.datasets("tabulate"), plan.datasets("prepare")) == (["boolean"], [])
    assert (plan.models("fit"), plan.models("train")) == (["mlp"], [])
    assert plan.jobs("download") == plan.jobs("prepare") == plan.jobs("train") == plan.jobs("cluster") == []
    assert plan.jobs("tabulate") == [{"dataset": "boolean"}]
    blocks = [{"study": "regions", "block": block} for block in ("000-001", "002-003")]
    assert plan.jobs("regions") == plan.jobs("evaluate") == blocks
    job = SimpleNamespace(study="regions", block="000-001", figure="regions.png")
    folder = "results/studies/regions/000-001"
    assert plan.evaluated(job) == {
        "training": "results/models/mlp/000-001/training.parquet",
        "regions": f"{folder}/regions.parquet",
        "maps": f"{folder}/maps.safetensors",
        "merging": f"{folder}/merging.parquet",
    }
    assert plan.figure_inputs(job)["metrics"] == [
        f"results/studies/regions/{b}/metrics.parquet" for b in ("000-001", "002-003")
    ]


REGIONS, TABLE, PERCEPTRON = (
    "config/studies/regions.yaml",
    "config/datasets/boolean.yaml",
    "config/models/mlp.yaml",
)


@pytest.mark.parametrize(
    ("file", "key", "value", "sentence"),
    [
        (REGIONS, "regions.samples", "some", "regions.samples is 'some', but takes 'train', 'test' or 'all'"),
        (REGIONS, "regions.labelings", [], "regions.labelings is no known key (did you mean labellings?); regions "),
        (
            REGIONS,
            "regions.labellings.0.terms",
            [{"v1": 1}],
            "regions.labellings.0.terms is [{'v1': 1}], but takes a value where features is not given, and only there",
        ),
        (
            REGIONS,
            "regions.labellings.0.features",
            None,
            "regions.labellings.0.terms is missing, but takes a value where features is not given, and only there",
        ),
        (REGIONS, "regions.labellings.1.name", "all", "regions.labellings.1.name is 'all', but takes a name that no "),
        (
            REGIONS,
            "regions.labellings.0.features",
            ["v1", "v4"],
            "regions.labellings.0 is 'v4', but takes features of dataset boolean, v1, v2 and v3",
        ),
        (
            REGIONS,
            "regions.profiles.ones",
            {"w": 1},
            "regions.profiles.ones is 'w', but takes features of dataset boolean, v1, v2 and v3",
        ),
        (REGIONS, "regions", None, "evaluate.kept is no known key; evaluate takes active_above, "),
        (REGIONS, "evaluate", None, "evaluate is missing, but takes a section, since figures read it"),
        (REGIONS, "evaluate.fail_below", 0.3, "evaluate.fail_below is no known key; evaluate takes correlated_above, "),
        (REGIONS, "evaluate.kept", [0.9, 0.5], "evaluate.kept is [0.9, 0.5], but takes values in rising order"),
        (REGIONS, "figures.0", "kl.png", "figures.0 is 'kl.png', but takes a figure of a study of regions"),
        (TABLE, "mirror", "x", "mirror is 'x', but takes none without files"),
        (TABLE, "prepare.terms", [], "prepare.terms is [], but takes a list of at least 1"),
        (TABLE, "prepare.terms.0", {"v1": 2}, "prepare.terms.0 is {'v1': 2}, but takes values 0 or 1 of v1 to v3"),
        (PERCEPTRON, "arguments.hidden", [], "arguments.hidden is [], but takes a list of at least 1"),
        (PERCEPTRON, "penalties.l1", 0.1, "penalties.l1 is no known key; penalties takes activity and kernel"),
        (PERCEPTRON, "iterations", 100, "iterations is no known key (did you mean initialisation?); "),
        (PERCEPTRON, "epochs", 0, "epochs is 0, but takes a number of at least 1"),
        (PERCEPTRON, "seeds", 3, "seeds is 3, but takes a multiple of block, which is 2"),
    ],
)
def test_what_cannot_be_used_of_tables_is_one_sentence(
    tables: Folder, file: str, key: str, value: Any, sentence: str
) -> None:
    tables.load()
    tables.set(file, key, value)
    with pytest.raises(InputError) as error:
        tables.load()
    assert str(error.value).startswith(f"{file}: {sentence}")


def test_models_and_tables_must_fit(tables: Folder) -> None:
    tables.entries["config/models/vae.yaml"] = ENTRIES["config/models/vae.yaml"] | {"dataset": "boolean"}
    tables.set(REGIONS, "model", "vae")
    with pytest.raises(InputError, match="model is 'vae', but takes a model of architecture mlp, not conditional-vae"):
        tables.load()
    for section in ("regions", "evaluate", "figures", "claims"):
        tables.set(REGIONS, section, None)
    with pytest.raises(InputError, match="model is 'vae', but takes a model of images, and boolean is a table"):
        tables.load()


STUDY, VAE, DIGITS, TOP = (
    "config/studies/base.yaml",
    "config/models/vae.yaml",
    "config/datasets/digits.yaml",
    "config/config.yaml",
)


@pytest.mark.parametrize(
    ("file", "key", "value", "sentence"),
    [
        # unknown and missing keys
        (STUDY, "activations.drwas", 3, "activations.drwas is no known key (did you mean draws?); activations takes "),
        (STUDY, "claim", [], "claim is no known key (did you mean claims?); the file takes ace, activations, "),
        (VAE, "arguments", {"latent": 3, "hidden": [2]}, "arguments.latent is no known key (did you mean latents?); "),
        (DIGITS, "prepare.test_shar", 0.1, "prepare.test_shar is no known key (did you mean test_share?); prepare "),
        (TOP, "titel", "x", "titel is no known key (did you mean title?); the file takes strict, studies and title"),
        (STUDY, "paper", None, "paper is missing, but takes a value"),
        (
            VAE,
            "architecture",
            None,
            "architecture is missing, but takes 'conditional-vae', 'judge', 'mlp', ",
        ),
        (DIGITS, "prepare.reader", None, "prepare.reader is missing, but takes 'idx', 'digits', "),
        # types
        (STUDY, "activations.digits", 5, "activations.digits is 5, but takes a list"),
        (STUDY, "activations.alphas", [0, "x"], "activations.alphas.1 is 'x', but takes a number"),
        (STUDY, "ace.draws", "64", "ace.draws is '64', but takes a whole number"),
        (STUDY, "ace.draws", 6.5, "ace.draws is 6.5, but takes a whole number"),
        (STUDY, "ace.draws", True, "ace.draws is true, but takes a whole number"),
        (STUDY, "lesion", 3, "lesion is 3, but takes keys with values"),
        (STUDY, "title", 3, "title is 3, but takes text"),
        (TOP, "studies", "small", "studies is 'small', but takes a list"),
        # ranges and choices
        (STUDY, "ace.draws", 1, "ace.draws is 1, but takes a number of at least 2"),
        (STUDY, "activations.alphas", [], "activations.alphas is [], but takes a list of at least 1"),
        (
            STUDY,
            "activations.alphas",
            [1, 0],
            "activations.alphas is [1, 0], but takes values in rising order, each once",
        ),
        (
            STUDY,
            "activations.alphas",
            [1, 1],
            "activations.alphas is [1, 1], but takes values in rising order, each once",
        ),
        (STUDY, "activations.alphas", [float("nan")], "activations.alphas.0 is nan, but takes a finite number"),
        (
            STUDY,
            "activations.latents",
            "activ",
            "activations.latents is 'activ', but takes 'active' or a list (did you",
        ),
        (STUDY, "activations.latents", [0, -1], "activations.latents.1 is -1, but takes a number of at least 0"),
        (
            STUDY,
            "activations.sampling",
            "sobl",
            "activations.sampling is 'sobl', but takes 'sobol' or 'independent' (did",
        ),
        (STUDY, "cluster.damping", 1, "cluster.damping is 1, but takes a number below 1.0"),
        (STUDY, "cluster.damping", 0.4, "cluster.damping is 0.4, but takes a number of at least 0.5"),
        (STUDY, "lesion.fail_below", 50, "lesion.fail_below is 50, but takes a number of at most 1.0"),
        (STUDY, "figures.0", "kll.png", "figures.0 is 'kll.png', but takes 'alignment.png', "),
        (STUDY, "figures.0", "borders.png", "figures.0 is 'borders.png', but takes a figure of a study of neurons"),
        (STUDY, "evaluate.kept", [0.9], "evaluate.kept is no known key; evaluate takes active_above, fail_below, "),
        (
            STUDY,
            "evaluate.kind",
            "regions",
            "evaluate.kind is 'regions', but takes 'neurons', as the study's sections say",
        ),
        (VAE, "learning_rate", 0, "learning_rate is 0, but takes a number above 0.0"),
        (
            VAE,
            "architecture",
            "vae",
            "architecture is 'vae', but takes 'conditional-vae', 'judge', 'mlp', ",
        ),
        (VAE, "seeds", 5, "seeds is 5, but takes a multiple of block, which is 2"),
        (
            DIGITS,
            "prepare.reader",
            "digit",
            "prepare.reader is 'digit', but takes 'idx', 'digits', 'usps', 'photos', 'imagenet', 'boolean', 'titanic', "
            "'enron', 'planetoid', 'karate', 'modules', 'nested', 'fcs', 'coil20' or 'teapots' "
            "(did you mean digits?)",
        ),
        (DIGITS, "files.0.sha256", "12", "files.0.sha256 is '12', but takes 64 hexadecimal digits (0-9, a-f)"),
        (
            DIGITS,
            "files.0.sha256",
            None,
            "files.0.sha256 is missing, but takes a hash where neither sha256_prefix nor git_blob is given",
        ),
        (DIGITS, "files.0.git_blob", "12", "files.0.git_blob is '12', but takes 40 hexadecimal digits (0-9, a-f)"),
        (DIGITS, "files.0.git_blob", "a" * 40, "files.0.sha256 is '000"),
        (DIGITS, "files.0.urls", ["ftp://x"], "files.0.urls.0 is 'ftp://x', but takes an address that begins with"),
        (DIGITS, "files.0.path", "../x", "files.0.path is '../x', but takes a relative path without '..'"),
        (DIGITS, "prepare.file", "other.gz", "prepare.file is 'other.gz', but takes one of its files, digits.csv.gz"),
        (DIGITS, "files", None, "files is missing, but takes at least one file"),
        (DIGITS, "mirror", None, "mirror is missing, but takes the name of a folder"),
        (
            DIGITS,
            "prepare",
            {"reader": "boolean", "samples": 10, "features": 3, "terms": [{"v1": 1}]},
            "files is ['digits.csv.gz'], but takes none for the reader boolean",
        ),
        (
            DIGITS,
            "prepare",
            {"reader": "boolean", "samples": 10, "features": 3, "terms": [{"v1": 1}, {"v4": 1}]},
            "prepare.terms.1 is {'v4': 1}, but takes values 0 or 1 of v1 to v3",
        ),
        (TOP, "studies", ["small", "small"], "studies is ['small', 'small'], but takes each value once"),
        (TOP, "studies", ["../x"], "studies.0 is '../x', but takes a name of letters, digits, '-' and '_'"),
        # what does not fit together
        (
            STUDY,
            "activations.digits",
            [5, 10],
            "activations.digits.1 is 10, but takes classes of dataset digits, 0 to 9",
        ),
        (STUDY, "ace.digits", [5, 10], "ace.digits.1 is 10, but takes classes of dataset digits, 0 to 9"),
        (STUDY, "ace.digits", [4], "ace.digits is [4], but takes the same as activations.digits, which is [5]"),
        (STUDY, "ace.alphas", [0, 1], "ace.alphas is [0.0, 1.0], but takes the same as activations.alphas, which is"),
        (
            STUDY,
            "evaluate.fail_below",
            0.3,
            "evaluate.fail_below is 0.3, but takes the same as lesion.fail_below, which",
        ),
        (STUDY, "activations.latents", [4], "activations.latents.0 is 4, but takes latents of model vae, 0 to 3"),
        (
            STUDY,
            "cluster.readings.0.draws",
            61,
            "cluster.readings.0.draws is 61, but takes at most activations.draws, ",
        ),
        (STUDY, "cluster.readings.0.draws", None, "cluster.readings.0.draws is missing, but takes a number of draws"),
        (STUDY, "cluster.readings.1.draws", 3, "cluster.readings.1.draws is 3, but takes no draws in reading B"),
        (STUDY, "ace", None, "ace is missing, but takes a section, since cluster reads it"),
        (STUDY, "judge", None, "judge is missing, but takes a model, since it judges the images of lesion"),
        (STUDY, "evaluate", None, "evaluate is missing, but takes a section, since figures read it"),
        (STUDY, "model", "judge", "model is 'judge', but takes a model of architecture conditional-vae, not judge"),
        (STUDY, "judge", "vae", "judge is 'vae', but takes a model of architecture judge, not conditional-vae"),
        (
            STUDY,
            "model",
            "vea",
            "model is 'vea', which is not in config/models (did you mean vae?); it has judge and vae",
        ),
        (VAE, "dataset", "mnist", "dataset is 'mnist', which is not in config/datasets; it has digits"),
        (
            TOP,
            "studies",
            ["smal"],
            "studies.0 is 'smal', which is not in config/studies (did you mean small?); it has ",
        ),
        # claims
        (STUDY, "claims.0.holds_if", "media = 3", "claims.0.holds_if is 'media = 3', but takes 'STAT OP NUMBER' or "),
        (
            STUDY,
            "claims.1.not_comparable",
            None,
            "claims.1.metric is missing, but takes a value, unless not_comparable",
        ),
        (
            STUDY,
            "claims.0",
            {"id": "T", "source": "p. 1", "states": "many", "metric": "m", "reported": "5 to 11"},
            "claims.0.holds_if is missing, but takes a condition, unless reported is a number of one run",
        ),
        (
            STUDY,
            "claims.0",
            {"id": "T", "says": "paper", "source": "interneuron", "states": "s", "metric": "m", "reported": 1},
            "claims.0.says is 'paper', but takes control or question, since the source is interneuron",
        ),
        (STUDY, "claims.1.id", "T1", "claims.1.id is 'T1', but takes a name that no other claim of the study has"),
        (STUDY, "claims.0.reported", [3], "claims.0.reported is [3], but takes text"),
        (STUDY, "claims.0.where", {"alpha": [3]}, "claims.0.where.alpha is [3], but takes text, a whole number or a "),
    ],
)
def test_what_cannot_be_used_is_one_sentence(folder: Folder, file: str, key: str, value: Any, sentence: str) -> None:
    folder.entries[TOP]["studies"] = ["base"]
    folder.load()
    folder.set(file, key, value)
    with pytest.raises(InputError) as error:
        folder.load()
    message = str(error.value)
    assert message.startswith(f"{file}: {sentence}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (TOP, "studies: [small]\nstudies: [base]\n", "config/config.yaml: line 2: key 'studies' is given twice"),
        (
            STUDY,
            "title: a\nace: {draws: 2, draws: 4}\n",
            "config/studies/base.yaml: line 2: key 'draws' is given twice",
        ),
        (TOP, "studies: [small\n", "config/config.yaml: line 2: "),
        (TOP, "", "config/config.yaml is empty, but takes keys with values"),
        (TOP, "- small\n", "config/config.yaml is ['small'], but takes keys with values"),
        (TOP, "title: !!python/object/apply:os.getcwd []\n", "config/config.yaml: line 1: could not determine a "),
        (TOP, "title: a\nstudies: [001]\n", "config/config.yaml: line 2: studies.0 is 001, which YAML reads in more "),
        (
            TOP,
            "title: a\nstudies:\n  - 1e5\n",
            "config/config.yaml: line 3: studies.0 is 1e5, which YAML reads in more ",
        ),
        (TOP, "title: a\nstudies: [2024]\n", "config/config.yaml: studies.0 is 2024, but takes text, in quotes"),
        (
            TOP,
            "strict: yes\n",
            "config/config.yaml: line 1: strict is yes, which YAML reads in more than one way; it takes a",
        ),
        (STUDY, "ace: {draws: 012}\n", "config/studies/base.yaml: line 1: ace.draws is 012, which YAML reads in more "),
        (
            STUDY,
            "ace:\n  on: 1\n",
            "config/studies/base.yaml: line 2: a key of ace is on, which YAML reads in more than ",
        ),
        (
            STUDY,
            "claims:\n- id: T\n  reported: 0.90\n",
            "config/studies/base.yaml: line 3: claims.0.reported is 0.90, a number that reads 0.9; it "
            "takes '0.90' in quotes",
        ),
        (STUDY, f"title: {'1' * 5000}\n", "config/studies/base.yaml: Exceeds the limit (4300 digits)"),
        (
            "config/studies/small.yaml",
            "based_on: basis\n",
            "config/studies/small.yaml: based_on is 'basis', which is not",
        ),
        (STUDY, "based_on: small\n", "config/studies/base.yaml: based_on is 'small', but takes a study that is not "),
    ],
)
def test_what_cannot_be_read_is_one_sentence(folder: Folder, file: str, text: str, sentence: str) -> None:
    folder.load()
    folder.write(file, text)
    with pytest.raises(InputError) as error:
        folder.read()
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_refused(folder: Folder) -> None:
    folder.load()
    (folder.root / TOP).write_bytes(b"title: \xff")
    with pytest.raises(InputError, match=r"^config/config\.yaml is not text in UTF-8$"):
        folder.read()


def test_a_missing_config_names_the_ones_there_are(folder: Folder) -> None:
    folder.load()
    with pytest.raises(InputError, match=r"^config/big\.yaml does not exist; config has config\.yaml$"):
        config.load(folder.root / "config/big.yaml", folder.root)


def test_a_config_that_snakemake_has_read_is_checked_alike(folder: Folder) -> None:
    folder.load()
    assert list(config.project({"studies": ["base"]}, folder.root).studies) == ["base"]
    with pytest.raises(InputError, match=r"^config: study is no known key \(did you mean studies\?\)"):
        config.project({"study": ["base"]}, folder.root)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, max_examples=60)
@example("ace", {"\n": None})
@given(st.sampled_from(sorted(config.Study.model_fields)), JUNK)
def test_junk_in_a_study_is_accepted_or_one_sentence(key: str, junk: Any) -> None:
    merged = {**ENTRIES[STUDY], key: junk}
    refusal = ""
    try:
        config._checked(config.Study, merged, [(STUDY, merged)])
    except InputError as error:
        refusal = str(error)
    # A block that is missing is what is wrong with seeds that are there.
    about = {"seeds": "(seeds|block)", "block": "(seeds|block)"}.get(key, key)
    assert re.fullmatch(rf"({STUDY}: {about}\b.*)?", refusal) or key in STEPS
    assert "\n" not in refusal


@settings(deadline=None, max_examples=60)
@given(JUNK)
def test_junk_as_an_entry_is_one_sentence(junk: Any) -> None:
    data = junk if isinstance(junk, dict) else {"prepare": junk}
    for kind in config.KINDS.values():
        with pytest.raises(InputError, match=r"^file: "):
            config._checked(kind, data, [("file", data)])


# who says a claim, and by which reading


def test_a_claim_takes_what_it_does_not_say_from_its_study(folder: Folder) -> None:
    claim = {"source": "hui2022, p. 1", "states": "s", "metric": "m", "reported": 3}
    folder.set(
        STUDY,
        "claims",
        [
            claim | {"id": "T1-a", "group": "T1"},
            claim | {"id": "T1-b", "statement": "T2", "says": "control", "reading": "5 draws"},
            claim | {"id": "Q", "source": "interneuron"},
        ],
    )
    folder.set(STUDY, "reading", "3 draws")
    folder.entries[TOP]["studies"] = ["base"]
    found = [
        [claim[key] for key in ("says", "statement", "reading")] for claim in folder.load().studies["base"].stated()
    ]
    assert found == [["paper", "T1", "3 draws"], ["control", "T2", "5 draws"], ["question", "Q", "3 draws"]]
    folder.set(STUDY, "says", "question")
    assert [claim["says"] for claim in folder.load().studies["base"].stated()] == ["question", "control", "question"]


# the entries that come with it


@pytest.mark.parametrize("name", ["config", "paper", "test"])
def test_every_config_here_loads(name: str) -> None:
    project = config.load(ROOT / f"config/{name}.yaml", ROOT)
    assert project.studies
    assert all(project.path(study)[-1] == "evaluate" for study in project.studies)


def test_a_network_that_exists_may_not_have_the_name_of_a_dataset(tmp_path: Path) -> None:
    """The files of both are raw data, by the name of the entry."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    models, study = tmp_path / "config/models", tmp_path / "config/studies/margin-boundaries-pets.yaml"
    (models / "squeezenet.yaml").rename(models / "dogs-vs-cats.yaml")
    study.write_text(study.read_text().replace("model: squeezenet", "model: dogs-vs-cats"))
    with pytest.raises(
        InputError, match=r"^config/models/dogs-vs-cats\.yaml: its files would lie in data/raw/dogs-vs-cats with "
    ):
        config.project({"studies": ["margin-boundaries-pets"]}, tmp_path)


def test_every_entry_here_is_used() -> None:
    project = config.load_all(ROOT)
    for kind, used in (("datasets", project.datasets), ("models", project.models), ("studies", project.studies)):
        assert sorted(used) == sorted(path.stem for path in (ROOT / "config" / kind).glob("*.yaml"))


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from interneuron.workflow import config;"
        "config.load(Path('config/test.yaml'), Path.cwd()); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded
    assert not loaded & {"torch", "pandas", "sklearn", "matplotlib", "scipy", "scipy.stats", "numba", "snakemake"}


def test_figures_are_those_that_the_script_draws() -> None:
    assert sorted(script("figures").FIGURES._things) == sorted(get_args(Figure))


# documentation


def test_documentation_is_up_to_date() -> None:
    assert documentation.difference(ROOT) == ""


def test_drifted_documentation_is_a_diff(tmp_path: Path) -> None:
    assert set(documentation.write(tmp_path)) == set(documentation.documents())
    documentation.check(tmp_path)
    assert documentation.write(tmp_path) == []
    page = tmp_path / "config/README.md"
    page.write_text(page.read_text().replace("Title of the report", "Heading"))
    with pytest.raises(InputError, match=r"(?s)out of date.*-.*Heading.*\+.*Title of the report"):
        documentation.check(tmp_path)


def test_every_key_is_documented() -> None:
    page = documentation.documents()["config/README.md"]
    for path in sorted((ROOT / "config/studies").glob("*.yaml")):
        for key, value in yaml.safe_load(path.read_text()).items():
            assert f"| `{key}` |" in page
            if isinstance(value, dict):
                for inner in value:
                    assert f"| `{key}.{inner}` |" in page
    assert "| **required** |  |" not in page
    for line in page.splitlines():
        if line.startswith("| `"):
            assert line.rstrip("| ").count("|") >= 3, line


@pytest.mark.parametrize("name", ["config", "dataset", "model", "study"])
def test_schemas_take_what_the_models_take(name: str) -> None:
    """Every key of the entries here is in the schema that editors use."""
    schema = json.loads(documentation.documents()[f"config/schemas/{name}.json"])
    folders = {"config": "config", "dataset": "config/datasets", "model": "config/models", "study": "config/studies"}
    paths = sorted((ROOT / folders[name]).glob("*.yaml"))
    assert paths
    roots = schema.get("anyOf", [schema])
    known = set()
    for root in roots:
        model = schema["$defs"][root["$ref"].split("/")[-1]] if "$ref" in root else root
        known |= set(model["properties"])
        assert model["additionalProperties"] is False
    for path in paths:
        assert set(yaml.safe_load(path.read_text())) <= known
