"""The sections of a recipe: the keys of each and the values that they allow."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from headrace.shards.stage_folder import LIMIT_FORM
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
    Share,
    Side,
    SideOrWord,
    TimmNetwork,
    network_kind,
)


def uneven_partitions(partitions: int, groups: int) -> str:
    """The error for a number of partitions that does not divide the groups of a step, with the numbers that do."""
    divisors = [number for number in range(1, groups + 1) if groups % number == 0]
    return f"partitions = {partitions} does not divide the {groups} groups of a step; these do: {divisors}"


class Section(BaseModel):
    """A group of values; frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(Section):
    """The network and its initial weights."""

    name: Annotated[
        Annotated[OwnNetwork, Tag(OWN)] | Annotated[TimmNetwork, Tag(TIMM)], Discriminator(network_kind)
    ] = "efficientnet-b0"
    """The network: one of efficientnet_pytorch, one of efficientnet_lite_pytorch (made for CPUs), or any network of
    timm as timm/NAME, which needs the extra timm."""
    init: Literal["random", "pretrained", "file"] = "random"
    """The initial weights: random, the published ones, or a file or folder (`--weights`)."""
    head: Literal["new", "matched"] = "new"
    """The initial classifier: random, or matched. matched copies the published classifier's rows for the classes that
    are ImageNet classes, recognised by synset names such as n01443537; it needs no separate `head_lr`."""
    dropout: Chance = 0.2
    """The probability that an input of the classifier is dropped; timm's drop_rate."""
    drop_connect: Chance = 0.2
    """The probability that the last block is skipped; earlier blocks are skipped less often (stochastic depth,
    arXiv:1603.09382); timm's drop_path_rate."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The weight of a new step in the running statistics, as torch defines it; efficientnet_pytorch uses 0.01."""

    freeze_epochs: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """Epochs, possibly a fraction, in which only the classifier is trained and the rest runs as in evaluation."""

    @model_validator(mode="after")
    def _rows_to_match(self) -> Self:
        if self.head == "matched" and self.init == "random":
            raise ValueError("head = matched copies rows of the weights that init names, but init is random")
        return self


