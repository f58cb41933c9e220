"""The metrics of every step of a study, in one table that the claims read."""

import numpy as np

from interneuron.errors import InputError
from interneuron.registry import Registry
from interneuron.workflow.script import log, step


def seen(path, seed, digit):
    """Number of dead hidden neurons; at the strongest treated latent: share of the neurons whose ranks are unchanged by
    centring, and the decoded images at the alpha nearest to 0."""
    from interneuron import evaluate, io

    about = io.metadata(path)
    sizes = [size for _, size in about["layers"]]
    hidden = slice(sizes[0], sum(sizes[:-1]))
    active = np.zeros(sum(sizes[1:-1]), bool)
    for latent in about["latents"][str(seed)]:
        name = f"seed{seed}.digit{digit}.z{latent}"
        values = io.load_tensors(path, [name])[name]
        active |= (values[..., hidden] != 0).any((0, 1))
        if latent == about["latents"][str(seed)][0]:
            unchanged = evaluate.centred_ranks_equal(values)
            images = values[int(np.abs(about["alphas"]).argmin()), :, -sizes[-1] :]
    return float((~active).sum()), unchanged, images


def neurons(job):
    """Metrics of a study of neurons: latents, clusters, lesions."""
    import pandas as pd

    from interneuron import evaluate, io

    settings = job.params.settings
    data = io.load_tensors(job.input.data)
    x = data["x"] / np.float32(io.metadata(job.input.data)["scale"])
    height, width = x.shape[1:]
    train, test = data["split"] == 0, data["split"] == 1
    number = io.metadata(job.input.data)["classes"]
    means = evaluate.class_means(x[train], data["y"][train], number)

    training = io.load_table(job.input.training)
    lesions, null = io.load_table(job.input.lesions), io.load_table(job.input.null)
    clusters, sweep = io.load_table(job.input.clusters), io.load_table(job.input.sweep)
    kl = evaluate.divergences(training)
    ranks = kl[["seed", "latent", "rank"]]
    model = evaluate.model(training, io.load_table(job.input.judge), settings["active_above"])
    intact = evaluate.intact(lesions)
    per_digit, latents, classes = [], [], []
    ace = io.metadata(job.input.ace)
    pixels = ace["layers"][-1][1]
    captured = io.metadata(job.input.activations)
    for seed in ace["seeds"]:
        for digit in ace["digits"]:
            prefix = f"seed{seed}.digit{digit}."
            effects = io.load_tensors(
                job.input.ace, [prefix + name for name in ("effect", "error", "published", "baseline")]
            )
            table = evaluate.latents(
                *(effects[prefix + name][..., -pixels:] for name in ("effect", "error", "published", "baseline")),
                ace["alphas"],
                height,
                width,
            )
            table = table.merge(kl[kl["seed"] == seed][["latent", "kl"]], on="latent").assign(seed=seed, digit=digit)
            latents.append(table.merge(intact, on=["seed", "digit", "latent"], how="left"))
            row = {"seed": seed, "digit": digit}
            row |= evaluate.roles(table, settings["active_above"], settings["moves_above"])
            if digit in captured["digits"]:
                row["dead_hidden"], row["centred_ranks_equal"], images = seen(job.input.activations, seed, digit)
                real = evaluate.sharpness(x[test & (data["y"] == digit)])
                row["sharpness_ratio"] = evaluate.sharpness(images.reshape(-1, height, width)) / real
                accuracy = intact[(intact["seed"] == seed) & (intact["digit"] == digit)]["intact_accuracy"]
                row["intact_accuracy"] = float(accuracy.mean())
            per_digit.append(row)
        prefix = f"seed{seed}.class."
        effects = io.load_tensors(job.input.ace, [prefix + name for name in ("effect", "error", "published")])
        maps = (effects[prefix + name][..., -pixels:] for name in ("effect", "error", "published"))
        classes.append({"seed": seed, **evaluate.classes(*maps, means)})
        log.info(sentence(seed, model, clusters))

    clusterings = evaluate.clusterings(clusters, sweep)
    cluster_lesions = evaluate.cluster_lesions(lesions, clusterings, null, settings["fail_below"])
    pairs = evaluate.pairs(clusters)
    critical_lesions = evaluate.critical_lesions(lesions, pairs, null, settings["fail_below"])
    alphas = len(captured["alphas"])
    summary = evaluate.summary(clusterings, cluster_lesions, pairs, critical_lesions, number, alphas)
    parts = [
        ("model", model),
        ("model", pd.DataFrame(per_digit)),
        ("latent", pd.concat(latents)),
        ("class", pd.DataFrame(classes)),
        ("clustering", clusterings),
        ("clustering", cluster_lesions),
        ("pair", pairs),
        ("pair", critical_lesions),
        ("summary", summary),
    ]
    io.save_table(job.output[0], evaluate.assemble(parts, ranks))


