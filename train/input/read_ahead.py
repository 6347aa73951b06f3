"""Fetches the tars of a set at a URL before this host's ranks need them in training, in the order of the windows."""

from collections.abc import Iterator
from itertools import takewhile

from headrace.shards.errors import UsageError
from headrace.shards.partitions import Partitions
from headrace.shards.shard_needs import groups_of_host, training_needs
from headrace.shards.shardset import ShardSet
from headrace.train.input.plans import TrainPlans
from headrace.train.machine.capacity import in_words
from headrace.train.machine.world import World


def read_ahead(plans: TrainPlans, world: World, first_step: int, last_step: int) -> None:
    """Tell the stage, which fetches tars, which tars the steps `first_step` to `last_step` (excluded) will read.

    For local tars this function does nothing. One rank of a host fetches for all its ranks. The other ranks get the
    same plan, so that they evict the right tars if they must fetch a tar themselves.
    """
    staged = plans.split.staged
    if staged is None:
        return
    order, steps, shards = plans.order, plans.steps, plans.split.shard_sizes
    groups = groups_of_host(steps.groups, world.size, world.rank - world.local_rank, world.local_size)
    needs = training_needs(order, shards, steps, groups, first_step)
    windows: Iterator[tuple[int, ...]] = (need.shards for need in takewhile(lambda need: need.first < last_step, needs))
    parts = order.partitions or Partitions(1, steps.global_batch, shards)
    length = order.windows.length if order.windows else parts.most_shards
    longest = sum(sorted(plans.split.tar_bytes)[-length:])
    together = max(len(parts.touched(groups.start * steps.group, groups.stop * steps.group)), 1)
    staged.plan(windows, longest, together, fetches=world.local_rank == 0)


def refuse_too_large(shards: ShardSet, advice: str) -> None:
    """Raise UsageError if the tars of a set at a URL take more space than may be used for staged tars.

    `advice` says how to shuffle in windows, which need only some tars at a time.
    """
    if shards.remote is None:
        return
    depot = shards.remote.depot
    size, room = sum(depot.room.own.values()), depot.room.available()
    if size > room:
        raise UsageError(
            f"{shards.where}: its tars take {in_words(size)}, but only {in_words(max(room, 0))} may be staged in "
            f"{depot.stage.folder}. If samples are shuffled in windows, only some tars are needed at a time: {advice}. "
            "Or raise runtime.stage_limit or HEADRACE_STAGE_LIMIT, or set runtime.stage_dir or HEADRACE_STAGE_DIR to a "
            "folder on a larger disk"
        )
