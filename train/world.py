"""The only place that knows whether there is one process or many: ranks, reductions, DDP, launch, thread shares.

A world of one has the same methods, which then do nothing; nobody else asks how many there are.
"""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from shards.errors import UsageError

_TIMEOUT = timedelta(minutes=10)  # a rank that hangs longer than this ends the run


@dataclass
class World:
    """One process among all. `rank` is global; `local_rank` counts within the machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    _votes: Any = None  # the gloo group that carries host integers beside the gradients' backend

    @classmethod
    def from_environment(cls) -> "World":
        """Ranks as torchrun sets them; alone where it did not."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if not cls.launched():
            return cls()
        try:
            return cls(*(int(os.environ[name]) for name in names))
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"RANK is set, but {', '.join(names)} are not all whole numbers ({error}); start with torchrun"
            ) from error

    @staticmethod
    def launched() -> bool:
        """Whether this process was started as one of several ranks."""
        return "RANK" in os.environ

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def join(self, backend: str) -> None:
        """Meet the other ranks; `backend` carries the gradients."""
        if self.size > 1:
            dist.init_process_group(backend, timeout=_TIMEOUT)
            self._votes = dist.new_group(backend="gloo", timeout=_TIMEOUT)

    def leave(self) -> None:
        """Part from the other ranks."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def sum(self, tensor: Tensor) -> Tensor:
        """The tensor summed over ranks, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier(group=self._votes)

    def from_main(self, value: Any) -> Any:
        """What rank 0 holds, on every rank: plain picklable values only, from ranks of this run."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._votes)
        return box[0]

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over ranks.

        Buffers stay each rank's own: broadcasting them would discard the other ranks' running statistics.
        """
        if self.size == 1:
            return network
        with warnings.catch_warnings():
            # Newer releases rename the argument; the one that both kinds know still means the same.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)

    def accumulating(self, model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Forward and backward inside keep their gradients here unless this micro-batch is the step's last."""
        return nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()

    def stop_vote(self) -> "StopVote":
        """A new exchange of stop requests."""
        return StopVote(self)

    def threads(self, wanted: int | None) -> int:
        """CPU threads of this process: `wanted`, or an even share of the cores that this machine's ranks may use.

        torch is set to it; torchrun would have left it at 1.
        """
        share = wanted or max(1, usable_cores() // self.local_size)
        torch.set_num_threads(share)
        return share


class StopVote:
    """Ranks get a signal at different steps; this makes them stop at the same one.

    Each step every rank casts one host integer. The sum is read one step later, so nobody waits for it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: tuple[Any, Tensor] | None = None

    def cast(self, request: int) -> int:
        """Cast this step's request (0 for none, else a signal's number); the highest of the step before."""
        if self._world.size == 1:
            return request
        heard = self.heard()
        ballot = torch.tensor([request], dtype=torch.int32)
        work = dist.all_reduce(ballot, op=dist.ReduceOp.MAX, group=self._world._votes, async_op=True)  # noqa: SLF001
        self._pending = work, ballot
        return heard

    def heard(self) -> int:
        """The outcome of the last cast, 0 when there is none."""
        if self._pending is None:
            return 0
        work, ballot = self._pending
        self._pending = None
        work.wait()
        return int(ballot)


def usable_cores() -> int:
    """Cores that this process may use: its affinity mask, cut down to the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123  a kernel file
            quota, period = file.read().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
