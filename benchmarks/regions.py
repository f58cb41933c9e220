"""Patterns, regions and exact affine maps against PyTorch's own ways to them; same numbers checked in one run.

Parts, with random weights. The Boolean network of Picchiotti and Gori, 10-4-2-1 with 100,000 samples: patterns,
regions, maps of all samples and assignment, against a loop of `jacrev`, timed on a part and scaled. A perceptron
784-256-128-10 on 60,000 images: maps of all classes, and of the predicted class alone, written to disk block by block,
against `vmap(jacrev)` and `vmap(grad)` that write the same (`--mnist`: real images, as INTERNEURON_MIRROR has them).
Unique patterns, 100,000 of 384 bits, against `torch.unique(dim=0)`. All sides take turns, in CPU seconds of all
threads; the figures are medians of the ratios.
"""

import argparse
import gzip
import os
import resource
import tempfile
import time
from pathlib import Path

BITS, SAMPLES = 384, 100_000


def seconds(run):
    """CPU seconds of run(), and what it returns."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def turns(repeats, **sides):
    """Median seconds of each side, and a function that gives the median ratio of two; an untimed turn goes first."""
    import numpy as np

    for run in sides.values():
        run()
    times = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            times[name].append(seconds(run)[0])
    arrays = {name: np.array(values) for name, values in times.items()}
    return {name: np.median(values) for name, values in arrays.items()}, lambda a, b: np.median(arrays[a] / arrays[b])


def perceptron(*sizes):
    from itertools import pairwise

    import torch
    from torch import nn

    stream = torch.Generator().manual_seed(0)
    modules = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, generator=stream)
        nn.init.normal_(linear.bias, std=0.1, generator=stream)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1]).requires_grad_(False)


def boolean(repeats):
    import torch
    from torch.func import jacrev, vmap

    from interneuron import regions

    network = perceptron(10, 4, 2, 1)
    x = torch.randint(0, 2, (SAMPLES, 10), generator=torch.Generator().manual_seed(1)).float()
    part = SAMPLES // 500

    def ours():
        found = regions.unique_patterns(regions.activation_patterns(network, x))
        omega, b = regions.affine_maps(network, x[found.first])
        of = torch.from_numpy(found.labels)
        return omega[of], b[of]

    def loop():
        return torch.stack([jacrev(network)(u) for u in x[:part]])

    def mapped():
        return vmap(jacrev(network))(x)

    omega, b = ours()
    torch.testing.assert_close(omega[:part], loop())
    torch.testing.assert_close(omega, mapped())
    worst = float(regions.identity_error(omega, b, x, network(x)).max())
    times, ratio = turns(repeats, ours=ours, loop=loop, mapped=mapped)
    print(
        f"10-4-2-1, {SAMPLES:,} samples: patterns, regions, maps, assignment {times['ours']:.3f} s; error {worst:.1g}"
    )
    print(f"  a jacrev loop takes {ratio('loop', 'ours') * SAMPLES / part:,.0f}x as long (timed on {part} samples)")
    print(f"  vmap(jacrev) takes {ratio('mapped', 'ours'):.1f}x as long")


def images(mnist, samples):
    import numpy as np
    import torch

    if not mnist:
        # Of about MNIST's share of ink.
        x = torch.rand(samples, 784, generator=torch.Generator().manual_seed(2))
        return (x - 0.8).clamp(0) * 5
    path = Path(os.environ["INTERNEURON_MIRROR"]) / "mnist" / "train-images-idx3-ubyte.gz"
    with gzip.open(path) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    return torch.from_numpy(pixels[:samples].astype(np.float32) / 255)


def streamed(repeats, samples, mnist):
    """All sides write to one file, in turn: 1.9 GB for all classes of 60,000 images."""
    import numpy as np
    import torch
    from torch.func import grad, jacrev, vmap

    from interneuron import regions

    network, x = perceptron(784, 256, 128, 10), images(mnist, samples)
    block = 250

    def each(run):
        for start in range(0, samples, block):
            yield run(x[start : start + block])

    def best(u):
        return network(u).max()

    def predicted_row(rows):
        """The predicted class's row of all classes' maps: what vmap(jacrev) takes for it."""
        omega = vmap(jacrev(network))(rows)
        return omega[torch.arange(len(rows)), network(rows).argmax(1)]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "omega"

        def written(blocks):
            def run():
                with open(path, "wb", buffering=0) as file:
                    for omega in blocks():
                        file.write(omega.contiguous().numpy())

            return run

        sides = {
            "all": written(lambda: (found.omega for found in regions.affine_blocks(network, x))),
            "all_jacrev": written(lambda: each(vmap(jacrev(network)))),
            "predicted": written(lambda: (found.omega for found in regions.affine_blocks(network, x, "predicted"))),
            "predicted_jacrev": written(lambda: each(predicted_row)),
            "predicted_grad": written(lambda: each(vmap(grad(best)))),
        }
        kept = {}
        for name in ("all", "all_jacrev", "predicted", "predicted_jacrev", "predicted_grad"):
            sides[name]()
            kept[name] = np.memmap(path, np.float32, "r")[: 784 * 5000].copy()
        for name, other in (("all", "all_jacrev"), ("predicted", "predicted_jacrev"), ("predicted", "predicted_grad")):
            np.testing.assert_allclose(kept[name], kept[other], rtol=1e-4, atol=1e-5)
        times, ratio = turns(repeats, **sides)
        worst = max(
            float(regions.identity_error(f.omega, f.b, x[f.start : f.stop], f.y).max())
            for f in regions.affine_blocks(network, x[:2000])
        )
    found = regions.unique_patterns(regions.activation_patterns(network, x))
    print(f"784-256-128-10, {samples:,} images, {found.count:,} regions, streamed to disk; error {worst:.1g}")
    print(f"  all classes {times['all']:.2f} s; vmap(jacrev) takes {ratio('all_jacrev', 'all'):.2f}x as long")
    print(f"  predicted class {times['predicted']:.2f} s; as long take")
    print(f"    vmap(jacrev), all classes: {ratio('all_jacrev', 'predicted'):.2f}x")
    print(f"    vmap(jacrev), its row picked: {ratio('predicted_jacrev', 'predicted'):.2f}x")
    print(f"    vmap(grad) of that logit: {ratio('predicted_grad', 'predicted'):.2f}x")


def memory(samples, mnist):
    """Peak of a fresh process that only streams the maps of all classes."""
    from interneuron import regions

    network, x = perceptron(784, 256, 128, 10), images(mnist, samples)
    with tempfile.TemporaryFile(buffering=0) as file:
        for found in regions.affine_blocks(network, x):
            file.write(found.omega.numpy())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"784-256-128-10, {samples:,} images, all classes streamed: peak memory {peak:.2f} GiB, images included")


def unique(repeats):
    import numpy as np
    import torch

    from interneuron import regions

    stream = np.random.default_rng(0)
    bits = stream.random((SAMPLES, BITS)) < 0.5
    # A quarter of them are seen before.
    bits[stream.random(SAMPLES) < 0.25] = bits[0]
    rows, tensor = np.packbits(bits, 1, "little"), torch.from_numpy(bits)
    packed = torch.from_numpy(rows)

    def theirs():
        return torch.unique(tensor, dim=0, return_inverse=True, return_counts=True)

    def ours():
        return regions.unique_patterns(np.packbits(bits, 1, "little"))

    found, (expected, labels, _) = ours(), theirs()
    assert found.count == len(expected) == len(set(zip(found.labels.tolist(), labels.tolist(), strict=True)))
    times, ratio = turns(
        repeats,
        ours=ours,
        alone=lambda: regions.unique_patterns(rows),
        bits=theirs,
        bytes=lambda: torch.unique(packed, dim=0, return_inverse=True, return_counts=True),
    )
    print(
        f"unique of {SAMPLES:,} patterns of {BITS} bits, {found.count:,} regions, {found.collisions} collisions:"
        f" {1000 * times['ours']:.0f} ms with packing, {1000 * times['alone']:.0f} ms without"
    )
    print(f"  torch.unique(dim=0) of the bits takes {ratio('bits', 'ours'):.0f}x as long, packing counted")
    print(f"  torch.unique(dim=0) of the packed bytes takes {ratio('bytes', 'alone'):.0f}x as long")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--samples", type=int, default=60_000, help="images (default: 60,000)")
    parser.add_argument("--mnist", action="store_true", help="real images instead of random ones")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, as in the workflow)")
    parser.add_argument("--parts", nargs="+", default=["memory", "boolean", "streamed", "unique"], help="default: all")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import torch

    torch.set_num_threads(arguments.threads)
    if "memory" in arguments.parts:
        memory(arguments.samples, arguments.mnist)
    if "boolean" in arguments.parts:
        boolean(2 * arguments.repeats + 1)
    if "streamed" in arguments.parts:
        streamed(arguments.repeats, arguments.samples, arguments.mnist)
    if "unique" in arguments.parts:
        unique(2 * arguments.repeats + 1)


if __name__ == "__main__":
    main()
