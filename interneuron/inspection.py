"""One look at a network before a method uses it: which layers it has, and whether they are what methods take them for.

Two samples run together, and the second of them alone, on copies of the input and without gradients. What both passes
show tells, of every tensor that a module gives: on which axis its samples are (or in how many rows each), and whether a
sample's numbers are its own, the same alone as in a batch and in one pass as in the next. A layer of which this is not
true is not listed, and whoever asks for it by name is told which module makes the difference, and how.
"""

import random as python_random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy

from interneuron.errors import InputError

# The network's own ends; a submodule that bears one of these names is called by its run, `input#0`.
ENDS = ("input", "output")

# What stands before the names of a module's parts where it was compiled or made parallel.
_WRAPPERS = ("_orig_mod.", "module.")

# How far one sample's numbers may be apart in two batches, against the largest: kernels differ with the batch's size.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 5e-2}
_COARSE = 0.1

# Numbers as large as those by which masks are filled, which are the same in all batches, and tell no scale.
_MASKED = 1e4

# Why a sample's numbers are not its own.
_DEPENDENT = (
    "what the network gives one sample differs from batch to batch: it mixes samples, normalises by their batch, is "
    "random, or keeps a state"
)

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Layout:
    """Where a tensor has its samples: on `axis`, each in `steps` places, which are neighbours where `together`."""

    axis: int = 0
    steps: int = 1
    together: bool = True

    def front(self, y: Tensor) -> Tensor:
        """y as [n, ...], or [n, steps, ...] of several steps: a view."""
        if self.axis:
            y = y.movedim(self.axis, 0)
        if self.steps == 1:
            return y
        if self.together:
            return y.unflatten(0, (-1, self.steps))
        return y.unflatten(0, (self.steps, -1)).transpose(0, 1)

    def back(self, z: Tensor) -> Tensor:
        """What `front` was made of, of z [n, ...] or [n, steps, ...]."""
        if self.steps > 1:
            z = (z if self.together else z.transpose(0, 1)).flatten(0, 1)
        return z.movedim(0, self.axis) if self.axis else z


@dataclass(frozen=True)
class Layer:
    """A tensor that can be watched: part `path` of what run `call` of all `runs` of `module` gives (None: of the
    network's ends).

    `shape`: of a sample, as `layout.front` gives it.
    """

    name: str
    module: nn.Module | None
    call: int
    runs: int
    path: Path
    shape: tuple[int, ...]
    layout: Layout


