"""Adversarial images of half of the samples of every seed, against the network of the same seed."""

from interneuron.errors import InputError
from interneuron.registry import Registry
from interneuron.seeds import generator
from interneuron.workflow.nodes import Nodes
from interneuron.workflow.script import Progress, log, step


def fast_gradient_sign(network, x, y, arguments):
    from interneuron import attacks

    return attacks.fast_gradient_sign(network, x, y, arguments["epsilon"], batch=arguments["batch"])


def carlini_wagner(network, x, y, arguments):
    from interneuron import attacks

    return attacks.carlini_wagner(network, x, y, **arguments)


METHODS = Registry("attack", {"fast_gradient_sign": fast_gradient_sign, "carlini_wagner": carlini_wagner})


def main(job):
    import numpy as np
    import torch

    from interneuron.io import load_tensors, metadata, save_tensors
    from interneuron.nets import load

    torch.set_num_threads(job.threads)
    settings, scale = job.params.settings, metadata(job.input.data)["scale"]
    data, nodes = load_tensors(job.input.data, ["x", "y"]), Nodes(job.input.data)
    weights, about = load_tensors(job.input.weights), metadata(job.input.weights)
    (method,) = (name for name in ("fast_gradient_sign", "carlini_wagner") if settings[name] is not None)
    out, progress = {}, Progress("attack", "seeds")
    for done, seed in enumerate(about["seeds"]):
        progress(done, len(about["seeds"]))
        network = load(weights, about, seed)
        rows = nodes.rows(settings["samples"], seed)
        x = torch.from_numpy(data["x"][rows]).unsqueeze(1) / scale
        y = torch.from_numpy(data["y"][rows])
        with torch.no_grad():
            right = (network(x).argmax(1) == y).numpy()
        # Images that are taken for another class as they are need no attack.
        order = generator(seed, "attacked").permutation(np.flatnonzero(right))
        if len(order) < settings["attacked"]:
            raise InputError(
                f"seed {seed}: {settings['attacked']} attacks asked of {len(order)} images classified right"
            )
        if settings["attacked"] >= len(rows):
            raise InputError(f"attack.attacked is {settings['attacked']} of {len(rows)} samples; it takes fewer")
        chosen = np.sort(order[: settings["attacked"]])
        found = METHODS[method](network, x[chosen], y[chosen], settings[method])
        if not found.success.any():
            raise InputError(
                f"seed {seed}: none of {len(chosen)} attacks succeeded, so that there is nothing to tell apart; a "
                "larger epsilon or constant, or more iterations, move images further"
            )
        attacked = np.zeros(len(rows), np.uint8)
        attacked[chosen] = 1
        tensors = {"sample_id": rows, "attacked": attacked, "x": found.x[:, 0]}
        tensors |= {"success": found.success, "distortion": found.distortion}
        out |= {f"seed{seed}.{name}": value for name, value in tensors.items()}
        log.info(
            f"seed {seed}: {found.success.sum():,} of {len(chosen):,} attacks successful, moved by "
            f"{found.distortion[found.success].mean():.2f} on the average"
        )
    save_tensors(job.output[0], out, {"seeds": about["seeds"]})


if __name__ == "__main__":
    step(main, snakemake)
