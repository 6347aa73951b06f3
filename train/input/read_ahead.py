"""Fetches the tars of a set at a URL ahead of training, in the order in which the ranks of this host will need them."""

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
    """Tell the object that fetches tars which tars are needed by the steps `first_step` to `last_step` (excluded).

    For local tars this function does nothing. One rank of a host fetches tars for all ranks of the host. The other
    ranks get the same plan: if they must fetch a tar themselves, they use the plan to choose which tars to remove.
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

    `advice` is a clause for the error: how to shuffle in windows, so that only some tars are needed at a time.
    """
    if shards.remote is None:
        return
    depot = shards.remote.depot
    size, room = sum(depot.room.own.values()), depot.room.available()
    if size > room:
        raise UsageError(
            f"{shards.where}: the tars of this set take {in_words(size)}, but only {in_words(max(room, 0))} may be "
            f"staged in {depot.stage.folder}. If samples are shuffled in windows, only some tars are needed at a time: "
            f"{advice}. Otherwise raise runtime.stage_limit or HEADRACE_STAGE_LIMIT, or set runtime.stage_dir or "
            "HEADRACE_STAGE_DIR to a folder on a larger disk"
        )
