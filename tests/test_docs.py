"""What the documentation says to type is typed."""

import re
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Workspace

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "config/README.md"]
# These run the tests themselves, so they are run by .ci/run.
BY_CI = {"make test", "make test-system", "make lint"}
# This one has a test of its own.
SAME = "make same CONFIG=config/test.yaml"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language in all pages."""
    return [body for page in PAGES for body in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)]


def install(space: Workspace) -> None:
    """Make a workspace a clone that was installed."""
    (space.folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != "installed":
            (space.folder / ".venv" / entry.name).symlink_to(entry)
    (space.folder / ".venv/installed").touch()  # newer than what it is made from
    space.run("git", "init", "-q")
    space.run("git", "add", "-A")
    space.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")


@pytest.mark.system
def test_two_runs_make_the_same_bytes(workspace: Workspace) -> None:
    install(workspace)
    assert "they are the same bytes" in workspace.run("bash", "-c", SAME)
    assert not (workspace.folder / ".same").exists()


def test_commands_run(workspace: Workspace) -> None:
    """All shell commands, block by block, in a clone where every config is the smallest study."""
    for name in ("config", "paper", "test"):
        small = "title: The smallest study\nstudies: [thesis-test]\nstrict: false\n"  # the keys that dvc.yaml tracks
        (workspace.folder / f"config/{name}.yaml").write_text(small)
    install(workspace)
    ci = (ROOT / ".ci/run").read_text().splitlines()
    found = blocks("sh")
    assert found
    for block in found:
        commands = [line for line in block.splitlines() if line.strip()]
        assert [command for command in commands if command in BY_CI and command not in ci] == []
        script = "\n".join(command for command in commands if command not in BY_CI | {SAME})
        workspace.run("bash", "-euo", "pipefail", "-c", script.replace("thesis-mnist", "thesis-test"))


SAYS = ("clusters, converged", "regions, the largest of", "samples to look at first", "roughness of the map")


@pytest.mark.parametrize(("block", "says"), list(zip(blocks("python"), SAYS, strict=True)))
def test_examples_run(block: str, says: str, workspace: Workspace) -> None:
    assert says in workspace.run("python", "-c", block)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
