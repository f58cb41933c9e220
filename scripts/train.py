"""Train one network a seed of the block."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step

OPTIONS = (
    "loss",
    "loss_arguments",
    "optimiser",
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
    if data["x"].ndim != 3:
        raise InputError(f"{job.input.data}: x has shape {data['x'].shape}, training takes [samples, height, width]")
    parts = []
    for split in (0, 1):
        rows = np.flatnonzero(data["split"] == split)
        parts += [torch.from_numpy(data["x"][rows]), torch.from_numpy(data["y"][rows])]
    seeds = list(parse_block(job.wildcards.block))
    architecture = settings["architecture"]
    arguments = fit_arguments(architecture, settings["arguments"], *data["x"].shape[1:], about["classes"])
    weights, rows = train(
        architecture,
        arguments,
        *parts,
        seeds,
        scale=about["scale"],
        progress=Progress("train", "iterations"),
        **{name: settings[name] for name in OPTIONS if name in settings},
    )
    about = {"architecture": architecture, "arguments": arguments, "seeds": seeds}
    training = pd.DataFrame(rows)
    save_tensors(job.output.weights, weights, about)
    save_table(job.output.training, training)
    for seed in seeds:
        found = training[(training.seed == seed) & (training.split == "test")].set_index("metric").value
        log.info(f"seed {seed}: {summary(found, settings.get('active_above', 0.1))}")


def summary(found, active_above):
    if "accuracy" in found:
        return f"{found['accuracy']:.2%} of the test images classified right"
    kl = found[found.index.str.startswith("kl:")].sort_values(ascending=False)
    active = [f"z{name[3:]} {value:.2f}" for name, value in kl.items() if value > active_above]
    latents = "1 active latent" if len(active) == 1 else f"{len(active)} active latents"
    return f"reconstruction {found['reconstruction']:.1f} nats, {latents}" + (
        f" ({', '.join(active)} nats)" if active else ""
    )


if __name__ == "__main__":
    step(main, snakemake)
