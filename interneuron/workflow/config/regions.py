"""Sections of a study of regions."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from interneuron.workflow.config.fields import Assignment, Count, Entry, Name, Share, Text, once, sorted_once
from interneuron.workflow.refusals import MISSING, RefusedError


class Labelling(Entry):
    """Sets of samples that regions are compared with."""

    name: Name = Field(description="Its name in the metrics.", examples=["combinations"])
    features: Annotated[list[Text], Field(min_length=1), AfterValidator(once)] | None = Field(
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

    principles: Annotated[list[Literal["entropy", "orthogonality"]], Field(min_length=1), AfterValidator(once)] = Field(
        default=["entropy", "orthogonality"],
        description="Which two are merged: `entropy` (least deviation for the entropy that goes), `orthogonality` "
        "(most parallel hyperplanes). Each makes a path of its own.",
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


class EvaluateRegions(Entry):
    """Metrics of a study of regions, a row a seed and thing measured."""

    kind: Literal["regions"] = Field(default="regions", description="Follows from the study's sections.")
    support_above: Share = Field(default=0.001, description="Support above which a region counts as supported.")
    correlated_above: Share = Field(
        default=0.5, description="Correlation of two features, sign left out, above which they are flagged."
    )
    kept: Annotated[list[Share], Field(min_length=1), AfterValidator(sorted_once)] = Field(
        default=[0.95, 0.99], description="Shares of the predictions that merged regions shall keep."
    )
