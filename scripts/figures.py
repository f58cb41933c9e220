"""Draw one picture of a study from the files of all its blocks."""

from pathlib import Path
from typing import Any

import interneuron
from interneuron.errors import InputError
from interneuron.registry import Registry
from interneuron.workflow.script import log, step

MS_A_FRAME = 350
MOST_REGIONS = 4
MOST_IMAGES = 20
# Share of samples inspected at which readings are compared: the paper's.
LOOKED_AT = 0.3


class Study:
    """The study's files, read when they are asked for, and what of them the picture is of: `digit`, the least seed.

    The settings of a study of neurons say `digit`, `active_above` and `fail_below` (the study's thresholds), and may
    say `reported` (rows that a paper gives, drawn beside ours: see `clusters` and `sizes` in `thesis_plots`); those of
    a study of regions say `claims` (the paper's, with what it reported).
    """

    def __init__(self, inputs: Any, settings: dict[str, Any]) -> None:
        self.inputs = inputs
        self.settings = settings
        self.rows = settings.get("reported")

    @property
    def digit(self) -> int:
        return int(self.settings["digit"])

    @property
    def active_above(self) -> float:
        return float(self.settings["active_above"])

    @property
    def fail_below(self) -> float:
        return float(self.settings["fail_below"])

    def table(self, name: str) -> Any:
        """All blocks of a table, one below the other."""
        import pandas as pd

        from interneuron import io

        return pd.concat([io.load_table(path) for path in getattr(self.inputs, name)], ignore_index=True)

    def kl(self) -> Any:
        """seed, latent, kl: the divergence on the test split, largest first within a seed."""
        table = self.table("training")
        table = table[(table["split"] == "test") & table["metric"].str.startswith("kl:")]
        table = table.assign(latent=table["metric"].str.removeprefix("kl:").astype("int64")).rename(
            columns={"value": "kl"}
        )
        return table[["seed", "latent", "kl"]].sort_values(["seed", "kl"], ascending=[True, False], kind="stable")

    def seed(self) -> int:
        return int(self.kl()["seed"].min())

    def names(self, latents: Any) -> list[str]:
        nats = self.kl().set_index(["seed", "latent"])["kl"].loc[self.seed()]
        return [f"z{latent}: {nats[latent]:.2f} nats" for latent in latents]

    def latents(self) -> list[int]:
        """The seed's latents, largest KL first."""
        table = self.kl()
        return [int(latent) for latent in table.loc[table["seed"] == self.seed(), "latent"]]

    def active(self) -> list[int]:
        table = self.kl()
        active = set(table.loc[(table["seed"] == self.seed()) & (table["kl"] > self.active_above), "latent"])
        return [latent for latent in self.latents() if latent in active] or self.latents()[:1]

    def about_ace(self) -> tuple[Path, dict[str, Any]]:
        """The effects' file that has the seed, and its metadata."""
        from interneuron import io

        for path in self.inputs.ace:
            about = io.metadata(path)
            if self.seed() in about["seeds"]:
                return path, about
        raise InputError(f"no file of effects has seed {self.seed()}; there are {', '.join(map(str, self.inputs.ace))}")

    def alphas(self) -> list[float]:
        return [float(alpha) for alpha in self.about_ace()[1]["alphas"]]

    def pixels(self, name: str, latents: list[int] | None = None) -> Any:
        """A tensor of the effects' file on the pixels, as images; of some latents."""
        from interneuron import io

        path, about = self.about_ace()
        values = io.load_tensors(path, [name])[name]
        values = values if latents is None else values[latents]
        return self.image(values[..., -int(about["layers"][-1][1]) :])

    def image(self, values: Any) -> Any:
        """The last axis, pixels, as height and width."""
        side = round(values.shape[-1] ** 0.5)
        if side**2 != values.shape[-1]:
            raise InputError(f"{values.shape[-1]} pixels are no square image, which is what figures take")
        return values.reshape(*values.shape[:-1], side, side)

    def strongest(self, table: Any) -> Any:
        """Rows of the digit and, in each seed, of the latent with the largest KL."""
        first = self.kl().groupby("seed")["latent"].first()
        return table[(table["digit"] == self.digit) & (table["latent"] == table["seed"].map(first))]

    def effect_of(self, kind: str, latents: list[int]) -> Any:
        return self.pixels(f"seed{self.seed()}.digit{self.digit}.{kind}", latents)

    def reported(self) -> Any:
        import pandas as pd

        return pd.DataFrame(self.rows) if self.rows else None


