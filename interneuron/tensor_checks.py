"""`interneuron.checks` for functions of tensors: what they ask of them, refused in one sentence where it isn't so."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from interneuron import checks
from interneuron.errors import InputError


def numbers(what: str, values: ArrayLike | Tensor, *axes: str | int, least: int = 0) -> Tensor:
    """`values` as a tensor of finite floats: a tensor as it is, with its gradient; an array as float32 or float64.

    what, axes, least: as in `interneuron.checks.numbers`. Raises InputError as it does, and for tensors of no floats.
    """
    if not isinstance(values, Tensor):
        return torch.from_numpy(np.array(checks.numbers(what, values, *axes, least=least)))
    if not values.is_floating_point():
        raise InputError(f"{what} are {values.dtype}, and take floats")
    checks.numbers(what, _plain(what, values), *axes, least=least)
    return values


def whole(what: str, values: ArrayLike | Tensor, *axes: str | int, least: int = 0) -> Tensor:
    """`values` as an int64 tensor, on the device where they are. Raises InputError as `interneuron.checks.whole`."""
    found = torch.from_numpy(checks.whole(what, _plain(what, values), *axes, least=least))
    return found.to(values.device) if isinstance(values, Tensor) else found


def marks(what: str, values: ArrayLike | Tensor, *axes: str | int, least: int = 0) -> Tensor:
    """`values` as a bool tensor. Raises InputError as `interneuron.checks.marks` does."""
    found = torch.from_numpy(checks.marks(what, _plain(what, values), *axes, least=least))
    return found.to(values.device) if isinstance(values, Tensor) else found


def array(what: str, values: ArrayLike | Tensor, *axes: str | int, least: int = 0) -> NDArray[Any]:
    """A tensor or array as `interneuron.checks.numbers` gives it, without gradients and from any device."""
    return checks.numbers(what, _plain(what, values), *axes, least=least)


def _plain(what: str, values: ArrayLike | Tensor) -> ArrayLike:
    if not isinstance(values, Tensor):
        return values
    if values.layout != torch.strided or values.is_quantized:
        raise InputError(f"{what} are a sparse or quantised tensor, and take a dense one")
    plain = values.detach().cpu().resolve_conj().resolve_neg()
    # NumPy has no bfloat16.
    found: NDArray[Any] = (plain.float() if plain.is_floating_point() and plain.itemsize < 4 else plain).numpy()
    return found
