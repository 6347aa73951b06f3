"""The first lines of a run: what is trained, on what, from where, and how it is shared among processes."""

from headrace.shards.order import deal
from headrace.train.machine.environment import processor, versions
from headrace.train.machine.place import Place
from headrace.train.run.resolve import Setup
from headrace.train.step.compilation import Compilation
from headrace.train.step.schedule import scaled_rate

_FEW_UPDATES = 300  # seen: from random weights, accuracy is still close to chance below about this many
_STALE = 0.05  # share of the first running statistics that may be left in the last ones


def start_lines(setup: Setup, place: Place, precision: str, origin: str, compilation: Compilation) -> list[str]:
    """One line a topic."""
    recipe, shards = setup.recipe, setup.shards
    counts = ", ".join(f"{split.samples:,} {split.name}" for split in shards.manifest.splits)
    have = versions()
    lines = [
        f"headrace {have['headrace']}, torch {have['torch']}, DALI {_dali(have)}",
        f"run      {setup.out}",
        f"data     {shards.root}: {counts}, {len(shards.class_ids)} classes, digest {shards.digest[:16]}",
        f"model    {recipe.model.name}, {origin}",
        *([f"auto     {setup.chosen}"] if setup.chosen else []),
        f"updates  {_updates(setup)}",
        f"share    {_share(setup, place)}",
        f"device   {_device(setup, place, precision)}, compile {compilation}",
    ]
    lines += [f"warning: {line}" for line in setup.warnings]
    if setup.resumed:
        lines.append(f"resume   from {setup.resumed.path}")
    lines += [f"cache    {line}" for line in setup.remarks]
    return lines + [f"warning: {line}" for line in _warnings(setup, place, precision)]


def _warnings(setup: Setup, place: Place, precision: str) -> list[str]:
    """What is likely to cost accuracy or time."""
    recipe, found, processes = setup.recipe, [], place.world.size
    total = setup.steps.ends(recipe.train.epochs - 1)
    stale = (1 - recipe.model.batch_norm_momentum) ** total
    if recipe.train.batch_per_process and processes > 1:
        found.append(
            f"train.batch_per_process: {processes} processes take {processes} times fewer updates than one would"
        )
    if total < _FEW_UPDATES and recipe.model.init == "random":
        found.append(
            f"only {total} updates: too few to converge from random weights; add epochs or lower train.global_batch"
        )
    if stale > _STALE:
        found.append(
            f"only {total} updates: {stale:.0%} of the first running statistics of batch normalisation will be left; "
            "raise model.batch_norm_momentum, add epochs or lower train.global_batch"
        )
    if precision == "fp16" and recipe.optim.name == "rmsprop":
        found.append(
            "fp16 with rmsprop waits for the device at every step, as torch's RMSprop cannot skip an overflow there; "
            "bf16, sgd and adamw do not wait"
        )
    return found


def _dali(have: dict[str, str]) -> str:
    return next((number for name, number in have.items() if name.startswith("nvidia-dali")), "not found")


def _updates(setup: Setup) -> str:
    train, optim = setup.recipe.train, setup.recipe.optim
    rate = scaled_rate(optim, train.global_batch)
    total = setup.steps.ends(train.epochs - 1)
    sizes = " then ".join(str(size) for _, size in setup.recipe.augment.stages)
    return (
        f"{total:,} of {train.global_batch} samples in {train.epochs} epochs at {sizes} px; "
        f"{optim.name}, learning rate {rate.peak:g} ({rate.rule}), {optim.schedule}"
    )


def _share(setup: Setup, place: Place) -> str:
    steps, size = setup.steps, place.world.size
    shares = [len(deal(steps.groups, size, rank)) for rank in range(size)]
    balance = steps.groups / (size * max(shares))
    return (
        f"{steps.groups} groups of {steps.group} over {size} process{'es' if size > 1 else ''} "
        f"({', '.join(map(str, shares))}; balance {balance:.0%})"
    )


def _device(setup: Setup, place: Place, precision: str) -> str:
    """Device, threads, precision, layout and decoder: each is a value of the recipe's section `runtime`."""
    accelerator, runtime = place.accelerator, setup.recipe.runtime
    name = accelerator.either(cpu=processor(), gpu=accelerator.name)
    if runtime.device == "auto" and (hint := accelerator.look().hint):
        name += f" (no GPU: {hint})"
    return (
        f"{name}, {place.threads} CPU threads a process, {precision}, {accelerator.layout}, "
        f"decode on {setup.decoder or setup.decode}"
    )
