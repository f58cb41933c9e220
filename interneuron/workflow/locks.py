"""Who runs in a folder: locks that a killed run left behind are cleared, those of a living one are not."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # kept open: the lock lives as long as this process


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Whether no other run is alive under `root`; if so none can start while the block runs.

    Every run shares a lock of the operating system on `.snakemake/alive`, which dies with its process however that
    ends: whoever gets it for itself alone knows that no other run is alive. It is shared once the block has ended.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    alive = (folder / "alive").open("w")
    _held.append(alive)
    free = True
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        free = False
    try:
        yield free
    finally:
        with suppress(OSError):  # refused where another run is clearing up just now
            fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextmanager
def in_turn(root: Path) -> Iterator[None]:
    """Runs that are alive under `root` at once, each on results of its own, go through the block in turn."""
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def clear_stale_locks(root: Path) -> bool:
    """Remove Snakemake's own locks under `root`; whether there were any. For a run that is `alone` only.

    Snakemake leaves `.snakemake/locks/` behind when it is killed, and refuses the next run.
    """
    locks = root / ".snakemake/locks"
    stale = locks.is_dir() and any(locks.iterdir())
    if stale:
        shutil.rmtree(locks)
    return stale
