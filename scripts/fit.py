"""Fit one perceptron a seed of the block to a table or to images."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step


def main(job):
    import pandas as pd
    import torch

    from interneuron.training import train_perceptrons

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data, about = load_tensors(job.input.data), metadata(job.input.data)
    if data["x"].ndim not in (2, 3):
        raise InputError(f"{job.input.data}: x has shape {data['x'].shape}, it takes a table or images")
    parts = []
    for split in (0, 1):
        rows = np.flatnonzero(data["split"] == split)
        parts += [torch.from_numpy(data["x"][rows]), torch.from_numpy(data["y"][rows])]
    seeds = list(parse_block(job.wildcards.block))
    arguments = {**settings["arguments"], "inputs": int(data["x"][0].size), "classes": about["classes"]}
    weights, rows = train_perceptrons(
        arguments,
        *parts,
        seeds,
        scale=about.get("scale", 1),
        progress=Progress("fit", "iterations"),
        **{name: settings[name] for name in OPTIONS},
        **settings["penalties"],
    )
    training = pd.DataFrame(rows)
    save_tensors(job.output.weights, weights, {"architecture": "mlp", "arguments": arguments, "seeds": seeds})
    save_table(job.output.training, training)
    tested = training[(training.split == "test") & (training.metric == "accuracy")]
    low, middle, high = tested.value.quantile([0, 0.5, 1])
    log.info(
        f"{len(seeds)} seeds: {low:.2%} to {high:.2%} of the test samples classified right, in the median {middle:.2%}"
    )


OPTIONS = ("initialisation", "learning_rate", "epsilon", "batch", "epochs", "report_every")


if __name__ == "__main__":
    step(main, snakemake)
