"""Entries of graph spectral regularization: networks with a penalty on one layer, sections of a study of them."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from interneuron.workflow.config.fields import (
    Count,
    Entry,
    Finite,
    Index,
    Name,
    NotNegative,
    Positive,
    Share,
    Text,
    once,
)
from interneuron.workflow.config.structured_data import TeapotsReader, TurntableReader
from interneuron.workflow.refusals import MISSING, RefusedError, listed

Kind = Literal["grid", "torus", "rings", "paths", "star", "tree", "complete", "capsules"]
LaplacianKind = Literal["unnormalised", "symmetric", "random-walk"]
Form = Literal["quadratic", "rayleigh"]
Kernel = Literal["heat", "mexican-hat", "meyer", "abspline"]
Weights = NotNegative | Annotated[list[NotNegative], Field(min_length=1), AfterValidator(once)]


# Sizes of each graph with the least that it takes (`interneuron.lattices`).
SIZES: dict[str, dict[str, int]] = {
    "grid": {"height": 1, "width": 1},
    "torus": {"height": 3, "width": 3},
    "rings": {"count": 1, "length": 3},
    "paths": {"count": 1, "length": 1},
    "star": {"nodes": 1},
    "tree": {"nodes": 1},
    "complete": {"nodes": 1},
    "capsules": {"count": 1, "dimensions": 1},
}
# Of the graphs that can fall into pieces, the size that says how many there are.
PIECES = {"rings": "count", "paths": "count", "capsules": "dimensions"}


class FixedGraph(Entry):
    """A fixed graph on the units of a layer."""

    kind: Kind = Field(description="Which graph (`interneuron.lattices`).", examples=["grid"])
    sizes: dict[Text, Count] = Field(
        description="Its sizes: `height` and `width` (grid, torus), `count` and `length` (rings, paths), `nodes` "
        "(star, tree, complete), `count` and `dimensions` (capsules).",
        examples=[{"height": 8, "width": 8}],
    )
    connected: bool = Field(default=False, description="Whether it has to be in one piece.")

    @model_validator(mode="after")
    def _fits(self) -> "FixedGraph":
        least = SIZES[self.kind]
        if self.sizes.keys() != least.keys() or any(self.sizes[name] < size for name, size in least.items()):
            takes = " and ".join(f"{name} of {size} or more" for name, size in least.items())
            raise RefusedError("sizes", self.sizes, takes)
        pieces = self.sizes[PIECES[self.kind]] if self.kind in PIECES else 1
        if self.connected and pieces > 1:
            raise RefusedError("connected", True, f"false, since the graph falls into {pieces} components")
        return self

    def nodes(self) -> int:
        """How many nodes it has."""
        return prod(self.sizes.values())


class LearnedGraph(Entry):
    """A graph on the embedding that is learned while training."""

    kind: Literal["adaptive", "knn"] = Field(
        description="`adaptive`: the adaptive Gaussian kernel of the text; `knn`: nearest neighbours, as in the code."
    )
    k: Count = Field(default=1, description="Neighbour that sets the bandwidth; number of neighbours.")
    pretrain: Index = Field(default=5000, description="Iterations before the first graph.")
    rebuild: Count = Field(default=100, description="Iterations from one graph to the next.")
    buffer: Count = Field(default=1000, description="Samples that a graph is learned from, drawn anew each time.")
    stop: bool = Field(
        default=False,
        description="The code's stop rule: a graph that is not connected is not installed, and training ends soon.",
    )
    grace: Index = Field(default=200, description="Iterations after which the stop rule ends training.")


class Filter(Entry):
    """Filters on a graph: low-pass, and wavelet-like, localised ones."""

    kernel: Kernel = Field(
        description="`heat` (low-pass), or `mexican-hat`, `meyer`, `abspline`: one low-pass, the others wavelets.",
        examples=["mexican-hat"],
    )
    scales: Count = Field(default=4, description="Filters a node; 2 or more, of `heat` 1 or more.")

    @model_validator(mode="after")
    def _scales(self) -> "Filter":
        if self.scales < 2 and self.kernel != "heat":
            raise RefusedError("scales", self.scales, f"2 or more of the kernel {self.kernel}")
        return self


class Regularization(Entry):
    """A penalty on the activations of one layer, added to the loss of any network's training."""

    layer: Text = Field(description="The layer, by its name in the network.", examples=["relu1", "decoder.relu1"])
    penalty: Literal["gsr", "l1", "l2", "response"] = Field(
        default="gsr",
        description="`gsr` (z' L z, the graph's), `l1` (sum |z|), `l2` (sum z^2) or `response` (sum |K z| over "
        "the filters K on the graph); mean over the batch.",
    )
    weight: NotNegative = Field(
        description="Its weight beside the loss; 0 trains without, in the same way.", examples=[0.001]
    )
    graph: FixedGraph | None = Field(
        default=None, description="The graph on the layer's units; needed by `gsr`, `response`."
    )
    filter: Filter | None = Field(default=None, description="The filters of `response`, and of no other penalty.")
    laplacian: LaplacianKind = Field(default="unnormalised", description="The graph's Laplacian, for `gsr`.")
    form: Form = Field(
        default="quadratic", description="Of `gsr`: z' L z, or `rayleigh`: z' L z / z' z, which has no scale."
    )

    @model_validator(mode="after")
    def _graph(self) -> "Regularization":
        if self.graph is None and self.penalty in ("gsr", "response"):
            raise RefusedError("graph", MISSING, f"a graph, since the penalty {self.penalty} has one")
        if self.filter is None and self.penalty == "response":
            raise RefusedError("filter", MISSING, "a filter, since the penalty response has one")
        if self.filter is not None and self.penalty != "response":
            raise RefusedError("filter", "given", f"nothing, since the penalty {self.penalty} has none")
        return self


