"""Train networks with penalties on one layer, one a seed of the block, variant, weight and part of the data."""

from pathlib import Path

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_table, load_tensors, metadata, save_table, save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator, parse_block
from interneuron.workflow.script import Progress, log, step

SHARED = ("laplacian", "form", "learning_rate", "report_every", "batch")


class Data:
    """Training and test samples of a dataset; `scale` is what images are divided by."""

    def __init__(self, path, most=None):
        data, about = load_tensors(path), metadata(path)
        self.scale, self.classes = about.get("scale", 1), about["classes"]
        self.parts = []
        for split in (0, 1):
            rows = np.flatnonzero(data["split"] == split)
            if split == 0 and most is not None:
                if most > len(rows):
                    raise InputError(f"{path} has {len(rows):,} training samples, and {most:,} are asked for")
                rows = np.sort(generator(0, "train samples").permutation(rows)[:most])
            self.parts.append((data["x"][rows], data["y"][rows]))

    def of(self, part):
        """Samples of a part of the data as vectors, scaled: training, test."""
        import torch

        found = []
        for x, y in self.parts:
            here = slice(None) if part is None else (part["classes"][0] <= y) & (y <= part["classes"][1])
            features = None if part is None else part["features"]
            values = x[here].reshape(len(x[here]), -1)[:, :features]
            found.append(torch.from_numpy(values.astype(np.float32) / np.float32(self.scale)))
        return found


def fixed(settings):
    """The fixed graph, or None."""
    from interneuron import lattices

    graph = settings["graph"]
    return lattices.build(graph["kind"], graph["sizes"]) if graph is not None and "sizes" in graph else None


def weight_of(weights):
    """The number that tells the runs of one variant apart: the first weight that is not 0."""
    return next((value for name, value in weights.items() if value), 0.0)


def autoencoders(data, settings, runs, seeds):
    """Tensors and description of each run, and rows of training.parquet."""
    from interneuron.structured_training import (
        Learned,
        reconstruction_error,
        restored,
        train_autoencoders,
    )

    graph = settings["graph"]
    learned = graph is not None and "sizes" not in graph
    graph = Learned(**graph) if learned else fixed(settings)
    done = 0
    total = len(runs) * max(1, len(settings["parts"]))
    for part in settings["parts"] or [None]:
        x, x_test = data.of(part)
        for run in runs:
            weights = run["weights"]
            found = train_autoencoders(
                x,
                seeds,
                weights={name: value for name, value in weights.items() if value},
                graph=graph,
                hidden=settings["arguments"]["hidden"],
                nodes=settings["arguments"]["nodes"],
                rectified=settings["arguments"]["rectified"],
                iterations=settings["iterations"],
                noise=settings["noise"],
                progress=Progress(f"{run['variant']}, {done + 1} of {total} runs", "iterations"),
                **{name: settings[name] for name in SHARED},
            )
            arguments = {**settings["arguments"], "features": x.shape[1], "variational": bool(weights["kl"])}
            tensors = dict(found.weights)
            network = restored(tensors, **arguments)
            rows = list(found.rows)
            for split, samples in (("train", x), ("test", x_test)):
                errors = reconstruction_error(network, samples).tolist() if len(samples) else []
                last = {"iteration": settings["iterations"], "split": split, "metric": "reconstruction"}
                rows += [{"seed": s, **last, "value": e} for s, e in zip(seeds, errors, strict=False)]
            if found.graphs is not None:
                tensors["graphs"] = found.graphs
            name = "all" if part is None else part["name"]
            done += 1
            errors = [row["value"] for row in rows if row["metric"] == "reconstruction" and row["split"] == "test"]
            log.info(f"{name}, {run['variant']} {weight_of(weights):g}: mean squared error {np.median(errors):.4g}")
            yield tensors, {"part": name, **run, "arguments": arguments}, rows