def sentence(seed, model, clusters):
    """What a seed came to, in one line."""
    active = int(model.set_index("seed").loc[seed, "active_latents"])
    runs = clusters[clusters["seed"] == seed].groupby(["digit", "latent", "alpha", "reading", "draws"])["converged"]
    return f"seed {seed}: {active} active latents, {int(runs.first().sum())} of {runs.ngroups} clusterings converged"


def region_tensors(path, seed, names):
    """Tensors of one seed of maps.safetensors whose names, after the seed's, begin with one of these."""
    from interneuron import io

    prefix = f"seed{seed}."
    own = [name for name in io.tensor_names(path) if name.startswith(tuple(prefix + name for name in names))]
    return {name.removeprefix(prefix): values for name, values in io.load_tensors(path, own).items()}


def regions(job):
    """Metrics of a study of regions: their number and kinds, labellings, profiles, importance, merging."""
    import pandas as pd

    from interneuron import io, region_metrics

    settings = job.params.settings
    table, merging = io.load_table(job.input.regions), io.load_table(job.input.merging)
    about = io.metadata(job.input.maps)
    common = io.load_tensors(job.input.maps, ["spread", "correlations"])
    names, spread = about["features"], common["spread"]
    networks = region_metrics.networks(table, io.load_table(job.input.training), settings["support_above"])
    more, labellings, profiles, features, merged, paths = [], [], [], [], [], []
    for seed, own in table.groupby("seed", sort=True):
        maps = region_tensors(
            job.input.maps, seed, ["omega", "gradients", "permutation", "borders", "profile.", "sets."]
        )
        weights = np.abs(maps["omega"]).mean(1)
        omega = own["support"].to_numpy()[: len(weights)] @ weights
        measures = {"omega": omega, "spread": omega * spread}
        measures |= {name: maps[name] for name in ("permutation", "gradients")}
        row = region_metrics.importances(measures)
        row |= {"border_median": maps["borders"][50], "border_tenth": maps["borders"][10]}
        more.append({"seed": seed, **row})
        for principle, path in merging[merging["seed"] == seed].groupby("principle", sort=True):
            at = {"seed": seed, "principle": principle}
            merged.append(region_metrics.merged(path, settings["kept"], len(own)).assign(**at))
            paths.append(at | region_metrics.chosen(path))
            for name in about["labellings"] if path["regions"].max() == len(own) else ():
                paths.append(at | {"labelling": name} | region_metrics.found(maps[f"sets.{name}"], path))
        if names:
            flat, above = maps["omega"][:, 0], settings["correlated_above"]
            of = region_metrics.features(own, flat, spread, common["correlations"], names, above)
            features.append(of.assign(seed=seed))
        for name, terms in about["labellings"].items():
            row = region_metrics.labelling(maps[f"sets.{name}"])
            if terms is not None:
                values = [{names.index(feature): value for feature, value in term.items()} for term in terms]
                row |= region_metrics.terms(maps[f"sets.{name}"], flat, list(own["pattern"]), values)
            labellings.append({"seed": seed, "labelling": name, **row})
        for name in about["profiles"]:
            profiles.append({"seed": seed, "profile": name, **region_metrics.profile(own, maps[f"profile.{name}"])})
    parts = [
        ("labelling", pd.DataFrame(labellings)),
        ("profile", pd.DataFrame(profiles)),
        ("feature", pd.concat(features) if features else pd.DataFrame()),
        ("merged", pd.concat(merged)),
        ("path", pd.DataFrame(paths)),
    ]
    io.save_table(job.output[0], region_metrics.assemble(networks.merge(pd.DataFrame(more), on="seed"), parts))
    for principle, of in merging.groupby("principle", sort=True):
        chosen = of[of["chosen"]]
        log.info(
            f"{networks['regions'].median():g} regions in the median of the seeds, merged by {principle} to "
            f"{chosen['regions'].median():g}, which keep {chosen['fidelity'].median():.2%} of the predictions"
        )


