"""Readers and generators of the data of graph spectral regularization."""

from typing import Annotated, Literal

from pydantic import Field

from interneuron.workflow.config.fields import Count, Finite, Index, Positive, RelativePath, Text
from interneuron.workflow.config.readers import Reader, drawn

_TestShare = Annotated[float, Field(gt=0, lt=1)]


class ModulesReader(Reader):
    """Generated: all codes of binary modules, each module shown by features of its own, with noise."""

    reader: Literal["modules"] = Field(description="No format, but a generator: `modules`.")
    modules: Annotated[int, Field(ge=1, le=16)] = Field(
        description="Number of modules; the code of a sample is its class, the first module the lowest bit.",
        examples=[8],
    )
    repeats: Count = Field(default=50, description="Features of a module; those of the first come first.")
    samples: Annotated[int, Field(ge=2)] = Field(description="Samples of each code.", examples=[1000])
    noise: Positive = Field(default=0.1, description="Standard deviation of the noise beside bits of 0 and 1.")
    scale: Positive = Field(default=10.0, description="Factor of bits and noise together.")
    test_share: _TestShare = Field(default=0.2, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the samples and of the split.")

    @property
    def classes(self) -> int:
        """Number of codes."""
        return int(2**self.modules)

    def feature_names(self) -> list[str]:
        """Names of the features: module and number."""
        return [f"m{module + 1}.{number + 1}" for module in range(self.modules) for number in range(self.repeats)]

    def splits(self) -> dict[str, int | None]:
        """As they are drawn."""
        return drawn(self.classes * self.samples, self.test_share)


class NestedReader(Reader):
    """Generated: clusters of two sub-clusters each."""

    reader: Literal["nested"] = Field(description="No format, but a generator: `nested`.")
    samples: Annotated[int, Field(ge=2)] = Field(description="Number of samples.", examples=[60000])
    groups: Annotated[int, Field(ge=1)] = Field(
        default=3, description="Clusters; each has two classes, its sub-clusters."
    )
    features: Count = Field(default=5, description="Features of a cluster.")
    correlation: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.6, description="Correlation of the noise of features of one cluster."
    )
    jump: Positive = Field(default=10.0, description="How far a cluster, and a sub-cluster, lies from the others.")
    test_share: _TestShare = Field(default=0.2, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the samples and of the split.")

    @property
    def classes(self) -> int:
        """Number of sub-clusters."""
        return 2 * self.groups

    def feature_names(self) -> list[str]:
        """Names of the features: cluster and number."""
        return [f"g{group + 1}.{number + 1}" for group in range(self.groups) for number in range(self.features)]

    def splits(self) -> dict[str, int | None]:
        """As they are drawn."""
        return drawn(self.samples, self.test_share)


class CytometryReader(Reader):
    """Cells of flow or mass cytometry (FCS), as they are; markers above their gates make the classes."""

    reader: Literal["fcs"] = Field(description="The format: `fcs`.")
    file: RelativePath = Field(description="The file.", examples=["sample_masscyt.fcs"])
    gates: dict[Text, Finite] = Field(
        min_length=1,
        max_length=4,
        description="A cell's class is the number whose bits say which of these markers are above these values, the "
        "first marker the lowest bit.",
        examples=[{"CD4": 2.0, "CD8": 2.0}],
    )
    test_share: _TestShare = Field(default=0.2, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the split.")

    @property
    def classes(self) -> int:
        """Number of combinations of markers."""
        return int(2 ** len(self.gates))

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}


class TurntableReader(Reader):
    """COIL-20: objects on a turntable, 72 views of each, 5 degrees apart."""

    reader: Literal["coil20"] = Field(description="The format: `coil20`.")
    file: RelativePath = Field(description="The file.", examples=["COIL20.mat"])
    test_share: _TestShare = Field(default=0.25, description="Share of samples to test on.")
    seed: Index = Field(default=0, description="Seed of the split.")
    classes: Literal[20] = Field(default=20, description="Number of objects.")

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return (32, 32)


class TeapotsReader(Reader):
    """A teapot that turns once around, 400 views in colour; of these, 72 views 5 degrees apart are to test on."""

    reader: Literal["teapots"] = Field(description="The format: `teapots`.")
    file: RelativePath = Field(description="The file.", examples=["Teapots.mat"])
    side: Count = Field(default=28, description="Height and width that images of 76 x 101 pixels are reduced to.")
    classes: Literal[1] = Field(default=1, description="Number of objects.")

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def shape(self) -> tuple[int, ...]:
        """Height, width and colours."""
        return (self.side, self.side, 3)
