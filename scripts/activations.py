"""Every neuron of the decoder under do(z_l = alpha, c_d = 1), for the treated latents of every seed."""

from interneuron.errors import InputError
from interneuron.io import load_table, load_tensors, metadata, save_tensors
from interneuron.workflow.script import Progress, log, step


def treated(training, seed, settings):
    """KL divergence by treated latent, largest first: the active latents, or the strongest where none is."""
    tested = training[(training["seed"] == seed) & (training["split"] == "test")]
    kl = tested[tested["metric"].str.startswith("kl:")].sort_values("value", ascending=False, kind="stable")
    by_latent = {int(metric[3:]): value for metric, value in zip(kl["metric"], kl["value"], strict=True)}
    if not by_latent:
        raise InputError(f"seed {seed}: the training table has no kl:* on the test split")
    if settings["latents"] != "active":
        missing = sorted(set(settings["latents"]) - set(by_latent))
        if missing:
            raise InputError(f"latents are {missing}, and the model has 0 to {len(by_latent) - 1}")
        return {latent: value for latent, value in by_latent.items() if latent in settings["latents"]}
    active = {latent: value for latent, value in by_latent.items() if value > settings["active_above"]}
    return active or dict([next(iter(by_latent.items()))])


def main(job):
    import torch

    from interneuron.capture import activations, sites
    from interneuron.causal import draws, interventions
    from interneuron.nets import decoder_network, load

    settings = job.params.settings
    about, weights, training = (
        metadata(job.input.weights),
        load_tensors(job.input.weights),
        load_table(job.input.training),
    )
    latents = about["arguments"]["latents"]
    out, by_seed, sizes = {}, {}, {}
    progress = Progress("activations", "seeds")
    for done, seed in enumerate(about["seeds"]):
        decoder = decoder_network(load(weights, about, seed))
        classes = decoder.linear1.in_features - latents
        if not all(0 <= digit < classes for digit in settings["digits"]):
            raise InputError(f"digits are {settings['digits']}, and the model has classes 0 to {classes - 1}")
        kl = treated(training, seed, settings)
        log.info(
            f"seed {seed}: {len(kl)} {'active' if settings['latents'] == 'active' else 'chosen'} latents"
            f" ({', '.join(f'z{latent} {value:.2f}' for latent, value in kl.items())} nats)"
        )
        by_seed[str(seed)] = list(kl)
        z = draws(settings["draws"], latents, seed, "activations", settings["sampling"])
        # Linear layers are left out: a neuron is what comes out of its nonlinearity.
        layers = ["input", *(name for name, _ in decoder.named_children() if not name.startswith("linear"))]
        shapes = sites(decoder, torch.zeros(1, latents + classes))
        sizes = {name: shapes[name][0] for name in layers}
        for digit in settings["digits"]:
            context = torch.eye(classes)[digit].numpy()
            for latent in kl:
                x = interventions(z, context, latent, settings["alphas"])
                y = activations(decoder, x.flatten(0, 1), layers)
                y = torch.cat([y[name] for name in layers], 1)
                out[f"seed{seed}.digit{digit}.z{latent}"] = y.view(*x.shape[:2], -1).numpy()
        progress(done + 1, len(about["seeds"]))
    save_tensors(
        job.output[0],
        out,
        {
            "layers": [[name, size] for name, size in sizes.items()],
            "alphas": settings["alphas"],
            "digits": settings["digits"],
            "seeds": about["seeds"],
            "latents": by_seed,
        },
    )


if __name__ == "__main__":
    step(main, snakemake)
