"""Activations of any `torch.nn.Module`, captured by call: a module that runs more than once gives one layer a run.

A layer is named by its module's path (`decoder.relu1`), with `#call` behind it, counted from 0, where the module runs
more than once (`relu#0`, `relu#1`; captum, by contrast, keeps a re-used ReLU's last call), and with a key behind that
where it gives a tuple, a dict or a data class (`lstm[0]`, `output[logits]`). `input` and `output` are what goes into
and comes out of the whole module; a submodule that happens to bear one of these two names is `input#0`.

What `torch.compile` or DataParallel made of a module is opened, and runs as it was written. A layer that two samples
show to be none (`interneuron.inspection`) is refused by name: one whose numbers depend on the batch or on chance, one
without an axis for the samples, a module whose weights are used without a call. Hooks leave a network's numbers as they
are, bit for bit, but where torch's fused transformer layers are left for the same operations one by one (1e-6 apart
with a padding mask, equal without one; torch 2.13).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from interneuron.errors import InputError
from interneuron.inspection import (
    Inspection,
    Layer,
    eager,
    inputs,
    inspect,
    module_of,
    parts,
    with_part,
    without_gradients,
)

Action = Callable[[Tensor], Tensor | None]


def sites(module: nn.Module, x: ArrayLike | Tensor) -> dict[str, tuple[int, ...]]:
    """The layers of `module`, as their outputs appear, each with its shape without the samples' axis.

    x: [n, ...], an input of the module, of which two samples are run. A layer that sees its samples' steps as rows of
    their own has them on its first axis. What can't be watched is left out: `activations` says why. Raises InputError
    for an x without samples, inputs that don't pass the network, TorchScript, and dropout or batch normalisation in
    training mode.
    """
    return {name: layer.shape for name, layer in inspect(module, x).layers.items()}


def activations(
    module: nn.Module, x: ArrayLike | Tensor, layers: Iterable[str], batch: int = 4096
) -> dict[str, Tensor]:
    """Activations of `layers` for the inputs x [n, ...]: one tensor a layer, [n, units], units in row-major order.

    The forward pass is the plain one, `batch` inputs at a time and without gradients; each activation is copied when
    its call returns, so a later in-place operation leaves it alone, and the network gets copies of x. A layer's samples
    may be on any axis of it, or in several rows each: they come first here. Hooks are removed in any case.

    Raises InputError as `sites` does, for a layer that the module lacks or that can't be watched, with the reason, and
    for the bare name of a module that runs more than once or gives several tensors.
    """
    if batch < 1:
        raise InputError(f"batch is {batch}, and takes at least 1")
    x, names = inputs(x), list(layers)
    out: dict[str, Tensor] = {}
    start = 0

    def keep(name: str) -> Action:
        def action(y: Tensor) -> None:
            if name not in out:
                out[name] = torch.empty((len(x), run.sizes[name]), dtype=y.dtype, device=y.device)
            out[name][start : start + batch] = y.reshape(len(y), run.sizes[name])

        return action

    with without_gradients(), hooked(module, x, {name: keep(name) for name in names}) as run:
        for start in range(0, len(x), batch):
            run(x[start : start + batch])
        for name in names:
            run.inspection.compare(name, out[name])
    return {name: out[name] for name in names}


class Hooked:
    """A network whose layers are watched. `sizes`: of the layers, by the names that were asked for."""

    def __init__(self, inspection: Inspection, layers: Mapping[str, Layer]) -> None:
        self.inspection = inspection
        self.sizes = {name: prod(layer.shape) for name, layer in layers.items()}
        self.doubled = False

    def __call__(self, x: Tensor) -> Any:
        """What the network gives for x [n, ...], or for two of a sample that can't run alone, of which the actions see
        one (see `Inspection.run`)."""
        self.doubled = len(x) == 1 and not self.inspection.alone
        try:
            return self.inspection.run(x)
        finally:
            self.doubled = False

    def output(self, x: Tensor) -> Tensor:
        """The network's output for x, samples first: [n, ...]. Raises InputError where it is no single tensor."""
        return self.inspection.output().layout.front(self(x))[: len(x)]


