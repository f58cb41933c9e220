"""Tensors, tables, text and pictures, written under a temporary name and renamed when whole."""

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interneuron.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch
    from matplotlib.figure import Figure

Pathlike = str | os.PathLike[str]

_KEY = "interneuron"
_FULL = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}
_STORED = frozenset(
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64".split()  # noqa: SIM905
)
# A cell of a .tsv, in quotes or without, and what ends it; numbers, whole numbers and truth values without quotes.
_CELL = re.compile(r'(?P<value>"(?:[^"]|"")*"|(?!")[^\t\r\n]*)(?P<end>\t|\r\n?|\n)')
_NUMBER = re.compile(r"[-+]?(?!0[0-9])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|-?inf")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}

# How files begin that lie where another is expected, and what to say of them.
_FOREIGN = (
    (rb"(\xef\xbb\xbf)?\s*<(!doctype )?html\b", "is a web page (HTML), not the file itself: fetch it again"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml\b", "is an XML document: fetch the file itself again"),
    (rb"version https://git-lfs", "is a pointer of git-lfs, not the file itself: `git lfs pull` fetches that"),
    (rb"PK(\x03\x04|\x05\x06)", "is a zip archive: unpack it first"),
    (rb"BZh[1-9]1AY&SY", "is compressed by bzip2: unpack it first"),
    (rb"\xfd7zXZ\0", "is compressed by xz: unpack it first"),
    (rb"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it first"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it first"),
    (rb"Rar!\x1a\x07", "is a rar archive: unpack it first"),
    (rb"\x89HDF\r\n", "is an HDF5 file"),
    (rb"%PDF-", "is a PDF"),
    (rb"\{\s*\"", "is a JSON document"),
)


@contextmanager
def atomic(path: Pathlike) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix: renamed to `path` at the end of the block, removed if it fails.

    Parent folders are made. Readers see the old file or the whole new one. Raises `InputError` when the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if _disk_is_full(error):
            raise InputError(
                f"disk is full: {path} could not be written and nothing of it was left; free some space there and retry"
            ) from error
        raise


def _disk_is_full(error: BaseException) -> bool:
    if type(error).__name__ == "SafetensorError":  # says it in its text only
        return any(text in str(error) for text in _FULL.values())
    return isinstance(error, OSError) and error.errno in _FULL


def sha256(path: Pathlike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with _existing(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def foreign(start: bytes) -> str | None:
    """What a file is, as the end of a sentence, if it begins as one that lies where another should; or None."""
    return next((kind for signature, kind in _FOREIGN if re.match(signature, start, re.IGNORECASE)), None)


def save_text(path: Pathlike, text: str) -> None:
    """Write `text` as UTF-8, its line ends as they are."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


# tensors


def save_tensors(path: Pathlike, tensors: Mapping[str, "np.ndarray | torch.Tensor"], metadata: Any) -> None:
    """Write named arrays or tensors to a safetensors file.

    `metadata` is anything that JSON holds (NumPy numbers and arrays become numbers and lists, keys become strings); it
    is stored sorted, under the single key `interneuron`, so that equal content gives equal bytes.

    Raises `InputError` for a type that safetensors or NumPy lacks (objects, text, complex, bfloat16) and for metadata
    that is no JSON, NaN included.
    """
    from safetensors.numpy import save_file

    arrays = {name: _storable(name, value) for name, value in tensors.items()}
    try:
        text = json.dumps(metadata, sort_keys=True, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise InputError(f"the metadata for {path} are not JSON: {error}") from error
    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(arrays, temporary, metadata={_KEY: text})
        temporary.chmod(mode)  # safetensors' own is for the owner alone


def load_tensors(
    path: Pathlike, names: Iterable[str] | None = None, rows: slice | None = None
) -> dict[str, np.ndarray]:
    """Named arrays of a safetensors file: all of them, or `names`, in that order. No other is read from the disk.

    With `rows`, only that slice of axis 0 is read. Raises `InputError` for a missing or broken file and for a name that
    the file lacks.
    """
    with _opened(path) as file:
        there = sorted(file.keys())
        wanted = there if names is None else list(names)
        for name in wanted:
            if name not in there:
                raise InputError(f"{path} has no tensor {name!r}; it has {_some(there)}")
        if rows is None:
            return {name: file.get_tensor(name) for name in wanted}
        return {name: file.get_slice(name)[rows] for name in wanted}


def tensor_names(path: Pathlike) -> list[str]:
    """Names of the tensors in a safetensors file, sorted."""
    with _opened(path) as file:
        return sorted(file.keys())


def metadata(path: Pathlike) -> Any:
    """What `save_tensors` stored as metadata; `InputError` if the file holds none."""
    with _opened(path) as file:
        text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise InputError(f"{path} has no metadata under the key {_KEY!r}, which every file of this workflow has")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"the metadata of {path} are not JSON: {error}") from error


@contextmanager
def _opened(path: Pathlike) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    _existing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); make it again") from error


def _storable(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        kind = str(value.dtype).removeprefix("torch.")
        value = value.numpy() if kind in _STORED else None
    else:
        value = np.asarray(value)
        kind = value.dtype.name
    if kind not in _STORED:
        raise InputError(
            f"tensor {name!r} is of type {kind}, which is not stored; convert it to one of {_some(_STORED)}"
        )
    # Not np.ascontiguousarray: it gives a scalar an axis.
    return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


# tables


def save_table(path: Pathlike, frame: "pd.DataFrame") -> None:
    """Write a table as Parquet or as tab-separated text, by the suffix `.parquet` or `.tsv`, without its index.

    Equal tables give equal bytes. In `.tsv` floats have the fewest digits that give the same number again, and a
    missing value is an empty cell. A value with a tab, a line end or a quotation mark is in quotes, as in CSV; and so
    is every value of a text column that would be taken for numbers without them.

    Raises `InputError` for a column that has no name of its own, values of several kinds, or a kind that the file does
    not take.
    """
    suffix = _table_suffix(path)
    columns = _columns(path, frame)
    if suffix == ".tsv":
        if not columns:
            raise InputError(f"{path}: the table has no columns; a .tsv takes one or more")
        cells = [[_quoted(name), *_cells(path, name, column)] for name, column in columns.items()]
        save_text(path, "".join("\t".join(row) + "\n" for row in zip(*cells, strict=True)))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        # Without pandas' own metadata: they name versions and the index, and the bytes would depend on them.
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def load_table(path: Pathlike) -> "pd.DataFrame":
    """Read a table written by `save_table`; `InputError` for a missing or broken file.

    A column of a `.tsv` is numbers, or truth values, where all its cells are, none of them in quotes; an empty cell
    among them is a missing one. Any other column is text, and an empty cell in it empty text. `001`, and digits that
    64 bits don't hold, are no numbers: they would not come back as they are written.
    """
    import pandas as pd

    suffix = _table_suffix(path)
    with _existing(path).open("rb") as file:
        if kind := foreign(file.read(512)):
            raise InputError(f"{path} {kind}")
    try:
        if suffix == ".parquet":
            return _parquet(path)
        head, *rows = _rows(Path(path).read_bytes().decode("utf-8-sig"))
        names = [_unquoted(name) for name in head]
        _check_names(names)
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        return pd.DataFrame({name: _read(cells) for name, cells in zip(names, columns, strict=True)})
    except (ValueError, TypeError, KeyError, NotImplementedError, OSError) as error:  # Arrow's errors are such, too
        raise InputError(f"{path} is not a whole {suffix} table ({_one_line(error)}); make it again") from error


def _columns(path: Pathlike, frame: "pd.DataFrame") -> "dict[str, pa.ChunkedArray]":
    """A table's columns, each of one of Arrow's types."""
    import pandas as pd
    import pyarrow as pa

    for name in frame.columns:
        if not isinstance(name, str):
            raise InputError(f"{path}: a column is named {name!r}; a name is text")
        if not name:
            raise InputError(f"{path}: a column has no name; a name is text")
    for name in frame.columns[frame.columns.duplicated()]:
        raise InputError(f"{path}: two columns are named {name!r}; each takes a name of its own")
    columns = {}
    for name in frame.columns:
        kinds = sorted({type(value).__name__ for value in frame[name].dropna()}) if frame[name].dtype == object else []
        if len(kinds) > 1 and pd.api.types.infer_dtype(frame[name]) in ("mixed", "mixed-integer"):
            raise InputError(f"{path}: column {name!r} holds values of the types {', '.join(kinds)}; it takes one")
        try:
            columns[name] = pa.Table.from_pandas(frame[[name]], preserve_index=False, nthreads=1).column(0)
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise InputError(f"{path}: column {name!r} cannot be stored ({_one_line(error)})") from error
    return columns


def _parquet(path: Pathlike) -> "pd.DataFrame":
    import pyarrow.parquet as pq
    from pyarrow.types import is_integer

    table = pq.ParquetFile(path).read(use_threads=False)
    _check_names(table.column_names)
    frame = table.to_pandas(use_threads=False)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and is_integer(column.type):
            frame[name] = _whole(column.to_pylist())
    return frame


def _check_names(names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if not name or name in names[:i]:
            raise ValueError(f"column {i + 1} has {'the name ' + name + ' of another' if name else 'no name'}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _cells(path: Pathlike, name: str, column: "pa.ChunkedArray") -> list[str]:
    """What a .tsv has of a column."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_floating(column.type):
        return ["" if np.isnan(value) else str(value) for value in column.to_numpy()]
    values = column.to_pylist()
    if types.is_integer(column.type) or types.is_boolean(column.type):
        return ["" if value is None else str(value) for value in values]
    if not (types.is_string(column.type) or types.is_large_string(column.type) or types.is_null(column.type)):
        raise InputError(f"{path}: column {name!r} is of type {column.type}; a .tsv takes text, numbers, truth values")
    texts = [value or "" for value in values]
    like_numbers = _numbers(texts) is not None
    return [_quoted(text, like_numbers) for text in texts]


def _quoted(text: str, always: bool = False) -> str:
    return '"' + text.replace('"', '""') + '"' if always or not set(text).isdisjoint('\t\r\n"') else text


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _rows(text: str) -> list[list[str]]:
    """Rows of cells, in their quotes where they have them, which no library's reader tells.

    Raises ValueError, with the line, for a quote that is not closed and a row of another length than the first.
    """
    text = text if text.endswith("\n") else text + "\n"
    rows: list[list[str]] = []
    row: list[str] = []
    position, line = 0, 1
    while position < len(text):
        cell = _CELL.match(text, position)
        if cell is None:
            raise ValueError(f"line {line}: quotes that are not closed, or text behind them")
        row.append(cell["value"])
        if cell["end"] != "\t":
            if not rows or len(row) == len(rows[0]):
                rows.append(row)
            elif row != [""]:  # an empty line
                raise ValueError(f"line {line} has {len(row)} values, the first {len(rows[0])}")
            row = []
        position, line = cell.end(), line + cell[0].count("\n")
    return rows


def _read(cells: Sequence[str]) -> Any:
    """A column of a .tsv."""
    if not cells:
        return np.array([], dtype=object)
    values = None if any(cell.startswith('"') for cell in cells) else _numbers(cells)
    return [_unquoted(cell) for cell in cells] if values is None else values


def _numbers(cells: Sequence[str]) -> Any:
    """What cells without quotes say if all of them are numbers, or all truth values, apart from empty ones; or None."""
    there = [cell for cell in cells if cell]
    if there and all(cell in _TRUTH for cell in there):
        return np.array([_TRUTH.get(cell) for cell in cells], dtype=bool if len(there) == len(cells) else object)
    if not cells or not all(map(_NUMBER.fullmatch, there)):
        return None
    if there and all(map(_WHOLE.fullmatch, there)):
        return _whole([int(cell) if cell else None for cell in cells])
    values = np.array([float(cell or "nan") for cell in cells])
    too_large = any(np.isinf(value) and "inf" not in cell for value, cell in zip(values, cells, strict=True))
    return None if too_large else values


def _whole(values: Sequence[int | None]) -> Any:
    """Whole numbers: with missing ones among them as floats, where those hold them; None where 64 bits don't."""
    there = [value for value in values if value is not None]
    low, high = min(there, default=0), max(there, default=0)
    if low < -(2**63) or high >= (2**63 if low < 0 else 2**64):
        return None
    if len(there) == len(values):
        return np.array(values, dtype=np.int64 if high < 2**63 else np.uint64)
    if max(-low, high) <= 2**53:
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    import pandas as pd

    return pd.array(list(values), dtype="Int64" if high < 2**63 else "UInt64")


def _table_suffix(path: Pathlike) -> str:
    suffix = Path(path).suffix
    if suffix not in (".parquet", ".tsv"):
        raise InputError(f"{path} is no name for a table: it ends in {suffix!r} and takes .parquet or .tsv")
    return suffix


# pictures


def save_figure(path: Pathlike, figure: "Figure") -> None:
    """Write a matplotlib figure as PNG, at its own resolution, without date or version inside."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def save_animation(path: Pathlike, frames: Sequence[np.ndarray], ms: int) -> None:
    """Write frames as an endless GIF, each shown for `ms` milliseconds (GIF counts in steps of 10).

    Shapes: uint8 [height, width] (grey, kept exactly) or [height, width, 3] (colours, one palette of 256 for all
    frames). Raises `InputError` for anything else, for no frames, or frames of different shapes.
    """
    from PIL import Image

    arrays = [np.asarray(frame) for frame in frames]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) != 1 or not (len(shapes[0]) == 2 or shapes[0][2:] == (3,)) or 0 in shapes[0]:
        raise InputError(f"frames of shapes {shapes} are no animation; it takes one shape, [h, w] or [h, w, 3]")
    if any(array.dtype != np.uint8 for array in arrays):
        raise InputError(f"frames of type {arrays[0].dtype} are no animation; it takes uint8")
    if ms < 10:
        raise InputError(f"a frame of {ms} ms cannot be shown; it takes 10 or more")
    images = [Image.fromarray(array) for array in arrays]
    if arrays[0].ndim == 3:
        palette = Image.fromarray(np.concatenate(arrays)).quantize(256)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    with atomic(path) as temporary:
        images[0].save(temporary, format="GIF", save_all=True, append_images=images[1:], duration=ms, loop=0)


def _existing(path: Pathlike) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    return path


def _some(names: Iterable[str], most: int = 12) -> str:
    ordered = sorted(names)
    rest = len(ordered) - most
    return ", ".join(ordered[:most]) + (f" and {rest} more" if rest > 0 else "") if ordered else "none"
