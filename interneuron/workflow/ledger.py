"""The ledger that is kept: `docs/ledger.tsv`, a row a claim over all runs, and the pages that people read.

A row keeps the values that a claim took from the metrics, one a seed. What the claim says and the verdict are of its
entry as that is now: they are given anew with every merge and refresh, and need no run.
"""

import csv
import io
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from interneuron.claims import BEYOND, COLUMNS, FAILS, HOLDS, IN_PART, NOT_COMPARABLE, SOME_READINGS, WITHIN, judged
from interneuron.errors import InputError
from interneuron.workflow.config import Project
from interneuron.workflow.fingerprint import Fingerprints, digest
from interneuron.workflow.statements import Statement, counted, measured, own, statements
from interneuron.workflow.strips import picture

Row = dict[str, str]

LEDGER = "docs/ledger.tsv"
PAGE = "docs/ledger.md"
KEPT = (*COLUMNS, "commit", "versions", "stale")
PICTURE = "docs/ledger.svg"
BEGIN, END = "<!-- ledger -->", "<!-- /ledger -->"

# What decides results: a commit stands for the code that ran only while these are as committed.
CODE = ("interneuron", "scripts", "rules", "Snakefile", "config")
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "snakemake")


def code_of(project: Project, study: str, fingerprints: Fingerprints) -> str:
    """Fingerprint of everything that decides the values in a study's rows of the ledger.

    It covers the scripts of the steps that the study uses, from `download` to `evaluate`, how a claim takes its values
    from the metrics, and what its entry and the entries of its models and datasets tell those steps: parameters, seeds,
    hashes of the data, and what each claim takes (metric, rows). Titles, summaries, sources, addresses, figures and the
    wording of claims are left out, and so are conditions and the judge: words and verdicts are given anew (`renewed`).
    """
    names = project.names(study)
    scripts = {step: fingerprints.of(step, names) for step in project.path(study)}
    taken = fingerprints.definition("interneuron.claims", "select")
    return digest({"scripts": scripts, "claims": taken, "inputs": project.inputs(study)})


def read(path: Path, columns: Iterable[str] = COLUMNS) -> list[Row]:
    """Rows of a ledger, every value as it is written. Raises InputError for a file that is missing or no ledger."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: `make run`, `make paper` or `snakemake` write it")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", strict=True)
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no ledger of claims: {error}") from None
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing or any(None in row or None in row.values() for row in rows):
        what = f"the columns {', '.join(missing)}" if missing else "the same number of values in every row"
        raise InputError(f"{path} is no ledger of claims: it lacks {what}")
    return rows


def text(rows: Iterable[Row]) -> str:
    """A kept ledger as the text of its file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, KEPT, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def versions() -> str:
    """Python and the packages that numbers come from: `python 3.11.2, torch 2.13.0, ...`."""
    found = [f"python {'.'.join(map(str, sys.version_info[:3]))}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            raise InputError(f"{package} is not installed: results are recorded where they were made") from None
    return ", ".join(found)


def commit(root: Path) -> str:
    """The commit that `root` is at. Raises InputError where the code there is not what was committed."""
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *CODE).splitlines()
    if changed:
        names = ", ".join(sorted({line[3:] for line in changed})[:5])
        raise InputError(f"the code is not as committed ({names}): commit first, since the ledger names the commit")
    return _git(root, "rev-parse", "--short=12", "HEAD").strip()


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise InputError("git is not installed: the ledger names the commit of the code that ran") from None
    except subprocess.CalledProcessError as error:
        raise InputError(f"git {arguments[0]} failed in {root}: {error.stderr.strip()}") from None
    return done.stdout


def merge(kept: Iterable[Row], new: Iterable[Row], codes: Mapping[str, str], commit: str, versions: str) -> list[Row]:
    """New rows in place of the kept ones of the same studies; those of others are left.

    `codes` is the current fingerprint of every study (`code_of`). Values that are the same keep their commit. Raises
    InputError where a new row was made by other code than the current one: `commit` would not be the code that ran.
    """
    before = {(row["study"], row["claim"]): row for row in kept}
    rows: dict[tuple[str, str], Row] = {}
    for row in new:
        if row["code"] != codes.get(row["study"]):
            raise InputError(
                f"the claims of {row['study']} come from other code or config than the current: run its config again"
            )
        old = before.get((row["study"], row["claim"]), {})
        same = old and old["versions"] == versions and all(old[key] == row[key] for key in ("values", "seeds", "code"))
        stamp = old["commit"] if same else commit
        rows[row["study"], row["claim"]] = {**row, "commit": stamp, "versions": versions, "stale": "no"}
    again = {study for study, _ in rows}  # a study's claims come together: those that it no longer makes go
    return [*rows.values(), *(row for (study, _), row in before.items() if study not in again)]