@contextmanager
def hooked(
    module: nn.Module | Inspection, x: ArrayLike | Tensor, actions: Mapping[str, Action], independent: bool = True
) -> Iterator[Hooked]:
    """Within the context, each forward pass hands the named layers' tensors to their actions, samples first [n, ...].

    What the action returns, of the same shape, takes the tensor's place, in all that shares its memory where the module
    works in place; None leaves it. module: or what a look at one found, which is not repeated. x: inputs of the module,
    of which two samples are run to learn the calls. independent: whether layers whose samples depend on each other, or
    on chance, are refused. Yields the network, to be called in place of `module`, with the layers' sizes; `module`
    itself can be called, too. Hooks are removed when the context ends, whatever happens.

    Raises as `activations` does, and, in a pass, for a layer that does not run as often as it did for two samples.
    """
    inspection = module if isinstance(module, Inspection) else inspect(module, x, independent)
    network = module_of(inspection.network)
    found = {name: inspection.find(name) for name in actions}
    inspection.forget(actions)
    run = Hooked(inspection, found)
    inside: defaultdict[nn.Module, defaultdict[int, list[tuple[Layer, str]]]] = defaultdict(lambda: defaultdict(list))
    ends: dict[str, list[tuple[Layer, str]]] = {"input": [], "output": []}
    seen: dict[str, str] = {}
    for name, layer in found.items():
        if layer.name in seen:
            raise InputError(f"layer {name!r} is asked for twice, under two names")
        seen[layer.name] = name
        watched = inside[layer.module][layer.call] if layer.module is not None else ends[layer.name.partition("[")[0]]
        watched.append((layer, name))
    # A compiled part calls hooks of all modules twice.
    compiled = any(type(one).__name__ == "OptimizedModule" for one in network.modules())
    expected = inspection.runs() if independent and not compiled else {}
    calls: Counter[nn.Module] = Counter()
    ran: Counter[nn.Module] = Counter()
    versions: dict[nn.Module, list[tuple[Tensor, int]]] = {}
    samples, running, depth = 0, False, 0

    def changed(value: Any, watched: Iterable[tuple[Layer, str]], given: Sequence[tuple[Tensor, int]] = ()) -> Any:
        """What the layers' actions make of what a call returns."""
        for layer, name in watched:
            tensors = dict(parts(value))
            y = tensors.get(layer.path)
            if y is None or y.ndim <= layer.layout.axis or y.shape[layer.layout.axis] != samples * layer.layout.steps:
                shape = "nothing" if y is None else list(y.shape)
                raise InputError(
                    f"layer {name!r} gives {shape} for {samples} samples, unlike what it gave for two: it takes a "
                    "network that does the same with any number of samples"
                )
            z = layer.layout.front(y)
            new = actions[name](z[:1] if run.doubled else z)
            if new is None:
                continue
            new = layer.layout.back(new.expand_as(z) if run.doubled else new)
            if not torch.is_grad_enabled() and any(_overwritten(y, one, version) for one, version in given):
                y.copy_(new)
            else:
                value = with_part(value, layer.path, new)
        return value

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal samples, running, depth
        depth += 1
        if depth > 1:
            # A network that calls itself: within the same pass.
            return None
        calls.clear()
        ran.clear()
        running = True
        samples = next((len(one) for _, one in parts((args, kwargs)) if one.ndim), 0)
        if not ends["input"]:
            return None
        if args:
            return (changed(args[0], ends["input"]), *args[1:]), kwargs
        first = next(iter(kwargs))
        return args, {**kwargs, first: changed(kwargs[first], ends["input"])}

    def leave(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        nonlocal running
        if depth > 1:
            return None
        running = False
        for submodule, watched in inside.items():
            for call, layers in watched.items():
                if calls[submodule] <= call:
                    raise InputError(
                        f"layer {layers[0][1]!r} did not run in this pass, as it did for two samples: it takes a "
                        "network that runs alike for all inputs"
                    )
        for submodule, runs in expected.items():
            # None is as it should be where torch runs a layer's parts fused.
            if ran[submodule] not in (0, runs):
                path = next(path for path, one in network.named_modules() if one is submodule)
                raise InputError(
                    f"module {path!r} runs {ran[submodule]} times in this pass, and {runs} for two samples: it takes a "
                    "network that runs alike for all inputs"
                )
        return changed(output, ends["output"])

    def ended(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    def count(submodule: nn.Module, _: Any) -> None:
        ran[submodule] += 1

    def before(submodule: nn.Module, args: Any, kwargs: Any) -> None:
        versions[submodule] = [(one, one._version) for _, one in parts((args, kwargs)) if not one.is_inference()]

    def inner(submodule: nn.Module, _: Any, output: Any) -> Any:
        if not running:
            # Outside of a pass: gradient checkpointing runs a part of it again, and that has to be as it was.
            if torch._C._current_graph_task_id() == -1:
                return None
            ((layer, name), *_), *_ = inside[submodule].values()
            if layer.runs > 1:
                raise InputError(
                    f"layer {name!r} is one of several runs of its module, and is run again by gradient checkpointing: "
                    "it takes a module of its own"
                )
            return changed(output, inside[submodule][0])
        call = calls[submodule]
        calls[submodule] += 1
        return (
            changed(output, inside[submodule][call], versions.pop(submodule, ())) if call in inside[submodule] else None
        )

    handles = []
    with eager():
        try:
            handles.append(network.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(network.register_forward_hook(leave))
            # Whatever happens in the pass.
            handles.append(network.register_forward_hook(ended, always_call=True))
            if expected:
                # For all modules: with hooks of their own, torch's fused layers would run their parts one by one.
                handles.append(register_module_forward_pre_hook(count))
            handles.extend(submodule.register_forward_pre_hook(before, with_kwargs=True) for submodule in inside)
            handles.extend(submodule.register_forward_hook(inner) for submodule in inside)
            yield run
        finally:
            for handle in handles:
                handle.remove()


def neuron_names(layers: Iterable[Sequence[Any]]) -> list[str]:
    """Names of all neurons of `layers`, pairs of name and size: `relu1:0`, `relu1:1`, ..."""
    return [f"{name}:{unit}" for name, size in layers for unit in range(size)]


def _overwritten(y: Tensor, given: Tensor, version: int) -> bool:
    """Whether y is what a call made of an argument in place."""
    return given._version > version and y.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()
