"""Records of what made each result: kept, given back, and never believed against the bytes."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence.file import FilePersistence

from interneuron.errors import InputError
from interneuron.io import sha256
from interneuron.workflow import locks, provenance, records
from interneuron.workflow.command import main
from interneuron.workflow.provenance import Folder, save, verify
from interneuron.workflow.records import PROVENANCE, Findings, Provenance, Record, read, settings_of

A, B = "results/models/a/weights.safetensors", "results/claims.tsv"
RAW = "data/raw/digits/digits.csv.gz"


def begin(root: Path, *published: tuple[str, str, Record]) -> Findings:
    """A run that starts, and whose process ends."""
    try:
        return provenance.begin(root, published)
    finally:
        end()


def end() -> None:
    """The process of a run ends, and its lock with it."""
    while locks._held:
        locks._held.pop().close()


def restore(root: Path, trust: bool = False) -> Findings:
    try:
        return provenance.restore(root, trust)
    finally:
        end()


def refuse(root: Path) -> None:
    verify(root).refuse()


CODES = {"c0de": {"interneuron.nets": "1", "interneuron.nets.build": "2"}}


def made(path: str, **settings: object) -> dict[str, object]:
    """A record as Snakemake keeps it."""
    return {
        "rule": "train",
        "input": [],
        "params": [repr({"code": "c0de", **settings})],
        "record_format_version": 6,
        "input_checksums": {},
        "log": [f"logs/{path}.log"],
    }


class Place:
    """A folder with results that Snakemake made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "requirements.lock").write_text("torch==1\n")

    def make(self, path: str, text: str, **settings: object) -> None:
        """Write a result as a job does, and what Snakemake keeps of it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        records.seal(self.root, [path])
        then = file.stat().st_mtime
        record = made(path, **settings) | {
            "starttime": time.time(),
            "endtime": then,
            "job_hash": hash(file),
            "incomplete": False,
        }
        store = FilePersistence(path=self.root / ".snakemake")
        store._io_write(store._metadata_path, record, path)

    def alter(self, path: str, remembered: bool = False) -> None:
        """Change a bit in place and keep the time; where it is `remembered`, as a disk rots: nothing tells."""
        file = self.root / path
        before = file.stat()
        with file.open("r+b") as opened:
            first = opened.read(1)
            opened.seek(0)
            opened.write(bytes([first[0] ^ 1]))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
        if remembered:
            memory = Folder(self.root)
            memory.known[path][:-1] = [getattr(file.stat(), name) for name in provenance._SAME]
            memory.close()

    def copy(self, to: Path) -> "Place":
        """As a clone has it: no memory of Snakemake's, other times."""
        shutil.copytree(self.root, to, ignore=shutil.ignore_patterns(".snakemake"))
        for path in (to / A, to / B):
            if path.exists():
                os.utime(path, (1e9, 1e9))
        return Place(to)

    def remembered(self, path: str) -> dict[str, object]:
        store = FilePersistence(path=self.root / ".snakemake")
        return dict(store._io_read(store._metadata_path, path))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "one")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()


@pytest.fixture
def saved(place: Place) -> Place:
    begin(place.root)
    place.make(A, "weights")
    place.make(B, "claims", studies={"a": 1})
    save(place.root, CODES)
    return place


def test_a_record_has_what_made_a_result_and_no_times(saved: Place) -> None:
    kept = read(saved.root)
    assert sorted(kept.results) == sorted([A, B])
    assert kept.codes == CODES
    record = kept.results[B]
    assert record["sha256"] == sha256(saved.root / B)
    assert record["lock"] == sha256(saved.root / "requirements.lock")
    assert record["made"] == made(B, studies={"a": 1})
    assert settings_of(record["made"]) == {"code": "c0de", "studies": {"a": 1}}


