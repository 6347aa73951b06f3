"""Turns a request into a checked setup: an invalid request is refused here, before any part of the run is built."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from headrace.shards import store
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.shards.home import folder_of
from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.order import Order, Steps
from headrace.shards.paths import refuse_impossible
from headrace.shards.remote import Remote
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.stage import Stage
from headrace.shards.urls import Url
from headrace.train.checkpoint import files, names
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.mirror import mirror_url
from headrace.train.checkpoint.resume import Found, differences, find
from headrace.train.input.decode.cache import CacheFile, plan_caches
from headrace.train.input.decode.placement import Placement, place_decoder
from headrace.train.input.read_ahead import refuse_too_large
from headrace.train.machine.device import Accelerator
from headrace.train.model.names import TIMM
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.runtime import Runtime
from headrace.train.recipe.sections import uneven_partitions
from headrace.train.recipe.settled import Settled
from headrace.train.record.explanation import explain_folder
from headrace.train.record.loggers.choose import refuse_missing
from headrace.train.run.request import Request
from headrace.train.run.settling import settle_run

_REDUCTION = 32  # the network halves the side of its images five times


@dataclass(frozen=True)
class Setup:
    """A checked request with its recipe, shard set and checkpoint: all that is needed to build the run."""

    request: Request
    recipe: Settled
    shards: ShardSet
    steps: Steps
    out: Path
    resumed: Checkpoint | None
    caches: tuple[CacheFile, ...]
    remarks: tuple[str, ...]  # about caches
    warnings: tuple[str, ...] = ()  # about damaged checkpoints that were skipped, and accepted differences
    chosen: str = ""  # about the numbers that the recipe leaves open
    decoder: Placement | None = None  # None until the device is known

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation of images for the network; a resumed run keeps the normalisation of its checkpoint."""
        if self.resumed:
            return self.resumed.normalisation
        return normalisation_of(self.recipe.model.name, self.request.weights)

    @property
    def decode(self) -> str:
        """Where JPEGs are decoded, as a value of the recipe's key runtime.decode."""
        return self.decoder.where if self.decoder else self.recipe.runtime.decode

    def on(self, accelerator: Accelerator) -> "Setup":
        """Return this setup with the field `decoder` set, which tells where JPEGs are decoded: on the CPU or a GPU.

        If runtime.decode is "auto", a resumed run keeps its checkpoint's choice. Raises UsageError if mixed decoding is
        requested without a GPU.
        """
        wanted: str = self.recipe.runtime.decode
        if self.caches and wanted == "auto":
            wanted = "cpu"  # as when the cache was made
        elif self.resumed:
            wanted = self.resumed.decode_on(accelerator, wanted)
        return replace(self, decoder=place_decoder(wanted, self.shards.split(TRAIN), accelerator))

    @property
    def finished(self) -> Checkpoint | None:
        """The resumed checkpoint if its run is already finished, otherwise None."""
        if self.resumed is None:
            return None
        progress, train = self.resumed.progress, self.recipe.train
        enough = train.until is not None and progress.best_accuracy >= train.until
        return self.resumed if enough or progress.epochs_done >= train.epochs else None

    def order(self, split: Split) -> Order:
        """Return the order in which the samples of the training split are read."""
        train = self.recipe.train
        return Order.of(split.shard_sizes, train.seed, train.window, train.partitions, train.global_batch)


def resolve(request: Request, processes: int, found: Found | None = None) -> Setup:
    """Check the request for a run of `processes` processes; `found` is the checkpoint to resume from, if already read.

    Raises UsageError or DataError, whose message says what the user can do.
    """
    if found is None and isinstance(request.shards, Url):
        found = find(request.resume, request.out)
    shards = _open(request, found)
    for name in (TRAIN, VALIDATION):
        if name not in shards.split_names:
            raise UsageError(
                f"{request.shards}: no split {name!r}; the shard set has {', '.join(shards.split_names)}. "
                "Training needs the splits train and val"
            )
    if request.resume is not None and request.weights is not None:
        raise UsageError("--resume takes weights from the checkpoint and --weights from a file: give only one of them")
    if request.override and request.resume is None:
        raise UsageError("--override needs --resume, because it accepts differences from the resumed checkpoint")
    resumed, warnings = found or find(request.resume, request.out)
    choice = settle_run(*_recipe(request, resumed), shards, resumed, request.weights)
    recipe = choice.recipe.for_processes(processes)
    refuse_missing(recipe.runtime.loggers)
    if recipe.runtime.mirror is not None:
        Remote(mirror_url(recipe.runtime.mirror))  # checks only the URL and the package
    accepted = differences(resumed, shards, recipe, request.override) if resumed else ()
    steps = _steps(recipe, shards, processes)
    if resumed:
        resumed.refuse_impossible(steps)
    out = _out(request, recipe, resumed)
    if not recipe.train.window:
        refuse_too_large(shards, "--set train.window=8, which changes the order of samples")
    caches, remark = _caches(recipe.runtime, shards)
    remarks = (remark,) if remark else ()
    return Setup(request, recipe, shards, steps, out, resumed, caches, remarks, warnings + accepted, choice.said)


