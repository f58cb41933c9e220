"""Throw-away copies of the repository, in which the real workflow runs."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
# Rules that config/test.yaml does not reach, since they need published files: tests/test_published_files.py runs them.
NEED_FILES = {"pack", "blob", "convert"}
# Tests run side by side: threads that wait for one another cost more than they bring. Steps set their own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The same examples each time, however long they take: a machine that is slow, or luck, fails no test.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")
# Those that take minutes come first, so that at the end no worker waits for another.
LONGEST = ("test_reruns.py", "test_docs.py", "test_workflow.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


def environment(folder: Path) -> dict[str, str]:
    """That of commands in a workspace: its own library, and the programs beside this Python."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(folder), "PATH": path}


class Workspace:
    """A copy of the repository's own files, with commands run as a user would run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = ""  # of the run that finished it
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((ROOT / name).read_bytes())
        self.environment = environment(folder)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, status: int | None = 0, **environment: str) -> str:
        """Output of a command, standard error included; it must end with `status`."""
        process = self.start(*command, **environment)
        output, _ = process.communicate()
        if status is not None:
            assert process.returncode == status, output
        return output

    def snakemake(self, *arguments: str, status: int | None = 0, config: str = "test", **environment: str) -> str:
        return self.run("snakemake", "--configfile", f"config/{config}.yaml", *arguments, status=status, **environment)

    def results(self) -> dict[str, str]:
        """SHA-256 of every file under data/ and results/, by its path."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for top in ("data", "results")
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def copied(space: Workspace, folder: Path) -> Workspace:
    """A workspace with the same files, results and Snakemake's memory of them."""
    copy = Workspace.__new__(Workspace)
    copy.folder, copy.output = folder, space.output
    copy.environment = space.environment | {"PYTHONPATH": str(folder)}
    shutil.copytree(space.folder, folder, symlinks=True, dirs_exist_ok=True)
    return copy


@pytest.fixture(scope="session")
def first_finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Where config/test.yaml has run to its end: one run for all workers, never changed."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    output = shared / "finished.txt"
    with FileLock(shared / "finished.lock"):
        if output.exists():
            space = Workspace.__new__(Workspace)
            space.folder, space.output = shared / "finished", output.read_text()
            space.environment = environment(space.folder)
        else:
            space = Workspace(shared / "finished")
            space.output = space.snakemake()
            output.write_text(space.output)
    return space


@pytest.fixture(scope="module")
def finished(first_finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which config/test.yaml has run to its end. Tests that share it leave its results as they are."""
    return copied(first_finished, tmp_path_factory.mktemp("finished"))
