"""Exact affine maps of a network at samples: f(u) = Omega u + b on the whole region of each."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from interneuron import tensor_checks
from interneuron.errors import InputError
from interneuron.regions.patterns import block_size, packed_bits, unique_patterns
from interneuron.regions.piecewise import Codes, Linear, PiecewiseAffine, piecewise_affine

Outputs = Literal["predicted"] | Sequence[int] | None

# Numbers of Omega in one block where no batch is asked for: 4 MiB in float32, memory that is used again.
_BLOCK = 2**20
# Rows of one matrix product of a chain: small enough that what lies between two products stays in the cache.
_ROWS = 1500
# Samples of one backward pass of other networks, whose activations are all kept.
_BACKWARD = 64


class AffineMaps(NamedTuple):
    """Maps at n samples: `omega` [n, outputs, d], `b` [n, outputs]."""

    omega: Tensor
    b: Tensor


class Block(NamedTuple):
    """Maps of the samples `start` to `stop` - 1, and the network's outputs there, all of them: `y` [rows, outputs]."""

    start: int
    stop: int
    omega: Tensor
    b: Tensor
    y: Tensor


def network_outputs(
    network: nn.Module, x: ArrayLike | Tensor, batch: int | None = None, logits: bool = False
) -> Tensor:
    """Outputs f(u) [n, outputs] that the maps reproduce: the network's own, or with `logits` those before its end."""
    program, values = piecewise_affine(network, x, logits)
    size = block_size(batch, 1024)
    with torch.no_grad():
        return torch.cat([program.run(values[start : start + size])[0] for start in range(0, len(values), size)])


def predicted_outputs(y: Tensor) -> Tensor:
    """Which output [n] stands for the predicted class, given outputs y [n, outputs]: the largest, or the only one.

    Raises InputError for another shape, and NaN."""
    return _checked(y).argmax(1)


def predicted_classes(y: Tensor) -> Tensor:
    """Predicted class [n], int64, given logits y [n, outputs]: the largest; of a single one, whether it is > 0.

    Raises InputError for another shape, and NaN."""
    y = _checked(y)
    return y.argmax(1) if y.shape[1] > 1 else (y[:, 0] > 0).long()


def affine_maps(
    network: nn.Module,
    x: ArrayLike | Tensor,
    outputs: Outputs = None,
    batch: int | None = None,
    out: tuple[Tensor, Tensor] | None = None,
    logits: bool = False,
) -> AffineMaps:
    """Exact affine map of a piecewise-affine network at each sample u of x: f(u) = Omega u + b, on all of u's region.

        Omega(p) = W_p D_{p-1} W_{p-1} ... D_1 W_1,    b(p) = sum_i (W_p D_{p-1} ... W_{i+1} D_i) b_i

    with the D_i diagonal, of the slopes of u's branches; in general the Jacobian and the value at 0 of the network with
    its branches held as they are at u. x: [n, ...], flattened to d numbers in row-major order. outputs: all (None), the
    predicted class's alone ("predicted": the largest output, the only one where there is one), or these. Returns
    omega [n, outputs, d] and b [n, outputs] in the network's dtype; in `out` (omega, b), where given.

    |Omega u + b - f(u)| is at most 1e-5 (float32) or 1e-11 (float64) times max(|f(u)|, sum_i |Omega_i u_i| + |b|),
    unless larger numbers cancel in b: `identity_error` measures it. Samples of a batch run together; the maps of a
    region are `affine_maps(network, x[regions.first])`. For what does not fit in memory there is `affine_blocks`.

    Raises InputError as the package says. Source: Picchiotti & Gori 2021, equations 2 and 3.
    """
    program, values = piecewise_affine(network, x, logits)
    index = _index(outputs, program)
    selected = 1 if index is None else index.shape[1]
    shapes = (len(values), selected, program.inputs), (len(values), selected)
    if out is None:
        omega, b = (torch.empty(shape, dtype=values.dtype, device=values.device) for shape in shapes)
    else:
        omega, b = out
        if (tuple(omega.shape), tuple(b.shape)) != shapes or not omega.is_contiguous():
            raise InputError(
                f"out has shapes {list(omega.shape)} and {list(b.shape)}, and takes {list(shapes[0])}, contiguous, and "
                f"{list(shapes[1])}"
            )
    for _ in _blocks(program, values, index, batch, (omega, b)):
        pass
    return AffineMaps(omega, b)


