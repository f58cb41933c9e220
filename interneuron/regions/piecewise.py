"""Piecewise-affine networks: what may stand in one, and how it runs with its branches noted or held fixed.

A network is piecewise affine in its input u when every operation on u is affine, or picks one of finitely many affine
branches by comparing numbers (ReLU, LeakyReLU, PReLU, Hardtanh, maximum pooling). With all branches held as they are at
u, what is left is one affine map, the network's own on the whole region of u.

The operations are seen as they run (`torch.overrides.TorchFunctionMode`), in modules and in plain functions alike, so a
re-used module, `torch.flatten` and a residual sum need no special care.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from interneuron import checks
from interneuron.errors import InputError
from interneuron.inspection import check_modules, eager, unwrapped


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Affine in all their tensors together.
_AFFINE = _set(
    """add subtract sub rsub neg negative positive cat concat concatenate stack hstack vstack mean sum flatten unflatten
    reshape reshape_as view view_as squeeze unsqueeze transpose swapaxes swapdims permute movedim moveaxis t contiguous
    clone chunk split tensor_split unbind narrow select flip roll expand expand_as repeat pixel_shuffle pixel_unshuffle
    channel_shuffle fold unfold pad"""
)
# Affine in one of their tensors while the others do not depend on the input.
_PRODUCTS = _set(
    """mul multiply linear bilinear matmul mm mv bmm dot inner einsum tensordot addmm addbmm baddbmm conv1d conv2d
    conv3d conv_transpose1d conv_transpose2d conv_transpose3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d getitem index_select interpolate upsample"""
)
_DROPOUTS = _set("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout")
# Say something of a tensor, and nothing of its numbers.
_QUESTIONS = _set(
    """size dim ndimension numel nelement stride len is_floating_point is_complex is_contiguous get_device element_size
    is_cuda device dtype ndim shape layout requires_grad is_leaf is_sparse is_quantized is_meta is_nested names"""
)
# Ends of a network that keep the order of its outputs, which `logits` leaves off.
_ENDS = _set("sigmoid softmax log_softmax log_sigmoid")
# Operations that keep the numbers of a sample in their order.
_ORDERED = frozenset({"flatten", "reshape", "view", "contiguous", "clone", *_DROPOUTS})
_ARGUMENTS = {
    "relu": ("input", "inplace"),
    "relu6": ("input", "inplace"),
    "leaky_relu": ("input", "negative_slope", "inplace"),
    "prelu": ("input", "weight"),
    "hardtanh": ("input", "min_val", "max_val", "inplace"),
    "clamp": ("input", "min", "max"),
    "clip": ("input", "min", "max"),
    "clamp_min": ("input", "min"),
    "clamp_max": ("input", "max"),
    "max_pool1d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
}
_ARGUMENTS["max_pool1d_with_indices"] = _ARGUMENTS["max_pool1d"]
_ARGUMENTS["max_pool2d_with_indices"] = _ARGUMENTS["max_pool2d"]
_TAKEN = (
    "Linear, Conv, ReLU, LeakyReLU, PReLU, Hardtanh, ReLU6, MaxPool, AvgPool, BatchNorm in eval mode, Dropout in eval "
    "mode, sums, concatenation and reshaping"
)

_ROWS = "runs on {}, whose first axis is not that of the {} samples, and a map takes one row a sample"
_OVERWRITES = (
    "the network overwrites numbers in place that its own gradient is made of, and a map takes one that has a gradient"
)

_OPERATORS = {
    "iadd": "add",
    "radd": "add",
    "isub": "sub",
    "imul": "mul",
    "rmul": "mul",
    "truediv": "div",
    "itruediv": "div",
    "imatmul": "matmul",
    "rmatmul": "matmul",
}

Codes = list[Tensor]


class Hinge:
    """y = z where z > 0, else slope z: ReLU (slope 0), LeakyReLU, PReLU. One bit a unit: z > 0, strictly."""

    bits = 1

    def __init__(self, negative_slope: float | Tensor = 0.0) -> None:
        self.negative_slope = negative_slope

    def code(self, z: Tensor) -> Tensor:
        """The branch of each unit: bool, of the shape of z."""
        return z > 0

    def apply(self, code: Tensor, z: Tensor) -> Tensor:
        """The output for pre-activations z with the branches held at `code`."""
        return torch.where(code, z, self._below(z))

    def run(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The branches taken, and the output."""
        code = self.code(z.detach())
        plain = not isinstance(self.negative_slope, Tensor) and not self.negative_slope
        return code, functional.relu(z) if plain else self.apply(code, z)

    def slope(self, code: Tensor, dtype: torch.dtype) -> Tensor:
        """dy / dz of each unit; of a ReLU as bool."""
        if isinstance(self.negative_slope, Tensor) or self.negative_slope:
            return self.apply(code, torch.ones(code.shape, dtype=dtype, device=code.device))
        return code

    def offset(self, code: Tensor, dtype: torch.dtype) -> Tensor | None:
        """y at z = 0 of each unit; None where it is 0 for all."""
        return None

    def pack(self, code: Tensor) -> Tensor:
        """The bits of each unit: bool [n, units, bits]."""
        return code.flatten(1)[:, :, None]

    def margins(self, code: Tensor, z: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """How far each unit is from its other branches, [n, units, borders], and how that changes along m directions.

        `tangents` [n, m, ...] are derivatives of z [n, ...] along the directions; returned as [n, m, units, borders].
        """
        return z.flatten(1)[:, :, None], tangents.flatten(2)[..., None]

    def _below(self, z: Tensor) -> Tensor:
        slope = self.negative_slope
        if isinstance(slope, Tensor):
            channels = [1] * z.ndim
            if slope.numel() > 1:
                channels[1] = slope.numel()
            return z * slope.view(channels)
        return z * slope if slope else torch.zeros((), dtype=z.dtype, device=z.device)


class Clip:
    """y = z between low and high, low below and high above: Hardtanh, ReLU6, clamp. Two bits a unit.

    The branch is 0 for z <= low, 1 between, 2 for z >= high.
    """

    bits = 2

    def __init__(self, low: float | Tensor, high: float | Tensor) -> None:
        self.low, self.high = low, high

    def code(self, z: Tensor) -> Tensor:
        return (z > self.low).to(torch.uint8) + (z >= self.high)

    def apply(self, code: Tensor, z: Tensor) -> Tensor:
        return torch.where(code == 1, z, self.offset(code, z.dtype))

    def run(self, z: Tensor) -> tuple[Tensor, Tensor]:
        code = self.code(z.detach())
        return code, self.apply(code, z)

    def slope(self, code: Tensor, dtype: torch.dtype) -> Tensor:
        return (code == 1).to(dtype)

    def offset(self, code: Tensor, dtype: torch.dtype) -> Tensor:
        low, high = (torch.as_tensor(value, dtype=dtype, device=code.device) for value in (self.low, self.high))
        zero = torch.zeros((), dtype=dtype, device=code.device)
        return torch.where(code == 2, high, torch.where(code == 0, low, zero))

    def pack(self, code: Tensor) -> Tensor:
        return _binary(code, self.bits)

    def margins(self, code: Tensor, z: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        ends = torch.stack([(z - self.low).flatten(1), (z - self.high).flatten(1)], dim=2)
        return ends, tangents.flatten(2)[..., None].expand(-1, -1, -1, 2)


class MaxPool:
    """y = the largest z of a window, the first of equal ones; the branch is its place in the window, row by row."""

    def __init__(self, axes: int, arguments: Mapping[str, Any]) -> None:
        self.axes = axes
        self.plane = arguments["input"].shape[2:]
        self.kernel = _axes(arguments["kernel_size"], axes)
        self.stride = _axes(arguments.get("stride") or self.kernel, axes)
        self.padding = _axes(arguments.get("padding", 0), axes)
        self.dilation = _axes(arguments.get("dilation", 1), axes)
        self.ceil = bool(arguments.get("ceil_mode", False))
        self.bits = (prod(self.kernel) - 1).bit_length()

    def code(self, z: Tensor) -> Tensor:
        """Index of the largest in the flattened plane, int64 [n, channels, ...]."""
        pool = functional.max_pool1d if self.axes == 1 else functional.max_pool2d
        return pool(z, self.kernel, self.stride, self.padding, self.dilation, self.ceil, return_indices=True)[1]

    def apply(self, code: Tensor, z: Tensor) -> Tensor:
        return z.flatten(2).gather(2, code.flatten(2)).view(code.shape)

    def pack(self, code: Tensor) -> Tensor:
        place = torch.zeros_like(code)
        rest = code
        for axis in reversed(range(self.axes)):
            position, rest = rest % self.plane[axis], rest // self.plane[axis]
            shape = [-1 if i == axis else 1 for i in range(self.axes)]
            first = torch.arange(code.shape[2 + axis], device=code.device) * self.stride[axis] - self.padding[axis]
            step = (position - first.view(shape)) // self.dilation[axis]
            place += step * prod(self.kernel[axis + 1 :])
        return _binary(place, self.bits)

    def margins(self, code: Tensor, z: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        best = self.apply(code, z).flatten(1)[:, :, None]
        slopes = torch.stack([self.apply(code, t) for t in tangents.unbind(1)], dim=1).flatten(2)[..., None]
        shape = code.shape[2:]
        windows = torch.stack([self._windows(t, shape, 0.0) for t in tangents.unbind(1)], dim=1)
        return best - self._windows(z, shape, -inf), slopes - windows

    def _windows(self, z: Tensor, shape: Sequence[int], fill: float) -> Tensor:
        """The members of each window, [n, units, members], `fill` outside of the plane."""
        pads: list[int] = []
        for axis in reversed(range(self.axes)):
            needed = (shape[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.kernel[axis] - 1) + 1
            pads += [self.padding[axis], needed - self.padding[axis] - z.shape[2 + axis]]
        z = functional.pad(z, pads, value=fill)
        for axis in range(self.axes):
            z = z.unfold(2 + axis, self.dilation[axis] * (self.kernel[axis] - 1) + 1, self.stride[axis])
        for axis in range(self.axes):
            steps = torch.arange(0, z.shape[axis - self.axes], self.dilation[axis], device=z.device)
            z = z.index_select(axis - self.axes, steps)
        return z.flatten(2 + self.axes).flatten(1, -2)


Branching = Hinge | Clip | MaxPool


@dataclass(frozen=True)
class Site:
    """One run of a branching operation: its name, and how many units it has, each of so many bits.

    The name is that of `interneuron.capture` (`layer1.0.relu#1`); a plain function has its own name behind that of the
    module whose `forward` calls it (`layer1.0.relu` too, where a block calls `F.relu`; `relu` in the network's own).
    """

    name: str
    units: int
    bits: int


@dataclass(frozen=True)
class Linear:
    """A step of a chain: z = h W^T + b."""

    weight: Tensor
    bias: Tensor | None


Chain = tuple[Linear | Hinge | Clip, ...]


class PiecewiseAffine:
    """A network that was seen to be piecewise affine in its input, for inputs of one shape.

    `sites`: its branching operations in the order in which they run; `inputs`, `outputs`: numbers a sample. `chain`:
    its steps, linear and elementwise in turn, where these are all of it (a multilayer perceptron); else None.
    """

    def __init__(self, network: nn.Module, x: Tensor, logits: bool = False) -> None:
        network = unwrapped(network)
        check_modules(network)
        self.network, self.device = network, x.device
        self._fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
        # What a forward pass writes into is a copy.
        self._fixed |= {name: buffer.detach().clone() for name, buffer in network.named_buffers()}
        two = x[[0, min(1, len(x) - 1)]]
        with torch.enable_grad(), _places(network) as place:
            leaf = two.detach().clone().requires_grad_()
            trace = _Trace(place, logits, len(two))
            source = leaf.clone()
            try:
                with trace:
                    y = self._forward(source)
            except InputError:
                raise
            except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError) as error:
                if "inplace" in str(error) or "in-place" in str(error):
                    raise InputError(_OVERWRITES) from error
                raise InputError(
                    f"inputs of shape {list(x.shape)} do not pass the network: {str(error).splitlines()[0]}"
                ) from error
            y = trace.ended(y)
            if not isinstance(y, Tensor) or y.ndim < 1 or len(y) != len(two):
                raise InputError("the network gives no tensor with one row a sample, which is what a map takes")
            if not y.requires_grad:
                raise InputError("the network's output does not depend on its input, and a map takes one that does")
            self._numbers = trace.numbers
            self._end = trace.end
            self._kinds: list[Branching] = trace.kinds
            self.outputs = y[0].numel()
            self.inputs = two[0].numel()
            self.sites = _sites(trace)
            self.chain = trace.chain(source, y)
            self._verify(leaf, y.flatten(1) if y.ndim > 1 else y[:, None])

    def run(self, x: Tensor, codes: Codes | None = None) -> tuple[Tensor, Codes]:
        """Outputs [n, outputs] for inputs [n, ...], and the branches taken.

        With `codes` the branches are held as these say: an affine function of x.
        """
        if self.chain is not None:
            return self._along(x.flatten(1), codes)
        run = _Run(len(x), self._numbers, self._kinds, codes, self._end)
        with run:
            y = self._forward(x.clone())
        y = run.ended(y)
        return (y.flatten(1) if y.ndim > 1 else y[:, None]), run.codes

    def units(self) -> int:
        """Units of all sites."""
        return sum(site.units for site in self.sites)

    def bits(self, codes: Codes) -> Tensor:
        """The pattern of every sample, bool [n, bits]: site by site, unit by unit, lowest bit first."""
        return torch.cat([kind.pack(code).flatten(1) for kind, code in zip(self._kinds, codes, strict=True)], dim=1)

    def watched(self, x: Tensor, watch: Callable[[int, Branching, Tensor, Tensor], None]) -> None:
        """Run x, and call watch(site, operation, branches, pre-activations) at every site."""
        with _Run(len(x), self._numbers, self._kinds, None, self._end, watch):
            self._forward(x.clone())

    def _along(self, h: Tensor, codes: Codes | None) -> tuple[Tensor, Codes]:
        assert self.chain is not None
        taken: Codes = []
        for step in self.chain:
            if isinstance(step, Linear):
                h = functional.linear(h, step.weight, step.bias)
            else:
                code, h = step.run(h) if codes is None else (codes[len(taken)], step.apply(codes[len(taken)], h))
                taken.append(code)
        return h, taken

    def _forward(self, x: Tensor) -> Any:
        with eager():
            return functional_call(self.network, self._fixed, (x,))

    def _verify(self, leaf: Tensor, y: Tensor) -> None:
        """Refuse what the operations seen do not explain: samples that mix, and compiled code that they miss."""
        weights = torch.cos(1 + torch.arange(self.outputs, dtype=y.dtype, device=y.device))
        total = (y * weights).sum(1)
        if not torch.isfinite(total).all():
            raise InputError("the network's outputs are NaN or infinite, and a map takes finite ones")
        try:
            first = torch.autograd.grad(total[0], leaf, retain_graph=True)[0]
            second = torch.autograd.grad(total[1], leaf)[0]
        except RuntimeError as error:
            raise InputError(_OVERWRITES) from error
        if first[1].any() or second[0].any():
            raise InputError("the network mixes its samples with each other, and a map takes one that does not")
        with torch.no_grad():
            again, codes = self.run(leaf)
            self._verify_again(y, again, leaf)
            constant = (self.run(torch.zeros_like(leaf), codes)[0] * weights).sum(1)
            products = torch.stack([(first[0] * leaf[0]), (second[1] * leaf[1])]).flatten(1)
            scale = torch.maximum(products.abs().sum(1) + constant.abs(), total.abs())
            # Written so that NaN is refused too.
            if not ((products.sum(1) + constant - total).abs() <= 1e-3 * scale).all():
                raise InputError(
                    "the network is no affine map where its branches are held fixed: it is of less than single"
                    " precision, or holds compiled code whose operations cannot be seen"
                )

    def _verify_again(self, y: Tensor, again: Tensor, leaf: Tensor) -> None:
        """Refuse what gives a sample other numbers in a second call, or alone."""
        if not _near(again, y):
            raise InputError(
                "the network gives the same inputs other numbers in a second call, and a map takes one that draws"
                " nothing and keeps nothing from one call to the next"
            )
        try:
            alone, _ = self.run(leaf[:1])
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise InputError(
                f"the network takes two samples, but not one alone: {str(error).splitlines()[0]}"
            ) from error
        if alone.shape != y[:1].shape or not _near(alone, y[:1]):
            raise InputError(
                "the network gives a sample other numbers alone than beside another, and a map takes one that treats"
                " its samples one by one"
            )


def piecewise_affine(network: nn.Module, x: ArrayLike | Tensor, logits: bool) -> tuple[PiecewiseAffine, Tensor]:
    """The network as traced on x, and x as a tensor. Raises InputError as the package's docstring says."""
    if not isinstance(network, nn.Module):
        raise InputError(f"the network is a {type(network).__name__}, and a map takes a torch.nn.Module")
    if isinstance(x, Tensor):
        values = x
    else:
        checks.numbers("inputs", x)
        # A list has torch's default type, an array its own.
        values = torch.as_tensor(x) if isinstance(x, list | tuple) else torch.from_numpy(np.array(x))
    if values.ndim < 2 or not len(values) or not values[0].numel():
        raise InputError(f"inputs have shape {list(values.shape)}, and take [samples, ...] with at least one sample")
    parameter = next((p for p in network.parameters() if p.is_floating_point()), None)
    dtype = values.dtype if parameter is None else parameter.dtype
    if not values.is_floating_point() or values.dtype != dtype:
        wanted = dtype if dtype.is_floating_point else torch.float32
        raise InputError(f"inputs are {_name(values.dtype)}, and this network takes {_name(wanted)}")
    bounds = torch.stack(torch.aminmax(values.detach()))
    if not torch.isfinite(bounds).all():
        row = int((~torch.isfinite(values)).flatten(1).any(1).int().argmax())
        raise InputError(f"inputs hold NaN or infinite numbers (first in sample {row}), and take finite ones")
    return PiecewiseAffine(network, values.detach(), logits), values.detach()


class _Mode(TorchFunctionMode):
    """Operations by their short names, counted where they branch or end the network."""

    def __init__(self) -> None:
        super().__init__()
        self.count = -1
        self._logit: Tensor | None = None
        self._closed: Any = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = _short(func)
        if name in _ARGUMENTS or name in _ENDS:
            self.count += 1
        return self.handle(name, func, args, kwargs or {})

    def handle(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def close(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # In-place ends would overwrite the logits.
        self._logit = (args[0] if args else kwargs["input"]).clone()
        self._closed = func(*args, **kwargs)
        return self._closed

    def ended(self, y: Any) -> Any:
        """The network's output, or the logits if it ended in a function that `logits` leaves off."""
        return self._logit if self._closed is not None and y is self._closed else y


class _Trace(_Mode):
    """Checks every operation on numbers that depend on the input (those that require gradients: parameters do not)."""

    def __init__(self, place: Sequence[tuple[str, nn.Module]], logits: bool, samples: int) -> None:
        super().__init__()
        self.place, self.logits, self.samples = place, logits, samples
        self.kinds: list[Branching] = []
        self.names: list[str] = []
        self.codes: Codes = []
        self.numbers: dict[int, int] = {}
        self.end: int | None = None
        self.events: list[tuple[str, list[Tensor], Any, Linear | Branching | None]] = []

    def handle(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        depends = [tensor for tensor in _tensors((args, tuple(kwargs.values()))) if tensor.requires_grad]
        if not depends:
            return func(*args, **kwargs)
        if name in _QUESTIONS:
            return func(*args, **kwargs)
        if any(tensor is self._closed for tensor in depends):
            raise InputError(f"{self._where(name)} follows the network's last function, which logits=True leaves off")
        step: Linear | Branching | None = None
        if name in _ARGUMENTS:
            bound = _bound(name, args, kwargs)
            step = self._branching(name, bound, depends)
            y, code = _branch(step, bound, _in_place(func), None)
            self.numbers[self.count] = len(self.kinds)
            self.kinds.append(step)
            self.codes.append(code)
            self.names.append(self._site(name))
        elif name in _ENDS and self.logits:
            self.end = self.count
            return self.close(func, args, kwargs)
        else:
            self._check(name, args, kwargs, depends)
            y = func(*args, **kwargs)
            if name == "linear":
                bound = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
                step = Linear(bound["weight"], bound.get("bias"))
        if any(not tensor.requires_grad for tensor in _tensors((y,))):
            raise InputError(f"{self._where(name)} switches gradients off, and the affine map is made of them")
        self.events.append((name, depends, y, step))
        return y

    def chain(self, source: Tensor, y: Tensor) -> Chain | None:
        """The steps of a chain from `source` to y, or None where there is anything else."""
        steps: list[Linear | Hinge | Clip] = []
        current = source
        for name, depends, out, step in self.events:
            if len(depends) != 1 or depends[0] is not current or not isinstance(out, Tensor):
                return None
            if isinstance(step, MaxPool) or (step is None and name not in _ORDERED):
                return None
            if step is not None and current.ndim != 2:
                return None
            if step is not None:
                steps.append(step)
            elif out.shape[0] != current.shape[0]:
                return None
            current = out
        return tuple(steps) if current is y else None

    def _branching(self, name: str, bound: dict[str, Any], depends: list[Tensor]) -> Branching:
        if len(depends) > 1 or bound["input"] is not depends[0]:
            raise InputError(f"{self._where(name)} has bounds or slopes that depend on the input: it is not affine")
        if bound.get("return_indices"):
            raise InputError(f"{self._where(name)} returns indices, which are no affine function of the input")
        if bound.get("out") is not None:
            raise InputError(
                f"{self._where(name)} writes into out=, and a map takes operations that return what is new"
            )
        z = bound["input"]
        if z.ndim and len(z) != self.samples:
            raise InputError(f"{self._where(name)} {_ROWS.format(list(z.shape), self.samples)}")
        for bounds in (bound.get(key) for key in ("min", "max")):
            if isinstance(bounds, Tensor) and bounds.ndim >= z.ndim and len(bounds) > 1:
                raise InputError(
                    f"{self._where(name)} has bounds of its own for each sample: they take the same for all"
                )
        if name.startswith("max_pool") and bound["input"].ndim != 2 + int(name[8]):
            raise InputError(f"{self._where(name)} has an input without axes for samples and channels")
        return _kind(name, bound)

    def _check(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], depends: list[Tensor]) -> None:
        if name in _AFFINE:
            return
        if name in _PRODUCTS:
            if len(depends) > 1:
                raise InputError(f"{self._where(name)} multiplies numbers that depend on the input: it is not affine")
            return
        if name in ("div", "divide", "true_divide"):
            if len(depends) > 1 or depends[0] is not args[0]:
                raise InputError(f"{self._where(name)} divides by numbers that depend on the input: it is not affine")
            if kwargs.get("rounding_mode"):
                raise InputError(f"{self._where(name)} rounds: it is not affine")
            return
        if name in ("batch_norm", *_DROPOUTS):
            position, default = (5, False) if name == "batch_norm" else (2, True)
            training = kwargs.get("training", kwargs.get("train", args[position] if len(args) > position else default))
            if training:
                raise InputError(f"{self._where(name)} runs in training mode, and a map takes eval mode")
            return
        if name in ("T", "mT") or (name in ("to", "type_as") and _dtype_kept(args, kwargs)):
            return
        hint = "; logits=True leaves it off where it comes last" if name in _ENDS else ""
        raise InputError(f"{self._where(name)} is not piecewise affine{hint}; a map takes {_TAKEN}")

    def _where(self, name: str) -> str:
        path, module = self.place[-1]
        kind = type(module).__name__
        return f"{name} in module {path!r} ({kind})" if path else f"{name} in the forward of the network ({kind})"

    def _site(self, name: str) -> str:
        path, module = self.place[-1]
        if path and type(module).__module__.startswith("torch.nn.modules"):
            return path
        return f"{path}.{name}" if path else name


class _Run(_Mode):
    """The network as it was traced: notes the branches, or holds them as `codes` say."""

    def __init__(
        self,
        samples: int,
        numbers: Mapping[int, int],
        kinds: Sequence[Branching],
        codes: Codes | None,
        end: int | None,
        watch: Callable[[int, Branching, Tensor, Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        self.samples, self.numbers, self.kinds, self.held = samples, numbers, kinds, codes
        self.end, self.watch = end, watch
        self.codes: Codes = []

    def handle(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in _ARGUMENTS and self.count in self.numbers:
            site = self.numbers[self.count]
            bound = _bound(name, args, kwargs)
            held = None if self.held is None else self.held[site]
            z = bound["input"]
            if len(z) != self.samples:
                raise InputError(f"{name} {_ROWS.format(list(z.shape), self.samples)}")
            if self.watch is not None:
                self.watch(site, self.kinds[site], self.kinds[site].code(z), z)
            y, code = _branch(self.kinds[site], bound, _in_place(func), held)
            self.codes.append(code)
            return y
        if name in _ENDS and self.count == self.end:
            return self.close(func, args, kwargs)
        return func(*args, **kwargs)


def _branch(kind: Branching, bound: dict[str, Any], inplace: bool, held: Tensor | None) -> tuple[Tensor, Tensor]:
    z = bound["input"]
    code = kind.code(z.detach()) if held is None else held
    y = kind.apply(code, z)
    return (z.copy_(y) if inplace or bound.get("inplace") else y), code


def _kind(name: str, bound: dict[str, Any]) -> Branching:
    if name == "relu":
        return Hinge()
    if name == "leaky_relu":
        return Hinge(bound.get("negative_slope", 0.01))
    if name == "prelu":
        return Hinge(bound["weight"].clone())
    if name == "relu6":
        return Clip(0.0, 6.0)
    if name == "hardtanh":
        return Clip(bound.get("min_val", -1.0), bound.get("max_val", 1.0))
    if name.startswith("max_pool"):
        return MaxPool(int(name[8]), bound)
    low, high = bound.get("min"), bound.get("max")
    low, high = -inf if low is None else low, inf if high is None else high
    # Where they cross, the upper bound counts.
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return Clip(torch.minimum(torch.as_tensor(low), torch.as_tensor(high)), torch.as_tensor(high).clone())
    return Clip(min(low, high), high)


def _bound(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = dict(zip(_ARGUMENTS[name], args, strict=False)) | kwargs
    if "self" in bound:
        bound["input"] = bound.pop("self")
    return bound


def _near(a: Tensor, b: Tensor) -> bool:
    """Whether outputs are the same but for rounding; those of lower precision are refused later."""
    return bool(((a - b).abs() <= 1e-3 * b.abs().amax()).all())


def _in_place(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def _short(func: Any) -> str:
    """Name of an operation: `relu` for torch.relu, F.relu_ and Tensor.relu, `add` for + and +=, `shape` for x.shape."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        return str(getattr(func.__self__, "__name__", name))
    if name.startswith("__") and name.endswith("__"):
        name = _OPERATORS.get(name[2:-2], name[2:-2])
    return name.rstrip("_")


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def _dtype_kept(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    asked = [value.dtype if isinstance(value, Tensor) else value for value in (*args[1:], *kwargs.values())]
    return all(value == args[0].dtype for value in asked if isinstance(value, torch.dtype))


def _binary(code: Tensor, bits: int) -> Tensor:
    places = torch.arange(bits, device=code.device, dtype=code.dtype)
    return ((code.flatten(1)[:, :, None] >> places) & 1).bool()


def _axes(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    return values * axes if len(values) == 1 else values


def _sites(trace: _Trace) -> tuple[Site, ...]:
    total, calls = Counter(trace.names), Counter[str]()
    sites = []
    for name, kind, code in zip(trace.names, trace.kinds, trace.codes, strict=True):
        sites.append(Site(f"{name}#{calls[name]}" if total[name] > 1 else name, code[0].numel(), kind.bits))
        calls[name] += 1
    return tuple(sites)


@contextmanager
def _places(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """Paths and modules that are running, innermost last."""
    running: list[tuple[str, nn.Module]] = [("", network)]
    handles = []

    def enter(path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _: Any) -> None:
            running.append((path, module))

        return hook

    def leave(*_: Any) -> None:
        running.pop()

    try:
        for path, module in network.named_modules():
            if path:
                handles.append(module.register_forward_pre_hook(enter(path)))
                handles.append(module.register_forward_hook(leave))
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
