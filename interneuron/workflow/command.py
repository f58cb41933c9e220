"""The command `interneuron`: the ledger in a terminal, the ledger that is kept, the config's documentation."""

import argparse
import shutil
import sys
from pathlib import Path

from interneuron.errors import InputError


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
        help="merge the last run's claims into docs/ledger.tsv and the README's table",
        description="New rows replace those of the same study and claim; the others are left, and marked stale where "
        "code or parameters have changed since they were made. The code must be as committed.",
    )
    ledger.add_argument("--claims", type=Path, default=Path("results/claims.tsv"), help="new rows (%(default)s)")
    mode = ledger.add_mutually_exclusive_group()
    mode.add_argument("--refresh", action="store_true", help="add no rows: renew stale marks and README")
    mode.add_argument("--check", action="store_true", help="write nothing: fail where stale marks or README are old")
    ledger.set_defaults(run=_ledger)

    docs = commands.add_parser("docs", help="write config/schemas/*.json and config/README.md from the config's models")
    docs.add_argument("--check", action="store_true", help="write nothing: fail with a diff where they have drifted")
    docs.set_defaults(run=_docs)
    return parser


def _claims(options: argparse.Namespace) -> None:
    from interneuron.workflow import ledger

    rows = ledger.read(options.file)
    width = min(160, max(100, shutil.get_terminal_size((120, 24)).columns))
    print(ledger.terminal(rows, width))
    report = options.file.parent / "report.html"
    print(f"\nThe ledger: {options.file}")
    print(f"The report: {report.resolve()}" if report.is_file() else f"The report has not been written ({report})")


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
        rows, changed = ledger.update(root, options.claims, project)
        print(f"{changed} of {len(rows)} rows are new or changed")
    stale = sum(row["stale"] == "yes" for row in rows)
    print(f"{ledger.LEDGER}: {ledger.counted(rows)}; {stale} of them stale")


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
