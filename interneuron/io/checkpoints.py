"""Weights of networks that exist, from published files: PyTorch state dicts and OpenVINO's intermediate representation.

No file is unpickled beyond what `torch.load(weights_only=True)` allows: tensors and plain containers.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from interneuron.errors import InputError
from interneuron.io.files import Pathlike, _some, foreign

_TYPES = {"f16": np.float16, "f32": np.float32}
# How `torch.save` begins a file before torch 1.6: its own magic number, pickled.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_SAVE = "save its tensors alone with the code that made it: torch.save(network.state_dict(), ...)"


def read_state_dict(path: Pathlike, key: str | None = None, prefix: str = "") -> dict[str, Tensor]:
    """Tensors by name of a state dict saved by `torch.save`, such as torchvision's `.pth` files, or by safetensors.

    key: where the state dict lies in a training checkpoint that holds more: `state_dict`, or `ema.model` for one in
    another. prefix: only tensors whose names begin so are taken, without it: `module.` takes off what
    `nn.DataParallel` puts before all names, `model.` what Lightning does.

    Raises InputError for a missing or broken file, one that holds a class or function, which is named and not made, one
    that is no dict of dense tensors, a key or a prefix that is not there, and where a key is needed, with the keys.
    """
    found: Any = _loaded(path)
    place = str(path)
    if key is not None:
        found, place = _under(found, key, path), f"{path} under {key!r}"
    if not isinstance(found, Mapping) or not found:
        kind = f"an empty {type(found).__name__}" if isinstance(found, Mapping) else type(found).__name__
        raise InputError(f"{place} holds {kind}; it takes a state dict, tensors by name")
    if not _is_state_dict(found):
        if keys := list(_inside(found)):
            raise InputError(
                f"{place} is no state dict, but holds {_some(map(str, found))}: its tensors by name take "
                + " or ".join(f"key={key!r}" for key in keys)
            )
        name, value = next(
            (name, value) for name, value in found.items() if not (isinstance(name, str) and isinstance(value, Tensor))
        )
        raise InputError(f"{place} holds {name!r}, a {type(value).__name__}; it takes a state dict, tensors by name")
    for name, tensor in found.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise InputError(f"{place} holds {name!r}, sparse, quantised or without values; it takes dense tensors")
    tensors = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
    if not tensors:
        raise InputError(f"{place} has no names that begin with {prefix!r}; it has {_some(found)}")
    if prefix and all(name.startswith(".") for name in tensors):
        raise InputError(f"{place} has names that begin with {prefix + '.'!r}: the point is part of the prefix")
    return tensors


def _loaded(path: Pathlike) -> Any:
    """What a file of `torch.save` or safetensors holds, without making anything that could run code."""
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}" + (", but a folder" if Path(path).is_dir() else ""))
    with Path(path).open("rb") as file:
        start = file.read(512)
    if not start:
        raise InputError(f"{path} is empty: fetch it again")
    if start[8:9] == b"{":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is not a whole safetensors file ({error}); fetch it again") from error
    if start.startswith(b"PK"):
        _check_archive(path)
    elif start.startswith(b"\x1f\x8b"):
        raise InputError(f"{path} is compressed by gzip: unpack it first")
    elif kind := foreign(start):
        raise InputError(f"{path} {kind}")
    elif start[257:262] == b"ustar":
        raise InputError(f"{path} is a tar archive, as torch wrote before version 0.2, and takes torch.save: {_SAVE}")
    elif start[:1] == b"\x80" and not _LEGACY.startswith(start[: len(_LEGACY)]) and not start.startswith(_LEGACY):
        raise InputError(f"{path} is a pickle that torch.save did not write, and could run code: {_SAVE}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A broken or harmful file can fail in any operation.
    except Exception as error:
        # torch's own words advise to load it all the same, or to allow what is refused.
        said = str(error)
        if refused := re.search(r"GLOBAL ([\w.]+)", said):
            raise InputError(
                f"{path} holds {refused[1]}, which is none of the tensors and plain containers that are loaded without "
                f"running code: {_SAVE}"
            ) from error
        found = re.search(r"WeightsUnpickler error: (.*)", said)
        reason = found[1] if found else said.split("\n")[0].split(". ")[0]
        reason = (
            f"{type(error).__name__}: {reason}" if reason and "weights_only" not in reason else type(error).__name__
        )
        raise InputError(f"{path} is not a whole file of tensors ({reason}); fetch it again") from error


def _check_archive(path: Pathlike) -> None:
    """Check that a zip archive is one of `torch.save`."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
            # torch itself compares no checksums, and writes zeros where it was told to make none.
            summed = "data.pkl" in names and any(entry.CRC for entry in archive.infolist())
            altered = archive.testzip() if summed else None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
        raise InputError(f"{path} is not a whole file of tensors (the archive breaks off); fetch it again") from error
    if altered is not None:
        raise InputError(f"{path} is not as torch.save wrote it: {altered} has another checksum; fetch it again")
    if "constants.pkl" in names:
        raise InputError(
            f"{path} is a TorchScript archive, which holds code: save its tensors alone: "
            "torch.save(torch.jit.load(...).state_dict(), ...)"
        )
    if "data.pkl" not in names:
        raise InputError(f"{path} is a zip archive, but none of torch.save; it holds {_some(names)}: unpack it first")


