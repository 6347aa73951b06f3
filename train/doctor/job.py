"""What is measured on this rank: the parts of the user's job."""

from dataclasses import dataclass
from pathlib import Path

from headrace.shards.cores import allowed_cores, usable_cores
from headrace.shards.manifest import TRAIN
from headrace.train.doctor import measured
from headrace.train.doctor.asked import Asked
from headrace.train.input.batch import Batch
from headrace.train.input.decode.cache import CacheFile, lack_of_room
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.placement import place_decoder
from headrace.train.input.plans import TrainPlans
from headrace.train.machine.environment import processor
from headrace.train.machine.place import Place
from headrace.train.record.bottleneck import sharing
from headrace.train.run.resolve import Setup
from headrace.train.step.update import TrainStep

_MOST_LANES = 8


@dataclass(frozen=True)
class Job:
    """What is measured on this rank."""

    asked: Asked
    setup: Setup
    place: Place
    step: TrainStep
    plans: TrainPlans
    resident: Batch
    decoded: Decoded | None
    remarks: tuple[str, ...]

    @property
    def decode(self) -> str:
        """Where JPEGs are decoded."""
        return place_decoder(self.setup.recipe.runtime.decode, self.plans.split, self.place.accelerator).where

    @property
    def lanes(self) -> int:
        """Threads that take batches through side by side, as far as turns care."""
        return self.place.accelerator.either(cpu=min(_MOST_LANES, self.place.threads), gpu=1)

    @property
    def shard_paths(self) -> list[Path]:
        """The training shards."""
        (info,) = (split for split in self.setup.shards.manifest.splits if split.name == TRAIN)
        return [self.setup.shards.root / shard.name for shard in info.shards]

    def facts(self) -> measured.Job:
        """The same as plain values."""
        setup, place = self.setup, self.place
        accelerator, world = place.accelerator, place.world
        return measured.Job(
            shards=str(setup.shards.root),
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
    """What there is too little of for the decoded training split, in words."""
    folder = setup.recipe.runtime.cache_dir
    return lack_of_room(CacheFile.of(setup.shards, TRAIN, Path(folder) if folder else None))
