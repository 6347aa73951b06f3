"""Where a run happens: this rank, its device, its CPU threads."""

from dataclasses import dataclass

from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.recipe.sections import Runtime


@dataclass(frozen=True)
class Place:
    """Where a run happens: this rank, its device, its CPU threads."""

    world: World
    accelerator: Accelerator
    threads: int

    @classmethod
    def find(cls, runtime: Runtime) -> "Place":
        """The place of this process. Raises UsageError when the device that is asked for is not there."""
        world = World.from_environment()
        accelerator = Accelerator.choose(runtime.device, world.local_rank, world.local_size)
        accelerator.refuse(runtime.precision)
        if runtime.layout != "auto":
            accelerator.layout = runtime.layout
        return cls(world, accelerator, world.threads(runtime.threads))
