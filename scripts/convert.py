"""Weights of a network that exists, from its published files: one file in the form that trained networks have."""

from pathlib import Path

from interneuron.errors import InputError
from interneuron.io import save_tensors
from interneuron.registry import Registry
from interneuron.workflow.script import log, step


def openvino(files, settings):
    from interneuron.io.checkpoints import read_openvino

    return read_openvino(files[settings["xml"]], files[settings["bin"]])


def state_dict(files, settings):
    from interneuron.io.checkpoints import read_state_dict

    return read_state_dict(files[settings["file"]], settings["key"], settings["prefix"] or "")


FORMATS = Registry("format of weights", {"openvino": openvino, "state-dict": state_dict})


def main(job):
    from interneuron.nets import build, named

    settings = job.params.settings
    files = {Path(file).name: file for file in job.input.files}
    architecture, arguments = settings["architecture"], settings["arguments"]
    checkpoint = settings["checkpoint"]
    # torchvision's network, whose names published files have, is a module of ours.
    published = named(build(architecture, arguments).network, FORMATS[checkpoint["format"]](files, checkpoint))
    tensors = {f"network.{name}": tensor for name, tensor in published.items()}
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        where = ", ".join(sorted(files))
        raise InputError(f"{broken[0]} of {where} has NaN or infinite values; weights take finite numbers")
    about = {"architecture": architecture, "arguments": arguments, "seeds": [0]}
    save_tensors(job.output[0], {name: tensor[None] for name, tensor in tensors.items()}, about)
    log.info(f"{arguments['factory']}: {sum(tensor.numel() for tensor in tensors.values()):,} numbers")


if __name__ == "__main__":
    step(main, snakemake)
