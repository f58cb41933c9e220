"""Choose each variant's weight from its list: the one with the best accuracy on training samples held out."""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step

SHARED = ("form", "learning_rate", "report_every", "batch")
SEED = 0


def main(job):
    import pandas as pd
    import torch

    from interneuron import lattices
    from interneuron.structured_classifiers import train_classifiers

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    data, about = load_tensors(job.input.data), metadata(job.input.data)
    order = generator(SEED, "held out").permutation(np.flatnonzero(data["split"] == 0))
    held = settings["hold_out"]
    rest = order[held:][: settings["train_samples"]]
    if len(rest) < settings["batch"]:
        raise InputError(f"{job.input.data}: {held} of {len(order)} training samples held out leave too few")
    parts = [torch.from_numpy(data[name][rows]) for rows in (rest, order[:held]) for name in ("x", "y")]
    arguments = {**settings["arguments"], "classes": about["classes"]}
    arguments |= {"height": data["x"].shape[1], "width": data["x"].shape[2]}
    graph = settings["graph"]
    rows = []
    for number, run in enumerate(settings["runs"]):
        row = {"run": number, "variant": run["variant"], "seed": SEED}
        row["weight"] = next((value for value in run["weights"].values() if value), 0.0)
        if sum(other["variant"] == run["variant"] for other in settings["runs"]) == 1:
            rows.append({**row, "accuracy": np.nan})
            continue
        _, found = train_classifiers(
            settings["architecture"],
            arguments,
            *parts,
            [SEED],
            layer=settings["layer"],
            weights={name: value for name, value in run["weights"].items() if value},
            graph=None if graph is None else lattices.build(graph["kind"], graph["sizes"]),
            laplacian=settings["laplacian"] or "unnormalised",
            epochs=settings["choice_epochs"],
            scale=about["scale"],
            progress=Progress(f"run {number + 1} of {len(settings['runs'])}", "iterations"),
            **{name: settings[name] for name in SHARED},
        )
        rows.append({**row, "accuracy": found[-1]["value"]})
        log.info(f"{row['variant']} {row['weight']:g}: {rows[-1]['accuracy']:.2%} of the {held:,} held out right")
    table = pd.DataFrame(rows)
    # Of equally good weights the first, the smallest where a list rises.
    best = table.fillna({"accuracy": 0.0}).groupby("variant", sort=False)["accuracy"].idxmax()
    save_table(job.output[0], table.assign(chosen=table.index.isin(best)))


if __name__ == "__main__":
    step(main, snakemake)
