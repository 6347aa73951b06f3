"""The only place that knows whether there is one process or many: ranks, reductions, DDP, launch, thread shares.

A world of one has the same methods, which then do nothing; nobody else asks how many there are.
"""

import inspect
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from headrace.shards.cores import usable_cores
from headrace.shards.errors import HeadraceError, UsageError
from headrace.train.machine.device import lies_on_cpu
from headrace.train.machine.rendezvous import AbsentError, meet
from headrace.train.machine.rollcall import RollCall
from headrace.train.machine.signals import StoppedError

_GLOO = re.compile(r"\[\S+/gloo/\S+:\d+\] ")  # its errors are RuntimeErrors that begin with a line of its sources
_FILE_STORE = ("Wait timeout", "Timeout waiting for key")  # RuntimeErrors too
_STORE = "HEADRACE_STORE"  # the path of the file in which ranks of one machine meet
_LOOPBACK = "lo"
_PARTED: list[Any] = []
"""Process groups that this process has left. DDP's reducer must not be the last to hold one: it frees a gloo group
with the interpreter lock held, and the group's thread may wait for that lock to free the last collective's tensor."""


class FailedElsewhereError(HeadraceError):
    """A sound rank cannot go on: another one failed, and says why if it can."""


class LostRankError(FailedElsewhereError):
    """Another rank does not take part in a collective. The text names it as soon as the roll call has."""

    def __init__(self, rank: int, minutes: float, cause: RuntimeError, roll: RollCall | None) -> None:
        super().__init__(rank, minutes, cause)
        self._roll = roll

    def __str__(self) -> str:
        rank, minutes, cause = self.args
        silent = self._roll.silent() if self._roll else []
        who = f"rank{'s'[: len(silent) - 1]} {', '.join(map(str, silent))}" if silent else "another rank"
        first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return (
            f"rank {rank}: {who} ended, or kept this one waiting for {minutes:g} minutes (runtime.timeout_minutes); "
            f"its own message, if it had time for one, is above ({first})"
        )


def of_others(error: RuntimeError) -> bool:
    """Whether a collective or a store failed, as both do when another rank is gone or silent, and not this rank."""
    return isinstance(error, dist.DistError | AbsentError) or _GLOO.search(str(error)) is not None


