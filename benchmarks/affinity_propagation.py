"""A pass of affinity propagation, and a whole sweep, against scikit-learn's: interleaved, with labels checked.

The similarities are Spearman correlations of a random decoder's neurons under random latents, as in the workflow. A
pass is timed as the difference of two runs of unlike numbers of passes, so that set-up and assignment cancel.
"""

import argparse
import time
import warnings
from statistics import median

import numpy as np
from sklearn.cluster import affinity_propagation as peer
from sklearn.metrics import adjusted_rand_score

from interneuron.clustering import affinity_propagation, plateau, preference_grid, sweep
from interneuron.similarity import constant, spearman


def neurons(count, draws, seed=0, latents=10):
    """Activations [neurons, draws] of a decoder with random weights: ReLU layers, then sigmoid pixels."""
    rng = np.random.default_rng(seed)
    h = rng.normal(size=(draws, latents))
    h[:, 0] = 1
    layers = [h]
    for width in (128, 256, 512):
        layers.append(np.maximum(layers[-1] @ he(rng, layers[-1].shape[1], width) + 0.1 * rng.normal(size=width), 0))
    pixels = max(count - sum(layer.shape[1] for layer in layers), 0)
    layers.append(1 / (1 + np.exp(-layers[-1] @ he(rng, 512, pixels))))
    x = np.hstack(layers).astype(np.float32).T
    return np.ascontiguousarray(x[~constant(x)])


def he(rng, inputs, outputs):
    """Weights [inputs, outputs] that keep the scale of activations through a ReLU."""
    return rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)


def seconds(run):
    """Wall time of run()."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def per_pass(run, few, many):
    """Seconds a pass, where run(passes) makes so many of them."""
    return (seconds(lambda: run(many)) - seconds(lambda: run(few))) / (many - few)


def main():
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, nargs="+", default=[1700, 5000], help="sizes")
    parser.add_argument("--draws", type=int, default=1000, help="samples behind the correlations")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads of ours, each timed")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repetitions")
    parser.add_argument("--damping", type=float, default=0.9)
    parser.add_argument("--convergence", type=int, default=50)
    parser.add_argument("--preferences", type=int, default=16, help="length of the sweep at the first size (0: none)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for size in arguments.neurons:
        s = spearman(neurons(size, arguments.draws))
        middle = float(np.median(s))

        def ours(passes, threads, s=s, middle=middle):
            affinity_propagation(s, middle, max_iterations=passes, convergence=10**6, threads=threads)

        def theirs(passes, s=s, middle=middle):
            peer(s, preference=middle, damping=0.9, max_iter=passes, convergence_iter=10**3, random_state=0)

        ours(1, max(arguments.threads))
        times = {threads: [] for threads in arguments.threads}
        other = []
        for _ in range(arguments.repeats):
            for threads, found in times.items():
                found.append(per_pass(lambda passes, threads=threads: ours(passes, threads), 5, 35))
            other.append(per_pass(theirs, 3, 8))
        found = affinity_propagation(s, middle, arguments.damping)
        centres, labels = peer(s, preference=middle, damping=arguments.damping, max_iter=1000, random_state=0)
        agreement = adjusted_rand_score(found.labels, labels)
        print(f"{len(s)} neurons: scikit-learn {1e3 * median(other):.1f} ms a pass")
        for threads, found_times in times.items():
            ratio = median(b / a for a, b in zip(found_times, other, strict=True))
            print(f"  {threads} thread(s): {1e3 * median(found_times):.2f} ms a pass, {ratio:.1f} x")
        print(
            f"  at the median preference {found.count} clusters (converged: {found.converged}), "
            f"scikit-learn {len(centres)}; adjusted Rand index {agreement:.4f}"
        )
        if agreement < 1:
            raise SystemExit("labels differ from scikit-learn's")
        if arguments.preferences and size == arguments.neurons[0]:
            grid = preference_grid(s, -100.0, arguments.preferences)
            start = time.perf_counter()
            runs = sweep(s, grid, arguments.damping, convergence=arguments.convergence)
            spent = time.perf_counter() - start
            chosen = plateau(grid, runs.counts, runs.converged)
            print(
                f"  sweep of {len(grid)} preferences, 1 thread: {spent:.1f} s, {runs.iterations.sum()} passes, "
                f"{runs.converged.sum()} converged\n  clusters {' '.join(map(str, runs.counts))}; "
                f"chosen {runs.counts[chosen.chosen]} at {grid[chosen.chosen]:.2f}, plateau length {chosen.length:.2f}"
            )


if __name__ == "__main__":
    main()
