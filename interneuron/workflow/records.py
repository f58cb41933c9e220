"""The record of results, as jobs use it: what they read must have the recorded bytes, what they write is sealed.

The record is `results/provenance.jsonl`, in lines of JSON: a head (`format`, `lines`, `sha256` of what follows), the
code behind each fingerprint (`code`, `parts`), and a record for each result (`path`, `sha256`, `lock`: SHA-256 of the
requirements.lock that was there when it was made, `made`: Snakemake's record). What a job has written since is sealed,
in a file a result under `.snakemake/sealed`: the end of the job that wrote a file is all that can change its SHA-256.

Nothing of the library is used here, since all that a script runs counts as its code (`fingerprint.EXCLUDED`).
"""

import ast
import hashlib
import json
import os
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interneuron.errors import InputError

FORMAT = 1
PROVENANCE = "results/provenance.jsonl"
LOCK = "requirements.lock"
FOLDERS = ("data/raw", "data/prepared", "results")
SEALED = ".snakemake/sealed"

Record = dict[str, Any]


@dataclass
class Provenance:
    """All records of `results/provenance.jsonl`: of results by path, and of code by fingerprint.

    `void` says why there are none to believe: there is no such file, or it is damaged; `claims` are then the records
    that can still be read in it, by path and SHA-256.
    """

    results: dict[str, Record] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    void: str = ""
    claims: dict[tuple[str, str], Record] = field(default_factory=dict)

    def text(self) -> str:
        """The file's text: the same for the same results, whenever and wherever they were made."""
        used = {code for record in self.results.values() for code in _codes(record)}
        lines = [{"code": code, "parts": self.codes[code]} for code in sorted(used & self.codes.keys())]
        lines += [self.results[path] for path in sorted(self.results)]
        body = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
        digest = hashlib.sha256(body.encode()).hexdigest()
        return json.dumps({"format": FORMAT, "lines": len(lines), "sha256": digest}) + "\n" + body


def read(root: Path) -> Provenance:
    """The kept records. Raises InputError for a file of another format."""
    path = root / PROVENANCE
    if not path.is_file():
        return Provenance(void=f"{PROVENANCE} does not exist")
    head, _, body = path.read_bytes().partition(b"\n")
    first = _object(head)
    if first.get("format", FORMAT) != FORMAT:
        raise InputError(
            f"{PROVENANCE} is of format {first['format']}, and this version takes format {FORMAT}: go back to the "
            "version that wrote it, or remove it, and all results are made again"
        )
    lines = [_object(line) for line in body.splitlines()]
    records = [line for line in lines if _has(line, path=str, sha256=str, made=dict)]
    results = {record["path"]: record for record in records}
    codes = {line["code"]: line["parts"] for line in lines if _has(line, code=str, parts=dict)}
    if first.get("sha256") == hashlib.sha256(body).hexdigest() and len(results) + len(codes) == len(lines):
        return Provenance(results, codes)
    damage = f"{PROVENANCE} is damaged: its lines are not those that were written"
    return Provenance({}, codes, damage, {(record["path"], record["sha256"]): record for record in records})


def _object(line: bytes) -> dict[str, Any]:
    """What a line of JSON holds; nothing, where it holds no object."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has(line: dict[str, Any], **kinds: type) -> bool:
    return all(isinstance(line.get(key), kind) for key, kind in kinds.items())


@dataclass
class Findings:
    """What was found of the results under a folder; paths, sorted."""

    right: list[str] = field(default_factory=list)  # with the recorded bytes
    altered: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)  # without a record
    missing: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)  # a job writes them, or did when it was killed
    restored: list[str] = field(default_factory=list)  # Snakemake was given their records
    trusted: list[str] = field(default_factory=list)  # taken over as they are
    void: str = ""  # why no record is believed
    alive: bool = False  # another run is, and nothing was looked at

    def refuse_altered(self) -> None:
        """Raise InputError, one sentence, for results that were altered."""
        if self.altered:
            raise InputError(
                f"{first_of(self.altered)} is not as it was made: remove what was altered, so that it is made anew, or "
                "bring the recorded bytes back (dvc checkout)"
            )

    def refuse(self) -> None:
        """Raise InputError, one sentence, for results that were altered or that no record proves."""
        self.refuse_altered()
        if self.unproved:
            raise InputError(
                f"{self.sentence()}: bring the record of the run that made it (dvc checkout), let the next run make it "
                "again, or take it over as it is (interneuron restore --trust); what no job makes goes elsewhere"
            )
        if self.void and not self.right:
            raise InputError(f"{self.void}: a run writes it, and dvc pull brings it with the results")

    def sentence(self) -> str:
        """What is unproved, and why."""
        return f"{first_of(self.unproved)} has no record of what made it" + f" ({self.void})" * bool(self.void)


def first_of(paths: list[str]) -> str:
    """The first of some paths, and how many more there are."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} (and {len(paths) - 1:,} more)"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(root: Path) -> str | None:
    """SHA-256 of requirements.lock, or None where there is none."""
    return digest(root / LOCK) if (root / LOCK).is_file() else None


def check(root: Path, paths: Iterable[str]) -> None:
    """Raise InputError where the bytes of a result are not the recorded ones: before a job reads it."""
    kept: Provenance | None = None
    for path in _results(paths):
        found, of_job = digest(root / path), sealed(root, path)
        if of_job is not None and of_job["sha256"] == found:
            continue
        kept = kept or read(root)
        record = kept.results.get(path, of_job)
        if record is None:
            Findings(unproved=[path], void=kept.void).refuse()
        elif record["sha256"] != found:
            Findings(altered=[path]).refuse()


def seal(root: Path, paths: Iterable[str]) -> None:
    """Keep the SHA-256 of results that a job has written: at its end."""
    under = lock(root)
    for path in _results(paths):
        file = seal_of(root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{uuid.uuid4().hex}")
        temporary.write_text(json.dumps({"sha256": digest(root / path), "lock": under}))
        temporary.replace(file)


def sealed(root: Path, path: str) -> Record | None:
    """What a job sealed of a result, `sha256` and `lock`; None where none did."""
    try:
        found = _object(seal_of(root, path).read_bytes())
    except FileNotFoundError:
        return None
    return found if _has(found, sha256=str) else None


def seal_of(root: Path, path: str) -> Path:
    """The file of a result's seal."""
    return (root / SEALED).joinpath(*encoded(path, root))


def _results(paths: Iterable[str]) -> list[str]:
    return [path for path in map(str, paths) if path.startswith(tuple(f"{folder}/" for folder in FOLDERS))]


def encoded(path: str, folder: Path) -> list[str]:
    """Parts of the name of Snakemake's file for a path: base64, cut to what the file system takes."""
    size = os.pathconf(folder, "PC_NAME_MAX") - 1
    name = urlsafe_b64encode(os.fsencode(path)).decode()
    parts = [name[start : start + size] for start in range(0, len(name), size)]
    return [f"@{part}" for part in parts[:-1]] + parts[-1:]


def settings_of(made: Record) -> dict[str, Any] | None:
    """The one dict of params in a record of Snakemake's, which keeps them as Python writes them."""
    try:
        (settings,) = map(ast.literal_eval, made["params"])
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None
    return settings if isinstance(settings, dict) else None


def _codes(record: Record) -> list[str]:
    settings = settings_of(record["made"])
    return [settings["code"]] if settings and isinstance(settings.get("code"), str) else []
