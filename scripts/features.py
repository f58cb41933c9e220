"""A hidden layer of the study's network over its samples, and what the network takes them for."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_tensors
from interneuron.seeds import generator, parse_block
from interneuron.workflow.nodes import Nodes
from interneuron.workflow.script import Progress, log, step


class Images:
    """Images of a prepared dataset, as tensors in [0, 1], a batch at a time: one channel, or RGB."""

    def __init__(self, path):
        self.path, self.scale = path, metadata(path)["scale"]

    def batches(self, rows, size):
        import torch

        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            low = int(part.min())
            x = load_tensors(self.path, ["x"], slice(low, int(part.max()) + 1))["x"][part - low]
            if x.ndim not in (3, 4):
                raise InputError(f"{self.path}: x has the shape {list(x.shape)}; a network takes images")
            values = torch.from_numpy(x)
            yield (values.unsqueeze(1) if x.ndim == 3 else values.permute(0, 3, 1, 2)) / self.scale


def layers(network, batches, settings, count=0):
    """The layer's activations float32 [n, d], and the softmax of the logits [n, classes]."""
    import numpy as np
    import torch

    from interneuron.capture import activations, sites

    layer, parts, progress = settings["layer"], [], Progress("features", "batches")
    for x in batches:
        progress(len(parts), count)
        found = activations(network, x, [layer, "output"], batch=len(x))
        values = found[layer]
        if settings["pool"] == "average":
            shape = sites(network, x)[layer]
            if len(shape) != 3:
                raise InputError(f"layer {layer} has the shape {list(shape)}; an average takes channels and positions")
            values = values.unflatten(1, (shape[0], -1)).mean(-1)
        parts.append((values.numpy(), torch.softmax(found["output"], 1).numpy()))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def natural(network, images, rows, settings):
    """Features and scores of samples as they are."""
    return layers(network, images.batches(rows, settings["batch"]), settings, -(-len(rows) // settings["batch"]))


def attacked(network, images, path, seed, settings):
    """Tensors of a seed's samples of which half were attacked: the others, then the successes."""
    import numpy as np
    import torch

    names = ("sample_id", "attacked", "success", "distortion", "x")
    found = load_tensors(path, [f"seed{seed}.{name}" for name in names])
    rows, was, success, distortion, moved = found.values()
    clean = rows[was == 0]
    pieces = torch.from_numpy(moved[success]).unsqueeze(1).split(settings["batch"])
    parts = [natural(network, images, clean, settings), layers(network, pieces, settings)]
    x, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {
        "sample_id": np.concatenate([clean, rows[was == 1][success]]),
        "attacked": np.repeat([0, 1], [len(part[0]) for part in parts]).astype(np.uint8),
        "distortion": np.concatenate([np.zeros(len(clean), np.float32), distortion[success]]),
        "x": x,
        "scores": scores,
    }


def head(x, y, classes, seed, settings):
    """Scores [n, classes] of every sample by logistic regression on the layer, trained on the folds that it is not in;
    0 of classes that no sample is of."""
    import numpy as np

    from interneuron.baselines import cross_validated_probabilities

    spread = x.std(0)
    design = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
    design = np.column_stack([design, np.ones(len(x), np.float32)])
    found = cross_validated_probabilities(design, y, generator(seed, "folds"), settings["folds"], settings["decay"])
    scores = np.zeros((len(x), classes), np.float32)
    scores[:, np.unique(y)] = found
    return scores


def main(job):
    import numpy as np
    import torch

    from interneuron.nets import load

    torch.set_num_threads(job.threads)
    settings, seeds = job.params.settings, list(parse_block(job.wildcards.block))
    weights, about = load_tensors(job.input.weights), metadata(job.input.weights)
    images, nodes = Images(job.input.data), Nodes(job.input.data)
    y = load_tensors(job.input.data, ["y"])["y"]
    # A network that exists is one for all seeds, and has one x of the same samples.
    exists = not set(seeds) <= set(about["seeds"])
    out, scores, accuracies = {}, None, []
    alike = exists and nodes.alike(settings["samples"])
    same_test = exists and not settings["samples"]["redrawn"]
    for seed in seeds:
        network = load(weights, about, about["seeds"][0] if exists else seed)
        if job.input.attacks:
            own = attacked(network, images, job.input.attacks, seed, settings)
        elif alike and scores is not None:
            own = {"scores": scores}
        else:
            rows = nodes.rows(settings["samples"], seed)
            x, scores = natural(network, images, rows, settings)
            own = {"sample_id": rows, "x": x, "scores": scores}
        if alike:
            out |= {name: own.pop(name) for name in ("sample_id", "x") if name in own}
        rows, x = ({**out, **own}[name] for name in ("sample_id", "x"))
        if settings["head"] is not None:
            own["scores"] = head(x, y[rows], metadata(job.input.data)["classes"], seed, settings["head"])
        own["predicted"] = own["scores"].argmax(1)
        if settings["reference"]:
            train = np.flatnonzero(nodes.split(settings["samples"], seed) == 0)
            own |= {"train.x": natural(network, images, train, settings)[0], "train.y": y[train]}
        if settings["tested"] and "test.x" not in out:
            test = nodes.of_split("test", settings["samples"], seed)
            held = {"test.sample_id": test, "test.x": natural(network, images, test, settings)[0]}
            (out if same_test else own).update(held)
        out |= {f"seed{seed}.{name}": value for name, value in own.items()}
        accuracies.append((own["predicted"] == y[rows]).mean())
    save_tensors(job.output[0], out, {"seeds": seeds, "layer": settings["layer"]})
    log.info(
        f"{len(seeds)} seeds, {len(rows):,} samples of {x.shape[1]:,} features, {min(accuracies):.2%} to "
        f"{max(accuracies):.2%} of them classified right"
    )


if __name__ == "__main__":
    step(main, snakemake)
