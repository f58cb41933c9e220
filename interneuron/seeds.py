"""Random generators derived from a seed's number and a purpose, never from global state."""

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    import torch


def sequence(seed: int, purpose: str, *numbers: int) -> np.random.SeedSequence:
    """The seed sequence of `purpose` (and of any further `numbers`: a fold, an alpha) under `seed`.

    Different purposes under one seed, and one purpose under different seeds, are independent streams; a seed's streams
    do not depend on which other seeds are computed beside it.
    """
    return np.random.SeedSequence([seed, crc32(purpose.encode()), *numbers])


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A NumPy generator on the stream `sequence(seed, purpose, *numbers)`."""
    return np.random.default_rng(sequence(seed, purpose, *numbers))


def torch_generator(seed: int, purpose: str, *numbers: int) -> "torch.Generator":
    """A torch CPU generator on the same stream."""
    import torch

    state = sequence(seed, purpose, *numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def block_name(first: int, size: int) -> str:
    """Name of the block of `size` seeds that starts at `first`: 0 and 5 give `000-004`."""
    return f"{first:03d}-{first + size - 1:03d}"


def parse_block(name: str) -> range:
    """The seeds of a block by its name: `000-004` gives 0 to 4."""
    first, last = name.split("-")
    return range(int(first), int(last) + 1)
