"""The config: what each kind of entry may say, and how entries are read and checked.

These models are the source; `interneuron docs` writes the JSON schemas and the tables of `config/README.md` from them.
Whatever cannot be used is refused before any job starts, in one sentence: file, key, what it got, what it takes.
"""

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from interneuron.errors import InputError
from interneuron.workflow.fingerprint import strings
from interneuron.workflow.refusals import (
    MISSING,
    WORDS,
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


def _sorted_once(values: list[Any]) -> list[Any]:
    if sorted(set(values)) != values:
        raise ValueError("values in rising order, each once")
    return values


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values


def _relative(path: str) -> str:
    if path.startswith("/") or "\\" in path or not set(path.split("/")).isdisjoint({"", ".", ".."}):
        raise ValueError("a relative path without '..'")
    return path


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


_NAME, _SHA256, _PREFIX, _URL = WORDS

Name = Annotated[str, Field(pattern=_NAME)]
Text = Annotated[str, Field(min_length=1)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_relative)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Index = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Alphas = Annotated[list[Finite], Field(min_length=1), AfterValidator(_sorted_once)]
Digits = Annotated[list[Index], Field(min_length=1), AfterValidator(_sorted_once)]
Figure = Literal[
    "borders.png",
    "classes.png",
    "clusters.png",
    "effects.png",
    "importance.png",
    "kl.png",
    "layers.png",
    "lesions.png",
    "merging.png",
    "null.png",
    "preference.png",
    "published.png",
    "regions.png",
    "sizes.png",
    "traversal.gif",
    "traversal.png",
]
Latents = Annotated[list[Index], Field(min_length=1), AfterValidator(_once)]


class Entry(BaseModel):
    """A part of the config: unknown keys are refused, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Config(Entry):
    """What to run."""

    title: Text = Field(default="Interneuron", description="Title of the report.")
    studies: Annotated[list[Name], Field(min_length=1), AfterValidator(_once)] = Field(
        description="Studies to run, by the names of their files in `config/studies/`.", examples=[["thesis-digits"]]
    )
    strict: bool = Field(
        default=False,
        description="Whether results made under another `requirements.lock` are made anew. It is recorded with every "
        "result in any case.",
    )


# datasets


class DatasetFile(Entry):
    """One published file."""

    path: RelativePath = Field(
        description="Its name under `data/raw/{dataset}/`, and in a mirror.", examples=["train-images-idx3-ubyte.gz"]
    )
    sha256: Annotated[str, Field(pattern=_SHA256)] | None = Field(default=None, description="SHA-256 of its bytes.")
    sha256_prefix: Annotated[str, Field(pattern=_PREFIX)] | None = Field(
        default=None, description="Beginning of its SHA-256, where only that is published."
    )
    bytes: Count | None = Field(default=None, description="Its size.")
    urls: list[Annotated[str, Field(pattern=_URL)]] = Field(
        default_factory=list,
        description="Where it can be had, tried in order. `package:PATH` is a file inside an installed package.",
        examples=[["package:sklearn/datasets/data/digits.csv.gz"]],
    )

    @model_validator(mode="after")
    def _one_hash(self) -> "DatasetFile":
        if (self.sha256 is None) == (self.sha256_prefix is None):
            got = MISSING if self.sha256 is None else self.sha256
            raise RefusedError("sha256", got, "a hash where sha256_prefix is not given, and only there")
        return self


class IdxFiles(Entry):
    """One split of a dataset in the idx format."""

    images: RelativePath = Field(description="File of the images.", examples=["train-images-idx3-ubyte.gz"])
    labels: RelativePath = Field(description="File of the labels.", examples=["train-labels-idx1-ubyte.gz"])


class IdxReader(Entry):
    """Images and labels in the idx format of MNIST, with a split of their own."""

    reader: Literal["idx"] = Field(description="The format: `idx`.")
    train: IdxFiles = Field(description="The training split.")
    test: IdxFiles = Field(description="The test split.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[10])

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        splits = {"train": self.train, "test": self.test}
        return {f"{name}.{key}": getattr(split, key) for name, split in splits.items() for key in ("images", "labels")}

    def feature_names(self) -> list[str]:
        """Names of the features: images have none."""
        return []


class DigitsReader(Entry):
    """scikit-learn's handwritten digits: one row an image, the class last."""

    reader: Literal["digits"] = Field(description="The format: `digits`.")
    file: RelativePath = Field(description="The file.", examples=["digits.csv.gz"])
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.2, description="Share of each class to test on.")
    split_seed: Index = Field(default=0, description="Seed of the split.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[10])

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def feature_names(self) -> list[str]:
        """Names of the features: images have none."""
        return []


Assignment = Annotated[dict[Text, int | Finite], Field(min_length=1)]


class BooleanReader(Entry):
    """Generated: independent features of 0 or 1 with probability 1/2, and a Boolean function of them."""

    reader: Literal["boolean"] = Field(description="No format, but a generator: `boolean`.")
    samples: Count = Field(description="Number of samples.", examples=[100000])
    features: Count = Field(description="Number of features: `v1`, `v2`, ...", examples=[10])
    terms: Annotated[list[Assignment], Field(min_length=1)] = Field(
        description="The class is 1 where all features of any of the terms have its values, 0 or 1.",
        examples=[[{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]],
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.2, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the samples and of the split.")
    classes: Literal[2] = Field(default=2, description="Number of classes.")

    @model_validator(mode="after")
    def _terms(self) -> "BooleanReader":
        names = self.feature_names()
        for index, term in enumerate(self.terms):
            if not term.keys() <= set(names) or not set(term.values()) <= {0, 1}:
                raise RefusedError(f"terms.{index}", term, f"values 0 or 1 of v1 to {names[-1]}")
        return self

    def names(self) -> dict[str, str]:
        """The files that it reads, by key: none."""
        return {}

    def feature_names(self) -> list[str]:
        """Names of the features."""
        return [f"v{number + 1}" for number in range(self.features)]


class TitanicReader(Entry):
    """Kaggle's Titanic passengers, cleaned as in the code of Picchiotti and Gori: seven features, two classes."""

    reader: Literal["titanic"] = Field(description="The format: `titanic`.")
    file: RelativePath = Field(description="The file.", examples=["train.csv"])
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.1, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the split.")
    classes: Literal[2] = Field(default=2, description="Number of classes.")

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def feature_names(self) -> list[str]:
        """Names of the features."""
        from interneuron.data import TITANIC

        return list(TITANIC)


class Dataset(Entry):
    """Where a dataset's bytes come from, and how they are read."""

    title: Text = Field(description="What it is, in a few words.")
    description: Text | None = Field(default=None, description="What there is to know about it.")
    licence: Text | None = Field(default=None, description="Its licence or terms, as far as stated.")
    source: Text | None = Field(default=None, description="Who made it: a reference or an address.")
    files: list[DatasetFile] = Field(
        default_factory=list, description="The files, each with its hash; none where the data are generated."
    )
    mirror: Name | None = Field(
        default=None, description="The files' folder in a mirror (`INTERNEURON_MIRROR`).", examples=["mnist"]
    )
    prepare: IdxReader | DigitsReader | BooleanReader | TitanicReader = Field(
        discriminator="reader", description="How the files are read, or the data generated."
    )

    @model_validator(mode="after")
    def _files(self) -> "Dataset":
        paths = [file.path for file in self.files]
        if bool(paths) != bool(self.prepare.names()):
            takes = f"none for the reader {self.prepare.reader}" if paths else "at least one file"
            raise RefusedError("files", paths or MISSING, takes)
        if (self.mirror is None) == bool(paths):
            raise RefusedError(
                "mirror", self.mirror or MISSING, "the name of a folder" if paths else "none without files"
            )
        for index, path in enumerate(paths):
            if path in paths[:index]:
                raise RefusedError(f"files.{index}.path", path, "a path that no other file of the dataset has")
        for key, name in self.prepare.names().items():
            if name not in paths:
                raise RefusedError(f"prepare.{key}", name, "one of its files, " + listed(paths))
        return self

    @property
    def step(self) -> str:
        """The step that reads it: `prepare` images, `tabulate` tables."""
        return "tabulate" if isinstance(self.prepare, BooleanReader | TitanicReader) else "prepare"

    def settings(self, step: str, file: str | None = None) -> dict[str, Any]:
        """What `download` (of one `file`), or the step that reads it, gets."""
        if step != "download":
            return self.prepare.model_dump(mode="json")
        files = [entry for entry in self.files if file in (None, entry.path)]
        return {"files": [entry.model_dump(mode="json", exclude_none=True) for entry in files], "mirror": self.mirror}


# models


class ConditionalVAEArguments(Entry):
    """Shape of a conditional variational autoencoder; pixels and classes come from the data."""

    latents: Count = Field(description="Number of latents.", examples=[10])
    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the encoder's hidden layers, in order; the decoder has them in reverse.",
        examples=[[512, 256, 128]],
    )


class ConditionalBetaVAELoss(Entry):
    """Weights of the loss `reconstruction_weight (BCE + beta KL) + class_weight CE`."""

    beta: NotNegative = Field(default=10.0, description="Weight of the KL divergence beside the reconstruction.")
    reconstruction_weight: Positive = Field(default=10.0, description="Weight of reconstruction and KL together.")
    class_weight: NotNegative = Field(default=1.0, description="Weight of the classifier's cross-entropy.")


class JudgeArguments(Entry):
    """Shape of the judge; height, width and classes come from the data."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[8, 16], description="Channels of each convolution."
    )
    strides: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[2, 2], description="Stride of each convolution."
    )
    kernel: Count = Field(default=5, description="Side of the convolutions' square kernel, odd.")
    hidden: Count = Field(default=64, description="Units of the linear layer before the classes.")

    @model_validator(mode="after")
    def _shapes(self) -> "JudgeArguments":
        if len(self.strides) != len(self.channels):
            raise RefusedError("strides", self.strides, f"one stride for each of the {len(self.channels)} channels")
        if self.kernel % 2 == 0:
            raise RefusedError("kernel", self.kernel, "an odd number")
        return self


class CrossEntropyLoss(Entry):
    """Cross-entropy has no arguments."""


_DESCRIPTIONS = {"arguments": "Arguments of the architecture.", "loss_arguments": "Arguments of the loss."}


class _Model(Entry):
    """What every model says."""

    title: Text = Field(description="What it is, in a few words.")
    dataset: Name = Field(description="The dataset, by the name of its file in `config/datasets/`.", examples=["mnist"])
    seeds: Count = Field(description="Seeds in all: 0, 1, ...; a multiple of `block`.", examples=[6])
    block: Count = Field(description="Seeds trained together in one job.", examples=[6])

    @model_validator(mode="after")
    def _blocks(self) -> "_Model":
        if self.seeds % self.block:
            raise RefusedError("seeds", self.seeds, f"a multiple of block, which is {self.block}")
        return self

    def settings(self, step: str = "train") -> dict[str, Any]:
        """What a block's training gets; more seeds do not change it."""
        return self.model_dump(mode="json", exclude={"title", "dataset", "seeds", "block"})

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "train"


class _Trained(_Model):
    """What networks of images say."""

    optimiser: Literal["adam"] = Field(default="adam", description="Optimiser.")
    learning_rate: Positive = Field(description="Step size.", examples=[1e-4])
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Of the step size: `constant`, or `cosine` (falls to 0 along half a cosine)."
    )
    batch: Count = Field(description="Samples in a batch.", examples=[64])
    shift: int = Field(default=0, ge=0, description="Pixels that a training image is moved by at most, at random.")
    iterations: Count = Field(description="Batches in all.", examples=[20000])
    report_every: Count = Field(default=1000, description="Iterations between two rows of `training.parquet`.")
    active_above: NotNegative = Field(default=0.1, description="KL (nats) above which the log calls a latent active.")


class VAEModel(_Trained):
    """A conditional variational autoencoder, whose decoder is studied."""

    architecture: Literal["conditional-vae"] = Field(description="The network: `conditional-vae`.")
    arguments: ConditionalVAEArguments = Field(description=_DESCRIPTIONS["arguments"])
    loss: Literal["conditional-beta-vae"] = Field(default="conditional-beta-vae", description="The loss.")
    loss_arguments: ConditionalBetaVAELoss = Field(
        default_factory=ConditionalBetaVAELoss, description=_DESCRIPTIONS["loss_arguments"]
    )


class JudgeModel(_Trained):
    """A small convolutional classifier, which judges decoded images."""

    architecture: Literal["judge"] = Field(description="The network: `judge`.")
    arguments: JudgeArguments = Field(default_factory=JudgeArguments, description=_DESCRIPTIONS["arguments"])
    loss: Literal["cross-entropy"] = Field(default="cross-entropy", description="The loss.")
    loss_arguments: CrossEntropyLoss = Field(
        default_factory=CrossEntropyLoss, description=_DESCRIPTIONS["loss_arguments"]
    )


class MLPArguments(Entry):
    """Shape of a multilayer perceptron; inputs and classes come from the data, two classes are one logit."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the hidden layers, in order.", examples=[[4, 2]]
    )


class Penalties(Entry):
    """Penalties beside the cross-entropy, as Keras has them."""

    activity: NotNegative = Field(
        default=0.0, description="Weight of the first hidden layer's activations: their sum, averaged over the batch."
    )
    kernel: NotNegative = Field(default=0.0, description="Weight of the first layer's squared weights, summed.")


class MLPModel(_Model):
    """A multilayer perceptron of ReLUs, which classifies the samples of a table, or images."""

    architecture: Literal["mlp"] = Field(description="The network: `mlp`.")
    arguments: MLPArguments = Field(description=_DESCRIPTIONS["arguments"])
    initialisation: Literal["glorot-uniform", "kaiming-normal"] = Field(
        default="glorot-uniform", description="Of the weights; biases begin at 0."
    )
    penalties: Penalties = Field(default_factory=Penalties, description="What is added to the cross-entropy.")
    learning_rate: Positive = Field(description="Adam's step size.", examples=[0.01])
    epsilon: Positive = Field(default=1e-7, description="Adam's epsilon; 1e-7 is Keras's.")
    batch: Count = Field(description="Samples in a batch.", examples=[100])
    epochs: Count = Field(description="Passes over all training samples; the last batch may be smaller.", examples=[10])
    report_every: Count = Field(default=1000, description="Iterations between two rows of `training.parquet`.")

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "fit"


Model = VAEModel | JudgeModel | MLPModel


# studies


class Activations(Entry):
    """Activations of every neuron under do(z_l = alpha, c_d = 1)."""

    alphas: Alphas = Field(description="Values that a latent is set to.", examples=[[-3, -2, -1, 0, 1, 2, 3]])
    latents: Literal["active"] | Latents = Field(
        default="active", description="Treated latents: `active` (by KL on the test split), or their indices."
    )
    active_above: NotNegative = Field(default=0.1, description="KL divergence in nats above which a latent is active.")
    digits: Digits = Field(description="Classes that are switched on, one after the other.", examples=[[5]])
    draws: Annotated[int, Field(ge=2)] = Field(default=1000, description="Draws of the other latents, for every alpha.")
    sampling: Literal["sobol", "independent"] = Field(
        default="sobol", description="Scrambled Sobol draws, or independent ones."
    )


class Ace(Entry):
    """Average causal effects of every latent and class on every neuron."""

    alphas: Alphas = Field(description="As in `activations`, which it is taken from.")
    digits: Digits = Field(description="Those of `activations`, which they are taken from, or more.")
    draws: Annotated[int, Field(ge=2)] = Field(
        default=1024, description="Interventional Sobol draws in each replicate; best a power of two."
    )
    replicates: Annotated[int, Field(ge=2)] = Field(
        default=8, description="Independent scramblings of the draws: their spread is the standard error."
    )
    published_draws: Count = Field(
        default=2, description="Fresh draws an alpha in the published code's estimate of a latent's effects."
    )
    published_class_draws: Count = Field(
        default=3, description="Fresh draws in the published code's estimate of a class's effects."
    )


class Reading(Entry):
    """Vectors whose ranks are correlated."""

    reading: Literal["activation", "A", "B", "C"] = Field(
        description="`activation`: activations over the draws; `A`: individual effects over the draws; `B`: effects of "
        "all latents; `C`: effects estimated from a few fresh draws."
    )
    draws: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="How many draws (not for `B`, which has none of its own).", examples=[1000, 3]
    )

    @model_validator(mode="after")
    def _draws(self) -> "Reading":
        if (self.draws is None) != (self.reading == "B"):
            takes = "no draws" if self.reading == "B" else "a number of draws"
            raise RefusedError(
                "draws", MISSING if self.draws is None else self.draws, f"{takes} in reading {self.reading}"
            )
        return self


class Preferences(Entry):
    """The sweep of preferences: a log grid from `low` up to the median similarity."""

    low: Annotated[float, Field(lt=0, allow_inf_nan=False)] = Field(default=-100.0, description="Lowest preference.")
    near: Positive = Field(default=0.1, description="Distance of the second preference from the median similarity.")
    count: Annotated[int, Field(ge=2)] = Field(default=16, description="Number of preferences.")


class Cluster(Entry):
    """Affinity propagation on Spearman correlations, over a sweep of preferences."""

    readings: Annotated[list[Reading], Field(min_length=1)] = Field(
        description="What is clustered, one after the other."
    )
    preferences: Preferences = Field(default_factory=Preferences, description="The sweep of preferences.")
    damping: Annotated[float, Field(ge=0.5, lt=1)] = Field(default=0.9, description="Share of a message that is kept.")
    max_iterations: Count = Field(default=1000, description="Iterations after which a run is given up.")
    convergence: Count = Field(default=50, description="Iterations without change after which a run has converged.")
    tie_noise: Positive = Field(
        default=1e-6, description="Relative noise on the similarities, which tells duplicates apart."
    )

    @model_validator(mode="after")
    def _readings(self) -> "Cluster":
        seen: list[Reading] = []
        for index, reading in enumerate(self.readings):
            if reading in seen:
                raise RefusedError(f"readings.{index}", reading.model_dump(exclude_none=True), "each reading once")
            seen.append(reading)
        return self


class Lesion(Entry):
    """Sets of neurons silenced, and the images judged."""

    images: Count = Field(default=1000, description="Decoded images of a lesion, all alphas together, at least.")
    null_sets: Count = Field(default=200, description="Random sets of the same size and layer mix.")
    null_images: Count = Field(default=100, description="Images of a random set, for every alpha.")
    fail_below: Share = Field(default=0.5, description="A lesion fails when the judge's accuracy is below this.")


class Labelling(Entry):
    """Sets of samples that regions are compared with."""

    name: Name = Field(description="Its name in the metrics.", examples=["combinations"])
    features: Annotated[list[Text], Field(min_length=1), AfterValidator(_once)] | None = Field(
        default=None, description="Each combination of their values is a set.", examples=[["v1", "v2", "v3"]]
    )
    terms: Annotated[list[Assignment], Field(min_length=1)] | None = Field(
        default=None,
        description="Each is a set, of the samples with these values; what fits none of them is one more set.",
        examples=[[{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]],
    )

    @model_validator(mode="after")
    def _one(self) -> "Labelling":
        if (self.features is None) == (self.terms is None):
            got = MISSING if self.terms is None else self.terms
            raise RefusedError("terms", got, "a value where features is not given, and only there")
        return self

    def names(self) -> list[str]:
        """The features that it reads."""
        return self.features or list(dict.fromkeys(name for term in self.terms or () for name in term))


class Merge(Entry):
    """Merging regions two by two, from all of them to one."""

    principles: Annotated[list[Literal["entropy", "orthogonality"]], Field(min_length=1), AfterValidator(_once)] = (
        Field(
            default=["entropy", "orthogonality"],
            description="Which two are merged: `entropy` (least deviation for the entropy that goes), `orthogonality` "
            "(most parallel hyperplanes). Each makes a path of its own.",
        )
    )
    maps: Literal["member", "refit"] = Field(
        default="member",
        description="A merged region's map: `member` (that of the region in it which deviates least) or `refit` (by "
        "least squares).",
    )
    keep: Share = Field(
        default=0.99, description="The least number of regions that keeps this share of the predictions is chosen."
    )
    samples: Count = Field(default=20000, description="Samples, drawn at random, on which deviations are measured.")
    groups: Annotated[int, Field(ge=2)] = Field(
        default=200,
        description="Regions at the start: more than these are first put together by k-means of their maps.",
    )
    components: Count = Field(default=50, description="Principal axes of the samples along which maps are compared.")


class Regions(Entry):
    """Regions of a perceptron: activation patterns of the samples, and the affine map on each."""

    samples: Literal["train", "test", "all"] = Field(default="train", description="Samples that make the regions.")
    labellings: list[Labelling] = Field(default_factory=list, description="What the regions are compared with.")
    profiles: dict[Name, Assignment] = Field(
        default_factory=dict,
        description="Kinds of samples that some region may consist of, by name.",
        examples=[{"third-class-males": {"Pclass": 3, "Sex": 0}}],
    )
    maps: Count = Field(default=64, description="Regions of a seed whose maps are kept: those of most support.")
    explained: Count = Field(
        default=2000,
        description="Samples, drawn at random, for distances to borders, permutations and integrated gradients.",
    )
    permutations: Count = Field(default=5, description="Permutations of each feature.")
    merge: Merge = Field(default_factory=Merge, description="How regions are merged.")

    @model_validator(mode="after")
    def _labellings(self) -> "Regions":
        names = [labelling.name for labelling in self.labellings]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RefusedError(f"labellings.{index}.name", name, "a name that no other labelling has")
        return self


class Evaluate(Entry):
    """Metrics of a study of neurons, a row a seed and thing measured."""

    kind: Literal["neurons"] = Field(default="neurons", description="Follows from the study's sections.")
    active_above: NotNegative = Field(default=0.1, description="As in `activations`, which it is taken from.")
    fail_below: Share = Field(default=0.5, description="As in `lesion`, which it is taken from.")
    moves_above: NotNegative = Field(
        default=0.05,
        description="A latent moves the image if its mean pixels differ by more than this between two alphas (rms).",
    )


class EvaluateRegions(Entry):
    """Metrics of a study of regions, a row a seed and thing measured."""

    kind: Literal["regions"] = Field(default="regions", description="Follows from the study's sections.")
    support_above: Share = Field(default=0.001, description="Support above which a region counts as supported.")
    correlated_above: Share = Field(
        default=0.5, description="Correlation of two features, sign left out, above which they are flagged."
    )
    kept: Annotated[list[Share], Field(min_length=1), AfterValidator(_sorted_once)] = Field(
        default=[0.95, 0.99], description="Shares of the predictions that merged regions shall keep."
    )


class Claim(Entry):
    """One statement of a paper, and how it is tested."""

    id: Name = Field(description="Its name in the ledger.", examples=["T1-one-active-latent"])
    group: Name | None = Field(default=None, description="Common name of claims that are one statement together.")
    source: Text = Field(description="Where the paper says it.", examples=["hui2022, section 3.1"])
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
        description="`STAT OP NUMBER` or `STAT in [a, b]`, STAT one of median, mean, share, min, max.",
        examples=["median == 3", "share >= 0.9", "median in [5, 11]"],
    )
    not_comparable: Text | None = Field(default=None, description="Why it cannot be compared: then it gets no verdict.")

    @model_validator(mode="after")
    def _tested(self) -> "Claim":
        for key in ("metric", "holds_if"):
            if getattr(self, key) is None and self.not_comparable is None:
                raise RefusedError(key, MISSING, "a value, unless not_comparable says why it has none")
        if self.holds_if is not None:
            from interneuron.claims import parse

            try:
                parse(self.holds_if)
            except InputError as error:
                raise RefusedError("holds_if", self.holds_if, str(error).partition("it takes ")[2]) from None
        return self

    def test(self) -> dict[str, Any]:
        """What decides its row of the ledger, without its wording."""
        return self.model_dump(mode="json", include={"id", "metric", "where", "among", "holds_if"})


# Steps of a study, each with the steps whose files it reads.
STEPS = {
    "activations": (),
    "ace": (),
    "cluster": ("activations", "ace"),
    "lesion": ("activations", "cluster"),
    "regions": (),
    "evaluate": (),
}

# Steps that `evaluate` reads, by kind of study, and what the figures of the kind are.
EVALUATED = {"neurons": ("activations", "ace", "cluster", "lesion"), "regions": ("regions",)}
REGION_FIGURES = ("borders.png", "importance.png", "merging.png", "regions.png")

# Keys that are said once and taken over: (step, key, step that it is taken from).
TAKEN = (
    ("ace", "alphas", "activations"),
    ("ace", "digits", "activations"),
    ("evaluate", "active_above", "activations"),
    ("evaluate", "fail_below", "lesion"),
)


class Study(Entry):
    """A path through the chain, and what a paper claims of it."""

    based_on: Name | None = Field(
        default=None, description="A study whose keys are taken where this entry does not give them (lists as a whole)."
    )
    title: Text = Field(description="Heading in the report.")
    paper: Text = Field(description="The paper.", examples=["hui2022"])
    section: Text | None = Field(default=None, description="Part of the paper.")
    summary: Text = Field(description="What is asked and done, for the report.")
    model: Name = Field(description="The network, by the name of its file in `config/models/`.", examples=["vae-mnist"])
    judge: Name | None = Field(default=None, description="The classifier that judges images, in `config/models/`.")
    activations: Activations | None = Field(default=None, description="Step `activations`.")
    ace: Ace | None = Field(default=None, description="Step `ace`.")
    cluster: Cluster | None = Field(default=None, description="Step `cluster`.")
    lesion: Lesion | None = Field(default=None, description="Step `lesion`.")
    regions: Regions | None = Field(default=None, description="Step `regions`; it makes the study one of regions.")
    evaluate: Annotated[Evaluate | EvaluateRegions, Field(discriminator="kind")] | None = Field(
        default=None, description="Step `evaluate`."
    )
    figures: Annotated[list[Figure], AfterValidator(_once)] = Field(
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
            kind = "neurons" if data.get("regions") is None else "regions"
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
        for step, needed in STEPS.items():
            if getattr(self, step) is None:
                continue
            for other in needed:
                if getattr(self, other) is None:
                    raise RefusedError(other, MISSING, f"a section, since {step} reads it")
        if self.evaluate is not None:
            for other in EVALUATED[self.kind]:
                if getattr(self, other) is None:
                    raise RefusedError(other, MISSING, "a section, since evaluate reads it")
        for index, figure in enumerate(self.figures):
            if (figure in REGION_FIGURES) != (self.kind == "regions"):
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

    def _check_draws(self) -> None:
        if self.cluster is None or self.activations is None:
            return
        for index, reading in enumerate(self.cluster.readings):
            most = self.activations.draws
            if reading.draws is not None and reading.draws > most:
                raise RefusedError(
                    f"cluster.readings.{index}.draws", reading.draws, f"at most activations.draws, {most}"
                )

    @property
    def kind(self) -> str:
        """What it is about: `neurons` or `regions`."""
        return "neurons" if self.regions is None else "regions"

    def steps(self) -> list[str]:
        """The steps that it uses."""
        return [step for step in STEPS if getattr(self, step) is not None]

    def settings(self, step: str) -> dict[str, Any]:
        """What a step gets."""
        return getattr(self, step).model_dump(mode="json")


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
        """The steps behind a study's rows of the ledger, in order."""
        entry = self.studies[study]
        models = [self.models[model] for model in (entry.model, entry.judge) if model is not None]
        made = [self.datasets[model.dataset].step for model in models] + [model.step for model in models]
        return ["download", *dict.fromkeys(made), *entry.steps(), "claims"]

    def parameters(self, study: str) -> dict[str, Any]:
        """What the steps of a study are told, by step, for people: models with their seeds, each step's section."""
        entry = self.studies[study]
        model = self.models[entry.model]
        parameters: dict[str, Any] = {"dataset": model.dataset, "model": self._model(entry.model)}
        if entry.judge is not None:
            parameters["judge"] = self._model(entry.judge)
        return parameters | {step: entry.settings(step) for step in entry.steps()}

    def inputs(self, study: str) -> dict[str, Any]:
        """All that entries contribute to a study's rows of the ledger: parameters, hashes of data, tests of claims."""
        entry = self.studies[study]
        names = {self.models[model].dataset for model in (entry.model, entry.judge) if model is not None}
        datasets = {
            name: {
                "files": [[file.path, file.sha256 or file.sha256_prefix] for file in self.datasets[name].files],
                "prepare": self.datasets[name].settings("prepare"),
            }
            for name in sorted(names)
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
    return project(_read(path, root), root, _name_of(path, root))


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
        for key in ("model", "judge"):
            model = getattr(study, key)
            if model is None or model in models:
                continue
            models[model], _ = _entry(root, "models", model, f"{file_of(layers, [key])}: {key}")
            dataset = models[model].dataset
            if dataset not in datasets:
                datasets[dataset], _ = _entry(root, "datasets", dataset, f"config/models/{model}.yaml: dataset")
        try:
            _check_fit(study, models, datasets)
        except RefusedError as error:
            file = file_of(layers, error.key.split("."))
            raise refusal(file, error.key, error.got, error.takes) from None
        studies[name] = study
    return Project(Path(root), top, datasets, models, studies)


def _check_fit(study: Study, models: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> None:
    """Refuse a study that asks for what its model, judge or dataset does not have."""
    model = models[study.model]
    wanted = "conditional-vae" if study.kind == "neurons" else "mlp"
    if model.architecture != wanted:
        raise RefusedError("model", study.model, f"a model of architecture {wanted}, not {model.architecture}")
    if study.judge is not None:
        judge = models[study.judge]
        if not isinstance(judge, JudgeModel):
            raise RefusedError("judge", study.judge, f"a model of architecture judge, not {judge.architecture}")
        if judge.dataset != model.dataset:
            takes = f"a judge of the model's dataset {model.dataset}, not of {judge.dataset}"
            raise RefusedError("judge", study.judge, takes)
    if model.step == "train" and datasets[model.dataset].step != "prepare":
        raise RefusedError("model", study.model, f"a model of images, and {model.dataset} is a table")
    classes = f"classes of dataset {model.dataset}"
    latents = f"latents of model {study.model}"
    for step in (study.activations, study.ace):
        if step is not None:
            key = "activations.digits" if step is study.activations else "ace.digits"
            _check_indices(key, step.digits, datasets[model.dataset].prepare.classes, classes)
    if study.activations is not None and study.activations.latents != "active":
        _check_indices("activations.latents", study.activations.latents, model.arguments.latents, latents)
    if study.regions is not None:
        _check_features(study.regions, model.dataset, datasets[model.dataset])


def _check_features(regions: Regions, name: str, dataset: Dataset) -> None:
    """Refuse names of features that the dataset lacks."""
    there = dataset.prepare.feature_names()
    asked = [(f"labellings.{index}", labelling.names()) for index, labelling in enumerate(regions.labellings)]
    asked += [(f"profiles.{profile}", list(values)) for profile, values in regions.profiles.items()]
    for key, features in asked:
        for feature in features:
            if feature not in there:
                takes = (
                    f"features of dataset {name}, {listed(there)}" if there else f"none: {name} has no named features"
                )
                raise RefusedError(f"regions.{key}", feature, takes)


def _check_indices(key: str, indices: list[int], count: int, of: str) -> None:
    for position, index in enumerate(indices):
        if index >= count:
            raise RefusedError(f"{key}.{position}", index, f"{of}, 0 to {count - 1}")


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


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice, and reads 1e-4 as the number that it is in YAML 1.2."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                mark = key_node.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"key {key_node.value!r} is given twice", mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parsed(text: str) -> Any:
    """What a text says in YAML. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)


def _read(path: Path, root: Path) -> dict[str, Any]:
    name = _name_of(path, root)
    try:
        data = parsed(path.read_text(encoding="utf-8"))
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
