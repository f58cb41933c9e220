"""Entries of studies: a path through the chain, and what a paper claims of it."""

from collections.abc import Set
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from interneuron.errors import InputError
from interneuron.workflow.config.active import Active, Embed, EvaluateActive
from interneuron.workflow.config.fields import Count, Entry, Name, Text, once
from interneuron.workflow.config.graphs import EvaluateInfluence, Graph, Influence, Samples
from interneuron.workflow.config.kinds import KINDS, STEPS
from interneuron.workflow.config.margin import Audit, Choose, EvaluateLabels, EvaluatePrototypes
from interneuron.workflow.config.networks import Attack, EvaluateAttacks, EvaluateBoundaries, Features
from interneuron.workflow.config.neurons import Ace, Activations, Cluster, Evaluate, Lesion
from interneuron.workflow.config.regions import EvaluateRegions, Regions
from interneuron.workflow.config.saliency import EvaluateSaliency, Saliency
from interneuron.workflow.config.structured import EvaluateStructure, Structure
from interneuron.workflow.refusals import MISSING, RefusedError, listed, shown

Figure = Literal[
    "alignment.png",
    "attacks.png",
    "borders.png",
    "class-maps.png",
    "classes.png",
    "clusters.png",
    "components.png",
    "criticisms.png",
    "effects.png",
    "errors.png",
    "gallery.png",
    "histograms.png",
    "importance.png",
    "inspection.png",
    "judged.png",
    "kl.png",
    "labels.png",
    "layers.png",
    "lesions.png",
    "merging.png",
    "modules.png",
    "null.png",
    "overlays.png",
    "preference.png",
    "prototypes.png",
    "pseudotime.png",
    "published.png",
    "recall.png",
    "reconstruction.png",
    "regions.png",
    "ring.png",
    "sizes.png",
    "supernodes.png",
    "suspects.png",
    "traversal.gif",
    "traversal.png",
    "variants.png",
]


# The section `evaluate` of each kind of study.
Evaluations = Annotated[
    Evaluate
    | EvaluateRegions
    | EvaluatePrototypes
    | EvaluateLabels
    | EvaluateAttacks
    | EvaluateBoundaries
    | EvaluateActive
    | EvaluateSaliency
    | EvaluateStructure
    | EvaluateInfluence,
    Field(discriminator="kind"),
]


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Says = Literal["paper", "control", "question"]
OURS = "interneuron"  # the source of what no paper states


class Claim(Entry):
    """One statement or number of a paper, or of ours, and how it is tested."""

    id: Name = Field(description="Its name in the ledger.", examples=["T1-one-active-latent"])
    says: Says | None = Field(
        default=None,
        description="Who says it: the paper, or we, as a control of a statement or as a question of our own; if left "
        "out, `question` where the source is `interneuron`, else the study's.",
    )
    statement: Name | None = Field(
        default=None,
        description="The source's statement that it tests: the same name in every study and reading where that is "
        "tested; if left out, its group or its id.",
        examples=["T6-clusters"],
    )
    reading: Text | None = Field(
        default=None,
        description="What it takes for what the source leaves open; if left out, the study's.",
        examples=["3 draws"],
    )
    group: Name | None = Field(default=None, description="Common name of claims that are one statement together.")
    source: Text = Field(
        description="Where it is said: the paper's name, a comma, the place; `interneuron` for what we ask.",
        examples=["hui2022, section 3.1"],
    )
    states: Text = Field(description="What it says.")
    metric: Text | None = Field(default=None, description="Column of the study's metrics.", examples=["clusters"])
    where: dict[Text, str | int | float] = Field(
        default_factory=dict, description="Rows of the metrics that count.", examples=[{"level": "latent", "alpha": 3}]
    )
    among: Text | None = Field(default=None, description="Column that must be true for a seed to count.")
    reported: Annotated[str, BeforeValidator(_text_of_number)] = Field(
        description="The paper's number.", examples=["5 to 11", 3]
    )
    holds_if: Text | None = Field(
        default=None,
        description="`STAT OP NUMBER` or `STAT in [a, b]`, STAT one of median, mean, share, min, max. If left out, "
        "`reported` is a number read off one run, and is looked for in the range of the seeds.",
        examples=["median == 3", "share >= 0.9", "median in [5, 11]"],
    )
    not_comparable: Text | None = Field(default=None, description="Why it cannot be compared: then it gets no verdict.")
    why: Text | None = Field(
        default=None, description="Why a failing statement fails, as far as we know: one line, by a person."
    )

    @model_validator(mode="after")
    def _tested(self) -> "Claim":
        if self.not_comparable is None:
            if self.metric is None:
                raise RefusedError("metric", MISSING, "a value, unless not_comparable says why it has none")
            if self.holds_if is None and not _is_number(self.reported):
                raise RefusedError("holds_if", MISSING, "a condition, unless reported is a number of one run")
        if self.says == "paper" and self.by == OURS:
            raise RefusedError("says", "paper", f"control or question, since the source is {OURS}")
        if self.holds_if is not None:
            from interneuron.claims import parse

            try:
                parse(self.holds_if)
            except InputError as error:
                raise RefusedError("holds_if", self.holds_if, str(error).partition("it takes ")[2]) from None
        return self

    @property
    def by(self) -> str:
        """Who says it, by the source's name."""
        return self.source.partition(",")[0].strip()

    def test(self) -> dict[str, Any]:
        """What decides the values of its row of the ledger; the verdict on them is given anew whenever that changes."""
        return self.model_dump(mode="json", include={"id", "metric", "where", "among"})


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


