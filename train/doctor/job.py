"""Holds the built parts of the training job that the doctor measures on this rank."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.shards.cores import allowed_cores, usable_cores
from headrace.shards.home import folder_of
from headrace.shards.manifest import TRAIN
from headrace.train.doctor import measured
from headrace.train.doctor.asked import Asked
from headrace.train.input.batch import Batch
from headrace.train.input.decode.cache import CacheFile, lack_of_room
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.placement import place_decoder
from headrace.train.input.plans import Plan, TrainPlans
from headrace.train.machine.place import Place
from headrace.train.record.bottleneck import sharing
from headrace.train.record.installation import processor
from headrace.train.run.resolve import Setup
from headrace.train.step.update import TrainStep

_MOST_LANES = 8
_FAR = 1 << 40  # steps: a stream that does not end


@dataclass(frozen=True)
class Job:
    """The user's job on this rank, built and ready to be measured."""

    asked: Asked
    setup: Setup
    place: Place
    step: TrainStep
    plans: TrainPlans
    resident: Batch
    decoded: Decoded | None
    remarks: tuple[str, ...]
    span: int | None = None
    """The number of steps, from the first one on, whose tars are staged; None means all steps.

    Only these steps are measured, again and again.
    """

    @property
    def decode(self) -> str:
        """Where the job's JPEGs are decoded: "cpu" or "mixed"."""
        return place_decoder(self.setup.recipe.runtime.decode, self.plans.split, self.place.accelerator).where

    @property
    def lanes(self) -> int:
        """The number of batches that threads process at the same time; a timed turn runs a multiple of this number."""
        return self.place.accelerator.either(cpu=min(_MOST_LANES, self.place.threads), gpu=1)

    def stream(self, first: int) -> Iterator[Plan]:
        """Yield this rank's plans of batches from step `first` on, without end.

        If `span` is set, the first `span` steps repeat.
        """
        steps, world = self.setup.steps, self.place.world
        groups = steps.groups_of(world.size, world.rank)
        if self.span is None:
            yield from self.plans.stream(first, _FAR, groups)
            return
        yield from self.plans.stream(first % self.span, self.span, groups)
        while True:
            yield from self.plans.stream(0, self.span, groups)

    @property
    def shard_paths(self) -> list[Path]:
        """The paths of the training shards; for a set at a URL, the paths of the staged shards."""
        shards = self.setup.shards
        (info,) = (split for split in shards.manifest.splits if split.name == TRAIN)
        if shards.remote is None:
            return [shards.root / shard.name for shard in info.shards]
        tars = (shards.remote.depot.stage.tar(shard.sha256) for shard in info.shards)
        return [tar for tar in tars if tar.exists()]

    def facts(self) -> measured.Job:
        """Return the facts about the job as plain values."""
        setup, place = self.setup, self.place
        accelerator, world = place.accelerator, place.world
        return measured.Job(
            shards=str(setup.shards.where),
            recipe=self.asked.recipe_name,
            model=setup.recipe.model.name,
            samples=setup.steps.samples,
            size=self.plans.size_at(0),
            group=setup.steps.group,
            groups=setup.steps.groups,
            processes=world.size,
            threads=place.threads,
            usable=max(1, usable_cores() // world.local_size),
            device=accelerator.either(cpu=processor(), gpu=accelerator.name),
            gpu=accelerator.either(cpu=False, gpu=True),
            precision=self.step.numerics.precision,
            decode=self.decode,
            cached=self.decoded is not None,
            cache_lacks=_lack(setup),
            shares_cores=accelerator.either(cpu=sharing(place.threads, world.local_size, allowed_cores()), gpu=False),
            remarks=self.remarks,
        )


def _lack(setup: Setup) -> str:
    """Return why there is no room for the cache of decoded images, on disk or in memory; "" if there is room."""
    return lack_of_room(CacheFile.of(setup.shards, TRAIN, folder_of(setup.recipe.runtime.cache_dir)))
