"""Readers of the data of graph spectral regularization: mass cytometry (FCS) and turntables (COIL-20, a teapot)."""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from interneuron.data import _content
from interneuron.errors import InputError
from interneuron.io.files import Pathlike

_HEADER = 58
_OBJECTS, _VIEWS, _SIDE = 20, 72, 32
_TEAPOTS = 400, 3, 101, 76


def read_fcs(path: Pathlike) -> tuple[np.ndarray, list[str]]:
    """Cells of a flow or mass cytometry file, plain or gzipped, and the names of its markers.

    Format: FCS 2.0 to 3.2 in list mode, of floats (`$DATATYPE` `F`, `D`) or whole numbers of 1 to 8 bytes (`I`), in
    either byte order (Spidlen et al., "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 2010).
    Names are `$PnN`, or `$PnS` where that is empty. Whole numbers keep the bits that `$PnR` leaves them, and those of
    a logarithmic amplifier (`$PnE` f1, f2) become `10^(f1 x / $PnR) f2`; nothing else is transformed.

    As instruments write them, a keyword may have no value, and a value may have the separator in it, doubled. Where
    header and text disagree on where the data are, the one counts that agrees with `$TOT`.

    Returns float32 [cells, markers] and one name a marker. Raises `InputError` for a missing file, another format,
    several data sets, mixed byte orders, a keyword that is missing, ambiguous or no number, another number of cells
    than announced, two markers of one name, and values that are infinite or NaN as float32.
    """
    content = _content(path)
    if not re.match(rb"FCS(2\.0|3\.[012])    ", content):
        raise InputError(f"{path} is no FCS file: it begins with {content[:6]!r}, it takes FCS2.0 or FCS3.0 to FCS3.2")
    offsets = [content[at : at + 8].strip(b" \0") for at in range(10, 42, 8)]
    if len(content) < _HEADER or not all(offset.isdigit() for offset in offsets[:2]):
        raise InputError(f"{path} has a broken FCS header: its offsets are {offsets}, it takes four numbers")
    text = _Text(path, content, int(offsets[0]), int(offsets[1]))
    following = text.number("$NEXTDATA", "0")
    if following and content[following : following + 3] == b"FCS":
        raise InputError(f"{path} has a second data set at byte {following:,}, it takes files of one: split it first")
    mode = text.keyword("$MODE", "L" if content.startswith(b"FCS3.2") else None).upper()
    kind, order = text.keyword("$DATATYPE").upper(), "".join(text.keyword("$BYTEORD").split())
    rising = [str(byte) for byte in range(1, order.count(",") + 2)]
    orders = {",".join(rising): "<", ",".join(rising[::-1]): ">"} if len(rising) > 1 else {}
    if mode != "L" or kind not in ("F", "D", "I") or order not in orders:
        raise InputError(
            f"{path} has $MODE {mode}, $DATATYPE {kind} and $BYTEORD {order}, it takes L, F, D or I, and 1,2,3,4 or "
            "4,3,2,1"
        )
    numbers = range(1, text.number("$PAR") + 1)
    names = [text.keyword(f"$P{n}N", "") or text.keyword(f"$P{n}S", "") for n in numbers]
    if "" in names:
        empty = f"$P{names.index('') + 1}N"
        raise InputError(f"{path} has {empty} {text.keyword(empty)!r}, it takes a name of each marker")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{path} has two markers {twice[0]!r}, it takes one of each name")
    bits = [text.number(f"$P{n}B", {"F": "32", "D": "64"}.get(kind)) for n in numbers]
    for n, width in zip(numbers, bits, strict=True):
        if (width != 32 and kind == "F") or (width != 64 and kind == "D") or width % 8 or not 8 <= width <= 64:
            raise InputError(f"{path} has $P{n}B {width} and $DATATYPE {kind}, it takes 32 (F), 64 (D), or bytes (I)")
        if (other := text.keyword(f"$P{n}DATATYPE", kind).upper()) != kind:
            raise InputError(f"{path} has $P{n}DATATYPE {other} and $DATATYPE {kind}, it takes the same of all")
        if kind != "I" and text.exponent(n)[0]:
            raise InputError(f"{path} has floats and $P{n}E {text.keyword(f'$P{n}E')}, it takes 0,0: they are linear")
    row = sum(bits) // 8
    first, cells = _data_segment(text, [offset.decode("latin-1") for offset in offsets[2:]], row)
    if kind == "I":
        table = np.frombuffer(content, np.uint8, cells * row, first).reshape(cells, row)
        x = _whole_numbers(table, bits, orders[order], text)
    else:
        x = np.frombuffer(content, f"{orders[order]}f{bits[0] // 8}", cells * len(bits), first).reshape(cells, -1)
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise InputError(f"{path} has a value that is infinite or NaN as float32, it takes numbers")
    return x, names