@dataclass
class Inspection:
    """What the look at `network` found. `layers`: by name, what can be watched, in the order in which it is computed.

    `alone`: whether a batch of one sample runs as others do; False where the network squeezes its axis away, or refuses
    it. `restless`: whether a pass draws random numbers, or writes into the network's buffers.
    """

    network: Callable[[Tensor], Any]
    layers: dict[str, Layer]
    alone: bool = True
    restless: bool = False
    # Why what is not among the layers can't be watched; by path (`output`: the network's), how often each module runs
    # and the type of what it gives; and, by each of its paths, the one that names a module.
    _reasons: dict[str, str] = field(default_factory=dict)
    _runs: dict[str, tuple[int, str]] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)
    # Layers whose steps may be neighbours or not, since they are alike in all that was seen.
    _unsure: set[str] = field(default_factory=set)
    # Which of the inputs were looked at, and what the layers gave for them.
    _looked: tuple[int, ...] = ()
    _seen: dict[str, Tensor] = field(default_factory=dict)
    _tolerance: tuple[float, float] = (0.0, 0.0)

    def find(self, name: str) -> Layer:
        """The layer of this name. Raises InputError for one that isn't there, or can't be watched, and says why."""
        known = self._known(name)
        if known in self.layers:
            return self.layers[known]
        if known in self._reasons:
            raise InputError(f"layer {name!r} can't be watched: {self._reasons[known]}")
        path = known.partition("[")[0].partition("#")[0]
        count, kind = self._runs.get(path, (0, ""))
        if count > 1 and "#" not in known:
            runs = ", ".join(f"{path}#{call}" for call in range(count))
            raise InputError(f"layer {name!r} runs {count} times: name one run of {runs}")
        within = [other for other in self.layers if other.startswith(f"{known}[")]
        if within:
            raise InputError(f"layer {name!r} gives a {kind}: name one part of {', '.join(within)}")
        if count and known == path:
            raise InputError(f"layer {name!r} gives a {kind}, which holds no tensor that can be watched")
        if not count and known in self._paths.values():
            raise InputError(
                f"module {name!r} is never called, so it has no output to take: where its weights are used, the module "
                "that holds it uses them itself"
            )
        raise InputError(f"no layer {name!r} in the network, which has {', '.join(self.layers)}")

    def output(self) -> Layer:
        """The network's output. Raises InputError where it is no single tensor, and as `find` does."""
        within = [name for name in self.layers if name.startswith("output[")]
        if within:
            kind = self._runs["output"][1]
            raise InputError(
                f"the network gives a {kind} of {', '.join(within)}, and one tensor is taken: wrap it in a module or "
                "function that gives one of them"
            )
        return self.find("output")

    def forget(self, names: Iterable[str]) -> None:
        """Let go of what was seen of layers but for these, by the names that were asked for."""
        kept = {self._known(name) for name in names}
        self._seen = {name: y for name, y in self._seen.items() if name in kept}

    def compare(self, name: str, y: Tensor) -> None:
        """Raise InputError where the layer gives the inputs that were looked at other numbers, in y [n, units]."""
        for row, seen in zip(self._looked, self._seen[self._known(name)], strict=False):
            if not _alike(y[row], seen.reshape(-1), self._tolerance):
                raise InputError(
                    f"layer {name!r} gives sample {row} other numbers among {len(y)} samples than among two: "
                    + _DEPENDENT.partition(": ")[2]
                )

    def runs(self) -> dict[nn.Module, int]:
        """How often each submodule ran."""
        assert isinstance(self.network, nn.Module)
        modules = {path: module for path, module in self.network.named_modules() if path and path not in ENDS}
        return {module: self._runs[path][0] for path, module in modules.items() if path in self._runs}

    def run(self, x: Tensor) -> Any:
        """What the network gives for a copy of x [n, ...], which it may write into; of one sample that can't run alone,
        for two of it. Its buffers and the state of random numbers are left as they were. Raises InputError for what
        does not pass."""
        given = torch.cat([x, x]) if len(x) == 1 and not self.alone else x.clone()
        try:
            if not self.restless:
                return self.network(given)
            with _random_kept(x), _buffers_kept(self.network):
                return self.network(given)
        except (InputError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise _failed(x, error) from error

    def _known(self, name: str) -> str:
        """The name that layers have here: a module has one path, and `relu1#0` is `relu1` where there is one run."""
        path, bracket, part = name.partition("[")
        run = ""
        if path not in self._paths and "#" in path:
            path, hash_, run = path.rpartition("#")
            run = hash_ + run
        while path not in self._paths and path.startswith(_WRAPPERS):
            path = path.partition(".")[2]
        path = self._paths.get(path, path)
        if run == "#0" and path not in ENDS and self._runs.get(path, (0, ""))[0] == 1:
            run = ""
        return path + run + bracket + part


def inputs(x: ArrayLike | Tensor) -> Tensor:
    """x [n, ...] as a tensor. Raises InputError for what is none, no samples, and NaN or infinity (with its sample)."""
    try:
        if hasattr(x, "__array__") and not isinstance(x, Tensor):
            # torch takes no data frames, and no arrays of swapped bytes, that run backwards or that are read-only.
            x = np.asarray(x)
            backwards = min(x.strides, default=0) < 0
            kind = x.dtype.newbyteorder("=")
            x = x.astype(kind, order="C" if backwards else "K", copy=backwards or not x.flags.writeable)
        values = x if isinstance(x, Tensor) else torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"inputs cannot be read as a tensor: {str(error).splitlines()[0]}") from error
    if values.is_nested or values.layout != torch.strided:
        raise InputError("inputs are a sparse or nested tensor, and take a dense one")
    if values.ndim < 1 or not len(values):
        raise InputError(f"inputs have shape {list(values.shape)}, and take at least one sample on the first axis")
    if (values.is_floating_point() or values.is_complex()) and not (finite := torch.isfinite(values)).all():
        row = int((~finite.reshape(len(values), -1)).any(1).int().argmax())
        raise InputError(f"inputs hold NaN or infinite numbers (first in sample {row}), and take finite ones")
    return values.detach()


def check_modules(network: nn.Module) -> None:
    """Raise InputError for a module whose operations can't be seen, that has no weights yet, or is in training mode."""
    for path, module in network.named_modules():
        shown = _shown(path, module)
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(f"{shown} is TorchScript, whose operations cannot be seen: give the module it was made of")
        if any(map(is_lazy, (*module.parameters(recurse=False), *module.buffers(recurse=False)))):
            raise InputError(f"{shown} has no weights yet: run the network once")
        if module.training and isinstance(module, _DropoutNd | _NormBase):
            raise InputError(f"{shown} is in training mode: call eval() first")


