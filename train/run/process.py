"""What a run sets for its whole process: memory, threads, the current device, torch's flags. Nothing else does.

A library leaves its process as it is; only runs and commands may call this. How OpenMP's threads wait is set even
before torch is loaded: see `headrace.train.machine.openmp`.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from headrace.shards.user_cache import private_folder
from headrace.train.machine.device import Accelerator
from headrace.train.machine.near import keep_near
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.recipe.sections import Runtime

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # <malloc.h>


@contextmanager
def entered(runtime: Runtime) -> Iterator[Place]:
    """The place of this process, which is prepared for a run and together with the other ranks until the block ends.

    Raises UsageError when the device that is asked for is not there.
    """
    place = Place.find(runtime)
    prepare(place, deterministic=runtime.deterministic)
    accelerator = place.accelerator
    connected = accelerator.either(cpu=None, gpu=accelerator.device)
    with place.world.joined(accelerator.backend, runtime.timeout_minutes, connected):
        yield place


def prepare(place: Place, *, deterministic: bool) -> None:
    """Set what holds for the whole process of a run at this place."""
    torch.set_num_threads(place.threads)  # torchrun would have left it at 1
    keep_kernels_private()
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(place.threads))  # its default is a rank's: all cores
    begin: Callable[[], None] = partial(_prepare_gpu, place.accelerator)
    place.accelerator.either(cpu=keep_freed_memory, gpu=begin)()
    if deterministic:
        _make_deterministic()


@contextmanager
def computing_in(threads: int) -> Iterator[None]:
    """Have torch compute on the CPU in so many threads until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of giving it back and asking for it again every step.

    Activations of tens of megabytes are otherwise mapped, zeroed and unmapped each time. Threads share one arena: those
    of their own, which the batches of the feed would come from, give large blocks back whatever the threshold.
    Other C libraries are left alone.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def keep_kernels_private() -> None:
    """Have torch keep compiled kernels in the user's own cache folder, unless the user named another.

    Its default is a folder in the temporary one, under a name that other users can take first; it is made even where
    nothing is compiled, with the first optimizer. To be called before that.
    """
    folder = private_folder("kernels")
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def round_products(numerics: Numerics, accelerator: Accelerator) -> None:
    """On a GPU, let products of float32 be rounded to TF32 unless the formats are exact; autocast expects it."""
    accelerator.either(cpu=_leave_tf32, gpu=_allow_tf32)(not numerics.exact)


def _prepare_gpu(accelerator: Accelerator) -> None:
    keep_near(accelerator)
    torch.cuda.set_device(accelerator.device)
    torch.backends.cudnn.benchmark = True
    _allow_tf32(False)


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _leave_tf32(_: bool) -> None:
    """A CPU has none."""


def _make_deterministic() -> None:
    """Only algorithms that give the same bits every time, or an error from torch where there is none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first use
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
