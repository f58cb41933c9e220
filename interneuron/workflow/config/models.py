"""Entries of models: the network, and how it is trained."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from interneuron.workflow.config.fields import Count, Entry, Name, NotNegative, Positive, RelativePath, Text
from interneuron.workflow.config.files import Files
from interneuron.workflow.config.structured import (
    AutoencoderModel,
    CapsuleModel,
    ConvolvedMapModel,
    DenseModel,
    MapModel,
    MapPerceptronModel,
    Regularization,
    WaveletModel,
)
from interneuron.workflow.refusals import RefusedError


class ConditionalVAEArguments(Entry):
    """Shape of a conditional variational autoencoder; pixels and classes come from the data."""

    latents: Count = Field(description="Number of latents.", examples=[10])
    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the encoder's hidden layers, in order; the decoder has them in reverse.",
        examples=[[512, 256, 128]],
    )


class ConditionalBetaVAELoss(Entry):
    """Weights of the loss `reconstruction_weight (BCE + beta KL) + class_weight CE`."""

    beta: NotNegative = Field(default=10.0, description="Weight of the KL divergence beside the reconstruction.")
    reconstruction_weight: Positive = Field(default=10.0, description="Weight of reconstruction and KL together.")
    class_weight: NotNegative = Field(default=1.0, description="Weight of the classifier's cross-entropy.")


class JudgeArguments(Entry):
    """Shape of the judge; height, width and classes come from the data."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[8, 16], description="Channels of each convolution."
    )
    strides: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[2, 2], description="Stride of each convolution."
    )
    kernel: Count = Field(default=5, description="Side of the convolutions' square kernel, odd.")
    hidden: Count = Field(default=64, description="Units of the linear layer before the classes.")

    @model_validator(mode="after")
    def _shapes(self) -> "JudgeArguments":
        if len(self.strides) != len(self.channels):
            raise RefusedError("strides", self.strides, f"one stride for each of the {len(self.channels)} channels")
        if self.kernel % 2 == 0:
            raise RefusedError("kernel", self.kernel, "an odd number")
        return self


class CrossEntropyLoss(Entry):
    """Cross-entropy has no arguments."""


_DESCRIPTIONS = {"arguments": "Arguments of the architecture.", "loss_arguments": "Arguments of the loss."}


class _Model(Entry):
    """What every model says."""

    title: Text = Field(description="What it is, in a few words.")
    dataset: Name = Field(description="The dataset, by the name of its file in `config/datasets/`.", examples=["mnist"])
    seeds: Count = Field(description="Seeds in all: 0, 1, ...; a multiple of `block`.", examples=[6])
    block: Count = Field(description="Seeds trained together in one job.", examples=[6])

    @model_validator(mode="after")
    def _blocks(self) -> "_Model":
        if self.seeds % self.block:
            raise RefusedError("seeds", self.seeds, f"a multiple of block, which is {self.block}")
        return self

    def settings(self, step: str = "train") -> dict[str, Any]:
        """What a block's training gets; more seeds do not change it."""
        return self.model_dump(mode="json", exclude={"title", "dataset", "seeds", "block"})


class _Shaped(_Model):
    """What models say that a penalty may be added to."""

    regularization: Regularization | None = Field(
        default=None, description="A penalty on one layer: step `shape` trains it then."
    )

    def settings(self, step: str = "train") -> dict[str, Any]:
        """What a block's training gets; a penalty that there is none of is not among it."""
        settings = super().settings(step)
        if self.regularization is None:
            del settings["regularization"]
        return settings

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "train" if self.regularization is None else "shape"


class _Trained(_Shaped):
    """What networks of images say."""

    optimiser: Literal["adam"] = Field(default="adam", description="Optimiser.")
    learning_rate: Positive = Field(description="Step size.", examples=[1e-4])
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Of the step size: `constant`, or `cosine` (falls to 0 along half a cosine)."
    )
    batch: Count = Field(description="Samples in a batch.", examples=[64])
    shift: int = Field(default=0, ge=0, description="Pixels that a training image is moved by at most, at random.")
    iterations: Count = Field(description="Batches in all.", examples=[20000])
    report_every: Count = Field(default=1000, description="Iterations between two rows of `training.parquet`.")
    active_above: NotNegative = Field(default=0.1, description="KL (nats) above which the log calls a latent active.")


