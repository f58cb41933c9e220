"""The ledger that is kept: `docs/ledger.tsv`, a row a claim over all runs, and the pages that people read."""

import csv
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from interneuron.claims import COLUMNS, FAILS, HOLDS, IN_PART, NOT_COMPARABLE, group_verdict
from interneuron.errors import InputError
from interneuron.workflow.config import Project
from interneuron.workflow.fingerprint import Fingerprints, digest

Row = dict[str, str]

LEDGER = "docs/ledger.tsv"
PAGE = "docs/ledger.md"
KEPT = (*COLUMNS, "commit", "versions", "stale")
VERDICTS = (HOLDS, IN_PART, FAILS, NOT_COMPARABLE)
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
    """New rows in place of the kept ones of the same studies; those of others are left, but for `stale`.

    `codes` is the current fingerprint of every study (`code_of`). A row that says nothing new keeps its commit. Raises
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
        same = old and old["versions"] == versions and all(old[column] == row[column] for column in COLUMNS)
        stamp = old["commit"] if same else commit
        rows[row["study"], row["claim"]] = {**row, "commit": stamp, "versions": versions, "stale": "no"}
    again = {study for study, _ in rows}  # a study's claims come together: those that it no longer makes go
    return marked([*rows.values(), *(row for (study, _), row in before.items() if study not in again)], codes)


def marked(rows: Iterable[Row], codes: Mapping[str, str]) -> list[Row]:
    """Rows, studies in alphabetical order, with `stale` = `yes` where `code` is not the study's current one."""
    current = [{**row, "stale": "no" if row["code"] == codes.get(row["study"]) else "yes"} for row in rows]
    return [{key: row[key] for key in KEPT} for row in sorted(current, key=lambda row: row["study"])]


def update(root: Path, claims: Path, project: Project) -> tuple[list[Row], int]:
    """Merge `claims` into the kept ledger and its pages; all rows, and how many of them are new or changed."""
    from interneuron.io import save_text

    codes = codes_of(project, root)
    new = read(claims)
    kept = _kept(root)
    rows = merge(kept, new, codes, commit(root), versions())
    pages = _pages(root, rows, project)
    save_text(root / LEDGER, text(rows))
    for name, page in pages.items():
        save_text(root / name, page)
    before = {(row["study"], row["claim"]): row for row in kept}
    return rows, sum(before.get((row["study"], row["claim"])) != row for row in rows)


def check(root: Path, project: Project) -> None:
    """Raise InputError where rows are not marked as stale that are, or a page is not the kept ledger's."""
    kept = _kept(root)
    if marked(kept, codes_of(project, root)) != kept:
        raise InputError(
            f"the stale marks of {LEDGER} are not those of the current code: `interneuron ledger --refresh` renews them"
        )
    for name, page in _pages(root, kept, project).items():
        if not (root / name).is_file() or page != (root / name).read_text(encoding="utf-8"):
            raise InputError(f"{name} does not show what {LEDGER} has: `interneuron ledger --refresh` writes it")


def refresh(root: Path, project: Project) -> list[Row]:
    """Write the marks of stale rows and the pages anew; no row is added."""
    from interneuron.io import save_text

    rows = marked(_kept(root), codes_of(project, root))
    pages = _pages(root, rows, project)
    save_text(root / LEDGER, text(rows))
    for name, page in pages.items():
        save_text(root / name, page)
    return rows


def _kept(root: Path) -> list[Row]:
    path = root / LEDGER
    return read(path, KEPT) if path.is_file() else []


def codes_of(project: Project, root: Path) -> dict[str, str]:
    """The current fingerprint of every study of the project."""
    fingerprints = Fingerprints(root)
    return {study: code_of(project, study, fingerprints) for study in project.studies}


# tables for people


def counted(rows: Iterable[Row]) -> str:
    """`13 claims: 7 hold, 2 hold in part, 3 fail, 1 not comparable`."""
    verdicts = Counter(row["verdict"] for row in rows)
    words = {HOLDS: ("holds", "hold"), IN_PART: ("holds in part", "hold in part"), FAILS: ("fails", "fail")}
    parts = []
    for verdict in VERDICTS:
        if n := verdicts[verdict]:
            parts.append(f"{n} {words.get(verdict, (verdict, verdict))[n > 1]}")
    total = sum(verdicts.values())
    return f"{total} claim{'s' * (total != 1)}: {', '.join(parts)}" if parts else "no claims"


def measured(row: Row) -> str:
    """What was measured, with its interval: `4 [3, 5]`."""
    if not row["measured"]:
        return ""
    value, low, high = (_number(row[key]) for key in ("measured", "low", "high"))
    mark = "" if row["interval"] == "95%" else f" {row['interval']}"
    return f"{value} [{low}, {high}]{mark}"


