"""What the rules ask of the config: which files a job reads, its one dict of params, its memory and time."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from interneuron.errors import InputError
from interneuron.seeds import block_name
from interneuron.workflow import config as entries
from interneuron.workflow import provenance, records
from interneuron.workflow.config.kinds import FILES, KINDS, MAKER
from interneuron.workflow.config.networks import EvaluateAttacks, EvaluateBoundaries
from interneuron.workflow.config.neurons import Evaluate
from interneuron.workflow.fingerprint import Fingerprints, strings
from interneuron.workflow.ledger import code_of

# Bytes; profiles/default compares larger inputs than any of ours by content.
LARGE = 10**12
# Steps that look at images through the judge; the others open the study's model only.
JUDGED = frozenset({"lesion"})


class Plan:
    """The config, resolved for the rules: every public method is an input, params or resources function of a rule."""

    def __init__(self, config: dict[str, Any], root: Path, files: Iterable[str | Path]) -> None:
        """`config` as Snakemake read it from `files`."""
        where = " with ".join(map(os.path.relpath, files))
        try:
            for file in map(Path, files):
                if file.suffix != ".json":
                    entries.read_top(file, Path.cwd())
            self.project = entries.project(config, root, where)
        except InputError as error:
            sys.exit(f"error: {error}")  # one sentence, where an exception would bring the stack of the Snakefile
        self.code = Fingerprints(root)
        self.lock = records.lock(root)

    def begin(self) -> None:
        """Start a run in this folder, and say what is unproved: see `provenance.begin`."""
        try:
            findings = provenance.begin(Path.cwd(), self.published())
        except (InputError, OSError) as error:
            sys.exit(f"error: {error}")
        if findings.alive:
            # Snakemake refuses what the other run has locked, and under --quiet says nothing of it.
            print("note: another run is alive in this folder: what it makes is locked until it ends", file=sys.stderr)
        if findings.unproved:
            print(
                f"warning: {findings.sentence()}: what a run needs of it is made again "
                "(or take it over as it is: interneuron restore --trust)",
                file=sys.stderr,
            )

    def save(self) -> None:
        """Keep what made each result: see `provenance.save`."""
        try:
            provenance.save(Path.cwd(), self.code.known())
        except (InputError, OSError) as error:
            print(f"error: what made the results was not kept: {error}", file=sys.stderr)

    @staticmethod
    def one_of(names: Iterable[str]) -> str:
        """A regular expression that matches just these names."""
        return "|".join(map(re.escape, names)) or "(?!)"

    @staticmethod
    def memory(mb: int) -> Callable[..., int]:
        """`mb` megabytes, as often as the job was tried."""
        return lambda wildcards, attempt: mb * attempt

    @staticmethod
    def runtime(minutes: int) -> Callable[..., int]:
        """`minutes` minutes, as often as the job was tried."""
        return lambda wildcards, attempt: minutes * attempt

    def gpu(self, wildcards: Any) -> int:
        """GPUs that a model of networks with penalties is trained on."""
        return int(getattr(self.project.models[wildcards.model], "device", "cpu") == "cuda")

    def _coded(self, step: str, settings: dict[str, Any], names: Iterable[str] = ()) -> dict[str, Any]:
        """A job's one dict of params: what its script is told, and the fingerprint of the code that it is told to."""
        environment = {"lock": self.lock} if self.project.config.strict else {}
        return settings | environment | {"code": self.code.of(step, strings(settings) | set(names))}

    def everything(self, rules: Iterable[Any]) -> list[str]:
        """All files that the rules make for the config."""
        from snakemake.io import apply_wildcards

        return [apply_wildcards(file, job) for rule in rules for job in self.jobs(rule.name) for file in rule.output]

    def jobs(self, rule: str) -> list[dict[str, str]]:
        """Wildcards of all jobs of a rule that the config asks for."""
        project = self.project
        if rule in ("download", "pack", "blob"):
            return [
                {"dataset": name, "file": file.path}
                for name in self.sources(rule)
                for file in self._sources[name].files
            ]
        if rule in ("prepare", "tabulate", "link"):
            return [{"dataset": name} for name in self.datasets(rule)]
        if rule in ("train", "fit", "classifier", "convert", "shape", "regularise"):
            return [
                {"model": name, "block": block}
                for name in self.models(rule)
                for block in self.blocks(project.models[name])
            ]
        if rule == "weigh":
            return [{"model": name} for name in self.weighing()]
        if rule == "figures":
            return [
                {"study": name, "figure": figure} for name, study in project.studies.items() for figure in study.figures
            ]
        if rule in ("claims", "report"):
            return [{}]
        return [
            {"study": name, "block": block}
            for name, study in project.studies.items()
            if rule in study.steps()
            for block in self.blocks(project.owner(name))
        ]

    def check_settings(self, settings: Any) -> None:
        """Say so, in one sentence, where a run lacks the settings of profiles/default, which reruns count on."""
        triggers = {str(trigger) for trigger in settings.rerun_triggers}
        if "code" in triggers or "params" not in triggers or settings.max_checksum_file_size < LARGE:
            print(
                "warning: this run lacks the settings of profiles/default (--profile none, or another folder?), so it "
                "may make things anew that are there: add --workflow-profile profiles/default",
                file=sys.stderr,
            )

    # data and models

    def datasets(self, step: str) -> list[str]:
        """Names of the datasets that a step reads."""
        return [name for name, dataset in self.project.datasets.items() if dataset.step == step]

    def models(self, step: str) -> list[str]:
        """Names of the models that a step trains."""
        return [name for name, model in self.project.models.items() if model.step == step]

    @property
    def _sources(self) -> dict[str, entries.Files]:
        """What has published files, by name: datasets, and networks that exist."""
        models = self.project.models.items()
        return {**self.project.datasets, **{name: model for name, model in models if isinstance(model, entries.Files)}}

    def sources(self, rule: str) -> list[str]:
        """Names of what has files that a rule, `download`, `pack` or `blob`, fetches."""
        return [name for name, source in self._sources.items() if source.fetched == rule]

    def download(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("download", self._sources[wildcards.dataset].download(wildcards.file))

    def pack(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("pack", self._sources[wildcards.dataset].download(wildcards.file))

    def blob(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("blob", self._sources[wildcards.dataset].download(wildcards.file))

    def published(self) -> Iterable[tuple[str, str, dict[str, Any]]]:
        """Path and SHA-256 (or how it begins) of files that others publish, and Snakemake's record of fetching them."""
        for rule in ("download", "pack"):
            for job in self.jobs(rule):
                (file,) = (file for file in self._sources[job["dataset"]].files if file.path == job["file"])
                name = f"{job['dataset']}/{file.path}"
                settings = getattr(self, rule)(SimpleNamespace(**job))
                made = {"rule": rule, "input": [], "log": [f"logs/{rule}/{name}.log"], "params": [repr(settings)]}
                yield f"data/raw/{name}", file.hash, made | {"record_format_version": 6}

    def raw_files(self, wildcards: Any) -> list[str]:
        name = getattr(wildcards, "dataset", None) or wildcards.model
        return [f"data/raw/{name}/{file.path}" for file in self._sources[name].files]

    def prepare(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("prepare", self.project.datasets[wildcards.dataset].settings("prepare"))

    def tabulate(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("tabulate", self.project.datasets[wildcards.dataset].settings("tabulate"))

    def link(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("link", self.project.datasets[wildcards.dataset].settings("link"))

    def training_data(self, wildcards: Any) -> str:
        return f"data/prepared/{self.project.models[wildcards.model].dataset}.safetensors"

    def train(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("train", self.project.models[wildcards.model].settings("train"))

    def fit(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("fit", self.project.models[wildcards.model].settings("fit"))

    def classifier(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("classifier", self.project.models[wildcards.model].settings("classifier"))

    def convert(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("convert", self.project.models[wildcards.model].settings("convert"))

    def shape(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("shape", self.project.models[wildcards.model].settings("shape"))

    def regularise(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("regularise", self.project.models[wildcards.model].settings("regularise"))

    def weighing(self) -> list[str]:
        """Names of the models that choose weights on samples held out."""
        return [name for name, model in self.project.models.items() if getattr(model, "hold_out", None) is not None]

    def weigh(self, wildcards: Any) -> dict[str, Any]:
        return self._coded("weigh", self.project.models[wildcards.model].settings("weigh"))

    def choice(self, wildcards: Any) -> str | list[str]:
        """The chosen weights, of a model that chooses."""
        return f"results/models/{wildcards.model}/choice.parquet" if wildcards.model in self.weighing() else []

    # studies

    def blocks(self, owner: entries.Study | entries.Model) -> list[str]:
        """Names of the blocks of what says seeds: a model, or a study."""
        assert owner.seeds is not None  # a study is no owner without them
        assert owner.block is not None
        return [block_name(first, owner.block) for first in range(0, owner.seeds, owner.block)]

    def weights(self, wildcards: Any) -> str:
        name = self.project.studies[wildcards.study].model
        assert name is not None  # a study without a model has no step that reads weights
        model = self.project.models[name]
        block = self.blocks(model)[0] if model.step == "convert" else wildcards.block
        return self._made(wildcards.study, block, "weights.safetensors", "runs.safetensors")

    def network(self, wildcards: Any) -> str:
        """Weights of the first block of the study's model, whatever the study's own seeds are."""
        model = self.project.studies[wildcards.study].model
        assert model is not None  # the config is refused where such a study has none
        return f"results/models/{model}/{self.blocks(self.project.models[model])[0]}/weights.safetensors"

    def training(self, wildcards: Any) -> str:
        return self._made(wildcards.study, wildcards.block, "training.parquet", "runs.parquet")

    def _made(self, study: str, block: str, usual: str, of_runs: str) -> str:
        """What the training of a study's model makes: files of their own where it trains several runs a seed."""
        model = self.project.studies[study].model
        assert model is not None  # asked for studies with a model only
        several = self.project.models[model].step == "regularise"
        return f"results/models/{model}/{block}/{of_runs if several else usual}"

    def data(self, wildcards: Any) -> str:
        return f"data/prepared/{self.project.dataset_of(wildcards.study)}.safetensors"

    def _judge_folder(self, study: str) -> str:
        judge = self.project.studies[study].judge
        assert judge is not None  # the config is refused where lesions have no judge
        return f"results/models/{judge}/{self.blocks(self.project.models[judge])[0]}"

    def effects(self, wildcards: Any) -> str | list[str]:
        """The effects, if the clusters of some reading are made of them."""
        cluster = self.project.studies[wildcards.study].cluster
        needed = cluster is not None and any(reading.reading == "B" for reading in cluster.readings)
        return f"results/studies/{wildcards.study}/{wildcards.block}/ace.safetensors" if needed else []

    def judge(self, wildcards: Any) -> str:
        return f"{self._judge_folder(wildcards.study)}/weights.safetensors"

    def judge_training(self, wildcards: Any) -> str:
        return f"{self._judge_folder(wildcards.study)}/training.parquet"

    def features(self, wildcards: Any) -> str | list[str]:
        """A network's features of the samples, if the study has them."""
        made = "features" in self.project.studies[wildcards.study].steps()
        return f"results/studies/{wildcards.study}/{wildcards.block}/{FILES['features']}" if made else []

    def attacks(self, wildcards: Any) -> str | list[str]:
        """Adversarial images, if the study has them."""
        made = "attack" in self.project.studies[wildcards.study].steps()
        return f"results/studies/{wildcards.study}/{wildcards.block}/{FILES['attacks']}" if made else []

    def evaluated(self, wildcards: Any) -> dict[str, Any]:
        """What the metrics of a study are made from, by its kind; of features where its graphs are."""
        outside = {"data": self.data, "training": self.training, "judge": self.judge_training}
        folder = f"results/studies/{wildcards.study}/{wildcards.block}"
        study = self.project.studies[wildcards.study]
        reads = KINDS[study.kind].reads + (("features",) if study.features is not None else ())
        return {
            name: outside[name](wildcards) if name in outside else f"{folder}/{FILES[name]}"
            for name in dict.fromkeys(reads)
        }

    def step(self, name: str) -> Callable[[Any], dict[str, Any]]:
        """Params of a study's step: its own section of the entry, and the fingerprint of its script."""

        def settings(wildcards: Any) -> dict[str, Any]:
            study = self.project.studies[wildcards.study]
            models = study.models() if name in JUDGED else study.models()[:1]
            named = strings([self.project.models[model].settings() for model in models])
            return self._coded(name, study.settings(name), named)

        return settings

    def embedded(self, wildcards: Any) -> dict[str, Any]:
        """Params of the step `features`: its section, and whether selections are tested in its features."""
        study = self.project.studies[wildcards.study]
        return self.step("features")(wildcards) | {"tested": study.choose is not None}

    def structure(self, wildcards: Any) -> dict[str, Any]:
        """Params of the step `structure`: its section, and the parts of the data that the model was trained on."""
        parts = getattr(self.project.owner(wildcards.study), "parts", [])
        return self.step("structure")(wildcards) | {"parts": [part.model_dump(mode="json") for part in parts]}

    def _study_files(self, study: str, name: str) -> list[str]:
        if MAKER[name] not in self.project.studies[study].steps():
            return []  # such as the metrics of a study without the section `evaluate`
        blocks = self.blocks(self.project.owner(study))
        return [f"results/studies/{study}/{block}/{FILES[name]}" for block in blocks]

    def figure_inputs(self, wildcards: Any) -> dict[str, Any]:
        study = self.project.studies[wildcards.study]
        inputs: dict[str, Any] = {}
        if study.model is not None and self.project.models[study.model].step != "convert":
            blocks = self.blocks(self.project.models[study.model])
            inputs["training"] = [
                self._made(wildcards.study, block, "training.parquet", "runs.parquet") for block in blocks
            ]
        for name in KINDS[study.kind].figures[wildcards.figure]:
            inputs[name] = self.data(wildcards) if name == "data" else self._study_files(wildcards.study, name)
        return inputs

    def figure(self, wildcards: Any) -> dict[str, Any]:
        study = self.project.studies[wildcards.study]
        settings: dict[str, Any] = {"figure": Path(wildcards.figure).stem}
        if study.activations is not None:
            settings["digit"] = study.activations.digits[0]
        if isinstance(study.evaluate, Evaluate):
            settings |= {"active_above": study.evaluate.active_above, "fail_below": study.evaluate.fail_below}
        if settings["figure"] == "clusters":
            settings["reported"] = reported_clusters(study)
        if (main := getattr(study.evaluate, "main", None)) is not None:
            settings["main"] = main.model_dump(mode="json")
        if study.kind != "neurons":
            own = [claim for claim in study.claims if claim.by == study.paper and not claim.not_comparable]
            settings["claims"] = [
                claim.test() | {"holds_if": claim.holds_if, "reported": claim.reported} for claim in own
            ]
        if isinstance(study.evaluate, EvaluateBoundaries | EvaluateAttacks) and study.influence is not None:
            settings["function"] = study.influence.functions[0].key
        return self._coded("figures", settings, {wildcards.figure})

    # ledger and report

    def all_metrics(self, wildcards: Any) -> list[str]:
        return [path for study in self.project.studies for path in self._study_files(study, "metrics")]

    def all_figures(self, wildcards: Any) -> list[str]:
        return [path for study in self.project.studies for path in self._figures(study)]

    def _figures(self, study: str) -> list[str]:
        return [f"results/studies/{study}/figures/{figure}" for figure in self.project.studies[study].figures]

    def claims(self, wildcards: Any) -> dict[str, Any]:
        studies = {
            name: {
                "metrics": self._study_files(name, "metrics"),
                "claims": study.stated(),
                "code": code_of(self.project, name, self.code),
            }
            for name, study in self.project.studies.items()
        }
        return self._coded("claims", {"studies": studies})

    def report(self, wildcards: Any) -> dict[str, Any]:
        studies = {
            name: {
                "title": study.title,
                "paper": study.paper,
                "section": study.section,
                "summary": study.summary,
                "figures": self._figures(name),
                "parameters": self.project.parameters(name),
            }
            for name, study in self.project.studies.items()
        }
        return self._coded("report", {"title": self.project.config.title, "studies": studies})


def reported_clusters(study: entries.Study) -> list[dict[str, Any]]:
    """The paper's range of the numbers of clusters by reading, as the study's claims have it."""
    ends: dict[str, dict[str, float]] = {"low": {}, "high": {}}
    for claim in study.claims:
        for end, metric in (("low", "plateau_clusters_min"), ("high", "plateau_clusters_max")):
            if claim.metric == metric and "reading" in claim.where and claim.reported.isdecimal():
                ends[end][str(claim.where["reading"])] = float(claim.reported)
    return [
        {"reading": reading, "low": low, "high": ends["high"][reading]}
        for reading, low in ends["low"].items()
        if reading in ends["high"]
    ]
