"""Defines the section `runtime` of a recipe: keys that decide how the machine is used, but not the result of a run."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headrace.shards.stage_folder import LIMIT_FORM
from headrace.train.recipe.values import Count, Folder, Section


class Runtime(Section):
    """Settings for the machine. The order of samples, the random draws and the updates do not depend on these keys."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device that trains. auto is the GPU if there is one, else the CPU."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "fp64"] = "auto"
    """The number format of the network's arithmetic. On a GPU, auto is bf16 if the GPU supports bf16, else fp16. On a
    CPU, auto is fp32, or bf16 if the CPU supports bf16 and trains faster with it. fp32 is full precision on every
    device; tf32 needs a GPU and rounds only the factors of products."""
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    """The memory format of images and weights. auto is channels_last, which suits convolutions on every device."""
    compile: Literal["auto", "off", "default", "reduce-overhead"] = "auto"
    """How torch.compile compiles the forward and backward pass: default uses inductor, and reduce-overhead uses CUDA
    graphs too. auto is off on every device, because the cost and gain of compiling on a GPU are not measured yet."""
    padding: Literal["images", "weights"] = "images"
    """Where convolutions of stride 2 put the zeros of "same" padding in training. images pads the images, which copies
    them. weights adds a row and a column of zeros to the convolution's weights, which copies no images, but may keep a
    GPU from using its fastest convolution. Not measured yet."""
    decode: Literal["auto", "cpu", "mixed"] = "auto"
    """Where a run on a GPU decodes JPEGs. cpu uses the CPU, mixed uses nvJPEG on the GPU; auto is cpu for images of up
    to 128 x 128 pixels on average, else mixed. A resumed run keeps its first choice, because the two decoders give
    different pixels."""
    cache: Literal["none", "decoded"] = "none"
    """The cache of decoded images. none: images are decoded in every epoch. decoded: each image is decoded once, and
    its pixels are kept in a file, which every epoch and every later run read. The file takes 3 bytes per pixel on disk,
    and as much memory on each machine, shared by all processes."""
    cache_dir: Folder | None = None
    """The folder for the cache; by default a folder beside the shard set. Caches may be removed between runs."""
    stage_dir: Folder | None = None
    """The local folder that tars of a set at a URL are fetched to. The default is HEADRACE_STAGE_DIR, or else
    headrace/stage in the user's cache folder."""
    stage_limit: Annotated[str, Field(pattern=LIMIT_FORM, examples=["200GB"])] | None = None
    """The most space that all tars in `stage_dir` may take, such as "200GB". The default is HEADRACE_STAGE_LIMIT, or
    else three quarters of the disk space that is free or already taken by staged tars."""
    mirror: Annotated[str, Field(min_length=6, max_length=4096)] | None = None
    """The URL in object storage, such as "s3://bucket/run", to which a thread copies the run folder during training.
    `--resume URL` resumes the run from this copy."""
    bucket_mib: Annotated[int, Field(ge=1, le=1024)] | None = None
    """MiB of gradients that processes exchange in one message. The default is that of torch: 1 MiB in the first
    message, then 25 MiB."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of each process; by default the process's share of the available cores."""
    deterministic: bool = False
    """Make repeated runs give bit-identical results on the same device and number of processes; slower on a GPU."""
    log_every: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Steps between two lines of metrics.jsonl."""
    checkpoint_steps: Count | None = None
    """Steps between two checkpoints, in addition to the checkpoint at the end of each epoch."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = None
    """A checkpoint is saved when the last one is this many minutes old, by the clock of rank 0."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=10_000)] = 3
    """The number of newest checkpoints that are kept, in addition to the best one."""
    timeout_minutes: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """The run ends if a rank keeps other ranks waiting for this many minutes."""
    silent_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """On several hosts, the run ends if one host gives no sign of life for this many seconds; it can then be resumed. A
    busy host still gives signs of life."""
    async_save_mb: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Checkpoints larger than this many MB are written while training continues, from a copy of the state in memory."""
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Loggers that get the run's figures, in addition to metrics.jsonl and epochs.csv. Each logger needs the extra of
    the same name, such as headrace[wandb]."""
    verdict: bool = True
    """At the end of the run, time the step on a batch in memory, to find out whether the input was the bottleneck."""

    @model_validator(mode="after")
    def _decoded_on_the_cpu(self) -> Self:
        if self.cache == "decoded" and self.decode == "mixed":
            raise ValueError(
                "cache = decoded stores pixels that the CPU decodes, so it cannot be combined with decode = mixed"
            )
        return self