def _open(request: Request, found: Found | None) -> ShardSet:
    """Open the shard set; the tars of a set at a URL are stored in the recipe's runtime.stage_dir."""
    if not isinstance(request.shards, Url):
        return ShardSet.open(request.shards)
    runtime = _recipe(request, found.checkpoint if found else None)[0].runtime
    return ShardSet.open(request.shards, Stage.of(runtime.stage_dir, runtime.stage_limit))


def _caches(runtime: Runtime, shards: ShardSet) -> tuple[tuple[CacheFile, ...], str]:
    if runtime.cache == "none":
        return (), ""
    folder = folder_of(runtime.cache_dir)
    if folder:
        refuse_impossible(folder)
    return plan_caches(shards, (TRAIN, VALIDATION), folder)


def _recipe(request: Request, resumed: Checkpoint | None) -> tuple[Recipe, str]:
    """Return the requested recipe, or else the checkpoint's, and the name by which errors refer to this recipe."""
    if request.recipe is None and resumed is not None:
        name = "of the checkpoint"
        return resumed.recipe.with_settings(name, request.settings), name
    return request.read_recipe(), request.recipe_name


def _steps(recipe: Settled, shards: ShardSet, processes: int) -> Steps:
    train = recipe.train
    samples = next(split.samples for split in shards.manifest.splits if split.name == TRAIN)
    steps = Steps(samples, train.global_batch, train.group)
    _refuse_single_values(recipe)
    if steps.groups % train.partitions:  # where train.batch_per_process decides the batch
        raise UsageError(f"train.{uneven_partitions(train.partitions, steps.groups)}")
    if train.global_batch > samples:
        raise UsageError(
            f"train.global_batch = {train.global_batch} is larger than the training split ({samples} samples). "
            f"Lower train.global_batch to at most {samples}"
        )
    if processes > steps.groups:
        raise UsageError(
            f"{processes} processes, but the global batch has only {counted(steps.groups, 'group')} "
            f"(train.global_batch = {train.global_batch}, train.group = {train.group}), and each process needs one: "
            f"start at most {counted(steps.groups, 'process', 'processes')}. A lower train.group allows more, and "
            "changes the statistics of batch normalisation"
        )
    return steps


def _refuse_single_values(recipe: Settled) -> None:
    """Raise UsageError if a group has only one value per channel in the last layers: one value has no variance."""
    smallest = min(side for _, side in recipe.augment.stages)
    if recipe.train.group == 1 and smallest <= _REDUCTION and not recipe.model.name.startswith(TIMM):
        raise UsageError(
            f"train.group = 1 at {smallest} px: the network reduces each image to one pixel, and batch normalisation "
            f"needs more than one value per channel. Give train.group = 2 or more, or images of at least "
            f"{2 * _REDUCTION} px"
        )


def _out(request: Request, recipe: Settled, resumed: Checkpoint | None) -> Path:
    if request.out is None:
        return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.model.name}"  # noqa: DTZ005  for people
    if resumed is None and names.exists(request.out):
        raise UsageError(
            f"{request.out}: the folder already holds a run. Continue that run with --resume, or give another --out"
        )
    later = names.later(request.out, resumed.progress.step) if resumed else []
    if later and request.resume not in ("last", "auto"):
        raise UsageError(
            f"{request.out}: the folder holds later checkpoints than {request.resume}, up to {later[0].name}. A run "
            "folder holds only one run: give another --out, or remove the later checkpoints"
        )
    return request.out


def open_run_folder(setup: Setup) -> None:
    """Make the run folder, and write README.md and recipe.toml there.

    Raises HeadraceError if a file cannot be written.
    """
    try:
        setup.out.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(setup.out)
    except OSError as error:
        raise store.storage_error(error, setup.out) from error
    store.write_bytes(setup.out / "recipe.toml", setup.recipe.toml().encode())
    store.write_bytes(setup.out / "README.md", explain_folder(setup.recipe.model.name).encode())
