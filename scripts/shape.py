"""Train one network a seed of the block with a penalty on one of its layers."""

from pathlib import Path

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step

OPTIONS = (
    "loss_arguments",
    "learning_rate",
    "schedule",
    "initialisation",
    "epsilon",
    "momentum",
    "halvings",
    "batch",
    "shift",
    "iterations",
    "report_every",
)


def main(job):
    import pandas as pd
    import torch

    from interneuron import lattices
    from interneuron.nets import fit_arguments
    from interneuron.shaped_training import train_shaped
    from interneuron.structured_training import DivergedError

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data, about = load_tensors(job.input.data), metadata(job.input.data)
    parts = []
    for split in (0, 1):
        rows = np.flatnonzero(data["split"] == split)
        parts += [torch.from_numpy(data["x"][rows]), torch.from_numpy(data["y"][rows])]
    seeds = list(parse_block(job.wildcards.block))
    architecture = settings["architecture"]
    if architecture == "mlp":
        arguments = {**settings["arguments"], "inputs": int(data["x"][0].size), "classes": about["classes"]}
    else:
        arguments = fit_arguments(architecture, settings["arguments"], *data["x"].shape[1:], about["classes"])
    options = {name: settings[name] for name in OPTIONS if name in settings}
    if "epochs" in settings:
        options["iterations"] = settings["epochs"] * (len(parts[0]) // settings["batch"])
    regularization = {name: value for name, value in settings["regularization"].items() if name != "penalty"}
    if (graph := regularization["graph"]) is not None:
        regularization["graph"] = lattices.build(graph["kind"], graph["sizes"])
    try:
        weights, rows = train_shaped(
            architecture,
            arguments,
            *parts,
            seeds,
            regularization={**regularization, "kind": settings["regularization"]["penalty"]},
            scale=about.get("scale", 1),
            progress=Progress("shape", "iterations"),
            **options,
        )
    except DivergedError as error:
        # Beside the log: what a rule makes is removed where it fails.
        path = Path(job.log[0]).with_suffix(".safetensors")
        save_tensors(path, error.trained.weights, {"architecture": architecture, "arguments": arguments})
        raise InputError(f"{error} in {path}") from error
    save_tensors(job.output.weights, weights, {"architecture": architecture, "arguments": arguments, "seeds": seeds})
    save_table(job.output.training, training := pd.DataFrame(rows))
    last = training[(training["split"] == "test") & training["metric"].isin(["accuracy", "reconstruction"])]
    for metric, values in last.groupby("metric")["value"]:
        log.info(f"{len(seeds)} seeds: {metric} of the test split {values.median():.4g} in the median")


if __name__ == "__main__":
    step(main, snakemake)
