"""What structure there is in the regularised layer of every network, against permutations where there is a null."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors, tensor_names
from interneuron.seeds import generator
from interneuron.workflow.script import log, step

SPLITS = {"train": [0], "test": [1], "all": [0, 1]}
VIEWS = 72


class Samples:
    """The samples of one part of the data, or of all of it, that are looked at; at most so many, drawn at random."""

    def __init__(self, path, settings, part):
        data, about = load_tensors(path), metadata(path)
        self.classes, self.features = about["classes"], None
        here = np.isin(data["split"], SPLITS[settings["samples"]])
        first = 0
        if part is not None:
            first, last = part["classes"]
            here &= (first <= data["y"]) & (data["y"] <= last)
            self.classes, self.features = last - first + 1, part["features"]
        here = np.flatnonzero(here)
        if not len(here):
            raise InputError(f"{path} has no samples of the split {settings['samples']}")
        self.rows = np.sort(generator(0, "structure samples").permutation(here)[: settings["most"]])
        self.x, self.y = data["x"][self.rows], data["y"][self.rows] - first
        self.scale, self.names = about.get("scale", 1), about.get("features", [])

    def vectors(self):
        """The samples as vectors, scaled."""
        import torch

        values = self.x.reshape(len(self.x), -1)[:, : self.features].astype(np.float32)
        return torch.from_numpy(values / np.float32(self.scale))


def weights_of(path, number):
    """Tensors of one run, and the graphs that its seeds had learned, if any."""
    prefix = f"run{number}."
    names = [name for name in tensor_names(path) if name.startswith(prefix)]
    tensors = {name.removeprefix(prefix): value for name, value in load_tensors(path, names).items()}
    return tensors, tensors.pop("graphs", None)


def activities(about, run, tensors, samples, nodes):
    """Activities [seeds, samples, nodes] of the layer, and what classifiers take the samples for: [seeds, samples], or
    None."""
    import torch

    if about["architecture"] == "autoencoder":
        from interneuron.structured_training import embed, restored

        return embed(restored(tensors, **run["arguments"]), samples.vectors()), None
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
    return z, np.stack(taken)


def learned_graph(graphs, which, z, graph):
    """The graph that training had last, and a row on it; where it had none, of a stop rule that was never content, the
    one that it would have learned of as many samples."""
    import torch

    from interneuron import coactivation

    own = torch.from_numpy(graphs[which])
    installed = bool(own.any())
    if not installed:
        some = np.sort(generator(0, "graph").permutation(len(z))[: graph["buffer"]])
        own = coactivation.learned(z[some], graph["kind"], graph["k"])
    return own, {"metric": "installed", "value": float(installed)}


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
    from interneuron import chain, structured_classifiers

    network = structured_classifiers.restored(tensors, which, about["architecture"], run["arguments"])
    some = np.sort(generator(0, "chain samples").permutation(len(samples.x))[: settings["samples"]])
    x = samples.vectors()[some]
    values, maps, graph, taken = layer
    patches = chain.grown_patches(maps, graph, max(1, graph.shape[0] // samples.classes))
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
    about = metadata(job.input.weights)
    graph = about["graph"]
    fixed = lattices.build(graph["kind"], graph["sizes"]) if graph is not None and "sizes" in graph else None
    parts = {part["name"]: part for part in settings["parts"]}
    drawn = {name: Samples(job.input.data, settings, parts.get(name)) for name in parts or ["all"]}
    times = None if settings["pseudotime"] is None else Pseudotimes(drawn["all"], settings["pseudotime"])
    rows, tensors = [], {}
    for number, run in enumerate(about["runs"]):
        weights, graphs = weights_of(job.input.weights, number)
        samples = drawn[run["part"]]
        y, classes = samples.y, samples.classes
        z, taken = activities(about, run, weights, samples, None if fixed is None else fixed.shape[0])
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
            if graphs is not None:
                learned, row = learned_graph(graphs, which, values, graph)
                kept["graph"] = learned.numpy()
                own.append(row)
            if of := settings["components"]:
                own += gsr_metrics.components(learned, values, of["above"], of["below"])
            if of := settings["supernodes"]:
                made, kept["supernodes"] = gsr_metrics.supernodes(values.numpy(), y, classes, of["size"], fixed, stream)
                own += made
            if of := settings["ring"]:
                angles = 2 * np.pi * (samples.rows % VIEWS) / VIEWS
                own += gsr_metrics.ring(values.numpy(), angles, of["permutations"], stream)
                kept["ring"], kept["angles"] = values.numpy(), angles
            if times is not None:
                above = (settings["components"] or {"above": 0.1})["above"]
                place = gsr_metrics.along(values[times.cells], times.times, learned, above, stream)
                made, kept["place"], kept["time"] = place
                own += made
            if of := settings["mixture"]:
                own += gsr_metrics.mixture(values.numpy(), y, of["of"], of["between"], of["permutations"], stream)
            if of := settings["alignment"]:
                kept["slopes"] = slopes_of(about, run, weights, which, samples, of)
                own += gsr_metrics.alignment(kept["slopes"], of["permutations"], stream)
            if of := settings["chain"]:
                layer = values, kept["maps"], fixed, taken[which]
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
