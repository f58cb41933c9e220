"""Second-order Taylor effects of all neurons against torch.func.hessian and against the published loop.

The decoder is the thesis's, 20-128-256-512-784 with random weights; 10 latents x 7 alphas, 1,680 neurons, which takes
70 Hessians of every neuron. The others are timed on a part and scaled: torch.func.hessian on one of the 70 points, the
published loop (a gradient with its graph, then one backward pass a direction) on a few neurons of one point. CPU
seconds of all threads, all three in turn in one process; the figures are medians of the ratios.
"""

import argparse
import os

from effects import ALPHAS, CLASS, LATENTS, decoder, seconds

POINTS, NEURONS = LATENTS * len(ALPHAS), 1680
TREATED, ALPHA = 3, 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side (default: 5)")
    parser.add_argument("--neurons", type=int, default=24, help="neurons of the published loop (default: 24)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, as in the workflow)")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"

    import numpy as np
    import torch

    from interneuron import causal

    network, layers = decoder(), ["relu1", "relu2", "relu3", "sigmoid"]
    covariance = np.diag(np.repeat([1.0, 0.0], LATENTS))
    mean = np.append(np.zeros(LATENTS), np.eye(10)[CLASS])
    point = torch.tensor(mean, dtype=torch.float32)
    point[TREATED] = ALPHAS[ALPHA]
    free = [j for j in range(LATENTS) if j != TREATED]
    chosen = np.linspace(0, NEURONS - 1, arguments.neurons).astype(int).tolist()
    found = {}

    def outputs(x):
        kept = []
        for module in network:
            x = module(x)
            kept.append(x)
        return torch.cat(kept[1::2])

    def ours():
        found["expectation"] = causal.taylor_expectations(
            network, layers, point.numpy()[None], np.eye(2 * LATENTS)[free][None]
        )[0]

    def all_ours():
        return causal.taylor_effects(network, layers, mean, covariance, ALPHAS, range(LATENTS))

    def hessian():
        rows = torch.func.hessian(outputs)(point)
        found["hessian"] = (outputs(point) + 0.5 * rows[:, free, free].sum(1)).detach().numpy()

    def published():
        values = []
        for neuron in chosen:
            x = point.clone().requires_grad_()
            y = outputs(x)[neuron]
            (gradient,) = torch.autograd.grad(y, x, create_graph=True)
            value = y.item()
            for j in free:
                if gradient.requires_grad:
                    value += 0.5 * torch.autograd.grad(gradient[j], x, retain_graph=True)[0][j].item()
            values.append(value)
        found["published"] = np.array(values)

    for run in (ours, all_ours, hessian):
        run()
    against_hessian, against_loop = [], []
    for _ in range(arguments.repeats):
        time = seconds(lambda: [all_ours() for _ in range(10)]) / 10
        against_hessian.append(seconds(hessian) * POINTS / time)
        against_loop.append(seconds(published) * POINTS * NEURONS / arguments.neurons / time)
    differences = [
        np.abs(found["expectation"] - found["hessian"]).max(),
        np.abs(found["expectation"][chosen] - found["published"]).max(),
    ]
    assert max(differences) < 1e-5, differences
    print(
        f"Taylor effects of {LATENTS} latents x {len(ALPHAS)} alphas on {NEURONS:,} neurons: {time * 1000:.1f} CPU ms,"
        f" {torch.get_num_threads()} thread(s), median of {arguments.repeats}"
    )
    for name, ratios, difference in (
        ("torch.func.hessian", against_hessian, differences[0]),
        ("the published loop", against_loop, differences[1]),
    ):
        print(
            f"{name} takes {np.median(ratios):,.0f}x as long ({min(ratios):,.0f} to {max(ratios):,.0f});"
            f" equal within {difference:.1g}"
        )


if __name__ == "__main__":
    main()
