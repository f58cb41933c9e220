"""Train one convolutional classifier a seed of the block."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step

OPTIONS = ("initialisation", "learning_rate", "momentum", "halvings", "batch", "epochs", "report_every")


def main(job):
    import pandas as pd
    import torch

    from interneuron.nets import fit_arguments
    from interneuron.training import train_classifiers

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data, about = load_tensors(job.input.data), metadata(job.input.data)
    if data["x"].ndim != 3:
        raise InputError(f"{job.input.data}: x has shape {data['x'].shape}, training takes [samples, height, width]")
    parts = []
    for split in (0, 1):
        rows = np.flatnonzero(data["split"] == split)
        parts += [torch.from_numpy(data["x"][rows]), torch.from_numpy(data["y"][rows])]
    seeds, architecture = list(parse_block(job.wildcards.block)), settings["architecture"]
    arguments = fit_arguments(architecture, settings["arguments"], *data["x"].shape[1:], about["classes"])
    weights, rows = train_classifiers(
        architecture,
        arguments,
        *parts,
        seeds,
        scale=about["scale"],
        progress=Progress("classifier", "iterations"),
        **{name: settings[name] for name in OPTIONS},
    )
    training = pd.DataFrame(rows)
    save_tensors(job.output.weights, weights, {"architecture": architecture, "arguments": arguments, "seeds": seeds})
    save_table(job.output.training, training)
    tested = training[(training.split == "test") & (training.metric == "accuracy")]
    for seed, accuracy in zip(tested.seed, tested.value, strict=True):
        log.info(f"seed {seed}: {accuracy:.2%} of the test images classified right")


if __name__ == "__main__":
    step(main, snakemake)
