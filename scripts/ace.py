"""Measure the average causal effect of every latent and class on every neuron of the decoder, for each seed."""

from interneuron.errors import InputError
from interneuron.io import load_tensors, metadata, save_tensors
from interneuron.seeds import generator
from interneuron.workflow.script import Progress, log, step


def main(job):
    import numpy as np
    import torch

    from interneuron import capture, causal, nets

    settings = job.params.settings
    alphas, digits, draws = settings["alphas"], settings["digits"], settings["draws"]
    replicates = settings["replicates"]
    published, published_classes = settings["published_draws"], settings["published_class_draws"]
    tensors, made = load_tensors(job.input.weights), metadata(job.input.weights)
    data = load_tensors(job.input.data, ["y", "split"])
    classes = metadata(job.input.data)["classes"]
    frequencies = np.bincount(data["y"][data["split"] == 0], minlength=classes)
    if made["arguments"]["classes"] != classes:
        raise InputError(f"the model has {made['arguments']['classes']} classes, and the data have {classes}")
    if not all(0 <= digit < classes for digit in digits):
        raise InputError(f"digits are {digits}, and the model has classes 0 to {classes - 1}")
    onehot = np.eye(classes, dtype=np.float32)
    progress = Progress("effects", "digits")
    out = {}
    for number, seed in enumerate(made["seeds"]):
        vae = nets.load(tensors, made, seed)
        decoder, latents = nets.decoder_network(vae), vae.latents
        layers = [name for name, _ in decoder.named_children() if not name.startswith("linear")]
        shapes = capture.sites(decoder, torch.zeros(1, latents + classes))
        samples = np.stack([causal.draws(draws, latents, seed, "effects", replicate=r) for r in range(replicates)])
        traversed = causal.draws(1, latents, seed, "traversal", "independent")
        for done, digit in enumerate(digits):
            context = onehot[digit]
            effects = causal.sampled_effects(decoder, layers, samples, context, alphas)
            mean, covariance = np.append(np.zeros(latents), context), np.diag(np.repeat([1, 0], [latents, classes]))
            walks = [causal.interventions(traversed, context, latent, alphas)[:, 0] for latent in range(latents)]
            found = {
                "effect": effects.effect,
                "error": effects.error,
                "baseline": effects.baseline,
                "taylor": causal.taylor_effects(decoder, layers, mean, covariance, alphas, range(latents)),
                "published": causal.published_effects(
                    decoder, layers, generator(seed, "published", digit), latents, context, alphas, published
                ),
                "traversal": decoder(torch.stack(walks)),
            }
            out |= {f"seed{seed}.digit{digit}.{name}": value for name, value in found.items()}
            pixels = effects.effect[..., -vae.pixels :]
            ranges = np.ptp(pixels, axis=1).max(axis=1)
            order = np.argsort(-ranges)[:2]
            log.info(
                f"seed {seed}, digit {digit}: effects on pixels {pixels.min():.2f} to {pixels.max():.2f}, largest "
                + ", ".join(f"z{latent} ({ranges[latent]:.2f} over the alphas)" for latent in order)
                + f"; standard errors up to {effects.error.max():.2g}"
            )
            progress(number * len(digits) + done + 1, len(made["seeds"]) * len(digits))
        effects = causal.class_effects(decoder, layers, samples, frequencies)
        found = {
            "effect": effects.effect,
            "error": effects.error,
            "baseline": effects.baseline,
            "published": causal.published_class_effects(
                decoder, layers, generator(seed, "published classes"), latents, frequencies, published_classes
            ),
        }
        out |= {f"seed{seed}.class.{name}": value for name, value in found.items()}
    save_tensors(
        job.output[0],
        {name: np.asarray(value, dtype=np.float32) for name, value in out.items()},
        {
            "layers": [[layer, shapes[layer][0]] for layer in layers],
            "alphas": alphas,
            "digits": digits,
            "seeds": made["seeds"],
            "draws": draws,
            "replicates": replicates,
            "published_draws": published,
            "published_class_draws": published_classes,
        },
    )


if __name__ == "__main__":
    step(main, snakemake)
