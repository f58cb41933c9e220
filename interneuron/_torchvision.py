"""Import of torchvision beside any build of torch."""

import sys
from types import ModuleType
from typing import Any

_declared: list[Any] = []


def import_torchvision() -> ModuleType:
    """The module `torchvision`, also where its compiled part does not load (a CUDA build beside a CPU build of torch).

    There its import stops, because it describes two compiled operators that nobody declared; they are declared first.
    Datasets, transforms and models work then; the compiled `ops` and `io.read_image` do not.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _declare_operators()
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision
    return torchvision


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # They last as long as the object does.
    _declared.append(library)