def images(study: Study) -> tuple[Any, ...]:
    """What both traversals show."""
    latents = study.latents()
    title = f"Images of digit {study.digit} as one latent moves, seed {study.seed()}"
    return study.effect_of("traversal", latents), study.names(latents), study.alphas(), title


def traversal(study: Study) -> Any:
    return interneuron.thesis_plots.traversal(*images(study))


def traversal_frames(study: Study) -> Any:
    return interneuron.thesis_plots.traversal_frames(*images(study))


def effects(study: Study) -> Any:
    latents = study.active()
    title = f"Average causal effect of the active latents on the pixels of digit {study.digit}, seed {study.seed()}"
    return interneuron.thesis_plots.effects(
        study.effect_of("effect", latents), study.names(latents), study.alphas(), title
    )


def classes(study: Study) -> Any:
    title = f"Average causal effect of every class on the pixels, seed {study.seed()}"
    return interneuron.thesis_plots.classes(study.pixels(f"seed{study.seed()}.class.effect"), title)


def published(study: Study) -> Any:
    """The strongest latent and the weakest, a nuisance."""
    latents = list(dict.fromkeys([study.latents()[0], study.latents()[-1]]))
    title = f"Effects from common draws, and as published, digit {study.digit}, seed {study.seed()}"
    both = [study.effect_of(kind, latents) for kind in ("effect", "published")]
    return interneuron.thesis_plots.published(*both, study.names(latents), study.alphas(), title)


def kl(study: Study) -> Any:
    return interneuron.thesis_plots.kl(study.kl(), study.active_above)


def preference(study: Study) -> Any:
    return interneuron.thesis_plots.preference(study.strongest(study.table("sweep")), study.seed())


def clusters(study: Study) -> Any:
    return interneuron.thesis_plots.clusters(study.strongest(study.table("sweep")), study.reported())


def layers(study: Study) -> Any:
    return interneuron.thesis_plots.layers(study.strongest(study.table("clusters")), study.seed())


def sizes(study: Study) -> Any:
    table = study.strongest(study.table("lesions"))
    table = table[(table["scope"] == "all") & (table["ablation"] == "zero")]
    return interneuron.thesis_plots.sizes(table, study.reported())


def null(study: Study) -> Any:
    tables = [study.strongest(study.table(name)) for name in ("lesions", "null")]
    lesions, random = (table[table["ablation"] != "mean"] for table in tables)
    return interneuron.thesis_plots.null(lesions, random, study.seed(), study.fail_below)


def lesions(study: Study) -> Any:
    """Each reading's clustering nearest alpha = 0, of the first block's first seed: the one with example images."""
    from interneuron import io

    path = study.inputs.lesioned[0]
    table = study.strongest(io.load_table(study.inputs.lesions[0]))
    table = table[table["seed"] == table["seed"].min()]
    table = table[(table["set"] == "cluster") & (table["scope"] == "all") & (table["ablation"] == "zero")]
    alphas = [float(alpha) for alpha in io.metadata(path)["alphas"]]
    panels = []
    for reading in dict.fromkeys(table["reading"]):
        own = table[table["reading"] == reading]
        at = min((alphas.index(alpha) for alpha in own["alpha"]), key=lambda index: abs(alphas[index]))
        own = own[own["alpha"] == alphas[at]]
        own = own[own["draws"] == own["draws"].max()].sort_values("cluster")
        name = f"digit{study.digit}.alpha{at}.{reading}"
        images = study.image(io.load_tensors(path, [name])[name]) / 255
        rows = [
            f"{cluster}: {neurons:,} neurons, {accuracy:.0%}"
            for cluster, neurons, accuracy in zip(own["cluster"], own["neurons"], own["accuracy"], strict=True)
        ]
        kind = interneuron.thesis_plots.READINGS.get(reading, (reading,))[0]
        panels.append(
            {
                "title": f"clusters of {kind}, latent set to {alphas[at]:g}",
                "images": images,
                "names": ["intact", *rows],
                "fails": [False, *(own["accuracy"] < study.fail_below)],
            }
        )
    title = f"Digit {study.digit} with one cluster silenced (its size; images that the judge still recognises)"
    return interneuron.thesis_plots.lesions(panels, alphas, title)


