"""The frame around every script in `scripts/`: log file, progress, threads, and errors of one sentence."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt

from interneuron.errors import InputError
from interneuron.workflow import records

log = logging.getLogger("interneuron")


def step(main: Callable[[Any], None], job: Any) -> None:
    """Run `main(job)`, where `job` is the `snakemake` object of a script.

    Messages go to the rule's log and, unless INTERNEURON_QUIET is set, to the terminal. An `InputError` (or a full
    disk) ends the step with its one sentence; any other exception is a bug and shows its traceback too. Either way the
    traceback is in the log and the exit status is 1; of Ctrl-C it is 130. Inputs that have other bytes than the
    recorded ones end it before it begins; the outputs of a step that ends well are sealed (`records`).
    """
    # Snakemake tells OpenMP and the BLAS libraries how many threads a job has. Numba and OpenMP read these two when
    # they are loaded, which scripts do inside `main`.
    os.environ["NUMBA_NUM_THREADS"] = str(job.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    wrapt.when_imported("torch.optim")(_without_compiler)
    logging.raiseExceptions = False  # a log that cannot be written is no reason for a traceback a line
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(logging.Formatter(f"{label(job)}: %(message)s"))
    screen.setLevel(logging.WARNING if os.environ.get("INTERNEURON_QUIET") else logging.INFO)
    log.handlers[:] = [screen]
    log.setLevel(logging.INFO)
    log.propagate = False
    file: logging.Handler = logging.NullHandler()
    try:
        file = _log_file(Path(job.log[0]))
        records.check(Path.cwd(), job.input)
        main(job)
        records.seal(Path.cwd(), job.output)
    except KeyboardInterrupt:
        _say("stopped", file, screen)
        sys.exit(130)
    except (InputError, OSError) as error:
        _say(f"error: {error}", file, screen)
        sys.exit(1)
    except Exception:
        log.exception("unexpected error")
        sys.exit(1)
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _without_compiler(optim: ModuleType) -> None:
    """Spare torch's optimizers the import of its compiler, more than a second of a training's processor time: they ask
    for it only to say that their steps are not to be compiled, and no step here is."""
    no_grad = sys.modules["torch"].no_grad
    for kind in (optim.Adam, optim.SGD):
        kind.step = no_grad()(getattr(kind.step, "__wrapped__", kind.step))
    for method in vars(optim.Optimizer).values():
        if hasattr(method, "__wrapped__"):
            method.__wrapped__.__dynamo_disable = method.__wrapped__


def _log_file(path: Path) -> logging.FileHandler:
    """The rule's log, which all messages and warnings go to from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, mode="w")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(file)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(file)
    return file


def _say(sentence: str, file: logging.Handler, screen: logging.Handler) -> None:
    """How a step ended: the sentence for people, with the traceback in the log only."""
    file.handle(log.makeRecord(log.name, logging.ERROR, "", 0, sentence, (), sys.exc_info()))
    screen.handle(log.makeRecord(log.name, logging.ERROR, "", 0, sentence, (), None))


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
