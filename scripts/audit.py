"""Wrong labels: how many of them are found by inspecting samples in the order of influence, and of other scores."""

from interneuron.seeds import generator, parse_block
from interneuron.workflow.nodes import Graphs, Nodes
from interneuron.workflow.script import Progress, log, step

KEYS = ["function", "variant", "k", "p"]


def scores(graphs, x, y, wrong, settings, seed):
    """Scores of one seed's samples by methods other than influence, high where a label is likely wrong."""
    import numpy as np

    from interneuron import baselines

    decay = settings["decay"]
    model = baselines.logistic_regression(x, y, decay)
    folds = generator(seed, "folds")
    held = baselines.cross_validated_probabilities(x, y, folds, settings["folds"], decay)
    for k in graphs.ks:
        yield {"method": "knn-loss", "k": k}, baselines.knn_loss(graphs.graph(seed, k), y)
    yield {"method": "influence-function"}, baselines.self_influence(x, y, decay)
    yield {"method": "loss"}, baselines.label_loss(model.probabilities(x), y, model.classes)
    yield {"method": "cross-validated-loss"}, baselines.label_loss(held, y, model.classes)
    yield {"method": "cleanlab"}, baselines.confident_learning(held, y, model.classes)
    yield {"method": "random"}, generator(seed, "random order").permutation(len(y)).astype(np.float64)
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
    tables, x = [], None
    for done, seed in enumerate(seeds):
        progress(done, len(seeds))
        rows = graphs.rows(seed)
        true, y = nodes.y(rows, seed), nodes.y(rows, seed, settings["flip"])
        if x is None or not graphs.alike:
            x = nodes.x(rows, seed)
            if graphs.about["components"] is not None:
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
        methods += scores(graphs, x, y, y != true, settings, seed)
        for names, values in methods:
            table = margin_metrics.recall(values, y != true, depth, settings["shares"])
            usual = {"function": "", "variant": "", "k": 0, "p": 0}
            tables.append(pd.DataFrame({"seed": seed} | usual | names | table))
    columns = ["seed", "method", "function", "variant", "k", "p", "share", "inspected", "recall", "depth"]
    save_table(job.output[0], pd.concat(tables, ignore_index=True)[columns])
    log.info(f"{len(tables) // len(seeds)} scores of {len(rows):,} samples, {len(seeds)} seeds")


if __name__ == "__main__":
    step(main, snakemake)
