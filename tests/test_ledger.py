"""The kept ledger: merging, stale marks, the README's table, and the command."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interneuron.claims import COLUMNS
from interneuron.errors import InputError
from interneuron.workflow import command, config, ledger
from interneuron.workflow.fingerprint import Fingerprints
from interneuron.workflow.ledger import BEGIN, END, KEPT, Row
from interneuron.workflow.statements import statements

ROOT = Path(__file__).resolve().parent.parent


def row(study: str = "s", claim: str = "T1", code: str = "now", **values: str) -> Row:
    """A row of results/claims.tsv."""
    usual = {
        "says": "paper",
        "statement": claim,
        "source": "hui2022, p. 1",
        "states": "three clusters",
        "reported": "3",
        "holds_if": "median == 3",
        "measured": "3.0",
        "low": "3.0",
        "high": "4.0",
        "interval": "95%",
        "n": "10",
        "share": "0.8",
        "verdict": "holds",
        "values": "3 3 3 3 3 3 3 3 4 4",
        "seeds": "0-9",
        "of": "10",
    }
    return dict.fromkeys(COLUMNS, "") | usual | {"study": study, "claim": claim, "code": code} | values


def kept(**values: str) -> Row:
    return row(**values) | {"commit": "c0", "versions": "v0", "stale": "no"}


CODES = {"s": "now", "t": "now"}


def test_new_rows_replace_those_of_their_studies_and_leave_the_others() -> None:
    """A claim that the study no longer makes goes: its row could never be current again."""
    before = [kept(claim="T1", measured="1"), kept(claim="T2"), kept(study="t", claim="T1")]
    rows = ledger.merge(before, [row(claim="T1", values="2"), row(claim="T3")], CODES, "c1", "v1")
    assert [(r["study"], r["claim"], r["values"], r["commit"]) for r in rows] == [
        ("s", "T1", "2", "c1"),
        ("s", "T3", row()["values"], "c1"),
        ("t", "T1", row()["values"], "c0"),
    ]


def test_rows_of_old_code_and_of_gone_studies_are_stale() -> None:
    rows = ledger.renewed([kept(study="t", code="then"), kept(study="gone"), kept(claim="T2")], CODES, {})
    assert [(r["study"], r["claim"], r["stale"]) for r in rows] == [
        ("gone", "T1", "yes"),
        ("s", "T2", "no"),
        ("t", "T1", "yes"),
    ]
    assert all(tuple(r) == KEPT for r in rows)


def test_stale_rows_come_back_with_their_code() -> None:
    rows = ledger.renewed([kept(code="then") | {"stale": "yes"}], {"s": "then"}, {})
    assert rows[0]["stale"] == "no"


STATED: dict[str, dict[str, Any]] = {
    "s": {
        "T1": {
            "says": "question",
            "statement": "T",
            "reading": "3 draws",
            "why": None,
            "states": "four clusters",
            "reported": "4",
            "holds_if": "median == 4",
        }
    }
}


def test_words_and_verdicts_are_given_anew_where_the_values_are_current() -> None:
    (found,) = ledger.renewed([kept()], CODES, STATED)
    keys = ("says", "statement", "reading", "states", "holds_if", "verdict", "measured", "share", "note")
    assert [found[key] for key in keys] == [
        *("question", "T", "3 draws", "four clusters", "median == 4", "fails", "3.0", "0.2", "")
    ]
    assert ledger.renewed([found], CODES, STATED) == [found]
    same = STATED["s"]["T1"] | {"holds_if": None, "reported": "9"}
    (number,) = ledger.renewed([kept()], CODES, {"s": {"T1": same}})
    assert (number["verdict"], number["share"], number["holds_if"]) == ("beyond", "", "")


def test_stale_rows_keep_their_verdict_and_what_it_was_about() -> None:
    (found,) = ledger.renewed([kept(code="then")], CODES, STATED)
    assert (found["says"], found["statement"], found["reading"]) == ("question", "T", "3 draws")
    assert (found["states"], found["holds_if"], found["verdict"]) == ("three clusters", "median == 3", "holds")


def test_values_that_are_the_same_keep_their_commit() -> None:
    once = [r | {"stale": "no"} for r in ledger.merge([], [row()], CODES, "c1", "v1")]
    assert ledger.merge(once, [row(states="other words")], CODES, "c2", "v1")[0]["commit"] == "c1"
    assert ledger.merge(once, [row()], CODES, "c2", "v2")[0]["commit"] == "c2"
    assert ledger.merge(once, [row(values="4")], CODES, "c2", "v1")[0]["commit"] == "c2"


def test_rows_of_other_code_are_refused() -> None:
    with pytest.raises(InputError, match="the claims of s come from other code or config than the current"):
        ledger.merge([], [row(code="then")], CODES, "c1", "v1")


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = ledger.merge([], [row(states='says "so",\tand more', measured="0.1000")], CODES, "c1", "v1")
    path = tmp_path / "ledger.tsv"
    path.write_text(ledger.text(rows))
    assert ledger.read(path, KEPT) == rows


@pytest.mark.parametrize(
    ("content", "lacks"),
    [
        ("study\tclaim\n", "it lacks the columns says, statement"),
        ("\t".join(KEPT) + "\na\tb\n", "it lacks the same number of values"),
        ("\t".join(KEPT) + '\na\t"b\n', "unexpected end of data"),
        ("\xff", "'utf-8' codec can't decode byte"),
    ],
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, content: str, lacks: str) -> None:
    path = tmp_path / "ledger.tsv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=f"is no ledger of claims: {lacks}"):
        ledger.read(path, KEPT)
    with pytest.raises(InputError, match="does not exist"):
        ledger.read(tmp_path / "absent.tsv")


def test_versions_name_python_and_the_packages() -> None:
    names = [part.split()[0] for part in ledger.versions().split(", ")]
    assert names == ["python", "torch", "numpy", "scipy", "scikit-learn", "snakemake"]


@pytest.mark.parametrize("width", [100, 120, 160])
def test_the_terminal_table_fits_and_says_all(width: int) -> None:
    rows = [
        row(claim=f"T{i}-a-claim-with-a-name", states="a long statement of what was found " * 4, reported="5 to 11")
        for i in range(4)
    ] + [row(study="t", verdict="not comparable", measured="", low="", high="", share="", interval="", n="0")]
    text = ledger.terminal(rows, width)
    lines = text.splitlines()
    assert lines[0] == "Of the papers: 5 statements: 4 hold, 1 not comparable"
    asked = ledger.terminal([row(says="question")], width).splitlines()
    assert asked[0] == "Of our own: 1 control or question: 1 holds"
    assert ledger.terminal([], width) == "No claims."
    assert max(map(len, lines)) <= width
    assert "s: 4 claims: 4 hold" in lines
    assert all(r["claim"] in text for r in rows)
    assert text.count("3 [3, 4]") == 4
    assert text.count("80%") == 4
    assert " ".join(text.split()).count("holds") >= 4


def test_the_pages_have_a_row_a_paper_and_a_row_a_statement() -> None:
    rows = [
        kept(claim="T1", statement="T1"),
        kept(claim="a", statement="T6", verdict="holds"),
        kept(claim="b", statement="T6", verdict="fails", why="the sweep ends too early"),
        kept(study="t", claim="c", statement="T6", reading="3 draws", verdict="holds", reported="4"),
        kept(claim="N", statement="N", holds_if="", verdict="beyond"),
        kept(study="t", claim="T9", statement="T9", states="a | b", verdict="fails") | {"stale": "yes"},
        kept(claim="Q", says="question", source="interneuron", states="why not"),
    ]
    project: Any = SimpleNamespace(studies={"s": SimpleNamespace(title="Digits | turned")})
    table = ledger.summary(rows)
    assert "| [hui2022](docs/ledger.md#hui2022) | 3 | 1 | 0 | 1 | 1 | 1 | 0 | 1 | 0 |" in table
    assert "[our own](docs/ledger.md#controls-and-questions): 1 control or question: 1 holds." in table
    assert "*Stale*" in table
    page = ledger.page_of_claims(rows, project)
    assert (
        "\n## hui2022\n\n4 statements: 1 holds, 1 holds in some readings, 1 fails, 1 beyond the seeds' range.\n" in page
    )
    assert "| T1 | three clusters | 3 | 3 [3, 4] | **holds** |" in page
    assert (
        "| T6 | three clusters (and 1 more) |  | s: 1 of 2 holds in part<br>3 draws: 3 [3, 4] holds "
        "| **in some readings**<br>the sweep ends too early |"
    ) in page
    assert "| T9 | a \\| b | 3 | 3 [3, 4] | **fails** (stale) |" in page
    assert "\n### s\n\nDigits | turned. 1 claim: 1 holds.\n" in page
    assert "| Q | why not | 3 | 3 [3, 4] | **holds** |" in page
    assert "Stale" not in ledger.summary(rows[:2]) + ledger.page_of_claims(rows[:2], project)
    assert ledger.summary([]) == "No claim has been tested yet."


# in a repository


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed repository with one study `s`, whose code is `now`, and a run's claims."""
    project = SimpleNamespace(studies={"s": SimpleNamespace(title="Digits | turned", stated=list)})
    monkeypatch.setattr(config, "load_all", lambda root: project)
    monkeypatch.setattr(ledger, "codes_of", lambda project, root: CODES)
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "interneuron/nets.py": "x = 1\n",
        "README.md": f"# Title\n\n{BEGIN}\nformer\n{END}\n\nThe end.\n",
        ".gitignore": "results/\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "docs").mkdir()
    claims(tmp_path, [row(), row(claim="T2", verdict="fails")])
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def claims(root: Path, rows: list[Row]) -> None:
    lines = ["\t".join(COLUMNS), *("\t".join(r[column] for column in COLUMNS) for r in rows)]
    (root / "results").mkdir(exist_ok=True)
    (root / "results/claims.tsv").write_text("\n".join(lines) + "\n")


