"""One rank that meets the others, takes part in one collective and leaves, again and again: leave_worker.py FOLDER.

Its network is freed right after it left. No other thread of it gets the interpreter's lock unless it is given up: the
worst moment that the scheduler may choose, chosen every time.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from headrace.train.machine.world import World

TIMES = 15


def once(world: World) -> None:
    """Meet, take part, leave; the network goes last."""
    with world.joined("gloo", 1):
        network = world.wrap(nn.Linear(4, 4), None)
        world.sum(torch.ones(3))
    del network


if __name__ == "__main__":
    sys.setswitchinterval(1000)
    for number in range(TIMES):
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        os.environ |= World.environment(rank, size, str(Path(sys.argv[1]) / str(number)))
        once(World.from_environment())
