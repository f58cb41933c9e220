"""Sections of a study of active learning on a given graph: the autoencoder, what is labelled, the classifier."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from interneuron.workflow.config.fields import Count, Entry, NotNegative, Positive, once, sorted_once
from interneuron.workflow.config.graphs import Filter

Counts = Annotated[list[Count], Field(min_length=1), AfterValidator(sorted_once)]


class Embed(Entry):
    """Graph autoencoder, one a seed: a latent vector for every node."""

    hidden: Count = Field(default=32, description="Units of the hidden layer.")
    latents: Count = Field(default=16, description="Latents of a node.")
    epochs: Count = Field(default=200, description="Steps of Adam on the whole graph.")
    learning_rate: Positive = Field(default=0.01, description="Adam's step size.")


class Classifier(Entry):
    """Graph convolutional network that is trained on the labelled nodes."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[16, 16], description="Filters of its hidden layers; the classes' layer comes after them."
    )
    epochs: Count = Field(default=200, description="Steps of Adam at most.")
    learning_rate: Positive = Field(default=0.01, description="Adam's step size.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="Share dropped of each layer's input."
    )
    decay: NotNegative = Field(default=5e-4, description="Weight of half the first layer's squared weights.")
    window: Count = Field(
        default=10, description="Training ends when the validation loss is above its mean over so many epochs before."
    )


def _filters_once(values: list[Filter]) -> list[Filter]:
    once([value.variant for value in values])
    return values


class Active(Entry):
    """What is labelled, by each way of choosing, and how well the classifier then does on the test nodes."""

    labels: Counts = Field(description="Numbers of labelled nodes.", examples=[[10, 20, 30]])
    filters: Annotated[list[Filter], Field(min_length=1), AfterValidator(_filters_once)] = Field(
        description="Influences of the latent vectors; each labels the nodes where it is largest.",
        examples=[[{"variant": "symmetric"}, {"variant": "f-alone"}]],
    )
    baselines: Annotated[
        list[Literal["random", "resampling", "degree", "pagerank", "all"]], Field(min_length=1), AfterValidator(once)
    ] = Field(
        default=["random", "resampling", "degree", "pagerank", "all"],
        description="`random` (as many of every class), `resampling` (drawn by high frequencies of the features), "
        "`degree`, `pagerank` (the largest), `all` (every node that may be labelled).",
    )
    classifier: Classifier = Field(default_factory=Classifier, description="The network.")


class EvaluateActive(Entry):
    """Metrics of a study of active learning, a row a seed, way of choosing and number of labels."""

    kind: Literal["active"] = Field(default="active", description="Follows from the study's sections.")
