"""What readers of datasets have in common, and what an entry tells of its samples before any file is read."""

from math import ceil

from interneuron.workflow.config.fields import Entry


class Reader(Entry):
    """How a dataset's files are read, or its data generated."""

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {}

    def feature_names(self) -> list[str]:
        """Names of the features: images and graphs have none, and mails tell their words themselves."""
        return []

    def splits(self) -> dict[str, int | None]:
        """The splits that have samples, each with their number; None where only the files tell it."""
        return {"train": None, "test": None}

    def labels(self) -> list[int]:
        """The classes that samples may be of."""
        return list(range(self.classes))  # type: ignore[attr-defined]

    def shape(self) -> tuple[int, ...] | None:
        """Shape of a sample; None where only the files tell it."""
        return (len(names),) if (names := self.feature_names()) else None


def drawn(samples: int, test_share: float) -> dict[str, int | None]:
    """The splits where a share of the samples, rounded up, is drawn for the test: `interneuron.data.random_split`."""
    test = ceil(test_share * samples)
    return {"train": samples - test, "test": test}
