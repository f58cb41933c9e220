"""Write the report: ledger, studies and pictures on one page; and the ledger's numbers for programs."""

import json
from pathlib import Path
from typing import Any

from interneuron.workflow.script import log, step


def main(job: Any) -> None:
    from interneuron import io
    from interneuron.workflow.report import render

    settings = job.params.settings
    pictures = {str(path): Path(path).read_bytes() for path in job.input.figures}
    claims = io.load_table(job.input.claims)
    page = render(settings["title"], claims, settings["studies"], pictures)
    io.save_text(job.output.page, page)
    io.save_text(job.output.metrics, json.dumps(numbers(claims), indent=1) + "\n")
    log.info(f"{job.output.page}: {len(pictures)} figures, {len(page.encode()) / 1e6:.1f} MB")


def numbers(claims: Any) -> dict[str, Any]:
    """By study: how many claims came to each verdict, and what each one measured; `dvc metrics diff` compares it."""
    return {
        study: {
            "verdicts": {verdict: int(n) for verdict, n in rows["verdict"].value_counts().sort_index().items()},
            "measured": {
                claim: value for claim, value in zip(rows["claim"], rows["measured"], strict=True) if value == value
            },
        }
        for study, rows in claims.groupby("study", sort=True)
    }


if __name__ == "__main__":
    step(main, snakemake)
