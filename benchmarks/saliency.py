"""Superpixel saliency of one image against captum's FeatureAblation and LIME, for a network of AlexNet's shape.

21 segmentations of about 1,300 superpixels; torchvision's AlexNet with random weights, 224 x 224 pixels. All run in
turn in one process on the same threads; effects are checked against captum's. LIME (1,000 samples, its default) is
tried where it is installed.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from captum.attr import FeatureAblation
from skimage.data import astronaut
from skimage.transform import resize

from interneuron._torchvision import import_torchvision
from interneuron.saliency import masking_effect, superpixels


def seconds(run):
    """Wall time of run(), and what it returns."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def ablation(network, x, parts, target):
    """captum's effects [superpixels], one segmentation after another."""
    effects = np.empty(len(parts.sizes))
    for labels in parts.labels:
        mask = torch.from_numpy(labels)[None, None]
        found = FeatureAblation(network).attribute(x[None], target=target, feature_mask=mask)
        effects[labels] = found[0, 0].abs().numpy()
    return effects


def lime(network, image, samples):
    """LIME's explanation of the best class."""
    from lime.lime_image import LimeImageExplainer

    def classify(images):
        with torch.no_grad():
            return network(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()).numpy()

    return LimeImageExplainer(random_state=0).explain_instance(
        image, classify, top_labels=1, hide_color=0, num_samples=samples, batch_size=16
    )


def main():
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segmentations", type=int, default=21)
    parser.add_argument("--superpixels", type=int, default=1300, help="about so many in all")
    parser.add_argument("--side", type=int, default=224, help="pixels of the image's side")
    parser.add_argument("--samples", type=int, default=1000, help="LIME's")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repetitions")
    arguments = parser.parse_args()
    image = resize(astronaut(), (arguments.side, arguments.side), anti_aliasing=True)
    x = torch.from_numpy(image).permute(2, 0, 1).float().contiguous()
    torch.manual_seed(0)
    alexnet = import_torchvision().models.alexnet(weights=None).eval().requires_grad_(False)
    network = torch.nn.Sequential(alexnet, torch.nn.Softmax(1))
    mean = arguments.superpixels / arguments.segmentations
    counts = np.linspace(0.4 * mean, 1.6 * mean, arguments.segmentations).round().astype(int).tolist()
    segmenting, parts = seconds(lambda: superpixels(image, counts))
    target = int(network(x[None]).argmax())
    runs = {
        "masking_effect": lambda: masking_effect(network, x, parts, target=target),
        "masking_effect in bfloat16": lambda: half(network, x, parts, target),
        "captum FeatureAblation": lambda: ablation(network, x, parts, target),
        "LIME": lambda: lime(network, image, arguments.samples),
    }
    times, results = {}, {}
    for _ in range(arguments.repeats):
        for name, run in runs.items():
            try:
                spent, results[name] = seconds(run)
            except ImportError as error:
                results[name] = error
                continue
            times.setdefault(name, []).append(spent)
    print(f"{len(parts.sizes)} superpixels of {len(counts)} segmentations, SLIC {segmenting:.2f} s")
    for name, found in times.items():
        ratio = median(b / a for a, b in zip(times["masking_effect"], found, strict=True))
        print(f"  {name}: {median(found):.1f} s, {ratio:.2f} x the time of masking_effect")
    effects, theirs = results["masking_effect"], results["captum FeatureAblation"]
    print(f"  largest difference to captum {np.abs(effects - theirs).max():.1e} of {theirs.max():.1e}")
    ranks = [np.argsort(np.argsort(results[name])) for name in ("masking_effect", "masking_effect in bfloat16")]
    print(f"  rank correlation of bfloat16 {np.corrcoef(*ranks)[0, 1]:.4f}")
    if np.abs(effects - theirs).max() > 1e-3 * theirs.max():
        raise SystemExit("effects differ from captum's")


def half(network, x, parts, target):
    """Effects with the products in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        return masking_effect(network, x, parts, target=target, batch=32)


if __name__ == "__main__":
    main()
