"""Readers of the data of graph spectral regularization: mass cytometry (FCS) and turntables (COIL-20, a teapot)."""

import re
from pathlib import Path

import numpy as np

from interneuron.errors import InputError
from interneuron.io.files import Pathlike

_HEADER = 58
_OBJECTS, _VIEWS, _SIDE = 20, 72, 32
_TEAPOTS = 400, 3, 101, 76


def read_fcs(path: Pathlike) -> tuple[np.ndarray, list[str]]:
    """Cells of a flow or mass cytometry file as they are, and the names of its markers.

    Format: FCS 3.0 or 3.1 in list mode, of 32-bit (`F`) or 64-bit (`D`) floats, in either byte order (Spidlen et al.,
    "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 2010). Names are `$PnN`.

    Returns float32 [cells, markers] and one name a marker. No transformation is applied. Raises `InputError` for a
    missing file, another format, a keyword that is missing or no number, data that end early, and values that are
    infinite or NaN.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    content = path.read_bytes()
    if not re.match(rb"FCS3\.[01]    ", content):
        raise InputError(f"{path} is no FCS file: it begins with {content[:6]!r}, it takes FCS3.0 or FCS3.1")
    offsets = [content[at : at + 8].strip() for at in range(10, 42, 8)]
    if len(content) < _HEADER or not all(offset.isdigit() for offset in offsets):
        raise InputError(f"{path} has a broken FCS header: its offsets are {offsets}, it takes four numbers")
    start, stop, first, last = map(int, offsets)
    keywords = _keywords(content[start : stop + 1])

    def keyword(name: str) -> str:
        if name not in keywords:
            raise InputError(f"{path} lacks the keyword {name}, it takes a whole FCS text segment")
        return keywords[name].strip()

    def number(name: str) -> int:
        value = keyword(name)
        if not value.isdigit():
            raise InputError(f"{path} has {name} {value!r}, it takes a whole number")
        return int(value)

    mode, kind, order = keyword("$MODE"), keyword("$DATATYPE"), keyword("$BYTEORD")
    orders = {"1,2,3,4": "<", "4,3,2,1": ">"}
    if mode != "L" or kind not in ("F", "D") or order not in orders:
        raise InputError(
            f"{path} has $MODE {mode}, $DATATYPE {kind} and $BYTEORD {order}, it takes L, F or D, and 1,2,3,4 or "
            "4,3,2,1"
        )
    cells, markers = number("$TOT"), number("$PAR")
    if not cells or not markers:
        raise InputError(f"{path} has {cells} cells and {markers} markers, it takes one or more of both")
    # Segments beyond 99,999,999 bytes have their offsets in the text instead.
    if not first:
        first, last = number("$BEGINDATA"), number("$ENDDATA")
    form = np.dtype(f"{orders[order]}f{4 if kind == 'F' else 8}")
    if (size := cells * markers * form.itemsize) > min(last + 1, len(content)) - first:
        raise InputError(f"{path} announces {cells:,} cells of {markers} markers = {size:,} bytes, but fewer follow")
    x = np.frombuffer(content, form, cells * markers, first).reshape(cells, markers).astype(np.float32)
    if not np.isfinite(x).all():
        raise InputError(f"{path} has a value that is infinite or NaN, it takes numbers")
    return x, [keyword(f"$P{i + 1}N") for i in range(markers)]


def read_coil20(path: Pathlike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of COIL-20's 20 objects on a turntable, 72 views of each, 5 degrees apart, from `COIL20.mat` (32 x 32).

    The file keeps pixels column by column; images come out upright. Source: Nene, Nayar and Murase, Technical Report
    CUCS-005-96, Columbia University, 1996.

    Returns x uint8 [1440, 32, 32], the object of each image, int64 [1440] from 0 to 19, and its view, int64 [1440] from
    0 to 71 (times 5: degrees). Raises `InputError` for a file that is anything else.
    """
    from scipy.io import loadmat

    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        found = loadmat(path, variable_names=["X", "Y"])
    except Exception as error:  # loadmat raises whatever broken bytes lead to
        raise InputError(f"{path} cannot be read as a MATLAB file ({error}); fetch it again") from error
    if not {"X", "Y"} <= set(found):
        raise InputError(f"{path} lacks the variable X or Y, it takes both")
    pixels, numbers = found["X"], found["Y"].ravel()
    count = _OBJECTS * _VIEWS
    if pixels.dtype != np.uint8 or pixels.shape != (count, _SIDE**2):
        raise InputError(
            f"{path} has X {pixels.dtype} {list(pixels.shape)}, it takes uint8 [{count}, {_SIDE**2}], an image a row"
        )
    expected = np.repeat(np.arange(_OBJECTS), _VIEWS)
    if not np.array_equal(numbers.astype(np.int64) - 1, expected):
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
    from scipy.io import loadmat

    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        found = loadmat(path, variable_names=["Input"])
    except Exception as error:  # loadmat raises whatever broken bytes lead to
        raise InputError(f"{path} cannot be read as a MATLAB file ({error}); fetch it again") from error
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


def _keywords(text: bytes) -> dict[str, str]:
    """Keywords of a text segment, in capitals: its first byte separates, and stands doubled for itself."""
    separator = text[:1]
    parts = re.split(rb"(?<!%b)%b(?!%b)" % ((re.escape(separator),) * 3), text[1:].rstrip(b" \0")) if separator else []
    parts = [part.replace(separator * 2, separator) for part in parts]
    names = [name.decode("utf-8", "replace").strip().upper() for name in parts[::2]]
    return dict(zip(names, [value.decode("utf-8", "replace") for value in parts[1::2]], strict=False))
