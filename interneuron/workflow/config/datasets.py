"""Entries of datasets: where the bytes come from, and how they are read."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from interneuron.workflow.config.fields import Assignment, Count, Entry, Index, Name, RelativePath, Text
from interneuron.workflow.config.files import Files
from interneuron.workflow.config.readers import Reader, drawn
from interneuron.workflow.config.structured_data import (
    CytometryReader,
    ModulesReader,
    NestedReader,
    TeapotsReader,
    TurntableReader,
)
from interneuron.workflow.refusals import MISSING, RefusedError


class IdxFiles(Entry):
    """One split of a dataset in the idx format."""

    images: RelativePath = Field(description="File of the images.", examples=["train-images-idx3-ubyte.gz"])
    labels: RelativePath = Field(description="File of the labels.", examples=["train-labels-idx1-ubyte.gz"])


class IdxReader(Reader):
    """Images and labels in the idx format of MNIST, with a split of their own."""

    reader: Literal["idx"] = Field(description="The format: `idx`.")
    train: IdxFiles = Field(description="The training split.")
    test: IdxFiles = Field(description="The test split.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[10])
    transposed: bool = Field(
        default=False, description="Whether the images lie column by column in the files, as EMNIST's do."
    )

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        splits = {"train": self.train, "test": self.test}
        return {f"{name}.{key}": getattr(split, key) for name, split in splits.items() for key in ("images", "labels")}


class DigitsReader(Reader):
    """scikit-learn's handwritten digits: one row an image, the class last."""

    reader: Literal["digits"] = Field(description="The format: `digits`.")
    file: RelativePath = Field(description="The file.", examples=["digits.csv.gz"])
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.2, description="Share of each class to test on.")
    split_seed: Index = Field(default=0, description="Seed of the split.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[10])

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return (8, 8)


class UspsReader(Reader):
    """USPS zip-code digits, 16 x 16 grey values of -1 to 1, with a split of their own."""

    reader: Literal["usps"] = Field(description="The format: `usps`.")
    train: RelativePath = Field(description="File of the training split.", examples=["zip.train.gz"])
    test: RelativePath = Field(description="File of the test split.", examples=["zip.test.gz"])
    classes: Literal[10] = Field(default=10, description="Number of classes.")

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"train": self.train, "test": self.test}

    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return (16, 16)


class EnronReader(Reader):
    """Mails of an Enron-Spam archive: how often each has each of the commonest words; ham 0, spam 1."""

    reader: Literal["enron"] = Field(description="The format: `enron`.")
    file: RelativePath = Field(description="The archive.", examples=["enron1.tar.gz"])
    words: Count = Field(default=500, description="Words that are counted: the most frequent ones of the train mails.")
    weighting: Literal["counts", "binary", "log", "tf-idf"] = Field(
        default="counts",
        description="What stands for a count c: c (`counts`); 1 (`binary`); 1 + log c (`log`); or c times the word's "
        "inverse document frequency among the train mails, scikit-learn's (`tf-idf`). 0 stays 0.",
    )
    unit_rows: bool = Field(
        default=False, description="Whether each mail's numbers are divided by their Euclidean length."
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.2, description="Share of mails to test on.")
    seed: Index = Field(default=0, description="Seed of the split.")
    classes: Literal[2] = Field(default=2, description="Number of classes.")

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def shape(self) -> tuple[int, ...]:
        """Words that are counted."""
        return (self.words,)


class _PhotoReader(Reader):
    reader: str
    file: RelativePath = Field(description="The archive.", examples=["photos.tar"])
    side: Count = Field(default=256, description="Pixels that a photo's shorter side is brought to.")
    crop: Count = Field(default=224, description="Side of the middle square that is kept, in pixels.")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.crop > self.side:
            raise RefusedError("crop", self.crop, f"no more than side, which is {self.side}")
        return self

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}

    def shape(self) -> tuple[int, ...]:
        """Height, width and colours."""
        return (self.crop, self.crop, 3)