def _is_state_dict(found: Any) -> bool:
    return (
        isinstance(found, Mapping)
        and len(found) > 0
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items())
    )


def _inside(found: Mapping[Any, Any], before: str = "", around: tuple[int, ...] = ()) -> Iterator[str]:
    """Keys under which state dicts lie; an optimiser's state has numbers as keys, and is none.

    around: what `found` lies in, since a dict may hold itself.
    """
    around = (*around, id(found))
    for key, value in found.items():
        if isinstance(key, str) and isinstance(value, Mapping) and id(value) not in around:
            if _is_state_dict(value):
                yield before + key
            else:
                yield from _inside(value, f"{before}{key}.", around)


def _under(found: Any, key: str, path: Pathlike) -> Any:
    """What lies under a key, or under `outer.inner`."""
    if isinstance(found, Mapping):
        if key in found:
            return found[key]
        for outer, value in found.items():
            if isinstance(outer, str) and key.startswith(f"{outer}."):
                return _under(value, key.removeprefix(f"{outer}."), path)
    there = _some(map(str, found)) if isinstance(found, Mapping) else f"a {type(found).__name__}"
    raise InputError(f"{path} has no key {key!r}; it has {there}")


# Layers whose weights lie in their second input; a group's convolution has the groups as an axis of its own.
_CONVOLUTIONS = {"Convolution": 4, "GroupConvolution": 5}


def read_openvino(xml: Pathlike, weights: Pathlike) -> list[Tensor]:
    """Kernels and biases of the convolutions of a network in OpenVINO's intermediate representation, in its order.

    Format: `xml` lists layers (`Const` with type, shape, offset and size in bytes in `weights`; `Convolution`; `Add`)
    and the edges between their ports; `weights` is the raw little-endian constants end to end. A convolution's kernel
    [out, in, height, width] comes into its second port, its bias [1, out, 1, 1] into an `Add` behind it, each directly
    or through a `Convert`. The kernel of a `GroupConvolution` [groups, out / groups, in / groups, height, width] comes
    out as PyTorch has it, [out, in / groups, height, width].

    Returns float32 tensors: kernel, bias, kernel, bias, ... Raises InputError for missing or broken files, edges to
    layers that are not there, convolutions without kernel or bias, other layers that take numbers from `weights`, and
    constants that lie outside of it or are neither float16 nor float32.
    """
    for path in (xml, weights):
        if not Path(path).is_file():
            raise InputError(f"there is no file {path}")
    layers, into = _graph(xml)
    raw = Path(weights).read_bytes()
    used = set()

    def kind(number: str | None) -> str:
        return "" if number is None else layers[number].attrib.get("type", "")

    def source(number: str, port: int) -> str | None:
        """The layer that comes into a port, before any conversions."""
        found, passed = into.get((number, port)), set()
        while kind(found) == "Convert" and found not in passed:
            passed.add(found)
            found = into.get((str(found), 0))
        return found

    def constant(number: str | None) -> Tensor | None:
        if number is None or kind(number) != "Const":
            return None
        used.add(number)
        return _constant(layers[number], raw, xml, weights)

    tensors = []
    for number, layer in layers.items():
        if (axes := _CONVOLUTIONS.get(kind(number))) is None:
            continue
        kernel = constant(source(number, 1))
        # Of a sum, one side is the convolution and the other its bias; a sum of two layers has none.
        sums = [(target, 1 - port) for (target, port), before in into.items() if before == number and port in (0, 1)]
        biases = [source(*side) for side in sums if kind(side[0]) == "Add"]
        bias = constant(next((found for found in biases if kind(found) == "Const"), None))
        if kernel is not None and kernel.ndim == axes == 5:
            kernel = kernel.flatten(0, 1)
        if kernel is None or bias is None or kernel.ndim != 4 or not _is_bias(bias, len(kernel)):
            raise InputError(f"{xml}: convolution {layer.attrib.get('name')} lacks a kernel or a bias of its size")
        tensors += [kernel, bias.flatten()]
    if not tensors:
        raise InputError(f"{xml} has no convolutions")
    for target, port in into:
        found = source(target, port)
        if kind(found) == "Const" and found not in used and kind(target) != "Convert":
            about = layers[str(found)].find("data")
            element = "" if about is None else about.attrib.get("element_type", "")
            # Whole numbers say where or how large, as the axes of a mean do.
            if element not in ("i64", "i32"):
                raise InputError(
                    f"{xml}: layer {layers[target].attrib.get('name')} ({kind(target)}) takes numbers of its own "
                    f"({element}); only those of convolutions are read"
                )
    return tensors


