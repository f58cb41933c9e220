"""What holds for every method and every network: the zoo's networks against plain ones, one sample at a time.

A lesion of nothing, a capture of everything and an intervention that sets what is there change nothing; and what a
method gives is what a hook of a few lines gives, on a network of its own and on copies. Either that comes out or one
sentence that refuses, as the zoo says of each network and layer: no other error, and no other number.
"""

import dataclasses
import random
import re
from collections import Counter
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from networks import ALL, ZOO
from torch import Tensor, nn

from interneuron import attacks, capture, causal, lattices, lesion, regularization, saliency
from interneuron.errors import InputError

# torch's own, of nested tensors, old kinds of modules and compiled ones.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

everywhere = pytest.mark.parametrize("name", ZOO)
on_images = pytest.mark.parametrize("name", [name for name, one in ZOO.items() if len(one.sample) == 3])

ENDS = ("input", "output")
# An attack watches no modules, so it can't see what only a third sample shows, and what a pass writes in buffers stays.
UNSEEN = {"one more step for the third sample", "counted calls, in a buffer"}
# Parts of a layer's name that come of what is around a network.
AROUND = ("_orig_mod", "module")


class Oracle:
    """A plain network of a specimen, run one sample at a time, with plain hooks.

    `samples`: what it is run on, each [1, ...]; all together where samples have no result of their own. `calls`: by
    layer name, its module (None: the whole network), the number of the call, and what it gives for the first of them.
    `idle`: paths of modules that are never called.
    """

    def __init__(self, specimen):
        x = specimen.inputs()
        self.network, self.samples = specimen.plain(), [x] if specimen.never else list(x.split(1))
        paths = {path: module for path, module in self.network.named_modules() if path}
        count, seen = Counter(), []

        def note(path):
            def hook(module, args, given):
                seen.append((path, module, count[path], given.clone() if isinstance(given, Tensor) else given))
                count[path] += 1

            return hook

        output = None
        with hooks(*((module, note(path)) for path, module in paths.items())), torch.no_grad(), seeded():
            try:
                output = self.network(self.samples[0].clone())
            except (TypeError, RuntimeError):
                assert specimen.never  # It doesn't run on such a tensor, so there is nothing to compare with.
        self.calls = {"input": (None, 0, self.samples[0])}
        for path, module, call, given in seen:
            self.calls[path if count[path] == 1 and path not in ENDS else f"{path}#{call}"] = (module, call, given)
        self.calls["output"] = (None, 0, output)
        for layer, (module, call, given) in list(self.calls.items()):
            self.calls |= {layer + key: (module, call, part) for key, part in parts(given)}
        self.idle = [path for path in paths if path not in count]

    def tensor(self, layer):
        """What a layer gives for the first sample, None where that is no plain tensor."""
        given = self.calls[layer][2] if layer in self.calls else None
        if not isinstance(given, Tensor) or given.is_nested or torch._C._functorch.is_functorch_wrapped_tensor(given):
            return None
        return given

    def units(self, layer):
        return 1 if self.tensor(layer) is None else rows(self.tensor(layer), len(self.samples[0])).shape[1]

    def output(self, x, actions=None):
        """The network's output for one sample [1, ...]; actions, by layer, see its tensor and may replace it."""
        count, inside = Counter(), {self.calls[layer][0] for layer in actions or {}} - {None}

        def act(place, given):
            """What becomes of what a layer gives, or of its parts, by its module and the number of the call."""
            for layer, action in (actions or {}).items():
                if self.calls[layer][:2] == place[:2] and (place[0] or layer.startswith(place[2])):
                    key = re.search(r"(\[.*)?$", layer)[0]
                    changed = action(dict([("", given), *parts(given)])[key])
                    given = given if changed is None else with_part(given, key, changed)
            return given

        def hook(module, args, given):
            count[module] += 1
            return act((module, count[module] - 1, ""), given)

        with hooks(*((module, hook) for module in inside)), seeded():
            return act((None, 0, "output"), self.network(act((None, 0, "input"), x.clone())))

    def activations(self, x, layers):
        """The layers' tensors for one sample, [1, units], as they were when their calls returned."""
        kept = {}

        def keep(layer):
            return lambda y: kept.update({layer: rows(y.clone(), len(x))})

        self.output(x, {layer: keep(layer) for layer in layers})
        return kept

    @torch.no_grad()
    def lesioned(self, layer, masks):
        """Outputs [lesions, n, outputs] with the units of a layer at zero where each of masks [lesions, units] says."""

        def silenced(mask):
            return lambda y: torch.where(mask, torch.zeros((), dtype=y.dtype), y.reshape(-1)).view(y.shape)

        def outputs(mask):
            return torch.cat([rows(self.output(x, {layer: silenced(mask)}), len(x)) for x in self.samples])

        return torch.stack([outputs(mask) for mask in masks])