class Variant(Entry):
    """One way of training: weights of penalties. A list is a sweep, or, with `hold_out`, what is chosen from."""

    name: Name = Field(description="Its name in the metrics.", examples=["gsr"])
    gsr: Weights = Field(default=0.0, description="Weight of the graph's penalty.", examples=[0.001])
    l1: Weights = Field(default=0.0, description="Weight of the activations' L1 norm.")
    l2: Weights = Field(default=0.0, description="Weight of their squared L2 norm.")
    kl: NotNegative = Field(
        default=0.0,
        description="Weight of the KL divergence from N(0, 1): a variational autoencoder. The squared error is a mean "
        "over the features, so beta is the weight times half their number.",
    )

    @model_validator(mode="after")
    def _one_sweep(self) -> "Variant":
        names = ("gsr", "l1", "l2")
        swept = [name for name in names if isinstance(getattr(self, name), list)]
        if len(swept) > 1:
            raise RefusedError(swept[1], getattr(self, swept[1]), f"one weight, since {swept[0]} has a list")
        # Runs of a variant are told apart by the first of its weights that is not 0.
        before = [name for name in names[: names.index(swept[0]) if swept else 0] if getattr(self, name)]
        if before:
            raise RefusedError(swept[0], getattr(self, swept[0]), f"one weight, since {before[0]} has one: sweep that")
        return self

    def sweep(self) -> list[dict[str, float]]:
        """The weights of each run."""
        plain = {name: getattr(self, name) for name in ("gsr", "l1", "l2", "kl")}
        swept = next((name for name, value in plain.items() if isinstance(value, list)), None)
        return [plain] if swept is None else [{**plain, swept: value} for value in plain[swept]]


class Part(Entry):
    """A part of the data, on which networks are trained of their own."""

    name: Name = Field(description="Its name in the metrics.", examples=["3"])
    classes: Annotated[list[Index], Field(min_length=2, max_length=2)] = Field(
        description="The first and the last of the classes whose samples there are.", examples=[[0, 7]]
    )
    features: Count | None = Field(default=None, description="The first so many features; all, if left out.")

    @model_validator(mode="after")
    def _order(self) -> "Part":
        if self.classes[0] > self.classes[1]:
            raise RefusedError("classes", self.classes, "the smaller class first")
        return self


class AutoencoderArguments(Entry):
    """Shape of an autoencoder; the number of features comes from the data."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the encoder's hidden layers; the decoder has them in reverse.", examples=[[50, 50]]
    )
    nodes: Annotated[int, Field(ge=2)] = Field(description="Units of the embedding.", examples=[20])
    rectified: bool = Field(default=False, description="Whether a ReLU follows the embedding; otherwise it is linear.")


class MapArguments(Entry):
    """Shape of a convolutional classifier with a map of neurons; sizes of images come from the data."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[32, 64], description="Channels of each convolution; a 2 x 2 maximum follows each."
    )
    kernel: Count = Field(default=5, description="Side of the convolutions' square kernel, odd.")
    nodes: Count = Field(default=64, description="Units of the map.")
    dropout: Share = Field(default=0.4, description="Share of the map's units dropped in training.")