def module_of(network: Any) -> nn.Module:
    """The module inside, as `unwrapped` gives it. Raises InputError for what is none."""
    module = unwrapped(network)
    if not isinstance(module, nn.Module):
        raise InputError(f"the network is a {type(module).__name__}, and what looks inside takes a torch.nn.Module")
    return module


def unwrapped(network: Any) -> Any:
    """The module inside of what `torch.compile`, DataParallel and DistributedDataParallel make of one."""
    while True:
        if type(network).__name__ == "OptimizedModule" and hasattr(network, "_orig_mod"):
            network = network._orig_mod
        elif isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        else:
            return network


def eager() -> AbstractContextManager[Any]:
    """A context in which what was compiled runs as it was written: compiled code calls no hooks."""
    # Without its compiler, which is slow to import, torch has compiled nothing.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def without_gradients() -> Iterator[None]:
    """A context without gradients, and out of inference mode, in which nobody could tell what was written over."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def inspect(network: Callable[[Tensor], Any], x: ArrayLike | Tensor, independent: bool = True) -> Inspection:
    """Look at a network, a module or a function of one, with the first of its inputs x [n, ...] and one unlike it.

    independent: whether each sample's numbers have to be its own, which training, for one, does not need. The network,
    the caller's tensors and the state of torch's random numbers are left as they were. It takes two passes, of two
    samples and of one; where they leave a doubt, others of up to three samples settle it.

    Raises InputError for inputs that don't pass the network, and as `inputs` and `check_modules` do.
    """
    values, network = inputs(x), unwrapped(network)
    if isinstance(network, nn.Module):
        check_modules(network)
    with eager(), without_gradients(), _random_kept(values):
        first, looked = _first_pass(network, values)
        # The second, not the first: there may be something that every sample does to those behind it.
        alone, doubt = _second_pass(network, first, (1,), independent)
        found = alone
        if doubt:
            # Batches of one may be special, as where their axis is squeezed away.
            other, doubt = _second_pass(network, first, (1, 0, 1), independent)
            if other is not None:
                found = other
                found.alone = alone is not None and found.layers.keys() <= alone.layers.keys()
    if found is None:
        raise InputError("the network takes two samples at a time, and neither one nor three")
    found._looked = looked
    for name in found._unsure:
        layer = found.layers.pop(name)
        found._reasons[name] = (
            f"its {layer.layout.steps} rows a sample are alike in all samples, so that it does not show which are whose"
        )
    return found


@dataclass
class _Call:
    """One run of a module: where it is, what came out, and which module had drawn random numbers before it ended.

    `arguments`: what went in, where that was asked for.
    """

    path: str
    parent: str
    module: nn.Module | None
    call: int
    arguments: list[Tensor]
    results: list[tuple[Path, Tensor]]
    kind: str
    random: str


@dataclass
class _Pass:
    """The calls of one pass in the order in which they ended, the network's own last; `rows`: which of two samples
    each row of x is; `written`: the buffers that it wrote into."""

    x: Tensor
    rows: tuple[int, ...]
    calls: list[_Call]
    written: list[Tensor]


@contextmanager
def _random_kept(x: Tensor) -> Iterator[None]:
    """What a pass draws of torch's, NumPy's and Python's random numbers is drawn again afterwards."""
    numpy, python = np.random.get_state(), python_random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            yield
    finally:
        np.random.set_state(numpy)  # noqa: NPY002
        python_random.setstate(python)


def _random_state() -> tuple[Any, ...]:
    """Where torch's, NumPy's and Python's random numbers are."""
    _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), np.asarray(keys).tobytes(), place, python_random.getstate()


@contextmanager
def _buffers_kept(network: Any) -> Iterator[list[Tensor]]:
    """What a pass writes into the network's buffers, as running means, is undone: yields these, once it has ended."""
    # By their values: batch normalisation leaves a buffer's version as it was.
    modules = network.modules() if isinstance(network, nn.Module) else []
    places = [(module, name, one) for module in modules for name, one in module._buffers.items() if one is not None]
    kept = [(module, name, buffer, buffer.clone()) for module, name, buffer in places]
    written: list[Tensor] = []
    try:
        yield written
    finally:
        for module, name, buffer, value in kept:
            if module._buffers.get(name) is not buffer:
                written.append(buffer)
                module._buffers[name] = buffer
            if not torch.equal(buffer, value):
                written.append(buffer)
                with torch.no_grad():
                    buffer.copy_(value)