def renewed(rows: Iterable[Row], codes: Mapping[str, str], stated: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Rows, studies in alphabetical order, with marks, words and verdicts as code and entries have them now.

    A row is stale where its code is not the study's current one: then its values and verdict are those of then, and
    only what sorts it (who says it, of which statement, under which reading, and why) is the entry's. `stated` are
    claims by study and name (`Study.stated`).
    """
    found = []
    for row in sorted(rows, key=lambda row: row["study"]):
        stale = row["code"] != codes.get(row["study"])
        claim = stated.get(row["study"], {}).get(row["claim"])
        new: dict[str, Any] = {}
        if claim and not stale:
            new = judged(claim, row["values"], int(row["of"]))
        elif claim:
            new = {key: claim[key] for key in ("says", "statement", "reading", "why")}
        written = {key: _written(value) for key, value in new.items()}
        found.append({key: (row | written | {"stale": "yes" if stale else "no"})[key] for key in KEPT})
    return found


def _written(value: Any) -> str:
    """A value as the cell of a table: nothing where it is missing or not a number."""
    return "" if value is None or value != value else str(value)


def update(root: Path, claims: Path, project: Project) -> tuple[list[Row], int]:
    """Merge `claims` into the kept ledger and its pages; all rows, and how many of them are new or changed."""
    codes, kept = codes_of(project, root), _kept(root)
    rows = renewed(merge(kept, read(claims), codes, commit(root), versions()), codes, _stated(project))
    _write(root, rows, project)
    before = {(row["study"], row["claim"]): row for row in kept}
    return rows, sum(before.get((row["study"], row["claim"])) != row for row in rows)


def check(root: Path, project: Project) -> None:
    """Raise InputError where marks, words or verdicts are not the current ones, or a page is not the kept ledger's."""
    kept = _kept(root)
    if renewed(kept, codes_of(project, root), _stated(project)) != kept:
        raise InputError(
            f"the stale marks, words or verdicts of {LEDGER} are not those of the current code and entries: "
            "`interneuron ledger --refresh` renews them"
        )
    for name, page in _pages(root, kept, project).items():
        if not (root / name).is_file() or page != (root / name).read_text(encoding="utf-8"):
            raise InputError(f"{name} does not show what {LEDGER} has: `interneuron ledger --refresh` writes it")


def refresh(root: Path, project: Project) -> list[Row]:
    """Write marks, words, verdicts and the pages anew; no row is added."""
    rows = renewed(_kept(root), codes_of(project, root), _stated(project))
    _write(root, rows, project)
    return rows


def _write(root: Path, rows: list[Row], project: Project) -> None:
    from interneuron.io import save_text

    pages = _pages(root, rows, project)
    save_text(root / LEDGER, text(rows))
    for name, page in pages.items():
        save_text(root / name, page)


def _stated(project: Project) -> dict[str, dict[str, Any]]:
    return {name: {claim["id"]: claim for claim in study.stated()} for name, study in project.studies.items()}


def _kept(root: Path) -> list[Row]:
    path = root / LEDGER
    return read(path, KEPT) if path.is_file() else []


def codes_of(project: Project, root: Path) -> dict[str, str]:
    """The current fingerprint of every study of the project."""
    fingerprints = Fingerprints(root)
    return {study: code_of(project, study, fingerprints) for study in project.studies}


# tables for people


def terminal(rows: list[Row], width: int) -> str:
    """The ledger for a terminal of `width` characters: counts first, then a table a study, a line a claim."""
    papers, mine = [statement.verdict for statement in statements(rows)], [row["verdict"] for row in own(rows)]
    lines = ["Of the papers: " + counted(papers, "statement", "statements")] if papers else []
    lines += ["Of our own: " + counted(mine, "control or question", "controls and questions")] if mine else []
    for study in dict.fromkeys(row["study"] for row in rows):
        of_study = [row for row in rows if row["study"] == study]
        lines += ["", f"{study}: {claims_of(of_study)}"]
        cells = [
            [
                *(row["claim"], row["says"], row["states"], row["reported"]),
                *(measured(row), row["n"], _share(row), row["verdict"]),
            ]
            for row in of_study
        ]
        lines += _columns(["claim", "says", "states", "reported", "measured", "n", "seeds", "verdict"], cells, width)
    return "\n".join(lines or ["No claims."])


def claims_of(rows: Iterable[Mapping[str, str]]) -> str:
    """`13 claims: 7 hold, 2 hold in part, 3 fail, 1 not comparable`."""
    return counted((row["verdict"] for row in rows), "claim", "claims")


def _share(row: Row) -> str:
    return f"{float(row['share']):.0%}" if row["share"] else ""


def _columns(head: list[str], rows: list[list[str]], width: int) -> list[str]:
    """Rows of one line each; the third column (what is stated) is cut to what the others leave of the width."""
    most = {0: 30, 3: 12, 4: 26}
    sizes = [min(max(len(row[i]) for row in [head, *rows]), most.get(i, width)) for i in range(len(head))]
    sizes[2] = min(sizes[2], max(16, width - sum(sizes) + sizes[2] - 2 * (len(head) - 1)))
    return [
        "  ".join(f"{_cut(cell, size):<{size}}" for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in [head, ["-" * size for size in sizes], *rows]
    ]


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def _pages(root: Path, rows: list[Row], project: Project) -> dict[str, str]:
    """The README with its table of papers, the page of all claims, and its picture, by the names of their files."""
    return {
        "README.md": _readme(root, rows),
        PAGE: page_of_claims(rows, project),
        PICTURE: picture(statements(rows)),
    }


def _readme(root: Path, rows: list[Row]) -> str:
    path = root / "README.md"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise InputError(f"README.md has no place for the ledger: it takes one line {BEGIN} and, below it, one {END}")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n{summary(rows)}\n{END}{rest.split(END)[1]}"


def summary(rows: list[Row]) -> str:
    """A row a paper: how its statements and its numbers of single runs came out; and a sentence on our own."""
    if not rows:
        return "No claim has been tested yet."
    papers = statements(rows)
    lines = [
        "| paper | statements | hold | in part | in some readings | fail | numbers of single runs | within our range "
        "| beyond | not comparable |",
        "|---|" + "---:|" * 9,
    ]
    for by in dict.fromkeys(statement.by for statement in papers):
        of_paper = [statement for statement in papers if statement.by == by]
        verdicts = [statement.verdict for statement in of_paper]
        counts = {verdict: verdicts.count(verdict) for verdict in verdicts}
        methods = [counts.get(verdict, 0) for verdict in (HOLDS, IN_PART, SOME_READINGS, FAILS)]
        numbers = sum(statement.is_number for statement in of_paper)
        runs = [counts.get(WITHIN, 0), counts.get(BEYOND, 0)]
        cells = [sum(methods), *methods, numbers, *runs, counts.get(NOT_COMPARABLE, 0)]
        lines.append(f"| [{by}]({PAGE}#{by}) | " + " | ".join(map(str, cells)) + " |")
    mine = own(rows)
    if mine:
        ours = counted((row["verdict"] for row in mine), "control or question", "controls and questions")
        lines += ["", f"Beside them [our own]({PAGE}#controls-and-questions): {ours}."]
    return "\n".join([*lines, *_note(rows)])


def page_of_claims(rows: list[Row], project: Project) -> str:
    """A table a paper, a row a statement with all its readings; then a table a study of our controls and questions."""
    lines = [
        "# The ledger",
        "",
        "First what the papers state, then our controls and questions, a study at a time. A statement about a method",
        "holds if it is true of the median over the seeds and of both ends of its interval; a number read off one run",
        "is within or beyond the range of our seeds. Where a source leaves something open, each reading of it is",
        "tested, and the verdict is over all of them. Every row with its values is in",
        f"[{Path(LEDGER).name}]({Path(LEDGER).name}).",
        "",
        f"![What is stated and what was measured, a strip a claim]({Path(PICTURE).name})",
    ]
    papers = statements(rows)
    for by in dict.fromkeys(statement.by for statement in papers):
        of_paper = [statement for statement in papers if statement.by == by]
        verdicts = counted((statement.verdict for statement in of_paper), "statement", "statements")
        lines += ["", f"## {by}", "", f"{verdicts}.", ""]
        lines += ["| statement | states | stated | measured | verdict |", "|---|---|---|---|---|"]
        lines += [_statement(statement) for statement in of_paper]
    if mine := own(rows):
        lines += ["", "## Controls and questions"]
    for study in dict.fromkeys(row["study"] for row in mine):
        of_study = [row for row in mine if row["study"] == study]
        entry = project.studies.get(study)
        title = f"{entry.title}. " if entry else ""
        lines += ["", f"### {study}", "", f"{title}{claims_of(of_study)}.", ""]
        lines += ["| claim | states | stated | measured | verdict |", "|---|---|---|---|---|"]
        lines += [
            _line(row["claim"], row["states"], _stated_as([row]), measured(row), row["verdict"], [row])
            for row in of_study
        ]
    return "\n".join([*lines, *_note(rows), ""])


def _note(rows: list[Row]) -> list[str]:
    stale = any(row["stale"] == "yes" for row in rows)
    return ["", "*Stale*: code or parameters have changed since; run it again to know."] if stale else []


def _statement(statement: Statement) -> str:
    rows = statement.rows
    states = rows[0]["states"]
    if len(statement.readings[0].rows) > 1:
        states += f" (and {len(statement.readings[0].rows) - 1} more)"
    values = []
    for reading in statement.readings:
        held = sum(row["verdict"] in (HOLDS, WITHIN) for row in reading.rows)
        value = measured(reading.rows[0]) if len(reading.rows) == 1 else f"{held} of {len(reading.rows)}"
        several = len(statement.readings) > 1
        values.append(f"{reading.name}: {value} {reading.verdict}" if several else value)
    why = "".join(f"<br>{why}" for why in statement.why)
    return _line(statement.name, states, _stated_as(rows), "<br>".join(values), statement.verdict, rows, why)


def _stated_as(rows: list[Any]) -> str:
    """What is stated, where all rows have the same of it."""
    reported = {row["reported"] for row in rows}
    return reported.pop() if len(reported) == 1 else ""


def _line(name: str, states: str, stated: str, values: str, verdict: str, rows: list[Any], why: str = "") -> str:
    stale = " (stale)" if any(row["stale"] == "yes" for row in rows) else ""
    cells = (name, states, stated, values, f"**{verdict}**{stale}{why}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
