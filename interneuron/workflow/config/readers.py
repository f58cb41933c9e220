"""What readers of datasets have in common."""

from interneuron.workflow.config.fields import Entry


class Reader(Entry):
    """How a dataset's files are read, or its data generated."""

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {}

    def feature_names(self) -> list[str]:
        """Names of the features: images and graphs have none, and mails tell their words themselves."""
        return []
