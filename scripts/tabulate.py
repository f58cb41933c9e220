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
    weighted_counts,
    word_counts,
)
from interneuron.errors import InputError
from interneuron.io import save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator
from interneuron.workflow.script import log, step


def drawn(settings, samples):
    return random_split(samples, settings["test_share"], generator(settings["seed"], "split"))


def boolean(files, settings):
    features, random = settings["features"], generator(settings["seed"], "samples")
    x, y = boolean_table(settings["samples"], features, settings["terms"], random)
    return x, y, [f"v{number + 1}" for number in range(features)], drawn(settings, len(y))


def titanic(files, settings):
    x, y = read_titanic(files[settings["file"]])
    return x, y, TITANIC, drawn(settings, len(y))


def modules(files, settings):
    from interneuron import simulate

    names = ("modules", "seed", "repeats", "samples", "noise", "scale")
    x, y = simulate.binary_modules(**{name: settings[name] for name in names})
    features = [f"m{m + 1}.{n + 1}" for m in range(settings["modules"]) for n in range(settings["repeats"])]
    return x, y, features, drawn(settings, len(y))


def nested(files, settings):
    from interneuron import simulate

    names = ("samples", "seed", "groups", "features", "correlation", "jump")
    x, y = simulate.nested_clusters(**{name: settings[name] for name in names})
    features = [f"g{g + 1}.{n + 1}" for g in range(settings["groups"]) for n in range(settings["features"])]
    return x, y, features, drawn(settings, len(y))


def fcs(files, settings):
    from interneuron import data_gsr

    x, markers = data_gsr.read_fcs(files[settings["file"]])
    missing = [marker for marker in settings["gates"] if marker not in markers]
    if missing:
        raise InputError(f"{settings['file']} has no marker {missing[0]}, it has {', '.join(markers)}")
    y = np.zeros(len(x), np.int64)
    for bit, (marker, gate) in enumerate(settings["gates"].items()):
        y += (x[:, markers.index(marker)] > gate).astype(np.int64) << bit
    return x, y, markers, drawn(settings, len(y))


def enron(files, settings):
    """The words are chosen, and weighed, by the train mails alone."""
    texts, y, _ = read_enron(files[settings["file"]])
    test = drawn(settings, len(y))
    words = vocabulary((text for text, held in zip(texts, test, strict=True) if not held), settings["words"])
    counts = word_counts(texts, words)
    return weighted_counts(counts, settings["weighting"], settings["unit_rows"], ~test), y, words, test


READERS = Registry(
    "reader",
    {"boolean": boolean, "titanic": titanic, "enron": enron, "modules": modules, "nested": nested, "fcs": fcs},
)


def main(job):
    settings = job.params.settings
    files = {Path(file).name: file for file in job.input.files}
    x, y, features, test = READERS[settings["reader"]](files, settings)
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