class VAEModel(_Trained):
    """A conditional variational autoencoder, whose decoder is studied."""

    architecture: Literal["conditional-vae"] = Field(description="The network: `conditional-vae`.")
    arguments: ConditionalVAEArguments = Field(description=_DESCRIPTIONS["arguments"])
    loss: Literal["conditional-beta-vae"] = Field(default="conditional-beta-vae", description="The loss.")
    loss_arguments: ConditionalBetaVAELoss = Field(
        default_factory=ConditionalBetaVAELoss, description=_DESCRIPTIONS["loss_arguments"]
    )


class JudgeModel(_Trained):
    """A small convolutional classifier, which judges decoded images."""

    architecture: Literal["judge"] = Field(description="The network: `judge`.")
    arguments: JudgeArguments = Field(default_factory=JudgeArguments, description=_DESCRIPTIONS["arguments"])
    loss: Literal["cross-entropy"] = Field(default="cross-entropy", description="The loss.")
    loss_arguments: CrossEntropyLoss = Field(
        default_factory=CrossEntropyLoss, description=_DESCRIPTIONS["loss_arguments"]
    )


class MLPArguments(Entry):
    """Shape of a multilayer perceptron; inputs and classes come from the data, two classes are one logit."""

    hidden: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Units of the hidden layers, in order.", examples=[[4, 2]]
    )


class Penalties(Entry):
    """Penalties beside the cross-entropy, as Keras has them."""

    activity: NotNegative = Field(
        default=0.0, description="Weight of the first hidden layer's activations: their sum, averaged over the batch."
    )
    kernel: NotNegative = Field(default=0.0, description="Weight of the first layer's squared weights, summed.")


class MLPModel(_Shaped):
    """A multilayer perceptron of ReLUs, which classifies the samples of a table, or images."""

    architecture: Literal["mlp"] = Field(description="The network: `mlp`.")
    arguments: MLPArguments = Field(description=_DESCRIPTIONS["arguments"])
    initialisation: Literal["glorot-uniform", "kaiming-normal"] = Field(
        default="glorot-uniform", description="Of the weights; biases begin at 0."
    )
    penalties: Penalties = Field(default_factory=Penalties, description="What is added to the cross-entropy.")
    learning_rate: Positive = Field(description="Adam's step size.", examples=[0.01])
    epsilon: Positive = Field(default=1e-7, description="Adam's epsilon; 1e-7 is Keras's.")
    batch: Count = Field(description="Samples in a batch.", examples=[100])
    epochs: Count = Field(
        description="Passes over all training samples; a smaller last batch counts, but not with `regularization`.",
        examples=[10],
    )
    report_every: Count = Field(default=1000, description="Iterations between two rows of `training.parquet`.")

    @model_validator(mode="after")
    def _one_penalty(self) -> "MLPModel":
        if self.regularization is not None and (self.penalties.activity or self.penalties.kernel):
            raise RefusedError("penalties", self.penalties.model_dump(), "none beside regularization")
        return self

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "fit" if self.regularization is None else "shape"


class StridedArguments(Entry):
    """Shape of a strided classifier; height, width and classes come from the data."""

    channels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[64, 64, 64], description="Channels of each convolution."
    )
    kernels: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[5, 3, 3], description="Side of each convolution's square kernel; the first is padded with half of it."
    )
    strides: Annotated[list[Count], Field(min_length=1)] = Field(
        default=[2, 2, 1], description="Stride of each convolution."
    )
    hidden: Count = Field(default=32, description="Units of the linear layer before the classes.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="Share of these units that is silent in training."
    )

    @model_validator(mode="after")
    def _shapes(self) -> "StridedArguments":
        for key in ("kernels", "strides"):
            if len(getattr(self, key)) != len(self.channels):
                takes = f"one of them for each of the {len(self.channels)} channels"
                raise RefusedError(key, getattr(self, key), takes)
        return self