def networks(study: Study) -> Any:
    """The metrics of each seed's regions as a whole."""
    table = study.table("metrics")
    return table[table["level"] == "network"].sort_values("seed", ignore_index=True)


def regions(study: Study) -> Any:
    """With the numbers that the paper read off its run."""
    reported = {
        claim["metric"]: float(claim["reported"])
        for claim in study.settings["claims"]
        if claim["metric"] in ("regions", "accuracy") and not claim["holds_if"]
    }
    return interneuron.region_plots.regions(networks(study), reported)


def statements(study: Study) -> list[dict[str, Any]]:
    """The paper's statements about the method; what it read off one run is none."""
    return [claim for claim in study.settings["claims"] if claim["holds_if"]]


def held(study: Study) -> Any:
    """By seed, how many of the paper's statements hold of it by themselves."""
    import pandas as pd

    from interneuron import claims

    metrics = study.table("metrics")
    held = pd.Series(0, index=sorted(metrics["seed"].unique()))
    for claim in statements(study):
        values = claims.select(claim, metrics)
        held[values.index[claims.parse(claim["holds_if"]).true_for(values)]] += 1
    return held


def row_of(study: Study, seed: int, title: str) -> dict[str, Any]:
    """What `region_plots.importance` takes of one seed: its regions of most support."""
    from interneuron import io

    path = next(path for path in study.inputs.maps if seed in io.metadata(path)["seeds"])
    maps = io.load_tensors(path, [f"seed{seed}.omega", "spread"])
    omega, spread = maps[f"seed{seed}.omega"][:, 0], maps["spread"]
    table = study.table("regions")
    table = table[table["seed"] == seed].iloc[: min(MOST_REGIONS, len(omega))]
    panels = [
        {
            "title": f"{pattern}, {support:.0%} of samples,\n{positives:.0%} taken for 1, {truth:.0%} are 1",
            "weights": weights,
            "spread": weights * spread,
        }
        for pattern, support, positives, truth, weights in zip(
            *(table[column] for column in ("pattern", "support", "positives", "truth")), omega, strict=False
        )
    ]
    return {"title": title, "regions": panels}


