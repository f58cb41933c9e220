"""Fetch a set of many files from the mirror or an address that has them all, check each, and pack them into one tar."""

import os
from pathlib import Path

from interneuron.errors import InputError
from interneuron.io.download import fetch_members, read_sums
from interneuron.workflow.script import Progress, log, step


def main(job):
    settings = job.params.settings
    name = job.wildcards.file
    entry = next((file for file in settings["files"] if file["path"] == name), None)
    if entry is None:
        raise InputError(f"dataset {job.wildcards.dataset} lists no file {name}")
    # The list of members decides nothing that the tar's own hash does not.
    members = read_sums(Path(job.scriptdir).parent / "config/datasets" / entry["members"])
    base = os.environ.get("INTERNEURON_MIRROR")
    source = fetch_members(
        job.output[0],
        entry["urls"],
        members,
        sha256=entry["sha256"],
        mirror="/".join([base.rstrip("/"), settings["mirror"]]) if base else None,
        progress=Progress("pack", "files"),
    )
    log.info(f"{len(members):,} files from {source}, {os.path.getsize(job.output[0]) / 1e6:,.3f} MB, as listed")


if __name__ == "__main__":
    step(main, snakemake)
