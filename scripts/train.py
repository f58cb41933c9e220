"""Train one network a seed of the block."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step

OPTIONS = (
    "loss",
    "loss_arguments",
    "initialisation",
    "optimiser",
    "epsilon",
    "learning_rate",
    "schedule",
    "batch",
    "shift",
    "iterations",
    "report_every",
)


def main(job):
    import pandas as pd
    import torch

    from interneuron.nets import fit_arguments
    from interneuron.training import train

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data, about = load_tensors(job.input.data), metadata(job.input.data)
    if data["x"].ndim not in (2, 3):
        raise InputError(
            f"{job.input.data}: x has shape {data['x'].shape}, training takes [samples, height, width] or a table"
        )
    parts = []
    for split in (0, 1):
        rows = np.flatnonzero(data["split"] == split)
        parts += [torch.from_numpy(data["x"][rows]), torch.from_numpy(data["y"][rows])]
    options = {name: settings[name] for name in OPTIONS if name in settings}
    if "epochs" in settings:
        options |= {"iterations": settings["epochs"] * -(-len(parts[0]) // settings["batch"]), "drop_last": False}
    seeds = list(parse_block(job.wildcards.block))
    architecture = settings["architecture"]
    arguments = fit_arguments(architecture, settings["arguments"], *data["x"].shape[1:], about["classes"])
    weights, rows = train(
        architecture,
        arguments,
        *parts,
        seeds,
        scale=about.get("scale", 1.0),
        progress=Progress("train", "iterations"),
        **options,
    )
    about = {"architecture": architecture, "arguments": arguments, "seeds": seeds}
    training = pd.DataFrame(rows)
    save_tensors(job.output.weights, weights, about)
    save_table(job.output.training, training)
    tested = training[training.split == "test"]
    accuracy = tested[tested.metric == "accuracy"].value
    if len(accuracy) > 8:
        log.info(f"{len(accuracy)} seeds: {spread(accuracy)}")
        return
    for seed in seeds:
        found = tested[tested.seed == seed].set_index("metric").value
        log.info(f"seed {seed}: {summary(found, settings.get('active_above', 0.1))}")


def spread(accuracy):
    """What many seeds came to, in one line."""
    low, middle, high = accuracy.quantile([0, 0.5, 1])
    return f"{low:.2%} to {high:.2%} of the test samples classified right, median {middle:.2%}"


def summary(found, active_above):
    if "accuracy" in found:
        return f"{found['accuracy']:.2%} of the test samples classified right"
    kl = found[found.index.str.startswith("kl:")].sort_values(ascending=False)
    active = [f"z{name[3:]} {value:.2f}" for name, value in kl.items() if value > active_above]
    latents = "1 active latent" if len(active) == 1 else f"{len(active)} active latents"
    return f"reconstruction {found['reconstruction']:.1f} nats, {latents}" + (
        f" ({', '.join(active)} nats)" if active else ""
    )


if __name__ == "__main__":
    step(main, snakemake)
