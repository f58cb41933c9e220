"""Fetch one file from the mirror or a git repository's address, and check the name that git has for its content."""

import os

from interneuron.io.download import fetch_blob
from interneuron.workflow.script import Progress, log, step


def main(job):
    settings = job.params.settings
    (entry,) = settings["files"]
    base = os.environ.get("INTERNEURON_MIRROR")
    source = fetch_blob(
        job.output[0],
        entry["urls"],
        git_blob=entry["git_blob"],
        mirror="/".join([base.rstrip("/"), settings["mirror"], entry["path"]]) if base else None,
        progress=Progress("blob", "bytes"),
    )
    log.info(f"{os.path.getsize(job.output[0]) / 1e6:,.3f} MB from {source}, git's name for it as listed")


if __name__ == "__main__":
    step(main, snakemake)
