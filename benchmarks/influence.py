"""Influence against the published listing (10,000 nodes), and against reading the graph once (1,000,000 nodes).

The large graph has 29 links a node to random others, both ways stored: neighbours lie anywhere in memory, as they do
where samples come in no order. Reading it once is a sum over its weights and a maximum over its indices. Both sides run
in turn in one process, on one thread.
"""

import argparse
import time
import tracemalloc
from statistics import median

import numpy as np
from margin_listing import listing
from scipy import sparse

from interneuron import graphs
from interneuron.influence import as_published, high_pass, influence


def seconds(run):
    """Wall time of run()."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak(run):
    """Bytes that run() allocates at most."""
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def random_regular(n, links, seed=0):
    """A symmetric graph on n nodes with 2 x `links` entries a row, weights 1, its nodes in random order."""
    rng = np.random.default_rng(seed)
    name = rng.permutation(n).astype(np.int32)
    place = np.empty_like(name)
    place[name] = np.arange(n, dtype=np.int32)
    offsets = rng.choice(np.arange(1, n // 2), links, replace=False)
    offsets = np.concatenate([offsets, n - offsets])
    indices = np.empty((n, 2 * links), np.int32)
    for column, offset in enumerate(offsets):
        indices[:, column] = name[(place + offset) % n]
    indices.sort(axis=1)
    ends = np.arange(0, indices.size + 1, 2 * links, dtype=np.int32)
    return sparse.csr_array((np.ones(indices.size, np.float32), indices.ravel(), ends), (n, n))


def against_the_listing(n, repeats):
    rng = np.random.default_rng(0)
    x, f = rng.normal(size=(n, 8)).astype(np.float32), rng.normal(size=n).astype(np.float32)
    w = graphs.knn_graph(graphs.neighbours(x, 30))
    adj = sparse.csr_matrix(w.astype(np.float64))
    shift = graphs.normalise(w)
    runs = {
        "high_pass": lambda: high_pass(shift, f),
        "influence with all checks": lambda: influence(w, f),
        "as_published": lambda: as_published(w, f),
    }
    difference = np.abs(as_published(w, f) - listing(adj, f)).max()
    print(f"{n:,} nodes, {w.nnz:,} entries; as_published and the listing differ by at most {difference:.1e}")
    ratios = {name: [] for name in runs}
    for _ in range(repeats):
        theirs = seconds(lambda: listing(adj, f))
        for name, run in runs.items():
            ratios[name].append(theirs / seconds(run))
    for name, found in ratios.items():
        print(f"  {name}: {median(found):,.0f} x the listing ({median(found) and 1e3 * theirs / median(found):.2f} ms)")
    if difference > 1e-6:
        raise SystemExit("as_published differs from the listing")


def against_reading(n, links, repeats):
    w = random_regular(n, links)
    size = w.data.nbytes + w.indices.nbytes + w.indptr.nbytes
    shift = graphs.normalise(w)
    f = np.random.default_rng(1).normal(size=n).astype(np.float32)
    found = high_pass(shift, f)
    some = np.random.default_rng(2).choice(n, 1000)
    neighbours = w.indices.reshape(n, -1)[some]
    want = np.abs(f[some] - f[neighbours].astype(np.float64).mean(axis=1))
    assert np.abs(found[some] - want).max() < 1e-5, "influence differs from a loop's"
    reads, ours = [], []
    for _ in range(repeats):
        reads.append(seconds(lambda: (shift.data.sum(), shift.indices.max())))
        ours.append(seconds(lambda: high_pass(shift, f)))
    ratio = median(a / b for a, b in zip(ours, reads, strict=True))
    print(
        f"{n:,} nodes, {w.nnz:,} entries ({size / 1e6:.0f} MB): influence {1e3 * median(ours):.0f} ms, reading once"
        f" {1e3 * median(reads):.0f} ms, {ratio:.1f} x; {peak(lambda: high_pass(shift, f)) / size:.2f} of the matrix in"
        f" memory beside it; once a graph: checking and normalising {seconds(lambda: graphs.normalise(w)):.1f} s,"
        f" {peak(lambda: graphs.normalise(w)) / size:.2f} of the matrix"
    )


def main():
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="nodes for the listing, which needs 8 n^2 bytes")
    parser.add_argument("--large", type=int, default=1_000_000, help="nodes of the large graph")
    parser.add_argument("--links", type=int, default=29, help="links a node; twice as many entries")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repetitions")
    arguments = parser.parse_args()
    against_the_listing(arguments.small, arguments.repeats)
    against_reading(arguments.large, arguments.links, arguments.repeats)


if __name__ == "__main__":
    main()