class Case:
    """One network of the zoo under a test: collects all that is wrong, so that one failure shows every layer."""

    def __init__(self, name):
        self.specimen = ZOO[name]
        self.oracle, self.network, self.x = Oracle(self.specimen), self.specimen.network(), self.specimen.inputs()
        self.layers = list(self.specimen.layers or self.oracle.calls)
        self.names, self.wrong = listed(self.network, self.x), []

    def name(self, layer, inside=""):
        """The name of a layer in the user's network, which may have something around it, or around a part of it."""
        if layer.partition("[")[0] in ENDS:
            return layer
        return next((name for name in self.names if plain_name(name) == inside + layer), inside + layer)

    def refusals(self, *layers, output):
        """Patterns of the refusals of which one has to come where these layers, and the output, are asked for."""
        one, oracle = self.specimen, self.oracle
        output |= "output" in layers
        patterns = [one.refused[layer] for layer in layers if layer in one.refused]
        for layer in layers:
            if layer not in ENDS and oracle.tensor(layer) is None:
                patterns.append(re.escape(layer.rpartition("#")[0] or layer))
            if layer not in ENDS and one.closed:
                patterns.append(one.closed)
        patterns += [one.output] if one.output and output else []
        # Where there is more than one reason, either is one.
        return [*patterns, one.never] if one.never and (patterns or output) else patterns

    def may_refuse(self, *layers):
        one = self.specimen
        return bool(one.never or one.closed) or one.either == ALL or any(layer in one.either for layer in layers)

    def judge(self, what, right, patterns, either, function, *arguments, tolerance=None, check=True):
        """Note it unless function(*arguments) gives what is right (None: anything), or refuses as it should or may."""
        problems, got, refusal = [], None, ""
        with seeded():
            before = state(self.network, *arguments)
            try:
                got = function(*arguments)
            except InputError as error:
                refusal = str(error)
            except Exception as error:
                problems.append(f"{type(error).__name__}: {(str(error) or '-').splitlines()[0][:150]}")
            if check and (changed := changes(before, state(self.network, *arguments))):
                problems.append(f"changed: {', '.join(changed)}")
        if refusal and patterns and not any(re.search(pattern, refusal) for pattern in patterns):
            problems.append(f"refused, and the sentence has nothing like {' or '.join(patterns)}: {refusal[:200]}")
        elif refusal and not patterns and not either:
            problems.append(f"refused: {refusal[:200]}")
        elif got is not None and patterns:
            problems.append("not refused")
        elif got is not None and (truth := right()) is not None:
            problems += off(got, truth, self.specimen.tolerance if tolerance is None else tolerance)
        self.wrong += [f"{what}: {problem}" for problem in problems]

    def verdict(self):
        if self.wrong:
            pytest.fail("\n".join(self.wrong), pytrace=False)


