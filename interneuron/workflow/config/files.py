"""Published files, which datasets and networks that exist are made from."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from interneuron.workflow.config.fields import BLOB, PREFIX, SHA256, URL, Count, Entry, Name, RelativePath, Text
from interneuron.workflow.refusals import MISSING, RefusedError, listed


class File(Entry):
    """One published file."""

    path: RelativePath = Field(
        description="Its name under `data/raw/{dataset}/`, and in a mirror.", examples=["train-images-idx3-ubyte.gz"]
    )
    sha256: Annotated[str, Field(pattern=SHA256)] | None = Field(default=None, description="SHA-256 of its bytes.")
    sha256_prefix: Annotated[str, Field(pattern=PREFIX)] | None = Field(
        default=None, description="Beginning of its SHA-256, where only that is published."
    )
    git_blob: Annotated[str, Field(pattern=BLOB)] | None = Field(
        default=None, description="Git's name for its content (`git hash-object`), where only a repository has it."
    )
    members: RelativePath | None = Field(
        default=None,
        description="A file beside the entry with the SHA-256 and path of each of many files, a line a file: they are "
        "fetched and packed into this one, a tar. Then `urls` are folders, which end in `/`, or zip archives of them.",
        examples=["dogs-vs-cats.sha256"],
    )
    bytes: Count | None = Field(default=None, description="Its size.")
    urls: list[Annotated[str, Field(pattern=URL)]] = Field(
        default_factory=list,
        description="Where it can be had, tried in order. `package:PATH` is a file inside an installed package.",
        examples=[["package:sklearn/datasets/data/digits.csv.gz"]],
    )

    @property
    def hash(self) -> str:
        """The one that is given."""
        return self.sha256 or self.sha256_prefix or self.git_blob or ""

    @model_validator(mode="after")
    def _one_hash(self) -> "File":
        if [self.sha256, self.sha256_prefix, self.git_blob].count(None) != 2:
            got = MISSING if self.sha256 is None else self.sha256
            takes = "a hash where neither sha256_prefix nor git_blob is given, and only there"
            raise RefusedError("sha256", got, takes)
        if self.members is not None and self.sha256 is None:
            raise RefusedError("sha256", MISSING, "the whole hash of the tar that is packed")
        return self


class Files(Entry):
    """What is made from published files."""

    title: Text = Field(description="What it is, in a few words.")
    description: Text | None = Field(default=None, description="What there is to know about it.")
    licence: Text | None = Field(default=None, description="Its licence or terms, as far as stated.")
    source: Text | None = Field(default=None, description="Who made it: a reference or an address.")
    files: list[File] = Field(
        default_factory=list, description="The files, each with its hash; none where the data are generated."
    )
    mirror: Name | None = Field(
        default=None, description="The files' folder in a mirror (`INTERNEURON_MIRROR`).", examples=["mnist"]
    )

    def check_files(self, key: str, names: Mapping[str, str]) -> None:
        """Refuse files that are given twice, have no mirror, or lack one of those that `key` names, by key."""
        paths = [file.path for file in self.files]
        if (self.mirror is None) == bool(paths):
            raise RefusedError(
                "mirror", self.mirror or MISSING, "the name of a folder" if paths else "none without files"
            )
        for index, file in enumerate(self.files):
            if file.path in paths[:index]:
                raise RefusedError(f"files.{index}.path", file.path, "a path that no other file of the entry has")
            for other in ("members", "git_blob"):
                if getattr(file, other) is not None and len(paths) > 1:
                    raise RefusedError(f"files.{index}.{other}", getattr(file, other), "none beside other files")
        for name, path in names.items():
            if path not in paths:
                raise RefusedError(f"{key}.{name}", path, "one of its files, " + listed(paths))

    @property
    def fetched(self) -> str:
        """The step that fetches the files: `download`, `pack` many in one tar, or `blob` by git's name for it."""
        if any(file.members is not None for file in self.files):
            return "pack"
        return "blob" if any(file.git_blob is not None for file in self.files) else "download"

    def download(self, file: str) -> dict[str, Any]:
        """What the step that fetches one of the files gets."""
        files = [entry for entry in self.files if entry.path == file]
        return {"files": [entry.model_dump(mode="json", exclude_none=True) for entry in files], "mirror": self.mirror}
