"""Seeds of a small perceptron trained in one batched pass, against one after another; same numbers checked in one run.

The network is Picchiotti and Gori's for the Boolean task: 10-4-2-1, 80,000 training samples, batches of 100. Both sides
take turns, an epoch at a time, in CPU seconds.
"""

import argparse
import os
import time
from functools import partial
from statistics import median

TERMS = [{"v1": 1, "v3": 1}, {"v2": 1, "v3": 0}]
ARGUMENTS = {"inputs": 10, "classes": 2, "hidden": [4, 2]}


def seconds(run):
    """CPU seconds of run(), and what it returns."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def main():
    """Print times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=64, help="seeds trained together (default: 64)")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each side (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, as in the workflow)")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import torch

    from interneuron.data import boolean_table
    from interneuron.seeds import generator
    from interneuron.training import train_perceptrons

    torch.set_num_threads(arguments.threads)
    x, y = map(torch.from_numpy, boolean_table(100_000, 10, TERMS, generator(0, "samples")))
    parts = x[:80_000], y[:80_000], x[80_000:], y[80_000:]

    def train(seeds):
        return train_perceptrons(ARGUMENTS, *parts, seeds, epochs=1, learning_rate=0.01, batch=100, activity=0.02)[0]

    together, alone = [], []
    for repeat in range(arguments.repeats):
        time_together, stacked = seconds(partial(train, range(arguments.seeds)))
        time_alone, single = seconds(partial(train, [repeat]))
        together.append(time_together)
        alone.append(time_alone)
        worst = max(float((stacked[name][repeat] - single[name][0]).abs().max()) for name in single)
        if worst > 1e-3:
            raise SystemExit(f"seed {repeat} differs by {worst:.1g} from the same seed alone")
    ratio = median(b * arguments.seeds / a for a, b in zip(together, alone, strict=True))
    print(
        f"{arguments.seeds} seeds, an epoch of 800 batches: {median(together):.2f} CPU s together, {median(alone):.2f} "
        f"for one alone: {ratio:.0f}x (median of {arguments.repeats}); ten epochs {10 * median(together):.0f} CPU s"
    )


if __name__ == "__main__":
    main()
