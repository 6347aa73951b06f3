"""Makes the batches of a `Loader`.

Files are opened and threads are started only when the first batch is requested. `Source.close` closes the files and
ends the threads.
"""

import logging
import warnings
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from headrace.shards.errors import UsageError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.mapped import MAPPED
from headrace.shards.order import Order, Steps, deal
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.assembly import Input
from headrace.train.input.decode.cache_fill import open_cache_alone
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.feed import Feed
from headrace.train.input.kernels.kept import LOOPS
from headrace.train.input.loader_settings import Settings
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import Plan, TrainPlans, ValidationPlans, side_at
from headrace.train.input.read_ahead import read_ahead, refuse_too_large
from headrace.train.input.whole_batch import WholeBatch
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World

_ENDLESS = 1 << 62  # steps
_log = logging.getLogger("headrace")


class Where(NamedTuple):
    """The arguments of a loader that concern the machine.

    These arguments do not decide which samples, views and draws a batch has.
    """

    device: torch.device | str | int | None
    rank: int | None
    world: int | None
    threads: int | None
    cache: str
    cache_dir: Path | None
    decode: str
    dtype: torch.dtype


class _Opened(NamedTuple):
    """The objects that this rank creates for the first batch."""

    world: World
    rows: int  # rows of this rank in a whole batch
    together: int  # groups of this rank in a step
    input: Input
    whole: WholeBatch


