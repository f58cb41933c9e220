"""What made each result, kept beside the results: `results/provenance.jsonl`.

Snakemake keeps the record of what it ran in `.snakemake/metadata`, which no clone has. The same records are kept here
with the results' SHA-256, sorted and without times, so that they travel with the results (`dvc push`, `dvc pull`) and
equal results have equal records. A run begins by bringing the two together (`begin`) and ends by saving (`save`).

A file is trusted for one of two reasons: Snakemake wrote it last (its time is the one in Snakemake's own record), or
its SHA-256 is the recorded one; then the record is given back to Snakemake. Any other file was altered, or does not
belong, and is refused: taking it would bless results that nothing made.

The file's lines are JSON objects: a head (`format`, `lines`, `sha256` of what follows), the code behind each
fingerprint (`code`, `parts`), and a record for each result (`path`, `sha256`, `lock`: SHA-256 of the requirements.lock
that was there when it was made, `made`: Snakemake's record).
"""

import ast
import hashlib
import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interneuron.errors import InputError
from interneuron.io import save_text, sha256
from interneuron.workflow.locks import alone, clear_stale_locks

FORMAT = 1
PROVENANCE = "results/provenance.jsonl"
LOCK = "requirements.lock"
FOLDERS = ("data/raw", "data/prepared", "results")

# Of Snakemake's record: what differs from run to run and says nothing about the result.
_PASSING = ("starttime", "endtime", "job_hash", "external_jobid", "incomplete")

Record = dict[str, Any]


@dataclass
class Provenance:
    """All records of `results/provenance.jsonl`: of results by path, and of code by fingerprint."""

    results: dict[str, Record] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def text(self) -> str:
        """The file's text: the same for the same results, whenever and wherever they were made."""
        used = {code for record in self.results.values() for code in _codes(record)}
        lines = [{"code": code, "parts": self.codes[code]} for code in sorted(used & self.codes.keys())]
        lines += [self.results[path] for path in sorted(self.results)]
        body = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
        digest = hashlib.sha256(body.encode()).hexdigest()
        return json.dumps({"format": FORMAT, "lines": len(lines), "sha256": digest}) + "\n" + body


def lock(root: Path) -> str | None:
    """SHA-256 of requirements.lock, or None where there is none."""
    return _hash_of(root / LOCK)


def _hash_of(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def read(root: Path) -> Provenance | None:
    """The kept records; None where there are none. Raises InputError for a file that is broken or of another format."""
    path = root / PROVENANCE
    if not path.is_file():
        return None
    again = "get it again (dvc checkout), or remove it: what Snakemake remembers itself is kept"
    head, _, body = path.read_bytes().partition(b"\n")
    try:
        first = json.loads(head)
        found = first["format"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{PROVENANCE}: line 1 is no head of a record of results; {again}") from None
    if found != FORMAT:
        raise InputError(f"{PROVENANCE} is of format {found}, and this version takes format {FORMAT}; {again}")
    if first.get("sha256") != hashlib.sha256(body).hexdigest():
        raise InputError(f"{PROVENANCE} is damaged: its lines are not those that were written; {again}")
    provenance = Provenance()
    for line in map(json.loads, body.splitlines()):
        if "path" in line:
            provenance.results[line["path"]] = line
        else:
            provenance.codes[line["code"]] = line["parts"]
    return provenance


@dataclass
class Findings:
    """What was found of the results under a folder; paths, sorted."""

    restored: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)  # without any record
    missing: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)  # with the recorded bytes

    def refuse(self) -> None:
        """Raise InputError, one sentence, for what was altered or has no record."""
        if self.altered:
            raise InputError(
                f"{_first(self.altered)} is not as it was made: remove what was altered, so that it is made anew, or "
                "bring the recorded bytes back (dvc checkout)"
            )
        if self.strange:
            raise InputError(
                f"{_first(self.strange)} has no record of what made it: remove it, so that it is made here, or bring "
                f"the {PROVENANCE} of the run that made it (dvc pull)"
            )


