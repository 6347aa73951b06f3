"""From a request to a checked plan: everything that can be refused is refused here, before anything is built."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.order import Order, Steps, Windows
from headrace.shards.paths import refuse_impossible
from headrace.shards.shardset import ShardSet, Split
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.resume import Found, differences, find
from headrace.train.input.decode.cache import CacheFile, plan_caches
from headrace.train.input.decode.placement import Placement, place_decoder
from headrace.train.machine.device import Accelerator
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.sections import Runtime
from headrace.train.recipe.settled import Settled
from headrace.train.record.explanation import explain_folder
from headrace.train.record.loggers.choose import refuse_missing
from headrace.train.run.request import Request
from headrace.train.run.settling import settle_run

_REDUCTION = 32  # the network halves the side of its images five times


@dataclass(frozen=True)
class Setup:
    """A request that can be carried out."""

    request: Request
    recipe: Settled
    shards: ShardSet
    steps: Steps
    out: Path
    resumed: Checkpoint | None
    caches: tuple[CacheFile, ...]
    remarks: tuple[str, ...]  # on the caches
    warnings: tuple[str, ...] = ()  # damaged checkpoints that were passed over, differences that were accepted
    chosen: str = ""  # on the numbers that the recipe leaves open
    decoder: Placement | None = None  # None until the device is known

    @property
    def normalisation(self) -> Normalisation:
        """What images must look like to the network: a run goes on with what it began with."""
        return self.resumed.normalisation if self.resumed else normalisation_of(self.recipe.model.name)

    @property
    def decode(self) -> str:
        """Where JPEGs are decoded, as a recipe says it."""
        return self.decoder.where if self.decoder else self.recipe.runtime.decode

    def on(self, accelerator: Accelerator) -> "Setup":
        """The same with what the device decides: where JPEGs are decoded; a run goes on as it began.

        Raises UsageError when mixed decoding is asked for without a GPU.
        """
        wanted: str = self.recipe.runtime.decode
        if self.caches and wanted == "auto":
            wanted = "cpu"  # as the cache was made
        elif self.resumed:
            wanted = self.resumed.decode_on(accelerator, wanted)
        return replace(self, decoder=place_decoder(wanted, self.shards.split(TRAIN), accelerator))

    @property
    def finished(self) -> Checkpoint | None:
        """The checkpoint that is resumed, where it leaves nothing to train."""
        if self.resumed is None:
            return None
        progress, train = self.resumed.progress, self.recipe.train
        enough = train.until is not None and progress.best_accuracy >= train.until
        return self.resumed if enough or progress.epochs_done >= train.epochs else None

    def order(self, split: Split) -> Order:
        """The order of the training split."""
        train = self.recipe.train
        windows = Windows(train.window, split.shard_sizes) if train.window else None
        return Order(len(split), train.seed, windows)


def resolve(request: Request, processes: int, found: Found | None = None) -> Setup:
    """Check a request for this many processes; `found` is the checkpoint that it means, if that has been read already.

    Raises UsageError or DataError with what to do.
    """
    shards = ShardSet.open(request.shards)
    for name in (TRAIN, VALIDATION):
        if name not in shards.split_names:
            raise UsageError(f"{request.shards}: no split {name!r}; it has {', '.join(shards.split_names)}")
    if request.resume is not None and request.weights is not None:
        raise UsageError("--resume takes its weights from the checkpoint and --weights from a file: give one of them")
    resumed, warnings = found or find(request.resume, request.out)
    choice = settle_run(*_recipe(request, resumed), shards, resumed)
    recipe = choice.recipe.for_processes(processes)
    refuse_missing(recipe.runtime.loggers)
    accepted = differences(resumed, shards, recipe, request.override) if resumed else ()
    steps = _steps(recipe, shards, processes)
    if resumed:
        resumed.refuse_impossible(steps)
    out = _out(request, recipe, resumed)
    caches, remark = _caches(recipe.runtime, shards)
    remarks = (remark,) if remark else ()
    return Setup(request, recipe, shards, steps, out, resumed, caches, remarks, warnings + accepted, choice.said)


def _caches(runtime: Runtime, shards: ShardSet) -> tuple[tuple[CacheFile, ...], str]:
    if runtime.cache == "none":
        return (), ""
    folder = Path(runtime.cache_dir) if runtime.cache_dir else None
    if folder:
        refuse_impossible(folder)
    return plan_caches(shards, (TRAIN, VALIDATION), folder)


def _recipe(request: Request, resumed: Checkpoint | None) -> tuple[Recipe, str]:
    """The recipe that is asked for, and what errors call it."""
    if request.recipe is None and resumed is not None:
        name = "of the checkpoint"
        return resumed.recipe.with_settings(name, request.settings), name
    return request.read_recipe(), request.recipe_name


def _steps(recipe: Settled, shards: ShardSet, processes: int) -> Steps:
    train = recipe.train
    samples = next(split.samples for split in shards.manifest.splits if split.name == TRAIN)
    steps = Steps(samples, train.global_batch, train.group)
    _refuse_single_values(recipe)
    if train.global_batch > samples:
        raise UsageError(
            f"train.global_batch = {train.global_batch} is more than the {samples} training samples; lower it"
        )
    if processes > steps.groups:
        raise UsageError(
            f"{processes} processes, but the global batch has {steps.groups} groups "
            f"(train.global_batch = {train.global_batch}, train.group = {train.group}): start at most {steps.groups}, "
            "or lower train.group, which changes what batch normalisation sees"
        )
    return steps


def _refuse_single_values(recipe: Settled) -> None:
    """Raise UsageError where the last layers would have one value of each channel in a group: it has no variance."""
    smallest = min(side for _, side in recipe.augment.stages)
    if recipe.train.group == 1 and smallest <= _REDUCTION:
        raise UsageError(
            f"train.group = 1 at {smallest} px: the network makes each image one pixel, and batch normalisation takes "
            f"no statistics of a single value. Give train.group = 2 or more, or images from {2 * _REDUCTION} px on"
        )


def _out(request: Request, recipe: Settled, resumed: Checkpoint | None) -> Path:
    if request.out is None:
        return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.model.name}"  # noqa: DTZ005  for people
    if resumed is None and files.exists(request.out):
        raise UsageError(f"{request.out}: holds a run already. Go on with it by --resume, or give another --out")
    later = files.later(request.out, resumed.progress.step) if resumed else []
    if later and request.resume not in ("last", "auto"):
        raise UsageError(
            f"{request.out}: holds later checkpoints than {request.resume}, up to {later[0].name}. Give another --out, "
            "or remove them: a run folder holds one run"
        )
    return request.out


def open_run_folder(setup: Setup) -> None:
    """Make the run folder and write the resolved recipe. Raises HeadraceError when it cannot be written."""
    try:
        setup.out.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(setup.out)
    except OSError as error:
        raise store.storage_error(error, setup.out) from error
    store.write_bytes(setup.out / "recipe.toml", setup.recipe.toml().encode())
    store.write_bytes(setup.out / "README.md", explain_folder(setup.recipe.model.name).encode())
