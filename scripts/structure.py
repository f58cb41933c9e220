"""What structure there is in the regularised layer of every network, against permutations where there is a null."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors, tensor_names
from interneuron.seeds import generator
from interneuron.workflow.script import log, step

SPLITS = {"train": [0], "test": [1], "all": [0, 1]}
VIEWS = 72


class Samples:
    """The samples that are looked at, of one part of the data; at most so many, drawn at random."""

    def __init__(self, path, settings):
        data, about = load_tensors(path), metadata(path)
        here = np.flatnonzero(np.isin(data["split"], SPLITS[settings["samples"]]))
        if not len(here):
            raise InputError(f"{path} has no samples of the split {settings['samples']}")
        here = np.sort(generator(0, "structure").permutation(here)[: settings["most"]])
        self.x, self.y, self.rows = data["x"][here], data["y"][here], here
        self.classes, self.scale = about["classes"], about.get("scale", 1)
        self.names = about.get("features", [])

    def vectors(self, part):
        """Samples of a part as vectors, scaled, their classes and their places among all samples."""
        import torch

        here = slice(None) if part is None else (part["classes"][0] <= self.y) & (self.y <= part["classes"][1])
        features = None if part is None else part["features"]
        values = self.x[here].reshape(len(self.x[here]), -1)[:, :features].astype(np.float32)
        return torch.from_numpy(values / np.float32(self.scale)), self.y[here], self.rows[here]


def weights_of(path, number):
    """Tensors of one run, and the graphs that its seeds had learned, if any."""
    prefix = f"run{number}."
    names = [name for name in tensor_names(path) if name.startswith(prefix)]
    tensors = {name.removeprefix(prefix): value for name, value in load_tensors(path, names).items()}
    return tensors, tensors.pop("graphs", None)


def activities(about, run, tensors, samples, part, nodes):
    """Activities [seeds, samples, nodes] of the layer, the samples' classes and places, and what classifiers take them
    for: [seeds, samples], or None."""
    import torch

    if about["architecture"] == "autoencoder":
        from interneuron.structured_training import embed, restored

        x, y, rows = samples.vectors(part)
        return embed(restored(tensors, **run["arguments"]), x), y, rows, None
    from interneuron import structured_classifiers
    from interneuron.capture import activations

    x = structured_classifiers.images(torch.from_numpy(samples.x), samples.scale)
    found, taken = [], []
    for which in range(len(about["seeds"])):
        network = structured_classifiers.restored(tensors, which, about["architecture"], run["arguments"])
        found.append(activations(network, x, [about["layer"]], 500)[about["layer"]])
        with torch.no_grad():
            taken.append(np.concatenate([network(part).argmax(1).numpy() for part in x.split(500)]))
    z = torch.stack(found)
    if nodes is not None and nodes != z.shape[-1]:
        z = z.unflatten(-1, (nodes, -1)).mean(-1)  # channels: the means over their positions
    return z, samples.y, samples.rows, np.stack(taken)


class Pseudotimes:
    """Times of cells from the first one that the settings name; drawn cells only, the first among them."""

    def __init__(self, samples, settings):
        from interneuron import gsr_metrics
        from interneuron.structure import diffusion_pseudotime

        x = samples.x
        young = np.ones(len(x), bool)
        for name, value in settings["root_below"].items():
            if name not in samples.names:
                raise InputError(f"no feature {name!r} in the data, which have {', '.join(samples.names)}")
            young &= x[:, samples.names.index(name)] < value
        if not young.any():
            raise InputError(f"no cell is below {settings['root_below']}, and pseudotime takes one to begin with")
        first = int(np.flatnonzero(young)[0])
        drawn = generator(0, "cells").permutation(len(x))[: settings["cells"]]
        self.cells = np.union1d(drawn, [first])
        graph = gsr_metrics.cell_graph(x[self.cells], settings["neighbours"])
        root = int(np.searchsorted(self.cells, first))
        self.times = diffusion_pseudotime(graph, root, settings["components"])


def slopes_of(about, run, tensors, which, samples, settings):
    """Slope of the reconstructions' ink along every dimension of every class's capsule: [classes, dimensions]."""
    import torch

    from interneuron import gsr_metrics, structured_classifiers

    network = structured_classifiers.restored(tensors, which, about["architecture"], run["arguments"])
    steps = torch.tensor(settings["steps"])
    found = []
    for label in range(samples.classes):
        here = np.flatnonzero(samples.y == label)[: settings["images"]]
        with torch.no_grad():
            x = structured_classifiers.images(torch.from_numpy(samples.x[here]), samples.scale)
            capsules = network.capsules(x)
            dimensions = capsules.shape[-1]
            moved = capsules[:, None, None].expand(-1, dimensions, len(steps), -1, -1).clone()
            for dimension in range(dimensions):
                moved[:, dimension, :, label, dimension] += steps
            truth = torch.full((moved[..., 0, 0].numel(),), label)
            images = network.reconstruct(moved.flatten(0, 2), truth)
        images = images.view(len(here), dimensions, len(steps), -1)
        found.append(gsr_metrics.slopes(images.numpy(), settings["steps"]).mean(0))
    return np.stack(found)


def chained(about, run, tensors, which, samples, settings, layer, stream):
    """Rows of one network on clusters of its neurons, lesions of its patches, its regions, and influential samples."""
    import torch

    from interneuron import chain, structured_classifiers

    network = structured_classifiers.restored(tensors, which, about["architecture"], run["arguments"])
    some = slice(0, settings["samples"])
    x = torch.from_numpy(samples.x[some].reshape(len(samples.x[some]), -1).astype(np.float32) / samples.scale)
    values, segments, graph, taken = layer
    patches = chain.largest_patches(segments, graph, samples.classes)
    lesions = (patches, settings["permutations"], stream)
    return [
        *chain.neuron_clusters(values[some].numpy(), stream),
        *chain.patch_lesions(network, about["layer"], x, samples.y[some], *lesions),
        *chain.region_counts(network, x, stream),
        *chain.misread_influence(values[some].numpy(), taken[some], samples.y[some]),
    ]


def main(job):
    import pandas as pd
    import torch

    from interneuron import gsr_metrics, lattices

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    samples, about = Samples(job.input.data, settings), metadata(job.input.weights)
    graph = about["graph"]
    fixed = lattices.build(graph["kind"], graph["sizes"]) if graph is not None and "sizes" in graph else None
    parts = {part["name"]: part for part in settings["parts"]}
    times = None if settings["pseudotime"] is None else Pseudotimes(samples, settings["pseudotime"])
    rows, tensors = [], {}
    for number, run in enumerate(about["runs"]):
        weights, _ = weights_of(job.input.weights, number)
        part = parts.get(run["part"])
        z, y, places, taken = activities(about, run, weights, samples, part, None if fixed is None else fixed.shape[0])
        first, last = (0, samples.classes - 1) if part is None else part["classes"]
        y, classes = y - first, last - first + 1
        for which, seed in enumerate(about["seeds"]):
            own, kept = [], {}
            stream = generator(seed, "structure", number)
            values = z[which]
            if of := settings["patches"]:
                made, kept["maps"], kept["segments"] = gsr_metrics.patches(
                    values.numpy(), y, classes, fixed, of["permutations"], stream
                )
                own += made
                if taken is not None:
                    own.append(gsr_metrics.misread(values.numpy(), y, taken[which], kept["segments"]))
            if of := settings["components"]:
                made, learned = gsr_metrics.components(values, graph["kind"], graph["k"], of["above"], of["below"])
                own += made
                kept["graph"] = learned.numpy()
            if of := settings["supernodes"]:
                made, kept["supernodes"] = gsr_metrics.supernodes(values.numpy(), y, classes, of["size"], fixed)
                own += made
            if of := settings["ring"]:
                angles = 2 * np.pi * (places % VIEWS) / VIEWS
                own += gsr_metrics.ring(values.numpy(), angles, of["permutations"], stream)
                kept["ring"], kept["angles"] = values.numpy(), angles
            if times is not None:
                cells = values[times.cells]
                _, neurons = gsr_metrics.components(cells, graph["kind"], graph["k"], 0.1, 1e-3)
                above = (settings["components"] or {"above": 0.1})["above"]
                made, kept["place"], kept["time"] = gsr_metrics.along(cells, times.times, neurons, above, stream)
                own += made
            if of := settings["mixture"]:
                own += gsr_metrics.mixture(values.numpy(), y, of["of"], of["between"], of["permutations"], stream)
            if of := settings["alignment"]:
                kept["slopes"] = slopes_of(about, run, weights, which, samples, of)
                own += gsr_metrics.alignment(kept["slopes"], of["permutations"], stream)
            if of := settings["chain"]:
                layer = values, kept["segments"], fixed, taken[which]
                own += chained(about, run, weights, which, samples, of, layer, stream)
            keys = {"seed": seed, **{key: run[key] for key in ("part", "variant", "weight")}}
            rows += [{**keys, "value": np.nan, "null": np.nan, "sd": np.nan, "p": np.nan} | row for row in own]
            # Pictures show one seed.
            if seed == about["seeds"][0]:
                tensors |= {f"run{number}.{name}": np.ascontiguousarray(value) for name, value in kept.items()}
    table = pd.DataFrame(rows, columns=["seed", "part", "variant", "weight", "metric", "value", "null", "sd", "p"])
    save_table(job.output.structure, table)
    save_tensors(job.output.layers, tensors, {"seed": about["seeds"][0], "runs": about["runs"], "graph": graph})
    for (metric, variant), of in table.groupby(["metric", "variant"], sort=False):
        small = f", p at most 0.05 in {np.mean(of['p'] <= 0.05):.0%}" if of["p"].notna().any() else ""
        log.info(f"{variant}: {metric} {of['value'].median():.4g} in the median{small}")


if __name__ == "__main__":
    step(main, snakemake)
