"""Readers of dataset formats, and splits. Images are uint8 [samples, height, width], classes int64 [samples]."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from interneuron.errors import InputError
from interneuron.io.files import Pathlike

_UNSIGNED_BYTES = 0x08
_DIGIT_PIXELS, _DIGIT_LEVELS, _DIGITS = 64, 16, 10


def read_idx_images(path: Pathlike) -> np.ndarray:
    """Images of an idx file (`idx3-ubyte`), plain or gzipped.

    Format: http://yann.lecun.com/exdb/mnist/: big-endian uint32 magic 0x00000803 and three sizes, then the bytes.

    Returns uint8 [n, height, width]. Raises `InputError` for a missing or broken file, another magic number, or sizes
    that don't match the bytes that follow.
    """
    return _read_idx(path, 3, "images")


def read_idx_labels(path: Pathlike) -> np.ndarray:
    """Labels of an idx file (`idx1-ubyte`), plain or gzipped: int64 [n]. Raises as `read_idx_images` does."""
    return _read_idx(path, 1, "labels").astype(np.int64)


def read_digits(path: Pathlike) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of scikit-learn's `digits.csv.gz`, in its order.

    Format: 64 pixels of 0 to 16 and the digit, a line an image (Alpaydin and Kaynak, UCI repository, 1998).

    Returns x uint8 [n, 8, 8] and y int64 [n]. Raises `InputError` for a file that is anything else.
    """
    with _reading(path) as file:
        try:
            text = file.read().decode("ascii")
            table = np.loadtxt(io.StringIO(text or "0"), delimiter=",", ndmin=2)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise InputError(f"{path} is not a whole table of numbers between commas ({error})") from error
    if table.shape[1] != _DIGIT_PIXELS + 1 or not len(table):
        raise InputError(f"{path} has {table.shape[1]} columns and {len(table)} rows; it takes 64 pixels and a digit")
    x, y = table[:, :-1], table[:, -1]
    if not np.array_equal(table, table.round()) or x.min() < 0 or x.max() > _DIGIT_LEVELS:
        raise InputError(
            f"{path} has a value that is no pixel and no digit; it takes whole numbers, pixels of 0 to {_DIGIT_LEVELS}"
        )
    y = y.astype(np.int64)
    check_classes(x, y, _DIGITS, path)
    return x.reshape(-1, 8, 8).astype(np.uint8), y


def check_classes(x: np.ndarray, y: np.ndarray, classes: int, where: object) -> None:
    """Check that there is a label for every image of `where` and that it lies in 0 to `classes` - 1."""
    if len(x) != len(y):
        raise InputError(f"{where} has {len(x):,} images and {len(y):,} labels; it takes as many of both")
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if wrong.size:
        row = wrong[0]
        raise InputError(f"{where} has the label {y[row]} at row {row}; it takes 0 to {classes - 1}")


def stratified_split(y: np.ndarray, test_share: float, generator: np.random.Generator) -> np.ndarray:
    """Which samples are test samples, bool [n]: of each class the share `test_share`, rounded, drawn without repeats.

    Raises `InputError` for a share outside of 0 to 1, or when a class would have no train or no test sample.
    """
    if not 0 < test_share < 1:
        raise InputError(f"test_share is {test_share}; it takes a number between 0 and 1")
    test = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        count = round(test_share * len(rows))
        if not 0 < count < len(rows):
            raise InputError(
                f"test_share {test_share} leaves class {label} with {len(rows)} samples {count} of them for the test;"
                " it takes 1 or more on both sides"
            )
        test[rows[:count]] = True
    return test


def _read_idx(path: Pathlike, dimensions: int, what: str) -> np.ndarray:
    header = 4 * (1 + dimensions)
    with _reading(path) as file:
        try:
            start = file.read(header)
            if len(start) < header:
                raise InputError(f"{path} ends after {len(start)} bytes, within the header of an idx file of {what}")
            magic, *sizes = struct.unpack(f">{1 + dimensions}I", start)
            expected = (_UNSIGNED_BYTES << 8) + dimensions
            if magic != expected:
                raise InputError(
                    f"{path} is no idx file of {what}: its magic number is 0x{magic:08x}, it takes 0x{expected:08x}"
                )
            if 0 in sizes:
                raise InputError(f"{path} has {what} of shape {sizes}; it takes at least one, of at least one pixel")
            count = int(np.prod(sizes, dtype=object))
            # One more than there should be, so that a longer file shows.
            payload = file.read(count + 1)
        except (OSError, EOFError, zlib.error, OverflowError, MemoryError) as error:
            raise InputError(f"{path} cannot be read to its end ({error}); fetch it again") from error
    if len(payload) != count:
        found = f"{len(payload):,}" if len(payload) < count else "more"
        shape = " x ".join(f"{size:,}" for size in sizes)
        raise InputError(f"{path} announces {what} of {shape} = {count:,} bytes, but {found} follow")
    return np.frombuffer(payload, np.uint8).reshape(sizes)


def _reading(path: Pathlike) -> BinaryIO:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    file = path.open("rb")
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file
    file.close()
    return cast(BinaryIO, gzip.open(path))