def _graph(xml: Pathlike) -> tuple[dict[str, ElementTree.Element], dict[tuple[str, int], str]]:
    """Layers of a network by their numbers, and which layer comes into which port of which."""
    try:
        root = ElementTree.parse(xml).getroot()
        listed = [(layer.attrib["id"], layer) for layer in root.iterfind("layers/layer")]
        edges = [
            (edge.attrib["from-layer"], edge.attrib["to-layer"], int(edge.attrib["to-port"]))
            for edge in root.iterfind("edges/edge")
        ]
        version = int(root.attrib.get("version", 10))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        with Path(xml).open("rb") as file:
            start = file.read(512)
        kind = foreign(start) if b"<?xml" not in start else None
        raise InputError(f"{xml} " + (kind or f"is no network of OpenVINO's ({error})")) from error
    if root.tag != "net" or version < 10:
        raise InputError(f"{xml} is <{root.tag}> of version {version}; it takes a <net> of version 10 or later")
    layers = dict(listed)
    into = {(target, port): source for source, target, port in edges}
    if len(layers) < len(listed) or len(into) < len(edges):
        raise InputError(f"{xml} has two layers of one number, or two edges into one port")
    if unknown := sorted({end for source, target, _ in edges for end in (source, target)} - layers.keys()):
        raise InputError(
            f"{xml} has an edge to or from layer {unknown[0]}, which is not among its {len(layers)} layers"
        )
    return layers, into


def _is_bias(bias: Tensor, channels: int) -> bool:
    """Whether a constant is one number a channel: [1, channels, 1, 1], or without axes of one before it."""
    shape = (1,) * (4 - bias.ndim) + tuple(bias.shape)
    return bias.numel() == channels and shape == (1, channels, 1, 1)


def _constant(layer: ElementTree.Element, raw: bytes, xml: Pathlike, weights: Pathlike) -> Tensor:
    data = layer.find("data")
    about = {} if data is None else data.attrib
    kind = about.get("element_type", "no type")
    if kind not in _TYPES:
        raise InputError(f"{xml}: the constant {layer.attrib.get('name')} is {kind}; a network takes f16 or f32")
    try:
        shape = [int(size) for size in about["shape"].split(",")]
        start, size = int(about["offset"]), int(about["size"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{xml}: the constant {layer.attrib.get('name')} lacks shape, offset or size") from error
    width = np.dtype(_TYPES[kind]).itemsize
    if min(start, *shape) < 0 or size != width * math.prod(shape) or start + size > len(raw):
        raise InputError(
            f"{xml}: the constant {layer.attrib.get('name')} is not whole in {weights}: {kind} {shape} as {size:,} "
            f"bytes from byte {start:,} of {len(raw):,}; fetch both again"
        )
    values = np.frombuffer(raw, np.dtype(_TYPES[kind]).newbyteorder("<"), size // width, start)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))
