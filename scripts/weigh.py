"""Choose each variant's weight from its list: the one with the best accuracy on training samples held out.

With one fold a part of the samples is held out; with more, one part after another, and the mean accuracy counts.
"""

import numpy as np

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step

SHARED = ("form", "learning_rate", "report_every", "batch", "device")
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
    held, folds = settings["hold_out"], settings["folds"]
    if held * folds > len(order) or len(order) - held < settings["batch"]:
        raise InputError(
            f"{job.input.data}: {folds} folds of {held} of the {len(order)} training samples, it takes fewer: they "
            f"have no sample in common, and each leaves a batch of {settings['batch']}"
        )
    parts = []
    for start in range(0, held * folds, held):
        away = order[start : start + held]
        rest = np.concatenate([order[:start], order[start + held :]])[: settings["train_samples"]]
        parts.append([torch.from_numpy(data[name][rows]) for rows in (rest, away) for name in ("x", "y")])
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
        found = []
        for fold, part in enumerate(parts):
            of = f", fold {fold + 1} of {folds}" if folds > 1 else ""
            _, rates = train_classifiers(
                settings["architecture"],
                arguments,
                *part,
                [SEED],
                layer=settings["layer"],
                weights={name: value for name, value in run["weights"].items() if value},
                graph=None if graph is None else lattices.build(graph["kind"], graph["sizes"]),
                laplacian=settings["laplacian"] or "unnormalised",
                epochs=settings["choice_epochs"],
                scale=about["scale"],
                progress=Progress(f"run {number + 1} of {len(settings['runs'])}{of}", "iterations"),
                **{name: settings[name] for name in SHARED},
            )
            found.append(rates[-1]["value"])
        rows.append({**row, "accuracy": np.mean(found)})
        log.info(f"{row['variant']} {row['weight']:g}: {np.mean(found):.2%} of the {held * folds:,} held out right")
    table = pd.DataFrame(rows)
    # Of equally good weights the first, the smallest where a list rises.
    best = table.fillna({"accuracy": 0.0}).groupby("variant", sort=False)["accuracy"].idxmax()
    save_table(job.output[0], table.assign(chosen=table.index.isin(best)))


if __name__ == "__main__":
    step(main, snakemake)
