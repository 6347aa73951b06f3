"""The only module that changes settings of the whole process: memory, threads, the current device, torch's flags.

A library must not change its process, so only runs and commands may use this module. One setting is made earlier,
before torch is loaded: how OpenMP threads wait, in `headrace.train.machine.openmp`.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from headrace.shards.user_cache import private_folder
from headrace.train.machine.device import Accelerator
from headrace.train.machine.heartbeat import beating
from headrace.train.machine.near import keep_near
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.recipe.runtime import Runtime

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # <malloc.h>


@contextmanager
def entered(runtime: Runtime) -> Iterator[Place]:
    """Within this context, the process is prepared for a run and connected to the other ranks.

    Yields the `Place` of the process: its rank, its device and its threads.

    Raises UsageError if the requested device is not available.
    """
    place = Place.find(runtime)
    prepare(place, deterministic=runtime.deterministic)
    accelerator = place.accelerator
    connected = accelerator.either(cpu=None, gpu=accelerator.device)
    joined = place.world.joined(accelerator.backend, runtime.timeout_minutes, connected)
    with joined, beating(place.world, runtime.silent_seconds):
        yield place


def prepare(place: Place, *, deterministic: bool) -> None:
    """Set memory, threads and torch's flags of the whole process for a run at `place`."""
    torch.set_num_threads(place.threads)  # torchrun sets it to 1
    keep_kernels_private()
    # By default each rank would use all cores
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(place.threads))
    begin: Callable[[], None] = partial(_prepare_gpu, place.accelerator)
    place.accelerator.either(cpu=keep_freed_memory, gpu=begin)()
    if deterministic:
        _make_deterministic()


@contextmanager
def computing_in(threads: int) -> Iterator[None]:
    """Within this context, torch computes on the CPU with this number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it and requesting it again at every step.

    Otherwise activations of tens of megabytes are mapped, zeroed and unmapped at every step. All threads are made to
    allocate from the main arena of glibc, because glibc's other arenas return large blocks to the kernel in spite of
    the settings. Has no effect with other C libraries.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def keep_kernels_private() -> None:
    """Make torch keep compiled kernels in the user's own cache folder, unless the user chose another folder.

    torch's default folder is among the temporary files, where another user can make a folder of the same name first.
    torch makes the folder when the first optimizer is built, even if nothing is compiled, so call this function
    earlier.
    """
    folder = private_folder("kernels")
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def round_products(numerics: Numerics, accelerator: Accelerator) -> None:
    """On a GPU, let torch round float32 products to TF32, as autocast expects, unless `numerics` is exact."""
    accelerator.either(cpu=_leave_tf32, gpu=_allow_tf32)(not numerics.exact)


def _prepare_gpu(accelerator: Accelerator) -> None:
    keep_near(accelerator)
    torch.cuda.set_device(accelerator.device)
    torch.backends.cudnn.benchmark = True
    _allow_tf32(False)


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _leave_tf32(_: bool) -> None:
    """Do nothing: a CPU has no TF32."""


def _make_deterministic() -> None:
    """Allow only algorithms that always give the same bits; torch raises an error for operations that have none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first use
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