class CapsuleArguments(Entry):
    """Shape of a capsule network; sizes of images and the number of capsules come from the data."""

    channels: Count = Field(default=256, description="Channels of the first convolution.")
    primary: Count = Field(default=32, description="Primary capsules a position.")
    dimensions: Count = Field(default=16, description="Numbers of a class capsule.")
    routings: Count = Field(default=3, description="Rounds of routing.")
    decoder: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[512, 1024], description="Units of the decoder's hidden layers."
    )


class _Regularised(Entry):
    """What networks trained with and without penalties say."""

    title: Text = Field(description="What it is, in a few words.")
    dataset: Name = Field(description="The dataset, by the name of its file in `config/datasets/`.", examples=["mnist"])
    seeds: Count = Field(description="Seeds in all: 0, 1, ...; a multiple of `block`.", examples=[6])
    block: Count = Field(description="Seeds trained together in one job.", examples=[6])
    variants: Annotated[list[Variant], Field(min_length=1)] = Field(
        description="The trainings that are compared, each of every seed.",
        examples=[[{"name": "none"}, {"name": "gsr", "gsr": 0.001}]],
    )
    laplacian: LaplacianKind | None = Field(
        default=None, description="Of the graph; left out: `unnormalised` of a fixed one, `symmetric` of a learned one."
    )
    form: Form = Field(default="quadratic", description="z' L z, or `rayleigh`: z' L z / z' z, which has no scale.")
    learning_rate: Positive = Field(default=1e-3, description="Adam's step size.")
    report_every: Count = Field(default=100, description="Iterations between two rows of `training.parquet`.")
    train_samples: Count | None = Field(
        default=None, description="So many training samples, drawn at random; all, if left out."
    )

    @model_validator(mode="after")
    def _blocks(self) -> "_Regularised":
        if self.seeds % self.block:
            raise RefusedError("seeds", self.seeds, f"a multiple of block, which is {self.block}")
        names = [variant.name for variant in self.variants]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RefusedError(f"variants.{index}.name", name, "a name that no other variant has")
        for variant in self.variants:
            if any(weights["gsr"] for weights in variant.sweep()) and getattr(self, "graph", None) is None:
                raise RefusedError("graph", MISSING, f"a graph, since the variant {variant.name} has a gsr weight")
        return self

    def settings(self, step: str = "regularise") -> dict[str, Any]:
        """What a step that trains a block gets; more seeds do not change it."""
        values = self.model_dump(mode="json", exclude={"title", "dataset", "seeds", "block", "variants"})
        return values | {
            "runs": [{"variant": v.name, "weights": weights} for v in self.variants for weights in v.sweep()]
        }

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "regularise"


class AutoencoderModel(_Regularised):
    """Autoencoders of a table or of images, with penalties on the embedding."""

    architecture: Literal["autoencoder"] = Field(description="The network: `autoencoder`; its embedding is `code`.")
    arguments: AutoencoderArguments = Field(description="Arguments of the architecture.")
    graph: Annotated[FixedGraph | LearnedGraph, Field(discriminator="kind")] | None = Field(
        default=None, description="The graph on the embedding, fixed or learned."
    )
    parts: list[Part] = Field(default_factory=list, description="Parts of the data; left out: all of it is one.")
    noise: NotNegative = Field(
        default=0.0, description="Standard deviation of noise on the embedding, behind the penalty; the code's: 0.5."
    )
    iterations: Count = Field(description="Batches in all.", examples=[10000])
    batch: Count = Field(default=32, description="Samples in a batch.")

    @model_validator(mode="after")
    def _sizes(self) -> "AutoencoderModel":
        if isinstance(self.graph, FixedGraph) and self.graph.nodes() != self.arguments.nodes:
            takes = f"a graph of arguments.nodes, {self.arguments.nodes}, nodes"
            raise RefusedError("graph.sizes", self.graph.sizes, takes)
        names = [part.name for part in self.parts]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise RefusedError(f"parts.{index}.name", name, "a name that no other part has")
        return self