def _first_pass(network: Callable[[Tensor], Any], x: Tensor) -> tuple[_Pass, tuple[int, ...]]:
    """Of two samples; of one that has no other, and of what can be made of it. And which of x they are."""
    failure: Exception | None = None
    # Two that are alike would hide what they do to each other.
    unlike = next((i for i in range(1, len(x)) if not torch.equal(x[i], x[0])), 0)
    one = x[:1]
    candidates = [x[[0, unlike]]] if unlike else [torch.cat([one, _another(one)]), torch.cat([one, one])]
    for two in candidates:
        try:
            return _look(network, two, (0, 1)), (0, unlike) if unlike else (0,)
        except InputError:
            raise
        except Exception as error:
            failure = failure or error
    assert failure is not None
    raise _failed(x, failure, ", two samples at a time") from failure


def _failed(x: Tensor, failure: Exception, how: str = "") -> InputError:
    """What is said of inputs x that do not pass."""
    said = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    kind = str(x.dtype).removeprefix("torch.")
    return InputError(f"inputs of shape {list(x.shape)} ({kind}) do not pass the network{how}: {said}")


def _another(x: Tensor) -> Tensor:
    """A sample unlike x [1, ...], in its mean too, with numbers in the same range where x has a range."""
    other = x.flatten().roll(1).view(x.shape)
    if x.is_floating_point():
        other = 0.75 * other + 0.25 * x.max()
    return torch.where(x == 0, 1, x / 2).to(x.dtype) if torch.equal(other, x) else other


def _second_pass(
    network: Callable[[Tensor], Any], first: _Pass, rows: tuple[int, ...], independent: bool
) -> tuple[Inspection | None, bool]:
    """What another pass shows, None where it fails; whether it leaves a doubt about the network."""
    try:
        second = _look(network, first.x[list(rows)], rows)
    except InputError:
        raise
    except Exception:
        return None, True
    found, doubt = _compared(network, first, second, independent)
    random = any(call.random for call in (*first.calls, *second.calls))
    found.restless = random or bool(first.written or second.written)
    doubt &= not random
    if doubt and len(rows) > 1 and _DEPENDENT in found._reasons.values():
        _explain(network, found, first, second)
    return found, doubt


