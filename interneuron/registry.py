"""Things that the config chooses by name: architectures, losses, readers, figures."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from interneuron.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things by name, each one reached by its name only.

    Nothing can go through all of a registry's things, so code that looks up one name does not depend on the others:
    fingerprints count just the entries whose names the config or the code says (`interneuron.workflow.fingerprint`).
    """

    def __init__(self, what: str, things: Mapping[str, T]) -> None:
        self.what = what
        self._things = dict(things)

    def __getitem__(self, name: str) -> T:
        """The thing of that name. Raises: InputError, with the names that there are, for any other."""
        if name not in self._things:
            raise InputError(f"no {self.what} {name!r}; there are {', '.join(self._things)}")
        return self._things[name]
