"""Makes the lines that a run prints first: model, data, device, origin of the weights, and share of each process."""

from headrace.shards.counts import counted
from headrace.shards.manifest import TRAIN
from headrace.shards.order import deal
from headrace.shards.shard_needs import most_read
from headrace.train.machine.capacity import in_words
from headrace.train.machine.place import Place
from headrace.train.model.names import TIMM
from headrace.train.record.installation import processor, versions
from headrace.train.record.tested import newer_than_tested
from headrace.train.run.resolve import Setup
from headrace.train.run.staging import staged_line
from headrace.train.step.compilation import Compilation
from headrace.train.step.freezing import frozen_steps
from headrace.train.step.schedule import scaled_rate

_FEW_UPDATES = 300  # with fewer, accuracy from random weights is still close to chance (observed)
_DRAWN = (
    "drawn by the network itself from (seed, step, group): the same on any number of processes, but different with "
    "another runtime.compile, runtime.layout, runtime.precision or kind of device"
)
_STALE = 0.05  # largest share of the initial running statistics that may remain in the final ones


def start_lines(setup: Setup, place: Place, precision: str, origin: str, compilation: Compilation) -> list[str]:
    """Return the lines that a run prints first: one for each topic, and then the warnings."""
    recipe, shards = setup.recipe, setup.shards
    counts = ", ".join(f"{split.samples:,} {split.name}" for split in shards.manifest.splits)
    classes, have = counted(len(shards.class_ids), "class", "classes"), versions()
    lines = [
        f"headrace {have['headrace']}, torch {have['torch']}, DALI {_dali(have)}",
        *([f"tested   {newer}"] if (newer := newer_than_tested(have)) else []),
        f"run      {setup.out}",
        f"data     {shards.where}: {counts}, {classes}, digest {shards.digest[:16]}",
        f"model    {recipe.model.name}, {origin}",
        *([f"noise    {_DRAWN}"] if recipe.model.name.startswith(TIMM) else []),
        *([f"auto     {setup.chosen}"] if setup.chosen else []),
        f"updates  {_updates(setup)}",
        f"share    {_share(setup, place)}",
        *([f"reads    {read}"] if (read := _reads(setup, place)) else []),
        f"device   {_device(setup, place, precision)}, compile {compilation}",
    ]
    lines += [f"warning: {line}" for line in setup.warnings]
    if setup.resumed:
        lines.append(f"resume   from {setup.resumed.path}")
    lines += [f"cache    {line}" for line in setup.remarks]
    lines += [f"stage    {line}" for line in staged_line(shards)]
    return lines + [f"warning: {line}" for line in _warnings(setup, place, precision)]


def _warnings(setup: Setup, place: Place, precision: str) -> list[str]:
    """Return warnings about settings that are likely to cost accuracy or time."""
    recipe, found, processes = setup.recipe, [], place.world.size
    total = setup.steps.ends(recipe.train.epochs - 1)
    only = f"only {counted(total, 'update')}"
    stale = (1 - recipe.model.batch_norm_momentum) ** total
    if recipe.train.batch_per_process and processes > 1:
        found.append(
            f"train.batch_per_process: {processes} processes make {processes} times fewer updates than one process"
        )
    if total < _FEW_UPDATES and recipe.model.init == "random":
        found.append(f"{only}: too few to converge from random weights; add epochs or lower train.global_batch")
    if stale > _STALE:
        found.append(
            f"{only}: {stale:.0%} of the initial running statistics of batch normalisation will remain at the end; "
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
    frozen = min(frozen_steps(setup.recipe, setup.steps.samples), total)
    head = f", the first {frozen:,} for the classifier only" if frozen else ""
    return (
        f"{total:,} of {counted(train.global_batch, 'sample')} in {counted(train.epochs, 'epoch')} at {sizes} px; "
        f"{optim.name}, learning rate {rate.peak:g} ({rate.rule}), {optim.schedule}{head}"
    )


def _share(setup: Setup, place: Place) -> str:
    steps, size = setup.steps, place.world.size
    shares = [len(deal(steps.groups, size, rank)) for rank in range(size)]
    balance = steps.groups / (size * max(shares))
    return (
        f"{counted(steps.groups, 'group')} of {steps.group} over {counted(size, 'process', 'processes')} "
        f"({', '.join(map(str, shares))}; balance {balance:.0%})"
    )


def _reads(setup: Setup, place: Place) -> str:
    """Return how much of the training set a host reads in an epoch; "" for a single host without partitions.

    A single host without partitions reads the whole set.
    """
    world, partitions, groups = place.world, setup.recipe.train.partitions, setup.steps.groups
    hosts = -(-world.size // world.local_size)
    if hosts == partitions == 1:
        return ""
    (split,) = (one for one in setup.shards.manifest.splits if one.name == TRAIN)
    size = sum(shard.bytes for shard in split.shards)
    who = f"each of {hosts} hosts" if hosts > 1 else "this host"
    if partitions == 1:
        more = "" if groups % hosts else f"; with train.partitions = {hosts} each host would read 1/{hosts}"
        return f"{who} reads the whole training set in each epoch, {in_words(size)}{more}"
    read = most_read(partitions, groups, world.size, world.local_size)
    what = f"{read} of {partitions} partitions of the training set in each epoch"
    return f"{who} reads {what}, about {in_words(size * read // partitions)} of {in_words(size)}"


def _device(setup: Setup, place: Place, precision: str) -> str:
    """Return the device, CPU threads, precision, layout and decoder of the run as a phrase."""
    accelerator, runtime = place.accelerator, setup.recipe.runtime
    name = accelerator.either(cpu=processor(), gpu=accelerator.name)
    if runtime.device == "auto" and (hint := accelerator.look().hint):
        name += f" (no GPU: {hint})"
    return (
        f"{name}, {place.threads} CPU threads a process, {precision}, {accelerator.layout}, "
        f"decode on {setup.decoder or setup.decode}"
    )