def begin(root: Path) -> None:
    """Start a run: clear a dead run's locks, give Snakemake the records of results that came from elsewhere, save.

    Nothing is done while another run is alive. Raises InputError for results that were altered or have no record.
    """
    with alone(root) as free:
        if free:
            clear_stale_locks(root)
            Folder(root).note_lock()
            findings = bring_together(root)
            findings.refuse()


def save(root: Path, codes: Mapping[str, Mapping[str, str]]) -> None:
    """End a run: keep a record of every result that is there. `codes` are the parts behind the run's fingerprints."""
    bring_together(root, codes, drop=True)


def restore(root: Path) -> Findings:
    """Give Snakemake the kept records, every result's bytes compared with the recorded ones first.

    Raises InputError where there are no records, and, before anything is written, for what was altered or has none.
    """
    with alone(root) as free:
        if not free:
            raise InputError("a run is alive in this folder: restore when it has ended")
        findings = verify(root)
        findings.refuse()
        findings.restored = bring_together(root).restored
        return findings


def verify(root: Path) -> Findings:
    """Compare the bytes of every result with its record. Raises InputError where there are no records."""
    provenance = read(root)
    if provenance is None:
        raise InputError(f"{PROVENANCE} does not exist: a run writes it, and dvc pull brings it with the results")
    folder = Folder(root)
    there = set(folder.files())
    known = sorted(provenance.results)
    findings = Findings(missing=[path for path in known if path not in there])
    known = [path for path in known if path in there]
    with ThreadPoolExecutor(2) as pool:
        hashes = list(pool.map(lambda path: sha256(root / path), known))
    for path, found in zip(known, hashes, strict=True):
        same = found == provenance.results[path]["sha256"]
        (findings.right if same else findings.altered).append(path)
    findings.strange = sorted(there - provenance.results.keys() - folder.incomplete() - folder.records().keys())
    return findings


def difference(root: Path, other: Path) -> list[str]:
    """Results that are not the same bytes, or not there, under both folders, by their records."""
    hashes = []
    for folder in (root, other):
        provenance = read(folder)
        if provenance is None:
            raise InputError(f"{folder / PROVENANCE} does not exist: a run writes it")
        hashes.append({path: record["sha256"] for path, record in provenance.results.items()})
    return sorted(path for path in hashes[0].keys() | hashes[1].keys() if hashes[0].get(path) != hashes[1].get(path))


def bring_together(root: Path, codes: Mapping[str, Mapping[str, str]] | None = None, drop: bool = False) -> Findings:
    """Kept records for Snakemake, and Snakemake's records kept. `drop`: forget the records of files that are gone."""
    folder = Folder(root)
    kept = read(root) or Provenance()
    own, incomplete, there = folder.records(), folder.incomplete(), folder.files()
    findings = Findings(strange=sorted(there.keys() - own.keys() - kept.results.keys() - incomplete))
    findings.missing = sorted(kept.results.keys() - there.keys())
    new = Provenance(dict(kept.results), kept.codes | {code: dict(parts) for code, parts in (codes or {}).items()})
    for path in findings.missing:
        if drop:
            del new.results[path]
    # Records that came from elsewhere (a checkout) go before Snakemake's where the bytes are theirs: the same bytes may
    # have been made here too, by another config, and then both records are true.
    foreign = folder.state.get("saved") != _hash_of(root / PROVENANCE)
    for path in sorted((own.keys() | kept.results.keys()) & there.keys() - incomplete):
        mine, record = own.get(path), kept.results.get(path)
        found = folder.hash(path, there[path])
        recorded = record is not None and record["sha256"] == found
        written_last = mine is not None and mine.get("endtime") == there[path].st_mtime
        if mine is not None and (written_last or record is None) and not (foreign and recorded):
            made = {key: value for key, value in mine.items() if key not in _PASSING}
            known_lock = folder.lock_at(mine.get("starttime") or 0)
            if record is None or record["sha256"] != found or record["made"] != made:
                record = {"path": path, "sha256": found, "lock": None, "made": made}
            new.results[path] = record | ({"lock": known_lock} if known_lock else {})
        elif record is not None and recorded:
            if mine is None or any(mine.get(key) != value for key, value in record["made"].items()):
                folder.give(path, record["made"], there[path].st_mtime)
                findings.restored.append(path)
        else:
            findings.altered.append(path)
    if new.results and (text := new.text()) != (kept.text() if kept.results else ""):
        save_text(root / PROVENANCE, text)
    folder.state["saved"] = _hash_of(root / PROVENANCE)
    folder.close()
    return findings


