"""Read a dataset's files into one file of images, classes and split."""

from pathlib import Path

import numpy as np

from interneuron.data import (
    check_classes,
    prefix_classes,
    random_split,
    read_digits,
    read_idx_images,
    read_idx_labels,
    read_photos,
    read_usps,
    stratified_split,
)
from interneuron.errors import InputError
from interneuron.io import save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step


def idx(files, settings):
    parts = []
    for part in ("train", "test"):
        images, labels = (files[settings[part][kind]] for kind in ("images", "labels"))
        x, y = read_idx_images(images, settings.get("transposed", False)), read_idx_labels(labels)
        check_classes(x, y, settings["classes"], f"{images} with {labels}")
        parts.append((x, y))
    (x, y), (x_test, y_test) = parts
    if x.shape[1:] != x_test.shape[1:]:
        sizes = " pixels and test images of ".join(f"{h} x {w}" for h, w in (x.shape[1:], x_test.shape[1:]))
        raise InputError(f"train images are of {sizes}; it takes one size")
    split = np.repeat(np.array([0, 1], np.uint8), [len(y), len(y_test)])
    return np.concatenate([x, x_test]), np.concatenate([y, y_test]), split, 255


def digits(files, settings):
    x, y = read_digits(files[settings["file"]])
    check_classes(x, y, settings["classes"], settings["file"])
    test = stratified_split(y, settings["test_share"], generator(settings["split_seed"], "split"))
    return x, y, test.astype(np.uint8), 16


def photos(files, settings):
    path = files[settings["file"]]
    x, y, names = read_photos(path, settings["side"], settings["crop"], Progress("prepare", "photos"))
    check_classes(x, y, settings["classes"], path)
    test = np.array([settings["test"] in name.split("/")[:-1] for name in names])
    if test.all() or (settings["test"] is not None and not test.any()):
        raise InputError(f"{path} has {test.sum():,} of {len(test):,} photos in folders named {settings['test']}")
    return x, y, test.astype(np.uint8), 255


def usps(files, settings):
    (x, y), (x_test, y_test) = (read_usps(files[settings[part]]) for part in ("train", "test"))
    split = np.repeat(np.array([0, 1], np.uint8), [len(y), len(y_test)])
    return np.concatenate([x, x_test]), np.concatenate([y, y_test]), split, 1


def imagenet(files, settings):
    x, _, names = read_photos(
        files[settings["file"]], settings["side"], settings["crop"], Progress("prepare", "photos")
    )
    return x, prefix_classes(names, settings["ids"]), np.ones(len(x), np.uint8), 255


def coil20(files, settings):
    from interneuron.data_gsr import read_coil20

    x, y, _ = read_coil20(files[settings["file"]])
    test = random_split(len(y), settings["test_share"], generator(settings["seed"], "split"))
    return x, y, test.astype(np.uint8), 255


def teapots(files, settings):
    from interneuron.data_gsr import read_teapots

    x = read_teapots(files[settings["file"]], settings["side"])
    # The test images come first, so that row v of them is v times 5 degrees, as in COIL-20; to half a degree.
    views = np.rint(np.arange(0, 360, 5) * len(x) / 360).astype(np.int64)
    rows = np.concatenate([views, np.setdiff1d(np.arange(len(x)), views)])
    test = np.arange(len(x)) < len(views)
    return x[rows], np.zeros(len(x), np.int64), test.astype(np.uint8), 255


READERS = Registry(
    "reader",
    {
        "idx": idx,
        "digits": digits,
        "usps": usps,
        "photos": photos,
        "imagenet": imagenet,
        "coil20": coil20,
        "teapots": teapots,
    },
)


def main(job):
    settings = job.params.settings
    files = {Path(file).name: file for file in job.input.files}
    x, y, split, scale = READERS[settings["reader"]](files, settings)
    save_tensors(job.output[0], {"x": x, "y": y, "split": split}, {"classes": settings["classes"], "scale": scale})
    counts = np.bincount(y, minlength=settings["classes"])
    log.info(
        f"{np.sum(split == 0):,} train and {np.sum(split == 1):,} test images of {x.shape[1]} x {x.shape[2]},"
        f" {settings['classes']} classes of {counts.min():,} to {counts.max():,}"
    )


if __name__ == "__main__":
    step(main, snakemake)
