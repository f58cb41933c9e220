"""The command `interneuron`: the ledger in a terminal, the ledger that is kept, the config's documentation."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from interneuron.errors import InputError

if TYPE_CHECKING:
    from interneuron.workflow.records import Findings


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit status 0, or 1 after one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interneuron",
        description="What a run found, and what is kept of it. Running is `make run`, `make paper` and `snakemake`.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    claims = commands.add_parser("claims", help="print the ledger of the last run: each claim and its verdict")
    claims.add_argument("--file", type=Path, default=Path("results/claims.tsv"), help="the ledger (%(default)s)")
    claims.set_defaults(run=_claims)

    ledger = commands.add_parser(
        "ledger",
        help="merge the last run's claims into docs/ledger.tsv, docs/ledger.md and the README's table",
        description="New rows replace those of the same studies; the others are left, and marked stale where "
        "code or parameters have changed since they were made. The code must be as committed.",
    )
    ledger.add_argument("--claims", type=Path, default=Path("results/claims.tsv"), help="new rows (%(default)s)")
    mode = ledger.add_mutually_exclusive_group()
    mode.add_argument("--refresh", action="store_true", help="add no rows: renew stale marks and pages")
    mode.add_argument("--check", action="store_true", help="write nothing: fail where stale marks or pages are old")
    ledger.set_defaults(run=_ledger)

    why = commands.add_parser(
        "why",
        help="list the jobs that snakemake would run, and what changed for each",
        description="Nothing is run. The options are those of snakemake: say here what you would say there.",
    )
    why.add_argument("--configfile", type=Path, nargs="+", default=[], help="as in snakemake --configfile")
    why.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as in snakemake --config")
    why.set_defaults(run=_why)

    verify = commands.add_parser("verify", help="compare the bytes of every result with the record of what made it")
    verify.add_argument(
        "--against", type=Path, metavar="FOLDER", help="name the results that another run made otherwise"
    )
    verify.set_defaults(run=_verify)

    restore = commands.add_parser(
        "restore",
        help="give snakemake the records of results that came from elsewhere, all bytes compared first",
        description="A run does the same by itself as it starts, for what is new or has changed since the last one.",
    )
    restore.add_argument(
        "--trust", action="store_true", help="take results over as they are that have no record of their bytes"
    )
    restore.set_defaults(run=_restore)

    docs = commands.add_parser("docs", help="write config/schemas/*.json and config/README.md from the config's models")
    docs.add_argument("--check", action="store_true", help="write nothing: fail with a diff where they have drifted")
    docs.set_defaults(run=_docs)
    return parser


def _claims(options: argparse.Namespace) -> None:
    from interneuron.workflow import ledger

    _as_made(options.file)
    rows = ledger.read(options.file)
    width = min(160, max(100, shutil.get_terminal_size((120, 24)).columns))
    print(ledger.terminal(rows, width))
    report = options.file.parent / "report.html"
    print(f"\nThe ledger: {options.file}")
    print(f"The report: {report.resolve()}" if report.is_file() else f"The report has not been written ({report})")


def _as_made(claims: Path) -> None:
    """Refuse claims that were altered since a run made them."""
    from interneuron.workflow import records

    path = os.path.relpath(claims)  # the name that results have in the record
    if claims.is_file() and path in records.read(Path.cwd()).results:
        records.check(Path.cwd(), [path])


def _ledger(options: argparse.Namespace) -> None:
    from interneuron.workflow import config, ledger

    root = Path.cwd()
    project = config.load_all(root)
    if options.check:
        ledger.check(root, project)
        return
    if options.refresh:
        rows = ledger.refresh(root, project)
    else:
        _as_made(options.claims)
        rows, changed = ledger.update(root, options.claims, project)
        print(f"{changed} of {len(rows)} rows are new or changed")
    stale = sum(row["stale"] == "yes" for row in rows)
    print(f"{ledger.LEDGER}: {ledger.claims_of(rows)}; {stale} of them stale")


def _why(options: argparse.Namespace) -> None:
    from interneuron.workflow.why import settings, text, why

    print(text(why(Path.cwd(), options.configfile, settings(options.config))))


def _verify(options: argparse.Namespace) -> None:
    from interneuron.workflow import provenance

    findings = provenance.verify(Path.cwd())
    print(_bytes(findings))
    _list(findings, "altered", "unproved", "unfinished", "missing")
    findings.refuse()
    if options.against is not None:
        different = provenance.difference(Path.cwd(), options.against)
        if different:
            raise InputError(f"not the same bytes as in {options.against}: {', '.join(different)}")
        print(f"they are the same bytes in {options.against}")


def _restore(options: argparse.Namespace) -> None:
    from interneuron.workflow import provenance

    findings = provenance.restore(Path.cwd(), options.trust)
    _list(findings, "trusted", "unproved")
    print(f"{_bytes(findings)}; Snakemake was given {len(findings.restored):,} records that it lacked")


def _list(findings: "Findings", *kinds: str) -> None:
    for kind in kinds:
        for path in getattr(findings, kind):
            print(f"{kind}: {path}")


def _bytes(findings: "Findings") -> str:
    missing = f", {len(findings.missing):,} are not there (dvc pull brings them)" if findings.missing else ""
    return f"{len(findings.right):,} results have the recorded bytes{missing}"


def _docs(options: argparse.Namespace) -> None:
    from interneuron.workflow import documentation

    root = Path.cwd()
    if options.check:
        documentation.check(root)
        return
    for path in documentation.write(root):
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
