"""`headrace.Loader`: the input as a library, for anybody's training loop."""

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
from headrace.train.input.augment.views import Views
from headrace.train.input.loader_settings import Settings, augment_of, normalise_of, sizes_of
from headrace.train.input.loader_source import Source, Where
from headrace.train.input.loader_state import state_of, step_in
from headrace.train.input.normalise import IMAGENET
from headrace.train.input.plans import Sizes
from headrace.train.recipe.sections import Augment


class Planned(NamedTuple):
    """A batch before any image is read, over all ranks: columns of length n, in order."""

    ids: NDArray[np.int64]
    keys: list[str]
    labels: NDArray[np.int64]
    epochs: NDArray[np.int64]  # each sample's own, by which its draws are made
    views: Views
    size: int  # side of the images, pixels


class Loader:
    """Batches of a shard set as `(images, targets)` on the device: a pure function of the set, the arguments, the step.

    Images are (b, 3, size, size) in `dtype`, channels_last; or uint8 with `normalise=None`. b is `batch` divided by the
    number of ranks. Targets are int64 (b,); or float32 (b, classes) where `augment` mixes images or `smoothing` is on.

    Training (`split="train"`, or `train=True`) is one endless sequence of steps in an order that is shuffled over the
    whole set in each epoch. Each `iter()` hands out `len(self)` batches from `step` on; only the first after `seek` or
    `load_state_dict` ends where that epoch ends. A `break` loses nothing: `step` counts batches that were handed out.
    Validation: each `iter()` hands out the whole split once, in its order. All ranks have equal numbers of equal
    batches: the last one's samples are spread evenly over the ranks, and rows that are no sample are zeros with the
    target -100. So add up losses and counts, and divide once, at the end. Of several sizes the last one counts.

    `shards`: a folder or a ShardSet. `batch`: samples of a step, over all ranks. `size`: side of the images, or
    ((first step, side), ...). `augment`: a recipe's name or file, an Augment section, or its values; None resizes and
    crops as in evaluation. `group`: samples that are mixed with one another, and with no others. `crop`: the central
    square of this fraction of the shorter side, where nothing is drawn. `normalise`: (mean, std) of pixels in 0 to 1,
    or a mapping that has both. `device`: None is the current GPU, or the CPU where there is none. `rank`, `world`: None
    is the initialised process group's, else torchrun's variables', else alone. `threads`: of the CPU, for this rank.
    `cache="decoded"`: decode each image once, into a file in `cache_dir` or beside the set, which all ranks of a host
    share. `decode="mixed"`: JPEGs are decoded on the GPU. `pad=False`, on one rank: a short last batch in validation.

    Ranks and device are looked up at the first `next`, which is also when threads start; nothing of the process is set,
    nothing is forked, and no collective is called. Close it, or let go of it: threads and files end with it.

    Raises UsageError for arguments that do not fit, DataError for a set that is damaged.
    """

    dataset = sampler = batch_sampler = None
    """For loops that look for them, as timm's does: the order is this loader's own."""

    def __init__(
        self,
        shards: ShardSet | Path | str,
        split: str = TRAIN,
        *,
        batch: int,
        size: int | Sizes = 224,
        augment: str | Path | Augment | Mapping[str, Any] | None = None,
        seed: int = 0,
        window: int | None = None,
        train: bool | None = None,
        group: int | None = None,
        smoothing: float = 0.0,
        crop: float = 1.0,
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
        self._shards = shards if isinstance(shards, ShardSet) else ShardSet.open(Path(shards))
        self._settings = Settings(
            split=split,
            train=split == TRAIN if train is None else train,
            batch=batch,
            group=group,
            sizes=sizes_of(size),
            augment=augment_of(augment),
            seed=seed,
            window=window,
            crop=crop,
            smoothing=smoothing,
            normalise=normalise_of(normalise),
            pad=pad,
        )
        where = Where(
            device, rank, world, threads, cache, None if cache_dir is None else Path(cache_dir), decode, dtype
        )
        self._source = Source(self._shards, self._settings, where)
        self._identity = {"shard_set": self._shards.digest, **self._settings.identity()}
        self._step = 0
        self._to_epoch_end = True  # of the next iterator
        self._current: object = None  # the pass that may be advanced
        weakref.finalize(self, self._source.abandon)

    def __len__(self) -> int:
        """Batches of an epoch, the same on every rank. Opens nothing."""
        return self._source.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch. Starts nothing before the first `next`, and ends the iterator before it."""
        return self._batches(None, None, bounded=False)

    def steps(self, first: int | None = None, last: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of training steps `first` (None is `step`) to `last`, excluded (None is without end)."""
        self._refuse_validation("steps")
        if first is not None and (first < 0 or (last is not None and last < first)):
            raise UsageError(f"steps({first}, {last}): expected 0 <= first <= last")
        return self._batches(first, last, bounded=True)

    @property
    def step(self) -> int:
        """The next step: how many batches have been handed out since step 0; in validation, since its `iter()`."""
        return self._step

    @property
    def epoch(self) -> int:
        """The epoch that `step` lies in, from 0; 0 in validation."""
        return self._step // len(self) if self._settings.train else 0

    @property
    def classes(self) -> int:
        """Number of classes of the set."""
        return len(self._shards.class_ids)

    @property
    def stalled(self) -> float:
        """Seconds that `next` has waited for images since the loader began."""
        return self._source.stalled

    @property
    def mixup_enabled(self) -> bool:
        """Whether images are mixed, which timm's loop asks."""
        return self._settings.mixes

    @mixup_enabled.setter
    def mixup_enabled(self, wanted: bool) -> None:
        """Refuse to end the mixing in mid-run, as timm's loop may want: batches would not be those of the arguments."""
        if wanted != self._settings.mixes:
            raise UsageError(
                f"mixup_enabled = {wanted}: whether images are mixed is decided by augment. For epochs without mixing "
                "make another Loader, and seek the step"
            )

    def seek(self, step: int) -> None:
        """Go to a step, in O(1). The next iterator ends where that step's epoch ends; a running one is over."""
        self._refuse_validation("seek")
        if step < 0:
            raise UsageError(f"seek({step}): expected a step from 0 on")
        self._step, self._to_epoch_end, self._current = step, True, None

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, unless `step` lies in it already. Nothing in validation."""
        if self._settings.train and epoch != self.epoch:
            self.seek(epoch * len(self))

    def state_dict(self) -> dict[str, Any]:
        """The step and what must match, under 1 kB, equal on all ranks and on any number of them; {} in validation."""
        return state_of(self._step, self._identity) if self._settings.train else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken, in O(1).

        Raises UsageError that names each value of the state which differs from this loader's.
        """
        if self._settings.train:
            self.seek(step_in(state, self._identity))
        elif state:
            raise UsageError(
                f"the split {self._settings.split!r} is validated on, which has no state; it was given one"
            )

    def plan(self, step: int) -> Planned:
        """What a step's batch consists of over all ranks; in validation, that batch. Reads no image."""
        if step < 0 or (not self._settings.train and step >= len(self)):
            bound = "" if self._settings.train else f", and below {len(self)}"
            raise UsageError(f"plan({step}): expected a step from 0 on{bound}")
        plan, keys = self._source.whole_plan(step)
        return Planned(plan.ids, [keys[row] for row in plan.ids.tolist()], plan.labels, plan.epochs, *plan.wanted[1:])

    def close(self) -> None:
        """End the threads and close the files. Iterating again would start them anew."""
        self._current = None
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_validation(self, what: str) -> None:
        if not self._settings.train:
            raise UsageError(f"{what}: the split {self._settings.split!r} is validated on: each iter() begins anew")

    def _batches(self, first: int | None, last: int | None, *, bounded: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: nothing happens before its first `next`, with which it becomes the current one."""
        this = self._current = object()
        end = self._begin(first, last, bounded=bounded)
        while end is None or self._step < end:
            batch = self._source.take(self._step)
            self._step += 1
            yield batch
            if self._current is not this:
                raise UsageError(
                    "this iterator of a Loader is over: another one was advanced, or the loader was closed or moved by "
                    "seek, set_epoch or load_state_dict. One pass at a time; for two at once make two loaders"
                )

    def _begin(self, first: int | None, last: int | None, *, bounded: bool) -> int | None:
        """Go to where a pass begins. Returns the step that it ends before; None is without end."""
        if not self._settings.train:
            self._step = 0
            self._source.rewind()
            return len(self)
        self._step = self._step if first is None else first
        end = (self.epoch + 1) * len(self) if self._to_epoch_end else self._step + len(self)
        self._to_epoch_end = False
        return last if bounded else end
