"""Wrong labels: whom influence and other scores suspect, and how many of the known ones inspecting those finds."""

from interneuron.seeds import generator, parse_block
from interneuron.workflow.nodes import Graphs, Nodes
from interneuron.workflow.script import Progress, log, step

KEYS = ["function", "variant", "k", "p"]


def out_of_sample(x, y, settings, seed):
    """Probabilities of the classes, each sample's by the logistic regression on the folds that it is not in."""
    from interneuron.baselines import cross_validated_probabilities

    return cross_validated_probabilities(x, y, generator(seed, "folds"), settings["folds"], settings["decay"])


def scores(graphs, x, y, held, wrong, settings, seed):
    """Scores of one seed's samples by methods other than influence, high where a label is likely wrong."""
    import numpy as np

    from interneuron import baselines

    decay = settings["decay"]
    model = baselines.logistic_regression(x, y, decay)
    for k in graphs.ks:
        yield {"method": "knn-loss", "k": k}, baselines.knn_loss(graphs.graph(seed, k), y)
    yield {"method": "influence-function"}, baselines.self_influence(x, y, decay)
    yield {"method": "loss"}, baselines.label_loss(model.probabilities(x), y, model.classes)
    yield {"method": "cross-validated-loss"}, baselines.label_loss(held, y, model.classes)
    yield {"method": "cleanlab"}, baselines.confident_learning(held, y, model.classes)
    yield {"method": "random"}, generator(seed, "random order").permutation(len(y)).astype(np.float64)
    if wrong.any():
        yield {"method": "oracle"}, wrong.astype(np.float64)


def main(job):
    import numpy as np
    import pandas as pd

    from interneuron import baselines, margin_metrics, signals
    from interneuron.graphs import principal_components
    from interneuron.io import load_table, save_table

    settings, seeds = job.params.settings, list(parse_block(job.wildcards.block))
    nodes, graphs = Nodes(job.input.data, job.input.features), Graphs(job.input.graph)
    influence = load_table(job.input.influence)
    progress = Progress("inspection", "seeds")
    tables, suspects, x = [], [], None
    for done, seed in enumerate(seeds):
        progress(done, len(seeds))
        rows = graphs.rows(seed)
        true, y = nodes.y(rows, seed), nodes.y(rows, seed, settings["flip"])
        if x is None or not graphs.alike:
            x = nodes.x(rows, seed)
            if graphs.about["components"] is not None and settings["features"] == "graph":
                x = principal_components(x, graphs.about["components"])
            # The column of ones is the intercept.
            x = np.column_stack([x, np.ones(len(x))])
        clean = baselines.logistic_regression(x, true, settings["decay"])
        depth = signals.prediction_margin(clean.probabilities(x))
        own = influence[influence["seed"] == seed].groupby(KEYS, sort=True)
        methods = [
            (
                {"method": "margin", "function": function, "variant": variant, "k": k, "p": p},
                part["influence"].to_numpy(),
            )
            for (function, variant, k, p), part in own
        ]
        held = out_of_sample(x, y, settings, seed)
        methods += scores(graphs, x, y, held, y != true, settings, seed)
        predicted = np.unique(y)[held.argmax(1)]
        for names, values in methods:
            table = margin_metrics.recall(values, y != true, depth, settings["shares"])
            usual = {"seed": seed, "function": "", "variant": "", "k": 0, "p": 0} | names
            tables.append(pd.DataFrame(usual | table))
            if names["method"] in ("random", "oracle"):
                continue
            first = np.argsort(-values, kind="stable")[: settings["suspects"]]
            known = {"sample_id": rows[first], "given": y[first], "predicted": predicted[first]}
            known |= {"flipped": (y != true)[first].astype(np.int64), "score": values[first]}
            suspects.append(pd.DataFrame(usual | {"rank": np.arange(1, len(first) + 1)} | known))
    columns = ["seed", "method", "function", "variant", "k", "p", "share", "inspected", "recall", "depth"]
    save_table(job.output.audited, pd.concat(tables, ignore_index=True)[columns])
    columns = [*columns[:6], "rank", "sample_id", "given", "predicted", "flipped", "score"]
    save_table(job.output.suspects, pd.concat(suspects, ignore_index=True)[columns])
    log.info(f"{len(tables) // len(seeds)} scores of {len(rows):,} samples, {len(seeds)} seeds")


if __name__ == "__main__":
    step(main, snakemake)
