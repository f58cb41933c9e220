"""The config: what each kind of entry may say, and how entries are read and checked.

These models are the source; `interneuron docs` writes the JSON schemas and the tables of `config/README.md` from them.
Whatever cannot be used is refused before any job starts, in one sentence: file, key, what it got, what it takes.
"""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError

from interneuron.errors import InputError
from interneuron.workflow.config.datasets import Dataset
from interneuron.workflow.config.fields import Entry, Name, Text, once
from interneuron.workflow.config.files import Files
from interneuron.workflow.config.fit import check_fit
from interneuron.workflow.config.models import Model, PhotoModel
from interneuron.workflow.config.studies import Study
from interneuron.workflow.config.yaml_text import parsed
from interneuron.workflow.fingerprint import strings
from interneuron.workflow.refusals import (
    MISSING,
    Layers,
    RefusedError,
    file_of,
    listed,
    literals,
    near,
    refusal,
    sentence,
    shown,
    there_are,
)


class Config(Entry):
    """What to run."""

    title: Text = Field(default="Interneuron", description="Title of the report.")
    studies: Annotated[list[Name], Field(min_length=1), AfterValidator(once)] = Field(
        description="Studies to run, by the names of their files in `config/studies/`.", examples=[["thesis-digits"]]
    )
    strict: bool = Field(
        default=False,
        description="Whether results made under another `requirements.lock` are made anew. It is recorded with every "
        "result in any case.",
    )


def architecture_of(model: type[Model]) -> str:
    """Name by which an entry of a model chooses its kind."""
    return literals(model, "architecture")[0]


KINDS: dict[str, Any] = {"datasets": Dataset, "models": Model, "studies": Study}


# reading


@dataclass(frozen=True)
class Project:
    """A config with all entries that its studies need."""

    root: Path
    config: Config
    datasets: dict[str, Dataset]
    models: dict[str, Model]
    studies: dict[str, Study]

    def path(self, study: str) -> list[str]:
        """The steps behind a study's values in the ledger, in order."""
        entry = self.studies[study]
        models = [self.models[name] for name in entry.models()]
        sources: list[Files] = [self.datasets[name] for name in self.datasets_of(study)]
        sources += [model for model in models if isinstance(model, PhotoModel)]
        made = [source.fetched for source in sources if source.files] or ["download"]
        made += [self.datasets[name].step for name in self.datasets_of(study)] + [model.step for model in models]
        return [*dict.fromkeys(made), *entry.steps()]

    def dataset_of(self, study: str) -> str:
        """Name of the dataset that is studied."""
        entry = self.studies[study]
        name = entry.dataset or self.models[entry.models()[0]].dataset
        assert name is not None  # a study of a network that exists is refused without a dataset
        return name

    def datasets_of(self, study: str) -> list[str]:
        """Names of all datasets behind a study: its own, and those of its models."""
        own = [self.models[name].dataset for name in self.studies[study].models()]
        return sorted({self.dataset_of(study), *(name for name in own if name is not None)})

    def owner(self, study: str) -> Study | Model:
        """What says a study's seeds: itself, or its model."""
        entry = self.studies[study]
        return entry if entry.seeds is not None else self.models[entry.models()[0]]

    def parameters(self, study: str) -> dict[str, Any]:
        """What the steps of a study are told, by step, for people: models with their seeds, each step's section."""
        entry = self.studies[study]
        parameters: dict[str, Any] = {"dataset": self.dataset_of(study)}
        if entry.seeds is not None:
            parameters |= {"seeds": entry.seeds, "block": entry.block}
        for key in ("model", "judge"):
            if (name := getattr(entry, key)) is not None:
                parameters[key] = self._model(name)
        return parameters | {step: entry.settings(step) for step in entry.steps()}

    def inputs(self, study: str) -> dict[str, Any]:
        """All that entries contribute to a study's rows of the ledger: parameters, hashes of data, tests of claims."""
        entry = self.studies[study]
        datasets = {
            name: {
                "files": [[file.path, file.hash] for file in self.datasets[name].files],
                "prepare": self.datasets[name].settings(self.datasets[name].step),
            }
            for name in self.datasets_of(study)
        }
        return self.parameters(study) | {"datasets": datasets, "claims": [claim.test() for claim in entry.claims]}

    def names(self, study: str) -> set[str]:
        """All names that a study's entries say: what its steps choose architectures, losses and readers by."""
        return strings(self.inputs(study))

    def _model(self, name: str) -> dict[str, Any]:
        model = self.models[name]
        return {"name": name, "seeds": model.seeds, "block": model.block, **model.settings()}


def load(config_path: Path, root: Path) -> Project:
    """The config in a file, and the entries under `root` that its studies need.

    Raises InputError, one sentence, on whatever is missing or cannot be used.
    """
    path = Path(config_path)
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*.yaml"))
        raise InputError(f"{_name_of(path, root)} does not exist; {there_are(there, _name_of(path.parent, root))}")
    return project(read_top(path, root), root, _name_of(path, root))