class Folder:
    """The results under a folder, Snakemake's records of them, and what is remembered of both between runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.metadata = root / ".snakemake/metadata"
        self.state_file = root / ".snakemake/interneuron.json"
        try:
            self.state = json.loads(self.state_file.read_bytes())
        except (OSError, ValueError):
            self.state = {}
        self.hashes: dict[str, list[Any]] = self.state.setdefault("hashes", {})
        self.locks: list[list[Any]] = self.state.setdefault("locks", [])
        self.before = json.dumps(self.state)

    def files(self) -> dict[str, os.stat_result]:
        """All files in the results' folders, but for hidden ones."""
        found: dict[str, os.stat_result] = {}
        open_ = [top for top in FOLDERS if (self.root / top).is_dir()]
        while open_:
            top = open_.pop()
            for entry in os.scandir(self.root / top):
                path = f"{top}/{entry.name}"
                if entry.name.startswith(".") or path == PROVENANCE:
                    continue
                if entry.is_dir():
                    open_.append(path)
                elif entry.is_file():
                    found[path] = entry.stat()
        return found

    def hash(self, path: str, stat: os.stat_result) -> str:
        """SHA-256 of a file, remembered for as long as its size, time and inode stay the same."""
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        if self.hashes.get(path, [None])[:-1] != seen:
            self.hashes[path] = [*seen, sha256(self.root / path)]
        return self.hashes[path][-1]

    def note_lock(self) -> None:
        """Remember since when requirements.lock is what it is now."""
        found = lock(self.root)
        if not self.locks or self.locks[-1][1] != found:
            self.locks.append([time.time(), found])
        self.close()

    def lock_at(self, moment: float) -> str | None:
        """SHA-256 of requirements.lock at a moment, as far as runs here have seen it."""
        found = [lock for since, lock in self.locks if since <= moment]
        return found[-1] if found else None

    def close(self) -> None:
        if (text := json.dumps(self.state)) != self.before:
            save_text(self.state_file, text)
            self.before = text

    def records(self) -> dict[str, Record]:
        """Snakemake's records of results, by path."""
        found: dict[str, Record] = {}
        for path, file in _named(self.metadata):
            if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
                try:
                    found[path] = json.loads(file.read_bytes())
                except ValueError:
                    continue  # Snakemake takes such a record for none, too
        return found

    def incomplete(self) -> set[str]:
        """Files that a job is writing, or was when it was killed."""
        return {path for path, _ in _named(self.root / ".snakemake/incomplete")}

    def give(self, path: str, made: Record, written: float) -> None:
        """Let Snakemake have a record of a file that was written at the time `written`."""
        record = {**made, "starttime": 0.0, "endtime": written, "incomplete": False, "external_jobid": None}
        (self.root / ".snakemake/incomplete").mkdir(exist_ok=True)  # else Snakemake takes the records for an older kind
        save_text(self.metadata.joinpath(*_encoded(path, self.metadata)), json.dumps({**record, "job_hash": None}))


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Paths that Snakemake has a file for, and that file. Snakemake's names are the paths in base64."""
    for top, _, names in os.walk(folder):
        for name in names:
            file = Path(top, name)
            parts = file.relative_to(folder).parts
            try:
                yield urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode(), file
            except ValueError:
                continue


def _encoded(path: str, folder: Path) -> list[str]:
    """Parts of the name of Snakemake's file for a path: base64, cut to what the file system takes."""
    folder.mkdir(parents=True, exist_ok=True)
    size = os.pathconf(folder, "PC_NAME_MAX") - 1
    name = urlsafe_b64encode(path.encode()).decode()
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


def _first(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} (and {len(paths) - 1:,} more)"
