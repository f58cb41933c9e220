"""DVC around the workflow: results that travel by it rerun nothing, and it agrees with Snakemake on what is to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Workspace

from interneuron.workflow import config

ENTRY = "config/studies/thesis-test.yaml"


class Project(Workspace):
    """A repository of its own whose default config is the smallest study, with results tracked by DVC."""

    def __init__(self, folder: Path, remote: Path, cache: str) -> None:
        super().__init__(folder)
        names = {"GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_EMAIL": "a"}
        self.environment |= names
        (folder / "config/config.yaml").write_text(
            "title: Results that travel\nstudies: [thesis-test]\nstrict: false\n"
        )
        stages = folder / "dvc.yaml"
        stages.write_text(re.sub(r"(models/\w+|studies/thesis)-digits", r"\1-test", stages.read_text()))
        self.run("git", "init", "-q")
        self.run("dvc", "config", "cache.type", cache)
        self.run("dvc", "remote", "add", "-q", "-d", "store", str(remote))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def planned(self) -> str:
        return self.run("snakemake", "-n")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new))


def test_the_stages_list_every_entry_of_the_default_config() -> None:
    """`dvc params diff` tells what differs, so each entry is listed as a whole."""
    project = config.load(ROOT / "config/config.yaml", ROOT)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    listed = {name for stage in stages.values() for entry in stage["params"] for name in entry}
    kinds = {"datasets": project.datasets, "models": project.models, "studies": project.studies}
    entries = {f"config/{kind}/{name}.yaml" for kind, names in kinds.items() for name in names}
    assert listed == entries | {"config/config.yaml"}


def test_no_hard_links_and_outputs_persist() -> None:
    """A hard-linked cache hides changes and makes results read-only; outputs that DVC removes are all made anew."""
    assert 'type = "reflink,copy"' in (ROOT / ".dvc/config").read_text()
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outputs = [out for stage in stages.values() for out in stage.get("outs", []) + stage.get("metrics", [])]
    assert len(outputs) >= 8
    assert all(options == {"persist": True} for out in outputs for options in out.values())


@pytest.mark.system
@pytest.mark.parametrize("cache", ["reflink,copy", "symlink"])
def test_results_travel_and_nothing_reruns_without_need(tmp_path: Path, cache: str) -> None:
    first = Project(tmp_path / "first", tmp_path / "remote", cache)
    first.commit("code")

    # From nothing.
    first.run("dvc", "repro")
    assert "Nothing to be done" in first.planned()
    assert "up to date" in first.run("dvc", "status")
    first.commit("results")
    assert "pushed" in first.run("dvc", "push")

    # A clone, on another machine.
    second = Project.__new__(Project)
    second.folder, second.environment = (
        tmp_path / "second",
        first.environment | {"PYTHONPATH": str(tmp_path / "second")},
    )
    first.run("git", "clone", "-q", str(first.folder), str(second.folder))
    second.run("dvc", "config", "--local", "cache.type", cache)
    second.run("dvc", "pull")
    assert "results have the recorded bytes" in second.run("interneuron", "verify")
    restored = second.run("interneuron", "restore")
    assert re.search(r"^(\d+) results .* Snakemake was given \1 records", restored, re.MULTILINE), restored
    assert "Nothing to be done" in second.planned()
    assert second.results() == first.results()
    assert "didn't change, skipping" in second.run("dvc", "repro")

    # A change: exactly what changed, and what is measured before and after.
    second.edit(ENTRY, "images: 30", "images: 20")
    output = second.run("dvc", "repro")
    logs = second.folder / "logs"
    ran = {path.relative_to(logs).parts[0] for path in logs.rglob("*.log")}
    assert ran == {"lesion", "evaluate", "figures", "claims", "report"}, output
    assert "images" in second.run("dvc", "params", "diff")
    changed = json.loads(second.run("dvc", "metrics", "diff", "--json"))
    assert isinstance(changed, dict)
    second.commit("fewer images")
    later = second.results()

    # Back to the results of the commit before, and forth again.
    second.run("git", "checkout", "-q", "HEAD~1")
    second.run("dvc", "checkout")
    assert "Nothing to be done" in second.planned()
    assert second.results() == first.results()
    second.run("git", "checkout", "-q", "-")
    second.run("dvc", "checkout")
    assert "Nothing to be done" in second.planned()
    assert second.results() == later

    # `snakemake` first, DVC afterwards: both agree that nothing is left to do.
    second.edit(ENTRY, "images: 20", "images: 25")
    second.run("snakemake", "--quiet", "all")
    second.run("dvc", "commit", "-f")
    assert "didn't change, skipping" in second.run("dvc", "repro")
    assert "Nothing to be done" in second.planned()

    # Experiments and pictures.
    second.run("dvc", "exp", "run", "-S", f"{ENTRY}:lesion.images=15")
    assert "lesion.images" in second.run("dvc", "exp", "diff")
    assert "Nothing to be done" in second.planned()
    second.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert list((tmp_path / "plots").rglob("*.png"))

    # A byte that changed on its way is seen, and named.
    raw = second.folder / "data/raw/digits/digits.csv.gz"
    data = bytearray(raw.read_bytes())
    data[-1] ^= 1
    raw.unlink()
    raw.write_bytes(data)
    assert "data/raw" in second.run("dvc", "status")
    assert "data/raw/digits/digits.csv.gz is not as it was made" in second.run("dvc", "repro", status=None)

    # A remote that is not there.
    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(second.folder / ".dvc/cache", ignore_errors=True)
    before = second.results()
    assert subprocess.run(["dvc", "pull"], cwd=second.folder, env=second.environment, capture_output=True).returncode
    assert second.results() == before
