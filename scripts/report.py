"""Write the report: ledger, studies and pictures on one page."""

from pathlib import Path
from typing import Any

from interneuron.workflow.script import log, step


def main(job: Any) -> None:
    from interneuron import io
    from interneuron.workflow.report import render

    settings = job.params.settings
    pictures = {str(path): Path(path).read_bytes() for path in job.input.figures}
    page = render(settings["title"], io.load_table(job.input.claims), settings["studies"], pictures)
    io.save_text(job.output[0], page)
    log.info(f"{job.output[0]}: {len(pictures)} figures, {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    step(main, snakemake)
