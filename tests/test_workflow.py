"""The whole workflow on its smallest config, run as a user runs it."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
import yaml
from conftest import NEED_FILES, ROOT, Workspace

from interneuron import io


def test_the_run_makes_the_ledger_and_the_report(finished: Workspace) -> None:
    claims = io.load_table(finished.folder / "results/claims.tsv")
    for study in ("thesis-test", "relu-test"):
        entry = yaml.safe_load((ROOT / f"config/studies/{study}.yaml").read_text())
        assert list(claims[claims["study"] == study]["claim"]) == [claim["id"] for claim in entry["claims"]]
    assert claims["measured"].notna().any()
    assert set(claims["verdict"]) <= {"holds", "holds in part", "fails", "within", "beyond", "not comparable"}
    page = (finished.folder / "results/report.html").read_text()
    for claim in claims["claim"]:
        assert claim in page
    assert "results/report.html" in finished.output


def test_every_rule_ran_and_logged(finished: Workspace) -> None:
    rules = set(re.findall(r"^rule (\w+):", "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), re.M))
    assert len(rules) >= 11
    assert {folder.name for folder in (finished.folder / "logs").iterdir()} == rules - NEED_FILES


def test_a_second_run_has_nothing_to_do(finished: Workspace) -> None:
    before = finished.results()
    assert "Nothing to be done" in finished.snakemake()
    assert finished.results() == before


def test_a_dry_run_imports_neither_torch_nor_scikit_learn(finished: Workspace) -> None:
    output = finished.run("python", "-X", "importtime", "-m", "snakemake", "-n", "--configfile", "config/paper.yaml")
    imported = {line.rsplit("|", 1)[-1].strip() for line in output.splitlines() if line.startswith("import time:")}
    assert "snakemake" in imported
    assert not imported & {"torch", "sklearn", "matplotlib", "numba", "scipy.stats"}


def test_quiet_runs_say_nothing(finished: Workspace) -> None:
    (finished.folder / "results/claims.tsv").unlink()
    output = finished.snakemake("--quiet", "all")
    assert "rule " not in output
    assert "claims" not in output.replace("results/claims.tsv", "").replace("`interneuron claims`", "")


def test_progress_is_readable(finished: Workspace) -> None:
    for job in ("train vae-test 000-001", "fit mlp-test 000-001", "regions relu-test 002-003"):
        assert re.search(rf"^{job}: ", finished.output, re.M), finished.output


def test_files_are_as_documented(finished: Workspace) -> None:
    """docs/files.md names every file of a run, with its tensors or columns and their types."""
    sections = documented_files(ROOT / "docs/files.md")
    for name in finished.results():
        matching = [pattern for pattern in sections if pattern.fullmatch(name)]
        assert len(matching) == 1, f"{name} matches {len(matching)} headings of docs/files.md"
        columns = sections[matching[0]]
        path = finished.folder / name
        if name.endswith(".parquet") and "metrics" not in name:
            frame = io.load_table(path)
            assert set(frame.columns) == set(columns), name
            for column, kind in columns.items():
                if kind:
                    found = "string" if frame[column].dtype in ("object", "str", "string") else str(frame[column].dtype)
                    assert found == kind, f"{name}: {column}"
        if name.endswith(".safetensors") and "weights" not in name:
            tensors = io.load_tensors(path)
            assert tensors
            for tensor, array in tensors.items():
                kinds = [kind for form, kind in columns.items() if template(form).fullmatch(tensor)]
                assert str(array.dtype) in kinds[0].split(" or "), f"{name}: {tensor}"


def template(form: str) -> re.Pattern[str]:
    """`seed{s}.digit{d}` as a regular expression."""
    parts = re.split(r"(\{\w+\})", form)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))


def documented_files(page: Path) -> dict[re.Pattern[str], dict[str, str]]:
    """The headings of the page as patterns of paths, with the types of the names in their tables."""
    common = dict.fromkeys(("seed", "digit", "latent", "draws"), "int64") | {"alpha": "float64", "reading": "string"}
    sections: dict[re.Pattern[str], dict[str, str]] = {}
    for part in page.read_text().split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        columns: dict[str, str] = {}
        for names, kind in re.findall(r"^\| (`[^|]+`) \| ([^|]*)\|", body, re.M):
            for name in re.findall(r"`([^`]+)`", names):
                columns[name] = kind.strip() or common.get(name, "")
        sections[template(heading.strip())] = columns
    return sections


ONE = ("snakemake", "--configfile", "config/test.yaml", "--config", "studies=[thesis-test]")


def results_of_one(workspace: Workspace, least: int = 21) -> dict[str, str]:
    """SHA-256 of every file of the study of `ONE`, by its path."""
    parts = (
        "data/prepared/digits",
        "results/models/vae-test",
        "results/models/judge-test",
        "results/studies/thesis-test",
    )
    found = {name: sha for name, sha in workspace.results().items() if name.startswith(parts)}
    assert len(found) >= least
    return found


def test_a_killed_run_goes_on_to_the_same_bytes(finished: Workspace, workspace: Workspace) -> None:
    process = workspace.start(*ONE)
    weights = workspace.folder / "results/models/vae-test"
    while not list(weights.glob("*/weights.safetensors")):  # in the middle of the chain
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (workspace.folder / "results/claims.tsv").exists()
    assert list((workspace.folder / ".snakemake/locks").iterdir())
    workspace.run(*ONE)
    assert results_of_one(workspace) == results_of_one(finished)


def test_a_second_run_in_the_same_folder_is_refused(finished: Workspace, workspace: Workspace) -> None:
    process = workspace.start(*ONE, "--until", "activations")
    while not (workspace.folder / ".snakemake/locks").is_dir() or not any(
        (workspace.folder / ".snakemake/locks").iterdir()
    ):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    assert "lock" in workspace.snakemake(status=1).lower()
    assert "another run is alive in this folder" in workspace.snakemake("--quiet", "all", status=1)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    made = results_of_one(workspace, least=5)
    assert made.items() <= results_of_one(finished).items()
    assert any("activations" in name for name in made)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("config/studies/thesis-test.yaml", "draws: 64", "drwas: 64", "drwas"),
        ("config/studies/thesis-test.yaml", "draws: 64", "draws: many", "many"),
        ("config/studies/thesis-test.yaml", "draws: 64", "draws: -1", "-1"),
        ("config/studies/thesis-test.yaml", "model: vae-test", "model: vae-tset", "vae-tset"),
        ("config/models/vae-test.yaml", "dataset: digits", "dataset: digitz", "digitz"),
    ],
)
def test_bad_config_stops_before_any_job(workspace: Workspace, file: str, old: str, new: str, sentence: str) -> None:
    path = workspace.folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    output = workspace.snakemake(status=1)
    lines = [line for line in output.splitlines() if sentence in line]
    assert len(lines) == 1, output
    assert file in lines[0]
    assert "Traceback" not in output
    assert not workspace.results()


def test_no_network_and_no_mirror_is_one_sentence(workspace: Workspace) -> None:
    entry = workspace.folder / "config/datasets/digits.yaml"
    text = re.sub(r"package:[^\s\"\]]+", "http://127.0.0.1:9/digits.csv.gz", entry.read_text())
    entry.write_text(text)
    output = workspace.snakemake("--config", "studies=[thesis-test]", status=1)
    assert "INTERNEURON_MIRROR" in output
    assert "http://127.0.0.1:9/digits.csv.gz" in output
    assert not workspace.results()
