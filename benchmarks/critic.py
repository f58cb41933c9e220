"""MMD-critic against the PyPI package `mmd-critic`: same prototypes, a better log-det objective, time and memory.

Both run in turn, each in a process of its own with its input loaded, on one thread; memory is what the process grows by
at most. 20,000 samples need 5 GB for it.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median


def child(name, path, prototypes, criticisms, gamma):
    """One side in this process; what it chose goes to a file."""
    import numpy as np

    x = np.load(path)
    if name == "ours":
        from interneuron.baselines import mmd_critic

        # Loads what is loaded late.
        mmd_critic(x[:100], 3, 2, gamma)
        before, start = peak(), time.perf_counter()
        found = mmd_critic(x, prototypes, criticisms, gamma)
        seconds, grown = time.perf_counter() - start, peak() - before
        chosen, critical = found.prototypes, found.criticisms
    else:
        from mmd_critic import MMDCritic
        from mmd_critic.kernels import RBFKernel

        kernel = RBFKernel(sigma=(0.5 / gamma) ** 0.5)
        number = {row.tobytes(): j for j, row in enumerate(x)}
        before, start = peak(), time.perf_counter()
        critic = MMDCritic(x, kernel)
        samples, _ = critic.select_prototypes(prototypes)
        chosen = np.array([number[row.tobytes()] for row in samples])
        # `labels` is needed by the package's criticisms.
        critic.labels = np.arange(len(x))
        critical = critic.select_criticisms(criticisms, samples)[1]
        seconds, grown = time.perf_counter() - start, peak() - before
    np.savez(Path(path).with_name(f"{name}.npz"), chosen=chosen, critical=critical, seen=[seconds, grown])


def peak():
    """Largest resident memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    """Print times, memory, ratios and objectives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--prototypes", type=int, default=100)
    parser.add_argument("--criticisms", type=int, default=50)
    parser.add_argument("--gamma", type=float, default=0.026)
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repetitions")
    parser.add_argument("--sides", nargs="+", default=["ours", "theirs"], choices=["ours", "theirs"])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, arguments.prototypes, arguments.criticisms, arguments.gamma)
        return
    if "theirs" in arguments.sides and importlib.util.find_spec("mmd_critic") is None:
        print("mmd-critic is not installed (`pip install mmd-critic`): there is nothing to compare with")
        return
    import numpy as np

    from interneuron.baselines import criticism_objective

    rng = np.random.default_rng(0)
    centres = 0.35 * rng.normal(size=(10, arguments.dimensions))
    noise = 0.3 * rng.normal(size=(arguments.samples, arguments.dimensions))
    x = (centres[rng.integers(10, size=arguments.samples)] + noise).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, x)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
        seen, chosen = {side: [] for side in arguments.sides}, {}
        for _ in range(arguments.repeats):
            for side in arguments.sides:
                command = [sys.executable, __file__, "--child", side, str(path), *sys.argv[1:]]
                subprocess.run(command, check=True, env=os.environ | threads)
                with np.load(path.with_name(f"{side}.npz")) as kept:
                    seen[side].append(kept["seen"])
                    chosen[side] = kept["chosen"], kept["critical"]
    for side, runs in seen.items():
        objective = criticism_objective(x, *chosen[side], arguments.gamma)
        print(
            f"{side}: {median(run[0] for run in runs):.2f} s, {max(run[1] for run in runs) / 1e6:.0f} MB above the"
            f" loaded input, log-det objective {objective:.2f}"
        )
    if len(seen) == 2:
        ratio = median(b[0] / a[0] for a, b in zip(seen["ours"], seen["theirs"], strict=True))
        same = np.array_equal(chosen["ours"][0], chosen["theirs"][0])
        print(f"{ratio:.1f} x, the same prototypes: {same}")
        if not same:
            raise SystemExit("prototypes differ from the package's")


if __name__ == "__main__":
    main()
