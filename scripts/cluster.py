"""Cluster the neurons for every seed, digit, latent, alpha and reading, at the preference that the rule chooses."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step

SWEPT = ("damping", "max_iterations", "convergence", "tie_noise")


def vectors(entry, activations, effect, key):
    """For each alpha the vectors [neurons, samples] whose ranks are correlated."""
    import numpy as np

    from interneuron.similarity import individual_effects, repeated_effects

    reading, draws = entry["reading"], entry.get("draws")
    alphas, there, neurons = activations.shape
    if reading == "B":
        # Effects have no inputs: these are set apart, as the constant neurons are.
        inputs = np.zeros((len(effect), alphas, neurons - effect.shape[2]), effect.dtype)
        samples = np.concatenate([inputs, effect], axis=2).swapaxes(0, 1)
    elif draws > there:
        raise InputError(f"reading {reading} takes {draws} draws, and the activations have {there}")
    elif reading == "C":
        orders = [generator(*key, number).permutation(there) for number in range(alphas)]
        samples = repeated_effects(activations, draws, orders)
    elif reading == "A":
        samples = individual_effects(activations[:, :draws])
    else:
        samples = activations[:, :draws]
    return [np.ascontiguousarray(some.T) for some in samples]


def cluster(x, settings, seed):
    """Columns of `clusters` and of `sweep` for one clustering of the vectors `x`."""
    import numpy as np

    from interneuron.clustering import in_step, plateau, preference_grid, silhouette, sweep
    from interneuron.similarity import constant, ranks, spearman

    still = constant(x)
    labels, exemplar = np.full(len(x), -1), np.zeros(len(x), bool)
    if (~still).sum() < 3:
        return {"cluster": labels, "exemplar": exemplar, "converged": False}, {}
    rho = spearman(x[~still])
    swept = {name: value for name, value in settings["preferences"].items() if name != "reported"}
    grid = preference_grid(rho, **swept)
    more = settings["preferences"].get("reported")
    preferences = grid if more is None else np.append(grid, more)
    runs = sweep(rho, preferences, seed=seed, **{name: settings[name] for name in SWEPT if name in settings})
    converged = np.array([run.converged and not in_step(rho, run.exemplars) for run in runs.runs])
    linear, of = swept.get("high") is not None, slice(len(grid))
    found = plateau(grid, runs.counts[of], converged[of], linear)
    run = runs.runs[found.chosen]
    labels[~still] = run.labels
    exemplar[np.flatnonzero(~still)[run.exemplars]] = True
    index = np.arange(len(preferences))
    return (
        {"cluster": labels, "exemplar": exemplar, "converged": converged[found.chosen]},
        {
            "preference": preferences,
            "clusters": runs.counts,
            "converged": converged,
            "iterations": runs.iterations,
            "silhouette": [
                silhouette(rho, one.labels) if good else np.nan for one, good in zip(runs.runs, converged, strict=True)
            ],
            "median": (index == 0) & (not linear),
            "plateau": (index >= found.start) & (index < found.stop),
            "chosen": index == found.chosen,
            "reported": index >= len(grid),
            "constant": still.sum(),
            "vectors": len(np.unique(ranks(x[~still]), axis=0)),
        },
    )


def summary(columns, alphas):
    """One line of what came out over the alphas."""
    sweeps = [swept for _, swept in columns if swept]
    if not sweeps:
        return "fewer than 3 neurons vary: not clustered"
    counts = [int(swept["clusters"][swept["chosen"]][0]) for swept in sweeps]
    failed = sum(not labels["converged"] for labels, swept in columns if swept)
    still = [int(swept["constant"]) for swept in sweeps]
    converged = sum(int(swept["converged"].sum()) for swept in sweeps)
    return (
        f"{' '.join(map(str, counts))} clusters at {len(sweeps)} of {len(alphas)} alphas, "
        f"{sum(swept['plateau'].any() for swept in sweeps)} from a plateau"
        + (f", {failed} NOT CONVERGED" if failed else "")
        + f"; {converged} of {sum(len(swept['converged']) for swept in sweeps)} runs converged; "
        f"{min(still)} to {max(still)} constant neurons"
    )


def effects_for(job, about):
    """Metadata of the effects, which must be of the activations' layers, alphas and digits."""
    about_effects = metadata(job.input.ace)
    if about["layers"][1:] != about_effects["layers"]:
        raise InputError(
            f"{job.input.ace} has the layers {about_effects['layers']}, "
            f"and {job.input.activations} {about['layers'][1:]} after its input"
        )
    missing = [alpha for alpha in about["alphas"] if alpha not in about_effects["alphas"]]
    missing += [digit for digit in about["digits"] if digit not in about_effects["digits"]]
    if missing:
        raise InputError(f"{job.input.ace} lacks {missing} of the activations' alphas and digits; reading B takes all")
    return about_effects


def main(job):
    import numpy as np
    import pandas as pd

    settings = job.params.settings
    about = metadata(job.input.activations)
    alphas = about["alphas"]
    about_effects = effects_for(job, about) if any(entry["reading"] == "B" for entry in settings["readings"]) else {}
    names = [f"{layer}:{index}" for layer, size in about["layers"] for index in range(size)]
    groups = [
        (seed, digit, latent)
        for seed in about["seeds"]
        for digit in about["digits"]
        for latent in about["latents"][str(seed)]
    ]
    progress = Progress("cluster", "clusterings")
    total, done = len(groups) * len(settings["readings"]) * len(alphas), 0
    clusters, sweeps, shared = [], [], {}
    for seed, digit, latent in groups:
        name = f"seed{seed}.digit{digit}.z{latent}"
        activations = load_tensors(job.input.activations, [name])[name]
        for entry in settings["readings"]:
            effect = None
            if entry["reading"] == "B":
                name = f"seed{seed}.digit{digit}.effect"
                effect = load_tensors(job.input.ace, [name])[name]
                effect = effect[:, [about_effects["alphas"].index(alpha) for alpha in alphas]]
            # The vector of all latents' effects is one for all treated latents.
            columns = shared.get((seed, digit)) if entry["reading"] == "B" else None
            if columns is None:
                columns = []
                for x in vectors(entry, activations, effect, (seed, "repetitions", digit, latent)):
                    columns.append(cluster(x, settings, seed))
                    progress(done + len(columns), total)
            if entry["reading"] == "B":
                shared[seed, digit] = columns
            done += len(alphas)
            draws = entry.get("draws") or about_effects["draws"]
            for alpha, (labels, swept) in zip(alphas, columns, strict=True):
                common = {
                    "seed": seed,
                    "digit": digit,
                    "latent": latent,
                    "alpha": float(alpha),
                    "reading": entry["reading"],
                    "draws": draws,
                }
                clusters.append(pd.DataFrame({**common, "neuron": names, **labels}))
                if swept:
                    sweeps.append(pd.DataFrame({**common, **swept}))
            log.info(
                f"seed {seed}, digit {digit}, z{latent}, reading {entry['reading']} ({draws} draws): "
                + summary(columns, alphas)
            )
    if not sweeps:
        raise InputError(f"{job.input.activations}: no clustering has 3 neurons that vary; nothing can be clustered")
    save_table(job.output.clusters, pd.concat(clusters, ignore_index=True).astype({"cluster": np.int64}))
    counted = dict.fromkeys(("constant", "vectors"), np.int64)
    save_table(job.output.sweep, pd.concat(sweeps, ignore_index=True).astype(counted))


if __name__ == "__main__":
    step(main, snakemake)
