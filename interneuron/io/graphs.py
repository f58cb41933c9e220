"""Graphs as SciPy's CSR in `.npz`, with arrays and metadata beside them."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from interneuron.errors import InputError
from interneuron.io.files import _KEY, Pathlike, _existing, _storable, atomic


def save_graph(path: Pathlike, graph: sparse.csr_array, arrays: Mapping[str, np.ndarray], metadata: Any) -> None:
    """Write a graph as SciPy's CSR in `.npz`, entries in the order that they have, with arrays and metadata beside it.

    `scipy.sparse.load_npz` reads the graph. Equal content gives equal bytes. Raises `InputError` as `save_tensors`.
    """
    beside = {name: _storable(name, value) for name, value in arrays.items()}
    try:
        text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the metadata for {path} are not JSON: {error}") from error
    parts = {
        "format": np.array(b"csr"),
        "_is_array": np.array(True),
        "data": graph.data,
        "indices": graph.indices,
        "indptr": graph.indptr,
        "shape": np.array(graph.shape),
        _KEY: np.frombuffer(text.encode(), np.uint8),
    }
    with atomic(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **parts, **beside)


def load_graph(path: Pathlike) -> tuple[sparse.csr_array, dict[str, np.ndarray], Any]:
    """A graph, the arrays beside it, and the metadata, of a file of `save_graph`; `InputError` for any other."""
    try:
        with np.load(_existing(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop(_KEY).tobytes())
        if arrays.pop("format") != b"csr" or not arrays.pop("_is_array"):
            raise ValueError("not CSR")
        data, indices, indptr, shape = (arrays.pop(name) for name in ("data", "indices", "indptr", "shape"))
        graph = sparse.csr_array((data, indices, indptr), tuple(shape))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole graph of this workflow ({error}); make it again") from error
    return graph, arrays, about
