"""What made each result, kept beside the results in `results/provenance.jsonl` (its lines: see `records`).

Snakemake keeps the record of what it ran in `.snakemake/metadata`, which no clone has. The same records are kept here
with the results' SHA-256, sorted and without times, so that they travel with the results (`dvc push`, `dvc pull`) and
equal results have equal records. A run begins by bringing the two together (`begin`) and ends by saving (`save`).

A result is right if it has the bytes that the end of its job sealed, or those of its record; then Snakemake is given
the record. It is altered if it has others, and the run is refused. It is unproved if there is neither: the record is
gone or damaged, or nothing here made it. Then Snakemake is told that it is incomplete, so that the next run makes it
again. What a file's time says counts for nothing: who alters a file, or a disk that rots, may leave it as it was.
"""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from interneuron.errors import InputError
from interneuron.io import save_text
from interneuron.workflow.locks import alone, clear_stale_locks, in_turn
from interneuron.workflow.records import (
    FOLDERS,
    PROVENANCE,
    SEALED,
    Findings,
    Provenance,
    Record,
    digest,
    encoded,
    read,
    seal,
    sealed,
)

# Of Snakemake's record: what differs from run to run and says nothing about the result.
_PASSING = ("starttime", "endtime", "job_hash", "external_jobid", "incomplete")
# Of a file, for as long as its bytes are taken to be the same: who sets the time of a change, changes `st_ctime_ns`.
_SAME = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


def begin(root: Path, published: Iterable[tuple[str, str, Record]] = ()) -> Findings:
    """Start a run: clear a dead run's locks, give Snakemake the records of results that came from elsewhere, save.

    `published` are path, SHA-256 (or how it begins) and Snakemake's record of files that others publish: these prove
    them where no record does. Nothing is done while another run is alive. Raises InputError for altered results.
    """
    with alone(root) as free:
        if not free:
            return Findings(alive=True)
        clear_stale_locks(root)
        _prove_published(Folder(root), published)
        findings = bring_together(root)
        findings.refuse_altered()
        return findings


def save(root: Path, codes: Mapping[str, Mapping[str, str]]) -> None:
    """End a run: keep a record of every result that is there. `codes` are the parts behind the run's fingerprints."""
    with in_turn(root):
        bring_together(root, codes, ended=True)


def restore(root: Path, trust: bool = False) -> Findings:
    """Give Snakemake the kept records, every result's bytes compared with the recorded ones first.

    With `trust`, unproved results are taken over as they are where Snakemake, or a line of a damaged record that has
    their bytes, says what made them. Raises InputError, before anything is written, for what was altered; and, without
    `trust`, for what is unproved.
    """
    with alone(root) as free:
        if not free:
            raise InputError("a run is alive in this folder: restore when it has ended")
        return bring_together(root, restoring=True, trust=trust)


def verify(root: Path) -> Findings:
    """Compare the bytes of every result with its record; nothing is written."""
    return _compare(Folder(root, remember=False), read(root))[0]


def difference(root: Path, other: Path) -> list[str]:
    """Results that are not the same bytes, or not there, under both folders, by their records."""
    hashes = []
    for folder in (root, other):
        kept = read(folder)
        if kept.void:
            raise InputError(f"{folder / kept.void}: a run writes it")
        hashes.append({path: record["sha256"] for path, record in kept.results.items()})
    return sorted(path for path in hashes[0].keys() | hashes[1].keys() if hashes[0].get(path) != hashes[1].get(path))


def bring_together(
    root: Path,
    codes: Mapping[str, Mapping[str, str]] | None = None,
    ended: bool = False,
    restoring: bool = False,
    trust: bool = False,
) -> Findings:
    """Give Snakemake the kept records, and keep those of what jobs sealed.

    `ended`: a run has, and the records of files that are gone are forgotten. `restoring`, `trust`: see `restore`.
    """
    folder, kept = Folder(root, remember=not restoring), read(root)
    findings, proofs = _compare(folder, kept, trust)
    if restoring:
        findings.refuse_altered() if trust else findings.refuse()
    folder.mark(findings.unproved)
    own = folder.records()
    for path, record in proofs.items():
        mine = own.get(path)
        if mine is None or any(mine.get(key) != value for key, value in record["made"].items()):
            folder.give(path, record["made"])
            findings.restored.append(path)
    new = Provenance(kept.results | proofs, kept.codes | {code: dict(parts) for code, parts in (codes or {}).items()})
    for path in findings.missing if ended else ():
        new.results.pop(path)
    if ended or trust or not (kept.void and findings.unproved):  # else the record may still be brought back
        if new.results and (text := new.text()) != kept.text():
            save_text(root / PROVENANCE, text)
        for path, file in _named(root / SEALED):
            if path in proofs or (ended and not (root / path).is_file()):
                file.unlink()
    folder.close()
    return findings


