"""Finds the place of a run on this machine: this rank, its device, and the number of its CPU threads."""

from dataclasses import dataclass

from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.recipe.runtime import Runtime


@dataclass(frozen=True)
class Place:
    """The place of a run on this machine: this rank, its device, and the number of its CPU threads."""

    world: World
    accelerator: Accelerator
    threads: int

    @classmethod
    def find(cls, runtime: Runtime) -> "Place":
        """Return this process's rank, device and number of threads.

        Raises UsageError if the requested device or precision is not available.
        """
        world = World.around()
        accelerator = Accelerator.choose(runtime.device, world.local_rank, world.local_size)
        accelerator.refuse(runtime.precision)
        if runtime.layout != "auto":
            accelerator.layout = runtime.layout
        return cls(world, accelerator, world.threads(runtime.threads))
