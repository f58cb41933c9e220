"""Steps of studies, and the kinds of study: what each makes, and what it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A step of a study: the files that it makes, and the steps that it cannot do without."""

    files: tuple[str, ...]
    needs: tuple[str, ...] = ()


# In the order of the chain.
STEPS = {
    "activations": Step(("activations.safetensors",)),
    "ace": Step(("ace.safetensors",)),
    "cluster": Step(("clusters.parquet", "sweep.parquet"), ("activations", "ace")),
    "lesion": Step(("lesions.parquet", "null.parquet", "lesioned.safetensors"), ("activations", "cluster")),
    "regions": Step(("regions.parquet", "maps.safetensors", "merging.parquet")),
    "attack": Step(("attacks.safetensors",)),
    "features": Step(("features.safetensors",)),
    "structure": Step(("structure.parquet", "layers.safetensors")),
    "graph": Step(("graph.npz",)),
    "influence": Step(("influence.parquet",), ("graph",)),
    "choose": Step(("chosen.parquet",), ("influence",)),
    "audit": Step(("audited.parquet", "suspects.tsv"), ("influence",)),
    "embed": Step(("embedding.safetensors",)),
    "active": Step(("active.parquet",), ("embed",)),
    "saliency": Step(("saliency.parquet", "overlays.safetensors")),
    "evaluate": Step(("metrics.parquet",)),
}

# Where a file lies below results/studies/{study}/{block}/, by its name without suffix.
FILES = {file.partition(".")[0]: file for step in STEPS.values() for file in step.files}
MAKER = {file.partition(".")[0]: name for name, step in STEPS.items() for file in step.files}


@dataclass(frozen=True)
class Kind:
    """A kind of study.

    sections: steps, any of whose sections makes a study one of this kind. reads: what its metrics are made from: names
    of `FILES`, and `data`, `training`, `judge` (the judge's training). features: whether its graphs may be made in a
    network's features, which its metrics are then made from too. figures: what each picture is made from, beside the
    training of the study's model, if it has one. architectures: of the models that it takes; none: it has no model.
    samples: its seeds are samples of the data, and say nothing of the model, of which the first network is opened.
    """

    sections: tuple[str, ...]
    reads: tuple[str, ...]
    figures: Mapping[str, tuple[str, ...]]
    features: bool = False
    architectures: tuple[str, ...] = ()
    samples: bool = False

    def steps(self) -> tuple[str, ...]:
        """The steps that make what its metrics are made from."""
        return tuple(dict.fromkeys(MAKER[name] for name in self.reads if name in MAKER))

    def takes(self) -> list[str]:
        """All steps that a study of this kind may have."""
        found = {*self.sections, *self.steps(), "evaluate"} | ({"features"} if self.features else set())
        for step in reversed(STEPS):
            if step in found:
                found.update(STEPS[step].needs)
        return [step for step in STEPS if step in found]


KINDS = {
    "neurons": Kind(
        sections=("activations", "ace", "cluster", "lesion"),
        reads=("data", "judge", "training", "activations", "ace", "clusters", "sweep", "lesions", "null"),
        figures={
            "classes.png": ("ace",),
            "clusters.png": ("sweep",),
            "effects.png": ("ace",),
            "kl.png": (),
            "layers.png": ("clusters",),
            "lesions.png": ("lesions", "lesioned"),
            "null.png": ("lesions", "null"),
            "preference.png": ("sweep",),
            "published.png": ("ace",),
            "sizes.png": ("lesions",),
            "traversal.gif": ("ace",),
            "traversal.png": ("ace",),
        },
        architectures=("conditional-vae",),
    ),
    "regions": Kind(
        sections=("regions",),
        reads=("training", "regions", "maps", "merging"),
        figures={
            "borders.png": ("regions", "maps"),
            "importance.png": ("regions", "maps", "metrics"),
            "merging.png": ("merging", "metrics"),
            "regions.png": ("metrics",),
        },
        architectures=("mlp",),
    ),
    "prototypes": Kind(
        sections=("choose",),
        reads=("data", "graph", "influence", "chosen"),
        figures={
            "criticisms.png": ("data", "chosen"),
            "errors.png": ("metrics",),
            "prototypes.png": ("data", "chosen"),
        },
        features=True,
    ),
    "labels": Kind(
        sections=("audit",),
        reads=("influence", "audited"),
        figures={"recall.png": ("metrics",), "suspects.png": ("suspects",)},
        features=True,
    ),
    "active": Kind(sections=("active", "embed"), reads=("active",), figures={"labels.png": ("metrics",)}),
    "saliency": Kind(
        sections=("saliency",),
        reads=("saliency",),
        figures={"judged.png": ("metrics",), "overlays.png": ("overlays",)},
        architectures=("judge", "photo-network", "strided"),
        samples=True,
    ),
    "gsr": Kind(
        sections=("structure",),
        reads=("training", "structure"),
        figures={
            "alignment.png": ("layers",),
            "class-maps.png": ("layers",),
            "components.png": ("layers",),
            "modules.png": ("metrics",),
            "pseudotime.png": ("layers",),
            "reconstruction.png": ("metrics",),
            "ring.png": ("layers", "metrics"),
            "supernodes.png": ("layers",),
            "variants.png": ("metrics",),
        },
        architectures=(
            "autoencoder",
            "map-classifier",
            "convolved-map",
            "map-perceptron",
            "dense-classifier",
            "capsule-net",
            "wavelet-classifier",
        ),
    ),
    # Last: studies of the kinds above may have these steps too.
    "attacks": Kind(
        sections=("attack",),
        reads=("attacks", "features", "influence"),
        figures={"attacks.png": ("data", "attacks"), "histograms.png": ("features", "influence")},
        architectures=("strided",),
    ),
    "boundaries": Kind(
        sections=("features",),
        reads=("data", "features", "influence"),
        figures={
            "gallery.png": ("data", "features", "influence"),
            "inspection.png": ("data", "features", "influence"),
        },
        architectures=("strided", "photo-network"),
    ),
    "influence": Kind(sections=("influence", "graph"), reads=("influence",), figures={}),
}