def _compare(folder: "Folder", kept: Provenance, trust: bool = False) -> tuple[Findings, dict[str, Record]]:
    """What is found of each result, and the records that prove those that are right."""
    there, own, marked = folder.files(), folder.records(), folder.incomplete()
    unfinished = {path for path, unproved in marked.items() if not unproved}
    findings = Findings(missing=sorted(kept.results.keys() - there.keys()), void=kept.void)
    findings.unfinished = sorted(unfinished & there.keys())
    hashes = folder.hashes({path: stat for path, stat in there.items() if path not in unfinished})
    proofs: dict[str, Record] = {}
    for path, found in sorted(hashes.items()):
        made = {key: value for key, value in own.get(path, {}).items() if key not in _PASSING}
        records = [kept.results[path]] if path in kept.results else []
        if made and (of_job := sealed(folder.root, path)) is not None:
            records.insert(0, {"path": path, **of_job, "made": made})
        elif trust and not records and (made or (path, found) in kept.claims):
            taken = {"path": path, "sha256": found, "lock": None, "made": made}
            records.append(kept.claims.get((path, found), taken))
            findings.trusted.append(path)
        proof = next((record for record in records if record["sha256"] == found), None)
        if proof is not None:
            proofs[path] = proof
        (findings.right if proof else findings.altered if records else findings.unproved).append(path)
    return findings, proofs


def _prove_published(folder: "Folder", published: Iterable[tuple[str, str, Record]]) -> None:
    """Seal files without any record that have the published bytes: it does not matter who fetched them."""
    there, kept, own = folder.files(), read(folder.root), folder.records()
    for path, sha256, made in published:
        without = path in there and path not in kept.results and sealed(folder.root, path) is None
        if without and digest(folder.root / path).startswith(sha256):
            seal(folder.root, [path])
            if path not in own:
                folder.give(path, made)


class Folder:
    """The results under a folder, Snakemake's records of them, and their hashes, which it may `remember`."""

    def __init__(self, root: Path, remember: bool = True) -> None:
        self.root = root
        self.metadata = root / ".snakemake/metadata"
        self.unfinished = root / ".snakemake/incomplete"
        self.memory = root / ".snakemake/interneuron.json"
        self.known: dict[str, list[Any]] = {}
        if remember:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                known = json.loads(self.memory.read_bytes())["hashes"]
                self.known = {path: seen for path, seen in known.items() if isinstance(seen, list) and seen}
        self.before = json.dumps(self.known)

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
                    # A link to a folder that it lies in would go round for ever.
                    if not (entry.is_symlink() and (self.root / top).resolve().is_relative_to(Path(entry).resolve())):
                        open_.append(path)
                elif entry.is_file():
                    found[path] = entry.stat()
        return found

    def hashes(self, there: Mapping[str, os.stat_result]) -> dict[str, str]:
        """SHA-256 of files, remembered for as long as their size, times and inode stay the same."""
        seen = {path: [getattr(stat, name) for name in _SAME] for path, stat in there.items()}
        changed = [path for path in there if self.known.get(path, [None])[:-1] != seen[path]]
        with ThreadPoolExecutor(2) as pool:
            new = dict(zip(changed, pool.map(lambda path: digest(self.root / path), changed), strict=True))
        self.known = {path: [*seen[path], new.get(path) or self.known[path][-1]] for path in there}
        return {path: known[-1] for path, known in self.known.items()}

    def close(self) -> None:
        """Remember the hashes."""
        if json.dumps(self.known) != self.before:
            save_text(self.memory, json.dumps({"hashes": self.known}))

    def records(self) -> dict[str, Record]:
        """Snakemake's records of results, by path."""
        found: dict[str, Record] = {}
        for path, file in _named(self.metadata):
            if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
                with suppress(ValueError):  # Snakemake takes such a record for none, too
                    record = json.loads(file.read_bytes())
                    if isinstance(record, dict):
                        found[path] = record
        return found

    def incomplete(self) -> dict[str, bool]:
        """Files that a job is writing, or was when it was killed; and those marked here as unproved (True)."""
        found = {}
        for path, file in _named(self.unfinished):
            with suppress(FileNotFoundError):  # a run that is alive may be through with it just now
                found[path] = b"unproved" in file.read_bytes()
        return found

    def mark(self, unproved: Iterable[str]) -> None:
        """Have Snakemake take just these results, beside those that its own jobs left, for incomplete."""
        marked = {path for path, ours in self.incomplete().items() if ours}
        for path in marked - set(unproved):
            self._file(self.unfinished, path).unlink()
        for path in set(unproved) - marked:
            save_text(self._file(self.unfinished, path), json.dumps({"external_jobid": None, "unproved": True}))

    def give(self, path: str, made: Record) -> None:
        """Let Snakemake have a record of a file, as if it had been written when its time says."""
        written = (self.root / path).stat().st_mtime
        record = {**made, "starttime": 0.0, "endtime": written, "incomplete": False, "external_jobid": None}
        self.unfinished.mkdir(parents=True, exist_ok=True)  # else Snakemake takes the records for an older kind
        save_text(self._file(self.metadata, path), json.dumps({**record, "job_hash": None}))

    def _file(self, folder: Path, path: str) -> Path:
        """Snakemake's file for a path."""
        return folder.joinpath(*encoded(path, self.root))


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Paths that Snakemake has a file for, and that file. Snakemake's names are the paths in base64."""
    for top, _, names in os.walk(folder):
        for name in names:
            if name.startswith("."):  # a file that is being written; never the name of a path in base64
                continue
            file = Path(top, name)
            parts = file.relative_to(folder).parts
            try:
                yield os.fsdecode(urlsafe_b64decode("".join(part.removeprefix("@") for part in parts))), file
            except ValueError:
                continue
