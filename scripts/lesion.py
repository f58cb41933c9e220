"""Lesion every cluster, the important and the critical clusters, and random sets; judge the decoded images."""

from interneuron.errors import InputError
from interneuron.io import load_table, load_tensors, metadata, save_table, save_tensors
from interneuron.workflow.script import Progress, log, step

CLUSTERING = ["seed", "digit", "latent", "alpha", "reading", "draws"]
NULL = [*CLUSTERING, "set", "scope", "ablation", "sample", "accuracy"]
SCOPES = ("all", "hidden")
COMPARED = ("null_accuracy", "null_mean", "null_sd", "z", "p")


def clusterings(table, neurons, seed, digit, latent):
    """By (alpha, reading, draws): cluster number of every neuron, -1 for those without one; None: not converged."""
    import numpy as np

    some = table[(table["seed"] == seed) & (table["digit"] == digit) & (table["latent"] == latent)]
    found = {}
    for (alpha, reading, draws), rows in some.groupby(["alpha", "reading", "draws"], sort=True):
        if not rows["converged"].all():
            found[float(alpha), str(reading), int(draws)] = None
            continue
        unknown = sorted(set(rows["neuron"]) - set(neurons))
        if unknown:
            raise InputError(f"the clusters name neuron {unknown[0]!r}, which the decoder of seed {seed} lacks")
        labels = np.full(len(neurons), -1)
        labels[[neurons[name] for name in rows["neuron"]]] = rows["cluster"]
        found[float(alpha), str(reading), int(draws)] = labels
    return found


def partner(found, alpha, draws):
    """The activation clustering that an effect clustering is intersected with: equal draws, else the most draws."""
    there = [key[2] for key in found if key[:2] == (alpha, "activation")]
    return (alpha, "activation", draws if draws in there else max(there)) if there else None


class Writer:
    """Rows of both tables for one seed, digit and latent, from the lesions of its bench."""

    def __init__(self, bench, common, null_sets, lesions, null):
        self.bench, self.common, self.null_sets = bench, common, null_sets
        self.lesions, self.null = lesions, null

    def write(self, name, key, mask, cluster=-1, scopes=SCOPES, ablations=("zero",), eligible=None):
        """A row a scope and ablation; with `eligible` neurons, compared with random sets of them."""
        from interneuron.lesion import compare

        alpha, reading, draws = key
        for scope in scopes:
            lesioned = mask & self.bench.hidden if scope == "hidden" else mask
            kinds = self.bench.kinds(lesioned)
            for ablation in ablations:
                outcome = self.bench.outcomes([lesioned], "zero" if ablation == "none" else ablation)[0]
                row = self.common | {"alpha": alpha, "reading": reading, "draws": draws, "set": name, "scope": scope}
                row["ablation"] = ablation
                compared = [float("nan")] * 5
                if eligible is not None and ablation == "zero":
                    observed = self.bench.null_accuracy(lesioned)
                    compared[0] = observed
                    if lesioned.any():
                        null = self.bench.null(lesioned, eligible, self.null_sets)
                        compared[1:] = compare(observed, null)
                        self.null.extend(
                            {**row, "sample": sample, "accuracy": accuracy} for sample, accuracy in enumerate(null)
                        )
                    else:
                        compared[3:] = 0.0, 1.0  # nothing is silenced, so nothing is harmed
                self.lesions.append(
                    row
                    | {"cluster": cluster, "converged": True, "images": self.bench.images}
                    | kinds
                    | outcome
                    | dict(zip(COMPARED, compared, strict=True))
                )