def classifiers(data, settings, runs, seeds):
    """The same of classifiers."""
    import torch

    from interneuron.structured_classifiers import train_classifiers

    (x, y), (x_test, y_test) = (map(torch.from_numpy, part) for part in data.parts)
    arguments = {**settings["arguments"], "classes": data.classes}
    arguments |= {"height": x.shape[1], "width": x.shape[2]}
    for done, run in enumerate(runs):
        options = {name: settings[name] for name in (*SHARED, "device")}
        options["laplacian"] = options["laplacian"] or "unnormalised"
        weights, rows = train_classifiers(
            settings["architecture"],
            arguments,
            x,
            y,
            x_test,
            y_test,
            seeds,
            layer=settings["layer"],
            weights={name: value for name, value in run["weights"].items() if value},
            graph=fixed(settings),
            epochs=settings["epochs"],
            scale=data.scale,
            progress=Progress(f"{run['variant']}, {done + 1} of {len(runs)} runs", "iterations"),
            **options,
        )
        found = [row["value"] for row in rows if row["split"] == "test"]
        log.info(f"{run['variant']} {weight_of(run['weights']):g}: {np.median(found):.2%} of the test images right")
        yield weights, {"part": "all", **run, "arguments": arguments}, rows


def dense_classifiers(data, settings, runs, seeds):
    """The same of dense classifiers, all seeds at once."""
    import torch

    from interneuron.dense_training import train_dense

    (x, y), (x_test, y_test) = (map(torch.from_numpy, part) for part in data.parts)
    arguments = {**settings["arguments"], "classes": data.classes}
    arguments |= {"height": x.shape[1], "width": x.shape[2]}
    options = {name: settings[name] for name in (*SHARED, "layer", "epochs")}
    options["laplacian"] = options["laplacian"] or "unnormalised"
    for done, run in enumerate(runs):
        progress = Progress(f"{run['variant']}, {done + 1} of {len(runs)} runs", "iterations")
        penalties = {name: value for name, value in run["weights"].items() if value}
        own = {"weights": penalties, "graph": fixed(settings), "scale": data.scale, "progress": progress}
        weights, rows = train_dense(settings["architecture"], arguments, x, y, x_test, y_test, seeds, **own, **options)
        found = [row["value"] for row in rows if row["split"] == "test"][-len(seeds) :]
        log.info(f"{run['variant']} {weight_of(run['weights']):g}: {np.median(found):.2%} of the test images right")
        yield weights, {"part": "all", **run, "arguments": arguments}, rows


TRAINERS = Registry(
    "architecture",
    {
        "autoencoder": autoencoders,
        "map-classifier": classifiers,
        "convolved-map": classifiers,
        "map-perceptron": classifiers,
        "dense-classifier": dense_classifiers,
        "capsule-net": classifiers,
        "wavelet-classifier": classifiers,
    },
)


def main(job):
    import pandas as pd
    import torch

    from interneuron.structured_training import DivergedError

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data = Data(job.input.data, settings["train_samples"])
    seeds = list(parse_block(job.wildcards.block))
    runs = settings["runs"]
    if choice := job.input.get("choice"):
        chosen = load_table(choice)
        chosen = set(chosen[chosen["chosen"]]["run"])
        runs = [run for number, run in enumerate(runs) if number in chosen]
    tensors, described, tables = {}, [], []
    try:
        for number, (weights, about, rows) in enumerate(
            TRAINERS[settings["architecture"]](data, settings, runs, seeds)
        ):
            tensors |= {f"run{number}.{name}": value for name, value in weights.items()}
            about["weight"] = weight_of(about["weights"])
            described.append(about)
            keys = {key: about[key] for key in ("part", "variant", "weight")}
            tables.append(pd.DataFrame(rows).assign(**keys))
    except DivergedError as error:
        # Beside the log: what a rule makes is removed where it fails.
        path = Path(job.log[0]).with_suffix(".safetensors")
        save_tensors(path, error.trained.weights, {"architecture": settings["architecture"]})
        raise InputError(f"{error} in {path}") from error
    about = {name: settings.get(name) for name in ("architecture", "graph", "laplacian", "layer")}
    save_tensors(job.output.weights, tensors, {**about, "seeds": seeds, "runs": described})
    save_table(job.output.training, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    step(main, snakemake)