def test_the_command_keeps_the_ledger_and_the_readme(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["ledger"]) == 0
    assert "2 of 2 rows are new or changed" in capsys.readouterr().out
    rows = ledger.read(repository / "docs/ledger.tsv", KEPT)
    assert {r["commit"] for r in rows} == {git(repository, "rev-parse", "--short=12", "HEAD")}
    assert {r["versions"] for r in rows} == {ledger.versions()}
    page = (repository / "README.md").read_text()
    assert page.startswith(f"# Title\n\n{BEGIN}\n| paper | statements |")
    assert page.endswith(f"\n{END}\n\nThe end.\n")
    assert "| [hui2022](docs/ledger.md#hui2022) | 2 | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |" in page
    assert "## hui2022" in (repository / "docs/ledger.md").read_text()
    assert "<title>three clusters (median == 3)</title>" in (repository / "docs/ledger.svg").read_text()
    assert "former" not in page
    # Again, after a commit of what it wrote: nothing changes.
    written = (repository / "docs/ledger.tsv").read_bytes()
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Ledger")
    assert command.main(["ledger"]) == 0
    assert "0 of 2 rows are new or changed" in capsys.readouterr().out
    assert (repository / "docs/ledger.tsv").read_bytes() == written
    assert command.main(["ledger", "--check"]) == 0


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [("README.md", "| 1 | 0 | 0 | 1 |"), ("docs/ledger.md", "**holds**"), ("docs/ledger.svg", "3 [3, 4]")],
)
def test_a_page_that_says_something_else_is_noticed(
    repository: Path, name: str, verdicts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["ledger"]) == 0
    page = repository / name
    assert verdicts in page.read_text()
    page.write_text(page.read_text().replace(verdicts, "| 2 | 0 | 0 | 0 |"))
    assert command.main(["ledger", "--check"]) == 1
    assert f"{name} does not show what docs/ledger.tsv has" in capsys.readouterr().err
    assert command.main(["ledger", "--refresh"]) == 0
    assert command.main(["ledger", "--check"]) == 0


