"""The graphs of a study: nearest neighbours of the samples, in the data or in a network's features of them."""

from interneuron.seeds import parse_block
from interneuron.workflow.nodes import Nodes, save_graphs
from interneuron.workflow.script import log, step


def main(job):
    import numpy as np
    from scipy import sparse

    from interneuron import graphs

    settings, seeds = job.params.settings, list(parse_block(job.wildcards.block))
    nodes, k = Nodes(job.input.data, job.input.features), settings["k"][-1]
    parts, recalls = [], []
    for seed in seeds[:1] if nodes.alike(settings["samples"]) else seeds:
        rows = nodes.rows(settings["samples"], seed)
        x = nodes.x(rows, seed)
        if settings["components"] is not None:
            x = graphs.principal_components(x, settings["components"])
        found = graphs.neighbours(x, k, settings["metric"], seed=seed)
        ends = np.arange(0, found.index.size + 1, k, dtype=np.int32)
        # Nearest first: the first of each row are the neighbours of a smaller k.
        own = sparse.csr_array((found.distance.ravel(), found.index.ravel(), ends), (len(x), len(x)))
        parts.append((rows, own))
        recalls.append(found.recall)
    save_graphs(job.output[0], parts, settings | {"seeds": seeds, "recall": min(recalls)})
    log.info(f"{len(parts)} of {len(parts[0][0]):,} nodes, {k} neighbours each, recall {min(recalls):.4f}")


if __name__ == "__main__":
    step(main, snakemake)