class StridedModel(_Shaped):
    """A convolutional classifier of images without pooling, such as that of Carlini and Wagner 2017."""

    architecture: Literal["strided"] = Field(description="The network: `strided`.")
    arguments: StridedArguments = Field(default_factory=StridedArguments, description=_DESCRIPTIONS["arguments"])
    initialisation: Literal["glorot-uniform", "kaiming-normal"] = Field(
        default="glorot-uniform", description="Of the weights; biases begin at 0."
    )
    learning_rate: Positive = Field(description="Step size of gradient descent.", examples=[0.1])
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="Share of the last step.")
    halvings: NotNegative = Field(
        default=0.0, description="How often the step size is halved in all, a little each epoch."
    )
    batch: Count = Field(default=128, description="Samples in a batch.")
    epochs: Count = Field(
        description="Passes over all training samples; a smaller last batch counts, but not with `regularization`.",
        examples=[30],
    )
    report_every: Count = Field(default=100, description="Iterations between two rows of `training.parquet`.")

    @property
    def step(self) -> str:
        """The step that trains it."""
        return "classifier" if self.regularization is None else "shape"


class PhotoArguments(Entry):
    """Which network of torchvision, and what it was trained on."""

    factory: Text = Field(description="torchvision's name of the network.", examples=["squeezenet1_1"])
    colours: Literal["imagenet", "caffe"] = Field(
        default="imagenet",
        description="`imagenet` (torchvision's weights: RGB, standardised) or `caffe` (BGR, 0 to 255, centred).",
    )
    classes: Annotated[int, Field(ge=2)] = Field(default=1000, description="Number of classes.")


class OpenVINOCheckpoint(Entry):
    """Weights of convolutions in OpenVINO's intermediate representation."""

    format: Literal["openvino"] = Field(description="The format: `openvino`.")
    xml: RelativePath = Field(description="File of the layers.", examples=["squeezenet1.1.xml"])
    bin: RelativePath = Field(description="File of the numbers.", examples=["squeezenet1.1.bin"])

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"xml": self.xml, "bin": self.bin}


class StateDictCheckpoint(Entry):
    """Weights as torchvision publishes them; no pickled code runs."""

    format: Literal["state-dict"] = Field(description="The format: `state-dict`.")
    file: RelativePath = Field(description="The file.", examples=["alexnet-owt-7be5be79.pth"])
    key: Text | None = Field(
        default=None,
        description="Where the weights lie in a training checkpoint: `state_dict`, or `ema.model`, a key in another.",
    )
    prefix: Text | None = Field(
        default=None, description="Only names that begin so are read, without it: `module.` of a DataParallel."
    )

    def names(self) -> dict[str, str]:
        """The files that it reads, by key."""
        return {"file": self.file}


class PhotoModel(Files):
    """A network of photos that exists: one, for all seeds of a study, of any dataset of photos."""

    architecture: Literal["photo-network"] = Field(description="The network: `photo-network`.")
    arguments: PhotoArguments = Field(description=_DESCRIPTIONS["arguments"])
    checkpoint: OpenVINOCheckpoint | StateDictCheckpoint = Field(
        discriminator="format", description="Its weights, as they are published."
    )

    # What trained models say: it is the same network for all datasets and seeds.
    dataset: ClassVar[None] = None
    seeds: ClassVar[int] = 1
    block: ClassVar[int] = 1

    @model_validator(mode="after")
    def _checkpoint_files(self) -> "PhotoModel":
        self.check_files("checkpoint", self.checkpoint.names())
        return self

    def settings(self, step: str = "convert") -> dict[str, Any]:
        """What the conversion gets, with the hashes of its files."""
        files = [[file.path, file.hash] for file in self.files]
        return self.model_dump(mode="json", include={"architecture", "arguments", "checkpoint"}) | {"files": files}

    @property
    def step(self) -> str:
        """The step that makes its weights."""
        return "convert"


Model = (
    VAEModel
    | JudgeModel
    | MLPModel
    | StridedModel
    | PhotoModel
    | AutoencoderModel
    | MapModel
    | ConvolvedMapModel
    | MapPerceptronModel
    | DenseModel
    | CapsuleModel
    | WaveletModel
)
