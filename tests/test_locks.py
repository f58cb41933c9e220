"""Stale locks: removed when no run is alive, and only then."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A run: says whether it removed locks, makes its own, and lives until it is killed.
RUN = """
import sys
from pathlib import Path
from interneuron.workflow.locks import alone, clear_stale_locks

root = Path(sys.argv[1])
with alone(root) as free:
    removed = free and clear_stale_locks(root)
(root / ".snakemake/locks").mkdir(exist_ok=True)
(root / ".snakemake/locks" / sys.argv[2]).touch()
print("removed" if removed else "left", flush=True)
sys.stdin.read()
"""


class Run:
    def __init__(self, root: Path, name: str) -> None:
        command = [sys.executable, "-c", RUN, str(root), name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    runs = []

    def start(name: str) -> Run:
        runs.append(Run(tmp_path, name))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


def locks(root: Path) -> set[str]:
    return {path.name for path in (root / ".snakemake/locks").iterdir()}


def test_the_first_run_finds_nothing(start: Callable[[str], Run], tmp_path: Path) -> None:
    assert start("a").said == "left"
    assert locks(tmp_path) == {"a"}


def test_locks_of_a_living_run_are_left(start: Callable[[str], Run], tmp_path: Path) -> None:
    start("a")
    assert start("b").said == "left"
    assert locks(tmp_path) == {"a", "b"}


def test_locks_of_a_dead_run_are_removed(start: Callable[[str], Run], tmp_path: Path) -> None:
    start("a").kill()
    assert start("b").said == "removed"
    assert locks(tmp_path) == {"b"}


def test_a_third_run_leaves_the_second_alone_when_the_first_is_dead(
    start: Callable[[str], Run], tmp_path: Path
) -> None:
    first, second = start("a"), start("b")
    first.kill()
    assert start("c").said == "left"
    assert locks(tmp_path) == {"a", "b", "c"}
    second.kill()
    assert start("d").said == "left"
