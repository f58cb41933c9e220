"""Sections of studies on graphs of samples: which samples, their graph, explanation functions and influence."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from interneuron.workflow.config.fields import Count, Entry, Index, Name, Positive, Share, Text, once, sorted_once
from interneuron.workflow.refusals import RefusedError

Ks = Annotated[list[Count], Field(min_length=1), AfterValidator(sorted_once)]


class Samples(Entry):
    """The samples that are nodes."""

    split: Literal["train", "test", "all"] = Field(default="train", description="The split that they are of.")
    redrawn: bool = Field(
        default=False,
        description="Whether each seed draws a split of its own, with as many train and test samples of every class as "
        "the dataset's.",
    )
    classes: Annotated[list[Index], Field(min_length=2), AfterValidator(sorted_once)] | None = Field(
        default=None, description="Classes that they are of; all, if left out.", examples=[[0, 6]]
    )
    count: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="How many, drawn at random for each seed; all, if left out.", examples=[2000]
    )


class Graph(Entry):
    """Nearest neighbours of every sample, as many as the largest k asks for; smaller ones are cut from them."""

    samples: Samples | None = Field(
        default=None,
        description="The samples that are nodes; left out: those of `features`, or without that step, the train split.",
    )
    components: Count | None = Field(
        default=None, description="Principal components that distances are taken in; all of x, if left out."
    )
    metric: Literal["euclidean", "cosine"] = Field(default="euclidean", description="Distance.")
    k: Ks = Field(default=[30], description="Numbers of neighbours, each a graph.", examples=[[10, 20, 30, 40]])
    links: Literal["directed", "mutual", "union"] = Field(
        default="union",
        description="`directed` (to the neighbours), `mutual` (each is a neighbour of the other), `union` (either is).",
    )
    weights: Literal["binary", "gaussian"] = Field(
        default="binary", description="1, or exp(-distance² / (2 bandwidth²)), of the median distance to the k-th."
    )


class _Function(Entry):
    @property
    def key(self) -> str:
        """What the function is called in tables."""
        return self.function  # type: ignore[attr-defined]


class GlobalMMD(_Function):
    """Discrepancy between all samples and those without a node and its neighbours, or its square."""

    function: Literal["mmd-global", "mmd-squared-global"] = Field(
        description="The explanation function: `mmd-global`, or `mmd-squared-global`."
    )
    gamma: Positive = Field(description="Of the Gaussian kernel exp(-gamma |a - b|²).", examples=[0.026])


class LocalMMD(_Function):
    """The same with a kernel that is 0 between unlike labels."""

    function: Literal["mmd-local", "mmd-squared-local"] = Field(
        description="The explanation function: `mmd-local`, or `mmd-squared-local`."
    )
    gamma: Positive = Field(description="Of the Gaussian kernel exp(-gamma |a - b|²).", examples=[0.026])


class Distrust(_Function):
    """Share of the neighbours with another label."""

    function: Literal["distrust"] = Field(description="The explanation function: `distrust`.")
    labels: Literal["y", "predicted"] = Field(
        default="y",
        description="`y` (the classes, with the step's flips), or `predicted` (by the network of `features`; in tables "
        "`distrust-predicted`).",
    )

    @property
    def key(self) -> str:
        return self.function if self.labels == "y" else f"{self.function}-{self.labels}"


class KernelDensity(_Function):
    """Density among the training samples of the predicted class, in the space of `features`."""

    function: Literal["kde"] = Field(description="The explanation function: `kde`.")
    bandwidth: Positive = Field(description="Of the kernel exp(-|a - b|² / bandwidth²).", examples=[4.47])
    log: bool = Field(default=False, description="Whether f is the density's logarithm.")
    name: Name = Field(default="kde", description="Its name in tables.", examples=["log-kde"])

    @property
    def key(self) -> str:
        return self.name


class PredictionMargin(_Function):
    """By how much the network's best class is ahead of the second."""

    function: Literal["margin"] = Field(description="The explanation function: `margin`.")


class Column(_Function):
    """Any numbers that `features` has of the samples, one or several a sample."""

    function: Literal["column"] = Field(description="The explanation function: `column`.")
    column: Text = Field(description="Name of the tensor, also in tables.", examples=["scores"])

    @property
    def key(self) -> str:
        return self.column


class Filter(Entry):
    """What is done to an explanation function on the graph."""

    variant: Literal["symmetric", "random-walk", "as-published", "f-alone"] = Field(
        description="|f - A^p f| with D^-1/2 W D^-1/2 (`symmetric`) or D^-1 W (`random-walk`) for A; the paper's "
        "printed listing; or nothing."
    )
    p: Ks = Field(default=[1], description="Hops, each a filter (`f-alone` has none).", examples=[[1, 2, 3]])

    @model_validator(mode="after")
    def _hops(self) -> "Filter":
        if self.variant == "f-alone" and len(self.p) > 1:
            raise RefusedError("p", self.p, "nothing with f-alone, which has no hops")
        return self


def _filters_once(values: list[Filter]) -> list[Filter]:
    once([value.variant for value in values])
    return values


class Influence(Entry):
    """Influence of every node: explanation functions, filtered."""

    functions: Annotated[
        list[
            Annotated[
                GlobalMMD | LocalMMD | Distrust | KernelDensity | PredictionMargin | Column,
                Field(discriminator="function"),
            ]
        ],
        Field(min_length=1),
    ] = Field(description="The explanation functions.")
    filters: Annotated[list[Filter], Field(min_length=1), AfterValidator(_filters_once)] = Field(
        description="What is done to each of them.", examples=[[{"variant": "symmetric"}, {"variant": "f-alone"}]]
    )
    flip: Share = Field(default=0.0, description="Share of each class that is mislabelled, drawn for each seed.")

    @model_validator(mode="after")
    def _once(self) -> "Influence":
        keys = [function.key for function in self.functions]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise RefusedError(f"functions.{index}", key, "each explanation function once")
        return self

    def needs_features(self) -> list[tuple[str, Any]]:
        """Functions that only a network's features give, with their keys."""
        return [
            (f"functions.{index}", function.key)
            for index, function in enumerate(self.functions)
            if isinstance(function, KernelDensity | PredictionMargin | Column)
            or (isinstance(function, Distrust) and function.labels == "predicted")
        ]


class Reading(Entry):
    """The one reading of influence that all others are compared with."""

    variant: Literal["symmetric", "random-walk", "as-published", "f-alone"] = Field(
        default="symmetric", description="Filter."
    )
    p: Count = Field(default=1, description="Hops.")
    k: Count = Field(default=30, description="Neighbours.")


MAIN: Any = Field(default_factory=Reading, description="The reading that the others are compared with.")
TOP: Any = Field(default=0.1, description="Share of the nodes, of most influence, whose overlap is measured.")


class EvaluateInfluence(Entry):
    """Metrics of a study of influence, a row a seed and thing measured."""

    kind: Literal["influence"] = Field(default="influence", description="Follows from the study's sections.")
    main: Reading = MAIN
    top: Share = TOP
