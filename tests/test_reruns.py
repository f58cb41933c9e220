"""The rerun matrix: each row is a change, and exactly the rules that have to run after it.

The rows that a dry run decides are all here; those that take a real run, or DVC, are marked `system`.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Workspace, copied

from interneuron.errors import InputError
from interneuron.workflow import locks, provenance, records
from interneuron.workflow.records import PROVENANCE

STUDY = "results/studies/thesis-test/000-001"
BELOW = {  # a rule, and all that read what it makes, directly or through others
    "report": {"report"},
    "claims": {"claims", "report"},
    "figures": {"figures", "report"},
    "evaluate": {"evaluate", "claims", "report"},
    "lesion": {"lesion", "evaluate", "figures", "claims", "report"},
    "cluster": {"cluster", "lesion", "evaluate", "figures", "claims", "report"},
    "ace": {"ace", "cluster", "lesion", "evaluate", "figures", "claims", "report"},
    "saliency": {"saliency", "evaluate", "figures", "claims", "report"},
    "active": {"active", "evaluate", "figures", "claims", "report"},
    "choose": {"choose", "evaluate", "figures", "claims", "report"},
    "audit": {"audit", "evaluate", "figures", "claims", "report"},
}
BELOW["structure"] = {"structure", "evaluate", "figures", "claims", "report"}
BELOW["weigh"] = BELOW["structure"] | {"weigh", "regularise"}
BELOW["shape"] = {"shape", "regions", "evaluate", "claims", "report"}
BELOW["influence"] = BELOW["choose"] | BELOW["audit"] | {"influence"}
BELOW["graph"] = BELOW["influence"] | {"graph"}
BELOW["embed"] = BELOW["active"] | {"embed"}
BELOW["link"] = BELOW["embed"] | {"link"}
BELOW["activations"] = BELOW["cluster"] | {"activations"}
BELOW["train"] = BELOW["activations"] | {"ace", "train"}
BELOW["prepare"] = BELOW["train"] | {"prepare"}
BELOW["download"] = BELOW["prepare"] | {"download"}
# Other rules that read the digits.
DIGITS = {"saliency", "graph", "influence", "choose", "audit", "classifier", "features", "attack"}
DIGITS |= {"weigh", "regularise", "structure"}
EVERYTHING = BELOW["download"] | BELOW["link"] | DIGITS | {"tabulate", "fit", "regions", "shape"}


def planned(workspace: Workspace, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule would run."""
    output = workspace.snakemake("-n", *arguments)
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[1].split("\n\n")[0]
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    return {rule: n for rule, n in jobs.items() if rule not in ("all", "total")}


