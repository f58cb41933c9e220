"""All-pairs Spearman correlation against scipy.stats.spearmanr: interleaved, values checked in the same run."""

import argparse
import time
from statistics import median

import numpy as np
from scipy.stats import spearmanr

from interneuron.similarity import constant, ranks, spearman


def activations(neurons, samples, seed=0):
    """Correlated activations after a ReLU, about 60 % of them 0; constant neurons left out."""
    rng = np.random.default_rng(seed)
    drive = rng.normal(size=(neurons, 10)) @ rng.normal(size=(10, samples)) - 1
    x = np.maximum(drive, 0).astype(np.float32)
    return x[~constant(x)]


def seconds(run, *arguments):
    """Wall time of run(*arguments), and what it returns."""
    start = time.perf_counter()
    result = run(*arguments)
    return time.perf_counter() - start, result


def main():
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", nargs="+", default=["1700x1000", "1700x7000"], help="neurons x samples, as 1700x1000"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for ranking (BLAS reads OMP_NUM_THREADS)")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repetitions")
    arguments = parser.parse_args()
    for size in arguments.sizes:
        x = activations(*map(int, size.split("x")))
        spearman(x[:10], arguments.threads)
        ours, theirs, ranking = [], [], []
        for _ in range(arguments.repeats):
            time_ours, rho = seconds(spearman, x, arguments.threads)
            time_theirs, found = seconds(spearmanr, x.T)
            ours.append(time_ours)
            theirs.append(time_theirs)
            ranking.append(seconds(ranks, x, arguments.threads)[0])
        error = float(np.abs(rho - found.statistic).max())
        ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
        print(
            f"{len(x)} neurons x {x.shape[1]} samples, {np.mean(x == 0):.0%} zeros: {median(ours):.3f} s "
            f"(ranking {median(ranking):.3f}), scipy {median(theirs):.3f} s, {ratio:.1f} x, largest error {error:.1e}"
        )
        if error > 2e-5:
            raise SystemExit("correlations differ from scipy's")


if __name__ == "__main__":
    main()
