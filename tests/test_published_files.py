"""Studies of files as they are published, where only some can be had: on generated files of the same form."""

import hashlib
import io
import subprocess

import numpy as np
import pytest
import torch
from conftest import Workspace
from PIL import Image
from scipy.io import savemat
from synthetic import packed

from interneuron import io as files
from interneuron._torchvision import import_torchvision

STUDY = """\
based_on: margin-boundaries-pets
title: A few generated photos
dataset: generated
model: random-network
seeds: 2
block: 2
graph: {k: [5, 10]}
features: {head: {folds: 4}, batch: 8}
evaluate: {main: {k: 5}, top: 0.2}
figures: [gallery.png]
claims:
  - id: labels
    source: interneuron
    states: as many samples of most influence are misclassified as of random ones
    metric: over_random
    where: {level: boundary, function: distrust-predicted, variant: symmetric, p: 1, k: 5}
    reported: none
    holds_if: median >= 0
"""
DATASET = """\
title: Generated photos
description: Noise, brighter for dogs.
licence: none
source: here
files:
  - {path: photos.tar, members: generated.sha256, sha256: SHA256, urls: ["http://127.0.0.1:9/"]}
mirror: photos
prepare: {reader: photos, file: photos.tar, side: 80, crop: 64, test: validation, classes: 2}
"""
MODEL = """\
title: A network of random weights
description: As one that was trained elsewhere.
licence: none
source: here
architecture: photo-network
arguments: {factory: squeezenet1_1, colours: imagenet, classes: 1000}
files:
  - {path: network.pth, sha256: SHA256, urls: ["http://127.0.0.1:9/network.pth"]}
mirror: network
checkpoint: {format: state-dict, file: network.pth}
"""


def photos() -> dict[str, bytes]:
    rng, found = np.random.default_rng(0), {}
    for number in range(24):
        animal = ("cat", "dog")[number % 2]
        pixels = rng.integers(0, 156, (90, 100, 3)) + 100 * (animal == "dog")
        jpeg = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(jpeg, "JPEG")
        found[f"{('train', 'validation')[number // 12]}/{animal}s/{animal}.{number}.jpg"] = jpeg.getvalue()
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.system
def test_published_files_become_features(workspace: Workspace) -> None:
    """The rules `pack` and `convert`, and what reads them, as a user runs them."""
    mirror, config, contents = workspace.folder / "mirror", workspace.folder / "config", photos()
    torch.manual_seed(0)
    network = import_torchvision().models.squeezenet1_1(num_classes=1000)
    saved = io.BytesIO()
    torch.save(network.state_dict(), saved)
    for name, content in {f"photos/{name}": content for name, content in contents.items()}.items():
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(content)
    (mirror / "network").mkdir()
    (mirror / "network/network.pth").write_bytes(saved.getvalue())
    sums = "".join(f"{sha256(contents[name])}  {name}\n" for name in sorted(contents))
    (config / "datasets/generated.sha256").write_text(sums)
    (config / "datasets/generated.yaml").write_text(DATASET.replace("SHA256", sha256(packed(contents))))
    (config / "models/random-network.yaml").write_text(MODEL.replace("SHA256", sha256(saved.getvalue())))
    (config / "studies/generated.yaml").write_text(STUDY)

    workspace.snakemake("--config", "studies=[generated]", INTERNEURON_MIRROR=str(mirror))

    assert {"pack", "convert", "features"} <= {path.name for path in (workspace.folder / "logs").iterdir()}
    claims = files.load_table(workspace.folder / "results/claims.tsv")
    assert claims["study"].tolist() == ["generated"]
    x = files.load_tensors(workspace.folder / "results/studies/generated/000-001/features.safetensors", ["x"])["x"]
    images = files.load_tensors(workspace.folder / "data/prepared/generated.safetensors", ["x"])["x"]
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        layer = network.eval().features((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    torch.testing.assert_close(torch.from_numpy(x), layer.mean((2, 3)), rtol=1e-4, atol=1e-5)
    assert "Nothing to be done" in workspace.snakemake("--config", "studies=[generated]")


@pytest.mark.system
def test_a_teapot_turns_around_a_ring(workspace: Workspace) -> None:
    """The rule `blob`, and what reads its file: the study of the teapot, of a bright spot that goes around."""
    mirror, config = workspace.folder / "mirror/teapots", workspace.folder / "config"
    angles = 2 * np.pi * np.arange(400) / 400
    r, c = np.mgrid[:76, :101]
    near = (r - 38 - 25 * np.sin(angles)[:, None, None]) ** 2 + (c - 50 - 25 * np.cos(angles)[:, None, None]) ** 2
    gray = (255 * np.exp(-near / 200)).astype(np.uint8)
    columns = [np.stack([image] * 3, axis=-1).ravel(order="F") for image in gray]
    mirror.mkdir(parents=True)
    savemat(mirror / "Teapots.mat", {"Input": {"images": np.stack(columns, axis=1)}})
    name = subprocess.run(
        ["git", "hash-object", "--no-filters", "Teapots.mat"], cwd=mirror, check=True, capture_output=True, text=True
    ).stdout.strip()
    entry = config / "datasets/teapots.yaml"
    refused = workspace.run(
        *("snakemake", "--config", "studies=[gsr-teapot]"), INTERNEURON_MIRROR=str(mirror.parent), status=1
    )
    assert f"git's name for them is {name} and not 650e11dd" in refused
    entry.write_text(entry.read_text().replace("650e11dd9912c51b3e6275f0d25c84f2db09bc9c", name))
    model = config / "models/gsr-teapot.yaml"
    model.write_text(model.read_text().replace("iterations: 16400", "iterations: 300"))

    workspace.snakemake("--config", "studies=[gsr-teapot]", INTERNEURON_MIRROR=str(mirror.parent))

    data = files.load_tensors(workspace.folder / "data/prepared/teapots.safetensors", ["x", "split"])
    assert data["x"].shape == (400, 28, 28, 3)
    assert data["split"].tolist() == [1] * 72 + [0] * 328
    # The middle of each test image's light is where the spot is at five degrees times its row.
    light = data["x"][:72, ..., 0].astype(float)
    middle = np.stack([(light * axis).sum((1, 2)) for axis in np.mgrid[:28, :28] - 13.5]) / light.sum((1, 2))
    turned = np.unwrap(np.arctan2(middle[0] * 76, middle[1] * 101)) - np.arange(72) * 2 * np.pi / 72
    assert np.abs(turned).max() < 0.1
    claims = files.load_table(workspace.folder / "results/claims.tsv")
    assert set(claims["study"]) == {"gsr-teapot"}
    assert claims["measured"].notna().all()
    assert (workspace.folder / "results/studies/gsr-teapot/figures/ring.png").is_file()
