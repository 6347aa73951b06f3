"""What a run is: every value that decides its result, counted in samples and epochs, never in processes.

A recipe is a TOML file with these sections. Unknown keys and values out of range are errors that name the key.
"""

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shards.errors import UsageError

Fraction = Annotated[float, Field(gt=0, le=1)]
Chance = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(_Section):
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
    init: Literal["random", "pretrained", "file"] = "random"
    dropout: Chance = 0.2
    drop_connect: Chance = 0.2
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The weight of a new step in the running statistics (torch's sense; efficientnet_pytorch's own is 0.01)."""


class Augment(_Section):
    """What training images go through."""

    size: Side = 64
    """Side of the training images, pixels. The network halves it five times."""
    sizes: tuple[tuple[Annotated[float, Field(ge=0, lt=1)], Side], ...] = ()
    """Resolution schedule in place of `size`: [share of the run, side], as in [[0.0, 128], [0.5, 160]]."""
    crop_area: tuple[Fraction, Fraction] = (0.35, 1.0)
    crop_ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    mixup: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Alpha of mixup's Beta distribution, 0 for off. For long runs: a short one needs its images as they are."""
    cutmix: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Alpha of CutMix's, 0 for off. With both on, each group draws one of them."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("crop_area", "crop_ratio"):
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
    def stages(self) -> tuple[tuple[float, int], ...]:
        """(share of the run, side) of every stage of the resolution schedule, at least one."""
        return self.sizes or ((0.0, self.size),)


class Train(_Section):
    """How long and in what pieces."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    global_batch: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    """Samples of one optimizer update, over all processes together."""
    group: Annotated[int, Field(ge=1)] = 32
    """Samples of one forward pass: what batch normalisation sees. Processes take whole groups."""
    batch_per_process: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Plain DDP's way of counting, on purpose only: every process takes this many samples as its one group, so the
    global batch and the number of updates depend on the number of processes. Overrides the two above."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    label_smoothing: Chance = 0.0
    until: Annotated[float, Field(gt=0, le=100)] | None = None
    """Stop after the epoch whose validation accuracy reaches this many percent."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.global_batch % self.group:
            divisors = [d for d in range(1, self.global_batch + 1) if self.global_batch % d == 0]
            raise ValueError(
                f"group = {self.group} does not divide global_batch = {self.global_batch}; what does: {divisors}"
            )
        return self


