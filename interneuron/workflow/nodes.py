"""The nodes of a study's graphs, samples of the data or a network's features of them, and the file of the graphs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from interneuron.errors import InputError
from interneuron.seeds import generator

if TYPE_CHECKING:
    from scipy import sparse

_SPLITS = {"train": [0], "test": [1], "all": [0, 1]}


class Nodes:
    """Samples of a study, by seed.

    `data` is the prepared dataset. `features` is the study's file of a network's features, if it has one: tensors `x`
    [n, d] and `sample_id` [n], and what else is known of the n samples, each of one seed (`seed3.x`) or of all (`x`).
    """

    def __init__(self, data: str, features: str | None = None) -> None:
        from interneuron.io import load_tensors, metadata, tensor_names

        self._path = data
        self._data = load_tensors(data, ["y", "split"])
        self._scale = np.float32(metadata(data).get("scale", 1))
        self._features = features or None
        self._names = tensor_names(features) if features else []

    def alike(self, samples: dict[str, Any]) -> bool:
        """Whether all seeds have the same samples, and the same x of them."""
        if self._features:
            return "x" in self._names and "sample_id" in self._names
        return not samples["redrawn"] and samples["count"] is None

    def split(self, samples: dict[str, Any], seed: int) -> np.ndarray:
        """The split of all samples of the data: the dataset's, or where it is `redrawn`, the seed's own."""
        from interneuron.data import redraw_split

        split, y = self._data["split"], self._data["y"]
        return redraw_split(split, y, generator(seed, "split")) if samples["redrawn"] else split

    def rows(self, samples: dict[str, Any], seed: int) -> np.ndarray:
        """`sample_id` of a seed's nodes: int64 [n]."""
        if self._features:
            return self.tensor("sample_id", seed)
        rows, count = self.of_split(samples["split"], samples, seed), samples["count"]
        if count is None:
            return rows
        if count > len(rows):
            raise InputError(f"{count} samples asked of {len(rows)}; it takes no more than there are")
        return np.sort(generator(seed, "samples").permutation(rows)[:count])

    def tested(self, samples: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """`sample_id` int64 [m] and x float32 [m, d] of the samples that what is chosen from a seed's nodes is tested
        on: the test split of the same classes, in the nodes' own space."""
        if self._features:
            return self.tensor("test.sample_id", seed), self.tensor("test.x", seed)
        rows = self.of_split("test", samples, seed)
        return rows, self.x(rows, seed)

    def of_split(self, split: str, samples: dict[str, Any], seed: int) -> np.ndarray:
        """Rows of the data of a split, and of the classes that are asked for; each of them has some."""
        here, y = np.isin(self.split(samples, seed), _SPLITS[split]), self._data["y"]
        if not here.any():
            raise InputError(f"{self._path} has no samples of the split {split}")
        if samples["classes"] is None:
            return np.flatnonzero(here)
        if lacking := sorted(set(samples["classes"]) - set(y[here].tolist())):
            raise InputError(f"{self._path} has no samples of class {lacking[0]} in the split {split}")
        return np.flatnonzero(here & np.isin(y, samples["classes"]))

    def x(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """float32 [n, d]: features, or the data with an image in a row."""
        from interneuron.io import load_tensors

        if self._features:
            return self.tensor("x", seed)
        return load_tensors(self._path, ["x"])["x"][rows].reshape(len(rows), -1).astype(np.float32) / self._scale

    def y(self, rows: np.ndarray, seed: int, flip: float = 0.0) -> np.ndarray:
        """Classes int64 [n], with the seed's flips."""
        from interneuron.data import flip_labels

        y = self._data["y"][rows]
        if not flip:
            return y
        flipped = flip_labels(y, flip, generator(seed, "flips"))
        if (flipped == y).all():
            raise InputError(
                f"influence.flip is {flip:g}, which mislabels none of {len(y):,} samples; it takes a share that is one "
                "sample of a class at least, or 0"
            )
        return flipped

    def tensor(self, name: str, seed: int) -> np.ndarray:
        """A tensor of the features' file: the seed's, or that of all seeds."""
        from interneuron.io import load_tensors

        own = f"seed{seed}.{name}"
        found = own if own in self._names else name
        if found not in self._names or self._features is None:
            there = ", ".join(self._names) or "none"
            raise InputError(f"the features have no {name!r} of seed {seed}; there are {there}")
        return load_tensors(self._features, [found])[found]


class Graphs:
    """The graphs in a graph.npz: one of all seeds, or one a seed, as blocks on the diagonal of a matrix."""

    def __init__(self, path: str) -> None:
        from interneuron.io.graphs import load_graph

        self._stored, arrays, self.about = load_graph(path)
        self._sample_id, self._start = arrays["sample_id"], arrays["start"]

    @property
    def ks(self) -> list[int]:
        """The numbers of neighbours that it is made for; [0] of a graph that was given."""
        return self.about["k"] or [0]

    @property
    def alike(self) -> bool:
        """Whether all seeds have the same."""
        return len(self._start) == 2

    def _place(self, seed: int) -> slice:
        at = 0 if self.alike else self.about["seeds"].index(seed)
        return slice(self._start[at], self._start[at + 1])

    def rows(self, seed: int) -> np.ndarray:
        """`sample_id` of a seed's nodes: int64 [n]."""
        return self._sample_id[self._place(seed)]

    def graph(self, seed: int, k: int) -> "sparse.csr_array":
        """A seed's graph with k neighbours."""
        from scipy import sparse

        from interneuron import graphs

        place = self._place(seed)
        n, ends = place.stop - place.start, self._stored.indptr[place.start : place.stop + 1]
        index = self._stored.indices[ends[0] : ends[-1]] - np.asarray(place.start, self._stored.indices.dtype)
        values = self._stored.data[ends[0] : ends[-1]]
        if not k:
            return sparse.csr_array((values, index, ends - ends[0]), (n, n))
        found = graphs.Neighbours(index.reshape(n, -1), values.reshape(n, -1), 1.0)
        return graphs.knn_graph(found, k, self.about["links"], self.about["weights"])


def save_graphs(path: str, parts: "list[tuple[np.ndarray, sparse.csr_array]]", about: dict[str, Any]) -> None:
    """Write graphs, each with the `sample_id` of its nodes, as blocks on the diagonal of one matrix."""
    from scipy import sparse

    from interneuron.io.graphs import save_graph

    start = np.cumsum([0, *(len(rows) for rows, _ in parts)])
    ends = [np.zeros(1, np.int64)]
    for _, graph in parts:
        ends.append(graph.indptr[1:] + ends[-1][-1])
    index = [graph.indices + first for first, (_, graph) in zip(start, parts, strict=False)]
    joined = sparse.csr_array(
        (
            np.concatenate([graph.data for _, graph in parts]),
            np.concatenate(index).astype(np.int32),
            np.concatenate(ends).astype(np.int32),
        ),
        (start[-1], start[-1]),
    )
    rows = np.concatenate([rows for rows, _ in parts])
    save_graph(path, joined, {"sample_id": rows, "start": start}, about)
