"""The frame around scripts: how a step ends, what it says where, and its progress."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from interneuron.workflow import records, script
from interneuron.workflow.script import Progress

ENDS = {
    "fine": "log.info('found 3'); warnings.warn('odd')",
    "input": "log.info('found 3'); raise InputError('key x is 1, but takes 2')",
    "full": "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'results/a')",
    "bug": "raise ZeroDivisionError('by nought')",
    "stop": "raise KeyboardInterrupt",
    "training": "import trained; log.info(trained.found()); log.info('torch._dynamo' in sys.modules)",
    "copy": "log.info('copied'); shutil.copy(job.input[0], job.output[0])",
    "threads": "log.info(' '.join(os.environ[name] for name in ('NUMBA_NUM_THREADS', 'OMP_WAIT_POLICY')))",
}
FRAME = """
import errno, os, shutil, sys, warnings
from types import SimpleNamespace
from interneuron.errors import InputError
from interneuron.workflow.script import log, step

def main(job):
    {body}

job = SimpleNamespace(rule="train", wildcards=["vae", "000-004"], log=[sys.argv[1]], threads=3, input=[], output=[])
if len(sys.argv) > 2:
    job.input, job.output = sys.argv[2:3], sys.argv[3:]
step(main, job)
"""
# Three steps of each optimiser that the library takes.
TRAINED = """
import torch

def found():
    weights = []
    for make in (
        lambda p: torch.optim.Adam(p, fused=True),
        lambda p: torch.optim.Adam(p),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    ):
        weight = torch.linspace(-1, 1, 5).requires_grad_()
        steps = make([weight])
        for _ in range(3):
            steps.zero_grad()
            weight.exp().sum().backward()
            steps.step()
        steps.load_state_dict(steps.state_dict())
        weights += weight.tolist()
    return weights
"""


def run(end: str, log: Path, *files: str, folder: Path | None = None, **environment: str) -> tuple[int, str]:
    """Exit status and standard error of a step that ends so; `files` are its input and its output."""
    command = [sys.executable, "-c", FRAME.format(body=ENDS[end]), str(log), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | environment)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_step_that_ends_well_says_what_it_found(tmp_path: Path) -> None:
    log = tmp_path / "logs/train/a.log"
    assert run("fine", log) == (0, "train vae 000-004: found 3\n")
    assert "INFO found 3" in log.read_text()
    assert "UserWarning: odd" in log.read_text()


@pytest.mark.parametrize(
    ("end", "status", "sentence"),
    [
        ("input", 1, "error: key x is 1, but takes 2"),
        ("full", 1, "error: [Errno 28] No space left on device: 'results/a'"),
        ("stop", 130, "stopped"),
    ],
)
def test_what_people_can_mend_is_one_sentence(end: str, status: int, sentence: str, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    found, said = run(end, log, INTERNEURON_QUIET="1")
    assert (found, said) == (status, f"train vae 000-004: {sentence}\n")
    assert sentence in log.read_text()
    assert "Traceback" in log.read_text()


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    status, said = run("bug", log)
    assert status == 1
    for text in (said, log.read_text()):
        assert "unexpected error" in text
        assert "Traceback" in text
        assert "ZeroDivisionError: by nought" in text


def test_quiet_steps_say_nothing_but_errors(tmp_path: Path) -> None:
    assert run("fine", tmp_path / "a.log", INTERNEURON_QUIET="1") == (0, "")
    assert "found 3" in (tmp_path / "a.log").read_text()


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, said = run("fine", tmp_path / "file/a.log")
    assert status == 1
    assert said.startswith("train vae 000-004: error: [Errno ")
    assert said.count("\n") == 1
    # A disk that is full as soon as the log is open: the step's own sentence stands alone.
    status, said = run("input", Path("/dev/full"), INTERNEURON_QUIET="1")
    assert (status, said) == (1, "train vae 000-004: error: key x is 1, but takes 2\n")


def test_libraries_are_told_the_threads_of_the_job(tmp_path: Path) -> None:
    assert run("threads", tmp_path / "a.log") == (0, "train vae 000-004: 3 passive\n")


def test_a_step_reads_recorded_bytes_and_seals_what_it_writes(tmp_path: Path) -> None:
    source, target = tmp_path / "data/raw/a.csv", tmp_path / "results/b.csv"
    for path in (source, target):
        path.parent.mkdir(parents=True)
    source.write_text("1")
    records.seal(tmp_path, ["data/raw/a.csv"])
    job = ("data/raw/a.csv", "results/b.csv")
    here = {"folder": tmp_path, "PYTHONPATH": str(ROOT)}
    assert run("copy", tmp_path / "a.log", *job, **here) == (0, "train vae 000-004: copied\n")
    records.check(tmp_path, job)
    for altered, sentence in (
        (source, "data/raw/a.csv is not as it was made: "),
        (records.seal_of(tmp_path, "data/raw/a.csv"), "data/raw/a.csv has no record of what made it ("),
    ):
        altered.write_text("2")
        target.unlink(missing_ok=True)
        status, said = run("copy", tmp_path / "a.log", *job, **here)
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith(f"train vae 000-004: error: {sentence}")
        assert not target.exists()
        source.write_text("1")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.said: list[str] = []
        monkeypatch.setattr(script.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(script.log, "info", self.said.append)


def test_progress_counts_from_its_first_call_and_keeps_silent_between(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    progress = Progress("train", "iterations", every=5)
    clock.now += 60  # imports and reading, which say nothing about what is left
    progress(1000, 5000)
    for done, seconds in ((1500, 3.0), (2000, 3.0), (2100, 1.0), (3000, 4.0)):
        clock.now += seconds
        progress(done, 5000)
    # 1,000 in 6 s: 3,000 more take 18 s; 2,000 in 11 s: 2,000 more take 11 s.
    assert clock.said == ["train: 2,000 of 5,000 iterations, 18 s left", "train: 3,000 of 5,000 iterations, 11 s left"]


def test_progress_says_nothing_of_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    progress = Progress("train", every=5)
    for done in (0, 0, 5, 5):
        progress(done, 5)
        clock.now += 10
    assert clock.said == []


def test_a_training_gives_what_torch_gives_without_its_compiler(tmp_path: Path) -> None:
    (tmp_path / "trained.py").write_text(TRAINED)
    namespace: dict[str, Any] = {}
    exec(TRAINED, namespace)
    said = run("training", tmp_path / "a.log", PYTHONPATH=str(tmp_path))
    assert said == (0, f"train vae 000-004: {namespace['found']()}\ntrain vae 000-004: False\n")