def _number(value: str) -> str:
    try:
        return f"{float(value):.3g}" if abs(float(value)) < 1000 else f"{float(value):,.0f}"
    except ValueError:
        return value


def terminal(rows: list[Row], width: int) -> str:
    """The ledger for a terminal of `width` characters: counts first, then a table a study, a line a claim."""
    lines = [counted(rows)]
    for study in dict.fromkeys(row["study"] for row in rows):
        own = [row for row in rows if row["study"] == study]
        lines += ["", f"{study}: {counted(own)}"]
        cells = [
            [row["claim"], row["states"], row["reported"], measured(row), row["n"], _share(row), row["verdict"]]
            for row in own
        ]
        lines += _columns(["claim", "states", "reported", "measured", "n", "seeds", "verdict"], cells, width)
    return "\n".join(lines)


def _share(row: Row) -> str:
    return f"{float(row['share']):.0%}" if row["share"] else ""


def _columns(head: list[str], rows: list[list[str]], width: int) -> list[str]:
    """Rows of one line each; the second column (what is stated) is cut to what the others leave of the width."""
    most = {0: 34, 2: 12, 3: 26}
    sizes = [min(max(len(row[i]) for row in [head, *rows]), most.get(i, width)) for i in range(len(head))]
    sizes[1] = min(sizes[1], max(20, width - sum(sizes) + sizes[1] - 2 * (len(head) - 1)))
    return [
        "  ".join(f"{_cut(cell, size):<{size}}" for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in [head, ["-" * size for size in sizes], *rows]
    ]


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def _pages(root: Path, rows: list[Row], project: Project) -> dict[str, str]:
    """The README with its table of studies, and the page of all claims, by the names of their files."""
    return {"README.md": _readme(root, rows, project), PAGE: page_of_claims(rows, project)}


def _readme(root: Path, rows: list[Row], project: Project) -> str:
    path = root / "README.md"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise InputError(f"README.md has no place for the ledger: it takes one line {BEGIN} and, below it, one {END}")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n{summary(rows, project)}\n{END}{rest.split(END)[1]}"


def summary(rows: list[Row], project: Project) -> str:
    """A row a study: what it is about, and how many of its claims have each verdict."""
    if not rows:
        return "No claim has been tested yet."
    lines = ["| study | about | paper | " + " | ".join(VERDICTS) + " |", "|---|---|---|" + "---:|" * len(VERDICTS)]
    for study in dict.fromkeys(row["study"] for row in rows):
        verdicts = Counter(row["verdict"] for row in rows if row["study"] == study)
        counts = " | ".join(str(verdicts[verdict]) for verdict in VERDICTS)
        entry = project.studies.get(study)
        title, paper = (_cell(entry.title), entry.paper) if entry else ("", "")
        lines.append(f"| [{study}]({PAGE}#{study}) | {title} | {paper} | {counts} |")
    return "\n".join([*lines, *_note(rows)])


def page_of_claims(rows: list[Row], project: Project) -> str:
    """A table a study, a row a claim or group of claims."""
    lines = [
        "# The ledger",
        "",
        f"Claims of one group share a row; every claim's own is in [ledger.tsv]({Path(LEDGER).name}).",
    ]
    for study in dict.fromkeys(row["study"] for row in rows):
        own = [row for row in rows if row["study"] == study]
        entry = project.studies.get(study)
        lines += ["", f"## {study}", "", *([f"{entry.title}. {counted(own)}.", ""] if entry else [])]
        lines += ["| claim | states | reported | measured | verdict |", "|---|---|---|---|---|"]
        for name in dict.fromkeys(row["group"] or row["claim"] for row in own):
            lines.append(_group(name, [row for row in own if (row["group"] or row["claim"]) == name]))
    return "\n".join([*lines, *_note(rows), ""])


def _note(rows: list[Row]) -> list[str]:
    stale = any(row["stale"] == "yes" for row in rows)
    return ["", "*Stale*: code or parameters have changed since; run it again to know."] if stale else []


def _cell(value: str) -> str:
    return value.replace("|", "\\|")


def _group(name: str, rows: list[Row]) -> str:
    verdict = group_verdict(row["verdict"] for row in rows)
    if len(rows) > 1:
        held = sum(row["verdict"] == HOLDS for row in rows)
        states, values, reported = f"{rows[0]['states']} (and {len(rows) - 1} more)", f"{held} of {len(rows)} hold", ""
    else:
        name, states, values, reported = rows[0]["claim"], rows[0]["states"], measured(rows[0]), rows[0]["reported"]
    stale = " (stale)" if any(row["stale"] == "yes" for row in rows) else ""
    cells = (name, states, reported, values, f"**{verdict}**{stale}")
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"