@dataclass
class World:
    """One process among all. `rank` is global; `local_rank` counts within the machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    _host: Any = None  # the gloo group that carries host integers beside the gradients' backend
    _met_in: Any = None  # the store

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

    @classmethod
    def around(cls, rank: int | None = None, size: int | None = None) -> "World":
        """The ranks among which this process already is; it joins nobody.

        They are those given, else an initialised process group's, else torchrun's, else it is alone. All ranks count
        as this machine's where torchrun's variables do not say otherwise.
        Raises UsageError for a rank without a size, or beyond it.
        """
        if (rank is None) != (size is None):
            raise UsageError(f"rank is {rank} and world is {size}: give both, or neither")
        if rank is None or size is None:
            if not (dist.is_available() and dist.is_initialized()):
                return cls.from_environment()
            rank, size = dist.get_rank(), dist.get_world_size()
        if not 0 <= rank < size:
            raise UsageError(f"rank {rank} of {size}: expected 0 to {size - 1}")
        local_rank, local_size = (os.environ.get(name) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        return cls(rank, size, int(local_rank or rank), int(local_size or size))

    @staticmethod
    def environment(rank: int, size: int, store: str) -> dict[str, str]:
        """What makes a process this rank of `size` on this machine; they meet in the new, empty file `store`.

        Whatever the shell says, they listen on the loopback interface alone.
        """
        return {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(size),
            _STORE: store,
            "GLOO_SOCKET_IFNAME": _LOOPBACK,
            "NCCL_SOCKET_IFNAME": f"={_LOOPBACK}",  # without "=" also any interface whose name begins so
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),  # as torchrun
        }

    @staticmethod
    def launched() -> bool:
        """Whether this process was started as one of several ranks."""
        return "RANK" in os.environ

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    @contextmanager
    def joined(self, backend: str, timeout_minutes: float, device: torch.device | None = None) -> Iterator[None]:
        """Together with the other ranks until the block ends; `backend` carries the gradients, those of `device`.

        With a device NCCL connects here, where a GPU that another process holds is found, not at the first reduction.
        Raises LostRankError if another rank ended, or kept this one waiting longer than the time-out.
        After an error nobody is waited for: the ranks part only if all of them reach the end of the block, or stop as
        a signal asked.
        """
        if self.size == 1:
            yield
            return
        try:
            self._meet(backend, timedelta(minutes=timeout_minutes), device)
            yield
        except StoppedError:  # all ranks stop at the same step, so none waits for another
            self.leave()
            raise
        except RuntimeError as error:
            if not of_others(error):
                raise
            roll = RollCall(self._met_in, self.rank, self.size) if self._met_in else None
            raise LostRankError(self.rank, timeout_minutes, error, roll) from error
        self.leave()

    def _meet(self, backend: str, timeout: timedelta, device: torch.device | None) -> None:
        try:
            store = self._met_in = self._store(timeout)
            dist.init_process_group(
                backend, timeout=timeout, store=store, rank=self.rank, world_size=self.size, device_id=device
            )
            self._host = dist.new_group(backend="gloo", timeout=timeout)
        except RuntimeError as error:
            if any(text in str(error) for text in _FILE_STORE):
                raise AbsentError(str(error)) from error
            raise

    def _store(self, timeout: timedelta) -> Store:
        """A key-value store in which these ranks meet, and none of an earlier start: a file, or torchrun's."""
        if path := os.environ.get(_STORE):
            file: Store = dist.FileStore(path, self.size)  # type: ignore[attr-defined]
            file.set_timeout(timeout)
            return file
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        return PrefixStore(meet(store, rank, size, timeout.total_seconds()), store)

    def leave(self) -> None:
        """Part from the other ranks."""
        if self.size > 1 and dist.is_initialized():
            _PARTED.append(dist.group.WORLD)
            dist.destroy_process_group()

    def sum(self, tensor: Tensor) -> Tensor:
        """The tensor summed over ranks, in place.

        Where it lies on a GPU, gloo first asks whether all ranks are there: NCCL would wait for one that is gone.
        """
        if self.size > 1:
            if not lies_on_cpu(tensor):
                self.any(False)
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank, the same on every rank. For the host's own matters, not each step."""
        if self.size == 1:
            return flag
        box = torch.tensor([int(flag)])
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._host)
        return bool(box.item())

    def largest(self, numbers: Sequence[int]) -> Callable[[], list[int]]:
        """Begin to find the largest of each of these int32 numbers over ranks; the function waits for them."""
        box = torch.tensor(numbers, dtype=torch.int32)
        if self.size == 1:
            return box.tolist
        work: Any = dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._host, async_op=True)

        def found() -> list[int]:
            work.wait()
            return list(box.tolist())

        return found

    def from_main(self, value: Any) -> Any:
        """What rank 0 holds, on every rank: a value that JSON can carry. Nothing is unpickled."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.is_main else b""
        length = torch.tensor([len(text)])
        dist.broadcast(length, src=0, group=self._host)
        box = torch.frombuffer(bytearray(text or bytes(int(length))), dtype=torch.uint8)
        dist.broadcast(box, src=0, group=self._host)
        return json.loads(bytes(box.tolist()))

    def to_main(self, data: bytes) -> list[bytes]:
        """On rank 0 what each rank has, by rank; elsewhere nothing. Every rank calls it. Nothing is unpickled."""
        if self.size == 1:
            return [data]
        length = self.largest([len(data)])()[0]
        box = torch.frombuffer(
            bytearray(data.ljust(length, b"\0") + len(data).to_bytes(8, "little")), dtype=torch.uint8
        )
        boxes = [torch.empty_like(box) for _ in range(self.size)] if self.is_main else None
        dist.gather(box, boxes, dst=0, group=self._host)
        padded = [one.numpy().tobytes() for one in boxes or ()]
        return [one[: int.from_bytes(one[-8:], "little")] for one in padded]

    def wrap(self, network: nn.Module, bucket_mib: int | None) -> nn.Module:
        """The network with gradients averaged over ranks, exchanged in messages of so many MiB.

        Between two processes of one machine sizes from 1 to 100 MiB are within 4 % of torch's own
        (benchmarks/results/buckets-2026-11-23.md).
        Buffers stay each rank's own: broadcasting them would discard the other ranks' running statistics. The graph is
        not declared static: that saves a search which is off anyway, and forbids `no_sync` in the first iteration.
        """
        if self.size == 1:
            return network
        with warnings.catch_warnings():
            # Newer releases rename the argument; the one that both kinds know still means the same.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            return DistributedDataParallel(
                network,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
                bucket_cap_mb=bucket_mib,
                **_if_known(DistributedDataParallel, batched_grad_copy=True),  # two kernels a bucket, not one a tensor
            )

    def accumulating(self, model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Forward and backward inside keep their gradients here unless this micro-batch is the step's last."""
        return nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()

    def threads(self, wanted: int | None) -> int:
        """CPU threads of this process: `wanted`, or an even share of the cores that this machine's ranks may use."""
        return wanted or max(1, usable_cores() // self.local_size)


def _if_known(make: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Those of the arguments that this release of torch has."""
    known = inspect.signature(make).parameters
    return {name: value for name, value in arguments.items() if name in known}
