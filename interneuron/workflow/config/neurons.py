"""Sections of a study of neurons."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interneuron.workflow.config.fields import Alphas, Count, Digits, Entry, Latents, NotNegative, Positive, Share
from interneuron.workflow.refusals import MISSING, RefusedError


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
    """The sweep of preferences: a log grid from the median similarity down to `low`, or a linear one from `high`."""

    low: Annotated[float, Field(lt=0, allow_inf_nan=False)] = Field(default=-100.0, description="Lowest preference.")
    high: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="Highest preference of a linear grid; without it the grid is a log one.",
        examples=[0.5],
    )
    near: Positive = Field(
        default=0.1, description="On a log grid, distance of the second preference from the median similarity."
    )
    count: Annotated[int, Field(ge=2)] = Field(default=16, description="Number of preferences.")
    reported: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="One more preference, which a paper names: run beside the sweep, and told by itself.",
        examples=[0.1],
    )

    @model_validator(mode="after")
    def _falls(self) -> "Preferences":
        if self.high is not None and self.high <= self.low:
            raise RefusedError("high", self.high, f"more than low, {self.low:g}")
        return self


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


class Evaluate(Entry):
    """Metrics of a study of neurons, a row a seed and thing measured."""

    kind: Literal["neurons"] = Field(default="neurons", description="Follows from the study's sections.")
    active_above: NotNegative = Field(default=0.1, description="As in `activations`, which it is taken from.")
    fail_below: Share = Field(default=0.5, description="As in `lesion`, which it is taken from.")
    moves_above: NotNegative = Field(
        default=0.05,
        description="A latent moves the image if its mean pixels differ by more than this between two alphas (rms).",
    )