class Folder(Workspace):
    """A finished workspace that a row of the matrix changes."""

    def __init__(self, finished: Workspace, folder: Path) -> None:
        self.__dict__ |= copied(finished, folder).__dict__

    def path(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text, f"{name} has no {old!r}"
        self.path(name).write_text(text.replace(old, new, 1))

    def flip(self, name: str) -> None:
        """Change the last byte of a file."""
        data = bytearray(self.path(name).read_bytes())
        data[-1] ^= 1
        self.path(name).write_bytes(data)

    def alter(self, name: str, remembered: bool = False) -> None:
        """Change a bit in place and keep the time; where it is `remembered`, as a disk rots: nothing tells."""
        file = self.path(name)
        before = file.stat()
        with file.open("r+b") as opened:
            opened.seek(before.st_size // 2)
            byte = opened.read(1)[0]
            opened.seek(before.st_size // 2)
            opened.write(bytes([byte ^ 1]))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        if remembered:
            memory = provenance.Folder(self.folder)
            memory.known[name][:-1] = [getattr(file.stat(), part) for part in provenance._SAME]
            memory.close()

    def refused(self, *names: str) -> None:
        """A run names the altered files, and no others, before anything is done; `verify` lists them."""
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        with pytest.raises(InputError, match=f"^{re.escape(min(names) + more)} is not as it was made: "):
            self.begin()
        assert provenance.verify(self.folder).altered == sorted(names)

    def begin(self) -> records.Findings:
        """What a run does first."""
        try:
            return provenance.begin(self.folder)
        finally:
            while locks._held:
                locks._held.pop().close()

    def touch_everything(self, seed: int) -> None:
        """Give all files times of the last days, in no order."""
        times = random.Random(seed)
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and ".snakemake" not in path.parts:
                then = time.time() - times.random() * 3e5
                os.utime(path, (then, then))


@pytest.fixture
def folder(first_finished: Workspace, tmp_path: Path) -> Folder:
    return Folder(first_finished, tmp_path)


def edits(*changes: tuple[str, str, str]) -> Callable[[Folder], None]:
    def change(folder: Folder) -> None:
        for name, old, new in changes:
            folder.edit(name, old, new)

    return change


def reformatted(folder: Folder) -> None:
    path = folder.path("interneuron/clustering.py")
    text = path.read_text()
    path.write_text(text.replace("\n\n\n", "\n\n").replace("    return ", "    return  "))
    assert path.read_text() != text


def second_study(folder: Folder) -> None:
    text = folder.path("config/studies/thesis-test.yaml").read_text()
    folder.path("config/studies/second-test.yaml").write_text(text)
    folder.edit("config/test.yaml", "  - thesis-test\n", "  - thesis-test\n  - second-test\n")


def clean(folder: Folder) -> None:
    """As `make clean` does."""
    for name in ("results", "data/prepared", "logs", ".snakemake"):
        shutil.rmtree(folder.path(name))


def moved_function(folder: Folder) -> None:
    """`distrust` goes into a file of its own; where it was, it is imported."""
    text = folder.path("interneuron/signals.py").read_text()
    cut = text[text.index("def distrust(") : text.index("def kernel_density(")]
    head = text[: text.index("Float64 =")]
    line = next(line for line in text.splitlines() if line.startswith("Float64 ="))
    folder.path("interneuron/distrusts.py").write_text(f"{head}{line}\n\n\n{cut}")
    place = "from interneuron.errors import InputError\n"
    text = text.replace(cut, "").replace(place, f"from interneuron.distrusts import distrust\n{place}")
    folder.path("interneuron/signals.py").write_text(text)


def renamed_module(folder: Folder) -> None:
    folder.path("interneuron/kernels.py").rename(folder.path("interneuron/kernel_functions.py"))
    for path in folder.path("interneuron").glob("*.py"):
        path.write_text(path.read_text().replace("interneuron.kernels", "interneuron.kernel_functions"))


def swapped(folder: Folder) -> None:
    """Two definitions change their names, and so their bodies."""
    path = folder.path("interneuron/similarity.py")
    text = (
        path.read_text()
        .replace("def individual_effects(", "def x(")
        .replace("def _activations(", "def individual_effects(")
    )
    path.write_text(text.replace("def x(", "def _activations("))


ENTRY = "config/studies/thesis-test.yaml"

# Row: what is done, rules that have to run.
ROWS: dict[str, tuple[Callable[[Folder], None], set[str]]] = {
    "nothing": (lambda folder: None, set()),
    "touch every file": (lambda folder: folder.touch_everything(1), set()),
    "edit a comment": (
        edits(("interneuron/clustering.py", "\n\n\n", "\n# nothing to do with it\n\n\n")),
        set(),
    ),
    "edit a docstring": (edits(("interneuron/clustering.py", '"""', '"""Well: ')), set()),
    "reformat a file": (reformatted, set()),
    "move a function into a file of its own": (moved_function, set()),
    "rename a module": (renamed_module, set()),
    "hoist an import": (
        edits(
            ("interneuron/gsr_metrics.py", "    from interneuron import coactivation, tensor_checks\n", ""),
            ("interneuron/gsr_metrics.py", "import checks,", "import checks, coactivation, tensor_checks,"),
        ),
        set(),
    ),
    "import what nothing uses": (
        edits(
            (
                "interneuron/data.py",
                "import codecs\n",
                "import codecs\nimport colorsys\n\nimport interneuron.lattices\n",
            )
        ),
        set(),
    ),
    "swap the bodies of two definitions": (swapped, BELOW["cluster"]),
    "change a library function that one rule uses": (
        edits(
            ("interneuron/clustering.py", "def sweep(", "def sweep(*, unused=1, **options):\n    pass\n\n\ndef sweep(")
        ),
        BELOW["cluster"],
    ),
    "change a library function that many rules use": (
        edits(
            (
                "interneuron/io/files.py",
                "    path = Path(path)\n    temporary",
                "    path = Path(str(path))\n    temporary",
            )
        ),
        EVERYTHING,
    ),
    "change a library function that nothing uses": (
        edits(("interneuron/similarity.py", "\ndef ", "\ndef unused(x: float) -> float:\n    return x + 1\n\n\ndef ")),
        set(),
    ),
    "add an architecture": (
        edits(("interneuron/nets.py", '"judge": Judge', '"judge": Judge, "other": ConditionalVAE')),
        set(),
    ),
    "change an architecture": (
        edits(
            ("interneuron/nets.py", "self.features = nn.Sequential(layers)", "self.features = nn.Sequential(*[layers])")
        ),
        BELOW["lesion"] | BELOW["saliency"] | {"train"},
    ),
    "change the network of a graph's nodes": (
        edits(("interneuron/graph_networks.py", "        if self.dropout == 0:", "        if self.dropout <= 0:")),
        BELOW["active"],
    ),
    "change the autoencoder of a graph": (
        edits(("config/studies/margin-active-test.yaml", "latents: 2", "latents: 3")),
        BELOW["embed"],
    ),
    "change the split of a graph": (
        edits(("config/datasets/karate.yaml", "split_seed: 0", "split_seed: 1")),
        BELOW["link"],
    ),
    "change a filter of signals": (
        edits(("interneuron/influence.py", "    smooth = signal\n", "    smooth = +signal\n")),
        BELOW["influence"] | BELOW["saliency"] | BELOW["active"] | BELOW["structure"],
    ),
    "change the neighbours of one study": (
        edits(("config/studies/margin-prototypes-test.yaml", "k: [5, 10]", "k: [6, 10]")),
        BELOW["graph"] - {"audit"},
    ),
    "change how an attack moves images": (
        edits(("interneuron/attacks.py", "x[part] + epsilon * slope.sign()", "x[part] - epsilon * -slope.sign()")),
        BELOW["graph"] - {"choose", "audit"} | {"attack", "features"},
    ),
    "change a measure of saliency": (
        edits(("interneuron/saliency.py", "    if c[-1] == 0:\n", "    if not c[-1]:\n")),
        BELOW["saliency"],
    ),
    "change a measure of structure": (
        edits(
            (
                "interneuron/structure.py",
                "def quotient_test(",
                "def quotient_test(*, unused=1, **options):\n    pass\n\n\ndef quotient_test(",
            )
        ),
        BELOW["structure"],
    ),
    "change the penalty of a graph": (
        edits(
            ("interneuron/regularization.py", "    stacked = z.ndim in (3, 5)\n", "    stacked = z.ndim in {3, 5}\n")
        ),
        BELOW["weigh"] | BELOW["shape"],
    ),
    "change the penalty of any network's layer": (
        edits(("interneuron/shaped_training.py", "        if len(runs) != 1:\n", "        if not len(runs) == 1:\n")),
        BELOW["shape"],
    ),
    "change what weights are chosen on": (
        edits(("config/models/map-test.yaml", "hold_out: 200", "hold_out: 201")),
        BELOW["weigh"],
    ),
    "change the script of one rule": (
        edits(("scripts/lesion.py", "def main(job):\n", "def main(job):\n    print()\n")),
        BELOW["lesion"],
    ),
    "change a param": (edits((ENTRY, "count: 6", "count: 7")), BELOW["cluster"]),
    "swap two params": (edits((ENTRY, "draws: 64, replicates: 4", "draws: 4, replicates: 64")), BELOW["ace"]),
    "add a study": (second_study, BELOW["activations"] | {"ace"}),
    "add a block of seeds": (edits(("config/models/vae-test.yaml", "seeds: 4", "seeds: 6")), BELOW["train"]),
    "other bytes upstream": (
        edits(("config/datasets/digits.yaml", "sha256: 09f66e", "sha256: 19f66e")),
        BELOW["download"] | DIGITS,
    ),
    "delete a middle result": (lambda folder: folder.path(f"{STUDY}/clusters.parquet").unlink(), BELOW["cluster"]),
    "delete all but the raw data": (clean, EVERYTHING - {"download"}),
    "delete the record": (lambda folder: folder.path(PROVENANCE).unlink(), EVERYTHING - {"download"}),
    "cut the record": (lambda folder: os.truncate(folder.path(PROVENANCE), 100_000), EVERYTHING - {"download"}),
    "delete the memory of hashes": (lambda folder: folder.path(".snakemake/interneuron.json").unlink(), set()),
    "delete a figure": (
        lambda folder: folder.path("results/studies/thesis-test/figures/kl.png").unlink(),
        BELOW["figures"],
    ),
    "change a plotting function": (
        edits(("interneuron/thesis_plots.py", "def kl(", "def kl(*, other=1):\n    pass\n\n\n@styled\ndef kl(")),
        BELOW["figures"],
    ),
    "change a claim's text": (edits((ENTRY, "exactly one latent changes", "just one latent changes")), BELOW["claims"]),
    "change a study's title": (edits((ENTRY, "The smallest whole", "The least")), BELOW["report"]),
    "upgrade a pinned package": (edits(("requirements.lock", "\npandas==", "\npandas==9")), set()),
    "change the workflow's own code": (
        edits(
            ("interneuron/workflow/why.py", "MOST = 5", "MOST = 6"), ("Snakefile", "rule all", "# all of it\nrule all")
        ),
        set(),
    ),
    "change the library's loader": (
        edits(("interneuron/__init__.py", '"capture",\n', '"capture",\n    "capture",\n')),
        set(),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_change_reruns_exactly_what_it_must(folder: Folder, row: str) -> None:
    change, rules = ROWS[row]
    change(folder)
    assert set(planned(folder)) == rules


def test_jobs_are_no_more_than_those_that_must(folder: Folder) -> None:
    """Beside the rules, the number of their jobs: other seeds, other figures and other studies are left."""
    folder.edit("config/models/vae-test.yaml", "seeds: 4", "seeds: 6")
    jobs = planned(folder)
    steps = ("train", "activations", "ace", "cluster", "lesion", "evaluate", "claims", "report")
    assert [jobs[rule] for rule in steps] == [1] * len(steps)
    folder.edit("config/models/vae-test.yaml", "seeds: 6", "seeds: 4")
    folder.edit("interneuron/thesis_plots.py", "def kl(", "def kl(*, other=1):\n    pass\n\n\n@styled\ndef kl(")
    assert planned(folder) == {"figures": 1, "report": 1}


def test_a_study_that_is_removed_reruns_the_ledger_and_the_report(folder: Folder) -> None:
    second_study(folder)
    folder.snakemake("--until", "activations")
    folder.edit("config/test.yaml", "  - second-test\n", "")
    assert planned(folder) == {}
    folder.edit("config/test.yaml", "title: Interneuron's", "title: The")
    assert set(planned(folder)) == BELOW["report"]


def test_under_the_strict_mode_an_upgrade_reruns_everything(folder: Folder) -> None:
    folder.edit("config/test.yaml", "studies:", "strict: true\nstudies:")
    assert set(planned(folder)) == EVERYTHING
    before = folder.results()
    one = ("--until", "prepare", "tabulate")
    folder.snakemake(*one)
    after = folder.results()
    assert {name for name in before if before[name] != after[name]} == {"results/provenance.jsonl"}
    assert planned(folder, *one) == {}
    folder.edit("requirements.lock", "\npandas==", "\npandas==9")
    assert set(planned(folder)) == EVERYTHING


def test_a_corrupted_result_is_named_and_refused(folder: Folder) -> None:
    name = f"{STUDY}/clusters.parquet"
    good = folder.path(name).read_bytes()
    folder.flip(name)
    for command in (
        ["snakemake", "--configfile", "config/test.yaml"],
        ["interneuron", "verify"],
        ["interneuron", "restore"],
    ):
        output = folder.run(*command, status=1)
        sentences = [line for line in output.splitlines() if line.startswith("error: ")]
        assert len(sentences) == 1, output
        assert name in sentences[0]
        assert "Traceback" not in output
    bad = folder.path(name).read_bytes()
    folder.path(name).write_bytes(good)
    assert planned(folder) == {}
    folder.path(name).write_bytes(bad)
    folder.path(name).unlink()
    assert set(planned(folder)) == BELOW["cluster"]


def test_a_changed_byte_of_raw_data_is_named_and_refused(folder: Folder) -> None:
    folder.flip("data/raw/digits/digits.csv.gz")
    assert "data/raw/digits/digits.csv.gz is not as it was made" in folder.snakemake("-n", status=1)
    folder.path("data/raw/digits/digits.csv.gz").unlink()
    assert set(planned(folder)) == BELOW["download"] | DIGITS


KINDS = (
    "data/raw/digits/digits.csv.gz",
    "data/prepared/digits.safetensors",
    "results/models/vae-test/000-001/weights.safetensors",
    f"{STUDY}/clusters.parquet",
    "results/studies/thesis-test/figures/kl.png",
    "results/claims.tsv",
    "results/report.html",
)


def test_bits_flipped_in_place_are_refused_and_never_recorded(folder: Folder) -> None:
    """Each kind of file keeps its time; then a file is restored, the memory of hashes lost, the folder copied."""
    record = folder.path(PROVENANCE).read_bytes()
    for name in KINDS:
        folder.alter(name)
        folder.refused(name)
        folder.alter(name)
    assert folder.begin().altered == []
    for name in KINDS:
        folder.alter(name)
    for command in ("snakemake --configfile config/test.yaml", "interneuron verify", "interneuron restore --trust"):
        output = folder.run(*command.split(), status=1)
        sentence = f"error: {min(KINDS)} (and {len(KINDS) - 1} more) is not as it was made: "
        assert [line.startswith(sentence) for line in output.splitlines() if line.startswith("error: ")] == [True]
    for name in (f"{STUDY}/sweep.parquet", *KINDS):  # one that is right, and the altered ones, with their times
        shutil.copy2(folder.path(name), folder.path("backup"))
        folder.path("backup").replace(folder.path(name))
        folder.refused(*KINDS)
    folder.path(".snakemake/interneuron.json").unlink()
    folder.refused(*KINDS)
    for how in ("-a", "-r"):
        copy = Folder.__new__(Folder)
        copy.folder = folder.folder.with_name(f"{folder.folder.name}{how}")
        copy.environment = folder.environment | {"PYTHONPATH": str(copy.folder)}
        folder.run("cp", how, str(folder.folder), str(copy.folder))
        copy.refused(*KINDS)
    for name in KINDS:
        copy.alter(name)  # back
    assert planned(copy) == {}
    assert provenance.verify(copy.folder).altered == []
    shutil.rmtree(folder.path(".snakemake"))
    folder.refused(*KINDS)
    assert folder.path(PROVENANCE).read_bytes() == record


def test_no_job_computes_from_bytes_that_rotted_without_a_sign(folder: Folder) -> None:
    name = f"{STUDY}/metrics.parquet"
    folder.alter(name, remembered=True)
    folder.edit(ENTRY, "exactly one latent changes", "just one latent changes")
    assert f"claims: error: {name} is not as it was made: " in folder.snakemake(status=1)
    assert provenance.verify(folder.folder).altered == [name]
    assert not folder.path("results/claims.tsv").exists()
    folder.path(name).unlink()
    assert set(planned(folder)) == BELOW["evaluate"]


def test_results_without_a_record_are_made_again_or_taken_over(folder: Folder) -> None:
    record = folder.path(PROVENANCE).rename(folder.path("record"))
    every = set(folder.results())
    assert set(provenance.verify(folder.folder).unproved) == every
    said = f"has no record of what made it ({PROVENANCE} does not exist)"
    assert f" {said}: " in folder.run("interneuron", "verify", status=1)
    assert f"warning: data/prepared/boolean-test.safetensors (and {len(every) - 2} more) {said}: " in folder.snakemake(
        "--until", "link"
    )
    rest = every - {"data/prepared/karate.safetensors", KINDS[0]}  # made again, and proved by its published hash
    assert set(provenance.verify(folder.folder).unproved) == rest
    why = folder.run("interneuron", "why", "--configfile", "config/test.yaml")
    assert f"  {STUDY}/clusters.parquet has no record of what made it\n" in why
    taken = folder.run("interneuron", "restore", "--trust")
    assert set(re.findall("^trusted: (.*)$", taken, re.M)) == rest
    assert f"{len(every)} results have the recorded bytes" in folder.run("interneuron", "verify")
    assert planned(folder) == {}
    folder.alter(f"{STUDY}/clusters.parquet")
    folder.refused(f"{STUDY}/clusters.parquet")
    folder.alter(f"{STUDY}/clusters.parquet")
    record.replace(folder.path(PROVENANCE))
    assert len(folder.begin().right) == len(every)


def test_results_that_came_from_elsewhere_are_taken_by_their_records(folder: Folder) -> None:
    """A clone: no memory of Snakemake's, times in no order."""
    for seed in range(3):
        shutil.rmtree(folder.path(".snakemake"))
        folder.touch_everything(seed)
        assert planned(folder) == {}
    shutil.rmtree(folder.path(".snakemake"))
    folder.edit(ENTRY, "count: 6", "count: 7")
    assert set(planned(folder)) == BELOW["cluster"]


def test_why_says_what_has_changed(folder: Folder) -> None:
    def why() -> str:
        return folder.run("interneuron", "why", "--configfile", "config/test.yaml")

    assert why() == "Nothing would run: everything is there and up to date.\n"
    folder.edit(ENTRY, "count: 6", "count: 7")
    folder.edit(
        "interneuron/nets.py", "self.features = nn.Sequential(layers)", "self.features = nn.Sequential(*[layers])"
    )
    folder.path("results/studies/thesis-test/figures/kl.png").unlink()
    folder.edit("config/models/vae-test.yaml", "seeds: 4", "seeds: 6")
    output = why()
    assert output.startswith("33 jobs would run:\n")
    for lines in (
        "train judge-test 000-000\n  interneuron.nets.Judge has changed\n",
        "train vae-test 004-005\n  results/models/vae-test/004-005/weights.safetensors has not been made yet\n",
        "cluster thesis-test 000-001, 002-003\n  preferences.count went from 6 to 7\n",
        "  results/studies/thesis-test/figures/kl.png has been removed\n",
        "  it reads results/models/vae-test/004-005/training.parquet now\n",
        "  follows cluster thesis-test 000-001, 002-003, 004-005\n",
    ):
        assert lines in output
    assert max(map(len, output.splitlines())) < 400
    assert not [line for line in output.splitlines() if "000-001" in line and "activations" in line]
    assert "titel is no known key" in folder.run("interneuron", "why", "--config", "titel=x", status=1)


def test_another_config_and_back_reruns_nothing(folder: Folder) -> None:
    """As a checkout of another branch does: files change, and change back, with new times."""
    folder.edit(ENTRY, "count: 6", "count: 7")
    assert set(planned(folder)) == BELOW["cluster"]
    folder.edit(ENTRY, "count: 7", "count: 6")
    folder.touch_everything(2)
    assert planned(folder) == {}


def test_results_of_another_run_are_known_by_their_records(folder: Folder) -> None:
    """As `dvc checkout` of another commit's results does: all bytes and the record change together."""
    old = folder.path("results").rename(folder.path("old"))
    shutil.copytree(old, folder.path("results"))
    folder.edit(ENTRY, "count: 6", "count: 7")
    folder.snakemake("--until", "cluster")
    assert set(planned(folder)) == BELOW["cluster"] - {"cluster"}
    shutil.rmtree(folder.path("results"))
    shutil.copytree(old, folder.path("results"))
    assert set(planned(folder)) == BELOW["cluster"]
    folder.edit(ENTRY, "count: 7", "count: 6")
    assert planned(folder) == {}


def test_a_run_without_the_default_profile_is_told_so(folder: Folder) -> None:
    folder.path("results/report.html").unlink()
    output = folder.snakemake("--profile", "none", "--workflow-profile", "none", "--cores", "1")
    assert output.count("warning: this run lacks the settings of profiles/default") == 1
    folder.path("results/report.html").unlink()
    assert "warning: " not in folder.snakemake()


# with real runs

MADE = {  # a file of each rule
    "download": "data/raw/digits/digits.csv.gz",
    "prepare": "data/prepared/digits.safetensors",
    "tabulate": "data/prepared/boolean-test.safetensors",
    "train": "results/models/vae-test/000-001/weights.safetensors",
    "fit": "results/models/mlp-test/000-001/weights.safetensors",
    "regions": "results/studies/relu-test/000-001/regions.parquet",
    "shape": "results/models/mlp-shaped-test/000-001/weights.safetensors",
    "weigh": "results/models/map-test/choice.parquet",
    "regularise": "results/models/map-test/000-001/runs.safetensors",
    "structure": "results/studies/gsr-map-test/000-001/structure.parquet",
    "link": "data/prepared/karate.safetensors",
    "embed": "results/studies/margin-active-test/000-001/embedding.safetensors",
    "active": "results/studies/margin-active-test/000-001/active.parquet",
    "classifier": "results/models/cnn-test/000-001/weights.safetensors",
    "attack": "results/studies/margin-attacks-test/000-001/attacks.safetensors",
    "features": "results/studies/margin-boundaries-test/000-001/features.safetensors",
    "graph": "results/studies/margin-labels-test/000-001/graph.npz",
    "influence": "results/studies/margin-labels-test/000-001/influence.parquet",
    "choose": "results/studies/margin-prototypes-test/000-001/chosen.parquet",
    "audit": "results/studies/margin-labels-test/000-001/audited.parquet",
    "saliency": "results/studies/margin-saliency-test/000-001/saliency.parquet",
    "activations": f"{STUDY}/activations.safetensors",
    "ace": f"{STUDY}/ace.safetensors",
    "cluster": f"{STUDY}/clusters.parquet",
    "lesion": f"{STUDY}/null.parquet",
    "evaluate": f"{STUDY}/metrics.parquet",
    "figures": "results/studies/thesis-test/figures/sizes.png",
    "claims": "results/claims.tsv",
    "report": "results/report.html",
}


@pytest.mark.system
def test_killed_in_the_middle_of_each_rule_a_run_goes_on_to_the_same_bytes(
    first_finished: Workspace, workspace: Workspace
) -> None:
    for rule, made in MADE.items():
        (workspace.folder / made).unlink(missing_ok=True)  # another rule's job may have been let through before
        log = workspace.folder / "logs" / rule
        if log.exists():
            shutil.rmtree(log)
        process = workspace.start("snakemake", "--configfile", "config/test.yaml", "--cores", "1")
        while not list(log.rglob("*.log")):
            assert process.poll() is None, f"{rule}: {process.communicate()[0]}"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        subprocess.run(["pkill", "-9", "-f", f"{workspace.folder}/"], check=False)
    assert set(MADE) == EVERYTHING
    workspace.snakemake()
    assert workspace.results() == first_finished.results()
    assert planned(workspace) == {}