def main(job):
    import pandas as pd
    import torch

    from interneuron.capture import neuron_names
    from interneuron.causal import draws, interventions
    from interneuron.lesion import Bench
    from interneuron.nets import decoder_network, load

    settings = job.params.settings
    weights, about_weights = load_tensors(job.input.weights), metadata(job.input.weights)
    about, about_judge = metadata(job.input.activations), metadata(job.input.judge)
    judge = load(load_tensors(job.input.judge), about_judge, about_judge["seeds"][0])
    image = (about_judge["arguments"]["height"], about_judge["arguments"]["width"])
    table = load_table(job.input.clusters)
    layers, alphas = about["layers"], about["alphas"]
    neurons = {name: number for number, name in enumerate(neuron_names(layers))}
    latents = about_weights["arguments"]["latents"]
    each = -(-settings["images"] // len(alphas))
    total = sum(len(about["latents"][str(seed)]) for seed in about["seeds"]) * len(about["digits"]) * len(alphas)
    progress, done = Progress("lesions", "alphas of a latent"), 0
    lesions, null, examples = [], [], {}
    for seed in about["seeds"]:
        decoder = decoder_network(load(weights, about_weights, seed))
        z = draws(max(each, settings["null_images"]), latents, seed, "lesion", "independent")
        for digit in about["digits"]:
            context = torch.eye(decoder.linear1.in_features - latents)[digit].numpy()
            for latent in about["latents"][str(seed)]:
                x = interventions(z, context, latent, alphas)
                bench = Bench(
                    decoder,
                    judge,
                    layers,
                    x[:, :each].flatten(0, 1),
                    x[:, : settings["null_images"]].flatten(0, 1),
                    digit,
                    image,
                    (seed, "null", digit, latent),
                )
                found = clusterings(table, neurons, seed, digit, latent)
                first = len(lesions)
                writer = Writer(
                    bench,
                    {"seed": seed, "digit": digit, "latent": latent},
                    settings["null_sets"],
                    lesions,
                    null,
                )
                writer.write("intact", (float("nan"), "", 0), bench.nothing, scopes=("all",), ablations=("none",))
                for alpha in alphas:
                    important = {}
                    for key, labels in found.items():
                        if key[0] == alpha and labels is not None and labels.max() >= 0:
                            masks = [labels == cluster for cluster in range(labels.max() + 1)]
                            # All together is faster than one by one; `write` finds them done.
                            bench.outcomes(masks + [mask & bench.hidden for mask in masks], "zero")
                            for cluster, mask in enumerate(masks):
                                writer.write("cluster", key, mask, cluster)
                            worst = bench.worst(masks)
                            important[key] = masks[worst]
                            writer.write(
                                "important", key, masks[worst], worst, ablations=("zero", "mean"), eligible=labels >= 0
                            )
                    for key, mask in important.items():
                        other = partner(found, alpha, key[2]) if key[1] != "activation" else None
                        if other in important:
                            both = mask & important[other]
                            eligible = (found[key] >= 0) & (found[other] >= 0)
                            writer.write("critical", key, both, ablations=("zero", "mean"), eligible=eligible)
                    done += 1
                    progress(done, total)
                if seed == about["seeds"][0] and latent == about["latents"][str(seed)][0]:
                    one = x[:, 0]
                    converged = [key for key, labels in found.items() if labels is not None]
                    for alpha, reading, count in converged:
                        if count == max(key[2] for key in converged if key[:2] == (alpha, reading)):
                            labels = found[alpha, reading, count]
                            name = f"digit{digit}.alpha{alphas.index(alpha)}.{reading}"
                            examples[name] = bench.pictures([labels == c for c in range(labels.max() + 1)], one)
                unconverged = sum(labels is None for labels in found.values())
                say(pd.DataFrame(lesions[first:]), unconverged, settings["fail_below"])
    save_table(job.output.lesions, ordered(pd.DataFrame(lesions)))
    save_table(job.output.null, pd.DataFrame(null, columns=NULL).astype(TYPES | {"sample": "int64", "accuracy": float}))
    save_tensors(
        job.output.lesioned,
        examples,
        {
            "alphas": alphas,
            "digits": about["digits"],
            "seed": about["seeds"][0],
            "latent": about["latents"][str(about["seeds"][0])][0],
            "height": image[0],
            "width": image[1],
        },
    )


TYPES = {"seed": "int64", "digit": "int64", "latent": "int64", "alpha": float, "reading": str, "draws": "int64"}


def ordered(frame):
    """The table's columns in the order of docs/files.md."""
    kinds = ["neurons", "hidden", "inputs", "pixels"]
    outcome = ["accuracy", "taken_for", "mse", "ssim", *COMPARED]
    return frame[[*CLUSTERING, "set", "cluster", "scope", "ablation", *kinds, "converged", "images", *outcome]]


def say(rows, unconverged, fail_below):
    """One line a seed, digit and latent: what the important and critical clusters do."""
    seed, digit, latent = rows.loc[rows.index[0], ["seed", "digit", "latent"]]
    parts = [f"intact {rows.loc[rows['set'] == 'intact', 'accuracy'].iloc[0]:.3f}"]
    whole = rows[(rows["scope"] == "all") & (rows["ablation"] == "zero") & rows["set"].isin(["important", "critical"])]
    for (name, reading, draws), some in whole.groupby(["set", "reading", "draws"], sort=True):
        fails = (some["accuracy"] < fail_below).sum()
        parts.append(
            f"{name} cluster of {reading} ({draws} draws): median accuracy {some['accuracy'].median():.3f},"
            f" fails at {fails} of {len(some)} alphas"
        )
    if unconverged:
        parts.append(f"{unconverged} unconverged clusterings left out")
    log.info(f"seed {seed}, digit {digit}, z{latent}: {'; '.join(parts)}")


if __name__ == "__main__":
    step(main, snakemake)
