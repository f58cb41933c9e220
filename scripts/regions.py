"""The regions of every seed's perceptron: who is in them, their affine maps, and what is left when they are merged."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step

SPLITS = {"train": [0], "test": [1], "all": [0, 1]}
QUANTILES = 101


class Samples:
    """The samples that make the regions, and the sets and kinds that they are compared with."""

    def __init__(self, path, settings):
        import numpy as np

        from interneuron import region_metrics

        data, about = load_tensors(path), metadata(path)
        here = np.isin(data["split"], SPLITS[settings["samples"]])
        if not here.any():
            raise InputError(f"{path} has no samples of the split {settings['samples']}")
        x = data["x"][here].reshape(here.sum(), -1).astype(np.float32)
        self.x, self.y = x / np.float32(about.get("scale", 1)), data["y"][here]
        self.features = about.get("features", [])
        self.sets = {
            entry["name"]: region_metrics.sets(x, self.features, entry["features"], entry["terms"])
            for entry in settings["labellings"]
        }
        self.profiles = {
            name: region_metrics.matching(x, self.features, values) for name, values in settings["profiles"].items()
        }
        # What is costly is measured on some of them.
        self.some = np.sort(generator(0, "explained").permutation(len(x))[: settings["explained"]])


def regions_of(network, samples, settings, seed):
    """Rows of regions.parquet and merging.parquet, and tensors of maps.safetensors, of one network."""
    import numpy as np
    import pandas as pd
    import torch

    from interneuron import region_metrics, regions

    x, some = torch.from_numpy(samples.x), samples.some
    found = regions.unique_patterns(regions.activation_patterns(network, x))
    outputs = regions.network_outputs(network, x)
    predicted = regions.predicted_classes(outputs).numpy()
    units = [site.units for site in regions.sites(network, x[:1])]
    bits = regions.unpack_patterns(found.patterns, sum(units))
    table = region_metrics.describe(found.labels, bits, units, samples.y, predicted)
    borders = regions.border_distances(network, x[some]).nearest.numpy()
    table["border"] = pd.Series(borders).groupby(found.labels[some]).median().reindex(table.index).astype("float64")

    kept = range(min(found.count, settings["maps"]))
    omega, b = regions.affine_maps(network, x[found.first[: len(kept)]])
    gradients = regions.integrated_gradients(network, x[some], x.mean(0), "predicted")[:, 0]
    lost = regions.permutation_importance(network, x[some], repeats=settings["permutations"], seed=seed)
    members = [samples.x[found.labels == region] for region in kept]
    tensors = {
        "omega": omega,
        "bias": b,
        "mean": [own.mean(0) for own in members],
        "within": [own.std(0) for own in members],
        "gradients": gradients.abs().mean(0),
        "permutation": lost.mean(0),
        "borders": np.quantile(borders, np.linspace(0, 1, QUANTILES), method="nearest"),
    }
    path = pd.concat(paths_of(network, x, found, outputs, settings["merge"], seed), ignore_index=True)
    for name, (labels, count) in samples.sets.items():
        tensors[f"sets.{name}"] = counts = np.zeros((found.count, count), np.int64)
        np.add.at(counts, (found.labels, labels), 1)
    for name, inside in samples.profiles.items():
        tensors[f"profile.{name}"] = np.bincount(found.labels[inside], minlength=found.count)
    return table, path, {name: stored(value) for name, value in tensors.items()}


def paths_of(network, x, found, outputs, merge, seed):
    """Rows of merging.parquet of one network, a path a principle."""
    import numpy as np
    import pandas as pd
    import torch

    from interneuron import regions

    first, of, start = x[found.first], found.labels, np.arange(found.count)
    if found.count > merge["groups"]:
        # Too many to merge two by two: those with like maps are put together first.
        frame = regions.principal_frame(x, merge["components"])
        blocks = regions.affine_blocks(network, first)
        places = np.concatenate([frame.coordinates(part.omega, part.b).astype(np.float32) for part in blocks])
        groups = regions.group_regions(places, found.counts, merge["groups"], seed)
        of, start = groups.labels[of], groups.nearest
    omega, b = regions.affine_maps(network, first[torch.from_numpy(start)])
    # One sample at least of each.
    _, here = np.unique(of, return_index=True)
    some = np.union1d(here, generator(0, "merging").permutation(len(x))[: merge["samples"]])
    for principle in merge["principles"]:
        path = regions.merge_path(
            x[some], outputs[some], of[some], omega, b, principle, merge["maps"], merge["components"]
        )
        size = path.choose(merge["keep"]) or len(start)
        into, gone = np.concatenate([[[-1, -1]], path.merges]).T
        yield pd.DataFrame(
            {
                "principle": principle,
                "regions": path.sizes,
                "into": into,
                "gone": gone,
                "fidelity": path.agreement,
                "explained": path.explained,
                "entropy": path.entropy,
                "overlap": path.overlap,
                "chosen": path.sizes == size,
            }
        )


def stored(values):
    """Counts as int64, everything else as float32."""
    import numpy as np

    array = np.asarray(values)
    return array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)


def main(job):
    import pandas as pd
    import torch

    from interneuron.nets import load
    from interneuron.regions import correlations

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    weights, about = load_tensors(job.input.weights), metadata(job.input.weights)
    samples = Samples(job.input.data, settings)
    out = {"spread": stored(samples.x.std(0)), "correlations": stored(correlations(samples.x))}
    tables, paths, progress = [], [], Progress("regions", "seeds")
    for done, seed in enumerate(about["seeds"]):
        table, path, tensors = regions_of(load(weights, about, seed), samples, settings, seed)
        for rows, of in ((table, tables), (path, paths)):
            rows.insert(0, "seed", seed)
            of.append(rows)
        out |= {f"seed{seed}.{name}": value for name, value in tensors.items()}
        progress(done + 1, len(about["seeds"]))
    regions = pd.concat(tables, ignore_index=True)
    counts = regions.groupby("seed").size()
    accuracy = regions.groupby("seed")["right"].sum() / len(samples.y)
    log.info(
        f"{len(counts)} seeds: {counts.min()} to {counts.max()} regions, in the median {counts.median():g}; "
        f"{(accuracy == 1).sum()} of them classify all {len(samples.y):,} samples right"
    )
    save_table(job.output.regions, regions)
    save_table(job.output.merging, pd.concat(paths, ignore_index=True))
    save_tensors(
        job.output.maps,
        out,
        {
            "seeds": about["seeds"],
            "features": samples.features,
            "samples": len(samples.y),
            "labellings": {entry["name"]: entry["terms"] for entry in settings["labellings"]},
            "profiles": list(samples.profiles),
        },
    )


if __name__ == "__main__":
    step(main, snakemake)
