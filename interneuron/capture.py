"""Activations of any `torch.nn.Module`, captured by call: a module that runs more than once gives one layer a run.

A layer is named by its module's path (`decoder.relu1`), with `#call` behind it, counted from 0, where the module runs
more than once (`relu#0`, `relu#1`; captum, by contrast, keeps a re-used ReLU's last call). `input` and `output` are
what goes into and comes out of the whole module; a submodule that happens to bear one of these two names is `input#0`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from interneuron.errors import InputError

Action = Callable[[Tensor], Tensor | None]

_ENDS = ("input", "output")


def sites(module: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """The layers of `module`, as their outputs appear, each with its shape without the samples' axis.

    x: [n, ...], an input of the module; only its first sample is run. Calls that return something else than a tensor
    are left out. Raises InputError for an x without samples.
    """
    return {name: shape for name, (_, _, shape) in _trace(module, x).items()}


def activations(module: nn.Module, x: Tensor, layers: Iterable[str], batch: int = 4096) -> dict[str, Tensor]:
    """Activations of `layers` for the inputs x [n, ...]: one tensor a layer, [n, units], units in row-major order.

    The forward pass is the plain one, bit for bit, `batch` inputs at a time and without gradients; each activation is
    copied when its call returns, so a later in-place operation leaves it alone. Hooks are removed in any case.

    Raises InputError for a layer that the module lacks, a bare name of a module that runs more than once, an x without
    samples, and dropout or batch normalisation in training mode.
    """
    if batch < 1:
        raise InputError(f"batch is {batch}, and takes at least 1")
    names = list(layers)
    out: dict[str, Tensor] = {}
    start = 0

    def keep(name: str) -> Action:
        def action(y: Tensor) -> None:
            if name not in out:
                out[name] = torch.empty((len(x), sizes[name]), dtype=y.dtype, device=y.device)
            out[name][start : start + batch] = y.reshape(-1, sizes[name])

        return action

    with torch.no_grad(), hooked(module, x, {name: keep(name) for name in names}) as sizes:
        for start in range(0, len(x), batch):
            module(x[start : start + batch])
    return {name: out[name] for name in names}


@contextmanager
def hooked(module: nn.Module, x: Tensor, actions: Mapping[str, Action]) -> Iterator[dict[str, int]]:
    """Within the context, each forward pass hands the named layers' tensors [n, ...] to their actions.

    What the action returns takes the tensor's place; None leaves it. Yields the layers' sizes. x: an input of the
    module, of which one sample is run to learn the calls. Hooks are removed when the context ends, whatever happens.
    Raises as `activations` does.
    """
    trace = _trace(module, x)
    inside: defaultdict[nn.Module, dict[int, Action]] = defaultdict(dict)
    ends: dict[str, Action] = {}
    sizes: dict[str, int] = {}
    for name, action in actions.items():
        submodule, call, shape = trace[_resolve(name, trace)]
        sizes[name] = prod(shape)
        if submodule is None:
            ends[name] = action
        elif call in inside[submodule]:
            raise InputError(f"layer {name!r} is asked for twice, under two names")
        else:
            inside[submodule][call] = action
    calls: Counter[nn.Module] = Counter()

    def enter(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        calls.clear()
        changed = ends["input"](args[0]) if "input" in ends else None
        return None if changed is None else (changed, *args[1:])

    def leave(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return ends["output"](output) if "output" in ends else None

    def inner(submodule: nn.Module, _: tuple[Any, ...], output: Any) -> Any:
        call = calls[submodule]
        calls[submodule] += 1
        action = inside[submodule].get(call)
        return None if action is None else action(output)

    handles = []
    try:
        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
        handles.extend(submodule.register_forward_hook(inner) for submodule in inside)
        yield sizes
    finally:
        for handle in handles:
            handle.remove()


def neuron_names(layers: Iterable[Sequence[Any]]) -> list[str]:
    """Names of all neurons of `layers`, pairs of name and size: `relu1:0`, `relu1:1`, ..."""
    return [f"{name}:{unit}" for name, size in layers for unit in range(size)]


_Trace = dict[str, tuple[nn.Module | None, int, tuple[int, ...]]]


def _trace(module: nn.Module, x: Tensor) -> _Trace:
    """Run one sample; by layer name: submodule (None: the whole module), number of the call, shape."""
    if x.ndim < 1 or not len(x):
        raise InputError(f"inputs have shape {list(x.shape)}, and take at least one sample on the first axis")
    for path, submodule in module.named_modules():
        if submodule.training and isinstance(submodule, nn.modules.dropout._DropoutNd | nn.modules.batchnorm._NormBase):
            raise InputError(f"module {path!r} ({type(submodule).__name__}) is in training mode: call eval() first")
    calls: Counter[str] = Counter()
    seen: list[tuple[str, nn.Module, int, tuple[int, ...]]] = []

    def record(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(submodule: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                seen.append((path, submodule, calls[path], tuple(output.shape[1:])))
            calls[path] += 1

        return hook

    handles: list[RemovableHandle] = []
    try:
        handles.extend(s.register_forward_hook(record(path)) for path, s in module.named_modules() if path)
        with torch.no_grad():
            output = module(x[:1])
    finally:
        for handle in handles:
            handle.remove()
    trace: _Trace = {"input": (None, 0, tuple(x.shape[1:]))}
    for path, submodule, call, shape in seen:
        trace[path if calls[path] == 1 and path not in _ENDS else f"{path}#{call}"] = (submodule, call, shape)
    if isinstance(output, Tensor):
        trace["output"] = (None, 0, tuple(output.shape[1:]))
    return trace


def _resolve(name: str, trace: _Trace) -> str:
    """The name in `trace` that `name` means: `relu1#0` is `relu1` where there is one call."""
    if name in trace:
        return name
    if name.endswith("#0") and name[:-2] in trace and name[:-2] not in _ENDS:
        return name[:-2]
    runs = [other for other in trace if other.rpartition("#")[0] == name]
    if runs:
        raise InputError(f"layer {name!r} runs {len(runs)} times: name one run of {', '.join(runs)}")
    raise InputError(f"no layer {name!r} in the network, which has {', '.join(trace)}")