# Keys that are said once and taken over: (step, key, step that it is taken from).
TAKEN = (
    ("ace", "alphas", "activations"),
    ("ace", "digits", "activations"),
    ("evaluate", "active_above", "activations"),
    ("evaluate", "fail_below", "lesion"),
    ("audit", "flip", "influence"),
    ("evaluate", "counts", "choose"),
)


def _kind(sections: Set[str]) -> str:
    """Name of the kind of a study that has these sections."""
    return next((name for name, kind in KINDS.items() if not sections.isdisjoint(kind.sections)), "neurons")


class Study(Entry):
    """A path through the chain, and what a paper claims of it."""

    based_on: Name | None = Field(
        default=None, description="A study whose keys are taken where this entry does not give them (lists as a whole)."
    )
    title: Text = Field(description="Heading in the report.")
    paper: Text = Field(description="The paper.", examples=["hui2022"])
    section: Text | None = Field(default=None, description="Part of the paper.")
    says: Says = Field(
        default="paper",
        description="Who says its claims, unless they say so: `question` where a paper's statements are asked of other "
        "data or networks than the paper's.",
    )
    reading: Text | None = Field(
        default=None, description="What it takes for what the paper leaves open.", examples=["tf-idf"]
    )
    summary: Text = Field(description="What is asked and done, for the report.")
    model: Name | None = Field(
        default=None, description="The network, by the name of its file in `config/models/`.", examples=["vae-mnist"]
    )
    judge: Name | None = Field(default=None, description="The classifier that judges images, in `config/models/`.")
    dataset: Name | None = Field(
        default=None,
        description="The dataset, by the name of its file in `config/datasets/`; the model's, if left out.",
        examples=["usps"],
    )
    seeds: Count | None = Field(
        default=None,
        description="Seeds in all: 0, 1, ...; a multiple of `block`. Only without a model, or of samples.",
    )
    block: Count | None = Field(default=None, description="Seeds of one job; as `seeds`.")
    activations: Activations | None = Field(default=None, description="Step `activations`.")
    ace: Ace | None = Field(default=None, description="Step `ace`.")
    cluster: Cluster | None = Field(default=None, description="Step `cluster`.")
    lesion: Lesion | None = Field(default=None, description="Step `lesion`.")
    regions: Regions | None = Field(default=None, description="Step `regions`; it makes the study one of regions.")
    structure: Structure | None = Field(
        default=None, description="Step `structure`; it makes the study one of graph spectral regularization."
    )
    attack: Attack | None = Field(default=None, description="Step `attack`; it makes the study one of attacks.")
    features: Features | None = Field(
        default=None, description="Step `features`, of the study's model on the study's dataset."
    )
    graph: Graph | None = Field(default=None, description="Step `graph`.")
    influence: Influence | None = Field(default=None, description="Step `influence`.")
    choose: Choose | None = Field(
        default=None, description="Step `choose`; it makes the study one of prototypes and criticisms."
    )
    audit: Audit | None = Field(default=None, description="Step `audit`; it makes the study one of wrong labels.")
    embed: Embed | None = Field(default=None, description="Step `embed`.")
    active: Active | None = Field(default=None, description="Step `active`; it makes the study one of active learning.")
    saliency: Saliency | None = Field(default=None, description="Step `saliency`; it makes the study one of saliency.")
    evaluate: Evaluations | None = Field(default=None, description="Step `evaluate`.")
    figures: Annotated[list[Figure], AfterValidator(once)] = Field(
        default_factory=list, description="Pictures, in the report's order.", examples=[["kl.png", "traversal.gif"]]
    )
    claims: list[Claim] = Field(default_factory=list, description="What the paper states.")

    @model_validator(mode="before")
    @classmethod
    def _take_over(cls, data: Any) -> Any:
        """Values that two steps must share are written in one of them."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(evaluate := data.get("evaluate"), dict):
            kind = _kind({key for key, value in data.items() if value is not None})
            if evaluate.get("kind", kind) != kind:
                raise RefusedError("evaluate.kind", evaluate["kind"], f"{kind!r}, as the study's sections say")
            data["evaluate"] = {**evaluate, "kind": kind}
        for step, key, source in TAKEN:
            there, here = data.get(source), data.get(step)
            if isinstance(there, dict) and isinstance(here, dict) and key in there:
                data[step] = {key: there[key], **here}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        self._check_owner()
        for step in self.steps():
            if step not in (takes := KINDS[self.kind].takes()):
                raise RefusedError(step, "given", f"no section in a study of {self.kind}, which has {listed(takes)}")
            needed = KINDS[self.kind].steps() if step == "evaluate" else STEPS[step].needs
            for other in needed:
                if getattr(self, other) is None:
                    raise RefusedError(other, MISSING, f"a section, since {step} reads it")
        if self.influence is not None and "features" not in self.steps():
            for key, function in self.influence.needs_features():
                raise RefusedError(f"influence.{key}", function, "a function of the data, since there are no features")
        if self.features is not None and self.model is None:
            raise RefusedError("model", MISSING, "a network, since features are of one")
        for index, figure in enumerate(self.figures):
            if figure not in KINDS[self.kind].figures:
                raise RefusedError(f"figures.{index}", figure, f"a figure of a study of {self.kind}")
        if self.lesion is not None and self.judge is None:
            raise RefusedError("judge", MISSING, "a model, since it judges the images of lesion")
        for key in ("figures", "claims"):
            if getattr(self, key) and self.evaluate is None:
                raise RefusedError("evaluate", MISSING, f"a section, since {key} read it")
        for step, key, source in TAKEN:
            if (here := getattr(self, step)) is not None and (there := getattr(self, source)) is not None:
                got, wanted = getattr(here, key), getattr(there, key)
                if key == "digits" and set(got) >= set(wanted):
                    continue
                if got != wanted:
                    raise RefusedError(f"{step}.{key}", got, f"the same as {source}.{key}, which is {shown(wanted)}")
        self._check_draws()
        ids = [claim.id for claim in self.claims]
        for index, name in enumerate(ids):
            if name in ids[:index]:
                raise RefusedError(f"claims.{index}.id", name, "a name that no other claim of the study has")
        return self

    def _check_owner(self) -> None:
        """Seeds come from the model that is trained, or from the study itself."""
        if self.model is None and KINDS[self.kind].architectures:
            takes = f"a model of architecture {listed(KINDS[self.kind].architectures, ' or ')}"
            raise RefusedError("model", MISSING, takes)
        for key in ("dataset", "seeds", "block"):
            if self.model is None and getattr(self, key) is None:
                raise RefusedError(key, MISSING, "a value, since the study has no model")
        if KINDS[self.kind].samples and self.seeds is None:
            raise RefusedError("seeds", MISSING, "a number of samples, since a seed of the study is a sample")
        if (self.seeds is None) != (self.block is None):
            raise RefusedError("block" if self.block is None else "seeds", MISSING, "a value beside the other of them")
        if self.seeds is not None and self.block is not None and self.seeds % self.block:
            raise RefusedError("seeds", self.seeds, f"a multiple of block, which is {self.block}")

    def _check_draws(self) -> None:
        if self.cluster is None or self.activations is None:
            return
        for index, reading in enumerate(self.cluster.readings):
            most = self.activations.draws
            if reading.draws is not None and reading.draws > most:
                raise RefusedError(
                    f"cluster.readings.{index}.draws", reading.draws, f"at most activations.draws, {most}"
                )

    def stated(self) -> list[dict[str, Any]]:
        """Its claims, with all that they take from it."""
        return [
            claim.model_dump(mode="json")
            | {
                "says": claim.says or ("question" if claim.by == OURS else self.says),
                "statement": claim.statement or claim.group or claim.id,
                "reading": claim.reading or self.reading,
            }
            for claim in self.claims
        ]

    @property
    def kind(self) -> str:
        """What it is about, by the name of its kind (`KINDS`)."""
        return _kind({step for step in STEPS if getattr(self, step) is not None})

    def models(self) -> list[str]:
        """Names of its models, the one that is studied first."""
        return [name for name in (self.model, self.judge) if name is not None]

    def steps(self) -> list[str]:
        """The steps that it uses."""
        return [step for step in STEPS if getattr(self, step) is not None]

    @property
    def samples_key(self) -> str:
        """The key that says which samples are nodes: those that are attacked, those with features, or the graph's."""
        return f"{next((step for step in ('attack', 'features') if getattr(self, step) is not None), 'graph')}.samples"

    @property
    def samples(self) -> Samples | None:
        """The samples that are nodes, in all of its steps; None where it has no graph of samples."""
        section = getattr(self, self.samples_key.partition(".")[0])
        return None if section is None else section.samples or Samples()

    def settings(self, step: str) -> dict[str, Any]:
        """What a step gets."""
        values: dict[str, Any] = getattr(self, step).model_dump(mode="json")
        if step in ("features", "graph") and self.samples is not None:
            values["samples"] = self.samples.model_dump(mode="json")
        return values
