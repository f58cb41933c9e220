"""Prototypes and criticisms: by every reading of influence, by MMD-critic, and at random."""

from interneuron.seeds import generator, parse_block
from interneuron.workflow.nodes import Graphs, Nodes
from interneuron.workflow.script import Progress, log, step

# Whether the kernel of a function is the local one, which MMD-critic then takes as well.
LOCAL = {"mmd-global": False, "mmd-squared-global": False, "mmd-local": True, "mmd-squared-local": True}


def by_influence(own, y, settings):
    """Selections of one seed's readings of influence, each with what names it."""
    from interneuron.influence import criticisms, prototypes

    count = settings["counts"][-1]
    orders = [("influence", 1.0)]
    orders += [(order, share) for order in ("f-least", "f-most") for share in settings["thresholds"]]
    for (function, variant, k, p), part in own.groupby(["function", "variant", "k", "p"], sort=True):
        influence, f = part["influence"].to_numpy(), part["f"].to_numpy()
        names = {"method": "margin", "function": function, "variant": variant, "k": k, "p": p}
        for quota in settings["quotas"]:
            classes = y if quota == "class" else None
            for order, threshold in orders:
                chosen = prototypes(influence, f, count, order, threshold, classes)
                yield names | {"role": "prototypes", "quota": quota, "order": order, "threshold": threshold}, chosen
            yield names | {"role": "criticisms", "quota": quota}, criticisms(influence, count, classes)


def others(functions, x, y, settings, seed):
    """Selections of one seed by MMD-critic, with the kernel of each function that has one, and at random."""
    from interneuron.baselines import mmd_critic

    count, found = settings["counts"][-1], {}
    for function in functions:
        if function not in LOCAL:
            continue
        local = LOCAL[function]
        if local not in found:
            found[local] = mmd_critic(x, count, count, settings["gamma"], y if local else None)
        names = {"method": "mmd-critic", "function": function}
        yield names | {"role": "prototypes"}, found[local].prototypes
        yield names | {"role": "criticisms"}, found[local].criticisms
    for draw in range(settings["draws"]):
        chosen = generator(seed, "random selection", draw).permutation(len(y))[:count]
        yield {"method": "random", "role": "random", "draw": draw}, chosen


def main(job):
    import numpy as np
    import pandas as pd

    from interneuron.io import load_table, save_table

    settings, seeds = job.params.settings, list(parse_block(job.wildcards.block))
    nodes, graphs = Nodes(job.input.data, job.input.features), Graphs(job.input.graph)
    influence = load_table(job.input.influence)
    progress = Progress("selections", "seeds")
    tables = []
    for done, seed in enumerate(seeds):
        progress(done, len(seeds))
        rows = graphs.rows(seed)
        x, y = nodes.x(rows, seed), nodes.y(rows, seed)
        own = influence[influence["seed"] == seed]
        functions = sorted(own["function"].unique())
        for names, chosen in (*by_influence(own, y, settings), *others(functions, x, y, settings, seed)):
            usual = {"function": "", "variant": "", "k": 0, "p": 0, "quota": "none", "order": "", "threshold": 1.0}
            place = {"seed": seed, "rank": np.arange(len(chosen)), "sample_id": rows[chosen]}
            tables.append(pd.DataFrame(usual | {"draw": 0} | names | place))
    columns = ["seed", "method", "function", "variant", "k", "p", "role", "quota", "order", "threshold", "draw"]
    save_table(job.output[0], pd.concat(tables, ignore_index=True)[[*columns, "rank", "sample_id"]])
    log.info(f"{len(tables) // len(seeds)} selections of {settings['counts'][-1]} samples, {len(seeds)} seeds")


if __name__ == "__main__":
    step(main, snakemake)
