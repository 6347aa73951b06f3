"""The sections of a recipe and the values in each, with what they may be."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Fraction = Annotated[float, Field(gt=0, le=1)]
Chance = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=2**53)]
Side = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Batch = Annotated[int, Field(ge=1, le=1_000_000)]
Group = Annotated[int, Field(ge=1)]

NUMBER = "number"
"""In errors of a value that may be "auto": what follows is about the number."""


def _kind(value: Any) -> str:
    return "auto" if value == "auto" else NUMBER


_T = TypeVar("_T")
OrAuto = Annotated[
    Annotated[_T, Tag(NUMBER)] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_kind),
]
"""A number, or "auto": `headrace.train.recipe.automatic` then chooses it by the training split."""


class Section(BaseModel):
    """Values that belong together: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(Section):
    """The network and its first weights."""

    name: Literal[
        "efficientnet-b0",
        "efficientnet-b1",
        "efficientnet-b2",
        "efficientnet-b3",
        "efficientnet-b4",
        "efficientnet-b5",
        "efficientnet-b6",
        "efficientnet-b7",
        "efficientnet-lite0",
    ] = "efficientnet-b0"
    """The network: efficientnet_pytorch's, or efficientnet_lite_pytorch's lite0, which is made for CPUs."""
    init: Literal["random", "pretrained", "file"] = "random"
    """The first weights: drawn at random, those published for ImageNet, or a file (`--weights`)."""
    head: Literal["new", "matched"] = "new"
    """The first classifier: drawn at random, or with the published one's rows for those classes that are ImageNet's,
    named by synset as in n01443537. Such a start needs no `head_lr` of its own."""
    dropout: Chance = 0.2
    """The chance that an input of the classifier is left out."""
    drop_connect: Chance = 0.2
    """The chance that the last block is skipped; earlier blocks have less (stochastic depth, arXiv:1603.09382)."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The weight of a new step in the running statistics (torch's sense; efficientnet_pytorch's own is 0.01)."""

    @model_validator(mode="after")
    def _rows_to_match(self) -> Self:
        if self.head == "matched" and self.init == "random":
            raise ValueError("head = matched takes rows of the weights that init names, and init is random")
        return self


class Augment(Section):
    """What training images go through."""

    size: OrAuto[Side] = 64
    """Side of the training images, pixels. The network halves it five times. auto chooses by the images' own size."""
    sizes: tuple[tuple[Annotated[float, Field(ge=0, lt=1)], Side], ...] = ()
    """Resolution schedule in place of `size`: [share of the run, side], as in [[0.0, 128], [0.5, 160]]."""
    crop_area: tuple[Fraction, Fraction] = (0.35, 1.0)
    """Share of the image's area that a random box has. This and the next are torchvision's RandomResizedCrop."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Width of the box divided by its height."""
    flip: Share = 0.5
    """The chance that an image is mirrored."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees to either side, about the middle. This and the next three are one warp, torchvision's RandomAffine."""
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    """Degrees to either side, along x."""
    translate: Share = 0.0
    """Share of the side, along x and y each."""
    scale: tuple[Annotated[float, Field(ge=0.1, le=10)], Annotated[float, Field(ge=0.1, le=10)]] = (1.0, 1.0)
    """Factors of size."""
    brightness: Share = 0.0
    """A factor from [1 - b, 1 + b]. This and the next three are torchvision's ColorJitter, in an order drawn too."""
    contrast: Share = 0.0
    """A factor for the distance from the image's own mean grey."""
    saturation: Share = 0.0
    """A factor for the distance from the pixel's own grey."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Turns of the colour circle, to either side."""
    trivial_augment: bool = False
    """One operator of random strength an image: TrivialAugmentWide (arXiv:2103.10158)."""
    erase: Share = 0.0
    """The chance that a rectangle of an image becomes the network's mean colour (arXiv:1708.04896)."""
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.33)
    """The rectangle's share of the image."""
    erase_ratio: tuple[Positive, Positive] = (0.3, 3.3)
    """Its height divided by its width."""
    mixup: Share = 0.0
    """Alpha of mixup's Beta distribution, 0 for off. For long runs: a short one needs its images as they are."""
    cutmix: Share = 0.0
    """Alpha of CutMix's, 0 for off. With both on, each group draws one of them."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("crop_area", "crop_ratio", "scale", "erase_area", "erase_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]: the first may not exceed the second")
        shares = [share for share, _ in self.sizes]
        if shares and (shares[0] != 0 or shares != sorted(set(shares))):
            raise ValueError(
                f"sizes begin at the shares {shares} of the run: the first must be 0, each later one larger"
            )
        return self

    @property
    def stages(self) -> tuple[tuple[float, int | Literal["auto"]], ...]:
        """(share of the run, side) of every stage of the resolution schedule, at least one."""
        return self.sizes or ((0.0, self.size),)


class Train(Section):
    """How long and in what pieces."""

    epochs: OrAuto[Epochs] = 10
    """Passes over the training split. auto chooses by its numbers of images and classes."""
    global_batch: OrAuto[Batch] = 128
    """Samples of one optimizer update, over all processes together. auto chooses by the number of training images."""
    group: OrAuto[Group] = 32
    """Samples of one forward pass: what batch normalisation sees. Processes take whole groups. auto divides the global
    batch."""
    batch_per_process: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Plain DDP's way of counting, on purpose only: every process takes this many samples as its one group, so the
    global batch and the number of updates depend on the number of processes. Overrides the two above."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the order and of every draw."""
    window: Count | None = None
    """Draw the order in windows of so many shards, for storage that is slow at random reads; none given means over the
    whole set, or, of more than 10 million training images, in windows of a million and more. `headrace inspect` says
    how well windows mix the classes."""
    label_smoothing: Chance = 0.0
    """The share of each target that is spread over all classes (arXiv:1512.00567)."""
    until: Annotated[float, Field(gt=0, le=100)] | None = None
    """Stop after the epoch whose validation accuracy reaches this many percent."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.global_batch == "auto" or self.group == "auto":
            return self
        if self.global_batch % self.group:
            divisors = [d for d in range(1, self.global_batch + 1) if self.global_batch % d == 0]
            raise ValueError(
                f"group = {self.group} does not divide global_batch = {self.global_batch}; what does: {divisors}"
            )
        return self


class Optim(Section):
    """The optimizer and its learning rate over the run."""

    name: Literal["sgd", "adamw", "rmsprop"] = "sgd"
    """torch's optimizer of that name."""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Peak learning rate for `reference_batch` samples a step; another global batch scales it by rule."""
    reference_batch: Count | None = None
    """The global batch that `lr` was chosen for; none given means this recipe's own."""
    scaling: Literal["auto", "none"] = "auto"
    """How `lr` follows another global batch: by the optimizer's rule, or not at all."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """The classifier's learning rate as a multiple of the rest's."""
    momentum: Chance = 0.9
    """Of sgd and rmsprop."""
    nesterov: bool = False
    """Of sgd."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty; with adamw decoupled from the gradient. Norms and biases have none, see `decay_all`."""
    decay_all: bool = False
    """Also decay norms and biases."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the rate falls after the warm-up, to 0 at the last step, or that it stays."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs in which the rate rises to its peak in a straight line; may be a fraction."""
    ema_half_life: Count | None = None
    """Average the weights with this half-life in samples; evaluation and `best` then use the average."""