def importance(study: Study) -> Any:
    """The seed of which most of the paper's statements hold, and the one in the middle."""
    from interneuron import io

    counts = held(study)
    total = len(statements(study))
    most = int(counts.idxmax())
    middle = int(counts.sort_values(kind="stable").index[(len(counts) - 1) // 2])
    rows = [
        row_of(study, most, f"Seed {most}, most like the paper: {counts[most]} of {total} statements hold of it"),
        row_of(study, middle, f"Seed {middle}, in the middle: {counts[middle]} of {total}"),
    ]
    features = study.table("metrics")
    features = features[(features["level"] == "feature") & (features["seed"] == most)].set_index("feature")
    names = io.metadata(study.inputs.maps[0])["features"]
    return interneuron.region_plots.importance(rows, names, [features["correlated"].get(name) == 1 for name in names])


def merging(study: Study) -> Any:
    return interneuron.region_plots.merging(study.table("merging"), networks(study))


def borders(study: Study) -> Any:
    from interneuron import io

    quantiles = {}
    for path in study.inputs.maps:
        for seed in io.metadata(path)["seeds"]:
            quantiles[seed] = io.load_tensors(path, [f"seed{seed}.borders"])[f"seed{seed}.borders"]
    return interneuron.region_plots.borders(quantiles, study.table("regions"))


def readings(study: Study, table: Any) -> dict[str, Any]:
    """Rows of influence.parquet of the main reading, and of the same function and k without a graph, by name, as far as
    the study has them."""
    main = study.settings["main"]
    own = table[(table["function"] == study.settings["function"]) & (table["k"] == main["k"])]
    found = {"f alone": own[own["variant"] == "f-alone"]}
    if main["variant"] != "f-alone":
        found = {"influence": own[(own["variant"] == main["variant"]) & (own["p"] == main["p"])]} | found
    return {name: part for name, part in found.items() if len(part)}


def orders(study: Study) -> Any:
    """Of every seed: its number, what scores its samples by name, and what is known of them."""
    from interneuron import io, signals
    from interneuron.workflow.nodes import Nodes

    for path, features in zip(study.inputs.influence, study.inputs.features, strict=True):
        nodes = Nodes(study.inputs.data, features)
        for seed, table in io.load_table(path).groupby("seed", sort=True):
            known = {name: nodes.tensor(name, seed) for name in ("sample_id", "predicted", "scores")}
            known["y"] = nodes.y(known["sample_id"], seed)
            margin = signals.prediction_margin(known.pop("scores"))
            scores = {name: part["influence"].to_numpy() for name, part in readings(study, table).items()}
            yield seed, scores | {"smallest margin": -margin}, known | {"margin": margin}


def first_samples(study: Study) -> Any:
    """The ten samples of highest score of the first seed."""
    import numpy as np

    seed, scores, known = next(orders(study))
    rows = []
    for name, values in scores.items():
        first = np.argsort(-values, kind="stable")[:10]
        predicted, y = (known[key][first] for key in ("predicted", "y"))
        texts = [f"{a} for {b}" if a != b else f"{b}" for a, b in zip(predicted, y, strict=True)]
        rows.append({"title": name, "images": pictures(study, known["sample_id"][first])})
        rows[-1] |= {"texts": texts, "marked": predicted != y}
    title = f"Samples first in each order, seed {seed} (red: taken for another class; names are numbers of classes)"
    return interneuron.margin_plots.samples(rows, title)


def pictures(study: Study, rows: Any) -> Any:
    """Images of samples in [0, 1]."""
    import numpy as np

    from interneuron import io

    found = [io.load_tensors(study.inputs.data, ["x"], slice(int(row), int(row) + 1))["x"][0] for row in rows]
    return np.stack(found) / io.metadata(study.inputs.data)["scale"]


def inspection(study: Study) -> Any:
    import numpy as np

    from interneuron.margin_metrics import inspected

    steps, found, wrongs = 201, {}, []
    for _, scores, known in orders(study):
        wrong = known["predicted"] != known["y"]
        wrongs.append(wrong.mean())
        for name, values in (scores | {"random": np.zeros(len(wrong))}).items():
            counts = np.maximum(1, np.round(np.linspace(0, 1, steps) * len(wrong))).astype(int)
            shares = [inspected(values, count) @ wrong / max(wrong.sum(), 1) for count in counts]
            found.setdefault(name, []).append([0, *shares[1:]])
    curves = {name: np.array(values) for name, values in found.items()}
    title = f"Errors found by inspecting the first samples of each order, {len(wrongs)} seeds"
    return interneuron.margin_plots.inspection(curves, float(np.median(wrongs)), title)


def histograms(study: Study) -> Any:
    """Of the first seed: each function alone, and its influence, of the attacked images and the others."""
    from interneuron import boundary_metrics, io

    table = io.load_table(study.inputs.influence[0])
    seed = int(table["seed"].min())
    attacked = io.load_tensors(study.inputs.features[0], [f"seed{seed}.attacked"])[f"seed{seed}.attacked"] == 1
    panels = []
    for function in table["function"].unique():
        study.settings["function"] = function
        parts = readings(study, table[table["seed"] == seed])
        for name in sorted(parts):
            values = parts[name]["influence"].to_numpy()
            area = boundary_metrics.auroc(values, attacked)
            shared = boundary_metrics.overlap(values[attacked], values[~attacked])
            panels.append(
                {
                    "title": f"{function}, {name}",
                    "label": "over its maximum",
                    "values": (values[~attacked], values[attacked]),
                    "text": f"area under ROC {max(area, 1 - area):.3f}\noverlap {shared:.2f}",
                }
            )
    title = f"Attacked images and others, seed {seed}, k = {study.settings['main']['k']}"
    return interneuron.margin_plots.histograms(panels, ("not attacked", "attacked"), title)


def attacks(study: Study) -> Any:
    """Images of the first seed before and after the attack."""
    import numpy as np

    from interneuron import io

    seed = min(io.metadata(study.inputs.attacks[0])["seeds"])
    names = [f"seed{seed}.{name}" for name in ("sample_id", "attacked", "success", "distortion", "x")]
    rows, attacked, success, distortion, x = io.load_tensors(study.inputs.attacks[0], names).values()
    first = np.flatnonzero(success)[:10]
    before = pictures(study, rows[attacked == 1][first])
    marked = np.zeros(len(first), bool)
    return interneuron.margin_plots.samples(
        [
            {"title": "before", "images": before, "texts": [""] * len(first), "marked": marked},
            {
                "title": "after",
                "images": x[first],
                "texts": [f"moved by {distance:.2f}" for distance in distortion[first]],
                "marked": marked,
            },
        ],
        f"Successful attacks, seed {seed}",
    )


def labels(study: Study) -> Any:
    return interneuron.margin_plots.labels(study.table("metrics"))


# In the order in which MARGIN makes them, the final one last.
OVERLAYS = ("masking", "influence", "symmetric", "grad-cam", "occlusion")
MEASURES = {
    "deletion": "deletion (less is better)",
    "insertion": "insertion (more)",
    "pixels_needed": "pixels needed (less)",
    "gini": "sparsity, Gini (more)",
}


def judged(study: Study) -> Any:
    return interneuron.margin_plots.judged(study.table("metrics"), MEASURES)


def overlays(study: Study) -> Any:
    from interneuron import io

    photos, maps, names = [], [], []
    for path in study.inputs.overlays:
        for seed in io.metadata(path)["seeds"]:
            prefix = f"seed{seed}."
            own = [name for name in io.tensor_names(path) if name.startswith(prefix)]
            found = {name.removeprefix(prefix): values for name, values in io.load_tensors(path, own).items()}
            photos.append(found.pop("photo"))
            maps.append({name: found[name] for name in (*OVERLAYS, *found) if name in found})
            names.append(f"image {seed}")
    return interneuron.margin_plots.overlays(photos, maps, names)


def reported_errors(study: Study) -> Any:
    """Errors that the paper gives, as far as its claims are such numbers."""
    import pandas as pd

    keys = ("method", "function", "role", "count")
    rows = [
        {key: claim["where"][key] for key in keys} | {"error": float(claim["reported"])}
        for claim in study.settings["claims"]
        if claim["metric"] == "error" and set(keys) <= claim["where"].keys()
    ]
    return pd.DataFrame(rows, columns=[*keys, "error"]).drop_duplicates(ignore_index=True).sort_values("count")


def errors(study: Study) -> Any:
    table = study.table("metrics")
    selections, curves = (table[table["level"] == level] for level in ("selection", "curve"))
    return interneuron.margin_plots.errors(selections, curves, study.settings["main"], reported_errors(study))


def selected(study: Study, role: str) -> Any:
    """The first of the least seed's selections: MMD-critic's, and the main reading's."""
    import numpy as np

    from interneuron import io

    data = io.load_tensors(study.inputs.data, ["x"])["x"]
    table, main = study.table("chosen"), study.settings["main"]
    table = table[(table["seed"] == table["seed"].min()) & (table["role"] == role) & (table["rank"] < MOST_IMAGES)]
    rows, names = [], []
    p = 0 if main["variant"] == "f-alone" else main["p"]
    for (method, function, quota, order, threshold), part in table[
        (table["method"] != "margin")
        | ((table["variant"] == main["variant"]) & (table["k"] == main["k"]) & (table["p"] == p))
    ].groupby(["method", "function", "quota", "order", "threshold"], sort=True):
        rows.append(data[part.sort_values("rank")["sample_id"]])
        how = ", ".join(filter(None, [order, f"{threshold:.0%}" if threshold < 1 else "", quota.replace("none", "")]))
        names.append(f"{method}, {function.removeprefix('mmd-')}" + f"\n{how}" * bool(how))
    images = np.stack(rows)
    low, high = float(data.min()), float(data.max())
    return interneuron.margin_plots.selections((images - low) / (high - low), names, f"The first {role}")


def prototypes(study: Study) -> Any:
    return selected(study, "prototypes")


def criticisms(study: Study) -> Any:
    return selected(study, "criticisms")


def recall(study: Study) -> Any:
    table = study.table("metrics")
    return interneuron.margin_plots.recall(table[table["level"] == "method"], study.settings["main"], LOOKED_AT)


def suspects(study: Study) -> Any:
    table = study.table("suspects")
    seed = int(table["seed"].min())
    title = f"Labels that are most suspect, seed {seed} (sample: given \N{RIGHTWARDS ARROW} predicted)"
    return interneuron.margin_plots.suspects(table[table["seed"] == seed], study.settings["main"], title)


def layers_of(study: Study) -> Any:
    """Arrays and description of the first block's layers."""
    from interneuron import io

    return io.load_tensors(study.inputs.layers[0]), io.metadata(study.inputs.layers[0])


def class_maps(study: Study) -> Any:
    return interneuron.gsr_plots.class_maps(*layers_of(study))


def variants(study: Study) -> Any:
    return interneuron.gsr_plots.variants(study.table("metrics"))


def modules(study: Study) -> Any:
    return interneuron.gsr_plots.modules(study.table("metrics"))


def components(study: Study) -> Any:
    return interneuron.gsr_plots.components(*layers_of(study))


def pseudotime(study: Study) -> Any:
    return interneuron.gsr_plots.pseudotime(*layers_of(study))


def ring(study: Study) -> Any:
    return interneuron.gsr_plots.ring(*layers_of(study), study.table("metrics"))


def reconstruction(study: Study) -> Any:
    return interneuron.gsr_plots.reconstruction(study.table("metrics"))


def supernodes(study: Study) -> Any:
    return interneuron.gsr_plots.supernodes(*layers_of(study))


def alignment(study: Study) -> Any:
    return interneuron.gsr_plots.alignment(*layers_of(study))


# What draws each picture.
FIGURES = Registry(
    "figure",
    {
        "traversal.png": traversal,
        "traversal.gif": traversal_frames,
        "effects.png": effects,
        "classes.png": classes,
        "published.png": published,
        "kl.png": kl,
        "preference.png": preference,
        "clusters.png": clusters,
        "layers.png": layers,
        "lesions.png": lesions,
        "sizes.png": sizes,
        "null.png": null,
        "gallery.png": first_samples,
        "inspection.png": inspection,
        "histograms.png": histograms,
        "attacks.png": attacks,
        "errors.png": errors,
        "prototypes.png": prototypes,
        "criticisms.png": criticisms,
        "recall.png": recall,
        "suspects.png": suspects,
        "regions.png": regions,
        "importance.png": importance,
        "merging.png": merging,
        "borders.png": borders,
        "labels.png": labels,
        "judged.png": judged,
        "overlays.png": overlays,
        "class-maps.png": class_maps,
        "variants.png": variants,
        "modules.png": modules,
        "components.png": components,
        "pseudotime.png": pseudotime,
        "ring.png": ring,
        "reconstruction.png": reconstruction,
        "supernodes.png": supernodes,
        "alignment.png": alignment,
    },
)


def main(job: Any) -> None:
    from interneuron import io

    name = job.wildcards.figure
    picture = FIGURES[name](Study(job.input, job.params.settings))
    path = Path(job.output[0])
    if path.suffix == ".gif":
        io.save_animation(path, picture, MS_A_FRAME)
    else:
        io.save_figure(path, picture)
    log.info(f"{name}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    step(main, snakemake)
