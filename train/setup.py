"""From a request to a checked plan: everything that can be refused is refused here, before anything is built."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shards import store
from shards.errors import DataError, UsageError
from shards.order import Steps
from shards.shardset import ShardSet
from train import checkpoint
from train.recipe import Recipe, load_recipe

DEFAULT_RECIPE = "b0-224"
TRAIN, VALIDATION = "train", "val"


@dataclass(frozen=True)
class Request:
    """What the user asked for. `resume`: None, "last" (must exist), "auto" (may), or a checkpoint's path."""

    shards: Path
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    weights: Path | None = None
    out: Path | None = None
    resume: str | None = None


@dataclass(frozen=True)
class Resumed:
    """The state to go on from, where it was, and damaged checkpoints that were passed over."""

    state: dict[str, Any]
    path: Path
    passed_over: tuple[str, ...] = ()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """States that do not fit what they are loaded into are a DataError that names the file."""
        try:
            yield
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{self.path}: its states do not fit the run ({first}). Use an earlier checkpoint"
            ) from error


@dataclass(frozen=True)
class Setup:
    """A request that can be carried out."""

    request: Request
    recipe: Recipe
    shards: ShardSet
    steps: Steps
    out: Path
    resumed: Resumed | None


def resolve(request: Request, processes: int) -> Setup:
    """Check a request for this many processes. Raises UsageError or DataError with what to do."""
    shards = ShardSet.open(request.shards)
    for name in (TRAIN, VALIDATION):
        if name not in shards.split_names:
            raise UsageError(f"{request.shards}: no split {name!r}; it has {', '.join(shards.split_names)}")
    resumed = _resumed(request)
    recipe = _recipe(request, resumed)
    steps = _steps(recipe, shards, processes)
    if resumed:
        refuse_other(resumed, shards, recipe)
    return Setup(request, recipe, shards, steps, _out(request, recipe, resumed), resumed)


def _resumed(request: Request) -> Resumed | None:
    if request.resume is None:
        return None
    if request.resume not in ("last", "auto"):
        path = Path(request.resume)
        return Resumed(checkpoint.load(path), path)
    if request.out is None:
        raise UsageError("--resume needs --out DIR, the run folder to go on in, or the path of a checkpoint")
    if request.resume == "auto" and not any((request.out / "checkpoints").glob("step-*.pt")):
        return None
    state, path, passed_over = checkpoint.newest(request.out)
    return Resumed(state, path, tuple(passed_over))


def _recipe(request: Request, resumed: Resumed | None) -> Recipe:
    if request.recipe is None and resumed is not None:
        return saved_recipe(resumed).with_settings("of the checkpoint", request.settings)
    settings = list(request.settings)
    if request.weights is not None:
        settings.append('model.init="file"')
    return load_recipe(request.recipe or DEFAULT_RECIPE, settings)


def saved_recipe(resumed: Resumed) -> Recipe:
    """The recipe in a checkpoint. Raises DataError when it is not one."""
    try:
        return Recipe.model_validate(resumed.state["recipe"])
    except ValueError as error:
        raise DataError(f"{resumed.path}: its recipe is not valid: {error}") from error


def _steps(recipe: Recipe, shards: ShardSet, processes: int) -> Steps:
    train = recipe.train
    samples = next(split.samples for split in shards.manifest.splits if split.name == TRAIN)
    steps = Steps(samples, train.global_batch, train.group)
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


def refuse_other(resumed: Resumed, shards: ShardSet, recipe: Recipe) -> None:
    """Raise UsageError when a checkpoint is of other classes, another shard set or another recipe."""
    refuse_other_classes(resumed.path, resumed.state["classes"], shards)
    if resumed.state["shard_set"] != shards.digest:
        raise UsageError(
            f"{resumed.path}: trained on the shard set with digest {resumed.state['shard_set'][:16]}, "
            f"{shards.root} has {shards.digest[:16]}: the order of samples would change. Give the set of that run"
        )
    before, now = saved_recipe(resumed).result(), recipe.result()
    changed = [
        f"{section}.{key} was {old}, is {now[section][key]}"
        for section, values in before.items()
        for key, old in values.items()
        if old != now[section][key]
    ]
    if changed:
        raise UsageError(
            f"{resumed.path}: the recipe differs: {'; '.join(changed)}. "
            "Resume without --recipe and --set to take the checkpoint's, or start a new run with --weights"
        )


def refuse_other_classes(path: Path, classes: list[str], shards: ShardSet) -> None:
    """Raise UsageError when the class list of a checkpoint is not the shard set's, in the same order."""
    if tuple(classes) == shards.class_ids:
        return
    both = zip(classes, shards.class_ids, strict=False)
    place = next((i for i, (a, b) in enumerate(both) if a != b), min(len(classes), len(shards.class_ids)))
    raise UsageError(
        f"{path}: trained on {len(classes)} classes, {shards.root} has {len(shards.class_ids)}; "
        f"they differ first at label {place}. Give the shard set that it was trained on, or one with the same classes"
    )


def _out(request: Request, recipe: Recipe, resumed: Resumed | None) -> Path:
    if request.out is None:
        return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.model.name}"  # noqa: DTZ005  for people
    if resumed is None and any((request.out / "checkpoints").glob("step-*.pt")):
        raise UsageError(f"{request.out}: holds a run already. Go on with it by --resume, or give another --out")
    return request.out


def open_run_folder(setup: Setup) -> None:
    """Make the run folder and write the resolved recipe. Raises HeadraceError when it cannot be written."""
    try:
        setup.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store.storage_error(error, setup.out) from error
    store.write_bytes(setup.out / "recipe.toml", setup.recipe.toml().encode())
