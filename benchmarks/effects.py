"""Sampled causal effects on every neuron against the bare matrix products, and the rows that each sampling needs.

The decoder is the thesis's, 20-128-256-512-784 with random weights; 10 latents x 7 alphas x 1,000 draws (8 replicates
of 125). Both sides run in turn in one process, timed in CPU seconds of all threads; the figure is the median of the
ratios. The bare products run in blocks of 5,000 rows into memory that is there already.
"""

import argparse
import os
import time
from collections import OrderedDict
from functools import partial
from itertools import pairwise

ALPHAS = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
SIZES = [20, 128, 256, 512, 784]
LATENTS, CLASS = 10, 5


def decoder():
    import torch
    from torch import nn

    stream = torch.Generator().manual_seed(0)
    modules = OrderedDict()
    for i, (inputs, outputs) in enumerate(pairwise(SIZES), 1):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, generator=stream)
        nn.init.normal_(linear.bias, std=0.1, generator=stream)
        modules[f"linear{i}"] = linear
        modules["sigmoid" if i == 4 else f"relu{i}"] = nn.Sigmoid() if i == 4 else nn.ReLU()
    return nn.Sequential(modules).requires_grad_(False)


def products(network, total, rows=5000):
    """The decoder's matrix products alone, on `total` rows."""
    import torch

    weights = [network[i].weight.T for i in range(0, 8, 2)]
    x = torch.randn(rows, SIZES[0])
    inputs = [x, *(torch.rand(rows, size) for size in SIZES[1:-1])]
    outputs = [torch.empty(rows, size) for size in SIZES[1:]]

    def run():
        for _ in range(total // rows):
            for a, weight, out in zip(inputs, weights, outputs, strict=True):
                torch.mm(a, weight, out=out)
        rest = total % rows
        for a, weight, out in zip(inputs, weights, outputs, strict=True):
            torch.mm(a[:rest], weight, out=out[:rest])

    return run


def seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def speed(repeats, rows):
    import numpy as np
    import torch

    from interneuron import causal

    network = decoder()
    layers = ["relu1", "relu2", "relu3", "sigmoid"]
    context = np.eye(10)[CLASS]
    samples = np.stack([causal.draws(125, LATENTS, 0, "benchmark", replicate=r) for r in range(8)])
    bare = products(network, len(ALPHAS) * 1000)
    found = []

    def ours(latent):
        effects = causal.sampled_effects(network, layers, samples, context, ALPHAS, [latent], rows=rows)
        found.append(effects.effect[0])

    ours(0)
    bare()
    ratios, times = [], []
    for _ in range(repeats):
        # Latent by latent in turn, so that other load on the machine falls on both sides.
        pairs = [(seconds(partial(ours, latent)), seconds(bare)) for latent in range(LATENTS)]
        times.append(sum(pair[0] for pair in pairs))
        ratios.append(times[-1] / sum(pair[1] for pair in pairs))
    print(
        f"effects of {LATENTS} latents x {len(ALPHAS)} alphas x 1,000 draws on 1,680 neurons: {np.median(ratios):.2f}x"
        f" the bare matrix products (median of {repeats}, {min(ratios):.2f} to {max(ratios):.2f};"
        f" {np.median(times):.2f} CPU s, {torch.get_num_threads()} thread(s))"
    )
    z = torch.tensor(samples.reshape(-1, LATENTS))
    plain = []
    with torch.no_grad():
        for alpha in ALPHAS:
            y = torch.cat([z, torch.tensor(context, dtype=z.dtype).expand(len(z), -1)], 1)
            y[:, -1 - LATENTS] = alpha
            hidden = []
            for module in network:
                y = module(y)
                hidden.append(y.double().mean(0))
            plain.append(torch.cat(hidden[1::2]).numpy())
    want = np.array(plain) - np.mean(plain, axis=0)
    worst = np.abs(found[-1] - want).max()
    assert worst < 1e-5, worst
    print(f"equal to one plain pass an alpha within {worst:.1g}")


def variance(n, trials):
    """Relative error of three ways to sample, and the rows that the first two need for the error of the third."""
    import numpy as np

    from interneuron import causal

    network, context, layers = decoder(), np.eye(10)[CLASS], ["relu1", "relu2", "relu3", "sigmoid"]
    treated = [0, 1]
    many = np.stack([causal.draws(2**14, LATENTS, 1, "truth", replicate=r) for r in range(2)])
    truth = causal.sampled_effects(network, layers, many, context, ALPHAS, treated).effect

    def fresh(rows, trial):
        stream = np.random.default_rng([trial, rows])
        return causal.published_effects(network, layers, stream, LATENTS, context, ALPHAS, rows)[treated]

    def common(sampling):
        def run(rows, trial):
            samples = [causal.draws(rows // 2, LATENTS, trial, "trial", sampling, r) for r in range(2)]
            return causal.sampled_effects(network, layers, samples, context, ALPHAS, treated, sampling).effect

        return run

    scale = np.sqrt(np.mean(truth**2))
    errors = {}
    for name, run in {"fresh": fresh, "common": common("independent"), "sobol": common("sobol")}.items():
        squares = [np.mean((run(n, trial) - truth) ** 2) for trial in range(trials)]
        errors[name] = np.sqrt(np.mean(squares)) / scale
        print(f"{name}: relative rms error {errors[name]:.4f} with {n} draws an alpha")
    for name in ("fresh", "common"):
        print(f"{name} draws need {(errors[name] / errors['sobol']) ** 2:.1f}x the rows of Sobol draws at equal error")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each side (default: 7)")
    parser.add_argument("--rows", type=int, default=2000, help="rows a block (default: 2000)")
    parser.add_argument("--draws", type=int, default=1024, help="draws of the comparison of samplings (default: 1024)")
    parser.add_argument("--trials", type=int, default=5, help="trials of the comparison of samplings (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, as in the workflow)")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    speed(arguments.repeats, arguments.rows)
    variance(arguments.draws, arguments.trials)


if __name__ == "__main__":
    main()