class _Classifier(_Regularised):
    """What classifiers of images say."""

    layer: Text = Field(description="The layer that the penalties are on.", examples=["code"])
    graph: FixedGraph | None = Field(default=None, description="The graph on the layer's units.")
    epochs: Count = Field(description="Passes over the training samples.", examples=[3])
    batch: Count = Field(default=256, description="Samples in a batch.")
    hold_out: Count | None = Field(
        default=None,
        description="Training samples held out to choose each variant's weight from its list: step `weigh`.",
    )
    folds: Count = Field(
        default=1, description="So many parts of `hold_out` samples are held out, one after another; their mean counts."
    )
    choice_epochs: Count = Field(default=1, description="Passes over the other samples for that choice.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Where to train; `cuda` is one GPU.")

    @model_validator(mode="after")
    def _choice(self) -> "_Classifier":
        for index, variant in enumerate(self.variants):
            if variant.kl:
                raise RefusedError(f"variants.{index}.kl", variant.kl, "0: a classifier has no KL divergence")
        swept = any(len(variant.sweep()) > 1 for variant in self.variants)
        if self.hold_out is not None and not swept:
            raise RefusedError("hold_out", self.hold_out, "a number only where a variant has a list of weights")
        if self.folds > 1 and self.hold_out is None:
            raise RefusedError("folds", self.folds, "1 where hold_out is left out")
        units = self._units().get(self.layer)
        if units is not None and self.graph is not None and self.graph.nodes() != units:
            takes = f"a graph of {units} nodes, one a unit of the layer {self.layer}"
            raise RefusedError("graph.sizes", self.graph.sizes, takes)
        return self

    def _units(self) -> dict[str, int]:
        """Units of the layers whose number the entry tells; of the others, the job says what does not fit."""
        arguments = getattr(self, "arguments", None)
        if isinstance(arguments, MapArguments | DenseArguments):
            return {"code": arguments.nodes}
        if isinstance(arguments, PerceptronArguments):
            return {f"{kind}{i}": n for i, n in enumerate(arguments.hidden, 1) for kind in ("linear", "relu")}
        return {}


class MapModel(_Classifier):
    """A convolutional classifier with a map of neurons."""

    architecture: Literal["map-classifier"] = Field(description="The network: `map-classifier`; its map is `code`.")
    arguments: MapArguments = Field(default_factory=MapArguments, description="Arguments of the architecture.")


class ConvolvedMapArguments(MapArguments):
    """Shape of a classifier whose map of neurons is convolved."""

    rows: Count = Field(default=8, description="Rows of the map, of which `nodes` is a multiple.")
    convolutions: Count = Field(default=3, description="3 x 3 convolutions on the map, a 2 x 2 maximum between two.")


class ConvolvedMapModel(_Classifier):
    """A convolutional classifier with a map of neurons, and convolutions on that map."""

    architecture: Literal["convolved-map"] = Field(description="The network: `convolved-map`; its map is `code`.")
    arguments: ConvolvedMapArguments = Field(
        default_factory=ConvolvedMapArguments, description="Arguments of the architecture."
    )


class PerceptronArguments(Entry):
    """Shape of a perceptron of images; sizes of images come from the data."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the hidden layers, in order.", examples=[[64, 64]]
    )


class MapPerceptronModel(_Classifier):
    """A perceptron of ReLUs on images, one of whose layers is a map of neurons."""

    architecture: Literal["map-perceptron"] = Field(
        description="The network: `map-perceptron`; its layers are `linear1`, `relu1`, `linear2`, ..."
    )
    arguments: PerceptronArguments = Field(description="Arguments of the architecture.")


class DenseArguments(Entry):
    """Shape of a classifier of dense layers with a map of neurons; sizes of images come from the data."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[128], description="Units of the hidden layers before the map, in order."
    )
    nodes: Count = Field(default=64, description="Units of the map.")


class DenseModel(_Classifier):
    """A classifier of dense layers whose last hidden layer is a map of neurons."""

    architecture: Literal["dense-classifier"] = Field(description="The network: `dense-classifier`; its map is `code`.")
    arguments: DenseArguments = Field(default_factory=DenseArguments, description="Arguments of the architecture.")

    @model_validator(mode="after")
    def _processor(self) -> "DenseModel":
        if self.device != "cpu":
            raise RefusedError("device", self.device, "cpu, where all seeds of dense classifiers are trained at once")
        return self


class CapsuleModel(_Classifier):
    """A capsule network."""

    architecture: Literal["capsule-net"] = Field(description="The network: `capsule-net`; its capsules are `digits`.")
    arguments: CapsuleArguments = Field(default_factory=CapsuleArguments, description="Arguments of the architecture.")


