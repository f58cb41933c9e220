"""Weights of networks that exist, from published files: PyTorch state dicts and OpenVINO's intermediate representation.

No file is unpickled beyond what `torch.load(weights_only=True)` allows: tensors and plain containers.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from interneuron.errors import InputError
from interneuron.io.files import Pathlike

_TYPES = {"f16": np.float16, "f32": np.float32}


def read_state_dict(path: Pathlike) -> dict[str, Tensor]:
    """Tensors by name of a state dict saved by `torch.save`, such as torchvision's `.pth` files.

    Raises InputError for a missing or broken file, one that holds anything but tensors, numbers and containers, and one
    that is no dict of tensors.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # A broken or harmful file can fail in any operation.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a whole file of tensors ({reason})") from error
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"{path} holds {type(found).__name__}; it takes a state dict, tensors by name")
    return dict(found)


def read_openvino(xml: Pathlike, weights: Pathlike) -> list[Tensor]:
    """Kernels and biases of the convolutions of a network in OpenVINO's intermediate representation, in its order.

    Format: `xml` lists layers (`Const` with type, shape, offset and size in bytes in `weights`; `Convolution`; `Add`)
    and the edges between their ports; `weights` is the raw little-endian constants end to end. A convolution's kernel
    [out, in, height, width] comes into its second port, its bias [out] into an `Add` behind it, each directly or
    through a `Convert`.

    Returns float32 tensors: kernel, bias, kernel, bias, ... Raises InputError for missing or broken files, convolutions
    without kernel or bias, and constants that lie outside of `weights` or are neither float16 nor float32.
    """
    for path in (xml, weights):
        if not Path(path).is_file():
            raise InputError(f"there is no file {path}")
    try:
        root = ElementTree.parse(xml).getroot()
        layers = {layer.attrib["id"]: layer for layer in root.iterfind("layers/layer")}
        edges = [
            (edge.attrib["from-layer"], edge.attrib["to-layer"], int(edge.attrib["to-port"]))
            for edge in root.iterfind("edges/edge")
        ]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise InputError(f"{xml} is no network of OpenVINO's ({error})") from error
    raw = Path(weights).read_bytes()
    into = {(target, port): source for source, target, port in edges}
    behind: dict[str, list[str]] = {}
    for source, target, _ in edges:
        behind.setdefault(source, []).append(target)

    def constant(layer: str | None) -> Tensor | None:
        while layer is not None and layers[layer].attrib.get("type") == "Convert":
            layer = into.get((layer, 0))
        if layer is None or layers[layer].attrib.get("type") != "Const":
            return None
        return _constant(layers[layer], raw, xml, weights)

    tensors = []
    for number, layer in layers.items():
        if layer.attrib.get("type") != "Convolution":
            continue
        sums = [other for other in behind.get(number, []) if layers[other].attrib.get("type") == "Add"]
        kernel = constant(into.get((number, 1)))
        bias = constant(into.get((sums[0], 1))) if sums else None
        if kernel is None or bias is None or kernel.ndim != 4 or bias.numel() != len(kernel):
            raise InputError(f"{xml}: convolution {layer.attrib.get('name')} lacks a kernel or a bias of its size")
        tensors += [kernel, bias.flatten()]
    if not tensors:
        raise InputError(f"{xml} has no convolutions")
    return tensors


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
    if start < 0 or size != width * int(np.prod(shape)) or start + size > len(raw):
        raise InputError(f"{xml}: the constant {layer.attrib.get('name')} is not whole in {weights}; fetch both again")
    values = np.frombuffer(raw, np.dtype(_TYPES[kind]).newbyteorder("<"), size // width, start)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))