def gsr(job):
    """Metrics of a study of graph spectral regularization: how well networks do, and how structured a layer is."""
    from interneuron import gsr_metrics, io

    structure, training = io.load_table(job.input.structure), io.load_table(job.input.training)
    metrics = gsr_metrics.metrics(structure, training, job.params.settings["reference"])
    io.save_table(job.output[0], metrics)
    log.info(f"{(metrics['level'] == 'run').sum()} networks of {metrics['seed'].nunique()} seeds")


def influence(job):
    """Metrics of a study of influence: how far its readings agree."""
    from interneuron import io, margin_metrics

    settings = job.params.settings
    table = io.load_table(job.input.influence)
    agreement = margin_metrics.agreement(table, settings["main"], settings["top"])
    io.save_table(job.output[0], margin_metrics.assemble([("influence", agreement)]))
    log.info(f"{len(agreement)} influences compared with the main reading")


def labels(job):
    """Metrics of a study of wrong labels: recall, and what separates the methods."""
    from interneuron import io, margin_metrics

    settings = job.params.settings
    main = settings["main"]
    table = margin_metrics.wrong_labels(io.load_table(job.input.audited), main)
    margin = table[table["method"] == "margin"]
    parts = [
        ("method", table),
        ("sweep", margin_metrics.sweeps(margin, "recall", main, ["seed", "function", "share"])),
        ("influence", margin_metrics.agreement(io.load_table(job.input.influence), main, settings["top"])),
    ]
    io.save_table(job.output[0], margin_metrics.assemble(parts))
    least = table["share"].min()
    if table["recall"].isna().all():
        log.info("no label is known to be wrong: metrics that compare with those that are have no value")
        return
    for key, of in table[table["share"] == least].groupby(["method", "variant"])["recall"].median().items():
        log.info(f"{' '.join(key).strip()}: {of:.0%} of the wrong labels in the first {least:.0%}")


def prototypes(job):
    """Metrics of a study of prototypes and criticisms: test errors of the nearest neighbour among them."""
    import numpy as np
    import pandas as pd

    from interneuron import baselines, io, margin_metrics
    from interneuron.workflow.nodes import Graphs, Nodes

    settings = job.params.settings
    nodes, graphs = Nodes(job.input.data, job.input.get("features")), Graphs(job.input.graph)
    chosen = io.load_table(job.input.chosen)
    keys = ["seed", *margin_metrics.SELECTION, "draw"]
    tables = []
    for seed, selections in chosen.groupby("seed", sort=True):
        rows = graphs.rows(seed)
        test, test_x = nodes.tested(graphs.about["samples"], seed)
        if np.isin(test, rows).any():
            raise InputError(f"{np.isin(test, rows).sum():,} of {len(test):,} samples to test on may be chosen, too")
        y, test_y = nodes.y(rows, seed), nodes.y(test, seed)
        near = baselines.squared_distances(test_x, nodes.x(rows, seed))
        for key, part in selections.groupby(keys, sort=True):
            place = np.searchsorted(rows, part.sort_values("rank")["sample_id"])
            counts = settings["counts"]
            errors = baselines.nearest_neighbour_errors(near, y, test_y, place, counts)
            tables.append(pd.DataFrame({"count": counts, "error": errors}).assign(**dict(zip(keys, key, strict=True))))
    table, curves, best = margin_metrics.selections(pd.concat(tables, ignore_index=True))
    by = ["seed", "function", "role", "quota", "order", "threshold"]
    parts = [
        ("selection", table),
        ("curve", curves),
        ("best", best),
        ("sweep", margin_metrics.sweeps(curves[curves["method"] == "margin"], "error", settings["main"], by)),
        ("influence", margin_metrics.agreement(io.load_table(job.input.influence), settings["main"], settings["top"])),
    ]
    io.save_table(job.output[0], margin_metrics.assemble(parts))
    for row in best.groupby(["function", "role"])["best_gain_over_mmd_critic"].median().items():
        log.info(f"{' '.join(row[0])}: best reading over MMD-critic {row[1]:+.3f}")