class Evaluate(Section):
    """How the validation split is measured."""

    size: OrAuto[Side] = 64
    """Side of the images, pixels. auto follows the size of the training images."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 100
    """Samples of one forward pass, the same on any number of processes."""
    crop: Annotated[float, Field(ge=0.1, le=1)] = 1.0
    """Central square of this fraction of the shorter side; 224 / 256 is torchvision's habit."""
    flip: bool = False
    """Average the logits of each image and its mirror image: two forward passes, a little more accuracy."""


class Runtime(Section):
    """How the machine is used. The order, draws and updates do not depend on it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is the GPU where there is one."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "fp64"] = "auto"
    """fp32 is exact, also on a GPU; tf32 rounds there what is multiplied, and is kept in the same 32 bits."""
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Memory order of images and weights; auto is channels_last, which convolutions prefer on every device."""
    compile: Literal["auto", "off", "default", "reduce-overhead"] = "auto"
    """torch.compile of the forward and backward pass: by inductor, or also as CUDA graphs. auto is off on every
    device, until it has been measured on a GPU what compiling costs and saves."""
    padding: Literal["images", "weights"] = "images"
    """Where convolutions of stride 2 have the zeros of "same" padding in training: around images, which copies them, or
    as a row and column of the kernel, which copies none but may keep a GPU from its fast kernels. Not measured yet."""
    decode: Literal["auto", "cpu", "mixed"] = "auto"
    """Where JPEGs are decoded in a run on a GPU: mixed is the GPU's nvJPEG; auto the CPU for images of at most 128 x
    128 pixels on average, else mixed. A resumed run keeps to what it began with, as the pixels differ."""
    cache: Literal["none", "decoded"] = "none"
    """decoded: decode each image once into a file, and read the pixels from there in every epoch and every later run.
    It takes 3 bytes a pixel of disk, and as much memory of each machine, shared by its processes."""
    cache_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """The folder for it; none given means beside the shard set. Caches may be removed between runs."""
    bucket_mib: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Gradients that processes exchange in one message, in MiB; none given means torch's own: 1, then 25."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of each process; none given means its share of the cores that it may use."""
    deterministic: bool = False
    """Same bits on the same device and number of processes, at some cost in speed on a GPU."""
    log_every: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Steps between lines in metrics.jsonl."""
    checkpoint_steps: Count | None = None
    """Save also every so many steps, besides the end of each epoch."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = None
    """Save also when so many minutes have passed since the last checkpoint, by the clock of rank 0."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=10_000)] = 3
    """The newest checkpoints that stay; the best one stays besides."""
    timeout_minutes: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """A rank that does nothing for so long while others wait for it ends the run."""
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Where a run's figures go besides metrics.jsonl and epochs.csv. Each needs the extra of its name."""
    verdict: bool = True
    """End the run by timing the step on a resident batch, to say whether the input was the bottleneck."""

    @model_validator(mode="after")
    def _decoded_on_the_cpu(self) -> Self:
        if self.cache == "decoded" and self.decode == "mixed":
            raise ValueError("cache = decoded holds what the CPU decodes, so decode = mixed does not go with it")
        return self


class About(Section):
    """Words for the reader; they decide nothing."""

    purpose: Annotated[str, Field(max_length=500)] = ""
    """What the recipe is for, in a sentence."""
    measured: Annotated[str, Field(max_length=500)] = "not yet measured"
    """What it came to, where, and the file with the evidence."""
