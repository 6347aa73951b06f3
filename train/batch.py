"""One micro-batch: first as a plan in numpy, a pure function of (recipe, step, group), then as tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shards.draws import Stream, hash64
from shards.order import Order, Steps, validation_batches
from shards.shardset import Split
from train.accelerator import Accelerator
from train.augment import Crop, Samples, Views, centre_views, keep_scales, train_views
from train.change import Change
from train.mix import Mix, Mixing, draw_mix
from train.pixels import changed
from train.policy import Policy, draw_changes

_DRAWN_TOGETHER = 1024  # samples
_NOISE_WORDS = 1 << 16  # repeated to fill a batch


class Plan(NamedTuple):
    """What a micro-batch consists of, before any byte is read."""

    step: int
    group: int  # which of the step's groups; for validation, which of the fixed batches
    epochs: NDArray[np.int64]  # (b,)
    ids: NDArray[np.int64]  # (b,)
    labels: NDArray[np.int64]  # (b,)
    views: Views
    size: int  # side of the square that each view is resized to, pixels
    keep: NDArray[np.float32]  # (b, blocks) stochastic-depth scales; blocks = 0 for validation
    mix: Mix | None = None  # how the group is mixed, where it is
    changes: tuple[Change, ...] = ()  # what is done to the resized images

    def one(self, row: int) -> "Plan":
        """The same for one sample alone, as far as decoding and resizing go."""
        row_only = slice(row, row + 1)
        columns = {name: getattr(self, name)[row_only] for name in ("epochs", "ids", "labels", "keep")}
        return self._replace(views=self.views.only(row_only), **columns)


class Batch(NamedTuple):
    """The same on the device: ready for one forward pass."""

    images: Tensor  # uint8 (b, size, size, 3)
    labels: Tensor  # int64 (b,)
    keep: Tensor  # float32 (b, blocks)
    partner: Tensor | None  # int64 (b,), whom each image is mixed with
    plan: Plan

    @classmethod
    def of(cls, plan: Plan, images: Tensor, accelerator: Accelerator) -> "Batch":
        """The resized images of a plan, changed as it says, with the rest of it on their device."""
        images = changed(images, plan.changes, accelerator)
        partner = None if plan.mix is None else accelerator.upload(plan.mix.partner)
        return cls(images, accelerator.upload(plan.labels), accelerator.upload(plan.keep), partner, plan)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that lies on the device."""
        found = (self.images, self.labels, self.keep)
        return found if self.partner is None else (*found, self.partner)


@dataclass(frozen=True)
class TrainPlans:
    """The training micro-batches of one rank, from any step on."""

    split: Split
    order: Order
    steps: Steps
    crop: Crop
    sizes: tuple[tuple[int, int], ...]  # (first step, side of the images from there on), by step
    drop_rates: NDArray[np.float64]  # (blocks,)
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
        views, keep = train_views(self.crop, seed, samples), keep_scales(self.drop_rates, seed, samples)
        for number, (step, group) in enumerate(places):
            rows, size = slice(number * self.steps.group, (number + 1) * self.steps.group), self.size_at(step)
            mine = samples.only(rows)
            labels, mix = self.split.labels[mine.ids], draw_mix(self.mixing, seed, step, group, len(mine.ids), size)
            changes = draw_changes(self.policy, seed, mine, size)
            yield Plan(step, group, mine.epochs, mine.ids, labels, views.only(rows), size, keep[rows], mix, changes)

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
            epochs, keep = np.zeros(len(ids), np.int64), np.empty((len(ids), 0), np.float32)
            yield Plan(0, number, epochs, ids, self.split.labels[ids], views, self.size, keep)


def resident_batch(samples: int, size: int, blocks: int, accelerator: Accelerator) -> Batch:
    """A batch that is already on the device, for warming up and timing the step.

    Its pixels are noise: devices may compute faster on equal numbers than on those of images.
    """
    ids, corners = np.zeros(samples, np.int64), np.zeros((samples, 2), np.float32)
    keep = np.ones((samples, blocks), np.float32)
    plan = Plan(0, 0, ids, ids, ids, Views(corners, corners), size, keep)
    noise = hash64(0, Stream.RESIDENT, np.arange(_NOISE_WORDS)).view(np.uint8)
    return Batch.of(plan, accelerator.upload(np.resize(noise, (samples, size, size, 3))), accelerator)