def read_top(path: Path, root: Path) -> dict[str, Any]:
    """The config in a file that Snakemake reads, too. Raises InputError, one sentence, where DVC reads it otherwise."""
    return _read(Path(path), root, exponents=False)


def load_all(root: Path) -> Project:
    """All studies that there are under `root`, whether a config lists them or not."""
    names = _entries(root, "studies")
    if not names:
        raise InputError("config/studies has no entries: it takes at least one NAME.yaml")
    return project({"studies": names}, root)


def project(config: Mapping[str, Any], root: Path, where: str = "config") -> Project:
    """A config that was read already (`where` names it in messages), and the entries that its studies need.

    Raises InputError, one sentence, on whatever is missing or cannot be used.
    """
    top = _checked(Config, dict(config), [(where, dict(config))])
    datasets: dict[str, Dataset] = {}
    models: dict[str, Model] = {}
    studies: dict[str, Study] = {}
    for index, name in enumerate(top.studies):
        study, layers = _entry(root, "studies", name, f"{where}: studies.{index}")
        asked = [(study.dataset, f"{file_of(layers, ['dataset'])}: dataset")] if study.dataset is not None else []
        for key in ("model", "judge"):
            model = getattr(study, key)
            if model is None:
                continue
            if model not in models:
                models[model], _ = _entry(root, "models", model, f"{file_of(layers, [key])}: {key}")
            if (own := models[model].dataset) is not None:
                asked.append((own, f"config/models/{model}.yaml: dataset"))
        for dataset, place in asked:
            if dataset not in datasets:
                datasets[dataset], _ = _entry(root, "datasets", dataset, place)
                _check_members(root, dataset, datasets[dataset])
        try:
            check_fit(study, models, datasets)
        except RefusedError as error:
            file = file_of(layers, error.key.split("."))
            raise refusal(file, error.key, error.got, error.takes) from None
        studies[name] = study
    for name in sorted(models.keys() & datasets.keys()):
        if isinstance(models[name], PhotoModel):
            takes = "it takes a name that no dataset has"
            raise InputError(
                f"config/models/{name}.yaml: its files would lie in data/raw/{name} with the dataset's; {takes}"
            )
    return Project(Path(root), top, datasets, models, studies)


def _check_members(root: Path, name: str, dataset: Dataset) -> None:
    """Refuse a dataset whose list of members is not beside it."""
    for index, file in enumerate(dataset.files):
        if file.members is not None and not (Path(root) / "config/datasets" / file.members).is_file():
            takes = "the name of a file beside the entry"
            raise refusal(f"config/datasets/{name}.yaml", f"files.{index}.members", file.members, takes)


def _entry(root: Path, kind: str, name: str, asked: str) -> tuple[Any, Layers]:
    """One entry and its files; a study lies on top of the studies that it is based on."""
    layers: Layers = []
    merged: dict[str, Any] = {}
    while True:
        shown_name = f"config/{kind}/{name}.yaml"
        file = Path(root) / shown_name
        if not file.is_file():
            there = _entries(root, kind)
            raise InputError(
                f"{asked} is {name!r}, which is not in config/{kind}{near(name, there)}; {there_are(there, 'it')}"
            )
        data = _read(file, root)
        layers.append((shown_name, data))
        merged = _merged(data, merged)
        if kind != "studies" or not isinstance(data.get("based_on"), str):
            break
        asked, name = f"{shown_name}: based_on", data["based_on"]
        if f"config/studies/{name}.yaml" in [file for file, _ in layers]:
            raise InputError(f"{asked} is {name!r}, but takes a study that is not itself based on this one")
    return _checked(KINDS[kind], merged, layers), layers


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `top` laid over it: mappings key by key, everything else as a whole."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _entries(root: Path, kind: str) -> list[str]:
    return sorted(file.stem for file in (Path(root) / "config" / kind).glob("*.yaml"))


def _name_of(path: Path, root: Path) -> str:
    path, root = Path(path).absolute(), Path(root).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _read(path: Path, root: Path, exponents: bool = True) -> dict[str, Any]:
    name = _name_of(path, root)
    try:
        data = parsed(path.read_text(encoding="utf-8"), exponents)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise InputError(f"{name}:{line} {getattr(error, 'problem', None) or 'no YAML'}") from None
    if not isinstance(data, dict):
        raise InputError(f"{name} is {shown(data)}, but takes keys with values, such as 'title: ...'")
    return data


def _checked(kind: Any, data: dict[str, Any], layers: Layers) -> Any:
    """`data` as a `kind`; messages name the files in `layers`."""
    if not isinstance(kind, type):
        kind = _architecture(kind, data, layers[0][0])
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise sentence(kind, error.errors(), data, layers) from None


def _architecture(kinds: Any, data: dict[str, Any], file: str) -> Any:
    """The kind of model that `architecture` names."""
    by_name = {architecture_of(kind): kind for kind in typing.get_args(kinds)}
    name = data.get("architecture", MISSING)
    if not isinstance(name, str) or name not in by_name:
        raise refusal(file, "architecture", name, listed(map(repr, by_name), " or ") + near(str(name), by_name))
    return by_name[name]
