"""Defines the keys of a recipe and their allowed values: the sections that decide the result of a run, and `about`."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from headrace.train.recipe.values import (
    OWN,
    TIMM,
    Batch,
    Chance,
    Count,
    CropOrModel,
    Epochs,
    Fraction,
    Group,
    OrAuto,
    OwnNetwork,
    Positive,
    Section,
    Share,
    Side,
    SideOrWord,
    TimmNetwork,
    network_kind,
)


def uneven_partitions(partitions: int, groups: int) -> str:
    """Return the error for a number of partitions that does not divide the groups of a step; it lists the divisors."""
    divisors = [number for number in range(1, groups + 1) if groups % number == 0]
    return f"partitions = {partitions} does not divide the {groups} groups of a step; these do: {divisors}"


class Model(Section):
    """The network and its initial weights."""

    name: Annotated[
        Annotated[OwnNetwork, Tag(OWN)] | Annotated[TimmNetwork, Tag(TIMM)], Discriminator(network_kind)
    ] = "efficientnet-b0"
    """The network: an EfficientNet of efficientnet_pytorch, a Lite network of efficientnet_lite_pytorch (designed for
    CPUs), or timm/NAME for any network of timm, which needs the extra `timm`."""
    init: Literal["random", "pretrained", "file"] = "random"
    """The initial weights: random values, the published weights (pretrained), or a file or folder that `--weights`
    names (file)."""
    head: Literal["new", "matched"] = "new"
    """The initial classifier: new has random weights. matched copies the published classifier's rows for those of your
    classes that have the synset name of an ImageNet class, such as n01443537. A matched classifier needs no separate
    `head_lr`."""
    dropout: Chance = 0.2
    """The probability that an input of the classifier is set to zero; timm calls it drop_rate."""
    drop_connect: Chance = 0.2
    """The probability that the last block is skipped (stochastic depth, arXiv:1603.09382); earlier blocks are skipped
    less often. timm calls it drop_path_rate."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The weight of each new step in the running statistics of batch normalisation, which torch calls momentum;
    efficientnet_pytorch uses 0.01."""
    freeze_epochs: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """The number of epochs, possibly a fraction, for which only the classifier is trained at the start of the run.
    During these epochs, the rest of the network runs as in evaluation."""

    @model_validator(mode="after")
    def _rows_to_match(self) -> Self:
        if self.head == "matched" and self.init == "random":
            raise ValueError(
                "head = matched copies rows of pretrained weights, but init = random loads no weights: set "
                "init = pretrained, or head = new"
            )
        return self


class Augment(Section):
    """Settings for cropping, resizing and augmenting training images."""

    size: SideOrWord = 64
    """Side of the training images in pixels. auto derives it from the median side of the source images, or is the only
    size that the network accepts; model is the size that the weights were trained at."""
    sizes: tuple[tuple[Annotated[float, Field(ge=0, lt=1)], Side], ...] = ()
    """A resolution schedule in place of `size`: pairs [share of the run at which a stage begins, its side in pixels],
    such as [[0.0, 128], [0.5, 160]]."""
    interpolation: Literal["bilinear", "bicubic", "model"] = "bilinear"
    """The antialiased filter for resizing, also in evaluation. model is the filter used to train the weights."""
    crop_area: tuple[Fraction, Fraction] = (0.35, 1.0)
    """Range of the random crop's share of the image area. `crop_area` and `crop_ratio` are the arguments scale and
    ratio of torchvision's RandomResizedCrop."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Range of the random crop's width divided by its height."""
    flip: Share = 0.5
    """The probability that an image is mirrored."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation about the centre, in degrees in either direction. rotate, shear, translate and scale are applied
    together as one warp, as in torchvision's RandomAffine."""
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    """Largest shear along x, in degrees in either direction."""
    translate: Share = 0.0
    """Largest shift along x and along y, as a share of the side."""
    scale: tuple[Annotated[float, Field(ge=0.1, le=10)], Annotated[float, Field(ge=0.1, le=10)]] = (1.0, 1.0)
    """Range of the scale factor."""
    brightness: Share = 0.0
    """With a value b, pixels are multiplied by a random factor from [1 - b, 1 + b]. brightness, contrast, saturation
    and hue are torchvision's ColorJitter, applied in random order."""
    contrast: Share = 0.0
    """With a value c, the difference of pixels from the image's mean grey is multiplied by a random factor from
    [1 - c, 1 + c]."""
    saturation: Share = 0.0
    """With a value s, the difference of each pixel from the grey of the same pixel is multiplied by a random factor
    from [1 - s, 1 + s]."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift of the hue in either direction; 1 is the whole colour circle."""
    trivial_augment: bool = False
    """Apply one random operator of random strength to each image: TrivialAugmentWide (arXiv:2103.10158)."""
    erase: Share = 0.0
    """The probability that a rectangle of an image is filled with the network's mean colour (random erasing,
    arXiv:1708.04896)."""
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.33)
    """Range of the erased rectangle's share of the image area."""
    erase_ratio: tuple[Positive, Positive] = (0.3, 3.3)
    """Range of the erased rectangle's height divided by its width."""
    mixup: Share = 0.0
    """Alpha of mixup's Beta distribution; 0 turns mixup off. Mixup helps long runs; short runs learn more without
    it."""
    cutmix: Share = 0.0
    """Alpha of CutMix's Beta distribution; 0 turns CutMix off. If mixup is on too, each group uses mixup or CutMix,
    drawn at random."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("crop_area", "crop_ratio", "scale", "erase_area", "erase_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]: the first value must not exceed the second")
        shares = [share for share, _ in self.sizes]
        if shares and (shares[0] != 0 or shares != sorted(set(shares))):
            raise ValueError(
                f"the stages in sizes begin at the shares {shares} of the run: the first share must be 0, and each "
                "later share must be larger than the share before"
            )
        return self

    @property
    def stages(self) -> tuple[tuple[float, int | Literal["auto", "model"]], ...]:
        """The stages of the resolution schedule, at least one: (share of the run where it begins, side in pixels)."""
        return self.sizes or ((0.0, self.size),)


class Train(Section):
    """Settings for the length of a run, and for the division of the samples into batches."""

    epochs: OrAuto[Epochs] = 10
    """Passes over the training split. auto derives the number from the numbers of images and classes."""
    global_batch: OrAuto[Batch] = 128
    """Samples in one optimizer update, over all processes. auto derives it from the number of training images."""
    group: OrAuto[Group] = 32
    """Samples in one forward and backward pass, which batch normalisation sees together. Each process takes whole
    groups of a batch. auto chooses a divisor of the batch."""
    batch_per_process: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Samples of each process in an update, as in plain DDP. These samples form one group, so the global batch and the
    number of updates depend on the number of processes. This key is only for comparisons; it overrides `global_batch`
    and `group`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the sample order and of all random draws."""
    window: Count | None = None
    """Shuffle within windows of this many shards, for storage with slow random reads. By default the whole set is
    shuffled; a set of more than 10 million images is shuffled in windows of at least a million images. `headrace
    inspect` shows how well windows mix the classes."""
    partitions: Count = 1
    """Divide the sample order into this many partitions, for sets that hosts fetch from object storage. A partition
    fills the same places of every batch, and reads a different part of the shards in each epoch. A host then fetches
    only the shards that its groups need. The number must divide the number of groups in a batch. `headrace inspect`
    shows how well partitions mix the classes."""
    label_smoothing: Chance = 0.0
    """The share of each target that is spread evenly over all classes (arXiv:1512.00567)."""
    until: Annotated[float, Field(gt=0, le=100)] | None = None
    """Stop after the first epoch that reaches this validation accuracy, in percent."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.global_batch == "auto" or self.group == "auto":
            return self
        if self.global_batch % self.group:
            divisors = [d for d in range(1, self.global_batch + 1) if self.global_batch % d == 0]
            raise ValueError(
                f"group = {self.group} does not divide global_batch = {self.global_batch}; these do: {divisors}"
            )
        groups = self.global_batch // self.group
        if self.batch_per_process is None and groups % self.partitions:
            raise ValueError(uneven_partitions(self.partitions, groups))
        return self


class Optim(Section):
    """The optimizer, and its learning rate over the run."""

    name: Literal["sgd", "adamw", "rmsprop"] = "sgd"
    """The optimizer: torch's SGD, AdamW or RMSprop."""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Peak learning rate for a global batch of `reference_batch` samples; `scaling` adapts it to other batches."""
    reference_batch: Count | None = None
    """The global batch that `lr` was chosen for. The default is the global batch of this recipe."""
    scaling: Literal["auto", "none"] = "auto"
    """How `lr` changes with the global batch. auto: linearly for sgd and rmsprop, with the square root for adamw. none:
    not at all."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """The classifier's learning rate as a multiple of `lr`."""
    layer_decay: Fraction = 1.0
    """The learning rate of each layer as a multiple of the next layer's rate; 1 gives all layers the same rate."""
    momentum: Chance = 0.9
    """Momentum of sgd and rmsprop."""
    nesterov: bool = False
    """Use Nesterov momentum in sgd."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty; adamw decouples it from the gradient. Norms and biases are exempt unless `decay_all` is set."""
    decay_all: bool = False
    """Also apply weight decay to norms and biases."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """The learning rate after the warm-up: cosine and linear fall to 0 at the last step; constant does not change."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """The number of epochs, possibly a fraction, over which the learning rate rises linearly to its peak at the start
    of the run."""
    ema_half_life: Count | None = None
    """Half-life, in samples, of a moving average of the weights. If it is set, evaluation and best.pt use the
    average."""


class Evaluate(Section):
    """Settings for evaluating the validation split."""

    size: SideOrWord = 64
    """Side of the evaluated images in pixels. auto is the last training size plus 32, or the only size that the network
    accepts; model is the size at which the publisher of the weights evaluated them."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 100
    """Samples in one forward pass; the same for any number of processes."""
    crop: CropOrModel = 1.0
    """Side of the evaluated central square, as a fraction of the image's shorter side. torchvision uses 224 / 256;
    model is the fraction that the weights were evaluated with."""
    flip: bool = False
    """Average the logits of each image and its mirror image, which doubles the forward passes for a little more
    accuracy."""


class About(Section):
    """Text for readers, without effect on a run."""

    purpose: Annotated[str, Field(max_length=500)] = ""
    """The recipe's purpose, in one sentence."""
    measured: Annotated[str, Field(max_length=500)] = "not yet measured"
    """The measured result, the machine that it was measured on, and the file with the evidence."""
