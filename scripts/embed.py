"""A graph autoencoder a seed: a latent vector for every node of a given graph."""

from interneuron.io import load_tensors, metadata, save_tensors
from interneuron.seeds import parse_block
from interneuron.workflow.script import Progress, log, step


def main(job):
    import torch

    from interneuron.citations import csr_from_parts
    from interneuron.graph_networks import autoencode
    from interneuron.graphs import from_links

    torch.set_num_threads(job.threads)
    settings = {name: value for name, value in job.params.settings.items() if name != "code"}
    data = load_tensors(job.input.data)
    w = from_links(data["links"], len(data["y"]))
    x = csr_from_parts(data, "x", metadata(job.input.data)["features"])
    seeds, out = list(parse_block(job.wildcards.block)), {}
    for seed in seeds:
        progress = Progress(f"embed, seed {seed}", "epochs")
        found = autoencode(w, x, seed, progress=progress, **settings)
        out |= {f"seed{seed}.latent": found.latent, f"seed{seed}.loss": found.loss}
        log.info(f"seed {seed}: loss {found.loss[0]:.4f} to {found.loss[-1]:.4f}")
    save_tensors(job.output[0], out, {"seeds": seeds})


if __name__ == "__main__":
    step(main, snakemake)
