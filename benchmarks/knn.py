"""Nearest neighbours of 70,000 x 256 samples in a cold process, against scikit-learn and other libraries.

Each contender runs in a process of its own, imports and compilation included; the samples are MNIST's first principal
components (with --mnist FOLDER), or blobs. The exact searches of scikit-learn and faiss are scaled from 1,000 of the
queries; loading the libraries is not. faiss and pynndescent are tried where they are installed. The recall is that on
1,000 samples, against scikit-learn.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONTENDERS = ("interneuron", "scikit-learn", "faiss-flat", "faiss-ivf", "pynndescent")


def samples(n, d, folder):
    """Samples float32 [n, d]."""
    import numpy as np

    if folder:
        parts = [
            np.frombuffer(gzip.decompress((Path(folder) / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
            for name in ("train", "t10k")
        ]
        pixels = np.concatenate(parts).reshape(-1, 784)[:n].astype(np.float32) / 255
        pixels -= pixels.mean(axis=0)
        axes = np.linalg.eigh(pixels.T @ pixels)[1][:, ::-1]
        return np.ascontiguousarray(pixels @ axes[:, :d])
    rng = np.random.default_rng(0)
    blob = rng.integers(200, size=n)
    x = rng.normal(size=(200, d))[blob] + 0.1 * rng.normal(size=(n, d))
    flat = rng.normal(size=(n, 12))
    for number, plane in enumerate(rng.normal(size=(200, 12, d)) / 4):
        x[blob == number] += flat[blob == number] @ plane
    return x.astype(np.float32)


def engine(name):
    """The contender's search(x, k, share): neighbours of all samples, or of every `share`-th; loads its library."""
    if name == "interneuron":
        from interneuron.graphs import neighbours

        def search(x, k, share):
            found = neighbours(x, k)
            print(f"    (recall by its own measure {found.recall:.4f})")
            return found.index

    elif name == "scikit-learn":
        from sklearn.neighbors import NearestNeighbors

        def search(x, k, share):
            brute = NearestNeighbors(algorithm="brute").fit(x)
            return brute.kneighbors(x[::share], k + 1, return_distance=False)

    elif name == "pynndescent":
        from pynndescent import NNDescent

        def search(x, k, share):
            return NNDescent(x, n_neighbors=k + 1, random_state=0).neighbor_graph[0]

    else:
        import faiss

        def search(x, k, share):
            flat = name == "faiss-flat"
            index = faiss.index_factory(x.shape[1], "Flat" if flat else f"IVF{round(len(x) ** 0.5)},Flat")
            if not flat:
                index.nprobe = 32
                index.train(x)
            index.add(x)
            return index.search(x[::share] if flat else x, k + 1)[1]

    return search


def child(name, path, k, share):
    """One contender in this process: its neighbours of the judged samples go to a file."""
    import numpy as np

    x = np.load(path)
    clocks = [(time.perf_counter(), time.process_time())]
    search = engine(name)
    clocks.append((time.perf_counter(), time.process_time()))
    found = search(x, k, share)
    clocks.append((time.perf_counter(), time.process_time()))
    loading, searching = np.diff(clocks, axis=0)
    scale = len(x) / len(found)
    kept = found if scale > 1 else found[::share]
    np.savez(Path(path).with_name(f"{name}.npz"), times=loading + scale * searching, found=kept)


def main():
    """Print times, ratios and recalls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=70_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--neighbours", type=int, default=30)
    parser.add_argument("--mnist", help="folder with MNIST's idx files")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repetitions")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    share = max(1, arguments.samples // 1000)
    if arguments.child:
        child(*arguments.child, arguments.neighbours, share)
        return
    import numpy as np

    os.environ["OMP_WAIT_POLICY"] = "passive"
    x = samples(arguments.samples, arguments.dimensions, arguments.mnist)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, x)
        found = {name: [] for name in arguments.contenders}
        for _ in range(arguments.repeats):
            for name in arguments.contenders:
                command = [sys.executable, __file__, "--child", name, str(path), *sys.argv[1:]]
                done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
                if done.returncode:
                    print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                    continue
                with np.load(path.with_name(f"{name}.npz")) as kept:
                    found[name].append((*kept["times"], kept["found"]))
    judges = found["scikit-learn"][0][2]
    true = [[j for j in row if j != i * share][: arguments.neighbours] for i, row in enumerate(judges)]
    for name, runs in found.items():
        if runs:
            hits = [len(np.intersect1d(row, best)) for row, best in zip(runs[0][2], true, strict=True)]
            theirs = found["scikit-learn"]
            wall = np.median([b[0] / a[0] for a, b in zip(runs, theirs, strict=False)])
            cpu = np.median([b[1] / a[1] for a, b in zip(runs, theirs, strict=False)])
            print(
                f"{name}: {np.median([run[0] for run in runs]):.1f} s, {np.median([run[1] for run in runs]):.1f} CPU s,"
                f" {wall:.1f} x scikit-learn ({cpu:.1f} x in CPU time), recall"
                f" {np.mean(hits) / arguments.neighbours:.4f}"
            )


if __name__ == "__main__":
    main()
