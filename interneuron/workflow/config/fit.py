"""What fits together: a study with its model, judge and dataset, and its sections with one another.

All that entries tell by themselves, such as the size and shape of data and the readings of influence, is settled here,
before any job starts. What only files tell is refused by the first job that reads them.
"""

from collections.abc import Mapping
from typing import Any

from interneuron.workflow.config.datasets import Dataset, ImagenetReader, PhotosReader
from interneuron.workflow.config.graphs import Distrust, KernelDensity, LocalMMD, Samples
from interneuron.workflow.config.kinds import KINDS
from interneuron.workflow.config.models import JudgeModel, PhotoModel
from interneuron.workflow.config.regions import Regions
from interneuron.workflow.config.structured import check_structure
from interneuron.workflow.config.studies import Study
from interneuron.workflow.refusals import MISSING, RefusedError, listed

# Metrics that compare with labels that are known to be wrong, beside every `gain_over_...`.
OF_FLIPS = ("recall", "k_range", "p_range")
# Names of a file of features that hold a number or more a sample.
COLUMNS, OF_ATTACKS = ("x", "scores", "predicted"), ("attacked", "distortion")


def check_fit(study: Study, models: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> None:
    """Refuse a study that asks for what its model, judge or dataset does not have. Raises RefusedError."""
    wanted = KINDS[study.kind].architectures
    model = None if study.model is None else models[study.model]
    exists = isinstance(model, PhotoModel)
    if exists:
        for key in ("dataset", "seeds", "block"):
            if getattr(study, key) is None:
                takes = f"a value, since model {study.model} exists and is of no dataset and no seeds"
                raise RefusedError(key, MISSING, takes)
    name = study.dataset or models[study.models()[0]].dataset
    dataset = datasets[name]
    if (dataset.step == "link") != (study.kind == "active"):
        takes = "a dataset that is a graph" if study.kind == "active" else "a dataset that is no graph"
        raise RefusedError("dataset" if study.dataset else "model", study.dataset or study.model, takes)
    _check_trainings(study, models, datasets)
    active, classes = study.active, dataset.prepare.classes
    if active is not None and "random" in active.baselines and active.labels[0] < classes:
        takes = f"{classes} or more, one of each class, since a baseline is random by class"
        raise RefusedError("active.labels.0", active.labels[0], takes)
    _check_splits(study, name, dataset)
    if study.graph is not None or study.features is not None or study.attack is not None:
        _check_graph(study, name, dataset)
    if study.saliency is not None:
        _check_saliency(study, dataset)
    if model is None:
        return
    if wanted and model.architecture not in wanted:
        takes = f"a model of architecture {listed(wanted, ' or ')}, not {model.architecture}"
        raise RefusedError("model", study.model, takes)
    if exists and not isinstance(dataset.prepare, PhotosReader | ImagenetReader):
        raise RefusedError("dataset", name, f"a dataset of photos, which model {study.model} takes")
    if model.dataset is not None:
        shapes = [datasets[other].prepare.shape() for other in (name, model.dataset)]
        if None not in shapes and shapes[0] != shapes[1]:
            takes = f"a dataset of the shape that model {study.model} was trained on, {listed(shapes[1] or (), ' x ')}"
            raise RefusedError("dataset", name, takes)
    if study.features is not None:
        _check_features(study, model, name, dataset)
    elif name != model.dataset and study.saliency is None:
        raise RefusedError("dataset", name, f"{model.dataset}, which model {study.model} was trained on")
    if exists:
        return
    if study.seeds is not None and not KINDS[study.kind].samples:
        raise RefusedError("seeds", study.seeds, f"none, since model {study.model} has {model.seeds} of its own")
    if study.judge is not None:
        judge = models[study.judge]
        if not isinstance(judge, JudgeModel):
            raise RefusedError("judge", study.judge, f"a model of architecture judge, not {judge.architecture}")
        if judge.dataset != model.dataset:
            takes = f"a judge of the model's dataset {model.dataset}, not of {judge.dataset}"
            raise RefusedError("judge", study.judge, takes)
    if datasets[model.dataset].step != "prepare" and model.architecture not in ("mlp", "autoencoder"):
        raise RefusedError("model", study.model, f"a model of images, and {model.dataset} is a table")
    of_classes = f"classes of dataset {model.dataset}"
    latents = f"latents of model {study.model}"
    for step in (study.activations, study.ace):
        if step is not None:
            key = "activations.digits" if step is study.activations else "ace.digits"
            _check_indices(key, step.digits, datasets[model.dataset].prepare.classes, of_classes)
    if study.activations is not None and study.activations.latents != "active":
        _check_indices("activations.latents", study.activations.latents, model.arguments.latents, latents)
    if study.structure is not None:
        check_structure(study.structure, study.evaluate, study.figures, model, datasets[model.dataset])
    if study.regions is not None:
        _check_names(study.regions, model.dataset, datasets[model.dataset])


def _check_trainings(study: Study, models: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> None:
    """Refuse models of data that they cannot be trained or tested on."""
    for key in ("model", "judge"):
        if (name := getattr(study, key)) is None or models[name].dataset is None:
            continue
        model = models[name]
        data = datasets[model.dataset].prepare
        lacking = sorted({"train", "test"} - data.splits().keys())
        if lacking:
            takes = f"a model of a dataset with a {lacking[0]} split, which {model.dataset} lacks"
            raise RefusedError(key, name, takes)
        shape = data.shape() or ()
        if len(shape) == 3 and model.architecture != "autoencoder":
            takes = f"a model of grey images, or an autoencoder, and {model.dataset} is in colour"
            raise RefusedError(key, name, takes)
        if len(shape) > 1 and (shift := getattr(model, "shift", 0)) >= min(shape[:2]):
            takes = f"a model whose shift, {shift}, is less than the side of its images, {min(shape[:2])}"
            raise RefusedError(key, name, takes)


def _check_splits(study: Study, name: str, dataset: Dataset) -> None:
    """Refuse splits without samples."""
    there = [*dataset.prepare.splits()]
    asked: dict[str, str] = {}
    if study.regions is not None:
        asked["regions.samples"] = study.regions.samples
    if study.structure is not None:
        asked["structure.samples"] = study.structure.samples
    if study.saliency is not None:
        asked["saliency.split"] = study.saliency.split
    if study.samples is not None:
        asked[f"{study.samples_key}.split"] = study.samples.split
    for key, split in asked.items():
        if split not in ("all", *there):
            raise RefusedError(key, split, f"{listed([*there, 'all'], ' or ')}: dataset {name} has no {split} split")


def _count(samples: Samples, dataset: Dataset) -> int | None:
    """How many samples there are of a choice of them, as far as entries tell."""
    splits = dataset.prepare.splits()
    counts = [count for split, count in splits.items() if samples.split in ("all", split)]
    whole = samples.classes is None
    known = None if None in counts or not whole else sum(count for count in counts if count is not None)
    return samples.count if samples.count is not None else known


def _check_graph(study: Study, name: str, dataset: Dataset) -> None:
    """Refuse graphs of samples that there are not, and readings of influence that there are not."""
    samples, key = study.samples, study.samples_key
    assert samples is not None  # of a study with a section that says which
    for step in ("features", "graph"):
        given = getattr(getattr(study, step), "samples", None)
        if given is not None and given != samples:
            takes = f"nothing, which means those of {key}, or the same"
            raise RefusedError(f"{step}.samples", given.model_dump(exclude_unset=True), takes)
    if samples.classes is not None:
        _check_indices(f"{key}.classes", samples.classes, dataset.prepare.classes, f"classes of dataset {name}")
        for position, label in enumerate(samples.classes):
            if label not in dataset.prepare.labels():
                takes = f"classes that dataset {name} has samples of, {listed(dataset.prepare.labels())}"
                raise RefusedError(f"{key}.classes.{position}", label, takes)
    most = _count(samples.model_copy(update={"count": None}), dataset)
    if samples.count is not None and most is not None and samples.count > most:
        takes = f"at most {most:,}, as many as dataset {name} has of the split {samples.split}"
        raise RefusedError(f"{key}.count", samples.count, takes)
    n, graph, influence = _count(samples, dataset), study.graph, study.influence
    if graph is not None:
        if n is not None and graph.k[-1] >= n:
            takes = f"less than the number of samples, {n:,}"
            raise RefusedError(f"graph.k.{len(graph.k) - 1}", graph.k[-1], takes)
        shape = None if study.features is not None else dataset.prepare.shape()
        if shape is not None and graph.components is not None:
            width = 1
            for size in shape:
                width *= size
            if graph.components > width:
                raise RefusedError("graph.components", graph.components, f"at most {width:,}, the numbers of a sample")
    if graph is not None and influence is not None:
        _check_influence(study, dataset)
    if study.choose is not None:
        _check_choose(study, name, dataset, n)
    if study.audit is not None:
        _check_audit(study)


def _check_influence(study: Study, dataset: Dataset) -> None:
    assert study.graph is not None
    assert study.influence is not None
    for entry in study.influence.filters:
        if entry.variant == "symmetric" and study.graph.links == "directed":
            takes = "mutual or union: the filter symmetric is one of undirected graphs"
            raise RefusedError("graph.links", study.graph.links, takes)
    for index, function in enumerate(study.influence.functions):
        of_labels = isinstance(function, LocalMMD) or (isinstance(function, Distrust) and function.labels == "y")
        if of_labels and len(dataset.prepare.labels()) < 2:
            takes = "a function that needs no classes, since the dataset has one"
            raise RefusedError(f"influence.functions.{index}", function.key, takes)
    if study.influence.flip and study.audit is None and study.kind != "influence":
        raise RefusedError("influence.flip", study.influence.flip, f"0 in a study of {study.kind}, which flips none")
    if (main := getattr(study.evaluate, "main", None)) is None:
        return
    there = {entry.variant: entry.p for entry in study.influence.filters}
    if main.variant not in there:
        takes = f"one of influence.filters, {listed(there, ' or ')}"
        raise RefusedError("evaluate.main.variant", main.variant, takes)
    if main.k not in study.graph.k:
        raise RefusedError("evaluate.main.k", main.k, f"one of graph.k, {listed(study.graph.k, ' or ')}")
    if main.variant != "f-alone" and main.p not in there[main.variant]:
        takes = f"one of the p of influence.filters' {main.variant}, {listed(there[main.variant], ' or ')}"
        raise RefusedError("evaluate.main.p", main.p, takes)


def _check_choose(study: Study, name: str, dataset: Dataset, n: int | None) -> None:
    """Selections are of the train split, and tested on the test split."""
    assert study.choose is not None
    assert study.samples is not None
    if "test" not in dataset.prepare.splits():
        takes = f"a dataset with a test split, which {name} lacks: selections are tested on it"
        raise RefusedError("dataset" if study.dataset else "model", study.dataset or study.model, takes)
    if study.samples.split != "train":
        takes = "train: what is chosen is tested on the test split"
        raise RefusedError(f"{study.samples_key}.split", study.samples.split, takes)
    if len(dataset.prepare.labels()) < 2:
        raise RefusedError("dataset", name, "a dataset of two classes or more, since selections are to tell them apart")
    last, most = len(study.choose.counts) - 1, study.choose.counts[-1]
    if n is not None:
        if 2 * most > n:
            takes = (
                f"at most {n // 2:,}, half of the {n:,} samples: MMD-critic chooses as many prototypes and criticisms"
            )
            raise RefusedError(f"choose.counts.{last}", most, takes)
        if study.choose.thresholds and round(study.choose.thresholds[0] * n) < most:
            takes = f"shares that leave choose.counts, up to {most:,}, of the {n:,} samples"
            raise RefusedError("choose.thresholds.0", study.choose.thresholds[0], takes)
    for index, figure in enumerate(study.figures):
        if figure in ("prototypes.png", "criticisms.png") and dataset.step != "prepare":
            raise RefusedError(f"figures.{index}", figure, f"a figure of a table, and {name} is one")


def _check_audit(study: Study) -> None:
    """Without flips, nobody knows which labels are wrong: nothing that compares with them."""
    assert study.influence is not None
    if study.influence.flip:
        return
    for index, figure in enumerate(study.figures):
        if figure == "recall.png":
            takes = "suspects.png, since influence.flip is 0 and no label is known to be wrong"
            raise RefusedError(f"figures.{index}", figure, takes)
    for index, claim in enumerate(study.claims):
        if claim.metric is not None and (claim.metric in OF_FLIPS or claim.metric.startswith("gain_over_")):
            takes = "a metric that compares with no wrong labels, since influence.flip is 0 and none is known"
            raise RefusedError(f"claims.{index}.metric", claim.metric, takes)


def _check_features(study: Study, model: Any, name: str, dataset: Dataset) -> None:
    """Refuse features of samples that the network cannot take, and scores of classes that it was not trained on."""
    assert study.features is not None
    assert study.samples is not None
    own = model.dataset == name
    if model.architecture not in ("strided", "judge", "photo-network"):
        takes = f"a model of architecture strided, judge or photo-network, not {model.architecture}"
        raise RefusedError("model", study.model, takes)
    if dataset.step != "prepare":
        raise RefusedError("dataset" if study.dataset else "model", name, "a dataset of images, which features are of")
    if study.samples.redrawn and own:
        takes = f"false: model {study.model} was trained on the dataset's own split"
        raise RefusedError(f"{study.samples_key}.redrawn", True, takes)
    functions = [] if study.influence is None else list(enumerate(study.influence.functions))
    for index, function in functions:
        if isinstance(function, KernelDensity):
            if not study.features.reference:
                takes = f"true, since influence.functions.{index} is a density among the training samples"
                raise RefusedError("features.reference", False, takes)
            if study.samples.split != "test":
                takes = f"test, since influence.functions.{index} is a density among the training samples"
                raise RefusedError(f"{study.samples_key}.split", study.samples.split, takes)
        there = COLUMNS + (OF_ATTACKS if study.attack is not None else ())
        if (column := getattr(function, "column", None)) is not None and column not in there:
            raise RefusedError(f"influence.functions.{index}.column", column, f"one of {listed(there)}")
    # A network that was published numbers classes as the folders of its data do: by alphabet.
    known = own or (isinstance(model, PhotoModel) and model.arguments.classes == dataset.prepare.classes)
    asked = study.kind in ("boundaries", "attacks") or (
        study.influence is not None and study.influence.needs_features()
    )
    if study.features.head is None and asked and not known:
        takes = f"a section, since model {study.model} was not trained on the classes of {name}"
        raise RefusedError("features.head", MISSING, takes)
    if study.attack is not None and not own:
        raise RefusedError("dataset", name, f"{model.dataset}, which model {study.model} was trained on")


def _check_saliency(study: Study, dataset: Dataset) -> None:
    assert study.saliency is not None
    assert study.seeds is not None
    shape, occlusion = dataset.prepare.shape(), study.saliency.occlusion
    pixels = shape[0] * shape[1] if shape is not None and len(shape) > 1 else None
    for index, count in enumerate(study.saliency.superpixels):
        if pixels is not None and count > pixels:
            takes = f"at most {pixels:,}, the pixels of an image"
            raise RefusedError(f"saliency.superpixels.{index}", count, takes)
    for index, seed in enumerate(study.saliency.shown):
        if seed >= study.seeds:
            raise RefusedError(f"saliency.shown.{index}", seed, f"seeds of the study, 0 to {study.seeds - 1}")
    if "overlays.png" in study.figures and not study.saliency.shown:
        raise RefusedError("saliency.shown", [], "one seed at least, since overlays.png shows them")
    if shape is not None and len(shape) > 1 and occlusion.window > min(shape[:2]):
        takes = f"at most {min(shape[:2])}, the side of an image"
        raise RefusedError("saliency.occlusion.window", occlusion.window, takes)
    known = _count(Samples(split=study.saliency.split), dataset)
    if known is not None and study.seeds > known:
        raise RefusedError("seeds", study.seeds, f"at most {known:,}: a seed is a sample")


def _check_names(regions: Regions, name: str, dataset: Dataset) -> None:
    """Refuse names of features that the dataset lacks."""
    there = dataset.prepare.feature_names()
    asked = [(f"labellings.{index}", labelling.names()) for index, labelling in enumerate(regions.labellings)]
    asked += [(f"profiles.{profile}", list(values)) for profile, values in regions.profiles.items()]
    for key, features in asked:
        for feature in features:
            if feature not in there:
                takes = (
                    f"features of dataset {name}, {listed(there)}" if there else f"none: {name} has no named features"
                )
                raise RefusedError(f"regions.{key}", feature, takes)


def _check_indices(key: str, indices: list[int], count: int, of: str) -> None:
    for position, index in enumerate(indices):
        if index >= count:
            raise RefusedError(f"{key}.{position}", index, f"{of}, 0 to {count - 1}")