def rows(y, n):
    """What a plain network gives for n samples, [n, units]: for one of them, whatever its axes are."""
    if n > 1 and n in y.shape:
        return by_sample(y, n)
    return y.reshape(n, y.numel() // n) if y.numel() % n == 0 else y.reshape(1, -1)


def listed(network, x):
    """What `capture.sites` lists; nothing where it fails, which a test of its own looks at."""
    try:
        with seeded():
            return capture.sites(network, x.clone())
    except Exception:
        return {}


def plain_name(name):
    return ".".join(part for part in name.split(".") if part not in AROUND)


def parts(given):
    """The tensors in a structure, each with its keys: `[0]`, `[1][0]`, `[logits]`."""
    for key, one in items(given):
        yield from [(f"[{key}]", one)] if isinstance(one, Tensor) else ((f"[{key}]{k}", part) for k, part in parts(one))


def items(given):
    if isinstance(given, dict):
        return list(given.items())
    if hasattr(given, "_fields"):
        return list(given._asdict().items())
    if isinstance(given, tuple | list):
        return list(enumerate(given))
    return list(vars(given).items()) if dataclasses.is_dataclass(given) else []


def with_part(given, keys, part):
    """The structure with another tensor at its keys."""
    if not keys:
        return part
    key, rest = re.fullmatch(r"\[(.*?)\](.*)", keys).groups()
    changed = {k: with_part(one, rest, part) if str(k) == key else one for k, one in items(given)}
    if isinstance(given, dict):
        return changed
    if hasattr(given, "_fields") or dataclasses.is_dataclass(given):
        return type(given)(**changed)
    return type(given)(changed.values())


@contextmanager
def hooks(*pairs):
    handles = [module.register_forward_hook(hook) for module, hook in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def seeded():
    """The same random numbers each time, and the global stream left where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


def state(network, *values):
    """All that is the caller's, by name: a copy of each tensor, and what stands for the rest."""
    found = {f"values {i}": (value, value.clone()) for i, value in enumerate(values) if isinstance(value, Tensor)}
    for name, one in [*network.named_parameters(), *network.named_buffers()]:
        found[name] = one, None if nn.parameter.is_lazy(one) else one.detach().clone()
        found[f"{name}.grad"] = one.requires_grad, one.grad
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    found["modes"] = [module.training for module in network.modules()]
    found["hooks"] = [list(getattr(module, kind)) for module in network.modules() for kind in kinds]
    found["torch's random numbers"] = torch.get_rng_state().numpy().tobytes()
    found["NumPy's random numbers"] = np.random.get_state()[1].tobytes()  # noqa: NPY002
    found["Python's random numbers"] = random.getstate()
    found["torch's modes"] = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_dtype()
    return found


def changes(before, after):
    def kept(a, b):
        if isinstance(a, tuple) and isinstance(a[0], Tensor):
            return a[0] is b[0] and (a[1] is b[1] is None or (a[1] is not None and torch.equal(a[1], b[1])))
        return a == b

    return [name for name, was in before.items() if name not in after or not kept(was, after[name])]


def off(got, right, tolerance):
    """By how much something is not right, in words, as a list; [] where it is."""
    got, right = torch.as_tensor(got).detach(), torch.as_tensor(right).detach()
    if got.shape != right.shape:
        return [f"has the shape {list(got.shape)}, not {list(right.shape)}"]
    if not right.numel():
        return []
    if right.is_floating_point() and got.is_floating_point() and torch.equal(got.isnan(), right.isnan()):
        got, right = got.nan_to_num(), right.nan_to_num()
    kind = torch.complex128 if right.is_complex() else torch.float64
    error, scale = (got.to(kind) - right.to(kind)).abs().max().item(), right.to(kind).abs().max().item()
    return [] if error <= tolerance * max(1.0, scale) else [f"is off by {error:.3g}, at numbers up to {scale:.3g}"]


def by_sample(y, n, axis=0):
    """Outputs of n samples as rows: the samples' axis is the first from `axis`, or the only one as long."""
    if y.ndim <= axis or y.shape[axis] != n:
        y = y.movedim(next((i for i in range(axis, y.ndim) if y.shape[i] == n), axis), axis)
    return y.reshape(*y.shape[: axis + 1], -1)


@everywhere
def test_the_zoo_is_as_it_says(name):
    specimen, oracle = ZOO[name], Oracle(ZOO[name])
    assert {*specimen.refused, *(specimen.either - ALL), *specimen.layers} <= {*oracle.calls, *oracle.idle}
    if not specimen.never and not specimen.output:
        with torch.no_grad():
            alone = torch.cat([oracle.output(x).reshape(1, -1) for x in oracle.samples])
            together = by_sample(specimen.plain()(specimen.inputs()), len(alone))
        assert not off(together, alone, specimen.tolerance)


@everywhere
def test_layers_are_listed_with_their_units(name):
    case = Case(name)
    layers = [] if case.specimen.never else case.oracle.calls
    for layer in layers:
        refused, shape = case.refusals(layer, output=False), case.names.get(case.name(layer))
        if refused and shape is not None:
            case.wrong.append(f"{layer} is listed, and is one to be refused")
        elif shape is None and not refused and not case.may_refuse(layer):
            case.wrong.append(f"{layer} is not listed")
        elif shape is not None and np.prod(shape) != case.oracle.units(layer):
            case.wrong.append(f"{layer} has the shape {shape}, of {case.oracle.units(layer)} units")
    for name in case.names if layers else []:
        if plain_name(name) not in {*layers, ""}:
            case.wrong.append(f"{name} is listed, and is never called")
    case.judge("sites", lambda: 0, [], case.may_refuse(), lambda x: capture.sites(case.network, x) and 0, case.x)
    case.verdict()


def captured(network, x, layer, batch):
    return capture.activations(network, x, [layer], batch)[layer]


@everywhere
def test_activations_are_those_of_a_plain_hook(name):
    case = Case(name)
    tensors = [layer for layer in case.layers if case.oracle.tensor(layer) is not None]

    @cache
    @torch.no_grad()
    def alone():
        return [case.oracle.activations(x, tensors) for x in case.oracle.samples]

    def look(layer):
        for batch in (1, 2, 4096):
            case.judge(
                f"{layer}, batch={batch}",
                lambda: torch.cat([one[layer] for one in alone()]),
                case.refusals(layer, output=False),
                case.may_refuse(layer),
                captured,
                case.network,
                case.x,
                case.name(layer),
                batch,
            )

    for layer in [*case.layers, *case.oracle.idle]:
        look(layer)
    case.verdict()


def output_beside(network, x, layer):
    return capture.activations(network, x, list(dict.fromkeys([layer, "output"])))["output"]


@everywhere
def test_hooks_leave_the_output_as_it_is(name):
    case = Case(name)

    @cache
    @torch.no_grad()
    def plain():
        return by_sample(case.specimen.plain()(case.x.clone()), len(case.x))

    for layer in case.layers:
        patterns, either = case.refusals(layer, output=True), case.may_refuse(layer, "output")
        arguments = case.network, case.x, case.name(layer)
        unfused = case.specimen.unfused
        case.judge(f"output beside {layer}", plain, patterns, either, output_beside, *arguments, tolerance=unfused)
    case.verdict()


def lesions(units):
    """Of nothing, of all units, of every other one, and of the first."""
    masks = torch.zeros(4, units, dtype=torch.bool)
    masks[1], masks[2, ::2], masks[3, :1] = True, True, True
    return masks


def lesioned(network, x, layer, masks, value=None, together=1400):
    values = None if value is None else {layer: value}
    return by_sample(lesion.lesion(network, x, {layer: masks}, values, together), len(x), 1)


@everywhere
def test_lesions_are_those_of_a_plain_hook_one_at_a_time(name):
    case = Case(name)

    def look(layer):
        masks = lesions(case.oracle.units(layer))
        right = cache(lambda: case.oracle.lesioned(layer, masks))
        patterns, either = case.refusals(layer, output=True), case.may_refuse(layer, "output")
        for together in (1400, 2):
            arguments = case.network, case.x, case.name(layer), masks, None, together
            case.judge(f"{layer}, rows={together}", right, patterns, either, lesioned, *arguments)

    for layer in [*case.layers, *case.oracle.idle]:
        look(layer)
    case.verdict()


@everywhere
def test_a_lesion_of_nothing_and_one_that_sets_what_is_there_change_nothing(name):
    case = Case(name)
    equal = case.x[:1].expand_as(case.x).clone()

    @torch.no_grad()
    def plain(x):
        return by_sample(case.specimen.plain()(x.clone()), len(x))[None]

    def look(layer):
        patterns, either = case.refusals(layer, output=True), case.may_refuse(layer, "output")
        nothing, all_ = lesions(case.oracle.units(layer))[:2, None]
        arguments = case.network, case.x, case.name(layer), nothing
        case.judge(f"nothing of {layer}", lambda: plain(case.x), patterns, either, lesioned, *arguments, tolerance=1e-6)
        if case.oracle.tensor(layer) is not None and not case.specimen.never:
            with torch.no_grad():
                value = case.oracle.activations(equal[:1], [layer])[layer][0]
            arguments = case.network, equal, case.name(layer), all_, value
            # Equal samples don't show what is wrong with a layer, nor do they suffer from it.
            unseen = [] if layer in case.specimen.refused else patterns
            either |= layer in case.specimen.refused
            case.judge(f"what is there in {layer}", lambda: plain(equal), unseen, either, lesioned, *arguments)

    for layer in case.layers:
        look(layer)
    case.verdict()


def effects(network, layer, samples):
    return causal.sampled_effects(network, [layer], samples, [], [-1.0, 1.0], treated=[0], rows=8).effect[0]


@everywhere
def test_effects_of_inputs_are_those_of_a_loop(name):
    case = Case(name)
    x, sample = case.x, case.specimen.sample
    network, inside = case.network, ""
    if len(sample) != 1:
        shaped = nn.Unflatten(1, sample) if sample else nn.Flatten(0)
        network, inside = nn.Sequential(shaped, network), "1."
    draws = torch.randn(2, 3, x[0].numel(), generator=torch.Generator().manual_seed(4)).to(x.dtype)
    case.names = listed(network, draws[0])

    @torch.no_grad()
    def loop(layer):
        means = []
        for alpha in (-1.0, 1.0):
            x = draws.flatten(0, 1).clone()
            x[:, 0] = alpha
            some = x.view(-1, *sample).split(len(x) if case.specimen.never else 1)
            # A layer that is not called for these inputs has no numbers.
            none = torch.full((1, case.oracle.units(layer)), torch.nan)
            found = [case.oracle.activations(one, [layer]).get(layer, none) for one in some]
            means.append(torch.cat(found).double().mean(0, keepdim=True))
        return torch.cat(means) - torch.cat(means).mean(0)

    def look(layer):
        # Effects are those of numbers on numbers.
        given = case.oracle.tensor(layer)
        either = not x.is_floating_point() or (given is not None and not given.is_floating_point())
        case.judge(
            layer,
            lambda: loop(layer),
            case.refusals(layer, output=False),
            either or case.may_refuse(layer),
            effects,
            network,
            case.name(layer, inside),
            draws.double().numpy(),
        )

    for layer in case.layers:
        look(layer)
    case.verdict()


@on_images
@pytest.mark.parametrize("function", [False, True], ids=["module", "function"])
def test_saliency_is_that_of_one_image_at_a_time(name, function):
    case = Case(name)
    image, (_, h, w) = case.x[0], case.specimen.sample
    window, steps, target = h // 2, 4, 1
    labels = np.zeros((1, h, w), np.int64)
    labels[:, :, w // 2 :] = 1
    halves = saliency.Superpixels(labels, np.bincount(labels.ravel()), np.zeros(2, np.int64))
    order = np.random.default_rng(5).permutation(h * w).reshape(h, w).astype(float)
    network = (lambda images: case.network(images)) if function else case.network

    @torch.no_grad()
    def score(mask=None):
        filled = image if mask is None else torch.where(torch.from_numpy(mask), torch.zeros(()), image)
        return case.oracle.output(filled[None]).flatten()[target].item()

    def masked():
        return np.array([abs(score() - score(labels[0] == part)) for part in (0, 1)])

    def occluded():
        total = np.zeros((h, w))
        for top in range(0, h, window):
            for left in range(0, w, window):
                mask = np.zeros((h, w), bool)
                mask[top : top + window, left : left + window] = True
                total[mask] = score() - score(mask)
        return total

    def deleted():
        rank = (-order).argsort(axis=None).argsort().reshape(h, w)
        scores = [score(rank < round(step * h * w / steps)) for step in range(steps + 1)]
        return np.trapezoid(scores, dx=1 / steps)

    # A function may hide what makes its scores wrong, but not that they are.
    patterns = case.refusals(output=True)
    patterns, either = ([], bool(patterns)) if function else (patterns, case.may_refuse())
    for what, right, call, arguments in (
        ("masking_effect", masked, saliency.masking_effect, (halves, 0.0, target)),
        ("occlusion", occluded, saliency.occlusion, (window, window, 0.0, target)),
        ("deletion_auc", deleted, saliency.deletion_auc, (order, 0.0, target, steps)),
    ):
        case.judge(what, right, patterns, either or case.may_refuse(), call, network, image, *arguments)
    case.verdict()


@on_images
def test_grad_cam_is_that_of_a_plain_hook(name):
    case = Case(name)
    image = case.x[0]

    def map_of(layer):
        kept = []

        def shift(y):
            kept.append((y.detach().clone(), torch.zeros_like(y, requires_grad=True)))
            return y + kept[0][1]

        score = case.oracle.output(image[None], {layer: shift}).flatten()[1]
        ((maps, shifted),) = kept
        (slope,) = torch.autograd.grad(score, shifted, allow_unused=True)
        slope = torch.zeros_like(maps) if slope is None else slope
        cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
        return nn.functional.interpolate(cam, image.shape[1:], mode="bilinear", align_corners=False)[0, 0]

    def look(layer):
        patterns, given = case.refusals(layer, output=True), case.oracle.tensor(layer)
        if given is not None and given.ndim != 4:
            patterns = patterns or ([] if case.may_refuse(layer) else ["maps"])
        arguments = case.network, image, case.name(layer), 1
        case.judge(layer, lambda: map_of(layer), patterns, case.may_refuse(layer), saliency.grad_cam, *arguments)

    for layer in [*case.layers, *case.oracle.idle]:
        look(layer)
    case.verdict()


def with_gradients(value, network):
    """A number, and its gradient on all parameters: zero where it has none."""
    parameters = list(network.parameters())
    found = [None] * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(value, parameters, allow_unused=True)
    slopes = [torch.zeros_like(one) if g is None else g for one, g in zip(parameters, found, strict=True)]
    return torch.cat([one.detach().reshape(-1).double() for one in (value, *slopes)])


def penalised(network, x, layer, graph):
    with torch.enable_grad(), regularization.regularised(network, x, {layer: graph}) as penalties:
        network(x.clone())
        return with_gradients(penalties[layer], network)


def entered(network, x, layer, graph):
    with regularization.regularised(network, x, {layer: graph}):
        return 0


@everywhere
def test_penalties_and_their_gradients_are_those_of_the_formula(name):
    case = Case(name)
    # Penalties are those of samples as they pass, whatever the network does with them.
    together = bool(case.specimen.never)

    def formula(layer):
        kept = []
        for x in case.oracle.samples:
            case.oracle.output(x, {layer: lambda y: kept.append(rows(y.clone(), len(case.oracle.samples[0])).double())})
        # z' L z of a path: the squares of the differences between neighbours.
        return with_gradients(torch.cat(kept).diff().square().sum(1).mean(), case.oracle.network)

    def steady(layer):
        """The formula's numbers, None where the network itself has others each time."""
        found = formula(layer)
        return None if off(formula(layer), found, case.specimen.tolerance) else found

    def look(layer):
        given, patterns = case.oracle.tensor(layer), [] if together else case.refusals(layer, output=False)
        # Nor does a mean over samples suffer where they change places.
        free = layer in case.specimen.refused
        patterns = [] if free else patterns
        if given is not None and case.oracle.units(layer) < 2:
            return
        graph = lattices.paths(1, max(case.oracle.units(layer), 2))
        either = free or case.may_refuse(layer) or (given is not None and not given.is_floating_point())
        arguments = case.network, case.x, case.name(layer), graph
        case.judge(f"{layer}, entered", lambda: 0, patterns, either, entered, *arguments)
        case.judge(layer, lambda: steady(layer), patterns, either, penalised, *arguments, check=False)

    for layer in case.layers:
        look(layer)
    case.verdict()


@pytest.mark.parametrize("name", [name for name in ZOO if name not in UNSEEN])
def test_an_attack_is_that_on_one_sample_at_a_time(name):
    case = Case(name)
    x, given = case.x, case.oracle.tensor("output")
    if given is None or given.ndim != 2 or not given.is_floating_point() or not x.is_floating_point() or x.ndim < 2:
        return
    labels = torch.arange(len(x)) % given.shape[1]
    patterns, either = case.refusals(output=True), case.may_refuse() or bool(case.specimen.either)

    def slope(x, label):
        leaf = x.clone().requires_grad_()
        loss = nn.functional.cross_entropy(case.oracle.output(leaf), label)
        return torch.autograd.grad(loss, leaf)[0]

    slopes = torch.zeros_like(x)
    if not patterns:
        try:
            slopes = torch.cat([slope(*one) for one in zip(case.oracle.samples, labels.split(1), strict=True)])
        except RuntimeError:
            patterns = [""]  # The output has no gradient, which is a reason of its own.

    def signs():
        with torch.no_grad():
            moved = torch.cat([case.oracle.output(one) for one in (x + 0.1 * slopes.sign()).split(1)])
        return slopes.sign().where(slopes.abs() > 1e-6, 0) * shaped(moved.argmax(1) != labels)

    def shaped(success):
        return success.view(-1, *[1] * (x.ndim - 1))

    def attacked(network, x, labels):
        # Where there is no success, inputs stay as they are; and the sign of rounding is anything.
        found = attacks.fast_gradient_sign(network, x, labels, 0.1, (-9.0, 9.0))
        return ((found.x - x) / 0.1).where(slopes.abs() > 1e-6, 0) * shaped(found.success)

    case.judge("fast_gradient_sign", signs, patterns, either, attacked, case.network, x, labels, tolerance=0.1)
    case.verdict()