def boundaries(job):
    """Metrics of a study of decision boundaries: what the samples of highest influence, margin, ... are."""
    import pandas as pd

    from interneuron import boundary_metrics, io, margin_metrics
    from interneuron.workflow.nodes import Nodes

    settings = job.params.settings
    table, nodes = io.load_table(job.input.influence), Nodes(job.input.data, job.input.features)
    parts = []
    for seed, own in table.groupby("seed", sort=True):
        y = nodes.y(nodes.tensor("sample_id", seed), seed)
        scores = (nodes.tensor(name, seed) for name in ("predicted", "scores"))
        parts.append(boundary_metrics.boundaries(own, y, *scores, settings["top"]).assign(seed=seed))
    boundary = boundary_metrics.from_main_k(pd.concat(parts), ["errors", "margin_ratio"], settings["main"]["k"])
    agreement = margin_metrics.agreement(table, settings["main"], settings["top"])
    io.save_table(job.output[0], margin_metrics.assemble([("boundary", boundary), ("influence", agreement)]))
    log.info(f"{boundary['wrong'].median():.2%} of the samples are misclassified, in the median of the seeds")


def attacks(job):
    """Metrics of a study of attacked samples: how far every reading sets them apart, and the attack itself."""
    import pandas as pd

    from interneuron import boundary_metrics, io, margin_metrics

    settings, table = job.params.settings, io.load_table(job.input.influence)
    parts, rows = [], []
    for seed, own in table.groupby("seed", sort=True):
        names = [f"seed{seed}.{name}" for name in ("attacked", "success", "distortion")]
        rows.append({"seed": seed, **boundary_metrics.attacks(*io.load_tensors(job.input.attacks, names).values())})
        (attacked,) = io.load_tensors(job.input.features, names[:1]).values()
        parts.append(boundary_metrics.separations(own, attacked, settings["bins"]).assign(seed=seed))
    apart = boundary_metrics.from_main_k(pd.concat(parts), ["separation", "overlap"], settings["main"]["k"])
    agreement = margin_metrics.agreement(table, settings["main"], settings["top"])
    levels = [("attack", pd.DataFrame(rows)), ("separation", apart), ("influence", agreement)]
    io.save_table(job.output[0], margin_metrics.assemble(levels))
    log.info(f"{min(row['success'] for row in rows):.1%} or more of every seed's attacks were successful")


def active(job):
    """Metrics of a study of active learning: accuracies, and how far each way of choosing is ahead of others."""
    from interneuron import comparisons, io

    table = io.load_table(job.input.active)
    for baseline in ("random", "resampling", "f-alone"):
        column = f"over_{baseline.replace('-', '_')}"
        table[column] = comparisons.difference(table, "accuracy", "method", baseline, ["seed", "labels"])
        table[f"mean_{column}"] = table.groupby(["seed", "method", "p"])[column].transform("mean")
    table["largest_fall"] = comparisons.largest_fall(table, "accuracy", "labels", ["seed", "method", "p"])
    steadier = table[table["method"] == "resampling"].groupby("seed")["largest_fall"].first()
    table["steadier_than_resampling"] = table["seed"].map(steadier) - table["largest_fall"]
    table["spread_over_p"] = comparisons.spread(table, "accuracy", ["seed", "method", "labels"])
    table.insert(0, "level", "labels")
    io.save_table(job.output[0], table)
    log.info(f"{len(table)} accuracies of {table['seed'].nunique()} seeds")


def saliency(job):
    """Metrics of a study of saliency: how good each map is, and how much better than others."""
    from interneuron import comparisons, io

    table = io.load_table(job.input.saliency)
    better = {"deletion": ("below", True), "insertion": ("above", False), "gini": ("above", False)}
    better["pixels_needed"] = ("below", True)
    for baseline in ("masking", "grad-cam", "occlusion", "random"):
        for measure, (side, less) in better.items():
            gain = comparisons.difference(table, measure, "method", baseline, ["seed"], less)
            table[f"{measure}_{side}_{baseline.replace('-', '_')}"] = gain
    own = table["method"] == "symmetric"
    for setting, other in (("k", "p"), ("p", "k")):
        for measure in ("deletion", "insertion"):
            spread = comparisons.spread(table[own], measure, ["seed", other])
            table[f"{measure}_over_{setting}"] = spread.reindex(table.index)
    table["right"] = table["right"].astype(float)
    table.insert(0, "level", "map")
    io.save_table(job.output[0], table)
    log.info(f"{len(table)} maps of {table['seed'].nunique()} photos")


KINDS = Registry(
    "kind of study",
    {
        "neurons": neurons,
        "regions": regions,
        "prototypes": prototypes,
        "labels": labels,
        "attacks": attacks,
        "boundaries": boundaries,
        "active": active,
        "saliency": saliency,
        "gsr": gsr,
        "influence": influence,
    },
)


def main(job):
    KINDS[job.params.settings["kind"]](job)


if __name__ == "__main__":
    step(main, snakemake)
