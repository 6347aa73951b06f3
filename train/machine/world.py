"""Hides from other modules whether a run has one process or many: ranks, reductions, DDP, launch, shares of the cores.

A `World` of one process has the same methods, but exchanges nothing, so other code need not distinguish the cases.
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
from headrace.shards.errors import UsageError
from headrace.train.machine.device import lies_on_cpu
from headrace.train.machine.interface import choose_interface
from headrace.train.machine.lost_rank import LostRankError
from headrace.train.machine.rendezvous import AbsentError, meet
from headrace.train.machine.rollcall import RollCall
from headrace.train.machine.signals import StoppedError
from headrace.train.machine.slurm import Task

_GLOO = re.compile(r"\[\S+/gloo/\S+:\d+\] ")  # its errors are RuntimeErrors that begin with a line of its source code
_FILE_STORE = ("Wait timeout", "Timeout waiting for key")  # RuntimeErrors too
_STORE = "HEADRACE_STORE"  # the path of the file through which ranks on one machine connect
_LOOPBACK = "lo"
_PARTED: list[Any] = []
"""The process groups that this process has left, kept so that none of them is ever freed.

Otherwise DDP's reducer could be the last object to hold a gloo group. It would free the group, and thus wait for the
group's thread, while it holds the interpreter lock. If that thread waits for the lock, both would wait forever.
"""


def of_others(error: RuntimeError) -> bool:
    """Return whether an error of a collective or of the key-value store means that another rank is gone or silent."""
    return isinstance(error, dist.DistError | AbsentError) or _GLOO.search(str(error)) is not None


@dataclass
class World:
    """One process among all processes of a run; `rank` counts over all machines, `local_rank` within this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    _host: Any = None  # the gloo group for host integers, beside the backend for gradients
    _met_in: Any = None  # the store
    _is_guest: bool = False  # in a process group that other code made

    @classmethod
    def from_environment(cls) -> "World":
        """Return the world that torchrun's environment variables describe; without them, a world of one process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if not cls.launched():
            return cls()
        try:
            rank, size, local_rank, local_size = (int(os.environ[name]) for name in names)
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"RANK is set, but {', '.join(names)} are not all whole numbers ({error}). Start with torchrun, or "
                "unset RANK"
            ) from error
        return cls(rank, size, local_rank, local_size)

    @classmethod
    def around(cls, rank: int | None = None, size: int | None = None) -> "World":
        """Return the world that this process already belongs to, without connecting to other ranks.

        Rank and size are the arguments, if given. Otherwise they come from an initialised process group, or else from
        torchrun's variables; without these variables, the world has one process. All ranks are assumed to be on this
        machine unless torchrun's variables say otherwise. Raises UsageError for a rank without a size, or a rank that
        is not below the size.
        """
        if (rank is None) != (size is None):
            raise UsageError(f"rank is {rank} and world is {size}: give both arguments, or neither")
        if rank is None or size is None:
            if not cls.is_met():
                return cls.from_environment()
            rank, size = dist.get_rank(), dist.get_world_size()
        if not 0 <= rank < size:
            raise UsageError(f"rank {rank} of world {size}: expected a rank from 0 to {size - 1}")
        local_rank, local_size = (os.environ.get(name) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        return cls(rank, size, int(local_rank or rank), int(local_size or size))

    @staticmethod
    def environment(rank: int, size: int, store: str) -> dict[str, str]:
        """Return the environment variables that make a process rank `rank` of `size` on this machine.

        The ranks connect through the new, empty file `store`. The ranks listen only on the loopback interface, even if
        the shell's environment names another interface.
        """
        return {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(size),
            _STORE: store,
            "GLOO_SOCKET_IFNAME": _LOOPBACK,
            "NCCL_SOCKET_IFNAME": f"={_LOOPBACK}",  # without "=" also interfaces whose names begin like this
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),  # as torchrun
        }

    @staticmethod
    def launched() -> bool:
        """Return whether a launcher started this process as a rank."""
        return "RANK" in os.environ

    @staticmethod
    def follow(task: Task) -> None:
        """Make this process the rank that SLURM's `task` describes. Raises UsageError if RANK is set already."""
        if World.launched():
            raise UsageError(
                "--launcher slurm was given, but RANK is set: torchrun or another launcher has already made this "
                "process a rank. Omit --launcher, or start without the other launcher"
            )
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        os.environ.update(zip(names, map(str, task), strict=True))

    @staticmethod
    def is_met() -> bool:
        """Return whether the ranks are already connected, in a process group that a surrounding framework made."""
        return dist.is_available() and dist.is_initialized()

    @property
    def is_main(self) -> bool:
        """Whether this process is rank 0, which alone prints and writes."""
        return self.rank == 0

    @contextmanager
    def joined(self, backend: str, timeout_minutes: float, device: torch.device | None = None) -> Iterator[None]:
        """Within this context, this rank is connected with the others; `backend` exchanges gradients on `device`.

        An existing process group is used, and kept at the end.

        With a device, NCCL connects here and not at the first reduction, so that a GPU held by another process is
        noticed before training. Raises LostRankError if another rank ended, or kept this rank waiting longer than the
        time-out. The ranks disconnect only if all of them reach the end of the block, or all stop after a signal; after
        an error no rank waits for others.
        """
        if self.size == 1:
            yield
            return
        try:
            self._meet(backend, timedelta(minutes=timeout_minutes), device)
            yield
        except BaseException as error:
            # After a signal all ranks stop at the same step, so none waits for another. A guest's process lives on.
            if isinstance(error, StoppedError) or (self._is_guest and self._host is not None):
                self.leave()
            if not (isinstance(error, RuntimeError) and of_others(error)):
                raise
            roll = RollCall(self._met_in, self.rank, self.size) if self._met_in else None
            raise LostRankError(self.rank, timeout_minutes, error, roll) from error
        self.leave()

    def _meet(self, backend: str, timeout: timedelta, device: torch.device | None) -> None:
        self._is_guest = self.is_met()
        if self._is_guest:
            self._host = dist.new_group(backend="gloo", timeout=timeout)
            return
        try:
            store = self._met_in = self._store(timeout)
            if self.local_size < self.size:
                way = PrefixStore("interface", store)
                main = os.environ.get("MASTER_ADDR", "")
                choose_interface(way, self.rank, self.size, main, tries=self.local_rank == 0)
            dist.init_process_group(
                backend, timeout=timeout, store=store, rank=self.rank, world_size=self.size, device_id=device
            )
            self._host = dist.new_group(backend="gloo", timeout=timeout)
        except RuntimeError as error:
            if any(text in str(error) for text in _FILE_STORE):
                raise AbsentError(str(error)) from error
            raise

    def _store(self, timeout: timedelta) -> Store:
        """Return the key-value store of these ranks: a file, or torchrun's store without entries of earlier starts."""
        if path := os.environ.get(_STORE):
            file: Store = dist.FileStore(path, self.size)  # type: ignore[attr-defined]
            file.set_timeout(timeout)
            return file
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        return PrefixStore(meet(store, rank, size, timeout.total_seconds()), store)

    def store_of_thread(self) -> Store | None:
        """Return a new store object for one thread; None on a single host, or in another framework's process group."""
        return self._met_in.clone() if self._met_in is not None and self.local_size < self.size else None

    def leave(self) -> None:
        """Disconnect from the other ranks."""
        if self._is_guest:
            dist.destroy_process_group(self._host)
        elif self.size > 1 and dist.is_initialized():
            _PARTED.append(dist.group.WORLD)
            dist.destroy_process_group()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum the tensor over ranks, in place, and return it.

        For a tensor on a GPU, gloo first checks that all ranks are alive, because NCCL would wait for a lost rank.
        """
        if self.size > 1:
            if not lies_on_cpu(tensor):
                self.any(False)
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Return, on every rank, whether the flag is set on any rank. The method is too slow to call at every step."""
        if self.size == 1:
            return flag
        box = torch.tensor([int(flag)])
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._host)
        return bool(box.item())

    def largest(self, numbers: Sequence[int]) -> Callable[[], list[int]]:
        """Begin to compute the maximum over ranks of each int32 number; return a function that returns the maxima."""
        box = torch.tensor(numbers, dtype=torch.int32)
        if self.size == 1:
            return box.tolist
        work: Any = dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._host, async_op=True)

        def found() -> list[int]:
            work.wait()
            return list(box.tolist())

        return found

    def from_main(self, value: Any) -> Any:
        """Return rank 0's value on every rank. The value must be representable in JSON; nothing is unpickled."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.is_main else b""
        length = torch.tensor([len(text)])
        dist.broadcast(length, src=0, group=self._host)
        box = torch.frombuffer(bytearray(text or bytes(int(length))), dtype=torch.uint8)
        dist.broadcast(box, src=0, group=self._host)
        return json.loads(bytes(box.tolist()))

    def to_main(self, data: bytes) -> list[bytes]:
        """On rank 0, return all ranks' data; on other ranks, []. Every rank must call this. Nothing is unpickled."""
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
        """Wrap the network in DDP, which averages gradients over ranks in messages of `bucket_mib` MiB.

        With two processes on one machine, message sizes from 1 to 100 MiB give rates within 4 % of the rate with
        torch's default size (benchmarks/results/buckets-2026-11-23.md). Buffers are not broadcast from rank 0, because
        this would discard the other ranks' running statistics. DDP's `static_graph` is off: it would forbid `no_sync`
        in the first iteration, and save no time.
        """
        if self.size == 1:
            return network
        with warnings.catch_warnings():
            # Newer releases rename the argument; the old name still works in all of them.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            return DistributedDataParallel(
                network,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
                bucket_cap_mb=bucket_mib,
                # two kernels per bucket instead of one per tensor
                **_if_known(DistributedDataParallel, batched_grad_copy=True),
            )

    def accumulating(self, model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context for one micro-batch; gradients are exchanged only if it is the `last` one of the step."""
        return nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()

    def threads(self, wanted: int | None) -> int:
        """Return the number of CPU threads of this rank: `wanted`, or else its equal share of this machine's cores."""
        return wanted or max(1, usable_cores() // self.local_size)


def _if_known(make: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Return those of `arguments` that the function `make` accepts in the installed release of torch."""
    known = inspect.signature(make).parameters
    return {name: value for name, value in arguments.items() if name in known}
