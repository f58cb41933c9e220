"""What public functions ask of the arrays that they are given, refused in one sentence where it isn't so."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interneuron.errors import InputError

# Rows of probabilities in float16 are that close to one.
_SUM = 1e-3


def numbers(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[Any]:
    """`values` as an array of finite real numbers: float32 stays so, everything else becomes float64.

    what: its name in sentences, in the plural ("features"). axes: what each axis holds ("samples"), or how long it has
    to be; none: any shape. least: how long the first axis is at least. The caller's array is never changed, and may be
    what is returned.

    Raises InputError for text, objects, complex numbers, masked entries, another shape, and NaN or infinity (with the
    first place).
    """
    array = _array(what, values)
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    _check_shape(what, array, axes, least)
    finite = np.isfinite(array)
    if not finite.all():
        place = np.argwhere(~finite)[0].tolist()
        where = f" (first at {place})" if place else ""
        raise InputError(f"{what} hold NaN or infinite numbers{where}, and take finite ones")
    return array


def whole(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[np.int64]:
    """`values` as int64: whole numbers of any type. Raises InputError as `numbers` does, and for fractions."""
    array = _array(what, values)
    if array.dtype.kind == "f":
        array = numbers(what, array, *axes, least=least)
        odd = array != np.rint(array)
        if odd.any():
            raise InputError(f"{what} hold {array[odd].flat[0]:g}, and take whole numbers")
    _check_shape(what, array, axes, least)
    return array.astype(np.int64)


def probabilities(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[Any]:
    """`values` as probabilities, whose last axis sums to one within 0.001.

    Raises InputError as `numbers` does, for numbers outside of [0, 1], and for sums that are not one: logits are none.
    """
    p = numbers(what, values, *axes, least=least)
    if p.size and (p.min() < 0 or p.max() > 1):
        raise InputError(
            f"{what} run from {p.min():.3g} to {p.max():.3g}, and take probabilities of 0 to 1: logits go through a "
            "softmax first"
        )
    sums = p.sum(-1, dtype=np.float64)
    off = np.abs(sums - 1) > _SUM
    if off.any():
        place = np.argwhere(off)[0].tolist()
        raise InputError(f"{what} sum to {sums[off].flat[0]:.4g} (first at {place}), and take rows that sum to 1")
    return p


def gapped(what: str, values: ArrayLike, gap: float, *axes: str | int, least: int = 0) -> NDArray[np.float64]:
    """`values` as float64, in which `gap` (NaN, or infinity) stands where there is no number.

    Raises InputError as `numbers` does, for the others.
    """
    array = _array(what, values).astype(np.float64)
    missing = np.isnan(array) if np.isnan(gap) else array == gap
    numbers(what, np.where(missing, 0, array), *axes, least=least)
    return array


def marks(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[np.bool_]:
    """`values` as bool: True and False, or 1 and 0. Raises InputError as `whole` does, and for other numbers."""
    found = whole(what, values, *axes, least=least)
    if found.size and (found.min() < 0 or found.max() > 1):
        raise InputError(f"{what} run from {found.min()} to {found.max()}, and take true and false, or 1 and 0")
    return found.astype(bool)


def labels(what: str, values: ArrayLike, *axes: str | int, least: int = 0) -> NDArray[Any]:
    """`values` as labels, which only have to be told apart: whole numbers of any type as int64, or text.

    Raises InputError as `whole` does, for NaN and None among others: a label that is missing is none.
    """
    try:
        array = np.asarray(values, str if _text(values) else None)
    except (TypeError, ValueError, RuntimeError):
        return whole(what, values, *axes, least=least)
    if array.dtype.kind != "U" or np.ma.is_masked(values):
        return whole(what, values, *axes, least=least)
    _check_shape(what, array, axes, least)
    return array


def classes(what: str, values: ArrayLike, n: int | None = None, least: int = 2) -> NDArray[Any]:
    """`values` as labels [n] of `least` classes or more; n None: any number of them, but 0.

    Raises InputError as `labels` does, and for fewer classes.
    """
    found = labels(what, values, "samples" if n is None else n)
    if not len(found) and least:
        raise InputError(f"{what} are none, and this takes one or more")
    if len(np.unique(found)) < least:
        raise InputError(f"all {what} are {found[0]}; this takes two classes or more")
    return found


def same_classes(
    what: str, values: ArrayLike, n: int, other: str, others: ArrayLike, m: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels [n] and other labels [m] of the same classes. Raises as `classes` does, and for numbers beside text."""
    first, second = classes(what, values, n, 1), classes(other, others, m, 1)
    if (first.dtype.kind == "U") != (second.dtype.kind == "U"):
        raise InputError(f"{what} are {first.dtype} and {other} {second.dtype}; numbers and text are never one class")
    return first, second


def index(what: str, values: ArrayLike, n: int, least: int = 0) -> NDArray[np.int64]:
    """Numbers of samples, int64 [.], `least` or more. Raises InputError for what is no whole number from 0 to n - 1."""
    found = whole(what, values, "samples", least=least)
    if found.size and not (found.min() >= 0 and found.max() < n):
        wrong = found.min() if found.min() < 0 else found.max()
        raise InputError(f"{what} hold {wrong}; {n:,} samples take 0 to {n - 1}")
    return found


def _text(values: ArrayLike) -> bool:
    """Whether these are objects, all of them text (as pandas has it)."""
    array = np.asarray(values)
    return array.dtype.kind == "O" and array.size > 0 and all(isinstance(one, str) for one in array.flat)


def _array(what: str, values: ArrayLike) -> NDArray[Any]:
    if hasattr(values, "tocsr"):
        raise InputError(f"{what} are a sparse matrix, and take a dense array: toarray() makes one")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InputError(f"{what} are a masked array with masked entries, and take numbers everywhere")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} cannot be read as an array of numbers: {str(error).splitlines()[0]}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what} are {array.dtype}, and take real numbers")
    return array


def _check_shape(what: str, array: NDArray[Any], axes: tuple[str | int, ...], least: int) -> None:
    fits = len(axes) == array.ndim and all(
        isinstance(wanted, str) or wanted == got for wanted, got in zip(axes, array.shape, strict=True)
    )
    if axes and not fits:
        raise InputError(f"{what} have the shape {list(array.shape)}, and take [{', '.join(map(str, axes))}]")
    if least and (not array.ndim or len(array) < least):
        raise InputError(f"{what} have the shape {list(array.shape)}, and take at least {least} on the first axis")