class Augment(Section):
    """How training images are cropped, resized and augmented."""

    size: SideOrWord = 64
    """Pixels of a side in training. auto goes by the median side of the source images, or is the only size that the
    network takes; model is the size that the weights were trained at."""
    sizes: tuple[tuple[Annotated[float, Field(ge=0, lt=1)], Side], ...] = ()
    """Resolution schedule that replaces `size`: pairs [share of the run, side], as in [[0.0, 128], [0.5, 160]]."""
    interpolation: Literal["bilinear", "bicubic", "model"] = "bilinear"
    """Antialiased filter for resizing, also in evaluation. model uses the one that the weights were trained with."""
    crop_area: tuple[Fraction, Fraction] = (0.35, 1.0)
    """The random crop's share of the image's area. This key and the next are torchvision's RandomResizedCrop."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """The random crop's width divided by its height."""
    flip: Share = 0.5
    """The probability that an image is mirrored."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation about the centre, in degrees to either side. This key and the next three are applied as one
    warp, torchvision's RandomAffine."""
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    """Largest shear along x, in degrees to either side."""
    translate: Share = 0.0
    """Largest shift as a share of the side, along x and along y."""
    scale: tuple[Annotated[float, Field(ge=0.1, le=10)], Annotated[float, Field(ge=0.1, le=10)]] = (1.0, 1.0)
    """Smallest and largest scale factor."""
    brightness: Share = 0.0
    """With a value b, pixels are multiplied by a factor from [1 - b, 1 + b]. This key and the next three are
    torchvision's ColorJitter, applied in random order."""
    contrast: Share = 0.0
    """The same for the difference from the image's mean grey."""
    saturation: Share = 0.0
    """The same for the difference from the pixel's own grey."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift of the hue to either side; 1 is the whole colour circle."""
    trivial_augment: bool = False
    """Apply one random operator of random strength to each image: TrivialAugmentWide (arXiv:2103.10158)."""
    erase: Share = 0.0
    """The probability that a rectangle of an image is filled with the network's mean colour (arXiv:1708.04896)."""
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.33)
    """The rectangle's share of the image's area."""
    erase_ratio: tuple[Positive, Positive] = (0.3, 3.3)
    """The rectangle's height divided by its width."""
    mixup: Share = 0.0
    """Alpha of mixup's Beta distribution; 0 turns it off. It helps long runs; short ones learn more without it."""
    cutmix: Share = 0.0
    """Alpha of CutMix's Beta distribution; 0 turns it off. If both are on, each group draws one of them."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("crop_area", "crop_ratio", "scale", "erase_area", "erase_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]: the first must not exceed the second")
        shares = [share for share, _ in self.sizes]
        if shares and (shares[0] != 0 or shares != sorted(set(shares))):
            raise ValueError(
                f"sizes begin at the shares {shares} of the run: the first must be 0, each later one larger"
            )
        return self

    @property
    def stages(self) -> tuple[tuple[float, int | Literal["auto", "model"]], ...]:
        """(share of the run, side) of every stage of the resolution schedule, at least one."""
        return self.sizes or ((0.0, self.size),)


class Train(Section):
    """How long a run trains, and how it divides the samples."""

    epochs: OrAuto[Epochs] = 10
    """Passes over the training split. auto chooses by the numbers of images and classes."""
    global_batch: OrAuto[Batch] = 128
    """Samples in one optimizer update, over all processes. auto chooses by the number of training images."""
    group: OrAuto[Group] = 32
    """Samples in a training pass, also for batch normalisation. Processes take whole groups; auto divides a batch."""
    batch_per_process: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Count as plain DDP does: every process takes this many samples as its one group, so the global batch and the
    number of updates depend on the number of processes. For comparisons only; overrides the two keys above."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the order and of every random draw."""
    window: Count | None = None
    """Shuffle within windows of this many shards, for storage that is slow at random reads. The default shuffles the
    whole set, or within windows of at least a million images if there are more than 10 million. `headrace inspect`
    says how well windows mix the classes."""
    partitions: Count = 1
    """Divide the order into this many partitions, for sets that hosts fetch from storage. A partition fills the same
    places of every batch and reads a different part of the shards in each epoch, so a host fetches only the parts of
    its own groups. Must divide the groups of a batch. `headrace inspect` says how well they mix classes."""
    label_smoothing: Chance = 0.0
    """Label smoothing: the share of each target that is spread over all classes (arXiv:1512.00567)."""
    until: Annotated[float, Field(gt=0, le=100)] | None = None
    """Stop after the first epoch whose validation accuracy reaches this many percent."""

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
    """The optimizer of that name in torch."""
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Peak learning rate for a global batch of `reference_batch` samples; `scaling` adapts it to another batch."""
    reference_batch: Count | None = None
    """The global batch that `lr` was chosen for; by default this recipe's global batch."""
    scaling: Literal["auto", "none"] = "auto"
    """How `lr` changes with the global batch: by the optimizer's usual rule, or not at all."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """The classifier's learning rate as a multiple of the other layers' rate."""
    layer_decay: Fraction = 1.0
    """The learning rate of each layer as a multiple of the rate of the layer after it; 1 gives all the same rate."""
    momentum: Chance = 0.9
    """Momentum of sgd and rmsprop."""
    nesterov: bool = False
    """Whether sgd uses Nesterov momentum."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty, decoupled from the gradient with adamw. Norms and biases are exempt unless `decay_all` is set."""
    decay_all: bool = False
    """Also apply weight decay to norms and biases."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """The rate after the warm-up: cosine and linear fall to 0 at the last step; constant does not change."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs, possibly a fraction, in which the rate rises linearly to its peak."""
    ema_half_life: Count | None = None
    """Half-life, in samples, of a moving average of the weights. If set, evaluation and `best` use the average."""