class WaveletArguments(Entry):
    """Shape of a classifier whose map mixes atoms; sizes of images come from the data, the map's from the graph."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[32, 64], description="Channels of each convolution; a 2 x 2 maximum follows each."
    )
    kernel: Count = Field(default=5, description="Side of the convolutions' square kernel, odd.")
    dropout: Share = Field(default=0.4, description="Share of the map's units dropped in training.")
    atoms: Filter = Field(description="The filters on the graph that are the atoms, of all scales at all nodes.")


class WaveletModel(_Classifier):
    """A convolutional classifier with a map of neurons that mixes localised atoms on its graph."""

    architecture: Literal["wavelet-classifier"] = Field(
        description="The network: `wavelet-classifier`; its map is `code`, A softmax(A+ s) with the atoms A."
    )
    arguments: WaveletArguments = Field(description="Arguments of the architecture.")
    graph: FixedGraph = Field(description="The graph of the atoms and the penalties; the map has a unit a node.")

    def settings(self, step: str = "regularise") -> dict[str, Any]:
        """What a block's training gets: the graph is an argument of the network too."""
        settings = super().settings(step)
        settings["arguments"]["graph"] = {name: settings["graph"][name] for name in ("kind", "sizes")}
        return settings


class Patches(Entry):
    """Class maps on the fixed graph: do they follow it?"""

    permutations: Annotated[int, Field(ge=2)] = Field(default=999, description="Random orders of the nodes.")


class Components(Entry):
    """Components of the learned graph on the embedding: the last one of training."""

    above: NotNegative = Field(default=0.1, description="Edges heavier than this count; the code's cut.")
    below: Positive = Field(default=0.001, description="Eigenvalues below this count; the code's.")


class Supernodes(Entry):
    """Clusters within clusters: does each component of the fixed graph code one of them, and its nodes the parts?"""

    size: Annotated[int, Field(ge=2)] = Field(default=2, description="Classes that make up one cluster, in order.")


class Ring(Entry):
    """Views of an object that turns: does the activity go around the ring as the object does?"""

    permutations: Annotated[int, Field(ge=2)] = Field(default=999, description="Random orders of the nodes.")


class Pseudotime(Entry):
    """Cells that develop: does the order of the neurons along their graph follow the cells' pseudotime?"""

    root_below: dict[Text, Finite] = Field(
        description="The first cell with all these features below these values begins.", examples=[{"CD4": 1, "CD8": 1}]
    )
    neighbours: Count = Field(default=30, description="Neighbours of a cell in the graph of cells.")
    components: Count = Field(default=15, description="Eigenvectors of the graph of cells.")
    cells: Count = Field(default=5000, description="Cells, drawn at random; the first stays.")


class Mixture(Entry):
    """Classes of cells: does the mean activity of one lie between those of two others?"""

    of: Index = Field(description="The class in question.", examples=[1])
    between: Annotated[list[Index], Field(min_length=2, max_length=2), AfterValidator(once)] = Field(
        description="The two others.", examples=[[0, 2]]
    )
    permutations: Annotated[int, Field(ge=2)] = Field(default=999, description="Random orders of the nodes.")


class Alignment(Entry):
    """Capsules: does one dimension code the same for all classes?"""

    steps: Annotated[list[Finite], Field(min_length=2), AfterValidator(once)] = Field(
        default=[-0.25, -0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25],
        description="What is added to one dimension of a capsule.",
    )
    images: Count = Field(default=20, description="Images of each class.")
    permutations: Annotated[int, Field(ge=2)] = Field(default=999, description="Random orders of dimensions.")


class Chain(Entry):
    """The methods of the other papers on the same network: clusters, lesions of patches, linear regions, influence."""

    samples: Annotated[int, Field(ge=4)] = Field(default=2000, description="At most so many samples.")
    permutations: Annotated[int, Field(ge=2)] = Field(default=99, description="Random orders of the nodes.")


