"""Sections of studies on a network's view of samples: its features of them, attacks on it, its decision boundary."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interneuron.workflow.config.fields import Count, Entry, NotNegative, Positive, Share, Text
from interneuron.workflow.config.graphs import Reading, Samples
from interneuron.workflow.refusals import MISSING, RefusedError


class FastGradientSign(Entry):
    """One step along the sign of the loss's gradient."""

    epsilon: Positive = Field(description="By how much every pixel moves, of images in [0, 1].", examples=[0.2])
    batch: Count = Field(default=256, description="Images attacked at once.")


class CarliniWagner(Entry):
    """The nearest image (L2) that is misclassified, by Adam from each image, with a search for the loss's weight."""

    confidence: NotNegative = Field(default=0.0, description="By how much another logit has to be ahead.")
    learning_rate: Positive = Field(default=0.01, description="Adam's step size.")
    iterations: Count = Field(default=1000, description="Steps for each weight of the loss.")
    search_steps: Count = Field(default=9, description="Weights that are tried.")
    constant: Positive = Field(default=1e-3, description="The first weight.")
    batch: Count = Field(default=100, description="Images attacked at once.")


class Attack(Entry):
    """Adversarial images of some of the samples, against the network of the same seed."""

    samples: Samples = Field(default_factory=lambda: Samples(split="test"), description="The samples, attacked or not.")
    attacked: Count = Field(
        description="How many of them are attacked, drawn among those that the network classifies right.",
        examples=[1000],
    )
    fast_gradient_sign: FastGradientSign | None = Field(default=None, description="Settings of this attack.")
    carlini_wagner: CarliniWagner | None = Field(default=None, description="Or of this one.")

    @model_validator(mode="after")
    def _one_attack(self) -> "Attack":
        if (self.fast_gradient_sign is None) == (self.carlini_wagner is None):
            got = MISSING if self.carlini_wagner is None else "a section too"
            raise RefusedError("carlini_wagner", got, "a section where fast_gradient_sign has none, and only there")
        if self.samples.count is not None and self.attacked >= self.samples.count:
            raise RefusedError("attacked", self.attacked, f"less than samples.count, which is {self.samples.count}")
        return self


class Head(Entry):
    """Logistic regression on the layer, for classes that the network was not trained on."""

    folds: Annotated[int, Field(ge=2)] = Field(
        default=5, description="Parts that the samples are cut into: each is scored by the others' regression."
    )
    decay: Positive = Field(default=0.01, description="Weight of the squared weights, halved.")


class Features(Entry):
    """A hidden layer of the study's network over samples, and what it takes them for."""

    layer: Text = Field(description="The layer, by its module's name.", examples=["classifier.relu1"])
    pool: Literal["average"] | None = Field(
        default=None, description="`average`: of a layer with channels and positions, the means over the positions."
    )
    samples: Samples | None = Field(
        default=None, description="The samples; left out: those of `attack`, or without that step, the train split."
    )
    head: Head | None = Field(default=None, description="What scores the classes; the network, if left out.")
    reference: bool = Field(default=False, description="Whether features of all training samples are kept, for `kde`.")
    batch: Count = Field(default=256, description="Samples in a forward pass.")


class EvaluateBoundaries(Entry):
    """Metrics of a study of decision boundaries, a row a seed and thing measured."""

    kind: Literal["boundaries"] = Field(default="boundaries", description="Follows from the study's sections.")
    main: Reading = Field(default_factory=Reading, description="The reading that the others are compared with.")
    top: Share = Field(default=0.02, description="Share of the samples, of highest score, that are looked at.")


class EvaluateAttacks(Entry):
    """Metrics of a study of attacked samples, a row a seed and thing measured."""

    kind: Literal["attacks"] = Field(default="attacks", description="Follows from the study's sections.")
    main: Reading = Field(default_factory=Reading, description="The reading that the others are compared with.")
    top: Share = Field(default=0.1, description="Share of the nodes, of most influence, whose overlap is measured.")
    bins: Annotated[int, Field(ge=2)] = Field(default=20, description="Bins of the overlap of two distributions.")
