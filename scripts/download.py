"""Fetch one published file from the mirror or its URLs, and check its SHA-256."""

import os
import time

from interneuron.errors import InputError
from interneuron.io.download import fetch
from interneuron.workflow.script import Progress, log, step


class Megabytes(Progress):
    def __call__(self, done, total):
        now = time.monotonic()
        if now - self.last >= self.every and 0 < done < total:
            self.last = now
            log.info(f"{done / total:.0%} of {total / 1e6:,.1f} MB")


def main(job):
    settings = job.params.settings
    name = job.wildcards.file
    entry = next((file for file in settings["files"] if file["path"] == name), None)
    if entry is None:
        raise InputError(f"dataset {job.wildcards.dataset} lists no file {name}")
    base = os.environ.get("INTERNEURON_MIRROR")
    source = fetch(
        job.output[0],
        entry["urls"],
        sha256=entry.get("sha256"),
        sha256_prefix=entry.get("sha256_prefix"),
        size=entry.get("bytes"),
        mirror="/".join([base.rstrip("/"), settings["mirror"], name]) if base else None,
        progress=Megabytes("download"),
    )
    log.info(f"{os.path.getsize(job.output[0]) / 1e6:,.3f} MB from {source}, SHA-256 as listed")


if __name__ == "__main__":
    step(main, snakemake)
