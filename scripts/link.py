"""Read a graph with features and classes of its nodes: links, features as CSR, classes and split in one file."""

from pathlib import Path

import numpy as np

from interneuron import citations
from interneuron.data import stratified_split
from interneuron.errors import InputError
from interneuron.io import save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator
from interneuron.workflow.script import log, step

# What a node is for.
LABELLED, TEST, VALIDATION, APART = range(4)


def planetoid(files, settings):
    """With the published split; what is neither test nor validation node may be labelled, if its class is known."""
    folder = Path(next(iter(files.values()))).parent
    graph = citations.read_planetoid(folder, settings["name"])
    split = np.where(graph.y >= 0, LABELLED, APART)
    split[graph.test], split[graph.validation] = TEST, VALIDATION
    return graph, split


def karate(files, settings):
    """With a split drawn class by class."""
    graph = citations.karate_club()
    draw = generator(settings["split_seed"], "split")
    split = np.zeros(len(graph.y), np.int64)
    test = stratified_split(graph.y, settings["test_share"], draw)
    rest = np.flatnonzero(~test)
    split[test] = TEST
    split[rest[stratified_split(graph.y[rest], settings["validation_share"], draw)]] = VALIDATION
    return graph, split


READERS = Registry("reader", {"planetoid": planetoid, "karate": karate})


def main(job):
    settings = job.params.settings
    files = {Path(file).name: file for file in job.input.files}
    graph, split = READERS[settings["reader"]](files, settings)
    classes = settings["classes"]
    if graph.y.max() >= classes:
        raise InputError(f"the graph has a node of class {graph.y.max()}; it takes 0 to {classes - 1}")
    save_tensors(
        job.output[0],
        citations.csr_parts(graph.x, "x") | {"y": graph.y, "links": graph.links, "split": split.astype(np.uint8)},
        {"classes": classes, "features": graph.x.shape[1]},
    )
    log.info(
        f"{len(graph.y):,} nodes, {len(graph.links):,} links as listed, {graph.x.shape[1]:,} features; "
        f"{np.sum(split == TEST):,} nodes to test on, {np.sum(split == VALIDATION):,} to validate, "
        f"{np.sum(split == LABELLED):,} that may be labelled"
    )


if __name__ == "__main__":
    step(main, snakemake)
