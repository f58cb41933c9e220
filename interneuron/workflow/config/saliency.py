"""Sections of a study of saliency by superpixels; a seed is a photo of the dataset."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from interneuron.workflow.config.fields import Count, Entry, Index, Positive, Share, Text, once, sorted_once
from interneuron.workflow.refusals import RefusedError

SuperpixelCounts = Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1), AfterValidator(sorted_once)]


class Reading(Entry):
    """One way to make MARGIN's map."""

    variant: Literal["symmetric", "random-walk", "as-published", "f-alone"] = Field(
        default="symmetric", description="The filter, as in a study's `influence`."
    )
    k: Count = Field(default=30, description="Superpixels that each is linked to: those of the nearest effects.")
    p: Count = Field(default=1, description="Hops.")


class Occlusion(Entry):
    """Windows that are filled."""

    window: Count = Field(description="Side of the window, pixels.", examples=[32])
    stride: Count = Field(description="Pixels between two windows; at most the window.", examples=[16])

    @model_validator(mode="after")
    def _stride(self) -> "Occlusion":
        if self.stride > self.window:
            raise RefusedError("stride", self.stride, f"at most the window, {self.window}")
        return self


def _readings_once(values: list[Reading]) -> list[Reading]:
    once([(value.variant, value.k, value.p) for value in values])
    return values


class Saliency(Entry):
    """Maps of every photo, for the class that the model takes it for, and how good they are."""

    split: Literal["train", "test", "all"] = Field(
        default="all", description="Seed s is photo s of this split, in the dataset's order."
    )
    superpixels: SuperpixelCounts = Field(
        default=[50, 100, 150, 200, 300], description="About how many superpixels each of the segmentations has."
    )
    compactness: Positive = Field(default=10.0, description="Of SLIC: how much nearness counts against colour.")
    fill: Share | Literal["mean"] = Field(
        default="mean", description="What masked pixels become: a number, or the photo's mean colour."
    )
    readings: Annotated[list[Reading], Field(min_length=1), AfterValidator(_readings_once)] = Field(
        description="Ways to make MARGIN's map, the main one first.", examples=[[{"k": 30}]]
    )
    baselines: Annotated[list[Literal["grad-cam", "occlusion", "random"]], AfterValidator(once)] = Field(
        default=["grad-cam", "occlusion", "random"], description="Maps to compare with, beside the masking effect."
    )
    grad_cam: Text = Field(description="Layer of Grad-CAM.", examples=["network.features"])
    occlusion: Occlusion = Field(description="Windows of occlusion.")
    blur: Positive = Field(
        default=5.0, description="Standard deviation, in pixels, of the blur that insertion starts from."
    )
    steps: Count = Field(default=50, description="Steps of deletion and insertion.")
    keep: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Part of the photo's score that the pixels needed shall give."
    )
    batch: Count = Field(default=16, description="Masked photos that pass the network together.")
    shown: Annotated[list[Index], AfterValidator(once)] = Field(
        default=[0], description="Photos, by seed, whose maps are kept and drawn."
    )


class EvaluateSaliency(Entry):
    """Metrics of a study of saliency, a row a photo (its seed) and map."""

    kind: Literal["saliency"] = Field(default="saliency", description="Follows from the study's sections.")
