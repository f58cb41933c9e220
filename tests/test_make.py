"""The Makefile: each target works in the state that any other leaves behind."""

import itertools
import re
import shutil

import pytest
import yaml
from conftest import ROOT, Workspace

# Those that read or write what a run makes. The others print, or run tests, benchmarks and pip, on nothing of it.
TARGETS = ("run", "paper", "ledger", "lint", "same", "clean")
OTHERS = {"help", "install", "test", "test-system", "test-published", "bench", "lock"}
STUDY = {
    "title": "A study of seconds",
    "paper": "anirudh2021",
    "summary": "Neighbours of a few digits.",
    "dataset": "digits",
    "seeds": 1,
    "block": 1,
    "graph": {"samples": {"count": 40}, "k": [3]},
}


@pytest.fixture
def clone(workspace: Workspace) -> Workspace:
    """A workspace that was installed and committed, whose configs have one study of seconds; linters are left out."""
    for name in ("config", "paper", "test"):
        entry = {"title": "Small", "studies": ["seconds"], "strict": False}
        (workspace.folder / f"config/{name}.yaml").write_text(yaml.safe_dump(entry))
    (workspace.folder / "config/studies/seconds.yaml").write_text(yaml.safe_dump(STUDY))
    programs = workspace.folder / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("ruff", "mypy", "snakefmt"):
        (programs / name).symlink_to(str(shutil.which("true")))
    for name in ("python", "snakemake", "interneuron"):
        found = shutil.which(name, path=workspace.environment["PATH"])
        # `make same` runs all of it twice, in folders of its own: here, as much as leaves a result and its record.
        less = ' $(case "$PWD" in */.same/*) echo --until download;; esac)' if name == "snakemake" else ""
        (programs / name).write_text(f'#!/bin/sh\nexec {found} "$@"{less}\n')
        (programs / name).chmod(0o755)
    (workspace.folder / ".venv/installed").touch()
    workspace.run("git", "init", "-q")
    workspace.run("git", "add", "-A")
    workspace.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
    return workspace


def walk(places: tuple[str, ...]) -> list[str]:
    """A round through all places in which every one comes right after every other one, once (Hierholzer)."""
    left = {place: [other for other in places if other != place] for place in places}
    path, found = [places[0]], []
    while path:
        if left[path[-1]]:
            path.append(left[path[-1]].pop())
        else:
            found.append(path.pop())
    return found[::-1]


def test_the_targets_are_these() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert targets == {*TARGETS, *OTHERS}
    assert set(itertools.pairwise(walk(TARGETS))) == set(itertools.permutations(TARGETS, 2))


def test_what_was_fetched_stays_and_is_known_after_clean(clone: Workspace) -> None:
    clone.run("make", "run")
    raw = {name: sha for name, sha in clone.results().items() if name.startswith("data/raw/")}
    assert raw
    clone.run("make", "clean")
    assert clone.results().keys() == {*raw, "results/provenance.jsonl"}
    shutil.rmtree(clone.folder / ".snakemake")  # as in a copy of the folder
    output = clone.run("make", "clean", "run")
    assert "rule prepare:" in output
    assert "rule download:" not in output
    assert raw.items() <= clone.results().items()


@pytest.mark.system
def test_every_target_follows_every_other(clone: Workspace) -> None:
    clone.run("make", "help")
    computed = False
    for before, target in itertools.pairwise(["help", *walk(TARGETS)]):
        after = f"{target} after {before}"
        fails = target == "ledger" and not computed
        output = clone.run("make", target, "CONFIG=config/test.yaml", status=2 if fails else 0)
        assert "Traceback" not in output, after
        if fails:
            assert "results/claims.tsv does not exist: `make run`, `make paper` or `snakemake` write it" in output, (
                after
            )
        computed = {"run": True, "paper": True, "clean": False}.get(target, computed)
        assert (clone.folder / "results/claims.tsv").is_file() == computed, after
        assert (clone.folder / "data/prepared/digits.safetensors").is_file() == computed, after
        assert not (clone.folder / ".same").exists(), after
        if computed:
            assert (clone.folder / "data/raw/digits/digits.csv.gz").is_file(), after
            assert "they are the same bytes" not in clone.run(".venv/bin/interneuron", "verify"), after
        if target == "ledger" and not fails:  # the ledger names the commit of code that is as committed
            clone.run("git", "checkout", "-q", "--", "docs", "README.md")
