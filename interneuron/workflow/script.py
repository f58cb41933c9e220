"""The frame around every script in `scripts/`: log file, progress, threads, and errors of one sentence."""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interneuron.errors import InputError

log = logging.getLogger("interneuron")


def step(main: Callable[[Any], None], job: Any) -> None:
    """Run `main(job)`, where `job` is the `snakemake` object of a script.

    Messages go to the rule's log and, unless INTERNEURON_QUIET is set, to the terminal. An `InputError` (or a full
    disk) ends the step with its one sentence; any other exception is a bug and shows its traceback too. Either way the
    traceback is in the log and the exit status is 1.
    """
    # Libraries read these when they are first imported, and scripts import them inside `main`.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = str(job.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("MPLBACKEND", "agg")
    path = Path(job.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, mode="w")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(logging.Formatter(f"{label(job)}: %(message)s"))
    screen.setLevel(logging.WARNING if os.environ.get("INTERNEURON_QUIET") else logging.INFO)
    log.handlers[:] = [file, screen]
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(file)
    try:
        main(job)
    except (InputError, OSError) as error:
        sentence = f"error: {error}"
        file.emit(log.makeRecord(log.name, logging.ERROR, "", 0, sentence, (), sys.exc_info()))
        screen.emit(log.makeRecord(log.name, logging.ERROR, "", 0, sentence, (), None))
        sys.exit(1)
    except BaseException:
        log.exception("unexpected error")
        sys.exit(1)
    finally:
        file.close()


def label(job: Any) -> str:
    """Name of a job for people: rule and wildcards."""
    return " ".join([str(job.rule), *map(str, job.wildcards)])


class Progress:
    """A callable `progress(done, total)` that says how far a loop is, at most every `every` seconds."""

    def __init__(self, what: str, unit: str = "", every: float = 5.0) -> None:
        self.what, self.unit, self.every = what, unit, every
        # The first call sets the clock: what came before it (imports, reading) says nothing about what is left.
        self.first: tuple[float, int] | None = None
        self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first, self.last = (now, done), now
        start, already = self.first
        if now - self.last < self.every or not already < done < total:
            return
        self.last = now
        left = (now - start) / (done - already) * (total - done)
        log.info(f"{self.what}: {done:,} of {total:,} {self.unit}".rstrip() + f", {left:,.0f} s left")