def test_old_stale_marks_are_noticed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["ledger"]) == 0
    monkeypatch.setattr(ledger, "codes_of", lambda project, root: {"s": "later"})
    assert command.main(["ledger", "--check"]) == 1
    assert "the stale marks, words or verdicts of docs/ledger.tsv are not those of the current code and entries: " in (
        capsys.readouterr().err
    )
    assert command.main(["ledger", "--refresh"]) == 0
    assert command.main(["ledger", "--check"]) == 0
    assert {r["stale"] for r in ledger.read(repository / "docs/ledger.tsv", KEPT)} == {"yes"}


@pytest.mark.parametrize("name", ["interneuron/nets.py", "interneuron/new.py", "Snakefile", "config/config.yaml"])
def test_code_that_is_not_committed_is_refused(repository: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("x = 2\n")
    assert command.main(["ledger"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: the code is not as committed ({name}): commit first")
    assert not (repository / "docs/ledger.tsv").exists()
    assert "former" in (repository / "README.md").read_text()


def test_other_files_may_differ_from_the_commit(repository: Path) -> None:
    (repository / "notes.md").write_text("notes")
    assert command.main(["ledger"]) == 0


def test_a_readme_without_a_place_is_refused_before_anything_is_written(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "README.md").write_text("# Title\n")
    assert command.main(["ledger"]) == 1
    assert "README.md has no place for the ledger" in capsys.readouterr().err
    assert not (repository / "docs/ledger.tsv").exists()


def test_a_ledger_that_has_not_begun_is_said_to_be_empty(repository: Path) -> None:
    assert command.main(["ledger", "--check"]) == 1
    assert command.main(["ledger", "--refresh"]) == 0
    assert command.main(["ledger", "--check"]) == 0
    assert f"{BEGIN}\nNo claim has been tested yet.\n{END}" in (repository / "README.md").read_text()


def test_the_command_prints_the_ledger(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["claims"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Of the papers: 2 statements: 1 holds, 1 fails\n")
    assert "has not been written" in out
    (repository / "results/report.html").write_text("")
    assert command.main(["claims"]) == 0
    assert f"The report: {repository / 'results/report.html'}" in capsys.readouterr().out
    assert command.main(["claims", "--file", "absent.tsv"]) == 1
    assert capsys.readouterr().err.startswith("error: absent.tsv does not exist")


@pytest.mark.parametrize("arguments", [["--help"], ["claims", "--help"], ["ledger", "--help"], ["docs", "--help"]])
def test_help_is_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        command.main(arguments)
    assert status.value.code == 0
    assert len(capsys.readouterr().out) > 100


# the fingerprint of a row


FINGERPRINTS = Fingerprints(ROOT)


def codes(change: dict[str, Any] | None = None, kind: str = "studies") -> str:
    """`code_of` thesis-test, with some keys of an entry changed."""
    project = config.load(ROOT / "config/test.yaml", ROOT)
    study = project.studies["thesis-test"]
    if change:
        entries = {"studies": project.studies, "models": project.models, "datasets": project.datasets}[kind]
        dataset = project.models[study.model].dataset
        name = {"studies": "thesis-test", "models": study.model, "datasets": dataset}[kind]
        entries[name] = entries[name].model_copy(update=change)  # type: ignore[index]
    return ledger.code_of(project, "thesis-test", FINGERPRINTS)


def test_wording_makes_no_row_stale() -> None:
    assert codes({"title": "x", "summary": "x", "paper": "x", "section": "x", "figures": []}) == codes()
    assert codes({"title": "x"}, "models") == codes({"title": "x", "source": "x"}, "datasets") == codes()


def test_parameters_make_rows_stale() -> None:
    study = config.load(ROOT / "config/test.yaml", ROOT).studies["thesis-test"]
    assert study.activations is not None
    changed = study.activations.model_copy(update={"draws": 41})
    model = {"iterations": 7}
    seeds = {"seeds": 1000}
    taken = [codes(), codes({"activations": changed}), codes(model, "models"), codes(seeds, "models")]
    assert len(set(taken)) == 4


def test_claims_make_rows_stale_by_what_they_take_only() -> None:
    study = config.load(ROOT / "config/test.yaml", ROOT).studies["thesis-test"]
    first, *others = [claim for claim in study.claims if claim.holds_if is not None]
    rest = [claim for claim in study.claims if claim is not first]
    assert others

    def with_first(**values: str) -> str:
        changed = first.model_copy(update=values)
        return codes({"claims": [changed if claim is first else claim for claim in study.claims]})

    words = {"states": "x", "source": "x", "reported": "x", "group": "x", "says": "control", "why": "x"}
    assert with_first(**words) == codes() == with_first(holds_if="median == 99")
    assert len({codes(), with_first(metric="x"), with_first(among="x"), codes({"claims": rest})}) == 4


def test_the_readme_shows_the_kept_ledger() -> None:
    ledger.check(ROOT, config.load_all(ROOT))


def test_every_failing_statement_of_a_paper_says_why() -> None:
    """As far as its rows are current: what is run again may come out otherwise."""
    rows = [row for row in ledger.read(ROOT / ledger.LEDGER, KEPT) if row["stale"] == "no"]
    silent = [
        f"{statement.by}: {statement.name}"
        for statement in statements(rows)
        if statement.verdict == "fails" and not statement.why
    ]
    assert not silent
