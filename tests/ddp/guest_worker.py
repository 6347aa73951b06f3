"""One rank of a framework that makes the process group itself, and calls `headrace.fit` in a thread, as Ray Train does.

guest_worker.py SHARDS OUT STORE [SECTION.KEY=VALUE ...]: at the end the group must be as it was.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed

import headrace
from headrace.train.model.build import build_model
from headrace.train.run import assemble
from tests.train.networks import NARROW

if __name__ == "__main__":
    shards, out, store, *settings = sys.argv[1:]
    rank, size = int(os.environ.pop("RANK")), int(os.environ.pop("WORLD_SIZE"))
    pytest.MonkeyPatch().setattr(assemble, "build_model", partial(build_model, **NARROW))
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    group = distributed.group.WORLD
    with ThreadPoolExecutor(1) as thread:
        thread.submit(headrace.fit, shards, "demo", out=Path(out), settings=settings, quiet=True).result()
    counted = torch.ones(1)
    distributed.all_reduce(counted)
    if distributed.group.WORLD is not group or counted.item() != size:
        sys.exit("the group is not what it was")
    distributed.destroy_process_group()
