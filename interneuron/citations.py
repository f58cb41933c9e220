"""Graphs of nodes with features and classes: citations of papers, and a club that comes with a library."""

import pickle
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from interneuron.data import _lines, _reading
from interneuron.errors import InputError
from interneuron.io.files import Pathlike

_VALIDATION = 500


@dataclass(frozen=True)
class Citations:
    """Papers and their citations.

    `x` float32 [papers, words] (CSR), 1 where a paper has a word; `y` int64 [papers], -1 where the class is not known;
    `links` int64 [links, 2], pairs of papers as they are listed, with any repeats and self-loops (for
    `interneuron.graphs.from_links`); `train`, `validation` and `test` int64, the papers of a published split, or empty.
    """

    x: sparse.csr_array
    y: np.ndarray
    links: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def read_planetoid(folder: Pathlike, name: str) -> Citations:
    """A citation graph in the Planetoid format (Yang, Cohen and Salakhutdinov, ICML 2016): `cora` or `citeseer`.

    Format: files `ind.<name>.<part>` in `folder`; pickles of Python 2 for the parts x, y (training papers), allx, ally
    (all but the test papers, training papers first), tx, ty (test papers) and graph, and the test papers' numbers as
    text. No pickled code runs: only arrays, CSR matrices, lists and default dicts are made. Papers in the test papers'
    range that are none of them have no words and no class. The split is that of Kipf and Welling's GCN: the training
    papers, the 500 after them, and the test papers.

    Raises `InputError` for missing or broken files, a pickle that asks for any other class, and parts that do not fit.
    """
    base = Path(folder)

    def part(what: str) -> Any:
        return _unpickled(base / f"ind.{name}.{what}")

    where = f"{base / f'ind.{name}.*'}"
    x, rest, test_x = (_csr(part(what), base / f"ind.{name}.{what}") for what in ("x", "allx", "tx"))
    y, rest_y, test_y = (_one_hot(part(what), base / f"ind.{name}.{what}") for what in ("y", "ally", "ty"))
    numbers = _numbers(base / f"ind.{name}.test.index")
    graph = part("graph")
    if (
        not x.shape[1] == rest.shape[1] == test_x.shape[1]
        or (len(y), len(rest_y), len(test_y)) != (x.shape[0], rest.shape[0], test_x.shape[0])
        or x.shape[0] + _VALIDATION > rest.shape[0]
    ):
        raise InputError(f"{where}: features and classes are not of the same papers, or of too few")
    if len(numbers) != len(test_y) or len(set(numbers)) != len(numbers) or min(numbers, default=-1) != len(rest_y):
        raise InputError(f"{where}: test.index has not one number for each test paper, from {len(rest_y)} on")
    n = int(numbers.max()) + 1
    lists = graph.values() if isinstance(graph, defaultdict) else [None]
    if not all(type(one) is list for one in lists) or set(graph) != set(range(n)):
        raise InputError(f"{where}: graph is not one list of neighbours for each of papers 0 to {n - 1}")
    neighbours = [other for paper in range(n) for other in graph[paper]]
    if not all(type(other) is int and 0 <= other < n for other in neighbours):
        raise InputError(f"{where}: graph has a neighbour that is none of papers 0 to {n - 1}")
    source = np.repeat(np.arange(n), [len(graph[paper]) for paper in range(n)])
    place = np.full(n, -1)
    place[: len(rest_y)] = np.arange(len(rest_y))
    place[numbers] = len(rest_y) + np.arange(len(numbers))
    # Papers without a place take the last row, which is empty.
    stacked = sparse.csr_array(sparse.vstack([rest, test_x, sparse.csr_array((1, x.shape[1]), dtype=np.float32)]))
    return Citations(
        stacked[place],
        np.append(np.append(rest_y, test_y), -1)[place],
        np.column_stack([source, np.array(neighbours, np.int64)]),
        np.arange(len(y)),
        np.arange(len(y), len(y) + _VALIDATION),
        np.sort(numbers),
    )


def karate_club() -> Citations:
    """Zachary's karate club, which comes with networkx, as a graph without features: `x` is the identity.

    34 members, linked where they met outside of the club; class 0 followed the instructor ("Mr. Hi"), 1 the officer
    when it split. There is no published split. Source: Zachary, Journal of Anthropological Research 33, 1977.
    """
    import networkx as nx

    club = nx.karate_club_graph()
    none = np.empty(0, np.int64)
    return Citations(
        sparse.csr_array(sparse.eye_array(len(club), dtype=np.float32)),
        np.array([int(of != "Mr. Hi") for _, of in club.nodes(data="club")]),
        np.array(club.edges, np.int64),
        none,
        none,
        none,
    )


def csr_parts(matrix: sparse.csr_array, name: str) -> dict[str, np.ndarray]:
    """A sparse matrix as three named arrays, `{name}.data` float32, `{name}.indices` and `{name}.indptr` int64."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int64),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
    }


def csr_from_parts(tensors: Mapping[str, np.ndarray], name: str, columns: int) -> sparse.csr_array:
    """The matrix of `csr_parts`, with so many columns. Raises `InputError` for parts that are missing or do not fit."""
    try:
        data, indices, indptr = (tensors[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        matrix = sparse.csr_array((data, indices, indptr), (len(indptr) - 1, columns))
        matrix.check_format(full_check=True)
    except (KeyError, ValueError) as error:
        raise InputError(f"{name} is no sparse matrix of {columns} columns ({error})") from error
    return matrix


def _numbers(path: Pathlike) -> np.ndarray:
    try:
        return np.array([int(line) for line in _lines(path) if line.strip()], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} has a line that is no whole number ({error})") from error


class _PickledCsr:
    """Receives the state of a pickled `csr_matrix`."""


_PICKLED_ARRAY = object()


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    if kind is not _PICKLED_ARRAY or shape != (0,):
        raise pickle.UnpicklingError("an array that is not made empty first")
    return np.empty(0)


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _PICKLED_ARRAY,
    ("numpy", "dtype"): np.dtype,
    ("scipy.sparse.csr", "csr_matrix"): _PickledCsr,
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
}


class _Unpickler(pickle.Unpickler):
    """Knows the classes of arrays, CSR matrices and adjacency lists, and hands out nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise InputError(f"asks for {module}.{name}, which is none of the classes that are known to be harmless")
        return _KNOWN[module, name]


def _unpickled(path: Path) -> Any:
    with _reading(path) as file:
        try:
            return _Unpickler(file, encoding="latin1").load()
        except InputError as error:
            raise InputError(f"{path} {error}") from error
        # A broken pickle can fail in any operation.
        except Exception as error:
            raise InputError(f"{path} is not a whole pickle ({type(error).__name__}: {error})") from error


def _csr(found: Any, path: Path) -> sparse.csr_array:
    state = vars(found) if isinstance(found, _PickledCsr) else {}
    try:
        parts = tuple(np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        matrix = sparse.csr_array(parts, shape=state["_shape"], dtype=np.float32)
        matrix.check_format(full_check=True)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no CSR matrix ({type(error).__name__}: {error})") from error
    return matrix


def _one_hot(found: Any, path: Path) -> np.ndarray:
    """Classes int64 of a one-hot table, -1 for rows of zeros."""
    table = found if isinstance(found, np.ndarray) else np.empty(0)
    if (
        table.ndim != 2
        or table.dtype.kind not in "iuf"
        or not (np.isin(table, (0, 1)).all() and (table.sum(1) <= 1).all())
    ):
        raise InputError(f"{path} is no table with one 1 in each row")
    return np.where(table.any(1), table.argmax(1), -1).astype(np.int64)
