"""Lesions of clusters that span three layers, against captum's LayerFeatureAblation and the bare matrix products.

The decoder is the thesis's, 20-128-256-512-784 with random weights; its 896 hidden neurons are parted into 10 clusters,
which are lesioned (zero ablation) on 70 inputs. captum lesions one layer a call, so it takes three calls and cannot
silence a whole cluster; the numbers that both can give, each cluster within each layer, are compared. All sides run
in turn in one process; the figures are medians.
"""

import argparse
import os
import time
from statistics import median

from effects import SIZES, decoder

LAYERS = ["relu1", "relu2", "relu3"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=int, default=10)
    parser.add_argument("--inputs", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=7, help="captum is timed once a round, the others three times")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"

    import torch
    from captum.attr import LayerFeatureAblation

    from interneuron.lesion import lesion

    torch.set_num_threads(options.threads)
    stream = torch.Generator().manual_seed(1)
    network, count, n = decoder(), options.lesions, options.inputs
    x = torch.randn(n, SIZES[0], generator=stream)
    sizes = dict(zip(LAYERS, SIZES[1:], strict=False))
    clusters = {
        name: torch.cat([torch.arange(count), torch.randint(count, (size - count,), generator=stream)])[
            torch.randperm(size, generator=stream)
        ]
        for name, size in sizes.items()
    }
    spanning = {name: clusters[name] == torch.arange(count)[:, None] for name in LAYERS}
    single = {name: torch.zeros(3 * count, size, dtype=torch.bool) for name, size in sizes.items()}
    for i, name in enumerate(LAYERS):
        single[name][i * count : (i + 1) * count] = spanning[name]

    def captum(together=1):
        """Drop of every output under the lesion of every unit's cluster within its layer, [n, outputs, units]."""
        return {
            name: LayerFeatureAblation(network, network.get_submodule(name))
            .attribute(x, layer_baselines=0, layer_mask=clusters[name][None], perturbations_per_eval=together)
            .reshape(n, SIZES[-1], sizes[name])
            for name in LAYERS
        }

    weights = [network[i].weight.T for i in range(0, 8, 2)]
    hidden = [torch.randn(count * n, size, generator=stream) for size in SIZES[:-1]]

    def products():
        for h, weight in zip(hidden, weights, strict=True):
            torch.mm(h, weight)

    def one_by_one():
        """The same lesions by torch hooks, one lesion and `n` inputs a pass."""
        out = []
        for i in range(count):
            handles = [
                network.get_submodule(name).register_forward_hook(lambda _, __, y, keep=~spanning[name][i]: y * keep)
                for name in LAYERS
            ]
            out.append(network(x))
            for handle in handles:
                handle.remove()
        return torch.stack(out)

    sides = {
        "lesion()": lambda: lesion(network, x, spanning),
        "lesion(), one layer each as captum": lambda: lesion(network, x, single),
        "hooks, one lesion a pass": one_by_one,
        "bare products": products,
        "captum": captum,
        "captum, all clusters of a layer together": lambda: captum(count),
    }
    with torch.no_grad():
        torch.testing.assert_close(lesion(network, x, spanning), one_by_one())
        ours, plain, theirs = lesion(network, x, single), network(x), captum()
        for i, name in enumerate(LAYERS):
            drop = plain - ours[i * count : (i + 1) * count]
            torch.testing.assert_close(drop[clusters[name]].permute(1, 2, 0), theirs[name], rtol=1e-4, atol=1e-5)
        print("equal: lesion() = hooks one by one; lesion() of each cluster within each layer = captum")
        del theirs
        seconds = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side, run in sides.items():
                for _ in range(1 if side.startswith("captum") else 3):
                    start = time.perf_counter()
                    run()
                    seconds[side].append(time.perf_counter() - start)
    for side, times in seconds.items():
        print(f"{side:42} {1e3 * median(times):9.2f} ms")
    middle = {side: median(times) for side, times in seconds.items()}
    for name in ("captum", "captum, all clusters of a layer together"):
        print(f"{name} / lesion(): {middle[name] / middle['lesion()']:.0f}x")
    same = middle["captum"] / middle["lesion(), one layer each as captum"]
    print(f"captum / lesion(), the same {3 * count} lesions: {same:.0f}x")
    print(f"lesion() / bare products: {middle['lesion()'] / middle['bare products']:.2f}x")


if __name__ == "__main__":
    main()