def _look(network: Callable[[Tensor], Any], x: Tensor, rows: tuple[int, ...], arguments: bool = False) -> _Pass:
    """One pass of a copy of x, every call noted, with its arguments where they are asked for."""
    modules = dict(network.named_modules()) if isinstance(network, nn.Module) else {}
    calls: list[_Call] = []
    counts: Counter[str] = Counter()
    running = [("", [x])]
    random, state = "", _random_state()

    def draws() -> None:
        """Note the module in which random numbers were drawn since the last look."""
        nonlocal random, state
        now = _random_state()
        if not random and now != state:
            random = _shown(running[-1][0], modules.get(running[-1][0]))
        state = now

    def enter(path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        draws()
        given = [_kept(value) for _, value in parts((args, kwargs))] if arguments else []
        running.append((path, given))

    def leave(path: str, module: nn.Module | None, args: Any, output: Any) -> None:
        draws()
        _, given = running.pop()
        results = [(key, _kept(value)) for key, value in parts(output)]
        parent = running[-1][0] if running else ""
        calls.append(_Call(path, parent, module, counts[path], given, results, type(output).__name__, random))
        counts[path] += 1

    handles = []
    try:
        for path, module in modules.items():
            if path:
                handles.append(module.register_forward_pre_hook(partial(enter, path), with_kwargs=True))
                handles.append(module.register_forward_hook(partial(leave, path)))
        # Each pass starts from the same.
        with _buffers_kept(network) as written:
            output = network(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    leave("", modules.get(""), (), output)
    return _Pass(x, rows, calls, written)


def _compared(
    network: Callable[[Tensor], Any], first: _Pass, second: _Pass, independent: bool
) -> tuple[Inspection, bool]:
    """The layers of two passes that share a sample, and why other calls are none; whether these leave a doubt."""
    tolerance = _tolerance(first)
    counts, again = (Counter(call.path for call in run.calls) for run in (first, second))
    others = {(call.path, call.call): dict(call.results) for call in second.calls}
    found = Inspection(network, {"input": Layer("input", None, 0, 1, (), tuple(first.x.shape[1:]), Layout())})
    found._seen, found._tolerance = {"input": first.x}, tolerance
    doubt = False
    # Of layers whose steps lie one way only, by axis and steps: those of others that may lie either way lie as they do.
    sure: dict[tuple[int, int], Layout] = {}
    for call in first.calls:
        path = call.path or "output"
        found._runs[path] = counts[call.path], call.kind
        once = not call.path or (counts[call.path] == 1 and path not in ENDS)
        other = others.get((call.path, call.call), {}) if counts[call.path] == again[call.path] else {}
        for key, a in call.results:
            name = (path if once else f"{path}#{call.call}") + named(key)
            layout, reason, doubtful = _judged(call, first, second, a, other.get(key), independent, tolerance)
            doubt |= doubtful
            if layout is None:
                found._reasons[name] = reason
            else:
                module, shape = call.module if call.path else None, tuple(layout.front(a).shape[1:])
                found.layers[name] = Layer(name, module, call.call, counts[call.path], key, shape, layout)
                found._seen[name] = a
                if layout.steps > 1 and _shared(layout, first, second, a, other[key], tolerance):
                    apart = replace(layout, together=not layout.together)
                    if _shared(apart, first, second, a, other[key], tolerance):
                        found._unsure.add(name)
                    else:
                        sure[layout.axis, layout.steps] = layout
    for name in [name for name in found._unsure if _place(found.layers[name]) in sure]:
        found.layers[name] = replace(found.layers[name], layout=sure[_place(found.layers[name])])
        found._unsure.remove(name)
    doubt |= bool(found._unsure)
    found._seen = {name: layer.layout.front(found._seen[name]) for name, layer in found.layers.items()}
    root = first.calls[-1].module
    if root is not None:
        names = {module: path for path, module in root.named_modules()}
        found._paths = {path: names[module] for path, module in root.named_modules(remove_duplicate=False) if path}
        # Parts of what was compiled, by the names that they have in the module that it was made of.
        for path in list(found._paths):
            found._paths.setdefault(path.replace("._orig_mod.", "."), found._paths[path])
    return found, doubt


def _judged(
    call: _Call,
    first: _Pass,
    second: _Pass,
    a: Tensor,
    b: Tensor | None,
    independent: bool,
    tolerance: tuple[float, float],
) -> tuple[Layout | None, str, bool]:
    """Where the samples are in a, of the first pass, and b of the second; or None, the reason why it is no layer, and
    whether another pass may tell otherwise."""
    shown = _shown(call.path, call.module)
    if b is None:
        return None, f"{shown} does not run alike in every pass", True
    if any(y.is_nested or y.layout != torch.strided for y in (a, b)):
        reason = (
            f"{shown} gives nested or sparse tensors, and only dense ones can be watched (those of "
            "nn.TransformerEncoder with enable_nested_tensor=False are)"
        )
        return None, reason, False
    if a.is_quantized:
        return None, f"{shown} gives quantised tensors, and only those of numbers can be watched", False
    if a.shape == b.shape:
        return None, f"{shown} gives {list(a.shape)} for a batch of any size", False
    layout = _layout(first, second, a, b, tolerance)
    if layout is None:
        reason = (
            f"{shown} gives {list(a.shape)} for {len(first.x)} samples and {list(b.shape)} for {len(second.x)}: no "
            "axis goes with their number"
        )
        return None, reason, True
    if independent and call.random:
        return None, f"{call.random} draws random numbers, and a layer takes none", False
    if independent and not _shared(layout, first, second, a, b, tolerance):
        return None, _DEPENDENT, True
    return layout, "", False


def _place(layer: Layer) -> tuple[int, int]:
    return layer.layout.axis, layer.layout.steps


def _explain(network: Callable[[Tensor], Any], found: Inspection, first: _Pass, second: _Pass) -> None:
    """Give the layers whose samples depend on others their reason: the first call that makes a difference."""
    first, second = (_look(network, run.x, run.rows, arguments=True) for run in (first, second))
    tolerance = _tolerance(first)

    def alike(some: Sequence[Tensor], more: Sequence[Tensor]) -> bool:
        for a, b in zip(some, more, strict=True):
            layout = _layout(first, second, a, b, tolerance)
            if layout is None:
                if a.shape != b.shape or not _alike(a, b, tolerance):
                    return False
            elif not _shared(layout, first, second, a, b, tolerance):
                return False
        return True

    cause = _DEPENDENT
    for call, other in zip(first.calls, second.calls, strict=False):
        if call.path != other.path or len(call.results) != len(other.results):
            break
        if alike([y for _, y in call.results], [y for _, y in other.results]):
            continue
        module, where = call.module, _shown(call.path, call.module)
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            cause = f"{where} normalises by its batch, since it has no running statistics"
            break
        if len(call.arguments) != len(other.arguments) or not alike(call.arguments, other.arguments):
            parent = next((one.module for one in first.calls if one.path == call.parent), None)
            where = f"a function in the forward of {_shown(call.parent, parent)}"
        cause = _DEPENDENT.replace("the network", where)
        break
    found._reasons.update({name: cause for name, reason in found._reasons.items() if reason == _DEPENDENT})


def _tolerance(run: _Pass) -> tuple[float, float]:
    """That of the coarsest numbers in the pass: relative, and for what is near 0 since larger numbers cancel in it."""
    tensors = [run.x, *(y for call in run.calls for _, y in call.results)]
    kinds = {y.dtype for y in tensors if y.is_floating_point()}
    relative = max((_TOLERANCE.get(kind, _COARSE) for kind in kinds), default=0.0)
    real = run.x.is_floating_point() and run.x.numel()
    return relative, 1e-3 * relative * (min(1.0, float(run.x.abs().max())) if real else 1.0)


def _layout(first: _Pass, second: _Pass, a: Tensor, b: Tensor, tolerance: tuple[float, float]) -> Layout | None:
    """Where the samples are in a tensor, a of the first pass and b of the second; None where no axis goes with them."""
    if a.ndim != b.ndim:
        return None
    grown = [axis for axis in range(a.ndim) if a.shape[axis] != b.shape[axis]]
    if len(grown) != 1:
        return None
    (axis,) = grown
    steps, rest = divmod(a.shape[axis], len(first.x))
    if rest or b.shape[axis] != len(second.x) * steps:
        return None
    layout = Layout(axis, steps)
    if steps > 1 and not _shared(layout, first, second, a, b, tolerance):
        apart = Layout(axis, steps, together=False)
        if _shared(apart, first, second, a, b, tolerance):
            return apart
    return layout


def _shared(layout: Layout, first: _Pass, second: _Pass, a: Tensor, b: Tensor, tolerance: tuple[float, float]) -> bool:
    """Whether the samples that both passes have are alike in a and b."""
    a, b = layout.front(a), layout.front(b)
    return all(
        _alike(a[i], b[j], tolerance)
        for i, sample in enumerate(first.rows)
        for j, other in enumerate(second.rows)
        if sample == other
    )


def _alike(a: Tensor, b: Tensor, tolerance: tuple[float, float]) -> bool:
    if a.shape != b.shape:
        return False
    if torch.equal(a, b) or not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    if a.itemsize < 4:
        a, b = a.float(), b.float()
    sizes = b.abs().where(b.isfinite(), 0)
    scale = float(sizes.max())
    if scale >= _MASKED:
        scale = float(sizes.where(a != b, 0).max())
    return bool(
        ((a - b).abs() <= max(tolerance[0] * scale, tolerance[1]))
        .logical_or(a == b)
        .logical_or(a.isnan() & b.isnan())
        .all()
    )


def parts(value: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """The tensors in tuples, lists, mappings and data classes, with the keys that lead to them."""
    if isinstance(value, Tensor):
        yield path, value
    else:
        for key, one in _items(value):
            yield from parts(one, (*path, key))


def with_part(value: Any, path: Path, new: Tensor) -> Any:
    """`value` with another tensor at `path`."""
    if not path:
        return new
    changed = with_part(dict(_items(value))[path[0]], path[1:], new)
    if isinstance(value, Mapping):
        other: Any = copy(value)
        other[path[0]] = changed
        return other
    if is_dataclass(value):
        other = copy(value)
        object.__setattr__(other, path[0], changed)
        return other
    values = [changed if key == path[0] else one for key, one in _items(value)]
    return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)


def named(path: Path) -> str:
    """How a path is written behind a layer's name: `[0]`, `[logits]`, `[1][0]`."""
    return "".join(f"[{key}]" for key in path)


def _items(value: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, tuple | list):
        return list(zip(getattr(value, "_fields", range(len(value))), value, strict=True))
    return []


def _kept(y: Tensor) -> Tensor:
    """A copy: what runs later may write over y."""
    return y.detach() if y.is_nested or y.layout != torch.strided else y.detach().clone()


def _shown(path: str, module: nn.Module | None) -> str:
    kind = f" ({type(module).__name__})" if module is not None else ""
    return f"module {path!r}{kind}" if path else f"the network{kind}"