class Optim(_Section):
    """The optimizer and its learning rate over the run."""

    name: Literal["sgd", "adamw", "rmsprop"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Peak learning rate for `reference_batch` samples a step; another global batch scales it by rule."""
    reference_batch: Annotated[int, Field(ge=1)] | None = None
    """The global batch that `lr` was chosen for; none given means this recipe's own."""
    scaling: Literal["auto", "none"] = "auto"
    """How `lr` follows another global batch: by the optimizer's rule, or not at all."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """The classifier's learning rate as a multiple of the rest's."""
    momentum: Chance = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_all: bool = False
    """Also decay norms and biases."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    ema_half_life: Annotated[int, Field(ge=1)] | None = None
    """Average the weights with this half-life in samples; evaluation and `best` then use the average."""


class Evaluate(_Section):
    """How the validation split is measured."""

    size: Side = 64
    batch: Annotated[int, Field(ge=1, le=65_536)] = 100
    crop: Fraction = 1.0
    """Central square of this fraction of the shorter side; 224 / 256 is torchvision's habit."""


class Runtime(_Section):
    """How the machine is used. The order, draws and updates do not depend on it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    decode: Literal["auto", "cpu", "mixed"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of each process; none given means its share of the cores that it may use."""
    deterministic: bool = False
    """Same bits on the same device and number of processes, at some cost in speed on a GPU."""
    log_every: Annotated[int, Field(ge=1)] = 50
    """Steps between lines in metrics.jsonl."""
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    """Save also every so many steps, besides the end of each epoch."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = None
    """Save also when so many minutes have passed since the last checkpoint, by the clock of rank 0."""
    keep_checkpoints: Annotated[int, Field(ge=1, le=10_000)] = 3
    """The newest checkpoints that stay; the best one stays besides."""
    timeout_minutes: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """A rank that does nothing for so long while others wait for it ends the run."""
    verdict: bool = True
    """End the run by timing the step on a resident batch, to say whether the input was the bottleneck."""


class About(_Section):
    """Words for the reader; they decide nothing."""

    purpose: Annotated[str, Field(max_length=500)] = ""
    """What the recipe is for, in a sentence."""
    measured: Annotated[str, Field(max_length=500)] = "not yet measured"
    """What it came to, where, and the file with the evidence."""


class Recipe(_Section):
    """All of it."""

    about: About = About()
    model: Model = Model()
    augment: Augment = Augment()
    train: Train = Train()
    optim: Optim = Optim()
    evaluate: Evaluate = Evaluate()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Self:
        if self.optim.warmup_epochs >= self.train.epochs:
            raise ValueError(
                f"optim.warmup_epochs = {self.optim.warmup_epochs:g} must be less than train.epochs = "
                f"{self.train.epochs}: the learning rate would never reach its peak"
            )
        return self

    def toml(self) -> str:
        """The recipe with every value written out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def result(self) -> dict[str, Any]:
        """The part that decides the result: all sections but `about` and `runtime`."""
        return self.model_dump(mode="json", exclude={"about", "runtime"})

    def for_processes(self, processes: int) -> "Recipe":
        """The recipe on this many processes: itself, unless its batch is counted by the process."""
        batch = self.train.batch_per_process
        if batch is None:
            return self
        train = self.train.model_copy(update={"global_batch": batch * processes, "group": batch})
        return self.model_copy(update={"train": train})

    def with_settings(self, name: str, settings: Sequence[str]) -> "Recipe":
        """A copy with `section.key=value` settings applied; `name` is what errors call it."""
        return _validated(self.model_dump(mode="json", exclude_none=True), name, settings)


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with Headrace."""
    files = resources.files("train.recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """The shipped recipe called `name`, or the TOML file at that path, with `section.key=value` settings applied.

    Raises UsageError that names the key and what it may be.
    """
    return _validated(_read(name), name, settings)


def _validated(values: dict[str, Any], name: str, settings: Sequence[str]) -> Recipe:
    for setting in settings:
        _apply(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(name, error)) from error


def _read(name: str) -> dict[str, Any]:
    if name in shipped_recipes():
        text = resources.files("train.recipes").joinpath(f"{name}.toml").read_bytes()
    elif Path(name).is_file():
        text = Path(name).read_bytes()
    else:
        raise UsageError(
            f"--recipe {name}: no such file, nor a shipped recipe; those are {', '.join(shipped_recipes())}"
        )
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, numbers of thousands of digits
        raise UsageError(f"recipe {name}: not valid TOML: {error}") from error


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    section, dot, name = key.strip().partition(".")
    if not equals or not dot:
        raise UsageError(f"--set {setting}: expected section.key=value, such as train.epochs=5")
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise UsageError(f"--set {setting}: {section} is not a section of the recipe")
    try:
        table[name] = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        table[name] = text.strip()  # a bare word is a string, as on any command line


def _explain(name: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{_known(problem['loc'])}")
        else:
            seen = "" if isinstance(problem["input"], dict) else f", not {problem['input']!r}"
            what = problem["msg"].removeprefix("Value error, ") + seen
            lines.append(f"{key}: {what}" if key else what)
    return f"recipe {name}: " + "; ".join(lines)


def _known(location: tuple[int | str, ...]) -> str:
    fields = Recipe.model_fields
    for part in location[:-1]:
        section = fields[str(part)].annotation if str(part) in fields else None
        if not isinstance(section, type) or not issubclass(section, BaseModel):
            return ""
        fields = section.model_fields
    return f"; known here: {', '.join(sorted(fields))}"
