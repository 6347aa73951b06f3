"""Defines `headrace.Loader`, which yields batches of a shard set to any training loop."""

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards.errors import UsageError
from headrace.shards.manifest import TRAIN
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Location
from headrace.train.input.augment.views import Views
from headrace.train.input.loader_settings import Settings, augment_of, normalise_of, sizes_of
from headrace.train.input.loader_source import Source, Where
from headrace.train.input.loader_state import state_of, step_in
from headrace.train.input.normalise import IMAGENET
from headrace.train.input.plans import Sizes
from headrace.train.recipe.sections import Augment


class Planned(NamedTuple):
    """The plan of one batch over all ranks, made without reading images.

    The arrays have one row for each of the n samples, in the order of the batch.
    """

    ids: NDArray[np.int64]
    keys: list[str]
    labels: NDArray[np.int64]
    epochs: NDArray[np.int64]  # the epoch of each sample, which determines its draws
    views: Views
    size: int  # side of the images, pixels


class Loader:
    """Yields batches of a shard set as `(images, targets)` on the device.

    The content of a batch depends only on the set, the arguments and the step. Images are (b, 3, size, size) in
    `dtype`, channels_last; or uint8 with `normalise=None`. b is `batch` divided by the number of ranks. Targets are
    int64 (b,), or float32 (b, classes) if `augment` mixes images or `smoothing` is on.

    Training (`split="train"`, or `train=True`) is one endless sequence of steps. The whole set is shuffled again in
    each epoch. Each `iter()` yields `len(self)` batches from `step` on. Only the first `iter()` after `seek` or
    `load_state_dict` may yield fewer: it stops at the end of the epoch. After a `break`, the next `iter()` continues
    with the following batch, because `step` counts the batches that were yielded.

    In validation, each `iter()` yields the whole split once, in order. All ranks get the same number of batches of the
    same size. If the last batch is short, its samples are spread evenly over the ranks, and each rank's part is padded
    with images of zeros whose target is -100. To compute the mean of a metric, add up its sums and the numbers of real
    samples over all batches and ranks, and then divide once. If there are several sizes, validation uses the last one.

    `shards`: a folder, a URL or a ShardSet. `batch`: samples in a step, over all ranks. `size`: side of the images, or
    ((first step, side), ...). `augment`: a recipe's name or file, an Augment section, or its values; None means that
    images are only resized and cropped, as in evaluation. `group`: divide the samples of a batch into groups of this
    size, within which images are mixed. `window`: shuffle within windows of this many shards, for storage with slow
    random reads. `partitions`: divide the sample order into this many partitions, so that each of several hosts fetches
    only some shards. Each partition fills the same places in every batch; which shards are in a partition changes from
    epoch to epoch. `crop`: if crops are not random, the side of the central square as a fraction of the image's shorter
    side. `interpolation`: "bilinear" or "bicubic"; None means the value in `augment`, or bilinear if there is no
    `augment`. `normalise`: (mean, std) for pixels in 0 to 1, or a mapping with the keys mean and std. `device`: None
    means the current GPU, or the CPU if there is none. `rank`, `world`: None means the values of the initialised
    process group, or else those of torchrun's environment variables, or else a single process. `threads`: CPU threads
    of this rank. `cache="decoded"`: decode each image once, into a file that all ranks of a host share. The file is in
    `cache_dir`, or beside the shard set. `decode="mixed"`: decode JPEGs on the GPU. `pad=False`, only for a single
    rank: the last batch of validation is short instead of padded.

    The first `next()` on an iterator determines the ranks and the device, and starts the threads. The loader changes no
    settings of the process, forks no process and calls no collective. Threads end and files close when the loader is
    closed or garbage-collected.

    Raises UsageError for arguments that do not suit the set or contradict one another, and DataError for a damaged set.
    """

    dataset = sampler = batch_sampler = None
    """Attributes that some training loops, such as timm's, look up. They are None, because the loader has no separate
    dataset or sampler."""

    def __init__(
        self,
        shards: ShardSet | Location | str,
        split: str = TRAIN,
        *,
        batch: int,
        size: int | Sizes = 224,
        augment: str | Path | Augment | Mapping[str, Any] | None = None,
        seed: int = 0,
        window: int | None = None,
        partitions: int = 1,
        train: bool | None = None,
        group: int | None = None,
        smoothing: float = 0.0,
        crop: float = 1.0,
        interpolation: str | None = None,
        normalise: Any = IMAGENET,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | int | None = None,
        rank: int | None = None,
        world: int | None = None,
        threads: int | None = None,
        cache: str = "none",
        cache_dir: Path | str | None = None,
        decode: str = "auto",
        pad: bool = True,
    ) -> None:
        self._shards = shards if isinstance(shards, ShardSet) else ShardSet.open(shards)
        section = augment_of(augment)
        self._settings = Settings(
            split=split,
            train=split == TRAIN if train is None else train,
            batch=batch,
            group=group,
            sizes=sizes_of(size),
            augment=section,
            seed=seed,
            window=window,
            partitions=partitions,
            crop=crop,
            smoothing=smoothing,
            normalise=normalise_of(normalise),
            pad=pad,
            interpolation=interpolation or (section.interpolation if section else "bilinear"),
        )
        where = Where(
            device, rank, world, threads, cache, None if cache_dir is None else Path(cache_dir), decode, dtype
        )
        self._source = Source(self._shards, self._settings, where)
        self._identity = {"shard_set": self._shards.digest, **self._settings.identity()}
        self._step = 0
        self._to_epoch_end = True  # whether the next iterator stops at the end of its epoch
        self._current: object = None  # the only pass that may be advanced
        weakref.finalize(self, self._source.abandon)

    def __len__(self) -> int:
        """Return the number of batches in an epoch, the same on every rank. Opens no files."""
        return self._source.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return an iterator over an epoch. Its first `next()` starts the threads, and ends the previous iterator."""
        return self._batches(None, None, bounded=False)

    def steps(self, first: int | None = None, last: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Return an iterator over the training steps from `first` to `last` (excluded).

        If `first` is None, the iterator begins at `step`; if `last` is None, the iterator has no end.
        """
        self._refuse_validation("steps")
        if first is not None and (first < 0 or (last is not None and last < first)):
            raise UsageError(f"steps({first}, {last}): expected 0 <= first <= last")
        return self._batches(first, last, bounded=True)

    @property
    def step(self) -> int:
        """The number of the next step, counted from 0; in validation, the number of batches since the last `iter()`."""
        return self._step

    @property
    def epoch(self) -> int:
        """The epoch of `step`, counted from 0; in validation always 0."""
        return self._step // len(self) if self._settings.train else 0

    @property
    def classes(self) -> int:
        """The number of classes in the set."""
        return len(self._shards.class_ids)

    @property
    def stalled(self) -> float:
        """The time in seconds that `next` has waited for images since the loader was made."""
        return self._source.stalled

    @property
    def mixup_enabled(self) -> bool:
        """Whether images are mixed; timm's loop reads this attribute."""
        return self._settings.mixes

    @mixup_enabled.setter
    def mixup_enabled(self, wanted: bool) -> None:
        """Raise UsageError if `wanted` differs from the present value.

        timm's loop may try to turn mixing off during a run, which a Loader does not allow.
        """
        if wanted != self._settings.mixes:
            raise UsageError(
                f"mixup_enabled = {wanted}: only the argument augment decides whether a Loader mixes images. To change "
                "this, make a Loader with another augment, and pass this Loader's step to its seek()"
            )

    def seek(self, step: int) -> None:
        """Go to a step, in O(1).

        The current iterator ends, and the next iterator stops at the end of the epoch of `step`.
        """
        self._refuse_validation("seek")
        if step < 0:
            raise UsageError(f"seek({step}): expected a step of at least 0")
        self._step, self._to_epoch_end, self._current = step, True, None

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, unless `step` is already in that epoch. In validation, do nothing."""
        if self._settings.train and epoch != self.epoch:
            self.seek(epoch * len(self))

    def state_dict(self) -> dict[str, Any]:
        """Return the step, and the arguments that must be equal in a Loader that loads this state; {} in validation.

        The state takes less than 1 kB and is equal on all ranks.
        """
        return state_of(self._step, self._identity) if self._settings.train else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the step at which the state was taken, in O(1).

        Raises UsageError if values differ between the state and this loader; the error names each of these values.
        """
        if self._settings.train:
            self.seek(step_in(state, self._identity))
        elif state:
            raise UsageError(
                f"this Loader is for validation with the split {self._settings.split!r}, and has no state to load. "
                "Load the state into the Loader for training"
            )

    def plan(self, step: int) -> Planned:
        """Return the samples of a step's batch over all ranks. In validation, `step` is the number of a batch."""
        if step < 0 or (not self._settings.train and step >= len(self)):
            bound = "" if self._settings.train else f", and below {len(self)}"
            raise UsageError(f"plan({step}): expected a step of at least 0{bound}")
        plan, keys = self._source.whole_plan(step)
        return Planned(plan.ids, [keys[row] for row in plan.ids.tolist()], plan.labels, plan.epochs, *plan.wanted[1:])

    def close(self) -> None:
        """End the threads and close the files. Iterating again starts the threads again."""
        self._current = None
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_validation(self, what: str) -> None:
        if not self._settings.train:
            raise UsageError(
                f"{what}() is only for training, but this Loader is for validation with the split "
                f"{self._settings.split!r}: iterate over the Loader, which always begins at the start of the split"
            )

    def _batches(self, first: int | None, last: int | None, *, bounded: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one pass (one iterator).

        The pass begins at its first `next()`, which ends any other pass.
        """
        this = self._current = object()
        end = self._begin(first, last, bounded=bounded)
        while end is None or self._step < end:
            batch = self._source.take(self._step)
            self._step += 1
            yield batch
            if self._current is not this:
                raise UsageError(
                    "this iterator of a Loader has ended, because another iterator was used, or the loader was closed "
                    "or moved by seek, set_epoch or load_state_dict. Make a new iterator, and use only one at a time"
                )

    def _begin(self, first: int | None, last: int | None, *, bounded: bool) -> int | None:
        """Go to the first step of a pass. Return the step after the pass's last one, or None if the pass is endless."""
        if not self._settings.train:
            self._step = 0
            self._source.rewind()
            return len(self)
        self._step = self._step if first is None else first
        end = (self.epoch + 1) * len(self) if self._to_epoch_end else self._step + len(self)
        self._to_epoch_end = False
        return last if bounded else end