class Evaluate(Section):
    """How the validation split is evaluated."""

    size: SideOrWord = 64
    """Pixels of a side. auto adds 32 to the last training size if the network takes other sizes; model is the size that
    the weights were evaluated at."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 100
    """Samples in one forward pass, the same for any number of processes."""
    crop: CropOrModel = 1.0
    """Side of the central square that is evaluated, as a fraction of the image's shorter side. torchvision uses
    224 / 256; model uses the fraction that belongs to the weights."""
    flip: bool = False
    """Average the logits of each image and its mirror image: twice the forward passes for a little more accuracy."""


class Runtime(Section):
    """How the machine is used. The order of samples, the random draws and the updates do not depend on it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is the GPU if there is one, else the CPU."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "fp64"] = "auto"
    """The number format of the network's arithmetic. auto is bf16 on a GPU that has it, else fp16; on a CPU fp32, or
    bf16 if the CPU has it and it is faster. fp32 is full precision, also on a GPU; tf32 rounds only factors there."""
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Memory format of images and weights; auto is channels_last, which suits convolutions on every device."""
    compile: Literal["auto", "off", "default", "reduce-overhead"] = "auto"
    """Compile the forward and backward pass with torch.compile: default uses inductor, reduce-overhead also CUDA
    graphs. auto is off on every device, because what compiling costs and saves has not been measured on a GPU yet."""
    padding: Literal["images", "weights"] = "images"
    """Where convolutions of stride 2 put the zeros of "same" padding in training: around images, which copies the
    images, or into the kernel as a row and a column, which copies nothing but may prevent the fast kernels of a GPU.
    Not measured yet."""
    decode: Literal["auto", "cpu", "mixed"] = "auto"
    """Where a run on a GPU decodes JPEGs. mixed uses nvJPEG on the GPU; auto uses the CPU for images of up to 128 x 128
    pixels on average, else mixed. A resumed run keeps its first choice, because the two give different pixels."""
    cache: Literal["none", "decoded"] = "none"
    """decoded: decode each image once into a file, and read the pixels from it in every epoch and every later run. The
    file takes 3 bytes a pixel on disk and as much memory on each machine, shared by its processes."""
    cache_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """The folder for the cache; by default beside the shard set. Caches may be removed between runs."""
    stage_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A local folder for the tars of a set at a URL; by default HEADRACE_STAGE_DIR, or headrace/stage in the cache."""
    stage_limit: Annotated[str, Field(pattern=LIMIT_FORM, examples=["200GB"])] | None = None
    """The most that all tars in that folder may take, such as "200GB"; by default HEADRACE_STAGE_LIMIT, or else three
    quarters of the space on the disk that is free or already taken by staged tars."""
    mirror: Annotated[str, Field(min_length=6, max_length=4096)] | None = None
    """A URL of object storage, such as "s3://bucket/run", to which a thread copies the run folder during training;
    `--resume URL` resumes the run from it."""
    bucket_mib: Annotated[int, Field(ge=1, le=1024)] | None = None
    """MiB of gradients that processes exchange in one message; by default as in torch: 1 in the first, then 25."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of each process; by default its share of the available cores."""
    deterministic: bool = False
    """Give bit-identical results on the same device and number of processes, at some cost in speed on a GPU."""
    log_every: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Steps between lines in metrics.jsonl."""
    checkpoint_steps: Count | None = None
    """Also save every this many steps, in addition to the end of each epoch."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = None
    """Also save when this many minutes have passed since the last checkpoint, by the clock of rank 0."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=10_000)] = 3
    """How many of the newest checkpoints are kept, in addition to the best one."""
    timeout_minutes: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """A rank that does nothing for this many minutes while others wait for it ends the run."""
    silent_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """On several hosts, after this many seconds without a sign of life from one, the run ends on the others and can be
    resumed. A busy rank does give signs of life."""
    async_save_mb: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Checkpoints above this many MB are written while training continues, from a copy of the state in memory."""
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Where a run's figures go in addition to metrics.jsonl and epochs.csv. Each logger needs the extra of its name."""
    verdict: bool = True
    """At the end of the run, time the step on a batch in memory, to tell whether the input was the bottleneck."""

    @model_validator(mode="after")
    def _decoded_on_the_cpu(self) -> Self:
        if self.cache == "decoded" and self.decode == "mixed":
            raise ValueError(
                "cache = decoded stores what the CPU decodes, so it cannot be combined with decode = mixed"
            )
        return self


class About(Section):
    """Text for the reader, without effect on a run."""

    purpose: Annotated[str, Field(max_length=500)] = ""
    """The recipe's purpose, in one sentence."""
    measured: Annotated[str, Field(max_length=500)] = "not yet measured"
    """The measured result, where it was measured, and the file with the evidence."""