def read_coil20(path: Pathlike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of COIL-20's 20 objects on a turntable, 72 views of each, 5 degrees apart, from `COIL20.mat` (32 x 32).

    The file keeps pixels column by column; images come out upright. Source: Nene, Nayar and Murase, Technical Report
    CUCS-005-96, Columbia University, 1996.

    Returns x uint8 [1440, 32, 32], the object of each image, int64 [1440] from 0 to 19, and its view, int64 [1440] from
    0 to 71 (times 5: degrees). Raises `InputError` for a file that is anything else.
    """
    found = _variables(path, "X", "Y")
    if not {"X", "Y"} <= set(found):
        raise InputError(f"{path} lacks the variable X or Y, it takes both")
    pixels, numbers = found["X"], np.asarray(found["Y"])
    count = _OBJECTS * _VIEWS
    if pixels.dtype != np.uint8 or pixels.shape != (count, _SIDE**2):
        raise InputError(
            f"{path} has X {pixels.dtype} {list(pixels.shape)}, it takes uint8 [{count}, {_SIDE**2}], an image a row"
        )
    expected = np.repeat(np.arange(_OBJECTS), _VIEWS)
    if numbers.dtype.kind not in "uif" or not np.array_equal(numbers.ravel().astype(np.int64) - 1, expected):
        raise InputError(f"{path} has objects Y in another order, it takes {_VIEWS} views of each of 1 to {_OBJECTS}")
    x = np.ascontiguousarray(pixels.reshape(-1, _SIDE, _SIDE).transpose(0, 2, 1))
    return x, expected, np.tile(np.arange(_VIEWS), _OBJECTS)


def read_teapots(path: Pathlike, side: int) -> np.ndarray:
    """Images of a teapot that turns once around, 400 views in order, from `Teapots.mat`, reduced to squares.

    The file has a structure `Input` whose first field is uint8 [23028, 400]: an image a column, of 76 x 101 pixels,
    colour by colour and column by column. Reduced by Pillow's bilinear filter. Source: Weinberger, Sha and Saul,
    "Learning a kernel matrix for nonlinear dimensionality reduction", ICML 2004.

    Returns uint8 [400, side, side, 3]. Raises `InputError` for a file that is anything else.
    """
    from PIL import Image

    found = _variables(path, "Input")
    first = found["Input"].flat[0] if getattr(found.get("Input"), "size", 0) else None
    pixels = first[0] if isinstance(first, np.void) and first.dtype.names else None
    views, *shape = _TEAPOTS
    size = int(np.prod(shape))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (size, views):
        raise InputError(
            f"{path} lacks a structure Input that begins with uint8 [{size}, {views}], an image a column: it takes that"
        )
    images = pixels.T.reshape(views, *shape).transpose(0, 3, 2, 1)
    resized = (
        Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BILINEAR) for image in images
    )
    return np.stack([np.asarray(image) for image in resized])


def _variables(path: Pathlike, *names: str) -> dict[str, Any]:
    """Some variables of a MATLAB file."""
    from scipy.io import loadmat

    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    try:
        return loadmat(path, variable_names=names)
    except NotImplementedError as error:
        raise InputError(f"{path} is of MATLAB 7.3; it takes one that is saved as version 7 or before") from error
    except Exception as error:  # loadmat raises whatever broken bytes lead to
        raise InputError(f"{path} cannot be read as a MATLAB file ({error}); fetch it again") from error


# Keywords that end a value before them, though the separator between them is doubled.
_STANDARD = rb"\$(?:P[0-9]+[BENRS]|PAR|TOT|MODE|DATATYPE|BYTEORD|NEXTDATA|BEGIN[A-Z]+|END[A-Z]+)"


class _Text:
    """Keywords of the text segment of an FCS file from its byte `start` to `stop`, and of the supplement it names."""

    def __init__(self, path: Pathlike, content: bytes, start: int, stop: int) -> None:
        self.path, self.content, self.start, self.stop = path, content, start, stop
        self._values = self._read(start, stop)
        begin = self.number("$BEGINSTEXT", "0")
        if stop < begin < len(content):
            self._values = self._read(begin, self.number("$ENDSTEXT", "0")) | self._values

    def _read(self, start: int, stop: int) -> dict[str, list[str]]:
        """Values by keyword, in capitals.

        The segment's first byte separates. It stands doubled for itself in a value, but an empty value doubles it, too:
        a keyword ends with the first one, since none has it within.
        """
        separator = self.content[start : start + 1]
        if not separator or separator.isalnum() or separator in b"$ \0":
            raise InputError(f"{self.path} has a broken FCS header: no text with a separator begins at byte {start:,}")
        # The header may leave out the last separator.
        stop = max(stop, self.content.find(separator, stop, stop + 3))
        text = self.content[start + 1 : stop + 1].rstrip(b" \0\r\n")
        if not text.endswith(separator) and self.content[stop + 1 : stop + 2].isalnum():
            raise InputError(f"{self.path} has a text that goes on behind byte {stop:,}, where its header lets it end")
        s = re.escape(separator)
        one = rb"([^%b]+)%b((?:[^%b]|%b%b(?!%b%b))*)(?:%b|(?<!%b)\Z)" % (s, s, s, s, s, _STANDARD, s, s, s)
        found: dict[str, list[str]] = {}
        for name, value in re.findall(one, text, re.IGNORECASE):
            value = _decoded(value.replace(separator * 2, separator))
            found.setdefault(_decoded(name).upper(), []).append(value)
        return found

    def keyword(self, name: str, default: str | None = None) -> str:
        """The value of a keyword."""
        values = self._values.get(name, [])
        if len(set(values)) > 1:
            raise InputError(f"{self.path} has {name} twice, as {values[0]!r} and {values[1]!r}, it takes one")
        if not values and default is None:
            raise InputError(f"{self.path} lacks the keyword {name}, it takes a whole FCS text segment")
        return values[0] if values else str(default)

    def number(self, name: str, default: str | None = None) -> int:
        """The value of a keyword that is a whole number; an empty one is as good as none."""
        value = self.keyword(name, default) or default or ""
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise InputError(f"{self.path} has {name} {value!r}, it takes a whole number")
        return int(value)

    def exponent(self, n: int) -> tuple[float, float]:
        """Decades and offset of a marker's logarithmic amplifier; (0, 0) of a linear one."""
        value = self.keyword(f"$P{n}E", "") or "0,0"
        try:
            decades, offset = map(float, value.split(","))
        except ValueError:
            raise InputError(f"{self.path} has $P{n}E {value!r}, it takes two numbers") from None
        return decades, offset


def _decoded(text: bytes) -> str:
    """Text of a keyword or a value: UTF-8, as of FCS 3.1, or what older instruments write, Latin-1."""
    try:
        return text.decode("utf-8").strip(" \0\t\r\n")
    except UnicodeDecodeError:
        return text.decode("latin-1").strip(" \0\t\r\n")


def _data_segment(text: _Text, header: list[str], row: int) -> tuple[int, int]:
    """First byte of the data, whose rows are `row` bytes, and the number of cells."""
    path, size = text.path, len(text.content)
    pairs = [header, [text.keyword("$BEGINDATA", ""), text.keyword("$ENDDATA", "")]]
    spans = [(int(first), int(last) if last.isdigit() else 0) for first, last in pairs if first.isdigit()]
    # An offset of 0 is given elsewhere.
    spans = [(first, last if last > first else size - 1) for first, last in spans if first >= _HEADER]
    if not spans:
        raise InputError(f"{path} does not say where its data begin: its header has {header}, it takes two offsets")
    # Only FCS 2.0 may leave the number of cells to the data.
    total = str((spans[0][1] + 1 - spans[0][0]) // (row or 1)) if text.content.startswith(b"FCS2.0") else None
    cells = text.number("$TOT", total)
    if not cells or not row:
        raise InputError(f"{path} has {cells} cells and {text.number('$PAR')} markers, it takes one or more of both")
    # The last byte is off by one in some files, and less than a row of padding may follow.
    length = cells * row
    fitting = {
        first
        for first, last in spans
        if first + length <= size
        and -1 <= last + 1 - first - length < max(row, 2)
        and not (first <= text.stop and first + length > text.start)
    }
    if not fitting:
        first, last = spans[0]
        if first <= text.stop and last >= text.start:
            raise InputError(
                f"{path} has its data at bytes {first:,} to {last:,} by its header or text, but its text at "
                f"{text.start:,} to {text.stop:,}: they take places of their own"
            )
        raise InputError(
            f"{path} announces {cells:,} cells of {text.number('$PAR')} markers = {length:,} bytes, but its data are "
            f"{max(min(last + 1, size) - first, 0):,} from byte {first:,}"
        )
    if len(fitting) > 1:
        raise InputError(
            f"{path} has data that begin at byte {spans[0][0]:,} by its header and {spans[1][0]:,} by its text, it "
            "takes one place"
        )
    return fitting.pop(), cells


def _whole_numbers(table: np.ndarray, bits: list[int], order: str, text: _Text) -> np.ndarray:
    """Values float64 [cells, markers] of rows of bytes, uint8 [cells, bytes]: masked, and linear."""
    x = np.empty((len(table), len(bits)))
    at = 0
    for column, width in enumerate(bits):
        n, step = column + 1, width // 8
        one = np.zeros((len(table), 8), np.uint8)
        one[:, :step] = table[:, at : at + step][:, :: 1 if order == "<" else -1]
        at += step
        value = text.keyword(f"$P{n}R")
        try:
            span = math.ceil(float(value))
        except (ValueError, OverflowError):
            span = 0
        if span < 1:
            raise InputError(f"{text.path} has $P{n}R {value!r}, it takes a number above 0")
        kept = min(2 ** (span - 1).bit_length() - 1, 2**64 - 1)
        x[:, column] = one.view("<u8")[:, 0] & np.uint64(kept)
        decades, offset = text.exponent(n)
        if decades:
            x[:, column] = 10 ** (decades * x[:, column] / float(value)) * (offset or 1)
    return x
