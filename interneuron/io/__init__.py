"""Files: safetensors, tables, text and pictures. Every write is whole or not at all.

Not imported here, since few steps need them: `interneuron.io.download`, `interneuron.io.graphs` and
`interneuron.io.checkpoints`.
"""

from interneuron.io.files import (
    atomic,
    load_table,
    load_tensors,
    metadata,
    save_animation,
    save_figure,
    save_table,
    save_tensors,
    save_text,
    sha256,
    tensor_names,
)

__all__ = [
    "atomic",
    "load_table",
    "load_tensors",
    "metadata",
    "save_animation",
    "save_figure",
    "save_table",
    "save_tensors",
    "save_text",
    "sha256",
    "tensor_names",
]
