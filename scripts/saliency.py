"""Saliency maps of photos by superpixels, gradients and windows, and how good each is; a seed is a photo."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_table, save_tensors
from interneuron.registry import Registry
from interneuron.seeds import generator, parse_block
from interneuron.workflow.script import Progress, log, step

SPLITS = {"train": [0], "test": [1], "all": [0, 1]}


class Photo:
    """One image, as the network and as SLIC take it, and the network's probabilities of its classes."""

    def __init__(self, network, pixels, scale, settings):
        import numpy as np
        import torch
        from scipy.ndimage import gaussian_filter

        def tensor(values):
            channels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
            return torch.from_numpy(np.ascontiguousarray(channels, dtype=np.float32))

        self.network, self.settings = network, settings
        self.image = pixels.astype(np.float32) / np.float32(scale)
        self.x = tensor(self.image)
        # Not along the colours.
        width = [settings["blur"]] * 2 + [0] * (pixels.ndim - 2)
        self.blurred = tensor(gaussian_filter(self.image, width))
        fill = settings["fill"]
        self.fill = self.x.mean((1, 2), keepdim=True) if fill == "mean" else fill
        with torch.no_grad():
            chances = self.scores(self.x[None])[0]
        self.target, self.score = int(chances.argmax()), float(chances.max())

    def scores(self, x):
        return self.network(x).softmax(1)

    def masked(self):
        """Its superpixels, and how much masking each changes the score."""
        from interneuron.saliency import masking_effect, superpixels

        parts = superpixels(self.image, self.settings["superpixels"], self.settings["compactness"])
        batch = self.settings["batch"]
        return parts, masking_effect(self.scores, self.x, parts, self.fill, self.target, batch)

    def measures(self, saliency):
        """How good a map is: a row's numbers."""
        from interneuron import saliency as maps

        steps, batch = self.settings["steps"], self.settings["batch"]
        inserted = maps.pixel_curve(self.scores, self.blurred, self.x, saliency, self.target, steps, batch)
        return {
            "deletion": maps.deletion_auc(self.scores, self.x, saliency, self.fill, self.target, steps, batch),
            "insertion": maps.area(inserted),
            "pixels_needed": maps.share_needed(inserted, self.settings["keep"]),
            "gini": maps.gini(saliency),
        }


def gradients(photo, seed):
    from interneuron.saliency import grad_cam

    return grad_cam(photo.network, photo.x, photo.settings["grad_cam"], photo.target)


def windows(photo, seed):
    from interneuron.saliency import occlusion

    how = photo.settings["occlusion"]
    return occlusion(
        photo.scores, photo.x, how["window"], how["stride"], photo.fill, photo.target, photo.settings["batch"]
    )


def chance(photo, seed):
    return generator(seed, "random saliency").random(photo.x.shape[1:])


# Maps that are not of superpixels.
BASELINES = Registry("saliency map", {"grad-cam": gradients, "occlusion": windows, "random": chance})


def maps_of(photo, seed):
    """Name, neighbours, hops and map of every method; influence alone is kept to be seen, and is not measured."""
    from interneuron.saliency import margin_saliency

    settings = photo.settings
    parts, effects = photo.masked()
    for reading in settings["readings"]:
        found = margin_saliency(effects, parts, reading["k"], reading["variant"], reading["p"])
        if reading == settings["readings"][0]:
            yield "influence", 0, 0, found.influence
            yield "masking", 0, 0, found.effect
        yield reading["variant"], reading["k"], reading["p"], found.saliency
    for name in settings["baselines"]:
        yield name, 0, 0, BASELINES[name](photo, seed)


def main(job):
    import numpy as np
    import pandas as pd
    import torch

    from interneuron.nets import load

    torch.set_num_threads(job.threads)
    settings = job.params.settings
    weights, about = load_tensors(job.input.weights), metadata(job.input.weights)
    network = load(weights, about, about["seeds"][0])
    data, scale = load_tensors(job.input.data), metadata(job.input.data)["scale"]
    rows = np.flatnonzero(np.isin(data["split"], SPLITS[settings["split"]]))
    seeds, table, kept, progress = list(parse_block(job.wildcards.block)), [], {}, Progress("saliency", "photos")
    if seeds[-1] >= len(rows):
        raise InputError(
            f"photo {seeds[-1]} is asked of {len(rows)} in the split {settings['split']}; a seed is a photo"
        )
    for done, seed in enumerate(seeds):
        sample = int(rows[seed])
        photo = Photo(network, data["x"][sample], scale, settings)
        own = {"seed": seed, "sample_id": sample, "target": photo.target, "probability": photo.score}
        own["right"] = photo.target == int(data["y"][sample])
        for method, k, p, saliency in maps_of(photo, seed):
            if seed in settings["shown"] and f"seed{seed}.{method}" not in kept:
                kept[f"seed{seed}.{method}"] = saliency.astype(np.float32)
            if method != "influence":
                table.append(own | {"method": method, "k": k, "p": p} | photo.measures(saliency))
        if seed in settings["shown"]:
            kept[f"seed{seed}.photo"] = (255 * photo.image).round().astype(np.uint8)
        progress(done + 1, len(seeds))
    found = pd.DataFrame(table)
    log.info(
        f"{len(seeds)} photos, {found.groupby('seed')['right'].first().mean():.0%} of them classified right; deletion "
        f"{found[found['method'] == settings['readings'][0]['variant']]['deletion'].median():.3f} in the median"
    )
    save_table(job.output.saliency, found)
    save_tensors(job.output.overlays, kept, {"seeds": [seed for seed in seeds if seed in settings["shown"]]})


if __name__ == "__main__":
    step(main, snakemake)
