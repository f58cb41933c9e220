"""Records of what made each result: kept, given back, and never believed against the bytes."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence.file import FilePersistence

from interneuron.errors import InputError
from interneuron.io import sha256
from interneuron.workflow import locks, provenance
from interneuron.workflow.command import main
from interneuron.workflow.provenance import (
    PROVENANCE,
    Folder,
    Provenance,
    read,
    save,
    settings_of,
    verify,
)

A, B = "results/models/a/weights.safetensors", "results/claims.tsv"


def begin(root: Path) -> None:
    """A run that starts, and whose process ends."""
    try:
        provenance.begin(root)
    finally:
        end()


def end() -> None:
    """The process of a run ends, and its lock with it."""
    while locks._held:
        locks._held.pop().close()


def restore(root: Path) -> None:
    try:
        provenance.restore(root)
    finally:
        end()


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
        then = file.stat().st_mtime
        record = made(path, **settings) | {
            "starttime": time.time(),
            "endtime": then,
            "job_hash": hash(file),
            "incomplete": False,
        }
        store = FilePersistence(path=self.root / ".snakemake")
        store._io_write(store._metadata_path, record, path)

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
    assert kept is not None
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


@pytest.mark.parametrize("check", [begin, restore, lambda root: verify(root).refuse()])
def test_an_altered_result_is_named_and_refused(saved: Place, check: Callable[[Path], object]) -> None:
    (saved.root / A).write_text("other weights")
    with pytest.raises(InputError, match=rf"^{A} is not as it was made: "):
        check(saved.root)
    assert (saved.root / A).read_text() == "other weights"


@pytest.mark.parametrize("check", [begin, restore, lambda root: verify(root).refuse()])
def test_a_result_without_a_record_is_named_and_refused(saved: Place, check: Callable[[Path], object]) -> None:
    (saved.root / "results/own.tsv").write_text("mine")
    with pytest.raises(InputError, match=r"^results/own\.tsv has no record of what made it: "):
        check(saved.root)
    assert (saved.root / "results/own.tsv").read_text() == "mine"


def test_records_without_results_are_kept_until_a_run_ends(saved: Place) -> None:
    (saved.root / B).unlink()
    begin(saved.root)
    assert verify(saved.root).missing == [B]
    kept = read(saved.root)
    assert kept is not None
    assert B in kept.results
    save(saved.root, CODES)
    assert verify(saved.root).missing == []


def test_no_records_at_all_is_one_sentence(place: Place) -> None:
    for check in (verify, restore):
        with pytest.raises(InputError, match=rf"^{PROVENANCE} does not exist: "):
            check(place.root)


def damaged(text: str) -> str:
    return text.replace(sha256_of_a(text), "0" * 64)


def sha256_of_a(text: str) -> str:
    return next(json.loads(line)["sha256"] for line in text.splitlines() if A in line)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (damaged, "is damaged: its lines are not those that were written"),
        (lambda text: text[: len(text) // 2], "is damaged: "),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "is damaged: "),
        (lambda text: text.replace('"format": 1', '"format": 0', 1), "is of format 0, and this version takes format 1"),
        (lambda text: "", "line 1 is no head"),
        (lambda text: "[]\n" + text, "line 1 is no head"),
        (lambda text: "\x00" * 100, "line 1 is no head"),
    ],
)
def test_records_that_cannot_be_used_are_one_sentence_and_stay(
    saved: Place, change: Callable[[str], str], sentence: str
) -> None:
    path = saved.root / PROVENANCE
    path.write_text(change(path.read_text()))
    left = path.read_bytes()
    for check in (begin, verify, restore, lambda root: save(root, CODES)):
        with pytest.raises(InputError, match=sentence) as error:
            check(saved.root)
        assert str(error.value).startswith(PROVENANCE)
        assert "\n" not in str(error.value)
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
    kept = read(saved.root)
    assert kept is not None
    assert {record["lock"] for record in kept.results.values()} == {old}


@given(st.text("abcäπ/._{}-", min_size=1, max_size=400).filter(lambda path: "\x00" not in path))
def test_files_of_records_are_named_as_snakemake_names_them(path: str) -> None:
    folder = Path("/tmp")
    store = FilePersistence.__new__(FilePersistence)
    store._max_len = None
    assert store._record_path(str(folder), path) == str(folder.joinpath(*provenance._encoded(path, folder)))


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