class Source:
    """Makes this rank's part of the batch of any step.

    A source does not refer to its `Loader`, so that an unused loader can be garbage-collected.
    """

    def __init__(self, shards: ShardSet, settings: Settings, where: Where) -> None:
        self._shards, self._settings, self._where = shards, settings, where
        self._samples = _samples_of(shards, settings)
        self.batches = self._samples // settings.batch if settings.train else -(-self._samples // settings.batch)
        self._split: Split | None = None
        self._training_plans: TrainPlans | None = None  # for whole batches; they remember an epoch's order
        self._opened: _Opened | None = None
        self._feed: Feed | None = None
        self._next = 0  # the step whose groups the feed yields next
        self._stalled = 0.0  # seconds in feeds that have ended
        _refuse_early(settings, where)

    @property
    def stalled(self) -> float:
        """The time in seconds for which `take` has waited for images."""
        return self._stalled + (self._feed.stalled if self._feed else 0.0)

    def take(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the images and targets of this rank's part of a step's batch."""
        opened = self._opened or self._open()
        if self._feed is None or self._next != step:
            self._start(opened, step)
        groups, rows = opened.together, opened.rows
        if not self._settings.train:
            samples = min(self._settings.batch, self._samples - step * self._settings.batch)
            mine = len(deal(samples, opened.world.size, opened.world.rank))
            groups, rows = min(mine, 1), rows if self._settings.pad else mine
        try:
            batches = list(islice(self._feed or (), groups))
        except BaseException:  # also Ctrl-C: some groups of the step may be lost, so the next call starts again
            self.close()
            raise
        self._next += 1
        return opened.whole(batches, rows, self._side(step))

    def whole_plan(self, step: int) -> tuple[Plan, Sequence[str]]:
        """Return the plan of a step's whole batch, over all ranks, and the keys of all samples of the split."""
        if self._settings.train:
            self._training_plans = self._training_plans or self._training(self._settings.batch)
            plan = self._training_plans.plan(step, 0)
        else:
            plan = next(self._validation().stream(range(step, step + 1)))
        return plan, self._splits().keys

    def rewind(self) -> None:
        """Discard the batches that were made ahead: the next call of `take` starts a new feed."""
        self._next = -1

    def close(self) -> None:
        """End the threads and close the files."""
        self._end_feed()
        if self._opened is not None:
            self._opened.input.close()
        if self._split is not None:
            self._split.close()
        self._opened = self._split = self._training_plans = None

    def abandon(self) -> None:
        """Close this source on behalf of the garbage collector, which may run in any thread.

        This call must not wait for a thread that itself waits for the collector's thread.
        """
        if self._feed is not None:
            self._feed.abandon()
        self._feed = self._opened = self._split = self._training_plans = None

    def _open(self) -> _Opened:
        settings, where = self._settings, self._where
        world = World.around(where.rank, where.world)
        rows = settings.share(world.size)
        _refuse_short_batch(settings, world.size)
        refuse_unsafe(self._shards)
        if settings.train and not settings.window:
            refuse_too_large(self._shards, "window=8, which changes the order of samples")
        place = Place(world, Accelerator.of(where.device), world.threads(where.threads))
        size_of_group = (settings.group or rows) if settings.mixes else rows
        made = Input(
            self._splits(),
            size_of_group,
            place,
            decode=where.decode,
            decoded=self._decoded(place.threads),
            interpolation=settings.interpolation,
        )
        self._opened = _Opened(world, rows, rows // size_of_group, made, self._whole(place.accelerator))
        return self._opened

    def _whole(self, accelerator: Accelerator) -> WholeBatch:
        settings, colours = self._settings, self._settings.normalise
        normalise = None if colours is None else Normalise(*colours, accelerator)
        classes = len(self._shards.class_ids)
        return WholeBatch(
            accelerator,
            normalise,
            self._where.dtype,
            classes=classes,
            soft=settings.soft,
            smoothing=settings.smoothing,
        )

    def _decoded(self, threads: int) -> Decoded | None:
        if self._where.cache == "none":
            return None
        return open_cache_alone(self._shards, self._settings.split, self._where.cache_dir, threads, _log.info)

    def _start(self, opened: _Opened, step: int) -> None:
        """End the present feed, and start one that makes this rank's groups from `step` on, ahead of their use."""
        self._end_feed()
        world = opened.world
        if self._settings.train:
            plans = self._training(opened.rows // opened.together)
            read_ahead(plans, world, step, _ENDLESS)
            stream = plans.stream(step, _ENDLESS, plans.steps.groups_of(world.size, world.rank))
        else:
            stream = self._validation().shares(world.size, world.rank)
        self._feed = opened.input.feed(stream, depth=2 * opened.together + 1)
        self._next = step
        self._feed.wait_for_first()
        for trouble in filter(None, (LOOPS.trouble, MAPPED.trouble)):
            warnings.warn(trouble, RuntimeWarning, stacklevel=5)

    def _end_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._stalled += self._feed.stalled
        self._feed = None

    def _splits(self) -> Split:
        if self._split is None:
            self._split = self._shards.split(self._settings.split)
        return self._split

    def _training(self, group: int) -> TrainPlans:
        """Return plans for training steps, in groups of `group` samples. The size of a group affects only mixing."""
        settings, split = self._settings, self._splits()
        augment = settings.augment
        order = Order.of(split.shard_sizes, settings.seed, settings.window, settings.partitions, settings.batch)
        steps = Steps(len(split), settings.batch, group)
        if order.open_shards is not None:
            split.keep_open(order.open_shards)
        if augment is None:
            return TrainPlans(split, order, steps, settings.crop, settings.sizes)
        return TrainPlans.of(augment, split, order, steps, settings.sizes, settings.mean)

    def _validation(self) -> ValidationPlans:
        settings = self._settings
        return ValidationPlans(self._splits(), settings.batch, settings.crop, self._side(0))

    def _side(self, step: int) -> int:
        """Return the side of a step's images, in pixels. In validation, this is always the last of the sizes."""
        if not self._settings.train:
            return self._settings.sizes[-1][1]
        return side_at(self._settings.sizes, step)


def _samples_of(shards: ShardSet, settings: Settings) -> int:
    """Return the number of samples in the split.

    Raises UsageError if the set has no such split, or if a training batch is larger than the split.
    """
    samples = {split.name: split.samples for split in shards.manifest.splits}
    if settings.split not in samples:
        raise UsageError(f"{shards.where}: no split {settings.split!r}; its splits are: {', '.join(samples)}")
    if settings.train and settings.batch > samples[settings.split]:
        raise UsageError(
            f"batch = {settings.batch} is larger than the split {settings.split!r} "
            f"({samples[settings.split]} samples): lower batch"
        )
    return samples[settings.split]


def _refuse_early(settings: Settings, where: Where) -> None:
    """Raise UsageError for invalid arguments that can be detected before the first batch.

    If `rank` or `world` is given, the number of ranks is checked too.
    """
    if where.cache not in ("none", "decoded"):
        raise UsageError(f"cache = {where.cache!r}: expected 'none' or 'decoded'")
    if where.decode not in ("auto", "cpu", "mixed"):
        raise UsageError(f"decode = {where.decode!r}: expected 'auto', 'cpu' or 'mixed'")
    if where.threads is not None and where.threads < 1:
        raise UsageError(f"threads = {where.threads}: expected at least 1")
    if where.rank is not None or where.world is not None:
        ranks = World.around(where.rank, where.world).size
        settings.share(ranks)
        _refuse_short_batch(settings, ranks)


def _refuse_short_batch(settings: Settings, ranks: int) -> None:
    """Raise UsageError if several ranks share a validation whose last batch may be short because of `pad=False`."""
    if ranks > 1 and not settings.pad and not settings.train:
        raise UsageError(f"pad=False leaves a short last batch, which {ranks} ranks cannot share equally: omit pad")
