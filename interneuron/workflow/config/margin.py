"""Sections of MARGIN's case studies: prototypes and criticisms, and wrong labels."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from interneuron.workflow.config.fields import Count, Entry, Positive, Share, once, sorted_once
from interneuron.workflow.config.graphs import MAIN, TOP, Reading

Counts = Annotated[list[Count], Field(min_length=1), AfterValidator(sorted_once)]
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1), AfterValidator(sorted_once)]


class Choose(Entry):
    """Prototypes and criticisms by every reading of influence, by MMD-critic, and at random."""

    counts: Counts = Field(
        description="Numbers of samples that are tried, each the first of the largest.",
        examples=[[110, 220, 410]],
    )
    gamma: Positive = Field(description="Of MMD-critic's kernel exp(-gamma |a - b|²).", examples=[0.026])
    thresholds: Annotated[list[Annotated[float, Field(gt=0, le=1)]], AfterValidator(sorted_once)] = Field(
        default=[0.5],
        description="Prototypes are ranked by f among this share of the samples, those of least influence, beside the "
        "ranking by influence alone.",
    )
    quotas: Annotated[list[Literal["none", "class"]], Field(min_length=1), AfterValidator(once)] = Field(
        default=["none", "class"], description="`none`: as ranked; `class`: as ranked, of every class in turn."
    )
    draws: Count = Field(default=10, description="Random selections of a seed.")


class Audit(Entry):
    """Wrong labels looked for by influence, and by what it is compared with.

    Where `influence.flip` mislabels some, how many of them are found; where it is 0, only who is suspected: the labels
    that are wrong by themselves are not known.
    """

    flip: Share = Field(description="As in `influence`, which it is taken from.")
    shares: Shares = Field(
        default=[0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        description="Shares of the samples that are inspected.",
    )
    features: Literal["graph", "all"] = Field(
        default="graph",
        description="What the logistic regressions are on: `graph` (the principal components that the graph's "
        "distances are taken in) or `all` (all of x).",
    )
    decay: Positive = Field(default=1e-4, description="Weight decay of the logistic regressions.")
    folds: Annotated[int, Field(ge=2)] = Field(default=5, description="Folds of the cross-validation.")
    suspects: Count = Field(
        default=20, description="Samples that are listed as suspects of each method, those of the highest scores."
    )


class EvaluatePrototypes(Entry):
    """Metrics of a study of prototypes and criticisms, a row a seed and thing measured."""

    kind: Literal["prototypes"] = Field(default="prototypes", description="Follows from the study's sections.")
    counts: Counts = Field(description="As in `choose`, which it is taken from.")
    main: Reading = MAIN
    top: Share = TOP


class EvaluateLabels(Entry):
    """Metrics of a study of wrong labels, a row a seed and thing measured."""

    kind: Literal["labels"] = Field(default="labels", description="Follows from the study's sections.")
    main: Reading = MAIN
    top: Share = TOP
