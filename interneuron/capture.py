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
    ENDS,
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

# A layer, and the name by which it was asked for.
_Watched = tuple[Layer, str]


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

    def __init__(self, inspection: Inspection, actions: Mapping[str, Action], independent: bool = True) -> None:
        self.inspection, self.network, self._actions = inspection, module_of(inspection.network), actions
        layers = {name: inspection.find(name) for name in actions}
        inspection.forget(actions)
        self.sizes = {name: prod(layer.shape) for name, layer in layers.items()}
        # By submodule and run, and of the network's ends: the layers that are watched, with the names asked for.
        self._inside: defaultdict[nn.Module, defaultdict[int, list[_Watched]]] = defaultdict(lambda: defaultdict(list))
        self._ends: dict[str, list[_Watched]] = {end: [] for end in ENDS}
        seen = set[str]()
        for name, layer in layers.items():
            if layer.name in seen:
                raise InputError(f"layer {name!r} is asked for twice, under two names")
            seen.add(layer.name)
            end = layer.name.partition("[")[0]
            watched = self._ends[end] if layer.module is None else self._inside[layer.module][layer.call]
            watched.append((layer, name))
        # A compiled part calls hooks of all modules twice.
        compiled = any(type(one).__name__ == "OptimizedModule" for one in self.network.modules())
        self._expected = inspection.runs() if independent and not compiled else {}
        # Of the pass that runs: its samples, how deep the network has called itself, and how often each module ran.
        self._samples, self._depth, self._doubled, self._running = 0, 0, False, False
        self._calls, self._ran = Counter[nn.Module](), Counter[nn.Module]()
        self._versions: dict[nn.Module, list[tuple[Tensor, int]]] = {}

    def __call__(self, x: Tensor) -> Any:
        """What the network gives for x [n, ...], or for two of a sample that can't run alone, of which the actions see
        one (see `Inspection.run`)."""
        self._doubled = len(x) == 1 and not self.inspection.alone
        try:
            return self.inspection.run(x)
        finally:
            self._doubled = False

    def output(self, x: Tensor) -> Tensor:
        """The network's output for x, samples first: [n, ...]. Raises InputError where it is no single tensor."""
        return self.inspection.output().layout.front(self(x))[: len(x)]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the context, the hooks are there."""
        handles = []
        with eager():
            try:
                handles.append(self.network.register_forward_pre_hook(self._enter, with_kwargs=True))
                handles.append(self.network.register_forward_hook(self._leave))
                # Whatever happens in the pass.
                handles.append(self.network.register_forward_hook(self._ended, always_call=True))
                if self._expected:
                    # For all modules: with hooks of their own, torch's fused layers would run their parts one by one.
                    handles.append(register_module_forward_pre_hook(self._count))
                for submodule in self._inside:
                    handles.append(submodule.register_forward_pre_hook(self._before, with_kwargs=True))
                    handles.append(submodule.register_forward_hook(self._after))
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def _enter(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._depth += 1
        if self._depth > 1:
            # A network that calls itself: within the same pass.
            return None
        self._calls.clear()
        self._ran.clear()
        self._running = True
        self._samples = next((len(one) for _, one in parts((args, kwargs)) if one.ndim), 0)
        watched = self._ends["input"]
        if not watched:
            return None
        if args:
            return (self._changed(args[0], watched), *args[1:]), kwargs
        first = next(iter(kwargs))
        return args, {**kwargs, first: self._changed(kwargs[first], watched)}

    def _leave(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._depth > 1:
            return None
        self._running = False
        for submodule, runs in self._inside.items():
            for call, watched in runs.items():
                if self._calls[submodule] <= call:
                    raise InputError(
                        f"layer {watched[0][1]!r} did not run in this pass, as it did for two samples: it takes a "
                        "network that runs alike for all inputs"
                    )
        for submodule, count in self._expected.items():
            # None is as it should be where torch runs a layer's parts fused.
            if self._ran[submodule] not in (0, count):
                path = next(path for path, one in self.network.named_modules() if one is submodule)
                raise InputError(
                    f"module {path!r} runs {self._ran[submodule]} times in this pass, and {count} for two samples: it "
                    "takes a network that runs alike for all inputs"
                )
        return self._changed(output, self._ends["output"])

    def _ended(self, *_: Any) -> None:
        self._depth -= 1

    def _count(self, submodule: nn.Module, _: Any) -> None:
        self._ran[submodule] += 1

    def _before(self, submodule: nn.Module, args: Any, kwargs: Any) -> None:
        given = [one for _, one in parts((args, kwargs)) if not one.is_inference()]
        self._versions[submodule] = [(one, one._version) for one in given]

    def _after(self, submodule: nn.Module, _: Any, output: Any) -> Any:
        runs = self._inside[submodule]
        if self._running:
            call = self._calls[submodule]
            self._calls[submodule] += 1
            given = self._versions.pop(submodule, ())
            return self._changed(output, runs[call], given) if call in runs else None
        # Outside of a pass: gradient checkpointing runs a part of it again, and that has to be as it was.
        if torch._C._current_graph_task_id() == -1:
            return None
        ((layer, name), *_), *_ = runs.values()
        if layer.runs > 1:
            raise InputError(
                f"layer {name!r} is one of several runs of its module, and is run again by gradient checkpointing: it "
                "takes a module of its own"
            )
        return self._changed(output, runs[0])

    def _changed(self, value: Any, watched: Iterable[_Watched], given: Iterable[tuple[Tensor, int]] = ()) -> Any:
        """What the layers' actions make of what a call returns; `given`: its arguments, with their versions before."""
        for layer, name in watched:
            y, layout = dict(parts(value)).get(layer.path), layer.layout
            if y is None or y.ndim <= layout.axis or y.shape[layout.axis] != self._samples * layout.steps:
                shape = "nothing" if y is None else list(y.shape)
                raise InputError(
                    f"layer {name!r} gives {shape} for {self._samples} samples, unlike what it gave for two: it takes "
                    "a network that does the same with any number of samples"
                )
            z = layout.front(y)
            new = self._actions[name](z[:1] if self._doubled else z)
            if new is None:
                continue
            new = layout.back(new.expand_as(z) if self._doubled else new)
            if not torch.is_grad_enabled() and any(_overwritten(y, one, version) for one, version in given):
                y.copy_(new)
            else:
                value = with_part(value, layer.path, new)
        return value


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
    run = Hooked(inspection, actions, independent)
    with run.watching():
        yield run


def neuron_names(layers: Iterable[Sequence[Any]]) -> list[str]:
    """Names of all neurons of `layers`, pairs of name and size: `relu1:0`, `relu1:1`, ..."""
    return [f"{name}:{unit}" for name, size in layers for unit in range(size)]


def _overwritten(y: Tensor, given: Tensor, version: int) -> bool:
    """Whether y is what a call made of an argument in place."""
    return given._version > version and y.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()
