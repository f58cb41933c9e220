"""What the graph penalty adds to a training step, beside the usual formulas; and the rebuilding of a learned graph.

The step is one of Adam on an MLP 784-512-512-10, batch 256, cross-entropy; the second hidden layer is regularised on a
grid of 16 x 32 nodes, and on a random graph of 5 neighbours a node. Values and gradients are compared first; then all
sides take steps in turn in one process, and the figures are medians over the rounds of each side's processor time over
that of the step without a penalty in the same round. `z'z` is the plainest of penalties: what one costs that has
no graph.
"""

import argparse
import os
import time
from statistics import median


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"

    import numpy as np
    import torch
    from scipy import sparse
    from torch import nn

    from interneuron import coactivation, lattices
    from interneuron.regularization import operator, penalty

    torch.set_num_threads(options.threads)
    torch.empty(31 << 20, dtype=torch.uint8)  # as in training: freed memory stays with the process
    stream = torch.Generator().manual_seed(0)
    n, batch, alpha = 512, 256, 1e-3
    x = torch.rand(batch, 784, generator=stream)
    y = torch.randint(10, (batch,), generator=stream)

    def neighbours(k):
        """Each node joined to k random others, symmetrised."""
        generator = np.random.default_rng(0)
        columns = np.concatenate([generator.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)])
        directed = sparse.coo_array((np.ones(n * k), (np.repeat(np.arange(n), k), columns)), shape=(n, n))
        return (directed + directed.T) / 2

    for name, graph in {"grid 16 x 32": lattices.grid(16, 32), "5 random neighbours": neighbours(5)}.items():
        laplacian = lattices.laplacian(graph)
        ours = operator(laplacian)
        dense, compressed = torch.from_numpy(laplacian.toarray()).float(), ours.matrix
        edges = sparse.coo_array(sparse.triu(graph))
        i, j = (torch.from_numpy(index.astype(np.int64)) for index in edges.coords)
        weights = torch.from_numpy(edges.data).float()
        sides = {
            "none": None,
            "z'z": lambda z: alpha * torch.dot(z.flatten(), z.flatten()) / batch,
            "penalty()": lambda z, o=ours: penalty(z, o, weight=alpha),
            "penalty(), rayleigh": lambda z, o=ours: penalty(z, o, "rayleigh", alpha),
            "dense": lambda z, m=dense: alpha * ((z @ m) * z).sum() / batch,
            "torch.sparse CSR": lambda z, m=compressed: alpha * ((m @ z.t()) * z.t()).sum() / batch,
            "edge list": lambda z, i=i, j=j, w=weights: alpha * (w * (z[:, i] - z[:, j]) ** 2).sum() / batch,
        }
        z = torch.randn(batch, n, generator=stream)
        found = {}
        for side in ("penalty()", "dense", "torch.sparse CSR", "edge list"):
            one = z.clone().requires_grad_()
            value = sides[side](one)
            value.backward()
            found[side] = value.detach(), one.grad
            torch.testing.assert_close(value.detach(), found["penalty()"][0], rtol=1e-5, atol=0)
            torch.testing.assert_close(one.grad, found["penalty()"][1], rtol=1e-4, atol=1e-5 * alpha)
        print(f"{name}, {edges.nnz:,} edges: values and gradients agree")

        def stepper(formula):
            layers = [nn.Linear(784, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU()]
            body, head = nn.Sequential(*layers), nn.Linear(n, 10)
            steps = torch.optim.Adam([*body.parameters(), *head.parameters()], fused=True)

            def step():
                steps.zero_grad()
                z = body(x)
                loss = nn.functional.cross_entropy(head(z), y)
                if formula is not None:
                    loss = loss + formula(z)
                loss.backward()
                steps.step()

            return step

        runs = {side: stepper(formula) for side, formula in sides.items()}
        seconds = {side: [] for side in sides}
        for turn in range(options.rounds + 3):
            for side in [*sides][turn % len(sides) :] + [*sides][: turn % len(sides)]:
                start = time.process_time()
                runs[side]()
                if turn >= 3:
                    seconds[side].append(time.process_time() - start)
        print(f"{'step without penalty':30} {1e3 * median(seconds['none']):8.2f} ms")
        for side in [*sides][1:]:
            over = median(b / a - 1 for a, b in zip(seconds["none"], seconds[side], strict=True))
            print(f"{side:30} {over:+8.1%}")

    samples = torch.relu(torch.randn(10_000, 20, generator=stream) @ torch.randn(20, n, generator=stream))
    for kind, k in (("adaptive", 1), ("knn", 5)):
        seconds = []
        for _ in range(7):
            start = time.process_time()
            weights = coactivation.learned(samples, kind, k)
            laplacian = coactivation.laplacians(weights)
            count = coactivation.components(weights, above=0.1)
            seconds.append(time.process_time() - start)
        print(f"rebuild, {kind}, {n} neurons x {len(samples):,} samples: {median(seconds):.3f} s ({count} components)")
        assert torch.isfinite(laplacian).all()


if __name__ == "__main__":
    main()
