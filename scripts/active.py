"""Active learning: nodes chosen in several ways are labelled, and a graph network trained on each choice."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table
from interneuron.registry import Registry
from interneuron.seeds import generator, parse_block
from interneuron.workflow.script import Progress, log, step


def first(scores, pool):
    """The pool, largest score first."""
    import numpy as np

    return pool[np.argsort(-scores[pool], kind="stable")]


class Graph:
    """A graph with features and classes, and what may be labelled of it."""

    def __init__(self, path):
        import numpy as np

        from interneuron.citations import csr_from_parts
        from interneuron.graphs import from_links

        data = load_tensors(path)
        self.y, self.w = data["y"], from_links(data["links"], len(data["y"]))
        self.x = csr_from_parts(data, "x", metadata(path)["features"])
        self.pool, self.test, self.validation = (np.flatnonzero(data["split"] == part) for part in range(3))


def by_class(graph, counts, seed):
    from interneuron.baselines import random_by_class

    draws = generator(seed, "random")
    return [graph.pool[random_by_class(graph.y[graph.pool], count, draws)] for count in counts]


def resampled(graph, counts, seed):
    from interneuron.baselines import resampling_probabilities, weighted_order

    chances = resampling_probabilities(graph.w, graph.x.toarray())[graph.pool]
    order = graph.pool[weighted_order(chances, generator(seed, "resampling"))]
    return [order[:count] for count in counts]


def by_degree(graph, counts, seed):
    from interneuron.graphs import degrees

    order = first(degrees(graph.w), graph.pool)
    return [order[:count] for count in counts]


def by_pagerank(graph, counts, seed):
    from interneuron.baselines import pagerank

    order = first(pagerank(graph.w), graph.pool)
    return [order[:count] for count in counts]


def everything(graph, counts, seed):
    return [graph.pool]


# What chooses nodes without an explanation function.
BASELINES = Registry(
    "way of choosing nodes",
    {
        "random": by_class,
        "resampling": resampled,
        "degree": by_degree,
        "pagerank": by_pagerank,
        "all": everything,
    },
)


def choices(graph, latent, settings, seed):
    """Method, hops and labelled nodes of every run of a seed."""
    from interneuron.influence import influence

    for entry in settings["filters"]:
        hops = [0] if entry["variant"] == "f-alone" else entry["p"]
        for p in hops:
            order = first(influence(graph.w, latent, entry["variant"], max(p, 1)), graph.pool)
            yield from ((entry["variant"], p, order[:count]) for count in settings["labels"])
    for name in settings["baselines"]:
        yield from ((name, 0, nodes) for nodes in BASELINES[name](graph, settings["labels"], seed))


def main(job):
    import numpy as np
    import pandas as pd
    import torch

    from interneuron.graph_networks import classify

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    graph = Graph(job.input.data)
    if settings["labels"][-1] > len(graph.pool):
        raise InputError(
            f"{settings['labels'][-1]} labels asked of {len(graph.pool)} nodes that may be labelled; it takes no more"
        )
    tables, seeds = [], list(parse_block(job.wildcards.block))
    for seed in seeds:
        latent = load_tensors(job.input.embedding, [f"seed{seed}.latent"])[f"seed{seed}.latent"]
        methods, hops, labelled = zip(*choices(graph, latent, settings, seed), strict=True)
        found = classify(
            graph.w,
            graph.x,
            graph.y,
            labelled,
            graph.validation,
            seed,
            progress=Progress(f"active, seed {seed}", "epochs at most"),
            **settings["classifier"],
        )
        accuracy = (found.predicted[:, graph.test] == graph.y[graph.test]).mean(1)
        tables.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "method": methods,
                    "p": hops,
                    "labels": [len(nodes) for nodes in labelled],
                    "accuracy": accuracy,
                    "classes": [len(np.unique(graph.y[nodes])) for nodes in labelled],
                    "epochs": found.epochs,
                }
            )
        )
        log.info(f"seed {seed}: {len(labelled)} networks, accuracy {accuracy.min():.1%} to {accuracy.max():.1%}")
    save_table(job.output[0], pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    step(main, snakemake)
