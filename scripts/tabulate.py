"""Read or generate a table: features, classes and split in one file."""

from pathlib import Path

import numpy as np

from interneuron.data import (
    TITANIC,
    boolean_table,
    random_split,
    read_enron,
    read_titanic,
    vocabulary,
    word_counts,
)
from interneuron.io import save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator
from interneuron.workflow.script import log, step


def boolean(files, settings):
    features, random = settings["features"], generator(settings["seed"], "samples")
    x, y = boolean_table(settings["samples"], features, settings["terms"], random)
    return x, y, [f"v{number + 1}" for number in range(features)]


def titanic(files, settings):
    return *read_titanic(files[settings["file"]]), TITANIC


def enron(files, settings):
    texts, y, _ = read_enron(files[settings["file"]])
    words = vocabulary(texts, settings["words"])
    return word_counts(texts, words), y, words


READERS = Registry("reader", {"boolean": boolean, "titanic": titanic, "enron": enron})


def main(job):
    settings = job.params.settings
    files = {Path(file).name: file for file in job.input.files}
    x, y, features = READERS[settings["reader"]](files, settings)
    test = random_split(len(y), settings["test_share"], generator(settings["seed"], "split"))
    classes = settings["classes"]
    tensors = {"x": x, "y": y, "split": test.astype(np.uint8)}
    save_tensors(job.output[0], tensors, {"classes": classes, "features": features})
    counts = np.bincount(y, minlength=classes)
    log.info(
        f"{np.sum(~test):,} train and {np.sum(test):,} test samples of {len(features)} features,"
        f" {classes} classes of {counts.min():,} to {counts.max():,}"
    )


if __name__ == "__main__":
    step(main, snakemake)
