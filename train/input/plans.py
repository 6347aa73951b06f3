"""What micro-batches consist of, before any byte is read: a pure function of (recipe, step, group)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.order import Order, Steps, validation_batches
from headrace.shards.shardset import Split
from headrace.train.input.augment.mixing import Mix, Mixing, draw_mix
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.policy import Policy, draw_changes
from headrace.train.input.augment.views import Crop, Samples, centre_views, train_views
from headrace.train.input.decode.wanted import Wanted

_DRAWN_TOGETHER = 1024  # samples


class Plan(NamedTuple):
    """What a micro-batch consists of, before any byte is read."""

    step: int
    group: int  # which of the step's groups; for validation, which of the fixed batches
    epochs: NDArray[np.int64]  # (b,)
    labels: NDArray[np.int64]  # (b,)
    wanted: Wanted
    mix: Mix | None = None  # how the group is mixed, where it is
    changes: tuple[Change, ...] = ()  # what is done to the resized images

    @property
    def ids(self) -> NDArray[np.int64]:
        """The samples, (b,)."""
        return self.wanted.ids


@dataclass(frozen=True)
class TrainPlans:
    """The training micro-batches of one rank, from any step on."""

    split: Split
    order: Order
    steps: Steps
    crop: Crop
    sizes: tuple[tuple[int, int], ...]  # (first step, side of the images from there on), by step
    mixing: Mixing = Mixing()  # noqa: RUF009  a tuple, so it cannot change
    policy: Policy = Policy()  # noqa: RUF009  as above

    def plan(self, step: int, group: int) -> Plan:
        """The plan of one group of one step."""
        (plan,) = self._plans([(step, group)])
        return plan

    def _plans(self, places: list[tuple[int, int]]) -> Iterator[Plan]:
        """Those of some (step, group), drawn together: most of a draw's cost is that of numpy's calls."""
        positions = [self.order.positions(*self.steps.group_span(*place)) for place in places]
        epochs, ids = (np.concatenate(column) for column in zip(*positions, strict=True))
        seed = self.order.seed
        samples = Samples(epochs, ids, self.split.widths[ids], self.split.heights[ids])
        views = train_views(self.crop, seed, samples)
        for number, (step, group) in enumerate(places):
            rows, size = slice(number * self.steps.group, (number + 1) * self.steps.group), self.size_at(step)
            mine = samples.only(rows)
            labels, mix = self.split.labels[mine.ids], draw_mix(self.mixing, seed, step, group, len(mine.ids), size)
            changes = draw_changes(self.policy, seed, mine, size)
            wanted = Wanted(mine.ids, views.only(rows), size)
            yield Plan(step, group, mine.epochs, labels, wanted, mix, changes)

    def size_at(self, step: int) -> int:
        """Side of the training images of a step, in pixels."""
        return next(size for first, size in reversed(self.sizes) if first <= step)

    def stream(self, first_step: int, last_step: int, groups: range) -> Iterator[Plan]:
        """Plans of `groups` of every step from first_step (included) to last_step (excluded), in order."""
        places = ((step, group) for step in range(first_step, last_step) for group in groups)
        at_once = max(1, _DRAWN_TOGETHER // self.steps.group)
        while some := list(islice(places, at_once)):
            yield from self._plans(some)


@dataclass(frozen=True)
class ValidationPlans:
    """The validation set in fixed batches, dealt whole to ranks: each forward sees the same samples for any N."""

    split: Split
    batch: int
    fraction: float
    size: int

    def __len__(self) -> int:
        return len(validation_batches(len(self.split), self.batch))

    def stream(self, batches: range) -> Iterator[Plan]:
        """Plans of these batches, in order."""
        spans = validation_batches(len(self.split), self.batch)
        for number in batches:
            ids = np.arange(*spans[number])
            views = centre_views(self.fraction, self.size, self.split.widths[ids], self.split.heights[ids])
            wanted = Wanted(ids, views, self.size)
            yield Plan(0, number, np.zeros(len(ids), np.int64), self.split.labels[ids], wanted)
