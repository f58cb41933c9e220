"""Activation patterns as packed bits, and the regions that they make: samples with one pattern."""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from interneuron import checks
from interneuron.errors import InputError
from interneuron.regions.piecewise import Codes, PiecewiseAffine, Site, piecewise_affine

Packed = NDArray[np.uint8]

# Bits of the patterns of one batch where none is asked for.
_BITS = 2**24


@dataclass(frozen=True)
class Regions:
    """Sets of samples with one activation pattern, by falling support, of equal ones the first to appear first.

    `labels` int64 [n]: region of each sample; `counts` int64 [regions]: samples in each (its support); `first` int64
    [regions]: a sample that stands for it, its first; `patterns` uint8 [regions, bytes]: its packed bits; `hashes`
    uint64 [regions]: their 64-bit hash, a short name that does not depend on the other samples; `collisions`: regions
    that share their hash with another (their patterns are told apart all the same).
    """

    labels: NDArray[np.int64]
    counts: NDArray[np.int64]
    first: NDArray[np.int64]
    patterns: Packed
    hashes: NDArray[np.uint64]
    collisions: int

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.counts)


def sites(network: nn.Module, x: ArrayLike | Tensor, logits: bool = False) -> tuple[Site, ...]:
    """The branching operations of a network on inputs x [n, ...], in the order in which they run.

    Pattern bits and units are in this order. Raises InputError as the package says.
    """
    return piecewise_affine(network, x, logits)[0].sites


def activation_patterns(
    network: nn.Module, x: ArrayLike | Tensor, batch: int | None = None, logits: bool = False
) -> Packed:
    """Activation pattern of every sample: packed bits, uint8 [n, ceil(bits / 8)], the first bit the lowest.

    A ReLU, LeakyReLU or PReLU unit has one bit, 1 where its pre-activation is > 0, strictly; Hardtanh, ReLU6 and clamp
    two, the branch 0 (at or below the lower end), 1 (between) or 2; maximum pooling the place of the largest in its
    window. Bits are ordered by site (`sites`), unit and place value. `batch` inputs run together.

    Raises InputError as the package says. Source: Picchiotti & Gori 2021, section 3.
    """
    program, values = piecewise_affine(network, x, logits)
    bits = sum(site.units * site.bits for site in program.sites)
    if not bits:
        raise InputError("the network has no branching units, so it is one region and has no patterns")
    size = block_size(batch, max(1, min(65536, _BITS // bits)))
    packed = np.empty((len(values), -(-bits // 8)), np.uint8)
    with torch.no_grad():
        for start in range(0, len(values), size):
            _, codes = program.run(values[start : start + size])
            packed[start : start + size] = packed_bits(program, codes)
    return packed


def unpack_patterns(packed: ArrayLike, bits: int) -> NDArray[np.bool_]:
    """The bits of packed patterns [n, bytes]: bool [n, bits]. Raises InputError where they don't fit."""
    rows = _packed(packed)
    if not 0 <= bits <= 8 * rows.shape[1]:
        raise InputError(f"{bits} bits asked for, of patterns with {8 * rows.shape[1]}")
    return np.unpackbits(rows, axis=1, count=bits, bitorder="little").view(bool)


def unique_patterns(packed: ArrayLike) -> Regions:
    """Regions of packed patterns uint8 [n, bytes], in one pass over a hash table.

    Patterns are looked up by a 64-bit hash and then compared byte by byte, so that a collision of hashes never merges
    two regions. Time: linear in n x bytes. Raises InputError for anything but uint8 [n, bytes] with n of at least 1.
    """
    rows = _packed(packed)
    if not len(rows) or not rows.shape[1]:
        raise InputError(f"patterns have shape {list(rows.shape)}, and take at least one sample and one byte")
    words = _words(rows)
    return _regions(rows, words, _hashes(words))


def packed_bits(program: PiecewiseAffine, codes: Codes) -> Packed:
    """Packed patterns of one run."""
    return np.packbits(program.bits(codes).cpu().numpy(), axis=1, bitorder="little")


def _regions(rows: Packed, words: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> Regions:
    labels, first, counts = _unique(words, hashes)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = first[order]
    names = hashes[first]
    _, shared = np.unique(names, return_counts=True)
    return Regions(rank[labels], counts[order], first, rows[first], names, int(shared[shared > 1].sum()))


def _packed(packed: ArrayLike) -> Packed:
    if not isinstance(packed, np.ndarray) or np.ma.is_masked(packed):
        checks.whole("patterns", packed)
    rows = np.asarray(packed)
    if rows.ndim != 2 or rows.dtype != np.uint8:
        raise InputError(
            f"patterns are {rows.dtype} of shape {list(rows.shape)}, and take packed bits, uint8 [n, bytes]"
        )
    return rows


def _words(rows: Packed) -> NDArray[np.uint64]:
    """Rows as 64-bit words, filled up with zeros."""
    width = -(-rows.shape[1] // 8) * 8
    if width == rows.shape[1]:
        return np.ascontiguousarray(rows).view("<u8")
    padded = np.zeros((len(rows), width), np.uint8)
    padded[:, : rows.shape[1]] = rows
    return padded.view("<u8")


@njit(cache=True, nogil=True)
def _hashes(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A multiplicative hash with the finaliser of MurmurHash3 after every word."""
    hashes = np.empty(words.shape[0], np.uint64)
    for i in range(words.shape[0]):
        h = np.uint64(0x9E3779B97F4A7C15)
        for j in range(words.shape[1]):
            h ^= words[i, j]
            h ^= h >> np.uint64(33)
            h *= np.uint64(0xFF51AFD7ED558CCD)
            h ^= h >> np.uint64(33)
            h *= np.uint64(0xC4CEB9FE1A85EC53)
            h ^= h >> np.uint64(33)
        hashes[i] = h
    return hashes


@njit(cache=True, nogil=True)
def _unique(
    words: NDArray[np.uint64], hashes: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels by first appearance, first member and number of members of each."""
    n, width = words.shape
    size = 1
    while size < 2 * n:
        size *= 2
    mask = np.uint64(size - 1)
    table = np.full(size, -1, np.int64)
    labels = np.empty(n, np.int64)
    first = np.empty(n, np.int64)
    counts = np.zeros(n, np.int64)
    found = 0
    for i in range(n):
        slot = hashes[i] & mask
        while True:
            label = table[slot]
            if label < 0:
                label = found
                table[slot] = label
                first[label] = i
                found += 1
                break
            other = first[label]
            same = hashes[other] == hashes[i]
            if same:
                for j in range(width):
                    if words[other, j] != words[i, j]:
                        same = False
                        break
            if same:
                break
            slot = (slot + np.uint64(1)) & mask
        labels[i] = label
        counts[label] += 1
    return labels, first[:found].copy(), counts[:found].copy()


def block_size(batch: int | None, default: int) -> int:
    """Samples that run together. Raises InputError for less than one."""
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}, and takes at least 1")
    return default if batch is None else batch
