"""Locks that a killed run left behind."""

import fcntl
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # kept open: the lock lives as long as this process


def clear_stale_locks(root: Path) -> bool:
    """Remove Snakemake's own locks under `root` if no run is alive there; whether any were removed.

    Snakemake leaves `.snakemake/locks/` behind when it is killed, and refuses the next run. Every run shares a lock of
    the operating system on `.snakemake/alive`, which dies with its process however that ends: whoever gets it for
    itself alone knows that no other run is alive, clears up, and shares it from then on. A run that does not get it
    alone changes nothing, and Snakemake's own locks speak.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    alive = (folder / "alive").open("w")
    _held.append(alive)
    stale = False
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # another run is alive
    else:
        locks = folder / "locks"
        stale = locks.is_dir() and any(locks.iterdir())
        if stale:
            shutil.rmtree(locks)
    with suppress(OSError):  # refused where another run is clearing up just now
        fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return stale