class PhotosReader(_PhotoReader):
    """Photos in a tar archive: the class is the folder that a photo lies in, classes numbered by alphabet."""

    reader: Literal["photos"] = Field(description="The format: `photos`.")
    test: Text | None = Field(
        default=None,
        description="Name of a folder: photos below it are the test split; there is none, if left out.",
        examples=["validation"],
    )
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[2])

    def splits(self) -> dict[str, int | None]:
        """No test split without a folder of it."""
        return dict.fromkeys(("train",) if self.test is None else ("train", "test"))


class ImagenetReader(_PhotoReader):
    """Photos in a tar archive, each named `<id>_...` by its class, as ImageNet's are; all are to test on."""

    reader: Literal["imagenet"] = Field(description="The format: `imagenet`.")
    ids: Annotated[dict[Text, Index], Field(min_length=1)] = Field(
        description="Classes by the ids that names begin with.", examples=[{"n02123045": 281}]
    )
    classes: Annotated[int, Field(ge=2)] = Field(default=1000, description="Number of classes.")

    @model_validator(mode="after")
    def _ids(self) -> Self:
        for key, number in self.ids.items():
            if number >= self.classes:
                raise RefusedError(f"ids.{key}", number, f"a class of 0 to {self.classes - 1}")
        return self

    def splits(self) -> dict[str, int | None]:
        """All are to test on."""
        return {"test": None}

    def labels(self) -> list[int]:
        """The classes of the ids."""
        return sorted(set(self.ids.values()))


class BooleanReader(Reader):
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

    def feature_names(self) -> list[str]:
        """Names of the features."""
        return [f"v{number + 1}" for number in range(self.features)]

    def splits(self) -> dict[str, int | None]:
        """As they are drawn."""
        return drawn(self.samples, self.test_share)


class TitanicReader(Reader):
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


class PlanetoidReader(Reader):
    """A citation graph in the Planetoid format, with a split of its own."""

    reader: Literal["planetoid"] = Field(description="The format: `planetoid`.")
    name: Name = Field(description="Its name in those of the files.", examples=["cora"])
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes.", examples=[7])

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        parts = ("allx", "ally", "graph", "test.index", "tx", "ty", "x", "y")
        return {f"name, {part}": f"ind.{self.name}.{part}" for part in parts}


class KarateReader(Reader):
    """Zachary's karate club, which comes with networkx, without features."""

    reader: Literal["karate"] = Field(description="No format: `karate`.")
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.34, description="Share of each class to test on.")
    validation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25, description="Share of the rest of each class to validate on."
    )
    split_seed: Index = Field(default=0, description="Seed of the split.")
    classes: Literal[2] = Field(default=2, description="Number of classes.")


class Dataset(Files):
    """Where a dataset's bytes come from, and how they are read."""

    prepare: (
        IdxReader
        | DigitsReader
        | UspsReader
        | PhotosReader
        | ImagenetReader
        | BooleanReader
        | TitanicReader
        | EnronReader
        | PlanetoidReader
        | KarateReader
        | ModulesReader
        | NestedReader
        | CytometryReader
        | TurntableReader
        | TeapotsReader
    ) = Field(discriminator="reader", description="How the files are read, or the data generated.")

    @model_validator(mode="after")
    def _files(self) -> "Dataset":
        if bool(self.files) != bool(self.prepare.names()):
            paths = [file.path for file in self.files]
            takes = f"none for the reader {self.prepare.reader}" if paths else "at least one file"
            raise RefusedError("files", paths or MISSING, takes)
        self.check_files("prepare", self.prepare.names())
        if self.prepare.splits().get("train") == 0:
            share = getattr(self.prepare, "test_share", None)
            raise RefusedError("prepare.test_share", share, "a share that leaves a sample to train on")
        return self

    @property
    def step(self) -> str:
        """The step that reads it: `prepare` images, `tabulate` tables, `link` graphs."""
        if isinstance(self.prepare, PlanetoidReader | KarateReader):
            return "link"
        tables = BooleanReader | TitanicReader | EnronReader | ModulesReader | NestedReader | CytometryReader
        return "tabulate" if isinstance(self.prepare, tables) else "prepare"

    def settings(self, step: str) -> dict[str, Any]:
        """What the step that reads it gets."""
        return {**self.prepare.model_dump(mode="json"), "classes": self.prepare.classes}