class Structure(Entry):
    """Step `structure`: numbers for structure, each against a permutation null where it has one."""

    samples: Literal["train", "test", "all"] = Field(default="test", description="Samples that are looked at.")
    most: Count = Field(default=10000, description="At most so many of them, drawn at random.")
    patches: Patches | None = Field(default=None, description="Of class maps on a fixed graph.")
    components: Components | None = Field(default=None, description="Of a learned graph.")
    supernodes: Supernodes | None = Field(default=None, description="Of clusters within clusters.")
    ring: Ring | None = Field(default=None, description="Of a ring and an object that turns.")
    pseudotime: Pseudotime | None = Field(default=None, description="Of a learned graph and cells that develop.")
    mixture: Mixture | None = Field(default=None, description="Of one class among two others.")
    alignment: Alignment | None = Field(default=None, description="Of capsules.")
    chain: Chain | None = Field(
        default=None, description="Of clusters, lesions, regions and influence in the same network."
    )


class EvaluateStructure(Entry):
    """Metrics of a study of graph spectral regularization, a row a seed, part, variant and weight."""

    kind: Literal["gsr"] = Field(default="gsr", description="Follows from the study's sections.")
    reference: Name | None = Field(
        default=None, description="The variant that gains are measured from.", examples=["none"]
    )


# The section of `structure` that each picture is made from.
DRAWN = {
    "class-maps.png": "patches",
    "components.png": "components",
    "modules.png": "components",
    "pseudotime.png": "pseudotime",
    "ring.png": "ring",
    "supernodes.png": "supernodes",
    "alignment.png": "alignment",
}


def check_structure(structure: Structure, evaluate: Any, figures: Sequence[str], model: Any, dataset: Any) -> None:
    """Refuse a section `structure` that asks for what the model or its dataset does not have, and pictures of what is
    not asked for."""
    graph = model.graph
    fixed, learned = isinstance(graph, FixedGraph), isinstance(graph, LearnedGraph)
    wanted = {
        "patches": (fixed, "a model with a fixed graph"),
        "components": (learned, "a model with a learned graph"),
        "supernodes": (fixed, "a model with a fixed graph"),
        "ring": (fixed and graph.kind == "rings", "a model whose graph is rings"),
        "pseudotime": (learned and not model.parts, "a model with a learned graph and without parts"),
        "alignment": (model.architecture == "capsule-net", "a model of architecture capsule-net"),
        "chain": (model.architecture == "map-perceptron", "a model of architecture map-perceptron"),
    }
    for section, (there, takes) in wanted.items():
        if getattr(structure, section) is not None and not there:
            raise RefusedError(f"structure.{section}", "given", takes)
    if structure.chain is not None and structure.patches is None:
        raise RefusedError("structure.patches", MISSING, "a section, since chain looks at its patches")
    if structure.ring is not None and not isinstance(dataset.prepare, TurntableReader | TeapotsReader):
        takes = "a model of a dataset with views, of the reader coil20 or teapots"
        raise RefusedError("structure.ring", "given", takes)
    if structure.ring is not None and isinstance(dataset.prepare, TeapotsReader) and structure.samples != "test":
        raise RefusedError("structure.samples", structure.samples, "test, the views of a teapot 5 degrees apart")
    if structure.mixture is not None:
        named = [structure.mixture.of, *structure.mixture.between]
        if max(named) >= dataset.prepare.classes:
            raise RefusedError("structure.mixture", named, f"classes below {dataset.prepare.classes}")
    variants = [variant.name for variant in model.variants]
    reference = None if evaluate is None else evaluate.reference
    if reference is not None and reference not in variants:
        raise RefusedError("evaluate.reference", reference, f"a variant of the model, {listed(variants)}")
    for variant in model.variants:
        if variant.name == reference and len(variant.sweep()) > 1 and getattr(model, "hold_out", None) is None:
            raise RefusedError("evaluate.reference", reference, "a variant of the model with one weight")
    for index, figure in enumerate(figures):
        if figure in DRAWN and getattr(structure, DRAWN[figure]) is None:
            raise RefusedError(f"figures.{index}", figure, f"a section structure.{DRAWN[figure]}, which it shows")
        if figure == "reconstruction.png" and model.architecture != "autoencoder":
            raise RefusedError(f"figures.{index}", figure, "a model of architecture autoencoder")
        if figure == "modules.png" and not (model.parts and all(p.name.isdecimal() for p in model.parts)):
            raise RefusedError(f"figures.{index}", figure, "a model with parts whose names are numbers of modules")
    for index, part in enumerate(getattr(model, "parts", ())):
        if part.classes[1] >= dataset.prepare.classes:
            takes = f"a model whose parts have classes 0 to {dataset.prepare.classes - 1}, not parts.{index}.classes"
            raise RefusedError("model", model.title, takes)
