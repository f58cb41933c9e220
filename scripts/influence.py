"""Influence of every node: explanation functions on the graphs of a study, and what the graph filters leave of them."""

from interneuron.registry import Registry
from interneuron.seeds import parse_block
from interneuron.workflow.nodes import Graphs, Nodes
from interneuron.workflow.script import Progress, log, step


class At:
    """What an explanation function may ask of one seed's nodes."""

    def __init__(self, nodes, rows, seed, flip):
        self.x, self.y = nodes.x(rows, seed), nodes.y(rows, seed, flip)
        self.features = lambda name: nodes.tensor(name, seed)


def mmd_global(at, graph, arguments):
    from interneuron import signals

    return signals.mmd(at.x, graph, arguments["gamma"])


def mmd_local(at, graph, arguments):
    from interneuron import signals

    return signals.mmd(at.x, graph, arguments["gamma"], at.y)


def mmd_squared_global(at, graph, arguments):
    return mmd_global(at, graph, arguments) ** 2


def mmd_squared_local(at, graph, arguments):
    return mmd_local(at, graph, arguments) ** 2


def distrust(at, graph, arguments):
    from interneuron import signals

    return signals.distrust(graph, at.y if arguments["labels"] == "y" else at.features("predicted"))


def kde(at, graph, arguments):
    from interneuron import signals

    predicted, train = at.features("predicted"), (at.features("train.x"), at.features("train.y"))
    return signals.kernel_density(at.x, predicted, *train, arguments["bandwidth"], arguments["log"])


def margin(at, graph, arguments):
    from interneuron import signals

    return signals.prediction_margin(at.features("scores"))


def column(at, graph, arguments):
    return at.features(arguments["column"])


# Explanation functions, each f [n] or [n, columns] of a seed's nodes and graph.
FUNCTIONS = Registry(
    "explanation function",
    {
        "mmd-global": mmd_global,
        "mmd-local": mmd_local,
        "mmd-squared-global": mmd_squared_global,
        "mmd-squared-local": mmd_squared_local,
        "distrust": distrust,
        "kde": kde,
        "margin": margin,
        "column": column,
    },
)


def name_of(arguments):
    """What a function is called in tables."""
    if arguments.get("labels") == "predicted":
        return f"{arguments['function']}-predicted"
    return arguments.get("name", arguments.get("column", arguments["function"]))


def tables(at, graph, settings, k):
    """Rows of influence.parquet of one seed and k, a table a function and filter."""
    import numpy as np
    import pandas as pd

    from interneuron.influence import influence

    for arguments in settings["functions"]:
        f = np.asarray(FUNCTIONS[arguments["function"]](at, graph, arguments))
        size = f if f.ndim == 1 else np.linalg.norm(f, axis=1)
        for entry in settings["filters"]:
            for p in entry["p"] if entry["variant"] != "f-alone" else [0]:
                values = influence(graph, f, entry["variant"], max(p, 1))
                yield pd.DataFrame(
                    {
                        "function": name_of(arguments),
                        "variant": entry["variant"],
                        "k": k,
                        "p": p,
                        "f": size.astype(np.float32),
                        "influence": values.astype(np.float32),
                    }
                )


def main(job):
    import pandas as pd

    from interneuron.io import save_table

    settings, seeds = job.params.settings, list(parse_block(job.wildcards.block))
    nodes, graphs = Nodes(job.input.data, job.input.features), Graphs(job.input.graph)
    progress = Progress("influence", "seeds")
    parts, own = [], None
    for done, seed in enumerate(seeds):
        progress(done, len(seeds))
        rows = graphs.rows(seed)
        if own is None or not graphs.alike or settings["flip"] or job.input.features:
            at = At(nodes, rows, seed, settings["flip"])
            own = [part for k in graphs.ks for part in tables(at, graphs.graph(seed, k), settings, k)]
            own = [part.assign(sample_id=rows) for part in own]
        parts += [part.assign(seed=seed) for part in own]
    columns = ["seed", "sample_id", "function", "variant", "k", "p", "f", "influence"]
    save_table(job.output[0], pd.concat(parts, ignore_index=True)[columns])
    log.info(f"{len(own)} influences of {len(rows):,} nodes, {len(seeds)} seeds")


if __name__ == "__main__":
    step(main, snakemake)