def test_equal_results_have_equal_records(saved: Place, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    other = Place(tmp_path / "two")
    begin(other.root)
    other.make(B, "claims", studies={"a": 1})
    other.make(A, "weights")
    save(other.root, CODES)
    assert (other.root / PROVENANCE).read_bytes() == (saved.root / PROVENANCE).read_bytes()
    before = (saved.root / PROVENANCE).stat().st_mtime_ns
    save(saved.root, CODES)
    begin(saved.root)
    assert (saved.root / PROVENANCE).stat().st_mtime_ns == before


@pytest.mark.parametrize("give", [begin, restore])
def test_a_clone_gets_snakemakes_records_back(saved: Place, tmp_path: Path, give: Callable[[Path], object]) -> None:
    clone = saved.copy(tmp_path / "clone")
    give(clone.root)
    for path in (A, B):
        found, was = clone.remembered(path), saved.remembered(path)
        assert {key: found[key] for key in made(path)} == {key: was[key] for key in made(path)}
        assert found["endtime"] == (clone.root / path).stat().st_mtime
    assert verify(clone.root).right == sorted([A, B])


def test_a_touched_result_is_the_same_result(saved: Place) -> None:
    os.utime(saved.root / A, (1e9, 1e9))
    begin(saved.root)
    assert verify(saved.root).right == sorted([A, B])


def test_results_of_another_commit_bring_their_own_records(saved: Place, tmp_path: Path) -> None:
    """`dvc checkout` changes files and records under Snakemake's own memory."""
    clone = saved.copy(tmp_path / "clone")
    saved.make(B, "other claims", studies={"a": 2})
    save(saved.root, CODES)
    for path in (B, PROVENANCE):
        shutil.copy(clone.root / path, saved.root / path)
    os.utime(saved.root / B, (2e9, 2e9))
    begin(saved.root)
    assert saved.remembered(B)["params"] == made(B, studies={"a": 1})["params"]


def test_of_two_true_records_of_the_same_bytes_that_of_the_checkout_goes_first(saved: Place, tmp_path: Path) -> None:
    """`dvc checkout` leaves a file as it is whose bytes are the same in both commits."""
    clone = saved.copy(tmp_path / "clone")
    saved.make(B, "claims", studies={"a": 2})
    begin(saved.root)
    assert saved.remembered(B)["params"] == made(B, studies={"a": 2})["params"]
    assert (saved.root / PROVENANCE).read_bytes() != (clone.root / PROVENANCE).read_bytes()
    shutil.copy(clone.root / PROVENANCE, saved.root / PROVENANCE)
    begin(saved.root)
    assert saved.remembered(B)["params"] == made(B, studies={"a": 1})["params"]


CHECKS = [begin, restore, lambda root: restore(root, trust=True), refuse]


@pytest.mark.parametrize("check", CHECKS)
def test_an_altered_result_is_named_and_refused(saved: Place, check: Callable[[Path], object]) -> None:
    (saved.root / A).write_text("other weights")
    with pytest.raises(InputError, match=rf"^{A} is not as it was made: "):
        check(saved.root)
    assert (saved.root / A).read_text() == "other weights"


def forgotten(place: Place) -> Place:
    (place.root / ".snakemake/interneuron.json").unlink()
    return place


def of_another_kind(place: Place) -> Place:
    (place.root / ".snakemake/interneuron.json").write_text('{"hashes": [1]}')
    return place


def copied(place: Place) -> Place:
    shutil.copytree(place.root, place.root / "../copy")  # with its times, as cp -a
    return Place(place.root / "../copy")


def restored(place: Place) -> Place:
    """Another file comes back from a backup, with its time."""
    shutil.copy2(place.root / B, place.root / "backup")
    (place.root / B).unlink()
    shutil.copy2(place.root / "backup", place.root / B)
    return place


def replaced(place: Place) -> Place:
    """The altered file itself comes from a backup of the altered, with its time."""
    shutil.copy2(place.root / A, place.root / "backup")
    (place.root / "backup").replace(place.root / A)
    return place


def without_snakemake(place: Place) -> Place:
    shutil.rmtree(place.root / ".snakemake")
    return place


@pytest.mark.parametrize(
    "then", [lambda place: place, forgotten, of_another_kind, copied, restored, replaced, without_snakemake]
)
@pytest.mark.parametrize("check", CHECKS)
def test_bytes_altered_in_place_are_never_recorded(
    saved: Place, check: Callable[[Path], object], then: Callable[[Place], Place]
) -> None:
    """The time of the file is the one in Snakemake's record, and it is kept."""
    record = (saved.root / PROVENANCE).read_bytes()
    saved.alter(A)
    place = then(saved)
    for _ in range(2):
        with pytest.raises(InputError, match=rf"^{A} is not as it was made: "):
            check(place.root)
        assert verify(place.root).altered == [A]
        assert verify(place.root).right == [B]
        assert (place.root / PROVENANCE).read_bytes() == record
    save(place.root, CODES)
    assert (place.root / PROVENANCE).read_bytes() == record
    place.alter(A)  # back
    begin(place.root)
    assert verify(place.root).right == sorted([A, B])


def test_a_job_does_not_read_what_rotted_without_a_sign(saved: Place) -> None:
    """Size, times and inode are those of the bytes that were compared last."""
    records.check(saved.root, [A, B, "config/absent.yaml"])
    begin(saved.root)
    saved.alter(A, remembered=True)
    begin(saved.root)
    records.check(saved.root, [B])
    with pytest.raises(InputError, match=rf"^{A} is not as it was made: "):
        records.check(saved.root, [B, A])
    assert verify(saved.root).altered == [A]


def test_a_job_reads_what_jobs_of_the_same_run_have_sealed(saved: Place) -> None:
    (saved.root / B).write_text("half")
    with pytest.raises(InputError, match=rf"^{B} is not as it was made: "):
        records.check(saved.root, [B])
    saved.make(B, "other claims")
    records.check(saved.root, [A, B])
    saved.alter(B)
    with pytest.raises(InputError, match=rf"^{B} is not as it was made: "):
        records.check(saved.root, [A, B])
    (saved.root / PROVENANCE).unlink()
    with pytest.raises(InputError, match=rf"^{A} has no record of what made it \({PROVENANCE} does not exist\): "):
        records.check(saved.root, [A])


def test_the_end_of_a_job_replaces_the_hash_and_nothing_else(saved: Place) -> None:
    """A job that is not through for Snakemake, or that someone altered after it, does not."""
    before = read(saved.root).results[A]
    store = FilePersistence(path=saved.root / ".snakemake")
    store._mark_incomplete(A, None)
    (saved.root / A).write_text("other weights")
    records.seal(saved.root, [A])
    begin(saved.root)
    assert read(saved.root).results[A] == before
    assert verify(saved.root).unfinished == [A]
    store._unmark_incomplete(A)
    begin(saved.root)
    assert read(saved.root).results[A]["sha256"] == sha256(saved.root / A)
    saved.make(A, "third weights")
    saved.alter(A)
    with pytest.raises(InputError, match=A):
        begin(saved.root)
    saved.alter(A)
    begin(saved.root)
    assert read(saved.root).results[A]["sha256"] == sha256(saved.root / A)
    assert not list((saved.root / records.SEALED).iterdir())


def test_a_checkout_goes_before_what_a_killed_run_sealed(saved: Place, tmp_path: Path) -> None:
    clone = saved.copy(tmp_path / "clone")
    saved.make(B, "other claims", studies={"a": 2})
    shutil.copy2(clone.root / B, saved.root / B)
    begin(saved.root)
    records.check(saved.root, [B])
    assert saved.remembered(B)["params"] == made(B, studies={"a": 1})["params"]
    assert read(saved.root).results[B] == read(clone.root).results[B]


def test_a_result_without_a_record_is_named_and_made_again(saved: Place) -> None:
    own = "results/own.tsv"
    (saved.root / own).write_text("mine")
    for check in (restore, refuse):
        with pytest.raises(
            InputError, match=rf"^{own} has no record of what made it: .*; what no job makes goes elsewhere$"
        ):
            check(saved.root)
    assert begin(saved.root).unproved == [own]
    assert Folder(saved.root).incomplete() == {own: True}
    assert restore(saved.root, trust=True).unproved == [own]  # nothing says what made it
    assert verify(saved.root).unproved == [own]
    assert (saved.root / own).read_text() == "mine"
    (saved.root / own).unlink()
    assert begin(saved.root).unproved == []
    assert Folder(saved.root).incomplete() == {}


def test_a_name_that_is_no_utf_8_is_a_name(saved: Place) -> None:
    own = os.fsdecode(b"results/\xe9t\xe9.tsv")
    (saved.root / own).write_text("mine")
    assert begin(saved.root).unproved == [own]
    assert Folder(saved.root).incomplete() == {own: True}
    (saved.root / own).unlink()
    assert begin(saved.root).unproved == []
    assert Folder(saved.root).incomplete() == {}


def test_published_bytes_prove_a_file(place: Place) -> None:
    """Of data that lie there and nothing has a record of: as after `make clean`, or brought by hand."""
    (place.root / RAW).parent.mkdir(parents=True)
    (place.root / RAW).write_text("digits")
    bytes_, record = sha256(place.root / RAW), made(RAW, files=[RAW])
    assert begin(place.root, (RAW, "0" * 64, record)).unproved == [RAW]
    assert begin(place.root, (RAW, bytes_[:8], record), ("data/raw/absent", bytes_, record)).right == [RAW]
    assert Folder(place.root).incomplete() == {}
    assert place.remembered(RAW)["params"] == record["params"]
    assert read(place.root).results[RAW]["made"] == record
    records.check(place.root, [RAW])
    place.alter(RAW)
    with pytest.raises(InputError, match=f"^{RAW} is not as it was made: "):
        begin(place.root, (RAW, sha256(place.root / RAW), record))


def test_records_without_results_are_kept_until_a_run_ends(saved: Place) -> None:
    (saved.root / B).unlink()
    begin(saved.root)
    assert verify(saved.root).missing == [B]
    assert B in read(saved.root).results
    save(saved.root, CODES)
    assert verify(saved.root).missing == []


def test_no_records_at_all_is_one_sentence(place: Place) -> None:
    for check in (refuse, restore):
        with pytest.raises(InputError, match=rf"^{PROVENANCE} does not exist: "):
            check(place.root)


def flipped(text: str) -> str:
    return text.replace(sha256_of_a(text), "0" * 64)


def sha256_of_a(text: str) -> str:
    return next(json.loads(line)["sha256"] for line in text.splitlines() if A in line)


def conflict(text: str) -> str:
    """Both sides of a merge that nobody resolved."""
    return f"<<<<<<< HEAD\n{text}=======\n{text.replace(sha256_of_a(text), '0' * 64)}>>>>>>> other\n"


def twice(text: str) -> str:
    """A line that stands twice, and a head that says so."""
    body = text.split("\n", 1)[1]
    body = body + body.splitlines()[-1] + "\n"
    return (
        Provenance().text().replace(hashlib.sha256(b"").hexdigest(), hashlib.sha256(body.encode()).hexdigest()) + body
    )


DAMAGES: list[Callable[[str], str]] = [
    flipped,
    conflict,
    twice,
    lambda text: text[: len(text) // 2],
    lambda text: text.rsplit("\n", 2)[0] + "\n",
    lambda text: text + text.splitlines()[-1] + "\n",
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace('"path"', '"pa\x00th"', 1),
    lambda text: "",
    lambda text: "[]\n" + text,
    lambda text: "\x00" * 100,
    lambda text: text.replace("weights", "\udcff", 1),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_proves_nothing_and_stays_until_a_run_ends(saved: Place, damage: Callable[[str], str]) -> None:
    path = saved.root / PROVENANCE
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    left = path.read_bytes()
    said = rf"^{B} \(and 1 more\) has no record of what made it \({PROVENANCE} is damaged: [^\n]*$"
    for check in (restore, refuse):
        with pytest.raises(InputError, match=said):
            check(saved.root)
    assert begin(saved.root).unproved == sorted([A, B])
    assert Folder(saved.root).incomplete() == {A: True, B: True}
    assert path.read_bytes() == left
    saved.make(A, "weights")
    Folder(saved.root)._file(saved.root / ".snakemake/incomplete", A).unlink()  # as Snakemake does
    assert begin(saved.root).right == [A]
    assert path.read_bytes() == left
    save(saved.root, CODES)
    assert sorted(read(saved.root).results) == [A]
    assert verify(saved.root).unproved == [B]


@pytest.mark.parametrize("damage", [None, *DAMAGES])
def test_unproved_results_are_taken_over_when_that_is_asked_for(
    saved: Place, damage: Callable[[str], str] | None
) -> None:
    path = saved.root / PROVENANCE
    whole = read(saved.root).results
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    begin(saved.root)
    findings = restore(saved.root, trust=True)
    assert findings.trusted == findings.right == sorted([A, B])
    kept = read(saved.root).results
    assert {name: record["sha256"] for name, record in kept.items()} == {
        name: record["sha256"] for name, record in whole.items()
    }
    assert {name: record["made"] for name, record in kept.items()} == {
        name: record["made"] for name, record in whole.items()
    }
    assert begin(saved.root).unproved == []
    assert Folder(saved.root).incomplete() == {}
    refuse(saved.root)


def test_of_a_damaged_record_without_snakemakes_own_the_lines_with_the_right_bytes_can_be_taken(saved: Place) -> None:
    path = saved.root / PROVENANCE
    path.write_text(flipped(path.read_text()))
    shutil.rmtree(saved.root / ".snakemake")
    findings = restore(saved.root, trust=True)
    assert (findings.trusted, findings.unproved, findings.restored) == ([B], [A], [B])
    assert verify(saved.root).unproved == [A]
    records.check(saved.root, [B])


def test_a_record_that_comes_back_proves_again(saved: Place) -> None:
    (saved.root / PROVENANCE).rename(saved.root / "away")
    assert begin(saved.root).unproved == sorted([A, B])
    assert not (saved.root / PROVENANCE).exists()
    (saved.root / "away").rename(saved.root / PROVENANCE)
    assert begin(saved.root).right == sorted([A, B])
    assert Folder(saved.root).incomplete() == {}


def test_a_record_of_another_format_is_one_sentence_and_stays(saved: Place) -> None:
    path = saved.root / PROVENANCE
    path.write_text(path.read_text().replace('"format": 1', '"format": 0', 1))
    left = path.read_bytes()
    for check in (*CHECKS, lambda root: save(root, CODES)):
        with pytest.raises(
            InputError, match=rf"^{PROVENANCE} is of format 0, and this version takes format 1: [^\n]*$"
        ):
            check(saved.root)
    assert path.read_bytes() == left


def test_unfinished_results_are_left_to_snakemake(saved: Place) -> None:
    store = FilePersistence(path=saved.root / ".snakemake")
    store._mark_incomplete(A, None)
    (saved.root / A).write_text("half")
    begin(saved.root)
    assert A in Folder(saved.root).incomplete()


def test_a_killed_runs_results_are_saved_by_the_next(place: Place) -> None:
    begin(place.root)
    place.make(A, "weights")
    begin(place.root)
    assert verify(place.root).right == [A]


def test_the_lock_is_that_of_the_time(saved: Place) -> None:
    old = sha256(saved.root / "requirements.lock")
    (saved.root / "requirements.lock").write_text("torch==2\n")
    begin(saved.root)
    assert {record["lock"] for record in read(saved.root).results.values()} == {old}


@given(st.text("abcäπ/._{}-", min_size=1, max_size=400).filter(lambda path: "\x00" not in path))
def test_files_of_records_are_named_as_snakemake_names_them(path: str) -> None:
    folder = Path("/tmp")
    store = FilePersistence.__new__(FilePersistence)
    store._max_len = None
    assert store._record_path(str(folder), path) == str(folder.joinpath(*records.encoded(path, folder)))


def test_the_text_has_what_is_used_only() -> None:
    records = {A: {"path": A, "sha256": "0", "lock": None, "made": made(A)}}
    lines = Provenance(records, CODES | {"other": {"x": "1"}}).text().splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [
        ["format", "lines", "sha256"],
        ["code", "parts"],
        sorted(records[A]),
    ]


def test_results_are_compared_with_another_runs(
    saved: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = saved.copy(tmp_path / "other")
    monkeypatch.chdir(saved.root)
    assert main(["verify", "--against", "../other"]) == 0
    other.make(B, "other claims")
    save(other.root, CODES)
    assert main(["verify", "--against", "../other"]) == 1
    assert capsys.readouterr().err == f"error: not the same bytes as in ../other: {B}\n"
    assert main(["verify", "--against", "absent"]) == 1
    assert "absent/results/provenance.jsonl does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["claims", "ledger"])
def test_altered_claims_are_not_printed_and_come_into_no_ledger(
    saved: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    saved.alter(B)
    for folder in ("config", "interneuron", "scripts"):
        (saved.root / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(saved.root)
    option = {"claims": "--file", "ledger": "--claims"}[command]
    for arguments in ([], [option, str(saved.root / B)]):
        assert main([command, *arguments]) == 1
        assert capsys.readouterr().err.startswith(f"error: {B} is not as it was made: ")
    (saved.root / B).unlink()
    assert main([command]) == 1
    assert "results/claims.tsv does not exist: `make run`" in capsys.readouterr().err


def test_the_records_of_runs_that_end_at_once_are_all_kept(saved: Place) -> None:
    """As they save, each reads the record, adds to it and writes it."""
    names = [f"results/{number}.tsv" for number in range(8)]

    def run(name: str) -> None:
        saved.make(name, name)
        save(saved.root, CODES)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(run, names))
    assert verify(saved.root).right == sorted([A, B, *names])
    assert read(saved.root).results.keys() == {A, B, *names}


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_commands_say_one_sentence(
    saved: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(saved.root)
    assert main([command]) == 0
    assert "2 results have the recorded bytes" in capsys.readouterr().out
    end()
    (saved.root / A).write_text("other")
    assert main([command]) == 1
    end()
    assert capsys.readouterr().err.startswith(f"error: {A} is not as it was made")


@pytest.mark.parametrize("text", ["null", "[]", "3", "{", "{}", '{"hashes": 3}', '{"hashes": {"results/b.tsv": 3}}'])
def test_odd_files_under_snakemake_are_as_good_as_none(saved: Place, text: str) -> None:
    (saved.root / ".snakemake/interneuron.json").write_text(text)
    named = dict(provenance._named(saved.root / ".snakemake/metadata"))
    named[B].write_text(text)
    assert provenance.begin(saved.root).right == [B, A]


def test_a_folder_that_holds_a_link_to_itself_is_walked_once(saved: Place) -> None:
    (saved.root / "results/self").symlink_to(".")
    assert provenance.begin(saved.root).right == [B, A]
