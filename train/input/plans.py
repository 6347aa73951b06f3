"""Plans micro-batches before any image is read: a plan is a pure function of (shard set, recipe, step, group)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.order import Order, Steps, deal, validation_batches
from headrace.shards.shardset import Split
from headrace.train.input.augment.mixing import Mix, Mixing, draw_mix
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.policy import Policy, draw_changes
from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views
from headrace.train.input.decode.wanted import Wanted
from headrace.train.recipe.sections import Augment

# Samples; fewer calls of NumPy mean fewer waits for the interpreter's lock, which lanes need too
_DRAWN_TOGETHER = 4096
Sizes = tuple[tuple[int, int], ...]
"""Pairs (first step, side of the images in pixels from that step on), in order of the step."""


def side_at(sizes: Sizes, step: int) -> int:
    """Return the side of the training images of a step, in pixels."""
    return next(side for first, side in reversed(sizes) if first <= step)


class Plan(NamedTuple):
    """The plan of a micro-batch, made before any of its images is read: samples, views and other random draws."""

    step: int
    group: int  # index of the group in its step; in validation, index of the batch
    epochs: NDArray[np.int64]  # (b,)
    labels: NDArray[np.int64]  # (b,)
    wanted: Wanted
    mix: Mix | None = None  # how the group is mixed, if it is
    changes: tuple[Change, ...] = ()  # augmentation of the resized images

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids of the samples, (b,)."""
        return self.wanted.ids


@dataclass(frozen=True)
class TrainPlans:
    """Plans the micro-batches of training, beginning at any step."""

    split: Split
    order: Order
    steps: Steps
    crop: Crop | float  # random boxes, or central squares of this fraction of the shorter side
    sizes: Sizes
    mixing: Mixing = Mixing()  # noqa: RUF009  a tuple, so it cannot change
    policy: Policy = Policy()  # noqa: RUF009  as above

    @classmethod
    def of(
        cls, augment: Augment, split: Split, order: Order, steps: Steps, sizes: Sizes, mean: tuple[float, float, float]
    ) -> "TrainPlans":
        """Return the plans of a training run with the recipe's `augment`.

        `mean` is the network's mean colour, 0 to 255.
        """
        return cls(
            split=split,
            order=order,
            steps=steps,
            crop=Crop(augment.crop_area, augment.crop_ratio, augment.flip),
            sizes=sizes,
            mixing=Mixing(augment.mixup, augment.cutmix),
            policy=Policy.of(augment, mean),
        )

    def plan(self, step: int, group: int) -> Plan:
        """Return the plan of one group of a step; `group` is the index of the group in the step."""
        (plan,) = self._plans([(step, group)])
        return plan

    def _plans(self, places: list[tuple[int, int]]) -> Iterator[Plan]:
        """Yield a plan for each pair (step, group) in `places`.

        The random numbers of all pairs are drawn in one call, because NumPy's overhead takes most of the time of a
        call.
        """
        positions = [self.order.positions(*self.steps.group_span(*place)) for place in places]
        epochs, ids = (np.concatenate(column) for column in zip(*positions, strict=True))
        seed = self.order.seed
        samples = Samples(epochs, ids, self.split.widths[ids], self.split.heights[ids])
        drawn = train_views(self.crop, seed, samples) if isinstance(self.crop, Crop) else None
        for number, (step, group) in enumerate(places):
            rows, size = slice(number * self.steps.group, (number + 1) * self.steps.group), self.size_at(step)
            mine = samples.only(rows)
            labels, mix = self.split.labels[mine.ids], draw_mix(self.mixing, seed, step, group, len(mine.ids), size)
            changes = draw_changes(self.policy, seed, mine, size)
            views = self._centre(mine, size) if drawn is None else drawn.only(rows)
            yield Plan(step, group, mine.epochs, labels, Wanted(mine.ids, views, size), mix, changes)

    def _centre(self, samples: Samples, size: int) -> Views:
        fraction = 1.0 if isinstance(self.crop, Crop) else self.crop
        return centre_views(fraction, size, samples.widths, samples.heights)

    def size_at(self, step: int) -> int:
        """Return the side of the training images of a step, in pixels."""
        return side_at(self.sizes, step)

    def stream(self, first_step: int, last_step: int, groups: range) -> Iterator[Plan]:
        """Yield the plans of the groups with these indices, in each step from first_step to last_step (excluded)."""
        places = ((step, group) for step in range(first_step, last_step) for group in groups)
        at_once = max(1, _DRAWN_TOGETHER // self.steps.group)
        while some := list(islice(places, at_once)):
            yield from self._plans(some)


@dataclass(frozen=True)
class ValidationPlans:
    """Plans validation in batches of a fixed size.

    In a run, a rank gets whole batches, so that a forward pass is the same for any number of ranks. In a Loader, a rank
    gets a share of each batch.
    """

    split: Split
    batch: int
    fraction: float
    size: int

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """For each batch, a pair: the id of the batch's first sample, and the id of its last sample plus 1."""
        return validation_batches(len(self.split), self.batch)

    def __len__(self) -> int:
        return len(self.spans)

    def stream(self, batches: range) -> Iterator[Plan]:
        """Yield the plans of these batches, in order."""
        if batches:
            self.split.read_in_order(self.spans[batches.start][0], self.spans[batches.stop - 1][1])
        for number in batches:
            yield self._plan(number, *self.spans[number])

    def shares(self, ranks: int, rank: int) -> Iterator[Plan]:
        """Yield a plan for a rank's share of each batch, in the order of the batches.

        Batches without a sample for this rank are left out.
        """
        self.split.read_in_order(0, len(self.split))
        for number, (first, last) in enumerate(self.spans):
            mine = deal(last - first, ranks, rank)
            if mine:
                yield self._plan(number, first + mine.start, first + mine.stop)

    def _plan(self, number: int, first: int, last: int) -> Plan:
        ids = np.arange(first, last)
        views = centre_views(self.fraction, self.size, self.split.widths[ids], self.split.heights[ids])
        return Plan(0, number, np.zeros(len(ids), np.int64), self.split.labels[ids], Wanted(ids, views, self.size))