def affine_blocks(
    network: nn.Module,
    x: ArrayLike | Tensor,
    outputs: Outputs = None,
    batch: int | None = None,
    logits: bool = False,
) -> Iterator[Block]:
    """`affine_maps`, block by block of samples in order: memory is that of two blocks, whatever n is.

    batch: samples of a block. The tensors of a block are the caller's to keep; none is used again. Input is checked,
    and refused, when the first block is asked for.
    """
    program, values = piecewise_affine(network, x, logits)
    yield from _blocks(program, values, _index(outputs, program), batch, None)


def identity_error(omega: Tensor, b: Tensor, x: ArrayLike | Tensor, y: Tensor) -> Tensor:
    """|Omega u + b - f(u)| / max(|f(u)|, sum_i |Omega_i u_i| + |b|) of every sample and output, [n, outputs].

    omega [n, outputs, d], b [n, outputs], x [n, ...], y = f(u) [n, outputs] of the same outputs. Sums are made in
    float64, so that the error is that of the maps. 0 where all of it is 0. Raises InputError where these don't fit, and
    for NaN.
    """
    omega, b, y = (tensor_checks.numbers(what, of) for what, of in (("omega", omega), ("b", b), ("y", y)))
    u = tensor_checks.numbers("inputs", x, least=1)
    if u.ndim < 2 or b.ndim != 2:
        raise InputError(f"inputs {list(u.shape)} and b {list(b.shape)} take [n, ...] and [n, outputs]")
    u = u.flatten(1).to(omega)
    if omega.shape != (len(u), *b.shape[1:], u.shape[1]) or b.shape != y.shape:
        raise InputError(
            f"maps {list(omega.shape)}, {list(b.shape)} do not fit inputs {list(u.shape)} and outputs {list(y.shape)}"
        )
    error = torch.empty(b.shape, dtype=torch.float64, device=b.device)
    rows = max(1, _BLOCK // max(1, omega[0].numel()))
    for start in range(0, len(u), rows):
        part = slice(start, start + rows)
        terms = omega[part].double() * u[part, None].double()
        offset, value = b[part].double(), y[part].double()
        scale = torch.maximum(value.abs(), terms.abs().sum(2) + offset.abs())
        difference = (terms.sum(2) + offset - value).abs()
        error[part] = torch.where(scale > 0, difference / scale, difference)
    return error


def _checked(y: Tensor) -> Tensor:
    found = tensor_checks.numbers("outputs", y, "n", "outputs")
    if not found.shape[1]:
        raise InputError(f"outputs have the shape {list(found.shape)}, and take one output or more")
    return found


def maps_at(program: PiecewiseAffine, x: Tensor, chosen: Tensor) -> AffineMaps:
    """Maps of a few samples, for the outputs `chosen` [1, outputs] or [n, outputs]."""
    omega = x.new_empty((len(x), chosen.shape[1], program.inputs))
    maps = AffineMaps(omega, x.new_empty((len(x), chosen.shape[1])))
    if program.chain is None:
        _by_gradients(program, x, chosen, *maps)
    else:
        with torch.no_grad():
            _by_products(program, program.run(x)[1], chosen, *maps)
    return maps


def chosen_outputs(outputs: Outputs, program: PiecewiseAffine, x: Tensor) -> Tensor:
    """Indices of the outputs asked for: [1, outputs], or [n, 1] where each sample has its own."""
    index = _index(outputs, program)
    return predicted_outputs(program.run(x)[0])[:, None] if index is None else index


def _blocks(
    program: PiecewiseAffine, x: Tensor, index: Tensor | None, batch: int | None, out: tuple[Tensor, Tensor] | None
) -> Iterator[Block]:
    selected = 1 if index is None else index.shape[1]
    most = _BLOCK // (selected * program.inputs)
    most = min(most, max(1, _BLOCK // max(1, program.units())), 65536) if program.chain else min(most, _BACKWARD)
    size = block_size(batch, max(1, most))
    shared = program.chain is not None and bool(program.sites)
    for start in range(0, len(x), size):
        stop = min(start + size, len(x))
        if out is None:
            omega = x.new_empty((stop - start, selected, program.inputs))
            b = x.new_empty((stop - start, selected))
        else:
            omega, b = out[0][start:stop], out[1][start:stop]
        if program.chain is None:
            y = _by_gradients(program, x[start:stop], index, omega, b)
        else:
            with torch.no_grad():
                y, codes = program.run(x[start:stop])
                chosen = predicted_outputs(y)[:, None] if index is None else index
                shared = shared and _by_patterns(program, codes, chosen, omega, b)
                if not shared:
                    _by_products(program, codes, chosen, omega, b)
        yield Block(start, stop, omega, b, y)


def _by_gradients(program: PiecewiseAffine, x: Tensor, index: Tensor | None, omega: Tensor, b: Tensor) -> Tensor:
    """One backward pass an output, of all samples; b is what the network with its branches held gives for 0."""
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        y, codes = program.run(leaf)
        chosen = (predicted_outputs(y.detach())[:, None] if index is None else index).expand(len(x), -1)
        picked = y.gather(1, chosen)
        for k in range(picked.shape[1]):
            keep = k < picked.shape[1] - 1
            omega[:, k] = torch.autograd.grad(picked[:, k].sum(), leaf, retain_graph=keep)[0].flatten(1)
    with torch.no_grad():
        b.copy_(program.run(torch.zeros_like(x), codes)[0].gather(1, chosen))
    return y.detach()


def _by_patterns(program: PiecewiseAffine, codes: Codes, chosen: Tensor, omega: Tensor, b: Tensor) -> bool:
    """Maps once a pattern (and output chosen), where that saves work; else False, and nothing is done."""
    rows = packed_bits(program, codes)
    if len(chosen) > 1:
        rows = np.hstack([rows, chosen.cpu().numpy().view(np.uint8)])
    regions = unique_patterns(rows)
    if 2 * regions.count > len(rows):
        return False
    first, labels = (torch.from_numpy(part).to(omega.device) for part in (regions.first, regions.labels))
    few, offsets = omega.new_empty((len(first), *omega.shape[1:])), b.new_empty((len(first), b.shape[1]))
    some = chosen[first] if len(chosen) > 1 else chosen
    _by_products(program, [code[first] for code in codes], some, few, offsets)
    torch.index_select(few, 0, labels, out=omega)
    torch.index_select(offsets, 0, labels, out=b)
    return True


def _by_products(program: PiecewiseAffine, codes: Codes, chosen: Tensor, omega: Tensor, b: Tensor) -> None:
    """Products of a chain's matrices from its end, a few thousand rows at a time."""
    assert program.chain is not None
    eye = torch.eye(program.outputs, dtype=omega.dtype, device=omega.device)
    rows = max(1, _ROWS // omega.shape[1])
    for start in range(0, len(omega), rows):
        part = slice(start, start + rows)
        v = eye[chosen[part] if len(chosen) > 1 else chosen]
        offset: Tensor | float = 0.0
        site = len(codes)
        for number, step in enumerate(reversed(program.chain), 1):
            if isinstance(step, Linear):
                if step.bias is not None:
                    offset = offset + v @ step.bias
                if number == len(program.chain) and len(v) == len(omega[part]):
                    torch.mm(v.flatten(0, 1), step.weight, out=omega[part].view(-1, omega.shape[2]))
                    break
                v = v @ step.weight
            else:
                site -= 1
                code = codes[site][part]
                constant = step.offset(code, omega.dtype)
                if constant is not None:
                    offset = offset + (v * constant[:, None]).sum(2)
                slope = step.slope(code, omega.dtype)[:, None]
                v = v.mul_(slope) if len(v) == len(slope) else v * slope
        else:
            omega[part] = v
        b[part] = offset


def _index(outputs: Outputs, program: PiecewiseAffine) -> Tensor | None:
    """Indices [1, outputs]; None for the predicted."""
    device = program.device
    if outputs is None:
        return torch.arange(program.outputs, device=device)[None]
    if isinstance(outputs, str):
        if outputs != "predicted":
            raise InputError(f"outputs is {outputs!r}, and takes None (all), 'predicted' or a list of indices")
        return None
    index = np.asarray(outputs)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu":
        raise InputError(f"outputs is {outputs!r}, and takes None (all), 'predicted' or a list of indices")
    if index.min() < 0 or index.max() >= program.outputs:
        raise InputError(f"outputs {index.tolist()} asked for, of a network with {program.outputs}")
    return torch.tensor(index, dtype=torch.int64, device=device)[None]
